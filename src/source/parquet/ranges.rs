//! The bytes of a Parquet file by ranges: of a local file, or of an object with a little read ahead for each column.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::source::remote::{Failure, Object};

/// What is read ahead for all columns together.
const AHEAD: u64 = 16 << 20;
/// Bounds of what is read ahead for one column.
const WINDOW: Range<u64> = 16 << 10..8 << 20;
/// The end of a file, which holds its metadata, is read at once up to this size.
const TAIL: u64 = 64 << 10;

/// The bytes of a file. Nothing is allocated for a range that the file does not have.
#[derive(Clone, Debug)]
pub(super) struct Ranges(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    bytes: u64,
    ahead: Mutex<Ahead>,
}

#[derive(Debug)]
enum Place {
    File(File),
    Object(Object, Failure),
}

/// What was read ahead of an object.
#[derive(Debug, Default)]
struct Ahead {
    /// Where the columns of each row group end, by where they begin.
    columns: BTreeMap<u64, u64>,
    /// Columns of one row group.
    width: usize,
    /// By the beginning of their columns, where each begins and what it holds.
    windows: BTreeMap<u64, (u64, Bytes)>,
}

impl Ranges {
    pub(super) fn of_file(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self(Arc::new(Inner { place: Place::File(file), bytes, ahead: Mutex::default() })))
    }

    pub(super) fn of_object(object: Object, bytes: u64, failure: Failure) -> Self {
        let place = Place::Object(object, failure);
        Self(Arc::new(Inner { place, bytes, ahead: Mutex::default() }))
    }

    /// Says where the columns lie, so that each can be read ahead by itself: the pages of all of them are read in turns.
    pub(super) fn expect(&self, metadata: &ParquetMetaData) {
        let groups = metadata.row_groups();
        let mut ahead = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.width = groups.iter().map(|group| group.num_columns()).max().unwrap_or_default();
        ahead.columns = groups
            .iter()
            .flat_map(|group| group.columns())
            .map(|column| {
                let (start, length) = column.byte_range();
                (start, start + length)
            })
            .collect();
    }

    /// Where the column ends that has this byte, or else the file.
    fn end_of_column(&self, at: u64) -> u64 {
        let ahead = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let column = ahead.columns.range(..=at).next_back();
        column.map(|(_, last)| *last).filter(|last| at < *last).unwrap_or(self.0.bytes)
    }

    fn fetch(&self, start: u64, length: u64) -> Result<Bytes> {
        let Inner { place, bytes, ahead } = &*self.0;
        let end = start.checked_add(length).filter(|end| end <= bytes).ok_or_else(|| {
            ParquetError::EOF(format!(
                "it names {length} bytes at {start}, but the file has {bytes} bytes"
            ))
        })?;
        match place {
            Place::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(start))?;
                let mut buffer = Vec::new();
                file.take(length).read_to_end(&mut buffer)?;
                match buffer.len() as u64 == length {
                    true => Ok(buffer.into()),
                    false => Err(ParquetError::EOF("the file became shorter".to_owned())),
                }
            }
            Place::Object(object, failure) => {
                let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(found) = ahead.find(start, end) {
                    return Ok(found);
                }
                let (column, range) = ahead.plan(start, end, *bytes);
                let window = object
                    .read_range(range.clone())
                    .map_err(|error| ParquetError::from(failure.keep(error)))?;
                let found = cut(range.start, &window, start, end);
                if range != (start..end) {
                    ahead.keep(column, range.start, window);
                }
                Ok(found)
            }
        }
    }
}

fn cut(at: u64, window: &Bytes, start: u64, end: u64) -> Bytes {
    // Both lie in the window, which is in memory.
    window.slice((start - at) as usize..(end - at) as usize)
}

impl Ahead {
    fn find(&self, start: u64, end: u64) -> Option<Bytes> {
        let holds = |(at, window): &&(u64, Bytes)| *at <= start && end <= at + window.len() as u64;
        let (at, window) = self.windows.values().find(holds)?;
        Some(cut(*at, window, start, end))
    }

