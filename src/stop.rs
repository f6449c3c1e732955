//! Asking a run to end.

use std::sync::Arc;

use tokio::sync::watch;
use transload_core::{Error, ErrorKind, Result};

/// A handle by which a run can be asked to end at the next point where nothing is lost.
///
/// What is sealed can be resumed; what is not was never acknowledged to its source.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it is asked.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `self`, so this ends only when it is asked.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::new(ErrorKind::Interrupted, "the run was asked to stop").with_hint(
                "run it again: a load whose files were complete is finished first, any other begins anew",
            ));
        }
        Ok(())
    }
}
