//! The client of a bucket of S3.

use std::fmt;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use transload_aws_identity::{
    AwsCredentialProvider, Configured, Identity, Proof, Roles, domain, find, provider,
};
use transload_core::{Error, ErrorKind, Result, Secret};
use url::Url;

use crate::account::is_this_machine;
use crate::{Clients, ENDPOINT, StoreCredentials, TABLE, retries};

const ROLES: &str = "credentials.sts_endpoint_url";
/// What the hosts of Amazon's services in China end with. Source: AWS General Reference, "China".
const CHINA: &str = ".amazonaws.com.cn";

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
        let region = match found.region {
            Some(region) => Some(region),
            None => self.endpoint()?.as_ref().and_then(region_of_china),
        };
        if let Some(region) = &region {
            builder = builder.with_region(region);
        }
        let of_roles = region.as_deref().unwrap_or("us-east-1");
        let endpoint = self.address_of_roles(of_roles, &found.identity)?;
        let roles = Roles { endpoint, region: of_roles.to_owned() };
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
        Ok(Amazon { client, region, keys, roles, secrets })
    }

    /// Where roles are given out. A store that is not Amazon's does that itself, where it does it at all.
    ///
    /// Keys sign and are never shown, but a token is: one of the variables or of a profile opens what trusts its issuer, and
    /// goes to Amazon, to this machine, or where the settings say that roles are given out.
    fn address_of_roles(&self, region: &str, identity: &Identity) -> Result<String> {
        if let Some(address) = &self.credentials.sts_endpoint_url {
            let url = self.address_in(ROLES, address)?;
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        let Some(url) = self.endpoint()?.filter(|url| !is_amazon(url)) else {
            return Ok(format!("https://sts.{region}.{}", domain(region)));
        };
        let is_around = self.credentials.web_identity_token_file.is_none();
        if is_around && shows_token(identity) && !is_this_machine(&url) {
            return Err(self.settings.missing(ROLES).with(
                "reason",
                "the token of this machine is shown to no store that is not Amazon's unless this names it",
            ));
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }
}

/// Whether whoever asks shows the token in a file.
fn shows_token(identity: &Identity) -> bool {
    match identity {
        Identity::Role { by: Proof::Token(_), .. } => true,
        Identity::Role { by: Proof::Identity(base), .. } => shows_token(base),
        _ => false,
    }
}

/// Whether this is an address of Amazon's own, in whatever region.
fn is_amazon(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.ends_with(".amazonaws.com") || host.ends_with(CHINA)
}

/// The region that an address in China names: its services are known nowhere else, and know no others.
fn region_of_china(url: &Url) -> Option<String> {
    let labels = url.host_str()?.strip_suffix(CHINA)?;
    labels.split('.').find(|label| label.starts_with("cn-")).map(str::to_owned)
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
                &[("endpoint_url", "https://s3.cn-northwest-1.amazonaws.com.cn")],
                "https://sts.cn-northwest-1.amazonaws.com.cn",
            ),
            (&[("endpoint_url", "https://s3.notamazonaws.com")], "https://s3.notamazonaws.com"),
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
    fn a_token_that_is_around_is_shown_to_no_store_that_is_not_amazons() {
        let around = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token"),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/a"),
        ];
        let foreign = ("endpoint_url", "https://minio.example");
        let taken_on = ("role_arn", "arn:aws:iam::1:role/b");
        for keys in [&[foreign][..], &[foreign, taken_on]] {
            let error = made(keys, &around).unwrap_err();
            let key = "sources.filesystem.credentials.sts_endpoint_url";
            assert_eq!(error.context("key"), Some(key), "{keys:?}");
            assert!(
                error.hint().is_some_and(|hint| hint.contains("sts_endpoint_url")),
                "{error:?}"
            );
        }
        for (keys, expected) in [
            (&[][..], "https://sts.us-east-1.amazonaws.com"),
            (&[("endpoint_url", "http://127.0.0.1:9000")], "http://127.0.0.1:9000"),
            (
                &[foreign, ("sts_endpoint_url", "https://sts.minio.example")],
                "https://sts.minio.example",
            ),
            (
                &[foreign, taken_on, ("web_identity_token_file", "/own/token")],
                "https://minio.example",
            ),
        ] {
            assert_eq!(made(keys, &around).unwrap().roles.endpoint, expected, "{keys:?}");
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
