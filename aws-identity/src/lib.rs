//! Who asks Amazon: found in the settings of a plugin, in the variables and files of Amazon's own tools, or on the machine.
//!
//! More than one plugin asks Amazon for something, and each of them has to find out the same way in whose name. This crate
//! is for them: it has no settings of its own, and registers nothing.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers" and "Shared config and credentials files".
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod classify;
mod profile;
mod provider;
mod service;
mod sts;

use std::path::{Path, PathBuf};

pub use object_store::aws::{AwsCredential, AwsCredentialProvider};
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret};

pub use address::{address, domain};
pub use classify::{Row, explain, role_refused};
use profile::Profiles;
pub use provider::provider;
pub use service::{Answer, FORM, Roles, Service, element, form};
pub use sts::{Sts, Trust};

/// What a plugin was configured with. Its keys are called as the fields here, the first three with `aws_` before it.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// The table in which the keys stand, for messages. Example: `credentials`.
    pub table: &'static str,
    /// The id of the access key.
    pub access_key_id: Option<String>,
    /// The secret access key.
    pub secret_access_key: Option<Secret>,
    /// The session token that belongs to temporary keys.
    pub session_token: Option<Secret>,
    /// The region that is asked.
    pub region_name: Option<String>,
    /// A profile of Amazon's shared files.
    pub profile_name: Option<String>,
    /// A role to take on, by whoever asks else.
    pub role_arn: Option<String>,
    /// What the role wants to be told besides.
    pub role_external_id: Option<String>,
    /// What the session of the role is called in Amazon's logs.
    pub role_session_name: Option<String>,
    /// The file with a token for which the role is given out without keys.
    pub web_identity_token_file: Option<String>,
}

impl Configured {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.table)
    }

    /// What the session of a role is called.
    fn session(&self) -> String {
        self.role_session_name.clone().unwrap_or_else(|| SESSION.to_owned())
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Whoever has these keys.
    Keys {
        /// The id of the access key.
        id: String,
        /// The secret access key.
        secret: Secret,
        /// The session token of temporary keys.
        token: Option<Secret>,
    },
    /// Who takes on a role.
    Role {
        /// The role.
        role: Role,
        /// What shows that it may be taken on.
        by: Proof,
    },
    /// A container of ECS, told by this path of the service for containers.
    Task {
        /// The path.
        path: String,
    },
    /// A container whose keys are at an address, given out for what is in a file.
    Container {
        /// The address.
        url: String,
        /// The file.
        token_file: PathBuf,
    },
    /// An instance of EC2.
    Instance {
        /// Where its metadata is, if not in the usual place.
        endpoint: Option<String>,
    },
}

/// A role to take on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What the session is called.
    pub session: String,
    /// What it wants to be told besides.
    pub external_id: Option<String>,
}

/// What shows that a role may be taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Someone whom the role trusts.
    Identity(Box<Identity>),
    /// The token in a file, from an issuer that the role trusts. It is read anew each time: it changes.
    Token(PathBuf),
}

/// Who asks, and the region that was found on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who asks.
    pub identity: Identity,
    /// The region: of the settings, the variables or the profile.
    pub region: Option<String>,
}

impl Identity {
    /// What must never be shown.
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Keys { secret, token, .. } => {
                [Some(secret), token.as_ref()].into_iter().flatten().cloned().collect()
            }
            Self::Role { by: Proof::Identity(identity), .. } => identity.secrets(),
            _ => Vec::new(),
        }
    }
}

/// What a session is called where nobody says it.
const SESSION: &str = "transload";

