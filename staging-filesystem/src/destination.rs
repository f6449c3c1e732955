//! The destination: files named by a layout, published by a commit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::{
    BinaryEncoding, BinaryLiteral, Capabilities, Column, Commit, CommitRecord, DataFile, Dataset,
    DatasetState, Destination, Epoch, Error, ErrorKind, Fence, FileFormat, IdentifierCase,
    IdentifierRules, Inquiry, Job, JobContext, JobOutcome, JobStatistics, LiteralRules, Load,
    Publication, ReplaceStrategy, Result, SchemaChange, Survey, Table, WriteDisposition,
};

use crate::bookkeeping::{
    describe_schema, follow_up, has_load, load_ids, newest_state, rows, write_init,
};
use crate::commit_log::{CommitEntry, CommitLog, Entry};
use crate::config::FilesystemSettings;
use crate::layout::{Layout, Naming, segment};
use crate::publish::committed;
use crate::store::Store;
use crate::types::{DECIMAL, TIME_PRECISION, WEI, native_type};
use crate::upload::{InTheWay, upload};

/// Makes the destination. Opens no connection.
pub(crate) fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let configured: FilesystemSettings = settings.read()?;
    let own = &configured.extra_placeholders;
    if let Some(reason) = Layout::clash(own) {
        return Err(settings.wrong("extra_placeholders", reason));
    }
    let layout = Layout::parse(&configured.layout, own).map_err(|reason| {
        settings
            .wrong("layout", reason)
            .with("layout", configured.layout.escape_debug())
            .with_hint(
                "the default is `{table_name}/{load_id}.{file_id}.{ext}`; placeholders of your own stand in `extra_placeholders`",
            )
    })?;
    Ok(Arc::new(FilesystemDestination {
        store: Store::new(settings, &configured)?,
        layout,
        max_state_files: configured.max_state_files,
        capabilities: capabilities(),
    }))
}

fn capabilities() -> Capabilities {
    Capabilities {
        loads: vec![
            FileFormat::Parquet,
            FileFormat::Jsonl,
            FileFormat::Csv,
            FileFormat::InsertValues,
        ],
        write_dispositions: vec![WriteDisposition::Append, WriteDisposition::Replace],
        replace_strategies: vec![ReplaceStrategy::TruncateAndInsert],
        // All files of a load stand in one entry of the commit log.
        atomic_publication: true,
        identifiers: IdentifierRules {
            case: IdentifierCase::Sensitive,
            // With load, file and extension behind it a name of a file still has less than 255 bytes.
            max_table_length: 190,
            max_column_length: 65_536,
            in_bytes: false,
        },
        decimal: DECIMAL,
        wei: WEI,
        timestamp_precision: TIME_PRECISION,
        literals: Some(LiteralRules {
            text_prefix: "E".into(),
            backslash_escapes: true,
            binary: BinaryLiteral {
                before: "'\\x".into(),
                encoding: BinaryEncoding::Hex,
                after: "'".into(),
            },
            json: (String::new(), String::new()),
        }),
        ..Capabilities::default()
    }
}

#[derive(Debug)]
pub(crate) struct FilesystemDestination {
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    max_state_files: i64,
    capabilities: Capabilities,
}

impl FilesystemDestination {
    #[cfg(test)]
    pub(crate) fn over(store: Store, layout: Layout) -> Self {
        Self { store, layout, max_state_files: 100, capabilities: capabilities() }
    }

    fn log(&self, load: &Load) -> Result<CommitLog<'_>> {
        Ok(CommitLog::new(&self.store, segment("dataset", &load.dataset.name)?, &load.pipeline))
    }

    /// The key of a data file below the folder of its dataset.
    pub(crate) fn key_of(&self, file: &DataFile, context: &JobContext<'_>) -> Result<String> {
        let (schema, load_id) = (context.schema.name.as_str(), &context.load.load_id);
        self.layout.key(Naming { schema, table: &file.table, load_id }, file)
    }

    /// Finishes what the newest commit up to this entry asked for.
    async fn finish(
        &self,
        dataset: &str,
        log: &CommitLog<'_>,
        entry: &Entry,
    ) -> Result<Option<Entry>> {
        let newest = log.newest_commit(entry).await?;
        if let Some(newest) = &newest {
            follow_up(&self.store, dataset, log, newest, self.max_state_files).await?;
        }
        Ok(newest)
    }

    /// Whether the load was published already: by an earlier try, or by another load under its id.
    fn is_published(&self, entry: &Entry, load: &Load) -> Result<bool> {
        match entry.commit() {
            Some(commit) if commit.load_id != load.load_id => Ok(false),
            Some(commit) if commit.digest == load.digest => Ok(true),
            Some(_) => Err(Error::new(ErrorKind::Terminal, "the load id is taken by another load")
                .with("load", &load.load_id)
                .with_hint("load again: a new run gets a new load id")),
            None => Ok(false),
        }
    }
}

