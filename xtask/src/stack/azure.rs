//! The stand-in for Azure Blob Storage: Azurite, which keeps everything in memory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::daemon::{Daemon, write};
use super::environment::{self, Environment};
use super::{http, install, ports};
use crate::failure::Outcome;
use crate::workspace::Workspace;

fn environment_file(workspace: &Workspace) -> PathBuf {
    workspace.stack().join("azure.env")
}

fn daemon(workspace: &Workspace, port: u16) -> Daemon {
    let marks = vec!["azurite".to_owned(), port.to_string()];
    Daemon::new(workspace, "azure", "stand-in for Azure", marks)
}

fn recorded(workspace: &Workspace) -> Option<(Environment, u16)> {
    let exports = fs::read_to_string(environment_file(workspace)).ok()?;
    let environment = Environment::parse(&exports).ok()?;
    let port = environment.azure_port()?;
    Some((environment, port))
}

/// The process and environment, if it runs.
pub(super) fn running(workspace: &Workspace) -> Option<(u32, Environment)> {
    let (environment, port) = recorded(workspace)?;
    Some((daemon(workspace, port).running()?, environment))
}

/// Starts it with an empty container.
pub(super) fn start(workspace: &Workspace) -> Outcome<(u32, Environment)> {
    let program = install::azurite(workspace)?;
    let port = ports::one()?;
    let environment = Environment::of_azure(port);
    let mut command = Command::new("node");
    command
        .arg(program)
        .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
        .args(["--inMemoryPersistence", "--silent", "--disableTelemetry"])
        // The client may speak a newer version than the emulator knows.
        .arg("--skipApiVersionCheck")
        .env("AZURITE_ACCOUNTS", environment::azure_accounts());
    // For `stop`, should this task be killed while the server starts.
    write(&environment_file(workspace), &environment.exports())?;
    // The container is there once it could be made, or was made by a try whose answer came too late.
    let container = environment::azure_container();
    let works =
        || http::status(port, "PUT", &container, "").is_ok_and(|code| matches!(code, 201 | 409));
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
