//! Users and passwords that Amazon gives out for an hour, to whoever may ask: IAM in the place of a password.
//!
//! Source: Amazon Redshift Management Guide, "Using IAM authentication to generate database user credentials"; Amazon Redshift
//! API Reference, "GetClusterCredentials", "GetClusterCredentialsWithIAM", "Common errors"; Amazon Redshift Serverless API
//! Reference, "GetCredentials".

mod question;
mod refusal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use transload_aws_identity::{
    AwsCredentialProvider, Configured, Roles, Service, address, domain, explain, find, provider,
};
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Redactor, Result, Secret, failpoint};

use crate::client::passed;
use crate::config::RedshiftCredentials;
use question::{HOLDS, Place, Question, question};

/// The table of the settings in which all of this stands.
const TABLE: &str = "credentials";

/// How long before its end it is not used any more.
const MARGIN: Duration = Duration::from_secs(60);

/// A user and a password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The user.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: Secret,
}

/// Gets them, and keeps them while they hold.
pub(crate) struct Iam {
    question: Question,
    service: Service,
    keys: AwsCredentialProvider,
    redactor: Redactor,
    kept: Mutex<Option<(Instant, Arc<Login>)>>,
}

impl Iam {
    /// What the settings ask for. Opens no connection; reads the files of Amazon's own tools where the environment is handed on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where they do not say enough.
    pub(crate) fn new(settings: &Settings, login: &RedshiftCredentials) -> Result<Self> {
        let place = Place::of(&login.host);
        let question = question(settings, login, place.as_ref())?;
        let configured = configured(login);
        let found = find(settings, &configured, &|path| std::fs::read_to_string(path).ok())?;
        // The host tells for certain where the database is, the environment only where things are as a rule.
        let region = login.region_name.clone().or(place.map(|place| place.region)).or(found.region);
        let region = region.ok_or_else(|| settings.missing("credentials.region_name"))?;
        let address_of = |key: &str, configured: Option<&str>, variable: &str, name: &str| {
            let own = || format!("https://{name}.{region}.{}", domain(&region));
            address_in(settings, login, key, configured, variable)
                .map(|url| url.unwrap_or_else(own))
        };
        let sts = login.sts_endpoint_url.as_deref();
        let sts = address_of("credentials.sts_endpoint_url", sts, "AWS_ENDPOINT_URL_STS", "sts")?;
        let (title, variable) = match question {
            Question::Cluster { .. } => ("redshift", "AWS_ENDPOINT_URL_REDSHIFT"),
            Question::Workgroup { .. } => {
                ("redshift-serverless", "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS")
            }
        };
        let endpoint = login.endpoint_url.as_deref();
        let endpoint = address_of("credentials.endpoint_url", endpoint, variable, title)?;
        let misfit = |_| {
            // The words are not kept: they may quote what was given.
            Error::new(ErrorKind::Configuration, "the settings for IAM do not fit together")
        };
        let roles = Roles { endpoint: sts, region: region.clone() };
        let keys = provider(&found.identity, &roles).map_err(misfit)?;
        let service = Service::new("Redshift", title, &endpoint, &region).map_err(misfit)?;
        let redactor = Redactor::new(&found.identity.secrets());
        Ok(Self { question, service, keys, redactor, kept: Mutex::default() })
    }

    /// A user and a password, and whether they were kept from before.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn login(&self) -> Result<(Arc<Login>, bool)> {
        let mut kept = self.kept.lock().await;
        if let Some((until, login)) = &*kept
            && Instant::now() < *until
        {
            return Ok((Arc::clone(login), true));
        }
        let asked = Instant::now();
        let login = Arc::new(self.fetch().await?);
        *kept = Some((asked + HOLDS - MARGIN, Arc::clone(&login)));
        Ok((login, false))
    }

    /// Gives up a login that the cluster refused: its end came early, or somebody ended it.
    pub(crate) async fn forget(&self, refused: &Arc<Login>) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|(_, login)| Arc::ptr_eq(login, refused)) {
            *kept = None;
        }
    }

    async fn fetch(&self) -> Result<Login> {
        let failed = |error: Error| error.redacted(&self.redactor);
        let keys = self.keys.get_credential().await;
        let keys = keys.map_err(|error| failed(explain(&error, TABLE)))?;
        let (headers, body) = self.question.request();
        passed(failpoint::before("get database credentials"))?;
        let answer = self.service.ask(&headers, body, Some(&keys)).await.map_err(|error| {
            let mut innermost: &dyn std::error::Error = &error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            failed(
                Error::new(
                    ErrorKind::Transient,
                    "what gives out database credentials was not reached",
                )
                .with_source(innermost.to_string())
                .with_hint("check `credentials.endpoint_url`, the region and the network"),
            )
        })?;
        let login = self.question.read(&answer).map_err(failed)?;
        passed(failpoint::after("get database credentials"))?;
        Ok(login)
    }
}

fn configured(login: &RedshiftCredentials) -> Configured {
    Configured {
        table: TABLE,
        access_key_id: login.aws_access_key_id.clone(),
        secret_access_key: login.aws_secret_access_key.clone(),
        session_token: login.aws_session_token.clone(),
        region_name: login.region_name.clone(),
        profile_name: login.profile_name.clone(),
        role_arn: login.role_arn.clone(),
        role_external_id: login.role_external_id.clone(),
        role_session_name: login.role_session_name.clone(),
        web_identity_token_file: login.web_identity_token_file.clone(),
    }
}

