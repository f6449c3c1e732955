//! A transaction as one script: BigQuery runs it whole, and takes back what it did where it does not come to its end.
//!
//! BigQuery documentation, "Multi-statement transactions" and "Procedural language".

use transload_core::sql::{Dialect, Expect, Transaction, Work};
use transload_core::{Error, ErrorKind, Result};

/// Bytes of the longest script. "Quotas and limits", query jobs: an unresolved query has at most 1 MB.
pub(crate) const SCRIPT_BYTES: usize = 1_000_000;

/// Bytes around the statement of a step: what counts its rows and holds them against their number.
pub(crate) const AROUND_STEP: usize = 260;

/// How a script says that a step changed another number of rows than it must.
const MARK: &str = "transload step ";

/// A transaction, ready to be sent.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its text.
    pub(crate) text: String,
    /// The line on which each step begins, counted from 1.
    lines: Vec<usize>,
}

impl Script {
    /// Writes a script that runs the steps in their order, and answers with the number of rows that each changed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a step that is no statement, and for a script that is too long.
    pub(crate) fn of(transaction: &Transaction, dialect: &dyn Dialect) -> Result<Self> {
        let mut text = String::from(
            "DECLARE transload_counts ARRAY<INT64> DEFAULT [];\n\
             BEGIN TRANSACTION;\n",
        );
        let mut lines = Vec::new();
        for (number, step) in transaction.steps.iter().enumerate() {
            let Work::Statement(statement) = &step.work else {
                return Err(Error::new(ErrorKind::Unsupported, "BigQuery does not know this work")
                    .with("step", &step.name));
            };
            lines.push(text.matches('\n').count() + 1);
            let (sql, _) = statement.render(dialect);
            let name = step.name.replace(['\n', '\r'], " ");
            // The number is that of the statement right before, and of no other.
            text.push_str(&format!(
                "-- {name}\n{sql};\n\
                 SET transload_counts = ARRAY_CONCAT(transload_counts, [IFNULL(@@row_count, 0)]);\n"
            ));
            if let Expect::Rows { rows, .. } = &step.expect {
                let count = format!("transload_counts[OFFSET({number})]");
                text.push_str(&format!(
                    "IF {count} != {rows} THEN RAISE USING MESSAGE = CONCAT('{MARK}{number} rows ', \
                     CAST({count} AS STRING)); END IF;\n"
                ));
            }
        }
        text.push_str("COMMIT TRANSACTION;\nSELECT transload_counts;\n");
        if text.len() > SCRIPT_BYTES {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the load is published by a script that is too long for BigQuery",
            )
            .with("bytes", text.len())
            .with("longest", SCRIPT_BYTES)
            .with_hint(
                "load the tables in several pipelines, so that each publishes some of them",
            ));
        }
        Ok(Self { text, lines })
    }

    /// The error of a script as that of its step.
    pub(crate) fn explain(&self, error: Error, transaction: &Transaction) -> Error {
        let causes = error.report().causes.join(" ");
        if let Some((number, found)) = read_mark(&causes)
            && let Some(step) = transaction.steps.get(number)
            && let Expect::Rows { rows, otherwise, message } = &step.expect
        {
            return Error::new(*otherwise, message.clone())
                .with("step", &step.name)
                .with("expected", rows)
                .with("found", found);
        }
        let line = line_of(&causes);
        let at = line.and_then(|line| self.lines.iter().rposition(|begin| *begin <= line));
        match at.and_then(|at| transaction.steps.get(at)) {
            Some(step) => error.with("step", &step.name),
            None => error,
        }
    }

    /// What each step changed, from the answer.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] where it is not the answer of the script.
    pub(crate) fn counts(&self, list: &[String]) -> Result<Vec<u64>> {
        let counts: Vec<u64> = list.iter().filter_map(|count| count.parse().ok()).collect();
        match counts.len() == self.lines.len() {
            true => Ok(counts),
            false => Err(Error::new(
                ErrorKind::OutcomeUnknown,
                "a script has not answered with what its steps changed",
            )
            .with("steps", self.lines.len())
            .with("answered", counts.len())),
        }
    }
}

