//! Batches of Arrow, judged a column at a time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, Scalar, StringArray,
    TimestampNanosecondArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, SortOptions, cast_with_options, filter, sort_to_indices};
use arrow::datatypes::DataType as ArrowType;
use transload_core::{Error, Result};

use super::cursor::Judge;
use super::hash::{BatchHasher, scalar};
use super::tally::Seen;
use super::value::Cursor;
use super::{LastValueFunc, OnCursorValueMissing, RangeBound};

impl Judge {
    /// Judges the rows of a batch: which are loaded, and what they bring.
    ///
    /// A text at which the range begins or ends stands for a date or a time where the column holds these. NaN is taken
    /// for a missing value.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where there is no such column, where it cannot be compared, or where values are missing
    /// that must not be.
    pub(crate) fn batch(&self, batch: &RecordBatch) -> Result<(BooleanArray, Seen)> {
        let rows = batch.num_rows();
        let column = self.column(batch)?;
        let has_value = present(&column);
        let missing = rows - has_value.count_set_bits();
        if missing > 0 && self.missing == OnCursorValueMissing::Raise {
            self.without_value("the cursor is NULL")?;
        }
        let mut keep = has_value.clone();
        let mut seen = Seen { read: rows as u64, ..Seen::default() };
        if let Some(end) = &self.end {
            let end = suited(end, column.data_type());
            let within = self.within(&column, &end, "end value", Side::End)?;
            seen.ended |= self.ends(false) && any(&(&keep & &!&within));
            keep = &keep & &within;
        }
        if let Some(start) = &self.start {
            let start = suited(start, column.data_type());
            let within = self.within(&column, &start, "start value", Side::Start)?;
            let mut before = &keep & &!&within;
            keep = &keep & &within;
            if let Some(key) = self.key.as_ref().filter(|_| !self.start_hashes.is_empty()) {
                let hasher = BatchHasher::new(key, batch).map_err(|error| self.located(error))?;
                let boundary = &keep & &self.within(&column, &start, "start value", Side::Equal)?;
                let known = self.known(&boundary, &hasher)?;
                before = &before | &known;
                keep = &keep & &!&known;
            }
            seen.ended |= self.ends(true) && any(&before);
        }
        if let Some(last) = self.latest(&column, &keep)? {
            if let Some(key) = &self.key {
                let hasher = BatchHasher::new(key, batch).map_err(|error| self.located(error))?;
                let ties = &keep & &self.within(&column, &last, "last value", Side::Equal)?;
                for row in ties.set_indices() {
                    let hashes = hasher.hash(row).map_err(|error| self.located(error))?;
                    seen.hashes.insert(hashes.stored);
                }
            }
            seen.last = Some(last.into_owned());
        }
        if missing > 0 && self.missing == OnCursorValueMissing::Include {
            keep = &keep | &!&has_value;
        }
        seen.kept = keep.count_set_bits() as u64;
        Ok((BooleanArray::new(keep, None), seen))
    }

    /// The column of the cursor, without a dictionary.
    fn column(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let Some(column) = self.path.field().and_then(|field| batch.column_by_name(field)) else {
            return Err(self.refused("the batch has no column for the cursor").with_hint(
                "rows of Arrow and Parquet have their cursor in a column of their own: name it",
            ));
        };
        let plain = match column.data_type() {
            ArrowType::Dictionary(_, values) => values.as_ref(),
            ArrowType::RunEndEncoded(_, values) => values.data_type(),
            _ => return Ok(Arc::clone(column)),
        };
        cast(column, plain).ok_or_else(|| self.unsuited(column))
    }

    fn unsuited(&self, column: &ArrayRef) -> Error {
        self.refused("a column of this type cannot be a cursor").with("type", column.data_type())
    }

    /// The rows whose value lies on this side of `bound`.
    fn within(
        &self,
        column: &ArrayRef,
        bound: &Cursor<'_>,
        name: &'static str,
        side: Side,
    ) -> Result<BooleanBuffer> {
        if let Some(bound) = exactly(bound, column.data_type()) {
            let bound = Scalar::new(bound);
            let max = self.func == LastValueFunc::Max;
            let compared = match (side, max) {
                (Side::Equal, _) => cmp::eq(column, &bound),
                (Side::Start, true) if self.range_start == RangeBound::Closed => {
                    cmp::gt_eq(column, &bound)
                }
                (Side::Start, true) => cmp::gt(column, &bound),
                (Side::Start, false) if self.range_start == RangeBound::Closed => {
                    cmp::lt_eq(column, &bound)
                }
                (Side::Start, false) => cmp::lt(column, &bound),
                (Side::End, true) if self.range_end == RangeBound::Closed => {
                    cmp::lt_eq(column, &bound)
                }
                (Side::End, true) => cmp::lt(column, &bound),
                (Side::End, false) if self.range_end == RangeBound::Closed => {
                    cmp::gt_eq(column, &bound)
                }
                (Side::End, false) => cmp::gt(column, &bound),
            };
            let compared = compared.map_err(|error| self.unsuited(column).with_source(error))?;
            return Ok(match compared.nulls() {
                Some(nulls) => compared.values() & nulls.inner(),
                None => compared.values().clone(),
            });
        }
        // The bound lies between two values of the column, or is of another kind.
        let mut within = Vec::with_capacity(column.len());
        for row in 0..column.len() {
            let order = match scalar(column.as_ref(), row) {
                Some(value) => self.order(&value, bound, name)?,
                None if column.is_null(row) || column.data_type().is_floating() => {
                    within.push(false);
                    continue;
                }
                None => return Err(self.unsuited(column)),
            };
            within.push(match side {
                Side::Equal => order.is_eq(),
                Side::Start if self.range_start == RangeBound::Closed => order.is_ge(),
                Side::Start => order.is_gt(),
                Side::End if self.range_end == RangeBound::Closed => order.is_le(),
                Side::End => order.is_lt(),
            });
        }
        Ok(within.into())
    }

