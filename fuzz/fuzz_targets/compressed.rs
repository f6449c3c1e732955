//! See `src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transload::fuzzing::compressed(bytes));
