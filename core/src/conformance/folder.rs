//! A temporary folder that goes with its owner.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of the suite's own.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A folder that nobody else has.
    pub(super) fn new() -> std::io::Result<Self> {
        // Blanks, quotes and brackets: readers must take a path for nothing but a path.
        let path = std::env::temp_dir().join(format!("suite's [odd] {}", unique()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A word that no other case, process or day has.
pub(super) fn unique() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("{:x}_{:x}_{number}", since.as_secs(), std::process::id())
}
