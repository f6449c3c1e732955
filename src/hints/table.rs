//! What hints say of one table, with its names normalised.
//!
//! Source: dlt, `DltResourceHints._hints_to_table_schema`, `normalize_table_identifiers`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Value, json};
use transload_core::{DataType, Error, ErrorKind, MergeStrategy, Result, WriteDisposition};

use super::Names;
use super::declared::{ColumnHints, MergeOptions, TableHints};
use crate::contract;
use crate::normalize::moment;

/// A part of a schema that is to be merged into it.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) name: String,
    pub(super) parent: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) write_disposition: Option<WriteDisposition>,
    /// Hints of the table; without a value, what was stored is removed.
    pub(super) hints: BTreeMap<&'static str, Option<Value>>,
    pub(super) own_hints: Vec<(String, Value)>,
    pub(super) references: Vec<Value>,
    pub(super) columns: IndexMap<String, ColumnHints>,
}

const TABLE_FORMATS: [&str; 4] = ["iceberg", "delta", "hive", "native"];

/// The names of the columns of `scd2`, where no others are given.
const VALIDITY: [&str; 2] = ["_dlt_valid_from", "_dlt_valid_to"];

/// Takes the hints of a table together.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a hint that is wrong or contradicts another.
pub(super) fn partial(name: String, hints: &TableHints, names: Names) -> Result<Partial> {
    let mut columns: IndexMap<String, ColumnHints> = IndexMap::new();
    for column in &hints.columns {
        column.check()?;
        columns.insert(column.name.clone(), column.clone());
    }
    put_key(&mut columns, "primary_key", &hints.primary_key);
    put_key(&mut columns, "merge_key", &hints.merge_key);
    if let Some(name) = &hints.incremental {
        let column = columns.entry(name.clone()).or_insert_with(|| ColumnHints::new(name));
        column.hints.insert("incremental".to_owned(), json!(true));
    }
    let is_scd2 = hints.merge_strategy == Some(MergeStrategy::Scd2);
    check_merge(hints, is_scd2)?;
    if is_scd2 {
        put_scd2(&mut columns, &hints.merge);
    }
    let mut table_hints = BTreeMap::from([
        ("x-merge-strategy", hints.merge_strategy.map(|strategy| json!(strategy))),
        ("x-replace-strategy", hints.replace_strategy.map(|strategy| json!(strategy))),
        (
            "x-stage-data-deduplicated",
            hints.merge.deduplicated.filter(|deduplicated| *deduplicated).map(Value::from),
        ),
        (
            "x-boundary-timestamp",
            hints.merge.boundary_timestamp.as_deref().and_then(moment).map(Value::from),
        ),
    ]);
    if let Some(contract) = hints.schema_contract {
        table_hints.insert(contract::HINT, Some(contract.to_value()));
    }
    if let Some(format) = &hints.table_format {
        if !TABLE_FORMATS.contains(&&**format) {
            return Err(Error::new(ErrorKind::Configuration, "there is no such table format")
                .with("table format", format)
                .with_hint(format!("the formats are {}", TABLE_FORMATS.join(", "))));
        }
        table_hints.insert("table_format", Some(Value::from(format.as_str())));
    }
    for hint in hints.hints.keys() {
        if hint != "description" && !hint.starts_with("x-") {
            return Err(Error::new(ErrorKind::Configuration, "there is no such table hint")
                .with("hint", hint)
                .with_hint("hints of your own begin with `x-`"));
        }
    }
    let mut references = Vec::new();
    for reference in &hints.references {
        reference.check()?;
        let mut reference = reference.clone();
        reference.referenced_table = names.table(&reference.referenced_table);
        for column in reference.columns.iter_mut().chain(&mut reference.referenced_columns) {
            *column = names.of(column);
        }
        references.push(json!(reference));
    }
    Ok(Partial {
        name,
        parent: None,
        resource: None,
        write_disposition: hints.write_disposition,
        hints: table_hints,
        own_hints: hints.hints.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        references,
        columns: normalised(columns, names)?,
    })
}

