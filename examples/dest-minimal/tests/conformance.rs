//! The conformance suite on a folder.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use example_dest_minimal::FolderDestination;
use serde_json::Value;
use transload_core::conformance::{CaseFuture, Harness, conformance};
use transload_core::settings::Settings;
use transload_core::sql::Row;
use transload_core::{Column, DataType, Destination, Result, escape_segment};

struct Folder(tempfile::TempDir);

/// A value as the suite wants to see it.
fn text(column: &Column, value: &Value) -> String {
    match (column.data_type, value) {
        (Some(DataType::Binary), Value::String(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        (Some(DataType::Json), value) => value.to_string(),
        (_, Value::String(text)) => text.clone(),
        (_, value) => value.to_string(),
    }
}

#[async_trait]
impl Harness for Folder {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        let folder = self.0.path().display().to_string();
        Ok(Arc::new(FolderDestination::new(&Settings::from_pairs(
            "folder",
            &[("folder", &folder)],
        ))?))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        // A file, not a folder.
        let settings = Settings::from_pairs("folder", &[("folder", "/dev/null/folder")]);
        Some(Arc::new(FolderDestination::new(&settings).ok()?))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let folder = self.0.path().join(escape_segment(dataset));
        let heads = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        let newest = heads.filter(|path| path.display().to_string().contains("/head-")).max();
        let head = newest
            .and_then(|path| serde_json::from_slice::<Value>(&std::fs::read(path).ok()?).ok());
        let mut rows = Vec::new();
        for key in
            head.as_ref().and_then(|head| head["files"][table].as_array()).into_iter().flatten()
        {
            let key = key.as_str().unwrap_or_default();
            let bytes =
                std::fs::read(folder.join(key)).expect("a file that the head names is there");
            let mut lines = String::new();
            let read = match key.ends_with(".gz") {
                true => {
                    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut lines)
                }
                false => bytes.as_slice().read_to_string(&mut lines),
            };
            read.expect("the suite writes texts");
            for line in lines.lines() {
                let row: Value = serde_json::from_str(line).expect("the suite writes JSON");
                rows.push(
                    columns
                        .iter()
                        .map(|column| Some(text(column, row.get(&column.name)?)))
                        .collect(),
                );
            }
        }
        Ok(rows)
    }

    async fn tables(&self, _dataset: &str) -> Result<Vec<String>> {
        // There is no staging dataset.
        Ok(Vec::new())
    }

    fn exempt(&self, case: &str) -> Option<&'static str> {
        let (_, sentence) = case.rsplit_once("::")?;
        match sentence {
            "a_value_that_is_not_of_its_type_is_bad_data_and_is_not_shown" => {
                Some("JSON lines have no types to hold them against")
            }
            "tables_of_others_in_the_staging_dataset_stay" => {
                Some("a folder has no staging dataset")
            }
            _ => None,
        }
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime can be made").block_on(case);
    }
}

fn main() -> ExitCode {
    conformance(|| Ok(Folder(tempfile::tempdir().expect("a temporary folder"))))
}
