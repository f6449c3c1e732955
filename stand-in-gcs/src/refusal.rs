//! Answers that say no, in the words of the XML API.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

/// What is sent back.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request is refused. Source: Google Cloud Storage, "HTTP status and error codes for XML".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl ToString) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: code.to_owned(), message: message.to_string() }
    }

    /// Who asks has shown no token that holds.
    pub(crate) fn unauthenticated(why: &str) -> Self {
        Self::new(401, "AuthenticationRequired", why)
    }

    /// Who asks may not.
    pub(crate) fn forbidden(email: &str) -> Self {
        let message = format!("{email} does not have access to this Google Cloud Storage object.");
        Self::new(403, "AccessDenied", message)
    }

    pub(crate) fn no_such_bucket() -> Self {
        Self::new(404, "NoSuchBucket", "The specified bucket does not exist.")
    }

    pub(crate) fn no_such_key() -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.")
    }

    pub(crate) fn no_such_upload() -> Self {
        Self::new(404, "NoSuchUpload", "The upload ID is invalid.")
    }

    pub(crate) fn precondition() -> Self {
        let message = "At least one of the pre-conditions you specified did not hold.";
        Self::new(412, "PreconditionFailed", message)
    }

    pub(crate) fn invalid(why: &str) -> Self {
        Self::new(400, "InvalidArgument", why)
    }

    /// The program behind did something that it should not have done.
    pub(crate) fn behind(what: impl ToString) -> Self {
        Self::new(500, "InternalError", what)
    }

    pub(crate) fn answer(&self) -> Answer {
        let body = format!(
            "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>{}</Message></Error>",
            escape(&self.code),
            escape(&self.message)
        );
        let mut answer = xml(body);
        *answer.status_mut() = self.status;
        answer
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        Self::behind(error)
    }
}

/// An answer with a document.
pub(crate) fn xml(body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    let kind = hyper::header::HeaderValue::from_static("application/xml; charset=UTF-8");
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    answer
}

/// A text as it may stand in a document.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