/// Finds out who asks. Files are read through this function, which gives nothing where there is none.
///
/// # Errors
/// [`ErrorKind::Configuration`] where what was found is not whole, [`ErrorKind::Unsupported`] where it is of a kind that is
/// not followed.
pub fn find(
    settings: &Settings,
    configured: &Configured,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Result<Found> {
    let look = Look { settings, configured, profiles: profiles(settings, read) };
    let region = look.region();
    if let Some(file) = &configured.web_identity_token_file {
        let role = look.role()?.ok_or_else(|| settings.missing(&configured.key("role_arn")))?;
        let by = Proof::Token(settings.path(file));
        return Ok(Found { identity: Identity::Role { role, by }, region });
    }
    let base = look.base()?;
    let identity = match look.role()? {
        Some(role) => Identity::Role { role, by: Proof::Identity(Box::new(base)) },
        None => base,
    };
    Ok(Found { identity, region })
}

/// The role that a setting names, taken on as the others of these settings.
///
/// # Errors
/// [`ErrorKind::Configuration`] where it is no ARN of a role.
pub fn role(settings: &Settings, configured: &Configured, key: &str, arn: &str) -> Result<Role> {
    if !is_role(arn) {
        return Err(settings
            .wrong(&configured.key(key), "it is no ARN of a role")
            .with_hint("it looks like `arn:aws:iam::123456789012:role/loader`"));
    }
    let external_id = configured.role_external_id.clone();
    Ok(Role { arn: arn.to_owned(), session: configured.session(), external_id })
}

/// The shared files, where the environment says how to find them.
fn profiles(settings: &Settings, read: &dyn Fn(&Path) -> Option<String>) -> Profiles {
    let home = settings.variable("HOME").or_else(|| settings.variable("USERPROFILE"));
    let file = |variable: &str, name: &str| {
        let path = match (settings.variable(variable), home) {
            (Some(path), Some(home)) if path.starts_with("~/") => Path::new(home).join(&path[2..]),
            (Some(path), _) => settings.path(path),
            (None, Some(home)) => Path::new(home).join(".aws").join(name),
            (None, None) => return String::new(),
        };
        read(&path).unwrap_or_default()
    };
    Profiles::parse(
        &file("AWS_CONFIG_FILE", "config"),
        &file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    )
}

struct Look<'a> {
    settings: &'a Settings,
    configured: &'a Configured,
    profiles: Profiles,
}

