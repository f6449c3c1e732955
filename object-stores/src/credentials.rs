//! The keys to a bucket, and where they are shown.

use transload_core::{Secret, settings};

use crate::text::from_text;

settings! {
    /// The keys to a bucket: those of its vendor are read, the others passed over. Without any, the identity of the
    /// machine is asked: the instance's metadata service. One text may stand for them: the key file of a service account
    /// of Google's, its path, or a JSON object of these keys.
    pub struct StoreCredentials (from_text = from_text) {
        /// The id of the access key.
        pub aws_access_key_id: Option<String>,
        /// The secret access key.
        pub aws_secret_access_key: Option<Secret>,
        /// The session token that belongs to temporary keys.
        pub aws_session_token: Option<Secret>,
        /// The region of the bucket; without it `us-east-1`.
        pub region_name: Option<String>,
        /// The address of a store that is not the vendor's own, `https://host:port`; of one that stands in for Azure with
        /// the account in its path. With `http://` everything but the secret key itself is readable on the way; so it is
        /// for this machine, unless `allow_insecure` is set.
        pub endpoint_url: Option<String>,
        /// Whether the store may be another machine and `endpoint_url` begin with `http://`.
        pub allow_insecure: bool = "false",
        /// Whether the bucket stands in the `path` of a URL (the default) or in its host name (`virtual`).
        pub s3_url_style: Option<String>,
        /// A profile of `~/.aws/config` and `~/.aws/credentials`, in place of keys: its own keys, or its role.
        pub profile_name: Option<String>,
        /// A role to take on, by whoever asks else. Example: `arn:aws:iam::123456789012:role/loader`.
        pub role_arn: Option<String>,
        /// Of a staging destination: a role whose keys a destination gets for its COPY, narrowed to the files of the load and over
        /// after an hour, in place of the keys of whoever stages; that one must be trusted by it. Example:
        /// `arn:aws:iam::123456789012:role/reader`.
        pub access_role_arn: Option<String>,
        /// What the role wants to be told besides.
        pub role_external_id: Option<String>,
        /// What the session of the role is called in Amazon's logs; without it `transload`.
        pub role_session_name: Option<String>,
        /// The file with a token for which the role is given out without keys, as in Kubernetes.
        pub web_identity_token_file: Option<String>,
        /// The address that gives out roles; without it `endpoint_url`, or Amazon's own in the region. A token that is not in the
        /// settings is shown to a store that is not Amazon's only where this names it. For Google the one that narrows tokens,
        /// whole; without it Google's own.
        pub sts_endpoint_url: Option<String>,
        /// The project of the service account. It is in its key file; nothing here needs it.
        pub project_id: Option<String>,
        /// The address of the service account, for `gs://`. Example: `loader@analytics-prod.iam.gserviceaccount.com`.
        pub client_email: Option<String>,
        /// The private key of the service account in PEM, from `-----BEGIN PRIVATE KEY-----` on.
        pub private_key: Option<Secret>,
        /// The id of that key, which tokens then name.
        pub private_key_id: Option<String>,
        /// The file with the key of a service account, the application default credentials of a user, or the configuration of a
        /// workload identity. Without it, and without a key, the usual file of `gcloud` is looked for, then the identity of the machine.
        pub application_credentials: Option<String>,
        /// Of a staging destination: whether a destination that takes tokens gets one for a bucket of Google's, narrowed to the
        /// files of the load and over after an hour. The bucket needs uniform bucket-level access. Example: `true`.
        pub access_boundary: bool = "false",
        /// Where the tokens are had that are narrowed, for test servers; without it `https://oauth2.googleapis.com/token`.
        pub token_uri: Option<String>,
        /// The storage account, for `az://container`. `abfss://container@account.dfs.core.windows.net` names it itself.
        pub azure_storage_account_name: Option<String>,
        /// The key of the storage account.
        pub azure_storage_account_key: Option<Secret>,
        /// A shared access signature in place of the key; beside the key it is not used.
        pub azure_storage_sas_token: Option<Secret>,
        /// The host of the storage account; without it `account.blob.core.windows.net`.
        pub azure_account_host: Option<String>,
        /// The tenant of the service principal: with its id and its secret it stands in place of the key.
        pub azure_tenant_id: Option<String>,
        /// The id of the service principal.
        pub azure_client_id: Option<String>,
        /// The secret of the service principal.
        pub azure_client_secret: Option<Secret>,
        /// The file with a token that stands in place of the secret: workload identity, as in Kubernetes.
        pub azure_federated_token_file: Option<String>,
        /// Where the service principal logs in; without it `https://login.microsoftonline.com`. Other clouds of Azure have
        /// their own.
        pub azure_authority_host: Option<String>,
    }
}
