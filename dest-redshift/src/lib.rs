//! Destination Amazon Redshift of Transload.
//!
//! A load is one transaction: the fence is locked and changed, then COPY brings the staged files of each table into it, or
//! INSERT those that were not staged, and the rows of the system tables make it a load that was published.
//!
#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod capabilities;
mod classify;
mod client;
mod config;
mod copy;
mod dialect;
mod iam;
mod load_errors;
mod options;
mod tls;

use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::sql::{Row, SqlClient as _, SqlDestination, Statement, column_comments};
use transload_core::{
    CONTRACT_VERSION, Capabilities, Column, Commit, Dataset, DatasetState, Destination, Error,
    ErrorKind, Fence, Inquiry, Job, JobContext, JobOutcome, Load, Plugin, Publication, Result,
    SchemaChange, Survey, Table,
};

use client::Redshift;
pub use config::{RedshiftCredentials, RedshiftSettings, SslMode, TextSize};
use copy::CopyRules;
use dialect::RedshiftDialect;
use iam::Iam;
use options::CopyOptions;

/// What the crate announces: for a registry that is filled by hand.
pub const PLUGIN: Plugin = Plugin {
    name: "redshift",
    aliases: &[],
    summary: "Amazon Redshift, by COPY from S3 or by INSERT",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: RedshiftSettings::KEYS,
    destination: Some(create),
    staging: None,
};

transload_core::register!(PLUGIN);

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    Ok(Arc::new(RedshiftDestination::new(settings)?))
}

/// A database of Redshift as a destination.
#[derive(Debug)]
pub struct RedshiftDestination {
    sql: SqlDestination<Redshift, RedshiftDialect>,
}

impl RedshiftDestination {
    /// The destination with these settings. It connects when it is first asked.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a setting is wrong.
    pub fn new(settings: &Settings) -> Result<Self> {
        let mut read = config::read(settings)?;
        read.credentials.sslrootcert = read.credentials.sslrootcert.map(|file| settings.path(file));
        let copy = copy_rules(&read)?;
        let capabilities = capabilities::capabilities(&read, &copy);
        let dialect = RedshiftDialect {
            case_sensitive: read.has_case_sensitive_identifiers,
            copy: Arc::new(copy),
        };
        let iam =
            read.credentials.iam.then(|| Iam::new(settings, &read.credentials)).transpose()?;
        let client = Redshift::new(read, iam, dialect.clone())?;
        Ok(Self { sql: SqlDestination::new(client, dialect, capabilities) })
    }

    /// Runs a query and returns its rows as texts: for those who look at what was loaded.
    ///
    /// # Errors
    /// Those of Redshift.
    pub async fn query(&self, query: &str) -> Result<Vec<Row>> {
        self.sql.client().query(&Statement::new(query)).await
    }
}

fn copy_rules(settings: &RedshiftSettings) -> Result<CopyRules> {
    let options = CopyOptions::read(settings.copy_options.as_deref().unwrap_or_default());
    let options = options.map_err(|reason| {
        Error::new(ErrorKind::Configuration, "an option of COPY is not taken")
            .with("reason", reason)
    })?;
    Ok(CopyRules {
        role: settings.staging_iam_role.clone(),
        region: settings.staging_region.clone(),
        options,
        csv_empty_as_null: settings.csv_empty_as_null,
    })
}

#[async_trait]
impl Destination for RedshiftDestination {
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
        self.sql.describe(inquiry).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        let widened = changes.iter().find_map(|change| match change {
            SchemaChange::WidenColumn { table, column } => Some((table, &column.name)),
            _ => None,
        });
        let applied = self.sql.apply(dataset, changes).await;
        let mut statements = applied.map_err(|error| match widened {
            // Guide, "ALTER TABLE": not with the encodings BYTEDICT, RUNLENGTH, TEXT255 and TEXT32K, nor by who does not own it.
            Some((table, column)) if error.kind() != ErrorKind::Transient => error
                .with("widening", format!("{table}.{column}"))
                .with_hint(
                    "let the owner of the table load; give the column an encoding with which it can be widened: \
                     ALTER TABLE … ALTER COLUMN … ENCODE ZSTD; then resume the load",
                ),
            _ => error,
        })?;
        for comment in column_comments(self.sql.dialect(), dataset, changes) {
            self.sql.client().execute(&comment).await?;
            statements.push(comment.to_string());
        }
        Ok(statements)
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
        self.sql.clear(load).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.sql.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.sql.drop_staging_tables(dataset, tables).await
    }
}

#[cfg(test)]
mod tests {
    use transload_core::{DataType, Registry};

    use super::*;

    #[test]
    fn it_is_found_by_its_name_and_shows_no_secret() {
        let registry = Registry::linked();
        let (plugin, create) = registry.destination("redshift").unwrap();
        assert_eq!(plugin.package, "transload-dest-redshift");
        let destination =
            create(&Settings::from_pairs("redshift", &config::tests::COMPLETE)).unwrap();
        assert!(!format!("{destination:?}").contains(config::tests::CANARY));
        assert_eq!(destination.identity(), "redshift://localhost:5439/dlt_data");
    }

    #[tokio::test]
    async fn names_that_are_too_long_are_refused_before_anything_is_sent() {
        let settings = Settings::from_pairs("redshift", &config::tests::COMPLETE);
        let destination = RedshiftDestination::new(&settings).unwrap();
        let column = Column::new("é".repeat(64), DataType::Bool);
        let dataset = Dataset::new("d".repeat(128));
        let change = SchemaChange::AddColumns { table: "t".into(), columns: vec![column] };
        for (dataset, changes) in [(dataset, vec![]), (Dataset::new("d"), vec![change])] {
            let error = destination.apply(&dataset, &changes).await.unwrap_err();
            let found = (error.kind(), error.context("bytes"));
            assert_eq!(found, (ErrorKind::Configuration, Some("128")));
        }
    }
}
