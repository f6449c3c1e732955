//! What a root table asks of its rows: how they get their ids, which columns are not theirs to give, and whether nested
//! rows carry the ids of their root.
//!
//! A nested table that hints made one of its own is a root in this sense too.
//!
//! Source: dlt, `get_root_row_id_type` and `requires_root_key`.

use serde_json::Value as Json;
use transload_core::{
    Column, Error, ErrorKind, MergeStrategy, Result, Schema, Table, WriteDisposition,
};

use super::{Naming, SystemNames, has_seen};

/// How the rows of a root table get their ids.
#[derive(Debug, Default)]
pub(super) enum RootIds {
    #[default]
    Random,
    /// A hash of these columns, sorted: the same key gives the same id in each load.
    KeyHash(Vec<String>),
    /// A hash of the whole row, nested values included: the id is the version of the row.
    RowHash,
}

/// What a table asks of its rows. One that is linked to a parent asks nothing.
#[derive(Debug, Default)]
pub(super) struct RowPlan {
    pub(super) ids: RootIds,
    /// Whether rows are merged: none may lack a part of a key, whatever the columns say.
    pub(super) is_merged: bool,
    /// Whether two rows may have one id: a version of a row that was gone and comes back.
    pub(super) repeats_ids: bool,
    /// Columns that the destination fills, see [`is_filled_by_destination`].
    pub(super) filled: Vec<String>,
}

impl RowPlan {
    /// The plan of a table that is not linked to a parent.
    pub(super) fn of(schema: &Schema, table: &str, names: &SystemNames) -> Result<Self> {
        let Some(table) = schema.tables.get(table) else { return Ok(Self::default()) };
        let strategy = merge_strategy(table)?;
        let filled =
            table.columns.values().filter(|column| is_filled_by_destination(table, column));
        Ok(Self {
            ids: root_ids(table, strategy, names)?,
            is_merged: strategy.is_some(),
            repeats_ids: strategy == Some(MergeStrategy::Scd2),
            filled: filled.map(|column| column.name.clone()).collect(),
        })
    }

    /// The columns of which the row's id is made.
    pub(super) fn key_columns(&self) -> &[String] {
        match &self.ids {
            RootIds::KeyHash(columns) => columns,
            RootIds::Random | RootIds::RowHash => &[],
        }
    }
}

/// Whether the nested rows of a root table carry its rows' ids.
pub(super) fn propagates(schema: &Schema, table: &str, names: &SystemNames) -> Result<bool> {
    let strategy = match schema.tables.get(table) {
        Some(table) => merge_strategy(table)?,
        None => None,
    };
    let config = schema.normalizers.get("json").and_then(|json| json.get("config"));
    let setting =
        config.and_then(|config| config.get("root_key_propagation")).and_then(Json::as_bool);
    let stored = config
        .and_then(|config| config.get("propagation")?.get("tables")?.get(table)?.get(&names.row_id))
        .is_some();
    let needed = match (setting, strategy) {
        (Some(setting), _) => setting,
        (None, Some(strategy)) => strategy != MergeStrategy::Scd2 && !table.starts_with("_dlt"),
        (None, None) => false,
    };
    let has_root_key = |name: &&str| schema.tables.get(*name).is_some_and(has_root_key);
    Ok(needed || stored || schema.chain_of(table).iter().skip(1).any(has_root_key))
}

fn has_root_key(table: &Table) -> bool {
    !table.columns_with_hint("root_key").is_empty()
}

/// Whether rows are in a nested table that do not say which root they belong to. A column that must have a value cannot
/// be added to it any more: a merge finds its rows through those around them.
pub(super) fn lacks_root_key(schema: &Schema, table: &str) -> bool {
    has_seen(schema, table) && !schema.tables.get(table).is_some_and(has_root_key)
}

/// Looks whether the rows of a table can be merged as the schema asks, before any of them is read.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a strategy that there is not or that lacks a key.
pub(crate) fn check_merge(
    schema: &Schema,
    table: &str,
    naming: Naming,
    max_identifier_length: usize,
) -> Result<()> {
    let names = SystemNames::new(naming, max_identifier_length);
    RowPlan::of(schema, table, &names).map(drop)
}

/// Whether a column is in no file, since the destination fills it: the time from which and until which a row holds, where
/// rows are merged by `scd2`. The hints `x-valid-from` and `x-valid-to` say which it is.
pub(crate) fn is_filled_by_destination(table: &Table, column: &Column) -> bool {
    (column.has_hint("x-valid-from") || column.has_hint("x-valid-to"))
        && matches!(merge_strategy(table), Ok(Some(MergeStrategy::Scd2)))
}

/// Whether a column is part of a key of a table whose rows are merged: no row may lack it, whatever the column says. NULL
/// is equal to nothing, so that such a row would be there once more with each load.
pub(crate) fn is_key_of_merge(table: &Table, column: &Column) -> bool {
    table.write_disposition == Some(WriteDisposition::Merge) && is_key(column)
}

/// Whether a hint makes a column part of a key.
pub(super) fn is_key(column: &Column) -> bool {
    column.has_hint("primary_key") || column.has_hint("merge_key")
}

/// The strategy of a table that is merged; none for one that is not.
pub(crate) fn merge_strategy(table: &Table) -> Result<Option<MergeStrategy>> {
    if table.write_disposition != Some(WriteDisposition::Merge) {
        return Ok(None);
    }
    let Some(hint) = table.hints.get("x-merge-strategy") else {
        return Ok(Some(MergeStrategy::default()));
    };
    match serde_json::from_value(hint.clone()) {
        Ok(strategy) => Ok(Some(strategy)),
        Err(error) => Err(Error::new(ErrorKind::Configuration, "no such merge strategy")
            .with("table", &table.name)
            .with("strategy", hint)
            .with_hint("delete-insert, upsert, insert-only and scd2 are known")
            .with_source(error)),
    }
}

fn root_ids(
    table: &Table,
    strategy: Option<MergeStrategy>,
    names: &SystemNames,
) -> Result<RootIds> {
    let columns_with = |hint: &str| -> Vec<String> {
        table.columns_with_hint(hint).into_iter().map(str::to_owned).collect()
    };
    Ok(match strategy {
        Some(MergeStrategy::Upsert | MergeStrategy::InsertOnly) => {
            let mut columns = columns_with("primary_key");
            if columns.is_empty() {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "this merge strategy needs a primary key",
                )
                .with("table", &table.name)
                .with("strategy", table.hints.get("x-merge-strategy").unwrap_or(&Json::Null))
                .with_hint("name one with `--primary-key`, or merge with delete-insert"));
            }
            columns.sort();
            RootIds::KeyHash(columns)
        }
        Some(MergeStrategy::Scd2) => {
            let version = columns_with("x-row-version");
            if version.contains(&names.row_id) {
                RootIds::RowHash
            } else if version.is_empty() {
                RootIds::Random
            } else {
                // dlt takes random ids here, and so its nested rows come anew with each load of an unchanged row.
                RootIds::KeyHash(version)
            }
        }
        Some(MergeStrategy::DeleteInsert) | None => RootIds::Random,
    })
}
