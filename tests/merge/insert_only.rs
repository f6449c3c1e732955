//! `insert-only`: rows with a known primary key are left alone, others come in.

use transload::MergeStrategy::InsertOnly;
use transload::{ColumnHints, ErrorKind};

use crate::world::{World, merged};

fn rows(world: &World) -> Vec<String> {
    world.look("SELECT id, name FROM t ORDER BY id, name")
}

#[test]
fn known_rows_are_left_alone_with_all_that_is_nested_in_them() {
    for world in [World::new(), World::staged()] {
        world.load(merged(
            InsertOnly,
            r#"[{"id": 1, "name": "a", "l": [1]}, {"id": 2, "name": "b", "l": [2]}]"#,
        ));
        world.load(merged(
            InsertOnly,
            r#"[{"id": 1, "name": "A", "l": [8, 9]}, {"id": 3, "name": "c", "l": [3]}]"#,
        ));
        assert_eq!(rows(&world), ["1, a", "2, b", "3, c"]);
        assert_eq!(world.look("SELECT value FROM t__l ORDER BY 1"), ["1", "2", "3"]);
        assert_eq!(world.orphans("t__l", "t"), 0);
    }
}

#[test]
fn a_row_marked_as_deleted_neither_comes_in_nor_deletes_and_leaves_no_orphans() {
    let world = World::new();
    let marked = |text: &str| {
        merged(InsertOnly, text).columns([ColumnHints::new("deleted").hint("hard_delete", true)])
    };
    world.load(marked(r#"[{"id": 1, "name": "a", "deleted": false, "l": [1]}]"#));
    world.load(marked(r#"[{"id": 1, "deleted": true, "l": [5]}, {"id": 3, "deleted": true, "l": [6]}, {"id": 4, "name": "d", "l": [7]}]"#));
    assert_eq!(rows(&world), ["1, a", "4, d"]);
    assert_eq!(world.look("SELECT value FROM t__l ORDER BY 1"), ["1", "7"]);
    assert_eq!(world.orphans("t__l", "t"), 0);
}

#[test]
fn duplicate_new_keys_within_a_load_become_one_row() {
    let world = World::new();
    world.load(merged(InsertOnly, r#"[{"id": 1, "name": "a"}, {"id": 1, "name": "a"}]"#));
    assert_eq!(rows(&world), ["1, a"]);
}

#[test]
fn duplicates_whose_lists_nobody_could_tell_apart_are_refused() {
    let world = World::new();
    let text = r#"[{"id": 1, "name": "b", "l": [1, 2]}, {"id": 1, "name": "c", "l": [3]}]"#;
    let failed = world.try_load(merged(InsertOnly, text)).unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::BadData, "{:?}", failed.error);
}
