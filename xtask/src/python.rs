//! Python environments in the user's cache: dlt and DuckDB's Python package, for what is held against them, and what the
//! stand-in for Snowflake runs on.

use std::path::PathBuf;
use std::process::Command;

use crate::digest;
use crate::failure::{Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

/// What is installed, with all versions: the figures and the parity cases are about these.
const REQUIREMENTS: &str = "xtask/requirements.txt";

/// The path of the Python that has dlt.
pub(crate) fn python(workspace: &Workspace) -> Outcome<PathBuf> {
    let imports = "import dlt, duckdb, pyarrow.parquet, tomlkit, dlt.destinations";
    environment(workspace, REQUIREMENTS, "dlt and DuckDB", imports)
}

/// The path of the Python of an environment with these requirements, installed in the user's cache if it is not there
/// yet. Other requirements make another environment.
pub(crate) fn environment(
    workspace: &Workspace,
    requirements: &str,
    what: &str,
    imports: &str,
) -> Outcome<PathBuf> {
    let requirements = workspace.root().join(requirements);
    let checksum = digest::sha256_hexadecimal(&requirements)?;
    let environment = workspace.cache()?.join("python").join(&checksum[..16]);
    let python = environment.join("bin").join("python");
    // Python's environments do not like to be moved, so it is filled in place; the mark says that it is whole.
    let mark = environment.join("installed");
    if mark.is_file() {
        return Ok(python);
    }
    if !process::available("python3") {
        return Err(Failure::new(format!("{what} are Python packages, and Python is not there"))
            .with_hint("install python3 (3.10 or later) with its modules venv and pip"));
    }
    eprintln!("python: installing {what} into {}", environment.display());
    folder::remove(&environment)?;
    process::output(Command::new("python3").args(["-m", "venv"]).arg(&environment)).map_err(
        |_| {
            Failure::new("`python3 -m venv` does not work here")
                .with_hint("install Python's modules venv and ensurepip (Debian: python3-venv)")
        },
    )?;
    process::output(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--requirement"])
            .arg(&requirements),
    )?;
    // What is missing among the pinned packages shows here and not in the middle of a run.
    process::output(Command::new(&python).args(["-c", imports]))?;
    // Without its byte code Python compiles all of it at every start, which would be held against dlt.
    process::output(
        Command::new(&python).args(["-m", "compileall", "-q"]).arg(environment.join("lib")),
    )?;
    std::fs::write(&mark, checksum)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", mark.display())))?;
    Ok(python)
}
