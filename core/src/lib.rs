//! The contract of Transload: what destinations, staging destinations and the engine share.
//!
//! A crate that implements [`Destination`] or [`StagingDestination`] depends on this crate alone. Data goes in and data
//! comes out: [`Capabilities`] say what an implementation can do, [`Job`]s and the [`Publication`] say what it shall do,
//! [`Error`]s say what happens next. The engine computes, plans and schedules; a plugin executes.
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

pub use bounds::Bounds;
pub use capabilities::{
    BinaryEncoding, BinaryLiteral, Capabilities, CopySource, IdentifierCase, IdentifierRules,
    LiteralRules, StagingCapabilities, StorageKind,
};
pub use copy_list::CopyList;
pub use destination::{
    CommitRecord, DatasetState, Destination, ExistingColumn, Fence, Inquiry, SchemaChange, Survey,
};
pub use error::{Error, ErrorKind, ErrorReport, Result};
pub use format::FileFormat;
pub use job::{
    AccessKind, CopyJob, CustomJob, FollowUp, Job, JobContext, JobId, JobOutcome, JobStatistics,
    LoadJob, StageJob, StagedFile, StagingAccess, StorageCredentials,
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
pub use transport::check_encrypted;

#[doc(hidden)]
pub use inventory;
