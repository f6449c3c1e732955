//! Merging, from rows to tables: what each strategy leaves in a DuckDB, directly and through staging.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "merge/world.rs"]
mod world;

#[path = "merge/delete_insert.rs"]
mod delete_insert;
#[path = "merge/insert_only.rs"]
mod insert_only;
#[path = "merge/scd2.rs"]
mod scd2;
#[path = "merge/upsert.rs"]
mod upsert;
