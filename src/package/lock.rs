//! The lock on a working folder, which the kernel frees when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use transload_core::failpoint::around;
use transload_core::{Error, ErrorKind, Result};

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Terminal, "could not lock the working folder")
                .with("path", path.display())
                .with_hint("the folder must be on a file system with locks; choose another with --pipelines-dir")
                .with_source(error)
        };
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
        let mut file = options.open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                // Who holds it is told as far as it can be read; that it is held is what matters.
                let _ = file.read_to_string(&mut owner);
                return Err(Error::new(
                    ErrorKind::Transient,
                    "another process works on this pipeline",
                )
                .with("held by", owner.trim())
                .with("path", path.display())
                .with_hint(
                    "wait until it has ended, or give this run a pipeline name of its own",
                ));
            }
            Err(error) => return Err(failed(error.into())),
        }
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", owner())
        };
        around("write who holds the lock", || write(&mut file)).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Who this process is: for locks and fences.
pub(crate) fn owner() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("process {} on {host} since {}", std::process::id(), crate::clock::now())
}
