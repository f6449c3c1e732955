//! From who asks to what gives out the keys.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::{Result, StaticCredentialProvider};

use crate::service::{Roles, options, retries};
use crate::sts::{Sts, Trust};
use crate::{Identity, Proof};

/// What gives out the keys of whoever asks. Opens no connection.
///
/// # Errors
/// Where the pieces do not fit together.
pub fn provider(identity: &Identity, roles: &Roles) -> Result<AwsCredentialProvider> {
    let of_builder = |settings: &[(AmazonS3ConfigKey, &str)]| {
        let builder = AmazonS3Builder::new().with_bucket_name("none").with_retry(retries());
        let builder = settings
            .iter()
            .fold(builder, |builder, (key, value)| builder.with_config(*key, *value));
        // A store that is asked for nothing but its keys.
        let store = builder.with_client_options(options()).build()?;
        Ok(Arc::clone(store.credentials()))
    };
    match identity {
        Identity::Keys { id, secret, token } => {
            let keys = AwsCredential {
                key_id: id.clone(),
                secret_key: secret.expose().to_owned(),
                token: token.as_ref().map(|token| token.expose().to_owned()),
            };
            Ok(Arc::new(StaticCredentialProvider::new(keys)))
        }
        Identity::Role { role, by } => {
            let trust = match by {
                Proof::Token(file) => Trust::Token(file.clone()),
                Proof::Identity(base) => Trust::Keys(provider(base, roles)?),
            };
            Ok(Arc::new(Sts::new(role.clone(), trust, roles)?))
        }
        Identity::Task { path } => {
            of_builder(&[(AmazonS3ConfigKey::ContainerCredentialsRelativeUri, path)])
        }
        Identity::Container { url, token_file } => of_builder(&[
            (AmazonS3ConfigKey::ContainerCredentialsFullUri, url),
            (AmazonS3ConfigKey::ContainerAuthorizationTokenFile, &token_file.to_string_lossy()),
        ]),
        Identity::Instance { endpoint: None } => of_builder(&[]),
        Identity::Instance { endpoint: Some(endpoint) } => {
            of_builder(&[(AmazonS3ConfigKey::MetadataEndpoint, endpoint.trim_end_matches('/'))])
        }
    }
}
