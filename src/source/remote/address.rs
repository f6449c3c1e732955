//! What a URL names, and how it may be shown.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use transload_core::{Error, ErrorKind, Result};
use transload_object_stores::Account;
use url::Url;

/// What a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// An object, or many by a pattern, in a bucket or container.
    Store { bucket: Bucket, key: String },
    /// What a web server gives out.
    Web(Url),
}

/// A bucket or container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bucket {
    S3(String),
    Google(String),
    /// The container, and the account where the URL names it.
    Azure(String, Option<Account>),
}

/// Whether this is a URL and no path of this machine.
pub(crate) fn is_url(path: &Path) -> bool {
    scheme(&path.to_string_lossy()).is_some()
}

fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_scheme && scheme.chars().all(proper)).then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The local path that a `file://` URL names.
pub(crate) fn local_path(text: &str) -> Option<Result<std::path::PathBuf>> {
    let (scheme, rest) = scheme(text)?;
    if scheme != "file" {
        return None;
    }
    // The signs of a glob are none of a URL: what stands in it is decoded, not parsed.
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    Some(match decoded {
        Ok(path) if path.starts_with('/') => Ok(path.into_owned().into()),
        _ => Err(wrong(text, "it is no URL of a local file")
            .with_hint("write `file:///absolute/path`, or a path without `file://`")),
    })
}

/// Takes a URL apart.
///
/// # Errors
/// [`ErrorKind::Configuration`] or [`ErrorKind::Unsupported`]. It shows the URL without what may be a secret.
pub(super) fn parse(text: &str) -> Result<Address> {
    let Some((scheme, rest)) = scheme(text) else { return Err(wrong(text, "it is no URL")) };
    let bucket_of = |host: &str| -> Result<String> {
        let proper = |c: char| {
            c.is_ascii_graphic() && !matches!(c, '\\' | '?' | '#' | '%' | ':' | '*' | '[')
        };
        match host {
            _ if host.contains('@') => Err(wrong(text, "it holds a user").with_hint(
                "put the keys into `sources.filesystem.credentials`, in `secrets.toml` or the environment",
            )),
            _ if host.is_empty() || !host.chars().all(proper) => {
                Err(wrong(text, "it names no bucket")
                    .with_hint(format!("write `{scheme}://bucket/folder/*.jsonl`")))
            }
            _ => Ok(host.to_owned()),
        }
    };
    if matches!(scheme.as_str(), "http" | "https") {
        let url = Url::parse(text).map_err(|error| wrong(text, error))?;
        if url.path().contains('*') {
            return Err(wrong(text, "a web server does not say which files it has")
                .with_hint("name each file, or read the store itself: `s3://`, `gs://`, `az://`"));
        }
        return Ok(Address::Web(url));
    }
    let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = match scheme.as_str() {
        "s3" | "s3a" => Bucket::S3(bucket_of(host)?),
        "gs" | "gcs" => Bucket::Google(bucket_of(host)?),
        // The driver of Hadoop puts the container where a user would stand.
        "az" | "azure" | "abfs" | "abfss" => match host.split_once('@') {
            Some((container, host)) => {
                let container = bucket_of(container)?;
                let account = account_of(&host.to_ascii_lowercase()).ok_or_else(|| {
                    wrong(text, "behind the `@` stands no host of a storage account").with_hint(
                        "write `abfss://container@account.dfs.core.windows.net/folder/*.jsonl` or \
                         `az://container@account/folder/*.jsonl`, and any other host of the account into \
                         `sources.filesystem.credentials.azure_account_host`",
                    )
                })?;
                Bucket::Azure(container, Some(account))
            }
            None => Bucket::Azure(bucket_of(host)?, None),
        },
        _ => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "sources of this scheme cannot be read",
            )
            .with("source", shown(text))
            .with_hint(
                "`file://`, `s3://`, `gs://`, `az://`, `abfss://`, `https://` and `http://` can",
            ));
        }
    };
    if has_query(&scheme, rest) {
        return Err(wrong(text, "a query has no meaning in it"));
    }
    Ok(Address::Store { bucket, key: key.to_owned() })
}

/// The account that a host is of. One without a domain is in the public cloud.
fn account_of(host: &str) -> Option<Account> {
    match host.contains('.') {
        true => Account::of_host(host),
        false => Account::of_host(&format!("{host}.dfs.{}", Account::PUBLIC)),
    }
}

/// A `?` of a bucket's URL is a sign of a glob, but what looks like the settings of a query may be a signature.
fn has_query(scheme: &str, rest: &str) -> bool {
    let after = rest.split_once('?').map(|(_, query)| query);
    after.is_some_and(|query| matches!(scheme, "http" | "https") || query.contains('='))
}

fn wrong(text: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Configuration, "the source is no URL that can be read")
        .with("source", shown(text))
        .with("reason", reason)
}

