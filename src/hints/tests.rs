//! What dlt stored for the same hints is what is expected here.

use serde_json::{Value, json};
use transload_core::{Column, DataType, MergeStrategy, Table};

use super::*;
use crate::contract::ContractMode;
use crate::pipeline::SchemaSettings;

const NAMES: Names = Names { naming: Naming::SnakeCase, max_length: 63 };

fn chess() -> Schema {
    new_schema("chess", Naming::SnakeCase)
}

fn named(table: &str) -> Resource {
    Resource::json(table, "")
}

fn resource() -> Resource {
    named("Players").primary_key(["Player ID"]).write_disposition(WriteDisposition::Replace)
}

fn applied(resource: &Resource) -> Schema {
    let mut schema = chess();
    apply(&mut schema, resource, NAMES).unwrap();
    schema
}

fn refused(schema: &Schema, resource: &Resource) -> Error {
    apply(&mut schema.clone(), resource, NAMES).unwrap_err()
}

/// Gives columns types, as rows of them would.
fn with_rows(schema: &mut Schema, table: &str) {
    let table = schema.tables.get_mut(table).unwrap();
    table.put(Column::new("id", DataType::Bigint));
    table.hints.insert("x-normalizer".into(), json!({"seen-data": true}));
}

fn none() -> SchemaSettings {
    let layers = crate::config::Layers::builder().build().unwrap();
    layers.read_section("p", &["schema"]).unwrap()
}

#[test]
fn a_resource_becomes_a_root_table_with_incomplete_keys() {
    let schema = applied(&resource());
    let table = &schema.tables["players"];
    assert_eq!(table.write_disposition, Some(WriteDisposition::Replace));
    let key = &table.columns["player_id"];
    assert!(key.has_hint("primary_key") && !key.nullable && key.data_type.is_none());
    assert_eq!(table.resource.as_deref(), Some("Players"));
}

#[test]
fn a_new_key_replaces_the_old_one_no_key_says_nothing_and_rows_stay_unless_said() {
    let mut schema = applied(&resource().primary_key(["Player ID", "nosuch"]));
    schema.tables["players"].columns["player_id"].data_type = Some(DataType::Text);
    apply(&mut schema, &named("Players").primary_key(["name"]), NAMES).unwrap();
    apply(&mut schema, &named("Players"), NAMES).unwrap();
    let table = &schema.tables["players"];
    assert_eq!(table.columns_with_hint("primary_key"), ["name"]);
    assert!(!table.columns["player_id"].nullable, "as in dlt, a former key stays NOT NULL");
    assert!(!table.columns.contains_key("nosuch"), "a key without data is forgotten with its hint");
    assert_eq!(table.write_disposition, Some(WriteDisposition::Append));
}

#[test]
fn the_names_of_system_tables_are_refused() {
    for name in ["_dlt_loads", "_dlt", "_transload_fence", " "] {
        assert_eq!(refused(&chess(), &named(name)).kind(), ErrorKind::Configuration, "{name}");
    }
}

#[test]
fn the_schema_is_named_like_the_pipeline() {
    assert_eq!(schema_name("my_pipeline"), "my");
    assert_eq!(schema_name("My-Pipe 1"), "my_pipe_1");
    assert_eq!(schema_name("123abc"), "_123abc");
}

#[test]
fn columns_are_named_by_the_convention_and_keep_all_their_hints() {
    let schema = applied(
        &named("t").columns([
            ColumnHints::new("Id").hint("primary_key", true),
            ColumnHints::new("None").data_type(DataType::Bigint),
            ColumnHints::new("a")
                .data_type(DataType::Text)
                .precision(10)
                .description("the a")
                .hint("unique", true)
                .hint("x-foo", json!({"k": 1})),
            ColumnHints::new("ts").timezone(false).precision(3).hint("dedup_sort", "desc"),
            ColumnHints::new("a__b").nullable(false),
        ]),
    );
    let columns = &schema.tables["t"].columns;
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["id", "none", "a", "ts", "a__b"]);
    let a: Value = serde_json::to_value(&columns["a"]).unwrap();
    let stored = json!({
        "name": "a", "data_type": "text", "nullable": true, "precision": 10, "description": "the a", "unique": true,
        "x-foo": {"k": 1},
    });
    assert_eq!(a, stored);
    // A key among the columns does not make them NOT NULL, one of the table does.
    assert!(columns["id"].nullable && columns["id"].has_hint("primary_key"));
    assert_eq!(columns["ts"].timezone, Some(false));
    assert!(!columns["a__b"].nullable);
}

