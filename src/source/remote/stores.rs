//! The clients of stores and web servers, as the settings want them.

use std::collections::BTreeMap;
use std::convert::identity;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use transload_core::settings::{Setting as _, Settings};
use transload_core::{Error, ErrorKind, Redactor, Result, Secret};
use transload_object_stores::{Account, Clients, StoreCredentials, TABLE};

use super::address::Bucket;
use super::settings::{fill, of_amazon, of_azure};
use super::{Patience, SourceSettings};
use crate::source::compress::UnpackLimits;

const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// The stores that sources are read from. Each is made when it is first asked for; nothing is opened before.
pub(crate) struct Stores {
    settings: Settings,
    read: SourceSettings,
    opened: Mutex<BTreeMap<Bucket, Opened>>,
    web: OnceLock<reqwest::Client>,
    pub(super) redactor: Redactor,
    pub(super) patience: Patience,
}

/// A bucket or container that can be asked.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Knows what must never be shown of whoever asks it.
    pub(super) redactor: Redactor,
}

impl fmt::Debug for Stores {
    /// Stores and builders of `object_store` print the keys that they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

impl Stores {
    /// The stores that these settings open, filled from the environment that they hand on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for the first value that is wrong.
    pub(crate) fn new(mut settings: Settings) -> Result<Self> {
        fill(&mut settings);
        Ok(Self {
            read: settings.read()?,
            redactor: Redactor::new(&SourceSettings::secrets(&settings)),
            settings,
            opened: Mutex::default(),
            web: OnceLock::new(),
            patience: Patience::default(),
        })
    }

    /// How far compressed files may grow when they are unpacked.
    pub(crate) fn unpack_limits(&self) -> UnpackLimits {
        UnpackLimits { max_ratio: self.read.max_unpack_ratio, ..UnpackLimits::default() }
    }

    #[cfg(test)]
    pub(super) fn impatient(settings: Settings) -> Self {
        let patience = Patience { first: Duration::from_millis(1), ..Patience::default() };
        Self { patience, ..Self::new(settings).unwrap() }
    }

    /// A bucket that is this store.
    #[cfg(test)]
    pub(super) fn put(&self, bucket: Bucket, store: Arc<dyn ObjectStore>) {
        let opened = self.opened(store);
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket, opened);
    }

    /// What must never be shown.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        SourceSettings::secrets(&self.settings)
    }

    /// The client of a bucket. Opens no connection.
    pub(super) fn bucket(&self, bucket: &Bucket) -> Result<Opened> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(bucket) {
            return Ok(known.clone());
        }
        let made = match bucket {
            Bucket::S3(name) => self.amazon(name)?,
            Bucket::Google(name) => self.google(name)?,
            Bucket::Azure(container, account) => self.azure(container, account.as_ref())?,
        };
        opened.insert(bucket.clone(), made.clone());
        Ok(made)
    }

    /// The client of web servers.
    pub(super) fn web(&self) -> Result<reqwest::Client> {
        if let Some(client) = self.web.get() {
            return Ok(client.clone());
        }
        // reqwest panics where no provider is installed; one that is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
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

    fn amazon(&self, bucket: &str) -> Result<Opened> {
        let settings = of_amazon(&self.settings);
        let credentials = StoreCredentials::read(&settings, TABLE)?;
        let amazon = clients(&settings, &credentials).amazon(bucket, identity)?;
        // Profiles and the variables hold keys too.
        let secrets = SourceSettings::secrets(&settings).into_iter().chain(amazon.secrets);
        let redactor = Redactor::new(&secrets.collect::<Vec<_>>());
        Ok(Opened { store: Arc::new(amazon.client), redactor })
    }

    fn google(&self, bucket: &str) -> Result<Opened> {
        let client = clients(&self.settings, &self.read.credentials).google(bucket)?;
        Ok(self.opened(Arc::new(client)))
    }

    fn azure(&self, container: &str, account: Option<&Account>) -> Result<Opened> {
        let settings = of_azure(&self.settings, account.map(|account| account.name.as_str()));
        let credentials = &StoreCredentials::read(&settings, TABLE)?;
        let is_elsewhere =
            credentials.endpoint_url.is_some() || credentials.azure_account_host.is_some();
        if let Some(account) = account
            && !is_elsewhere
            && !Account::CLOUDS.contains(&account.domain.as_str())
        {
            // What opens accounts is shown to their vendor, and to whom the settings name.
            let host = self.settings.full_key("credentials.azure_account_host");
            return Err(Error::new(
                ErrorKind::Configuration,
                "the account of the source is in no cloud of Azure that is known",
            )
            .with("domain", &account.domain)
            .with_hint(format!("set `{host}` to the host of the account")));
        }
        let azure = clients(&settings, credentials).azure(container, account)?;
        Ok(self.opened(azure.client))
    }

    fn opened(&self, store: Arc<dyn ObjectStore>) -> Opened {
        Opened { store, redactor: self.redactor.clone() }
    }
}

