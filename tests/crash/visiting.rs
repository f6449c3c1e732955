//! DuckDB as a server that many talk to: the file is opened for one call and closed again, so that another process can
//! come between any two calls; and what can happen to calls on their way there.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use transload::core::settings::Settings;
use transload::core::{
    CONTRACT_VERSION, Capabilities, Commit, Dataset, DatasetState, Destination, Disposition, Fence,
    Inquiry, Job, JobContext, JobOutcome, Load, Plugin, Publication, Schema, SchemaChange,
    StagingAccess, Survey, Table, failpoint, settings,
};
use transload::{Column, Error, ErrorKind, PipelineBuilder, Result, plugins};

use crate::child::VISITS;

/// What is odd about the way to the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Oddity {
    /// Nothing.
    Plain,
    /// The call with this number arrives twice; the second answer is the one that comes back.
    Twice(usize),
    /// The first publication is given up, and arrives right before the so-many-th call after it.
    Late(usize),
    /// A fault that is planted, to see that it is found: rows become visible before and apart from their load.
    Split,
}

settings! {
    /// The settings of a DuckDB that is visited.
    pub struct VisitedSettings {
        /// The file.
        pub database: String,
        /// What is odd, as JSON.
        pub oddity: String,
    }
}

/// Lets a pipeline load by visits.
pub(crate) fn choose(pipeline: PipelineBuilder, folder: &Path, oddity: Oddity) -> PipelineBuilder {
    let plugin = Plugin {
        name: "visited",
        aliases: &[],
        summary: "DuckDB that is opened for each call",
        package: "tests",
        version: "1.0.0",
        contract: CONTRACT_VERSION,
        settings: VisitedSettings::KEYS,
        destination: Some(create),
        staging: None,
    };
    let oddity = serde_json::to_string(&oddity).expect("an oddity is JSON");
    pipeline
        .destination("visited")
        .registry(plugins::registry().with(plugin))
        .setting("destination.visited.database", folder.join("crash.duckdb").to_string_lossy())
        .setting("destination.visited.oddity", oddity)
}

#[derive(Debug)]
struct Visited {
    database: PathBuf,
    identity: String,
    capabilities: Capabilities,
    oddity: Oddity,
    calls: AtomicUsize,
    late: Mutex<Option<Late>>,
    gave_up: AtomicUsize,
}

/// A publication on its way.
#[derive(Debug)]
struct Late {
    due: usize,
    publication: Publication,
    load: Load,
    schema: Schema,
    folder: PathBuf,
    access: StagingAccess,
}

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let VisitedSettings { database, oddity } = settings.read()?;
    let oddity = serde_json::from_str(&oddity)
        .map_err(|error| Error::new(ErrorKind::Configuration, "no oddity").with_source(error))?;
    let database = PathBuf::from(database);
    let inner = inner(&database)?;
    Ok(Arc::new(Visited {
        identity: inner.identity(),
        capabilities: inner.capabilities().clone(),
        database,
        oddity,
        calls: AtomicUsize::new(0),
        late: Mutex::default(),
        gave_up: AtomicUsize::new(0),
    }))
}

fn inner(database: &Path) -> Result<Arc<dyn Destination>> {
    let registry = plugins::registry();
    let (_, create) = registry.destination("duckdb")?;
    create(&Settings::from_pairs("duckdb", &[("database", &database.to_string_lossy())]))
}

/// One visit: dropped, the file is closed and somebody else may come.
struct Visit {
    // In the order in which they go.
    inner: Arc<dyn Destination>,
    _turn: File,
    _inside: Inside,
}

struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        VISITS.store(false, Ordering::SeqCst);
    }
}

impl Visited {
    /// Waits for its turn: a server would queue the calls.
    async fn enter(&self) -> Result<Visit> {
        let path = self.database.with_extension("turn");
        let turn = tokio::task::spawn_blocking(move || {
            let turn = OpenOptions::new().create(true).append(true).open(path)?;
            flock(&turn, FlockOperation::LockExclusive)?;
            std::io::Result::Ok(turn)
        });
        let turn = turn.await.expect("the wait does not panic");
        let turn = turn.map_err(|error| {
            Error::new(ErrorKind::Bug, "the turn cannot be waited for").with_source(error)
        })?;
        VISITS.store(true, Ordering::SeqCst);
        Ok(Visit { inner: inner(&self.database)?, _turn: turn, _inside: Inside })
    }

