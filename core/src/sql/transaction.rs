//! A transaction as data, and the one way to run it.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;

use crate::{Error, ErrorKind, Result, failpoint};

use super::{CopyFile, InsertFile, Statement};

/// A row of an answer: its values as texts.
pub type Row = Vec<Option<String>>;

/// How statements reach an engine.
///
/// A dropped future must leave no transaction open. Errors carry no secret, and say by their kind whether the
/// statement may be sent again.
#[async_trait]
pub trait SqlClient: fmt::Debug + Send + Sync + 'static {
    /// See [`crate::Destination::identity`].
    fn identity(&self) -> String;

    /// See [`crate::Destination::check`].
    async fn check(&self) -> Result<()>;

    /// Runs a statement and returns its rows. The statements of this toolkit ask for texts only.
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>>;

    /// Runs a statement by itself and returns the number of rows that it changed.
    async fn execute(&self, statement: &Statement) -> Result<u64>;

    /// Runs a transaction in a session of its own, by [`run_transaction`], and returns what each step changed.
    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>>;
}

/// Steps that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The steps.
    pub steps: Vec<Step>,
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "BEGIN")?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "COMMIT")
    }
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does, in a few words: it stands in errors.
    pub name: String,
    /// What is run.
    pub work: Work,
    /// What it must do to the table.
    pub expect: Expect,
}

impl Step {
    /// A step that may change any number of rows.
    pub fn any(name: impl Into<String>, statement: Statement) -> Self {
        Self { name: name.into(), work: Work::Statement(statement), expect: Expect::Any }
    }

    /// A step that brings rows from files or from a staging table: exactly these, or the publication is refused.
    pub fn rows(name: impl Into<String>, work: impl Into<Work>, rows: u64) -> Self {
        Self {
            name: name.into(),
            work: work.into(),
            expect: Expect::Rows {
                rows,
                otherwise: ErrorKind::Terminal,
                message: "rows do not reconcile".into(),
            },
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-- {}", self.name)?;
        if let Expect::Rows { rows, otherwise, .. } = &self.expect {
            write!(f, ": {rows} rows, or {otherwise}")?;
        }
        match &self.work {
            Work::Statement(statement) => write!(f, "\n{statement}"),
            Work::Inserts(file) => write!(f, "\n{file}"),
            Work::Copy(file) => write!(f, "\n{file}"),
        }
    }
}

/// What a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// One statement.
    Statement(Statement),
    /// The statements of an `insert_values` file, read when their turn comes.
    Inserts(InsertFile),
    /// A statement, and the file whose content is sent behind it. Only a dialect that makes such steps meets them.
    Copy(CopyFile),
}

impl From<Statement> for Work {
    fn from(statement: Statement) -> Self {
        Self::Statement(statement)
    }
}

impl From<InsertFile> for Work {
    fn from(file: InsertFile) -> Self {
        Self::Inserts(file)
    }
}

impl From<CopyFile> for Work {
    fn from(file: CopyFile) -> Self {
        Self::Copy(file)
    }
}

/// How many rows a step must change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Any number.
    Any,
    /// This number. Any other ends the transaction with an error.
    Rows {
        /// The number.
        rows: u64,
        /// The kind of that error.
        otherwise: ErrorKind,
        /// Its message.
        message: Cow<'static, str>,
    },
}

/// One connection, for as long as one transaction takes.
#[async_trait]
pub trait Session: Send {
    /// Begins a transaction.
    async fn begin(&mut self) -> Result<()>;

    /// Runs one piece of work and returns the number of rows that it changed.
    async fn execute(&mut self, work: &Work) -> Result<u64>;

    /// Commits.
    async fn commit(&mut self) -> Result<(), CommitError>;

    /// Rolls back. A session that cannot must not be used again.
    async fn rollback(&mut self) -> Result<()>;
}

/// Why there is no success to report of a COMMIT.
#[derive(Debug)]
pub enum CommitError {
    /// The engine refused it: nothing was changed.
    Refused(Error),
    /// It was sent and what came back does not say what became of it.
    Unclear(Error),
}

