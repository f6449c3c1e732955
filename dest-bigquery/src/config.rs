//! What BigQuery is configured with, under dlt's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use transload_core::settings::{Setting as _, Settings};
use transload_core::{Result, Secret, check_encrypted, settings};
use transload_google_identity::{Credentials, DefaultFile, How, Identity, from_text};
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
    pub struct GoogleCredentials (from_text = from_text) {
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
    /// What these settings themselves say of who loads.
    fn said(&self) -> Credentials {
        Credentials {
            project_id: self.project_id.clone(),
            client_email: self.client_email.clone(),
            private_key: self.private_key.clone(),
            private_key_id: self.private_key_id.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            refresh_token: self.refresh_token.clone(),
            external_account: self.external_account.clone(),
        }
    }

    /// Takes what a file says in the place of all but the project, which the settings may name themselves.
    fn take(&mut self, found: Credentials) {
        self.project_id = self.project_id.take().or(found.project_id);
        self.client_email = found.client_email;
        self.private_key = found.private_key;
        self.private_key_id = found.private_key_id;
        self.client_id = found.client_id;
        self.client_secret = found.client_secret;
        self.refresh_token = found.refresh_token;
        self.external_account = found.external_account;
    }
}

/// Who loads: who is configured, else this machine, which is shown to Google alone.
///
/// # Errors
/// Those of [`Identity::of`].
pub(crate) fn who_asks(read: &BigQuerySettings, folder: PathBuf) -> Result<Identity> {
    let configured = match &read.credentials {
        Some(credentials) => {
            let token_uri = credentials.token_uri.clone();
            let how = How { token_uri, folder, allow_insecure: read.allow_insecure };
            Identity::of(&credentials.said(), how)?
        }
        None => None,
    };
    Ok(configured.unwrap_or(match read.is_google() {
        true => Identity::Machine,
        false => Identity::Nobody,
    }))
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
        read.credentials.get_or_insert(credentials).take(file.read()?);
    }
    if let Some(credentials) = &mut read.credentials {
        if let Some(path) = &credentials.application_credentials {
            let found =
                Credentials::of_file(settings, "credentials.application_credentials", path)?;
            credentials.take(found);
        }
        credentials.said().check_whole(settings, "credentials")?;
    }
    if read.project().is_empty() {
        return Err(settings.missing("project_id"));
    }
    check(settings, &read)?;
    Ok(read)
}

/// The file with the application default credentials, where nobody is configured and Google itself is asked.
fn default_file(settings: &Settings, read: &BigQuerySettings) -> Option<DefaultFile> {
    let credentials = read.credentials.as_ref();
    let is_said =
        credentials.is_some_and(|it| it.application_credentials.is_some() || it.said().say_who());
    if is_said || !read.is_google() {
        return None;
    }
    transload_google_identity::default_file(settings)
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
    use transload_core::ErrorKind;
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
    fn without_an_account_a_project_is_enough() {
        assert!(read(&Settings::from_pairs("bigquery", &[("project_id", "p")])).is_ok());
        assert_eq!(
            key_of(&Settings::from_pairs("bigquery", &[])),
            "destination.bigquery.project_id"
        );
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
            read(&settings).map(|read| read.credentials)
        };
        let (key, gcloud) =
            (("GOOGLE_APPLICATION_CREDENTIALS", path("key.json")), ("CLOUDSDK_CONFIG", path("")));
        let project = [("project_id", "p")];
        let found = with(&project, &[key.clone(), gcloud.clone()]).unwrap().unwrap();
        assert!(found.client_email.is_some() && found.client_id.is_none());
        let found = with(&project, std::slice::from_ref(&gcloud)).unwrap().unwrap();
        assert_eq!(found.client_id.as_deref(), Some("i"));
        assert!(with(&project, &[]).unwrap().is_none());
        // An emulator is not shown them, and who is configured comes first.
        let emulated = [("project_id", "p"), ("api_endpoint", "http://localhost:9050")];
        assert!(with(&emulated, std::slice::from_ref(&key)).unwrap().is_none());
        assert!(with(&COMPLETE, &[gcloud]).unwrap().unwrap().client_id.is_none());
        // One that is not there is named, with the variable that names it.
        let gone = path("gone.json");
        let error =
            with(&project, &[("GOOGLE_APPLICATION_CREDENTIALS", gone.clone())]).unwrap_err();
        assert_eq!(
            (error.context("file"), error.context("variable")),
            (Some(&*gone), Some("GOOGLE_APPLICATION_CREDENTIALS"))
        );
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
