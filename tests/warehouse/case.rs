//! What the tests of all warehouses have: a dataset of their own, pipelines into it, and questions about it.
#![allow(dead_code, reason = "each test program needs a part of it")]

#[path = "killed.rs"]
pub(crate) mod killed;

use std::fmt::Debug;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use tempfile::TempDir;
use transload::PipelineBuilder;
use transload::core::Result;

/// The rows of a query, as texts.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A warehouse: what stands in for it, or with `--live` that of whoever runs the tests.
pub(crate) trait Warehouse: Debug + Sized {
    /// The name of the destination.
    const NAME: &'static str;

    /// The keys below `destination.<name>`, as its user would configure it. Sessions have this name, where they have one.
    fn login(session: &str) -> Vec<(String, String)>;

    /// The keys below `destination.filesystem`, for what stands in.
    fn bucket(prefix: &str) -> Vec<(&'static str, String)> {
        vec![
            ("bucket_url", format!("s3://{}/{prefix}", variable("TRANSLOAD_TEST_S3_BUCKET"))),
            ("credentials.aws_access_key_id", variable("TRANSLOAD_TEST_S3_KEY")),
            ("credentials.aws_secret_access_key", variable("TRANSLOAD_TEST_S3_SECRET")),
            ("credentials.endpoint_url", variable("TRANSLOAD_TEST_S3_ENDPOINT")),
            ("credentials.region_name", "us-east-1".to_owned()),
        ]
    }

    /// A dataset, as it stands in SQL.
    fn dataset(name: &str) -> String {
        name.to_owned()
    }

    /// A table, as it stands in SQL.
    fn table(name: &str) -> String {
        name.to_owned()
    }

    /// Asks.
    async fn rows(sql: &str) -> Result<Rows>;

    /// Whether the tests run in a warehouse of their user's.
    fn is_live() -> bool {
        let variable = format!("TRANSLOAD_TEST_{}_LIVE", Self::NAME.to_uppercase());
        std::env::var_os(variable).is_some()
    }
}

/// What `cargo xtask e2e` sets for each server.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: the tests of servers are run by `cargo xtask e2e`")
    })
}

/// A text that no other test and no other run has.
pub(crate) fn unique(test: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("tl_{test}_{now}_{}_{number}", std::process::id())
}

/// A pipeline of this name into this dataset.
pub(crate) fn pipeline<W: Warehouse>(name: &str, dataset: &str, folder: &Path) -> PipelineBuilder {
    pipeline_as::<W>(W::login(dataset), name, dataset, folder)
}

/// The same, for whoever logs in so.
pub(crate) fn pipeline_as<W: Warehouse>(
    login: Vec<(String, String)>,
    name: &str,
    dataset: &str,
    folder: &Path,
) -> PipelineBuilder {
    let builder = transload::pipeline(name)
        .destination(W::NAME)
        .dataset_name(dataset)
        .folder(folder)
        .pipelines_dir("pipelines");
    let builder = login.into_iter().fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.{}.{key}", W::NAME), value)
    });
    if W::is_live() {
        // The bucket, its keys, a role or a stage are those of whoever runs the tests.
        return builder.environment(std::env::vars_os());
    }
    W::bucket(dataset).into_iter().fold(builder, |builder, (key, value)| {
        builder.setting(format!("destination.filesystem.{key}"), value)
    })
}

/// A dataset of its own, and a folder for what a pipeline keeps.
#[derive(Debug)]
pub(crate) struct Case<W> {
    /// The dataset, and the name of its sessions.
    pub(crate) name: String,
    folder: TempDir,
    warehouse: PhantomData<W>,
}

impl<W: Warehouse> Case<W> {
    pub(crate) fn new(test: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { name: unique(test), folder, warehouse: PhantomData }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A pipeline into the dataset, without staging.
    pub(crate) fn direct(&self) -> PipelineBuilder {
        pipeline::<W>(&format!("{}_pipeline", W::NAME), &self.name, self.folder())
    }

    /// A pipeline into the dataset, through the bucket.
    pub(crate) fn staged(&self) -> PipelineBuilder {
        self.direct().staging("filesystem")
    }

    /// Rows of a query, as texts joined by `|`, NULL as `~`. `{d}` stands for the dataset.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        ask::<W>(&sql.replace("{d}", &W::dataset(&self.name))).await
    }

    /// The one value of a query.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let rows = self.ask(sql).await;
        let [row] = &rows[..] else { panic!("{sql}: {rows:?}") };
        row.clone()
    }

    /// The rows of a table.
    pub(crate) async fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM {{d}}.{}", W::table(table));
        self.one(&sql).await.parse().expect("a number")
    }
}

/// Rows of a query, as [`Case::ask`] has them.
pub(crate) async fn ask<W: Warehouse>(sql: &str) -> Vec<String> {
    let rows = W::rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let text = |value: Option<String>| value.unwrap_or_else(|| "~".to_owned());
    rows.into_iter().map(|row| row.into_iter().map(text).collect::<Vec<_>>().join("|")).collect()
}
