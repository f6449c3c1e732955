//! Schemas: tables, columns and their types, in the form in which dlt stores them.
//!
//! What Transload does not interpret (`x-…` hints, settings, normalisers) is kept as it was found, so that a schema
//! that dlt wrote comes back to dlt with nothing missing.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha3::{Digest as _, Sha3_256};

use crate::{Error, ErrorKind, Result};

/// The version of dlt's schema format that is read and written.
pub const SCHEMA_ENGINE_VERSION: u32 = 11;

/// The type of a column, in dlt's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// UTF-8 text; the precision is a length.
    Text,
    /// IEEE 754 double precision.
    Double,
    /// True or false.
    Bool,
    /// A point in time, or a local date and time where `timezone` is false; the precision is a number of decimals of
    /// the second.
    Timestamp,
    /// A signed integer; the precision is a number of bits, 64 where none is given.
    Bigint,
    /// Bytes; the precision is a length.
    Binary,
    /// A JSON value.
    Json,
    /// An exact decimal number with precision and scale.
    Decimal,
    /// An integer of up to 256 bits.
    Wei,
    /// A calendar date.
    Date,
    /// A time of day; the precision is a number of decimals of the second.
    Time,
}

impl DataType {
    /// Every type.
    pub const ALL: [Self; 11] = [
        Self::Text,
        Self::Double,
        Self::Bool,
        Self::Timestamp,
        Self::Bigint,
        Self::Binary,
        Self::Json,
        Self::Decimal,
        Self::Wei,
        Self::Date,
        Self::Time,
    ];

    /// The name in schemas and in variant columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Double => "double",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
            Self::Bigint => "bigint",
            Self::Binary => "binary",
            Self::Json => "json",
            Self::Decimal => "decimal",
            Self::Wei => "wei",
            Self::Date => "date",
            Self::Time => "time",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a load does with the rows that a table holds already.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum WriteDisposition {
    /// The table is not loaded.
    Skip,
    /// Rows are added.
    #[default]
    Append,
    /// The table holds the rows of this load alone.
    Replace,
    /// Rows take the place of those with the same key.
    Merge,
}

impl WriteDisposition {
    /// The name in schemas and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Merge => "merge",
        }
    }
}

impl fmt::Display for WriteDisposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How `merge` merges.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum MergeStrategy {
    /// Rows with a key of this load are deleted, then the rows of this load are inserted.
    #[default]
    DeleteInsert,
    /// Rows with a known primary key are updated, others inserted.
    Upsert,
    /// Rows with a known primary key are left alone, others inserted.
    InsertOnly,
    /// Changed rows are closed and opened anew, with the time from which and until which they hold.
    Scd2,
}

/// How `replace` replaces.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReplaceStrategy {
    /// The table is emptied and the rows are loaded into it.
    #[default]
    TruncateAndInsert,
    /// The rows are loaded into the staging dataset and take the table's place from there.
    InsertFromStaging,
    /// As the one before, by the fastest way that the engine has.
    StagingOptimized,
}

/// One column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The name, normalised.
    pub name: String,
    /// The type. A column without one is incomplete: known by a hint, not yet seen in data, and never created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_type: Option<DataType>,
    /// Whether it may be NULL.
    #[serde(default = "yes")]
    pub nullable: bool,
    /// Length, digits, bits or decimals of the second, by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<u32>,
    /// Digits after the decimal point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// `Some(false)` for a timestamp without time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<bool>,
    /// Bytes of its longest text in the rows of a load, where they were measured. It is told when the dataset is brought to
    /// the schema, and no part of the schema: it is neither stored nor compared by the hash.
    #[serde(skip)]
    pub longest: Option<u64>,
    /// All other hints: `primary_key`, `unique`, `row_key`, `variant`, `description`, `x-…`.
    #[serde(flatten)]
    pub hints: BTreeMap<String, Value>,
}

fn yes() -> bool {
    true
}

impl Column {
    /// A nullable column.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type: Some(data_type),
            nullable: true,
            precision: None,
            scale: None,
            timezone: None,
            longest: None,
            hints: BTreeMap::new(),
        }
    }

    /// The same column, NOT NULL.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.nullable = false;
        self
    }

    /// The same column with a precision.
    #[must_use]
    pub fn with_precision(mut self, precision: u32) -> Self {
        self.precision = Some(precision);
        self
    }

    /// The same column with a hint set to true.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.hints.insert(hint.to_owned(), Value::Bool(true));
        self
    }

    /// Whether a hint stands and is not false.
    pub fn has_hint(&self, hint: &str) -> bool {
        !matches!(self.hints.get(hint), None | Some(Value::Bool(false) | Value::Null))
    }

    /// Whether a timestamp of this column is a point in time.
    pub fn has_timezone(&self) -> bool {
        self.timezone != Some(false)
    }
}

