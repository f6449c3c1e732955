//! `up` and `down`: servers for tests, on loopback, on ports that were free.

mod daemon;
mod environment;
mod http;
mod install;
mod ports;
mod redshift;
mod server;
mod watch;

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;

pub(crate) use environment::Environment;
use watch::Watch;

/// The servers that a task needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// The S3 server.
    S3,
    /// The stand-in for Redshift, and the S3 server that it copies from.
    Redshift,
}

/// The running stack, for as long as a task needs it.
#[derive(Debug)]
pub(crate) struct Stack {
    environment: Environment,
    /// There only if this task started servers; stops them when it is dropped.
    _watch: Option<Watch>,
}

impl Stack {
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

pub(crate) fn up_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let servers = match arguments {
        [] => Servers::S3,
        [what] if what == "s3" => Servers::S3,
        [what] if what == "redshift" => Servers::Redshift,
        other => {
            return Err(Failure::new(format!("no such server: {}", other.join(" "))).with_hint(
                "run `cargo xtask up`, `cargo xtask up s3` or `cargo xtask up redshift`",
            ));
        }
    };
    let (environment, _) = up(workspace, servers)?;
    // Nothing else on stdout: it is for `eval`.
    print!("{}", environment.exports());
    Ok(())
}

pub(crate) fn down_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    let ran = [redshift::stop(workspace)?, server::stop(workspace)?];
    if ran == [false, false] {
        eprintln!("down: nothing was running");
    }
    Ok(())
}

/// The stack for one task: what runs already is used and left running; if anything had to be started, all stops with the
/// task, however that ends.
pub(crate) fn borrow(workspace: &Workspace, servers: Servers) -> Outcome<Stack> {
    let (environment, started) = up(workspace, servers)?;
    let watch = match started.is_empty() {
        true => None,
        false => Some(Watch::over(workspace, &started)?),
    };
    Ok(Stack { environment, _watch: watch })
}

/// Starts the servers that do not run yet, and says which processes these are.
fn up(workspace: &Workspace, servers: Servers) -> Outcome<(Environment, Vec<u32>)> {
    let mut started = Vec::new();
    let s3 = match server::running(workspace)? {
        Some((process, environment)) => {
            eprintln!("stack: the S3 server runs already (process {process})");
            environment
        }
        None => {
            let (process, environment) = server::start(workspace)?;
            started.push(process);
            environment
        }
    };
    if servers == Servers::S3 {
        return Ok((s3, started));
    }
    let redshift = match redshift::running(workspace) {
        // One that was started beside another S3 server reads from that.
        Some((process, environment)) if started.is_empty() => {
            eprintln!("stack: the stand-in for Redshift runs already (process {process})");
            environment
        }
        _ => {
            redshift::stop(workspace)?;
            let (process, environment) = match redshift::start(workspace, &s3) {
                Err(failure) if !started.is_empty() => {
                    server::stop(workspace)?;
                    return Err(failure);
                }
                started => started?,
            };
            started.insert(0, process);
            environment
        }
    };
    Ok((s3.and(redshift), started))
}
