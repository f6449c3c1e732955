//! The protocol of Snowflake's own drivers, as far as a loader needs it: log in, run a statement, ask for its end, cancel
//! it, renew the session, log out.
//!
//! A request carries an id by which the server knows it again: one whose answer was lost is sent once more and runs
//! once. See `docs/destinations/snowflake.md` for why this is not somebody's crate.

mod session;

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use ring::rand::SecureRandom as _;
use serde_json::{Value as Json, json};
use transload_core::{Error, ErrorKind, Redactor, Result, Secret};

use crate::answer::{self, Answer, Envelope, Part, Parts};
use crate::classify::classify;
use crate::config::{self, Authenticator, SnowflakeSettings};
use crate::key_pair::KeyPair;
pub(crate) use session::HttpSession;
use session::Tokens;

/// How often a request without an answer is sent.
const TRIES: u32 = 5;

/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a server may be silent. It answers at least each 45 seconds.
const SILENCE: Duration = Duration::from_secs(180);

/// How long ending a session may take. Nobody waits for it.
const GOODBYE: Duration = Duration::from_secs(10);

const MEDIA: &str = "application/snowflake";

/// An account, as it is logged in to.
pub(crate) struct Account {
    settings: SnowflakeSettings,
    address: String,
    key_pair: Option<KeyPair>,
    http: Client,
    redactor: Redactor,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Account {
    /// The account of these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the private key cannot be used.
    pub(crate) fn new(settings: SnowflakeSettings) -> Result<Self> {
        let login = &settings.credentials;
        let key_pair = match key_text(&settings)? {
            Some(key) => Some(KeyPair::read(&key, login.private_key_passphrase.as_ref())?),
            None => None,
        };
        // reqwest panics where no provider is installed; one that is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(SILENCE)
            // Tokens go nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("transload/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Terminal, "no client for Snowflake could be made")
                    .with_source(error.without_url())
            })?;
        let secrets = [&login.password, &login.token, &login.private_key_passphrase];
        let redactor = Redactor::new(secrets.into_iter().flatten());
        Ok(Self { address: config::address(login), settings, key_pair, http, redactor })
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the login is refused, [`ErrorKind::Transient`] where nobody answers.
    pub(crate) async fn log_in(self: &Arc<Self>) -> Result<HttpSession> {
        let login = &self.settings.credentials;
        let opened = tokio::time::timeout(login.login_timeout, self.open()).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Transient, "Snowflake did not answer in time")
                .with("login_timeout", login.login_timeout.as_secs())
                .with_hint("see that `credentials.host` is right and can be reached, or raise `login_timeout`"))
        });
        opened.map_err(|error| error.with("account", &login.host).redacted(&self.redactor))
    }

    async fn open(self: &Arc<Self>) -> Result<HttpSession> {
        let login = &self.settings.credentials;
        let mut query = vec![("requestId", request_id())];
        for (key, value) in [
            ("databaseName", Some(&login.database)),
            ("warehouse", login.warehouse.as_ref()),
            ("roleName", login.role.as_ref()),
        ] {
            query.extend(value.map(|value| (key, value.clone())));
        }
        let body = json!({ "data": self.login_data()? });
        let (envelope, _) = self.send("/session/v1/login-request", &query, &body, None).await?;
        if !envelope.success {
            return Err(refused(&envelope));
        }
        let Some(tokens) = Tokens::of(&envelope.data, "token", "masterToken") else {
            return Err(Error::new(
                ErrorKind::Terminal,
                "Snowflake's answer to the login has no token",
            ));
        };
        Ok(HttpSession::new(Arc::clone(self), tokens))
    }

    fn login_data(&self) -> Result<Json> {
        let login = &self.settings.credentials;
        let account = config::account(login);
        let user = login.username.as_deref().unwrap_or_default();
        let mut parameters = json!({
            "QUERY_TAG": "transload",
            // What nobody asks for any more need not end; and what it has locked is free then.
            "ABORT_DETACHED_QUERY": true,
        });
        for (name, value) in config::FIXED_PARAMETERS {
            parameters[name] = (*value).into();
        }
        for text in self.settings.session_parameters.iter().flatten() {
            if let Some((name, value)) = config::parameter(text) {
                parameters[name] = value.into();
            }
        }
        let mut data = json!({
            "ACCOUNT_NAME": account,
            "LOGIN_NAME": user,
            "CLIENT_ENVIRONMENT": { "APPLICATION": "transload" },
            "SESSION_PARAMETERS": parameters,
        });
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
        match self.authenticator() {
            Authenticator::Snowflake => data["PASSWORD"] = secret(&login.password).into(),
            Authenticator::SnowflakeJwt => {
                let Some(key_pair) = &self.key_pair else {
                    return Err(Error::new(ErrorKind::Bug, "a key pair without a key"));
                };
                let token = key_pair.token(account, user, SystemTime::now())?;
                data["AUTHENTICATOR"] = "SNOWFLAKE_JWT".into();
                data["TOKEN"] = token.expose().into();
            }
            Authenticator::Oauth => {
                data["AUTHENTICATOR"] = "OAUTH".into();
                data["TOKEN"] = secret(&login.token).into();
            }
            Authenticator::ProgrammaticAccessToken => {
                data["AUTHENTICATOR"] = "PROGRAMMATIC_ACCESS_TOKEN".into();
                data["TOKEN"] = secret(&login.token).into();
            }
        }
        Ok(data)
    }

    /// How the login is done: as it is said, and else by the key that is there, before the password.
    fn authenticator(&self) -> Authenticator {
        match (self.settings.credentials.authenticator, &self.key_pair) {
            (Some(authenticator), _) => authenticator,
            (None, Some(_)) => Authenticator::SnowflakeJwt,
            (None, None) => Authenticator::Snowflake,
        }
    }

    /// Sends a request until there is an answer, under one id, and says whether the first try of it was answered: of one that
    /// was not, nobody knows what became of it.
    async fn send(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Json,
        token: Option<&Secret>,
    ) -> Result<(Envelope, bool)> {
        let began = milliseconds();
        let mut last = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
            }
            let mut url = self.url(path)?;
            url.query_pairs_mut().extend_pairs(query);
            url.query_pairs_mut().append_pair("request_guid", &request_id());
            if attempt > 0 {
                url.query_pairs_mut()
                    .append_pair("clientStartTime", &began.to_string())
                    .append_pair("retryCount", &attempt.to_string());
            }
            let request = self.http.post(url).header(CONTENT_TYPE, "application/json");
            match self.answer(request.body(body.to_string()), token).await {
                Ok(envelope) => return Ok((envelope, attempt == 0)),
                Err(error) if error.is_transient() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Bug, "nothing was sent")))
    }

    /// Asks for the end of a statement that still runs.
    async fn ask(&self, path: &str, token: &Secret) -> Result<Envelope> {
        let url = self.url(path)?;
        // A token goes to the account alone, whatever an answer says.
        if url.origin() != self.url("/")?.origin() {
            return Err(Error::new(
                ErrorKind::Terminal,
                "Snowflake sends to another place for an answer",
            ));
        }
        let mut last = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
            }
            match self.answer(self.http.get(url.clone()), Some(token)).await {
                Ok(envelope) => return Ok(envelope),
                Err(error) if error.is_transient() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Bug, "nothing was asked")))
    }

    fn url(&self, path: &str) -> Result<url::Url> {
        let base = url::Url::parse(&self.address).and_then(|base| base.join(path));
        base.map_err(|error| {
            Error::new(ErrorKind::Configuration, "the address of the account is none")
                .with("address", &self.address)
                .with_source(error)
        })
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        token: Option<&Secret>,
    ) -> Result<Envelope> {
        let mut request = request.header(ACCEPT, MEDIA);
        if let Some(token) = token {
            request =
                request.header(AUTHORIZATION, format!("Snowflake Token=\"{}\"", token.expose()));
        }
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(lost)?;
        match serde_json::from_slice::<Envelope>(&bytes) {
            // Refusals come with a status of their own, too.
            Ok(envelope) if status.is_success() || !envelope.code().is_empty() => Ok(envelope),
            Ok(_) | Err(_) if is_passing(status) => {
                Err(Error::new(ErrorKind::Transient, "Snowflake is not to be had just now")
                    .with("status", status.as_u16()))
            }
            Ok(_) | Err(_) => Err(Error::new(
                if status.is_success() { ErrorKind::Terminal } else { ErrorKind::Configuration },
                "what answered is not Snowflake, or knows no such account",
            )
            .with("status", status.as_u16())
            .with_hint(
                "look at `credentials.host`: the identifier of the account, such as myorg-account1",
            )),
        }
    }

    /// Fetches the parts of a long answer, in their order.
    async fn fetch(&self, answer: &mut Answer, parts: &Parts) -> Result<()> {
        for part in &parts.parts {
            let mut tries = 0;
            let text = loop {
                match self.part(part, parts).await {
                    Ok(text) => break text,
                    Err(error) if error.is_transient() && tries + 1 < TRIES => {
                        tokio::time::sleep(PAUSE * 2u32.pow(tries)).await;
                        tries += 1;
                    }
                    Err(error) => return Err(error),
                }
            };
            answer.rows.extend(answer::rows_of_part(&text)?);
        }
        Ok(())
    }

    async fn part(&self, part: &Part, parts: &Parts) -> Result<String> {
        // Without our token: the address itself is signed.
        let mut request = self.http.get(&part.url);
        for (name, value) in &parts.headers {
            request = request.header(name, value);
        }
        if let (true, Some(key)) = (parts.headers.is_empty(), &parts.key) {
            request = request
                .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
                .header("x-amz-server-side-encryption-customer-key", key);
        }
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            let kind = if is_passing(status) { ErrorKind::Transient } else { ErrorKind::Terminal };
            return Err(Error::new(kind, "a part of an answer of Snowflake is not to be had")
                .with("status", status.as_u16()));
        }
        let bytes = response.bytes().await.map_err(lost)?;
        let damaged = |error: std::io::Error| {
            Error::new(ErrorKind::Transient, "a part of an answer of Snowflake is damaged")
                .with_source(error)
        };
        let mut text = String::new();
        match bytes.starts_with(&[0x1f, 0x8b]) {
            true => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text),
            false => (&bytes[..]).read_to_string(&mut text),
        }
        .map_err(damaged)?;
        Ok(text)
    }

    /// Sends what nobody waits for.
    fn send_off(self: &Arc<Self>, requests: Vec<Request>, token: Secret) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let account = Arc::clone(self);
        runtime.spawn(async move {
            let sent = async {
                for (path, query, body) in requests {
                    // A server that does not hear it ends the session by itself, later.
                    let _ = account.send(path, &query, &body, Some(&token)).await;
                }
            };
            let _ = tokio::time::timeout(GOODBYE, sent).await;
        });
    }
}

