//! The chain through an S3 server: staged there, fetched, published in DuckDB; and the store as a destination of its own.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use transload::{
    Endpoint, Event, FileFormat, LoadInfo, LoadStatus, PipelineBuilder, Resource, Step, Stop,
    WriteDisposition,
};

/// What `cargo xtask up` exports.
fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask e2e filesystem`"))
}

/// A prefix that no other run has.
fn bucket_url(test: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    format!("s3://{}/{test}-{}-{now}", variable("TRANSLOAD_TEST_S3_BUCKET"), std::process::id())
}

fn builder(folder: &Path, bucket_url: &str, secret: &str) -> PipelineBuilder {
    transload::pipeline("s3_pipeline")
        .dataset_name("lake")
        .folder(folder)
        .pipelines_dir("pipelines")
        .setting("destination.filesystem.bucket_url", bucket_url)
        .setting(
            "destination.filesystem.credentials.aws_access_key_id",
            variable("TRANSLOAD_TEST_S3_KEY"),
        )
        .setting("destination.filesystem.credentials.aws_secret_access_key", secret)
        .setting(
            "destination.filesystem.credentials.endpoint_url",
            variable("TRANSLOAD_TEST_S3_ENDPOINT"),
        )
        .setting("destination.filesystem.credentials.region_name", "us-east-1")
}

fn rows() -> Resource {
    let rows = (0..500)
        .map(|n| serde_json::json!({ "n": n, "name": format!("näme {n}"), "tags": [n, n + 1] }));
    Resource::rows("events", rows).write_disposition(WriteDisposition::Append)
}

fn only(info: &LoadInfo) -> &transload::Receipt {
    let [receipt] = &info.loads[..] else { panic!("one load") };
    receipt
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn files_staged_in_s3_are_fetched_and_published() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = bucket_url("chain");
    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    let pipeline = builder(folder.path(), &url, &secret)
        .destination("duckdb")
        .staging("filesystem")
        .build()
        .expect("builds");
    for _ in 0..2 {
        let info = pipeline.run(rows()).await.expect("loads");
        let receipt = only(&info);
        assert_eq!(receipt.status, LoadStatus::Loaded);
        assert_eq!(
            receipt.staging,
            Some(Endpoint { name: "filesystem".into(), r#type: "filesystem".into() })
        );
        for file in &receipt.files {
            let key = file
                .url
                .as_deref()
                .expect("staged")
                .strip_prefix(&format!("{url}/lake/s3_pipeline/"));
            assert!(
                key.is_some_and(|key| key.ends_with(&format!("{}/{}", file.table, file.name))),
                "{file:?}"
            );
        }
        assert!(!serde_json::to_string(&info).expect("serialises").contains(&secret));
    }
    let database =
        duckdb::Connection::open(folder.path().join("s3_pipeline.duckdb")).expect("opens");
    let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).expect(sql) };
    assert_eq!(count("select count(*) from lake.events"), 1000);
    assert_eq!(count("select count(*) from lake.events__tags"), 2000);
    assert_eq!(count("select count(*) from lake._dlt_loads"), 2);
    assert_eq!(count("select count(*) from lake.events where name = 'näme 7'"), 2);
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn s3_is_a_destination_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    let url = bucket_url("alone");
    let pipeline =
        builder(folder.path(), &url, &secret).destination("filesystem").build().expect("builds");
    for expected in [1, 2] {
        pipeline.run(rows()).await.expect("loads");
        let packages = pipeline.working_folder().packages().expect("listed");
        assert_eq!(packages.len(), expected);
    }
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_wrong_secret_is_said_without_the_secret_and_the_load_can_be_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = bucket_url("denied");
    let wrong = builder(folder.path(), &url, "CANARY-wrong-secret")
        .destination("duckdb")
        .staging("filesystem");
    let failed = wrong.build().expect("builds").run(rows()).await.expect_err("is refused");
    let shown = format!(
        "{failed} {:?} {}",
        failed.error,
        serde_json::to_string(&failed.info).expect("serialises")
    );
    assert!(!shown.contains("CANARY"), "{shown}");
    assert_eq!(only(&failed.info).status, LoadStatus::Pending);

    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    let right = builder(folder.path(), &url, &secret)
        .destination("duckdb")
        .staging("filesystem")
        .build()
        .expect("builds");
    let info = right.resume().await.expect("resumes");
    assert!(only(&info).resumed && only(&info).status == LoadStatus::Loaded);
    let database =
        duckdb::Connection::open(folder.path().join("s3_pipeline.duckdb")).expect("opens");
    let rows: i64 = database
        .query_row("select count(*) from lake.events", [], |row| row.get(0))
        .expect("counts");
    assert_eq!(rows, 500);
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_load_is_finished_from_what_lies_in_s3_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = bucket_url("orphaned");
    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    let through_s3 =
        || builder(folder.path(), &url, &secret).destination("duckdb").staging("filesystem");
    // It ends once everything is staged, and its disk is lost.
    let stop: Arc<OnceLock<Stop>> = Arc::default();
    let handle = Arc::clone(&stop);
    let observer = move |event: Event| {
        if let Event::StepEnded(Step::Stage) = event {
            handle.get().expect("is set").stop();
        }
    };
    let stopped = through_s3().observer(observer).build().expect("builds");
    stop.set(stopped.stop_handle()).expect("is set once");
    let failed = stopped.run(rows()).await.expect_err("is stopped");
    let load_id = only(&failed.info).load_id.clone().expect("a load");
    drop(stopped);
    std::fs::remove_dir_all(folder.path().join("pipelines")).expect("the disk is lost");

    let resumed = through_s3().build().expect("builds").resume().await.expect("resumes");
    let receipt = only(&resumed);
    assert_eq!((receipt.load_id.as_ref(), receipt.status), (Some(&load_id), LoadStatus::Loaded));
    assert_eq!(
        receipt.digest,
        only(&failed.info).digest,
        "the manifest is the one that was sealed"
    );
    assert!(
        receipt.files.iter().all(|file| file.url.as_ref().is_some_and(|at| at.starts_with(&url)))
    );
    std::fs::remove_dir_all(folder.path().join("pipelines")).expect("the disk is lost again");
    let again = through_s3().build().expect("builds");
    assert!(again.resume().await.expect("resumes").loads.is_empty());
    let done = again.resume_load(&load_id).await.expect("is reported");
    assert_eq!(only(&done).status, LoadStatus::Loaded);
    drop(again);

    let database =
        duckdb::Connection::open(folder.path().join("s3_pipeline.duckdb")).expect("opens");
    let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).expect(sql) };
    assert_eq!(count("select count(*) from lake.events"), 500);
    assert_eq!(count("select count(*) from lake.events__tags"), 1000);
    assert_eq!(count("select count(*) from lake._dlt_loads"), 1);
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn objects_of_a_bucket_are_a_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    for format in [FileFormat::Jsonl, FileFormat::Parquet] {
        // What a load leaves in the bucket is what the next one reads.
        let url = bucket_url("source");
        let written = builder(folder.path(), &url, &secret)
            .setting("data_writer.disable_compression", "true")
            .destination("filesystem")
            .build()
            .expect("builds");
        written.run(rows().loader_file_format(format)).await.expect("is written");

        let source = "sources.filesystem.credentials";
        let read = |key: &str| {
            builder(folder.path(), &url, &secret)
                .dataset_name(format!("from_{format}"))
                .pipelines_dir(format!("reading_{format}"))
                .setting(format!("{source}.aws_access_key_id"), variable("TRANSLOAD_TEST_S3_KEY"))
                .setting(format!("{source}.aws_secret_access_key"), key)
                .setting(format!("{source}.endpoint_url"), variable("TRANSLOAD_TEST_S3_ENDPOINT"))
                .destination("duckdb")
                .build()
                .expect("builds")
        };
        // Rows of JSON must not bring columns of the loader, as those that it wrote do: the lines of its log have none.
        let (glob, column, expected) = match format {
            FileFormat::Parquet => (format!("{url}/lake/events/*.parquet"), "n", 500),
            _ => (format!("{url}/lake/_dlt_loads/*.jsonl"), "load_id", 1),
        };
        let files = || Resource::files("events", [&glob]);
        let refused = read("CANARY-wrong-secret").run(files()).await.expect_err("is refused");
        assert!(!format!("{refused} {:?}", refused.error).contains("CANARY"), "{refused}");
        let info = read(&secret).run(files()).await.expect("is read");
        assert_eq!(only(&info).status, LoadStatus::Loaded);

        let database =
            duckdb::Connection::open(folder.path().join("s3_pipeline.duckdb")).expect("opens");
        let sql = format!("select count(distinct {column}) from from_{format}.events");
        let rows: i64 = database.query_row(&sql, [], |row| row.get(0)).expect("counts");
        assert_eq!(rows, expected, "{format}");
    }
}
