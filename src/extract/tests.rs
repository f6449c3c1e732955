//! What workers do together is what one would do alone.

mod merge;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use transload_core::FileFormat;

use super::*;
use crate::hints;
use crate::normalize::Naming;
use crate::set_aside;

/// Rows whose columns, types and tables come up little by little, with bad ones among them. They bring their ids, so that
/// all that is made of them is the same each time.
fn drifting(rows: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        let column = row / 37 % 23;
        let value = match row / 101 % 4 {
            0 => format!("{row}"),
            1 => format!("{row}.5"),
            2 => format!("\"text {row}\""),
            _ => format!("{{\"deep{}\":[{row},{{\"x\":\"{row}\"}}]}}", row % 3),
        };
        text.push_str(&match row % 50 {
            17 => "{\"broken\": \n".to_owned(),
            33 => {
                format!("{{\"_dlt_id\":\"r{row}\",\"once{row}\":1,\"l\":[{{\"d\":1,\"d\":2}}]}}\n")
            }
            _ => format!(
                "{{\"_dlt_id\":\"r{row}\",\"c{column}\":{value},\"l\":[{{\"v\":{row}}}]}}\n"
            ),
        });
    }
    text
}

fn resource(text: &str, chunk_bytes: usize) -> Opened {
    let limits = JsonLimits { chunk_bytes, ..JsonLimits::default() };
    let text = Cursor::new(text.as_bytes().to_vec());
    let reader = JsonReader::new(text, "rows.jsonl", JsonShape::Auto, limits);
    of(reader.map(|rows| rows.map(Chunk::Json)))
}

fn of(chunks: impl Iterator<Item = Result<Chunk>> + Send + 'static) -> Opened {
    Opened { name: "t".to_owned(), table: "t".to_owned(), chunks: Box::new(chunks), judge: None }
}

fn extract_with(resources: Vec<Opened>, workers: usize, folder: &Path) -> Result<Extraction> {
    let plan = Plan {
        options: Options::new("1700000000.1"),
        write: WriteOptions::new(FileFormat::Parquet, folder),
        workers,
        warnings: Warnings::default(),
        max_set_aside: None,
    };
    let mut schema = hints::new_schema("s", Naming::SnakeCase);
    schema.settings["default_hints"]["sort"] = serde_json::json!(["re:^c", "v"]);
    extract(resources, schema, plan, &|_: Event| {}, &Stop::default())
}

/// All files below a folder with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_number_of_workers_changes_neither_schema_nor_rows_nor_files() {
    let text = drifting(1500);
    let mut expected = None;
    for workers in [1, 2, 8] {
        for chunk_bytes in [300, 4_000] {
            let folder = tempfile::tempdir().unwrap();
            let resources = vec![resource(&text, chunk_bytes), resource(&text, chunk_bytes)];
            let extraction = extract_with(resources, workers, folder.path()).unwrap();
            let found = (extraction.schema, extraction.files, files(folder.path()));
            match &expected {
                None => expected = Some(found),
                Some(expected) => {
                    assert_eq!(found.0, expected.0, "{workers} workers, {chunk_bytes} bytes");
                    assert_eq!(found.1, expected.1);
                    assert!(found.2 == expected.2, "{workers} workers, {chunk_bytes} bytes");
                }
            }
            let aside = set_aside::summary(folder.path());
            assert_eq!((aside.len(), aside[0].rows), (1, 2 * 2 * 1500 / 50));
            let (_, files, _) = expected.as_ref().unwrap();
            assert!(files.iter().any(|file| file.table == "t" && !file.bounds.is_empty()));
            let values = files.iter().filter(|file| file.table == "t__l");
            assert!(values.into_iter().all(|file| file.bounds["v"].least.is_some()));
            let rows: u64 =
                files.iter().filter(|file| file.table == "t").map(|file| file.rows).sum();
            assert_eq!(rows + aside[0].rows, 2 * 1500);
        }
    }
}

#[test]
fn an_error_of_the_source_ends_the_extraction_after_the_rows_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut broken = resource("{\"a\":1}\n", 100);
    broken.chunks = Box::new(
        broken
            .chunks
            .chain(std::iter::once(Err(Error::new(ErrorKind::BadData, "the source is broken")))),
    );
    let resources = vec![resource("{\"a\":1}\n", 100), broken, resource("{\"b\":1}\n", 100)];
    let error = extract_with(resources, 2, folder.path()).unwrap_err();
    assert_eq!(error.message(), "the source is broken");
}

#[test]
fn no_more_is_read_than_is_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let (read, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&read);
    let chunks = (0..200).map(move |row| {
        counted.fetch_add(1, Ordering::SeqCst);
        let text = format!("{{\"a\":{row}}}");
        let limits = JsonLimits::default();
        let mut reader = JsonReader::new(Cursor::new(text), "f", JsonShape::Auto, limits);
        reader.next().unwrap().map(Chunk::Json)
    });
    let resource = of(chunks);
    let plan = Plan {
        options: Options::new("1"),
        write: WriteOptions::new(FileFormat::Jsonl, folder.path()),
        workers: 3,
        warnings: Warnings::default(),
        max_set_aside: None,
    };
    let most = Arc::new(AtomicU64::new(0));
    let observer = {
        let (read, taken, most) = (Arc::clone(&read), Arc::clone(&taken), Arc::clone(&most));
        move |event: Event| {
            if matches!(event, Event::Rows { .. }) {
                let taken = taken.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(read.load(Ordering::SeqCst) - taken, Ordering::SeqCst);
            }
        }
    };
    let schema = hints::new_schema("s", Naming::SnakeCase);
    let extraction = extract(vec![resource], schema, plan, &observer, &Stop::default()).unwrap();
    assert_eq!(extraction.files[0].rows, 200);
    // Three with the workers, as many behind them, one that is taken, one that the reader holds.
    assert!(most.load(Ordering::SeqCst) <= 8, "{}", most.load(Ordering::SeqCst));
}

#[test]
fn a_stop_ends_it_although_the_source_never_does() {
    let folder = tempfile::tempdir().unwrap();
    let endless = std::iter::from_fn(|| {
        std::thread::sleep(std::time::Duration::from_secs(3600));
        None
    });
    let resource = of(endless);
    let plan = Plan {
        options: Options::new("1"),
        write: WriteOptions::new(FileFormat::Jsonl, folder.path()),
        workers: 2,
        warnings: Warnings::default(),
        max_set_aside: None,
    };
    let stop = Stop::default();
    stop.stop();
    let schema = hints::new_schema("s", Naming::SnakeCase);
    let error = extract(vec![resource], schema, plan, &|_: Event| {}, &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}
