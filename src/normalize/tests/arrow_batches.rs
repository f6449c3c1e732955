//! E01 to E04: batches of Arrow.

use ::arrow::array::*;
use ::arrow::datatypes::{
    DataType as ArrowType, Field, Float32Type, Int32Type, Int64Type, TimeUnit,
};

use super::*;
use transload_core::Column;

fn load(normalizer: &mut Normalizer, columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap();
    let mut normalized = normalizer.arrow("t", &third_on(batch))?;
    if !normalized.refused.is_empty() {
        return Err(normalized.refused.remove(0).error);
    }
    assert_eq!(normalized.batches.len(), 1);
    Ok(normalized.batches.remove(0).batch)
}

/// The rows of a batch that begins at the third row of its file.
fn third_on(batch: RecordBatch) -> ArrowRows {
    ArrowRows { batch, origin: "a.parquet".into(), first: 2 }
}

fn normalizer(columns: Json) -> Normalizer {
    Normalizer::new(schema_with(json!({"name": "t", "columns": columns})), Options::new("1"))
        .unwrap()
}

fn ints<T: ArrowPrimitiveType>(values: impl IntoIterator<Item = T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values(values))
}

#[test]
fn e01_arrow_types_become_columns() {
    let mut normalizer = normalizer(json!({}));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("a", ArrowType::Timestamp(TimeUnit::Second, Some("UTC".into())), true)),
        Arc::new(TimestampSecondArray::from(vec![Some(0), None]).with_timezone("UTC")) as ArrayRef,
    )]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
    ]));
    let words: DictionaryArray<Int32Type> = ["a", "b"].into_iter().collect();
    let batch = load(
        &mut normalizer,
        vec![
            ("I 32", ints::<Int32Type>([1, 2])),
            ("ms", Arc::new(TimestampMillisecondArray::from(vec![1, 2]))),
            (
                "us",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("Europe/Berlin"),
                ),
            ),
            ("struct", structs),
            ("list", lists),
            (
                "dec",
                Arc::new(
                    Decimal128Array::from(vec![150, 275]).with_precision_and_scale(10, 2).unwrap(),
                ),
            ),
            ("nothing", Arc::new(NullArray::new(2))),
            ("f32", ints::<Float32Type>([0.5, 1.5])),
            ("t32", Arc::new(Time32SecondArray::from(vec![1, 2]))),
            ("large", Arc::new(LargeStringArray::from(vec!["x", "y"]))),
            ("view", Arc::new(StringViewArray::from(vec!["x", "y"]))),
            ("words", Arc::new(words)),
            ("u64", Arc::new(UInt64Array::from(vec![1, 2]))),
            (
                "fixed",
                Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2], [3, 4]].iter()).unwrap()),
            ),
        ],
    )
    .unwrap();
    let columns: Vec<String> = normalizer.schema().tables["t"]
        .columns
        .values()
        .map(|c| {
            format!(
                "{} {}{}",
                c.name,
                c.data_type.unwrap(),
                c.precision.map_or(String::new(), |p| format!("({p})"))
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            "i_32 bigint(32)",
            "ms timestamp(3)",
            "us timestamp",
            "struct json",
            "list json",
            "dec decimal(10)",
            "f32 double",
            "t32 time(0)",
            "large text",
            "view text",
            "words text",
            "u64 decimal(20)",
            "fixed binary(2)",
        ]
    );
    let utc = ArrowType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    assert_eq!(batch.column_by_name("ms").unwrap().data_type(), &utc);
    let structs: &StringArray = batch.column_by_name("struct").unwrap().as_string();
    assert_eq!(structs.value(0), r#"{"a":"1970-01-01T00:00:00Z"}"#);
    assert_eq!(structs.value(1), r#"{"a":null}"#);
    let lists: &StringArray = batch.column_by_name("list").unwrap().as_string();
    assert_eq!((lists.value(0), lists.is_null(1)), ("[1,null]", true));
    assert_eq!(batch.column_by_name("words").unwrap().data_type(), &ArrowType::Utf8);
    assert!(has_seen(normalizer.schema(), "t"));
}

#[test]
fn e03_two_fields_of_one_name_are_refused() {
    let mut normalizer = normalizer(json!({}));
    let columns = vec![("a b", ints::<Int64Type>([1])), ("A b", ints::<Int64Type>([1]))];
    let error = load(&mut normalizer, columns).unwrap_err();
    assert_eq!(
        (error.message(), error.context("column")),
        ("two fields become one column", Some("a_b"))
    );
    assert!(normalizer.schema().tables["t"].columns.is_empty());
}

#[test]
fn e04_another_type_is_refused_or_cast_without_loss() {
    let columns = json!({
        "i": {"name": "i", "data_type": "bigint", "precision": 32}, "d": {"name": "d", "data_type": "double"},
        "s": {"name": "s", "data_type": "text"}, "n": {"name": "n", "data_type": "decimal", "precision": 10, "scale": 2},
    });
    let mut normalizer = normalizer(columns);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let error = load(&mut normalizer, vec![("i", text)]).unwrap_err();
    assert_eq!(error.message(), "the column has another type than the data");
    assert_eq!(
        (error.context("type"), error.context("column type")),
        (Some("Utf8"), Some("bigint(32)"))
    );
    for (name, array) in [
        ("i", ints::<Int64Type>([1 << 40])),
        ("d", ints::<Int64Type>([(1 << 53) + 1])),
        ("n", Arc::new(Decimal128Array::from(vec![1234]).with_precision_and_scale(10, 3).unwrap())),
    ] {
        let error = load(&mut normalizer, vec![(name, array)]).unwrap_err();
        assert_eq!((error.kind(), error.context("column")), (ErrorKind::BadData, Some(name)));
    }
    let batch = load(
        &mut normalizer,
        vec![
            ("s", ints::<Int64Type>([7])),
            ("d", ints::<Int32Type>([3])),
            ("i", ints::<Int64Type>([5])),
        ],
    )
    .unwrap();
    let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["d", "i", "n", "s"]);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), "7");
    assert_eq!(batch.column(2).null_count(), 1);
}

