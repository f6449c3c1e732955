//! Who asks: tokens that a service account has signed itself or was given for a signature, and what the account may do.
//!
//! Source: AIP-4111, "Self-signed JWT"; Google Identity, "Using OAuth 2.0 for server to server applications".

use std::io;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde::Deserialize;

use crate::boundary::Boundary;

/// The accounts there are.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// Who may do everything.
    loader: String,
    /// Who may read.
    reader: String,
    key_id: String,
    public_key: Vec<u8>,
}

/// Who has shown a token that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) email: String,
    /// Whether it may change anything.
    pub(crate) writes: bool,
    /// What it may do no more than, with a token that was narrowed.
    pub(crate) boundary: Option<Boundary>,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    aud: Option<String>,
    scope: String,
    iat: u64,
    exp: u64,
}

/// What lets a token do anything in Google's cloud.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that a token may hold, in seconds.
const LONGEST: u64 = 3600;

impl Accounts {
    /// The account whose key file this is, and the one that reads.
    pub(crate) fn new(key_file: &str) -> io::Result<Self> {
        let file: KeyFile = serde_json::from_str(key_file).map_err(io::Error::other)?;
        let (_, domain) = file
            .client_email
            .split_once('@')
            .ok_or_else(|| io::Error::other("the account has no domain"))?;
        let reader = format!("reader@{domain}");
        let pem: String = file.private_key.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(pem).map_err(io::Error::other)?;
        let key = RsaKeyPair::from_pkcs8(&der)
            .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        let public_key = key.public_key().as_ref().to_vec();
        Ok(Self { loader: file.client_email, reader, key_id: file.private_key_id, public_key })
    }

    /// Whose token this is, which the account has signed itself.
    pub(crate) fn of_token(&self, token: &str, now: u64) -> Option<Caller> {
        let claims = self.claims(token, now)?;
        (claims.sub.as_ref() == Some(&claims.iss)).then(|| self.known(&claims.iss)).flatten()
    }

    /// Who asks for a token with this assertion, at an address that ends so.
    pub(crate) fn of_assertion(&self, assertion: &str, address: &str, now: u64) -> Option<Caller> {
        let claims = self.claims(assertion, now)?;
        let is_for_us = claims.aud.is_some_and(|audience| audience.ends_with(address));
        is_for_us.then(|| self.known(&claims.iss)).flatten()
    }

    fn claims(&self, token: &str, now: u64) -> Option<Claims> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let is_ours = header.alg == "RS256" && header.kid.as_deref() == Some(&self.key_id);
        let is_now =
            claims.iat <= now + 60 && now < claims.exp && claims.exp <= claims.iat + LONGEST;
        let holds = is_ours && is_now && claims.scope == SCOPE;
        (holds && self.has_signed(message, &decode(signature)?)).then_some(claims)
    }

    /// The account of this address.
    pub(crate) fn known(&self, email: &str) -> Option<Caller> {
        let is_known = [&self.loader, &self.reader].iter().any(|known| *known == email);
        let writes = email == self.loader;
        is_known.then(|| Caller { email: email.to_owned(), writes, boundary: None })
    }

    /// Whether this is the signature of a text under the key of the accounts.
    pub(crate) fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

/// The token in the headers of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Now, in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::RSA_PKCS1_SHA256;

    use super::*;

    /// The key that `cargo xtask up gcs` hands out, known to everybody.
    const KEY: &str = include_str!("../../xtask/src/stack/gcs.key");

    pub(crate) fn accounts() -> Accounts {
        let key = format!("-----BEGIN PRIVATE KEY-----\n{KEY}-----END PRIVATE KEY-----\n");
        let file = serde_json::json!({
            "client_email": "loader@test.example", "private_key": key, "private_key_id": "k",
        });
        Accounts::new(&file.to_string()).unwrap()
    }

    pub(crate) fn token(kid: &str, issuer: &str, issued: u64, lasts: u64) -> String {
        let encode = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(serde_json::json!({"typ": "JWT", "alg": "RS256", "kid": kid}));
        let claims = encode(serde_json::json!({
            "iss": issuer, "sub": issuer, "aud": "http://gcs/_token", "scope": SCOPE, "iat": issued,
            "exp": issued + lasts,
        }));
        let message = format!("{header}.{claims}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signed(&message));
        format!("{message}.{signature}")
    }

    pub(crate) fn signed(message: &str) -> Vec<u8> {
        let der = BASE64_STANDARD.decode(KEY.lines().collect::<String>()).unwrap();
        let key = RsaKeyPair::from_pkcs8(&der).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .unwrap();
        signature
    }

    #[test]
    fn a_token_that_an_account_signed_names_it() {
        let accounts = accounts();
        for (email, writes) in [("loader@test.example", true), ("reader@test.example", false)] {
            let caller = accounts.of_token(&token("k", email, 100, 3600), 200);
            assert_eq!(caller, Some(Caller { email: email.to_owned(), writes, boundary: None }));
            let asks =
                |address: &str| accounts.of_assertion(&token("k", email, 100, 3600), address, 200);
            assert_eq!((asks("/_token"), asks("/other")), (caller, None));
        }
    }

    #[test]
    fn any_other_token_is_refused() {
        let (accounts, loader) = (accounts(), "loader@test.example");
        let good = token("k", loader, 100, 3600);
        let (message, signature) = good.rsplit_once('.').unwrap();
        let other = token("k", "reader@test.example", 100, 3600);
        let (others, _) = other.rsplit_once('.').unwrap();
        for (what, token, now) in [
            ("expired", good.clone(), 3700),
            ("not yet", good.clone(), 20),
            ("too long", token("k", loader, 100, 3601), 200),
            ("another key", token("other", loader, 100, 3600), 200),
            ("another account", token("k", "other@test.example", 100, 3600), 200),
            ("the signature of another one", format!("{others}.{signature}"), 200),
            ("another signature", format!("{message}.{}", "A".repeat(342)), 200),
            ("none", String::new(), 200),
        ] {
            assert_eq!(accounts.of_token(&token, now), None, "{what}");
        }
    }
}
