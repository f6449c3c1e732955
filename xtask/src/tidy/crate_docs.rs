//! Every crate, and every test, example and build script, says in its first line what it is.

use std::fs;

use super::{Finding, Subject};
use crate::failure::{Context, Outcome};

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for target in subject.graph.members().flat_map(|member| &member.targets) {
        let place = subject.workspace.relative(&target.source).display().to_string();
        let text = fs::read_to_string(&target.source).context(|| format!("cannot read {place}"))?;
        if !is_said(&text) {
            findings.push(Finding::new(
                format!("{place}:1"),
                "does not say what it is",
                "begin the file with a line `//! …`",
            ));
        }
    }
    findings.sort_by(|one, other| one.place.cmp(&other.place));
    findings.dedup();
    Ok(findings)
}

fn is_said(text: &str) -> bool {
    let line = text.lines().next().and_then(|line| line.strip_prefix("//!"));
    line.is_some_and(|words| !words.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_has_to_say_something() {
        assert!(is_said("//! The command line.\n"));
        assert!(!is_said("//!\n//! Late.\n"));
        assert!(!is_said("// no documentation\n"));
        assert!(!is_said(""));
    }
}
