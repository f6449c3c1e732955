//! What Snowflake is configured with, under dlt's keys.

use std::path::PathBuf;
use std::time::Duration;

use transload_core::settings::{Setting, SettingKind, Settings, connection_string};
use transload_core::{Result, Secret, check_encrypted, settings};
use url::Url;

use crate::query_tag::QueryTag;

settings! {
    /// The settings of destination Snowflake.
    pub struct SnowflakeSettings {
        /// How to log in: a table, or one connection string for all of it, such as
        /// `snowflake://loader:<password>@myorg-account1/db?warehouse=loading&role=loader`.
        pub credentials: SnowflakeCredentials,
        /// The external stage from which staged files are copied; it must point to the `bucket_url` of the staging
        /// destination. Its storage integration then opens the bucket, and no keys are passed on. Example: `RAW.PUBLIC.LAKE`.
        pub stage_name: Option<String>,
        /// The storage integration that opens the bucket of the staging destination, where there is no stage for it. No
        /// keys are passed on then. Google Cloud Storage needs it or a stage. Example: `LAKE_INTEGRATION`.
        pub storage_integration: Option<String>,
        /// Whether files that were put into an internal stage stay there after they were loaded. Example: `false`.
        pub keep_staged_files: bool = "true",
        /// The tag of every statement, with `{source}`, `{resource}`, `{table}`, `{load_id}`, `{operation}` and
        /// `{pipeline_name}` filled in. Example: `{{"pipeline": "{pipeline_name}", "load": "{load_id}"}}`.
        pub query_tag: Option<String>,
        /// Whether tables are created with their primary keys and unique columns. Snowflake does not enforce them.
        /// Example: `true`.
        pub create_indexes: bool = "false",
        /// Whether names of datasets, tables and columns are kept as they are written, in quotes: `Name` and `name` are two
        /// names then, and queries have to write both in quotes. Without it they are one, stored as `NAME`. What dlt does by
        /// itself with a naming convention that tells names apart by case (`sql_cs_v1`, `direct`, `duck_case`). Example: `true`.
        pub has_case_sensitive_identifiers: bool = "false",
        /// Whether Parquet is read by the vectorised scanner, which is faster. Example: `false`.
        pub use_vectorized_scanner: bool = "true",
        /// Parameters of the session, as `NAME=value`; not those on which the statements of a load depend, such as `TIMEZONE`.
        /// Example: `["STATEMENT_TIMEOUT_IN_SECONDS=3600"]`.
        pub session_parameters: Option<Vec<String>>,
    }
}

settings! {
    /// How to log in to Snowflake: with a password, a key pair or a token.
    pub struct SnowflakeCredentials (from_text = connection_string) {
        /// The user. Only `oauth` does without. Example: `loader`.
        pub username: Option<String>,
        /// The user's password. Best in `secrets.toml` or the environment.
        pub password: Option<Secret>,
        /// The identifier of the account, or the whole name of its host. Example: `myorg-account1`.
        pub host: String,
        /// Another address than the account's own, for a proxy or a test server. Example: `http://127.0.0.1:8084`.
        pub endpoint_url: Option<String>,
        /// Whether an address on another machine may be spoken to without encryption. The password and every row are then
        /// readable to whoever stands in between. Example: `true`.
        pub allow_insecure: bool = "false",
        /// Seconds until an attempt to log in is given up. Example: `30`.
        pub login_timeout: Duration = "60",
        /// The database. Example: `RAW`.
        pub database: String,
        /// The warehouse that does the work, where it is not the user's own. Example: `LOADING`.
        pub warehouse: Option<String>,
        /// The role, where it is not the user's own. Example: `LOADER`.
        pub role: Option<String>,
        /// The private key of a key pair: in PEM, or DER in base64. Best in `secrets.toml` or the environment.
        pub private_key: Option<Secret>,
        /// The file that holds the private key, in place of it. Example: `keys/loader.p8`.
        pub private_key_path: Option<PathBuf>,
        /// What the private key was encrypted with. Best in `secrets.toml` or the environment.
        pub private_key_passphrase: Option<Secret>,
        /// The way to log in: `snowflake` (password), `snowflake_jwt` (key pair), `oauth` or
        /// `programmatic_access_token` (token). Without it, a private key goes before a password.
        pub authenticator: Option<Authenticator>,
        /// The token of `oauth` or `programmatic_access_token`. Best in `secrets.toml` or the environment.
        pub token: Option<Secret>,
    }
}

