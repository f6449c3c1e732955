//! How Snowflake writes things down. Pages are those of the Snowflake documentation.

use std::sync::Arc;

use transload_core::sql::{
    Dialect, Row, Statement, Step, Target, column_list, create_table, double_quoted,
};
use transload_core::{
    Column, DataType, Dataset, Error, ErrorKind, Job, JobContext, Result, SchemaChange, Table,
};

use crate::copy::{self, CopyRules};

/// Characters of a VARCHAR that does not say. "String & binary data types".
const TEXT_LENGTH: u32 = 16_777_216;

/// Bytes of a BINARY that does not say. "String & binary data types".
const BINARY_LENGTH: u32 = 8_388_608;

/// Snowflake's SQL.
#[derive(Clone, Debug)]
pub(crate) struct SnowflakeDialect {
    /// The database, quoted.
    pub(crate) database: String,
    /// Whether names are kept as they are written, and told apart by case.
    pub(crate) case_sensitive: bool,
    /// How files are copied.
    pub(crate) copy: Arc<CopyRules>,
}

impl Dialect for SnowflakeDialect {
    fn quote(&self, name: &str) -> String {
        match self.case_sensitive {
            true => double_quoted(name),
            false => upper(name),
        }
    }

    fn literal(&self, text: &str) -> String {
        literal(text)
    }

    fn placeholder(&self, _position: usize) -> Option<String> {
        None
    }

    fn dataset(&self, dataset: &str) -> String {
        format!("{}.{}", self.database, self.quote(dataset))
    }

    fn table(&self, dataset: &str, table: &str) -> String {
        format!("{}.{}.{}", self.database, self.quote(dataset), self.quote(table))
    }

