//! One text in place of all keys.

use std::collections::BTreeMap;

use serde_json::Value;
use transload_core::{Error, ErrorKind, Result};

/// What one text means that stands for all credentials: the content of a key file, its path, or another JSON object of the
/// keys. The text is never shown: it holds a key.
pub(crate) fn from_text(text: &str) -> Result<BTreeMap<String, String>> {
    let object: Option<BTreeMap<String, Value>> = serde_json::from_str(text).ok();
    let Some(object) = object.filter(|object| !object.contains_key("type")) else {
        let parts = transload_google_identity::from_text(text)?;
        // Those of a user and of a workload have no keys in the table.
        const OF_OTHERS: [&str; 4] =
            ["client_id", "client_secret", "refresh_token", "external_account"];
        let is_another = OF_OTHERS.iter().any(|key| parts.contains_key(*key));
        return match is_another {
            false => Ok(parts),
            true => Err(refused("its `type` is not `service_account`".into())
                .with_hint("name the file instead, in `credentials.application_credentials`")),
        };
    };
    object
        .into_iter()
        // Whoever writes all keys out writes so what is not set.
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
            _ => Err(refused(format!("its `{}` is not a text", name.escape_debug()))),
        })
        .collect()
}

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::Configuration, "the text of the credentials cannot be read")
        .with("reason", reason)
        .with_hint(
            "write a table, the content of a service account's key file, or the path of that file",
        )
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
        let table = pairs(
            r#"{"aws_access_key_id": "id", "allow_insecure": true, "role_external_id": 17,
                "aws_session_token": null}"#,
        );
        let expected = [
            pair("allow_insecure", "true"),
            pair("aws_access_key_id", "id"),
            pair("role_external_id", "17"),
        ];
        assert_eq!(table, expected);
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
            r#"{"aws_access_key_id": {"CANARY": "CANARY"}}"#,
            r#"{"type": "authorized_user", "refresh_token": "CANARY"}"#,
            r#"{"type": "service_account", "private_key": ["CANARY"]}"#,
        ] {
            let error = from_text(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(!format!("{error:?}").contains("CANARY") && error.hint().is_some());
        }
    }
}
