//! The bucket, read with the keys or the role of a statement and with nothing else.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::{HttpConnector as _, HttpRequest, ReqwestConnector};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore as _, ObjectStoreExt as _, RetryConfig};

use crate::copy::{Access, Failure};

/// The S3 server, and what Redshift itself is there.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    /// Its address.
    pub(crate) endpoint: String,
    /// The keys with which roles are assumed.
    pub(crate) key: String,
    /// See `key`.
    pub(crate) secret: String,
    /// The role of `IAM_ROLE default`.
    pub(crate) default_role: String,
}

/// Keys that open a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// The id.
    pub(crate) id: String,
    /// The secret.
    pub(crate) secret: String,
    /// The token of temporary ones.
    pub(crate) token: Option<String>,
}

impl Storage {
    /// The keys behind what a statement says.
    ///
    /// # Errors
    /// Redshift's words where the role cannot be assumed.
    pub(crate) async fn keys(&self, access: &Access) -> Result<Keys, Failure> {
        match access {
            Access::Keys { id, secret, token } => {
                Ok(Keys { id: id.clone(), secret: secret.clone(), token: token.clone() })
            }
            Access::Role(role) => {
                let role = if role == "default" { &self.default_role } else { role };
                // Of chained roles the last one opens the bucket.
                let last = role.rsplit(',').next().unwrap_or(role);
                self.assume(last).await.map_err(|reason| {
                    Failure::said(
                        format!("Not authorized to get credentials of role {last}"),
                        format!("error:  Not authorized to get credentials of role {last}\ncode:      30000\ncontext:   {reason}"),
                    )
                })
            }
        }
    }

    /// Takes on a role.
    ///
    /// # Errors
    /// What the server answers.
    pub(crate) async fn assume(&self, role: &str) -> Result<Keys, String> {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let body = format!(
            "Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600&RoleSessionName=redshift&RoleArn={}",
            encode(role)
        );
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = "POST".parse().map_err(|_| "no method".to_owned())?;
        *request.uri_mut() =
            format!("{}/", self.endpoint).parse().map_err(|_| "no address".to_owned())?;
        request.headers_mut().insert(
            "content-type",
            "application/x-www-form-urlencoded".parse().map_err(|_| "no header".to_owned())?,
        );
        let credential = AwsCredential {
            key_id: self.key.clone(),
            secret_key: self.secret.clone(),
            token: None,
        };
        AwsAuthorizer::new(&credential, "sts", "us-east-1")
            .try_authorize(&mut request, None)
            .map_err(|error| said(&error))?;
        let options = ClientOptions::new().with_allow_http(true);
        let client = ReqwestConnector::default().connect(&options).map_err(|error| said(&error))?;
        let answer = client.execute(request).await.map_err(|error| said(&error))?;
        let status = answer.status();
        let text = answer.into_body().bytes().await.map_err(|error| said(&error))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let element = |name: &str| {
            let (_, after) = text.split_once(&format!("<{name}>"))?;
            Some(after.split_once("</")?.0.to_owned())
        };
        match (element("AccessKeyId"), element("SecretAccessKey"), element("SessionToken")) {
            (Some(id), Some(secret), token) if status.is_success() => {
                Ok(Keys { id, secret, token })
            }
            _ => Err(format!("{status} {}", element("Code").unwrap_or_default())),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// Redshift's words for what S3 answers; `None` where there is no such object.
    pub(crate) async fn read(&self, keys: &Keys, url: &str) -> Result<Option<Bytes>, Failure> {
        let (bucket, key) = parts(url)?;
        let store = self.store(keys, bucket)?;
        let found = async { store.get(&key).await?.bytes().await }.await;
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&error, bucket, key.as_ref())),
        }
    }

    /// The objects below a prefix.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn list(&self, keys: &Keys, url: &str) -> Result<Vec<String>, Failure> {
        let (bucket, _) = parts(url)?;
        let prefix = url.trim_start_matches("s3://").split_once('/').map_or("", |(_, key)| key);
        let store = self.store(keys, bucket)?;
        let found: Result<Vec<_>, _> = store.list(None).try_collect().await;
        let found = found.map_err(|error| refused(&error, bucket, prefix))?;
        let mut urls: Vec<String> = found
            .into_iter()
            .filter(|object| object.location.as_ref().starts_with(prefix))
            .map(|object| format!("s3://{bucket}/{}", object.location))
            .collect();
        urls.sort_unstable();
        Ok(urls)
    }

    fn store(&self, keys: &Keys, bucket: &str) -> Result<Arc<AmazonS3>, Failure> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_access_key_id(&keys.id)
            .with_secret_access_key(&keys.secret);
        if let Some(token) = &keys.token {
            builder = builder.with_token(token);
        }
        let store = builder.build();
        store.map(Arc::new).map_err(|error| Failure::said(format!("S3 client: {error}"), ""))
    }
}

fn parts(url: &str) -> Result<(&str, Path), Failure> {
    let rest = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let parts = rest.and_then(|(bucket, key)| Some((bucket, Path::parse(key).ok()?)));
    parts.ok_or_else(|| Failure::said(format!("'{url}' is no URL of S3"), ""))
}

fn refused(error: &object_store::Error, bucket: &str, key: &str) -> Failure {
    let text = error.to_string();
    let codes = [
        "AccessDenied",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "ExpiredToken",
        "InvalidToken",
    ];
    let code = codes.into_iter().find(|code| text.contains(code));
    let (message, status, code) = match (error, code) {
        (_, Some("AccessDenied")) => ("Access Denied", 403, "AccessDenied"),
        (_, Some(code)) => ("The request was refused", 403, code),
        (
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. },
            None,
        ) => ("Access Denied", 403, "AccessDenied"),
        (object_store::Error::NotFound { .. }, None) => {
            ("The specified bucket does not exist", 404, "NoSuchBucket")
        }
        _ => ("We encountered an internal error. Please try again.", 500, "InternalError"),
    };
    Failure::s3(message, status, code, &format!("Reading bucket={bucket} key={key}"))
}
