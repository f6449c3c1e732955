//! The service: requests that are sent again while that may help, and what they answer.

use std::fmt;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method};
use serde_json::Value;
use transload_core::{Error, ErrorKind, Redactor, Result, Secret};
use transload_google_identity::{Identity, Tokens};

use crate::classify::classify_answer;
use crate::config::BigQuerySettings;

/// What loading needs. BigQuery documentation, "OAuth 2.0 scopes"; objects of Cloud Storage are read in the name of who
/// starts the job.
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery \
     https://www.googleapis.com/auth/devstorage.read_only";

/// The wait before a request is sent again the first time; it doubles each time. BigQuery documentation, "BigQuery Service
/// Level Agreement": back-off from one second on is owed where errors last.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest such wait, by the same page.
const LONGEST_WAIT: Duration = Duration::from_secs(32);

/// What needs no escaping in a part of a path. RFC 3986, section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path.
pub(crate) fn part(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// The service with the identity that asks it.
pub(crate) struct Api {
    http: Client,
    root: String,
    tokens: Tokens,
    timeout: Duration,
    retry: Duration,
    redactor: Redactor,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A request. It may be sent more than once: what must happen once has an id of its own.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path with its query, from the root on; or a whole URL that the service gave.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: bytes::Bytes,
    pub(crate) timeout: Option<Duration>,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self { body: body.to_string().into(), ..Self::new(Method::POST, path) }
    }

    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let (headers, body) = (Vec::new(), bytes::Bytes::new());
        Self { method, path: path.into(), headers, body, timeout: None }
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) fn new(settings: &BigQuerySettings, identity: Identity) -> Result<Self> {
        // Whoever was first has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(settings.http_timeout)
            // What is asked for is answered where it is asked: tokens go nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("transload/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Configuration, "no client for HTTP can be made")
                    .with_source(error)
            })?;
        let credentials = settings.credentials.as_ref();
        let secrets: Vec<Secret> = credentials
            .into_iter()
            .flat_map(|it| {
                [&it.private_key, &it.client_secret, &it.refresh_token, &it.external_account]
            })
            .flatten()
            .cloned()
            .collect();
        Ok(Self {
            http,
            root: settings.api_endpoint.trim_end_matches('/').to_owned(),
            tokens: Tokens::new(identity, SCOPE),
            timeout: settings.http_timeout,
            retry: settings.retry_deadline,
            redactor: Redactor::new(&secrets),
        })
    }

    /// How long an answer is waited for.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a request until it is answered: what fails for now is sent again, for the configured time.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] where an answer was lost to the end: the request may have been heard.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer> {
        let began = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut lost = false;
        loop {
            let error = match self.send_once(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            lost |= error.kind() == ErrorKind::OutcomeUnknown;
            let passes = matches!(error.kind(), ErrorKind::Transient | ErrorKind::OutcomeUnknown);
            if !passes || began.elapsed() + wait > self.retry {
                let error = error.redacted(&self.redactor);
                return Err(match lost && passes {
                    true => error.with_kind(ErrorKind::OutcomeUnknown),
                    false => error,
                });
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// As [`send`](Self::send), for what may be asked again by whoever asked: a question, a job with an id.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Value> {
        self.send(request).await.map(|answer| answer.body).map_err(may_be_repeated)
    }

    /// As [`ask`](Self::ask); `None` where what is asked for is not there.
    pub(crate) async fn find(&self, request: &Request) -> Result<Option<Value>> {
        match self.ask(request).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_reason(&error, "notFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request once, and once more where only the token had ended.
    pub(crate) async fn send_once(&self, request: &Request) -> Result<Answer> {
        let token = self.tokens.token(&self.http).await?;
        let answer = self.send_with(request, token.as_ref()).await;
        match (&answer, token) {
            // It may have been revoked, or have ended by another clock than ours.
            (Err(error), Some(token)) if error.context("status") == Some("401") => {
                self.tokens.forget(&token).await;
                let token = self.tokens.token(&self.http).await?;
                self.send_with(request, token.as_ref()).await
            }
            _ => answer,
        }
    }

    async fn send_with(&self, request: &Request, token: Option<&Secret>) -> Result<Answer> {
        let url = match request.path.starts_with('/') {
            true => format!("{}{}", self.root, request.path),
            false => request.path.clone(),
        };
        let mut builder = self
            .http
            .request(request.method.clone(), url)
            .timeout(request.timeout.unwrap_or(self.timeout))
            .body(request.body.clone());
        if !request.body.is_empty() && request.headers.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(token) = token {
            builder = builder.bearer_auth(token.expose());
        }
        let response = builder.send().await.map_err(|error| self.not_answered(error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.bytes().await.map_err(|error| self.not_answered(error))?;
        // An answer of something in between is no JSON.
        let body = serde_json::from_slice(&text).unwrap_or(Value::Null);
        // 308 asks for the rest of an upload.
        match status {
            200..300 | 308 => Ok(Answer { status, headers, body }),
            _ => Err(classify_answer(status, &body)),
        }
    }

    fn not_answered(&self, error: reqwest::Error) -> Error {
        // What was never connected was not heard.
        let kind = match error.is_connect() {
            true => ErrorKind::Transient,
            false => ErrorKind::OutcomeUnknown,
        };
        Error::new(kind, "BigQuery did not answer")
            .with("endpoint", &self.root)
            .with_source(error.without_url())
    }
}

/// Whether BigQuery refused for this reason.
pub(crate) fn is_reason(error: &Error, reason: &str) -> bool {
    error.context("reason") == Some(reason)
}

/// The same error, for a request that does no harm when it is made again.
pub(crate) fn may_be_repeated(error: Error) -> Error {
    match error.kind() {
        ErrorKind::OutcomeUnknown => error.with_kind(ErrorKind::Transient),
        _ => error,
    }
}