#[test]
fn a_key_of_the_table_goes_before_those_of_its_columns() {
    let schema = applied(&named("t").primary_key(["ID"]).columns([
        ColumnHints::new("b").hint("primary_key", true),
        ColumnHints::new("id").nullable(true).data_type(DataType::Bigint),
    ]));
    let table = &schema.tables["t"];
    assert_eq!(table.columns_with_hint("primary_key"), ["id"]);
    assert!(!table.columns["id"].nullable);
}

#[test]
fn hints_for_columns_that_are_there_change_what_they_say_and_no_more() {
    let mut schema = applied(
        &named("t").columns([
            ColumnHints::new("id").hint("cluster", true).hint("unique", true),
            ColumnHints::new("price")
                .data_type(DataType::Decimal)
                .precision(10)
                .scale(2)
                .nullable(false),
        ]),
    );
    let hints = [
        ColumnHints::new("price").description("in euros").hint("cluster", true),
        ColumnHints::new("id").data_type(DataType::Bigint),
    ];
    apply(&mut schema, &named("t").columns(hints), NAMES).unwrap();
    let columns = &schema.tables["t"].columns;
    let price = &columns["price"];
    assert_eq!((price.precision, price.scale, price.nullable), (Some(10), Some(2), false));
    assert_eq!(schema.tables["t"].columns_with_hint("cluster"), ["price"]);
    assert!(columns["id"].has_hint("unique"));
    // What becomes complete stands behind what was.
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["price", "id"]);
}

#[test]
fn wrong_hints_are_refused_with_those_that_there_are() {
    let column = |hint: &str, value: Value| {
        refused(&chess(), &named("t").columns([ColumnHints::new("c").hint(hint, value)]))
    };
    assert!(column("primary", json!(true)).hint().unwrap().contains("primary_key"));
    assert!(column("unique", json!("yes")).hint().unwrap().contains("true or false"));
    assert!(column("dedup_sort", json!("up")).hint().unwrap().contains("asc"));
    assert_eq!(column("description", json!(1)).context("column"), Some("c"));
    let error = refused(&chess(), &named("t").table_format("parquet"));
    assert!(error.hint().unwrap().contains("iceberg"));
    assert!(refused(&chess(), &named("t").hint("filters", 1)).hint().unwrap().contains("x-"));
    let reference = Reference {
        referenced_table: "o".into(),
        columns: vec!["a".into()],
        referenced_columns: Vec::new(),
        label: None,
        cardinality: None,
    };
    assert!(refused(&chess(), &named("t").references([reference])).context("reason").is_some());
}

#[test]
fn a_merge_by_scd2_has_its_columns_and_times() {
    let merge =
        named("t").write_disposition(WriteDisposition::Merge).merge_strategy(MergeStrategy::Scd2);
    let table = &applied(&merge).tables["t"];
    let stored = |name: &str, table: &Table| serde_json::to_value(&table.columns[name]).unwrap();
    assert_eq!(
        stored("_dlt_valid_to", table),
        json!({
            "name": "_dlt_valid_to", "data_type": "timestamp", "nullable": true, "x-valid-to": true,
            "x-active-record-timestamp": null,
        })
    );
    assert_eq!(
        stored("_dlt_id", table),
        json!({"name": "_dlt_id", "nullable": false, "x-row-version": true, "unique": false, "row_key": false})
    );
    let schema = applied(
        &named("t")
            .write_disposition(WriteDisposition::Merge)
            .merge_strategy(MergeStrategy::Scd2)
            .merge_options(MergeOptions {
                validity_column_names: Some(["From".into(), "To".into()]),
                active_record_timestamp: Some("9999-12-31".into()),
                boundary_timestamp: Some("2024-01-01T00:00:00Z".into()),
                row_version_column_name: Some("h".into()),
                deduplicated: None,
            }),
    );
    let table = &schema.tables["t"];
    assert_eq!(table.columns.keys().collect::<Vec<_>>(), ["from", "to", "h"]);
    // One form, which a destination can compare with.
    assert_eq!(
        table.columns["to"].hints["x-active-record-timestamp"],
        json!("9999-12-31T00:00:00.000000Z")
    );
    assert_eq!(table.hints["x-boundary-timestamp"], json!("2024-01-01T00:00:00.000000Z"));
    assert_eq!(table.hints["x-merge-strategy"], json!("scd2"));
    // What a later run does not ask for is not done.
    let mut later = schema.clone();
    apply(&mut later, &named("t"), NAMES).unwrap();
    let hints = &later.tables["t"].hints;
    assert!(!hints.contains_key("x-boundary-timestamp") && !hints.contains_key("x-merge-strategy"));
}

