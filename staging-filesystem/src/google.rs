//! The client of a bucket of Google Cloud Storage, as the settings want it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};
use serde_json::Value;
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result};
use url::{Host, Url};

use crate::client::{endpoint, options, retries};
use crate::config::StoreCredentials;

const EMAIL: &str = "credentials.client_email";
const KEY: &str = "credentials.private_key";
const FILE: &str = "credentials.application_credentials";

/// Makes the client. Opens no connection; of the environment `HOME` is read where nothing says who asks, to find the
/// application default credentials.
pub(crate) fn google(
    settings: &Settings,
    credentials: &StoreCredentials,
    bucket: &str,
) -> Result<GoogleCloudStorage> {
    let url = endpoint(settings, credentials)?;
    let is_http = url.as_ref().is_some_and(|url| url.scheme() == "http");
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(retries())
        .with_client_options(options().with_allow_http(is_http));
    if let Some(url) = &url {
        builder = builder.with_base_url(url.as_str().trim_end_matches('/'));
    }
    let (builder, key) = identified(settings, credentials, url.as_ref(), builder)?;
    builder.build().map_err(|error| {
        // The words of the builder are not kept: they may quote what it was given.
        let _ = error;
        match key {
            Some((key, reason)) => settings.wrong(key, reason),
            None => Error::new(
                ErrorKind::Configuration,
                "the application default credentials cannot be read",
            )
            .with_hint(
                "log in again (`gcloud auth application-default login`), or set \
                 `credentials.client_email` and `credentials.private_key`",
            ),
        }
    })
}

/// A key of the settings, with what is wrong with it if no client can be made.
type Suspect = (&'static str, &'static str);

/// Adds whoever asks: a service account, whoever a file names, nobody on a server of this machine; else what the machine
/// has: the application default credentials, or its own identity.
fn identified(
    settings: &Settings,
    credentials: &StoreCredentials,
    endpoint: Option<&Url>,
    builder: GoogleCloudStorageBuilder,
) -> Result<(GoogleCloudStorageBuilder, Option<Suspect>)> {
    match (&credentials.client_email, &credentials.private_key) {
        (Some(email), Some(key)) => {
            if !email.contains('@') {
                return Err(settings.wrong(EMAIL, "it is no address of a service account"));
            }
            let account = serde_json::json!({
                "client_email": email,
                // In a variable of the environment the ends of lines are often written out.
                "private_key": key.expose().replace("\\n", "\n"),
                "private_key_id": credentials.private_key_id.as_deref().unwrap_or_default(),
            });
            let suspect = "it is no private key in PEM, from `-----BEGIN PRIVATE KEY-----` on";
            Ok((builder.with_service_account_key(account.to_string()), Some((KEY, suspect))))
        }
        (Some(_), None) => Err(settings.missing(KEY)),
        (None, Some(_)) => Err(settings.missing(EMAIL)),
        (None, None) => match (file_of(settings, credentials, endpoint), endpoint) {
            (Some(path), _) => {
                let suspect = "it names no file with the key of a service account or with application default credentials";
                let builder = builder.with_application_credentials(path.display().to_string());
                let named = credentials.application_credentials.is_some();
                Ok((builder, named.then_some((FILE, suspect))))
            }
            (None, Some(url)) if is_loopback(url) => {
                let nobody = GcpCredential { bearer: String::new() };
                let nobody = Arc::new(StaticCredentialProvider::new(nobody));
                Ok((builder.with_credentials(nobody), Some(("credentials", "they do not fit"))))
            }
            // What the machine has opens Google's stores: it is shown to no one else.
            (None, Some(url)) if !is_google(url) => Err(settings.missing(KEY)),
            (None, _) => Ok((builder, None)),
        },
    }
}

/// The file that says who asks: that of the settings, or of Google's own tools, which no one else is shown.
pub(crate) fn file_of(
    settings: &Settings,
    credentials: &StoreCredentials,
    endpoint: Option<&Url>,
) -> Option<PathBuf> {
    let configured = credentials.application_credentials.as_ref().map(PathBuf::from);
    let of_tools = || {
        let is_google = endpoint.is_none_or(is_google);
        is_google.then(|| transload_google_identity::default_file(settings)).flatten()
    };
    configured.or_else(of_tools).map(|file| settings.path(file))
}

