//! A pipeline: built once, run as often as there are rows.

mod bucket_rule;
mod builder;
mod format;
mod leftovers;
mod lifecycle;
mod replay;
mod resume;
mod writer;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use transload_core::{
    Dataset, DatasetState, Destination, Error, ErrorKind, FileFormat, Inquiry, LoadId,
    MANIFEST_VERSION, Manifest, Redactor, Result, Schema, SealedManifest, StagingDestination,
    WriteDisposition,
};

pub use bucket_rule::BucketRule;
pub use leftovers::{StagingTable, StagingTableState};
use lifecycle::Lifecycle;
pub use lifecycle::{Age, StagedFiles, StagedLoad, StagedLoadState};
use resume::Origin;

pub use builder::{
    DestinationSettings, LoadSettings, NormalizeSettings, ParquetSettings, PipelineBuilder,
    SchemaSettings, Timeout, Workers, pipeline,
};
pub use writer::{ParquetCompression, WriterSettings};

use crate::arrow_types::Defaults;
use crate::clock;
use crate::extract;
use crate::hints;
use crate::incremental::Memory;
use crate::load::plan;
use crate::load::{
    Chosen, Endpoint, Event, LoadInfo, Loader, Observer, Order, Patience, Receipt, RunError, Step,
};
use crate::load::{known_loads, receipt_of};
use crate::normalize::{AddedColumns, Naming, Options, random_id};
use crate::package::WorkingFolder;
use crate::resource::{IntoResources, Resource, RowSource};
use crate::schema_files::SchemaFiles;
use crate::source::remote::{Stores, is_url};
use crate::source::{Warnings, input};
use crate::state::{Identity, PipelineState};
use crate::stop::Stop;
use crate::write::{Workers as Encoders, WriteOptions};

/// A pipeline: resources into one dataset of one destination, perhaps through one staging destination, from which further
/// destinations may follow.
#[derive(Clone)]
pub struct Pipeline {
    name: String,
    schema_name: String,
    destination: Chosen<dyn Destination>,
    staging: Option<Chosen<dyn StagingDestination>>,
    dataset: Dataset,
    folder: PathBuf,
    working: WorkingFolder,
    naming: Option<Naming>,
    normalize: NormalizeSettings,
    parquet: ParquetSettings,
    schema_settings: SchemaSettings,
    schema_files: SchemaFiles,
    /// The convention of new schemas, where none is asked for.
    default_naming: Option<Naming>,
    load: LoadSettings,
    lifecycle: Lifecycle,
    stores: Arc<Stores>,
    redactor: Redactor,
    observer: Arc<dyn Observer>,
    stop: Stop,
    warnings: Vec<String>,
    /// The further destinations, each as a pipeline with another aim. They get each load from the staging storage.
    followers: Vec<Pipeline>,
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

    /// The schema that the destination stores for this pipeline; none where nothing was loaded yet.
    ///
    /// # Errors
    /// As the destination gives them; [`ErrorKind::Terminal`] where what it stores is no schema that is understood.
    pub async fn stored_schema(&self) -> Result<Option<Schema>> {
        let state = self.describe().await.map_err(|error| error.redacted(&self.redactor))?;
        state.schema.as_deref().map(Schema::from_json).transpose()
    }

    /// Finishes what earlier runs left unfinished, then loads the rows of the resources.
    ///
    /// Files of this run from which an unfinished load was read (same table, path, size and time) are not loaded once more:
    /// finishing that load is what this run was started for. Rows that do not come from files are always loaded.
    ///
    /// When it returns without an error, every row is in the dataset of each destination exactly once. After an error that came before the
    /// package was sealed nothing was loaded; after a later one the package is kept, and the next run or
    /// [`resume`](Self::resume) finishes it.
    ///
    /// # Errors
    /// [`RunError`] with the reason, and with what was done until then.
    pub async fn run(&self, resources: impl IntoResources) -> Result<LoadInfo, RunError> {
        let resources = resources.into_resources();
        let mut info = LoadInfo { pipeline: self.name.clone(), loads: Vec::new() };
        let result = self.run_all(resources, &mut info).await;
        let result = self.after_loads(result, &mut info).await;
        self.conclude(result, info)
    }

    fn conclude(&self, result: Result<()>, mut info: LoadInfo) -> Result<LoadInfo, RunError> {
        info.loads.iter_mut().for_each(|receipt| self.scrub(receipt));
        match result {
            Ok(()) => Ok(info),
            Err(error) => {
                Err(RunError { error: error.redacted(&self.redactor), info: Box::new(info) })
            }
        }
    }

