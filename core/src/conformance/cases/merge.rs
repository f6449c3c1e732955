//! Merging by key.

use super::merge_nested;
use crate::conformance::case::{Case, NULL, Outcome, cases, ensure, rows};
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::sql::Row;
use crate::{Column, DataFile, DataType, MergeStrategy, Table, WriteDisposition};

pub(super) fn delete_insert() -> Vec<Case<World>> {
    let mut all = by_primary_key();
    all.extend(cases!("merge", []:
        rows_with_a_known_key_are_replaced,
        a_row_is_replaced_as_a_whole,
        a_column_may_be_added_by_a_merge,
        a_marked_row_is_deleted,
        a_mark_that_is_no_truth_value_deletes_where_it_is_not_null,
        a_mark_on_the_last_of_a_key_deletes_it,
        rows_of_a_merge_key_are_replaced_together,
        a_merge_key_alone_keeps_duplicates,
        primary_key_and_merge_key_delete_each_for_itself,
        a_merge_key_that_is_null_matches_nothing,
        a_load_that_says_it_has_no_duplicates_is_taken_at_its_word,
    ));
    all.extend(merge_nested::replacing());
    all
}

pub(super) fn upsert() -> Vec<Case<World>> {
    let mut all = by_primary_key();
    all.extend(cases!("merge", []:
        rows_with_a_known_key_are_replaced,
        a_row_is_replaced_as_a_whole,
        a_column_may_be_added_by_a_merge,
        a_marked_row_is_deleted,
        a_mark_that_is_no_truth_value_deletes_where_it_is_not_null,
        a_mark_on_the_last_of_a_key_deletes_it,
    ));
    all.extend(merge_nested::replacing());
    all
}

pub(super) fn insert_only() -> Vec<Case<World>> {
    let mut all = by_primary_key();
    all.extend(cases!("merge", []: rows_with_a_known_key_are_left_alone));
    all.extend(merge_nested::inserting());
    all
}

fn by_primary_key() -> Vec<Case<World>> {
    cases!("merge", []:
        the_first_load_of_a_table_may_merge,
        rows_with_a_new_key_are_added,
        the_same_load_again_changes_no_row,
        every_part_of_a_compound_key_counts,
        parts_of_a_compound_key_do_not_run_together,
        keys_of_every_type_are_found,
        one_row_of_each_key_is_left,
        the_greatest_stays_where_duplicates_are_sorted,
        the_least_stays_where_duplicates_are_sorted_the_other_way,
        a_marked_row_that_is_not_there_is_not_added,
        a_merge_without_rows_changes_nothing,
        odd_names_of_keys_are_only_names,
        the_rows_of_several_files_are_merged_as_one,
        a_merge_that_fails_changes_nothing,
        a_merge_leaves_nothing_behind,
    )
}

/// `players`: `id` is the key, `name` is the rest; `seq` and `deleted` for those who hint at them.
fn keyed(hints: &[(&str, &str)]) -> Table {
    let mut table = Table::root("players", WriteDisposition::Merge);
    table.put(Column::new("id", DataType::Bigint).not_null().with_hint("primary_key"));
    table.put(Column::new("name", DataType::Text));
    for (name, hint) in hints {
        let data_type = if *name == "seq" { DataType::Bigint } else { DataType::Bool };
        let mut column = Column::new(*name, data_type);
        let value = match *hint {
            "asc" | "desc" => ("dedup_sort", serde_json::Value::from(*hint)),
            hint => (hint, serde_json::Value::Bool(true)),
        };
        column.hints.insert(value.0.to_owned(), value.1);
        table.put(column);
    }
    table.put(
        Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key").with_hint("unique"),
    );
    table
}

/// Adds the row keys: new ones with each load, but for strategies that derive them from the primary key.
pub(super) fn with_row_keys(world: &World, load: i64, rows: Vec<Row>) -> Vec<Row> {
    let derived = matches!(world.merge, MergeStrategy::Upsert | MergeStrategy::InsertOnly);
    let key = |number: usize, row: &Row| {
        let id = row.first().cloned().flatten().unwrap_or_default();
        match derived {
            true => format!("key of {id}"),
            false => format!("row {number} of load {load}"),
        }
    };
    rows.into_iter()
        .enumerate()
        .map(|(number, mut row)| {
            row.push(Some(key(number, &row)));
            row
        })
        .collect()
}

/// Merges rows into `players`.
async fn merged(world: &mut World, load: i64, rows: Vec<Row>) -> Outcome {
    let rows = with_row_keys(world, load, rows);
    let part = world.part("players", rows)?;
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    Ok(())
}

