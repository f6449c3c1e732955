//! The staging destination: objects with names of their own, written once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::{
    AccessKind, AccessRequest, Error, ErrorKind, FileFormat, FollowUp, Job, JobContext, JobOutcome,
    JobStatistics, LoadId, MANIFEST_NAME, Result, Scope, SealedManifest, StagedFile, StagedObject,
    StagingAccess, StagingCapabilities, StagingDestination, StorageKind,
};

use crate::config::FilesystemSettings;
use crate::store::{Created, Store, repeatable};
use crate::upload::{InTheWay, download, upload};

/// Makes the staging destination. Opens no connection.
pub(crate) fn create(settings: &Settings) -> Result<Arc<dyn StagingDestination>> {
    let configured: FilesystemSettings = settings.read()?;
    Ok(Arc::new(FilesystemStaging::new(Store::new(settings, &configured)?)))
}

#[derive(Debug)]
pub(crate) struct FilesystemStaging {
    store: Store,
    capabilities: StagingCapabilities,
}

impl FilesystemStaging {
    pub(crate) fn new(store: Store) -> Self {
        let mut access = Vec::new();
        // Which of them is taken is for the destination to say.
        match store.kind() {
            StorageKind::Local => access.push(AccessKind::LocalPaths),
            storage => {
                access.extend(store.lends().then_some(AccessKind::TemporaryCredentials));
                access.extend(store.signs().then_some(AccessKind::SignedUrls));
                // Google has neither keys of this kind nor signatures for a bucket.
                access.extend((storage != StorageKind::Gcs).then_some(AccessKind::Credentials));
            }
        }
        let capabilities = StagingCapabilities {
            storage: store.kind(),
            formats: FileFormat::ALL.to_vec(),
            access,
            max_parallel_uploads: None,
        };
        Self { store, capabilities }
    }
}

impl FilesystemStaging {
    /// The prefixes of the loads in a scope: folders are listed, not the objects in them.
    async fn prefixes(&self, scope: &Scope) -> Result<Vec<String>> {
        let mut prefixes = vec![scope.prefix()];
        let depth = prefixes[0].matches('/').count();
        for _ in depth..LEVELS {
            let mut deeper = Vec::new();
            for prefix in prefixes {
                let folders = self.store.folders(&prefix).await?.into_iter();
                deeper.extend(folders.map(|folder| format!("{prefix}{folder}/")));
            }
            prefixes = deeper;
        }
        Ok(prefixes)
    }
}

/// Levels of folders above the files of a load: dataset, pipeline, load.
const LEVELS: usize = 3;

#[async_trait]
impl StagingDestination for FilesystemStaging {
    fn capabilities(&self) -> &StagingCapabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<()> {
        self.store.check().await
    }

    fn url(&self, key: &str) -> String {
        self.store.url(key)
    }

    async fn stage(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        let Job::Stage(stage) = job else {
            return Err(Error::new(ErrorKind::Bug, "a staging destination only stages")
                .with("job", job.id()));
        };
        let from = context.folder.join(stage.file.path());
        let (key, file) = (&stage.key, &stage.file);
        let uploaded =
            upload(&self.store, &from, key, file, InTheWay::Replace, context.on_bytes).await?;
        let staged = StagedFile {
            file: file.clone(),
            key: key.clone(),
            url: self.store.url(key),
            etag: uploaded.etag,
        };
        Ok(JobOutcome {
            statistics: JobStatistics { bytes: uploaded.moved, ..JobStatistics::default() },
            follow_ups: vec![FollowUp::Copy(staged)],
        })
    }

    async fn write_manifest(&self, manifest: &SealedManifest) -> Result<()> {
        let key = manifest.key();
        self.store.creates_only_what_is_absent().await?;
        let created = self.store.create(&key, &manifest.bytes().to_vec().into()).await;
        // What becomes of a request in flight does not matter here: the same content may be written again.
        let created = created.map_err(repeatable)?;
        match created {
            Created::Equal => Ok(()),
            Created::Other(_) => {
                Err(Error::new(ErrorKind::Terminal, "the load id is taken by another load")
                    .with("load", &manifest.load_id)
                    .with("manifest", self.store.url(&key))
                    .with_hint("load again: a new run gets a new load id"))
            }
        }
    }

