//! What lets somebody else at a bucket of Google's: a token that is narrowed to the files of a load, and the address of one
//! file, signed with the key of a service account.

use std::fmt;
use std::time::Duration;

use transload_core::{AccessToken, Error, ErrorKind, Result, Secret};
use transload_google_identity::{
    CLOUD, Clocks, Identity, Object, STS, ServiceAccount, TOKEN_URI, Tokens, client, downscoped,
};
use transload_object_stores::{Clients, is_google};
use url::Url;

use crate::time::Moment;

const GOOGLE: &str = "https://storage.googleapis.com";
const TOKENS: &str = "credentials.token_uri";
const NARROWED: &str = "credentials.sts_endpoint_url";

/// How long a token must hold of which a narrowed one is made: the narrowed one ends with it, and a copy may take long. A
/// machine gives out the same one until it is about to end.
const LASTS: Duration = Duration::from_secs(50 * 60);

/// What can be handed out of a bucket.
pub(crate) struct Access {
    bucket: String,
    root: Url,
    /// Where the store is not Google's own.
    endpoint: Option<Url>,
    account: Option<ServiceAccount>,
    lender: Option<Lender>,
    /// What must never be shown.
    pub(crate) secrets: Vec<Secret>,
}

/// Narrows tokens.
struct Lender {
    tokens: Tokens,
    sts: String,
    http: reqwest::Client,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Access {
    /// What these settings allow. Opens no connection.
    pub(crate) fn new(clients: &Clients<'_>, bucket: &str) -> Result<Self> {
        let credentials = clients.credentials;
        let endpoint = clients.endpoint()?;
        let root = match &endpoint {
            Some(url) => url.clone(),
            None => Url::parse(GOOGLE).expect("an address of ours"),
        };
        let said = clients.google_credentials()?;
        let secrets = said.secrets().cloned().collect();
        let token_uri = match &credentials.token_uri {
            Some(uri) => clients.google_address(TOKENS, uri)?.into(),
            None => TOKEN_URI.to_owned(),
        };
        let identity = Identity::of(&said, clients.how(token_uri))?;
        let account = match &identity {
            Some(Identity::ServiceAccount(account)) => Some(account.clone()),
            _ => None,
        };
        let lender = match credentials.access_boundary {
            true => Some(lender(clients, identity, endpoint.as_ref())?),
            false => None,
        };
        Ok(Self { bucket: bucket.to_owned(), root, endpoint, account, lender, secrets })
    }

    /// Whether tokens are narrowed.
    pub(crate) fn lends(&self) -> bool {
        self.lender.is_some()
    }

    /// Whether there is a key that signs.
    pub(crate) fn signs(&self) -> bool {
        self.account.is_some()
    }

    /// A token that opens what lies below these prefixes and nothing else.
    pub(crate) async fn token(&self, prefixes: Vec<String>) -> Result<Option<AccessToken>> {
        let Some(Lender { tokens, sts, http }) = &self.lender else { return Ok(None) };
        let own = tokens.lasting(http, LASTS).await?.ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "there is no token that could be narrowed")
                .with_hint("set `credentials.client_email` and `credentials.private_key`, or leave `access_boundary` out")
        })?;
        let narrowed = downscoped(http, sts, &own, &self.bucket, &prefixes).await?;
        let lasts = narrowed.ends.left(Clocks::now());
        Ok(Some(AccessToken {
            bucket: self.bucket.clone(),
            prefixes,
            token: narrowed.text,
            ends_at: Moment::now().after(lasts).to_seconds(),
            endpoint: self.endpoint.as_ref().map(Url::to_string),
        }))
    }

    /// An address at which this object can be read, from now on and for as long as this; nothing where no key signs.
    pub(crate) fn signed_url(
        &self,
        name: &str,
        now: Moment,
        lasts: Duration,
    ) -> Result<Option<Secret>> {
        let object = Object { root: &self.root, bucket: &self.bucket, name };
        let now = now.to_seconds().replace(['-', ':'], "");
        let sign = |account: &ServiceAccount| account.signed_url(object, &now, lasts.as_secs());
        self.account.as_ref().map(sign).transpose()
    }
}

