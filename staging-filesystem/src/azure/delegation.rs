//! The key with which a principal signs: the service gives it to whoever may read, for some days.
//!
//! Source: Azure, "Get User Delegation Key".

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::azure::{AzureAuthorizer, MicrosoftAzure};
use object_store::client::{HttpConnector as _, HttpRequest, ReqwestConnector};
use object_store::{ClientOptions, Error, Result};
use ring::hmac;
use tokio::sync::Mutex;
use url::Url;

use super::shared_access::VERSION;
use crate::classify::element;
use crate::time::Moment;

/// How long a key is asked for: signatures end with it at the latest.
const KEY: Duration = Duration::from_secs(24 * 3600);
/// How far the clocks of two machines may be apart.
const SKEW: Duration = Duration::from_secs(900);

/// The name in every error of getting a key, by which it is known.
const STORE: &str = "delegation";

/// Gets the key, once somebody wants a signature.
pub(super) struct Delegation {
    client: Arc<MicrosoftAzure>,
    options: ClientOptions,
    /// Where the account is asked.
    address: String,
    account: String,
    kept: Mutex<Option<(Moment, Arc<DelegatedKey>)>>,
}

/// A key, and what the service says of it.
pub(super) struct DelegatedKey {
    pub(super) value: hmac::Key,
    object: String,
    tenant: String,
    begins: String,
    ends: String,
    service: String,
    version: String,
}

impl DelegatedKey {
    /// What the service says of it, in the order in which it is signed, by the names of a signature's parts.
    pub(super) fn fields(&self) -> [(&'static str, &str); 6] {
        [
            ("skoid", &self.object),
            ("sktid", &self.tenant),
            ("skt", &self.begins),
            ("ske", &self.ends),
            ("sks", &self.service),
            ("skv", &self.version),
        ]
    }

    pub(super) fn from_answer(body: &str) -> Option<Self> {
        let text = |name| element(body, name);
        let value = BASE64_STANDARD.decode(text("Value")?).ok()?;
        Some(Self {
            value: hmac::Key::new(hmac::HMAC_SHA256, &value),
            object: text("SignedOid")?,
            tenant: text("SignedTid")?,
            begins: text("SignedStart")?,
            ends: text("SignedExpiry")?,
            service: text("SignedService")?,
            version: text("SignedVersion")?,
        })
    }
}

impl Delegation {
    pub(super) fn new(
        client: &Arc<MicrosoftAzure>,
        address: &Url,
        account: &str,
        options: ClientOptions,
    ) -> Self {
        Self {
            client: Arc::clone(client),
            options,
            address: address.as_str().trim_end_matches('/').to_owned(),
            account: account.to_owned(),
            kept: Mutex::default(),
        }
    }

    /// A key that holds for as long as this from now on.
    pub(super) async fn key(&self, now: Moment, lasts: Duration) -> Result<Arc<DelegatedKey>> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some((ends, key)) if now.after(lasts + SKEW) <= *ends => Ok(Arc::clone(key)),
            _ => {
                let ends = now.after(KEY);
                let key = Arc::new(self.ask(now, ends).await?);
                *kept = Some((ends, Arc::clone(&key)));
                Ok(key)
            }
        }
    }

    async fn ask(&self, now: Moment, ends: Moment) -> Result<DelegatedKey> {
        let unreachable = |error| Error::Generic { store: STORE, source: Box::new(error) };
        let request = self.request(now, ends).await?;
        let http = ReqwestConnector::default().connect(&self.options)?;
        let answer = http.execute(request).await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(unreachable)?;
        let body = String::from_utf8_lossy(&body);
        if status.is_success() {
            let key = DelegatedKey::from_answer(&body);
            return key.ok_or_else(|| failed("there is no key in the answer"));
        }
        // Not the whole of it: nobody knows what else is in there.
        let said = |name| element(&body, name).unwrap_or_default();
        Err(failed(&format!(
            "status code: {} : <Code>{}</Code><Message>{}</Message>",
            status.as_u16(),
            said("Code"),
            said("Message")
        )))
    }

    async fn request(&self, now: Moment, ends: Moment) -> Result<HttpRequest> {
        let identity = self.client.credentials().get_credential().await?;
        let (begins, ends) = (now.before(SKEW).to_seconds(), ends.to_seconds());
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><KeyInfo><Start>{begins}</Start><Expiry>{ends}</Expiry></KeyInfo>"
        );
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = "POST".parse().map_err(|_| failed("no method"))?;
        *request.uri_mut() = format!("{}/?restype=service&comp=userdelegationkey", self.address)
            .parse()
            .map_err(|_| failed("no address"))?;
        let version = VERSION.parse().map_err(|_| failed("no header"))?;
        request.headers_mut().insert("x-ms-version", version);
        AzureAuthorizer::new(&identity, &self.account).try_authorize(&mut request)?;
        Ok(request)
    }
}

fn failed(what: &str) -> Error {
    Error::Generic { store: STORE, source: what.into() }
}
