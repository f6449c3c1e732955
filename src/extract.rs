//! From resources to the files of a package: rows are read, normalised and written, a chunk at a time.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use futures::StreamExt as _;
use tokio::sync::mpsc;
use transload_core::{DataFile, Error, ErrorKind, Result, Schema};

use crate::load::{Event, Observer};
use crate::normalize::{Normalizer, Options};
use crate::resource::{Resource, RowSource, RowStream, Rows};
use crate::source::{ArrowRows, Chunk, Chunks, JsonLimits, JsonReader, JsonShape};
use crate::stop::Stop;
use crate::write::{TableWriter, WriteOptions};

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
        // Opened one after the other, so that thousands of files do not need thousands of handles.
        RowSource::Files(files) => {
            let options = files.options;
            Box::new(files.found.into_iter().flat_map(move |input| match input.open(&options) {
                Ok(chunks) => chunks,
                Err(error) => Box::new(std::iter::once(Err(error))),
            }))
        }
    };
    Ok(Opened { table, chunks })
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
                Chunk::Arrow(ArrowRows { batch, .. }) => {
                    let (count, bytes) = (batch.num_rows(), batch.get_array_memory_size());
                    (count, bytes, normalizer.arrow(&table, batch)?)
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
