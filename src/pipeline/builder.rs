//! Describing a pipeline: names and places become a destination, a staging destination and a dataset.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use transload_core::settings::{Setting, SettingKind, SettingValue, Settings};
use transload_core::{
    Dataset, Destination, Error, ErrorKind, Plugin, Redactor, Registry, Result, Secret,
};

use super::Pipeline;
use super::lifecycle::{Age, Lifecycle, StagedFiles};
use super::writer::WriterSettings;
use crate::config::{self, Layers};
use crate::contract::SchemaContract;
use crate::hints::{self, DefaultHints, JsonTable};
use crate::load::{Chosen, Endpoint, Event, Observer};
use crate::normalize::Naming;
use crate::package::WorkingFolder;
use crate::plugins;
use crate::schema_files::{SchemaFiles, SchemaFormat};
use crate::source::remote::{SourceSettings, Stores};
use crate::stop::Stop;

/// How much is done at once. Each is a thread or a connection, of which a machine has some thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers(pub usize);

impl Setting for Workers {
    const KIND: SettingKind = SettingKind::Integer;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        const MOST: usize = 1024;
        let workers = usize::read(settings, key)?;
        if workers > MOST {
            let reason = format!("{workers} is out of range: {MOST} at most");
            return Err(settings.wrong(key, reason).with("code", "E_CONFIG_RANGE"));
        }
        Ok(Self(workers))
    }
}

/// A time for an answer to come, in seconds. There must be some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl Setting for Timeout {
    const KIND: SettingKind = SettingKind::Integer;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        let time = Duration::read(settings, key)?;
        if time.is_zero() {
            let reason = "0 is out of range: 1 second at least";
            return Err(settings.wrong(key, reason).with("code", "E_CONFIG_RANGE"));
        }
        Ok(Self(time))
    }
}

transload_core::settings! {
    /// The settings under `[load]`.
    pub struct LoadSettings {
        /// Jobs that run at once: uploads and jobs of the destination together. Each side may have a lower limit of its
        /// own.
        pub workers: Workers = "20",
        /// Seconds for which something that may pass by itself is tried again, from its first failure: a lost connection,
        /// a service that is gone or busy. With 0 nothing is tried again.
        pub retry_timeout: Duration = "300",
        /// Seconds after which a request that moves no rows counts as lost.
        pub request_timeout: Timeout = "600",
        /// Seconds after which the upload of a file, a job of the destination or the publication counts as lost. What
        /// hangs in the destination is then fenced off, looked for, and done again if it is not there.
        pub job_timeout: Timeout = "21600",
        /// Whether the data files of a package are removed from the working folder once it is published. Its manifest
        /// and its receipt stay.
        pub delete_completed_jobs: bool = "true",
        /// Whether the tables that a load had in the staging dataset stay after its commit, to look into them. Then
        /// `transload staging gc` removes them.
        pub keep_staging_tables: bool = "false",
        /// What becomes of the files in the staging storage once their load is committed: `keep`, or
        /// `delete_on_commit`.
        pub staged_files: StagedFiles = "keep",
        /// How long files of committed loads stay in the staging storage: days, hours, minutes or seconds. After each
        /// load the older ones are removed. Example: `7d`.
        pub retain: Option<Age>,
        /// How many of the newest committed loads keep their files in the staging storage. After each load those of
        /// older ones are removed, unless they are younger than `retain`. Example: `3`.
        pub retain_loads: Option<u32>,
    }
}

transload_core::settings! {
    /// The settings under `[normalize]`.
    pub struct NormalizeSettings {
        /// Chunks of rows that are normalised at once. By default one for each core.
        pub workers: Option<Workers>,
        /// Rows that may be set aside in one load, each kept with the reason, while the others load. With 0 a row that
        /// cannot be loaded fails the load. By default any number.
        pub max_set_aside: Option<u64>,
        /// How files are written; also as `[data_writer]`.
        pub data_writer: WriterSettings,
    }
}

