//! The client of an S3 store, as the settings want it, and what the clients of all stores share.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ClientOptions, RetryConfig};
use transload_aws_identity::{
    AwsCredentialProvider, Configured, Roles, address, domain, find, provider, role,
};
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret};

use crate::config::{FilesystemSettings, StoreCredentials};
use crate::lend::Lender;

/// The client of a bucket of S3, and what was found on the way to it.
#[derive(Debug)]
pub(crate) struct Amazon {
    pub(crate) client: AmazonS3,
    pub(crate) region: Option<String>,
    /// What lends keys to destinations.
    pub(crate) lender: Option<Lender>,
    /// What must never be shown, beside what is in the settings.
    pub(crate) secrets: Vec<Secret>,
}

/// Makes the client. Opens no connection; reads the files of Amazon's own tools where the environment is handed on.
pub(crate) fn amazon_s3(
    settings: &Settings,
    configured: &FilesystemSettings,
    bucket: &str,
) -> Result<Amazon> {
    let credentials = &configured.credentials;
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
    let identity = identity(credentials);
    let found = find(settings, &identity, &|path| std::fs::read_to_string(path).ok())?;
    if let Some(region) = &found.region {
        builder = builder.with_region(region);
    }
    let region = found.region.as_deref().unwrap_or("us-east-1");
    let endpoint = address_of_roles(settings, credentials, region)?;
    let roles = Roles { endpoint, region: region.to_owned() };
    let misfit = |error: object_store::Error| {
        // The words of the builder are not kept: they may quote what it was given.
        let _ = error;
        Error::new(ErrorKind::Configuration, "the settings of the bucket do not fit together")
            .with("bucket", bucket)
    };
    let keys = provider(&found.identity, &roles).map_err(misfit)?;
    let access_role = credentials.access_role_arn.as_deref();
    let access_role =
        access_role.map(|arn| role(settings, &identity, "access_role_arn", arn)).transpose()?;
    let lender =
        access_role.map(|role| Lender { role, by: AwsCredentialProvider::clone(&keys), roles });
    let builder = encrypted(builder, configured).with_credentials(keys);
    let client = builder.with_client_options(options).build().map_err(misfit)?;
    let secrets = found.identity.secrets();
    Ok(Amazon { client, region: found.region, lender, secrets })
}

/// What the settings say of who asks.
fn identity(credentials: &StoreCredentials) -> Configured {
    Configured {
        table: TABLE,
        access_key_id: credentials.aws_access_key_id.clone(),
        secret_access_key: credentials.aws_secret_access_key.clone(),
        session_token: credentials.aws_session_token.clone(),
        region_name: credentials.region_name.clone(),
        profile_name: credentials.profile_name.clone(),
        role_arn: credentials.role_arn.clone(),
        role_external_id: credentials.role_external_id.clone(),
        role_session_name: credentials.role_session_name.clone(),
        web_identity_token_file: credentials.web_identity_token_file.clone(),
    }
}

fn encrypted(mut builder: AmazonS3Builder, configured: &FilesystemSettings) -> AmazonS3Builder {
    for (key, value) in [
        ("aws_server_side_encryption", &configured.server_side_encryption),
        ("aws_sse_kms_key_id", &configured.kms_key_id),
    ] {
        if let Some(value) = value {
            // The type of these keys has no name outside of `object_store`, but they can be read.
            let key: AmazonS3ConfigKey = key.parse().expect("object_store knows this key");
            builder = builder.with_config(key, value);
        }
    }
    builder
}

/// The table of the settings in which keys and addresses stand.
pub(crate) const TABLE: &str = "credentials";
const ENDPOINT: &str = "credentials.endpoint_url";
const ROLES: &str = "credentials.sts_endpoint_url";

/// Where roles are given out. A store that is not Amazon's does that itself, where it does it at all.
fn address_of_roles(
    settings: &Settings,
    credentials: &StoreCredentials,
    region: &str,
) -> Result<String> {
    if let Some(address) = &credentials.sts_endpoint_url {
        let url = address_in(settings, credentials, ROLES, address)?;
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    let own = endpoint(settings, credentials)?
        .filter(|url| !url.host_str().is_some_and(|host| host.ends_with(domain(region))));
    Ok(own.map_or_else(
        || format!("https://sts.{region}.{}", domain(region)),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    ))
}

/// The address that is configured, if one is.
pub(crate) fn endpoint(
    settings: &Settings,
    credentials: &StoreCredentials,
) -> Result<Option<url::Url>> {
    let endpoint = credentials.endpoint_url.as_ref();
    endpoint.map(|endpoint| address_in(settings, credentials, ENDPOINT, endpoint)).transpose()
}

/// The address in a setting, which is encrypted or on this machine.
pub(crate) fn address_in(
    settings: &Settings,
    credentials: &StoreCredentials,
    key: &str,
    endpoint: &str,
) -> Result<url::Url> {
    let insecure = ("credentials.allow_insecure", credentials.allow_insecure);
    address(settings, key, endpoint, insecure)
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
