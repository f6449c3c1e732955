//! What a case works with: a destination, a dataset of its own, files, and the protocol of a load as the engine follows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::canonical::canonical_rows;
use super::case::{Failure, Outcome, Variant, same};
use super::files;
use super::folder::{Folder, unique};
use super::harness::Harness;
use super::package::{Chain, Package, Part};
use crate::sql::Row;
use crate::{
    AccessRequest, Capabilities, Column, Commit, CopyJob, CopyList, DataFile, Dataset,
    DatasetState, Destination, Disposition, Epoch, Error, ErrorKind, Fence, FileFormat, FollowUp,
    IdentifierCase, Inquiry, Job, JobContext, Load, LoadId, MergeStrategy, ReplaceStrategy, Result,
    Schema, SchemaChange, Sha256Hex, StageJob, StagedFile, StagingAccess, StagingDestination,
    StateRow, StorageKind, Table,
};

/// The schema that all cases write.
pub(super) const SCHEMA: &str = "suite";

/// A world of one case.
pub(super) struct World {
    harness: Arc<dyn Harness>,
    /// The destination, opened.
    pub(super) destination: Arc<dyn Destination>,
    /// Where staged files wait, if the destination takes no others.
    staging: Option<Arc<dyn StagingDestination>>,
    /// The dataset of the case.
    pub(super) dataset: Dataset,
    /// The pipeline that loads.
    pub(super) pipeline: String,
    /// The schema, which grows with the case.
    pub(super) schema: Schema,
    /// Whether text files are compressed.
    pub(super) gzip: bool,
    /// The format of the files that are written.
    pub(super) format: FileFormat,
    /// The strategy of replacing that is tried.
    pub(super) replace: ReplaceStrategy,
    /// The strategy of merging that is tried.
    pub(super) merge: MergeStrategy,
    folder: Folder,
    loads: u64,
    files: usize,
}

/// The jobs of a package, and what lets the destination at their files.
pub(super) struct Jobs {
    /// The jobs.
    pub(super) jobs: Vec<Job>,
    /// The way in.
    pub(super) access: StagingAccess,
}

impl World {
    /// A world for a case, in a dataset that does not exist yet.
    pub(super) fn new(harness: Arc<dyn Harness>, variant: Variant) -> Outcome<Self> {
        let destination = harness.open()?;
        let capabilities = destination.capabilities();
        let staging = if capabilities.loads.is_empty() { harness.staging() } else { None };
        let copied = capabilities.copies.iter().flat_map(|source| &source.formats);
        let formats: Vec<FileFormat> = match staging {
            Some(_) => copied.copied().collect(),
            None => capabilities.loads.clone(),
        };
        let format = match (variant, formats.first()) {
            (Variant::Format(format), _) => format,
            (_, Some(format)) => *format,
            (_, None) => {
                return Err(Failure::untrue("it claims no format that it could be tried with"));
            }
        };
        let text = format!(
            r#"{{"version":1,"version_hash":"","engine_version":11,"name":"{SCHEMA}","tables":{{}}}}"#
        );
        Ok(Self {
            replace: match variant {
                Variant::Replace(strategy) => strategy,
                _ => capabilities.replace_strategies.first().copied().unwrap_or_default(),
            },
            merge: match variant {
                Variant::Merge(strategy) => strategy,
                _ => MergeStrategy::default(),
            },
            dataset: Dataset::new(format!("suite_{}", unique())),
            pipeline: "the suite's pipeline".into(),
            schema: Schema::from_json(&text)?,
            gzip: false,
            format,
            folder: Folder::new()?,
            loads: 0,
            files: 0,
            staging,
            destination,
            harness,
        })
    }

    /// What the destination claims.
    pub(super) fn capabilities(&self) -> &Capabilities {
        self.destination.capabilities()
    }

    /// The destination, opened once more.
    pub(super) fn open(&self) -> Result<Arc<dyn Destination>> {
        self.harness.open()
    }