impl Look<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.settings.variable(name).map(str::to_owned)
    }

    fn region(&self) -> Option<String> {
        let of_profile = || self.profiles.value(&self.profile_name(), "region");
        let configured = self.configured.region_name.clone();
        configured
            .or_else(|| self.variable("AWS_REGION"))
            .or_else(|| self.variable("AWS_DEFAULT_REGION"))
            .or_else(|| of_profile().map(str::to_owned))
    }

    fn profile_name(&self) -> String {
        let configured = self.configured.profile_name.clone();
        configured
            .or_else(|| self.variable("AWS_PROFILE"))
            .unwrap_or_else(|| profile::DEFAULT.to_owned())
    }

    /// The role that the settings name.
    fn role(&self) -> Result<Option<Role>> {
        let arn = self.configured.role_arn.as_deref();
        arn.map(|arn| role(self.settings, self.configured, "role_arn", arn)).transpose()
    }

    fn missing(&self, name: &str) -> Error {
        self.settings.missing(&self.configured.key(name))
    }

    /// Who asks, without that role: what the settings say goes before what is around.
    fn base(&self) -> Result<Identity> {
        let configured = self.configured;
        match (&configured.access_key_id, &configured.secret_access_key) {
            (Some(id), Some(secret)) => {
                let token = configured.session_token.clone();
                return Ok(Identity::Keys { id: id.clone(), secret: secret.clone(), token });
            }
            (Some(_), None) => return Err(self.missing("aws_secret_access_key")),
            (None, Some(_)) => return Err(self.missing("aws_access_key_id")),
            (None, None) => {}
        }
        if let Some(name) = &configured.profile_name {
            return self.of_profile(name, &mut Vec::new());
        }
        if let Some(keys) = self.of_environment() {
            return Ok(keys);
        }
        let name = self.profile_name();
        if self.variable("AWS_PROFILE").is_some() || self.profiles.names_someone(&name) {
            return self.of_profile(&name, &mut Vec::new());
        }
        let (file, arn) =
            (self.variable("AWS_WEB_IDENTITY_TOKEN_FILE"), self.variable("AWS_ROLE_ARN"));
        if let (Some(file), Some(arn)) = (file, arn) {
            let session =
                self.variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| SESSION.to_owned());
            let role = Role { arn, session, external_id: None };
            return Ok(Identity::Role { role, by: Proof::Token(file.into()) });
        }
        match self.of_container()? {
            Some(container) => Ok(container),
            None => self.of_instance(),
        }
    }

    fn of_environment(&self) -> Option<Identity> {
        let id = self.variable("AWS_ACCESS_KEY_ID")?;
        let secret = Secret::new(self.variable("AWS_SECRET_ACCESS_KEY")?);
        let token = self.variable("AWS_SESSION_TOKEN").map(Secret::new);
        Some(Identity::Keys { id, secret, token })
    }

    fn of_container(&self) -> Result<Option<Identity>> {
        if let Some(path) = self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return Ok(Some(Identity::Task { path }));
        }
        let Some(url) = self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") else {
            return Ok(None);
        };
        let Some(file) = self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the keys of this container are given out without a file that shows who asks",
            )
            .with("variable", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
            .with_hint(format!(
                "set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, or `{}` and the secret",
                self.configured.key("aws_access_key_id")
            )));
        };
        if !is_of_containers(&url) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the address that gives out the keys of this container is not one of its machine",
            )
            .with("variable", "AWS_CONTAINER_CREDENTIALS_FULL_URI"));
        }
        Ok(Some(Identity::Container { url, token_file: file.into() }))
    }

    fn of_instance(&self) -> Result<Identity> {
        if self
            .variable("AWS_EC2_METADATA_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return Err(self.missing("aws_access_key_id"));
        }
        Ok(Identity::Instance { endpoint: self.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") })
    }

    /// Whom a profile names. Those that it refers to are followed.
    fn of_profile(&self, name: &str, seen: &mut Vec<String>) -> Result<Identity> {
        let wrong = |reason: &str| {
            let error = match self.configured.profile_name {
                Some(_) => self.settings.wrong(&self.configured.key("profile_name"), reason),
                // The one in AWS_PROFILE, or the default one.
                None => Error::new(
                    ErrorKind::Configuration,
                    "the profile of `~/.aws` does not say who asks",
                )
                .with("reason", reason),
            };
            error.with("profile", name)
        };
        if !self.profiles.has(name) {
            return Err(wrong("there is no such profile").with_hint(
                "look at `~/.aws/config` and `~/.aws/credentials`, or the files that AWS_CONFIG_FILE and \
                 AWS_SHARED_CREDENTIALS_FILE name",
            ));
        }
        let value = |key: &str| self.profiles.value(name, key).map(str::to_owned);
        let keys = || {
            let secret = value("aws_secret_access_key").map(Secret::new)?;
            let token = value("aws_session_token").map(Secret::new);
            Some(Identity::Keys { id: value("aws_access_key_id")?, secret, token })
        };
        // A role that names its own profile means the keys beside it.
        let is_repeated = seen.iter().any(|other| other == name);
        let arn = value("role_arn").filter(|_| !is_repeated);
        let Some(arn) = arn else {
            let unread = ["credential_process", "sso_session", "sso_start_url", "login_session"];
            return keys().ok_or_else(|| match unread.iter().find(|key| value(key).is_some()) {
                Some(key) => Error::new(ErrorKind::Unsupported, "the profile gets its keys in a way that is not followed")
                    .with("profile", name)
                    .with("by", key)
                    .with_hint(format!(
                        "hand the keys on: `eval \"$(aws configure export-credentials --profile {name} --format env)\"`"
                    )),
                None if is_repeated => wrong("profiles refer to one another in a circle"),
                None => wrong("the profile has no keys and no role"),
            });
        };
        if value("mfa_serial").is_some() {
            return Err(wrong("a role that asks for a code of its user cannot be taken on"));
        }
        seen.push(name.to_owned());
        let by = match (
            value("web_identity_token_file"),
            value("source_profile"),
            value("credential_source"),
        ) {
            (Some(file), ..) => Proof::Token(file.into()),
            (None, Some(source), _) => Proof::Identity(Box::new(self.of_profile(&source, seen)?)),
            (None, None, Some(source)) => {
                let identity = match source.as_str() {
                    "Environment" => self.of_environment(),
                    "EcsContainer" => self.of_container()?,
                    "Ec2InstanceMetadata" => Some(self.of_instance()?),
                    _ => return Err(wrong("its `credential_source` is unknown")),
                };
                let missing = || wrong("what its `credential_source` names is not there");
                Proof::Identity(Box::new(identity.ok_or_else(missing)?))
            }
            (None, None, None) => {
                return Err(wrong("its role has neither `source_profile` nor `credential_source`"));
            }
        };
        let session = value("role_session_name").unwrap_or_else(|| SESSION.to_owned());
        let role = Role { arn, session, external_id: value("external_id") };
        Ok(Identity::Role { role, by })
    }
}

fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, "iam", "", account, name]
        if partition.starts_with("aws") && !account.is_empty() && name.starts_with("role/"))
}

