//! Runs that are asked to end: what is said, what is kept, and how it is finished.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PLAYERS_FILE, Sandbox, THROUGH_STAGING};

const STOPPING: &str = "stopping after the current step; once more to stop at once";
const FROM_STDIN: [&str; 4] = ["--table", "players", "--source", "-"];

/// A run that goes on until it is told otherwise.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(sandbox: &Sandbox, source: [&str; 4], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_transload"))
            .current_dir(sandbox.path(""))
            .env_clear()
            .env("HOME", sandbox.path("home"))
            .envs(environment.iter().copied())
            .args([&["run"], &THROUGH_STAGING[..], &source, &["--progress", "log"]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        Self { child, stdin, lines }
    }

    /// Waits until stderr has such a line.
    #[track_caller]
    fn says(&mut self, part: &str) {
        let said =
            self.lines.by_ref().map(|line| line.expect("a line")).any(|line| line.contains(part));
        assert!(said, "it ended without `{part}`");
    }

    /// Waits until it waits for its standard input: only then does it not see that it is asked to end. Where the system does
    /// not tell, it is supposed to.
    fn reads(&self) {
        let tasks = format!("/proc/{}/task", self.child.id());
        let reads = |task: std::fs::DirEntry| {
            // The number of the call and its arguments, here the descriptor: `0 0x0 …`. Source: proc_pid_syscall(5).
            let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            call.split(' ').nth(1) == Some("0x0")
        };
        while cfg!(target_os = "linux")
            && !std::fs::read_dir(&tasks).expect("it runs").filter_map(Result::ok).any(reads)
        {
            std::thread::yield_now();
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal can be sent");
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn the_first_signal_ends_a_run_where_nothing_is_lost() {
    let sandbox = Sandbox::new();
    let mut running = Running::start(&sandbox, FROM_STDIN, &[]);
    let mut stdin = running.stdin.take().expect("stdin");
    stdin.write_all(b"{\"id\": 1}\n").expect("a row");
    running.says("normalise: begins");
    running.signal(Signal::TERM);
    running.says(STOPPING);
    drop(stdin);
    running.says("error: the run was asked to stop");
    assert_eq!(running.code(), Some(3));

    // It was not sealed, so nothing is left, and the next run begins anew.
    sandbox.load_players(&[]).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
}

#[test]
fn the_second_signal_ends_a_run_at_once() {
    let sandbox = Sandbox::new();
    let mut running = Running::start(&sandbox, FROM_STDIN, &[]);
    running.says("normalise: begins");
    running.reads();
    running.signal(Signal::TERM);
    running.says(STOPPING);
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(3), "with the standard input still open");

    let next = sandbox.load_players(&[]).with_code(0);
    next.says(&["warning: a run ended before its package was sealed; nothing of it was loaded"]);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
}

/// Leaves a sealed load behind that was not staged. Returns its id.
fn pending(sandbox: &Sandbox) -> String {
    // A port at which nobody listens.
    let nowhere = [
        ("DESTINATION__FILESYSTEM__BUCKET_URL", "s3://lake/staged"),
        ("DESTINATION__FILESYSTEM__CREDENTIALS__ENDPOINT_URL", "http://127.0.0.1:1"),
        ("DESTINATION__FILESYSTEM__CREDENTIALS__AWS_ACCESS_KEY_ID", "id"),
        ("DESTINATION__FILESYSTEM__CREDENTIALS__AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ];
    let mut running = Running::start(sandbox, PLAYERS_FILE, &nowhere);
    running.says("trying again");
    running.signal(Signal::INT);
    running.says(STOPPING);
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(3));
    let status = sandbox.run(&["status", "--output", "json"]).with_code(0).json();
    status["pipelines"][0]["pending"][0]["load_id"].as_str().expect("it is pending").to_owned()
}

#[test]
fn what_was_sealed_before_the_signal_is_resumed() {
    let sandbox = Sandbox::new();
    let pending = pending(&sandbox);
    let resumed = [&["resume", &pending], &THROUGH_STAGING[..], &["--output", "json"]].concat();
    let json = sandbox.run(&resumed).with_code(0).json();
    assert_eq!(json["loads"][0]["load_id"], pending.as_str());
    assert_eq!(json["loads"][0]["status"], "loaded");
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
}

#[test]
fn the_first_signal_ends_a_wait_for_a_destination_that_is_busy() {
    let sandbox = Sandbox::new();
    pending(&sandbox);
    let elsewhere = duckdb::Connection::open(sandbox.path("players.duckdb")).expect("it opens");
    let mut running = Running::start(&sandbox, PLAYERS_FILE, &[]);
    running.says("trying again");
    running.signal(Signal::TERM);
    running.says(STOPPING);
    running.says("error: the run was asked to stop");
    assert_eq!(running.code(), Some(3), "after one signal");
    drop(elsewhere);
    sandbox.load_players(&[]).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
}

#[test]
fn a_run_that_was_killed_is_finished_from_the_storage_on_an_empty_disk() {
    let sandbox = Sandbox::new();
    let mut running = Running::start(&sandbox, PLAYERS_FILE, &[]);
    // Whether the kill comes before the commit or after it: every row is there once in the end.
    running.says("publish: begins");
    running.signal(Signal::KILL);
    assert_eq!(running.code(), None);
    std::fs::remove_dir_all(sandbox.path("home/.transload")).expect("the disk is lost");

    let resume = [&["resume"], &THROUGH_STAGING[..]].concat();
    for _ in 0..2 {
        sandbox.run(&resume).with_code(0);
        assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
        assert_eq!(sandbox.count("select count(*) from lake.players__titles"), 3);
        assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
    }
}
