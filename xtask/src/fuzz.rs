//! `fuzz`: random inputs through the engine, by libFuzzer.
//!
//! The folder `fuzz/` is laid out as cargo-fuzz wants it, but nothing more than cargo and a C++ compiler is needed: the
//! flags that have the compiler count what an input reaches are ones of the stable compiler. What they lack against
//! cargo-fuzz's default is the address sanitizer, which looks for faults that code without `unsafe` cannot have.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

/// How libFuzzer is told what an input reaches. Source: LLVM, "SanitizerCoverage".
const FLAGS: [&str; 8] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

const USAGE: &str = "cargo xtask fuzz [TARGET] [--seconds N] [--input FILE]";

pub(crate) fn fuzz_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let (mut chosen, mut seconds, mut input) = (None, 60_u64, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| Failure::new(format!("{word} needs a value")).with_hint(USAGE))
        };
        match word.as_str() {
            "--seconds" => {
                seconds = value()?
                    .parse()
                    .map_err(|_| Failure::new("--seconds needs a number").with_hint(USAGE))?;
            }
            "--input" => {
                let path = value()?;
                input = Some(fs::canonicalize(path).context(|| format!("cannot find {path}"))?);
            }
            name if !name.starts_with('-') && chosen.is_none() => chosen = Some(name.to_owned()),
            other => {
                return Err(Failure::new(format!("not understood: {other}")).with_hint(USAGE));
            }
        }
    }
    let targets = targets(workspace)?;
    if let Some(name) = chosen.as_ref().filter(|name| !targets.contains(name)) {
        return Err(Failure::new(format!("no such target: {name}"))
            .with_hint(format!("there are: {}", targets.join(" "))));
    }
    let chosen: Vec<String> = chosen.map_or(targets, |name| vec![name]);
    let programs = build(workspace)?;
    for target in &chosen {
        run(workspace, target, &programs.join(target), seconds, input.as_ref())?;
    }
    Ok(())
}

/// The targets, by the names of their files.
fn targets(workspace: &Workspace) -> Outcome<Vec<String>> {
    let folder = workspace.root().join("fuzz/fuzz_targets");
    let unreadable = || format!("cannot list {}", folder.display());
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut targets: Vec<String> = entries
        .context(unreadable)?
        .iter()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    Ok(targets)
}

/// Builds all targets; the folder of the programs.
fn build(workspace: &Workspace) -> Outcome<PathBuf> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or_else(|| Failure::new("rustc does not say which machine it is for"))?;
    // Named, so that build scripts and macros are compiled without the flags.
    let mut command = process::cargo(workspace);
    command.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    command.args(["--bins", "--target", host]);
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.root().join("fuzz/target"), |f| workspace.root().join(f));
    process::run(&mut command)?;
    Ok(folder.join(host).join("release"))
}

/// Runs a target for some seconds, or over one input.
fn run(
    workspace: &Workspace,
    target: &str,
    program: &std::path::Path,
    seconds: u64,
    input: Option<&PathBuf>,
) -> Outcome {
    let base = workspace.root().join("fuzz");
    let (corpus, artifacts) =
        (base.join("corpus").join(target), base.join("artifacts").join(target));
    folder::create(&corpus)?;
    folder::create(&artifacts)?;
    let mut command = Command::new(program);
    command.current_dir(workspace.root());
    match input {
        Some(input) => command.arg(input),
        // What it finds goes into the first folder; the seeds are only read.
        None => command
            .arg(format!("-max_total_time={seconds}"))
            .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(corpus)
            .arg(base.join("seeds").join(target)),
    };
    process::run(&mut command).map_err(|failure| {
        let artifacts = workspace.relative(&artifacts).display();
        Failure::new(format!("{target}: {}", failure.report())).with_hint(format!(
            "the input lies in {artifacts}/; look at it with `cargo xtask fuzz {target} --input FILE`, and keep it in \
             fuzz/seeds/{target}/ once it is repaired"
        ))
    })
}