/// The way to log in. The words are those of Snowflake's drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authenticator {
    /// User and password.
    Snowflake,
    /// User and key pair.
    SnowflakeJwt,
    /// An OAuth token.
    Oauth,
    /// User and programmatic access token.
    ProgrammaticAccessToken,
}

impl Setting for Authenticator {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        match String::read(settings, key)?.to_ascii_lowercase().as_str() {
            "snowflake" => Ok(Self::Snowflake),
            "snowflake_jwt" => Ok(Self::SnowflakeJwt),
            "oauth" => Ok(Self::Oauth),
            "programmatic_access_token" => Ok(Self::ProgrammaticAccessToken),
            // The drivers' others open a browser, or ask a person for a code.
            _ => Err(settings.wrong(
                key,
                "expected snowflake, snowflake_jwt, oauth or programmatic_access_token",
            )),
        }
    }
}

/// The database that is loaded into, without who does it and how.
pub(crate) fn identity(settings: &SnowflakeSettings) -> String {
    let SnowflakeCredentials { host, database, .. } = &settings.credentials;
    format!("snowflake://{}/{database}", host.to_ascii_lowercase())
}

/// Reads the settings and refuses those that cannot be right.
pub(crate) fn read(settings: &Settings) -> Result<SnowflakeSettings> {
    let read: SnowflakeSettings = settings.read()?;
    let login = &read.credentials;
    require_login(settings, login)?;
    let has_key_file =
        login.private_key_path.as_ref().is_none_or(|file| settings.path(file).is_file());
    let rules = [
        ("credentials.username", login.username.as_deref() != Some(""), "is empty"),
        ("credentials.password", is_filled(login.password.as_ref()), "is empty"),
        ("credentials.token", is_filled(login.token.as_ref()), "is empty"),
        (
            "credentials.private_key",
            login.private_key.as_ref().is_none_or(is_private_key),
            "expected a key in PEM, or DER in base64",
        ),
        ("credentials.private_key_path", has_key_file, "there is no such file"),
        (
            "credentials.host",
            !login.host.is_empty() && !login.host.contains([':', '/', '@', ' ']),
            "expected the identifier of an account, such as myorg-account1",
        ),
        (
            "credentials.endpoint_url",
            login.endpoint_url.as_deref().is_none_or(is_address),
            "expected an address without a path, such as http://127.0.0.1:8084",
        ),
        (
            "credentials.login_timeout",
            !login.login_timeout.is_zero(),
            "expected one second or more",
        ),
        (
            "credentials.database",
            !login.database.is_empty() && !login.database.contains('/'),
            "expected the name of a database alone; the dataset is the schema",
        ),
        ("credentials.warehouse", login.warehouse.as_deref() != Some(""), "is empty"),
        ("credentials.role", login.role.as_deref() != Some(""), "is empty"),
        (
            "stage_name",
            read.stage_name
                .as_deref()
                .is_none_or(|name| !name.is_empty() && !name.starts_with('@')),
            "expected the name of a stage, without `@`",
        ),
        (
            "storage_integration",
            read.storage_integration.as_deref().is_none_or(is_name),
            "expected the name of an integration: letters, digits, `_` and `$`",
        ),
        (
            "session_parameters",
            read.session_parameters.iter().flatten().all(|text| parameter(text).is_some()),
            "expected NAME=value",
        ),
        (
            "session_parameters",
            !read.session_parameters.iter().flatten().any(|text| is_fixed(text)),
            "the statements of a load depend on AUTOCOMMIT, MULTI_STATEMENT_COUNT, QUOTED_IDENTIFIERS_IGNORE_CASE, \
             ROWS_PER_RESULTSET, TIMEZONE and the formats of input: they stay as they are",
        ),
        (
            "query_tag",
            read.query_tag.as_deref().is_none_or(|tag| QueryTag::read(tag).is_some()),
            "expected {source}, {resource}, {table}, {load_id}, {operation} or {pipeline_name} in braces, and {{ }} \
             for braces themselves",
        ),
    ];
    if let Some((key, _, reason)) = rules.into_iter().find(|(_, holds, _)| !holds) {
        return Err(settings.wrong(key, reason));
    }
    if let Some(url) = login.endpoint_url.as_deref().and_then(|text| Url::parse(text).ok()) {
        let key = settings.full_key("credentials.allow_insecure");
        let host = url.host_str().unwrap_or_default();
        check_encrypted(url.scheme() == "https", host, login.allow_insecure, &key)?;
    }
    Ok(read)
}

