//! What brings a dataset to a schema, and what cannot be brought to it.

use std::collections::BTreeMap;

use transload_core::{
    Column, DataType, DatasetState, Error, ErrorKind, IdentifierCase, IdentifierRules, Result,
    Schema, SchemaChange, Table,
};

use super::same;

/// What a destination says of the types of its columns.
#[derive(Clone, Copy)]
pub(crate) struct Types<'a> {
    /// See [`transload_core::Destination::native_type`].
    pub(crate) native: &'a dyn Fn(&Column) -> Result<String>,
    /// See [`transload_core::Destination::widens`].
    pub(crate) widens: &'a dyn Fn(&str, &str) -> bool,
    /// Bytes of the longest text in the rows of a load, by table and column, where they were measured.
    pub(crate) longest: &'a dyn Fn(&str, &str) -> Option<u64>,
}

impl Types<'_> {
    /// The column with what is known of its values.
    fn measured(self, table: &str, column: &Column) -> Column {
        let is_text = column.data_type == Some(DataType::Text) && column.precision.is_none();
        let longest = is_text.then(|| (self.longest)(table, &column.name)).flatten();
        Column { longest, ..column.clone() }
    }

    /// Whether a column has to be widened for a load. One that holds the texts of the load stays as it is, though it would be
    /// made with more room.
    fn must_widen(self, known: &str, column: &Column) -> Result<bool> {
        let wanted = (self.native)(column)?;
        let exact = column
            .longest
            .and_then(|longest| u32::try_from(longest.max(1)).ok())
            .map(|longest| Column { longest: None, precision: Some(longest), ..column.clone() });
        let holds = exact.is_some_and(|exact| {
            (self.native)(&exact).is_ok_and(|needed| !(self.widens)(known, &needed))
        });
        Ok((self.widens)(known, &wanted) && !holds)
    }
}

/// The changes that bring a dataset to a schema: additions only, for the tables of this load.
///
/// # Errors
/// Those of [`transload_core::Destination::native_type`].
pub(crate) fn schema_changes(
    schema: &Schema,
    tables: &[&str],
    state: &DatasetState,
    identifiers: &IdentifierRules,
    types: Types<'_>,
) -> Result<Vec<SchemaChange>> {
    let fold = |name: &str| match identifiers.case {
        IdentifierCase::Sensitive => name.to_owned(),
        _ => name.to_ascii_lowercase(),
    };
    let existing: BTreeMap<String, BTreeMap<String, &str>> = state
        .tables
        .iter()
        .map(|(table, columns)| {
            let columns = columns.iter().map(|c| (fold(&c.name), c.native_type.as_str()));
            (fold(table), columns.collect())
        })
        .collect();
    let mut changes = Vec::new();
    if !state.exists {
        changes.push(SchemaChange::CreateDataset);
    }
    for table in tables.iter().filter_map(|name| schema.tables.get(*name)) {
        // A column without a type was never seen in data; it is not created, as in dlt.
        let complete = Table {
            columns: table
                .complete_columns()
                .map(|column| (column.name.clone(), types.measured(&table.name, column)))
                .collect(),
            ..table.clone()
        };
        if complete.columns.is_empty() {
            continue;
        }
        match existing.get(&fold(&table.name)) {
            None => changes.push(SchemaChange::CreateTable(complete)),
            Some(known) => {
                let (known_columns, columns): (Vec<_>, Vec<_>) = complete
                    .columns
                    .into_values()
                    .partition(|column| known.contains_key(&fold(&column.name)));
                if !columns.is_empty() {
                    changes.push(SchemaChange::AddColumns { table: table.name.clone(), columns });
                }
                for column in known_columns {
                    if types.must_widen(known[&fold(&column.name)], &column)? {
                        changes
                            .push(SchemaChange::WidenColumn { table: table.name.clone(), column });
                    }
                }
            }
        }
    }
    Ok(changes)
}

