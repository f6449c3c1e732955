//! B01 to B30: types, coercion and variants.

use super::*;

/// The column `v` of these values, one a row.
fn values(values: &[&str]) -> Run {
    Run::of(&values.iter().map(|value| format!("{{\"v\":{value}}}\n")).collect::<String>())
}

fn declared(columns: Json, row: &str) -> Json {
    Run::with(schema_with(json!({"name": "t", "columns": columns})), row).data("t")
}

#[test]
fn b01_values_of_another_type_go_to_variants() {
    let run = values(&["1", "\"x\"", "1.5", "true", "\"7\""]);
    assert_eq!(run.tables(), "t(v bigint, v__v_text text, v__v_double double, v__v_bool bool)");
    assert_eq!(
        run.data("t"),
        json!([{"v": 1}, {"v__v_text": "x"}, {"v__v_double": 1.5}, {"v__v_bool": true}, {"v": 7}])
    );
    assert!(run.normalizer.schema().tables["t"].columns["v__v_text"].has_hint("variant"));
}

#[test]
fn b02_b03_b04_types_hold_what_fits_them() {
    assert_eq!(
        values(&["true", "2", "0"]).data("t"),
        json!([{"v": true}, {"v": true}, {"v": false}])
    );
    assert_eq!(values(&["1.5", "2"]).data("t"), json!([{"v": 1.5}, {"v": 2.0}]));
    assert_eq!(values(&["1", "2.0"]).data("t"), json!([{"v": 1}, {"v": 2}]));
}

#[test]
fn b05_b06_text_holds_scalars_and_nested_values_go_their_way() {
    let run = values(&["\"s\"", "1", "true", "1.5", "{\"a\":1}", "[1]"]);
    assert_eq!(
        run.data("t"),
        json!([{"v": "s"}, {"v": "1"}, {"v": "True"}, {"v": "1.5"}, {"v__a": 1}, {}])
    );
    assert_eq!(run.data("t__v"), json!([{"value": 1}]));
    assert_eq!(values(&["{\"a\":1}", "5"]).tables(), "t(v__a bigint, v bigint)");
    assert_eq!(values(&["5", "[1,2]"]).tables(), "t(v bigint) t__v(value bigint)");
}

#[test]
fn b07_b08_b09_text_is_read_as_python_reads_it() {
    let run = values(&["1.5", "\"2\"", "\"0x10\"", "\"abc\"", "\"\"", "true", "null"]);
    assert_eq!(
        run.data("t"),
        json!([{"v": 1.5}, {"v": 2.0}, {"v": 16.0}, {"v__v_text": "abc"}, {"v__v_text": ""}, {"v__v_bool": true}, {}])
    );
    let run = values(&["1", "\" 7 \"", "\"1.0\"", "\"1_000\"", "\"\""]);
    assert_eq!(
        run.data("t"),
        json!([{"v": 1}, {"v": 7}, {"v__v_text": "1.0"}, {"v": 1000}, {"v__v_text": ""}])
    );
    let run = values(&["true", "\"no\"", "\"maybe\"", "2.5", "\"Y\""]);
    assert_eq!(
        run.data("t"),
        json!([{"v": true}, {"v": false}, {"v__v_text": "maybe"}, {"v": true}, {"v": true}])
    );
}

