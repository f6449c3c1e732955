//! Acceptance cases of `spec/pipeline.md` section 8, by their numbers, and what differs from dlt on purpose.

mod arrow_batches;
mod faults;
mod flattening;
mod properties;
mod system_columns;
mod types;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::source::json::{JsonLimits, JsonReader, JsonShape};

/// A normaliser and all rows that came out of it.
struct Run {
    normalizer: Normalizer,
    rows: BTreeMap<String, Vec<Json>>,
}

fn empty_schema() -> Schema {
    serde_json::from_value(json!({
        "version": 1, "engine_version": 11, "name": "test", "tables": {},
        "settings": {"detections": ["iso_timestamp"]},
        "normalizers": {"names": "snake_case", "json": {"module": "dlt.common.normalizers.json.relational"}},
    }))
    .unwrap()
}

/// A schema with one root table that has these columns.
fn schema_with(table: Json) -> Schema {
    let mut schema = empty_schema();
    let table: Table = serde_json::from_value(table).unwrap();
    schema.tables.insert(table.name.clone(), table);
    schema
}

fn split(text: &str) -> Vec<JsonRows> {
    JsonReader::new(text.as_bytes(), "rows.jsonl", JsonShape::Lines, JsonLimits::default())
        .collect::<Result<_>>()
        .unwrap()
}

impl Run {
    fn new(schema: Schema, options: Options) -> Self {
        Self { normalizer: Normalizer::new(schema, options).unwrap(), rows: BTreeMap::new() }
    }

    fn of(rows: &str) -> Self {
        Self::with(empty_schema(), rows)
    }

    fn with(schema: Schema, rows: &str) -> Self {
        Self::new(schema, Options::new("1700000000.1")).then(rows)
    }

    fn then(mut self, rows: &str) -> Self {
        self.try_rows(rows).unwrap();
        self
    }

    fn try_rows(&mut self, rows: &str) -> Result<()> {
        for chunk in split(rows) {
            for batch in self.normalizer.json("t", chunk)? {
                self.take(batch);
            }
        }
        Ok(())
    }

    fn take(&mut self, TableBatch { table, batch }: TableBatch) {
        let batch = printable(&batch);
        let columns: Vec<&str> =
            self.normalizer.schema().tables[&table].complete_columns().map(|column| column.name.as_str()).collect();
        let schema = batch.schema();
        assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), columns);
        let mut writer = ::arrow::json::LineDelimitedWriter::new(Vec::new());
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        let rows = self.rows.entry(table).or_default();
        rows.extend(text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()));
    }

    /// The rows of a table without dlt's own columns; NULLs are left out.
    fn data(&self, table: &str) -> Json {
        let rows = self.rows.get(table).cloned().unwrap_or_default();
        rows.into_iter()
            .map(|row| {
                let Json::Object(row) = row else { panic!("a row is an object") };
                Json::Object(row.into_iter().filter(|(name, _)| !name.starts_with("_dlt")).collect())
            })
            .collect()
    }

    /// All tables with their columns: `t(a bigint, b text)`, without dlt's own columns.
    fn tables(&self) -> String {
        let describe = |table: &Table| {
            let columns = table.complete_columns().filter(|column| !column.name.starts_with("_dlt"));
            let columns: Vec<String> =
                columns.map(|column| format!("{} {}", column.name, column.data_type.unwrap())).collect();
            format!("{}({})", table.name, columns.join(", "))
        };
        self.normalizer.schema().tables.values().map(describe).collect::<Vec<_>>().join(" ")
    }

    fn column_names(&self, table: &str) -> Vec<String> {
        self.normalizer.schema().tables[table].columns.keys().cloned().collect()
    }
}

fn fault(schema: Schema, rows: &str) -> Error {
    Run::new(schema, Options::new("1")).try_rows(rows).unwrap_err()
}

