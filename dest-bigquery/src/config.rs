//! What BigQuery is configured with, under dlt's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use transload_core::settings::{Setting as _, Settings};
use transload_core::{Error, ErrorKind, Result, Secret, check_encrypted, settings};
use url::Url;

use crate::labels;

settings! {
    /// The settings of destination BigQuery.
    pub struct BigQuerySettings {
        /// Who loads: a table, or the text of a JSON file of Google's for all of it (the key of a service account, a
        /// user's application default credentials, a workload identity). Without it the machine's own identity is used,
        /// by its metadata server, and `project_id` is needed.
        pub credentials: Option<GoogleCredentials>,
        /// The project that holds the datasets, where it is not the one that is billed, `credentials.project_id`.
        /// Example: `analytics-prod`.
        pub project_id: Option<String>,
        /// Where new datasets lie, and where jobs run. Staged files must lie there as well. Example: `europe-west1`.
        pub location: String = "US",
        /// Whether names of tables that differ in case alone are two names. Clear it for datasets that were created
        /// with `is_case_insensitive`. Example: `false`.
        pub has_case_sensitive_identifiers: bool = "true",
        /// How loads become visible: `transaction`, all tables of a load in one transaction, or `per_table`, each table by
        /// load jobs of its own, which cost nothing, one after another. Example: `per_table`.
        pub publication: String = "transaction",
        /// Labels for jobs, and for the tables that are made. Example: `{ team = "chess" }`.
        pub labels: Option<BTreeMap<String, String>>,
        /// Days after which staging tables go that nobody removed. Example: `2`.
        pub staging_expiration_days: u32 = "7",
        /// Seconds until a request is given up. Example: `60`.
        pub http_timeout: Duration = "15",
        /// Seconds until the upload of a file is given up. Example: `3600`.
        pub file_upload_timeout: Duration = "1800",
        /// Seconds during which a failed request is tried again. Example: `120`.
        pub retry_deadline: Duration = "60",
        /// The root of the service, for private endpoints and emulators. Example: `http://localhost:9050`.
        pub api_endpoint: String = "https://bigquery.googleapis.com",
        /// Whether another machine may be spoken to without encryption. The token and every row are then readable to
        /// whoever stands in between. Example: `true`.
        pub allow_insecure: bool = "false",
    }
}

settings! {
    /// Who loads. Of service account, user, workload identity and file one is configured.
    pub struct GoogleCredentials (from_text = key_file) {
        /// The project that is billed, and that holds the datasets unless `project_id` says otherwise.
        /// Example: `analytics-prod`.
        pub project_id: Option<String>,
        /// The name of a service account. Example: `loader@analytics-prod.iam.gserviceaccount.com`.
        pub client_email: Option<String>,
        /// Its private key in PEM, from `-----BEGIN PRIVATE KEY-----` on. Best in `secrets.toml` or the environment.
        pub private_key: Option<Secret>,
        /// The id of the key, which tokens then name. Example: `0451c0ffee`.
        pub private_key_id: Option<String>,
        /// Where tokens are had, for test servers. Example: `http://localhost:9050/token`.
        pub token_uri: String = "https://oauth2.googleapis.com/token",
        /// The id of the application with which a user logged in. Example: `764086051850.apps.googleusercontent.com`.
        pub client_id: Option<String>,
        /// The secret of that application.
        pub client_secret: Option<Secret>,
        /// The refresh token that the user was given.
        pub refresh_token: Option<Secret>,
        /// The JSON of a workload identity (`"type": "external_account"`).
        pub external_account: Option<Secret>,
        /// A file in the place of all of this: the key of a service account, or what
        /// `gcloud auth application-default login` or `gcloud iam workload-identity-pools create-cred-config` wrote.
        /// Example: `key.json`.
        pub application_credentials: Option<PathBuf>,
    }
}

/// The keys of a service account's or a user's JSON that the table has as well. The files hold further addresses of
/// Google's: they are not taken from there.
const TAKEN: [&str; 7] = [
    "project_id",
    "client_email",
    "private_key",
    "private_key_id",
    "client_id",
    "client_secret",
    "refresh_token",
];

