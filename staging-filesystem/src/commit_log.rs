//! The commit log of a pipeline in a dataset: fence, order and proof of its loads.
//!
//! One object an entry, numbered without gaps, each created only where none is. So of two writers of one number one
//! wins, and whoever holds the newest entry is the only one who can write the next: a start takes the right to commit
//! away from everyone before it, and a commit can only follow the start of the loader that makes it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use transload_core::{Error, ErrorKind, LoadId, Result, Sha256Hex, escape_segment};

use crate::store::{Created, Store, nonce, repeatable};
use crate::time::Moment;

/// The folder of the logs in a dataset.
pub(crate) const FOLDER: &str = "_transload_commits";

/// The version of the entries' format that is written.
const FORMAT: u32 = 1;

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u32,
    pub(crate) seq: u64,
    /// Who wrote it.
    pub(crate) owner: String,
    /// Tells the entries of two writers with the same owner apart.
    nonce: String,
    at: String,
    /// The number of the newest commit before this entry.
    last_commit: Option<u64>,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A loader began: those before it can no longer commit.
    Start,
    /// A load was published.
    Commit(Box<CommitEntry>),
}

/// A publication: what it was, and everything that has to follow it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitEntry {
    pub(crate) load_id: LoadId,
    pub(crate) digest: Sha256Hex,
    /// The load that was published before.
    pub(crate) previous: Option<LoadId>,
    /// The greatest load id up to here. A greater one need not be looked for among earlier entries.
    pub(crate) greatest_load_id: LoadId,
    pub(crate) published_at: String,
    pub(crate) schema_name: String,
    pub(crate) schema_version_hash: String,
    /// Data files that came.
    pub(crate) added: Vec<AddedFile>,
    /// Keys of data files that go, below the folder of the dataset.
    pub(crate) removed: Vec<String>,
    /// Rows for dlt's folders, in the order in which they are written. The last one says that all of it is done.
    pub(crate) rows: Vec<Row>,
}

/// A data file of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddedFile {
    pub(crate) table: String,
    /// Below the folder of the dataset.
    pub(crate) key: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256Hex,
}

/// A row in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Below the folder of the dataset.
    pub(crate) key: String,
    /// One line of JSON.
    pub(crate) line: String,
}

impl Entry {
    fn new(seq: u64, owner: &str, last_commit: Option<u64>, kind: Kind) -> Self {
        let (owner, nonce, at) = (owner.to_owned(), nonce(), Moment::now().to_rfc3339());
        Self { format: FORMAT, seq, owner, nonce, at, last_commit, kind }
    }

    /// What it publishes, if it is a commit.
    pub(crate) fn commit(&self) -> Option<&CommitEntry> {
        match &self.kind {
            Kind::Commit(commit) => Some(commit),
            Kind::Start => None,
        }
    }

    /// The number of the newest commit up to this entry.
    fn commit_so_far(&self) -> Option<u64> {
        if self.commit().is_some() { Some(self.seq) } else { self.last_commit }
    }
}

/// The log of one pipeline in one dataset.
#[derive(Debug)]
pub(crate) struct CommitLog<'s> {
    store: &'s Store,
    folder: String,
}

impl<'s> CommitLog<'s> {
    pub(crate) fn new(store: &'s Store, dataset: &str, pipeline: &str) -> Self {
        Self { store, folder: format!("{dataset}/{FOLDER}/{}", escape_segment(pipeline)) }
    }

    /// The logs of all pipelines in a dataset.
    pub(crate) async fn all(store: &'s Store, dataset: &str) -> Result<Vec<Self>> {
        let objects = store.list(&format!("{dataset}/{FOLDER}/")).await?;
        let mut folders: Vec<String> = objects
            .iter()
            .filter_map(|object| object.key.rsplit_once('/').map(|(folder, _)| folder.to_owned()))
            .collect();
        folders.dedup();
        Ok(folders.into_iter().map(|folder| Self { store, folder }).collect())
    }

    fn key(&self, seq: u64) -> String {
        format!("{}/{seq:020}.json", self.folder)
    }

    /// The entry of this number.
    pub(crate) async fn entry(&self, seq: u64) -> Result<Option<Entry>> {
        let key = self.key(seq);
        let bytes = self.store.read(&key).await?;
        bytes.map(|bytes| self.parse(&key, &bytes)).transpose()
    }

