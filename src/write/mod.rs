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
mod spread;
mod text;
mod values;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
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
use spread::Spread;
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
    /// The number of which files come in multiples, about equal in size, where a table is large enough. With
    /// [`WriteOptions::file_rows`], and for `insert_values`, it does not count. Default: any.
    pub(crate) slices: Option<NonZeroUsize>,
    /// Bytes of batches that wait before a file is opened, so that a column that comes up early does not make a file of
    /// its own: those of all tables of a [`TableWriters`], those of a table alone in a [`TableWriter`]. Default: 32 MiB.
    pub(crate) buffer_bytes: usize,
    /// Bytes of values that the open files of all tables of a [`TableWriters`] hold in memory: row groups that are not full, blocks
    /// that are not encoded. Default: 512 MiB, which encoded is mostly less than a tenth.
    pub(crate) held_bytes: u64,
    /// Rows of a row group of Parquet. Default: 122,880, DuckDB's own size.
    pub(crate) row_group_rows: usize,
    /// How Parquet is compressed. Default: zstd of level 1.
    pub(crate) compression: ParquetCompression,
    /// Whether JSON lines and CSV are compressed by gzip. Default: yes. Parquet compresses inside, and
    /// `insert_values` stays plain, so that it can be read and run by hand.
    pub(crate) gzip: bool,
    /// Whether the longest text of each column is noted. Default: no.
    pub(crate) sizes_text: bool,
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
            slices: None,
            buffer_bytes: 32 << 20,
            held_bytes: 512 << 20,
            row_group_rows: 122_880,
            compression: ParquetCompression::Zstd(1),
            gzip: true,
            sizes_text: false,
            workers: Workers::default(),
        }
    }

    /// The number of which files come in multiples, where it counts.
    fn spread_over(&self) -> Option<NonZeroUsize> {
        let is_spread = self.file_rows.is_none() && self.format != FileFormat::InsertValues;
        self.slices.filter(|_| is_spread)
    }

    /// The lengths of texts that a file is to note.
    fn longest_in(&self, tally: &Tally) -> BTreeMap<String, u64> {
        if self.sizes_text { tally.longest() } else { BTreeMap::new() }
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
/// of text. Where files are spread over slices, what it holds beside is said in [`spread`].
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
    /// The file that is being written, or a piece that will go into one.
    open: Option<OpenFile>,
    /// The files that are spread over slices, where they are.
    spread: Option<Spread>,
    opened: usize,
    files: Vec<DataFile>,
    /// Whether a step has failed.
    failed: bool,
}

impl TableWriter {
    /// A writer for the table of this name. Touches nothing before the first rows are written.
    pub(crate) fn new(table: impl Into<String>, options: Arc<WriteOptions>) -> Self {
        let spread = options.spread_over().map(|slices| Spread::new(slices, options.file_bytes));
        Self {
            table: table.into(),
            spread,
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

    /// Hands the last rows to the workers. More must not follow; [`TableWriter::finish`] waits for them.
    fn hand_in_rest(&mut self) -> Result<()> {
        self.attempt(|writer| {
            writer.write_waiting()?;
            match &mut writer.open {
                // The last piece of files that are spread is not known before it is encoded.
                Some(open) if writer.spread.is_none() => open.hand_in_rest(),
                _ => Ok(()),
            }
        })
    }

    /// The size of the values in the open file that are in memory: 0 where files are spread, which say themselves what they hold.
    fn held_bytes(&self) -> u64 {
        match &self.open {
            Some(open) if self.spread.is_none() => open.held_bytes(),
            _ => 0,
        }
    }

    /// Brings what is in memory of the open file into it.
    fn flush(&mut self) -> Result<()> {
        self.attempt(|writer| writer.open.as_mut().map_or(Ok(()), OpenFile::flush))
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
            if self.is_begun() || !layout.extends(&self.layout) {
                self.write_waiting()?;
                self.close()?;
            }
            self.layout = layout;
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(size_of(batch));
        self.waiting.push_back(batch.clone());
        if self.is_begun() || self.waiting_bytes >= self.options.buffer_bytes {
            self.write_waiting()?;
        }
        Ok(())
    }

    /// Whether there are rows in files that are not complete.
    fn is_begun(&self) -> bool {
        self.open.is_some() || self.spread.as_ref().is_some_and(Spread::is_begun)
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
                    None => self.open_next(batch.slice(start, rest))?,
                };
                let room = self.options.file_rows.unwrap_or(u64::MAX).saturating_sub(open.rows);
                let rows = rest.min(SLICE_ROWS).min(usize::try_from(room).unwrap_or(usize::MAX));
                open.write(batch.slice(start, rows))?;
                start += rows;
                let is_full = open.bytes() >= open.until || room == rows as u64;
                self.open = Some(open);
                match self.spread {
                    Some(_) if is_full => self.end_piece()?,
                    None if is_full => self.close()?,
                    _ => {}
                }
            }
        }
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Opens what comes next, for `first` and what waits behind it: a file, or a piece of one.
    fn open_next(&mut self, first: RecordBatch) -> Result<OpenFile> {
        let sample: Vec<RecordBatch> =
            std::iter::once(first).chain(self.waiting.iter().cloned()).collect();
        match &self.spread {
            Some(spread) => self.open_piece(spread.piece_bytes(), &sample),
            None => self.open_file(&sample),
        }
    }

