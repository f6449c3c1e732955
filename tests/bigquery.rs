//! Loading into BigQuery, by load jobs from Cloud Storage and by upload: on the stand-in, and where a test says so in a real
//! project.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "bigquery/per_table.rs"]
mod per_table;
#[path = "bigquery/service.rs"]
mod service;
#[path = "bigquery/tables.rs"]
mod tables;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use service::{Case, end_tokens, pipeline};
use transload::{
    ColumnHints, DataType, ErrorKind, Event, FileFormat, LoadInfo, LoadStatus, MergeStrategy,
    PipelineBuilder, Resource, WriteDisposition,
};

/// Rows that are hard to carry: quotes, escapes, line ends, NULL and empty texts, numbers at their ends.
const ODD: &str = r#"
{"id": 1, "text": "a\"b\\c,\n'\té\\n", "number": -1.5e300, "empty": "", "big": 9223372036854775807, "at": "2024-01-02T03:04:05.000006+02:00", "deep": {"list": [{"x": 1}, {"x": null}]}}
{"id": 2, "text": null, "number": 0.1, "empty": "x", "big": -9223372036854775808, "flag": false, "deep": {"list": []}}
{"id": 3, "text": "\\N", "number": 3, "empty": null, "flag": true, "at": "1969-12-31T23:59:59Z"}
"#;

/// What stands in every load job, and in no other.
const LOAD: &str = "\"load\":{";

fn only(info: &LoadInfo) -> &transload::Receipt {
    let [receipt] = &info.loads[..] else { panic!("one load: {info}") };
    receipt
}

fn rows(count: u64) -> Resource {
    let rows = (0..count).map(|n| json!({ "n": n, "tags": [n, n + 1] }));
    Resource::rows("events", rows).write_disposition(WriteDisposition::Append)
}

