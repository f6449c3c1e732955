//! The conformance suite on Redshift: once by INSERT, and once by COPY through a bucket.

#![allow(dead_code, reason = "the cluster of the tests has more than is needed here")]

#[path = "redshift/cluster.rs"]
mod cluster;
#[path = "conformance/room.rs"]
mod room;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use transload::core::conformance::{CANARY, CaseFuture, Harness, Suite, run};
use transload::core::settings::Settings;
use transload::core::sql::{Row, double_quoted};
use transload::core::{Column, DataType, Dataset, Destination, Result, StagingDestination};
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
        Ok(room::one_way(open(("", ""))?, self.copies))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(open(("password", CANARY)).ok()?))
    }

    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        Some(room::bucket_of_s3(cluster::is_live()))
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
        room::block_on(case);
    }
}

fn main() -> ExitCode {
    let suite = |name: &str, copies: bool| {
        Suite::new().destination(move || Ok(Cluster { copies })).named(name)
    };
    run(suite("insert", false).and(suite("copy", true)).needing(NEEDS))
}
