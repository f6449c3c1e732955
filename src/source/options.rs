//! What the user says of a source beyond its name.

use std::fmt;

use serde::Deserialize;

use super::compress::UnpackLimits;
use super::csv::CsvOptions;

/// What a file holds, where its name does not say so or says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceFormat {
    /// JSON, a row on each line.
    Jsonl,
    /// A JSON document: a list of rows, or rows one after the other.
    Json,
    /// Values with commas, semicolons, tabs or bars between them.
    Csv,
    /// Parquet.
    Parquet,
    /// Arrow IPC, as a file or as a stream.
    Arrow,
}

impl SourceFormat {
    /// The word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }
}

impl fmt::Display for SourceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the files of a resource are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceOptions {
    /// What they hold. By default what their names say.
    pub(crate) format: Option<SourceFormat>,
    /// Where in a JSON document the rows stand.
    pub(crate) path: Option<String>,
    /// How CSV is read.
    pub(crate) csv: CsvOptions,
    /// How far they may grow when they are unpacked.
    #[serde(skip)]
    pub(crate) unpack: UnpackLimits,
}
