//! Values and names come back as they were written, in every format.
#![allow(clippy::unwrap_used)]

mod common;

use common::{World, chain, publication};
use transload_core::{
    Column, CopyJob, DataFile, DataType, Disposition, ErrorKind, FileFormat, Job, JobContext,
    StagedFile, StagingAccess, TableChain, TablePublication,
};

/// One row of every type, as the columns of a Parquet file would hold it.
const TYPED: &str = "SELECT 'it''s \\ \"x\" 😀' AS text, 1.5e300::DOUBLE AS double, true AS bool, \
    TIMESTAMPTZ '2024-02-29 23:59:59.123456+00' AS timestamp, 9223372036854775807 AS bigint, \
    '\\x00\\xFF'::BLOB AS binary, '{\"a\":[1,null,\"😀\"]}' AS json, \
    123456789012345678901234567.123456789::DECIMAL(38,9) AS decimal, \
    12345678901234567890123456789012345678::DECIMAL(38,0) AS wei, \
    DATE '0001-01-01' AS date, TIME '23:59:59.999999' AS time";

const JSONL: &str = r#"{"text":"it's \\ \"x\" 😀","double":1.5e300,"bool":true,"timestamp":"2024-02-29T23:59:59.123456Z","bigint":9223372036854775807,"binary":"AP8=","json":{"a":[1,null,"😀"]},"decimal":"123456789012345678901234567.123456789","wei":12345678901234567890123456789012345678,"date":"0001-01-01","time":"23:59:59.999999"}
{"text":null,"json":null}
{"text":""}
"#;

const CSV: &str = "text,double,bool,timestamp,bigint,binary,json,decimal,wei,date,time
\"it's \\ \"\"x\"\" 😀\",1.5e300,true,2024-02-29T23:59:59.123456Z,9223372036854775807,AP8=,\"{\"\"a\"\":[1,null,\"\"😀\"\"]}\",123456789012345678901234567.123456789,12345678901234567890123456789012345678,0001-01-01,23:59:59.999999
,,,,,,,,,,
\"\",,,,,,,,,,
";

