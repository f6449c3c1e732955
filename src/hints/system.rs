//! Schemas as they begin: dlt's own tables and settings.

use serde_json::json;
use transload_core::{Column, DataType, SCHEMA_ENGINE_VERSION, Schema, Table, WriteDisposition};

use crate::normalize::Naming;

/// The name of the schema of a pipeline: its name without a trailing `_pipeline`, normalised. As dlt's.
pub(crate) fn schema_name(pipeline: &str) -> String {
    Naming::SnakeCase
        .normalize_identifier(pipeline.strip_suffix("_pipeline").unwrap_or(pipeline), 64)
}

/// A schema without data, as dlt begins one.
pub(crate) fn new_schema(name: &str, naming: Naming) -> Schema {
    let keys = ["_dlt_id", "_dlt_root_id", "_dlt_parent_id", "_dlt_list_idx", "_dlt_load_id"];
    let mut schema = Schema {
        version: 1,
        version_hash: String::new(),
        engine_version: SCHEMA_ENGINE_VERSION,
        name: name.to_owned(),
        tables: Default::default(),
        settings: json!({
            "detections": ["iso_timestamp"],
            "default_hints": {
                "not_null": keys,
                "parent_key": ["_dlt_parent_id"],
                "root_key": ["_dlt_root_id"],
                "unique": ["_dlt_id"],
                "row_key": ["_dlt_id"],
            },
        }),
        normalizers: json!({
            "names": naming.name(),
            "json": { "module": "dlt.common.normalizers.json.relational" },
        }),
        previous_hashes: Vec::new(),
        rest: Default::default(),
    };
    let text = |name: &str| Column::new(name, DataType::Text);
    let version = [
        Column::new("version", DataType::Bigint).not_null(),
        Column::new("engine_version", DataType::Bigint).not_null(),
        Column::new("inserted_at", DataType::Timestamp).not_null(),
        text("schema_name").not_null(),
        text("version_hash").not_null(),
        text("schema").not_null(),
    ];
    let loads = [
        text("load_id").not_null().with_precision(64),
        text("schema_name"),
        Column::new("status", DataType::Bigint).not_null(),
        Column::new("inserted_at", DataType::Timestamp).not_null(),
        text("schema_version_hash"),
    ];
    for (name, columns) in [("_dlt_version", &version[..]), ("_dlt_loads", &loads[..])] {
        let mut table = Table::root(name, WriteDisposition::Skip);
        columns.iter().for_each(|column| table.put(column.clone()));
        schema.tables.insert(name.to_owned(), table);
    }
    schema
}

/// Adds the table of the pipeline state, which is in the schema from the first load that stores a state.
pub(crate) fn add_state_table(schema: &mut Schema) {
    let name = "_dlt_pipeline_state";
    if schema.tables.contains_key(name) {
        return;
    }
    let mut table = Table::root(name, WriteDisposition::Append);
    let text = |name: &str| Column::new(name, DataType::Text);
    for column in [
        Column::new("version", DataType::Bigint).not_null(),
        Column::new("engine_version", DataType::Bigint).not_null(),
        text("pipeline_name").not_null(),
        text("state").not_null(),
        Column::new("created_at", DataType::Timestamp).not_null(),
        text("version_hash"),
        text("_dlt_load_id").not_null().with_precision(64),
        text("_dlt_id").not_null().with_hint("unique").with_hint("row_key"),
    ] {
        table.put(column);
    }
    table.hints.insert("file_format".into(), json!("preferred"));
    table.hints.insert("x-normalizer".into(), json!({ "seen-data": true }));
    schema.tables.insert(name.to_owned(), table);
}
