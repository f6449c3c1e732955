//! The account: a session for each transaction, and one that is kept for single statements.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;
use transload_core::sql::{
    CommitError, Row, Session, SqlClient, Statement, Step, Transaction, Work, run_transaction,
};
use transload_core::{Error, ErrorKind, Redactor, Result};

use crate::answer::Answer;
use crate::catalog;
use crate::classify::is_refused_commit;
use crate::config::{SnowflakeSettings, identity};
use crate::copied;
use crate::dialect::SnowflakeDialect;
use crate::http::{Account, HttpSession};
use crate::query_tag::{QueryTag, step_of, tag};
use crate::session::{Failure, SnowflakeSession};

/// How long a session without work is kept: Snowflake itself keeps it for hours, a proxy between does not.
const IDLE: Duration = Duration::from_secs(60);

/// A database of an account.
pub(crate) struct Snowflake {
    identity: String,
    dialect: SnowflakeDialect,
    account: Arc<Account>,
    tag: Option<QueryTag>,
    idle: Mutex<Option<(HttpSession, Instant)>>,
    redactor: Redactor,
}

impl fmt::Debug for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snowflake").field("database", &self.identity).finish_non_exhaustive()
    }
}

impl Snowflake {
    /// A client with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the private key cannot be used.
    pub(crate) fn new(settings: SnowflakeSettings, dialect: SnowflakeDialect) -> Result<Self> {
        let login = &settings.credentials;
        let secrets =
            [&login.password, &login.token, &login.private_key_passphrase, &login.private_key];
        Ok(Self {
            identity: identity(&settings),
            redactor: Redactor::new(secrets.into_iter().flatten()),
            tag: settings.query_tag.as_deref().and_then(QueryTag::read),
            account: Arc::new(Account::new(settings)?),
            dialect,
            idle: Mutex::default(),
        })
    }

    /// Runs a single statement in the session that is kept for them. One that has ended meanwhile is followed by another.
    pub(crate) async fn run(&self, statement: &Statement, step: &str) -> Result<Answer> {
        let mut idle = self.idle.lock().await;
        let (sql, _) = statement.render(&self.dialect);
        let step = if step.is_empty() { Cow::Owned(step_of(&sql)) } else { Cow::Borrowed(step) };
        let tag = tag(self.tag.as_ref(), &step);
        let mut has_ended = false;
        loop {
            let kept = idle.take().filter(|(_, used)| used.elapsed() < IDLE);
            let mut session = match kept {
                Some((session, _)) => session,
                None => self.account.log_in().await?,
            };
            let failure = match session.run(&sql, &tag).await {
                Ok(answer) => {
                    *idle = Some((session, Instant::now()));
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            match &failure {
                // The statement was not begun.
                Failure::Ended(_) if !has_ended => {
                    has_ended = true;
                    continue;
                }
                Failure::Refused { code, .. } if !code.starts_with("390") => {
                    *idle = Some((session, Instant::now()));
                }
                _ => {}
            }
            return Err(self.redacted(failure.into_error(), statement));
        }
    }

    /// An error without what the statement and the configuration hold.
    fn redacted(&self, error: Error, statement: &Statement) -> Error {
        error.redacted(&statement.redactor()).redacted(&self.redactor)
    }
}

/// A session with its transaction.
struct InTransaction<'a> {
    snowflake: &'a Snowflake,
    session: Box<dyn SnowflakeSession>,
    /// The steps that are still to come: their names go into the tags.
    steps: std::slice::Iter<'a, Step>,
}

impl InTransaction<'_> {
    async fn send(&mut self, sql: &str, step: &str) -> Result<Answer, Failure> {
        let tag = tag(self.snowflake.tag.as_ref(), step);
        self.session.run(sql, &tag).await
    }
}

#[async_trait]
impl Session for InTransaction<'_> {
    async fn begin(&mut self) -> Result<()> {
        self.send("BEGIN", "begin").await.map(drop).map_err(Failure::into_error)
    }

    async fn execute(&mut self, work: &Work) -> Result<u64> {
        let step = self.steps.next().map_or("", |step| step.name.as_str());
        let Work::Statement(statement) = work else {
            return Err(Error::new(ErrorKind::Unsupported, "Snowflake does not know this work"));
        };
        let (sql, _) = statement.render(&self.snowflake.dialect);
        match self.send(&sql, step).await {
            Ok(answer) => {
                if sql.starts_with("COPY ") {
                    copied::check(&answer)?;
                }
                Ok(answer.changed())
            }
            Err(failure) => Err(self.snowflake.redacted(failure.into_error(), statement)),
        }
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        match self.send("COMMIT", "commit").await {
            Ok(_) => Ok(()),
            Err(Failure::Refused { code, error }) if is_refused_commit(&code) => {
                Err(CommitError::Refused(error))
            }
            Err(failure) => Err(CommitError::Unclear(failure.into_error())),
        }
    }

    async fn rollback(&mut self) -> Result<()> {
        self.send("ROLLBACK", "roll back").await.map(drop).map_err(Failure::into_error)
    }
}

#[async_trait]
impl SqlClient for Snowflake {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    // Whether the account can be reached, the database is one that this role may use, and there is a warehouse that works:
    // SHOW would need none.
    async fn check(&self) -> Result<()> {
        let database = &self.dialect.database;
        let question = Statement::new(format!(
            "SELECT COUNT(*) FROM {database}.INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = ''"
        ));
        self.run(&question, "check").await.map(drop)
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>> {
        let answer = self.run(statement, "").await;
        let (sql, _) = statement.render(&self.dialect);
        let rest = answer.as_ref().ok();
        let rest = rest.and_then(|shown| catalog::all_columns(&sql, shown, &self.dialect.database));
        let rows = match rest {
            Some(question) => catalog::of_information_schema(self.run(&question, "").await?.rows)?,
            None => catalog::rows(&sql, answer)?,
        };
        if sql.starts_with("SHOW COLUMNS ") {
            self.dialect.check_case(&rows)?;
        }
        Ok(rows)
    }

    async fn execute(&self, statement: &Statement) -> Result<u64> {
        self.run(statement, "").await.map(|answer| answer.changed())
    }

    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>> {
        let session = Box::new(self.account.log_in().await?);
        let mut session =
            InTransaction { snowflake: self, session, steps: transaction.steps.iter() };
        run_transaction(&mut session, transaction).await
    }
}
