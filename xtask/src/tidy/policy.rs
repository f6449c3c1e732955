//! deny.toml: what may be depended on. `cargo deny check` reads the same file.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::failure::{Context, Outcome};

pub(super) const FILE: &str = "deny.toml";

/// The parts of deny.toml that `tidy` holds the graph to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) licences: Vec<String>,
    /// Further licences, for one crate each.
    pub(super) exceptions: BTreeMap<String, Vec<String>>,
    pub(super) banned: Vec<String>,
}

pub(super) fn parse(text: &str) -> Outcome<Policy> {
    let table: Table = text.parse().context(|| format!("cannot read {FILE}"))?;
    let licences = table.get("licenses");
    let mut exceptions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for exception in entries(licences, "exceptions") {
        if let Some(name) = crate_of(exception) {
            exceptions.entry(name).or_default().extend(strings(Some(exception), "allow"));
        }
    }
    Ok(Policy {
        licences: strings(licences, "allow"),
        exceptions,
        banned: entries(table.get("bans"), "deny").iter().filter_map(crate_of).collect(),
    })
}

fn entries<'a>(table: Option<&'a Value>, key: &str) -> &'a [Value] {
    table.and_then(|table| table.get(key)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings(table: Option<&Value>, key: &str) -> Vec<String> {
    entries(table, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// cargo-deny takes a bare name, or a table with `crate` or (in older files) `name`.
fn crate_of(entry: &Value) -> Option<String> {
    let name = entry.as_str().or_else(|| entry.get("crate").or(entry.get("name"))?.as_str());
    name.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_parts_are_read() {
        let policy = parse(
            "[licenses]\nallow = [\"MIT\"]\n\
             [[licenses.exceptions]]\ncrate = \"one\"\nallow = [\"CC0-1.0\"]\n\
             [bans]\ndeny = [\"plain\", { crate = \"tabled\", reason = \"why\" }]\n",
        )
        .unwrap();
        assert_eq!(policy.licences, ["MIT"]);
        assert_eq!(policy.exceptions["one"], ["CC0-1.0"]);
        assert_eq!(policy.banned, ["plain", "tabled"]);
    }

    #[test]
    fn a_file_without_them_allows_nothing() {
        assert_eq!(parse("").unwrap(), Policy::default());
    }
}