    fn type_name(&self, column: &Column) -> Result<String> {
        type_name(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        // "ALTER TABLE … ALTER COLUMN": the length of a text and the digits of a number may grow, the scale may not change.
        let grows = |name: &str| {
            let of = |text: &str| Some(text.strip_prefix(name)?.strip_suffix(')')?.to_owned());
            of(from).zip(of(to))
        };
        if let Some((from, to)) = grows("VARCHAR(") {
            return from.parse::<u32>().ok() < to.parse::<u32>().ok();
        }
        let Some((from, to)) = grows("NUMBER(") else { return false };
        match (from.split_once(','), to.split_once(',')) {
            (Some((from, from_scale)), Some((to, to_scale))) => {
                from_scale == to_scale && from.parse::<u32>().ok() < to.parse::<u32>().ok()
            }
            _ => false,
        }
    }

    fn change_type(&self, table: &str, column: &str, type_name: &str) -> String {
        format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {type_name}")
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        check_clustering(table)
    }

    fn table_options(&self, table: &Table) -> String {
        table_options(self, table)
    }

    fn adds_column_if_not_exists(&self) -> bool {
        // "ALTER TABLE".
        true
    }

    fn delete_all(&self, table: &str) -> String {
        // "TRUNCATE TABLE" ends a transaction as all DDL does, and makes COPY forget which files it has loaded.
        format!("DELETE FROM {table}")
    }

    fn overwrites(&self) -> bool {
        // "INSERT", OVERWRITE: within the scope of the current transaction, and without an effect on privileges.
        true
    }

    fn merges(&self) -> bool {
        // "MERGE" has all of it.
        true
    }

    fn position(&self) -> Option<&str> {
        // COPY reads files in parallel.
        None
    }

    fn aliases_in_delete(&self) -> bool {
        // "DELETE": the table has no alias.
        false
    }

    fn lock(&self, table: &str) -> Option<String> {
        // "Transactions", "Resource locking": UPDATE locks and waits, and what follows sees what the other one left, since
        // each statement sees what was committed before it began. There is no LOCK.
        let column = self.quote("seq");
        Some(format!("UPDATE {table} SET {column} = {column}"))
    }

    fn now(&self) -> &str {
        "CURRENT_TIMESTAMP()"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        // "Date and time input and output formats".
        format!(
            "TO_CHAR(CONVERT_TIMEZONE('UTC', {expression}), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6\"Z\"')"
        )
    }

    fn folds_case(&self) -> bool {
        !self.case_sensitive
    }

    fn dataset_exists(&self, dataset: &str) -> Statement {
        // "SHOW SCHEMAS": LIKE has wildcards and no case, this has neither. Those that only begin so are left out by the
        // client, see `catalog`.
        let name = match self.case_sensitive {
            true => dataset.to_owned(),
            false => dataset.to_ascii_uppercase(),
        };
        Statement::new(format!("SHOW TERSE SCHEMAS IN DATABASE {} STARTS WITH ", self.database))
            .value(name)
    }

    fn columns(&self, dataset: &str) -> Statement {
        // Its answer is put into our words by the client, see `catalog`.
        Statement::new(format!("SHOW COLUMNS IN SCHEMA {}", self.dataset(dataset)))
    }

    fn max_text_bytes(&self) -> Option<usize> {
        Some(TEXT_LENGTH as usize)
    }

    fn load(
        &self,
        target: &Target<'_>,
        jobs: &[Job],
        context: &JobContext<'_>,
    ) -> Result<Vec<Step>> {
        copy::load(self, target, jobs, context)
    }
}

impl SnowflakeDialect {
    /// Refuses a dataset whose tables were made by the other rule for names: they would be made once more beside those that are
    /// there. `rows` are those of its columns.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub(crate) fn check_case(&self, rows: &[Row]) -> Result<()> {
        const KNOWN: &str = "_dlt_loads";
        let mut tables = rows.iter().filter_map(|row| row.first()?.as_deref());
        let ours = if self.case_sensitive { KNOWN.to_owned() } else { KNOWN.to_ascii_uppercase() };
        match tables.clone().find(|table| table.eq_ignore_ascii_case(KNOWN)) {
            Some(other) if tables.all(|table| table != ours) => Err(Error::new(
                ErrorKind::Configuration,
                "the dataset has names in another case than the settings say",
            )
            .with("table", other)
            .with("expected", ours)
            .with_hint(format!(
                "set `destination.snowflake.has_case_sensitive_identifiers = {}`, or take another dataset",
                !self.case_sensitive
            ))),
            _ => Ok(()),
        }
    }
}

/// The statements that describe the tables which these changes make, where they have dlt's `description`. "COMMENT".
pub(crate) fn table_comments(
    dialect: &SnowflakeDialect,
    dataset: &Dataset,
    changes: &[SchemaChange],
) -> Vec<Statement> {
    let described = |change: &SchemaChange| {
        let SchemaChange::CreateTable(table) = change else { return None };
        let text = table.hints.get("description")?.as_str()?.to_owned();
        let name = dialect.table(&dataset.name, &table.name);
        Some(Statement::new(format!("COMMENT ON TABLE {name} IS ")).value(text))
    };
    changes.iter().filter_map(described).collect()
}

/// A name in quotes, in upper case: what a query finds that writes it without quotes. "Identifier requirements".
pub(crate) fn upper(name: &str) -> String {
    double_quoted(&name.to_ascii_uppercase())
}

