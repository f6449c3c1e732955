//! Which files of a source were loaded before.
//!
//! A file is remembered by a hash of 64 bits over its name, size, time and tag: eight bytes a file, whatever it is called,
//! so that the memory of 100,000 files is a text of 1.1 MB. Among so many, a new file is taken for a known one once
//! in 10^14. A file that has changed has another hash, and is a new file.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use transload_core::{Error, ErrorKind, Result};

use crate::normalize::shake128;
use crate::source::identity::FileIdentity;

/// The key in the state of a resource under which the files stand. dlt keeps what it does not know.
pub(super) const KEY: &str = "transload_files";

/// The version of the form in which they stand there.
const FORMAT: u64 = 1;

/// Files that are remembered: from here on, those that the source does not have any more are forgotten.
const MOST_FILES: usize = 250_000;

/// The files of a resource that were loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilesSeen(BTreeSet<u64>);

impl FilesSeen {
    /// Reads what the state holds.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where it cannot be read: to go on without it would load every file again.
    pub(crate) fn from_state(state: &Json) -> Result<Self> {
        let refused = |reason: &'static str| {
            Error::new(ErrorKind::Terminal, "the memory of loaded files cannot be read")
                .with("reason", reason)
                .with_hint(
                    "load once with `replace` and without `incremental_files`, which begins anew",
                )
        };
        if state.get("format").and_then(Json::as_u64) != Some(FORMAT) {
            return Err(refused("it has another format").with("understood", FORMAT));
        }
        let hashes = state.get("hashes").and_then(Json::as_str);
        let bytes = hashes
            .and_then(|hashes| STANDARD.decode(hashes).ok())
            .ok_or_else(|| refused("it is no base64"))?;
        let (hashes, rest) = bytes.as_chunks::<8>();
        let seen = Self(hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect());
        let count = state.get("count").and_then(Json::as_u64);
        if !rest.is_empty() || count != Some(seen.0.len() as u64) {
            return Err(refused("it does not hold as many files as it says"));
        }
        Ok(seen)
    }

    /// Which of these files were not loaded.
    pub(crate) fn fresh(&self, files: &[FileIdentity]) -> Vec<bool> {
        files.iter().map(|file| !self.0.contains(&hash(file))).collect()
    }

    /// Remembers all files that the source has now. Where they become too many, those that it does not have any more are
    /// forgotten.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the source has more files than can be remembered.
    pub(crate) fn remember(&mut self, files: &[FileIdentity]) -> Result<()> {
        self.remember_at_most(files, MOST_FILES)
    }

    fn remember_at_most(&mut self, files: &[FileIdentity], limit: usize) -> Result<()> {
        let now: BTreeSet<u64> = files.iter().map(hash).collect();
        if now.len() > limit {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the source has more files than can be remembered",
            )
            .with("files", now.len())
            .with("limit", limit)
            .with_hint(
                "name fewer of them: a folder for each month, and a pattern for those that still grow",
            ));
        }
        self.0.extend(&now);
        if self.0.len() > limit {
            self.0 = now;
        }
        Ok(())
    }

    /// As the state holds it.
    pub(crate) fn to_state(&self) -> Json {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.to_be_bytes()).collect();
        json!({ "format": FORMAT, "count": self.0.len(), "hashes": STANDARD.encode(bytes) })
    }
}

fn hash(file: &FileIdentity) -> u64 {
    let FileIdentity { name, bytes, modified, etag } = file;
    let text = json!([name, bytes, modified, etag]).to_string();
    u64::from_be_bytes(shake128(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> FileIdentity {
        FileIdentity {
            name: name.to_owned(),
            bytes: Some(3),
            modified: Some("2024-01-01T00:00:00Z".to_owned()),
            etag: Some("\"x\"".to_owned()),
        }
    }

    #[test]
    fn a_file_is_new_until_it_is_remembered_and_again_once_it_has_changed() {
        let mut seen = FilesSeen::default();
        let before = file("a");
        assert_eq!(seen.fresh(std::slice::from_ref(&before)), [true]);
        seen.remember(std::slice::from_ref(&before)).unwrap();
        let files = [
            before.clone(),
            file("b"),
            FileIdentity { bytes: Some(4), ..before.clone() },
            FileIdentity { modified: None, ..before.clone() },
            FileIdentity { etag: Some("\"y\"".to_owned()), ..before.clone() },
        ];
        assert_eq!(seen.fresh(&files), [false, true, true, true, true]);
        seen.remember(&files).unwrap();
        assert_eq!(seen.fresh(&files), [false; 5]);
    }

    #[test]
    fn the_state_gives_back_what_it_was_given_and_stays_small() {
        let seen =
            FilesSeen((1..=100_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect());
        let state = seen.to_state();
        assert_eq!(state["count"], 100_000);
        assert!(state.to_string().len() < 1_100_000);
        assert_eq!(FilesSeen::from_state(&state).unwrap(), seen);
        assert!(FilesSeen::from_state(&FilesSeen::default().to_state()).unwrap().0.is_empty());
    }

    #[test]
    fn a_memory_that_is_damaged_is_not_forgotten() {
        let mut seen = FilesSeen::default();
        seen.remember(&[file("a")]).unwrap();
        let good = seen.to_state();
        for (key, value) in [
            ("format", json!(2)),
            ("count", json!(2)),
            ("hashes", json!("?")),
            ("hashes", json!("AAAA")),
        ] {
            let mut damaged = good.clone();
            damaged[key] = value;
            let error = FilesSeen::from_state(&damaged).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Terminal, "{key}");
        }
        assert_eq!(FilesSeen::from_state(&json!([])).unwrap_err().kind(), ErrorKind::Terminal);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = FilesSeen((0..10).collect());
        seen.remember_at_most(&[file("a")], 11).unwrap();
        assert_eq!(seen.0.len(), 11);
        seen.remember_at_most(&[file("b")], 11).unwrap();
        assert_eq!((seen.0.len(), seen.fresh(&[file("b"), file("a")])), (1, vec![false, true]));
        let many: Vec<FileIdentity> = (0..12).map(|n| file(&n.to_string())).collect();
        let error = seen.remember_at_most(&many, 11).unwrap_err();
        assert_eq!((error.kind(), error.context("limit")), (ErrorKind::Configuration, Some("11")));
        assert_eq!(seen.0.len(), 1);
    }
}
