//! Merging tables with what is nested in them, two levels deep.

use crate::conformance::case::{Case, Cell, NULL, Outcome, cases, rows};
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::sql::Row;
use crate::{Column, DataType, MergeStrategy, Table, WriteDisposition};

pub(super) fn replacing() -> Vec<Case<World>> {
    let mut all = both_ways();
    all.extend(cases!("merge", []:
        nested_rows_go_and_come_with_their_root,
        nested_rows_that_are_no_more_go,
        a_root_without_nested_rows_loses_its_old_ones,
        a_deleted_root_takes_all_that_is_nested_in_it_along,
        nested_tables_without_rows_in_a_load_lose_those_of_its_roots,
    ));
    all
}

pub(super) fn inserting() -> Vec<Case<World>> {
    let mut all = both_ways();
    all.extend(cases!("merge", []: what_is_nested_in_known_rows_is_left_alone));
    all
}

fn both_ways() -> Vec<Case<World>> {
    cases!("merge", []:
        nested_rows_come_with_new_roots,
        nested_rows_of_duplicates_go_with_them,
        nested_rows_of_others_stay,
        nothing_is_nested_in_a_deletion,
        a_nested_table_may_come_later,
    )
}

fn put_tables(world: &mut World) {
    let mut root = Table::root("orders", WriteDisposition::Merge);
    root.put(Column::new("id", DataType::Bigint).not_null().with_hint("primary_key"));
    root.put(Column::new("note", DataType::Text));
    root.put(Column::new("deleted", DataType::Bool).with_hint("hard_delete"));
    root.put(row_key());
    let mut items = Table::nested("orders__items", "orders");
    let mut tags = Table::nested("orders__items__tags", "orders__items");
    for nested in [&mut items, &mut tags] {
        nested.put(Column::new("value", DataType::Text));
        nested.put(row_key());
        nested
            .put(Column::new("_dlt_parent_id", DataType::Text).not_null().with_hint("parent_key"));
        nested.put(Column::new("_dlt_root_id", DataType::Text).not_null().with_hint("root_key"));
    }
    for table in [root, items, tags] {
        world.put(table);
    }
}

fn row_key() -> Column {
    Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key").with_hint("unique")
}

/// An order with its items, each with its tags.
struct Order<'a> {
    id: i64,
    note: &'a str,
    deleted: bool,
    items: &'a [(&'a str, &'a [&'a str])],
}

fn order<'a>(id: i64, note: &'a str, items: &'a [(&'a str, &'a [&'a str])]) -> Order<'a> {
    Order { id, note, deleted: false, items }
}

/// Merges orders. Row keys are new with each load, but for strategies that derive them from the primary key.
async fn merged(world: &mut World, load: i64, orders: &[Order<'_>]) -> Outcome {
    let derived = matches!(world.merge, MergeStrategy::Upsert | MergeStrategy::InsertOnly);
    let (mut roots, mut items, mut tags): (Vec<Row>, Vec<Row>, Vec<Row>) = Default::default();
    for (number, order) in orders.iter().enumerate() {
        let key = match derived {
            true => format!("order {}", order.id),
            false => format!("order {} of load {load}, number {number}", order.id),
        };
        let deleted = order.deleted.to_string();
        roots.extend(rows![[order.id, order.note, deleted, key.clone()]]);
        for (at, (item, of_item)) in order.items.iter().enumerate() {
            let item_key = format!("{key}, item {at}");
            items.extend(rows![[*item, item_key.clone(), key.clone(), key.clone()]]);
            for (at, tag) in of_item.iter().enumerate() {
                let tag_key = format!("{item_key}, tag {at}");
                tags.extend(rows![[*tag, tag_key, item_key.clone(), key.clone()]]);
            }
        }
    }
    let mut parts = Vec::new();
    for (table, rows) in
        [("orders", roots), ("orders__items", items), ("orders__items__tags", tags)]
    {
        parts.push(match rows.is_empty() {
            true => Part::empty(table),
            false => world.part(table, rows)?,
        });
    }
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, parts)]).await?;
    Ok(())
}

/// Looks at all three tables.
async fn expect(world: &World, orders: &[(i64, &str)], items: &[&str], tags: &[&str]) -> Outcome {
    let one = |value: &&str| vec![value.cell()];
    let roots = orders.iter().flat_map(|(id, note)| rows![[*id, *note]]).collect();
    world.expect("orders", &["id", "note"], roots).await?;
    world.expect("orders__items", &["value"], items.iter().map(one).collect()).await?;
    world.expect("orders__items__tags", &["value"], tags.iter().map(one).collect()).await
}

