//! Loading a sealed package: stage, copy, publish, record.
//!
//! Everything here is a function of the manifest and of what the destination answers. It may be interrupted at any point
//! and begun again, on this machine or on another one.

mod event;
mod lists;
pub(crate) mod negotiate;
pub(crate) mod plan;
mod receipt;
mod retry;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use transload_core::{
    AccessRequest, Column, Commit, DataFile, DataType, DatasetState, Destination, Disposition,
    Error, ErrorKind, FollowUp, Inquiry, Job, JobContext, JobOutcome, Load, LoadId, Manifest,
    Result, SchemaChange, SealedManifest, StagedFile, StagingAccess, StagingDestination,
};

pub use event::{Event, Observer, Step};
pub use receipt::{Endpoint, FileReceipt, LoadInfo, LoadStatus, Receipt, RunError, TableReceipt};

use crate::package;
use crate::stop::Stop;
use negotiate::{Route, Way, check_disposition, negotiate};
pub(crate) use retry::Retries;

/// A destination or staging destination that a run has chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen<T: ?Sized> {
    pub(crate) endpoint: Endpoint,
    pub(crate) plugin: Arc<T>,
}

/// What loads packages.
pub(crate) struct Loader<'a> {
    pub(crate) destination: &'a Chosen<dyn Destination>,
    pub(crate) staging: Option<&'a Chosen<dyn StagingDestination>>,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    /// Jobs that may run at once.
    pub(crate) workers: usize,
    /// Whether the staging tables of a load stay after its commit.
    pub(crate) keeps_staging_tables: bool,
}

/// Times that a load is begun after an answer was lost or its publication met another one.
const ATTEMPTS: u32 = 4;

/// The wait before the second of them.
const FIRST_WAIT: Duration = Duration::from_millis(500);

