//! A publication as one transaction.

use std::collections::BTreeMap;

use crate::{
    Bounds, Column, Commit, DataFile, Disposition, Error, ErrorKind, Job, JobContext, Load,
    MergeStrategy, Publication, ReplaceStrategy, Result, Table, TableChain, TablePublication,
    canonical_json,
};

use super::describe::{Names, pack_text};
use super::dialect::{Value, insert_row};
use super::merge::{Member, Merge, Scratch, scratch_table};
use super::migrate::create_dataset;
use super::{
    Dialect, Parameter, Statement, Step, Target, Transaction, column_list, create_table, system,
};

/// What a publication runs.
#[derive(Clone, Debug)]
pub struct PublicationPlan {
    /// What must be there before: the private staging tables. Runs outside the transaction, since many engines commit
    /// on DDL; repeated, it has the same effect.
    pub before: Vec<Statement>,
    /// The transaction.
    pub transaction: Transaction,
    /// For each table the rows that arrived.
    rows: BTreeMap<String, Arrived>,
    /// For each table the statements that load rows.
    statements: BTreeMap<String, u64>,
}

/// How many rows of a table arrived.
#[derive(Clone, Debug, Default)]
struct Arrived {
    /// Those that were counted when their job ran, before the publication.
    before: u64,
    /// The steps that bring the others.
    steps: Vec<usize>,
}

impl PublicationPlan {
    /// What was published, from the numbers that the steps changed.
    pub fn commit(&self, changed: &[u64]) -> Commit {
        let of = |arrived: &Arrived| {
            let steps = arrived.steps.iter().filter_map(|step| changed.get(*step));
            arrived.before + steps.sum::<u64>()
        };
        Commit {
            rows: self.rows.iter().map(|(table, rows)| (table.clone(), of(rows))).collect(),
            statements: self.statements.clone(),
            ..Commit::default()
        }
    }
}

/// The name of the private staging table in which a job finds room. Copies of one table are one job; local files are
/// a job each, and each has a table of its own, so that running one again does not touch another.
pub fn staging_name(load: &Load, job: &Job, max_length: usize) -> String {
    match job {
        Job::Load(job) => {
            let number = job.file.name.split('-').next().unwrap_or_default();
            load.staging_table(&format!("{}__{number}", job.file.table), max_length)
        }
        job => load.staging_table(job.table(), max_length),
    }
}

/// The plan of a publication.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a merge whose hints contradict its strategy; [`ErrorKind::Bug`] where the publication
/// contradicts itself; those of the dialect.
pub fn plan_publication(
    dialect: &dyn Dialect,
    loads_in_publication: bool,
    max_table_length: usize,
    publication: &Publication,
    context: &JobContext<'_>,
) -> Result<PublicationPlan> {
    let dataset = &context.load.dataset;
    let mut planner = Planner {
        names: Names { dialect, dataset: &dataset.name },
        loads_in_publication,
        max_table_length,
        publication,
        context,
        plan: PublicationPlan {
            before: Vec::new(),
            transaction: Transaction::default(),
            rows: BTreeMap::new(),
            statements: BTreeMap::new(),
        },
    };
    if let Some(lock) = dialect.lock(&planner.names.table(system::FENCE)) {
        planner.step(Step::any("lock the fence", Statement::new(lock)));
    }
    let timestamp = dialect.type_name(&system::fence().columns["updated_at"])?;
    let fence = planner.names.commit_fence(
        context.load,
        publication.previous.as_ref(),
        &publication.published_at,
        &timestamp,
    );
    planner.step(fence);
    for chain in &publication.chains {
        planner.chain(chain)?;
    }
    planner.system_rows()?;
    Ok(planner.plan)
}

struct Planner<'a> {
    names: Names<'a>,
    loads_in_publication: bool,
    max_table_length: usize,
    publication: &'a Publication,
    context: &'a JobContext<'a>,
    plan: PublicationPlan,
}

/// Where the rows of a table are to be found.
enum Source {
    /// In its files.
    Files,
    /// In these staging tables, each with its rows.
    Staging(Vec<(String, u64)>),
}

impl Source {
    fn is_staged(&self) -> bool {
        matches!(self, Self::Staging(parts) if !parts.is_empty())
    }
}

impl<'a> Planner<'a> {
    fn step(&mut self, step: Step) {
        self.plan.transaction.steps.push(step);
    }