/// One table of a [`Schema`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The name, normalised.
    pub name: String,
    /// Columns by name, in their order.
    #[serde(default)]
    pub columns: IndexMap<String, Column>,
    /// Set on root tables; nested tables inherit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_disposition: Option<WriteDisposition>,
    /// The table in which this one is nested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The resource whose rows the root table holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// All other hints: `description`, `file_format`, `schema_contract`, `x-…`.
    #[serde(flatten)]
    pub hints: BTreeMap<String, Value>,
}

impl Table {
    /// A root table without columns.
    pub fn root(name: impl Into<String>, disposition: WriteDisposition) -> Self {
        let name = name.into();
        Self {
            resource: Some(name.clone()),
            name,
            columns: IndexMap::new(),
            write_disposition: Some(disposition),
            parent: None,
            hints: BTreeMap::new(),
        }
    }

    /// A table nested in `parent`, without columns.
    pub fn nested(name: impl Into<String>, parent: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            columns: IndexMap::new(),
            write_disposition: None,
            parent: Some(parent.into()),
            resource: None,
            hints: BTreeMap::new(),
        }
    }

    /// Adds a column at the end, or puts it in the place of the one of its name.
    pub fn put(&mut self, column: Column) {
        self.columns.insert(column.name.clone(), column);
    }

    /// The columns that have a type, in their order.
    pub fn complete_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.values().filter(|column| column.data_type.is_some())
    }

    /// The names of the columns with this hint, in their order.
    pub fn columns_with_hint(&self, hint: &str) -> Vec<&str> {
        self.columns
            .values()
            .filter(|column| column.has_hint(hint))
            .map(|column| column.name.as_str())
            .collect()
    }
}

/// The tables of a pipeline, with the version that says when they changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Counts the changes that were stored.
    pub version: u64,
    /// The hash of the content, see [`Schema::content_hash`].
    #[serde(default)]
    pub version_hash: String,
    /// The version of the format: [`SCHEMA_ENGINE_VERSION`].
    pub engine_version: u32,
    /// The name, by default the pipeline's without a trailing `_pipeline`.
    pub name: String,
    /// Tables by name, in the order in which they were found.
    pub tables: IndexMap<String, Table>,
    /// Detections, default hints, preferred types, the contract.
    #[serde(default)]
    pub settings: Value,
    /// The naming convention and the configuration of the normaliser.
    #[serde(default)]
    pub normalizers: Value,
    /// Earlier hashes, the newest first, ten at most.
    #[serde(default)]
    pub previous_hashes: Vec<String>,
    /// What else was found: `description`, `imported_version_hash`.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Schema {
    /// Reads a stored schema.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where the text is no schema, or one of a format that is not understood.
    pub fn from_json(text: &str) -> Result<Self> {
        let schema: Self = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::Terminal, "the stored schema cannot be read").with_source(error)
        })?;
        if schema.engine_version != SCHEMA_ENGINE_VERSION {
            return Err(Error::new(
                ErrorKind::Terminal,
                "the stored schema has a format that is not understood",
            )
            .with("schema", &schema.name)
            .with("format", schema.engine_version)
            .with("understood", SCHEMA_ENGINE_VERSION)
            .with_hint("load once with a current dlt, which brings the schema to this format"));
        }
        Ok(schema)
    }

    /// The schema as it is stored in `_dlt_version`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a schema has only text keys")
    }

    /// dlt's hash of the content: SHA3-256 over the JSON with sorted keys, without the versions, and then over table
    /// names (sorted) and column names (in their order), in base64. So the order of columns counts, that of tables
    /// does not.
    ///
    /// Source: dlt, `generate_version_hash`.
    pub fn content_hash(&self) -> String {
        let mut value = serde_json::to_value(self).expect("a schema has only text keys");
        if let Some(map) = value.as_object_mut() {
            for key in ["version", "version_hash", "imported_version_hash", "previous_hashes"] {
                map.remove(key);
            }
        }
        let mut hash = Sha3_256::new();
        hash.update(canonical_json(&value).as_bytes());
        let mut tables: Vec<&Table> = self.tables.values().collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        for table in tables {
            hash.update(table.name.as_bytes());
            for column in table.columns.keys() {
                hash.update(column.as_bytes());
            }
        }
        base64::engine::general_purpose::STANDARD.encode(hash.finalize())
    }

    /// Brings version and hash up to date with the content. Returns whether the content had changed.
    pub fn bump(&mut self) -> bool {
        let hash = self.content_hash();
        if hash == self.version_hash {
            return false;
        }
        if !self.version_hash.is_empty() {
            self.previous_hashes.insert(0, std::mem::take(&mut self.version_hash));
            self.previous_hashes.truncate(10);
            self.version += 1;
        }
        self.version_hash = hash;
        true
    }

    /// The root of the chain in which a table stands: itself where it is not nested.
    pub fn root_of<'s>(&'s self, table: &'s str) -> &'s str {
        let mut name = table;
        // A chain is never longer than the number of tables; the bound keeps a damaged schema from looping.
        for _ in 0..self.tables.len() {
            match self.tables.get(name).and_then(|table| table.parent.as_deref()) {
                Some(parent) => name = parent,
                None => break,
            }
        }
        name
    }

    /// The tables of the chain of `root`: itself first, then those nested in it, parents before children.
    pub fn chain_of(&self, root: &str) -> Vec<&str> {
        let mut chain = Vec::new();
        let mut queue = std::collections::VecDeque::from([root]);
        while let Some(name) = queue.pop_front() {
            if let Some(table) = self.tables.get(name) {
                chain.push(table.name.as_str());
                queue.extend(
                    self.tables
                        .values()
                        .filter(|t| t.parent.as_deref() == Some(name))
                        .map(|t| t.name.as_str()),
                );
            }
        }
        chain
    }

    /// The disposition of a table: its own, or that of the root of its chain.
    pub fn disposition_of(&self, table: &str) -> WriteDisposition {
        let own = self.tables.get(table).and_then(|table| table.write_disposition);
        own.or_else(|| self.tables.get(self.root_of(table)).and_then(|root| root.write_disposition))
            .unwrap_or_default()
    }
}

