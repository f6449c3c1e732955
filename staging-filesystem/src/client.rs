//! The client of an S3 store, as the settings want it.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, RetryConfig};
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, check_encrypted};

use crate::config::S3Credentials;

/// Makes the client. Opens no connection, and reads nothing from the environment.
pub(crate) fn amazon_s3(
    settings: &Settings,
    credentials: &S3Credentials,
    bucket: &str,
) -> Result<AmazonS3> {
    // reqwest panics where no provider is installed; one that is installed already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_read_timeout(Duration::from_secs(30))
        .with_timeout(Duration::from_secs(300));
    let retries = RetryConfig {
        max_retries: 5,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retries);
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
    if let Some(endpoint) = &credentials.endpoint_url {
        let key = "credentials.endpoint_url";
        let url =
            url::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut url = url
            .filter(|url| {
                url.username().is_empty() && url.password().is_none() && url.query().is_none()
            })
            .ok_or_else(|| {
                settings.wrong(key, "it is no address").with_hint("write `https://host:port`")
            })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        check_encrypted(
            url.scheme() == "https",
            &host,
            credentials.allow_insecure,
            &settings.full_key("credentials.allow_insecure"),
        )?;
        if virtual_hosted {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|_| {
                settings.wrong(key, "with `s3_url_style = \"virtual\"` it must be a host name")
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

/// An endpoint as it may be shown.
pub(crate) fn without_userinfo(endpoint: &str) -> String {
    let Ok(mut url) = url::Url::parse(endpoint) else { return "?".into() };
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    cleared.map_or_else(|()| "?".into(), |()| url.to_string())
}
