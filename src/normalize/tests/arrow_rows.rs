//! Batches of Arrow: types that have no twin among columns, rows that are set aside, and columns that are added.

use ::arrow::array::*;
use ::arrow::compute::cast;
use ::arrow::datatypes::{
    DataType as ArrowType, Field, Float64Type, Int32Type, Int64Type, IntervalUnit, TimeUnit, i256,
};

use super::*;
use crate::arrow_types::Defaults;

fn third_on(columns: Vec<(&str, ArrayRef)>) -> ArrowRows {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    ArrowRows { batch, origin: "a.parquet".into(), first: 2 }
}

fn empty() -> Normalizer {
    Normalizer::new(empty_schema(), Options::new("1")).unwrap()
}

/// The columns of the table with their types: `a bigint(32)`.
fn columns(normalizer: &Normalizer) -> Vec<String> {
    let table = &normalizer.schema().tables["t"];
    table
        .columns
        .values()
        .map(|c| match (c.precision, c.scale) {
            (Some(p), Some(s)) => format!("{} {}({p},{s})", c.name, c.data_type.unwrap()),
            (Some(p), None) => format!("{} {}({p})", c.name, c.data_type.unwrap()),
            _ => format!("{} {}", c.name, c.data_type.unwrap()),
        })
        .collect()
}

/// The one column of the rows that are loaded.
fn loaded(normalized: &Normalized) -> &ArrayRef {
    assert_eq!(normalized.batches.len(), 1);
    normalized.batches[0].batch.column(0)
}

/// Code and row text of what was refused.
fn set_aside(normalized: &Normalized) -> Vec<(u64, String, String)> {
    let shown = |refused: &Refused| {
        assert_eq!(refused.error.kind(), ErrorKind::BadData);
        assert_eq!(refused.error.context("file"), Some("a.parquet"));
        assert_eq!(refused.error.context("row"), Some(refused.line.to_string().as_str()));
        serde_json::from_slice::<Json>(&refused.bytes).unwrap();
        let code = refused.error.context("code").unwrap().to_owned();
        (refused.line, code, String::from_utf8(refused.bytes.clone()).unwrap())
    };
    normalized.refused.iter().map(shown).collect()
}

