//! Writing record batches as loader files.
//!
//! A [`TableWriter`] takes the batches of one table and leaves files below the folder of the package, each under a name
//! that holds the hash of its content. The same batches give the same bytes, in every format.
//!
//! ```text
//! <package folder>/<table>/.1.part                           while it is written
//! <package folder>/<table>/000001-5f2a9c….parquet            once it is complete and on the disk
//! ```

mod adopt;
mod bounds;
mod csv;
mod file;
mod insert_values;
mod jsonl;
mod layout;
mod pace;
mod parquet;
mod passthrough;
mod set;
mod text;
mod values;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use transload_core::{Column, DataFile, Error, ErrorKind, FileFormat, LiteralRules, Result};

pub(crate) use adopt::Adoption;
pub(crate) use passthrough::Changes;
pub(crate) use set::TableWriters;
pub(crate) use workers::Workers;

use bounds::Tally;
use file::PartFile;
use layout::Layout;
use parquet::ParquetFile;
use text::{RowFormat, TextFile};

use crate::ParquetCompression;

/// Rows that are written before the size of the file is looked at again. The number of values that Parquet encodes at
/// once, so that cutting batches here does not move its pages.
const SLICE_ROWS: usize = 1024;

/// How files are written. Start from [`WriteOptions::new`] and change what should be different.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    /// The format.
    pub(crate) format: FileFormat,
    /// The folder of the package. Files lie in a folder for their table below it, see [`DataFile::path`].
    pub(crate) folder: PathBuf,
    /// How the destination writes literals: [`FileFormat::InsertValues`] cannot be written without.
    pub(crate) literals: Option<LiteralRules>,
    /// A file is closed when it has about this size, in bytes as they lie on the disk. Default: 128 MiB.
    pub(crate) file_bytes: u64,
    /// Rows that a file has at most. Default: any number.
    pub(crate) file_rows: Option<u64>,
    /// Bytes of batches that wait before a file is opened, so that a column that comes up early does not make a file of
    /// its own: those of all tables of a [`TableWriters`], those of a table alone in a [`TableWriter`]. Default: 32 MiB.
    pub(crate) buffer_bytes: usize,
    /// Rows of a row group of Parquet. Default: 122,880, DuckDB's own size.
    pub(crate) row_group_rows: usize,
    /// How Parquet is compressed. Default: zstd of level 1.
    pub(crate) compression: ParquetCompression,
    /// Whether JSON lines and CSV are compressed by gzip. Default: yes. Parquet compresses inside, and
    /// `insert_values` stays plain, so that it can be read and run by hand.
    pub(crate) gzip: bool,
    /// Who encodes. Files are the same, byte for byte, whoever does. Default: who writes.
    pub(crate) workers: Workers,
}

impl WriteOptions {
    /// The defaults for files of this format in the folder of this package.
    pub(crate) fn new(format: FileFormat, folder: impl Into<PathBuf>) -> Self {
        Self {
            format,
            folder: folder.into(),
            literals: None,
            file_bytes: 128 << 20,
            file_rows: None,
            buffer_bytes: 32 << 20,
            row_group_rows: 122_880,
            compression: ParquetCompression::Zstd(1),
            gzip: true,
            workers: Workers::default(),
        }
    }

    /// Whether files of the format are compressed as a whole.
    fn compresses_files(&self) -> bool {
        self.gzip && matches!(self.format, FileFormat::Jsonl | FileFormat::Csv)
    }
}

/// Writes the files of one table.
///
/// Batches wait until [`WriteOptions::buffer_bytes`] of them are there; then a file is opened with the columns known by
/// now, and those that came up meanwhile are NULL in the earlier rows. When columns change later the file is closed and
/// the next batches wait again. So a writer holds the waiting batches, or a row group and two blocks of rows, or a few blocks
/// of text.
///
/// Dropping a writer without [`TableWriter::finish`] removes the file that it has not completed; completed ones stay.
/// After an error a writer takes nothing more.
#[derive(Debug)]
pub(crate) struct TableWriter {
    table: String,
    options: Arc<WriteOptions>,
    waiting: VecDeque<RecordBatch>,
    waiting_bytes: usize,
    /// The columns of the open file, or the newest ones of the waiting batches.
    layout: Layout,
    open: Option<OpenFile>,
    opened: usize,
    files: Vec<DataFile>,
    /// Whether a step has failed.
    failed: bool,
}

impl TableWriter {
    /// A writer for the table of this name. Touches nothing before the first rows are written.
    pub(crate) fn new(table: impl Into<String>, options: Arc<WriteOptions>) -> Self {
        Self {
            table: table.into(),
            options,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            layout: Layout::default(),
            open: None,
            opened: 0,
            files: Vec::new(),
            failed: false,
        }
    }

    /// Takes a batch. `columns` are those of the batch, in its order.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] for a value that a column or the format does not take: a NULL where it must not be, a JSON
    /// column that holds no JSON. [`ErrorKind::Unsupported`] for `insert_values` without literal rules.
    /// [`ErrorKind::Terminal`] when the file cannot be written, as with a full disk.
    pub(crate) fn write(&mut self, columns: &[Column], batch: &RecordBatch) -> Result<()> {
        self.attempt(|writer| writer.take(columns, batch))
    }

    /// Completes the table: all its files, on the disk and under their names. A table without rows has none.
    ///
    /// # Errors
    /// As [`TableWriter::write`].
    pub(crate) fn finish(mut self) -> Result<Vec<DataFile>> {
        self.attempt(|writer| {
            writer.write_waiting()?;
            writer.close()
        })?;
        // One that was adopted while another was open has the later number and was complete before it.
        self.files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(std::mem::take(&mut self.files))
    }

