//! Where files wait for a destination.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AccessKind, Job, JobContext, JobOutcome, LoadId, Result, SealedManifest, StagedFile,
    StagingAccess, StagingCapabilities,
};

/// Where files wait until a destination copies them: a bucket, a folder.
///
/// Objects are written once, under names that hold their hash, and below a prefix that belongs to one load; so writing
/// one again is harmless, and nothing is ever truncated or shared.
#[async_trait]
pub trait StagingDestination: fmt::Debug + Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> &StagingCapabilities;

    /// Whether the storage can be reached, written to and read from.
    async fn check(&self) -> Result<()>;

    /// The full URL of a key.
    fn url(&self, key: &str) -> String;

    /// Uploads the file of a [`Job::Stage`] to its key and asks for its copy, and for nothing that could not be asked for
    /// again from the manifest alone: a load whose package is lost is finished from there. The bytes are held against
    /// their hash on the way.
    async fn stage(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome>;

    /// Writes the manifest of a load at its key, only if none is there. One that is there with the same content counts
    /// as written; one with another content is a terminal error: the load id is taken.
    async fn write_manifest(&self, manifest: &SealedManifest) -> Result<()>;

    /// The loads that anything lies there of in a scope, manifest or not, the oldest first. It costs a request for each of
    /// them at most, not one for each object.
    async fn loads(&self, scope: &Scope) -> Result<Vec<LoadId>>;

    /// The manifests in a scope, the oldest load first, each with the bytes that were written. Damaged ones are an error,
    /// not left out.
    async fn read_manifests(&self, scope: &Scope) -> Result<Vec<SealedManifest>>;

    /// Lets a destination at staged files in the first of the ways of the request that this storage can give.
    async fn grant(&self, request: &AccessRequest) -> Result<StagingAccess>;

    /// Downloads a staged file to a local path and holds it against its hash. Nothing is left there on failure.
    async fn fetch(&self, file: &StagedFile, to: &Path) -> Result<()>;

    /// The objects in a scope, manifests too.
    async fn list(&self, scope: &Scope) -> Result<Vec<StagedObject>>;

    /// Removes these keys. One that is gone already is no error.
    async fn remove(&self, keys: &[String]) -> Result<()>;
}

/// Which part of a storage is meant. Wider scopes leave the later fields out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The dataset.
    pub dataset: Option<String>,
    /// The pipeline, within the dataset.
    pub pipeline: Option<String>,
    /// The load, within the pipeline.
    pub load_id: Option<String>,
}

impl Scope {
    /// The prefix of the keys in this scope, with a slash at its end, or empty for everything.
    pub fn prefix(&self) -> String {
        let mut prefix = String::new();
        for part in [&self.dataset, &self.pipeline, &self.load_id] {
            match part {
                Some(part) => {
                    prefix.push_str(&crate::escape_segment(part));
                    prefix.push('/');
                }
                None => break,
            }
        }
        prefix
    }
}

/// An object that lies in a storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedObject {
    /// Its key below the root of the storage.
    pub key: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was last written, RFC 3339.
    pub modified_at: String,
}

/// Which files a destination wants to read, and how it can be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// The files.
    pub files: Vec<StagedFile>,
    /// The ways in that the destination takes, in its order of preference.
    pub takes: Vec<AccessKind>,
}
