//! The clients of stores and web servers, as the settings want them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use transload_core::{Error, ErrorKind, Redactor, Result, check_encrypted};

use super::address::Bucket;
use super::{Patience, SourceSettings};
use crate::source::compress::UnpackLimits;

const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may send nothing. There is no limit on a whole answer, which may be a file of any size.
const SILENCE: Duration = Duration::from_secs(30);

/// The stores that sources are read from. Each is made when it is first asked for; nothing is opened before.
pub(crate) struct Stores {
    settings: SourceSettings,
    s3_endpoint: Option<String>,
    opened: Mutex<BTreeMap<Bucket, Arc<dyn ObjectStore>>>,
    web: OnceLock<reqwest::Client>,
    pub(super) redactor: Redactor,
    pub(super) patience: Patience,
}

impl fmt::Debug for Stores {
    /// Stores and builders of `object_store` print the keys that they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

impl Stores {
    /// The stores that these settings open, filled from the environment that the program was handed.
    pub(crate) fn new(mut settings: SourceSettings, environment: &[(OsString, OsString)]) -> Self {
        settings.fill_from(environment);
        let s3_endpoint = settings
            .credentials
            .endpoint_url
            .clone()
            .or_else(|| SourceSettings::s3_endpoint(environment));
        Self {
            redactor: settings.redactor(),
            settings,
            s3_endpoint,
            opened: Mutex::default(),
            web: OnceLock::new(),
            patience: Patience::default(),
        }
    }

    /// How far compressed files may grow when they are unpacked.
    pub(crate) fn unpack_limits(&self) -> UnpackLimits {
        UnpackLimits { max_ratio: self.settings.max_unpack_ratio, ..UnpackLimits::default() }
    }

    #[cfg(test)]
    pub(super) fn impatient(settings: SourceSettings) -> Self {
        let patience = Patience { first: Duration::from_millis(1), ..Patience::default() };
        Self { patience, ..Self::new(settings, &[]) }
    }

