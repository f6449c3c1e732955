//! What is configured for sources in stores, and what the usual variables of the vendors add to it.

use transload_core::Secret;
use transload_core::settings::{Origin, SettingValue, Settings};
use transload_object_stores::{StoreCredentials, TABLE};
use url::Url;

use crate::config::secrets_of;

transload_core::settings! {
    /// The settings under `[sources.filesystem]`: how to get at sources in stores.
    pub struct SourceSettings {
        /// The keys to the buckets.
        pub credentials: StoreCredentials,
        /// Bytes that may come out for each byte of a compressed file. What grows more is taken for a bomb: a small file made
        /// to fill memory or disk. The first 16 MiB are never held against it.
        pub max_unpack_ratio: u64 = "1000",
    }
}

impl SourceSettings {
    /// The table that they stand in.
    pub(crate) const SECTION: [&str; 2] = ["sources", "filesystem"];

    /// What must never be shown: what these settings hold, and the variables that may stand in for them.
    pub(crate) fn secrets(settings: &Settings) -> Vec<Secret> {
        const VARIABLES: [&str; 6] = [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_CLIENT_SECRET",
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
        ];
        let variables = VARIABLES.iter().filter_map(|name| settings.variable(name));
        let mut secrets = secrets_of(settings, Self::KEYS);
        secrets.extend(variables.map(Secret::from));
        secrets
    }
}

/// Puts what the vendors' own tools read into the keys that the configuration leaves out: which store is meant, and with
/// [`of_amazon`] and [`of_azure`] the keys that belong to it. Keys that belong together come from one place. Whoever asks is
/// found where a client is made.
///
/// A staging destination does without this: its place is the same on every machine only if its settings alone say it.
///
/// Source: Google Cloud, "How Application Default Credentials works"; Azure CLI, `az storage`, environment variables.
pub(super) fn fill(settings: &mut Settings) {
    // Here it names the keys of a store of this machine too, as `application_credentials` would. For Google itself it is looked
    // at where a client is made, and no other store is shown what opens Google's.
    let is_near = text_of(settings, "endpoint_url")
        .is_some_and(|url| Url::parse(url).is_ok_and(|url| is_this_machine(&url)));
    if is_near && !has(settings, &["private_key"]) {
        put(settings, "application_credentials", &["GOOGLE_APPLICATION_CREDENTIALS"]);
    }
    put(settings, "azure_storage_account_name", &OF_ACCOUNT);
}

fn is_this_machine(url: &Url) -> bool {
    transload_core::is_this_machine(url.host_str().unwrap_or_default())
}

/// The variables that name an account of Azure.
const OF_ACCOUNT: [&str; 2] = ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"];

/// The settings with what the variables of Azure's tools say of who asks for this account, named by a URL, or for the one of
/// the settings. A key is not shown for another account than it is of, nor a secret for another principal.
pub(super) fn of_azure(settings: &Settings, account: Option<&str>) -> Settings {
    let mut settings = settings.clone();
    let proofs = [
        "azure_storage_account_key",
        "azure_storage_sas_token",
        "azure_client_secret",
        "azure_federated_token_file",
    ];
    let principal =
        [("azure_tenant_id", "AZURE_TENANT_ID"), ("azure_client_id", "AZURE_CLIENT_ID")];
    if has(&settings, &proofs) {
        return settings;
    }
    if !has(&settings, &principal.map(|(name, _)| name)) {
        let asked = account.or_else(|| text_of(&settings, "azure_storage_account_name"));
        let of_variables = OF_ACCOUNT.iter().find_map(|name| settings.variable(name));
        if of_variables.is_none_or(|named| asked.is_none_or(|asked| asked == named)) {
            let key = ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"];
            put(&mut settings, "azure_storage_account_key", &key);
            put(&mut settings, "azure_storage_sas_token", &["AZURE_STORAGE_SAS_TOKEN"]);
        }
        // A principal of which nothing is configured is found with the client.
        return settings;
    }
    let is_another = |(name, variable): &(&str, &str)| {
        let (configured, other) = (text_of(&settings, name), settings.variable(variable));
        configured.zip(other).is_some_and(|(configured, other)| configured != other)
    };
    if !principal.iter().any(is_another) {
        for (name, variable) in principal {
            put(&mut settings, name, &[variable]);
        }
        put(&mut settings, "azure_client_secret", &["AZURE_CLIENT_SECRET"]);
        put(&mut settings, "azure_federated_token_file", &["AZURE_FEDERATED_TOKEN_FILE"]);
    }
    settings
}