#[test]
fn options_of_a_merge_that_mean_nothing_are_refused() {
    let merge = |strategy, options| {
        let resource =
            named("t").write_disposition(WriteDisposition::Merge).merge_strategy(strategy);
        apply(&mut chess(), &resource.merge_options(options), NAMES)
    };
    let boundary = |text: &str| MergeOptions {
        boundary_timestamp: Some(text.into()),
        ..MergeOptions::default()
    };
    let error = merge(MergeStrategy::Upsert, boundary("2024-01-01")).unwrap_err();
    assert_eq!(error.context("key"), Some("boundary_timestamp"));
    let error = merge(MergeStrategy::Scd2, boundary("soon")).unwrap_err();
    assert_eq!(error.context("value"), Some("soon"));
    merge(MergeStrategy::Scd2, boundary("2024-01-01")).unwrap();
    let names = MergeOptions {
        validity_column_names: Some(["a".into(), "a".into()]),
        ..MergeOptions::default()
    };
    assert_eq!(merge(MergeStrategy::Scd2, names).unwrap_err().context("column"), Some("a"));
    let deduplicated = MergeOptions { deduplicated: Some(true), ..MergeOptions::default() };
    assert!(refused(&chess(), &named("t").merge_options(deduplicated)).hint().is_some());
}

#[test]
fn a_nested_table_with_a_key_is_one_of_its_own() {
    let keyed = TableHints::new()
        .primary_key(["V"])
        .columns([ColumnHints::new("v").data_type(DataType::Decimal)]);
    let inner = TableHints::new().columns([ColumnHints::new("w").data_type(DataType::Double)]);
    let resource = named("t").nested_hints(["l", "m"], inner.clone()).nested_hints(["l"], keyed);
    let schema = applied(&resource);
    let table = &schema.tables["t__l"];
    assert_eq!((table.parent.as_deref(), table.resource.as_deref()), (None, Some("t")));
    assert_eq!(table.write_disposition, Some(WriteDisposition::Append));
    assert!(!table.columns["v"].nullable);
    let inner_table = &schema.tables["t__l__m"];
    assert_eq!(
        (inner_table.parent.as_deref(), inner_table.resource.as_deref()),
        (Some("t__l"), None)
    );
    assert_eq!(inner_table.write_disposition, None);
    assert_eq!(inner_table.columns["w"].data_type, Some(DataType::Double));

    // The table in between must be known.
    let error = refused(&chess(), &named("t").nested_hints(["l", "m"], inner.clone()));
    assert_eq!(error.context("parent"), Some("t__l"));
    // What is linked once stays so, and the other way round.
    let linked = applied(&named("t").nested_hints(["l"], inner.clone()));
    let error =
        refused(&linked, &named("t").nested_hints(["l"], TableHints::new().merge_key(["w"])));
    assert_eq!(error.context("parent"), Some("t"));
    assert_eq!(
        refused(&schema, &named("t").nested_hints(["l"], inner)).context("table"),
        Some("t__l")
    );
    assert_eq!(refused(&linked, &named("t__l")).context("parent"), Some("t"));
}

