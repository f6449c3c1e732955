//! The simplest destination and the simplest store that keep the contract: in the memory of this process.
//!
//! They are what the suite is tried on, and an example: everything that a real one does with an engine or a bucket is done
//! here with maps.

mod destination;
mod harness;
mod merge;
mod place;
mod read;
mod staging;

pub use destination::MemoryDestination;
pub use harness::MemoryHarness;
pub use place::{MemoryCommit, MemoryDataset, MemoryPlace, MemorySchema, MemoryTable, Record};
pub use staging::MemoryStaging;
