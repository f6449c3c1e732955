//! Every dependency is a crate of the one registry, or of this workspace.

use super::lock::LockedPackage;
use super::{Finding, Subject};
use crate::failure::Outcome;

/// How a source in Cargo.lock ends for the registry that cargo has by default.
const REGISTRY: &str = "/rust-lang/crates.io-index";

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let member = |name: &str| subject.graph.members().any(|member| member.name == name);
    Ok(subject.lock.iter().filter_map(|package| foreign(package, member)).collect())
}

fn foreign(package: &LockedPackage, is_member: impl Fn(&str) -> bool) -> Option<Finding> {
    let from = match package.source.as_deref() {
        None if is_member(&package.name) => return None,
        None => "a path outside the workspace",
        Some(source) if source.starts_with("registry+") && source.ends_with(REGISTRY) => {
            return None;
        }
        Some(source) => source,
    };
    Some(Finding::new(
        "Cargo.lock",
        format!("{} {} comes from {from}", package.name, package.version),
        "use a published version, so that everybody can build what we build",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(name: &str, source: Option<&str>) -> bool {
        let package = LockedPackage {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            source: source.map(str::to_owned),
        };
        foreign(&package, |name| name == "ours").is_some()
    }

    #[test]
    fn only_the_registry_and_the_workspace_are_sources() {
        assert!(!is_foreign("ours", None));
        assert!(!is_foreign(
            "theirs",
            Some("registry+https://example.org/rust-lang/crates.io-index")
        ));
        assert!(is_foreign("theirs", None));
        assert!(is_foreign("theirs", Some("git+https://example.org/theirs?rev=1#1")));
        assert!(is_foreign("theirs", Some("registry+https://example.org/other-index")));
    }
}
