//! The writers of all tables of a load, and the memory that they share.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use transload_core::{Column, DataFile, Result};

use super::adopt::Adoption;
use super::passthrough::Changes;
use super::{TableWriter, WriteOptions};
use crate::arrow_types::Defaults;

/// Tables whose last rows are with the workers at a time: there may be thousands of tables, each of which has encoders.
const AHEAD: usize = 16;

/// Writes the files of all tables of a load.
///
/// [`WriteOptions::buffer_bytes`] is what may wait in all of them together: where more does, the table with the most
/// waiting bytes opens its file, and so on; where the open files hold more than [`WriteOptions::held_bytes`], the one that holds
/// most brings it to the disk. That depends on the batches and their order alone, so the same batches in the same order give the
/// same files.
#[derive(Debug)]
pub(crate) struct TableWriters {
    options: Arc<WriteOptions>,
    tables: BTreeMap<String, TableWriter>,
    waiting_bytes: usize,
    held_bytes: u64,
}

impl TableWriters {
    /// Writers for any tables. Touches nothing before the first rows are written.
    pub(crate) fn new(options: Arc<WriteOptions>) -> Self {
        Self { options, tables: BTreeMap::new(), waiting_bytes: 0, held_bytes: 0 }
    }

    /// Takes a batch of a table. `columns` are those of the batch, in its order.
    ///
    /// # Errors
    /// As [`TableWriter::write`], of any of the tables.
    pub(crate) fn write(
        &mut self,
        table: &str,
        columns: &[Column],
        batch: &RecordBatch,
    ) -> Result<()> {
        self.step(table, |writer| writer.write(columns, batch))?;
        while self.waiting_bytes > self.options.buffer_bytes {
            let Some(table) = self.most(|writer| writer.waiting_bytes as u64) else { break };
            self.step(&table, TableWriter::open_now)?;
        }
        while self.held_bytes > self.options.held_bytes {
            let Some(table) = self.most(TableWriter::held_bytes) else { break };
            self.step(&table, TableWriter::flush)?;
        }
        Ok(())
    }

    /// Offers a file to a table, see [`TableWriter::adopt`].
    ///
    /// # Errors
    /// As [`TableWriter::adopt`].
    pub(crate) fn adopt(
        &mut self,
        table: &str,
        path: &Path,
        columns: &[Column],
        defaults: &Defaults,
        changes: Changes,
    ) -> Result<Adoption> {
        self.step(table, |writer| writer.adopt(path, columns, defaults, changes))
    }

    /// Completes all tables: their files in the order of the tables' names.
    ///
    /// # Errors
    /// As [`TableWriter::finish`].
    pub(crate) fn finish(self) -> Result<Vec<DataFile>> {
        let mut files = Vec::new();
        let mut coming = self.tables.into_values();
        let mut ahead = VecDeque::new();
        loop {
            // So the workers encode the rows of some tables while the file of another is brought to the disk.
            for mut writer in coming.by_ref().take(AHEAD - ahead.len()) {
                writer.hand_in_rest()?;
                ahead.push_back(writer);
            }
            let Some(writer) = ahead.pop_front() else { return Ok(files) };
            files.extend(writer.finish()?);
        }
    }

    /// The first of those that have the most of something, by name.
    fn most(&self, bytes: impl Fn(&TableWriter) -> u64) -> Option<String> {
        let tables = self.tables.iter().map(|(name, writer)| (bytes(writer), name));
        let (bytes, name) = tables.rev().max_by_key(|(bytes, _)| *bytes)?;
        (bytes > 0).then(|| name.clone())
    }

    /// Does a step of a table, and counts what it leaves in memory.
    fn step<T>(
        &mut self,
        table: &str,
        step: impl FnOnce(&mut TableWriter) -> Result<T>,
    ) -> Result<T> {
        let writer = self.of(table);
        let (waiting, held) = (writer.waiting_bytes, writer.held_bytes());
        let done = step(writer)?;
        let (waits, holds) = (writer.waiting_bytes, writer.held_bytes());
        self.waiting_bytes = self.waiting_bytes - waiting + waits;
        self.held_bytes = self.held_bytes - held + holds;
        Ok(done)
    }