/// A URL as it may be shown: without user, password, query and fragment.
pub(crate) fn shown(text: &str) -> String {
    let Some((scheme, mut rest)) = scheme(text) else { return text.to_owned() };
    let is_web = matches!(scheme.as_str(), "http" | "https");
    if has_query(&scheme, rest) {
        rest = rest.split('?').next().unwrap_or_default();
    }
    if is_web {
        rest = rest.split('#').next().unwrap_or_default();
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match host.rsplit_once('@') {
        Some((container, host)) if scheme.starts_with("abfs") && !container.contains(':') => {
            format!("{container}@{host}")
        }
        Some((_, host)) => host.to_owned(),
        None => host.to_owned(),
    };
    if rest.contains('/') {
        format!("{scheme}://{host}/{path}")
    } else {
        format!("{scheme}://{host}")
    }
}

/// What tells a URL from any other one. Its query may be a signature, so a hash stands for it.
pub(super) fn name_of(url: &Url) -> String {
    let shown = shown(url.as_str());
    if url.query().is_none() && url.username().is_empty() && url.password().is_none() {
        return shown;
    }
    let hash = Sha256::digest(url.as_str().as_bytes());
    let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{shown}#{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(bucket: Bucket, key: &str) -> Address {
        Address::Store { bucket, key: key.into() }
    }

    fn account(domain: &str) -> Account {
        Account { name: "acc".into(), domain: domain.into() }
    }

    #[test]
    fn urls_name_objects() {
        for (url, expected) in [
            ("s3://lake/a/*.jsonl", store(Bucket::S3("lake".into()), "a/*.jsonl")),
            ("S3A://lake/a%20b?.jsonl", store(Bucket::S3("lake".into()), "a%20b?.jsonl")),
            ("gs://lake/x.parquet", store(Bucket::Google("lake".into()), "x.parquet")),
            ("az://c/x.json", store(Bucket::Azure("c".into(), None), "x.json")),
            (
                "abfss://c@acc.dfs.core.windows.net/d/x.json",
                store(Bucket::Azure("c".into(), Some(account(Account::PUBLIC))), "d/x.json"),
            ),
            (
                "abfss://c@Acc.dfs.Core.Windows.net/D/x.json",
                store(Bucket::Azure("c".into(), Some(account(Account::PUBLIC))), "D/x.json"),
            ),
            (
                "az://c@acc/x.json",
                store(Bucket::Azure("c".into(), Some(account(Account::PUBLIC))), "x.json"),
            ),
            (
                "abfss://c@acc.blob.core.chinacloudapi.cn/x.json",
                store(Bucket::Azure("c".into(), Some(account("core.chinacloudapi.cn"))), "x.json"),
            ),
        ] {
            assert_eq!(parse(url).unwrap(), expected, "{url}");
        }
        let Address::Web(url) = parse("https://h:1/a%20b?sig=x").unwrap() else { panic!("web") };
        assert_eq!(url.as_str(), "https://h:1/a%20b?sig=x");
    }

    #[test]
    fn what_is_no_source_is_refused_without_its_secrets() {
        for (url, kind) in [
            ("s3://", ErrorKind::Configuration),
            ("s3://id:CANARY@lake/x", ErrorKind::Configuration),
            ("s3://lake/x?token=CANARY", ErrorKind::Configuration),
            ("abfss://lake@CANARY:key@acc/x", ErrorKind::Configuration),
            ("abfss://lake@acc.dfs.core.windows.net:1/x", ErrorKind::Configuration),
            ("https://me:CANARY@host/*.jsonl?sig=CANARY", ErrorKind::Configuration),
            ("ftp://me:CANARY@host/x.jsonl", ErrorKind::Unsupported),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn urls_are_shown_without_user_and_query() {
        for (url, expected) in [
            ("https://me:CANARY@host:8/a/b.jsonl?sig=CANARY#f", "https://host:8/a/b.jsonl"),
            ("https://host", "https://host"),
            ("s3://lake/a?.jsonl", "s3://lake/a?.jsonl"),
            ("abfss://c@acc.dfs.core.windows.net/x", "abfss://c@acc.dfs.core.windows.net/x"),
            ("abfss://c:CANARY@acc.dfs.core.windows.net/x", "abfss://acc.dfs.core.windows.net/x"),
            ("rows?.jsonl", "rows?.jsonl"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn a_signed_url_has_a_name_of_its_own_that_hides_the_signature() {
        let name = |text: &str| name_of(&Url::parse(text).unwrap());
        assert_eq!(name("https://h/x.json"), "https://h/x.json");
        let signed = name("https://h/x.json?sig=CANARY");
        assert!(signed.starts_with("https://h/x.json#") && !signed.contains("CANARY"));
        assert_ne!(signed, name("https://h/x.json?sig=other"));
        assert_eq!(signed, name("https://h/x.json?sig=CANARY"));
    }

    #[test]
    fn only_what_has_a_scheme_is_a_url() {
        assert!(is_url(Path::new("s3://lake/x")));
        assert!(!is_url(Path::new("./a b://x")) && !is_url(Path::new("-")));
        assert_eq!(
            local_path("file:///a%20b/*.jsonl").unwrap().unwrap(),
            Path::new("/a b/*.jsonl")
        );
        assert!(local_path("file://host/x").unwrap().is_err());
        assert!(local_path("s3://lake/x").is_none());
    }
}
