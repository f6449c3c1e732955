//! What a plugin's author writes: how to open the plugin, and how to look at what it did.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::sql::Row;
use crate::{Column, Dataset, Destination, Result, StagingDestination};

/// The secret that [`Harness::broken`] puts into every secret setting. The suite looks for it in all that is printed.
pub const CANARY: &str = "canary-of-the-suite";

/// A case while it runs.
pub type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// How a destination is opened, and how its tables are read: a warehouse cannot be read back through a loader.
///
/// One harness serves all cases, several at once. Each case works in a dataset of its own.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the destination: anew each time, and always at the same place. What one has loaded the next one finds.
    fn open(&self) -> Result<Arc<dyn Destination>>;

    /// The same destination, so configured that it cannot work (no such server, a wrong password), with [`CANARY`] in every
    /// secret setting. `None` where nothing can be wrong.
    fn broken(&self) -> Option<Arc<dyn Destination>>;

    /// The staging destination that it copies from. `None` where it loads local files; what it claims to copy from local
    /// folders is tried all the same.
    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        None
    }

    /// The values of these columns in all rows of a table, as texts and in any order: numbers in digits, times in ISO 8601
    /// and UTC, bytes in hexadecimal, JSON as its text.
    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>>;

    /// The names of all tables of a dataset, the staging dataset too; none where it does not exist.
    async fn tables(&self, dataset: &str) -> Result<Vec<String>>;

    /// Removes a dataset and its staging dataset, after a case. Not needed where all of it goes with the harness.
    async fn remove(&self, _dataset: &Dataset) -> Result<()> {
        Ok(())
    }

    /// Why a case does not apply although its claims are there. It is shown as ignored, with this reason: for emulators that
    /// lack what the real thing has, and for what a claim cannot say. `None` for all others.
    fn exempt(&self, _case: &str) -> Option<&'static str> {
        None
    }

    /// Runs a case to its end, on the runtime that the plugin needs.
    fn block_on(&self, case: CaseFuture<'_>);
}

/// How a staging destination is opened, and how its storage is read and damaged past it.
///
/// One harness serves all cases, several at once. Each case works below a dataset of its own.
#[async_trait]
pub trait StagingHarness: Send + Sync {
    /// Opens the staging destination: anew each time, and always at the same place.
    fn open(&self) -> Result<Arc<dyn StagingDestination>>;

    /// See [`Harness::broken`].
    fn broken(&self) -> Option<Arc<dyn StagingDestination>>;

    /// The bytes of an object; `None` where there is none.
    async fn object(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// Puts these bytes in the place of an object, as damage would.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()>;

    /// See [`Harness::exempt`].
    fn exempt(&self, _case: &str) -> Option<&'static str> {
        None
    }

    /// See [`Harness::block_on`].
    fn block_on(&self, case: CaseFuture<'_>);
}