/// Takes a JSON file of Google's apart. The text is never shown: it holds keys.
fn key_file(text: &str) -> Result<BTreeMap<String, String>> {
    let refused = |reason: String| {
        Error::new(ErrorKind::Configuration, "the credentials of Google cannot be read")
            .with("reason", reason)
            .with_hint(
                "write the content of the JSON file, `credentials = '''{ … }'''` in `.transload/secrets.toml`, or \
                 its path",
            )
    };
    if !text.trim_start().starts_with('{') {
        // The path of such a file.
        return Ok(BTreeMap::from([(
            "application_credentials".to_owned(),
            text.trim().to_owned(),
        )]));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        refused(format!("not JSON from line {}, column {} on", error.line(), error.column()))
    })?;
    let wanted: &[&str] = match value["type"].as_str() {
        Some("service_account") => &TAKEN[..4],
        Some("authorized_user") => &TAKEN[4..],
        Some("external_account") => {
            return Ok(BTreeMap::from([("external_account".to_owned(), text.to_owned())]));
        }
        _ => {
            return Err(refused(
                "its `type` is none of `service_account`, `authorized_user`, `external_account`"
                    .into(),
            ));
        }
    };
    let mut known: Vec<(&str, &Value)> =
        wanted.iter().filter_map(|name| Some((*name, value.get(*name)?))).collect();
    // A user has no project of its own, but one that pays.
    known.extend(value.get("quota_project_id").map(|project| ("project_id", project)));
    known
        .into_iter()
        .map(|(name, value)| match value.as_str() {
            Some(text) => Ok((name.to_owned(), text.to_owned())),
            None => Err(refused(format!("its `{name}` is not a text"))),
        })
        .collect()
}

const TRANSACTION: &str = "transaction";
const PER_TABLE: &str = "per_table";

impl BigQuerySettings {
    /// The project that holds the datasets.
    pub(crate) fn project(&self) -> &str {
        self.project_id.as_deref().or(self.own_project()).unwrap_or_default()
    }

    /// The project in which jobs run, and which is billed for them.
    pub(crate) fn billed_project(&self) -> &str {
        self.own_project().or(self.project_id.as_deref()).unwrap_or_default()
    }

    /// Whether each table is loaded and becomes visible by itself.
    pub(crate) fn is_per_table(&self) -> bool {
        self.publication == PER_TABLE
    }

    /// The labels of jobs and tables.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.labels.clone().unwrap_or_default()
    }

    /// Whether Google itself is asked: what the machine has is shown to no one else.
    pub(crate) fn is_google(&self) -> bool {
        let url = Url::parse(&self.api_endpoint).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        host.ends_with(".googleapis.com") && self.api_endpoint.starts_with("https://")
    }

    fn own_project(&self) -> Option<&str> {
        self.credentials.as_ref()?.project_id.as_deref()
    }
}

impl GoogleCredentials {
    /// Whether anything of this tells who loads.
    fn says_who(&self) -> bool {
        self.client_email.is_some()
            || self.private_key.is_some()
            || self.client_id.is_some()
            || self.client_secret.is_some()
            || self.refresh_token.is_some()
            || self.external_account.is_some()
            || self.application_credentials.is_some()
    }
}

/// The project that is loaded into, without who does it and how. Another root of the service is another place: an
/// emulator has projects of the same names.
pub(crate) fn identity(settings: &BigQuerySettings) -> String {
    let project = settings.project();
    // What stands behind a question mark may be a key.
    let endpoint = settings.api_endpoint.split(['?', '#']).next().unwrap_or_default();
    let place = match endpoint.trim_end_matches('/') {
        "https://bigquery.googleapis.com" => format!("bigquery:{project}"),
        endpoint => format!("bigquery:{project}@{endpoint}"),
    };
    // A load that has begun in one way would bring the rows of its first tables twice if it ended in the other.
    match settings.is_per_table() {
        true => format!("{place} per table"),
        false => place,
    }
}

/// Reads the settings and refuses those that cannot be right.
pub(crate) fn read(settings: &Settings) -> Result<BigQuerySettings> {
    let mut read: BigQuerySettings = settings.read()?;
    if let Some(file) = default_file(settings, &read) {
        let credentials = GoogleCredentials::read(&Settings::default(), "credentials")?;
        let credentials = read.credentials.get_or_insert(credentials);
        credentials.application_credentials = Some(file);
    }
    if let Some(credentials) = &mut read.credentials {
        read_file(settings, credentials)?;
        complete(settings, credentials)?;
    }
    if read.project().is_empty() {
        return Err(settings.missing("project_id"));
    }
    check(settings, &read)?;
    Ok(read)
}

/// The file with the application default credentials, where nobody is configured and Google itself is asked: that of the
/// variable, then what `gcloud` wrote. Source: Google Cloud, "How Application Default Credentials works".
fn default_file(settings: &Settings, read: &BigQuerySettings) -> Option<PathBuf> {
    if read.credentials.as_ref().is_some_and(GoogleCredentials::says_who) || !read.is_google() {
        return None;
    }
    if let Some(file) = settings.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(file.into());
    }
    let folder = match settings.variable("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(settings.variable("HOME")?).join(".config").join("gcloud"),
    };
    Some(folder.join("application_default_credentials.json")).filter(|file| file.is_file())
}

