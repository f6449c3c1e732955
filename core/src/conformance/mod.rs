//! The conformance suite: what every destination and staging destination owes, as cases to try it with.
//!
//! A case is data: a name, which is a sentence that the implementation makes true, the claims of its
//! [`Capabilities`](crate::Capabilities) that select it, and a body. Claiming more means being tried more; a case whose claim
//! is missing is shown as *ignored* with the reason, never as passed.
//!
//! A plugin crate implements [`Harness`] (or [`StagingHarness`]) in a test of its own, which has no other `main`:
//!
//! ```toml
//! [dev-dependencies]
//! transload-core = { version = "0.1", features = ["conformance"] }
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! # struct Mine;
//! # fn harness() -> transload_core::Result<transload_core::conformance::MemoryHarness> { unreachable!() }
//! fn main() -> std::process::ExitCode {
//!     transload_core::conformance::conformance(harness)
//! }
//! ```
//!
//! It takes the arguments of `cargo test` (names, `--exact`, `--list`, `--ignored`, `--test-threads`) and prints what
//! `cargo test` prints. A suite that needs a server says so with [`Suite::needing`]: then its cases are ignored until they are
//! asked for by `--ignored` or `--include-ignored`, and a server that is missing then is a failure.
//!
//! [`MemoryDestination`] is the simplest implementation that passes every case, and [`MemoryStaging`] the simplest store.
//! [`FaultyDestination`] and [`FaultyStaging`] put faults between a plugin and whoever calls it.

mod canonical;
mod case;
mod cases;
mod faults;
mod files;
mod folder;
mod harness;
mod memory;
mod moment;
mod package;
mod runner;
mod statements;
mod suite;
mod world;

pub use case::Claim;
pub use faults::{Call, Fault, Faults, FaultyDestination, FaultyStaging};
pub use harness::{CANARY, CaseFuture, Harness, StagingHarness};
pub use memory::{
    MemoryCommit, MemoryDataset, MemoryDestination, MemoryHarness, MemoryPlace, MemorySchema,
    MemoryStaging, MemoryTable, Record,
};
pub use runner::{conformance, run, staging_conformance};
pub use statements::statements;
pub use suite::{CaseReport, Suite, Verdict};
