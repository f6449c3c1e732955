//! The cluster of the tests: the stand-in, or one of their user's with `--live`.

#[path = "../warehouse/case.rs"]
pub(crate) mod case;

use std::path::Path;

use transload::PipelineBuilder;
use transload::core::Result;
use transload::core::settings::{Settings, connection_string};
use transload_dest_redshift::RedshiftDestination;

use case::{Rows, Warehouse, variable};

#[derive(Debug)]
pub(crate) struct Redshift;

pub(crate) type Case = case::Case<Redshift>;

impl Warehouse for Redshift {
    const NAME: &'static str = "redshift";

    fn login(session: &str) -> Vec<(String, String)> {
        credentials(login(session))
    }

    async fn rows(sql: &str) -> Result<Rows> {
        cluster("transload_test_look").query(sql).await
    }
}

impl Case {
    /// Sends a command to the stand-in.
    pub(crate) async fn stand_in(&self, command: &str) {
        query(&format!("STAND_IN {command} FOR '{}'", self.name)).await;
    }

    /// How many COPYs into the dataset succeeded. A cluster counts them itself.
    pub(crate) async fn copies(&self) -> u64 {
        let sql = "SELECT COUNT(*) FROM sys_query_history WHERE query_type = 'COPY' AND status = 'success' \
                   AND query_text LIKE '%{d}%'";
        self.one(sql).await.parse().expect("a number")
    }
}

/// Whether the tests run on a cluster of their user's.
pub(crate) fn is_live() -> bool {
    Redshift::is_live()
}

/// The cluster, as its user would configure it.
pub(crate) fn login(name: &str) -> Vec<(&'static str, String)> {
    if is_live() {
        let text = variable("DESTINATION__REDSHIFT__CREDENTIALS");
        let parts = connection_string(&text).expect("a connection string");
        let known = ["host", "port", "database", "username", "password", "sslmode", "sslrootcert"];
        return known
            .into_iter()
            .filter_map(|key| Some((key, parts.get(key)?.clone())))
            .chain([("application_name", name.to_owned())])
            .collect();
    }
    vec![
        ("host", variable("TRANSLOAD_TEST_REDSHIFT_HOST")),
        ("port", variable("TRANSLOAD_TEST_REDSHIFT_PORT")),
        ("database", variable("TRANSLOAD_TEST_REDSHIFT_DATABASE")),
        ("username", variable("TRANSLOAD_TEST_REDSHIFT_USER")),
        ("password", variable("TRANSLOAD_TEST_REDSHIFT_PASSWORD")),
        ("sslmode", "disable".to_owned()),
        ("application_name", name.to_owned()),
    ]
}

fn credentials(login: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    login.into_iter().map(|(key, value)| (format!("credentials.{key}"), value)).collect()
}

/// A pipeline of this name into this dataset.
pub(crate) fn pipeline(name: &str, dataset: &str, folder: &Path) -> PipelineBuilder {
    case::pipeline::<Redshift>(name, dataset, folder)
}

/// The same, for whoever logs in so.
pub(crate) fn pipeline_as(
    login: Vec<(&'static str, String)>,
    name: &str,
    dataset: &str,
    folder: &Path,
) -> PipelineBuilder {
    case::pipeline_as::<Redshift>(credentials(login), name, dataset, folder)
}

/// The login at the stand-in by IAM, which says this besides.
pub(crate) fn login_by_iam(
    name: &str,
    more: &[(&'static str, &str)],
) -> Vec<(&'static str, String)> {
    let mut all = login(name);
    all.retain(|(key, _)| !matches!(*key, "username" | "password"));
    let address = |key: &str| all.iter().find(|(name, _)| *name == key).expect("is set").1.clone();
    let endpoint = format!("http://{}:{}", address("host"), address("port"));
    all.extend([
        ("iam", "true".to_owned()),
        ("region_name", "eu-west-1".to_owned()),
        ("endpoint_url", endpoint.clone()),
        ("sts_endpoint_url", endpoint),
        ("aws_access_key_id", variable("TRANSLOAD_TEST_S3_KEY")),
        ("aws_secret_access_key", variable("TRANSLOAD_TEST_S3_SECRET")),
    ]);
    for (key, value) in more {
        all.retain(|(name, _)| name != key);
        all.push((*key, (*value).to_owned()));
    }
    all
}

/// The cluster, to be asked as its user would.
pub(crate) fn cluster(application: &str) -> RedshiftDestination {
    destination(login(application))
}

/// The same, for whoever logs in so.
pub(crate) fn destination(login: Vec<(&'static str, String)>) -> RedshiftDestination {
    let keys = credentials(login);
    let pairs: Vec<(&str, &str)> =
        keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    RedshiftDestination::new(&Settings::from_pairs("redshift", &pairs)).expect("is configured")
}

/// Asks the cluster.
pub(crate) async fn query(sql: &str) -> Vec<String> {
    case::ask::<Redshift>(sql).await
}
