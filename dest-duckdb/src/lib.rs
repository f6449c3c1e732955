//! Destination DuckDB of Transload: a database file of this machine.
//!
//! Everything happens in one process and one transaction: publishing reads the files of the load into the final tables
//! behind the fence, and what goes wrong leaves nothing behind. DuckDB reads only files that Transload wrote and held
//! against their hash.
//!
#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cancel;
mod classify;
mod client;
mod config;
mod copy;
mod dialect;

use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::sql::{Row, SqlClient as _, SqlDestination, Statement};
use transload_core::{
    AccessKind, BinaryEncoding, BinaryLiteral, CONTRACT_VERSION, Capabilities, Column, Commit,
    CopySource, Dataset, DatasetState, Destination, Fence, FileFormat, IdentifierCase,
    IdentifierRules, Inquiry, Job, JobContext, JobOutcome, LiteralRules, Load, MergeStrategy,
    Plugin, Publication, ReplaceStrategy, Result, SchemaChange, StorageKind, Survey, Table,
    WriteDisposition,
};

use client::DuckDb;
pub use config::{DuckDbCredentials, DuckDbSettings};
use dialect::DuckDbDialect;

/// What the crate announces: for a registry that is filled by hand.
pub const PLUGIN: Plugin = Plugin {
    name: "duckdb",
    aliases: &[],
    summary: "DuckDB: a database file of this machine",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: DuckDbSettings::KEYS,
    destination: Some(create),
    staging: None,
};

transload_core::register!(PLUGIN);

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    Ok(Arc::new(DuckDbDestination::new(settings)?))
}

/// A DuckDB database as a destination.
#[derive(Debug)]
pub struct DuckDbDestination {
    sql: SqlDestination<DuckDb, DuckDbDialect>,
}

impl DuckDbDestination {
    /// The destination with these settings. The database is opened when it is first needed.
    ///
    /// # Errors
    /// [`transload_core::ErrorKind::Configuration`] where a setting is wrong.
    pub fn new(settings: &Settings) -> Result<Self> {
        let config = config::read(settings)?;
        let client = DuckDb::new(config);
        Ok(Self { sql: SqlDestination::new(client, DuckDbDialect, capabilities()) })
    }

    /// Runs a query and returns its rows as texts: for those who look at what was loaded from the same process, where
    /// the file must not be opened a second time.
    ///
    /// # Errors
    /// Those of DuckDB.
    pub async fn query(&self, query: &str) -> Result<Vec<Row>> {
        let texts = format!("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({query})");
        self.sql.client().query(&Statement::new(texts)).await
    }
}

/// What DuckDB can do.
fn capabilities() -> Capabilities {
    // Parquet first: it carries every type, and DuckDB reads it in parallel.
    let formats =
        vec![FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv, FileFormat::InsertValues];
    Capabilities {
        loads: formats.clone(),
        copies: vec![CopySource {
            storage: StorageKind::Local,
            formats,
            access: vec![AccessKind::LocalPaths],
        }],
        write_dispositions: vec![
            WriteDisposition::Append,
            WriteDisposition::Replace,
            WriteDisposition::Merge,
        ],
        merge_strategies: vec![
            MergeStrategy::DeleteInsert,
            MergeStrategy::Upsert,
            MergeStrategy::InsertOnly,
            MergeStrategy::Scd2,
        ],
        replace_strategies: vec![
            ReplaceStrategy::TruncateAndInsert,
            ReplaceStrategy::InsertFromStaging,
            ReplaceStrategy::StagingOptimized,
        ],
        // DDL and loads take part in transactions: https://duckdb.org/docs/stable/sql/statements/transactions
        loads_in_publication: true,
        atomic_publication: true,
        // https://duckdb.org/docs/stable/sql/dialect/keywords_and_identifiers: case is kept and does not count. There
        // is no limit to the length; the number only keeps names out of the megabytes.
        identifiers: IdentifierRules {
            case: IdentifierCase::Insensitive,
            max_table_length: 65_536,
            max_column_length: 65_536,
            in_bytes: false,
        },
        // https://duckdb.org/docs/stable/sql/data_types/numeric: a DECIMAL has at most 38 digits.
        decimal: (38, 9),
        wei: (38, 0),
        timestamp_precision: 6,
        literals: Some(LiteralRules {
            text_prefix: "E".into(),
            backslash_escapes: true,
            binary: BinaryLiteral {
                before: "from_base64('".into(),
                encoding: BinaryEncoding::Base64,
                after: "')".into(),
            },
            json: (String::new(), String::new()),
        }),
        // Files of some row groups each, so that all threads have work, and few enough to list in one statement.
        file_bytes: Some(128 << 20),
        // https://duckdb.org/docs/stable/data/parquet/tips: its own size, and what a thread reads at a time.
        row_group_rows: Some(122_880),
        ..Capabilities::default()
    }
}

#[async_trait]
impl Destination for DuckDbDestination {
    fn capabilities(&self) -> &Capabilities {
        self.sql.capabilities()
    }

    fn identity(&self) -> String {
        self.sql.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.sql.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.sql.widens(from, to)
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        self.sql.check_table(table)
    }

    async fn check(&self) -> Result<()> {
        self.sql.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        if !self.sql.client().exists() {
            // Opening it would make it.
            return Ok(DatasetState::default());
        }
        self.sql.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.sql.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.sql.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.sql.run(job, context).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.sql.publish(publication, context).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        if !self.sql.client().exists() {
            return Ok(());
        }
        self.sql.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        if !self.sql.client().exists() {
            return Ok(Survey::default());
        }
        self.sql.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        if !self.sql.client().exists() {
            return Ok(());
        }
        self.sql.drop_staging_tables(dataset, tables).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::Registry;

    #[test]
    fn it_is_found_by_name_and_claims_what_it_can() {
        let registry = Registry::linked();
        assert!(registry.plugins().any(|plugin| plugin.name == "duckdb"));
        let destination = create(&Settings::from_pairs("duckdb", &[])).unwrap();
        let capabilities = destination.capabilities();
        assert!(capabilities.loads_in_publication && capabilities.atomic_publication);
        assert_eq!(capabilities.merge_strategies.len(), 4);
        assert!(!format!("{destination:?}").is_empty());
    }
}
