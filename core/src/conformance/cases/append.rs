//! Adding rows.

use super::{games, players, table};
use crate::conformance::case::{Case, NULL, Outcome, cases, rows, same};
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::{DataType, Disposition};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("append", []:
        rows_are_added_behind_those_that_are_there,
        rows_that_are_there_twice_are_both_loaded,
        files_with_the_same_rows_are_both_loaded,
        many_files_are_one_table,
        nested_tables_come_with_their_root,
        many_tables_are_one_load,
        a_table_without_rows_is_made_and_empty,
        a_load_without_rows_leaves_the_rows_alone,
        columns_that_a_file_lacks_are_null,
        files_may_have_their_columns_in_any_order,
        a_commit_counts_the_rows_of_each_table,
        several_loads_follow_one_another,
    )
}

async fn rows_are_added_behind_those_that_are_there(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"], [2, NULL]]).await?;
    world.append("players", rows![[3, "c"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, NULL], [3, "c"]]).await
}

async fn rows_that_are_there_twice_are_both_loaded(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"], [1, "a"]]).await?;
    world.append("players", rows![[1, "a"]]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [1, "a"], [1, "a"]]).await
}

async fn files_with_the_same_rows_are_both_loaded(world: &mut World) -> Outcome {
    world.put(players());
    let files = [
        world.file("players", &["id", "name"], rows![[1, "a"]])?,
        world.file("players", &["id", "name"], rows![[1, "a"]])?,
    ];
    world.load(vec![Chain::append(Part::of("players", files))]).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [1, "a"]]).await
}

async fn many_files_are_one_table(world: &mut World) -> Outcome {
    world.put(players());
    let mut files = Vec::new();
    for number in 0..40_i64 {
        files.push(world.file(
            "players",
            &["id", "name"],
            rows![[number, "x"], [number + 100, "y"]],
        )?);
    }
    world.load(vec![Chain::append(Part::of("players", files))]).await?;
    let expected = (0..40_i64).flat_map(|number| rows![[number], [number + 100]]).collect();
    world.expect("players", &["id"], expected).await
}

async fn nested_tables_come_with_their_root(world: &mut World) -> Outcome {
    world.put(players());
    world.put(games());
    let parts = [
        world.part("players", rows![[1, "a"]])?,
        world.part("players__games", rows![["x", "1"], ["y", "1"]])?,
    ];
    world.load(vec![Chain::of(Disposition::Append, parts)]).await?;
    world.expect("players", &["id"], rows![[1]]).await?;
    world.expect("players__games", &["value"], rows![["x"], ["y"]]).await
}

async fn many_tables_are_one_load(world: &mut World) -> Outcome {
    let mut chains = Vec::new();
    for number in 0..12_i64 {
        let name = format!("t{number}");
        world.put(table(&name, &[("n", DataType::Bigint)]));
        chains.push(Chain::append(world.part(&name, rows![[number]])?));
    }
    world.load(chains).await?;
    for number in 0..12_i64 {
        world.expect(&format!("t{number}"), &["n"], rows![[number]]).await?;
    }
    Ok(())
}

async fn a_table_without_rows_is_made_and_empty(world: &mut World) -> Outcome {
    world.put(players());
    world.load(vec![Chain::append(Part::empty("players"))]).await?;
    world.expect("players", &["id", "name"], rows![]).await
}

async fn a_load_without_rows_leaves_the_rows_alone(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    world.load(vec![Chain::append(Part::empty("players"))]).await?;
    world.load(Vec::new()).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}

async fn columns_that_a_file_lacks_are_null(world: &mut World) -> Outcome {
    world.put(table("t", &[("a", DataType::Bigint), ("b", DataType::Text), ("c", DataType::Bool)]));
    let files = [
        world.file("t", &["a"], rows![[1]])?,
        world.file("t", &["b", "c"], rows![["x", "true"]])?,
        world.file("t", &["a", "b", "c"], rows![[3, "z", "false"]])?,
    ];
    world.load(vec![Chain::append(Part::of("t", files))]).await?;
    world
        .expect(
            "t",
            &["a", "b", "c"],
            rows![[1, NULL, NULL], [NULL, "x", "true"], [3, "z", "false"]],
        )
        .await
}

async fn files_may_have_their_columns_in_any_order(world: &mut World) -> Outcome {
    world.put(table("t", &[("a", DataType::Text), ("b", DataType::Text)]));
    let files = [
        world.file("t", &["a", "b"], rows![["a1", "b1"]])?,
        world.file("t", &["b", "a"], rows![["b2", "a2"]])?,
    ];
    world.load(vec![Chain::append(Part::of("t", files))]).await?;
    world.expect("t", &["a", "b"], rows![["a1", "b1"], ["a2", "b2"]]).await
}

async fn a_commit_counts_the_rows_of_each_table(world: &mut World) -> Outcome {
    world.put(players());
    world.put(table("clubs", &[("name", DataType::Text)]));
    let files = [
        world.file("players", &["id"], rows![[1], [2]])?,
        world.file("players", &["id"], rows![[3]])?,
    ];
    let chains = vec![
        Chain::append(Part::of("players", files)),
        Chain::append(world.part("clubs", rows![["c"]])?),
    ];
    let commit = world.load(chains).await?;
    same!(commit.rows.get("players"), Some(&3), "the rows of players in the commit");
    same!(commit.rows.get("clubs"), Some(&1), "the rows of clubs in the commit");
    Ok(())
}

async fn several_loads_follow_one_another(world: &mut World) -> Outcome {
    world.put(players());
    for number in 0..5_i64 {
        world.append("players", rows![[number, "x"]]).await?;
        world.destination = world.open()?;
    }
    world.expect("players", &["id"], (0..5_i64).flat_map(|n| rows![[n]]).collect()).await
}
