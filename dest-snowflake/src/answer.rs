//! What Snowflake answers to a statement, as it comes over the wire.

use serde::Deserialize;
use serde_json::Value as Json;
use transload_core::sql::Row;
use transload_core::{Error, ErrorKind, Result};

/// An answer of the server: whether it worked, and what to.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    #[serde(default)]
    pub(crate) success: bool,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) data: Json,
}

impl Envelope {
    /// The code, wherever it stands.
    pub(crate) fn code(&self) -> &str {
        let inner = self.data.get("errorCode").and_then(Json::as_str);
        self.code.as_deref().or(inner).unwrap_or_default()
    }

    /// Whether the statement still runs, and where to ask for its end. Source: the drivers' "query in progress" codes.
    pub(crate) fn in_progress(&self) -> Option<&str> {
        let runs = ["333333", "333334"].contains(&self.code());
        runs.then(|| self.data.get("getResultUrl").and_then(Json::as_str)).flatten()
    }
}

/// What a statement returned.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// The rows, as texts.
    pub(crate) rows: Vec<Row>,
    /// What a PUT is to do.
    pub(crate) upload: Option<Upload>,
}

/// A part of a long answer that lies elsewhere.
#[derive(Deserialize)]
pub(crate) struct Part {
    pub(crate) url: String,
}

/// The answer that a server gave, and the parts of it that are still to be fetched.
pub(crate) fn read(data: Json) -> Result<(Answer, Parts)> {
    let unexpected = |error: serde_json::Error| {
        Error::new(ErrorKind::Terminal, "Snowflake answered in a way that is not known")
            .with_source(error)
    };
    if data.get("stageInfo").is_some() {
        let upload = Upload::deserialize(data).map_err(unexpected)?;
        return Ok((Answer { upload: Some(upload), ..Answer::default() }, Parts::default()));
    }
    let body = Body::deserialize(data).map_err(unexpected)?;
    let columns = body.rowtype.unwrap_or_default().into_iter().map(|column| column.name);
    let answer = Answer {
        columns: columns.collect(),
        rows: body.rowset.unwrap_or_default().into_iter().map(texts).collect(),
        upload: None,
    };
    let parts = Parts {
        parts: body.chunks.unwrap_or_default(),
        headers: body.chunk_headers.unwrap_or_default(),
        key: body.qrmk,
    };
    Ok((answer, parts))
}

/// The rows of a part: those of an array without its brackets.
pub(crate) fn rows_of_part(text: &str) -> Result<Vec<Row>> {
    let rows: Vec<Vec<Json>> = serde_json::from_str(&format!("[{text}]")).map_err(|error| {
        Error::new(ErrorKind::Transient, "a part of an answer of Snowflake is damaged")
            .with_source(error)
    })?;
    Ok(rows.into_iter().map(texts).collect())
}

fn texts(row: Vec<Json>) -> Row {
    let text = |value| match value {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    row.into_iter().map(text).collect()
}

/// The parts of a long answer, and what has to be sent to get them.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
    pub(crate) headers: std::collections::BTreeMap<String, String>,
    /// The key with which Amazon S3 reads them, where there are no headers.
    pub(crate) key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    rowtype: Option<Vec<ColumnName>>,
    rowset: Option<Vec<Vec<Json>>>,
    chunks: Option<Vec<Part>>,
    chunk_headers: Option<std::collections::BTreeMap<String, String>>,
    qrmk: Option<String>,
}

#[derive(Deserialize)]
struct ColumnName {
    name: String,
}

/// Where a file of a PUT goes, and how it is let in there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upload {
    pub(crate) stage_info: StageInfo,
    /// With this the driver is to encrypt the file itself.
    #[serde(default)]
    pub(crate) encryption_material: Json,
}

/// The place of a stage.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StageInfo {
    pub(crate) location_type: String,
    /// `bucket/path/`.
    pub(crate) location: String,
    #[serde(default)]
    pub(crate) region: Option<String>,
    #[serde(default)]
    pub(crate) end_point: Option<String>,
    #[serde(default)]
    pub(crate) storage_account: Option<String>,
    #[serde(default)]
    pub(crate) creds: Option<std::collections::BTreeMap<String, Option<String>>>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("stage_info", &self.stage_info).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StageInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageInfo")
            .field("location_type", &self.location_type)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The texts of a column, by its name in any case.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// How many rows a statement changed: of a COPY those that were loaded, and of others what they count.
    pub(crate) fn changed(&self) -> u64 {
        let number = |row: &Row, at: usize| {
            row.get(at).cloned().flatten().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        let loaded = self.column("rows_loaded");
        let counts: Vec<usize> = match loaded {
            Some(at) => vec![at],
            None => self
                .columns
                .iter()
                .enumerate()
                .filter(|(_, name)| name.to_ascii_lowercase().starts_with("number of rows "))
                .map(|(at, _)| at)
                .collect(),
        };
        self.rows.iter().flat_map(|row| counts.iter().map(|at| number(row, *at))).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_counted_as_each_statement_says_it() {
        for (columns, rows, changed) in [
            (json!([{"name": "number of rows inserted"}]), json!([["3"]]), 3),
            (
                json!([{"name": "number of rows updated"}, {"name": "number of multi-joined rows updated"}]),
                json!([["2", "7"]]),
                2,
            ),
            (
                json!([{"name": "number of rows inserted"}, {"name": "number of rows updated"}, {"name": "number of rows deleted"}]),
                json!([["1", "2", "4"]]),
                7,
            ),
            (
                json!([{"name": "file"}, {"name": "status"}, {"name": "rows_parsed"}, {"name": "rows_loaded"}]),
                json!([["a", "LOADED", "5", "5"], ["b", "LOADED", "6", "6"]]),
                11,
            ),
            (json!([{"name": "status"}]), json!([["Copy executed with 0 files processed."]]), 0),
        ] {
            let (answer, _) = read(json!({"rowtype": columns, "rowset": rows})).unwrap();
            assert_eq!(answer.changed(), changed, "{columns}");
        }
    }

    #[test]
    fn a_long_answer_has_parts() {
        let (answer, parts) = read(json!({
            "rowtype": [{"name": "A"}],
            "rowset": [["1"]],
            "chunks": [{"url": "https://example.com/1"}],
            "chunkHeaders": {"x-amz-server-side-encryption-customer-key": "k"},
        }))
        .unwrap();
        assert_eq!((answer.rows.len(), parts.parts.len(), parts.headers.len()), (1, 1, 1));
        let rows = rows_of_part("[\"2\"],\n[null]").unwrap();
        assert_eq!(rows, [vec![Some("2".to_owned())], vec![None]]);
        assert_eq!(rows_of_part("[").unwrap_err().kind(), ErrorKind::Transient);
    }

    #[test]
    fn a_statement_that_runs_on_says_where_to_ask() {
        let envelope: Envelope = serde_json::from_value(json!({
            "success": true, "code": "333334", "data": {"getResultUrl": "/queries/1/result"},
        }))
        .unwrap();
        assert_eq!(envelope.in_progress(), Some("/queries/1/result"));
    }
}
