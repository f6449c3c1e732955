//! Resources: named streams of rows, each of which becomes one root table and its nested tables.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::Stream;
use serde::Serialize;
use transload_core::{
    Error, ErrorKind, FileFormat, MergeStrategy, ReplaceStrategy, Result, WriteDisposition,
};

use crate::contract::SchemaContract;
use crate::hints::{ColumnHints, MergeOptions, Reference, TableHints};
use crate::incremental::Incremental;
use crate::source::csv::CsvOptions;
use crate::source::input::Input;
use crate::source::options::{SourceFormat, SourceOptions};
use crate::source::{ArrowRows, Chunk, JsonRow, JsonRows};

/// Rows as a program hands them over.
#[derive(Clone, Debug)]
pub enum Rows {
    /// JSON text: lines of objects, an array of objects, or one object.
    Json(Vec<u8>),
    /// An Arrow batch.
    Arrow(RecordBatch),
}

impl From<String> for Rows {
    fn from(text: String) -> Self {
        Self::Json(text.into_bytes())
    }
}

impl From<&str> for Rows {
    fn from(text: &str) -> Self {
        Self::Json(text.as_bytes().to_vec())
    }
}

impl From<RecordBatch> for Rows {
    fn from(batch: RecordBatch) -> Self {
        Self::Arrow(batch)
    }
}

/// A stream of rows from asynchronous code.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<Rows>> + Send>>;

pub(crate) enum RowSource {
    Files(Files),
    Chunks(Box<dyn Iterator<Item = Result<Chunk>> + Send>),
    Rows(Vec<Rows>),
    Stream(RowStream),
}

/// Files by the names that the user gave, and what was found by them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Paths, globs, URLs and `-`.
    pub(crate) named: Vec<PathBuf>,
    pub(crate) options: SourceOptions,
    /// Empty until [`find_files`](crate::source::input::find_files) looked for them.
    pub(crate) found: Vec<Input>,
}

/// A named stream of rows, with what is to be done with them.
///
/// ```
/// use transload::{Resource, WriteDisposition};
///
/// #[derive(serde::Serialize)]
/// struct Player { id: u32, name: &'static str }
///
/// let players = Resource::rows("players", [Player { id: 1, name: "Tal" }])
///     .write_disposition(WriteDisposition::Replace)
///     .primary_key(["id"]);
/// assert_eq!(players.name(), "players");
/// ```
pub struct Resource {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) write_disposition: Option<WriteDisposition>,
    pub(crate) merge_strategy: Option<MergeStrategy>,
    pub(crate) replace_strategy: Option<ReplaceStrategy>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) merge_key: Vec<String>,
    pub(crate) merge_options: MergeOptions,
    pub(crate) columns: Vec<ColumnHints>,
    pub(crate) schema_contract: Option<SchemaContract>,
    /// Hints that nothing but the schema has to know.
    pub(crate) hints: TableHints,
    /// Hints for the tables nested in this one, by the keys of their lists.
    pub(crate) nested: Vec<(Vec<String>, TableHints)>,
    pub(crate) max_table_nesting: Option<usize>,
    pub(crate) loader_file_format: Option<FileFormat>,
    pub(crate) incremental: Option<Incremental>,
    pub(crate) only_new_files: bool,
    pub(crate) source: RowSource,
}

impl Resource {
    fn new(name: impl Into<String>, source: RowSource) -> Self {
        let name = name.into();
        Self {
            table: name.clone(),
            name,
            write_disposition: None,
            merge_strategy: None,
            replace_strategy: None,
            primary_key: Vec::new(),
            merge_key: Vec::new(),
            merge_options: MergeOptions::default(),
            columns: Vec::new(),
            schema_contract: None,
            hints: TableHints::default(),
            nested: Vec::new(),
            max_table_nesting: None,
            loader_file_format: None,
            incremental: None,
            only_new_files: false,
            source,
        }
    }

    /// Rows from files: JSON lines (`.jsonl`, `.ndjson`, `.ldjson`), JSON documents (`.json`, `.geojson`), CSV (`.csv`,
    /// `.tsv`, `.tab`), Parquet (`.parquet`, `.pq`) or Arrow IPC (`.arrow`, `.arrows`, `.feather`, `.ipc`). One layer of
    /// gzip or zstd is opened.
    ///
    /// A path may be a glob, and `-` is the standard input, which holds JSON unless
    /// [`source_format`](Self::source_format) says otherwise. A URL names an object of a store (`s3://`, `gs://`, `az://`,
    /// `abfss://`), where it may be a glob too, a file of a web server (`https://`, `http://`), or a local one
    /// (`file://`). The keys to stores stand in `[sources.filesystem.credentials]`.
    pub fn files(
        name: impl Into<String>,
        paths: impl IntoIterator<Item = impl Into<PathBuf>>,
    ) -> Self {
        let named = paths.into_iter().map(Into::into).collect();
        Self::new(name, RowSource::Files(Files { named, ..Files::default() }))
    }

