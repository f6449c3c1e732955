//! Hints into a schema that is stored already.
//!
//! Source: dlt, `Schema.update_table` without merging of compound hints, and `Schema.apply_schema_contract`.

use indexmap::IndexMap;
use serde_json::{Value, json};
use transload_core::{Column, DataType, Error, ErrorKind, Result, Schema, Table};

use super::declared::ColumnHints;
use super::table::Partial;
use crate::contract::{self, ContractMode, SchemaContract};

/// Hints that columns of a table have together: giving them to some takes them from all others.
const COMPOUND: [&str; 5] = ["partition", "cluster", "primary_key", "merge_key", "incremental"];

/// The hint of a table under which the engine keeps what it knows of it.
const PROCESSING: &str = "x-normalizer";
/// Set until a table that is held to its columns has received its first rows.
const EVOLVE_ONCE: &str = "evolve-columns-once";

/// Merges hints into the schema.
///
/// # Errors
/// [`ErrorKind::BadData`] where the contract of the table forbids it; [`ErrorKind::Configuration`] where the schema has
/// the table elsewhere.
pub(super) fn merge(schema: &mut Schema, mut partial: Partial) -> Result<()> {
    check_place(schema, &partial)?;
    let contract = contract_of(schema, &partial)?;
    let is_new = is_new(schema.tables.get(&partial.name));
    hold_back(schema, &mut partial, contract, is_new)?;

    let table = schema.tables.entry(partial.name.clone()).or_insert_with_key(|name| Table {
        name: name.clone(),
        columns: IndexMap::new(),
        write_disposition: None,
        parent: partial.parent.clone(),
        resource: None,
        hints: Default::default(),
    });
    table.write_disposition = partial.write_disposition.or(table.write_disposition);
    table.resource = table.resource.take().or(partial.resource);
    for (hint, value) in partial.hints {
        match value {
            Some(value) => drop(table.hints.insert(hint.to_owned(), value)),
            None => drop(table.hints.remove(hint)),
        }
    }
    table.hints.extend(partial.own_hints);
    merge_references(table, partial.references);
    merge_columns(table, partial.columns);
    if is_new && contract.columns != ContractMode::Evolve {
        put_processing_hint(table, EVOLVE_ONCE, json!(true));
    }
    Ok(())
}

/// Sets what the engine keeps for itself of a table.
pub(super) fn put_processing_hint(table: &mut Table, hint: &str, value: Value) {
    let hints = table.hints.entry(PROCESSING.to_owned()).or_insert_with(|| json!({}));
    if let Some(hints) = hints.as_object_mut() {
        hints.insert(hint.to_owned(), value);
    }
}

/// Whether nothing is known of what the table holds.
fn is_new(table: Option<&Table>) -> bool {
    table.is_none_or(|table| table.complete_columns().next().is_none())
}

fn check_place(schema: &Schema, partial: &Partial) -> Result<()> {
    let refused = |message: &'static str| {
        Error::new(ErrorKind::Configuration, message).with("table", &partial.name)
    };
    if let Some(parent) = &partial.parent
        && !schema.tables.contains_key(parent)
    {
        return Err(refused("the table around a nested one is not known")
            .with("parent", parent)
            .with_hint("give hints for that one too; they may be empty"));
    }
    let Some(table) = schema.tables.get(&partial.name) else { return Ok(()) };
    match (&table.parent, &partial.parent) {
        (Some(parent), None) => Err(refused("the table is nested in another")
            .with("parent", parent)
            .with_hint("choose another name, or load into another dataset")),
        (None, Some(parent)) => Err(refused("the table is not nested, and cannot become so")
            .with("parent", parent)
            .with_hint("give it the primary key or the merge key that made it one of its own")),
        (Some(stored), Some(parent)) if stored != parent => {
            Err(refused("the table is nested in another")
                .with("parent", stored)
                .with("other parent", parent))
        }
        _ => Ok(()),
    }
}

fn contract_of(schema: &Schema, partial: &Partial) -> Result<SchemaContract> {
    match partial.hints.get(contract::HINT) {
        Some(Some(value)) => SchemaContract::from_value(value),
        _ => SchemaContract::of_nested(schema, &partial.name, partial.parent.as_deref()),
    }
}

