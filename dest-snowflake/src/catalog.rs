//! What `SHOW` says of schemas and their columns, in the words of our types: it is asked in place of the information schema,
//! which is slow, gives up on large accounts, and wakes a warehouse. Source: Snowflake documentation, "SHOW COLUMNS", "SHOW
//! SCHEMAS".

use serde::Deserialize;
use transload_core::sql::{Row, Statement};
use transload_core::{Error, ErrorKind, Result};

use crate::answer::Answer;
use crate::dialect::literal;

/// The rows of a query; of `SHOW SCHEMAS` the name, of `SHOW COLUMNS` table, column, type, and `YES` where it may be NULL. A
/// schema that does not exist has none.
pub(crate) fn rows(sql: &str, answer: Result<Answer>) -> Result<Vec<Row>> {
    if let Some((_, name)) = sql.split_once(" STARTS WITH ")
        && sql.starts_with("SHOW TERSE SCHEMAS ")
    {
        return schemas(answer?, name);
    }
    if !sql.starts_with("SHOW COLUMNS ") {
        return answer.map(|answer| answer.rows);
    }
    match answer {
        Ok(answer) => columns(answer),
        Err(error) if matches!(error.context("code"), Some("002003" | "002043")) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// How many rows a SHOW returns at most. Source: "SHOW COLUMNS", usage notes.
const MOST: usize = 10_000;

/// The question for the columns of a schema of which `SHOW COLUMNS` has not shown all: to the information schema, as "SHOW
/// COLUMNS" says, usage notes. None where it has.
pub(crate) fn all_columns(sql: &str, answer: &Answer, database: &str) -> Option<Statement> {
    if !sql.starts_with("SHOW COLUMNS ") || answer.rows.len() < MOST {
        return None;
    }
    let schema = answer.rows.first()?.get(answer.column("schema_name")?)?.clone()?;
    let question = Statement::new(format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, IS_NULLABLE, CAST(NUMERIC_PRECISION AS VARCHAR), \
         CAST(NUMERIC_SCALE AS VARCHAR), CAST(CHARACTER_MAXIMUM_LENGTH AS VARCHAR), \
         CAST(DATETIME_PRECISION AS VARCHAR) FROM {database}.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = "
    ));
    Some(question.value(schema).sql(" ORDER BY TABLE_NAME, ORDINAL_POSITION"))
}

/// What the answer to [`all_columns`] says, in the words of [`rows`].
pub(crate) fn of_information_schema(rows: Vec<Row>) -> Result<Vec<Row>> {
    let read = |row: Row| {
        let mut fields = row.into_iter();
        let mut next = || fields.next().flatten();
        let (table, column, kind, nullable) = (next()?, next()?, next()?, next()?);
        let mut number = || next().and_then(|text| text.parse().ok());
        let (precision, scale, length, decimals) = (number(), number(), number(), number());
        let shown = ShownType {
            name: match kind.as_str() {
                "NUMBER" => "FIXED".to_owned(),
                "FLOAT" => "REAL".to_owned(),
                _ => kind,
            },
            nullable: nullable == "YES",
            precision,
            scale: scale.or(decimals),
            length,
        };
        Some([table, column, shown.words(), nullable].map(Some).to_vec())
    };
    rows.into_iter().map(|row| read(row).ok_or_else(unexpected)).collect()
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Terminal, "Snowflake shows columns in a way that is not known")
}

/// The schema with this name, as a literal, and not those that only begin with it.
fn schemas(answer: Answer, wanted: &str) -> Result<Vec<Row>> {
    let at = answer.column("name").ok_or_else(|| {
        Error::new(ErrorKind::Terminal, "Snowflake shows schemas in a way that is not known")
    })?;
    let names = answer.rows.into_iter().filter_map(|mut row| row.get_mut(at)?.take());
    Ok(names.filter(|name| literal(name) == wanted).map(|name| vec![Some(name)]).collect())
}

