//! A pipeline: built once, run as often as there are rows.

mod builder;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use transload_core::{
    DataType, Dataset, DatasetState, Destination, Error, ErrorKind, FileFormat, Inquiry, LoadId,
    MANIFEST_VERSION, Manifest, Redactor, Result, Schema, Sha256Hex, StagingDestination,
    WriteDisposition,
};

pub use builder::{
    DestinationSettings, LoadSettings, PipelineBuilder, SchemaSettings, WriterSettings, pipeline,
};

use crate::arrow_types::Defaults;
use crate::clock;
use crate::extract;
use crate::hints::{self, Names};
use crate::load::negotiate::negotiate;
use crate::load::{
    Chosen, Endpoint, Event, LoadInfo, LoadStatus, Loader, Observer, Receipt, RunError, Step,
};
use crate::load::{Retries, known_loads, receipt_of};
use crate::normalize::{Naming, Options, random_id};
use crate::package::{Package, WorkingFolder};
use crate::resource::{IntoResources, Resource};
use crate::state::{Identity, PipelineState};
use crate::stop::Stop;
use crate::write::WriteOptions;

/// A pipeline: resources into one dataset of one destination, perhaps through one staging destination.
pub struct Pipeline {
    name: String,
    schema_name: String,
    destination: Chosen<dyn Destination>,
    staging: Option<Chosen<dyn StagingDestination>>,
    dataset: Dataset,
    folder: PathBuf,
    working: WorkingFolder,
    naming: Option<Naming>,
    load: LoadSettings,
    writer: WriterSettings,
    redactor: Redactor,
    observer: Arc<dyn Observer>,
    stop: Stop,
    warnings: Vec<String>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("dataset", &self.dataset)
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The folder of the pipeline's packages.
    pub fn working_folder(&self) -> &WorkingFolder {
        &self.working
    }

    /// A handle by which a run can be asked to end.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Finishes what earlier runs left unfinished, then loads the rows of the resources.
    ///
    /// Where an unfinished load was read from the very files of this run (same names, sizes and times), finishing it is
    /// what this run was started for, and they are not loaded once more. Rows that do not come from files are always
    /// loaded.
    ///
    /// When it returns without an error, every row is in the dataset exactly once. After an error that came before the
    /// package was sealed nothing was loaded; after a later one the package is kept, and the next run or
    /// [`resume`](Self::resume) finishes it.
    ///
    /// # Errors
    /// [`RunError`] with the reason, and with what was done until then.
    pub async fn run(&self, resources: impl IntoResources) -> Result<LoadInfo, RunError> {
        let resources = resources.into_resources();
        let mut info = LoadInfo { pipeline: self.name.clone(), loads: Vec::new() };
        let result = self.run_all(resources, &mut info).await;
        self.conclude(result, info)
    }

    /// Finishes what earlier runs left unfinished, from the packages of this machine.
    ///
    /// # Errors
    /// [`RunError`] with the reason, and with what was done until then.
    pub async fn resume(&self) -> Result<LoadInfo, RunError> {
        let mut info = LoadInfo { pipeline: self.name.clone(), loads: Vec::new() };
        let result = async {
            let _lock = self.working.lock()?;
            self.finish_pending(None, &mut info).await.map(drop)
        }
        .await;
        self.conclude(result, info)
    }

    fn conclude(&self, result: Result<()>, mut info: LoadInfo) -> Result<LoadInfo, RunError> {
        let scrub = |text: &mut String| *text = self.redactor.scrub(text).into_owned();
        for receipt in &mut info.loads {
            receipt.warnings.iter_mut().for_each(scrub);
            receipt.error = receipt
                .error
                .take()
                .map(|report| report.map(|text| self.redactor.scrub(text).into_owned()));
        }
        match result {
            Ok(()) => Ok(info),
            Err(error) => {
                Err(RunError { error: error.redacted(&self.redactor), info: Box::new(info) })
            }
        }
    }

