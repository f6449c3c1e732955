//! Temporary users and passwords: what IAM and Redshift's services answer, and the users in PostgreSQL behind them.
//!
//! Source: Amazon Redshift API Reference, "GetClusterCredentials", "GetClusterCredentialsWithIAM"; Amazon Redshift Serverless
//! API Reference, "GetCredentials"; AWS Security Token Service API Reference, "AssumeRole".

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::postgres::GROUP;
use crate::s3::Storage;
use crate::session::Shared;
use crate::signature::{Signer, signer};
use crate::sql::plain_literal;

/// The one cluster and the one workgroup that there are.
const CLUSTER: &str = "examples";
const WORKGROUP: &str = "default";

/// Who may ask, and what was given out.
pub(crate) struct Iam(Mutex<State>);

#[derive(Default)]
struct State {
    signers: BTreeMap<String, Signer>,
    /// Passwords by user. Who asks again meanwhile gets the same, since PostgreSQL keeps one for a user.
    given: BTreeMap<String, Given>,
}

/// A password, and its end.
#[derive(Clone)]
struct Given {
    password: String,
    until: Timestamp,
}

impl Iam {
    /// Whoever has the keys of the test stack may ask.
    pub(crate) fn new(storage: &Storage) -> Self {
        let (name, secret) = ("IAM:tester".to_owned(), storage.secret.clone());
        let signer = Signer { name, secret, token: None };
        let signers = BTreeMap::from([(storage.key.clone(), signer)]);
        Self(Mutex::new(State { signers, ..State::default() }))
    }

    /// Ends the password of a user.
    pub(crate) async fn expire(&self, admin: &Client, user: &str) -> io::Result<()> {
        self.0.lock().await.given.remove(user);
        let sql = format!("ALTER ROLE {} VALID UNTIL 'epoch'", quoted(user));
        admin.batch_execute(&sql).await.map_err(io::Error::other)
    }
}

/// A refusal: status, code, message.
type Refusal = (u16, &'static str, String);

/// Answers the requests of a connection.
pub(crate) async fn serve(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(client), service);
    connection.await.map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that breaks off signs nothing.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let is_json = target.is_some();
    let done = match target {
        Some("RedshiftServerless.GetCredentials") => workgroup(&head.headers, &body, &shared).await,
        Some(_) => Err((400, "UnknownOperationException", String::new())),
        None => query(&head.headers, &body, &shared).await,
    };
    let (status, body) = match done {
        Ok(body) => (200, body),
        Err((status, code, message)) if is_json => {
            // Where both kinds of services mean the same, these have another word for it.
            let code = match code {
                "InvalidClientTokenId" => "UnrecognizedClientException",
                "SignatureDoesNotMatch" => "InvalidSignatureException",
                code => code,
            };
            (status, json!({ "__type": code, "message": message }).to_string())
        }
        Err((status, code, message)) => (
            status,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error>\
                 <RequestId>0</RequestId></ErrorResponse>",
                escaped(&message)
            ),
        ),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status.try_into().unwrap_or_default();
    Ok(response)
}

/// Who signed.
async fn caller(
    headers: &hyper::HeaderMap,
    body: &[u8],
    service: &str,
    shared: &Shared,
) -> Result<Signer, Refusal> {
    let state = shared.iam.0.lock().await;
    let found = signer(headers, body, service, &state.signers).cloned();
    found.map_err(|(code, message)| (403, code, message.to_owned()))
}

/// Source: "GetCredentials".
async fn workgroup(
    headers: &hyper::HeaderMap,
    body: &[u8],
    shared: &Shared,
) -> Result<String, Refusal> {
    let caller = caller(headers, body, "redshift-serverless", shared).await?;
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body["workgroupName"] != WORKGROUP {
        let message = "The requested workgroup was not found.";
        return Err((400, "ResourceNotFoundException", message.into()));
    }
    let holds = body["durationSeconds"].as_u64().unwrap_or(900);
    let wanted = Wanted { user: caller.name, acts_as: None, holds: seconds(holds)? };
    let given = give(shared, &wanted, "GetCredentials").await?;
    let until = given.until.as_second();
    Ok(json!({ "dbUser": wanted.user, "dbPassword": given.password, "expiration": until })
        .to_string())
}

/// The services whose requests are forms.
async fn query(
    headers: &hyper::HeaderMap,
    body: &[u8],
    shared: &Shared,
) -> Result<String, Refusal> {
    let form = form(body);
    let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let action = value("Action");
    if action == "AssumeRole" {
        caller(headers, body, "sts", shared).await?;
        return assume(shared, value("RoleArn")).await;
    }
    let caller = caller(headers, body, "redshift", shared).await?;
    if value("Version") != "2012-12-01" {
        return Err((400, "InvalidAction", "Could not find operation".into()));
    }
    if value("ClusterIdentifier") != CLUSTER {
        let message = format!("Cluster {} not found.", value("ClusterIdentifier"));
        return Err((404, "ClusterNotFound", message));
    }
    let holds = seconds(value("DurationSeconds").parse().unwrap_or(900))?;
    let wanted = match action {
        "GetClusterCredentialsWithIAM" => Wanted { user: caller.name, acts_as: None, holds },
        "GetClusterCredentials" => {
            let makes = value("AutoCreate") == "true";
            let groups = (1..).map_while(|number| form.get(&format!("DbGroups.DbGroup.{number}")));
            let prefix = if makes { "IAMA" } else { "IAM" };
            let name = value("DbUser").to_owned();
            let user = format!("{prefix}:{name}");
            let acts_as = Some(ActsAs { name, makes, groups: groups.cloned().collect() });
            Wanted { user, acts_as, holds }
        }
        _ => return Err((400, "InvalidAction", format!("Could not find operation {action}"))),
    };
    let given = give(shared, &wanted, action).await?;
    Ok(format!(
        "<{action}Response xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\">\n  <{action}Result>\n    \
         <DbUser>{}</DbUser>\n    <Expiration>{}</Expiration>\n    <DbPassword>{}</DbPassword>\n  \
         </{action}Result>\n  <ResponseMetadata>\n    <RequestId>0</RequestId>\n  </ResponseMetadata>\n</{action}Response>",
        escaped(&wanted.user),
        given.until,
        escaped(&given.password)
    ))
}

