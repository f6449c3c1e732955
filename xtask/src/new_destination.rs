//! `new-destination`: a crate of one's own, outside this workspace, that builds and passes what it claims.
//!
//! It is made of `examples/dest-minimal`, which is built and tested here, so that what is handed out cannot go stale.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::failure::{Context, Failure, Outcome};
use crate::process;
use crate::workspace::Workspace;

const EXAMPLE: &str = "examples/dest-minimal";

/// What the crate uses, with the versions of this workspace.
const DEPENDENCIES: [&str; 4] = ["async-trait", "flate2", "serde", "serde_json"];
const FOR_TESTS: [&str; 3] = ["base64", "tempfile", "tokio"];

pub(crate) fn new_destination_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let (name, parent) = match arguments {
        [name] => (name, PathBuf::from(".")),
        [name, parent] => (name, PathBuf::from(parent)),
        _ => {
            return Err(Failure::new("a new destination needs a name")
                .with_hint("run `cargo xtask new-destination parcels ../somewhere`"));
        }
    };
    let folder = create(workspace, name, &parent)?;
    println!("new-destination: {} is there. Now:\n", folder.display());
    println!("  cd {}", folder.display());
    println!("  cargo test                                    # it passes what it claims");
    println!(
        "  cargo run --features cli -- destinations      # the whole command line, with `{name}` in it"
    );
    println!(
        "\nand change src/lib.rs: docs/writing-a-destination.md of Transload goes through it."
    );
    Ok(())
}

/// Makes the crate in a folder of its name, and returns that.
fn create(workspace: &Workspace, name: &str, parent: &Path) -> Outcome<PathBuf> {
    check_name(name)?;
    let folder = parent.join(format!("transload-dest-{name}"));
    if folder.exists() {
        return Err(Failure::new(format!("{} is there already", folder.display()))
            .with_hint("take another name, or remove it"));
    }
    let root: Table =
        workspace.read("Cargo.toml")?.parse().context(|| "cannot read Cargo.toml".to_owned())?;
    let manifest = manifest(&root, name, workspace.root())?;
    let example = |file: &str| workspace.read(&format!("{EXAMPLE}/{file}"));
    let files = [
        ("Cargo.toml", manifest),
        // The versions that were tried here.
        ("Cargo.lock", workspace.read("Cargo.lock")?),
        (".gitignore", "/target\n".to_owned()),
        ("src/lib.rs", renamed(&example("src/lib.rs")?, name)),
        ("src/main.rs", MAIN.replace("NAME", &name.replace('-', "_"))),
        ("tests/conformance.rs", renamed(&example("tests/conformance.rs")?, name)),
    ];
    for (file, text) in files {
        let path = folder.join(file);
        let made =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        made.context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(folder)
}

const MAIN: &str = "//! The command line of Transload, with this destination in it.

use std::process::ExitCode;

// Naming the crate is what links it.
use transload_dest_NAME as _;

fn main() -> ExitCode {
    transload::cli::main()
}
";

fn check_name(name: &str) -> Outcome {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    match name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits) {
        true => Ok(()),
        false => Err(Failure::new(format!("{name} is no name for a destination")).with_hint(
            "a name is lower-case letters, digits, `-` and `_`, and begins with a letter",
        )),
    }
}

/// The example under another name.
fn renamed(text: &str, name: &str) -> String {
    text.replace("example_dest_minimal", &format!("transload_dest_{}", name.replace('-', "_")))
        .replace("name: \"folder\"", &format!("name: \"{name}\""))
        .replace("from_pairs(\"folder\"", &format!("from_pairs(\"{name}\""))
}

