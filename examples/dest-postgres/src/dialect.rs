//! How PostgreSQL writes things down.

use transload_core::sql::{
    CopyFile, Dialect, InsertFile, Statement, Step, Target, Work, column_list, double_quoted,
};
use transload_core::{
    Column, DataType, Error, ErrorKind, FileFormat, Job, JobContext, LocalFile, Result, Table,
};

/// PostgreSQL's SQL.
#[derive(Debug)]
pub struct PostgresDialect;

impl Dialect for PostgresDialect {
    fn quote(&self, name: &str) -> String {
        double_quoted(name)
    }

    fn literal(&self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn placeholder(&self, _position: usize) -> Option<String> {
        None
    }

    fn dataset(&self, dataset: &str) -> String {
        double_quoted(dataset)
    }

    fn table(&self, dataset: &str, table: &str) -> String {
        format!("{}.{}", double_quoted(dataset), double_quoted(table))
    }

    fn type_name(&self, column: &Column) -> Result<String> {
        type_name(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        let integer = |name| ["smallint", "integer", "bigint"].iter().position(|one| *one == name);
        match (numeric(from), numeric(to)) {
            (Some((digits, scale)), Some((more, finer))) => {
                from != to && finer >= scale && more - finer >= digits - scale
            }
            _ => integer(from).zip(integer(to)).is_some_and(|(from, to)| from < to),
        }
    }

    fn change_type(&self, table: &str, column: &str, type_name: &str) -> String {
        format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_name}")
    }

    fn check_table(&self, _table: &Table) -> Result<()> {
        Ok(())
    }

    fn table_options(&self, _table: &Table) -> String {
        String::new()
    }

    fn adds_column_if_not_exists(&self) -> bool {
        true
    }

    fn delete_all(&self, table: &str) -> String {
        // TRUNCATE would do in a transaction, but those who read the table would wait for its end.
        format!("DELETE FROM {table}")
    }

    fn overwrites(&self) -> bool {
        false
    }

    fn merges(&self) -> bool {
        true
    }

    fn position(&self) -> Option<&str> {
        Some("ctid")
    }

    fn aliases_in_delete(&self) -> bool {
        true
    }

    fn lock(&self, table: &str) -> Option<String> {
        // Two transactions that merge into one table would not see each other's rows, and insert a key twice.
        let table = self.literal(table);
        Some(format!("SELECT pg_advisory_xact_lock(hashtextextended({table}, 0))"))
    }

    fn now(&self) -> &str {
        "CURRENT_TIMESTAMP"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        format!("to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    }

    fn folds_case(&self) -> bool {
        false
    }

    fn dataset_exists(&self, dataset: &str) -> Statement {
        Statement::new("SELECT nspname FROM pg_namespace WHERE nspname = ").value(dataset)
    }

    fn columns(&self, dataset: &str) -> Statement {
        // Not the information schema, which hides tables of others and the digits of numbers.
        Statement::new(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), \
             CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END FROM pg_attribute AS a \
             JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname = ",
        )
        .value(dataset)
        .sql(" ORDER BY c.relname, a.attnum")
    }

    fn max_text_bytes(&self) -> Option<usize> {
        None
    }

    fn load(
        &self,
        target: &Target<'_>,
        jobs: &[Job],
        context: &JobContext<'_>,
    ) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for LocalFile { file, path } in context.local_files(jobs)? {
            let (gzip, into) = (file.gzip, target.name);
            let columns = column_list(self, file.columns.iter().map(String::as_str));
            let work: Work = match file.format {
                FileFormat::Csv => {
                    let sql =
                        format!("COPY {into} ({columns}) FROM STDIN (FORMAT csv, HEADER match)");
                    CopyFile { statement: Statement::new(sql), path, gzip }.into()
                }
                FileFormat::InsertValues => InsertFile { path, gzip, into: into.to_owned() }.into(),
                _ => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "it copies CSV, and no other files",
                    ));
                }
            };
            steps.push(Step::rows(format!("load {}", target.table.name), work, file.rows));
        }
        Ok(steps)
    }
}

/// The type of a column, as dlt chooses it, in the words of the catalog.
fn type_name(column: &Column) -> Result<String> {
    let (precision, scale) = (column.precision, column.scale.unwrap_or(0));
    let name = match column.data_type {
        Some(DataType::Text) => "character varying",
        Some(DataType::Double) => "double precision",
        Some(DataType::Bool) => "boolean",
        Some(DataType::Binary) => "bytea",
        Some(DataType::Json) => "jsonb",
        Some(DataType::Date) => "date",
        Some(DataType::Time) => "time without time zone",
        Some(DataType::Timestamp) if precision.is_some_and(|decimals| decimals > 6) => "",
        Some(DataType::Timestamp) if column.has_timezone() => "timestamp with time zone",
        Some(DataType::Timestamp) => "timestamp without time zone",
        Some(DataType::Bigint) => match precision {
            Some(0..=16) => "smallint",
            Some(17..=32) => "integer",
            None | Some(33..=64) => "bigint",
            Some(_) => "",
        },
        Some(DataType::Decimal | DataType::Wei) => match precision {
            None if column.data_type == Some(DataType::Wei) => "numeric(76,0)",
            None => "numeric(38,9)",
            Some(digits @ 1..=1000) if scale <= digits => {
                return Ok(format!("numeric({digits},{scale})"));
            }
            Some(_) => "",
        },
        None => "",
    };
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Configuration, "PostgreSQL has no such column")
            .with("column", &column.name)
            .with_hint("see its precision (6 decimals of a second, 64 bits) and scale"));
    }
    Ok(name.to_owned())
}

/// The digits of a `numeric(p,s)`, and those of them behind the point.
fn numeric(name: &str) -> Option<(u32, u32)> {
    let (digits, scale) = name.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    Some((digits.parse().ok()?, scale.parse().ok()?))
}
