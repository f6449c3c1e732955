//! A destination from a client and a dialect.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    Capabilities, Column, Commit, Dataset, DatasetState, Destination, Error, ErrorKind,
    ExistingColumn, Fence, Inquiry, Job, JobContext, JobOutcome, JobStatistics, Load, LoadId,
    Publication, Result, SchemaChange, Survey, Table, staging_table_owner,
};

use super::describe::{Names, newest_schema, read_commit, read_fence, read_state, read_tables};
use super::dialect::same_name;
use super::fence::{missing_tables, raise};
use super::migrate::create_dataset;
use super::publish::{bytes_of, rows_of, staging_table};
use super::{
    Dialect, SqlClient, Statement, Target, Transaction, migration, plan_publication, staging_name,
    system,
};

/// A destination that speaks SQL. One whose engine can do something better keeps it and delegates the rest to it.
#[derive(Debug)]
pub struct SqlDestination<C, D> {
    client: C,
    dialect: D,
    capabilities: Capabilities,
}

impl<C: SqlClient, D: Dialect> SqlDestination<C, D> {
    /// A destination over this client and dialect.
    pub fn new(client: C, dialect: D, capabilities: Capabilities) -> Self {
        Self { client, dialect, capabilities }
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    /// The dialect.
    pub fn dialect(&self) -> &D {
        &self.dialect
    }

    /// The tables of a dataset; none where it does not exist.
    async fn tables(&self, dataset: &str) -> Result<BTreeMap<String, Vec<ExistingColumn>>> {
        read_tables(self.client.query(&self.dialect.columns(dataset)).await?)
    }

    /// Whether a table is among these, as the engine would find it.
    fn has(&self, tables: &BTreeMap<String, Vec<ExistingColumn>>, table: &str) -> bool {
        tables.keys().any(|name| same_name(&self.dialect, name, table))
    }

    async fn first(&self, statement: &Statement) -> Result<Option<super::Row>> {
        Ok(self.client.query(statement).await?.into_iter().next())
    }

    async fn execute_all(&self, statements: &[Statement]) -> Result<()> {
        for statement in statements {
            self.client.execute(statement).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl<C: SqlClient, D: Dialect> Destination for SqlDestination<C, D> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.client.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.dialect.type_name(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.dialect.widens(from, to)
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        self.dialect.check_table(table)
    }

    async fn check(&self) -> Result<()> {
        self.client.check().await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        let dataset = &inquiry.dataset.name;
        if self.client.query(&self.dialect.dataset_exists(dataset)).await?.is_empty() {
            return Ok(DatasetState::default());
        }
        let names = Names { dialect: &self.dialect, dataset };
        let tables = self.tables(dataset).await?;
        let has = |table: &str| self.has(&tables, table);
        let mut state = DatasetState { exists: true, ..DatasetState::default() };
        if has(system::VERSION) {
            let hashes = self.client.query(&names.schema_hashes(&inquiry.schema)).await?;
            // The newest first: the schema of a load is stored where it is not the newest one.
            state.schema_hashes = hashes.into_iter().flatten().flatten().collect();
            let newest = self.first(&names.newest_schema(&inquiry.schema)).await?;
            state.schema = newest.map(newest_schema).transpose()?;
        }
        if has(system::STATE) && has(system::LOADS) {
            let newest = self.first(&names.newest_state(&inquiry.pipeline)?).await?;
            state.state = newest.map(read_state).transpose()?;
        }
        if has(system::FENCE) {
            let fence = self.first(&names.fence(&inquiry.pipeline)?).await?;
            state.fence = fence.map(read_fence).transpose()?.map(|row| row.fence);
        }
        if let Some(load) = &inquiry.load {
            let mut found = None;
            if has(system::COMMITS) {
                found = self.first(&names.commit(load, &inquiry.pipeline)).await?;
            }
            if found.is_none() && has(system::LOADS) {
                // The id is taken by a load of another tool, of which there is no digest.
                let row = self.first(&names.complete_load(load)).await?;
                found = row.map(|_| vec![None]);
            }
            state.commit = found.map(|row| read_commit(load, row)).transpose()?;
        }
        state.tables = tables;
        Ok(state)
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        let identifiers = &self.capabilities.identifiers;
        identifiers.check_table(&dataset.name)?;
        identifiers.check_table(&dataset.staging)?;
        for change in changes {
            if let SchemaChange::CreateTable(table) = change {
                identifiers.check_table(&table.name)?;
            }
            change.new_columns().try_for_each(|column| identifiers.check_column(&column.name))?;
        }
        let looks = |change: &SchemaChange| match change {
            SchemaChange::AddColumns { .. } => !self.dialect.adds_column_if_not_exists(),
            SchemaChange::WidenColumn { .. } => true,
            SchemaChange::CreateDataset | SchemaChange::CreateTable(_) => false,
        };
        let have = if changes.iter().any(looks) {
            self.tables(&dataset.name).await?
        } else {
            BTreeMap::new()
        };
        let statements = migration(&self.dialect, dataset, changes, &have)?;
        self.execute_all(&statements).await?;
        Ok(statements.iter().map(ToString::to_string).collect())
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        let names = Names { dialect: &self.dialect, dataset: &dataset.name };
        let tables = self.tables(&dataset.name).await?;
        if tables.is_empty() {
            self.client.execute(&create_dataset(&self.dialect, &dataset.name)).await?;
        }
        let missing = missing_tables(&self.dialect, &dataset.name, |name| self.has(&tables, name))?;
        self.execute_all(&missing).await?;
        raise(&self.client, &names, pipeline, owner).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        if self.capabilities.loads_in_publication || !matches!(job, Job::Load(_) | Job::Copy(_)) {
            return Err(Error::new(ErrorKind::Unsupported, "jobs of this kind are not run apart")
                .with("job", job.id()));
        }
        let table = context.schema.tables.get(job.table()).ok_or_else(|| {
            Error::new(ErrorKind::Bug, "a table of a job is not in the schema")
                .with("table", job.table())
        })?;
        let length = self.capabilities.identifiers.max_table_length;
        let name = staging_name(context.load, job, length);
        let name = self.dialect.table(&context.load.dataset.staging, &name);
        self.execute_all(&staging_table(&self.dialect, context.load, &name, table)?).await?;
        let target = Target { name: &name, table };
        let steps = self.dialect.load(&target, std::slice::from_ref(job), context)?;
        let statements = steps.len() as u64;
        let changed = self.client.transaction(&Transaction { steps }).await?;
        let rows: u64 = changed.iter().sum();
        if rows != rows_of(job) {
            return Err(Error::new(ErrorKind::Terminal, "rows do not reconcile")
                .with("job", job.id())
                .with("expected", rows_of(job))
                .with("found", rows));
        }
        let bytes = bytes_of(job);
        (context.on_bytes)(bytes);
        let statistics =
            JobStatistics { rows: Some(rows), bytes, statements, ..JobStatistics::default() };
        Ok(JobOutcome { statistics, follow_ups: Vec::new() })
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        let plan = plan_publication(
            &self.dialect,
            self.capabilities.loads_in_publication,
            self.capabilities.identifiers.max_table_length,
            publication,
            context,
        )?;
        self.execute_all(&plan.before).await?;
        let changed = self.client.transaction(&plan.transaction).await.map_err(|error| {
            let error = error.with("pipeline", &context.load.pipeline);
            match error.kind() {
                ErrorKind::Fenced => error.with("epoch", context.load.epoch).with_hint(
                    "one loader of a pipeline runs at a time; look for the other one, then resume",
                ),
                _ => error,
            }
        })?;
        if self.capabilities.loads_in_publication {
            let jobs = publication.tables().flat_map(|table| &table.jobs);
            (context.on_bytes)(jobs.map(bytes_of).sum());
        }
        Ok(plan.commit(&changed))
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        let mut left: Vec<String> = self.tables(&load.dataset.staging).await?.into_keys().collect();
        left.retain(|table| left_by(load, table));
        self.drop_staging_tables(&load.dataset, &left).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        let names = Names { dialect: &self.dialect, dataset: &dataset.name };
        let tables = self.tables(&dataset.name).await?;
        let mut survey = Survey::default();
        for (table, loads) in
            [(system::COMMITS, names.commits()), (system::LOADS, names.complete_loads())]
        {
            if self.has(&tables, table) {
                let ids = self.client.query(&loads).await?.into_iter().flatten().flatten();
                survey.loads.extend(ids.map(LoadId::new));
            }
        }
        survey.staging_tables = self.tables(&dataset.staging).await?.into_keys().collect();
        Ok(survey)
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        for table in tables {
            let name = self.dialect.table(&dataset.staging, table);
            self.client.execute(&Statement::new(format!("DROP TABLE IF EXISTS {name}"))).await?;
        }
        Ok(())
    }
}

/// Whether a staging table is of this load, in its epoch or an earlier one.
fn left_by(load: &Load, table: &str) -> bool {
    staging_table_owner(table)
        .is_some_and(|(tag, epoch)| tag == load.load_id.tag() && epoch <= load.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Row;
    use crate::sql::testing::{Ansi, Answer, Case, Recorder, row};
    use crate::{DataType, Epoch, Error, Sha256Hex};

    fn destination(answers: Vec<Answer>) -> SqlDestination<Recorder, Ansi> {
        let client = Recorder { answers, ..Recorder::default() };
        SqlDestination::new(client, Ansi { modern: true }, Capabilities::default())
    }

    fn inquiry() -> Inquiry {
        Inquiry {
            dataset: Dataset::new("chess"),
            pipeline: "p".into(),
            schema: "s".into(),
            load: Some(LoadId::new("1.0")),
        }
    }

    #[tokio::test]
    async fn tables_that_are_not_there_are_not_asked() {
        let nothing = destination(Vec::new());
        assert_eq!(nothing.describe(&inquiry()).await.unwrap(), DatasetState::default());
        let columns = vec![row(&[system::LOADS, "load_id", "varchar", "NO"])];
        let some = destination(vec![
            ("schemata", vec![row(&["chess"])]),
            ("information_schema.columns", columns),
            (system::LOADS, vec![row(&["1.0"])]),
        ]);
        let found = some.describe(&inquiry()).await.unwrap();
        assert_eq!(found.commit.unwrap().digest, None);
        assert!(found.exists && !found.tables[system::LOADS][0].nullable);
        assert_eq!(some.client().sent().lines().count(), 3);
    }

    #[tokio::test]
    async fn an_id_that_anyone_has_taken_is_found() {
        let of = |digest: &str, loads: Vec<Row>| {
            let columns = [system::COMMITS, system::LOADS].map(|t| row(&[t, "load_id", "x", "NO"]));
            destination(vec![
                ("schemata", vec![row(&["chess"])]),
                ("information_schema.columns", columns.to_vec()),
                (system::COMMITS, if digest.is_empty() { vec![] } else { vec![row(&[digest])] }),
                (system::LOADS, loads),
            ])
        };
        let theirs = Sha256Hex::of(b"theirs");
        let completed = || vec![row(&["1.0"])];
        for (digest, loads, found) in [
            ("", vec![], None),
            ("", completed(), Some(None)),
            (theirs.as_str(), completed(), Some(Some(theirs.clone()))),
            (theirs.as_str(), vec![], Some(Some(theirs.clone()))),
        ] {
            let state = of(digest, loads).describe(&inquiry()).await.unwrap();
            assert_eq!(state.commit.map(|commit| commit.digest), found, "{digest}");
        }
    }

    #[tokio::test]
    async fn tables_are_found_in_any_case_where_the_engine_folds_it() {
        for (modern, asked) in [(true, 2), (false, 3)] {
            let client = Recorder {
                answers: vec![
                    ("schemata", vec![row(&["Chess"])]),
                    ("information_schema.columns", vec![row(&["_DLT_Loads", "x", "x", "NO"])]),
                ],
                ..Recorder::default()
            };
            let destination = SqlDestination::new(client, Ansi { modern }, Capabilities::default());
            let found = destination.describe(&inquiry()).await.unwrap();
            assert!(found.tables.contains_key("_DLT_Loads"), "names are as they were made");
            assert_eq!(destination.client().sent().lines().count(), asked);
        }
    }

    #[test]
    fn a_place_and_its_types_are_those_of_client_and_dialect() {
        let destination = destination(Vec::new());
        assert_eq!(destination.identity(), "recorder:here");
        assert_eq!(destination.native_type(&Column::new("a", DataType::Bool)).unwrap(), "bool");
    }

    #[tokio::test]
    async fn a_job_that_runs_apart_makes_its_staging_table_anew() {
        let case = Case::new();
        let destination = destination(Vec::new());
        let outcome = destination.run(&Case::job("players", 1, 3), &case.context()).await.unwrap();
        assert_eq!((outcome.statistics.rows, outcome.statistics.statements), (Some(3), 1));
        insta::assert_snapshot!(destination.client().sent());
    }

    #[tokio::test]
    async fn a_survey_names_loads_of_both_tables_and_what_lies_in_staging() {
        let table = |name: &str| row(&[name, "load_id", "x", "NO"]);
        let destination = destination(vec![
            ("\"_transload_commits\"", vec![row(&["2.0"])]),
            ("\"_dlt_loads\"", vec![row(&["1.0"]), row(&["2.0"])]),
            (
                "information_schema.columns",
                [system::COMMITS, system::LOADS, "t__0123456789_e1"].map(table).to_vec(),
            ),
        ]);
        let dataset = Dataset::new("chess");
        let survey = destination.survey(&dataset).await.unwrap();
        assert_eq!(survey.loads, [LoadId::new("1.0"), LoadId::new("2.0")].into());
        assert!(survey.staging_tables.contains(&"t__0123456789_e1".to_owned()));
        destination.drop_staging_tables(&dataset, &survey.staging_tables[2..]).await.unwrap();
        insta::assert_snapshot!(destination.client().sent());
    }

    #[tokio::test]
    async fn a_fence_is_swapped_until_it_holds() {
        let fence = vec![("SELECT CAST(\"seq\"", vec![vec![Some("7".into()), None, None, None]])];
        let lost = |kind| Error::new(kind, "lost");
        let destination = destination(fence);
        let dataset = Dataset::new("chess");
        *destination.client().failures.lock().unwrap() =
            vec![lost(ErrorKind::Transient), lost(ErrorKind::OutcomeUnknown)];
        let fence = destination.fence(&dataset, "p", "me").await.unwrap();
        assert_eq!((fence.epoch, fence.owner.as_str()), (Epoch(8), "me"));
        assert_eq!(destination.client().sent().matches("UPDATE").count(), 3);

        *destination.client().failures.lock().unwrap() =
            (0..9).map(|_| lost(ErrorKind::Transient)).collect();
        let error = destination.fence(&dataset, "p", "me").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient);
        *destination.client().failures.lock().unwrap() = vec![lost(ErrorKind::Terminal)];
        let error = destination.fence(&dataset, "p", "me").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal);
    }

    #[tokio::test]
    async fn columns_are_looked_up_where_the_engine_cannot_skip_them() {
        let columns = vec![row(&["t", "a", "x", "YES"])];
        let client = Recorder {
            answers: vec![("information_schema.columns", columns)],
            ..Recorder::default()
        };
        let destination =
            SqlDestination::new(client, Ansi { modern: false }, Capabilities::default());
        let columns = ["a", "b"].map(|name| Column::new(name, DataType::Bool)).to_vec();
        let change = SchemaChange::AddColumns { table: "t".into(), columns };
        let run = destination.apply(&Dataset::new("chess"), &[change]).await.unwrap();
        assert_eq!(run, ["ALTER TABLE \"chess\".\"t\" ADD COLUMN \"b\" bool"]);
    }

    #[test]
    fn only_tables_of_this_load_and_not_of_a_later_epoch_are_left_over() {
        let load = Case::new().load;
        let at = |epoch: u64| Load { epoch: Epoch(epoch), ..load.clone() };
        let other = Load { load_id: LoadId::new("other"), ..load.clone() };
        assert!(left_by(&load, &at(4).staging_table("players", 63)));
        assert!(left_by(&load, &at(1).staging_table(&"long".repeat(50), 63)));
        assert!(!left_by(&load, &at(5).staging_table("players", 63)));
        assert!(!left_by(&load, &other.staging_table("players", 63)));
        for name in ["players", "players_e1", "_e", ""] {
            assert!(!left_by(&load, name), "{name}");
        }
    }
}