    /// Takes secrets out of what engines and drivers said.
    fn scrub(&self, receipt: &mut Receipt) {
        let scrub = |text: &str| self.redactor.scrub(text).into_owned();
        receipt.warnings.iter_mut().for_each(|warning| *warning = scrub(warning));
        receipt.error = receipt.error.take().map(|report| report.map(scrub));
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
            let _lock = self.working.lock()?;
            return self.finish_pending(info).await.map(drop);
        }
        // Asked before anything is done: what cannot be done at all is said at once.
        self.format(&resources, None)?;
        let mut resources: Vec<Resource> =
            resources.into_iter().map(|resource| self.rooted(resource)).collect();
        input::find_files(&mut resources, &self.stores).await?;
        let _lock = self.working.lock()?;
        let brought = self.finish_pending(info).await?;
        let marks = input::marks(&resources)?;
        resources = input::without(resources, &brought)?;
        let again = marks.len().saturating_sub(input::marks(&resources)?.len());
        if again > 0 {
            self.observe(Event::Warning(format!(
                "{again} of the files were being loaded when an earlier run was interrupted; that load is now \
                 complete, and they are not loaded once more"
            )));
        }
        let (mut resources, notes) = self.leave_out_held(resources)?;
        if resources.is_empty() {
            return Ok(());
        }

