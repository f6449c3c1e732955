//! The Python environment with dlt in it.

use std::path::PathBuf;
use std::process::Command;

use crate::digest;
use crate::failure::{Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = "xtask/parity/requirements.txt";

/// Its Python, installed in the user's cache if it is not there yet. Other requirements make
/// another environment.
pub(super) fn python(workspace: &Workspace) -> Outcome<PathBuf> {
    let requirements = workspace.root().join(REQUIREMENTS);
    let checksum = digest::sha256_hexadecimal(&requirements)?;
    let environment = workspace.cache()?.join("parity").join(format!("python-{}", &checksum[..16]));
    let python = environment.join("bin").join("python");
    if python.is_file() {
        return Ok(python);
    }
    if !process::available("python3") {
        return Err(Failure::new("dlt is a Python package, and Python is not there")
            .with_hint("install python3 (3.10 or later) with its modules venv and pip"));
    }
    eprintln!("parity: installing dlt into {}", environment.display());
    // The environment is moved when it is whole. Its `python` goes on working, which finds its
    // packages beside itself; the other programs in it are not used.
    folder::replace(&environment, |folder| {
        process::output(Command::new("python3").args(["-m", "venv"]).arg(folder)).map_err(
            |_| {
                Failure::new("`python3 -m venv` does not work here")
                    .with_hint("install Python's modules venv and ensurepip (Debian: python3-venv)")
            },
        )?;
        let python = folder.join("bin").join("python");
        process::output(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--requirement"])
                .arg(&requirements),
        )?;
        // What is missing among the pinned packages shows here and not in the middle of a run.
        let imports = "import dlt, duckdb, pyarrow.parquet, tomlkit, dlt.destinations";
        process::output(Command::new(&python).args(["-c", imports])).map(|_| ())
    })?;
    Ok(python)
}
