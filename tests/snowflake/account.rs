//! The account of the tests: the stand-in, or one of their user's with `--live`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use transload::PipelineBuilder;
use transload::core::settings::{Settings, connection_string};
use transload_dest_snowflake::SnowflakeDestination;

/// What `cargo xtask e2e snowflake` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask e2e snowflake`"))
}

/// Whether the tests run on an account of their user's.
pub(crate) fn is_live() -> bool {
    std::env::var_os("TRANSLOAD_TEST_SNOWFLAKE_LIVE").is_some()
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
    /// The dataset, and the name of the sessions.
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
        pipeline("snowflake_pipeline", &self.name, self.folder.path())
    }

    /// A pipeline into the dataset, through the bucket.
    pub(crate) fn staged(&self) -> PipelineBuilder {
        self.direct().staging("filesystem")
    }

    /// Rows of a query, as texts joined by `|`, NULL as `~`. `{d}` stands for the dataset.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        let dataset = format!("\"{}\".\"{}\"", database(), self.name.to_ascii_uppercase());
        query(&sql.replace("{d}", &dataset)).await
    }

    /// The one value of a query.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let rows = self.ask(sql).await;
        let [row] = &rows[..] else { panic!("{sql}: {rows:?}") };
        row.clone()
    }

    pub(crate) async fn count(&self, table: &str) -> u64 {
        let table = table.to_ascii_uppercase();
        self.one(&format!("SELECT COUNT(*) FROM {{d}}.\"{table}\""))
            .await
            .parse()
            .expect("a number")
    }

    /// Sends a command to the stand-in.
    pub(crate) async fn stand_in(&self, command: &str) -> Vec<String> {
        query(&format!("STAND_IN {command} FOR '{}'", self.name)).await
    }

    /// The statements that were sent, with their tags, how they ended, and how often each was sent again: of the
    /// stand-in.
    pub(crate) async fn history(&self) -> Vec<Vec<String>> {
        let rows = account("look").query(&format!("STAND_IN HISTORY FOR '{}'", self.name)).await;
        let rows = rows.expect("the stand-in answers");
        rows.into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect()
    }

    /// How many COPYs into the dataset succeeded. The stand-in counts them itself.
    pub(crate) async fn copies(&self) -> usize {
        let history = self.history().await;
        history.iter().filter(|row| row[0].starts_with("COPY ") && row[2] == "SUCCESS").count()
    }
}

/// The database that is loaded into.
pub(crate) fn database() -> String {
    let login = login("");
    let (_, database) =
        login.into_iter().find(|(key, _)| key == "credentials.database").expect("one");
    database.to_ascii_uppercase()
}

/// The account, as its user would configure it.
pub(crate) fn login(name: &str) -> Vec<(String, String)> {
    if is_live() {
        let text = variable("DESTINATION__SNOWFLAKE__CREDENTIALS");
        let parts = connection_string(&text).expect("a connection string");
        return parts
            .into_iter()
            .map(|(key, value)| (format!("credentials.{key}"), value))
            .collect();
    }
    [
        ("credentials.host", "stand-in".to_owned()),
        ("credentials.endpoint_url", variable("TRANSLOAD_TEST_SNOWFLAKE_ENDPOINT")),
        ("credentials.database", "raw".to_owned()),
        ("credentials.username", variable("TRANSLOAD_TEST_SNOWFLAKE_USER")),
        ("credentials.password", variable("TRANSLOAD_TEST_SNOWFLAKE_PASSWORD")),
        // By this the stand-in tells the sessions of tests apart.
        ("session_parameters", format!("[\"QUERY_TAG={name}\"]")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A pipeline of this name into this dataset.
pub(crate) fn pipeline(name: &str, dataset: &str, folder: &Path) -> PipelineBuilder {
    let builder = transload::pipeline(name)
        .destination("snowflake")
        .dataset_name(dataset)
        .folder(folder)
        .pipelines_dir("pipelines");
    let builder = login(dataset).into_iter().fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.snowflake.{key}"), value)
    });
    if is_live() {
        // The bucket, its keys and the stage are those of whoever runs the tests.
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

/// The account with other values for some settings.
pub(crate) fn account_with(name: &str, change: &[(&str, &str)]) -> SnowflakeDestination {
    let mut login = login(name);
    login.retain(|(key, _)| !change.iter().any(|(changed, _)| changed == key));
    let mut pairs: Vec<(&str, &str)> =
        login.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    pairs.extend(change.iter().filter(|(_, value)| !value.is_empty()));
    SnowflakeDestination::new(&Settings::from_pairs("snowflake", &pairs)).expect("is configured")
}

/// The account, to be asked as its user would.
pub(crate) fn account(name: &str) -> SnowflakeDestination {
    account_with(name, &[])
}

/// Asks the account.
pub(crate) async fn query(sql: &str) -> Vec<String> {
    let rows = account("look").query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let text = |value: Option<String>| value.unwrap_or_else(|| "~".to_owned());
    rows.into_iter().map(|row| row.into_iter().map(text).collect::<Vec<_>>().join("|")).collect()
}
