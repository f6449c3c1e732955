//! The library as a program uses it: rows from values, text, Arrow, streams and files, into one dataset.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use transload::arrow::array::{Array, Int64Array, ListArray, RecordBatch, StringArray};
use transload::arrow::datatypes::{DataType as ArrowType, Field, Int64Type, Schema};
use transload::{
    ErrorKind, Event, FileFormat, LoadStatus, Pipeline, PipelineBuilder, Resource, Rows,
    TableHints, WriteDisposition,
};

fn builder(folder: &Path) -> PipelineBuilder {
    transload::pipeline("library")
        .destination("duckdb")
        .staging("filesystem")
        .dataset_name("d")
        .folder(folder)
        .pipelines_dir("pipelines")
        .setting("destination.filesystem.bucket_url", "staged")
}

fn pipeline(folder: &Path) -> Pipeline {
    builder(folder).build().unwrap()
}

/// Asks the database, which no pipeline may have open.
fn count(folder: &Path, sql: &str) -> i64 {
    let database = duckdb::Connection::open(folder.join("library.duckdb")).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[derive(serde::Serialize)]
struct Player {
    id: u32,
    name: &'static str,
    titles: Vec<u16>,
}

fn players() -> Vec<Player> {
    vec![
        Player { id: 1, name: "Mikhail Tal", titles: vec![1960] },
        Player { id: 2, name: "Тигран Петросян", titles: vec![1963, 1966] },
    ]
}

fn batch(from: i64) -> RecordBatch {
    let numbers: Vec<i64> = (from..from + 3).collect();
    let lists = numbers.iter().map(|n| Some(vec![Some(*n), None]));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let fields = vec![
        Field::new("Number", ArrowType::Int64, false),
        Field::new("text", ArrowType::Utf8, true),
        Field::new("list", lists.data_type().clone(), true),
    ];
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(Int64Array::from(numbers)),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("ü")])),
        Arc::new(lists),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test]
async fn rows_come_from_values_text_arrow_streams_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("rows.json"), r#"[{"a": 1, "b": {"c": true}}, {"a": 2}]"#).unwrap();
    let stream = futures::stream::iter([
        Ok(Rows::from("{\"s\": 1}\n{\"s\": 2}\n")),
        Ok(Rows::from(r#"[{"s": 3}]"#)),
    ]);
    let resources = vec![
        Resource::rows("players", players()).primary_key(["id"]),
        Resource::json("text", r#"{"t": "2024-01-02T03:04:05Z"}"#),
        Resource::arrow("batches", [batch(1), batch(4)]),
        Resource::stream("streamed", stream),
        Resource::files("files", ["rows.json"]).table_name("Some Files"),
    ];
    let info = pipeline(folder).run(resources).await.unwrap();
    let [receipt] = &info.loads[..] else { panic!("one load: {info}") };
    assert_eq!(receipt.status, LoadStatus::Loaded);
    assert_eq!(receipt.rows(), 2 + 3 + 1 + 6 + 3 + 2);
    assert!(info.to_string().contains("players__titles"), "{info}");

    assert_eq!(count(folder, "select count(*) from d.players"), 2);
    assert_eq!(count(folder, "select sum(value) from d.players__titles"), 1960 + 1963 + 1966);
    assert_eq!(count(folder, "select year(t) from d.text"), 2024);
    assert_eq!(count(folder, "select count(*) from d.batches where text is null"), 2);
    assert_eq!(count(folder, "select cast(list->>0 as bigint) from d.batches where number = 6"), 6);
    assert_eq!(count(folder, "select sum(s) from d.streamed"), 6);
    assert_eq!(count(folder, "select count(*) from d.some_files where b__c"), 1);
    assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 1);
}

#[tokio::test]
async fn every_format_holds_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let odd = r#"{"id": 1, "text": "a\"b\\c,\n'\té\u0001", "number": -1.5e300, "empty": "", "deep": {"list": [[1], []]}}"#;
    for format in FileFormat::ALL {
        let table = format!("t_{format}");
        let resource = Resource::json(table, odd).loader_file_format(format);
        let info = pipeline(folder).run(resource).await.unwrap();
        assert!(info.loads[0].files.iter().all(|file| file.url.is_some()), "{format}");
    }
    for format in FileFormat::ALL {
        let same = format!(
            "select count(*) from d.t_{format} a join d.t_parquet b using (id, text, number, empty) \
             where a.text = 'a\"b\\c,' || chr(10) || '''' || chr(9) || 'é' || chr(1) and a.empty = ''"
        );
        assert_eq!(count(folder, &same), 1, "{format}");
        assert_eq!(
            count(folder, &format!("select count(*) from d.t_{format}__deep__list")),
            2,
            "{format}"
        );
    }
}

