//! Addresses of services: encrypted, or on this machine.

use transload_core::settings::Settings;
use transload_core::{Result, check_encrypted};

/// The domain of Amazon's services in a region. Source: AWS General Reference, "AWS service endpoints", and "China".
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The address that stands in a setting. `insecure` is the setting that allows one that is not encrypted, with its value.
///
/// # Errors
/// [`transload_core::ErrorKind::Configuration`] where it is no address, or not encrypted and not allowed.
pub fn address(
    settings: &Settings,
    key: &str,
    text: &str,
    (insecure, allowed): (&str, bool),
) -> Result<url::Url> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url
        .filter(|url| {
            url.username().is_empty() && url.password().is_none() && url.query().is_none()
        })
        .ok_or_else(|| {
            settings.wrong(key, "it is no address").with_hint("write `https://host:port`")
        })?;
    let host = url.host_str().unwrap_or_default();
    check_encrypted(url.scheme() == "https", host, allowed, &settings.full_key(insecure))?;
    Ok(url)
}
