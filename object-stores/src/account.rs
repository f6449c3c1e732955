//! A storage account of Azure, as a URL names it.

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

    /// The account that a host is of, for files (`.dfs.`) or for blobs (`.blob.`). Source: Azure, "Storage account overview".
    pub fn of_host(host: &str) -> Option<Self> {
        let parts: Vec<&str> = host.split('.').collect();
        let [name, "dfs" | "blob", ref domain @ ..] = parts[..] else { return None };
        let is_domain = !domain.is_empty() && domain.iter().all(|part| is_label(part));
        (is_name(name) && is_domain)
            .then(|| Self { name: name.to_owned(), domain: domain.join(".") })
    }
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
}
