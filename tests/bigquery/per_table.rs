//! Tables that are loaded themselves, by jobs of their own: `publication = "per_table"`.

use serde_json::json;
use transload::{ErrorKind, LoadStatus, PipelineBuilder, Resource, WriteDisposition};

use crate::service::{Case, pipeline};
use crate::{LOAD, kill_when_held, only, rows, run};

const PUBLICATION: &str = "destination.bigquery.publication";

fn per_table(builder: PipelineBuilder) -> PipelineBuilder {
    builder.setting(PUBLICATION, "per_table")
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn each_table_is_loaded_by_jobs_of_its_own() {
    let case = Case::new("per_table");
    let info = run(per_table(case.staged()), rows(2)).await;
    let receipt = only(&info);
    assert_eq!((receipt.status, receipt.atomic), (LoadStatus::Loaded, Some(false)), "{info}");
    assert!(receipt.tables.iter().all(|table| table.statements == Some(1)), "{receipt:?}");
    let counted: Vec<_> = receipt.tables.iter().map(|table| table.loaded_rows).collect();
    assert_eq!(counted, [Some(2), Some(4)]);
    // By upload, and with a column that is new.
    let more = Resource::json("events", r#"[{"n": 7, "new": "x"}, {"n": 8}]"#);
    run(per_table(case.direct()), more).await;
    assert_eq!(case.counts(["events", "events__tags", "_dlt_loads"]).await, [4, 4, 2]);
    // Of the files of one load one lacks a column, and a nested table has no rows any more.
    let replaced = Resource::json("events", r#"{"n": 9}"#);
    let replaced = replaced.write_disposition(WriteDisposition::Replace);
    run(per_table(case.staged()), replaced).await;
    assert_eq!(case.counts(["events", "events__tags", "_dlt_loads"]).await, [1, 0, 3]);
    assert_eq!(case.ask("SELECT CAST(n AS STRING), new FROM {d}.events").await, ["9|~"]);
    assert!(case.ask("GET columns of {d}_staging").await.is_empty(), "nothing was staged there");
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn what_needs_the_transaction_is_refused_before_anything_is_read() {
    let case = Case::new("per_table_merge");
    let merged = Resource::json("t", r#"{"id": 1}"#)
        .write_disposition(WriteDisposition::Merge)
        .primary_key(["id"]);
    let failed = per_table(case.staged()).build().unwrap().run(merged).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{:?}", failed.error);
    assert!(case.jobs("query").await.is_empty() && case.jobs("load").await.is_empty());
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn a_table_is_loaded_once_whatever_becomes_of_answers_and_processes() {
    let case = Case::new("per_table_killed");
    let own = || per_table(pipeline("killed", &case.name, case.folder()).staging("filesystem"));
    run(own(), rows(1)).await;
    let before = case.jobs("load").await.len();
    // The first job of a load, its second one, and what is left for the transaction: done, and never answered.
    for (held, text) in [(1, LOAD), (2, "events__tags\""), (3, "_transload_commits` (")] {
        case.fault(text, 1, json!("hold")).await;
        kill_when_held(&case, "per_table", held).await;
        let info = own().build().unwrap().resume().await.unwrap();
        assert_eq!(only(&info).status, LoadStatus::Loaded, "{text}: {info}");
    }
    // An answer that is lost, a job that fails for now.
    // Each is for one of the two tables: one that was taken and whose answer was lost does not fail afterwards.
    case.fault("\"tableId\":\"events\"", 1, json!("lose")).await;
    let message = "Exceeded rate limits: too many table update operations for this table";
    let fails = json!({"fail": {"reason": "rateLimitExceeded", "message": message}});
    case.fault("events__tags\"", 1, fails).await;
    run(own(), rows(3)).await;
    assert_eq!(case.counts(["events", "events__tags", "_dlt_loads"]).await, [13, 26, 5]);
    let jobs = case.jobs("load").await;
    assert_eq!(
        jobs.len() - before,
        9,
        "one a table and load, and one for that which failed: {jobs:?}"
    );
    assert!(case.jobs("copy").await.is_empty());
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn a_load_that_began_in_one_way_does_not_end_in_the_other() {
    let case = Case::new("per_table_other");
    let message = "Error while reading data, error message: JSON parsing error";
    let fails = json!({"fail": {"reason": "invalid", "message": message}});
    case.fault("events__tags\"", 1, fails).await;
    let failed = per_table(case.staged()).build().unwrap().run(rows(1)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::BadData, "{:?}", failed.error);
    let failed = case.staged().build().unwrap().resume().await.unwrap_err();
    assert!(format!("{:?}", failed.error).contains("per table"), "{:?}", failed.error);
    per_table(case.staged()).build().unwrap().resume().await.unwrap();
    assert_eq!(case.counts(["events", "events__tags", "_dlt_loads"]).await, [1, 2, 1]);
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn a_table_that_nears_its_quota_is_warned_of() {
    let case = Case::new("per_table_quota");
    let info = run(per_table(case.staged()), rows(1)).await;
    assert!(only(&info).warnings.is_empty(), "{info}");
    case.ask(
        "INSERT INTO {d}._transload_commits (load_id, pipeline, schema_name, digest, epoch, row_counts, committed_at) \
         SELECT CAST(n AS STRING), 'other', 's', 'd', 1, '{\"events\": 1}', CURRENT_TIMESTAMP() \
         FROM UNNEST(GENERATE_ARRAY(1, 749)) AS n",
    )
    .await;
    let info = run(per_table(case.staged()), rows(1)).await;
    let warnings = &only(&info).warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("table events has taken 751"), "{info}");
    assert!(info.to_string().contains("warning: table events"), "{info}");
}
