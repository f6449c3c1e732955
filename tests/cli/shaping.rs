//! How many files a load has, and how large they are.

use std::fs;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use transload::arrow::array::{ArrayRef, Int64Array, RecordBatch};

use crate::support::{PLAYERS_FILE, Ran, Sandbox, THROUGH_STAGING};

/// The data files of a table in the staging storage.
fn staged(sandbox: &Sandbox, table: &str) -> Vec<String> {
    let part = format!("/{table}/");
    sandbox.files("staged").into_iter().filter(|file| file.contains(&part)).collect()
}

fn load_numbers(sandbox: &Sandbox, source: &str) {
    let table = ["--table", "numbers", "--source", source];
    sandbox.run(&[&["run"], &THROUGH_STAGING[..], &table].concat()).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.numbers"), 400);
    assert_eq!(sandbox.count("select sum(only_3) from lake.numbers"), 20_100);
}

#[test]
fn many_small_files_with_other_columns_each_are_one_file_of_each_table() {
    let sandbox = Sandbox::new();
    for number in 0..400 {
        let other = number % 4;
        let line = format!("{{\"id\":{number},\"only_{other}\":{number},\"list\":[{number}]}}\n");
        sandbox.write(&format!("in/{number:03}.jsonl"), &line);
    }
    load_numbers(&sandbox, "in/*.jsonl");
    for table in ["numbers", "numbers__list"] {
        assert_eq!(staged(&sandbox, table).len(), 1, "{table}");
    }
}

#[test]
fn many_small_parquet_files_with_other_columns_each_are_one_file() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).expect("a folder");
    for number in 0..400_i64 {
        let value = || -> ArrayRef { Arc::new(Int64Array::from(vec![number])) };
        let other = format!("only_{}", number % 4);
        let rows = RecordBatch::try_from_iter([("id", value()), (other.as_str(), value())]);
        let rows = rows.expect("a batch");
        let file = sandbox.path(format!("in/{number:03}.parquet"));
        let file = fs::File::create(file).expect("a file");
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("a writer");
        writer.write(&rows).expect("is written");
        writer.close().expect("ends");
    }
    load_numbers(&sandbox, "in/*.parquet");
    assert_eq!(staged(&sandbox, "numbers").len(), 1);
}

#[test]
fn settings_of_the_writer_hold_under_both_of_their_names() {
    for (config, files) in [
        ("", 1),
        ("[data_writer]\nfile_max_items = 2\n", 2),
        ("[normalize.data_writer]\nfile_max_items = 2\n", 2),
        // The longer name goes first.
        ("[data_writer]\nfile_max_items = 2\n[normalize.data_writer]\nfile_max_items = 1\n", 3),
    ] {
        let sandbox = Sandbox::new();
        let path = sandbox.path(".transload/config.toml");
        let places = fs::read_to_string(path).expect("a configuration");
        sandbox.write(".transload/config.toml", &format!("{places}{config}"));
        sandbox.load_players(&[]).with_code(0);
        assert_eq!(staged(&sandbox, "players").len(), files, "{config}");
        assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
    }
}

#[test]
fn a_compression_that_there_is_not_is_refused_with_those_that_there_are() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command.args(["run"]).args(THROUGH_STAGING).args(PLAYERS_FILE);
    command.env("DATA_WRITER__PARQUET_COMPRESSION", "lzo");
    let ran = crate::support::Ran::of(&mut command).with_code(2);
    ran.says(&[
        "data_writer.parquet_compression",
        "expected zstd, zstd(1) to zstd(22), snappy or none",
    ]);
}

#[test]
#[cfg(unix)]
fn a_load_may_have_more_tables_than_a_process_may_open_files() {
    let sandbox = Sandbox::empty();
    let lists: Vec<String> = (0..300).map(|number| format!("\"list_{number}\":[1]")).collect();
    sandbox.write("wide.jsonl", &format!("{{{}}}\n", lists.join(",")));
    let mut limited = assert_cmd::Command::new("/bin/sh");
    limited
        .args(["-c", r#"ulimit -n 200; exec "$0" "$@""#, env!("CARGO_BIN_EXE_transload"), "run"])
        .args(["--pipeline-name", "wide", "--destination", "filesystem", "--dataset-name", "lake"])
        .args(["--table", "wide", "--source", "wide.jsonl"])
        .current_dir(sandbox.path(""))
        .env_clear()
        .env("HOME", sandbox.path("home"))
        .env("DESTINATION__FILESYSTEM__BUCKET_URL", "lake");
    Ran::of(&mut limited).with_code(0);
    let lists = sandbox.files("lake").into_iter().filter(|file| file.contains("wide__list_"));
    assert_eq!(lists.count(), 300);
}