    /// Lets a publication arrive whose time has come, whoever still waits for it.
    async fn arrive(&self, call: usize, inner: &Arc<dyn Destination>) {
        let due = {
            let mut late = self.late.lock().expect("nobody panics with it");
            late.take_if(|late| late.due == call)
        };
        if let Some(late) = due {
            let context = JobContext {
                load: &late.load,
                schema: &late.schema,
                folder: &late.folder,
                access: &late.access,
                on_bytes: &|_| {},
            };
            // Its answer goes nowhere.
            let _ = inner.publish(&late.publication, &context).await;
        }
    }

    /// The planted fault: the rows alone, in a transaction of their own.
    fn publish_rows(
        &self,
        publication: &Publication,
        context: &JobContext<'_>,
    ) -> duckdb::Result<()> {
        let dataset = &context.load.dataset.name;
        let database = duckdb::Connection::open(&self.database)?;
        database.execute_batch("BEGIN")?;
        for chain in &publication.chains {
            for table in chain.tables() {
                let name = format!("\"{dataset}\".\"{}\"", table.table);
                if matches!(chain.disposition, Disposition::Replace(_)) {
                    database.execute_batch(&format!("DELETE FROM {name}"))?;
                }
                for job in &table.jobs {
                    let Job::Load(job) = job else { panic!("planted for loads without staging") };
                    let file = context.folder.join(job.file.path());
                    let file = file.display();
                    database.execute_batch(&format!(
                        "INSERT INTO {name} BY NAME SELECT * FROM read_parquet('{file}')"
                    ))?;
                }
            }
        }
        database.execute_batch("COMMIT")
    }
}

/// What a test wants to have gone wrong on the way.
fn passed(point: std::io::Result<()>, kind: ErrorKind) -> Result<()> {
    point.map_err(|error| Error::new(kind, "the connection broke").with_source(error))
}

/// A call on its way there and back.
macro_rules! visit {
    ($visited:expr, $name:literal, $lost:expr, $inner:ident => $call:expr) => {{
        let number = $visited.calls.fetch_add(1, Ordering::SeqCst) + 1;
        passed(failpoint::before($name), $lost)?;
        let visit = $visited.enter().await?;
        let $inner = &visit.inner;
        $visited.arrive(number, $inner).await;
        let mut answer = $call.await;
        if $visited.oddity == Oddity::Twice(number) {
            answer = $call.await;
        }
        drop(visit);
        passed(failpoint::after($name), $lost)?;
        answer
    }};
}

#[async_trait]
impl Destination for Visited {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        inner(&self.database)?.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        inner(&self.database).is_ok_and(|inner| inner.widens(from, to))
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        inner(&self.database)?.check_table(table)
    }

    async fn check(&self) -> Result<()> {
        visit!(self, "the call check", ErrorKind::Transient, inner => inner.check())
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        visit!(self, "the call describe", ErrorKind::Transient, inner => inner.describe(inquiry))
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        visit!(self, "the call apply", ErrorKind::Transient, inner => inner.apply(dataset, changes))
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        visit!(self, "the call fence", ErrorKind::Transient,
            inner => inner.fence(dataset, pipeline, owner))
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        visit!(self, "the call run", ErrorKind::Transient, inner => inner.run(job, context))
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        if let Oddity::Late(calls) = self.oddity
            && self.gave_up.fetch_add(1, Ordering::SeqCst) == 0
        {
            let now = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            *self.late.lock().expect("nobody panics with it") = Some(Late {
                due: now + calls,
                publication: publication.clone(),
                load: context.load.clone(),
                schema: context.schema.clone(),
                folder: context.folder.to_owned(),
                access: context.access.clone(),
            });
            return Err(Error::new(ErrorKind::OutcomeUnknown, "nobody answered in time"));
        }
        if self.oddity == Oddity::Split {
            let visit = self.enter().await?;
            self.publish_rows(publication, context).expect("the rows are published");
            drop(visit);
            passed(failpoint::after("publish the rows alone"), ErrorKind::OutcomeUnknown)?;
            let rest = Publication { chains: Vec::new(), ..publication.clone() };
            return visit!(self, "the call publish", ErrorKind::OutcomeUnknown,
                inner => inner.publish(&rest, context));
        }
        visit!(self, "the call publish", ErrorKind::OutcomeUnknown,
            inner => inner.publish(publication, context))
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        visit!(self, "the call clear", ErrorKind::Transient, inner => inner.clear(load))
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        visit!(self, "the call survey", ErrorKind::Transient, inner => inner.survey(dataset))
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        visit!(self, "the call drop_staging_tables", ErrorKind::Transient,
            inner => inner.drop_staging_tables(dataset, tables))
    }
}