async fn the_first_load_of_a_table_may_merge(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"], [2, NULL]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, NULL]]).await
}

async fn rows_with_a_new_key_are_added(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"]]).await?;
    merged(world, 2, rows![[2, "b"], [3, "c"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, "b"], [3, "c"]]).await
}

async fn rows_with_a_known_key_are_replaced(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"], [2, "b"]]).await?;
    merged(world, 2, rows![[2, "new"], [3, "c"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, "new"], [3, "c"]]).await
}

async fn rows_with_a_known_key_are_left_alone(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"], [2, "b"]]).await?;
    merged(world, 2, rows![[2, "new"], [3, "c"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, "b"], [3, "c"]]).await
}

async fn a_row_is_replaced_as_a_whole(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"]]).await?;
    // What the new row does not have it has no more.
    merged(world, 2, rows![[1, NULL]]).await?;
    world.expect("players", &["id", "name"], rows![[1, NULL]]).await
}

async fn the_same_load_again_changes_no_row(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    for load in 0..3 {
        merged(world, load, rows![[1, "a"], [2, "b"]]).await?;
        world.expect("players", &["id", "name"], rows![[1, "a"], [2, "b"]]).await?;
    }
    Ok(())
}

async fn a_column_may_be_added_by_a_merge(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"], [2, "b"]]).await?;
    let mut grown = keyed(&[]);
    grown.put(Column::new("born", DataType::Date));
    world.put(grown);
    let mut rows = with_row_keys(world, 2, rows![[2, "new"], [3, "c"]]);
    rows[0].push(Some("2001-02-03".into()));
    rows[1].push(None);
    let part = world.part("players", rows)?;
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    world
        .expect(
            "players",
            &["id", "name", "born"],
            rows![[1, "a", NULL], [2, "new", "2001-02-03"], [3, "c", NULL]],
        )
        .await
}

/// Whether later rows of a known key take the place of the old ones.
fn replaces(world: &World) -> bool {
    world.merge != MergeStrategy::InsertOnly
}

fn compound() -> Table {
    let mut table = Table::root("players", WriteDisposition::Merge);
    for name in ["club", "number"] {
        table.put(Column::new(name, DataType::Text).not_null().with_hint("primary_key"));
    }
    table.put(Column::new("name", DataType::Text));
    table.put(
        Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key").with_hint("unique"),
    );
    table
}

/// Merges rows with compound keys; the row key is made of both parts.
async fn merged_compound(world: &mut World, rows: Vec<Row>) -> Outcome {
    let rows = rows
        .into_iter()
        .map(|mut row| {
            row.push(Some(format!("{:?}", &row[..2])));
            row
        })
        .collect();
    let part = world.part("players", rows)?;
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    Ok(())
}

async fn every_part_of_a_compound_key_counts(world: &mut World) -> Outcome {
    world.put(compound());
    merged_compound(world, rows![["x", "1", "a"], ["x", "2", "b"], ["y", "1", "c"]]).await?;
    merged_compound(world, rows![["x", "1", "new"], ["y", "2", "d"]]).await?;
    let first = if replaces(world) { "new" } else { "a" };
    world
        .expect(
            "players",
            &["club", "number", "name"],
            rows![["x", "1", first], ["x", "2", "b"], ["y", "1", "c"], ["y", "2", "d"]],
        )
        .await
}

async fn parts_of_a_compound_key_do_not_run_together(world: &mut World) -> Outcome {
    world.put(compound());
    merged_compound(world, rows![["a", "bc", "first"]]).await?;
    merged_compound(world, rows![["ab", "c", "second"]]).await?;
    world
        .expect(
            "players",
            &["club", "number", "name"],
            rows![["a", "bc", "first"], ["ab", "c", "second"]],
        )
        .await
}

async fn keys_of_every_type_are_found(world: &mut World) -> Outcome {
    for (number, (data_type, value)) in [
        (DataType::Text, "it's \"x\" 😀"),
        (DataType::Bigint, "-9223372036854775808"),
        (DataType::Decimal, "1.25"),
        (DataType::Date, "2024-02-29"),
        (DataType::Timestamp, "2024-02-29T23:59:59.123456Z"),
        (DataType::Bool, "true"),
    ]
    .into_iter()
    .enumerate()
    {
        if world.capabilities().not_carried.contains(&(world.format, data_type)) {
            continue;
        }
        let name = format!("t{number}");
        let mut table = Table::root(&name, WriteDisposition::Merge);
        table.put(Column::new("key", data_type).not_null().with_hint("primary_key"));
        table.put(Column::new("n", DataType::Bigint));
        table.put(
            Column::new("_dlt_id", DataType::Text)
                .not_null()
                .with_hint("row_key")
                .with_hint("unique"),
        );
        world.put(table);
        for load in 1..=2_i64 {
            let part = world.part(&name, rows![[value, load, format!("key {number}")]])?;
            let disposition = world.merging();
            world.load(vec![Chain::of(disposition, [part])]).await?;
        }
        let last = if replaces(world) { 2 } else { 1 };
        world.expect(&name, &["key", "n"], rows![[value, last]]).await?;
    }
    Ok(())
}

