//! Replacing rows, by every strategy.

use std::cell::Cell;

use super::publication::both;
use super::{games, players, table};
use crate::conformance::case::{Case, NULL, Outcome, cases, ensure, rows};
use crate::conformance::faults::give_way;
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::{Column, DataFile, DataType, Disposition};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("replace", []:
        the_rows_of_the_load_alone_are_left,
        the_first_load_of_a_table_may_replace,
        a_load_without_rows_empties_the_chain,
        nested_tables_without_rows_become_empty,
        other_tables_stay_as_they_are,
        a_replacement_that_fails_leaves_the_old_rows,
        readers_see_the_old_rows_or_the_new_ones_and_never_none,
        a_column_may_be_added_on_the_way,
        replacing_again_replaces_again,
        a_replacement_leaves_nothing_behind,
        one_load_may_replace_and_append,
    )
}

async fn replaced(world: &mut World, rows: Vec<crate::sql::Row>) -> Outcome {
    let part = world.part("players", rows)?;
    let disposition = world.replacing();
    world.load(vec![Chain::of(disposition, [part])]).await?;
    Ok(())
}

async fn the_rows_of_the_load_alone_are_left(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"], [2, "b"]]).await?;
    replaced(world, rows![[2, "c"], [3, "d"]]).await?;
    world.expect("players", &["id", "name"], rows![[2, "c"], [3, "d"]]).await
}

async fn the_first_load_of_a_table_may_replace(world: &mut World) -> Outcome {
    world.put(players());
    replaced(world, rows![[1, "a"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}

/// A chain of two tables with rows in both.
async fn chain(world: &mut World) -> Outcome {
    world.put(players());
    world.put(games());
    let parts =
        [world.part("players", rows![[1, "a"]])?, world.part("players__games", rows![["x", "1"]])?];
    world.load(vec![Chain::of(Disposition::Append, parts)]).await?;
    Ok(())
}

async fn a_load_without_rows_empties_the_chain(world: &mut World) -> Outcome {
    chain(world).await?;
    let parts = [Part::empty("players"), Part::empty("players__games")];
    let disposition = world.replacing();
    world.load(vec![Chain::of(disposition, parts)]).await?;
    world.expect("players", &["id"], rows![]).await?;
    world.expect("players__games", &["value"], rows![]).await
}

async fn nested_tables_without_rows_become_empty(world: &mut World) -> Outcome {
    chain(world).await?;
    let parts = [world.part("players", rows![[2, "b"]])?, Part::empty("players__games")];
    let disposition = world.replacing();
    world.load(vec![Chain::of(disposition, parts)]).await?;
    world.expect("players", &["id"], rows![[2]]).await?;
    world.expect("players__games", &["value"], rows![]).await
}

async fn other_tables_stay_as_they_are(world: &mut World) -> Outcome {
    for name in ["players_old", "player", "players2"] {
        world.put(table(name, &[("name", DataType::Text)]));
        world.append(name, rows![["stays"]]).await?;
    }
    chain(world).await?;
    replaced(world, rows![[9, "z"]]).await?;
    for name in ["players_old", "player", "players2"] {
        world.expect(name, &["name"], rows![["stays"]]).await?;
    }
    Ok(())
}

async fn a_replacement_that_fails_leaves_the_old_rows(world: &mut World) -> Outcome {
    chain(world).await?;
    let good = world.part("players", rows![[9, "z"]])?;
    let bad = world.file("players__games", &["value"], rows![["y"]])?;
    let bad = Part::of("players__games", [DataFile { rows: 7, ..bad }]);
    let disposition = world.replacing();
    let failed = world.load(vec![Chain::of(disposition, [good, bad])]).await;
    ensure!(failed.is_err(), "a replacement whose rows do not reconcile was published");
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await?;
    world.expect("players__games", &["value"], rows![["x"]]).await
}

async fn readers_see_the_old_rows_or_the_new_ones_and_never_none(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "old"], [2, "old"]]).await?;
    let part = world.part("players", rows![[1, "new"], [2, "new"], [3, "new"]])?;
    let disposition = world.replacing();
    let mut package = world.package(vec![Chain::of(disposition, [part])]);
    let writer_side = world.open()?;
    let world: &World = world;
    let done = Cell::new(false);
    let write = async {
        let written = world.finish(writer_side.as_ref(), &mut package).await;
        done.set(true);
        written
    };
    let read = async {
        loop {
            let last = done.get();
            let found = world.look("players", &["name"]).await?;
            let is = |word: &str| found.iter().all(|row| row[0].as_deref() == Some(word));
            ensure!(
                (found.len() == 2 && is("old")) || (found.len() == 3 && is("new")),
                "a reader found {found:?}"
            );
            if last {
                return Outcome::Ok(());
            }
            give_way(1).await;
        }
    };
    let (written, read) = both(write, read).await;
    written?;
    read?;
    world.expect("players", &["name"], rows![["new"], ["new"], ["new"]]).await
}

async fn a_column_may_be_added_on_the_way(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let mut grown = players();
    grown.put(Column::new("born", DataType::Date));
    world.put(grown);
    let files = [
        world.file("players", &["id", "born"], rows![[2, "2001-02-03"]])?,
        world.file("players", &["id", "name"], rows![[3, "c"]])?,
    ];
    let disposition = world.replacing();
    world.load(vec![Chain::of(disposition, [Part::of("players", files)])]).await?;
    world
        .expect("players", &["id", "name", "born"], rows![[2, NULL, "2001-02-03"], [3, "c", NULL]])
        .await
}

async fn replacing_again_replaces_again(world: &mut World) -> Outcome {
    world.put(players());
    for number in 0..4_i64 {
        replaced(world, rows![[number, "x"]]).await?;
        world.expect("players", &["id"], rows![[number]]).await?;
    }
    world.append("players", rows![[9, "y"]]).await?;
    world.expect("players", &["id"], rows![[3], [9]]).await
}

async fn a_replacement_leaves_nothing_behind(world: &mut World) -> Outcome {
    chain(world).await?;
    replaced(world, rows![[2, "b"]]).await?;
    world.expect_staging(&[]).await
}

async fn one_load_may_replace_and_append(world: &mut World) -> Outcome {
    world.put(players());
    world.put(table("clubs", &[("name", DataType::Text)]));
    for _ in 0..2 {
        let disposition = world.replacing();
        let chains = vec![
            Chain::of(disposition, [world.part("players", rows![[1, "a"]])?]),
            Chain::append(world.part("clubs", rows![["c"]])?),
        ];
        world.load(chains).await?;
    }
    world.expect("players", &["id"], rows![[1]]).await?;
    world.expect("clubs", &["name"], rows![["c"], ["c"]]).await
}