/// Refuses a column whose type in the dataset is not the one that it would be created with, unless one of the two holds all
/// values of the other: a cast there may change values and say nothing. Refuses a column that the destination cannot have at
/// all, too.
pub(crate) fn check_types(
    schema: &Schema,
    tables: &[&str],
    state: &DatasetState,
    identifiers: &IdentifierRules,
    types: Types<'_>,
) -> Result<()> {
    for table in tables.iter().filter_map(|name| schema.tables.get(*name)) {
        let existing = state.tables.iter().find(|(name, _)| same(identifiers, name, &table.name));
        for column in table.complete_columns() {
            let wanted =
                (types.native)(column).map_err(|error| error.with("table", &table.name))?;
            let Some((_, existing)) = existing else { continue };
            let existing = existing.iter().find(|e| same(identifiers, &e.name, &column.name));
            let Some(existing) = existing else { continue };
            let known = existing.native_type.as_str();
            let holds = known.eq_ignore_ascii_case(&wanted)
                || (types.widens)(known, &wanted)
                || (types.widens)(&wanted, known);
            if !holds {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "a column has another type in the dataset than in the schema",
                )
                .with("table", &table.name)
                .with("column", &column.name)
                .with("in the dataset", &existing.native_type)
                .with("in the schema", wanted)
                .with_hint(
                    "give the column the type that it has (`columns` of the resource), or load into another table",
                ));
            }
        }
    }
    Ok(())
}