async fn one_row_of_each_key_is_left(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"], [1, "a"], [2, "b"], [1, "a"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, "b"]]).await
}

async fn the_greatest_stays_where_duplicates_are_sorted(world: &mut World) -> Outcome {
    world.put(keyed(&[("seq", "desc")]));
    merged(world, 1, rows![[1, "foo", 1], [1, "baz", 11], [1, "bar", 2]]).await?;
    world.expect("players", &["id", "name", "seq"], rows![[1, "baz", 11]]).await
}

async fn the_least_stays_where_duplicates_are_sorted_the_other_way(world: &mut World) -> Outcome {
    world.put(keyed(&[("seq", "asc")]));
    merged(world, 1, rows![[1, "bar", 2], [1, "foo", 1], [1, "baz", 11]]).await?;
    world.expect("players", &["id", "name", "seq"], rows![[1, "foo", 1]]).await
}

async fn a_marked_row_is_deleted(world: &mut World) -> Outcome {
    world.put(keyed(&[("deleted", "hard_delete")]));
    merged(world, 1, rows![[1, "a", "false"], [2, "b", NULL], [3, "c", "false"]]).await?;
    merged(world, 2, rows![[1, NULL, "true"], [3, "new", "false"]]).await?;
    world.expect("players", &["id", "name"], rows![[2, "b"], [3, "new"]]).await
}

async fn a_marked_row_that_is_not_there_is_not_added(world: &mut World) -> Outcome {
    world.put(keyed(&[("deleted", "hard_delete")]));
    merged(world, 1, rows![[1, "a", NULL]]).await?;
    merged(world, 2, rows![[7, "gone", "true"], [8, "here", "false"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [8, "here"]]).await
}

async fn a_mark_that_is_no_truth_value_deletes_where_it_is_not_null(world: &mut World) -> Outcome {
    let mut table = keyed(&[]);
    table.put(Column::new("deleted_at", DataType::Timestamp).with_hint("hard_delete"));
    world.put(table);
    let chain = |world: &mut World, load: i64, rows: Vec<Row>, marks: [Option<&str>; 2]| {
        let mut rows = with_row_keys(world, load, rows);
        for (row, mark) in rows.iter_mut().zip(marks) {
            row.push(mark.map(str::to_owned));
        }
        let part = world.part("players", rows)?;
        Outcome::Ok(Chain::of(world.merging(), [part]))
    };
    let first = chain(world, 1, rows![[1, "a"], [2, "b"]], [None, None])?;
    world.load(vec![first]).await?;
    let second =
        chain(world, 2, rows![[1, NULL], [2, "new"]], [Some("2024-02-15T17:16:53Z"), None])?;
    world.load(vec![second]).await?;
    world.expect("players", &["id", "name"], rows![[2, "new"]]).await
}

async fn a_mark_on_the_last_of_a_key_deletes_it(world: &mut World) -> Outcome {
    world.put(keyed(&[("seq", "desc"), ("deleted", "hard_delete")]));
    merged(world, 1, rows![[1, "a", 1, "false"], [2, "b", 1, "false"]]).await?;
    merged(
        world,
        2,
        rows![
            [1, "late", 2, "false"],
            [1, NULL, 3, "true"],
            [2, NULL, 2, "true"],
            [2, "late", 3, "false"],
        ],
    )
    .await?;
    world.expect("players", &["id", "name"], rows![[2, "late"]]).await
}

/// `players` with a merge key `day`, and `id` for a primary key where asked for.
fn by_day(primary: bool) -> Table {
    let mut table = Table::root("players", WriteDisposition::Merge);
    let id = Column::new("id", DataType::Bigint);
    table.put(if primary { id.not_null().with_hint("primary_key") } else { id });
    table.put(Column::new("day", DataType::Text).with_hint("merge_key"));
    table.put(
        Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key").with_hint("unique"),
    );
    table
}

async fn rows_of_a_merge_key_are_replaced_together(world: &mut World) -> Outcome {
    world.put(by_day(false));
    merged(world, 1, rows![[1, "mon"], [2, "mon"], [3, "tue"]]).await?;
    merged(world, 2, rows![[4, "mon"]]).await?;
    world.expect("players", &["id", "day"], rows![[4, "mon"], [3, "tue"]]).await
}

async fn a_merge_key_alone_keeps_duplicates(world: &mut World) -> Outcome {
    world.put(by_day(false));
    for load in 1..=2 {
        merged(world, load, rows![[1, "mon"], [1, "mon"]]).await?;
    }
    world.expect("players", &["id", "day"], rows![[1, "mon"], [1, "mon"]]).await
}

async fn primary_key_and_merge_key_delete_each_for_itself(world: &mut World) -> Outcome {
    world.put(by_day(true));
    merged(world, 1, rows![[1, "mon"], [2, "mon"], [3, "tue"], [4, "wed"]]).await?;
    // The key 3 goes for its own sake, 1 and 2 for their day's.
    merged(world, 2, rows![[3, "mon"], [5, "mon"]]).await?;
    world.expect("players", &["id", "day"], rows![[3, "mon"], [5, "mon"], [4, "wed"]]).await
}

async fn a_merge_key_that_is_null_matches_nothing(world: &mut World) -> Outcome {
    world.put(by_day(false));
    merged(world, 1, rows![[1, NULL], [2, "tue"]]).await?;
    merged(world, 2, rows![[3, NULL], [4, "tue"]]).await?;
    world.expect("players", &["id", "day"], rows![[1, NULL], [3, NULL], [4, "tue"]]).await
}

async fn a_load_that_says_it_has_no_duplicates_is_taken_at_its_word(world: &mut World) -> Outcome {
    let mut table = keyed(&[]);
    table.hints.insert("x-stage-data-deduplicated".into(), serde_json::Value::Bool(true));
    world.put(table);
    merged(world, 1, rows![[1, "a"], [1, "b"]]).await?;
    merged(world, 2, rows![[1, "c"], [1, "d"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "c"], [1, "d"]]).await
}

async fn a_merge_without_rows_changes_nothing(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"]]).await?;
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [Part::empty("players")])]).await?;
    merged(world, 2, rows![]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}

