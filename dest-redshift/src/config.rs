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
        /// How wide a column of text is made that does not say it: `max` (65,535 bytes, as dlt makes it) or `data`, by the bytes
        /// of its longest value, and widened when a longer one comes. Example: `data`.
        pub text_size: TextSize = "max",
        /// Seconds after which the cluster ends a statement. Without it the cluster's own settings decide.
        /// Example: `3600`.
        pub statement_timeout: Option<Duration>,
    }
}

settings! {
    /// How to log in to Redshift.
    pub struct RedshiftCredentials (from_text = connection_string) {
        /// The user. Not with `iam`. Example: `loader`.
        pub username: Option<String>,
        /// The user's password. Best in `secrets.toml` or the environment. Not with `iam`.
        pub password: Option<Secret>,
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
        /// Whether user and password are temporary ones, which Amazon gives to whoever may ask: by the keys, the profile or
        /// the role below, or as the identity of this machine. Example: `true`.
        pub iam: bool = "false",
        /// The cluster, with `iam`, where `host` does not begin with its name. Example: `examples`.
        pub cluster_identifier: Option<String>,
        /// The workgroup of Redshift Serverless, with `iam`, where `host` does not begin with its name. Example: `default`.
        pub workgroup_name: Option<String>,
        /// The user of a cluster, with `iam` (`GetClusterCredentials`). Without it the user is whoever asks, by the name of
        /// its IAM user or role (`GetClusterCredentialsWithIAM`; for a workgroup always). Example: `loader`.
        pub db_user: Option<String>,
        /// Whether `db_user` is made where the cluster does not have it. Example: `true`.
        pub auto_create: bool = "false",
        /// Groups of the database that `db_user` is in for the session, beside its own. Example: `["loaders"]`.
        pub db_groups: Option<Vec<String>>,
        /// The region that is asked, with `iam`; without it that in `host`, or that of the environment or the profile.
        /// Example: `eu-west-1`.
        pub region_name: Option<String>,
        /// The id of the access key of whoever asks, with `iam`.
        pub aws_access_key_id: Option<String>,
        /// The secret access key of whoever asks.
        pub aws_secret_access_key: Option<Secret>,
        /// The session token that belongs to temporary keys.
        pub aws_session_token: Option<Secret>,
        /// A profile of `~/.aws/config` and `~/.aws/credentials`, in place of keys: its own keys, or its role. Example: `etl`.
        pub profile_name: Option<String>,
        /// A role to take on, by whoever asks else. Example: `arn:aws:iam::123456789012:role/loader`.
        pub role_arn: Option<String>,
        /// What the role wants to be told besides.
        pub role_external_id: Option<String>,
        /// What the session of the role is called in Amazon's logs; without it `transload`.
        pub role_session_name: Option<String>,
        /// The file with a token for which the role is given out without keys, as in Kubernetes.
        pub web_identity_token_file: Option<String>,
        /// The address that gives out users and passwords; without it `AWS_ENDPOINT_URL_REDSHIFT`,
        /// `AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS` or Amazon's own in the region. For endpoints of a VPC.
        pub endpoint_url: Option<String>,
        /// The address that gives out roles; without it `AWS_ENDPOINT_URL_STS` or Amazon's own in the region.
        pub sts_endpoint_url: Option<String>,
    }
}

/// How wide a column of text is that does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextSize {
    /// As wide as can be.
    #[default]
    Max,
    /// By its values.
    Data,
}

