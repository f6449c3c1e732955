//! Cargo.lock: every package of every feature and platform, with its version and source.

use toml::{Table, Value};

use crate::failure::{Context, Outcome};

/// An entry of the lock file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LockedPackage {
    pub(super) name: String,
    pub(super) version: String,
    /// Where it comes from; `None` for the crates of the workspace.
    pub(super) source: Option<String>,
}

pub(super) fn parse(text: &str) -> Outcome<Vec<LockedPackage>> {
    let table: Table = text.parse().context(|| "cannot read Cargo.lock".to_owned())?;
    let packages = table.get("package").and_then(Value::as_array);
    let field = |package: &Value, name: &str| package.get(name)?.as_str().map(str::to_owned);
    Ok(packages
        .into_iter()
        .flatten()
        .map(|package| LockedPackage {
            name: field(package, "name").unwrap_or_default(),
            version: field(package, "version").unwrap_or_default(),
            source: field(package, "source"),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_of_the_workspace_has_no_source() {
        let lock = parse(
            "version = 4\n\n\
             [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n\
             [[package]]\nname = \"theirs\"\nversion = \"1.2.3\"\nsource = \"registry+x\"\n",
        )
        .unwrap();
        assert_eq!(lock.len(), 2);
        assert_eq!(lock[0].source, None);
        assert_eq!(lock[1].name, "theirs");
        assert_eq!(lock[1].version, "1.2.3");
        assert_eq!(lock[1].source.as_deref(), Some("registry+x"));
    }
}
