//! `e2e`: the tests that need a real server, with the test stack around them.

use crate::duckdb;
use crate::failure::{Failure, Outcome};
use crate::stack::{self, Environment, Server};
use crate::suite::server_tests;
use crate::workspace::Workspace;

pub(crate) fn end_to_end_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (servers, marks) = match words[..] {
        [] => (Server::ALL, server_tests::MARKS),
        ["filesystem"] => {
            (&[Server::S3, Server::Azure, Server::Gcs][..], &[server_tests::FILESYSTEM][..])
        }
        ["filesystem", "--large"] => {
            let stack = stack::borrow(workspace, &[Server::S3])?;
            return server_tests::run_large(workspace, stack.environment());
        }
        ["redshift"] => (&[Server::Redshift][..], &[server_tests::REDSHIFT][..]),
        ["redshift", "--live"] => {
            duckdb::setup(workspace)?;
            // No server is started: the tests read the configuration of whoever runs them.
            let live = Environment::of_live_redshift();
            return server_tests::run(workspace, &live, &[server_tests::REDSHIFT_LIVE]);
        }
        ["bigquery"] => (&[Server::BigQuery][..], &[server_tests::BIGQUERY][..]),
        ["bigquery", "--live"] => {
            duckdb::setup(workspace)?;
            let live = Environment::of_live_bigquery();
            return server_tests::run(workspace, &live, &[server_tests::BIGQUERY_LIVE]);
        }
        _ => {
            return Err(Failure::new(format!("no such end-to-end tests: {}", words.join(" ")))
                .with_hint(
                    "run `cargo xtask e2e`, with `filesystem`, `filesystem --large`, `redshift` or `bigquery`, and `--live` \
                     behind these two",
                ));
        }
    };
    duckdb::setup(workspace)?;
    let stack = stack::borrow(workspace, servers)?;
    server_tests::run(workspace, stack.environment(), marks)
}
