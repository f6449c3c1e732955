//! One text in place of all keys.

use std::collections::BTreeMap;

use serde_json::Value;
use transload_core::{Error, ErrorKind, Result};

/// What one text means that stands for all credentials: the content of a key file, another JSON object of the keys, or the
/// path of a file. The text is never shown: it holds a key.
pub(crate) fn from_text(text: &str) -> Result<BTreeMap<String, String>> {
    let refused = |reason: String| {
        Error::new(ErrorKind::Configuration, "the text of the credentials cannot be read")
            .with("reason", reason)
            .with_hint("write a table, the content of a service account's key file, or the path of that file")
    };
    let text = text.trim();
    if !text.starts_with('{') {
        let is_path = text.ends_with(".json") || text.contains(['/', '\\']);
        if !is_path || text.contains("://") || text.chars().any(char::is_control) {
            return Err(refused("it is neither JSON nor the path of a file".into()));
        }
        return Ok([("application_credentials".to_owned(), text.to_owned())].into());
    }
    let object: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|error| {
        refused(format!("not JSON from line {}, column {} on", error.line(), error.column()))
    })?;
    let kind = object.get("type").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "service_account") {
        return Err(refused("its `type` is not `service_account`".into())
            .with_hint("name the file instead, in `credentials.application_credentials`"));
    }
    let is_key_file = kind.is_some();
    // A key file holds addresses of Google's besides, which nothing here follows.
    const OF_AN_ACCOUNT: [&str; 4] =
        ["project_id", "client_email", "private_key", "private_key_id"];
    object
        .into_iter()
        .filter(|(name, _)| !is_key_file || OF_AN_ACCOUNT.contains(&name.as_str()))
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Bool(value) => Ok((name, value.to_string())),
            _ => Err(refused(format!("its `{}` is not a text", name.escape_debug()))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_stands_for_the_credentials() {
        let pairs = |text: &str| from_text(text).unwrap().into_iter().collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let file = r#"{"type": "service_account", "project_id": "p", "client_email": "a@b",
            "private_key": "k\nk", "private_key_id": "i", "client_id": "1", "token_uri": "https://t"}"#;
        let expected = [
            pair("client_email", "a@b"),
            pair("private_key", "k\nk"),
            pair("private_key_id", "i"),
            pair("project_id", "p"),
        ];
        assert_eq!(pairs(file), expected);
        let table = pairs(r#"{"aws_access_key_id": "id", "allow_insecure": true}"#);
        assert_eq!(table, [pair("allow_insecure", "true"), pair("aws_access_key_id", "id")]);
        for path in ["/keys/loader.json", "loader.json", "keys/loader"] {
            assert_eq!(pairs(path), [pair("application_credentials", path)]);
        }
    }

    #[test]
    fn a_text_that_is_no_credentials_is_refused_and_not_shown() {
        for text in [
            "CANARY",
            "",
            "s3://CANARY/x",
            "{\"private_key\": CANARY}",
            r#"{"type": "authorized_user", "refresh_token": "CANARY"}"#,
            r#"{"type": "service_account", "private_key": ["CANARY"]}"#,
        ] {
            let error = from_text(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(!format!("{error:?}").contains("CANARY") && error.hint().is_some());
        }
    }
}
