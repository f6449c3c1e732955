//! Rows that cannot be loaded, kept with the reason while the others load.
//!
//! ```text
//! <package folder>/set_aside/<table>.jsonl            the rows, byte for byte, one behind the other (CSV: with its header)
//! <package folder>/set_aside/<table>.reasons.jsonl    for each of them where it stood and what is wrong with it
//! <package folder>/set_aside/@summary.json            how many there are
//! ```
//!
//! The files of rows are what a source is: once the rows are repaired in them they are loaded like any other file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use transload_core::failpoint::around;
use transload_core::{Error, ErrorKind, Result, escape_segment};

use crate::source::Refused;

const FOLDER: &str = "set_aside";
/// The files of tables stand beside it: a name that no table has, see [`escape_segment`].
const SUMMARY: &str = "@summary.json";

/// The rows of one table that were set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideRows {
    /// The table that they were meant for.
    pub table: String,
    /// How many they are.
    pub rows: u64,
    /// The files that hold them, below the folder of the package.
    pub files: Vec<String>,
    /// The file that says of each row where it stood and what is wrong with it, below the folder of the package.
    pub reasons: String,
    /// How many rows have which code.
    pub codes: BTreeMap<String, u64>,
}

/// What kind of text rows came as.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// The ending of files of the kind, without a dot.
    pub(crate) extension: &'static str,
    /// What stands above the rows of a file.
    pub(crate) header: Arc<[u8]>,
}

impl Kind {
    /// Rows of JSON.
    pub(crate) fn json() -> Self {
        Self { extension: "jsonl", header: Arc::from([]) }
    }
}

/// Takes the rows of a load that are set aside. Touches nothing before the first one.
#[derive(Debug)]
pub(crate) struct SetAside {
    folder: PathBuf,
    /// Rows that may be set aside; with one more the load is refused.
    limit: Option<u64>,
    rows: u64,
    tables: BTreeMap<String, TableAside>,
}

#[derive(Debug)]
struct TableAside {
    rows: u64,
    codes: BTreeMap<String, u64>,
    reasons: Output,
    /// Rows by the kind of their text.
    outputs: BTreeMap<&'static str, Output>,
}

#[derive(Debug)]
struct Output {
    name: String,
    path: PathBuf,
    file: BufWriter<File>,
    rows: u64,
}

impl Output {
    fn create(folder: &Path, name: String) -> Result<Self> {
        let path = folder.join(&name);
        // Never over the rows of another table.
        let file = around("create a file of rows set aside", || File::create_new(&path))
            .map_err(|error| failed(&path, error))?;
        Ok(Self { name, path, file: BufWriter::new(file), rows: 0 })
    }

    fn put(&mut self, row: &[u8]) -> Result<()> {
        self.rows += 1;
        self.file
            .write_all(row)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| failed(&self.path, error))
    }

    fn finish(mut self) -> Result<String> {
        let synced = around("write rows set aside", || {
            self.file.flush()?;
            self.file.get_ref().sync_all()
        });
        synced.map_err(|error| failed(&self.path, error))?;
        Ok(self.name)
    }
}

impl SetAside {
    /// For the package in this folder.
    pub(crate) fn new(package: &Path, limit: Option<u64>) -> Self {
        Self { folder: package.join(FOLDER), limit, rows: 0, tables: BTreeMap::new() }
    }

    /// The rows of a table so far.
    pub(crate) fn rows_of(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |table| table.rows)
    }

    /// Sets a row aside.
    ///
    /// # Errors
    /// That of the row, where no more may be set aside; [`ErrorKind::Terminal`] where it cannot be written.
    pub(crate) fn put(
        &mut self,
        table: &str,
        origin: &str,
        kind: &Kind,
        row: Refused,
    ) -> Result<()> {
        if self.limit.is_some_and(|limit| self.rows >= limit) {
            let allowed = self.limit.unwrap_or_default();
            let error = match allowed {
                0 => row.error,
                _ => row.error.with("rows set aside before this one", allowed),
            };
            let more = "or let more rows be set aside: `[normalize] max_set_aside`";
            let hint = format!("{}; {more}", error.hint().unwrap_or("repair the row"));
            return Err(error.with_hint(hint));
        }
        self.rows += 1;
        if !self.tables.contains_key(table) {
            fs::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, error))?;
            let reasons = format!("{}.reasons.jsonl", escape_segment(table));
            let entry = TableAside {
                rows: 0,
                codes: BTreeMap::new(),
                reasons: Output::create(&self.folder, reasons)?,
                outputs: BTreeMap::new(),
            };
            self.tables.insert(table.to_owned(), entry);
        }
        let Some(entry) = self.tables.get_mut(table) else {
            return Err(Error::new(ErrorKind::Bug, "a table of rows set aside is gone"));
        };
        entry.rows += 1;
        // A row of several lines would be several rows of JSON lines.
        let extension = match kind.extension {
            "jsonl" if row.bytes.contains(&b'\n') => "json",
            other => other,
        };
        if !entry.outputs.contains_key(extension) {
            let name = format!("{}.{extension}", escape_segment(table));
            let mut output = Output::create(&self.folder, name)?;
            output.file.write_all(&kind.header).map_err(|error| failed(&output.path, error))?;
            entry.outputs.insert(extension, output);
        }
        let Some(output) = entry.outputs.get_mut(extension) else {
            return Err(Error::new(ErrorKind::Bug, "a file of rows set aside is gone"));
        };
        output.put(&row.bytes)?;
        let (name, number) = (output.name.clone(), output.rows);
        let code = row.error.context("code").unwrap_or("E_ROW").to_owned();
        let reason = reason(&row, origin, &name, number, &code);
        *entry.codes.entry(code).or_default() += 1;
        entry.reasons.put(reason.to_string().as_bytes())
    }

    /// Completes the files, on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where they cannot be written.
    pub(crate) fn finish(self) -> Result<Vec<SetAsideRows>> {
        if self.tables.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for (table, entry) in self.tables {
            let below = |name: String| format!("{FOLDER}/{name}");
            let mut files = Vec::new();
            for output in entry.outputs.into_values() {
                files.push(below(output.finish()?));
            }
            let reasons = below(entry.reasons.finish()?);
            all.push(SetAsideRows { table, rows: entry.rows, files, reasons, codes: entry.codes });
        }
        let mut summary = Output::create(&self.folder, SUMMARY.to_owned())?;
        summary.put(json!(all).to_string().as_bytes())?;
        summary.finish()?;
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| failed(&self.folder, error))?;
        Ok(all)
    }
}

