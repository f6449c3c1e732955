//! Jobs: each has an id of ours, so that none that was heard runs a second time.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use serde_json::{Value, json};
use transload_core::sql::Row;
use transload_core::{Error, ErrorKind, Result, Usage};

use crate::api::{Api, Request, is_reason, part};
use crate::classify::classify_job;
use crate::labels::{self, Labels};

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
    /// The labels of jobs that belong to no load.
    pub(crate) labels: Labels,
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
    /// The id of its job.
    pub(crate) id: String,
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
            "labels": labels::of_statement(&self.labels),
            // What was answered before is no answer to what the fence is now.
            "query": {"query": sql, "useLegacySql": false, "useQueryCache": false},
        });
        let (Submitted::New(job) | Submitted::Known(job)) =
            self.submit(&id, &configuration).await?;
        if let Some(error) = classify_job(&job) {
            return Err(error);
        }
        let mut answered = Answered { id: id.clone(), ..Answered::default() };
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

    /// What a job has used. It is done, so that what is not answered is left out.
    pub(crate) async fn usage(&self, id: &str) -> Usage {
        self.get(id).await.as_ref().map(usage_of).unwrap_or_default()
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

/// What a job has used. REST reference, `JobStatistics`: load and copy jobs read for nothing, and tell no bytes.
pub(crate) fn usage_of(job: &Value) -> Usage {
    let mut usage = Usage::default();
    usage.add(Usage::JOBS, 1);
    let statistics = &job["statistics"];
    for (name, figure) in [
        (Usage::BYTES_PROCESSED, &statistics["query"]["totalBytesProcessed"]),
        (Usage::BYTES_BILLED, &statistics["query"]["totalBytesBilled"]),
        (Usage::SLOT_MILLISECONDS, &statistics["totalSlotMs"]),
    ] {
        if let Some(number) = figure.as_str().and_then(|text| text.parse().ok()) {
            usage.add(name, number);
        }
    }
    usage
}

fn read_rows(results: &Value, answered: &mut Answered) {
    answered.rows.extend(rows_in(results));
    let last = results["rows"].as_array().and_then(|rows| rows.last());
    if let Some(list) = last.and_then(|row| row["f"][0]["v"].as_array()) {
        answered.list = list.iter().filter_map(text_in).collect();
    }
}

/// The rows of an answer, as texts.
pub(crate) fn rows_in(answer: &Value) -> Vec<Row> {
    let fields = |row: &Value| row["f"].as_array().into_iter().flatten().map(text_in).collect();
    answer["rows"].as_array().into_iter().flatten().map(fields).collect()
}

fn text_in(field: &Value) -> Option<String> {
    field["v"].as_str().map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_tells_what_it_has_used() {
        let query = json!({"statistics": {
            "totalSlotMs": "1200",
            "query": {"totalBytesProcessed": "77", "totalBytesBilled": "10485760", "totalSlotMs": "1200"},
        }});
        let shown = usage_of(&query).to_string();
        assert_eq!(
            shown,
            "bytes_billed 10485760, bytes_processed 77, jobs 1, slot_milliseconds 1200"
        );
        let load = json!({"statistics": {"load": {"inputFileBytes": "5"}, "totalSlotMs": "3"}});
        assert_eq!(usage_of(&load).to_string(), "jobs 1, slot_milliseconds 3");
    }
}
