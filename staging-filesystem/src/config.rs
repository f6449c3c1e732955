//! What the user configures, and the place that it names.

use std::path::{Path, PathBuf};

use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret, settings};

settings! {
    /// Where the files lie and how to get there.
    pub struct FilesystemSettings {
        /// The folder or bucket: a path (a relative one starts from the working folder), `file:///folder`, or
        /// `s3://bucket/prefix`.
        pub bucket_url: String,
        /// How the files of a dataset are named, below the folder of the dataset. Only for the destination; a staging
        /// destination has names of its own.
        pub layout: String = "{table_name}/{load_id}.{file_id}.{ext}",
        /// The keys to the bucket.
        pub credentials: S3Credentials,
        /// Files of pipeline state that are kept in a dataset; the oldest go first. 0 keeps all.
        pub max_state_files: i64 = "100",
    }
}

settings! {
    /// The keys to a bucket. Without any, the identity of the machine is asked: the instance's metadata service.
    pub struct S3Credentials {
        /// The id of the access key.
        pub aws_access_key_id: Option<String>,
        /// The secret access key.
        pub aws_secret_access_key: Option<Secret>,
        /// The session token that belongs to temporary keys.
        pub aws_session_token: Option<Secret>,
        /// The region of the bucket; without it `us-east-1`.
        pub region_name: Option<String>,
        /// The address of a store that is not Amazon's, `https://host:port`. With `http://` everything but the secret
        /// key itself is readable on the way; so it is for this machine, unless `allow_insecure` is set.
        pub endpoint_url: Option<String>,
        /// Whether the store may be another machine and `endpoint_url` begin with `http://`.
        pub allow_insecure: bool = "false",
        /// Whether the bucket stands in the `path` of a URL (the default) or in its host name (`virtual`).
        pub s3_url_style: Option<String>,
        /// Not read yet: a profile of `~/.aws`.
        pub profile_name: Option<String>,
    }
}

/// The place that a `bucket_url` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// A folder, absolute.
    Folder(PathBuf),
    /// A prefix in a bucket, without slashes around it; empty for the whole bucket.
    Bucket { bucket: String, prefix: String },
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
        "s3" | "s3a" => bucket(settings, rest),
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

fn bucket(settings: &Settings, rest: &str) -> Result<Root> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
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
            .with_hint("write `s3://bucket/prefix`"));
    }
    if rest.contains(['?', '#']) {
        return Err(settings.wrong(KEY, "a query or fragment has no meaning in it"));
    }
    let prefix = prefix.trim_matches('/');
    if object_store::path::Path::parse(prefix).is_err() {
        return Err(settings.wrong(KEY, "the prefix has an empty, `.` or `..` segment"));
    }
    Ok(Root::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn unsupported(scheme: &str) -> Error {
    let error = Error::new(ErrorKind::Unsupported, "no store for this scheme of `bucket_url`");
    let known: String =
        scheme.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '+').take(16).collect();
    match known.as_str() {
        "gs" | "gcs" | "az" | "azure" | "abfs" | "abfss" | "adl" => {
            error.with("scheme", known).with_hint(
                "Google Cloud Storage and Azure follow; today it takes folders, `file://` and `s3://`",
            )
        }
        _ => error.with("scheme", known).with_hint("write a folder, `file://…` or `s3://…`"),
    }
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
        for (url, expected) in [
            ("s3://lake", bucket("lake", "")),
            ("s3://lake/", bucket("lake", "")),
            ("s3a://lake/a/b/", bucket("lake", "a/b")),
            ("S3://lake/a%20b", bucket("lake", "a%20b")),
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
            ("gs://lake", ErrorKind::Unsupported),
            ("az://CANARY:key@container", ErrorKind::Unsupported),
            ("ftp://host", ErrorKind::Unsupported),
        ] {
            let error = read(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn a_store_that_follows_says_so() {
        assert!(
            read("abfss://c@a.dfs.core.windows.net/x")
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("follow")
        );
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
