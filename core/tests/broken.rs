//! The suite is held against destinations that are broken on purpose: each must fail the cases that are about its flaw, and
//! no other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use transload_core::conformance::{
    CANARY, CaseFuture, Harness, MemoryDestination, MemoryHarness, Suite, Verdict,
};
use transload_core::sql::{Row, staging_name};
use transload_core::{
    Capabilities, Column, Commit, Dataset, DatasetState, Destination, Disposition, Epoch, Error,
    ErrorKind, Fence, Inquiry, Job, JobContext, JobOutcome, Load, Publication, Result,
    SchemaChange, Survey, Table,
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flaw {
    /// It publishes and keeps no record of it.
    NoCommitRecord,
    /// A replacement leaves nested tables alone of which the load has no rows.
    NoChildDelete,
    /// A merge forgets the tables that are nested.
    NoChildMerge,
    /// Being overtaken looks like something that may work when it is tried again.
    WrongKind,
    /// The first table is brought in before the rest.
    NotAtomic,
    /// It publishes whatever the fence says.
    IgnoresFence,
    /// It takes the files at their word.
    DoesNotCount,
    /// It tells everybody its password.
    LeaksSecret,
    /// It clears away the whole staging dataset.
    ClearsForeignTables,
    /// It clears away nothing.
    ClearsNothing,
    /// What is NULL becomes empty.
    NoNull,
    /// A replacement empties the table first, for all to see.
    EmptiesFirst,
}

const FLAWS: [Flaw; 12] = [
    Flaw::NoCommitRecord,
    Flaw::NoChildDelete,
    Flaw::NoChildMerge,
    Flaw::WrongKind,
    Flaw::NotAtomic,
    Flaw::IgnoresFence,
    Flaw::DoesNotCount,
    Flaw::LeaksSecret,
    Flaw::ClearsForeignTables,
    Flaw::ClearsNothing,
    Flaw::NoNull,
    Flaw::EmptiesFirst,
];

struct Broken {
    inner: Arc<dyn Destination>,
    memory: MemoryHarness,
    flaw: Flaw,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flaw {
            Flaw::LeaksSecret => write!(f, "Broken(password: {CANARY})"),
            _ => f.write_str("Broken"),
        }
    }
}

impl Broken {
    /// Gives way once, so that readers come in between.
    async fn give_way() {
        let mut asked = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut asked, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }

    /// Brings the rows of the first table of a load in, before all others.
    fn bring_first(&self, publication: &mut Publication, context: &JobContext<'_>) {
        let first = publication.chains.remove(0);
        let load = context.load;
        let mut datasets = self.memory.place.lock();
        let mut rows = Vec::new();
        for job in &first.root.jobs {
            let name = staging_name(load, job, 100);
            let staged = datasets.get(&load.dataset.staging).and_then(|d| d.tables.get(&name));
            rows.extend(staged.into_iter().flat_map(|table| table.records.clone()));
        }
        let dataset = datasets.entry(load.dataset.name.clone()).or_default();
        if let Some(table) = dataset.tables.get_mut(&first.root.table) {
            table.records.extend(rows);
        }
    }
}

