//! The bounds of the columns of a file, taken while its rows are written: a function of the rows alone.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::compute::{max, max_boolean, max_string, min, min_boolean, min_string};
use arrow::datatypes::{
    ArrowNativeTypeOp, ArrowPrimitiveType, DataType as ArrowType, Decimal128Type, Decimal256Type,
    Int64Type, TimeUnit, i256,
};
use transload_core::{Bounds, Column, DataType};

use super::layout::{FileColumn, Layout};
use super::values::{write_date, write_decimal, write_two_digits};
use crate::arrow_types::whole_numbers;

/// Hints of columns by which rows are found.
const HINTS: [&str; 5] = ["primary_key", "merge_key", "partition", "cluster", "sort"];

/// Whether the files of a table say the bounds of this column.
pub(super) fn is_bounded(column: &Column) -> bool {
    let has_form = !matches!(
        column.data_type,
        None | Some(DataType::Double | DataType::Binary | DataType::Json)
    );
    has_form && HINTS.iter().any(|hint| column.has_hint(hint))
}

/// Takes the bounds of a file.
#[derive(Debug, Default)]
pub(super) struct Tally {
    columns: Vec<ColumnTally>,
    texts: Vec<TextTally>,
}

/// How long the texts of a column are.
#[derive(Debug)]
struct TextTally {
    /// Its place in the batches.
    index: usize,
    name: String,
    /// Bytes of the longest. None once there were values that nobody measures.
    longest: Option<u64>,
}

impl TextTally {
    fn see(&mut self, array: &ArrayRef) {
        let Some(longest) = self.longest else { return };
        self.longest = array.as_string_opt::<i32>().map(|texts| {
            let lengths = texts.value_offsets().windows(2).map(|ends| ends[1] - ends[0]);
            longest.max(u64::try_from(lengths.max().unwrap_or(0)).unwrap_or(u64::MAX))
        });
    }
}

/// What was seen of a column.
#[derive(Debug)]
struct ColumnTally {
    /// Its place in the batches.
    index: usize,
    name: String,
    arrow_type: ArrowType,
    nulls: u64,
    /// None once there were values of which nothing can be said.
    seen: Option<Seen>,
}

#[derive(Debug)]
enum Seen {
    /// Whole numbers; days; times in the unit of the column.
    Numbers(Values<i64>),
    Decimals(Values<i128>),
    LongDecimals(Values<i256>),
    Bools(Values<bool>),
    Texts(Values<String>),
}

impl Tally {
    /// Begins a file of these columns.
    pub(super) fn of(layout: &Layout) -> Self {
        let bounded = layout.columns.iter().enumerate().filter(|(_, column)| column.bounded);
        let texts = layout.columns.iter().enumerate().filter(|(_, column)| column.is_text());
        let text = |(index, column): (_, &FileColumn)| TextTally {
            index,
            name: column.name.clone(),
            longest: Some(0),
        };
        Self {
            columns: bounded.map(|(index, column)| ColumnTally::of(index, column)).collect(),
            texts: texts.map(text).collect(),
        }
    }

    /// Counts rows in.
    pub(super) fn see(&mut self, batch: &RecordBatch) {
        for column in &mut self.columns {
            column.see(batch.column(column.index));
        }
        for text in &mut self.texts {
            text.see(batch.column(text.index));
        }
    }

    /// Counts in what another tally of the same columns has seen.
    pub(super) fn merge(&mut self, other: Self) {
        for (column, other) in self.columns.iter_mut().zip(other.columns) {
            column.nulls += other.nulls;
            column.seen = match (column.seen.take(), other.seen) {
                (Some(seen), Some(other)) => seen.merged(other),
                _ => None,
            };
        }
        for (text, other) in self.texts.iter_mut().zip(other.texts) {
            text.longest = text.longest.zip(other.longest).map(|(one, other)| one.max(other));
        }
    }

    /// Bytes of the longest text, by column.
    pub(super) fn longest(&self) -> BTreeMap<String, u64> {
        self.texts.iter().filter_map(|text| Some((text.name.clone(), text.longest?))).collect()
    }

    /// The bounds, by column.
    pub(super) fn finish(self) -> BTreeMap<String, Bounds> {
        let finish = |column: ColumnTally| Some((column.name.clone(), column.finish()?));
        self.columns.into_iter().filter_map(finish).collect()
    }
}

