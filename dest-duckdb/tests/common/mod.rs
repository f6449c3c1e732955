//! A database in a folder of its own, files for it, and a look at what became of them.
#![allow(dead_code, reason = "no test file needs all of it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use duckdb::Connection;
use transload_core::settings::Settings;
use transload_core::{
    Column, Commit, DataFile, DataType, Dataset, DatasetState, Destination as _, Disposition,
    Epoch, FileFormat, Inquiry, Job, JobContext, Load, LoadId, LoadJob, Publication, Result,
    Schema, SchemaChange, Sha256Hex, StagingAccess, StateRow, Table, TableChain, TablePublication,
    WriteDisposition,
};
use transload_dest_duckdb::DuckDbDestination;

pub(crate) const PIPELINE: &str = "it's a pipeline";

/// A database, a dataset in it, and the folder of a package.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    // Removes the folder in the end; a second process has none.
    guard: Option<tempfile::TempDir>,
    pub(crate) dataset: Dataset,
    pub(crate) schema: Schema,
    destination: Option<DuckDbDestination>,
    files: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        // A folder with a wildcard in its name: DuckDB would read elsewhere.
        let guard = tempfile::Builder::new().prefix("it's [odd]").tempdir().unwrap();
        Self { folder: guard.path().to_owned(), guard: Some(guard), ..Self::at(PathBuf::new()) }
    }

    /// The same in a folder that another one has made.
    pub(crate) fn at(folder: PathBuf) -> Self {
        let text =
            r#"{"version":1,"version_hash":"h1","engine_version":11,"name":"chess","tables":{}}"#;
        Self {
            folder,
            guard: None,
            // Named as the file is.
            dataset: Dataset::new("chess"),
            schema: Schema::from_json(text).unwrap(),
            destination: None,
            files: 0,
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("chess.duckdb")
    }

    pub(crate) fn destination(&mut self) -> &DuckDbDestination {
        let folder = self.folder.to_owned();
        self.destination.get_or_insert_with(|| open(&folder))
    }

    /// Adds a table to the schema.
    pub(crate) fn table(&mut self, name: &str, columns: &[(&str, DataType)]) {
        let mut table = Table::root(name, WriteDisposition::Append);
        for (column, data_type) in columns {
            table.put(Column::new(*column, *data_type));
        }
        self.schema.tables.insert(name.into(), table);
    }

    /// Makes the dataset and every table of the schema.
    pub(crate) async fn apply(&mut self) -> Vec<String> {
        let mut changes = vec![SchemaChange::CreateDataset];
        changes.extend(self.schema.tables.values().cloned().map(SchemaChange::CreateTable));
        let dataset = self.dataset.clone();
        self.destination().apply(&dataset, &changes).await.unwrap()
    }

    /// Raises the fence and returns the load that holds it.
    pub(crate) async fn fence(&mut self, load_id: &str) -> Load {
        let dataset = self.dataset.clone();
        let fence = self.destination().fence(&dataset, PIPELINE, "test").await.unwrap();
        self.load(load_id, fence.epoch)
    }

    pub(crate) fn load(&self, load_id: &str, epoch: Epoch) -> Load {
        Load {
            load_id: LoadId::new(load_id),
            pipeline: PIPELINE.into(),
            dataset: self.dataset.clone(),
            digest: Sha256Hex::of(load_id.as_bytes()),
            epoch,
        }
    }

    pub(crate) async fn describe(&mut self, load: Option<&str>) -> DatasetState {
        let inquiry = Inquiry {
            dataset: self.dataset.clone(),
            pipeline: PIPELINE.into(),
            schema: "chess".into(),
            load: load.map(LoadId::new),
        };
        self.destination().describe(&inquiry).await.unwrap()
    }

    pub(crate) async fn publish(
        &mut self,
        load: &Load,
        publication: &Publication,
    ) -> Result<Commit> {
        let schema = self.schema.clone();
        let folder = self.folder.to_owned();
        let context = JobContext {
            load,
            schema: &schema,
            folder: &folder,
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        };
        self.destination().publish(publication, &context).await
    }

    /// A file of a table, whose content is written by a function.
    pub(crate) fn file(
        &mut self,
        table: &str,
        format: FileFormat,
        columns: &[&str],
        rows: u64,
        write: impl FnOnce(&Path),
    ) -> DataFile {
        self.files += 1;
        let sha256 = Sha256Hex::of(&self.files.to_le_bytes());
        let file = DataFile {
            table: table.into(),
            name: DataFile::name_of(self.files, &sha256, format, false),
            format,
            gzip: false,
            rows,
            bytes: 1,
            sha256,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            bounds: Default::default(),
            longest: Default::default(),
        };
        let path = self.folder.join(file.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path);
        file
    }

    /// A Parquet file with the answer to a query.
    pub(crate) fn parquet(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: u64,
        query: &str,
    ) -> DataFile {
        self.file(table, FileFormat::Parquet, columns, rows, |path| {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("SET TimeZone = 'UTC'").unwrap();
            let path = path.to_str().unwrap().replace('\'', "''");
            connection
                .execute_batch(&format!("COPY ({query}) TO '{path}' (FORMAT parquet)"))
                .unwrap();
        })
    }

    /// A file with this text.
    pub(crate) fn text(
        &mut self,
        table: &str,
        format: FileFormat,
        columns: &[&str],
        rows: u64,
        text: &str,
    ) -> DataFile {
        self.file(table, format, columns, rows, |path| std::fs::write(path, text).unwrap())
    }

    /// The same file, compressed.
    pub(crate) fn gzipped(&self, file: DataFile) -> DataFile {
        let path = self.folder.join(file.path());
        let text = std::fs::read(&path).unwrap();
        let gzipped = DataFile { gzip: true, name: format!("{}.gz", file.name), ..file };
        let to = std::fs::File::create(self.folder.join(gzipped.path())).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap();
        gzipped
    }

    /// Looks into the database with DuckDB itself. The destination is closed first, and opened anew when it is needed.
    pub(crate) fn look(&mut self, query: &str) -> Vec<String> {
        self.destination = None;
        let connection = Connection::open(self.database()).unwrap();
        connection.execute_batch("SET TimeZone = 'UTC'").unwrap();
        let mut statement =
            connection.prepare(&format!("SELECT CAST(r AS VARCHAR) FROM ({query}) AS r")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Runs a statement in the database, as somebody else would.
    pub(crate) fn meddle(&mut self, sql: &str) {
        self.destination = None;
        Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }
}

pub(crate) fn open(folder: &Path) -> DuckDbDestination {
    let mut settings = Settings::from_pairs("duckdb", &[("database", "chess.duckdb")]);
    settings.folder = folder.to_owned();
    DuckDbDestination::new(&settings).unwrap()
}

/// A chain of one table with these files.
pub(crate) fn chain(table: &str, disposition: Disposition, files: &[&DataFile]) -> TableChain {
    let jobs = files.iter().map(|file| Job::Load(LoadJob { file: (*file).clone() })).collect();
    let rows = files.iter().map(|file| file.rows).sum();
    TableChain {
        disposition,
        root: TablePublication { table: table.into(), rows, jobs },
        nested: Vec::new(),
    }
}

/// A publication after `previous` of these chains.
pub(crate) fn publication(previous: Option<&str>, chains: Vec<TableChain>) -> Publication {
    Publication {
        previous: previous.map(LoadId::new),
        chains,
        state: None,
        stores_schema: false,
        published_at: "2026-11-22T17:45:39.736473Z".into(),
    }
}

pub(crate) fn state() -> StateRow {
    StateRow {
        version: 2,
        engine_version: 4,
        pipeline_name: PIPELINE.into(),
        state: "eJyrVipLzE1VslJQSs5ILS5WqgUAMU8Fkg==".into(),
        created_at: "2026-11-22T17:45:38.000001Z".into(),
        version_hash: "statehash".into(),
        dlt_id: "abc".into(),
    }
}
