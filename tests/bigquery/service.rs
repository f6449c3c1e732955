//! The service of the tests: the emulator, or a project of their user's with `--live`.

#[path = "../warehouse/case.rs"]
pub(crate) mod case;

use std::path::Path;

use serde_json::Value;
use transload::PipelineBuilder;
use transload::core::Result;
use transload::core::settings::Settings;
use transload_dest_bigquery::BigQueryDestination;

use case::{Rows, Warehouse, variable};

#[derive(Debug)]
pub(crate) struct BigQuery;

pub(crate) type Case = case::Case<BigQuery>;

impl Warehouse for BigQuery {
    const NAME: &'static str = "bigquery";

    fn login(_: &str) -> Vec<(String, String)> {
        settings().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn bucket(prefix: &str) -> Vec<(&'static str, String)> {
        bucket(prefix)
    }

    async fn rows(sql: &str) -> Result<Rows> {
        service(&[])?.query(sql).await
    }
}

/// Whether the tests run in a project of their user's.
pub(crate) fn is_live() -> bool {
    BigQuery::is_live()
}

/// The service, as its user would configure it: keys below `destination.bigquery`.
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    if is_live() {
        let live = |name: &str| std::env::var(format!("DESTINATION__BIGQUERY__{name}")).ok();
        let keys = [
            ("project_id", live("PROJECT_ID")),
            ("location", live("LOCATION")),
            ("credentials.application_credentials", live("CREDENTIALS__APPLICATION_CREDENTIALS")),
        ];
        return keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    }
    let endpoint = variable("TRANSLOAD_TEST_BIGQUERY_ENDPOINT");
    vec![
        ("credentials.project_id", variable("TRANSLOAD_TEST_BIGQUERY_PROJECT")),
        ("credentials.client_email", account("client_email")),
        ("credentials.private_key", account("private_key")),
        ("credentials.token_uri", format!("{endpoint}/token")),
        ("api_endpoint", endpoint),
    ]
}

/// A value of the key file of the stand-ins.
fn account(key: &str) -> String {
    let file: serde_json::Value =
        serde_json::from_str(&variable("TRANSLOAD_TEST_GCS_CREDENTIALS")).expect("a key file");
    file[key].as_str().expect("a text").to_owned()
}

/// The staging storage, as its user would configure it: keys below `destination.filesystem`.
pub(crate) fn bucket(prefix: &str) -> Vec<(&'static str, String)> {
    if is_live() {
        let live = |name: &str| std::env::var(format!("DESTINATION__FILESYSTEM__{name}")).ok();
        let keys = [
            ("bucket_url", live("BUCKET_URL")),
            ("credentials.application_credentials", live("CREDENTIALS__APPLICATION_CREDENTIALS")),
        ];
        return keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    }
    let bucket = variable("TRANSLOAD_TEST_GCS_BUCKET");
    vec![
        ("bucket_url", format!("gs://{bucket}/{prefix}")),
        ("credentials.client_email", account("client_email")),
        ("credentials.private_key", account("private_key")),
        ("credentials.private_key_id", account("private_key_id")),
        ("credentials.endpoint_url", variable("TRANSLOAD_TEST_GCS_ENDPOINT")),
    ]
}

/// The service with these settings in the place of others.
pub(crate) fn service(changes: &[(&str, &str)]) -> Result<BigQueryDestination> {
    let settings = settings();
    let kept = settings.iter().map(|(key, value)| (*key, value.as_str()));
    let pairs: Vec<(&str, &str)> = kept
        .filter(|(key, _)| !changes.iter().any(|(changed, _)| changed == key))
        .chain(changes.iter().copied())
        .collect();
    BigQueryDestination::new(&Settings::from_pairs("bigquery", &pairs))
}

impl Case {
    /// The rows of tables.
    pub(crate) async fn counts<const N: usize>(&self, tables: [&str; N]) -> [u64; N] {
        let counts = tables.map(|table| format!("(SELECT COUNT(*) FROM {{d}}.{table})")).join(", ");
        let row = self.one(&format!("SELECT {counts}")).await;
        let mut counts = row.split('|').map(|count| count.parse().expect("a number"));
        tables.map(|_| counts.next().expect("one for each table"))
    }

    /// Orders a fault for the next jobs that have the name of the dataset and this text in them.
    pub(crate) async fn fault(&self, text: &str, times: u32, does: Value) {
        let fault = serde_json::json!({
            "method": "POST",
            "target": "/jobs",
            "body": [self.name, text],
            "times": times,
            "does": does,
        });
        let sent = control().post(front("/_faults")).body(fault.to_string()).send().await;
        assert!(sent.expect("the stand-in answers").status().is_success());
    }

    /// Waits until as many jobs of the dataset were done and not answered.
    pub(crate) async fn held(&self, count: u64) {
        let url = front(&format!("/_held?{}", self.name));
        loop {
            let answer = control().get(&url).send().await.expect("the stand-in answers");
            let held = answer.text().await.expect("a body");
            if held.parse() == Ok(count) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The kinds of the jobs with this text in their configuration, in their order.
    pub(crate) async fn jobs_with(&self, text: &str) -> Vec<String> {
        let jobs = submitted(text).await;
        let mut kinds: Vec<String> =
            jobs.iter().map(|job| job["kind"].as_str().expect("a kind").to_owned()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// The jobs of a kind of which the dataset is told: the id of each, and how often it was submitted.
    pub(crate) async fn jobs(&self, kind: &str) -> Vec<(String, u64)> {
        let jobs = submitted(&self.name).await;
        jobs.iter()
            .filter(|job| job["kind"] == kind)
            .map(|job| {
                let id = job["id"].as_str().expect("an id").to_owned();
                (id, job["times"].as_u64().expect("a number"))
            })
            .collect()
    }
}

/// Lets every token end.
pub(crate) async fn end_tokens() {
    let sent = control().post(front("/_end_tokens")).send().await;
    assert!(sent.expect("the stand-in answers").status().is_success());
}

/// The jobs with this text in their configuration.
async fn submitted(text: &str) -> Vec<Value> {
    let sent = control().post(front("/_jobs")).body(text.to_owned()).send().await;
    let answer = sent.expect("the stand-in answers").bytes().await.expect("a body");
    serde_json::from_slice(&answer).expect("JSON")
}

fn front(path: &str) -> String {
    format!("{}{path}", variable("TRANSLOAD_TEST_BIGQUERY_ENDPOINT"))
}

fn control() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A pipeline of this name into this dataset.
pub(crate) fn pipeline(name: &str, dataset: &str, folder: &Path) -> PipelineBuilder {
    case::pipeline::<BigQuery>(name, dataset, folder)
}
