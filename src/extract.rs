//! From resources to the files of a package: rows are read, normalised and written, a chunk at a time.

mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use transload_core::{Column, DataFile, Error, ErrorKind, Result, Schema, Table, WriteDisposition};

use crate::arrow_types::Defaults;
use crate::contract::SchemaContract;
use crate::hints;
use crate::incremental::{Judge, Seen};
use crate::load::{Event, Observer};
use crate::normalize::{
    AddedColumns, Normalizer, Options, Shredded, TableBatch, is_filled_by_destination,
    is_key_of_merge,
};
use crate::resource::{Resource, RowSource, RowStream, Rows};
use crate::set_aside::{Kind, SetAside};
use crate::source::{
    ArrowRows, Chunk, Chunks, JsonLimits, JsonReader, JsonRows, JsonShape, ParquetFile, Warning,
    Warnings,
};
use crate::stop::Stop;
use crate::write::{Adoption, Changes, TableWriters, WriteOptions};
use workers::{Deliveries, Latest, Work};

/// A resource whose input is open: what is missing was found before anything was begun.
pub(crate) struct Opened {
    name: String,
    table: String,
    chunks: Chunks,
    /// What says which of its rows are new, where it is incremental.
    judge: Option<Arc<Judge>>,
}

/// What an extraction made.
#[derive(Debug)]
pub(crate) struct Extraction {
    pub(crate) schema: Schema,
    pub(crate) files: Vec<DataFile>,
    /// What the cursors of incremental resources met, by the names of the resources.
    pub(crate) seen: BTreeMap<String, Seen>,
    /// What stopped nothing and should be known.
    pub(crate) warnings: Vec<String>,
}

