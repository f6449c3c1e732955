//! Batches of Arrow into the columns of a table: names, types and order; no child tables, and ids only where the table
//! has them from rows of JSON or the settings ask for them.
//!
//! dlt leaves values of another type than the column's to the destination, which then fails or truncates. Here they are
//! cast where nothing is lost. What is wrong with a type or a name is an error of the whole batch; what is wrong with a
//! single value refuses its row. One thing is cut off, as in dlt, and said: what is finer than the destination's own
//! precision of times, where the column does not give one.

mod convert;
mod nested;
mod times;
mod types;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
    new_null_array,
};
use arrow::compute::filter;
use arrow::datatypes::{DataType as ArrowType, FieldRef, Schema as ArrowSchema};
use transload_core::{Column, DataType, Error, ErrorKind, Result, Table};

use self::convert::{Converted, convert};
use self::types::column_for;
use super::layout::no_new_table;
use super::root::{RootIds, RowPlan, is_key_of_merge};
use super::{Snapshot, TableBatch, has_seen, ids, undeclared};
use crate::arrow_types::{Defaults, arrow_field};
use crate::contract::{ContractMode, SchemaContract};
use crate::source::{ArrowRows, Refused};

/// Columns that batches of Arrow get beside their own: dlt's `[normalize.parquet_normalizer]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddedColumns {
    /// `add_dlt_load_id`: the load, in `_dlt_load_id`. It takes the place of what the data has under that name.
    pub(crate) load_id: bool,
    /// `add_dlt_id`: a random id, in `_dlt_id`. What the data has under that name stays.
    pub(crate) row_id: bool,
}

/// A batch in the columns of its table.
pub(super) struct Conformed {
    /// The table as it is now, where the batch brought columns.
    pub(super) table: Option<Table>,
    /// The rows that can be loaded.
    pub(super) batch: RecordBatch,
    /// The other ones.
    pub(super) refused: Vec<Refused>,
    /// The columns whose times were cut to the precision of the destination, and what to say of it.
    pub(super) cut: Vec<(String, Error)>,
    /// Values of columns that the contract does not want, by table and column.
    pub(super) left_out: BTreeMap<(String, String), u64>,
}

