//! Bytes → rows of JSON → columns, in every way that must give the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array as _;
use arrow::row::{RowConverter, SortField};
use serde_json::{Value, json};
use transload_core::{ErrorKind, Result, Schema};

use crate::normalize::{Naming, Normalized, Normalizer, Options, Parser, TableBatch};
use crate::source::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape, Refused};

const TABLE: &str = "t";

/// The first byte chooses how the others are read, with `0` for the defaults; the others are the input.
///
/// # Panics
/// Where the engine contradicts itself: a row is lost or made up, a refused row leaves a trace, or the result depends on
/// the size of chunks or on the order in which they are shredded.
pub fn json_rows(bytes: &[u8]) {
    let Some((choice, input)) = bytes.split_first() else { return };
    let case = Case::of(choice ^ b'0');
    // Small limits first: whatever comes of it, it is no panic.
    for chunk in case.chunks(input, JsonLimits { chunk_bytes: 16, max_row_bytes: 100 }) {
        let Ok(chunk) = chunk else { break };
        let _ = case.normalizer().json(TABLE, &chunk);
    }
    let whole = case.load(input, 8 << 20);
    for chunk_bytes in [1, 64] {
        let cut = case.load(input, chunk_bytes);
        assert_eq!(whole.is_ok(), cut.is_ok(), "chunks of {chunk_bytes} bytes: {whole:?}, {cut:?}");
        if let (Ok(whole), Ok(cut)) = (&whole, &cut) {
            whole.assert_same(cut, &format!("chunks of {chunk_bytes} bytes"));
        }
    }
    let Ok(whole) = whole else { return };
    let late = case.load_out_of_order(input).expect("the same rows loaded in order");
    whole.assert_same(&late, "shredded out of order");
    if !whole.refused.is_empty() {
        let good = case.load_without(input, &whole.refused).expect("the good rows loaded before");
        assert!(good.refused.is_empty(), "a good row is refused once the bad ones are gone");
        whole.assert_same_rows(&good, "without the refused rows");
    }
}

/// How an input is read and normalised.
#[derive(Debug)]
struct Case {
    shape: JsonShape,
    options: Options,
    schema: Schema,
}

impl Case {
    fn of(choice: u8) -> Self {
        let has = |bit: u8| choice & (1 << bit) != 0;
        let naming = match choice >> 1 & 3 {
            0 => Naming::SnakeCase,
            1 => Naming::Direct,
            2 => Naming::SqlCi,
            _ => Naming::SqlCs,
        };
        let options = Options {
            max_table_nesting: if has(3) { 1 } else { 1000 },
            max_identifier_length: if has(4) { 12 } else { usize::MAX },
            naming,
            ..Options::new("1")
        };
        let schema = schema(has(5), has(6), has(7));
        let shape = if has(0) { JsonShape::Document } else { JsonShape::Auto };
        Self { shape, options, schema }
    }