impl Loader<'_> {
    /// Loads a sealed package and fills its receipt. When it returns without an error the load is visible. `staged` is
    /// what uploads ask for that ended before: with it, nothing is read from the folder.
    pub(crate) async fn load(
        &self,
        folder: &Path,
        manifest: &SealedManifest,
        mut staged: Option<Vec<FollowUp>>,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let dispositions = self.dispositions(manifest)?;
        let route = self.route(manifest)?;
        let mut attempt = 1;
        loop {
            let result =
                self.attempt(folder, manifest, &dispositions, route, &mut staged, receipt).await;
            match result {
                Ok(()) => return Ok(()),
                Err(Ended::ForNow(error)) if attempt < ATTEMPTS => {
                    let wait = FIRST_WAIT * attempt;
                    let (error, seconds) = (error.report(), wait.as_secs_f64());
                    self.observer.observe(Event::Retrying { error, seconds });
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.stop.stopped() => {}
                    }
                    attempt += 1;
                }
                Err(Ended::ForNow(error) | Ended::ForGood(error)) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        folder: &Path,
        manifest: &SealedManifest,
        dispositions: &BTreeMap<String, Disposition>,
        route: Route,
        staged: &mut Option<Vec<FollowUp>>,
        receipt: &mut Receipt,
    ) -> Result<(), Ended> {
        let destination = &self.destination.plugin;
        let Held { load, state, last } = match self.take_hold(manifest, receipt).await? {
            Hold::Taken(held) => *held,
            Hold::Published(load) => {
                self.finish(&load, manifest, receipt, None).await;
                return Ok(());
            }
        };
        check_order(manifest, dispositions, last.as_ref())?;

        let jobs = match (self.staging, route.way) {
            (Some(staging), Way::Staged(_) | Way::Fetched) => {
                if staged.is_none() {
                    *staged = Some(self.stage(staging, folder, manifest, &load, receipt).await?);
                }
                plan::coalesce(staged.clone().unwrap_or_default())
            }
            _ => plan::first_jobs(manifest, false),
        };
        plan::check_coverage(manifest, &jobs)?;
        let scratch = Scratch::default();
        if let (Some(staging), Way::Staged(_)) = (self.staging, route.way)
            && destination.capabilities().copies_by_list
        {
            self.stage_lists(staging, &jobs, manifest, &load, &scratch.folder()?).await?;
        }
        let access = self.access(&jobs, route, &scratch).await?;
        self.check_hashes(folder, &jobs, &access).await?;
        let context = JobContext {
            load: &load,
            schema: &manifest.schema,
            folder,
            access: &access,
            on_bytes: &|bytes| self.observer.observe(Event::Bytes(bytes)),
        };
        let (custom, rows): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| matches!(job, Job::Custom(_)));
        let first = match destination.capabilities().loads_in_publication {
            true => Vec::new(),
            false => rows.clone(),
        };
        if !first.is_empty() || !custom.is_empty() {
            let jobs = first.len() + custom.len();
            let work = self.run_rounds(manifest, first, custom, &context);
            self.step(Step::Copy, Some(jobs), receipt, work).await?;
        }
        self.stop.check()?;
        let publication = plan::publication(manifest, dispositions, &rows, &state, last);
        let commit = self
            .step(Step::Publish, Some(1), receipt, destination.publish(&publication, &context))
            .await
            .map_err(|error| match error.is_transient() {
                true => Ended::ForNow(error),
                false => error.into(),
            })?;
        self.finish(&load, manifest, receipt, Some(&commit)).await;
        Ok(())
    }

    /// Brings the dataset to the schema, raises the fence, and looks whether the load is published already.
    async fn take_hold(&self, manifest: &SealedManifest, receipt: &mut Receipt) -> Result<Hold> {
        let destination = &self.destination.plugin;
        let retries = Retries::default();
        let inquiry = Inquiry {
            dataset: manifest.dataset.clone(),
            pipeline: manifest.pipeline.clone(),
            schema: manifest.schema.name.clone(),
            load: Some(manifest.load_id.clone()),
        };
        self.stop.check()?;
        let state =
            retries.run(self.observer, self.stop, || destination.describe(&inquiry)).await?;
        let tables = plan::tables_of(manifest);
        let identifiers = &destination.capabilities().identifiers;
        let types = plan::Types {
            native: &|column: &Column| destination.native_type(column),
            widens: &|from, to| destination.widens(from, to),
        };
        let digest = manifest.digest();
        let commit = state.commit.as_ref();
        let is_published = commit.is_some_and(|commit| commit.digest.as_ref() == Some(&digest));
        // What became of its tables since is no concern of a load that is published.
        let changes = match is_published {
            true => Vec::new(),
            false => {
                plan::check_types(&manifest.schema, &tables, &state, identifiers, types)?;
                plan::schema_changes(&manifest.schema, &tables, &state, identifiers, types)?
            }
        };
        if !changes.is_empty() {
            retries
                .run(self.observer, self.stop, || destination.apply(&manifest.dataset, &changes))
                .await?;
            receipt.schema_changes.extend(plan::change_names(&changes));
        }
        let owner = package::owner();
        let fence = retries
            .run(self.observer, self.stop, || {
                destination.fence(&manifest.dataset, &manifest.pipeline, &owner)
            })
            .await?;
        // Looked at only now: from here on nobody else can publish this load, so what is seen stays true.
        let state =
            retries.run(self.observer, self.stop, || destination.describe(&inquiry)).await?;
        let load = Load {
            load_id: manifest.load_id.clone(),
            pipeline: manifest.pipeline.clone(),
            dataset: manifest.dataset.clone(),
            digest,
            epoch: fence.epoch,
        };
        match &state.commit {
            Some(commit) if commit.digest.as_ref() != Some(&load.digest) => Err(Error::new(
                ErrorKind::Terminal,
                "the load id is taken by another load",
            )
            .with("load", &load.load_id)
            .with("dataset", &load.dataset.name)
            .with_hint(
                "set the package aside and drop it (`transload package`), and load its source again: the new load has \
                 another id",
            )),
            Some(_) => Ok(Hold::Published(load)),
            // The fence knows it, whatever was or was not found in the dataset: it must never be published again.
            None if fence.last_load.as_ref() == Some(&load.load_id) => Ok(Hold::Published(load)),
            None => Ok(Hold::Taken(Box::new(Held { load, state, last: fence.last_load }))),
        }
    }

    /// Runs jobs on the destination, and then what they ask for, until nothing is asked for that has not run.
    async fn run_rounds(
        &self,
        manifest: &Manifest,
        rows: Vec<Job>,
        mut custom: Vec<Job>,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let destination = &self.destination.plugin;
        let limit = destination.capabilities().max_parallel_jobs;
        let outcomes = self.run_jobs(&rows, limit, |job| destination.run(job, context)).await?;
        reconcile(manifest, &rows, &outcomes)?;
        let mut done: BTreeSet<_> = rows.iter().map(Job::id).collect();
        custom.extend(plan::coalesce(outcomes.into_iter().flat_map(|o| o.follow_ups).collect()));
        loop {
            custom.retain(|job| done.insert(job.id()));
            if custom.is_empty() {
                return Ok(());
            }
            let outcomes =
                self.run_jobs(&custom, limit, |job| destination.run(job, context)).await?;
            custom = plan::coalesce(outcomes.into_iter().flat_map(|o| o.follow_ups).collect());
        }
    }

    /// Holds the files that the destination is about to read against their hashes: engines read some damaged files
    /// without a word. What was fetched was checked on the way.
    async fn check_hashes(
        &self,
        folder: &Path,
        jobs: &[Job],
        access: &StagingAccess,
    ) -> Result<()> {
        let mut files: Vec<(PathBuf, DataFile)> = Vec::new();
        for job in jobs {
            match (job, access) {
                (Job::Load(job), _) => files.push((folder.join(job.file.path()), job.file.clone())),
                (Job::Copy(job), StagingAccess::LocalPaths(paths)) => {
                    let paths = job.files.iter().filter_map(|staged| {
                        paths.get(&staged.key).map(|path| (path.clone(), staged.file.clone()))
                    });
                    files.extend(paths);
                }
                _ => {}
            }
        }
        let check =
            move || files.iter().try_for_each(|(path, file)| package::check_file(path, file));
        tokio::task::spawn_blocking(check).await.map_err(|error| {
            Error::new(ErrorKind::Bug, "the check of the files ended unexpectedly")
                .with_source(error)
        })?
    }

    /// Uploads the files and then the manifest, and returns what the uploads ask for.
    async fn stage(
        &self,
        staging: &Chosen<dyn StagingDestination>,
        folder: &Path,
        manifest: &SealedManifest,
        load: &Load,
        receipt: &mut Receipt,
    ) -> Result<Vec<FollowUp>> {
        let limit = staging.plugin.capabilities().max_parallel_uploads;
        let jobs = plan::first_jobs(manifest, true);
        let context = JobContext {
            load,
            schema: &manifest.schema,
            folder,
            access: &StagingAccess::None,
            on_bytes: &|bytes| self.observer.observe(Event::Bytes(bytes)),
        };
        let outcomes = self
            .step(Step::Stage, Some(jobs.len()), receipt, async {
                let stage = |job| staging.plugin.stage(job, &context);
                let outcomes = self.run_jobs(&jobs, limit, stage).await?;
                // Written last: whoever finds it finds all that it names.
                Retries::default()
                    .run(self.observer, self.stop, || staging.plugin.write_manifest(manifest))
                    .await?;
                Ok(outcomes)
            })
            .await?;
        name_urls(receipt, manifest, &*staging.plugin);
        Ok(outcomes.into_iter().flat_map(|outcome| outcome.follow_ups).collect())
    }

    /// How the destination reads what the jobs name.
    async fn access(&self, jobs: &[Job], route: Route, scratch: &Scratch) -> Result<StagingAccess> {
        let Some(staging) = self.staging else { return Ok(StagingAccess::None) };
        let files: Vec<StagedFile> = jobs
            .iter()
            .filter_map(|job| match job {
                Job::Copy(copy) => Some(copy.files.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let retries = Retries::default();
        match route.way {
            Way::Direct => Ok(StagingAccess::None),
            Way::Staged(access) if access.is_brought_along() => {
                Ok(StagingAccess::Configured(access))
            }
            Way::Staged(access) => {
                let request = AccessRequest { files, takes: vec![access] };
                retries.run(self.observer, self.stop, || staging.plugin.grant(&request)).await
            }
            Way::Fetched => {
                let folder = scratch.folder()?;
                let fetch = |file: StagedFile| {
                    let to = folder.join(file.key.replace('/', "_"));
                    let plugin = &staging.plugin;
                    async move {
                        retries.run(self.observer, self.stop, || plugin.fetch(&file, &to)).await?;
                        self.observer.observe(Event::Bytes(file.file.bytes));
                        Ok::<_, Error>((file.key.clone(), to))
                    }
                };
                let fetched =
                    stream::iter(files.into_iter().map(fetch)).buffer_unordered(self.workers);
                Ok(StagingAccess::LocalPaths(
                    fetched.try_collect::<BTreeMap<String, PathBuf>>().await?,
                ))
            }
        }
    }

    /// Runs jobs, several at once. The first failure ends it; what still runs is dropped, which every job must bear.
    async fn run_jobs<'j, F>(
        &self,
        jobs: &'j [Job],
        limit: Option<usize>,
        run: impl Fn(&'j Job) -> F,
    ) -> Result<Vec<JobOutcome>>
    where
        F: Future<Output = Result<JobOutcome>>,
    {
        let limit = limit.unwrap_or(self.workers).min(self.workers);
        let run = &run;
        let one = |job: &'j Job| async move {
            self.stop.check()?;
            let outcome = Retries::default().run(self.observer, self.stop, || run(job)).await;
            let outcome = outcome.map_err(|error| error.with("job", job.id()))?;
            self.observer.observe(Event::JobEnded(job.id()));
            Ok::<_, Error>(outcome)
        };
        stream::iter(jobs.iter().map(one)).buffered(limit.max(1)).try_collect().await
    }

    async fn step<T>(
        &self,
        step: Step,
        jobs: Option<usize>,
        receipt: &mut Receipt,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.observer.observe(Event::StepStarted { step, jobs });
        let start = Instant::now();
        let result = work.await;
        *receipt.seconds.entry(step).or_default() += start.elapsed().as_secs_f64();
        if result.is_ok() {
            self.observer.observe(Event::StepEnded(step));
        }
        result
    }

    /// Records what was published and removes what the load left behind. The load is visible, so nothing here fails it.
    async fn finish(
        &self,
        load: &Load,
        manifest: &Manifest,
        receipt: &mut Receipt,
        commit: Option<&Commit>,
    ) {
        receipt.status = LoadStatus::Loaded;
        receipt.epoch = Some(load.epoch);
        for table in receipt.tables.iter_mut().filter(|_| commit.is_some()) {
            let rows = commit.and_then(|commit| commit.rows.get(&table.table)).copied();
            table.loaded_rows = rows;
            table.statements =
                commit.and_then(|commit| commit.statements.get(&table.table)).copied();
            let expected = manifest.rows_of(&table.table);
            if rows.is_some_and(|rows| rows != expected) {
                // A destination owes it to refuse this before its commit; that one did not must not go unsaid.
                let warning = format!(
                    "the destination published {} rows of {} where {expected} were written",
                    rows.unwrap_or_default(),
                    table.table
                );
                self.observer.observe(Event::Warning(warning.clone()));
                receipt.warnings.push(warning);
            }
        }
        if !self.keeps_staging_tables
            && let Err(error) = self.destination.plugin.clear(load).await
        {
            let warning = format!(
                "the load is complete, but what it left behind could not be removed: {error}"
            );
            self.observer.observe(Event::Warning(warning.clone()));
            receipt.warnings.push(warning);
        }
        self.observer.observe(Event::LoadEnded(load.load_id.clone()));
    }

    /// What happens to each root table of a load.
    pub(crate) fn dispositions(
        &self,
        manifest: &Manifest,
    ) -> Result<BTreeMap<String, Disposition>> {
        let mut dispositions = BTreeMap::new();
        for root in &manifest.tables {
            let table = manifest.schema.tables.get(root);
            let hint = |name: &str| table.and_then(|table| table.hints.get(name)).cloned();
            let disposition = check_disposition(
                (&self.destination.endpoint.name, self.destination.plugin.capabilities()),
                root,
                manifest.schema.disposition_of(root),
                hint("x-merge-strategy").and_then(|hint| serde_json::from_value(hint).ok()),
                hint("x-replace-strategy").and_then(|hint| serde_json::from_value(hint).ok()),
            )?;
            if let Some(disposition) = disposition {
                dispositions.insert(root.clone(), disposition);
            }
        }
        Ok(dispositions)
    }

    /// Whether a load that is about to be sealed can be loaded into the dataset as it is: what can be known before is
    /// refused before. Returns what it will change.
    pub(crate) fn check(
        &self,
        manifest: &Manifest,
        state: &DatasetState,
    ) -> Result<Vec<SchemaChange>> {
        let destination = &self.destination.plugin;
        self.dispositions(manifest)?;
        self.route(manifest)?;
        let types = plan::Types {
            native: &|column: &Column| destination.native_type(column),
            widens: &|from, to| destination.widens(from, to),
        };
        let identifiers = &destination.capabilities().identifiers;
        let tables = plan::tables_of(manifest);
        if let Some(most) = destination.capabilities().max_tables_in_publication
            && tables.len() > most
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the load has more tables than can be published at once",
            )
            .with("destination", &self.destination.endpoint.name)
            .with("tables", tables.len())
            .with("at most", most)
            .with_hint(
                "split the resources over several pipelines, or lower `max_table_nesting`",
            ));
        }
        plan::check_names(&manifest.schema, &tables, identifiers)?;
        plan::check_types(&manifest.schema, &tables, state, identifiers, types)?;
        plan::schema_changes(&manifest.schema, &tables, state, identifiers, types)
    }

    fn route(&self, manifest: &Manifest) -> Result<Route> {
        let types: Vec<DataType> = plan::tables_of(manifest)
            .into_iter()
            .filter_map(|table| manifest.schema.tables.get(table))
            .flat_map(|table| table.columns.values().filter_map(|column| column.data_type))
            .collect();
        negotiate(
            (&self.destination.endpoint.name, self.destination.plugin.capabilities()),
            self.staging
                .map(|staging| (staging.endpoint.name.as_str(), staging.plugin.capabilities())),
            Some(manifest.format),
            &types,
        )
    }
}

