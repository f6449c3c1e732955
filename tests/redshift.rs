//! Loading into Redshift, by COPY from S3 and by INSERT: on the stand-in, and where a test says so on a real cluster.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "redshift/cluster.rs"]
mod cluster;
#[path = "redshift/iam.rs"]
mod iam;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::case::{killed, unique, variable};
use cluster::{Case, Redshift, pipeline, query};
use transload::arrow::array::{
    ArrayRef, BinaryArray, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use transload::arrow::datatypes::{DataType as ArrowType, Field, Schema, TimeUnit};
use transload::{
    ColumnHints, DataType, ErrorKind, Event, FileFormat, LoadInfo, LoadStatus, MergeStrategy,
    PipelineBuilder, ReplaceStrategy, Resource, WriteDisposition,
};

/// Rows that are hard to carry: quotes, escapes, line ends, NULL and empty texts, numbers at their ends.
const ODD: &str = r#"
{"id": 1, "text": "a\"b\\c,\n'\té\u0001\r\\n", "number": -1.5e300, "empty": "", "big": 9223372036854775807, "at": "2024-01-02T03:04:05.000006+02:00", "deep": {"list": [{"x": 1}, {"x": null}]}}
{"id": 2, "text": null, "number": 0.1, "empty": "x", "big": -9223372036854775808, "flag": false, "deep": {"list": []}}
{"id": 3, "text": "\\N", "number": 3, "empty": null, "flag": true, "at": "1969-12-31T23:59:59Z"}
"#;

fn odd(format: FileFormat) -> Resource {
    Resource::json(format!("t_{format}"), ODD).loader_file_format(format)
}

fn only(info: &LoadInfo) -> &transload::Receipt {
    let [receipt] = &info.loads[..] else { panic!("one load: {info}") };
    receipt
}

fn rows(count: u64) -> Resource {
    let rows = (0..count).map(|n| serde_json::json!({ "n": n, "tags": [n, n + 1] }));
    Resource::rows("events", rows).write_disposition(WriteDisposition::Append)
}

/// Runs the chess load of the mission with a configuration file of this text.
async fn chess(case: &Case, secrets: &str) -> LoadInfo {
    let config = case.folder().join(".transload");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("secrets.toml"), secrets).unwrap();
    let pipeline = transload::pipeline("chess_pipeline")
        .destination("redshift")
        .staging("filesystem")
        .dataset_name(&case.name)
        .folder(case.folder())
        .build()
        .unwrap();
    let players = Resource::files(
        "players",
        [concat!(env!("CARGO_MANIFEST_DIR"), "/examples/chess/players.jsonl")],
    )
    .write_disposition(WriteDisposition::Replace)
    .primary_key(["id"])
    .loader_file_format(FileFormat::Parquet);
    pipeline.run(players).await.unwrap()
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn the_readmes_example_loads_with_its_configuration_in_both_forms() {
    let readme = include_str!("../README.md");
    let (_, after) = readme.split_once("# .transload/secrets.toml\n").unwrap();
    let (secrets, _) = after.split_once("```").unwrap();
    let password = variable("TRANSLOAD_TEST_REDSHIFT_PASSWORD");
    let (host, port) =
        (variable("TRANSLOAD_TEST_REDSHIFT_HOST"), variable("TRANSLOAD_TEST_REDSHIFT_PORT"));
    let line = "destination.redshift.credentials = \"redshift://loader:<password>@localhost/dlt_data?connect_timeout=15\"";
    let url = format!(
        "destination.redshift.credentials = \"redshift://loader:{}@{host}:{port}/dev?connect_timeout=15&sslmode=disable\"",
        password.replace('/', "%2F").replace(' ', "%20")
    );
    let table = format!(
        "[destination.redshift.credentials]\nhost = \"{host}\"\nport = {port}\ndatabase = \"dev\"\nusername = \"loader\"\n\
         password = \"{password}\"\nconnect_timeout = 15\nsslmode = \"disable\"\n"
    );
    for (form, credentials) in [("url", url), ("table", table)] {
        let case = Case::new(form);
        assert!(secrets.contains(line), "{secrets}");
        let secrets = secrets
            .replace(line, &credentials)
            .replace("[your_bucket_name]", &format!("{}/{}", variable("TRANSLOAD_TEST_S3_BUCKET"), case.name))
            .replace("aws_access_key_id = \"please set me up!\"", &format!("aws_access_key_id = \"{}\"", variable("TRANSLOAD_TEST_S3_KEY")))
            .replace(
                "aws_secret_access_key = \"please set me up!\"",
                &format!(
                    "aws_secret_access_key = \"{}\"\nendpoint_url = \"{}\"\nregion_name = \"us-east-1\"",
                    variable("TRANSLOAD_TEST_S3_SECRET"),
                    variable("TRANSLOAD_TEST_S3_ENDPOINT")
                ),
            );
        for loads in 1..=2 {
            let info = chess(&case, &secrets).await;
            let receipt = only(&info);
            assert_eq!(
                (receipt.status, receipt.format),
                (LoadStatus::Loaded, Some(FileFormat::Parquet))
            );
            let written = receipt.tables.iter().filter(|table| table.files > 0);
            assert!(
                written.clone().all(|table| table.statements == Some(1)),
                "one COPY a table: {info}"
            );
            // A cluster counts them itself, and here every file is one that the table's only COPY read.
            let tables = written.count() as u64;
            assert_eq!(case.copies().await, tables * loads, "one COPY a table and load");
            assert_eq!(case.count("players").await, 54);
            let champions = "SELECT COUNT(*) FROM {d}.players AS p JOIN {d}.players__matches AS m \
                             ON m._dlt_parent_id = p._dlt_id WHERE p.name LIKE 'Михаил%' OR p.name IS NOT NULL";
            assert!(case.one(champions).await.parse::<u64>().unwrap() > 50);
            assert_eq!(case.count("_dlt_loads").await, loads);
        }
        let kinds = case
            .ask(
                "SELECT column_name, data_type, is_nullable FROM svv_redshift_columns WHERE schema_name = '{d}' \
                 AND table_name = 'players' AND column_name IN ('id', 'women', '_dlt_id') ORDER BY column_name",
            )
            .await;
        assert_eq!(
            kinds,
            [
                "_dlt_id|character varying(65535)|NO",
                "id|character varying(65535)|NO",
                "women|boolean|YES"
            ]
        );
    }
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn every_format_carries_the_same_rows() {
    let case = Case::new("formats");
    for format in FileFormat::ALL {
        for _ in 0..2 {
            let builder = match format {
                FileFormat::InsertValues => case.direct(),
                FileFormat::Csv => {
                    case.staged().setting("destination.redshift.csv_empty_as_null", "true")
                }
                _ => case.staged(),
            };
            let info = builder.build().unwrap().run(odd(format)).await.unwrap();
            assert_eq!(only(&info).format, Some(format));
        }
    }
    let rows = async |format: FileFormat| {
        let columns = "id, text, number, empty, big, flag, at";
        case.ask(&format!("SELECT {columns} FROM {{d}}.t_{format} ORDER BY id, _dlt_load_id")).await
    };
    let parquet = rows(FileFormat::Parquet).await;
    assert_eq!(parquet.len(), 6);
    assert!(parquet[0].starts_with("1|a\"b\\c,\n'\té\u{1}\r\\n|-1.5e+300||9223372036854775807|~|2024-01-02 01:04:05.000006+00"), "{parquet:?}");
    assert_eq!(parquet[2], "2|~|0.1|x|-9223372036854775808|f|~");
    assert_eq!(parquet[4], "3|\\N|3|~|~|t|1969-12-31 23:59:59+00");
    assert_eq!(rows(FileFormat::Jsonl).await, parquet);
    assert_eq!(rows(FileFormat::InsertValues).await, parquet);
    // There an empty text is none.
    let csv: Vec<String> =
        parquet.iter().map(|row| row.replace("e+300||922", "e+300|~|922")).collect();
    assert_eq!(rows(FileFormat::Csv).await, csv);
    for format in FileFormat::ALL {
        let nested = format!("SELECT x FROM {{d}}.t_{format}__deep__list ORDER BY _dlt_list_idx");
        assert_eq!(case.ask(&nested).await, ["1", "1", "~", "~"], "{format}");
    }
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn types_of_redshift_hold_what_they_are_given() {
    let case = Case::new("types");
    let zoned = ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let naive = ArrowType::Timestamp(TimeUnit::Microsecond, None);
    let micros = 1_704_164_645_000_006_i64;
    let batch = RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            Field::new("amount", ArrowType::Decimal128(38, 9), true),
            Field::new("small", ArrowType::Decimal128(6, 2), true),
            Field::new("raw", ArrowType::Binary, true),
            Field::new("zoned", zoned, true),
            Field::new("naive", naive, true),
        ])),
        vec![
            Arc::new(
                Decimal128Array::from(vec![
                    Some(-12_345_678_901_234_567_890_123_456_789_i128),
                    None,
                ])
                .with_precision_and_scale(38, 9)
                .unwrap(),
            ),
            Arc::new(
                Decimal128Array::from(vec![Some(1234_i128), None])
                    .with_precision_and_scale(6, 2)
                    .unwrap(),
            ),
            Arc::new(BinaryArray::from(vec![Some(&[0_u8, 255, 92][..]), None])),
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(micros), None]).with_timezone("UTC"),
            ),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(micros), None])),
        ],
    )
    .unwrap();
    let columns = "SELECT amount, small, raw, zoned, naive FROM {d}.";
    for (table, builder, format) in [
        ("copied", case.staged(), FileFormat::Parquet),
        ("inserted", case.direct(), FileFormat::InsertValues),
    ] {
        let local = ColumnHints::new("naive").data_type(DataType::Timestamp).timezone(false);
        let resource =
            Resource::arrow(table, [batch.clone()]).columns([local]).loader_file_format(format);
        builder.build().unwrap().run(resource).await.unwrap();
        let rows = case.ask(&format!("{columns}{table} ORDER BY amount")).await;
        assert_eq!(rows.len(), 2);
        assert!(rows[0].starts_with("-12345678901234567890.123456789|12.34|"), "{rows:?}");
        assert!(
            rows[0].ends_with("|2024-01-02 03:04:05.000006+00|2024-01-02 03:04:05.000006"),
            "{rows:?}"
        );
        assert_eq!(rows[1], "~|~|~|~|~");
        assert_eq!(
            case.one(&format!("SELECT TO_HEX(raw) FROM {{d}}.{table} WHERE raw IS NOT NULL")).await,
            "00ff5c"
        );
    }
    // JSON is SUPER, which Parquet and JSON lines carry and INSERT parses.
    let json = r#"{"id": 1, "doc": {"a": [1, {"b": "it's \\ \"x\""}], "n": null}}"#;
    for (table, builder, format) in [
        ("s_parquet", case.staged(), FileFormat::Parquet),
        ("s_jsonl", case.staged(), FileFormat::Jsonl),
        ("s_insert", case.direct(), FileFormat::InsertValues),
    ] {
        let resource = Resource::json(table, json)
            .columns([ColumnHints::new("doc")
                .data_type(DataType::Json)
                .description("what was said")])
            .loader_file_format(format);
        builder.build().unwrap().run(resource).await.unwrap();
        let doc: serde_json::Value = serde_json::from_str(
            &case.one(&format!("SELECT JSON_SERIALIZE(doc) FROM {{d}}.{table}")).await,
        )
        .unwrap();
        assert_eq!(
            doc,
            serde_json::json!({"a": [1, {"b": "it's \\ \"x\""}], "n": null}),
            "{format}"
        );
        let described = "SELECT data_type, remarks FROM svv_redshift_columns WHERE schema_name = '{d}' AND column_name = 'doc' AND table_name = '";
        assert_eq!(case.one(&format!("{described}{table}'")).await, "super|what was said");
    }
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn tables_grow_and_are_replaced_with_their_nested_ones() {
    let case = Case::new("replace");
    let run = async |builder: PipelineBuilder, text: &str, strategy: Option<ReplaceStrategy>| {
        let mut resource = Resource::json("t", text).write_disposition(match strategy {
            Some(_) => WriteDisposition::Replace,
            None => WriteDisposition::Append,
        });
        if let Some(strategy) = strategy {
            resource = resource.replace_strategy(strategy);
        }
        builder.build().unwrap().run(resource).await.unwrap()
    };
    run(case.staged(), r#"[{"a": 1, "l": [1, 2]}, {"a": 2, "l": [3]}]"#, None).await;
    let info = run(case.direct(), r#"{"a": "three", "b": {"c": 1.5}}"#, None).await;
    assert!(only(&info).schema_changes.iter().any(|change| change == "t.a__v_text"), "{info}");
    assert_eq!(case.count("t").await, 3);
    assert_eq!(case.one("SELECT a__v_text FROM {d}.t WHERE b__c = 1.5").await, "three");
    for strategy in [ReplaceStrategy::TruncateAndInsert, ReplaceStrategy::InsertFromStaging] {
        for builder in [case.staged(), case.direct()] {
            let info = run(builder, r#"[{"a": 7, "l": [7]}, {"a": 8}]"#, Some(strategy)).await;
            assert_eq!(only(&info).status, LoadStatus::Loaded);
            assert_eq!((case.count("t").await, case.count("t__l").await), (2, 1), "{strategy:?}");
        }
    }
    run(case.staged(), "", Some(ReplaceStrategy::TruncateAndInsert)).await;
    assert_eq!((case.count("t").await, case.count("t__l").await), (0, 0));
    let left = "SELECT COUNT(*) FROM svv_redshift_columns WHERE schema_name = '{d}_staging'";
    assert_eq!(case.one(left).await, "0", "staging tables are dropped");
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn files_come_in_multiples_of_the_slices_and_are_one_copy() {
    for format in [FileFormat::Parquet, FileFormat::Jsonl] {
        let case = Case::new("slices");
        let rows = (0..20_000_u64)
            .map(|n| serde_json::json!({ "n": n, "t": n.wrapping_mul(0x9E37_79B9_7F4A_7C15) }));
        let builder = case
            .staged()
            .setting("destination.redshift.slices", "3")
            .setting("data_writer.file_max_bytes", "64000");
        let resource = Resource::rows("events", rows).loader_file_format(format);
        let info = builder.build().unwrap().run(resource).await.unwrap();
        let receipt = only(&info);
        let table = receipt.tables.iter().find(|table| table.table == "events").unwrap();
        assert!(table.files > 3 && table.files % 3 == 0, "{format}: {}", table.files);
        assert_eq!(table.statements, Some(1), "{format}");
        let sum = case.one("SELECT SUM(n) FROM {d}.events").await;
        assert_eq!((case.count("events").await, sum.as_str()), (20_000, "199990000"), "{format}");
    }
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn rows_are_merged_with_what_is_nested_in_them() {
    for strategy in [MergeStrategy::DeleteInsert, MergeStrategy::Upsert] {
        for staged in [true, false] {
            let case = Case::new("merge");
            for text in [
                r#"[{"id": 1, "v": "a", "l": [1, 2]}, {"id": 2, "v": "b", "l": [3]}]"#,
                r#"[{"id": 2, "v": "B", "l": [4, 5]}, {"id": 3, "v": "c"}]"#,
            ] {
                let builder = if staged { case.staged() } else { case.direct() };
                let resource = Resource::json("t", text)
                    .write_disposition(WriteDisposition::Merge)
                    .merge_strategy(strategy)
                    .primary_key(["id"]);
                builder.build().unwrap().run(resource).await.unwrap();
            }
            let rows = case.ask("SELECT id, v FROM {d}.t ORDER BY id").await;
            assert_eq!(rows, ["1|a", "2|B", "3|c"], "{strategy:?}, staged: {staged}");
            let lists = case.ask("SELECT value FROM {d}.t__l ORDER BY value").await;
            assert_eq!(lists, ["1", "2", "4", "5"], "{strategy:?}, staged: {staged}");
            assert_eq!(case.count("_dlt_loads").await, 2);
        }
    }
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn rows_are_laid_by_distribution_and_sort_keys_and_texts_have_their_lengths() {
    let case = Case::new("keys");
    let resource = Resource::json("t", r#"{"id": 1, "at": "2024-01-02T03:04:05Z", "code": "äö"}"#)
        .columns([
            ColumnHints::new("id").hint("cluster", true),
            ColumnHints::new("at").hint("sort", true),
            ColumnHints::new("code").data_type(DataType::Text).precision(4),
        ]);
    case.staged().build().unwrap().run(resource).await.unwrap();
    let types = "SELECT data_type FROM svv_redshift_columns WHERE schema_name = '{d}' AND table_name = 't' AND column_name = 'code'";
    assert_eq!(case.one(types).await, "character varying(4)");
    assert_eq!(case.one("SELECT code FROM {d}.t").await, "äö");
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_role_or_temporary_keys_open_the_bucket_and_others_do_not() {
    let role = variable("TRANSLOAD_TEST_S3_ROLE");
    let powerless = variable("TRANSLOAD_TEST_S3_POWERLESS_ROLE");
    for (role, format) in [
        (role.as_str(), FileFormat::Parquet),
        (role.as_str(), FileFormat::Jsonl),
        ("default", FileFormat::Parquet),
        (&format!("{powerless},{role}"), FileFormat::Parquet),
    ] {
        let case = Case::new("role");
        let pipeline = case.staged().setting("destination.redshift.staging_iam_role", role);
        pipeline.build().unwrap().run(rows(10).loader_file_format(format)).await.unwrap();
        assert_eq!(case.count("events").await, 10);
        let used = "SELECT COUNT(*) FROM sys_query_history WHERE query_text LIKE '%{d}%' AND query_text LIKE '%CREDENTIALS%'";
        assert_eq!(case.one(used).await, "0", "no keys are forwarded");
    }

    let case = Case::new("temporary");
    let keys = query(&format!("STAND_IN ASSUME '{role}'")).await;
    let [id, secret, token] = keys[0].split('|').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let temporary = || {
        let keys = "destination.filesystem.credentials";
        case.staged()
            .setting(format!("{keys}.aws_access_key_id"), id)
            .setting(format!("{keys}.aws_secret_access_key"), secret)
            .setting(format!("{keys}.aws_session_token"), token)
    };
    let info = temporary().build().unwrap().run(rows(10)).await.unwrap();
    assert_eq!(case.count("events").await, 10);
    let shown = format!("{info} {}", serde_json::to_string(&info).unwrap());
    assert!(!shown.contains(secret) && !shown.contains(token), "{shown}");

    // Keys that the staging destination lends for this load, though it has keys of its own to forward.
    for format in [FileFormat::Parquet, FileFormat::Jsonl] {
        let case = Case::new("lent");
        let lent = case
            .staged()
            .setting("destination.filesystem.credentials.access_role_arn", role.as_str());
        lent.build().unwrap().run(rows(10).loader_file_format(format)).await.unwrap();
        assert_eq!(case.count("events").await, 10);
        let forwarded = format!(
            "SELECT COUNT(*) FROM sys_query_history WHERE query_text LIKE '%{{d}}%' AND query_text LIKE '%aws_access_key_id={}%'",
            variable("TRANSLOAD_TEST_S3_KEY")
        );
        assert_eq!(case.one(&forwarded).await, "0", "the long-lived keys stay here");
    }

    // A role that may not read: nothing is loaded, the reason is said, and the load is finished with another.
    for (wrong, words) in [
        (powerless.as_str(), "AccessDenied"),
        ("arn:aws:iam::123456789012:role/nobody", "Not authorized to get credentials of role"),
    ] {
        let case = Case::new("denied");
        let denied = case.staged().setting("destination.redshift.staging_iam_role", wrong);
        let failed = denied.build().unwrap().run(rows(10)).await.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Configuration, "{:?}", failed.error);
        let shown = format!("{:?}", failed.error);
        assert!(shown.contains(words) && shown.contains("hint"), "{shown}");
        assert_eq!(only(&failed.info).status, LoadStatus::Pending);
        assert_eq!(case.count("events").await, 0);
        let info = case.staged().build().unwrap().resume().await.unwrap();
        assert!(only(&info).resumed);
        assert_eq!(case.count("events").await, 10);
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn keys_and_passwords_are_never_shown() {
    let case = Case::new("secrets");
    let wrong =
        case.staged().setting("destination.redshift.credentials.password", "CANARY-password");
    let failed = wrong.build().unwrap().run(rows(1)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Configuration);
    let shown = format!("{failed} {:?}", failed.error);
    assert!(
        shown.contains("password authentication failed") && !shown.contains("CANARY"),
        "{shown}"
    );

    // Keys that S3 takes for writing, and that the cluster quotes when it fails.
    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    case.stand_in(&format!(
        "FAIL 'COPY' CODE '42601' MESSAGE 'syntax error near aws_secret_access_key={secret}'"
    ))
    .await;
    let failed = case.staged().build().unwrap().run(rows(1)).await.unwrap_err();
    let shown =
        format!("{failed} {:?} {}", failed.error, serde_json::to_string(&failed.info).unwrap());
    assert!(shown.contains("aws_secret_access_key=***") && !shown.contains(&secret), "{shown}");
    case.staged().build().unwrap().resume().await.unwrap();
    assert_eq!(case.count("events").await, 1);
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn a_value_that_does_not_fit_is_told_by_file_line_column_and_value() {
    for format in [FileFormat::Jsonl, FileFormat::InsertValues] {
        let case = Case::new("bad");
        let builder = match format {
            FileFormat::Jsonl => case.staged(),
            _ => case.direct(),
        };
        let text = "{\"id\": 1, \"code\": \"abcd\"}\n{\"id\": 2, \"code\": \"äöü\"}\n";
        let resource = Resource::json("t", text)
            .columns([ColumnHints::new("code").data_type(DataType::Text).precision(4)])
            .loader_file_format(format);
        let failed = builder.build().unwrap().run(resource).await.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::BadData, "{:?}", failed.error);
        assert_eq!(case.count("t").await, 0);
        assert_eq!(case.count("_dlt_loads").await, 0);
        let error = &failed.error;
        if format == FileFormat::Jsonl {
            assert!(error.context("file").unwrap().contains("/t/000001-"), "{error:?}");
            assert_eq!(error.context("line"), Some("2"));
            assert_eq!(error.context("column"), Some("code"));
            assert_eq!(error.context("value"), Some("äöü"));
            assert_eq!(error.context("reason"), Some("String length exceeds DDL length"));
        } else {
            assert!(
                format!("{error:?}").contains("value too long for type character varying(4)"),
                "{error:?}"
            );
        }
    }
}

/// The types of the columns of text of a table.
async fn sizes(case: &Case, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT column_name, data_type FROM svv_redshift_columns WHERE schema_name = '{{d}}' AND table_name = '{table}' \
         AND column_name IN ('a', 'b', 'value') ORDER BY column_name"
    );
    let rows = case.ask(&sql).await;
    rows.iter().map(|row| row.replace("character varying", "")).collect()
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn columns_of_text_are_sized_by_their_bytes_and_widened_for_longer_values() {
    for (source, format, strategy) in [
        ("json", FileFormat::Parquet, None),
        ("json", FileFormat::InsertValues, None),
        ("csv", FileFormat::Jsonl, None),
        ("arrow", FileFormat::Parquet, Some(MergeStrategy::Upsert)),
        ("parquet", FileFormat::Parquet, Some(MergeStrategy::DeleteInsert)),
        ("json", FileFormat::Jsonl, Some(MergeStrategy::Scd2)),
    ] {
        let case = Case::new("sizes");
        let builder = || match format {
            FileFormat::InsertValues => case.direct(),
            _ => case.staged(),
        };
        let load = async |rows: [(&str, &str); 2], text_size: &str| {
            let resource = texts(source, case.folder(), rows).loader_file_format(format);
            let resource = match strategy {
                None => resource.write_disposition(WriteDisposition::Append),
                Some(strategy) => resource
                    .write_disposition(WriteDisposition::Merge)
                    .merge_strategy(strategy)
                    .primary_key(["a"]),
            };
            let builder = builder().setting("destination.redshift.text_size", text_size);
            builder.build().unwrap().run(resource).await
        };
        let at = format!("{source} as {format}, {strategy:?}");
        // 250 characters of one byte need 313 with the room to grow, 100 of two bytes 250.
        let (ascii, umlauts) = ("x".repeat(250), "ä".repeat(100));
        load([("1", &ascii), ("2", &umlauts)], "data").await.unwrap();
        assert_eq!(sizes(&case, "t").await, ["a|(256)", "b|(1024)"], "{at}");
        // What fits changes nothing, though it would be made wider.
        let umlauts = "ä".repeat(512);
        load([("3", "x"), ("4", &umlauts)], "data").await.unwrap();
        assert_eq!(sizes(&case, "t").await, ["a|(256)", "b|(1024)"], "{at}");
        // 513 characters are 1,026 bytes.
        let longer = "ä".repeat(513);
        load([("5", "x"), ("6", &longer)], "data").await.unwrap();
        assert_eq!(sizes(&case, "t").await, ["a|(256)", "b|(4096)"], "{at}");
        let longest = case.one("SELECT MAX(OCTET_LENGTH(b)) FROM {d}.t").await;
        assert_eq!((longest.as_str(), case.count("t").await), ("1026", 6), "{at}");
        // Nobody narrows, and who wants all that there is gets it.
        load([("7", "x"), ("8", "y")], "data").await.unwrap();
        assert_eq!(sizes(&case, "t").await, ["a|(256)", "b|(4096)"], "{at}");
        load([("9", "x"), ("10", "y")], "max").await.unwrap();
        assert_eq!(sizes(&case, "t").await, ["a|(65535)", "b|(65535)"], "{at}");
        // Longer than any column.
        let too_long = "x".repeat(65_536);
        let failed = load([("11", "x"), ("12", &too_long)], "data").await.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::BadData, "{at}: {:?}", failed.error);
        assert_eq!(case.count("t").await, 10, "{at}");
    }
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn nested_tables_and_replaced_ones_are_sized_too_and_declared_columns_stay_as_they_are() {
    let case = Case::new("nested_sizes");
    let load = async |text: &str, strategy: ReplaceStrategy| {
        let rows = format!("{{\"a\": \"x\", \"b\": \"y\", \"list\": [\"{text}\"]}}\n");
        let resource = Resource::json("t", rows)
            .columns([ColumnHints::new("b").data_type(DataType::Text).precision(7)])
            .write_disposition(WriteDisposition::Replace)
            .replace_strategy(strategy);
        let builder = case.staged().setting("destination.redshift.text_size", "data");
        builder.build().unwrap().run(resource).await.unwrap();
    };
    let strategies = [ReplaceStrategy::TruncateAndInsert, ReplaceStrategy::InsertFromStaging];
    for (length, size) in [(3, 256), (1000, 4096), (5000, 16_384), (5, 16_384)] {
        for strategy in strategies {
            load(&"x".repeat(length), strategy).await;
            assert_eq!(sizes(&case, "t").await, ["a|(256)", "b|(7)"]);
            assert_eq!(sizes(&case, "t__list").await, [format!("value|({size})")]);
        }
    }
    assert_eq!((case.count("t").await, case.count("t__list").await), (1, 1));
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn pipelines_that_make_one_table_at_the_same_time_find_room_for_all_texts() {
    let case = Case::new("sizes_together");
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let loads =
        folders.iter().zip([3, 900, 5000]).map(|(folder, length)| {
            let name = unique("pipeline");
            let builder = pipeline(&name, &case.name, folder.path()).staging("filesystem");
            let pipeline =
                builder.setting("destination.redshift.text_size", "data").build().unwrap();
            async move {
                pipeline.run(texts("json", folder.path(), [("x", &"y".repeat(length)); 2])).await
            }
        });
    for loaded in futures::future::join_all(loads).await {
        loaded.unwrap();
    }
    assert_eq!(case.count("t").await, 6);
    assert_eq!(sizes(&case, "t").await, ["a|(256)", "b|(16384)"]);
}

/// Rows with the columns `a` and `b`, from a source of this kind.
fn texts(source: &str, folder: &std::path::Path, rows: [(&str, &str); 2]) -> Resource {
    let batch = || {
        let column = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let columns = [("a", column(rows.map(|row| row.0))), ("b", column(rows.map(|row| row.1)))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let file = |extension: &str| folder.join(format!("{}.{extension}", rows[0].0));
    match source {
        "csv" => {
            let lines: String = rows.iter().map(|(a, b)| format!("k{a},{b}\n")).collect();
            std::fs::write(file("csv"), format!("a,b\n{lines}")).unwrap();
            Resource::files("t", [file("csv")])
        }
        "arrow" => Resource::arrow("t", [batch()]),
        "parquet" => {
            let to = std::fs::File::create(file("parquet")).unwrap();
            let mut writer =
                parquet::arrow::ArrowWriter::try_new(to, batch().schema(), None).unwrap();
            writer.write(&batch()).unwrap();
            writer.close().unwrap();
            Resource::files("t", [file("parquet")])
        }
        _ => Resource::rows("t", rows.map(|(a, b)| serde_json::json!({ "a": a, "b": b }))),
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_lost_answer_to_commit_makes_no_second_load() {
    for (moment, staged) in [("BEFORE", true), ("AFTER", true), ("BEFORE", false), ("AFTER", false)]
    {
        let case = Case::new("lost");
        let builder = || if staged { case.staged() } else { case.direct() };
        builder().build().unwrap().run(rows(3)).await.unwrap();
        // The fence is raised first, and its answer is lost, too.
        case.stand_in(&format!("LOSE {moment} 'COMMIT'")).await;
        case.stand_in(&format!("LOSE {moment} 'COMMIT'")).await;
        let info = builder().build().unwrap().run(rows(10)).await.unwrap();
        assert_eq!(only(&info).status, LoadStatus::Loaded);
        assert_eq!(case.count("events").await, 13, "{moment}, staged: {staged}");
        assert_eq!(case.count("events__tags").await, 26);
        assert_eq!(case.count("_dlt_loads").await, 2);
        assert_eq!(case.count("_transload_commits").await, 2);
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn conflicts_are_tried_again_and_what_will_not_work_is_not() {
    let case = Case::new("conflict");
    let conflict = "CODE 'XX000' MESSAGE '1023' DETAIL 'Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2'";
    for begins in ["LOCK", "COPY", "COMMIT", "SELECT NSPNAME"] {
        case.stand_in(&format!("FAIL '{begins}' {conflict}")).await;
    }
    let retries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&retries);
    let observer = move |event: Event| {
        if matches!(event, Event::Retrying { .. }) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    };
    case.staged().observer(observer).build().unwrap().run(rows(10)).await.unwrap();
    assert!(retries.load(Ordering::SeqCst) >= 3);
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (10, 1));

    case.stand_in("FAIL 'COPY' CODE 'XX000' MESSAGE 'Disk Full'").await;
    let failed = case.staged().build().unwrap().run(rows(5)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Terminal);
    assert!(failed.error.hint().unwrap().contains("resume"));
    assert_eq!(case.count("events").await, 10);
    case.staged().build().unwrap().resume().await.unwrap();
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (15, 2));
}

#[tokio::test]
#[ignore = "needs Redshift: cargo xtask e2e redshift [--live]"]
async fn pipelines_publish_into_one_dataset_of_redshift_at_the_same_time() {
    let case = Case::new("together");
    // The first load makes the tables, which is no matter of this test.
    case.staged().build().unwrap().run(rows(1)).await.unwrap();
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let loads = folders.iter().map(|folder| async {
        let name = unique("pipeline");
        for _ in 0..2 {
            let builder = pipeline(&name, &case.name, folder.path()).staging("filesystem");
            builder.build().unwrap().run(rows(10)).await.unwrap();
        }
    });
    futures::future::join_all(loads).await;
    assert_eq!(case.count("events").await, 61);
    assert_eq!(case.count("_dlt_loads").await, 7);
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_run_that_is_dropped_cancels_its_statement_and_leaves_no_transaction() {
    let case = Case::new("dropped");
    case.staged().build().unwrap().run(rows(1)).await.unwrap();
    // Somebody has the table, so that the next run waits for it in the transaction of its publication.
    let holder = cluster::cluster("holder");
    holder.query("BEGIN").await.unwrap();
    holder.query(&format!("LOCK {}.events", case.name)).await.unwrap();
    // PostgreSQL's own views: how many sessions of this application are there, and how many of them wait.
    let sessions = async |condition: &str| {
        let sql = format!(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = '{}' AND {condition}",
            case.name
        );
        case.one(&sql).await.parse::<u64>().unwrap()
    };
    let waits = async {
        while sessions("wait_event_type = 'Lock'").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    let pipeline = case.staged().build().unwrap();
    tokio::select! {
        ended = pipeline.run(rows(2)) => panic!("it did not wait: {ended:?}"),
        () = waits => {}
    }
    while sessions("state <> 'idle'").await > 0 {
        tokio::task::yield_now().await;
    }
    holder.query("COMMIT").await.unwrap();
    drop(pipeline);
    case.staged().build().unwrap().resume().await.unwrap();
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (3, 2));
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn who_may_not_write_is_told_before_anything_is_read() {
    let case = Case::new("reader");
    let reader = variable("TRANSLOAD_TEST_REDSHIFT_READER");
    let builder = case.staged().setting("destination.redshift.credentials.username", reader);
    let failed = builder.build().unwrap().run(rows(1)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Configuration, "{:?}", failed.error);
    assert!(format!("{:?}", failed.error).contains("permission denied"), "{:?}", failed.error);
}

#[tokio::test]
#[ignore = "is started by the test below"]
async fn child_that_is_killed() {
    killed::child::<Redshift>(|_| true).await;
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_load_that_is_killed_anywhere_is_finished_by_the_next_run() {
    killed::killed_anywhere::<Redshift>("child_that_is_killed").await;
}
