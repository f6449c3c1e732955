//! The conformance suite on BigQuery: once by upload, and once by load jobs from a bucket.

#![allow(dead_code, reason = "the service of the tests has more than is needed here")]

#[path = "conformance/room.rs"]
mod room;
#[path = "bigquery/service.rs"]
mod service;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use transload::core::conformance::{CANARY, CaseFuture, Harness, Suite, run};
use transload::core::settings::Settings;
use transload::core::sql::Row;
use transload::core::{Column, DataType, Dataset, Destination, Result, StagingDestination};
use transload_dest_bigquery::BigQueryDestination;

/// What runs the suite.
const NEEDS: &str = "needs BigQuery: cargo xtask e2e bigquery [--live]";

/// What the emulator cannot do, by the names of cases.
const LACKING: &[(&str, &str)] = &[
    ("csv::null_and_empty_are_two_things", "the emulator's reader of CSV takes \"\" for NULL"),
    (
        "types::parquet::a_value_of_every_type",
        "the emulator reads decimals of more than 38 digits from Parquet as doubles",
    ),
    ("types::parquet::wei_keeps", "the emulator reads such decimals from Parquet as doubles"),
    ("the_longest_names_of_tables_stay_apart", "the emulator's tables are folders: 255 bytes"),
    (
        "names_that_differ_in_case_are_two_tables",
        "the emulator does not look at the case of tables",
    ),
];

/// The cases by upload that are tried each time: some of each kind.
const UPLOAD: &[&str] = &[
    "a_dataset_that_does_not_exist_is_no_error",
    "types_are_described_in_the_words",
    "quotes_are_kept_or_refused",
    "a_commit_counts_the_rows_of_each_table",
    "columns_that_a_file_lacks_are_null",
    "types::parquet::bytes_come_back",
    "types::jsonl::a_value_of_every_type_comes_back",
    "a_loader_that_was_overtaken_is_fenced",
    "a_load_that_fails_in_one_table_changes_none",
    "the_same_publication_again_publishes_once",
    "an_answer_to_the_publication_that_is_lost",
    "truncate_and_insert::nested_tables_without_rows",
    "delete_insert::a_mark_on_the_last_of_a_key",
    "upsert::nested_rows_go_and_come_with_their_root",
    "insert_only::what_is_nested_in_known_rows",
    "scd2::a_row_that_comes_back_is_opened_anew",
    "what_earlier_epochs_left_behind_goes_too",
    "errors::no_error_shows_a_secret",
];

/// The same from a bucket.
const COPY: &[&str] = &[
    "types::parquet::decimals_keep_every_digit",
    "types::csv::a_value_of_every_type_comes_back",
    "jobs_that_run_twice_bring_their_rows_once",
];

struct Project {
    copies: bool,
}

/// Each time by a client of its own: one that is kept would end with the runtime of the case that opened it.
async fn look(query: &str) -> Result<Vec<Row>> {
    service::service(&[])?.query(query).await
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[async_trait]
impl Harness for Project {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        Ok(room::one_way(service::service(&[])?, self.copies))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        let pairs = [
            ("project_id", "nobodys"),
            ("credentials.client_id", "nobody"),
            ("credentials.client_secret", CANARY),
            ("credentials.refresh_token", CANARY),
            // Nobody listens there.
            ("credentials.token_uri", "http://127.0.0.1:9/token"),
            ("retry_deadline", "1"),
        ];
        let settings = Settings::from_pairs("bigquery", &pairs);
        Some(Arc::new(BigQueryDestination::new(&settings).ok()?))
    }

    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        Some(room::filesystem(&service::bucket("suite")))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let text = |column: &Column| {
            let name = quoted(&column.name);
            match column.data_type {
                Some(DataType::Binary) => format!("TO_HEX({name})"),
                // The text of NULL is `null`.
                Some(DataType::Json) => format!("IF({name} IS NULL, NULL, TO_JSON_STRING({name}))"),
                Some(DataType::Timestamp) => {
                    format!("FORMAT_TIMESTAMP('%E4Y-%m-%dT%H:%M:%E6SZ', {name}, 'UTC')")
                }
                Some(DataType::Text) => name,
                _ => format!("CAST({name} AS STRING)"),
            }
        };
        let columns: Vec<String> = columns.iter().map(text).collect();
        let (dataset, table) = (quoted(dataset), quoted(table));
        look(&format!("SELECT {} FROM {dataset}.{table}", columns.join(", "))).await
    }

    async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        let columns = look(&format!("GET columns of {dataset}")).await?;
        let mut names: Vec<String> =
            columns.into_iter().filter_map(|row| row.into_iter().next()?).collect();
        names.dedup();
        Ok(names)
    }

    async fn remove(&self, dataset: &Dataset) -> Result<()> {
        for name in [&dataset.name, &dataset.staging] {
            look(&format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(name))).await?;
        }
        Ok(())
    }

    fn exempt(&self, case: &str) -> Option<&'static str> {
        if service::is_live() {
            return None;
        }
        let lacking = LACKING.iter().find(|(words, _)| case.contains(words));
        if let Some((_, reason)) = lacking {
            return Some(reason);
        }
        let some = if self.copies { COPY } else { UPLOAD };
        let is_chosen = some.iter().any(|words| case.contains(words));
        let wants_all = std::env::var_os("TRANSLOAD_TEST_BIGQUERY_ALL").is_some();
        (!is_chosen && !wants_all).then_some(
            "the emulator takes an hour for all cases: TRANSLOAD_TEST_BIGQUERY_ALL=1 cargo xtask e2e bigquery",
        )
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        room::block_on(case);
    }
}

fn main() -> ExitCode {
    let suite = |name: &str, copies: bool| {
        Suite::new().destination(move || Ok(Project { copies })).named(name)
    };
    run(suite("upload", false).and(suite("copy", true)).needing(NEEDS))
}
