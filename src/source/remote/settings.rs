//! What is configured for sources in stores, and what the usual variables of the vendors add to it.

use transload_core::Secret;
use transload_core::settings::{Origin, SettingValue, Settings};
use transload_object_stores::{StoreCredentials, TABLE};

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

/// Puts what the vendors' own tools read into the keys that the configuration leaves out: which store is meant, and the keys
/// that belong to it. Keys that belong together come from one place. Whoever asks is found where a client is made.
///
/// A staging destination does without this: its place is the same on every machine only if its settings alone say it.
///
/// Source: Google Cloud, "How Application Default Credentials works"; Azure CLI, `az storage`, environment variables.
pub(super) fn fill(settings: &mut Settings) {
    // Here it names the keys of any store that speaks Google's protocol, as `application_credentials` would.
    if !has(settings, &["private_key"]) {
        put(settings, "application_credentials", &["GOOGLE_APPLICATION_CREDENTIALS"]);
    }
    let account = ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"];
    put(settings, "azure_storage_account_name", &account);
    let proofs = [
        "azure_storage_account_key",
        "azure_storage_sas_token",
        "azure_client_secret",
        "azure_federated_token_file",
    ];
    if has(settings, &proofs) {
        return;
    }
    let key = ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"];
    put(settings, "azure_storage_account_key", &key);
    put(settings, "azure_storage_sas_token", &["AZURE_STORAGE_SAS_TOKEN"]);
    // A principal of which nothing is configured is found with the client.
    if !has(settings, &proofs) && has(settings, &["azure_tenant_id", "azure_client_id"]) {
        put(settings, "azure_tenant_id", &["AZURE_TENANT_ID"]);
        put(settings, "azure_client_id", &["AZURE_CLIENT_ID"]);
        put(settings, "azure_client_secret", &["AZURE_CLIENT_SECRET"]);
        put(settings, "azure_federated_token_file", &["AZURE_FEDERATED_TOKEN_FILE"]);
    }
}

/// The settings with the addresses in Amazon's variables, which mean no other vendor's. Source: AWS SDKs and Tools Reference
/// Guide, "Service-specific endpoints".
pub(super) fn of_amazon(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    put(&mut settings, "endpoint_url", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
    put(&mut settings, "sts_endpoint_url", &["AWS_ENDPOINT_URL_STS"]);
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
        let mut settings = given(pairs, environment);
        fill(&mut settings);
        settings.read::<SourceSettings>().unwrap().credentials
    }

    const PRINCIPAL: [(&str, &str); 3] =
        [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s")];

    #[test]
    fn variables_fill_what_is_not_configured() {
        let environment = [
            ("GOOGLE_APPLICATION_CREDENTIALS", "/keys/loader.json"),
            ("AZURE_STORAGE_ACCOUNT", "account"),
            ("AZURE_STORAGE_KEY", "azure"),
        ];
        let keys = filled(&[], &environment);
        assert_eq!(keys.application_credentials.as_deref(), Some("/keys/loader.json"));
        assert_eq!(keys.azure_storage_account_name.as_deref(), Some("account"));
        assert_eq!(keys.azure_storage_account_key.unwrap().expose(), "azure");
        assert!(filled(&[], &PRINCIPAL).azure_client_secret.is_none());
        let begun = filled(&[("credentials.azure_tenant_id", "own")], &PRINCIPAL);
        assert_eq!(begun.azure_tenant_id.as_deref(), Some("own"));
        assert_eq!(begun.azure_client_secret.unwrap().expose(), "s");
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
        let own = [("credentials.client_email", "a@b"), ("credentials.private_key", "own")];
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
