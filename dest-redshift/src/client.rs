//! The cluster: a session for each transaction, and one that is kept for single statements.

use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flate2::bufread::MultiGzDecoder;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, NoTls, SimpleQueryMessage};
use transload_core::sql::{
    CommitError, InsertFile, InsertStatements, Row, Session, SqlClient, Statement, Transaction,
    Work, run_transaction,
};
use transload_core::{Error, ErrorKind, Redactor, Result, Secret, failpoint};

use crate::classify::{classify, is_refused_commit};
use crate::config::{RedshiftSettings, SslMode, identity};
use crate::dialect::RedshiftDialect;
use crate::iam::{Iam, Login};
use crate::load_errors;
use crate::tls::Tls;

/// The longest `INSERT` of an `insert_values` file, as dlt has it: half of what Redshift takes. Amazon Redshift Database
/// Developer Guide, "SQL reference": a statement has at most 16 MB.
const STATEMENT_BYTES: usize = 8 << 20;

/// How long a session without work is kept: afterwards somebody between may have forgotten it.
const IDLE: Duration = Duration::from_secs(60);

/// How long a request to cancel may take. Nobody waits for it.
const CANCEL: Duration = Duration::from_secs(10);

/// A database of a cluster or workgroup.
pub(crate) struct Redshift {
    settings: RedshiftSettings,
    dialect: RedshiftDialect,
    tls: Option<Tls>,
    who: Who,
    idle: Mutex<Option<Connection>>,
    redactor: Redactor,
}

/// Who logs in.
enum Who {
    /// Always the same.
    Configured(Arc<Login>),
    /// Whoever Amazon says.
    Temporary(Box<Iam>),
}

impl fmt::Debug for Redshift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redshift").field("database", &self.identity()).finish_non_exhaustive()
    }
}

impl Redshift {
    /// A client with these settings. Opens no connection.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the authorities to trust cannot be read.
    pub(crate) fn new(
        settings: RedshiftSettings,
        iam: Option<Iam>,
        dialect: RedshiftDialect,
    ) -> Result<Self> {
        let login = &settings.credentials;
        let tls = match login.sslmode {
            SslMode::Disable => None,
            mode => Some(Tls::new(mode, login.sslrootcert.as_deref())?),
        };
        let redactor = Redactor::new(&login.password);
        let who = iam.map_or_else(
            || {
                let user = login.username.clone().unwrap_or_default();
                let password = login.password.clone().unwrap_or_else(|| Secret::new(""));
                Who::Configured(Arc::new(Login { user, password }))
            },
            |iam| Who::Temporary(Box::new(iam)),
        );
        Ok(Self { settings, dialect, tls, who, idle: Mutex::default(), redactor })
    }

    async fn connect(&self) -> Result<Connection> {
        let iam = match &self.who {
            Who::Configured(login) => return self.connect_as(login).await,
            Who::Temporary(iam) => iam,
        };
        let (login, was_kept) = iam.login().await?;
        let refused = match self.connect_as(&login).await {
            Err(error) if is_refused_login(&error) => error,
            other => return other,
        };
        iam.forget(&login).await;
        let refused = match was_kept {
            false => refused,
            true => match self.connect_as(&iam.login().await?.0).await {
                Err(error) if is_refused_login(&error) => error,
                other => return other,
            },
        };
        Err(refused.with("user", &login.user).with_hint(
            "the database has no such user, or does not let it in: set `credentials.auto_create`, or create it",
        ))
    }