#[test]
fn unsigned_integers_of_64_bits_are_exact() {
    let mut normalizer = empty();
    let rows = third_on(vec![("n", Arc::new(UInt64Array::from(vec![u64::MAX, 0])))]);
    let normalized = normalizer.arrow("t", &rows).unwrap();
    assert_eq!(columns(&normalizer), ["n decimal(20,0)"]);
    let values = loaded(&normalized).as_primitive::<::arrow::datatypes::Decimal128Type>();
    assert_eq!(values.values().as_ref(), [i128::from(u64::MAX), 0]);
    // A column that is there takes those that it can hold.
    let schema = schema_with(json!({"name": "t", "columns": {
        "n": {"name": "n", "data_type": "bigint"}}}));
    let mut normalizer = Normalizer::new(schema, Options::new("1")).unwrap();
    let normalized = normalizer.arrow("t", &rows).unwrap();
    assert_eq!(loaded(&normalized).as_primitive::<Int64Type>().values().as_ref(), [0]);
    assert_eq!(
        set_aside(&normalized),
        [(3, "E_NUMBER_RANGE".to_owned(), r#"{"n":18446744073709551615}"#.to_owned())]
    );
}

#[test]
fn more_digits_than_the_destination_has_set_their_rows_aside() {
    let wide = i256::from_string(&"9".repeat(76)).unwrap();
    let array = || -> ArrayRef {
        let values = Decimal256Array::from(vec![Some(wide), Some(i256::from_i128(7)), None]);
        Arc::new(values.with_precision_and_scale(76, 0).unwrap())
    };
    let mut normalizer = empty();
    let normalized = normalizer.arrow("t", &third_on(vec![("d", array())])).unwrap();
    assert_eq!(columns(&normalizer), ["d decimal(38,0)"]);
    let loaded = loaded(&normalized).as_primitive::<::arrow::datatypes::Decimal128Type>();
    assert_eq!((loaded.len(), loaded.value(0), loaded.is_null(1)), (2, 7, true));
    let expected = format!("{{\"d\":{}}}", "9".repeat(76));
    assert_eq!(set_aside(&normalized), [(3, "E_DECIMAL_RANGE".to_owned(), expected)]);
    // One that has them loads them.
    let defaults = Defaults { wei: (76, 38), ..Defaults::default() };
    let options = Options { defaults, ..Options::new("1") };
    let mut normalizer = Normalizer::new(empty_schema(), options).unwrap();
    let normalized = normalizer.arrow("t", &third_on(vec![("d", array())])).unwrap();
    assert_eq!(
        (columns(&normalizer), normalized.refused.len()),
        (vec!["d decimal(76,0)".into()], 0)
    );
    // What a file has is held against its own type, too.
    let loose = Decimal128Array::from(vec![123_456, 5]);
    let loose: ArrayRef = Arc::new(loose.with_precision_and_scale(4, 0).unwrap());
    let normalized = empty().arrow("t", &third_on(vec![("d", loose)])).unwrap();
    assert_eq!(set_aside(&normalized)[0].1, "E_DECIMAL_RANGE");
}

#[test]
fn packed_and_wide_types_become_their_values() {
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.5, f32::INFINITY]));
    let half = cast(&floats, &ArrowType::Float16).unwrap();
    let runs = Int32Array::from(vec![1, 2]);
    let runs = RunArray::<Int32Type>::try_new(&runs, &StringArray::from(vec!["a", "b"])).unwrap();
    let bytes: [&[u8]; 2] = [b"ab", b"c"];
    let mut normalizer = empty();
    let rows = third_on(vec![
        ("half", half),
        ("runs", Arc::new(runs)),
        ("binary_view", Arc::new(BinaryViewArray::from_iter_values(bytes))),
        ("large_binary", Arc::new(LargeBinaryArray::from_iter_values(bytes))),
        ("u8", Arc::new(UInt8Array::from(vec![255, 0]))),
        ("u16", Arc::new(UInt16Array::from(vec![65_535, 0]))),
        ("u32", Arc::new(UInt32Array::from(vec![u32::MAX, 0]))),
        ("date64", Arc::new(Date64Array::from(vec![86_400_000, 0]))),
        ("time64", Arc::new(Time64MicrosecondArray::from(vec![1, 2]))),
        ("d32", Arc::new(Decimal32Array::from(vec![1, 2]).with_precision_and_scale(5, 1).unwrap())),
    ]);
    let normalized = normalizer.arrow("t", &rows).unwrap();
    assert_eq!(
        columns(&normalizer),
        [
            "half double",
            "runs text",
            "binary_view binary",
            "large_binary binary",
            "u8 bigint(16)",
            "u16 bigint(32)",
            "u32 bigint",
            "date64 date",
            "time64 time",
            "d32 decimal(5,1)",
        ]
    );
    let batch = &normalized.batches[0].batch;
    let half = batch.column(0).as_primitive::<Float64Type>();
    assert_eq!(half.values().as_ref(), [0.5, f64::INFINITY]);
    let runs = batch.column(1).as_string::<i32>();
    assert_eq!((runs.value(0), runs.value(1)), ("a", "b"));
    assert_eq!(batch.column(4).as_primitive::<::arrow::datatypes::Int16Type>().value(0), 255);
    assert_eq!(batch.column(6).as_primitive::<Int64Type>().value(0), i64::from(u32::MAX));
}

