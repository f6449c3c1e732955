//! A load as a case describes it: chains of tables with their files.

use crate::{
    DataFile, Disposition, Job, Load, LoadId, LoadJob, Publication, Schema, StateRow, TableChain,
    TablePublication,
};

/// A load, sealed: what follows is a function of it and of the destination's answers.
#[derive(Clone, Debug)]
pub(super) struct Package {
    /// The load; its epoch is that of the last fence.
    pub(super) load: Load,
    /// Its chains.
    pub(super) chains: Vec<Chain>,
    /// The schema after it.
    pub(super) schema: Schema,
    /// The state after it.
    pub(super) state: Option<StateRow>,
    /// The time of its system rows.
    pub(super) published_at: String,
}

/// A root table and those nested in it.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// What happens to the rows that are there.
    pub(super) disposition: Disposition,
    /// The root first.
    pub(super) parts: Vec<Part>,
}

/// A table with its files.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The table.
    pub(super) table: String,
    /// Its files.
    pub(super) files: Vec<DataFile>,
}

impl Part {
    /// A table with these files.
    pub(super) fn of(table: &str, files: impl IntoIterator<Item = DataFile>) -> Self {
        Self { table: table.to_owned(), files: files.into_iter().collect() }
    }

    /// A table of which this load has no rows.
    pub(super) fn empty(table: &str) -> Self {
        Self::of(table, [])
    }

    fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

impl Chain {
    /// One table to which rows are added.
    pub(super) fn append(part: Part) -> Self {
        Self::of(Disposition::Append, [part])
    }

    /// A chain.
    pub(super) fn of(disposition: Disposition, parts: impl IntoIterator<Item = Part>) -> Self {
        Self { disposition, parts: parts.into_iter().collect() }
    }
}

impl Package {
    /// Every file.
    pub(super) fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.chains.iter().flat_map(|chain| &chain.parts).flat_map(|part| &part.files)
    }

    /// The jobs that load its files where they lie.
    pub(super) fn load_jobs(&self) -> Vec<Job> {
        self.files().map(|file| Job::Load(LoadJob { file: file.clone() })).collect()
    }

    /// Its publication, by these jobs.
    pub(super) fn publication(
        &self,
        jobs: &[Job],
        previous: Option<LoadId>,
        stores_schema: bool,
    ) -> Publication {
        let of = |part: &Part| TablePublication {
            table: part.table.clone(),
            rows: part.rows(),
            jobs: jobs.iter().filter(|job| job.table() == part.table).cloned().collect(),
        };
        let chains = self.chains.iter().filter_map(|chain| {
            let (root, nested) = chain.parts.split_first()?;
            Some(TableChain {
                disposition: chain.disposition,
                root: of(root),
                nested: nested.iter().map(of).collect(),
            })
        });
        Publication {
            previous,
            chains: chains.collect(),
            state: self.state.clone(),
            stores_schema,
            published_at: self.published_at.clone(),
        }
    }
}
