//! The client of a container of Azure Blob Storage.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::ClientOptions;
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use transload_core::settings::{Origin, Settings};
use transload_core::{Error, ErrorKind, Result};
use url::Url;

use crate::account::{is_azure, is_login, is_name, is_this_machine};
use crate::{Account, Clients, ENDPOINT, retries};

const ACCOUNT: &str = "credentials.azure_storage_account_name";
const KEY: &str = "credentials.azure_storage_account_key";
const SAS: &str = "credentials.azure_storage_sas_token";
const SECRET: &str = "credentials.azure_client_secret";
const TOKEN_FILE: &str = "credentials.azure_federated_token_file";
/// What the variables of Azure's own tools begin with.
const TOOLS: &str = "AZURE_";
const AUTHORITY: &str = "credentials.azure_authority_host";
const HOST: &str = "credentials.azure_account_host";

/// A container of Azure, ready to be asked.
pub struct Azure {
    /// The client.
    pub client: Arc<MicrosoftAzure>,
    /// Where the account is asked.
    pub address: Url,
    /// The name of the account.
    pub account: String,
    /// What holds for the connections to it.
    pub options: ClientOptions,
}

impl fmt::Debug for Azure {
    /// Clients of `object_store` print the keys that they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Clients<'_> {
    /// The client of a container. An account that is named with it, as by a URL, goes before that of the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the settings are wrong or not whole.
    pub fn azure(&self, container: &str, account: Option<&Account>) -> Result<Azure> {
        let name = self.account_name(account)?;
        let address = self.address_of_blobs(name, account)?;
        let authority = self.authority()?;
        let is_http = |url: &Url| url.scheme() == "http";
        let with_http = is_http(&address) || authority.as_ref().is_some_and(is_http);
        let options = self.options().with_allow_http(with_http);
        let builder = MicrosoftAzureBuilder::new()
            .with_container_name(container)
            .with_account(name)
            .with_endpoint(address.as_str().trim_end_matches('/').to_owned())
            .with_retry(retries())
            .with_client_options(options.clone());
        let builder = match &authority {
            Some(url) => builder
                .with_config(AzureConfigKey::AuthorityHost, url.as_str().trim_end_matches('/')),
            None => builder,
        };
        let client =
            self.as_principal(builder, &address, authority.as_ref())?.build().map_err(|error| {
                // The words of the builder are not kept: they may quote what it was given.
                let _ = error;
                Error::new(
                    ErrorKind::Configuration,
                    "the settings of the container do not fit together",
                )
                .with("container", container)
            })?;
        Ok(Azure { client: Arc::new(client), address, account: name.to_owned(), options })
    }

    fn account_name<'a>(&'a self, account: Option<&'a Account>) -> Result<&'a str> {
        let configured = self.credentials.azure_storage_account_name.as_deref();
        match (account, configured) {
            (Some(account), _) => Ok(&account.name),
            (None, Some(name)) if is_name(name) => Ok(name),
            (None, Some(_)) => Err(self
                .settings
                .wrong(ACCOUNT, "it is no account: 3 to 24 lower-case letters and digits")),
            (None, None) => Err(self.settings.missing(ACCOUNT)),
        }
    }

    /// Where the account's blobs are. The address for file systems, `.dfs.`, is that of another protocol, which is not
    /// spoken here: the same objects lie at `.blob.`.
    fn address_of_blobs(&self, name: &str, account: Option<&Account>) -> Result<Url> {
        if let Some(url) = self.endpoint()? {
            return Ok(url);
        }
        let host = match (&self.credentials.azure_account_host, account) {
            (Some(host), _) => host.trim().replacen(".dfs.", ".blob.", 1),
            (None, account) => {
                let domain = account.map_or(Account::PUBLIC, |account| account.domain.as_str());
                format!("{name}.blob.{domain}")
            }
        };
        let is_host =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
        Url::parse(&format!("https://{host}"))
            .ok()
            .filter(|url| is_host && url.host_str().is_some())
            .ok_or_else(|| {
                self.settings
                    .wrong(HOST, "it is no host")
                    .with_hint("write `account.blob.core.windows.net`, without a scheme")
            })
    }

    /// Where a service principal logs in, where that is said.
    fn authority(&self) -> Result<Option<Url>> {
        let configured = self.credentials.azure_authority_host.as_deref();
        let host = configured.or_else(|| self.settings.variable("AZURE_AUTHORITY_HOST"));
        host.map(|host| self.address_in(AUTHORITY, host)).transpose()
    }

    /// Whether a value came from a variable whose name begins so.
    fn is_of_variable(&self, key: &str, prefix: &str) -> bool {
        let origin = self.settings.values.get(key).map(|(_, origin)| origin);
        matches!(origin, Some(Origin::Environment { variable }) if variable.starts_with(prefix))
    }

