//! The contract changes only where a reviewer sees it.

use super::{Finding, Subject};
use crate::failure::Outcome;
use crate::public_api::{FILE, current};

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let kept = subject.workspace.read(FILE).unwrap_or_default();
    let now = current(subject.workspace)?;
    let change = |from: &str, to: &str| -> Option<String> {
        from.lines().find(|line| !to.lines().any(|other| other == *line)).map(str::to_owned)
    };
    if kept == now {
        return Ok(Vec::new());
    }
    let what = match (change(&kept, &now), change(&now, &kept)) {
        (Some(gone), _) => format!("the contract no longer has `{}`", gone.trim()),
        (None, Some(new)) => format!("the contract now has `{}`", new.trim()),
        (None, None) => "the contract has its items in another order".to_owned(),
    };
    let remedy = "run `cargo xtask public-api`; where something is gone or changed so that a plugin must be changed, raise \
                  CONTRACT_VERSION in core/src/registry.rs, and the version";
    Ok(vec![Finding::new(FILE, what, remedy)])
}
