//! A destination that runs its jobs apart, behind a staging storage: in which order things happen, and what becomes of
//! them when something fails or the run is asked to stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::watch;
use transload::core::settings::Settings;
use transload::core::{
    AccessRequest, CONTRACT_VERSION, Capabilities, Commit, Dataset, DatasetState, Destination,
    Fence, Inquiry, Job, JobContext, JobOutcome, Load, LoadId, Plugin, Publication, SchemaChange,
    Scope, SealedManifest, StagedFile, StagedObject, StagingAccess, StagingCapabilities,
    StagingDestination, Survey, Table, settings,
};
use transload::{
    Column, Error, ErrorKind, LoadStatus, Pipeline, Resource, Result, RunError, Stop, plugins,
};

settings! {
    /// The settings of a world, under the name of its destination and of its staging.
    pub struct WorldSettings {
        /// The file of the database, or the folder of the storage.
        pub place: String,
        /// The number of the world.
        pub world: usize,
    }
}

/// What both sides write down, and what happens when they do.
struct World {
    said: watch::Sender<Vec<String>>,
    rule: Rule,
    stop: Mutex<Stop>,
    paths: Mutex<BTreeMap<String, PathBuf>>,
}

/// What a world is like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Files of table `b` are staged when table `a` is being copied, and not before.
    Waits,
    /// The run is asked to stop when the first upload begins; it ends all the same.
    StopsAtUpload,
    /// The run is asked to stop when the publication begins.
    StopsAtPublication,
    /// No upload works.
    Fails,
    Works,
}

static WORLDS: Mutex<Vec<Arc<World>>> = Mutex::new(Vec::new());

fn worlds() -> MutexGuard<'static, Vec<Arc<World>>> {
    WORLDS.lock().unwrap()
}

impl World {
    fn say(&self, what: String) {
        self.said.send_modify(|said| said.push(what));
    }

    fn stop(&self) {
        self.stop.lock().unwrap().stop();
    }

    fn said(&self) -> Vec<String> {
        self.said.borrow().clone()
    }
}

struct Apart {
    inner: Arc<dyn Destination>,
    capabilities: Capabilities,
    world: Arc<World>,
}

struct Storage {
    inner: Arc<dyn StagingDestination>,
    world: Arc<World>,
}

impl std::fmt::Debug for Apart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let WorldSettings { place, world } = settings.read()?;
    let (_, create) = plugins::registry().destination("duckdb")?;
    let inner = create(&Settings::from_pairs("duckdb", &[("database", &place)]))?;
    let capabilities = Capabilities { loads_in_publication: false, ..inner.capabilities().clone() };
    Ok(Arc::new(Apart { inner, capabilities, world: Arc::clone(&worlds()[world]) }))
}

fn create_staging(settings: &Settings) -> Result<Arc<dyn StagingDestination>> {
    let WorldSettings { place, world } = settings.read()?;
    let (_, create) = plugins::registry().staging("filesystem")?;
    let inner = create(&Settings::from_pairs("filesystem", &[("bucket_url", &place)]))?;
    Ok(Arc::new(Storage { inner, world: Arc::clone(&worlds()[world]) }))
}

#[async_trait]
impl Destination for Apart {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
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
        self.inner.check_table(table)
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.inner.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.inner.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.inner.fence(dataset, pipeline, owner).await
    }

    /// The rows come with the publication; this is what is let at them.
    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.world.say(job.id().to_string());
        let StagingAccess::LocalPaths(paths) = context.access else { panic!("local paths") };
        let Job::Copy(copy) = job else { panic!("copies only") };
        assert_eq!(paths.len(), copy.files.len(), "it is let at the files of its table alone");
        self.world.paths.lock().unwrap().extend(paths.clone());
        Ok(JobOutcome::default())
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.world.say("publish".into());
        if self.world.rule == Rule::StopsAtPublication {
            self.world.stop();
            tokio::task::yield_now().await;
        }
        let access = StagingAccess::LocalPaths(self.world.paths.lock().unwrap().clone());
        let context = JobContext { access: &access, ..*context };
        self.inner.publish(publication, &context).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.world.say("clear".into());
        self.inner.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.inner.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.inner.drop_staging_tables(dataset, tables).await
    }
}

#[async_trait]
impl StagingDestination for Storage {
    fn capabilities(&self) -> &StagingCapabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }

    async fn stage(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.world.say(format!("stage:{} begins", job.table()));
        match self.world.rule {
            Rule::Waits if job.table() == "b" => {
                let mut said = self.world.said.subscribe();
                let _ = said.wait_for(|said| said.iter().any(|said| said == "copy:a")).await;
            }
            Rule::StopsAtUpload => {
                self.world.stop();
                tokio::task::yield_now().await;
            }
            Rule::Fails => return Err(Error::new(ErrorKind::Terminal, "the storage is full")),
            _ => {}
        }
        let outcome = self.inner.stage(job, context).await;
        self.world.say(format!("stage:{} ended", job.table()));
        outcome
    }

    async fn write_manifest(&self, manifest: &SealedManifest) -> Result<()> {
        self.world.say("manifest".into());
        self.inner.write_manifest(manifest).await
    }

    async fn loads(&self, scope: &Scope) -> Result<Vec<LoadId>> {
        self.inner.loads(scope).await
    }

    async fn read_manifests(&self, scope: &Scope) -> Result<Vec<SealedManifest>> {
        self.inner.read_manifests(scope).await
    }

    async fn grant(&self, request: &AccessRequest) -> Result<StagingAccess> {
        self.inner.grant(request).await
    }

    async fn fetch(&self, file: &StagedFile, to: &Path) -> Result<()> {
        self.inner.fetch(file, to).await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<StagedObject>> {
        self.inner.list(scope).await
    }

    async fn remove(&self, keys: &[String]) -> Result<()> {
        self.inner.remove(keys).await
    }
}