    /// Says that what the machine and the variables of Azure's tools have is not shown there.
    fn not_shown(&self, key: &str, to: &Url) -> Error {
        let host = to.host_str().unwrap_or_default();
        self.settings.missing(key).with("host", host).with(
            "reason",
            "what this machine has for Azure is shown to no host that is not Azure's",
        )
    }

    /// Refuses to show a key or a signature of the variables to a host that neither they nor Azure name.
    fn check_account(&self, key: &str, address: &Url) -> Result<()> {
        let place = if self.credentials.endpoint_url.is_some() { ENDPOINT } else { HOST };
        let is_fit =
            is_azure(address) || is_this_machine(address) || self.is_of_variable(place, "");
        match is_fit || !self.is_of_variable(key, TOOLS) {
            true => Ok(()),
            false => Err(self.not_shown(key, address)),
        }
    }

    /// Refuses to show a principal of the variables, or the identity of the machine, to hosts that are not Azure's: its token
    /// to the account, its proof to where it logs in.
    fn check_principal(&self, key: &str, address: &Url, authority: Option<&Url>) -> Result<()> {
        if !is_azure(address) && !is_this_machine(address) {
            return Err(self.not_shown(key, address));
        }
        let configured = self.credentials.azure_authority_host.is_some();
        let is_named = configured && !self.is_of_variable(AUTHORITY, "");
        let is_foreign = |url: &&Url| !is_login(url) && !is_this_machine(url);
        match authority.filter(|_| is_named).filter(is_foreign) {
            Some(url) => Err(self.not_shown(key, url)),
            None => Ok(()),
        }
    }

    /// Adds whoever asks: the account itself, a bearer of its signature, or a service principal; else the machine.
    fn as_principal(
        &self,
        builder: MicrosoftAzureBuilder,
        address: &Url,
        authority: Option<&Url>,
    ) -> Result<MicrosoftAzureBuilder> {
        let (settings, credentials) = (self.settings, self.credentials);
        if let Some(key) = &credentials.azure_storage_account_key {
            self.check_account(KEY, address)?;
            if BASE64_STANDARD.decode(key.expose()).is_err() {
                return Err(
                    settings.wrong(KEY, "it is no key of a storage account: those are base64")
                );
            }
            return Ok(builder.with_access_key(key.expose()));
        }
        if let Some(sas) = &credentials.azure_storage_sas_token {
            self.check_account(SAS, address)?;
            let token = sas.expose().trim().trim_start_matches('?');
            let signed = token.split('&').any(|pair| pair.starts_with("sig="));
            if !signed || !token.split('&').all(|pair| pair.contains('=')) {
                return Err(settings
                    .wrong(SAS, "it is no shared access signature")
                    .with_hint("it looks like `sv=…&sp=…&se=…&sig=…`"));
            }
            return Ok(builder.with_config(AzureConfigKey::SasKey, token));
        }
        let missing = |key: &str| settings.missing(&format!("credentials.{key}"));
        let (tenant, id) = (&credentials.azure_tenant_id, &credentials.azure_client_id);
        let file = credentials.azure_federated_token_file.as_ref();
        if self.is_of_variable(SECRET, TOOLS) || self.is_of_variable(TOKEN_FILE, TOOLS) {
            self.check_principal(SECRET, address, authority)?;
        }
        match (tenant, id, &credentials.azure_client_secret, file) {
            (None, None, None, None) => {
                self.check_principal(KEY, address, authority)?;
                Ok(of_environment(settings, builder))
            }
            (Some(tenant), Some(id), Some(secret), _) => {
                Ok(builder.with_client_secret_authorization(id, secret.expose(), tenant))
            }
            (Some(tenant), Some(id), None, Some(file)) => {
                Ok(federated(builder, tenant, id, &settings.path(file).to_string_lossy()))
            }
            (None, ..) => Err(missing("azure_tenant_id")),
            (_, None, ..) => Err(missing("azure_client_id")),
            (.., None, None) => Err(missing("azure_client_secret")),
        }
    }
}

fn federated(
    builder: MicrosoftAzureBuilder,
    tenant: &str,
    id: &str,
    file: &str,
) -> MicrosoftAzureBuilder {
    builder
        .with_config(AzureConfigKey::AuthorityId, tenant)
        .with_config(AzureConfigKey::ClientId, id)
        .with_config(AzureConfigKey::FederatedTokenFile, file)
}

