//! Running a suite as `cargo test` wants it run: its arguments, its lines, its exit code.
//!
//! The few arguments of libtest that make sense here are read by hand: a crate for it would bring an argument parser into
//! the contract.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::harness::{Harness, StagingHarness};
use super::suite::{Suite, Trial, Verdict};
use crate::Result;

/// Runs every case for destinations: what `main` of a test with `harness = false` returns.
pub fn conformance<H: Harness + 'static>(
    open: impl Fn() -> Result<H> + Send + Sync + 'static,
) -> ExitCode {
    run(Suite::new().destination(open))
}

/// Runs every case for staging destinations: what `main` of a test with `harness = false` returns.
pub fn staging_conformance<H: StagingHarness + 'static>(
    open: impl Fn() -> Result<H> + Send + Sync + 'static,
) -> ExitCode {
    run(Suite::new().staging(open))
}

/// What `cargo test` asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    /// Only what needs a server.
    ignored: bool,
    /// What needs a server, too.
    include_ignored: bool,
    threads: Option<usize>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => {
                    (name.to_owned(), Some(value.to_owned()))
                }
                _ => (argument, None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| arguments.next())
                    .ok_or_else(|| format!("{name} needs a value"))
            };
            match name.as_str() {
                "--exact" => parsed.exact = true,
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored = true,
                "--include-ignored" => parsed.include_ignored = true,
                "--skip" => parsed.skip.push(value()?),
                "--test-threads" => {
                    let text = value()?;
                    let threads =
                        text.parse().map_err(|_| format!("{text} is no number of threads"))?;
                    parsed.threads = Some(threads);
                }
                // How it looks makes no difference here.
                "--format" | "--color" | "--logfile" | "-Z" => drop(value()?),
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" | "--test"
                | "--report-time" => {}
                name if name.starts_with('-') => return Err(format!("{name} is not known here")),
                name => parsed.filters.push(name.to_owned()),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, trial: &Trial) -> bool {
        let hits = |pattern: &String| match self.exact {
            true => trial.name == *pattern,
            false => trial.name.contains(pattern.as_str()),
        };
        (self.filters.is_empty() || self.filters.iter().any(hits))
            && !self.skip.iter().any(hits)
            && (!self.ignored || trial.needs.is_some())
    }

    fn verdict(&self, trial: &Trial) -> Verdict {
        match &trial.needs {
            Some(reason) if !self.ignored && !self.include_ignored => {
                Verdict::Ignored(reason.clone())
            }
            _ => (trial.run)(),
        }
    }
}

/// Runs a suite with the arguments of this process: what `main` of a test with `harness = false` returns.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is the main of a test program")]
pub fn run(suite: Suite) -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let chosen: Vec<&Trial> = suite.trials.iter().filter(|trial| arguments.wants(trial)).collect();
    if arguments.list {
        for trial in &chosen {
            println!("{}: test", trial.name);
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let begun = Instant::now();
    let verdicts = run_all(&arguments, &chosen);
    let failures: Vec<&(&str, Verdict)> =
        verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_))).collect();
    if !failures.is_empty() {
        println!("\nfailures:\n");
        for (name, verdict) in &failures {
            if let Verdict::Failed(reason) = verdict {
                println!("---- {name} ----\n{reason}\n");
            }
        }
        println!("failures:");
        for (name, _) in &failures {
            println!("    {name}");
        }
    }
    let count =
        |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, one)| wanted(one)).count();
    println!(
        "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        count(|verdict| *verdict == Verdict::Passed),
        failures.len(),
        count(|verdict| matches!(verdict, Verdict::Ignored(_))),
        suite.trials.len() - chosen.len(),
        begun.elapsed().as_secs_f64(),
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Runs cases on some threads and says of each what became of it.
#[expect(clippy::print_stdout, reason = "it is the main of a test program")]
fn run_all<'t>(arguments: &Arguments, trials: &[&'t Trial]) -> Vec<(&'t str, Verdict)> {
    let threads = arguments.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
    });
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = arguments.verdict(trial);
            let word = match &verdict {
                Verdict::Passed => "ok".to_owned(),
                Verdict::Failed(_) => "FAILED".to_owned(),
                Verdict::Ignored(reason) => format!("ignored, {reason}"),
            };
            let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            println!("test {} ... {word}", trial.name);
            verdicts.push((trial.name.as_str(), verdict));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, trials.len().max(1)) {
            scope.spawn(work);
        }
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    fn trial(name: &str, needs: Option<&str>) -> Trial {
        let run = Box::new(|| Verdict::Passed);
        Trial { name: name.into(), needs: needs.map(str::to_owned), run }
    }

    #[test]
    fn the_arguments_of_cargo_test_choose() {
        let (plain, server) = (trial("a::b", None), trial("s3::a::b", Some("needs a server")));
        for (arguments, chosen) in [
            (&[][..], [true, true]),
            (&["a::b"], [true, true]),
            (&["a::b", "--exact", "-q"], [true, false]),
            (&["--ignored", "--format=terse"], [false, true]),
            (&["--skip", "s3", "--test-threads", "1"], [true, false]),
            (&["other"], [false, false]),
        ] {
            let parsed = parse(arguments).unwrap();
            assert_eq!([parsed.wants(&plain), parsed.wants(&server)], chosen, "{arguments:?}");
        }
        assert!(parse(&["--unheard-of"]).is_err() && parse(&["--skip"]).is_err());
    }

    #[test]
    fn a_missing_server_is_ignored_unless_it_is_asked_for() {
        let server = trial("s3::a", Some("needs a server"));
        let ignored = Verdict::Ignored("needs a server".into());
        assert_eq!(parse(&[]).unwrap().verdict(&server), ignored);
        for asked in ["--ignored", "--include-ignored"] {
            assert_eq!(parse(&[asked]).unwrap().verdict(&server), Verdict::Passed);
        }
    }
}
