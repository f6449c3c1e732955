//! The client of a container of Azure Blob Storage, and what signs for it.

mod delegation;
mod shared_access;

use std::sync::Arc;

use object_store::azure::MicrosoftAzure;
use transload_core::Result;
use transload_core::settings::Settings;
use url::Url;

use crate::client::clients;
use crate::config::{Account, StoreCredentials};

pub(crate) use shared_access::Signer;

/// A container, ready to be asked.
pub(crate) struct Azure {
    pub(crate) client: Arc<MicrosoftAzure>,
    pub(crate) address: Url,
    pub(crate) signer: Signer,
}

/// Makes the client. Opens no connection.
pub(crate) fn azure(
    settings: &Settings,
    credentials: &StoreCredentials,
    container: &str,
    account: Option<&Account>,
) -> Result<Azure> {
    const ACCOUNT: &str = "credentials.azure_storage_account_name";
    if let (Some(account), Some(other)) = (account, &credentials.azure_storage_account_name)
        && account.name != *other
    {
        return Err(settings
            .wrong(ACCOUNT, "it is not the account in `bucket_url`")
            .with("account in bucket_url", &account.name)
            .with_hint("leave one of them out: the keys belong to one account"));
    }
    let made = clients(settings, credentials).azure(container, account)?;
    let named = (made.account.as_str(), container);
    let signer = Signer::new(credentials, &made.client, &made.address, named, made.options);
    Ok(Azure { client: made.client, address: made.address, signer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FilesystemSettings, Root, root};

    #[test]
    fn an_account_is_not_named_twice_and_differently() {
        let made = |name: &str| -> Result<String> {
            let url = "abfss://lake@acc.dfs.core.windows.net/a";
            let of_settings = ("credentials.azure_storage_account_name", name);
            let settings = Settings::from_pairs("filesystem", &[("bucket_url", url), of_settings]);
            let configured: FilesystemSettings = settings.read()?;
            let Root::Container { container, account, .. } = root(&settings, url)? else {
                panic!()
            };
            azure(&settings, &configured.credentials, &container, account.as_ref())
                .map(|azure| azure.address.into())
        };
        assert_eq!(made("acc").unwrap(), "https://acc.blob.core.windows.net/");
        let error = made("canary").unwrap_err();
        let key = "destination.filesystem.credentials.azure_storage_account_name";
        assert_eq!(error.context("key"), Some(key));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}
