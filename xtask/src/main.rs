//! The tasks of the Transload workspace: `cargo xtask help` lists them.
//!
//! This crate drives cargo as a process and links neither the engine nor DuckDB: it has to answer
//! within a minute on a machine that has built nothing yet.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to whoever ran it")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on may panic"))]

#[cfg(not(unix))]
compile_error!("cargo xtask needs Linux or macOS (on Windows: WSL)");

mod bench;
mod crash;
mod demo;
mod digest;
mod duckdb;
mod end_to_end;
mod failure;
mod folder;
mod fuzz;
mod metadata;
mod new_destination;
mod npm;
mod parity;
mod process;
mod public_api;
mod python;
mod real_data;
mod stack;
mod suite;
mod tidy;
mod version;
mod workspace;

use std::env;
use std::process::ExitCode;

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;

/// One command of `cargo xtask`.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Outcome,
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        arguments: "",
        about: "fetch the prebuilt DuckDB library that the default build links to",
        run: duckdb::setup_task,
    },
    Task {
        name: "demo",
        arguments: "",
        about: "load the chess example through staging into DuckDB and look at the result",
        run: demo::demo_task,
    },
    Task {
        name: "test",
        arguments: "[STEP…]",
        about: "what CI runs: formatting, lints, every feature alone, tests, docs, real data",
        run: suite::test_task,
    },
    Task {
        name: "up",
        arguments: "[s3|redshift|azure|gcs|bigquery]",
        about: "start the test stack and print its environment: eval \"$(cargo xtask up)\"",
        run: stack::up_task,
    },
    Task { name: "down", arguments: "", about: "stop the test stack", run: stack::down_task },
    Task {
        name: "e2e",
        arguments: "[filesystem [--large]|redshift [--live]|bigquery [--live]]",
        about: "the tests that need the test stack, with the stack around them",
        run: end_to_end::end_to_end_task,
    },
    Task {
        name: "real-data",
        arguments: "",
        about: "load JSON that nobody here wrote and count its rows independently",
        run: real_data::real_data_task,
    },
    Task {
        name: "parity",
        arguments: "[--continue] [CASE…]",
        about: "load the same rows by dlt and by Transload and compare all that is there then",
        run: parity::parity_task,
    },
    Task {
        name: "crash",
        arguments: "[--kills N] …",
        about: "loads killed, stopped, overtaken and lied to at every failpoint; rows counted",
        run: crash::crash_task,
    },
    Task {
        name: "bench",
        arguments: "WHAT …",
        about: "nested rows through Transload, dlt and DuckDB: normalise, load, memory",
        run: bench::bench_task,
    },
    Task {
        name: "fuzz",
        arguments: "[TARGET] …",
        about: "random inputs through the engine: cargo xtask fuzz json_rows --seconds 600",
        run: fuzz::fuzz_task,
    },
    Task {
        name: "new-destination",
        arguments: "NAME [FOLDER]",
        about: "a crate of one's own, outside this workspace, that passes the conformance suite",
        run: new_destination::new_destination_task,
    },
    Task {
        name: "public-api",
        arguments: "",
        about: "write down what the contract offers: tidy shows when it changes",
        run: public_api::public_api_task,
    },
    Task {
        name: "tidy",
        arguments: "",
        about: "the checks that need no build: arrows, features, versions, licences, advisories",
        run: tidy::tidy_task,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.report());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Outcome {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", help());
        return Ok(());
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help());
        return Ok(());
    }
    let task = TASKS.iter().find(|task| task.name == name).ok_or_else(|| {
        Failure::new(format!("no such task: {name}"))
            .with_hint("`cargo xtask help` lists the tasks that there are")
    })?;
    if task.arguments.is_empty() && !rest.is_empty() {
        return Err(Failure::new(format!(
            "`{name}` takes no arguments, but got: {}",
            rest.join(" ")
        ))
        .with_hint(format!("run `cargo xtask {name}`")));
    }
    (task.run)(&Workspace::locate()?, rest)
}

fn help() -> String {
    let mut text = String::from("The tasks of the Transload workspace: cargo xtask TASK\n\n");
    for task in TASKS {
        let usage = format!("{} {}", task.name, task.arguments);
        text.push_str(&format!("  {usage:<18} {}\n", task.about));
    }
    text.push_str(&format!("\nSteps of `test`, in their order: {}\n", suite::step_names()));
    text
}
