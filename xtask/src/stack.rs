//! `up` and `down`: servers for tests, on loopback, on ports that were free.

mod environment;
mod http;
mod install;
mod ports;
mod server;
mod watch;

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;

pub(crate) use environment::Environment;
use watch::Watch;

/// The running stack, for as long as a task needs it.
#[derive(Debug)]
pub(crate) struct Stack {
    environment: Environment,
    /// There only if this task started the servers; stops them when it is dropped.
    _watch: Option<Watch>,
}

impl Stack {
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

pub(crate) fn up_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    match arguments {
        [] => {}
        [what] if what == "s3" => {}
        other => {
            return Err(Failure::new(format!("no such server: {}", other.join(" ")))
                .with_hint("run `cargo xtask up` or `cargo xtask up s3`"));
        }
    }
    let environment = match server::running(workspace)? {
        Some((process, environment)) => {
            eprintln!("up: the S3 server runs already (process {process})");
            environment
        }
        None => server::start(workspace)?.1,
    };
    // Nothing else on stdout: it is for `eval`.
    print!("{}", environment.exports());
    Ok(())
}

pub(crate) fn down_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    if !server::stop(workspace)? {
        eprintln!("down: nothing was running");
    }
    Ok(())
}

/// The stack for one task: one that runs already is used and left running, else it is started and
/// stops with the task, however that ends.
pub(crate) fn borrow(workspace: &Workspace) -> Outcome<Stack> {
    if let Some((process, environment)) = server::running(workspace)? {
        eprintln!("stack: using the S3 server that runs already (process {process})");
        return Ok(Stack { environment, _watch: None });
    }
    let (process, environment) = server::start(workspace)?;
    Ok(Stack { environment, _watch: Some(Watch::over(workspace, process)?) })
}
