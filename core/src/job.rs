//! The steps of a load, as data.
//!
//! A job can be derived again from the sealed manifest after a crash, and its id is a function of what it was derived
//! from: a follow-up that is asked for twice exists once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{DataFile, Error, ErrorKind, Load, Result, Schema, Secret, Usage};

/// The id of a job: `<kind>:<table>` or `<kind>:<table>/<file>`, unique within its load. A custom step has the hash of
/// its payload in the place of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of a job of this kind on this table, or on one file of it.
    pub fn new(kind: &str, table: &str, file: Option<&str>) -> Self {
        Self(match file {
            Some(file) => format!("{kind}:{table}/{file}"),
            None => format!("{kind}:{table}"),
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a load before its publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Job {
    /// Brings a file into the staging storage. Runs on the staging destination.
    Stage(StageJob),
    /// Brings a local file into the destination. Runs on the destination.
    Load(LoadJob),
    /// Brings the staged files of one table into the destination, in one go. Runs on the destination.
    Copy(CopyJob),
    /// A step that only this destination knows.
    Custom(CustomJob),
}

impl Job {
    /// The id.
    pub fn id(&self) -> JobId {
        match self {
            Self::Stage(job) => JobId::new("stage", &job.file.table, Some(&job.file.name)),
            Self::Load(job) => JobId::new("load", &job.file.table, Some(&job.file.name)),
            Self::Copy(job) => JobId::new("copy", &job.table, None),
            Self::Custom(job) => {
                // Steps of one kind on one table differ in what they are to know.
                let payload = crate::canonical_json(&serde_json::json!(job.payload));
                let tag = crate::Sha256Hex::of(payload.as_bytes());
                JobId::new(&job.name, &job.table, Some(tag.short()))
            }
        }
    }

    /// The table whose rows it moves.
    pub fn table(&self) -> &str {
        match self {
            Self::Stage(job) => &job.file.table,
            Self::Load(job) => &job.file.table,
            Self::Copy(job) => &job.table,
            Self::Custom(job) => &job.table,
        }
    }

    /// The word for its kind: `stage`, `load`, `copy`, or the name of a custom one.
    pub fn kind(&self) -> &str {
        match self {
            Self::Stage(_) => "stage",
            Self::Load(_) => "load",
            Self::Copy(_) => "copy",
            Self::Custom(job) => &job.name,
        }
    }

    /// The files whose rows it brings into a destination: none where it stages one, or is a step of a destination's own.
    pub fn data_files(&self) -> Vec<&DataFile> {
        match self {
            Self::Load(job) => vec![&job.file],
            Self::Copy(job) => job.files.iter().map(|staged| &staged.file).collect(),
            Self::Stage(_) | Self::Custom(_) => Vec::new(),
        }
    }
}

/// A file of a job, where it lies on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile<'a> {
    /// The file.
    pub file: &'a DataFile,
    /// Where it lies.
    pub path: PathBuf,
}

/// See [`Job::Stage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageJob {
    /// The file, which lies at [`DataFile::path`] below [`JobContext::folder`].
    pub file: DataFile,
    /// Where it goes, below the root of the storage.
    pub key: String,
}

/// See [`Job::Load`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadJob {
    /// The file, which lies at [`DataFile::path`] below [`JobContext::folder`].
    pub file: DataFile,
}

/// See [`Job::Copy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyJob {
    /// The table.
    pub table: String,
    /// Its files of this load, all of them, in the order of their names.
    pub files: Vec<StagedFile>,
}

/// See [`Job::Custom`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomJob {
    /// The kind of step, a word of the destination's own.
    pub name: String,
    /// The table.
    pub table: String,
    /// What the destination needs to know. No secrets.
    pub payload: BTreeMap<String, String>,
}

/// A file in the staging storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// The file that was staged.
    pub file: DataFile,
    /// Its key below the root of the storage.
    pub key: String,
    /// Its full URL: `s3://bucket/prefix/key`, `file:///folder/key`.
    pub url: String,
    /// The tag with which the storage answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// What a job did, and what it asks for next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOutcome {
    /// Figures.
    pub statistics: JobStatistics,
    /// What has to follow, before the publication. The engine alone decides when; one that it has run already is not
    /// run again.
    pub follow_ups: Vec<FollowUp>,
}

/// The figures of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatistics {
    /// Rows, as the destination counted them. The load is refused where they are not those of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes moved.
    pub bytes: u64,
    /// Statements or requests that loaded rows: one COPY counts one.
    pub statements: u64,
    /// What else the destination wants to have in the receipt: a job id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// What it has used of the destination. The receipt shows the sum over all jobs and the publication.
    #[serde(default, skip_serializing_if = "Usage::is_empty")]
    pub usage: Usage,
}

/// What the result of a job asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FollowUp {
    /// This staged file wants to be copied. Those of one table coalesce into one [`Job::Copy`].
    Copy(StagedFile),
    /// A step of the destination's own.
    Custom(CustomJob),
}

