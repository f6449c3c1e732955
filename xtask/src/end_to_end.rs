//! `e2e`: the tests that need a real server, with the test stack around them.

use crate::duckdb;
use crate::failure::{Failure, Outcome};
use crate::stack;
use crate::suite::server_tests;
use crate::workspace::Workspace;

pub(crate) fn end_to_end_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    match arguments {
        [] => {}
        [what] if what == "filesystem" => {}
        other => {
            return Err(Failure::new(format!("no such end-to-end tests: {}", other.join(" ")))
                .with_hint("run `cargo xtask e2e` or `cargo xtask e2e filesystem`"));
        }
    }
    duckdb::setup(workspace)?;
    let stack = stack::borrow(workspace)?;
    server_tests::run(workspace, stack.environment())
}
