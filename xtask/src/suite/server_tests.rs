//! The tests that need servers: they are ignored, with a reason that names the task that runs them.

use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process;
use crate::stack::Environment;
use crate::workspace::Workspace;

/// What the reason in `#[ignore = "…"]` of a test has to say that needs a store's server: S3, Azure or
/// Google Cloud Storage.
pub(crate) const FILESYSTEM: &str = "cargo xtask e2e filesystem";
/// The same for what takes minutes and wants a release build.
const LARGE: &str = "cargo xtask e2e filesystem --large";
/// The same for the stand-in for Redshift.
pub(crate) const REDSHIFT: &str = "cargo xtask e2e redshift";
/// The same for tests that can run on a real cluster, too.
pub(crate) const REDSHIFT_LIVE: &str = "cargo xtask e2e redshift [--live]";
/// The same for the stand-in for BigQuery.
pub(crate) const BIGQUERY: &str = "cargo xtask e2e bigquery";
/// The same for tests that can run in a real project, too.
pub(crate) const BIGQUERY_LIVE: &str = "cargo xtask e2e bigquery [--live]";
/// The same for the stand-in for Snowflake.
pub(crate) const SNOWFLAKE: &str = "cargo xtask e2e snowflake";
/// The same for tests that can run on a real account, too.
pub(crate) const SNOWFLAKE_LIVE: &str = "cargo xtask e2e snowflake [--live]";
/// What stands for every server that can be started here.
pub(crate) const MARKS: &[&str] = &[FILESYSTEM, REDSHIFT, BIGQUERY, SNOWFLAKE];

/// Tests that kill loaders at failpoints, with which nothing else is built, by the mark of the server that they need.
const WITH_FAILPOINTS: &[(&str, &str)] = &[(REDSHIFT, "redshift_crash")];
/// How the tests among them begin that are started by others.
const CHILD: &str = "child_that";

/// Runs the tests with these marks and no other ignored ones.
pub(crate) fn run(workspace: &Workspace, environment: &Environment, marks: &[&str]) -> Outcome {
    for mark in marks {
        run_marked(workspace, environment, mark)?;
    }
    Ok(())
}

/// Where tests with this mark are. Tests are chosen by name, and those of different destinations have the same ones.
fn targets(mark: &str) -> &'static [&'static str] {
    match mark {
        REDSHIFT | REDSHIFT_LIVE => &["--test", "redshift", "--test", "redshift_conformance"],
        BIGQUERY | BIGQUERY_LIVE => &["--test", "bigquery", "--test", "bigquery_conformance"],
        SNOWFLAKE | SNOWFLAKE_LIVE => &["--test", "snowflake", "--test", "snowflake_conformance"],
        _ => &["--lib", "--bins", "--tests"],
    }
}

fn run_marked(workspace: &Workspace, environment: &Environment, mark: &str) -> Outcome {
    let cargo_test = |harness: &[&str]| cargo_test(workspace, targets(mark), harness);
    let ignored = names(&process::output(&mut cargo_test(&["--ignored", "--list"]))?);
    // A list has no reasons, a run has. Asked for ignored tests alone, and not told to run ignored
    // ones, it runs nothing and says why, for each.
    let reasons = if ignored.is_empty() {
        String::new()
    } else {
        let exact: Vec<&str> =
            ["--exact"].into_iter().chain(ignored.iter().map(String::as_str)).collect();
        process::output(&mut cargo_test(&exact))?
    };
    let wanted = marked(&reasons, mark);
    if wanted.is_empty() {
        return Err(Failure::new(format!("no test says that it needs `{mark}`"))
            .with_hint(format!("such a test is marked #[ignore = \"needs a server: {mark}\"]")));
    }
    let mut arguments = vec!["--ignored", "--exact"];
    arguments.extend(wanted.iter().map(String::as_str));
    process::run(cargo_test(&arguments).envs(environment.variables()))?;
    for (_, target) in WITH_FAILPOINTS.iter().filter(|(needed, _)| *needed == mark) {
        let mut command = process::cargo(workspace);
        // The workspace, as the other tests: else what we depend on would be built once more.
        command.args(["test", "--locked", "--workspace", "--features", "full,failpoints"]);
        command.args(["--test", target, "--", "--ignored", "--skip", CHILD]);
        process::run(command.envs(environment.variables()))?;
    }
    Ok(())
}

/// Runs what moves much, in a release build: it is about one crate.
pub(crate) fn run_large(workspace: &Workspace, environment: &Environment) -> Outcome {
    let mut command = process::cargo(workspace);
    command.args(["test", "--locked", "--release", "--package", "transload-staging-filesystem"]);
    command.args(["--test", "large", "--", "--ignored", "two_gigabytes"]);
    process::run(command.envs(environment.variables()))
}

/// Without documentation tests, where `ignored` means something else.
fn cargo_test(workspace: &Workspace, targets: &[&str], harness: &[&str]) -> Command {
    let mut command = process::cargo(workspace);
    command.args(["test", "--locked", "--workspace", "--features", "full"]);
    command.args(targets).arg("--").args(harness);
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

/// The tests that a run left out for want of a server.
fn marked(run: &str, mark: &str) -> Vec<String> {
    let mut names: Vec<String> = run
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... ignored, "))
        .filter(|(_, reason)| reason.contains(mark) && !reason.contains(LARGE))
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
            test live ... ignored, needs Redshift: cargo xtask e2e redshift [--live]\n\
            test faults ... ignored, needs its stand-in: cargo xtask e2e redshift\n\
            test two ... ignored, moves much: cargo xtask e2e filesystem --large\n\
            test plain ... ok\n\n\
            test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(marked(run, FILESYSTEM), ["s3::refuses", "s3::stages"]);
        assert_eq!(marked(run, REDSHIFT), ["faults", "live"]);
        assert_eq!(marked(run, REDSHIFT_LIVE), ["live"]);
    }
}