transload_core::settings! {
    /// The settings under `[normalize.parquet_normalizer]`: columns that rows of Arrow and Parquet get beside their own.
    pub struct ParquetSettings {
        /// Whether they get `_dlt_load_id`, the load that brought them.
        pub add_dlt_load_id: bool = "false",
        /// Whether they get `_dlt_id`, a random id.
        pub add_dlt_id: bool = "false",
    }
}

transload_core::settings! {
    /// The settings under `[schema]`.
    pub struct SchemaSettings {
        /// How names of tables and columns are made: `snake_case` (the usual), `direct`, `duck_case`, `sql_ci_v1`,
        /// `sql_cs_v1` or `s3_tables`. A dataset keeps the convention with which it began.
        pub naming: Option<String>,
        /// Whether data may change the schema: `evolve` (the usual), `freeze`, `discard_row` or `discard_value`, or a
        /// table of these for `tables`, `columns` and `data_type`. It is stored in the schema and holds until another
        /// one is set.
        pub schema_contract: Option<SchemaContract>,
        /// What is looked for in values that begin a new column, in this order: `iso_timestamp` (the usual), `timestamp`,
        /// `iso_date`, `large_integer`, `hexbytes_to_text` and `wei_to_double`.
        pub detections: Option<Vec<String>>,
        /// The types of new columns, by name or by a pattern of names that begins with `re:`.
        pub preferred_types: Option<BTreeMap<String, String>>,
        /// The names, or patterns of names, of the new columns that get a hint, by hint: `not_null`, `primary_key`, `sort`
        /// and the like.
        pub default_hints: Option<DefaultHints>,
        /// The `config` of the normaliser: `max_nesting`, `root_key_propagation`, `propagation`.
        pub json_normalizer: Option<JsonTable>,
        /// Whether names that have a separator in them keep it. Schemas from before version 11 of the format do not.
        pub use_break_path_on_normalize: Option<bool>,
        /// Whether the naming convention may change though tables have data. Names that change become new tables and
        /// columns.
        pub allow_identifier_change_on_table_with_data: Option<bool>,
        /// The folder of the schema file that goes before the stored schema once it is edited. It is written before the
        /// first rows are read, where there is none.
        pub import_schema_path: Option<PathBuf>,
        /// The folder that gets the schema of each load as a file.
        pub export_schema_path: Option<PathBuf>,
        /// How these files are written: `yaml` or `json`.
        pub external_schema_format: Option<SchemaFormat>,
    }
}

transload_core::settings! {
    /// The engine's keys in the section of a destination, beside those of its plugin.
    pub struct DestinationSettings {
        /// The name of the staging dataset; `%s` stands for that of the dataset. Without `%s` all pipelines of the
        /// destination share it.
        pub staging_dataset_name_layout: String = "%s_staging",
    }
}