/// Whom the variables of Azure's own tools name; else the identity of the machine, the one with `AZURE_CLIENT_ID` where it
/// has several. Source: Azure Identity, "DefaultAzureCredential".
fn of_environment(settings: &Settings, builder: MicrosoftAzureBuilder) -> MicrosoftAzureBuilder {
    let variable = |name: &str| settings.variable(name);
    let id = variable("AZURE_CLIENT_ID");
    if let (Some(tenant), Some(id)) = (variable("AZURE_TENANT_ID"), id) {
        if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
            return builder.with_client_secret_authorization(id, secret, tenant);
        }
        if let Some(file) = variable("AZURE_FEDERATED_TOKEN_FILE") {
            return federated(builder, tenant, id, file);
        }
    }
    let of_machine = [
        (AzureConfigKey::ClientId, id),
        (AzureConfigKey::MsiEndpoint, variable("IDENTITY_ENDPOINT")),
    ];
    of_machine.into_iter().fold(builder, |builder, (key, value)| match value {
        Some(value) => builder.with_config(key, value),
        None => builder,
    })
}

#[cfg(test)]
mod tests {
    use transload_core::settings::{Setting as _, SettingValue};

    use super::*;
    use crate::{StoreCredentials, TABLE};

    fn address_of(host: &str, keys: &[(&str, &str)]) -> Result<String> {
        with(host, keys, &[], &[])
    }

    /// With keys that came from a variable, and the variables themselves.
    fn with(
        host: &str,
        keys: &[(&str, &str)],
        filled: &[(&str, &str, &str)],
        variables: &[(&str, &str)],
    ) -> Result<String> {
        let keys: Vec<(String, &str)> =
            keys.iter().map(|(key, value)| (format!("credentials.{key}"), *value)).collect();
        let pairs: Vec<(&str, &str)> =
            keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let mut settings = Settings::from_pairs("filesystem", &pairs);
        for (key, variable, value) in filled {
            let origin = Origin::Environment { variable: (*variable).to_owned() };
            let value = (SettingValue::text(*value), origin);
            settings.values.insert(format!("credentials.{key}"), value);
        }
        settings.environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let credentials = StoreCredentials::read(&settings, TABLE)?;
        let account = Account::of_host(host);
        Clients { settings: &settings, credentials: &credentials, whole_answer: None }
            .azure("lake", account.as_ref())
            .map(|azure| azure.address.into())
    }

    /// No account beside the settings, and one that a URL names.
    const AZ: &str = "";
    const ABFSS: &str = "acc.dfs.core.chinacloudapi.cn";
    const NAME: (&str, &str) = ("azure_storage_account_name", "acc");

    #[test]
    fn the_address_follows_from_the_account() {
        for (url, keys, expected) in [
            (AZ, &[NAME][..], "https://acc.blob.core.windows.net/"),
            (ABFSS, &[], "https://acc.blob.core.chinacloudapi.cn/"),
            (ABFSS, &[NAME], "https://acc.blob.core.chinacloudapi.cn/"),
            (
                ABFSS,
                &[("azure_storage_account_name", "other")],
                "https://acc.blob.core.chinacloudapi.cn/",
            ),
            (
                AZ,
                &[NAME, ("azure_account_host", "acc.dfs.core.usgovcloudapi.net")],
                "https://acc.blob.core.usgovcloudapi.net/",
            ),
            (
                ABFSS,
                &[
                    ("azure_account_host", "blobs.example:8443"),
                    ("azure_storage_account_key", "a2V5"),
                ],
                "https://blobs.example:8443/",
            ),
            (
                AZ,
                &[NAME, ("endpoint_url", "http://127.0.0.1:10000/acc")],
                "http://127.0.0.1:10000/acc",
            ),
        ] {
            assert_eq!(address_of(url, keys).unwrap(), expected, "{url} {keys:?}");
        }
    }

    #[test]
    fn every_way_to_show_who_asks_is_taken() {
        for keys in [
            &[("azure_storage_account_key", "a2V5")][..],
            &[("azure_storage_sas_token", "?sv=1&sig=a%3D")],
            &[("azure_tenant_id", "t"), ("azure_client_id", "c"), ("azure_client_secret", "s")],
            &[
                ("azure_tenant_id", "t"),
                ("azure_client_id", "c"),
                ("azure_federated_token_file", "f"),
                ("azure_authority_host", "https://login.chinacloudapi.cn/"),
            ],
            &[],
        ] {
            assert!(address_of(ABFSS, keys).is_ok(), "{keys:?}");
        }
    }