#[test]
fn types_that_no_column_has_are_refused() {
    for arrow_type in
        [ArrowType::Duration(TimeUnit::Second), ArrowType::Interval(IntervalUnit::MonthDayNano)]
    {
        let array = new_null_array(&arrow_type, 1);
        let error = empty().arrow("t", &third_on(vec![("x", array)])).unwrap_err();
        assert_eq!((error.kind(), error.context("column")), (ErrorKind::Unsupported, Some("x")));
        assert_eq!(error.context("type"), Some(arrow_type.to_string().as_str()));
        assert!(error.hint().unwrap().contains("integer"));
    }
    let fields = [(0, Arc::new(Field::new("a", ArrowType::Int32, true)))].into_iter().collect();
    let children: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1]))];
    let union = UnionArray::try_new(fields, vec![0_i8].into(), None, children).unwrap();
    let rows = ArrowRows {
        batch: RecordBatch::try_from_iter([("u", Arc::new(union) as ArrayRef)]).unwrap(),
        origin: "a.parquet".into(),
        first: 0,
    };
    assert_eq!(empty().arrow("t", &rows).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn nested_values_that_json_cannot_say_set_their_rows_aside() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for keys in [["a", "b"], ["a", "a"]] {
        for (index, key) in keys.into_iter().enumerate() {
            maps.keys().append_value(key);
            maps.values().append_value(index as i64);
        }
        maps.append(true).unwrap();
    }
    let normalized = empty().arrow("t", &third_on(vec![("m", Arc::new(maps.finish()))])).unwrap();
    assert_eq!(loaded(&normalized).as_string::<i32>().value(0), r#"{"a":0,"b":1}"#);
    let expected = (4, "E_JSON_DUP_KEY".to_owned(), r#"{"m":{"a":0,"a":1}}"#.to_owned());
    assert_eq!(set_aside(&normalized), [expected]);

    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(f64::NAN)]),
        Some(vec![Some(1.5), None]),
    ]);
    let large = cast(
        &lists,
        &ArrowType::LargeListView(Arc::new(Field::new("item", ArrowType::Float64, true))),
    );
    for lists in [Arc::new(lists) as ArrayRef, large.unwrap()] {
        let normalized = empty().arrow("t", &third_on(vec![("l", lists)])).unwrap();
        assert_eq!(loaded(&normalized).as_string::<i32>().value(0), "[1.5,null]");
        assert_eq!(set_aside(&normalized)[0].1, "E_NUMBER_RANGE");
    }

    let text: ArrayRef = Arc::new(StringArray::from(vec!["a\0", "\\u0000"]));
    let field = Arc::new(Field::new("t", ArrowType::Utf8, true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, Arc::clone(&text))]));
    for (array, loads) in [(text, "\\u0000"), (nested, r#"{"t":"\\u0000"}"#)] {
        let normalized = empty().arrow("t", &third_on(vec![("t", array)])).unwrap();
        assert_eq!(loaded(&normalized).as_string::<i32>().value(0), loads);
        assert_eq!(set_aside(&normalized)[0].1, "E_NUL");
    }
}

#[test]
fn keys_of_maps_may_be_numbers() {
    let mut maps = MapBuilder::new(None, Int64Builder::new(), StringBuilder::new());
    maps.keys().append_value(7);
    maps.values().append_value("x");
    maps.append(true).unwrap();
    let normalized = empty().arrow("t", &third_on(vec![("m", Arc::new(maps.finish()))])).unwrap();
    assert_eq!(loaded(&normalized).as_string::<i32>().value(0), r#"{"7":"x"}"#);
}

#[test]
fn texts_for_json_columns_are_json() {
    let schema = schema_with(json!({"name": "t", "columns": {
        "j": {"name": "j", "data_type": "json"},
        "k": {"name": "k", "data_type": "bigint", "nullable": false},
    }}));
    let mut normalizer = Normalizer::new(schema, Options::new("1")).unwrap();
    let texts = ["{\"a\": [1]}", "{", "\"\\u0000\"", "null"];
    let rows = third_on(vec![
        ("j", Arc::new(StringArray::from_iter_values(texts))),
        ("k", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None]))),
    ]);
    let normalized = normalizer.arrow("t", &rows).unwrap();
    let texts = loaded(&normalized).as_string::<i32>();
    assert_eq!((texts.len(), texts.value(0)), (1, "{\"a\": [1]}"));
    let codes: Vec<(u64, String)> =
        set_aside(&normalized).into_iter().map(|(line, code, _)| (line, code)).collect();
    let expected = [(4, "E_JSON_SYNTAX"), (5, "E_NUL"), (6, "E_KEY_NULL")];
    assert_eq!(codes, expected.map(|(line, code)| (line, code.to_owned())));
    assert_eq!(set_aside(&normalized)[2].2, r#"{"j":"null","k":null}"#);
}