/// The environment variable with the naming convention of new schemas, where no other is asked for. As dlt's.
const DEFAULT_NAMING: &str = "DLT_DEFAULT_NAMING_MODULE";

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
        destinations: Vec::new(),
        staging: None,
        dataset_name: None,
        schema_contract: None,
        schema_files: SchemaFiles::default(),
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
    destinations: Vec<String>,
    staging: Option<String>,
    dataset_name: Option<String>,
    schema_contract: Option<SchemaContract>,
    schema_files: SchemaFiles,
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
        self.destinations = vec![name.into()];
        self
    }

    /// Several destinations, which need a staging destination to share: the first one takes the loads, and each of the others
    /// gets them from the staged files, with a publication and a state of its own. One that is behind is brought up by
    /// the next run.
    #[must_use]
    pub fn destinations<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.destinations = names.into_iter().map(Into::into).collect();
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

    /// Whether data may change the schema; a resource may have a contract of its own. It is stored in the schema and
    /// holds until another one is set.
    #[must_use]
    pub fn schema_contract(mut self, contract: impl Into<SchemaContract>) -> Self {
        self.schema_contract = Some(contract.into());
        self
    }

    /// The folder of the schema file `<schema>.schema.yaml`, which goes before the stored schema once it is edited. It is
    /// written before the first rows are read, where there is none.
    #[must_use]
    pub fn import_schema_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.schema_files.import = Some(folder.into());
        self
    }

    /// The folder that gets the schema of each load as a file.
    #[must_use]
    pub fn export_schema_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.schema_files.export = Some(folder.into());
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
        let Some((destination, further)) = self.destinations.split_first() else {
            return Err(Error::new(ErrorKind::Configuration, "no destination was chosen")
                .with("pipeline", &name)
                .with_hint("name one: `--destination duckdb`, `destination = \"duckdb\"`, `.destination(\"duckdb\")`"));
        };
        let named = |key: &str, naming: Option<&str>| {
            naming.map(|naming| hints::naming_from(key, naming)).transpose()
        };
        let default_naming = {
            let found = self.environment.iter().find(|(name, _)| name == DEFAULT_NAMING);
            named(DEFAULT_NAMING, found.and_then(|(_, naming)| naming.to_str()))?
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
            warnings.extend(layers.ignored(&name, chosen, plugin.settings));
            Ok((
                Endpoint { name: chosen.to_owned(), r#type: plugin.name.to_owned() },
                settings,
                *plugin,
            ))
        };
        let redact = |error: Error, secrets: &[Secret]| error.redacted(&Redactor::new(secrets));

        let chosen = choose(destination, false)?;
        let further: Vec<_> =
            further.iter().map(|name| choose(name, false)).collect::<Result<_>>()?;
        let mut schema: SchemaSettings = layers.read_section(&name, &["schema"])?;
        schema.schema_contract = self.schema_contract.or(schema.schema_contract);
        let rooted = |named: Option<PathBuf>, set: &Option<PathBuf>| {
            named.or_else(|| set.clone()).map(|folder| self.folder.join(folder))
        };
        let schema_files = SchemaFiles {
            import: rooted(self.schema_files.import, &schema.import_schema_path),
            export: rooted(self.schema_files.export, &schema.export_schema_path),
            format: schema.external_schema_format.unwrap_or_default(),
        };
        let staging = self.staging.as_deref().map(|staging| choose(staging, true)).transpose()?;
        let made = |(endpoint, settings, plugin): (Endpoint, Settings, Plugin)| {
            let create = registry.destination(plugin.name)?.1;
            let plugin = create(&settings).map_err(|error| redact(error, &secrets))?;
            let shared: DestinationSettings =
                layers.read_section(&name, &["destination", &endpoint.name])?;
            let layout = &shared.staging_dataset_name_layout;
            let dataset = dataset(&name, self.dataset_name.as_deref(), layout, &endpoint.name)?;
            Ok::<_, Error>((Chosen { endpoint, plugin }, dataset))
        };
        let (destination, dataset) = made(chosen)?;
        let further: Vec<_> = further.into_iter().map(made).collect::<Result<_>>()?;
        let staging = match staging {
            None => None,
            Some((endpoint, settings, plugin)) => {
                let create = registry.staging(plugin.name)?.1;
                let plugin = create(&settings).map_err(|error| redact(error, &secrets))?;
                Some(Chosen { endpoint, plugin })
            }
        };
        check_further(&destination, &further, staging.is_some())?;
        let pipelines_dir =
            self.pipelines_dir.map(|folder| self.folder.join(folder)).unwrap_or_else(|| {
                self.home.as_deref().unwrap_or(&self.folder).join(".transload").join("pipelines")
            });
        let load: LoadSettings = layers.read_section(&name, &["load"])?;
        let (section, keys) = (&SourceSettings::SECTION, SourceSettings::KEYS);
        let stores = Stores::new(layers.resolve_section(&name, section, keys)?)?;
        secrets.extend(stores.secrets());
        let mut pipeline = Pipeline {
            working: WorkingFolder::of(&pipelines_dir, &name),
            schema_name: hints::schema_name(&name),
            naming: named("schema.naming", schema.naming.as_deref())?,
            default_naming,
            normalize: layers.read_section(&name, &["normalize"])?,
            parquet: layers.read_section(&name, &["normalize", "parquet_normalizer"])?,
            schema_settings: schema,
            schema_files,
            lifecycle: Lifecycle::new(&load)?,
            load,
            redactor: Redactor::new(&secrets),
            stores: Arc::new(stores),
            observer: self.observer.unwrap_or_else(|| Arc::new(|_: Event| {})),
            stop: Stop::default(),
            folder: self.folder,
            name,
            destination,
            staging,
            dataset,
            warnings,
            followers: Vec::new(),
        };
        pipeline.followers = further
            .into_iter()
            .map(|(destination, dataset)| pipeline.beside(destination, dataset))
            .collect();
        Ok(pipeline)
    }
}

