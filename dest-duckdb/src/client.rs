//! The database: opened when it is needed, used by one statement or transaction at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use duckdb::types::Value;
use duckdb::{Connection, params_from_iter};
use flate2::bufread::MultiGzDecoder;
use transload_core::sql::{
    CommitError, InsertFile, InsertStatements, Parameter, Row, Session, SqlClient, Statement,
    Transaction, Work, run_transaction,
};
use transload_core::{Error, ErrorKind, Result, failpoint};

use crate::cancel::Ticket;
use crate::classify::{classify, is_fatal, is_refused_commit};
use crate::config::Config;
use crate::dialect::{CATALOG, DuckDbDialect};

/// The version that the library must be of: the file format and the reading of files were tried with it.
const VERSION: &str = "v1.5.";

/// The longest `INSERT` of an `insert_values` file: DuckDB parses a statement as a whole.
const STATEMENT_BYTES: usize = 1 << 20;

/// A database file, for one destination.
pub(crate) struct DuckDb {
    config: Config,
    /// [`canonical`].
    path: PathBuf,
    database: Arc<Database>,
}

impl fmt::Debug for DuckDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuckDb").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The databases of this process, by path. DuckDB's lock keeps out other processes and not this one: opened twice here,
/// a file would be damaged. So all destinations of one file share one connection, and it is closed by the last.
static DATABASES: LazyLock<Mutex<BTreeMap<PathBuf, Arc<Database>>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Database {
    users: AtomicUsize,
    connection: Mutex<Option<Connection>>,
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        self.database.users.fetch_sub(1, Ordering::SeqCst);
        self.database.close_if_unused();
    }
}

impl DuckDb {
    pub(crate) fn new(config: Config) -> Self {
        let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
        let path = canonical(&config.path);
        let database = Arc::clone(databases.entry(path.clone()).or_default());
        database.users.fetch_add(1, Ordering::SeqCst);
        Self { config, path, database }
    }

    /// Whether the file is there.
    pub(crate) fn exists(&self) -> bool {
        self.config.path.exists()
    }

    /// Runs a function on the connection, away from the threads that must not block. Where the future is dropped
    /// DuckDB is told to stop; the function ends its transaction all the same.
    async fn run<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut Open<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = Arc::clone(&self.database);
        let config = self.config.clone();
        let ticket = Ticket::new();
        let inside = ticket.clone();
        let _cancel_on_drop = ticket.cancel_on_drop();
        let task = tokio::task::spawn_blocking(move || {
            let result = database.run(&config, &inside, function);
            // Its last destination may have gone meanwhile.
            database.close_if_unused();
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) => {
                Err(Error::new(ErrorKind::Bug, "a database thread ended early").with_source(error))
            }
        }
    }
}

impl Database {
    fn run<T>(
        &self,
        config: &Config,
        ticket: &Ticket,
        function: impl FnOnce(&mut Open<'_>) -> Result<T>,
    ) -> Result<T> {
        // A thread that panicked has taken its connection with it.
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        ticket.check()?;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => open(config)?,
        };
        ticket.begin(connection.interrupt_handle());
        // It goes back only if all is well: a panic or a broken session closes it.
        let mut open = Open { connection, ticket, usable: true };
        let result = function(&mut open);
        ticket.end();
        if open.usable {
            *slot = Some(open.connection);
        }
        result.map_err(|error| error.with("database", config.path.display()))
    }

    /// Closes the file where no destination is left. Whoever is at work in it comes here afterwards.
    fn close_if_unused(&self) {
        if self.users.load(Ordering::SeqCst) == 0
            && let Ok(mut slot) = self.connection.try_lock()
        {
            slot.take();
        }
    }
}

/// The connection, while one function has it.
struct Open<'t> {
    connection: Connection,
    ticket: &'t Ticket,
    usable: bool,
}