/// Brings a batch to the columns of its table, and the table to those of the batch.
pub(super) fn conform(snapshot: &Snapshot, name: &str, rows: &ArrowRows) -> Result<Conformed> {
    let ArrowRows { batch, origin, first } = rows;
    let in_file = |error: Error| error.with("file", origin).with("table", name);
    // As people count, also in files of other programs: from 1.
    let number = |row: usize| first + row as u64 + 1;
    let known = snapshot.schema.tables.get(name);
    let contract = SchemaContract::of(&snapshot.schema, name)?;
    let is_settled = snapshot.settled.contains(name);
    match contract.tables {
        _ if is_settled => {}
        ContractMode::Evolve => {}
        ContractMode::Freeze => return Err(in_file(no_new_table(name))),
        ContractMode::DiscardRow | ContractMode::DiscardValue => {
            return Ok(no_row(rows, |row| in_file(no_new_table(name)).with("row", number(row))));
        }
    }
    let on_new_column = if is_settled { contract.columns } else { ContractMode::Evolve };
    let mut left_out = BTreeMap::new();
    let mut table = known.cloned().unwrap_or_else(|| undeclared(name));
    let mut changed = known.is_none();
    let mut arrays: HashMap<String, ArrayRef> = HashMap::new();
    let mut faults: BTreeMap<usize, Error> = BTreeMap::new();
    let mut cut = Vec::new();
    let plan = RowPlan::of(&snapshot.schema, name, &snapshot.names).map_err(in_file)?;
    let schema = batch.schema();
    let names = column_names(snapshot, &schema, &table).map_err(in_file)?;
    for ((field, array), column_name) in schema.fields().iter().zip(batch.columns()).zip(names) {
        let refused = |error: Error| in_file(error).with("column", &column_name);
        let replaced =
            snapshot.options.added_columns.load_id && column_name == snapshot.names.load_id;
        if field.data_type() == &ArrowType::Null || replaced {
            continue;
        }
        if plan.filled.contains(&column_name) {
            return Err(refused(Error::new(
                ErrorKind::BadData,
                "a field of the input is a column that the destination fills",
            ))
            .with("code", "E_RESERVED_NAME")
            .with_hint("leave the field out, or choose other `validity_column_names`"));
        }
        let declared = table.columns.get(&column_name);
        let column = match declared {
            Some(column) if column.data_type.is_some() => column.clone(),
            _ if on_new_column != ContractMode::Evolve
                && !snapshot.names.contains(&column_name) =>
            {
                let present = (0..array.len()).filter(|row| array.is_valid(*row));
                match on_new_column {
                    ContractMode::Freeze => return Err(refused(no_new_column())),
                    ContractMode::DiscardRow => {
                        for row in present {
                            faults.entry(row).or_insert_with(|| {
                                refused(no_new_column()).with("row", number(row))
                            });
                        }
                    }
                    ContractMode::Evolve | ContractMode::DiscardValue => {
                        left_out.insert((name.to_owned(), column_name), present.count() as u64);
                    }
                }
                continue;
            }
            declared => {
                let column =
                    new_column(snapshot, &column_name, field, declared).map_err(refused)?;
                changed = true;
                table.columns.shift_remove(&column_name);
                table.put(column.clone());
                column
            }
        };
        let converted =
            convert(array, field, &column, &snapshot.options.defaults).map_err(refused)?;
        let Converted { array, faults: found, first_cut } = converted;
        for (row, error) in found {
            faults.entry(row).or_insert_with(|| refused(error).with("row", number(row)));
        }
        if let Some(row) = first_cut {
            let warning =
                Error::new(ErrorKind::BadData, "times are cut to the precision of the destination")
                    .with("code", "W_PRECISION");
            cut.push((column_name.clone(), refused(warning).with("row", number(row))));
        }
        arrays.insert(column_name, array);
    }
    changed |= add_columns(snapshot, &mut table);
    let mut out_fields = Vec::new();
    let mut out_arrays = Vec::new();
    for column in table.complete_columns() {
        let field = arrow_field(column, &snapshot.options.defaults)?;
        let array = match arrays.remove(&column.name) {
            Some(array) => array,
            None => match system_values(snapshot, &table, column, batch.num_rows())? {
                Some(array) => array,
                None => new_null_array(field.data_type(), batch.num_rows()),
            },
        };
        let is_required = !column.nullable || is_key_of_merge(&table, column);
        if is_required && array.null_count() > 0 {
            for row in (0..array.len()).filter(|row| array.is_null(*row)) {
                faults.entry(row).or_insert_with(|| {
                    in_file(Error::new(
                        ErrorKind::BadData,
                        "a row has no value for a column that is NOT NULL",
                    ))
                    .with("code", "E_KEY_NULL")
                    .with("column", &column.name)
                    .with("row", number(row))
                    .with_hint("give the value, or make the column nullable in the schema")
                });
            }
        }
        out_fields.push(field);
        out_arrays.push(array);
    }
    if out_fields.is_empty() && batch.num_rows() > 0 {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(in_file(Error::new(ErrorKind::BadData, "the rows have no column with a type"))
            .with("rows", batch.num_rows())
            .with(
                "columns of type null",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            )
            .with_hint(
                "give one of the columns a type in the source, or declare it in the schema",
            ));
    }
    let mut left = batch.num_rows();
    if !faults.is_empty() {
        let keep: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(!faults.contains_key(&row))).collect();
        left -= faults.len();
        for array in &mut out_arrays {
            *array = filter(array, &keep).map_err(|error| {
                in_file(Error::new(ErrorKind::Bug, "rows cannot be left out").with_source(error))
            })?;
        }
    }
    let refused = faults
        .into_iter()
        .map(|(row, error)| Refused {
            line: number(row),
            offset: 0,
            bytes: nested::row_text(batch, row),
            error,
        })
        .collect();
    let conformed = make_batch(name, ArrowSchema::new(out_fields), out_arrays, left)?;
    Ok(Conformed { table: changed.then_some(table), batch: conformed, refused, cut, left_out })
}

fn no_new_column() -> Error {
    Error::new(ErrorKind::BadData, "the schema contract allows no new columns")
        .with("code", "E_CONTRACT_COLUMN")
        .with_hint("let the schema evolve (`schema_contract`), or declare the column")
}

/// A batch of which no row is loaded.
fn no_row(rows: &ArrowRows, reason: impl Fn(usize) -> Error) -> Conformed {
    let refused = (0..rows.batch.num_rows()).map(|row| Refused {
        line: rows.first + row as u64 + 1,
        offset: 0,
        bytes: nested::row_text(&rows.batch, row),
        error: reason(row),
    });
    Conformed {
        table: None,
        batch: rows.batch.slice(0, 0),
        refused: refused.collect(),
        cut: Vec::new(),
        left_out: BTreeMap::new(),
    }
}

/// The names of the columns, each of which is one field.
fn column_names(snapshot: &Snapshot, fields: &ArrowSchema, table: &Table) -> Result<Vec<String>> {
    let collision = |field: &str, other: &str, column: &str| {
        Error::new(ErrorKind::BadData, "two fields become one column")
            .with("code", "E_NAME_COLLISION")
            .with("column", column)
            .with("field", other)
            .with("other field", field)
            .with_hint("rename one of the fields")
    };
    // Many warehouses, DuckDB among them, know a column by its letters alone, whatever their case.
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut names = Vec::with_capacity(fields.fields().len());
    for field in fields.fields() {
        let name = snapshot.column_part(field.name());
        if let Some(other) = seen.insert(name.to_lowercase(), field.name()) {
            return Err(collision(field.name(), other, &name));
        }
        if !table.columns.contains_key(&name)
            && let Some(other) =
                table.columns.keys().find(|other| other.to_lowercase() == name.to_lowercase())
        {
            return Err(collision(field.name(), other, &name));
        }
        names.push(name);
    }
    Ok(names)
}

