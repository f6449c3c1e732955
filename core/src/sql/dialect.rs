//! How an engine writes things down: what differs as a trait, what is common as functions over it.

use std::fmt;

use crate::{Column, Job, JobContext, Result, Table};

use super::{Parameter, Statement, Step};

/// How an engine writes names, types, literals and loads. Text only: it connects to nothing.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// A name in quotes, for example by [`double_quoted`].
    fn quote(&self, name: &str) -> String;

    /// A text as a literal.
    fn literal(&self, text: &str) -> String;

    /// What stands for the value with this number, counted from 1; `None` where values are written as literals.
    fn placeholder(&self, position: usize) -> Option<String>;

    /// A dataset, quoted, with what it must be qualified with.
    fn dataset(&self, dataset: &str) -> String;

    /// A table of a dataset, quoted and qualified.
    fn table(&self, dataset: &str, table: &str) -> String;

    /// The type of a column, without NOT NULL, in the words in which [`columns`](Self::columns) gives it back.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Configuration`] where the engine has no type of this precision.
    fn type_name(&self, column: &Column) -> Result<String>;

    /// Whether the engine changes a column of the type `from` to the type `to` and no value with it; see
    /// [`crate::Destination::widens`].
    fn widens(&self, from: &str, to: &str) -> bool;

    /// The statement that changes the type of a column, quoted as the table is: `ALTER TABLE t ALTER COLUMN c TYPE x`.
    fn change_type(&self, table: &str, column: &str, type_name: &str) -> String;

    /// Whether hints say of the table what can be had; see [`crate::Destination::check_table`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Configuration`] for a hint that cannot be followed.
    fn check_table(&self, table: &Table) -> Result<()>;

    /// What stands behind the columns of a CREATE TABLE, with a blank before it: keys of distribution, partitions. A hint
    /// that [`check_table`](Self::check_table) refuses is left out: the table may be one for a load alone.
    fn table_options(&self, table: &Table) -> String;

    /// Whether `ALTER TABLE … ADD COLUMN IF NOT EXISTS` is understood. Where not, columns are looked up first.
    fn adds_column_if_not_exists(&self) -> bool;

    /// Empties a table within a transaction: `DELETE FROM t`. Never TRUNCATE, which many engines commit on.
    fn delete_all(&self, table: &str) -> String;

    /// Whether `INSERT OVERWRITE INTO t (…) SELECT …` is understood, takes part in a transaction, and leaves the table itself as
    /// it is: its grants, its keys. It empties a table and fills it in one statement.
    fn overwrites(&self) -> bool;

    /// Whether `MERGE INTO … USING (query)` is understood with several clauses, a condition in each: `WHEN MATCHED AND …
    /// THEN DELETE`, `WHEN MATCHED THEN UPDATE`, `WHEN NOT MATCHED AND … THEN INSERT`. Where not, `upsert` updates and inserts.
    fn merges(&self) -> bool;

    /// An expression for the place at which a row came into a table, in the order of its files, where the engine keeps it: of
    /// the rows of one key the last one stays then, and else any one of them, the same in each statement.
    fn position(&self) -> Option<&str>;

    /// Whether `DELETE FROM t AS d` is understood. Where not, the table is called by its full name in the condition.
    fn aliases_in_delete(&self) -> bool;

    /// The statement by which a transaction takes a table for itself before it reads anything, where it would otherwise
    /// fail rather than wait for another one: `LOCK t`.
    fn lock(&self, table: &str) -> Option<String>;

    /// The expression for the present time: `CURRENT_TIMESTAMP`.
    fn now(&self) -> &str;

    /// An expression for a timestamp as RFC 3339, UTC, to the microsecond.
    fn timestamp_text(&self, expression: &str) -> String;

    /// Whether names that differ only in the case of ASCII letters are one name, those in quotes too.
    fn folds_case(&self) -> bool;

    /// The statement that returns a row where this dataset exists: mostly [`dataset_query`].
    fn dataset_exists(&self, dataset: &str) -> Statement;

    /// The statement that returns the columns of all tables of a dataset, in their order: table, column, type, and
    /// `YES` where it may be NULL. Mostly [`columns_query`]. The dataset is found as the engine would find it; names come
    /// back in the case in which they were made.
    fn columns(&self, dataset: &str) -> Statement;

    /// The bytes of the longest text that a column holds; longer schemas are stored compressed, as dlt does.
    fn max_text_bytes(&self) -> Option<usize>;

    /// The steps that bring the files of these jobs, all of one table, into the target, in as few statements as the
    /// engine needs. Each step expects exactly the rows of its files: see [`Step::rows`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a format or a way in that was not claimed.
    fn load(
        &self,
        target: &Target<'_>,
        jobs: &[Job],
        context: &JobContext<'_>,
    ) -> Result<Vec<Step>>;
}

/// Where rows go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The table, quoted and qualified: the final one or a staging table.
    pub name: &'a str,
    /// Its columns.
    pub table: &'a Table,
}