    /// A bucket that is this store.
    #[cfg(test)]
    pub(super) fn put(&self, bucket: Bucket, store: Arc<dyn ObjectStore>) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket, store);
    }

    /// What must never be shown.
    pub(crate) fn settings(&self) -> &SourceSettings {
        &self.settings
    }

    /// The client of a bucket. Opens no connection.
    pub(super) fn bucket(&self, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(bucket) {
            return Ok(Arc::clone(store));
        }
        install_crypto();
        let store: Arc<dyn ObjectStore> = match bucket {
            Bucket::S3(name) => self.amazon(name)?,
            Bucket::Google(name) => self.google(name)?,
            Bucket::Azure(container, account) => self.azure(container, account.as_deref())?,
        };
        opened.insert(bucket.clone(), Arc::clone(&store));
        Ok(store)
    }

    /// The client of web servers.
    pub(super) fn web(&self) -> Result<reqwest::Client> {
        if let Some(client) = self.web.get() {
            return Ok(client.clone());
        }
        install_crypto();
        let redirects = reqwest::redirect::Policy::custom(|attempt| {
            let was_safe = attempt.previous().iter().any(|url| url.scheme() == "https");
            if attempt.previous().len() >= 10 {
                attempt.error("there are too many redirections")
            } else if was_safe && attempt.url().scheme() != "https" {
                attempt.error("it redirects from https to http")
            } else {
                attempt.follow()
            }
        });
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(redirects)
            // The address before a redirection may be signed.
            .referer(false)
            .user_agent(concat!("transload/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Terminal, "no client for web servers could be made")
                    .with_source(error.without_url())
            })?;
        Ok(self.web.get_or_init(|| client).clone())
    }

    fn amazon(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        let keys = &self.settings.credentials;
        let is_virtual = match keys.s3_url_style.as_deref() {
            None | Some("path") => false,
            Some("virtual") => true,
            Some(_) => return Err(wrong("s3_url_style", "it is neither `path` nor `virtual`")),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_retry(retries())
            .with_virtual_hosted_style_request(is_virtual);
        let mut options = options();
        if let Some(endpoint) = &self.s3_endpoint {
            let mut url = endpoint_url(endpoint, keys.allow_insecure)?;
            if is_virtual {
                let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
                url.set_host(Some(&host)).map_err(|_| {
                    wrong(
                        "endpoint_url",
                        "with `s3_url_style = \"virtual\"` it must be a host name",
                    )
                })?;
            }
            options = options.with_allow_http(url.scheme() == "http");
            builder = builder.with_endpoint(url.as_str().trim_end_matches('/'));
        }
        if let Some(region) = &keys.region_name {
            builder = builder.with_region(region);
        }
        match (&keys.aws_access_key_id, &keys.aws_secret_access_key) {
            (Some(id), Some(secret)) => {
                builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
            }
            (Some(_), None) => return Err(missing("aws_secret_access_key")),
            (None, Some(_)) => return Err(missing("aws_access_key_id")),
            (None, None) => {}
        }
        if let Some(token) = &keys.aws_session_token {
            builder = builder.with_token(token.expose());
        }
        Ok(Arc::new(builder.with_client_options(options).build().map_err(unfit)?))
    }

    fn google(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        let keys = &self.settings.credentials;
        let mut builder =
            GoogleCloudStorageBuilder::new().with_bucket_name(bucket).with_retry(retries());
        let mut options = options();
        let mut is_google = true;
        if let Some(endpoint) = &keys.endpoint_url {
            let url = endpoint_url(endpoint, keys.allow_insecure)?;
            is_google = url.host_str().is_some_and(|host| host.ends_with(".googleapis.com"));
            options = options.with_allow_http(url.scheme() == "http");
            builder = builder.with_base_url(url.as_str().trim_end_matches('/'));
        }
        match (&keys.client_email, &keys.private_key) {
            (Some(email), Some(key)) => {
                let account = serde_json::json!({
                    "type": "service_account",
                    "client_email": email,
                    "private_key": key.expose().replace("\\n", "\n"),
                    "private_key_id": keys.private_key_id.as_deref().unwrap_or_default(),
                });
                builder = builder.with_service_account_key(account.to_string());
            }
            (Some(_), None) => return Err(missing("private_key")),
            (None, Some(_)) => return Err(missing("client_email")),
            (None, None) => {
                if let Some(path) = &keys.application_credentials {
                    builder = builder.with_application_credentials(path);
                } else if !is_google {
                    // What the machine has opens Google's stores: it is shown to no one else.
                    return Err(missing("private_key"));
                }
            }
        }
        Ok(Arc::new(builder.with_client_options(options).build().map_err(unfit)?))
    }

    fn azure(&self, container: &str, account: Option<&str>) -> Result<Arc<dyn ObjectStore>> {
        let keys = &self.settings.credentials;
        let account = account.or(keys.azure_storage_account_name.as_deref());
        let account = account.ok_or_else(|| missing("azure_storage_account_name"))?;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_container_name(container)
            .with_account(account)
            .with_retry(retries());
        let mut options = options();
        if let Some(endpoint) = &keys.endpoint_url {
            let url = endpoint_url(endpoint, keys.allow_insecure)?;
            options = options.with_allow_http(url.scheme() == "http");
            builder = builder
                .with_endpoint(url.as_str().trim_end_matches('/').to_owned())
                .with_allow_http(url.scheme() == "http");
        }
        if let Some(key) = &keys.azure_storage_account_key {
            builder = builder.with_access_key(key.expose());
        } else if let Some(sas) = &keys.azure_storage_sas_token {
            builder = builder.with_config(AzureConfigKey::SasKey, sas.expose());
        } else if let Some(secret) = &keys.azure_client_secret {
            let id = keys.azure_client_id.as_ref().ok_or_else(|| missing("azure_client_id"))?;
            let tenant = keys.azure_tenant_id.as_ref();
            let tenant = tenant.ok_or_else(|| missing("azure_tenant_id"))?;
            builder = builder.with_client_secret_authorization(id, secret.expose(), tenant);
        }
        Ok(Arc::new(builder.with_client_options(options).build().map_err(unfit)?))
    }
}

