//! What is odd about an input and yet no reason to refuse it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One thing that a person should know of an input that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// What it is, for programs: `W_GZIP`.
    pub(crate) code: &'static str,
    /// The input as it is shown: the name of the file.
    pub(crate) origin: Arc<str>,
    /// What it is, for people.
    pub(crate) message: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.origin, self.message, self.code)
    }
}

/// Warnings of all readers that were given a clone of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<Warning>>>);

impl Warnings {
    /// Adds a warning.
    pub(crate) fn add(&self, code: &'static str, origin: &str, message: &'static str) {
        let warning = Warning { code, origin: origin.into(), message };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// Takes the warnings out, in the order in which they came.
    pub(crate) fn take(&self) -> Vec<Warning> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
