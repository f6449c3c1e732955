//! What the errors of stores and web servers mean for who reads from them.

use std::error::Error as StdError;

use object_store::client::HttpError;
use transload_core::{Error, ErrorKind, Redactor};
use transload_object_stores::{role_refused, without_token};

const TABLE: &str = "sources.filesystem.credentials";
const CREDENTIALS: &str = "check `[sources.filesystem.credentials]`";
const NETWORK: &str = "check the network, and `endpoint_url` where it is set";

/// What an error of a store means.
///
/// The error itself is not kept: it quotes the URL and the body of the answer, which may hold keys and signatures.
pub(super) fn of_store(error: &object_store::Error, redactor: &Redactor, origin: &str) -> Error {
    use ErrorKind::Transient;
    if let Some(refused) = without_token(error) {
        return refused.redacted(redactor).with("file", origin);
    }
    let text = error.to_string();
    let status = between(&text, "status code: ", " ").and_then(|status| status.parse().ok());
    let code = between(&text, "<Code>", "</Code>");
    let (transport, innermost) = innermost(error);
    let (kind, message, hint) = if text.contains("Generic STS error") {
        role_refused(code, status, transport, TABLE)
    } else {
        let (kind, message, hint) = by_answer(error, &text, code)
            .or_else(|| by_login(&text, status))
            .or_else(|| by_status(status))
            .or_else(|| transport.then(|| by_transport(&innermost)))
            .unwrap_or((ErrorKind::Terminal, "the store of the source failed", ""));
        (kind, message, hint.to_owned())
    };
    // A refusal that passes if it is asked again.
    let kind = match code {
        Some("SlowDown" | "ServerBusy" | "InternalError" | "RequestTimeout") => Transient,
        _ => kind,
    };
    let mut classified = Error::new(kind, message).with("file", origin);
    let words = match (code, between(&text, "<Message>", "</Message>"), status) {
        (Some(code), Some(message), _) => Some(format!("{code}: {message}")),
        (Some(code), None, _) => Some(code.to_owned()),
        (None, _, Some(status)) => Some(format!("HTTP status {status}")),
        (None, _, None) => transport.then_some(innermost),
    };
    if let Some(words) = words {
        let words: String = words.chars().take(300).collect();
        classified = classified.with("answer", redactor.scrub(&words));
    }
    if hint.is_empty() { classified } else { classified.with_hint(hint) }
}

/// Whether a store refused without a word, with a status that has many reasons.
pub(super) fn says_only_a_status(error: &object_store::Error) -> bool {
    let text = error.to_string();
    let status = between(&text, "status code: ", " ");
    matches!(status, Some("400" | "401" | "403")) && between(&text, "<Code>", "</Code>").is_none()
}

/// Whether it is the bucket that is missing, not the object.
pub(super) fn bucket_is_missing(error: &object_store::Error) -> bool {
    let text = error.to_string();
    matches!(between(&text, "<Code>", "</Code>"), Some("NoSuchBucket" | "ContainerNotFound"))
}

type Row = (ErrorKind, &'static str, &'static str);

const REGION: Row = (
    ErrorKind::Terminal,
    "the bucket of the source is in another region",
    "set `sources.filesystem.credentials.region_name` to it, or AWS_REGION",
);

