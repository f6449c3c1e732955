//! Versions with known weaknesses, from a short list of our own.
//!
//! The whole database of RustSec is what `cargo deny check advisories` is for; this list needs no
//! download and holds what would hurt here if a version went back.

use toml::{Table, Value};

use super::lock::LockedPackage;
use super::{Finding, Subject};
use crate::failure::{Context, Failure, Outcome};
use crate::version::{self, Version};

const FILE: &str = "xtask/advisories.toml";

/// One weakness of one crate.
#[derive(Debug)]
struct Advisory {
    package: String,
    identifier: String,
    /// Conditions of which a version has to meet one: it is patched, or older than the weakness.
    safe: Vec<String>,
    why: String,
}

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let advisories = parse(&subject.workspace.read(FILE)?)?;
    let mut findings = Vec::new();
    for advisory in &advisories {
        for package in subject.lock.iter().filter(|package| package.name == advisory.package) {
            findings.extend(weak(package, advisory)?);
        }
    }
    Ok(findings)
}

fn parse(text: &str) -> Outcome<Vec<Advisory>> {
    let table: Table = text.parse().context(|| format!("cannot read {FILE}"))?;
    let entries = table.get("advisory").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let field = |name: &str| entry.get(name)?.as_str().map(str::to_owned);
            let conditions = |name: &str| -> Vec<String> {
                let list = entry.get(name).and_then(Value::as_array).into_iter().flatten();
                list.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let advisory = (|| {
                Some(Advisory {
                    package: field("crate")?,
                    identifier: field("id")?,
                    safe: [conditions("patched"), conditions("unaffected")].concat(),
                    why: field("why")?,
                })
            })();
            advisory.ok_or_else(|| {
                Failure::new(format!("{FILE}: an advisory lacks `crate`, `id` or `why`: {entry:?}"))
                    .with_hint("write all three")
            })
        })
        .collect()
}

fn weak(package: &LockedPackage, advisory: &Advisory) -> Outcome<Option<Finding>> {
    let version = Version::parse(&package.version).ok_or_else(|| {
        Failure::new(format!("Cargo.lock: {} has no version to compare", package.name))
            .with_hint("see what xtask/src/version.rs does not know")
    })?;
    for condition in &advisory.safe {
        match version::meets(&version, condition) {
            Some(true) => return Ok(None),
            Some(false) => {}
            None => {
                return Err(Failure::new(format!("{FILE}: cannot read \"{condition}\""))
                    .with_hint("write it like \">= 1.42.1, < 1.43.0\""));
            }
        }
    }
    let remedy = match advisory.safe.as_slice() {
        [] => format!("no version is patched: do without {}", package.name),
        safe => format!("cargo update -p {} to one that is {}", package.name, safe.join(" or ")),
    };
    let what = format!(
        "{} {} has {}: {}",
        package.name, package.version, advisory.identifier, advisory.why
    );
    Ok(Some(Finding::new("Cargo.lock", what, remedy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_weak(version: &str, conditions: &str) -> bool {
        let text = format!(
            "[[advisory]]\ncrate = \"some\"\nid = \"RUSTSEC-1\"\nwhy = \"it hurts\"\n{conditions}"
        );
        let package =
            LockedPackage { name: "some".to_owned(), version: version.to_owned(), source: None };
        weak(&package, &parse(&text).unwrap()[0]).unwrap().is_some()
    }

    #[test]
    fn a_version_is_weak_until_it_is_patched() {
        let conditions = "patched = [\">= 1.42.1, < 1.43.0\", \">= 1.44.2\"]";
        assert!(is_weak("1.42.0", conditions));
        assert!(!is_weak("1.42.1", conditions));
        assert!(is_weak("1.44.1", conditions));
        assert!(!is_weak("1.54.1", conditions));
    }

    #[test]
    fn a_version_before_the_weakness_is_safe() {
        assert!(!is_weak("0.9.0", "patched = []\nunaffected = [\"< 1.0.0\"]"));
        assert!(is_weak("1.0.0", "patched = []"));
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_an_error() {
        let text = "[[advisory]]\ncrate = \"some\"\nid = \"1\"\nwhy = \"x\"\npatched = [\"^1\"]";
        let package =
            LockedPackage { name: "some".to_owned(), version: "1.0.0".to_owned(), source: None };
        assert!(weak(&package, &parse(text).unwrap()[0]).is_err());
        assert!(parse("[[advisory]]\ncrate = \"some\"").is_err());
    }
}
