//! What is loaded, by which way, and which rows must then be there: the cases as data.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use transload::core::{Capabilities, MergeStrategy, ReplaceStrategy};
use transload::{Resource, WriteDisposition};

/// The road of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Route {
    /// The destination reads the package.
    Direct,
    /// Through a folder.
    Folder,
    /// Through the S3 test server.
    S3,
}

/// What becomes of the rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    Append,
    TruncateAndInsert,
    InsertFromStaging,
    StagingOptimized,
    DeleteInsert,
    Upsert,
    InsertOnly,
    Scd2,
}

impl Way {
    /// Every way that there is. Those that the destination does not claim are left out when the tests run, and told.
    pub(crate) const ALL: [Way; 8] = [
        Way::Append,
        Way::TruncateAndInsert,
        Way::InsertFromStaging,
        Way::StagingOptimized,
        Way::DeleteInsert,
        Way::Upsert,
        Way::InsertOnly,
        Way::Scd2,
    ];

    fn replace(self) -> Option<ReplaceStrategy> {
        match self {
            Way::TruncateAndInsert => Some(ReplaceStrategy::TruncateAndInsert),
            Way::InsertFromStaging => Some(ReplaceStrategy::InsertFromStaging),
            Way::StagingOptimized => Some(ReplaceStrategy::StagingOptimized),
            _ => None,
        }
    }

    fn merge(self) -> Option<MergeStrategy> {
        match self {
            Way::DeleteInsert => Some(MergeStrategy::DeleteInsert),
            Way::Upsert => Some(MergeStrategy::Upsert),
            Way::InsertOnly => Some(MergeStrategy::InsertOnly),
            Way::Scd2 => Some(MergeStrategy::Scd2),
            _ => None,
        }
    }

    pub(crate) fn is_claimed(self, capabilities: &Capabilities) -> bool {
        match (self.replace(), self.merge()) {
            (Some(strategy), _) => capabilities.replace_strategies.contains(&strategy),
            (_, Some(strategy)) => capabilities.merge_strategies.contains(&strategy),
            _ => capabilities.write_dispositions.contains(&WriteDisposition::Append),
        }
    }

    /// Whether a load must follow the one after which it was made.
    pub(crate) fn is_ordered(self) -> bool {
        self != Way::Append
    }
}

/// One load that is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) route: Route,
    pub(crate) way: Way,
    /// Whether the dataset is not there yet; else it holds the rows of an earlier load.
    pub(crate) fresh: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fresh = if self.fresh { ", first load" } else { "" };
        write!(f, "{:?} {:?}{fresh}", self.route, self.way)
    }
}

/// The rows of one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Batch {
    Old,
    New,
}

impl Batch {
    pub(crate) const ALL: [Batch; 2] = [Batch::Old, Batch::New];

    pub(crate) fn number(self) -> u64 {
        match self {
            Batch::Old => 0,
            Batch::New => 1,
        }
    }

    /// How many rows it has, and their first key: some keys are in both.
    fn shape(self) -> (u64, u64) {
        match self {
            Batch::Old => (6, 0),
            Batch::New => (9, 3),
        }
    }

    /// Its rows by key: (sequence number, key).
    fn rows(self) -> impl Iterator<Item = (u64, u64)> {
        let (rows, first) = self.shape();
        (0..rows).map(move |seq| (seq, first + seq))
    }

    /// The files of its rows in a folder: those of a root table with a nested one, and of a table beside it. The new
    /// rows have a column more, and one line that is no row.
    pub(crate) fn write(self, folder: &Path) {
        let batch = self.number();
        let mut events = Vec::new();
        let mut others = Vec::new();
        for (seq, key) in self.rows() {
            let extra = if self == Batch::New { r#", "extra": "x""# } else { "" };
            let row = format!(r#""batch": {batch}, "seq": {seq}, "key": {key}{extra}"#);
            events.push(format!(r#"{{{row}, "tags": ["{batch}-{seq}-0", "{batch}-{seq}-1"]}}"#));
            others.push(format!("{{{row}}}"));
        }
        if self == Batch::New {
            others.push(r#"{"batch": 1, "seq"}"#.to_owned());
        }
        for (name, lines) in [("events", events), ("others", others)] {
            let path = folder.join(format!("{name}-{batch}.jsonl"));
            std::fs::write(path, lines.join("\n")).expect("the rows can be written");
        }
    }

    /// The same as resources.
    pub(crate) fn resources(self, way: Way) -> Vec<Resource> {
        let resource = |name: &str| {
            let file = format!("{name}-{}.jsonl", self.number());
            let resource = Resource::files(name, [file]);
            match (way.replace(), way.merge()) {
                (Some(strategy), _) => {
                    resource.write_disposition(WriteDisposition::Replace).replace_strategy(strategy)
                }
                (_, Some(strategy)) => resource
                    .write_disposition(WriteDisposition::Merge)
                    .merge_strategy(strategy)
                    .primary_key(["key"]),
                _ => resource.write_disposition(WriteDisposition::Append),
            }
        };
        vec![resource("events"), resource("others")]
    }
}

/// A row as it can be told from all others: its batch, its sequence number, and whether it is valid (all but those that
/// `scd2` has retired).
pub(crate) type Mark = (u64, u64, bool);

/// Rows of a table, and how often each is there.
pub(crate) type Rows = BTreeMap<Mark, u64>;

/// The rows that these loads leave, one after the other.
pub(crate) fn rows_after(way: Way, loads: &[Batch]) -> Rows {
    let mut table: Vec<(Mark, u64)> = Vec::new();
    for load in loads {
        let rows: Vec<(Mark, u64)> =
            load.rows().map(|(seq, key)| ((load.number(), seq, true), key)).collect();
        let has = |key: u64| rows.iter().any(|(_, other)| *other == key);
        match way {
            Way::Append => table.extend(&rows),
            Way::TruncateAndInsert | Way::InsertFromStaging | Way::StagingOptimized => {
                table = rows;
            }
            Way::DeleteInsert | Way::Upsert => {
                table.retain(|(_, key)| !has(*key));
                table.extend(&rows);
            }
            Way::InsertOnly => {
                let new = rows.iter().filter(|(_, key)| !table.iter().any(|(_, k)| k == key));
                let new: Vec<_> = new.copied().collect();
                table.extend(new);
            }
            Way::Scd2 => {
                // A row that is as it was stays; every other one is retired, also those whose key did not come again.
                for row in &mut table {
                    row.0.2 &= rows.iter().any(|new| new.0 == row.0);
                }
                let new = rows.iter().filter(|row| !table.iter().any(|there| there.0 == row.0));
                let new: Vec<_> = new.copied().collect();
                table.extend(new);
            }
        }
    }
    let mut rows = Rows::new();
    for (mark, _) in table {
        *rows.entry(mark).or_default() += 1;
    }
    rows
}
