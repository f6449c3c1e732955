//! What is loaded, how it fails, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::account::case::{killed, unique, variable};
use crate::account::{self, Case, Snowflake, account_with, pipeline, query};
use transload::arrow::array::{
    BinaryArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray,
};
use transload::arrow::datatypes::{DataType as ArrowType, Field, Schema, TimeUnit};
use transload::core::Destination as _;
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

const FORMATS: [FileFormat; 3] = [FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv];

fn only(info: &LoadInfo) -> &transload::Receipt {
    let [receipt] = &info.loads[..] else { panic!("one load: {info}") };
    receipt
}

fn rows(count: u64) -> Resource {
    let rows = (0..count).map(|n| serde_json::json!({ "n": n, "tags": [n, n + 1] }));
    Resource::rows("events", rows).write_disposition(WriteDisposition::Append)
}

fn time(column: &str) -> String {
    format!("TO_CHAR(CONVERT_TIMEZONE('UTC', {column}), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')")
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn the_chess_example_loads_with_one_copy_a_table() {
    for (staged, format) in [
        (true, FileFormat::Parquet),
        (true, FileFormat::Jsonl),
        (false, FileFormat::Parquet),
        (false, FileFormat::Jsonl),
    ] {
        let case = Case::new("chess");
        let mut copies = 0;
        for loads in 1..=2 {
            let players = Resource::files(
                "players",
                [concat!(env!("CARGO_MANIFEST_DIR"), "/examples/chess/players.jsonl")],
            )
            .write_disposition(WriteDisposition::Replace)
            .primary_key(["id"])
            .loader_file_format(format);
            let builder = if staged { case.staged() } else { case.direct() };
            let info = builder.build().unwrap().run(players).await.unwrap();
            let receipt = only(&info);
            assert_eq!((receipt.status, receipt.format), (LoadStatus::Loaded, Some(format)));
            let written: Vec<_> = receipt.tables.iter().filter(|table| table.files > 0).collect();
            assert!(written.iter().all(|table| table.statements == Some(1)), "{info}");
            // The stand-in counts them itself.
            copies += written.len();
            assert_eq!(case.copies().await, copies, "one COPY a table and load");
            assert_eq!(case.count("players").await, 54);
            assert_eq!(case.count("_dlt_loads").await, loads);
        }
        let matches = "SELECT COUNT(*) FROM {d}.players AS p JOIN {d}.players__matches AS m \
                       ON m._dlt_parent_id = p._dlt_id";
        assert!(case.one(matches).await.parse::<u64>().unwrap() > 50);
    }
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn every_format_carries_the_same_rows_on_either_way() {
    let case = Case::new("formats");
    for (way, staged) in [("put", false), ("copied", true)] {
        for format in FORMATS {
            let name = format!("{way}_{format}");
            let resource = Resource::json(&*name, ODD).loader_file_format(format);
            let builder = if staged { case.staged() } else { case.direct() };
            let info = builder.build().unwrap().run(resource).await.unwrap();
            assert_eq!(only(&info).format, Some(format));
            let columns = format!(
                "id, text, CAST(number AS VARCHAR), empty, big, CAST(flag AS VARCHAR), {}",
                time("\"AT\"")
            );
            let found = case.ask(&format!("SELECT {columns} FROM {{d}}.{name} ORDER BY id")).await;
            assert_eq!(found.len(), 3);
            assert!(
                found[0].starts_with("1|a\"b\\c,\n'\té\u{1}\r\\n|-1.5e+300||9223372036854775807|~|2024-01-02T01:04:05.000006"),
                "{name}: {found:?}"
            );
            assert_eq!(found[1], "2|~|0.1|x|-9223372036854775808|false|~", "{name}");
            assert!(found[2].starts_with("3|\\N|3"), "{name}: {found:?}");
            assert!(
                found[2].ends_with("|~|~|true|1969-12-31T23:59:59.000000"),
                "{name}: {found:?}"
            );
            let nested = format!("SELECT x FROM {{d}}.{name}__deep__list ORDER BY _dlt_list_idx");
            assert_eq!(case.ask(&nested).await, ["1", "~"], "{name}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn types_of_snowflake_hold_what_they_are_given() {
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
    for (way, staged) in [("put", false), ("copied", true)] {
        for format in FORMATS {
            let table = format!("{way}_{format}");
            let local = ColumnHints::new("naive").data_type(DataType::Timestamp).timezone(false);
            let resource = Resource::arrow(&*table, [batch.clone()])
                .columns([local])
                .loader_file_format(format);
            let builder = if staged { case.staged() } else { case.direct() };
            builder.build().unwrap().run(resource).await.unwrap();
            let columns = format!(
                "amount, small, HEX_ENCODE(raw), {}, TO_CHAR(naive, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')",
                time("zoned")
            );
            let found =
                case.ask(&format!("SELECT {columns} FROM {{d}}.{table} ORDER BY amount")).await;
            assert_eq!(
                found,
                [
                    "-12345678901234567890.123456789|12.34|00FF5C|2024-01-02T03:04:05.000006|2024-01-02T03:04:05.000006",
                    "~|~|~|~|~"
                ],
                "{table}"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn json_is_a_variant_and_goes_by_json_lines() {
    let case = Case::new("variant");
    let refused = Resource::json("t", r#"{"id": 1, "doc": {"a": 1}}"#)
        .columns([ColumnHints::new("doc").data_type(DataType::Json)])
        .loader_file_format(FileFormat::Parquet);
    let failed = case.staged().build().unwrap().run(refused).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported);
    assert!(failed.error.hint().unwrap().contains("jsonl"), "{:?}", failed.error);

    let json = r#"{"id": 1, "doc": {"a": [1, {"b": "it's \\ \"x\""}], "n": null, "d": 1.10}}"#;
    for builder in [case.staged(), case.direct()] {
        let resource = Resource::json("t", json)
            .write_disposition(WriteDisposition::Replace)
            .columns([ColumnHints::new("doc").data_type(DataType::Json).description("it's said")])
            .loader_file_format(FileFormat::Jsonl);
        let info = builder.build().unwrap().run(resource).await.unwrap();
        assert_eq!(only(&info).format, Some(FileFormat::Jsonl));
        let found = case.one("SELECT TO_JSON(doc) FROM {d}.t").await;
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let expected = serde_json::json!({"a": [1, {"b": "it's \\ \"x\""}], "n": null, "d": 1.1});
        assert_eq!(found, expected);
    }
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
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
    for strategy in [
        ReplaceStrategy::TruncateAndInsert,
        ReplaceStrategy::InsertFromStaging,
        ReplaceStrategy::StagingOptimized,
    ] {
        for builder in [case.staged(), case.direct()] {
            let info = run(builder, r#"[{"a": 7, "l": [7]}, {"a": 8}]"#, Some(strategy)).await;
            assert_eq!(only(&info).status, LoadStatus::Loaded);
            assert_eq!((case.count("t").await, case.count("t__l").await), (2, 1), "{strategy:?}");
        }
    }
    run(case.staged(), "", Some(ReplaceStrategy::TruncateAndInsert)).await;
    assert_eq!((case.count("t").await, case.count("t__l").await), (0, 0));
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
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
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn names_are_kept_as_they_are_written_where_the_settings_say_so() {
    for (staged, format) in [
        (true, FileFormat::Parquet),
        (true, FileFormat::Jsonl),
        (false, FileFormat::Csv),
        (false, FileFormat::Jsonl),
    ] {
        // The case has a dataset whose name has both kinds of letters.
        let case = Case::new("Kept");
        let dataset = format!("\"{}\".\"{}\"", account::database(), case.name);
        let run = async |text: &'static str| {
            let builder = if staged { case.staged() } else { case.direct() };
            let builder = builder
                .setting("schema.naming", "sql_cs_v1")
                .setting("destination.snowflake.has_case_sensitive_identifiers", "true");
            let resource = Resource::json("Players", text)
                .write_disposition(WriteDisposition::Merge)
                .merge_strategy(MergeStrategy::Upsert)
                .primary_key(["PlayerId"])
                .loader_file_format(format);
            builder.build().unwrap().run(resource).await.unwrap()
        };
        run(r#"[{"PlayerId": 1, "fullName": "a", "Tags": [1, 2]}, {"PlayerId": 2, "fullName": "b"}]"#)
            .await;
        let info = run(r#"[{"PlayerId": 2, "fullName": "B", "ELO": 7}, {"PlayerId": 3}]"#).await;
        // What is there was found again: nothing but the new column is made.
        let new: Vec<_> = only(&info).schema_changes.iter().map(String::as_str).collect();
        assert_eq!(new, ["Players.ELO"], "{format}, staged: {staged}");
        let columns = "\"PlayerId\", \"fullName\", \"ELO\"";
        let rows = format!("SELECT {columns} FROM {dataset}.\"Players\" ORDER BY \"PlayerId\"");
        assert_eq!(query(&rows).await, ["1|a|~", "2|B|7", "3|~|~"], "{format}, staged: {staged}");
        let tags = format!("SELECT \"value\" FROM {dataset}.\"Players__Tags\" ORDER BY 1");
        assert_eq!(query(&tags).await, ["1", "2"], "{format}, staged: {staged}");
        let loads = format!("SELECT COUNT(*) FROM {dataset}.\"_dlt_loads\"");
        assert_eq!(query(&loads).await, ["2"]);
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_stage_or_an_integration_opens_the_bucket_without_keys() {
    let bucket = variable("TRANSLOAD_TEST_S3_BUCKET");
    let stage = Case::new("stage");
    query(&format!(
        "CREATE STAGE RAW.PUBLIC.{} URL = 's3://{bucket}/{}/' STORAGE_INTEGRATION = transload_test",
        stage.name, stage.name
    ))
    .await;
    let stage_name = format!("RAW.PUBLIC.{}", stage.name);
    let integration = Case::new("integration");
    for (case, key, value) in [
        (&stage, "stage_name", stage_name.as_str()),
        (&integration, "storage_integration", "TRANSLOAD_TEST"),
    ] {
        for format in FORMATS {
            let builder = case.staged().setting(format!("destination.snowflake.{key}"), value);
            builder.build().unwrap().run(rows(10).loader_file_format(format)).await.unwrap();
        }
        assert_eq!(case.count("events").await, 30);
        let copies = case.history().await;
        let copies: Vec<_> = copies.iter().filter(|row| row[0].starts_with("COPY ")).collect();
        assert!(copies.len() >= 6 && copies.iter().all(|row| !row[0].contains("CREDENTIALS")));
    }

    // One that is not there: nothing is loaded, the reason is said, and the load is finished with another.
    let case = Case::new("denied");
    let wrong = case.staged().setting("destination.snowflake.storage_integration", "NOBODYS");
    let failed = wrong.build().unwrap().run(rows(10)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Terminal, "{:?}", failed.error);
    let shown = format!("{:?}", failed.error);
    assert!(
        shown.contains("Integration 'NOBODYS' does not exist") && shown.contains("hint"),
        "{shown}"
    );
    assert_eq!(only(&failed.info).status, LoadStatus::Pending);
    assert_eq!(case.count("events").await, 0);
    let info = case.staged().build().unwrap().resume().await.unwrap();
    assert!(only(&info).resumed);
    assert_eq!(case.count("events").await, 10);
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn keys_that_may_not_read_load_nothing_and_are_never_shown() {
    let case = Case::new("keys");
    let secret = variable("TRANSLOAD_TEST_S3_SECRET");
    case.stand_in(&format!(
        "FAIL 'COPY' CODE '001003' STATE '42000' MESSAGE 'syntax error near AWS_SECRET_KEY = {secret}'"
    ))
    .await;
    let failed = case.staged().build().unwrap().run(rows(1)).await.unwrap_err();
    let shown =
        format!("{failed} {:?} {}", failed.error, serde_json::to_string(&failed.info).unwrap());
    assert!(shown.contains("AWS_SECRET_KEY = ***") && !shown.contains(&secret), "{shown}");
    case.staged().build().unwrap().resume().await.unwrap();
    assert_eq!(case.count("events").await, 1);
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_user_logs_in_by_key_pair_or_token_or_password_and_nobody_else_does() {
    let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/dest-snowflake/src/testdata");
    let read = |name: &str| std::fs::read_to_string(format!("{testdata}/{name}")).unwrap();
    let public: String = read("public.pem").lines().filter(|line| !line.starts_with('-')).collect();
    query(&format!("ALTER USER loader SET RSA_PUBLIC_KEY = '{public}'")).await;
    let token = variable("TRANSLOAD_TEST_SNOWFLAKE_TOKEN");
    let encrypted = format!("{testdata}/aes.p8");
    for (way, change) in [
        ("a key", vec![("credentials.private_key", read("plain.p8"))]),
        (
            "an encrypted key",
            vec![
                ("credentials.private_key_path", encrypted.clone()),
                ("credentials.private_key_passphrase", "open-sesame".to_owned()),
            ],
        ),
        (
            "an access token",
            vec![
                ("credentials.authenticator", "programmatic_access_token".to_owned()),
                ("credentials.token", token.clone()),
            ],
        ),
        (
            "OAuth",
            vec![
                ("credentials.authenticator", "oauth".to_owned()),
                ("credentials.token", token.clone()),
                ("credentials.username", String::new()),
            ],
        ),
    ] {
        let mut change: Vec<_> = change.iter().map(|(key, value)| (*key, value.as_str())).collect();
        change.push(("credentials.password", ""));
        let account = account_with("login", &change);
        account.check().await.unwrap_or_else(|error| panic!("{way}: {error:?}"));
        let case = Case::new("login");
        let given = change.iter().filter(|(_, value)| !value.is_empty());
        let builder = given.fold(case.staged(), |builder, (key, value)| {
            builder.setting(format!("destination.snowflake.{key}"), *value)
        });
        builder
            .build()
            .unwrap()
            .run(rows(2))
            .await
            .unwrap_or_else(|error| panic!("{way}: {error:?}"));
        assert_eq!(case.count("events").await, 2, "{way}");
    }
    for (change, words) in [
        (vec![("credentials.password", "CANARY")], "Incorrect username or password"),
        (
            vec![("credentials.authenticator", "oauth"), ("credentials.token", "CANARY")],
            "Invalid OAuth access token",
        ),
        (
            vec![
                ("credentials.username", "CANARY-user"),
                ("credentials.private_key_path", &encrypted),
                ("credentials.private_key_passphrase", "open-sesame"),
            ],
            "JWT token is invalid",
        ),
    ] {
        let error = account_with("login", &change).check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        let shown = format!("{error:?}");
        assert!(shown.contains(words) && error.hint().is_some(), "{shown}");
        assert!(!shown.contains("CANARY\"") && !shown.contains("open-sesame"), "{shown}");
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn an_expired_session_is_renewed_and_its_transaction_goes_on() {
    let case = Case::new("expire");
    for begins in ["SELECT", "CREATE", "COPY", "INSERT", "COMMIT"] {
        case.stand_in(&format!("EXPIRE '{begins}'")).await;
    }
    case.staged().build().unwrap().run(rows(10)).await.unwrap();
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (10, 1));
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_session_that_ends_for_good_is_followed_by_another_and_the_load_is_there_once() {
    // 390112: the token cannot be renewed any more. The others are said at once.
    for (begins, code) in [
        ("SHOW", "390112"),
        ("CREATE", "390114"),
        ("BEGIN", "390111"),
        ("UPDATE", "390113"),
        ("COPY", "390112"),
        ("COPY", "390104"),
        ("INSERT", "390115"),
        ("COMMIT", "390112"),
        ("COMMIT", "390114"),
    ] {
        for staged in [true, false] {
            let case = Case::new("ended");
            let builder = || if staged { case.staged() } else { case.direct() };
            builder().build().unwrap().run(rows(3)).await.unwrap();
            case.stand_in(&format!("END '{begins}' CODE '{code}'")).await;
            let info = builder().build().unwrap().run(rows(10)).await.unwrap();
            let at = format!("{begins}, {code}, staged: {staged}");
            assert_eq!(only(&info).status, LoadStatus::Loaded, "{at}");
            assert_eq!(case.count("events").await, 13, "{at}");
            assert_eq!(case.count("events__tags").await, 26, "{at}");
            assert_eq!(case.count("_dlt_loads").await, 2, "{at}");
            assert_eq!(case.count("_transload_commits").await, 2, "{at}");
        }
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_token_that_has_expired_meanwhile_is_told_and_the_load_goes_on_with_a_new_one() {
    let case = Case::new("oauth");
    let token = variable("TRANSLOAD_TEST_SNOWFLAKE_TOKEN");
    let with = |token: &str| {
        [("authenticator", "oauth"), ("token", token)].into_iter().fold(
            case.staged(),
            |builder, (key, value)| {
                builder.setting(format!("destination.snowflake.credentials.{key}"), value)
            },
        )
    };
    with(&token).build().unwrap().run(rows(1)).await.unwrap();
    let failed = with(&format!("{token}-of-yesterday")).build().unwrap().run(rows(2)).await;
    let error = failed.unwrap_err().error;
    assert_eq!((error.kind(), error.context("code")), (ErrorKind::Configuration, Some("390318")));
    assert!(error.hint().unwrap().contains("credentials.token"), "{error:?}");
    assert!(!format!("{error:?}").contains(&token), "{error:?}");
    with(&token).build().unwrap().run(rows(2)).await.unwrap();
    assert_eq!(case.count("events").await, 3);
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_statement_that_runs_long_is_asked_for_until_it_ends() {
    let case = Case::new("slow");
    for begins in ["COPY", "COMMIT"] {
        case.stand_in(&format!("SLOW 3 '{begins}'")).await;
    }
    case.staged().build().unwrap().run(rows(10)).await.unwrap();
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (10, 1));
    assert_eq!(case.copies().await, 2);
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_request_whose_answer_is_lost_is_sent_again_and_runs_once() {
    let case = Case::new("again");
    for (moment, begins) in
        [("AFTER", "COPY"), ("AFTER", "INSERT"), ("AFTER", "COMMIT"), ("BEFORE", "COPY")]
    {
        case.stand_in(&format!("LOSE {moment} '{begins}'")).await;
    }
    case.stand_in("STATUS 503 'UPDATE'").await;
    case.staged().build().unwrap().run(rows(10)).await.unwrap();
    assert_eq!((case.count("events").await, case.count("events__tags").await), (10, 20));
    assert_eq!((case.count("_dlt_loads").await, case.count("_transload_commits").await), (1, 1));
    let repeated: Vec<_> = case
        .history()
        .await
        .into_iter()
        .filter(|row| row[3] != "0")
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(repeated.len(), 3, "{repeated:?}");
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_lost_answer_to_commit_makes_no_second_load() {
    for (moment, staged) in [("BEFORE", true), ("AFTER", true), ("AFTER", false)] {
        let case = Case::new("lost");
        let builder = || if staged { case.staged() } else { case.direct() };
        builder().build().unwrap().run(rows(3)).await.unwrap();
        // The first is of the fence. Each is lost as often as it is sent.
        for _ in 0..10 {
            case.stand_in(&format!("LOSE {moment} 'COMMIT'")).await;
        }
        let info = builder().build().unwrap().run(rows(10)).await.unwrap();
        assert_eq!(only(&info).status, LoadStatus::Loaded);
        assert_eq!(case.count("events").await, 13, "{moment}, staged: {staged}");
        assert_eq!(case.count("events__tags").await, 26);
        assert_eq!(case.count("_dlt_loads").await, 2);
        assert_eq!(case.count("_transload_commits").await, 2);
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn conflicts_are_tried_again_and_what_will_not_work_is_not() {
    let case = Case::new("conflict");
    let conflict = "CODE '000625' STATE '57014' MESSAGE 'has locked table in transaction and this lock has not yet been released'";
    for begins in ["UPDATE", "COPY", "COMMIT"] {
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
    assert!(retries.load(Ordering::SeqCst) >= 1);
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (10, 1));

    case.stand_in("FAIL 'COPY' CODE '000606' STATE '57P03' MESSAGE 'No active warehouse selected in the current session.'").await;
    let failed = case.staged().build().unwrap().run(rows(5)).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Configuration);
    assert!(failed.error.hint().unwrap().contains("warehouse"));
    assert_eq!(case.count("events").await, 10);
    case.staged().build().unwrap().resume().await.unwrap();
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (15, 2));
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn a_value_that_does_not_fit_is_told_by_file_line_column_and_value() {
    for staged in [true, false] {
        let case = Case::new("bad");
        let builder = if staged { case.staged() } else { case.direct() };
        let text = "{\"id\": 1, \"code\": \"abcd\"}\n{\"id\": 2, \"code\": \"äöüßé\"}\n";
        let resource = Resource::json("t", text)
            .columns([ColumnHints::new("code").data_type(DataType::Text).precision(4)])
            .loader_file_format(FileFormat::Jsonl);
        let failed = builder.build().unwrap().run(resource).await.unwrap_err();
        let error = &failed.error;
        assert_eq!(error.kind(), ErrorKind::BadData, "{error:?}");
        assert_eq!(case.count("t").await, 0);
        assert_eq!(case.count("_dlt_loads").await, 0);
        assert!(error.context("file").unwrap().contains("/t/000001-"), "{error:?}");
        assert_eq!(error.context("line"), Some("2"));
        assert_eq!(error.context("column"), Some("CODE"));
        assert_eq!(error.context("value"), Some("äöüßé"));
        assert_eq!(error.context("reason"), Some("String … is too long and would be truncated"));
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_copy_that_says_it_left_out_a_file_loads_nothing() {
    for staged in [true, false] {
        let case = Case::new("skipped");
        let builder = || if staged { case.staged() } else { case.direct() };
        case.stand_in("SKIP 'COPY'").await;
        let error = builder().build().unwrap().run(rows(10)).await.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::Terminal, "{error:?}");
        assert!(error.context("file").unwrap().contains("/events/000001-"), "{error:?}");
        assert_eq!(error.context("status"), Some("LOAD_SKIPPED"));
        assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (0, 0));
        builder().build().unwrap().resume().await.unwrap();
        assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (10, 1));
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn more_files_than_a_copy_may_name_are_copied_by_their_folder() {
    let case = Case::new("many");
    let rows = (0..1001).map(|n| serde_json::json!({ "n": n }));
    let builder = case.staged().setting("data_writer.file_max_items", "1");
    let info = builder.build().unwrap().run(Resource::rows("events", rows)).await.unwrap();
    let table = only(&info).tables.iter().find(|table| table.table == "events").unwrap();
    assert_eq!((table.files, table.statements), (1001, Some(1)), "{info}");
    assert_eq!(case.one("SELECT COUNT(DISTINCT n) FROM {d}.events").await, "1001");
    assert_eq!(case.copies().await, 1);
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_dataset_with_more_columns_than_snowflake_shows_is_loaded_into() {
    let case = Case::new("wide");
    let run = async |text: &'static str| {
        let info = case.direct().build().unwrap().run(Resource::json("t", text)).await.unwrap();
        only(&info).schema_changes.len()
    };
    run(r#"{"n": 1, "t": "x"}"#).await;
    let columns: Vec<String> = (0..2_000).map(|n| format!("C{n} NUMBER(19,0)")).collect();
    for n in 0..5 {
        case.ask(&format!("CREATE TABLE {{d}}.A{n} ({})", columns.join(", "))).await;
    }
    // Those of `t` are among the ones that are not shown, and are found all the same.
    assert_eq!(run(r#"{"n": 2, "t": "y"}"#).await, 0);
    assert_eq!(case.count("t").await, 2);
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn every_statement_says_what_it_belongs_to() {
    let case = Case::new("tags");
    let info = case.staged().build().unwrap().run(rows(1)).await.unwrap();
    let load = only(&info).load_id.clone().unwrap().to_string();
    let history = case.history().await;
    assert!(history.iter().all(|row| row[1].contains("\"tool\":\"transload\"")), "{history:?}");
    let copy = history
        .iter()
        .find(|row| row[0].starts_with("COPY INTO") && row[0].contains("\"EVENTS\""))
        .unwrap();
    let tag: serde_json::Value = serde_json::from_str(&copy[1]).unwrap();
    assert_eq!(tag["load_id"], load.as_str());
    assert_eq!((&tag["table"], &tag["step"]), (&"events".into(), &"load events".into()));
    // Each statement that names a table says so, and each says what it is a step of.
    for row in &history {
        let tag: serde_json::Value = serde_json::from_str(&row[1]).unwrap();
        assert!(tag["step"].is_string() && tag["operation"].is_string(), "{row:?}");
        let is_of_a_load = tag["operation"] == "publish" || tag["operation"] == "clear";
        assert_eq!(tag["load_id"].is_string(), is_of_a_load, "{row:?}");
        let ddl = ["CREATE TABLE", "DROP TABLE", "ALTER TABLE", "COMMENT ON", "COPY", "PUT"];
        if ddl.iter().any(|begins| row[0].starts_with(begins)) {
            assert!(tag["table"].is_string(), "{row:?}");
        }
    }

    let case = Case::new("template");
    let builder = case
        .staged()
        .setting("destination.snowflake.query_tag", "{{\"t\": \"{table}\", \"l\": \"{load_id}\"}}");
    let info = builder.build().unwrap().run(rows(1)).await.unwrap();
    let expected =
        format!("{{\"t\": \"events\", \"l\": \"{}\"}}", only(&info).load_id.clone().unwrap());
    assert!(
        case.history().await.iter().any(|row| row[0].starts_with("COPY ") && row[1] == expected)
    );
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn files_of_the_stage_are_removed_after_the_commit_where_that_is_asked_for() {
    for keeps in [true, false] {
        let case = Case::new("keep");
        let builder =
            case.direct().setting("destination.snowflake.keep_staged_files", keeps.to_string());
        builder.build().unwrap().run(rows(3)).await.unwrap();
        assert_eq!(case.count("events").await, 3);
        let stage = format!(
            "REMOVE '@\"RAW\".\"{}_STAGING\".\"_TRANSLOAD_FILES\"/'",
            case.name.to_ascii_uppercase()
        );
        let left = query(&stage).await;
        assert_eq!(left.is_empty(), !keeps, "{left:?}");
    }
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn keys_are_written_down_and_not_enforced() {
    let case = Case::new("keys");
    for _ in 0..2 {
        let resource = Resource::json("t", r#"[{"id": 1, "l": [1]}, {"id": 1}]"#)
            .write_disposition(WriteDisposition::Append)
            .primary_key(["id"]);
        let builder = case.staged().setting("destination.snowflake.create_indexes", "true");
        let info = builder.build().unwrap().run(resource).await.unwrap();
        assert_eq!(only(&info).status, LoadStatus::Loaded);
    }
    assert_eq!((case.count("t").await, case.count("t__l").await), (4, 2));
}

#[tokio::test]
#[ignore = "needs Snowflake: cargo xtask e2e snowflake [--live]"]
async fn pipelines_publish_into_one_dataset_at_the_same_time() {
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
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_run_that_is_dropped_cancels_its_statement_and_leaves_no_transaction() {
    let case = Case::new("dropped");
    case.staged().build().unwrap().run(rows(1)).await.unwrap();
    // Somebody has the fence, so that the next run waits for it.
    let holder = account::account("holder");
    holder.query("BEGIN").await.unwrap();
    let fence = format!("\"RAW\".\"{}\".\"_TRANSLOAD_FENCE\"", case.name.to_ascii_uppercase());
    holder.query(&format!("UPDATE {fence} SET SEQ = SEQ")).await.unwrap();
    let sessions = async |waiting: bool| {
        let found = case.stand_in("SESSIONS").await;
        found.iter().filter(|row| !waiting || row.ends_with("|True")).count()
    };
    let waits = async {
        while sessions(true).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    let pipeline = case.staged().build().unwrap();
    tokio::select! {
        ended = pipeline.run(rows(2)) => panic!("it did not wait: {ended:?}"),
        () = waits => {}
    }
    while sessions(true).await > 0 {
        tokio::task::yield_now().await;
    }
    holder.query("COMMIT").await.unwrap();
    drop(pipeline);
    case.staged().build().unwrap().resume().await.unwrap();
    assert_eq!((case.count("events").await, case.count("_dlt_loads").await), (3, 2));
}

#[tokio::test]
#[ignore = "is started by the test below"]
async fn child_that_is_killed() {
    // One way each: a bucket and a stage are both killed.
    killed::child::<Snowflake>(|disposition| disposition == "append").await;
}

#[tokio::test]
#[ignore = "needs the stand-in for Snowflake: cargo xtask e2e snowflake"]
async fn a_load_that_is_killed_anywhere_is_finished_by_the_next_run() {
    killed::killed_anywhere::<Snowflake>("snowflake::child_that_is_killed").await;
}