#[test]
fn an_empty_batch_still_brings_its_columns() {
    let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
    let batch = RecordBatch::try_from_iter([("a", ints::<Int64Type>([]))]).unwrap();
    assert!(normalizer.arrow("t", &third_on(batch)).unwrap().batches.is_empty());
    assert!(normalizer.schema().tables["t"].columns.contains_key("a"));
    assert!(!has_seen(normalizer.schema(), "t"));
}

fn one_column() -> RecordBatch {
    RecordBatch::try_from_iter([("a", ints::<Int64Type>([7, 8]))]).unwrap()
}

/// What the files hold that a writer makes of these batches: JSON lines, file by file.
fn written(steps: Vec<(Vec<Column>, RecordBatch)>, buffer_bytes: usize) -> Vec<Vec<Json>> {
    use crate::write::{TableWriter, WriteOptions};
    use transload_core::FileFormat;
    let folder = tempfile::tempdir().unwrap();
    let options = WriteOptions {
        gzip: false,
        buffer_bytes,
        ..WriteOptions::new(FileFormat::Jsonl, folder.path())
    };
    let mut writer = TableWriter::new("t", Arc::new(options));
    for (columns, batch) in &steps {
        writer.write(columns, batch).unwrap();
    }
    let files = writer.finish().unwrap();
    let read = |file: &transload_core::DataFile| {
        let text = std::fs::read_to_string(folder.path().join(file.path())).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    files.iter().map(read).collect()
}

/// The only batch of a step, with the columns that its table has by then.
fn step(normalizer: &Normalizer, batches: Vec<TableBatch>) -> (Vec<Column>, RecordBatch) {
    let [TableBatch { table, batch }] = <[_; 1]>::try_from(batches).unwrap();
    let columns = normalizer.schema().tables[&table].complete_columns().cloned().collect();
    (columns, batch)
}

#[test]
fn arrow_rows_get_the_ids_that_rows_of_json_have() {
    for in_one_load in [true, false] {
        let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
        let batches = normalizer.json("t", &split("{\"a\":1}").remove(0), None).unwrap().batches;
        let mut steps = vec![step(&normalizer, batches)];
        if !in_one_load {
            normalizer = Normalizer::new(normalizer.into_schema(), Options::new("2")).unwrap();
            steps.clear();
        }
        let batches = normalizer.arrow("t", &third_on(one_column())).unwrap().batches;
        steps.push(step(&normalizer, batches));
        let rows = written(steps, 1 << 20).concat();
        let load = if in_one_load { "1" } else { "2" };
        assert!(rows.iter().all(|row| row["_dlt_load_id"] == load), "{rows:?}");
        let ids: std::collections::BTreeSet<&str> =
            rows.iter().map(|row| row["_dlt_id"].as_str().unwrap()).collect();
        assert_eq!((ids.len(), rows.len()), if in_one_load { (3, 3) } else { (2, 2) });
        assert!(ids.iter().all(|id| id.len() == 14));
        assert!(!normalizer.schema().tables["t"].columns["_dlt_id"].nullable);
    }
}

#[test]
fn rows_of_json_after_arrow_rows_bring_ids_that_may_be_null() {
    for (in_one_load, buffer_bytes) in [(true, 1 << 20), (true, 0), (false, 0)] {
        let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
        let batches = normalizer.arrow("t", &third_on(one_column())).unwrap().batches;
        let mut steps = vec![step(&normalizer, batches)];
        if !in_one_load {
            normalizer = Normalizer::new(normalizer.into_schema(), Options::new("2")).unwrap();
            steps.clear();
        }
        let mut batches =
            normalizer.json("t", &split("{\"a\":1,\"l\":[1]}").remove(0), None).unwrap().batches;
        let child = batches.pop().unwrap();
        assert_eq!(child.table, "t__l");
        steps.push(step(&normalizer, batches));
        let table = &normalizer.schema().tables["t"];
        assert!(table.columns["_dlt_id"].nullable && table.columns["_dlt_load_id"].nullable);
        assert!(table.columns["_dlt_id"].has_hint("row_key"));
        let child = &normalizer.schema().tables["t__l"];
        assert!(!child.columns["_dlt_id"].nullable && !child.columns["_dlt_parent_id"].nullable);
        // Rows of Arrow that come later have them.
        let batches = normalizer.arrow("t", &third_on(one_column())).unwrap().batches;
        steps.push(step(&normalizer, batches));
        let files = written(steps, buffer_bytes);
        assert_eq!(files.len(), if in_one_load && buffer_bytes == 0 { 2 } else { 1 });
        let ids: Vec<bool> = files.concat().iter().map(|row| row["_dlt_id"].is_string()).collect();
        let expected = [false, false, true, true, true];
        assert_eq!(ids, if in_one_load { &expected[..] } else { &expected[2..] });
    }
}

#[test]
fn a_chunk_shredded_before_arrow_rows_came_is_shredded_again() {
    let columns = json!({"a": {"name": "a", "data_type": "bigint"}});
    let mut normalizer = normalizer(columns);
    let mut worker = Worker::default();
    let rows = split("{\"a\":1}").remove(0);
    let early = normalizer.snapshot().shred("t", &rows, None, &mut worker).unwrap();
    normalizer.arrow("t", &third_on(one_column())).unwrap();
    assert!(normalizer.accept(early).unwrap().is_none());
    let again = normalizer.snapshot().shred("t", &rows, None, &mut worker).unwrap();
    assert!(normalizer.accept(again).unwrap().is_some());
    assert!(normalizer.schema().tables["t"].columns["_dlt_id"].nullable);
}

#[test]
fn ids_made_of_the_key_are_not_made_up() {
    let schema = schema_with(json!({
        "name": "t", "write_disposition": "merge", "x-merge-strategy": "upsert",
        "columns": {"a": {"name": "a", "data_type": "bigint", "nullable": false, "primary_key": true}},
    }));
    // Without rows of JSON there is nothing that the ids would link.
    let mut alone = Normalizer::new(schema.clone(), Options::new("1")).unwrap();
    alone.arrow("t", &third_on(one_column())).unwrap();
    let mut normalizer = Normalizer::new(schema, Options::new("1")).unwrap();
    normalizer.json("t", &split("{\"a\":1}").remove(0), None).unwrap();
    let error = normalizer.arrow("t", &third_on(one_column())).unwrap_err();
    assert_eq!((error.kind(), error.context("column")), (ErrorKind::BadData, Some("_dlt_id")));
}

#[test]
fn rows_without_a_typed_column_are_refused() {
    let mut normalizer = normalizer(json!({}));
    let nothing = || -> ArrayRef { Arc::new(NullArray::new(2)) };
    let error = load(&mut normalizer, vec![("A", nothing()), ("b", nothing())]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert_eq!(
        (error.context("table"), error.context("columns of type null")),
        (Some("t"), Some("A, b"))
    );
}

#[test]
fn times_finer_than_their_column_are_refused_by_value() {
    let columns = json!({
        "ms": {"name": "ms", "data_type": "timestamp", "precision": 3},
        "s": {"name": "s", "data_type": "time", "precision": 0},
        "day": {"name": "day", "data_type": "date"}, "at": {"name": "at", "data_type": "timestamp"},
    });
    let mut normalizer = normalizer(columns);
    let micros = |value| -> ArrayRef {
        Arc::new(
            TimestampMicrosecondArray::from(vec![None, Some(value)]).with_timezone("Europe/Berlin"),
        )
    };
    let nanos =
        |value| -> ArrayRef { Arc::new(TimestampNanosecondArray::from(vec![None, Some(value)])) };
    let time =
        |value| -> ArrayRef { Arc::new(Time64NanosecondArray::from(vec![None, Some(value)])) };
    let day = |value| -> ArrayRef { Arc::new(Date64Array::from(vec![None, Some(value)])) };
    for (name, array, units) in [
        ("ms", micros(1_000_001), ("microsecond", "millisecond")),
        ("ms", nanos(-1), ("nanosecond", "millisecond")),
        ("s", time(1_000_000_001), ("nanosecond", "second")),
        ("day", day(86_400_001), ("millisecond", "day")),
    ] {
        let error = load(&mut normalizer, vec![(name, array)]).unwrap_err();
        assert_eq!((error.kind(), error.context("column")), (ErrorKind::BadData, Some(name)));
        assert_eq!((error.context("unit").unwrap(), error.context("column unit").unwrap()), units);
        assert_eq!(
            (error.context("table"), error.context("row"), error.context("file")),
            (Some("t"), Some("4"), Some("a.parquet"))
        );
        assert!(error.hint().unwrap().contains("unit of the column"));
    }
    // Whole multiples pass; the destination's own precision cuts, batch after batch.
    for _ in 0..2 {
        let batch = load(
            &mut normalizer,
            vec![
                ("ms", micros(-2_000)),
                ("s", time(3_000_000_000)),
                ("day", day(-86_400_000)),
                ("at", nanos(1_999)),
                ("fresh", nanos(1_999)),
            ],
        )
        .unwrap();
        let values: Vec<i64> = batch
            .columns()
            .iter()
            .map(|array| {
                let array = match array.data_type() {
                    ArrowType::Date32 | ArrowType::Time32(_) => {
                        ::arrow::compute::cast(array, &ArrowType::Int32).unwrap()
                    }
                    _ => Arc::clone(array),
                };
                let array = ::arrow::compute::cast(&array, &ArrowType::Int64).unwrap();
                assert!(array.is_null(0));
                array.as_primitive::<Int64Type>().value(1)
            })
            .collect();
        let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["at", "day", "ms", "s", "fresh"]);
        assert_eq!(values, [1, -1, -2, 3, 1]);
    }
    // A column that milliseconds made keeps to them.
    let fresh: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1]));
    load(&mut normalizer, vec![("made", fresh)]).unwrap();
    let error = load(&mut normalizer, vec![("made", nanos(1_500_000))]).unwrap_err();
    assert_eq!(error.context("column type"), Some("timestamp(3)"));
}

