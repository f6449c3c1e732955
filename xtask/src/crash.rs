//! `crash`: loads that are killed, stopped, overtaken and lied to at every failpoint, by the program in `tests/crash`.

use crate::duckdb;
use crate::failure::{Failure, Outcome};
use crate::process;
use crate::stack::{self, Environment, Server};
use crate::workspace::Workspace;

/// What the long run does where it is not told otherwise.
const LONG: [(&str, &str); 4] =
    [("--kills", "2000"), ("--answers", "2000"), ("--zombies", "200"), ("--races", "100")];

/// What the program takes besides.
const OTHERS: [&str; 2] = ["--seed", "--case"];

pub(crate) fn crash_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let arguments = complete(arguments)?;
    duckdb::setup(workspace)?;
    let stack = stack::borrow(workspace, &[Server::S3])?;
    run(workspace, stack.environment(), &arguments)
}

/// The short run, as a step of `test`.
pub(crate) fn short(workspace: &Workspace, environment: &Environment) -> Outcome {
    run(workspace, environment, &[])
}

/// Builds the program, with the failpoints that nothing else is built with, and runs it.
fn run(workspace: &Workspace, environment: &Environment, arguments: &[String]) -> Outcome {
    let mut command = process::cargo(workspace);
    // The workspace, as the other tests: else what we depend on would be built once more.
    command.args(["test", "--locked", "--workspace", "--features", "full,failpoints"]);
    command.args(["--test", "crash", "--"]);
    command.args(arguments);
    process::run(command.envs(environment.variables()))
}

/// Adds the numbers of the long run where one is missing, unless one case alone is wanted.
fn complete(arguments: &[String]) -> Outcome<Vec<String>> {
    let names: Vec<&str> = arguments.iter().step_by(2).map(String::as_str).collect();
    let is_known =
        |name: &&str| OTHERS.contains(name) || LONG.iter().any(|(known, _)| known == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(Failure::new(format!("no such option: {unknown}")).with_hint(
            "run `cargo xtask crash`, with --kills N, --answers N, --zombies N, --races N, --seed N, or --case JSON",
        ));
    }
    if !arguments.len().is_multiple_of(2) {
        return Err(Failure::new(format!(
            "{} wants a value",
            names.last().copied().unwrap_or_default()
        ))
        .with_hint("for example: cargo xtask crash --kills 2000 --answers 2000 --seed 7"));
    }
    let mut all = arguments.to_vec();
    if !names.contains(&"--case") {
        for (name, number) in LONG.iter().filter(|(name, _)| !names.contains(name)) {
            all.extend([(*name).to_owned(), (*number).to_owned()]);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &[&str]) -> Outcome<String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        complete(&words).map(|words| words.join(" "))
    }

    #[test]
    fn a_long_run_is_long_unless_it_is_told_otherwise() {
        let long = "--kills 2000 --answers 2000 --zombies 200 --races 100";
        assert_eq!(completed(&[]).unwrap(), long);
        let told = completed(&["--kills", "9", "--seed", "7"]).unwrap();
        assert_eq!(told, "--kills 9 --seed 7 --answers 2000 --zombies 200 --races 100");
        assert_eq!(completed(&["--case", "{}"]).unwrap(), "--case {}");
        assert!(completed(&["--kils", "9"]).is_err());
        assert!(completed(&["--kills"]).is_err());
    }
}
