//! The tokens that requests carry: had from Google for who asks, kept until they end.

use std::error::Error as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use transload_core::{Error, ErrorKind, Result, Secret, without_secrets};
use url::form_urlencoded;

use crate::clocks::Clocks;
use crate::identity::Identity;
use crate::service_account::LIFETIME;

/// A token that ends so soon is renewed: the request must arrive while it holds.
const MARGIN: Duration = Duration::from_secs(60);

/// No token is believed to hold for longer, in seconds: Google's hold for half of it at most.
const LONGEST: u64 = 24 * 3600;

/// Where a machine of Google's asks who it is. Compute Engine documentation, "About VM metadata".
const METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";

/// A token, and when it ends.
#[derive(Clone, Debug)]
pub struct Token {
    /// What a request carries.
    pub text: Secret,
    /// Its end.
    pub ends: Clocks,
}

impl Token {
    /// A token from an answer of OAuth.
    pub(crate) fn read(answer: &Value, text: &str, asked: Clocks) -> Result<Self> {
        let text = answer[text]
            .as_str()
            .ok_or_else(|| Error::new(ErrorKind::Terminal, "Google answered without a token"))?;
        let seconds = answer["expires_in"].as_u64().unwrap_or(LIFETIME).min(LONGEST);
        Ok(Self { text: text.into(), ends: asked.after(Duration::from_secs(seconds)) })
    }

    /// Whether it holds for as long as this from now on.
    fn lasts(&self, now: Clocks, long: Duration) -> bool {
        self.ends.left(now) > long
    }
}

/// The tokens of an identity.
#[derive(Debug)]
pub struct Tokens {
    identity: Identity,
    scope: String,
    kept: Mutex<Option<Token>>,
}

impl Tokens {
    /// The tokens of this identity, which allow what the scope says: words of Google's with a space between them.
    pub fn new(identity: Identity, scope: impl Into<String>) -> Self {
        Self { identity, scope: scope.into(), kept: Mutex::default() }
    }

    /// A token that holds; `None` where there is nobody to have one.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where Google gives none, [`ErrorKind::Transient`] where it does not answer.
    pub async fn token(&self, http: &Client) -> Result<Option<Secret>> {
        Ok(self.lasting(http, MARGIN).await?.map(|token| token.text))
    }

    /// A token that holds for as long as this from now on, or one that is new. `None` where there is nobody to have one.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn lasting(&self, http: &Client, long: Duration) -> Result<Option<Token>> {
        if matches!(self.identity, Identity::Nobody) {
            return Ok(None);
        }
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.lasts(Clocks::now(), long)) {
            return Ok(Some(token.clone()));
        }
        let token = self.fetch(http).await?;
        *kept = Some(token.clone());
        Ok(Some(token))
    }

    /// Gives up this token: the service has refused it.
    pub async fn forget(&self, refused: &Secret) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|token| token.text.expose() == refused.expose()) {
            *kept = None;
        }
    }

    async fn fetch(&self, http: &Client) -> Result<Token> {
        let asked = Clocks::now();
        match &self.identity {
            Identity::Nobody => Err(Error::new(ErrorKind::Bug, "nobody has no token")),
            Identity::ServiceAccount(account) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let text = account.assertion(&self.scope, now.as_secs())?;
                let form = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", text.expose()),
                ];
                let request = post_form(http, &account.token_uri, &form);
                Token::read(&answer(request, &account.token_uri).await?, "access_token", asked)
            }
            Identity::User { client_id, client_secret, refresh_token, token_uri } => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id),
                    ("client_secret", client_secret.expose()),
                    ("refresh_token", refresh_token.expose()),
                ];
                let request = post_form(http, token_uri, &form);
                Token::read(&answer(request, token_uri).await?, "access_token", asked)
            }
            Identity::Workload(workload) => workload.token(http, &self.scope, asked).await,
            Identity::Machine => of_machine(http, asked).await,
        }
    }
}

