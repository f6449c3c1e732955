//! Files whose number is a multiple of the slices of a destination, about equal in size.
//!
//! The rows of a table are encoded a piece at a time, and only when a piece is complete, and its size known, it is given
//! to a file. The first files are begun one after the other, as soon as there is enough for each; once there are as many
//! as slices, the smallest one gets the next piece. When these have their size, pieces wait in memory until there is
//! enough for as many files again; if that never comes, the full files take them, for which they have left some room.
//!
//! So memory holds a piece, and behind full files as many megabytes as there are slices. One file has a handle at a time.
//! Which row lies where is a function of the rows and their order alone.

use std::num::NonZeroUsize;

use arrow::array::RecordBatch;
use transload_core::{Error, ErrorKind, Result};

use super::bounds::Tally;
use super::parquet::{ParquetFile, RowGroup};
use super::text::{Block, TextFile};
use super::{Content, OpenFile, TableWriter};

/// Bytes that a file has at least, unless a table has no more (Amazon Redshift, "Loading data files").
const LEAST: u64 = 1 << 20;

/// A file gets so many pieces as it grows by once its size: fewer would make files less equal, and more make row groups
/// small.
const PIECES: u64 = 8;

/// Encoded rows that may go into any file of their columns.
#[derive(Debug)]
pub(super) struct Piece {
    rows: u64,
    bytes: u64,
    tally: Tally,
    encoded: Encoded,
}

#[derive(Debug)]
enum Encoded {
    Parquet(Vec<RowGroup>),
    Text(Block),
}

/// The files over which the rows of a table are spread, and the pieces that have none yet.
#[derive(Debug)]
pub(super) struct Spread {
    slices: usize,
    /// Bytes that a file has at least, and at most.
    least: u64,
    most: u64,
    files: Vec<OpenFile>,
    /// Pieces that make a file of [`Spread::least`] bytes each, but for the last.
    waiting: Vec<Vec<Piece>>,
    /// The size that the last whole piece seemed to have while it was encoded, and the one that it had.
    aim: (u64, u64),
}

impl Spread {
    /// Files of at most so many bytes.
    pub(super) fn new(slices: NonZeroUsize, file_bytes: u64) -> Self {
        Self {
            slices: slices.get(),
            least: LEAST.min(file_bytes / PIECES),
            most: file_bytes,
            files: Vec::new(),
            waiting: Vec::new(),
            aim: (1, 1),
        }
    }

    /// The size, as it seems while it is encoded, at which the next piece is complete. Pages that are not compressed yet
    /// make it seem larger than it is.
    pub(super) fn piece_bytes(&self) -> u64 {
        let is_growing = self.files.len() == self.slices && self.waiting.is_empty();
        let wanted = match self.smallest() {
            Some((_, bytes)) if is_growing => {
                (bytes / PIECES).clamp(self.least / 4, self.most / PIECES)
            }
            _ => self.least,
        };
        let (seemed, was) = self.aim;
        let aimed = u128::from(wanted) * u128::from(seemed) / u128::from(was.max(1));
        let aimed = u64::try_from(aimed).unwrap_or(u64::MAX);
        aimed.clamp(wanted / 2, wanted.saturating_mul(16)).max(1)
    }

    /// Whether there are rows in files that are not complete.
    pub(super) fn is_begun(&self) -> bool {
        !self.files.is_empty() || !self.waiting.is_empty()
    }

    /// Bytes of pieces that wait for files: what memory holds beside the open piece.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting.iter().map(|pieces| bytes_of(pieces)).sum()
    }

    /// The file with the fewest bytes, the first of them.
    fn smallest(&self) -> Option<(usize, u64)> {
        let sizes = self.files.iter().map(OpenFile::bytes).enumerate();
        sizes.min_by_key(|(_, bytes)| *bytes)
    }

    /// The file that takes a piece of so many bytes, unless pieces wait for more files.
    fn taker(&self, bytes: u64) -> Option<usize> {
        if self.files.len() < self.slices || !self.waiting.is_empty() {
            return None;
        }
        // Room for a piece that comes up last, and one more where it was larger than it seemed.
        let most = self.most.saturating_sub(self.least.saturating_mul(3));
        self.smallest().filter(|(_, size)| size + bytes <= most).map(|(index, _)| index)
    }

    /// Lets a piece wait. Returns the pieces of the files that can now be begun: of one while there are too few, and
    /// else of as many as there are slices, all at once.
    fn wait(&mut self, piece: Piece) -> Vec<Vec<Piece>> {
        let least = self.least;
        let is_enough = |pieces: &Vec<Piece>| bytes_of(pieces) >= least;
        match self.waiting.last_mut() {
            Some(last) if !is_enough(last) => last.push(piece),
            _ => self.waiting.push(vec![piece]),
        }
        let wanted = if self.files.len() < self.slices { 1 } else { self.slices };
        let begun = self.waiting.iter().filter(|pieces| is_enough(pieces)).count();
        if begun == wanted { std::mem::take(&mut self.waiting) } else { Vec::new() }
    }
}

