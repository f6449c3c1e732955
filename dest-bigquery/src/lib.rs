//! Destination Google BigQuery of Transload.
//!
//! Files come by load jobs into staging tables of the load, whose ids are functions of the rows; then one script changes the
//! fence, moves the rows of all tables and writes the rows of the system tables, in one transaction.
//!
#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
mod capabilities;
mod catalog;
mod classify;
mod client;
mod config;
mod dialect;
mod jobs;
mod labels;
mod layout;
mod ledger;
mod load;
mod names;
mod per_table;
mod script;
mod tables;
mod types;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use transload_core::settings::Settings;
use transload_core::sql::{Row, SqlClient as _, SqlDestination, Statement};
use transload_core::{
    CONTRACT_VERSION, Capabilities, Column, Commit, Dataset, DatasetState, Destination, Fence,
    Inquiry, Job, JobContext, JobOutcome, JobStatistics, Load, Plugin, Publication, Result,
    SchemaChange, Survey, Table, staging_table_owner,
};

use api::Api;
use client::{BigQuery, Loaded};
pub use config::{BigQuerySettings, GoogleCredentials};
use dialect::BigQueryDialect;
use jobs::Jobs;

/// What the crate announces: for a registry that is filled by hand.
pub const PLUGIN: Plugin = Plugin {
    name: "bigquery",
    aliases: &[],
    summary: "Google BigQuery, by load jobs from Cloud Storage or by upload",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: BigQuerySettings::KEYS,
    destination: Some(create),
    staging: None,
};

transload_core::register!(PLUGIN);

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    Ok(Arc::new(BigQueryDestination::new(settings)?))
}

/// A project of BigQuery as a destination.
#[derive(Debug)]
pub struct BigQueryDestination {
    sql: SqlDestination<BigQuery, BigQueryDialect>,
}

impl BigQueryDestination {
    /// The destination with these settings. It connects when it is first asked.
    ///
    /// # Errors
    /// [`transload_core::ErrorKind::Configuration`] where a setting is wrong.
    pub fn new(settings: &Settings) -> Result<Self> {
        let read = config::read(settings)?;
        let identity = config::who_asks(&read, settings.folder.clone())?;
        let jobs = Jobs {
            api: Api::new(&read, identity)?,
            project: read.billed_project().to_owned(),
            location: read.location.clone(),
            labels: read.labels(),
        };
        let dialect = BigQueryDialect {
            project: read.project().to_owned(),
            case_sensitive: read.has_case_sensitive_identifiers,
            per_table: read.is_per_table(),
            labels: read.labels(),
        };
        let capabilities = capabilities::capabilities(&read);
        let client = BigQuery::new(read, dialect.clone(), jobs);
        Ok(Self { sql: SqlDestination::new(client, dialect, capabilities) })
    }

    /// Brings the rows of each table by load jobs, then publishes what is left.
    async fn publish_per_table(
        &self,
        publication: &Publication,
        context: &JobContext<'_>,
    ) -> Result<Commit> {
        let client = self.sql.client();
        let tables = per_table::direct(publication)?;
        client.check_fence(context.load, publication.previous.as_ref()).await?;
        let mut loaded = Vec::new();
        for direct in &tables {
            loaded.push(client.load_directly(*direct, context));
        }
        let loaded: Vec<Loaded> =
            stream::iter(loaded).buffered(catalog::AT_ONCE).try_collect().await?;
        let uncounted = JobContext { on_bytes: &|_| (), ..*context };
        let mut commit = self.sql.publish(&per_table::rest(publication), &uncounted).await?;
        let mut jobs = Vec::new();
        for (direct, loaded) in tables.iter().zip(loaded) {
            let name = &direct.table.table;
            commit.rows.insert(name.clone(), loaded.rows);
            commit.statements.insert(name.clone(), loaded.jobs);
            commit.usage.add_all(&loaded.usage);
            jobs.extend(context.schema.tables.get(name).map(|table| (table, loaded.jobs)));
            let copied = direct.table.jobs.iter().filter(|job| matches!(job, Job::Copy(_)));
            let files = copied.flat_map(|job| job.data_files());
            (context.on_bytes)(files.map(|file| file.bytes).sum());
        }
        // The load is there: what cannot be counted now is counted by the next one.
        if let Ok(loads) = client.loads_of_a_day(&context.load.dataset.name).await {
            commit.warnings = ledger::warnings(&loads, &jobs);
        }
        Ok(commit)
    }

