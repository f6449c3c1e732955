//! Bytes → rows of JSON → columns: see `src/fuzzing/json.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transload::fuzzing::json_rows(bytes));
