//! A load into Redshift is killed before and after each of its effects there, or their answers are lost, and is finished.
//!
//! Effects on files and on the bucket are left to `tests/crash`, whose loads go into DuckDB.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]
#![allow(dead_code, reason = "the helpers have more than is needed here")]

#[path = "redshift/cluster.rs"]
mod cluster;
#[path = "crash/names.rs"]
mod names;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::{Case, login, login_by_iam, pipeline_as};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use transload::core::failpoint::{self, Side};
use transload::{MergeStrategy, Pipeline, Resource, WriteDisposition};

/// What tells a process that it is the one to which things happen.
const ORDERS: &str = "TRANSLOAD_REDSHIFT_CRASH_CHILD";

/// What that process begins the line with, in which it says which failpoints it passed.
const PASSED: &str = "failpoints passed: ";

/// A number of an error of the system: the connection was reset.
const RESET: i32 = 104;

/// How rows get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Append,
    /// Without staging, as a temporary user.
    Insert,
    Replace,
    Merge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    /// `kill -9`.
    Kill,
    /// The request or the answer is lost.
    Lose,
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Task {
    /// Loads the rows of this file, after finishing what is unfinished.
    Load(u8),
    /// Only finishes.
    Resume,
}

#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    dataset: String,
    folder: PathBuf,
    way: Way,
    task: Task,
    fault: Option<(usize, Fault)>,
}

impl Way {
    fn pipeline(self, dataset: &str, folder: &Path) -> Pipeline {
        let login = match self {
            Self::Insert => {
                login_by_iam(dataset, &[("cluster_identifier", "examples"), ("db_user", "loader")])
            }
            _ => login(dataset),
        };
        let builder = pipeline_as(login, "crash", dataset, folder)
            // One after the other: the same orders pass the same failpoints.
            .setting("normalize.workers", "1")
            .setting("load.workers", "1");
        match self {
            Self::Insert => builder,
            _ => builder.staging("filesystem"),
        }
        .build()
        .unwrap()
    }

    fn resource(self, folder: &Path, batch: u8) -> Resource {
        let resource = Resource::files("events", [file(folder, batch)]);
        match self {
            Self::Append | Self::Insert => resource.write_disposition(WriteDisposition::Append),
            Self::Replace => resource.write_disposition(WriteDisposition::Replace),
            Self::Merge => resource
                .write_disposition(WriteDisposition::Merge)
                .merge_strategy(MergeStrategy::Upsert)
                .primary_key(["n"]),
        }
    }

    /// The rows after the load of the first file, and after that of the second, as `number|file`.
    fn rows(self) -> [Vec<String>; 2] {
        let of = |numbers: std::ops::Range<u8>, batch: u8| {
            numbers.map(move |n| format!("{n}|{batch}")).collect::<Vec<_>>()
        };
        let (old, new) = (of(0..3, 1), of(2..5, 2));
        let mut after = match self {
            Self::Append | Self::Insert => [old.clone(), new].concat(),
            Self::Replace => new,
            Self::Merge => [of(0..2, 1), new].concat(),
        };
        after.sort();
        [old, after]
    }
}

fn file(folder: &Path, batch: u8) -> PathBuf {
    folder.join(format!("{batch}.jsonl"))
}

