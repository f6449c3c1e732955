//! Faults on demand: statements that a test sends here, and that a cluster would not know.
//!
//! `STAND_IN FAIL 'COMMIT' CODE 'XX000' MESSAGE '1023' DETAIL '…' FOR 'application'` fails the next statement of that
//! application that begins so. `STAND_IN LOSE BEFORE 'COMMIT' FOR 'application'` ends its connection in the place of
//! running it, `AFTER` instead of answering. `STAND_IN ASSUME 'role'` answers with temporary keys. `STAND_IN EXPIRE 'user'`
//! ends the password of a temporary user.

use std::sync::{Mutex, PoisonError};

use crate::rewrite::Refusal;
use crate::sql::{Token, words};

/// What happens to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It fails.
    Fail {
        /// The SQLSTATE.
        code: String,
        /// The message.
        message: String,
        /// The detail.
        detail: String,
    },
    /// The connection ends before it is run.
    LoseBefore,
    /// The connection ends after it was run.
    LoseAfter,
}

/// A command to the stand-in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A fault to come.
    Fault(Fault),
    /// Temporary keys of a role.
    Assume(String),
    /// The end of the password of a temporary user.
    Expire(String),
}

/// A fault to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    application: String,
    begins: String,
    action: Action,
}

/// The faults to come, of all applications.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds one.
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Takes the first that is for this statement.
    pub(crate) fn take(&self, application: &str, statement: &[Token]) -> Option<Action> {
        let text: Vec<String> =
            words(statement).iter().map(|token| token.text.to_ascii_uppercase()).collect();
        let text = text.join(" ");
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = faults.iter().position(|fault| {
            fault.application == application && text.starts_with(&fault.begins)
        })?;
        Some(faults.remove(found).action)
    }
}

/// Reads a command, where a statement is one.
///
/// # Errors
/// A command that cannot be read.
pub(crate) fn command(statement: &[Token]) -> Result<Option<Command>, Refusal> {
    let words = words(statement);
    if !words.first().is_some_and(|token| token.is("STAND_IN")) {
        return Ok(None);
    }
    let syntax = || Refusal::syntax("STAND_IN");
    let literal_behind = |word: &str| {
        let at = words.iter().position(|token| token.is(word))?;
        words.get(at + 1)?.value()
    };
    if let Some(role) = literal_behind("ASSUME") {
        return Ok(Some(Command::Assume(role)));
    }
    if let Some(user) = literal_behind("EXPIRE") {
        return Ok(Some(Command::Expire(user)));
    }
    let (begins, action) = if let Some(begins) = literal_behind("FAIL") {
        let action = Action::Fail {
            code: literal_behind("CODE").ok_or_else(syntax)?,
            message: literal_behind("MESSAGE").ok_or_else(syntax)?,
            detail: literal_behind("DETAIL").unwrap_or_default(),
        };
        (begins, action)
    } else if let Some(begins) = literal_behind("BEFORE") {
        (begins, Action::LoseBefore)
    } else {
        (literal_behind("AFTER").ok_or_else(syntax)?, Action::LoseAfter)
    };
    let application = literal_behind("FOR").ok_or_else(syntax)?;
    Ok(Some(Command::Fault(Fault { application, begins: begins.to_ascii_uppercase(), action })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statements;

    #[test]
    fn a_fault_is_for_one_statement_of_one_application() {
        let faults = Faults::default();
        let read = command(&statements("STAND_IN LOSE AFTER 'commit' FOR 'a'")[0]);
        let Ok(Some(Command::Fault(fault))) = read else { panic!("{read:?}") };
        faults.add(fault);
        let commit = &statements("commit;")[0];
        assert_eq!(faults.take("b", commit), None);
        assert_eq!(faults.take("a", &statements("SELECT 'COMMIT'")[0]), None);
        assert_eq!(faults.take("a", commit), Some(Action::LoseAfter));
        assert_eq!(faults.take("a", commit), None);
        assert_eq!(command(&statements("SELECT 1")[0]), Ok(None));
        assert!(command(&statements("STAND_IN NONSENSE")[0]).is_err());
    }
}