/// A pipeline in a world of its own.
fn pipeline(folder: &Path, rule: Rule, workers: &str) -> (Pipeline, Arc<World>) {
    let world = Arc::new(World {
        said: watch::Sender::default(),
        rule,
        stop: Mutex::default(),
        paths: Mutex::default(),
    });
    let number = {
        let mut worlds = worlds();
        worlds.push(Arc::clone(&world));
        (worlds.len() - 1).to_string()
    };
    let plugin = Plugin {
        name: "apart",
        aliases: &[],
        summary: "DuckDB that runs its jobs apart, and a folder",
        package: "tests",
        version: "1.0.0",
        contract: CONTRACT_VERSION,
        settings: WorldSettings::KEYS,
        destination: Some(create),
        staging: None,
    };
    let storage =
        Plugin { name: "storage", destination: None, staging: Some(create_staging), ..plugin };
    let place = |name: &str| folder.join(name).display().to_string();
    let pipeline = transload::pipeline("apart")
        .destination("apart")
        .staging("storage")
        .dataset_name("d")
        .registry(plugins::registry().with(plugin).with(storage))
        .folder(folder)
        .pipelines_dir("host")
        .setting("destination.apart.place", place("faults.duckdb"))
        .setting("destination.apart.world", &number)
        .setting("destination.storage.place", place("staged"))
        .setting("destination.storage.world", &number)
        .setting("load.workers", workers)
        .build()
        .unwrap();
    *world.stop.lock().unwrap() = pipeline.stop_handle();
    (pipeline, world)
}

fn two_tables() -> Vec<Resource> {
    let rows = |table| Resource::rows(table, (0..3).map(|n| serde_json::json!({ "n": n })));
    vec![rows("a"), rows("b")]
}

fn count(folder: &Path) -> i64 {
    super::count(folder, "select (select count(*) from d.a) + (select count(*) from d.b)")
}

fn is_interrupted(failed: &RunError) -> bool {
    let status = failed.info.loads.last().map(|receipt| receipt.status);
    failed.error.kind() == ErrorKind::Interrupted && status == Some(LoadStatus::Pending)
}

#[tokio::test(start_paused = true)]
async fn a_table_is_copied_while_another_one_is_being_staged() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, world) = pipeline(folder.path(), Rule::Waits, "4");
    pipeline.run(two_tables()).await.unwrap();
    drop(pipeline);
    assert_eq!(count(folder.path()), 6);
    let said = world.said();
    let place = |what: &str| said.iter().position(|said| said == what).unwrap();
    assert!(place("copy:a") < place("stage:b ended"), "{said:?}");
    assert!(place("stage:a ended") < place("copy:a"), "{said:?}");
    assert!(place("stage:b ended") < place("copy:b"), "{said:?}");
    assert!(place("stage:b ended") < place("manifest"), "{said:?}");
    assert!(place("manifest") < place("publish") && place("copy:b") < place("publish"), "{said:?}");
    assert_eq!(said.last().unwrap(), "clear");
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_ends_what_runs_and_starts_nothing() {
    for (workers, uploads) in [("1", 1), ("2", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let (stopped, world) = pipeline(folder.path(), Rule::StopsAtUpload, workers);
        let failed = stopped.run(two_tables()).await.unwrap_err();
        assert!(is_interrupted(&failed), "{failed:?}");
        drop(stopped);
        let said = world.said();
        let ended = said.iter().filter(|said| said.ends_with("ended")).count();
        assert_eq!((ended, said.len()), (uploads, 2 * uploads), "{said:?}");
        let (resumed, _) = pipeline(folder.path(), Rule::Works, "2");
        resumed.resume().await.unwrap();
        drop(resumed);
        assert_eq!(count(folder.path()), 6);
    }
}

#[tokio::test]
async fn a_publication_that_has_begun_happens_whole_when_the_run_is_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, world) = pipeline(folder.path(), Rule::StopsAtPublication, "2");
    let info = pipeline.run(two_tables()).await.unwrap();
    assert_eq!(info.loads[0].status, LoadStatus::Loaded);
    drop(pipeline);
    assert_eq!(count(folder.path()), 6);
    assert_eq!(world.said().last().unwrap(), "clear");
}

#[tokio::test]
async fn after_the_first_failure_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, world) = pipeline(folder.path(), Rule::Fails, "1");
    let failed = pipeline.run(two_tables()).await.unwrap_err();
    assert_eq!(failed.error.message(), "the storage is full");
    assert_eq!(world.said(), ["stage:a begins"]);
}
