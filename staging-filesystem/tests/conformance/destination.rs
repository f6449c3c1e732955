//! A store as a destination: its rows are those of the files that the commit log names.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use serde_json::Value;
use transload_core::conformance::{CaseFuture, Faults, FaultyDestination, Harness};
use transload_core::sql::Row;
use transload_core::{Column, DataType, Destination, FileFormat, Registry, Result};

use crate::common::Place;

/// A store with datasets.
pub(crate) struct Lake(pub(crate) Place);

/// The entries of all commit logs of a dataset.
async fn commits(place: &Place, dataset: &str) -> Vec<Value> {
    let logs = format!("{dataset}/_transload_commits/");
    let mut entries = Vec::new();
    for key in place.keys().await.iter().filter(|key| key.starts_with(&logs)) {
        entries.extend(serde_json::from_slice(&place.get(key).await).ok());
    }
    entries
}

/// A value of JSON lines as the suite wants to see it.
fn text(column: &Column, value: Option<&Value>) -> Option<String> {
    Some(match (column.data_type, value?) {
        (Some(DataType::Json), value) => value.to_string(),
        (Some(DataType::Binary), Value::String(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        (_, Value::String(text)) => text.clone(),
        (_, value) => value.to_string(),
    })
}

/// The rows of the files that the log names, unless one of them is gone.
async fn rows(place: &Place, dataset: &str, table: &str, columns: &[Column]) -> Option<Vec<Row>> {
    let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for entry in commits(place, dataset).await {
        for file in entry["added"].as_array().into_iter().flatten() {
            if file["table"] == table {
                added.extend(file["key"].as_str().map(str::to_owned));
            }
        }
        let keys = entry["removed"].as_array().into_iter().flatten();
        removed.extend(keys.filter_map(|key| key.as_str().map(str::to_owned)));
    }
    let mut rows = Vec::new();
    for key in added.difference(&removed) {
        let bytes = place.find(&format!("{dataset}/{key}")).await?;
        let mut lines = String::new();
        let read = match key.ends_with(".gz") {
            true => std::io::Read::read_to_string(
                &mut flate2::read::MultiGzDecoder::new(bytes.as_slice()),
                &mut lines,
            ),
            false => std::io::Read::read_to_string(&mut bytes.as_slice(), &mut lines),
        };
        read.expect("the suite writes texts");
        for line in lines.lines() {
            let row: Value = serde_json::from_str(line).expect("the suite writes JSON");
            rows.push(columns.iter().map(|column| text(column, row.get(&column.name))).collect());
        }
    }
    Some(rows)
}

#[async_trait]
impl Harness for Lake {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        // With one claim less: this test reads JSON lines and nothing else.
        let destination = FaultyDestination::new(self.0.destination_with(&[])?, Faults::none());
        Ok(Arc::new(destination.claiming(|claims| claims.loads = vec![FileFormat::Jsonl])))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        let registry = Registry::linked();
        let (_, create) = registry.destination("filesystem").ok()?;
        create(&crate::unusable(&self.0)).ok()
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        // A file that is gone was replaced since the log was read: what is there now stands in the log as it is now.
        loop {
            if let Some(rows) = rows(&self.0, dataset, table, columns).await {
                return Ok(rows);
            }
        }
    }

    async fn tables(&self, _dataset: &str) -> Result<Vec<String>> {
        // There is no staging dataset, and a table is there when its first file is.
        Ok(Vec::new())
    }

    fn exempt(&self, case: &str) -> Option<&'static str> {
        let (_, sentence) = case.rsplit_once("::")?;
        match sentence {
            "a_load_that_fails_changes_nothing"
            | "a_load_that_fails_in_one_table_changes_none"
            | "a_replacement_that_fails_leaves_the_old_rows"
            | "a_file_with_fewer_rows_than_it_should_have_is_refused"
            | "a_file_with_more_rows_than_it_should_have_is_refused"
            | "a_damaged_file_is_bad_data_and_changes_nothing"
            | "a_value_that_is_not_of_its_type_is_bad_data_and_is_not_shown" => Some(
                "a file store does not read the files that it keeps: it holds them against their hashes",
            ),
            "a_format_that_it_does_not_claim_is_unsupported" => {
                Some("this test takes a claim away: the store keeps every format")
            }
            "tables_of_others_in_the_staging_dataset_stay" => {
                Some("a file store has no staging dataset")
            }
            _ => None,
        }
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        crate::block_on(case);
    }
}
