//! The stand-in for Snowflake: fakesnow behind a front of this workspace, in one Python process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use super::daemon::{Daemon, write};
use super::environment::Environment;
use super::ports;
use crate::failure::Outcome;
use crate::python;
use crate::workspace::Workspace;

const FOLDER: &str = "stand-in-snowflake";

fn environment_file(workspace: &Workspace) -> PathBuf {
    workspace.stack().join("snowflake.env")
}

fn daemon(workspace: &Workspace, port: u16) -> Daemon {
    let marks = vec![FOLDER.to_owned(), port.to_string()];
    Daemon::new(workspace, "snowflake", "stand-in for Snowflake", marks)
}

fn recorded(workspace: &Workspace) -> Option<(Environment, u16)> {
    let exports = fs::read_to_string(environment_file(workspace)).ok()?;
    let environment = Environment::parse(&exports).ok()?;
    let port = environment.snowflake_port()?;
    Some((environment, port))
}

/// The process and environment, if it runs.
pub(super) fn running(workspace: &Workspace) -> Option<(u32, Environment)> {
    let (environment, port) = recorded(workspace)?;
    Some((daemon(workspace, port).running()?, environment))
}

/// Installs and starts it, beside this S3 server.
pub(super) fn start(workspace: &Workspace, s3: &Environment) -> Outcome<(u32, Environment)> {
    let python = python::environment(
        workspace,
        &format!("{FOLDER}/requirements.txt"),
        "fakesnow and DuckDB",
        "import fakesnow.instance, boto3, jwt, pyarrow.parquet, starlette, uvicorn",
    )?;
    let port = ports::one()?;
    let environment = Environment::of_snowflake(port);
    let mut command = Command::new(python);
    // Byte code beside the sources would be files that nobody wrote.
    command.arg("-B").arg(workspace.root().join(FOLDER)).arg(port.to_string());
    command.envs(s3.variables()).envs(environment.variables());
    // For `stop`, should this task be killed while the server starts.
    write(&environment_file(workspace), &environment.exports())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let works = || TcpStream::connect(address).is_ok();
    let process = daemon(workspace, port).start(workspace, command, works)?;
    Ok((process, environment))
}

/// Stops it; tells whether it ran.
pub(super) fn stop(workspace: &Workspace) -> Outcome<bool> {
    let ran = match recorded(workspace) {
        Some((_, port)) => daemon(workspace, port).stop()?,
        None => false,
    };
    let _ = fs::remove_file(environment_file(workspace));
    Ok(ran)
}
