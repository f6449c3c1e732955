//! Bytes → rows → columns, in every way that must give the same.

use serde_json::{Value, json};
use transload_core::{ErrorKind, Result, Schema};

use super::loaded::Loaded;
use crate::normalize::{Naming, Normalizer, Options, Worker};
use crate::source::csv::{CsvLimits, CsvOptions, CsvReader};
use crate::source::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape};

/// The table of the rows.
pub(super) const TABLE: &str = "t";
/// More than any input here.
const ROW_BYTES: usize = 128 << 20;

/// What reads an input.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Json(JsonShape),
    Csv(CsvOptions),
}

/// How an input is read and normalised.
#[derive(Debug)]
pub(super) struct Case {
    format: Format,
    options: Options,
    schema: Schema,
}

impl Case {
    /// The bits of `choice` say how rows are normalised; none is the default.
    pub(super) fn of(format: Format, choice: u8) -> Self {
        let has = |bit: u8| choice & (1 << bit) != 0;
        let options = Options {
            naming: Naming::ALL[usize::from(choice & 7) % Naming::ALL.len()],
            max_table_nesting: if has(3) { 1 } else { 1000 },
            // The longest name of a system column has 14 characters.
            max_identifier_length: if has(4) { 14 } else { usize::MAX },
            ..Options::new("1")
        };
        Self { format, options, schema: schema(has(5), has(6), has(7)) }
    }

    /// Holds every way through the engine against the others.
    pub(super) fn check(&self, input: &[u8]) {
        // Small limits first: whatever comes of it, it is no panic.
        for chunk in self.chunks(input, 16, 100) {
            let Ok(chunk) = chunk else { break };
            let _ = self.normalizer().json(TABLE, &chunk, None);
        }
        let whole = self.load(input, 8 << 20);
        for chunk_bytes in [1, 64] {
            let cut = self.load(input, chunk_bytes);
            let what = format!("chunks of {chunk_bytes} bytes");
            assert_eq!(whole.is_ok(), cut.is_ok(), "{what}: {whole:?}, {cut:?}");
            if let (Ok(whole), Ok(cut)) = (&whole, &cut) {
                whole.assert_same(cut, &what);
            }
        }
        let Ok(whole) = whole else { return };
        let late = self.load_out_of_order(input).expect("the same rows loaded in order");
        whole.assert_same(&late, "shredded out of order");
        if !whole.refused.is_empty() {
            let good = self.load_without(input, &whole.refused).expect("the good rows loaded");
            assert!(good.refused.is_empty(), "a good row is refused once the bad ones are gone");
            whole.assert_same_rows(&good, "without the refused rows");
        }
    }

    fn chunks<'i>(
        &self,
        input: &'i [u8],
        chunk_bytes: usize,
        max_row_bytes: usize,
    ) -> Box<dyn Iterator<Item = Result<JsonRows>> + 'i> {
        match &self.format {
            Format::Json(shape) => {
                let limits = JsonLimits { chunk_bytes, max_row_bytes };
                Box::new(JsonReader::new(input, "rows", shape.clone(), limits))
            }
            Format::Csv(options) => {
                let limits = CsvLimits { chunk_bytes, max_row_bytes, ..CsvLimits::default() };
                Box::new(CsvReader::new(input, "rows", options.clone(), limits))
            }
        }
    }

    fn normalizer(&self) -> Normalizer {
        Normalizer::new(self.schema.clone(), self.options.clone()).expect("the schema is our own")
    }

    pub(super) fn load(&self, input: &[u8], chunk_bytes: usize) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut normalizer = self.normalizer();
        for chunk in self.chunks(input, chunk_bytes, ROW_BYTES) {
            let chunk = checked(chunk)?;
            let normalized = checked(normalizer.json(TABLE, &chunk, None))?;
            loaded.take(chunk, normalized);
        }
        Ok(loaded.finish(normalizer.into_schema()))
    }

    /// All chunks but the first are shredded against the schema as the first one left it, the last one first.
    fn load_out_of_order(&self, input: &[u8]) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut normalizer = self.normalizer();
        let chunks = self.chunks(input, 64, ROW_BYTES).collect::<Result<Vec<_>>>()?;
        let mut chunks = chunks.into_iter();
        if let Some(first) = chunks.next() {
            let normalized = normalizer.json(TABLE, &first, None)?;
            loaded.take(first, normalized);
        }
        let (snapshot, mut worker) = (normalizer.snapshot(), Worker::default());
        let mut shredded: Vec<_> = chunks
            .rev()
            .map(|chunk| {
                let shredded = snapshot.shred(TABLE, &chunk, None, &mut worker);
                (chunk, shredded)
            })
            .collect();
        while let Some((chunk, shredded)) = shredded.pop() {
            let normalized = match normalizer.accept(checked(shredded)?)? {
                Some(normalized) => normalized,
                None => checked(normalizer.json(TABLE, &chunk, None))?,
            };
            loaded.take(chunk, normalized);
        }
        Ok(loaded.finish(normalizer.into_schema()))
    }

    fn load_without(&self, input: &[u8], refused: &[(u64, Vec<u8>, String)]) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut normalizer = self.normalizer();
        for chunk in self.chunks(input, 8 << 20, ROW_BYTES) {
            let mut chunk = chunk?;
            let is_good = |row: &JsonRow| refused.iter().all(|(offset, ..)| *offset != row.offset);
            if let Some(source) = &mut chunk.source {
                let mut rows = chunk.rows.iter();
                source.ranges.retain(|_| rows.next().is_some_and(is_good));
            }
            chunk.rows.retain(is_good);
            chunk.refused.clear();
            let normalized = checked(normalizer.json(TABLE, &chunk, None))?;
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
