//! A server's process: recorded in a file, found again, stopped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// A server of the stack.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    /// What it is called to a person.
    title: &'static str,
    process: PathBuf,
    log: PathBuf,
    /// Words that stand in its command line, and in that of nobody else.
    marks: Vec<String>,
}

impl Daemon {
    pub(super) fn new(
        workspace: &Workspace,
        name: &str,
        title: &'static str,
        marks: Vec<String>,
    ) -> Daemon {
        let stack = workspace.stack();
        Daemon {
            title,
            process: stack.join("run").join(format!("{name}.pid")),
            log: stack.join("log").join(format!("{name}.log")),
            marks,
        }
    }

    /// The number of its process, if it runs.
    pub(super) fn running(&self) -> Option<u32> {
        self.recorded().filter(|process| self.is_ours(*process))
    }

    /// Starts it, and returns the number of its process once it works.
    pub(super) fn start(
        &self,
        workspace: &Workspace,
        mut command: Command,
        works: impl Fn() -> bool,
    ) -> Outcome<u32> {
        for path in [&self.process, &self.log] {
            path.parent().map_or(Ok(()), folder::create)?;
        }
        let log =
            File::create(&self.log).context(|| format!("cannot write {}", self.log.display()))?;
        let errors = log.try_clone().context(|| "cannot share the log".to_owned())?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        // A group of its own: an interrupt on this terminal is for the task, not for the server.
        command.process_group(0);
        let mut child = command.spawn().context(|| format!("cannot start the {}", self.title))?;
        write(&self.process, &child.id().to_string())?;
        let began = Instant::now();
        while !works() {
            let ended = self.ended(&mut child)?;
            if ended.is_some() || began.elapsed() > START {
                let trouble = match ended {
                    Some(status) => format!("the {} ended while it started ({status})", self.title),
                    None => {
                        format!("the {} did not work after {} seconds", self.title, START.as_secs())
                    }
                };
                self.stop()?;
                let log = workspace.relative(&self.log).display();
                return Err(Failure::new(format!("{trouble}\n{}", last_lines(&self.log)))
                    .with_hint(format!("all its words: {log}")));
            }
            thread::sleep(PAUSE);
        }
        let seconds = began.elapsed().as_secs_f64();
        eprintln!("up: {} (process {}, {seconds:.1} s)", self.title, child.id());
        Ok(child.id())
    }

    fn ended(&self, child: &mut Child) -> Outcome<Option<std::process::ExitStatus>> {
        child.try_wait().context(|| format!("cannot watch the {}", self.title))
    }

    /// Stops it; tells whether it ran.
    pub(super) fn stop(&self) -> Outcome<bool> {
        let process = self.running();
        if let Some(process) = process {
            signal("-TERM", process)?;
            let began = Instant::now();
            while self.is_ours(process) {
                if began.elapsed() > STOP {
                    signal("-KILL", process)?;
                    break;
                }
                thread::sleep(PAUSE);
            }
            eprintln!("down: {} stopped (process {process})", self.title);
        }
        // Not being there is what is wanted.
        let _ = fs::remove_file(&self.process);
        Ok(process.is_some())
    }

    fn recorded(&self) -> Option<u32> {
        fs::read_to_string(&self.process).ok()?.trim().parse().ok()
    }

    /// Numbers of processes are used again: only one that works on what is ours is our server.
    fn is_ours(&self, process: u32) -> bool {
        command_line(process)
            .is_some_and(|line| self.marks.iter().all(|mark| line.contains(mark.as_str())))
    }
}

fn command_line(process: u32) -> Option<String> {
    if Path::new("/proc/self").exists() {
        let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).into_owned());
    }
    process::output(Command::new("ps").args(["-ww", "-o", "args=", "-p", &process.to_string()]))
        .ok()
}

fn signal(name: &str, process: u32) -> Outcome {
    // The shell's own `kill`: the program of that name is missing in slim containers.
    let script = format!("kill {name} {process}");
    process::output(Command::new("sh").args(["-c", &script])).map(|_| ())
}

pub(super) fn write(path: &Path, text: &str) -> Outcome {
    path.parent().map_or(Ok(()), folder::create)?;
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