/// Says in a receipt where the staged files of its load lie.
pub(crate) fn name_urls(
    receipt: &mut Receipt,
    manifest: &Manifest,
    staging: &dyn StagingDestination,
) {
    let files = manifest.files.iter().map(|file| ((&*file.table, &*file.name), file));
    let files: BTreeMap<(&str, &str), &DataFile> = files.collect();
    for file in &mut receipt.files {
        let found = files.get(&(file.table.as_str(), file.name.as_str()));
        file.url = found.map(|found| staging.url(&manifest.key_of(found)));
    }
}

/// The receipt of a package, as far as its manifest tells.
pub(crate) fn receipt_of(manifest: &SealedManifest) -> Receipt {
    let mut tables: BTreeMap<&str, TableReceipt> = BTreeMap::new();
    for file in &manifest.files {
        let table = tables.entry(&file.table).or_default();
        table.rows += file.rows;
        table.files += 1;
        table.bytes += file.bytes;
    }
    let names = plan::tables_of(manifest);
    Receipt {
        pipeline: manifest.pipeline.clone(),
        load_id: Some(manifest.load_id.clone()),
        status: LoadStatus::Pending,
        dataset: manifest.dataset.name.clone(),
        format: Some(manifest.format),
        tables: names
            .into_iter()
            .map(|name| TableReceipt {
                table: name.to_owned(),
                write_disposition: manifest.schema.disposition_of(name),
                ..tables.remove(name).unwrap_or_default()
            })
            .collect(),
        files: manifest
            .files
            .iter()
            .map(|file| FileReceipt {
                table: file.table.clone(),
                name: file.name.clone(),
                rows: file.rows,
                bytes: file.bytes,
                sha256: file.sha256.clone(),
                url: None,
            })
            .collect(),
        schema_version: Some(manifest.schema.version),
        digest: Some(manifest.digest()),
        ..Receipt::default()
    }
}

