//! Keeping what was: rows with the time from which and until which they hold.

use crate::conformance::case::{Case, NULL, Outcome, cases, rows};
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::sql::Row;
use crate::{Column, DataType, Table, WriteDisposition};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("merge", []:
        the_first_version_of_a_row_is_open,
        a_version_that_changed_is_closed_and_the_new_one_opened,
        a_row_that_is_no_more_is_closed,
        a_row_that_did_not_change_stays_as_it_is,
        a_row_that_comes_back_is_opened_anew,
        the_same_version_twice_in_a_load_is_one,
        with_a_merge_key_only_its_rows_are_closed,
        parts_of_a_compound_merge_key_do_not_run_together_in_history,
        open_rows_may_have_a_time_far_away,
        versions_with_nested_rows_keep_them,
        a_version_column_of_ones_own_is_taken,
        the_columns_of_validity_may_be_added_later,
    )
}

/// The times of the first loads, as they stand in the rows.
const TIMES: [&str; 6] = [
    "",
    "2026-11-22T17:01:39.736473",
    "2026-11-22T17:02:39.736473",
    "2026-11-22T17:03:39.736473",
    "2026-11-22T17:04:39.736473",
    "2026-11-22T17:05:39.736473",
];

fn history(merge_keys: &[&str]) -> Table {
    let mut table = Table::root("players", WriteDisposition::Merge);
    for name in ["club", "number", "name"] {
        let column = Column::new(name, DataType::Text);
        table.put(match merge_keys.contains(&name) {
            true => column.with_hint("merge_key"),
            false => column,
        });
    }
    table.put(Column::new("_dlt_valid_from", DataType::Timestamp).with_hint("x-valid-from"));
    table.put(Column::new("_dlt_valid_to", DataType::Timestamp).with_hint("x-valid-to"));
    // A row that comes back has the same one again: it is no key of the table.
    table.put(
        Column::new("_dlt_id", DataType::Text)
            .not_null()
            .with_hint("row_key")
            .with_hint("x-row-version"),
    );
    table
}

/// Loads a state of the table; the version of a row is a function of its values.
async fn loaded(world: &mut World, rows: Vec<Row>) -> Outcome {
    let rows: Vec<Row> = rows
        .into_iter()
        .map(|mut row| {
            row.push(Some(format!("{row:?}")));
            row
        })
        .collect();
    let part = match rows.is_empty() {
        true => Part::empty("players"),
        false => world.part("players", rows)?,
    };
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    Ok(())
}

async fn expect(world: &World, rows: Vec<Row>) -> Outcome {
    world.expect("players", &["number", "name", "_dlt_valid_from", "_dlt_valid_to"], rows).await
}

async fn the_first_version_of_a_row_is_open(world: &mut World) -> Outcome {
    world.put(history(&[]));
    loaded(world, rows![["c", "1", "foo"], ["c", "2", NULL]]).await?;
    expect(world, rows![["1", "foo", TIMES[1], NULL], ["2", NULL, TIMES[1], NULL]]).await
}

async fn a_version_that_changed_is_closed_and_the_new_one_opened(world: &mut World) -> Outcome {
    world.put(history(&[]));
    loaded(world, rows![["c", "1", "foo"], ["c", "2", "bar"]]).await?;
    loaded(world, rows![["c", "1", "new"], ["c", "2", "bar"]]).await?;
    expect(
        world,
        rows![
            ["1", "foo", TIMES[1], TIMES[2]],
            ["1", "new", TIMES[2], NULL],
            ["2", "bar", TIMES[1], NULL]
        ],
    )
    .await
}

async fn a_row_that_is_no_more_is_closed(world: &mut World) -> Outcome {
    world.put(history(&[]));
    loaded(world, rows![["c", "1", "foo"], ["c", "2", "bar"]]).await?;
    loaded(world, rows![["c", "2", "bar"]]).await?;
    expect(world, rows![["1", "foo", TIMES[1], TIMES[2]], ["2", "bar", TIMES[1], NULL]]).await
}

async fn a_row_that_did_not_change_stays_as_it_is(world: &mut World) -> Outcome {
    world.put(history(&[]));
    for _ in 0..3 {
        loaded(world, rows![["c", "1", "foo"]]).await?;
        expect(world, rows![["1", "foo", TIMES[1], NULL]]).await?;
    }
    Ok(())
}

async fn a_row_that_comes_back_is_opened_anew(world: &mut World) -> Outcome {
    world.put(history(&[]));
    loaded(world, rows![["c", "1", "foo"], ["c", "2", "bar"]]).await?;
    loaded(world, rows![["c", "2", "bar"]]).await?;
    loaded(world, rows![["c", "1", "foo"], ["c", "2", "bar"]]).await?;
    expect(
        world,
        rows![
            ["1", "foo", TIMES[1], TIMES[2]],
            ["1", "foo", TIMES[3], NULL],
            ["2", "bar", TIMES[1], NULL]
        ],
    )
    .await
}

async fn the_same_version_twice_in_a_load_is_one(world: &mut World) -> Outcome {
    world.put(history(&[]));
    loaded(world, rows![["c", "1", "foo"], ["c", "1", "foo"]]).await?;
    expect(world, rows![["1", "foo", TIMES[1], NULL]]).await
}

