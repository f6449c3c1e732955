//! Changes of a dataset as statements, each of which may be run again.

use std::collections::BTreeMap;

use crate::{Dataset, ExistingColumn, Result, SchemaChange};

use super::dialect::same_name;
use super::{Dialect, Statement, add_column, create_table, system};

/// The statements that make these changes, without what `have` shows to be there already.
///
/// # Errors
/// That of [`Dialect::type_name`].
pub fn migration(
    dialect: &dyn Dialect,
    dataset: &Dataset,
    changes: &[SchemaChange],
    have: &BTreeMap<String, Vec<ExistingColumn>>,
) -> Result<Vec<Statement>> {
    let existing = |table: &str, column: &str| {
        have.iter()
            .filter(|(name, _)| same_name(dialect, name, table))
            .flat_map(|(_, columns)| columns)
            .find(|known| same_name(dialect, &known.name, column))
    };
    let mut statements = Vec::new();
    for change in changes {
        match change {
            SchemaChange::CreateDataset => {
                statements.push(create_dataset(dialect, &dataset.name));
                for table in system::tables() {
                    let name = dialect.table(&dataset.name, &table.name);
                    statements.push(create_table(dialect, &name, &table)?);
                }
            }
            SchemaChange::CreateTable(table) => {
                let name = dialect.table(&dataset.name, &table.name);
                let statement = create_table(dialect, &name, table)?;
                // The system tables come with the dataset and may be asked for once more.
                if !statements.contains(&statement) {
                    statements.push(statement);
                }
            }
            SchemaChange::AddColumns { table, columns } => {
                let name = dialect.table(&dataset.name, table);
                for column in columns {
                    if column.data_type.is_some() && existing(table, &column.name).is_none() {
                        statements.push(add_column(dialect, &name, column)?);
                    }
                }
            }
            SchemaChange::WidenColumn { table, column } => {
                let wanted = dialect.type_name(column)?;
                // Another loader may have made the change, or a further one.
                let is_narrower =
                    |known: &&ExistingColumn| dialect.widens(&known.native_type, &wanted);
                if let Some(known) = existing(table, &column.name).filter(is_narrower) {
                    let name = dialect.table(&dataset.name, table);
                    let column = dialect.quote(&known.name);
                    statements.push(Statement::new(dialect.change_type(&name, &column, &wanted)));
                }
            }
        }
    }
    Ok(statements)
}

/// `CREATE SCHEMA IF NOT EXISTS`.
pub(super) fn create_dataset(dialect: &dyn Dialect, dataset: &str) -> Statement {
    Statement::new(format!("CREATE SCHEMA IF NOT EXISTS {}", dialect.dataset(dataset)))
}

/// The statements that describe the columns which these changes make, where they have dlt's `description`:
/// `COMMENT ON COLUMN`, for engines that have it.
pub fn column_comments(
    dialect: &dyn Dialect,
    dataset: &Dataset,
    changes: &[SchemaChange],
) -> Vec<Statement> {
    let mut statements = Vec::new();
    for change in changes {
        let table = match change {
            SchemaChange::CreateTable(table) => &table.name,
            SchemaChange::AddColumns { table, .. } => table,
            SchemaChange::CreateDataset | SchemaChange::WidenColumn { .. } => continue,
        };
        let table = dialect.table(&dataset.name, table);
        for column in change.new_columns() {
            if let Some(text) = column.hints.get("description").and_then(|text| text.as_str()) {
                let name = format!("{table}.{}", dialect.quote(&column.name));
                statements
                    .push(Statement::new(format!("COMMENT ON COLUMN {name} IS ")).value(text));
            }
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::{Ansi, show};
    use crate::{Column, DataType, Table, WriteDisposition};

    fn changes() -> Vec<SchemaChange> {
        let mut table = Table::root("players", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint).not_null());
        table.put(Column { data_type: None, ..Column::new("not seen yet", DataType::Text) });
        table.put(Column::new("na\"me", DataType::Text));
        vec![
            SchemaChange::CreateDataset,
            SchemaChange::CreateTable(table),
            SchemaChange::CreateTable(system::loads()),
            SchemaChange::AddColumns {
                table: "games".into(),
                columns: vec![
                    Column::new("won", DataType::Bool).not_null(),
                    Column::new("at", DataType::Date),
                ],
            },
        ]
    }

    #[test]
    fn changes_become_statements_that_may_be_repeated() {
        let statements =
            migration(&Ansi { modern: true }, &Dataset::new("chess"), &changes(), &BTreeMap::new());
        insta::assert_snapshot!(show(&statements.unwrap()));
    }

    #[test]
    fn a_column_is_widened_once_and_never_narrowed() {
        let changes = [SchemaChange::WidenColumn {
            table: "games".into(),
            column: Column::new("won", DataType::Decimal),
        }];
        for (there, expected) in [
            ("bigint", "ALTER TABLE \"chess\".\"games\" ALTER COLUMN \"won\" TYPE decimal;\n"),
            ("decimal", ""),
            ("text", ""),
        ] {
            let there =
                ExistingColumn { name: "won".into(), native_type: there.into(), nullable: true };
            let have = BTreeMap::from([("games".to_owned(), vec![there])]);
            let statements =
                migration(&Ansi { modern: true }, &Dataset::new("chess"), &changes, &have);
            assert_eq!(show(&statements.unwrap()), expected);
        }
    }

    #[test]
    fn a_column_that_is_there_is_not_added() {
        let there = ExistingColumn { name: "won".into(), native_type: "x".into(), nullable: true };
        let have = BTreeMap::from([("games".to_owned(), vec![there])]);
        let statements =
            migration(&Ansi { modern: true }, &Dataset::new("chess"), &changes()[3..], &have);
        assert_eq!(
            show(&statements.unwrap()),
            "ALTER TABLE \"chess\".\"games\" ADD COLUMN IF NOT EXISTS \"at\" date;\n"
        );
    }
}
