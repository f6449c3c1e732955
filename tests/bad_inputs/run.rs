//! One input through the binary, within bounds of time and memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::index::Entry;

/// A run that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// A run that takes more memory is ended before the machine suffers.
const MOST_MEBIBYTES: u64 = 2048;

/// What a run left and said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) exit: Option<i32>,
    /// The document on stdout.
    pub(crate) result: Json,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) aside: Vec<Aside>,
    /// Rows by table.
    pub(crate) tables: BTreeMap<String, u64>,
    /// The most memory that it had, in MiB; none where the system does not say.
    pub(crate) mebibytes: Option<u64>,
    /// Loads that are sealed and not published.
    pub(crate) pending: usize,
    folder: Folder,
}

/// A row set aside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) line: u64,
    pub(crate) offset: u64,
    pub(crate) code: String,
    pub(crate) file: String,
    pub(crate) reason: String,
    pub(crate) bytes: Vec<u8>,
}

/// A folder with the configuration, and a database in which there is a table already.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder for temporary files"));
        fs::create_dir(folder.path().join("home")).expect("a home folder");
        folder.write(
            ".transload/config.toml",
            b"[destination.filesystem]\nbucket_url = \"staged\"\n\n[destination.duckdb]\ncredentials = \"x.duckdb\"\n",
        );
        folder.write("x.duckdb", with_users());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    /// The binary, with nothing of the environment of the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transload"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path().join("home"))
            .stdin(std::process::Stdio::null())
            .stdout(File::create(self.path().join("stdout")).expect("a file"))
            .stderr(File::create(self.path().join("stderr")).expect("a file"));
        command
    }

    /// What a query answers, as text; none where it answers NULL.
    pub(crate) fn ask(&self, sql: &str) -> Option<String> {
        let database = self.database();
        let sql = format!("SELECT CAST(({sql}) AS VARCHAR)");
        database
            .query_row(&sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) fn database(&self) -> duckdb::Connection {
        let database =
            duckdb::Connection::open(self.path().join("x.duckdb")).expect("the database opens");
        database.execute_batch("SET TimeZone = 'UTC'; SET search_path = 'lake'").expect("settings");
        database
    }

    /// Runs a command to its end.
    pub(crate) fn run(self, mut command: Command) -> Seen {
        let child = command.spawn().expect("the binary can be started");
        let (exit, mebibytes) = watch(child);
        let text = |name| fs::read(self.path().join(name)).expect("what was printed");
        let stdout = String::from_utf8(text("stdout")).expect("stdout is UTF-8");
        let stderr = String::from_utf8(text("stderr")).expect("stderr is UTF-8");
        let result = serde_json::from_str(&stdout).unwrap_or_default();
        let tables = self.tables();
        let aside = aside(&result);
        let pipelines = self.path().join("home/.transload/pipelines");
        let pending = fs::read_dir(pipelines.join("p/loads")).map_or(0, Iterator::count);
        Seen { exit, result, stdout, stderr, aside, tables, mebibytes, pending, folder: self }
    }

    fn tables(&self) -> BTreeMap<String, u64> {
        let database = self.database();
        let names: Vec<String> = database
            .prepare("SELECT table_name FROM information_schema.tables WHERE table_schema = 'lake' AND NOT starts_with(table_name, '_')")
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .expect("the tables");
        drop(database);
        let count = |name: &String| {
            let rows = self.ask(&format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\"")));
            rows.and_then(|rows| rows.parse().ok()).expect("a number of rows")
        };
        names.iter().map(|name| (name.clone(), count(name))).collect()
    }
}

impl Seen {
    pub(crate) fn into_folder(self) -> Folder {
        self.folder
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A part of the error's context.
    pub(crate) fn context(&self, key: &str) -> Option<&str> {
        let pairs = self.result["error"]["context"].as_array()?;
        pairs.iter().find(|pair| pair[0] == key).and_then(|pair| pair[1].as_str())
    }
}

/// A database with a table that no input may harm.
fn with_users() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let path = folder.path().join("users.duckdb");
        let database = duckdb::Connection::open(&path).expect("a database");
        database
            .execute_batch(
                "CREATE SCHEMA lake; CREATE TABLE users (n INT); CREATE TABLE lake.users (n INT); \
                 INSERT INTO users VALUES (7); INSERT INTO lake.users VALUES (7); CHECKPOINT",
            )
            .expect("the tables");
        drop(database);
        fs::read(path).expect("the database")
    })
}