    fn parse(&self, key: &str, bytes: &[u8]) -> Result<Entry> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let damaged = |source: serde_json::Error| {
            Error::new(ErrorKind::Terminal, "an entry of the commit log is damaged")
                .with("entry", self.store.url(key))
                .with_hint("restore the object: without it nobody knows which loads were published")
                .with_source(source)
        };
        let format = serde_json::from_slice::<FormatOnly>(bytes).map_err(damaged)?.format;
        if format > FORMAT {
            return Err(Error::new(
                ErrorKind::Terminal,
                "the commit log was written by a newer version",
            )
            .with("entry", self.store.url(key))
            .with("format", format)
            .with("understood", FORMAT)
            .with_hint("load with the version that wrote it, or a newer one"));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// An entry that another one names.
    async fn named(&self, seq: u64) -> Result<Entry> {
        self.entry(seq).await?.ok_or_else(|| {
            Error::new(ErrorKind::Terminal, "the commit log has a gap")
                .with("entry", self.store.url(&self.key(seq)))
                .with_hint("restore the object: without it nobody knows which loads were published")
        })
    }

    /// The newest entry.
    pub(crate) async fn newest(&self) -> Result<Option<Entry>> {
        let prefix = format!("{}/", self.folder);
        let numbers = self.store.list(&prefix).await?.into_iter().filter_map(|object| {
            let number = object.key.strip_prefix(&prefix)?.strip_suffix(".json")?;
            if number.len() == 20 { number.parse::<u64>().ok() } else { None }
        });
        match numbers.max() {
            Some(seq) => self.named(seq).await.map(Some),
            None => Ok(None),
        }
    }

    /// The newest commit up to this entry.
    pub(crate) async fn newest_commit(&self, entry: &Entry) -> Result<Option<Entry>> {
        match entry.commit_so_far() {
            Some(seq) if seq == entry.seq => Ok(Some(entry.clone())),
            Some(seq) => self.named(seq).await.map(Some),
            None => Ok(None),
        }
    }

    /// The commit of a load among the commits up to this entry.
    pub(crate) async fn find(&self, newest: &Entry, load_id: &LoadId) -> Result<Option<Entry>> {
        let mut next = self.newest_commit(newest).await?;
        while let Some(entry) = next {
            match entry.commit() {
                Some(commit) if commit.load_id == *load_id => return Ok(Some(entry)),
                Some(commit) if commit.greatest_load_id < *load_id => return Ok(None),
                _ => {}
            }
            next = self.commit_before(&entry).await?;
        }
        Ok(None)
    }

    /// The newest commit before this entry.
    pub(crate) async fn commit_before(&self, entry: &Entry) -> Result<Option<Entry>> {
        match entry.last_commit {
            Some(seq) => self.named(seq).await.map(Some),
            None => Ok(None),
        }
    }

    /// The keys of the files that commits after this entry have added.
    pub(crate) async fn added_after(&self, entry: &Entry) -> Result<BTreeSet<String>> {
        let mut added = BTreeSet::new();
        let mut next = match self.newest().await? {
            Some(newest) => self.newest_commit(&newest).await?,
            None => None,
        };
        while let Some(later) = next.filter(|later| later.seq > entry.seq) {
            let commit = later.commit().into_iter();
            added.extend(commit.flat_map(|commit| &commit.added).map(|file| file.key.clone()));
            next = self.commit_before(&later).await?;
        }
        Ok(added)
    }

    /// Raises the fence: writes a start after whatever is the newest entry.
    pub(crate) async fn start(&self, owner: &str) -> Result<Entry> {
        const TRIES: usize = 1_000;
        let mut newest = self.newest().await?;
        for _ in 0..TRIES {
            let seq = newest.as_ref().map_or(1, |entry| entry.seq + 1);
            let last_commit = newest.as_ref().and_then(Entry::commit_so_far);
            let start = Entry::new(seq, owner, last_commit, Kind::Start);
            // A start that arrives late only raises the fence once more, so it may be written again.
            let created = self.create(&start).await.map_err(repeatable)?;
            match created {
                None => return Ok(start),
                other => newest = other,
            }
        }
        Err(Error::new(ErrorKind::Transient, "other loaders keep raising the fence")
            .with("log", self.store.url(&self.folder)))
    }

    /// Writes a commit right after the start that allows it. Returns the entry that stands there then: this one, or one
    /// that another writer was faster with.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] where it cannot be told whether it stands.
    pub(crate) async fn commit(&self, start: &Entry, commit: CommitEntry) -> Result<Entry> {
        let kind = Kind::Commit(Box::new(commit));
        let entry = Entry::new(start.seq + 1, &start.owner, start.last_commit, kind);
        Ok(self.create(&entry).await?.unwrap_or(entry))
    }

    /// Writes an entry; returns the one that is there instead.
    async fn create(&self, entry: &Entry) -> Result<Option<Entry>> {
        let bytes = serde_json::to_vec(entry).expect("an entry has only text keys");
        let key = self.key(entry.seq);
        match self.store.create(&key, &Bytes::from(bytes)).await? {
            Created::Equal => Ok(None),
            Created::Other(bytes) => self.parse(&key, &bytes).map(Some),
        }
    }
}
