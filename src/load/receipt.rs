//! The receipt: what a load did, as data. The same on success and on failure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use transload_core::{Epoch, ErrorReport, FileFormat, LoadId, Sha256Hex, Usage, WriteDisposition};

use super::event::Step;
use crate::set_aside::SetAsideRows;

/// What became of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadStatus {
    /// It failed before its package was sealed: nothing was loaded, and there is nothing to resume.
    #[default]
    Failed,
    /// Its package is sealed and waits to be resumed.
    Pending,
    /// It is visible in the dataset.
    Loaded,
}

/// One destination or staging destination of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The name by which it was chosen.
    pub name: String,
    /// The plugin behind it.
    pub r#type: String,
}

/// One table of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableReceipt {
    /// The table.
    pub table: String,
    /// What happened to the rows that were there.
    pub write_disposition: WriteDisposition,
    /// Rows of this load.
    pub rows: u64,
    /// Files of this load.
    pub files: usize,
    /// Bytes of the files.
    pub bytes: u64,
    /// Rows that the destination counted, once it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_rows: Option<u64>,
    /// Statements that loaded rows: one COPY a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<u64>,
}

/// One file of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReceipt {
    /// The table.
    pub table: String,
    /// Its name within the package.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Sha256Hex,
    /// Where it lies in the staging storage, if it was staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The pipeline.
    pub pipeline: String,
    /// The load.
    pub load_id: Option<LoadId>,
    /// What became of it.
    pub status: LoadStatus,
    /// Whether it was begun by an earlier run.
    pub resumed: bool,
    /// The destination.
    pub destination: Endpoint,
    /// The staging destination, if there was one.
    pub staging: Option<Endpoint>,
    /// The dataset.
    pub dataset: String,
    /// The format of the files.
    pub format: Option<FileFormat>,
    /// When the run of it began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// Seconds by step.
    pub seconds: BTreeMap<Step, f64>,
    /// Tables, in the order in which they were found.
    pub tables: Vec<TableReceipt>,
    /// Files.
    pub files: Vec<FileReceipt>,
    /// Tables and columns that were added to the dataset: `table` or `table.column`.
    pub schema_changes: Vec<String>,
    /// The version of the schema after the load.
    pub schema_version: Option<u64>,
    /// Rows that could not be loaded and were set aside, by table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAsideRows>,
    /// The folder of the package, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PathBuf>,
    /// The digest of the manifest.
    pub digest: Option<Sha256Hex>,
    /// The value of the fence under which it was published.
    pub epoch: Option<Epoch>,
    /// Whether all its tables became visible in one step, once they are visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub atomic: Option<bool>,
    /// What the jobs and the publication of this run have used of the destination, where it tells.
    #[serde(default, skip_serializing_if = "Usage::is_empty")]
    pub usage: Usage,
    /// What stopped nothing and should be known.
    pub warnings: Vec<String>,
    /// Why it is not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl Receipt {
    /// Rows that were set aside, of all tables.
    pub fn rows_set_aside(&self) -> u64 {
        self.set_aside.iter().map(|table| table.rows).sum()
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = self.load_id.as_ref().map_or("(none)", LoadId::as_str);
        let what = match self.status {
            LoadStatus::Loaded => "loaded",
            LoadStatus::Pending => "pending",
            LoadStatus::Failed => "failed",
        };
        write!(f, "load {load} of pipeline {}: {what}", self.pipeline)?;
        if self.resumed {
            f.write_str(" (begun by an earlier run)")?;
        }
        write!(f, "\n  into dataset {} on {}", self.dataset, self.destination.name)?;
        if let Some(staging) = &self.staging {
            write!(f, " through {}", staging.name)?;
        }
        if let Some(format) = self.format {
            write!(f, ", as {format}")?;
        }
        let width = self.tables.iter().map(|table| table.table.chars().count()).max().unwrap_or(0);
        for table in &self.tables {
            write!(
                f,
                "\n  {:<width$}  {:>9} rows  {:>3} {}  {}",
                table.table,
                table.rows,
                table.files,
                if table.files == 1 { "file " } else { "files" },
                table.write_disposition,
            )?;
        }
        if !self.schema_changes.is_empty() {
            write!(f, "\n  schema version {}:", self.schema_version.unwrap_or_default())?;
            let tables = self.schema_changes.iter().filter(|change| !change.contains('.')).count();
            write!(f, " {tables} tables and {} columns added", self.schema_changes.len() - tables)?;
        }
        for aside in &self.set_aside {
            let codes: Vec<String> =
                aside.codes.iter().map(|(code, rows)| format!("{code} {rows}")).collect();
            write!(
                f,
                "\n  {:<width$}  {:>9} rows  set aside ({}): {}",
                aside.table,
                aside.rows,
                codes.join(", "),
                self.package.as_deref().unwrap_or(Path::new("")).join(&aside.reasons).display(),
            )?;
        }
        if self.atomic == Some(false) {
            f.write_str("\n  its tables became visible one after another")?;
        }
        if !self.usage.is_empty() {
            write!(f, "\n  used: {}", self.usage)?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        Ok(())
    }
}

/// What a run did: the loads of earlier runs that it finished, then its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadInfo {
    /// The pipeline.
    pub pipeline: String,
    /// The loads, in the order in which they were published.
    pub loads: Vec<Receipt>,
}

impl fmt::Display for LoadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.loads.is_empty() {
            return write!(f, "pipeline {}: there was nothing to load", self.pipeline);
        }
        for (index, receipt) in self.loads.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{receipt}")?;
        }
        Ok(())
    }
}

/// A run that failed: why, and what it did until then.
#[derive(Debug)]
pub struct RunError {
    /// Why.
    pub error: transload_core::Error,
    /// What it did. The last receipt is that of the load that failed, where one was begun.
    pub info: Box<LoadInfo>,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<RunError> for transload_core::Error {
    fn from(failed: RunError) -> Self {
        failed.error
    }
}