/// The token of a machine of Google's. Its service may not answer yet while the machine starts; that its name is unknown says
/// that this is none.
async fn of_machine(http: &Client, asked: Clocks) -> Result<Token> {
    let request = http.request(Method::GET, METADATA).header("Metadata-Flavor", "Google");
    let answer = answer(request, METADATA).await.map_err(|error| {
        let error = match is_unknown_host(&error) {
            true => error.with_kind(ErrorKind::Configuration),
            false => error,
        };
        error.with_hint(
            "no credentials are configured and this is no machine of Google's: set `credentials`, or \
             `credentials.application_credentials` to the path of a key file",
        )
    })?;
    Token::read(&answer, "access_token", asked)
}

/// Whether a name has no address. hyper says so in words alone.
fn is_unknown_host(error: &Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.to_string().contains("dns error") {
            return true;
        }
        next = cause.source();
    }
    false
}

/// A client for tokens and for nothing else.
///
/// # Errors
/// [`ErrorKind::Configuration`] where none can be made, as without certificates.
pub fn client() -> Result<Client> {
    // reqwest panics where no provider is installed; one that is installed already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        // Tokens go nowhere else than where they are asked for.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Configuration, "no client for HTTP can be made")
                .with_source(error)
        })
}

/// A POST of a form.
pub(crate) fn post_form(
    http: &Client,
    url: &str,
    form: &[(&str, &str)],
) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Sends a request for a token. What comes back is shown in parts alone: it may hold one.
pub(crate) async fn answer(request: reqwest::RequestBuilder, url: &str) -> Result<Value> {
    let lost = |error: reqwest::Error| {
        Error::new(ErrorKind::Transient, "the connection to Google for a token was lost")
            .with("url", without_secrets(url))
            .with_source(error.without_url())
    };
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    let body = response.bytes().await.map_err(lost)?;
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(value);
    }
    let mut error = Error::new(refused(status), "Google gives no token for these credentials")
        .with("url", without_secrets(url))
        .with("status", status.as_u16());
    // RFC 6749, section 5.2; other services of Google answer with an object.
    let code = value["error"].as_str().or(value["error"]["status"].as_str());
    let said = value["error_description"].as_str().or(value["error"]["message"].as_str());
    if let Some(code) = code {
        error = error.with("code", code);
    }
    if let Some(said) = said {
        error = error.with("reason", said);
    }
    Err(error.with_hint(
        "see that the key is that of the account and was not revoked, that the login was not, and that the clock is right",
    ))
}

/// What it means that a service gives no token.
pub(crate) fn refused(status: StatusCode) -> ErrorKind {
    match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        true => ErrorKind::Transient,
        false => ErrorKind::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use serde_json::json;

    use super::*;

    /// A network with these addresses for every name.
    struct Network(Vec<SocketAddr>);

    impl Resolve for Network {
        fn resolve(&self, _: Name) -> Resolving {
            let found = match self.0.is_empty() {
                true => Err(io::Error::other("no such name").into()),
                false => Ok(Box::new(self.0.clone().into_iter()) as Addrs),
            };
            Box::pin(std::future::ready(found))
        }
    }

    #[tokio::test]
    async fn a_machine_whose_network_knows_no_service_of_google_is_none() {
        let silent = SocketAddr::from(([127, 0, 0, 1], 9));
        for (addresses, kind) in
            [(vec![], ErrorKind::Configuration), (vec![silent], ErrorKind::Transient)]
        {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let network = Arc::new(Network(addresses));
            let http = Client::builder().no_proxy().dns_resolver(network).build().unwrap();
            let error = Tokens::new(Identity::Machine, "s").token(&http).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(error.hint().unwrap().contains("application_credentials"));
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let now = Clocks::now();
        let of = |seconds: u64| {
            let answer = json!({"access_token": "t", "expires_in": seconds});
            Token::read(&answer, "access_token", now).unwrap()
        };
        assert_eq!(of(3600).ends, now.after(Duration::from_secs(3600)));
        assert_eq!(of(u64::MAX).ends, now.after(Duration::from_secs(LONGEST)));
        assert!(of(3600).lasts(now, MARGIN) && of(61).lasts(now, MARGIN));
        assert!(!of(60).lasts(now, MARGIN) && !of(30).lasts(now, MARGIN));
        assert!(Token::read(&json!({}), "access_token", now).is_err());
    }
}