    const FOREIGN: (&str, &str) = ("endpoint_url", "https://azure.example/acc");
    const PRINCIPAL: [(&str, &str); 3] =
        [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "CANARY")];

    #[test]
    fn what_this_machine_has_is_shown_to_no_host_that_is_not_azures() {
        let sas = ("azure_storage_sas_token", "AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=CANARY");
        let key = ("azure_storage_account_key", "AZURE_STORAGE_KEY", "Q0FOQVJZ");
        let secret = ("azure_client_secret", "AZURE_CLIENT_SECRET", "CANARY");
        let begun = [("azure_tenant_id", "t"), ("azure_client_id", "c")];
        let login = ("azure_authority_host", "https://login.example");
        let host = ("azure_account_host", "acc.blob.stack.example");
        let evil = "acc.dfs.evil.example";
        for (url, keys, filled, variables, wanted) in [
            (ABFSS, &[FOREIGN][..], &[][..], &[][..], "azure_storage_account_key"),
            (ABFSS, &[host], &[], &PRINCIPAL, "azure_storage_account_key"),
            (evil, &[], &[], &PRINCIPAL, "azure_storage_account_key"),
            (ABFSS, &[login], &[], &PRINCIPAL, "azure_storage_account_key"),
            (ABFSS, &[FOREIGN], &[sas], &[], "azure_storage_sas_token"),
            (evil, &[], &[key], &[], "azure_storage_account_key"),
            (ABFSS, &[begun[0], begun[1], FOREIGN], &[secret], &[], "azure_client_secret"),
            (ABFSS, &[begun[0], begun[1], login], &[secret], &[], "azure_client_secret"),
        ] {
            let error = with(url, keys, filled, variables).unwrap_err();
            let key = format!("destination.filesystem.credentials.{wanted}");
            assert_eq!(error.context("key"), Some(key.as_str()), "{keys:?} {filled:?}");
            assert!(error.hint().is_some_and(|hint| hint.contains(wanted)), "{error:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn what_the_variables_have_is_shown_to_azure_and_to_whom_they_or_this_machine_name() {
        let sas = ("azure_storage_sas_token", "AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=a");
        let endpoint = "SOURCES__FILESYSTEM__CREDENTIALS__ENDPOINT_URL";
        let named = ("endpoint_url", endpoint, FOREIGN.1);
        let here = ("endpoint_url", "http://127.0.0.1:10000/acc");
        let own = ("azure_storage_sas_token", "sv=1&sig=a");
        let login = ("azure_authority_host", "https://login.chinacloudapi.cn");
        let of_variable = ("AZURE_AUTHORITY_HOST", "https://login.example");
        let elsewhere = [&PRINCIPAL[..], &[of_variable]].concat();
        for (keys, filled, variables) in [
            (&[][..], &[sas][..], &[][..]),
            (&[here], &[sas], &[]),
            (&[], &[sas, named], &[]),
            (&[FOREIGN, own], &[], &[]),
            (&[], &[], &PRINCIPAL),
            (&[here], &[], &PRINCIPAL),
            (&[login], &[], &PRINCIPAL),
            (&[], &[], &elsewhere),
        ] {
            let made = with(ABFSS, keys, filled, variables);
            assert!(made.is_ok(), "{keys:?} {filled:?} {variables:?} {made:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_set() {
        for (url, keys, wanted) in [
            (AZ, &[("azure_storage_account_key", "Q0FOQVJZ")][..], "azure_storage_account_name"),
            (ABFSS, &[("azure_client_id", "c")], "azure_tenant_id"),
            (ABFSS, &[("azure_tenant_id", "t")], "azure_client_id"),
            (ABFSS, &[("azure_tenant_id", "t"), ("azure_client_id", "c")], "azure_client_secret"),
        ] {
            let error = address_of(url, keys).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let key = format!("destination.filesystem.credentials.{wanted}");
            assert_eq!(error.context("key"), Some(key.as_str()), "{keys:?}");
            assert!(error.hint().unwrap().contains(wanted), "{error:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        for (url, keys, wrong) in [
            (AZ, ("azure_storage_account_name", "CANARY"), "azure_storage_account_name"),
            (ABFSS, ("azure_storage_account_key", "CANARY no base64"), "azure_storage_account_key"),
            (ABFSS, ("azure_storage_sas_token", "sp=CANARY"), "azure_storage_sas_token"),
            (ABFSS, ("azure_account_host", "https://CANARY"), "azure_account_host"),
            (ABFSS, ("azure_account_host", "me:CANARY@host"), "azure_account_host"),
            (ABFSS, ("endpoint_url", "https://me:CANARY@host"), "endpoint_url"),
            (ABFSS, ("azure_authority_host", "https://me:CANARY@host"), "azure_authority_host"),
        ] {
            let error = address_of(url, &[keys]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let key = format!("destination.filesystem.credentials.{wrong}");
            assert_eq!(error.context("key"), Some(key.as_str()), "{keys:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[test]
    fn nothing_but_this_machine_is_spoken_to_without_encryption() {
        let error = address_of(ABFSS, &[("endpoint_url", "http://azure.example/acc")]).unwrap_err();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
    }
}
