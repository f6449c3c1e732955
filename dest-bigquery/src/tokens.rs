//! The tokens that requests carry: had from Google for what is configured, kept until they end.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Method};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use transload_core::{Error, ErrorKind, Result, Secret};
use url::form_urlencoded;

use crate::config::{BigQuerySettings, GoogleCredentials};
use crate::external_account::ExternalAccount;

/// What loading needs. BigQuery documentation, "OAuth 2.0 scopes"; objects of Cloud Storage are read in the name of who
/// starts the job.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/bigquery \
     https://www.googleapis.com/auth/devstorage.read_only";

/// A token that ends so soon is renewed: the request must arrive while it holds.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a token of a service account is asked for: the longest. Google Identity, "Using OAuth 2.0 for server to server
/// applications".
const LIFETIME: u64 = 3600;

/// Where a machine of Google's asks who it is. Compute Engine documentation, "About VM metadata".
const METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";

/// Who asks for a token.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Nobody: an emulator on this machine asks for none.
    Nobody,
    /// A service account with its key.
    ServiceAccount { email: String, key: Secret, key_id: Option<String>, token_uri: String },
    /// A user who logged in once.
    User { client_id: String, client_secret: Secret, refresh_token: Secret, token_uri: String },
    /// A workload that another provider knows.
    Workload(Box<ExternalAccount>),
    /// This machine, known to Google.
    Machine,
}

impl Identity {
    /// The identity that is configured.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a workload identity that cannot be taken.
    pub(crate) fn of(settings: &BigQuerySettings, folder: PathBuf) -> Result<Self> {
        let Some(credentials) = &settings.credentials else {
            return Ok(match settings.is_google() {
                true => Self::Machine,
                false => Self::Nobody,
            });
        };
        let GoogleCredentials { token_uri, .. } = credentials;
        if let Some(text) = &credentials.external_account {
            let workload = ExternalAccount::read(text, folder, settings.allow_insecure)?;
            return Ok(Self::Workload(Box::new(workload)));
        }
        if let (Some(email), Some(key)) = (&credentials.client_email, &credentials.private_key) {
            let key_id = credentials.private_key_id.clone();
            let (email, key, token_uri) = (email.clone(), key.clone(), token_uri.clone());
            // Found out before anything is sent.
            signed("", key.expose())?;
            return Ok(Self::ServiceAccount { email, key, key_id, token_uri });
        }
        if let (Some(client_id), Some(client_secret), Some(refresh_token)) =
            (&credentials.client_id, &credentials.client_secret, &credentials.refresh_token)
        {
            return Ok(Self::User {
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                refresh_token: refresh_token.clone(),
                token_uri: token_uri.clone(),
            });
        }
        Ok(match settings.is_google() {
            true => Self::Machine,
            false => Self::Nobody,
        })
    }
}

/// A token, and when it has to be renewed.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: Secret,
    until: Instant,
}

impl Token {
    /// A token from an answer of OAuth.
    pub(crate) fn read(answer: &Value, text: &str, asked: Instant) -> Result<Self> {
        let text = answer[text]
            .as_str()
            .ok_or_else(|| Error::new(ErrorKind::Terminal, "Google answered without a token"))?;
        let seconds = answer["expires_in"].as_u64().unwrap_or(LIFETIME);
        let lasts = Duration::from_secs(seconds).saturating_sub(MARGIN);
        Ok(Self { text: text.into(), until: asked + lasts })
    }
}

/// The tokens of an identity.
#[derive(Debug)]
pub(crate) struct Tokens {
    identity: Identity,
    kept: Mutex<Option<Token>>,
}

