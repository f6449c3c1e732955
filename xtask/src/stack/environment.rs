//! What tests are told about the running servers: a handful of environment variables.

use crate::failure::{Failure, Outcome};

pub(crate) const BUCKET: &str = "transload-test";
const KEY: &str = "testkey";
const SECRET: &str = "testsecret";
const READ_ONLY_KEY: &str = "rokey";
const READ_ONLY_SECRET: &str = "rosecret";
/// A role that may read everything, and one that may do nothing.
const ROLE: &str = "arn:aws:iam::123456789012:role/loader";
const POWERLESS_ROLE: &str = "arn:aws:iam::123456789012:role/powerless";
/// The storage account of the stand-in for Azure. Its key and the signatures made with it are known to everybody.
const AZURE_ACCOUNT: &str = "transloadtest";
const AZURE_KEY: &str =
    "YSBrZXkgb2YgYW4gZW11bGF0b3Igb24gbG9vcGJhY2ssIGtub3duIHRvIGV2ZXJ5Ym9keSwgbm8gc2VjcmV0";
/// A signature for the whole account, until 2099: it makes the container.
const AZURE_ACCOUNT_SAS: &str = "sv=2021-12-02&ss=b&srt=sco&sp=rwdlc&se=2099-01-01T00%3A00%3A00Z\
    &sig=qmE2Dyw14bsCHDi9TIbM7lZjMUPPhFe7UTV95WAO5qE%3D";
/// Signatures for the container: one that may do everything in it, one that may read and list, both until 2099, and one that
/// had expired in 2020. Not for the account, with which the stand-in removes nothing.
const AZURE_SAS: &str = "sv=2021-12-02&sr=c&sp=rcwdl&se=2099-01-01T00%3A00%3A00Z\
    &sig=e5NOVDFazT66LQJCOVMkZ1FlBBLdaxzXrSSShJ4APoY%3D";
const AZURE_READ_ONLY_SAS: &str = "sv=2021-12-02&sr=c&sp=rl&se=2099-01-01T00%3A00%3A00Z\
    &sig=4DXUQDyGqMHNVccBk%2Bqt%2FPCur328B%2BuwkdUz87QmjJQ%3D";
const AZURE_EXPIRED_SAS: &str = "sv=2021-12-02&sr=c&sp=rcwdl&se=2020-01-01T00%3A00%3A00Z\
    &sig=Thkf6C3JdaYmfQlkVjO5%2FlMIW1W6pu7VONke57BTF%2BA%3D";
const AZURE_ENDPOINT: &str = "TRANSLOAD_TEST_AZURE_ENDPOINT";
/// The service account of the stand-in for Google Cloud Storage, and its key: PKCS#8 in base64, known to everybody.
const GCS_ACCOUNT: &str = "loader@transload-test.iam.gserviceaccount.com";
const GCS_KEY: &str = include_str!("gcs.key");
const GCS_ENDPOINT: &str = "TRANSLOAD_TEST_GCS_ENDPOINT";
const BIGQUERY_ENDPOINT: &str = "TRANSLOAD_TEST_BIGQUERY_ENDPOINT";
const REDSHIFT_PASSWORD: &str = "p/w of loader";

const SNOWFLAKE_ENDPOINT: &str = "TRANSLOAD_TEST_SNOWFLAKE_ENDPOINT";
const SNOWFLAKE_PASSWORD: &str = "p/w of loader";
const SNOWFLAKE_TOKEN: &str = "a-token-that-everybody-knows";

const REDSHIFT_HOST: &str = "TRANSLOAD_TEST_REDSHIFT_HOST";
const REDSHIFT_PORT: &str = "TRANSLOAD_TEST_REDSHIFT_PORT";

