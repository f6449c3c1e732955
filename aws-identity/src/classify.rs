//! Why there are no keys: what the service for roles said, or the machine.

use std::error::Error as StdError;

use object_store::client::HttpError;
use transload_core::{Error, ErrorKind};

/// A kind, a message and a hint, which may be empty.
pub type Row = (ErrorKind, &'static str, String);

/// What it means that a role could not be taken on, from the code and the status of the answer and whether there was none
/// at all. The keys of the hints stand in this table of the settings.
///
/// Source: AWS Security Token Service, "AssumeRole" and "AssumeRoleWithWebIdentity", errors, and "Common errors".
pub fn role_refused(code: Option<&str>, status: Option<u16>, lost: bool, table: &str) -> Row {
    use ErrorKind::{Configuration, Terminal, Transient};
    match (code, status) {
        (Some("TokenFile"), _) => (
            Configuration,
            "the file with the token for the role cannot be read",
            format!("check `{table}.web_identity_token_file`, or AWS_WEB_IDENTITY_TOKEN_FILE"),
        ),
        (Some("ExpiredToken" | "ExpiredTokenException"), _) => (
            Terminal,
            "the credentials have expired",
            "get new keys, or a new token, for whoever takes on the role, then resume the load"
                .into(),
        ),
        (Some("InvalidIdentityToken" | "IDPRejectedClaim"), _) => (
            Configuration,
            "the token for the role was refused",
            "see that the role trusts its issuer and audience, and that it is of this machine"
                .into(),
        ),
        (Some("InvalidClientTokenId" | "InvalidAccessKeyId" | "SignatureDoesNotMatch"), _) => {
            (Configuration, "the keys that take on the role were refused", keys_of(table))
        }
        (Some("IDPCommunicationError" | "Throttling" | "ThrottlingException"), _)
        | (_, Some(429 | 500..=599)) => {
            (Transient, "the service that gives out roles failed", String::new())
        }
        (_, None) if lost => (
            Transient,
            "the service that gives out roles could not be reached",
            format!("check `{table}.sts_endpoint_url`, the region and the network"),
        ),
        _ => (
            Configuration,
            "the role cannot be taken on",
            format!(
                "check `{table}.role_arn` and `{table}.role_external_id`, and that the role trusts whoever asks"
            ),
        ),
    }
}

fn keys_of(table: &str) -> String {
    format!(
        "check `{table}.aws_access_key_id`, `{table}.aws_secret_access_key` and `{table}.aws_session_token`"
    )
}

/// What an error of [`provider`](crate::provider()) means, for a plugin that wants nothing but the keys. The error itself is not
/// kept: it may quote a whole answer.
pub fn explain(error: &object_store::Error, table: &str) -> Error {
    let text = error.to_string();
    let between = |before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        Some(rest.split_once(after)?.0.to_owned())
    };
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    let mut lost = None;
    while let Some(cause) = next {
        if lost.is_some() || cause.downcast_ref::<HttpError>().is_some() {
            lost = Some(cause.to_string());
        }
        next = cause.source();
    }
    let code = between("<Code>", "</Code>");
    let status = between("status code: ", " ").and_then(|status| status.parse().ok());
    let (kind, message, hint) = if text.contains("Generic STS error") {
        role_refused(code.as_deref(), status, lost.is_some(), table)
    } else if matches!(status, Some(429 | 500..=599)) {
        (
            ErrorKind::Transient,
            "the service that gives out the keys of this machine failed",
            String::new(),
        )
    } else {
        (
            ErrorKind::Configuration,
            "there are no credentials for Amazon",
            format!(
                "add `{table}.aws_access_key_id` and `{table}.aws_secret_access_key`, or `{table}.profile_name`, or run on \
                 a machine with an identity of its own"
            ),
        )
    };
    let mut explained = Error::new(kind, message);
    let words = match (code, between("<Message>", "</Message>"), status, lost) {
        (Some(code), Some(message), ..) => Some(format!("{code}: {message}")),
        (Some(code), ..) => Some(code),
        (_, _, Some(status), _) => Some(format!("HTTP status {status}")),
        (.., lost) => lost,
    };
    if let Some(words) = words {
        explained = explained.with("answer", words.chars().take(300).collect::<String>());
    }
    if hint.is_empty() { explained } else { explained.with_hint(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_keys_is_told_why() {
        use ErrorKind::{Configuration, Terminal, Transient};
        let of = |store: &'static str, text: &str| {
            explain(
                &object_store::Error::Generic { store, source: text.to_owned().into() },
                "login",
            )
        };
        for (store, text, kind, message) in [
            (
                "STS",
                "status code: 403 : <Code>AccessDenied</Code><Message>no</Message>",
                Configuration,
                "the role cannot be taken on",
            ),
            (
                "STS",
                "status code: 400 : <Code>ExpiredTokenException</Code>",
                Terminal,
                "the credentials have expired",
            ),
            ("STS", "status code: 503 : ", Transient, "the service that gives out roles failed"),
            (
                "STS",
                "<Code>TokenFile</Code> not found",
                Configuration,
                "the file with the token for the role cannot be read",
            ),
            (
                "S3",
                "Error performing PUT http://169.254.169.254/latest/api/token in 3ms?CANARY",
                Configuration,
                "there are no credentials for Amazon",
            ),
            (
                "S3",
                "Error performing GET http://169.254.170.2/CANARY in 3ms - status code: 503 Busy: ",
                Transient,
                "the service that gives out the keys of this machine failed",
            ),
        ] {
            let error = of(store, text);
            assert_eq!((error.kind(), error.message()), (kind, message), "{text}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
        let denied = of("STS", "status code: 403 : <Code>AccessDenied</Code><Message>no</Message>");
        assert_eq!(denied.context("answer"), Some("AccessDenied: no"));
        assert!(denied.hint().unwrap().contains("`login.role_arn`"));
    }
}
