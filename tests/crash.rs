//! `kill -9` at every event of a load, then the same run again: every row is there once.
//!
//! A program of its own instead of the test harness, since it starts itself as the process that is killed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Signal, getpid, kill_process};
use transload::{Event, Resource, WriteDisposition};

/// What tells the process that it is the one to be killed: `<folder>;<staging>;<disposition>;<event to die at>`.
const CHILD: &str = "TRANSLOAD_CRASH_CHILD";

const ROWS: u64 = 40;

/// Rows that stand there before a load that replaces.
const OLD_ROWS: u64 = 7;

fn main() -> ExitCode {
    // Whoever lists tests or wants the ignored ones alone wants nothing of this one.
    if std::env::args().any(|argument| argument == "--list" || argument == "--ignored") {
        return ExitCode::SUCCESS;
    }
    match std::env::var(CHILD) {
        Ok(orders) => child(&orders),
        Err(_) => parent(),
    }
}

fn parent() -> ExitCode {
    let mut kills = 0;
    for (staging, disposition) in
        [("filesystem", "append"), ("", "append"), ("filesystem", "replace"), ("", "replace")]
    {
        for die_at in 1.. {
            let folder = tempfile::tempdir().expect("a folder for temporary files");
            let orders = format!("{};{staging};{disposition}", folder.path().display());
            if disposition == "replace" {
                write_rows(folder.path(), OLD_ROWS);
                assert!(run(&format!("{orders};0")), "the rows that are to be replaced");
            }
            write_rows(folder.path(), ROWS);
            let killed = !run(&format!("{orders};{die_at}"));
            let case = format!("staging {staging:?}, {disposition}, killed at event {die_at}");
            if killed {
                kills += 1;
                if disposition == "replace" {
                    let rows = rows_of(folder.path());
                    assert!(rows == OLD_ROWS || rows == ROWS, "{case}: a reader sees {rows} rows");
                }
                assert!(run(&format!("{orders};0")), "{case}: the second run failed");
            }
            let loads = if disposition == "replace" { 2 } else { 1 };
            check(folder.path(), loads, &case);
            if !killed {
                println!("{staging:>10} {disposition:<7}: {} events", die_at - 1);
                assert!(die_at > 8, "the load has fewer events than steps");
                break;
            }
        }
    }
    println!("{kills} kills, every row once\ntest result: ok. 4 passed; 0 failed; 0 ignored");
    ExitCode::SUCCESS
}

fn write_rows(folder: &Path, rows: u64) {
    let rows: Vec<String> =
        (0..rows).map(|n| format!(r#"{{"n": {n}, "tags": ["a{n}", "b{n}"]}}"#)).collect();
    std::fs::write(folder.join("rows.jsonl"), rows.join("\n")).expect("the rows can be written");
}

/// Runs the child; `false` where it was killed. Any other end is a failure.
fn run(orders: &str) -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let status =
        Command::new(program).env(CHILD, orders).status().expect("this program can be started");
    match status.code() {
        Some(0) => true,
        None => false,
        Some(code) => panic!("the child with orders {orders} ended with {code}"),
    }
}

fn rows_of(folder: &Path) -> u64 {
    let database =
        duckdb::Connection::open(folder.join("crash.duckdb")).expect("the database opens");
    let sql = "select count(*) from d.events";
    database.query_row(sql, [], |row| row.get(0)).expect("the rows are counted")
}

fn check(folder: &Path, loads: u64, case: &str) {
    let database =
        duckdb::Connection::open(folder.join("crash.duckdb")).expect("the database opens");
    let count = |sql: &str| -> u64 {
        database
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{case}: {sql}: {error}"))
    };
    assert_eq!(count("select count(*) from d.events"), ROWS, "{case}: rows");
    assert_eq!(count("select count(distinct n) from d.events"), ROWS, "{case}: distinct rows");
    assert_eq!(count("select count(*) from d.events__tags"), 2 * ROWS, "{case}: nested rows");
    assert_eq!(
        count(
            "select count(*) from d.events__tags t join d.events e on t._dlt_parent_id = e._dlt_id"
        ),
        2 * ROWS,
        "{case}: links"
    );
    assert_eq!(count("select count(*) from d._dlt_loads"), loads, "{case}: loads");
    let pending =
        std::fs::read_dir(folder.join("pipelines/crash/loads")).map_or(0, Iterator::count);
    assert_eq!(pending, 0, "{case}: nothing is left pending");
}

fn child(orders: &str) -> ExitCode {
    let orders: Vec<&str> = orders.split(';').collect();
    let [folder, staging, disposition, die_at] = orders[..] else { panic!("four orders") };
    let die_at: usize = die_at.parse().expect("a number");
    let events = AtomicUsize::new(0);
    let observer = move |_: Event| {
        if events.fetch_add(1, Ordering::SeqCst) + 1 == die_at {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
        }
    };
    let mut pipeline = transload::pipeline("crash")
        .destination("duckdb")
        .dataset_name("d")
        .folder(folder)
        .pipelines_dir("pipelines")
        .setting("destination.filesystem.bucket_url", "staged")
        .observer(observer);
    if !staging.is_empty() {
        pipeline = pipeline.staging(staging);
    }
    let disposition = match disposition {
        "replace" => WriteDisposition::Replace,
        _ => WriteDisposition::Append,
    };
    let events = Resource::files("events", ["rows.jsonl"]).write_disposition(disposition);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match pipeline.build().map(|pipeline| runtime.block_on(pipeline.run(events))) {
        Ok(Ok(_)) => ExitCode::SUCCESS,
        Ok(Err(failed)) => {
            eprintln!("{:?}", failed.error);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
