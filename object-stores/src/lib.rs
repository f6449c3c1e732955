//! The clients of object stores, as the settings want them: buckets of S3 and of Google Cloud Storage, containers of Azure.
//!
//! Rows are read from stores and files are staged in them, and the keys to both are the same: those of [`StoreCredentials`].
//! This crate is for whoever asks a store. It is no plugin, and registers nothing.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod amazon;
mod azure;
mod bearer;
mod credentials;
mod google;
mod text;

use std::time::Duration;

use object_store::{ClientOptions, RetryConfig};
use transload_aws_identity::address;
use transload_core::Result;
use transload_core::settings::Settings;
use url::Url;

pub use account::Account;
pub use amazon::Amazon;
pub use azure::Azure;
pub use bearer::without_token;
pub use credentials::StoreCredentials;
pub use google::is_google;
pub use transload_aws_identity::{Row, role_refused};

/// The table of the settings in which keys and addresses stand.
pub const TABLE: &str = "credentials";

const ENDPOINT: &str = "credentials.endpoint_url";

/// Makes clients, each for one bucket or container. None of them opens a connection before it is asked for something.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// Where the credentials were read from: for messages, and for the variables of the vendors' own tools.
    pub settings: &'a Settings,
    /// The keys and addresses.
    pub credentials: &'a StoreCredentials,
    /// How long a whole answer may take. Without it an answer may be of any size, and be read as slowly as it is used.
    pub whole_answer: Option<Duration>,
}

impl Clients<'_> {
    /// The address that is configured, if one is.
    ///
    /// # Errors
    /// [`transload_core::ErrorKind::Configuration`] where it is none, or not encrypted.
    pub fn endpoint(&self) -> Result<Option<Url>> {
        let endpoint = self.credentials.endpoint_url.as_ref();
        endpoint.map(|endpoint| self.address_in(ENDPOINT, endpoint)).transpose()
    }

    /// The address in a setting, which is encrypted or on this machine.
    ///
    /// # Errors
    /// [`transload_core::ErrorKind::Configuration`] where it is none, or neither.
    pub fn address_in(&self, key: &str, text: &str) -> Result<Url> {
        let insecure = ("credentials.allow_insecure", self.credentials.allow_insecure);
        address(self.settings, key, text, insecure)
    }

    /// What holds for the connections to every store.
    fn options(&self) -> ClientOptions {
        // reqwest panics where no provider is installed; one that is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(5))
            // How long a server may send nothing.
            .with_read_timeout(Duration::from_secs(30));
        match self.whole_answer {
            Some(limit) => options.with_timeout(limit),
            None => options.with_timeout_disabled(),
        }
    }
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}
