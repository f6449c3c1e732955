//! A load is killed, stopped, overtaken and lied to at every one of its failpoints, finished, and its rows are counted.
//!
//! A program of its own instead of the test harness, since it starts itself as the process to which things happen.
//! `cargo xtask crash` is the long run, `cargo xtask test crash` the short one.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

mod case;
mod child;
mod lab;
mod look;
mod names;
mod plan;
mod planted;
mod proxy;
mod random;
mod trial;
mod truth;
mod visiting;
mod workers;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lab::Lab;
use crate::plan::Numbers;
use crate::random::Random;
use crate::trial::{Outcome, Trial};

/// What the tests make of it. The long run asks for more.
const SHORT: Numbers = Numbers { kills: 200, answers: 200, zombies: 32, races: 100 };

/// The seed of the tests.
const SEED: u64 = 4;

/// After so many failures there is enough to look at.
const ENOUGH: usize = 5;

struct Options {
    numbers: Numbers,
    seed: u64,
    /// One trial alone.
    case: Option<Trial>,
}

fn main() -> ExitCode {
    if let Ok(orders) = std::env::var(child::ORDERS) {
        return child::main(&orders);
    }
    // Whoever lists tests or wants the ignored ones alone wants nothing of this one.
    if std::env::args().any(|argument| argument == "--list" || argument == "--ignored") {
        return ExitCode::SUCCESS;
    }
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(words) => {
            eprintln!(
                "error: {words}\n\nhint: --kills N --answers N --zombies N --races N --seed N, or --case JSON"
            );
            return ExitCode::FAILURE;
        }
    };
    let lab = Lab::default();
    match &options.case {
        Some(trial) => one(&lab, trial),
        None => all(&lab, &options),
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { numbers: SHORT, seed: SEED, case: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} wants a number"));
        match name.as_str() {
            "--kills" => options.numbers.kills = number()?,
            "--answers" => options.numbers.answers = number()?,
            "--zombies" => options.numbers.zombies = number()? as usize,
            "--races" => options.numbers.races = number()?,
            "--seed" => options.seed = number()?,
            "--case" => {
                let trial = serde_json::from_str(&value);
                options.case = Some(trial.map_err(|error| format!("no such case: {error}"))?);
            }
            _ => return Err(format!("no such option: {name}")),
        }
    }
    Ok(options)
}

fn one(lab: &Lab, trial: &Trial) -> ExitCode {
    let outcome = trial.run(lab);
    println!("{}: {:?}\n{}", trial.case(), outcome.struck, outcome.verdict);
    match outcome.verdict.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn all(lab: &Lab, options: &Options) -> ExitCode {
    let began = std::time::Instant::now();
    let with_s3 = std::env::var_os("TRANSLOAD_TEST_S3_ENDPOINT").is_some();
    println!("seed {}", options.seed);
    if !with_s3 {
        println!(
            "S3 is left out, no server runs: `cargo xtask crash` and `cargo xtask test crash` bring one"
        );
    }
    let mut random = Random::new(options.seed);
    let (trials, points) = plan::plan(lab, options.numbers, &mut random, with_s3);
    let mut wrong = names::unmet(&points, with_s3);
    wrong.extend(planted::unfound(lab));

    let failures = AtomicUsize::new(0);
    let outcomes = workers::map(trials, |trial| {
        if failures.load(Ordering::SeqCst) >= ENOUGH {
            return None;
        }
        let outcome = trial.run(lab);
        if !outcome.verdict.is_clean() {
            failures.fetch_add(1, Ordering::SeqCst);
            failed(trial, &outcome);
        }
        Some(outcome)
    });
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let lost = sum(|outcome| outcome.verdict.lost);
    let doubled = sum(|outcome| outcome.verdict.doubled + outcome.verdict.unexpected);
    let half = sum(|outcome| outcome.verdict.half_visible);
    let (zombies, fenced) = (sum(|outcome| outcome.zombies), sum(|outcome| outcome.fenced));
    println!(
        "{} kills, {} lost, late and doubled answers, {zombies} zombies; {fenced} processes fenced off, {} locked out\n\
         rows lost {lost}, rows doubled {doubled}, half-visible loads {half}",
        sum(|outcome| outcome.kills),
        sum(|outcome| outcome.answers),
        sum(|outcome| outcome.locked),
    );
    if options.numbers.zombies > 0 && fenced == 0 {
        wrong.push("no zombie was fenced: it was never overtaken in time".into());
    }
    wrong.iter().for_each(|words| eprintln!("\nwrong: {words}"));
    let failures = failures.load(Ordering::SeqCst) + wrong.len();
    println!(
        "\ntest result: {}. {} passed; {failures} failed; 0 ignored; finished in {:.1} s",
        if failures == 0 { "ok" } else { "FAILED" },
        outcomes.len() - failures.min(outcomes.len()),
        began.elapsed().as_secs_f64()
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(trial: &Trial, outcome: &Outcome) {
    let json = serde_json::to_string(trial).expect("a trial is JSON");
    eprintln!(
        "\nFAILED {}: {:?}\n  {}\n  to repeat it: cargo xtask crash --case '{json}'",
        trial.case(),
        outcome.struck,
        outcome.verdict
    );
}