    fn of(&mut self, table: &str) -> &mut TableWriter {
        if !self.tables.contains_key(table) {
            let writer = TableWriter::new(table, Arc::clone(&self.options));
            self.tables.insert(table.to_owned(), writer);
        }
        self.tables.get_mut(table).expect("it was inserted where it was missing")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, integers, options};
    use super::*;
    use transload_core::{DataType, FileFormat};

    fn opened(writers: &TableWriters) -> Vec<&str> {
        let open = writers.tables.iter().filter(|(_, writer)| writer.open.is_some());
        open.map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_table_with_the_most_waiting_rows_opens_its_file_first() {
        let folder = tempfile::tempdir().unwrap();
        let options = WriteOptions {
            buffer_bytes: 10_000,
            ..options(FileFormat::Jsonl, folder.path(), u64::MAX)
        };
        let columns = [Column::new("n", DataType::Bigint)];
        let mut writers = TableWriters::new(Arc::new(options));
        let mut write = |table: &str, rows: i64| {
            writers.write(table, &columns, &batch(&columns, vec![integers(0, rows)])).unwrap();
            opened(&writers).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(write("b", 600), Vec::<String>::new());
        assert_eq!(write("a", 600), Vec::<String>::new());
        // 4800 bytes each, and 800: among equals the first by name.
        assert_eq!(write("c", 100), ["a"]);
        assert_eq!(write("d", 700), ["a", "d"]);
        // What is open does not wait.
        assert_eq!(write("a", 10_000), ["a", "d"]);
        assert_eq!(write("c", 2000), ["a", "c", "d"]);
        let files = writers.finish().unwrap();
        let rows: Vec<(&str, u64)> =
            files.iter().map(|file| (file.table.as_str(), file.rows)).collect();
        assert_eq!(rows, [("a", 10_600), ("b", 600), ("c", 2100), ("d", 700)]);
    }

    #[test]
    fn the_table_that_holds_the_most_brings_it_to_the_disk() {
        for format in [FileFormat::Parquet, FileFormat::Jsonl] {
            let folder = tempfile::tempdir().unwrap();
            let options =
                WriteOptions { held_bytes: 20_000, ..options(format, folder.path(), u64::MAX) };
            let columns = [Column::new("n", DataType::Bigint)];
            let mut writers = TableWriters::new(Arc::new(options));
            let mut write = |table: &str, rows: i64| {
                writers.write(table, &columns, &batch(&columns, vec![integers(0, rows)])).unwrap();
                let held = writers.tables.values().map(TableWriter::held_bytes);
                assert_eq!(held.sum::<u64>(), writers.held_bytes);
                let holds = writers.tables.iter().filter(|(_, writer)| writer.held_bytes() > 0);
                holds.map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            assert_eq!(write("a", 1000), ["a"]);
            assert_eq!(write("b", 1400), ["a", "b"]);
            // 8,000 and 11,200 bytes, and 1,600 more.
            assert_eq!(write("c", 200), ["a", "c"], "{format}");
            assert_eq!(write("b", 1000), ["a", "b", "c"], "{format}");
            assert_eq!(write("a", 1000), ["b", "c"], "{format}");
            let files = writers.finish().unwrap();
            let rows: Vec<(&str, u64)> =
                files.iter().map(|file| (file.table.as_str(), file.rows)).collect();
            assert_eq!(rows, [("a", 2000), ("b", 2400), ("c", 200)], "{format}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_table_that_is_not_being_written_has_no_open_file() {
        for format in [FileFormat::Parquet, FileFormat::Jsonl] {
            let folder = tempfile::tempdir().unwrap();
            let options =
                WriteOptions { row_group_rows: 10, ..options(format, folder.path(), u64::MAX) };
            let columns = [Column::new("n", DataType::Bigint)];
            let mut writers = TableWriters::new(Arc::new(options));
            for table in ["a", "b"] {
                writers.write(table, &columns, &batch(&columns, vec![integers(0, 25)])).unwrap();
            }
            assert_eq!(opened(&writers), ["a", "b"]);
            let handles = std::fs::read_dir("/proc/self/fd").unwrap();
            let paths = handles.filter_map(|handle| std::fs::read_link(handle.ok()?.path()).ok());
            assert!(!paths.into_iter().any(|path| path.starts_with(folder.path())), "{format}");
            assert_eq!(writers.finish().unwrap().len(), 2);
        }
    }
}
