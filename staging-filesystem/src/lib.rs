//! Staging destination and destination `filesystem` of Transload: folders, S3, Google Cloud Storage and Azure.
//!
#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod azure;
mod bookkeeping;
mod classify;
mod client;
mod commit_log;
mod config;
mod destination;
mod google_access;
mod layout;
mod lend;
#[cfg(test)]
mod lost_answers;
mod marks;
mod publish;
mod staging;
mod store;
mod time;
mod types;
mod upload;

use transload_core::{CONTRACT_VERSION, Plugin};

/// What this crate announces: the plugin `filesystem`.
pub const PLUGIN: Plugin = Plugin {
    name: "filesystem",
    aliases: &[],
    summary: "folders, S3 and Google Cloud Storage buckets, Azure containers",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: config::FilesystemSettings::KEYS,
    destination: Some(destination::create),
    staging: Some(staging::create),
};

transload_core::register!(PLUGIN);
