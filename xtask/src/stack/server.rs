//! The S3 server's life: started, found again by its PID file, stopped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::environment::{self, BUCKET, Environment};
use super::http;
use super::install;
use super::ports::{self, Ports};
use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// The files of the server in `.stack`.
struct Files {
    process: PathBuf,
    log: PathBuf,
    data: PathBuf,
    scratch: PathBuf,
    identities: PathBuf,
    environment: PathBuf,
}

impl Files {
    fn of(workspace: &Workspace) -> Files {
        let stack = workspace.stack();
        Files {
            process: stack.join("run").join("s3.pid"),
            log: stack.join("log").join("s3.log"),
            data: stack.join("data").join("s3"),
            scratch: stack.join("tmp"),
            identities: stack.join("run").join("s3.json"),
            environment: stack.join("env"),
        }
    }
}

/// The server's process and environment, if it runs and answers.
pub(super) fn running(workspace: &Workspace) -> Outcome<Option<(u32, Environment)>> {
    let files = Files::of(workspace);
    let Some(process) = recorded(&files).filter(|process| is_ours(*process, &files)) else {
        return Ok(None);
    };
    let exports = fs::read_to_string(&files.environment)
        .context(|| format!("cannot read {}", files.environment.display()))?;
    Ok(Some((process, Environment::parse(&exports)?)))
}

/// Starts the server with an empty bucket, and returns when it has taken a file.
pub(super) fn start(workspace: &Workspace) -> Outcome<(u32, Environment)> {
    let weed = install::weed(workspace)?;
    let files = Files::of(workspace);
    let ports = ports::choose()?;
    folder::remove(&files.data)?;
    folder::create(&files.data)?;
    folder::create(&files.scratch)?;
    for path in [&files.process, &files.log] {
        path.parent().map_or(Ok(()), folder::create)?;
    }
    write(&files.identities, &environment::identities())?;

    let mut child = spawn(&weed, &files, ports)?;
    write(&files.process, &child.id().to_string())?;
    let environment = Environment::of_s3(ports.s3);
    let began = Instant::now();
    while !works(ports) {
        let ended = child.try_wait().context(|| "cannot watch the S3 server".to_owned())?;
        if ended.is_some() || began.elapsed() > START {
            let trouble = match ended {
                Some(status) => format!("the S3 server ended while it started ({status})"),
                None => format!("the S3 server took no file in {} seconds", START.as_secs()),
            };
            stop(workspace)?;
            return Err(Failure::new(format!("{trouble}\n{}", last_lines(&files.log))).with_hint(
                format!("all its words: {}", workspace.relative(&files.log).display()),
            ));
        }
        thread::sleep(PAUSE);
    }
    write(&files.environment, &environment.exports())?;
    eprintln!(
        "up: S3 server on port {} (process {}, {:.1} s)",
        ports.s3,
        child.id(),
        began.elapsed().as_secs_f64()
    );
    Ok((child.id(), environment))
}

fn spawn(weed: &Path, files: &Files, ports: Ports) -> Outcome<Child> {
    let log =
        File::create(&files.log).context(|| format!("cannot write {}", files.log.display()))?;
    let errors = log.try_clone().context(|| "cannot share the log".to_owned())?;
    let flag = |name: &str, path: &Path| {
        let mut flag = std::ffi::OsString::from(name);
        flag.push(path);
        flag
    };
    let mut command = Command::new(weed);
    command
        .arg("mini")
        // The default address is every one that the machine has.
        .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
        .args(["-master.telemetry=false", "-admin.ui=false", "-webdav=false"])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=50"])
        .arg(format!("-bucket={BUCKET}"))
        .arg(format!("-s3.port={}", ports.s3))
        .arg(format!("-filer.port={}", ports.filer))
        .arg(format!("-master.port={}", ports.master))
        .arg(format!("-volume.port={}", ports.volume))
        .arg(format!("-admin.port={}", ports.admin))
        .arg(flag("-dir=", &files.data))
        .arg(flag("-s3.config=", &files.identities))
        // Relative to the working folder: an absolute path may be too long for a socket.
        .args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"])
        .current_dir(&files.scratch)
        .env("TMPDIR", &files.scratch)
        // Keys from here would become an identity of the server.
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // A group of its own: an interrupt on this terminal is for the task, not for the server.
        .process_group(0);
    command.spawn().context(|| format!("cannot start {}", weed.display()))
}

/// A real request to each part: the gateway answers, the bucket is there, a file can be written.
fn works(ports: Ports) -> bool {
    let ask = |port, method, path: &str| http::status(port, method, path, "ready").ok();
    ask(ports.s3, "GET", "/").is_some()
        && ask(ports.filer, "GET", &format!("/buckets/{BUCKET}/")) == Some(200)
        && ask(ports.filer, "PUT", "/ready") == Some(201)
}

/// Stops the server that the PID file names; tells whether there was one.
pub(super) fn stop(workspace: &Workspace) -> Outcome<bool> {
    let files = Files::of(workspace);
    let process = recorded(&files).filter(|process| is_ours(*process, &files));
    if let Some(process) = process {
        signal("-TERM", process)?;
        let began = Instant::now();
        while is_ours(process, &files) {
            if began.elapsed() > STOP {
                signal("-KILL", process)?;
                break;
            }
            thread::sleep(PAUSE);
        }
        eprintln!("down: S3 server stopped (process {process})");
    }
    for path in [&files.process, &files.environment] {
        // Not being there is what is wanted.
        let _ = fs::remove_file(path);
    }
    folder::remove(&files.data)?;
    folder::remove(&files.scratch)?;
    Ok(process.is_some())
}

fn recorded(files: &Files) -> Option<u32> {
    fs::read_to_string(&files.process).ok()?.trim().parse().ok()
}

/// Numbers of processes are used again: only one that works on our data folder is our server.
fn is_ours(process: u32, files: &Files) -> bool {
    let data = files.data.to_string_lossy();
    command_line(process).is_some_and(|line| line.contains(data.as_ref()))
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

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