async fn nested_rows_come_with_new_roots(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t", "u"]), ("y", &[])])]).await?;
    merged(world, 2, &[order(2, "b", &[("z", &["v"])])]).await?;
    expect(world, &[(1, "a"), (2, "b")], &["x", "y", "z"], &["t", "u", "v"]).await
}

async fn nested_rows_go_and_come_with_their_root(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])]), order(2, "b", &[("y", &["u"])])]).await?;
    merged(world, 2, &[order(1, "new", &[("x2", &["t2"])])]).await?;
    expect(world, &[(1, "new"), (2, "b")], &["x2", "y"], &["t2", "u"]).await
}

async fn nested_rows_that_are_no_more_go(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t", "u", "v"]), ("y", &["w"]), ("z", &[])])])
        .await?;
    merged(world, 2, &[order(1, "a", &[("x", &["t"])])]).await?;
    expect(world, &[(1, "a")], &["x"], &["t"]).await
}

async fn a_root_without_nested_rows_loses_its_old_ones(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])]), order(2, "b", &[("y", &["u"])])]).await?;
    merged(world, 2, &[order(1, "a", &[]), order(3, "c", &[("z", &["v"])])]).await?;
    expect(world, &[(1, "a"), (2, "b"), (3, "c")], &["y", "z"], &["u", "v"]).await
}

async fn nested_tables_without_rows_in_a_load_lose_those_of_its_roots(
    world: &mut World,
) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])]), order(2, "b", &[("y", &["u"])])]).await?;
    merged(world, 2, &[order(2, "new", &[])]).await?;
    expect(world, &[(1, "a"), (2, "new")], &["x"], &["t"]).await
}

async fn a_deleted_root_takes_all_that_is_nested_in_it_along(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])]), order(2, "b", &[("y", &["u"])])]).await?;
    merged(world, 2, &[Order { deleted: true, ..order(1, "gone", &[]) }]).await?;
    expect(world, &[(2, "b")], &["y"], &["u"]).await
}

async fn nothing_is_nested_in_a_deletion(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])])]).await?;
    merged(
        world,
        2,
        &[Order { deleted: true, ..order(7, "never was", &[("orphan", &["orphan"])]) }],
    )
    .await?;
    expect(world, &[(1, "a")], &["x"], &["t"]).await
}

async fn nested_rows_of_duplicates_go_with_them(world: &mut World) -> Outcome {
    put_tables(world);
    // Two rows of one key and one content: whichever stays, its nested rows are there once.
    merged(
        world,
        1,
        &[order(1, "a", &[("x", &["t"])]), order(1, "a", &[("x", &["t"])]), order(2, "b", &[])],
    )
    .await?;
    expect(world, &[(1, "a"), (2, "b")], &["x"], &["t"]).await
}

async fn nested_rows_of_others_stay(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])])]).await?;
    for load in 2..=3 {
        merged(world, load, &[order(2, "b", &[("y", &["u"])])]).await?;
    }
    expect(world, &[(1, "a"), (2, "b")], &["x", "y"], &["t", "u"]).await
}

async fn what_is_nested_in_known_rows_is_left_alone(world: &mut World) -> Outcome {
    put_tables(world);
    merged(world, 1, &[order(1, "a", &[("x", &["t"])])]).await?;
    merged(
        world,
        2,
        &[order(1, "new", &[("x2", &["t2"]), ("y", &["u"])]), order(2, "b", &[("z", &[])])],
    )
    .await?;
    expect(world, &[(1, "a"), (2, "b")], &["x", "z"], &["t"]).await
}

async fn a_nested_table_may_come_later(world: &mut World) -> Outcome {
    put_tables(world);
    let nested: Vec<Table> = ["orders__items", "orders__items__tags"]
        .into_iter()
        .filter_map(|name| world.schema.tables.shift_remove(name))
        .collect();
    let part = world.part("orders", rows![[1, "a", NULL, "order 1"]])?;
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    for table in nested {
        world.put(table);
    }
    merged(world, 2, &[order(2, "b", &[("x", &["t"])])]).await?;
    expect(world, &[(1, "a"), (2, "b")], &["x"], &["t"]).await
}
