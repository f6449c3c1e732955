//! Whether what a reader sees is what the loads that are complete have left, no row less and none more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::case::{Batch, Mark, Rows, Way, rows_after};

/// The root tables of every load.
pub(crate) const TABLES: [&str; 2] = ["events", "others"];

/// What a reader sees of the dataset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The loads that `_dlt_loads` names.
    pub(crate) loads: Vec<String>,
    /// The loads that the loader's own table names.
    pub(crate) commits: Vec<String>,
    /// The root tables by name.
    pub(crate) tables: BTreeMap<&'static str, Vec<SeenRow>>,
    /// The nested rows: what they say of their parent, and its id.
    pub(crate) tags: Vec<(String, String)>,
    /// The tables of the staging dataset.
    pub(crate) staging: Vec<String>,
}

/// A row of a root table.
#[derive(Clone, Debug)]
pub(crate) struct SeenRow {
    pub(crate) mark: Mark,
    pub(crate) load: String,
    pub(crate) id: String,
}

/// What is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) unexpected: u64,
    /// Loads of which a part is there, or rows of no load.
    pub(crate) half_visible: u64,
    /// Everything else: links, leftovers, in words.
    pub(crate) other: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        *self == Verdict::default()
    }

    pub(crate) fn add(&mut self, other: Verdict) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.unexpected += other.unexpected;
        self.half_visible += other.half_visible;
        self.other.extend(other.other);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { lost, doubled, unexpected, half_visible, other } = self;
        write!(
            f,
            "rows lost {lost}, doubled {doubled}, unexpected {unexpected}, half-visible loads {half_visible}"
        )?;
        match other.as_slice() {
            [] => Ok(()),
            other => write!(f, "; {}", other.join("; ")),
        }
    }
}

/// Holds what is seen against what may be there: after one of these rows of loads.
pub(crate) fn judge(seen: &Seen, way: Way, histories: &[&[Batch]]) -> Verdict {
    let mut verdict = Verdict::default();
    let loads: BTreeSet<&String> = seen.loads.iter().collect();
    if loads.len() != seen.loads.len() {
        verdict.other.push("a load is in _dlt_loads more than once".into());
    }
    if loads != seen.commits.iter().collect() || seen.commits.len() != loads.len() {
        verdict.other.push(format!("_dlt_loads has {loads:?}, the commits are {:?}", seen.commits));
    }
    let Some(history) = histories.iter().find(|history| history.len() == loads.len()) else {
        verdict.other.push(format!("{} loads are complete", loads.len()));
        return verdict;
    };
    let expected = rows_after(way, history);
    let mut torn: BTreeSet<&String> = BTreeSet::new();
    for table in TABLES {
        let rows = seen.tables.get(table).map_or(&[][..], Vec::as_slice);
        torn.extend(rows.iter().map(|row| &row.load).filter(|load| !loads.contains(load)));
        let differs = compare(rows, &expected, &mut verdict);
        let is_between = histories.iter().any(|other| {
            other.len() != history.len()
                && compare(rows, &rows_after(way, other), &mut Verdict::default()) == 0
        });
        if differs > 0 && is_between {
            verdict.other.push(format!("{table} has the rows of another load than _dlt_loads"));
            verdict.half_visible += 1;
        }
    }
    verdict.half_visible += torn.len() as u64;
    links(seen, &mut verdict);
    verdict
}

/// Counts what differs, and returns how much does.
fn compare(rows: &[SeenRow], expected: &Rows, verdict: &mut Verdict) -> u64 {
    let mut there = Rows::new();
    for row in rows {
        *there.entry(row.mark).or_default() += 1;
    }
    let mut differing = 0;
    let marks: BTreeSet<&Mark> = there.keys().chain(expected.keys()).collect();
    for mark in marks {
        let have = there.get(mark).copied().unwrap_or_default();
        let want = expected.get(mark).copied().unwrap_or_default();
        differing += have.abs_diff(want);
        match want {
            0 => verdict.unexpected += have,
            _ if have > want => verdict.doubled += have - want,
            _ => verdict.lost += want - have,
        }
    }
    differing
}

/// Each row has its two nested rows, and each of these its own parent.
fn links(seen: &Seen, verdict: &mut Verdict) {
    let Some(events) = seen.tables.get("events") else { return };
    let mut of_parent: BTreeMap<&String, BTreeMap<&String, u64>> = BTreeMap::new();
    for (tag, parent) in &seen.tags {
        *of_parent.entry(parent).or_default().entry(tag).or_default() += 1;
    }
    for row in events {
        let (batch, seq, _) = row.mark;
        let wanted = [0, 1].map(|index| format!("{batch}-{seq}-{index}"));
        let wanted: BTreeMap<&String, u64> = wanted.iter().map(|tag| (tag, 1)).collect();
        if of_parent.remove(&row.id).unwrap_or_default() != wanted {
            verdict
                .other
                .push(format!("row {batch}-{seq} has other nested rows than it was made with"));
        }
    }
    if !of_parent.is_empty() {
        verdict
            .other
            .push(format!("nested rows of {} parents that are not there", of_parent.len()));
    }
}