#[test]
fn names_that_only_their_case_tells_apart_are_one_column() {
    let ints = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
    let options = Options { naming: Naming::Direct, ..Options::new("1") };
    let fresh = || Normalizer::new(empty_schema(), options.clone()).unwrap();
    for (first, second) in [("V", "v"), ("v", "v")] {
        let rows = third_on(vec![(first, ints()), (second, ints())]);
        let error = fresh().arrow("t", &rows).unwrap_err();
        assert_eq!(error.context("code"), Some("E_NAME_COLLISION"));
        assert_eq!(
            (error.context("field"), error.context("other field"), error.context("file")),
            (Some(first), Some(second), Some("a.parquet"))
        );
    }
    let mut normalizer = fresh();
    normalizer.arrow("t", &third_on(vec![("v", ints())])).unwrap();
    let error = normalizer.arrow("t", &third_on(vec![("V", ints())])).unwrap_err();
    assert_eq!(error.context("code"), Some("E_NAME_COLLISION"));
    assert_eq!(columns(&normalizer), ["v bigint"]);
}

#[test]
fn a_struct_has_each_field_once_and_sql_in_a_name_is_a_name() {
    let field = Arc::new(Field::new("a", ArrowType::Int64, true));
    let ints = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
    let twins: ArrayRef =
        Arc::new(StructArray::from(vec![(Arc::clone(&field), ints()), (field, ints())]));
    let mut normalizer = empty();
    let error = normalizer.arrow("t", &third_on(vec![("s", twins)])).unwrap_err();
    assert_eq!(
        (error.context("code"), error.context("field")),
        (Some("E_NAME_COLLISION"), Some("a"))
    );
    normalizer.arrow("t", &third_on(vec![("v\"; DROP TABLE users; --", ints())])).unwrap();
    assert_eq!(columns(&normalizer), ["v_drop_table_usersxxx bigint"]);
}

#[test]
fn nanoseconds_are_cut_with_one_warning() {
    let nanos = |value: i64| -> ArrayRef { Arc::new(TimestampNanosecondArray::from(vec![value])) };
    let mut normalizer = empty();
    let even = normalizer.arrow("t", &third_on(vec![("at", nanos(1_000))])).unwrap();
    assert!(even.warnings.is_empty());
    let odd = normalizer.arrow("t", &third_on(vec![("at", nanos(-1))])).unwrap();
    assert_eq!(odd.warnings.len(), 1);
    for part in ["W_PRECISION", "column: at", "row: 3", "a.parquet"] {
        assert!(odd.warnings[0].contains(part), "{}", odd.warnings[0]);
    }
    let values = loaded(&odd).as_primitive::<::arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(values.value(0), -1);
    let again = normalizer.arrow("t", &third_on(vec![("at", nanos(1)), ("b", nanos(1))])).unwrap();
    assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
    assert!(again.warnings[0].contains("column: b"));
}