/// Adds the columns that the settings ask for, behind the data as in dlt. Returns whether the table has changed.
fn add_columns(snapshot: &Snapshot, table: &mut Table) -> bool {
    let (names, added) = (&snapshot.names, snapshot.options.added_columns);
    // Rows without them may be there.
    let nullable = has_seen(&snapshot.schema, &table.name);
    let text = |name: &str| Column {
        nullable,
        ..Column::new(name, DataType::Text).with_precision(SYSTEM_NAME_LENGTH)
    };
    let load_id = added.load_id.then(|| text(&names.load_id));
    let row_id = added.row_id.then(|| text(&names.row_id).with_hint("unique").with_hint("row_key"));
    let mut changed = false;
    for column in [load_id, row_id].into_iter().flatten() {
        if table.columns.get(&column.name).is_none_or(|known| known.data_type.is_none()) {
            table.columns.shift_remove(&column.name);
            table.put(column);
            changed = true;
        }
    }
    changed
}

/// The length that dlt gives to ids of loads and rows where it declares them.
const SYSTEM_NAME_LENGTH: u32 = 64;

/// The values of a column that rows of JSON brought into the table and batches of Arrow do not have: the load, and an id.
/// None for every other column.
fn system_values(
    snapshot: &Snapshot,
    table: &Table,
    column: &Column,
    rows: usize,
) -> Result<Option<ArrayRef>> {
    let names = &snapshot.names;
    if table.parent.is_some() || column.data_type != Some(DataType::Text) {
        return Ok(None);
    }
    if column.name == names.load_id {
        let load_id = snapshot.options.load_id.as_str();
        return Ok(Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            load_id, rows,
        )))));
    }
    if column.name != names.row_id {
        return Ok(None);
    }
    // Asked for by the settings, ids are random as in dlt, unless nested rows hang on them.
    let are_free =
        snapshot.options.added_columns.row_id && snapshot.schema.chain_of(&table.name).len() <= 1;
    match RowPlan::of(&snapshot.schema, &table.name, names)?.ids {
        ids if are_free || matches!(ids, RootIds::Random) => {
            let ids = (0..rows).map(|_| ids::random_id());
            Ok(Some(Arc::new(StringArray::from_iter_values(ids))))
        }
        // Rows of JSON have ids that say which row they are; a random one would be another row to its nested rows.
        _ => Err(Error::new(
            ErrorKind::BadData,
            "rows of Arrow or Parquet cannot get the ids that this merge strategy makes of the row",
        )
        .with("table", &table.name)
        .with("column", &column.name)
        .with_hint(
            "the table has rows that came as JSON: load these as JSON too, give them the column, \
             or load them into another table",
        )),
    }
}

/// The columns that a table has got since a batch was made, as NULLs. None where one of them must not be NULL.
pub(super) fn fill_up(snapshot: &Snapshot, batch: &TableBatch) -> Result<Option<RecordBatch>> {
    let Some(table) = snapshot.schema.tables.get(&batch.table) else { return Ok(None) };
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for column in table.complete_columns() {
        let field = arrow_field(column, &snapshot.options.defaults)?;
        let array = match batch.batch.column_by_name(&column.name) {
            Some(array) => Arc::clone(array),
            None if column.nullable => new_null_array(field.data_type(), batch.batch.num_rows()),
            None => return Ok(None),
        };
        fields.push(field);
        arrays.push(array);
    }
    make_batch(&batch.table, ArrowSchema::new(fields), arrays, batch.batch.num_rows()).map(Some)
}

fn make_batch(
    table: &str,
    schema: ArrowSchema,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options).map_err(|error| {
        Error::new(ErrorKind::Bug, "the columns of a table do not make a batch")
            .with("table", table)
            .with_source(error)
    })
}

/// The column for a field that the table does not have, or has only as a hint.
fn new_column(
    snapshot: &Snapshot,
    name: &str,
    field: &FieldRef,
    declared: Option<&Column>,
) -> Result<Column> {
    let mut column = column_for(name, field.data_type(), &snapshot.options.defaults)?;
    column.nullable = !snapshot.rules.is_not_null(name);
    Ok(match declared {
        Some(declared) => super::table::completed(declared.clone(), column),
        None => column,
    })
}

/// What keeps a batch, whose columns are these, from being loaded as it is.
pub(crate) fn fault_in(
    batch: &RecordBatch,
    columns: &[Column],
    defaults: &Defaults,
) -> Option<Error> {
    let schema = batch.schema();
    for ((field, array), column) in schema.fields().iter().zip(batch.columns()).zip(columns) {
        let fault = match convert(array, field, column, defaults) {
            Ok(converted) => converted.faults.into_iter().next().map(|(_, error)| error),
            Err(error) => Some(error),
        };
        let fault = fault.or_else(|| {
            let lacks = !column.nullable && array.null_count() > 0;
            lacks.then(|| Error::new(ErrorKind::BadData, "a NULL in a column that is NOT NULL"))
        });
        if let Some(error) = fault {
            return Some(error.with("column", &column.name));
        }
    }
    None
}
