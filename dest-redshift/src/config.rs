//! What Redshift is configured with, under dlt's keys.

use std::path::PathBuf;
use std::time::Duration;

use transload_core::settings::{Setting, SettingKind, Settings, connection_string};
use transload_core::{Result, Secret, check_encrypted, settings};

use crate::options::CopyOptions;

settings! {
    /// The settings of destination Redshift.
    pub struct RedshiftSettings {
        /// How to log in: a table, or one connection string for all of it, such as
        /// `redshift://loader:<password>@host:5439/db?connect_timeout=15`.
        pub credentials: RedshiftCredentials,
        /// The IAM role with which Redshift reads staged files: an ARN, several of them joined by commas where one
        /// takes on the next, or `default` for the one that the cluster has by default. Without it the credentials of
        /// the staging destination are passed on. Example: `arn:aws:iam::123456789012:role/copy`.
        pub staging_iam_role: Option<String>,
        /// Whether names that differ in case alone are two names. Set it where the cluster or the workgroup has
        /// `enable_case_sensitive_identifier`. Example: `true`.
        pub has_case_sensitive_identifiers: bool = "false",
        /// The region of the bucket, where it is not the cluster's. COPY then takes JSON lines or CSV, since Parquet
        /// cannot cross regions. Without it the region of the staging destination's credentials is passed on, if they
        /// are. Example: `eu-west-1`.
        pub staging_region: Option<String>,
        /// Options that every COPY gets, such as `STATUPDATE OFF`; those that could lose rows are refused.
        /// Example: `["COMPUPDATE OFF", "ACCEPTINVCHARS AS '?'"]`.
        pub copy_options: Option<Vec<String>>,
        /// Whether CSV may be loaded, in which Redshift does not tell an empty text from NULL: both become NULL.
        /// Example: `true`.
        pub csv_empty_as_null: bool = "false",
        /// The slices of the cluster: `select count(*) from stv_slices`. Then the staged files of a table come in multiples of
        /// it, about equal in size, so that none of them waits for others. Example: `16`.
        pub slices: Option<usize>,
        /// Seconds after which the cluster ends a statement. Without it the cluster's own settings decide.
        /// Example: `3600`.
        pub statement_timeout: Option<Duration>,
    }
}

settings! {
    /// How to log in to Redshift.
    pub struct RedshiftCredentials (from_text = connection_string) {
        /// The user. Example: `loader`.
        pub username: String,
        /// The user's password. Best in `secrets.toml` or the environment.
        pub password: Secret,
        /// The host of the cluster or workgroup, without its port.
        /// Example: `examples.abc123.eu-west-1.redshift.amazonaws.com`.
        pub host: String,
        /// The port. Example: `5440`.
        pub port: u16 = "5439",
        /// The database. Example: `dlt_data`.
        pub database: String,
        /// Seconds until an attempt to connect is given up. Example: `30`.
        pub connect_timeout: Duration = "15",
        /// How the connection is encrypted: `verify-full` (the certificate and the name in it), `verify-ca` (the
        /// certificate alone, for tunnels), `require` (as `verify-full`) or `disable` (not at all: to this machine, or
        /// with `allow_insecure`).
        pub sslmode: SslMode = "verify-full",
        /// Whether another machine may be spoken to without encryption. The password and every row are then readable
        /// to whoever stands in between. Example: `true`.
        pub allow_insecure: bool = "false",
        /// A PEM file of the authorities to trust in place of the system's. Example: `redshift-ca-bundle.crt`.
        pub sslrootcert: Option<PathBuf>,
        /// The name that the system views show for the connection. Example: `nightly`.
        pub application_name: String = "transload",
        /// Seconds of silence after which the connection is kept awake, for firewalls that drop idle ones. Without it
        /// the operating system decides. Example: `60`.
        pub keepalives_idle: Option<Duration>,
        /// Seconds between two such signs of life that had no answer. Example: `10`.
        pub keepalives_interval: Option<Duration>,
        /// How many of them may go without an answer until the connection counts as lost. Example: `5`.
        pub keepalives_count: Option<u32>,
        /// Milliseconds that sent bytes may go without an answer until the connection counts as lost. Example: `60000`.
        pub tcp_user_timeout: Option<u64>,
        /// Options of the session, as libpq writes them. Example: `-c statement_timeout=600000`.
        pub options: Option<String>,
        /// The encoding of the session. It is always UTF-8; the key is there for the configurations of dlt.
        pub client_encoding: String = "utf-8",
    }
}

