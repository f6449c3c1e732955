//! What lets somebody else at a container of Azure: the signature that was configured, or one that the key of the account
//! makes, or the key that the service gives to whoever asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::azure::MicrosoftAzure;
use object_store::{ClientOptions, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use transload_core::{Secret, SharedAccess};
use url::Url;

use super::delegation::{DelegatedKey, Delegation};
use crate::config::StoreCredentials;
use crate::time::Moment;

/// The version of the service whose rules of signing are followed.
pub(super) const VERSION: &str = "2020-12-06";

/// What stands in the path of an address as it is. RFC 3986, section 2.3, and the slashes in names of blobs.
const NAME: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What can be handed out of a container.
pub(crate) struct Signer {
    /// The host of the account, and its path where a store stands in for Azure.
    host: String,
    with: With,
    container: Container,
}

enum With {
    /// The signature of the settings: what it opens and for how long is for whoever made it.
    Signature(Secret),
    /// The key of the account.
    Key(Box<hmac::Key>),
    /// A key of whoever asks: a service principal, a workload, a machine.
    Delegation(Box<Delegation>),
}

/// What is opened.
struct Container {
    account: String,
    name: String,
    over_tls_alone: bool,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Signer {
    /// Who signs with these settings. The client is that of the container, by account and name.
    pub(super) fn new(
        credentials: &StoreCredentials,
        client: &Arc<MicrosoftAzure>,
        address: &Url,
        (account, name): (&str, &str),
        options: ClientOptions,
    ) -> Self {
        let key = credentials.azure_storage_account_key.as_ref();
        let key = key.and_then(|key| BASE64_STANDARD.decode(key.expose()).ok());
        let with = match (key, &credentials.azure_storage_sas_token) {
            (Some(key), _) => With::Key(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &key))),
            (None, Some(token)) => {
                With::Signature(token.expose().trim().trim_start_matches('?').into())
            }
            (None, None) => {
                With::Delegation(Box::new(Delegation::new(client, address, account, options)))
            }
        };
        let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = address.path().trim_end_matches('/');
        let host = format!("{}{port}{path}", address.host_str().unwrap_or_default());
        let container = Container {
            account: account.to_owned(),
            name: name.to_owned(),
            over_tls_alone: address.scheme() == "https",
        };
        Self { host, with, container }
    }

    /// A signature that reads and lists the container, from now on and for as long as this.
    pub(crate) async fn sign(&self, now: Moment, lasts: Duration) -> Result<SharedAccess> {
        let token = self.token(None, now, lasts).await?;
        Ok(SharedAccess { host: self.host.clone(), token })
    }

    /// Whether there is a key. A signature of the settings opens more than one blob, for writing too as a rule: no address
    /// carries it.
    pub(crate) fn signs(&self) -> bool {
        !matches!(self.with, With::Signature(_))
    }

    /// An address that reads this blob, from now on and for as long as this; nothing where there is no key.
    pub(crate) async fn sign_blob(
        &self,
        name: &str,
        now: Moment,
        lasts: Duration,
    ) -> Result<Option<Secret>> {
        if !self.signs() {
            return Ok(None);
        }
        let token = self.token(Some(name), now, lasts).await?;
        let Container { name: container, over_tls_alone, .. } = &self.container;
        let scheme = if *over_tls_alone { "https" } else { "http" };
        let (host, name) = (&self.host, utf8_percent_encode(name, NAME));
        Ok(Some(format!("{scheme}://{host}/{container}/{name}?{}", token.expose()).into()))
    }

    async fn token(&self, blob: Option<&str>, now: Moment, lasts: Duration) -> Result<Secret> {
        let ends = now.after(lasts).to_seconds();
        Ok(match &self.with {
            With::Signature(token) => token.clone(),
            With::Key(key) => signature(key, None, &self.container, blob, &ends),
            With::Delegation(delegation) => {
                let key = delegation.key(now, lasts).await?;
                signature(&key.value, Some(&key), &self.container, blob, &ends)
            }
        })
    }
}

