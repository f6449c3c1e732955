//! What a root table asks of its rows: how they get their ids, and whether nested rows carry these.
//!
//! Source: dlt, `get_root_row_id_type` and `requires_root_key`.

use serde_json::Value as Json;
use transload_core::{Error, ErrorKind, MergeStrategy, Result, Schema, Table, WriteDisposition};

use super::SystemNames;
use super::layout::Role;

/// How the rows of a root table get their ids.
#[derive(Debug)]
pub(super) enum RootIds {
    Random,
    /// A hash of these columns, sorted: the same key gives the same id in each load.
    KeyHash(Vec<String>),
    /// A hash of the whole row, nested values included: the id is the version of the row.
    RowHash,
}

#[derive(Debug)]
pub(super) struct RootPlan {
    pub(super) ids: RootIds,
    /// Whether nested rows carry the id of their root row.
    pub(super) propagates: bool,
}

impl RootPlan {
    pub(super) fn of(schema: &Schema, table: &str, names: &SystemNames) -> Result<Self> {
        let strategy = match schema.tables.get(table) {
            Some(table) => merge_strategy(table)?,
            None => None,
        };
        let config = schema.normalizers.get("json").and_then(|json| json.get("config"));
        let setting =
            config.and_then(|config| config.get("root_key_propagation")).and_then(Json::as_bool);
        let stored = config
            .and_then(|config| {
                config.get("propagation")?.get("tables")?.get(table)?.get(&names.row_id)
            })
            .is_some();
        let needed = match (setting, strategy) {
            (Some(setting), _) => setting,
            (None, Some(strategy)) => strategy != MergeStrategy::Scd2 && !table.starts_with("_dlt"),
            (None, None) => false,
        };
        let has_root_key = |name: &&str| {
            schema
                .tables
                .get(*name)
                .is_some_and(|table| !table.columns_with_hint("root_key").is_empty())
        };
        let chain = schema.chain_of(table);
        Ok(Self {
            ids: root_ids(schema.tables.get(table), strategy, names)?,
            propagates: needed || stored || chain.iter().skip(1).any(has_root_key),
        })
    }

    /// The columns of which the row's id is made.
    pub(super) fn key_columns(&self) -> &[String] {
        match &self.ids {
            RootIds::KeyHash(columns) => columns,
            RootIds::Random | RootIds::RowHash => &[],
        }
    }

    /// What a key of the input stands for, by its normalised name.
    pub(super) fn role(
        &self,
        names: &SystemNames,
        name: &str,
        in_root: bool,
        is_unlinked: bool,
    ) -> Role {
        let is_ours = if is_unlinked {
            name == names.load_id
        } else {
            name == names.parent_id || name == names.list_index
        };
        if name == names.row_id {
            Role::RowId
        } else if is_ours || (!in_root && self.propagates && name == names.root_id) {
            Role::Ours
        } else if let Some(part) =
            self.key_columns().iter().position(|column| in_root && column == name)
        {
            Role::Key(part as u32)
        } else {
            Role::Data
        }
    }
}

/// The strategy of a table that is merged; none for one that is not.
fn merge_strategy(table: &Table) -> Result<Option<MergeStrategy>> {
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
    table: Option<&Table>,
    strategy: Option<MergeStrategy>,
    names: &SystemNames,
) -> Result<RootIds> {
    match (table, strategy) {
        (Some(table), Some(MergeStrategy::Upsert | MergeStrategy::InsertOnly)) => {
            let mut columns: Vec<String> =
                table.columns_with_hint("primary_key").into_iter().map(str::to_owned).collect();
            if columns.is_empty() {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "this merge strategy needs a primary key",
                )
                .with("table", &table.name)
                .with_hint("name one with `--primary-key`, or merge with delete-insert"));
            }
            columns.sort();
            Ok(RootIds::KeyHash(columns))
        }
        (Some(table), Some(MergeStrategy::Scd2)) => {
            let row_version = table.columns_with_hint("x-row-version");
            Ok(if row_version.first() == Some(&names.row_id.as_str()) {
                RootIds::RowHash
            } else {
                RootIds::Random
            })
        }
        _ => Ok(RootIds::Random),
    }
}
