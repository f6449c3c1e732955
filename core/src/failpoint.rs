//! Points right before and right after every effect: a file written, a request sent, a statement run, a commit.
//!
//! A fault before an effect is a request that was lost, one after it is an answer that was lost; a process that ends at
//! one of them has the effect behind it or not. In a build without the feature `failpoints` nothing of this is there: the
//! functions do nothing and are compiled away. With it, whoever tests says by `watch` what happens at each point.

use std::io;

/// Where a point lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The effect has not begun.
    Before,
    /// The effect has happened, and nobody knows yet.
    After,
}

/// Passes the point before an effect.
///
/// # Errors
/// What the test wants to have gone wrong; never without the feature.
#[inline(always)]
pub fn before(effect: &str) -> io::Result<()> {
    pass(effect, Side::Before)
}

/// Passes the point after an effect.
///
/// # Errors
/// As [`before`].
#[inline(always)]
pub fn after(effect: &str) -> io::Result<()> {
    pass(effect, Side::After)
}

/// An effect on files, between its two points.
///
/// # Errors
/// Those of the effect, and as [`before`].
#[inline(always)]
pub fn around<T>(effect: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    before(effect)?;
    let done = work()?;
    after(effect)?;
    Ok(done)
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
fn pass(_effect: &str, _side: Side) -> io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
use watched::pass;
#[cfg(feature = "failpoints")]
pub use watched::watch;

#[cfg(feature = "failpoints")]
mod watched {
    use std::io;
    use std::sync::OnceLock;

    use super::Side;

    type Watcher = Box<dyn Fn(&str, Side) -> io::Result<()> + Send + Sync>;

    static WATCHER: OnceLock<Watcher> = OnceLock::new();

    /// Says what happens at the points of this process, once and for all. A second call changes nothing.
    pub fn watch(watcher: impl Fn(&str, Side) -> io::Result<()> + Send + Sync + 'static) {
        let _ = WATCHER.set(Box::new(watcher));
    }

    pub(super) fn pass(effect: &str, side: Side) -> io::Result<()> {
        WATCHER.get().map_or(Ok(()), |watcher| watcher(effect, side))
    }
}
