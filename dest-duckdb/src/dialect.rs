//! How DuckDB writes things down.

use transload_core::sql::{
    Dialect, Statement, Step, Target, columns_query, dataset_query, double_quoted,
};
use transload_core::{Column, DataType, Error, ErrorKind, Job, JobContext, Result, Table};

/// The name under which the database is attached. Every table is named in full, since a dataset is often called like
/// the file, and then `chess.players` has two meanings.
pub(crate) const CATALOG: &str = "transload";

/// DuckDB's SQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DuckDbDialect;

impl Dialect for DuckDbDialect {
    fn quote(&self, name: &str) -> String {
        double_quoted(name)
    }

    fn literal(&self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn placeholder(&self, _position: usize) -> Option<String> {
        Some("?".to_owned())
    }

    fn dataset(&self, dataset: &str) -> String {
        format!("{}.{}", double_quoted(CATALOG), double_quoted(dataset))
    }

    fn table(&self, dataset: &str, table: &str) -> String {
        format!("{}.{}", self.dataset(dataset), double_quoted(table))
    }

    fn type_name(&self, column: &Column) -> Result<String> {
        type_name(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        widens(from, to)
    }

    fn change_type(&self, table: &str, column: &str, type_name: &str) -> String {
        format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {type_name}")
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
        format!("DELETE FROM {table}")
    }

    fn overwrites(&self) -> bool {
        false
    }

    fn merges(&self) -> bool {
        // Since 1.4: https://duckdb.org/docs/stable/sql/statements/merge_into
        true
    }

    fn position(&self) -> Option<&str> {
        // https://duckdb.org/docs/stable/sql/statements/select (row ids) and .../sql/dialect/order_preservation: rows are
        // inserted in the order of the files, and a table from which nothing was deleted numbers them so.
        Some("rowid")
    }

    fn aliases_in_delete(&self) -> bool {
        true
    }

    fn lock(&self, _table: &str) -> Option<String> {
        None
    }

    fn now(&self) -> &str {
        "CURRENT_TIMESTAMP"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        // The session is in UTC.
        format!("strftime(CAST({expression} AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%fZ')")
    }

    fn folds_case(&self) -> bool {
        // https://duckdb.org/docs/stable/sql/dialect/keywords_and_identifiers
        true
    }

    fn dataset_exists(&self, dataset: &str) -> Statement {
        dataset_query(self, Some(&self.literal(CATALOG)), dataset)
    }

    fn columns(&self, dataset: &str) -> Statement {
        columns_query(self, Some(&self.literal(CATALOG)), dataset)
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
        crate::copy::load(self, target, jobs, context)
    }
}

/// The type of a column, as dlt chooses it.
fn type_name(column: &Column) -> Result<String> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Configuration, "DuckDB has no type for a column")
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
        match precision {
            1..=38 if scale <= precision => Ok(format!("DECIMAL({precision},{scale})")),
            _ => Err(refused("a decimal has 1 to 38 digits, and no more of them behind the point")
                .with("precision", precision)
                .with("scale", scale)),
        }
    };
    let name = match data_type {
        // Lengths are not kept, as DuckDB does not hold values against them.
        DataType::Text => "VARCHAR",
        DataType::Binary => "BLOB",
        DataType::Double => "DOUBLE",
        DataType::Bool => "BOOLEAN",
        DataType::Date => "DATE",
        DataType::Time => "TIME",
        DataType::Json => "JSON",
        DataType::Decimal => return decimal((38, 9)),
        DataType::Wei => return decimal((38, 0)),
        DataType::Bigint => match column.precision {
            None => "BIGINT",
            Some(0..=8) => "TINYINT",
            Some(9..=16) => "SMALLINT",
            Some(17..=32) => "INTEGER",
            Some(33..=64) => "BIGINT",
            Some(65..=128) => "HUGEINT",
            Some(_) => return Err(refused("an integer has at most 128 bits")),
        },
        // It has one precision only.
        DataType::Timestamp if column.has_timezone() => "TIMESTAMP WITH TIME ZONE",
        DataType::Timestamp => match column.precision {
            None | Some(4..=6) => "TIMESTAMP",
            Some(0) => "TIMESTAMP_S",
            Some(1..=3) => "TIMESTAMP_MS",
            Some(7..=9) => "TIMESTAMP_NS",
            Some(_) => return Err(refused("a second has at most 9 decimals")),
        },
    };
    Ok(name.to_owned())
}

