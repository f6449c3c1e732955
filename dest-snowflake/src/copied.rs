//! What a COPY says it has done, a row for each file, held against what the load has written into each of them.
//!
//! Source: Snowflake documentation, "COPY INTO `<table>`", "COPY INTO output".

use std::collections::BTreeMap;

use transload_core::sql::Row;
use transload_core::{Error, ErrorKind, Job, Load, Publication, Result};

use crate::answer::Answer;
use crate::stage;

/// The rows of each file of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(BTreeMap<String, u64>);

impl Files {
    /// Those of a publication.
    pub(crate) fn of(publication: &Publication, load: &Load) -> Self {
        let mut files = BTreeMap::new();
        for job in publication.tables().flat_map(|table| &table.jobs) {
            match job {
                Job::Load(job) => {
                    let path = stage::path(load, &job.file);
                    files.insert(tail(&path).to_owned(), job.file.rows);
                }
                Job::Copy(job) => {
                    let staged = job.files.iter();
                    files.extend(staged.map(|it| (tail(&it.key).to_owned(), it.file.rows)));
                }
                _ => {}
            }
        }
        Self(files)
    }
}

/// The folder of a file and its name, which tell it from the others of the load, wherever the answer lets its path begin.
fn tail(path: &str) -> &str {
    path.rmatch_indices('/').nth(1).map_or(path, |(at, _)| &path[at + 1..])
}

tokio::task_local! {
    /// The files that this task copies: the toolkit between does not know.
    static FILES: Files;
}

/// Runs a future whose COPYs have to load these files.
pub(crate) async fn expecting<F: Future>(files: Files, future: F) -> F::Output {
    FILES.scope(files, future).await
}

/// Refuses the answer to a COPY where a file was left out, in part or as a whole.
///
/// # Errors
/// [`ErrorKind::Terminal`], with the file.
pub(crate) fn check(answer: &Answer) -> Result<()> {
    FILES.try_with(|files| check_files(answer, files)).unwrap_or(Ok(()))
}

fn check_files(answer: &Answer, expected: &Files) -> Result<()> {
    let place = |name: &str| answer.column(name);
    let (Some(file), Some(status)) = (place("file"), place("status")) else {
        // It found no file; that rows are missing is noticed by their number.
        return Ok(());
    };
    let [parsed, loaded, errors] = ["rows_parsed", "rows_loaded", "errors_seen"].map(place);
    for row in &answer.rows {
        let text = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
        let name = text(file);
        let refused = |message: &'static str| {
            Err(Error::new(ErrorKind::Terminal, message).with("file", name))
        };
        if text(status) != "LOADED" {
            return refused("Snowflake did not load a file").map_err(|error| {
                error.with("status", text(status)).with_hint(
                    "a file that was loaded into the table before is skipped: see COPY_HISTORY for by whom",
                )
            });
        }
        let (parsed, loaded) = (number(row, parsed), number(row, loaded));
        if parsed != loaded || number(row, errors).is_some_and(|errors| errors > 0) {
            return refused("Snowflake left out rows of a file");
        }
        match expected.0.get(tail(name)) {
            None => return refused("Snowflake loaded a file that is not of the load"),
            Some(rows) if Some(*rows) != loaded => {
                return refused("rows of a file do not reconcile").map_err(|error| {
                    error.with("expected", rows).with("found", loaded.unwrap_or_default())
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn number(row: &Row, at: Option<usize>) -> Option<u64> {
    row.get(at?)?.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(rows: serde_json::Value) -> String {
        let columns =
            ["file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen"];
        let columns: Vec<_> = columns.iter().map(|name| json!({ "name": name })).collect();
        let (answer, _) =
            crate::answer::read(json!({ "rowtype": columns, "rowset": rows })).unwrap();
        let files = [("t/1-a.parquet", 5), ("t/2-b.parquet", 6)];
        let files = files.map(|(name, rows)| (name.to_owned(), rows));
        match check_files(&answer, &Files(files.into())) {
            Ok(()) => String::new(),
            Err(error) => format!("{}: {error}", error.kind()),
        }
    }

    #[test]
    fn each_file_is_held_against_its_rows() {
        let good = json!([
            ["s3://lake/d/p/1/t/1-a.parquet", "LOADED", "5", "5", "1", "0"],
            ["p/1/t/2-b.parquet", "LOADED", "6", "6", "1", "0"],
        ]);
        assert_eq!(checked(good), "");
        for (row, expected) in [
            (
                json!(["t/1-a.parquet", "LOAD_SKIPPED", "0", "0", "1", "0"]),
                "terminal: Snowflake did not load a file (file: t/1-a.parquet, status: LOAD_SKIPPED)",
            ),
            (
                json!(["t/1-a.parquet", "PARTIALLY_LOADED", "5", "4", "1", "1"]),
                "terminal: Snowflake did not load a file (file: t/1-a.parquet, status: PARTIALLY_LOADED)",
            ),
            (
                json!(["t/1-a.parquet", "LOADED", "5", "4", "1", "0"]),
                "terminal: Snowflake left out rows of a file (file: t/1-a.parquet)",
            ),
            (
                json!(["t/1-a.parquet", "LOADED", "5", "5", "1", "2"]),
                "terminal: Snowflake left out rows of a file (file: t/1-a.parquet)",
            ),
            (
                json!(["t/1-a.parquet", "LOADED", "6", "6", "1", "0"]),
                "terminal: rows of a file do not reconcile (file: t/1-a.parquet, expected: 5, found: 6)",
            ),
            (
                json!(["t/3-c.parquet", "LOADED", "5", "5", "1", "0"]),
                "terminal: Snowflake loaded a file that is not of the load (file: t/3-c.parquet)",
            ),
        ] {
            assert_eq!(checked(json!([row])), expected);
        }
    }

    #[test]
    fn an_answer_of_no_files_is_left_to_the_number_of_rows() {
        let (answer, _) = crate::answer::read(json!({
            "rowtype": [{"name": "status"}],
            "rowset": [["Copy executed with 0 files processed."]],
        }))
        .unwrap();
        assert!(check_files(&answer, &Files::default()).is_ok());
        assert_eq!(answer.changed(), 0);
    }
}
