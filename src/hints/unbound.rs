//! What the schema says of tables once their rows are read: columns that hints named and no row brought, and hints that
//! do not go together.
//!
//! Source: dlt, `verify_normalized_table`.

use serde_json::Value;
use transload_core::{Column, Error, ErrorKind, Result, Schema, Table};

use super::check;

/// Looks at the tables that received rows in this load. Returns what the user should know.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a column that must have values and has not even a type: most often a key whose name is
/// not that of a key of the rows; and where the hints of a table do not go together.
pub(crate) fn unbound(schema: &Schema, tables: &[String]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for table in tables.iter().filter_map(|name| schema.tables.get(name)) {
        let incomplete = || table.columns.values().filter(|column| column.data_type.is_none());
        if let Some(column) = incomplete().find(|column| !column.nullable) {
            return Err(unbound_column(table, column));
        }
        let names: Vec<&str> = incomplete().map(|column| column.name.as_str()).collect();
        if !names.is_empty() {
            warnings.push(format!(
                "no row of `{}` has a value for {}: there are hints for it, but no type, so there is no such column",
                table.name,
                names.join(", ")
            ));
        }
        if let Some(Value::String(format)) = table.hints.get("table_format")
            && format != "native"
        {
            warnings.push(format!(
                "the table format `{format}` of `{}` is stored in the schema, but no destination makes such tables yet",
                table.name
            ));
        }
        warnings.extend(check::hints_of(table)?);
    }
    Ok(warnings)
}

/// The error for a column that must have values, and of which no row brought one.
pub(crate) fn unbound_column(table: &Table, column: &Column) -> Error {
    let is = |hint: &str| column.has_hint(hint);
    let what = match () {
        () if is("primary_key") => "part of the primary key",
        () if is("merge_key") => "part of the merge key",
        () if is("x-row-version") => "the version of the row (scd2)",
        () => "NOT NULL",
    };
    let found: Vec<&str> = table
        .complete_columns()
        .map(|column| column.name.as_str())
        .filter(|name| !name.starts_with("_dlt"))
        .take(20)
        .collect();
    let error =
        Error::new(ErrorKind::Configuration, "no row has a value for a column that must have one")
            .with("code", "E_KEY_NULL")
            .with("table", &table.name)
            .with("column", &column.name)
            .with("it is", what)
            .with("columns", found.join(", "));
    error.with_hint(match what {
        "the version of the row (scd2)" => {
            "rows of Arrow and Parquet get no hash of their content: name the column that tells their versions apart \
             (`row_version_column_name`)"
        }
        _ => "check the name of the column, or give it a type",
    })
}
