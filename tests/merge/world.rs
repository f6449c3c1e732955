//! A folder with a pipeline, loads into it, and a look at what became of them.

use std::path::Path;

use transload::{LoadInfo, MergeStrategy, Resource, RunError, WriteDisposition};

pub(crate) struct World {
    folder: tempfile::TempDir,
    staging: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), staging: false }
    }

    /// One that loads through a staging folder.
    pub(crate) fn staged() -> Self {
        Self { staging: true, ..Self::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn try_load(&self, resource: Resource) -> Result<LoadInfo, Box<RunError>> {
        let mut builder = transload::pipeline("merge")
            .destination("duckdb")
            .dataset_name("d")
            .folder(self.folder())
            .pipelines_dir("pipelines")
            .setting("destination.filesystem.bucket_url", "staged");
        if self.staging {
            builder = builder.staging("filesystem");
        }
        let pipeline = builder.build().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(pipeline.run(resource)).map_err(Box::new)
    }

    pub(crate) fn load(&self, resource: Resource) -> LoadInfo {
        self.try_load(resource).unwrap_or_else(|failed| panic!("{:?}", failed.error))
    }

    /// The answer to a query, its rows as DuckDB writes them: `1, foo`.
    pub(crate) fn look(&self, query: &str) -> Vec<String> {
        let database = duckdb::Connection::open(self.folder().join("merge.duckdb")).unwrap();
        database.execute_batch("SET TimeZone = 'UTC'; USE d").unwrap();
        let sql = format!(
            "SELECT CAST(row AS VARCHAR) FROM (SELECT ROW(COLUMNS(*)) AS row FROM ({query}))"
        );
        let sql = sql.replace("ROW(COLUMNS(*))", "ROW(*COLUMNS(*))");
        let mut statement = database.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|row| row.unwrap().trim_matches(['(', ')']).to_owned()).collect()
    }

    pub(crate) fn count(&self, table: &str) -> usize {
        self.look(&format!("SELECT count(*) FROM {table}"))[0].parse().unwrap()
    }

    /// Rows of nested tables whose parent is not there.
    pub(crate) fn orphans(&self, nested: &str, parent: &str) -> usize {
        self.count(&format!(
            "{nested} AS n WHERE NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p._dlt_id = n._dlt_parent_id)"
        ))
    }

    pub(crate) fn meddle(&self, sql: &str) {
        let database = duckdb::Connection::open(self.folder().join("merge.duckdb")).unwrap();
        database.execute_batch(&format!("USE d; {sql}")).unwrap();
    }
}

/// Rows of the table `t`, merged by the key `id`.
pub(crate) fn merged(strategy: MergeStrategy, rows: &str) -> Resource {
    unkeyed(rows).merge_strategy(strategy).primary_key(["id"])
}

/// Rows of the table `t`, merged by no key.
pub(crate) fn unkeyed(rows: &str) -> Resource {
    Resource::json("t", rows.to_owned()).write_disposition(WriteDisposition::Merge)
}