    /// Of the rows at the start of the range, those that were loaded before.
    fn known(&self, boundary: &BooleanBuffer, hasher: &BatchHasher<'_>) -> Result<BooleanBuffer> {
        let mut known = vec![false; boundary.len()];
        for row in boundary.set_indices() {
            let hashes = hasher.hash(row).map_err(|error| self.located(error))?;
            known[row] = self.knows(&hashes);
        }
        Ok(known.into())
    }

    /// The latest value among the rows that are kept.
    fn latest(&self, column: &ArrayRef, keep: &BooleanBuffer) -> Result<Option<Cursor<'static>>> {
        let refused = |error| self.unsuited(column).with_source(error);
        let kept = filter(column, &BooleanArray::new(keep.clone(), None)).map_err(refused)?;
        if kept.is_empty() {
            return Ok(None);
        }
        let options =
            SortOptions { descending: self.func == LastValueFunc::Max, nulls_first: false };
        let first = sort_to_indices(&kept, Some(options), Some(1)).map_err(refused)?;
        let row = first.values().first().map_or(0, |row| *row as usize);
        match scalar(kept.as_ref(), row) {
            Some(value) => Ok(Some(value.into_owned())),
            None => Err(self.unsuited(column)),
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Start,
    End,
    Equal,
}

fn any(rows: &BooleanBuffer) -> bool {
    rows.count_set_bits() > 0
}

/// The rows that have a value: neither NULL nor NaN.
fn present(column: &ArrayRef) -> BooleanBuffer {
    let all = BooleanBuffer::new_set(column.len());
    let valid = match column.logical_nulls() {
        Some(nulls) => nulls.inner().clone(),
        None => all,
    };
    if !column.data_type().is_floating() {
        return valid;
    }
    BooleanBuffer::collect_bool(column.len(), |row| {
        valid.value(row) && scalar(column.as_ref(), row).is_some()
    })
}

/// A bound in the kind of the column: a text stands for a date or a time.
fn suited<'c>(bound: &Cursor<'c>, column: &ArrowType) -> Cursor<'c> {
    bound.suited(match column {
        ArrowType::Timestamp(..) => "timestamp",
        ArrowType::Date32 | ArrowType::Date64 => "date",
        ArrowType::Time32(_) | ArrowType::Time64(_) => "time",
        _ => return bound.clone(),
    })
}

/// The bound as a value of the column, where it is one.
fn exactly(bound: &Cursor<'_>, column: &ArrowType) -> Option<ArrayRef> {
    let natural: ArrayRef = match bound {
        Cursor::Integer(value) if column.is_numeric() => {
            Arc::new(Int64Array::from(vec![i64::try_from(*value).ok()?]))
        }
        // Zero has two signs, which the comparison of columns tells apart.
        Cursor::Double(value) if column == &ArrowType::Float64 && *value != 0.0 => {
            Arc::new(Float64Array::from(vec![*value]))
        }
        Cursor::Text(text)
            if matches!(column, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View) =>
        {
            Arc::new(StringArray::from(vec![text.as_ref()]))
        }
        Cursor::Timestamp { nanos, .. } => {
            let ArrowType::Timestamp(unit, zone) = column else { return None };
            let nanos = TimestampNanosecondArray::from(vec![i64::try_from(*nanos).ok()?])
                .with_timezone_opt(zone.clone());
            let nanos: ArrayRef = Arc::new(nanos);
            let bound = cast(&nanos, &ArrowType::Timestamp(*unit, zone.clone()))?;
            let back = cast(&bound, nanos.data_type())?;
            return (back.to_data() == nanos.to_data()).then_some(bound);
        }
        Cursor::Date(days) if column == &ArrowType::Date32 => {
            Arc::new(arrow::array::Date32Array::from(vec![*days]))
        }
        _ => return None,
    };
    if matches!(bound, Cursor::Integer(0)) && column.is_floating() {
        return None;
    }
    let value = cast(&natural, column)?;
    let back = cast(&value, natural.data_type())?;
    (back.to_data() == natural.to_data()).then_some(value)
}

fn cast(array: &ArrayRef, to: &ArrowType) -> Option<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).ok()
}
