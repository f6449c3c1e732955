//! What is tried: one thing that goes wrong, then everything is finished, and what is there is held against the truth.

use std::collections::BTreeSet;
use std::process::Command as Program;

use serde::{Deserialize, Serialize};

use crate::case::{Batch, Case};
use crate::child::{Command, Destination, Fault, Orders, Report};
use crate::lab::{Bench, End, Lab, ONE, Process, TWO, program};
use crate::proxy::{Mishap, Proxy};
use crate::truth::{Verdict, judge};
use crate::visiting::Oddity;

/// One thing that goes wrong. As JSON it is what `--case` takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trial {
    /// Runs that are killed one after the other, the last one is not.
    Kills { case: Case, disk: Disk, strikes: Vec<Strike>, destination: Destination },
    /// An effect that fails: the request is lost before it, or the answer after it.
    Answer { case: Case, destination: Destination, at: usize, code: i32 },
    /// A call of the destination that comes twice, or late.
    Call { case: Case, oddity: Oddity },
    /// A request to S3 that goes wrong.
    Request { case: Case, at: usize, mishap: Mishap },
    /// A process that stops, is overtaken, and wakes up.
    Zombie { case: Case, at: usize, by: Other },
    /// Two runs at once.
    Race { case: Case, hosts: Hosts, round: u64 },
    /// A first run that may not write files beyond so many blocks.
    FullDisk { case: Case, blocks: u64 },
}

/// Where a killed run is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Disk {
    /// With its packages.
    Same,
    /// Without: the command is given once more, on an empty disk. A load that was not complete is then made anew; one
    /// that was complete is followed by another one of the same rows.
    EmptyRunAgain,
    /// Without: the load is resumed on an empty disk, from its manifest in the storage; where that was not there yet, the
    /// command is given once more.
    EmptyResume,
}

/// Where a run is killed: at this failpoint, or so many microseconds after it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Strike {
    pub(crate) at: usize,
    pub(crate) micros: Option<u64>,
}

/// Who overtakes a process that has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Other {
    /// Another host with a copy of its packages: it finishes the same load.
    SameLoad,
    /// Another host, which loads the same rows as a load of its own.
    OtherLoad,
}

/// Where two runs meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hosts {
    /// In one folder of packages.
    One,
    /// In the dataset.
    Two,
}

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Processes that were killed.
    pub(crate) kills: u64,
    /// Answers and requests that went wrong.
    pub(crate) answers: u64,
    /// Processes that stopped and were overtaken.
    pub(crate) zombies: u64,
    /// Processes that found out that they were overtaken.
    pub(crate) fenced: u64,
    /// Processes that found the folder locked.
    pub(crate) locked: u64,
    /// Where it struck.
    pub(crate) struck: Vec<String>,
}

impl Outcome {
    fn wrong(&mut self, words: impl Into<String>) {
        self.verdict.other.push(words.into());
    }
}

impl Trial {
    pub(crate) fn case(&self) -> Case {
        match self {
            Trial::Kills { case, .. }
            | Trial::Answer { case, .. }
            | Trial::Call { case, .. }
            | Trial::Request { case, .. }
            | Trial::Zombie { case, .. }
            | Trial::Race { case, .. }
            | Trial::FullDisk { case, .. } => *case,
        }
    }