fn bytes_of(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.bytes).sum()
}

impl TableWriter {
    /// Opens the next piece, whose first rows are these.
    pub(super) fn open_piece(&self, until: u64, sample: &[RecordBatch]) -> Result<OpenFile> {
        let (options, layout) = (&self.options, &self.layout);
        let content = match self.row_format()? {
            None => {
                let file = ParquetFile::open_piece(until, layout, options, sample)?;
                Content::Parquet(Box::new(file))
            }
            Some(format) => {
                let (gzip, workers) = (options.compresses_files(), options.workers.clone());
                let file = TextFile::open_piece(until, format, layout, gzip, workers);
                Content::Text(Box::new(file))
            }
        };
        Ok(OpenFile::new(0, until, layout, content))
    }

    /// Gives the open piece to a file, or lets it wait for one.
    pub(super) fn end_piece(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let Some(mut spread) = self.spread.take() else {
            return Err(Error::new(ErrorKind::Bug, "a piece was begun where files are"));
        };
        let (seemed, is_whole) = (open.bytes(), open.bytes() >= open.until);
        let piece = open.into_piece()?;
        if is_whole {
            spread.aim = (seemed, piece.bytes);
        }
        match spread.taker(piece.bytes) {
            Some(index) => spread.files[index].append(piece)?,
            None => {
                let begun = spread.wait(piece);
                if !begun.is_empty() && spread.files.len() == spread.slices {
                    for file in std::mem::take(&mut spread.files) {
                        self.seal(file)?;
                    }
                }
                for pieces in begun {
                    let mut file = self.open_file(&[])?;
                    pieces.into_iter().try_for_each(|piece| file.append(piece))?;
                    spread.files.push(file);
                }
            }
        }
        self.spread = Some(spread);
        Ok(())
    }

    /// Gives the pieces that wait to the files that there are, and completes these.
    pub(super) fn end_spread(&mut self) -> Result<()> {
        self.end_piece()?;
        let Some(spread) = &mut self.spread else { return Ok(()) };
        let waiting = std::mem::take(&mut spread.waiting);
        for piece in waiting.into_iter().flatten() {
            let smallest = self.spread.as_ref().and_then(Spread::smallest);
            let begun = if smallest.is_none() { Some(self.open_file(&[])?) } else { None };
            let Some(spread) = &mut self.spread else { continue };
            spread.files.extend(begun);
            let index = smallest.map_or(0, |(index, _)| index);
            spread.files[index].append(piece)?;
        }
        let Some(spread) = &mut self.spread else { return Ok(()) };
        let files = std::mem::take(&mut spread.files);
        files.into_iter().try_for_each(|file| self.seal(file))
    }
}

impl OpenFile {
    fn into_piece(self) -> Result<Piece> {
        let (bytes, encoded) = match self.content {
            Content::Parquet(file) => {
                let groups = file.close_piece()?;
                let columns = groups.iter().flatten();
                let bytes = columns.map(|column| column.close().bytes_written).sum();
                (bytes, Encoded::Parquet(groups))
            }
            Content::Text(file) => {
                let block = file.close_piece()?;
                (block.bytes() as u64, Encoded::Text(block))
            }
        };
        Ok(Piece { rows: self.rows, bytes, tally: self.tally, encoded })
    }

    /// Appends rows, and lets go of the handle: there may be many files.
    fn append(&mut self, piece: Piece) -> Result<()> {
        self.rows += piece.rows;
        self.tally.merge(piece.tally);
        match (&mut self.content, piece.encoded) {
            (Content::Parquet(file), Encoded::Parquet(groups)) => file.append(groups),
            (Content::Text(file), Encoded::Text(block)) => file.append(block),
            _ => Err(Error::new(ErrorKind::Bug, "a piece has another format than its file")),
        }
    }
}
