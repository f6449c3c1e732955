//! What the stand-in knows of jobs: which were submitted, which run for longer than the server behind lets them, and which
//! fail without having been there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

/// Queries whose results stay. The server behind keeps those of every query as a table of its own, and looks through all
/// tables whenever it looks for one: it would get slower with each query.
const KEPT: usize = 32;

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Submitted {
    id: String,
    /// The kind: `load`, `copy`, `query`.
    kind: String,
    /// How often it was submitted.
    times: u32,
    #[serde(skip)]
    told: String,
}

#[derive(Debug, Default)]
struct Known {
    submitted: Vec<Submitted>,
    running: BTreeMap<String, u32>,
    failed: BTreeMap<String, Value>,
    queries: VecDeque<String>,
}

/// The jobs that are known here.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<Known>);

/// The id of the job in a request or an answer.
pub(crate) fn id_of(job: &Value) -> Option<&str> {
    job["jobReference"]["jobId"].as_str()
}

impl Jobs {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a job was submitted.
    pub(crate) fn note(&self, job: &Value) {
        let Some(id) = id_of(job) else { return };
        let configuration = &job["configuration"];
        let kind =
            ["load", "copy", "query"].into_iter().find(|kind| !configuration[kind].is_null());
        let mut known = self.known();
        match known.submitted.iter_mut().find(|submitted| submitted.id == id) {
            Some(submitted) => submitted.times += 1,
            None => known.submitted.push(Submitted {
                id: id.to_owned(),
                kind: kind.unwrap_or_default().to_owned(),
                times: 1,
                told: configuration.to_string(),
            }),
        }
    }

    /// The query whose results may go, now that this job was submitted.
    pub(crate) fn outdated(&self, job: &Value) -> Option<String> {
        let id = id_of(job).filter(|_| !job["configuration"]["query"].is_null())?;
        let queries = &mut self.known().queries;
        if !queries.iter().any(|known| known == id) {
            queries.push_back(id.to_owned());
        }
        if queries.len() > KEPT { queries.pop_front() } else { None }
    }

    /// The jobs in whose configuration this text stands.
    pub(crate) fn with(&self, text: &str) -> Vec<Submitted> {
        let known = self.known();
        known.submitted.iter().filter(|submitted| submitted.told.contains(text)).cloned().collect()
    }

    /// Lets a job run for as many looks.
    pub(crate) fn run_for(&self, id: &str, looks: u32) {
        self.known().running.insert(id.to_owned(), looks);
    }

    /// Takes a job that fails, and answers with it.
    pub(crate) fn fail(&self, job: &Value, reason: &str, message: &str) -> Value {
        let error = json!({"reason": reason, "message": message});
        let mut job = job.clone();
        job["status"] = json!({"state": "DONE", "errorResult": error, "errors": [error]});
        if let Some(id) = id_of(&job) {
            self.known().failed.insert(id.to_owned(), job.clone());
        }
        job
    }

    /// The job with this id that has failed here.
    pub(crate) fn failed(&self, id: &str) -> Option<Value> {
        self.known().failed.get(id).cloned()
    }

    /// Whether a job still runs, when it is looked at.
    pub(crate) fn looked_at(&self, id: &str) -> bool {
        let mut known = self.known();
        let Some(looks) = known.running.get_mut(id) else { return false };
        *looks = looks.saturating_sub(1);
        if *looks == 0 {
            known.running.remove(id);
        }
        true
    }
}

/// A job as it looks while it runs.
pub(crate) fn running(mut job: Value) -> Value {
    job["status"] = json!({"state": "RUNNING"});
    if let Some(statistics) = job["statistics"].as_object_mut() {
        statistics.retain(|name, _| matches!(name.as_str(), "creationTime" | "startTime"));
    }
    job
}

