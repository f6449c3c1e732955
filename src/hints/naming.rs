//! By which convention the tables of a schema are named, and what happens when that changes.
//!
//! Source: dlt, `Schema._verify_update_normalizers`.

use indexmap::IndexMap;
use serde_json::Value;
use transload_core::{Error, ErrorKind, Result, Schema, Table};

use super::Names;
use crate::contract::is_system;
use crate::normalize::Naming;

/// Takes names apart at the separator, or not: see [`Naming::Contracting`].
pub(super) const BREAK_PATH: &str = "use_break_path_on_normalize";
/// Lets the convention change though tables have data.
pub(super) const ALLOW_CHANGE: &str = "allow_identifier_change_on_table_with_data";

/// The naming convention of a schema. Where another one is asked for and no table has data, the tables are named anew.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for one that is not known here; [`ErrorKind::Configuration`] where another is asked for
/// than the one by which tables with data were named, and that is not allowed.
pub(super) fn choose(
    schema: &mut Schema,
    asked: Option<Naming>,
    max_length: usize,
) -> Result<Naming> {
    let name = schema.normalizers.get("names").and_then(Value::as_str).unwrap_or("snake_case");
    let stored = Naming::from_name(name).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the naming convention of the schema is not known here")
            .with("schema", &schema.name)
            .with("convention", name)
            .with_hint(hint())
    })?;
    let flag = |key: &str| schema.normalizers.get(key).and_then(Value::as_bool);
    let (contracts, may_change) =
        (flag(BREAK_PATH) == Some(false), flag(ALLOW_CHANGE) == Some(true));
    let in_use = |naming: Naming| if contracts { naming.contracting() } else { naming };
    let Some(asked) = asked.filter(|asked| *asked != stored) else { return Ok(in_use(stored)) };
    let with_data = schema.tables.values().find(|table| has_data(table));
    if let Some(table) = with_data.filter(|_| !may_change) {
        return Err(Error::new(
            ErrorKind::Configuration,
            "the tables are named by another convention",
        )
        .with("schema", &schema.name)
        .with("convention", stored.name())
        .with("asked for", asked.name())
        .with("table with data", &table.name)
        .with_hint(format!(
            "leave `[schema] naming` as it was, load into another dataset, or set `[schema] {ALLOW_CHANGE} = true`: \
             names that change then become new tables and columns"
        )));
    }
    rename(schema, Names { naming: in_use(asked), max_length })?;
    if let Some(normalizers) = schema.normalizers.as_object_mut() {
        normalizers.insert("names".to_owned(), asked.name().into());
    }
    Ok(in_use(asked))
}

fn has_data(table: &Table) -> bool {
    table.hints.get("x-normalizer").and_then(|hints| hints.get("seen-data"))
        == Some(&Value::Bool(true))
        && !is_system(&table.name)
}

/// Gives all tables and columns the names that the convention makes of the ones that they have.
fn rename(schema: &mut Schema, names: Names) -> Result<()> {
    let mut tables: IndexMap<String, Table> = IndexMap::new();
    for (name, mut table) in std::mem::take(&mut schema.tables) {
        if !is_system(&name) {
            table.name = names.table(&name);
            table.parent = table.parent.map(|parent| names.table(&parent));
            let mut columns = IndexMap::new();
            for (column_name, mut column) in std::mem::take(&mut table.columns) {
                column.name = names.of(&column_name);
                if let Some(other) = columns.insert(column.name.clone(), column) {
                    return Err(merged("column", &other.name).with("table", &table.name));
                }
            }
            table.columns = columns;
            rename_references(&mut table, names);
        }
        if let Some(other) = tables.insert(table.name.clone(), table) {
            return Err(merged("table", &other.name));
        }
    }
    schema.tables = tables;
    Ok(())
}

fn merged(what: &'static str, name: &str) -> Error {
    Error::new(ErrorKind::Configuration, "two names become one by this naming convention")
        .with("code", "E_NAME_COLLISION")
        .with(what, name)
        .with_hint("leave `[schema] naming` as it was")
}

fn rename_references(table: &mut Table, names: Names) {
    let references = table.hints.get_mut("references").and_then(Value::as_array_mut);
    for reference in references.into_iter().flatten().filter_map(Value::as_object_mut) {
        for (key, value) in reference.iter_mut() {
            match (key.as_str(), value) {
                ("referenced_table", Value::String(name)) => *name = names.table(name),
                ("columns" | "referenced_columns", Value::Array(columns)) => {
                    for column in columns {
                        if let Value::String(name) = column {
                            *name = names.of(name);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Reads a setting that names a convention.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a convention that is not known here.
pub(crate) fn naming_from(key: &str, name: &str) -> Result<Naming> {
    Naming::from_name(name).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "there is no such naming convention")
            .with("key", key)
            .with("convention", name)
            .with_hint(hint())
    })
}

fn hint() -> String {
    format!("the conventions are {}", Naming::ALL.map(Naming::name).join(", "))
}
