//! Logging in by a key pair: a token that the private key signs.
//!
//! ring signs, in constant time; `pkcs8` only opens the envelope of the key. Source: Snowflake documentation, "Using
//! key-pair authentication and key rotation".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pkcs8::der::asn1::BitStringRef;
use pkcs8::der::{AnyRef, Encode as _, SecretDocument};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use transload_core::{Error, ErrorKind, Result, Secret};

/// Snowflake takes a token for an hour at most, from the time that it says it was made.
const VALIDITY: Duration = Duration::from_secs(55 * 60);

/// `rsaEncryption` of RFC 8017.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The key pair of a user.
pub(crate) struct KeyPair {
    key: RsaKeyPair,
    /// `SHA256:` and the hash of the public key, as Snowflake shows it of a user.
    fingerprint: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// Reads a private key: PEM, or DER in base64, PKCS#8 with or without encryption, or PKCS#1.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], which never shows any of the key.
    pub(crate) fn read(key: &Secret, passphrase: Option<&Secret>) -> Result<Self> {
        let (label, der) = open(key.expose().trim())?;
        let der = match (label.as_deref(), passphrase) {
            (Some("ENCRYPTED PRIVATE KEY"), None) => {
                return Err(wrong("it is encrypted, and there is no `private_key_passphrase`"));
            }
            (Some("RSA PRIVATE KEY" | "PRIVATE KEY"), _) => der,
            (_, Some(passphrase)) => match EncryptedPrivateKeyInfoRef::try_from(der.as_bytes()) {
                Ok(encrypted) => encrypted
                    .decrypt(passphrase.expose())
                    .map_err(|_| wrong("`private_key_passphrase` does not open it"))?,
                Err(_) => der,
            },
            (_, None) => der,
        };
        let key = RsaKeyPair::from_pkcs8(der.as_bytes())
            .or_else(|_| RsaKeyPair::from_der(der.as_bytes()))
            .map_err(|_| wrong("it is no RSA key of 2048 to 4096 bits"))?;
        let fingerprint = fingerprint(&key)?;
        Ok(Self { key, fingerprint })
    }

    /// A token for this user of this account, both in upper case as Snowflake compares them.
    pub(crate) fn token(&self, account: &str, user: &str, now: SystemTime) -> Result<Secret> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let subject = format!("{}.{}", account.to_ascii_uppercase(), user.to_ascii_uppercase());
        let claims = serde_json::json!({
            "iss": format!("{subject}.{}", self.fingerprint),
            "sub": subject,
            "iat": now.as_secs(),
            "exp": (now + VALIDITY).as_secs(),
        });
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| Error::new(ErrorKind::Terminal, "the private key does not sign"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

/// The kind of key that PEM names, and its DER.
fn open(text: &str) -> Result<(Option<String>, SecretDocument)> {
    if text.starts_with("-----BEGIN ") {
        // Keys in environment variables have their line ends written out.
        let text = text.replace("\\n", "\n").replace('\r', "");
        let (label, der) =
            SecretDocument::from_pem(&text).map_err(|_| wrong("it is no PEM of a key"))?;
        return Ok((Some(label.to_owned()), der));
    }
    let text: String = text.split_whitespace().collect();
    let der = STANDARD.decode(text).map_err(|_| wrong("it is neither PEM nor base64"))?;
    let der = SecretDocument::try_from(der).map_err(|_| wrong("it is no DER of a key"))?;
    Ok((None, der))
}

/// The hash of the whole SubjectPublicKeyInfo, as `DESC USER` shows it.
fn fingerprint(key: &RsaKeyPair) -> Result<String> {
    let unusable = |_| wrong("its public half cannot be written down");
    let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
    let subject_public_key =
        BitStringRef::from_bytes(key.public_key().as_ref()).map_err(unusable)?;
    let info = SubjectPublicKeyInfoRef { algorithm, subject_public_key };
    let der = info.to_der().map_err(unusable)?;
    let hash = ring::digest::digest(&ring::digest::SHA256, &der);
    Ok(format!("SHA256:{}", STANDARD.encode(hash)))
}

fn wrong(reason: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "the private key cannot be used")
        .with("reason", reason)
        .with_hint("`openssl genrsa 2048 | openssl pkcs8 -topk8 -inform PEM -out key.p8` makes one")
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// Of `testdata/public.pem`: `openssl rsa -in plain.p8 -pubout -outform DER | openssl dgst -sha256 -binary | base64`.
    const FINGERPRINT: &str = "SHA256:h5wguD+R56dzKiZBwbF2+8sLSJbyVWl/ca14BKzWk38=";

    fn read(name: &str, passphrase: Option<&str>) -> Result<KeyPair> {
        let file = format!("{}/src/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        KeyPair::read(&text.into(), passphrase.map(Secret::from).as_ref())
    }

    #[test]
    fn keys_of_every_kind_are_one_key() {
        let passphrase = Some("open-sesame");
        for (name, passphrase) in [
            ("plain.p8", None),
            ("plain.p8", passphrase),
            ("pkcs1.pem", None),
            ("aes.p8", passphrase),
            ("des3.p8", passphrase),
        ] {
            let key = read(name, passphrase).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(key.fingerprint, FINGERPRINT, "{name}");
        }
        let plain = include_str!("testdata/plain.p8");
        let base64: String = plain.lines().filter(|line| !line.starts_with('-')).collect();
        let in_a_variable = plain.replace('\n', "\\n");
        for text in [base64, in_a_variable] {
            assert_eq!(KeyPair::read(&text.into(), None).unwrap().fingerprint, FINGERPRINT);
        }
    }

    #[test]
    fn what_cannot_be_used_says_why_and_shows_nothing() {
        for (key, reason) in [
            (read("aes.p8", None), "passphrase"),
            (read("aes.p8", Some("wrong")), "passphrase"),
            (read("other.p8", None), "RSA"),
            (KeyPair::read(&"CANARY".into(), None), "base64"),
            (KeyPair::read(&"CANARY++".into(), None), "DER"),
        ] {
            let error = key.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.context("reason").unwrap().contains(reason), "{error:?}");
            assert!(!format!("{error:?}").contains("CANARY"));
        }
    }

    #[test]
    fn a_token_is_signed_for_one_user_of_one_account() {
        let key = read("plain.p8", None).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = key.token("myorg-account1", "loader", now).unwrap();
        let (text, signature) = token.expose().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.key.public_key().as_ref())
            .verify(text.as_bytes(), &signature)
            .unwrap();
        let claims = URL_SAFE_NO_PAD.decode(text.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], format!("MYORG-ACCOUNT1.LOADER.{FINGERPRINT}"));
        assert_eq!(claims["sub"], "MYORG-ACCOUNT1.LOADER");
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&1_700_000_000.into(), &1_700_003_300.into())
        );
    }
}