/// Takes the file of the credentials in their place.
fn read_file(settings: &Settings, credentials: &mut GoogleCredentials) -> Result<()> {
    let Some(path) = credentials.application_credentials.as_ref() else { return Ok(()) };
    const KEY: &str = "credentials.application_credentials";
    let text = std::fs::read_to_string(settings.path(path)).map_err(|error| {
        settings.wrong(KEY, format!("the file cannot be read: {}", error.kind()))
    })?;
    if !text.trim_start().starts_with('{') {
        return Err(settings.wrong(KEY, "the file holds no JSON object"));
    }
    let mut parts = key_file(&text)?;
    let mut take = |key: &str| parts.remove(key);
    credentials.project_id = credentials.project_id.take().or_else(|| take("project_id"));
    credentials.client_email = take("client_email");
    credentials.private_key = take("private_key").map(Secret::from);
    credentials.private_key_id = take("private_key_id");
    credentials.client_id = take("client_id");
    credentials.client_secret = take("client_secret").map(Secret::from);
    credentials.refresh_token = take("refresh_token").map(Secret::from);
    credentials.external_account = take("external_account").map(Secret::from);
    Ok(())
}

/// Refuses half an identity. None at all is that of the machine.
fn complete(settings: &Settings, credentials: &GoogleCredentials) -> Result<()> {
    let GoogleCredentials { client_email, private_key, client_id, client_secret, .. } = credentials;
    let groups: [&[(&str, bool)]; 2] = [
        &[
            ("credentials.client_email", client_email.is_some()),
            ("credentials.private_key", private_key.is_some()),
        ],
        &[
            ("credentials.client_id", client_id.is_some()),
            ("credentials.client_secret", client_secret.is_some()),
            ("credentials.refresh_token", credentials.refresh_token.is_some()),
        ],
    ];
    for group in groups {
        let absent = group.iter().find(|(_, present)| !present);
        if let Some((key, _)) = absent
            && group.iter().any(|(_, present)| *present)
        {
            return Err(settings.missing(key));
        }
    }
    Ok(())
}

fn check(settings: &Settings, read: &BigQuerySettings) -> Result<()> {
    let account = read.credentials.as_ref();
    let project = "expected the id of a project, such as analytics-prod";
    let seconds = "expected one second or more";
    let rules = [
        (
            "credentials.project_id",
            account.and_then(|account| account.project_id.as_deref()).is_none_or(is_project),
            project,
        ),
        (
            "credentials.client_email",
            account
                .and_then(|account| account.client_email.as_deref())
                .is_none_or(|email| email.contains('@')),
            "expected the e-mail address of a service account",
        ),
        (
            "credentials.private_key",
            account.and_then(|account| account.private_key.as_ref()).is_none_or(is_private_key),
            "expected a key in PEM, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----",
        ),
        ("project_id", read.project_id.as_deref().is_none_or(is_project), project),
        (
            "location",
            is_made_of(&read.location, |c| c.is_ascii_alphanumeric() || c == '-'),
            "expected a region or multi-region, such as EU or europe-west1",
        ),
        (
            "publication",
            matches!(read.publication.as_str(), TRANSACTION | PER_TABLE),
            "expected `transaction` or `per_table`",
        ),
        (
            "labels",
            labels::check(&read.labels()),
            "expected up to 60 labels of lower-case letters, digits, dashes and underscores, 63 at most in a name and in a \
             value; names begin with a letter, and not with `transload_`",
        ),
        ("staging_expiration_days", read.staging_expiration_days > 0, "expected one day or more"),
        ("http_timeout", !read.http_timeout.is_zero(), seconds),
        ("file_upload_timeout", !read.file_upload_timeout.is_zero(), seconds),
        ("retry_deadline", !read.retry_deadline.is_zero(), seconds),
    ];
    if let Some((key, _, reason)) = rules.into_iter().find(|(_, holds, _)| !holds) {
        return Err(settings.wrong(key, reason));
    }
    check_address(settings, "api_endpoint", &read.api_endpoint, read.allow_insecure)?;
    match account {
        Some(account) => check_address(
            settings,
            "credentials.token_uri",
            &account.token_uri,
            read.allow_insecure,
        ),
        None => Ok(()),
    }
}

