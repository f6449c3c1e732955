//! A folder of its own for each test, with the binary, its configuration and a look at what it left.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

/// Three players, with nested objects and lists.
pub(crate) const PLAYERS: &str = r#"{"id": 1, "name": "Tal", "born": {"city": "Riga"}, "titles": ["GM", "WC"]}
{"id": 2, "name": "Polgár", "titles": ["GM"], "games": [{"round": 1, "moves": ["e4", "c5"]}]}
{"id": 3, "name": "Philidor"}
"#;

/// Where a run goes by flags: through staging into DuckDB.
pub(crate) const THROUGH_STAGING: [&str; 8] = [
    "--pipeline-name",
    "chess",
    "--destination",
    "duckdb",
    "--staging",
    "filesystem",
    "--dataset-name",
    "lake",
];

pub(crate) const PLAYERS_FILE: [&str; 4] = ["--table", "players", "--source", "players.jsonl"];

pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A folder with the players and a configuration.
    pub(crate) fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.write("players.jsonl", PLAYERS);
        sandbox.write(
            ".transload/config.toml",
            "[destination.filesystem]\nbucket_url = \"staged\"\n\n[destination.duckdb]\ncredentials = \"players.duckdb\"\n",
        );
        sandbox
    }

    /// A folder with nothing but an empty home.
    pub(crate) fn empty() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().expect("a folder for temporary files") };
        fs::create_dir(sandbox.path("home")).expect("a home folder");
        sandbox
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// The binary, with nothing of the environment of the tests.
    pub(crate) fn command(&self) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_transload"));
        command.current_dir(self.folder.path()).env_clear().env("HOME", self.path("home"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command().args(arguments))
    }

    /// Runs the players through staging into DuckDB, with these flags besides.
    pub(crate) fn load_players(&self, more: &[&str]) -> Ran {
        self.run(&[&["run"], &THROUGH_STAGING[..], &PLAYERS_FILE, more].concat())
    }

    /// One number out of the database.
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let database =
            duckdb::Connection::open(self.path("players.duckdb")).expect("the database opens");
        database
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The files below a folder, as paths from there, sorted.
    pub(crate) fn files(&self, below: &str) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, into: &mut Vec<String>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    walk(&path, root, into);
                } else {
                    into.push(path.strip_prefix(root).expect("below").display().to_string());
                }
            }
        }
        let root = self.path(below);
        let mut files = Vec::new();
        walk(&root, &root, &mut files);
        files.sort();
        files
    }

    /// A text with what differs from run to run replaced: this folder, load ids, times and hashes.
    pub(crate) fn normalised(&self, text: &str) -> String {
        let canonical = self.folder.path().canonicalize().expect("the folder is there");
        let text = text.replace(&canonical.display().to_string(), "<folder>");
        let text = text.replace(&self.folder.path().display().to_string(), "<folder>");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            out.push_str(&rest[..at]);
            let number_ends = |text: &str| {
                text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len())
            };
            let (number, after) = rest[at..].split_at(number_ends(&rest[at..]));
            match (number.split_once('.'), after.starts_with(" s")) {
                (Some((seconds, _)), false) if seconds.len() == 10 => out.push_str("<load>"),
                (Some(_), true) => out.push_str("<time>"),
                _ => out.push_str(number),
            }
            rest = after;
        }
        out + rest
    }
}

impl Ran {
    pub(crate) fn of(command: &mut assert_cmd::Command) -> Self {
        let output = command.output().expect("the binary can be started");
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// The same, if it ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }

    /// Whether stdout has each of these.
    #[track_caller]
    pub(crate) fn prints(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stdout.contains(part), "`{part}` is not in:\n{}", self.stdout);
        }
    }

    /// Whether stderr has each of these, in this order.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        let mut rest = self.stderr.as_str();
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => panic!("`{part}` is not in, or not in its place in:\n{}", self.stderr),
            }
        }
    }
}
