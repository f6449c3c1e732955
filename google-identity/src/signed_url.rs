//! Addresses that open one object for whoever has them: signed by a service account.
//!
//! Source: Google Cloud Storage, "Signatures" and "Canonical requests" (V4 signing process). A slash in the name of an object
//! stays one, in the address and in what is signed.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use transload_core::{Result, Secret, Sha256Hex};
use url::{Position, Url};

use crate::service_account::ServiceAccount;

const ALGORITHM: &str = "GOOG4-RSA-SHA256";

/// What stands in an address as it is. RFC 3986, section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in the name of an object.
const NAME: &AsciiSet = &UNRESERVED.remove(b'/');

/// An object to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The root of the store: `https://storage.googleapis.com`.
    pub root: &'a Url,
    /// The bucket.
    pub bucket: &'a str,
    /// The name in it, as it is.
    pub name: &'a str,
}

impl ServiceAccount {
    /// An address that reads an object, from a point in time on (in UTC: `20261122T174539Z`) and for as many seconds as this,
    /// a week at most. The account must be allowed to read it.
    ///
    /// # Errors
    /// [`transload_core::ErrorKind::Configuration`] for a key that cannot sign.
    pub fn signed_url(&self, object: Object<'_>, now: &str, seconds: u64) -> Result<Secret> {
        let Object { root, bucket, name } = object;
        let encoded = |text: &str, set| utf8_percent_encode(text, set).to_string();
        let host = &root[Position::BeforeHost..Position::AfterPort];
        let below = root.path().trim_end_matches('/');
        let path = format!("{below}/{}/{}", encoded(bucket, UNRESERVED), encoded(name, NAME));
        let date = now.split('T').next().unwrap_or_default();
        let scope = format!("{date}/auto/storage/goog4_request");
        let credential = encoded(&format!("{}/{scope}", self.email), UNRESERVED);
        // Sorted by name, as they are signed.
        let query = format!(
            "X-Goog-Algorithm={ALGORITHM}&X-Goog-Credential={credential}&X-Goog-Date={now}&X-Goog-Expires={seconds}&\
             X-Goog-SignedHeaders=host"
        );
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let hash = Sha256Hex::of(request.as_bytes());
        let signature = self.signed(&format!("{ALGORITHM}\n{now}\n{scope}\n{hash}"))?;
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let scheme = root.scheme();
        Ok(format!("{scheme}://{host}{path}?{query}&X-Goog-Signature={signature}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_account::tests::nobody;

    const GOOGLE: &str = "https://storage.googleapis.com";

    fn signed(root: &str, name: &str, seconds: u64) -> String {
        let root = Url::parse(root).unwrap();
        let object = Object { root: &root, bucket: "lake", name };
        let url = nobody().signed_url(object, "20261122T174539Z", seconds).unwrap();
        assert!(!format!("{url:?}").contains("Signature"));
        url.expose().to_owned()
    }

    /// The signatures were made apart from this code, by one that signs Google's own examples as Google does.
    #[test]
    fn an_address_is_signed_as_google_signs() {
        let url = signed(GOOGLE, "raw/a b+c%é'/1~2.parquet", 3600);
        let (shown, signature) = url.split_once("&X-Goog-Signature=").unwrap();
        assert_eq!(
            shown,
            "https://storage.googleapis.com/lake/raw/a%20b%2Bc%25%C3%A9%27/1~2.parquet?X-Goog-Algorithm=GOOG4-RSA-SHA256&\
             X-Goog-Credential=loader%40p.iam.gserviceaccount.com%2F20261122%2Fauto%2Fstorage%2Fgoog4_request&\
             X-Goog-Date=20261122T174539Z&X-Goog-Expires=3600&X-Goog-SignedHeaders=host"
        );
        assert_eq!(
            signature,
            "4074a483a52add6fa0c8907f708a3ec850d414bb4208fad614f4a30f99aabee50eac8e1ad5ef87dd5ac1d527be03b725513b3d825b5c44ec\
             512114faf13d08987cce6d3643233a8cdb57fc3bedf581a4ea91f0a2c5d810e89753b518e7617b9691e680783e4da7920b555019f9d0c727\
             dd5f4ab645838f37bb553e2a6c5c00063b9000b3b5da270d13f184afa1760c0ebab92f0ef161d120656d5c78e573264108e7b5a97d35757d\
             be872a692aa4c84a49170eaf53f82bb7414be7b2c254b8993a9e25287cdb71132481bd09cfe2bc3dd019811b2a1b7071e78ecabdd413dfda\
             d9d5d7b69796418d2eac7fc4019e3c72a3175346cc273af1ec47067122e6aa5f"
        );
    }

    #[test]
    fn the_host_that_is_asked_is_signed() {
        let url = signed("http://127.0.0.1:4443/below/", "a", 1);
        let (shown, signature) = url.split_once('?').unwrap();
        assert_eq!(shown, "http://127.0.0.1:4443/below/lake/a");
        assert!(signature.contains("&X-Goog-Signature=7bce49b2c58143ee64a447434384a8a1"), "{url}");
    }
}
