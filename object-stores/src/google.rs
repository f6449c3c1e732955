//! The client of a bucket of Google Cloud Storage.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};
use transload_core::settings::Settings;
use transload_core::{Error, Result, is_this_machine};
use transload_google_identity::{
    CLOUD, Credentials, DefaultFile, How, Identity, TOKEN_URI, Tokens, default_file,
};
use url::Url;

use crate::bearer::Bearer;
use crate::{Clients, retries};

const EMAIL: &str = "credentials.client_email";
const KEY: &str = "credentials.private_key";
const FILE: &str = "credentials.application_credentials";

/// A file that says who asks.
enum File {
    /// One that the settings name.
    Named(PathBuf),
    /// That of Google's own tools.
    Default(DefaultFile),
}

impl File {
    fn read(&self, settings: &Settings) -> Result<Credentials> {
        match self {
            Self::Named(path) => Credentials::of_file(settings, FILE, path),
            Self::Default(file) => file.read(),
        }
    }

    fn wrong(&self, settings: &Settings, reason: impl fmt::Display) -> Error {
        match self {
            Self::Named(_) => settings.wrong(FILE, reason),
            Self::Default(file) => file.wrong(reason),
        }
    }

    fn path(&self) -> &PathBuf {
        match self {
            Self::Named(path) | Self::Default(DefaultFile { path, .. }) => path,
        }
    }
}

impl Clients<'_> {
    /// The client of a bucket of Google Cloud Storage. Where nothing says who asks, the application default credentials are
    /// looked for, with the variables that the settings hand on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](transload_core::ErrorKind::Configuration) where the settings are wrong or not whole.
    pub fn google(&self, bucket: &str) -> Result<GoogleCloudStorage> {
        let url = self.endpoint()?;
        let is_http = url.as_ref().is_some_and(|url| url.scheme() == "http");
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            .with_retry(retries())
            .with_client_options(self.options().with_allow_http(is_http));
        if let Some(url) = &url {
            builder = builder.with_base_url(url.as_str().trim_end_matches('/'));
        }
        let (builder, suspect) = self.as_account(url.as_ref(), builder)?;
        // The words of the builder are not kept: they may quote what it was given.
        builder.build().map_err(|_| suspect)
    }

    /// Adds whoever asks: a service account, whoever a file names, nobody on a server of this machine; else what the machine
    /// has: the application default credentials, or its own identity. With it comes what is wrong if no client can be made.
    fn as_account(
        &self,
        endpoint: Option<&Url>,
        builder: GoogleCloudStorageBuilder,
    ) -> Result<(GoogleCloudStorageBuilder, Error)> {
        let (settings, credentials) = (self.settings, self.credentials);
        let unfit = || settings.wrong("credentials", "they do not fit");
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
                let suspect = settings.wrong(KEY, suspect);
                Ok((builder.with_service_account_key(account.to_string()), suspect))
            }
            (Some(_), None) => Err(settings.missing(KEY)),
            (None, Some(_)) => Err(settings.missing(EMAIL)),
            (None, None) => match (self.file_of(endpoint), endpoint) {
                (Some(file), _) => {
                    let suspect = "the file holds neither the key of a service account nor application default credentials";
                    let builder = match self.workload(&file.read(settings)?)? {
                        Some(workload) => builder.with_credentials(Arc::new(workload)),
                        None => {
                            builder.with_application_credentials(file.path().display().to_string())
                        }
                    };
                    Ok((builder, file.wrong(settings, suspect)))
                }
                (None, Some(url)) if is_this_machine(url.host_str().unwrap_or_default()) => {
                    let nobody = GcpCredential { bearer: String::new() };
                    let nobody = Arc::new(StaticCredentialProvider::new(nobody));
                    Ok((builder.with_credentials(nobody), unfit()))
                }
                // What the machine has opens Google's stores: it is shown to no one else.
                (None, Some(url)) if !is_google(url) => Err(settings.missing(KEY)),
                // Not left to `object_store`, which reads the real environment: whoever asks is whoever is lent.
                (None, _) => {
                    let machine = Bearer::new(Tokens::new(Identity::Machine, CLOUD))?;
                    Ok((builder.with_credentials(Arc::new(machine)), unfit()))
                }
            },
        }
    }

    /// The file that says who asks: that of the settings, or of Google's own tools, which no one else is shown.
    fn file_of(&self, endpoint: Option<&Url>) -> Option<File> {
        if let Some(path) = &self.credentials.application_credentials {
            return Some(File::Named(self.settings.path(path)));
        }
        let is_google = endpoint.is_none_or(is_google);
        is_google.then(|| default_file(self.settings)).flatten().map(File::Default)
    }

    /// The tokens of the workload that a file is of, which `object_store` does not know how to get. None for a file of any other
    /// kind.
    fn workload(&self, said: &Credentials) -> Result<Option<Bearer>> {
        if said.external_account.is_none() {
            return Ok(None);
        }
        let identity = Identity::of(said, self.how(TOKEN_URI.to_owned()))?;
        identity.map(|identity| Bearer::new(Tokens::new(identity, CLOUD))).transpose()
    }

    /// The address in a setting to which tokens of Google's are shown. Those of whoever the settings do not name are shown to
    /// Google and to this machine alone.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](transload_core::ErrorKind::Configuration) where it is none, or not encrypted, or of somebody else.
    pub fn google_address(&self, key: &str, text: &str) -> Result<Url> {
        let url = self.address_in(key, text)?;
        let credentials = self.credentials;
        let is_named =
            credentials.application_credentials.is_some() || credentials.private_key.is_some();
        let host = url.host_str().unwrap_or_default();
        if is_named || is_google(&url) || is_this_machine(host) {
            return Ok(url);
        }
        let full_key = self.settings.full_key(key);
        Err(self.settings.missing(FILE).with("address", full_key.as_str()).with_hint(format!(
            "what this machine has of Google's is shown to Google alone: name a file in `{}`, which may be the same one, or \
             leave `{full_key}` out",
            self.settings.full_key(FILE)
        )))
    }

    /// How an identity of Google's asks for tokens, which are had at this address.
    pub fn how(&self, token_uri: String) -> How {
        let folder = self.settings.folder.clone();
        How { token_uri, folder, allow_insecure: self.credentials.allow_insecure }
    }

    /// What says who asks a bucket of Google's: the settings, or a file.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](transload_core::ErrorKind::Configuration) for a file that cannot be read or holds no credentials, and for a wrong address.
    pub fn google_credentials(&self) -> Result<Credentials> {
        let credentials = self.credentials;
        let of_settings = Credentials {
            client_email: credentials.client_email.clone(),
            private_key: credentials.private_key.clone(),
            private_key_id: credentials.private_key_id.clone(),
            ..Credentials::default()
        };
        match self.file_of(self.endpoint()?.as_ref()) {
            Some(file) if !of_settings.say_who() => file.read(self.settings),
            _ => Ok(of_settings),
        }
    }
}

