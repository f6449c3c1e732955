//! A stranger's destination, as small as it can be: a folder of JSON lines for each dataset.
//!
//! What a dataset is stands in its *heads*, `head-<number>.json`: the one with the greatest number counts, and whoever makes
//! the next number first has made it. So every change is one atomic step, and a loader that was overtaken finds it out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use transload_core::settings::Settings;
use transload_core::{
    AccessKind, CONTRACT_VERSION, Capabilities, Column, Commit, CommitRecord, CopySource, DataFile,
    Dataset, DatasetState, Destination, Disposition, Error, ErrorKind, ExistingColumn, Fence,
    FileFormat, Inquiry, Job, JobContext, JobOutcome, JobStatistics, Load, LoadId, LocalFile,
    Plugin, Publication, ReplaceStrategy, Result, SchemaChange, Sha256Hex, StateRow, StorageKind,
    Survey, Table, WriteDisposition, escape_segment, settings,
};

settings! {
    /// The settings of a folder of JSON lines.
    pub struct FolderSettings {
        /// The folder. Relative paths start from the working folder.
        pub folder: String,
    }
}

transload_core::register!(Plugin {
    name: "folder",
    aliases: &[],
    summary: "a folder of JSON lines",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: FolderSettings::KEYS,
    destination: Some(|settings| Ok(Arc::new(FolderDestination::new(settings)?))),
    staging: None,
});

/// A folder of JSON lines.
#[derive(Debug)]
pub struct FolderDestination {
    root: PathBuf,
    capabilities: Capabilities,
}

/// What a dataset holds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Head {
    number: u64,
    fences: BTreeMap<String, Fence>,
    /// Loads with their pipelines and digests.
    commits: Vec<(LoadId, String, Sha256Hex)>,
    /// Names, hashes and texts of schemas, the newest first.
    schemas: Vec<(String, String, String)>,
    states: BTreeMap<String, StateRow>,
    columns: BTreeMap<String, Vec<Column>>,
    files: BTreeMap<String, Vec<String>>,
}

impl FolderDestination {
    /// The destination with these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a setting is missing.
    pub fn new(settings: &Settings) -> Result<Self> {
        let capabilities = Capabilities {
            loads: vec![FileFormat::Jsonl],
            // Staged files as well, which the engine fetches for it where they lie elsewhere.
            copies: vec![CopySource {
                storage: StorageKind::Local,
                formats: vec![FileFormat::Jsonl],
                access: vec![AccessKind::LocalPaths],
            }],
            write_dispositions: vec![WriteDisposition::Append, WriteDisposition::Replace],
            replace_strategies: vec![ReplaceStrategy::TruncateAndInsert],
            atomic_publication: true,
            ..Capabilities::default()
        };
        let read: FolderSettings = settings.read()?;
        Ok(Self { root: settings.path(read.folder), capabilities })
    }

    fn dataset(&self, dataset: &str) -> PathBuf {
        self.root.join(escape_segment(dataset))
    }

    /// The newest head of a dataset.
    fn head(&self, dataset: &str) -> Result<Option<Head>> {
        let Ok(entries) = fs::read_dir(self.dataset(dataset)) else { return Ok(None) };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let newest = names.filter(|name| name.starts_with("head-")).max();
        let Some(newest) = newest else { return Ok(None) };
        let text = fs::read(self.dataset(dataset).join(newest)).map_err(failed)?;
        serde_json::from_slice(&text).map(Some).map_err(failed)
    }