fn text_of<'s>(settings: &'s Settings, name: &str) -> Option<&'s str> {
    match settings.get(&format!("{TABLE}.{name}"))? {
        SettingValue::Text(text) => Some(text.expose()),
        _ => None,
    }
}

/// The settings with the addresses in Amazon's variables, which mean no other vendor's. Source: AWS SDKs and Tools Reference
/// Guide, "Service-specific endpoints".
pub(super) fn of_amazon(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    // The one of all services says nothing of where roles are given out beside a store that is configured.
    let of_roles: &[&str] = match has(&settings, &["endpoint_url"]) {
        true => &["AWS_ENDPOINT_URL_STS"],
        false => &["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"],
    };
    put(&mut settings, "endpoint_url", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
    put(&mut settings, "sts_endpoint_url", of_roles);
    settings
}

fn has(settings: &Settings, names: &[&str]) -> bool {
    names.iter().any(|name| settings.has(&format!("{TABLE}.{name}")))
}

/// Puts the first of these variables that is set into a key that is not.
fn put(settings: &mut Settings, name: &str, variables: &[&str]) {
    if has(settings, &[name]) {
        return;
    }
    let found = variables.iter().find_map(|name| Some((name, settings.variable(name)?)));
    if let Some((variable, text)) = found {
        let origin = Origin::Environment { variable: (*variable).to_owned() };
        let value = (SettingValue::text(text), origin);
        settings.values.insert(format!("{TABLE}.{name}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)], environment: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::from_pairs("filesystem", pairs);
        settings.environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)))
            .collect();
        settings
    }

    fn filled(pairs: &[(&str, &str)], environment: &[(&str, &str)]) -> StoreCredentials {
        for_account(None, pairs, environment)
    }

    /// What is read for an account of Azure that a URL names.
    fn for_account(
        account: Option<&str>,
        pairs: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> StoreCredentials {
        let mut settings = given(pairs, environment);
        fill(&mut settings);
        of_azure(&settings, account).read::<SourceSettings>().unwrap().credentials
    }

    const PRINCIPAL: [(&str, &str); 3] =
        [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s")];

    #[test]
    fn variables_fill_what_is_not_configured() {
        let environment = [("AZURE_STORAGE_ACCOUNT", "account"), ("AZURE_STORAGE_KEY", "azure")];
        let keys = filled(&[], &environment);
        assert_eq!(keys.azure_storage_account_name.as_deref(), Some("account"));
        assert_eq!(keys.azure_storage_account_key.unwrap().expose(), "azure");
        assert!(filled(&[], &PRINCIPAL).azure_client_secret.is_none());
    }

    #[test]
    fn a_key_is_shown_for_no_other_account_than_that_of_the_variables() {
        let key = [("AZURE_STORAGE_KEY", "azure"), ("AZURE_STORAGE_SAS_TOKEN", "sas")];
        let named = [&key[..], &[("AZURE_STORAGE_ACCOUNT", "acc")]].concat();
        let other = [("credentials.azure_storage_account_name", "other")];
        let same = [("credentials.azure_storage_account_name", "acc")];
        for (url, pairs, variables, is_shown) in [
            (None, &[][..], &named[..], true),
            (None, &same[..], &named, true),
            (Some("acc"), &other, &named, true),
            (Some("other"), &other, &key, true),
            (None, &other, &named, false),
            (Some("other"), &[], &named, false),
            (Some("other"), &same, &named, false),
            (Some("acc"), &[("credentials.azure_client_id", "own")], &named, false),
        ] {
            let keys = for_account(url, pairs, variables);
            let shown = (keys.azure_storage_account_key, keys.azure_storage_sas_token);
            let shown = (shown.0.is_some(), shown.1.is_some());
            assert_eq!(shown, (is_shown, is_shown), "{url:?} {pairs:?}");
        }
    }

    #[test]
    fn a_principal_is_completed_by_variables_that_mean_it() {
        let tenant = |tenant| [("credentials.azure_tenant_id", tenant)];
        let both = [("credentials.azure_tenant_id", "own"), ("credentials.azure_client_id", "own")];
        let completed = filled(&tenant("t"), &PRINCIPAL);
        assert_eq!(completed.azure_client_id.as_deref(), Some("c"));
        assert_eq!(completed.azure_client_secret.unwrap().expose(), "s");
        assert!(filled(&both, &PRINCIPAL[2..]).azure_client_secret.is_some());
        for pairs in [&tenant("own")[..], &both] {
            let keys = filled(pairs, &PRINCIPAL);
            assert!(keys.azure_client_secret.is_none(), "{pairs:?}");
            assert_eq!(keys.azure_client_id.is_some(), pairs.len() == 2, "{pairs:?}");
        }
    }

    #[test]
    fn the_file_of_googles_tools_is_for_this_machine_too() {
        let variable = [("GOOGLE_APPLICATION_CREDENTIALS", "/keys/loader.json")];
        for (endpoint, is_used) in [
            ("https://storage.googleapis.com", false),
            ("http://127.0.0.1:4443", true),
            ("https://gcs.example", false),
            ("no address", false),
        ] {
            let keys = filled(&[("credentials.endpoint_url", endpoint)], &variable);
            assert_eq!(keys.application_credentials.is_some(), is_used, "{endpoint}");
        }
    }

    #[test]
    fn keys_that_belong_together_come_from_one_place() {
        let key = [("AZURE_STORAGE_KEY", "other")];
        let variables = [&PRINCIPAL[..], &key].concat();
        for proof in [
            "credentials.azure_storage_sas_token",
            "credentials.azure_client_secret",
            "credentials.azure_federated_token_file",
        ] {
            let keys = filled(&[(proof, "own")], &variables);
            assert!(keys.azure_storage_account_key.is_none(), "{proof}");
            assert!(keys.azure_client_id.is_none(), "{proof}");
        }
        let own = [
            ("credentials.endpoint_url", "http://127.0.0.1:4443"),
            ("credentials.client_email", "a@b"),
            ("credentials.private_key", "own"),
        ];
        let keys = filled(&own, &[("GOOGLE_APPLICATION_CREDENTIALS", "/other.json")]);
        assert!(keys.application_credentials.is_none());
    }

    #[test]
    fn the_variables_of_amazon_name_its_addresses_only() {
        let environment = [
            ("AWS_ENDPOINT_URL", "http://here:1"),
            ("AWS_ENDPOINT_URL_S3", "http://here:2"),
            ("AWS_ENDPOINT_URL_STS", "http://here:3"),
        ];
        assert!(filled(&[], &environment).endpoint_url.is_none());
        let read = |pairs: &[(&str, &str)]| {
            let settings = of_amazon(&given(pairs, &environment));
            settings.read::<SourceSettings>().unwrap().credentials
        };
        assert_eq!(read(&[]).endpoint_url.as_deref(), Some("http://here:2"));
        assert_eq!(read(&[]).sts_endpoint_url.as_deref(), Some("http://here:3"));
        let own = read(&[("credentials.endpoint_url", "http://own")]);
        assert_eq!(own.endpoint_url.as_deref(), Some("http://own"));

        let of_all = [("AWS_ENDPOINT_URL", "http://here:1")];
        let roles = |pairs: &[(&str, &str)]| {
            let settings = of_amazon(&given(pairs, &of_all));
            settings.read::<SourceSettings>().unwrap().credentials.sts_endpoint_url
        };
        assert_eq!(roles(&[]).as_deref(), Some("http://here:1"));
        assert_eq!(roles(&[("credentials.endpoint_url", "http://own")]), None);
    }

    #[test]
    fn what_a_variable_says_wrongly_is_blamed_on_it() {
        let mut settings = given(&[], &[("AZURE_STORAGE_ACCOUNT", "CANARY")]);
        fill(&mut settings);
        let error = settings.wrong("credentials.azure_storage_account_name", "no account");
        assert_eq!(error.context("from"), Some("environment variable AZURE_STORAGE_ACCOUNT"));
    }

    #[test]
    fn what_stands_in_variables_is_as_secret_as_what_is_configured() {
        let settings = given(
            &[("credentials.aws_secret_access_key", "own-CANARY")],
            &[("AWS_SESSION_TOKEN", "token-CANARY"), ("AZURE_STORAGE_KEY", "key-CANARY")],
        );
        let redactor = transload_core::Redactor::new(&SourceSettings::secrets(&settings));
        assert!(!redactor.scrub("own-CANARY token-CANARY key-CANARY").contains("CANARY"));
    }
}
