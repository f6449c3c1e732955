//! How much memory the columns of a chunk took. The next one is about as large: its columns ask for that much at once, instead
//! of moving all values each time they have grown to twice their size.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::DataType as ArrowType;

use super::TableBatch;
use super::parser::Parser;

/// What a worker keeps from one chunk to the next. It speeds up the work, and changes nothing of what comes out.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    pub(super) parser: Parser,
    pub(super) room: Room,
}

/// The room that each table took when it last had rows.
#[derive(Debug, Default)]
pub(super) struct Room(HashMap<String, Arc<TableRoom>>);

#[derive(Debug, Default)]
pub(super) struct TableRoom {
    rows: usize,
    /// The bytes of the values, for columns whose values are of any length.
    bytes: HashMap<String, usize>,
}

/// The room to ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnRoom {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn of(&self, table: &str) -> Arc<TableRoom> {
        self.0.get(table).map(Arc::clone).unwrap_or_default()
    }

    /// Notes what the tables of a chunk took.
    pub(super) fn note(&mut self, batches: &[TableBatch]) {
        for TableBatch { table, batch } in batches {
            let mut room = TableRoom { rows: batch.num_rows(), ..TableRoom::default() };
            for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                let bytes = match array.data_type() {
                    ArrowType::Utf8 => array.as_string::<i32>().value_data().len(),
                    ArrowType::Binary => array.as_binary::<i32>().value_data().len(),
                    _ => continue,
                };
                room.bytes.insert(field.name().clone(), bytes);
            }
            self.0.insert(table.clone(), Arc::new(room));
        }
    }
}

impl TableRoom {
    /// The room for a column: an eighth more than it took. It took the values of whole rows, so there is none to ask for
    /// where the last chunk did not have the column.
    pub(super) fn column(&self, name: &str) -> ColumnRoom {
        let more = |size: usize| size + size / 8;
        ColumnRoom { rows: more(self.rows), bytes: self.bytes.get(name).copied().map_or(0, more) }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::*;

    #[test]
    fn a_chunk_asks_for_what_the_last_one_took_and_an_eighth_more() {
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new(StringArray::from(vec!["12345678"; 8]))),
            ("number", Arc::new(Int64Array::from(vec![1; 8]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut room = Room::default();
        assert_eq!(room.of("events").column("text"), ColumnRoom::default());
        room.note(&[TableBatch { table: "events".into(), batch }]);
        let events = room.of("events");
        assert_eq!(events.column("text"), ColumnRoom { rows: 9, bytes: 72 });
        assert_eq!(events.column("number"), ColumnRoom { rows: 9, bytes: 0 });
    }
}
