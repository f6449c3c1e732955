//! The cluster of the tests: the stand-in, or one of their user's with `--live`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use transload::PipelineBuilder;
use transload::core::settings::{Settings, connection_string};
use transload_dest_redshift::RedshiftDestination;

/// What `cargo xtask e2e redshift` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask e2e redshift`"))
}

/// Whether the tests run on a cluster of their user's.
pub(crate) fn is_live() -> bool {
    std::env::var_os("TRANSLOAD_TEST_REDSHIFT_LIVE").is_some()
}

/// A text that no other test and no other run has.
pub(crate) fn unique(test: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_micros();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("tl_{test}_{now}_{}_{number}", std::process::id())
}

/// A dataset of its own, and a folder for what a pipeline keeps.
#[derive(Debug)]
pub(crate) struct Case {
    /// The dataset, and the name of the application.
    pub(crate) name: String,
    folder: TempDir,
}

impl Case {
    pub(crate) fn new(test: &str) -> Self {
        Self { name: unique(test), folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A pipeline into the dataset, without staging.
    pub(crate) fn direct(&self) -> PipelineBuilder {
        pipeline("redshift_pipeline", &self.name, self.folder.path())
    }

    /// A pipeline into the dataset, through the bucket.
    pub(crate) fn staged(&self) -> PipelineBuilder {
        self.direct().staging("filesystem")
    }

    /// Rows of a query, as texts joined by `|`, NULL as `~`.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        query(&sql.replace("{d}", &self.name)).await
    }

    /// The one value of a query.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let rows = self.ask(sql).await;
        let [row] = &rows[..] else { panic!("{sql}: {rows:?}") };
        row.clone()
    }

    pub(crate) async fn count(&self, table: &str) -> u64 {
        self.one(&format!("SELECT COUNT(*) FROM {{d}}.{table}")).await.parse().expect("a number")
    }

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

/// A pipeline of this name into this dataset.
pub(crate) fn pipeline(name: &str, dataset: &str, folder: &Path) -> PipelineBuilder {
    pipeline_as(login(dataset), name, dataset, folder)
}

/// The same, for whoever logs in so.
pub(crate) fn pipeline_as(
    login: Vec<(&'static str, String)>,
    name: &str,
    dataset: &str,
    folder: &Path,
) -> PipelineBuilder {
    let builder = transload::pipeline(name)
        .destination("redshift")
        .dataset_name(dataset)
        .folder(folder)
        .pipelines_dir("pipelines");
    let builder = login.into_iter().fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.redshift.credentials.{key}"), value)
    });
    if is_live() {
        // The bucket, its keys and the role are those of whoever runs the tests.
        return builder.environment(std::env::vars_os());
    }
    [
        ("bucket_url", format!("s3://{}/{dataset}", variable("TRANSLOAD_TEST_S3_BUCKET"))),
        ("credentials.aws_access_key_id", variable("TRANSLOAD_TEST_S3_KEY")),
        ("credentials.aws_secret_access_key", variable("TRANSLOAD_TEST_S3_SECRET")),
        ("credentials.endpoint_url", variable("TRANSLOAD_TEST_S3_ENDPOINT")),
        ("credentials.region_name", "us-east-1".to_owned()),
    ]
    .into_iter()
    .fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.filesystem.{key}"), value)
    })
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
    let keys: Vec<(String, String)> =
        login.into_iter().map(|(key, value)| (format!("credentials.{key}"), value)).collect();
    let pairs: Vec<(&str, &str)> =
        keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    RedshiftDestination::new(&Settings::from_pairs("redshift", &pairs)).expect("is configured")
}

/// Asks the cluster.
pub(crate) async fn query(sql: &str) -> Vec<String> {
    let cluster = cluster("transload_test_look");
    let rows = cluster.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let text = |value: Option<String>| value.unwrap_or_else(|| "~".to_owned());
    rows.into_iter().map(|row| row.into_iter().map(text).collect::<Vec<_>>().join("|")).collect()
}
