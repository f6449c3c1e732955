//! Destination Snowflake of Transload.
//!
//! A load is one transaction: the fence is locked and changed, then one COPY brings the files of each table into it, and the
//! rows of the system tables make it a load that was published. All DDL runs before, since Snowflake commits on it.
//!
#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod capabilities;
mod catalog;
mod classify;
mod client;
mod config;
mod copied;
mod copy;
mod dialect;
mod http;
mod key_pair;
mod load_errors;
mod query_tag;
mod session;
mod stage;
#[cfg(test)]
mod statements;

use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::sql::{Row, SqlClient as _, SqlDestination, Statement, column_comments};
use transload_core::{
    CONTRACT_VERSION, Capabilities, Column, Commit, Dataset, DatasetState, Destination,
    Disposition, Error, ErrorKind, Fence, Inquiry, Job, JobContext, JobOutcome, Load, Plugin,
    Publication, ReplaceStrategy, Result, SchemaChange, Survey, Table,
};

use client::Snowflake;
pub use config::{Authenticator, SnowflakeCredentials, SnowflakeSettings};
use copy::CopyRules;
use dialect::{SnowflakeDialect, create_with_keys, table_comments, upper};
use query_tag::{Work, within};

/// What the crate announces: for a registry that is filled by hand.
pub const PLUGIN: Plugin = Plugin {
    name: "snowflake",
    aliases: &[],
    summary: "Snowflake, by COPY from a bucket or from a stage of its own",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: SnowflakeSettings::KEYS,
    destination: Some(create),
    staging: None,
};

transload_core::register!(PLUGIN);

fn create(settings: &Settings) -> Result<Arc<dyn Destination>> {
    Ok(Arc::new(SnowflakeDestination::new(settings)?))
}

/// A database of Snowflake as a destination.
#[derive(Debug)]
pub struct SnowflakeDestination {
    sql: SqlDestination<Snowflake, SnowflakeDialect>,
    keeps_files: bool,
    makes_keys: bool,
}

impl SnowflakeDestination {
    /// The destination with these settings. It logs in when it is first asked.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a setting is wrong.
    pub fn new(settings: &Settings) -> Result<Self> {
        let mut read = config::read(settings)?;
        let key = &mut read.credentials.private_key_path;
        *key = key.take().map(|file| settings.path(file));
        let capabilities = capabilities::capabilities(&read);
        let dialect = SnowflakeDialect {
            database: upper(&read.credentials.database),
            case_sensitive: read.has_case_sensitive_identifiers,
            copy: Arc::new(CopyRules {
                stage: read.stage_name.clone(),
                integration: read.storage_integration.clone(),
                vectorized: read.use_vectorized_scanner,
            }),
        };
        let (keeps_files, makes_keys) = (read.keep_staged_files, read.create_indexes);
        let client = Snowflake::new(read, dialect.clone())?;
        Ok(Self {
            sql: SqlDestination::new(client, dialect, capabilities),
            keeps_files,
            makes_keys,
        })
    }

    /// Runs a query and returns its rows as texts: for those who look at what was loaded.
    ///
    /// # Errors
    /// Those of Snowflake.
    pub async fn query(&self, query: &str) -> Result<Vec<Row>> {
        let query = Statement::new(query);
        within(Work::new("query"), self.sql.client().query(&query)).await
    }

    /// Makes these changes, one after the other, and tables with their keys.
    async fn apply_with_keys(
        &self,
        dataset: &Dataset,
        changes: &[SchemaChange],
    ) -> Result<Vec<String>> {
        let mut statements = Vec::new();
        for change in changes {
            let made = match change {
                SchemaChange::CreateTable(table) => {
                    create_with_keys(self.sql.dialect(), &dataset.name, table)?
                }
                _ => None,
            };
            match made {
                Some(made) => {
                    self.sql.client().execute(&made).await?;
                    statements.push(made.to_string());
                }
                None => {
                    statements.extend(self.sql.apply(dataset, std::slice::from_ref(change)).await?);
                }
            }
        }
        Ok(statements)
    }

