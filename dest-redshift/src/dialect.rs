//! How Redshift writes things down.
//!
//! "Guide" is the Amazon Redshift Database Developer Guide.

use std::sync::Arc;

use transload_core::sql::{Dialect, Statement, Step, Target, double_quoted};
use transload_core::{Column, DataType, Error, ErrorKind, Job, JobContext, Result, Table};

use crate::copy::{self, CopyRules};

/// Bytes of the longest text. Guide, "Character types".
pub(crate) const TEXT_BYTES: u32 = 65_535;

/// Bytes of a VARBYTE that does not say, and of the longest. Guide, "VARBYTE type".
const BINARY_BYTES: (u32, u32) = (64_000, 16_777_216);

/// Redshift's SQL.
#[derive(Clone, Debug)]
pub(crate) struct RedshiftDialect {
    /// Whether the session has `enable_case_sensitive_identifier`.
    pub(crate) case_sensitive: bool,
    /// How files are copied.
    pub(crate) copy: Arc<CopyRules>,
}

impl Dialect for RedshiftDialect {
    fn quote(&self, name: &str) -> String {
        double_quoted(name)
    }

    fn literal(&self, text: &str) -> String {
        literal(text)
    }

    fn placeholder(&self, _position: usize) -> Option<String> {
        // Statements go by the simple protocol, as psycopg2 sends them: values in the text.
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
        // Guide, "ALTER TABLE": ALTER COLUMN TYPE changes the size of a VARCHAR and nothing else.
        text_size(from).zip(text_size(to)).is_some_and(|(from, to)| from < to)
    }

    fn change_type(&self, table: &str, column: &str, type_name: &str) -> String {
        format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_name}")
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        check_keys(table)
    }

    fn table_options(&self, table: &Table) -> String {
        table_options(table)
    }

    fn adds_column_if_not_exists(&self) -> bool {
        // Guide, "ALTER TABLE": ADD COLUMN has no condition.
        false
    }

    fn delete_all(&self, table: &str) -> String {
        // Guide, "TRUNCATE": it commits the transaction in which it runs.
        format!("DELETE FROM {table}")
    }

    fn overwrites(&self) -> bool {
        false
    }

    fn merges(&self) -> bool {
        // Guide, "MERGE": one clause of each kind, without a condition, and a table as its source.
        false
    }

    fn position(&self) -> Option<&str> {
        // COPY reads files on all slices at once.
        None
    }

    fn aliases_in_delete(&self) -> bool {
        // Guide, "DELETE": the table has no alias.
        false
    }

    fn lock(&self, table: &str) -> Option<String> {
        // Guide, "Serializable isolation": two transactions that read and then write a table fail with error 1023, and
        // "LOCK" is the first remedy. It waits, and what is read afterwards is what the other one left.
        Some(format!("LOCK {table}"))
    }

    fn now(&self) -> &str {
        // Guide, "Deprecated leader node-only functions": CURRENT_TIMESTAMP does not run where tables are.
        "GETDATE()"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        // The session is in UTC. Guide, "Datetime format strings".
        format!(
            "TO_CHAR({expression}, 'YYYY-MM-DD') || 'T' || TO_CHAR({expression}, 'HH24:MI:SS.US') || 'Z'"
        )
    }

    fn folds_case(&self) -> bool {
        !self.case_sensitive
    }

    fn dataset_exists(&self, dataset: &str) -> Statement {
        Statement::new("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ")
            .value(self.stored(dataset))
    }

    fn columns(&self, dataset: &str) -> Statement {
        // The catalog tables of PostgreSQL show every table, whatever this user may do with it; the SVV views do not,
        // and one that is not seen would be made once more. Guide, "System catalog tables".
        Statement::new(
            "SELECT c.relname, a.attname, \
             REPLACE(FORMAT_TYPE(a.atttypid, a.atttypmod), 'varbyte', 'binary varying'), \
             CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END \
             FROM pg_catalog.pg_attribute AS a \
             JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname = ",
        )
        .value(self.stored(dataset))
        .sql(" ORDER BY c.relname, a.attnum")
    }

    fn max_text_bytes(&self) -> Option<usize> {
        Some(TEXT_BYTES as usize)
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

impl RedshiftDialect {
    /// A name as the catalog holds it.
    fn stored(&self, name: &str) -> String {
        if self.case_sensitive { name.to_owned() } else { name.to_ascii_lowercase() }
    }
}

/// The bytes of a column whose longest text has so many: with a quarter of them to spare, in steps, so that it seldom has to
/// be widened. Longer texts than the last step are refused by the cluster.
fn size_for(longest: u64) -> u32 {
    let wanted = longest.saturating_add(longest / 4);
    let steps = [256, 1024, 4096, 16_384];
    steps.into_iter().find(|step| u64::from(*step) >= wanted).unwrap_or(TEXT_BYTES)
}

/// The bytes of a `character varying(n)`.
fn text_size(name: &str) -> Option<u32> {
    name.strip_prefix("character varying(")?.strip_suffix(')')?.parse().ok()
}

/// A text as a literal, in which a backslash escapes.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The type of a column, as dlt chooses it, in the words of the catalog.
fn type_name(column: &Column) -> Result<String> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Configuration, "Redshift has no type for a column")
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
        // Guide, "Numeric types".
        match precision {
            1..=38 if scale <= precision.min(37) => Ok(format!("numeric({precision},{scale})")),
            _ => Err(refused("a decimal has 1 to 38 digits, at most 37 of them behind the point")
                .with("precision", precision)
                .with("scale", scale)),
        }
    };
    let sized = |name: &str, default: u32, most: u32| match column.precision.unwrap_or(default) {
        size if size >= 1 && size <= most => Ok(format!("{name}({size})")),
        size => Err(refused("it is longer than the longest value")
            .with("bytes", size)
            .with("longest", most)),
    };
    let name = match data_type {
        DataType::Text => {
            let size = column.longest.map_or(TEXT_BYTES, size_for);
            return sized("character varying", size, TEXT_BYTES);
        }
        DataType::Binary => return sized("binary varying", BINARY_BYTES.0, BINARY_BYTES.1),
        DataType::Double => "double precision",
        DataType::Bool => "boolean",
        DataType::Date => "date",
        DataType::Time => "time without time zone",
        DataType::Json => "super",
        DataType::Decimal => return decimal((38, 9)),
        DataType::Wei => return decimal((38, 0)),
        DataType::Bigint => match column.precision {
            Some(0..=16) => "smallint",
            Some(17..=32) => "integer",
            None | Some(33..=64) => "bigint",
            Some(_) => return Err(refused("an integer has at most 64 bits")),
        },
        DataType::Timestamp if column.precision.is_some_and(|decimals| decimals > 6) => {
            return Err(refused("a second has at most 6 decimals"));
        }
        DataType::Timestamp if column.has_timezone() => "timestamp with time zone",
        DataType::Timestamp => "timestamp without time zone",
    };
    Ok(name.to_owned())
}

