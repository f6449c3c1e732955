//! Configuration and packages that are wrong.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value as Json;

use crate::index::{self, Entry, Outcome};
use crate::run::{Folder, Seen};

/// The manifest of the corpus with nothing wrong in it.
const GOOD: &str = "package/ok_manifest.json";

#[test]
fn config() {
    for entry in entries("config") {
        let text = std::fs::read_to_string(entry.path()).expect("the file");
        if text.starts_with("url = ") {
            connection_string(&entry, &text);
            continue;
        }
        if text.contains("aws_session_token") {
            expired(&entry, &text);
            continue;
        }
        let is_store = text.contains("endpoint_url");
        let (section, before) = match text.contains("workers") {
            true => ("normalize", String::new()),
            false if is_store => (
                "destination.filesystem",
                "bucket_url = \"s3://bucket\"\n[destination.filesystem.credentials]\n\
                 aws_access_key_id = \"id\"\n"
                    .to_owned(),
            ),
            false => ("destination.filesystem", "bucket_url = \"staged\"\n".to_owned()),
        };
        for command in [&["config", "check"][..], &["run", "--table", "t", "--source", "t.jsonl"]] {
            let folder = Folder::new();
            let config = format!(
                "[destination.duckdb]\ncredentials = \"x.duckdb\"\n[{section}]\n{before}{text}",
            );
            folder.write(".transload/config.toml", config.as_bytes());
            folder.write("t.jsonl", b"{\"id\":1}\n");
            let mut arguments = command.to_vec();
            arguments.extend(["--destination", "duckdb", "--output", "json"]);
            arguments.extend(["--pipeline-name", "p", "--dataset-name", "lake"]);
            arguments.extend(
                (section != "normalize").then_some(["--staging", "filesystem"]).iter().flatten(),
            );
            let command = folder.command(&arguments);
            check(&entry, &folder.run(command));
        }
    }
}

/// A connection string of a database, as Redshift is given one. What is right is only looked at: nobody listens there.
fn connection_string(entry: &Entry, text: &str) {
    let credentials =
        text.replacen("url", "credentials", 1).replacen("postgresql:", "redshift:", 1);
    let commands = [&["config", "check"][..], &["run", "--table", "t", "--source", "t.jsonl"]];
    let tried = if entry.outcome == Outcome::Loads { 1 } else { commands.len() };
    for command in &commands[..tried] {
        let folder = Folder::new();
        let config = format!("[destination.redshift]\n{credentials}");
        folder.write(".transload/secrets.toml", config.as_bytes());
        folder.write("t.jsonl", b"{\"id\":1}\n");
        let mut arguments = command.to_vec();
        arguments.extend(["--destination", "redshift", "--output", "json"]);
        arguments.extend(["--pipeline-name", "p", "--dataset-name", "lake"]);
        let command = folder.command(&arguments);
        let seen = folder.run(command);
        check(entry, &seen);
        let shown = format!("{}{}", seen.stdout, seen.stderr);
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{}: {shown}", entry.id);
    }
}

/// A session token that the store says is expired, each time it is asked.
fn expired(entry: &Entry, text: &str) {
    let store = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = store.local_addr().expect("it has an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for client in store.incoming().flatten() {
            answer_expired(&client, &count);
        }
    });
    let folder = Folder::new();
    let config = format!(
        "[destination.duckdb]\ncredentials = \"x.duckdb\"\n[destination.filesystem]\nbucket_url = \"s3://bucket\"\n\
         [destination.filesystem.credentials]\nendpoint_url = \"http://{address}\"\n{text}",
    );
    folder.write(".transload/secrets.toml", config.as_bytes());
    folder.write("t.jsonl", b"{\"id\":1}\n");
    let mut arguments = vec!["run", "--table", "t", "--source", "t.jsonl", "--output", "json"];
    arguments.extend(["--destination", "duckdb", "--staging", "filesystem"]);
    arguments.extend(["--pipeline-name", "p", "--dataset-name", "lake"]);
    let command = folder.command(&arguments);
    check(entry, &folder.run(command));
    // Keys that have expired do not come back: whoever has them is told at once. The first answer has no words.
    assert_eq!(asked.load(Ordering::Relaxed), 2, "{}: requests", entry.id);
}

const EXPIRED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>ExpiredToken</Code>\
                       <Message>The provided token has expired.</Message></Error>";

/// Reads a request of HTTP and answers as S3 does. Source: Amazon S3 API Reference, "Error responses".
fn answer_expired(mut client: &TcpStream, count: &AtomicUsize) {
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    count.fetch_add(1, Ordering::Relaxed);
    let body = if request.starts_with("HEAD") { "" } else { EXPIRED };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    // The client may be gone: the count says what is wrong then.
    let _ = client.write_all(answer.as_bytes());
}