    /// What the files hold, where their names do not say so. Means nothing for rows from elsewhere.
    #[must_use]
    pub fn source_format(mut self, format: SourceFormat) -> Self {
        if let RowSource::Files(files) = &mut self.source {
            files.options.format = Some(format);
        }
        self
    }

    /// Where in JSON documents the rows stand. Means nothing for rows from elsewhere.
    #[must_use]
    pub fn source_path(mut self, path: impl Into<String>) -> Self {
        if let RowSource::Files(files) = &mut self.source {
            files.options.path = Some(path.into());
        }
        self
    }

    /// How files of CSV are read. Means nothing for rows from elsewhere.
    #[must_use]
    pub fn csv(mut self, options: CsvOptions) -> Self {
        if let RowSource::Files(files) = &mut self.source {
            files.options.csv = options;
        }
        self
    }

    /// Rows from JSON text: lines of objects, an array of objects, or one object.
    pub fn json(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self::new(name, RowSource::Rows(vec![Rows::Json(text.into())]))
    }

    /// Rows from anything that can be serialised to a JSON object.
    pub fn rows<T: Serialize>(
        name: impl Into<String>,
        rows: impl IntoIterator<Item = T, IntoIter: Send + 'static>,
    ) -> Self {
        let name = name.into();
        let chunks = SerializedChunks {
            rows: rows.into_iter(),
            origin: format!("rows of `{name}`").into(),
            count: 0,
            written: 0,
        };
        Self::new(name, RowSource::Chunks(Box::new(chunks)))
    }

    /// Rows from Arrow batches. They keep their columns; no `_dlt_id` is added.
    pub fn arrow(
        name: impl Into<String>,
        batches: impl IntoIterator<Item = RecordBatch, IntoIter: Send + 'static>,
    ) -> Self {
        let name = name.into();
        let origin: Arc<str> = format!("rows of `{name}`").into();
        let mut first = 0;
        let chunks = batches.into_iter().map(move |batch| {
            let rows = ArrowRows { batch, origin: Arc::clone(&origin), first };
            first += rows.batch.num_rows() as u64;
            Ok(Chunk::Arrow(rows))
        });
        Self::new(name, RowSource::Chunks(Box::new(chunks)))
    }

