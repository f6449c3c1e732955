//! Telling a thread in DuckDB that nobody waits for it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duckdb::InterruptHandle;
use transload_core::{Error, ErrorKind, Result};

/// One use of a connection, known to the future that waits for it and to the thread that does the work.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    cancelled: bool,
    /// There only while this use has the connection, so that no other one is hit.
    running: Option<Arc<InterruptHandle>>,
}

impl Ticket {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Cancels the use when it goes out of scope.
    pub(crate) fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    pub(crate) fn begin(&self, handle: Arc<InterruptHandle>) {
        self.lock().running = Some(handle);
    }

    pub(crate) fn end(&self) {
        self.lock().running = None;
    }

    /// Whether anybody still waits.
    pub(crate) fn check(&self) -> Result<()> {
        match self.lock().cancelled {
            true => Err(Error::new(ErrorKind::Interrupted, "the statement was given up")),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Ticket::cancel_on_drop`].
pub(crate) struct CancelOnDrop(Ticket);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.cancelled = true;
        if let Some(handle) = state.running.take() {
            handle.interrupt();
        }
    }
}
