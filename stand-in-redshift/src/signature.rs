//! Who signed a request: Amazon's signatures, made once more with the secret of whoever says to have signed.
//!
//! Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".

use std::collections::BTreeMap;

use hyper::HeaderMap;
use ring::{digest, hmac};

/// Someone who may sign.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    /// The name of the user or of the session of a role, as a database knows it: `IAM:…` or `IAMR:…`.
    pub(crate) name: String,
    /// The secret access key.
    pub(crate) secret: String,
    /// The token without which temporary keys are nothing.
    pub(crate) token: Option<String>,
}

/// A code of Amazon's errors, and its message.
pub(crate) type Wrong = (&'static str, &'static str);

/// Who signed this POST to `/` for a service.
///
/// # Errors
/// What Amazon says where nobody did whom it knows.
pub(crate) fn signer<'s>(
    headers: &HeaderMap,
    body: &[u8],
    service: &str,
    known: &'s BTreeMap<String, Signer>,
) -> Result<&'s Signer, Wrong> {
    const INCOMPLETE: Wrong =
        ("IncompleteSignature", "Authorization header requires existence of its parts.");
    const MISMATCH: Wrong = (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
    );
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization")
        .ok_or(("MissingAuthenticationToken", "Request is missing Authentication Token"))?;
    let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or(INCOMPLETE)?;
    let part = |name: &str| {
        parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(scope), Some(signed), Some(signature), Some(date)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"), header("x-amz-date"))
    else {
        return Err(INCOMPLETE);
    };
    let (id, scope) = scope.split_once('/').ok_or(INCOMPLETE)?;
    let [day, region, of_service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err(INCOMPLETE);
    };
    let signer =
        known.get(id).filter(|known| known.token.as_deref() == header("x-amz-security-token"));
    let signer = signer.ok_or((
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ))?;
    let names: Vec<&str> = signed.split(';').collect();
    let hash = hex(digest::digest(&digest::SHA256, body).as_ref());
    let is_complete = ["host", "x-amz-date"].iter().all(|name| names.contains(name))
        && (signer.token.is_none() || names.contains(&"x-amz-security-token"))
        && header("x-amz-content-sha256").is_none_or(|said| said == hash)
        && date.starts_with(day)
        && of_service == service;
    let lines: Option<String> = names
        .iter()
        .map(|name| {
            Some(format!(
                "{name}:{}\n",
                header(name)?.split_whitespace().collect::<Vec<_>>().join(" ")
            ))
        })
        .collect();
    let (true, Some(lines)) = (is_complete, lines) else { return Err(MISMATCH) };
    let request = format!("POST\n/\n\n{lines}\n{signed}\n{hash}");
    let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{request}");
    let mut key = format!("AWS4{}", signer.secret).into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = sign(&key, part);
    }
    if hex(&sign(&key, &text)) == signature { Ok(signer) } else { Err(MISMATCH) }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use object_store::aws::{AwsAuthorizer, AwsCredential};
    use object_store::client::HttpRequest;

    use super::*;

    const BODY: &str = "Action=GetClusterCredentials";

    fn signed(id: &str, secret: &str, token: Option<&str>, service: &str) -> HeaderMap {
        let mut request = HttpRequest::new(BODY.to_owned().into());
        *request.method_mut() = "POST".parse().unwrap();
        *request.uri_mut() = "http://localhost:5439/".parse().unwrap();
        let token = token.map(str::to_owned);
        let keys = AwsCredential { key_id: id.into(), secret_key: secret.into(), token };
        AwsAuthorizer::new(&keys, service, "eu-west-1").try_authorize(&mut request, None).unwrap();
        let mut headers = request.headers().clone();
        headers.insert("host", "localhost:5439".parse().unwrap());
        headers
    }

    #[test]
    fn only_what_was_signed_with_the_secret_is_believed() {
        let signer_of = |secret: &str, token: Option<&str>| Signer {
            name: "IAM:me".into(),
            secret: secret.into(),
            token: token.map(str::to_owned),
        };
        let known = BTreeMap::from([
            ("AKIA".to_owned(), signer_of("s", None)),
            ("ASIA".to_owned(), signer_of("t", Some("token"))),
        ]);
        for (headers, body, service, code) in [
            (signed("AKIA", "s", None, "redshift"), BODY, "redshift", None),
            (signed("ASIA", "t", Some("token"), "redshift"), BODY, "redshift", None),
            (signed("ASIA", "t", None, "redshift"), BODY, "redshift", Some("InvalidClientTokenId")),
            (signed("AKIB", "s", None, "redshift"), BODY, "redshift", Some("InvalidClientTokenId")),
            (
                signed("AKIA", "x", None, "redshift"),
                BODY,
                "redshift",
                Some("SignatureDoesNotMatch"),
            ),
            (
                signed("AKIA", "s", None, "redshift"),
                "other",
                "redshift",
                Some("SignatureDoesNotMatch"),
            ),
            (signed("AKIA", "s", None, "s3"), BODY, "redshift", Some("SignatureDoesNotMatch")),
            (HeaderMap::new(), BODY, "redshift", Some("MissingAuthenticationToken")),
        ] {
            let found = signer(&headers, body.as_bytes(), service, &known);
            assert_eq!(found.map_err(|(code, _)| code).err(), code, "{headers:?}");
        }
    }
}
