//! See `src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transload::fuzzing::json_rows(bytes));