/// The signature for a container, or for one blob in it.
///
/// Source: Azure, "Create a service SAS" and "Create a user delegation SAS", version 2020-12-06 and later.
fn signature(
    key: &hmac::Key,
    delegated: Option<&DelegatedKey>,
    container: &Container,
    blob: Option<&str>,
    ends: &str,
) -> Secret {
    let place = format!("/blob/{}/{}", container.account, container.name);
    let (permissions, resource, place) = match blob {
        // Its name is signed as it is, without escapes.
        Some(blob) => ("r", "b", format!("{place}/{blob}")),
        // Read and list, of a container.
        None => ("rl", "c", place),
    };
    let protocol = if container.over_tls_alone { "https" } else { "https,http" };
    let begins = "";
    let mut to_sign = vec![permissions, begins, ends, &place];
    match delegated {
        // What the key is, and what is not said: a user who is meant, one who is not, the text for logs.
        Some(key) => {
            to_sign.extend(key.fields().map(|(_, value)| value).into_iter().chain([""; 3]))
        }
        // No stored policy.
        None => to_sign.push(""),
    }
    // No addresses; and behind the resource no snapshot, no scope of encryption, no headers of the answer.
    to_sign.extend(["", protocol, VERSION, resource]);
    to_sign.extend([""; 7]);
    let signed = BASE64_STANDARD.encode(hmac::sign(key, to_sign.join("\n").as_bytes()).as_ref());
    let pairs =
        [("sv", VERSION), ("sr", resource), ("sp", permissions), ("se", ends), ("spr", protocol)];
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .extend_pairs(delegated.into_iter().flat_map(DelegatedKey::fields))
        .extend_pairs([("sig", &signed)])
        .finish()
        .into()
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;
    use crate::config::FilesystemSettings;

    fn signer(address: &str, keys: &[(&str, &str)]) -> Signer {
        let of_account = ("credentials.azure_storage_account_name", "account");
        let endpoint = ("credentials.endpoint_url", address);
        let pairs = [&[("bucket_url", "az://lake"), of_account, endpoint], keys].concat();
        let settings = Settings::from_pairs("f", &pairs);
        let read: FilesystemSettings = settings.read().unwrap();
        super::super::azure(&settings, &read.credentials, "lake", None).unwrap().signer
    }

    const DELEGATED: &str = "<UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid>\
                             <SignedStart>2026-11-22T17:30:39Z</SignedStart>\
                             <SignedExpiry>2026-11-23T17:45:39Z</SignedExpiry><SignedService>b</SignedService>\
                             <SignedVersion>2020-12-06</SignedVersion><Value>Q0FOQVJZ</Value></UserDelegationKey>";

    const ADDRESS: &str = "https://account.blob.core.windows.net/";

    fn now() -> Moment {
        Moment::of_load_id("1795369539.5").unwrap()
    }

    #[tokio::test]
    async fn a_key_signs_for_an_hour_and_for_reading_alone() {
        let key = [("credentials.azure_storage_account_key", "Q0FOQVJZ")];
        let signer = signer(ADDRESS, &key);
        let access = signer.sign(now(), Duration::from_secs(3600)).await.unwrap();
        assert_eq!(access.host, "account.blob.core.windows.net");
        // The signature is one that was made apart from this code, by the HMAC of another language.
        assert_eq!(
            access.token.expose(),
            "sv=2020-12-06&sr=c&sp=rl&se=2026-11-22T18%3A45%3A39Z&spr=https&sig=oOrf%2BPzU%2BCWM6JvjoxUYymCZKDD9zGsrPEVVuy08g%2Bg%3D"
        );
        assert!(!format!("{access:?} {signer:?}").contains("sig="));
    }

    #[test]
    fn a_key_of_whoever_asks_signs_with_what_the_service_says_of_it() {
        let key = DelegatedKey::from_answer(DELEGATED).unwrap();
        let container = Container {
            account: "account".to_owned(),
            name: "lake".to_owned(),
            over_tls_alone: true,
        };
        let token = signature(&key.value, Some(&key), &container, None, "2026-11-22T18:45:39Z");
        // Made apart from this code as well.
        assert_eq!(
            token.expose(),
            "sv=2020-12-06&sr=c&sp=rl&se=2026-11-22T18%3A45%3A39Z&spr=https&skoid=oid&sktid=tid&skt=2026-11-22T17%3A30%3A39Z&ske=2026-11-23T17%3A45%3A39Z&sks=b&skv=2020-12-06&sig=XNoOwou1PSwadilUEHcs%2BL5nlDIUT%2BhxPwG4jCQOr3g%3D"
        );
        assert!(DelegatedKey::from_answer("<Value>Q0FOQVJZ</Value>").is_none());
    }

    /// The signatures were made apart from this code, too.
    #[tokio::test]
    async fn a_blob_is_signed_by_its_name_and_stands_in_its_address_with_escapes() {
        const BLOB: &str = "raw/a b+c%é'/1.parquet";
        let key = [("credentials.azure_storage_account_key", "Q0FOQVJZ")];
        let signer = signer(ADDRESS, &key);
        let url = signer.sign_blob(BLOB, now(), Duration::from_secs(3600)).await.unwrap().unwrap();
        assert_eq!(
            url.expose(),
            "https://account.blob.core.windows.net/lake/raw/a%20b%2Bc%25%C3%A9%27/1.parquet?\
             sv=2020-12-06&sr=b&sp=r&se=2026-11-22T18%3A45%3A39Z&spr=https&sig=yuiFEQ6nwV%2BQ5eAxsb8CtKXG9OVt%2F3RPHMCn9LlGsKg%3D"
        );
        let key = DelegatedKey::from_answer(DELEGATED).unwrap();
        let ends = "2026-11-22T18:45:39Z";
        let token = signature(&key.value, Some(&key), &signer.container, Some(BLOB), ends);
        assert!(token.expose().ends_with("&sig=8aYEcH5qXy2fMoBF1HfswoEfIAX1hqeU9zdzQqE0csQ%3D"));
        assert!(!format!("{url:?} {token:?}").contains("sig="));
    }

    #[tokio::test]
    async fn a_signature_of_the_settings_is_handed_on_as_such_and_in_no_address() {
        let token = [("credentials.azure_storage_sas_token", " ?sv=1&sig=CANARY")];
        let local = signer("http://127.0.0.1:10000/account", &token);
        let access = local.sign(now(), Duration::from_secs(1)).await.unwrap();
        assert_eq!(access.host, "127.0.0.1:10000/account");
        assert_eq!(access.token.expose(), "sv=1&sig=CANARY");
        let url = local.sign_blob("a/b c", now(), Duration::from_secs(1)).await.unwrap();
        assert!(url.is_none() && !local.signs());
        assert!(!format!("{access:?}").contains("CANARY"));
    }
}
