//! Says early what to do if there is no DuckDB library to link to, and tells tests where it lies.

use std::env;
use std::fs;
use std::path::Path;

/// What the library is called on the systems that DuckDB is built for.
const LIBRARIES: [&str; 5] =
    ["libduckdb.so", "libduckdb.dylib", "duckdb.lib", "libduckdb.a", "libduckdb_static.a"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");

    if env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    // Without a folder the linker looks where the system keeps its libraries, or libduckdb-sys
    // downloads one (DUCKDB_DOWNLOAD_LIB); with a folder it does neither.
    let Some(folder) = env::var_os("DUCKDB_LIB_DIR") else { return };
    let folder = Path::new(&folder);
    let found = LIBRARIES.iter().map(|library| folder.join(library)).find(|path| path.is_file());
    let Some(library) = found else {
        println!("cargo::error=no DuckDB library in the folder {}", folder.display());
        println!("cargo::error=either run `cargo xtask setup` in the repository of Transload,");
        println!("cargo::error=or set DUCKDB_LIB_DIR to a folder with libduckdb of DuckDB 1.5.5,");
        println!("cargo::error=or turn on the feature `duckdb-bundled` (an hour or more of C++)");
        return;
    };
    println!("cargo::rerun-if-changed={}", library.display());
    if env::var_os("CARGO_CFG_UNIX").is_some()
        && let Ok(folder) = fs::canonicalize(folder)
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