/// Columns under their normalised names. What two say of one is taken together, the later one first.
fn normalised(
    columns: IndexMap<String, ColumnHints>,
    names: Names,
) -> Result<IndexMap<String, ColumnHints>> {
    let mut normalised: IndexMap<String, ColumnHints> = IndexMap::new();
    for (raw, mut column) in columns {
        column.name = names.of(&raw);
        if column.name.is_empty() {
            return Err(Error::new(ErrorKind::Configuration, "a column needs a name")
                .with("column", format!("{raw:?}")));
        }
        match normalised.get_mut(&column.name) {
            Some(before) => {
                before.data_type = column.data_type.or(before.data_type);
                before.nullable = match (before.nullable, column.nullable) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (before, given) => given.or(before),
                };
                before.precision = column.precision.or(before.precision);
                before.scale = column.scale.or(before.scale);
                before.timezone = column.timezone.or(before.timezone);
                before.hints.extend(column.hints);
            }
            None => drop(normalised.insert(column.name.clone(), column)),
        }
    }
    Ok(normalised)
}

/// A key of the table goes before the flags of its columns; an empty one says nothing.
fn put_key(columns: &mut IndexMap<String, ColumnHints>, hint: &str, key: &[String]) {
    if key.is_empty() {
        return;
    }
    for column in columns.values_mut() {
        column.hints.remove(hint);
    }
    for name in key {
        let column = columns.entry(name.clone()).or_insert_with(|| ColumnHints::new(name));
        column.nullable.get_or_insert(false);
        column.hints.insert(hint.to_owned(), json!(true));
    }
}

fn put_scd2(columns: &mut IndexMap<String, ColumnHints>, options: &MergeOptions) {
    let [from, to] = options.validity_column_names.clone().unwrap_or(VALIDITY.map(str::to_owned));
    let active = options.active_record_timestamp.as_deref().and_then(moment);
    let moment = |name: &str| ColumnHints::new(name).data_type(DataType::Timestamp).nullable(true);
    for column in [
        moment(&from).hint("x-valid-from", true),
        moment(&to)
            .hint("x-valid-to", true)
            .hint("x-active-record-timestamp", active.map_or(Value::Null, Value::from)),
    ] {
        columns.insert(column.name.clone(), column);
    }
    let row_version = options.row_version_column_name.as_deref().unwrap_or("_dlt_id");
    let column =
        columns.entry(row_version.to_owned()).or_insert_with(|| ColumnHints::new(row_version));
    column.nullable = Some(false);
    // A row that was deleted and comes back has the version that it had.
    for (hint, value) in [("x-row-version", true), ("unique", false), ("row_key", false)] {
        column.hints.insert(hint.to_owned(), json!(value));
    }
}

fn check_merge(hints: &TableHints, is_scd2: bool) -> Result<()> {
    let refused = |message: &'static str| Error::new(ErrorKind::Configuration, message);
    let options = &hints.merge;
    let merges = hints.write_disposition == Some(WriteDisposition::Merge);
    if (hints.merge_strategy.is_some() || options.deduplicated.is_some()) && !merges {
        return Err(refused("a strategy of merging needs the write disposition merge")
            .with("write disposition", hints.write_disposition.unwrap_or_default())
            .with_hint("give `--write-disposition merge`, or leave the strategy out"));
    }
    let of_scd2 = [
        ("validity_column_names", options.validity_column_names.is_some()),
        ("active_record_timestamp", options.active_record_timestamp.is_some()),
        ("boundary_timestamp", options.boundary_timestamp.is_some()),
        ("row_version_column_name", options.row_version_column_name.is_some()),
    ];
    if let Some((key, _)) = of_scd2.iter().find(|(_, given)| *given && !is_scd2) {
        return Err(refused("this is for the merge strategy scd2 alone")
            .with("key", key)
            .with_hint("give `strategy = \"scd2\"` as well, or leave it out"));
    }
    if let Some([from, to]) = &options.validity_column_names
        && from == to
    {
        return Err(refused("the validity columns need two names").with("column", from));
    }
    for (key, text) in [
        ("active_record_timestamp", &options.active_record_timestamp),
        ("boundary_timestamp", &options.boundary_timestamp),
    ] {
        if let Some(text) = text
            && moment(text).is_none()
        {
            return Err(refused("a timestamp cannot be read")
                .with("key", key)
                .with("value", text)
                .with_hint("write it as 2024-01-31T00:00:00Z"));
        }
    }
    Ok(())
}