impl Open<'_> {
    fn execute(&mut self, statement: &Statement) -> Result<u64> {
        let (sql, parameters) = statement.render(&DuckDbDialect);
        self.execute_sql(&sql, parameters)
    }

    fn execute_sql(&mut self, sql: &str, parameters: Vec<Parameter>) -> Result<u64> {
        self.ticket.check()?;
        let values = parameters.into_iter().map(value);
        let changed = self.connection.execute(sql, params_from_iter(values));
        changed.map(|rows| rows as u64).map_err(|error| self.failed(&error))
    }

    fn query(&mut self, statement: &Statement) -> Result<Vec<Row>> {
        let (sql, parameters) = statement.render(&DuckDbDialect);
        let rows = query(&self.connection, &sql, parameters);
        rows.map_err(|error| self.failed(&error))
    }

    fn insert_file(&mut self, insert: &InsertFile) -> Result<u64> {
        let unreadable = |error| {
            Error::new(ErrorKind::Terminal, "a file of the load cannot be opened")
                .with("file", insert.path.display())
                .with_source(error)
        };
        let file = BufReader::new(File::open(&insert.path).map_err(unreadable)?);
        let text: Box<dyn BufRead> = match insert.gzip {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let mut rows = 0;
        for statement in InsertStatements::new(text, &insert.into, STATEMENT_BYTES) {
            rows += self.execute_sql(&statement?, Vec::new())?;
        }
        Ok(rows)
    }

    fn failed(&mut self, error: &duckdb::Error) -> Error {
        if is_fatal(&error.to_string()) {
            self.usable = false;
        }
        classify(error)
    }

    /// What of the log has reached the disk is known only after reading it again.
    fn unclear(&mut self, error: Error) -> CommitError {
        self.usable = false;
        CommitError::Unclear(error)
    }
}

// The futures never wait: they are run on a thread that may block, so that the one way to run a transaction is the
// toolkit's.
#[async_trait]
impl Session for Open<'_> {
    async fn begin(&mut self) -> Result<()> {
        self.execute_sql("BEGIN TRANSACTION", Vec::new()).map(drop)
    }

    async fn execute(&mut self, work: &Work) -> Result<u64> {
        match work {
            Work::Statement(statement) => Open::execute(self, statement),
            Work::Inserts(insert) => self.insert_file(insert),
            _ => Err(Error::new(ErrorKind::Unsupported, "DuckDB does not know this work")),
        }
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        self.ticket.check().map_err(CommitError::Refused)?;
        passed(failpoint::before("COMMIT")).map_err(|error| self.unclear(error))?;
        match self.connection.execute("COMMIT", []) {
            Ok(_) => passed(failpoint::after("COMMIT")).map_err(|error| self.unclear(error)),
            Err(error) if is_refused_commit(&error.to_string()) => {
                Err(CommitError::Refused(self.failed(&error)))
            }
            Err(error) => Err(self.unclear(classify(&error))),
        }
    }

    async fn rollback(&mut self) -> Result<()> {
        match self.connection.execute("ROLLBACK", []) {
            Ok(_) => Ok(()),
            // An error in COMMIT has ended the transaction already.
            Err(error) if error.to_string().contains("no transaction is active") => Ok(()),
            Err(error) => {
                self.usable = false;
                Err(classify(&error))
            }
        }
    }
}

#[async_trait]
impl SqlClient for DuckDb {
    fn identity(&self) -> String {
        format!("duckdb:{}", self.path.display())
    }

    // Whether the file can be opened for writing, or could be made.
    async fn check(&self) -> Result<()> {
        let path = &self.config.path;
        if self.exists() {
            return self.run(|_| Ok(())).await;
        }
        let folder = folder_of(path);
        let metadata =
            std::fs::metadata(folder).map_err(|error| no_folder(path).with_source(error))?;
        if !metadata.is_dir() || metadata.permissions().readonly() {
            return Err(no_folder(path));
        }
        Ok(())
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>> {
        let statement = statement.clone();
        passed(failpoint::before("query"))?;
        let rows = self.run(move |open| open.query(&statement)).await?;
        passed(failpoint::after("query"))?;
        Ok(rows)
    }

    async fn execute(&self, statement: &Statement) -> Result<u64> {
        let statement = statement.clone();
        passed(failpoint::before("execute"))?;
        let changed = self.run(move |open| open.execute(&statement)).await?;
        passed(failpoint::after("execute"))?;
        Ok(changed)
    }

    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>> {
        let transaction = transaction.clone();
        let runtime = tokio::runtime::Handle::current();
        self.run(move |open| runtime.block_on(run_transaction(open, &transaction))).await
    }
}

/// What a test wants to have gone wrong is a connection that broke, which DuckDB has none of.
fn passed(point: std::io::Result<()>) -> Result<()> {
    point.map_err(|error| {
        Error::new(ErrorKind::Transient, "the connection broke").with_source(error)
    })
}

fn query(
    connection: &Connection,
    sql: &str,
    parameters: Vec<Parameter>,
) -> Result<Vec<Row>, duckdb::Error> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params_from_iter(parameters.into_iter().map(value)))?;
    let mut answer = Vec::new();
    while let Some(row) = rows.next()? {
        let columns = row.as_ref().column_count();
        answer.push((0..columns).map(|column| row.get(column)).collect::<Result<_, _>>()?);
    }
    Ok(answer)
}

