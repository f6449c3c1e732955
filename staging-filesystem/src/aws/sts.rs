//! Taking on a role, and keeping its keys until they are about to end.
//!
//! `object_store` takes on roles for a web identity alone, and asks nobody but Amazon. `aws-config` would do all of it, with
//! an HTTP client, a runtime of its own making and some sixty crates; here it is one request.
//!
//! Source: AWS Security Token Service, "AssumeRole" and "AssumeRoleWithWebIdentity".

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, ReqwestConnector};
use object_store::{ClientOptions, CredentialProvider, Error, Result};
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

use super::Role;

/// How long the keys of a role hold: the longest for a role that is taken on by another one.
const SESSION: Duration = Duration::from_secs(3600);
/// How long before their end they are not used any more: longer than a request may take.
const MARGIN: Duration = Duration::from_secs(360);
/// The name in every error of taking on a role, by which it is known.
const STORE: &str = "STS";

/// What shows that the role may be taken on.
#[derive(Debug)]
pub(super) enum Trust {
    /// Keys of someone whom it trusts.
    Keys(AwsCredentialProvider),
    /// The file with a token.
    Token(PathBuf),
}

/// Gives out the keys of a role.
#[derive(Debug)]
pub(crate) struct Sts {
    role: Role,
    trust: Trust,
    endpoint: String,
    region: String,
    client: HttpClient,
    kept: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

impl Sts {
    pub(super) fn new(
        role: Role,
        trust: Trust,
        endpoint: &str,
        region: &str,
        options: &ClientOptions,
    ) -> Result<Self> {
        let client = ReqwestConnector::default().connect(options)?;
        let (endpoint, region) = (endpoint.to_owned(), region.to_owned());
        Ok(Self { role, trust, endpoint, region, client, kept: Mutex::default() })
    }

    async fn request(&self) -> Result<HttpRequest> {
        let mut form = vec![
            ("Version", "2011-06-15".to_owned()),
            ("RoleArn", self.role.arn.clone()),
            ("RoleSessionName", self.role.session.clone()),
            ("DurationSeconds", SESSION.as_secs().to_string()),
        ];
        let base = match &self.trust {
            Trust::Keys(keys) => {
                form.push(("Action", "AssumeRole".to_owned()));
                form.extend(self.role.external_id.clone().map(|id| ("ExternalId", id)));
                Some(keys.get_credential().await?)
            }
            Trust::Token(file) => {
                let token = tokio::fs::read_to_string(file)
                    .await
                    .map_err(|error| failed(&format!("<Code>TokenFile</Code> {}", error.kind())))?;
                form.push(("Action", "AssumeRoleWithWebIdentity".to_owned()));
                form.push(("WebIdentityToken", token.trim().to_owned()));
                None
            }
        };
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = "POST".parse().map_err(|_| failed("no method"))?;
        *request.uri_mut() =
            format!("{}/", self.endpoint).parse().map_err(|_| failed("no address"))?;
        let kind = "application/x-www-form-urlencoded".parse().map_err(|_| failed("no header"))?;
        request.headers_mut().insert("content-type", kind);
        if let Some(keys) = base {
            AwsAuthorizer::new(&keys, "sts", &self.region).try_authorize(&mut request, None)?;
        }
        Ok(request)
    }

    async fn take_on(&self) -> Result<AwsCredential> {
        let unreachable = |error| Error::Generic { store: STORE, source: Box::new(error) };
        let answer = self.client.execute(self.request().await?).await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(unreachable)?;
        let body = String::from_utf8_lossy(&body);
        if !status.is_success() {
            let said = |name: &str| element(&body, name).unwrap_or_default();
            // Not the whole of it: nobody knows what else is in there.
            return Err(failed(&format!(
                "status code: {} : <Code>{}</Code><Message>{}</Message>",
                status.as_u16(),
                said("Code"),
                said("Message")
            )));
        }
        let keys = (element(&body, "AccessKeyId"), element(&body, "SecretAccessKey"));
        match (keys, element(&body, "SessionToken")) {
            ((Some(key_id), Some(secret_key)), token @ Some(_)) => {
                Ok(AwsCredential { key_id, secret_key, token })
            }
            _ => Err(failed("there are no keys in the answer")),
        }
    }
}

#[async_trait]
impl CredentialProvider for Sts {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some((until, keys)) if Instant::now() < *until => Ok(Arc::clone(keys)),
            _ => {
                let asked = Instant::now();
                let keys = Arc::new(self.take_on().await?);
                *kept = Some((asked + SESSION - MARGIN, Arc::clone(&keys)));
                Ok(keys)
            }
        }
    }
}

fn failed(what: &str) -> Error {
    Error::Generic { store: STORE, source: what.into() }
}

/// The text of an element. Keys and messages hold no markup but what stands for single signs.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    let signs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#43;", "+"),
        ("&amp;", "&"),
    ];
    Some(signs.iter().fold(text.trim().to_owned(), |text, (from, to)| text.replace(from, to)))
}