#[test]
fn a_linked_table_shares_the_disposition_of_its_root() {
    let merged = TableHints::new().write_disposition(WriteDisposition::Merge);
    let error = refused(&chess(), &named("t").nested_hints(["l"], merged.clone()));
    assert!(error.hint().unwrap().contains("primary key"));
    let schema = applied(&named("t").nested_hints(["l"], merged.merge_key(["v"])));
    assert_eq!(schema.tables["t__l"].write_disposition, Some(WriteDisposition::Merge));
}

#[test]
fn references_are_normalised_and_a_later_one_takes_the_place_of_an_earlier_one() {
    let reference = |table: &str, column: &str| Reference {
        referenced_table: table.into(),
        columns: vec![column.into()],
        referenced_columns: vec!["Key X".into()],
        label: None,
        cardinality: Some("many_to_one".into()),
    };
    let mut schema =
        applied(&named("t").references([reference("Other", "Id"), reference("Third", "c")]));
    apply(&mut schema, &named("t").references([reference("Other", "Ref")]), NAMES).unwrap();
    let stored = &schema.tables["t"].hints["references"];
    assert_eq!(stored.as_array().unwrap().len(), 2);
    assert_eq!(
        stored[0],
        json!({
            "referenced_table": "other", "columns": ["ref"], "referenced_columns": ["key_x"],
            "cardinality": "many_to_one",
        })
    );
}

#[test]
fn contracts_hold_hints_back_as_they_hold_data_back() {
    let contract = |text: &str| text.parse::<crate::SchemaContract>().unwrap();
    // A new table.
    let error = refused(&chess(), &named("t").schema_contract(contract("tables=freeze")));
    assert_eq!(error.context("contract"), Some("tables = freeze"));
    let with_column = named("t").columns([Column::new("a", DataType::Text)]);
    let schema = applied(&with_column.schema_contract(contract("tables=discard_row")));
    assert!(schema.tables["t"].columns.is_empty(), "it stays a new table, whose rows are left out");

    // A table that is held to its columns gets the first ones all the same.
    let frozen = named("t").schema_contract(contract("columns=freeze")).primary_key(["id"]);
    let mut schema = applied(&frozen);
    assert_eq!(schema.tables["t"].hints["x-normalizer"]["evolve-columns-once"], json!(true));
    apply(&mut schema, &named("t").columns([ColumnHints::new("b")]), NAMES).unwrap();

    with_rows(&mut schema, "t");
    let hints = || named("t").columns([ColumnHints::new("z").description("new")]);
    assert_eq!(refused(&schema, &hints()).context("contract"), Some("columns = freeze"));
    apply(&mut schema, &hints().schema_contract(contract("columns=discard_value")), NAMES).unwrap();
    assert!(!schema.tables["t"].columns.contains_key("z"));
    apply(&mut schema, &hints().schema_contract(ContractMode::Evolve), NAMES).unwrap();
    assert!(schema.tables["t"].columns.contains_key("z"));

    let typed = || {
        let id = ColumnHints::new("id").data_type(DataType::Text).hint("sort", true);
        named("t").columns([id]).schema_contract(contract("data_type=freeze"))
    };
    assert_eq!(refused(&schema, &typed()).context("contract"), Some("data_type = freeze"));
    // Hints that change no type are never held back.
    let sorted = named("t").columns([ColumnHints::new("id").hint("sort", true)]);
    apply(&mut schema, &sorted.schema_contract(contract("data_type=freeze")), NAMES).unwrap();
    assert!(schema.tables["t"].columns["id"].has_hint("sort"));
}

#[test]
fn columns_that_no_row_brought_are_an_error_if_they_must_be_there() {
    let tables = ["t".to_owned()];
    let mut schema = applied(&named("t").primary_key(["nosuch"]));
    with_rows(&mut schema, "t");
    let error = unbound(&schema, &tables).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        (error.context("column"), error.context("it is")),
        (Some("nosuch"), Some("part of the primary key"))
    );
    assert_eq!(error.context("columns"), Some("id"));
    // A table that received no rows in this load is not looked at.
    assert!(unbound(&schema, &[]).unwrap().is_empty());

    let mut schema = applied(
        &named("t").columns([ColumnHints::new("x"), ColumnHints::new("y")]).table_format("delta"),
    );
    with_rows(&mut schema, "t");
    let warnings = unbound(&schema, &tables).unwrap();
    assert!(warnings[0].contains("x, y") && warnings[1].contains("delta"), "{warnings:?}");
}

