//! E01 to E04: batches of Arrow.

use ::arrow::array::*;
use ::arrow::datatypes::{
    DataType as ArrowType, Field, Float32Type, Int32Type, Int64Type, TimeUnit,
};

use super::*;

fn load(normalizer: &mut Normalizer, columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap();
    let mut batches = normalizer.arrow("t", batch)?;
    assert_eq!(batches.len(), 1);
    Ok(batches.remove(0).batch)
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
            "u64 bigint",
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
fn rows_of_json_and_batches_of_arrow_do_not_mix_without_ids() {
    let mut normalizer = Run::of("{\"a\":1}").normalizer;
    let error = load(&mut normalizer, vec![("a", ints::<Int64Type>([1]))]).unwrap_err();
    assert_eq!(error.context("column"), Some("_dlt_load_id"));
    // An empty batch still brings its columns.
    let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
    let batch = RecordBatch::try_from_iter([("a", ints::<Int64Type>([]))]).unwrap();
    assert!(normalizer.arrow("t", batch).unwrap().is_empty());
    assert!(normalizer.schema().tables["t"].columns.contains_key("a"));
    assert!(!has_seen(normalizer.schema(), "t"));
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