/// Whether this is an address of Google's own.
pub fn is_google(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.ends_with(".googleapis.com"))
}

#[cfg(test)]
mod tests {
    use transload_core::ErrorKind;
    use transload_core::settings::Setting as _;

    use super::*;
    use crate::{StoreCredentials, TABLE};

    /// Of the right form, and nobody's.
    const PEM: &str = concat!(
        "-----BEGIN PRIVATE KEY-----\n",
        include_str!("../../xtask/src/stack/gcs.key"),
        "-----END PRIVATE KEY-----\n"
    );

    fn made(keys: &[(&str, &str)]) -> Result<GoogleCloudStorage> {
        made_with(keys, &[])
    }

    fn made_with(
        keys: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<GoogleCloudStorage> {
        let keys: Vec<(String, &str)> =
            keys.iter().map(|(key, value)| (format!("credentials.{key}"), *value)).collect();
        let pairs: Vec<(&str, &str)> =
            keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let mut settings = Settings::from_pairs("filesystem", &pairs);
        for (name, value) in environment {
            settings.environment.insert((*name).to_owned(), (*value).into());
        }
        let credentials = StoreCredentials::read(&settings, TABLE)?;
        Clients { settings: &settings, credentials: &credentials, whole_answer: None }
            .google("lake")
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
            &[("endpoint_url", "http://gcs.localhost:9")],
            &[("endpoint_url", "https://storage.googleapis.com")],
            &[],
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
    fn a_file_that_a_variable_names_is_named_with_the_variable_and_with_what_is_wrong_with_it() {
        const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        let path = file.to_str().unwrap();
        let account =
            r#"{"type": "service_account", "client_email": "a@b", "private_key": "CANARY"}"#;
        for (text, reason) in [
            (None, "cannot be read"),
            (Some("CANARY"), "no JSON object"),
            (Some(r#"{"type": "CANARY"}"#), "its `type`"),
            (Some(account), "neither the key"),
        ] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let error = made_with(&[], &[(VARIABLE, path)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!(
                (error.context("file"), error.context("variable")),
                (Some(path), Some(VARIABLE)),
                "{error:?}"
            );
            assert!(error.context("reason").unwrap().contains(reason), "{error:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn a_workload_shows_the_token_of_another_provider() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("workload.json");
        let made = |source: &str| {
            let workload = format!(
                r#"{{"type": "external_account", "audience": "//iam.googleapis.com/x",
                    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                    "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {source}}}"#
            );
            std::fs::write(&file, workload).unwrap();
            made(&[("application_credentials", file.to_str().unwrap())])
        };
        assert!(made(r#"{"file": "token"}"#).is_ok());
        assert_eq!(made("{}").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn nothing_but_this_machine_is_spoken_to_without_encryption() {
        let error = made(&[("endpoint_url", "http://gcs.example")]).unwrap_err();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
    }
}
