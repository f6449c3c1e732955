//! What BigQuery is configured with, under dlt's keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret, settings};

settings! {
    /// The settings of destination BigQuery.
    pub struct BigQuerySettings {
        /// The service account that loads: a table, or the text of its JSON key file for all of it. Without it the
        /// machine's own identity is used (application default credentials), and `project_id` is needed.
        pub credentials: Option<ServiceAccount>,
        /// The project that holds the datasets, where it is not the service account's own. Example: `analytics-prod`.
        pub project_id: Option<String>,
        /// Where new datasets lie. Staged files must lie there as well. Example: `europe-west1`.
        pub location: String = "US",
        /// Whether names of tables that differ in case alone are two names. Clear it for datasets that were created
        /// with `is_case_insensitive`. Example: `false`.
        pub has_case_sensitive_identifiers: bool = "true",
        /// Seconds until a request is given up. Example: `60`.
        pub http_timeout: Duration = "15",
        /// Seconds until the upload of a file is given up. Example: `3600`.
        pub file_upload_timeout: Duration = "1800",
        /// Seconds during which a failed request is tried again. Example: `120`.
        pub retry_deadline: Duration = "60",
        /// The root of the service, for private endpoints and emulators. Only on this machine may it be without
        /// encryption. Example: `http://localhost:9050`.
        pub api_endpoint: String = "https://bigquery.googleapis.com",
    }
}

settings! {
    /// A service account.
    pub struct ServiceAccount (from_text = key_file) {
        /// The project of the account. Example: `analytics-prod`.
        pub project_id: String,
        /// The name of the account. Example: `loader@analytics-prod.iam.gserviceaccount.com`.
        pub client_email: String,
        /// The private key in PEM, from `-----BEGIN PRIVATE KEY-----` on. Best in `secrets.toml` or the environment.
        pub private_key: Secret,
        /// The id of the key, which tokens then name. Example: `0451c0ffee`.
        pub private_key_id: Option<String>,
    }
}

/// Takes the JSON key file of a service account apart. The text is never shown: it holds the key.
fn key_file(text: &str) -> Result<BTreeMap<String, String>> {
    let refused = |reason: String| {
        Error::new(ErrorKind::Configuration, "the key file of the service account cannot be read")
            .with("reason", reason)
            .with_hint(
                "write the content of the JSON file, not its path: `credentials = '''{ … }'''` in \
                 `.transload/secrets.toml`",
            )
    };
    let value: Value = serde_json::from_str(text).map_err(|error| {
        refused(format!("not JSON from line {}, column {} on", error.line(), error.column()))
    })?;
    if value["type"] != "service_account" {
        return Err(refused("its `type` is not `service_account`".into()));
    }
    // The file holds further addresses of Google's; only what the table has as well is taken from it.
    let known =
        ServiceAccount::KEYS.iter().filter_map(|key| Some((key.name, value.get(key.name)?)));
    known
        .map(|(name, value)| match value.as_str() {
            Some(text) => Ok((name.to_owned(), text.to_owned())),
            None => Err(refused(format!("its `{name}` is not a text"))),
        })
        .collect()
}

/// The project that is loaded into, without who does it and how. Another root of the service is another place: an
/// emulator has projects of the same names.
pub(crate) fn identity(settings: &BigQuerySettings) -> String {
    let own = settings.credentials.as_ref().map(|account| account.project_id.as_str());
    let project = settings.project_id.as_deref().or(own).unwrap_or_default();
    // What stands behind a question mark may be a key.
    let endpoint = settings.api_endpoint.split(['?', '#']).next().unwrap_or_default();
    match endpoint.trim_end_matches('/') {
        "https://bigquery.googleapis.com" => format!("bigquery:{project}"),
        endpoint => format!("bigquery:{project}@{endpoint}"),
    }
}

/// Reads the settings and refuses those that cannot be right.
pub(crate) fn read(settings: &Settings) -> Result<BigQuerySettings> {
    let read: BigQuerySettings = settings.read()?;
    let account = read.credentials.as_ref();
    if account.is_none() && read.project_id.is_none() {
        return Err(settings.missing("project_id"));
    }
    let project = "expected the id of a project, such as analytics-prod";
    let seconds = "expected one second or more";
    let rules = [
        (
            "credentials.project_id",
            account.is_none_or(|account| is_project(&account.project_id)),
            project,
        ),
        (
            "credentials.client_email",
            account.is_none_or(|account| account.client_email.contains('@')),
            "expected the e-mail address of a service account",
        ),
        (
            "credentials.private_key",
            account.is_none_or(|account| is_private_key(&account.private_key)),
            "expected a key in PEM, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----",
        ),
        ("project_id", read.project_id.as_deref().is_none_or(is_project), project),
        (
            "location",
            is_made_of(&read.location, |c| c.is_ascii_alphanumeric() || c == '-'),
            "expected a region or multi-region, such as EU or europe-west1",
        ),
        ("http_timeout", !read.http_timeout.is_zero(), seconds),
        ("file_upload_timeout", !read.file_upload_timeout.is_zero(), seconds),
        ("retry_deadline", !read.retry_deadline.is_zero(), seconds),
        (
            "api_endpoint",
            is_safe_endpoint(&read.api_endpoint),
            "expected a URL with https://, or with http:// to this machine",
        ),
    ];
    match rules.into_iter().find(|(_, holds, _)| !holds) {
        Some((key, _, reason)) => Err(settings.wrong(key, reason)),
        None => Ok(read),
    }
}

fn is_made_of(text: &str, of: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(of)
}

/// Older projects have ids with the domain before a colon: `example.com:analytics`.
fn is_project(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c))
}

fn is_private_key(key: &Secret) -> bool {
    let pem = key.expose().trim();
    pem.starts_with("-----BEGIN PRIVATE KEY-----") && pem.ends_with("-----END PRIVATE KEY-----")
}

