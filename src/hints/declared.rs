//! What a user can say of tables and columns beforehand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use transload_core::{
    Column, DataType, Error, ErrorKind, MergeStrategy, ReplaceStrategy, Result, WriteDisposition,
};

use crate::contract::SchemaContract;

/// What is known of a column before its data is read. What is left open is taken from the data, or stays as it was
/// stored by an earlier load.
///
/// ```
/// use transload::{ColumnHints, DataType, Resource};
///
/// let orders = Resource::files("orders", ["orders.jsonl"]).columns([
///     ColumnHints::new("id").data_type(DataType::Bigint).hint("primary_key", true),
///     ColumnHints::new("price").data_type(DataType::Decimal).precision(10).scale(2),
///     ColumnHints::new("updated_at").hint("dedup_sort", "desc").description("when it was last changed"),
/// ]);
/// # let _ = orders;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnHints {
    pub(crate) name: String,
    pub(crate) data_type: Option<DataType>,
    pub(crate) nullable: Option<bool>,
    pub(crate) precision: Option<u32>,
    pub(crate) scale: Option<u32>,
    pub(crate) timezone: Option<bool>,
    pub(crate) hints: BTreeMap<String, Value>,
}

/// Hints that are true or false.
const FLAGS: [&str; 12] = [
    "primary_key",
    "merge_key",
    "unique",
    "sort",
    "cluster",
    "partition",
    "hard_delete",
    "incremental",
    "variant",
    "row_key",
    "parent_key",
    "root_key",
];

impl ColumnHints {
    /// A column of which nothing is known but its name, which is normalised like the keys of the data.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Its type.
    #[must_use]
    pub fn data_type(mut self, data_type: DataType) -> Self {
        self.data_type = Some(data_type);
        self
    }

    /// Whether it may be NULL.
    #[must_use]
    pub fn nullable(mut self, nullable: bool) -> Self {
        self.nullable = Some(nullable);
        self
    }

    /// Length, digits, bits or decimals of the second, by type.
    #[must_use]
    pub fn precision(mut self, precision: u32) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Digits after the decimal point.
    #[must_use]
    pub fn scale(mut self, scale: u32) -> Self {
        self.scale = Some(scale);
        self
    }

    /// Whether a timestamp is a point in time, as it is by default, or a local date and time.
    #[must_use]
    pub fn timezone(mut self, timezone: bool) -> Self {
        self.timezone = Some(timezone);
        self
    }

    /// What it holds, in words.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.hint("description", text.into())
    }

    /// Another hint: `primary_key`, `merge_key`, `unique`, `sort`, `cluster`, `partition`, `hard_delete`, `incremental` or
    /// `variant`, which are true or false; `dedup_sort`, which is `asc` or `desc`; `description`; and anything that begins
    /// with `x-`.
    #[must_use]
    pub fn hint(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.hints.insert(name.into(), value.into());
        self
    }

    /// # Errors
    /// [`ErrorKind::Configuration`] for a hint that does not exist or cannot have its value.
    pub(super) fn check(&self) -> Result<()> {
        for (hint, value) in &self.hints {
            let name = hint.as_str();
            let expected = match (name, value) {
                (_, Value::Bool(_) | Value::Null) if FLAGS.contains(&name) => continue,
                ("dedup_sort", Value::String(order)) if ["asc", "desc"].contains(&&**order) => {
                    continue;
                }
                ("dedup_sort", Value::Bool(false) | Value::Null) => continue,
                ("description", Value::String(_) | Value::Null) => continue,
                (name, _) if name.starts_with("x-") => continue,
                (name, _) if FLAGS.contains(&name) => "true or false".to_owned(),
                ("dedup_sort", _) => "asc or desc".to_owned(),
                ("description", _) => "a text".to_owned(),
                _ => {
                    let known = FLAGS[..9].join(", ");
                    return Err(Error::new(ErrorKind::Configuration, "there is no such column hint")
                        .with("column", &self.name)
                        .with("hint", hint)
                        .with_hint(format!(
                            "the hints are {known}, dedup_sort, description and your own, which begin with `x-`"
                        )));
                }
            };
            return Err(Error::new(ErrorKind::Configuration, "a column hint has a wrong value")
                .with("column", &self.name)
                .with("hint", hint)
                .with("value", value)
                .with_hint(format!("give {expected}")));
        }
        Ok(())
    }
}

impl From<Column> for ColumnHints {
    fn from(column: Column) -> Self {
        Self {
            name: column.name,
            data_type: column.data_type,
            // A column that may be NULL is what there is when nothing is said.
            nullable: (!column.nullable).then_some(false),
            precision: column.precision,
            scale: column.scale,
            timezone: column.timezone,
            hints: column.hints,
        }
    }
}

