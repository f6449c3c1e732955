//! The PostgreSQL behind the proxy: made in a temporary folder, run by an unprivileged user, gone with this process.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls};

/// The database.
pub(crate) const DATABASE: &str = "dev";

/// The user that owns everything; it logs in by the socket in the folder only.
const ADMIN: &str = "stand_in";

/// The group of users that may make schemas.
pub(crate) const GROUP: &str = "loaders";

/// The user of the system that Debian's package makes.
const SYSTEM_USER: &str = "postgres";

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// A server that runs.
pub(crate) struct Postgres {
    child: Child,
    folder: TempDir,
    /// Where it listens, on loopback.
    pub(crate) port: u16,
}

impl Postgres {
    /// Makes a server with the programs in this folder, and waits until it answers.
    pub(crate) async fn start(programs: &Path, password: &str) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("transload-redshift-").tempdir()?;
        let is_root = owner(folder.path())? == 0;
        if is_root {
            run(Command::new("chown").arg(SYSTEM_USER).arg(folder.path())).await?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let data = folder.path().join("data");
        let mut initdb = unprivileged(is_root, &programs.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            ADMIN,
            "--auth=trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        run(&mut initdb).await?;
        let hba = "local all all trust\nhost all all 127.0.0.1/32 md5\n";
        tokio::fs::write(data.join("pg_hba.conf"), hba).await?;
        let mut server = unprivileged(is_root, &programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=127.0.0.1"]);
        server.arg("-c").arg(format!("port={port}"));
        server.arg("-c").arg(format!("unix_socket_directories={}", folder.path().display()));
        for setting in [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "password_encryption=md5",
            "timezone=UTC",
            "max_connections=200",
            // A snapshot for each transaction, and a conflict where two change one row.
            "default_transaction_isolation=repeatable read",
        ] {
            server.args(["-c", setting]);
        }
        let child = server.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        let mut postgres = Self { child, folder, port };
        postgres.prepare(password).await?;
        Ok(postgres)
    }

    async fn prepare(&mut self, password: &str) -> io::Result<()> {
        let began = std::time::Instant::now();
        let client = loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("postgres ended while it started: {status}")));
            }
            match self.connect("postgres").await {
                Ok(client) => break client,
                Err(error) if began.elapsed() > START => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let password = password.replace('\'', "''");
        run_sql(&client, &format!("CREATE DATABASE {DATABASE}")).await?;
        let client = self.connect(DATABASE).await?;
        run_sql(&client, include_str!("init.sql")).await?;
        run_sql(
            &client,
            &format!(
                "CREATE ROLE loader LOGIN PASSWORD '{password}'; CREATE ROLE reader LOGIN PASSWORD '{password}'; \
                 CREATE ROLE {GROUP}; GRANT CREATE ON DATABASE {DATABASE} TO loader, {GROUP}; \
                 ALTER DATABASE {DATABASE} SET search_path = redshift, pg_catalog, public; \
                 ALTER DATABASE {DATABASE} SET standard_conforming_strings = off; \
                 ALTER DATABASE {DATABASE} SET escape_string_warning = off"
            ),
        )
        .await
    }

    /// A connection of the owner, for what is kept apart from transactions.
    pub(crate) async fn admin(&self) -> io::Result<Client> {
        self.connect(DATABASE).await
    }

    async fn connect(&self, database: &str) -> io::Result<Client> {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(self.folder.path())
            .port(self.port)
            .user(ADMIN)
            .dbname(database)
            .connect(NoTls)
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Ends the server: at once, with what it is doing.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        if let Some(process) = self.child.id() {
            run(Command::new("sh").arg("-c").arg(format!("kill -INT {process}"))).await?;
        }
        self.child.wait().await.map(drop)
    }
}

/// A program run by a user that PostgreSQL accepts, and that ends when this process does.
fn unprivileged(is_root: bool, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root {
        command.args(["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--clear-groups"]);
    }
    // Its working folder must be one that it may enter.
    command.arg("--").arg(program).current_dir("/");
    command
}

fn owner(folder: &Path) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata(folder)?.uid())
}

async fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{:?}: {} {said}", command.as_std(), output.status)))
}

async fn run_sql(client: &Client, sql: &str) -> io::Result<()> {
    client.batch_execute(sql).await.map_err(|error| match error.as_db_error() {
        Some(said) => io::Error::other(format!("{}: {}", said.code().code(), said.message())),
        None => io::Error::other(error),
    })
}

/// Where the programs of PostgreSQL are: Debian keeps them apart by version.
pub(crate) fn programs() -> io::Result<PathBuf> {
    let debian = PathBuf::from("/usr/lib/postgresql/15/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(debian).chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "PostgreSQL is not installed: Debian's package is postgresql-15",
        )
    })
}