#[async_trait]
impl Destination for Broken {
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
        self.inner.check_table(table)
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await.map_err(|error| match self.flaw {
            Flaw::LeaksSecret => error.with("password", CANARY),
            _ => error,
        })
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

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        if self.flaw == Flaw::DoesNotCount
            && let Job::Load(load) = job
        {
            // The true number, whatever the file says.
            let bytes = std::fs::read(context.folder.join(load.file.path())).unwrap_or_default();
            let rows = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            let mut counted = load.clone();
            if !load.file.gzip {
                counted.file.rows = rows;
            }
            return self.inner.run(&Job::Load(counted), context).await;
        }
        let outcome = self.inner.run(job, context).await?;
        if self.flaw == Flaw::NoNull {
            let mut datasets = self.memory.place.lock();
            let staging = datasets.entry(context.load.dataset.staging.clone()).or_default();
            if let Some(table) = staging.tables.get_mut(&staging_name(context.load, job, 100)) {
                for record in &mut table.records {
                    for column in &table.columns {
                        if column.data_type == Some(transload_core::DataType::Text) {
                            record.entry(column.name.clone()).or_default();
                        }
                    }
                }
            }
        }
        Ok(outcome)
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let mut publication = publication.clone();
        let mut load = context.load.clone();
        match self.flaw {
            Flaw::NoChildDelete => {
                for chain in &mut publication.chains {
                    if matches!(chain.disposition, Disposition::Replace(_)) {
                        chain.nested.retain(|table| !table.jobs.is_empty());
                    }
                }
            }
            Flaw::NotAtomic if !publication.chains.is_empty() => {
                let is_append = publication.chains[0].disposition == Disposition::Append;
                if is_append && publication.chains[0].nested.is_empty() {
                    let rows = publication.chains[0].root.rows;
                    let table = publication.chains[0].root.table.clone();
                    self.bring_first(&mut publication, context);
                    Self::give_way().await;
                    let mut commit = self.inner.publish(&publication, context).await?;
                    commit.rows.insert(table, rows);
                    return Ok(commit);
                }
            }
            Flaw::EmptiesFirst => {
                {
                    let mut datasets = self.memory.place.lock();
                    let dataset = datasets.entry(load.dataset.name.clone()).or_default();
                    for chain in &publication.chains {
                        if matches!(chain.disposition, Disposition::Replace(_)) {
                            for table in chain.tables() {
                                if let Some(table) = dataset.tables.get_mut(&table.table) {
                                    table.records.clear();
                                }
                            }
                        }
                    }
                }
                Self::give_way().await;
            }
            Flaw::IgnoresFence => {
                let datasets = self.memory.place.lock();
                let fences = datasets.get(&load.dataset.name).map(|dataset| &dataset.fences);
                if let Some(fence) = fences.and_then(|fences| fences.get(&load.pipeline)) {
                    publication.previous = fence.last_load.clone();
                    load.epoch = fence.epoch;
                }
                // The rows lie where the old epoch has put them.
                let moved = Epoch(context.load.epoch.0);
                drop(datasets);
                if load.epoch != moved {
                    let mut datasets = self.memory.place.lock();
                    let staging = datasets.entry(load.dataset.staging.clone()).or_default();
                    for job in publication.tables().flat_map(|table| &table.jobs) {
                        let from = staging_name(context.load, job, 100);
                        if let Some(table) = staging.tables.get(&from).cloned() {
                            staging.tables.insert(staging_name(&load, job, 100), table);
                        }
                    }
                }
            }
            Flaw::DoesNotCount => {
                let datasets = self.memory.place.lock();
                let staging = datasets.get(&load.dataset.staging);
                for chain in &mut publication.chains {
                    for table in std::iter::once(&mut chain.root).chain(&mut chain.nested) {
                        let rows = |job: &Job| {
                            let name = staging_name(&load, job, 100);
                            staging
                                .and_then(|staging| staging.tables.get(&name))
                                .map(|t| t.records.len())
                        };
                        table.rows = table.jobs.iter().filter_map(rows).sum::<usize>() as u64;
                    }
                }
            }
            _ => {}
        }
        let mut schema = context.schema.clone();
        if self.flaw == Flaw::NoChildMerge
            && publication
                .chains
                .iter()
                .any(|chain| matches!(chain.disposition, Disposition::Merge(_)))
        {
            schema.tables.retain(|_, table| table.parent.is_none());
        }
        let context = JobContext { load: &load, schema: &schema, ..*context };
        let published = self.inner.publish(&publication, &context).await;
        if self.flaw == Flaw::NoCommitRecord && published.is_ok() {
            let mut datasets = self.memory.place.lock();
            datasets.entry(load.dataset.name.clone()).or_default().commits.clear();
        }
        published.map_err(|error| match (self.flaw, error.kind()) {
            (Flaw::WrongKind, ErrorKind::Fenced) => error.with_kind(ErrorKind::Transient),
            _ => error,
        })
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        match self.flaw {
            Flaw::ClearsNothing => Ok(()),
            Flaw::ClearsForeignTables => {
                self.memory.place.lock().remove(&load.dataset.staging);
                Ok(())
            }
            _ => self.inner.clear(load).await,
        }
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.inner.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.inner.drop_staging_tables(dataset, tables).await
    }
}

struct BrokenHarness {
    memory: MemoryHarness,
    flaw: Flaw,
}

impl BrokenHarness {
    fn around(&self, inner: Arc<dyn Destination>) -> Arc<dyn Destination> {
        Arc::new(Broken { inner, memory: self.memory.clone(), flaw: self.flaw })
    }
}

#[async_trait]
impl Harness for BrokenHarness {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        Ok(self.around(Arc::new(MemoryDestination::new(self.memory.place.clone()))))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(self.around(Harness::broken(&self.memory)?))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        self.memory.rows(dataset, table, columns).await
    }

    async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        self.memory.tables(dataset).await
    }

    async fn remove(&self, dataset: &Dataset) -> Result<()> {
        self.memory.remove(dataset).await
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        Harness::block_on(&self.memory, case);
    }
}

/// The names of the cases that a flaw fails.
fn failed(flaw: Flaw) -> Vec<String> {
    let suite = Suite::new()
        .destination(move || Ok(BrokenHarness { memory: MemoryHarness::default(), flaw }));
    let failed =
        suite.report().into_iter().filter(|case| matches!(case.verdict, Verdict::Failed(_)));
    failed.map(|case| case.name).collect()
}

#[test]
fn each_flaw_fails_the_cases_that_are_about_it_and_no_other() {
    let flaws: BTreeMap<Flaw, Vec<String>> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            FLAWS.map(|flaw| (flaw, scope.spawn(move || failed(flaw)))).into_iter().collect();
        runs.into_iter().map(|(flaw, run)| (flaw, run.join().unwrap_or_default())).collect()
    });
    let mut shown = String::new();
    for (flaw, cases) in &flaws {
        assert!(!cases.is_empty(), "{flaw:?} passes the suite");
        shown.push_str(&format!("{flaw:?}\n"));
        for case in cases {
            shown.push_str(&format!("    {case}\n"));
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_harness_that_cannot_be_made_fails_every_case() {
    let suite = Suite::new().destination(|| -> Result<BrokenHarness> {
        Err(Error::new(ErrorKind::Transient, "no server"))
    });
    let report = suite.report();
    assert!(report.len() > 80);
    assert!(
        report
            .iter()
            .all(|case| matches!(&case.verdict, Verdict::Failed(why) if why.contains("no server")))
    );
}
