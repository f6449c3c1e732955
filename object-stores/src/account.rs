//! A storage account of Azure, as a URL names it, and which addresses are of its vendor.

use url::Url;

/// A storage account, as an `abfss://` names it: `name.dfs.domain`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// `core.windows.net`, or that of another cloud of the vendor's.
    pub domain: String,
}

impl Account {
    /// The domain of the public cloud.
    pub const PUBLIC: &str = "core.windows.net";

    /// The domains of accounts in the clouds of Azure. Source: Azure, "Storage account overview" and those of its sovereign
    /// clouds; Microsoft Fabric, "Connecting to OneLake".
    pub const CLOUDS: [&str; 4] =
        [Self::PUBLIC, "core.chinacloudapi.cn", "core.usgovcloudapi.net", "fabric.microsoft.com"];

    /// The account that a host is of, for files (`.dfs.`) or for blobs (`.blob.`). Source: Azure, "Storage account overview".
    pub fn of_host(host: &str) -> Option<Self> {
        let parts: Vec<&str> = host.split('.').collect();
        let [name, "dfs" | "blob", ref domain @ ..] = parts[..] else { return None };
        let is_domain = !domain.is_empty() && domain.iter().all(|part| is_label(part));
        (is_name(name) && is_domain)
            .then(|| Self { name: name.to_owned(), domain: domain.join(".") })
    }
}

/// The domain of accounts whose hosts hold the name of a zone. Source: Azure, "Storage account overview", "Azure DNS zone
/// endpoints".
const ZONES: &str = "storage.azure.net";

/// Where principals log in to Azure. Source: Microsoft Entra, "National clouds".
const LOGINS: [&str; 6] = [
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login-us.microsoftonline.com",
];

/// Whether this is an address of accounts of Azure's own.
pub(crate) fn is_azure(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_below =
        |domain: &str| host.strip_suffix(domain).is_some_and(|labels| labels.ends_with('.'));
    Account::CLOUDS.into_iter().chain([ZONES]).any(is_below)
}

/// Whether principals of Azure's log in there.
pub(crate) fn is_login(url: &Url) -> bool {
    url.host_str().is_some_and(|host| LOGINS.contains(&host))
}

/// Whether an address is on this machine.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    transload_core::is_this_machine(url.host_str().unwrap_or_default())
}

/// Whether an account may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_label(part: &str) -> bool {
    let proper = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&part.len()) && part.bytes().all(proper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_an_account_names_it_with_its_cloud() {
        let of = |host: &str| Account::of_host(host).map(|found| (found.name, found.domain));
        let account = |domain: &str| Some(("acc".to_owned(), domain.to_owned()));
        assert_eq!(of("acc.dfs.core.windows.net"), account(Account::PUBLIC));
        assert_eq!(of("acc.blob.core.chinacloudapi.cn"), account("core.chinacloudapi.cn"));
        for host in
            ["acc", "acc.dfs", "acc.dfs.", "acc.file.x", "ac.dfs.x", "ACC.dfs.x", "acc.dfs.x:1"]
        {
            assert_eq!(of(host), None, "{host}");
        }
    }

    #[test]
    fn the_addresses_of_the_vendor_are_told_from_others() {
        let url = |host: &str| Url::parse(&format!("https://{host}/lake")).unwrap();
        for host in [
            "acc.blob.core.windows.net",
            "ACC.blob.core.chinacloudapi.cn:443",
            "acc.z01.blob.storage.azure.net",
            "onelake.blob.fabric.microsoft.com",
        ] {
            assert!(is_azure(&url(host)), "{host}");
        }
        for host in ["core.windows.net", "acc.blob.notcore.windows.net.example", "127.0.0.1"] {
            assert!(!is_azure(&url(host)), "{host}");
        }
        assert!(!is_azure(&url("blob.evilcore.windows.net")));
        assert!(is_login(&url("login.microsoftonline.com")));
        assert!(!is_login(&url("login.microsoftonline.com.example")));
        assert!(is_this_machine(&url("localhost:1")) && is_this_machine(&url("[::1]")));
        assert!(!is_this_machine(&url("10.0.0.1")));
    }
}