    /// The harness.
    pub(super) fn harness(&self) -> &dyn Harness {
        self.harness.as_ref()
    }

    /// Adds a table to the schema, or puts it in the place of the one of its name.
    pub(super) fn put(&mut self, table: Table) {
        self.schema.tables.insert(table.name.clone(), table);
        self.schema.bump();
    }

    /// The columns of a table.
    pub(super) fn columns(&self, table: &str) -> Vec<Column> {
        let table = self.schema.tables.get(table);
        table.into_iter().flat_map(Table::complete_columns).cloned().collect()
    }

    /// A file of a table with these columns of it.
    pub(super) fn file(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Row>,
    ) -> Outcome<DataFile> {
        let all = self.columns(table);
        let chosen: Vec<Column> = columns
            .iter()
            .map(|name| {
                let column = all.iter().find(|column| column.name == *name);
                column
                    .cloned()
                    .ok_or_else(|| Failure::untrue(format!("the case has no column {name}")))
            })
            .collect::<Outcome<_>>()?;
        let gzip = self.gzip && self.format != FileFormat::Parquet;
        let bytes = files::file(self.format, gzip, &chosen, &rows, self.capabilities())?;
        self.file_of(table, columns, rows.len() as u64, &bytes, gzip)
    }

    /// A file of a table with these bytes, which says that it holds so many rows.
    pub(super) fn file_of(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: u64,
        bytes: &[u8],
        gzip: bool,
    ) -> Outcome<DataFile> {
        self.files += 1;
        let sha256 = Sha256Hex::of(bytes);
        let file = DataFile {
            table: table.into(),
            name: DataFile::name_of(self.files, &sha256, self.format, gzip),
            format: self.format,
            gzip,
            rows,
            bytes: bytes.len() as u64,
            sha256,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            bounds: BTreeMap::new(),
            longest: BTreeMap::new(),
        };
        let path = self.folder.path().join(file.path());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)?;
        Ok(file)
    }

    /// Removes a file that was written: somebody else did.
    pub(super) fn lose(&self, file: &DataFile) -> Outcome {
        Ok(std::fs::remove_file(self.folder.path().join(file.path()))?)
    }

    /// A table with one file of these rows, in all columns that are not filled by the merge itself.
    pub(super) fn part(&mut self, table: &str, rows: Vec<Row>) -> Outcome<Part> {
        let columns = self.columns(table);
        let loaded = columns
            .iter()
            .filter(|column| !column.has_hint("x-valid-from") && !column.has_hint("x-valid-to"));
        let names: Vec<&str> = loaded.map(|column| column.name.as_str()).collect();
        Ok(Part::of(table, [self.file(table, &names, rows)?]))
    }

    /// A load with these chains, later than all before it.
    pub(super) fn package(&mut self, chains: Vec<Chain>) -> Package {
        self.loads += 1;
        let load_id = LoadId::new(format!("{}.5", 1_795_369_539 + self.loads));
        let digest = Sha256Hex::of(format!("{load_id} of {}", self.dataset.name).as_bytes());
        Package {
            load: Load {
                load_id,
                pipeline: self.pipeline.clone(),
                dataset: self.dataset.clone(),
                digest,
                epoch: Epoch(0),
            },
            chains,
            schema: self.schema.clone(),
            state: None,
            published_at: format!("2026-11-22T17:{:02}:39.736473Z", self.loads),
        }
    }

    /// Loads these chains, as a load does that meets no trouble.
    pub(super) async fn load(&mut self, chains: Vec<Chain>) -> Outcome<Commit> {
        let mut package = self.package(chains);
        let destination = Arc::clone(&self.destination);
        Ok(self.finish(destination.as_ref(), &mut package).await?)
    }

    /// Loads a table with rows that are added.
    pub(super) async fn append(&mut self, table: &str, rows: Vec<Row>) -> Outcome<Commit> {
        let part = self.part(table, rows)?;
        self.load(vec![Chain::append(part)]).await
    }

    /// Begins or resumes a load and brings it to its end: ask, apply, fence, look, run, publish, clear.
    pub(super) async fn finish(
        &self,
        destination: &dyn Destination,
        package: &mut Package,
    ) -> Result<Commit> {
        let state = self.describe(destination, Some(package)).await?;
        self.apply(destination, package, &state).await?;
        let fence = self.fence(destination, package).await?;
        // Only now: what another loader has committed before the fence was raised is seen, and nothing comes after it.
        let state = self.describe(destination, Some(package)).await?;
        if let Some(commit) = &state.commit {
            if commit.digest.as_ref() != Some(&package.load.digest) {
                return Err(Error::new(ErrorKind::Terminal, "the load id is taken"));
            }
            destination.clear(&package.load).await?;
            return Ok(Commit::default());
        }
        let jobs = self.jobs(destination, package).await?;
        self.run(destination, package, &jobs).await?;
        let commit = self.publish(destination, package, &jobs, fence.last_load, &state).await?;
        destination.clear(&package.load).await?;
        Ok(commit)
    }

    /// Asks for the dataset, and for the commit of a load.
    pub(super) async fn describe(
        &self,
        destination: &dyn Destination,
        package: Option<&Package>,
    ) -> Result<DatasetState> {
        let inquiry = Inquiry {
            dataset: self.dataset.clone(),
            pipeline: package.map_or(&self.pipeline, |package| &package.load.pipeline).clone(),
            schema: SCHEMA.into(),
            load: package.map(|package| package.load.load_id.clone()),
        };
        destination.describe(&inquiry).await
    }

    /// What the dataset holds.
    pub(super) async fn state(&self) -> Outcome<DatasetState> {
        Ok(self.describe(self.destination.as_ref(), None).await?)
    }

    /// A name as the destination stores it.
    pub(super) fn stored(&self, name: &str) -> String {
        match self.destination.capabilities().identifiers.case {
            IdentifierCase::Upper => name.to_ascii_uppercase(),
            IdentifierCase::Lower => name.to_ascii_lowercase(),
            IdentifierCase::Sensitive | IdentifierCase::Insensitive => name.to_owned(),
        }
    }

    /// Adds what a load needs and the dataset has not.
    pub(super) async fn apply(
        &self,
        destination: &dyn Destination,
        package: &Package,
        state: &DatasetState,
    ) -> Result<Vec<String>> {
        let case = destination.capabilities().identifiers.case;
        let same = |a: &str, b: &str| match case {
            IdentifierCase::Sensitive => a == b,
            _ => a.eq_ignore_ascii_case(b),
        };
        let mut changes = Vec::new();
        if !state.exists {
            changes.push(SchemaChange::CreateDataset);
        }
        let parts = package.chains.iter().flat_map(|chain| &chain.parts);
        for table in parts.filter_map(|part| package.schema.tables.get(&part.table)) {
            let known = state.tables.iter().find(|(name, _)| same(name, &table.name));
            let Some((_, known)) = known else {
                changes.push(SchemaChange::CreateTable(table.clone()));
                continue;
            };
            let is_new =
                |column: &&Column| !known.iter().any(|other| same(&other.name, &column.name));
            let columns: Vec<Column> = table.complete_columns().filter(is_new).cloned().collect();
            if !columns.is_empty() {
                changes.push(SchemaChange::AddColumns { table: table.name.clone(), columns });
            }
        }
        destination.apply(&self.dataset, &changes).await
    }

    /// Creates the dataset and every table of the schema.
    pub(super) async fn create(&self) -> Outcome {
        let mut changes = vec![SchemaChange::CreateDataset];
        changes.extend(self.schema.tables.values().cloned().map(SchemaChange::CreateTable));
        self.destination.apply(&self.dataset, &changes).await?;
        Ok(())
    }

    /// Raises the fence for a load.
    pub(super) async fn fence(
        &self,
        destination: &dyn Destination,
        package: &mut Package,
    ) -> Result<Fence> {
        let pipeline = package.load.pipeline.clone();
        let fence = destination.fence(&self.dataset, &pipeline, "the suite").await?;
        package.load.epoch = fence.epoch;
        Ok(fence)
    }

    /// The jobs of a load, its files staged where the destination takes no others.
    pub(super) async fn jobs(
        &self,
        destination: &dyn Destination,
        package: &Package,
    ) -> Result<Jobs> {
        let Some(staging) = &self.staging else {
            return Ok(Jobs { jobs: package.load_jobs(), access: StagingAccess::None });
        };
        self.staged_jobs(destination, staging.as_ref(), package).await
    }

    /// The jobs of a load whose files go through this staging destination.
    pub(super) async fn staged_jobs(
        &self,
        destination: &dyn Destination,
        staging: &dyn StagingDestination,
        package: &Package,
    ) -> Result<Jobs> {
        let mut tables: BTreeMap<String, Vec<StagedFile>> = BTreeMap::new();
        for file in package.files() {
            let prefix =
                [&self.dataset.name, &package.load.pipeline, package.load.load_id.as_str()]
                    .map(crate::escape_segment)
                    .join("/");
            let key = format!("{prefix}/{}", file.path());
            let job = Job::Stage(StageJob { file: file.clone(), key });
            let context = self.context(package, &StagingAccess::None);
            for follow_up in staging.stage(&job, &context).await?.follow_ups {
                if let FollowUp::Copy(staged) = follow_up {
                    tables.entry(staged.file.table.clone()).or_default().push(staged);
                }
            }
        }
        let files: Vec<StagedFile> = tables.values().flatten().cloned().collect();
        let access = self.access(destination, staging, files).await?;
        let copies: Vec<CopyJob> =
            tables.into_iter().map(|(table, files)| CopyJob { table, files }).collect();
        if destination.capabilities().copies_by_list {
            for list in copies.iter().map(CopyList::of).collect::<Result<Vec<_>>>()?.concat() {
                let path = self.folder.path().join(list.file.path());
                std::fs::write(path, &list.bytes).map_err(|error| {
                    Error::new(ErrorKind::Terminal, "no list was written").with_source(error)
                })?;
                let job = Job::Stage(StageJob { file: list.file, key: list.key });
                staging.stage(&job, &self.context(package, &StagingAccess::None)).await?;
            }
        }
        Ok(Jobs { jobs: copies.into_iter().map(Job::Copy).collect(), access })
    }

    /// The way in on which both sides agree; files are fetched where the destination takes local ones only.
    async fn access(
        &self,
        destination: &dyn Destination,
        staging: &dyn StagingDestination,
        files: Vec<StagedFile>,
    ) -> Result<StagingAccess> {
        let storage = staging.capabilities().storage;
        let copies = &destination.capabilities().copies;
        if let Some(source) = copies.iter().find(|source| source.storage == storage) {
            if let Some(kind) = source.access.iter().find(|kind| kind.is_brought_along()) {
                return Ok(StagingAccess::Configured(*kind));
            }
            return staging.grant(&AccessRequest { files, takes: source.access.clone() }).await;
        }
        let mut paths = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            let path = self.folder.path().join(format!("fetched-{number}"));
            staging.fetch(file, &path).await?;
            paths.insert(file.key.clone(), path);
        }
        if !copies.iter().any(|source| source.storage == StorageKind::Local) {
            return Err(Error::new(ErrorKind::Unsupported, "it does not copy from this storage"));
        }
        Ok(StagingAccess::LocalPaths(paths))
    }

    /// What surrounds the jobs of a load.
    pub(super) fn context<'a>(
        &'a self,
        package: &'a Package,
        access: &'a StagingAccess,
    ) -> JobContext<'a> {
        JobContext {
            load: &package.load,
            schema: &package.schema,
            folder: self.folder.path(),
            access,
            on_bytes: &|_| (),
        }
    }

    /// Runs the jobs, where they do not run in the publication.
    pub(super) async fn run(
        &self,
        destination: &dyn Destination,
        package: &Package,
        jobs: &Jobs,
    ) -> Result<()> {
        if destination.capabilities().loads_in_publication {
            return Ok(());
        }
        for job in &jobs.jobs {
            destination.run(job, &self.context(package, &jobs.access)).await?;
        }
        Ok(())
    }

    /// Publishes a load behind the last one that its fence names.
    pub(super) async fn publish(
        &self,
        destination: &dyn Destination,
        package: &Package,
        jobs: &Jobs,
        previous: Option<LoadId>,
        state: &DatasetState,
    ) -> Result<Commit> {
        let stores_schema = state.schema_hashes.first() != Some(&package.schema.version_hash);
        let publication = package.publication(&jobs.jobs, previous, stores_schema);
        // As the engine does it: jobs that ran apart have read their files.
        let access = match destination.capabilities().loads_in_publication {
            true => &jobs.access,
            false => &StagingAccess::None,
        };
        destination.publish(&publication, &self.context(package, access)).await
    }

    /// Takes a load as far as its publication, which is left to the case.
    pub(super) async fn up_to_publication(
        &self,
        destination: &dyn Destination,
        package: &mut Package,
    ) -> Outcome<(Jobs, Fence)> {
        let state = self.describe(destination, Some(package)).await?;
        self.apply(destination, package, &state).await?;
        let fence = self.fence(destination, package).await?;
        let jobs = self.jobs(destination, package).await?;
        self.run(destination, package, &jobs).await?;
        Ok((jobs, fence))
    }

    /// The rows of a table, in one form and order.
    pub(super) async fn look(&self, table: &str, columns: &[&str]) -> Outcome<Vec<Row>> {
        let all = self.columns(table);
        let chosen: Vec<Column> = columns
            .iter()
            .filter_map(|name| all.iter().find(|column| column.name == *name).cloned())
            .collect();
        let rows = self.harness.rows(&self.dataset.name, table, &chosen).await?;
        Ok(canonical_rows(&chosen, rows))
    }

    /// Ends the case unless a table holds exactly these rows, in any order.
    pub(super) async fn expect(&self, table: &str, columns: &[&str], rows: Vec<Row>) -> Outcome {
        let all = self.columns(table);
        let chosen: Vec<Column> = columns
            .iter()
            .filter_map(|name| all.iter().find(|column| column.name == *name).cloned())
            .collect();
        same!(
            self.look(table, columns).await?,
            canonical_rows(&chosen, rows),
            "the rows of {table} ({})",
            columns.join(", ")
        );
        Ok(())
    }

    /// Ends the case unless the staging dataset holds nothing but these tables.
    pub(super) async fn expect_staging(&self, expected: &[&str]) -> Outcome {
        let mut left = self.harness.tables(&self.dataset.staging).await?;
        left.sort();
        same!(left, expected, "the tables that are left in the staging dataset");
        Ok(())
    }

    /// The disposition of the strategy that is tried.
    pub(super) fn replacing(&self) -> Disposition {
        Disposition::Replace(self.replace)
    }

    /// The disposition of the strategy that is tried.
    pub(super) fn merging(&self) -> Disposition {
        Disposition::Merge(self.merge)
    }

    /// A state of the pipeline.
    pub(super) fn state_row(&self, version: u64) -> StateRow {
        StateRow {
            version,
            engine_version: 4,
            pipeline_name: self.pipeline.clone(),
            state: format!("eJyrVipLzE1VslJQSs5ILS5WqgUAMU8Fkg=={version}"),
            created_at: "2026-11-22T17:45:38.000001Z".into(),
            version_hash: "SjxS6SQmsH2zFUBYGm0SKJFSQ4fFtLRH6AVDsthQttk=".into(),
            dlt_id: format!("id{version}"),
        }
    }
}
