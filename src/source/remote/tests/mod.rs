mod identity;
#[path = "../../../../staging-filesystem/tests/common/scripted.rs"]
mod scripted;
mod server;

use std::io::Read as _;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt as _, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use transload_core::Result;
use transload_core::settings::Settings;

use super::address::Bucket;
use super::*;
use crate::resource::{Resource, RowSource};
use crate::source::Chunk;
use crate::source::input::find_files;
use server::{Behaviour, Server};

fn stores(pairs: &[(&str, &str)]) -> Stores {
    Stores::impatient(Settings::from_pairs("filesystem", pairs))
}

/// Finds the one object of a URL.
async fn find(stores: &Stores, url: &str) -> Result<Object> {
    Ok(stores.find(url).await?.remove(0))
}

/// Reads an object as a resource does: by a thread that blocks.
async fn read(object: Object) -> Result<Vec<u8>> {
    let work = move || {
        let failure = Failure::default();
        let mut bytes = Vec::new();
        match object.read(failure.clone()).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(_) => Err(failure.take().expect("a reason was kept")),
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn text(bytes: usize) -> Vec<u8> {
    (0..).flat_map(|n: u64| format!("{{\"n\":{n}}}\n").into_bytes()).take(bytes).collect()
}

fn serving(body: Vec<u8>) -> Behaviour {
    Behaviour { body, etag: Some("\"one\""), ranges: true, ..Behaviour::default() }
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let body = text(1_000_000);
    let server =
        Server::start(Behaviour { breaks: vec![300_000, 0, 100_000], ..serving(body.clone()) });
    let stores = stores(&[]);
    let url = server.url("rows.jsonl");
    let object = assert_send(find(&stores, &url)).await.unwrap();
    assert_eq!(object.identity().bytes, Some(1_000_000));
    assert_eq!(object.identity().modified.as_deref(), Some("2015-10-21T07:28:00Z"));
    assert!(read(object).await.unwrap() == body);
    let ranges = ["bytes=0-0", "", "bytes=300000-", "bytes=300000-", "bytes=400000-"];
    let ranges = ranges.map(|range| Some(range.to_owned()).filter(|range| !range.is_empty()));
    assert_eq!(server.ranges(), ranges);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_ranges_begins_again() {
    let body = text(500_000);
    let server =
        Server::start(Behaviour { ranges: false, breaks: vec![200_000], ..serving(body.clone()) });
    // The answer to the first question is not read, but it may break.
    let stores = stores(&[]);
    server.set(|behaviour| behaviour.breaks.insert(0, 10));
    let object = find(&stores, &server.url("rows.jsonl")).await.unwrap();
    assert_eq!(object.ranged_bytes(), None);
    assert!(read(object).await.unwrap() == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_meanwhile_is_an_error() {
    let server = Server::start(Behaviour {
        breaks: vec![1000],
        next_etag: Some("\"two\""),
        ..serving(text(5000))
    });
    let object = find(&stores(&[]), &server.url("rows.jsonl")).await.unwrap();
    let error = read(object).await.unwrap_err();
    assert_eq!(error.context("code"), Some("E_SOURCE_CHANGED"));
    assert_eq!(error.context("file"), Some(server.url("rows.jsonl").as_str()));

    // A weak etag cannot be demanded, and is looked at all the same.
    let server = Server::start(Behaviour {
        etag: Some("W/\"one\""),
        breaks: vec![1000],
        next_etag: Some("W/\"two\""),
        ..serving(text(5000))
    });
    let object = find(&stores(&[]), &server.url("rows.jsonl")).await.unwrap();
    assert_eq!(read(object).await.unwrap_err().context("changed"), Some("its etag"));

    // Between the look and the reading.
    let server = Server::start(Behaviour { etag: None, ..serving(text(5000)) });
    let object = find(&stores(&[]), &server.url("rows.jsonl")).await.unwrap();
    server.set(|behaviour| behaviour.body.push(b'\n'));
    assert_eq!(read(object).await.unwrap_err().context("changed"), Some("its size"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_down_is_an_error_after_some_tries() {
    let server = Server::start(Behaviour { breaks: vec![0; 100], ..serving(text(5000)) });
    let stores = stores(&[]);
    let object = find(&stores, &server.url("rows.jsonl")).await.unwrap();
    let error = read(object).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.context("bytes read"), Some("0"));
    assert_eq!(server.ranges().len(), 1 + 1 + Patience::default().tries);
    server.set(|behaviour| behaviour.statuses = vec![503, 429]);
    assert!(find(&stores, &server.url("rows.jsonl")).await.is_ok());
    server.set(|behaviour| behaviour.statuses = vec![404]);
    let error = find(&stores, &server.url("rows.jsonl")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Configuration, "there is no such source file")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_works_and_is_never_shown() {
    let server = Server::start(serving(text(100)));
    let url =
        server.url("a%20b/rows.jsonl?sig=CANARY%2F1&x=2").replace("http://", "http://me:CANARY@");
    let stores = stores(&[]);
    let object = find(&stores, &url).await.unwrap();
    let identity = serde_json::to_string(object.identity()).unwrap();
    assert!(!format!("{object:?} {identity} {}", object.origin()).contains("CANARY"));
    assert_eq!(object.origin(), server.url("a%20b/rows.jsonl"));
    assert_eq!(read(object).await.unwrap().len(), 100);
    for (request, _) in &server.behaviour.lock().unwrap().seen {
        // What was signed for reading may be asked for nothing else, and as it stands.
        assert_eq!(request, "GET /a%20b/rows.jsonl?sig=CANARY%2F1&x=2 HTTP/1.1");
    }
    server.set(|behaviour| behaviour.statuses = vec![403]);
    let error = find(&stores, &url).await.unwrap_err();
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    drop(server);
    let nowhere =
        find(&stores, "http://me:CANARY@127.0.0.1:1/x.json?sig=CANARY").await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Transient);
    assert!(!format!("{nowhere:?}").contains("CANARY"), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_of_an_empty_file_and_all_of_one_of_unknown_length() {
    let server = Server::start(serving(Vec::new()));
    let object = find(&stores(&[]), &server.url("rows.jsonl")).await.unwrap();
    assert_eq!(object.identity().bytes, Some(0));
    assert!(read(object).await.unwrap().is_empty());
    let hidden = Behaviour { hides_length: true, ranges: false, ..serving(text(70_000)) };
    let server = Server::start(hidden);
    let object = find(&stores(&[]), &server.url("rows.jsonl")).await.unwrap();
    assert_eq!(object.identity().bytes, None);
    assert!(read(object).await.unwrap() == text(70_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_object_is_read_over_connections_that_break() {
    let body = text(400_000);
    let server =
        Server::start(Behaviour { breaks: vec![150_000, 50_000], ..serving(body.clone()) });
    let endpoint = format!("http://{}", server.address);
    let stores = stores(&[
        ("credentials.endpoint_url", &endpoint),
        ("credentials.aws_access_key_id", "id"),
        ("credentials.aws_secret_access_key", "CANARY"),
    ]);
    let object = find(&stores, "s3://lake/a/rows.jsonl").await.unwrap();
    assert_eq!(object.identity().name, "s3://lake/a/rows.jsonl");
    assert_eq!(object.identity().etag.as_deref(), Some("\"one\""));
    let again = object.clone();
    assert!(read(object).await.unwrap() == body);
    assert!(
        server
            .behaviour
            .lock()
            .unwrap()
            .seen
            .iter()
            .all(|(request, _)| request.contains("/lake/a/rows.jsonl"))
    );
    server.set(|behaviour| behaviour.etag = Some("\"two\""));
    assert_eq!(read(again).await.unwrap_err().context("code"), Some("E_SOURCE_CHANGED"));
    server.set(|behaviour| behaviour.statuses = vec![403; 20]);
    let error = find(&stores, "s3://lake/a/rows.jsonl").await.unwrap_err();
    assert_eq!(error.message(), "the credentials do not allow to read the source");
    assert!(!format!("{error:?} {stores:?}").contains("CANARY"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn globs_of_a_store_match_like_those_of_a_folder() {
    let memory = Arc::new(InMemory::new());
    for key in ["d/b.jsonl", "d/a.jsonl", "d/e/c.jsonl", "d/a.json", "da.jsonl"] {
        memory.put(&key.into(), PutPayload::from_static(b"{}\n")).await.unwrap();
    }
    let stores = stores(&[]);
    stores.put(Bucket::S3("lake".into()), Arc::clone(&memory) as _);
    let names = async |source: &str| -> Vec<String> {
        let found = stores.find(source).await.unwrap();
        found.iter().map(|object| object.origin().to_owned()).collect()
    };
    assert_eq!(names("s3://lake/d/*.jsonl").await, ["s3://lake/d/a.jsonl", "s3://lake/d/b.jsonl"]);
    assert_eq!(names("s3://lake/d/[b-z].jsonl").await, ["s3://lake/d/b.jsonl"]);
    assert_eq!(
        names("s3://lake/**/*.jsonl").await,
        [
            "s3://lake/d/a.jsonl",
            "s3://lake/d/b.jsonl",
            "s3://lake/d/e/c.jsonl",
            "s3://lake/da.jsonl"
        ]
    );
    assert_eq!(names("s3://lake/d?.jsonl").await.len(), 1);
    for (source, message) in [
        ("s3://lake/x/*.jsonl", "the source names no files"),
        ("s3://lake/x.jsonl", "there is no such source file"),
        ("s3://lake/d", "the source is a folder"),
        ("s3://lake/d/", "the source is a folder"),
        ("s3://lake", "the source is a folder"),
        ("s3://lake/d//a.jsonl", "the source names no files"),
    ] {
        let error = stores.find(source).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Configuration, message),
            "{source}"
        );
    }
    let object = find(&stores, "s3://lake/d/a.jsonl").await.unwrap();
    assert_eq!(read(object.clone()).await.unwrap(), b"{}\n");
    memory.put(&"d/a.jsonl".into(), PutPayload::from_static(b"[]\n")).await.unwrap();
    assert_eq!(read(object).await.unwrap_err().context("code"), Some("E_SOURCE_CHANGED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_differ_in_a_slash_are_two_sources_and_one_named_twice_is_one() {
    let server = Server::start(serving(text(100)));
    let urls = ["a/rows.jsonl", "a//rows.jsonl", "a/rows.jsonl"].map(|rest| server.url(rest));
    let mut resource = Resource::files("rows", urls);
    find_files(std::slice::from_mut(&mut resource), &stores(&[])).await.unwrap();
    let RowSource::Files(files) = &resource.source else { panic!("files") };
    assert_eq!(files.found.len(), 2, "{:?}", files.found);
}

/// Ten columns in row groups, with pages that are read in turns.
fn wide_parquet() -> Vec<u8> {
    let rows = 20_000;
    let columns = (0..10).map(|n| {
        let column: ArrayRef = match n % 3 {
            0 => Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * 7919 % 10_007))),
            1 => Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 7.0))),
            _ => Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{n} {row}")))),
        };
        (format!("c{n}"), column)
    });
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(8_000))
        .set_data_page_size_limit(8 << 10)
        .set_dictionary_enabled(false)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

async fn batches(object: Object) -> Result<Vec<RecordBatch>> {
    let work = move || {
        let bytes = object.ranged_bytes().unwrap();
        crate::source::parquet::read_object(object, bytes)?
            .map(|chunk| match chunk? {
                Chunk::Arrow(rows) => Ok(rows.batch),
                _ => panic!("arrow"),
            })
            .collect()
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_is_read_by_ranges_with_few_requests() {
    let body = wide_parquet();
    let server = Server::start(Behaviour { breaks: vec![10_000], ..serving(body.clone()) });
    let object = find(&stores(&[]), &server.url("wide.parquet")).await.unwrap();
    let found = batches(object).await.unwrap();
    let local = {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &body).unwrap();
        crate::source::parquet::read_file(file, "wide.parquet").unwrap()
    };
    let local: Vec<RecordBatch> = local
        .map(|chunk| match chunk.unwrap() {
            Chunk::Arrow(rows) => rows.batch,
            _ => panic!("arrow"),
        })
        .collect();
    assert!(found == local);
    // A look, both ends, and one window for each of ten columns in three row groups; one of them broke.
    let ranges = server.ranges();
    assert!(ranges.iter().all(Option::is_some));
    assert!(ranges.len() <= 1 + 3 + 30 + 1, "{}", ranges.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_that_changes_meanwhile_is_no_damaged_file() {
    let server = Server::start(serving(wide_parquet()));
    let object = find(&stores(&[]), &server.url("wide.parquet")).await.unwrap();
    server.set(|behaviour| behaviour.etag = Some("\"two\""));
    assert_eq!(batches(object).await.unwrap_err().context("code"), Some("E_SOURCE_CHANGED"));
}