fn manifest(root: &Table, name: &str, workspace: &Path) -> Outcome<String> {
    let known = root.get("workspace").and_then(|table| table.get("dependencies"));
    let line = |dependency: &&str| {
        let version = known.and_then(|known| known.get(*dependency)).and_then(|found| {
            found.as_str().or_else(|| found.get("version").and_then(Value::as_str))
        });
        let version = version.ok_or_else(|| {
            Failure::new(format!("the workspace has no dependency {dependency}"))
                .with_hint("xtask/src/new_destination.rs lists what examples/dest-minimal uses")
        })?;
        let features = match *dependency {
            "serde" => ", features = [\"derive\"]",
            "tokio" => ", features = [\"rt\"]",
            _ => "",
        };
        Ok(format!("{dependency} = {{ version = \"{version}\"{features} }}\n"))
    };
    let lines = |list: &[&str]| list.iter().map(line).collect::<Outcome<String>>();
    let (dependencies, for_tests) = (lines(&DEPENDENCIES)?, lines(&FOR_TESTS)?);
    let path = workspace.display();
    Ok(format!(
        r#"[package]
name = "transload-dest-{name}"
description = "Destination {name} of Transload"
version = "0.1.0"
edition = "2024"

# A workspace of its own.
[workspace]

[features]
# The command line, with this destination in it.
cli = ["dep:transload"]

[dependencies]
# In a crate that others use, versions stand in the place of the paths.
transload-core = {{ path = "{path}/core" }}
transload = {{ path = "{path}", default-features = false, features = ["filesystem"], optional = true }}
{dependencies}
[dev-dependencies]
transload-core = {{ path = "{path}/core", features = ["conformance"] }}
{for_tests}
[[bin]]
name = "transload-{name}"
path = "src/main.rs"
required-features = ["cli"]

[[test]]
name = "conformance"
harness = false
"#
    ))
}

/// The step of `test`: one is made outside the workspace, passes its suite, is listed, and loads the chess example through
/// staging.
pub(crate) fn try_one(workspace: &Workspace) -> Outcome {
    let parent =
        std::env::temp_dir().join(format!("transload-new-destination-{}", std::process::id()));
    let made = create(workspace, "parcels", &parent).and_then(|folder| try_in(workspace, &folder));
    // What is left lies in the folder for temporary files.
    let _ = fs::remove_dir_all(&parent);
    made
}

fn try_in(workspace: &Workspace, folder: &Path) -> Outcome {
    let cargo = |arguments: &[&str]| {
        let mut command = process::cargo(workspace);
        command.current_dir(folder).args(arguments);
        if std::env::var_os("CARGO_TARGET_DIR").is_none() {
            // The second time most of it is built.
            command.env("CARGO_TARGET_DIR", workspace.root().join("target/new-destination"));
        }
        command.env("DESTINATION__PARCELS__FOLDER", folder.join("loaded"));
        command.env("DESTINATION__FILESYSTEM__BUCKET_URL", folder.join("staged"));
        command
    };
    process::run(&mut cargo(&["test"]))?;
    let run = ["run", "--quiet", "--features", "cli", "--"];
    let listed = process::output(&mut cargo(&[&run[..], &["destinations"]].concat()))?;
    if !listed.contains("parcels") {
        return Err(Failure::new("`transload destinations` does not list the new destination")
            .with_hint("see the `use … as _;` in the `src/main.rs` that xtask/src/new_destination.rs writes"));
    }
    let source = workspace.root().join("examples/chess/players.jsonl").display().to_string();
    let load = [
        "run",
        "--pipeline-name",
        "chess",
        "--destination",
        "parcels",
        "--staging",
        "filesystem",
        "--dataset-name",
        "chess_players",
        "--table",
        "players",
        "--source",
        &source,
        "--pipelines-dir",
        "pipelines",
    ];
    process::run(&mut cargo(&[&run[..], &load].concat()))?;
    let loaded = fs::read_dir(folder.join("loaded/chess_players/players"));
    let files = loaded.context(|| "the load has left no rows".to_owned())?.count();
    match files {
        0 => Err(Failure::new("the load has left no rows")
            .with_hint("run `cargo xtask new-destination` and look")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_of_a_crate() {
        assert!(check_name("parcels").is_ok() && check_name("my-lake_2").is_ok());
        for name in ["", "Parcels", "1st", "a b", "../a", "a/b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_example_gets_its_name() {
        let text = "use example_dest_minimal::X;\nname: \"folder\",\nfrom_pairs(\"folder\", a)";
        assert_eq!(
            renamed(text, "my-lake"),
            "use transload_dest_my_lake::X;\nname: \"my-lake\",\nfrom_pairs(\"my-lake\", a)"
        );
    }
}