    async fn connect_as(&self, who: &Login) -> Result<Connection> {
        let login = &self.settings.credentials;
        let opened = tokio::time::timeout(login.connect_timeout, self.open(who)).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Transient, "Redshift did not answer in time")
                .with("connect_timeout", login.connect_timeout.as_secs())
                .with_hint("see that the host and port are right and let this machine in, or raise `connect_timeout`"))
        });
        opened.map_err(|error| {
            let error = error.with("host", &login.host).with("port", login.port);
            error.redacted(&Redactor::new([&who.password]))
        })
    }

    async fn open(&self, who: &Login) -> Result<Connection> {
        let config = self.config(who);
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) =
                    config.connect(tls.clone()).await.map_err(|error| classify(&error))?;
                (client, tokio::spawn(drive(connection)))
            }
            None => {
                let (client, connection) =
                    config.connect(NoTls).await.map_err(|error| classify(&error))?;
                (client, tokio::spawn(drive(connection)))
            }
        };
        let mut connection = Connection {
            cancel: client.cancel_token(),
            client,
            driver,
            tls: self.tls.clone(),
            session: 0,
            busy: false,
            used: Instant::now(),
        };
        let answer = connection.send(&self.session()).await?;
        let session = answer.rows.first().and_then(|row| row.first()).cloned().flatten();
        connection.session = session.and_then(|pid| pid.parse().ok()).unwrap_or_default();
        Ok(connection)
    }

    fn config(&self, who: &Login) -> tokio_postgres::Config {
        let login = &self.settings.credentials;
        let mut config = tokio_postgres::Config::new();
        config
            .host(login.host.trim_start_matches('[').trim_end_matches(']'))
            .port(login.port)
            .dbname(&login.database)
            .user(&who.user)
            .password(who.password.expose())
            .application_name(&login.application_name)
            .connect_timeout(login.connect_timeout)
            .keepalives(true)
            .ssl_mode(match login.sslmode {
                SslMode::Disable => tokio_postgres::config::SslMode::Disable,
                _ => tokio_postgres::config::SslMode::Require,
            });
        if let Some(options) = &login.options {
            config.options(options);
        }
        if let Some(idle) = login.keepalives_idle {
            config.keepalives_idle(idle);
        }
        if let Some(interval) = login.keepalives_interval {
            config.keepalives_interval(interval);
        }
        if let Some(count) = login.keepalives_count {
            config.keepalives_retries(count);
        }
        if let Some(milliseconds) = login.tcp_user_timeout {
            config.tcp_user_timeout(Duration::from_millis(milliseconds));
        }
        config
    }

    /// What a session is set to before its first statement. Its answer is the id of the session.
    fn session(&self) -> String {
        let sensitive = self.settings.has_case_sensitive_identifiers;
        let mut text =
            format!("SET TIMEZONE TO 'UTC'; SET ENABLE_CASE_SENSITIVE_IDENTIFIER TO {sensitive}; ");
        if let Some(timeout) = self.settings.statement_timeout {
            text.push_str(&format!("SET STATEMENT_TIMEOUT TO {}; ", timeout.as_millis()));
        }
        text.push_str("SELECT PG_BACKEND_PID()");
        text
    }

    /// Runs a single statement in the session that is kept for them.
    async fn run(&self, statement: &Statement) -> Result<Answer> {
        let mut idle = self.idle.lock().await;
        let kept = idle.take().filter(|connection| connection.is_usable());
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let (sql, _) = statement.render(&self.dialect);
        match connection.send(&sql).await {
            Ok(answer) => {
                *idle = Some(connection);
                Ok(answer)
            }
            // It is given up, whatever state it is in.
            Err(error) => Err(self.redacted(error, statement)),
        }
    }

    /// An error without what the statement and the configuration hold.
    fn redacted(&self, error: Error, statement: &Statement) -> Error {
        error.redacted(&statement.redactor()).redacted(&self.redactor)
    }
}

/// What a test wants to have gone wrong is a connection that broke.
pub(crate) fn passed(point: std::io::Result<()>) -> Result<()> {
    point.map_err(|error| {
        Error::new(ErrorKind::Transient, "the connection broke").with_source(error)
    })
}

/// Whether the database did not let the user in: class 28 of PostgreSQL's error codes.
fn is_refused_login(error: &Error) -> bool {
    error.context("code").is_some_and(|code| code.starts_with("28"))
}

/// Moves the bytes of a connection. Notices are dropped: they may tell of rows.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(_)) = poll_fn(|context| connection.poll_message(context)).await {}
}