/// A text as a literal, in which a backslash escapes. "String & binary data types", "Escape sequences".
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The type of a column, as dlt chooses it, with everything that Snowflake would fill in.
fn type_name(column: &Column) -> Result<String> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Configuration, "Snowflake has no type for a column")
            .with("column", &column.name)
            .with("reason", reason)
    };
    let Some(data_type) = column.data_type else {
        return Err(Error::new(ErrorKind::Bug, "a column without a type cannot be made")
            .with("column", &column.name));
    };
    let decimal = |default: (u32, u32)| {
        let (precision, scale) = match column.precision {
            Some(precision) => (precision, column.scale.unwrap_or(0)),
            None => default,
        };
        // "Numeric data types".
        match precision {
            1..=38 if scale <= precision.min(37) => Ok(format!("NUMBER({precision},{scale})")),
            _ => Err(refused("a number has 1 to 38 digits, at most 37 of them behind the point")
                .with("precision", precision)
                .with("scale", scale)),
        }
    };
    let decimals = |default: u32| match column.precision.unwrap_or(default) {
        decimals if decimals <= 9 => Ok(decimals),
        _ => Err(refused("a second has at most 9 decimals")),
    };
    Ok(match data_type {
        DataType::Text => match column.precision.unwrap_or(TEXT_LENGTH) {
            length if (1..=TEXT_LENGTH).contains(&length) => format!("VARCHAR({length})"),
            _ => return Err(refused("a text has 1 to 16777216 characters")),
        },
        // As dlt: a length in bytes is not told apart from one in digits, and costs nothing where it is larger.
        DataType::Binary => format!("BINARY({BINARY_LENGTH})"),
        DataType::Double => "FLOAT".to_owned(),
        DataType::Bool => "BOOLEAN".to_owned(),
        DataType::Date => "DATE".to_owned(),
        DataType::Time => format!("TIME({})", decimals(9)?),
        DataType::Json => "VARIANT".to_owned(),
        DataType::Decimal => decimal((38, 9))?,
        DataType::Wei => decimal((38, 0))?,
        DataType::Bigint if column.precision.is_some_and(|bits| bits > 64) => {
            return Err(refused("an integer has at most 64 bits"));
        }
        DataType::Bigint => "NUMBER(19,0)".to_owned(),
        DataType::Timestamp if column.has_timezone() => format!("TIMESTAMP_TZ({})", decimals(6)?),
        DataType::Timestamp => format!("TIMESTAMP_NTZ({})", decimals(6)?),
    })
}

/// The hint by which rows are clustered, asked of columns that can be a key: those of any type but VARIANT. "Clustering keys &
/// clustered tables".
fn check_clustering(table: &Table) -> Result<()> {
    let mut hinted = table.complete_columns().filter(|column| column.has_hint("cluster"));
    let Some(column) = hinted.find(|column| !is_key(column)) else { return Ok(()) };
    let what = "Snowflake does not cluster rows by a column of this type";
    Err(Error::new(ErrorKind::Configuration, what)
        .with("table", &table.name)
        .with("column", &column.name)
        .with("hint", "cluster")
        .with("type", DataType::Json)
        .with_hint("take the hint away, or give it to another column, and load again"))
}

fn is_key(column: &Column) -> bool {
    column.data_type != Some(DataType::Json)
}

/// How rows are clustered: dlt's hint `cluster`. Said once, when the table is made: a key that somebody changes later
/// stays as it is. "Clustering keys & clustered tables".
fn table_options(dialect: &SnowflakeDialect, table: &Table) -> String {
    let clustered: Vec<String> = table
        .complete_columns()
        .filter(|column| column.has_hint("cluster") && is_key(column))
        .map(|column| dialect.quote(&column.name))
        .collect();
    match clustered.is_empty() {
        true => String::new(),
        false => format!(" CLUSTER BY ({})", clustered.join(", ")),
    }
}

