//! The least and the greatest value of each column, as the footer of a Parquet file says them: decoded values that lie
//! outside were damaged.
//!
//! Few files have checksums of their pages, and a flipped bit in a number decodes to another number. Most of the time this
//! one lies outside of what the column has.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType as ArrowType, Field, Int64Type};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

use crate::arrow_types::{is_whole_number, whole_numbers};

/// The ranges of the columns that have some, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct FooterRanges {
    columns: HashMap<String, ColumnRange>,
}

#[derive(Clone, Debug)]
struct ColumnRange {
    /// The type to which the numbers in the footer belong.
    arrow_type: ArrowType,
    range: Range,
}

#[derive(Clone, Debug)]
enum Range {
    Numbers(i64, i64),
    Texts(Vec<u8>, Vec<u8>),
}

/// What a row group says of a column.
enum Said {
    Nothing,
    /// All of its values are NULL.
    NoValues,
    Range(Range),
}

impl FooterRanges {
    /// The ranges of all row groups together, so that batches need not know where one begins.
    pub(crate) fn of(footer: &ParquetMetaData) -> Self {
        let descriptor = footer.file_metadata().schema_descr();
        // Without what another program noted of its own types: they may count in other units.
        let Ok(schema) = parquet_to_arrow_schema(descriptor, None) else { return Self::default() };
        let mut columns = HashMap::new();
        for (index, column) in descriptor.columns().iter().enumerate() {
            // Two fields may have one name: nobody could tell which of them a range is for.
            let mut named = schema.fields().iter().filter(|field| field.name() == column.name());
            let (Some(field), None) = (named.next(), named.next()) else { continue };
            let is_flat = column.path().parts().len() == 1 && column.max_rep_level() == 0;
            let chunks = footer.row_groups().iter().map(|group| group.columns().get(index));
            let said = chunks
                .map(|chunk| chunk.map_or(Said::Nothing, |chunk| said(chunk, field.data_type())));
            let joined = said.reduce(join);
            if let (true, Some(Said::Range(range))) = (is_flat, joined) {
                let arrow_type = field.data_type().clone();
                columns.insert(field.name().clone(), ColumnRange { arrow_type, range });
            }
        }
        Self { columns }
    }

    /// The column of which a value lies outside of its range, if there is one.
    pub(crate) fn broken_by<'b>(&self, batch: &'b RecordBatch) -> Option<&'b str> {
        let schema = batch.schema_ref();
        let broken = |(field, array): (&'b Arc<Field>, &ArrayRef)| {
            let column = self.columns.get(field.name())?;
            let breaks = column.arrow_type == *array.data_type() && !column.range.holds(array);
            breaks.then_some(field.name().as_str())
        };
        schema.fields().iter().zip(batch.columns()).find_map(broken)
    }
}

impl Range {
    fn holds(&self, array: &ArrayRef) -> bool {
        match self {
            Self::Numbers(least, greatest) => {
                let Some(numbers) = whole_numbers(array) else { return true };
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

fn said(chunk: &ColumnChunkMetaData, arrow_type: &ArrowType) -> Said {
    let Some(statistics) = chunk.statistics() else { return Said::Nothing };
    match range(statistics, arrow_type) {
        Some(range) => Said::Range(range),
        None if statistics.null_count_opt() == Some(chunk.num_values().unsigned_abs()) => {
            Said::NoValues
        }
        None => Said::Nothing,
    }
}

fn range(statistics: &Statistics, arrow_type: &ArrowType) -> Option<Range> {
    // The old kind of bounds was made by whatever order a writer had.
    if statistics.is_min_max_deprecated() {
        return None;
    }
    let is_number = is_whole_number(arrow_type);
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

fn join(left: Said, right: Said) -> Said {
    match (left, right) {
        (Said::NoValues, said) | (said, Said::NoValues) => said,
        (Said::Range(Range::Numbers(a, b)), Said::Range(Range::Numbers(c, d))) => {
            Said::Range(Range::Numbers(a.min(c), b.max(d)))
        }
        (Said::Range(Range::Texts(a, b)), Said::Range(Range::Texts(c, d))) => {
            Said::Range(Range::Texts(a.min(c), b.max(d)))
        }
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn rows(numbers: Vec<Option<i64>>, texts: Vec<Option<&str>>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(Int64Array::from(numbers)) as ArrayRef, true),
            ("t", Arc::new(StringArray::from(texts)) as ArrayRef, true),
        ])
        .unwrap()
    }

    /// The ranges of a file with a row group for each of these batches.
    fn ranges(groups: &[RecordBatch], properties: WriterProperties) -> FooterRanges {
        let file = tempfile::tempfile().unwrap();
        let copy = file.try_clone().unwrap();
        let mut writer = ArrowWriter::try_new(copy, groups[0].schema(), Some(properties)).unwrap();
        for group in groups {
            writer.write(group).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        FooterRanges::of(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata())
    }

    #[test]
    fn a_value_outside_of_what_the_row_groups_say_is_found() {
        let groups = [
            rows(vec![Some(5), None], vec![Some("b"), Some("c")]),
            rows(vec![None, None], vec![None, None]),
            rows(vec![Some(-1), Some(2)], vec![Some("d"), None]),
        ];
        let ranges = ranges(&groups, WriterProperties::default());
        for group in &groups {
            assert_eq!(ranges.broken_by(group), None);
        }
        for (numbers, texts, broken) in [
            (vec![Some(6)], vec![None], "n"),
            (vec![Some(-2)], vec![None], "n"),
            (vec![Some(0)], vec![Some("a")], "t"),
            (vec![Some(0)], vec![Some("e")], "t"),
        ] {
            assert_eq!(ranges.broken_by(&rows(numbers, texts)), Some(broken));
        }
    }

    #[test]
    fn nothing_is_held_against_a_column_of_which_a_row_group_says_nothing() {
        use parquet::file::properties::EnabledStatistics;
        let properties =
            WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
        let groups = [rows(vec![Some(5)], vec![Some("b")])];
        let ranges = ranges(&groups, properties);
        assert_eq!(ranges.broken_by(&rows(vec![Some(9)], vec![Some("z")])), None);
    }
}
