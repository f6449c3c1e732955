//! `delete-insert`: rows with a key of the load make room for its rows.

use transload::MergeStrategy::DeleteInsert;
use transload::{ColumnHints, MergeOptions, Resource, WriteDisposition};

use crate::world::{World, merged, unkeyed};

fn rows(world: &World) -> Vec<String> {
    world.look("SELECT id, name FROM t ORDER BY id, name")
}

#[test]
fn a_row_with_a_known_key_takes_the_place_of_the_old_one() {
    for world in [World::new(), World::staged()] {
        world.load(merged(DeleteInsert, r#"[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]"#));
        world.load(merged(DeleteInsert, r#"[{"id": 2, "name": "c"}, {"id": 3, "name": "d"}]"#));
        assert_eq!(rows(&world), ["1, a", "2, c", "3, d"]);
        assert_eq!(world.count("d._dlt_loads"), 2);
    }
}

#[test]
fn what_is_nested_goes_and_comes_with_its_row_to_any_depth() {
    let world = World::new();
    let first = r#"[
        {"id": 1, "name": "a", "l": [{"x": 1, "m": [1, 2]}, {"x": 2, "m": [3]}]},
        {"id": 2, "name": "b", "l": [{"x": 3, "m": [4]}]},
        {"id": 3, "name": "c", "l": [{"x": 4}]}]"#;
    world.load(merged(DeleteInsert, first));
    assert_eq!([world.count("t"), world.count("t__l"), world.count("t__l__m")], [3, 4, 4]);
    // One has another list, one has none any more, one stays.
    let second = r#"[{"id": 1, "name": "A", "l": [{"x": 9, "m": [9]}]}, {"id": 2, "name": "B"}]"#;
    world.load(merged(DeleteInsert, second));
    assert_eq!(rows(&world), ["1, A", "2, B", "3, c"]);
    assert_eq!(world.look("SELECT x FROM t__l ORDER BY x"), ["4", "9"]);
    assert_eq!(world.look("SELECT value FROM t__l__m"), ["9"]);
    assert_eq!((world.orphans("t__l", "t"), world.orphans("t__l__m", "t__l")), (0, 0));
}

#[test]
fn the_same_load_again_changes_nothing_but_the_load() {
    let world = World::new();
    let text = r#"[{"id": 1, "name": "a", "l": [1, 2]}, {"id": 2, "name": "b", "l": [3]}]"#;
    for _ in 0..3 {
        world.load(merged(DeleteInsert, text));
        assert_eq!(rows(&world), ["1, a", "2, b"]);
        assert_eq!(world.look("SELECT value FROM t__l ORDER BY value"), ["1", "2", "3"]);
        assert_eq!(world.orphans("t__l", "t"), 0);
    }
}

#[test]
fn of_duplicates_within_a_load_the_last_one_stays_with_its_own_list() {
    for world in [World::new(), World::staged()] {
        let text =
            r#"[{"id": 1, "name": "a", "l": [1, 2, 3]}, {"id": 1, "name": "b", "l": [4, 5, 6]}]"#;
        world.load(merged(DeleteInsert, text));
        assert_eq!(rows(&world), ["1, b"]);
        assert_eq!(world.look("SELECT value FROM t__l ORDER BY value"), ["4", "5", "6"]);
        assert_eq!(world.orphans("t__l", "t"), 0);
    }
}

#[test]
fn duplicates_that_bring_one_id_of_their_own_have_their_list_once() {
    let world = World::new();
    let row = r#"{"_dlt_id": "mine", "id": 1, "name": "a", "l": [1, 2]}"#;
    world.load(merged(DeleteInsert, &format!("[{row}, {row}]")));
    assert_eq!((rows(&world), world.count("t__l")), (vec!["1, a".to_owned()], 2));
}

#[test]
fn the_last_of_many_duplicates_stays_wherever_they_lie() {
    let world = World::new();
    let text: String =
        (0..30_000).map(|n| format!("{{\"id\": {}, \"name\": \"{n}\"}}\n", n % 7)).collect();
    world.load(merged(DeleteInsert, &text));
    let expected: Vec<String> = (0..7)
        .map(|id| format!("{id}, {}", (0..30_000).rev().find(|n| n % 7 == id).unwrap()))
        .collect();
    assert_eq!(rows(&world), expected);
}

#[test]
fn dedup_sort_chooses_and_a_row_without_a_value_is_the_last_choice() {
    for (order, expected) in [("desc", "1, new"), ("asc", "1, old")] {
        let world = World::new();
        let text = r#"[{"id": 1, "name": "old", "order": 1}, {"id": 1, "name": "new", "order": 3},
            {"id": 1, "name": "middle", "order": 2}, {"id": 1, "name": "none"}]"#;
        let sort = ColumnHints::new("order").hint("dedup_sort", order);
        world.load(merged(DeleteInsert, text).columns([sort]));
        assert_eq!(rows(&world), [expected]);
    }
}

#[test]
fn a_load_that_is_said_to_have_no_duplicates_is_not_searched_for_them() {
    let world = World::new();
    let text = r#"[{"id": 1, "name": "a", "l": [1]}, {"id": 1, "name": "b", "l": [2]}]"#;
    let options = MergeOptions { deduplicated: Some(true), ..MergeOptions::default() };
    world.load(merged(DeleteInsert, text).merge_options(options));
    assert_eq!((rows(&world).len(), world.count("t__l")), (2, 2));
}

#[test]
fn a_merge_key_exchanges_a_batch_and_keeps_its_duplicates() {
    let world = World::new();
    let day = |text: &str| unkeyed(text).merge_key(["day"]);
    world.load(day(r#"[{"id": 1, "name": "a", "day": "2025-07-25"}, {"id": 2, "name": "b", "day": "2025-08-18"}]"#));
    world.load(day(r#"[{"id": 3, "name": "c", "day": "2025-08-18"}, {"id": 3, "name": "c", "day": "2025-08-18"}]"#));
    assert_eq!(rows(&world), ["1, a", "3, c", "3, c"]);
}

#[test]
fn primary_key_or_merge_key_is_enough_to_make_room() {
    let world = World::new();
    let both = |text: &str| merged(DeleteInsert, text).merge_key(["day"]);
    world.load(both(r#"[{"id": 1, "name": "a", "day": 1, "l": [1]}, {"id": 2, "name": "b", "day": 2, "l": [2]}, {"id": 3, "name": "c", "day": 3, "l": [3]}]"#));
    world.load(both(r#"[{"id": 1, "name": "A", "day": 2, "l": [9]}]"#));
    assert_eq!(rows(&world), ["1, A", "3, c"]);
    assert_eq!(world.look("SELECT value FROM t__l ORDER BY 1"), ["3", "9"]);
}

#[test]
fn compound_keys_are_compared_column_by_column() {
    let world = World::new();
    let compound = |text: &str| unkeyed(text).primary_key(["k", "id"]);
    world.load(compound(
        r#"[{"k": "a", "id": "bc", "name": "x"}, {"k": "ab", "id": "c", "name": "y"}]"#,
    ));
    world.load(compound(r#"[{"k": "a", "id": "bc", "name": "z"}]"#));
    assert_eq!(rows(&world), ["bc, z", "c, y"]);
}

#[test]
fn a_row_marked_as_deleted_takes_its_match_with_it_and_does_not_come_in() {
    for world in [World::new(), World::staged()] {
        let marked = |text: &str| {
            merged(DeleteInsert, text)
                .columns([ColumnHints::new("deleted").hint("hard_delete", true)])
        };
        world.load(marked(
            r#"[{"id": 1, "name": "a", "deleted": false, "l": [1, 2]}, {"id": 2, "name": "b", "deleted": null, "l": [3]}]"#,
        ));
        assert_eq!((rows(&world).len(), world.count("t__l")), (2, 3));
        world.load(marked(r#"[{"id": 1, "deleted": true, "l": [7]}, {"id": 4, "deleted": true}]"#));
        assert_eq!(rows(&world), ["2, b"]);
        assert_eq!(world.look("SELECT value FROM t__l"), ["3"]);
    }
}

#[test]
fn the_newest_row_of_a_key_may_be_the_one_that_deletes_it() {
    let world = World::new();
    let marked = |text: &str| {
        merged(DeleteInsert, text).columns([
            ColumnHints::new("deleted").hint("hard_delete", true),
            ColumnHints::new("at").hint("dedup_sort", "desc"),
        ])
    };
    world.load(marked(r#"[{"id": 1, "name": "a", "at": 1}, {"id": 1, "name": "b", "at": 2, "deleted": true}, {"id": 2, "name": "c", "at": 1, "deleted": true}, {"id": 2, "name": "d", "at": 2}]"#));
    assert_eq!(rows(&world), ["2, d"]);
}

#[test]
fn a_mark_that_is_no_bool_deletes_where_it_has_a_value() {
    let world = World::new();
    // The name is a word of SQL: it is quoted wherever it stands.
    let marked = |text: &str| {
        merged(DeleteInsert, text).columns([ColumnHints::new("order").hint("hard_delete", true)])
    };
    world.load(marked(r#"[{"id": 1, "name": "a", "l": [1]}, {"id": 2, "name": "b", "l": [2]}]"#));
    world.load(marked(r#"[{"id": 2, "name": "b", "order": "2025-01-01T00:00:00Z"}]"#));
    assert_eq!(rows(&world), ["1, a"]);
    assert_eq!(world.count("t__l"), 1);
}

#[test]
fn without_a_key_rows_are_added_and_marked_ones_are_not() {
    let world = World::new();
    let marked =
        |text: &str| unkeyed(text).columns([ColumnHints::new("deleted").hint("hard_delete", true)]);
    world.load(marked(
        r#"[{"id": 1, "name": "a", "l": [1]}, {"id": 1, "name": "a", "deleted": true, "l": [2]}]"#,
    ));
    world.load(marked(r#"[{"id": 1, "name": "a", "l": [3]}]"#));
    assert_eq!(rows(&world), ["1, a", "1, a"]);
    assert_eq!(world.look("SELECT value FROM t__l ORDER BY 1"), ["1", "3"]);
}

#[test]
fn rows_that_were_appended_before_are_merged_with_what_is_nested_in_them() {
    let world = World::new();
    let text =
        r#"[{"id": 1, "name": "a", "l": [{"m": [1]}]}, {"id": 2, "name": "b", "l": [{"m": [2]}]}]"#;
    world.load(Resource::json("t", text).write_disposition(WriteDisposition::Append));
    // Nested rows of that load do not know their root.
    world.load(merged(DeleteInsert, r#"[{"id": 1, "name": "A", "l": [{"m": [9]}]}]"#));
    assert_eq!(rows(&world), ["1, A", "2, b"]);
    assert_eq!(world.look("SELECT value FROM t__l__m ORDER BY 1"), ["2", "9"]);
    assert_eq!((world.orphans("t__l", "t"), world.orphans("t__l__m", "t__l")), (0, 0));
}

#[test]
fn tables_and_columns_may_come_and_stay_away_between_loads() {
    let world = World::new();
    world.load(merged(DeleteInsert, r#"[{"id": 1, "name": "a"}]"#));
    world.load(merged(DeleteInsert, r#"[{"id": 2, "name": "b", "extra": 1.5, "l": [1]}]"#));
    world.load(merged(DeleteInsert, r#"[{"id": 1, "name": "c"}, {"id": 2, "name": "d"}]"#));
    assert_eq!(
        world.look("SELECT id, name, extra FROM t ORDER BY id"),
        ["1, c, NULL", "2, d, NULL"]
    );
    assert_eq!(world.count("t__l"), 0);
}

#[test]
fn a_load_without_rows_changes_nothing() {
    let world = World::new();
    world.load(merged(DeleteInsert, r#"[{"id": 1, "name": "a", "l": [1]}]"#));
    world.load(merged(DeleteInsert, "[]"));
    assert_eq!((rows(&world), world.count("t__l")), (vec!["1, a".to_owned()], 1));
}

#[test]
fn a_merge_that_fails_has_deleted_nothing() {
    let world = World::new();
    world.load(merged(DeleteInsert, r#"[{"id": 1, "name": "a", "l": [1]}]"#));
    // A constraint of somebody else's, which the insert will meet after the delete.
    world.meddle("CREATE TABLE c AS FROM t; DROP TABLE t; CREATE TABLE t (id BIGINT NOT NULL, name VARCHAR CHECK (name <> 'bad'), _dlt_load_id VARCHAR NOT NULL, _dlt_id VARCHAR NOT NULL); INSERT INTO t SELECT id, name, _dlt_load_id, _dlt_id FROM c; DROP TABLE c");
    world.try_load(merged(DeleteInsert, r#"[{"id": 1, "name": "bad", "l": [2]}]"#)).unwrap_err();
    assert_eq!(
        (rows(&world), world.look("SELECT value FROM t__l")),
        (vec!["1, a".into()], vec!["1".into()])
    );
}