    fn chunks<'i>(
        &self,
        input: &'i [u8],
        limits: JsonLimits,
    ) -> impl Iterator<Item = Result<JsonRows>> + use<'i> {
        JsonReader::new(input, "rows", self.shape, limits)
    }

    fn normalizer(&self) -> Normalizer {
        Normalizer::new(self.schema.clone(), self.options.clone()).expect("the schema is our own")
    }

    fn load(&self, input: &[u8], chunk_bytes: usize) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut normalizer = self.normalizer();
        let limits = JsonLimits { chunk_bytes, ..JsonLimits::default() };
        for chunk in self.chunks(input, limits) {
            let chunk = checked(chunk)?;
            let normalized = checked(normalizer.json(TABLE, &chunk))?;
            loaded.take(chunk, normalized);
        }
        Ok(loaded.finish(normalizer.into_schema()))
    }

    /// All chunks but the first are shredded against the schema as the first one left it, the last one first.
    fn load_out_of_order(&self, input: &[u8]) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut normalizer = self.normalizer();
        let limits = JsonLimits { chunk_bytes: 64, ..JsonLimits::default() };
        let mut chunks = self.chunks(input, limits).collect::<Result<Vec<_>>>()?.into_iter();
        if let Some(first) = chunks.next() {
            let normalized = normalizer.json(TABLE, &first)?;
            loaded.take(first, normalized);
        }
        let (snapshot, mut parser) = (normalizer.snapshot(), Parser::default());
        let mut shredded: Vec<_> = chunks
            .rev()
            .map(|chunk| {
                let shredded = snapshot.shred(TABLE, &chunk, &mut parser);
                (chunk, shredded)
            })
            .collect();
        while let Some((chunk, shredded)) = shredded.pop() {
            let normalized = match normalizer.accept(checked(shredded)?)? {
                Some(normalized) => normalized,
                None => checked(normalizer.json(TABLE, &chunk))?,
            };
            loaded.take(chunk, normalized);
        }
        Ok(loaded.finish(normalizer.into_schema()))
    }

    fn load_without(&self, input: &[u8], refused: &[(u64, Vec<u8>, String)]) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut normalizer = self.normalizer();
        for chunk in self.chunks(input, JsonLimits::default()) {
            let mut chunk = chunk?;
            let is_good = |row: &JsonRow| refused.iter().all(|(offset, ..)| *offset != row.offset);
            chunk.rows.retain(is_good);
            let normalized = checked(normalizer.json(TABLE, &chunk))?;
            loaded.take(chunk, normalized);
        }
        Ok(loaded.finish(normalizer.into_schema()))
    }
}

/// Nothing in an input is a bug of ours.
fn checked<T>(result: Result<T>) -> Result<T> {
    if let Err(error) = &result {
        assert_ne!(error.kind(), ErrorKind::Bug, "{error:?}");
    }
    result
}

/// What came of an input, in a form that can be compared: random ids are numbers in the order in which they are met.
#[derive(Debug, Default)]
struct Loaded {
    batches: Vec<TableBatch>,
    /// Place, bytes and message.
    refused: Vec<(u64, Vec<u8>, String)>,
    /// Rows of nested tables that the contract leaves out.
    left_out: Vec<(String, u64, Vec<u8>)>,
    values_left_out: BTreeMap<(String, String), u64>,
    schema: String,
    /// The values of each row that are not NULL, by table.
    rows: BTreeMap<String, Vec<BTreeMap<String, Vec<u8>>>>,
}

impl Loaded {
    fn take(&mut self, mut chunk: JsonRows, normalized: Normalized) {
        let mut refused = std::mem::take(&mut chunk.refused);
        let rows = normalized.batches.iter().filter(|batch| batch.table == TABLE);
        let taken: usize = rows.map(|batch| batch.batch.num_rows()).sum();
        assert_eq!(
            taken + normalized.refused.len(),
            chunk.rows.len(),
            "a row is neither loaded nor refused, or both"
        );
        refused.extend(normalized.refused);
        refused.sort_by_key(|row| row.offset);
        for Refused { offset, bytes, error, .. } in refused {
            assert_eq!(error.kind(), ErrorKind::BadData, "{error:?}");
            assert!(error.context("code").is_some(), "a refusal without a code: {error:?}");
            self.refused.push((offset, bytes, error.to_string()));
        }
        for (table, row) in normalized.discarded.nested {
            self.left_out.push((table, row.offset, row.bytes));
        }
        for (column, count) in normalized.discarded.values {
            *self.values_left_out.entry(column).or_default() += count;
        }
        self.batches.extend(normalized.batches);
    }

