//! One request: whether a fault is to happen, who asks, and which of the two APIs it is for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use percent_encoding::percent_decode_str;

use crate::accounts::{Accounts, Caller, bearer, now};
use crate::backend::Backend;
use crate::faults::{Action, Fault, Faults};
use crate::refusal::{Answer, Refusal};
use crate::signed::signer;
use crate::tokens::{NARROWED, TOKENS, Tokens};
use crate::uploads::Uploads;
use crate::xml;

/// Where faults are ordered: no bucket has a name like this.
const FAULTS: &str = "/_faults";
/// The paths of the JSON API.
const JSON: [&str; 4] = ["/storage/", "/upload/", "/download/", "/batch/"];

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) backend: Backend,
    pub(crate) uploads: Uploads,
    accounts: Accounts,
    tokens: Tokens,
    faults: Faults,
}

impl Server {
    pub(crate) fn new(backend: Backend, accounts: Accounts) -> Self {
        let (uploads, tokens, faults) = Default::default();
        Self { backend, uploads, accounts, tokens, faults }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Where the connection is to end in the place of an answer.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Answer> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = percent_decode_str(target).decode_utf8_lossy().into_owned();
        if head.uri.path() == FAULTS {
            return self.order(&head.method, body).await;
        }
        let action = self.faults.take(head.method.as_str(), &target);
        match &action {
            Some(Action::Reset) => return Err(lost("before it was read")),
            Some(Action::Wait(milliseconds)) => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            }
            _ => {}
        }
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if let Some(Action::Refuse { status, code }) = &action {
            return Ok(Refusal::new(*status, code, "So it was ordered.").answer());
        }
        let answer = self.done(&head, body).await;
        if action == Some(Action::Lose) {
            return Err(lost("after it was done"));
        }
        Ok(answer.unwrap_or_else(|refusal| refusal.answer()))
    }

    async fn done(&self, head: &Parts, body: Bytes) -> Result<Answer, Refusal> {
        let path = head.uri.path();
        if matches!(path, TOKENS | NARROWED) && head.method == Method::POST {
            return Ok(self.tokens.answer(path, &body, &self.accounts, now()));
        }
        let is_json = JSON.iter().any(|json| path.starts_with(json));
        let caller = self.caller(head)?;
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        // The JSON API is not looked into: a narrowed token opens nothing there.
        let is_within = match &caller.boundary {
            Some(boundary) => !is_json && xml::is_within(boundary, head)?,
            None => true,
        };
        if !is_within || !(reads || caller.writes) {
            return Err(Refusal::forbidden(&caller.email));
        }
        match is_json {
            true => self.pass_on(head, body).await,
            false => xml::answer(self, head, body).await,
        }
    }

    /// Who asks: by the signature in the address, or by a token.
    fn caller(&self, head: &Parts) -> Result<Caller, Refusal> {
        let now = now();
        if let Some(signed) = signer(&self.accounts, head, now) {
            return signed;
        }
        let token = bearer(&head.headers)
            .ok_or_else(|| Refusal::unauthenticated("Authentication required."))?;
        self.accounts
            .of_token(token, now)
            .or_else(|| self.tokens.caller(token, now))
            .ok_or_else(|| Refusal::unauthenticated("The provided token is not valid."))
    }

    async fn pass_on(&self, head: &Parts, body: Bytes) -> Result<Answer, Refusal> {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let of_the_way = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, AUTHORIZATION];
        let mut headers = head.headers.clone();
        of_the_way.iter().for_each(|name| {
            headers.remove(name);
        });
        let request = self.backend.passed_on(head.method.clone(), target).headers(headers);
        let answered = request.body(body).send().await?;
        let (status, mut headers) = (answered.status(), answered.headers().clone());
        of_the_way.iter().for_each(|name| {
            headers.remove(name);
        });
        let mut answer = Response::new(Full::from(answered.bytes().await?));
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }

    /// Orders a fault, or lists those to come.
    async fn order(&self, method: &Method, body: Incoming) -> io::Result<Answer> {
        if method == Method::GET {
            return Ok(Response::new(Full::from(serde_json::to_vec(&self.faults.to_come())?)));
        }
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(match serde_json::from_slice::<Fault>(&body) {
            Ok(fault) => {
                self.faults.add(fault);
                Response::new(Full::default())
            }
            Err(error) => Refusal::invalid(&error.to_string()).answer(),
        })
    }
}

fn lost(when: &str) -> io::Error {
    io::Error::other(format!("the connection ends {when}: so it was ordered"))
}
