//! What a destination and a staging destination can do, as plain data.
//!
//! What is not claimed is never asked, and the default claims nothing. Lists are in order of preference.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::{
    AccessKind, DataType, Error, ErrorKind, FileFormat, MergeStrategy, ReplaceStrategy, Result,
    WriteDisposition,
};

/// The kind of a storage, by the scheme of its URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StorageKind {
    /// Folders of this machine.
    Local,
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// Memory of this process.
    Memory,
}

impl StorageKind {
    /// The name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for StorageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a destination can do. Write it as `Capabilities { …, ..Capabilities::default() }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Formats of local files that it loads. Empty: it needs a staging destination.
    pub loads: Vec<FileFormat>,
    /// Storages from which it copies, with the formats and the ways in. Empty: it takes no staging destination.
    pub copies: Vec<CopySource>,
    /// Its copies read lists of files: the engine stages each [`CopyList`](crate::CopyList) of a job beside the files before
    /// the job runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copies_by_list: bool,
    /// Types that a format does not carry into this destination: a load that has one takes another format, or is refused
    /// before it is sealed.
    pub not_carried: Vec<(FileFormat, DataType)>,
    /// What it does with rows that are there already.
    pub write_dispositions: Vec<WriteDisposition>,
    /// How it merges.
    pub merge_strategies: Vec<MergeStrategy>,
    /// How it replaces.
    pub replace_strategies: Vec<ReplaceStrategy>,
    /// Publishing runs the load and copy jobs itself, inside its transaction, instead of finding their rows in staging
    /// tables.
    pub loads_in_publication: bool,
    /// All tables of a load become visible in one step.
    pub atomic_publication: bool,
    /// Tables that one publication may hold; `None` where there is no limit.
    pub max_tables_in_publication: Option<usize>,
    /// Columns that a table may have; `None` where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_columns: Option<usize>,
    /// How long a publication may be that is sent as one text; `None` where its steps are sent one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication_text: Option<PublicationText>,
    /// What names may look like.
    pub identifiers: IdentifierRules,
    /// Digits of a decimal before and after the point: precision and scale of a column that does not say.
    pub decimal: (u32, u32),
    /// The same for `wei`.
    pub wei: (u32, u32),
    /// Decimals of the second that a timestamp keeps.
    pub timestamp_precision: u32,
    /// Bytes of the longest statement; `None` where there is no limit.
    pub max_statement_bytes: Option<usize>,
    /// How literals are written, for `insert_values`. `None`: that format cannot be made.
    pub literals: Option<LiteralRules>,
    /// The size at which a file is cut, in bytes as written. `None`: the engine's own.
    pub file_bytes: Option<u64>,
    /// Files that it reads at a time, in one copy of a table: their number is then a multiple of this one, and they are
    /// about equal in size, where there are rows enough. `None`: any number is as good. Source: Amazon Redshift, "Loading
    /// data files".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<NonZeroUsize>,
    /// Whether columns of text that do not say how long they are get a size by their values: these are measured then, and
    /// [`Destination::native_type`](crate::Destination::native_type) finds their length in
    /// [`Column::longest`](crate::Column::longest).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sizes_text: bool,
    /// Rows of a row group of Parquet, at most; the engine also cuts it at a size that it can hold in memory. `None`: the
    /// engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_group_rows: Option<usize>,
    /// Jobs that may run at once. `None`: the engine's own limit.
    pub max_parallel_jobs: Option<usize>,
}

/// The text of a publication: all its statements together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationText {
    /// Bytes that it may have. The engine reckons them, and leaves some room.
    pub bytes: usize,
    /// Bytes that stand around the statement of each step.
    pub around_step: usize,
    /// Bytes that stand before the name of a dataset, wherever it is named.
    pub qualifier: usize,
    /// Bytes of the longest text in it, as [`Dialect::max_text_bytes`](crate::sql::Dialect::max_text_bytes) says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_value: Option<usize>,
}

/// A storage from which a destination copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopySource {
    /// The storage.
    pub storage: StorageKind,
    /// Formats that it copies from there.
    pub formats: Vec<FileFormat>,
    /// How it can be let in. A way that the destination brings along itself (a role, an integration, its own identity)
    /// is listed only where its settings hold it: the engine takes it at its word.
    pub access: Vec<AccessKind>,
}

/// How an engine treats the case of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierCase {
    /// `Name` and `name` are two names.
    #[default]
    Sensitive,
    /// They are one, and it is kept as it was written first.
    Insensitive,
    /// They are one, stored as `name`.
    Lower,
    /// They are one, stored as `NAME`.
    Upper,
}

/// What names may look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentifierRules {
    /// Case.
    pub case: IdentifierCase,
    /// Characters of the longest name of a table or dataset.
    pub max_table_length: usize,
    /// Characters of the longest name of a column.
    pub max_column_length: usize,
    /// Whether the engine counts bytes of UTF-8 instead of characters. Names are made within the lengths by their characters;
    /// one that is too long all the same is refused.
    pub in_bytes: bool,
}

impl IdentifierRules {
    /// Refuses a name of a dataset or table that is empty or too long.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub fn check_table(&self, name: &str) -> Result<()> {
        self.check(name, self.max_table_length)
    }

    /// Refuses a name of a column that is empty or too long.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub fn check_column(&self, name: &str) -> Result<()> {
        self.check(name, self.max_column_length)
    }

    fn check(&self, name: &str, longest: usize) -> Result<()> {
        let (unit, length) = match self.in_bytes {
            true => ("bytes", name.len()),
            false => ("characters", name.chars().count()),
        };
        if (1..=longest).contains(&length) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Configuration,
            "the destination cannot have a name of this length",
        )
        .with("name", name)
        .with(unit, length)
        .with("longest", longest)
        .with_hint("give the table, column or dataset another name"))
    }
}

impl Default for IdentifierRules {
    fn default() -> Self {
        Self {
            case: IdentifierCase::Sensitive,
            max_table_length: 63,
            max_column_length: 63,
            in_bytes: false,
        }
    }
}

/// How a destination writes the literals of `insert_values` files.
///
/// Numbers, booleans (`TRUE`, `FALSE`) and NULL are written alike everywhere. Dates, times and timestamps are quoted ISO
/// texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiteralRules {
    /// What stands before the opening quote of a text: `E` where backslashes escape only in such literals.
    pub text_prefix: String,
    /// Whether a backslash escapes in a text, so that it is doubled and line ends become `\n` and `\r`. Where it does
    /// not, `insert_values` cannot hold a row in a line, and readers must not split at line ends inside quotes.
    pub backslash_escapes: bool,
    /// What surrounds bytes.
    pub binary: BinaryLiteral,
    /// What surrounds the text of a JSON value, for example `json_parse(` and `)`.
    pub json: (String, String),
}

/// How bytes are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryLiteral {
    /// What stands before, with the opening quote.
    pub before: String,
    /// How the bytes are written.
    pub encoding: BinaryEncoding,
    /// What stands behind, with the closing quote.
    pub after: String,
}

/// How bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryEncoding {
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// What a staging destination can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagingCapabilities {
    /// The storage behind it.
    pub storage: StorageKind,
    /// Formats that it takes. Almost always all of them: to a store they are bytes.
    pub formats: Vec<FileFormat>,
    /// The ways in that it can give.
    pub access: Vec<AccessKind>,
    /// Uploads that may run at once. `None`: the engine's own limit.
    pub max_parallel_uploads: Option<usize>,
}
