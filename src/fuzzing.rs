//! What the fuzz targets run: whole paths through the engine, and what must hold whatever the bytes are.
//!
//! It is compiled for `--cfg fuzzing`, which every fuzzing driver sets, and for the tests, which pass the seeds through
//! it. It is no Cargo feature: features are a promise to users, and `--all-features` would make this public.

mod json;

pub use json::json_rows;
