//! From resources to the files of a package: rows are read, normalised and written, a chunk at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::mpsc;
use transload_core::{DataFile, Error, ErrorKind, Result, Schema, WriteDisposition};

use crate::load::{Event, Observer};
use crate::normalize::{Normalizer, Options};
use crate::resource::{Resource, RowSource, RowStream, Rows};
use crate::source::{ArrowRows, Chunk, JsonLimits, JsonReader, JsonShape};
use crate::stop::Stop;
use crate::write::{TableWriter, WriteOptions};

/// The chunks of a resource.
type Chunks = Box<dyn Iterator<Item = Result<Chunk>> + Send>;

/// A resource whose input is open: what is missing was found before anything was begun.
pub(crate) struct Opened {
    table: String,
    chunks: Chunks,
}

/// What an extraction made.
#[derive(Debug)]
pub(crate) struct Extraction {
    pub(crate) schema: Schema,
    pub(crate) files: Vec<DataFile>,
}

/// Opens the input of a resource whose rows go into `table`.
pub(crate) fn open(resource: Resource, table: String) -> Result<Opened> {
    let name: Arc<str> = format!("rows of `{}`", resource.name).into();
    let chunks: Chunks = match resource.source {
        RowSource::Chunks(chunks) => chunks,
        RowSource::Rows(rows) => {
            Box::new(rows.into_iter().flat_map(move |rows| chunks_of(rows, &name)))
        }
        RowSource::Stream(stream) => {
            let receiver = forward(stream);
            Box::new(Received(receiver).flat_map(move |rows| match rows {
                Ok(rows) => chunks_of(rows, &name),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }))
        }
        RowSource::Files(paths) => {
            let files = expand(&paths)?;
            // Opened one after the other, so that thousands of files do not need thousands of handles.
            Box::new(files.into_iter().flat_map(|file| match file.open() {
                Ok(chunks) => chunks,
                Err(error) => Box::new(std::iter::once(Err(error))),
            }))
        }
    };
    Ok(Opened { table, chunks })
}

/// Replaces paths and globs by the files that they stand for, each once. What is missing is said before anything is
/// begun.
pub(crate) fn find_files(resources: &mut [Resource]) -> Result<()> {
    for resource in resources {
        if let RowSource::Files(paths) = &mut resource.source {
            *paths = expand(paths)?.into_iter().map(Input::into_path).collect();
        }
    }
    Ok(())
}

/// What tells the files of a run from those of another one: where their rows go, path, size and time. Rows from elsewhere
/// have no mark.
///
/// A run that was killed after its package was sealed and is then started again must not load its files twice.
pub(crate) fn marks(resources: &[Resource]) -> Result<BTreeSet<String>> {
    let mut marks = BTreeSet::new();
    for resource in resources {
        if let RowSource::Files(paths) = &resource.source {
            for path in paths {
                marks.extend(mark(&resource.table, path)?);
            }
        }
    }
    Ok(marks)
}

fn mark(table: &str, path: &Path) -> Result<Option<String>> {
    if path.as_os_str() == STDIN {
        return Ok(None);
    }
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let time = metadata.modified().map(crate::clock::rfc3339).unwrap_or_default();
    Ok(Some(format!("{table:?} {:?} {} bytes of {time}", path.display(), metadata.len())))
}

/// The resources without the files that a load has brought already. A resource that replaces or merges stays whole unless
/// all of it was brought: its other files must not take the place of those.
pub(crate) fn without(
    resources: Vec<Resource>,
    brought: &BTreeSet<String>,
) -> Result<Vec<Resource>> {
    let mut left = Vec::new();
    for mut resource in resources {
        if let RowSource::Files(paths) = &mut resource.source {
            let mut fresh = Vec::new();
            for path in paths.iter() {
                match mark(&resource.table, path)? {
                    Some(mark) if brought.contains(&mark) => {}
                    _ => fresh.push(path.clone()),
                }
            }
            let adds = resource.write_disposition.unwrap_or_default() == WriteDisposition::Append;
            if fresh.is_empty() {
                continue;
            }
            if adds {
                *paths = fresh;
            }
        }
        left.push(resource);
    }
    Ok(left)
}