    /// Changes a dataset in one step: again where somebody else came first.
    fn change<T>(&self, dataset: &str, change: impl Fn(&mut Head) -> Result<T>) -> Result<T> {
        loop {
            let mut head = self.head(dataset)?.unwrap_or_default();
            let answer = change(&mut head)?;
            head.number += 1;
            let folder = self.dataset(dataset);
            fs::create_dir_all(&folder).map_err(failed)?;
            let (process, thread) = (std::process::id(), std::thread::current().id());
            let draft = folder.join(format!("draft-{process}-{thread:?}"));
            fs::write(&draft, serde_json::to_vec(&head).map_err(failed)?).map_err(failed)?;
            let made = fs::hard_link(&draft, folder.join(format!("head-{:020}.json", head.number)));
            fs::remove_file(&draft).map_err(failed)?;
            match made {
                Ok(()) => return Ok(answer),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Terminal, "the folder does not work").with_source(error)
}

/// Where a file of a load lies below its dataset: private to the load and its epoch.
fn key(load: &Load, file: &DataFile) -> String {
    format!("{}/{}-e{}-{}", escape_segment(&file.table), load.load_id, load.epoch, file.name)
}

/// Counts the rows of a file, each a JSON object with columns of its table.
fn count(path: &Path, file: &DataFile) -> Result<u64> {
    let bad =
        |message: &'static str| Error::new(ErrorKind::BadData, message).with("file", &file.name);
    let open = fs::File::open(path).map_err(failed)?;
    let text: Box<dyn Read> = match file.gzip {
        true => Box::new(flate2::read::MultiGzDecoder::new(open)),
        false => Box::new(open),
    };
    let mut rows = 0;
    for line in BufReader::new(text).lines() {
        let line = line.map_err(|error| bad("the file is no text").with_source(error))?;
        serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&line)
            .map_err(|_| bad("a line is no JSON object").with("line", rows + 1))?;
        rows += 1;
    }
    Ok(rows)
}

#[async_trait]
impl Destination for FolderDestination {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        format!("folder:{}", self.root.display())
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        let data_type = column
            .data_type
            .ok_or_else(|| Error::new(ErrorKind::Configuration, "a column has no type"))?;
        Ok(format!("{data_type} {:?} {:?} {:?}", column.precision, column.scale, column.timezone))
    }

    fn widens(&self, _from: &str, _to: &str) -> bool {
        false
    }

