//! The S3 server's life: SeaweedFS on folders of `.stack`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::{Daemon, write};
use super::environment::{self, BUCKET, Environment};
use super::http;
use super::install;
use super::ports::{self, Ports};
use crate::failure::{Context, Outcome};
use crate::folder;
use crate::workspace::Workspace;

/// The files of the server in `.stack`.
struct Files {
    data: PathBuf,
    scratch: PathBuf,
    identities: PathBuf,
    roles: PathBuf,
    environment: PathBuf,
}

impl Files {
    fn of(workspace: &Workspace) -> Files {
        let stack = workspace.stack();
        Files {
            data: stack.join("data").join("s3"),
            scratch: stack.join("tmp"),
            identities: stack.join("run").join("s3.json"),
            roles: stack.join("run").join("s3-roles.json"),
            environment: stack.join("env"),
        }
    }
}

fn daemon(workspace: &Workspace) -> Daemon {
    let data = Files::of(workspace).data.to_string_lossy().into_owned();
    Daemon::new(workspace, "s3", "S3 server", vec![data])
}

/// The server's process and environment, if it runs and answers.
pub(super) fn running(workspace: &Workspace) -> Outcome<Option<(u32, Environment)>> {
    let files = Files::of(workspace);
    let Some(process) = daemon(workspace).running() else { return Ok(None) };
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
    write(&files.identities, &environment::identities())?;
    write(&files.roles, &environment::roles())?;
    let environment = Environment::of_s3(ports.s3);
    let command = command(&weed, &files, ports);
    let process = daemon(workspace).start(workspace, command, || works(ports))?;
    write(&files.environment, &environment.exports())?;
    Ok((process, environment))
}

fn command(weed: &Path, files: &Files, ports: Ports) -> Command {
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
        .arg(flag("-s3.iam.config=", &files.roles))
        // Relative to the working folder: an absolute path may be too long for a socket.
        .args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"])
        .current_dir(&files.scratch)
        .env("TMPDIR", &files.scratch)
        // Keys from here would become an identity of the server.
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    command
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
    let ran = daemon(workspace).stop()?;
    // Not being there is what is wanted.
    let _ = fs::remove_file(&files.environment);
    folder::remove(&files.data)?;
    folder::remove(&files.scratch)?;
    Ok(ran)
}