/// Whether every value of one type is a value of another.
fn widens(from: &str, to: &str) -> bool {
    const INTEGERS: [&str; 5] = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"];
    // Not to nanoseconds: these reach from 1677 to 2262 only.
    const MOMENTS: [&str; 3] = ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP"];
    let is_before = |order: &[&str]| {
        let place = |name: &str| order.iter().position(|known| known.eq_ignore_ascii_case(name));
        place(from).zip(place(to)).is_some_and(|(from, to)| from < to)
    };
    let wider_decimal = || {
        let (from, to) = (decimal_of(from)?, decimal_of(to)?);
        let whole = |(precision, scale): (u32, u32)| precision.checked_sub(scale);
        Some(from != to && from.1 <= to.1 && whole(from)? <= whole(to)?)
    };
    is_before(&INTEGERS) || is_before(&MOMENTS) || wider_decimal().unwrap_or(false)
}

/// Precision and scale of a `DECIMAL(p,s)`.
fn decimal_of(name: &str) -> Option<(u32, u32)> {
    let (word, digits) = name.strip_suffix(')')?.split_once('(')?;
    let (precision, scale) = digits.split_once(',')?;
    let is_decimal = word.eq_ignore_ascii_case("DECIMAL");
    is_decimal.then_some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_dlts() {
        let mut shown = String::new();
        for data_type in DataType::ALL {
            let mut column = Column::new("c", data_type);
            let mut row = vec![type_name(&column).unwrap()];
            for precision in [0, 3, 9, 20, 40, 100] {
                let name = type_name(&column.clone().with_precision(precision));
                row.push(name.unwrap_or_else(|error| error.kind().to_string()));
            }
            column.timezone = Some(false);
            row.push(type_name(&column.clone().with_precision(9)).unwrap());
            shown.push_str(&format!("{data_type}: {}\n", row.join(" | ")));
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_the_toolkit_asks_for_is_said_in_duckdbs_words() {
        let statements = transload_core::conformance::statements(&DuckDbDialect);
        insta::assert_snapshot!(statements.unwrap());
    }

    #[test]
    fn a_type_is_widened_only_where_no_value_changes() {
        for (from, to) in [
            ("TINYINT", "BIGINT"),
            ("bigint", "HUGEINT"),
            ("DECIMAL(10,2)", "DECIMAL(12,2)"),
            ("DECIMAL(10,2)", "DECIMAL(12,4)"),
            ("TIMESTAMP_S", "TIMESTAMP"),
        ] {
            assert!(widens(from, to), "{from} to {to}");
            assert!(!widens(to, from), "{to} to {from}");
            assert!(!widens(from, from), "{from}");
        }
        for (from, to) in [
            ("DECIMAL(10,2)", "DECIMAL(10,4)"),
            ("TIMESTAMP", "TIMESTAMP_NS"),
            ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
            ("BIGINT", "DOUBLE"),
            ("VARCHAR", "BIGINT"),
        ] {
            assert!(!widens(from, to), "{from} to {to}");
        }
    }

    #[test]
    fn a_timestamp_without_zone_keeps_its_decimals() {
        let mut column = Column::new("c", DataType::Timestamp);
        column.timezone = Some(false);
        let names = [0, 3, 6, 9].map(|p| type_name(&column.clone().with_precision(p)).unwrap());
        assert_eq!(names, ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS"]);
    }

    #[test]
    fn names_are_quoted_and_full() {
        let table = DuckDbDialect.table("a\"b", "select 😀.x");
        assert_eq!(table, "\"transload\".\"a\"\"b\".\"select 😀.x\"");
    }
}