/// Further destinations follow through the staging storage, and each of them is a place of its own.
fn check_further(
    first: &Chosen<dyn Destination>,
    further: &[(Chosen<dyn Destination>, Dataset)],
    is_staged: bool,
) -> Result<()> {
    if further.is_empty() {
        return Ok(());
    }
    if !is_staged {
        return Err(Error::new(
            ErrorKind::Configuration,
            "several destinations need a staging destination, from which they take the files",
        )
        .with("further destinations", further.len())
        .with_hint("name one: `--staging filesystem`, `staging = \"filesystem\"`"));
    }
    let mut places = BTreeMap::from([(first.plugin.identity(), &first.endpoint.name)]);
    for (chosen, _) in further {
        let place = chosen.plugin.identity();
        if let Some(other) = places.get(&place) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "two destinations of the pipeline are the same place",
            )
            .with("destinations", format!("{other} and {}", chosen.endpoint.name))
            .with("place", place)
            .with_hint(
                "leave one of them out; another place needs its own `[destination.<name>]`",
            ));
        }
        places.insert(place, &chosen.endpoint.name);
    }
    Ok(())
}

/// The names of the dataset and of its staging dataset, normalised.
fn dataset(pipeline: &str, name: Option<&str>, layout: &str, destination: &str) -> Result<Dataset> {
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
        let reason = match staging.is_empty() {
            true => "the staging dataset would have no name",
            false => "the staging dataset would be the dataset itself",
        };
        return Err(Error::new(
            ErrorKind::Configuration,
            "a staging dataset cannot have this name",
        )
        .with("key", format!("destination.{destination}.staging_dataset_name_layout"))
        .with("layout", layout)
        .with("dataset", normalised)
        .with("reason", reason)
        .with_hint("`%s` stands for the name of the dataset, the usual one is `%s_staging`"));
    }
    Ok(Dataset { name: normalised, staging })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_named_after_the_pipeline_and_normalised() {
        let dataset = |name, layout| dataset("chess", name, layout, "lake");
        assert_eq!(dataset(None, "%s_staging").unwrap(), Dataset::new("chess_dataset"));
        assert_eq!(dataset(Some("Player Data"), "%s_staging").unwrap().name, "player_data");
        assert_eq!(dataset(Some("Player Data"), "Prep %s").unwrap().staging, "prep_player_data");
        assert_eq!(dataset(Some("d"), "shared_staging").unwrap().staging, "shared_staging");
        assert!(dataset(Some(" "), "%s_staging").is_err());
    }

    #[test]
    fn a_staging_dataset_that_is_the_dataset_is_refused_with_the_key() {
        for layout in ["%s", "D", "", " "] {
            let error = dataset("chess", Some("d"), layout, "lake").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let key = "destination.lake.staging_dataset_name_layout";
            assert_eq!(error.context("key"), Some(key), "{layout:?}");
        }
    }

    #[test]
    fn an_answer_needs_some_time() {
        for key in ["request_timeout", "job_timeout"] {
            let read =
                |seconds| Settings::from_pairs("load", &[(key, seconds)]).read::<LoadSettings>();
            assert!(read("1").is_ok());
            assert_eq!(read("0").unwrap_err().context("code"), Some("E_CONFIG_RANGE"));
        }
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