/// The step and the rows that a script has named.
fn read_mark(message: &str) -> Option<(usize, u64)> {
    let (_, mark) = message.split_once(MARK)?;
    let (number, rest) = mark.split_once(" rows ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((number.parse().ok()?, digits.parse().ok()?))
}

/// The line that a message names: `… at [12:1]`.
fn line_of(message: &str) -> Option<usize> {
    let (_, place) = message.rsplit_once("at [")?;
    place.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use transload_core::sql::{InsertFile, Statement, Step};

    use super::*;
    use crate::dialect::tests::dialect;

    fn transaction() -> Transaction {
        let fence = Step {
            name: "change the\nfence".into(),
            work: Statement::new("UPDATE f SET seq = seq + 1 WHERE p = ").value("it's\n").into(),
            expect: Expect::Rows {
                rows: 1,
                otherwise: ErrorKind::Fenced,
                message: "overtaken".into(),
            },
        };
        let steps = vec![
            fence,
            Step::any("empty t", Statement::new("DELETE FROM t WHERE TRUE")),
            Step::rows("publish t", Statement::new("INSERT INTO t (a)\nSELECT a FROM s"), 3),
        ];
        Transaction { steps }
    }

    #[test]
    fn a_transaction_is_one_script_that_counts() {
        let script = Script::of(&transaction(), &dialect()).unwrap();
        insta::assert_snapshot!(script.text);
        assert_eq!(script.counts(&["1", "0", "3"].map(str::to_owned)).unwrap(), [1, 0, 3]);
        let error = script.counts(&["1".to_owned()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    }

    #[test]
    fn what_stands_around_a_step_is_reckoned_with() {
        let step = |name: &str| Step::rows(name, Statement::new("SELECT 1"), 1_000_000_000);
        let bytes = |steps: usize| {
            let steps = (0..steps).map(|_| step("publish t")).collect();
            Script::of(&Transaction { steps }, &dialect()).unwrap().text.len()
        };
        let around = bytes(1000) - bytes(999) - "publish tSELECT 1".len();
        assert!(around <= AROUND_STEP, "{around}");
    }

    #[test]
    fn an_error_is_that_of_its_step() {
        let transaction = transaction();
        let script = Script::of(&transaction, &dialect()).unwrap();
        let explained = |message: &str| {
            let error =
                Error::new(ErrorKind::Terminal, "BigQuery refused").with_source(message.to_owned());
            script.explain(error, &transaction)
        };
        let fenced = explained("Query error: transload step 0 rows 0 at [6:1]");
        assert_eq!((fenced.kind(), fenced.message()), (ErrorKind::Fenced, "overtaken"));
        let rows = explained("transload step 2 rows 2");
        assert_eq!(
            rows.to_string(),
            "rows do not reconcile (step: publish t, expected: 3, found: 2)"
        );
        let line = script.text.lines().position(|line| line.starts_with("SELECT a")).unwrap() + 1;
        let other = explained(&format!("Query error: Table s was not found at [{line}:15]"));
        assert_eq!(other.context("step"), Some("publish t"));
        assert_eq!(explained("something else").context("step"), None);
    }

    #[test]
    fn what_no_script_can_hold_is_refused_before_it_is_sent() {
        let insert = InsertFile { path: "x".into(), gzip: false, into: "t".into() };
        let files = Transaction { steps: vec![Step::rows("load t", insert, 1)] };
        assert_eq!(Script::of(&files, &dialect()).unwrap_err().kind(), ErrorKind::Unsupported);
        let long = Statement::new("SELECT ").value("x".repeat(SCRIPT_BYTES));
        let long = Transaction { steps: vec![Step::any("x", long)] };
        let error = Script::of(&long, &dialect()).unwrap_err();
        assert!(error.hint().unwrap().contains("several pipelines"));
    }
}
