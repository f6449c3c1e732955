//! Destination Snowflake of Transload.
//!
#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod capabilities;
mod config;

use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::{
    CONTRACT_VERSION, Capabilities, Column, Commit, Dataset, DatasetState, Destination, Error,
    ErrorKind, Fence, Inquiry, Job, JobContext, JobOutcome, Load, Plugin, Publication, Result,
    SchemaChange, Survey,
};

pub use config::{Authenticator, SnowflakeCredentials, SnowflakeSettings};

transload_core::register!(Plugin {
    name: "snowflake",
    aliases: &[],
    summary: "Snowflake: configuration and capabilities; loading follows",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: SnowflakeSettings::KEYS,
    destination: Some(create),
    staging: None,
});

#[derive(Debug)]
struct Snowflake {
    capabilities: Capabilities,
    identity: String,
}

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let settings = config::read(settings)?;
    Ok(Arc::new(Snowflake {
        capabilities: capabilities::capabilities(&settings),
        identity: config::identity(&settings),
    }))
}

fn not_yet() -> Error {
    Error::new(ErrorKind::Unsupported, "loading into Snowflake is not in this version yet").with_hint(
        "`--destination filesystem` writes the same files to a bucket, for a COPY INTO by hand; `--destination \
         duckdb` loads them",
    )
}

#[async_trait]
impl Destination for Snowflake {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn native_type(&self, _: &Column) -> Result<String> {
        Err(not_yet())
    }

    fn widens(&self, _from: &str, _to: &str) -> bool {
        false
    }

    async fn check(&self) -> Result<()> {
        Err(not_yet())
    }

    async fn describe(&self, _: &Inquiry) -> Result<DatasetState> {
        Err(not_yet())
    }

    async fn apply(&self, _: &Dataset, _: &[SchemaChange]) -> Result<Vec<String>> {
        Err(not_yet())
    }

    async fn fence(&self, _: &Dataset, _: &str, _: &str) -> Result<Fence> {
        Err(not_yet())
    }

    async fn run(&self, _: &Job, _: &JobContext<'_>) -> Result<JobOutcome> {
        Err(not_yet())
    }

    async fn publish(&self, _: &Publication, _: &JobContext<'_>) -> Result<Commit> {
        Err(not_yet())
    }

    async fn clear(&self, _: &Load) -> Result<()> {
        Err(not_yet())
    }

    async fn survey(&self, _: &Dataset) -> Result<Survey> {
        Err(not_yet())
    }

    async fn drop_staging_tables(&self, _: &Dataset, _: &[String]) -> Result<()> {
        Err(not_yet())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use transload_core::{
        CopyJob, DataType, Epoch, LoadId, Registry, Schema, Sha256Hex, StagingAccess,
    };

    use super::*;

    fn destination() -> Arc<dyn Destination> {
        let registry = Registry::linked();
        let (plugin, create) = registry.destination("snowflake").unwrap();
        assert_eq!(plugin.package, "transload-dest-snowflake");
        create(&Settings::from_pairs("snowflake", &config::tests::COMPLETE)).unwrap()
    }

    #[test]
    fn it_is_found_by_its_name_and_shows_no_secret() {
        assert!(!format!("{:?}", destination()).contains(config::tests::CANARY));
    }

    #[tokio::test]
    async fn every_step_refuses_and_says_what_works() {
        let dataset = Dataset::new("chess");
        let load = Load {
            load_id: LoadId::new("1"),
            pipeline: "p".into(),
            dataset: dataset.clone(),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(1),
        };
        let inquiry = Inquiry {
            dataset: dataset.clone(),
            pipeline: "p".into(),
            schema: "s".into(),
            load: None,
        };
        let schema =
            Schema::from_json(r#"{"version":1,"engine_version":11,"name":"s","tables":{}}"#)
                .unwrap();
        let context = JobContext {
            load: &load,
            schema: &schema,
            folder: Path::new("."),
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        };
        let job = Job::Copy(CopyJob { table: "t".into(), files: Vec::new() });
        let publication = Publication {
            previous: None,
            chains: Vec::new(),
            state: None,
            stores_schema: false,
            published_at: String::new(),
        };
        let snowflake = destination();
        let column = Column::new("c", DataType::Text);
        for error in [
            snowflake.native_type(&column).unwrap_err(),
            snowflake.check().await.unwrap_err(),
            snowflake.describe(&inquiry).await.unwrap_err(),
            snowflake.apply(&dataset, &[]).await.unwrap_err(),
            snowflake.fence(&dataset, "p", "me").await.unwrap_err(),
            snowflake.run(&job, &context).await.unwrap_err(),
            snowflake.publish(&publication, &context).await.unwrap_err(),
            snowflake.clear(&load).await.unwrap_err(),
            snowflake.survey(&dataset).await.unwrap_err(),
            snowflake.drop_staging_tables(&dataset, &[]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(error.message(), "loading into Snowflake is not in this version yet");
            assert!(error.hint().unwrap().contains("--destination filesystem"));
        }
    }
}