/// The hints that say where rows lie, asked of columns that can say it. Guide, "Limitations" of SUPER: such a column is
/// neither a distribution key nor a sort key.
fn check_keys(table: &Table) -> Result<()> {
    let hinted = table.complete_columns().filter(|column| !is_key(column)).find_map(|column| {
        let hint = ["cluster", "sort"].into_iter().find(|hint| column.has_hint(hint));
        Some((hint?, column))
    });
    let Some((hint, column)) = hinted else { return Ok(()) };
    let what = "Redshift neither distributes nor sorts rows by a column of this type";
    Err(Error::new(ErrorKind::Configuration, what)
        .with("table", &table.name)
        .with("column", &column.name)
        .with("hint", hint)
        .with("type", DataType::Json)
        .with_hint("take the hint away, or give it to another column, and load again"))
}

fn is_key(column: &Column) -> bool {
    column.data_type != Some(DataType::Json)
}

/// Where rows lie: dlt's hints `cluster` for the column that distributes them, and `sort` for those that sort them. There
/// is one distribution key at most, so the first column with the hint is it. Guide, "CREATE TABLE".
fn table_options(table: &Table) -> String {
    let with = |hint: &str| -> Vec<String> {
        let columns = table.complete_columns().filter(|column| column.has_hint(hint));
        columns.filter(|column| is_key(column)).map(|column| double_quoted(&column.name)).collect()
    };
    let mut options = String::new();
    if let Some(column) = with("cluster").first() {
        options.push_str(&format!(" DISTSTYLE KEY DISTKEY({column})"));
    }
    let sorted = with("sort");
    if !sorted.is_empty() {
        options.push_str(&format!(" COMPOUND SORTKEY({})", sorted.join(", ")));
    }
    options
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use transload_core::sql::{column_comments, migration};
    use transload_core::{Dataset, SchemaChange, WriteDisposition};

    use super::*;

    pub(crate) fn dialect() -> RedshiftDialect {
        RedshiftDialect { case_sensitive: false, copy: Arc::default() }
    }

    #[test]
    fn types_are_dlts_in_the_words_of_the_catalog() {
        let mut shown = String::new();
        for data_type in DataType::ALL {
            let mut column = Column::new("c", data_type);
            let mut row = vec![type_name(&column).unwrap()];
            for precision in [0, 6, 9, 20, 40, 100, 70_000] {
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
    fn json_is_no_key_of_a_table() {
        for hint in ["cluster", "sort"] {
            let mut table = Table::root("t", WriteDisposition::Append);
            table.put(Column::new("id", DataType::Bigint).with_hint(hint));
            check_keys(&table).unwrap();
            let options = table_options(&table);
            table.put(Column::new("doc", DataType::Json).with_hint(hint));
            let error = check_keys(&table).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!((error.context("column"), error.context("hint")), (Some("doc"), Some(hint)));
            // A table for the rows of a load can be had all the same.
            assert_eq!(table_options(&table), options);
        }
    }

    #[test]
    fn a_text_that_was_measured_has_room_to_grow() {
        let of = |longest: u64| {
            let column = Column { longest: Some(longest), ..Column::new("c", DataType::Text) };
            type_name(&column).unwrap()
        };
        for (longest, bytes) in [
            (0, 256),
            (204, 256),
            (206, 1024),
            (820, 4096),
            (13_107, 16_384),
            (13_109, 65_535),
            (65_535, 65_535),
            (u64::MAX, 65_535),
        ] {
            assert_eq!(of(longest), format!("character varying({bytes})"), "{longest}");
        }
        let declared =
            Column { longest: Some(9), ..Column::new("c", DataType::Text).with_precision(7) };
        assert_eq!(type_name(&declared).unwrap(), "character varying(7)");
    }

    #[test]
    fn what_the_toolkit_asks_for_is_said_in_redshifts_words() {
        insta::assert_snapshot!(transload_core::conformance::statements(&dialect()).unwrap());
    }

    #[test]
    fn tables_are_made_and_widened_by_these_statements() {
        let mut table = Table::root("players", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint).not_null().with_hint("cluster"));
        table.put(Column::new("it's \"a\" name", DataType::Text));
        table.put(Column::new("at", DataType::Timestamp).with_hint("sort"));
        table.put(Column::new("state", DataType::Json));
        table.put(Column::new("elo", DataType::Decimal).with_hint("sort").with_hint("cluster"));
        let described = |name: &str, text: &str| {
            let mut column = Column::new(name, DataType::Date);
            column.hints.insert("description".into(), text.into());
            column
        };
        table.put(described("born", "it's a \\ day"));
        let changes = [
            SchemaChange::CreateDataset,
            SchemaChange::CreateTable(table),
            SchemaChange::AddColumns {
                table: "games".into(),
                columns: vec![described("played", "when").not_null()],
            },
        ];
        let dialect = dialect();
        let dataset = Dataset::new("chess");
        let statements = migration(&dialect, &dataset, &changes, &BTreeMap::new()).unwrap();
        let comments = column_comments(&dialect, &dataset, &changes);
        let shown: String = statements
            .iter()
            .chain(&comments)
            .map(|statement| format!("{};\n", statement.render(&dialect).0))
            .collect();
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn the_catalog_is_asked_for_names_as_it_holds_them() {
        let folds = dialect();
        let tells = RedshiftDialect { case_sensitive: true, ..dialect() };
        let shown: String = [
            folds.dataset_exists("Chess"),
            folds.columns("It's \\"),
            tells.dataset_exists("Chess"),
            tells.columns("Chess"),
        ]
        .iter()
        .map(|statement| format!("{};\n", statement.render(&folds).0))
        .collect();
        insta::assert_snapshot!(shown);
        assert!(folds.folds_case() && !tells.folds_case());
    }

    #[test]
    fn a_text_ends_no_literal() {
        for (text, literal) in [
            ("it's", "'it''s'"),
            ("\\", "'\\\\'"),
            ("\\'; DROP TABLE t; --", "'\\\\''; DROP TABLE t; --'"),
        ] {
            assert_eq!(super::literal(text), literal);
        }
    }
}