/// Where the account is spoken to. Source: Snowflake documentation, "Account identifiers": the underscores of an account
/// are hyphens in the name of its host.
pub(crate) fn address(login: &SnowflakeCredentials) -> String {
    let host = login.host.as_str();
    match &login.endpoint_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None if is_whole_host(host) => format!("https://{host}"),
        None => format!("https://{}.snowflakecomputing.com", host.replace('_', "-")),
    }
}

/// The account in a login: what stands before the region.
pub(crate) fn account(login: &SnowflakeCredentials) -> &str {
    login.host.split('.').next().unwrap_or_default()
}

fn is_whole_host(host: &str) -> bool {
    host.to_ascii_lowercase().contains(".snowflakecomputing.")
}

/// Parameters of the session on which the statements depend, whatever the user or the account has for them. Source: Snowflake
/// documentation, "Parameters".
pub(crate) const FIXED_PARAMETERS: &[(&str, &str)] = &[
    ("AUTOCOMMIT", "true"),
    ("DATE_INPUT_FORMAT", "AUTO"),
    ("MULTI_STATEMENT_COUNT", "1"),
    ("QUOTED_IDENTIFIERS_IGNORE_CASE", "false"),
    // Answers are whole.
    ("ROWS_PER_RESULTSET", "0"),
    ("TIMESTAMP_INPUT_FORMAT", "AUTO"),
    ("TIMEZONE", "UTC"),
    ("TIME_INPUT_FORMAT", "AUTO"),
];

fn is_fixed(text: &str) -> bool {
    parameter(text).is_some_and(|(name, _)| FIXED_PARAMETERS.iter().any(|(ours, _)| *ours == name))
}

/// The name and the value of a parameter of the session.
pub(crate) fn parameter(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.split_once('=')?;
    is_name(name.trim()).then(|| (name.trim().to_ascii_uppercase(), value.trim()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.path() == "/"
            && url.username().is_empty()
            && url.query().is_none()
    })
}

/// Refuses a login that lacks what its way to log in needs.
fn require_login(settings: &Settings, login: &SnowflakeCredentials) -> Result<()> {
    let key_pair = ["credentials.private_key", "credentials.private_key_path"];
    let one_of: &[&str] = match login.authenticator {
        Some(Authenticator::Snowflake) => &["credentials.password"],
        Some(Authenticator::SnowflakeJwt) => &key_pair,
        Some(Authenticator::Oauth | Authenticator::ProgrammaticAccessToken) => {
            &["credentials.token"]
        }
        None if login.token.is_some() && login.password.is_none() => {
            &["credentials.authenticator", key_pair[0], key_pair[1]]
        }
        None => &["credentials.password", key_pair[0], key_pair[1]],
    };
    if !one_of.iter().any(|key| settings.has(key)) {
        let error = settings.missing(one_of[0]);
        return Err(if one_of.len() > 1 {
            error.with("or", one_of[1..].join(", "))
        } else {
            error
        });
    }
    if login.username.is_none() && login.authenticator != Some(Authenticator::Oauth) {
        return Err(settings.missing("credentials.username"));
    }
    let is_encrypted =
        |key: &Secret| key.expose().trim().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----");
    if login.private_key.as_ref().is_some_and(is_encrypted)
        && login.private_key_passphrase.is_none()
    {
        return Err(settings.missing("credentials.private_key_passphrase"));
    }
    Ok(())
}