/// Runs an input with this many workers.
pub(crate) fn run(entry: &Entry, input: &[u8], workers: &str) -> Seen {
    let folder = Folder::new();
    let name = entry.name();
    let quoted = Json::from(name);
    let mut file = "pipeline_name = \"p\"\ndestination = \"duckdb\"\nstaging = \"filesystem\"\ndataset_name = \"lake\"\nprogress = \"off\"\n".to_owned();
    if let Some(before) = &entry.before {
        folder.write("before.jsonl", before.rows.as_bytes());
        file +=
            &format!("[[resources]]\ntable = \"{}\"\nsource = \"before.jsonl\"\n", before.table);
    }
    file += &format!("[[resources]]\ntable = \"t\"\nsource = {quoted}\n");
    for line in &entry.resource.lines {
        file += &format!("{line}\n");
    }
    for (column, data_type) in &entry.resource.columns {
        file += &format!("columns.{column} = {{ data_type = \"{data_type}\" }}\n");
    }
    folder.write("pipeline.toml", file.as_bytes());
    folder.write(name, input);
    let mut command = folder.command(&["run", "pipeline.toml", "--output", "json"]);
    command.env("NORMALIZE__WORKERS", workers).envs(&entry.resource.settings);
    if let Some(naming) = &entry.naming {
        command.env("SCHEMA__NAMING", naming);
    }
    folder.run(command)
}

/// Waits for the end of a process; looks meanwhile at its memory.
fn watch(mut child: Child) -> (Option<i32>, Option<u64>) {
    let begun = Instant::now();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = None;
    loop {
        most = most.max(peak(&status));
        if let Some(exit) = child.try_wait().expect("the process can be waited for") {
            return (exit.code(), most);
        }
        if begun.elapsed() > DEADLINE || most.is_some_and(|most| most > MOST_MEBIBYTES) {
            child.kill().expect("the process can be ended");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The most memory that a process had so far, in MiB. What it has mapped of its program and libraries does not count: how
/// much of these files is in memory is the kernel's choice, and no input makes it more.
fn peak(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let kibibytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(kibibytes("VmHWM:")?.saturating_sub(kibibytes("RssFile:")?) / 1024)
}

/// The rows that the receipts say were set aside, read from their files.
fn aside(result: &Json) -> Vec<Aside> {
    let mut all = Vec::new();
    for load in result["loads"].as_array().into_iter().flatten() {
        let Some(package) = load["package"].as_str().map(Path::new) else { continue };
        for table in load["set_aside"].as_array().into_iter().flatten() {
            let reasons = table["reasons"].as_str().expect("a file of reasons");
            let text = fs::read_to_string(package.join(reasons)).expect("the reasons");
            let mut kept: BTreeMap<String, (Vec<u8>, usize)> = BTreeMap::new();
            for line in text.lines() {
                let reason: Json = serde_json::from_str(line).expect("a reason is JSON");
                let rows = reason["rows"].as_str().expect("the file of the row").to_owned();
                let length = reason["bytes"].as_u64().expect("a length") as usize;
                let (bytes, at) = kept.entry(rows).or_insert_with_key(|rows| {
                    let bytes = fs::read(package.join("set_aside").join(rows)).expect("the rows");
                    let header = match rows.ends_with("sv") {
                        true => bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1),
                        false => 0,
                    };
                    (bytes, header)
                });
                all.push(Aside {
                    line: reason["line"].as_u64().expect("a line"),
                    offset: reason["offset"].as_u64().expect("an offset"),
                    code: reason["code"].as_str().expect("a code").to_owned(),
                    file: reason["file"].as_str().expect("a file").to_owned(),
                    reason: reason["reason"].as_str().expect("a reason").to_owned(),
                    bytes: bytes[*at..*at + length].to_vec(),
                });
                assert_eq!(bytes.get(*at + length), Some(&b'\n'), "a row ends with its line");
                *at += length + 1;
            }
            for (name, (bytes, at)) in &kept {
                assert_eq!(bytes.len(), *at, "{name} holds only rows that have a reason");
            }
            assert_eq!(table["rows"].as_u64(), Some(text.lines().count() as u64));
        }
    }
    all
}
