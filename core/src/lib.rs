//! The contract of Transload: what destinations, staging destinations and the engine share.
//!
//! A crate that implements [`Destination`] or [`StagingDestination`] depends on this crate alone. Data goes in and data
//! comes out: [`Capabilities`] say what an implementation can do, [`Job`]s and the [`Publication`] say what it shall do,
//! [`Error`]s say what happens next. The engine computes, plans and schedules; a plugin executes.
//!
//! # What stays
//!
//! A plugin that builds goes on building while the crate's version is compatible in Cargo's sense:
//!
//! - Enums that may grow are `#[non_exhaustive]`. Those that are not (types, formats, dispositions, strategies) are lists that
//!   plugins must answer in full: a new entry is a change for which they must be changed.
//! - Structs that a plugin makes are made from their defaults (`..Capabilities::default()`) or by a constructor, with the one
//!   exception of [`Plugin`]; structs that it is given may get more fields.
//! - [`Destination`] and [`StagingDestination`] have no default methods, so that a wrapper cannot forget one, and get no more
//!   methods either.
//! - `core/tests/contract.rs`, the smallest legal plugin, builds as it is. `core/public-api.txt` shows every public item; a
//!   change to it is looked at hard.
//! - What a later version reads, an earlier one may have written: manifests, jobs and receipts keep the names of their fields.
//!
//! A change for which plugins must be changed raises [`CONTRACT_VERSION`] and the crate's version together. A plugin that was
//! built against another version of the contract is refused by name, and Cargo refuses to build a program with two
//! incompatible versions of this *crate*, naming who asks for which.
//!
//! There is no engine here, no vendor, no Arrow, and no input or output but in the conformance suite.

mod bounds;
mod capabilities;
#[cfg(feature = "conformance")]
pub mod conformance;
mod copy_list;
mod destination;
mod error;
pub mod failpoint;
mod format;
mod job;
mod load;
mod manifest;
mod publication;
pub mod registry;
mod schema;
mod secret;
pub mod settings;
pub mod sql;
mod staging;
mod transport;
mod usage;

pub use bounds::Bounds;
pub use capabilities::{
    BinaryEncoding, BinaryLiteral, Capabilities, CopySource, IdentifierCase, IdentifierRules,
    LiteralRules, PublicationText, StagingCapabilities, StorageKind,
};
pub use copy_list::{CopyList, LIST_PREFIX};
pub use destination::{
    CommitRecord, DatasetState, Destination, ExistingColumn, Fence, Inquiry, SchemaChange, Survey,
};
pub use error::{Error, ErrorKind, ErrorReport, Result};
pub use format::FileFormat;
pub use job::{
    AccessKind, AccessToken, CopyJob, CustomJob, FollowUp, Job, JobContext, JobId, JobOutcome,
    JobStatistics, LoadJob, LocalFile, SharedAccess, StageJob, StagedFile, StagingAccess,
    StorageCredentials,
};
pub use load::{Dataset, Epoch, Load, LoadId, Sha256Hex, staging_table_owner};
pub use manifest::{
    DataFile, MANIFEST_NAME, MANIFEST_VERSION, Manifest, SealedManifest, StateRow, escape_segment,
};
pub use publication::{Commit, Disposition, Publication, TableChain, TablePublication};
pub use registry::{CONTRACT_VERSION, Plugin, Registry};
pub use schema::{
    Column, DataType, MergeStrategy, ReplaceStrategy, SCHEMA_ENGINE_VERSION, Schema, Table,
    WriteDisposition, canonical_json,
};
pub use secret::{Redactor, Secret};
pub use staging::{AccessRequest, Scope, StagedObject, StagingDestination};
pub use transport::{check_encrypted, is_this_machine, without_secrets};
pub use usage::Usage;

#[doc(hidden)]
pub use inventory;