/// What a loader has before it moves a row.
enum Hold {
    /// The load is to be published, by this loader and no other.
    Taken(Box<Held>),
    /// It is published already.
    Published(Load),
}

/// See [`Hold`].
struct Held {
    load: Load,
    /// The dataset as it was after the fence was raised.
    state: DatasetState,
    /// The load that the fence names as the last one.
    last: Option<LoadId>,
}

/// Refuses to let older rows take the place of newer ones, and what was remembered before that of what is remembered now:
/// a load that replaces or merges follows the one after which it was made, and so does one that remembers what it read.
fn check_order(
    manifest: &Manifest,
    dispositions: &BTreeMap<String, Disposition>,
    last: Option<&LoadId>,
) -> Result<()> {
    let only_adds = dispositions.values().all(|d| *d == Disposition::Append);
    if (only_adds && !plan::remembers(manifest)) || last == manifest.previous.as_ref() {
        return Ok(());
    }
    let name = |load: Option<&LoadId>| load.map_or("none".to_owned(), ToString::to_string);
    Err(Error::new(ErrorKind::Terminal, "another load of this pipeline was published meanwhile")
        .with("load", &manifest.load_id)
        .with("made after", name(manifest.previous.as_ref()))
        .with("published last", name(last))
        .with_hint(
            "its rows may be older than those in the dataset: set the package aside and drop it (`transload package`), \
             and load its source again",
        ))
}