/// Tokens travel in the header of every request.
fn is_safe_endpoint(url: &str) -> bool {
    let local = |rest: &str| {
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
            rest.strip_prefix(host)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        })
    };
    let remote = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':']);
    // What stands before an `@` is a password, and the host is only behind it.
    !url.contains(['@', ' '])
        && (url.strip_prefix("https://").is_some_and(remote)
            || url.strip_prefix("http://").is_some_and(local))
}

#[cfg(test)]
pub(crate) mod tests {
    use transload_core::settings::{Origin, SettingKind, SettingValue};

    use super::*;

    pub(crate) const CANARY: &str = "canary0451";

    pub(crate) const COMPLETE: [(&str, &str); 3] = [
        ("credentials.project_id", "analytics-prod"),
        ("credentials.client_email", "loader@analytics-prod.iam.gserviceaccount.com"),
        (
            "credentials.private_key",
            "-----BEGIN PRIVATE KEY-----\ncanary0451\n-----END PRIVATE KEY-----\n",
        ),
    ];

    const KEY_FILE: &str = r#"{
        "type": "service_account",
        "project_id": "analytics-prod",
        "private_key_id": "0451c0ffee",
        "private_key": "-----BEGIN PRIVATE KEY-----\ncanary0451\n-----END PRIVATE KEY-----\n",
        "client_email": "loader@analytics-prod.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token"
    }"#;

    fn parts_of(text: &str) -> Result<BTreeMap<String, String>> {
        let SettingKind::Group(group) = BigQuerySettings::KEYS[0].kind else { panic!("a table") };
        group.from_text.unwrap()(text)
    }

    fn key_of(settings: &Settings) -> String {
        let error = read(settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        error.context("key").unwrap().to_owned()
    }

    #[test]
    fn a_table_is_read_with_its_defaults() {
        let bigquery = read(&Settings::from_pairs("bigquery", &COMPLETE)).unwrap();
        assert_eq!(bigquery.location, "US");
        assert_eq!(bigquery.http_timeout, Duration::from_secs(15));
        assert_eq!(bigquery.file_upload_timeout, Duration::from_secs(1800));
        assert!(bigquery.has_case_sensitive_identifiers);
        assert_eq!(identity(&bigquery), "bigquery:analytics-prod");
        let emulated = BigQuerySettings {
            project_id: Some("other-one".into()),
            api_endpoint: "http://localhost:9050/?key=canary".into(),
            ..bigquery.clone()
        };
        assert_eq!(identity(&emulated), "bigquery:other-one@http://localhost:9050");
        assert!(!format!("{bigquery:?}").contains(CANARY));
    }

    #[test]
    fn the_text_of_a_key_file_stands_for_the_table() {
        let parts = parts_of(KEY_FILE).unwrap();
        let keys: Vec<&str> = parts.keys().map(String::as_str).collect();
        assert_eq!(keys, ["client_email", "private_key", "private_key_id", "project_id"]);
        let mut settings = Settings::from_pairs("bigquery", &[]);
        for (key, part) in parts {
            let value = (SettingValue::text(part), Origin::Code);
            settings.values.insert(format!("credentials.{key}"), value);
        }
        let account = read(&settings).unwrap().credentials.unwrap();
        assert_eq!(account.project_id, "analytics-prod");
        assert!(account.private_key.expose().contains("\ncanary0451\n"));
    }

    #[test]
    fn a_key_file_that_is_none_is_refused_and_not_shown() {
        for (text, reason) in [
            ("/home/canary/key.json", "not JSON from line 1, column 1 on"),
            (r#""canary""#, "its `type` is not `service_account`"),
            (
                r#"{"type": "authorized_user", "refresh_token": "canary"}"#,
                "its `type` is not `service_account`",
            ),
            (
                r#"{"type": "service_account", "private_key": ["canary"]}"#,
                "its `private_key` is not a text",
            ),
        ] {
            let error = parts_of(text).unwrap_err();
            assert_eq!(error.context("reason"), Some(reason));
            assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn without_an_account_a_project_is_enough() {
        assert!(read(&Settings::from_pairs("bigquery", &[("project_id", "p")])).is_ok());
        assert_eq!(
            key_of(&Settings::from_pairs("bigquery", &[])),
            "destination.bigquery.project_id"
        );
    }

    #[test]
    fn a_missing_value_is_named() {
        for (absent, _) in COMPLETE {
            let mut settings = Settings::from_pairs("bigquery", &COMPLETE);
            settings.values.remove(absent);
            assert_eq!(key_of(&settings), format!("destination.bigquery.{absent}"));
        }
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for (key, text) in [
            ("credentials.project_id", "Canary Project"),
            ("credentials.client_email", "canary"),
            ("credentials.private_key", "canary"),
            ("project_id", ""),
            ("location", "canary'"),
            ("has_case_sensitive_identifiers", "canary"),
            ("http_timeout", "canary"),
            ("http_timeout", "0"),
            ("file_upload_timeout", "-1"),
            ("retry_deadline", "0"),
            ("api_endpoint", "canary"),
            ("api_endpoint", "http://canary.example"),
            ("api_endpoint", "http://localhost.canary.example"),
            ("api_endpoint", "https://user:canary@host"),
        ] {
            let pairs = [&COMPLETE[..], &[(key, text)]].concat();
            let settings = Settings::from_pairs("bigquery", &pairs);
            assert_eq!(key_of(&settings), format!("destination.bigquery.{key}"), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_encrypted_or_on_this_machine() {
        for url in ["https://bigquery.example/", "http://localhost:9050", "http://[::1]:9050/"] {
            assert!(is_safe_endpoint(url), "{url}");
        }
    }
}
