//! The plugins of this build, and those of this repository that are not in it.

use transload_core::Registry;

/// The names of the plugins of this repository, each also the name of its Cargo feature.
pub const KNOWN: [&str; 5] = ["bigquery", "duckdb", "filesystem", "redshift", "snowflake"];

/// The plugins that are linked into this program, with those of this repository that are not.
pub fn registry() -> Registry {
    KNOWN.iter().fold(Registry::linked(), |registry, name| {
        registry.knowing(
            name,
            &format!("build with the Cargo feature `{name}`: `cargo build --features {name}`"),
        )
    })
}