/// Reads all rows and writes the files of a package into `folder`. Blocks; memory is bounded by a chunk and what the
/// writers hold back, never by the input.
pub(crate) fn extract(
    resources: Vec<Opened>,
    schema: Schema,
    options: Options,
    write: WriteOptions,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Extraction> {
    let write = Arc::new(write);
    let mut normalizer = Normalizer::new(schema, options)?;
    let mut writers: BTreeMap<String, TableWriter> = BTreeMap::new();
    for Opened { table, chunks } in resources {
        for chunk in chunks {
            stop.check()?;
            let (rows, bytes, batches) = match chunk? {
                Chunk::Json(rows) => {
                    let (count, bytes) = (rows.rows.len(), rows.bytes.len());
                    (count, bytes, normalizer.json(&table, rows)?)
                }
                Chunk::Arrow(rows) => {
                    let batch = &rows.batch;
                    let (count, bytes) = (batch.num_rows(), batch.get_array_memory_size());
                    let normalized = normalizer.arrow(&table, &rows)?;
                    if let Some(refused) = normalized.refused.into_iter().next() {
                        return Err(refused.error);
                    }
                    for warning in normalized.warnings {
                        observer.observe(Event::Warning(warning));
                    }
                    (count, bytes, normalized.batches)
                }
            };
            observer.observe(Event::Rows { rows: rows as u64, bytes: bytes as u64 });
            for batch in batches {
                let columns: Vec<_> = match normalizer.schema().tables.get(&batch.table) {
                    Some(table) => table.complete_columns().cloned().collect(),
                    None => {
                        return Err(Error::new(
                            ErrorKind::Bug,
                            "rows of a table that is in no schema",
                        ));
                    }
                };
                let writer = writers.entry(batch.table).or_insert_with_key(|table| {
                    TableWriter::new(table.clone(), Arc::clone(&write))
                });
                writer.write(&columns, &batch.batch)?;
            }
        }
    }
    let mut files = Vec::new();
    for writer in writers.into_values() {
        for file in writer.finish()? {
            observer.observe(Event::FileWritten(file.clone()));
            files.push(file);
        }
    }
    Ok(Extraction { schema: normalizer.into_schema(), files })
}

fn chunks_of(rows: Rows, name: &Arc<str>) -> Chunks {
    match rows {
        Rows::Arrow(batch) => {
            let rows = ArrowRows { batch, origin: Arc::clone(name), first: 0 };
            Box::new(std::iter::once(Ok(Chunk::Arrow(rows))))
        }
        Rows::Json(bytes) => {
            let reader =
                JsonReader::new(Cursor::new(bytes), name, JsonShape::Auto, JsonLimits::default());
            Box::new(reader.map(|rows| rows.map(Chunk::Json)))
        }
    }
}

/// Lets asynchronous rows be read by a thread that blocks. Few are under way at a time: the source waits for us.
fn forward(mut stream: RowStream) -> mpsc::Receiver<Result<Rows>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        while let Some(rows) = stream.next().await {
            if sender.send(rows).await.is_err() {
                break;
            }
        }
    });
    receiver
}

struct Received(mpsc::Receiver<Result<Rows>>);

impl Iterator for Received {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.blocking_recv()
    }
}

/// The path that stands for the standard input.
const STDIN: &str = "-";

/// A file to read, or the standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Input {
    Stdin,
    Json(PathBuf, JsonShape),
    Parquet(PathBuf),
}

impl Input {
    fn into_path(self) -> PathBuf {
        match self {
            Self::Stdin => PathBuf::from(STDIN),
            Self::Json(path, _) | Self::Parquet(path) => path,
        }
    }

    fn of(path: PathBuf) -> Result<Self> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Ok(Self::Json(path, JsonShape::Auto)),
            "json" => Ok(Self::Json(path, JsonShape::Document)),
            "parquet" => Ok(Self::Parquet(path)),
            _ => Err(Error::new(ErrorKind::Unsupported, "files of this kind cannot be read yet")
                .with("file", path.display())
                .with_hint("JSON lines (.jsonl, .ndjson), JSON documents (.json) and Parquet (.parquet) can")),
        }
    }

    fn open(self) -> Result<Chunks> {
        match self {
            Self::Stdin => Ok(json_chunks(io::stdin(), "standard input", JsonShape::Auto)),
            Self::Json(path, shape) => {
                let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
                Ok(json_chunks(file, &path.display().to_string(), shape))
            }
            Self::Parquet(path) => {
                let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
                let origin: Arc<str> = path.display().to_string().into();
                let damaged = move |error: Box<dyn std::error::Error + Send + Sync>| {
                    Error::new(ErrorKind::BadData, "the file is no readable Parquet")
                        .with("file", path.display())
                        .with_source(error)
                };
                let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                    .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
                    .map_err(|error| damaged(error.into()))?;
                let mut first = 0;
                Ok(Box::new(reader.map(move |batch| {
                    let batch = batch.map_err(|error| damaged(error.into()))?;
                    let rows = ArrowRows { batch, origin: Arc::clone(&origin), first };
                    first += rows.batch.num_rows() as u64;
                    Ok(Chunk::Arrow(rows))
                })))
            }
        }
    }
}