#[tokio::test]
async fn replace_takes_stale_nested_rows_along() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let replace =
        |text: &str| Resource::json("t", text).write_disposition(WriteDisposition::Replace);
    pipeline(folder).run(replace(r#"[{"l": [1, 2]}, {"l": [3]}]"#)).await.unwrap();
    pipeline(folder).run(replace(r#"{"n": 1}"#)).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 1);
    assert_eq!(count(folder, "select count(*) from d.t__l"), 0);
    pipeline(folder).run(replace("")).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 0);
    assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 3);
}

#[tokio::test]
async fn what_a_run_does_not_ask_for_is_not_taken_from_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let replace = Resource::json("t", r#"{"a": 1}"#).write_disposition(WriteDisposition::Replace);
    pipeline(folder).run(replace).await.unwrap();
    pipeline(folder).run(Resource::json("t", r#"{"a": 2, "new": "column"}"#)).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
    assert_eq!(count(folder, "select count(*) from d.t where new is null"), 1);
}

#[tokio::test]
async fn a_resource_that_is_skipped_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let skipped = Resource::json("t", "no JSON").write_disposition(WriteDisposition::Skip);
    let info = pipeline(folder.path()).run(skipped).await.unwrap();
    assert!(info.loads.is_empty());
    assert!(!folder.path().join("library.duckdb").exists());
}

#[tokio::test]
async fn a_bad_row_loads_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pipeline = builder(folder).setting("normalize.max_set_aside", "0").build().unwrap();
    let failed = pipeline.run(Resource::json("t", "{\"a\": 1}\n{\"a\": }\n")).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::BadData);
    assert_eq!(failed.error.context("line"), Some("2"));
    assert_eq!(failed.info.loads[0].status, LoadStatus::Failed);
    assert!(pipeline.working_folder().packages().unwrap().is_empty());
    let failing = futures::stream::iter([
        Ok(Rows::from("{\"a\": 1}")),
        Err(transload::Error::new(ErrorKind::Transient, "the source went away")),
    ]);
    let failed = pipeline.run(Resource::stream("t", failing)).await.unwrap_err();
    assert_eq!(failed.error.message(), "the source went away");
    drop(pipeline);
    assert_eq!(
        count(folder, "select count(*) from information_schema.tables where table_name = 't'"),
        0
    );
}

#[tokio::test]
async fn a_bad_row_is_set_aside_where_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pipeline = pipeline(folder);
    let info = pipeline.run(Resource::json("t", "{\"a\": 1}\n{\"a\": }\n")).await.unwrap();
    assert_eq!((info.loads[0].rows(), info.loads[0].rows_set_aside()), (1, 1));
    let package = info.loads[0].package.as_ref().unwrap();
    let kept = std::fs::read(package.join(&info.loads[0].set_aside[0].files[0])).unwrap();
    assert_eq!(kept, b"{\"a\": }\n");
    drop(pipeline);
    assert_eq!(count(folder, "select count(*) from d.t"), 1);
}

