//! A corpus of bad inputs, each run through the binary into DuckDB: it loads as described, is refused with its reason, or
//! its bad rows are set aside. `bad_inputs/index.json` says which.

#![cfg(all(feature = "duckdb", feature = "filesystem"))]

#[path = "bad_inputs/check.rs"]
mod check;
#[path = "bad_inputs/generated.rs"]
mod generated;
#[path = "bad_inputs/index.rs"]
mod index;
#[path = "bad_inputs/pages.rs"]
mod pages;
#[path = "bad_inputs/run.rs"]
mod run;
#[path = "bad_inputs/settings.rs"]
mod settings;

use check::category;

#[test]
fn csv() {
    category("csv");
}

#[test]
fn compressed() {
    category("compressed");
}

#[test]
fn datetime() {
    category("datetime");
}

#[test]
fn encoding() {
    category("encoding");
}

#[test]
fn identifiers() {
    category("identifiers");
}

#[test]
fn json_syntax() {
    category("json-syntax");
}

#[test]
fn numbers() {
    category("numbers");
}

#[test]
fn parquet() {
    category("parquet");
}

#[test]
fn structure() {
    category("structure");
}

#[test]
fn values() {
    category("values");
}