/// Keys of a role of the storage server, which then sign here, too.
async fn assume(shared: &Shared, role: &str) -> Result<String, Refusal> {
    let keys = shared.storage.assume(role).await.map_err(|reason| (403, "AccessDenied", reason))?;
    let name = role.rsplit('/').next().unwrap_or_default();
    let token = keys.token.clone().unwrap_or_default();
    let signer = Signer {
        name: format!("IAMR:{name}"),
        secret: keys.secret.clone(),
        token: Some(token.clone()),
    };
    shared.iam.0.lock().await.signers.insert(keys.id.clone(), signer);
    Ok(format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        escaped(&keys.id),
        escaped(&keys.secret),
        escaped(&token)
    ))
}

/// A user that is asked for.
struct Wanted {
    user: String,
    /// Of whom it has the name and the rights; nobody is one of its own, whose tags in IAM put it into the group.
    acts_as: Option<ActsAs>,
    holds: Duration,
}

/// A user of the database.
struct ActsAs {
    name: String,
    makes: bool,
    groups: Vec<String>,
}

/// Source: "GetClusterCredentials", `DurationSeconds`.
fn seconds(holds: u64) -> Result<Duration, Refusal> {
    match holds {
        900..=3600 => Ok(Duration::from_secs(holds)),
        _ => Err((400, "ValidationError", "DurationSeconds is not from 900 to 3600".into())),
    }
}

/// Makes the user, or lets it in for longer.
async fn give(shared: &Shared, wanted: &Wanted, action: &str) -> Result<Given, Refusal> {
    let mut state = shared.iam.0.lock().await;
    let now = Timestamp::now();
    let until = now
        .checked_add(wanted.holds)
        .map_err(|_| (500, "InternalFailure", "the end of time".to_owned()))?;
    let kept = state.given.get(&wanted.user).filter(|given| given.until > now);
    let password = match kept {
        Some(kept) => kept.password.clone(),
        None => random()?,
    };
    let sql = statements(wanted, &password, until, action);
    shared.admin.batch_execute(&sql).await.map_err(|error| {
        let said =
            error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().into());
        (500, "InternalFailure", format!("the stand-in: {said}"))
    })?;
    let given = Given { password, until };
    state.given.insert(wanted.user.clone(), given.clone());
    Ok(given)
}

/// What PostgreSQL is told. The session of a temporary user is one of the user that it stands for. Who stands for nobody
/// that there is cannot log in.
fn statements(wanted: &Wanted, password: &str, until: Timestamp, action: &str) -> String {
    let user = quoted(&wanted.user);
    let noted = plain_literal(&format!("{action} {}", wanted.user));
    let mut sql = format!(
        "INSERT INTO redshift.history (session, query_type, query_text, status, rows) VALUES (0, 'IAM', {noted}, 'success', 0); \
         DO $made$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN CREATE ROLE {user}; END IF; END $made$; ",
        plain_literal(&wanted.user)
    );
    let lets_in = format!(
        "ALTER ROLE {user} LOGIN PASSWORD {} VALID UNTIL '{until}'",
        plain_literal(password)
    );
    let Some(ActsAs { name, makes, groups }) = &wanted.acts_as else {
        sql.push_str(&format!("GRANT {GROUP} TO {user}; {lets_in}"));
        return sql;
    };
    let (role, name) = (quoted(name), plain_literal(name));
    if *makes {
        sql.push_str(&format!(
            "DO $made$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN CREATE ROLE {role}; END IF; \
             END $made$; "
        ));
    }
    let joins: String =
        groups.iter().map(|group| format!("GRANT {} TO {role}; ", quoted(group))).collect();
    sql.push_str(&format!(
        "DO $made$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN {joins}GRANT {role} TO {user}; \
         ALTER ROLE {user} SET role = {role}; {lets_in}; END IF; END $made$"
    ));
    sql
}

fn random() -> Result<String, Refusal> {
    let mut bytes = [0; 24];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| (500, "InternalFailure", "there is no randomness".to_owned()))?;
    // Signs that XML, JSON and forms each have their way with.
    Ok(format!("<&\"+%{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The values of a form.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let body = String::from_utf8_lossy(body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_meant() {
        let form = form(b"Action=Get%26&DbGroups.DbGroup.1=a+b&Empty=");
        assert_eq!(form["Action"], "Get&");
        assert_eq!((form["DbGroups.DbGroup.1"].as_str(), form["Empty"].as_str()), ("a b", ""));
    }
}
