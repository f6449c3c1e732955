//! What dlt does, by the numbers that the parity cases (`xtask/parity/cases`) have too, and what differs from it on purpose.

mod arrow_batches;
mod arrow_rows;
mod contracts;
mod faults;
mod flattening;
mod merge;
mod properties;
mod rebuild;
mod system_columns;
mod throughput;
mod types;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::source::json::{JsonLimits, JsonReader, JsonShape};

/// A normaliser and all rows that came out of it.
#[derive(Debug)]
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
    JsonReader::new(text.as_bytes(), "rows.jsonl", JsonShape::Auto, JsonLimits::default())
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
            let normalized = self.normalizer.json("t", &chunk, None)?;
            normalized.batches.into_iter().for_each(|batch| self.take(batch));
            if let Some(refused) = normalized.refused.into_iter().next() {
                return Err(refused.error);
            }
        }
        Ok(())
    }

    fn take(&mut self, TableBatch { table, batch }: TableBatch) {
        let batch = printable(&batch);
        let columns: Vec<&str> = self.normalizer.schema().tables[&table]
            .complete_columns()
            .map(|column| column.name.as_str())
            .collect();
        let schema = batch.schema();
        assert_eq!(
            schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
            columns
        );
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
                Json::Object(
                    row.into_iter().filter(|(name, _)| !name.starts_with("_dlt")).collect(),
                )
            })
            .collect()
    }

    /// All tables with their columns: `t(a bigint, b text)`, without dlt's own columns.
    fn tables(&self) -> String {
        let describe = |table: &Table| {
            let columns =
                table.complete_columns().filter(|column| !column.name.starts_with("_dlt"));
            let columns: Vec<String> = columns
                .map(|column| format!("{} {}", column.name, column.data_type.unwrap()))
                .collect();
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
