//! Batches of Arrow are judged as rows are, and hashed as dlt hashes them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int64Array, Int64Builder, ListArray, MapBuilder,
    RecordBatch, StringArray, StringBuilder, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use transload_core::{ErrorKind, Result};

use super::{c, chunk, row};
use crate::incremental::cursor::Judge;
use crate::incremental::hash::{BatchHasher, Key};
use crate::incremental::tally::Seen;
use crate::incremental::{Incremental, LastValueFunc, OnCursorValueMissing, RangeBound, RowOrder};

fn batch(ids: &[i64], cursor: ArrayRef) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("c", cursor)]).unwrap()
}

fn integers(ids: &[i64], values: &[Option<i64>]) -> RecordBatch {
    batch(ids, Arc::new(Int64Array::from(values.to_vec())))
}

fn judge(incremental: &Incremental, stored: Option<&Json>) -> Judge {
    Judge::new(incremental, "r", &[], stored).unwrap()
}

/// The ids of the rows that are kept, and what they bring.
fn kept(judge: &Judge, batch: &RecordBatch) -> Result<(Vec<i64>, Seen)> {
    let (mask, seen) = judge.batch(batch)?;
    let ids = arrow::compute::filter(batch.column(0), &mask).unwrap();
    let ids: Vec<i64> = ids.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    assert_eq!(seen.kept, ids.len() as u64);
    assert_eq!(seen.read, batch.num_rows() as u64);
    Ok((ids, seen))
}

/// The state after a batch was the whole run.
fn after(
    incremental: &Incremental,
    stored: Option<&Json>,
    batch: &RecordBatch,
) -> (Vec<i64>, Json) {
    let judge = judge(incremental, stored);
    let (ids, seen) = kept(&judge, batch).unwrap();
    (ids, judge.remember(&seen).unwrap().unwrap())
}

