//! A pipeline: built once, run as often as there are rows.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use transload_core::settings::{SettingValue, Settings};
use transload_core::{
    DataType, Dataset, DatasetState, Destination, Error, ErrorKind, FileFormat, Inquiry, LoadId,
    MANIFEST_VERSION, Manifest, Plugin, Redactor, Registry, Result, Schema, Secret, Sha256Hex,
    StagingDestination, WriteDisposition,
};

use crate::arrow_types::Defaults;
use crate::clock;
use crate::config::{self, Layers};
use crate::extract;
use crate::hints::{self, Names};
use crate::load::negotiate::negotiate;
use crate::load::{
    Chosen, Endpoint, Event, LoadInfo, LoadStatus, Loader, Observer, Receipt, RunError, Step,
};
use crate::load::{Retries, known_loads, receipt_of};
use crate::normalize::{Naming, Options, random_id};
use crate::package::{Package, WorkingFolder};
use crate::plugins;
use crate::resource::{IntoResources, Resource};
use crate::state::{Identity, PipelineState};
use crate::stop::Stop;
use crate::write::WriteOptions;

transload_core::settings! {
    /// The settings under `[load]`.
    pub struct LoadSettings {
        /// Jobs that run at once.
        pub workers: usize = "20",
        /// Whether the data files of a package are removed from the working folder once it is published. Its manifest
        /// and its receipt stay.
        pub delete_completed_jobs: bool = "true",
    }
}

transload_core::settings! {
    /// The settings under `[data_writer]`.
    pub struct WriterSettings {
        /// Bytes at which a file is cut, as it is written. By default what the destination likes best.
        pub file_max_bytes: Option<u64>,
        /// Whether text files are left uncompressed.
        pub disable_compression: bool = "false",
    }
}

transload_core::settings! {
    /// The settings under `[schema]`.
    pub struct SchemaSettings {
        /// How names of tables and columns are made: `snake_case` (the usual), `direct`, `sql_ci_v1` or `sql_cs_v1`. A
        /// dataset keeps the convention with which it began.
        pub naming: Option<String>,
    }
}

transload_core::settings! {
    /// The engine's keys in the section of a destination, beside those of its plugin.
    pub struct DestinationSettings {
        /// The name of the staging dataset; `%s` stands for that of the dataset.
        pub staging_dataset_name_layout: String = "%s_staging",
    }
}

/// Begins a pipeline of this name.
///
/// ```no_run
/// use transload::{FileFormat, Resource};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pipeline = transload::pipeline("chess_pipeline")
///     .destination("duckdb")
///     .staging("filesystem")
///     .dataset_name("player_data")
///     .build()?;
/// let players = Resource::files("players", ["examples/chess/players.jsonl"]);
/// let info = pipeline.run(players.loader_file_format(FileFormat::Parquet)).await?;
/// println!("{info}");
/// # Ok(())
/// # }
/// ```
pub fn pipeline(name: impl Into<String>) -> PipelineBuilder {
    PipelineBuilder {
        name: name.into(),
        destination: None,
        staging: None,
        dataset_name: None,
        pipelines_dir: None,
        folder: PathBuf::from("."),
        project: None,
        home: None,
        environment: Vec::new(),
        values: Vec::new(),
        registry: None,
        observer: None,
    }
}

/// A pipeline that is being described.
pub struct PipelineBuilder {
    name: String,
    destination: Option<String>,
    staging: Option<String>,
    dataset_name: Option<String>,
    pipelines_dir: Option<PathBuf>,
    folder: PathBuf,
    project: Option<PathBuf>,
    home: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    values: Vec<(String, String)>,
    registry: Option<Registry>,
    observer: Option<Arc<dyn Observer>>,
}

impl PipelineBuilder {
    /// The destination, by the name of its plugin or one of the configuration's own.
    #[must_use]
    pub fn destination(mut self, name: impl Into<String>) -> Self {
        self.destination = Some(name.into());
        self
    }

    /// The staging destination that the files go through. Without one the destination takes local files.
    #[must_use]
    pub fn staging(mut self, name: impl Into<String>) -> Self {
        self.staging = Some(name.into());
        self
    }

    /// The dataset, by default `<pipeline>_dataset`.
    #[must_use]
    pub fn dataset_name(mut self, name: impl Into<String>) -> Self {
        self.dataset_name = Some(name.into());
        self
    }

