use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::*;
use crate::hints::new_schema;
use crate::normalize::Naming;

fn rules(settings: Json) -> Result<Rules> {
    let mut schema = new_schema("s", Naming::SnakeCase);
    schema.settings = settings;
    Rules::of(&schema)
}

fn detected(names: &[&str], value: &Value<'_>) -> DataType {
    let mut rules = rules(json!({ "detections": names })).unwrap();
    rules.now = Now::at(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    rules.new_column("c", value, false).data_type.unwrap()
}

#[test]
fn iso_timestamps_are_found_where_the_schema_says_so() {
    let both = |text| {
        [detected(&["iso_timestamp"], &Value::Text(text)), detected(&[], &Value::Text(text))]
    };
    assert_eq!(both("2021-07-24T10:51:00Z"), [DataType::Timestamp, DataType::Text]);
    assert_eq!(both("1975-05-21"), [DataType::Text; 2]);
    assert_eq!(both("22:00:00"), [DataType::Text; 2]);
    assert_eq!(both(""), [DataType::Text; 2]);
}

#[test]
fn numbers_near_now_are_timestamps() {
    let of = |value| detected(&["timestamp"], &value);
    let five_years = 5 * 365 * 86_400;
    assert_eq!(of(Value::Integer(1_700_000_000)), DataType::Timestamp);
    assert_eq!(of(Value::Integer(1_700_000_000 - five_years)), DataType::Timestamp);
    assert_eq!(of(Value::Integer(1_700_000_001 + five_years)), DataType::Bigint);
    assert_eq!(of(Value::Double(1_699_999_999.5)), DataType::Timestamp);
    assert_eq!(of(Value::Double(0.5)), DataType::Double);
    assert_eq!(of(Value::Bool(true)), DataType::Bool);
    assert_eq!(of(Value::Text("1700000000")), DataType::Text);
}

#[test]
fn dates_are_found_down_to_years() {
    let of = |text| detected(&["iso_date", "iso_timestamp"], &Value::Text(text));
    for date in ["1975", "1975-05", "19750521", "1975/05/01", "1975-05-21"] {
        assert_eq!(of(date), DataType::Date, "{date}");
    }
    assert_eq!(of("2021-07-24T10:51:00Z"), DataType::Timestamp);
    for other in ["22:00:00", "12345", "1975-13-01", "may", "", "Wed, 06 Jul 2022 11:58:08 +0200"] {
        assert_eq!(of(other), DataType::Text, "{other}");
    }
}

#[test]
fn large_integers_are_wei_and_the_first_detection_counts() {
    let of = |value| detected(&["large_integer"], &value);
    assert_eq!(of(Value::Wide(1 << 63)), DataType::Wei);
    assert_eq!(of(Value::Wide(-(1 << 100))), DataType::Decimal);
    assert_eq!(of(Value::Integer(i64::MAX)), DataType::Bigint);
    assert_eq!(
        detected(&["hexbytes_to_text", "wei_to_double"], &Value::Wide(1 << 63)),
        DataType::Decimal
    );
    let column = rules(json!({"detections": ["large_integer"]})).unwrap();
    assert_eq!(column.new_column("c", &Value::Wide(1 << 63), false).precision, None);
}

#[test]
fn unknown_detections_and_types_are_refused() {
    let error = rules(json!({"detections": ["isodate"]})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().unwrap().contains("iso_date"));
    let error = rules(json!({"preferred_types": {"a": "integer"}})).unwrap_err();
    assert!(error.hint().unwrap().contains("bigint"));
}

#[test]
fn preferred_types_and_hints_go_by_name_and_by_expression() {
    let rules = rules(json!({
        "preferred_types": {"re:^.*_(at|on)$": "timestamp", "price": "decimal", "re:(?i)JSON": "json"},
        "default_hints": {"not_null": ["id", "re:^_"], "sort": ["re:[[_]at"]},
    }))
    .unwrap();
    let types =
        ["created_at", "on", "price", "prices", "my_json_x"].map(|name| rules.preferred_type(name));
    let [timestamp, decimal, json] =
        [DataType::Timestamp, DataType::Decimal, DataType::Json].map(Some);
    assert_eq!(types, [timestamp, None, decimal, None, json]);
    assert!(rules.is_not_null("id") && rules.is_not_null("_x") && !rules.is_not_null("ids"));
    let column = rules.new_column("created_at", &Value::Integer(1), false);
    assert_eq!(column.data_type, timestamp);
    assert!(column.has_hint("sort"));
    let variant = rules.new_column("price", &Value::Text("x"), true);
    assert_eq!((variant.data_type, variant.has_hint("variant")), (Some(DataType::Text), true));
}

#[test]
fn expressions_of_python_mean_the_same_here() {
    for (expression, name, expected) in [
        (r"re:^a\Z", "a", true),
        (r"re:^a\Z", "ab", false),
        (r"re:\<a\>", "<a>", true),
        (r"re:\<a\>", "a", false),
        (r"re:[a[]b", "[b", true),
        (r"re:^[a&&b]+$", "a&b", true),
        (r"re:^[+--]$", ",", true),
        (r"re:^[--9]$", ".", true),
        (r"re:[]x]y", "]y", true),
        (r"re:[^]x]y", "ay", true),
        (r"re:^\d+$", "١٢", true),
        (r"re:^gr\ö$", "grö", true),
        (r"re:foo", "a_foo_b", true),
        ("name", "name", true),
        ("na.e", "name", false),
    ] {
        assert_eq!(
            Pattern::new(expression).unwrap().matches(name),
            expected,
            "{expression} {name}"
        );
    }
    for expression in ["re:(?!x)a", r"re:(a)\1", "re:(?<=a)b", "re:(", "re:*"] {
        let error = Pattern::new(expression).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{expression}");
        assert!(!error.context("reason").unwrap().is_empty());
    }
}

#[test]
fn filters_are_refused_and_not_overlooked() {
    let mut schema = new_schema("s", Naming::SnakeCase);
    let table = schema.tables.get_mut("_dlt_loads").unwrap();
    table.hints.insert("filters".into(), json!({"excludes": [], "includes": []}));
    check_settings(&schema).unwrap();
    let table = schema.tables.get_mut("_dlt_loads").unwrap();
    table.hints.insert("filters".into(), json!({"excludes": ["re:^secret"]}));
    assert_eq!(check_settings(&schema).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn columns_for_nested_rows_are_refused_and_not_overlooked() {
    let with = |propagation: Json| {
        let mut schema = new_schema("s", Naming::SnakeCase);
        schema.normalizers["json"]["config"] = json!({ "propagation": propagation });
        check_settings(&schema)
    };
    let root_id = json!({"_dlt_id": "_dlt_root_id"});
    with(json!({"tables": {"t": root_id}, "root": root_id})).unwrap();
    with(json!({"tables": {"T": {"_DLT_ID": "_DLT_ROOT_ID"}}})).unwrap();
    with(json!({"root": {}})).unwrap();
    for propagation in [
        json!({"root": {"_dlt_load_id": "_dlt_load_id"}}),
        json!({"tables": {"t": {"_dlt_id": "_dlt_root_id", "day": "parent_day"}}}),
    ] {
        let error = with(propagation).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.context("becomes").is_some(), "{error:?}");
    }
}