/// A session. Dropped in the middle of a statement it cancels that; dropped at any time it ends, and with it a
/// transaction that was not committed.
struct Connection {
    client: tokio_postgres::Client,
    driver: JoinHandle<()>,
    cancel: CancelToken,
    tls: Option<Tls>,
    /// The process in the cluster.
    session: i64,
    busy: bool,
    used: Instant,
}

/// What a statement answered.
#[derive(Debug, Default)]
struct Answer {
    rows: Vec<Row>,
    changed: u64,
}

impl Connection {
    fn is_usable(&self) -> bool {
        !self.busy && !self.client.is_closed() && self.used.elapsed() < IDLE
    }

    async fn send(&mut self, sql: &str) -> Result<Answer> {
        self.simple(sql).await.map_err(|error| classify(&error))
    }

    async fn simple(&mut self, sql: &str) -> Result<Answer, tokio_postgres::Error> {
        self.busy = true;
        let answer = self.client.simple_query(sql).await;
        self.busy = false;
        self.used = Instant::now();
        let mut found = Answer::default();
        for message in answer? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
                    found.rows.push(values.collect());
                }
                SimpleQueryMessage::CommandComplete(changed) => found.changed = changed,
                _ => {}
            }
        }
        Ok(found)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without it the driver would wait for the answer that nobody wants.
        self.driver.abort();
        if !self.busy {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (cancel, tls) = (self.cancel.clone(), self.tls.clone());
            runtime.spawn(async move {
                let cancelled = async {
                    match tls {
                        Some(tls) => cancel.cancel_query(tls).await,
                        None => cancel.cancel_query(NoTls).await,
                    }
                };
                // A cluster that does not hear it finds the connection gone, later.
                let _ = tokio::time::timeout(CANCEL, cancelled).await;
            });
        }
    }
}

/// A session with its transaction.
struct InTransaction<'a> {
    redshift: &'a Redshift,
    connection: Connection,
}

impl InTransaction<'_> {
    async fn statement(&mut self, statement: &Statement) -> Result<u64> {
        let (sql, _) = statement.render(&self.redshift.dialect);
        let result = match is_copy(&sql) {
            true => self.copy(&sql).await,
            false => self.connection.send(&sql).await.map(|answer| answer.changed),
        };
        result.map_err(|error| self.redshift.redacted(error, statement))
    }

    /// Runs a COPY. It answers without a number: Amazon Redshift Database Developer Guide, "PG_LAST_COPY_COUNT".
    async fn copy(&mut self, sql: &str) -> Result<u64> {
        passed(failpoint::before("COPY"))?;
        if let Err(error) = self.connection.send(sql).await {
            return Err(match error.kind() {
                ErrorKind::BadData => self.explained(error).await,
                _ => error,
            });
        }
        passed(failpoint::after("COPY"))?;
        let count = self.connection.send("SELECT PG_LAST_COPY_COUNT()").await?;
        let count = count.rows.first().and_then(|row| row.first()).cloned().flatten();
        count.and_then(|count| count.trim().parse().ok()).ok_or_else(|| {
            Error::new(ErrorKind::Terminal, "Redshift does not say how many rows were copied")
        })
    }

    /// The error with what the cluster noted of it. The transaction is over, so the session is free to be asked.
    async fn explained(&mut self, error: Error) -> Error {
        if self.connection.send("ROLLBACK").await.is_err() {
            return error;
        }
        for question in load_errors::questions(self.connection.session) {
            // One that is not there, or not for this user, is no reason to hide the error itself.
            if let Ok(Answer { rows, .. }) = self.connection.send(&question).await
                && let Some(row) = rows.into_iter().next()
            {
                return load_errors::explain(error, row);
            }
        }
        error
    }

    async fn insert_file(&mut self, insert: &InsertFile) -> Result<u64> {
        // Files are read on a thread that may wait for the disk, a statement ahead.
        let (sender, mut statements) = mpsc::channel(1);
        let insert = insert.clone();
        tokio::task::spawn_blocking(move || {
            let read = read_inserts(&insert);
            match read {
                Ok(statements) => {
                    for statement in statements {
                        if sender.blocking_send(statement).is_err() {
                            break;
                        }
                    }
                }
                Err(error) => drop(sender.blocking_send(Err(error))),
            }
        });
        let mut rows = 0;
        while let Some(statement) = statements.recv().await {
            passed(failpoint::before("INSERT"))?;
            rows += self.connection.send(&statement?).await?.changed;
            passed(failpoint::after("INSERT"))?;
        }
        Ok(rows)
    }
}

