//! Runs one after the other, as dlt runs them: which rows are loaded, and what the state holds then. The expected states
//! were taken from dlt.

mod batches;
mod memory;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use transload_core::ErrorKind;

use super::cursor::Judge;
use super::tally::{Seen, Tally};
use super::*;

/// A pipeline with one resource, which is read in chunks.
struct Runs {
    state: Option<Json>,
    key: Vec<String>,
}

impl Runs {
    fn new() -> Self {
        Self { state: None, key: Vec::new() }
    }

    fn with_key(key: &[&str]) -> Self {
        Self { state: None, key: key.iter().map(|key| (*key).to_owned()).collect() }
    }

    /// The rows that a run loads. However they are cut into chunks, it is the same.
    fn run(&mut self, incremental: &Incremental, rows: &[Json]) -> Result<Vec<i64>> {
        let judge = Judge::new(incremental, "r", &self.key, self.state.as_ref())?;
        let (kept, seen) = judged(&judge, rows, rows.len().max(1))?;
        let state = judge.remember(&seen)?;
        for size in 1..rows.len() {
            let (other, seen) = judged(&judge, rows, size)?;
            assert_eq!(other, kept, "chunks of {size}");
            assert_eq!(judge.remember(&seen)?, state, "chunks of {size}");
        }
        if state.is_some() {
            self.state = state;
        }
        Ok(kept)
    }

