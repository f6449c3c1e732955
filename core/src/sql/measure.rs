//! How long a publication will be, before anything is there that could run it.

use crate::{Column, DataType, Job, JobContext, Publication, PublicationText, Result, Table};

use super::{Dialect, Statement, Step, Target, Work, plan_publication};

/// Bytes of the longest name of a table: they are not cut here.
const LONGEST_NAME: usize = usize::MAX;

/// About the bytes of a publication that is sent as one text, its rows being staged before: from the same plan as the
/// publication itself, in plain SQL. No destination is asked, so that it can be known before a load is sealed.
///
/// # Errors
/// Those of [`plan_publication`].
pub fn publication_bytes(
    text: &PublicationText,
    publication: &Publication,
    context: &JobContext<'_>,
) -> Result<usize> {
    let dialect = Plain { text: *text };
    let plan = plan_publication(&dialect, false, LONGEST_NAME, publication, context)?;
    let bytes = |step: &Step| {
        let statement = match &step.work {
            Work::Statement(statement) => statement.render(&dialect).0.len(),
            Work::Inserts(_) | Work::Copy(_) => 0,
        };
        text.around_step + step.name.len() + statement
    };
    Ok(plan.transaction.steps.iter().map(bytes).sum())
}

/// SQL as most engines would write it.
#[derive(Debug)]
struct Plain {
    text: PublicationText,
}

impl Dialect for Plain {
    fn quote(&self, name: &str) -> String {
        format!("\"{name}\"")
    }

    fn literal(&self, text: &str) -> String {
        // What has to be escaped takes two places in every engine.
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    }

    fn placeholder(&self, _position: usize) -> Option<String> {
        None
    }

    fn dataset(&self, dataset: &str) -> String {
        format!("{}{}", " ".repeat(self.text.qualifier), self.quote(dataset))
    }

    fn table(&self, dataset: &str, table: &str) -> String {
        format!("{}.{}", self.dataset(dataset), self.quote(table))
    }

    fn type_name(&self, column: &Column) -> Result<String> {
        Ok(column.data_type.map_or("", DataType::as_str).to_owned())
    }

    fn widens(&self, _from: &str, _to: &str) -> bool {
        false
    }

    fn change_type(&self, _table: &str, _column: &str, _type_name: &str) -> String {
        String::new()
    }

    fn check_table(&self, _table: &Table) -> Result<()> {
        Ok(())
    }

    fn table_options(&self, _table: &Table) -> String {
        String::new()
    }

    fn adds_column_if_not_exists(&self) -> bool {
        true
    }

    fn delete_all(&self, table: &str) -> String {
        format!("DELETE FROM {table} WHERE TRUE")
    }

    fn overwrites(&self) -> bool {
        false
    }

    fn merges(&self) -> bool {
        false
    }

    fn position(&self) -> Option<&str> {
        None
    }

    fn aliases_in_delete(&self) -> bool {
        true
    }

    fn lock(&self, _table: &str) -> Option<String> {
        None
    }

    fn now(&self) -> &str {
        "CURRENT_TIMESTAMP"
    }

    fn timestamp_text(&self, expression: &str) -> String {
        expression.to_owned()
    }

    fn folds_case(&self) -> bool {
        false
    }

    fn dataset_exists(&self, _dataset: &str) -> Statement {
        Statement::default()
    }

    fn columns(&self, _dataset: &str) -> Statement {
        Statement::default()
    }

    fn max_text_bytes(&self) -> Option<usize> {
        self.text.longest_value
    }

    fn load(&self, _: &Target<'_>, _: &[Job], _: &JobContext<'_>) -> Result<Vec<Step>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::Case;
    use crate::{Disposition, MergeStrategy, TableChain, TablePublication};

    fn publication(disposition: Disposition) -> Publication {
        let root = TablePublication {
            table: "players".into(),
            rows: 3,
            jobs: vec![Case::job("players", 1, 3)],
        };
        Publication {
            previous: None,
            chains: vec![TableChain { disposition, root, nested: Vec::new() }],
            state: None,
            stores_schema: false,
            published_at: "2026-11-22T17:45:39.736473Z".into(),
        }
    }

    fn bytes(text: PublicationText, disposition: Disposition) -> usize {
        publication_bytes(&text, &publication(disposition), &Case::new().context()).unwrap()
    }

    #[test]
    fn a_publication_is_as_long_as_its_plan() {
        let text = PublicationText { bytes: 1_000_000, ..PublicationText::default() };
        let plain = bytes(text, Disposition::Append);
        assert!((700..1500).contains(&plain), "{plain}");
        // The fence, the rows, the load and the commit: four steps.
        let around = bytes(PublicationText { around_step: 100, ..text }, Disposition::Append);
        assert_eq!(around, plain + 400);
        // Each of them names a table, and that of the rows a second one.
        let qualified = bytes(PublicationText { qualifier: 10, ..text }, Disposition::Append);
        assert_eq!(qualified, plain + 50);
        let merged = bytes(text, Disposition::Merge(MergeStrategy::DeleteInsert));
        assert!(merged > plain, "{merged} and {plain}");
    }
}