    fn chain(&mut self, chain: &TableChain) -> Result<()> {
        for table in chain.tables() {
            check_rows(table)?;
            self.plan.rows.entry(table.table.clone()).or_default();
            self.plan.statements.entry(table.table.clone()).or_default();
        }
        if let Disposition::Merge(strategy) = chain.disposition {
            return self.merge(chain, strategy);
        }
        let replaces = matches!(chain.disposition, Disposition::Replace(_));
        let mut sources = Vec::new();
        for table in chain.tables() {
            let source = self.source(table, chain.disposition)?;
            let overwrites = replaces && self.names.dialect.overwrites() && source.is_staged();
            sources.push((table, source, overwrites));
        }
        if replaces {
            // Children first, for datasets in which someone declared foreign keys.
            for (table, ..) in sources.iter().rev().filter(|(.., overwrites)| !overwrites) {
                let sql = self.names.dialect.delete_all(&self.names.table(&table.table));
                self.step(Step::any(format!("empty {}", table.table), Statement::new(sql)));
            }
        }
        for (table, source, overwrites) in sources {
            self.bring(table, source, overwrites)?;
        }
        Ok(())
    }

    /// Finds out where the rows are, or brings them into a staging table first.
    fn source(&mut self, table: &TablePublication, disposition: Disposition) -> Result<Source> {
        if !self.loads_in_publication {
            return Ok(Source::Staging(self.parts(table)));
        }
        // The fastest way of an engine that loads in its transaction is to load into the table itself: nobody sees it
        // before it holds all rows.
        let through_staging =
            disposition == Disposition::Replace(ReplaceStrategy::InsertFromStaging);
        if !through_staging || table.jobs.is_empty() {
            return Ok(Source::Files);
        }
        let name = self.load_into_staging(table)?;
        Ok(Source::Staging(vec![(name, table.rows)]))
    }

    /// The staging tables in which the jobs of a table have left its rows.
    fn parts(&self, table: &TablePublication) -> Vec<(String, u64)> {
        let part = |job| {
            let name = staging_name(self.context.load, job, self.max_table_length);
            (self.staging(&name), rows_of(job))
        };
        table.jobs.iter().map(part).collect()
    }

