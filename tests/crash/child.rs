//! The process to which things happen: it loads as it is told, and ends, stops or errs at the failpoint that it is told.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use transload::core::failpoint::{self, Side};
use transload::{Error, LoadInfo, Pipeline, PipelineBuilder, RunError};

use crate::case::{Batch, Case, Route};
use crate::visiting;

/// What tells a process that it is such a one, and what it has to do.
pub(crate) const ORDERS: &str = "TRANSLOAD_CRASH_CHILD";

/// The orders of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) case: Case,
    /// The folder of the case: the sources, the database, the staged files.
    pub(crate) folder: PathBuf,
    /// The folder of packages below it: each host has one of its own.
    pub(crate) host: String,
    pub(crate) command: Command,
    pub(crate) destination: Destination,
    /// What happens, and at which of the failpoints that it passes.
    pub(crate) fault: Option<(usize, Fault)>,
    /// Where the S3 server is, or what stands before it.
    pub(crate) endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Loads the old rows.
    LoadOld,
    /// Loads the new rows, after finishing what is unfinished.
    Load,
    /// Only finishes.
    Resume,
}

/// Which destination is loaded into: always a DuckDB file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Destination {
    /// As it is used.
    DuckDb,
    /// Closed between calls, as a server that many talk to.
    Visited(visiting::Oddity),
}

/// What happens at a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// `kill -9`.
    Kill,
    /// `kill -9`, so many microseconds later.
    KillLater(u64),
    /// SIGSTOP, between two calls of the destination.
    Stop,
    /// The effect fails with this number of an error of the system.
    Fail(i32),
}

/// What a process says before it ends: its last line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The failpoints that it passed.
    pub(crate) passed: Vec<String>,
    /// Why the load failed: the kind, and all that was said.
    pub(crate) error: Option<(String, String)>,
    /// What it warns of.
    pub(crate) warnings: Vec<String>,
}

/// The failpoints of this process.
struct Watch {
    fault: Option<(usize, Fault)>,
    count: AtomicUsize,
    passed: Mutex<Vec<String>>,
}

/// Whether this process is inside a call of a destination that is visited.
pub(crate) static VISITS: AtomicBool = AtomicBool::new(false);

impl Watch {
    fn pass(&self, effect: &str, side: Side) -> io::Result<()> {
        let stops = matches!(self.fault, Some((_, Fault::Stop)));
        // Whoever stops with the file open stops everybody else.
        if stops && VISITS.load(Ordering::SeqCst) {
            return Ok(());
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let name = match side {
            Side::Before => format!("before {effect}"),
            Side::After => format!("after {effect}"),
        };
        let Some((at, fault)) = self.fault.filter(|(at, _)| *at == number) else {
            self.passed.lock().expect("nobody panics with it").push(name);
            return Ok(());
        };
        say(&format!("struck at {at}: {name}"));
        match fault {
            Fault::Kill => {
                die();
                Ok(())
            }
            Fault::KillLater(micros) => {
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_micros(micros));
                    die();
                });
                Ok(())
            }
            Fault::Stop => {
                kill_process(getpid(), Signal::STOP).expect("a process may stop itself");
                Ok(())
            }
            Fault::Fail(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

fn die() {
    kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
}

fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).expect("stdout is a pipe");
}

/// Does as ordered.
pub(crate) fn main(orders: &str) -> ExitCode {
    let orders: Orders = serde_json::from_str(orders).expect("orders are JSON");
    let watch = Arc::new(Watch {
        fault: orders.fault,
        count: AtomicUsize::new(0),
        passed: Mutex::default(),
    });
    let watching = Arc::clone(&watch);
    failpoint::watch(move |effect, side| watching.pass(effect, side));
    // Without a network time is virtual: waiting costs nothing.
    let virtual_time = orders.case.route != Route::S3;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(virtual_time)
        .build()
        .expect("a runtime");
    let result = pipeline(&orders)
        .build()
        .map_err(|error| RunError { error, info: Box::default() })
        .and_then(|pipeline| runtime.block_on(run(&pipeline, &orders)));
    let (error, info) = match result {
        Ok(info) => (None, info),
        Err(failed) => (Some(told(&failed.error)), *failed.info),
    };
    let warnings = info.loads.into_iter().flat_map(|load| load.warnings).collect();
    let passed = std::mem::take(&mut *watch.passed.lock().expect("nobody panics with it"));
    say(&serde_json::to_string(&Report { passed, error, warnings }).expect("a report is JSON"));
    ExitCode::SUCCESS
}

fn told(error: &Error) -> (String, String) {
    (error.kind().to_string(), format!("{error:?}"))
}

async fn run(pipeline: &Pipeline, orders: &Orders) -> Result<LoadInfo, RunError> {
    let way = orders.case.way;
    match orders.command {
        Command::LoadOld => pipeline.run(Batch::Old.resources(way)).await,
        Command::Load => pipeline.run(Batch::New.resources(way)).await,
        Command::Resume => pipeline.resume().await,
    }
}

/// The pipeline of a case.
fn pipeline(orders: &Orders) -> PipelineBuilder {
    let folder: &Path = &orders.folder;
    let mut pipeline = transload::pipeline("crash")
        .dataset_name("d")
        .folder(folder)
        .pipelines_dir(&orders.host)
        // One after the other: the same orders pass the same failpoints.
        .setting("normalize.workers", "1")
        .setting("load.workers", "1");
    pipeline = match orders.destination {
        Destination::DuckDb => pipeline.destination("duckdb"),
        Destination::Visited(oddity) => visiting::choose(pipeline, folder, oddity),
    };
    match orders.case.route {
        Route::Direct => pipeline,
        Route::Folder => {
            pipeline.staging("filesystem").setting("destination.filesystem.bucket_url", "staged")
        }
        Route::S3 => {
            let variable = |name: &str| std::env::var(name).expect("the S3 server's environment");
            // A prefix that no other case has.
            let prefix = folder.to_string_lossy().replace('/', "-");
            let bucket = variable("TRANSLOAD_TEST_S3_BUCKET");
            let endpoint = orders.endpoint.clone();
            let key = "destination.filesystem.credentials";
            pipeline
                .staging("filesystem")
                .setting(
                    "destination.filesystem.bucket_url",
                    format!("s3://{bucket}/crash{prefix}"),
                )
                .setting(format!("{key}.aws_access_key_id"), variable("TRANSLOAD_TEST_S3_KEY"))
                .setting(
                    format!("{key}.aws_secret_access_key"),
                    variable("TRANSLOAD_TEST_S3_SECRET"),
                )
                .setting(
                    format!("{key}.endpoint_url"),
                    endpoint.unwrap_or_else(|| variable("TRANSLOAD_TEST_S3_ENDPOINT")),
                )
                .setting(format!("{key}.region_name"), "us-east-1")
        }
    }
}