#[test]
fn times_outside_of_their_column_are_refused() {
    let mut normalizer = normalizer(json!({"at": {"name": "at", "data_type": "timestamp"}}));
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    let day: ArrayRef = Arc::new(Date64Array::from(vec![i64::MAX]));
    for array in [Arc::clone(&seconds), day] {
        let error = load(&mut normalizer, vec![("at", array)]).unwrap_err();
        assert_eq!((error.kind(), error.context("row")), (ErrorKind::BadData, Some("3")));
    }
    for array in [
        Arc::new(Time32SecondArray::from(vec![86_400])) as ArrayRef,
        Arc::new(Time64MicrosecondArray::from(vec![-1])),
    ] {
        let error = load(&mut normalizer, vec![("time", array)]).unwrap_err();
        assert_eq!(error.message(), "a time of day lies outside of a day");
    }
    let far: ArrayRef = Arc::new(Date64Array::from(vec![86_400_000 * (1 << 33)]));
    assert_eq!(load(&mut normalizer, vec![("day", far)]).unwrap_err().kind(), ErrorKind::BadData);
    let field = Arc::new(Field::new("x", seconds.data_type().clone(), true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, seconds)]));
    let error = load(&mut normalizer, vec![("nested", nested)]).unwrap_err();
    assert_eq!((error.kind(), error.context("column")), (ErrorKind::BadData, Some("nested")));
}

#[test]
fn times_keep_their_instant() {
    let columns = json!({
        "local": {"name": "local", "data_type": "timestamp", "timezone": false},
        "utc": {"name": "utc", "data_type": "timestamp"}, "day": {"name": "day", "data_type": "timestamp"},
    });
    let mut normalizer = normalizer(columns);
    let berlin: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![60]).with_timezone("Europe/Berlin"));
    let naive: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![60_000_000_999]));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    let batch =
        load(&mut normalizer, vec![("local", berlin), ("utc", naive), ("day", day)]).unwrap();
    let micros = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<::arrow::datatypes::TimestampMicrosecondType>()
            .value(0)
    };
    assert_eq!(
        (micros("local"), micros("utc"), micros("day")),
        (60_000_000, 60_000_000, 86_400_000_000)
    );
}
