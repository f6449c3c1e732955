//! Which rows a run takes, judged by their cursor, and what it remembers of them.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use simd_json::{Node, StaticNode};
use transload_core::{Error, ErrorKind, Result};

use super::hash::{self, Key, RowHash};
use super::lag;
use super::path::{CursorPath, Found};
use super::tally::Seen;
use super::value::Cursor;
use super::{Incremental, LastValueFunc, OnCursorValueMissing, RangeBound, RowOrder};

/// Rows with the same last value from which on a word is said: each of them is remembered by its hash.
const MANY_HASHES: usize = 200;

/// Judges rows against what was remembered when the run began. It does not change, so chunks can be judged in any order
/// and at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(super) resource: String,
    pub(super) path: CursorPath,
    pub(super) func: LastValueFunc,
    pub(super) missing: OnCursorValueMissing,
    row_order: Option<RowOrder>,
    pub(super) range_start: RangeBound,
    pub(super) range_end: RangeBound,
    /// Where the run begins: the last value, or the lag before it.
    pub(super) start: Option<Cursor<'static>>,
    pub(super) end: Option<Cursor<'static>>,
    /// What tells rows with the last value apart; none where they are not told apart.
    pub(super) key: Option<Key>,
    pub(super) start_hashes: BTreeSet<RowHash>,
    /// The last value without the lag.
    last: Option<Cursor<'static>>,
    /// As the state had it, or would have had it before the first run.
    stored: Stored,
}

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    initial_value: Json,
    last_value: Json,
    unique_hashes: Json,
    start_value: Json,
}

/// What becomes of a row.
#[derive(Debug)]
pub(crate) enum Verdict<'n> {
    /// It is loaded.
    Keep(Kept<'n>),
    /// It lies before the range, or was loaded before.
    Before,
    /// It lies behind the range.
    After,
    /// It has no value of the cursor.
    Excluded,
}

/// A row that is loaded.
#[derive(Debug)]
pub(crate) struct Kept<'n> {
    pub(super) value: Option<Cursor<'n>>,
    pub(super) hash: Option<RowHash>,
}

impl Verdict<'_> {
    /// Whether the row is loaded.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Keep(_))
    }
}

