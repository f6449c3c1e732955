//! Where rows come from: web servers and stdin, in each format.

use std::io::{Cursor, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use transload::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use transload::arrow::ipc::writer::StreamWriter;

use crate::support::{Ran, Sandbox, THROUGH_STAGING};

fn numbers() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
    RecordBatch::try_from_iter([("id", ids)]).expect("a batch")
}

fn parquet() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, numbers().schema(), None).expect("a writer");
    writer.write(&numbers()).expect("is written");
    writer.close().expect("ends");
    bytes
}

fn arrow() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = StreamWriter::try_new(&mut bytes, &numbers().schema()).expect("a writer");
    writer.write(&numbers()).expect("is written");
    writer.finish().expect("ends");
    bytes.into_inner()
}

fn lines() -> Vec<u8> {
    (0..1000).flat_map(|n| format!("{{\"id\":{n}}}\n").into_bytes()).collect()
}

/// A web server that knows no ranges and gives out a file to whoever has the signature.
fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let is_signed = String::from_utf8_lossy(&request).contains("?sig=CANARY ");
            let (status, body) = if is_signed { (200, &body[..]) } else { (403, &[][..]) };
            let head = format!(
                "HTTP/1.1 {status} X\r\nETag: \"one\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // A client that goes away is none of the server's business.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    format!("http://{address}")
}

#[test]
fn a_signed_url_is_loaded_in_each_format_and_its_signature_is_nowhere() {
    for (name, body) in
        [("rows.jsonl", lines()), ("rows.parquet", parquet()), ("rows.arrows", arrow())]
    {
        let sandbox = Sandbox::new();
        let source = format!("{}/{name}?sig=CANARY", serve(body));
        let flags = ["--table", "numbers", "--source", &source];
        let ran = sandbox.run(&[&["run"], &THROUGH_STAGING[..], &flags].concat()).with_code(0);
        assert_eq!(sandbox.count("select count(distinct id) from lake.numbers"), 1000, "{name}");
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("CANARY"), "{}", ran.stderr);
        for file in sandbox.files("") {
            let bytes = std::fs::read(sandbox.path(&file)).expect("a file");
            assert!(!bytes.windows(6).any(|window| window == b"CANARY"), "{file}");
        }
    }
}

#[test]
fn stdin_holds_what_the_user_says() {
    for (format, body) in [("jsonl", lines()), ("parquet", parquet()), ("arrow", arrow())] {
        let sandbox = Sandbox::new();
        let flags = ["--table", "numbers", "--source", "-", "--source-format", format];
        let arguments = [&["run"], &THROUGH_STAGING[..], &flags].concat();
        Ran::of(sandbox.command().args(arguments).write_stdin(body)).with_code(0);
        assert_eq!(sandbox.count("select count(distinct id) from lake.numbers"), 1000, "{format}");
    }
}
