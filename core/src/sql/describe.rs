//! Reading what a dataset holds: statements that ask, and functions that read the answers.

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;

use crate::{
    Column, CommitRecord, DataType, Epoch, Error, ErrorKind, ExistingColumn, Fence, LoadId, Result,
    Sha256Hex, StateRow,
};

use super::{Dialect, Row, Statement, system};

/// A table of the dataset, by name.
pub(super) struct Names<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) dataset: &'a str,
}

impl Names<'_> {
    pub(super) fn table(&self, table: &str) -> String {
        self.dialect.table(self.dataset, table)
    }

    pub(super) fn column(&self, column: &str) -> String {
        self.dialect.quote(column)
    }

    /// A column as text, whatever it is.
    fn text(&self, column: &str) -> Result<String> {
        let text = self.dialect.type_name(&Column::new("", DataType::Text))?;
        Ok(format!("CAST({} AS {text})", self.column(column)))
    }

    /// The hashes of the stored versions of a schema, the newest first.
    pub(super) fn schema_hashes(&self, schema: &str) -> Statement {
        self.of_schema("version_hash", schema)
    }

    /// The newest stored version of a schema.
    pub(super) fn newest_schema(&self, schema: &str) -> Statement {
        self.of_schema("schema", schema).sql(" LIMIT 1")
    }

    fn of_schema(&self, column: &str, schema: &str) -> Statement {
        Statement::new(format!(
            "SELECT {} FROM {} WHERE {} = ",
            self.column(column),
            self.table(system::VERSION),
            self.column("schema_name")
        ))
        .value(schema)
        .sql(&format!(
            // A clock that goes back must not make an older schema the newest.
            " ORDER BY {} DESC, {} DESC",
            self.column("version"),
            self.column("inserted_at")
        ))
    }

    /// The newest state of a pipeline whose load is complete, as dlt looks for it.
    pub(super) fn newest_state(&self, pipeline: &str) -> Result<Statement> {
        let columns = [
            self.text("version")?,
            self.text("engine_version")?,
            self.column("pipeline_name"),
            self.column("state"),
            self.dialect.timestamp_text(&self.column("created_at")),
            format!("s.{}", self.column("version_hash")),
            self.column("_dlt_id"),
        ];
        Ok(Statement::new(format!(
            "SELECT {} FROM {} AS s JOIN {} AS l ON l.{load_id} = s.{} WHERE {} = 0 AND {} = ",
            columns.join(", "),
            self.table(system::STATE),
            self.table(system::LOADS),
            self.column("_dlt_load_id"),
            self.column("status"),
            self.column("pipeline_name"),
            load_id = self.column("load_id"),
        ))
        .value(pipeline)
        .sql(&format!(" ORDER BY l.{} DESC LIMIT 1", self.column("load_id"))))
    }

    /// The fence of a pipeline, with its digest.
    pub(super) fn fence(&self, pipeline: &str) -> Result<Statement> {
        Ok(Statement::new(format!(
            "SELECT {}, {}, {}, {} FROM {} WHERE {} = ",
            self.text("seq")?,
            self.column("last_load_id"),
            self.column("last_digest"),
            self.column("owner"),
            self.table(system::FENCE),
            self.column("pipeline")
        ))
        .value(pipeline))
    }

    /// The digest of a load that Transload published. Where another pipeline has taken the id, it is the digest of that
    /// pipeline's load, which matches no other.
    pub(super) fn commit(&self, load: &LoadId, pipeline: &str) -> Statement {
        Statement::new(format!(
            "SELECT {} FROM {} WHERE {} = ",
            self.column("digest"),
            self.table(system::COMMITS),
            self.column("load_id")
        ))
        .value(load.as_str())
        .sql(&format!(" ORDER BY CASE WHEN {} = ", self.column("pipeline")))
        .value(pipeline)
        .sql(" THEN 0 ELSE 1 END LIMIT 1")
    }

    /// The loads that Transload published.
    pub(super) fn commits(&self) -> Statement {
        Statement::new(format!(
            "SELECT {} FROM {}",
            self.column("load_id"),
            self.table(system::COMMITS)
        ))
    }

    /// The loads that any tool completed.
    pub(super) fn complete_loads(&self) -> Statement {
        Statement::new(format!(
            "SELECT {} FROM {} WHERE {} = 0",
            self.column("load_id"),
            self.table(system::LOADS),
            self.column("status")
        ))
    }

    /// A row where any tool completed this load.
    pub(super) fn complete_load(&self, load: &LoadId) -> Statement {
        let id = self.column("load_id");
        Statement::new(format!("SELECT {id} FROM {} WHERE {id} = ", self.table(system::LOADS)))
            .value(load.as_str())
            .sql(&format!(" AND {} = 0", self.column("status")))
    }
}

/// The columns of tables, from the answer to [`Dialect::columns`].
pub(super) fn read_tables(rows: Vec<Row>) -> Result<BTreeMap<String, Vec<ExistingColumn>>> {
    let mut tables: BTreeMap<String, Vec<ExistingColumn>> = BTreeMap::new();
    for row in rows {
        let [table, name, native_type, nullable] = fields(row)?;
        tables.entry(required(table)?).or_default().push(ExistingColumn {
            name: required(name)?,
            native_type: required(native_type)?,
            nullable: nullable.as_deref() != Some("NO"),
        });
    }
    Ok(tables)
}

