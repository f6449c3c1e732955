//! The conformance suite on Snowflake: once by files that are put into a stage of its own, and once through a bucket.

#![allow(dead_code, reason = "the account of the tests has more than is needed here")]

#[path = "snowflake/account.rs"]
mod account;
#[path = "conformance/room.rs"]
mod room;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use transload::core::conformance::{CANARY, CaseFuture, Harness, Suite, run};
use transload::core::sql::{Row, double_quoted};
use transload::core::{Column, DataType, Dataset, Destination, Result, StagingDestination};

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
        Ok(room::one_way(account::account("suite"), self.copies))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(account::account_with("suite", &[("credentials.password", CANARY)])))
    }

    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        Some(room::bucket_of_s3(account::is_live()))
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
        room::block_on(case);
    }
}

fn main() -> ExitCode {
    let suite = |name: &str, copies: bool| {
        Suite::new().destination(move || Ok(Account { copies })).named(name)
    };
    run(suite("snowflake_put", false).and(suite("snowflake_bucket", true)).needing(NEEDS))
}