/// Rows of a batch that is read from Parquet.
const BATCH_ROWS: usize = 32_768;

fn json_chunks(reader: impl Read + Send + 'static, origin: &str, shape: JsonShape) -> Chunks {
    Box::new(
        JsonReader::new(reader, origin, shape, JsonLimits::default())
            .map(|rows| rows.map(Chunk::Json)),
    )
}

/// The files that paths and globs stand for, those of one glob in the order of their names.
fn expand(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        let text = path.to_string_lossy();
        if text == STDIN {
            inputs.push(Input::Stdin);
        } else if !path.exists() && text.contains(['*', '?', '[']) {
            let refused = |reason: String| {
                Error::new(ErrorKind::Configuration, "the source names no files")
                    .with("source", path.display())
                    .with("reason", reason)
            };
            let before = inputs.len();
            for found in glob::glob(&text).map_err(|error| refused(error.to_string()))? {
                let found = found.map_err(|error| refused(error.to_string()))?;
                if found.is_file() {
                    inputs.push(Input::of(found)?);
                }
            }
            if inputs.len() == before {
                return Err(refused("no file has such a name".to_owned())
                    .with_hint("check the pattern and the folder"));
            }
        } else {
            let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
            if metadata.is_dir() {
                return Err(Error::new(ErrorKind::Configuration, "the source is a folder")
                    .with("source", path.display())
                    .with_hint(format!("name its files: `{}/*.jsonl`", path.display())));
            }
            inputs.push(Input::of(path.clone())?);
        }
    }
    // A file that is named twice is read once.
    let mut seen = BTreeSet::new();
    inputs.retain(|input| {
        let path = input.clone().into_path();
        seen.insert(path.canonicalize().unwrap_or(path))
    });
    Ok(inputs)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such source file",
        _ => "the source file cannot be read",
    };
    Error::new(ErrorKind::Configuration, message).with("file", path.display()).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_expanded_in_order_and_refused_without_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl", "c.parquet"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let inputs = expand(&[folder.path().join("*.jsonl")]).unwrap();
        let names = ["a.jsonl", "b.jsonl"]
            .map(|name| Input::Json(folder.path().join(name), JsonShape::Auto));
        assert_eq!(inputs, names);
        assert!(expand(&[folder.path().join("*.json")]).unwrap_err().context("reason").is_some());
        assert_eq!(
            expand(&[folder.path().join("no.jsonl")]).unwrap_err().message(),
            "there is no such source file"
        );
        assert!(
            expand(&[folder.path().to_owned()]).unwrap_err().hint().unwrap().contains("*.jsonl")
        );
        assert_eq!(expand(&["-".into()]).unwrap(), [Input::Stdin]);
    }

    #[test]
    fn files_that_were_brought_are_left_out_once_they_are_the_very_same() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| std::fs::write(path, "{}").unwrap());
        let of = |disposition| Resource::files("t", &paths).write_disposition(disposition);
        let left = |disposition, brought: &BTreeSet<String>| -> Vec<usize> {
            let left = without(vec![of(disposition)], brought).unwrap();
            left.iter()
                .map(|resource| match &resource.source {
                    RowSource::Files(paths) => paths.len(),
                    _ => 0,
                })
                .collect()
        };
        use WriteDisposition::{Append, Replace};
        let both = marks(&[of(Append)]).unwrap();
        assert_eq!(both.len(), 2);
        assert!(left(Append, &both).is_empty());
        assert!(left(Replace, &both).is_empty());
        let first = marks(&[Resource::files("t", &paths[..1])]).unwrap();
        assert_eq!(left(Append, &first), [1]);
        assert_eq!(left(Replace, &first), [2]);
        assert_eq!(left(Append, &marks(&[Resource::files("other", &paths)]).unwrap()), [2]);
        std::fs::write(&paths[0], "{}\n{}").unwrap();
        assert_eq!(left(Append, &both), [1]);
        assert!(
            marks(&[Resource::files("t", ["-"]), Resource::json("t", "{}")]).unwrap().is_empty()
        );
    }

    #[test]
    fn a_file_that_is_named_twice_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{}").unwrap();
        let again = folder.path().join(".").join("a.jsonl");
        let found = expand(&[path.clone(), folder.path().join("*.jsonl"), again]).unwrap();
        assert_eq!(found, [Input::Json(path, JsonShape::Auto)]);
    }

    #[test]
    fn a_kind_of_file_that_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.xlsx");
        std::fs::write(&path, "").unwrap();
        assert_eq!(expand(&[path]).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
