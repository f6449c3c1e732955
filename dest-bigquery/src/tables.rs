//! Changes of a dataset as statements that are sent together: BigQuery lets a table change five times in ten seconds.

use std::collections::BTreeMap;

use transload_core::sql::{Dialect, Statement, migration};
use transload_core::{Column, Dataset, Result, SchemaChange, Table};

use crate::dialect::BigQueryDialect;
use crate::layout;
use crate::names::{check_column, check_dataset, check_table};

/// The statements that make these changes, each of which may be run again. One table is changed by one statement.
///
/// # Errors
/// [`transload_core::ErrorKind::Configuration`] for a name or a type that cannot be had.
pub(crate) fn statements(
    dialect: &BigQueryDialect,
    dataset: &Dataset,
    changes: &[SchemaChange],
) -> Result<Vec<Statement>> {
    check_dataset(&dataset.name)?;
    check_dataset(&dataset.staging)?;
    let mut statements = Vec::new();
    for change in changes {
        match change {
            SchemaChange::CreateTable(table) => {
                check_table(table)?;
                statements.push(create_table(dialect, dataset, table)?);
            }
            SchemaChange::AddColumns { table, columns } => {
                for column in columns {
                    check_column(&column.name).map_err(|error| error.with("table", table))?;
                }
                statements.extend(add_columns(dialect, dataset, table, columns)?);
            }
            other => {
                let one = std::slice::from_ref(other);
                let mut made = migration(dialect, dataset, one, &BTreeMap::new())?;
                if matches!(other, SchemaChange::CreateDataset) && !dialect.case_sensitive {
                    // "Data definition language", CREATE SCHEMA: afterwards it is too late.
                    let schema = made.remove(0).sql(" OPTIONS(is_case_insensitive=TRUE)");
                    made.insert(0, schema);
                }
                statements.extend(made);
            }
        }
    }
    Ok(statements)
}

/// These statements as one, to be sent together.
pub(crate) fn together(dialect: &dyn Dialect, statements: &[Statement]) -> Statement {
    let texts: Vec<String> =
        statements.iter().map(|statement| statement.render(dialect).0).collect();
    Statement::new(texts.join(";\n"))
}

/// "Data definition language", CREATE TABLE.
fn create_table(dialect: &BigQueryDialect, dataset: &Dataset, table: &Table) -> Result<Statement> {
    let mut columns = Vec::new();
    for column in table.complete_columns() {
        let not_null = if column.nullable { "" } else { " NOT NULL" };
        columns.push(format!("  {}", defined(dialect, column, not_null)?));
    }
    Ok(Statement::new(format!(
        "CREATE TABLE IF NOT EXISTS {} (\n{}\n){}{}",
        dialect.table(&dataset.name, &table.name),
        columns.join(",\n"),
        layout::clauses(table)?,
        layout::options(table, &dialect.labels)?,
    )))
}

/// "Data definition language", ALTER TABLE ADD COLUMN. Never NOT NULL: the rows that are there have no value.
fn add_columns(
    dialect: &BigQueryDialect,
    dataset: &Dataset,
    table: &str,
    columns: &[Column],
) -> Result<Option<Statement>> {
    let mut added = Vec::new();
    for column in columns.iter().filter(|column| column.data_type.is_some()) {
        added.push(format!("ADD COLUMN IF NOT EXISTS {}", defined(dialect, column, "")?));
    }
    let name = dialect.table(&dataset.name, table);
    Ok((!added.is_empty())
        .then(|| Statement::new(format!("ALTER TABLE {name}\n  {}", added.join(",\n  ")))))
}

fn defined(dialect: &BigQueryDialect, column: &Column, not_null: &str) -> Result<String> {
    let type_name = dialect.type_name(column)?;
    let options = layout::column_options(column);
    Ok(format!("{} {type_name}{not_null}{options}", dialect.quote(&column.name)))
}

#[cfg(test)]
mod tests {
    use transload_core::{DataType, ErrorKind, WriteDisposition};

    use super::*;
    use crate::dialect::tests::dialect;

    #[test]
    fn a_table_is_changed_by_one_statement() {
        let mut described = Column::new("at", DataType::Timestamp).with_hint("partition");
        described.hints.insert("description".into(), "it's when".into());
        let mut table = Table::root("games", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint).not_null());
        table.put(described.clone());
        table.put(Column { data_type: None, ..Column::new("not seen yet", DataType::Text) });
        let changes = [
            SchemaChange::CreateDataset,
            SchemaChange::CreateTable(table),
            SchemaChange::AddColumns {
                table: "players".into(),
                columns: vec![Column::new("won", DataType::Bool).not_null(), described],
            },
        ];
        let statements = statements(&dialect(), &Dataset::new("chess"), &changes).unwrap();
        insta::assert_snapshot!(together(&dialect(), &statements));
    }

    #[test]
    fn a_dataset_is_made_to_look_at_case_or_not() {
        let made = |case_sensitive| {
            let dialect = BigQueryDialect { case_sensitive, ..dialect() };
            let changes = [SchemaChange::CreateDataset];
            statements(&dialect, &Dataset::new("d"), &changes).unwrap().remove(0).to_string()
        };
        assert_eq!(made(true), "CREATE SCHEMA IF NOT EXISTS `p`.`d`");
        assert_eq!(made(false), made(true) + " OPTIONS(is_case_insensitive=TRUE)");
    }

    #[test]
    fn names_that_cannot_be_had_are_refused_before_anything_is_sent() {
        for changes in [
            SchemaChange::CreateTable(Table::root("a.b", WriteDisposition::Append)),
            SchemaChange::AddColumns {
                table: "t".into(),
                columns: vec![Column::new("a b", DataType::Bool)],
            },
        ] {
            let error = statements(&dialect(), &Dataset::new("d"), &[changes]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
        assert!(statements(&dialect(), &Dataset::new("a-b"), &[]).is_err());
    }
}