pub(crate) fn is_google(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.ends_with(".googleapis.com"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// What one text means that stands for all credentials: the content of a key file, its path, or another JSON object of the
/// keys. The text is never shown: it holds a key.
pub(crate) fn from_text(text: &str) -> Result<BTreeMap<String, String>> {
    let object: Option<BTreeMap<String, Value>> = serde_json::from_str(text).ok();
    let Some(object) = object.filter(|object| !object.contains_key("type")) else {
        let parts = transload_google_identity::from_text(text)?;
        // Those of a user and of a workload have no keys in the table.
        const OF_OTHERS: [&str; 4] =
            ["client_id", "client_secret", "refresh_token", "external_account"];
        let is_another = OF_OTHERS.iter().any(|key| parts.contains_key(*key));
        return match is_another {
            false => Ok(parts),
            true => Err(refused("its `type` is not `service_account`".into())
                .with_hint("name the file instead, in `credentials.application_credentials`")),
        };
    };
    object
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Bool(value) => Ok((name, value.to_string())),
            _ => Err(refused(format!("its `{}` is not a text", name.escape_debug()))),
        })
        .collect()
}

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::Configuration, "the text of the credentials cannot be read")
        .with("reason", reason)
        .with_hint(
            "write a table, the content of a service account's key file, or the path of that file",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FilesystemSettings;

    /// Of the right form, and nobody's.
    const PEM: &str = concat!(
        "-----BEGIN PRIVATE KEY-----\n",
        include_str!("../../xtask/src/stack/gcs.key"),
        "-----END PRIVATE KEY-----\n"
    );

    fn made(keys: &[(&str, &str)]) -> Result<GoogleCloudStorage> {
        let keys: Vec<(String, &str)> =
            keys.iter().map(|(key, value)| (format!("credentials.{key}"), *value)).collect();
        let mut pairs: Vec<(&str, &str)> =
            keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        pairs.push(("bucket_url", "gs://lake/a"));
        let settings = Settings::from_pairs("filesystem", &pairs);
        let configured: FilesystemSettings = settings.read()?;
        google(&settings, &configured.credentials, "lake")
    }

    #[test]
    fn every_way_to_show_who_asks_is_taken() {
        let escaped = PEM.replace('\n', "\\n");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        let account = serde_json::json!({
            "type": "service_account", "client_email": "a@b", "private_key": PEM, "private_key_id": "k",
        });
        std::fs::write(&file, account.to_string()).unwrap();
        for keys in [
            &[("client_email", "a@b"), ("private_key", PEM)][..],
            &[("client_email", "a@b"), ("private_key", &escaped), ("private_key_id", "k")],
            &[("application_credentials", file.to_str().unwrap())],
            &[("endpoint_url", "http://127.0.0.1:9")],
            &[("endpoint_url", "http://[::1]:9")],
        ] {
            assert!(made(keys).is_ok(), "{keys:?}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("CANARY.json");
        std::fs::write(&file, "{\"type\": \"CANARY\"}").unwrap();
        for (keys, named) in [
            (&[("client_email", "CANARY@b")][..], KEY),
            (&[("private_key", "CANARY")], EMAIL),
            (&[("client_email", "CANARY"), ("private_key", PEM)], EMAIL),
            (&[("client_email", "CANARY@b"), ("private_key", "CANARY")], KEY),
            (&[("application_credentials", file.to_str().unwrap())], FILE),
            (&[("application_credentials", "/nowhere/CANARY")], FILE),
            (&[("endpoint_url", "https://me:CANARY@host")], "credentials.endpoint_url"),
            (&[("endpoint_url", "https://storage.example")], KEY),
        ] {
            let error = made(keys).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let named = format!("destination.filesystem.{named}");
            assert_eq!(error.context("key"), Some(named.as_str()), "{keys:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn nothing_but_this_machine_is_spoken_to_without_encryption() {
        let error = made(&[("endpoint_url", "http://gcs.example")]).unwrap_err();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
    }

    #[test]
    fn one_text_stands_for_the_credentials() {
        let pairs = |text: &str| from_text(text).unwrap().into_iter().collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let file = r#"{"type": "service_account", "project_id": "p", "client_email": "a@b",
            "private_key": "k\nk", "private_key_id": "i", "client_id": "1", "token_uri": "https://t"}"#;
        let expected = [
            pair("client_email", "a@b"),
            pair("private_key", "k\nk"),
            pair("private_key_id", "i"),
            pair("project_id", "p"),
        ];
        assert_eq!(pairs(file), expected);
        let table = pairs(r#"{"aws_access_key_id": "id", "allow_insecure": true}"#);
        assert_eq!(table, [pair("allow_insecure", "true"), pair("aws_access_key_id", "id")]);
        for path in ["/keys/loader.json", "loader.json", "keys/loader"] {
            assert_eq!(pairs(path), [pair("application_credentials", path)]);
        }
    }

    #[test]
    fn a_text_that_is_no_credentials_is_refused_and_not_shown() {
        for text in [
            "CANARY",
            "",
            "s3://CANARY/x",
            "{\"private_key\": CANARY}",
            r#"{"type": "authorized_user", "refresh_token": "CANARY"}"#,
            r#"{"type": "service_account", "private_key": ["CANARY"]}"#,
        ] {
            let error = from_text(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(!format!("{error:?}").contains("CANARY") && error.hint().is_some());
        }
    }
}
