//! A workload identity: a token of another provider, exchanged for one of Google's.
//!
//! Source: Google Cloud, "Workload Identity Federation", credential configuration files; RFC 8693.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use reqwest::Client;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use transload_core::{Error, ErrorKind, Result, Secret, check_encrypted, without_secrets};
use url::{Host, Url};

use crate::clocks::Clocks;
use crate::tokens::{Token, answer, post_form, refused};

/// What the file of a workload identity says, as far as it is needed.
#[derive(Debug, Deserialize)]
pub struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: CredentialSource,
    #[serde(skip)]
    folder: PathBuf,
}

/// Where the provider's token is.
#[derive(Debug, Deserialize)]
struct CredentialSource {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, Secret>,
    #[serde(default)]
    format: Format,
    /// Of AWS, whose `url` gives the name of a role and no token.
    environment_id: Option<IgnoredAny>,
    /// A program that prints the token.
    executable: Option<IgnoredAny>,
    /// A certificate that is shown in place of a token.
    certificate: Option<IgnoredAny>,
}

impl CredentialSource {
    /// Whether the token is in a file or at a URL, as it is.
    fn is_taken(&self) -> bool {
        let is_other = self.environment_id.is_some()
            || self.executable.is_some()
            || self.certificate.is_some();
        !is_other && (self.file.is_some() || self.url.is_some())
    }
}

/// How the token is written down there.
#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(default)]
    r#type: String,
    subject_token_field_name: Option<String>,
}

impl ExternalAccount {
    /// Reads the JSON; relative paths begin in this folder.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for what cannot be read, [`ErrorKind::Unsupported`] for a source that is not taken.
    pub(crate) fn read(text: &Secret, folder: PathBuf, allow_insecure: bool) -> Result<Self> {
        let mut read: Self = serde_json::from_str(text.expose()).map_err(|error| {
            // Not its words: they may quote what the file holds.
            Error::new(ErrorKind::Configuration, "the workload identity cannot be read")
                .with("line", error.line())
                .with("column", error.column())
                .with_hint("take the file whole that `gcloud iam workload-identity-pools create-cred-config` wrote")
        })?;
        if !read.credential_source.is_taken() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the workload identity takes its token from a place that is not known here",
            )
            .with("known", "file, url")
            .with_hint(
                "make its configuration with --credential-source-file or --credential-source-url",
            ));
        }
        let source = read.credential_source.url.as_ref();
        let of_google = [Some(&read.token_url), read.service_account_impersonation_url.as_ref()];
        for (url, may_be_near) in
            of_google.map(|url| (url, false)).into_iter().chain([(source, true)])
        {
            let Some(url) = url else { continue };
            let parsed = Url::parse(url).map_err(|_| {
                Error::new(
                    ErrorKind::Configuration,
                    "the workload identity names no URL for tokens",
                )
            })?;
            let is_near = may_be_near && parsed.host().is_some_and(|host| is_link_local(&host));
            let host = parsed.host_str().unwrap_or_default();
            let is_encrypted = parsed.scheme() == "https" || is_near;
            check_encrypted(is_encrypted, host, allow_insecure, "allow_insecure")?;
        }
        read.folder = folder;
        Ok(read)
    }

    /// A token of Google's that allows what the scope says.
    pub(crate) async fn token(&self, http: &Client, scope: &str, asked: Clocks) -> Result<Token> {
        let subject = self.subject_token(http).await?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", self.audience.as_str()),
            // To take on a service account needs more than what that account is asked to do.
            (
                "scope",
                match self.service_account_impersonation_url {
                    Some(_) => "https://www.googleapis.com/auth/cloud-platform",
                    None => scope,
                },
            ),
            ("subject_token_type", self.subject_token_type.as_str()),
            ("subject_token", subject.expose()),
        ];
        let exchanged = answer(post_form(http, &self.token_url, &form), &self.token_url).await?;
        let exchanged = Token::read(&exchanged, "access_token", asked)?;
        let Some(url) = &self.service_account_impersonation_url else { return Ok(exchanged) };
        let scopes: Vec<&str> = scope.split(' ').collect();
        let request = http
            .post(url)
            .bearer_auth(exchanged.text.expose())
            .header("content-type", "application/json")
            .body(json!({ "scope": scopes, "lifetime": "3600s" }).to_string());
        Token::read(&answer(request, url).await?, "accessToken", asked)
    }

    async fn subject_token(&self, http: &Client) -> Result<Secret> {
        let source = &self.credential_source;
        let text = match (&source.file, &source.url) {
            (Some(file), _) => {
                let path = self.folder.join(file);
                tokio::fs::read_to_string(&path).await.map_err(|error| {
                    Error::new(ErrorKind::Configuration, "the token of the workload cannot be read")
                        .with("file", path.display())
                        .with_source(error)
                })?
            }
            (None, Some(url)) => {
                let mut request = http.get(url);
                for (name, value) in &source.headers {
                    request = request.header(name, value.expose());
                }
                let lost = |error: reqwest::Error| {
                    Error::new(
                        ErrorKind::Transient,
                        "the provider of the workload's token did not answer",
                    )
                    .with("url", without_secrets(url))
                    .with_source(error.without_url())
                };
                let response = request.send().await.map_err(lost)?;
                let status = response.status();
                // Somewhere else is no token either.
                if !status.is_success() {
                    return Err(Error::new(
                        refused(status),
                        "the provider of the workload's token gives none",
                    )
                    .with("url", without_secrets(url))
                    .with("status", status.as_u16())
                    .with_hint("check `credential_source` in the configuration of the workload"));
                }
                response.text().await.map_err(lost)?
            }
            (None, None) => String::new(),
        };
        self.subject(&text)
    }

    /// The token in a text.
    fn subject(&self, text: &str) -> Result<Secret> {
        let format = &self.credential_source.format;
        if format.r#type != "json" {
            return Ok(text.trim().into());
        }
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let field = format.subject_token_field_name.as_deref().unwrap_or("access_token");
        value[field].as_str().map(Secret::from).ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                "the token of the workload is not where its configuration says",
            )
            .with("field", field)
        })
    }
}

