//! Incremental loading: only rows beyond the last value of a cursor, only files that were not loaded before.
//!
//! What is remembered stands in the pipeline's state, which is published with the rows: both are there or neither.
//!
//! Chunks of rows are judged at the same time. [`Judge`] is made from the state as it was before the run and does not
//! change; each chunk gives what it has [`Seen`]; these are merged in any grouping, and the last one is the new state.
//! Source: dlt, `dlt/extract/incremental/`.

mod batch;
mod cursor;
mod files;
mod hash;
mod lag;
mod memory;
mod path;
mod tally;
mod time;
mod value;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde::Deserialize;
use transload_core::{Error, ErrorKind, Result};

pub(crate) use cursor::Judge;
pub(crate) use memory::Memory;
pub(crate) use tally::{Seen, Tally};

use path::CursorPath;
use value::Cursor;

/// Which of two values of a cursor is the later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastValueFunc {
    /// The larger one.
    #[default]
    Max,
    /// The smaller one.
    Min,
}

impl LastValueFunc {
    /// The order in which the values come: [`Ordering::Less`] where `left` comes first. `None` where they cannot be
    /// compared.
    fn order(self, left: &Cursor<'_>, right: &Cursor<'_>) -> Option<Ordering> {
        let order = left.compare(right)?;
        Some(match self {
            Self::Max => order,
            Self::Min => order.reverse(),
        })
    }
}

/// Whether the value at the end of a range belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeBound {
    /// It does not.
    Open,
    /// It does.
    Closed,
}

/// The order of the rows of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Later values of the cursor come later.
    Asc,
    /// Later values of the cursor come first.
    Desc,
}

/// What becomes of a row without a value of the cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCursorValueMissing {
    /// The run fails.
    #[default]
    Raise,
    /// It is loaded, in every run that reads it.
    Include,
    /// It is left out.
    Exclude,
}

