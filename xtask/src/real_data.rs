//! `real-data`: loads JSON that nobody here wrote, and counts its rows independently.

mod count;
mod data_sets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::npm;
use crate::process;
use crate::workspace::Workspace;
use data_sets::{DATA_SETS, DataSet};

pub(crate) fn real_data_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    crate::duckdb::setup(workspace)?;
    real_data(workspace)
}

pub(crate) fn real_data(workspace: &Workspace) -> Outcome {
    let scratch = workspace.stack().join("real-data");
    folder::remove(&scratch)?;
    let mut rows = Vec::new();
    for data_set in DATA_SETS {
        let file = fetched(workspace, data_set)?;
        let expected = expected(data_set, &file)?;
        let folder = scratch.join(data_set.table);
        folder::create(&folder)?;
        load(workspace, data_set, &file, &folder)?;
        for (table, expected) in expected {
            let loaded = loaded(workspace, data_set, &folder, &table);
            rows.push(Row { table, expected, loaded });
        }
    }
    print!("{}", report(&rows));
    if rows.iter().all(Row::agrees) {
        return folder::remove(&scratch);
    }
    Err(Failure::new("rows were lost or made up").with_hint(format!(
        "what was loaded is still in {}",
        workspace.relative(&scratch).display()
    )))
}

/// One line of the report.
struct Row {
    table: String,
    expected: u64,
    loaded: Outcome<u64>,
}

impl Row {
    fn agrees(&self) -> bool {
        self.loaded.as_ref().is_ok_and(|loaded| *loaded == self.expected)
    }
}

fn fetched(workspace: &Workspace, data_set: &DataSet) -> Outcome<PathBuf> {
    let package = &data_set.package;
    let name = package.specification().replace('/', "+");
    let folder = workspace.cache()?.join("real-data").join(name);
    let file = folder.join(data_set.file.rsplit('/').next().unwrap_or(data_set.file));
    if !file.is_file() {
        eprintln!("real-data: fetching {}", package.specification());
        folder::replace(&folder, |folder| npm::unpack(package, &[data_set.file], folder, ""))?;
    }
    Ok(file)
}

/// The rows that the chosen tables must have, by our own count of the file.
fn expected(data_set: &DataSet, file: &Path) -> Outcome<BTreeMap<String, u64>> {
    let unreadable = || format!("cannot read {}", file.display());
    let text = fs::read_to_string(file).context(unreadable)?;
    let Value::Array(rows) = serde_json::from_str(&text).context(unreadable)? else {
        return Err(Failure::new(format!("{} is no array", file.display()))
            .with_hint("look at the package's version in xtask/src/real_data/data_sets.rs"));
    };
    let counts = count::rows(data_set.table, &rows);
    let known = |table: &String| {
        counts.get(table).map(|count| (table.clone(), *count)).ok_or_else(|| {
            Failure::new(format!("{} has no rows for {table}", file.display()))
                .with_hint("choose another list in xtask/src/real_data/data_sets.rs")
        })
    };
    let lists = data_set.lists.iter().map(|list| format!("{}__{list}", data_set.table));
    let tables: Vec<String> = [data_set.table.to_owned()].into_iter().chain(lists).collect();
    tables.iter().map(known).collect()
}

fn load(workspace: &Workspace, data_set: &DataSet, file: &Path, folder: &Path) -> Outcome {
    eprintln!("real-data: loading {}", data_set.package.specification());
    let mut command = process::cargo(workspace);
    command
        .args(["run", "--quiet", "--locked", "--features", "full", "--", "run"])
        .args(["--pipeline-name", &format!("real_{}", data_set.table)])
        .args(["--destination", "duckdb", "--staging", "filesystem"])
        .args(["--dataset-name", data_set.dataset, "--loader-file-format", "parquet"])
        .args(["--table", data_set.table, "--source"])
        .arg(file)
        .arg("--pipelines-dir")
        .arg(folder.join("pipelines"))
        .args(["--output", "json"])
        .env("DESTINATION__FILESYSTEM__BUCKET_URL", folder.join("staged"))
        .env("DESTINATION__DUCKDB__CREDENTIALS", database(folder));
    process::output(&mut command).map(|_| ())
}

fn loaded(workspace: &Workspace, data_set: &DataSet, folder: &Path, table: &str) -> Outcome<u64> {
    let mut command = process::cargo(workspace);
    command
        .args(["run", "--quiet", "--locked", "--features", "full", "--example", "query", "--"])
        .arg("--csv")
        .arg(database(folder))
        .arg(format!("select count(*) as count from {}.{table}", data_set.dataset));
    let table = process::output(&mut command)?;
    number(&table).ok_or_else(|| Failure::new(format!("no count in what it printed: {table}")))
}

fn database(folder: &Path) -> PathBuf {
    folder.join("loaded.duckdb")
}

/// The one number below the header line.
fn number(csv: &str) -> Option<u64> {
    csv.lines().nth(1)?.trim().parse().ok()
}

fn report(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.table.len()).max().unwrap_or(0);
    let mut text = format!("{:<width$}  {:>8}  {:>8}\n", "table", "expected", "loaded");
    for row in rows {
        let (loaded, reason) = match &row.loaded {
            Ok(count) => (count.to_string(), String::new()),
            Err(failure) => ("none".to_owned(), format!("\n{}", failure.report())),
        };
        let mark = if row.agrees() { "" } else { "  differs" };
        text.push_str(&format!(
            "{:<width$}  {:>8}  {loaded:>8}{mark}{reason}\n",
            row.table, row.expected
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_below_the_header() {
        assert_eq!(number("count\n649\n"), Some(649));
        assert_eq!(number("count\n"), None);
    }

    #[test]
    fn a_difference_is_marked() {
        let row = |loaded| Row { table: "countries".to_owned(), expected: 250, loaded };
        let rows = [row(Ok(250)), row(Ok(249)), row(Err(Failure::new("no such table")))];
        let lines: Vec<String> = report(&rows).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "table      expected    loaded");
        assert_eq!(lines[1], "countries       250       250");
        assert_eq!(lines[2], "countries       250       249  differs");
        assert_eq!(lines[3], "countries       250      none  differs");
        assert_eq!(lines[4], "error: no such table");
    }
}