/// A path, its query and a body.
type Request = (&'static str, Vec<(&'static str, String)>, Json);

/// The text of the private key, where there is one.
fn key_text(settings: &SnowflakeSettings) -> Result<Option<Secret>> {
    let login = &settings.credentials;
    let wants = matches!(login.authenticator, None | Some(Authenticator::SnowflakeJwt));
    match (&login.private_key, &login.private_key_path) {
        _ if !wants => Ok(None),
        (Some(key), _) => Ok(Some(key.clone())),
        (None, Some(file)) => {
            let bytes = std::fs::read(file).map_err(|error| {
                Error::new(ErrorKind::Configuration, "the private key cannot be read")
                    .with("private_key_path", file.display())
                    .with_source(error)
            })?;
            // A file holds PEM, or DER itself.
            Ok(Some(match String::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(der) => {
                    use base64::Engine as _;
                    base64::engine::general_purpose::STANDARD.encode(der.as_bytes()).into()
                }
            }))
        }
        (None, None) => Ok(None),
    }
}

fn lost(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Transient, "the connection to Snowflake was lost, or could not be made")
        .with_source(error.without_url())
        .with_hint(
            "see that `credentials.host` is right and that its port 443 can be reached from here",
        )
}

/// Whether a status is worth another try.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || [408, 429].contains(&status.as_u16())
}

