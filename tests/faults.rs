//! A destination that loses answers, and what happens to packages meanwhile: every row once, or a refusal that says why.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "faults/apart.rs"]
mod apart;
#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/reader.rs"]
mod reader;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use transload::core::settings::Settings;
use transload::core::{
    CONTRACT_VERSION, Capabilities, Commit, Dataset, DatasetState, Destination, Fence, Inquiry,
    Job, JobContext, JobOutcome, Load, Plugin, Publication, SchemaChange, Survey, Table, settings,
};
use transload::{
    Column, Error, ErrorKind, Event, LoadStatus, Pipeline, PipelineBuilder, Registry, Resource,
    Result, WriteDisposition, plugins,
};

settings! {
    /// The settings of a DuckDB that is hard to talk to.
    pub struct FaultySettings {
        /// The file.
        pub database: String,
        /// What becomes of the first publications.
        pub fault: String,
    }
}

/// DuckDB behind a connection that breaks when something is published.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Destination>,
    fault: String,
    publications: AtomicUsize,
    /// When somebody first came.
    first_call: OnceLock<Instant>,
}

impl Faulty {
    /// Fails as long as the destination is away.
    fn is_there(&self) -> Result<()> {
        let first = *self.first_call.get_or_init(Instant::now);
        let is_away = match self.fault.as_str() {
            "gone" => true,
            "gone when it publishes" => self.publications.load(Ordering::SeqCst) > 0,
            _ => false,
        };
        if is_away && first.elapsed() < GONE {
            return Err(Error::new(ErrorKind::Transient, "nobody is there"));
        }
        Ok(())
    }
}

/// How long a destination is away.
const GONE: Duration = Duration::from_secs(30);

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let FaultySettings { database, fault } = settings.read()?;
    let registry = plugins::registry();
    let (_, create) = registry.destination("duckdb")?;
    let inner = create(&Settings::from_pairs("duckdb", &[("database", &database)]))?;
    let (publications, first_call) = (AtomicUsize::new(0), OnceLock::new());
    Ok(Arc::new(Faulty { inner, fault, publications, first_call }))
}

#[async_trait]
impl Destination for Faulty {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.inner.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.inner.widens(from, to)
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        match self.fault.as_str() {
            "no tables" if !table.name.starts_with("_dlt") => {
                let error = Error::new(ErrorKind::Configuration, "no such table can be made");
                Err(error.with("table", &table.name))
            }
            _ => self.inner.check_table(table),
        }
    }

    async fn check(&self) -> Result<()> {
        self.is_there()?;
        self.inner.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.is_there()?;
        self.inner.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.is_there()?;
        self.inner.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.is_there()?;
        self.inner.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.inner.run(job, context).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let lost = |kind| Err(Error::new(kind, "the connection broke"));
        let first = self.publications.fetch_add(1, Ordering::SeqCst) == 0;
        self.is_there()?;
        match self.fault.as_str() {
            "answer lost" if first => {
                self.inner.publish(publication, context).await?;
                lost(ErrorKind::OutcomeUnknown)
            }
            "request lost" if first => lost(ErrorKind::OutcomeUnknown),
            "met another" if first => lost(ErrorKind::Transient),
            "hangs after the commit" if first => {
                self.inner.publish(publication, context).await?;
                std::future::pending().await
            }
            "hangs before the commit" if first => std::future::pending().await,
            "hangs" => std::future::pending().await,
            "never again" => lost(ErrorKind::Terminal),
            _ => self.inner.publish(publication, context).await,
        }
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.is_there()?;
        self.inner.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.inner.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.inner.drop_staging_tables(dataset, tables).await
    }
}

fn pipeline(folder: &Path, host: &str, fault: &str) -> Pipeline {
    builder(folder, host, fault).build().unwrap()
}

