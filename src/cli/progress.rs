//! Progress of a run, on stderr: a moving line a step on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::args::Progress;
use super::show::{bytes, count, counted, seconds};
use super::terminal::Terminal;
use crate::{Event, Observer, Step};

/// Time between two lines of one step.
const PAUSE: Duration = Duration::from_secs(5);

/// Tells a person what a run does.
pub(super) struct Watcher {
    terminal: Terminal,
    moves: bool,
    current: Mutex<BTreeMap<Step, Current>>,
}

/// A step that is under way. Staging and copying go on at once.
struct Current {
    step: Step,
    jobs: Option<usize>,
    ended: usize,
    rows: u64,
    bytes: u64,
    files: u64,
    begun: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

/// Who watches a run.
pub(super) fn watcher(wanted: Progress, terminal: &Terminal) -> Arc<dyn Observer> {
    // Where nobody looks, a line that moves is none at all.
    let moves = matches!(wanted, Progress::Auto | Progress::Bar) && terminal.is_watched();
    match wanted {
        Progress::Off => Arc::new(|_: Event| {}),
        _ => Arc::new(Watcher { terminal: terminal.clone(), moves, current: Mutex::default() }),
    }
}

impl Observer for Watcher {
    fn observe(&self, event: Event) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::LoadStarted { load_id, resumed, destination } => {
                let how = if resumed { "is finished, begun by an earlier run" } else { "begins" };
                self.terminal.say(&format!("load {load_id} into {destination} {how}"));
            }
            Event::StepStarted { step, jobs } => {
                let begun = Current::new(step, jobs, self.moves.then(|| self.bar(step)));
                if begun.bar.is_none() {
                    let jobs = jobs.filter(|_| step != Step::Publish).map(jobs_of);
                    let jobs = jobs.unwrap_or_default();
                    self.terminal.say(&format!("{}: begins{jobs}", step.as_str()));
                }
                current.insert(step, begun);
            }
            Event::Rows { rows, bytes } => self.advance(&mut current, Step::Normalise, |current| {
                current.rows += rows;
                current.bytes += bytes;
            }),
            Event::FileWritten(_) => {
                self.advance(&mut current, Step::Normalise, |current| current.files += 1);
            }
            Event::Bytes { step, bytes } => {
                self.advance(&mut current, step, |current| current.bytes += bytes);
            }
            Event::JobEnded { step, .. } => {
                self.advance(&mut current, step, |current| current.ended += 1);
            }
            Event::StepEnded(step) => {
                if let Some(ended) = current.remove(&step) {
                    let figures = ended.figures(false);
                    let time = seconds(ended.begun.elapsed().as_secs_f64());
                    let line =
                        if figures.is_empty() { time } else { format!("{figures} in {time}") };
                    // A line that moved would go when the next one is written over it.
                    if let Some(bar) = &ended.bar {
                        bar.finish_and_clear();
                    }
                    self.terminal.say(&format!("{}: {line}", step.as_str()));
                }
            }
            Event::Retrying { error, seconds: pause } => {
                let when =
                    if pause > 0.0 { format!("in {}", seconds(pause)) } else { "now".to_owned() };
                let reason =
                    error.causes.last().map(|cause| format!(": {cause}")).unwrap_or_default();
                self.terminal.warning(&format!("{}{reason}; trying again {when}", error.message));
            }
            Event::Warning(text) => self.terminal.warning(&text),
            Event::LoadEnded(load_id) => self.terminal.say(&format!("load {load_id} is complete")),
        }
    }
}

impl Watcher {
    fn bar(&self, step: Step) -> ProgressBar {
        let bar = self.terminal.bars().add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<9}  {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(step.as_str());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn advance(
        &self,
        current: &mut BTreeMap<Step, Current>,
        step: Step,
        change: impl Fn(&mut Current),
    ) {
        let Some(current) = current.get_mut(&step) else { return };
        change(current);
        match &current.bar {
            Some(bar) => bar.set_message(current.figures(true)),
            None if current.said.elapsed() >= PAUSE => {
                current.said = Instant::now();
                self.terminal.say(&format!("{}: {}", current.step.as_str(), current.figures(true)));
            }
            None => {}
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner);
        for bar in std::mem::take(current).into_values().filter_map(|current| current.bar) {
            bar.abandon();
        }
    }
}

fn jobs_of(jobs: usize) -> String {
    format!(" with {}", counted(jobs as u64, "job"))
}

impl Current {
    fn new(step: Step, jobs: Option<usize>, bar: Option<ProgressBar>) -> Self {
        let begun = Instant::now();
        Self { step, jobs, ended: 0, rows: 0, bytes: 0, files: 0, begun, said: begun, bar }
    }

    /// What was done until now, with the rate while it goes on.
    fn figures(&self, goes_on: bool) -> String {
        let mut figures = Vec::new();
        match (self.step, self.jobs) {
            (Step::Normalise, _) => figures.push(counted(self.rows, "row")),
            (Step::Publish, _) => {}
            (_, Some(jobs)) => figures.push(format!(
                "{} of {}",
                count(self.ended as u64),
                counted(jobs as u64, "job")
            )),
            (_, None) => figures.push(counted(self.ended as u64, "job")),
        }
        if self.bytes > 0 {
            figures.push(bytes(self.bytes));
        }
        if self.files > 0 {
            figures.push(counted(self.files, "file"));
        }
        let elapsed = self.begun.elapsed().as_secs_f64();
        if goes_on && self.bytes > 0 && elapsed >= 1.0 {
            figures.push(format!("{}/s", bytes((self.bytes as f64 / elapsed) as u64)));
        }
        figures.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_figures() {
        let mut normalise = Current::new(Step::Normalise, None, None);
        (normalise.rows, normalise.bytes, normalise.files) = (12_000, 3_100_000, 2);
        assert_eq!(normalise.figures(true), "12,000 rows, 3.1 MB, 2 files");
        let mut stage = Current::new(Step::Stage, Some(4), None);
        stage.ended = 1;
        assert_eq!(stage.figures(true), "1 of 4 jobs");
        assert_eq!(Current::new(Step::Publish, Some(1), None).figures(false), "");
    }
}