/// How an attempt to load a package ended before the load was visible.
enum Ended {
    /// The answer to the commit was lost, or the commit met another one: fence again, look, and redo.
    ForNow(Error),
    /// Beginning again would not help; what is worth retrying was retried already.
    ForGood(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::OutcomeUnknown => Self::ForNow(error),
            _ => Self::ForGood(error),
        }
    }
}

/// Refuses a load whose jobs moved other numbers of rows than its manifest names. Where a destination does not count, it
/// is left to the publication.
fn reconcile(manifest: &Manifest, jobs: &[Job], outcomes: &[JobOutcome]) -> Result<()> {
    let mut counted: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let sum = counted.entry(job.table()).or_insert(Some(0));
        *sum = sum.zip(outcome.statistics.rows).map(|(sum, rows)| sum + rows);
    }
    for (table, counted) in counted {
        let expected = manifest.rows_of(table);
        if let Some(arrived) = counted.filter(|counted| *counted != expected) {
            return Err(Error::new(
                ErrorKind::Terminal,
                "the rows that arrived are not those that were written",
            )
            .with("table", table)
            .with("written", expected)
            .with("arrived", arrived)
            .with_hint("nothing became visible; the package is kept: `transload info` shows it"));
        }
    }
    Ok(())
}

/// A folder for fetched files, made when it is needed and removed afterwards.
#[derive(Default)]
struct Scratch(std::sync::OnceLock<tempfile::TempDir>);

impl Scratch {
    fn folder(&self) -> Result<PathBuf> {
        if self.0.get().is_none() {
            let folder = tempfile::Builder::new().prefix("transload-").tempdir().map_err(|error| {
                Error::new(ErrorKind::Terminal, "could not create a folder for fetched files")
                    .with_hint("make room in the folder for temporary files, or point TMPDIR to another one")
                    .with_source(error)
            })?;
            let _ = self.0.set(folder);
        }
        Ok(self.0.get().map(|folder| folder.path().to_owned()).unwrap_or_default())
    }
}

/// The load ids that a new one has to be greater than.
pub(crate) fn known_loads<'a>(
    packages: &'a [package::Package],
    last: Option<&'a LoadId>,
) -> impl Iterator<Item = &'a LoadId> {
    packages.iter().map(|package| &package.load_id).chain(last)
}
