//! The command line: arguments, commands, and what a person sees.
//!
//! This is the only place of the crate that reads the environment and that prints. The result goes to stdout, as text or
//! as one JSON document; progress and logs go to stderr.

mod args;
mod check;
mod choice;
mod destinations;
mod entries;
mod file;
mod info;
mod log;
mod package;
mod progress;
mod run;
mod schema;
mod show;
mod staging;
mod status;
mod terminal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use serde_json::{Value, json};
use transload_core::{Error, ErrorKind, ErrorReport, Result};

use args::{Cli, Command, Config, Form, PackageCommand, Schema, Staging};
use terminal::Terminal;

/// What the process was given, read once.
pub(crate) struct World {
    environment: Vec<(OsString, OsString)>,
    home: Option<PathBuf>,
    terminal: Terminal,
}

impl World {
    fn of_process() -> Self {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let variable = |wanted: &str| {
            environment
                .iter()
                .find(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        Self {
            home: variable("HOME").map(PathBuf::from),
            terminal: Terminal::new(variable("NO_COLOR").is_some()),
            environment,
        }
    }

    fn variable(&self, wanted: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(name, _)| name == wanted);
        found.and_then(|(_, value)| value.to_str()).filter(|value| !value.is_empty())
    }

    /// The folder of the pipelines, where none is named.
    fn pipelines_dir(&self, named: Option<&Path>) -> PathBuf {
        match named {
            Some(folder) => folder.to_owned(),
            None => {
                self.home.as_deref().unwrap_or(Path::new(".")).join(".transload").join("pipelines")
            }
        }
    }
}

/// What a command came to.
#[derive(Debug)]
struct Outcome {
    /// What stdout carries.
    document: Document,
    /// Why it failed.
    error: Option<ErrorReport>,
    code: u8,
}

/// The same result, for people and for machines.
#[derive(Debug, Default)]
struct Document {
    text: String,
    json: Value,
}

/// The exit codes that scripts rely on.
mod code {
    pub(super) const DONE: u8 = 0;
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const RESUMABLE: u8 = 3;
    pub(super) const SET_ASIDE: u8 = 4;
}

impl Outcome {
    fn done(document: Document) -> Self {
        Self { document, error: None, code: code::DONE }
    }

    fn failed(error: ErrorReport) -> Self {
        let code = code_of(error.kind);
        let json = json!({ "error": error });
        Self { document: Document { text: String::new(), json }, error: Some(error), code }
    }
}

impl From<Result<Document>> for Outcome {
    fn from(result: Result<Document>) -> Self {
        match result {
            Ok(document) => Self::done(document),
            Err(error) => Self::failed(error.report()),
        }
    }
}

/// What is said where the machine has no threads left.
fn no_threads(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Terminal, "the threads could not be started").with_source(error)
}

/// The exit code of an error after which there is nothing to resume.
fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Configuration | ErrorKind::Unsupported => code::USAGE,
        ErrorKind::Interrupted => code::RESUMABLE,
        _ => code::FAILED,
    }
}

/// Runs the command line of this process. A program that links plugins of its own calls this from its `main`.
///
/// ```no_run
/// // use the_crate_of_a_plugin as _;
///
/// fn main() -> std::process::ExitCode {
///     transload::cli::main()
/// }
/// ```
pub fn main() -> ExitCode {
    crate::guard::hush();
    let world = World::of_process();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&world.terminal, &error, &arguments),
    };
    let log = log::start(&world);
    let form = cli.command.form();
    let loads = matches!(cli.command, Command::Run(_) | Command::Resume(_) | Command::Replay(_));
    let outcome = match log {
        Ok(log) => execute(&world, cli.command, &log),
        Err(error) => Outcome::failed(error.report()),
    };
    let mut code = outcome.code;
    let result = match form {
        Form::Text => outcome.document.text,
        Form::Json => format!("{:#}", outcome.document.json),
    };
    if !result.is_empty() && !terminal::print(&result) && code == code::DONE {
        world.terminal.error("the result could not be written to stdout");
        // What was loaded is loaded: whoever takes this for a failed load loads it twice.
        if !loads {
            code = code::FAILED;
        }
    }
    if let Some(error) = outcome.error {
        world.terminal.error(&error.to_string());
    }
    ExitCode::from(code)
}

fn execute(world: &World, command: Command, log: &log::Log) -> Outcome {
    match command {
        Command::Run(args) => run::run(world, args, log),
        Command::Resume(args) => run::resume(world, args, log),
        Command::Replay(args) => run::replay(world, args, log),
        Command::Status(args) => status::status(world, &args).into(),
        Command::Info(args) => info::info(world, &args).into(),
        Command::Destinations(args) => destinations::destinations(&args).into(),
        Command::Schema(Schema::Show(args)) => schema::show(world, args).into(),
        Command::Schema(Schema::Diff(args)) => schema::diff(world, args).into(),
        Command::Schema(Schema::Export(args)) => schema::export(world, args).into(),
        Command::Package(PackageCommand::SetAside(args)) => package::set_aside(world, &args).into(),
        Command::Package(PackageCommand::Restore(args)) => package::restore(world, &args).into(),
        Command::Package(PackageCommand::Drop(args)) => package::drop(world, args).into(),
        Command::Staging(Staging::Ls(args)) => staging::ls(world, args).into(),
        Command::Staging(Staging::Gc(args)) => staging::gc(world, args).into(),
        Command::Staging(Staging::Lifecycle(args)) => staging::lifecycle(world, args).into(),
        Command::Config(Config::Check(args)) => check::check(world, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "transload", &mut script);
            let text = String::from_utf8_lossy(&script).trim_end().to_owned();
            Outcome::done(Document { text, json: Value::Null })
        }
    }
}

impl Command {
    fn form(&self) -> Form {
        match self {
            Self::Run(args) => args.watch.output.form,
            Self::Resume(args) => args.watch.output.form,
            Self::Replay(args) => args.watch.output.form,
            Self::Status(args) => args.output.form,
            Self::Info(args) => args.output.form,
            Self::Destinations(args) => args.output.form,
            Self::Schema(Schema::Show(args)) => args.schema.output.form,
            Self::Schema(Schema::Diff(args)) => args.schema.output.form,
            Self::Schema(Schema::Export(args)) => args.schema.output.form,
            Self::Package(PackageCommand::SetAside(args) | PackageCommand::Restore(args)) => {
                args.output.form
            }
            Self::Package(PackageCommand::Drop(args)) => args.output.form,
            Self::Staging(Staging::Ls(args)) => args.output.form,
            Self::Staging(Staging::Gc(args)) => args.output.form,
            Self::Staging(Staging::Lifecycle(args)) => args.output.form,
            Self::Config(Config::Check(args)) => args.output.form,
            Self::Completions { .. } => Form::Text,
        }
    }
}

/// Shows the help that was asked for, or says what is wrong with the arguments.
fn usage(terminal: &Terminal, error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        terminal::print(text.trim_end());
        return ExitCode::from(code::DONE);
    }
    let asks_for_json = arguments.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || arguments.iter().any(|argument| argument == "--output=json");
    if asks_for_json {
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        let report = Error::new(ErrorKind::Configuration, message).report();
        terminal::print(&format!("{:#}", json!({ "error": report })));
    }
    terminal.say(text.trim_end());
    ExitCode::from(code::USAGE)
}
