//! Answers that say no, in the words of the API.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// What is sent back.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request is refused. Source: BigQuery documentation, "Error messages".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    reason: String,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: &str, message: impl ToString) -> Self {
        Self { status, reason: reason.to_owned(), message: message.to_string() }
    }

    pub(crate) fn answer(&self) -> Answer {
        let Self { status, reason, message } = self;
        let body = json!({"error": {
            "code": status,
            "message": message,
            "errors": [{"reason": reason, "message": message, "domain": "global"}],
        }});
        with_status(*status, &body)
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        Self::new(500, "internalError", error)
    }
}

/// An answer in JSON.
pub(crate) fn with_status(status: u16, body: &Value) -> Answer {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
