//! The in-memory destination.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::merge::{Staged, publish_chain};
use super::place::{MemoryCommit, MemoryDataset, MemorySchema, MemoryTable};
use super::read::read;
use super::{MemoryPlace, Record};
use crate::sql::staging_name;
use crate::{
    AccessKind, Capabilities, Column, Commit, CommitRecord, CopySource, Dataset, DatasetState,
    Destination, Epoch, Error, ErrorKind, ExistingColumn, Fence, FileFormat, IdentifierCase,
    IdentifierRules, Inquiry, Job, JobContext, JobOutcome, JobStatistics, Load, MergeStrategy,
    Publication, ReplaceStrategy, Result, SchemaChange, Secret, StagingAccess, StorageKind, Survey,
    Table, WriteDisposition,
};

/// The password that opens every [`MemoryPlace`]: so that there is one that does not.
const PASSWORD: &str = "open sesame";

/// A destination in the memory of this process. It runs jobs before the publication, into private staging tables.
pub struct MemoryDestination {
    place: MemoryPlace,
    password: Secret,
    capabilities: Capabilities,
}

impl fmt::Debug for MemoryDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDestination")
            .field("password", &self.password)
            .finish_non_exhaustive()
    }
}

impl MemoryDestination {
    /// A destination at this place.
    pub fn new(place: MemoryPlace) -> Self {
        Self::with_password(place, PASSWORD.into())
    }

    /// A destination that knows another password: with a wrong one nothing works.
    pub fn with_password(place: MemoryPlace, password: Secret) -> Self {
        Self { place, password, capabilities: capabilities() }
    }

    fn enter(&self) -> Result<()> {
        if self.password.expose() == PASSWORD {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Configuration, "the place does not open with this password"))
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        loads: vec![FileFormat::Jsonl],
        copies: vec![CopySource {
            storage: StorageKind::Local,
            formats: vec![FileFormat::Jsonl],
            access: vec![AccessKind::LocalPaths],
        }],
        write_dispositions: vec![
            WriteDisposition::Append,
            WriteDisposition::Replace,
            WriteDisposition::Merge,
        ],
        merge_strategies: vec![
            MergeStrategy::DeleteInsert,
            MergeStrategy::Upsert,
            MergeStrategy::InsertOnly,
            MergeStrategy::Scd2,
        ],
        replace_strategies: vec![
            ReplaceStrategy::TruncateAndInsert,
            ReplaceStrategy::InsertFromStaging,
            ReplaceStrategy::StagingOptimized,
        ],
        atomic_publication: true,
        identifiers: IdentifierRules {
            case: IdentifierCase::Sensitive,
            max_table_length: 100,
            max_column_length: 100,
            in_bytes: false,
        },
        decimal: (38, 9),
        wei: (76, 0),
        timestamp_precision: 9,
        ..Capabilities::default()
    }
}