fn builder(folder: &Path, host: &str, fault: &str) -> PipelineBuilder {
    let plugin = Plugin {
        name: "faulty",
        aliases: &[],
        summary: "DuckDB behind a connection that breaks",
        package: "tests",
        version: "1.0.0",
        contract: CONTRACT_VERSION,
        settings: FaultySettings::KEYS,
        destination: Some(create),
        staging: None,
    };
    let registry: Registry = plugins::registry().with(plugin);
    let database = std::path::absolute(folder.join("faults.duckdb")).unwrap();
    transload::pipeline("faults")
        .destination("faulty")
        .dataset_name("d")
        .registry(registry)
        .folder(folder)
        .pipelines_dir(host)
        .setting("destination.faulty.database", database.to_string_lossy())
        .setting("destination.faulty.fault", fault)
}

fn rows(n: i64) -> Resource {
    Resource::rows("t", (0..n).map(|n| serde_json::json!({ "n": n, "tags": [n, n] })))
}

fn count(folder: &Path, sql: &str) -> i64 {
    let database = duckdb::Connection::open(folder.join("faults.duckdb")).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[tokio::test]
async fn a_lost_answer_loads_once() {
    for fault in ["answer lost", "request lost", "met another"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let info = pipeline(folder, "host", fault).run(rows(5)).await.unwrap();
        assert_eq!(info.loads[0].status, LoadStatus::Loaded, "{fault}");
        pipeline(folder, "host", "none").run(rows(3)).await.unwrap();
        assert_eq!(count(folder, "select count(*) from d.t"), 8, "{fault}");
        assert_eq!(count(folder, "select count(*) from d.t__tags"), 16, "{fault}");
        assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 2, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_is_given_up_and_the_load_is_there_once() {
    for fault in ["hangs after the commit", "hangs before the commit"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let begun = Instant::now();
        let pipeline = builder(folder, "host", fault).setting("load.job_timeout", "60");
        let info = pipeline.build().unwrap().run(rows(5)).await.unwrap();
        assert_eq!(info.loads[0].status, LoadStatus::Loaded, "{fault}");
        assert!(begun.elapsed() >= Duration::from_secs(60), "{fault}");
        assert!(begun.elapsed() < Duration::from_secs(70), "{fault}");
        assert_eq!(count(folder, "select count(*) from d.t"), 5, "{fault}");
        assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_for_ever_fails_the_load_which_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hanging = builder(folder, "host", "hangs").setting("load.job_timeout", "60").build();
    let failed = hanging.unwrap().run(rows(5)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::OutcomeUnknown);
    assert!(failed.error.hint().unwrap().contains("load.job_timeout"));
    assert_eq!(failed.info.loads[0].status, LoadStatus::Pending);
    pipeline(folder, "host", "none").resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 5);
}

/// Leaves a sealed package behind that was not published.
async fn pending(folder: &Path, host: &str, resource: Resource) -> std::path::PathBuf {
    let pipeline = pipeline(folder, host, "never again");
    let failed = pipeline.run(resource).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Terminal);
    assert_eq!(failed.info.loads[0].status, LoadStatus::Pending);
    assert!(failed.error.context("package").is_some());
    let packages = pipeline.working_folder().packages().unwrap();
    packages.last().unwrap().folder.clone()
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_nothing_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = pending(folder, "host", rows(50)).await;
    let file = std::fs::read_dir(package.join("t")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let failed = pipeline(folder, "host", "none").resume().await.unwrap_err();
    assert_eq!(failed.error.context("reason"), Some("its hash is not that of the manifest"));
    assert_eq!(count(folder, "select count(*) from d.t"), 0);
    std::fs::rename(&package, folder.join("aside")).unwrap();
    pipeline(folder, "host", "none").run(rows(2)).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
}

#[tokio::test]
async fn older_rows_do_not_replace_newer_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let replace = |n| rows(n).write_disposition(WriteDisposition::Replace);
    pipeline(folder, "one", "none").run(replace(1)).await.unwrap();
    pending(folder, "one", replace(2)).await;
    pipeline(folder, "two", "none").run(replace(3)).await.unwrap();
    let failed = pipeline(folder, "one", "none").resume().await.unwrap_err();
    assert_eq!(failed.error.message(), "another load of this pipeline was published meanwhile");
    assert_eq!(count(folder, "select count(*) from d.t"), 3);
}

#[tokio::test]
async fn loads_that_add_are_both_there_whoever_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pending(folder, "one", rows(2)).await;
    pipeline(folder, "two", "none").run(rows(3)).await.unwrap();
    pipeline(folder, "one", "none").resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 5);
}