/// Arrow's JSON writer knows no zone by its name, and the reader of its text no number of 38 digits.
fn printable(batch: &RecordBatch) -> RecordBatch {
    use ::arrow::datatypes::{DataType as ArrowType, Field, Schema as ArrowSchema};
    let (fields, arrays): (Vec<Field>, Vec<_>) = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| match field.data_type() {
            ArrowType::Timestamp(unit, Some(_)) => {
                let zone = ArrowType::Timestamp(*unit, Some("+00:00".into()));
                let array = ::arrow::compute::cast(array, &zone).unwrap();
                (field.as_ref().clone().with_data_type(zone), array)
            }
            ArrowType::Decimal128(..) => {
                let array = ::arrow::compute::cast(array, &ArrowType::Utf8).unwrap();
                (field.as_ref().clone().with_data_type(ArrowType::Utf8), array)
            }
            _ => (field.as_ref().clone(), Arc::clone(array)),
        })
        .unzip();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap()
}

#[test]
fn tmp_against_dlt() {
    let out: Json = serde_json::from_str(&std::fs::read_to_string("/tmp/fz/out.json").unwrap()).unwrap();
    let raw: Json = out;
    let mut bad = 0;
    let mut seen = 0;
    let mut faults = BTreeMap::new();
    for (i, case) in raw["cases"].as_array().unwrap().iter().enumerate() {
        let name = format!("t{i}x");
        let mut schema = empty_schema();
        let table: Table = serde_json::from_value(json!({"name": name, "columns": {}, "x-normalizer": {"max_nesting": case["nesting"]}})).unwrap();
        schema.tables.insert(name.clone(), table);
        let mut run = Run::new(schema, Options::new("1"));
        let text: String = case["text"].as_str().unwrap().to_owned();
        let mut failed = None;
        for chunk in split(&text) {
            match run.normalizer.json(&name, chunk) {
                Ok(batches) => batches.into_iter().for_each(|b| run.take(b)),
                Err(e) => failed = Some(e),
            }
        }
        if let Some(e) = failed { *faults.entry(e.to_string()).or_insert(0) += 1; continue; }
        for (table, theirs) in raw["tables"].as_object().unwrap() {
            if *table != name && !table.starts_with(&format!("{name}__")) { continue; }
            seen += 1;
            let Some(ours) = run.normalizer.schema().tables.get(table) else { println!("{table} missing"); bad += 1; continue };
            let cols: Vec<Json> = ours.columns.values().map(|c| json!([c.name, c.data_type, c.nullable, c.has_hint("variant")])).collect();
            let their_cols: Vec<Json> = theirs["columns"].as_array().unwrap().clone();
            if cols != their_cols { bad += 1; if bad < 12 { println!("{table}\n ours   {}\n theirs {}\n rows {text}", Json::from(cols), Json::from(their_cols)); } continue; }
            let key = |r: &Json| r["_dlt_id"].to_string();
            let fix = |r: &Json| { let mut r = r.clone(); let o = r.as_object_mut().unwrap(); o.remove("_dlt_load_id");
                for (k, v) in o.iter_mut() { let c = &ours.columns[k];
                    if c.data_type == Some(transload_core::DataType::Timestamp) { *v = json!(timestamp::timestamp_from_text(&v.as_str().unwrap().replace('T', " ").replace(' ', "T"))); }
                    if c.data_type == Some(transload_core::DataType::Json) { *v = serde_json::from_str(v.as_str().unwrap()).unwrap(); } }
                r };
            let mut a: Vec<Json> = run.rows[table].iter().map(fix).collect();
            let mut b: Vec<Json> = theirs["rows"].as_array().unwrap().iter().map(fix).collect();
            a.sort_by_key(key); b.sort_by_key(key);
            if a != b { bad += 1; if bad < 12 { for (x, y) in a.iter().zip(&b) { if x != y { println!("{table} rows\n ours   {x}\n theirs {y}"); } } } }
        }
    }
    println!("tables {seen} bad {bad} faults {faults:?}");
    assert_eq!(bad, 0);
}
