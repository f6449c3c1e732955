//! Tells programs where the DuckDB library lies that they were linked to.

use std::env;
use std::fs;
use std::path::Path;

const LIBRARIES: [&str; 4] =
    ["libduckdb.so", "libduckdb.dylib", "libduckdb.a", "libduckdb_static.a"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");

    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if !has("DUCKDB") || has("DUCKDB_BUNDLED") || env::var_os("CARGO_CFG_UNIX").is_none() {
        return;
    }
    let Some(folder) = env::var_os("DUCKDB_LIB_DIR") else { return };
    let folder = Path::new(&folder);
    // One that is not there yet counts as changed until it is: `cargo xtask setup` may come later.
    // What to do then, crate transload-dest-duckdb says.
    let library = LIBRARIES.iter().map(|library| folder.join(library)).find(|path| path.is_file());
    let watched = library.unwrap_or_else(|| folder.join(LIBRARIES[0]));
    println!("cargo::rerun-if-changed={}", watched.display());
    if let Ok(folder) = fs::canonicalize(folder) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