fn refused(envelope: &Envelope) -> Error {
    let state = envelope.data.get("sqlState").and_then(Json::as_str).unwrap_or_default();
    classify(envelope.code(), state, envelope.message.as_deref().unwrap_or_default())
}

fn milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// A random UUID. Source: RFC 9562, version 4.
fn request_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness there is no TLS either.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use transload_core::settings::Settings;

    use super::*;
    use crate::config::tests::{CANARY, COMPLETE};
    use crate::session::{Failure, SnowflakeSession as _};

    /// Gives these answers, one to a connection: a status and a body, in which `{here}` is the server. Returns what it was
    /// sent.
    async fn serve(listener: TcpListener, answers: Vec<(u16, Vec<u8>)>) -> Vec<String> {
        let here = format!("http://{}", listener.local_addr().unwrap());
        let mut seen = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if rest.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break;
                }
            }
            seen.push(String::from_utf8_lossy(&request).into_owned());
            let body = match String::from_utf8(body) {
                Ok(text) => text.replace("{here}", &here).into_bytes(),
                Err(bytes) => bytes.into_bytes(),
            };
            let head = format!(
                "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
        seen
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Logs in to a server that gives these answers, and asks it something.
    async fn asked(answers: &[(u16, Vec<u8>)]) -> (Result<Answer, Error>, Vec<String>) {
        let (outcome, seen) = ran(answers).await;
        (outcome.and_then(|answer| answer.map_err(Failure::into_error)), seen)
    }

    type Outcome = Result<Result<Answer, Failure>, Error>;

    async fn ran(answers: &[(u16, Vec<u8>)]) -> (Outcome, Vec<String>) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, answers.to_vec()));
        let pairs = [&COMPLETE[..], &[("credentials.endpoint_url", url.as_str())]].concat();
        let settings = config::read(&Settings::from_pairs("snowflake", &pairs)).unwrap();
        let account = Arc::new(Account::new(settings).unwrap());
        let outcome = match account.log_in().await {
            Ok(mut session) => Ok(session.run("SELECT 1", "tag").await),
            Err(error) => Err(error),
        };
        (outcome, server.await.unwrap())
    }

    fn ok(data: &str) -> (u16, Vec<u8>) {
        (200, format!("{{\"success\": true, \"code\": null, \"data\": {data}}}").into_bytes())
    }

    fn refusal(code: &str) -> (u16, Vec<u8>) {
        let text = format!(
            "{{\"success\": false, \"code\": \"{code}\", \"message\": \"no\", \"data\": null}}"
        );
        (200, text.into_bytes())
    }

    fn logged_in() -> (u16, Vec<u8>) {
        ok(r#"{"token": "session-canary", "masterToken": "master-canary"}"#)
    }

    #[tokio::test]
    async fn a_long_answer_is_fetched_in_parts_that_are_told_no_token() {
        let first = r#"{"rowtype": [{"name": "A"}], "rowset": [["1"]],
            "chunks": [{"url": "{here}/part"}], "chunkHeaders": {"x-key": "value"}}"#;
        let (answer, seen) =
            asked(&[logged_in(), ok(first), (503, Vec::new()), (200, gzip("[\"2\"],[null]"))])
                .await;
        let rows: Vec<_> = answer.unwrap().rows.concat();
        assert_eq!(rows, [Some("1".to_owned()), Some("2".to_owned()), None]);
        assert!(seen[0].contains(CANARY) && seen[1].contains("session-canary"));
        assert!(seen[1].contains("\"QUERY_TAG\":\"tag\""), "{}", seen[1]);
        let part = seen[3].to_ascii_lowercase();
        assert!(part.contains("x-key: value") && !part.contains("canary"), "{part}");
    }

    fn runs(code: &str) -> (u16, Vec<u8>) {
        let text = format!(
            "{{\"success\": true, \"code\": \"{code}\", \"data\": {{\"getResultUrl\": \"/queries/1/result\"}}}}"
        );
        (200, text.into_bytes())
    }

    fn renewed() -> (u16, Vec<u8>) {
        ok(r#"{"sessionToken": "renewed-canary", "masterToken": "master-2-canary"}"#)
    }

    fn one() -> (u16, Vec<u8>) {
        ok(r#"{"rowtype": [{"name": "A"}], "rowset": [["1"]]}"#)
    }

    /// Runs a statement in a session whose server gives these answers to it.
    async fn failed(answers: &[(u16, Vec<u8>)]) -> (Failure, Vec<String>) {
        let (outcome, seen) = ran(&[&[logged_in()], answers].concat()).await;
        (outcome.unwrap().unwrap_err(), seen)
    }

    #[tokio::test]
    async fn a_session_that_has_ended_is_told_from_one_that_can_be_renewed() {
        // Whatever ends it: the statement was refused at the door, so that it may be run in another session.
        for code in ["390104", "390111", "390113", "390114", "390115"] {
            let (failure, _) = failed(&[refusal(code)]).await;
            let Failure::Ended(error) = failure else { panic!("{code}: {failure:?}") };
            assert_eq!((error.kind(), error.context("code")), (ErrorKind::Transient, Some(code)));
        }
        for code in ["390114", "390400", "390318"] {
            let (failure, seen) = failed(&[refusal("390112"), refusal(code)]).await;
            let Failure::Ended(error) = failure else { panic!("{code}: {failure:?}") };
            assert_eq!((error.kind(), error.context("code")), (ErrorKind::Transient, Some(code)));
            assert!(seen[2].contains("Snowflake Token=\"master-canary\""), "{}", seen[2]);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_statement_that_may_have_begun_is_lost_with_its_session() {
        for answers in [
            // It runs, and then nobody tells its end.
            &[runs("333334"), refusal("390114")][..],
            &[runs("333333"), refusal("390112"), refusal("390114")],
            // The answer to the first try was lost.
            &[(503, Vec::new()), refusal("390114")],
        ] {
            let (failure, _) = failed(answers).await;
            let Failure::Lost(error) = failure else { panic!("{failure:?}") };
            assert_eq!(error.kind(), ErrorKind::Transient);
        }
    }

    #[tokio::test]
    async fn a_statement_that_runs_on_is_asked_for_and_never_sent_again_while_its_session_is_renewed()
     {
        let (answer, seen) = asked(&[
            logged_in(),
            refusal("390112"),
            renewed(),
            runs("333333"),
            runs("333334"),
            refusal("390112"),
            ok(r#"{"sessionToken": "third-canary", "masterToken": "master-3-canary"}"#),
            runs("333334"),
            one(),
        ])
        .await;
        assert_eq!(answer.unwrap().rows.concat(), [Some("1".to_owned())]);
        let id = |request: &str| {
            let (_, id) = request.split_once("requestId=").unwrap();
            id[..36].to_owned()
        };
        // The first was refused: the same request again, by the same id.
        assert_eq!(id(&seen[1]), id(&seen[3]));
        assert!(seen[3].contains("renewed-canary") && seen[4].starts_with("GET /queries/1/result"));
        assert!(seen[6].contains("master-2-canary") && seen[6].contains("renewed-canary"));
        assert!(
            seen[7..]
                .iter()
                .all(|request| request.starts_with("GET ") && request.contains("third-canary"))
        );
    }

    #[tokio::test]
    async fn what_is_not_snowflake_is_told_and_tokens_go_to_the_account_alone() {
        let (answer, _) = asked(&[(404, b"<html>not here</html>".to_vec())]).await;
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(error.hint().unwrap().contains("credentials.host"));
        assert!(!format!("{error:?}").contains(CANARY));

        let (status, runs) = runs("333334");
        let runs =
            String::from_utf8(runs).unwrap().replace("/queries", "http://127.0.0.1:1/queries");
        let (answer, _) = asked(&[logged_in(), (status, runs.into_bytes())]).await;
        assert!(answer.unwrap_err().message().contains("another place"));
    }

    #[test]
    fn ids_of_requests_are_uuids_that_differ() {
        let (one, other) = (request_id(), request_id());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
    }
}
