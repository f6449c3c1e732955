//! What a file says of the values of its columns, held against the values: pages need not have checksums.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

/// The smallest and the largest value of each whole-number column for which every row group says it.
#[derive(Debug, Default)]
pub(super) struct Bounds(Vec<Bound>);

#[derive(Debug, PartialEq, Eq)]
struct Bound {
    /// The number of the column in a batch.
    column: usize,
    name: String,
    range: (i64, i64),
}

impl Bounds {
    pub(super) fn of(metadata: &ParquetMetaData, schema: &Schema) -> Self {
        let leaves = metadata.file_metadata().schema_descr().columns();
        let bound = |(column, field): (usize, &arrow::datatypes::FieldRef)| {
            if !matches!(field.data_type(), DataType::Int32 | DataType::Int64) {
                return None;
            }
            let mut named = (0..leaves.len())
                .filter(|leaf| leaves[*leaf].path().parts() == std::slice::from_ref(field.name()));
            let (leaf, None) = (named.next()?, named.next()) else { return None };
            let mut range: Option<(i64, i64)> = None;
            for group in metadata.row_groups() {
                match said(group.columns().get(leaf)?) {
                    Said::Nothing => return None,
                    Said::NoValues => {}
                    Said::Range(low, high) => {
                        let (least, most) = range.unwrap_or((low, high));
                        range = Some((least.min(low), most.max(high)));
                    }
                }
            }
            Some(Bound { column, name: field.name().clone(), range: range? })
        };
        Self(schema.fields().iter().enumerate().filter_map(bound).collect())
    }

    /// The first column of a batch that has a value which it cannot have, said in words.
    pub(super) fn broken_by(&self, batch: &RecordBatch) -> Option<String> {
        let broken = self.0.iter().find(|bound| {
            let Some(column) = batch.columns().get(bound.column) else { return false };
            let values = if let Some(column) = column.as_primitive_opt::<Int64Type>() {
                min(column).zip(max(column))
            } else if let Some(column) = column.as_primitive_opt::<Int32Type>() {
                min(column).zip(max(column)).map(|(low, high)| (low.into(), high.into()))
            } else {
                None
            };
            values.is_some_and(|(low, high)| low < bound.range.0 || bound.range.1 < high)
        })?;
        Some(format!(
            "column {} has a value outside of what the file says of it: its bytes were changed",
            broken.name
        ))
    }
}

enum Said {
    Nothing,
    NoValues,
    Range(i64, i64),
}

fn said(column: &ColumnChunkMetaData) -> Said {
    let range = match column.statistics() {
        Some(Statistics::Int32(values)) => values
            .min_opt()
            .zip(values.max_opt())
            .map(|(low, high)| (i64::from(*low), i64::from(*high))),
        Some(Statistics::Int64(values)) => {
            values.min_opt().zip(values.max_opt()).map(|(low, high)| (*low, *high))
        }
        _ => None,
    };
    let nulls = column.statistics().and_then(Statistics::null_count_opt);
    match range {
        Some((low, high)) => Said::Range(low, high),
        None if nulls == Some(column.num_values().unsigned_abs()) => Said::NoValues,
        None => Said::Nothing,
    }
}
