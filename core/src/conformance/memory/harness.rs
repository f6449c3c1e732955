//! The harnesses of the two: a map is looked at by looking at it.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;

use async_trait::async_trait;

use super::{MemoryDestination, MemoryPlace, MemoryStaging};
use crate::conformance::harness::{CANARY, CaseFuture, Harness, StagingHarness};
use crate::sql::Row;
use crate::{Column, Dataset, Destination, Result, StagingDestination};

/// How the suite is run on [`MemoryDestination`] and [`MemoryStaging`].
#[derive(Clone, Debug, Default)]
pub struct MemoryHarness {
    /// Where the datasets lie.
    pub place: MemoryPlace,
    /// Where the objects lie.
    pub staging: MemoryStaging,
}

#[async_trait]
impl Harness for MemoryHarness {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        Ok(Arc::new(MemoryDestination::new(self.place.clone())))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(MemoryDestination::with_password(self.place.clone(), CANARY.into())))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        Ok(self.place.rows(dataset, table, columns))
    }

    async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        let datasets = self.place.lock();
        let found = datasets.get(dataset);
        Ok(found.into_iter().flat_map(|dataset| dataset.tables.keys().cloned()).collect())
    }

    async fn remove(&self, dataset: &Dataset) -> Result<()> {
        let mut datasets = self.place.lock();
        datasets.retain(|name, _| *name != dataset.name && *name != dataset.staging);
        Ok(())
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        block_on(case);
    }
}

#[async_trait]
impl StagingHarness for MemoryHarness {
    fn open(&self) -> Result<Arc<dyn StagingDestination>> {
        Ok(Arc::new(self.staging.clone()))
    }

    fn broken(&self) -> Option<Arc<dyn StagingDestination>> {
        None
    }

    async fn object(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.staging.object(key))
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.staging.put(key, bytes);
        Ok(())
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        block_on(case);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread. What is in memory needs no runtime.
fn block_on(mut future: CaseFuture<'_>) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    while Future::poll(future.as_mut(), &mut context).is_pending() {
        std::thread::park();
    }
}
