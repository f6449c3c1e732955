//! Any JSON value in: the rows that come out rebuild it, up to these coercions and no others.
//!
//! - NULL, an empty object and an empty list are as if the key were not there.
//! - A value that is no object and stands in a list is a row whose column is called `value`, a list in a list is a row
//!   with a list called `list`; so `[1, [2]]` is `[{"value": 1}, {"list": [{"value": 2}]}]`.
//! - The first value of a column gives its type: a text that is a point in time is a timestamp, an integer beyond 64 bits
//!   a decimal. Later values are brought to that type if that loses nothing (see `same`); where it would, they are in the
//!   variant column for their own type, as they were.
//! - A table is named by the path to its lists. Where one row has an object and another one a list under a key, lists in
//!   both are one table, and a row's parent is in the table that has its id, not always in the one that the schema says.
//! - What no column can hold refuses its row, with a code.
//!
//! Names are those of the convention `direct`, which keeps keys as they are: other conventions cannot be turned around.

use std::collections::BTreeMap;

use ::arrow::array::{Array, AsArray as _};
use ::arrow::datatypes::{
    DataType as ArrowType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use proptest::prelude::*;

use super::*;

/// A value in a column.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Text(String),
    Integer(i64),
    Double(f64),
    Bool(bool),
    /// Microseconds since 1970.
    Timestamp(i64),
    Decimal(i128),
}

/// A row as the paths of its scalars and of its lists that are not empty.
#[derive(Clone, Debug)]
struct Flat<V> {
    scalars: BTreeMap<Vec<String>, V>,
    lists: BTreeMap<Vec<String>, Vec<Flat<V>>>,
}

impl<V> Flat<V> {
    fn empty() -> Self {
        Self { scalars: BTreeMap::new(), lists: BTreeMap::new() }
    }
}

/// What the row of a value should be.
fn expected(value: &Json) -> Flat<Json> {
    fn walk(value: &Json, path: &[String], out: &mut Flat<Json>) {
        match value {
            Json::Null => {}
            Json::Object(fields) => {
                for (key, value) in fields {
                    walk(value, &[path, std::slice::from_ref(key)].concat(), out);
                }
            }
            Json::Array(list) if list.is_empty() => {}
            Json::Array(list) => {
                let rows = list.iter().map(|element| match element {
                    Json::Object(_) => expected(element),
                    Json::Array(_) => expected(&json!({ "list": element })),
                    scalar => expected(&json!({ "value": scalar })),
                });
                out.lists.insert(path.to_vec(), rows.collect());
            }
            scalar => {
                out.scalars.insert(path.to_vec(), scalar.clone());
            }
        }
    }
    let mut out = Flat::empty();
    walk(value, &[], &mut out);
    out
}

/// Whether this is what comes of the value, by the table of dlt's coercions that lose nothing.
fn same(value: &Json, got: &Got) -> bool {
    let integer = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (value, got) {
        (Json::String(text), Got::Text(got)) => text == got,
        (Json::Bool(value), Got::Text(got)) => got == if *value { "True" } else { "False" },
        (Json::Number(number), Got::Text(got)) => match integer {
            Some(integer) => *got == integer.to_string(),
            None => got.parse() == Ok(number.as_f64().unwrap()),
        },
        (Json::String(text), Got::Integer(got)) => text.trim().parse() == Ok(*got),
        (Json::Number(number), Got::Integer(got)) => match integer {
            Some(integer) => integer == i128::from(*got),
            None => number.as_f64().unwrap() as i128 == i128::from(*got),
        },
        (Json::String(text), Got::Double(got)) => text.trim().parse() == Ok(*got),
        (Json::Number(number), Got::Double(got)) => {
            number.as_f64().unwrap().to_bits() == got.to_bits()
        }
        (Json::Bool(value), Got::Bool(got)) => value == got,
        (Json::Number(number), Got::Bool(got)) => (number.as_f64().unwrap() != 0.0) == *got,
        (Json::String(text), Got::Bool(got)) => {
            let words =
                if *got { ["yes", "true", "t", "y", "1"] } else { ["no", "false", "f", "n", "0"] };
            words.contains(&text.to_lowercase().as_str())
        }
        (Json::String(text), Got::Timestamp(got)) => match text.parse::<jiff::Timestamp>() {
            Ok(moment) => moment.as_microsecond() == *got,
            // Seconds since 1970, as the numbers below.
            Err(_) => (text.trim().parse::<f64>().unwrap() * 1e6 - *got as f64).abs() <= 1.0,
        },
        (Json::Number(number), Got::Timestamp(got)) => {
            (number.as_f64().unwrap() * 1e6 - *got as f64).abs() <= 1.0
        }
        (Json::String(text), Got::Decimal(got)) => text.trim().parse() == Ok(*got),
        (Json::Number(number), Got::Decimal(got)) => match integer {
            Some(integer) => integer == *got,
            None => number.as_f64().unwrap() == *got as f64,
        },
        _ => false,
    }
}

fn assert_same(expected: &Flat<Json>, got: &Flat<Got>) {
    let paths = |flat: &Flat<_>| flat.scalars.keys().cloned().collect::<Vec<_>>();
    let found: Vec<_> = got.scalars.keys().cloned().collect();
    assert_eq!(paths(expected), found, "{expected:?}\n{got:?}");
    for (path, value) in &expected.scalars {
        assert!(
            same(value, &got.scalars[path]),
            "{path:?}: {value} became {:?}",
            got.scalars[path]
        );
    }
    let lists: Vec<_> = expected.lists.keys().collect();
    assert_eq!(lists, got.lists.keys().collect::<Vec<_>>(), "{expected:?}\n{got:?}");
    for (path, elements) in &expected.lists {
        let found = &got.lists[path];
        assert_eq!(elements.len(), found.len(), "{path:?}");
        for (element, found) in elements.iter().zip(found) {
            assert_same(element, found);
        }
    }
}