        let started_at = clock::now();
        let start = Instant::now();
        let state = self.describe().await?;
        // Asked for after the pending loads are published: what they loaded is remembered in it.
        let remembered = match &state.state {
            Some(row) => PipelineState::from_row(row)?,
            None => PipelineState::new(),
        };
        let memory = Memory::recall(&remembered, &self.schema_name, &mut resources)?;
        resources.retain(|resource| {
            let skipped = memory.skipped(&resource.name);
            if skipped > 0 {
                self.observe(Event::Warning(format!(
                    "{skipped} files of the resource `{}` were loaded before and are left out",
                    resource.name
                )));
            }
            skipped == 0
                || !matches!(&resource.source, RowSource::Files(files) if files.found.is_empty())
        });
        if resources.is_empty() {
            return Ok(());
        }
        let stored = state.schema.as_deref().map(Schema::from_json).transpose()?;
        let format = self.format(&resources, stored.as_ref())?;
        let packages = self.working.packages()?;
        let last = state.fence.as_ref().and_then(|fence| fence.last_load.as_ref());
        let load_id = clock::new_load_id(SystemTime::now(), known_loads(&packages, last));
        self.begin(&load_id, false);
        let mut receipt = Receipt {
            pipeline: self.name.clone(),
            load_id: Some(load_id.clone()),
            dataset: self.dataset.name.clone(),
            format: Some(format),
            started_at,
            warnings: self.warnings.iter().cloned().chain(notes).collect(),
            ..self.new_receipt()
        };
        let folder = self.working.begin(&load_id)?;
        let memory = (remembered, memory);
        let sealed = self.seal(&folder, resources, format, &state, memory, &load_id);
        let (manifest, warnings) = match sealed.await {
            Ok(sealed) => sealed,
            Err(error) => {
                self.working.discard(&folder);
                receipt.finished_at = clock::now();
                receipt.error = Some(error.report());
                info.loads.push(receipt);
                return Err(error);
            }
        };
        let mut of_package = receipt_of(&manifest);
        of_package.started_at = receipt.started_at;
        of_package.warnings = receipt.warnings;
        of_package.warnings.extend(warnings);
        of_package.seconds.insert(Step::Normalise, start.elapsed().as_secs_f64());
        self.load_package(Origin::Package(&folder), &manifest, of_package, info).await
    }

    /// Takes out of the resources the files of loads that are set aside, and says so.
    fn leave_out_held(&self, resources: Vec<Resource>) -> Result<(Vec<Resource>, Vec<String>)> {
        let (aside, held) = self.set_aside_packages()?;
        let mut notes: Vec<String> = aside
            .iter()
            .map(|load_id| {
                format!(
                    "load {load_id} is set aside and stays out of this run; `transload package restore {load_id}` brings \
                     it back"
                )
            })
            .collect();
        input::check_held(&resources, &held)?;
        let before = input::marks(&resources)?.len();
        let resources = input::without(resources, &held)?;
        let held = before.saturating_sub(input::marks(&resources)?.len());
        if held > 0 {
            notes.push(format!(
                "{held} of the files were read by a load that is set aside, and are not read again while it may come \
                 back; `transload package drop` gives them up"
            ));
        }
        for note in &notes {
            self.observe(Event::Warning(note.clone()));
        }
        Ok((resources, notes))
    }

    /// Reads, normalises and writes the rows, and seals the package. After an error nothing is sealed.
    async fn seal(
        &self,
        folder: &Path,
        resources: Vec<Resource>,
        format: FileFormat,
        state: &DatasetState,
        (mut pipeline_state, memory): (PipelineState, Memory),
        load_id: &LoadId,
    ) -> Result<(SealedManifest, Vec<String>)> {
        let stored = state.schema.as_deref().map(Schema::from_json).transpose()?;
        let (stored, warnings) = self.schema_files.import(&self.schema_name, stored)?;
        warnings.into_iter().for_each(|warning| self.observe(Event::Warning(warning)));
        let mut schema = match stored {
            Some(schema) => schema,
            None => {
                let naming = self.naming.or(self.default_naming).unwrap_or_default();
                hints::new_schema(&self.schema_name, naming)
            }
        };
        let capabilities = self.destination.plugin.capabilities();
        let lengths = self.targets().flat_map(|target| {
            let identifiers = &target.destination.plugin.capabilities().identifiers;
            [identifiers.max_table_length, identifiers.max_column_length]
        });
        let max_length = lengths.min().unwrap_or(usize::MAX);
        let names = hints::configure(&mut schema, &self.schema_settings, self.naming, max_length)?;
        let marks = input::marks(&resources)?;
        let warnings = Warnings::default();
        let mut opened = Vec::new();
        let mut tables: Vec<String> = Vec::new();
        let mut wanted: BTreeMap<String, (String, WriteDisposition)> = BTreeMap::new();
        for resource in resources {
            let table = hints::apply(&mut schema, &resource, names)?;
            let disposition = resource.write_disposition.unwrap_or_default();
            match wanted.entry(table.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert((resource.name.clone(), disposition));
                    tables.push(table.clone());
                }
                Entry::Occupied(entry) if entry.get().1 != disposition => {
                    let (name, other) = entry.get();
                    let message = "two resources want different things of one table";
                    return Err(Error::new(ErrorKind::Configuration, message)
                        .with("table", &table)
                        .with(name.clone(), other)
                        .with(resource.name.clone(), disposition)
                        .with_hint(
                            "give both the same write disposition, or tables of their own",
                        ));
                }
                Entry::Occupied(_) => {}
            }
            tables.extend(hints::own_tables(&schema, &resource, &table, names));
            let judge = memory.judge(&resource.name);
            opened.push(extract::open(resource, table, judge, &warnings)?);
        }
        self.schema_files.begin_import(&mut schema)?;
        let options = Options {
            defaults: Defaults::of(capabilities),
            added_columns: AddedColumns {
                load_id: self.parquet.add_dlt_load_id,
                row_id: self.parquet.add_dlt_id,
            },
            max_identifier_length: names.max_length,
            naming: names.naming,
            ..Options::new(load_id.as_str())
        };
        let workers = self.normalize.workers.map_or_else(cores, |workers| workers.0);
        let followers = self.followers.iter().map(|other| other.destination.plugin.capabilities());
        let write = WriteOptions {
            buffer_bytes: BUFFER_BYTES,
            workers: if workers > 1 { Encoders::new(workers)? } else { Encoders::none() },
            ..self.normalize.data_writer.options(capabilities, followers, format, folder)
        };
        self.observe(Event::StepStarted { step: Step::Normalise, jobs: None });
        let (observer, stop) = (self.redacting_observer(), self.stop.clone());
        let plan = extract::Plan {
            options,
            write,
            workers,
            warnings,
            max_set_aside: self.normalize.max_set_aside,
        };
        let work = move || extract::extract(opened, schema, plan, &observer, &stop);
        let extraction = match tokio::task::spawn_blocking(work).await {
            Ok(extraction) => extraction?,
            Err(panic) => {
                return Err(Error::new(ErrorKind::Bug, "the normaliser ended unexpectedly")
                    .with_source(panic));
            }
        };
        self.observe(Event::StepEnded(Step::Normalise));
        self.stop.check()?;

        let created_at = clock::now();
        let mut schema = extraction.schema;
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
        memory.store(&mut pipeline_state, &self.schema_name, &extraction.seen)?;
        let state_row = pipeline_state.bump(&created_at, random_id());
        if state_row.is_some() {
            hints::add_state_table(&mut schema);
        }
        // Nested tables that an earlier load made ones of their own are named by nobody; what is not named is not loaded.
        tables.extend(extraction.files.iter().map(|file| schema.root_of(&file.table).to_owned()));
        let mut named = BTreeSet::new();
        tables.retain(|table| named.insert(table.clone()));
        // Also tables that have rows already: all that this load has for them may have been set aside.
        let has_columns = |name: &&String| {
            schema.tables.get(*name).is_some_and(|table| table.complete_columns().next().is_some())
        };
        let mut with_rows: BTreeSet<String> = tables.iter().filter(has_columns).cloned().collect();
        with_rows.extend(extraction.files.iter().map(|file| file.table.clone()));
        for warning in hints::unbound(&schema, &Vec::from_iter(with_rows))? {
            self.observe(Event::Warning(warning));
        }
        self.schema_files.prepare_export(&mut schema);
        schema.bump();
        let manifest = Manifest {
            manifest_version: MANIFEST_VERSION,
            load_id: load_id.clone(),
            pipeline: self.name.clone(),
            dataset: self.dataset.clone(),
            created_at,
            destination: self.destination.endpoint.name.clone(),
            place: self.destination.plugin.identity(),
            previous: state.fence.as_ref().and_then(|fence| fence.last_load.clone()),
            staging: self.staging.as_ref().map(|staging| staging.endpoint.name.clone()),
            format,
            tables,
            files: extraction.files,
            schema,
            state: state_row,
        };
        let manifest = manifest.seal();
        // A package that can never be loaded must not be sealed: it would stand in the way of every later run.
        let changes = self.loader(&self.redacting_observer()).check(&manifest, state)?;
        for follower in &self.followers {
            // One that cannot be asked now is brought up later.
            let Ok(state) = follower.describe().await else { continue };
            let manifest = replay::aimed(&manifest, &follower.dataset, &follower.destination);
            follower.loader(&self.redacting_observer()).check(&manifest, &state)?;
        }
        self.working.note_source(folder, &marks)?;
        self.working.note_changes(folder, &plan::change_names(&changes))?;
        self.working.seal(folder, &manifest)?;
        if let Err(error) = self.schema_files.export(&manifest.schema) {
            // The load is sealed and goes on: the file is a copy for people.
            self.observe(Event::Warning(format!("the schema was not exported: {error}")));
        }
        Ok((manifest, extraction.warnings))
    }

    /// The pipeline itself, and itself with the aim of each further destination.
    fn targets(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.followers)
    }

    fn loader<'l>(&'l self, observer: &'l dyn Observer) -> Loader<'l> {
        Loader {
            destination: &self.destination,
            staging: self.staging.as_ref(),
            observer,
            stop: &self.stop,
            workers: self.load.workers.0.max(1),
            keeps_staging_tables: self.load.keep_staging_tables,
            order: Order::AsMade,
            patience: self.patience(),
        }
    }

    fn patience(&self) -> Patience {
        Patience {
            retry: self.load.retry_timeout,
            request: self.load.request_timeout.0,
            job: self.load.job_timeout.0,
        }
    }

    /// What the dataset holds now.
    async fn describe(&self) -> Result<DatasetState> {
        let inquiry = self.inquiry();
        self.retried(|| self.destination.plugin.describe(&inquiry)).await
    }

    fn inquiry(&self) -> Inquiry {
        Inquiry {
            dataset: self.dataset.clone(),
            pipeline: self.name.clone(),
            schema: self.schema_name.clone(),
            load: None,
        }
    }

    /// The resource with its files taken from the pipeline's folder.
    fn rooted(&self, mut resource: Resource) -> Resource {
        if let RowSource::Files(files) = &mut resource.source {
            let is_path = |path: &PathBuf| path.as_os_str() != input::STDIN && !is_url(path);
            for path in files.named.iter_mut().filter(|path| is_path(path)) {
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

    fn begin(&self, load_id: &LoadId, resumed: bool) {
        let destination = self.destination.endpoint.name.clone();
        self.observe(Event::LoadStarted { load_id: load_id.clone(), resumed, destination });
    }

    fn observe(&self, event: Event) {
        self.redacting_observer().observe(event);
    }

    fn redacting_observer(&self) -> Redacting {
        Redacting { observer: Arc::clone(&self.observer), redactor: self.redactor.clone() }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of rows that wait in all tables together before a file is opened for some.
const BUFFER_BYTES: usize = 64 << 20;

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