    /// Runs a query and returns its rows as texts: for those who look at what was loaded.
    ///
    /// # Errors
    /// Those of BigQuery.
    pub async fn query(&self, query: &str) -> Result<Vec<Row>> {
        self.sql.client().query(&Statement::new(query)).await
    }
}

#[async_trait]
impl Destination for BigQueryDestination {
    fn capabilities(&self) -> &Capabilities {
        self.sql.capabilities()
    }

    fn identity(&self) -> String {
        self.sql.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        names::check_column(&column.name)?;
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
        let is_widening =
            |change: &&SchemaChange| matches!(change, SchemaChange::WidenColumn { .. });
        let additions: Vec<SchemaChange> =
            changes.iter().filter(|change| !is_widening(change)).cloned().collect();
        let statements = tables::statements(self.sql.dialect(), dataset, &additions)?;
        let mut run: Vec<String> = statements.iter().map(ToString::to_string).collect();
        if !statements.is_empty() {
            let all = tables::together(self.sql.dialect(), &statements);
            self.sql.client().execute(&all).await?;
        }
        let widenings: Vec<SchemaChange> = changes.iter().filter(is_widening).cloned().collect();
        if !widenings.is_empty() {
            run.extend(self.sql.apply(dataset, &widenings).await?);
        }
        Ok(run)
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.sql.fence(dataset, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        let bytes = job.data_files().iter().map(|file| file.bytes).sum();
        let loaded = self.sql.client().load(job, context).await?;
        if matches!(job, Job::Copy(_)) {
            (context.on_bytes)(bytes);
        }
        let statistics = JobStatistics {
            rows: Some(loaded.rows),
            bytes,
            statements: loaded.jobs,
            usage: loaded.usage,
            ..JobStatistics::default()
        };
        Ok(JobOutcome { statistics, follow_ups: Vec::new() })
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let client = self.sql.client();
        let work = async {
            let mut commit = match self.sql.dialect().per_table {
                true => self.publish_per_table(publication, context).await?,
                false => {
                    // Tables that a merge needs are made there, too.
                    client.make_staging_dataset(&context.load.dataset.staging).await?;
                    self.sql.publish(publication, context).await?
                }
            };
            commit.usage.add_all(&client.take_usage().await);
            Ok(commit)
        };
        labels::during(client.labels(context.load), work).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        let mut left = self.sql.client().tables(&load.dataset.staging).await?;
        left.retain(|table| {
            staging_table_owner(table)
                .is_some_and(|(tag, epoch)| tag == load.load_id.tag() && epoch <= load.epoch)
        });
        self.sql.client().drop_tables(&load.dataset.staging, &left).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.sql.survey(dataset).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        self.sql.client().drop_tables(&dataset.staging, tables).await
    }
}

#[cfg(test)]
mod tests {
    use transload_core::Registry;

    use super::*;

    #[test]
    fn it_is_found_by_its_name_and_shows_no_secret() {
        let registry = Registry::linked();
        let (plugin, create) = registry.destination("bigquery").unwrap();
        assert_eq!(plugin.package, "transload-dest-bigquery");
        let key = include_str!("../../google-identity/tests/data/key-of-nobody.pem");
        let pairs = [&config::tests::COMPLETE[..2], &[("credentials.private_key", key)]].concat();
        let destination = create(&Settings::from_pairs("bigquery", &pairs)).unwrap();
        let middle = key.lines().nth(3).unwrap();
        assert!(!format!("{destination:?}").contains(middle));
        assert_eq!(destination.identity(), "bigquery:analytics-prod");
        let error =
            create(&Settings::from_pairs("bigquery", &config::tests::COMPLETE)).unwrap_err();
        assert_eq!(error.message(), "the private key of the service account cannot be used");
    }
}
