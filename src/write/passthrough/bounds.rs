//! The least and the greatest value of each column, as the footer of a Parquet file says them: decoded values that lie
//! outside were damaged.
//!
//! Few files have checksums of their pages, and a flipped bit in a number decodes to another number. Most of the time this
//! one lies outside of what the column has.

use std::collections::HashMap;

use ::parquet::arrow::parquet_to_arrow_schema;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::statistics::Statistics;
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType as ArrowType, Int64Type};

/// The bounds of the columns that have some, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    columns: HashMap<String, Bound>,
}

#[derive(Clone, Debug)]
struct Bound {
    /// The type to which the numbers in the footer belong.
    arrow_type: ArrowType,
    range: Range,
}

#[derive(Clone, Debug)]
enum Range {
    Numbers(i64, i64),
    Texts(Vec<u8>, Vec<u8>),
}

impl Bounds {
    /// The bounds of all row groups together, so that batches need not know where one begins.
    pub(crate) fn of(footer: &ParquetMetaData) -> Self {
        let descriptor = footer.file_metadata().schema_descr();
        // Without what another program noted of its own types: they may count in other units.
        let Ok(schema) = parquet_to_arrow_schema(descriptor, None) else { return Self::default() };
        let mut columns = HashMap::new();
        for (index, column) in descriptor.columns().iter().enumerate() {
            let Ok(field) = schema.field_with_name(column.name()) else { continue };
            let is_flat = column.path().parts().len() == 1 && column.max_rep_level() == 0;
            let ranges = footer.row_groups().iter().map(|group| {
                group
                    .column(index)
                    .statistics()
                    .and_then(|statistics| range(statistics, field.data_type()))
            });
            let joined = ranges.reduce(|left, right| join(left?, right?)).flatten();
            if let (true, Some(range)) = (is_flat, joined) {
                let arrow_type = field.data_type().clone();
                columns.insert(field.name().clone(), Bound { arrow_type, range });
            }
        }
        Self { columns }
    }

    /// The column of which a value lies outside of its bounds, if there is one.
    pub(crate) fn broken_by<'b>(&self, batch: &'b RecordBatch) -> Option<&'b str> {
        let schema = batch.schema_ref();
        let broken = |(field, array): (&'b std::sync::Arc<arrow::datatypes::Field>, &ArrayRef)| {
            let bound = self.columns.get(field.name())?;
            let breaks = bound.arrow_type == *array.data_type() && !bound.range.holds(array);
            breaks.then_some(field.name().as_str())
        };
        schema.fields().iter().zip(batch.columns()).find_map(broken)
    }
}

impl Range {
    fn holds(&self, array: &ArrayRef) -> bool {
        match self {
            Self::Numbers(least, greatest) => {
                let Some(numbers) = numbers(array) else { return true };
                let numbers = numbers.as_primitive::<Int64Type>();
                min(numbers).is_none_or(|found| found >= *least)
                    && max(numbers).is_none_or(|found| found <= *greatest)
            }
            Self::Texts(least, greatest) => {
                let texts = array.as_string::<i32>();
                min_string(texts).is_none_or(|found| found.as_bytes() >= least.as_slice())
                    && max_string(texts).is_none_or(|found| found.as_bytes() <= greatest.as_slice())
            }
        }
    }
}

/// The counts of a column of whole numbers, dates or times.
fn numbers(array: &ArrayRef) -> Option<ArrayRef> {
    let narrow = match array.data_type() {
        ArrowType::Date32 | ArrowType::Time32(_) => cast(array, &ArrowType::Int32).ok()?,
        _ => ArrayRef::clone(array),
    };
    cast(&narrow, &ArrowType::Int64).ok()
}

fn range(statistics: &Statistics, arrow_type: &ArrowType) -> Option<Range> {
    // The old kind of bounds was made by whatever order a writer had.
    if statistics.is_min_max_deprecated() {
        return None;
    }
    let is_number = matches!(
        arrow_type,
        ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Date32
            | ArrowType::Time32(_)
            | ArrowType::Time64(_)
            | ArrowType::Timestamp(..)
    );
    match statistics {
        Statistics::Int32(values) if is_number => {
            Some(Range::Numbers(i64::from(*values.min_opt()?), i64::from(*values.max_opt()?)))
        }
        Statistics::Int64(values) if is_number => {
            Some(Range::Numbers(*values.min_opt()?, *values.max_opt()?))
        }
        // Bounds that were cut short are still bounds.
        Statistics::ByteArray(values) if arrow_type == &ArrowType::Utf8 => {
            Some(Range::Texts(values.min_opt()?.data().to_vec(), values.max_opt()?.data().to_vec()))
        }
        _ => None,
    }
}

fn join(left: Range, right: Range) -> Option<Range> {
    match (left, right) {
        (Range::Numbers(a, b), Range::Numbers(c, d)) => Some(Range::Numbers(a.min(c), b.max(d))),
        (Range::Texts(a, b), Range::Texts(c, d)) => Some(Range::Texts(a.min(c), b.max(d))),
        _ => None,
    }
}
