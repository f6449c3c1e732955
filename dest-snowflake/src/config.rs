//! What Snowflake is configured with, under dlt's keys.

use std::path::PathBuf;

use transload_core::settings::{Setting, SettingKind, Settings, connection_string};
use transload_core::{Result, Secret, settings};

settings! {
    /// The settings of destination Snowflake.
    pub struct SnowflakeSettings {
        /// How to log in: a table, or one connection string for all of it, such as
        /// `snowflake://loader:<password>@myorg-account1/db?warehouse=loading&role=loader`.
        pub credentials: SnowflakeCredentials,
        /// The external stage from which staged files are copied; it must point to the `bucket_url` of the staging
        /// destination. Its storage integration then opens the bucket, and no keys are passed on. Google Cloud Storage
        /// and Azure need it. Example: `RAW.PUBLIC.LAKE`.
        pub stage_name: Option<String>,
        /// Whether files that were put into an internal stage stay there after they were loaded. Example: `false`.
        pub keep_staged_files: bool = "true",
        /// The tag of every statement, with `{source}`, `{resource}`, `{table}`, `{load_id}`, `{operation}` and
        /// `{pipeline_name}` filled in. Example: `{{"pipeline": "{pipeline_name}", "load": "{load_id}"}}`.
        pub query_tag: Option<String>,
        /// Whether tables are created with their primary keys and unique columns. Snowflake does not enforce them.
        /// Example: `true`.
        pub create_indexes: bool = "false",
        /// Whether Parquet is read by the vectorised scanner. Example: `true`.
        pub use_vectorized_scanner: bool = "false",
    }
}

settings! {
    /// How to log in to Snowflake: with a password, a key pair or a token.
    pub struct SnowflakeCredentials (from_text = connection_string) {
        /// The user. Only `oauth` does without. Example: `loader`.
        pub username: Option<String>,
        /// The user's password. Best in `secrets.toml` or the environment.
        pub password: Option<Secret>,
        /// The identifier of the account. Example: `myorg-account1`.
        pub host: String,
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
            "query_tag",
            read.query_tag.as_deref().is_none_or(has_known_placeholders),
            "expected {source}, {resource}, {table}, {load_id}, {operation} or {pipeline_name} in braces, and {{ }} \
             for braces themselves",
        ),
    ];
    match rules.into_iter().find(|(_, holds, _)| !holds) {
        Some((key, _, reason)) => Err(settings.wrong(key, reason)),
        None => Ok(read),
    }
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

/// Whether a text has only the placeholders of dlt in its braces, and braces that are doubled.
fn has_known_placeholders(tag: &str) -> bool {
    const KNOWN: [&str; 6] =
        ["source", "resource", "table", "load_id", "operation", "pipeline_name"];
    let mut rest = tag;
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            rest = &brace[2..];
            continue;
        }
        match brace[1..].split_once('}') {
            Some((name, after)) if brace.starts_with('{') && KNOWN.contains(&name) => rest = after,
            _ => return false,
        }
    }
    true
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
            ("credentials.database", "canary/schema"),
            ("credentials.warehouse", ""),
            ("credentials.role", ""),
            ("credentials.private_key", "canary key"),
            ("credentials.private_key_path", "canary.p8"),
            ("credentials.authenticator", "externalbrowser-canary"),
            ("stage_name", "@canary"),
            ("keep_staged_files", "canary"),
            ("query_tag", "{canary}"),
            ("query_tag", "{\"canary\": 1}"),
            ("query_tag", "canary}"),
        ] {
            let pairs = [&COMPLETE[..], &[(key, text)]].concat();
            assert_eq!(key_of(&Settings::from_pairs("snowflake", &pairs)), key, "{text}");
        }
    }

    #[test]
    fn a_tag_may_be_json_with_doubled_braces() {
        assert!(has_known_placeholders(r#"{{"load": "{load_id}", "table": "{table}"}}"#));
        assert!(has_known_placeholders("{{{operation}}}"));
    }
}
