//! What is configured for sources in stores, and what the usual variables of the vendors add to it.

use std::ffi::OsString;

use transload_core::{Redactor, Secret};

transload_core::settings! {
    /// The settings under `[sources.filesystem]`: how to get at sources in stores.
    pub struct SourceSettings {
        /// The keys to the buckets.
        pub credentials: SourceCredentials,
        /// Bytes that may come out for each byte of a compressed file. What grows more is taken for a bomb: a small file made
        /// to fill memory or disk. The first 16 MiB are never held against it.
        pub max_unpack_ratio: u64 = "1000",
    }
}

transload_core::settings! {
    /// The keys to the buckets that rows are read from.
    pub struct SourceCredentials {
        /// The id of the access key, for `s3://`. Without keys the identity of the machine is asked.
        pub aws_access_key_id: Option<String>,
        /// The secret access key.
        pub aws_secret_access_key: Option<Secret>,
        /// The session token that belongs to temporary keys.
        pub aws_session_token: Option<Secret>,
        /// The region of the bucket; without it `us-east-1`.
        pub region_name: Option<String>,
        /// The address of a store that is not the vendor's own, `https://host:port`.
        pub endpoint_url: Option<String>,
        /// Whether the store may be another machine and `endpoint_url` begin with `http://`.
        pub allow_insecure: bool = "false",
        /// Whether the bucket stands in the `path` of a URL (the default) or in its host name (`virtual`).
        pub s3_url_style: Option<String>,
        /// The address of the service account, for `gs://`.
        pub client_email: Option<String>,
        /// The private key of the service account.
        pub private_key: Option<Secret>,
        /// The id of that key.
        pub private_key_id: Option<String>,
        /// The file with the key of a service account or with the application default credentials.
        pub application_credentials: Option<String>,
        /// The storage account, for `az://`. `abfss://container@account.dfs.core.windows.net/` names it itself.
        pub azure_storage_account_name: Option<String>,
        /// The key of the storage account.
        pub azure_storage_account_key: Option<Secret>,
        /// A shared access signature in place of the key.
        pub azure_storage_sas_token: Option<Secret>,
        /// The id of an application that may read the account.
        pub azure_client_id: Option<String>,
        /// Its secret.
        pub azure_client_secret: Option<Secret>,
        /// The tenant that it belongs to.
        pub azure_tenant_id: Option<String>,
    }
}

impl SourceSettings {
    /// Fills from the variables that the vendors' own tools read what the configuration leaves out. Keys that belong
    /// together come from one place.
    ///
    /// Source: AWS CLI User Guide, "Environment variables to configure the AWS CLI"; Google Cloud, "How Application
    /// Default Credentials works"; Azure CLI, `az storage`, environment variables.
    pub(crate) fn fill_from(&mut self, environment: &[(OsString, OsString)]) {
        let variable = |names: &[&str]| {
            names.iter().find_map(|wanted| {
                let (_, value) = environment.iter().find(|(name, _)| name == wanted)?;
                value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
            })
        };
        let secret = |names: &[&str]| variable(names).map(Secret::from);
        let keys = &mut self.credentials;
        if keys.aws_access_key_id.is_none() && keys.aws_secret_access_key.is_none() {
            keys.aws_access_key_id = variable(&["AWS_ACCESS_KEY_ID"]);
            keys.aws_secret_access_key = secret(&["AWS_SECRET_ACCESS_KEY"]);
            keys.aws_session_token =
                keys.aws_session_token.take().or_else(|| secret(&["AWS_SESSION_TOKEN"]));
        }
        let fill = |value: &mut Option<String>, names: &[&str]| {
            if value.is_none() {
                *value = variable(names);
            }
        };
        fill(&mut keys.region_name, &["AWS_REGION", "AWS_DEFAULT_REGION"]);
        if keys.private_key.is_none() {
            fill(&mut keys.application_credentials, &["GOOGLE_APPLICATION_CREDENTIALS"]);
        }
        fill(
            &mut keys.azure_storage_account_name,
            &["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"],
        );
        let has_azure = keys.azure_storage_account_key.is_some()
            || keys.azure_storage_sas_token.is_some()
            || keys.azure_client_secret.is_some();
        if !has_azure {
            keys.azure_storage_account_key =
                secret(&["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]);
            keys.azure_storage_sas_token = secret(&["AZURE_STORAGE_SAS_TOKEN"]);
            keys.azure_client_secret = secret(&["AZURE_CLIENT_SECRET"]);
            fill(&mut keys.azure_client_id, &["AZURE_CLIENT_ID"]);
            fill(&mut keys.azure_tenant_id, &["AZURE_TENANT_ID"]);
        }
    }

    /// The address of Amazon's store by the variables for it: they mean no other vendor's.
    pub(super) fn s3_endpoint(environment: &[(OsString, OsString)]) -> Option<String> {
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().find_map(|wanted| {
            let (_, value) = environment.iter().find(|(name, _)| name == wanted)?;
            value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
        })
    }

    /// What must never be shown.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let keys = &self.credentials;
        [
            &keys.aws_secret_access_key,
            &keys.aws_session_token,
            &keys.private_key,
            &keys.azure_storage_account_key,
            &keys.azure_storage_sas_token,
            &keys.azure_client_secret,
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pairs: &[(&str, &str)], environment: &[(&str, &str)]) -> SourceCredentials {
        let mut settings: SourceSettings =
            transload_core::settings::Settings::from_pairs("filesystem", pairs).read().unwrap();
        let environment: Vec<(OsString, OsString)> =
            environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        settings.fill_from(&environment);
        settings.credentials
    }

    #[test]
    fn variables_fill_what_is_not_configured() {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("AZURE_STORAGE_KEY", "azure"),
        ];
        let keys = filled(&[], &environment);
        assert_eq!(keys.aws_access_key_id.as_deref(), Some("id"));
        assert_eq!(keys.aws_secret_access_key.unwrap().expose(), "secret");
        assert_eq!(keys.region_name.as_deref(), Some("eu-central-1"));
        assert_eq!(keys.azure_storage_account_key.unwrap().expose(), "azure");
    }

    #[test]
    fn keys_that_belong_together_come_from_one_place() {
        let environment = [("AWS_SECRET_ACCESS_KEY", "other"), ("AWS_SESSION_TOKEN", "other")];
        let keys = filled(
            &[
                ("credentials.aws_access_key_id", "id"),
                ("credentials.aws_secret_access_key", "own"),
            ],
            &environment,
        );
        assert_eq!(keys.aws_secret_access_key.unwrap().expose(), "own");
        assert!(keys.aws_session_token.is_none());
        let azure = filled(
            &[("credentials.azure_storage_sas_token", "sas")],
            &[("AZURE_STORAGE_KEY", "other")],
        );
        assert!(azure.azure_storage_account_key.is_none());
    }
}