async fn with_a_merge_key_only_its_rows_are_closed(world: &mut World) -> Outcome {
    world.put(history(&["number"]));
    loaded(world, rows![["c", "1", "foo"], ["c", "2", "bar"]]).await?;
    loaded(world, rows![["c", "1", "new"], ["c", "3", "baz"]]).await?;
    expect(
        world,
        rows![
            ["1", "foo", TIMES[1], TIMES[2]],
            ["1", "new", TIMES[2], NULL],
            ["2", "bar", TIMES[1], NULL],
            ["3", "baz", TIMES[2], NULL],
        ],
    )
    .await
}

async fn parts_of_a_compound_merge_key_do_not_run_together_in_history(
    world: &mut World,
) -> Outcome {
    world.put(history(&["club", "number"]));
    loaded(world, rows![["a", "bc", "foo"]]).await?;
    loaded(world, rows![["ab", "c", "bar"]]).await?;
    expect(world, rows![["bc", "foo", TIMES[1], NULL], ["c", "bar", TIMES[2], NULL]]).await
}

async fn open_rows_may_have_a_time_far_away(world: &mut World) -> Outcome {
    let mut table = history(&[]);
    table.columns["_dlt_valid_to"]
        .hints
        .insert("x-active-record-timestamp".into(), "9999-12-31T00:00:00Z".into());
    world.put(table);
    loaded(world, rows![["c", "1", "foo"], ["c", "2", "bar"]]).await?;
    loaded(world, rows![["c", "1", "new"], ["c", "2", "bar"]]).await?;
    let open = "9999-12-31T00:00:00";
    expect(
        world,
        rows![
            ["1", "foo", TIMES[1], TIMES[2]],
            ["1", "new", TIMES[2], open],
            ["2", "bar", TIMES[1], open]
        ],
    )
    .await
}

async fn versions_with_nested_rows_keep_them(world: &mut World) -> Outcome {
    world.put(history(&[]));
    let mut games = Table::nested("players__games", "players");
    games.put(Column::new("value", DataType::Text));
    games.put(
        Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key").with_hint("unique"),
    );
    games.put(Column::new("_dlt_parent_id", DataType::Text).not_null().with_hint("parent_key"));
    games.put(Column::new("_dlt_root_id", DataType::Text).not_null().with_hint("root_key"));
    world.put(games);
    // The version of a row is that of the whole document: other games are another version.
    for (name, version, values) in
        [("foo", "v1", &["x", "y"][..]), ("foo", "v2", &["x", "z"]), ("foo", "v1", &["x", "y"])]
    {
        let root = world.part("players", rows![["c", "1", name, version]])?;
        let nested = values
            .iter()
            .flat_map(|value| rows![[*value, format!("{version} {value}"), version, version]])
            .collect();
        let nested = world.part("players__games", nested)?;
        let disposition = world.merging();
        world.load(vec![Chain::of(disposition, [root, nested])]).await?;
    }
    expect(
        world,
        rows![
            ["1", "foo", TIMES[1], TIMES[2]],
            ["1", "foo", TIMES[2], TIMES[3]],
            ["1", "foo", TIMES[3], NULL],
        ],
    )
    .await?;
    // Those of the version that came back are there for both.
    world
        .expect(
            "players__games",
            &["value", "_dlt_root_id"],
            rows![["x", "v1"], ["y", "v1"], ["x", "v2"], ["z", "v2"]],
        )
        .await
}

async fn a_version_column_of_ones_own_is_taken(world: &mut World) -> Outcome {
    let mut table = history(&[]);
    table.put(Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key"));
    table.put(Column::new("hash", DataType::Text).with_hint("x-row-version"));
    world.put(table);
    for (name, key, hash) in
        [("foo", "k1", "h1"), ("looks new", "k2", "h1"), ("is new", "k3", "h2")]
    {
        let part = world.part("players", rows![["c", "1", name, key, hash]])?;
        let disposition = world.merging();
        world.load(vec![Chain::of(disposition, [part])]).await?;
    }
    expect(world, rows![["1", "foo", TIMES[1], TIMES[3]], ["1", "is new", TIMES[3], NULL]]).await
}

async fn the_columns_of_validity_may_be_added_later(world: &mut World) -> Outcome {
    let mut plain = history(&[]);
    for name in ["_dlt_valid_from", "_dlt_valid_to"] {
        plain.columns.shift_remove(name);
    }
    world.put(plain);
    world.append("players", rows![["c", "1", "foo", "v1"]]).await?;
    let mut table = world.schema.tables["players"].clone();
    table.put(Column::new("_dlt_valid_from", DataType::Timestamp).with_hint("x-valid-from"));
    table.put(Column::new("_dlt_valid_to", DataType::Timestamp).with_hint("x-valid-to"));
    world.put(table);
    let part = world.part("players", rows![["c", "1", "new", "v2"]])?;
    let disposition = world.merging();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    expect(world, rows![["1", "foo", NULL, TIMES[2]], ["1", "new", TIMES[2], NULL]]).await
}
