//! A session: its statements run to their end, its tokens are renewed, and it says goodbye.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use transload_core::{ErrorKind, Result, Secret};

use super::{Account, PAUSE, milliseconds, refused, request_id};
use crate::answer::{self, Answer, Envelope};
use crate::session::{Failure, SnowflakeSession};

/// The longest pause between two questions for the end of a statement. The server itself waits some 45 seconds with each
/// answer, so that this is for one that does not.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a session is known by. The second one renews the first.
pub(super) struct Tokens {
    session: Secret,
    master: Secret,
}

impl Tokens {
    pub(super) fn of(data: &Json, session: &str, master: &str) -> Option<Self> {
        let text = |key: &str| data.get(key).and_then(Json::as_str).map(Secret::from);
        Some(Self { session: text(session)?, master: text(master)? })
    }
}

/// A session over HTTP.
pub(crate) struct HttpSession {
    account: Arc<Account>,
    tokens: Tokens,
    sequence: u64,
    /// The statement that was sent and not answered, with its id.
    running: Option<(String, String)>,
}

impl fmt::Debug for HttpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSession").field("account", &self.account).finish_non_exhaustive()
    }
}

impl HttpSession {
    pub(super) fn new(account: Arc<Account>, tokens: Tokens) -> Self {
        Self { account, tokens, sequence: 0, running: None }
    }

    /// Sends a statement and asks until it has ended, for as long as that takes: the server answers by itself, each 45
    /// seconds or so, that it still runs.
    async fn end_of(&mut self, sql: &str, tag: &str, id: &str) -> Result<Envelope, Failure> {
        let body = json!({
            "sqlText": sql,
            "asyncExec": false,
            "sequenceId": self.sequence,
            "parameters": { "QUERY_TAG": tag },
            "querySubmissionTime": u64::try_from(milliseconds()).unwrap_or_default(),
        });
        let query = [("requestId", id.to_owned())];
        let mut pause = PAUSE;
        // Where to ask for the end, once it runs.
        let mut runs: Option<String> = None;
        let mut was_begun = false;
        let mut renewed = false;
        loop {
            let token = Some(&self.tokens.session);
            let envelope = match &runs {
                Some(place) => self.account.ask(place, &self.tokens.session).await,
                None => {
                    let path = "/queries/v1/query-request";
                    let sent = self.account.send(path, &query, &body, token).await;
                    sent.map(|(envelope, at_once)| {
                        was_begun |= !at_once;
                        envelope
                    })
                }
            };
            let envelope = envelope.map_err(Failure::Lost)?;
            if envelope.code() == EXPIRED && !renewed {
                renewed = true;
                self.renew(was_begun).await?;
                continue;
            }
            if ENDED.contains(&envelope.code()) {
                return Err(ended(&envelope, was_begun));
            }
            renewed = false;
            let Some(place) = envelope.in_progress() else { return Ok(envelope) };
            was_begun = true;
            runs = Some(place.to_owned());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gets new tokens for the session, which goes on with its transaction. `was_begun` says whether the statement that
    /// found the old ones expired may run.
    async fn renew(&mut self, was_begun: bool) -> Result<(), Failure> {
        let query = [("requestId", request_id())];
        let body = json!({
            "oldSessionToken": self.tokens.session.expose(),
            "requestType": "RENEW",
        });
        let path = "/session/token-request";
        let sent = self.account.send(path, &query, &body, Some(&self.tokens.master)).await;
        let (envelope, _) = sent.map_err(Failure::Lost)?;
        match Tokens::of(&envelope.data, "sessionToken", "masterToken") {
            Some(tokens) if envelope.success => {
                self.tokens = tokens;
                Ok(())
            }
            _ => Err(ended(&envelope, was_begun)),
        }
    }
}

/// What becomes of a statement whose session has ended. To log in anew may help, whatever the session ended by.
fn ended(envelope: &Envelope, was_begun: bool) -> Failure {
    let error = refused(envelope).with_kind(ErrorKind::Transient);
    match was_begun {
        true => Failure::Lost(error),
        false => Failure::Ended(error),
    }
}

/// The session's token has expired, and can be renewed. Source for this and the next: the constants of Snowflake's drivers.
const EXPIRED: &str = "390112";

/// The session is no more: somebody ended it, or its master token is not there, expired or wrong.
const ENDED: [&str; 6] = ["390104", "390111", EXPIRED, "390113", "390114", "390115"];

#[async_trait]
impl SnowflakeSession for HttpSession {
    async fn run(&mut self, sql: &str, tag: &str) -> Result<Answer, Failure> {
        let id = request_id();
        self.sequence += 1;
        self.running = Some((id.clone(), sql.to_owned()));
        let envelope = self.end_of(sql, tag, &id).await?;
        if !envelope.success {
            self.running = None;
            let code = envelope.code().to_owned();
            let mut error = refused(&envelope);
            if sql.starts_with("COPY ") {
                let message = envelope.message.as_deref().unwrap_or_default();
                error = crate::load_errors::explain(error, message);
            }
            return Err(Failure::Refused { code, error });
        }
        let (mut answer, parts) = answer::read(envelope.data).map_err(Failure::Lost)?;
        self.account.fetch(&mut answer, &parts).await.map_err(Failure::Lost)?;
        self.running = None;
        Ok(answer)
    }
}

impl Drop for HttpSession {
    fn drop(&mut self) {
        let mut requests = Vec::new();
        if let Some((id, sql)) = self.running.take() {
            let query = vec![("requestId", request_id())];
            requests.push((
                "/queries/v1/abort-request",
                query,
                json!({ "sqlText": sql, "requestId": id }),
            ));
        }
        let query = vec![("delete", "true".to_owned()), ("requestId", request_id())];
        requests.push(("/session", query, json!({})));
        self.account.send_off(requests, self.tokens.session.clone());
    }
}
