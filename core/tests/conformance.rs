//! The suite on the in-memory destination and the in-memory store: the simplest that keep the contract.

use std::process::ExitCode;

use transload_core::conformance::{MemoryHarness, Suite, run};

fn main() -> ExitCode {
    let destination = Suite::new().destination(|| Ok(MemoryHarness::default()));
    let store = Suite::new().staging(|| Ok(MemoryHarness::default())).named("store");
    run(destination.and(store))
}
