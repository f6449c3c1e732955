//! Who asks: tokens that a service account has signed itself, and what the account may do.
//!
//! Source: AIP-4111, "Self-signed JWT".

use std::io;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde::Deserialize;

use crate::refusal::Refusal;

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
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) email: String,
    /// Whether it may change anything.
    pub(crate) writes: bool,
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
    sub: String,
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

    /// Who sent a request with these headers.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Refusal::unauthenticated("Authentication required."))?;
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        self.of_token(token, now)
            .ok_or_else(|| Refusal::unauthenticated("The provided token is not valid."))
    }

    fn of_token(&self, token: &str, now: u64) -> Option<Caller> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let is_ours = header.alg == "RS256" && header.kid.as_deref() == Some(&self.key_id);
        let is_now =
            claims.iat <= now + 60 && now < claims.exp && claims.exp <= claims.iat + LONGEST;
        let is_known = [&self.loader, &self.reader].contains(&&claims.iss);
        if !(is_ours && is_now && is_known && claims.sub == claims.iss && claims.scope == SCOPE) {
            return None;
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(message.as_bytes(), &decode(signature)?)
            .ok()?;
        Some(Caller { writes: claims.iss == self.loader, email: claims.iss })
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::RSA_PKCS1_SHA256;

    use super::*;

    /// The key that `cargo xtask up gcs` hands out, known to everybody.
    const KEY: &str = include_str!("../../xtask/src/stack/gcs.key");

    fn accounts() -> Accounts {
        let key = format!("-----BEGIN PRIVATE KEY-----\n{KEY}-----END PRIVATE KEY-----\n");
        let file = serde_json::json!({
            "client_email": "loader@test.example", "private_key": key, "private_key_id": "k",
        });
        Accounts::new(&file.to_string()).unwrap()
    }

    fn token(kid: &str, issuer: &str, issued: u64, lasts: u64) -> String {
        let encode = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(serde_json::json!({"typ": "JWT", "alg": "RS256", "kid": kid}));
        let claims = encode(serde_json::json!({
            "iss": issuer, "sub": issuer, "scope": SCOPE, "iat": issued, "exp": issued + lasts,
        }));
        let message = format!("{header}.{claims}");
        let der = BASE64_STANDARD.decode(KEY.lines().collect::<String>()).unwrap();
        let key = RsaKeyPair::from_pkcs8(&der).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn a_token_that_an_account_signed_names_it() {
        let accounts = accounts();
        for (email, writes) in [("loader@test.example", true), ("reader@test.example", false)] {
            let caller = accounts.of_token(&token("k", email, 100, 3600), 200);
            assert_eq!(caller, Some(Caller { email: email.to_owned(), writes }));
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