async fn odd_names_of_keys_are_only_names(world: &mut World) -> Outcome {
    let mut table = Table::root("order", WriteDisposition::Merge);
    table.put(Column::new("select", DataType::Bigint).not_null().with_hint("primary_key"));
    table.put(Column::new("from", DataType::Text));
    let mut sort = Column::new("desc", DataType::Bigint);
    sort.hints.insert("dedup_sort".into(), "desc".into());
    table.put(sort);
    table.put(Column::new("delete", DataType::Bool).with_hint("hard_delete"));
    table.put(
        Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key").with_hint("unique"),
    );
    world.put(table);
    for rows in [
        rows![[1, "a", 1, "false", "k1"], [2, "b", 1, "false", "k2"]],
        rows![
            [1, "late", 2, "false", "k1"],
            [1, "early", 1, "false", "k1"],
            [3, "c", 1, "true", "k3"]
        ],
    ] {
        let part = world.part("order", rows)?;
        let disposition = world.merging();
        world.load(vec![Chain::of(disposition, [part])]).await?;
    }
    let first = if replaces(world) { "late" } else { "a" };
    world.expect("order", &["select", "from"], rows![[1, first], [2, "b"]]).await
}

async fn the_rows_of_several_files_are_merged_as_one(world: &mut World) -> Outcome {
    world.put(keyed(&[("seq", "desc")]));
    let mut files = Vec::new();
    for (seq, name) in [(1, "first"), (3, "last"), (2, "second")] {
        let rows = with_row_keys(world, seq, rows![[1, name, seq]]);
        files.push(world.file("players", &["id", "name", "seq", "_dlt_id"], rows)?);
    }
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [Part::of("players", files)])]).await?;
    world.expect("players", &["id", "name"], rows![[1, "last"]]).await
}

async fn a_merge_that_fails_changes_nothing(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"]]).await?;
    let rows = with_row_keys(world, 2, rows![[1, "b"], [2, "c"]]);
    let file = world.file("players", &["id", "name", "_dlt_id"], rows)?;
    let part = Part::of("players", [DataFile { rows: 9, ..file }]);
    let disposition = world.merging();
    let failed = world.load(vec![Chain::of(disposition, [part])]).await;
    ensure!(failed.is_err(), "a merge whose rows do not reconcile was published");
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}

async fn a_merge_leaves_nothing_behind(world: &mut World) -> Outcome {
    world.put(keyed(&[]));
    merged(world, 1, rows![[1, "a"]]).await?;
    merged(world, 2, rows![[1, "b"]]).await?;
    world.expect_staging(&[]).await
}
