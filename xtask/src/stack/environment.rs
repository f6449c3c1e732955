//! What tests are told about the running servers: a handful of environment variables.

use crate::failure::{Failure, Outcome};

pub(crate) const BUCKET: &str = "transload-test";
const KEY: &str = "testkey";
const SECRET: &str = "testsecret";
const READ_ONLY_KEY: &str = "rokey";
const READ_ONLY_SECRET: &str = "rosecret";

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
        ];
        Environment {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Lines for a shell. No value needs quotes: they are all made here.
    pub(crate) fn exports(&self) -> String {
        self.variables().map(|(name, value)| format!("export {name}={value}\n")).collect()
    }

    /// Reads what [`Environment::exports`] wrote.
    pub(crate) fn parse(exports: &str) -> Outcome<Environment> {
        let line = |line: &str| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        match exports.lines().map(line).collect::<Option<Vec<_>>>() {
            Some(variables) => Ok(Environment { variables }),
            None => Err(Failure::new("cannot read .stack/env")
                .with_hint("run `cargo xtask down` and `cargo xtask up`")),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let environment = Environment::of_s3(8333);
        assert_eq!(Environment::parse(&environment.exports()).unwrap(), environment);
        assert!(Environment::parse("S3=1\n").is_err());
    }
}
