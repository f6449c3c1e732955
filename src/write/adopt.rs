//! Files that go into the load as they are.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use arrow::array::{RecordBatch, RecordBatchReader as _};
use transload_core::{Column, DataFile, Error, ErrorKind, FileFormat, Result};

use super::TableWriter;
use super::bounds::Tally;
use super::file::{PartFile, failed};
use super::layout::Layout;
use super::passthrough::{Changes, Misfit, fits, footer};
use crate::arrow_types::Defaults;
use crate::normalize::fault_in;
use crate::parquet_ranges::FooterRanges;

/// Rows that are looked at at a time.
const BATCH_ROWS: usize = 8192;

/// What became of a file that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It is a file of the table, with so many rows.
    Adopted {
        /// Its rows.
        rows: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// It must be read and written anew.
    Refused(Misfit),
}

impl TableWriter {
    /// Takes a Parquet file of the local disk as a file of the table, without writing its rows anew, where it fits.
    /// `columns` are those of the table, the file's own among them. A file that does not fit changes nothing.
    ///
    /// The file is copied and the copy is looked at: whoever changes the source meanwhile, in place and so also behind a
    /// hard link, changes nothing of the load. All values are decoded once: a NUL in a text, a NULL, a time of no day or
    /// a damaged page must not pass because nobody looked, and checksums of pages, which few files have, tell only the
    /// last of these. Decoding is half the work of a rewrite (measured: a million rows of ten columns, a third of the bytes
    /// texts, took 0.55 s to decode and 0.47 s to encode with zstd); the other half is saved, and the memory for it.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] when the copy cannot be written, [`ErrorKind::Configuration`] when the file cannot be read.
    pub(crate) fn adopt(
        &mut self,
        path: &Path,
        columns: &[Column],
        defaults: &Defaults,
        changes: Changes,
    ) -> Result<Adoption> {
        let mut adopted = Adoption::Refused(Misfit::Empty);
        self.attempt(|writer| {
            adopted = writer.try_adopt(path, columns, defaults, changes)?;
            Ok(())
        })?;
        Ok(adopted)
    }

    fn try_adopt(
        &mut self,
        path: &Path,
        columns: &[Column],
        defaults: &Defaults,
        changes: Changes,
    ) -> Result<Adoption> {
        let unreadable = |error: io::Error| {
            Error::new(ErrorKind::Configuration, "the source file cannot be read")
                .with("file", path.display())
                .with_source(error)
        };
        let source = File::open(path).map_err(unreadable)?;
        let bytes = source.metadata().map_err(unreadable)?.len();
        let look = |file: &File, bytes| match footer(file) {
            Ok(footer) => fits(&footer, bytes, columns, defaults, &self.options, changes)
                .map(|()| footer.file_metadata().num_rows()),
            Err(error) => Err(Misfit::Value(error.to_string())),
        };
        if let Err(misfit) = look(&source, bytes) {
            return Ok(Adoption::Refused(misfit));
        }
        let number = self.opened + 1;
        let mut part = PartFile::create(&self.options.folder, &self.table, number)?;
        copy(File::open(path).map_err(unreadable)?, &mut part, unreadable)?;
        let copied = File::open(part.path())
            .map_err(|error| failed("could not read a data file", part.path(), bytes, error))?;
        let (rows, tally) = match look(&copied, part.bytes())
            .and_then(|rows| every_value(copied, columns, defaults).map(|tally| (rows, tally)))
        {
            Ok((rows, tally)) => (u64::try_from(rows).unwrap_or(0), tally),
            Err(misfit) => return Ok(Adoption::Refused(misfit)),
        };
        let sealed =
            part.seal(|sha256| DataFile::name_of(number, sha256, FileFormat::Parquet, false))?;
        self.opened = number;
        let bytes = sealed.bytes;
        self.files.push(DataFile {
            table: self.table.clone(),
            name: sealed.name,
            format: FileFormat::Parquet,
            gzip: false,
            rows,
            bytes,
            sha256: sealed.sha256,
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            longest: self.options.longest_in(&tally),
            bounds: tally.finish(),
        });
        Ok(Adoption::Adopted { rows, bytes })
    }
}

fn copy(mut from: File, to: &mut PartFile, unreadable: impl Fn(io::Error) -> Error) -> Result<()> {
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut piece).map_err(&unreadable)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&piece[..read])
            .map_err(|error| failed("could not write a data file", to.path(), to.bytes(), error))?;
    }
}

/// Decodes a file, and looks whether each value is one that would be written as it is. Returns what is to be said of its columns:
/// from the values, since what a footer says may be cut short.
fn every_value(file: File, columns: &[Column], defaults: &Defaults) -> Result<Tally, Misfit> {
    let damaged = |error: String| Misfit::Value(error);
    // What another program noted of its own types does not count for the reader of the load.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|error| damaged(error.to_string()))?;
    let metadata = Arc::clone(builder.metadata());
    let reader =
        builder.with_batch_size(BATCH_ROWS).build().map_err(|error| damaged(error.to_string()))?;
    let ranges = FooterRanges::of(&metadata);
    let empty = RecordBatch::new_empty(reader.schema());
    let layout = Layout::of(columns, &empty).map_err(|error| damaged(error.to_string()))?;
    let mut tally = Tally::of(&layout);
    for batch in reader {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        if let Some(column) = ranges.broken_by(&batch) {
            let error = Error::new(
                ErrorKind::BadData,
                "a value lies outside of what the footer says of its column",
            );
            return Err(damaged(error.with("column", column).to_string()));
        }
        match fault_in(&batch, columns, defaults) {
            None => tally.see(&batch),
            Some(error) => return Err(Misfit::Value(error.to_string())),
        }
    }
    Ok(tally)
}
