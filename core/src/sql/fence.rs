//! The fence of a pipeline: raising it at the start of a load, and changing it in the commit.

use crate::{Epoch, Error, ErrorKind, Fence, Load, LoadId, Result};

use super::describe::{FenceRow, Names, read_fence};
use super::dialect::cast;
use super::{Dialect, Expect, SqlClient, Statement, Step, Transaction, column_list, system};

/// How often the fence is tried before the engine is asked to wait.
const TRIES: usize = 5;

/// Raises the fence of a pipeline and returns it.
///
/// It is read, then swapped for the next value: the swap fails where anyone came between, so nothing is read within a
/// transaction, and a lost answer costs a number and no more.
pub(super) async fn raise(
    client: &dyn SqlClient,
    names: &Names<'_>,
    pipeline: &str,
    owner: &str,
) -> Result<Fence> {
    let mut last = None;
    for _ in 0..TRIES {
        let rows = client.query(&names.fence(pipeline)?).await?;
        let rows = rows.into_iter().map(read_fence).collect::<Result<Vec<_>>>()?;
        let (transaction, raised) = match rows.as_slice() {
            [] => {
                client.execute(&names.lay_fence(pipeline, owner)).await?;
                continue;
            }
            [row] => (names.raise_fence(pipeline, owner, &row.fence), &row.fence),
            rows => names.mend_fence(pipeline, owner, rows),
        };
        let epoch = next_epoch(&rows);
        match client.transaction(&transaction).await {
            Ok(_) => return Ok(Fence { epoch, owner: owner.to_owned(), ..raised.clone() }),
            Err(error)
                if matches!(error.kind(), ErrorKind::Transient | ErrorKind::OutcomeUnknown) =>
            {
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    let error = Error::new(ErrorKind::Transient, "the fence could not be raised")
        .with("pipeline", pipeline)
        .with_hint("another loader of the pipeline may be at work");
    Err(match last {
        Some(source) => error.with_source(source),
        None => error,
    })
}

fn next_epoch(rows: &[FenceRow]) -> Epoch {
    Epoch(rows.iter().map(|row| row.fence.epoch.0).max().unwrap_or_default() + 1)
}

impl Names<'_> {
    /// Puts down the fence of a pipeline at 0, where there is none.
    fn lay_fence(&self, pipeline: &str, owner: &str) -> Statement {
        let table = self.table(system::FENCE);
        let columns = column_list(self.dialect, ["pipeline", "seq", "owner", "updated_at"]);
        Statement::new(format!("INSERT INTO {table} ({columns}) SELECT "))
            .value(pipeline)
            .sql(", 0, ")
            .value(owner)
            .sql(&format!(
                // Some engines have no WHERE without a FROM.
                ", {} FROM (SELECT 1 AS one) AS one WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {} = ",
                self.dialect.now(),
                self.column("pipeline")
            ))
            .value(pipeline)
            .sql(")")
    }

    /// Raises the fence that was read, if it is still that one.
    fn raise_fence(&self, pipeline: &str, owner: &str, read: &Fence) -> Transaction {
        let statement = self
            .change_fence()
            .sql(&format!(", {} = ", self.column("owner")))
            .value(owner)
            .sql(&format!(", {} = {}", self.column("updated_at"), self.dialect.now()));
        let raise = Step {
            name: "raise the fence".into(),
            work: self.where_fence(statement, pipeline, read.epoch).into(),
            expect: one_row(ErrorKind::Transient, "another loader raised the fence"),
        };
        Transaction { steps: vec![raise] }
    }

    /// Makes one fence of several: two loaders that were the first of their pipeline may both have put one down, where
    /// the engine enforces no key. All are changed first, so that nobody else can be using one of them, and then the
    /// one that knows of the newest load stays.
    fn mend_fence<'r>(
        &self,
        pipeline: &str,
        owner: &str,
        rows: &'r [FenceRow],
    ) -> (Transaction, &'r Fence) {
        let newest = rows
            .iter()
            .max_by_key(|row| (&row.fence.last_load, row.fence.epoch))
            .expect("there are several");
        let epoch = next_epoch(rows);
        let table = self.table(system::FENCE);
        let all = |step: &str, statement: Statement| Step {
            name: step.into(),
            work: statement
                .sql(&format!(" WHERE {} = ", self.column("pipeline")))
                .value(pipeline)
                .into(),
            expect: Expect::Rows {
                rows: rows.len() as u64,
                otherwise: ErrorKind::Transient,
                message: "another loader changed the fence".into(),
            },
        };
        let columns = column_list(
            self.dialect,
            ["pipeline", "seq", "last_load_id", "last_digest", "owner", "updated_at"],
        );
        let insert = Statement::new(format!("INSERT INTO {table} ({columns}) VALUES ("))
            .value(pipeline)
            .sql(", ")
            .value(epoch.0)
            .sql(", ")
            .value(newest.fence.last_load.as_ref().map(LoadId::as_str))
            .sql(", ")
            .value(newest.last_digest.as_deref())
            .sql(", ")
            .value(owner)
            .sql(&format!(", {})", self.dialect.now()));
        let steps = vec![
            all(
                "take every fence of the pipeline",
                Statement::new(format!("UPDATE {table} SET {} = ", self.column("seq")))
                    .value(epoch.0),
            ),
            all("remove them", Statement::new(format!("DELETE FROM {table}"))),
            Step::any("put down one", insert),
        ];
        (Transaction { steps }, &newest.fence)
    }

    /// The first step of every publication: whoever finds another value than its own has been overtaken.
    pub(super) fn commit_fence(
        &self,
        load: &Load,
        previous: Option<&LoadId>,
        at: &str,
        timestamp: &str,
    ) -> Step {
        let statement = self
            .change_fence()
            .sql(&format!(", {} = ", self.column("last_load_id")))
            .value(load.load_id.as_str())
            .sql(&format!(", {} = ", self.column("last_digest")))
            .value(load.digest.as_str())
            .sql(&format!(", {} = ", self.column("updated_at")));
        let statement =
            self.where_fence(cast(statement, at, timestamp), &load.pipeline, load.epoch);
        let last = self.column("last_load_id");
        let statement = match previous {
            Some(previous) => statement.sql(&format!(" AND {last} = ")).value(previous.as_str()),
            None => statement.sql(&format!(" AND {last} IS NULL")),
        };
        // Whatever the load takes for its previous one: it is never published on top of itself.
        let statement = statement
            .sql(&format!(" AND ({last} IS NULL OR {last} <> "))
            .value(load.load_id.as_str())
            .sql(")");
        Step {
            name: "change the fence".into(),
            work: statement.into(),
            expect: one_row(
                ErrorKind::Fenced,
                "another loader of the pipeline has overtaken this one",
            ),
        }
    }

    fn change_fence(&self) -> Statement {
        let seq = self.column("seq");
        Statement::new(format!("UPDATE {} SET {seq} = {seq} + 1", self.table(system::FENCE)))
    }

    fn where_fence(&self, statement: Statement, pipeline: &str, epoch: Epoch) -> Statement {
        statement
            .sql(&format!(" WHERE {} = ", self.column("pipeline")))
            .value(pipeline)
            .sql(&format!(" AND {} = ", self.column("seq")))
            .value(epoch.0)
    }
}

fn one_row(otherwise: ErrorKind, message: &'static str) -> Expect {
    Expect::Rows { rows: 1, otherwise, message: message.into() }
}

/// The tables that a fence and a publication need and that are not among these.
pub(super) fn missing_tables<'a>(
    dialect: &dyn Dialect,
    dataset: &str,
    has: impl Fn(&str) -> bool + 'a,
) -> Result<Vec<Statement>> {
    system::tables()
        .into_iter()
        .filter(|table| !has(&table.name))
        .map(|table| super::create_table(dialect, &dialect.table(dataset, &table.name), &table))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::Ansi;

    fn row(epoch: u64, last_load: Option<&str>) -> FenceRow {
        FenceRow {
            fence: Fence {
                epoch: Epoch(epoch),
                last_load: last_load.map(LoadId::new),
                owner: "old".into(),
            },
            last_digest: None,
        }
    }

    #[test]
    fn a_fence_is_laid_raised_and_mended() {
        let names = Names { dialect: &Ansi { modern: true }, dataset: "chess" };
        let rows = [row(7, None), row(3, Some("1795369539.5"))];
        let (mend, kept) = names.mend_fence("p", "me", &rows);
        assert_eq!(kept, &rows[1].fence);
        insta::assert_snapshot!(format!(
            "{}\n\n{}\n\n{mend}",
            names.lay_fence("it's", "me"),
            names.raise_fence("it's", "me", &rows[0].fence)
        ));
    }
}
