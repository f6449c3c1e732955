//! The conformance suite: the staging destination and the destination, each in a folder, on S3, on Azure and on Google Cloud
//! Storage.

mod common;
#[path = "conformance/destination.rs"]
mod destination;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use common::{Kind, Place};
use object_store::ObjectStoreExt as _;
use transload_core::conformance::{CANARY, CaseFuture, StagingHarness, Suite, run};
use transload_core::settings::Settings;
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
        create(&unusable(&self.0)).ok()
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

/// A store of the same kind where nothing works.
pub(crate) fn unusable(place: &Place) -> Settings {
    let signature = format!("sv=2021-12-02&ss=b&srt=sco&sp=rwdlc&sig={CANARY}");
    match place.kind {
        Kind::Folder => place.settings(&[
            ("bucket_url", "s3://lake/a"),
            // Nobody listens there.
            ("credentials.endpoint_url", "http://127.0.0.1:9"),
            ("credentials.aws_access_key_id", "id"),
            ("credentials.aws_secret_access_key", CANARY),
            ("credentials.region_name", "us-east-1"),
        ]),
        Kind::S3 => place.settings(&[
            ("credentials.aws_access_key_id", "id"),
            ("credentials.aws_secret_access_key", CANARY),
        ]),
        Kind::Azure => place.settings(&[
            ("credentials.azure_storage_account_key", ""),
            ("credentials.azure_storage_sas_token", &signature),
        ]),
        // An account that is not there, with a key that could be one's.
        Kind::Gcs => place.settings(&[("credentials.client_email", &format!("{CANARY}@test"))]),
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
    let folder = Suite::new().staging(|| Ok(Store(Place::local()))).named("folder").and(
        Suite::new().destination(|| Ok(destination::Lake(Place::local()))).named("destination"),
    );
    let s3 = Suite::new().staging(|| Ok(Store(Place::s3()))).named("s3").and(
        Suite::new().destination(|| Ok(destination::Lake(Place::s3()))).named("s3_destination"),
    );
    let azure = Suite::new().staging(|| Ok(Store(Place::azure()))).named("azure").and(
        Suite::new()
            .destination(|| Ok(destination::Lake(Place::azure())))
            .named("azure_destination"),
    );
    let gcs = Suite::new().staging(|| Ok(Store(Place::gcs()))).named("gcs").and(
        Suite::new().destination(|| Ok(destination::Lake(Place::gcs()))).named("gcs_destination"),
    );
    run(folder
        .and(s3.needing("needs an S3 server: cargo xtask e2e filesystem"))
        .and(azure.needing("needs a stand-in for Azure: cargo xtask e2e filesystem"))
        .and(gcs.needing("needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem")))
}
