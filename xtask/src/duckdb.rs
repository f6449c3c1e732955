//! `setup`: the prebuilt DuckDB library that the feature `duckdb` links to.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::digest;
use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::npm::{self, Package};
use crate::workspace::Workspace;

/// The engine's version; the crate `duckdb` in Cargo.toml (`=1.10505.0`) is made for it alone.
const ENGINE: &str = "1.5.5";
const PACKAGE_VERSION: &str = "1.5.5-r.5";
const RECORD: &str = "fetched.json";
const INSTEAD: &str = ", or set DUCKDB_LIB_DIR to a folder with libduckdb, or build with the \
                       Cargo feature `duckdb-bundled` (an hour or more of C++)";

/// A platform for which DuckDB's Node bindings bring the library.
struct Platform {
    name: &'static str,
    library: &'static str,
    package: Package,
}

const PLATFORMS: &[Platform] = &[
    Platform {
        name: "linux-x64",
        library: "libduckdb.so",
        package: Package {
            name: "@duckdb/node-bindings-linux-x64",
            version: PACKAGE_VERSION,
            sha512: "kCyq6BXhn6QXfwF8yVdVKriSSHP+rfVWcJ56cG8qZzlOZpxyvT5WGm6jMshxg4ditLlOsHsIN/D47RYrcjXuHQ==",
        },
    },
    Platform {
        name: "linux-arm64",
        library: "libduckdb.so",
        package: Package {
            name: "@duckdb/node-bindings-linux-arm64",
            version: PACKAGE_VERSION,
            sha512: "CafH2AIvXtpwDynG3KB/4uEOHRGlFoB7auCRMIwH3BKNIobsANV5LSpDJ3tfyRCFIsK6e8AT1eseWVnu2Dv3cw==",
        },
    },
    Platform {
        name: "darwin-arm64",
        library: "libduckdb.dylib",
        package: Package {
            name: "@duckdb/node-bindings-darwin-arm64",
            version: PACKAGE_VERSION,
            sha512: "WJdeLTFy4pRg60rkbp9smtlP1iIQ8ErtIJkxS+2LQtM1ZZMSByyW+3WPpNoKe7IwPtVl2fLlPw7tDmQW4Z974g==",
        },
    },
    Platform {
        name: "darwin-x64",
        library: "libduckdb.dylib",
        package: Package {
            name: "@duckdb/node-bindings-darwin-x64",
            version: PACKAGE_VERSION,
            sha512: "rN0KjX13MwVQ5V5ufykolty/tf4SaafOpGWcUA1Cegf98jPeRdsJsEE1IMXn8n3u6WvMSZEVJmHJ3ma4Hr7Vzg==",
        },
    },
];

pub(crate) fn setup_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    setup(workspace)
}

/// Makes sure that a build of the feature `duckdb` finds its library.
pub(crate) fn setup(workspace: &Workspace) -> Outcome {
    if let Some(folder) = outside_choice(workspace)? {
        eprintln!("setup: DUCKDB_LIB_DIR names {}, which is used as it is", folder.display());
        return Ok(());
    }
    let platform = this_platform()?;
    let folder = workspace.cache()?.join("duckdb").join(format!("{ENGINE}-{}", platform.name));
    let fetched = if is_whole(platform, &folder) {
        false
    } else {
        fetch(platform, &folder)?;
        true
    };
    let linked = link(workspace, platform, &folder)?;
    if !fetched && !linked {
        eprintln!("setup: DuckDB {ENGINE} is there: {}", folder.display());
    }
    Ok(())
}

/// The folder that the user chose by DUCKDB_LIB_DIR. Cargo itself sets the variable for us, to the
/// default from `.cargo/config.toml`: that is no choice.
fn outside_choice(workspace: &Workspace) -> Outcome<Option<PathBuf>> {
    let Some(folder) = env::var_os("DUCKDB_LIB_DIR").map(PathBuf::from) else {
        return Ok(None);
    };
    if folder == workspace.duckdb_link() {
        return Ok(None);
    }
    if has_library(&folder) {
        return Ok(Some(folder));
    }
    Err(Failure::new(format!(
        "DUCKDB_LIB_DIR is set to \"{}\", where no libduckdb is",
        folder.display()
    ))
    .with_hint("unset it to use the library that setup fetches, or correct the path"))
}