/// Whether a statement is a COPY, as [`crate::copy`] writes it.
fn is_copy(sql: &str) -> bool {
    sql.starts_with("COPY ")
}

fn read_inserts(insert: &InsertFile) -> Result<InsertStatements<Box<dyn BufRead>>> {
    let file = File::open(&insert.path).map_err(|error| {
        Error::new(ErrorKind::Terminal, "a file of the load cannot be opened")
            .with("file", insert.path.display())
            .with_source(error)
    })?;
    let file = BufReader::new(file);
    let text: Box<dyn BufRead> = match insert.gzip {
        true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        false => Box::new(file),
    };
    Ok(InsertStatements::new(text, &insert.into, STATEMENT_BYTES))
}

#[async_trait]
impl Session for InTransaction<'_> {
    async fn begin(&mut self) -> Result<()> {
        // What comes before it is announced for all engines.
        self.connection.send("BEGIN").await?;
        passed(failpoint::after("begin"))
    }

    async fn execute(&mut self, work: &Work) -> Result<u64> {
        match work {
            Work::Statement(statement) => self.statement(statement).await,
            Work::Inserts(insert) => {
                let inserted = self.insert_file(insert).await;
                inserted.map_err(|error| error.redacted(&self.redshift.redactor))
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "Redshift does not know this work")),
        }
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        passed(failpoint::before("COMMIT")).map_err(CommitError::Unclear)?;
        match self.connection.simple("COMMIT").await {
            Ok(_) => passed(failpoint::after("COMMIT")).map_err(CommitError::Unclear),
            Err(error) => {
                let refused = error.as_db_error().is_some_and(is_refused_commit);
                let error = classify(&error);
                Err(if refused { CommitError::Refused(error) } else { CommitError::Unclear(error) })
            }
        }
    }

    async fn rollback(&mut self) -> Result<()> {
        self.connection.send("ROLLBACK").await.map(drop)
    }
}

#[async_trait]
impl SqlClient for Redshift {
    fn identity(&self) -> String {
        identity(&self.settings)
    }

    // Whether the cluster can be reached and the user may make tables somewhere.
    async fn check(&self) -> Result<()> {
        let may_write = "SELECT CASE WHEN HAS_DATABASE_PRIVILEGE(CURRENT_DATABASE(), 'CREATE') THEN 1 ELSE \
                         (SELECT COUNT(*) FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg_%' \
                         AND HAS_SCHEMA_PRIVILEGE(nspname, 'CREATE')) END, CURRENT_USER";
        let rows = self.query(&Statement::new(may_write)).await?;
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        if row.next().flatten().as_deref() != Some("0") {
            return Ok(());
        }
        let user = row.next().flatten().unwrap_or_default();
        Err(Error::new(ErrorKind::Configuration, "the user may not make a schema or a table")
            .with("database", &self.settings.credentials.database)
            .with("user", user)
            .with_hint("GRANT CREATE ON DATABASE … TO …"))
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>> {
        passed(failpoint::before("query"))?;
        let answer = self.run(statement).await?;
        passed(failpoint::after("query"))?;
        Ok(answer.rows)
    }

    async fn execute(&self, statement: &Statement) -> Result<u64> {
        passed(failpoint::before("execute"))?;
        let answer = self.run(statement).await?;
        passed(failpoint::after("execute"))?;
        Ok(answer.changed)
    }

    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>> {
        let connection = self.connect().await?;
        let mut session = InTransaction { redshift: self, connection };
        run_transaction(&mut session, transaction).await
    }
}
