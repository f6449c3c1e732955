//! Whether an address may be spoken to without encryption, and what of it may be shown.

use std::net::IpAddr;

use url::Url;

use crate::{Error, ErrorKind, Result};

/// Refuses to speak to another machine without encryption, unless that is allowed: keys and rows would be readable to
/// whoever stands in between. `host` is that of the address, `key` names the setting that allows it.
///
/// # Errors
/// [`ErrorKind::Configuration`], with the code `E_TLS_REQUIRED`.
pub fn check_encrypted(
    is_encrypted: bool,
    host: &str,
    allow_insecure: bool,
    key: &str,
) -> Result<()> {
    if is_encrypted || allow_insecure || is_this_machine(host) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Configuration, "the connection to another machine is not encrypted")
        .with("code", "E_TLS_REQUIRED")
        .with("host", host)
        .with_hint(format!(
            "write `https://`, or take `sslmode = \"disable\"` out; where the network in between is to be trusted, \
             set `{key} = true`"
        )))
}

/// Whether a host of a URL is this machine, whatever the network says. Source: RFC 6761, section 6.3.
pub fn is_this_machine(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}

/// An address as it may be shown: without user, password, query and fragment, in which keys may stand.
pub fn without_secrets(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return "?".into() };
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    cleared.map_or_else(|()| "?".into(), |()| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_a_key() {
        for (address, shown) in [
            ("https://me:CANARY@s3.example:9/a?key=CANARY#CANARY", "https://s3.example:9/a"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/"),
            ("CANARY", "?"),
            ("data:CANARY", "?"),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        let allowed =
            |is_encrypted, host| check_encrypted(is_encrypted, host, false, "allow_insecure");
        for host in ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "LOCALHOST.", "s3.localhost"] {
            allowed(false, host).unwrap();
        }
        for host in ["s3.example.com", "10.0.0.1", "[::2]", "localhost.example.com", "0.0.0.0", ""]
        {
            let error = allowed(false, host).unwrap_err();
            assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"), "{host}");
            assert!(error.hint().unwrap().contains("allow_insecure"));
            allowed(true, host).unwrap();
            check_encrypted(false, host, true, "allow_insecure").unwrap();
        }
    }
}
