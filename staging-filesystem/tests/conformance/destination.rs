//! A folder as a destination: its rows are those of the files that the commit log names.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use serde_json::Value;
use transload_core::conformance::{CANARY, CaseFuture, Harness};
use transload_core::sql::Row;
use transload_core::{
    Capabilities, Column, Commit, DataType, Dataset, DatasetState, Destination, Fence, FileFormat,
    Inquiry, Job, JobContext, JobOutcome, Load, Publication, Result, SchemaChange,
    StagingDestination,
};

use crate::common::Place;

/// A folder with datasets.
pub(crate) struct Lake(pub(crate) Place);

/// The destination with one claim less: this test reads JSON lines and nothing else.
#[derive(Debug)]
struct JsonLines(Arc<dyn Destination>, Capabilities);

#[async_trait]
impl Destination for JsonLines {
    fn capabilities(&self) -> &Capabilities {
        &self.1
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.0.native_type(column)
    }

    async fn check(&self) -> Result<()> {
        self.0.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.0.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.0.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.0.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.0.run(job, context).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.0.publish(publication, context).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.0.clear(load).await
    }
}

/// The entries of all commit logs of a dataset.
fn commits(dataset: &Path) -> Vec<Value> {
    let list = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let logs = list(&dataset.join("_transload_commits"));
    let files = logs.iter().flat_map(|log| list(log)).filter(|file| file.is_file());
    files.filter_map(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok()).collect()
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

#[async_trait]
impl Harness for Lake {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        let inner = self.0.destination_with(&[])?;
        let claims =
            Capabilities { loads: vec![FileFormat::Jsonl], ..inner.capabilities().clone() };
        Ok(Arc::new(JsonLines(inner, claims)))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        let settings = [
            ("bucket_url", "s3://lake/a"),
            ("credentials.endpoint_url", "http://127.0.0.1:9"),
            ("credentials.aws_access_key_id", "id"),
            ("credentials.aws_secret_access_key", CANARY),
            ("credentials.region_name", "us-east-1"),
        ];
        self.0.destination_with(&settings).ok()
    }

    fn staging(&self) -> Option<Arc<dyn StagingDestination>> {
        None
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let folder = Path::new(&self.0.url).join(dataset);
        let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
        for entry in commits(&folder) {
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
            let bytes = std::fs::read(folder.join(key)).unwrap_or_default();
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
                rows.push(
                    columns.iter().map(|column| text(column, row.get(&column.name))).collect(),
                );
            }
        }
        Ok(rows)
    }

    async fn tables(&self, _dataset: &str) -> Result<Vec<String>> {
        // There is no staging dataset, and a table is there when its first file is.
        Ok(Vec::new())
    }

    async fn remove(&self, _dataset: &Dataset) -> Result<()> {
        // All of it goes with the folder.
        Ok(())
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
