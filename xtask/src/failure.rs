//! Why a task stopped, and what its user can do about it.

use std::error::Error;

/// The result of anything in a task that can fail.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// What did not work, and the next step for whoever reads it.
///
/// It is no `std::error::Error`, so that [`Context`] can be written for those alone and cannot drop
/// a hint by accident.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The text for the terminal, the hint set apart.
    pub(crate) fn report(&self) -> String {
        match &self.hint {
            Some(hint) => format!("error: {}\n\nhint: {hint}", self.what),
            None => format!("error: {}", self.what),
        }
    }
}

/// Says what was being done when an error of the standard library or of a parser came up.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Error> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure::new(format!("{}: {error}", what())))
    }
}