/// What there is to say of a row.
fn reason(row: &Refused, origin: &str, name: &str, number: u64, code: &str) -> Json {
    let mut report = Map::new();
    report.insert("rows".into(), json!(name));
    report.insert("row".into(), json!(number));
    report.insert("file".into(), json!(origin));
    report.insert("line".into(), json!(row.line));
    report.insert("offset".into(), json!(row.offset));
    report.insert("bytes".into(), json!(row.bytes.len()));
    report.insert("code".into(), json!(code));
    report.insert("reason".into(), json!(row.error.message()));
    for (key, value) in row.error.report().context {
        if !matches!(key.as_str(), "code" | "file" | "line") {
            report.entry(key).or_insert(Json::String(value));
        }
    }
    if let Some(hint) = row.error.hint() {
        report.insert("hint".into(), json!(hint));
    }
    Json::Object(report)
}

/// The rows that a package has set aside.
pub(crate) fn summary(package: &Path) -> Vec<SetAsideRows> {
    let text = fs::read(package.join(FOLDER).join(SUMMARY)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Terminal, "the rows set aside could not be written")
        .with("path", path.display())
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, bytes: &[u8]) -> Refused {
        let error = Error::new(ErrorKind::BadData, "duplicate key")
            .with("code", "E_JSON_DUP_KEY")
            .with("key", "a")
            .with("file", "f.jsonl")
            .with("line", line);
        Refused { line, offset: 7, bytes: bytes.to_vec(), error }
    }

    #[test]
    fn rows_are_kept_byte_for_byte_with_their_reasons() {
        let package = tempfile::tempdir().unwrap();
        let mut aside = SetAside::new(package.path(), None);
        aside.put("t", "f.jsonl", &Kind::json(), row(2, b"{\"a\":1,\xff}")).unwrap();
        aside.put("t", "f.jsonl", &Kind::json(), row(5, b"{\n}")).unwrap();
        let csv = Kind { extension: "csv", header: Arc::from(&b"a,b\r\n"[..]) };
        aside.put("t", "g.csv", &csv, row(3, b"1,2,3")).unwrap();
        assert_eq!((aside.rows_of("t"), aside.rows_of("u")), (3, 0));
        let all = aside.finish().unwrap();
        assert_eq!(summary(package.path()), all);
        assert_eq!(all[0].rows, 3);
        assert_eq!(all[0].codes["E_JSON_DUP_KEY"], 3);
        let read = |name: &str| fs::read(package.path().join(name)).unwrap();
        assert_eq!(read("set_aside/t.jsonl"), b"{\"a\":1,\xff}\n");
        assert_eq!(read("set_aside/t.json"), b"{\n}\n");
        assert_eq!(read("set_aside/t.csv"), b"a,b\r\n1,2,3\n");
        let reasons = String::from_utf8(read(&all[0].reasons)).unwrap();
        let first: Json = serde_json::from_str(reasons.lines().next().unwrap()).unwrap();
        assert_eq!(
            first,
            json!({
                "rows": "t.jsonl", "row": 1, "file": "f.jsonl", "line": 2, "offset": 7, "bytes": 9,
                "code": "E_JSON_DUP_KEY", "reason": "duplicate key", "key": "a",
            })
        );
    }

    #[test]
    fn no_table_has_the_name_of_the_summary() {
        let package = tempfile::tempdir().unwrap();
        let mut aside = SetAside::new(package.path(), None);
        for table in ["summary", "@summary", "set_aside"] {
            aside.put(table, "f.json", &Kind::json(), row(1, b"{\n}")).unwrap();
        }
        let all = aside.finish().unwrap();
        assert_eq!(summary(package.path()), all);
        for table in all {
            assert_eq!(fs::read(package.path().join(&table.files[0])).unwrap(), b"{\n}\n");
        }
        // Where a name is taken after all, that is an error and nothing is written over.
        let mut aside = SetAside::new(package.path(), None);
        assert!(aside.put("summary", "f.json", &Kind::json(), row(1, b"{\n}")).is_err());
    }

    #[test]
    fn with_one_row_too_many_its_error_is_that_of_the_load() {
        let package = tempfile::tempdir().unwrap();
        let mut aside = SetAside::new(package.path(), Some(1));
        aside.put("t", "f", &Kind::json(), row(1, b"{}")).unwrap();
        let error = aside.put("t", "f", &Kind::json(), row(2, b"{}")).unwrap_err();
        assert_eq!((error.message(), error.context("line")), ("duplicate key", Some("2")));
        let mut none = SetAside::new(package.path(), Some(0));
        assert!(none.put("t", "f", &Kind::json(), row(1, b"{}")).is_err());
    }

    #[test]
    fn without_rows_nothing_is_written() {
        let package = tempfile::tempdir().unwrap();
        assert!(SetAside::new(package.path(), None).finish().unwrap().is_empty());
        assert!(fs::read_dir(package.path()).unwrap().next().is_none());
        assert!(summary(package.path()).is_empty());
    }
}
