//! Every package of the graph may be used under a licence that deny.toml allows.

use super::policy::{FILE, Policy};
use super::{Finding, Subject, spdx};
use crate::failure::Outcome;

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let packages = subject.graph.packages();
    Ok(packages
        .filter_map(|package| {
            let what = trouble(&package.name, package.license.as_deref(), &subject.policy)?;
            let place = format!("{FILE} ({} {})", package.name, package.version);
            Some(Finding::new(
                place,
                what,
                "do without the crate, or have the licence allowed after reading it",
            ))
        })
        .collect())
}

fn trouble(name: &str, licence: Option<&str>, policy: &Policy) -> Option<String> {
    let Some(licence) = licence else { return Some("states no licence".to_owned()) };
    let exceptions = policy.exceptions.get(name);
    let allowed = |one: &str| {
        policy.licences.iter().chain(exceptions.into_iter().flatten()).any(|known| known == one)
    };
    match spdx::satisfied(licence, allowed) {
        Some(true) => None,
        Some(false) => Some(format!("is under {licence}, which is not allowed")),
        None => Some(format!("states a licence that is no SPDX expression: {licence}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            licences: vec!["MIT".to_owned()],
            exceptions: [("roots".to_owned(), vec!["CDLA-Permissive-2.0".to_owned()])].into(),
            banned: Vec::new(),
        }
    }

    #[test]
    fn an_exception_is_for_its_crate_alone() {
        assert_eq!(trouble("roots", Some("CDLA-Permissive-2.0"), &policy()), None);
        assert!(trouble("other", Some("CDLA-Permissive-2.0"), &policy()).is_some());
    }

    #[test]
    fn a_package_without_a_licence_is_refused() {
        assert!(trouble("other", None, &policy()).is_some());
        assert_eq!(trouble("other", Some("MIT OR GPL-3.0-only"), &policy()), None);
    }
}
