//! `upsert`: rows with a known primary key change, others come in.

use transload::MergeStrategy::{DeleteInsert, Upsert};
use transload::{ColumnHints, ErrorKind, Resource, WriteDisposition};

use crate::world::{World, merged, unkeyed};

fn rows(world: &World) -> Vec<String> {
    world.look("SELECT id, name FROM t ORDER BY id, name")
}

fn marked(text: &str) -> Resource {
    merged(Upsert, text).columns([ColumnHints::new("deleted").hint("hard_delete", true)])
}

#[test]
fn known_rows_change_and_others_come_in() {
    for world in [World::new(), World::staged()] {
        world.load(merged(Upsert, r#"[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]"#));
        world.load(merged(Upsert, r#"[{"id": 2, "name": "c"}, {"id": 3, "name": "d"}]"#));
        assert_eq!(rows(&world), ["1, a", "2, c", "3, d"]);
        let loads = world.look("SELECT DISTINCT _dlt_load_id FROM t");
        assert_eq!(loads.len(), 2, "a row that changed is of the load that changed it");
    }
}

#[test]
fn lists_grow_shrink_and_go_with_their_row() {
    let world = World::new();
    let first = r#"[{"id": 1, "name": "a", "l": [{"m": [1]}, {"m": [2]}]}, {"id": 2, "name": "b", "l": [{"m": [3]}]}, {"id": 3, "name": "c", "l": [{"m": [4]}]}]"#;
    world.load(merged(Upsert, first));
    let second = r#"[{"id": 1, "name": "A", "l": [{"m": [9]}]}, {"id": 2, "name": "B"}]"#;
    world.load(merged(Upsert, second));
    assert_eq!(world.look("SELECT value FROM t__l__m ORDER BY 1"), ["4", "9"]);
    assert_eq!((world.orphans("t__l", "t"), world.orphans("t__l__m", "t__l")), (0, 0));
    world.load(merged(Upsert, first));
    assert_eq!(world.look("SELECT value FROM t__l__m ORDER BY 1"), ["1", "2", "3", "4"]);
}

#[test]
fn a_mark_for_a_row_that_is_not_there_is_no_row() {
    let world = World::new();
    world.load(marked(r#"[{"id": 1, "name": "a", "deleted": false, "l": [1]}]"#));
    world.load(marked(r#"[{"id": 7, "name": "x", "deleted": true, "l": [7]}]"#));
    assert_eq!((rows(&world), world.count("t__l")), (vec!["1, a".to_owned()], 1));
    world.load(marked(r#"[{"id": 1, "deleted": true, "l": [9]}]"#));
    assert_eq!((rows(&world).len(), world.count("t__l")), (0, 0));
}

#[test]
fn duplicate_new_keys_within_a_load_become_one_row() {
    let text = r#"[{"id": 1, "name": "a", "at": 1}, {"id": 1, "name": "b", "at": 2}]"#;
    let world = World::new();
    world.load(merged(Upsert, text));
    assert_eq!(rows(&world), ["1, b"]);
    let world = World::new();
    let sort = ColumnHints::new("at").hint("dedup_sort", "asc");
    world.load(merged(Upsert, text).columns([sort]));
    assert_eq!(rows(&world), ["1, a"]);
}

#[test]
fn duplicates_whose_lists_nobody_could_tell_apart_are_refused() {
    let world = World::new();
    world.load(merged(Upsert, r#"[{"id": 1, "name": "a", "l": [1]}]"#));
    let text = r#"[{"id": 1, "name": "b", "l": [1, 2]}, {"id": 1, "name": "c", "l": [3]}]"#;
    let failed = world.try_load(merged(Upsert, text)).unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::BadData, "{:?}", failed.error);
    assert_eq!((rows(&world), world.count("t__l")), (vec!["1, a".to_owned()], 1));
}

#[test]
fn duplicates_with_the_same_lists_have_them_once() {
    let world = World::new();
    let row = |name: &str| {
        format!(r#"{{"id": 1, "name": "{name}", "l": [{{"x": 1, "m": [1, 2]}}, {{"x": null}}]}}"#)
    };
    let text =
        format!(r#"[{}, {}, {{"id": 2, "name": "c", "l": [{{"x": 3}}]}}]"#, row("a"), row("b"));
    world.load(merged(Upsert, &text));
    assert_eq!(rows(&world), ["1, b", "2, c"]);
    assert_eq!((world.count("t__l"), world.count("t__l__m")), (3, 2));
}

#[test]
fn duplicates_whose_lists_differ_in_a_place_or_farther_in_are_refused() {
    for other in [r#"[{"x": 2, "m": [1]}]"#, r#"[{"x": 1, "m": [1, 2]}]"#, r#"[{"x": 1}]"#, "[]"] {
        let world = World::new();
        let one = r#"{"id": 1, "name": "a", "l": [{"x": 1, "m": [1]}]}"#;
        let text = format!(r#"[{one}, {{"id": 1, "name": "b", "l": {other}}}]"#);
        let failed = world.try_load(merged(Upsert, &text)).unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::BadData, "{other}: {:?}", failed.error);
    }
}

#[test]
fn duplicates_beside_the_lists_of_others_are_no_harm() {
    let world = World::new();
    let text =
        r#"[{"id": 1, "name": "b"}, {"id": 1, "name": "b"}, {"id": 2, "name": "c", "l": [3]}]"#;
    world.load(merged(Upsert, text));
    assert_eq!((rows(&world), world.count("t__l")), (vec!["1, b".to_owned(), "2, c".into()], 1));
}

#[test]
fn rows_of_another_strategy_lose_no_list_and_leave_none_behind() {
    let world = World::new();
    let text =
        r#"[{"id": 1, "name": "a", "l": [{"m": [1]}]}, {"id": 2, "name": "b", "l": [{"m": [2]}]}]"#;
    for before in [
        merged(DeleteInsert, text),
        Resource::json("t", text).write_disposition(WriteDisposition::Replace),
    ] {
        world.load(before);
        // The row has a random id there, and gets the one of its key.
        world.load(merged(Upsert, r#"[{"id": 1, "name": "A", "l": [{"m": [9]}]}]"#));
        assert_eq!(rows(&world), ["1, A", "2, b"]);
        assert_eq!(world.look("SELECT value FROM t__l__m ORDER BY 1"), ["2", "9"]);
        assert_eq!((world.orphans("t__l", "t"), world.orphans("t__l__m", "t__l")), (0, 0));
    }
}

#[test]
fn compound_keys_are_compared_column_by_column() {
    let world = World::new();
    let compound = |text: &str| unkeyed(text).merge_strategy(Upsert).primary_key(["k", "id"]);
    world.load(compound(
        r#"[{"k": "a", "id": "bc", "name": "x"}, {"k": "ab", "id": "c", "name": "y"}]"#,
    ));
    world.load(compound(r#"[{"k": "a", "id": "bc", "name": "z"}]"#));
    assert_eq!(rows(&world), ["bc, z", "c, y"]);
}

#[test]
fn a_column_that_the_schema_does_not_know_keeps_its_values() {
    let world = World::new();
    world.load(merged(Upsert, r#"[{"id": 1, "name": "a"}]"#));
    world.meddle("ALTER TABLE t ADD COLUMN note VARCHAR; UPDATE t SET note = 'mine'");
    world.load(merged(Upsert, r#"[{"id": 1, "name": "b"}]"#));
    assert_eq!(world.look("SELECT name, note FROM t"), ["b, mine"]);
}
