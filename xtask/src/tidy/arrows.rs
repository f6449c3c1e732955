//! Dependencies point one way: engine → plugins → contract. The contract stays light.

use super::{Finding, Subject};
use crate::failure::Outcome;
use crate::metadata::{Graph, Package};

const CONTRACT: &str = "transload-core";
/// What plugins share: who asks a vendor, and the clients of its stores. They are no plugins, and know the contract and one
/// another alone; without them each plugin would find out for itself in whose name it asks, and not the same.
const SHARED: [&str; 3] =
    ["transload-aws-identity", "transload-google-identity", "transload-object-stores"];
const MANIFEST: &str = "Cargo.toml";

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in subject.graph.members() {
        let place = subject.workspace.relative(&package.manifest).display().to_string();
        findings.extend(direct(package, &subject.graph, &place));
        findings.extend(heavy(package, &subject.graph, &place));
    }
    // Without these, every rule above would hold of nothing.
    for name in ["transload", CONTRACT, "xtask"].into_iter().chain(SHARED) {
        if subject.graph.member(name).is_err() {
            let what = format!("the workspace has no crate {name}");
            findings.push(Finding::new(
                MANIFEST,
                what,
                "rename it in xtask/src/tidy/arrows.rs too",
            ));
        }
    }
    Ok(findings)
}

/// The dependencies of a crate that its place in the workspace forbids.
fn direct(package: &Package, graph: &Graph, place: &str) -> Vec<Finding> {
    let ours = |name: &str| graph.members().any(|member| member.name == name);
    let forbidden = |name: &str| -> Option<&str> {
        match package.name.as_str() {
            CONTRACT if ours(name) => Some("the contract knows no other crate of the workspace"),
            "xtask" if ours(name) => Some("xtask drives cargo and links nothing of ours"),
            shared if is_shared(shared) && ours(name) && name != CONTRACT && !is_shared(name) => {
                Some("what plugins share knows the contract, and what else they share")
            }
            plugin if is_plugin(plugin) && ours(name) && name != CONTRACT && !is_shared(name) => {
                Some("a plugin knows the contract, neither the engine nor another plugin")
            }
            plugin if is_plugin(plugin) && is_arrow(name) => {
                Some("Arrow is the engine's: a plugin meets it through its own engine's crate")
            }
            _ => None,
        }
    };
    package
        .normal_dependencies()
        .filter_map(|dependency| forbidden(&dependency.name).map(|why| (dependency, why)))
        .map(|(dependency, why)| {
            let what = format!("{} depends on {}", package.name, dependency.name);
            Finding::new(place, what, format!("remove it: {why}"))
        })
        .collect()
}

/// What a light crate must not be built with, even by way of others.
fn heavy(package: &Package, graph: &Graph, place: &str) -> Option<Finding> {
    if !matches!(package.name.as_str(), CONTRACT | "xtask") {
        return None;
    }
    // What is optional is looked at no further: the conformance suite writes Parquet, for tests. So nothing may be on by
    // itself.
    if package.features.contains_key("default") {
        return Some(Finding::new(
            place,
            format!("{} has features that are on by default", package.name),
            "leave `default` out: who needs a feature asks for it",
        ));
    }
    let path = graph.path(&package.name, is_heavy)?.join(" → ");
    Some(Finding::new(
        place,
        format!("{} is built with an engine or a runtime: {path}", package.name),
        "find a lighter way, or move what needs it into the crate that may have it",
    ))
}

fn is_shared(name: &str) -> bool {
    SHARED.contains(&name)
}

pub(super) fn is_plugin(name: &str) -> bool {
    name.starts_with("transload-dest-") || name.starts_with("transload-staging-")
}

fn is_arrow(name: &str) -> bool {
    name == "arrow" || name.starts_with("arrow-")
}

fn is_heavy(name: &str) -> bool {
    let heavy = ["parquet", "object_store", "duckdb", "libduckdb-sys", "tokio", "reqwest"];
    is_arrow(name) || heavy.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_crate_is() {
        assert!(is_plugin("transload-dest-duckdb") && is_plugin("transload-staging-filesystem"));
        assert!(!is_plugin(CONTRACT) && !is_plugin("transload"));
        assert!(SHARED.iter().all(|name| is_shared(name) && !is_plugin(name)));
        assert!(is_heavy("arrow-array") && is_heavy("tokio"));
        assert!(!is_heavy("arrowhead") && !is_heavy("tokio-macros"));
    }
}
