//! The clients of S3 and Google, and what staging wants of them beside the bucket.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::gcp::GoogleCloudStorage;
use transload_aws_identity::role;
use transload_core::settings::Settings;
use transload_core::{Result, Secret};
use transload_object_stores::Clients;

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
    let amazon =
        clients(settings, credentials).amazon(bucket, |builder| encrypted(builder, configured))?;
    let access_role = credentials.access_role_arn.as_deref();
    let access_role = access_role
        .map(|arn| role(settings, &credentials.identity(), "access_role_arn", arn))
        .transpose()?;
    let (by, roles) = (amazon.keys, amazon.roles);
    let lender = access_role.map(|role| Lender { role, by, roles });
    let (client, region, secrets) = (amazon.client, amazon.region, amazon.secrets);
    Ok(Amazon { client, region, lender, secrets })
}

/// Makes the client of a bucket of Google's. Opens no connection.
pub(crate) fn google(
    settings: &Settings,
    credentials: &StoreCredentials,
    bucket: &str,
) -> Result<GoogleCloudStorage> {
    clients(settings, credentials).google(bucket)
}

/// What is asked here is done in parts, none of which takes minutes.
pub(crate) fn clients<'a>(
    settings: &'a Settings,
    credentials: &'a StoreCredentials,
) -> Clients<'a> {
    Clients { settings, credentials, whole_answer: Some(Duration::from_secs(300)) }
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