    /// Opens the next file, whose first rows are these.
    fn open_file(&mut self, sample: &[RecordBatch]) -> Result<OpenFile> {
        let (options, layout, number) = (&self.options, &self.layout, self.opened + 1);
        let format = self.row_format()?;
        let part = PartFile::create(&options.folder, &self.table, number)?;
        let content = match format {
            None => Content::Parquet(Box::new(ParquetFile::open(part, layout, options, sample)?)),
            Some(format) => {
                let (gzip, workers) = (options.compresses_files(), options.workers.clone());
                let bytes = options.file_bytes;
                let file = TextFile::open(part, format, layout, gzip, bytes, workers)?;
                Content::Text(Box::new(file))
            }
        };
        let open = OpenFile::new(number, options.file_bytes, layout, content);
        self.opened = number;
        Ok(open)
    }

    /// How rows are written as text. None for Parquet.
    fn row_format(&self) -> Result<Option<Arc<dyn RowFormat>>> {
        let layout = &self.layout;
        Ok(Some(match self.options.format {
            FileFormat::Parquet => return Ok(None),
            FileFormat::Jsonl => Arc::new(jsonl::Jsonl::new(layout)),
            FileFormat::Csv => Arc::new(csv::Csv::new(layout)),
            FileFormat::InsertValues => {
                let rules = self.options.literals.clone().ok_or_else(|| {
                    Error::new(
                        ErrorKind::Unsupported,
                        "the destination takes no insert_values files",
                    )
                    .with_hint("choose another loader file format for this destination")
                })?;
                Arc::new(insert_values::InsertValues::new(layout, rules))
            }
        }))
    }

    /// Completes the files that are open.
    fn close(&mut self) -> Result<()> {
        if self.spread.is_some() {
            return self.end_spread();
        }
        self.open.take().map_or(Ok(()), |open| self.seal(open))
    }

    /// Completes a file.
    fn seal(&mut self, open: OpenFile) -> Result<()> {
        let (format, gzip) = (self.options.format, self.options.compresses_files());
        let OpenFile { rows, number, content, tally, .. } = open;
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
            longest: self.options.longest_in(&tally),
            bounds: tally.finish(),
        });
        Ok(())
    }
}

/// A file that is being written, or a piece that will go into one.
#[derive(Debug)]
struct OpenFile {
    rows: u64,
    /// 0 for a piece, which goes into any file.
    number: usize,
    /// The size at which it is complete.
    until: u64,
    content: Content,
    tally: Tally,
}

#[derive(Debug)]
enum Content {
    Parquet(Box<ParquetFile>),
    Text(Box<TextFile>),
}

impl OpenFile {
    fn new(number: usize, until: u64, layout: &Layout, content: Content) -> Self {
        Self { rows: 0, number, until, content, tally: Tally::of(layout) }
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

    /// Hands the last rows to the workers.
    fn hand_in_rest(&mut self) -> Result<()> {
        match &mut self.content {
            Content::Parquet(file) => file.hand_in_rest(),
            Content::Text(file) => {
                file.hand_over();
                Ok(())
            }
        }
    }

    /// The size of the values that are in memory, encoded or not.
    fn held_bytes(&self) -> u64 {
        match &self.content {
            Content::Parquet(file) => file.held_bytes(),
            Content::Text(file) => file.held_bytes(),
        }
    }

    /// Brings what is in memory into the file.
    fn flush(&mut self) -> Result<()> {
        match &mut self.content {
            Content::Parquet(file) => file.flush(),
            Content::Text(file) => file.flush(),
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
