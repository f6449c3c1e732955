//! The arguments, as clap reads them. Doc comments here are the help.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use transload_core::{Error, FileFormat, MergeStrategy, WriteDisposition};

use crate::SchemaContract;

use crate::SourceFormat;

/// Loads data into warehouses through staging, exactly once.
#[derive(Debug, Parser)]
#[command(name = "transload", version, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the load failed, 2 usage or configuration, 3 interrupted or incomplete and resumable,
4 done, but with rows set aside.
The result goes to stdout, progress and logs go to stderr. TRANSLOAD_LOG (for example `info`) says how much is logged.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Finishes what earlier runs left unfinished, then loads the rows of the resources.
    Run(Run),
    /// Finishes the loads of a pipeline that were sealed and then interrupted.
    Resume(Resume),
    /// Publishes staged loads once more, from their manifests: into another destination or another dataset.
    Replay(Replay),
    /// Shows the pipelines that worked on this machine: their pending and published loads and the last error.
    Status(Status),
    /// Shows one load: what became of it, its tables, files and columns.
    Info(Info),
    /// Shows the plugins of this build with their configuration keys, and how to get those that are not in it.
    Destinations(Destinations),
    /// Shows, compares and writes the schema of a pipeline.
    #[command(subcommand)]
    Schema(Schema),
    /// Sets packages aside that stand in the way of others, brings them back, or gives them up.
    #[command(subcommand)]
    Package(PackageCommand),
    /// Shows what loads have left in the staging dataset, and removes what is dead.
    #[command(subcommand)]
    Staging(Staging),
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Writes the completions of a shell to stdout.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The pipeline, described by a file. Flags go before its values of the same names.
    #[arg(value_name = "PIPELINE.TOML")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    /// The format of the files between here and the destination. By default the best that both sides have.
    #[arg(long, value_name = "FORMAT", value_parser = words::<FileFormat>(&FORMATS))]
    pub(super) loader_file_format: Option<FileFormat>,
    /// The table that takes the rows. With `--source` it stands in place of the resources of the file.
    #[arg(long, requires = "source")]
    pub(super) table: Option<String>,
    /// Where the rows come from: files, globs or URLs (.jsonl, .ndjson, .json, .parquet, .arrow), or `-` for stdin.
    /// URLs are read from stores (s3://, gs://, az://, abfss://; globs as well) and from web servers (https://).
    #[arg(long, value_name = "FILE|GLOB|URL|-", num_args = 1.., requires = "table")]
    pub(super) source: Vec<String>,
    /// What the sources hold, where their names do not say so. Without it stdin holds JSON.
    #[arg(long, value_name = "FORMAT", value_parser = words::<SourceFormat>(&SOURCE_FORMATS))]
    pub(super) source_format: Option<SourceFormat>,
    /// What happens to the rows that the table holds already. By default they stay.
    #[arg(long, value_name = "DISPOSITION", value_parser = words::<WriteDisposition>(&DISPOSITIONS))]
    pub(super) write_disposition: Option<WriteDisposition>,
    /// How `merge` merges.
    #[arg(long, value_name = "STRATEGY", value_parser = words::<MergeStrategy>(&MERGE_STRATEGIES))]
    pub(super) merge_strategy: Option<MergeStrategy>,
    /// The columns that tell one row from another, with commas between them.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(super) primary_key: Vec<String>,
    /// The columns by which `merge` finds the rows to take the place of, with commas between them.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(super) merge_key: Vec<String>,
    /// Whether rows may change the schema: `evolve`, `freeze`, `discard_row`, `discard_value`, or some of these for
    /// `tables`, `columns` and `data_type`: `columns=freeze,data_type=discard_value`.
    #[arg(long, value_name = "CONTRACT", value_parser = contract)]
    pub(super) schema_contract: Option<SchemaContract>,
    /// Loads only rows whose value of this field lies beyond the last one that was loaded: a field, or a path like `a.b`.
    #[arg(long, value_name = "FIELD|PATH")]
    pub(super) incremental: Option<String>,
    /// Where the first incremental run begins: a number, or a text in the form that the rows have.
    #[arg(long, value_name = "VALUE", requires = "incremental")]
    pub(super) initial_value: Option<String>,
    /// Loads only files that were not loaded before, as they are told apart by name, size and time.
    #[arg(long)]
    pub(super) new_files_only: bool,
    /// The folder of the schema file that goes before the stored schema once it is edited.
    #[arg(long, value_name = "DIR")]
    pub(super) import_schema_path: Option<PathBuf>,
    /// The folder that gets the schema of each load as a file.
    #[arg(long, value_name = "DIR")]
    pub(super) export_schema_path: Option<PathBuf>,
    #[command(flatten)]
    pub(super) watch: Watch,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The load that must be finished; those before it are finished first. By default all that are pending here and,
    /// with `--staging`, those whose manifest lies in the staging storage and which are not in the dataset.
    /// A name that ends in `.toml` is the file that describes the pipeline.
    #[arg(value_name = "LOAD|PIPELINE.TOML", num_args = 0..=2)]
    pub(super) what: Vec<String>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(super) watch: Watch,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The load. By default all that the dataset does not have yet, in the order in which they were made.
    /// A name that ends in `.toml` is the file that describes the pipeline.
    #[arg(value_name = "LOAD|PIPELINE.TOML", num_args = 0..=2)]
    pub(super) what: Vec<String>,
    /// The dataset that the loads were made for, where `--dataset-name` is another one.
    #[arg(long, value_name = "NAME")]
    pub(super) from_dataset: Option<String>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(super) watch: Watch,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    /// The folder in which the pipelines keep their packages. By default `.transload/pipelines` in the home folder.
    #[arg(long, value_name = "DIR")]
    pub(super) pipelines_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct Info {
    /// The load. By default the last one of the pipeline.
    pub(super) load: Option<String>,
    /// The pipeline. It may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline_name: Option<String>,
    /// The folder in which the pipelines keep their packages. By default `.transload/pipelines` in the home folder.
    #[arg(long, value_name = "DIR")]
    pub(super) pipelines_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct Destinations {
    /// The plugin to show in full.
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Schema {
    /// Shows the schema of the newest load here, or the one that a destination stores.
    Show(SchemaShow),
    /// Compares: two files; a file with the schema of the pipeline; or what the destination stores with the newest load
    /// here.
    Diff(SchemaDiff),
    /// Writes the schema into a folder, as `<schema>.schema.yaml` or `.json`.
    Export(SchemaExport),
}

/// Which schema is meant.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    /// Takes the schema that the destination stores. So does `--destination`.
    #[arg(long)]
    pub(super) stored: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct SchemaShow {
    /// The pipeline, described by a file; or a schema file (.yaml, .json).
    #[arg(value_name = "PIPELINE.TOML|SCHEMA")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) schema: SchemaArgs,
    /// Shows the schema as a file would hold it.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<FileForm>,
}

#[derive(Debug, Args)]
pub(super) struct SchemaDiff {
    /// Schema files (.yaml, .json): the old one, the new one.
    #[arg(value_name = "SCHEMA", num_args = 0..=2)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) schema: SchemaArgs,
}

#[derive(Debug, Args)]
pub(super) struct SchemaExport {
    /// The pipeline, described by a file.
    #[arg(value_name = "PIPELINE.TOML")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) schema: SchemaArgs,
    /// The folder that gets the file.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) to: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(super) format: FileForm,
}

/// How a schema is written to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FileForm {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum PackageCommand {
    /// Sets a sealed package aside: the next run goes on without it. Nothing is removed.
    SetAside(PackageArgs),
    /// Brings a package back that was set aside: the next run or resume loads it.
    Restore(PackageArgs),
    /// Removes a package for good that was set aside or never sealed, with what lies of it in the staging storage. A load
    /// of which there is no package here is dropped in the storage that `--staging` names.
    Drop(PackageDrop),
}

#[derive(Debug, Args)]
pub(super) struct PackageArgs {
    /// The load, as `transload status` names it.
    pub(super) load: String,
    /// The pipeline. It may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline_name: Option<String>,
    /// The folder in which the pipelines keep their packages. By default `.transload/pipelines` in the home folder.
    #[arg(long, value_name = "DIR")]
    pub(super) pipelines_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct PackageDrop {
    /// The load, as `transload status` names it.
    pub(super) load: String,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    /// Leaves what lies of the load in the staging storage, from where it can still be resumed.
    #[arg(long)]
    pub(super) keep_staged: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Staging {
    /// Shows the loads whose files lie in the staging storage, and the tables in the staging dataset: the load and the
    /// epoch that each was made for, and whether it is dead.
    Ls(StagingLs),
    /// Removes what nobody needs any more: from the staging storage the files that the settings under `[load]` let go, from
    /// the staging dataset the tables of loads that are committed or dropped.
    Gc(StagingGc),
    /// Prints a lifecycle rule for the bucket of the staging storage, as a backstop behind `gc`. It connects to nothing.
    Lifecycle(StagingLifecycle),
}

#[derive(Debug, Args)]
pub(super) struct StagingLs {
    /// The pipeline, described by a file. Flags go before its values of the same names.
    #[arg(value_name = "PIPELINE.TOML")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct StagingGc {
    /// The pipeline, described by a file. Flags go before its values of the same names.
    #[arg(value_name = "PIPELINE.TOML")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    /// Shows what would go, and removes nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Removes tables as well of which nothing here tells whose they are. Only where no other machine loads into the
    /// dataset and no other dataset shares the staging dataset.
    #[arg(long)]
    pub(super) unknown: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct StagingLifecycle {
    /// The pipeline, described by a file. Flags go before its values of the same names.
    #[arg(value_name = "PIPELINE.TOML")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    /// After how many days files go, those of unfinished loads too. By default twice `retain`, and 30 at least, where the
    /// settings under `[load]` let files go by their age or with the commit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) days: Option<u32>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Resolves every setting and shows where it came from, with secrets hidden; connects to nothing.
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The pipeline, described by a file. Flags go before its values of the same names.
    #[arg(value_name = "PIPELINE.TOML")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What says which pipeline is meant.
#[derive(Debug, Default, Args)]
pub(super) struct PipelineArgs {
    /// The name of the pipeline, under which its state and its packages are kept.
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline_name: Option<String>,
    /// The destination: a plugin, or a name that the configuration gives a `destination_type`. Given more than once, the
    /// others get each load from the staging storage as well.
    #[arg(long, value_name = "NAME")]
    pub(super) destination: Vec<String>,
    /// The staging destination that the files go through. Without one the destination takes local files.
    #[arg(long, value_name = "NAME")]
    pub(super) staging: Option<String>,
    /// The dataset that takes the tables. By default the pipeline's name with `_dataset`.
    #[arg(long, value_name = "NAME")]
    pub(super) dataset_name: Option<String>,
    /// The folder in which the pipelines keep their packages. By default `.transload/pipelines` in the home folder.
    #[arg(long, value_name = "DIR")]
    pub(super) pipelines_dir: Option<PathBuf>,
    /// The folder whose `.transload/` holds the configuration. By default that of the pipeline's file if it has one,
    /// else the working folder.
    #[arg(long, value_name = "DIR")]
    pub(super) config_dir: Option<PathBuf>,
}

/// What is seen of a run.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// How progress is shown on stderr. By default bars on a terminal and lines elsewhere.
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// What stdout carries: text for people, or one JSON document.
    #[arg(long = "output", value_enum, default_value_t, value_name = "FORM")]
    pub(super) form: Form,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// One moving line a step; lines where stderr is no terminal.
    Bar,
    /// A line when a step begins and ends, and every few seconds in between.
    Log,
    /// Nothing.
    Off,
}

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

const FORMATS: [&str; 4] = ["parquet", "jsonl", "csv", "insert_values"];
const SOURCE_FORMATS: [&str; 5] = ["jsonl", "json", "csv", "parquet", "arrow"];
const DISPOSITIONS: [&str; 4] = ["append", "replace", "merge", "skip"];
const MERGE_STRATEGIES: [&str; 4] = ["delete-insert", "upsert", "insert-only", "scd2"];

/// Reads one of these words as the value that serde knows by that name.
fn words<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words)
        .try_map(|word| serde_json::from_value::<T>(Value::String(word)))
}

/// Reads a contract, with what there is in the error.
fn contract(text: &str) -> Result<SchemaContract, String> {
    text.parse().map_err(|error: Error| {
        let hint = error.hint().unwrap_or_default();
        format!("{}; {hint}", error.message())
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_word_is_one_that_serde_knows() {
        let known = |word: &&str| serde_json::from_value::<FileFormat>(Value::from(*word)).is_ok();
        assert!(FORMATS.iter().all(known) && FORMATS.len() == FileFormat::ALL.len());
        assert!(
            SOURCE_FORMATS
                .iter()
                .all(|w| serde_json::from_value::<SourceFormat>(Value::from(*w)).is_ok())
        );
        assert!(
            DISPOSITIONS
                .iter()
                .all(|w| serde_json::from_value::<WriteDisposition>(Value::from(*w)).is_ok())
        );
        assert!(
            MERGE_STRATEGIES
                .iter()
                .all(|w| serde_json::from_value::<MergeStrategy>(Value::from(*w)).is_ok())
        );
    }
}