    /// Where the working folders of pipelines lie. By default `.transload/pipelines` in the home folder, or in the
    /// working folder where no home folder was given.
    #[must_use]
    pub fn pipelines_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.pipelines_dir = Some(folder.into());
        self
    }

    /// The folder that relative paths start from. By default the working folder of the process.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// The folder whose `.transload/` (and `.dlt/`) holds `config.toml` and `secrets.toml`. By default that of
    /// [`folder`](Self::folder).
    #[must_use]
    pub fn config_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.project = Some(folder.into());
        self
    }

    /// The home folder, whose `.transload/` (and `.dlt/`) is read after that of the project.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// The environment variables that may hold settings. The library does not read them by itself: hand it
    /// `std::env::vars_os()`.
    #[must_use]
    pub fn environment<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.environment =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// One setting, which goes before those of all other places: `destination.filesystem.bucket_url`.
    #[must_use]
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.push((key.into(), value.into()));
        self
    }

    /// The plugins to choose from. By default those that are linked into the program.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Someone who is told what happens while the pipeline runs.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Reads the configuration and makes the destination and the staging destination. Connects to nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a name is not known or a setting is missing or wrong.
    pub fn build(self) -> Result<Pipeline> {
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
            return Err(Error::new(ErrorKind::Configuration, "a pipeline cannot have this name")
                .with("name", format!("{name:?}"))
                .with_hint("take letters, digits, blanks, `_`, `-` and `.`"));
        }
        let Some(destination) = &self.destination else {
            return Err(Error::new(ErrorKind::Configuration, "no destination was chosen")
                .with("pipeline", &name)
                .with_hint("name one: `--destination duckdb`, `destination = \"duckdb\"`, `.destination(\"duckdb\")`"));
        };
        let mut layers = Layers::builder()
            .project(self.project.as_ref().unwrap_or(&self.folder))
            .folder(&self.folder)
            .environment(self.environment)
            .shared_keys(DestinationSettings::KEYS);
        if let Some(home) = &self.home {
            layers = layers.home(home);
        }
        for (key, value) in &self.values {
            layers = layers.value(key, SettingValue::text(value));
        }
        let layers = layers.build()?;
        let registry = self.registry.unwrap_or_else(plugins::registry);
        let mut secrets = Vec::new();
        let mut warnings = Vec::new();
        let mut choose = |chosen: &str, staging: bool| -> Result<(Endpoint, Settings, Plugin)> {
            let kind = layers
                .destination_type(&name, chosen)
                .map_or_else(|| chosen.to_owned(), |(kind, _)| kind);
            let plugin =
                if staging { registry.staging(&kind)?.0 } else { registry.destination(&kind)?.0 };
            let settings = layers.resolve(&name, chosen, plugin.settings)?;
            secrets.extend(config::secrets_of(&settings, plugin.settings));
            warnings.extend(config::warnings(&settings, plugin.settings));
            Ok((
                Endpoint { name: chosen.to_owned(), r#type: plugin.name.to_owned() },
                settings,
                *plugin,
            ))
        };
        let redact = |error: Error, secrets: &[Secret]| error.redacted(&Redactor::new(secrets));

        let (endpoint, settings, plugin) = choose(destination, false)?;
        let shared: DestinationSettings =
            layers.read_section(&name, &["destination", destination])?;
        let schema: SchemaSettings = layers.read_section(&name, &["schema"])?;
        let staging = self.staging.as_deref().map(|staging| choose(staging, true)).transpose()?;
        let create = registry.destination(plugin.name)?.1;
        let destination = create(&settings).map_err(|error| redact(error, &secrets))?;
        let destination = Chosen { endpoint, plugin: destination };
        let staging = match staging {
            None => None,
            Some((endpoint, settings, plugin)) => {
                let create = registry.staging(plugin.name)?.1;
                let plugin = create(&settings).map_err(|error| redact(error, &secrets))?;
                Some(Chosen { endpoint, plugin })
            }
        };
        let dataset =
            dataset(&name, self.dataset_name.as_deref(), &shared.staging_dataset_name_layout)?;
        let pipelines_dir =
            self.pipelines_dir.map(|folder| self.folder.join(folder)).unwrap_or_else(|| {
                self.home.as_deref().unwrap_or(&self.folder).join(".transload").join("pipelines")
            });
        Ok(Pipeline {
            working: WorkingFolder::of(&pipelines_dir, &name),
            schema_name: hints::schema_name(&name),
            naming: schema.naming.as_deref().map(hints::naming_from).transpose()?,
            load: layers.read_section(&name, &["load"])?,
            writer: layers.read_section(&name, &["data_writer"])?,
            redactor: Redactor::new(&secrets),
            observer: self.observer.unwrap_or_else(|| Arc::new(|_: Event| {})),
            stop: Stop::default(),
            folder: self.folder,
            name,
            destination,
            staging,
            dataset,
            warnings,
        })
    }
}

/// The names of the dataset and of its staging dataset, normalised.
fn dataset(pipeline: &str, name: Option<&str>, layout: &str) -> Result<Dataset> {
    let name = name.map_or_else(|| format!("{pipeline}_dataset"), str::to_owned);
    let refused = |reason: &'static str| {
        Error::new(ErrorKind::Configuration, "a dataset cannot have this name")
            .with("name", &name)
            .with("reason", reason)
    };
    if name.trim().is_empty() {
        return Err(refused("it is empty"));
    }
    let normalised = Naming::SnakeCase.normalize_identifier(&name, usize::MAX);
    let staging = Naming::SnakeCase.normalize_path(&layout.replace("%s", &normalised), usize::MAX);
    if staging == normalised || staging.is_empty() {
        return Err(refused("the staging dataset would be the dataset itself").with_hint(
            "change `staging_dataset_name_layout`; `%s` stands for the name of the dataset",
        ));
    }
    Ok(Dataset { name: normalised, staging })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_named_after_the_pipeline_and_normalised() {
        assert_eq!(dataset("chess", None, "%s_staging").unwrap(), Dataset::new("chess_dataset"));
        assert_eq!(
            dataset("chess", Some("Player Data"), "%s_staging").unwrap().name,
            "player_data"
        );
        assert_eq!(
            dataset("chess", Some("d"), "shared_staging").unwrap().staging,
            "shared_staging"
        );
        assert_eq!(dataset("chess", Some("d"), "%s").unwrap_err().kind(), ErrorKind::Configuration);
        assert!(dataset("chess", Some(" "), "%s_staging").is_err());
    }

    #[test]
    fn a_pipeline_needs_a_name_and_a_destination() {
        assert_eq!(
            pipeline("a/b").destination("duckdb").build().unwrap_err().message(),
            "a pipeline cannot have this name"
        );
        assert_eq!(pipeline("a").build().unwrap_err().message(), "no destination was chosen");
    }
}