impl Seen {
    /// None where the two are of different types, which columns of one layout are not.
    fn merged(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Numbers(one), Self::Numbers(other)) => Self::Numbers(one.merged(other)),
            (Self::Decimals(one), Self::Decimals(other)) => Self::Decimals(one.merged(other)),
            (Self::LongDecimals(one), Self::LongDecimals(other)) => {
                Self::LongDecimals(one.merged(other))
            }
            (Self::Bools(one), Self::Bools(other)) => Self::Bools(one.merged(other)),
            (Self::Texts(one), Self::Texts(other)) => Self::Texts(one.merged(other)),
            _ => return None,
        })
    }
}

impl ColumnTally {
    fn of(index: usize, column: &FileColumn) -> Self {
        let seen = match column.arrow_type {
            ArrowType::Utf8 => Some(Seen::Texts(Values::default())),
            ArrowType::Boolean => Some(Seen::Bools(Values::default())),
            ArrowType::Decimal128(..) => Some(Seen::Decimals(Values::default())),
            ArrowType::Decimal256(..) => Some(Seen::LongDecimals(Values::default())),
            _ => Some(Seen::Numbers(Values::default())),
        };
        let (name, arrow_type) = (column.name.clone(), column.arrow_type.clone());
        Self { index, name, arrow_type, nulls: 0, seen }
    }

    fn see(&mut self, array: &ArrayRef) {
        self.nulls += array.null_count() as u64;
        let Some(seen) = &mut self.seen else { return };
        let taken = *array.data_type() == self.arrow_type
            && match seen {
                Seen::Texts(values) => values.see_texts(array.as_string()),
                Seen::Bools(values) => values.see_bools(array.as_boolean()),
                Seen::Decimals(values) => {
                    values.see_primitives(array.as_primitive::<Decimal128Type>())
                }
                Seen::LongDecimals(values) => {
                    values.see_primitives(array.as_primitive::<Decimal256Type>())
                }
                Seen::Numbers(values) => whole_numbers(array)
                    .is_some_and(|array| values.see_primitives(array.as_primitive::<Int64Type>())),
            };
        if !taken {
            self.seen = None;
        }
    }

    fn finish(self) -> Option<Bounds> {
        let arrow_type = &self.arrow_type;
        match self.seen? {
            Seen::Numbers(values) => values.finish(self.nulls, |value| number(*value, arrow_type)),
            Seen::Decimals(values) => {
                values.finish(self.nulls, |value| decimal(&value.to_string(), arrow_type))
            }
            Seen::LongDecimals(values) => {
                values.finish(self.nulls, |value| decimal(&value.to_string(), arrow_type))
            }
            Seen::Bools(values) => values.finish(self.nulls, |value| Some(value.to_string())),
            Seen::Texts(values) => values
                .finish(self.nulls, |text| (text.len() <= Bounds::LONGEST).then(|| text.clone())),
        }
    }
}

/// The ends of values, and the values themselves while they are few.
#[derive(Debug)]
struct Values<T> {
    ends: Option<(T, T)>,
    /// In their order.
    distinct: Option<Vec<T>>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { ends: None, distinct: Some(Vec::new()) }
    }
}

impl<T> Values<T> {
    fn widen<V>(&mut self, least: &V, greatest: &V)
    where
        T: Borrow<V>,
        V: Ord + ToOwned<Owned = T> + ?Sized,
    {
        match &mut self.ends {
            None => self.ends = Some((least.to_owned(), greatest.to_owned())),
            Some((low, high)) => {
                if least < (*low).borrow() {
                    least.clone_into(low);
                }
                if greatest > (*high).borrow() {
                    greatest.clone_into(high);
                }
            }
        }
    }

