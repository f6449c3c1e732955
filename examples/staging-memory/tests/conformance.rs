//! The conformance suite on the store.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use example_staging_memory::MemoryStore;
use transload_core::conformance::{CaseFuture, StagingHarness, staging_conformance};
use transload_core::{Result, StagingDestination};

struct Store;

#[async_trait]
impl StagingHarness for Store {
    fn open(&self) -> Result<Arc<dyn StagingDestination>> {
        Ok(Arc::new(MemoryStore::open("suite")))
    }

    fn broken(&self) -> Option<Arc<dyn StagingDestination>> {
        None
    }

    async fn object(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(MemoryStore::open("suite").objects().get(key).cloned())
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        MemoryStore::open("suite").objects().insert(key.to_owned(), bytes);
        Ok(())
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime can be made").block_on(case);
    }
}

fn main() -> ExitCode {
    staging_conformance(|| Ok(Store))
}