    async fn run_all(&self, resources: Vec<Resource>, info: &mut LoadInfo) -> Result<()> {
        if resources.is_empty() {
            return Err(Error::new(ErrorKind::Configuration, "there is nothing to run")
                .with("pipeline", &self.name)
                .with_hint("name a table and its source: `--table t --source rows.jsonl`"));
        }
        let skips =
            |resource: &Resource| resource.write_disposition == Some(WriteDisposition::Skip);
        let resources: Vec<Resource> = resources.into_iter().filter(|r| !skips(r)).collect();
        if resources.is_empty() {
            return Ok(());
        }
        // Asked before anything is done: what cannot be done at all is said at once.
        let format = self.format(&resources, None)?;
        let resources: Vec<Resource> =
            resources.into_iter().map(|resource| self.rooted(resource)).collect();
        let fingerprint = extract::fingerprint(&resources)?;
        let _lock = self.working.lock()?;
        if self.finish_pending(fingerprint.as_ref(), info).await? {
            self.observe(Event::Warning(
                "these files were being loaded when an earlier run was interrupted; that load is now complete, and they \
                 were not loaded once more"
                    .to_owned(),
            ));
            return Ok(());
        }

        let started_at = clock::now();
        let start = Instant::now();
        let state = self.describe().await?;
        let packages = self.working.packages()?;
        let last = state.fence.as_ref().and_then(|fence| fence.last_load.as_ref());
        let load_id = clock::new_load_id(SystemTime::now(), known_loads(&packages, last));
        self.observe(Event::LoadStarted { load_id: load_id.clone(), resumed: false });
        let mut receipt = Receipt {
            pipeline: self.name.clone(),
            load_id: Some(load_id.clone()),
            dataset: self.dataset.name.clone(),
            format: Some(format),
            started_at,
            warnings: self.warnings.clone(),
            ..self.new_receipt()
        };
        let sealed =
            match self.seal(resources, fingerprint.as_ref(), format, &state, &load_id).await {
                Ok(sealed) => sealed,
                Err(error) => {
                    receipt.finished_at = clock::now();
                    receipt.error = Some(error.report());
                    info.loads.push(receipt);
                    return Err(error);
                }
            };
        let (folder, manifest) = sealed;
        let mut of_package = receipt_of(&manifest);
        of_package.started_at = receipt.started_at;
        of_package.warnings = receipt.warnings;
        of_package.seconds.insert(Step::Normalise, start.elapsed().as_secs_f64());
        self.load_package(&folder, &manifest, of_package, info).await
    }