/// The failpoints of the engine and of the bucket.
fn of_others() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["src", "staging-filesystem/src"] {
        names::scan(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(found.len() > 15, "the failpoints are not found in the sources: {found:?}");
    found
}

#[tokio::test]
#[ignore = "is started by the tests below"]
async fn child_that_is_struck() {
    let orders: Orders =
        serde_json::from_str(&std::env::var(ORDERS).expect("it is not started by hand")).unwrap();
    let (others, count) = (of_others(), AtomicUsize::new(0));
    static ALL: Mutex<Vec<String>> = Mutex::new(Vec::new());
    failpoint::watch(move |effect, side| {
        if others.contains(effect) {
            return Ok(());
        }
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        ALL.lock().unwrap().push(format!("{side:?} {effect}"));
        match orders.fault.filter(|(at, _)| *at == number) {
            Some((_, Fault::Kill)) => kill_process(getpid(), Signal::KILL).unwrap(),
            Some((_, Fault::Lose)) => return Err(io::Error::from_raw_os_error(RESET)),
            None => {}
        }
        Ok(())
    });
    let pipeline = orders.way.pipeline(&orders.dataset, &orders.folder);
    match orders.task {
        Task::Load(batch) => {
            pipeline.run(orders.way.resource(&orders.folder, batch)).await.unwrap();
        }
        Task::Resume => {
            pipeline.resume().await.unwrap();
        }
    }
    let passed = serde_json::to_string(&*ALL.lock().unwrap()).unwrap();
    writeln!(io::stdout(), "{PASSED}{passed}").unwrap();
}

/// A dataset with the rows of the first file.
struct Bench {
    case: Case,
    way: Way,
}

impl Bench {
    fn new(way: Way) -> Self {
        let bench = Self { case: Case::new("crash"), way };
        for (batch, numbers) in [(1, 0..3), (2, 2..5)] {
            let rows =
                numbers.map(|n| format!("{{\"n\": {n}, \"batch\": {batch}, \"tags\": [1, 2]}}\n"));
            std::fs::write(file(bench.case.folder(), batch), rows.collect::<String>()).unwrap();
        }
        assert!(bench.run(Task::Load(1), None).is_some(), "the rows that are there before");
        bench
    }

    /// The failpoints that a process passes; none where it is killed.
    fn run(&self, task: Task, fault: Option<(usize, Fault)>) -> Option<Vec<String>> {
        let orders = Orders {
            dataset: self.case.name.clone(),
            folder: self.case.folder().to_owned(),
            way: self.way,
            task,
            fault,
        };
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_that_is_struck", "--nocapture"])
            .env(ORDERS, serde_json::to_string(&orders).unwrap())
            .output()
            .unwrap();
        // By a signal.
        output.status.code()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{orders:?}\n{text}\n{errors}");
        let (_, passed) = text.split_once(PASSED).unwrap();
        Some(serde_json::from_str(passed.lines().next().unwrap()).unwrap())
    }

    /// What a reader sees: the rows, and how many nested ones have one of them as their parent.
    async fn seen(&self) -> (Vec<String>, usize, usize) {
        let mut rows = self.case.ask("SELECT n, batch FROM {d}.events").await;
        rows.sort();
        let linked = "SELECT COUNT(*) FROM {d}.events__tags AS t JOIN {d}.events AS e ON t._dlt_parent_id = e._dlt_id";
        let linked = self.case.one(linked).await.parse().unwrap();
        (rows, linked, self.case.count("events__tags").await as usize)
    }

    async fn finish(&self, at: &str) {
        let [before, after] = self.way.rows().map(|rows| {
            let nested = 2 * rows.len();
            (rows, nested, nested)
        });
        let met = self.seen().await;
        assert!(met == before || met == after, "{at}: a reader sees {met:?}");
        self.run(Task::Resume, None);
        if self.seen().await == before {
            // The load was not sealed: it never happened.
            self.run(Task::Load(2), None);
        }
        assert_eq!(self.seen().await, after, "{at}");
        assert_eq!(self.case.count("_dlt_loads").await, 2, "{at}");
        assert_eq!(self.case.count("_transload_commits").await, 2, "{at}");
        // PostgreSQL's own view: a session that was cut off has left no transaction behind.
        let open = format!(
            "application_name = '{}' AND state LIKE 'idle in transaction%'",
            self.case.name
        );
        let open = format!("SELECT COUNT(*) FROM pg_stat_activity WHERE {open}");
        assert_eq!(self.case.one(&open).await, "0", "{at}");
    }
}

/// The failpoints of the load of the second file, with their numbers. Of each name the last, unless all are wanted: what
/// comes last has the most behind it.
fn points(way: Way, all: bool) -> Vec<(usize, String)> {
    let passed = Bench::new(way).run(Task::Load(2), None).unwrap();
    let numbered: Vec<(usize, String)> = (1..).zip(passed).collect();
    let is_last = |(number, name): &&(usize, String)| {
        !numbered.iter().any(|(later, other)| later > number && other == name)
    };
    match all {
        true => numbered,
        false => numbered.iter().filter(is_last).cloned().collect(),
    }
}

async fn strike(way: Way, fault: Fault, all: bool) -> BTreeSet<String> {
    let points = points(way, all);
    for (number, name) in &points {
        let at = format!("{way:?}, {fault:?} at {number}, {name}");
        let bench = Bench::new(way);
        let ended = bench.run(Task::Load(2), Some((*number, fault)));
        assert_eq!(ended.is_none(), fault == Fault::Kill, "{at}");
        bench.finish(&at).await;
    }
    points.into_iter().map(|(_, name)| name).collect()
}

/// Whether all of these effects were struck, before and after.
fn hold(struck: &BTreeSet<String>, effects: &[&str]) {
    for side in [Side::Before, Side::After] {
        for effect in effects {
            let name = format!("{side:?} {effect}");
            assert!(struck.contains(&name), "nothing was struck at `{name}`: {struck:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_load_by_copy_is_killed_at_every_effect_and_loaded_once() {
    let struck = strike(Way::Append, Fault::Kill, true).await;
    hold(
        &struck,
        &["begin", "lock the fence", "COPY", "load events", "load events__tags", "COMMIT", "query"],
    );
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_load_by_insert_as_a_temporary_user_is_killed_and_loaded_once() {
    let struck = strike(Way::Insert, Fault::Kill, false).await;
    hold(&struck, &["get database credentials", "begin", "INSERT", "COMMIT", "query"]);
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_load_that_replaces_is_killed_and_readers_see_the_old_rows_or_the_new_ones() {
    let struck = strike(Way::Replace, Fault::Kill, false).await;
    hold(&struck, &["empty events", "COPY", "COMMIT"]);
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_load_that_merges_is_killed_and_merged_once() {
    let struck = strike(Way::Merge, Fault::Kill, false).await;
    hold(&struck, &["begin", "COPY", "COMMIT", "execute"]);
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn an_answer_that_is_lost_at_any_effect_makes_no_second_load() {
    for way in [Way::Append, Way::Insert] {
        let struck = strike(way, Fault::Lose, false).await;
        hold(&struck, &["begin", "COMMIT", "query"]);
    }
}
