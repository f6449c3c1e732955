use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};

use transload_core::WriteDisposition;

use super::find::expand;
use super::*;
use crate::resource::{Resource, RowSource};
use crate::source::remote::Stores;

fn stores() -> Stores {
    Stores::new(transload_core::settings::Settings::from_pairs("filesystem", &[])).unwrap()
}

fn found(named: &[PathBuf], options: &SourceOptions) -> Result<Vec<Input>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(expand(named, options, &stores()))
}

fn by_name(named: &[PathBuf]) -> Result<Vec<Input>> {
    found(named, &SourceOptions::default())
}

/// A resource whose files were looked for.
fn looked_for(mut resource: Resource) -> Resource {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(find_files(std::slice::from_mut(&mut resource), &stores())).unwrap();
    resource
}

fn local(path: &Path, format: SourceFormat) -> Input {
    Input { place: Place::Local(path.to_owned()), format }
}

fn count(chunks: Chunks) -> Result<usize> {
    chunks
        .map(|chunk| match chunk? {
            Chunk::Json(rows) => Ok(rows.rows.len()),
            Chunk::Arrow(rows) => Ok(rows.batch.num_rows()),
            Chunk::Columns(_) => Ok(0),
            Chunk::File(file) => count(file.rows),
        })
        .sum()
}

#[test]
fn globs_are_expanded_in_order_and_refused_without_files() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.jsonl", "a.jsonl", "c.parquet"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let inputs = by_name(&[folder.path().join("*.jsonl")]).unwrap();
    let names =
        ["a.jsonl", "b.jsonl"].map(|name| local(&folder.path().join(name), SourceFormat::Jsonl));
    assert_eq!(inputs, names);
    assert!(by_name(&[folder.path().join("*.json")]).unwrap_err().context("reason").is_some());
    assert_eq!(
        by_name(&[folder.path().join("no.jsonl")]).unwrap_err().message(),
        "there is no such source file"
    );
    assert!(by_name(&[folder.path().to_owned()]).unwrap_err().hint().unwrap().contains("*.jsonl"));
    let stdin = Input { place: Place::Stdin, format: SourceFormat::Jsonl };
    assert_eq!(by_name(&["-".into()]).unwrap(), [stdin]);
}

#[test]
fn files_that_were_brought_are_left_out_once_they_are_the_very_same() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, "{}").unwrap());
    let of = |disposition| looked_for(Resource::files("t", &paths).write_disposition(disposition));
    let left = |disposition, brought: &BTreeSet<String>| -> Vec<usize> {
        let left = without(vec![of(disposition)], brought).unwrap();
        left.iter()
            .map(|resource| match &resource.source {
                RowSource::Files(files) => files.found.len(),
                _ => 0,
            })
            .collect()
    };
    use WriteDisposition::{Append, Replace};
    let both = marks(&[of(Append)]).unwrap();
    assert_eq!(both.len(), 2);
    assert!(left(Append, &both).is_empty());
    assert!(left(Replace, &both).is_empty());
    let first = marks(&[looked_for(Resource::files("t", &paths[..1]))]).unwrap();
    assert_eq!(left(Append, &first), [1]);
    assert_eq!(left(Replace, &first), [2]);
    let other = marks(&[looked_for(Resource::files("other", &paths))]).unwrap();
    assert_eq!(left(Append, &other), [2]);
    std::fs::write(&paths[0], "{}\n{}").unwrap();
    assert_eq!(left(Append, &both), [1]);
    let unmarked = [looked_for(Resource::files("t", ["-"])), Resource::json("t", "{}")];
    assert!(marks(&unmarked).unwrap().is_empty());
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{}").unwrap();
    let again = folder.path().join(".").join("a.jsonl");
    let url = PathBuf::from(format!("file://{}", path.display()));
    let found = by_name(&[path.clone(), folder.path().join("*.jsonl"), again, url]).unwrap();
    assert_eq!(found, [local(&path, SourceFormat::Jsonl)]);
}