#[test]
fn a_row_of_every_type_has_the_hash_that_dlt_computes() {
    // 2024-01-02 12:00.
    const NOON: i64 = 1_704_196_800;
    let micros = |value, zone: Option<&str>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone_opt(zone))
    };
    let nested = StructArray::from(vec![
        (
            Arc::new(Field::new("z", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1])) as ArrayRef,
        ),
        (
            Arc::new(Field::new_list("y", Field::new_list_field(DataType::Float64, true), true)),
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some([
                None,
                Some(2.0),
            ])])),
        ),
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("x", Arc::new(Float64Array::from(vec![1e16]))),
        ("a", Arc::new(Int64Array::from(vec![1]))),
        ("b", Arc::new(Float64Array::from(vec![1.5]))),
        ("c", Arc::new(StringArray::from(vec!["ä\u{1}"]))),
        ("d", Arc::new(Int8Array::from(vec![None]))),
        ("e", Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(3, 2).unwrap())),
        ("f", Arc::new(BinaryArray::from(vec![b"ab".as_slice()]))),
        ("g", Arc::new(Date32Array::from(vec![19_724]))),
        ("h", Arc::new(Time64MicrosecondArray::from(vec![3_723_000_004]))),
        ("i", Arc::new(Time64MicrosecondArray::from(vec![3_723_000_000]))),
        ("j", micros(NOON * 1_000_000 + 5, None)),
        ("k", micros(NOON * 1_000_000, Some("UTC"))),
        ("l", micros(NOON * 1_000_000, Some("+02:00"))),
        ("m", micros(NOON * 1_000_000, Some("+01:00"))),
        ("n", Arc::new(TimestampNanosecondArray::from(vec![NOON * 1_000_000_000 + 5000]))),
        (
            "o",
            Arc::new(
                TimestampNanosecondArray::from(vec![NOON * 1_000_000_000 + 5000])
                    .with_timezone("UTC"),
            ),
        ),
        ("pp", Arc::new(nested)),
        ("q", Arc::new(BooleanArray::from(vec![true]))),
        ("r", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("s", Arc::new(map.finish())),
        ("t", Arc::new(Float32Array::from(vec![0.1]))),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("v", Arc::new(["x"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("w", Arc::new(TimestampSecondArray::from(vec![NOON]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let hash = BatchHasher::new(&Key::Row, &batch).unwrap().hash(0).unwrap();
    assert_eq!(hash.stored.to_text(), "bKtaxq8CzZQrBmO2JOdk");
}

#[test]
fn what_cannot_be_hashed_asks_for_a_key() {
    let unions = arrow::array::IntervalYearMonthArray::from(vec![1]);
    let batch = batch(&[1], Arc::new(unions));
    let error = BatchHasher::new(&Key::Row, &batch).unwrap().hash(0).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("primary_key"));
}

#[test]
fn a_point_in_time_is_remembered_as_dlt_does() {
    let noon = 1_704_196_800_000_000;
    let times = |zone: Option<&str>| -> ArrayRef {
        Arc::new(
            TimestampMicrosecondArray::from(vec![noon - 86_400_000_000, noon + 123_000])
                .with_timezone_opt(zone),
        )
    };
    for (zone, last, hash) in [
        (None, "\u{f027}2024-01-02T12:00:00.123000", "sc/M99pF9Cpl1+HgsCWD"),
        (Some("UTC"), "\u{f027}2024-01-02T12:00:00.123000+00:00", "xoNz5G4RDge9ioebK/1X"),
        (Some("+02:00"), "\u{f027}2024-01-02T14:00:00.123000+02:00", "4QX4ZC/kkzaXEgCtixV3"),
    ] {
        let (ids, state) = after(&c(), None, &batch(&[1, 2], times(zone)));
        assert_eq!(ids, [1, 2]);
        assert_eq!((&state["last_value"], &state["unique_hashes"]), (&json!(last), &json!([hash])));
        // The same rows again, in whatever zone the state has its value: none is new.
        let (ids, _) = after(&c(), Some(&state), &batch(&[1, 2], times(zone)));
        assert!(ids.is_empty());
        let open = c().range_start(RangeBound::Open);
        let (ids, _) = after(&open, Some(&state), &batch(&[1, 2], times(Some("UTC"))));
        assert!(ids.is_empty());
    }
    // A text stands for a time where the column holds times.
    let (ids, state) = after(&c().initial_value("2024-01-02"), None, &batch(&[1, 2], times(None)));
    assert_eq!((ids, &state["initial_value"]), (vec![2], &json!("2024-01-02")));
    let seconds: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![1_704_196_800, 1_704_196_801]));
    let (ids, _) = after(
        &c(),
        Some(&after(&c(), None, &batch(&[1, 2], times(None))).1),
        &batch(&[1, 2], seconds),
    );
    assert_eq!(ids, [2], "a start between two values of the column");
}

#[test]
fn values_of_other_types_are_remembered_as_dlt_does() {
    let of = |cursor: ArrayRef| {
        let state = after(&c(), None, &batch(&[1], cursor)).1;
        (state["last_value"].clone(), state["unique_hashes"][0].as_str().unwrap().to_owned())
    };
    let decimal = Decimal128Array::from(vec![150]).with_precision_and_scale(3, 2).unwrap();
    for (cursor, last, hash) in [
        (
            Arc::new(Date32Array::from(vec![19_724])) as ArrayRef,
            json!("\u{f028}2024-01-02"),
            "q6GLG9PLAqmwZD9fFlw/",
        ),
        (Arc::new(decimal), json!("\u{f026}1.50"), "NJHI8c5N/dE13p20BEoV"),
        (Arc::new(Float32Array::from(vec![1.5])), json!(1.5), "5ofzqGmtr9peb9g2p1NS"),
        (
            Arc::new(Float32Array::from(vec![0.1])),
            json!(0.100_000_001_490_116_12),
            "xuNLjgmzCVLHjdJLrdYE",
        ),
        (Arc::new(StringArray::from(vec!["x"])), json!("x"), "56vPuD/n4sT2yU+71Biv"),
        (
            Arc::new(Time64MicrosecondArray::from(vec![3_723_000_004])),
            json!("\u{f02d}01:02:03.000004"),
            "8kLH81Hu24ionAwRyO3C",
        ),
        (Arc::new(BooleanArray::from(vec![true])), json!(true), "R65YOVbhQsmjlyiEyqlP"),
    ] {
        assert_eq!(of(cursor), (last, hash.to_owned()));
    }
}

#[test]
fn rows_without_a_value_stop_the_run_or_come_in_or_stay_out() {
    let nulls = integers(&[3, 4], &[Some(1), None]);
    assert_eq!(judge(&c(), None).batch(&nulls).unwrap_err().kind(), ErrorKind::BadData);
    let include = c().on_cursor_value_missing(OnCursorValueMissing::Include);
    let (ids, state) = after(&include, None, &nulls);
    assert_eq!((ids, &state["unique_hashes"]), (vec![3, 4], &json!(["RBiTu5z0vgcB29Mgx8Ba"])));
    let (ids, state) = after(&include, Some(&state), &integers(&[5, 6], &[None, None]));
    assert_eq!(
        (ids, &state["last_value"], &state["start_value"]),
        (vec![5, 6], &json!(1), &json!(1))
    );
    let exclude = c().on_cursor_value_missing(OnCursorValueMissing::Exclude);
    let (ids, state) = after(&exclude, Some(&state), &integers(&[7, 8], &[None, None]));
    assert!(ids.is_empty());
    let (ids, state) =
        after(&c(), Some(&state), &integers(&[3, 9, 10], &[Some(1), Some(1), Some(0)]));
    assert_eq!(ids, [9]);
    assert_eq!(state["unique_hashes"], json!(["RBiTu5z0vgcB29Mgx8Ba", "vtbzmm5bKxX0HnIoJuOX"]));
    let (ids, state) =
        after(&c().primary_key(["id"]), Some(&state), &integers(&[3, 11], &[Some(1), Some(2)]));
    assert_eq!((ids, &state["unique_hashes"]), (vec![3, 11], &json!(["jEEVfaUnrrLIEeuIQv1S"])));
    let (ids, state) = after(
        &c().primary_key(["id", "c"]),
        Some(&state),
        &integers(&[12, 13], &[Some(2), Some(2)]),
    );
    assert_eq!(ids, [12, 13]);
    let hashes = ["CTxMwEBfbDn4DBZ7v/BF", "jEEVfaUnrrLIEeuIQv1S", "67gxHFANgagTwrJW67Iy"];
    assert_eq!(state["unique_hashes"], json!(hashes));

    let nan = batch(&[1, 2], Arc::new(Float64Array::from(vec![f64::NAN, 1.0])));
    assert!(judge(&c(), None).batch(&nan).is_err());
    assert_eq!(
        after(&exclude, None, &nan),
        after(&exclude, None, &batch(&[2], Arc::new(Float64Array::from(vec![1.0]))))
    );
}

#[test]
fn a_batch_without_the_column_or_of_another_kind_is_refused() {
    let rows = integers(&[1], &[Some(1)]);
    for incremental in [
        Incremental::new("d"),
        Incremental::new("$.c"),
        c().initial_value("x"),
        c().primary_key(["zz"]),
    ] {
        let error = judge(&incremental, None).batch(&rows).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("resource")),
            (ErrorKind::BadData, Some("r")),
            "{incremental:?}"
        );
    }
    let texts = batch(&[1], Arc::new(StringArray::from(vec!["1"])));
    assert!(judge(&c().initial_value(1), None).batch(&texts).is_err());
    let nested = StructArray::new_empty_fields(1, None);
    assert!(judge(&c(), None).batch(&batch(&[1], Arc::new(nested))).is_err());
}

#[test]
fn a_start_of_another_numeric_type_is_compared_exactly() {
    let rows = integers(&[1, 2, 3], &[Some(1), Some(2), Some(3)]);
    assert_eq!(after(&c().initial_value(1.5), None, &rows).0, [2, 3]);
    assert_eq!(after(&c().initial_value(2.0), None, &rows).0, [2, 3]);
    let doubles = batch(&[1, 2], Arc::new(Float64Array::from(vec![-0.0, 1.0])));
    assert_eq!(after(&c().initial_value(0), None, &doubles).0, [1, 2]);
    let words = ["b", "a", "c"].into_iter().collect::<DictionaryArray<Int32Type>>();
    let (ids, state) = after(&c().initial_value("b"), None, &batch(&[1, 2, 3], Arc::new(words)));
    assert_eq!((ids, &state["last_value"]), (vec![1, 3], &json!("c")));
}

prop_compose! {
    fn any_incremental()(
        end in prop::option::of(3_i64..6),
        initial in prop::option::of(0_i64..4),
        min: bool,
        open_start: bool,
        closed_end: bool,
        lag in prop::option::of(0_i64..3),
        order in prop::option::of(prop::bool::ANY),
        include: bool,
        key in prop::option::of(0_usize..3),
    ) -> Incremental {
        let bound = |closed| if closed { RangeBound::Closed } else { RangeBound::Open };
        let mut incremental = c()
            .range_start(bound(!open_start))
            .range_end(bound(closed_end))
            .on_cursor_value_missing(if include { OnCursorValueMissing::Include } else { OnCursorValueMissing::Exclude });
        if let Some(initial) = initial { incremental = incremental.initial_value(initial); }
        if let (Some(end), Some(initial)) = (end, initial) {
            incremental = incremental.end_value(end);
            if min { incremental = incremental.initial_value(end).end_value(initial); }
        }
        if min { incremental = incremental.last_value_func(LastValueFunc::Min); }
        if let Some(lag) = lag { incremental = incremental.lag(lag as f64); }
        if let Some(asc) = order {
            incremental = incremental.row_order(if asc { RowOrder::Asc } else { RowOrder::Desc });
        }
        match key {
            Some(0) => incremental.primary_key([""; 0]),
            Some(1) => incremental.primary_key(["id"]),
            Some(_) => incremental.primary_key(["c", "id"]),
            None => incremental,
        }
    }
}

proptest! {
    /// A batch is judged as the same rows in JSON are, from whatever they begin.
    #[test]
    fn batches_are_judged_as_rows_are(
        incremental in any_incremental(),
        first in prop::collection::vec((0_i64..4, prop::option::of(0_i64..6)), 0..12),
        second in prop::collection::vec((0_i64..4, prop::option::of(0_i64..6)), 0..12),
    ) {
        let mut stored = None;
        for values in [first, second] {
            let judge = judge(&incremental, stored.as_ref());
            let rows: Vec<Json> = values.iter().map(|(id, value)| row(*id, *value)).collect();
            let by_rows = chunk(&judge, &rows).unwrap();
            let (ids, cursors): (Vec<i64>, Vec<Option<i64>>) = values.into_iter().unzip();
            let by_batch = kept(&judge, &integers(&ids, &cursors)).unwrap();
            prop_assert_eq!(&by_rows, &by_batch);
            stored = judge.remember(&by_rows.1).unwrap();
        }
    }
}