async fn run(builder: PipelineBuilder, resource: Resource) -> LoadInfo {
    builder.build().unwrap().run(resource).await.unwrap()
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn every_format_carries_the_same_rows_by_either_way() {
    let case = Case::new("formats");
    let mut all = Vec::new();
    for (way, format) in [
        ("staged", FileFormat::Parquet),
        ("staged", FileFormat::Jsonl),
        ("direct", FileFormat::Parquet),
    ] {
        let table = format!("t_{way}_{format}");
        let resource = Resource::json(&table, ODD).loader_file_format(format);
        let builder = if way == "staged" { case.staged() } else { case.direct() };
        let info = run(builder, resource).await;
        assert_eq!(only(&info).format, Some(format));
        let columns = "id, text, CAST(number AS STRING), empty, CAST(big AS STRING), CAST(flag AS STRING), \
                       FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E6SZ', at, 'UTC')";
        let nested = format!(
            "SELECT CAST(x AS STRING) FROM {{d}}.{table}__deep__list ORDER BY _dlt_list_idx"
        );
        assert_eq!(case.ask(&nested).await, ["1", "~"], "{table}");
        all.push(case.ask(&format!("SELECT {columns} FROM {{d}}.{table} ORDER BY id")).await);
    }
    assert!(
        all[0][0].starts_with(
            "1|a\"b\\c,\n'\té\\n|-1.5e+300||9223372036854775807|~|2024-01-02T01:04:05.000006Z"
        ),
        "{all:?}"
    );
    assert_eq!(all[0][1], "2|~|0.1|x|-9223372036854775808|false|~");
    assert!(all.iter().all(|rows| *rows == all[0]), "{all:?}");
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn a_table_with_json_travels_as_json_lines_and_lies_where_hints_say() {
    let case = Case::new("json");
    let json = r#"{"id": 1, "at": "2024-01-02T03:04:05Z", "doc": {"a": [1, {"b": "it's \\ \"x\""}], "n": null}}"#;
    let resource = Resource::json("t", json).columns([
        ColumnHints::new("doc").data_type(DataType::Json).description("what was said"),
        ColumnHints::new("at").hint("partition", true),
        ColumnHints::new("id").hint("cluster", true),
    ]);
    let info = run(case.staged(), resource).await;
    assert_eq!(only(&info).format, Some(FileFormat::Jsonl), "{info}");
    let doc = case.one("SELECT TO_JSON_STRING(doc) FROM {d}.t").await;
    let doc: serde_json::Value = serde_json::from_str(&doc).unwrap();
    assert_eq!(doc, json!({"a": [1, {"b": "it's \\ \"x\""}], "n": null}));
    let laid = "SELECT column_name, is_partitioning_column, CAST(clustering_ordinal_position AS STRING) \
                FROM {d}.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 't' AND column_name IN ('at', 'id') ORDER BY column_name";
    assert_eq!(case.ask(laid).await, ["at|YES|~", "id|NO|1"]);
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn tables_grow_are_replaced_and_merged_with_their_nested_ones() {
    let case = Case::new("dispositions");
    let of = |table: &str, text: &str, disposition| {
        Resource::json(table, text).write_disposition(disposition)
    };
    run(
        case.staged(),
        of("t", r#"[{"a": 1, "l": [1, 2]}, {"a": 2, "l": [3]}]"#, WriteDisposition::Append),
    )
    .await;
    let grown = of("t", r#"{"a": "three", "b": {"c": 1.5}}"#, WriteDisposition::Append);
    let info = run(case.direct(), grown).await;
    assert!(only(&info).schema_changes.iter().any(|change| change == "t.a__v_text"), "{info}");
    assert_eq!(case.one("SELECT a__v_text FROM {d}.t WHERE b__c = 1.5").await, "three");
    run(case.staged(), of("t", r#"[{"a": 7, "l": [7]}, {"a": 8}]"#, WriteDisposition::Replace))
        .await;
    assert_eq!(case.counts(["t", "t__l"]).await, [2, 1]);
    for (table, strategy) in [("m", MergeStrategy::DeleteInsert), ("u", MergeStrategy::Upsert)] {
        for text in [
            r#"[{"id": 1, "v": "a", "l": [1, 2]}, {"id": 2, "v": "b", "l": [3]}]"#,
            r#"[{"id": 2, "v": "B", "l": [4, 5]}, {"id": 3, "v": "c"}]"#,
        ] {
            let resource = of(table, text, WriteDisposition::Merge)
                .merge_strategy(strategy)
                .primary_key(["id"]);
            run(case.staged(), resource).await;
        }
        let found =
            case.ask(&format!("SELECT CAST(id AS STRING), v FROM {{d}}.{table} ORDER BY id")).await;
        assert_eq!(found, ["1|a", "2|B", "3|c"], "{strategy:?}");
        let lists = format!("SELECT CAST(value AS STRING) FROM {{d}}.{table}__l ORDER BY value");
        assert_eq!(case.ask(&lists).await, ["1", "2", "4", "5"], "{strategy:?}");
    }
    assert!(case.ask("GET columns of {d}_staging").await.is_empty(), "staging tables are dropped");
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn a_table_and_load_is_one_job_however_often_it_is_asked_for() {
    let case = Case::new("jobs");
    // The first answer is lost after the job was taken, the next request is not heard; both jobs take their time.
    case.fault("", 1, json!("lose")).await;
    let lost = "the first statement made the dataset";
    run(case.staged(), rows(2)).await;
    assert!(case.jobs("query").await.iter().any(|(_, times)| *times == 2), "{lost}");
    let before = case.jobs("load").await;
    assert_eq!(before.len(), 2, "events and events__tags: {before:?}");
    for does in [json!("lose"), json!("reset"), json!({"run_for": 3})] {
        case.fault("", 1, does).await;
    }
    case.fault("", 2, json!({"refuse": {"status": 503, "reason": "backendError"}})).await;
    case.fault("", 4, json!({"run_for": 2})).await;
    run(case.staged(), rows(3)).await;
    assert_eq!(case.counts(["events", "events__tags", "_dlt_loads"]).await, [5, 10, 2]);
    let jobs = case.jobs("load").await;
    assert_eq!(jobs.len(), 4, "one a table and load: {jobs:?}");
    assert!(
        jobs.iter().all(|(id, _)| id.starts_with("transload_") && id.ends_with("_a0")),
        "{jobs:?}"
    );
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn quotas_are_waited_for_and_a_job_that_failed_is_followed_by_another() {
    let case = Case::new("quota");
    run(case.staged(), rows(1)).await;
    let reason = |reason: &str| json!({"refuse": {"status": 403, "reason": reason}});
    case.fault("", 2, reason("quotaExceeded")).await;
    case.fault("", 1, reason("rateLimitExceeded")).await;
    let retries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&retries);
    let observer = move |event: Event| {
        if matches!(event, Event::Retrying { .. }) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    };
    run(case.staged(), rows(2)).await;
    // A job that is taken, and fails for now.
    let message = "Exceeded rate limits: too many table update operations for this table";
    let fails = json!({"fail": {"reason": "rateLimitExceeded", "message": message}});
    case.fault(LOAD, 1, fails).await;
    case.staged().observer(observer).build().unwrap().run(rows(3)).await.unwrap();
    assert!(retries.load(Ordering::SeqCst) >= 1);
    assert_eq!(case.counts(["events", "_dlt_loads"]).await, [6, 3]);
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn tokens_are_renewed_and_those_who_may_not_are_told() {
    let case = Case::new("tokens");
    let pipeline = case.staged().build().unwrap();
    pipeline.run(rows(1)).await.unwrap();
    end_tokens().await;
    pipeline.run(rows(2)).await.unwrap();
    assert_eq!(case.counts(["events", "_dlt_loads"]).await, [3, 2]);

    let key = "destination.bigquery.credentials.client_email";
    let powerless = "powerless@transload-test.iam.gserviceaccount.com";
    let nobody = "nobody@transload-test.iam.gserviceaccount.com";
    for (email, words) in [(powerless, "Access Denied"), (nobody, "gives no token")] {
        let case = Case::new("denied");
        let failed =
            case.staged().setting(key, email).build().unwrap().run(rows(1)).await.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Configuration, "{:?}", failed.error);
        let shown =
            format!("{failed} {:?} {}", failed.error, serde_json::to_string(&failed.info).unwrap());
        assert!(shown.contains(words) && failed.error.hint().is_some(), "{shown}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn files_that_bigquery_cannot_reach_are_refused_before_anything_is_read() {
    let case = Case::new("elsewhere");
    let folder = case.folder().join("lake").display().to_string();
    let builder = case.staged().setting("destination.filesystem.bucket_url", &folder);
    let failed = builder.build().unwrap().run(rows(1)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{:?}", failed.error);
    let shown = format!("{:?}", failed.error);
    assert!(shown.contains("bucket_url") && shown.contains("gcs"), "{shown}");

    let nowhere =
        case.staged().setting("destination.filesystem.bucket_url", "gs://no-such-bucket-at-all/x");
    let failed = nowhere.build().unwrap().run(rows(1)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Configuration, "{:?}", failed.error);
    assert!(format!("{:?}", failed.error).contains("bucket"), "{:?}", failed.error);
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn a_table_that_cannot_lie_as_hints_say_is_refused_before_anything_is_sealed() {
    let case = Case::new("hints");
    let doc = ColumnHints::new("doc").data_type(DataType::Json);
    let resource = |doc| Resource::json("t", r#"{"id": 1, "doc": {"a": 1}}"#).columns([doc]);
    let pipeline = case.staged().build().unwrap();
    let failed = pipeline.run(resource(doc.clone().hint("cluster", true))).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Configuration, "{:?}", failed.error);
    assert_eq!(failed.error.context("column"), Some("doc"));
    assert!(pipeline.working_folder().packages().unwrap().is_empty());
    drop(pipeline);
    // The way out that the error names.
    run(case.staged(), resource(doc.hint("cluster", false))).await;
    assert_eq!(case.counts(["t"]).await, [1]);
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn a_file_that_is_refused_is_told_and_nothing_is_loaded() {
    let case = Case::new("bad");
    let message = "Error while reading data, error message: JSON parsing error in row starting at position 9: \
                   Could not convert value to integer. Field: n; Value: canary";
    case.staged().build().unwrap().run(rows(1)).await.unwrap();
    let fails = json!({"fail": {"reason": "invalid", "message": message}});
    case.fault(LOAD, 1, fails).await;
    let failed = case.staged().build().unwrap().run(rows(5)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::BadData, "{:?}", failed.error);
    let shown = format!("{:?}", failed.error);
    assert!(shown.contains("Field: n") && !shown.contains("canary"), "{shown}");
    assert_eq!(case.counts(["events", "_dlt_loads"]).await, [1, 1]);
}

/// What tells a process that it is the one to be killed: `<dataset>;<folder>;<publication>`.
const CHILD: &str = "TRANSLOAD_BIGQUERY_CHILD";

#[tokio::test]
#[ignore = "is started by the test below"]
async fn child_that_is_killed() {
    let orders = std::env::var(CHILD).expect("it is not started by hand");
    let [dataset, folder, publication] = orders.split(';').collect::<Vec<_>>()[..] else {
        panic!("orders: {orders}")
    };
    let builder = pipeline("killed", dataset, std::path::Path::new(folder))
        .staging("filesystem")
        .setting("destination.bigquery.publication", publication);
    builder.build().unwrap().run(rows(3)).await.unwrap();
}

/// Runs a load in a process that is killed once so many jobs were done and never answered.
async fn kill_when_held(case: &Case, publication: &str, held: u64) {
    let orders = format!("{};{};{publication}", case.name, case.folder().display());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_that_is_killed"])
        .env(CHILD, orders)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    case.held(held).await;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn a_process_that_is_killed_between_a_job_and_its_answer_leads_to_no_second_job() {
    let case = Case::new("killed");
    let own = || pipeline("killed", &case.name, case.folder()).staging("filesystem");
    run(own(), rows(1)).await;
    let before = case.jobs("load").await.len();
    // A load job, then the publication: each is done, and never answered.
    for (held, text) in [(1, LOAD), (2, "_transload_commits` (")] {
        case.fault(text, 1, json!("hold")).await;
        kill_when_held(&case, "transaction", held).await;
        let info = own().build().unwrap().resume().await.unwrap();
        assert_eq!(only(&info).status, LoadStatus::Loaded, "{text}: {info}");
    }
    assert_eq!(case.counts(["events", "events__tags", "_dlt_loads"]).await, [7, 14, 3]);
    let jobs = case.jobs("load").await;
    assert_eq!(jobs.len() - before, 4, "one a table and load: {jobs:?}");
    assert!(
        !case.jobs("copy").await.is_empty(),
        "what the killed process had loaded is taken over"
    );
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn pipelines_publish_into_one_dataset_at_the_same_time() {
    let case = Case::new("together");
    // The first load makes the tables, which is no matter of this test.
    run(case.staged(), rows(1)).await;
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let loads = folders.iter().map(|folder| async {
        let name = service::case::unique("pipeline");
        let builder = pipeline(&name, &case.name, folder.path()).staging("filesystem");
        run(builder, rows(10)).await;
    });
    futures::future::join_all(loads).await;
    assert_eq!(case.counts(["events", "_dlt_loads"]).await, [21, 3]);
}
