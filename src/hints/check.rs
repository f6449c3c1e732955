//! Hints of a table that go together, or do not.
//!
//! Source: dlt, `verify_schema_merge_disposition`.

use transload_core::{Error, ErrorKind, MergeStrategy, Result, Table, WriteDisposition};

use crate::normalize::merge_strategy;

/// Hints that one column of a table can have.
const SINGLE: [(&str, &str); 2] = [
    ("hard_delete", "which column marks rows that are to be deleted"),
    ("dedup_sort", "which of several rows with one key stays"),
];

/// Looks at the hints of a table that is no nested one. Returns those that do nothing.
///
/// # Errors
/// [`ErrorKind::Configuration`] where two columns have a hint that one can have, or the merge strategy is not known.
pub(super) fn hints_of(table: &Table) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if table.parent.is_some() {
        return Ok(warnings);
    }
    let has = |hint: &str| !table.columns_with_hint(hint).is_empty();
    let strategy = merge_strategy(table)?;
    for (hint, meaning) in SINGLE {
        let columns = table.columns_with_hint(hint);
        if columns.len() > 1 {
            return Err(Error::new(
                ErrorKind::Configuration,
                "two columns have a hint that one can have",
            )
            .with("table", &table.name)
            .with("hint", hint)
            .with("columns", columns.join(", "))
            .with_hint(format!("it says {meaning}: leave it to one of them")));
        }
        if let (Some(column), None) = (columns.first(), strategy) {
            let disposition = table.write_disposition.unwrap_or(WriteDisposition::Append);
            warnings.push(format!(
                "`{hint}` of `{}.{column}` does nothing: it is for the write disposition merge, and this is {disposition}",
                table.name
            ));
        }
    }
    let Some(strategy) = strategy else { return Ok(warnings) };
    let mut does_nothing = |hint: &str, why: &str| {
        if has(hint) {
            warnings.push(format!("`{hint}` of `{}` does nothing: {why}", table.name));
        }
    };
    let is_deduplicated = table.hints.get("x-stage-data-deduplicated") == Some(&true.into());
    match strategy {
        MergeStrategy::DeleteInsert if !has("primary_key") => {
            does_nothing("dedup_sort", "rows are told apart by a primary key, and there is none");
        }
        MergeStrategy::DeleteInsert if is_deduplicated => {
            does_nothing("dedup_sort", "the rows are said to be `deduplicated`");
        }
        MergeStrategy::Upsert | MergeStrategy::InsertOnly => {
            does_nothing("merge_key", "this merge strategy goes by the primary key alone");
        }
        MergeStrategy::DeleteInsert | MergeStrategy::Scd2 => {}
    }
    if strategy == MergeStrategy::DeleteInsert && !has("primary_key") && !has("merge_key") {
        warnings.push(format!(
            "`{}` is merged, but has neither a primary key nor a merge key: its rows are appended",
            table.name
        ));
    }
    Ok(warnings)
}