    /// Reads, normalises and writes the rows, and seals the package.
    async fn seal(
        &self,
        resources: Vec<Resource>,
        fingerprint: Option<&Sha256Hex>,
        format: FileFormat,
        state: &DatasetState,
        load_id: &LoadId,
    ) -> Result<(PathBuf, Manifest)> {
        let mut schema = match &state.schema {
            Some(text) => Schema::from_json(text)?,
            None => hints::new_schema(&self.schema_name, self.naming.unwrap_or_default()),
        };
        let naming = hints::naming_of(&schema, self.naming)?;
        let capabilities = self.destination.plugin.capabilities();
        let identifiers = &capabilities.identifiers;
        let names = Names {
            naming,
            max_length: identifiers.max_table_length.min(identifiers.max_column_length),
        };
        let mut opened = Vec::new();
        let mut tables: Vec<String> = Vec::new();
        for resource in resources {
            let table = hints::apply(&mut schema, &resource, names)?;
            if !tables.contains(&table) {
                tables.push(table.clone());
            }
            opened.push(extract::open(resource, table)?);
        }
        let options = Options {
            defaults: Defaults::of(capabilities),
            max_identifier_length: names.max_length,
            naming: names.naming,
            ..Options::new(load_id.as_str())
        };
        let folder = self.working.begin(load_id)?;
        let write = WriteOptions {
            literals: capabilities.literals.clone(),
            file_bytes: self
                .writer
                .file_max_bytes
                .or(capabilities.file_bytes)
                .unwrap_or(DEFAULT_FILE_BYTES),
            gzip: !self.writer.disable_compression,
            ..WriteOptions::new(format, folder.clone())
        };
        self.observe(Event::StepStarted { step: Step::Normalise, jobs: None });
        let (observer, stop) = (self.redacting_observer(), self.stop.clone());
        let work = move || extract::extract(opened, schema, options, write, &observer, &stop);
        let extraction = match tokio::task::spawn_blocking(work).await {
            Ok(Ok(extraction)) => extraction,
            Ok(Err(error)) => {
                self.discard(&folder);
                return Err(error);
            }
            Err(panic) => {
                self.discard(&folder);
                return Err(Error::new(ErrorKind::Bug, "the normaliser ended unexpectedly")
                    .with_source(panic));
            }
        };
        self.observe(Event::StepEnded(Step::Normalise));
        self.stop.check()?;

        let created_at = clock::now();
        let mut schema = extraction.schema;
        let mut pipeline_state = match &state.state {
            Some(row) => PipelineState::from_row(row)?,
            None => PipelineState::new(),
        };
        let names = |endpoint: &Endpoint| (endpoint.name.clone(), endpoint.r#type.clone());
        let destination = names(&self.destination.endpoint);
        let staging = self.staging.as_ref().map(|staging| names(&staging.endpoint));
        pipeline_state.identify(&Identity {
            pipeline: &self.name,
            dataset: &self.dataset.name,
            schema: &self.schema_name,
            destination: (&destination.0, &destination.1),
            staging: staging.as_ref().map(|staging| (staging.0.as_str(), staging.1.as_str())),
        });
        let state_row = pipeline_state.bump(&created_at, random_id());
        if state_row.is_some() {
            hints::add_state_table(&mut schema);
        }
        schema.bump();
        let manifest = Manifest {
            manifest_version: MANIFEST_VERSION,
            load_id: load_id.clone(),
            pipeline: self.name.clone(),
            dataset: self.dataset.clone(),
            created_at,
            destination: self.destination.endpoint.name.clone(),
            staging: self.staging.as_ref().map(|staging| staging.endpoint.name.clone()),
            format,
            tables,
            files: extraction.files,
            schema,
            state: state_row,
        };
        if let Some(fingerprint) = fingerprint {
            self.working.note_source(&folder, fingerprint)?;
        }
        self.working.seal(&folder, &manifest)?;
        Ok((folder, manifest))
    }

    /// Finishes the packages that earlier runs sealed, the oldest first. Returns whether one of them was read from what
    /// has this fingerprint.
    async fn finish_pending(
        &self,
        fingerprint: Option<&Sha256Hex>,
        info: &mut LoadInfo,
    ) -> Result<bool> {
        let mut found = false;
        for folder in self.working.set_unsealed_aside()? {
            self.observe(Event::Warning(format!(
                "a run ended before its package was sealed; nothing of it was loaded, its files are in {}",
                folder.display()
            )));
        }
        for Package { load_id, folder, status } in self.working.pending()? {
            self.observe(Event::LoadStarted { load_id: load_id.clone(), resumed: true });
            let package = Package { load_id, folder, status };
            let manifest = package.manifest()?;
            found |= package.is_from(fingerprint);
            if manifest.dataset != self.dataset
                || manifest.destination != self.destination.endpoint.name
            {
                return Err(Error::new(ErrorKind::Configuration, "an unfinished load of this pipeline goes elsewhere")
                    .with("load", &manifest.load_id)
                    .with("its destination", &manifest.destination)
                    .with("its dataset", &manifest.dataset.name)
                    .with_hint("finish it first: `transload resume` with that destination and dataset, or move its \
                                folder out of the working folder"));
            }
            let mut receipt = receipt_of(&manifest);
            receipt.started_at = clock::now();
            receipt.resumed = true;
            self.load_package(&package.folder, &manifest, receipt, info).await?;
        }
        Ok(found)
    }

    /// Loads a sealed package, and records in its folder and in `info` what became of it.
    async fn load_package(
        &self,
        folder: &Path,
        manifest: &Manifest,
        mut receipt: Receipt,
        info: &mut LoadInfo,
    ) -> Result<()> {
        let observer = self.redacting_observer();
        let loader = Loader {
            destination: &self.destination,
            staging: self.staging.as_ref(),
            observer: &observer,
            stop: &self.stop,
            workers: self.load.workers.max(1),
        };
        let endpoints = self.new_receipt();
        (receipt.destination, receipt.staging) = (endpoints.destination, endpoints.staging);
        let result = loader.load(folder, manifest, &mut receipt).await;
        let result = result.map_err(|error| match error.kind() {
            // It would fail again, and the runs after it with it: the user has to know what to move out of the way.
            ErrorKind::Terminal | ErrorKind::BadData | ErrorKind::Unsupported => {
                error.with("package", folder.display())
            }
            _ => error,
        });
        receipt.finished_at = clock::now();
        receipt.error = result.as_ref().err().map(Error::report);
        receipt.error =
            receipt.error.map(|report| report.map(|text| self.redactor.scrub(text).into_owned()));
        let mut bytes = serde_json::to_vec_pretty(&receipt).unwrap_or_default();
        bytes.push(b'\n');
        let recorded =
            self.working.write_receipt(folder, &bytes).and_then(|()| match receipt.status {
                LoadStatus::Loaded => {
                    self.working.finish(folder, manifest, !self.load.delete_completed_jobs)
                }
                _ => Ok(()),
            });
        if let Err(error) = &recorded {
            // A hint that is lost: the destination knows that the load is complete.
            let warning = format!(
                "the load is recorded in the destination, but not in the working folder: {error}"
            );
            self.observe(Event::Warning(warning.clone()));
            receipt.warnings.push(warning);
        }
        info.loads.push(receipt);
        result
    }

    /// What the dataset holds now.
    async fn describe(&self) -> Result<DatasetState> {
        let inquiry = Inquiry {
            dataset: self.dataset.clone(),
            pipeline: self.name.clone(),
            schema: self.schema_name.clone(),
            load: None,
        };
        let describe = || self.destination.plugin.describe(&inquiry);
        Retries::default().run(&self.redacting_observer(), &self.stop, describe).await
    }

    /// The format of the files, and whether the destination can do with every table what is asked.
    fn format(&self, resources: &[Resource], types: Option<&[DataType]>) -> Result<FileFormat> {
        use crate::load::negotiate::check_disposition;
        let capabilities = self.destination.plugin.capabilities();
        let side = (self.destination.endpoint.name.as_str(), capabilities);
        let mut wanted: Option<(&str, FileFormat)> = None;
        for (index, resource) in resources.iter().enumerate() {
            let disposition = resource.write_disposition.unwrap_or_default();
            let other = resources[..index].iter().find(|other| other.table == resource.table);
            if let Some(other) =
                other.filter(|o| o.write_disposition.unwrap_or_default() != disposition)
            {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "two resources want different things of one table",
                )
                .with("table", &resource.table)
                .with(other.name.clone(), other.write_disposition.unwrap_or_default())
                .with(resource.name.clone(), disposition)
                .with_hint("give both the same write disposition, or tables of their own"));
            }
            check_disposition(
                side,
                &resource.table,
                disposition,
                resource.merge_strategy,
                resource.replace_strategy,
            )?;
            match (wanted, resource.loader_file_format) {
                (Some((other, format)), Some(asked)) if asked != format => {
                    return Err(Error::new(
                        ErrorKind::Configuration,
                        "the resources of one run ask for two formats",
                    )
                    .with(other.to_owned(), format)
                    .with(resource.name.clone(), asked)
                    .with_hint("ask for one, or run them apart"));
                }
                (None, Some(asked)) => wanted = Some((&resource.name, asked)),
                _ => {}
            }
        }
        let staging = self.staging.as_ref();
        let staging =
            staging.map(|staging| (staging.endpoint.name.as_str(), staging.plugin.capabilities()));
        let wanted = wanted.map(|(_, format)| format);
        Ok(negotiate(side, staging, wanted, types.unwrap_or_default())?.format)
    }

    /// The resource with its files taken from the pipeline's folder.
    fn rooted(&self, mut resource: Resource) -> Resource {
        if let crate::resource::RowSource::Files(paths) = &mut resource.source {
            for path in paths.iter_mut().filter(|path| path.as_os_str() != "-") {
                // Paths are shown in errors: one that is already right stays as the user wrote it.
                if self.folder != Path::new(".") {
                    *path = self.folder.join(&*path);
                }
            }
        }
        resource
    }

    fn new_receipt(&self) -> Receipt {
        Receipt {
            destination: self.destination.endpoint.clone(),
            staging: self.staging.as_ref().map(|staging| staging.endpoint.clone()),
            ..Receipt::default()
        }
    }

    /// Removes a package that was never sealed, after an error that the user is told.
    fn discard(&self, folder: &Path) {
        // What stays behind is set aside by the next run.
        let _ = fs::remove_dir_all(folder);
    }

    fn observe(&self, event: Event) {
        self.redacting_observer().observe(event);
    }

    fn redacting_observer(&self) -> Redacting {
        Redacting { observer: Arc::clone(&self.observer), redactor: self.redactor.clone() }
    }
}

/// Bytes at which a file is cut where neither the configuration nor the destination says.
const DEFAULT_FILE_BYTES: u64 = 128 << 20;

/// Takes secrets out of what an observer is told.
struct Redacting {
    observer: Arc<dyn Observer>,
    redactor: Redactor,
}

impl Observer for Redacting {
    fn observe(&self, event: Event) {
        let scrub = |text: &str| self.redactor.scrub(text).into_owned();
        self.observer.observe(match event {
            Event::Retrying { error, seconds } => {
                Event::Retrying { error: error.map(scrub), seconds }
            }
            Event::Warning(text) => Event::Warning(scrub(&text)),
            other => other,
        });
    }
}
