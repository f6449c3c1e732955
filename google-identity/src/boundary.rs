//! Tokens that open less than those they are made of: what lies below some prefixes of a bucket, for reading.
//!
//! Source: Google Cloud IAM, "Downscope with Credential Access Boundaries"; Security Token Service, `v1.token`.

use std::fmt::Write as _;

use reqwest::Client;
use serde_json::{Value, json};
use transload_core::{Error, ErrorKind, Result};

use crate::clocks::Clocks;
use crate::tokens::{Token, answer, post_form};

/// Where Google gives out such tokens.
pub const STS: &str = "https://sts.googleapis.com/v1/token";

/// The scope that a token needs of which they are made.
pub const CLOUD: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The rules that a boundary has at most.
const RULES: usize = 10;

/// A token that reads and lists what lies below these prefixes of a bucket and nothing else. It is made at this address, of a
/// token that was given out by Google, and ends with it at the latest.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for more prefixes than a boundary has rules; else as for any token.
pub async fn downscoped(
    http: &Client,
    sts: &str,
    of: &Token,
    bucket: &str,
    prefixes: &[String],
) -> Result<Token> {
    let asked = Clocks::now();
    let boundary = boundary(bucket, prefixes)?.to_string();
    let request = post_form(http, sts, &exchange(of, &boundary));
    let answer = answer(request, sts).await.map_err(|error| match error.kind() {
        ErrorKind::Configuration => {
            let general = error.hint().unwrap_or_default();
            let hint = format!(
                "{general}; that the API `sts.googleapis.com` is enabled in the project; and that the token of which \
                 another one is made has the scope {CLOUD}, which on a machine is one of its access scopes"
            );
            error.with_hint(hint)
        }
        _ => error,
    })?;
    let narrowed = Token::read(&answer, "access_token", asked)?;
    // Where the answer does not say when it ends, it ends with the other one.
    let ends = match answer["expires_in"].is_u64() {
        true => narrowed.ends.first(of.ends),
        false => of.ends,
    };
    Ok(Token { ends, ..narrowed })
}

/// What is asked for. RFC 8693, section 2.1.
fn exchange<'a>(of: &'a Token, boundary: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", of.text.expose()),
        ("options", boundary),
    ]
}

/// What the token may do, whatever the one may of which it is made.
fn boundary(bucket: &str, prefixes: &[String]) -> Result<Value> {
    if prefixes.is_empty() || prefixes.len() > RULES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a token of Google's is narrowed to one prefix at least and ten at most",
        )
        .with("prefixes", prefixes.len()));
    }
    let rules: Vec<Value> = prefixes.iter().map(|prefix| rule(bucket, prefix)).collect();
    Ok(json!({ "accessBoundary": { "accessBoundaryRules": rules } }))
}

fn rule(bucket: &str, prefix: &str) -> Value {
    let objects = literal(&format!("projects/_/buckets/{bucket}/objects/{prefix}"));
    let listed = literal(prefix);
    json!({
        "availableResource": format!("//storage.googleapis.com/projects/_/buckets/{bucket}"),
        "availablePermissions": ["inRole:roles/storage.objectViewer"],
        "availabilityCondition": {
            "expression": format!(
                "resource.name.startsWith({objects}) || \
                 api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith({listed})"
            ),
        },
    })
}

/// A text as a literal of the Common Expression Language, in which nothing stands for anything else. Source: CEL, "Language
/// Definition", String and Bytes Values.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for sign in text.chars() {
        match sign {
            '\'' | '"' | '\\' => {
                literal.push('\\');
                literal.push(sign);
            }
            // What ends a line is one of them.
            sign if sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}') => {
                let _ = write!(literal, "\\u{:04x}", u32::from(sign));
            }
            sign => literal.push(sign),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn token() -> Token {
        let ends = Clocks::now().after(Duration::from_secs(3600));
        Token { text: "t0ken".into(), ends }
    }

    #[test]
    fn the_exchange_is_asked_for_as_google_wants_it() {
        let prefixes = ["raw/d/p/1.5/".to_owned(), "it's/d/p/1.6/".to_owned()];
        let boundary = boundary("lake", &prefixes).unwrap();
        let shown = serde_json::to_string_pretty(&boundary).unwrap();
        let token = token();
        let pairs = exchange(&token, &shown);
        let lines: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_text_stays_itself_in_an_expression() {
        for (text, expected) in [
            ("a/b c-é", "'a/b c-é'"),
            ("it's", r"'it\'s'"),
            (r"a\b", r"'a\\b'"),
            (r#"say "x""#, r#"'say \"x\"'"#),
            ("a\nb\t\u{7f}\u{85}\u{2028}", r"'a\u000ab\u0009\u007f\u0085\u2028'"),
            ("') || true || ('", r"'\') || true || (\''"),
        ] {
            assert_eq!(literal(text), expected);
        }
    }

    #[test]
    fn a_boundary_has_ten_rules_at_most() {
        let prefixes = |count: usize| vec!["p/".to_owned(); count];
        let rules = |count: usize| boundary("lake", &prefixes(count));
        let ten = rules(10).unwrap();
        let ten = ten["accessBoundary"]["accessBoundaryRules"].as_array().map(Vec::len);
        assert_eq!(ten, Some(10));
        for count in [0, 11] {
            assert_eq!(rules(count).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}
