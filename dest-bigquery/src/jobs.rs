//! Jobs: each has an id of ours, so that none that was heard runs a second time.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use serde_json::{Value, json};
use transload_core::sql::Row;
use transload_core::{Error, ErrorKind, Result};

use crate::api::{Api, Request, is_reason, part};
use crate::classify::classify_job;

/// How long an answer to a query is waited for in one request. BigQuery documentation, `jobs.getQueryResults`, `timeoutMs`.
const QUERY_WAIT: Duration = Duration::from_secs(10);

/// The wait before a job is looked at again; it grows up to the second.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The jobs of a project in a place.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) api: Api,
    /// The project that is billed.
    pub(crate) project: String,
    pub(crate) location: String,
}

/// What became of a job that was submitted.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// It was taken.
    New(Value),
    /// There is one with its id: from before a crash, or from a try whose answer was lost.
    Known(Value),
}

/// What a query answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) rows: Vec<Row>,
    pub(crate) changed: u64,
    /// The first value of the first row, where it is a list.
    pub(crate) list: Vec<String>,
}

impl Jobs {
    fn path(&self) -> String {
        format!("/bigquery/v2/projects/{}/jobs", part(&self.project))
    }

    /// The job with this id and configuration, as it is submitted.
    pub(crate) fn job(&self, id: &str, configuration: &Value) -> Value {
        json!({
            "jobReference": {"projectId": self.project, "jobId": id, "location": self.location},
            "configuration": configuration,
        })
    }

    /// Submits a job, unless there is one with its id.
    pub(crate) async fn submit(&self, id: &str, configuration: &Value) -> Result<Submitted> {
        let request = Request::post(self.path(), &self.job(id, configuration));
        match self.api.send(&request).await {
            Ok(answer) => Ok(Submitted::New(answer.body)),
            Err(error) => self.known(id, error).await,
        }
    }

    /// The job that stood in the way.
    pub(crate) async fn known(&self, id: &str, error: Error) -> Result<Submitted> {
        if !is_reason(&error, "duplicate") {
            return Err(error.with("job", id));
        }
        self.get(id).await.map(Submitted::Known)
    }

    async fn get(&self, id: &str) -> Result<Value> {
        let path = format!("{}/{}?location={}", self.path(), part(id), part(&self.location));
        self.api.ask(&Request::get(path)).await.map_err(|error| error.with("job", id))
    }

    /// Waits for the end of a job, however it ends.
    pub(crate) async fn ended(&self, mut job: Value) -> Result<Value> {
        let mut wait = LOOK.0;
        while job["status"]["state"] != "DONE" {
            tokio::time::sleep(wait).await;
            wait = (wait * 3 / 2).min(LOOK.1);
            let id = job["jobReference"]["jobId"].as_str().ok_or_else(|| {
                Error::new(ErrorKind::Terminal, "BigQuery answered without the id of a job")
            })?;
            job = self.get(id).await?;
        }
        Ok(job)
    }

    /// Runs a query, a statement or a script. Rows are fetched where they are wanted.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] where what became of it cannot be found out.
    pub(crate) async fn query(&self, sql: &str, wants_rows: bool) -> Result<Answered> {
        let id = format!("transload_q_{}", unique());
        let configuration = json!({
            // What was answered before is no answer to what the fence is now.
            "query": {"query": sql, "useLegacySql": false, "useQueryCache": false},
        });
        let (Submitted::New(job) | Submitted::Known(job)) =
            self.submit(&id, &configuration).await?;
        if let Some(error) = classify_job(&job) {
            return Err(error);
        }
        let mut answered = Answered::default();
        let changed = &job["statistics"]["query"]["numDmlAffectedRows"];
        if job["status"]["state"] == "DONE" && !wants_rows {
            answered.changed = number(changed);
            return Ok(answered);
        }
        let mut page = None;
        loop {
            let results = match self.results(&id, page.as_deref()).await {
                Ok(results) => results,
                // The error of the job, or of the question for it: the job itself knows.
                Err(error) => {
                    let job = self.get(&id).await.ok();
                    let error = error.with("job", &id).with_kind(ErrorKind::OutcomeUnknown);
                    return Err(job.as_ref().and_then(classify_job).unwrap_or(error));
                }
            };
            if results["jobComplete"] != true {
                // It was waited for there already.
                tokio::time::sleep(LOOK.0).await;
                continue;
            }
            answered.changed = number(&results["numDmlAffectedRows"]);
            read_rows(&results, &mut answered);
            page = results["pageToken"].as_str().map(str::to_owned);
            if page.is_none() {
                return Ok(answered);
            }
        }
    }

    async fn results(&self, id: &str, page: Option<&str>) -> Result<Value> {
        let mut path = format!(
            "/bigquery/v2/projects/{}/queries/{}?location={}&timeoutMs={}",
            part(&self.project),
            part(id),
            part(&self.location),
            QUERY_WAIT.as_millis()
        );
        if let Some(page) = page {
            path.push_str(&format!("&pageToken={}", part(page)));
        }
        let mut request = Request::get(path);
        request.timeout = Some(self.api.timeout() + QUERY_WAIT);
        self.api.ask(&request).await
    }
}

fn read_rows(results: &Value, answered: &mut Answered) {
    let text = |value: &Value| value["v"].as_str().map(str::to_owned);
    for row in results["rows"].as_array().into_iter().flatten() {
        let fields = row["f"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(list) = fields.first().and_then(|field| field["v"].as_array()) {
            answered.list = list.iter().filter_map(text).collect();
        }
        answered.rows.push(fields.iter().map(text).collect());
    }
}

/// The API writes whole numbers as texts.
fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A text that no other query has.
fn unique() -> String {
    // The standard library seeds its hash tables from the system's random numbers.
    let random = || RandomState::new().build_hasher().finish();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    format!("{now:x}_{:016x}{:08x}", random(), std::process::id())
}