    pub(crate) fn run(&self, lab: &Lab) -> Outcome {
        let case = self.case();
        let bench = lab.bench(case);
        let mut outcome = Outcome::default();
        match self {
            Trial::Kills { disk, strikes, destination, .. } => {
                kills(&bench, case, *disk, strikes, *destination, &mut outcome);
            }
            Trial::Answer { destination, at, code, .. } => {
                let orders = Orders {
                    destination: *destination,
                    fault: Some((*at, Fault::Fail(*code))),
                    ..bench.orders(ONE, Command::Load)
                };
                answers(&bench, case, &orders, &mut outcome);
            }
            Trial::Call { oddity, .. } => {
                let destination = Destination::Visited(*oddity);
                let orders = Orders { destination, ..bench.orders(ONE, Command::Load) };
                answers(&bench, case, &orders, &mut outcome);
            }
            Trial::Request { at, mishap, .. } => {
                let proxy = Proxy::start(&s3_endpoint(), Some((*at, *mishap)));
                let endpoint = Some(proxy.endpoint());
                let orders = Orders { endpoint, ..bench.orders(ONE, Command::Load) };
                answers(&bench, case, &orders, &mut outcome);
                outcome.struck.extend(proxy.struck());
            }
            Trial::Zombie { at, by, .. } => zombie(&bench, case, *at, *by, &mut outcome),
            Trial::Race { hosts, .. } => race(&bench, case, *hosts, &mut outcome),
            Trial::FullDisk { blocks, .. } => full_disk(&bench, case, *blocks, &mut outcome),
        }
        outcome
    }
}

pub(crate) fn s3_endpoint() -> String {
    std::env::var("TRANSLOAD_TEST_S3_ENDPOINT").expect("the S3 server's environment")
}

/// The loads that are complete: those from before, then the new rows so many times.
fn history(case: Case, loads: usize) -> Vec<Batch> {
    let old = if case.fresh { 0 } else { 1 };
    let mut history = vec![Batch::Old; old];
    history.resize(old + loads, Batch::New);
    history
}

/// What a reader must see when so many loads of the new rows are complete.
fn check(bench: &Bench, case: Case, loads: &[usize], outcome: &mut Outcome) -> usize {
    let histories: Vec<Vec<Batch>> = loads.iter().map(|loads| history(case, *loads)).collect();
    let histories: Vec<&[Batch]> = histories.iter().map(Vec::as_slice).collect();
    let seen = bench.look();
    outcome.verdict.add(judge(&seen, case.way, &histories));
    seen.loads.len().saturating_sub(history(case, 0).len())
}

/// What must not be left of a load that is complete.
fn check_leftovers(bench: &Bench, warnings: &[String], outcome: &mut Outcome) {
    let staging = bench.look().staging;
    let is_told = warnings.iter().any(|words| words.contains("what it left behind"));
    if !staging.is_empty() && !is_told {
        outcome.wrong(format!("tables are left in the staging dataset: {staging:?}"));
    }
    let pending = bench.packages(ONE, "loads");
    if !pending.is_empty() {
        outcome.wrong(format!("packages are left pending: {pending:?}"));
    }
}

/// Finishes what was begun: by the same command, or where its load is recorded already by asking for nothing new.
fn finish(bench: &Bench, case: Case, destination: Destination, outcome: &mut Outcome) {
    let recorded = bench.packages(ONE, "loaded").len() > history(case, 0).len();
    let command = if recorded { Command::Resume } else { Command::Load };
    let destination = match destination {
        Destination::Visited(Oddity::Twice(_) | Oddity::Late(_)) => {
            Destination::Visited(Oddity::Plain)
        }
        other => other,
    };
    let orders = Orders { destination, ..bench.orders(ONE, command) };
    match bench.run(&orders) {
        End::Done(Report { error: None, .. }) => {}
        end => outcome.wrong(format!("finishing failed: {end:?}")),
    }
}