    /// Does a step, and sees to it that none follows one that failed: what it left half done would look complete.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let done = if self.failed {
            Err(Error::new(ErrorKind::Bug, "a table is written on after an error"))
        } else {
            step(self)
        };
        self.failed = done.is_err();
        done.map_err(|error| error.with("table", &self.table))
    }

    fn take(&mut self, columns: &[Column], batch: &RecordBatch) -> Result<()> {
        let layout = Layout::of(columns, batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if layout != self.layout {
            if self.open.is_some() || !layout.extends(&self.layout) {
                self.write_waiting()?;
                self.close()?;
            }
            self.layout = layout;
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(size_of(batch));
        self.waiting.push_back(batch.clone());
        if self.open.is_some() || self.waiting_bytes >= self.options.buffer_bytes {
            self.write_waiting()?;
        }
        Ok(())
    }

    /// Opens a file for what waits.
    fn open_now(&mut self) -> Result<()> {
        self.attempt(Self::write_waiting)
    }

    /// Writes what waits. The last file stays open.
    fn write_waiting(&mut self) -> Result<()> {
        // Whole batches before slices: the sample for a new file shall see all that is known.
        for batch in &mut self.waiting {
            *batch = self.layout.adapt(batch)?;
        }
        while let Some(batch) = self.waiting.pop_front() {
            let mut start = 0;
            while start < batch.num_rows() {
                let rest = batch.num_rows() - start;
                let mut open = match self.open.take() {
                    Some(open) => open,
                    None => self.open_file(batch.slice(start, rest))?,
                };
                let room = self.options.file_rows.unwrap_or(u64::MAX).saturating_sub(open.rows);
                let rows = rest.min(SLICE_ROWS).min(usize::try_from(room).unwrap_or(usize::MAX));
                open.write(batch.slice(start, rows))?;
                start += rows;
                let is_full = open.bytes() >= self.options.file_bytes || room == rows as u64;
                self.open = Some(open);
                if is_full {
                    self.close()?;
                }
            }
        }
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Opens the next file, for `first` and what waits behind it.
    fn open_file(&mut self, first: RecordBatch) -> Result<OpenFile> {
        let options = &self.options;
        let layout = &self.layout;
        let number = self.opened + 1;
        let format: Arc<dyn RowFormat> = match options.format {
            FileFormat::Parquet => {
                let part = PartFile::create(&options.folder, &self.table, number)?;
                let sample: Vec<RecordBatch> =
                    std::iter::once(first).chain(self.waiting.iter().cloned()).collect();
                let file = ParquetFile::open(part, layout, options, &sample)?;
                self.opened = number;
                return Ok(OpenFile::new(number, layout, Content::Parquet(Box::new(file))));
            }
            FileFormat::Jsonl => Arc::new(jsonl::Jsonl::new(layout)),
            FileFormat::Csv => Arc::new(csv::Csv::new(layout)),
            FileFormat::InsertValues => {
                let rules = options.literals.clone().ok_or_else(|| {
                    Error::new(
                        ErrorKind::Unsupported,
                        "the destination takes no insert_values files",
                    )
                    .with_hint("choose another loader file format for this destination")
                })?;
                Arc::new(insert_values::InsertValues::new(layout, rules))
            }
        };
        let part = PartFile::create(&options.folder, &self.table, number)?;
        let gzip = options.compresses_files();
        let workers = options.workers.clone();
        let file = TextFile::open(part, format, layout, gzip, options.file_bytes, workers)?;
        self.opened = number;
        Ok(OpenFile::new(number, layout, Content::Text(Box::new(file))))
    }

    /// Completes the open file, if there is one.
    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (format, gzip) = (self.options.format, self.options.compresses_files());
        let OpenFile { rows, number, content, tally } = open;
        let part = match content {
            Content::Parquet(file) => file.close()?,
            Content::Text(file) => file.close()?,
        };
        let sealed = part.seal(|sha256| DataFile::name_of(number, sha256, format, gzip))?;
        self.files.push(DataFile {
            table: self.table.clone(),
            name: sealed.name,
            format,
            gzip,
            rows,
            bytes: sealed.bytes,
            sha256: sealed.sha256,
            columns: self.layout.names(),
            bounds: tally.finish(),
        });
        Ok(())
    }
}

/// A file that is being written.
#[derive(Debug)]
struct OpenFile {
    rows: u64,
    number: usize,
    content: Content,
    tally: Tally,
}

#[derive(Debug)]
enum Content {
    Parquet(Box<ParquetFile>),
    Text(Box<TextFile>),
}

impl OpenFile {
    fn new(number: usize, layout: &Layout, content: Content) -> Self {
        Self { rows: 0, number, content, tally: Tally::of(layout) }
    }

    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.tally.see(&batch);
        let raw = size_of(&batch) as u64;
        match &mut self.content {
            Content::Parquet(file) => file.write(&batch, raw),
            Content::Text(file) => file.write(batch, raw),
        }
    }

    /// The size that the file has, or about would have if it were closed now.
    fn bytes(&self) -> u64 {
        match &self.content {
            Content::Parquet(file) => file.bytes(),
            Content::Text(file) => file.bytes(),
        }
    }
}

/// The bytes of the values of a batch: not of its buffers, whose spare room would make the cut between files depend on
/// more than the rows.
fn size_of(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|array| {
            let data = array.to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
        })
        .sum()
}
