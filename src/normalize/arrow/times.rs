//! Dates, times of day and points in time: from the unit of the data to that of the column.
//!
//! By way of the numbers: a cast between zones would need a database of zones, and shift naive times; and not every
//! cast of times looks whether the result fits.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Int64Type, TimeUnit};
use transload_core::{Column, DataType, Error, ErrorKind, Result};

use super::convert::Converted;
use super::types::describe;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The days since 1970 of 0001-01-01 and of the first day that no warehouse has, 10000-01-01.
const DAYS: std::ops::Range<i64> = -719_162..2_932_897;

/// Times in the type of a column.
pub(super) fn converted(
    array: &ArrayRef,
    target: &ArrowType,
    column: &Column,
) -> Result<Converted> {
    let source = array.data_type();
    let (Some(from), Some(to)) = (tick(source), tick(target)) else {
        return Err(Error::new(ErrorKind::Bug, "a time has no unit").with("type", source));
    };
    let counts = counts(array)?;
    let allowed = range(source, from);
    // Most often there is nothing to do but to look.
    if from == to && counts.iter().flatten().all(|count| allowed.contains(&count)) {
        let array = if source == target { Arc::clone(array) } else { of_counts(counts, target)? };
        return Ok(Converted { array, faults: Vec::new(), first_cut: None });
    }
    let refused = |message, hint: &str| {
        Error::new(ErrorKind::BadData, message)
            .with("code", "E_TIMESTAMP")
            .with("type", source)
            .with("unit", unit_name(from))
            .with("column type", describe(column))
            .with("column unit", unit_name(to))
            .with_hint(hint)
    };
    let mut faults = Vec::new();
    let mut first_cut = None;
    let cuts = may_cut(column);
    let mut recount = |row: usize, count: i64| -> Option<i64> {
        if !allowed.contains(&count) {
            let (message, hint) = match source {
                ArrowType::Time32(_) | ArrowType::Time64(_) => {
                    ("a time of day lies outside of a day", "correct the value in the source")
                }
                _ => (
                    "a time lies outside of what its column can say",
                    "years 1 to 9999 can be loaded: correct the value in the source",
                ),
            };
            faults.push((row, refused(message, hint)));
            return None;
        }
        if from >= to {
            // Within the years that are allowed only nanoseconds can overflow.
            let count = count.checked_mul(from / to);
            if count.is_none() {
                faults.push((
                    row,
                    refused(
                        "a time lies outside of what its column can say",
                        "nanoseconds reach from 1677 to 2262: correct the value in the source, or load \
                         the field under another name",
                    ),
                ));
            }
            return count;
        }
        let factor = to / from;
        if count % factor != 0 {
            if !cuts {
                faults.push((
                    row,
                    refused(
                        "a time is finer than its column and would be cut off",
                        "cast the field to the unit of the column in the source, or load it under another \
                         name; a column takes finer times only if it has that precision from its first load",
                    ),
                ));
                return None;
            }
            first_cut.get_or_insert(row);
        }
        // Down, as rows of JSON have it, also before 1970.
        Some(count.div_euclid(factor))
    };
    let recounted: Int64Array = counts
        .iter()
        .enumerate()
        .map(|(row, count)| count.and_then(|count| recount(row, count)))
        .collect();
    Ok(Converted { array: of_counts(recounted, target)?, faults, first_cut })
}

/// The counts that are times of this type.
fn range(source: &ArrowType, tick: i64) -> std::ops::Range<i64> {
    match source {
        ArrowType::Time32(_) | ArrowType::Time64(_) => 0..DAY / tick,
        _ => {
            // Nanoseconds do not reach so far.
            let a_day = DAY / tick;
            DAYS.start.saturating_mul(a_day)..DAYS.end.saturating_mul(a_day)
        }
    }
}

fn counts(array: &ArrayRef) -> Result<Int64Array> {
    let is_narrow = matches!(array.data_type(), ArrowType::Date32 | ArrowType::Time32(_));
    let counts = if is_narrow { cast(array, &ArrowType::Int32) } else { Ok(Arc::clone(array)) };
    let counts = counts
        .and_then(|counts| cast(&counts, &ArrowType::Int64))
        .map_err(|error| Error::new(ErrorKind::Bug, "a time is no number").with_source(error))?;
    Ok(counts.as_primitive::<Int64Type>().clone())
}

fn of_counts(counts: Int64Array, target: &ArrowType) -> Result<ArrayRef> {
    let counts: ArrayRef = Arc::new(counts);
    let is_narrow = matches!(target, ArrowType::Date32 | ArrowType::Time32(_));
    let counts = if is_narrow { cast(&counts, &ArrowType::Int32) } else { Ok(counts) };
    counts
        .and_then(|counts| cast(&counts, target))
        .map_err(|error| Error::new(ErrorKind::Bug, "a number is no time").with_source(error))
}

/// The nanoseconds that one step of a date or a time stands for.
pub(super) fn tick(arrow_type: &ArrowType) -> Option<i64> {
    match arrow_type {
        ArrowType::Timestamp(unit, _) | ArrowType::Time32(unit) | ArrowType::Time64(unit) => {
            Some(match unit {
                TimeUnit::Second => SECOND,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            })
        }
        ArrowType::Date32 => Some(DAY),
        ArrowType::Date64 => Some(1_000_000),
        _ => None,
    }
}

fn unit_name(tick: i64) -> &'static str {
    match tick {
        DAY => "day",
        SECOND => "second",
        1_000_000 => "millisecond",
        1_000 => "microsecond",
        _ => "nanosecond",
    }
}

/// Whether what is finer than the column is cut off: the column has the destination's own precision.
fn may_cut(column: &Column) -> bool {
    column.precision.is_none() && column.data_type != Some(DataType::Date)
}