impl Judge {
    /// `stored` is what the state holds for this cursor, `key` the primary key of the resource.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the parts of the incremental do not fit together or do not fit the state.
    pub(crate) fn new(
        incremental: &Incremental,
        resource: &str,
        key: &[String],
        stored: Option<&Json>,
    ) -> Result<Self> {
        let path = incremental.checked_path().map_err(|error| error.with("resource", resource))?;
        let end = incremental.end_value.as_ref().map(|value| value.0.clone());
        let initial = incremental.initial_value.as_ref().map(|value| value.0.clone());
        let func = incremental.last_value_func;
        let fresh = initial.as_ref().map_or(Json::Null, Cursor::to_state);
        let part = |name: &str, otherwise: &Json| {
            stored.and_then(|stored| stored.get(name)).unwrap_or(otherwise).clone()
        };
        // A range with an end is a matter of its own: the state says nothing of it.
        let stored = match stored.and_then(Json::as_object) {
            Some(stored) if end.is_none() && !stored.is_empty() => Stored {
                initial_value: part("initial_value", &Json::Null),
                last_value: part("last_value", &Json::Null),
                unique_hashes: part("unique_hashes", &json!([])),
                start_value: part("start_value", &Json::Null),
            },
            _ => Stored {
                initial_value: fresh.clone(),
                last_value: fresh.clone(),
                unique_hashes: json!([]),
                start_value: fresh,
            },
        };
        let last = Cursor::from_state(&stored.last_value);
        if last.is_none() && !stored.last_value.is_null() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the last value of the cursor is no value that can be compared",
            )
            .with("resource", resource)
            .with("cursor_path", path.as_str())
            .with("last value", &stored.last_value));
        }
        let step = incremental.lag.filter(|lag| *lag != 0.0 && end.is_none());
        let start = match (&last, step) {
            (Some(last), Some(step)) => {
                Some(lag::apply(step, func, initial.as_ref(), last).map_err(|error| {
                    error.with("resource", resource).with("cursor_path", path.as_str())
                })?)
            }
            _ => last.clone(),
        };
        let key = match incremental.primary_key.as_deref().unwrap_or(key) {
            [] if incremental.primary_key.is_some() => None,
            [] => Some(Key::Row),
            fields => Some(Key::Fields(fields.to_vec())),
        };
        let tells_apart = incremental.range_start == RangeBound::Closed
            && end.is_none()
            && incremental.lag.is_none_or(|lag| lag == 0.0);
        let hashes = stored.unique_hashes.as_array().into_iter().flatten();
        let start_hashes = hashes.filter_map(|hash| RowHash::from_text(hash.as_str()?)).collect();
        Ok(Self {
            resource: resource.to_owned(),
            path,
            func,
            missing: incremental.on_cursor_value_missing,
            row_order: incremental.row_order,
            range_start: incremental.range_start,
            range_end: incremental.range_end,
            start,
            end,
            key: key.filter(|_| tells_apart),
            start_hashes,
            last,
            stored,
        })
    }

    /// Judges the row at the start of `nodes`. What is kept counts only once it is given to [`Tally::count`].
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where the cursor is missing or cannot be compared, or a part of the key is missing. The run
    /// cannot go on: where the cursor stands is not known any more.
    pub(crate) fn row<'n>(&self, nodes: &[Node<'n>]) -> Result<Verdict<'n>> {
        let value = match self.path.find(nodes) {
            Found::Missing => {
                return self.without_value("no value stands at the path of the cursor");
            }
            Found::Null => return self.without_value("the cursor is NULL"),
            Found::Node(at) => match nodes.get(at) {
                Some(Node::String(text)) => Cursor::Text((*text).into()),
                Some(Node::Static(StaticNode::Bool(value))) => Cursor::Bool(*value),
                Some(Node::Static(StaticNode::I64(value))) => Cursor::Integer((*value).into()),
                Some(Node::Static(StaticNode::U64(value))) => Cursor::Integer((*value).into()),
                Some(Node::Static(StaticNode::F64(value))) => Cursor::Double(*value),
                Some(Node::Static(_)) => {
                    return Err(self.refused("the cursor is an integer of more than 64 bits"));
                }
                _ => return Err(self.refused("the cursor is an object or a list")),
            },
        };
        self.value(value, || match &self.key {
            Some(key) => hash::of_row(key, nodes).map(Some).map_err(|error| self.located(error)),
            None => Ok(None),
        })
    }

    /// The hash by which a row is known again: see [`Tally::finish`].
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where a part of the key is missing.
    pub(crate) fn hash(&self, nodes: &[Node<'_>]) -> Result<RowHash> {
        let key = self.key.as_ref().unwrap_or(&Key::Row);
        hash::of_row(key, nodes).map(|hashes| hashes.stored).map_err(|error| self.located(error))
    }

    pub(super) fn without_value<'n>(&self, message: &'static str) -> Result<Verdict<'n>> {
        match self.missing {
            OnCursorValueMissing::Include => Ok(Verdict::Keep(Kept { value: None, hash: None })),
            OnCursorValueMissing::Exclude => Ok(Verdict::Excluded),
            OnCursorValueMissing::Raise => Err(self.refused(message).with_hint(
                "the path names fields of the source; `on_cursor_value_missing` includes or excludes such rows",
            )),
        }
    }

    /// Judges a value. The row is hashed only where it has the value at which the run begins.
    pub(super) fn value<'n>(
        &self,
        value: Cursor<'n>,
        hashes: impl FnOnce() -> Result<Option<hash::Hashes>>,
    ) -> Result<Verdict<'n>> {
        if let Some(end) = &self.end {
            match self.order(&value, end, "end value")? {
                Ordering::Less => {}
                Ordering::Equal if self.range_end == RangeBound::Closed => {}
                _ => return Ok(Verdict::After),
            }
        }
        let mut hash = None;
        if let Some(start) = &self.start {
            match self.order(&value, start, "start value")? {
                Ordering::Less => return Ok(Verdict::Before),
                Ordering::Equal if self.range_start == RangeBound::Open => {
                    return Ok(Verdict::Before);
                }
                Ordering::Equal => {
                    if let Some(found) = hashes()? {
                        if self.knows(&found) {
                            return Ok(Verdict::Before);
                        }
                        hash = Some(found.stored);
                    }
                }
                Ordering::Greater => {}
            }
        }
        Ok(Verdict::Keep(Kept { value: Some(value), hash }))
    }

    pub(super) fn knows(&self, hashes: &hash::Hashes) -> bool {
        let known = |hash| self.start_hashes.contains(hash);
        known(&hashes.stored) || hashes.other.as_ref().is_some_and(known)
    }

    pub(super) fn order(
        &self,
        value: &Cursor<'_>,
        other: &Cursor<'_>,
        name: &'static str,
    ) -> Result<Ordering> {
        self.func.order(value, other).ok_or_else(|| {
            self.refused("the cursor cannot be compared with values of another kind")
                .with("value", value.to_state())
                .with("kind", value.kind())
                .with(name, other.to_state())
                .with(format!("kind of the {name}"), other.kind())
                .with_hint(
                    "all values of a cursor must be of one kind: numbers, or texts of one form; give `initial_value` in \
                     the kind that the rows have",
                )
        })
    }

    pub(super) fn refused(&self, message: &'static str) -> Error {
        self.located(Error::new(ErrorKind::BadData, message))
    }

    pub(super) fn located(&self, error: Error) -> Error {
        error.with("resource", &self.resource).with("cursor_path", self.path.as_str())
    }

    /// Brings together what two runs of rows brought, the first of them first. Associative; nothing at all is
    /// [`Seen::default`].
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where their values cannot be compared.
    pub(crate) fn merge(&self, first: Seen, second: Seen) -> Result<Seen> {
        let counts = Seen {
            read: first.read + second.read,
            kept: first.kept + second.kept,
            ended: first.ended || second.ended,
            ..Seen::default()
        };
        let (last, hashes) = match (first.last, second.last) {
            (Some(one), Some(other)) => match self.order(&other, &one, "last value")? {
                Ordering::Less => (Some(one), first.hashes),
                Ordering::Greater => (Some(other), second.hashes),
                Ordering::Equal => {
                    let mut hashes = first.hashes;
                    hashes.extend(second.hashes);
                    (Some(one), hashes)
                }
            },
            (Some(one), None) => (Some(one), first.hashes),
            (None, other) => (other, second.hashes),
        };
        Ok(Seen { last, hashes, ..counts })
    }

    /// What the state is to hold for this cursor from now on, as dlt holds it. `None` where nothing is to be remembered:
    /// the range had an end.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where the values cannot be compared with the start.
    pub(crate) fn remember(&self, seen: &Seen) -> Result<Option<Json>> {
        if self.end.is_some() {
            return Ok(None);
        }
        let mut stored = self.stored.clone();
        if seen.read > 0 {
            let order = match (&seen.last, &self.last) {
                (Some(value), Some(last)) => {
                    self.order(value, &last.suited(value.kind()), "last value")?
                }
                (Some(_), None) => Ordering::Greater,
                // With a lag, rows before the last value are loaded; it never goes back.
                (None, _) => Ordering::Less,
            };
            if let Some(value) = seen.last.as_ref().filter(|_| order == Ordering::Greater) {
                stored.last_value = value.to_state();
            }
            if seen.kept > 0 {
                stored.start_value = self.stored.last_value.clone();
            }
            let mut hashes = BTreeSet::new();
            if self.key.is_some() {
                if order != Ordering::Greater {
                    hashes.extend(&self.start_hashes);
                }
                if order != Ordering::Less {
                    hashes.extend(&seen.hashes);
                }
            }
            stored.unique_hashes = hashes.into_iter().map(RowHash::to_text).collect();
        }
        Ok(Some(json!({
            "initial_value": stored.initial_value,
            "last_value": stored.last_value,
            "unique_hashes": stored.unique_hashes,
            "start_value": stored.start_value,
        })))
    }

    /// A word on a cursor whose last value so many rows have that the state grows by them.
    pub(crate) fn warning(&self, seen: &Seen) -> Option<String> {
        let count = seen.hashes.len();
        (self.start_hashes.len() <= MANY_HASHES && count > MANY_HASHES).then(|| {
            format!(
                "{count} rows of the resource `{}` have the same last value of the cursor `{}`, and the state remembers \
                 each of them: a cursor of finer steps would need less",
                self.resource,
                self.path.as_str()
            )
        })
    }

    /// Whether the hashes of rows are needed.
    pub(super) fn tells_apart(&self) -> bool {
        self.key.is_some()
    }

    /// Whether rows that are left out for this reason are where the declared order ends.
    pub(super) fn ends(&self, before: bool) -> bool {
        match self.row_order {
            Some(RowOrder::Asc) => !before,
            Some(RowOrder::Desc) => before,
            None => false,
        }
    }
}
