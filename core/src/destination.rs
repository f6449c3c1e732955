//! Where a load ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    Capabilities, Column, Commit, Dataset, Epoch, Job, JobContext, JobOutcome, Load, LoadId,
    Publication, Result, Sha256Hex, StateRow, Table,
};

/// Where a load ends: a warehouse, a database, a lake.
///
/// The engine calls [`describe`](Self::describe), [`apply`](Self::apply), [`fence`](Self::fence), then
/// [`run`](Self::run) for each job, then [`publish`](Self::publish), then [`clear`](Self::clear). After a crash or a
/// lost answer it begins again at the beginning, so every method must bear being repeated. A dropped future is a lost
/// answer: what was sent may or may not be applied. The engine drops what does not answer in time, and what runs when
/// another job fails.
///
/// The trait has no default methods, so that a wrapper cannot forget one.
#[async_trait]
pub trait Destination: fmt::Debug + Send + Sync + 'static {
    /// What it can do. What is not claimed is never asked.
    fn capabilities(&self) -> &Capabilities;

    /// What tells this place from any other of its kind, without secrets: the absolute path of a file, host and
    /// database, the URL of a bucket. A load that was begun for one place is never finished in another.
    fn identity(&self) -> String;

    /// The type by which a column is created here, in the words in which [`describe`](Self::describe) gives it back. The
    /// engine refuses a load whose column has another type in the dataset, since casts there may change values.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a column that cannot be had here.
    fn native_type(&self, column: &Column) -> Result<String>;

    /// Whether a column of the type `from` can be made one of the type `to` with every value that it may hold unchanged, by
    /// [`SchemaChange::WidenColumn`]. Both are words of [`native_type`](Self::native_type).
    fn widens(&self, from: &str, to: &str) -> bool;

    /// Whether such a table can be created here: what hints say of it as a whole is understood, and can be had. Asked before
    /// a load is sealed, for each table that it will create; columns are asked for by [`native_type`](Self::native_type).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a hint that cannot be followed.
    fn check_table(&self, table: &Table) -> Result<()>;

    /// Whether it can be reached and written to. Leaves nothing behind.
    async fn check(&self) -> Result<()>;

    /// What it holds. A dataset that does not exist is no error: [`DatasetState::exists`] is false. What was committed
    /// before a call of [`fence`](Self::fence) returned is seen by every later call of this.
    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState>;

    /// Makes these changes, all of them additions: no value that is there is lost or changed. A change that is there already counts as made. Returns the
    /// statements that were run, without secrets.
    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>>;

    /// Raises the fence of a pipeline to a new value and returns it, with what the fence says of the last load. From
    /// then on no loader with an older value can publish. Creates what it needs to keep a fence.
    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence>;

    /// Runs a job: a `Load`, a `Copy`, or a `Custom` of its own. Running it twice has the effect of running it once.
    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome>;

    /// Makes the load visible in one atomic step; see [`Publication`] for what it owes.
    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit>;

    /// Removes what the load left behind, in this epoch and in earlier ones: staging tables, uploaded files. Is called
    /// only after the commit was seen, or on request for a dead load; more than once, too.
    async fn clear(&self, load: &Load) -> Result<()>;

    /// The loads that are complete in a dataset, and the tables that lie in its staging dataset. What does not exist holds
    /// nothing, and is not made.
    async fn survey(&self, dataset: &Dataset) -> Result<Survey>;

    /// Drops these tables of the staging dataset, on request: those of dead loads. One that is gone already is no error.
    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()>;
}

/// What a dataset and its staging dataset hold of loads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The loads that are complete, whichever tool loaded them.
    pub loads: BTreeSet<LoadId>,
    /// The names of all tables in the staging dataset, as the engine gives them: [`crate::staging_table_owner`] tells
    /// whose they are.
    pub staging_tables: Vec<String>,
}

/// What the engine wants to know of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// The dataset.
    pub dataset: Dataset,
    /// The pipeline whose state and fence are meant.
    pub pipeline: String,
    /// The schema whose newest version is meant.
    pub schema: String,
    /// The load whose commit is looked for.
    pub load: Option<LoadId>,
}

/// What a dataset holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetState {
    /// Whether it exists.
    pub exists: bool,
    /// Its tables, with their columns in their order.
    pub tables: BTreeMap<String, Vec<ExistingColumn>>,
    /// The newest stored schema of that name, as JSON.
    pub schema: Option<String>,
    /// The hashes of all stored versions of that schema, the newest first: a load stores its schema where it is not that.
    pub schema_hashes: Vec<String>,
    /// The newest committed state of the pipeline.
    pub state: Option<StateRow>,
    /// The fence of the pipeline; `None` where it never loaded.
    pub fence: Option<Fence>,
    /// The commit of the load that was asked for.
    pub commit: Option<CommitRecord>,
}

/// A column that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingColumn {
    /// Its name.
    pub name: String,
    /// Its type in the engine's own words.
    pub native_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// The fence of a pipeline: the one row that every loader of it changes, at the start and in the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Its value.
    pub epoch: Epoch,
    /// The last load that was published.
    pub last_load: Option<LoadId>,
    /// Who raised it last: host, process, time.
    pub owner: String,
}

/// What is known of a load with the id that was asked for. Only one with the digest of the load itself proves that it was
/// published; any other means that the id is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The load.
    pub load_id: LoadId,
    /// The digest of its manifest. `None` where another tool wrote the load.
    pub digest: Option<Sha256Hex>,
}

/// One change of a dataset. The engine computes them; a destination makes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SchemaChange {
    /// Creates the dataset, with its system tables.
    CreateDataset,
    /// Creates a table with all its columns.
    CreateTable(Table),
    /// Adds columns to a table.
    AddColumns {
        /// The table.
        table: String,
        /// The columns.
        columns: Vec<Column>,
    },
    /// Gives a column the type of this one, which [holds](Destination::widens) all that it may hold now.
    WidenColumn {
        /// The table.
        table: String,
        /// The column as it is to be.
        column: Column,
    },
}

impl SchemaChange {
    /// The columns that it makes: none where it widens one.
    pub fn new_columns(&self) -> Box<dyn Iterator<Item = &Column> + '_> {
        match self {
            Self::CreateTable(table) => Box::new(table.complete_columns()),
            Self::AddColumns { columns, .. } => Box::new(columns.iter()),
            Self::CreateDataset | Self::WidenColumn { .. } => Box::new(std::iter::empty()),
        }
    }
}