/// Opens the input of a resource whose rows go into `table`.
pub(crate) fn open(
    resource: Resource,
    table: String,
    judge: Option<Arc<Judge>>,
    warnings: &Warnings,
) -> Result<Opened> {
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
    Ok(Opened { name: resource.name, table, chunks, judge })
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
    let targets: Vec<Target> = resources.iter().map(Target::of).collect();
    let normalizer = Normalizer::new(schema, plan.options.clone())?;
    let latest = Latest::new(normalizer.snapshot());
    let mut sink = Sink {
        normalizer,
        latest: latest.clone(),
        aside: SetAside::new(&plan.write.folder, plan.max_set_aside),
        changes: Changes {
            ids: plan.options.added_columns != AddedColumns::default(),
            ..Changes::default()
        },
        defaults: plan.options.defaults,
        writers: TableWriters::new(Arc::new(plan.write)),
        rows: BTreeMap::new(),
        seen: BTreeMap::new(),
        lacking: BTreeMap::new(),
        discarded: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let mut deliveries = Deliveries::begin(resources, plan.workers, &latest, stop);
    while let Some((resource, work)) = deliveries.next()? {
        let (rows, bytes) = match work? {
            Work::Json(rows, shredded) => sink.json(&targets[resource], rows, shredded)?,
            Work::Arrow(rows) => sink.arrow(&targets[resource], rows)?,
            Work::File(file) => {
                let mut rows = 0;
                let mut bytes = 0;
                sink.file(&targets[resource], file, stop, &mut |some, of_them| {
                    rows += some;
                    bytes += of_them;
                })?;
                (rows, bytes)
            }
            Work::Columns(columns) => {
                sink.normalizer.declare(&targets[resource].table, columns)?;
                latest.set(sink.normalizer.snapshot());
                continue;
            }
            Work::End => continue,
        };
        observer.observe(Event::Rows { rows: rows as u64, bytes: bytes as u64 });
        if sink.seen.get(&targets[resource].name).is_some_and(|seen| seen.ended) {
            deliveries.end(resource);
        }
    }
    for target in &targets {
        if let (Some(judge), Some(seen)) = (&target.judge, sink.seen.get(&target.name)) {
            sink.warnings.extend(judge.warning(seen));
        }
    }
    let mut extraction = sink.finish(observer)?;
    let odd = plan.warnings.take();
    extraction.warnings.extend(odd.iter().map(Warning::to_string));
    Ok(extraction)
}

/// Where the rows of a resource go.
struct Target {
    name: String,
    table: String,
    judge: Option<Arc<Judge>>,
}

impl Target {
    fn of(resource: &Opened) -> Self {
        let Opened { name, table, judge, .. } = resource;
        Self { name: name.clone(), table: table.clone(), judge: judge.clone() }
    }
}

/// Takes chunks in their order: their rows go to the files, what is wrong with some of them to a file of its own.
struct Sink {
    normalizer: Normalizer,
    latest: Latest,
    aside: SetAside,
    writers: TableWriters,
    changes: Changes,
    defaults: Defaults,
    /// Rows of the input that were taken, by root table.
    rows: BTreeMap<String, u64>,
    /// What the cursors of the resources met.
    seen: BTreeMap<String, Seen>,
    /// Columns that some row of a root table had to have and did not.
    lacking: BTreeMap<String, BTreeSet<String>>,
    /// Values that the contract left out, by table and column.
    discarded: BTreeMap<(String, String), u64>,
    warnings: Vec<String>,
}

impl Sink {
    /// Returns the rows and the bytes of the chunk.
    fn json(
        &mut self,
        target: &Target,
        mut rows: JsonRows,
        shredded: Result<Box<Shredded>>,
    ) -> Result<(usize, usize)> {
        let table = target.table.as_str();
        let before = self.normalizer.generation();
        let normalized = match self.normalizer.accept(*shredded?)? {
            Some(normalized) => normalized,
            // The schema has moved on since: once more, with nobody in between.
            None => self.normalizer.json(table, &rows, target.judge.as_deref())?,
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
            self.note_lacking(table, &row.error);
            self.aside.put(table, &rows.origin, &kind, row)?;
        }
        for (table, row) in normalized.discarded.nested {
            self.aside.put(&table, &rows.origin, &Kind::json(), row)?;
        }
        for (column, count) in normalized.discarded.values {
            *self.discarded.entry(column).or_default() += count;
        }
        self.warnings.extend(normalized.warnings);
        self.see(target, normalized.seen)?;
        self.write(normalized.batches)?;
        Ok((count, bytes))
    }

    /// Notes the column for whose sake a row is set aside.
    fn note_lacking(&mut self, table: &str, error: &Error) {
        if error.context("code") == Some("E_KEY_NULL")
            && let Some(column) = error.context("column")
        {
            let of_table = self.lacking.entry(table.to_owned()).or_default();
            if !of_table.contains(column) {
                of_table.insert(column.to_owned());
            }
        }
    }

    fn see(&mut self, target: &Target, seen: Seen) -> Result<()> {
        if let Some(judge) = &target.judge {
            let before = self.seen.remove(&target.name).unwrap_or_default();
            self.seen.insert(target.name.clone(), judge.merge(before, seen)?);
        }
        Ok(())
    }

    fn arrow(&mut self, target: &Target, rows: ArrowRows) -> Result<(usize, usize)> {
        let table = target.table.as_str();
        let (count, bytes) = (rows.batch.num_rows(), slice_bytes(&rows.batch));
        // Which rows of the batch are new, where it is asked.
        let judged = match &target.judge {
            Some(judge) => Some(judge.batch(&rows.batch)?),
            None => None,
        };
        let new = match &judged {
            Some((mask, _)) if mask.true_count() < count => rows.filtered(mask)?,
            _ => rows.clone(),
        };
        let before = self.normalizer.generation();
        let mut normalized = self.normalizer.arrow(table, &new)?;
        if self.normalizer.generation() != before {
            self.latest.set(self.normalizer.snapshot());
        }
        let taken = new.batch.num_rows() - normalized.refused.len();
        *self.rows.entry(table.to_owned()).or_default() += taken as u64;
        if let (Some(judge), Some((mask, mut seen))) = (&target.judge, judged) {
            // Rows that are set aside have the places that they have in the whole batch.
            let places: Vec<usize> = mask.values().set_indices().collect();
            let mut aside = BTreeSet::new();
            for row in &mut normalized.refused {
                let place = row.line.saturating_sub(rows.first + 1) as usize;
                let place = places.get(place).copied().unwrap_or_default();
                row.line = rows.first + 1 + place as u64;
                aside.insert(place);
            }
            // A row that is not loaded does not move the cursor, be it of Arrow or of JSON: repaired, it may be new.
            if !aside.is_empty() {
                let loaded = (0..count).map(|row| Some(!aside.contains(&row))).collect();
                seen = judge.batch(&rows.filtered(&loaded)?.batch)?.1;
            }
            self.see(target, seen)?;
        }
        for row in normalized.refused {
            self.note_lacking(table, &row.error);
            self.aside.put(table, &rows.origin, &Kind::json(), row)?;
        }
        for (column, count) in normalized.discarded.values {
            *self.discarded.entry(column).or_default() += count;
        }
        self.warnings.extend(normalized.warnings);
        self.write(normalized.batches)?;
        Ok((count, bytes))
    }

    /// Takes a file as it is where it fits, and its rows where it does not.
    fn file(
        &mut self,
        target: &Target,
        file: ParquetFile,
        stop: &Stop,
        count: &mut dyn FnMut(usize, usize),
    ) -> Result<()> {
        let mut rows = file.rows;
        let first = rows.next().transpose()?;
        if let Some(Chunk::Arrow(ArrowRows { batch, origin, .. })) = &first {
            // The table gets the columns of the file, whichever way its rows take.
            let empty = RecordBatch::new_empty(batch.schema());
            let empty = ArrowRows { batch: empty, origin: Arc::clone(origin), first: 0 };
            self.arrow(target, empty)?;
            let name = self.normalizer.root_name(&target.table);
            let schema = self.normalizer.schema();
            let contract = SchemaContract::of(schema, &name)? != SchemaContract::default();
            let incremental = target.judge.is_some();
            let changes = Changes { incremental, contract, ..self.changes };
            let table = schema.tables.get(&name);
            let columns: Vec<Column> = table
                .into_iter()
                .flat_map(|table| {
                    written(table).map(|column| Column {
                        // Merged rows must have their keys, whatever the column says.
                        nullable: column.nullable && !is_key_of_merge(table, column),
                        ..column.clone()
                    })
                })
                .collect();
            let (path, defaults) = (&file.path, &self.defaults);
            if let Adoption::Adopted { rows, bytes } =
                self.writers.adopt(&name, path, &columns, defaults, changes)?
            {
                self.normalizer.note_rows(&name);
                self.latest.set(self.normalizer.snapshot());
                *self.rows.entry(target.table.clone()).or_default() += rows;
                count(rows as usize, bytes as usize);
                return Ok(());
            }
        }
        for chunk in first.into_iter().map(Ok).chain(rows) {
            stop.check()?;
            if let Chunk::Arrow(rows) = chunk? {
                let (rows, bytes) = self.arrow(target, rows)?;
                count(rows, bytes);
            }
            if self.seen.get(&target.name).is_some_and(|seen| seen.ended) {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, batches: Vec<TableBatch>) -> Result<()> {
        for batch in batches {
            let Some(table) = self.normalizer.schema().tables.get(&batch.table) else {
                return Err(Error::new(ErrorKind::Bug, "rows of a table that is in no schema"));
            };
            let columns: Vec<_> = written(table).cloned().collect();
            let rows = columns_of(batch.batch, &columns)
                .map_err(|error| error.with("table", &batch.table))?;
            self.writers.write(&batch.table, &columns, &rows)?;
        }
        Ok(())
    }

    fn finish(self, observer: &dyn Observer) -> Result<Extraction> {
        let schema = self.normalizer.into_schema();
        for (table, rows) in &self.rows {
            let disposition = schema.tables.get(table).and_then(|table| table.write_disposition);
            let aside = self.aside.rows_of(table);
            // A column that no row has, in this load or an earlier one, is most often one with another name.
            if *rows == 0
                && let Some(table) = schema.tables.get(table)
                && let Some(lacking) = self.lacking.get(&table.name)
                && let Some(column) = lacking.iter().find_map(|column| table.columns.get(column))
                && column.data_type.is_none()
            {
                return Err(hints::unbound_column(table, column).with("rows", aside));
            }
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
        for file in self.writers.finish()? {
            observer.observe(Event::FileWritten(file.clone()));
            files.push(file);
        }
        self.aside.finish()?;
        let left_out = |((table, column), count): (&(String, String), &u64)| {
            format!("the schema contract left {count} values out, of {table}.{column}")
        };
        let mut warnings = self.warnings;
        warnings.extend(self.discarded.iter().map(left_out));
        Ok(Extraction { schema, files, seen: self.seen, warnings })
    }
}

/// The columns of a table that are in its files, in their order.
fn written(table: &Table) -> impl Iterator<Item = &Column> {
    table.complete_columns().filter(|column| !is_filled_by_destination(table, column))
}

/// These columns of a batch that has all columns of its table.
fn columns_of(batch: RecordBatch, columns: &[Column]) -> Result<RecordBatch> {
    if columns.len() == batch.num_columns() {
        return Ok(batch);
    }
    let places = columns.iter().map(|column| batch.schema_ref().index_of(&column.name));
    let places = places.collect::<Result<Vec<_>, _>>();
    places.and_then(|places| batch.project(&places)).map_err(|error| {
        Error::new(ErrorKind::Bug, "a batch lacks a column of its table").with_source(error)
    })
}

/// The bytes of the values of a batch; its buffers may hold those of others.
fn slice_bytes(batch: &RecordBatch) -> usize {
    let bytes = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or_default();
    batch.columns().iter().map(bytes).sum()
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