fn columns(answer: Answer) -> Result<Vec<Row>> {
    let place = |name: &str| answer.column(name).ok_or_else(unexpected);
    let (table, column, kind) = (place("table_name")?, place("column_name")?, place("data_type")?);
    let of = |row: &Row, at: usize| row.get(at).cloned().flatten().ok_or_else(unexpected);
    let read = |row: &Row| {
        let shown: ShownType = serde_json::from_str(&of(row, kind)?)
            .map_err(|error| unexpected().with_source(error))?;
        let nullable = if shown.nullable { "YES" } else { "NO" };
        Ok(vec![
            Some(of(row, table)?),
            Some(of(row, column)?),
            Some(shown.words()),
            Some(nullable.to_owned()),
        ])
    };
    answer.rows.iter().map(read).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShownType {
    #[serde(rename = "type")]
    name: String,
    #[serde(default = "yes")]
    nullable: bool,
    precision: Option<u64>,
    scale: Option<u64>,
    length: Option<u64>,
}

fn yes() -> bool {
    true
}

impl ShownType {
    fn words(&self) -> String {
        let scale = self.scale.unwrap_or(9);
        match self.name.as_str() {
            "FIXED" => {
                format!("NUMBER({},{})", self.precision.unwrap_or(38), self.scale.unwrap_or(0))
            }
            "REAL" => "FLOAT".to_owned(),
            "TEXT" | "VARCHAR" => format!("VARCHAR({})", self.length.unwrap_or(16_777_216)),
            "BINARY" => format!("BINARY({})", self.length.unwrap_or(8_388_608)),
            name @ ("TIME" | "TIMESTAMP_TZ" | "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ") => {
                format!("{name}({scale})")
            }
            name => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(types: &[&str]) -> Answer {
        let row =
            |kind: &&str| ["T", "DS", "C", kind, "true"].map(|text| Some(text.to_owned())).to_vec();
        Answer {
            columns: ["table_name", "schema_name", "column_name", "data_type", "null?"]
                .map(str::to_owned)
                .into(),
            rows: types.iter().map(row).collect(),
            upload: None,
        }
    }

    #[test]
    fn types_are_read_back_in_the_words_in_which_they_are_made() {
        let answer = shown(&[
            r#"{"type":"FIXED","precision":19,"scale":0,"nullable":false}"#,
            r#"{"type":"TEXT","length":16777216,"byteLength":16777216,"nullable":true,"fixed":false}"#,
            r#"{"type":"REAL","nullable":true}"#,
            r#"{"type":"BINARY","length":8388608,"byteLength":8388608,"nullable":true,"fixed":true}"#,
            r#"{"type":"TIMESTAMP_TZ","precision":0,"scale":6,"nullable":true}"#,
            r#"{"type":"TIME","precision":0,"scale":9,"nullable":true}"#,
            r#"{"type":"VARIANT","nullable":true}"#,
            r#"{"type":"BOOLEAN","nullable":true}"#,
        ]);
        let rows = rows("SHOW COLUMNS IN SCHEMA x", Ok(answer)).unwrap();
        let words: Vec<String> = rows
            .into_iter()
            .map(|row| format!("{} {}", row[2].as_deref().unwrap(), row[3].as_deref().unwrap()))
            .collect();
        assert_eq!(
            words,
            [
                "NUMBER(19,0) NO",
                "VARCHAR(16777216) YES",
                "FLOAT YES",
                "BINARY(8388608) YES",
                "TIMESTAMP_TZ(6) YES",
                "TIME(9) YES",
                "VARIANT YES",
                "BOOLEAN YES"
            ]
        );
    }

    #[test]
    fn a_schema_is_found_by_its_whole_name() {
        let answer = || Answer {
            columns: ["created_on", "name"].map(str::to_owned).into(),
            rows: ["IT'S", "IT'S_STAGING", "it's"]
                .map(|name| vec![None, Some(name.to_owned())])
                .into(),
            upload: None,
        };
        let show = "SHOW TERSE SCHEMAS IN DATABASE \"RAW\" STARTS WITH 'IT''S'";
        assert_eq!(rows(show, Ok(answer())).unwrap(), [vec![Some("IT'S".to_owned())]]);
        let none = rows(&show.replace("IT''S", "IT"), Ok(answer())).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn a_schema_that_is_too_wide_to_be_shown_is_asked_for_otherwise() {
        const SHOW: &str = "SHOW COLUMNS IN SCHEMA x";
        let wide = shown(&[r#"{"type":"REAL"}"#; MOST]);
        let question = all_columns(SHOW, &wide, "\"RAW\"").unwrap();
        insta::assert_snapshot!(question);
        assert!(all_columns("SELECT 1", &wide, "\"RAW\"").is_none());
        assert!(all_columns(SHOW, &shown(&[r#"{"type":"REAL"}"#]), "\"RAW\"").is_none());

        let row = |text: &str| -> Row {
            text.split(' ').map(|text| (text != "-").then(|| text.to_owned())).collect()
        };
        let words = |text: &str| of_information_schema(vec![row(text)]).map(|rows| rows[0].clone());
        for (given, expected) in [
            ("T C NUMBER NO 19 0 - -", "T C NUMBER(19,0) NO"),
            ("T C TEXT YES - - 20 -", "T C VARCHAR(20) YES"),
            ("T C FLOAT YES - - - -", "T C FLOAT YES"),
            ("T C BINARY YES - - - -", "T C BINARY(8388608) YES"),
            ("T C TIMESTAMP_TZ YES - - - 6", "T C TIMESTAMP_TZ(6) YES"),
            ("T C TIME YES - - - 9", "T C TIME(9) YES"),
            ("T C VARIANT YES - - - -", "T C VARIANT YES"),
        ] {
            assert_eq!(words(given).unwrap(), row(expected), "{given}");
        }
        assert_eq!(words("T C").unwrap_err().kind(), ErrorKind::Terminal);
    }

    #[test]
    fn a_schema_that_is_not_there_has_no_columns() {
        let gone = crate::classify::classify("002043", "02000", "Object does not exist");
        assert!(rows("SHOW COLUMNS IN SCHEMA x", Err(gone)).unwrap().is_empty());
        let other = crate::classify::classify("002043", "02000", "Object does not exist");
        assert!(rows("SELECT 1", Err(other)).is_err());
    }
}