    async fn loads(&self, scope: &Scope) -> Result<Vec<LoadId>> {
        // The id is the name of the folder: an id is a number, which no name of a folder changes.
        let folder =
            |prefix: &String| prefix.trim_end_matches('/').rsplit('/').next().map(LoadId::new);
        let mut loads: Vec<LoadId> =
            self.prefixes(scope).await?.iter().filter_map(folder).collect();
        loads.sort();
        loads.dedup();
        Ok(loads)
    }

    async fn read_manifests(&self, scope: &Scope) -> Result<Vec<SealedManifest>> {
        let mut manifests = Vec::new();
        for prefix in self.prefixes(scope).await? {
            let key = format!("{prefix}{MANIFEST_NAME}");
            // A load whose files are not all there yet has none.
            let Some(bytes) = self.store.read(&key).await? else { continue };
            let url = self.store.url(&key);
            let manifest = SealedManifest::from_bytes(bytes.to_vec())
                .map_err(|error| error.with("manifest", &url))?;
            if manifest.key() != key {
                return Err(Error::new(
                    ErrorKind::Terminal,
                    "a manifest lies in the place of another load",
                )
                .with("manifest", url)
                .with("load", &manifest.load_id));
            }
            manifests.push(manifest);
        }
        manifests.sort_by(|a, b| a.load_id.cmp(&b.load_id));
        Ok(manifests)
    }

    async fn grant(&self, request: &AccessRequest) -> Result<StagingAccess> {
        let wanted = request.takes.iter().find(|kind| self.capabilities.access.contains(kind));
        match wanted {
            Some(AccessKind::LocalPaths) => {
                let mut paths = BTreeMap::new();
                for file in &request.files {
                    if let Some(path) = self.store.local_path(&file.key)? {
                        paths.insert(file.key.clone(), path);
                    }
                }
                return Ok(StagingAccess::LocalPaths(paths));
            }
            Some(AccessKind::TemporaryCredentials) => {
                let keys: Vec<&str> = request.files.iter().map(|file| file.key.as_str()).collect();
                if let Some(token) = self.store.token(&keys).await? {
                    return Ok(StagingAccess::Token(token));
                }
                if let Some(credentials) = self.store.lent(&keys).await? {
                    return Ok(StagingAccess::Credentials(credentials));
                }
            }
            Some(AccessKind::SignedUrls) => {
                let mut urls = BTreeMap::new();
                for file in &request.files {
                    if let Some(url) = self.store.signed_url(&file.key).await? {
                        urls.insert(file.key.clone(), url);
                    }
                }
                return Ok(StagingAccess::SignedUrls(urls));
            }
            Some(AccessKind::Credentials) => {
                if let Some(signature) = self.store.shared_access().await? {
                    return Ok(StagingAccess::SharedAccess(signature));
                }
                if let Some(credentials) = self.store.credentials().await? {
                    return Ok(StagingAccess::Credentials(credentials));
                }
            }
            _ => {}
        }
        let listed = |kinds: &[AccessKind]| {
            if kinds.is_empty() {
                return "nothing".to_owned();
            }
            kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
        };
        let error = Error::new(
            ErrorKind::Unsupported,
            "the destination cannot be let at the files in this storage",
        )
        .with("storage", self.store.url(""))
        .with("it gives", listed(&self.capabilities.access))
        .with("the destination takes", listed(&request.takes));
        let wants_addresses = request.takes.contains(&AccessKind::SignedUrls);
        Err(match self.store.kind() {
            StorageKind::Gcs if wants_addresses => error.with_hint(
                "addresses are signed with the key of a service account, which users and machines do not have: set \
                 `credentials.client_email` and `credentials.private_key`, or name the key file in \
                 `credentials.application_credentials`",
            ),
            StorageKind::Azure if wants_addresses => error.with_hint(
                "a shared access signature opens more than one file, so no address carries it: set \
                 `credentials.azure_storage_account_key`, or a service principal, in its place",
            ),
            _ => error,
        })
    }

    async fn fetch(&self, file: &StagedFile, to: &Path) -> Result<()> {
        download(&self.store, &file.key, &file.file, to).await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<StagedObject>> {
        self.store.list(&scope.prefix()).await
    }

    async fn remove(&self, keys: &[String]) -> Result<()> {
        self.store.remove(keys).await
    }
}
