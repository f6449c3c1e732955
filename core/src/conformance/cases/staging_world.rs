//! What a case for staging destinations works with: a store, a dataset of its own below it, and a package in a folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conformance::case::{Failure, Outcome};
use crate::conformance::folder::{Folder, unique};
use crate::conformance::harness::StagingHarness;
use crate::{
    DataFile, Dataset, Epoch, FileFormat, FollowUp, Job, JobContext, JobOutcome, Load, LoadId,
    MANIFEST_VERSION, Manifest, Result, Schema, Scope, Sha256Hex, StageJob, StagedFile,
    StagingAccess, StagingDestination,
};

/// A world of one case.
pub(in crate::conformance) struct StagingWorld {
    harness: Arc<dyn StagingHarness>,
    /// The staging destination, opened.
    pub(super) staging: Arc<dyn StagingDestination>,
    /// The folder of the package, and of what is fetched.
    pub(super) folder: Folder,
    load: Load,
    schema: Schema,
    files: usize,
}

impl StagingWorld {
    /// A world for a case, with nothing in the store.
    pub(in crate::conformance) fn new(harness: Arc<dyn StagingHarness>) -> Outcome<Self> {
        let text =
            r#"{"version":1,"version_hash":"h","engine_version":11,"name":"suite","tables":{}}"#;
        Ok(Self {
            staging: harness.open()?,
            folder: Folder::new()?,
            load: Load {
                load_id: LoadId::new("1795369539.5"),
                pipeline: "the suite's pipeline".into(),
                dataset: Dataset::new(format!("suite_{}", unique())),
                digest: Sha256Hex::of(b"digest"),
                epoch: Epoch(1),
            },
            schema: Schema::from_json(text)?,
            files: 0,
            harness,
        })
    }

    /// The harness.
    pub(super) fn harness(&self) -> &dyn StagingHarness {
        self.harness.as_ref()
    }

    /// Everything that this case may have put there.
    pub(super) fn scope(&self) -> Scope {
        Scope { dataset: Some(self.load.dataset.name.clone()), ..Scope::default() }
    }

    /// The same for one pipeline, and one load of it.
    pub(super) fn scope_of(&self, pipeline: &str, load: Option<&str>) -> Scope {
        Scope {
            pipeline: Some(pipeline.to_owned()),
            load_id: load.map(str::to_owned),
            ..self.scope()
        }
    }

    /// Removes everything that this case has put there.
    pub(in crate::conformance) async fn clean_up(&self) -> Outcome {
        let objects = self.staging.list(&self.scope()).await?;
        let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
        Ok(self.staging.remove(&keys).await?)
    }

    /// A file of a table with these bytes, one row a byte. To a store they are only bytes.
    pub(super) fn file(&mut self, table: &str, bytes: &[u8]) -> Outcome<DataFile> {
        self.file_in(table, bytes, self.staging.capabilities().formats.first().copied())
    }

    /// The same in a format.
    pub(super) fn file_in(
        &mut self,
        table: &str,
        bytes: &[u8],
        format: Option<FileFormat>,
    ) -> Outcome<DataFile> {
        let format = format.ok_or_else(|| Failure::untrue("it claims no format"))?;
        self.files += 1;
        let sha256 = Sha256Hex::of(bytes);
        let file = DataFile {
            table: table.into(),
            name: DataFile::name_of(self.files, &sha256, format, false),
            format,
            gzip: false,
            rows: bytes.len() as u64,
            bytes: bytes.len() as u64,
            sha256,
            columns: vec!["c".into()],
            bounds: BTreeMap::new(),
            longest: BTreeMap::new(),
        };
        self.write(&file, bytes)?;
        Ok(file)
    }

    /// Writes these bytes where a file lies, as damage would.
    pub(super) fn write(&self, file: &DataFile, bytes: &[u8]) -> Outcome {
        let path = self.folder.path().join(file.path());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(std::fs::write(path, bytes)?)
    }

    /// The manifest of a load with these files.
    pub(super) fn manifest(&self, load_id: &str, files: Vec<DataFile>) -> Manifest {
        Manifest {
            manifest_version: MANIFEST_VERSION,
            load_id: LoadId::new(load_id),
            pipeline: self.load.pipeline.clone(),
            dataset: self.load.dataset.clone(),
            created_at: "2026-11-22T17:45:39.736473Z".into(),
            destination: "nowhere".into(),
            place: "nowhere".into(),
            previous: None,
            staging: Some("here".into()),
            format: FileFormat::Parquet,
            tables: files.iter().map(|file| file.table.clone()).collect(),
            files,
            schema: self.schema.clone(),
            state: None,
        }
    }

    /// The key of a file of this case's load.
    pub(super) fn key(&self, file: &DataFile) -> String {
        self.manifest(self.load.load_id.as_str(), Vec::new()).key_of(file)
    }

    /// The job that stages a file.
    pub(super) fn job(&self, file: &DataFile) -> Job {
        Job::Stage(StageJob { file: file.clone(), key: self.key(file) })
    }

    /// Runs a job on a staging destination.
    pub(super) async fn run(
        &self,
        staging: &dyn StagingDestination,
        job: &Job,
    ) -> Result<JobOutcome> {
        let context = JobContext {
            load: &self.load,
            schema: &self.schema,
            folder: self.folder.path(),
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        };
        staging.stage(job, &context).await
    }

    /// Stages a file, and returns the copy that it asks for.
    pub(super) async fn stage(&self, file: &DataFile) -> Outcome<StagedFile> {
        let outcome = self.run(self.staging.as_ref(), &self.job(file)).await?;
        match <[FollowUp; 1]>::try_from(outcome.follow_ups) {
            Ok([FollowUp::Copy(staged)]) => Ok(staged),
            other => Err(Failure::untrue(format!("staging asks for one copy, not for {other:?}"))),
        }
    }

    /// Ends the case unless an object has these bytes.
    pub(super) async fn expect(&self, key: &str, bytes: Option<&[u8]>) -> Outcome {
        let found = self.harness.object(key).await?;
        let length = |bytes: Option<&[u8]>| bytes.map(<[u8]>::len);
        if found.as_deref() == bytes {
            return Ok(());
        }
        Err(Failure::untrue(format!(
            "the object {key} has {:?} bytes of {:?}, or others",
            length(found.as_deref()),
            length(bytes)
        )))
    }
}