const INSERTS: &str = "INSERT INTO {}(\"text\",\"double\",\"bool\",\"timestamp\",\"bigint\",\"binary\",\"json\",\"decimal\",\"wei\",\"date\",\"time\")
VALUES
(E'it''s \\\\ \"x\" 😀',1.5e300,TRUE,'2024-02-29T23:59:59.123456Z',9223372036854775807,from_base64('AP8='),E'{\"a\":[1,null,\"😀\"]}',123456789012345678901234567.123456789,12345678901234567890123456789012345678,'0001-01-01','23:59:59.999999'),
(NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
(E'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
";

async fn all_types() -> (World, Vec<&'static str>) {
    let mut world = World::new();
    let names: Vec<&str> = DataType::ALL.iter().map(|data_type| data_type.as_str()).collect();
    let columns: Vec<_> = names.iter().copied().zip(DataType::ALL).collect();
    world.table("every", &columns);
    world.apply().await;
    (world, names)
}

async fn publish(world: &mut World, table: &str, files: &[&DataFile]) {
    let load = world.fence("1.0").await;
    let publication = publication(None, vec![chain(table, Disposition::Append, files)]);
    let commit = world.publish(&load, &publication).await.unwrap();
    assert_eq!(commit.rows[table], files.iter().map(|file| file.rows).sum::<u64>());
}

#[tokio::test]
async fn every_type_comes_through_every_format() {
    for format in FileFormat::ALL {
        for gzip in [false, true] {
            let (mut world, names) = all_types().await;
            let mut file = match format {
                FileFormat::Parquet => {
                    let nothing = "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";
                    let empty = "UNION ALL SELECT '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";
                    world.parquet("every", &names, 3, &format!("{TYPED} {nothing} {empty}"))
                }
                FileFormat::Jsonl => world.text("every", format, &names, 3, JSONL),
                FileFormat::Csv => world.text("every", format, &names, 3, CSV),
                FileFormat::InsertValues => world.text("every", format, &names, 3, INSERTS),
            };
            if gzip {
                if format == FileFormat::Parquet {
                    continue;
                }
                file = world.gzipped(file);
            }
            publish(&mut world, "every", &[&file]).await;
            let typed = format!(
                "SELECT count(*) AS n FROM (FROM chess.chess.every INTERSECT ALL \
                 SELECT * REPLACE (json::JSON AS json) FROM ({TYPED}))"
            );
            let shown = world.look("FROM chess.chess.every");
            assert_eq!(world.look(&typed), ["{'n': 1}"], "{format} {gzip}: {shown:?}");
            assert_eq!(
                world.look("SELECT count(*) FILTER (text IS NULL) AS none, count(*) FILTER (text = '') AS empty, count(double) AS others FROM chess.chess.every"),
                ["{'none': 1, 'empty': 1, 'others': 1}"],
                "{format} {gzip}: {shown:?}"
            );
        }
    }
}

#[tokio::test]
async fn formats_may_be_mixed_and_columns_may_be_missing() {
    let (mut world, _) = all_types().await;
    let files = [
        world.parquet("every", &["bigint"], 1, "SELECT 1 AS bigint"),
        world.parquet("every", &["text", "bigint"], 1, "SELECT 'a' AS text, 2 AS bigint"),
        world.text("every", FileFormat::Jsonl, &["bigint"], 1, "{\"bigint\":3}\n"),
        world.text("every", FileFormat::Jsonl, &["text"], 1, "{\"text\":\"b\"}\n"),
        world.text("every", FileFormat::Csv, &["text", "bigint"], 1, "text,bigint\nc,4\n"),
        world.text("every", FileFormat::Csv, &["bigint"], 2, "bigint\n5\n\n"),
    ];
    publish(&mut world, "every", &files.iter().collect::<Vec<_>>()).await;
    assert_eq!(
        world.look("SELECT text, bigint FROM chess.chess.every ORDER BY ALL"),
        [
            "{'text': a, 'bigint': 2}",
            "{'text': b, 'bigint': NULL}",
            "{'text': c, 'bigint': 4}",
            "{'text': NULL, 'bigint': 1}",
            "{'text': NULL, 'bigint': 3}",
            "{'text': NULL, 'bigint': 5}",
            "{'text': NULL, 'bigint': NULL}",
        ]
    );
}

#[tokio::test]
async fn odd_names_and_texts_are_only_names_and_texts() {
    let names = ["select", "it's", "a\"b", "😀", "x.y", "a b", "'); DROP TABLE t; --", "filename"];
    let texts =
        ["'; DROP SCHEMA chess; --", "\\N", "NULL", "a\r\nb", "\"", "{}", "$1 ?", "\u{feff}x"];
    for format in FileFormat::ALL {
        let mut world = World::new();
        let columns: Vec<_> = names.iter().map(|name| (*name, DataType::Text)).collect();
        let table = "order \"by\" 😀 it's";
        world.table(table, &columns);
        world.apply().await;
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let identifier = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let selected: Vec<String> = names
            .iter()
            .zip(texts)
            .map(|(name, text)| format!("{} AS {}", quoted(text), identifier(name)))
            .collect();
        let selected = format!("SELECT {}", selected.join(", "));
        let file = match format {
            FileFormat::Parquet => world.parquet(table, &names, 1, &selected),
            FileFormat::Jsonl => {
                let json: Vec<String> = names
                    .iter()
                    .zip(texts)
                    .map(|(n, t)| format!("{n:?}:{}", json_text(t)))
                    .collect();
                world.text(table, format, &names, 1, &format!("{{{}}}\n", json.join(",")))
            }
            FileFormat::Csv => {
                let row = |cells: &[&str]| {
                    cells.iter().map(|c| identifier(c)).collect::<Vec<_>>().join(",")
                };
                world.text(table, format, &names, 1, &format!("{}\n{}\n", row(&names), row(&texts)))
            }
            FileFormat::InsertValues => {
                let header: Vec<String> = names.iter().map(|name| identifier(name)).collect();
                let row: Vec<String> = texts
                    .iter()
                    .map(|text| {
                        let text = text.replace('\\', "\\\\").replace('\'', "''");
                        format!("E'{}'", text.replace('\r', "\\r").replace('\n', "\\n"))
                    })
                    .collect();
                let text = format!(
                    "INSERT INTO {{}}({})\nVALUES\n({});\n",
                    header.join(","),
                    row.join(",")
                );
                world.text(table, format, &names, 1, &text)
            }
        };
        publish(&mut world, table, &[&file]).await;
        let table = identifier(table);
        let same =
            format!("SELECT count(*) AS n FROM (FROM chess.chess.{table} INTERSECT {selected})");
        let shown = world.look(&format!("FROM chess.chess.{table}"));
        assert_eq!(world.look(&same), ["{'n': 1}"], "{format}: {shown:?}");
        assert!(world.describe(None).await.tables.len() >= 6);
    }
}

fn json_text(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\r', "\\r").replace('\n', "\\n"))
}

#[tokio::test]
async fn precisions_keep_their_digits() {
    let mut world = World::new();
    world.table("t", &[]);
    let table = &mut world.schema.tables["t"];
    for (name, precision) in [("s", 0), ("ms", 3), ("us", 6), ("ns", 9)] {
        let mut column = Column::new(name, DataType::Timestamp).with_precision(precision);
        column.timezone = Some(false);
        table.put(column);
    }
    table.put(Column::new("huge", DataType::Bigint).with_precision(128));
    table.put(Column::new("tiny", DataType::Bigint).with_precision(8));
    world.apply().await;
    let columns = ["s", "ms", "us", "ns", "huge", "tiny"];
    let time = "2024-02-29T12:00:00";
    let huge = "170141183460469231731687303715884105727";
    let json = format!(
        "{{\"s\":\"{time}\",\"ms\":\"{time}.123\",\"us\":\"{time}.123456\",\"ns\":\"{time}.123456789\",\"huge\":{huge},\"tiny\":-128}}\n"
    );
    let csv = format!(
        "s,ms,us,ns,huge,tiny\n{time},{time}.123,{time}.123456,{time}.123456789,{huge},-128\n"
    );
    let files = [
        world.text("t", FileFormat::Jsonl, &columns, 1, &json),
        world.text("t", FileFormat::Csv, &columns, 1, &csv),
    ];
    publish(&mut world, "t", &files.iter().collect::<Vec<_>>()).await;
    let row = "{'s': '2024-02-29 12:00:00', 'ms': '2024-02-29 12:00:00.123', 'us': '2024-02-29 12:00:00.123456', \
               'ns': '2024-02-29 12:00:00.123456789', 'huge': 170141183460469231731687303715884105727, 'tiny': -128}";
    assert_eq!(world.look("FROM chess.chess.t"), [row, row]);
}

#[tokio::test]
async fn long_values_fit() {
    for format in [FileFormat::Jsonl, FileFormat::Csv, FileFormat::InsertValues] {
        let mut world = World::new();
        world.table("t", &[("text", DataType::Text)]);
        world.apply().await;
        let long = "x".repeat(20_000_000);
        let text = match format {
            FileFormat::Jsonl => format!("{{\"text\":\"{long}\"}}\n"),
            FileFormat::Csv => format!("text\n{long}\n"),
            _ => format!("INSERT INTO {{}}(\"text\")\nVALUES\n(E'{long}');\n"),
        };
        let file = world.text("t", format, &["text"], 1, &text);
        let file = DataFile { bytes: text.len() as u64, ..file };
        publish(&mut world, "t", &[&file]).await;
        assert_eq!(world.look("SELECT length(text) AS n FROM chess.chess.t"), ["{'n': 20000000}"]);
    }
}

#[tokio::test]
async fn many_rows_of_insert_values_are_one_load() {
    let mut world = World::new();
    world.table("t", &[("id", DataType::Bigint), ("text", DataType::Text)]);
    world.apply().await;
    let rows: Vec<String> = (0..20_000).map(|n| format!("({n},E'{}')", "y".repeat(100))).collect();
    let text = format!("INSERT INTO {{}}(\"id\",\"text\")\nVALUES\n{};\n", rows.join(",\n"));
    let file = world.text("t", FileFormat::InsertValues, &["id", "text"], 20_000, &text);
    publish(&mut world, "t", &[&file]).await;
    assert_eq!(world.look("SELECT count(DISTINCT id) AS n FROM chess.chess.t"), ["{'n': 20000}"]);
}

#[tokio::test]
async fn damaged_values_are_bad_data_and_are_not_shown() {
    for (format, text) in [
        (FileFormat::Jsonl, "{\"date\":\"CANARY\"}\n"),
        (FileFormat::Csv, "date\nCANARY\n"),
        (FileFormat::Csv, "date\n\"CANARY\n"),
        (FileFormat::Jsonl, "{\"date\":CANARY\n"),
        (FileFormat::InsertValues, "INSERT INTO {}(\"date\")\nVALUES\n(E'CANARY');\n"),
        (FileFormat::Parquet, "CANARY"),
    ] {
        let mut world = World::new();
        world.table("t", &[("date", DataType::Date)]);
        world.apply().await;
        let file = world.text("t", format, &["date"], 1, text);
        let load = world.fence("1.0").await;
        let publication = publication(None, vec![chain("t", Disposition::Append, &[&file])]);
        let error = world.publish(&load, &publication).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{error:?}");
        assert_eq!(error.context("step"), Some("load t"));
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        assert!(world.look("FROM chess.chess.t").is_empty());
    }
}

#[tokio::test]
async fn staged_files_are_copied_from_where_they_were_brought() {
    let mut world = World::new();
    world.table("t", &[("id", DataType::Bigint)]);
    world.apply().await;
    let file = world.parquet("t", &["id"], 2, "SELECT unnest([1, 2]) AS id");
    let path = world.folder.join(file.path());
    let load = world.fence("1.0").await;
    let staged = StagedFile { file, key: "a/key".into(), url: "s3://b/a/key".into(), etag: None };
    let copy = Job::Copy(CopyJob { table: "t".into(), files: vec![staged] });
    let chain = TableChain {
        disposition: Disposition::Append,
        root: TablePublication { table: "t".into(), rows: 2, jobs: vec![copy] },
        nested: Vec::new(),
    };
    let publication = publication(None, vec![chain]);
    let schema = world.schema.clone();
    for (access, kind) in [
        (StagingAccess::LocalPaths([("a/key".to_owned(), path)].into()), None),
        (StagingAccess::LocalPaths([].into()), Some(ErrorKind::Bug)),
        (StagingAccess::None, Some(ErrorKind::Unsupported)),
    ] {
        let load = match kind {
            None => load.clone(),
            Some(_) => world.fence("1.0").await,
        };
        let context = JobContext {
            load: &load,
            schema: &schema,
            folder: std::path::Path::new("/nowhere"),
            access: &access,
            on_bytes: &|_| (),
        };
        use transload_core::Destination as _;
        let result = world.destination().publish(&publication, &context).await;
        assert_eq!(result.err().map(|error| error.kind()), kind);
    }
    assert_eq!(world.look("FROM chess.chess.t").len(), 2);
}
