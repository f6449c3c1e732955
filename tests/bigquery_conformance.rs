//! The conformance suite on BigQuery: by upload, by load jobs from a bucket, and by load jobs into the tables themselves.

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
    ("::wei_keeps_every_digit", "the emulator reads decimals of more than 38 digits as doubles"),
    ("csv::bytes_come_back", "the emulator's reader of CSV takes \"\" for NULL"),
    ("csv::every_odd_character_comes_back", "the emulator's reader of CSV takes \"\" for NULL"),
    (
        "csv::a_compressed_file_is_read",
        "the emulator's reader of CSV takes no line breaks in quotes where rows may be short",
    ),
    (
        "jsonl::json_comes_back",
        "the emulator takes the JSON value null for one that it cannot read",
    ),
    ("the_longest_names_of_tables_stay_apart", "the emulator's tables are folders: 255 bytes"),
    (
        "names_that_differ_in_case_are_two_tables",
        "the emulator does not look at the case of tables",
    ),
];

/// What tables that are loaded one by one do not promise: a load job has loaded before its rows can be counted.
const NOT_PROMISED: &[&str] = &[
    "a_load_that_fails_changes_nothing",
    "a_file_with_fewer_rows_than_it_should_have",
    "a_file_with_more_rows_than_it_should_have",
];

/// What the stand-in does in two steps where BigQuery does it in one.
const IN_TWO_STEPS: &[&str] =
    &["a_replacement_that_fails_leaves_the_old_rows", "readers_see_the_old_rows_or_the_new_ones"];

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
    "a_value_that_is_not_of_its_type_is_bad_data",
];

/// The same from a bucket.
const COPY: &[&str] = &[
    "types::parquet::decimals_keep_every_digit",
    "types::csv::a_value_of_every_type_comes_back",
    "jobs_that_run_twice_bring_their_rows_once",
];

/// The same from a bucket, into the tables themselves.
const PER_TABLE: &[&str] = &[
    "rows_are_added_behind_those_that_are_there",
    "a_commit_counts_the_rows_of_each_table",
    "a_loader_that_was_overtaken_is_fenced",
    "the_same_publication_again_publishes_once",
    "an_answer_to_the_publication_that_is_lost",
    "truncate_and_insert::nested_tables_without_rows",
    "a_replacement_whose_answer_is_lost",
];

struct Project {
    copies: bool,
    publication: &'static str,
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
        let bigquery = service::service(&[("publication", self.publication)])?;
        Ok(room::one_way(bigquery, self.copies))
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
        let is_among = |names: &[&str]| names.iter().any(|words| case.contains(words));
        let is_per_table = self.publication == "per_table";
        if is_per_table && is_among(NOT_PROMISED) {
            return Some(
                "a load that fails may leave rows where each table is published by itself",
            );
        }
        if service::is_live() {
            return None;
        }
        if is_per_table && is_among(IN_TWO_STEPS) {
            return Some("the stand-in empties a table before it loads it");
        }
        let lacking = LACKING.iter().find(|(words, _)| case.contains(words));
        if let Some((_, reason)) = lacking {
            return Some(reason);
        }
        let some = match (self.copies, self.publication) {
            (_, "per_table") => PER_TABLE,
            (true, _) => COPY,
            (false, _) => UPLOAD,
        };
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
    let suite = |name: &str, copies: bool, publication: &'static str| {
        Suite::new().destination(move || Ok(Project { copies, publication })).named(name)
    };
    let all = suite("upload", false, "transaction").and(suite("copy", true, "transaction"));
    run(all.and(suite("per_table", true, "per_table")).needing(NEEDS))
}
