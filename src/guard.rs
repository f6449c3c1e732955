//! Decoders of other crates, which panic on some damaged files.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    /// Whether a panic of this thread is an answer that is waited for.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// A decoder panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Does work that may panic over its input. What the work has changed must not be used again after that.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = EXPECTED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(before);
    result.map_err(|_| Panicked)
}

/// Lets panics that are waited for print nothing. For a program; a library leaves the hook alone.
pub(crate) fn hush() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !EXPECTED.get() {
            print(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_answer_and_is_waited_for_no_longer() {
        assert_eq!(guarded(|| 7), Ok(7));
        let inner = guarded(|| guarded(|| panic!("a test")).is_err() && EXPECTED.get());
        assert_eq!(inner, Ok(true), "the outer work is still guarded");
        assert!(!EXPECTED.get());
    }
}