fn lender(
    clients: &Clients<'_>,
    identity: Option<Identity>,
    endpoint: Option<&Url>,
) -> Result<Lender> {
    let is_google = endpoint.is_none_or(is_google);
    let sts = match &clients.credentials.sts_endpoint_url {
        Some(url) => clients.google_address(NARROWED, url)?.into(),
        None if is_google => STS.to_owned(),
        // A token for another store is not shown to Google, nor the other way round.
        None => return Err(clients.settings.missing(NARROWED)),
    };
    let nobody = if is_google { Identity::Machine } else { Identity::Nobody };
    let tokens = Tokens::new(identity.unwrap_or(nobody), CLOUD);
    Ok(Lender { tokens, sts, http: client()? })
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;
    use crate::client::clients;
    use crate::config::FilesystemSettings;

    const PEM: &str = concat!(
        "-----BEGIN PRIVATE KEY-----\n",
        include_str!("../../xtask/src/stack/gcs.key"),
        "-----END PRIVATE KEY-----\n"
    );

    fn access(keys: &[(&str, &str)]) -> Result<Access> {
        let keys: Vec<(String, &str)> =
            keys.iter().map(|(key, value)| (format!("credentials.{key}"), *value)).collect();
        let mut pairs: Vec<(&str, &str)> =
            keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        pairs.push(("bucket_url", "gs://lake/a"));
        let settings = Settings::from_pairs("filesystem", &pairs);
        let configured: FilesystemSettings = settings.read()?;
        Access::new(&clients(&settings, &configured.credentials), "lake")
    }

    const ACCOUNT: [(&str, &str); 2] = [("client_email", "a@b"), ("private_key", PEM)];

    #[test]
    fn an_address_holds_for_an_hour_and_is_signed_by_an_account_alone() {
        let now = Moment::of_load_id("1795369539.5").unwrap();
        let signed = |access: Access| {
            let url = access.signed_url("a/b c", now, Duration::from_secs(3600)).unwrap();
            url.map(|url| url.expose().to_owned())
        };
        let url = signed(access(&ACCOUNT).unwrap()).unwrap();
        assert!(url.starts_with("https://storage.googleapis.com/lake/a/b%20c?X-Goog-Algorithm="));
        for part in ["a%40b%2F20261122%2F", "Date=20261122T174539Z&", "Expires=3600&"] {
            assert!(url.contains(part), "{url}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        let user = r#"{"type": "authorized_user", "client_id": "i", "client_secret": "CANARY", "refresh_token": "CANARY"}"#;
        std::fs::write(&file, user).unwrap();
        let user = access(&[("application_credentials", file.to_str().unwrap())]).unwrap();
        assert!(!user.signs() && !format!("{user:?}").contains("CANARY"));
        assert_eq!(signed(user), None);
        let account = serde_json::json!({
            "type": "service_account", "client_email": "a@b", "private_key": PEM, "private_key_id": "k",
        });
        std::fs::write(&file, account.to_string()).unwrap();
        assert!(access(&[("application_credentials", file.to_str().unwrap())]).unwrap().signs());
    }

    #[test]
    fn tokens_are_narrowed_where_that_is_wanted_and_shown_to_whom_they_belong() {
        let with = |more: &[(&str, &str)]| access(&[&ACCOUNT[..], more].concat());
        assert!(!with(&[]).unwrap().lends());
        assert!(with(&[("access_boundary", "true")]).unwrap().lends());
        let elsewhere = [("access_boundary", "true"), ("endpoint_url", "http://127.0.0.1:9")];
        let key = |error: Error| error.context("key").unwrap().to_owned();
        assert_eq!(
            key(with(&elsewhere).unwrap_err()),
            "destination.filesystem.credentials.sts_endpoint_url"
        );
        let sts = ("sts_endpoint_url", "http://127.0.0.1:9/_sts");
        assert!(with(&[&elsewhere[..], &[sts]].concat()).unwrap().lends());
        for name in ["sts_endpoint_url", "token_uri"] {
            // What nobody named, as a machine has it, is for Google alone.
            let boundary = ("access_boundary", "true");
            for near in ["http://127.0.0.1:9/", "https://sts.eu.rep.googleapis.com/v1/token"] {
                assert!(access(&[boundary, (name, near)]).unwrap().lends());
            }
            let elsewhere = (name, "https://tokens.example/");
            let error = access(&[boundary, elsewhere]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.hint().unwrap().contains("credentials.application_credentials"));
            assert!(with(&[boundary, elsewhere]).unwrap().lends());
            let open = with(&[("access_boundary", "true"), (name, "http://tokens.example/")]);
            assert_eq!(open.unwrap_err().context("code"), Some("E_TLS_REQUIRED"));
        }
    }
}
