//! What the user configures, and the place that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret, settings};

use crate::google::from_text;

settings! {
    /// Where the files lie and how to get there.
    pub struct FilesystemSettings {
        /// The folder or bucket: a path (a relative one starts from the working folder), `file:///folder`,
        /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
        /// `abfss://container@account.dfs.core.windows.net/prefix`.
        pub bucket_url: String,
        /// How the files of a dataset are named, below the folder of the dataset. Only for the destination; a staging
        /// destination has names of its own.
        pub layout: String = "{table_name}/{load_id}.{file_id}.{ext}",
        /// Placeholders of your own for `layout`, with the text that each stands for. Example: `{ region = "eu" }`.
        pub extra_placeholders: BTreeMap<String, String> = "{}",
        /// The keys to the bucket.
        pub credentials: StoreCredentials,
        /// Files of pipeline state that are kept in a dataset; the oldest go first. 0 keeps all.
        pub max_state_files: i64 = "100",
        /// How S3 encrypts what is written: `AES256`, `aws:kms` or `aws:kms:dsse`; without it as the bucket does. Google and
        /// Azure encrypt with the key of the bucket or account.
        pub server_side_encryption: Option<String>,
        /// The id or ARN of the key of AWS KMS, with `aws:kms`; without it the one of the account for S3.
        pub kms_key_id: Option<String>,
        /// The storage class of what is written, in the words of the store: `STANDARD_IA` (S3), `NEARLINE` (Google), `Cool`
        /// (Azure). Not one of an archive, from which nothing can be read at once.
        pub storage_class: Option<String>,
        /// Tags of every object that is written, in S3 and Azure. Example: `{ team = "data" }`.
        pub tags: BTreeMap<String, String> = "{}",
    }
}

settings! {
    /// The keys to a bucket: those of its vendor are read, the others passed over. Without any, the identity of the
    /// machine is asked: the instance's metadata service. One text may stand for them: the key file of a service account
    /// of Google's, its path, or a JSON object of these keys.
    pub struct StoreCredentials (from_text = from_text) {
        /// The id of the access key.
        pub aws_access_key_id: Option<String>,
        /// The secret access key.
        pub aws_secret_access_key: Option<Secret>,
        /// The session token that belongs to temporary keys.
        pub aws_session_token: Option<Secret>,
        /// The region of the bucket; without it `us-east-1`.
        pub region_name: Option<String>,
        /// The address of a store that is not the vendor's own, `https://host:port`; of one that stands in for Azure with
        /// the account in its path. With `http://` everything but the secret key itself is readable on the way; so it is
        /// for this machine, unless `allow_insecure` is set.
        pub endpoint_url: Option<String>,
        /// Whether the store may be another machine and `endpoint_url` begin with `http://`.
        pub allow_insecure: bool = "false",
        /// Whether the bucket stands in the `path` of a URL (the default) or in its host name (`virtual`).
        pub s3_url_style: Option<String>,
        /// A profile of `~/.aws/config` and `~/.aws/credentials`, in place of keys: its own keys, or its role.
        pub profile_name: Option<String>,
        /// A role to take on, by whoever asks else. Example: `arn:aws:iam::123456789012:role/loader`.
        pub role_arn: Option<String>,
        /// A role whose keys a destination gets for its COPY, narrowed to the files of the load and over after an hour, in place of
        /// the keys of whoever stages; that one must be trusted by it. Example: `arn:aws:iam::123456789012:role/reader`.
        pub access_role_arn: Option<String>,
        /// What the role wants to be told besides.
        pub role_external_id: Option<String>,
        /// What the session of the role is called in Amazon's logs; without it `transload`.
        pub role_session_name: Option<String>,
        /// The file with a token for which the role is given out without keys, as in Kubernetes.
        pub web_identity_token_file: Option<String>,
        /// The address that gives out roles; without it `endpoint_url`, or Amazon's own in the region. For Google the one that
        /// narrows tokens, whole; without it Google's own.
        pub sts_endpoint_url: Option<String>,
        /// The project of the service account. It is in its key file; nothing here needs it.
        pub project_id: Option<String>,
        /// The address of the service account, for `gs://`. Example: `loader@analytics-prod.iam.gserviceaccount.com`.
        pub client_email: Option<String>,
        /// The private key of the service account in PEM, from `-----BEGIN PRIVATE KEY-----` on.
        pub private_key: Option<Secret>,
        /// The id of that key, which tokens then name.
        pub private_key_id: Option<String>,
        /// The file with the key of a service account, or with the application default credentials of a user. Without it,
        /// and without a key, the usual file of `gcloud` is looked for, then the identity of the machine.
        pub application_credentials: Option<String>,
        /// Whether a destination that takes tokens gets one for a bucket of Google's: narrowed to the files of the load and over
        /// after an hour. The bucket needs uniform bucket-level access. Example: `true`.
        pub access_boundary: bool = "false",
        /// Where the tokens are had that are narrowed, for test servers; without it `https://oauth2.googleapis.com/token`.
        pub token_uri: Option<String>,
        /// The storage account, for `az://container`. `abfss://container@account.dfs.core.windows.net` names it itself.
        pub azure_storage_account_name: Option<String>,
        /// The key of the storage account.
        pub azure_storage_account_key: Option<Secret>,
        /// A shared access signature in place of the key; beside the key it is not used.
        pub azure_storage_sas_token: Option<Secret>,
        /// The host of the storage account; without it `account.blob.core.windows.net`.
        pub azure_account_host: Option<String>,
        /// The tenant of the service principal: with its id and its secret it stands in place of the key.
        pub azure_tenant_id: Option<String>,
        /// The id of the service principal.
        pub azure_client_id: Option<String>,
        /// The secret of the service principal.
        pub azure_client_secret: Option<Secret>,
        /// The file with a token that stands in place of the secret: workload identity, as in Kubernetes.
        pub azure_federated_token_file: Option<String>,
        /// Where the service principal logs in; without it `https://login.microsoftonline.com`. Other clouds of Azure have
        /// their own.
        pub azure_authority_host: Option<String>,
    }
}

