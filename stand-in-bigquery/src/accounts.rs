//! Who asks: service accounts show that they have their key, and are given tokens.
//!
//! Source: Google Identity, "Using OAuth 2.0 for server to server applications".

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::json;

use crate::refusal::{Answer, Refusal, with_status};

/// The longest that a token may be asked for, in seconds.
const LONGEST: u64 = 3600;

/// The accounts there are, and their tokens.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// Who may do everything.
    loader: String,
    /// Who may do nothing.
    powerless: String,
    public_key: Vec<u8>,
    token_uri: String,
    /// Tokens with whose they are, and how many were given.
    tokens: Mutex<(BTreeMap<String, String>, u64)>,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: u64,
    exp: u64,
}

impl Accounts {
    /// The account whose key file this is, and the powerless one. Tokens are had at this address.
    pub(crate) fn new(key_file: &str, token_uri: String) -> io::Result<Self> {
        let file: KeyFile = serde_json::from_str(key_file).map_err(io::Error::other)?;
        let (_, domain) = file
            .client_email
            .split_once('@')
            .ok_or_else(|| io::Error::other("the account has no domain"))?;
        let powerless = format!("powerless@{domain}");
        let pem: String = file.private_key.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(pem).map_err(io::Error::other)?;
        let key = RsaKeyPair::from_pkcs8(&der)
            .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        let public_key = key.public_key().as_ref().to_vec();
        let tokens = Mutex::default();
        Ok(Self { loader: file.client_email, powerless, public_key, token_uri, tokens })
    }

    /// Gives a token for the form that was sent, or refuses.
    pub(crate) fn give(&self, form: &[u8]) -> Answer {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(form).into_owned().collect();
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let is_asked = form
            .get("grant_type")
            .is_some_and(|grant| grant == "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let account = form
            .get("assertion")
            .filter(|_| is_asked)
            .and_then(|assertion| self.shown(assertion, now));
        let Some(account) = account else {
            let body =
                json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
            return with_status(400, &body);
        };
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.1 += 1;
        let token = format!("token-of-the-stand-in-{}", tokens.1);
        tokens.0.insert(token.clone(), account);
        with_status(
            200,
            &json!({"access_token": token, "expires_in": LONGEST, "token_type": "Bearer"}),
        )
    }

    /// Lets every token end.
    pub(crate) fn end_tokens(&self) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).0.clear();
    }

    /// Says why a request with these headers is refused.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens.0.get(token) {
            Some(account) if *account == self.loader => Ok(()),
            Some(account) => {
                let message = format!(
                    "Access Denied: {account} does not have bigquery.jobs.create permission"
                );
                Err(Refusal::new(403, "accessDenied", message))
            }
            None => Err(Refusal::new(
                401,
                "authError",
                "Request had invalid authentication credentials.",
            )),
        }
    }

    fn shown(&self, assertion: &str, now: u64) -> Option<String> {
        let (message, signature) = assertion.rsplit_once('.')?;
        let (_, claims) = message.split_once('.')?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let is_now =
            claims.iat <= now + 60 && now < claims.exp && claims.exp <= claims.iat + LONGEST;
        let is_known = [&self.loader, &self.powerless].contains(&&claims.iss);
        let is_for_us = claims.aud == self.token_uri
            && claims.scope.contains("https://www.googleapis.com/auth/bigquery");
        if !(is_now && is_known && is_for_us) {
            return None;
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(message.as_bytes(), &decode(signature)?)
            .ok()?;
        Some(claims.iss)
    }
}
