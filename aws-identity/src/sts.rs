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
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, Error, Result};
use tokio::sync::Mutex;

use crate::Role;
use crate::service::{self, Roles, Service, element};

/// How long the keys of a role hold: the longest for a role that is taken on by another one.
const SESSION: Duration = Duration::from_secs(3600);
/// How long before their end they are not used any more: longer than a request may take.
const MARGIN: Duration = Duration::from_secs(360);
/// The name in every error of taking on a role, by which it is known.
const STORE: &str = "STS";

/// What shows that the role may be taken on.
#[derive(Debug)]
pub enum Trust {
    /// Keys of someone whom it trusts.
    Keys(AwsCredentialProvider),
    /// The file with a token.
    Token(PathBuf),
}

/// Gives out the keys of a role.
#[derive(Debug)]
pub struct Sts {
    role: Role,
    trust: Trust,
    service: Service,
    kept: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
    /// What the keys may do at most, whatever the role may.
    policy: Option<String>,
}

impl Sts {
    /// What takes on this role. Opens no connection.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn new(role: Role, trust: Trust, roles: &Roles) -> Result<Self> {
        let service = Service::new(STORE, "sts", &roles.endpoint, &roles.region)?;
        Ok(Self { role, trust, service, kept: Mutex::default(), policy: None })
    }

    /// The same with a session policy.
    #[must_use]
    pub fn narrowed_to(self, policy: String) -> Self {
        Self { policy: Some(policy), ..self }
    }

    fn failed(&self, what: &str) -> Error {
        self.service.failed(what)
    }

    /// New keys of the role.
    ///
    /// # Errors
    /// What the service for roles said, or that it said nothing.
    pub async fn take_on(&self) -> Result<AwsCredential> {
        let mut form = vec![
            ("Version", "2011-06-15".to_owned()),
            ("RoleArn", self.role.arn.clone()),
            ("RoleSessionName", self.role.session.clone()),
            ("DurationSeconds", SESSION.as_secs().to_string()),
        ];
        form.extend(self.policy.clone().map(|policy| ("Policy", policy)));
        let base = match &self.trust {
            Trust::Keys(keys) => {
                form.push(("Action", "AssumeRole".to_owned()));
                form.extend(self.role.external_id.clone().map(|id| ("ExternalId", id)));
                Some(keys.get_credential().await?)
            }
            Trust::Token(file) => {
                let token = tokio::fs::read_to_string(file).await.map_err(|error| {
                    self.failed(&format!("<Code>TokenFile</Code> {}", error.kind()))
                })?;
                form.push(("Action", "AssumeRoleWithWebIdentity".to_owned()));
                form.push(("WebIdentityToken", token.trim().to_owned()));
                None
            }
        };
        let body = service::form(form.iter().map(|(name, value)| (*name, value.as_str())));
        let answer = self.service.ask(&service::FORM, body, base.as_deref()).await?;
        let said = |name: &str| element(&answer.body, name);
        if !(200..300).contains(&answer.status) {
            // Not the whole of it: nobody knows what else is in there.
            return Err(self.failed(&format!(
                "status code: {} : <Code>{}</Code><Message>{}</Message>",
                answer.status,
                said("Code").unwrap_or_default(),
                said("Message").unwrap_or_default()
            )));
        }
        match (said("AccessKeyId"), said("SecretAccessKey"), said("SessionToken")) {
            (Some(key_id), Some(secret_key), token @ Some(_)) => {
                Ok(AwsCredential { key_id, secret_key, token })
            }
            _ => Err(self.failed("there are no keys in the answer")),
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