#[tokio::test]
async fn only_files_that_were_not_loaded_are_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let source = folder.join("in");
    let write = |name: &str, text: &str| std::fs::write(source.join(name), text).unwrap();
    let rows = || Resource::files("rows", ["in/*"]);
    let run = async |resource: Resource| {
        let info = pipeline(folder).run(resource).await.map_err(|error| error.error)?;
        let loads = info.loads.len();
        Ok::<_, transload::Error>((loads, count(folder, "SELECT count(*) FROM d.rows")))
    };
    std::fs::create_dir(&source).unwrap();
    write("a.jsonl", "{\"n\": 1}");
    write("b.jsonl", "{\"n\": 2}");
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (1, 2));
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (0, 2));
    // One that has changed is loaded again, as a whole.
    write("a.jsonl", "{\"n\": 1}\n{\"n\": 3}");
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (1, 4));
    // A load that fails leaves nothing behind, and remembers nothing.
    write("c.jsonl", "{\"n\": 4}");
    write("d.parquet", "this is no Parquet");
    assert_eq!(run(rows().only_new_files()).await.unwrap_err().kind(), ErrorKind::BadData);
    std::fs::remove_file(source.join("d.parquet")).unwrap();
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (1, 5));
    // What is remembered is in the dataset, not on this machine.
    std::fs::remove_dir_all(folder.join("pipelines")).unwrap();
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (0, 5));
    // Other resources remember for themselves.
    let other = Resource::files("others", ["in/*"]).table_name("rows").only_new_files();
    assert_eq!(run(other).await.unwrap(), (1, 9));
    // A table that is replaced begins anew.
    let replace = || rows().write_disposition(WriteDisposition::Replace);
    assert_eq!(run(replace().only_new_files()).await.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(run(replace()).await.unwrap(), (1, 4));
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (1, 8));
    assert_eq!(run(rows().only_new_files()).await.unwrap(), (0, 8));
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sealed = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&sealed);
    let stop: Arc<std::sync::OnceLock<transload::Stop>> = Arc::default();
    let handle = Arc::clone(&stop);
    let observer = move |event: Event| {
        if let Event::StepEnded(transload::Step::Stage) = event {
            seen.fetch_add(1, Ordering::SeqCst);
            handle.get().unwrap().stop();
        }
    };
    let stopped = builder(folder).observer(observer).build().unwrap();
    stop.set(stopped.stop_handle()).unwrap();
    let failed = stopped.run(Resource::rows("players", players())).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Interrupted);
    assert_eq!(failed.info.loads[0].status, LoadStatus::Pending);
    assert_eq!(sealed.load(Ordering::SeqCst), 1);
    drop(stopped);
    let info = pipeline(folder).resume().await.unwrap();
    assert!(info.loads[0].resumed);
    assert_eq!(count(folder, "select count(*) from d.players"), 2);
}

#[tokio::test]
async fn two_resources_may_not_want_different_things_of_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let append = Resource::json("a", "{}").table_name("t");
    let replace =
        Resource::json("b", "{}").table_name("t").write_disposition(WriteDisposition::Replace);
    let failed = pipeline(folder.path()).run([append, replace]).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Configuration);
    assert_eq!(failed.error.context("b"), Some("replace"));
}

/// What the README says under "Staging to Redshift", with the configuration that it shows. `tests/redshift.rs` loads with it.
#[cfg(feature = "redshift")]
#[test]
fn the_readmes_configuration_of_redshift_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let readme = include_str!("../README.md");
    let (_, after) = readme.split_once("# .transload/secrets.toml\n").unwrap();
    let (secrets, _) = after.split_once("```").unwrap();
    std::fs::create_dir(folder.join(".transload")).unwrap();
    std::fs::write(folder.join(".transload/secrets.toml"), secrets).unwrap();
    let pipeline = transload::pipeline("chess_pipeline")
        .destination("redshift")
        .staging("filesystem")
        .dataset_name("player_data")
        .folder(folder)
        .build()
        .unwrap();
    assert!(!format!("{pipeline:?}").contains("<password>"));
}

#[tokio::test]
async fn a_nested_table_with_a_key_of_its_own_is_loaded_with_what_is_nested_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = r#"{"id": 9, "l": [{"id": 1, "m": [5, 6]}, {"id": 2}]}"#;
    let own =
        || Resource::json("t", rows).nested_hints(["l"], TableHints::new().primary_key(["id"]));
    let info = pipeline(folder).run(own()).await.unwrap();
    let tables: Vec<&str> = info.loads[0].tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!(tables, ["t", "t__l", "t__l__m"]);
    // A later run that gives no such hints finds the table as it is.
    pipeline(folder).run(Resource::json("t", rows)).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
    assert_eq!(count(folder, "select count(*) from d.t__l where _dlt_load_id is not null"), 4);
    let joined = "select count(*) from d.t__l__m m join d.t__l l on m._dlt_parent_id = l._dlt_id";
    assert_eq!(count(folder, joined), 4);
}