impl Setting for TextSize {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        match String::read(settings, key)?.as_str() {
            "max" => Ok(Self::Max),
            "data" => Ok(Self::Data),
            _ => Err(settings.wrong(key, "expected max or data")),
        }
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
    who_logs_in(settings, login)?;
    let password = login.password.as_ref().map(Secret::expose);
    let rules = [
        ("credentials.username", login.username.as_deref() != Some(""), "is empty"),
        ("credentials.password", password != Some(""), "is empty"),
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

/// Who logs in is said by user and password, or found by `iam`: never by both, and never by half.
fn who_logs_in(settings: &Settings, login: &RedshiftCredentials) -> Result<()> {
    let has = |name: &str| settings.has(&format!("credentials.{name}"));
    let of_iam = ["cluster_identifier", "workgroup_name", "db_user", "auto_create", "db_groups"];
    if !login.iam {
        if let Some(needed) = ["username", "password"].into_iter().find(|name| !has(name)) {
            return Err(settings.missing(&format!("credentials.{needed}")));
        }
        let stray = of_iam.into_iter().find(|name| has(name));
        return stray.map_or(Ok(()), |name| {
            Err(settings
                .wrong(&format!("credentials.{name}"), "it is for temporary credentials alone")
                .with_hint("set `credentials.iam = true`, or remove the key"))
        });
    }
    let of_a_cluster = "it is for a cluster: a workgroup knows whoever asks by the name in IAM";
    let rules = [
        ("username", !has("username"), "with `iam` the user is `db_user`, or whoever asks"),
        ("password", !has("password"), "with `iam` it is fetched"),
        (
            "workgroup_name",
            !(has("workgroup_name") && has("cluster_identifier")),
            "there is a `cluster_identifier`, too: one of them is where the database is",
        ),
        ("db_user", !(has("workgroup_name") && has("db_user")), of_a_cluster),
        ("db_user", login.db_user.as_deref() != Some(""), "is empty"),
        ("auto_create", !login.auto_create || has("db_user"), "there is no `db_user` to be made"),
        ("db_groups", !has("db_groups") || has("db_user"), "there is no `db_user` to be in them"),
        (
            "region_name",
            login.region_name.as_deref().is_none_or(is_region),
            "expected the name of a region such as eu-west-1",
        ),
    ];
    match rules.into_iter().find(|(_, holds, _)| !holds) {
        Some((name, _, reason)) => Err(settings.wrong(&format!("credentials.{name}"), reason)),
        None => Ok(()),
    }
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
        let password = login.password.as_ref().map(Secret::expose);
        assert_eq!((login.username.as_deref(), password), (Some("us@er"), Some(CANARY)));
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
            ("text_size", "canary"),
        ] {
            let error = read(&with(key, text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{key}");
            assert_eq!(error.context("key"), Some(format!("destination.redshift.{key}").as_str()));
            assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn who_logs_in_is_said_by_a_password_or_found_by_iam_and_not_by_both() {
        let of = |pairs: &[(&str, &str)]| {
            let mut all = COMPLETE[2..].to_vec();
            all.extend_from_slice(pairs);
            read(&Settings::from_pairs("redshift", &all))
        };
        let (iam, user) = (("credentials.iam", "true"), ("credentials.db_user", "loader"));
        let (cluster, workgroup) =
            (("credentials.cluster_identifier", "c"), ("credentials.workgroup_name", "w"));
        for pairs in
            [&[iam][..], &[iam, user, ("credentials.auto_create", "true")], &[iam, workgroup]]
        {
            of(pairs).unwrap();
        }
        for (pairs, named) in [
            (&[][..], "username"),
            (&[COMPLETE[0], COMPLETE[1], user], "db_user"),
            (&[COMPLETE[0], COMPLETE[1], cluster], "cluster_identifier"),
            (&[iam, COMPLETE[0]], "username"),
            (&[iam, COMPLETE[1]], "password"),
            (&[iam, workgroup, cluster], "workgroup_name"),
            (&[iam, workgroup, user], "db_user"),
            (&[iam, ("credentials.auto_create", "true")], "auto_create"),
            (&[iam, ("credentials.db_groups", "canary")], "db_groups"),
            (&[iam, ("credentials.region_name", "canary' x")], "region_name"),
        ] {
            let error = of(pairs).unwrap_err();
            let named = format!("destination.redshift.credentials.{named}");
            assert_eq!(error.context("key"), Some(named.as_str()), "{pairs:?}");
            assert!(!format!("{error:?}").to_lowercase().contains("canary"), "{error:?}");
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
