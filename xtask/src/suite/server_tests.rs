//! The tests that need the S3 server: they are ignored, with a reason that names this task.

use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process;
use crate::stack::Environment;
use crate::workspace::Workspace;

/// What the reason in `#[ignore = "…"]` has to say.
const MARK: &str = "cargo xtask e2e filesystem";

/// Runs those tests and no other ignored ones.
pub(crate) fn run(workspace: &Workspace, environment: &Environment) -> Outcome {
    let ignored = names(&process::output(&mut cargo_test(workspace, &["--ignored", "--list"]))?);
    // A list has no reasons, a run has. Asked for ignored tests alone, and not told to run ignored
    // ones, it runs nothing and says why, for each.
    let reasons = if ignored.is_empty() {
        String::new()
    } else {
        let exact: Vec<&str> =
            ["--exact"].into_iter().chain(ignored.iter().map(String::as_str)).collect();
        process::output(&mut cargo_test(workspace, &exact))?
    };
    let wanted = marked(&reasons);
    if wanted.is_empty() {
        return Err(Failure::new("no test says that it needs the S3 server")
            .with_hint(format!("such a test is marked #[ignore = \"needs S3: {MARK}\"]")));
    }
    let mut arguments = vec!["--ignored", "--exact"];
    arguments.extend(wanted.iter().map(String::as_str));
    let mut command = cargo_test(workspace, &arguments);
    process::run(command.envs(environment.variables()))
}

/// Without documentation tests, where `ignored` means something else.
fn cargo_test(workspace: &Workspace, harness: &[&str]) -> Command {
    let mut command = process::cargo(workspace);
    command.args(["test", "--locked", "--workspace", "--features", "full"]);
    command.args(["--lib", "--bins", "--tests", "--"]);
    command.args(harness);
    command
}

/// The tests that a list names, each once.
fn names(list: &str) -> Vec<String> {
    let mut names: Vec<String> =
        list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The tests that a run left out for want of the server.
fn marked(run: &str) -> Vec<String> {
    let mut names: Vec<String> = run
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... ignored, "))
        .filter(|(_, reason)| reason.contains(MARK))
        .map(|(name, _)| name.trim_end_matches(" - should panic").to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_the_names_of_tests() {
        let list = "s3::stages: test\ns3::lists: test\nspeed: benchmark\n\n2 tests, 1 benchmark\n";
        assert_eq!(names(list), ["s3::lists", "s3::stages"]);
    }

    #[test]
    fn only_tests_marked_for_the_server_are_chosen() {
        let run = "\nrunning 3 tests\n\
            test s3::stages ... ignored, needs an S3 server: cargo xtask e2e filesystem\n\
            test s3::refuses - should panic ... ignored, needs S3: cargo xtask e2e filesystem\n\
            test live ... ignored, needs an account: cargo xtask e2e redshift --live\n\
            test plain ... ok\n\n\
            test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(marked(run), ["s3::refuses", "s3::stages"]);
    }
}