impl Tokens {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity, kept: Mutex::default() }
    }

    /// A token that holds; `None` where there is nobody to have one.
    pub(crate) async fn token(&self, http: &Client) -> Result<Option<Secret>> {
        if matches!(self.identity, Identity::Nobody) {
            return Ok(None);
        }
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(Some(token.text.clone()));
        }
        let token = self.fetch(http).await?;
        let text = token.text.clone();
        *kept = Some(token);
        Ok(Some(text))
    }

    /// Gives up this token: the service has refused it.
    pub(crate) async fn forget(&self, refused: &Secret) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|token| token.text.expose() == refused.expose()) {
            *kept = None;
        }
    }

    async fn fetch(&self, http: &Client) -> Result<Token> {
        let asked = Instant::now();
        match &self.identity {
            Identity::Nobody => Err(Error::new(ErrorKind::Bug, "nobody has no token")),
            Identity::ServiceAccount { email, key, key_id, token_uri } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let text = assertion(email, key, key_id.as_deref(), token_uri, now.as_secs())?;
                let form = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", text.expose()),
                ];
                let request = post_form(http, token_uri, &form);
                Token::read(&answer(request, token_uri).await?, "access_token", asked)
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
            Identity::Workload(workload) => workload.token(http, asked).await,
            Identity::Machine => {
                let request =
                    http.request(Method::GET, METADATA).header("Metadata-Flavor", "Google");
                let answer = answer(request, METADATA).await.map_err(|error| {
                    error.with_hint(
                        "no credentials are configured and this is no machine of Google's: set `credentials`, or \
                         `credentials.application_credentials` to the path of a key file",
                    )
                })?;
                Token::read(&answer, "access_token", asked)
            }
        }
    }
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
            .with("url", url)
            .with_source(error.without_url())
    };
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    let body = response.bytes().await.map_err(lost)?;
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(value);
    }
    let busy = status.is_server_error() || status.as_u16() == 429;
    let kind = if busy { ErrorKind::Transient } else { ErrorKind::Configuration };
    let mut error = Error::new(kind, "Google gives no token for these credentials")
        .with("url", url)
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

/// What a service account shows of itself for a token. Google Identity, "Using OAuth 2.0 for server to server
/// applications"; RFC 7523.
fn assertion(
    email: &str,
    key: &Secret,
    key_id: Option<&str>,
    token_uri: &str,
    now: u64,
) -> Result<Secret> {
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(key_id) = key_id {
        header["kid"] = key_id.into();
    }
    let claims = json!({
        "iss": email,
        "scope": SCOPE,
        "aud": token_uri,
        "iat": now,
        "exp": now + LIFETIME,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(signed(&message, key.expose())?);
    Ok(format!("{message}.{signature}").into())
}

/// The signature of a text under an RSA key: RS256 of RFC 7518.
fn signed(message: &str, pem: &str) -> Result<Vec<u8>> {
    // The words of the parsers are not kept: they may quote what they were given.
    let refused = |reason: &str| {
        Error::new(
            ErrorKind::Configuration,
            "the private key of the service account cannot be used",
        )
        .with("reason", reason)
        .with_hint("take `private_key` from the JSON key file whole, with its line ends")
    };
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| refused("it is no PEM"))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|_| refused("it is no private key"))?;
    let signer = key
        .choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
        .ok_or_else(|| refused("it is no RSA key"))?;
    signer.sign(message.as_bytes()).map_err(|_| refused("it cannot sign"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test; nobody's.
    const KEY: &str = include_str!("../tests/data/key-of-nobody.pem");

    #[test]
    fn what_a_service_account_shows_is_signed_as_google_asks() {
        let shown = assertion(
            "loader@p.iam.gserviceaccount.com",
            &KEY.into(),
            Some("0451c0ffee"),
            "https://oauth2.googleapis.com/token",
            1_700_000_000,
        )
        .unwrap();
        let parts: Vec<&str> = shown.expose().split('.').collect();
        let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        insta::assert_snapshot!(format!("{}\n{}\n{}", text(parts[0]), text(parts[1]), parts[2]));
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_shown() {
        for pem in [
            "canary",
            "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
        ] {
            let error = signed("", pem).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let now = Instant::now();
        let of = |seconds: u64| {
            let answer = json!({"access_token": "t", "expires_in": seconds});
            Token::read(&answer, "access_token", now).unwrap().until
        };
        assert_eq!(of(3600), now + Duration::from_secs(3540));
        assert_eq!(of(30), now);
        assert!(Token::read(&json!({}), "access_token", now).is_err());
    }
}