/// JSON with sorted keys and no blanks: the same text for the same value, whatever order it was built in.
///
/// Used wherever a value is hashed. Numbers and texts are written as `serde_json` writes them.
pub fn canonical_json(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort_unstable();
                out.push('{');
                for (index, key) in keys.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    write(&map[key], out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            scalar => out.push_str(&scalar.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DLT: &str = include_str!("../tests/data/dlt-schema.json");

    #[test]
    fn the_hash_is_the_one_that_dlt_computes() {
        let schema = Schema::from_json(DLT).unwrap();
        assert_eq!(schema.version_hash, "Fpd8yYeaCPIsku6UpAj6Owkmbn3IjRlpeB/w5+spQ9U=");
        assert_eq!(schema.content_hash(), schema.version_hash);
    }

    #[test]
    fn a_schema_of_dlt_comes_back_with_nothing_missing() {
        let schema = Schema::from_json(DLT).unwrap();
        let before: Value = serde_json::from_str(DLT).unwrap();
        let after: Value = serde_json::from_str(&schema.to_json()).unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn the_order_of_columns_counts_and_that_of_tables_does_not() {
        let schema = Schema::from_json(DLT).unwrap();
        let mut other_tables = schema.clone();
        other_tables.tables.reverse();
        assert_eq!(other_tables.content_hash(), schema.content_hash());
        let mut other_columns = schema.clone();
        other_columns.tables["players"].columns.reverse();
        assert_ne!(other_columns.content_hash(), schema.content_hash());
    }

    #[test]
    fn a_bump_counts_changes_and_keeps_earlier_hashes() {
        let mut schema = Schema::from_json(DLT).unwrap();
        assert!(!schema.bump());
        schema.tables["players"].put(Column::new("born", DataType::Date));
        assert!(schema.bump());
        assert_eq!(schema.version, 3);
        assert_eq!(schema.previous_hashes[0], "Fpd8yYeaCPIsku6UpAj6Owkmbn3IjRlpeB/w5+spQ9U=");
        assert!(!schema.bump());
    }

    #[test]
    fn a_chain_is_a_root_and_what_is_nested_in_it() {
        let schema = Schema::from_json(DLT).unwrap();
        assert_eq!(schema.chain_of("players"), ["players", "players__l", "players__m"]);
        assert_eq!(schema.root_of("players__m"), "players");
        assert_eq!(schema.disposition_of("players__m"), WriteDisposition::Replace);
    }

    #[test]
    fn a_newer_format_is_refused() {
        let newer = DLT.replace("\"engine_version\": 11", "\"engine_version\": 12");
        let error = Schema::from_json(&newer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal);
        assert_eq!(error.context("format"), Some("12"));
    }
}