/// The variables, in the order in which they are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    pub(crate) fn of_s3(port: u16) -> Environment {
        let endpoint = format!("http://127.0.0.1:{port}");
        let variables = [
            ("TRANSLOAD_TEST_S3_ENDPOINT", endpoint.as_str()),
            ("TRANSLOAD_TEST_S3_BUCKET", BUCKET),
            ("TRANSLOAD_TEST_S3_KEY", KEY),
            ("TRANSLOAD_TEST_S3_SECRET", SECRET),
            ("TRANSLOAD_TEST_S3_READ_ONLY_KEY", READ_ONLY_KEY),
            ("TRANSLOAD_TEST_S3_READ_ONLY_SECRET", READ_ONLY_SECRET),
            ("TRANSLOAD_TEST_S3_ROLE", ROLE),
            ("TRANSLOAD_TEST_S3_POWERLESS_ROLE", POWERLESS_ROLE),
        ];
        Environment {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    pub(crate) fn of_redshift(port: u16) -> Environment {
        let variables = [
            (REDSHIFT_HOST, "127.0.0.1".to_owned()),
            (REDSHIFT_PORT, port.to_string()),
            ("TRANSLOAD_TEST_REDSHIFT_DATABASE", "dev".to_owned()),
            ("TRANSLOAD_TEST_REDSHIFT_USER", "loader".to_owned()),
            ("TRANSLOAD_TEST_REDSHIFT_READER", "reader".to_owned()),
            ("TRANSLOAD_TEST_REDSHIFT_PASSWORD", REDSHIFT_PASSWORD.to_owned()),
        ];
        Environment { variables: variables.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    pub(crate) fn of_azure(port: u16) -> Environment {
        let endpoint = format!("http://127.0.0.1:{port}/{AZURE_ACCOUNT}");
        let variables = [
            (AZURE_ENDPOINT, endpoint.as_str()),
            ("TRANSLOAD_TEST_AZURE_CONTAINER", BUCKET),
            ("TRANSLOAD_TEST_AZURE_ACCOUNT", AZURE_ACCOUNT),
            ("TRANSLOAD_TEST_AZURE_KEY", AZURE_KEY),
            ("TRANSLOAD_TEST_AZURE_SAS", AZURE_SAS),
            ("TRANSLOAD_TEST_AZURE_READ_ONLY_SAS", AZURE_READ_ONLY_SAS),
            ("TRANSLOAD_TEST_AZURE_EXPIRED_SAS", AZURE_EXPIRED_SAS),
        ];
        Environment {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// The stand-in for Google Cloud Storage. What is behind it asks nobody for a token.
    pub(crate) fn of_gcs(port: u16, behind: u16) -> Environment {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{GCS_KEY}-----END PRIVATE KEY-----\n");
        let credentials = serde_json::json!({
            "type": "service_account",
            "project_id": "transload-test",
            "private_key_id": "0451",
            "private_key": pem,
            "client_email": GCS_ACCOUNT,
        });
        let variables = [
            (GCS_ENDPOINT, format!("http://127.0.0.1:{port}")),
            ("TRANSLOAD_TEST_GCS_BUCKET", BUCKET.to_owned()),
            ("TRANSLOAD_TEST_GCS_CREDENTIALS", credentials.to_string()),
            ("TRANSLOAD_TEST_GCS_WITHOUT_KEYS", format!("http://127.0.0.1:{behind}")),
        ];
        Environment { variables: variables.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    /// The stand-in for BigQuery. Its account is that of the stand-in for Google Cloud Storage.
    pub(crate) fn of_bigquery(port: u16) -> Environment {
        let variables = [
            (BIGQUERY_ENDPOINT, format!("http://127.0.0.1:{port}")),
            ("TRANSLOAD_TEST_BIGQUERY_PROJECT", "transload-test".to_owned()),
        ];
        Environment { variables: variables.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    /// Where the stand-in for BigQuery listens.
    pub(crate) fn bigquery_address(&self) -> Option<String> {
        let (_, endpoint) = self.variables().find(|(name, _)| *name == BIGQUERY_ENDPOINT)?;
        endpoint.strip_prefix("http://").map(str::to_owned)
    }

    /// For tests in a project of their user's.
    pub(crate) fn of_live_bigquery() -> Environment {
        Environment { variables: vec![("TRANSLOAD_TEST_BIGQUERY_LIVE".into(), "1".into())] }
    }

    /// Where the stand-in for Google Cloud Storage listens.
    pub(crate) fn gcs_address(&self) -> Option<String> {
        let (_, endpoint) = self.variables().find(|(name, _)| *name == GCS_ENDPOINT)?;
        endpoint.strip_prefix("http://").map(str::to_owned)
    }

    /// The stand-in for Snowflake.
    pub(crate) fn of_snowflake(port: u16) -> Environment {
        let endpoint = format!("http://127.0.0.1:{port}");
        let variables = [
            (SNOWFLAKE_ENDPOINT, endpoint.as_str()),
            ("TRANSLOAD_TEST_SNOWFLAKE_USER", "loader"),
            ("TRANSLOAD_TEST_SNOWFLAKE_PASSWORD", SNOWFLAKE_PASSWORD),
            ("TRANSLOAD_TEST_SNOWFLAKE_TOKEN", SNOWFLAKE_TOKEN),
        ];
        Environment {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// The port of the stand-in for Snowflake.
    pub(crate) fn snowflake_port(&self) -> Option<u16> {
        let (_, endpoint) = self.variables().find(|(name, _)| *name == SNOWFLAKE_ENDPOINT)?;
        endpoint.rsplit_once(':')?.1.parse().ok()
    }

    /// For tests on an account of their user's.
    pub(crate) fn of_live_snowflake() -> Environment {
        Environment { variables: vec![("TRANSLOAD_TEST_SNOWFLAKE_LIVE".into(), "1".into())] }
    }

    /// The port of the stand-in for Azure.
    pub(crate) fn azure_port(&self) -> Option<u16> {
        let (_, endpoint) = self.variables().find(|(name, _)| *name == AZURE_ENDPOINT)?;
        endpoint.rsplit_once('/')?.0.rsplit_once(':')?.1.parse().ok()
    }

    /// For tests on a cluster of their user's.
    pub(crate) fn of_live_redshift() -> Environment {
        Environment { variables: vec![("TRANSLOAD_TEST_REDSHIFT_LIVE".into(), "1".into())] }
    }

    /// Where the stand-in for Redshift listens.
    pub(crate) fn redshift_address(&self) -> Option<String> {
        let value = |wanted| self.variables().find(|(name, _)| *name == wanted).map(|(_, v)| v);
        Some(format!("{}:{}", value(REDSHIFT_HOST)?, value(REDSHIFT_PORT)?))
    }

    /// Nothing.
    pub(crate) fn empty() -> Environment {
        Environment { variables: Vec::new() }
    }

    /// Both, this one first.
    pub(crate) fn and(mut self, other: Environment) -> Environment {
        self.variables.extend(other.variables);
        self
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Lines for a shell. No value holds a quote: they are all made here.
    pub(crate) fn exports(&self) -> String {
        self.variables().map(|(name, value)| format!("export {name}='{value}'\n")).collect()
    }

    /// Reads what [`Environment::exports`] wrote.
    pub(crate) fn parse(exports: &str) -> Outcome<Environment> {
        let line = |line: &str| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
            Some((name.to_owned(), value.to_owned()))
        };
        match exports.lines().map(line).collect::<Option<Vec<_>>>() {
            Some(variables) => Ok(Environment { variables }),
            None => Err(Failure::new("cannot read .stack/env")
                .with_hint("run `cargo xtask down` and `cargo xtask up`")),
        }
    }
}

/// The accounts of the stand-in for Azure, in the form that it reads.
pub(crate) fn azure_accounts() -> String {
    format!("{AZURE_ACCOUNT}:{AZURE_KEY}")
}

/// The path and query of the request that makes the container.
pub(crate) fn azure_container() -> String {
    format!("/{AZURE_ACCOUNT}/{BUCKET}?restype=container&{AZURE_ACCOUNT_SAS}")
}

/// Who may do what, in the form that the S3 server reads.
pub(crate) fn identities() -> String {
    let identity = |name: &str, key: &str, secret: &str, actions: &[&str]| {
        serde_json::json!({
            "name": name,
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": actions,
        })
    };
    serde_json::json!({"identities": [
        identity("admin", KEY, SECRET, &["Admin", "Read", "Write", "List", "Tagging"]),
        identity("ro", READ_ONLY_KEY, READ_ONLY_SECRET, &["Read", "List"]),
    ]})
    .to_string()
}

/// The roles that may be taken on, in the form in which the S3 server reads them.
pub(crate) fn roles() -> String {
    let policy = |name: &str, effect: &str, actions: &[&str]| {
        serde_json::json!({"name": name, "document": {"Version": "2012-10-17", "Statement": [{
            "Effect": effect,
            "Action": actions,
            "Resource": ["arn:aws:s3:::*", "arn:aws:s3:::*/*"],
        }]}})
    };
    let role = |arn: &str, policy: &str| {
        serde_json::json!({
            "roleName": arn.rsplit('/').next(),
            "roleArn": arn,
            "attachedPolicies": [policy],
            "trustPolicy": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": "*", "Action": ["sts:AssumeRole"],
            }]},
        })
    };
    serde_json::json!({
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "transload-test",
            // 32 bytes, known to everybody: it signs tokens of a server on loopback.
            "signingKey": "dHJhbnNsb2FkLXRlc3Qtc3RhY2stc2lnbmluZy1rZXk=",
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "policies": [
            policy("Everything", "Allow", &["s3:*"]),
            policy("Nothing", "Deny", &["s3:*"]),
        ],
        "roles": [role(ROLE, "Everything"), role(POWERLESS_ROLE, "Nothing")],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let environment = Environment::of_s3(8333);
        assert_eq!(Environment::parse(&environment.exports()).unwrap(), environment);
        assert!(Environment::parse("S3=1\n").is_err());
        let both = environment.and(Environment::of_redshift(5439));
        assert_eq!(Environment::parse(&both.exports()).unwrap(), both);
        assert_eq!(both.redshift_address().unwrap(), "127.0.0.1:5439");
        let azure = Environment::of_azure(10000);
        assert_eq!(Environment::parse(&azure.exports()).unwrap(), azure);
        assert_eq!(azure.azure_port(), Some(10000));
        let gcs = Environment::of_gcs(4440, 4443);
        assert_eq!(Environment::parse(&gcs.exports()).unwrap(), gcs);
        let bigquery = Environment::of_bigquery(9050);
        assert_eq!(Environment::parse(&bigquery.exports()).unwrap(), bigquery);
        let all = both.and(azure).and(gcs).and(bigquery);
        assert_eq!(all.bigquery_address().unwrap(), "127.0.0.1:9050");
        assert_eq!(all.azure_port(), Some(10000));
        assert_eq!(all.gcs_address().unwrap(), "127.0.0.1:4440");
        let all = all.and(Environment::of_snowflake(8084));
        assert_eq!(all.snowflake_port(), Some(8084));
    }
}