/// How the connection is encrypted. The words are libpq's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// The certificate is checked, and the name in it.
    VerifyFull,
    /// The certificate is checked, but not the name in it.
    VerifyCa,
    /// The same as [`SslMode::VerifyFull`]: encryption without a check would keep nobody out.
    Require,
    /// There is no encryption.
    Disable,
}

impl Setting for SslMode {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        match String::read(settings, key)?.as_str() {
            "verify-full" => Ok(Self::VerifyFull),
            "verify-ca" => Ok(Self::VerifyCa),
            "require" => Ok(Self::Require),
            "disable" => Ok(Self::Disable),
            // libpq's `allow` and `prefer` go on in the clear when the other side, or whoever is between, says so.
            _ => Err(settings.wrong(key, "expected verify-full, verify-ca, require or disable")),
        }
    }
}

/// More slices than any cluster has.
const SLICES: usize = 4096;

/// The database that is loaded into, without who does it and how.
pub(crate) fn identity(settings: &RedshiftSettings) -> String {
    let RedshiftCredentials { host, port, database, .. } = &settings.credentials;
    format!("redshift://{}:{port}/{database}", host.to_ascii_lowercase())
}

/// Reads the settings and refuses those that cannot be right.
pub(crate) fn read(settings: &Settings) -> Result<RedshiftSettings> {
    let read: RedshiftSettings = settings.read()?;
    let login = &read.credentials;
    let host = login.host.as_str();
    let is_host = host.starts_with('[') || !host.contains([':', '/', '@', ' ']);
    let utf8 =
        ["utf-8", "utf8"].iter().any(|name| login.client_encoding.eq_ignore_ascii_case(name));
    let has_authorities =
        login.sslrootcert.as_ref().is_none_or(|file| settings.path(file).is_file());
    let rules = [
        ("credentials.username", !login.username.is_empty(), "is empty"),
        ("credentials.password", !login.password.expose().is_empty(), "is empty"),
        ("credentials.host", !host.is_empty(), "is empty"),
        (
            "credentials.host",
            is_host,
            "expected a host alone; the port and the database of an endpoint have keys of their own",
        ),
        ("credentials.port", login.port != 0, "0 is no port"),
        ("credentials.database", !login.database.is_empty(), "is empty"),
        (
            "credentials.connect_timeout",
            !login.connect_timeout.is_zero(),
            "expected one second or more",
        ),
        ("credentials.sslrootcert", has_authorities, "there is no such file"),
        ("credentials.client_encoding", utf8, "expected utf-8"),
        (
            "staging_iam_role",
            read.staging_iam_role.as_deref().is_none_or(is_role),
            "expected `default`, or ARNs such as arn:aws:iam::123456789012:role/copy, joined by commas",
        ),
        (
            "staging_region",
            read.staging_region.as_deref().is_none_or(is_region),
            "expected the name of a region such as eu-west-1",
        ),
        (
            "slices",
            read.slices.is_none_or(|slices| (1..=SLICES).contains(&slices)),
            "expected what `select count(*) from stv_slices` says, from 1 to 4096",
        ),
        (
            "statement_timeout",
            read.statement_timeout.is_none_or(|timeout| !timeout.is_zero()),
            "expected one second or more",
        ),
    ];
    if let Some((key, _, reason)) = rules.into_iter().find(|(_, holds, _)| !holds) {
        return Err(settings.wrong(key, reason));
    }
    CopyOptions::read(read.copy_options.as_deref().unwrap_or_default())
        .map_err(|reason| settings.wrong("copy_options", reason))?;
    let key = settings.full_key("credentials.allow_insecure");
    check_encrypted(login.sslmode != SslMode::Disable, host, login.allow_insecure, &key)?;
    Ok(read)
}

