//! One version of what must be one, and nothing of what is banned.

use super::lock::LockedPackage;
use super::policy::FILE;
use super::{Finding, Subject};
use crate::failure::Outcome;

/// Two versions of these are two types of one name, or two TLS stacks.
const ONE_VERSION: [&str; 5] = ["arrow-array", "parquet", "object_store", "rustls", "ring"];

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let mut findings: Vec<Finding> =
        ONE_VERSION.iter().filter_map(|name| several(name, &subject.lock)).collect();
    let banned = subject
        .graph
        .packages()
        .filter(|package| subject.policy.banned.contains(&package.name))
        .map(|package| {
            Finding::new(
                FILE,
                format!("{} {} is banned, and depended on", package.name, package.version),
                format!("see who wants it: cargo tree --all-features -i {}", package.name),
            )
        });
    findings.extend(banned);
    if subject.policy.banned.is_empty() {
        findings.push(Finding::new(FILE, "bans nothing", "list crates in [bans] deny"));
    }
    Ok(findings)
}

fn several(name: &str, lock: &[LockedPackage]) -> Option<Finding> {
    let versions: Vec<&str> = lock
        .iter()
        .filter(|package| package.name == name)
        .map(|package| package.version.as_str())
        .collect();
    if versions.len() == 1 {
        return None;
    }
    let what = match versions.as_slice() {
        [] => format!("{name} is not there any more"),
        several => format!("{name} is there {} times: {}", several.len(), several.join(", ")),
    };
    let remedy = if versions.is_empty() {
        "take it off the list in xtask/src/tidy/versions.rs".to_owned()
    } else {
        format!("bring its users to one version: cargo tree --all-features --duplicates -i {name}")
    };
    Some(Finding::new("Cargo.lock", what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, version: &str) -> LockedPackage {
        LockedPackage { name: name.to_owned(), version: version.to_owned(), source: None }
    }

    #[test]
    fn exactly_one_version_is_fine() {
        let lock =
            [locked("ring", "0.17.14"), locked("rustls", "0.22.0"), locked("rustls", "0.23.1")];
        assert_eq!(several("ring", &lock), None);
        assert_eq!(
            several("rustls", &lock).unwrap().what,
            "rustls is there 2 times: 0.22.0, 0.23.1"
        );
        assert!(several("parquet", &lock).is_some());
    }
}