fn kills(
    bench: &Bench,
    case: Case,
    disk: Disk,
    strikes: &[Strike],
    destination: Destination,
    outcome: &mut Outcome,
) {
    let manifests = bench.manifests();
    let mut complete = 0;
    for (number, strike) in strikes.iter().enumerate() {
        let recorded = bench.packages(ONE, "loaded").len() > history(case, 0).len();
        let resumes = recorded || (disk == Disk::EmptyResume && number > 0);
        let command = if resumes { Command::Resume } else { Command::Load };
        let fault = strike.micros.map_or(Fault::Kill, Fault::KillLater);
        let fault = Some((strike.at, fault));
        let orders = Orders { destination, fault, ..bench.orders(ONE, command) };
        match bench.run(&orders) {
            End::Killed(at) => {
                outcome.kills += 1;
                outcome.struck.push(at);
            }
            End::Done(Report { error: None, .. }) => {}
            end @ End::Done(_) => outcome.wrong(format!("a run that was to be killed: {end:?}")),
        }
        // A reader looks: each load is there as a whole or not at all.
        let possible = match disk {
            Disk::Same | Disk::EmptyResume => vec![0, 1],
            Disk::EmptyRunAgain => vec![complete, complete + 1],
        };
        let now = check(bench, case, &possible, outcome);
        if now < complete {
            outcome.wrong("a load that was complete is gone");
        }
        complete = now;
        if disk != Disk::Same {
            bench.lose(ONE);
        }
    }
    let run = |command, outcome: &mut Outcome| {
        let orders = Orders { destination, ..bench.orders(ONE, command) };
        match bench.run(&orders) {
            End::Done(Report { error: None, .. }) => {}
            end => outcome.wrong(format!("{command:?} on an empty disk failed: {end:?}")),
        }
    };
    match disk {
        Disk::Same => {
            finish(bench, case, destination, outcome);
            check(bench, case, &[1], outcome);
            check_leftovers(bench, &[], outcome);
        }
        Disk::EmptyRunAgain => {
            run(Command::Load, outcome);
            check(bench, case, &[complete + 1], outcome);
        }
        Disk::EmptyResume => {
            let is_staged = bench.manifests() > manifests;
            run(Command::Resume, outcome);
            let possible = if is_staged || complete > 0 { &[1][..] } else { &[0, 1] };
            if check(bench, case, possible, outcome) == 0 {
                run(Command::Load, outcome);
                check(bench, case, &[1], outcome);
            }
        }
    }
}

fn answers(bench: &Bench, case: Case, orders: &Orders, outcome: &mut Outcome) {
    let (error, warnings) = match bench.run(orders) {
        End::Done(report) => (report.error, report.warnings),
        end @ End::Killed(_) => {
            outcome.wrong(format!("the run did not end by itself: {end:?}"));
            return;
        }
    };
    outcome.answers += 1;
    if let Some((kind, words)) = &error {
        outcome.struck.push(format!("ended with {kind}"));
        if kind == "bug" {
            outcome.wrong(format!("it calls itself a bug: {words}"));
        }
    }
    let possible = if error.is_none() { &[1][..] } else { &[0, 1] };
    check(bench, case, possible, outcome);
    // A load that could not be recorded as complete is looked at once more by the next run.
    if error.is_some() || !bench.packages(ONE, "loads").is_empty() {
        finish(bench, case, orders.destination, outcome);
        check(bench, case, &[1], outcome);
    }
    check_leftovers(bench, &warnings, outcome);
}

const VISITED: Destination = Destination::Visited(Oddity::Plain);

fn zombie(bench: &Bench, case: Case, at: usize, by: Other, outcome: &mut Outcome) {
    let ordered =
        |host: &str, command| Orders { destination: VISITED, ..bench.orders(host, command) };
    let orders = Orders { fault: Some((at, Fault::Stop)), ..ordered(ONE, Command::Load) };
    let Ok(stopped) = Process::start(&mut program(), &orders).stopped() else {
        // It has fewer failpoints than that.
        return;
    };
    outcome.struck.push(stopped.at.clone());
    if by == Other::SameLoad {
        bench.copy_host(ONE, TWO);
    }
    match bench.run(&ordered(TWO, Command::Load)) {
        End::Done(Report { error: None, .. }) => {}
        end => outcome.wrong(format!("the one that overtakes: {end:?}")),
    }
    outcome.zombies += 1;
    let staged = bench.staged();
    let woken = stopped.wake();
    if !bench.staged().is_superset(&staged) {
        outcome.wrong("the zombie removed staged files");
    }
    if ends_well(&woken, case, outcome) {
        check_all_hosts(bench, case, outcome);
    }
}