fn fenced(load: &Load, by: Option<&Entry>) -> Error {
    let error =
        Error::new(ErrorKind::Fenced, "another loader of the pipeline has overtaken this one")
            .with("pipeline", &load.pipeline)
            .with("load", &load.load_id)
            .with("epoch", load.epoch);
    match by {
        Some(entry) => error.with("by", &entry.owner).with("its epoch", entry.seq),
        None => error,
    }
}

#[async_trait]
impl Destination for FilesystemDestination {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        format!("filesystem:{}", self.store.identity())
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        native_type(column).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "a column has no type")
                .with("column", &column.name)
                .with_hint("give it a `data_type`")
        })
    }

    fn widens(&self, _from: &str, _to: &str) -> bool {
        // A file has the types that its columns had when it was written: there is nothing to change.
        false
    }

    fn check_table(&self, _table: &Table) -> Result<()> {
        // Files lie as the layout says; no hint of a table is looked at.
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        self.store.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        let dataset = segment("dataset", &inquiry.dataset.name)?;
        let schema = segment("schema", &inquiry.schema)?;
        let log = CommitLog::new(&self.store, dataset, &inquiry.pipeline);
        let newest = log.newest().await?;
        let exists =
            newest.is_some() || self.store.head(&format!("{dataset}/init")).await?.is_some();
        let mut state = DatasetState { exists, ..DatasetState::default() };
        if !state.exists {
            return Ok(state);
        }
        let last = match &newest {
            Some(entry) => log.newest_commit(entry).await?,
            None => None,
        };
        let last = last.as_ref().and_then(Entry::commit);
        describe_schema(&self.store, dataset, schema, last, &mut state).await?;
        state.state = newest_state(&self.store, dataset, schema, &inquiry.pipeline, last).await?;
        state.fence = newest.as_ref().map(|entry| Fence {
            epoch: Epoch(entry.seq),
            last_load: last.map(|commit| commit.load_id.clone()),
            owner: entry.owner.clone(),
        });
        if let Some(load_id) = &inquiry.load {
            let found = match &newest {
                Some(entry) => log.find(entry, load_id).await?,
                None => None,
            };
            let digest = found.as_ref().and_then(Entry::commit).map(|commit| commit.digest.clone());
            if digest.is_some() || has_load(&self.store, dataset, schema, load_id.as_str()).await? {
                state.commit = Some(CommitRecord { load_id: load_id.clone(), digest });
            }
        }
        Ok(state)
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        let mut made = Vec::new();
        for change in changes {
            match change {
                SchemaChange::CreateDataset => {
                    made.extend(write_init(&self.store, segment("dataset", &dataset.name)?).await?);
                }
                // A table is there when its first file is; but a name that can have none is refused now.
                SchemaChange::CreateTable(table) => {
                    self.layout.prefix("schema", &table.name)?;
                }
                _ => {}
            }
        }
        Ok(made)
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        let dataset = segment("dataset", &dataset.name)?;
        self.store.creates_only_what_is_absent().await?;
        write_init(&self.store, dataset).await?;
        let log = CommitLog::new(&self.store, dataset, pipeline);
        let start = log.start(owner).await?;
        // After the start, not before: no commit can come in between any more.
        let last = self.finish(dataset, &log, &start).await?;
        let last_load = last.as_ref().and_then(Entry::commit).map(|commit| commit.load_id.clone());
        Ok(Fence { epoch: Epoch(start.seq), last_load, owner: owner.to_owned() })
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        let Job::Load(load) = job else {
            return Err(Error::new(ErrorKind::Unsupported, "a file store loads local files only")
                .with("job", job.id()));
        };
        let dataset = segment("dataset", &context.load.dataset.name)?;
        let key = format!("{dataset}/{}", self.key_of(&load.file, context)?);
        let from = context.folder.join(load.file.path());
        let uploaded =
            upload(&self.store, &from, &key, &load.file, InTheWay::Refuse, context.on_bytes)
                .await?;
        let details = BTreeMap::from([("object".to_owned(), self.store.url(&key))]);
        let statistics = JobStatistics {
            rows: None,
            bytes: uploaded.moved,
            statements: 1,
            details,
            ..JobStatistics::default()
        };
        Ok(JobOutcome { statistics, follow_ups: Vec::new() })
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let (load, schema) = (context.load, context.schema);
        let log = self.log(load)?;
        let start = match log.entry(load.epoch.0).await? {
            Some(entry) if entry.commit().is_none() => entry,
            other => return Err(fenced(load, other.as_ref())),
        };
        if let Some(published) = log.find(&start, &load.load_id).await? {
            self.is_published(&published, load)?;
            self.finish(&load.dataset.name, &log, &start).await?;
            return Ok(committed(publication));
        }
        let last = log.newest_commit(&start).await?;
        let last = last
            .as_ref()
            .and_then(Entry::commit)
            .map(|commit| (&commit.load_id, &commit.greatest_load_id));
        if last.map(|(load_id, _)| load_id) != publication.previous.as_ref() {
            let newest = log.newest().await?;
            return Err(fenced(load, newest.as_ref()).with(
                "last load",
                last.map_or("none".to_owned(), |(load_id, _)| load_id.to_string()),
            ));
        }
        let standing = match log.entry(start.seq + 1).await? {
            Some(entry) => entry,
            None => {
                let added = self.added(publication, context).await?;
                let removed = self.removed(publication, context, &added).await?;
                let greatest =
                    last.map_or(&load.load_id, |(_, greatest)| greatest.max(&load.load_id));
                let commit = CommitEntry {
                    load_id: load.load_id.clone(),
                    digest: load.digest.clone(),
                    previous: publication.previous.clone(),
                    greatest_load_id: greatest.clone(),
                    published_at: publication.published_at.clone(),
                    schema_name: schema.name.clone(),
                    schema_version_hash: schema.version_hash.clone(),
                    added,
                    removed,
                    rows: rows(load, schema, publication)?,
                };
                log.commit(&start, commit).await?
            }
        };
        if !self.is_published(&standing, load)? {
            return Err(fenced(load, Some(&standing)));
        }
        self.finish(&load.dataset.name, &log, &standing).await.map_err(|error| {
            // The commit stands. Raising the fence finishes what follows it, or says again why it cannot.
            error
                .with_kind(ErrorKind::OutcomeUnknown)
                .with("load", &load.load_id)
                .with("committed", true)
        })?;
        Ok(committed(publication))
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        let log = self.log(load)?;
        let Some(newest) = log.newest().await? else { return Ok(()) };
        if log.find(&newest, &load.load_id).await?.is_some() {
            self.finish(&load.dataset.name, &log, &newest).await?;
            return Ok(());
        }
        if newest.seq != load.epoch.0 {
            return Err(fenced(load, Some(&newest)));
        }
        if !self.layout.names_the_load() {
            return Ok(());
        }
        // Another pipeline, or dlt, may have published a load of the same id.
        let dataset = &load.dataset.name;
        for other in CommitLog::all(&self.store, dataset).await? {
            if let Some(newest) = other.newest().await?
                && other.find(&newest, &load.load_id).await?.is_some()
            {
                return Ok(());
            }
        }
        if has_load(&self.store, dataset, "", load.load_id.as_str()).await? {
            return Ok(());
        }
        let objects = self.store.list(&format!("{dataset}/")).await?;
        let left: Vec<String> = objects
            .into_iter()
            .map(|object| object.key)
            .filter(|key| {
                let key = key.strip_prefix(dataset.as_str()).and_then(|key| key.strip_prefix('/'));
                key.is_some_and(|key| self.layout.is_of_load(key, &load.load_id))
            })
            .collect();
        self.store.remove(&left).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        let dataset = segment("dataset", &dataset.name)?;
        let mut survey = Survey::default();
        survey.loads.extend(load_ids(&self.store, dataset).await?);
        // Only the newest commit of a pipeline can lack its row: raising the fence writes it.
        for log in CommitLog::all(&self.store, dataset).await? {
            if let Some(newest) = log.newest().await?
                && let Some(entry) = log.newest_commit(&newest).await?
            {
                survey.loads.extend(entry.commit().map(|commit| commit.load_id.clone()));
            }
        }
        Ok(survey)
    }

    /// Files are published where they lie: there is no staging dataset.
    async fn drop_staging_tables(&self, _: &Dataset, _: &[String]) -> Result<()> {
        Ok(())
    }
}