#[test]
fn a_kind_of_file_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.xlsx", "x", "x.gz", "x.parquet.gz"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        let error = by_name(std::slice::from_ref(&path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        assert!(error.context("file").unwrap().ends_with(name));
    }
}

#[test]
fn an_ending_says_what_a_file_holds_and_the_user_says_it_better() {
    use SourceFormat::{Arrow, Csv, Json, Jsonl, Parquet};
    for (name, format) in [
        ("a.jsonl", Some(Jsonl)),
        ("A.NDJSON.GZ", Some(Jsonl)),
        ("a.b.ldjson.zst", Some(Jsonl)),
        ("a.json.gzip", Some(Json)),
        ("a.geojson", Some(Json)),
        ("a.csv", Some(Csv)),
        ("a.tsv.zstd", Some(Csv)),
        ("a.tab", Some(Csv)),
        ("a.pq", Some(Parquet)),
        ("a.feather", Some(Arrow)),
        ("a.arrows", Some(Arrow)),
        ("https://host/a.jsonl", Some(Jsonl)),
        ("https://host.json/a", None),
        ("a.gz", None),
        ("jsonl", None),
    ] {
        assert_eq!(format_of(name), format, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.txt");
    std::fs::write(&path, "{\"a\":1}\n{\"a\":2}\n").unwrap();
    let options = SourceOptions { format: Some(Jsonl), ..SourceOptions::default() };
    let inputs = found(&[path.clone(), "-".into()], &options).unwrap();
    assert_eq!(inputs[0], local(&path, Jsonl));
    assert_eq!(count(inputs[0].clone().open(&options, &Warnings::default()).unwrap()).unwrap(), 2);
}

#[test]
fn options_are_read_by_their_names() {
    let read = |text: &str| serde_json::from_str::<SourceOptions>(text);
    let options = read(r#"{"format":"arrow","path":"data"}"#).unwrap();
    assert_eq!(options.format, Some(SourceFormat::Arrow));
    assert_eq!(options.path.as_deref(), Some("data"));
    assert!(read(r#"{"format":"avro"}"#).is_err());
    assert!(read(r#"{"form":"csv"}"#).is_err());
}

#[test]
fn the_identity_of_a_file_changes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{}").unwrap();
    let input = local(&path, SourceFormat::Jsonl);
    let before = input.identity().unwrap().unwrap();
    assert_eq!((before.name.as_str(), before.bytes), (path.to_str().unwrap(), Some(2)));
    assert!(before.modified.is_some() && before.etag.is_none());
    std::fs::write(&path, "{} ").unwrap();
    assert_ne!(input.identity().unwrap().unwrap(), before);
    assert!(
        Input { place: Place::Stdin, format: SourceFormat::Jsonl }.identity().unwrap().is_none()
    );
}

#[test]
fn what_does_not_come_from_a_file_is_kept_in_one() {
    let failure = Failure::default();
    let mut file = spool(Cursor::new(b"some bytes"), "standard input", &failure).unwrap();
    file.write_all(b"!").unwrap();
    io::Seek::rewind(&mut file).unwrap();
    assert_eq!(io::read_to_string(file).unwrap(), "some bytes!");

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let error = spool(Broken, "standard input", &failure).unwrap_err();
    assert_eq!(error.context("file"), Some("standard input"));
}

#[test]
fn a_path_to_rows_is_not_ignored_where_it_cannot_be_followed() {
    let options = SourceOptions { path: Some("data".into()), ..SourceOptions::default() };
    let chunks = chunks_of_stream(
        SourceFormat::Arrow,
        Cursor::new(b""),
        "a.arrow",
        &options,
        &Warnings::default(),
    );
    assert_eq!(chunks.err().unwrap().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_local_file_is_known_by_its_path_size_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "123").unwrap();
    let identity = || local(&path, SourceFormat::Jsonl).identity().unwrap().unwrap();
    let before = identity();
    assert_eq!((before.bytes, before.etag.as_deref()), (Some(3), None));
    assert!(before.modified.is_some() && before.name.ends_with("/a.jsonl"));
    assert_eq!(identity(), before);
    std::fs::write(&path, "1234").unwrap();
    assert_ne!(identity(), before);
}