/// The place that a `bucket_url` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// A folder, absolute.
    Folder(PathBuf),
    /// A prefix in a bucket, without slashes around it; empty for the whole bucket.
    Bucket { bucket: String, prefix: String },
    /// The same in a bucket of Google's.
    Google { bucket: String, prefix: String },
    /// The same in a container of Azure. The account is here where the URL names it.
    Container { container: String, account: Option<Account>, prefix: String },
}

/// A storage account, as an `abfss://` names it: `name.dfs.domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// `core.windows.net`, or that of another cloud of the vendor's.
    pub(crate) domain: String,
}

impl Root {
    /// What stands before every key; nothing in a folder.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Folder(_) => "",
            Self::Bucket { prefix, .. }
            | Self::Google { prefix, .. }
            | Self::Container { prefix, .. } => prefix,
        }
    }
}

const KEY: &str = "bucket_url";

/// Reads a `bucket_url`. The URL itself stays out of errors: it may hold a password in the wrong place.
pub(crate) fn root(settings: &Settings, bucket_url: &str) -> Result<Root> {
    let text = bucket_url.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.is_empty() {
            return Err(settings.wrong(KEY, "it is empty"));
        }
        return folder(settings, Path::new(text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "file" => {
            let path = url::Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
            let path = path.ok_or_else(|| {
                settings
                    .wrong(KEY, "it is no URL of a local folder")
                    .with_hint("write `file:///absolute/folder`, or a path without `file://`")
            })?;
            folder(settings, &path)
        }
        "s3" | "s3a" => {
            let (bucket, prefix) = bucket(settings, rest, "s3")?;
            Ok(Root::Bucket { bucket, prefix })
        }
        "gs" | "gcs" => {
            let (bucket, prefix) = bucket(settings, rest, "gs")?;
            Ok(Root::Google { bucket, prefix })
        }
        "az" | "azure" | "abfs" | "abfss" => container(settings, rest),
        scheme => Err(unsupported(scheme)),
    }
}

fn folder(settings: &Settings, path: &Path) -> Result<Root> {
    let absolute = std::path::absolute(settings.path(path))
        .map_err(|error| settings.wrong(KEY, "it is no path").with_source(error))?;
    // The folder need not exist yet: what exists of it is resolved, the rest is taken as it stands.
    let mut missing = Vec::new();
    let mut existing = absolute.as_path();
    let resolved = loop {
        match (existing.canonicalize(), existing.parent(), existing.file_name()) {
            (Ok(resolved), _, _) => break resolved,
            (Err(_), Some(parent), Some(name)) => {
                missing.push(name);
                existing = parent;
            }
            (Err(error), _, _) => {
                let reason = "a `..` in it leads through a folder that does not exist";
                return Err(settings.wrong(KEY, reason).with_source(error));
            }
        }
    };
    let root = missing.iter().rev().fold(resolved, |path, name| path.join(name));
    if root.to_str().is_none() {
        return Err(settings.wrong(KEY, "the path is not UTF-8"));
    }
    Ok(Root::Folder(root))
}

fn bucket(settings: &Settings, rest: &str, scheme: &str) -> Result<(String, String)> {
    let (bucket, _) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        return Err(settings
            .wrong(KEY, "it holds a user")
            .with_hint("put the keys into `credentials`, in `secrets.toml` or the environment"));
    }
    // What else a name may hold is the store's to say, which knows its own rules and answers by name.
    let proper = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '?' | '#' | '%' | ':');
    if bucket.is_empty() || bucket.len() > 255 || !bucket.chars().all(proper) {
        return Err(settings
            .wrong(KEY, "it names no bucket")
            .with_hint(format!("write `{scheme}://bucket/prefix`")));
    }
    Ok((bucket.to_owned(), prefix_of(settings, rest)?))
}

