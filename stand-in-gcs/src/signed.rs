//! Addresses that an account has signed: whose signature it is, and whether it still holds.
//!
//! Source: Google Cloud Storage, "Signatures" and "Canonical requests" (V4 signing process).

use hyper::header::HOST;
use hyper::http::request::Parts;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ring::digest::{SHA256, digest};

use crate::accounts::{Accounts, Caller};
use crate::refusal::Refusal;

const SIGNATURE: &str = "X-Goog-Signature=";
/// The longest that an address may hold, in seconds: a week.
const LONGEST: u64 = 604_800;

/// Who signed the address of this request; nothing where it has no signature.
pub(crate) fn signer(
    accounts: &Accounts,
    head: &Parts,
    now: u64,
) -> Option<Result<Caller, Refusal>> {
    let query = head.uri.query()?;
    query.contains(SIGNATURE).then(|| checked(accounts, head, query, now))
}

fn checked(accounts: &Accounts, head: &Parts, query: &str, now: u64) -> Result<Caller, Refusal> {
    let wrong = || Refusal::new(403, "SignatureDoesNotMatch", "Access denied.");
    let value = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).ok_or_else(wrong)
    };
    let (date, credential) = (value("X-Goog-Date")?, value("X-Goog-Credential")?);
    let (email, scope) = credential.split_once('/').ok_or_else(wrong)?;
    let is_known = value("X-Goog-Algorithm")? == "GOOG4-RSA-SHA256"
        && value("X-Goog-SignedHeaders")? == "host"
        && Some(scope)
            == date.get(..8).map(|day| format!("{day}/auto/storage/goog4_request")).as_deref();
    let signature = value("X-Goog-Signature")?;
    let signature: Option<Vec<u8>> = (0..signature.len() / 2)
        .map(|at| u8::from_str_radix(signature.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    let mut pairs: Vec<&str> =
        query.split('&').filter(|pair| !pair.starts_with(SIGNATURE)).collect();
    pairs.sort_unstable();
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let request = format!(
        "{}\n{}\n{}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
        head.method,
        head.uri.path(),
        pairs.join("&")
    );
    let hash = digest(&SHA256, request.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let to_sign = format!("GOOG4-RSA-SHA256\n{date}\n{scope}\n{hash}");
    if !is_known || !accounts.has_signed(&to_sign, &signature.ok_or_else(wrong)?) {
        return Err(wrong());
    }
    let begins = DateTime::strptime("%Y%m%dT%H%M%SZ", &date).ok();
    let begins = begins.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let begins = begins.and_then(|date| u64::try_from(date.timestamp().as_second()).ok());
    let (begins, lasts) = (begins.ok_or_else(wrong)?, value("X-Goog-Expires")?);
    let lasts = lasts.parse::<u64>().ok().filter(|lasts| *lasts <= LONGEST).ok_or_else(wrong)?;
    if !(begins <= now + 900 && now <= begins + lasts) {
        return Err(Refusal::new(400, "ExpiredToken", "Invalid argument."));
    }
    accounts.known(email).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::accounts::tests::{accounts, signed};

    /// 2026-11-22T17:45:39Z.
    const NOW: u64 = 1_795_369_539;

    fn query(email: &str, lasts: u64) -> String {
        format!(
            "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={}%2F20261122%2Fauto%2Fstorage%2Fgoog4_request&\
             X-Goog-Date=20261122T174539Z&X-Goog-Expires={lasts}&X-Goog-SignedHeaders=host",
            email.replace('@', "%40")
        )
    }

    fn signature(query: &str) -> String {
        let request = format!("GET\n/lake/a%20b\n{query}\nhost:gcs:1\n\nhost\nUNSIGNED-PAYLOAD");
        let hash = digest(&SHA256, request.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let scope = "20261122/auto/storage/goog4_request";
        let signature = signed(&format!("GOOG4-RSA-SHA256\n20261122T174539Z\n{scope}\n{hash}"));
        signature.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn asked(method: &str, target: &str, now: u64) -> Option<Result<Caller, Refusal>> {
        let request = Request::builder().method(method).uri(target).header(HOST, "gcs:1");
        let (head, ()) = request.body(()).unwrap().into_parts();
        signer(&accounts(), &head, now)
    }

    #[test]
    fn an_address_opens_its_object_for_as_long_as_it_says() {
        let query = query("reader@test.example", 3600);
        let url = format!("/lake/a%20b?{query}&X-Goog-Signature={}", signature(&query));
        for now in [NOW, NOW + 3600] {
            let caller = asked("GET", &url, now).unwrap().unwrap();
            assert_eq!((caller.email.as_str(), caller.writes), ("reader@test.example", false));
        }
        assert!(asked("GET", "/lake/a%20b", NOW).is_none());
        for (what, method, url, now) in [
            ("expired", "GET", url.clone(), NOW + 3601),
            ("not yet", "GET", url.clone(), NOW - 901),
            ("another object", "GET", url.replace("a%20b", "a%20c"), NOW),
            ("longer", "GET", url.replace("=3600", "=3601"), NOW),
            ("another method", "DELETE", url.clone(), NOW),
        ] {
            assert!(asked(method, &url, now).unwrap().is_err(), "{what}");
        }
        for query in
            [self::query("reader@test.example", 604_801), self::query("other@test.example", 9)]
        {
            let url = format!("/lake/a%20b?{query}&X-Goog-Signature={}", signature(&query));
            assert!(asked("GET", &url, NOW).unwrap().is_err(), "{query}");
        }
    }
}