/// The rows of a table: values by column.
type Rows = Vec<BTreeMap<String, Got>>;

fn take(TableBatch { table, batch }: TableBatch, tables: &mut BTreeMap<String, Rows>) {
    let rows = tables.entry(table).or_default();
    let first = rows.len();
    rows.resize_with(first + batch.num_rows(), BTreeMap::new);
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        for index in (0..array.len()).filter(|index| array.is_valid(*index)) {
            let got = match array.data_type() {
                ArrowType::Utf8 => Got::Text(array.as_string::<i32>().value(index).to_owned()),
                ArrowType::Int64 => Got::Integer(array.as_primitive::<Int64Type>().value(index)),
                ArrowType::Float64 => Got::Double(array.as_primitive::<Float64Type>().value(index)),
                ArrowType::Boolean => Got::Bool(array.as_boolean().value(index)),
                ArrowType::Timestamp(..) => {
                    Got::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(index))
                }
                ArrowType::Decimal128(_, 0) => {
                    Got::Decimal(array.as_primitive::<Decimal128Type>().value(index))
                }
                other => panic!("{} is {other}", field.name()),
            };
            rows[first + index].insert(field.name().clone(), got);
        }
    }
}

const SEPARATOR: char = '▶';

/// Puts a row of a table together with the rows nested in it.
fn rebuild(
    schema: &Schema,
    tables: &BTreeMap<String, Rows>,
    table: &str,
    row: &BTreeMap<String, Got>,
) -> Flat<Got> {
    let mut out = Flat::empty();
    for (column, got) in row.iter().filter(|(column, _)| !column.starts_with("_dlt")) {
        let mut path: Vec<String> = column.split(SEPARATOR).map(str::to_owned).collect();
        if schema.tables[table].columns[column].has_hint("variant") {
            path.pop();
        }
        assert!(out.scalars.insert(path, got.clone()).is_none(), "{column} has two values");
    }
    for (child, rows) in tables {
        let Some(path) = child.strip_prefix(table).and_then(|rest| rest.strip_prefix(SEPARATOR))
        else {
            continue;
        };
        let is_nested =
            |nested: &&BTreeMap<String, Got>| nested["_dlt_parent_id"] == row["_dlt_id"];
        let mut rows: Vec<_> = rows.iter().filter(is_nested).collect();
        let index = |row: &BTreeMap<String, Got>| match row["_dlt_list_idx"] {
            Got::Integer(index) => index,
            _ => panic!("the place in a list is an integer"),
        };
        rows.sort_by_key(|row| index(row));
        assert!(rows.iter().zip(0..).all(|(row, place)| index(row) == place));
        if !rows.is_empty() {
            let rows = rows.iter().map(|row| rebuild(schema, tables, child, row));
            out.lists.insert(path.split(SEPARATOR).map(str::to_owned).collect(), rows.collect());
        }
    }
    out
}

fn scalar() -> impl Strategy<Value = Json> {
    let moments = -60_000_000_000_000_000_i64..250_000_000_000_000_000;
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-3..3_i64).prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<f32>().prop_map(Json::from),
        (-4..4_i32).prop_map(|value| Json::from(f64::from(value) / 2.0)),
        moments.prop_map(|at| jiff::Timestamp::from_microsecond(at).unwrap().to_string().into()),
        // No number that is a date as well: `20240102`.
        "[a-z ][a-z0-9 ]{0,5}|\\PC{0,8}|(?s).{0,8}|-?[0-9]{1,3}|-?[0-9]{9,25}|[0-9]{1,3}\\.[0-9]{1,3}"
            .prop_map(|text| text.replace('\0', "").into()),
        prop_oneof![Just("true"), Just("No"), Just("T"), Just("1")].prop_map(Json::from),
    ]
}

/// Keys that `direct` keeps as they are, without the names of variants. Two keys that look the same are another test's.
const KEY: &str = "[a-cäßж漢あ\u{1f980}][a-c0-9._éж漢 -]{0,3}[0-9a-c漢]|[a-cж]|value|list|v|\\\\";

fn value() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(6, 64, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::btree_map(KEY, inner.clone(), 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
            // Lists in lists, deeper than one would write them.
            (inner, 1..20_usize)
                .prop_map(|(value, depth)| (0..depth).fold(value, |value, _| json!([value]))),
        ]
    })
}

fn row() -> impl Strategy<Value = Json> {
    proptest::collection::btree_map(KEY, value(), 0..6)
        .prop_map(|map| Json::Object(map.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_rebuilt(rows in proptest::collection::vec(row(), 1..6)) {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let options = Options { naming: Naming::Direct, ..Options::new("1") };
        let mut normalizer = Normalizer::new(empty_schema(), options).unwrap();
        let (mut tables, mut refused) = (BTreeMap::new(), Vec::new());
        for chunk in split(&text) {
            let normalized = normalizer.json("t", &chunk, None).unwrap();
            normalized.batches.into_iter().for_each(|batch| take(batch, &mut tables));
            for row in normalized.refused {
                prop_assert!(row.error.context("code").is_some());
                refused.push(row.line);
            }
        }
        let good = rows.iter().zip(1..).filter(|(_, line)| !refused.contains(line));
        let good: Vec<Flat<Json>> = good.map(|(row, _)| expected(row)).collect();
        let empty = Rows::new();
        let loaded = tables.get("t").unwrap_or(&empty);
        prop_assert_eq!(good.len(), loaded.len());
        for (expected, row) in good.iter().zip(loaded) {
            assert_same(expected, &rebuild(normalizer.schema(), &tables, "t", row));
        }
    }
}
