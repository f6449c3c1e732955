//! Tokens that are given out: for what an account has signed, and narrowed ones for those.
//!
//! Source: RFC 7523; RFC 8693; Security Token Service, `v1.token`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

use crate::accounts::{Accounts, Caller};
use crate::boundary::Boundary;
use crate::refusal::{Answer, Refusal};

/// Where tokens are had for a signature: no bucket has a name like this.
pub(crate) const TOKENS: &str = "/_token";
/// Where they are narrowed.
pub(crate) const NARROWED: &str = "/_sts";

const LIFETIME: u64 = 3600;
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The tokens that hold, with who has them and when they end.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: Mutex<HashMap<String, (Caller, u64)>>,
}

impl Tokens {
    /// Whose token this is.
    pub(crate) fn caller(&self, token: &str, now: u64) -> Option<Caller> {
        self.found(token, now).map(|(caller, _)| caller)
    }

    fn found(&self, token: &str, now: u64) -> Option<(Caller, u64)> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.get(token).filter(|(_, ends)| now < *ends).cloned()
    }

    /// Answers a form that asks for a token at this path.
    pub(crate) fn answer(&self, path: &str, form: &Bytes, accounts: &Accounts, now: u64) -> Answer {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(form).into_owned().collect();
        let made = match path {
            TOKENS => granted(&form, accounts, now).map(|caller| (caller, now + LIFETIME)),
            _ => self.narrowed(&form, now),
        };
        let text = match made {
            Ok((caller, ends)) => {
                let mut random = [0; 16];
                if SystemRandom::new().fill(&mut random).is_err() {
                    return Refusal::behind("no randomness").answer();
                }
                let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                let given = &mut self.given.lock().unwrap_or_else(PoisonError::into_inner);
                given.insert(token.clone(), (caller, ends));
                json!({
                    "access_token": token, "expires_in": ends - now, "token_type": "Bearer",
                    "issued_token_type": ACCESS_TOKEN,
                })
            }
            Err(code) => {
                let mut answer = Response::new(Full::from(json!({ "error": code }).to_string()));
                *answer.status_mut() = hyper::StatusCode::BAD_REQUEST;
                return answer;
            }
        };
        Response::new(Full::from(text.to_string()))
    }

    fn narrowed(
        &self,
        form: &BTreeMap<String, String>,
        now: u64,
    ) -> Result<(Caller, u64), &'static str> {
        let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let is_exchange = value("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
            && value("requested_token_type") == ACCESS_TOKEN
            && value("subject_token_type") == ACCESS_TOKEN;
        if !is_exchange {
            return Err("unsupported_grant_type");
        }
        let (caller, ends) = self.found(value("subject_token"), now).ok_or("invalid_grant")?;
        // A token is narrowed once.
        if caller.boundary.is_some() {
            return Err("invalid_grant");
        }
        let boundary = Boundary::read(value("options")).map_err(|_| "invalid_request")?;
        Ok((Caller { boundary: Some(boundary), writes: false, ..caller }, ends))
    }
}

/// Who is given a token for what it has signed.
fn granted(
    form: &BTreeMap<String, String>,
    accounts: &Accounts,
    now: u64,
) -> Result<Caller, &'static str> {
    let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if value("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return Err("unsupported_grant_type");
    }
    accounts.of_assertion(value("assertion"), TOKENS, now).ok_or("invalid_grant")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::Value;

    use super::*;
    use crate::accounts::tests::{accounts, token};
    use crate::boundary::tests::options;

    async fn asked(tokens: &Tokens, path: &str, form: &[(&str, &str)], now: u64) -> Value {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = tokens.answer(path, &form.into(), &accounts(), now);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn a_signature_is_changed_for_a_token_and_that_for_one_that_opens_less() {
        let tokens = Tokens::default();
        let assertion = token("k", "loader@test.example", 100, 3600);
        let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let form = [("grant_type", bearer), ("assertion", &assertion)];
        let own = asked(&tokens, TOKENS, &form, 200).await;
        let own = own["access_token"].as_str().unwrap();
        assert!(tokens.caller(own, 3799).unwrap().writes);
        assert_eq!(tokens.caller(own, 3800), None);

        let options = options("a/");
        let exchange = |token: &str| {
            [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
                ("requested_token_type", ACCESS_TOKEN.to_owned()),
                ("subject_token_type", ACCESS_TOKEN.to_owned()),
                ("subject_token", token.to_owned()),
                ("options", options.clone()),
            ]
        };
        let ask = async |token: &str, now: u64| {
            let form = exchange(token);
            let form: Vec<(&str, &str)> =
                form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            asked(&tokens, NARROWED, &form, now).await
        };
        let narrowed = ask(own, 1000).await;
        assert_eq!(narrowed["expires_in"], 2800);
        let narrowed = narrowed["access_token"].as_str().unwrap();
        let caller = tokens.caller(narrowed, 1000).unwrap();
        assert!(!caller.writes && caller.boundary.unwrap().allows("lake", "a/b", ""));
        for (token, now) in [(narrowed, 1000), ("none", 1000), (own, 3800)] {
            assert_eq!(ask(token, now).await["error"], "invalid_grant", "{token}");
        }
    }
}