#[tokio::test]
async fn a_pending_load_is_not_finished_in_another_place() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    std::fs::create_dir(&one).unwrap();
    std::fs::create_dir(&two).unwrap();
    pending(&one, "../host", rows(2)).await;
    let failed = pipeline(&two, "../host", "none").run(rows(1)).await.unwrap_err();
    assert_eq!(failed.error.message(), "an unfinished load of this pipeline goes elsewhere");
    assert!(failed.error.context("its place").unwrap().contains("one"));
    assert!(failed.error.context("this place").unwrap().contains("two"));
    pipeline(&one, "../host", "none").resume().await.unwrap();
    assert_eq!(count(&one, "select count(*) from d.t"), 2);
}

#[tokio::test]
async fn a_column_of_another_type_is_refused_before_anything_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let typed = |data_type| rows(2).columns([Column::new("n", data_type)]);
    pipeline(folder, "host", "none").run(typed(transload::DataType::Bigint)).await.unwrap();
    let pipeline = pipeline(folder, "host", "none");
    let failed = pipeline.run(typed(transload::DataType::Double)).await.unwrap_err();
    assert_eq!(failed.error.context("in the dataset"), Some("BIGINT"));
    assert_eq!(failed.error.context("in the schema"), Some("DOUBLE"));
    assert_eq!(failed.info.loads[0].status, LoadStatus::Failed);
    let pending = pipeline.working_folder().packages().unwrap();
    assert!(pending.iter().all(|package| package.status == transload::PackageStatus::Loaded));
    drop(pipeline);
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
}

#[tokio::test]
async fn a_table_that_cannot_be_made_is_refused_before_anything_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pipeline = pipeline(folder, "host", "no tables");
    let failed = pipeline.run(rows(2)).await.unwrap_err();
    assert_eq!(failed.error.message(), "no such table can be made");
    assert_eq!(failed.info.loads[0].status, LoadStatus::Failed);
    assert!(pipeline.working_folder().packages().unwrap().is_empty());
    drop(pipeline);
    // What is there already is not asked for: it stays as it is.
    self::pipeline(folder, "host", "none").run(rows(2)).await.unwrap();
    self::pipeline(folder, "host", "no tables").run(rows(3)).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 5);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_for_thirty_seconds_fails_no_load() {
    for fault in ["gone", "gone when it publishes"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let waits = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&waits);
        let observer = move |event: Event| {
            if let Event::Retrying { seconds, .. } = event {
                seen.lock().unwrap().push(seconds);
            }
        };
        let began = Instant::now();
        let pipeline = builder(folder, "host", fault).observer(observer).build().unwrap();
        let info = pipeline.run(rows(5)).await.unwrap();
        assert_eq!(info.loads[0].status, LoadStatus::Loaded, "{fault}");
        assert!(began.elapsed() >= GONE, "{fault}: nobody was away");
        assert!(waits.lock().unwrap().iter().sum::<f64>() > 20.0, "{fault}: waits are seen");
        drop(pipeline);
        assert_eq!(count(folder, "select count(*) from d.t"), 5, "{fault}");
        assert_eq!(count(folder, "select count(*) from d.t__tags"), 10, "{fault}");
        assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 1, "{fault}");
    }
}