/// Runs a transaction on a session: begins, holds each step against what it must do, and commits or rolls back.
///
/// # Errors
/// That of the step that failed, with its name; [`ErrorKind::OutcomeUnknown`] where the COMMIT had no clear answer.
pub async fn run_transaction(
    session: &mut dyn Session,
    transaction: &Transaction,
) -> Result<Vec<u64>> {
    passed(failpoint::before("begin"))?;
    session.begin().await?;
    let mut changed = Vec::with_capacity(transaction.steps.len());
    for step in &transaction.steps {
        match run_step(session, step).await {
            Ok(rows) => changed.push(rows),
            Err(error) => {
                // The step's error is the one to report. A session that cannot roll back is given up by its owner.
                let _ = session.rollback().await;
                return Err(error);
            }
        }
    }
    match session.commit().await {
        Ok(()) => Ok(changed),
        Err(CommitError::Refused(error)) => {
            let _ = session.rollback().await;
            Err(error)
        }
        Err(CommitError::Unclear(error)) => {
            Err(Error::new(ErrorKind::OutcomeUnknown, "the answer to COMMIT was lost")
                .with_source(error))
        }
    }
}

async fn run_step(session: &mut dyn Session, step: &Step) -> Result<u64> {
    passed(failpoint::before(&step.name))?;
    let changed =
        session.execute(&step.work).await.map_err(|error| error.with("step", &step.name))?;
    passed(failpoint::after(&step.name))?;
    match &step.expect {
        Expect::Any => Ok(changed),
        Expect::Rows { rows, .. } if *rows == changed => Ok(changed),
        Expect::Rows { rows, otherwise, message } => Err(Error::new(*otherwise, message.clone())
            .with("step", &step.name)
            .with("expected", rows)
            .with("found", changed)),
    }
}

/// What a test wants to have gone wrong is a connection that broke.
fn passed(point: std::io::Result<()>) -> Result<()> {
    point.map_err(|error| {
        Error::new(ErrorKind::Transient, "the connection broke").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each statement with the number that it consists of, and writes down what it was asked.
    struct Script {
        said: Vec<String>,
        commit: fn() -> Result<(), CommitError>,
    }

    #[async_trait]
    impl Session for Script {
        async fn begin(&mut self) -> Result<()> {
            self.said.push("begin".into());
            Ok(())
        }

        async fn execute(&mut self, work: &Work) -> Result<u64> {
            let Work::Statement(statement) = work else { panic!("statements only") };
            self.said.push(statement.to_string());
            let failed = |_| Error::new(ErrorKind::Transient, "no number");
            statement.to_string().parse().map_err(failed)
        }

        async fn commit(&mut self) -> Result<(), CommitError> {
            self.said.push("commit".into());
            (self.commit)()
        }

        async fn rollback(&mut self) -> Result<()> {
            self.said.push("rollback".into());
            Ok(())
        }
    }

    async fn run(
        steps: Vec<Step>,
        commit: fn() -> Result<(), CommitError>,
    ) -> (Result<Vec<u64>>, String) {
        let mut script = Script { said: Vec::new(), commit };
        let result = run_transaction(&mut script, &Transaction { steps }).await;
        (result, script.said.join(" "))
    }

    fn rows(answer: &str, expected: u64) -> Step {
        Step::rows("load t", Statement::new(answer), expected)
    }

    #[tokio::test]
    async fn steps_that_do_as_expected_are_committed() {
        let (result, said) =
            run(vec![rows("3", 3), Step::any("clean", Statement::new("7"))], || Ok(())).await;
        assert_eq!(result.unwrap(), [3, 7]);
        assert_eq!(said, "begin 3 7 commit");
    }

    #[tokio::test]
    async fn another_number_of_rows_rolls_back() {
        let (result, said) = run(vec![rows("2", 3), rows("1", 1)], || Ok(())).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal);
        assert_eq!(
            error.to_string(),
            "rows do not reconcile (step: load t, expected: 3, found: 2)"
        );
        assert_eq!(said, "begin 2 rollback");
    }

    #[tokio::test]
    async fn a_failed_step_keeps_its_kind_and_rolls_back() {
        let (result, said) = run(vec![rows("broken", 3)], || Ok(())).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.context("step")), (ErrorKind::Transient, Some("load t")));
        assert_eq!(said, "begin broken rollback");
    }

    #[tokio::test]
    async fn a_lost_answer_to_commit_is_neither_success_nor_failure() {
        let lost = || Err(CommitError::Unclear(Error::new(ErrorKind::Transient, "reset")));
        let (result, said) = run(vec![rows("1", 1)], lost).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(said, "begin 1 commit", "there is nothing to roll back");
    }

    #[tokio::test]
    async fn a_refused_commit_keeps_its_kind() {
        let refused = || Err(CommitError::Refused(Error::new(ErrorKind::Transient, "conflict")));
        let (result, _) = run(vec![rows("1", 1)], refused).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Transient);
    }
}
