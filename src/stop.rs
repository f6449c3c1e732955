//! Asking a run to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use transload_core::{Error, ErrorKind, Result};

/// A handle by which a run can be asked to end at the next point where nothing is lost.
///
/// What is sealed can be resumed; what is not was never acknowledged to its source.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::new(ErrorKind::Interrupted, "the run was asked to stop").with_hint(
                "run it again, or `transload resume`: what was sealed is finished first",
            ));
        }
        Ok(())
    }
}
