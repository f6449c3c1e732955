//! The conformance suite on a PostgreSQL of its own, which is gone with the test.

use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use async_trait::async_trait;
use example_dest_postgres::{PostgresDestination, create};
use tempfile::TempDir;
use transload_core::conformance::{CANARY, CaseFuture, Harness, conformance};
use transload_core::settings::Settings;
use transload_core::sql::{Row, SqlClient as _, Statement, double_quoted};
use transload_core::{Column, DataType, Dataset, Destination, Error, ErrorKind, Result};

const PASSWORD: &str = "the-password-of-the-suite";

/// A server that runs, in a folder of its own.
struct Server {
    process: u32,
    port: String,
    reader: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Server {
    fn start() -> Result<Self> {
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Configuration, "PostgreSQL could not be started")
                .with_hint("install PostgreSQL 15 (Debian: postgresql-15)")
                .with_source(error)
        };
        Self::make(&programs().map_err(failed)?).map_err(failed)
    }

    fn make(programs: &Path) -> io::Result<Self> {
        let folder = TempDir::with_prefix("transload-postgres-")?;
        let (data, password) = (folder.path().join("data"), folder.path().join("password"));
        std::fs::write(&password, PASSWORD)?;
        let is_root = folder.path().metadata()?.uid() == 0;
        if is_root {
            finish(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()))?;
        }
        let mut initdb = unprivileged(is_root, &programs.join("initdb"));
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password);
        // Not SCRAM, whose thousands of hashes for each session take long where nothing is optimised.
        initdb.args(["-U", "loader", "--auth=md5", "-E", "UTF8", "--no-locale", "-N"]);
        finish(&mut initdb)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port().to_string();
        let mut postgres = unprivileged(is_root, &programs.join("postgres"));
        postgres.arg("-D").arg(&data).args(["-p", &port, "-F", "-h", "127.0.0.1", "-k", ""]);
        let (tell, told) = mpsc::channel();
        // The server ends with the thread that starts it, so that thread stays to read what it says.
        let reader = std::thread::spawn(move || {
            let answer = serve(&mut postgres, &tell);
            let _ = tell.send(Err(answer));
        });
        let process = told.recv().map_err(io::Error::other)??;
        Ok(Self { process, port, reader: Some(reader), _folder: folder })
    }

    fn open(&self, password: &str) -> Result<PostgresDestination> {
        create(&Settings::from_pairs(
            "postgres",
            &[
                ("host", "127.0.0.1"),
                ("port", &self.port),
                ("database", "postgres"),
                ("username", "loader"),
                ("password", password),
            ],
        ))
    }

    /// Each time by a session of its own, as the destination has it.
    async fn look(&self, query: &str) -> Result<Vec<Row>> {
        self.open(PASSWORD)?.client().query(&Statement::new(query)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, and with all its processes, which a KILL would leave behind.
        let _ = Command::new("sh").arg("-c").arg(format!("kill -INT {}", self.process)).status();
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

/// Runs a server to its end, tells its number when it is ready, and returns why it ended.
fn serve(postgres: &mut Command, tell: &Sender<io::Result<u32>>) -> io::Error {
    let mut process = match postgres.stdin(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(process) => process,
        Err(error) => return error,
    };
    let log = process.stderr.take().expect("it was asked for");
    let mut said = String::new();
    for line in BufReader::new(log).split(b'\n').map_while(io::Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if line.ends_with("database system is ready to accept connections") {
            let _ = tell.send(Ok(process.id()));
            said.clear();
        }
        said.push_str(&format!("{line}\n"));
    }
    let _ = process.wait();
    io::Error::other(said)
}

/// A program run by a user that PostgreSQL accepts, and that ends when this process does.
fn unprivileged(is_root: bool, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    // Its working folder must be one that it may enter.
    command.arg("--").arg(program).current_dir("/");
    command
}

fn finish(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(io::Error::other(said)) }
}

/// Where the programs of PostgreSQL are: Debian keeps them apart by version.
fn programs() -> io::Result<PathBuf> {
    let debian = PathBuf::from("/usr/lib/postgresql/15/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::iter::once(debian).chain(std::env::split_paths(&path));
    folders
        .find(|folder| folder.join("initdb").is_file())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no initdb"))
}

#[async_trait]
impl Harness for Server {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        Ok(Arc::new(self.open(PASSWORD)?))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(self.open(CANARY).ok()?))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let text = |column: &Column| match column.data_type {
            Some(DataType::Binary) => format!("encode({}, 'hex')", double_quoted(&column.name)),
            _ => double_quoted(&column.name),
        };
        let columns: Vec<String> = columns.iter().map(text).collect();
        let (dataset, table) = (double_quoted(dataset), double_quoted(table));
        self.look(&format!("SELECT {} FROM {dataset}.{table}", columns.join(", "))).await
    }

    async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        let dataset = dataset.replace('\'', "''");
        let query = format!("SELECT tablename FROM pg_tables WHERE schemaname = '{dataset}'");
        Ok(self.look(&query).await?.into_iter().flatten().flatten().collect())
    }

    async fn remove(&self, dataset: &Dataset) -> Result<()> {
        for name in [&dataset.name, &dataset.staging] {
            self.look(&format!("DROP SCHEMA IF EXISTS {} CASCADE", double_quoted(name))).await?;
        }
        Ok(())
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(case);
    }
}

fn main() -> ExitCode {
    conformance(Server::start)
}