    /// Counts values in while they are few.
    fn distinguish<'v, V>(&mut self, values: impl Iterator<Item = &'v V>)
    where
        T: Borrow<V>,
        V: Ord + ToOwned<Owned = T> + ?Sized + 'v,
    {
        let Some(distinct) = &mut self.distinct else { return };
        // Rows often have the value of the row before.
        let mut last = 0;
        for value in values {
            if distinct.get(last).is_some_and(|known| known.borrow() == value) {
                continue;
            }
            last = match distinct.binary_search_by(|known| known.borrow().cmp(value)) {
                Ok(place) => place,
                Err(_) if distinct.len() == Bounds::MOST_DISTINCT => {
                    self.distinct = None;
                    return;
                }
                Err(place) => {
                    distinct.insert(place, value.to_owned());
                    place
                }
            };
        }
    }

    fn merged(mut self, other: Self) -> Self
    where
        T: Ord + Clone,
    {
        if let Some((least, greatest)) = &other.ends {
            self.widen(least, greatest);
        }
        match &other.distinct {
            Some(distinct) => self.distinguish(distinct.iter()),
            None => self.distinct = None,
        }
        self
    }

    /// The bounds, of values that have this form. None where one of them has none.
    fn finish(self, nulls: u64, form: impl Fn(&T) -> Option<String>) -> Option<Bounds> {
        let Some((least, greatest)) = &self.ends else { return Some(Bounds::of_nulls(nulls)) };
        let distinct = self.distinct.and_then(|values| values.iter().map(&form).collect());
        Some(Bounds { least: Some(form(least)?), greatest: Some(form(greatest)?), nulls, distinct })
    }
}

impl<T: Ord + Copy> Values<T> {
    fn see_primitives<A>(&mut self, array: &PrimitiveArray<A>) -> bool
    where
        A: ArrowPrimitiveType<Native = T>,
        T: ArrowNativeTypeOp,
    {
        if let (Some(least), Some(greatest)) = (min(array), max(array)) {
            self.widen(&least, &greatest);
            if array.null_count() == 0 {
                self.distinguish(array.values().iter());
            } else {
                let valid = (0..array.len()).filter(|row| array.is_valid(*row));
                self.distinguish(valid.map(|row| &array.values()[row]));
            }
        }
        true
    }
}

impl Values<bool> {
    fn see_bools(&mut self, array: &BooleanArray) -> bool {
        if let (Some(least), Some(greatest)) = (min_boolean(array), max_boolean(array)) {
            self.widen(&least, &greatest);
            self.distinguish([least, greatest].iter());
        }
        true
    }
}

impl Values<String> {
    fn see_texts(&mut self, array: &StringArray) -> bool {
        if let (Some(least), Some(greatest)) = (min_string(array), max_string(array)) {
            self.widen(least, greatest);
            self.distinguish(array.iter().flatten());
        }
        true
    }
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The days from 0001-01-01 to 9999-12-31, counted from 1970-01-01.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// A whole number, date or time in the form of [`Bounds`]. None for a year that has no four digits.
fn number(value: i64, arrow_type: &ArrowType) -> Option<String> {
    let mut out = Vec::new();
    match arrow_type {
        ArrowType::Date32 => put_day(value, &mut out)?,
        ArrowType::Time32(unit) | ArrowType::Time64(unit) => put_time(value, *unit, &mut out),
        ArrowType::Timestamp(unit, zone) => {
            let of_day = DAY * per_second(*unit);
            put_day(value.div_euclid(of_day), &mut out)?;
            out.push(b'T');
            put_time(value.rem_euclid(of_day), *unit, &mut out);
            if zone.is_some() {
                out.extend_from_slice(b"+00:00");
            }
        }
        _ => return Some(value.to_string()),
    }
    String::from_utf8(out).ok()
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn put_day(days: i64, out: &mut Vec<u8>) -> Option<()> {
    DAYS.contains(&days).then(|| write_date(days, out))
}

/// A time of day with all the decimals of its unit.
fn put_time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let seconds = value.div_euclid(per_second(unit));
    for (place, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
        if place > 0 {
            out.push(b':');
        }
        write_two_digits(part, out);
    }
    let rest = value.rem_euclid(per_second(unit));
    let decimals = match unit {
        TimeUnit::Second => String::new(),
        TimeUnit::Millisecond => format!(".{rest:03}"),
        TimeUnit::Microsecond => format!(".{rest:06}"),
        TimeUnit::Nanosecond => format!(".{rest:09}"),
    };
    out.extend_from_slice(decimals.as_bytes());
}

fn decimal(digits: &str, arrow_type: &ArrowType) -> Option<String> {
    let (ArrowType::Decimal128(_, scale) | ArrowType::Decimal256(_, scale)) = arrow_type else {
        return None;
    };
    let mut out = Vec::new();
    write_decimal(digits, *scale, &mut out);
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
