//! Names that BigQuery takes, and those that it does not.

use transload_core::{Error, ErrorKind, Result, Table};

/// Bytes of the longest name of a dataset or table. "Create datasets", "Create and use tables".
pub(crate) const TABLE_BYTES: usize = 1024;

/// Characters of the longest name of a column. "Specify a schema".
pub(crate) const COLUMN_CHARACTERS: usize = 300;

/// How the name of a column must not begin, in any case. "Specify a schema", column names.
const RESERVED: [&str; 6] =
    ["_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER"];

/// Refuses a dataset that cannot be had. "Create datasets": letters, digits and underscores.
pub(crate) fn check_dataset(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.len() <= TABLE_BYTES && name.chars().all(fits) {
        return Ok(());
    }
    Err(refused("a dataset has letters, digits and underscores, 1,024 at most")
        .with("dataset", name))
}

/// Refuses a table that cannot be had, with its columns. "Create and use tables": letters, marks, numbers, connectors,
/// dashes and spaces of Unicode; here those alone of which no two look alike.
pub(crate) fn check_table(table: &Table) -> Result<()> {
    let name = &table.name;
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    if name.is_empty() || name.len() > TABLE_BYTES || !name.chars().all(fits) {
        return Err(refused(
            "a table has letters, digits, underscores, dashes and spaces, 1,024 bytes at most",
        )
        .with("table", name));
    }
    for column in table.complete_columns() {
        check_column(&column.name).map_err(|error| error.with("table", name))?;
    }
    Ok(())
}

/// Refuses a column that cannot be had. "Specify a schema": further characters are "flexible column names", which load
/// jobs take from some formats alone.
pub(crate) fn check_column(name: &str) -> Result<()> {
    let reason = if name.chars().count() > COLUMN_CHARACTERS {
        "a column has 300 characters at most"
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        || name.chars().next().is_none_or(|c| c.is_ascii_digit())
    {
        "a column has letters, digits and underscores, and begins with no digit"
    } else if RESERVED.iter().any(|reserved| name.to_ascii_uppercase().starts_with(reserved)) {
        "names that begin so are BigQuery's own"
    } else {
        return Ok(());
    };
    Err(refused(reason).with("column", name))
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::Configuration, "BigQuery does not take a name").with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{Column, DataType, WriteDisposition};

    #[test]
    fn names_are_taken_or_refused_and_never_changed() {
        for name in ["chess", "Chess_2024", "_x"] {
            check_dataset(name).unwrap();
        }
        for name in ["", "a b", "a-b", "größe", "a`b", &"x".repeat(1025)] {
            let error = check_dataset(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        }
        for name in ["players__games", "Größe 2-x", &"t".repeat(1024)] {
            check_table(&Table::root(name, WriteDisposition::Append)).unwrap();
        }
        for name in ["", "a.b", "a`b", "a\nb", "a$20240101", &"ß".repeat(513)] {
            assert!(check_table(&Table::root(name, WriteDisposition::Append)).is_err(), "{name}");
        }
        let mut table = Table::root("t", WriteDisposition::Append);
        table.put(Column::new("a b", DataType::Text));
        assert_eq!(check_table(&table).unwrap_err().context("table"), Some("t"));
    }

    #[test]
    fn columns_are_taken_or_refused() {
        for name in ["id", "_dlt_id", "Select", &"c".repeat(300)] {
            check_column(name).unwrap();
        }
        for name in ["", "1a", "a b", "é", "_table_x", "_PARTITIONTIME", &"c".repeat(301)] {
            assert!(check_column(name).is_err(), "{name}");
        }
    }
}
