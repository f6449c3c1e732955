//! What datasets hold, from the API: its answers are up to date, complete to the digits of a type, and cost nothing, which
//! is not so of the views of `INFORMATION_SCHEMA`.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use transload_core::Result;
use transload_core::sql::{Row, Statement, system};

use crate::api::{Api, Request, part};
use crate::jobs::rows_in;
use crate::types::Type;

/// Tables that are asked for at the same time. "Quotas and limits", tabledata and tables: 100 such requests in a second.
pub(crate) const AT_ONCE: usize = 16;

/// A question of the toolkit's that the API answers, in the place of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether a dataset exists: a row with its name.
    Dataset(String),
    /// The columns of its tables: table, column, type, `YES` where it may be NULL.
    Columns(String),
}

const DATASET: &str = "GET dataset ";
const COLUMNS: &str = "GET columns of ";

impl Question {
    /// As a statement, for those who hand on statements. No SQL begins so.
    pub(crate) fn statement(&self) -> Statement {
        Statement::new(match self {
            Self::Dataset(name) => format!("{DATASET}{name}"),
            Self::Columns(name) => format!("{COLUMNS}{name}"),
        })
    }

    /// The question behind a statement.
    pub(crate) fn of(sql: &str) -> Option<Self> {
        let dataset = sql.strip_prefix(DATASET).map(|name| Self::Dataset(name.to_owned()));
        dataset.or_else(|| sql.strip_prefix(COLUMNS).map(|name| Self::Columns(name.to_owned())))
    }

    /// The rows of the answer.
    pub(crate) async fn ask(&self, api: &Api, project: &str) -> Result<Vec<Row>> {
        match self {
            Self::Dataset(name) => {
                let found = api.find(&Request::get(dataset_path(project, name))).await?;
                Ok(found.map(|_| vec![Some(name.clone())]).into_iter().collect())
            }
            Self::Columns(name) => columns(api, project, name).await,
        }
    }
}

/// The path of a dataset.
pub(crate) fn dataset_path(project: &str, dataset: &str) -> String {
    format!("/bigquery/v2/projects/{}/datasets/{}", part(project), part(dataset))
}

async fn columns(api: &Api, project: &str, dataset: &str) -> Result<Vec<Row>> {
    let names = tables(api, project, dataset).await?;
    let asked = names.into_iter().map(|name| columns_of(api, project, dataset, name));
    let rows: Vec<Vec<Row>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(rows.into_iter().flatten().collect())
}

async fn columns_of(api: &Api, project: &str, dataset: &str, table: String) -> Result<Vec<Row>> {
    // One that has gone meanwhile has no columns.
    let found = api.find(&Request::get(table_path(project, dataset, &table))).await?;
    Ok(found.map(|found| rows_of(&table, &found)).unwrap_or_default())
}

/// The names of the tables of a dataset; none where it does not exist.
pub(crate) async fn tables(api: &Api, project: &str, dataset: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut page = String::new();
    loop {
        let path = format!("{}/tables?maxResults=1000{page}", dataset_path(project, dataset));
        let Some(found) = api.find(&Request::get(path)).await? else { return Ok(names) };
        let listed = found["tables"].as_array().into_iter().flatten();
        let tables = listed.filter(|table| table["type"].as_str().is_none_or(|it| it == "TABLE"));
        let name = |table: &Value| table["tableReference"]["tableId"].as_str().map(str::to_owned);
        names.extend(tables.filter_map(name));
        match found["nextPageToken"].as_str() {
            Some(token) if !token.is_empty() => page = format!("&pageToken={}", part(token)),
            _ => return Ok(names),
        }
    }
}

/// The rows of the fences of a dataset: pipeline, epoch, last load. Unlike a query this costs nothing. REST reference,
/// `tabledata.list`.
pub(crate) async fn fences(api: &Api, project: &str, dataset: &str) -> Result<Vec<Row>> {
    let path = table_path(project, dataset, system::FENCE);
    let mut rows = Vec::new();
    let mut page = String::new();
    loop {
        // They come in the order of the columns.
        let fields = "selectedFields=pipeline,seq,last_load_id";
        let path = format!("{path}/data?maxResults=10000&{fields}{page}");
        let found = api.ask(&Request::get(path)).await?;
        rows.extend(rows_in(&found));
        match found["pageToken"].as_str() {
            Some(token) if !token.is_empty() => page = format!("&pageToken={}", part(token)),
            _ => return Ok(rows),
        }
    }
}

/// The path of a table.
pub(crate) fn table_path(project: &str, dataset: &str, table: &str) -> String {
    format!("{}/tables/{}", dataset_path(project, dataset), part(table))
}

fn rows_of(name: &str, table: &Value) -> Vec<Row> {
    let fields = table["schema"]["fields"].as_array().into_iter().flatten();
    let row = |field: &Value| {
        let nullable = if field["mode"] == "REQUIRED" { "NO" } else { "YES" };
        let column = field["name"].as_str().map(str::to_owned);
        vec![
            Some(name.to_owned()),
            column,
            Some(Type::of_field(field).sql()),
            Some(nullable.to_owned()),
        ]
    };
    fields.map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_is_found_again_in_its_statement() {
        for question in [Question::Dataset("it's".into()), Question::Columns("d".into())] {
            assert_eq!(Question::of(&question.statement().to_string()), Some(question));
        }
        assert_eq!(Question::of("SELECT 1"), None);
    }

    #[test]
    fn fields_are_columns() {
        let table = json!({"schema": {"fields": [
            {"name": "a", "type": "INTEGER", "mode": "REQUIRED"},
            {"name": "b", "type": "NUMERIC", "precision": "10", "scale": "2"},
        ]}});
        let rows: Vec<String> = rows_of("t", &table)
            .into_iter()
            .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(rows, ["t a INT64 NO", "t b NUMERIC(10,2) YES"]);
        assert!(rows_of("t", &json!({})).is_empty());
    }
}