/// A name in double quotes, those inside doubled: standard SQL.
pub fn double_quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names of columns, quoted, with commas between them.
pub fn column_list<'a>(
    dialect: &dyn Dialect,
    columns: impl IntoIterator<Item = &'a str>,
) -> String {
    columns.into_iter().map(|name| dialect.quote(name)).collect::<Vec<_>>().join(", ")
}

/// `CREATE TABLE IF NOT EXISTS` under this name with the columns that have a type.
///
/// # Errors
/// That of [`Dialect::type_name`].
pub fn create_table(dialect: &dyn Dialect, name: &str, table: &Table) -> Result<Statement> {
    let mut columns = Vec::new();
    for column in table.complete_columns() {
        let not_null = if column.nullable { "" } else { " NOT NULL" };
        columns.push(format!(
            "  {} {}{not_null}",
            dialect.quote(&column.name),
            dialect.type_name(column)?
        ));
    }
    Ok(Statement::new(format!(
        "CREATE TABLE IF NOT EXISTS {name} (\n{}\n){}",
        columns.join(",\n"),
        dialect.table_options(table)
    )))
}

/// `ALTER TABLE … ADD COLUMN`.
///
/// # Errors
/// That of [`Dialect::type_name`].
pub fn add_column(dialect: &dyn Dialect, name: &str, column: &Column) -> Result<Statement> {
    let condition = if dialect.adds_column_if_not_exists() { "IF NOT EXISTS " } else { "" };
    // Never NOT NULL: the rows that are there have no value for it, and no engine invents one.
    Ok(Statement::new(format!(
        "ALTER TABLE {name} ADD COLUMN {condition}{} {}",
        dialect.quote(&column.name),
        dialect.type_name(column)?
    )))
}

/// A value of a row to insert.
pub(super) enum Value {
    /// A value as it is.
    Plain(Parameter),
    /// A time, RFC 3339, brought to the type of its column.
    Time(Parameter),
}

/// `INSERT INTO … VALUES` of one row into the first columns of a table. Columns without a value here become NULL.
///
/// # Errors
/// That of [`Dialect::type_name`].
pub(super) fn insert_row(
    dialect: &dyn Dialect,
    name: &str,
    table: &Table,
    values: Vec<Value>,
) -> Result<Statement> {
    let columns = column_list(dialect, table.columns.keys().map(String::as_str));
    let mut statement = Statement::new(format!("INSERT INTO {name} ({columns}) VALUES ("));
    for (index, (value, column)) in values.into_iter().zip(table.columns.values()).enumerate() {
        if index > 0 {
            statement = statement.sql(", ");
        }
        statement = match value {
            Value::Plain(value) => statement.value(value),
            Value::Time(value) => cast(statement, value, &dialect.type_name(column)?),
        };
    }
    Ok(statement.sql(")"))
}

/// Adds `CAST(value AS type)`.
pub(super) fn cast(
    statement: Statement,
    value: impl Into<Parameter>,
    type_name: &str,
) -> Statement {
    statement.sql("CAST(").value(value).sql(&format!(" AS {type_name})"))
}

/// Whether two names are one to the engine.
pub(super) fn same_name(dialect: &dyn Dialect, a: &str, b: &str) -> bool {
    match dialect.folds_case() {
        true => a.eq_ignore_ascii_case(b),
        false => a == b,
    }
}

/// Adds the condition that a column of the catalog holds this name, compared as the engine compares names.
fn is_name(statement: Statement, dialect: &dyn Dialect, column: &str, name: &str) -> Statement {
    if !dialect.folds_case() {
        return statement.sql(&format!("{column} = ")).value(name);
    }
    // Not lower(): it folds letters that the engine's names keep apart.
    let upper: String = ('A'..='Z').collect();
    let lower: String = ('a'..='z').collect();
    statement
        .sql(&format!("translate({column}, '{upper}', '{lower}') = "))
        .value(name.to_ascii_lowercase())
}

/// [`Dialect::dataset_exists`] by the information schema; `catalog` is an expression for the database, where there can
/// be more than one.
pub fn dataset_query(dialect: &dyn Dialect, catalog: Option<&str>, dataset: &str) -> Statement {
    let statement = Statement::new("SELECT schema_name FROM information_schema.schemata WHERE ");
    let statement = is_name(statement, dialect, "schema_name", dataset);
    match catalog {
        Some(catalog) => statement.sql(&format!(" AND catalog_name = {catalog}")),
        None => statement,
    }
}

/// [`Dialect::columns`] by the information schema; `catalog` as in [`dataset_query`].
pub fn columns_query(dialect: &dyn Dialect, catalog: Option<&str>, dataset: &str) -> Statement {
    let statement = Statement::new(
        "SELECT table_name, column_name, data_type, is_nullable \
         FROM information_schema.columns WHERE ",
    );
    let statement = is_name(statement, dialect, "table_schema", dataset);
    let statement = match catalog {
        Some(catalog) => statement.sql(&format!(" AND table_catalog = {catalog}")),
        None => statement,
    };
    statement.sql(" ORDER BY table_name, ordinal_position")
}