pub(super) fn read_state(row: Row) -> Result<StateRow> {
    let [version, engine_version, pipeline_name, state, created_at, version_hash, dlt_id] =
        fields(row)?;
    Ok(StateRow {
        version: number(version)?,
        engine_version: number(engine_version)?,
        pipeline_name: required(pipeline_name)?,
        state: required(state)?,
        created_at: required(created_at)?,
        // dlt did not always keep it.
        version_hash: version_hash.unwrap_or_default(),
        dlt_id: required(dlt_id)?,
    })
}

/// A row of the fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FenceRow {
    pub(super) fence: Fence,
    pub(super) last_digest: Option<String>,
}

pub(super) fn read_fence(row: Row) -> Result<FenceRow> {
    let [seq, last_load, last_digest, owner] = fields(row)?;
    let fence = Fence {
        epoch: Epoch(number(seq)?),
        last_load: last_load.map(LoadId::new),
        owner: owner.unwrap_or_default(),
    };
    Ok(FenceRow { fence, last_digest })
}

pub(super) fn read_commit(load: &LoadId, row: Row) -> Result<CommitRecord> {
    let [digest] = fields(row)?;
    let digest = digest.and_then(|digest| serde_json::from_value::<Sha256Hex>(digest.into()).ok());
    Ok(CommitRecord { load_id: load.clone(), digest })
}

/// The JSON of the newest stored schema, from the one column of its row.
pub(super) fn newest_schema(row: Row) -> Result<String> {
    let [schema] = fields(row)?;
    unpack_text(required(schema)?)
}

/// A text for a column that holds at most `limit` bytes: as it is, or as dlt packs it, by zlib and base64.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where it is too long even so.
pub fn pack_text(text: String, limit: Option<usize>) -> Result<String> {
    let Some(limit) = limit.filter(|limit| text.len() > *limit) else { return Ok(text) };
    let mut packed = Vec::new();
    flate2::read::ZlibEncoder::new(text.as_bytes(), flate2::Compression::best())
        .read_to_end(&mut packed)
        .expect("reading from memory does not fail");
    let packed = base64::engine::general_purpose::STANDARD.encode(packed);
    if packed.len() > limit {
        return Err(Error::new(ErrorKind::Unsupported, "a text is longer than a column holds")
            .with("bytes", packed.len())
            .with("limit", limit));
    }
    Ok(packed)
}

/// The text behind [`pack_text`]. JSON is known by its first character, which base64 does not have.
///
/// # Errors
/// [`ErrorKind::Terminal`] where it is neither.
pub fn unpack_text(text: String) -> Result<String> {
    if text.trim_start().starts_with(['{', '[']) {
        return Ok(text);
    }
    let damaged = || Error::new(ErrorKind::Terminal, "a packed text of the dataset is damaged");
    let packed = base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .map_err(|error| damaged().with_source(error))?;
    let mut unpacked = String::new();
    flate2::read::ZlibDecoder::new(packed.as_slice())
        .read_to_string(&mut unpacked)
        .map_err(|error| damaged().with_source(error))?;
    Ok(unpacked)
}

fn fields<const N: usize>(row: Row) -> Result<[Option<String>; N]> {
    row.try_into().map_err(|row: Row| {
        Error::new(ErrorKind::Bug, "an answer has another number of columns than was asked for")
            .with("expected", N)
            .with("found", row.len())
    })
}

fn required(value: Option<String>) -> Result<String> {
    value.ok_or_else(|| Error::new(ErrorKind::Terminal, "a system table holds an unexpected NULL"))
}

fn number(value: Option<String>) -> Result<u64> {
    let value = required(value)?;
    value.parse().map_err(|_| {
        Error::new(ErrorKind::Terminal, "a system table holds an unexpected number")
            .with("value", value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::{Ansi, show};

    #[test]
    fn questions_are_bound_and_ask_for_texts() {
        let names = Names { dialect: &Ansi { modern: true }, dataset: "chess" };
        let folding = &Ansi { modern: false };
        let load = LoadId::new("1795369539.5");
        insta::assert_snapshot!(show(&[
            names.dialect.dataset_exists("chess"),
            names.dialect.columns("chess"),
            folding.dataset_exists("Chess"),
            folding.columns("Chess"),
            names.schema_hashes("it's"),
            names.newest_schema("it's"),
            names.newest_state("it's").unwrap(),
            names.fence("it's").unwrap(),
            names.commit(&load, "it's"),
            names.complete_load(&load),
        ]));
    }

    #[test]
    fn a_long_schema_is_packed_as_dlt_packs_it() {
        let text = format!("{{\"name\": \"{}\"}}", "x".repeat(1000));
        let packed = pack_text(text.clone(), Some(200)).unwrap();
        assert!(packed.len() < 200 && packed.starts_with("eN"), "{packed}");
        assert_eq!(unpack_text(packed).unwrap(), text);
        assert_eq!(pack_text(text.clone(), Some(2000)).unwrap(), text);
        assert_eq!(pack_text(text, Some(10)).unwrap_err().kind(), ErrorKind::Unsupported);
        // Made by dlt: `compress` of `{"name": "chess"}`.
        assert_eq!(
            unpack_text("eNqrVspLzE1VslJQSs5ILS5WqgUAMU8Fkg==".into()).unwrap(),
            "{\"name\": \"chess\"}"
        );
        assert_eq!(unpack_text("nonsense!".into()).unwrap_err().kind(), ErrorKind::Terminal);
    }

    #[test]
    fn a_short_answer_is_an_error_and_not_a_panic() {
        assert_eq!(read_fence(vec![None]).unwrap_err().kind(), ErrorKind::Bug);
        assert_eq!(read_fence(vec![None; 4]).unwrap_err().kind(), ErrorKind::Terminal);
    }
}
