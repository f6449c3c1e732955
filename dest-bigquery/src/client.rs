//! BigQuery as it is asked by the toolkit, and the load jobs that bring files.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use transload_core::sql::{
    Dialect as _, Row, SqlClient, Statement, Transaction, staging_name, system,
};
use transload_core::{Error, ErrorKind, Job, JobContext, Load, LoadId, Result, Table, Usage};

use crate::api::{Request, is_reason, may_be_repeated, part};
use crate::catalog::{self, AT_ONCE, Question, dataset_path, table_path};
use crate::classify::classify_job;
use crate::config::{BigQuerySettings, identity};
use crate::dialect::BigQueryDialect;
use crate::jobs::{Answered, Jobs, Submitted, usage_of};
use crate::labels::{self, Labels};
use crate::load::{
    Part, Place, configuration, copied, direct_configuration, direct_stem, job_stem, parts,
    staging_table,
};
use crate::names::TABLE_BYTES;
use crate::per_table::{Direct, check_fence};
use crate::script::Script;
use crate::upload::upload;

/// Load jobs of one part: each failed before the next one was asked for.
const ATTEMPTS: u32 = 1000;

/// The datasets of a project.
#[derive(Debug)]
pub(crate) struct BigQuery {
    settings: BigQuerySettings,
    dialect: BigQueryDialect,
    pub(crate) jobs: Jobs,
    /// The staging dataset that is known to be there.
    staging: Mutex<Option<String>>,
    /// What transactions have used since it was last asked for.
    used: Mutex<Usage>,
}

/// What load jobs have done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) rows: u64,
    pub(crate) jobs: u64,
    pub(crate) usage: Usage,
}

impl Loaded {
    /// Counts a job that has brought a part.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] for another number of rows than were written.
    fn count(&mut self, ended: &Value, part: &Part<'_>, job: &Job) -> Result<()> {
        let rows = rows_of(ended)?;
        if rows != part.rows() {
            return Err(Error::new(ErrorKind::Terminal, "rows do not reconcile")
                .with("job", job.id())
                .with("expected", part.rows())
                .with("found", rows));
        }
        self.rows += rows;
        self.jobs += 1;
        self.usage.add_all(&usage_of(ended));
        Ok(())
    }
}

impl BigQuery {
    pub(crate) fn new(settings: BigQuerySettings, dialect: BigQueryDialect, jobs: Jobs) -> Self {
        Self { settings, dialect, jobs, staging: Mutex::default(), used: Mutex::default() }
    }

    /// The labels of what belongs to a load.
    pub(crate) fn labels(&self, load: &Load) -> Labels {
        labels::of_load(load, &self.settings.labels())
    }

    /// What transactions have used since this was last asked.
    pub(crate) async fn take_usage(&self) -> Usage {
        std::mem::take(&mut *self.used.lock().await)
    }

    fn project(&self) -> &str {
        &self.dialect.project
    }

    async fn run(&self, statement: &Statement, wants_rows: bool) -> Result<Answered> {
        let (sql, _) = statement.render(&self.dialect);
        // Statements that are run by themselves may be run again.
        let answered = self.jobs.query(&sql, wants_rows).await.map_err(|error| {
            // Two loaders made the same table at once: the next try finds it.
            match is_reason(&error, "duplicate") {
                true => error.with_kind(ErrorKind::Transient),
                false => may_be_repeated(error),
            }
        });
        answered.map_err(|error| error.redacted(&statement.redactor()))
    }

    /// Brings the files of a job into the staging table that belongs to it and the epoch.
    pub(crate) async fn load(&self, job: &Job, context: &JobContext<'_>) -> Result<Loaded> {
        let parts = parts(job)?;
        self.make_staging_dataset(&context.load.dataset.staging).await?;
        let table = context.schema.tables.get(job.table()).ok_or_else(|| {
            Error::new(ErrorKind::Bug, "a table of a job is not in the schema")
                .with("table", job.table())
        })?;
        let place = Place {
            project: self.project().to_owned(),
            dataset: context.load.dataset.staging.clone(),
            table: staging_name(context.load, job, TABLE_BYTES),
        };
        self.make_staging_table(&place, table, &parts, context).await?;
        let mut loaded = Loaded::default();
        for (number, part) in parts.iter().enumerate() {
            let number = (parts.len() > 1).then_some(number);
            let ended = self.load_part(&place, table, job, part, number, context).await?;
            loaded.count(&ended, part, job)?;
        }
        Ok(loaded)
    }