    fn finish(mut self, schema: Schema) -> Self {
        let mut ids = BTreeMap::new();
        for TableBatch { table, batch } in std::mem::take(&mut self.batches) {
            assert!(schema.tables.contains_key(&table), "rows of a table that is in no schema");
            let rows = self.rows.entry(table).or_default();
            let first = rows.len();
            rows.resize_with(first + batch.num_rows(), BTreeMap::new);
            for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
                let converter = RowConverter::new(vec![SortField::new(field.data_type().clone())]);
                let converter = converter.expect("columns have simple types");
                let values = converter.convert_columns(&[Arc::clone(array)]);
                let values = values.expect("the array is of the type");
                for (index, value) in values.iter().enumerate() {
                    if array.is_valid(index) {
                        rows[first + index].insert(field.name().clone(), value.as_ref().to_vec());
                    }
                }
            }
            for row in &mut rows[first..] {
                for id in ["_dlt_root_id", "_dlt_parent_id", "_dlt_id"] {
                    for (name, value) in row.iter_mut() {
                        if name.eq_ignore_ascii_case(id) {
                            let next = ids.len();
                            let number = *ids.entry(std::mem::take(value)).or_insert(next);
                            *value = number.to_be_bytes().to_vec();
                        }
                    }
                }
            }
        }
        self.schema = schema.to_json();
        self
    }

    fn assert_same(&self, other: &Self, what: &str) {
        assert_eq!(self.refused, other.refused, "{what}: other rows are refused");
        self.assert_same_rows(other, what);
    }

    fn assert_same_rows(&self, other: &Self, what: &str) {
        assert_eq!(self.schema, other.schema, "{what}: the schema is another");
        assert_eq!(self.rows, other.rows, "{what}: the rows are others");
        assert_eq!(self.left_out, other.left_out, "{what}: other rows are left out");
        assert_eq!(self.values_left_out, other.values_left_out, "{what}: other values");
    }
}

/// A schema that knows nothing, or one whose columns have types that values must be brought to; settled means that the
/// table has rows already and a contract for what may be added.
fn schema(is_declared: bool, is_settled: bool, is_keyed: bool) -> Schema {
    let column = |name: &str, data_type: &str| json!({"name": name, "data_type": data_type});
    let mut columns = json!({});
    if is_declared {
        for (name, data_type) in [
            ("a", "bigint"),
            ("b", "bool"),
            ("c", "text"),
            ("d", "double"),
            ("e", "timestamp"),
            ("f", "date"),
            ("g", "time"),
            ("h", "decimal"),
            ("i", "wei"),
            ("j", "json"),
            ("k", "binary"),
        ] {
            columns[name] = column(name, data_type);
        }
        columns["a"]["precision"] = json!(16);
        columns["c"]["nullable"] = json!(false);
        columns["h"]["precision"] = json!(10);
        columns["h"]["scale"] = json!(2);
    }
    if is_keyed {
        columns["id"] =
            json!({"name": "id", "data_type": "bigint", "primary_key": true, "nullable": false});
    }
    let mut table = json!({"name": TABLE, "columns": columns});
    if is_keyed {
        table["write_disposition"] = json!("merge");
    }
    if is_settled {
        table["x-normalizer"] = json!({"seen-data": true});
        table["schema_contract"] = json!({"tables": "discard_row", "columns": "discard_row", "data_type": "discard_value"});
    }
    let has_table = is_declared || is_settled || is_keyed;
    let tables: Value = if has_table { json!({ TABLE: table }) } else { json!({}) };
    serde_json::from_value(json!({
        "version": 1, "engine_version": 11, "name": "fuzz", "tables": tables,
        "settings": {"detections": ["iso_timestamp"]},
        "normalizers": {"names": "snake_case", "json": {"module": "dlt.common.normalizers.json.relational"}},
    }))
    .expect("the schema is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_holds_in_every_case() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/json_rows");
        let mut seeds = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let mut bytes = std::fs::read(entry.unwrap().path()).unwrap();
            json_rows(&bytes);
            for choice in 0..=u8::MAX {
                bytes[0] = choice;
                json_rows(&bytes);
            }
            seeds += 1;
        }
        assert!(seeds > 10, "the seeds are in {folder}");
    }

    #[test]
    #[should_panic(expected = "the rows are others")]
    fn a_difference_is_found() {
        let case = Case::of(0);
        let (one, other) = (case.load(b"{\"a\":1}", 64), case.load(b"{\"a\":2}", 64));
        one.unwrap().assert_same(&other.unwrap(), "another row");
    }
}
