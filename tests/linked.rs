//! Each Cargo feature links its plugin, and no other.

use transload::plugins;

#[test]
fn each_feature_is_held_to_its_name_in_the_registry() {
    let mut expected: Vec<&str> = Vec::new();
    if cfg!(feature = "bigquery") {
        expected.push("bigquery");
    }
    if cfg!(feature = "duckdb") {
        expected.push("duckdb");
    }
    if cfg!(feature = "filesystem") {
        expected.push("filesystem");
    }
    if cfg!(feature = "redshift") {
        expected.push("redshift");
    }
    if cfg!(feature = "snowflake") {
        expected.push("snowflake");
    }
    let registry = plugins::registry();
    let linked: Vec<&str> = registry.plugins().map(|plugin| plugin.name).collect();
    assert_eq!(linked, expected);
    let absent: Vec<&str> = registry.absent().map(|(name, _)| name).collect();
    assert_eq!(linked.len() + absent.len(), plugins::KNOWN.len());
}

#[test]
fn a_plugin_that_is_not_in_this_build_names_its_feature() {
    for (name, remedy) in plugins::registry().absent() {
        assert!(remedy.contains(&format!("--features {name}")), "{remedy}");
    }
}