#[async_trait]
impl Destination for MemoryDestination {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.place.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        let Some(data_type) = column.data_type else {
            return Err(Error::new(ErrorKind::Configuration, "a column has no type")
                .with("column", &column.name));
        };
        let digits = [column.precision, column.scale].into_iter().flatten().map(|n| n.to_string());
        let zone = if column.has_timezone() { "" } else { " without time zone" };
        Ok(match digits.collect::<Vec<_>>() {
            digits if digits.is_empty() => format!("{data_type}{zone}"),
            digits => format!("{data_type}({}){zone}", digits.join(",")),
        })
    }

    fn widens(&self, _from: &str, _to: &str) -> bool {
        // Values have the type with which they came.
        false
    }

    fn check_table(&self, _table: &Table) -> Result<()> {
        // No hint is looked at.
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        self.enter()
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.enter()?;
        let datasets = self.place.lock();
        let Some(found) = datasets.get(&inquiry.dataset.name) else {
            return Ok(DatasetState::default());
        };
        let mut tables = BTreeMap::new();
        for (name, table) in &found.tables {
            let column = |column: &Column| {
                Ok(ExistingColumn {
                    name: column.name.clone(),
                    native_type: self.native_type(column)?,
                    nullable: column.nullable,
                })
            };
            let columns: Result<Vec<_>> = table.columns.iter().map(column).collect();
            tables.insert(name.clone(), columns?);
        }
        let mut schemas: Vec<&MemorySchema> =
            found.schemas.iter().filter(|schema| schema.name == inquiry.schema).collect();
        schemas.sort_by_key(|schema| std::cmp::Reverse(schema.version));
        let commit = inquiry.load.as_ref().and_then(|load_id| {
            let of_the_load = || found.commits.iter().filter(|commit| commit.load_id == *load_id);
            // Our own first: with another's the id is taken.
            of_the_load()
                .find(|commit| commit.pipeline == inquiry.pipeline)
                .or(of_the_load().next())
        });
        Ok(DatasetState {
            exists: true,
            tables,
            schema: schemas.first().map(|schema| schema.text.clone()),
            schema_hashes: schemas.iter().map(|schema| schema.hash.clone()).collect(),
            state: found.states.get(&inquiry.pipeline).cloned(),
            fence: found.fences.get(&inquiry.pipeline).cloned(),
            commit: commit.map(|commit| CommitRecord {
                load_id: commit.load_id.clone(),
                digest: Some(commit.digest.clone()),
            }),
        })
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.enter()?;
        let mut datasets = self.place.lock();
        let mut made = Vec::new();
        for change in changes {
            let found = datasets.entry(dataset.name.clone()).or_default();
            match change {
                SchemaChange::CreateDataset => {}
                SchemaChange::CreateTable(table) => {
                    let columns = table.complete_columns().cloned().collect();
                    let new = || MemoryTable { columns, ..MemoryTable::default() };
                    found.tables.entry(table.name.clone()).or_insert_with(new);
                }
                SchemaChange::AddColumns { table, columns } => {
                    let found = found.tables.get_mut(table).ok_or_else(|| {
                        Error::new(ErrorKind::Terminal, "the table does not exist")
                            .with("table", table)
                    })?;
                    for column in columns {
                        if !found.columns.iter().any(|known| known.name == column.name) {
                            // The rows that are there have no value for it.
                            found.columns.push(Column { nullable: true, ..column.clone() });
                        }
                    }
                }
                SchemaChange::WidenColumn { table, .. } => {
                    return Err(Error::new(ErrorKind::Unsupported, "no column is widened here")
                        .with("table", table));
                }
            }
            made.push(format!("{change:?}"));
        }
        Ok(made)
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.enter()?;
        let mut datasets = self.place.lock();
        let fences = &mut datasets.entry(dataset.name.clone()).or_default().fences;
        let fence = fences.entry(pipeline.to_owned()).or_insert_with(|| Fence {
            epoch: Epoch(0),
            last_load: None,
            owner: String::new(),
        });
        fence.epoch.0 += 1;
        fence.owner = owner.to_owned();
        Ok(fence.clone())
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.enter()?;
        let files = match (job, context.access) {
            (Job::Load(job), _) => vec![(&job.file, context.folder.join(job.file.path()))],
            (Job::Copy(job), StagingAccess::LocalPaths(paths)) => {
                let path = |key: &String| {
                    paths.get(key).cloned().ok_or_else(|| {
                        Error::new(ErrorKind::Bug, "a staged file was not brought here")
                            .with("key", key)
                    })
                };
                let staged = job.files.iter();
                staged.map(|file| Ok((&file.file, path(&file.key)?))).collect::<Result<_>>()?
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "jobs of this kind are not run here",
                )
                .with("job", job.id()));
            }
        };
        let table = context.schema.tables.get(job.table()).ok_or_else(|| {
            Error::new(ErrorKind::Bug, "a table of a job is not in the schema")
                .with("table", job.table())
        })?;
        let mut records = Vec::new();
        let mut bytes = 0;
        for (file, path) in files {
            if file.format != FileFormat::Jsonl {
                return Err(
                    Error::new(ErrorKind::Unsupported, "JSON lines only").with("file", &file.name)
                );
            }
            records.extend(read(&path, file, table)?);
            bytes += file.bytes;
        }
        let load = context.load;
        let rows = records.len() as u64;
        let columns = table.complete_columns().cloned().collect();
        let staged =
            MemoryTable { columns, records, owner: Some((load.load_id.clone(), load.epoch)) };
        let name = staging_name(load, job, self.capabilities.identifiers.max_table_length);
        // Made anew: running a job twice has the effect of running it once.
        let mut datasets = self.place.lock();
        datasets.entry(load.dataset.staging.clone()).or_default().tables.insert(name, staged);
        (context.on_bytes)(bytes);
        let statistics =
            JobStatistics { rows: Some(rows), bytes, statements: 1, ..JobStatistics::default() };
        Ok(JobOutcome { statistics, follow_ups: Vec::new() })
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.enter()?;
        let (load, schema) = (context.load, context.schema);
        let mut datasets = self.place.lock();
        let staging = datasets.get(&load.dataset.staging).cloned().unwrap_or_default();
        // All of it happens to a copy, which takes the place of the dataset in the end or is forgotten.
        let mut next = datasets.get(&load.dataset.name).cloned().unwrap_or_default();
        change_fence(&mut next, publication, load)?;
        let mut commit = Commit::default();
        for chain in &publication.chains {
            let mut rows = Staged::new();
            for table in chain.tables() {
                let mut found: Vec<Record> = Vec::new();
                for job in &table.jobs {
                    let name =
                        staging_name(load, job, self.capabilities.identifiers.max_table_length);
                    let staged = staging.tables.get(&name).ok_or_else(|| {
                        Error::new(ErrorKind::Transient, "the rows of a job are not there")
                            .with("job", job.id())
                    })?;
                    found.extend(staged.records.iter().cloned());
                }
                if found.len() as u64 != table.rows {
                    return Err(Error::new(ErrorKind::Terminal, "rows do not reconcile")
                        .with("table", &table.table)
                        .with("expected", table.rows)
                        .with("found", found.len()));
                }
                commit.rows.insert(table.table.clone(), table.rows);
                commit.statements.insert(table.table.clone(), table.jobs.len() as u64);
                rows.insert(table.table.clone(), found);
            }
            publish_chain(&mut next.tables, chain, rows, schema, &publication.published_at)?;
        }
        if let Some(state) = &publication.state {
            next.states.insert(load.pipeline.clone(), state.clone());
        }
        if publication.stores_schema {
            next.schemas.push(MemorySchema {
                name: schema.name.clone(),
                version: schema.version,
                hash: schema.version_hash.clone(),
                text: schema.to_json(),
            });
        }
        next.commits.push(MemoryCommit {
            load_id: load.load_id.clone(),
            pipeline: load.pipeline.clone(),
            digest: load.digest.clone(),
        });
        datasets.insert(load.dataset.name.clone(), next);
        Ok(commit)
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.enter()?;
        let mut datasets = self.place.lock();
        if let Some(staging) = datasets.get_mut(&load.dataset.staging) {
            // Only what is of this load, and of no later epoch: that one is somebody else at work.
            staging.tables.retain(|_, table| match &table.owner {
                Some((load_id, epoch)) => *load_id != load.load_id || *epoch > load.epoch,
                None => true,
            });
        }
        Ok(())
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.enter()?;
        let datasets = self.place.lock();
        let commits = datasets.get(&dataset.name).map(|found| found.commits.as_slice());
        let staging = datasets.get(&dataset.staging);
        Ok(Survey {
            loads: commits.unwrap_or_default().iter().map(|c| c.load_id.clone()).collect(),
            staging_tables: staging
                .map(|staging| staging.tables.keys().cloned().collect())
                .unwrap_or_default(),
        })
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.enter()?;
        if let Some(staging) = self.place.lock().get_mut(&dataset.staging) {
            staging.tables.retain(|name, _| !tables.contains(name));
        }
        Ok(())
    }
}

/// The first step of a publication: whoever finds another fence than its own has been overtaken.
fn change_fence(dataset: &mut MemoryDataset, publication: &Publication, load: &Load) -> Result<()> {
    let holds = dataset.fences.get_mut(&load.pipeline).filter(|fence| {
        fence.epoch == load.epoch
            && fence.last_load == publication.previous
            // Whatever the load takes for its previous one: it is never published on top of itself.
            && fence.last_load.as_ref() != Some(&load.load_id)
    });
    let fence = holds.ok_or_else(|| {
        Error::new(ErrorKind::Fenced, "another loader of the pipeline has overtaken this one")
            .with("pipeline", &load.pipeline)
            .with("epoch", load.epoch)
    })?;
    fence.epoch.0 += 1;
    fence.last_load = Some(load.load_id.clone());
    Ok(())
}
