//! The conformance suite on DuckDB itself, in a folder of its own.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use transload_core::conformance::{CaseFuture, Harness, conformance};
use transload_core::settings::Settings;
use transload_core::sql::{Row, double_quoted};
use transload_core::{Column, DataType, Destination, Error, ErrorKind, Result};
use transload_dest_duckdb::DuckDbDestination;

struct DuckDb {
    folder: tempfile::TempDir,
    // Keeps the database open between the cases.
    destination: Arc<DuckDbDestination>,
}

fn open(folder: &std::path::Path, database: &str) -> Result<DuckDbDestination> {
    let mut settings = Settings::from_pairs("duckdb", &[("database", database)]);
    settings.folder = folder.to_owned();
    DuckDbDestination::new(&settings)
}

impl DuckDb {
    fn new() -> Result<Self> {
        // A folder with a wildcard in its name: DuckDB would read elsewhere.
        let folder = tempfile::Builder::new().prefix("it's [odd]").tempdir().map_err(|error| {
            Error::new(ErrorKind::Terminal, "no temporary folder").with_source(error)
        })?;
        let destination = Arc::new(open(folder.path(), "suite.duckdb")?);
        Ok(Self { folder, destination })
    }
}

#[async_trait]
impl Harness for DuckDb {
    fn open(&self) -> Result<Arc<dyn Destination>> {
        Ok(Arc::new(open(self.folder.path(), "suite.duckdb")?))
    }

    fn broken(&self) -> Option<Arc<dyn Destination>> {
        Some(Arc::new(open(self.folder.path(), "no such folder/suite.duckdb").ok()?))
    }

    async fn rows(&self, dataset: &str, table: &str, columns: &[Column]) -> Result<Vec<Row>> {
        let text = |column: &Column| match column.data_type {
            Some(DataType::Binary) => format!("hex({})", double_quoted(&column.name)),
            _ => format!("CAST({} AS VARCHAR)", double_quoted(&column.name)),
        };
        let columns: Vec<String> = columns.iter().map(text).collect();
        let (dataset, table) = (double_quoted(dataset), double_quoted(table));
        self.destination
            .query(&format!("SELECT {} FROM {dataset}.{table}", columns.join(", ")))
            .await
    }

    async fn tables(&self, dataset: &str) -> Result<Vec<String>> {
        let query =
            format!("SELECT table_name FROM duckdb_tables() WHERE schema_name = '{dataset}'");
        Ok(self.destination.query(&query).await?.into_iter().flatten().flatten().collect())
    }

    fn block_on(&self, case: CaseFuture<'_>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(case);
    }
}

fn main() -> ExitCode {
    conformance(DuckDb::new)
}