/// A value of a cursor: a number, a text or a truth value. A text is also what stands for a date or a point in time, in
/// ISO form; texts are compared as texts, so they must have the form that the rows have.
#[derive(Clone, Debug, PartialEq)]
pub struct CursorValue(Cursor<'static>);

impl From<i64> for CursorValue {
    fn from(value: i64) -> Self {
        Self(Cursor::Integer(value.into()))
    }
}

impl From<i32> for CursorValue {
    fn from(value: i32) -> Self {
        Self(Cursor::Integer(value.into()))
    }
}

impl From<u64> for CursorValue {
    fn from(value: u64) -> Self {
        Self(Cursor::Integer(value.into()))
    }
}

impl From<f64> for CursorValue {
    fn from(value: f64) -> Self {
        Self(Cursor::Double(value))
    }
}

impl From<bool> for CursorValue {
    fn from(value: bool) -> Self {
        Self(Cursor::Bool(value))
    }
}

impl From<String> for CursorValue {
    fn from(value: String) -> Self {
        Self(Cursor::Text(value.into()))
    }
}

impl From<&str> for CursorValue {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

/// Loads only the rows whose cursor lies beyond the last value that was loaded.
///
/// ```
/// use transload::{Incremental, Resource};
///
/// let events = Resource::files("events", ["events/*.jsonl"])
///     .incremental(Incremental::new("updated_at").initial_value("2024-01-01T00:00:00Z").lag(3600.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Incremental {
    cursor_path: String,
    initial_value: Option<CursorValue>,
    end_value: Option<CursorValue>,
    last_value_func: LastValueFunc,
    primary_key: Option<Vec<String>>,
    row_order: Option<RowOrder>,
    on_cursor_value_missing: OnCursorValueMissing,
    lag: Option<f64>,
    range_start: RangeBound,
    range_end: RangeBound,
}

impl Incremental {
    /// The cursor: the name of a field, or a path to one value such as `a.b`, `$.a.b` or `a[0].b`. Names are those of
    /// the source, not those of the tables.
    pub fn new(cursor_path: impl Into<String>) -> Self {
        Self {
            cursor_path: cursor_path.into(),
            initial_value: None,
            end_value: None,
            last_value_func: LastValueFunc::default(),
            primary_key: None,
            row_order: None,
            on_cursor_value_missing: OnCursorValueMissing::default(),
            lag: None,
            range_start: RangeBound::Closed,
            range_end: RangeBound::Open,
        }
    }

    /// Where the first run begins. Without one it loads all rows.
    #[must_use]
    pub fn initial_value(mut self, value: impl Into<CursorValue>) -> Self {
        self.initial_value = Some(value.into());
        self
    }

    /// Loads the range from the initial value up to this one, for a backfill: what is remembered is neither used nor
    /// changed.
    #[must_use]
    pub fn end_value(mut self, value: impl Into<CursorValue>) -> Self {
        self.end_value = Some(value.into());
        self
    }

    /// Which of two values is the later one: by default the larger one.
    #[must_use]
    pub fn last_value_func(mut self, func: LastValueFunc) -> Self {
        self.last_value_func = func;
        self
    }

    /// What tells rows apart that have the last value: by default the primary key of the resource, and the whole row
    /// where it has none. No columns turn this off; such rows are then loaded again.
    #[must_use]
    pub fn primary_key(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.primary_key = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// The order of the rows: reading ends as soon as they leave the range.
    #[must_use]
    pub fn row_order(mut self, order: RowOrder) -> Self {
        self.row_order = Some(order);
        self
    }

    /// What becomes of a row without a value of the cursor: by default the run fails.
    #[must_use]
    pub fn on_cursor_value_missing(mut self, what: OnCursorValueMissing) -> Self {
        self.on_cursor_value_missing = what;
        self
    }

    /// How far before the last value each run begins: seconds for points in time, days for dates, units for numbers.
    /// Rows in between are loaded again, so this is for `merge`.
    #[must_use]
    pub fn lag(mut self, lag: f64) -> Self {
        self.lag = Some(lag);
        self
    }

    /// Whether rows with the last value are read again (closed, the default).
    #[must_use]
    pub fn range_start(mut self, bound: RangeBound) -> Self {
        self.range_start = bound;
        self
    }

    /// Whether rows with the end value are loaded: by default not (open).
    #[must_use]
    pub fn range_end(mut self, bound: RangeBound) -> Self {
        self.range_end = bound;
        self
    }

    /// The column of the cursor, where its path is the name of a field.
    pub(crate) fn column(&self) -> Option<String> {
        CursorPath::parse(&self.cursor_path).ok()?.field().map(str::to_owned)
    }

    /// Reads the path and checks that the parts fit together.
    fn checked_path(&self) -> Result<CursorPath> {
        let path = CursorPath::parse(&self.cursor_path)?;
        let refused = |message: &'static str| {
            Error::new(ErrorKind::Configuration, message).with("cursor_path", &self.cursor_path)
        };
        for value in self.initial_value.iter().chain(&self.end_value) {
            if matches!(value.0, Cursor::Double(value) if value.is_nan()) {
                return Err(refused("a value of the cursor is no number"));
            }
        }
        if self.lag.is_some_and(|lag| !lag.is_finite()) {
            return Err(refused("the lag is no number"));
        }
        let Some(end) = &self.end_value else { return Ok(path) };
        let Some(initial) = &self.initial_value else {
            return Err(refused("an end value needs an initial value")
                .with_hint("give `initial_value`, where the range begins"));
        };
        let between = |error: Error| {
            error.with("initial_value", initial.0.to_state()).with("end_value", end.0.to_state())
        };
        match self.last_value_func.order(&initial.0, &end.0) {
            Some(Ordering::Less | Ordering::Equal) => Ok(path),
            Some(Ordering::Greater) => {
                Err(between(refused("the end value comes before the initial value")))
            }
            None => Err(between(refused("the end value and the initial value cannot be compared"))),
        }
    }
}