/// How a destination is let at staged files. A word for each, so that both sides can be held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessKind {
    /// The files are local files of this machine.
    LocalPaths,
    /// The destination has an identity of its own that may read the storage.
    OwnIdentity,
    /// A role that the destination may take on.
    Role,
    /// An integration or external stage that the destination knows by name.
    Integration,
    /// Credentials that end soon and open this load's keys alone; a token, where the storage knows such.
    TemporaryCredentials,
    /// One signed URL a file.
    SignedUrls,
    /// The long-lived credentials of the configuration, forwarded; or a signature made of them, where the storage knows such.
    Credentials,
}

impl AccessKind {
    /// Whether the destination brings this way in along: it is in its settings, and the storage has nothing to give.
    pub fn is_brought_along(self) -> bool {
        matches!(self, Self::OwnIdentity | Self::Role | Self::Integration)
    }

    /// The name in configuration and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalPaths => "local_paths",
            Self::OwnIdentity => "own_identity",
            Self::Role => "role",
            Self::Integration => "integration",
            Self::TemporaryCredentials => "temporary_credentials",
            Self::SignedUrls => "signed_urls",
            Self::Credentials => "credentials",
        }
    }
}

impl fmt::Display for AccessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a destination is given to read staged files. It travels in the context and is never stored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StagingAccess {
    /// There is no staging in this load, or nothing of it is left to be read.
    None,
    /// Local paths by key.
    LocalPaths(BTreeMap<String, PathBuf>),
    /// The destination reads with what it has: its own identity, a role or an integration that is in its settings.
    Configured(AccessKind),
    /// Keys to the storage, temporary or not.
    Credentials(StorageCredentials),
    /// Signed URLs by key.
    SignedUrls(BTreeMap<String, Secret>),
    /// A signature that opens a container of Azure Blob Storage for reading.
    SharedAccess(SharedAccess),
    /// A token that opens the files of the load in a bucket of Google Cloud Storage for reading.
    Token(AccessToken),
}

/// A token of Google's for the files of a load: who sends it may read and list what lies below these prefixes, until it ends.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The bucket.
    pub bucket: String,
    /// What is opened of it: what the names of objects begin with.
    pub prefixes: Vec<String>,
    /// The token, as it stands behind `Authorization: Bearer`.
    pub token: Secret,
    /// When it ends: RFC 3339, in UTC.
    pub ends_at: String,
    /// The endpoint, where it is not the vendor's own.
    pub endpoint: Option<String>,
}

/// A shared access signature of Azure: that of the configuration, or one that was made of the account's key and ends soon.
#[derive(Clone, Debug)]
pub struct SharedAccess {
    /// The host of the account's blobs: `account.blob.core.windows.net`; with port and path where it is not Azure's own.
    pub host: String,
    /// The signature, as it stands in the query of a URL, without `?`.
    pub token: Secret,
}

/// Keys to a storage of the S3 kind.
#[derive(Clone, Debug, Default)]
pub struct StorageCredentials {
    /// The id of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The region of the bucket, where it is known.
    pub region: Option<String>,
    /// The endpoint, where it is not the vendor's own.
    pub endpoint: Option<String>,
}

/// What surrounds a job or a publication while it runs.
#[derive(Clone, Copy)]
pub struct JobContext<'a> {
    /// The load.
    pub load: &'a Load,
    /// Its schema.
    pub schema: &'a Schema,
    /// The local folder of the package.
    pub folder: &'a Path,
    /// How the staged files of the job can be read, or those of the publication where it loads them itself. A step of the
    /// destination's own is let at all files of the load.
    pub access: &'a StagingAccess,
    /// Called with the number of bytes that were moved since the last call.
    pub on_bytes: &'a (dyn Fn(u64) + Send + Sync),
}

impl<'a> JobContext<'a> {
    /// The files of these jobs, which lie on this machine: in the package, or where the engine has brought staged ones. For
    /// destinations that read local files and take staged ones by [`AccessKind::LocalPaths`].
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for staged files with another way in, and for jobs that bring no files.
    pub fn local_files<'j>(
        &self,
        jobs: impl IntoIterator<Item = &'j Job>,
    ) -> Result<Vec<LocalFile<'j>>> {
        let mut files = Vec::new();
        for job in jobs {
            match (job, self.access) {
                (Job::Load(job), _) => {
                    let path = self.folder.join(job.file.path());
                    files.push(LocalFile { file: &job.file, path });
                }
                (Job::Copy(job), StagingAccess::LocalPaths(paths)) => {
                    for staged in &job.files {
                        let path = paths.get(&staged.key).ok_or_else(|| {
                            Error::new(ErrorKind::Bug, "a staged file was not brought here")
                                .with("key", &staged.key)
                        })?;
                        files.push(LocalFile { file: &staged.file, path: path.clone() });
                    }
                }
                _ => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "the destination reads local files only",
                    )
                    .with("job", job.id()));
                }
            }
        }
        Ok(files)
    }
}

impl fmt::Debug for JobContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("load", self.load)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
