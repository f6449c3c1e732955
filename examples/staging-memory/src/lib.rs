//! A stranger's staging destination: files wait in the memory of the process.
//!
//! Nobody outside the process can read it, so it claims no way in. A destination that copies local files still takes it: the
//! engine fetches the staged files into a folder and hands over their paths. A warehouse that reads from buckets alone does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::{
    AccessRequest, CONTRACT_VERSION, Error, ErrorKind, FileFormat, FollowUp, Job, JobContext,
    JobOutcome, JobStatistics, LoadId, MANIFEST_NAME, Plugin, Result, Scope, SealedManifest,
    Sha256Hex, StagedFile, StagedObject, StagingAccess, StagingCapabilities, StagingDestination,
    StorageKind, settings,
};

settings! {
    /// The settings of a store in memory.
    pub struct MemorySettings {
        /// Which store is meant: one process may have several.
        pub store: String = "default",
    }
}

transload_core::register!(Plugin {
    name: "memory",
    aliases: &[],
    summary: "the memory of the process, gone with it",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: MemorySettings::KEYS,
    destination: None,
    staging: Some(create),
});

fn create(settings: &Settings) -> Result<Arc<dyn StagingDestination>> {
    let settings: MemorySettings = settings.read()?;
    Ok(Arc::new(MemoryStore::open(&settings.store)))
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// The stores of this process: whoever opens one again finds what is in it, as with a bucket.
static STORES: LazyLock<Mutex<BTreeMap<String, Objects>>> = LazyLock::new(Mutex::default);

/// A store.
#[derive(Debug)]
pub struct MemoryStore {
    objects: Objects,
    capabilities: StagingCapabilities,
}

impl MemoryStore {
    /// The store of this name.
    pub fn open(name: &str) -> Self {
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = Arc::clone(stores.entry(name.to_owned()).or_default());
        let capabilities = StagingCapabilities {
            storage: StorageKind::Memory,
            // To a store they are bytes.
            formats: FileFormat::ALL.to_vec(),
            access: Vec::new(),
            max_parallel_uploads: None,
        };
        Self { objects, capabilities }
    }

    /// All objects by key.
    pub fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
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
impl StagingDestination for MemoryStore {
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
            return Err(Error::new(ErrorKind::Bug, "a store only stages").with("job", job.id()));
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
        self.objects().insert(stage.key.clone(), bytes);
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
        let mut objects = self.objects();
        let there = objects.entry(manifest.key()).or_insert_with(|| manifest.bytes().to_vec());
        match there == manifest.bytes() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Terminal, "the load id is taken by another load")
                .with("load", &manifest.load_id)
                .with_hint("load again: a new run gets a new load id")),
        }
    }

    async fn loads(&self, scope: &Scope) -> Result<Vec<LoadId>> {
        // `<dataset>/<pipeline>/<load id>/…`
        let load_of = |key: &String| key.split('/').nth(2).map(LoadId::new);
        let prefix = scope.prefix();
        let objects = self.objects();
        let mut loads: Vec<LoadId> =
            objects.keys().filter(|key| key.starts_with(&prefix)).filter_map(load_of).collect();
        loads.sort();
        loads.dedup();
        Ok(loads)
    }

    async fn read_manifests(&self, scope: &Scope) -> Result<Vec<SealedManifest>> {
        let prefix = scope.prefix();
        let mut manifests = Vec::new();
        for (key, bytes) in self.objects().iter().filter(|(key, _)| key.starts_with(&prefix)) {
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
        let found = self.objects().get(&file.key).cloned();
        let bytes = found.ok_or_else(|| damaged("it is gone"))?;
        if Sha256Hex::of(&bytes) != file.file.sha256 {
            return Err(damaged("its content is not what was staged"));
        }
        let folder = to.parent().unwrap_or(to);
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(to, bytes)).map_err(|error| {
            // A part of it would be taken for the whole.
            let _ = std::fs::remove_file(to);
            Error::new(ErrorKind::Terminal, "a fetched file cannot be written")
                .with("path", to.display())
                .with_source(error)
        })
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<StagedObject>> {
        let prefix = scope.prefix();
        let object = |(key, bytes): (&String, &Vec<u8>)| StagedObject {
            key: key.clone(),
            bytes: bytes.len() as u64,
            // It keeps no times, and nothing in it outlives the process.
            modified_at: "1970-01-01T00:00:00Z".into(),
        };
        Ok(self.objects().iter().filter(|(key, _)| key.starts_with(&prefix)).map(object).collect())
    }

    async fn remove(&self, keys: &[String]) -> Result<()> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let mut objects = self.objects();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }
}
