//! What lets somebody else at a container of Azure: the signature that was configured, or one that the key of the account makes.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use transload_core::{Secret, SharedAccess};
use url::Url;

use crate::config::StoreCredentials;
use crate::time::Moment;

/// The version of the service whose rules of signing are followed.
const VERSION: &str = "2020-12-06";

/// What can be handed out of a container.
pub(crate) struct Signer {
    /// The host of the account, and its path where a store stands in for Azure.
    host: String,
    with: With,
}

enum With {
    /// The signature of the settings: what it opens and for how long is for whoever made it.
    Signature(Secret),
    /// The key of the account.
    Key { key: Box<hmac::Key>, account: String, container: String, over_tls_alone: bool },
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Signer {
    /// Who signs with these settings: nobody, where a service principal or the machine itself asks.
    pub(crate) fn new(
        credentials: &StoreCredentials,
        address: &Url,
        account: &str,
        container: &str,
    ) -> Option<Self> {
        let with = if let Some(key) = &credentials.azure_storage_account_key {
            let key = BASE64_STANDARD.decode(key.expose()).ok()?;
            With::Key {
                key: Box::new(hmac::Key::new(hmac::HMAC_SHA256, &key)),
                account: account.to_owned(),
                container: container.to_owned(),
                over_tls_alone: address.scheme() == "https",
            }
        } else {
            let token = credentials.azure_storage_sas_token.as_ref()?;
            With::Signature(token.expose().trim().trim_start_matches('?').into())
        };
        let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = address.path().trim_end_matches('/');
        let host = format!("{}{port}{path}", address.host_str().unwrap_or_default());
        Some(Self { host, with })
    }

    /// A signature that reads and lists the container, from now on and for as long as this.
    pub(crate) fn sign(&self, now: Moment, lasts: Duration) -> SharedAccess {
        let token = match &self.with {
            With::Signature(token) => token.clone(),
            With::Key { key, account, container, over_tls_alone } => {
                let ends = now.after(lasts).to_seconds();
                let protocol = if *over_tls_alone { "https" } else { "https,http" };
                signature(key, account, container, &ends, protocol).into()
            }
        };
        SharedAccess { host: self.host.clone(), token }
    }
}

/// Source: Azure, "Create a service SAS", version 2020-12-06 and later.
fn signature(
    key: &hmac::Key,
    account: &str,
    container: &str,
    ends: &str,
    protocol: &str,
) -> String {
    // Read and list, of a container.
    let (permissions, resource) = ("rl", "c");
    let place = format!("/blob/{account}/{container}");
    let to_sign = [
        permissions,
        "", // when it begins
        ends,
        &place,
        "", // a stored policy
        "", // addresses
        protocol,
        VERSION,
        resource,
        "", // a snapshot
        "", // a scope of encryption
        "", // five headers of the answer
        "",
        "",
        "",
        "",
    ]
    .join("\n");
    let signed = BASE64_STANDARD.encode(hmac::sign(key, to_sign.as_bytes()).as_ref());
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("sv", VERSION),
            ("sr", resource),
            ("sp", permissions),
            ("se", ends),
            ("spr", protocol),
            ("sig", &signed),
        ])
        .finish()
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;
    use crate::config::FilesystemSettings;

    fn signer(address: &str, keys: &[(&str, &str)]) -> Option<Signer> {
        let pairs = [&[("bucket_url", "az://lake")], keys].concat();
        let settings: FilesystemSettings = Settings::from_pairs("f", &pairs).read().unwrap();
        Signer::new(&settings.credentials, &Url::parse(address).unwrap(), "acc", "lake")
    }

    const ADDRESS: &str = "https://acc.blob.core.windows.net/";

    #[test]
    fn a_key_signs_for_an_hour_and_for_reading_alone() {
        let key = [("credentials.azure_storage_account_key", "Q0FOQVJZ")];
        let signer = signer(ADDRESS, &key).unwrap();
        let now = Moment::of_load_id("1795369539.5").unwrap();
        let access = signer.sign(now, Duration::from_secs(3600));
        assert_eq!(access.host, "acc.blob.core.windows.net");
        // The signature is one that was made apart from this code, by the HMAC of another language.
        assert_eq!(
            access.token.expose(),
            "sv=2020-12-06&sr=c&sp=rl&se=2026-11-22T18%3A45%3A39Z&spr=https&sig=fyrWUmgXxuF338si%2B13m6OQKamhMhhihWh5n0Xak6FM%3D"
        );
        assert!(!format!("{access:?} {signer:?}").contains("sig="));
    }

    #[test]
    fn a_signature_of_the_settings_is_handed_on_and_nobody_else_signs() {
        let token = [("credentials.azure_storage_sas_token", " ?sv=1&sig=CANARY")];
        let local = signer("http://127.0.0.1:10000/acc", &token).unwrap();
        let access = local.sign(Moment::now(), Duration::from_secs(1));
        assert_eq!(access.host, "127.0.0.1:10000/acc");
        assert_eq!(access.token.expose(), "sv=1&sig=CANARY");
        assert!(!format!("{access:?}").contains("CANARY"));
        assert!(signer(ADDRESS, &[]).is_none());
    }
}