fn install_crypto() {
    // reqwest panics where no provider is installed; one that is installed already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn options() -> ClientOptions {
    // The limit on a whole answer is taken away: reading stops where the rows are normalised more slowly than they come.
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        .with_timeout_disabled()
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}

fn key(name: &str) -> String {
    format!("sources.filesystem.credentials.{name}")
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::Configuration, "a setting is missing")
        .with("key", key(name))
        .with_hint(format!(
            "add to `.transload/secrets.toml`:\n[sources.filesystem.credentials]\n{name} = \"…\"\nor set {}",
            key(name).replace('.', "__").to_uppercase()
        ))
}

fn wrong(name: &str, reason: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "a setting is wrong")
        .with("key", key(name))
        .with("reason", reason)
}

/// The words of the builder are not kept: they may quote what it was given.
fn unfit(_: object_store::Error) -> Error {
    Error::new(ErrorKind::Configuration, "the settings of the store do not fit together")
        .with("section", "sources.filesystem.credentials")
}

fn endpoint_url(text: &str, allow_insecure: bool) -> Result<url::Url> {
    let url = url::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .filter(|url| {
            url.username().is_empty() && url.password().is_none() && url.query().is_none()
        })
        .ok_or_else(|| {
            wrong("endpoint_url", "it is no address").with_hint("write `https://host:port`")
        })?;
    let host = url.host_str().unwrap_or_default();
    let key = "sources.filesystem.credentials.allow_insecure";
    check_encrypted(url.scheme() == "https", host, allow_insecure, key)?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;

    fn stores(pairs: &[(&str, &str)]) -> Stores {
        let pairs: Vec<(String, &str)> =
            pairs.iter().map(|(name, value)| (format!("credentials.{name}"), *value)).collect();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let settings = Settings::from_pairs("filesystem", &pairs).read().unwrap();
        Stores::new(settings, &[])
    }

    #[test]
    fn half_of_a_pair_of_keys_is_missing_the_other_half() {
        for (given, bucket, wanted) in [
            ("aws_access_key_id", Bucket::S3("b".into()), "aws_secret_access_key"),
            ("private_key", Bucket::Google("b".into()), "client_email"),
            (
                "azure_storage_account_key",
                Bucket::Azure("c".into(), None),
                "azure_storage_account_name",
            ),
        ] {
            let error = stores(&[(given, "CANARY")]).bucket(&bucket).unwrap_err();
            let wanted = format!("sources.filesystem.credentials.{wanted}");
            assert_eq!(error.context("key"), Some(wanted.as_str()));
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn what_the_machine_has_for_google_is_shown_to_no_one_else() {
        let bucket = Bucket::Google("b".into());
        let error = stores(&[("endpoint_url", "https://gcs.example")]).bucket(&bucket).unwrap_err();
        assert_eq!(error.context("key"), Some("sources.filesystem.credentials.private_key"));
    }

    #[test]
    fn an_endpoint_with_a_user_is_refused_and_not_shown() {
        let stores = stores(&[("endpoint_url", "http://me:CANARY@host")]);
        let error = stores.bucket(&Bucket::S3("b".into())).unwrap_err();
        assert_eq!(error.message(), "a setting is wrong");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }

    #[test]
    fn the_variables_of_amazon_name_its_endpoint_only() {
        let environment = [("AWS_ENDPOINT_URL".into(), "http://here:1".into())];
        let stores = Stores::new(Settings::from_pairs("f", &[]).read().unwrap(), &environment);
        assert_eq!(stores.s3_endpoint.as_deref(), Some("http://here:1"));
        assert!(stores.settings.credentials.endpoint_url.is_none());
    }
}
