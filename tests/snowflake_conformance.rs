//! The conformance suite on Snowflake: once by files that are put into a stage of its own, and once through a bucket.

#![allow(dead_code, reason = "the account of the tests has more than is needed here")]

#[path = "snowflake/account.rs"]
mod account;

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
use transload_dest_snowflake::SnowflakeDestination;

/// What runs the suite.
const NEEDS: &str = "needs Snowflake: cargo xtask e2e snowflake [--live]";

struct Account {
    copies: bool,
}

/// Each time by a session of its own: one that is kept would end with the runtime of the case that opened it.
async fn look(query: &str) -> Result<Vec<Row>> {
    account::account("suite").query(query).await
}

fn quoted(name: &str) -> String {
    double_quoted(&name.to_ascii_uppercase())
}

fn dataset(name: &str) -> String {
    format!("{}.{}", quoted(&account::database()), quoted(name))
}

#[async_trait]
impl Harness for Account {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        let snowflake = account::account("suite");
        let mut capabilities = snowflake.capabilities().clone();
        match self.copies {
            true => capabilities.loads.clear(),
            false => capabilities.copies.clear(),
        }
        Ok(Arc::new(OneWay { snowflake, capabilities }))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(account::account_with("suite", &[("credentials.password", CANARY)])))
    }

    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        let value = |live: &str, ours: &str| match account::is_live() {
            true => std::env::var(live).ok(),
            false => std::env::var(ours).ok(),
        };
        let bucket = match account::is_live() {
            true => account::variable("DESTINATION__FILESYSTEM__BUCKET_URL"),
            false => format!("s3://{}/suite", account::variable("TRANSLOAD_TEST_S3_BUCKET")),
        };
        let mut pairs = vec![("bucket_url", bucket)];
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

    async fn rows(&self, of: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let text = |column: &Column| {
            let name = quoted(&column.name);
            match column.data_type {
                Some(DataType::Binary) => format!("HEX_ENCODE({name})"),
                Some(DataType::Json) => format!("TO_JSON({name})"),
                Some(DataType::Timestamp) if column.has_timezone() => format!(
                    "TO_CHAR(CONVERT_TIMEZONE('UTC', {name}), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')"
                ),
                Some(DataType::Timestamp) => {
                    format!("TO_CHAR({name}, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')")
                }
                _ => format!("CAST({name} AS VARCHAR)"),
            }
        };
        let columns: Vec<String> = columns.iter().map(text).collect();
        look(&format!("SELECT {} FROM {}.{}", columns.join(", "), dataset(of), quoted(table))).await
    }

    async fn tables(&self, of: &str) -> Result<Vec<String>> {
        let query = format!(
            "SELECT TABLE_NAME FROM {}.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{}'",
            quoted(&account::database()),
            of.to_ascii_uppercase()
        );
        Ok(look(&query).await?.into_iter().flatten().flatten().collect())
    }

    async fn remove(&self, of: &Dataset) -> Result<()> {
        for name in [&of.name, &of.staging] {
            look(&format!("DROP SCHEMA IF EXISTS {} CASCADE", dataset(name))).await?;
        }
        Ok(())
    }

    fn exempt(&self, case: &str) -> Option<&'static str> {
        if case.contains("is_bad_data_and_is_not_shown") {
            return Some("Snowflake names the value, and whoever asked for the load is told");
        }
        // These are the same statements but for the FROM of a COPY.
        let same = ["describe::", "schema::", "identifiers::", "merge::", "scd2::"];
        let is_same = self.copies && same.iter().any(|group| case.starts_with(group));
        (is_same && !account::is_live()).then_some("tried without a bucket already")
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(case);
    }
}

/// Snowflake with one way in: a stage of its own, or a bucket.
#[derive(Debug)]
struct OneWay {
    snowflake: SnowflakeDestination,
    capabilities: Capabilities,
}

#[async_trait]
impl Destination for OneWay {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.snowflake.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.snowflake.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.snowflake.widens(from, to)
    }

    async fn check(&self) -> Result<()> {
        self.snowflake.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.snowflake.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.snowflake.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.snowflake.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.snowflake.run(job, context).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.snowflake.publish(publication, context).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.snowflake.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.snowflake.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.snowflake.drop_staging_tables(dataset, tables).await
    }
}

fn main() -> ExitCode {
    let suite = |name: &str, copies: bool| {
        Suite::new().destination(move || Ok(Account { copies })).named(name)
    };
    run(suite("snowflake_put", false).and(suite("snowflake_bucket", true)).needing(NEEDS))
}