#[test]
fn tables_with_data_keep_the_convention_by_which_they_were_named() {
    let convention = |schema: &mut Schema, asked, settings: &SchemaSettings| {
        configure(schema, settings, asked, 63).map(|names| names.naming)
    };
    let direct = naming_from("schema.naming", "direct").unwrap();
    assert_eq!(naming_from("schema.naming", "camel").unwrap_err().kind(), ErrorKind::Configuration);
    let mut schema = new_schema("chess", Naming::SqlCs);
    assert_eq!(convention(&mut schema, None, &none()).unwrap(), Naming::SqlCs);

    // No table has data: the tables are named anew.
    let table = Resource::json("My Table", "").columns([ColumnHints::new("The Key")]);
    apply(&mut schema, &table, Names { naming: Naming::SqlCs, max_length: 63 }).unwrap();
    assert_eq!(
        convention(&mut schema, Some(Naming::SnakeCase), &none()).unwrap(),
        Naming::SnakeCase
    );
    assert_eq!(schema.normalizers["names"], json!("snake_case"));
    assert!(schema.tables["my_table"].columns.contains_key("the_key"));
    assert!(schema.tables.contains_key("_dlt_loads"));

    with_rows(&mut schema, "my_table");
    let error = convention(&mut schema, Some(direct), &none()).unwrap_err();
    assert_eq!(
        (error.context("convention"), error.context("asked for")),
        (Some("snake_case"), Some("direct"))
    );
    let allowed =
        SchemaSettings { allow_identifier_change_on_table_with_data: Some(true), ..none() };
    assert_eq!(convention(&mut schema, Some(direct), &allowed).unwrap(), Naming::Direct);

    let mut foreign = chess();
    foreign.normalizers = json!({ "names": "my.own.convention" });
    assert_eq!(convention(&mut foreign, None, &none()).unwrap_err().kind(), ErrorKind::Unsupported);
    let old = SchemaSettings { use_break_path_on_normalize: Some(false), ..none() };
    let naming = convention(&mut chess(), None, &old).unwrap();
    assert_eq!(naming.normalize_path("a__b", 63), "a_b");
}