    fn check_table(&self, _table: &Table) -> Result<()> {
        // No hint is followed here, so none can be wrong.
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        fs::create_dir_all(&self.root).map_err(failed)
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        let Some(head) = self.head(&inquiry.dataset.name)? else {
            return Ok(DatasetState::default());
        };
        let column = |column: &Column| {
            let native_type = self.native_type(column)?;
            Ok(ExistingColumn { name: column.name.clone(), native_type, nullable: column.nullable })
        };
        let mut tables = BTreeMap::new();
        for (table, columns) in &head.columns {
            tables.insert(table.clone(), columns.iter().map(column).collect::<Result<_>>()?);
        }
        let schemas: Vec<_> =
            head.schemas.iter().filter(|(name, ..)| *name == inquiry.schema).collect();
        let mut commits: Vec<_> =
            head.commits.iter().filter(|(load, ..)| Some(load) == inquiry.load.as_ref()).collect();
        commits.sort_by_key(|(_, pipeline, _)| *pipeline != inquiry.pipeline);
        Ok(DatasetState {
            exists: true,
            tables,
            schema: schemas.first().map(|(_, _, text)| text.clone()),
            schema_hashes: schemas.iter().map(|(_, hash, _)| hash.clone()).collect(),
            state: head.states.get(&inquiry.pipeline).cloned(),
            fence: head.fences.get(&inquiry.pipeline).cloned(),
            commit: commits.first().map(|(load_id, _, digest)| CommitRecord {
                load_id: load_id.clone(),
                digest: Some(digest.clone()),
            }),
        })
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.change(&dataset.name, |head| {
            for change in changes {
                let (table, columns) = match change {
                    SchemaChange::CreateTable(table) => {
                        (&table.name, table.complete_columns().cloned().collect())
                    }
                    SchemaChange::AddColumns { table, columns } => (table, columns.clone()),
                    _ => continue,
                };
                let known = head.columns.entry(table.clone()).or_default();
                let is_new = |column: &Column| !known.iter().any(|other| other.name == column.name);
                let new: Vec<Column> = columns.into_iter().filter(is_new).collect();
                known.extend(new);
            }
            Ok(changes.iter().map(|change| format!("{change:?}")).collect())
        })
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.change(&dataset.name, |head| {
            let last_load = head.fences.get(pipeline).and_then(|fence| fence.last_load.clone());
            let epoch = transload_core::Epoch(head.number + 1);
            let fence = Fence { epoch, last_load, owner: owner.to_owned() };
            head.fences.insert(pipeline.to_owned(), fence.clone());
            Ok(fence)
        })
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        let mut statistics = JobStatistics { rows: Some(0), statements: 1, ..Default::default() };
        for LocalFile { file, path: from } in context.local_files([job])? {
            if file.format != FileFormat::Jsonl {
                return Err(Error::new(ErrorKind::Unsupported, "it loads JSON lines only")
                    .with("file", &file.name));
            }
            let rows = count(&from, file)?;
            if rows != file.rows {
                return Err(Error::new(ErrorKind::Terminal, "rows do not reconcile")
                    .with("file", &file.name));
            }
            let to = self.dataset(&context.load.dataset.name).join(key(context.load, file));
            fs::create_dir_all(to.parent().unwrap_or(&to))
                .and_then(|()| fs::copy(&from, &to))
                .map_err(failed)?;
            (context.on_bytes)(file.bytes);
            statistics.bytes += file.bytes;
            statistics.rows = statistics.rows.map(|sum| sum + rows);
        }
        Ok(JobOutcome { statistics, follow_ups: Vec::new() })
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let (load, schema) = (context.load, context.schema);
        self.change(&load.dataset.name, |head| {
            let fence = head.fences.get_mut(&load.pipeline).filter(|fence| {
                fence.epoch == load.epoch
                    && fence.last_load == publication.previous
                    && fence.last_load.as_ref() != Some(&load.load_id)
            });
            let fence = fence.ok_or_else(|| {
                Error::new(ErrorKind::Fenced, "another loader has overtaken this one")
            })?;
            (fence.epoch.0, fence.last_load) = (head.number + 1, Some(load.load_id.clone()));
            let mut commit = Commit::default();
            for chain in &publication.chains {
                for table in chain.tables() {
                    let files = head.files.entry(table.table.clone()).or_default();
                    match chain.disposition {
                        Disposition::Append => {}
                        Disposition::Replace(ReplaceStrategy::TruncateAndInsert) => files.clear(),
                        _ => {
                            return Err(Error::new(
                                ErrorKind::Unsupported,
                                "it appends and replaces only",
                            ));
                        }
                    }
                    let mut rows = 0;
                    for job in &table.jobs {
                        for file in job.data_files() {
                            files.push(key(load, file));
                            rows += file.rows;
                        }
                    }
                    if rows != table.rows {
                        return Err(Error::new(ErrorKind::Terminal, "rows do not reconcile")
                            .with("table", &table.table));
                    }
                    commit.rows.insert(table.table.clone(), rows);
                    commit.statements.insert(table.table.clone(), table.jobs.len() as u64);
                }
            }
            if let Some(state) = &publication.state {
                head.states.insert(load.pipeline.clone(), state.clone());
            }
            if publication.stores_schema {
                head.schemas.insert(
                    0,
                    (schema.name.clone(), schema.version_hash.clone(), schema.to_json()),
                );
            }
            head.commits.push((load.load_id.clone(), load.pipeline.clone(), load.digest.clone()));
            Ok(commit)
        })
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        let head = self.head(&load.dataset.name)?.unwrap_or_default();
        let published: Vec<&String> = head.files.values().flatten().collect();
        for table in head.columns.keys().map(|table| escape_segment(table)) {
            let folder = self.dataset(&load.dataset.name).join(&table);
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let epoch = name
                    .strip_prefix(&format!("{}-e", load.load_id))
                    .and_then(|rest| rest.split('-').next()?.parse().ok());
                let ours = epoch.is_some_and(|epoch: u64| epoch <= load.epoch.0);
                if ours && !published.contains(&&format!("{table}/{name}")) {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        let head = self.head(&dataset.name)?.unwrap_or_default();
        let loads = head.commits.into_iter().map(|(load, ..)| load).collect();
        Ok(Survey { loads, ..Survey::default() })
    }

    async fn drop_staging_tables(&self, _: &Dataset, _: &[String]) -> Result<()> {
        Ok(())
    }
}
