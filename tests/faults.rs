//! A destination that loses answers, and what happens to packages meanwhile: every row once, or a refusal that says why.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use transload::core::settings::Settings;
use transload::core::{
    CONTRACT_VERSION, Capabilities, Commit, Dataset, DatasetState, Destination, Fence, Inquiry,
    Job, JobContext, JobOutcome, Load, Plugin, Publication, SchemaChange, Survey, settings,
};
use transload::{
    Column, Error, ErrorKind, LoadStatus, Pipeline, Registry, Resource, Result, WriteDisposition,
    plugins,
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
    first_call: std::sync::OnceLock<tokio::time::Instant>,
}

impl Faulty {
    /// Fails as long as the destination is away.
    fn is_there(&self) -> Result<()> {
        let first = *self.first_call.get_or_init(tokio::time::Instant::now);
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
const GONE: std::time::Duration = std::time::Duration::from_secs(30);

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let FaultySettings { database, fault } = settings.read()?;
    let registry = plugins::registry();
    let (_, create) = registry.destination("duckdb")?;
    let inner = create(&Settings::from_pairs("duckdb", &[("database", &database)]))?;
    let (publications, first_call) = (AtomicUsize::new(0), std::sync::OnceLock::new());
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

    async fn check(&self) -> Result<()> {
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
        .build()
        .unwrap()
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

/// Every file of a folder and of those below it.
fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        match entry.unwrap().path() {
            path if path.is_dir() => files.extend(files_of(&path)),
            path => files.push(path),
        }
    }
    files
}

#[tokio::test]
async fn no_file_of_a_package_is_torn_or_flipped_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = pending(folder, "host", rows(50)).await;
    let resume = async || pipeline(folder, "host", "none").resume().await;
    let mut refused = 0;
    // A manifest and the files of two tables. The receipt of the try that failed is written anew each time.
    let files = files_of(&package).into_iter().filter(|file| !file.ends_with("receipt.json"));
    let files: Vec<_> = files.filter(|file| !file.ends_with("@source")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        let end = whole.len() - 1;
        let flipped = [0, 1, end / 4, end / 2, end / 3 * 2, end - 1, end].map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            bytes
        });
        let torn = [0, 1, end / 2, end].map(|at| whole[..at].to_vec());
        // A page that never came to the disk is a page of zeros.
        let blank = [0, end / 2].map(|at| {
            let mut bytes = whole.clone();
            bytes[at..].fill(0);
            bytes
        });
        let longer = [[&whole[..], b"\n"].concat()];
        for damaged in flipped.iter().chain(&torn).chain(&blank).chain(&longer) {
            std::fs::write(file, damaged).unwrap();
            let failed = resume().await.unwrap_err();
            assert_eq!(failed.error.kind(), ErrorKind::Terminal, "{}: {failed}", file.display());
            assert!(failed.error.hint().is_some(), "{failed}");
            assert_eq!(std::fs::read(file).unwrap(), *damaged, "nobody repairs or removes it");
            refused += 1;
        }
        std::fs::write(file, &whole).unwrap();
    }
    assert_eq!(refused, 3 * 14);
    resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 50);
    assert_eq!(count(folder, "select count(*) from d.t__tags"), 100);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_for_a_while_is_waited_for_or_the_load_resumed() {
    for fault in ["gone", "gone when it publishes"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let began = tokio::time::Instant::now();
        let pipeline = pipeline(folder, "host", fault);
        let mut runs = 1;
        let mut result = pipeline.run(rows(5)).await;
        while let Err(failed) = result {
            assert_eq!(failed.error.kind(), ErrorKind::Transient, "{failed}");
            assert!(runs < 4, "{fault}: it is not waited for");
            runs += 1;
            let sealed = failed.info.loads.first().is_some_and(|l| l.status == LoadStatus::Pending);
            result = if sealed { pipeline.resume().await } else { pipeline.run(rows(5)).await };
        }
        assert!(began.elapsed() >= GONE, "{fault}: nobody was away");
        drop(pipeline);
        assert_eq!(count(folder, "select count(*) from d.t"), 5, "{fault}");
        assert_eq!(count(folder, "select count(*) from d.t__tags"), 10, "{fault}");
        assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 1, "{fault}");
    }
}

/// Replaces again and again while somebody reads, who counts what differs from whole loads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_in_a_loop_sees_the_old_rows_or_the_new_ones() {
    use std::sync::atomic::AtomicBool;
    use transload::core::ReplaceStrategy;

    const LOADS: i64 = 12;
    let settings = |path: &str| Settings::from_pairs("duckdb", &[("database", path)]);
    let duckdb = |path: &str| transload_dest_duckdb::DuckDbDestination::new(&settings(path));
    let claimed = duckdb("none.duckdb").unwrap().capabilities().replace_strategies.clone();
    assert!(claimed.contains(&ReplaceStrategy::TruncateAndInsert));
    for strategy in claimed {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        // Load `n` has `n + 1` rows, each with two nested ones.
        let load = |n: i64| {
            let rows = (0..=n).map(move |row| serde_json::json!({ "n": n, "tags": [row, row] }));
            Resource::rows("t", rows)
                .write_disposition(WriteDisposition::Replace)
                .replace_strategy(strategy)
        };
        let pipeline = pipeline(folder, "host", "none");
        pipeline.run(load(0)).await.unwrap();
        let path = folder.join("faults.duckdb");
        let reader = duckdb(path.to_str().unwrap()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let reading = tokio::spawn(async move {
            let sql = "select min(n) as least, max(n) as most, count(*) as rows, \
                       (select count(*) from d.t__tags) as tags, \
                       (select count(*) from d.t__tags where _dlt_parent_id not in (select _dlt_id from d.t)) \
                       as orphans from d.t";
            let mut seen = std::collections::BTreeSet::new();
            while !over.load(Ordering::SeqCst) {
                let answer = reader.query(sql).await.unwrap();
                let number =
                    |at: usize| answer[0][at].as_ref().map(|text| text.parse::<i64>().unwrap());
                let (least, most) = (number(0).expect("never empty"), number(1).unwrap());
                assert_eq!(least, most, "rows of two loads");
                assert_eq!(number(2), Some(most + 1), "rows");
                assert_eq!(number(3), Some(2 * (most + 1)), "nested rows");
                assert_eq!(number(4), Some(0), "nested rows without a parent");
                seen.insert(most);
                tokio::task::yield_now().await;
            }
            seen
        });
        for n in 1..LOADS {
            pipeline.run(load(n)).await.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        let seen = reading.await.unwrap();
        assert!(seen.len() > 1, "{strategy:?}: the reader saw {seen:?} only");
    }
}