#[test]
fn settings_are_stored_where_dlt_has_them_and_checked() {
    let read = |pairs: &[(&str, &str)]| -> Result<SchemaSettings> {
        let mut layers = crate::config::Layers::builder();
        for (key, value) in pairs {
            let value = transload_core::settings::SettingValue::text(*value);
            layers = layers.value(&format!("schema.{key}"), value);
        }
        layers.build()?.read_section("p", &["schema"])
    };
    let settings = read(&[
        ("detections", "iso_date,timestamp"),
        ("preferred_types", r#"{"Price": "decimal", "re:^x$": "json", "re:^Big Id$": "bigint"}"#),
        ("default_hints", r#"{"sort": ["Created At", "id"], "not_null": "id"}"#),
        ("json_normalizer", r#"{"config": {"max_nesting": 2}}"#),
        ("schema_contract", "freeze"),
    ])
    .unwrap();
    let mut schema = chess();
    configure(&mut schema, &settings, None, 63).unwrap();
    let stored = &schema.settings;
    assert_eq!(stored["detections"], json!(["iso_date", "timestamp"]));
    assert_eq!(
        stored["preferred_types"],
        json!({"price": "decimal", "re:^x$": "json", "re:^Big Id$": "bigint"})
    );
    assert_eq!(stored["default_hints"]["sort"], json!(["created_at", "id"]));
    assert_eq!(stored["default_hints"]["not_null"].as_array().unwrap().len(), 6);
    assert_eq!(stored["schema_contract"], json!("freeze"));
    assert_eq!(schema.normalizers["json"]["config"]["max_nesting"], json!(2));
    let before = schema.clone();
    configure(&mut schema, &none(), None, 63).unwrap();
    assert_eq!(schema, before, "what is not said stays");

    for (key, value) in [
        ("detections", "isodate"),
        ("preferred_types", r#"{"a": "integer"}"#),
        ("preferred_types", r#"{"re:(?!a)": "text"}"#),
        ("json_normalizer", r#"{"module": "my.own"}"#),
    ] {
        let settings = read(&[(key, value)]).unwrap();
        assert!(configure(&mut chess(), &settings, None, 63).is_err(), "{key} {value}");
    }
    assert!(read(&[("default_hints", "[]")]).is_err());
    assert!(read(&[("schema_contract", "never")]).is_err());
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
            .map(|column| (column.name.clone(), column.has_hint("incremental"), column.nullable))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("'Updated At'"), [("updated_at".to_owned(), true, true)]);
    assert!(of("$.c").is_empty());
    assert!(of("a.b").is_empty());
}

/// A table that is merged, with a hint on each of these columns.
fn merging(hints: &[(&str, &str, serde_json::Value)]) -> Resource {
    let columns = hints
        .iter()
        .map(|(column, hint, value)| ColumnHints::new(*column).hint(*hint, value.clone()));
    named("t").write_disposition(WriteDisposition::Merge).columns(columns.collect::<Vec<_>>())
}

#[test]
fn one_column_alone_marks_deleted_rows_or_orders_them() {
    for (hint, value) in [("hard_delete", json!(true)), ("dedup_sort", json!("desc"))] {
        let two = merging(&[("a", hint, value.clone()), ("b", hint, value.clone())]);
        let error = refused(&chess(), &two.primary_key(["id"]));
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!((error.context("hint"), error.context("columns")), (Some(hint), Some("a, b")));
        applied(&merging(&[("a", hint, value)]).primary_key(["id"]));
    }
}

#[test]
fn hints_that_do_nothing_are_said() {
    let warnings = |resource: &Resource| {
        let mut schema = applied(resource);
        for column in schema.tables["t"].columns.values_mut() {
            column.data_type.get_or_insert(DataType::Bigint);
        }
        unbound(&schema, &["t".to_owned()]).unwrap()
    };
    let says = |resource: &Resource, words: &str| {
        let warnings = warnings(resource);
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
    };
    says(&merging(&[]), "its rows are appended");
    assert!(warnings(&merging(&[]).merge_key(["m"])).is_empty());
    let sorted = || merging(&[("s", "dedup_sort", json!("asc"))]);
    assert!(warnings(&sorted().primary_key(["id"])).is_empty());
    says(&sorted().merge_key(["m"]), "told apart by a primary key");
    let deduplicated = MergeOptions { deduplicated: Some(true), ..MergeOptions::default() };
    says(&sorted().primary_key(["id"]).merge_options(deduplicated), "deduplicated");
    let upsert = merging(&[]).merge_strategy(MergeStrategy::Upsert);
    says(&upsert.primary_key(["id"]).merge_key(["m"]), "the primary key alone");
    let appended = merging(&[("d", "hard_delete", json!(true))]);
    says(&appended.write_disposition(WriteDisposition::Append), "this is append");
}

#[test]
fn a_merge_that_cannot_be_is_refused_with_the_hints() {
    let upsert = merging(&[]).merge_strategy(MergeStrategy::Upsert);
    let error = refused(&chess(), &upsert);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.context("resource"), Some("t"));
    // So is that of a nested table which is one of its own.
    let own = TableHints::new()
        .write_disposition(WriteDisposition::Merge)
        .merge_strategy(MergeStrategy::InsertOnly)
        .merge_key(["m"]);
    let error = refused(&chess(), &named("t").nested_hints(["l"], own));
    assert_eq!(error.context("table"), Some("t__l"));
}

#[test]
fn a_table_that_is_merged_hands_its_ids_down_from_the_first_load_on() {
    let mapping = |resource: &Resource| {
        applied(resource).normalizers["json"]["config"]["propagation"]["tables"].clone()
    };
    assert_eq!(
        mapping(&merging(&[]).primary_key(["id"])),
        json!({"t": {"_dlt_id": "_dlt_root_id"}})
    );
    assert_eq!(mapping(&merging(&[]).merge_strategy(MergeStrategy::Scd2)), Value::Null);
    assert_eq!(mapping(&named("t")), Value::Null);
}
