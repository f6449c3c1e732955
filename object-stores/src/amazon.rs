//! The client of a bucket of S3.

use std::fmt;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use transload_aws_identity::{AwsCredentialProvider, Configured, Roles, domain, find, provider};
use transload_core::{Error, ErrorKind, Result, Secret};

use crate::{Clients, ENDPOINT, StoreCredentials, TABLE, retries};

const ROLES: &str = "credentials.sts_endpoint_url";

/// A bucket of S3, ready to be asked, and what was found on the way to it.
pub struct Amazon {
    /// The client.
    pub client: AmazonS3,
    /// The region: of the settings, the variables or the profile.
    pub region: Option<String>,
    /// What gives out the keys of whoever asks.
    pub keys: AwsCredentialProvider,
    /// The service for roles.
    pub roles: Roles,
    /// What must never be shown, beside what is in the settings.
    pub secrets: Vec<Secret>,
}

impl fmt::Debug for Amazon {
    /// Clients of `object_store` print the keys that they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amazon").field("region", &self.region).finish_non_exhaustive()
    }
}

impl StoreCredentials {
    /// Whom they name to Amazon.
    pub fn identity(&self) -> Configured {
        Configured {
            table: TABLE,
            access_key_id: self.aws_access_key_id.clone(),
            secret_access_key: self.aws_secret_access_key.clone(),
            session_token: self.aws_session_token.clone(),
            region_name: self.region_name.clone(),
            profile_name: self.profile_name.clone(),
            role_arn: self.role_arn.clone(),
            role_external_id: self.role_external_id.clone(),
            role_session_name: self.role_session_name.clone(),
            web_identity_token_file: self.web_identity_token_file.clone(),
        }
    }
}

impl Clients<'_> {
    /// The client of a bucket of S3, with what else its builder is to be told. Reads the files of Amazon's own tools where
    /// the environment is handed on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the settings are wrong or not whole; what [`find`] says of whoever asks.
    pub fn amazon(
        &self,
        bucket: &str,
        told: impl FnOnce(AmazonS3Builder) -> AmazonS3Builder,
    ) -> Result<Amazon> {
        let (settings, credentials) = (self.settings, self.credentials);
        let mut options = self.options();
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retries());
        let virtual_hosted = match credentials.s3_url_style.as_deref() {
            None | Some("path") => false,
            Some("virtual") => true,
            Some(_) => {
                return Err(settings
                    .wrong("credentials.s3_url_style", "it is neither `path` nor `virtual`"));
            }
        };
        builder = builder.with_virtual_hosted_style_request(virtual_hosted);
        if let Some(mut url) = self.endpoint()? {
            if virtual_hosted {
                let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
                url.set_host(Some(&host)).map_err(|_| {
                    settings
                        .wrong(ENDPOINT, "with `s3_url_style = \"virtual\"` it must be a host name")
                })?;
            }
            options = options.with_allow_http(url.scheme() == "http");
            builder = builder.with_endpoint(url.as_str().trim_end_matches('/'));
        }
        let found =
            find(settings, &credentials.identity(), &|path| std::fs::read_to_string(path).ok())?;
        if let Some(region) = &found.region {
            builder = builder.with_region(region);
        }
        let region = found.region.as_deref().unwrap_or("us-east-1");
        let roles = Roles { endpoint: self.address_of_roles(region)?, region: region.to_owned() };
        let misfit = |error: object_store::Error| {
            // The words of the builder are not kept: they may quote what it was given.
            let _ = error;
            Error::new(ErrorKind::Configuration, "the settings of the bucket do not fit together")
                .with("bucket", bucket)
        };
        let keys = provider(&found.identity, &roles).map_err(misfit)?;
        let builder = told(builder).with_credentials(AwsCredentialProvider::clone(&keys));
        let client = builder.with_client_options(options).build().map_err(misfit)?;
        let secrets = found.identity.secrets();
        Ok(Amazon { client, region: found.region, keys, roles, secrets })
    }

    /// Where roles are given out. A store that is not Amazon's does that itself, where it does it at all.
    fn address_of_roles(&self, region: &str) -> Result<String> {
        if let Some(address) = &self.credentials.sts_endpoint_url {
            let url = self.address_in(ROLES, address)?;
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        let own = self
            .endpoint()?
            .filter(|url| !url.host_str().is_some_and(|host| host.ends_with(domain(region))));
        Ok(own.map_or_else(
            || format!("https://sts.{region}.{}", domain(region)),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use transload_core::settings::{Setting as _, Settings};

    use super::*;

    fn made(keys: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Amazon> {
        let keys: Vec<(String, &str)> =
            keys.iter().map(|(key, value)| (format!("credentials.{key}"), *value)).collect();
        let pairs: Vec<(&str, &str)> =
            keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let mut settings = Settings::from_pairs("filesystem", &pairs);
        settings.section = Some("sources.filesystem".into());
        settings.environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)))
            .collect();
        let credentials = StoreCredentials::read(&settings, TABLE)?;
        Clients { settings: &settings, credentials: &credentials, whole_answer: None }
            .amazon("lake", |builder| builder)
    }

    const KEYS: [(&str, &str); 2] =
        [("aws_access_key_id", "id"), ("aws_secret_access_key", "CANARY")];

    #[test]
    fn roles_are_given_out_by_the_store_or_by_amazon_in_the_region() {
        for (keys, expected) in [
            (&[][..], "https://sts.us-east-1.amazonaws.com"),
            (&[("region_name", "cn-north-1")], "https://sts.cn-north-1.amazonaws.com.cn"),
            (&[("endpoint_url", "https://minio.example:9000/")], "https://minio.example:9000"),
            (
                &[
                    ("endpoint_url", "https://s3.eu-west-3.amazonaws.com"),
                    ("region_name", "eu-west-3"),
                ],
                "https://sts.eu-west-3.amazonaws.com",
            ),
            (
                &[
                    ("endpoint_url", "https://minio.example"),
                    ("sts_endpoint_url", "https://sts.example"),
                ],
                "https://sts.example",
            ),
        ] {
            let made = made(&[&KEYS[..], keys].concat(), &[]).unwrap();
            assert_eq!(made.roles.endpoint, expected, "{keys:?}");
        }
    }

    #[test]
    fn what_is_found_outside_of_the_settings_is_not_to_be_shown_either() {
        let variables = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "CANARY")];
        let made = made(&[], &[&variables[..], &[("AWS_REGION", "eu-west-3")]].concat()).unwrap();
        assert_eq!(made.secrets, [Secret::from("CANARY")]);
        assert_eq!(made.region.as_deref(), Some("eu-west-3"));
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        for (keys, named) in [
            (("s3_url_style", "CANARY"), "s3_url_style"),
            (("endpoint_url", "https://me:CANARY@host"), "endpoint_url"),
            (("sts_endpoint_url", "https://me:CANARY@host"), "sts_endpoint_url"),
            (("role_arn", "CANARY"), "role_arn"),
        ] {
            let error = made(&[&KEYS[..], &[keys]].concat(), &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let named = format!("sources.filesystem.credentials.{named}");
            assert_eq!(error.context("key"), Some(named.as_str()), "{keys:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn a_bucket_in_a_host_name_needs_one() {
        let of = |endpoint: &str| {
            let keys = [("s3_url_style", "virtual"), ("endpoint_url", endpoint)];
            made(&[&KEYS[..], &keys].concat(), &[])
        };
        assert!(of("https://minio.example").is_ok());
        let error = of("https://127.0.0.1:9000").unwrap_err();
        assert_eq!(error.context("key"), Some("sources.filesystem.credentials.endpoint_url"));
    }
}
