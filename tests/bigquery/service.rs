//! The service of the tests: the emulator, or a project of their user's with `--live`.

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
