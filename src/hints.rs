//! From what a resource says of its table to the schema.

use serde_json::{Value, json};
use transload_core::{
    Column, DataType, Error, ErrorKind, Result, SCHEMA_ENGINE_VERSION, Schema, Table,
    WriteDisposition,
};

use crate::incremental::Incremental;
use crate::normalize::Naming;
use crate::resource::Resource;

/// How the names of this load are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The convention.
    pub(crate) naming: Naming,
    /// Characters of the longest name.
    pub(crate) max_length: usize,
}

impl Names {
    fn of(self, name: &str) -> String {
        self.naming.normalize_path(name, self.max_length)
    }
}

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

/// The naming convention of a schema.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for one that is not known here; [`ErrorKind::Configuration`] where another is asked for
/// than the one by which the tables were named.
pub(crate) fn naming_of(schema: &Schema, asked: Option<Naming>) -> Result<Naming> {
    let name = schema.normalizers.get("names").and_then(Value::as_str).unwrap_or("snake_case");
    let naming = Naming::from_name(name).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the naming convention of the schema is not known here")
            .with("schema", &schema.name)
            .with("convention", name)
            .with_hint(naming_hint())
    })?;
    match asked {
        Some(asked) if asked != naming => {
            Err(Error::new(ErrorKind::Configuration, "the tables are named by another convention")
                .with("schema", &schema.name)
                .with("convention", naming.name())
                .with("asked for", asked.name())
                .with_hint("leave `[schema] naming` as it was, or load into another dataset"))
        }
        _ => Ok(naming),
    }
}

/// Reads the setting `[schema] naming`.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a convention that is not known here.
pub(crate) fn naming_from(name: &str) -> Result<Naming> {
    Naming::from_name(name).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "there is no such naming convention")
            .with("key", "schema.naming")
            .with("convention", name)
            .with_hint(naming_hint())
    })
}

fn naming_hint() -> String {
    let known = [Naming::SnakeCase, Naming::Direct, Naming::SqlCi, Naming::SqlCs];
    format!("the conventions are {}", known.map(Naming::name).join(", "))
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

/// Brings the hints of a resource into the schema and returns the name of its table.
///
/// # Errors
/// [`ErrorKind::Configuration`] where a name is empty or is one of the system's own, or where the table is nested in
/// another.
pub(crate) fn apply(schema: &mut Schema, resource: &Resource, names: Names) -> Result<String> {
    let refused = |message: &'static str| {
        Error::new(ErrorKind::Configuration, message)
            .with("resource", &resource.name)
            .with("table", &resource.table)
    };
    if resource.table.trim().is_empty() {
        return Err(
            refused("a table needs a name").with_hint("give the resource a name, or a `table`")
        );
    }
    let name = names.of(&resource.table);
    if name.starts_with("_dlt") || name.starts_with("_transload") {
        return Err(refused("the name of the table belongs to the system tables")
            .with_hint("names must not begin with `_dlt` or `_transload`"));
    }
    let table = schema.tables.entry(name.clone()).or_insert_with(|| Table {
        resource: Some(resource.name.clone()),
        ..Table::root(&name, WriteDisposition::Append)
    });
    if let Some(parent) = &table.parent {
        return Err(refused("the table is nested in another")
            .with("parent", parent)
            .with_hint("choose another name"));
    }
    // What a run does not ask for is not taken from an earlier one: `replace` and `merge` destroy rows.
    table.write_disposition = Some(resource.write_disposition.unwrap_or_default());
    for (hint, value) in [
        ("x-merge-strategy", resource.merge_strategy.map(|strategy| json!(strategy))),
        ("x-replace-strategy", resource.replace_strategy.map(|strategy| json!(strategy))),
    ] {
        match value {
            Some(value) => table.hints.insert(hint.to_owned(), value),
            None => table.hints.remove(hint),
        };
    }
    if let Some(levels) = resource.max_table_nesting {
        let normalizer = table.hints.entry("x-normalizer".to_owned()).or_insert_with(|| json!({}));
        if let Some(normalizer) = normalizer.as_object_mut() {
            normalizer.insert("max_nesting".to_owned(), json!(levels));
        }
    }
    for column in &resource.columns {
        let name = names.of(&column.name);
        table.put(Column { name, ..column.clone() });
    }
    put_key(table, "primary_key", &resource.primary_key, names);
    put_key(table, "merge_key", &resource.merge_key, names);
    if let Some(cursor) = resource.incremental.as_ref().and_then(Incremental::column) {
        let name = names.of(&cursor);
        let column = table
            .columns
            .entry(name.clone())
            .or_insert_with(|| Column { data_type: None, ..Column::new(name, DataType::Text) });
        column.hints.insert("incremental".to_owned(), json!(true));
    }
    Ok(name)
}

