//! Loading a sealed package: stage, copy, publish, record.
//!
//! Everything here is a function of the manifest and of what the destination answers. It may be interrupted at any point
//! and begun again, on this machine or on another one.

mod event;
mod limits;
mod lists;
#[cfg(test)]
mod model;
pub(crate) mod negotiate;
pub(crate) mod plan;
mod protocol;
mod receipt;
mod retry;
mod schedule;
mod transfer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use transload_core::{
    Column, Commit, DataFile, DataType, DatasetState, Destination, Disposition, Error, ErrorKind,
    FollowUp, Inquiry, Job, JobContext, Load, LoadId, Manifest, Result, SchemaChange,
    SealedManifest, StagingAccess, StagingDestination,
};

pub use event::{Event, Observer, Step};
pub use receipt::{Endpoint, FileReceipt, LoadInfo, LoadStatus, Receipt, RunError, TableReceipt};

use crate::package;
use crate::stop::Stop;
use limits::check_limits;
use negotiate::{Route, check_disposition, negotiate};
pub(crate) use protocol::Order;
use protocol::{Claim, Doing, Held, Published, Recovery, Seen, Verdict, after_error, after_look};
use retry::Failures;
pub(crate) use retry::{Patience, Retries};
pub(crate) use schedule::Staged;
use transfer::Scratch;

/// A destination or staging destination that a run has chosen.
#[derive(Debug)]
pub(crate) struct Chosen<T: ?Sized> {
    pub(crate) endpoint: Endpoint,
    pub(crate) plugin: Arc<T>,
}

impl<T: ?Sized> Clone for Chosen<T> {
    fn clone(&self) -> Self {
        Self { endpoint: self.endpoint.clone(), plugin: Arc::clone(&self.plugin) }
    }
}

/// What loads packages.
pub(crate) struct Loader<'a> {
    pub(crate) destination: &'a Chosen<dyn Destination>,
    pub(crate) staging: Option<&'a Chosen<dyn StagingDestination>>,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    /// Jobs that may run at once.
    pub(crate) workers: usize,
    pub(crate) patience: Patience,
    /// Whether the staging tables of a load stay after its commit.
    pub(crate) keeps_staging_tables: bool,
    /// What its loads may follow.
    pub(crate) order: Order,
}

/// A sealed package, with what was decided of it before anything is asked.
struct Sealed<'a> {
    folder: &'a Path,
    manifest: &'a SealedManifest,
    dispositions: BTreeMap<String, Disposition>,
    route: Route,
}

