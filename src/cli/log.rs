//! Logs: on stderr, as much as `TRANSLOAD_LOG` asks for, without secrets.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use transload_core::{Error, ErrorKind, Redactor, Result};

use super::World;
use super::terminal::Terminal;

const VARIABLE: &str = "TRANSLOAD_LOG";

/// Where logs go. Once secrets are known they are taken out.
#[derive(Clone)]
pub(super) struct Log {
    terminal: Terminal,
    redactor: Arc<RwLock<Redactor>>,
}

/// Starts logging.
pub(super) fn start(world: &World) -> Result<Log> {
    let log = Log { terminal: world.terminal.clone(), redactor: Arc::default() };
    let wanted = world.variable(VARIABLE).unwrap_or("warn");
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Error::new(ErrorKind::Configuration, "the filter of the logs cannot be read")
            .with("variable", VARIABLE)
            .with_hint("write `warn`, `info`, `debug`, or `transload=debug,info`")
            .with_source(error)
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(world.terminal.has_colours())
        .with_writer(log.clone());
    // A program of a stranger may have its own; then that one is used.
    let _ = subscriber.try_init();
    Ok(log)
}

impl Log {
    /// From now on these secrets are taken out.
    pub(super) fn hide(&self, redactor: Redactor) {
        *self.redactor.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { log: self, bytes: Vec::new() }
    }
}

/// One event, written as a whole when it ends.
pub(super) struct Line<'a> {
    log: &'a Log,
    bytes: Vec<u8>,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes);
        let redactor = self.log.redactor.read().unwrap_or_else(PoisonError::into_inner);
        self.log.terminal.write(redactor.scrub(&text).as_bytes());
    }
}