    /// Rows from asynchronous code, as JSON text or Arrow batches. They are taken as fast as they are written.
    pub fn stream(
        name: impl Into<String>,
        rows: impl Stream<Item = Result<Rows>> + Send + 'static,
    ) -> Self {
        Self::new(name, RowSource::Stream(Box::pin(rows)))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table that takes the rows, by default the one named like the resource.
    #[must_use]
    pub fn table_name(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// What happens to the rows that are there: they stay unless said otherwise.
    #[must_use]
    pub fn write_disposition(mut self, disposition: WriteDisposition) -> Self {
        self.write_disposition = Some(disposition);
        self
    }

    /// How `merge` merges.
    #[must_use]
    pub fn merge_strategy(mut self, strategy: MergeStrategy) -> Self {
        self.merge_strategy = Some(strategy);
        self
    }

    /// How `replace` replaces. By default the destination's first strategy; readers see the old rows or the new ones.
    #[must_use]
    pub fn replace_strategy(mut self, strategy: ReplaceStrategy) -> Self {
        self.replace_strategy = Some(strategy);
        self
    }

    /// The columns that tell one row from another.
    #[must_use]
    pub fn primary_key(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.primary_key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Columns by which `merge` finds the rows to take the place of, besides the primary key.
    #[must_use]
    pub fn merge_key(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.merge_key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// How a merge goes, beyond its strategy.
    #[must_use]
    pub fn merge_options(mut self, options: MergeOptions) -> Self {
        self.merge_options = options;
        self
    }

    /// Columns of which something is known beforehand: a [`Column`](crate::Column) with its type, or [`ColumnHints`].
    #[must_use]
    pub fn columns(mut self, columns: impl IntoIterator<Item = impl Into<ColumnHints>>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Columns that stand for rows of other tables.
    #[must_use]
    pub fn references(mut self, references: impl IntoIterator<Item = Reference>) -> Self {
        self.hints = self.hints.references(references);
        self
    }

    /// What the table holds, in words.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.hints = self.hints.description(text);
        self
    }

    /// The format of the table at the destination: `iceberg`, `delta`, `hive` or `native`.
    #[must_use]
    pub fn table_format(mut self, format: impl Into<String>) -> Self {
        self.hints = self.hints.table_format(format);
        self
    }

    /// A hint of your own for the table, whose name begins with `x-`.
    #[must_use]
    pub fn hint(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.hints = self.hints.hint(name, value);
        self
    }

    /// Hints for a table that is nested in this one: by the keys of the lists that lead to it.
    #[must_use]
    pub fn nested_hints(
        mut self,
        path: impl IntoIterator<Item = impl Into<String>>,
        hints: TableHints,
    ) -> Self {
        self.nested.push((path.into_iter().map(Into::into).collect(), hints));
        self
    }

    /// Whether the rows may change the schema of the table and of those nested in it, and what happens to those that
    /// would. It holds until a later run asks for another one.
    #[must_use]
    pub fn schema_contract(mut self, contract: impl Into<SchemaContract>) -> Self {
        self.schema_contract = Some(contract.into());
        self
    }

    /// How deep nested lists and objects become tables and columns; deeper ones stay JSON.
    #[must_use]
    pub fn max_table_nesting(mut self, levels: usize) -> Self {
        self.max_table_nesting = Some(levels);
        self
    }

    /// The format of the files between here and the destination. By default the best that both sides have.
    #[must_use]
    pub fn loader_file_format(mut self, format: FileFormat) -> Self {
        self.loader_file_format = Some(format);
        self
    }

    /// Loads only the rows whose cursor lies beyond the last value that was loaded. With `replace` nothing is remembered
    /// from run to run.
    #[must_use]
    pub fn incremental(mut self, incremental: Incremental) -> Self {
        self.incremental = Some(incremental);
        self
    }

    /// Loads only the files that were not loaded before, as they are told apart by name, size and time. A file that has
    /// changed is loaded again, as a whole.
    #[must_use]
    pub fn only_new_files(mut self) -> Self {
        self.only_new_files = true;
        self
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("name", &self.name)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// What a pipeline runs: one resource or several.
pub trait IntoResources {
    /// The resources.
    fn into_resources(self) -> Vec<Resource>;
}

impl IntoResources for Resource {
    fn into_resources(self) -> Vec<Resource> {
        vec![self]
    }
}

impl IntoResources for Vec<Resource> {
    fn into_resources(self) -> Vec<Resource> {
        self
    }
}

impl<const N: usize> IntoResources for [Resource; N] {
    fn into_resources(self) -> Vec<Resource> {
        self.into()
    }
}

/// Serialises rows into chunks of JSON lines.
struct SerializedChunks<I> {
    rows: I,
    origin: Arc<str>,
    count: u64,
    /// Bytes of the chunks before.
    written: u64,
}

/// Bytes after which a chunk of serialised rows is handed on.
const CHUNK_BYTES: usize = 8 << 20;

impl<I: Iterator<Item: Serialize>> Iterator for SerializedChunks<I> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        let mut rows = Vec::new();
        while bytes.len() < CHUNK_BYTES {
            let Some(row) = self.rows.next() else { break };
            self.count += 1;
            let start = bytes.len();
            if let Err(error) = serde_json::to_writer(&mut bytes, &row) {
                return Some(Err(Error::new(
                    ErrorKind::BadData,
                    "the row cannot be written as JSON",
                )
                .with("file", &self.origin)
                .with("line", self.count)
                .with_source(error)));
            }
            rows.push(JsonRow {
                range: start..bytes.len(),
                line: self.count,
                column: 1,
                offset: self.written + start as u64,
            });
            bytes.push(b'\n');
        }
        if rows.is_empty() {
            return None;
        }
        self.written += bytes.len() as u64;
        let origin = self.origin.clone();
        Some(Ok(Chunk::Json(JsonRows { bytes, rows, origin, refused: Vec::new(), source: None })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_chunks_of_json_lines() {
        let resource = Resource::rows("r", (0..3).map(|n| serde_json::json!({ "n": n })));
        let RowSource::Chunks(mut chunks) = resource.source else { panic!("chunks") };
        let Some(Ok(Chunk::Json(rows))) = chunks.next() else { panic!("rows") };
        assert_eq!(rows.rows.len(), 3);
        assert_eq!(&rows.bytes[rows.rows[1].range.clone()], br#"{"n":1}"#);
        assert!(chunks.next().is_none());
    }

    #[test]
    fn no_rows_are_no_chunks() {
        let RowSource::Chunks(mut chunks) = Resource::rows("r", Vec::<u8>::new()).source else {
            panic!("chunks")
        };
        assert!(chunks.next().is_none());
    }
}