/// There is no limit on a whole answer, which may be a file of any size: reading stops where the rows are normalised more
/// slowly than they come.
fn clients<'a>(settings: &'a Settings, credentials: &'a StoreCredentials) -> Clients<'a> {
    Clients { settings, credentials, whole_answer: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pairs: Vec<(String, &str)> =
            pairs.iter().map(|(name, value)| (format!("credentials.{name}"), *value)).collect();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let mut settings = Settings::from_pairs("filesystem", &pairs);
        settings.section = Some(SourceSettings::SECTION.join("."));
        settings
    }

    fn stores(pairs: &[(&str, &str)]) -> Stores {
        Stores::new(settings(pairs)).unwrap()
    }

    fn refused(stores: &Stores, bucket: &Bucket) -> Error {
        stores.bucket(bucket).map(drop).unwrap_err()
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
            let error = refused(&stores(&[(given, "CANARY")]), &bucket);
            let key = format!("sources.filesystem.credentials.{wanted}");
            assert_eq!(error.context("key"), Some(key.as_str()));
            let variable = key.replace('.', "__").to_uppercase();
            let hint = error.hint().unwrap();
            assert!(hint.contains("[sources.filesystem.credentials]") && hint.contains(&variable));
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn what_the_machine_has_for_google_is_shown_to_no_one_else() {
        let bucket = Bucket::Google("b".into());
        let error = refused(&stores(&[("endpoint_url", "https://gcs.example")]), &bucket);
        assert_eq!(error.context("key"), Some("sources.filesystem.credentials.private_key"));
    }

    #[test]
    fn what_variables_have_is_shown_to_no_other_store() {
        let foreign = ("endpoint_url", "https://store.example");
        let name = ("azure_storage_account_name", "acc");
        let tenant = [("azure_tenant_id", "t"), ("azure_client_id", "c")];
        let container = Bucket::Azure("c".into(), None);
        for (pairs, variable, bucket, wanted) in [
            (
                &[foreign][..],
                ("GOOGLE_APPLICATION_CREDENTIALS", "/keys/loader.json"),
                Bucket::Google("b".into()),
                "private_key",
            ),
            (
                &[foreign, name],
                ("AZURE_STORAGE_KEY", "a2V5"),
                container.clone(),
                "azure_storage_account_key",
            ),
            (
                &[foreign, name],
                ("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=CANARY"),
                container.clone(),
                "azure_storage_sas_token",
            ),
            (
                &[foreign, name, tenant[0], tenant[1]],
                ("AZURE_CLIENT_SECRET", "CANARY"),
                container,
                "azure_client_secret",
            ),
        ] {
            let mut settings = settings(pairs);
            settings.environment = [(variable.0.to_owned(), Secret::from(variable.1))].into();
            let error = refused(&Stores::new(settings).unwrap(), &bucket);
            let key = format!("sources.filesystem.credentials.{wanted}");
            assert_eq!(error.context("key"), Some(key.as_str()), "{variable:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
        let mut settings = settings(&[foreign, name]);
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "s")];
        settings.environment =
            keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        // Keys that sign are never shown.
        assert!(Stores::new(settings).unwrap().bucket(&Bucket::S3("b".into())).is_ok());
    }

    #[test]
    fn an_endpoint_with_a_user_is_refused_and_not_shown() {
        let stores = stores(&[("endpoint_url", "http://me:CANARY@host")]);
        let error = refused(&stores, &Bucket::S3("b".into()));
        assert_eq!(error.message(), "a setting is wrong");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }

    #[test]
    fn an_account_of_a_url_is_asked_where_its_cloud_is_and_nowhere_else() {
        let of = |domain: &str| {
            let account = Account { name: "acc".into(), domain: domain.into() };
            Bucket::Azure("lake".into(), Some(account))
        };
        let key = ("azure_storage_account_key", "a2V5");
        for domain in Account::CLOUDS {
            assert!(stores(&[key]).bucket(&of(domain)).is_ok(), "{domain}");
        }
        let error = refused(&stores(&[key]), &of("evil.example"));
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.hint().unwrap().contains("credentials.azure_account_host"), "{error:?}");
        let named = stores(&[key, ("azure_account_host", "acc.blob.stack.example")]);
        assert!(named.bucket(&of("stack.example")).is_ok());
    }
}
