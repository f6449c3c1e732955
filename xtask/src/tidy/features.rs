//! A plugin that is listed but never named registers nothing, silently: each has its lines.

use std::collections::BTreeMap;

use super::arrows::is_plugin;
use super::{Finding, Subject};
use crate::failure::Outcome;

const MANIFEST: &str = "Cargo.toml";
const LIBRARY: &str = "src/lib.rs";
const LINKED: &str = "tests/linked.rs";

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let package = subject.graph.member("transload")?;
    let plugins: Vec<&str> = package
        .normal_dependencies()
        .filter(|dependency| is_plugin(&dependency.name))
        .map(|dependency| dependency.name.as_str())
        .collect();
    let mut findings: Vec<Finding> = package
        .normal_dependencies()
        .filter(|dependency| is_plugin(&dependency.name) && !dependency.optional)
        .map(|dependency| {
            let what = format!("{} is not optional", dependency.name);
            Finding::new(MANIFEST, what, "make it optional, with a feature of its name")
        })
        .collect();
    let library = subject.workspace.read(LIBRARY)?;
    // Not there is as good as empty: the findings then say what has to be in it.
    let linked = subject.workspace.read(LINKED).unwrap_or_default();
    for plugin in plugins {
        findings.extend(plugin_findings(plugin, &package.features, &library, &linked));
    }
    Ok(findings)
}

fn plugin_findings(
    plugin: &str,
    features: &BTreeMap<String, Vec<String>>,
    library: &str,
    linked: &str,
) -> Vec<Finding> {
    let name =
        plugin.trim_start_matches("transload-dest-").trim_start_matches("transload-staging-");
    let mut findings = Vec::new();
    let switch = format!("dep:{plugin}");
    let has = |feature: &str, entry: &str| {
        features.get(feature).is_some_and(|entries| entries.iter().any(|one| one == entry))
    };
    if !has(name, &switch) {
        let what = format!("no feature `{name}` turns on {plugin}");
        findings.push(Finding::new(MANIFEST, what, format!("add {name} = [\"{switch}\"]")));
    }
    if !has("full", name) {
        let what = format!("the feature `full` lacks `{name}`");
        findings.push(Finding::new(MANIFEST, what, "list it there"));
    }
    let import = format!("use {} as _;", plugin.replace('-', "_"));
    let condition = format!("#[cfg(feature = \"{name}\")]");
    if !follows(library, &condition, &import) {
        let what = format!("nothing links {plugin}");
        findings.push(Finding::new(
            LIBRARY,
            what,
            format!("add {condition} and below it {import}"),
        ));
    }
    if !linked.contains(&format!("\"{name}\"")) {
        let what = format!("no test that the feature `{name}` links its plugin");
        findings.push(Finding::new(LINKED, what, format!("look up \"{name}\" in the registry")));
    }
    findings
}

/// Whether a line stands right below another.
fn follows(text: &str, above: &str, below: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| pair[0] == above && pair[1] == below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY_TEXT: &str =
        "#[cfg(feature = \"redshift\")]\nuse transload_dest_redshift as _;\n";

    fn features(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        entries.iter().map(|(name, on)| ((*name).to_owned(), vec![(*on).to_owned()])).collect()
    }

    fn places(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.place.as_str()).collect()
    }

    #[test]
    fn a_plugin_with_all_its_lines_is_fine() {
        let features =
            features(&[("redshift", "dep:transload-dest-redshift"), ("full", "redshift")]);
        let linked = "holds(\"redshift\")";
        let found = plugin_findings("transload-dest-redshift", &features, LIBRARY_TEXT, linked);
        assert_eq!(found, []);
    }

    #[test]
    fn each_missing_line_is_a_finding() {
        let found = plugin_findings("transload-staging-filesystem", &features(&[]), "", "");
        assert_eq!(places(&found), [MANIFEST, MANIFEST, LIBRARY, LINKED]);
    }

    #[test]
    fn a_line_under_another_feature_does_not_count() {
        let library = LIBRARY_TEXT.replace("\"redshift\"", "\"duckdb\"");
        let features =
            features(&[("redshift", "dep:transload-dest-redshift"), ("full", "redshift")]);
        let found = plugin_findings("transload-dest-redshift", &features, &library, "\"redshift\"");
        assert_eq!(places(&found), [LIBRARY]);
    }
}