/// Takes out what the contract does not let in.
fn hold_back(
    schema: &Schema,
    partial: &mut Partial,
    contract: SchemaContract,
    is_new: bool,
) -> Result<()> {
    let broken = |entity: &'static str, column: Option<&str>| {
        let error = Error::new(ErrorKind::BadData, "the schema contract forbids this hint")
            .with("table", &partial.name);
        let error = column.into_iter().fold(error, |error, name| error.with("column", name));
        error.with("contract", format!("{entity} = {}", ContractMode::Freeze)).with_hint(
            "take the hint away, or let the schema evolve: `schema_contract = \"evolve\"`",
        )
    };
    if contract.evolves() {
        return Ok(());
    }
    let stored = schema.tables.get(&partial.name);
    if is_new {
        match contract.tables {
            ContractMode::Evolve => {}
            ContractMode::Freeze => return Err(broken("tables", None)),
            // Without columns it stays new, and its rows are left out.
            ContractMode::DiscardRow | ContractMode::DiscardValue => partial.columns.clear(),
        }
        return Ok(());
    }
    let Some(stored) = stored else { return Ok(()) };
    let evolves_once = stored.hints.get(PROCESSING).and_then(|hints| hints.get(EVOLVE_ONCE))
        == Some(&Value::Bool(true));
    let mut left_out = Vec::new();
    for column in partial.columns.values().filter(|column| !contract::is_system(&column.name)) {
        let is_variant = column.hints.get("variant") == Some(&Value::Bool(true));
        let known = stored.columns.get(&column.name).filter(|known| known.data_type.is_some());
        let (entity, mode) = match known {
            None if is_variant => ("data_type", contract.data_type),
            None if evolves_once => continue,
            None => ("columns", contract.columns),
            Some(known) if changes_type(known, column) => ("data_type", contract.data_type),
            Some(_) => continue,
        };
        match mode {
            ContractMode::Evolve => {}
            ContractMode::Freeze => return Err(broken(entity, Some(&column.name))),
            ContractMode::DiscardRow | ContractMode::DiscardValue => {
                left_out.push(column.name.clone());
            }
        }
    }
    partial.columns.retain(|name, _| !left_out.contains(name));
    Ok(())
}

fn changes_type(known: &Column, hints: &ColumnHints) -> bool {
    let differs = |known: Option<u32>, given: Option<u32>| given.is_some() && given != known;
    hints.data_type.is_some_and(|given| Some(given) != known.data_type)
        || hints.nullable.is_some_and(|given| given != known.nullable)
        || differs(known.precision, hints.precision)
        || differs(known.scale, hints.scale)
        || hints.timezone.is_some_and(|given| given != known.has_timezone())
}

/// One reference for each table that is referred to: a later one takes the place of an earlier one.
fn merge_references(table: &mut Table, references: Vec<Value>) {
    if references.is_empty() {
        return;
    }
    let target = |reference: &Value| reference.get("referenced_table").cloned();
    let stored = table.hints.entry("references".to_owned()).or_insert_with(|| json!([]));
    let Some(stored) = stored.as_array_mut() else { return };
    for reference in references {
        match stored.iter_mut().find(|known| target(known) == target(&reference)) {
            Some(known) => *known = reference,
            None => stored.push(reference),
        }
    }
}

fn merge_columns(table: &mut Table, columns: IndexMap<String, ColumnHints>) {
    for hint in COMPOUND {
        let given = |column: &ColumnHints| column.hints.get(hint) == Some(&Value::Bool(true));
        if columns.values().any(given) {
            table.columns.values_mut().for_each(|column| drop(column.hints.remove(hint)));
        }
    }
    for (name, hints) in columns {
        let known = table.columns.get(&name);
        let becomes_complete =
            known.is_some_and(|known| known.data_type.is_none()) && hints.data_type.is_some();
        let mut column = known
            .cloned()
            .unwrap_or_else(|| Column { data_type: None, ..Column::new(&name, DataType::Text) });
        column.data_type = hints.data_type.or(column.data_type);
        column.nullable = hints.nullable.unwrap_or(column.nullable);
        column.precision = hints.precision.or(column.precision);
        column.scale = hints.scale.or(column.scale);
        column.timezone = hints.timezone.or(column.timezone);
        column.hints.extend(hints.hints);
        if becomes_complete {
            table.columns.shift_remove(&name);
        }
        table.put(column);
    }
}
