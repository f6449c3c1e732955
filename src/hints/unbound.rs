//! Columns that hints named and that no row brought.
//!
//! Source: dlt, `verify_normalized_table`.

use serde_json::Value;
use transload_core::{Error, ErrorKind, Result, Schema};

/// Looks at the tables that received rows in this load. Returns what the user should know.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a column that must have values and has not even a type: most often a key whose name is
/// not that of a key of the rows.
pub(crate) fn unbound(schema: &Schema, tables: &[String]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for table in tables.iter().filter_map(|name| schema.tables.get(name)) {
        let incomplete = || table.columns.values().filter(|column| column.data_type.is_none());
        if let Some(column) = incomplete().find(|column| !column.nullable) {
            let is = |hint: &str| column.has_hint(hint);
            let what = match () {
                () if is("primary_key") => "part of the primary key",
                () if is("merge_key") => "part of the merge key",
                () => "NOT NULL",
            };
            let found: Vec<&str> = table
                .complete_columns()
                .map(|column| column.name.as_str())
                .filter(|name| !name.starts_with("_dlt"))
                .take(20)
                .collect();
            return Err(Error::new(
                ErrorKind::Configuration,
                "no row has a value for a column that must have one",
            )
            .with("table", &table.name)
            .with("column", &column.name)
            .with("it is", what)
            .with("columns", found.join(", "))
            .with_hint("check the name of the column, or give it a type"));
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
    }
    Ok(warnings)
}
