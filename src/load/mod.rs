//! Loading a sealed package: stage, copy, publish, record.
//!
//! Everything here is a function of the manifest and of what the destination answers. It may be interrupted at any point
//! and begun again, on this machine or on another one.

mod event;
pub(crate) mod negotiate;
pub(crate) mod plan;
mod receipt;
mod retry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use transload_core::{
    AccessRequest, Commit, DataType, Destination, Disposition, Error, ErrorKind, FollowUp, Inquiry,
    Job, JobContext, JobOutcome, Load, LoadId, Manifest, Result, StagedFile, StagingAccess,
    StagingDestination,
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
}

/// Times that a load is begun after an answer was lost or its publication met another one.
const ATTEMPTS: u32 = 4;

/// The wait before the second of them.
const FIRST_WAIT: Duration = Duration::from_millis(500);

impl Loader<'_> {
    /// Loads a sealed package and fills its receipt. When it returns without an error the load is visible.
    pub(crate) async fn load(
        &self,
        folder: &Path,
        manifest: &Manifest,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let dispositions = self.dispositions(manifest)?;
        let route = self.route(manifest)?;
        let mut staged: Option<Vec<FollowUp>> = None;
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
        manifest: &Manifest,
        dispositions: &BTreeMap<String, Disposition>,
        route: Route,
        staged: &mut Option<Vec<FollowUp>>,
        receipt: &mut Receipt,
    ) -> Result<(), Ended> {
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
        let changes = plan::schema_changes(&manifest.schema, &tables, &state, identifiers);
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
        let look = retries.run(self.observer, self.stop, || destination.describe(&inquiry)).await?;
        let load = Load {
            load_id: manifest.load_id.clone(),
            pipeline: manifest.pipeline.clone(),
            dataset: manifest.dataset.clone(),
            digest: manifest.digest(),
            epoch: fence.epoch,
        };
        if let Some(commit) = &look.commit {
            if commit.digest.as_ref().is_some_and(|digest| *digest != load.digest) {
                return Err(Error::new(
                    ErrorKind::Terminal,
                    "the load id is taken by another load",
                )
                .with("load", &load.load_id)
                .with("dataset", &load.dataset.name)
                .with_hint("load the source again: the new load has another id")
                .into());
            }
            self.finish(&load, receipt, None).await;
            return Ok(());
        }
        package::check_files(folder, &manifest.files)?;

        let jobs = match (self.staging, route.way) {
            (Some(staging), Way::Staged(_) | Way::Fetched) => {
                if staged.is_none() {
                    *staged = Some(self.stage(staging, folder, manifest, &load, receipt).await?);
                }
                plan::coalesce(staged.clone().unwrap_or_default())
            }
            _ => plan::first_jobs(manifest, false),
        };
        let scratch = Scratch::default();
        let access = self.access(&jobs, route, &scratch).await?;
        let context = JobContext {
            load: &load,
            schema: &manifest.schema,
            folder,
            access: &access,
            on_bytes: &|bytes| self.observer.observe(Event::Bytes(bytes)),
        };
        if !destination.capabilities().loads_in_publication {
            self.step(Step::Copy, Some(jobs.len()), receipt, async {
                let outcomes = self.run_jobs(&jobs, |job| destination.run(job, &context)).await?;
                reconcile(manifest, &jobs, &outcomes)
            })
            .await?;
        }
        self.stop.check()?;
        let publication =
            plan::publication(manifest, dispositions, &jobs, &look, fence.last_load.clone());
        let commit = self
            .step(Step::Publish, Some(1), receipt, destination.publish(&publication, &context))
            .await
            .map_err(|error| match error.is_transient() {
                true => Ended::ForNow(error),
                false => error.into(),
            })?;
        self.finish(&load, receipt, Some(&commit)).await;
        Ok(())
    }

    /// Uploads the files and then the manifest, and returns what the uploads ask for.
    async fn stage(
        &self,
        staging: &Chosen<dyn StagingDestination>,
        folder: &Path,
        manifest: &Manifest,
        load: &Load,
        receipt: &mut Receipt,
    ) -> Result<Vec<FollowUp>> {
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
                let outcomes =
                    self.run_jobs(&jobs, |job| staging.plugin.stage(job, &context)).await?;
                // Written last: whoever finds it finds all that it names.
                Retries::default()
                    .run(self.observer, self.stop, || staging.plugin.write_manifest(manifest))
                    .await?;
                Ok(outcomes)
            })
            .await?;
        for file in &mut receipt.files {
            let found =
                manifest.files.iter().find(|f| f.table == file.table && f.name == file.name);
            file.url = found.map(|found| staging.plugin.url(&manifest.key_of(found)));
        }
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
        run: impl Fn(&'j Job) -> F,
    ) -> Result<Vec<JobOutcome>>
    where
        F: Future<Output = Result<JobOutcome>>,
    {
        let limit = self
            .destination
            .plugin
            .capabilities()
            .max_parallel_jobs
            .unwrap_or(self.workers)
            .min(self.workers);
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
    async fn finish(&self, load: &Load, receipt: &mut Receipt, commit: Option<&Commit>) {
        receipt.status = LoadStatus::Loaded;
        receipt.epoch = Some(load.epoch);
        if let Some(commit) = commit {
            for table in &mut receipt.tables {
                table.loaded_rows = commit.rows.get(&table.table).copied();
                table.statements = commit.statements.get(&table.table).copied();
            }
        }
        if let Err(error) = self.destination.plugin.clear(load).await {
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

/// The receipt of a package, as far as its manifest tells.
pub(crate) fn receipt_of(manifest: &Manifest) -> Receipt {
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

/// Refuses a load whose jobs moved other numbers of rows than its manifest names.
fn reconcile(manifest: &Manifest, jobs: &[Job], outcomes: &[JobOutcome]) -> Result<()> {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    let mut unknown = false;
    for (job, outcome) in jobs.iter().zip(outcomes) {
        match outcome.statistics.rows {
            Some(rows) => *counted.entry(job.table()).or_default() += rows,
            None => unknown = true,
        }
    }
    for (table, counted) in counted.into_iter().filter(|_| !unknown) {
        let expected = manifest.rows_of(table);
        if counted != expected {
            return Err(Error::new(
                ErrorKind::Terminal,
                "the rows that arrived are not those that were written",
            )
            .with("table", table)
            .with("written", expected)
            .with("arrived", counted)
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
