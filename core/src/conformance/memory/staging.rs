//! The in-memory store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{
    AccessRequest, Error, ErrorKind, FileFormat, FollowUp, Job, JobContext, JobOutcome,
    JobStatistics, LoadId, MANIFEST_NAME, Result, Scope, SealedManifest, Sha256Hex, StagedFile,
    StagedObject, StagingAccess, StagingCapabilities, StagingDestination, StorageKind,
};

/// A staging destination in the memory of this process. Clones are one store.
///
/// Nobody else can read it, so it claims no way in: the engine [fetches](StagingDestination::fetch) its files for a
/// destination that reads local ones.
#[derive(Clone, Debug)]
pub struct MemoryStaging {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    capabilities: StagingCapabilities,
}

impl Default for MemoryStaging {
    fn default() -> Self {
        let capabilities = StagingCapabilities {
            storage: StorageKind::Memory,
            formats: FileFormat::ALL.to_vec(),
            access: Vec::new(),
            max_parallel_uploads: None,
        };
        Self { objects: Arc::default(), capabilities }
    }
}

impl MemoryStaging {
    /// The bytes of an object.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().get(key).cloned()
    }

    /// Puts an object, whatever is there.
    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        self.lock().insert(key.to_owned(), bytes);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses keys that a store with folders would take elsewhere.
fn check_key(key: &str) -> Result<()> {
    let is_bad =
        |segment: &str| matches!(segment, "" | "." | "..") || segment.contains(char::is_control);
    match key.split('/').any(is_bad) {
        true => Err(Error::new(ErrorKind::Terminal, "the key leaves its place").with("key", key)),
        false => Ok(()),
    }
}

#[async_trait]
impl StagingDestination for MemoryStaging {
    fn capabilities(&self) -> &StagingCapabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        format!("memory://{key}")
    }

    async fn stage(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        let Job::Stage(stage) = job else {
            return Err(Error::new(ErrorKind::Bug, "a staging destination only stages")
                .with("job", job.id()));
        };
        check_key(&stage.key)?;
        let damaged = |reason: &str| {
            Error::new(ErrorKind::Terminal, "the data file is damaged")
                .with("file", stage.file.path())
                .with("reason", reason)
        };
        let bytes = std::fs::read(context.folder.join(stage.file.path()))
            .map_err(|error| damaged("it is gone").with_source(error))?;
        if Sha256Hex::of(&bytes) != stage.file.sha256 {
            return Err(damaged("its content is not what was sealed"));
        }
        let moved = bytes.len() as u64;
        (context.on_bytes)(moved);
        self.put(&stage.key, bytes);
        let staged = StagedFile {
            file: stage.file.clone(),
            key: stage.key.clone(),
            url: self.url(&stage.key),
            etag: None,
        };
        Ok(JobOutcome {
            statistics: JobStatistics { bytes: moved, ..JobStatistics::default() },
            follow_ups: vec![FollowUp::Copy(staged)],
        })
    }

    async fn write_manifest(&self, manifest: &SealedManifest) -> Result<()> {
        let mut objects = self.lock();
        let there = objects.entry(manifest.key()).or_insert_with(|| manifest.bytes().to_vec());
        match there == manifest.bytes() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Terminal, "the load id is taken by another load")
                .with("load", &manifest.load_id)),
        }
    }

    async fn loads(&self, scope: &Scope) -> Result<Vec<LoadId>> {
        // `<dataset>/<pipeline>/<load id>/…`
        let load_of = |key: &String| key.split('/').nth(2).map(LoadId::new);
        let prefix = scope.prefix();
        let objects = self.lock();
        let loads = objects.keys().filter(|key| key.starts_with(&prefix)).filter_map(load_of);
        Ok(loads.collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn read_manifests(&self, scope: &Scope) -> Result<Vec<SealedManifest>> {
        let prefix = scope.prefix();
        let mut manifests = Vec::new();
        for (key, bytes) in self.lock().iter().filter(|(key, _)| key.starts_with(&prefix)) {
            if key.ends_with(&format!("/{MANIFEST_NAME}")) {
                let read = SealedManifest::from_bytes(bytes.clone());
                manifests.push(read.map_err(|error| error.with("manifest", self.url(key)))?);
            }
        }
        manifests.sort_by(|a, b| a.load_id.cmp(&b.load_id));
        Ok(manifests)
    }

    async fn grant(&self, request: &AccessRequest) -> Result<StagingAccess> {
        let takes: Vec<&str> = request.takes.iter().map(|kind| kind.as_str()).collect();
        Err(Error::new(ErrorKind::Unsupported, "nobody is let into the memory of a process")
            .with("the destination takes", takes.join(", ")))
    }

    async fn fetch(&self, file: &StagedFile, to: &Path) -> Result<()> {
        let damaged = |reason: &str| {
            Error::new(ErrorKind::Terminal, "the staged file is damaged")
                .with("object", self.url(&file.key))
                .with("reason", reason)
        };
        let bytes = self.object(&file.key).ok_or_else(|| damaged("it is gone"))?;
        if Sha256Hex::of(&bytes) != file.file.sha256 {
            return Err(damaged("its content is not what was staged"));
        }
        let written = match to.parent() {
            Some(parent) => std::fs::create_dir_all(parent),
            None => Ok(()),
        };
        written.and_then(|()| std::fs::write(to, bytes)).map_err(|error| {
            // A part of it would be taken for the whole.
            let _ = std::fs::remove_file(to);
            Error::new(ErrorKind::Terminal, "a fetched file cannot be written")
                .with("path", to.display())
                .with_source(error)
        })
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<StagedObject>> {
        let prefix = scope.prefix();
        let of = |(key, bytes): (&String, &Vec<u8>)| StagedObject {
            key: key.clone(),
            bytes: bytes.len() as u64,
            // It has no clock, and nothing in it outlives the process.
            modified_at: "1970-01-01T00:00:00Z".into(),
        };
        Ok(self.lock().iter().filter(|(key, _)| key.starts_with(&prefix)).map(of).collect())
    }

    async fn remove(&self, keys: &[String]) -> Result<()> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let mut objects = self.lock();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }
}