fn is_filled(secret: Option<&Secret>) -> bool {
    secret.is_none_or(|secret| !secret.expose().is_empty())
}

fn is_private_key(key: &Secret) -> bool {
    let text = key.expose().trim();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
    match text.strip_prefix("-----BEGIN ") {
        Some(pem) => pem.ends_with(" PRIVATE KEY-----"),
        None => !text.is_empty() && text.chars().all(is_base64),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use transload_core::ErrorKind;
    use transload_core::settings::{Origin, SettingValue};

    use super::*;

    pub(crate) const CANARY: &str = "p/w-canary-0451";

    pub(crate) const COMPLETE: [(&str, &str); 4] = [
        ("credentials.username", "loader"),
        ("credentials.password", CANARY),
        ("credentials.host", "myorg-account1"),
        ("credentials.database", "RAW"),
    ];

    /// The login without its password, and with these values instead.
    fn login(more: &[(&str, &str)]) -> Settings {
        let mut pairs = COMPLETE.to_vec();
        pairs.remove(1);
        pairs.extend(more);
        Settings::from_pairs("snowflake", &pairs)
    }

    fn key_of(settings: &Settings) -> String {
        let error = read(settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        let key = error.context("key").unwrap();
        key.strip_prefix("destination.snowflake.").unwrap().to_owned()
    }

    #[test]
    fn a_table_is_read_with_its_defaults() {
        let snowflake = read(&Settings::from_pairs("snowflake", &COMPLETE)).unwrap();
        assert!(snowflake.keep_staged_files && !snowflake.create_indexes);
        assert!(!snowflake.has_case_sensitive_identifiers);
        assert_eq!(identity(&snowflake), "snowflake://myorg-account1/RAW");
        assert!(snowflake.stage_name.is_none() && snowflake.credentials.authenticator.is_none());
        assert!(!format!("{snowflake:?}").contains(CANARY));
    }

    #[test]
    fn a_connection_string_stands_for_the_table() {
        let SettingKind::Group(group) = SnowflakeSettings::KEYS[0].kind else { panic!("a table") };
        let text = "snowflake://us%40er:p%2Fw-canary-0451@acct/db?warehouse=WH&role=R";
        let mut settings = Settings::from_pairs("snowflake", &[]);
        for (key, part) in group.from_text.unwrap()(text).unwrap() {
            let value = (SettingValue::text(part), Origin::Code);
            settings.values.insert(format!("credentials.{key}"), value);
        }
        let login = read(&settings).unwrap().credentials;
        assert_eq!(login.username.as_deref(), Some("us@er"));
        assert_eq!(login.password.unwrap().expose(), CANARY);
        assert_eq!((login.host.as_str(), login.database.as_str()), ("acct", "db"));
        assert_eq!((login.warehouse.as_deref(), login.role.as_deref()), (Some("WH"), Some("R")));
    }

    #[test]
    fn a_missing_value_is_named() {
        for (absent, _) in COMPLETE {
            let mut settings = Settings::from_pairs("snowflake", &COMPLETE);
            settings.values.remove(absent);
            assert_eq!(key_of(&settings), absent);
        }
    }

    #[test]
    fn an_account_has_its_address() {
        for (host, expected, account_name) in [
            (
                "myorg-account_1",
                "https://myorg-account-1.snowflakecomputing.com",
                "myorg-account_1",
            ),
            ("xy1.eu-west-1", "https://xy1.eu-west-1.snowflakecomputing.com", "xy1"),
            (
                "a.privatelink.snowflakecomputing.com",
                "https://a.privatelink.snowflakecomputing.com",
                "a",
            ),
        ] {
            let mut settings = Settings::from_pairs("snowflake", &COMPLETE);
            let value = (SettingValue::text(host), Origin::Code);
            settings.values.insert("credentials.host".into(), value);
            let login = read(&settings).unwrap().credentials;
            assert_eq!((address(&login).as_str(), account(&login)), (expected, account_name));
        }
    }

    #[test]
    fn another_address_is_encrypted_or_on_this_machine() {
        for (url, allowed) in [
            ("http://127.0.0.1:8084", true),
            ("https://proxy.example.com", true),
            ("http://proxy.example.com", false),
        ] {
            let pairs = [&COMPLETE[..], &[("credentials.endpoint_url", url)]].concat();
            let read = read(&Settings::from_pairs("snowflake", &pairs));
            assert_eq!(read.is_ok(), allowed, "{url}");
            if let Err(error) = read {
                assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
                let hint = error.hint().unwrap();
                assert!(
                    hint.contains("destination.snowflake.credentials.allow_insecure"),
                    "{hint}"
                );
            }
        }
    }

    #[test]
    fn each_way_to_log_in_asks_for_its_own_secret() {
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary\n-----END ENCRYPTED PRIVATE KEY-----";
        for (given, missing) in [
            (("credentials.authenticator", "snowflake"), "credentials.password"),
            (("credentials.authenticator", "snowflake_jwt"), "credentials.private_key"),
            (("credentials.authenticator", "oauth"), "credentials.token"),
            (("credentials.authenticator", "programmatic_access_token"), "credentials.token"),
            (("credentials.token", "canary"), "credentials.authenticator"),
            (("credentials.private_key", encrypted), "credentials.private_key_passphrase"),
        ] {
            assert_eq!(key_of(&login(&[given])), missing, "{given:?}");
        }
        assert!(read(&login(&[("credentials.private_key", "MIIcanary+/=")])).is_ok());
        let mut oauth =
            login(&[("credentials.authenticator", "oauth"), ("credentials.token", CANARY)]);
        oauth.values.remove("credentials.username");
        assert!(read(&oauth).is_ok());
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for (key, text) in [
            ("credentials.username", ""),
            ("credentials.password", ""),
            ("credentials.token", ""),
            ("credentials.host", ""),
            ("credentials.host", "https://canary.snowflakecomputing.com"),
            ("credentials.endpoint_url", "canary"),
            ("credentials.endpoint_url", "https://host/canary"),
            ("credentials.login_timeout", "0"),
            ("credentials.database", "canary/schema"),
            ("credentials.warehouse", ""),
            ("credentials.role", ""),
            ("credentials.private_key", "canary key"),
            ("credentials.private_key_path", "canary.p8"),
            ("credentials.authenticator", "externalbrowser-canary"),
            ("stage_name", "@canary"),
            ("storage_integration", "canary; DROP"),
            ("session_parameters", "[\"canary\"]"),
            ("session_parameters", "[\"quoted_identifiers_ignore_case = canary\"]"),
            ("session_parameters", "[\"LOCK_TIMEOUT=60\", \"AUTOCOMMIT=canary\"]"),
            ("keep_staged_files", "canary"),
            ("has_case_sensitive_identifiers", "canary"),
            ("query_tag", "{canary}"),
            ("query_tag", "{\"canary\": 1}"),
            ("query_tag", "canary}"),
        ] {
            let pairs = [&COMPLETE[..], &[(key, text)]].concat();
            assert_eq!(key_of(&Settings::from_pairs("snowflake", &pairs)), key, "{text}");
        }
    }
}