fn race(bench: &Bench, case: Case, hosts: Hosts, outcome: &mut Outcome) {
    let other = if hosts == Hosts::One { ONE } else { TWO };
    let orders = [ONE, other]
        .map(|host| Orders { destination: VISITED, ..bench.orders(host, Command::Load) });
    let runs = orders.map(|orders| Process::start(&mut program(), &orders));
    let ends = runs.map(Process::end);
    if ends.iter().all(|end| !matches!(end, End::Done(Report { error: None, .. }))) {
        outcome.wrong(format!("both lost: {ends:?}"));
    }
    let mut well = true;
    for end in &ends {
        well &= ends_well(end, case, outcome);
    }
    if well {
        check_all_hosts(bench, case, outcome);
    }
}

/// Whether a run that met another one has loaded, or says why it has not.
fn ends_well(end: &End, case: Case, outcome: &mut Outcome) -> bool {
    let reason = match end {
        End::Done(Report { error: None, .. }) => return true,
        End::Done(Report { error: Some((_, words)), .. }) => words,
        End::Killed(_) => "",
    };
    if reason.contains("another process works on this pipeline") && reason.contains("process ") {
        outcome.locked += 1;
    } else if reason.contains("another loader of the pipeline has overtaken this one")
        || (case.way.is_ordered() && is_out_of_order(reason))
    {
        outcome.fenced += 1;
    } else {
        outcome.wrong(format!("it does not say that it met another: {end:?}"));
        return false;
    }
    true
}

fn is_out_of_order(words: &str) -> bool {
    words.contains("another load of this pipeline was published meanwhile")
}

/// Lets every host finish, and holds the dataset against what they have recorded.
fn check_all_hosts(bench: &Bench, case: Case, outcome: &mut Outcome) {
    for host in [ONE, TWO] {
        if bench.packages(host, "loads").is_empty() {
            continue;
        }
        let orders = Orders { destination: VISITED, ..bench.orders(host, Command::Resume) };
        match bench.run(&orders) {
            End::Done(Report { error: None, .. }) => {}
            // Rows that are older than those in the dataset never take their place.
            End::Done(Report { error: Some((_, words)), .. })
                if case.way.is_ordered() && is_out_of_order(&words) => {}
            end => outcome.wrong(format!("host {host} cannot finish: {end:?}")),
        }
    }
    let mut recorded: BTreeSet<String> = bench.packages(ONE, "loaded");
    recorded.extend(bench.packages(TWO, "loaded"));
    let seen: BTreeSet<String> = bench.look().loads.into_iter().collect();
    if seen != recorded {
        outcome.wrong(format!("the hosts have loaded {recorded:?}, the dataset has {seen:?}"));
    }
    let loads = recorded.len().saturating_sub(history(case, 0).len());
    check(bench, case, &[loads], outcome);
    if loads == 0 {
        outcome.wrong("nobody has loaded");
    }
}

fn full_disk(bench: &Bench, case: Case, blocks: u64, outcome: &mut Outcome) {
    // The signal is ignored, so that writing fails as on a full disk.
    let script = r#"trap '' XFSZ; ulimit -f "$1"; exec "$0""#;
    let mut limited = Program::new("sh");
    limited.args(["-c", script]).arg(program().get_program()).arg(blocks.to_string());
    let orders = bench.orders(ONE, Command::Load);
    let mut warnings = Vec::new();
    match Process::start(&mut limited, &orders).end() {
        End::Done(report) => {
            warnings = report.warnings;
            if let Some((kind, words)) = report.error {
                outcome.struck.push(format!("ended with {kind}"));
                if matches!(kind.as_str(), "bug" | "bad_data") {
                    outcome.wrong(format!("a full disk is no {kind}: {words}"));
                }
            }
        }
        end @ End::Killed(_) => outcome.wrong(format!("{end:?}")),
    }
    check(bench, case, &[0, 1], outcome);
    finish(bench, case, Destination::DuckDb, outcome);
    check(bench, case, &[1], outcome);
    check_leftovers(bench, &warnings, outcome);
}
