//! What is expected of each input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The corpus.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    pub(crate) entries: Vec<Entry>,
}

/// What must become of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// All rows are there; exit code 0.
    Loads,
    /// The good rows are there, the others are kept with their reasons; exit code 4.
    SetAside,
    /// Nothing of it is there; one error.
    Refused,
}

/// One input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// Below `files/`, or the name of what [`crate::generated`] makes.
    pub(crate) file: String,
    /// What is wrong with it.
    pub(crate) what: String,
    pub(crate) outcome: Outcome,
    /// How the resource is described.
    #[serde(default)]
    pub(crate) resource: Described,
    /// The naming convention, where it is not the default.
    pub(crate) naming: Option<String>,
    /// Rows of JSON that a second resource, before this one, loads into another table.
    pub(crate) before: Option<Before>,
    /// Rows by table, of all tables.
    #[serde(default)]
    pub(crate) rows: BTreeMap<String, u64>,
    /// Line, offset and code of each row set aside, in their order.
    #[serde(default)]
    pub(crate) set_aside: Vec<(u64, u64, String)>,
    /// Columns with their types, but for the loader's own.
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, Vec<String>>,
    /// What queries answer, as text.
    #[serde(default)]
    pub(crate) answers: BTreeMap<String, Option<String>>,
    /// The column that is compared with the key of the same name in the file, row by row.
    pub(crate) reads_back: Option<String>,
    /// The exit code, where the outcome does not say it.
    pub(crate) exit: Option<i64>,
    /// The code of the error.
    pub(crate) code: Option<String>,
    /// The kind of the error; data by default.
    pub(crate) kind: Option<String>,
    /// Where the error is said to be.
    pub(crate) line: Option<u64>,
    /// Words of the error.
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// Parts of the warnings.
    #[serde(default)]
    pub(crate) warns: Vec<String>,
    /// Memory that it may take, in MiB; 256 by default.
    pub(crate) mebibytes: Option<u64>,
    /// Why another outcome might be expected, and why it is this one.
    pub(crate) difference: Option<String>,
}

/// A resource as a pipeline's file describes it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Described {
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, String>,
    /// Lines of TOML.
    #[serde(default)]
    pub(crate) lines: Vec<String>,
    /// Settings, by the names of their variables.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    pub(crate) table: String,
    pub(crate) rows: String,
}

impl Entry {
    pub(crate) fn category(&self) -> &str {
        self.file.split('/').next().unwrap_or_default()
    }

    /// Its name without folders.
    pub(crate) fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn path(&self) -> PathBuf {
        folder().join("files").join(&self.file)
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_inputs")
}

pub(crate) fn read() -> Index {
    let text = std::fs::read(folder().join("index.json")).expect("the index is there");
    serde_json::from_slice(&text).expect("the index is as described here")
}
