//! What a publication brings and what it takes away.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _};
use transload_core::{
    Commit, Disposition, Error, ErrorKind, Job, JobContext, LoadId, MANIFEST_NAME, Publication,
    ReplaceStrategy, Result, TableChain,
};

use crate::bookkeeping::load_ids;
use crate::commit_log::{AddedFile, CommitLog};
use crate::destination::FilesystemDestination;

/// Requests that look at files at once.
const LOOKS_AT_ONCE: usize = 16;

impl FilesystemDestination {
    /// The files of a publication, each held against what lies in the store.
    pub(crate) async fn added(
        &self,
        publication: &Publication,
        context: &JobContext<'_>,
    ) -> Result<Vec<AddedFile>> {
        let mut files = Vec::new();
        for table in publication.tables() {
            let mut rows = 0;
            for job in &table.jobs {
                let Job::Load(load) = job else {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "a file store loads local files only",
                    )
                    .with("job", job.id()));
                };
                rows += load.file.rows;
                files.push(AddedFile {
                    table: table.table.clone(),
                    key: self.key_of(&load.file, context)?,
                    rows: load.file.rows,
                    bytes: load.file.bytes,
                    sha256: load.file.sha256.clone(),
                });
            }
            if rows != table.rows {
                return Err(Error::new(
                    ErrorKind::Terminal,
                    "the files do not hold the rows of the load",
                )
                .with("table", &table.table)
                .with("rows of the files", rows)
                .with("rows of the load", table.rows));
            }
        }
        let dataset = &context.load.dataset.name;
        let looks = files.iter().map(|file| async move {
            let key = format!("{dataset}/{}", file.key);
            match self.store.head(&key).await? {
                Some(found) if found.bytes == file.bytes => Ok(()),
                found => Err(Error::new(
                    ErrorKind::Transient,
                    "a data file is not there as it was loaded",
                )
                .with("object", self.store.url(&key))
                .with("bytes", found.map_or("none".into(), |found| found.bytes.to_string()))
                .with("expected", file.bytes)
                .with_hint("resume the load: what is missing is loaded again")),
            }
        });
        let looks: Vec<_> = looks.collect();
        futures::stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).try_collect::<()>().await?;
        Ok(files)
    }

    /// The keys of the files that a publication replaces: those of the chains that are replaced, from whatever load that
    /// was published. What no published load has brought stays: another pipeline may be about to publish it.
    pub(crate) async fn removed(
        &self,
        publication: &Publication,
        context: &JobContext<'_>,
        added: &[AddedFile],
    ) -> Result<Vec<String>> {
        let dataset = &context.load.dataset.name;
        let mut tables = BTreeSet::new();
        for chain in &publication.chains {
            if replaces(chain)? {
                tables.extend(chain.tables().map(|table| table.table.as_str()));
                // A nested table without rows in this load becomes empty too.
                tables.extend(context.schema.chain_of(&chain.root.table));
            }
        }
        let own: BTreeSet<&str> = added.iter().map(|file| file.key.as_str()).collect();
        let mut there = BTreeSet::new();
        for table in tables {
            let prefix = self.layout.prefix(&context.schema.name, table)?;
            let objects = self.store.list(&format!("{dataset}/{prefix}")).await?;
            // A pipeline of the table's name that stages in the same place has its folders here.
            let staged: Vec<&str> = objects
                .iter()
                .filter_map(|object| object.key.strip_suffix(MANIFEST_NAME))
                .collect();
            for object in &objects {
                let key =
                    object.key.strip_prefix(dataset.as_str()).and_then(|key| key.strip_prefix('/'));
                let Some(key) = key else { continue };
                if !own.contains(key) && !staged.iter().any(|folder| object.key.starts_with(folder))
                {
                    there.insert(key.to_owned());
                }
            }
        }
        self.published(dataset, there).await
    }

    /// Those of these files that a published load has brought: one whose row of dlt's is there, or a commit says so.
    async fn published(&self, dataset: &str, mut files: BTreeSet<String>) -> Result<Vec<String>> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let mut published = Vec::new();
        if self.layout.names_the_load() {
            let loads = load_ids(&self.store, dataset).await?;
            files.retain(|key| {
                let of = |load: &LoadId| {
                    key.contains(load.as_str()) && self.layout.is_of_load(key, load)
                };
                let is_published = loads.iter().any(of);
                if is_published {
                    published.push(key.clone());
                }
                !is_published
            });
        }
        // The rest: the names do not tell, or the row is not written yet.
        for log in CommitLog::all(&self.store, dataset).await? {
            if files.is_empty() {
                break;
            }
            let mut next = match log.newest().await? {
                Some(newest) => log.newest_commit(&newest).await?,
                None => None,
            };
            while let Some(entry) = next.filter(|_| !files.is_empty()) {
                for file in entry.commit().into_iter().flat_map(|commit| &commit.added) {
                    published.extend(files.take(&file.key));
                }
                next = log.commit_before(&entry).await?;
            }
        }
        published.sort();
        Ok(published)
    }
}

fn replaces(chain: &TableChain) -> Result<bool> {
    match chain.disposition {
        Disposition::Append => Ok(false),
        Disposition::Replace(ReplaceStrategy::TruncateAndInsert) => Ok(true),
        other => Err(Error::new(ErrorKind::Unsupported, "a file store appends and replaces only")
            .with("table", &chain.root.table)
            .with("asked for", format!("{other:?}"))),
    }
}

/// What is answered to a publication that stands.
pub(crate) fn committed(publication: &Publication) -> Commit {
    let mut commit = Commit::default();
    for table in publication.tables() {
        commit.rows.insert(table.table.clone(), table.rows);
        commit.statements.insert(table.table.clone(), table.jobs.len() as u64);
    }
    commit
}
