//! The formats in which files travel.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// The format of a loader file. The words are dlt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// SQL `INSERT … VALUES` with the destination's own literals, one row a line.
    InsertValues,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Parquet, Self::Jsonl, Self::Csv, Self::InsertValues];

    /// The name on the command line and in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::InsertValues => "insert_values",
        }
    }

    /// The extension of a file, without the dot and without that of a compression.
    pub fn extension(self) -> &'static str {
        self.as_str()
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FileFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "no such loader file format")
                .with("format", text)
                .with_hint("the formats are parquet, jsonl, csv and insert_values")
        })
    }
}
