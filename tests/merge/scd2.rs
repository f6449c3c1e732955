//! `scd2`: rows that changed are closed, and opened as they are now.

use transload::MergeStrategy::Scd2;
use transload::{MergeOptions, Resource};

use crate::world::{World, unkeyed};

fn versions(text: &str) -> Resource {
    unkeyed(text).merge_strategy(Scd2)
}

fn at(time: &str, text: &str) -> Resource {
    let boundary = Some(time.to_owned());
    versions(text)
        .merge_options(MergeOptions { boundary_timestamp: boundary, ..MergeOptions::default() })
}

/// The versions of the rows: key, content, from and until when.
fn rows(world: &World) -> Vec<String> {
    world.look(
        "SELECT nk, c1, strftime(_dlt_valid_from, '%d'), strftime(_dlt_valid_to, '%d') FROM t \
         ORDER BY nk, _dlt_valid_from",
    )
}

#[test]
fn rows_are_closed_and_opened_with_the_time_of_their_load() {
    for world in [World::new(), World::staged()] {
        world.load(at(
            "2024-08-01T00:00:00Z",
            r#"[{"nk": 1, "c1": "foo"}, {"nk": 2, "c1": "bar"}]"#,
        ));
        world.load(at(
            "2024-08-02T00:00:00Z",
            r#"[{"nk": 1, "c1": "new"}, {"nk": 2, "c1": "bar"}]"#,
        ));
        assert_eq!(rows(&world), ["1, foo, 01, 02", "1, new, 02, NULL", "2, bar, 01, NULL"]);
        world.load(at("2024-08-03T00:00:00Z", r#"[{"nk": 1, "c1": "new"}]"#));
        world.load(at(
            "2024-08-04T00:00:00Z",
            r#"[{"nk": 1, "c1": "new"}, {"nk": 3, "c1": "baz"}]"#,
        ));
        assert_eq!(
            rows(&world),
            ["1, foo, 01, 02", "1, new, 02, NULL", "2, bar, 01, 03", "3, baz, 04, NULL"]
        );
    }
}

#[test]
fn a_load_that_says_nothing_of_time_takes_its_own() {
    let world = World::new();
    world.load(versions(r#"[{"nk": 1, "c1": "foo"}]"#));
    let same = "SELECT count(*) FROM t JOIN _dlt_loads l ON l.load_id = t._dlt_load_id AND l.inserted_at = t._dlt_valid_from";
    assert_eq!(world.look(same), ["1"]);
}

#[test]
fn rows_that_come_twice_in_a_load_hold_once() {
    let world = World::new();
    world.load(versions(
        r#"[{"nk": 1, "c1": "foo", "l": [1, 2]}, {"nk": 1, "c1": "foo", "l": [1, 2]}]"#,
    ));
    assert_eq!((world.count("t"), world.count("t__l")), (1, 2));
}

#[test]
fn a_changed_list_is_a_changed_row_and_one_that_comes_back_has_its_list_still() {
    let world = World::new();
    let one = r#"{"nk": 1, "c1": "a", "l": [{"x": 1}]}"#;
    let two = r#"{"nk": 2, "c1": "b", "l": [{"x": 2}, {"x": 3}]}"#;
    world.load(at("2024-08-01T00:00:00Z", &format!("[{one}, {two}]")));
    assert_eq!((world.count("t"), world.count("t__l")), (2, 3));
    world.load(at("2024-08-02T00:00:00Z", &format!("[{two}]")));
    world.load(at("2024-08-03T00:00:00Z", &format!("[{one}, {two}]")));
    assert_eq!((world.count("t"), world.count("t__l")), (3, 3));
    assert_eq!(world.orphans("t__l", "t"), 0);
    let changed = r#"{"nk": 1, "c1": "a", "l": [{"x": 9}]}"#;
    world.load(at("2024-08-04T00:00:00Z", &format!("[{changed}, {two}]")));
    assert_eq!((world.count("t"), world.count("t__l")), (4, 4));
    assert_eq!(rows(&world), ["1, a, 01, 02", "1, a, 03, 04", "1, a, 04, NULL", "2, b, 01, NULL"]);
}

#[test]
fn with_a_merge_key_rows_that_stay_away_hold_on() {
    let world = World::new();
    let natural = |time: &str, text: &str| at(time, text).merge_key(["nk"]);
    world.load(natural(
        "2024-08-01T00:00:00Z",
        r#"[{"nk": 1, "c1": "foo"}, {"nk": 2, "c1": "bar"}]"#,
    ));
    world.load(natural("2024-08-02T00:00:00Z", r#"[{"nk": 2, "c1": "new"}]"#));
    assert_eq!(rows(&world), ["1, foo, 01, NULL", "2, bar, 01, 02", "2, new, 02, NULL"]);
}

#[test]
fn compound_merge_keys_are_compared_column_by_column() {
    let world = World::new();
    let compound = |time: &str, text: &str| at(time, text).merge_key(["k", "nk"]);
    world.load(compound("2024-08-01T00:00:00Z", r#"[{"k": "a", "nk": "bc", "c1": "x"}]"#));
    // Joined without a separator the two keys would be one.
    world.load(compound("2024-08-02T00:00:00Z", r#"[{"k": "ab", "nk": "c", "c1": "y"}]"#));
    assert_eq!(rows(&world), ["bc, x, 01, NULL", "c, y, 02, NULL"]);
}

#[test]
fn open_rows_may_be_marked_by_a_time_of_their_own_and_columns_named() {
    let world = World::new();
    let named = |time: &str, text: &str| {
        versions(text).merge_options(MergeOptions {
            boundary_timestamp: Some(time.to_owned()),
            active_record_timestamp: Some("9999-12-31T00:00:00Z".to_owned()),
            validity_column_names: Some(["since".into(), "until".into()]),
            ..MergeOptions::default()
        })
    };
    world.load(named("2024-08-01T00:00:00Z", r#"[{"nk": 1, "c1": "foo"}]"#));
    world.load(named("2024-08-02T00:00:00Z", r#"[{"nk": 1, "c1": "new"}]"#));
    let shown = world.look(
        "SELECT c1, strftime(since, '%d'), strftime(until, '%Y-%m-%d') FROM t ORDER BY since",
    );
    assert_eq!(shown, ["foo, 01, 2024-08-02", "new, 02, 9999-12-31"]);
}

#[test]
fn a_column_of_the_source_may_tell_versions_apart() {
    let world = World::new();
    let hashed = |text: &str| {
        versions(text).merge_options(MergeOptions {
            row_version_column_name: Some("hash".to_owned()),
            ..MergeOptions::default()
        })
    };
    world.load(hashed(r#"[{"nk": 1, "c1": "a", "hash": "x", "l": [1]}, {"nk": 2, "c1": "b", "hash": "y", "l": [2]}]"#));
    world.load(hashed(r#"[{"nk": 1, "c1": "a", "hash": "x", "l": [1]}, {"nk": 2, "c1": "c", "hash": "z", "l": [3]}]"#));
    assert_eq!(world.count("t"), 3);
    assert_eq!(world.look("SELECT value FROM t__l ORDER BY 1"), ["1", "2", "3"]);
    assert_eq!(world.orphans("t__l", "t"), 0);
}