/// How a merge goes, beyond its strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeOptions {
    /// Whether the rows of a load have no duplicates of a primary key already.
    pub deduplicated: Option<bool>,
    /// `scd2`: the columns with the time from which and until which a row holds. By default `_dlt_valid_from` and
    /// `_dlt_valid_to`.
    pub validity_column_names: Option<[String; 2]>,
    /// `scd2`: what stands in the second of them while a row holds. By default NULL.
    pub active_record_timestamp: Option<String>,
    /// `scd2`: the time at which rows of this load begin to hold. By default that of the load.
    pub boundary_timestamp: Option<String>,
    /// `scd2`: the column that tells one version of a row from another. By default `_dlt_id`, which is then a hash of the
    /// row.
    pub row_version_column_name: Option<String>,
}

/// Columns that stand for rows of another table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The other table.
    pub referenced_table: String,
    /// The columns of this table.
    pub columns: Vec<String>,
    /// Those of the other table, in the same order.
    pub referenced_columns: Vec<String>,
    /// What the relation is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How many rows there are on each side: `many_to_one`, `zero_to_many` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cardinality: Option<String>,
}

const CARDINALITIES: [&str; 8] = [
    "zero_to_one",
    "one_to_zero",
    "zero_to_many",
    "many_to_zero",
    "one_to_many",
    "many_to_one",
    "one_to_one",
    "many_to_many",
];

impl Reference {
    /// # Errors
    /// [`ErrorKind::Configuration`] where the columns of both sides do not pair up.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |reason: &'static str| {
            Error::new(ErrorKind::Configuration, "a reference to another table is wrong")
                .with("referenced table", &self.referenced_table)
                .with("reason", reason)
        };
        if self.referenced_table.trim().is_empty() {
            return Err(refused("it names no table"));
        }
        if self.columns.is_empty() || self.columns.len() != self.referenced_columns.len() {
            return Err(refused("it needs as many columns here as there"));
        }
        match &self.cardinality {
            Some(word) if !CARDINALITIES.contains(&&**word) => {
                Err(refused("there is no such cardinality")
                    .with("cardinality", word)
                    .with_hint(format!("there are {}", CARDINALITIES.join(", "))))
            }
            _ => Ok(()),
        }
    }
}

/// What is known of a table beforehand. A [`Resource`](crate::Resource) has the same for its own table; this is for those
/// that are nested in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableHints {
    pub(crate) write_disposition: Option<WriteDisposition>,
    pub(crate) merge_strategy: Option<MergeStrategy>,
    pub(crate) merge: MergeOptions,
    pub(crate) replace_strategy: Option<ReplaceStrategy>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) merge_key: Vec<String>,
    pub(crate) columns: Vec<ColumnHints>,
    pub(crate) schema_contract: Option<SchemaContract>,
    pub(crate) table_format: Option<String>,
    pub(crate) references: Vec<Reference>,
    pub(crate) hints: Map<String, Value>,
}

impl TableHints {
    /// A table of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// What happens to the rows that are there. Only a table that has a key of its own can have another disposition than
    /// the one around it.
    #[must_use]
    pub fn write_disposition(mut self, disposition: WriteDisposition) -> Self {
        self.write_disposition = Some(disposition);
        self
    }

    /// How `merge` merges.
    #[must_use]
    pub fn merge_strategy(mut self, strategy: MergeStrategy) -> Self {
        self.merge_strategy = Some(strategy);
        self
    }

    /// How a merge goes, beyond its strategy.
    #[must_use]
    pub fn merge_options(mut self, options: MergeOptions) -> Self {
        self.merge = options;
        self
    }

    /// The columns that tell one row from another. They make a nested table one of its own, which is not linked to the
    /// rows around it.
    #[must_use]
    pub fn primary_key(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.primary_key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Columns by which `merge` finds the rows to take the place of. They make a nested table one of its own.
    #[must_use]
    pub fn merge_key(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.merge_key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Columns that are known beforehand.
    #[must_use]
    pub fn columns(mut self, columns: impl IntoIterator<Item = impl Into<ColumnHints>>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the rows may change the schema of the table.
    #[must_use]
    pub fn schema_contract(mut self, contract: impl Into<SchemaContract>) -> Self {
        self.schema_contract = Some(contract.into());
        self
    }

    /// The format of the table at the destination: `iceberg`, `delta`, `hive` or `native`.
    #[must_use]
    pub fn table_format(mut self, format: impl Into<String>) -> Self {
        self.table_format = Some(format.into());
        self
    }

    /// Columns that stand for rows of other tables.
    #[must_use]
    pub fn references(mut self, references: impl IntoIterator<Item = Reference>) -> Self {
        self.references = references.into_iter().collect();
        self
    }

    /// What it holds, in words.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.hint("description", text.into())
    }

    /// A hint of your own, whose name begins with `x-`.
    #[must_use]
    pub fn hint(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.hints.insert(name.into(), value.into());
        self
    }
}