impl Loader<'_> {
    /// Loads a sealed package and fills its receipt. When it returns without an error the load is visible. `staged` is
    /// what lies in the storage already: where that is all of it, nothing is read from the folder.
    pub(crate) async fn load(
        &self,
        folder: &Path,
        manifest: &SealedManifest,
        mut staged: Staged,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let dispositions = self.dispositions(manifest)?;
        let route = self.route(manifest)?;
        let sealed = Sealed { folder, manifest, dispositions, route };
        let mut failures = Failures::default();
        loop {
            let mut doing = Doing::Preparing;
            let attempt = self.attempt(&sealed, &mut staged, &mut doing, receipt);
            let Err(error) = attempt.await else { return Ok(()) };
            match after_error(doing, error.kind()) {
                Recovery::FenceLookRedo => failures.pause(&self.retries(), error).await?,
                Recovery::Stop => return Err(error),
            }
        }
    }

    fn retries(&self) -> Retries<'_> {
        Retries { patience: self.patience, observer: self.observer, stop: self.stop }
    }

    async fn attempt(
        &self,
        sealed: &Sealed<'_>,
        staged: &mut Staged,
        doing: &mut Doing,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let Sealed { folder, manifest, .. } = *sealed;
        let (held, state, last) = match self.take_hold(sealed, receipt).await? {
            Hold::Taken { held, state, last } => (held, state, last),
            Hold::Published(published) => {
                self.finish(&published, manifest, receipt, None).await;
                return Ok(());
            }
        };
        let scratch = Scratch::new(self.workers);
        let rows = self.transfer(sealed, held.load(), staged, &scratch, receipt).await?;
        plan::check_coverage(manifest, &rows)?;
        let destination = &self.destination.plugin;
        let access = match destination.capabilities().loads_in_publication {
            true => {
                let access = self.access(sealed.route, &rows, &scratch, Step::Publish).await?;
                transfer::check_hashes(folder, &rows, &access).await?;
                let context = JobContext {
                    load: held.load(),
                    schema: &manifest.schema,
                    folder,
                    access: &StagingAccess::None,
                    on_bytes: &|_| (),
                };
                self.stage_lists(sealed.route, &rows, &context, &scratch).await?;
                access
            }
            // Its jobs have read the files.
            false => StagingAccess::None,
        };
        self.stop.check()?;
        let context = JobContext {
            load: held.load(),
            schema: &manifest.schema,
            folder,
            access: &access,
            on_bytes: &self.counting(Step::Publish),
        };
        let publication = plan::publication(manifest, &sealed.dispositions, &rows, &state, last);
        *doing = Doing::Publishing;
        let retries = self.retries();
        let publish = retries.once(destination.publish(&publication, &context));
        let commit = self.step(Step::Publish, receipt, publish).await?;
        self.finish(&held.committed(), manifest, receipt, Some(&commit)).await;
        Ok(())
    }

    /// Brings the dataset to the schema, raises the fence, and looks whether the load is published already.
    async fn take_hold(&self, sealed: &Sealed<'_>, receipt: &mut Receipt) -> Result<Hold> {
        let manifest = sealed.manifest;
        let destination = &self.destination.plugin;
        let retries = self.retries();
        let inquiry = Inquiry {
            dataset: manifest.dataset.clone(),
            pipeline: manifest.pipeline.clone(),
            schema: manifest.schema.name.clone(),
            load: Some(manifest.load_id.clone()),
        };
        self.stop.check()?;
        let state = retries.request(|| destination.describe(&inquiry)).await?;
        let tables = plan::tables_of(manifest);
        let identifiers = &destination.capabilities().identifiers;
        let types = plan::Types {
            native: &|column: &Column| destination.native_type(column),
            widens: &|from, to| destination.widens(from, to),
            longest: &|table, column| manifest.longest_of(table, column),
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
            // Additions, each of which may be there already.
            retries.repeatable(|| destination.apply(&manifest.dataset, &changes)).await?;
            receipt.schema_changes.extend(plan::change_names(&changes));
        }
        let owner = package::owner();
        let raise = || destination.fence(&manifest.dataset, &manifest.pipeline, &owner);
        let fence = retries.request(raise).await?;
        // Looked at only now: from here on nobody else can publish this load, so what is seen stays true.
        let state = retries.request(|| destination.describe(&inquiry)).await?;
        // Another pipeline may have made a table meanwhile, for shorter texts than these.
        let mut late = match is_published {
            true => Vec::new(),
            false => plan::schema_changes(&manifest.schema, &tables, &state, identifiers, types)?,
        };
        late.retain(|change| matches!(change, SchemaChange::WidenColumn { .. }));
        if !late.is_empty() {
            retries.repeatable(|| destination.apply(&manifest.dataset, &late)).await?;
            receipt.schema_changes.extend(plan::change_names(&late));
        }
        let load = Load {
            load_id: manifest.load_id.clone(),
            pipeline: manifest.pipeline.clone(),
            dataset: manifest.dataset.clone(),
            digest: digest.clone(),
            epoch: fence.epoch,
        };
        let claim = Claim {
            load_id: &manifest.load_id,
            digest: &digest,
            previous: manifest.previous.as_ref(),
            order_matters: sealed.dispositions.values().any(|d| *d != Disposition::Append)
                || plan::remembers(manifest),
            order: self.order,
        };
        let seen = Seen { commit: state.commit.as_ref(), last: fence.last_load.as_ref() };
        match after_look(load, &claim, &seen) {
            Verdict::Publish(held) => {
                Ok(Hold::Taken { held, state: Box::new(state), last: fence.last_load })
            }
            Verdict::Published(published) => Ok(Hold::Published(published)),
            Verdict::IdTaken => Err(id_taken(manifest)),
            Verdict::OutOfOrder => Err(out_of_order(manifest, fence.last_load.as_ref())),
        }
    }

    /// What jobs of a step count their bytes with.
    fn counting(&self, step: Step) -> impl Fn(u64) + Send + Sync {
        move |bytes| self.observer.observe(Event::Bytes { step, bytes })
    }

    /// Does the one job of a step.
    async fn step<T>(
        &self,
        step: Step,
        receipt: &mut Receipt,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.observer.observe(Event::StepStarted { step, jobs: Some(1) });
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
        published: &Published<Load>,
        manifest: &Manifest,
        receipt: &mut Receipt,
        commit: Option<&Commit>,
    ) {
        let load = published.leftovers();
        receipt.status = LoadStatus::Loaded;
        receipt.epoch = Some(load.epoch);
        receipt.atomic = Some(self.destination.plugin.capabilities().atomic_publication);
        if let Some(commit) = commit {
            receipt.usage.add_all(&commit.usage);
            for warning in &commit.warnings {
                self.warn(receipt, warning.clone());
            }
        }
        let mut warnings = Vec::new();
        for table in receipt.tables.iter_mut().filter(|_| commit.is_some()) {
            let rows = commit.and_then(|commit| commit.rows.get(&table.table)).copied();
            table.loaded_rows = rows;
            table.statements =
                commit.and_then(|commit| commit.statements.get(&table.table)).copied();
            let expected = manifest.rows_of(&table.table);
            if rows.is_some_and(|rows| rows != expected) {
                // A destination owes it to refuse this before its commit; that one did not must not go unsaid.
                warnings.push(format!(
                    "the destination published {} rows of {} where {expected} were written",
                    rows.unwrap_or_default(),
                    table.table
                ));
            }
        }
        warnings.into_iter().for_each(|warning| self.warn(receipt, warning));
        let clear = || self.destination.plugin.clear(load);
        if !self.keeps_staging_tables
            && let Err(error) = self.retries().request(clear).await
        {
            self.warn(
                receipt,
                format!(
                    "the load is complete, but what it left behind could not be removed: {error}"
                ),
            );
        }
        self.observer.observe(Event::LoadEnded(load.load_id.clone()));
    }

    /// Says what stopped nothing.
    fn warn(&self, receipt: &mut Receipt, warning: String) {
        self.observer.observe(Event::Warning(warning.clone()));
        receipt.warnings.push(warning);
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
        let dispositions = self.dispositions(manifest)?;
        self.route(manifest)?;
        let types = plan::Types {
            native: &|column: &Column| destination.native_type(column),
            widens: &|from, to| destination.widens(from, to),
            longest: &|table, column| manifest.longest_of(table, column),
        };
        let identifiers = &destination.capabilities().identifiers;
        let tables = plan::tables_of(manifest);
        let jobs = || self.jobs_to_come(manifest);
        check_limits(destination.capabilities(), manifest, &dispositions, state, jobs)
            .map_err(|error| error.with("destination", &self.destination.endpoint.name))?;
        plan::check_names(&manifest.schema, &tables, identifiers)?;
        plan::check_types(&manifest.schema, &tables, state, identifiers, types)?;
        let changes = plan::schema_changes(&manifest.schema, &tables, state, identifiers, types)?;
        for change in &changes {
            if let SchemaChange::CreateTable(table) = change {
                destination.check_table(table)?;
            }
        }
        Ok(changes)
    }

    /// The jobs that will bring the rows of a load.
    fn jobs_to_come(&self, manifest: &Manifest) -> Vec<Job> {
        let Some(staging) = self.staging else { return plan::first_jobs(manifest, false) };
        let files = plan::staged_files(manifest, |key| staging.plugin.url(key));
        plan::coalesce(files.into_iter().map(FollowUp::Copy).collect())
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
    /// The load is to be published.
    Taken {
        held: Held<Load>,
        /// The dataset as it was after the fence was raised.
        state: Box<DatasetState>,
        /// The load that the fence names as the last one.
        last: Option<LoadId>,
    },
    /// It is published already.
    Published(Published<Load>),
}

fn id_taken(manifest: &Manifest) -> Error {
    Error::new(ErrorKind::Terminal, "the load id is taken by another load")
        .with("load", &manifest.load_id)
        .with("dataset", &manifest.dataset.name)
        .with_hint("move the package away and load its source again: the new load has another id")
}

fn out_of_order(manifest: &Manifest, last: Option<&LoadId>) -> Error {
    let name = |load: Option<&LoadId>| load.map_or("none".to_owned(), ToString::to_string);
    Error::new(ErrorKind::Terminal, "another load of this pipeline was published meanwhile")
        .with("load", &manifest.load_id)
        .with("made after", name(manifest.previous.as_ref()))
        .with("published last", name(last))
        .with_hint(
            "its rows may be older than those in the dataset: set the package aside and drop it (`transload package`), \
             and load its source again",
        )
}

/// The load ids that a new one has to be greater than.
pub(crate) fn known_loads<'a>(
    packages: &'a [package::Package],
    last: Option<&'a LoadId>,
) -> impl Iterator<Item = &'a LoadId> {
    packages.iter().map(|package| &package.load_id).chain(last)
}
