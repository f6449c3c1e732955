//! The command line as a user meets it: the binary is run, and what it prints, leaves behind and answers is looked at.

#![cfg(all(feature = "duckdb", feature = "filesystem"))]

#[path = "cli/aws.rs"]
mod aws;
#[path = "cli/azure.rs"]
mod azure;
#[path = "cli/gcs.rs"]
mod gcs;
#[path = "cli/load.rs"]
mod load;
#[path = "cli/look.rs"]
mod look;
#[path = "cli/merge.rs"]
mod merge;
#[path = "cli/packages.rs"]
mod packages;
#[path = "cli/refuse.rs"]
mod refuse;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/sources.rs"]
mod sources;
#[path = "cli/staging.rs"]
mod staging;
#[path = "cli/support.rs"]
mod support;