fn value(parameter: Parameter) -> Value {
    match parameter {
        Parameter::Text(text) => Value::Text(text),
        Parameter::Integer(number) => Value::BigInt(number),
        // What a later version of the toolkit may add it will not send to this one.
        _ => Value::Null,
    }
}

fn open(config: &Config) -> Result<Connection> {
    let path = &config.path;
    let wrong_path = |reason| {
        Error::new(ErrorKind::Configuration, "the database cannot be opened")
            .with("database", path.display())
            .with("reason", reason)
    };
    if !folder_of(path).is_dir() {
        return Err(no_folder(path));
    }
    let text = path.to_str().ok_or_else(|| wrong_path("the path is not UTF-8"))?;
    let refused = |error: duckdb::Error| {
        let error = classify(&error).with("database", path.display());
        match error.kind() {
            ErrorKind::Transient | ErrorKind::Configuration => error,
            // A setting that it does not take, a file that is no database.
            _ => error.with_kind(ErrorKind::Configuration),
        }
    };
    // Nothing is downloaded while loading.
    let mut options =
        duckdb::Config::default().enable_autoload_extension(false).map_err(refused)?;
    if let Some(threads) = config.threads {
        options = options.threads(i64::from(threads)).map_err(refused)?;
    }
    if let Some(limit) = &config.memory_limit {
        options = options.max_memory(limit).map_err(refused)?;
    }
    let connection = Connection::open_in_memory_with_flags(options).map_err(refused)?;
    check_version(&connection)?;
    let quoted = text.replace('\'', "''");
    connection
        .execute_batch(&format!(
            "ATTACH '{quoted}' AS \"{CATALOG}\"; USE \"{CATALOG}\"; SET temp_directory = '{quoted}.tmp'",
        ))
        .map_err(refused)?;
    match connection.execute_batch("SET TimeZone = 'UTC'") {
        Err(error) if !error.to_string().contains("unrecognized configuration parameter") => {
            return Err(refused(error));
        }
        // A library without ICU knows no time zones: it is in UTC.
        _ => {}
    }
    Ok(connection)
}

fn check_version(connection: &Connection) -> Result<()> {
    let version = connection.version().map_err(|error| classify(&error))?;
    if version.starts_with(VERSION) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Configuration, "the DuckDB library is of another version")
        .with("found", version)
        .with("needed", format!("{VERSION}x"))
        .with_hint(
            "point DUCKDB_LIB_DIR, or the search path of the loader, to libduckdb of DuckDB 1.5.5",
        ))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn no_folder(path: &Path) -> Error {
    Error::new(
        ErrorKind::Configuration,
        "the folder of the database is not there, or not to write to",
    )
    .with("database", path.display())
    .with_hint("make the folder, or set `database` to another path")
}

/// One path for all names of a file, the same before and after the file and its folder are made.
fn canonical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let resolved = absolute.ancestors().find_map(|known| {
        let rest = absolute.strip_prefix(known).ok()?;
        let known = known.canonicalize().ok()?;
        // Joined with nothing, a path would get a slash at its end.
        Some(if rest == Path::new("") { known } else { known.join(rest) })
    });
    resolved.unwrap_or(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_one_place_under_all_its_names_and_at_all_times() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let at = |path: PathBuf| {
            DuckDb::new(Config { path, threads: None, memory_limit: None }).identity()
        };
        let place = format!("duckdb:{}", folder.join("new/x.duckdb").display());
        assert_eq!(at(folder.join("new/x.duckdb")), place);
        std::fs::create_dir(folder.join("new")).unwrap();
        assert_eq!(at(folder.join("new/../new/x.duckdb")), place);
        std::fs::write(folder.join("new/x.duckdb"), "").unwrap();
        assert_eq!(at(folder.join("new/x.duckdb")), place);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.join("new"), folder.join("link")).unwrap();
            assert_eq!(at(folder.join("link/x.duckdb")), place);
        }
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(at("y.duckdb".into()), format!("duckdb:{}", here.join("y.duckdb").display()));
    }
}
