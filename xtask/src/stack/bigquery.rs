//! The stand-in for BigQuery: a program of this workspace, in front of local-bigquery, which it starts itself.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;

use super::daemon::{Daemon, write};
use super::environment::Environment;
use super::{install, ports};
use crate::failure::Outcome;
use crate::process;
use crate::workspace::Workspace;

const PACKAGE: &str = "transload-stand-in-bigquery";

fn environment_file(workspace: &Workspace) -> PathBuf {
    workspace.stack().join("bigquery.env")
}

/// The server that listens there.
fn daemon(workspace: &Workspace, address: &str) -> Daemon {
    let marks = vec![PACKAGE.to_owned(), address.to_owned()];
    Daemon::new(workspace, "bigquery", "stand-in for BigQuery", marks)
}

fn recorded(workspace: &Workspace) -> Option<Environment> {
    let exports = fs::read_to_string(environment_file(workspace)).ok()?;
    Environment::parse(&exports).ok()
}

/// The process and environment, if it runs.
pub(super) fn running(workspace: &Workspace) -> Option<(u32, Environment)> {
    let environment = recorded(workspace)?;
    let process = daemon(workspace, &environment.bigquery_address()?).running()?;
    Some((process, environment))
}

/// Builds and starts it, beside this stand-in for Google Cloud Storage.
pub(super) fn start(workspace: &Workspace, gcs: &Environment) -> Outcome<(u32, Environment)> {
    let program = install::local_bigquery(workspace)?;
    process::run(process::cargo(workspace).args(["build", "--locked", "--package", PACKAGE]))?;
    let (port, rest, grpc) = ports::three()?;
    let environment = Environment::of_bigquery(port);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let text = address.to_string();
    // On Unix cargo becomes the program that it runs, under the same number.
    let mut command = process::cargo(workspace);
    command.args(["run", "--locked", "--quiet", "--package", PACKAGE, "--", &text]);
    command.arg(program).args([rest.to_string(), grpc.to_string()]);
    command.envs(gcs.variables()).envs(environment.variables());
    // For `stop`, should this task be killed while the server starts.
    write(&environment_file(workspace), &environment.exports())?;
    let works = || TcpStream::connect(address).is_ok();
    let process = daemon(workspace, &text).start(workspace, command, works)?;
    Ok((process, environment))
}

/// Stops it; tells whether it ran.
pub(super) fn stop(workspace: &Workspace) -> Outcome<bool> {
    let address = recorded(workspace).and_then(|environment| environment.bigquery_address());
    let ran = match address {
        Some(address) => daemon(workspace, &address).stop()?,
        None => false,
    };
    let _ = fs::remove_file(environment_file(workspace));
    Ok(ran)
}
