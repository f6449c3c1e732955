//! `up` and `down`: servers for tests, on loopback, on ports that were free.

mod azure;
mod daemon;
mod environment;
mod http;
mod install;
mod ports;
mod redshift;
mod server;
mod snowflake;
mod watch;

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;

pub(crate) use environment::Environment;
use watch::Watch;

/// A server that a task can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The S3 server.
    S3,
    /// The stand-in for Redshift, which copies from the S3 server: that one runs too.
    Redshift,
    /// The stand-in for Azure Blob Storage.
    Azure,
    /// The stand-in for Snowflake, which copies from the S3 server: that one runs too.
    Snowflake,
}

impl Server {
    /// All of them.
    pub(crate) const ALL: &[Server] =
        &[Server::S3, Server::Redshift, Server::Azure, Server::Snowflake];
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
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let servers = match words[..] {
        [] | ["s3"] => &[Server::S3][..],
        ["redshift"] => &[Server::Redshift],
        ["azure"] => &[Server::Azure],
        ["snowflake"] => &[Server::Snowflake],
        _ => {
            return Err(Failure::new(format!("no such server: {}", words.join(" ")))
                .with_hint("run `cargo xtask up`, with `s3`, `redshift`, `azure` or `snowflake`"));
        }
    };
    let (environment, _) = up(workspace, servers)?;
    // Nothing else on stdout: it is for `eval`.
    print!("{}", environment.exports());
    Ok(())
}

pub(crate) fn down_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    if !stop(workspace)? {
        eprintln!("down: nothing was running");
    }
    Ok(())
}

/// Stops what runs, each server though another one cannot be stopped; tells whether any ran.
fn stop(workspace: &Workspace) -> Outcome<bool> {
    let ran = [
        snowflake::stop(workspace),
        azure::stop(workspace),
        redshift::stop(workspace),
        server::stop(workspace),
    ];
    ran.into_iter().try_fold(false, |any, ran| Ok(any | ran?))
}

/// The stack for one task: what runs already is used and left running; if anything had to be started, all stops with the
/// task, however that ends.
pub(crate) fn borrow(workspace: &Workspace, servers: &[Server]) -> Outcome<Stack> {
    let (environment, started) = up(workspace, servers)?;
    let watch = match started.is_empty() {
        true => None,
        false => Some(Watch::over(workspace, &started)?),
    };
    Ok(Stack { environment, _watch: watch })
}

/// Starts the servers that do not run yet, and says which processes these are.
fn up(workspace: &Workspace, servers: &[Server]) -> Outcome<(Environment, Vec<u32>)> {
    let mut started = Vec::new();
    match start(workspace, servers, &mut started) {
        Ok(environment) => Ok((environment, started)),
        Err(failure) => {
            // As at the end of a task: if anything had to be started, all stops.
            if !started.is_empty() {
                stop(workspace)?;
            }
            Err(failure)
        }
    }
}

fn start(
    workspace: &Workspace,
    servers: &[Server],
    started: &mut Vec<u32>,
) -> Outcome<Environment> {
    let mut environment = Environment::empty();
    let needs_s3 = [Server::S3, Server::Redshift, Server::Snowflake];
    if servers.iter().any(|server| needs_s3.contains(server)) {
        environment = match server::running(workspace)? {
            Some((process, environment)) => runs_already("S3 server", process, environment),
            None => noted(server::start(workspace)?, started),
        };
    }
    if servers.contains(&Server::Redshift) {
        let redshift = match redshift::running(workspace) {
            // One that was started beside another S3 server reads from that.
            Some((process, environment)) if started.is_empty() => {
                runs_already("stand-in for Redshift", process, environment)
            }
            _ => {
                redshift::stop(workspace)?;
                noted(redshift::start(workspace, &environment)?, started)
            }
        };
        environment = environment.and(redshift);
    }
    if servers.contains(&Server::Snowflake) {
        let snowflake = match snowflake::running(workspace) {
            // As above.
            Some((process, environment)) if started.is_empty() => {
                runs_already("stand-in for Snowflake", process, environment)
            }
            _ => {
                snowflake::stop(workspace)?;
                noted(snowflake::start(workspace, &environment)?, started)
            }
        };
        environment = environment.and(snowflake);
    }
    if servers.contains(&Server::Azure) {
        let azure = match azure::running(workspace) {
            Some((process, environment)) => {
                runs_already("stand-in for Azure", process, environment)
            }
            None => noted(azure::start(workspace)?, started),
        };
        environment = environment.and(azure);
    }
    Ok(environment)
}

fn runs_already(what: &str, process: u32, environment: Environment) -> Environment {
    eprintln!("stack: the {what} runs already (process {process})");
    environment
}

fn noted((process, environment): (u32, Environment), started: &mut Vec<u32>) -> Environment {
    // What was started last is stopped first.
    started.insert(0, process);
    environment
}