    /// Brings a part of a table, by a job of this or of an earlier process, and returns that.
    async fn load_part(
        &self,
        place: &Place,
        table: &Table,
        job: &Job,
        part: &Part<'_>,
        number: Option<usize>,
        context: &JobContext<'_>,
    ) -> Result<Value> {
        let asked = configuration(place, table, part, &self.labels(context.load))?;
        let stem = job_stem(place, context.load, job, number);
        for attempt in 0..ATTEMPTS {
            let id = format!("{stem}_a{attempt}");
            match self.submit_part(&id, &asked, part, context).await? {
                Submitted::New(job) => return self.ended_well(job, &table.name).await,
                Submitted::Known(job) => {
                    let job = self.jobs.ended(job).await?;
                    if classify_job(&job).is_none()
                        && self.take_over(&id, &job, place, number.is_some(), context).await?
                    {
                        return Ok(job);
                    }
                    // It failed, or what it brought is gone: one more is allowed.
                }
            }
        }
        Err(failed_again_and_again(&table.name, &stem))
    }

    /// Brings the rows of a table into the table itself, by jobs of this or of an earlier process. What one of them has
    /// brought is there, and is not brought again.
    pub(crate) async fn load_directly(
        &self,
        direct: Direct<'_>,
        context: &JobContext<'_>,
    ) -> Result<Loaded> {
        let place = Place {
            project: self.project().to_owned(),
            dataset: context.load.dataset.name.clone(),
            table: direct.table.table.clone(),
        };
        let path = table_path(&place.project, &place.dataset, &place.table);
        let live = self.jobs.api.ask(&Request::get(path)).await;
        let live = live.map_err(|error| error.with("table", &place.table))?;
        let labels = self.labels(context.load);
        let mut loaded = Loaded::default();
        for job in &direct.table.jobs {
            for (number, part) in parts(job)?.iter().enumerate() {
                // The first one makes room for all of them.
                let replaces = direct.replaces && loaded.jobs == 0;
                let asked = direct_configuration(&place, &live, part, replaces, &labels)?;
                let stem = direct_stem(&place, context.load, job, number);
                let ended = self.bring_directly(&stem, &asked, part, &place, context).await?;
                loaded.count(&ended, part, job)?;
            }
        }
        Ok(loaded)
    }

    async fn bring_directly(
        &self,
        stem: &str,
        asked: &Value,
        part: &Part<'_>,
        place: &Place,
        context: &JobContext<'_>,
    ) -> Result<Value> {
        for attempt in 0..ATTEMPTS {
            let id = format!("{stem}_a{attempt}");
            match self.submit_part(&id, asked, part, context).await? {
                Submitted::New(job) => return self.ended_well(job, &place.table).await,
                Submitted::Known(job) => {
                    let job = self.jobs.ended(job).await?;
                    // Of one that failed nothing is there: a load job is atomic.
                    if classify_job(&job).is_none() {
                        return Ok(job);
                    }
                }
            }
        }
        Err(failed_again_and_again(&place.table, stem))
    }

    async fn submit_part(
        &self,
        id: &str,
        asked: &Value,
        part: &Part<'_>,
        context: &JobContext<'_>,
    ) -> Result<Submitted> {
        match part.file() {
            Some(file) => {
                let path = context.folder.join(file.path());
                let timeout = self.settings.file_upload_timeout;
                upload(&self.jobs, id, asked, &path, timeout, context.on_bytes).await
            }
            None => self.jobs.submit(id, asked).await.map_err(may_be_repeated),
        }
    }

    /// Waits for a job that was submitted now.
    async fn ended_well(&self, job: Value, table: &str) -> Result<Value> {
        let job = self.jobs.ended(job).await?;
        match classify_job(&job) {
            Some(error) => Err(may_be_repeated(error).with("table", table)),
            None => Ok(job),
        }
    }

    /// Refuses a load that another loader has overtaken.
    pub(crate) async fn check_fence(&self, load: &Load, previous: Option<&LoadId>) -> Result<()> {
        let rows = catalog::fences(&self.jobs.api, self.project(), &load.dataset.name).await?;
        check_fence(&rows, load, previous)
    }

    /// The counts of rows of the loads of the last day, as their commits have them.
    pub(crate) async fn loads_of_a_day(&self, dataset: &str) -> Result<Vec<String>> {
        let commits = self.dialect.table(dataset, system::COMMITS);
        let query = Statement::new(format!(
            "SELECT row_counts FROM {commits} WHERE committed_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)"
        ));
        Ok(self.query(&query).await?.into_iter().flatten().flatten().collect())
    }

    /// Sees that the rows of a job that ended are in the staging table of this epoch; whether they could be brought there.
    async fn take_over(
        &self,
        id: &str,
        job: &Value,
        place: &Place,
        is_shared: bool,
        context: &JobContext<'_>,
    ) -> Result<bool> {
        let from = &job["configuration"]["load"]["destinationTable"];
        let rows = rows_of(job)?.to_string();
        if *from == place.reference() {
            let path = table_path(&place.project, &place.dataset, &place.table);
            let found = self.jobs.api.find(&Request::get(path)).await?;
            return Ok(found.is_some_and(|table| is_shared || table["numRows"] == rows.as_str()));
        }
        // One of an earlier epoch, whose loader may not be dead: its table is its own.
        let id = format!("{id}_e{}", context.load.epoch);
        let configuration = copied(from, place, &self.labels(context.load));
        let submitted = self.jobs.submit(&id, &configuration).await.map_err(may_be_repeated)?;
        let (Submitted::New(copy) | Submitted::Known(copy)) = submitted;
        let copy = self.jobs.ended(copy).await?;
        match classify_job(&copy) {
            None => Ok(copy["statistics"]["copy"]["copiedRows"] == rows.as_str()),
            Some(error) if is_reason(&error, "notFound") => Ok(false),
            Some(error) => Err(may_be_repeated(error)),
        }
    }