/// What it means by the code in it, or by whom it is from.
fn by_answer(error: &object_store::Error, text: &str, code: Option<&str>) -> Option<Row> {
    use ErrorKind::{Configuration, Terminal};
    Some(match (code, error) {
        (Some("NoSuchBucket" | "ContainerNotFound"), _) => {
            (Configuration, "the bucket of the source does not exist", "check the URL")
        }
        (Some("ExpiredToken" | "TokenRefreshRequired"), _) => {
            (Terminal, "the credentials of the source have expired", CREDENTIALS)
        }
        (Some("RequestTimeTooSkewed"), _) => (
            Terminal,
            "the clock of this machine is wrong",
            "set it: signatures hold for 15 minutes",
        ),
        (
            Some(
                "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ),
            _,
        ) => REGION,
        // So `object_store` names a redirection that does not say where to.
        _ if text.contains("redirect without LOCATION") => REGION,
        (_, object_store::Error::NotFound { .. }) => {
            (Configuration, "there is no such source file", "check the URL")
        }
        _ if text.contains("Error reading federated token file") => (
            Configuration,
            "the file with the token cannot be read",
            "check `sources.filesystem.credentials.azure_federated_token_file`, or AZURE_FEDERATED_TOKEN_FILE",
        ),
        _ if text.contains("//169.254.") || text.contains("metadata.google.internal") => (
            Terminal,
            "there are no credentials for the source",
            "add them to `[sources.filesystem.credentials]`; what everyone may read has an `https://` URL",
        ),
        _ => return None,
    })
}

/// What it means that the server which gives out tokens refused. A login to Google was made once and may have ended.
fn by_login(text: &str, status: Option<u16>) -> Option<Row> {
    let refused = text.contains("Error performing token request");
    let hint = match text.contains("Generic GCS error") {
        true => {
            "log in again (`gcloud auth application-default login`), or check `[sources.filesystem.credentials]`: the account \
             or its key may have been disabled"
        }
        false => {
            "check `azure_tenant_id`, `azure_client_id` and `azure_client_secret` in `[sources.filesystem.credentials]`, or \
             AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; the secret may have expired"
        }
    };
    (refused && matches!(status, Some(400..=404))).then_some((
        ErrorKind::Configuration,
        "the login to the store of the source was refused",
        hint,
    ))
}

/// What an error of the client means. It quotes the URL, which is left out.
pub(super) fn of_web(error: reqwest::Error, origin: &str) -> Error {
    let error = error.without_url();
    let (kind, message, hint) = if error.is_redirect() {
        (ErrorKind::Terminal, "the source is redirected where it cannot be read", "")
    } else {
        by_transport(&innermost(&error).1)
    };
    let words: String = innermost(&error).1.chars().take(300).collect();
    let classified = Error::new(kind, message).with("file", origin).with("answer", words);
    if hint.is_empty() { classified } else { classified.with_hint(hint) }
}

/// What the status of an answer means that is no success.
pub(super) fn of_status(status: u16, origin: &str) -> Error {
    let (kind, message, hint) = match status {
        404 | 410 => (ErrorKind::Configuration, "there is no such source file", "check the URL"),
        401 | 403 => (
            ErrorKind::Terminal,
            "the server refuses to give the source out",
            "a signed URL may have expired; a store is read with keys by its own scheme: `s3://`, `gs://`, `az://`",
        ),
        _ => by_status(Some(status)).unwrap_or((
            ErrorKind::Terminal,
            "the server gave an answer that is no file",
            "",
        )),
    };
    let error = Error::new(kind, message)
        .with("file", origin)
        .with("answer", format!("HTTP status {status}"));
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

fn by_status(status: Option<u16>) -> Option<Row> {
    use ErrorKind::{Configuration, Terminal, Transient};
    Some(match status? {
        301 | 302 | 307 | 308 => REGION,
        401 | 403 => (Terminal, "the credentials do not allow to read the source", CREDENTIALS),
        404 => (Configuration, "there is no such source file", "check the URL"),
        408 | 425 | 429 => (Transient, "the store of the source is overloaded", ""),
        500..=599 => (Transient, "the store of the source failed", ""),
        400..=499 => (Terminal, "the store of the source refused the request", ""),
        _ => return None,
    })
}

fn by_transport(innermost: &str) -> Row {
    if innermost.to_lowercase().contains("certificate") {
        let hint = "it must be one that this machine trusts, for the name in the URL";
        return (ErrorKind::Terminal, "the certificate of the server is not trusted", hint);
    }
    (ErrorKind::Transient, "the source could not be reached, or the connection broke", NETWORK)
}

/// Whether the error came from the way there, and the words of what it goes back to.
fn innermost(error: &(dyn StdError + 'static)) -> (bool, String) {
    let mut transport = false;
    let mut last = error;
    loop {
        transport |=
            last.is::<HttpError>() || last.is::<reqwest::Error>() || last.is::<std::io::Error>();
        match last.source() {
            Some(source) => last = source,
            None => return (transport, last.to_string()),
        }
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let start = text.find(before)? + before.len();
    let length = text[start..].find(after)?;
    Some(&text[start..start + length])
}

#[cfg(test)]
mod tests {
    use transload_core::Secret;

    use super::*;

    fn answered(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn each_answer_has_its_meaning_and_shows_no_secret() {
        let redactor = Redactor::new(&[Secret::from("CANARY")]);
        for (status, code, kind, message) in [
            (
                404,
                "NoSuchBucket",
                ErrorKind::Configuration,
                "the bucket of the source does not exist",
            ),
            (404, "NoSuchKey", ErrorKind::Configuration, "there is no such source file"),
            (
                403,
                "AccessDenied",
                ErrorKind::Terminal,
                "the credentials do not allow to read the source",
            ),
            (
                400,
                "ExpiredToken",
                ErrorKind::Terminal,
                "the credentials of the source have expired",
            ),
            (503, "SlowDown", ErrorKind::Transient, "the store of the source failed"),
            (
                400,
                "AuthorizationHeaderMalformed",
                ErrorKind::Terminal,
                "the bucket of the source is in another region",
            ),
        ] {
            let error = answered(&format!(
                "Error performing GET https://h/x?sig=CANARY - Server returned non-2xx status code: {status} Odd: \
                 <Code>{code}</Code><Message>about CANARY</Message><Key>CANARY</Key>"
            ));
            let error = of_store(&error, &redactor, "s3://b/x");
            assert_eq!((error.kind(), error.message()), (kind, message), "{code}");
            let shown = format!("{error:?}");
            assert!(shown.contains(code) && !shown.contains("CANARY"), "{shown}");
        }
        let alone = answered("Error performing PUT http://169.254.169.254/latest/api/token");
        let alone = of_store(&alone, &redactor, "s3://b/x");
        assert_eq!(alone.message(), "there are no credentials for the source");
    }

    #[test]
    fn a_login_that_was_refused_says_how_to_log_in() {
        let refused = |store: &'static str, status: &str| {
            let text = format!(
                "Error performing token request: Error performing POST https://login/token in 1ms - Server returned non-2xx \
                 status code: {status}: {{\"error\": \"invalid_grant\", \"error_description\": \"CANARY\"}}"
            );
            let error = object_store::Error::Generic { store, source: text.into() };
            of_store(&error, &Redactor::default(), "gs://b/x")
        };
        for (store, hinted) in [("GCS", "gcloud auth"), ("MicrosoftAzure", "azure_client_secret")] {
            let error = refused(store, "400 Bad Request");
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!(error.message(), "the login to the store of the source was refused");
            assert!(error.hint().unwrap().contains(hinted), "{error:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            let busy = refused(store, "503 Service Unavailable");
            assert_eq!(busy.kind(), ErrorKind::Transient);
        }
    }

    #[test]
    fn whoever_takes_on_no_role_is_told_which_setting_says_so() {
        let refused = |text: &str| {
            let source = text.to_owned().into();
            let error = object_store::Error::Generic { store: "STS", source };
            of_store(&error, &Redactor::default(), "s3://b/x")
        };
        let denied = "status code: 403 : <Code>AccessDenied</Code><Message>no</Message>";
        let error = refused(denied);
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Configuration, "the role cannot be taken on")
        );
        assert!(error.hint().unwrap().contains("`sources.filesystem.credentials.role_arn`"));
        assert_eq!(error.context("answer"), Some("AccessDenied: no"));
        let busy = refused("status code: 503 : ");
        assert_eq!(busy.kind(), ErrorKind::Transient);
    }

    #[test]
    fn a_status_of_a_web_server_says_what_to_do() {
        assert_eq!(of_status(404, "h").kind(), ErrorKind::Configuration);
        assert_eq!(of_status(503, "h").kind(), ErrorKind::Transient);
        assert!(of_status(403, "h").hint().unwrap().contains("expired"));
        assert_eq!(of_status(418, "h").kind(), ErrorKind::Terminal);
    }
}
