//! The conformance suite on Redshift: once by INSERT, and once by COPY through a bucket.

#![allow(dead_code, reason = "the cluster of the tests has more than is needed here")]

#[path = "redshift/cluster.rs"]
mod cluster;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use transload::core::conformance::{CANARY, CaseFuture, Harness, Suite, run};
use transload::core::settings::Settings;
use transload::core::sql::{Row, double_quoted};
use transload::core::{
    Capabilities, Column, Commit, DataType, Dataset, DatasetState, Destination, Fence, Inquiry,
    Job, JobContext, JobOutcome, Load, Publication, Registry, Result, SchemaChange,
    StagingDestination, Survey,
};
use transload_dest_redshift::RedshiftDestination;

/// What runs the suite.
const NEEDS: &str = "needs Redshift: cargo xtask e2e redshift [--live]";

struct Cluster {
    copies: bool,
}

fn open(change: (&str, &str)) -> Result<RedshiftDestination> {
    let mut login = cluster::login("transload_suite");
    for (key, value) in &mut login {
        if *key == change.0 {
            *value = change.1.to_owned();
        }
    }
    let keys: Vec<String> = login.iter().map(|(key, _)| format!("credentials.{key}")).collect();
    let pairs: Vec<(&str, &str)> =
        keys.iter().zip(&login).map(|(key, (_, value))| (key.as_str(), value.as_str())).collect();
    RedshiftDestination::new(&Settings::from_pairs("redshift", &pairs))
}

/// Each time by a session of its own: one that is kept would end with the runtime of the case that opened it.
async fn look(query: &str) -> Result<Vec<Row>> {
    open(("", ""))?.query(query).await
}

#[async_trait]
impl Harness for Cluster {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        let redshift = open(("", ""))?;
        let mut capabilities = redshift.capabilities().clone();
        match self.copies {
            true => capabilities.loads.clear(),
            false => capabilities.copies.clear(),
        }
        Ok(Arc::new(OneWay { redshift, capabilities }))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(open(("password", CANARY)).ok()?))
    }

    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        let value = |live: &str, ours: &str| match cluster::is_live() {
            true => std::env::var(live).ok(),
            false => std::env::var(ours).ok(),
        };
        let mut pairs = Vec::new();
        let bucket = match cluster::is_live() {
            true => cluster::variable("DESTINATION__FILESYSTEM__BUCKET_URL"),
            false => format!("s3://{}/suite", cluster::variable("TRANSLOAD_TEST_S3_BUCKET")),
        };
        pairs.push(("bucket_url", bucket));
        for (key, live, ours) in [
            ("credentials.aws_access_key_id", "AWS_ACCESS_KEY_ID", "TRANSLOAD_TEST_S3_KEY"),
            (
                "credentials.aws_secret_access_key",
                "AWS_SECRET_ACCESS_KEY",
                "TRANSLOAD_TEST_S3_SECRET",
            ),
            ("credentials.aws_session_token", "AWS_SESSION_TOKEN", ""),
            ("credentials.endpoint_url", "ENDPOINT_URL", "TRANSLOAD_TEST_S3_ENDPOINT"),
            ("credentials.region_name", "REGION_NAME", ""),
        ] {
            let live = format!("DESTINATION__FILESYSTEM__CREDENTIALS__{live}");
            pairs.extend(value(&live, ours).map(|value| (key, value)));
        }
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let registry = Registry::linked();
        let (_, create) = registry.staging("filesystem").expect("it is linked");
        Some(create(&Settings::from_pairs("filesystem", &pairs)).expect("is configured"))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let text = |column: &Column| {
            let name = double_quoted(&column.name);
            match column.data_type {
                Some(DataType::Binary) => format!("TO_HEX({name})"),
                Some(DataType::Json) => format!("JSON_SERIALIZE({name})"),
                _ => name,
            }
        };
        let columns: Vec<String> = columns.iter().map(text).collect();
        let (dataset, table) = (double_quoted(dataset), double_quoted(table));
        look(&format!("SELECT {} FROM {dataset}.{table}", columns.join(", "))).await
    }

    async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        let query = format!(
            "SELECT DISTINCT table_name FROM svv_redshift_columns WHERE schema_name = '{}'",
            dataset.to_ascii_lowercase()
        );
        Ok(look(&query).await?.into_iter().flatten().flatten().collect())
    }

    async fn remove(&self, dataset: &Dataset) -> Result<()> {
        for name in [&dataset.name, &dataset.staging] {
            let name = double_quoted(name);
            look(&format!("DROP SCHEMA IF EXISTS {name} CASCADE")).await?;
        }
        Ok(())
    }

    fn exempt(&self, case: &str) -> Option<&'static str> {
        let long = case.contains("the_longest_names_of");
        (long && !cluster::is_live()).then_some("the stand-in's PostgreSQL has names of 63 bytes")
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(case);
    }
}

/// Redshift with one way in: by INSERT or by COPY.
#[derive(Debug)]
struct OneWay {
    redshift: RedshiftDestination,
    capabilities: Capabilities,
}

#[async_trait]
impl Destination for OneWay {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.redshift.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.redshift.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.redshift.widens(from, to)
    }

    async fn check(&self) -> Result<()> {
        self.redshift.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.redshift.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.redshift.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.redshift.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.redshift.run(job, context).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.redshift.publish(publication, context).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.redshift.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.redshift.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.redshift.drop_staging_tables(dataset, tables).await
    }
}

fn main() -> ExitCode {
    let suite = |name: &str, copies: bool| {
        Suite::new().destination(move || Ok(Cluster { copies })).named(name)
    };
    run(suite("insert", false).and(suite("copy", true)).needing(NEEDS))
}
