//! The client of an S3 store, as the settings want it, and what the clients of all stores share.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, RetryConfig};
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, check_encrypted};

use crate::config::StoreCredentials;

/// Makes the client. Opens no connection, and reads nothing from the environment.
pub(crate) fn amazon_s3(
    settings: &Settings,
    credentials: &StoreCredentials,
    bucket: &str,
) -> Result<AmazonS3> {
    let mut options = options();
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retries());
    let virtual_hosted = match credentials.s3_url_style.as_deref() {
        None | Some("path") => false,
        Some("virtual") => true,
        Some(_) => {
            return Err(
                settings.wrong("credentials.s3_url_style", "it is neither `path` nor `virtual`")
            );
        }
    };
    builder = builder.with_virtual_hosted_style_request(virtual_hosted);
    if let Some(mut url) = endpoint(settings, credentials)? {
        if virtual_hosted {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|_| {
                settings.wrong(ENDPOINT, "with `s3_url_style = \"virtual\"` it must be a host name")
            })?;
        }
        options = options.with_allow_http(url.scheme() == "http");
        builder = builder.with_endpoint(url.as_str().trim_end_matches('/'));
    }
    if let Some(region) = &credentials.region_name {
        builder = builder.with_region(region);
    }
    let wanted = |key| settings.missing(key);
    match (&credentials.aws_access_key_id, &credentials.aws_secret_access_key) {
        (Some(id), Some(secret)) => {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
        }
        (Some(_), None) => return Err(wanted("credentials.aws_secret_access_key")),
        (None, Some(_)) => return Err(wanted("credentials.aws_access_key_id")),
        (None, None) => {}
    }
    if let Some(token) = &credentials.aws_session_token {
        builder = builder.with_token(token.expose());
    }
    builder.with_client_options(options).build().map_err(|error| {
        // The words of the builder are not kept: they may quote what it was given.
        let _ = error;
        Error::new(ErrorKind::Configuration, "the settings of the bucket do not fit together")
            .with("bucket", bucket)
    })
}

const ENDPOINT: &str = "credentials.endpoint_url";

/// The address that is configured, if one is.
pub(crate) fn endpoint(
    settings: &Settings,
    credentials: &StoreCredentials,
) -> Result<Option<url::Url>> {
    let Some(endpoint) = &credentials.endpoint_url else { return Ok(None) };
    let url = url::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url
        .filter(|url| {
            url.username().is_empty() && url.password().is_none() && url.query().is_none()
        })
        .ok_or_else(|| {
            settings.wrong(ENDPOINT, "it is no address").with_hint("write `https://host:port`")
        })?;
    check_encrypted(
        url.scheme() == "https",
        url.host_str().unwrap_or_default(),
        credentials.allow_insecure,
        &settings.full_key("credentials.allow_insecure"),
    )?;
    Ok(Some(url))
}

/// What holds for the connections to every store.
pub(crate) fn options() -> ClientOptions {
    // reqwest panics where no provider is installed; one that is installed already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_read_timeout(Duration::from_secs(30))
        .with_timeout(Duration::from_secs(300))
}

pub(crate) fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}

/// An endpoint as it may be shown.
pub(crate) fn without_userinfo(endpoint: &str) -> String {
    let Ok(mut url) = url::Url::parse(endpoint) else { return "?".into() };
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    cleared.map_or_else(|()| "?".into(), |()| url.to_string())
}