/// A job with the figures of its bill, which the server behind leaves at 0: a query is billed 10 MB for a table that it
/// looks at. Source: "Pricing", on-demand compute.
pub(crate) fn billed(mut job: Value) -> Value {
    if !job["statistics"]["query"].is_null() && job["status"]["state"] == "DONE" {
        job["statistics"]["query"]["totalBytesBilled"] = "10485760".into();
        job["statistics"]["totalSlotMs"] = "7".into();
    }
    job
}

/// Whether a load job takes the place of the rows of its table, and keeps what the table is: the server behind only knows to
/// make the table anew. The table, and the job that adds its rows.
pub(crate) fn replacing(job: &Value) -> Option<(String, Value)> {
    let load = &job["configuration"]["load"];
    if load["writeDisposition"] != "WRITE_TRUNCATE_DATA" {
        return None;
    }
    let table = &load["destinationTable"];
    let name = |key: &str| Some(format!("`{}`", table[key].as_str()?));
    let table = [name("projectId")?, name("datasetId")?, name("tableId")?].join(".");
    let mut adding = job.clone();
    adding["configuration"]["load"]["writeDisposition"] = "WRITE_APPEND".into();
    Some((table, adding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Value {
        json!({"jobReference": {"jobId": id}, "configuration": {"load": {"destinationTable": "a_dataset"}}})
    }

    #[test]
    fn jobs_are_counted_by_their_ids() {
        let jobs = Jobs::default();
        for id in ["a", "b", "a"] {
            jobs.note(&job(id));
        }
        let found = jobs.with("a_dataset");
        let shown: Vec<_> =
            found.iter().map(|it| (it.id.as_str(), it.kind.as_str(), it.times)).collect();
        assert_eq!(shown, [("a", "load", 2), ("b", "load", 1)]);
        assert!(jobs.with("another").is_empty());
    }

    #[test]
    fn a_job_that_replaces_is_one_that_adds_to_an_empty_table() {
        let table = json!({"projectId": "p", "datasetId": "d", "tableId": "t"});
        let job = |write: &str| {
            let load = json!({"writeDisposition": write, "destinationTable": table});
            json!({"configuration": {"load": load}})
        };
        let replaced = replacing(&job("WRITE_TRUNCATE_DATA")).unwrap();
        assert_eq!(replaced, ("`p`.`d`.`t`".to_owned(), job("WRITE_APPEND")));
        assert_eq!(replacing(&job("WRITE_APPEND")), None);
    }

    #[test]
    fn a_query_that_is_done_is_billed() {
        let job =
            |state: &str, kind: &str| json!({"status": {"state": state}, "statistics": {kind: {}}});
        let billed = billed(job("DONE", "query"));
        assert_eq!(billed["statistics"]["query"]["totalBytesBilled"], "10485760");
        for other in [job("RUNNING", "query"), job("DONE", "load")] {
            assert_eq!(super::billed(other.clone()), other);
        }
    }

    #[test]
    fn the_results_of_old_queries_may_go_and_those_of_loads_stay() {
        let jobs = Jobs::default();
        let query = |number: usize| json!({"jobReference": {"jobId": format!("q{number}")}, "configuration": {"query": {}}});
        assert!((0..KEPT).all(|number| jobs.outdated(&query(number)).is_none()));
        assert_eq!(jobs.outdated(&query(KEPT - 1)), None, "it was sent again");
        assert_eq!(jobs.outdated(&job("load")), None);
        assert_eq!(jobs.outdated(&query(KEPT)).as_deref(), Some("q0"));
    }

    #[test]
    fn a_job_runs_for_so_many_looks_and_one_that_failed_stays_failed() {
        let jobs = Jobs::default();
        jobs.run_for("a", 2);
        assert_eq!(
            [jobs.looked_at("a"), jobs.looked_at("a"), jobs.looked_at("a")],
            [true, true, false]
        );
        let failed = jobs.fail(&job("b"), "quotaExceeded", "x");
        assert_eq!(jobs.failed("b"), Some(failed));
        assert_eq!(
            running(json!({"statistics": {"load": {}, "startTime": "1"}}))["statistics"],
            json!({"startTime": "1"})
        );
    }
}