/// The names of what is added or widened: `table` and `table.column`.
pub(crate) fn change_names(changes: &[SchemaChange]) -> Vec<String> {
    let mut names = Vec::new();
    for change in changes {
        match change {
            SchemaChange::CreateTable(table) => {
                names.push(table.name.clone());
                names.extend(table.columns.keys().map(|column| format!("{}.{column}", table.name)));
            }
            SchemaChange::WidenColumn { table, column } => {
                names.push(format!("{table}.{}", column.name));
            }
            SchemaChange::AddColumns { table, columns } => {
                names.extend(columns.iter().map(|column| format!("{table}.{}", column.name)));
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::tables_of;
    use super::super::tests::{file, manifest};
    use super::*;
    use transload_core::{ExistingColumn, WriteDisposition};

    /// Types in our own words, none of them wider than another.
    const SAME: Types<'static> = Types {
        native: &|column| Ok(format!("{:?}", column.data_type)),
        widens: &|_, _| false,
        longest: &|_, _| None,
    };

    #[test]
    fn a_text_is_made_for_its_longest_value_and_widened_for_a_longer_one() {
        /// `text(n)`: so many bytes as the precision says, or ten times the longest.
        fn native(column: &Column) -> Result<String> {
            let size = column.longest.map_or(9999, |longest| longest * 10);
            Ok(format!("text({})", column.precision.map_or(size, u64::from)))
        }
        fn widens(from: &str, to: &str) -> bool {
            let size = |name: &str| name[5..name.len() - 1].parse::<u64>().unwrap();
            size(from) < size(to)
        }
        let mut schema = manifest(WriteDisposition::Append, vec![]).schema;
        let mut table = Table::root("t", WriteDisposition::Append);
        table.put(Column::new("a", DataType::Text));
        table.put(Column::new("declared", DataType::Text).with_precision(5));
        schema.tables.insert("t".into(), table);
        let changes = |there: Option<&str>, longest: Option<u64>| {
            let tables = there.map(|native_type| {
                let column = |name: &str, native_type: &str| ExistingColumn {
                    name: name.into(),
                    native_type: native_type.into(),
                    nullable: true,
                };
                ("t".to_owned(), vec![column("a", native_type), column("declared", "text(5)")])
            });
            let state = DatasetState {
                exists: true,
                tables: tables.into_iter().collect(),
                ..DatasetState::default()
            };
            let longest = |_: &str, _: &str| longest;
            let types = Types { native: &native, widens: &widens, longest: &longest };
            let rules = IdentifierRules::default();
            schema_changes(&schema, &["t"], &state, &rules, types).unwrap()
        };
        let [SchemaChange::CreateTable(made)] = &changes(None, Some(7))[..] else {
            panic!("a table")
        };
        assert_eq!(native(&made.columns["a"]).unwrap(), "text(70)");
        assert_eq!(native(&made.columns["declared"]).unwrap(), "text(5)");
        for (there, longest, wanted) in [
            // It holds them, though with less room than it would be made with.
            ("text(7)", Some(7), None),
            ("text(70)", Some(1), None),
            ("text(6)", Some(7), Some("text(70)")),
            // Who does not measure wants all that there is.
            ("text(70)", None, Some("text(9999)")),
        ] {
            let found = changes(Some(there), longest);
            let widened = found.iter().map(|change| match change {
                SchemaChange::WidenColumn { column, .. } => native(column).unwrap(),
                other => panic!("{other:?}"),
            });
            assert_eq!(
                widened.collect::<Vec<_>>(),
                wanted.into_iter().collect::<Vec<_>>(),
                "{there} {longest:?}"
            );
        }
        // A text of a schema has no length of its own, and its hash knows none.
        let json = serde_json::to_string(&made.columns["a"]).unwrap();
        assert!(!json.contains("longest"), "{json}");
    }

    #[test]
    fn a_new_dataset_is_created_with_its_tables() {
        let manifest = manifest(
            WriteDisposition::Append,
            vec![file("players", 1, 1), file("players__l", 1, 2)],
        );
        let tables = tables_of(&manifest);
        assert_eq!(tables, ["players", "players__l"]);
        let changes = schema_changes(
            &manifest.schema,
            &tables,
            &DatasetState::default(),
            &IdentifierRules::default(),
            SAME,
        )
        .unwrap();
        assert_eq!(changes[0], SchemaChange::CreateDataset);
        assert_eq!(changes.len(), 3);
        assert!(change_names(&changes).contains(&"players.id".to_owned()));
    }

    #[test]
    fn only_what_is_missing_is_added_whatever_its_case() {
        let mut manifest = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        manifest.schema.tables["players"].put(Column::new("born", DataType::Date));
        let column = |name: &str| ExistingColumn {
            name: name.into(),
            native_type: "X".into(),
            nullable: true,
        };
        let mut state = DatasetState { exists: true, ..DatasetState::default() };
        state.tables.insert(
            "PLAYERS".into(),
            ["ID", "NAME", "_DLT_LOAD_ID", "_DLT_ID"].map(column).to_vec(),
        );
        let rules = IdentifierRules { case: IdentifierCase::Upper, ..IdentifierRules::default() };
        let changes = schema_changes(&manifest.schema, &["players"], &state, &rules, SAME).unwrap();
        assert_eq!(change_names(&changes), ["players.born"]);
    }

    #[test]
    fn a_column_without_a_type_is_not_created() {
        let mut manifest = manifest(WriteDisposition::Append, vec![]);
        let mut hinted = Column::new("later", DataType::Text);
        hinted.data_type = None;
        manifest.schema.tables["players"].put(hinted);
        let changes = schema_changes(
            &manifest.schema,
            &["players"],
            &DatasetState::default(),
            &IdentifierRules::default(),
            SAME,
        )
        .unwrap();
        assert!(!change_names(&changes).contains(&"players.later".to_owned()));
    }

    #[test]
    fn a_column_of_another_type_is_refused_with_both() {
        let manifest = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        let types =
            Types { widens: &|from, to| (from, to) == ("some(Date)", "Some(Bigint)"), ..SAME };
        let with = |native_type: &str| {
            let column = ExistingColumn {
                name: "ID".into(),
                native_type: native_type.into(),
                nullable: true,
            };
            let mut state = DatasetState { exists: true, ..DatasetState::default() };
            state.tables.insert("players".into(), vec![column]);
            let rules =
                IdentifierRules { case: IdentifierCase::Lower, ..IdentifierRules::default() };
            check_types(&manifest.schema, &["players"], &state, &rules, types)
        };
        with("some(bigint)").unwrap();
        with("some(Date)").unwrap();
        let error = with("Some(Double)").unwrap_err();
        assert_eq!(error.context("in the dataset"), Some("Some(Double)"));
        assert_eq!(error.context("in the schema"), Some("Some(Bigint)"));
    }

    #[test]
    fn a_column_that_holds_less_than_the_schema_wants_is_widened() {
        let manifest = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        let column =
            ExistingColumn { name: "ID".into(), native_type: "narrow".into(), nullable: true };
        let mut state = DatasetState { exists: true, ..DatasetState::default() };
        state.tables.insert("players".into(), vec![column]);
        let rules = IdentifierRules { case: IdentifierCase::Lower, ..IdentifierRules::default() };
        let types = Types { widens: &|from, to| from == "narrow" && to == "Some(Bigint)", ..SAME };
        check_types(&manifest.schema, &["players"], &state, &rules, types).unwrap();
        let changes =
            schema_changes(&manifest.schema, &["players"], &state, &rules, types).unwrap();
        let widened: Vec<_> = changes
            .iter()
            .filter(|change| matches!(change, SchemaChange::WidenColumn { .. }))
            .cloned()
            .collect();
        assert_eq!(change_names(&widened), ["players.id"]);
    }
}
