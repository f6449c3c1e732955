//! What is measured: each system with the command that does the work.

use std::path::Path;
use std::process::Command;

use crate::workspace::Workspace;

/// How far the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// To files of Parquet.
    Normalise,
    /// Into the tables of a DuckDB file.
    Load,
}

#[derive(Clone, Debug)]
pub(super) struct System {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Threads or processes; none for as many as the system takes by itself.
    workers: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Transload { part: Part, is_staged: bool },
    Dlt { part: Part, reader: &'static str },
    DuckDb(&'static str),
}

impl System {
    fn new(name: &str, kind: Kind, workers: Option<usize>) -> Self {
        let name = match workers {
            Some(1) => format!("{name}, 1 worker"),
            Some(workers) => format!("{name}, {workers} workers"),
            None => name.to_owned(),
        };
        Self { name, kind, workers }
    }

    /// The command; everything that it leaves behind is below `scratch`.
    pub(super) fn command(
        &self,
        workspace: &Workspace,
        program: &Path,
        python: &Path,
        input: &Path,
        scratch: &Path,
    ) -> Command {
        let mut command = match &self.kind {
            Kind::Transload { part, is_staged } => {
                transload(program, *part, *is_staged, self.workers, input, scratch)
            }
            Kind::Dlt { part, reader } => {
                let mut command = script(workspace, python, "dlt_peer.py", input, scratch);
                let until = if *part == Part::Normalise { "normalise" } else { "load" };
                command.args(["--until", until, "--reader", reader]);
                command.args(["--workers", &self.workers.unwrap_or(1).to_string()]);
                command
            }
            Kind::DuckDb(mode) => {
                let mut command = script(workspace, python, "duckdb_peer.py", input, scratch);
                command.args(["--mode", mode]);
                if let Some(threads) = self.workers {
                    command.args(["--threads", &threads.to_string()]);
                }
                command
            }
        };
        // No configuration of the user's takes part.
        command.current_dir(scratch).env("HOME", scratch);
        command
    }
}

/// A run of `transload` over a file of events; it prints its receipt.
pub(super) fn transload(
    program: &Path,
    part: Part,
    is_staged: bool,
    workers: Option<usize>,
    input: &Path,
    scratch: &Path,
) -> Command {
    let mut command = Command::new(program);
    command.args(["run", "--pipeline-name", "bench", "--dataset-name", "bench"]);
    command.args(["--table", "events", "--loader-file-format", "parquet", "--source"]).arg(input);
    command.args(["--progress", "off", "--output", "json", "--pipelines-dir"]);
    command.arg(scratch.join("pipelines"));
    match part {
        Part::Normalise => command.args(["--destination", "filesystem"]),
        Part::Load => command.args(["--destination", "duckdb"]),
    };
    if is_staged {
        command.args(["--staging", "filesystem"]);
    }
    command.env("DESTINATION__FILESYSTEM__BUCKET_URL", scratch.join("staged"));
    command.env("DESTINATION__DUCKDB__CREDENTIALS", scratch.join("loaded.duckdb"));
    if let Some(workers) = workers {
        command.env("NORMALIZE__WORKERS", workers.to_string());
    }
    command
}

fn script(
    workspace: &Workspace,
    python: &Path,
    name: &str,
    input: &Path,
    scratch: &Path,
) -> Command {
    let mut command = Command::new(python);
    command.arg(workspace.root().join("xtask/bench").join(name));
    command.arg("--input").arg(input).arg("--work").arg(scratch);
    command
}

/// The systems of a comparison. The first one is what the others are held against.
pub(super) fn systems(part: Part, workers: Option<usize>) -> Vec<System> {
    let transload =
        |name, is_staged, workers| System::new(name, Kind::Transload { part, is_staged }, workers);
    let duckdb = |name, mode| System::new(name, Kind::DuckDb(mode), None);
    let dlt = |workers| System::new("dlt", Kind::Dlt { part, reader: "orjson" }, Some(workers));
    let dlt_source =
        |workers| System::new("dlt, its source", Kind::Dlt { part, reader: "dlt" }, Some(workers));
    match part {
        Part::Normalise => vec![
            transload("transload", false, workers),
            transload("transload", false, Some(1)),
            dlt(1),
            dlt(2),
            dlt_source(1),
            dlt_source(2),
            duckdb("duckdb, one nested file", "copy"),
            duckdb("duckdb, a file a table", "parquet"),
        ],
        Part::Load => vec![
            transload("transload, staged", true, workers),
            transload("transload, direct", false, workers),
            dlt(1),
            dlt(2),
            dlt_source(1),
            dlt_source(2),
            duckdb("duckdb, through Parquet", "staged"),
            duckdb("duckdb, direct", "tables"),
            duckdb("duckdb, one nested table", "nested"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_systems_have_one_name() {
        for part in [Part::Normalise, Part::Load] {
            for workers in [None, Some(2)] {
                let systems = systems(part, workers);
                let mut names: Vec<&str> =
                    systems.iter().map(|system| system.name.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), systems.len());
            }
        }
    }
}