/// A key replaces the one before it as a whole; an empty one says nothing. As dlt's.
fn put_key(table: &mut Table, hint: &str, columns: &[String], names: Names) {
    if columns.is_empty() {
        return;
    }
    for column in table.columns.values_mut() {
        column.hints.remove(hint);
    }
    for name in columns {
        let name = names.of(name);
        let column = table.columns.entry(name.clone()).or_insert_with(|| Column {
            data_type: None,
            nullable: false,
            ..Column::new(name, DataType::Text)
        });
        column.hints.insert(hint.to_owned(), json!(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names { naming: Naming::SnakeCase, max_length: 63 };

    fn resource() -> Resource {
        Resource::json("Players", "")
            .primary_key(["Player ID"])
            .write_disposition(WriteDisposition::Replace)
    }

    #[test]
    fn a_resource_becomes_a_root_table_with_incomplete_keys() {
        let mut schema = new_schema("chess", Naming::SnakeCase);
        assert_eq!(apply(&mut schema, &resource(), NAMES).unwrap(), "players");
        let table = &schema.tables["players"];
        assert_eq!(table.write_disposition, Some(WriteDisposition::Replace));
        let key = &table.columns["player_id"];
        assert!(key.has_hint("primary_key") && !key.nullable && key.data_type.is_none());
        assert_eq!(table.resource.as_deref(), Some("Players"));
    }

    #[test]
    fn a_new_key_replaces_the_old_one_no_key_says_nothing_and_rows_stay_unless_said() {
        let mut schema = new_schema("chess", Naming::SnakeCase);
        apply(&mut schema, &resource(), NAMES).unwrap();
        apply(&mut schema, &Resource::json("Players", "").primary_key(["name"]), NAMES).unwrap();
        apply(&mut schema, &Resource::json("Players", ""), NAMES).unwrap();
        let table = &schema.tables["players"];
        assert_eq!(table.columns_with_hint("primary_key"), ["name"]);
        assert_eq!(table.write_disposition, Some(WriteDisposition::Append));
    }

    #[test]
    fn the_column_of_a_cursor_is_marked_where_the_path_is_its_name() {
        let of = |path: &str| {
            let mut schema = new_schema("chess", Naming::SnakeCase);
            let resource = Resource::json("games", "").incremental(Incremental::new(path));
            apply(&mut schema, &resource, NAMES).unwrap();
            let columns = &schema.tables["games"].columns;
            columns
                .values()
                .map(|column| (column.name.clone(), column.has_hint("incremental")))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("'Updated At'"), [("updated_at".to_owned(), true)]);
        assert!(of("$.c").is_empty());
        assert!(of("a.b").is_empty());
    }

    #[test]
    fn the_names_of_system_tables_are_refused() {
        for name in ["_dlt_loads", "_dlt", "_transload_fence", " "] {
            let error =
                apply(&mut new_schema("c", Naming::SnakeCase), &Resource::json(name, ""), NAMES)
                    .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        }
    }

    #[test]
    fn tables_keep_the_convention_by_which_they_were_named() {
        let schema = new_schema("chess", Naming::SqlCs);
        assert_eq!(naming_of(&schema, None).unwrap(), Naming::SqlCs);
        assert_eq!(naming_of(&schema, Some(Naming::SqlCs)).unwrap(), Naming::SqlCs);
        let error = naming_of(&schema, Some(naming_from("direct").unwrap())).unwrap_err();
        assert_eq!(error.context("convention"), Some("sql_cs_v1"));
        assert_eq!(naming_from("camel").unwrap_err().kind(), ErrorKind::Configuration);
        let mut foreign = schema;
        foreign.normalizers = json!({ "names": "my.own.convention" });
        assert_eq!(naming_of(&foreign, None).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn the_schema_is_named_like_the_pipeline() {
        assert_eq!(schema_name("my_pipeline"), "my");
        assert_eq!(schema_name("My-Pipe 1"), "my_pipe_1");
        assert_eq!(schema_name("123abc"), "_123abc");
    }
}
