//! `tidy`: what can be known without building: arrows, features, versions, licences, sources.

mod advisories;
mod arrows;
mod crate_docs;
mod features;
mod fuzz_lock;
mod licences;
mod lock;
mod policy;
mod public_api;
mod quotes;
mod sources;
mod spdx;
mod text;
mod third_parties;
mod versions;

use crate::failure::{Failure, Outcome};
use crate::metadata::Graph;
use crate::workspace::Workspace;
use lock::LockedPackage;
use policy::Policy;

/// Something that is not as it must be, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// A file, with a line where there is one.
    place: String,
    what: String,
    remedy: String,
}

impl Finding {
    fn new(
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding { place: place.into(), what: what.into(), remedy: remedy.into() }
    }
}

/// What all checks look at.
struct Subject<'a> {
    workspace: &'a Workspace,
    graph: Graph,
    lock: Vec<LockedPackage>,
    policy: Policy,
}

/// One check: pure but for reading files of the repository.
struct Check {
    name: &'static str,
    about: &'static str,
    run: fn(&Subject<'_>) -> Outcome<Vec<Finding>>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "arrows",
        about: "the engine knows plugins, plugins know the contract, never the other way",
        run: arrows::check,
    },
    Check {
        name: "third parties",
        about: "example plugins use the public contract alone",
        run: third_parties::check,
    },
    Check {
        name: "features",
        about: "each plugin has a feature, a line that links it, a test that it is linked",
        run: features::check,
    },
    Check {
        name: "versions",
        about: "one version of what must be one, none of what is banned",
        run: versions::check,
    },
    Check {
        name: "licences",
        about: "every dependency's licence is allowed",
        run: licences::check,
    },
    Check {
        name: "advisories",
        about: "no version with a known weakness that matters here",
        run: advisories::check,
    },
    Check {
        name: "sources",
        about: "every dependency is from the one registry",
        run: sources::check,
    },
    Check {
        name: "fuzz lock",
        about: "the lock file of the fuzz targets holds what they need",
        run: fuzz_lock::check,
    },
    Check { name: "text", about: "no unfinished or stray lines in the sources", run: text::check },
    Check { name: "quotes", about: "code in the guides is code that is built", run: quotes::check },
    Check {
        name: "public api",
        about: "the contract changes only where a reviewer sees it",
        run: public_api::check,
    },
    Check {
        name: "crate docs",
        about: "every crate says in its first line what it is",
        run: crate_docs::check,
    },
];

pub(crate) fn tidy_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    tidy(workspace)
}

pub(crate) fn tidy(workspace: &Workspace) -> Outcome {
    let subject = Subject {
        workspace,
        graph: Graph::load(workspace)?,
        lock: lock::parse(&workspace.read("Cargo.lock")?)?,
        policy: policy::parse(&workspace.read(policy::FILE)?)?,
    };
    let width = CHECKS.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut failed = Vec::new();
    for check in CHECKS {
        let findings = (check.run)(&subject)?;
        let verdict = if findings.is_empty() { "ok  " } else { "FAIL" };
        println!("{verdict}  {:<width$}  {}", check.name, check.about);
        for Finding { place, what, remedy } in &findings {
            println!("      {place}: {what}\n        do: {remedy}");
        }
        if !findings.is_empty() {
            failed.push(check.name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("not tidy: {}", failed.join(", ")))
        .with_hint("each finding above says what to do; then run `cargo xtask tidy` again"))
}
