//! The fuzz targets are a workspace of their own: their lock file is seen by no build but theirs, which CI leaves out.

use super::{Finding, Subject};
use crate::failure::{Context, Outcome};
use crate::process;

const MANIFEST: &str = "fuzz/Cargo.toml";
const FILE: &str = "fuzz/Cargo.lock";

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let asked = process::cargo(subject.workspace)
        .args(["update", "--workspace", "--locked", "--manifest-path", MANIFEST])
        .output()
        .context(|| format!("cannot ask cargo for {FILE}"))?;
    if asked.status.success() {
        return Ok(Vec::new());
    }
    let words = String::from_utf8_lossy(&asked.stderr);
    let remedy = format!("run `cargo update --workspace --manifest-path {MANIFEST}`");
    Ok(vec![Finding::new(FILE, error_of(&words), remedy)])
}

/// What cargo says is wrong.
fn error_of(words: &str) -> String {
    let error = words.lines().find_map(|line| line.strip_prefix("error: "));
    error.unwrap_or("cargo does not say why it cannot be used").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_what_is_wrong() {
        let words =
            "    Adding a v0.1.0\nnote: more\nerror: cannot update the lock file\nhelp: …\n";
        assert_eq!(error_of(words), "cannot update the lock file");
    }
}
