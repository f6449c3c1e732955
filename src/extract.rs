//! From resources to the files of a package: rows are read, normalised and written, a chunk at a time.

mod workers;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use futures::StreamExt as _;
use tokio::sync::mpsc;
use transload_core::{DataFile, Error, ErrorKind, Result, Schema, WriteDisposition};

use crate::load::{Event, Observer};
use crate::normalize::{Normalizer, Options, Shredded, TableBatch};
use crate::resource::{Resource, RowSource, RowStream, Rows};
use crate::set_aside::{Kind, SetAside};
use crate::source::{
    ArrowRows, Chunk, Chunks, JsonLimits, JsonReader, JsonRows, JsonShape, Warning, Warnings,
};
use crate::stop::Stop;
use crate::write::{TableWriter, WriteOptions};
use workers::{Deliveries, Latest, Work};

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
    /// What stopped nothing and should be known.
    pub(crate) warnings: Vec<String>,
}

/// Opens the input of a resource whose rows go into `table`.
pub(crate) fn open(resource: Resource, table: String, warnings: &Warnings) -> Result<Opened> {
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
            let (options, warnings) = (files.options, warnings.clone());
            Box::new(files.found.into_iter().flat_map(move |input| {
                match input.open(&options, &warnings) {
                    Ok(chunks) => chunks,
                    Err(error) => Box::new(std::iter::once(Err(error))),
                }
            }))
        }
    };
    Ok(Opened { table, chunks })
}

/// How resources are extracted.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What normalising depends on beside the schema.
    pub(crate) options: Options,
    /// How files are written.
    pub(crate) write: WriteOptions,
    /// Chunks that are shredded at a time.
    pub(crate) workers: usize,
    /// What the readers find odd.
    pub(crate) warnings: Warnings,
    /// Rows that may be set aside; none for any number.
    pub(crate) max_set_aside: Option<u64>,
}

