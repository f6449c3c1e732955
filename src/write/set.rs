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

/// Tables whose last rows are with the workers at a time, each of which has an open file: there may be thousands of tables, and a
/// process may not open as many.
const AHEAD: usize = 16;

/// Writes the files of all tables of a load.
///
/// [`WriteOptions::buffer_bytes`] is what may wait in all of them together: where more does, the table with the most
/// waiting bytes opens its file, and so on. That depends on the batches and their order alone, so the same batches in the
/// same order give the same files.
#[derive(Debug)]
pub(crate) struct TableWriters {
    options: Arc<WriteOptions>,
    tables: BTreeMap<String, TableWriter>,
    waiting_bytes: usize,
}

impl TableWriters {
    /// Writers for any tables. Touches nothing before the first rows are written.
    pub(crate) fn new(options: Arc<WriteOptions>) -> Self {
        Self { options, tables: BTreeMap::new(), waiting_bytes: 0 }
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
        let writer = self.of(table);
        let before = writer.waiting_bytes;
        writer.write(columns, batch)?;
        let after = writer.waiting_bytes;
        self.waiting_bytes = self.waiting_bytes - before + after;
        while self.waiting_bytes > self.options.buffer_bytes {
            // The first of those that have the most, by name.
            let most = self
                .tables
                .values_mut()
                .rev()
                .max_by_key(|writer| writer.waiting_bytes)
                .filter(|writer| writer.waiting_bytes > 0);
            let Some(writer) = most else { break };
            self.waiting_bytes -= writer.waiting_bytes;
            writer.open_now()?;
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
        self.of(table).adopt(path, columns, defaults, changes)
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
}
