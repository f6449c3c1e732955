//! What came of an input, in a form that can be compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array as _;
use arrow::row::{RowConverter, SortField};
use transload_core::{ErrorKind, Schema};

use super::rows::TABLE;
use crate::normalize::{Normalized, TableBatch};
use crate::source::{JsonRows, Refused};

/// Tables, and what is not in them. Random ids are numbers in the order in which they are met.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    batches: Vec<TableBatch>,
    /// Place, bytes and message.
    pub(super) refused: Vec<(u64, Vec<u8>, String)>,
    /// Rows of nested tables that the contract leaves out.
    left_out: Vec<(String, u64, Vec<u8>)>,
    values_left_out: BTreeMap<(String, String), u64>,
    schema: String,
    /// The values of each row that are not NULL, by table.
    rows: BTreeMap<String, Vec<BTreeMap<String, Vec<u8>>>>,
}

impl Loaded {
    pub(super) fn take(&mut self, mut chunk: JsonRows, normalized: Normalized) {
        let mut refused = std::mem::take(&mut chunk.refused);
        let rows = normalized.batches.iter().filter(|batch| batch.table == TABLE);
        let taken: usize = rows.map(|batch| batch.batch.num_rows()).sum();
        assert_eq!(
            taken + normalized.refused.len(),
            chunk.rows.len(),
            "a row is neither loaded nor refused, or both"
        );
        // A reader does not hand out what it refuses.
        refused.extend(normalized.refused);
        refused.sort_by_key(|row| row.offset);
        for Refused { offset, bytes, error, .. } in refused {
            assert_eq!(error.kind(), ErrorKind::BadData, "{error:?}");
            assert!(error.context("code").is_some(), "a refusal without a code: {error:?}");
            self.refused.push((offset, bytes, error.to_string()));
        }
        for (table, row) in normalized.discarded.nested {
            self.left_out.push((table, row.offset, row.bytes));
        }
        for (column, count) in normalized.discarded.values {
            *self.values_left_out.entry(column).or_default() += count;
        }
        self.batches.extend(normalized.batches);
    }

    pub(super) fn finish(mut self, schema: Schema) -> Self {
        let mut ids = BTreeMap::new();
        for TableBatch { table, batch } in std::mem::take(&mut self.batches) {
            assert!(schema.tables.contains_key(&table), "rows of a table that is in no schema");
            let rows = self.rows.entry(table).or_default();
            let first = rows.len();
            rows.resize_with(first + batch.num_rows(), BTreeMap::new);
            for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
                let converter = RowConverter::new(vec![SortField::new(field.data_type().clone())]);
                let converter = converter.expect("columns have simple types");
                let values = converter.convert_columns(&[Arc::clone(array)]);
                let values = values.expect("the array is of the type");
                for (index, value) in values.iter().enumerate() {
                    if array.is_valid(index) {
                        rows[first + index].insert(field.name().clone(), value.as_ref().to_vec());
                    }
                }
            }
        }
        for row in self.rows.values_mut().flatten() {
            for id in ["_dlt_root_id", "_dlt_parent_id", "_dlt_id"] {
                if let Some(value) = row.get_mut(id) {
                    let next = ids.len();
                    let number = *ids.entry(std::mem::take(value)).or_insert(next);
                    *value = number.to_be_bytes().to_vec();
                }
            }
        }
        self.schema = schema.to_json();
        self
    }

    pub(super) fn assert_same(&self, other: &Self, what: &str) {
        assert_eq!(self.refused, other.refused, "{what}: other rows are refused");
        self.assert_same_rows(other, what);
    }

    pub(super) fn assert_same_rows(&self, other: &Self, what: &str) {
        assert_eq!(self.schema, other.schema, "{what}: the schema is another");
        assert_eq!(self.rows, other.rows, "{what}: the rows are others");
        assert_eq!(self.left_out, other.left_out, "{what}: other rows are left out");
        assert_eq!(self.values_left_out, other.values_left_out, "{what}: other values");
    }
}
