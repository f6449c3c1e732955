//! `parity`: the same rows through dlt and through Transload, and what is different afterwards.
//!
//! dlt runs in a Python environment of its own, and so does the comparison: this crate links no
//! database. The cases and the scripts are in `xtask/parity`.

mod foreign;

use std::path::PathBuf;
use std::process::Command;

use crate::duckdb;
use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

const HELP: &str = "`cargo xtask parity [--continue | --files] [--release] [--write] [CASE…]`; a CASE is the \
                    id of a case or the name of a group";

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    carry_on: bool,
    files: bool,
    release: bool,
    /// Whether the list in `docs/parity.md` is written, not checked.
    write: bool,
    cases: Vec<String>,
}

impl Asked {
    fn parse(arguments: &[String]) -> Outcome<Asked> {
        let mut asked = Asked::default();
        for argument in arguments {
            match argument.as_str() {
                "--continue" => asked.carry_on = true,
                "--files" => asked.files = true,
                "--release" => asked.release = true,
                "--write" => asked.write = true,
                flag if flag.starts_with('-') => {
                    return Err(Failure::new(format!("no such flag: {flag}")).with_hint(HELP));
                }
                case => asked.cases.push(case.to_owned()),
            }
        }
        Ok(asked)
    }
}

pub(crate) fn parity_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let asked = Asked::parse(arguments)?;
    duckdb::setup(workspace)?;
    let python = crate::python::python(workspace)?;
    let scratch = workspace.stack().join("parity");
    folder::remove(&scratch)?;
    folder::create(&scratch)?;
    let program = program(workspace, &asked, &scratch.join("transload"))?;
    let mut command = Command::new(&python);
    command
        .arg(workspace.root().join("xtask").join("parity").join("parity.py"))
        .arg("--program")
        .arg(&program)
        .arg("--scratch")
        .arg(&scratch)
        .env("LD_LIBRARY_PATH", workspace.duckdb_link())
        .env("DYLD_LIBRARY_PATH", workspace.duckdb_link())
        // Settings of the user's own dlt must not take part.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if asked.carry_on {
        command.arg("--continue");
    } else if asked.files {
        command.arg("--files");
    } else {
        command.arg("--real").arg(foreign::folder(workspace)?);
        command.arg("--document").arg(workspace.root().join("docs").join("parity.md"));
        if asked.write {
            command.arg("--write");
        }
    }
    let status = command
        .arg("--")
        .args(&asked.cases)
        .status()
        .context(|| format!("cannot start {}", python.display()))?;
    if status.success() {
        return folder::remove(&scratch);
    }
    Err(Failure::new("Transload and dlt differ, or a case could not be run").with_hint(format!(
        "what both made of each case that failed is in {}; run one case alone by \
         `cargo xtask parity CASE`",
        workspace.relative(&scratch).display()
    )))
}

/// Builds the command line and takes a copy of it: another clone may build into the same folder
/// meanwhile.
fn program(workspace: &Workspace, asked: &Asked, copy: &std::path::Path) -> Outcome<PathBuf> {
    let mut command = process::cargo(workspace);
    command.args([
        "build",
        "--quiet",
        "--locked",
        "--bin",
        "transload",
        "--message-format",
        "json",
    ]);
    if asked.release {
        command.arg("--release");
    }
    let messages = process::output(&mut command)?;
    let built = executable(&messages)
        .ok_or_else(|| Failure::new("cargo named no executable among what it built"))?;
    std::fs::copy(&built, copy).context(|| format!("cannot copy {}", built.display()))?;
    Ok(copy.to_path_buf())
}

/// The executable that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_cases_are_told_apart() {
        let words = ["--continue", "A01", "names"].map(str::to_owned);
        let asked = Asked::parse(&words).unwrap();
        assert!(asked.carry_on && !asked.release && !asked.write && !asked.files);
        assert_eq!(asked.cases, ["A01", "names"]);
        assert!(Asked::parse(&["--all".to_owned()]).is_err());
    }

    #[test]
    fn the_executable_is_the_last_one_that_is_named() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/transload\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/debug/transload")));
        assert_eq!(executable("{}"), None);
    }
}
