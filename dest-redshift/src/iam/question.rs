//! What is asked for, what the request says, and what is read from the answer: all of it pure.

use std::time::Duration;

use serde_json::{Value, json};
use transload_aws_identity::{Answer, FORM, element, form};
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret};

use super::Login;
use crate::config::RedshiftCredentials;

/// How long a password is asked to hold: as long as it can. It is looked at when a session begins, and no more.
pub(super) const HOLDS: Duration = Duration::from_secs(3600);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// A user of a cluster.
    Cluster { identifier: String, database: String, user: Option<User> },
    /// Whoever asks, in a workgroup.
    Workgroup { name: String, database: String },
}

/// A user of a cluster, by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    name: String,
    auto_create: bool,
    groups: Vec<String>,
}

/// What the host of an endpoint tells: the name, the region, and of what it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    name: String,
    pub(super) region: String,
    serverless: bool,
}

impl Place {
    /// Source: Amazon Redshift Management Guide, "Connecting to an Amazon Redshift data warehouse": endpoints.
    pub(super) fn of(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let rest = host
            .strip_suffix(".amazonaws.com")
            .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
        match rest.split('.').collect::<Vec<_>>()[..] {
            [name, _, region, kind @ ("redshift" | "redshift-serverless")] => Some(Self {
                name: name.to_owned(),
                region: region.to_owned(),
                serverless: kind == "redshift-serverless",
            }),
            _ => None,
        }
    }
}

pub(super) fn question(
    settings: &Settings,
    login: &RedshiftCredentials,
    place: Option<&Place>,
) -> Result<Question> {
    let database = login.database.clone();
    let named = |serverless: bool| {
        place.filter(|place| place.serverless == serverless).map(|place| place.name.clone())
    };
    let workgroup = login.workgroup_name.clone();
    let cluster = login.cluster_identifier.clone();
    let workgroup = workgroup.or_else(|| named(true).filter(|_| cluster.is_none()));
    if let Some(name) = workgroup {
        if login.db_user.is_some() {
            let reason = "it is for a cluster: a workgroup knows whoever asks by the name in IAM";
            return Err(settings.wrong("credentials.db_user", reason));
        }
        return Ok(Question::Workgroup { name, database });
    }
    let Some(identifier) = cluster.or_else(|| named(false)) else {
        return Err(settings
            .wrong("credentials.host", "it names neither a cluster nor a workgroup of Amazon's")
            .with_hint("set `credentials.cluster_identifier` or `credentials.workgroup_name`"));
    };
    let user = login.db_user.clone().map(|name| User {
        name,
        auto_create: login.auto_create,
        groups: login.db_groups.clone().unwrap_or_default(),
    });
    Ok(Question::Cluster { identifier, database, user })
}

impl Question {
    /// The headers and the body of the request.
    pub(super) fn request(&self) -> (Vec<(&'static str, &'static str)>, String) {
        let holds = HOLDS.as_secs().to_string();
        let (identifier, database, user) = match self {
            Self::Workgroup { name, database } => {
                let headers = vec![
                    ("content-type", "application/x-amz-json-1.1"),
                    ("x-amz-target", "RedshiftServerless.GetCredentials"),
                ];
                let body = json!({
                    "workgroupName": name, "dbName": database, "durationSeconds": HOLDS.as_secs(),
                });
                return (headers, body.to_string());
            }
            Self::Cluster { identifier, database, user } => (identifier, database, user),
        };
        let mut values = vec![
            ("Version".to_owned(), "2012-12-01"),
            ("ClusterIdentifier".to_owned(), identifier.as_str()),
            ("DbName".to_owned(), database),
            ("DurationSeconds".to_owned(), &holds),
        ];
        match user {
            None => values.push(("Action".to_owned(), "GetClusterCredentialsWithIAM")),
            Some(user) => {
                values.push(("Action".to_owned(), "GetClusterCredentials"));
                values.push(("DbUser".to_owned(), &user.name));
                values.push((
                    "AutoCreate".to_owned(),
                    if user.auto_create { "true" } else { "false" },
                ));
                values.extend(
                    user.groups.iter().zip(1..).map(|(group, number)| {
                        (format!("DbGroups.DbGroup.{number}"), group.as_str())
                    }),
                );
            }
        }
        (FORM.to_vec(), form(values.iter().map(|(name, value)| (name.as_str(), *value))))
    }

    /// The user and the password in an answer, or what it says instead.
    pub(super) fn read(&self, answer: &Answer) -> Result<Login> {
        let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        if !(200..300).contains(&answer.status) {
            let (code, message) = match self {
                Self::Cluster { .. } => {
                    (element(&answer.body, "Code"), element(&answer.body, "Message"))
                }
                // `message` here, `Message` there, whoever it was that refused.
                Self::Workgroup { .. } => {
                    (text("__type"), text("message").or_else(|| text("Message")))
                }
            };
            let code = code.as_deref().and_then(|code| code.rsplit('#').next());
            return Err(self.refused(code.unwrap_or_default(), answer.status, message.as_deref()));
        }
        let found = match self {
            Self::Cluster { .. } => {
                (element(&answer.body, "DbUser"), element(&answer.body, "DbPassword"))
            }
            Self::Workgroup { .. } => (text("dbUser"), text("dbPassword")),
        };
        match found {
            (Some(user), Some(password)) => Ok(Login { user, password: Secret::new(password) }),
            _ => Err(Error::new(
                ErrorKind::Terminal,
                "there are no database credentials in the answer",
            )
            .with("status", answer.status)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::iam) fn cluster() -> Question {
        Question::Cluster { identifier: "examples".into(), database: "dev".into(), user: None }
    }

    pub(in crate::iam) fn workgroup() -> Question {
        Question::Workgroup { name: "default".into(), database: "dev".into() }
    }

    #[test]
    fn user_and_password_are_read_from_the_answers() {
        let xml = "<GetClusterCredentialsResponse xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\">\n \
                   <GetClusterCredentialsResult>\n<DbUser>IAM:loader</DbUser>\n<Expiration>2016-12-08T21:12:53Z</Expiration>\n\
                   <DbPassword>a&amp;b&lt;c=</DbPassword></GetClusterCredentialsResult></GetClusterCredentialsResponse>";
        let json = r#"{"dbPassword":"a&b<c=","dbUser":"IAMR:loader","expiration":1.4811e9}"#;
        for (question, body, user) in
            [(cluster(), xml, "IAM:loader"), (workgroup(), json, "IAMR:loader")]
        {
            let login = question.read(&Answer { status: 200, body: body.into() }).unwrap();
            assert_eq!((login.user.as_str(), login.password.expose()), (user, "a&b<c="));
            assert!(!format!("{login:?}").contains("a&b"), "{login:?}");
            let nothing = Answer { status: 200, body: "canary <html>".to_owned() };
            let error = question.read(&nothing).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Terminal);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
}
