//! The example plugins in `examples/dest-*` and `examples/staging-*` stand for strangers' crates: the contract must do.

use std::fs;

use toml::{Table, Value};

use super::{Finding, Subject};
use crate::failure::{Context, Outcome};

/// Reads their manifests as text: strangers' crates need not be members of this workspace.
pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let examples = subject.workspace.root().join("examples");
    let entries = fs::read_dir(&examples).into_iter().flatten().filter_map(Result::ok);
    let mut findings = Vec::new();
    for entry in entries {
        let manifest = entry.path().join("Cargo.toml");
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_plugin = name.starts_with("dest-") || name.starts_with("staging-");
        if !is_plugin || !manifest.is_file() {
            continue;
        }
        let place = subject.workspace.relative(&manifest).display().to_string();
        let text = fs::read_to_string(&manifest).context(|| format!("cannot read {place}"))?;
        let manifest: Table = text.parse().context(|| format!("cannot read {place}"))?;
        findings.extend(forbidden(&manifest).into_iter().map(|name| {
            Finding::new(
                place.clone(),
                format!("an example of a foreign plugin depends on {name}"),
                "use transload-core alone; `transload` may be optional or for tests",
            )
        }));
    }
    Ok(findings)
}

/// Crates of ours that a stranger's plugin must not need.
fn forbidden(manifest: &Table) -> Vec<String> {
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(Value::as_table);
    tables.extend(targets.into_iter().flatten().filter_map(|(_, target)| target.as_table()));
    let dependencies = tables
        .iter()
        .filter_map(|table| table.get("dependencies").and_then(Value::as_table))
        .flatten();
    dependencies
        .map(|(key, value)| {
            let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
            let optional = value.get("optional").and_then(Value::as_bool).unwrap_or(false);
            (package.to_owned(), optional)
        })
        .filter(|(package, _)| package == "transload" || package.starts_with("transload-"))
        .filter(|(package, optional)| {
            package != "transload-core" && !(package == "transload" && *optional)
        })
        .map(|(package, _)| package)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(manifest: &str) -> Vec<String> {
        forbidden(&manifest.parse().unwrap())
    }

    #[test]
    fn the_contract_and_an_optional_engine_are_fine() {
        let manifest = "[dependencies]\ntransload-core = \"0.1\"\nserde = \"1\"\n\
                        transload = { version = \"0.1\", optional = true }\n\
                        [dev-dependencies]\ntransload = \"0.1\"\n";
        assert!(of(manifest).is_empty());
    }

    #[test]
    fn the_engine_and_other_plugins_are_not() {
        let manifest = "[dependencies]\ntransload = \"0.1\"\n\
                        [target.'cfg(unix)'.dependencies]\n\
                        other = { package = \"transload-dest-duckdb\", version = \"0.1\" }\n";
        assert_eq!(of(manifest), ["transload", "transload-dest-duckdb"]);
    }
}
