//! `bench`: nested rows through Transload, through dlt and through DuckDB alone, side by side.
//!
//! Every system runs in a process of its own, round after round, in turn; the order is reversed in every second round,
//! so that drift of the machine hits all alike. Ratios are taken within a round.

mod events;
mod measure;
mod memory;
mod random;
mod report;
mod systems;
mod text;

use std::path::PathBuf;

use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::process;
use crate::python;
use crate::workspace::Workspace;
use measure::Measured;
use report::Report;
use systems::{Part, System};

/// What stands behind `bench WHAT`.
#[derive(Clone, Debug)]
struct Options {
    rows: u64,
    runs: usize,
    workers: Option<usize>,
    gigabytes: f64,
    /// Systems whose names hold one of these.
    only: Vec<String>,
    is_json: bool,
    /// A `transload` that is built already.
    program: Option<PathBuf>,
}

const USAGE: &str = "cargo xtask bench normalise|load|memory|data [--rows N] [--runs N] [--workers N] [--gb N] \
                     [--only NAME]… [--program TRANSLOAD] [--output json]";

pub(crate) fn bench_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let Some((what, rest)) = arguments.split_first() else {
        return Err(Failure::new("what shall be measured?").with_hint(USAGE));
    };
    let options = Options::read(rest)?;
    match what.as_str() {
        "normalise" => compare(workspace, Part::Normalise, &options),
        "load" => compare(workspace, Part::Load, &options),
        "memory" => memory::memory(workspace, &options),
        "data" => {
            println!("{}", events::file(workspace, options.rows)?.display());
            Ok(())
        }
        other => Err(Failure::new(format!("no such benchmark: {other}")).with_hint(USAGE)),
    }
}

impl Options {
    fn read(arguments: &[String]) -> Outcome<Self> {
        let mut options = Self {
            rows: 100_000,
            runs: 5,
            workers: None,
            gigabytes: 5.0,
            only: Vec::new(),
            is_json: false,
            program: None,
        };
        let mut words = arguments.iter();
        while let Some(name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| Failure::new(format!("{name} needs a value")).with_hint(USAGE))?;
            match name.as_str() {
                "--rows" => options.rows = number(name, value)?,
                "--runs" => options.runs = number(name, value)?,
                "--workers" => options.workers = Some(number(name, value)?),
                "--gb" => options.gigabytes = number(name, value)?,
                "--only" => options.only.push(value.clone()),
                "--program" => options.program = Some(PathBuf::from(value)),
                "--output" if matches!(value.as_str(), "json" | "text") => {
                    options.is_json = value == "json";
                }
                _ => {
                    return Err(
                        Failure::new(format!("not understood: {name} {value}")).with_hint(USAGE)
                    );
                }
            }
        }
        if options.rows == 0 || options.runs == 0 || options.gigabytes <= 0.0 {
            return Err(Failure::new("nothing to measure").with_hint(USAGE));
        }
        Ok(options)
    }

    fn wants(&self, system: &System) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| system.name.contains(name.as_str()))
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Outcome<T> {
    value.parse().map_err(|_| Failure::new(format!("{name} {value} is no number that it can be")))
}

/// The program in release mode, which is built if it has to be.
fn program(workspace: &Workspace, options: &Options) -> Outcome<PathBuf> {
    if let Some(program) = &options.program {
        return std::fs::canonicalize(program)
            .context(|| format!("cannot find {}", program.display()));
    }
    crate::duckdb::setup(workspace)?;
    let messages = process::output(process::cargo(workspace).args([
        "build",
        "--locked",
        "--release",
        "--bin",
        "transload",
        "--message-format",
        "json-render-diagnostics",
    ]))?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "transload")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Failure::new("cargo names no program that it built"))
}

fn compare(workspace: &Workspace, part: Part, options: &Options) -> Outcome {
    let program = program(workspace, options)?;
    let python = python::python(workspace)?;
    let input = events::file(workspace, options.rows)?;
    let systems = systems::systems(part, options.workers);
    let systems: Vec<&System> = systems.iter().filter(|system| options.wants(system)).collect();
    let scratch = workspace.cache()?.join("bench").join(format!("work-{}", std::process::id()));
    let mut rounds: Vec<Vec<Measured>> = Vec::new();
    let outcome = (0..options.runs).try_for_each(|round| {
        let mut order: Vec<usize> = (0..systems.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut measured = vec![None; systems.len()];
        for index in order {
            let system = systems[index];
            eprintln!("bench: round {} of {}: {}", round + 1, options.runs, system.name);
            folder::remove(&scratch)?;
            folder::create(&scratch)?;
            let command = system.command(workspace, &program, &python, &input, &scratch);
            measured[index] = Some(measure::run(workspace, system, &command, &scratch)?);
        }
        rounds.push(measured.into_iter().flatten().collect());
        Ok(())
    });
    folder::remove(&scratch)?;
    outcome?;
    let bytes = std::fs::metadata(&input).context(|| "cannot look at the data".to_owned())?.len();
    let report = Report::new(options.rows, bytes, &systems, &rounds)?;
    if options.is_json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Outcome<Options> {
        Options::read(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_read_or_refused() {
        let options = read(&["--rows", "10", "--output", "json", "--only", "dlt"]).unwrap();
        assert_eq!((options.rows, options.runs, options.is_json), (10, 5, true));
        for wrong in [&["--rows"][..], &["--rows", "many"], &["--rows", "0"], &["--fast", "1"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
