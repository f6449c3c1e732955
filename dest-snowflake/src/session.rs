//! A session: what the destination needs of a connection to Snowflake, whoever speaks the protocol.

use std::fmt;

use async_trait::async_trait;
use transload_core::Error;

use crate::answer::Answer;

/// One session of Snowflake: its statements run one after the other, in the order in which they are sent. A session
/// that is dropped cancels what runs, and ends: what was not committed is rolled back.
#[async_trait]
pub(crate) trait SnowflakeSession: fmt::Debug + Send {
    /// Runs a statement to its end, however long that takes, and returns its answer. A statement whose answer is lost is
    /// not run twice.
    async fn run(&mut self, sql: &str, tag: &str) -> Result<Answer, Failure>;
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Snowflake refused the statement.
    Refused {
        /// Its code.
        code: String,
        /// What that means, with what was said.
        error: Error,
    },
    /// The session has ended, and the statement was never begun: it may be run in another one. A transaction is gone.
    Ended(Error),
    /// It is not known what became of it, or it was never sent.
    Lost(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused { error, .. } | Self::Ended(error) | Self::Lost(error) => error,
        }
    }
}