/// Whether a host is a service that a cloud has for its machines, which is on no network between machines and takes no TLS.
/// Source: RFC 3927; Amazon EC2, "Use the Instance Metadata Service".
fn is_link_local(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_link_local(),
        Host::Ipv6(address) => *address == OF_AMAZON,
        Host::Domain(_) => false,
    }
}

/// Where machines of Amazon's ask by IPv6.
const OF_AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests {
    use super::*;

    fn account(source: &str) -> Result<ExternalAccount> {
        let text = format!(
            r#"{{"type": "external_account", "audience": "//iam.googleapis.com/x",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {source}}}"#
        );
        ExternalAccount::read(&text.into(), PathBuf::new(), false)
    }

    #[test]
    fn tokens_are_taken_from_texts_and_fields() {
        let plain = account(r#"{"file": "token"}"#).unwrap();
        assert_eq!(plain.subject(" abc\n").unwrap().expose(), "abc");
        let field = r#"{"url": "http://169.254.169.254/x", "headers": {"Metadata": "True"},
            "format": {"type": "json", "subject_token_field_name": "value"}}"#;
        let field = account(field).unwrap();
        assert_eq!(field.subject(r#"{"value": "abc"}"#).unwrap().expose(), "abc");
        let error = field.subject(r#"{"other": "canary"}"#).unwrap_err();
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }

    #[test]
    fn what_is_not_taken_is_refused_before_anything_is_sent() {
        // As `gcloud` writes it for AWS.
        let aws = r#"{"environment_id": "aws1",
            "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
            "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            "imdsv2_session_token_url": "http://169.254.169.254/latest/api/token"}"#;
        for source in [
            aws,
            r#"{"executable": {"command": "/bin/token", "output_file": "/tmp/token"}}"#,
            r#"{"certificate": {"use_default_certificate_config": true}}"#,
            r#"{"file": "token", "certificate": {}}"#,
            "{}",
        ] {
            assert_eq!(account(source).unwrap_err().kind(), ErrorKind::Unsupported, "{source}");
        }
        let text = r#"{"audience": "canary", "token_url": 7}"#;
        let error = ExternalAccount::read(&text.into(), PathBuf::new(), false).unwrap_err();
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        for (source, is_taken) in [
            ("https://tokens.example/t", true),
            ("http://127.0.0.1:50342/t", true),
            ("http://169.254.169.254/metadata/identity/oauth2/token?resource=x", true),
            ("http://[fd00:ec2::254]/t", true),
            ("http://tokens.example/t", false),
            ("http://10.0.0.1/t", false),
            ("http://[fd00:ec2::255]/t", false),
        ] {
            let read = account(&json!({ "url": source }).to_string());
            let code = read.err().and_then(|error| error.context("code").map(str::to_owned));
            assert_eq!(code.as_deref(), (!is_taken).then_some("E_TLS_REQUIRED"), "{source}");
        }
        let clear = r#"{"audience": "a", "subject_token_type": "t", "token_url": "http://sts.example",
            "credential_source": {"file": "f"}}"#;
        let error = ExternalAccount::read(&clear.into(), PathBuf::new(), false).unwrap_err();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
    }
}
