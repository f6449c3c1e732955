//! Files out of npm packages, fetched by npm itself and checked against a pinned checksum.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::digest;
use crate::failure::{Context, Failure, Outcome};
use crate::process;

/// One version of a package, byte for byte.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The SHA-512 of the tarball in base64: `npm view NAME@VERSION dist.integrity`.
    pub(crate) sha512: &'static str,
}

impl Package {
    /// What npm calls this version.
    pub(crate) fn specification(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Unpacks some files of a package into a folder, without the folders that they have in it.
///
/// `instead` says what a user without npm can do.
pub(crate) fn unpack(package: &Package, files: &[&str], into: &Path, instead: &str) -> Outcome {
    needs_npm(package, instead)?;
    let download = into.join("download");
    fs::create_dir_all(&download).context(|| format!("cannot create {}", download.display()))?;
    let tarball = pack(package, &download)?;
    check(package, &tarball)?;
    for file in files {
        // Folders inside the package fall away, and with them any path that could lead elsewhere.
        let depth = file.split('/').count();
        process::output(
            Command::new("tar")
                .arg("-xmf")
                .arg(&tarball)
                .arg("-C")
                .arg(into)
                .arg("--no-same-owner")
                .arg(format!("--strip-components={depth}"))
                .arg(format!("package/{file}")),
        )?;
    }
    fs::remove_dir_all(&download).context(|| format!("cannot remove {}", download.display()))
}

/// Installs a package into a folder, with the packages that it needs. These are the newest that fit, whose checksums npm
/// itself takes from the registry; none of their scripts run.
pub(crate) fn install(package: &Package, into: &Path) -> Outcome {
    needs_npm(package, "")?;
    let download = into.join("download");
    fs::create_dir_all(&download).context(|| format!("cannot create {}", download.display()))?;
    let tarball = pack(package, &download)?;
    check(package, &tarball)?;
    process::output(
        Command::new("npm")
            .current_dir(into)
            .args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--prefix")
            .arg(into)
            .arg(&tarball),
    )?;
    fs::remove_dir_all(&download).context(|| format!("cannot remove {}", download.display()))
}

fn needs_npm(package: &Package, instead: &str) -> Outcome {
    if process::available("npm") {
        return Ok(());
    }
    Err(Failure::new(format!("{} needs npm, which is not there", package.name))
        .with_hint(format!("install Node.js, which brings npm{instead}")))
}

fn pack(package: &Package, download: &Path) -> Outcome<PathBuf> {
    process::output(
        Command::new("npm")
            .current_dir(download)
            .args(["pack", "--silent", "--pack-destination"])
            .arg(download)
            .arg(package.specification()),
    )?;
    let tarball = fs::read_dir(download)
        .context(|| format!("cannot list {}", download.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    tarball.ok_or_else(|| {
        Failure::new(format!("npm packed no tarball for {}", package.specification()))
            .with_hint(format!("see what `npm pack {}` says", package.specification()))
    })
}

fn check(package: &Package, tarball: &Path) -> Outcome {
    let found = digest::sha512_base64(tarball)?;
    if found == package.sha512 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is not the package that was pinned\n  pinned  sha512-{}\n  fetched sha512-{found}",
        package.specification(),
        package.sha512
    ))
    .with_hint("do not use it; find out which of the registry, a mirror or the pin has changed"))
}