/// A state that lies where another loader would keep one, older than the destination's.
fn foreign_state(entry: &Entry) {
    let mut folder = Folder::new();
    let state = std::fs::read(entry.path()).expect("the file");
    for rows in ["{\"id\":1}\n{\"id\":2}\n", "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n"] {
        folder.write("t.jsonl", rows.as_bytes());
        let mut arguments = vec!["run", "--table", "t", "--source", "t.jsonl", "--output", "json"];
        arguments.extend(["--destination", "duckdb", "--incremental", "id"]);
        arguments.extend(["--pipeline-name", "p", "--dataset-name", "lake"]);
        let command = folder.command(&arguments);
        let seen = folder.run(command);
        assert_eq!(seen.exit, Some(0), "{}: {seen:?}", entry.id);
        if rows.contains('3') {
            check(entry, &seen);
        }
        folder = seen.into_folder();
        folder.write("home/.transload/pipelines/p/state.json", &state);
    }
}

#[test]
fn package() {
    for entry in entries("package") {
        if entry.name() == "state_rollback.json" {
            foreign_state(&entry);
            continue;
        }
        let folder = Folder::new();
        folder.write("t.jsonl", b"{\"id\":1}\n{\"id\":3}\n");
        // A file in the place of a folder stops the load once it is sealed.
        folder.write("staged/lake", b"");
        let mut arguments = vec!["run", "--table", "t", "--source", "t.jsonl"];
        arguments.extend(["--destination", "duckdb", "--staging", "filesystem"]);
        arguments.extend(["--pipeline-name", "p", "--dataset-name", "lake"]);
        let command = folder.command(&arguments);
        let folder = folder.run(command).into_folder();
        std::fs::remove_file(folder.path().join("staged/lake")).expect("the file goes");

        let manifest = manifest(&folder);
        let bytes = std::fs::read(&manifest).expect("the manifest");
        let given = std::fs::read(entry.path()).expect("the file");
        let bytes = with_faults(&bytes, &given);
        std::fs::write(&manifest, &bytes).expect("the manifest is written");
        let command = folder.command(&["resume", "--pipeline-name", "p", "--output", "json"]);
        let seen = folder.run(command);
        check(&entry, &seen);
        if entry.outcome == Outcome::Refused {
            let now = std::fs::read(&manifest).expect("the package stays where it was");
            assert_eq!(now, bytes, "{}: the package stays as it was", entry.id);
        }
    }
}

fn entries(category: &str) -> impl Iterator<Item = Entry> {
    let entries = index::read().entries.into_iter();
    entries.filter(move |entry| entry.category() == category)
}

#[track_caller]
fn check(entry: &Entry, seen: &Seen) {
    let id = &entry.id;
    assert_eq!(seen.exit.map(i64::from), entry.exit, "{id}: {seen:?}");
    assert!(!seen.stderr.contains("panicked"), "{id}: {}", seen.stderr);
    assert!(!format!("{}{}", seen.stdout, seen.stderr).contains("CANARY"), "{id}: {seen:?}");
    assert_eq!(seen.context("code"), entry.code.as_deref(), "{id}: {}", seen.result);
    for word in &entry.says {
        assert!(seen.stderr.contains(word), "{id}: {word:?} is not in {}", seen.stderr);
    }
    let mut rows = entry.rows.clone();
    rows.insert("users".to_owned(), 1);
    let mut found = seen.tables.clone();
    // A table that was made before the fault was found is empty.
    found.retain(|table, count| *count > 0 || rows.contains_key(table));
    assert_eq!(found, rows, "{id}: rows by table");
}

/// The manifest of the one package that is pending.
fn manifest(folder: &Folder) -> PathBuf {
    let loads = folder.path().join("home/.transload/pipelines/p/loads");
    let mut packages = std::fs::read_dir(&loads).expect("a package is pending");
    packages.next().expect("a package").expect("a folder").path().join("manifest.json")
}

/// Our manifest with what is wrong in the one of the corpus, which is of a simpler form.
fn with_faults(ours: &[u8], given: &[u8]) -> Vec<u8> {
    let Ok(given) = serde_json::from_slice::<Json>(given) else { return given.to_vec() };
    let good = std::fs::read(index::folder().join("files").join(GOOD)).expect("the good one");
    let good: Json = serde_json::from_slice(&good).expect("JSON");
    let mut ours: Json = serde_json::from_slice(ours).expect("JSON");
    // The faults of the corpus are made by people, and are seen without it.
    ours.as_object_mut().and_then(|ours| ours.remove("checksum")).expect("a checksum");
    let file = "/tables/0/files/0";
    for (theirs, name) in [
        ("/format".to_owned(), "/manifest_version".to_owned()),
        ("/load_id".to_owned(), "/load_id".to_owned()),
        (format!("{file}/name"), "/files/0/name".to_owned()),
        (format!("{file}/rows"), "/files/0/rows".to_owned()),
        (format!("{file}/bytes"), "/files/0/bytes".to_owned()),
    ] {
        let (good, given) = (good.pointer(&theirs), given.pointer(&theirs));
        if good != given {
            *ours.pointer_mut(&name).expect("a value") = given.expect("a value").clone();
        }
    }
    serde_json::to_vec_pretty(&ours).expect("JSON")
}