    /// Drops tables of a dataset. One that is gone already is no error.
    pub(crate) async fn drop_tables(&self, dataset: &str, tables: &[String]) -> Result<()> {
        let mut drops = Vec::new();
        for table in tables {
            drops.push(Request::new(Method::DELETE, table_path(self.project(), dataset, table)));
        }
        stream::iter(drops)
            .map(|request| self.drop_table(request))
            .buffered(AT_ONCE)
            .try_for_each(|()| future::ready(Ok(())))
            .await
    }

    async fn drop_table(&self, request: Request) -> Result<()> {
        self.jobs.api.find(&request).await.map(drop)
    }

    /// The names of the tables of a dataset.
    pub(crate) async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        catalog::tables(&self.jobs.api, self.project(), dataset).await
    }

    /// Makes a staging table, unless it is there.
    async fn make_staging_table(
        &self,
        place: &Place,
        table: &Table,
        parts: &[Part<'_>],
        context: &JobContext<'_>,
    ) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = (now + self.staging_lifetime()).as_millis();
        let made = staging_table(place, table, parts, &self.labels(context.load), until)?;
        let path = format!("{}/tables", dataset_path(&place.project, &place.dataset));
        match self.jobs.api.ask(&Request::post(path, &made)).await {
            Ok(_) => Ok(()),
            // By an earlier try of this epoch.
            Err(error) if is_reason(&error, "duplicate") => Ok(()),
            Err(error) => Err(error.with("table", &place.table)),
        }
    }

    fn staging_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.staging_expiration_days) * 24 * 3600)
    }

    /// Makes the staging dataset, whose tables go by themselves after a while.
    pub(crate) async fn make_staging_dataset(&self, name: &str) -> Result<()> {
        let mut known = self.staging.lock().await;
        if known.as_deref() == Some(name) {
            return Ok(());
        }
        let found = self.jobs.api.find(&Request::get(dataset_path(self.project(), name))).await?;
        if found.is_none() {
            let dataset = json!({
                "datasetReference": {"projectId": self.project(), "datasetId": name},
                "location": self.jobs.location,
                "isCaseInsensitive": !self.dialect.case_sensitive,
                "description": "where loads wait to be published",
                "defaultTableExpirationMs": self.staging_lifetime().as_millis().to_string(),
            });
            let path = format!("/bigquery/v2/projects/{}/datasets", part(self.project()));
            match self.jobs.api.ask(&Request::post(path, &dataset)).await {
                Ok(_) => {}
                // Somebody else has made it.
                Err(error) if is_reason(&error, "duplicate") => {}
                Err(error) => return Err(error.with("dataset", name)),
            }
        }
        *known = Some(name.to_owned());
        Ok(())
    }
}

fn failed_again_and_again(table: &str, stem: &str) -> Error {
    Error::new(ErrorKind::Terminal, "a load job has failed again and again")
        .with("table", table)
        .with("jobs", format!("{stem}_a0 to _a{}", ATTEMPTS - 1))
}

fn rows_of(job: &Value) -> Result<u64> {
    let rows = job["statistics"]["load"]["outputRows"].as_str().and_then(|rows| rows.parse().ok());
    rows.ok_or_else(|| {
        Error::new(ErrorKind::Terminal, "BigQuery does not say how many rows a job has loaded")
    })
}

#[async_trait]
impl SqlClient for BigQuery {
    fn identity(&self) -> String {
        identity(&self.settings)
    }

    // Whether the project is there for this account, and jobs may run in it.
    async fn check(&self) -> Result<()> {
        let path = format!("/bigquery/v2/projects/{}/datasets?maxResults=1", part(self.project()));
        self.jobs.api.ask(&Request::get(path)).await?;
        self.jobs.query("SELECT 1", false).await.map(drop).map_err(may_be_repeated)
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>> {
        let (sql, _) = statement.render(&self.dialect);
        match Question::of(&sql) {
            Some(question) => question.ask(&self.jobs.api, self.project()).await,
            None => Ok(self.run(statement, true).await?.rows),
        }
    }

    async fn execute(&self, statement: &Statement) -> Result<u64> {
        Ok(self.run(statement, false).await?.changed)
    }

    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>> {
        let script = Script::of(transaction, &self.dialect)?;
        let answered = self.jobs.query(&script.text, true).await;
        let answered = answered.map_err(|error| script.explain(error, transaction))?;
        let usage = self.jobs.usage(&answered.id).await;
        self.used.lock().await.add_all(&usage);
        script.counts(&answered.list)
    }
}