    /// Makes the staging dataset where the publication needs one, and brings local files into its stage. Repeated, it
    /// has the same effect: the name of a file holds the hash of its content.
    async fn prepare(&self, publication: &Publication, context: &JobContext<'_>) -> Result<()> {
        let (client, dialect, load) = (self.sql.client(), self.sql.dialect(), context.load);
        let local: Vec<_> = publication
            .tables()
            .flat_map(|table| &table.jobs)
            .filter_map(|job| match job {
                Job::Load(job) => Some(&job.file),
                _ => None,
            })
            .collect();
        let stages_rows = publication.chains.iter().any(|chain| {
            matches!(
                chain.disposition,
                Disposition::Merge(_) | Disposition::Replace(ReplaceStrategy::InsertFromStaging)
            )
        });
        if local.is_empty() && !stages_rows {
            return Ok(());
        }
        client.run(&stage::make_dataset(dialect, load), "make the staging dataset").await?;
        if local.is_empty() {
            return Ok(());
        }
        client.run(&stage::make(dialect, load), "make the stage").await?;
        for file in local {
            let path = context.folder.join(file.path());
            let put = stage::put(dialect, load, file, &path);
            let answer = client.run(&put, &format!("put {}", file.table)).await?;
            let Some(upload) = &answer.upload else {
                return Err(Error::new(
                    ErrorKind::Terminal,
                    "Snowflake does not say where a file is to go",
                )
                .with("file", &file.name));
            };
            stage::upload(upload, file, &path).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Destination for SnowflakeDestination {
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
        within(Work::new("check"), self.sql.client().check()).await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        within(Work::new("describe"), self.sql.describe(inquiry)).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        within(Work::new("migrate"), async {
            let mut statements = match self.makes_keys {
                true => self.apply_with_keys(dataset, changes).await?,
                false => self.sql.apply(dataset, changes).await?,
            };
            let mut comments = table_comments(self.sql.dialect(), dataset, changes);
            comments.extend(column_comments(self.sql.dialect(), dataset, changes));
            for comment in comments {
                self.sql.client().execute(&comment).await?;
                statements.push(comment.to_string());
            }
            Ok(statements)
        })
        .await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        within(Work::new("fence"), self.sql.fence(dataset, pipeline, owner)).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        within(Work::of(context.load, "load"), self.sql.run(job, context)).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let files = copied::Files::of(publication, context.load);
        let published = copied::expecting(files, async {
            self.prepare(publication, context).await?;
            self.sql.publish(publication, context).await
        });
        within(Work::of(context.load, "publish"), published).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        within(Work::of(load, "clear"), async {
            self.sql.clear(load).await?;
            if self.keeps_files {
                return Ok(());
            }
            let remove = stage::remove(self.sql.dialect(), load);
            match self.sql.client().run(&remove, "remove staged files").await {
                // There is no stage, where all loads went through a bucket.
                Err(error) if matches!(error.context("code"), Some("002003" | "002043")) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        })
        .await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        within(Work::new("survey"), self.sql.survey(dataset)).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        within(Work::new("clear"), self.sql.drop_staging_tables(dataset, tables)).await
    }
}

#[cfg(test)]
mod tests {
    use transload_core::Registry;

    use super::*;

    #[test]
    fn it_is_found_by_its_name_and_shows_no_secret() {
        let registry = Registry::linked();
        let (plugin, create) = registry.destination("snowflake").unwrap();
        assert_eq!(plugin.package, "transload-dest-snowflake");
        let destination =
            create(&Settings::from_pairs("snowflake", &config::tests::COMPLETE)).unwrap();
        assert!(!format!("{destination:?}").contains(config::tests::CANARY));
        assert_eq!(destination.identity(), "snowflake://myorg-account1/RAW");
    }
}