/// What else than an encrypted address may give out keys. Source: AWS SDKs and Tools Reference Guide, "Container credential
/// provider".
fn is_of_containers(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let of_containers = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "[::1]"];
    url.scheme() == "https" || of_containers.contains(&host) || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:iam::1:role/loader";

    /// Who asks, with these settings, variables and files.
    fn found(
        keys: &[(&str, &str)],
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Result<Found> {
        let mut settings = Settings::from_pairs("lake", &[]);
        let variables = variables.iter().chain(&[("HOME", "/home/me")]);
        settings.environment =
            variables.map(|(name, value)| ((*name).to_owned(), Secret::from(*value))).collect();
        let value = |name: &str| {
            keys.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let configured = Configured {
            table: "login",
            access_key_id: value("aws_access_key_id"),
            secret_access_key: value("aws_secret_access_key").map(Secret::new),
            session_token: value("aws_session_token").map(Secret::new),
            region_name: value("region_name"),
            profile_name: value("profile_name"),
            role_arn: value("role_arn"),
            role_external_id: value("role_external_id"),
            role_session_name: value("role_session_name"),
            web_identity_token_file: value("web_identity_token_file"),
        };
        find(&settings, &configured, &|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        })
    }

    fn keys(id: &str) -> Identity {
        Identity::Keys { id: id.into(), secret: "s".into(), token: None }
    }

    fn role(by: Proof) -> Identity {
        Identity::Role {
            role: Role { arn: ARN.into(), session: SESSION.into(), external_id: None },
            by,
        }
    }

    const OWN: [(&str, &str); 2] = [("aws_access_key_id", "own"), ("aws_secret_access_key", "s")];
    const VARIABLES: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "var"), ("AWS_SECRET_ACCESS_KEY", "s")];
    const SHARED: (&str, &str) = (
        "/home/me/.aws/credentials",
        "[default]\naws_access_key_id = file\naws_secret_access_key = s\n[other]\naws_access_key_id=other\n\
         aws_secret_access_key=s\naws_session_token = t\n",
    );
    const TOKEN: [(&str, &str); 2] =
        [("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token"), ("AWS_ROLE_ARN", ARN)];

    #[test]
    fn what_is_nearest_says_who_asks() {
        let other =
            Identity::Keys { id: "other".into(), secret: "s".into(), token: Some("t".into()) };
        let instance = Identity::Instance { endpoint: None };
        let task = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/me")];
        let all = [&VARIABLES[..], &TOKEN, &task].concat();
        for (settings, variables, files, expected) in [
            (&OWN[..], &all[..], &[SHARED][..], keys("own")),
            (&[("profile_name", "other")], &all, &[SHARED], other.clone()),
            (&[], &all, &[SHARED], keys("var")),
            (&[], &all[2..], &[SHARED], keys("file")),
            (&[], &[("AWS_PROFILE", "other")], &[SHARED], other),
            (&[], &all[2..], &[], role(Proof::Token("/run/token".into()))),
            (&[], &task, &[], Identity::Task { path: "/v2/me".into() }),
            (&[], &[], &[], instance),
        ] {
            assert_eq!(
                found(settings, variables, files).unwrap().identity,
                expected,
                "{variables:?}"
            );
        }
        let container = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/run/token"),
        ];
        let expected =
            Identity::Container { url: container[0].1.into(), token_file: "/run/token".into() };
        assert_eq!(found(&[], &container, &[]).unwrap().identity, expected);
    }

    #[test]
    fn a_role_is_taken_on_by_whoever_asks() {
        let own = [&OWN[..], &[("role_arn", ARN)]].concat();
        let by_keys = role(Proof::Identity(Box::new(keys("own"))));
        assert_eq!(found(&own, &VARIABLES, &[]).unwrap().identity, by_keys);
        let token = [("role_arn", ARN), ("web_identity_token_file", "/t")];
        assert_eq!(
            found(&token, &VARIABLES, &[]).unwrap().identity,
            role(Proof::Token("/t".into()))
        );
        let named = [("role_arn", ARN), ("role_external_id", "x"), ("role_session_name", "n")];
        let Identity::Role { role, .. } = found(&named, &VARIABLES, &[]).unwrap().identity else {
            panic!("a role")
        };
        assert_eq!((role.session.as_str(), role.external_id.as_deref()), ("n", Some("x")));
    }

    #[test]
    fn profiles_refer_to_one_another() {
        let config = "[profile chain]\nrole_arn = arn:aws:iam::1:role/loader\nsource_profile = base\nregion = eu-west-3\n\
                      external_id = x\n[profile base]\naws_access_key_id = file\naws_secret_access_key = s\n\
                      [profile machine]\nrole_arn = arn:aws:iam::1:role/loader\ncredential_source = Ec2InstanceMetadata\n\
                      [profile token]\nrole_arn = arn:aws:iam::1:role/loader\nweb_identity_token_file = /t\n\
                      [profile own]\nrole_arn = arn:aws:iam::1:role/loader\nsource_profile = own\n\
                      aws_access_key_id = file\naws_secret_access_key = s\n\
                      [profile a]\nrole_arn = x\nsource_profile = b\n[profile b]\nrole_arn = y\nsource_profile = a\n\
                      [profile sso]\nsso_session = mine\n[profile empty]\nregion = x\n\
                      [profile mfa]\nrole_arn = x\nmfa_serial = y\nsource_profile = base\n";
        let of = |name: &str| {
            let files = [("/home/me/.aws/config", config)];
            found(&[("profile_name", name)], &VARIABLES, &files)
        };
        let chain = of("chain").unwrap();
        assert_eq!(chain.region.as_deref(), Some("eu-west-3"));
        let Identity::Role { role: taken, by } = chain.identity else { panic!("a role") };
        assert_eq!(
            (taken.external_id.as_deref(), by),
            (Some("x"), Proof::Identity(Box::new(keys("file"))))
        );
        let instance = Identity::Instance { endpoint: None };
        assert_eq!(of("machine").unwrap().identity, role(Proof::Identity(Box::new(instance))));
        assert_eq!(of("token").unwrap().identity, role(Proof::Token("/t".into())));
        assert_eq!(of("own").unwrap().identity, role(Proof::Identity(Box::new(keys("file")))));
        for (name, kind, reason) in [
            ("a", ErrorKind::Configuration, Some("profiles refer to one another in a circle")),
            ("none", ErrorKind::Configuration, Some("there is no such profile")),
            ("empty", ErrorKind::Configuration, Some("the profile has no keys and no role")),
            (
                "mfa",
                ErrorKind::Configuration,
                Some("a role that asks for a code of its user cannot be taken on"),
            ),
            ("sso", ErrorKind::Unsupported, None),
        ] {
            let error = of(name).unwrap_err();
            assert_eq!((error.kind(), error.context("reason")), (kind, reason), "{name}");
        }
    }

    #[test]
    fn a_profile_that_no_setting_names_is_not_called_a_setting() {
        let error = found(&[], &[("AWS_PROFILE", "none")], &[SHARED]).unwrap_err();
        assert_eq!(error.message(), "the profile of `~/.aws` does not say who asks");
        assert_eq!((error.context("profile"), error.context("key")), (Some("none"), None));
    }

    #[test]
    fn the_region_comes_from_the_nearest_place() {
        let config = ("/home/me/.aws/config", "[default]\nregion = file\n");
        let region = |keys: &[(&str, &str)], variables: &[(&str, &str)]| {
            found(keys, variables, &[config]).unwrap().region.unwrap()
        };
        let variable = [("AWS_DEFAULT_REGION", "var")];
        assert_eq!(region(&[("region_name", "own")], &variable), "own");
        assert_eq!(region(&[], &variable), "var");
        assert_eq!(region(&[], &[]), "file");
    }

    #[test]
    fn what_is_half_there_is_named() {
        for (keys, variables, named) in [
            (&[("aws_access_key_id", "x")][..], &[][..], Some("aws_secret_access_key")),
            (&[("aws_secret_access_key", "CANARY")], &[], Some("aws_access_key_id")),
            (&[("web_identity_token_file", "x")], &[], Some("role_arn")),
            (&[("role_arn", "loader")], &VARIABLES, Some("role_arn")),
            (&[], &[("AWS_EC2_METADATA_DISABLED", "true")], Some("aws_access_key_id")),
            (&[], &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/x")], None),
            (
                &[],
                &[
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://keys.example/x"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t"),
                ],
                None,
            ),
        ] {
            let error = found(keys, variables, &[]).unwrap_err();
            let named = named.map(|named| format!("destination.lake.login.{named}"));
            assert_eq!(error.context("key"), named.as_deref(), "{error:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }
}