/// Tokens and keys travel to these.
fn check_address(settings: &Settings, key: &str, text: &str, allow_insecure: bool) -> Result<()> {
    let wrong =
        || settings.wrong(key, "expected a URL with https://, or with http:// to this machine");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let is_web = matches!(url.scheme(), "https" | "http");
    if !is_web || host.is_empty() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong());
    }
    let allow = settings.full_key("allow_insecure");
    check_encrypted(url.scheme() == "https", host, allow_insecure, &allow)
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
        assert_eq!(account.project_id.as_deref(), Some("analytics-prod"));
        assert!(account.private_key.unwrap().expose().contains("\ncanary0451\n"));
    }

    #[test]
    fn a_key_file_that_is_none_is_refused_and_not_shown() {
        for (text, reason) in [
            ("{ canary", "not JSON from line 1, column 3 on"),
            (
                r#"{"type": "canary"}"#,
                "its `type` is none of `service_account`, `authorized_user`, `external_account`",
            ),
            (
                r#"{"type": "gdch_service_account", "private_key": "canary"}"#,
                "its `type` is none of `service_account`, `authorized_user`, `external_account`",
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
    fn a_user_and_a_workload_identity_are_known_by_their_type() {
        let user = r#"{"type": "authorized_user", "client_id": "i", "client_secret": "canary",
            "refresh_token": "canary", "quota_project_id": "payer"}"#;
        let keys: Vec<String> = parts_of(user).unwrap().into_keys().collect();
        assert_eq!(keys, ["client_id", "client_secret", "project_id", "refresh_token"]);
        let workload = r#"{"type": "external_account", "audience": "//iam"}"#;
        assert_eq!(parts_of(workload).unwrap()["external_account"], workload);
    }

    #[test]
    fn a_path_stands_for_the_table() {
        let parts = parts_of("/home/me/key.json\n").unwrap();
        assert_eq!(parts["application_credentials"], "/home/me/key.json");
    }

    #[test]
    fn a_file_stands_for_the_table() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key.json"), KEY_FILE).unwrap();
        let pairs = [("credentials.application_credentials", "key.json"), ("project_id", "other")];
        let mut settings = Settings::from_pairs("bigquery", &pairs);
        settings.folder = folder.path().to_owned();
        let bigquery = read(&settings).unwrap();
        assert_eq!((bigquery.project(), bigquery.billed_project()), ("other", "analytics-prod"));
        assert!(bigquery.credentials.unwrap().private_key.is_some());
        std::fs::remove_file(folder.path().join("key.json")).unwrap();
        assert_eq!(key_of(&settings), "destination.bigquery.credentials.application_credentials");
    }

    #[test]
    fn application_default_credentials_are_found_where_google_looks_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("key.json"), KEY_FILE).unwrap();
        let user = r#"{"type": "authorized_user", "client_id": "i", "client_secret": "canary",
            "refresh_token": "canary"}"#;
        std::fs::write(path("application_default_credentials.json"), user).unwrap();
        let with = |pairs: &[(&str, &str)], variables: &[(&str, String)]| {
            let mut settings = Settings::from_pairs("bigquery", pairs);
            for (name, value) in variables {
                settings.environment.insert((*name).to_owned(), value.as_str().into());
            }
            read(&settings).unwrap().credentials
        };
        let (key, gcloud) =
            (("GOOGLE_APPLICATION_CREDENTIALS", path("key.json")), ("CLOUDSDK_CONFIG", path("")));
        let project = [("project_id", "p")];
        let found = with(&project, &[key.clone(), gcloud.clone()]).unwrap();
        assert!(found.client_email.is_some() && found.client_id.is_none());
        let found = with(&project, std::slice::from_ref(&gcloud)).unwrap();
        assert_eq!(found.client_id.as_deref(), Some("i"));
        assert!(with(&project, &[]).is_none());
        // An emulator is not shown them, and who is configured comes first.
        let emulated = [("project_id", "p"), ("api_endpoint", "http://localhost:9050")];
        assert!(with(&emulated, std::slice::from_ref(&key)).is_none());
        assert!(with(&COMPLETE, &[gcloud]).unwrap().client_id.is_none());
    }

    #[test]
    fn a_missing_value_is_named() {
        for (absent, _) in &COMPLETE[1..] {
            let mut settings = Settings::from_pairs("bigquery", &COMPLETE);
            settings.values.remove(*absent);
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
            ("api_endpoint", "https://user:canary@host"),
            ("credentials.token_uri", "canary"),
            ("staging_expiration_days", "0"),
        ] {
            let pairs = [&COMPLETE[..], &[(key, text)]].concat();
            let settings = Settings::from_pairs("bigquery", &pairs);
            assert_eq!(key_of(&settings), format!("destination.bigquery.{key}"), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_encrypted_or_on_this_machine_or_allowed() {
        let with = |pairs: &[(&str, &str)]| {
            read(&Settings::from_pairs("warehouse", &[&COMPLETE[..], pairs].concat()))
        };
        for url in ["https://bigquery.example/", "http://localhost:9050", "http://[::1]:9050/"] {
            with(&[("api_endpoint", url)]).unwrap();
        }
        for key in ["api_endpoint", "credentials.token_uri"] {
            for url in ["http://canary.example", "http://localhost.canary.example"] {
                let error = with(&[(key, url)]).unwrap_err();
                assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
                assert!(error.hint().unwrap().contains("destination.warehouse.allow_insecure"));
                with(&[(key, url), ("allow_insecure", "true")]).unwrap();
            }
        }
    }
}
