//! A load that is killed at each of its events, and finished by the next run.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Signal, getpid, kill_process};
use transload::{Event, Resource, WriteDisposition};

use super::{Case, Warehouse, pipeline};

/// What tells a process that it is the one to be killed: `<dataset>;<folder>;<disposition>;<event to die at>`.
const CHILD: &str = "TRANSLOAD_TEST_CHILD";

/// Rows that stand there before a load that replaces.
const OLD_ROWS: u64 = 5;

/// Rows of the load that is killed.
const ROWS: u64 = 2;

/// The load in the process that is killed; `stages` says for which disposition it goes through the bucket.
pub(crate) async fn child<W: Warehouse>(stages: fn(&str) -> bool) {
    let orders = std::env::var(CHILD).expect("it is not started by hand");
    let [dataset, folder, disposition, die_at] = orders.split(';').collect::<Vec<_>>()[..] else {
        panic!("orders")
    };
    let (folder, die_at) = (Path::new(folder), die_at.parse::<usize>().expect("a number"));
    let events = AtomicUsize::new(0);
    let observer = move |_: Event| {
        if events.fetch_add(1, Ordering::SeqCst) + 1 == die_at {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
        }
    };
    let mut builder = pipeline::<W>("killed", dataset, folder).observer(observer);
    if stages(disposition) {
        builder = builder.staging("filesystem");
    }
    let rows = Resource::files("events", [folder.join("rows.jsonl")]).write_disposition(
        match disposition {
            "replace" => WriteDisposition::Replace,
            _ => WriteDisposition::Append,
        },
    );
    builder.build().expect("it is configured").run(rows).await.expect("it loads");
}

/// Kills the process of the test with this name, which calls [`child`], at each event of the load.
pub(crate) async fn killed_anywhere<W: Warehouse>(child: &str) {
    for disposition in ["append", "replace"] {
        for die_at in 1.. {
            if !killed_at::<W>(child, disposition, die_at).await {
                assert!(die_at > 8, "the load has fewer events than steps");
                break;
            }
        }
    }
}

/// Whether there was an event at which to die.
async fn killed_at<W: Warehouse>(child: &str, disposition: &str, die_at: usize) -> bool {
    let at = format!("{disposition}, killed at event {die_at}");
    let case = Case::<W>::new("killed");
    let replaces = disposition == "replace";
    if replaces {
        write_rows(&case, OLD_ROWS);
        let first = run(&case, child, disposition, 0);
        assert!(first.status.success(), "rows that are to be replaced");
    }
    write_rows(&case, ROWS);
    let first = run(&case, child, disposition, die_at);
    let killed = first.status.signal() == Some(Signal::KILL.as_raw());
    assert!(killed || first.status.success(), "{at}: {}", String::from_utf8_lossy(&first.stdout));
    if killed {
        if replaces {
            let seen = (case.count("events").await, case.count("events__tags").await);
            let whole = [OLD_ROWS, ROWS].map(|rows| (rows, 2 * rows));
            assert!(whole.contains(&seen), "{at}: a reader sees {seen:?}");
        }
        let second = run(&case, child, disposition, 0);
        assert!(second.status.success(), "{at}: {}", String::from_utf8_lossy(&second.stdout));
    }
    let found = (case.count("events").await, case.count("events__tags").await);
    assert_eq!(found, (ROWS, 2 * ROWS), "{at}");
    assert_eq!(case.count("_dlt_loads").await, 1 + u64::from(replaces), "{at}");
    killed
}

fn write_rows<W: Warehouse>(case: &Case<W>, count: u64) {
    let rows: String = (0..count).map(|n| format!("{{\"n\": {n}, \"tags\": [1, 2]}}\n")).collect();
    std::fs::write(case.folder().join("rows.jsonl"), rows).expect("a file");
}

fn run<W: Warehouse>(case: &Case<W>, child: &str, disposition: &str, die_at: usize) -> Output {
    let orders = format!("{};{};{disposition};{die_at}", case.name, case.folder().display());
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", child])
        .env(CHILD, orders)
        .output()
        .expect("it runs")
}