#[test]
fn years_that_no_warehouse_has_set_their_rows_aside() {
    let year_10000 = 253_402_300_800_000_000;
    let at = TimestampMicrosecondArray::from(vec![year_10000 - 1, year_10000, -year_10000]);
    let normalized = empty().arrow("t", &third_on(vec![("at", Arc::new(at))])).unwrap();
    assert_eq!(loaded(&normalized).len(), 1);
    let expected = [
        (4, "E_TIMESTAMP".to_owned(), r#"{"at":"+10000-01-01T00:00:00"}"#.to_owned()),
        (5, "E_TIMESTAMP".to_owned(), r#"{"at":"-6061-01-01T00:00:00"}"#.to_owned()),
    ];
    let found = set_aside(&normalized);
    assert_eq!(found[0], expected[0]);
    assert_eq!(found[1].1, expected[1].1);
    let beyond = TimestampSecondArray::from(vec![i64::MAX]);
    let normalized = empty().arrow("t", &third_on(vec![("at", Arc::new(beyond))])).unwrap();
    assert!(normalized.batches.is_empty() && normalized.refused.len() == 1);
    assert!(set_aside(&normalized)[0].2.contains(&i64::MAX.to_string()));
}

#[test]
fn e02_ids_that_the_settings_ask_for() {
    let added_columns = AddedColumns { load_id: true, row_id: true };
    let options = |load: &str| Options { added_columns, ..Options::new(load) };
    let mut normalizer = Normalizer::new(empty_schema(), options("7")).unwrap();
    let ints = || -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2])) };
    let normalized = normalizer.arrow("t", &third_on(vec![("a", ints()), ("b", ints())])).unwrap();
    assert_eq!(
        columns(&normalizer),
        ["a bigint", "b bigint", "_dlt_load_id text(64)", "_dlt_id text(64)"]
    );
    let table = &normalizer.schema().tables["t"];
    assert!(!table.columns["_dlt_load_id"].nullable && !table.columns["_dlt_id"].nullable);
    assert!(
        table.columns["_dlt_id"].has_hint("row_key") && table.columns["_dlt_id"].has_hint("unique")
    );
    let batch = &normalized.batches[0].batch;
    let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row);
    assert_eq!((text("_dlt_load_id", 0), text("_dlt_load_id", 1)), ("7", "7"));
    assert_eq!(text("_dlt_id", 0).len(), 14);
    assert_ne!(text("_dlt_id", 0), text("_dlt_id", 1));
    // New columns come behind, as in dlt; what the data says of the load does not count.
    let schema = normalizer.into_schema();
    let mut normalizer = Normalizer::new(schema, options("8")).unwrap();
    let other: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let rows =
        third_on(vec![("c", ints()), ("_dlt_load_id", Arc::clone(&other)), ("_dlt_id", other)]);
    let normalized = normalizer.arrow("t", &rows).unwrap();
    assert_eq!(columns(&normalizer).last().unwrap(), "c bigint");
    let batch = &normalized.batches[0].batch;
    let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row);
    assert_eq!((text("_dlt_load_id", 0), text("_dlt_id", 0)), ("8", "x"));
    // Rows without ids are there: the columns may be NULL.
    let mut normalizer = empty();
    normalizer.arrow("t", &third_on(vec![("a", ints())])).unwrap();
    let mut normalizer = Normalizer::new(normalizer.into_schema(), options("2")).unwrap();
    normalizer.arrow("t", &third_on(vec![("a", ints())])).unwrap();
    assert!(normalizer.schema().tables["t"].columns["_dlt_id"].nullable);
}

#[test]
fn no_rows_and_no_columns_are_no_error() {
    let mut normalizer = empty();
    let batch = RecordBatch::new_empty(Arc::new(::arrow::datatypes::Schema::empty()));
    let rows = ArrowRows { batch, origin: "a.parquet".into(), first: 0 };
    let normalized = normalizer.arrow("t", &rows).unwrap();
    assert!(normalized.batches.is_empty() && normalizer.schema().tables["t"].columns.is_empty());
}
