//! Where in-memory datasets lie, and what they hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sql::Row;
use crate::{Column, Epoch, Fence, LoadId, Sha256Hex, StateRow};

/// A row: the texts of its values, in their one form, by column. What is NULL is absent.
pub type Record = BTreeMap<String, String>;

/// Datasets by name. Clones are one place.
#[derive(Clone, Debug, Default)]
pub struct MemoryPlace {
    datasets: Arc<Mutex<BTreeMap<String, MemoryDataset>>>,
    number: Arc<()>,
}

/// What a dataset holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryDataset {
    /// Its tables.
    pub tables: BTreeMap<String, MemoryTable>,
    /// The fences, by pipeline.
    pub fences: BTreeMap<String, Fence>,
    /// The commits, the oldest first.
    pub commits: Vec<MemoryCommit>,
    /// The stored schemas, the oldest first.
    pub schemas: Vec<MemorySchema>,
    /// The newest states, by pipeline.
    pub states: BTreeMap<String, StateRow>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryTable {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub records: Vec<Record>,
    /// In a staging dataset: the load and the epoch whose private table it is.
    pub owner: Option<(LoadId, Epoch)>,
}

/// A load that was published.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryCommit {
    /// The load.
    pub load_id: LoadId,
    /// Its pipeline.
    pub pipeline: String,
    /// The digest of its manifest.
    pub digest: Sha256Hex,
}

/// A schema that was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct MemorySchema {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Its hash.
    pub hash: String,
    /// Itself, as JSON.
    pub text: String,
}

impl MemoryPlace {
    /// All datasets, for as long as nobody else may look at them.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<String, MemoryDataset>> {
        self.datasets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values of these columns in all rows of a table.
    pub fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Vec<Row> {
        let datasets = self.lock();
        let table = datasets.get(dataset).and_then(|dataset| dataset.tables.get(table));
        let row = |record: &Record| {
            columns.iter().map(|column| record.get(&column.name).cloned()).collect()
        };
        table.into_iter().flat_map(|table| &table.records).map(row).collect()
    }

    /// What tells this place from others.
    pub(super) fn identity(&self) -> String {
        format!("memory:{:p}", Arc::as_ptr(&self.number))
    }
}