#[test]
fn b10_b11_null_makes_no_column() {
    assert_eq!(Run::of(r#"{"a":1,"n":null}"#).tables(), "t(a bigint)");
    assert_eq!(
        Run::of("{\"a\":1,\"n\":null}\n{\"a\":2,\"n\":3}").data("t"),
        json!([{"a": 1}, {"a": 2, "n": 3}])
    );
}

#[test]
fn b12_only_points_in_time_are_detected() {
    let run = Run::of(
        r#"{"ts":"2024-01-02T03:04:05Z","d":"2024-01-02","tm":"10:11:12","ts2":"2024-01-02 03:04:05","n":"20240102","y":"2024"}"#,
    );
    assert_eq!(run.tables(), "t(ts timestamp, d text, tm text, ts2 timestamp, n text, y text)");
    let mut schema = empty_schema();
    schema.settings = json!({"detections": []});
    assert_eq!(Run::with(schema, r#"{"ts":"2024-01-02T03:04:05Z"}"#).tables(), "t(ts text)");
}

#[test]
fn b13_timestamps_are_stored_in_utc() {
    let run = values(&[
        "\"2024-01-02T03:04:05+02:00\"",
        "\"2024-01-02T03:04:05\"",
        "\"bad\"",
        "1704164645",
        "\"2024-01-05\"",
    ]);
    assert_eq!(
        run.data("t"),
        json!([
            {"v": "2024-01-02T01:04:05Z"}, {"v": "2024-01-02T03:04:05Z"}, {"v__v_text": "bad"},
            {"v": "2024-01-02T03:04:05Z"}, {"v": "2024-01-05T00:00:00Z"},
        ])
    );
}

#[test]
fn b14_b15_b16_wide_integers_are_exact() {
    assert_eq!(values(&["9223372036854775807", "-9223372036854775808"]).tables(), "t(v bigint)");
    for wide in ["9223372036854775808", "-9223372036854775809", "18446744073709551616"] {
        let run = values(&[wide]);
        let column = &run.normalizer.schema().tables["t"].columns["v"];
        assert_eq!(
            (column.data_type.unwrap().as_str(), column.precision, column.scale),
            ("decimal", Some(38), Some(0))
        );
        assert_eq!(run.rows["t"][0]["v"], wide);
    }
    let run = values(&["1", "9223372036854775808"]);
    assert_eq!(run.tables(), "t(v bigint, v__v_decimal decimal)");
    // More digits than any decimal has: only text can hold them.
    for digits in
        ["340282366920938463463374607431768211455", "-170141183460469231731687303715884105728"]
    {
        let error = fault(empty_schema(), &format!("{{\"v\":{digits}}}"));
        assert_eq!(error.context("code"), Some("E_DECIMAL_RANGE"));
        assert_eq!(values(&["\"x\"", digits]).data("t")[1], json!({"v": digits}));
    }
}

#[test]
fn b18_declared_types_hold() {
    let columns = json!({
        "n": {"name": "n", "data_type": "decimal", "precision": 10, "scale": 2},
        "t": {"name": "t", "data_type": "timestamp"}, "b": {"name": "b", "data_type": "bool"},
        "d": {"name": "d", "data_type": "date"}, "x": {"name": "x", "data_type": "bigint"},
    });
    let row = r#"{"n":"12.5","t":1704164645,"b":"yes","d":"2024-01-02","x":"0xff"}"#;
    assert_eq!(
        declared(columns, row),
        json!([{"n": "12.50", "t": "2024-01-02T03:04:05Z", "b": true, "d": "2024-01-02", "x": 255}])
    );
}

#[test]
fn b19_precision_and_time_zone_of_the_column_hold() {
    let columns =
        json!({"t": {"name": "t", "data_type": "timestamp", "precision": 3, "timezone": false}});
    assert_eq!(
        declared(columns, r#"{"t":"2024-01-02T03:04:05.123456+02:00"}"#),
        json!([{"t": "2024-01-02T01:04:05.123"}])
    );
    // Known by a hint only: the type is detected, the hint stays.
    let columns = json!({"t": {"name": "t", "timezone": false, "precision": 3}});
    assert_eq!(
        declared(columns, r#"{"t":"2024-01-02T03:04:05Z"}"#),
        json!([{"t": "2024-01-02T03:04:05"}])
    );
}

#[test]
fn b21_nan_is_not_json() {
    for value in ["NaN", "Infinity", "-Infinity"] {
        let error = fault(empty_schema(), &format!("{{\"f\":1}}\n{{\"f\":{value}}}"));
        assert_eq!(
            (error.message(), error.context("line")),
            ("the row is not JSON", Some("2")),
            "{value}"
        );
    }
}

#[test]
fn b24_to_b26_and_b30_text_in_declared_columns() {
    let t = json!({"v": {"name": "v", "data_type": "timestamp"}});
    assert_eq!(
        declared(t.clone(), r#"{"v":" 1580405246 "}"#),
        json!([{"v": "2020-01-30T17:27:26Z"}])
    );
    assert_eq!(
        declared(t.clone(), r#"{"v":"2022-04-26 10:36+02"}"#),
        json!([{"v": "2022-04-26T08:36:00Z"}])
    );
    assert_eq!(
        declared(t.clone(), r#"{"v":78172.128}"#),
        json!([{"v": "1970-01-01T21:42:52.128Z"}])
    );
    assert_eq!(declared(t.clone(), r#"{"v":"now"}"#), json!([{"v__v_text": "now"}]));
    let b = json!({"v": {"name": "v", "data_type": "binary"}});
    assert_eq!(declared(b.clone(), r#"{"v":"0x30"}"#), json!([{"v": "30"}]));
    assert_eq!(declared(b.clone(), r#"{"v":"!Yml"}"#), json!([{"v__v_text": "!Yml"}]));
    let time = json!({"v": {"name": "v", "data_type": "time"}});
    assert_eq!(declared(time, r#"{"v":"10:11:12"}"#), json!([{"v": "10:11:12"}]));
}

#[test]
fn integers_beyond_the_bits_of_a_column_go_to_a_variant() {
    let columns = json!({"v": {"name": "v", "data_type": "bigint", "precision": 16}});
    assert_eq!(
        declared(columns, "{\"v\":7}\n{\"v\":70000}"),
        json!([{"v": 7}, {"v__v_bigint": 70000}])
    );
}

#[test]
fn json_columns_take_json_text() {
    let columns = json!({"v": {"name": "v", "data_type": "json"}});
    assert_eq!(
        declared(columns, "{\"v\":\"{\\\"a\\\": 1}\"}\n{\"v\":\"x\"}\n{\"v\":1}\n{\"v\":{}}"),
        json!([{"v": "{\"a\":1}"}, {"v__v_text": "x"}, {"v__v_bigint": 1}, {"v": "{}"}])
    );
}

#[test]
fn settings_prefer_types_and_give_hints() {
    let mut schema = empty_schema();
    schema.settings["preferred_types"] =
        json!({"re:_at$": "timestamp", "amount": "decimal", "raw": "json"});
    schema.settings["default_hints"] = json!({"not_null": ["key"], "sort": ["re:^key"]});
    let run =
        Run::with(schema.clone(), r#"{"made_at":1704164645,"amount":1,"raw":{"a":1},"key":1}"#);
    assert_eq!(
        run.tables(),
        "t(made_at timestamp, amount decimal, key bigint, raw json)"
            .replace("key bigint, raw json", "raw json, key bigint")
    );
    let key = &run.normalizer.schema().tables["t"].columns["key"];
    assert!(!key.nullable && key.has_hint("sort"));
    // What the preferred type cannot hold has only a variant.
    assert_eq!(
        Run::with(schema.clone(), r#"{"made_at":"never"}"#).tables(),
        "t(made_at__v_text text)"
    );
    schema.settings["preferred_types"] = json!({"re:^a.*b$": "text"});
    assert_eq!(
        Run::with(schema.clone(), r#"{"ab":1,"aXb":2,"abc":3}"#).tables(),
        "t(ab text, a_xb text, abc bigint)"
    );
    schema.settings["preferred_types"] = json!({"re:^a(?!b)": "text"});
    assert_eq!(
        Normalizer::new(schema, Options::new("1")).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[test]
fn nul_leaves_names_and_is_refused_in_text() {
    assert_eq!(Run::of("{\"a\\u0000b\":5}").data("t"), json!([{"a_b": 5}]));
    for value in ["\"x\\u0000y\"", "[\"\\u0000\"]", "{\"b\":[{\"c\":\"\\u0000\"}]}"] {
        let error = fault(empty_schema(), &format!("{{\"a\":{value}}}"));
        assert_eq!(
            (error.context("code"), error.context("column")),
            (Some("E_NUL"), error.context("column"))
        );
    }
    let declared = json!({"name": "t", "columns": {"a": {"name": "a", "data_type": "json"}}});
    let error = fault(schema_with(declared), "{\"a\":{\"b\":[\"\\u0000\"]}}");
    assert_eq!(error.context("code"), Some("E_NUL"));
    // The text of an escape is no NUL.
    assert_eq!(Run::of("{\"a\":\"\\\\u0000\"}").data("t"), json!([{"a": "\\u0000"}]));
    // What dlt takes for a marker of its own is text like any other.
    assert_eq!(Run::of("{\"s\":\"\u{f026}12\"}").tables(), "t(s text)");
}

#[test]
fn times_that_lose_decimals_are_said_once_for_a_column() {
    let columns = json!({
        "at": {"name": "at", "data_type": "timestamp", "precision": 3},
        "day": {"name": "day", "data_type": "time"},
    });
    let schema = schema_with(json!({"name": "t", "columns": columns}));
    let mut normalizer = Normalizer::new(schema, Options::new("1")).unwrap();
    let mut warnings = |rows: &str| {
        let chunk = split(rows).remove(0);
        normalizer.json("t", &chunk, None).unwrap().warnings
    };
    let none = r#"{"at":"2024-01-02T03:04:05.120000Z","new":"2024-01-02T03:04:05.1234560000Z","day":"10:00:00.5"}"#;
    assert_eq!(warnings(none), [""; 0]);
    let rows = [
        r#"{"at":"2024-01-02T03:04:05.12Z"}"#,
        r#"{"at":"2024-01-02T03:04:05.1234Z","at":1}"#,
        r#"{"at":"2024-01-02T03:04:05.1234Z","l":[{"x":"2024-01-02T03:04:05.1234567Z"}]}"#,
        r#"{"at":"2024-01-02T03:04:05.1234Z"}"#,
    ];
    let said = warnings(&rows.join("\n"));
    assert_eq!(said.len(), 2, "{said:?}");
    for (said, parts) in said.iter().zip([["column: at", "line: 3"], ["table: t__l", "line: 3"]]) {
        assert!(
            said.contains("W_PRECISION") && parts.iter().all(|part| said.contains(part)),
            "{said}"
        );
    }
    assert_eq!(warnings(&rows.join("\n")), [""; 0]);
}
