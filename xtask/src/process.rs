//! Running other programs: cargo, npm, python, tar, kill.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Outcome};
use crate::workspace::Workspace;

/// Cargo in the repository, in the environment in which its user would call it.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    // `cargo xtask` describes this crate to us in the environment; handed on, it would describe
    // it to crates that it is not about.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_this_crate) {
            command.env_remove(name);
        }
    }
    // The default from .cargo/config.toml: the inner cargo reads it there itself.
    if env::var_os("DUCKDB_LIB_DIR").is_some_and(|folder| workspace.duckdb_link() == *folder) {
        command.env_remove("DUCKDB_LIB_DIR");
    }
    command
}

fn describes_this_crate(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a program is there to be run.
pub(crate) fn available(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program whose output is for the user, and shows the command first.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    eprintln!("    $ {line}");
    let status = command.status().context(|| format!("cannot start `{line}`"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{line}` failed ({status})"))
        .with_hint("its own words are above; run it by hand to look closer"))
}

/// Runs a program for what it prints on stdout; its stderr shows only if it fails.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let line = shown(command);
    let output =
        command.stdin(Stdio::null()).output().context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim();
        return Err(Failure::new(format!("`{line}` failed ({})\n{words}", output.status))
            .with_hint("its own words are above; run it by hand to look closer"));
    }
    String::from_utf8(output.stdout).context(|| format!("`{line}` printed no UTF-8"))
}

/// A command as one would type it in the repository.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![quoted(program.file_name().unwrap_or(program.as_os_str()))];
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else if word.chars().any(|c| "\"$`\\!".contains(c)) {
        format!("'{}'", word.replace('\'', r"'\''"))
    } else {
        format!("\"{word}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_types_it() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["run", "--", "a.duckdb", "select 'it'", "$x"]);
        assert_eq!(shown(&command), r#"cargo run -- a.duckdb "select 'it'" '$x'"#);
    }
}