/// The statement that makes a table with its keys, which Snowflake writes down and does not enforce; none where it has
/// none. "CREATE TABLE … CONSTRAINT".
///
/// # Errors
/// That of [`Dialect::type_name`].
pub(crate) fn create_with_keys(
    dialect: &dyn Dialect,
    dataset: &str,
    table: &Table,
) -> Result<Option<Statement>> {
    let primary = table.columns_with_hint("primary_key");
    let unique = table.complete_columns().filter(|column| column.has_hint("unique"));
    let keys: Vec<String> = (!primary.is_empty())
        .then(|| format!("  PRIMARY KEY ({})", column_list(dialect, primary)))
        .into_iter()
        .chain(unique.map(|column| format!("  UNIQUE ({})", dialect.quote(&column.name))))
        .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let name = dialect.table(dataset, &table.name);
    let (sql, _) = create_table(dialect, &name, table)?.render(dialect);
    let options = dialect.table_options(table);
    let columns = sql.strip_suffix(&format!("\n){options}")).unwrap_or(&sql);
    Ok(Some(Statement::new(format!("{columns},\n{}\n){options}", keys.join(",\n")))))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use transload_core::sql::{column_comments, migration};
    use transload_core::{ExistingColumn, WriteDisposition};

    use super::*;

    pub(crate) fn dialect() -> SnowflakeDialect {
        SnowflakeDialect { database: upper("raw"), case_sensitive: false, copy: Arc::default() }
    }

    pub(crate) fn case_sensitive() -> SnowflakeDialect {
        SnowflakeDialect { case_sensitive: true, ..dialect() }
    }

    #[test]
    fn types_are_dlts_with_all_that_snowflake_fills_in() {
        let mut shown = String::new();
        for data_type in DataType::ALL {
            let mut column = Column::new("c", data_type);
            let mut row = vec![type_name(&column).unwrap()];
            for precision in [0, 6, 9, 20, 40, 100, 20_000_000] {
                let name = type_name(&column.clone().with_precision(precision));
                row.push(name.unwrap_or_else(|error| error.kind().to_string()));
            }
            column.timezone = Some(false);
            row.push(type_name(&column.clone().with_precision(6)).unwrap());
            shown.push_str(&format!("{data_type}: {}\n", row.join(" | ")));
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn rows_are_not_clustered_by_json() {
        let mut table = Table::root("t", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint).with_hint("cluster"));
        check_clustering(&table).unwrap();
        let options = table_options(&dialect(), &table);
        table.put(Column::new("doc", DataType::Json).with_hint("cluster"));
        let error = check_clustering(&table).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!((error.context("table"), error.context("column")), (Some("t"), Some("doc")));
        // A table for the rows of a load can be had all the same.
        assert_eq!(table_options(&dialect(), &table), options);
    }

    #[test]
    fn what_the_toolkit_asks_for_is_said_in_snowflakes_words() {
        insta::assert_snapshot!(transload_core::conformance::statements(&dialect()).unwrap());
    }

    #[test]
    fn tables_are_made_and_widened_by_these_statements() {
        let mut table = Table::root("players", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint).not_null().with_hint("cluster"));
        table.put(Column::new("it's \"a\" näme", DataType::Text));
        table.put(Column::new("at", DataType::Timestamp).with_hint("cluster"));
        table.put(Column::new("state", DataType::Json));
        let described = |name: &str, text: &str| {
            let mut column = Column::new(name, DataType::Date);
            column.hints.insert("description".into(), text.into());
            column
        };
        table.put(described("born", "it's a \\ day"));
        table.hints.insert("description".into(), "who's who".into());
        let changes = [
            SchemaChange::CreateDataset,
            SchemaChange::CreateTable(table),
            SchemaChange::AddColumns {
                table: "games".into(),
                // A key of the table stays as it is, whatever a new column says.
                columns: vec![described("played", "when").not_null().with_hint("cluster")],
            },
            SchemaChange::WidenColumn {
                table: "games".into(),
                column: Column::new("title", DataType::Text).with_precision(20),
            },
        ];
        let title = ExistingColumn {
            name: "TITLE".into(),
            native_type: "VARCHAR(10)".into(),
            nullable: true,
        };
        let have = BTreeMap::from([("GAMES".to_owned(), vec![title])]);
        let dialect = dialect();
        let dataset = Dataset::new("chess");
        let statements = migration(&dialect, &dataset, &changes, &have).unwrap();
        let mut comments = column_comments(&dialect, &dataset, &changes);
        comments.extend(table_comments(&dialect, &dataset, &changes));
        let shown: String = [dialect.dataset_exists("it's"), dialect.columns("chess")]
            .iter()
            .chain(&statements)
            .chain(&comments)
            .map(|statement| format!("{};\n", statement.render(&dialect).0))
            .collect();
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn keys_are_written_down_where_that_is_asked_for() {
        let mut table = Table::root("players", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint).not_null().with_hint("primary_key"));
        table
            .put(Column::new("born", DataType::Date).with_hint("primary_key").with_hint("cluster"));
        table.put(Column::new("_dlt_id", DataType::Text).not_null().with_hint("unique"));
        let statement = create_with_keys(&dialect(), "chess", &table).unwrap().unwrap();
        insta::assert_snapshot!(statement);
        let plain = Table::root("plain", WriteDisposition::Append);
        assert!(create_with_keys(&dialect(), "chess", &plain).unwrap().is_none());
    }

    #[test]
    fn names_are_kept_by_case_where_that_is_asked_for() {
        let dialect = case_sensitive();
        let mut table = Table::root("Players", WriteDisposition::Append);
        table.put(Column::new("playerId", DataType::Bigint).not_null().with_hint("cluster"));
        let changes = [SchemaChange::CreateDataset, SchemaChange::CreateTable(table)];
        let statements = migration(&dialect, &Dataset::new("Chess"), &changes, &BTreeMap::new());
        let made = statements.unwrap().pop().unwrap();
        let shown: String = [
            dialect.dataset_exists("Chess"),
            dialect.columns("Chess"),
            Statement::new(dialect.lock(&dialect.table("Chess", "_transload_fence")).unwrap()),
            made,
        ]
        .iter()
        .map(|statement| format!("{};\n", statement.render(&dialect).0))
        .collect();
        insta::assert_snapshot!(shown);
        assert!(!dialect.folds_case() && super::tests::dialect().folds_case());
    }

    #[test]
    fn a_dataset_that_was_made_by_the_other_rule_for_names_is_refused() {
        let rows = |tables: &[&str]| -> Vec<Row> {
            tables.iter().map(|table| vec![Some((*table).to_owned()), None]).collect()
        };
        for (tables, folding, keeping) in [
            (&["_DLT_LOADS", "T"][..], true, false),
            (&["_dlt_loads", "T"], false, true),
            // Both are there, or neither.
            (&["_dlt_loads", "_DLT_LOADS"], true, true),
            (&["T"], true, true),
        ] {
            assert_eq!(dialect().check_case(&rows(tables)).is_ok(), folding, "{tables:?}");
            assert_eq!(case_sensitive().check_case(&rows(tables)).is_ok(), keeping, "{tables:?}");
        }
        let error = dialect().check_case(&rows(&["_dlt_loads"])).unwrap_err();
        assert!(error.hint().unwrap().contains("has_case_sensitive_identifiers = true"));
    }

    #[test]
    fn only_what_changes_no_value_is_a_widening() {
        for (from, to, widens) in [
            ("VARCHAR(10)", "VARCHAR(20)", true),
            ("VARCHAR(20)", "VARCHAR(10)", false),
            ("NUMBER(10,2)", "NUMBER(12,2)", true),
            ("NUMBER(10,2)", "NUMBER(12,3)", false),
            ("NUMBER(19,0)", "FLOAT", false),
            ("TIMESTAMP_TZ(6)", "TIMESTAMP_TZ(9)", false),
        ] {
            assert_eq!(dialect().widens(from, to), widens, "{from} {to}");
        }
    }

    #[test]
    fn a_text_ends_no_literal() {
        for (text, expected) in [
            ("it's", "'it''s'"),
            ("\\", "'\\\\'"),
            ("\\'; DROP TABLE t; --", "'\\\\''; DROP TABLE t; --'"),
        ] {
            assert_eq!(literal(text), expected);
        }
    }
}
