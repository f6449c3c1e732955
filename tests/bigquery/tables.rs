//! What tables and jobs are made with: hints of dlt's adapter, labels, the figures of the bill.

use serde_json::json;
use transload::core::Usage;
use transload::{ColumnHints, DataType, FileFormat, Resource};

use crate::service::Case;
use crate::{only, rows, run};

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn a_text_on_the_earth_is_a_geography() {
    let case = Case::new("geography");
    let points = r#"[{"id": 1, "place": "POINT(-121 41)"}, {"id": 2, "place": null}]"#;
    for (format, publication) in [
        (FileFormat::Parquet, "transaction"),
        (FileFormat::Jsonl, "transaction"),
        (FileFormat::Jsonl, "per_table"),
        (FileFormat::Parquet, "per_table"),
    ] {
        let table = format!("t_{format}_{publication}");
        let place = ColumnHints::new("place").data_type(DataType::Text);
        let resource = Resource::json(&table, points)
            .loader_file_format(format)
            .columns([place.hint("x-bigquery-geography", true)]);
        let builder = case.staged().setting("destination.bigquery.publication", publication);
        run(builder, resource).await;
        let x = format!("SELECT CAST(ST_X(place) AS STRING) FROM {{d}}.{table} ORDER BY id");
        assert!(case.ask(&x).await[0].starts_with("-121"), "{table}");
        let types = case.ask("GET columns of {d}").await;
        assert!(types.contains(&format!("{table}|place|GEOGRAPHY|YES")), "{types:?}");
    }
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn tables_are_made_as_hints_and_labels_say() {
    let case = Case::new("layout");
    let labelled = |builder: transload::PipelineBuilder| {
        builder.setting("destination.bigquery.labels", r#"{"team": "chess"}"#)
    };
    let ingested = Resource::json("ingested", r#"[{"a": 1, "b": "x"}]"#)
        .hint("x-bigquery-partition", "_PARTITIONDATE")
        .hint("x-bigquery-table-description", "it's when it came")
        .hint("x-bigquery-cluster-columns", json!(["b", "a"]));
    let info = run(labelled(case.staged()), ingested).await;
    assert!(info.loads[0].warnings.is_empty(), "{info}");
    let monthly = Resource::json("monthly", r#"[{"at": "2024-01-02T03:04:05Z"}]"#)
        .hint("x-bigquery-partition", json!({"at": "TIMESTAMP_TRUNC({column_name}, MONTH)"}))
        .hint("x-bigquery-partition-expiration-days", 36500)
        .hint("x-bigquery-require-partition-filter", true);
    run(labelled(case.staged()), monthly).await;
    assert_eq!(case.one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.ingested").await, "1");
    let options = "SELECT option_name, option_value FROM {d}.INFORMATION_SCHEMA.TABLE_OPTIONS \
                   WHERE table_name IN ('ingested', 'monthly') ORDER BY table_name, option_name";
    let options = case.ask(options).await.join("\n");
    for part in ["it's when it came", "team", "chess", "require_partition_filter|true"] {
        assert!(options.contains(part), "{part}: {options}");
    }
    let cluster = "SELECT column_name, CAST(clustering_ordinal_position AS STRING) \
                   FROM {d}.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'ingested' \
                   AND clustering_ordinal_position IS NOT NULL ORDER BY 1";
    assert_eq!(case.ask(cluster).await, ["a|2", "b|1"]);
}

#[tokio::test]
#[ignore = "needs BigQuery: cargo xtask e2e bigquery [--live]"]
async fn a_receipt_says_what_a_load_is_billed_for() {
    let case = Case::new("usage");
    let info = run(case.staged(), rows(2)).await;
    let usage = &only(&info).usage;
    assert!(usage.get(Usage::BYTES_BILLED) >= Some(10 << 20), "{info}");
    assert!(usage.get(Usage::BYTES_PROCESSED).is_some(), "{info}");
    assert!(usage.get(Usage::JOBS) >= Some(3), "two load jobs and a script: {info}");
    assert!(info.to_string().contains("used: bytes_billed "), "{info}");
}

#[tokio::test]
#[ignore = "needs the stand-in for BigQuery: cargo xtask e2e bigquery"]
async fn jobs_carry_the_labels_of_their_load() {
    let case = Case::new("labels");
    let key = "destination.bigquery.labels.team";
    let info = run(case.staged().setting(key, &case.name), rows(1)).await;
    let load_id = only(&info).load_id.as_ref().unwrap().as_str().replace('.', "_");
    let of_load = format!("\"transload_load_id\":\"{load_id}\"");
    assert_eq!(case.jobs_with(&of_load).await, ["load", "load", "query"]);
    let of_team = case.jobs_with(&format!("\"team\":\"{}\"", case.name)).await;
    assert!(of_team.len() > 3, "what belongs to no load has the configured ones: {of_team:?}");
    let wrong = case.staged().setting(key, "Chess Team").build();
    assert!(format!("{:?}", wrong.err().unwrap()).contains("labels"));
}
