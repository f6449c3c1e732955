//! A small dialect of standard SQL, and data to try things on.

use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::{
    Column, DataFile, DataType, Dataset, Epoch, FileFormat, Job, JobContext, Load, LoadId, LoadJob,
    Result, Schema, Sha256Hex, StagingAccess, Table, WriteDisposition,
};

use super::{
    Dialect, Expect, Row, SqlClient, Statement, Step, Target, Transaction, column_list,
    columns_query, dataset_query, double_quoted,
};

/// Standard SQL. A modern engine binds values, skips columns that are there and tells `A` from `a`; another does none of
/// it.
#[derive(Debug)]
pub(super) struct Ansi {
    pub(super) modern: bool,
}

impl Dialect for Ansi {
    fn quote(&self, name: &str) -> String {
        double_quoted(name)
    }

    fn literal(&self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn placeholder(&self, position: usize) -> Option<String> {
        self.modern.then(|| format!("${position}"))
    }

    fn dataset(&self, dataset: &str) -> String {
        double_quoted(dataset)
    }

    fn table(&self, dataset: &str, table: &str) -> String {
        format!("{}.{}", double_quoted(dataset), double_quoted(table))
    }

    fn type_name(&self, column: &Column) -> Result<String> {
        Ok(column.data_type.map_or("", DataType::as_str).to_owned())
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        (from, to) == ("bigint", "decimal")
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
        self.modern
    }

    fn delete_all(&self, table: &str) -> String {
        format!("DELETE FROM {table}")
    }

    fn overwrites(&self) -> bool {
        !self.modern
    }

    fn merges(&self) -> bool {
        self.modern
    }

    fn position(&self) -> Option<&str> {
        self.modern.then_some("place")
    }

    fn aliases_in_delete(&self) -> bool {
        self.modern
    }

    fn lock(&self, table: &str) -> Option<String> {
        (!self.modern).then(|| format!("LOCK {table}"))
    }

    fn now(&self) -> &str {
        "CURRENT_TIMESTAMP"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        format!("RFC3339({expression})")
    }

    fn folds_case(&self) -> bool {
        !self.modern
    }

    fn dataset_exists(&self, dataset: &str) -> Statement {
        dataset_query(self, None, dataset)
    }

    fn columns(&self, dataset: &str) -> Statement {
        columns_query(self, None, dataset)
    }

    fn max_text_bytes(&self) -> Option<usize> {
        None
    }

    fn load(&self, target: &Target<'_>, jobs: &[Job], _: &JobContext<'_>) -> Result<Vec<Step>> {
        let columns =
            column_list(self, target.table.complete_columns().map(|column| column.name.as_str()));
        Ok(jobs
            .iter()
            .map(|job| {
                let Job::Load(LoadJob { file }) = job else { panic!("local files only") };
                let copy = format!("COPY {} ({columns}) FROM '{}'", target.name, file.path());
                Step::rows(format!("load {}", file.table), Statement::new(copy), file.rows)
            })
            .collect())
    }
}

/// Statements for a snapshot.
pub(super) fn show(statements: &[Statement]) -> String {
    statements.iter().map(|statement| format!("{statement};\n")).collect()
}

/// A load with the tables `players` and `players__games`.
pub(super) struct Case {
    pub(super) load: Load,
    pub(super) schema: Schema,
}

impl Case {
    pub(super) fn new() -> Self {
        let mut schema =
            Schema::from_json(include_str!("../../tests/data/dlt-schema.json")).unwrap();
        schema.tables.clear();
        let mut players = Table::root("players", WriteDisposition::Append);
        players.put(Column::new("id", DataType::Bigint));
        players.put(Column::new("name", DataType::Text));
        let mut games = Table::nested("players__games", "players");
        games.put(Column::new("won", DataType::Bool));
        for table in [players, games] {
            schema.tables.insert(table.name.clone(), table);
        }
        schema.version_hash = "hash".into();
        let load = Load {
            load_id: LoadId::new("1795369539.5"),
            pipeline: "it's chess".into(),
            dataset: Dataset::new("chess"),
            digest: Sha256Hex::of(b"manifest"),
            epoch: Epoch(4),
        };
        Self { load, schema }
    }

    pub(super) fn context(&self) -> JobContext<'_> {
        JobContext {
            load: &self.load,
            schema: &self.schema,
            folder: Path::new("/package"),
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        }
    }

    /// A job that loads a file of so many rows.
    pub(super) fn job(table: &str, number: usize, rows: u64) -> Job {
        let sha256 = Sha256Hex::of(table.as_bytes());
        Job::Load(LoadJob {
            file: DataFile {
                table: table.into(),
                name: DataFile::name_of(number, &sha256, FileFormat::Parquet, false),
                format: FileFormat::Parquet,
                gzip: false,
                rows,
                bytes: 1,
                sha256,
                columns: vec!["id".into()],
                bounds: Default::default(),
                longest: Default::default(),
            },
        })
    }
}

/// Answers a query by the first of its words that it contains; other queries have no rows.
pub(super) type Answer = (&'static str, Vec<Row>);

/// A client that writes down what it is sent. Transactions do what is expected of them, but for those that are to fail
/// first.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) answers: Vec<Answer>,
    pub(super) failures: Mutex<Vec<crate::Error>>,
    pub(super) sent: Mutex<Vec<String>>,
}

impl Recorder {
    pub(super) fn sent(&self) -> String {
        self.sent.lock().unwrap().iter().map(|text| format!("{text};\n")).collect()
    }

    fn note(&self, text: &impl std::fmt::Display) -> String {
        let text = text.to_string();
        self.sent.lock().unwrap().push(text.clone());
        text
    }
}

#[async_trait]
impl SqlClient for Recorder {
    fn identity(&self) -> String {
        "recorder:here".to_owned()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>> {
        let text = self.note(statement);
        let answer = self.answers.iter().find(|(word, _)| text.contains(word));
        Ok(answer.map(|(_, rows)| rows.clone()).unwrap_or_default())
    }

    async fn execute(&self, statement: &Statement) -> Result<u64> {
        self.note(statement);
        Ok(0)
    }

    async fn transaction(&self, transaction: &Transaction) -> Result<Vec<u64>> {
        self.note(transaction);
        match self.failures.lock().unwrap().pop() {
            Some(error) => Err(error),
            None => Ok(transaction.steps.iter().map(expected).collect()),
        }
    }
}

fn expected(step: &Step) -> u64 {
    match step.expect {
        Expect::Rows { rows, .. } => rows,
        Expect::Any => 0,
    }
}

/// A row of texts.
pub(super) fn row(values: &[&str]) -> Row {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}
