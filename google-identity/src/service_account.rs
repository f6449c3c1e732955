//! A service account with its key: what it shows of itself, and what it signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use transload_core::{Error, ErrorKind, Result, Secret};

/// How long a token of a service account is asked for: the longest. Google Identity, "Using OAuth 2.0 for server to server
/// applications".
pub(crate) const LIFETIME: u64 = 3600;

/// A service account with its key.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    pub(crate) email: String,
    key: Secret,
    key_id: Option<String>,
    pub(crate) token_uri: String,
}

impl ServiceAccount {
    /// The account of this address, with its key in PEM, whose ends of lines may be written out as `\n`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a key that cannot sign.
    pub fn new(
        email: String,
        key: &Secret,
        key_id: Option<String>,
        token_uri: String,
    ) -> Result<Self> {
        let key: Secret = key.expose().replace("\\n", "\n").into();
        let account = Self { email, key, key_id, token_uri };
        // Found out before anything is sent.
        account.signed("")?;
        Ok(account)
    }

    /// What it shows of itself for a token that lets it do this. Google Identity, "Using OAuth 2.0 for server to server
    /// applications"; RFC 7523.
    pub(crate) fn assertion(&self, scope: &str, now: u64) -> Result<Secret> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(key_id) = &self.key_id {
            header["kid"] = key_id.as_str().into();
        }
        let claims = json!({
            "iss": self.email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + LIFETIME,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.signed(&message)?);
        Ok(format!("{message}.{signature}").into())
    }

    /// The signature of a text under its RSA key: RS256 of RFC 7518.
    pub(crate) fn signed(&self, message: &str) -> Result<Vec<u8>> {
        // The words of the parsers are not kept: they may quote what they were given.
        let refused = |reason: &str| {
            Error::new(
                ErrorKind::Configuration,
                "the private key of the service account cannot be used",
            )
            .with("reason", reason)
            .with_hint("take `private_key` from the JSON key file whole, with its line ends")
        };
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|_| refused("it is no PEM"))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|_| refused("it is no private key"))?;
        let signer = key
            .choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
            .ok_or_else(|| refused("it is no RSA key"))?;
        signer.sign(message.as_bytes()).map_err(|_| refused("it cannot sign"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made for this test; nobody's.
    const KEY: &str = include_str!("../tests/data/key-of-nobody.pem");

    pub(crate) fn nobody() -> ServiceAccount {
        ServiceAccount::new(
            "loader@p.iam.gserviceaccount.com".into(),
            &KEY.into(),
            Some("0451c0ffee".into()),
            "https://oauth2.googleapis.com/token".into(),
        )
        .unwrap()
    }

    #[test]
    fn what_a_service_account_shows_is_signed_as_google_asks() {
        let scope = "https://www.googleapis.com/auth/bigquery \
                     https://www.googleapis.com/auth/devstorage.read_only";
        let shown = nobody().assertion(scope, 1_700_000_000).unwrap();
        let parts: Vec<&str> = shown.expose().split('.').collect();
        let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        insta::assert_snapshot!(format!("{}\n{}\n{}", text(parts[0]), text(parts[1]), parts[2]));
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_shown() {
        for pem in [
            "canary",
            "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
        ] {
            let made = ServiceAccount::new("a@b".into(), &pem.into(), None, String::new());
            let error = made.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        assert!(!format!("{:?}", nobody()).contains(KEY.lines().nth(3).unwrap()));
    }
}
