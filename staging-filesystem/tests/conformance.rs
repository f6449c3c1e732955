//! The conformance suite: the staging destination in a folder and on S3, and the destination in a folder.

mod common;
#[path = "conformance/destination.rs"]
mod destination;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use common::Place;
use object_store::ObjectStoreExt as _;
use transload_core::conformance::{CANARY, CaseFuture, StagingHarness, Suite, run};
use transload_core::{Error, ErrorKind, Registry, Result, StagingDestination};

struct Store(Place);

#[async_trait]
impl StagingHarness for Store {
    fn open(&self) -> Result<Arc<dyn StagingDestination>> {
        Ok(self.0.staging())
    }

    fn broken(&self) -> Option<Arc<dyn StagingDestination>> {
        let registry = Registry::linked();
        let (_, create) = registry.staging("filesystem").ok()?;
        // Nobody listens there; or where somebody does, the key is wrong.
        let endpoint =
            std::env::var("TRANSLOAD_TEST_S3_ENDPOINT").ok().filter(|_| !self.0.is_local());
        let settings = self.0.settings(&[
            ("bucket_url", "s3://lake/a"),
            ("credentials.endpoint_url", endpoint.as_deref().unwrap_or("http://127.0.0.1:9")),
            ("credentials.aws_access_key_id", "id"),
            ("credentials.aws_secret_access_key", CANARY),
            ("credentials.region_name", "us-east-1"),
        ]);
        create(&settings).ok()
    }

    async fn object(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let path = object_store::path::Path::parse(key).map_err(failed)?;
        match self.0.raw().get(&path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.0.put(key, &bytes).await;
        Ok(())
    }

    fn exempt(&self, _case: &str) -> Option<&'static str> {
        None
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        block_on(case);
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Terminal, "the store could not be looked at").with_source(error)
}

fn block_on(case: CaseFuture<'_>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime can be made").block_on(case);
}

fn main() -> ExitCode {
    let folder = Suite::new().staging(|| Ok(Store(Place::local()))).named("folder");
    let s3 = Suite::new().staging(|| Ok(Store(Place::s3()))).named("s3");
    let destination = Suite::new().destination(|| Ok(destination::Lake(Place::local())));
    run(folder
        .and(s3.needing("needs an S3 server: cargo xtask e2e filesystem"))
        .and(destination.named("destination")))
}
