//! The server: a session for each statement and each transaction.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use futures::SinkExt as _;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use transload_core::sql::{
    CommitError, CopyFile, InsertFile, InsertStatements, Row, Session, SqlClient, Statement,
    Transaction, Work, run_transaction,
};
use transload_core::{Error, ErrorKind, Redactor, Result};

use crate::PostgresSettings;
use crate::classify::{classify, is_refused_commit};
use crate::dialect::PostgresDialect;

/// The longest `INSERT`, and the most that is sent of a file at once.
const STATEMENT_BYTES: usize = 1 << 20;

/// A database.
#[derive(Debug)]
pub struct Postgres(PostgresSettings);

impl Postgres {
    pub(crate) fn new(settings: PostgresSettings) -> Self {
        Self(settings)
    }

    async fn connect(&self) -> Result<Connection> {
        let PostgresSettings { host, port, database, username, password, .. } = &self.0;
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(*port).dbname(database).user(username).password(password.expose());
        config.options("-c TimeZone=UTC -c standard_conforming_strings=on");
        let (client, connection) = config.connect(NoTls).await.map_err(|error| {
            let error = classify(&error).with("host", host).with("port", port);
            error.redacted(&Redactor::new([password]))
        })?;
        // It ends with the client, which hears of its errors.
        tokio::spawn(connection);
        Ok(Connection { client, is_busy: false })
    }
}

/// A session. What was not committed ends with it.
struct Connection {
    client: Client,
    is_busy: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A server that is at work does not see that nobody listens any more.
        if let (true, Ok(runtime)) = (self.is_busy, tokio::runtime::Handle::try_current()) {
            let cancel = self.client.cancel_token();
            runtime.spawn(async move { cancel.cancel_query(NoTls).await });
        }
    }
}

impl Connection {
    /// Sends SQL; returns its rows, and how many it changed.
    async fn send(&mut self, sql: &str) -> Result<(Vec<Row>, u64), tokio_postgres::Error> {
        self.is_busy = true;
        let answer = self.client.simple_query(sql).await;
        self.is_busy = false;
        let (mut rows, mut changed) = (Vec::new(), 0);
        for message in answer? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => changed = count,
                _ => {}
            }
        }
        Ok((rows, changed))
    }

    async fn run(&mut self, sql: &str) -> Result<(Vec<Row>, u64)> {
        self.send(sql).await.map_err(|error| classify(&error))
    }

    async fn copy(&mut self, copy: &CopyFile) -> Result<u64> {
        let mut pieces = ahead(&copy.path, copy.gzip, |mut text| {
            std::iter::from_fn(move || {
                let piece = text.fill_buf().map(Bytes::copy_from_slice).map_err(unreadable);
                text.consume(piece.as_ref().map_or(0, Bytes::len));
                (!piece.as_ref().is_ok_and(Bytes::is_empty)).then_some(piece)
            })
        });
        let (sql, _) = copy.statement.render(&PostgresDialect);
        self.is_busy = true;
        let sink = self.client.copy_in(&sql).await.map_err(|error| classify(&error))?;
        let mut sink = std::pin::pin!(sink);
        while let Some(piece) = pieces.recv().await {
            // A file that breaks off here is a COPY that fails: the sink is dropped, not finished.
            sink.send(piece?).await.map_err(|error| classify(&error))?;
        }
        let copied = sink.finish().await.map_err(|error| classify(&error));
        self.is_busy = false;
        copied
    }

    async fn insert(&mut self, insert: &InsertFile) -> Result<u64> {
        let into = insert.into.clone();
        let mut statements = ahead(&insert.path, insert.gzip, move |text| {
            InsertStatements::new(text, &into, STATEMENT_BYTES)
        });
        let mut rows = 0;
        while let Some(statement) = statements.recv().await {
            rows += self.run(&statement?).await?.1;
        }
        Ok(rows)
    }
}

/// Reads a file on a thread that may wait for the disk, a piece ahead.
fn ahead<T: Send + 'static, I: Iterator<Item = Result<T>>>(
    path: &Path,
    gzip: bool,
    pieces: impl FnOnce(Box<dyn BufRead>) -> I + Send + 'static,
) -> mpsc::Receiver<Result<T>> {
    let (sender, receiver) = mpsc::channel(1);
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let file = match File::open(&path) {
            Ok(file) => BufReader::with_capacity(STATEMENT_BYTES, file),
            Err(error) => {
                let error = Error::new(ErrorKind::Terminal, "a file of the load is gone")
                    .with_source(error);
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        let text: Box<dyn BufRead> = match gzip {
            true => Box::new(BufReader::with_capacity(STATEMENT_BYTES, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        for piece in pieces(text) {
            if sender.blocking_send(piece).is_err() {
                break;
            }
        }
    });
    receiver
}

fn unreadable(error: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let is_damaged = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
    let kind = if is_damaged { ErrorKind::BadData } else { ErrorKind::Terminal };
    Error::new(kind, "a file of the load cannot be read").with_source(error)
}

#[async_trait]
impl Session for Connection {
    async fn begin(&mut self) -> Result<()> {
        self.run("BEGIN").await.map(drop)
    }

    async fn execute(&mut self, work: &Work) -> Result<u64> {
        match work {
            Work::Statement(statement) => {
                self.run(&statement.render(&PostgresDialect).0).await.map(|(_, changed)| changed)
            }
            Work::Copy(copy) => self.copy(copy).await,
            Work::Inserts(insert) => self.insert(insert).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "it does not know this work")),
        }
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        let answer = self.send("COMMIT").await.map(drop);
        answer.map_err(|error| match is_refused_commit(&error) {
            true => CommitError::Refused(classify(&error)),
            false => CommitError::Unclear(classify(&error)),
        })
    }

    async fn rollback(&mut self) -> Result<()> {
        self.run("ROLLBACK").await.map(drop)
    }
}

#[async_trait]
impl SqlClient for Postgres {
    fn identity(&self) -> String {
        let PostgresSettings { host, port, database, .. } = &self.0;
        format!("postgres://{host}:{port}/{database}")
    }

    // Whether the server answers, is new enough, and lets the user make schemas.
    async fn check(&self) -> Result<()> {
        let question = "SELECT current_setting('server_version_num')::int >= 150000, \
                        has_database_privilege(current_database(), 'CREATE')";
        let wrong = |what: &'static str| Err(Error::new(ErrorKind::Configuration, what));
        match self.query(&Statement::new(question)).await?.concat().as_slice() {
            [Some(new), _] if new == "f" => wrong("the server is older than PostgreSQL 15"),
            [_, Some(may)] if may == "f" => wrong("the user may not make a schema in the database"),
            _ => Ok(()),
        }
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>> {
        let (sql, _) = statement.render(&PostgresDialect);
        self.connect().await?.run(&sql).await.map(|(rows, _)| rows)
    }

    async fn execute(&self, statement: &Statement) -> Result<u64> {
        let (sql, _) = statement.render(&PostgresDialect);
        self.connect().await?.run(&sql).await.map(|(_, changed)| changed)
    }

    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>> {
        run_transaction(&mut self.connect().await?, transaction).await
    }
}