    /// The state as dlt holds it: initial value, last value, hashes, start value.
    fn holds(&self, initial: Json, last: Json, mut hashes: Vec<&str>, start: Json) -> bool {
        let state = self.state.as_ref().unwrap();
        let mut held: Vec<&str> = state["unique_hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| hash.as_str().unwrap())
            .collect();
        held.sort_unstable();
        hashes.sort_unstable();
        let same = state["initial_value"] == initial
            && state["last_value"] == last
            && state["start_value"] == start
            && held == hashes;
        assert!(same, "{state}");
        same
    }
}

fn chunk(judge: &Judge, rows: &[Json]) -> Result<(Vec<i64>, Seen)> {
    let texts: Vec<String> = rows.iter().map(Json::to_string).collect();
    let mut kept = Vec::new();
    let mut tally = Tally::default();
    for (index, text) in texts.iter().enumerate() {
        let mut bytes = text.clone().into_bytes();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let verdict = judge.row(&tape.0)?;
        if verdict.is_kept() {
            kept.push(rows[index]["id"].as_i64().unwrap());
        }
        tally.count(judge, index, verdict)?;
    }
    let seen = tally.finish(|row| {
        let mut bytes = texts[row].clone().into_bytes();
        judge.hash(&simd_json::to_tape(&mut bytes).unwrap().0)
    })?;
    Ok((kept, seen))
}

fn judged(judge: &Judge, rows: &[Json], size: usize) -> Result<(Vec<i64>, Seen)> {
    let (mut kept, mut seen) = (Vec::new(), Seen::default());
    for rows in rows.chunks(size) {
        let (more, chunk) = chunk(judge, rows)?;
        kept.extend(more);
        seen = judge.merge(seen, chunk)?;
    }
    Ok((kept, seen))
}

fn row(id: i64, c: impl Into<Json>) -> Json {
    json!({ "id": id, "c": c.into() })
}

fn c() -> Incremental {
    Incremental::new("c")
}

#[test]
fn rows_at_the_last_value_are_told_apart_by_their_hashes() {
    let mut runs = Runs::new();
    let first = [row(1, 1), row(2, 2), row(3, 2)];
    assert_eq!(runs.run(&c(), &first).unwrap(), [1, 2, 3]);
    runs.holds(
        Json::Null,
        json!(2),
        vec!["pIY9NBilOlYdoygDdtwF", "iOJG2tLJhrrCqyvv+bUA"],
        Json::Null,
    );
    let second = [row(3, 2), row(4, 2), row(5, 3), row(6, 1)];
    assert_eq!(runs.run(&c(), &second).unwrap(), [4, 5]);
    runs.holds(Json::Null, json!(3), vec!["kh9qjwkTY69oGWiLFCKn"], json!(2));
    assert!(runs.run(&c(), &[]).unwrap().is_empty());
    runs.holds(Json::Null, json!(3), vec!["kh9qjwkTY69oGWiLFCKn"], json!(2));
    assert!(runs.run(&c(), &second).unwrap().is_empty());
    runs.holds(Json::Null, json!(3), vec!["kh9qjwkTY69oGWiLFCKn"], json!(2));
}

#[test]
fn an_initial_value_is_where_the_first_run_begins_and_stays_in_the_state() {
    let mut runs = Runs::new();
    assert!(runs.run(&c().initial_value(5), &[]).unwrap().is_empty());
    runs.holds(json!(5), json!(5), vec![], json!(5));
    assert!(runs.run(&c().initial_value(5), &[row(1, 4)]).unwrap().is_empty());
    runs.holds(json!(5), json!(5), vec![], json!(5));
    assert_eq!(runs.run(&c().initial_value(3), &[row(2, 5)]).unwrap(), [2]);
    runs.holds(json!(5), json!(5), vec!["Sdr7bujFZU2G+p4T0TpT"], json!(5));
}

#[test]
fn a_key_tells_rows_apart_in_place_of_the_whole_row() {
    let mut runs = Runs::with_key(&["id"]);
    assert_eq!(runs.run(&c(), &[row(1, 1)]).unwrap(), [1]);
    runs.holds(Json::Null, json!(1), vec!["669czW83KR00ut4bv/U5"], Json::Null);
    let changed = json!({ "id": 1, "c": 1, "z": 1 });
    assert_eq!(runs.run(&c(), &[changed, row(2, 1)]).unwrap(), [2]);
    // dlt wrote this hash for the key `["id"]`, and the other one for the key `id`.
    runs.state.as_mut().unwrap()["unique_hashes"] = json!(["Lj3E34tIJ/ZxYHsNLfaH"]);
    assert_eq!(runs.run(&c(), &[row(1, 1), row(2, 1)]).unwrap(), [2]);

    let mut runs = Runs::with_key(&["id"]);
    let rows = [json!({ "id": 1, "c": 1, "k": 2 })];
    assert_eq!(runs.run(&c().primary_key(["k"]), &rows).unwrap(), [1]);
    runs.holds(Json::Null, json!(1), vec!["Tp44cKMYfAuJiBfxLAqu"], Json::Null);
    let error = runs.run(&c().primary_key(["zz"]), &rows).unwrap_err();
    assert_eq!((error.kind(), error.context("field")), (ErrorKind::BadData, Some("zz")));
}

#[test]
fn no_key_at_all_loads_the_rows_at_the_last_value_again() {
    let mut runs = Runs::with_key(&["id"]);
    let incremental = c().primary_key([""; 0]);
    assert_eq!(runs.run(&incremental, &[row(1, 1)]).unwrap(), [1]);
    assert_eq!(runs.run(&incremental, &[row(1, 1)]).unwrap(), [1]);
    runs.holds(Json::Null, json!(1), vec![], json!(1));
}

#[test]
fn an_open_start_leaves_out_the_rows_at_the_last_value() {
    let mut runs = Runs::new();
    let open = c().range_start(RangeBound::Open);
    assert_eq!(runs.run(&open, &[row(1, 1), row(2, 2)]).unwrap(), [1, 2]);
    assert_eq!(runs.run(&open, &[row(3, 2), row(4, 3)]).unwrap(), [4]);
    runs.holds(Json::Null, json!(3), vec![], json!(2));
    let mut runs = Runs::new();
    assert_eq!(runs.run(&open.initial_value(1), &[row(1, 1), row(2, 2)]).unwrap(), [2]);
    runs.holds(json!(1), json!(2), vec![], json!(1));
}

#[test]
fn a_range_with_an_end_is_loaded_without_a_state() {
    let rows: Vec<Json> = (0..6).map(|n| row(n, n)).collect();
    let range = c().initial_value(1).end_value(4);
    let mut runs = Runs::new();
    assert_eq!(runs.run(&range, &rows).unwrap(), [1, 2, 3]);
    let other = range.clone().range_start(RangeBound::Open).range_end(RangeBound::Closed);
    assert_eq!(runs.run(&other, &rows).unwrap(), [2, 3, 4]);
    assert_eq!(runs.state, None);
    runs.run(&c(), &[row(10, 10)]).unwrap();
    let before = runs.state.clone();
    assert_eq!(runs.run(&range, &rows).unwrap(), [1, 2, 3]);
    assert_eq!(runs.run(&range.clone().lag(5.0), &rows).unwrap(), [1, 2, 3]);
    assert_eq!(runs.state, before);
    let down = c().initial_value(4).end_value(1).last_value_func(LastValueFunc::Min);
    assert_eq!(runs.run(&down, &rows).unwrap(), [2, 3, 4]);
}

#[test]
fn a_lag_goes_back_but_the_last_value_does_not() {
    let mut runs = Runs::new();
    let lag = c().lag(3.0);
    assert_eq!(runs.run(&lag, &[row(10, 10)]).unwrap(), [10]);
    runs.holds(Json::Null, json!(10), vec![], Json::Null);
    let rows = [row(6, 6), row(7, 7), row(8, 8)];
    assert_eq!(runs.run(&lag, &rows).unwrap(), [7, 8]);
    runs.holds(Json::Null, json!(10), vec![], json!(10));
    assert_eq!(runs.run(&c().lag(2.5).initial_value(8), &rows).unwrap(), [8]);
    assert!(runs.run(&c().lag(0.0), &rows).unwrap().is_empty());
    runs.holds(Json::Null, json!(10), vec![], json!(10));

    let mut runs = Runs::new();
    runs.run(&c().initial_value("2024-01-01"), &[row(1, "2024-01-01T00:00:00Z")]).unwrap();
    let late = [row(3, "2023-12-31T23:00:00Z"), row(4, "2023-12-31T22:00:00Z")];
    assert_eq!(runs.run(&c().lag(3600.0), &late).unwrap(), [3]);
    let start = json!("2024-01-01T00:00:00Z");
    runs.holds(json!("2024-01-01"), start.clone(), vec![], start);
    runs.run(&c(), &[row(5, "soon")]).unwrap();
    assert_eq!(runs.run(&c().lag(3600.0), &late).unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn the_smaller_value_may_be_the_later_one() {
    let mut runs = Runs::new();
    let min = c().last_value_func(LastValueFunc::Min);
    assert_eq!(runs.run(&min, &[row(10, 10)]).unwrap(), [10]);
    assert_eq!(runs.run(&min, &[row(12, 12), row(7, 7)]).unwrap(), [7]);
    runs.holds(Json::Null, json!(7), vec!["4MwZysco56LyhswCMyOR"], json!(10));
    let rows = [row(9, 9), row(10, 10), row(11, 11)];
    assert_eq!(runs.run(&min.lag(3.0), &rows).unwrap(), [9, 10]);
    runs.holds(Json::Null, json!(7), vec![], json!(7));
}

#[test]
fn rows_without_a_value_stop_the_run_or_come_in_or_stay_out() {
    let mut runs = Runs::new();
    for rows in [vec![row(1, 1), json!({ "id": 2 })], vec![row(1, Json::Null)]] {
        let error = runs.run(&c(), &rows).unwrap_err();
        assert_eq!((error.kind(), error.context("cursor_path")), (ErrorKind::BadData, Some("c")));
    }
    assert_eq!(runs.state, None);
    let include = c().on_cursor_value_missing(OnCursorValueMissing::Include);
    let rows = [row(1, 1), json!({ "id": 2 }), row(3, Json::Null)];
    assert_eq!(runs.run(&include, &rows).unwrap(), [1, 2, 3]);
    runs.holds(Json::Null, json!(1), vec!["K5IR1szlpPyv9ZTGi6Y0"], Json::Null);
    let exclude = c().on_cursor_value_missing(OnCursorValueMissing::Exclude);
    assert!(runs.run(&exclude, &rows[1..]).unwrap().is_empty());
    runs.holds(Json::Null, json!(1), vec!["K5IR1szlpPyv9ZTGi6Y0"], Json::Null);
    assert_eq!(runs.run(&include, &rows).unwrap(), [2, 3]);
    runs.holds(Json::Null, json!(1), vec!["K5IR1szlpPyv9ZTGi6Y0"], json!(1));
}

#[test]
fn values_of_two_kinds_stop_the_run() {
    let mut runs = Runs::new();
    let error = runs.run(&c(), &[row(1, 1), row(2, "x")]).unwrap_err();
    assert_eq!((error.kind(), error.context("kind")), (ErrorKind::BadData, Some("text")));
    let error = runs.run(&c().initial_value(1), &[row(1, "x")]).unwrap_err();
    assert_eq!(error.context("kind of the start value"), Some("integer"));
    assert!(runs.run(&c(), &[row(1, json!({ "x": 1 }))]).is_err());
    assert!(runs.run(&c(), &[row(1, json!([1]))]).is_err());
    // A number is a number.
    assert_eq!(
        runs.run(&c().initial_value(1), &[row(1, 1.5), row(2, true), row(3, 2)]).unwrap(),
        [1, 2, 3]
    );
    runs.holds(json!(1), json!(2), vec!["pIY9NBilOlYdoygDdtwF"], json!(1));
    // What dlt remembered as a point in time is not one of the texts that JSON has.
    runs.state.as_mut().unwrap()["last_value"] = json!("\u{f027}2024-01-01T00:00:00+00:00");
    let error = runs.run(&c(), &[row(1, "2024-01-01T00:00:00Z")]).unwrap_err();
    assert_eq!(error.context("kind of the start value"), Some("timestamp"));
    runs.state.as_mut().unwrap()["last_value"] = json!([1]);
    assert_eq!(runs.run(&c(), &[row(1, 1)]).unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn texts_are_compared_as_texts_and_kept_as_they_are() {
    let mut runs = Runs::new();
    let rows = [row(1, "2024-01-01T00:00:00Z"), row(2, "2024-01-01T00:00:00+02:00")];
    assert_eq!(runs.run(&c().initial_value("2024-01-01"), &rows).unwrap(), [1, 2]);
    runs.holds(
        json!("2024-01-01"),
        json!("2024-01-01T00:00:00Z"),
        vec!["4HXTBsZ7Y8HHsGxrRW6a"],
        json!("2024-01-01"),
    );
}

#[test]
fn a_cursor_may_stand_in_an_object() {
    let mut runs = Runs::new();
    let rows = [json!({ "id": 1, "a": { "b": [{ "c": 4 }] } })];
    assert_eq!(runs.run(&Incremental::new("a.b[0].c"), &rows).unwrap(), [1]);
    runs.holds(Json::Null, json!(4), vec!["5W+ngo+NsMQDaB8LTcbl"], Json::Null);
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    for incremental in [
        c().end_value(4),
        c().initial_value(5).end_value(4),
        c().initial_value(4).end_value(5).last_value_func(LastValueFunc::Min),
        c().initial_value("a").end_value(4),
        c().lag(f64::NAN),
        c().initial_value(f64::NAN),
        Incremental::new("a[*]"),
    ] {
        let error = Judge::new(&incremental, "r", &[], None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{incremental:?}");
    }
    assert!(Judge::new(&c().initial_value(4).end_value(4), "r", &[], None).is_ok());
}

#[test]
fn rows_in_order_say_when_nothing_more_is_to_come() {
    let ended = |incremental: Incremental, rows: &[Json]| {
        let judge = Judge::new(&incremental, "r", &[], None).unwrap();
        judged(&judge, rows, 2).unwrap().1.ended
    };
    let range = c().initial_value(2).end_value(4);
    let rows = [row(2, 2), row(3, 3), row(4, 4)];
    assert!(ended(range.clone().row_order(RowOrder::Asc), &rows));
    assert!(!ended(range.clone().row_order(RowOrder::Asc), &rows[..2]));
    assert!(!ended(range.clone(), &rows));
    let back = [row(3, 3), row(2, 2), row(1, 1)];
    assert!(ended(range.clone().row_order(RowOrder::Desc), &back));
    assert!(!ended(range.row_order(RowOrder::Desc), &back[..2]));
}

#[test]
fn many_rows_at_the_last_value_are_worth_a_word() {
    let judge = Judge::new(&c(), "r", &[], None).unwrap();
    let rows: Vec<Json> = (0..201).map(|id| row(id, 1)).collect();
    let (_, seen) = judged(&judge, &rows, 50).unwrap();
    assert!(judge.warning(&seen).unwrap().contains("201 rows"));
    let (_, seen) = judged(&judge, &rows[..200], 50).unwrap();
    assert_eq!(judge.warning(&seen), None);
}

#[test]
fn a_row_that_is_not_counted_leaves_the_cursor_where_it_was() {
    let judge = Judge::new(&c(), "r", &[], None).unwrap();
    let mut tally = Tally::default();
    for (index, (text, loads)) in
        [(r#"{"c":1}"#, true), (r#"{"c":9,"bad":1}"#, false)].into_iter().enumerate()
    {
        let mut bytes = text.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let verdict = judge.row(&tape.0).unwrap();
        assert!(verdict.is_kept());
        if loads {
            tally.count(&judge, index, verdict).unwrap();
        }
    }
    let seen = tally.finish(|_| Ok(crate::incremental::hash::RowHash::of("x"))).unwrap();
    assert_eq!(judge.remember(&seen).unwrap().unwrap()["last_value"], 1);
}

proptest! {
    /// However rows are cut into chunks and in whatever grouping these are merged, the outcome is that of one chunk.
    #[test]
    fn merging_is_associative(
        values in prop::collection::vec((0_i64..4, 0_i64..6), 1..40),
        cuts in prop::collection::vec(1_usize..8, 3),
        start in prop::option::of(0_i64..6),
    ) {
        let rows: Vec<Json> = values.iter().map(|(id, value)| row(*id, *value)).collect();
        let stored = start.map(|start| json!({
            "initial_value": null, "last_value": start, "start_value": null,
            "unique_hashes": [crate::incremental::hash::RowHash::of(&row(1, start).to_string()).to_text()],
        }));
        let judge = Judge::new(&c(), "r", &[], stored.as_ref()).unwrap();
        let (kept, whole) = chunk(&judge, &rows).unwrap();
        let mut parts = Vec::new();
        let mut rest = rows.as_slice();
        let mut kept_by_parts = Vec::new();
        for size in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*size));
            let (more, seen) = chunk(&judge, now).unwrap();
            kept_by_parts.extend(more);
            parts.push(seen);
            rest = later;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(kept, kept_by_parts);
        let left = parts.iter().cloned().try_fold(Seen::default(), |a, b| judge.merge(a, b)).unwrap();
        let right = parts.into_iter().rev().try_fold(Seen::default(), |b, a| judge.merge(a, b)).unwrap();
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(judge.remember(&left).unwrap(), judge.remember(&whole).unwrap());
    }
}