    fn bring(&mut self, table: &TablePublication, source: Source, overwrites: bool) -> Result<()> {
        let name = self.names.table(&table.table);
        let schema = self.schema_table(&table.table)?;
        match source {
            Source::Files if table.jobs.is_empty() => {}
            Source::Files => self.arrive(table, |this| this.load(&name, table, schema))?,
            Source::Staging(parts) => {
                self.arrive(table, |this| {
                    this.move_rows("publish", &name, schema, parts, overwrites);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Brings the rows of a chain into one staging table each, and merges them from there.
    fn merge(&mut self, chain: &TableChain, strategy: MergeStrategy) -> Result<()> {
        let mut members = Vec::new();
        for table in chain.tables() {
            members.push(Member {
                target: self.names.table(&table.table),
                staged: self.staged(table)?,
                table: self.schema_table(&table.table)?,
            });
        }
        let nested = members.split_off(1);
        let root = members.pop().expect("a chain has a root");
        let scratch = match nested.is_empty() || root.staged.is_none() {
            true => None,
            false => Some(Scratch {
                removed: self.scratch("removed", root.table)?,
                kept: self.scratch("kept", root.table)?,
            }),
        };
        let published_at = &self.publication.published_at;
        let dialect = self.names.dialect;
        let bounds = bounds_of(&chain.root, root.table);
        let merge = Merge { dialect, strategy, root, nested, scratch, bounds, published_at };
        self.plan.transaction.steps.extend(merge.steps()?);
        Ok(())
    }

    /// The one staging table with all rows of a table; none where it has no rows.
    fn staged(&mut self, table: &TablePublication) -> Result<Option<String>> {
        if table.rows == 0 {
            return Ok(None);
        }
        if self.loads_in_publication {
            return self.arrive(table, |this| this.load_into_staging(table)).map(Some);
        }
        let parts = self.parts(table);
        if let [(name, rows)] = &parts[..] {
            // The job that filled it has counted them.
            self.plan.rows.entry(table.table.clone()).or_default().before += rows;
            return Ok(Some(name.clone()));
        }
        let schema = self.schema_table(&table.table)?;
        let name = self.make("all", &table.table, schema)?;
        self.arrive(table, |this| {
            this.move_rows("gather", &name, schema, parts, false);
            Ok(())
        })?;
        Ok(Some(name))
    }

    /// Runs the jobs of a table into a staging table of its own, within the transaction.
    fn load_into_staging(&mut self, table: &TablePublication) -> Result<String> {
        let name =
            self.staging(&self.context.load.staging_table(&table.table, self.max_table_length));
        let schema = self.schema_table(&table.table)?;
        self.before(staging_table(self.names.dialect, self.context.load, &name, schema)?);
        self.load(&name, table, schema)?;
        Ok(name)
    }

    /// Makes a table for the ids of root rows.
    fn scratch(&mut self, kind: &str, root: &Table) -> Result<String> {
        let table = scratch_table(kind, root)?;
        self.make(kind, &root.name, &table)
    }

    /// Makes a table beside the staging tables. Its name is one that no table of a user has.
    fn make(&mut self, kind: &str, of: &str, table: &Table) -> Result<String> {
        let name = format!("{}{kind}_{of}", system::OWN_PREFIX);
        let name = self.staging(&self.context.load.staging_table(&name, self.max_table_length));
        self.before(staging_table(self.names.dialect, self.context.load, &name, table)?);
        Ok(name)
    }

    fn staging(&self, name: &str) -> String {
        self.names.dialect.table(&self.context.load.dataset.staging, name)
    }

    fn before(&mut self, statements: Vec<Statement>) {
        for statement in statements {
            if !self.plan.before.contains(&statement) {
                self.plan.before.push(statement);
            }
        }
    }

    /// Adds steps that bring the rows of a table: what they change is what arrives.
    fn arrive<T>(
        &mut self,
        table: &TablePublication,
        steps: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let first = self.plan.transaction.steps.len();
        let result = steps(self)?;
        let added = first..self.plan.transaction.steps.len();
        self.plan.rows.entry(table.table.clone()).or_default().steps.extend(added);
        Ok(result)
    }

    /// Moves rows into a table: the first part of them in the place of what is there, where that is asked for.
    fn move_rows(
        &mut self,
        what: &str,
        to: &str,
        table: &Table,
        parts: Vec<(String, u64)>,
        mut overwrites: bool,
    ) {
        let names = table.complete_columns().map(|column| column.name.as_str());
        let columns = column_list(self.names.dialect, names);
        for (from, rows) in parts {
            let overwrite = if std::mem::take(&mut overwrites) { "OVERWRITE " } else { "" };
            let insert = Statement::new(format!(
                "INSERT {overwrite}INTO {to} ({columns}) SELECT {columns} FROM {from}"
            ));
            self.step(Step::rows(format!("{what} {}", table.name), insert, rows));
        }
    }

    fn load(&mut self, name: &str, table: &TablePublication, schema: &Table) -> Result<()> {
        let target = Target { name, table: schema };
        let steps = self.names.dialect.load(&target, &table.jobs, self.context)?;
        *self.plan.statements.entry(table.table.clone()).or_default() += steps.len() as u64;
        self.plan.transaction.steps.extend(steps);
        Ok(())
    }

    fn schema_table(&self, table: &str) -> Result<&'a Table> {
        self.context.schema.tables.get(table).ok_or_else(|| {
            Error::new(ErrorKind::Bug, "a table of the publication is not in the schema")
                .with("table", table)
        })
    }

    /// The state, the schema, the load and the commit: what makes the rows above a load that was published.
    fn system_rows(&mut self) -> Result<()> {
        let Publication { state, stores_schema, published_at, .. } = self.publication;
        let Load { load_id, pipeline, digest, epoch, .. } = self.context.load;
        let schema = self.context.schema;
        let now = || Value::Time(published_at.as_str().into());
        if let Some(state) = state {
            self.insert(
                &system::pipeline_state(),
                vec![
                    plain(state.version),
                    plain(state.engine_version),
                    plain(state.pipeline_name.as_str()),
                    plain(state.state.as_str()),
                    Value::Time(state.created_at.as_str().into()),
                    plain(state.version_hash.as_str()),
                    plain(load_id.as_str()),
                    plain(state.dlt_id.as_str()),
                ],
            )?;
        }
        if *stores_schema {
            let text = pack_text(schema.to_json(), self.names.dialect.max_text_bytes())?;
            self.insert(
                &system::version(),
                vec![
                    plain(schema.version),
                    plain(u64::from(schema.engine_version)),
                    now(),
                    plain(schema.name.as_str()),
                    plain(schema.version_hash.as_str()),
                    plain(text),
                ],
            )?;
        }
        self.insert(
            &system::loads(),
            vec![
                plain(load_id.as_str()),
                plain(schema.name.as_str()),
                plain(0),
                now(),
                plain(schema.version_hash.as_str()),
            ],
        )?;
        let counts: BTreeMap<&str, u64> =
            self.publication.tables().map(|table| (table.table.as_str(), table.rows)).collect();
        let counts = serde_json::to_value(counts).expect("numbers by text");
        self.insert(
            &system::commits(),
            vec![
                plain(load_id.as_str()),
                plain(pipeline.as_str()),
                plain(schema.name.as_str()),
                plain(digest.as_str()),
                plain(epoch.0),
                plain(canonical_json(&counts)),
                now(),
            ],
        )
    }

    fn insert(&mut self, table: &Table, values: Vec<Value>) -> Result<()> {
        let name = self.names.table(&table.name);
        let statement = insert_row(self.names.dialect, &name, table, values)?;
        self.step(Step::rows(format!("write {}", table.name), statement, 1));
        Ok(())
    }
}

/// What is known of the columns of a table over all files of a load.
fn bounds_of(published: &TablePublication, table: &Table) -> BTreeMap<String, Bounds> {
    let files: Vec<&DataFile> = published
        .jobs
        .iter()
        .flat_map(|job| match job {
            Job::Load(job) => vec![&job.file],
            Job::Copy(job) => job.files.iter().map(|staged| &staged.file).collect(),
            Job::Stage(_) | Job::Custom(_) => Vec::new(),
        })
        .collect();
    let joined = |column: &Column| {
        let mut bounds = files.iter().map(|file| file.bounds_of(&column.name));
        let first = bounds.next()??;
        bounds.try_fold(first, |joined, next| joined.joined(next?, column.data_type?))
    };
    table
        .complete_columns()
        .filter_map(|column| Some((column.name.clone(), joined(column)?)))
        .collect()
}

fn plain(value: impl Into<Parameter>) -> Value {
    Value::Plain(value.into())
}

/// The bytes in the files of a job.
pub(super) fn bytes_of(job: &Job) -> u64 {
    job.data_files().iter().map(|file| file.bytes).sum()
}

/// The rows in the files of a job.
pub(super) fn rows_of(job: &Job) -> u64 {
    job.data_files().iter().map(|file| file.rows).sum()
}

fn check_rows(table: &TablePublication) -> Result<()> {
    let in_files: u64 = table.jobs.iter().map(rows_of).sum();
    if in_files == table.rows {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Bug,
        "the files of a table have another number of rows than the load",
    )
    .with("table", &table.table)
    .with("expected", table.rows)
    .with("found", in_files))
}

/// The statements that make a private staging table anew, and its dataset where that is missing.
pub(super) fn staging_table(
    dialect: &dyn Dialect,
    load: &Load,
    name: &str,
    table: &Table,
) -> Result<Vec<Statement>> {
    Ok(vec![
        create_dataset(dialect, &load.dataset.staging),
        Statement::new(format!("DROP TABLE IF EXISTS {name}")),
        create_table(dialect, name, table)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::{Ansi, Case, show};
    use crate::{LoadId, MergeStrategy, ReplaceStrategy, StateRow};

    fn publication(disposition: Disposition) -> Publication {
        let table = |name: &str, files: &[u64]| TablePublication {
            table: name.into(),
            rows: files.iter().sum(),
            jobs: files.iter().enumerate().map(|(n, rows)| Case::job(name, n + 1, *rows)).collect(),
        };
        Publication {
            previous: None,
            chains: vec![TableChain {
                disposition,
                root: table("players", &[3, 2]),
                nested: vec![table("players__games", &[])],
            }],
            state: None,
            stores_schema: false,
            published_at: "2026-11-22T17:45:39.736473Z".into(),
        }
    }

    fn plan(publication: &Publication, loads_in_publication: bool) -> Result<PublicationPlan> {
        let case = Case::new();
        plan_publication(
            &Ansi { modern: true },
            loads_in_publication,
            63,
            publication,
            &case.context(),
        )
    }

    fn shown(publication: &Publication, loads_in_publication: bool) -> String {
        let plan = plan(publication, loads_in_publication).unwrap();
        format!("{}{}", show(&plan.before), plan.transaction)
    }

    #[test]
    fn append_loads_behind_the_fence() {
        let mut publication = publication(Disposition::Append);
        publication.previous = Some(LoadId::new("1795369000.1"));
        publication.stores_schema = true;
        publication.state = Some(StateRow {
            version: 2,
            engine_version: 4,
            pipeline_name: "it's chess".into(),
            state: "eJy…".into(),
            created_at: "2026-11-22T17:45:39.736473Z".into(),
            version_hash: "h".into(),
            dlt_id: "id".into(),
        });
        insta::assert_snapshot!(shown(&publication, true));
    }

    #[test]
    fn replace_empties_in_the_same_transaction() {
        let strategy = ReplaceStrategy::TruncateAndInsert;
        insta::assert_snapshot!(shown(&publication(Disposition::Replace(strategy)), true));
    }

    #[test]
    fn replace_from_staging_makes_its_tables_before() {
        let strategy = ReplaceStrategy::InsertFromStaging;
        insta::assert_snapshot!(shown(&publication(Disposition::Replace(strategy)), true));
    }

    #[test]
    fn replace_overwrites_where_the_engine_can_and_there_are_rows() {
        let case = Case::new();
        let strategy = ReplaceStrategy::InsertFromStaging;
        let publication = publication(Disposition::Replace(strategy));
        let shown = |loads_in_publication| {
            let (dialect, context) = (Ansi { modern: false }, case.context());
            plan_publication(&dialect, loads_in_publication, 63, &publication, &context)
                .unwrap()
                .transaction
                .to_string()
        };
        for (loads_in_publication, inserts) in [(true, 0), (false, 1)] {
            let shown = shown(loads_in_publication);
            let overwrite = "INSERT OVERWRITE INTO \"chess\".\"players\" (";
            assert_eq!(shown.matches(overwrite).count(), 1, "{shown}");
            let rest = shown.matches("INSERT INTO \"chess\".\"players\" (").count();
            assert_eq!(rest, inserts, "the first part alone: {shown}");
            assert!(!shown.contains("DELETE FROM \"chess\".\"players\"\n"), "{shown}");
            assert!(shown.contains("DELETE FROM \"chess\".\"players__games\""), "{shown}");
        }
    }

    #[test]
    fn an_engine_that_would_rather_fail_than_wait_locks_the_fence_first() {
        let case = Case::new();
        let publication = publication(Disposition::Append);
        let plan =
            plan_publication(&Ansi { modern: false }, true, 63, &publication, &case.context());
        let steps = plan.unwrap().transaction.steps;
        assert_eq!(steps[0].to_string(), "-- lock the fence\nLOCK \"chess\".\"_transload_fence\"");
        assert!(steps[1].name.contains("fence"));
    }

    #[test]
    fn rows_that_are_staged_already_are_moved() {
        insta::assert_snapshot!(shown(&publication(Disposition::Append), false));
    }

    #[test]
    fn a_commit_counts_rows_once() {
        for strategy in [ReplaceStrategy::TruncateAndInsert, ReplaceStrategy::InsertFromStaging] {
            let publication = publication(Disposition::Replace(strategy));
            let plan = plan(&publication, true).unwrap();
            let changed: Vec<u64> = plan
                .transaction
                .steps
                .iter()
                .map(|step| match step.expect {
                    crate::sql::Expect::Rows { rows, .. } => rows,
                    crate::sql::Expect::Any => 100,
                })
                .collect();
            let commit = plan.commit(&changed);
            assert_eq!(commit.rows["players"], 5, "{strategy:?}");
            assert_eq!(commit.statements["players"], 2, "{strategy:?}");
            assert_eq!(commit.rows["players__games"], 0, "{strategy:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_before_it_begins() {
        let merge = publication(Disposition::Merge(MergeStrategy::Upsert));
        assert_eq!(plan(&merge, true).unwrap_err().kind(), ErrorKind::Configuration);
        let mut other = publication(Disposition::Append);
        other.chains[0].root.rows = 6;
        assert_eq!(plan(&other, true).unwrap_err().kind(), ErrorKind::Bug);
        other = publication(Disposition::Append);
        other.chains[0].root.table = "unknown".into();
        assert_eq!(plan(&other, true).unwrap_err().kind(), ErrorKind::Bug);
    }
}
