//! A stranger's destination for PostgreSQL 15 and later, on the contract and its toolkit for SQL alone.
//!
//! A load is one transaction: COPY brings each file into its table, or into a staging table from which it is merged.

mod classify;
mod client;
mod dialect;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::sql::{Row, SqlClient as _, SqlDestination, Statement};
use transload_core::{
    AccessKind, BinaryEncoding, BinaryLiteral, CONTRACT_VERSION, Capabilities, Column, Commit,
    CopySource, DataType, Dataset, DatasetState, Destination, Error, ErrorKind, Fence, FileFormat,
    Inquiry, Job, JobContext, JobOutcome, LiteralRules, Load, MergeStrategy, Plugin, Publication,
    ReplaceStrategy, Result, SchemaChange, Secret, StorageKind, Survey, WriteDisposition, settings,
};

use client::Postgres;
use dialect::{PostgresDialect, check_name};

settings! {
    /// The login to a database of PostgreSQL.
    pub struct PostgresSettings {
        /// The server, on this machine: nothing is encrypted.
        pub host: String = "localhost",
        /// Its port.
        pub port: u16 = "5432",
        /// The database.
        pub database: String,
        /// The user, who may make schemas in it.
        pub username: String,
        /// The password.
        pub password: Secret,
    }
}

transload_core::register!(Plugin {
    name: "postgres",
    aliases: &[],
    summary: "PostgreSQL on this machine, by COPY",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: PostgresSettings::KEYS,
    destination: Some(|settings| Ok(Arc::new(PostgresDestination::new(settings)?))),
    staging: None,
});

/// A database of PostgreSQL as a destination.
#[derive(Debug)]
pub struct PostgresDestination(SqlDestination<Postgres, PostgresDialect>);

impl PostgresDestination {
    /// The destination with these settings. It connects when it is first asked.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a setting is missing or wrong.
    pub fn new(settings: &Settings) -> Result<Self> {
        let read: PostgresSettings = settings.read()?;
        let is_here = |host: &str| host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if read.host != "localhost" && !is_here(&read.host) {
            return Err(Error::new(ErrorKind::Configuration, "the server is on another machine")
                .with("host", &read.host)
                .with_hint(
                    "nothing is encrypted here: `ssh -L 5432:localhost:5432 …` brings it near",
                ));
        }
        Ok(Self(SqlDestination::new(Postgres::new(read), PostgresDialect, capabilities())))
    }

    /// Runs a query and returns its rows as texts: for those who look at what was loaded.
    ///
    /// # Errors
    /// Those of PostgreSQL.
    pub async fn query(&self, query: &str) -> Result<Vec<Row>> {
        self.0.client().query(&Statement::new(query)).await
    }
}

fn capabilities() -> Capabilities {
    let formats = vec![FileFormat::Csv, FileFormat::InsertValues];
    Capabilities {
        loads: formats.clone(),
        // Staged files as well, which the engine fetches for it where they lie elsewhere.
        copies: vec![CopySource {
            storage: StorageKind::Local,
            formats,
            access: vec![AccessKind::LocalPaths],
        }],
        // Bytes are base64 in CSV, which COPY does not read: a table that has some goes by INSERT.
        not_carried: vec![(FileFormat::Csv, DataType::Binary)],
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
        loads_in_publication: true,
        atomic_publication: true,
        decimal: (38, 9),
        wei: (76, 0),
        timestamp_precision: 6,
        literals: Some(LiteralRules {
            text_prefix: "E".into(),
            backslash_escapes: true,
            binary: BinaryLiteral {
                before: "'\\x".into(),
                encoding: BinaryEncoding::Hex,
                after: "'".into(),
            },
            json: (String::new(), String::new()),
        }),
        ..Capabilities::default()
    }
}

#[async_trait]
impl Destination for PostgresDestination {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.0.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.0.widens(from, to)
    }

    async fn check(&self) -> Result<()> {
        self.0.client().check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.0.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        check_name(&dataset.name)?;
        check_name(&dataset.staging)?;
        for change in changes {
            if let SchemaChange::CreateTable(table) = change {
                check_name(&table.name)?;
            }
        }
        self.0.apply(dataset, changes).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.0.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.0.run(job, context).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.0.publish(publication, context).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.0.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.0.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.0.drop_staging_tables(dataset, tables).await
    }
}