/// Reads all rows and writes the files of a package into its folder. Blocks; memory is bounded by the workers' chunks and
/// what the writers hold back, never by the input. The schema and the rows do not depend on the number of workers.
pub(crate) fn extract(
    resources: Vec<Opened>,
    schema: Schema,
    plan: Plan,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Extraction> {
    let tables: Vec<String> = resources.iter().map(|resource| resource.table.clone()).collect();
    let normalizer = Normalizer::new(schema, plan.options)?;
    let latest = Latest::new(normalizer.snapshot());
    let mut sink = Sink {
        normalizer,
        latest: latest.clone(),
        aside: SetAside::new(&plan.write.folder, plan.max_set_aside),
        write: Arc::new(plan.write),
        writers: BTreeMap::new(),
        rows: BTreeMap::new(),
        discarded: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let mut deliveries = Deliveries::begin(resources, plan.workers, &latest, stop);
    while let Some((resource, work)) = deliveries.next()? {
        let (rows, bytes) = match work? {
            Work::Json(rows, shredded) => sink.json(&tables[resource], rows, shredded)?,
            Work::Arrow(rows) => sink.arrow(&tables[resource], rows)?,
            Work::Columns(columns) => {
                sink.normalizer.declare(&tables[resource], columns)?;
                latest.set(sink.normalizer.snapshot());
                continue;
            }
            Work::End => continue,
        };
        observer.observe(Event::Rows { rows: rows as u64, bytes: bytes as u64 });
    }
    let mut extraction = sink.finish(observer)?;
    let odd = plan.warnings.take();
    extraction.warnings.extend(odd.iter().map(Warning::to_string));
    Ok(extraction)
}

/// Takes chunks in their order: their rows go to the files, what is wrong with some of them to a file of its own.
struct Sink {
    normalizer: Normalizer,
    latest: Latest,
    aside: SetAside,
    write: Arc<WriteOptions>,
    writers: BTreeMap<String, TableWriter>,
    /// Rows of the input that were taken, by root table.
    rows: BTreeMap<String, u64>,
    /// Values that the contract left out, by table and column.
    discarded: BTreeMap<(String, String), u64>,
    warnings: Vec<String>,
}

impl Sink {
    /// Returns the rows and the bytes of the chunk.
    fn json(
        &mut self,
        table: &str,
        mut rows: JsonRows,
        shredded: Result<Shredded>,
    ) -> Result<(usize, usize)> {
        let before = self.normalizer.generation();
        let normalized = match self.normalizer.accept(shredded?)? {
            Some(normalized) => normalized,
            // The schema has moved on since: once more, with nobody in between.
            None => self.normalizer.json(table, &rows)?,
        };
        if self.normalizer.generation() != before {
            self.latest.set(self.normalizer.snapshot());
        }
        let (count, bytes) = (rows.rows.len() + rows.refused.len(), rows.bytes.len());
        let taken = rows.rows.len() - normalized.refused.len();
        *self.rows.entry(table.to_owned()).or_default() += taken as u64;
        let kind = match &rows.source {
            Some(source) => {
                Kind { extension: source.extension, header: Arc::clone(&source.header) }
            }
            None => Kind::json(),
        };
        // In the order of the input, whoever refused them.
        let mut refused = std::mem::take(&mut rows.refused);
        refused.extend(normalized.refused);
        refused.sort_by_key(|row| row.offset);
        for row in refused {
            self.aside.put(table, &rows.origin, &kind, row)?;
        }
        for (table, row) in normalized.discarded.nested {
            self.aside.put(&table, &rows.origin, &Kind::json(), row)?;
        }
        for (column, count) in normalized.discarded.values {
            *self.discarded.entry(column).or_default() += count;
        }
        self.write(normalized.batches)?;
        Ok((count, bytes))
    }

    fn arrow(&mut self, table: &str, rows: ArrowRows) -> Result<(usize, usize)> {
        let (count, bytes) = (rows.batch.num_rows(), rows.batch.get_array_memory_size());
        let before = self.normalizer.generation();
        let normalized = self.normalizer.arrow(table, &rows)?;
        if self.normalizer.generation() != before {
            self.latest.set(self.normalizer.snapshot());
        }
        let taken = count - normalized.refused.len();
        *self.rows.entry(table.to_owned()).or_default() += taken as u64;
        for row in normalized.refused {
            self.aside.put(table, &rows.origin, &Kind::json(), row)?;
        }
        self.warnings.extend(normalized.warnings);
        self.write(normalized.batches)?;
        Ok((count, bytes))
    }

    fn write(&mut self, batches: Vec<TableBatch>) -> Result<()> {
        for batch in batches {
            let Some(table) = self.normalizer.schema().tables.get(&batch.table) else {
                return Err(Error::new(ErrorKind::Bug, "rows of a table that is in no schema"));
            };
            let columns: Vec<_> = table.complete_columns().cloned().collect();
            let writer = self.writers.entry(batch.table).or_insert_with_key(|table| {
                TableWriter::new(table.clone(), Arc::clone(&self.write))
            });
            writer.write(&columns, &batch.batch)?;
        }
        Ok(())
    }

    fn finish(self, observer: &dyn Observer) -> Result<Extraction> {
        let schema = self.normalizer.into_schema();
        for (table, rows) in &self.rows {
            let disposition = schema.tables.get(table).and_then(|table| table.write_disposition);
            let aside = self.aside.rows_of(table);
            if *rows == 0 && aside > 0 && disposition == Some(WriteDisposition::Replace) {
                return Err(Error::new(
                    ErrorKind::BadData,
                    "every row would be set aside, and the table replaced by none",
                )
                .with("table", table)
                .with("rows", aside)
                .with_hint("repair the rows; an empty source is what empties a table"));
            }
        }
        let mut files = Vec::new();
        for writer in self.writers.into_values() {
            for file in writer.finish()? {
                observer.observe(Event::FileWritten(file.clone()));
                files.push(file);
            }
        }
        self.aside.finish()?;
        let left_out = |((table, column), count): (&(String, String), &u64)| {
            format!("the schema contract left {count} values out, of {table}.{column}")
        };
        let mut warnings = self.warnings;
        warnings.extend(self.discarded.iter().map(left_out));
        Ok(Extraction { schema, files, warnings })
    }
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

#[cfg(test)]
mod tests;
