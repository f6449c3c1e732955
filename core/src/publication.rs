//! The one atomic step in which a load becomes visible.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Job, LoadId, MergeStrategy, ReplaceStrategy, StateRow, Usage};

/// Everything that becomes visible at once: the rows of all tables, the state, the schema and the commit itself.
///
/// A destination that publishes does, in ONE transaction and in this order:
///
/// 1. change the fence from the epoch of the load to the next value, and stop with [`crate::ErrorKind::Fenced`] where
///    it is no longer that epoch or the last load is not [`Publication::previous`];
/// 2. bring in the rows of every table and refuse the publication where their number is not [`TablePublication::rows`];
/// 3. write the state, the schema, the `_dlt_loads` row and the commit row;
/// 4. commit. Where the answer to the commit is lost it says [`crate::ErrorKind::OutcomeUnknown`], never success and
///    never failure.
///
/// No DDL and no TRUNCATE is among these steps where the engine would commit on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    /// The load that the fence names as the last one published by this pipeline.
    pub previous: Option<LoadId>,
    /// The chains, each merged or replaced as one.
    pub chains: Vec<TableChain>,
    /// The new row of `_dlt_pipeline_state`, where the state has changed.
    pub state: Option<StateRow>,
    /// Whether the schema of the context is new to the dataset and goes into `_dlt_version`.
    pub stores_schema: bool,
    /// The time for the system tables, RFC 3339, UTC, to the microsecond.
    pub published_at: String,
}

impl Publication {
    /// Every table of every chain.
    pub fn tables(&self) -> impl Iterator<Item = &TablePublication> {
        self.chains.iter().flat_map(TableChain::tables)
    }
}

/// A root table and those nested in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableChain {
    /// What happens to the rows that are there.
    pub disposition: Disposition,
    /// The root.
    pub root: TablePublication,
    /// The nested tables, parents before children.
    pub nested: Vec<TablePublication>,
}

impl TableChain {
    /// The root, then the nested tables.
    pub fn tables(&self) -> impl Iterator<Item = &TablePublication> {
        std::iter::once(&self.root).chain(&self.nested)
    }
}

/// What a publication does with the rows that a chain holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Disposition {
    /// They stay.
    Append,
    /// They go.
    Replace(ReplaceStrategy),
    /// Those with a key of this load make room, each strategy in its way.
    Merge(MergeStrategy),
}

/// One table of a publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TablePublication {
    /// The table.
    pub table: String,
    /// The rows of this load: the manifest's number.
    pub rows: u64,
    /// The jobs that bring them: [`Job::Copy`] or [`Job::Load`]. They have run already, into private staging tables
    /// named after load, epoch and job ([`crate::sql::staging_name`]), unless the destination says
    /// [`loads_in_publication`](crate::Capabilities::loads_in_publication): then publishing runs them.
    pub jobs: Vec<Job>,
}

/// What was published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Rows that arrived, by table.
    pub rows: BTreeMap<String, u64>,
    /// Statements that loaded rows, by table: one COPY counts one.
    pub statements: BTreeMap<String, u64>,
    /// What the publication has used of the destination.
    #[serde(default, skip_serializing_if = "Usage::is_empty")]
    pub usage: Usage,
    /// What stopped nothing and should be known, a sentence each: it stands in the receipt, and is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
