//! The service of the tests: the emulator, or a project of their user's with `--live`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;
use transload::PipelineBuilder;
use transload::core::settings::Settings;
use transload_dest_bigquery::BigQueryDestination;

/// What `cargo xtask e2e bigquery` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask e2e bigquery`"))
}

/// Whether the tests run in a project of their user's.
pub(crate) fn is_live() -> bool {
    std::env::var_os("TRANSLOAD_TEST_BIGQUERY_LIVE").is_some()
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
pub(crate) fn service(changes: &[(&str, &str)]) -> transload::core::Result<BigQueryDestination> {
    let settings = settings();
    let kept = settings.iter().map(|(key, value)| (*key, value.as_str()));
    let pairs: Vec<(&str, &str)> = kept
        .filter(|(key, _)| !changes.iter().any(|(changed, _)| changed == key))
        .chain(changes.iter().copied())
        .collect();
    BigQueryDestination::new(&Settings::from_pairs("bigquery", &pairs))
}

/// A text that no other test and no other run has.
pub(crate) fn unique(test: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("tl_{test}_{now}_{}_{number}", std::process::id())
}

/// A dataset of its own, and a folder for what a pipeline keeps.
#[derive(Debug)]
pub(crate) struct Case {
    /// The dataset.
    pub(crate) name: String,
    folder: TempDir,
}

impl Case {
    pub(crate) fn new(test: &str) -> Self {
        Self { name: unique(test), folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A pipeline into the dataset, without staging.
    pub(crate) fn direct(&self) -> PipelineBuilder {
        pipeline("bigquery_pipeline", &self.name, self.folder.path())
    }

    /// A pipeline into the dataset, through the bucket.
    pub(crate) fn staged(&self) -> PipelineBuilder {
        self.direct().staging("filesystem")
    }

    /// Rows of a query, as texts joined by `|`, NULL as `~`.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        let sql = sql.replace("{d}", &self.name);
        let rows = service(&[]).expect("is configured").query(&sql).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let text = |value: Option<String>| value.unwrap_or_else(|| "~".to_owned());
        rows.into_iter()
            .map(|row| row.into_iter().map(text).collect::<Vec<_>>().join("|"))
            .collect()
    }

    /// The one value of a query.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let rows = self.ask(sql).await;
        let [row] = &rows[..] else { panic!("{sql}: {rows:?}") };
        row.clone()
    }

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
    let builder = transload::pipeline(name)
        .destination("bigquery")
        .dataset_name(dataset)
        .folder(folder)
        .pipelines_dir("pipelines");
    let builder = settings().into_iter().fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.bigquery.{key}"), value)
    });
    bucket(dataset).into_iter().fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.filesystem.{key}"), value)
    })
}