/// Source: Azure, "Naming and referencing containers, blobs, and metadata" and "Storage account overview".
fn container(settings: &Settings, rest: &str) -> Result<Root> {
    const FORMS: &str =
        "write `az://container/prefix` or `abfss://container@account.dfs.core.windows.net/prefix`";
    let wrong = |reason: &str| settings.wrong(KEY, reason).with_hint(FORMS);
    let (place, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (container, host) = match place.split_once('@') {
        Some((container, host)) => (container, Some(host)),
        None => (place, None),
    };
    let is_name = |name: &str, lengths: std::ops::RangeInclusive<usize>, others: &str| {
        let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || others.contains(c);
        lengths.contains(&name.len()) && name.chars().all(proper)
    };
    if !is_name(container, 3..=63, "-") {
        return Err(wrong("it names no container: 3 to 63 lower-case letters, digits and hyphens"));
    }
    let account = match host.map(|host| host.split('.').collect::<Vec<_>>()) {
        None => None,
        Some(parts) => match parts[..] {
            [name, "dfs" | "blob", ref domain @ ..]
                if is_name(name, 3..=24, "")
                    && !domain.is_empty()
                    && domain.iter().all(|part| is_name(part, 1..=63, "-")) =>
            {
                Some(Account { name: name.to_owned(), domain: domain.join(".") })
            }
            _ => return Err(wrong("behind the `@` stands no host of a storage account")),
        },
    };
    let prefix = prefix_of(settings, rest)?;
    Ok(Root::Container { container: container.to_owned(), account, prefix })
}

/// What stands behind the name of a bucket.
fn prefix_of(settings: &Settings, rest: &str) -> Result<String> {
    if rest.contains(['?', '#']) {
        return Err(settings.wrong(KEY, "a query or fragment has no meaning in it"));
    }
    let (_, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    if object_store::path::Path::parse(prefix).is_err() {
        return Err(settings.wrong(KEY, "the prefix has an empty, `.` or `..` segment"));
    }
    Ok(prefix.to_owned())
}

fn unsupported(scheme: &str) -> Error {
    let error = Error::new(ErrorKind::Unsupported, "no store for this scheme of `bucket_url`");
    let known: String =
        scheme.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '+').take(16).collect();
    error
        .with("scheme", known)
        .with_hint("write a folder, `file://…`, `s3://…`, `gs://…`, `az://…` or `abfss://…`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Root> {
        let mut settings = Settings::from_pairs("filesystem", &[(KEY, url)]);
        settings.folder = "/nowhere".into();
        root(&settings, url)
    }

    #[test]
    fn urls_and_paths_name_a_root() {
        let bucket = |bucket: &str, prefix: &str| Root::Bucket {
            bucket: bucket.into(),
            prefix: prefix.into(),
        };
        let container = |account: Option<(&str, &str)>, prefix: &str| Root::Container {
            container: "lake-1".into(),
            account: account
                .map(|(name, domain)| Account { name: name.into(), domain: domain.into() }),
            prefix: prefix.into(),
        };
        let (public, china) = (("acc", "core.windows.net"), ("acc", "core.chinacloudapi.cn"));
        for (url, expected) in [
            ("az://lake-1", container(None, "")),
            ("azure://lake-1/a b/", container(None, "a b")),
            ("abfss://lake-1@acc.dfs.core.windows.net/a/b", container(Some(public), "a/b")),
            ("az://lake-1@acc.blob.core.windows.net", container(Some(public), "")),
            ("abfs://lake-1@acc.dfs.core.chinacloudapi.cn/", container(Some(china), "")),
            ("s3://lake", bucket("lake", "")),
            ("s3://lake/", bucket("lake", "")),
            ("s3a://lake/a/b/", bucket("lake", "a/b")),
            ("S3://lake/a%20b", bucket("lake", "a%20b")),
            ("gs://lake_1.eu/a/", Root::Google { bucket: "lake_1.eu".into(), prefix: "a".into() }),
            ("gcs://lake", Root::Google { bucket: "lake".into(), prefix: String::new() }),
            ("data/lake", Root::Folder("/nowhere/data/lake".into())),
            ("/data lake", Root::Folder("/data lake".into())),
            ("file:///data%20lake", Root::Folder("/data lake".into())),
        ] {
            assert_eq!(read(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_without_being_shown() {
        for (url, kind) in [
            ("", ErrorKind::Configuration),
            ("s3://", ErrorKind::Configuration),
            ("s3://key:CANARY@lake/a", ErrorKind::Configuration),
            ("s3://lake/a?token=CANARY", ErrorKind::Configuration),
            ("s3://lake/a/../b", ErrorKind::Configuration),
            ("s3://lake//a//b", ErrorKind::Configuration),
            ("file://host/share", ErrorKind::Configuration),
            ("missing/../other", ErrorKind::Configuration),
            ("gs://", ErrorKind::Configuration),
            ("gs://me:CANARY@lake", ErrorKind::Configuration),
            ("gs://lake/a?sig=CANARY", ErrorKind::Configuration),
            ("az://", ErrorKind::Configuration),
            ("az://la/a", ErrorKind::Configuration),
            ("az://CANARY:key@container", ErrorKind::Configuration),
            ("abfss://lake@CANARY/a", ErrorKind::Configuration),
            ("abfss://lake@acc/a", ErrorKind::Configuration),
            ("abfss://lake@acc.dfs./a", ErrorKind::Configuration),
            ("abfss://lake@ACC.dfs.core.windows.net/a", ErrorKind::Configuration),
            ("abfss://lake@acc.dfs.core.windows.net:CANARY/a", ErrorKind::Configuration),
            ("abfss://@acc.dfs.core.windows.net/a", ErrorKind::Configuration),
            ("az://lake/a?sig=CANARY", ErrorKind::Configuration),
            ("az://lake/a/../b", ErrorKind::Configuration),
            ("adl://store/a", ErrorKind::Unsupported),
            ("ftp://host", ErrorKind::Unsupported),
        ] {
            let error = read(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn no_key_but_the_bucket_url_is_required() {
        let required: Vec<&str> = FilesystemSettings::KEYS
            .iter()
            .filter(|key| key.required)
            .map(|key| key.name)
            .collect();
        assert_eq!(required, ["bucket_url"]);
    }
}
