//! One request: whether a fault is to happen, who asks, and what is known here of the job that it is about.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::accounts::Accounts;
use crate::backend::Backend;
use crate::faults::{Action, Fault, Faults};
use crate::jobs::{Jobs, billed, id_of, replacing, running};
use crate::refusal::{Answer, Refusal, with_status};

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Server {
    backend: Backend,
    accounts: Accounts,
    faults: Faults,
    jobs: Jobs,
    /// The requests that were done, and are never answered.
    held: Mutex<Vec<String>>,
}

impl Server {
    pub(crate) fn new(backend: Backend, accounts: Accounts) -> Self {
        Self {
            backend,
            accounts,
            faults: Faults::default(),
            jobs: Jobs::default(),
            held: Mutex::default(),
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Where the connection is to end in the place of an answer.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Answer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        match (head.uri.path(), &head.method) {
            ("/token", &Method::POST) => return Ok(self.accounts.give(&body)),
            ("/_faults", &Method::POST) => return Ok(self.order(&body)),
            ("/_end_tokens", &Method::POST) => {
                self.accounts.end_tokens();
                return Ok(Response::new(Full::default()));
            }
            ("/_jobs", &Method::POST) => {
                let with = self.jobs.with(&String::from_utf8_lossy(&body));
                return Ok(with_status(200, &json!(with)));
            }
            ("/_held", &Method::GET) => {
                let text = head.uri.query().unwrap_or_default();
                let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                let count = held.iter().filter(|body| body.contains(text)).count();
                return Ok(with_status(200, &json!(count)));
            }
            _ => {}
        }
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let text = String::from_utf8_lossy(&body);
        let action = self.faults.take(head.method.as_str(), target, &text);
        match &action {
            Some(Action::Reset) => return Err(lost("before it was read")),
            Some(Action::Refuse { status, reason }) => {
                return Ok(Refusal::new(*status, reason, "So it was ordered.").answer());
            }
            _ => {}
        }
        let answer = match self.accounts.check(&head.headers) {
            Ok(()) => self.done(&head, &body, action.as_ref()).await,
            Err(refusal) => Err(refusal),
        };
        match action {
            Some(Action::Lose) => Err(lost("after it was done")),
            Some(Action::Hold) => {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).push(text.into_owned());
                std::future::pending().await
            }
            _ => Ok(answer.unwrap_or_else(|refusal| refusal.answer())),
        }
    }

    async fn done(
        &self,
        head: &Parts,
        body: &Bytes,
        action: Option<&Action>,
    ) -> Result<Answer, Refusal> {
        let path = head.uri.path();
        if head.method == Method::POST && path.ends_with("/jobs") {
            let job: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
            let id = id_of(&job).unwrap_or_default();
            self.jobs.note(&job);
            if let Some(id) = self.jobs.outdated(&job) {
                let target = format!("{path}/{id}/delete");
                // One that has gone already is gone.
                let _ = self.backend.passed_on(Method::DELETE, &target).send().await;
            }
            if self.jobs.failed(id).is_some() {
                return Err(Refusal::new(409, "duplicate", format!("Already Exists: Job {id}")));
            }
            match action {
                Some(Action::Fail { reason, message }) => {
                    return Ok(with_status(200, &self.jobs.fail(&job, reason, message)));
                }
                Some(Action::RunFor(looks)) => self.jobs.run_for(id, *looks),
                _ => {}
            }
            if let Some((table, adding)) = replacing(&job) {
                self.empty_before(path, id, &table).await?;
                return self.pass_on(head, adding.to_string().into()).await;
            }
        }
        if head.method == Method::GET {
            let id = path.rsplit('/').next().unwrap_or_default();
            let is_job = path.contains("/jobs/");
            if let Some(failed) = self.jobs.failed(id).filter(|_| is_job) {
                return Ok(with_status(200, &failed));
            }
            if path.contains("/queries/") && self.jobs.looked_at(id) {
                let answer = json!({"jobComplete": false, "jobReference": {"jobId": id}});
                return Ok(with_status(200, &answer));
            }
        }
        self.pass_on(head, body.clone()).await
    }

    /// Empties a table, unless the job that is to fill it is there already.
    async fn empty_before(&self, path: &str, id: &str, table: &str) -> Result<(), Refusal> {
        let jobs = path.strip_prefix("/upload").unwrap_or(path);
        let known = self.backend.passed_on(Method::GET, &format!("{jobs}/{id}")).send().await?;
        if known.status().is_success() {
            return Ok(());
        }
        let query =
            json!({"query": format!("DELETE FROM {table} WHERE TRUE"), "useLegacySql": false});
        let queries = jobs.trim_end_matches("/jobs").to_owned() + "/queries";
        let emptied = self.backend.passed_on(Method::POST, &queries).body(query.to_string());
        let emptied = emptied.header(CONTENT_TYPE, "application/json").send().await?;
        match emptied.status().is_success() {
            true => Ok(()),
            false => Err(Refusal::new(404, "notFound", format!("Not found: Table {table}"))),
        }
    }

    async fn pass_on(&self, head: &Parts, body: Bytes) -> Result<Answer, Refusal> {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let of_the_way = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, AUTHORIZATION];
        let mut headers = head.headers.clone();
        of_the_way.iter().for_each(|name| {
            headers.remove(name);
        });
        let request = self.backend.passed_on(head.method.clone(), target).headers(headers);
        let answered = request.body(body).send().await?;
        let (status, mut headers) = (answered.status(), answered.headers().clone());
        of_the_way.iter().for_each(|name| {
            headers.remove(name);
        });
        let mut bytes = in_its_words(answered.bytes().await?);
        if status.is_success()
            && let Ok(job) = serde_json::from_slice::<Value>(&bytes)
            && job["kind"] == "bigquery#job"
        {
            // Here jobs end before they are answered for.
            let runs = id_of(&job).is_some_and(|id| self.jobs.looked_at(id));
            let job = if runs { running(job) } else { billed(job) };
            bytes = job.to_string().into();
        }
        let mut answer = Response::new(Full::from(bytes));
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }

    /// Orders a fault.
    fn order(&self, body: &[u8]) -> Answer {
        match serde_json::from_slice::<Fault>(body) {
            Ok(fault) => {
                self.faults.add(fault);
                Response::new(Full::default())
            }
            Err(error) => Refusal::new(400, "invalid", error).answer(),
        }
    }
}

/// What the server behind says of two transactions that met, in the words of BigQuery: "Multi-statement transactions".
fn in_its_words(answer: Bytes) -> Bytes {
    const THEIRS: &str = "Failed to commit: Failed to commit DuckLake transaction";
    match std::str::from_utf8(&answer) {
        Ok(text) if text.contains(THEIRS) => {
            text.replace(THEIRS, "Transaction is aborted due to concurrent update").into()
        }
        _ => answer,
    }
}

fn lost(when: &str) -> io::Error {
    io::Error::other(format!("the connection ends {when}: so it was ordered"))
}
