//! The steps of `test`, in the order in which they run: what is quick to fail comes first.

use super::{Session, server_tests};
use crate::crash;
use crate::duckdb;
use crate::failure::{Failure, Outcome};
use crate::metadata::Graph;
use crate::new_destination;
use crate::process;
use crate::real_data;
use crate::tidy;

/// One step; `run` fails with the reason.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&mut Session<'_>) -> Outcome,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "setup",
        about: "the DuckDB library is there",
        run: |session| duckdb::setup(session.workspace),
    },
    Step { name: "fmt", about: "every file is formatted", run: fmt },
    Step {
        name: "tidy",
        about: "the checks that need no build",
        run: |session| tidy::tidy(session.workspace),
    },
    Step { name: "clippy", about: "no lint in anything, all features together", run: clippy },
    Step { name: "features", about: "each feature and each crate builds alone", run: features },
    Step {
        name: "stack",
        about: "the servers that tests need run",
        run: |session| session.environment().map(|_| ()),
    },
    Step { name: "tests", about: "every test, those that need the server included", run: tests },
    Step {
        name: "crash",
        about: "every row once after kills and lost answers, some hundred of each",
        run: |session| {
            let workspace = session.workspace;
            crash::short(workspace, session.environment()?)
        },
    },
    Step { name: "features-linked", about: "a feature links its plugin", run: features_linked },
    Step {
        name: "new-destination",
        about: "a stranger's destination, made outside the workspace, passes and loads",
        run: |session| new_destination::try_one(session.workspace),
    },
    Step { name: "docs", about: "the documentation builds without a warning", run: docs },
    Step {
        name: "real-data",
        about: "rows of foreign data, counted independently",
        run: |session| real_data::real_data(session.workspace),
    },
];

fn cargo(session: &Session<'_>, arguments: &[&str]) -> Outcome {
    process::run(process::cargo(session.workspace).args(arguments))
}

fn fmt(session: &mut Session<'_>) -> Outcome {
    cargo(session, &["fmt", "--all", "--check"]).map_err(|_| {
        Failure::new("some files are not formatted").with_hint("run `cargo fmt --all`")
    })
}

fn clippy(session: &mut Session<'_>) -> Outcome {
    cargo(
        session,
        &[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--features",
            "full,failpoints",
            "--",
            "-D",
            "warnings",
        ],
    )
}

/// What the workspace as a whole hides: there, one crate's features are everybody's.
fn features(session: &mut Session<'_>) -> Outcome {
    let (plugins, libraries) = {
        let graph = session.graph()?;
        let is_library = |name: &&str| !matches!(*name, "transload" | "xtask");
        let members = graph.members().filter(|member| member.has_library());
        let names: Vec<String> =
            members.map(|one| one.name.as_str()).filter(is_library).map(str::to_owned).collect();
        (plugin_features(graph)?, names)
    };
    let alone = ["clippy", "--locked", "--package", "transload", "--no-default-features"];
    let strict = ["--", "-D", "warnings"];
    cargo(session, &[&alone[..], &strict].concat())?;
    for feature in &plugins {
        cargo(session, &[&alone[..], &["--features", feature], &strict].concat())?;
    }
    for library in &libraries {
        let package = ["clippy", "--locked", "--all-targets", "--package", library];
        cargo(session, &[&package[..], &strict].concat())?;
    }
    Ok(())
}

fn tests(session: &mut Session<'_>) -> Outcome {
    cargo(session, &["test", "--locked", "--workspace", "--features", "full"])?;
    let workspace = session.workspace;
    server_tests::run(workspace, session.environment()?, server_tests::MARKS)
}

fn features_linked(session: &mut Session<'_>) -> Outcome {
    let mut features = plugin_features(session.graph()?)?;
    features.push("full".to_owned());
    for feature in &features {
        cargo(
            session,
            &[
                "test",
                "--locked",
                "--package",
                "transload",
                "--no-default-features",
                "--features",
                feature,
                "--test",
                "linked",
            ],
        )?;
    }
    Ok(())
}

fn docs(session: &mut Session<'_>) -> Outcome {
    process::run(
        process::cargo(session.workspace)
            .args(["doc", "--locked", "--workspace", "--no-deps", "--features", "full"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// The features that each link one plugin; `full` is the list of them.
fn plugin_features(graph: &Graph) -> Outcome<Vec<String>> {
    let full = graph.member("transload")?.features.get("full");
    full.filter(|features| !features.is_empty()).cloned().ok_or_else(|| {
        Failure::new("the feature `full` of transload names no plugin")
            .with_hint("list every plugin feature in it, in Cargo.toml")
    })
}
