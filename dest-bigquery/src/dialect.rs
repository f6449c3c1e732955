//! How BigQuery writes things down: GoogleSQL.
//!
//! Pages are those of the BigQuery documentation.

use transload_core::sql::{Dialect, Statement, Step, Target};
use transload_core::{Column, Error, ErrorKind, Job, JobContext, Result, Table};

use crate::catalog::Question;
use crate::labels::Labels;
use crate::layout;
use crate::types::{self, Type};

/// Bytes of the longest text that is written into a statement as it is: two of them and what stands around them fit into
/// a script.
pub(crate) const TEXT_BYTES: usize = 300_000;

/// BigQuery's SQL.
#[derive(Clone, Debug)]
pub(crate) struct BigQueryDialect {
    /// The project that holds the datasets.
    pub(crate) project: String,
    /// Whether names of tables that differ in case are two.
    pub(crate) case_sensitive: bool,
    /// Whether files are loaded into the tables themselves, beside the transaction.
    pub(crate) per_table: bool,
    /// The labels of tables that are made.
    pub(crate) labels: Labels,
}

impl Dialect for BigQueryDialect {
    fn quote(&self, name: &str) -> String {
        quoted(name)
    }

    fn literal(&self, text: &str) -> String {
        literal(text)
    }

    fn placeholder(&self, _position: usize) -> Option<String> {
        // A script runs many statements: their values are numbered in none of them.
        None
    }

    fn dataset(&self, dataset: &str) -> String {
        format!("{}.{}", quoted(&self.project), quoted(dataset))
    }

    fn table(&self, dataset: &str, table: &str) -> String {
        format!("{}.{}", self.dataset(dataset), quoted(table))
    }

    fn type_name(&self, column: &Column) -> Result<String> {
        Type::of(column).map(|found| found.sql())
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        types::widens(from, to)
    }

    fn change_type(&self, table: &str, column: &str, type_name: &str) -> String {
        format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {type_name}")
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        layout::check(table, &self.labels)
    }

    fn table_options(&self, table: &Table) -> String {
        layout::clauses(table).unwrap_or_default()
    }

    fn adds_column_if_not_exists(&self) -> bool {
        true
    }

    fn delete_all(&self, table: &str) -> String {
        // "Data manipulation language": a DELETE needs a condition. "Pricing": this one reads nothing.
        format!("DELETE FROM {table} WHERE TRUE")
    }

    fn overwrites(&self) -> bool {
        false
    }

    fn merges(&self) -> bool {
        // It has MERGE; the stand-in has it outside of transactions alone, and what is not tried is not sent. An UPDATE and an
        // INSERT read the key columns of the table once more than a MERGE does.
        false
    }

    fn position(&self) -> Option<&str> {
        // Load jobs read files in any order, and keep none.
        None
    }

    fn aliases_in_delete(&self) -> bool {
        true
    }

    fn lock(&self, _table: &str) -> Option<String> {
        // "Multi-statement transactions": there are no locks; the later one of two that meet is rolled back.
        None
    }

    fn now(&self) -> &str {
        "CURRENT_TIMESTAMP()"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        format!("FORMAT_TIMESTAMP('%E4Y-%m-%dT%H:%M:%E6SZ', {expression}, 'UTC')")
    }

    fn folds_case(&self) -> bool {
        !self.case_sensitive
    }

    fn dataset_exists(&self, dataset: &str) -> Statement {
        Question::Dataset(dataset.to_owned()).statement()
    }

    fn columns(&self, dataset: &str) -> Statement {
        Question::Columns(dataset.to_owned()).statement()
    }

    fn max_text_bytes(&self) -> Option<usize> {
        Some(TEXT_BYTES)
    }

    fn load(&self, _: &Target<'_>, jobs: &[Job], _: &JobContext<'_>) -> Result<Vec<Step>> {
        // Files come by load jobs, which are no statements.
        if self.per_table {
            return Ok(Vec::new());
        }
        let job = jobs.first().map(Job::id).map(|id| id.to_string()).unwrap_or_default();
        Err(Error::new(ErrorKind::Bug, "files are loaded by jobs").with("job", job))
    }
}

/// A name in backticks. "Lexical structure", quoted identifiers: they have the escapes of texts.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A text as a literal. "Lexical structure", string literals.
pub(crate) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\\' => literal.push_str("\\\\"),
            '\'' => literal.push_str("\\'"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
pub(crate) mod tests {
    use transload_core::sql::create_table;
    use transload_core::{DataType, WriteDisposition};

    use super::*;

    pub(crate) fn dialect() -> BigQueryDialect {
        BigQueryDialect {
            project: "p".into(),
            case_sensitive: true,
            per_table: false,
            labels: Labels::new(),
        }
    }

    #[test]
    fn names_and_texts_cannot_end_what_they_stand_in() {
        assert_eq!(dialect().table("d", "a`b\\"), "`p`.`d`.`a\\`b\\\\`");
        assert_eq!(literal("it's\\\n\r"), r"'it\'s\\\n\r'");
    }

    #[test]
    fn rows_lie_where_hints_say() {
        let mut shown = String::new();
        for data_type in [DataType::Date, DataType::Timestamp, DataType::Bigint, DataType::Text] {
            let mut table = Table::root("t", WriteDisposition::Append);
            table.put(Column::new("at", data_type).not_null().with_hint("partition"));
            table.put(Column::new("b", DataType::Text).with_hint("cluster"));
            table.put(Column::new("c", DataType::Text).with_hint("x-bigquery-cluster"));
            let statement = create_table(&dialect(), "`p`.`d`.`t`", &table).unwrap();
            shown.push_str(&format!("{statement};\n"));
        }
        insta::assert_snapshot!(shown);
    }
}
