//! What the rows of a chunk bring: the last value of the cursor, and the hashes of the rows that have it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use transload_core::Result;

use super::cursor::{Judge, Kept, Verdict};
use super::hash::RowHash;
use super::value::Cursor;

/// What a chunk of rows is counted up to, row by row.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: Seen,
    /// Rows with the last value whose hashes are not known: most rows are overtaken by the next one, and need none.
    rows: Vec<usize>,
}

/// What rows of a resource brought, to be merged with what others brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The latest value among the rows that are loaded.
    pub(super) last: Option<Cursor<'static>>,
    /// The hashes of the rows that have it.
    pub(super) hashes: BTreeSet<RowHash>,
    /// Rows that were judged.
    pub(crate) read: u64,
    /// Rows that are loaded.
    pub(crate) kept: u64,
    /// Whether rows left the range at the end that was declared, so that nothing more is to be expected.
    pub(crate) ended: bool,
}

impl Tally {
    /// Counts a row, once it is certain that it is loaded or left out. `index` is the number of the row in its chunk.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where its cursor cannot be compared with those before.
    pub(crate) fn count(
        &mut self,
        judge: &Judge,
        index: usize,
        verdict: Verdict<'_>,
    ) -> Result<()> {
        self.seen.read += 1;
        let Kept { value, hash } = match verdict {
            Verdict::Keep(kept) => kept,
            Verdict::Excluded => return Ok(()),
            Verdict::Before => {
                self.seen.ended |= judge.ends(true);
                return Ok(());
            }
            Verdict::After => {
                self.seen.ended |= judge.ends(false);
                return Ok(());
            }
        };
        self.seen.kept += 1;
        let Some(value) = value else { return Ok(()) };
        let order = match &self.seen.last {
            Some(last) => judge.order(&value, last, "last value")?,
            None => Ordering::Greater,
        };
        if order == Ordering::Less {
            return Ok(());
        }
        if order == Ordering::Greater {
            self.seen.last = Some(value.into_owned());
            self.seen.hashes.clear();
            self.rows.clear();
        }
        if judge.tells_apart() {
            match hash {
                Some(hash) => {
                    self.seen.hashes.insert(hash);
                }
                None => self.rows.push(index),
            }
        }
        Ok(())
    }

    /// What the chunk brought. `hash` gives the hash of a row by its number: its text is parsed again and given to
    /// [`Judge::hash`].
    ///
    /// # Errors
    /// Those of `hash`.
    pub(crate) fn finish(mut self, mut hash: impl FnMut(usize) -> Result<RowHash>) -> Result<Seen> {
        for row in self.rows {
            self.seen.hashes.insert(hash(row)?);
        }
        Ok(self.seen)
    }
}