fn is_region(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether a text names roles as COPY takes them.
///
/// Source: "Authorization parameters", Amazon Redshift Database Developer Guide.
fn is_role(text: &str) -> bool {
    let is_arn = |arn: &str| {
        arn.starts_with("arn:aws")
            && arn.contains(":iam::")
            && arn.contains(":role/")
            && !arn.contains(['\'', ' '])
    };
    text == "default" || text.split(',').all(is_arn)
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
        ("credentials.host", "localhost"),
        ("credentials.database", "dlt_data"),
    ];

    fn with(key: &str, text: &str) -> Settings {
        let mut settings = Settings::from_pairs("redshift", &COMPLETE);
        settings.values.insert(key.to_owned(), (SettingValue::text(text), Origin::Code));
        settings
    }

    fn parts_of(text: &str) -> Result<Settings> {
        let SettingKind::Group(group) = RedshiftSettings::KEYS[0].kind else { panic!("a table") };
        let mut settings = Settings::from_pairs("redshift", &[]);
        for (key, part) in group.from_text.unwrap()(text)? {
            let value = (SettingValue::text(part), Origin::Code);
            settings.values.insert(format!("credentials.{key}"), value);
        }
        Ok(settings)
    }

    #[test]
    fn a_table_is_read_with_its_defaults() {
        let redshift = read(&Settings::from_pairs("redshift", &COMPLETE)).unwrap();
        let login = &redshift.credentials;
        assert_eq!((login.port, login.sslmode), (5439, SslMode::VerifyFull));
        assert_eq!(identity(&redshift), "redshift://localhost:5439/dlt_data");
        assert_eq!(login.connect_timeout, Duration::from_secs(15));
        assert!(redshift.staging_iam_role.is_none() && !redshift.has_case_sensitive_identifiers);
        assert!(!format!("{redshift:?}").contains(CANARY));
    }

    #[test]
    fn a_connection_string_stands_for_the_table() {
        let text =
            "redshift://us%40er:p%2Fw-canary-0451@h.example/db?connect_timeout=10&sslmode=require";
        let login = read(&parts_of(text).unwrap()).unwrap().credentials;
        assert_eq!((login.username.as_str(), login.password.expose()), ("us@er", CANARY));
        assert_eq!((login.host.as_str(), login.port), ("h.example", 5439));
        assert_eq!(login.connect_timeout, Duration::from_secs(10));
        assert_eq!(login.sslmode, SslMode::Require);
    }

    #[test]
    fn another_machine_is_spoken_to_without_encryption_only_where_that_is_allowed() {
        let of = |text: &str| {
            let settings = parts_of(text)?;
            read(&Settings { name: "warehouse".into(), ..settings })
        };
        of("redshift://u:p@localhost/db?sslmode=disable").unwrap();
        of("redshift://u:p@db.example.com/db?sslmode=disable&allow_insecure=true").unwrap();
        let error = of("redshift://u:canary@db.example.com/db?sslmode=disable").unwrap_err();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
        assert!(error.hint().unwrap().contains("destination.warehouse.credentials.allow_insecure"));
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }

    #[test]
    fn a_missing_value_is_named() {
        for (absent, _) in COMPLETE {
            let mut settings = Settings::from_pairs("redshift", &COMPLETE);
            settings.values.remove(absent);
            let error = read(&settings).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!(
                error.context("key"),
                Some(format!("destination.redshift.{absent}").as_str())
            );
            assert!(!format!("{error:?}").contains(CANARY));
        }
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for (key, text) in [
            ("credentials.username", ""),
            ("credentials.password", ""),
            ("credentials.host", ""),
            ("credentials.host", "canary.example:5439/dev"),
            ("credentials.port", "canary"),
            ("credentials.port", "0"),
            ("credentials.port", "65536"),
            ("credentials.database", ""),
            ("credentials.connect_timeout", "0"),
            ("credentials.sslmode", "prefer"),
            ("credentials.sslmode", "canary"),
            ("credentials.sslrootcert", "canary.crt"),
            ("credentials.client_encoding", "canary"),
            ("staging_iam_role", "canary"),
            ("staging_iam_role", "arn:aws:iam::1:role/a' canary"),
            ("has_case_sensitive_identifiers", "canary"),
            ("staging_region", "canary' x"),
            ("copy_options", "MAXERROR 5"),
            ("copy_options", "STATUPDATE ON' canary"),
            ("statement_timeout", "0"),
        ] {
            let error = read(&with(key, text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{key}");
            assert_eq!(error.context("key"), Some(format!("destination.redshift.{key}").as_str()));
            assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn a_broken_connection_string_is_not_shown() {
        let error = parts_of("redshift://loader:canary@host:port/db").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }

    #[test]
    fn roles_are_arns_or_the_default() {
        for role in
            ["default", "arn:aws:iam::1:role/a", "arn:aws-cn:iam::1:role/a,arn:aws:iam::2:role/b"]
        {
            assert!(read(&with("staging_iam_role", role)).is_ok(), "{role}");
        }
    }
}