fn has_library(folder: &Path) -> bool {
    ["libduckdb.so", "libduckdb.dylib", "libduckdb_static.a", "libduckdb.a"]
        .iter()
        .any(|library| folder.join(library).is_file())
}

fn this_platform() -> Outcome<&'static Platform> {
    let name = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "aarch64") => "darwin-arm64",
        ("macos", "x86_64") => "darwin-x64",
        (system, processor) => {
            return Err(Failure::new(format!(
                "no prebuilt DuckDB {ENGINE} is pinned for {system} on {processor}"
            ))
            .with_hint(
                "set DUCKDB_LIB_DIR to a folder with libduckdb, or build with the Cargo feature \
                 `duckdb-bundled`",
            ));
        }
    };
    PLATFORMS
        .iter()
        .find(|platform| platform.name == name)
        .ok_or_else(|| Failure::new(format!("PLATFORMS in xtask/src/duckdb.rs lacks {name}")))
}

/// Compares the size alone: the checksum was checked when the file was written, and hashing 70 MB
/// at each call would cost more than it finds.
fn is_whole(platform: &Platform, folder: &Path) -> bool {
    let Ok(text) = fs::read_to_string(folder.join(RECORD)) else { return false };
    let Ok(record) = serde_json::from_str::<Value>(&text) else { return false };
    let length = fs::metadata(folder.join(platform.library)).map(|metadata| metadata.len()).ok();
    record["package"] == platform.package.specification()
        && length.is_some()
        && record["bytes"].as_u64() == length
}

fn fetch(platform: &Platform, destination: &Path) -> Outcome {
    let package = &platform.package;
    eprintln!("setup: fetching DuckDB {ENGINE} from the npm package {}", package.specification());
    folder::replace(destination, |folder| {
        npm::unpack(package, &[platform.library, "LICENSE"], folder, INSTEAD)?;
        let library = folder.join(platform.library);
        let bytes = fs::metadata(&library)
            .context(|| format!("{} holds no {}", package.specification(), platform.library))?
            .len();
        let record = json!({
            "package": package.specification(),
            "integrity": format!("sha512-{}", package.sha512),
            "library": platform.library,
            "bytes": bytes,
            "sha256": digest::sha256_hexadecimal(&library)?,
        });
        fs::write(folder.join(RECORD), format!("{record:#}\n"))
            .context(|| format!("cannot write {RECORD}"))
    })?;
    eprintln!("setup: checksum right, unpacked to {}", destination.display());
    Ok(())
}

/// Points `.duckdb` at the folder; tells whether it had to.
fn link(workspace: &Workspace, platform: &Platform, folder: &Path) -> Outcome<bool> {
    let link = workspace.duckdb_link();
    match fs::symlink_metadata(&link) {
        Ok(metadata) if !metadata.is_symlink() => {
            if link.join(platform.library).is_file() {
                eprintln!("setup: .duckdb is a folder with a library of its own, left as it is");
                return Ok(true);
            }
            return Err(Failure::new(format!("{} is not a link", link.display()))
                .with_hint("move it away and run `cargo xtask setup` again"));
        }
        Ok(_) if fs::read_link(&link).is_ok_and(|target| target == folder) => return Ok(false),
        _ => {}
    }
    // Renaming over the old link: a build that runs meanwhile always finds one of the two.
    let new = workspace.root().join(format!(".duckdb.partial-{}", std::process::id()));
    symlink(folder, &new).context(|| format!("cannot create the link {}", new.display()))?;
    fs::rename(&new, &link).context(|| format!("cannot create the link {}", link.display()))?;
    eprintln!("setup: .duckdb points to {}", folder.display());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_pins_a_whole_sha512() {
        for platform in PLATFORMS {
            assert!(platform.package.name.ends_with(platform.name));
            assert_eq!(platform.package.sha512.len(), 88, "{}", platform.name);
        }
    }

    #[test]
    fn a_folder_without_a_record_is_not_whole() {
        assert!(!is_whole(&PLATFORMS[0], &env::temp_dir()));
    }
}