/// The address that the settings or the variables name, if they do. Source: AWS SDKs and Tools Reference Guide,
/// "Service-specific endpoints".
fn address_in(
    settings: &Settings,
    login: &RedshiftCredentials,
    key: &str,
    configured: Option<&str>,
    variable: &str,
) -> Result<Option<String>> {
    let insecure = ("credentials.allow_insecure", login.allow_insecure);
    let read = |text: &str| {
        let url = address(settings, key, text, insecure)?;
        Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
    };
    if let Some(text) = configured {
        return read(text);
    }
    let ignored = settings.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let named = [variable, "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| Some((name, settings.variable(name)?)));
    named.map_or(Ok(None), |(name, text)| {
        read(text).map_err(|error: Error| error.with("variable", name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, tests::COMPLETE};

    const CANARY: &str = "canary-0451";

    fn of(pairs: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Iam> {
        let mut all = vec![("credentials.iam", "true"), COMPLETE[3]];
        all.extend_from_slice(pairs);
        let mut settings = Settings::from_pairs("redshift", &all);
        let keys = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", CANARY)];
        settings.environment = keys
            .iter()
            .chain(variables)
            .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)))
            .collect();
        Iam::new(&settings, &config::read(&settings)?.credentials)
    }

    const CLUSTER: (&str, &str) =
        ("credentials.host", "examples.abc123.eu-west-1.redshift.amazonaws.com");
    const WORKGROUP: (&str, &str) =
        ("credentials.host", "Default.123456789012.us-east-2.redshift-serverless.amazonaws.com");
    const TUNNEL: (&str, &str) = ("credentials.host", "localhost");

    #[test]
    fn a_host_tells_what_is_asked_and_where() {
        let user = ("credentials.db_user", "loader");
        let groups = ("credentials.db_groups", "a b,c");
        let made = ("credentials.auto_create", "true");
        let named = ("credentials.cluster_identifier", "other");
        let region = ("credentials.region_name", "cn-north-1");
        let mut shown = String::new();
        for (pairs, variables) in [
            (&[CLUSTER][..], &[][..]),
            (&[CLUSTER, user], &[]),
            (&[CLUSTER, user, groups, made], &[("AWS_REGION", "eu-central-1")]),
            (&[WORKGROUP], &[]),
            (&[WORKGROUP, named], &[]),
            (&[TUNNEL, named], &[("AWS_REGION", "eu-central-1")]),
            (&[TUNNEL, named, region], &[("AWS_REGION", "eu-central-1")]),
            (&[TUNNEL, region, ("credentials.workgroup_name", "w")], &[]),
            (
                &[CLUSTER, ("credentials.endpoint_url", "https://vpce.example/")],
                &[("AWS_ENDPOINT_URL", "https://x.example")],
            ),
            (
                &[CLUSTER],
                &[
                    ("AWS_ENDPOINT_URL_REDSHIFT", "http://localhost:99"),
                    ("AWS_ENDPOINT_URL", "https://x.example"),
                ],
            ),
            (
                &[WORKGROUP],
                &[
                    ("AWS_ENDPOINT_URL_REDSHIFT", "http://localhost:99"),
                    ("AWS_ENDPOINT_URL", "https://x.example"),
                ],
            ),
            (
                &[CLUSTER],
                &[
                    ("AWS_ENDPOINT_URL", "https://x.example"),
                    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
                ],
            ),
        ] {
            let iam = of(pairs, variables).unwrap();
            let (headers, body) = iam.question.request();
            let target = headers.get(1).map_or("", |(_, target)| target);
            shown.push_str(&format!("{} {target} {body}\n", iam.service.endpoint()));
        }
        assert!(!shown.contains(CANARY), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_the_settings_do_not_say_is_named() {
        let insecure = ("credentials.endpoint_url", "http://redshift.example");
        for (pairs, variables, named) in [
            (&[TUNNEL][..], &[][..], "credentials.host"),
            (&[("credentials.host", "a.b.redshift.amazonaws.com")], &[], "credentials.host"),
            (&[TUNNEL, ("credentials.cluster_identifier", "c")], &[], "credentials.region_name"),
            (&[WORKGROUP, ("credentials.db_user", "u")], &[], "credentials.db_user"),
            (&[CLUSTER, ("credentials.role_arn", "canary-0451")], &[], "credentials.role_arn"),
            (
                &[CLUSTER, ("credentials.endpoint_url", "canary-0451")],
                &[],
                "credentials.endpoint_url",
            ),
            (
                &[CLUSTER],
                &[("AWS_ENDPOINT_URL_STS", "canary-0451")],
                "credentials.sts_endpoint_url",
            ),
        ] {
            let error = of(pairs, variables).err().unwrap();
            assert_eq!(
                error.context("key"),
                Some(format!("destination.redshift.{named}").as_str()),
                "{error:?}"
            );
            assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
        }
        let error = of(&[CLUSTER, insecure], &[]).err().unwrap();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
    }
}