    /// What to read for a range: with what follows in its column, or with what stands before the end of the file.
    fn plan(&self, start: u64, end: u64, bytes: u64) -> (u64, Range<u64>) {
        let column = self.columns.range(..=start).next_back().filter(|(_, last)| start < **last);
        match column {
            Some((column, last)) => {
                let share = AHEAD / self.width.max(1) as u64;
                let window = share.clamp(WINDOW.start, WINDOW.end);
                (*column, start..end.max((start + window).min(*last)))
            }
            None => (u64::MAX, start.min(bytes.saturating_sub(TAIL))..end),
        }
    }

    /// Keeps what was read for a column. The columns before it in the file are read no more once there is one window
    /// for each of a row group.
    fn keep(&mut self, column: u64, at: u64, window: Bytes) {
        self.windows.insert(column, (at, window));
        while self.windows.len() > self.width + 1 {
            let first = self.windows.keys().copied().find(|known| *known != column);
            match first {
                Some(first) => self.windows.remove(&first),
                None => break,
            };
        }
    }
}

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for Ranges {
    type T = RangeReader;

    fn get_read(&self, start: u64) -> Result<RangeReader> {
        Ok(RangeReader { ranges: self.clone(), at: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.fetch(start, length as u64)
    }
}

/// Reads on from a place: the headers of pages, which do not say how long they are.
#[derive(Debug)]
pub(super) struct RangeReader {
    ranges: Ranges,
    at: u64,
    buffer: Bytes,
}

impl Read for RangeReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        const STEP: u64 = 1 << 10;
        if self.buffer.is_empty() {
            let length = STEP.min(self.ranges.end_of_column(self.at).saturating_sub(self.at));
            self.buffer = self.ranges.fetch(self.at, length).map_err(io::Error::other)?;
            self.at += length;
        }
        let length = target.len().min(self.buffer.len());
        target[..length].copy_from_slice(&self.buffer.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_read_ahead_to_its_end_by_its_share() {
        let columns = BTreeMap::from([(4, 1 << 20), (1 << 20, 90 << 20)]);
        let ahead = Ahead { columns, width: 2, ..Ahead::default() };
        let bytes = 100 << 20;
        assert_eq!(ahead.plan(4, 1028, bytes), (4, 4..1 << 20));
        assert_eq!(ahead.plan(1 << 20, (1 << 20) + 5, bytes), (1 << 20, 1 << 20..9 << 20));
        // More than is read ahead is read whole.
        assert_eq!(ahead.plan(1 << 20, 60 << 20, bytes), (1 << 20, 1 << 20..60 << 20));
        // Behind the columns stands the metadata.
        assert_eq!(ahead.plan(bytes - 8, bytes, bytes), (u64::MAX, bytes - TAIL..bytes));
        assert_eq!(Ahead::default().plan(92, 100, 100), (u64::MAX, 0..100));
    }

    #[test]
    fn windows_of_row_groups_that_were_read_are_forgotten() {
        let mut ahead = Ahead { width: 2, ..Ahead::default() };
        for column in [10, 20, 110, 120, 210] {
            ahead.keep(column, column, Bytes::from_static(b"0123456789"));
        }
        assert_eq!(ahead.windows.keys().copied().collect::<Vec<_>>(), [110, 120, 210]);
        assert_eq!(ahead.find(112, 115).unwrap(), "234");
        assert!(ahead.find(118, 121).is_none());
    }

    #[test]
    fn a_range_that_the_file_does_not_have_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"0123456789").unwrap();
        let ranges = Ranges::of_file(file).unwrap();
        assert_eq!(ranges.get_bytes(2, 3).unwrap(), "234");
        assert!(ranges.get_bytes(2, usize::MAX).is_err());
        let mut rest = String::new();
        ranges.get_read(7).unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "789");
    }
}
