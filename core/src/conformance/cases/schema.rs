//! Bringing a dataset to a schema: additions only, as often as they are asked for.

use std::sync::Arc;

use super::{players, table};
use crate::conformance::case::{Case, NULL, Outcome, cases, ensure, rows, same};
use crate::conformance::world::World;
use crate::{Column, DataType, Destination, ErrorKind, Result, SchemaChange};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("schema", []:
        a_dataset_is_made_once_however_often,
        a_table_is_made_once_however_often,
        a_column_that_is_new_is_added_and_old_rows_have_none,
        a_column_is_added_once_however_often,
        an_added_column_is_never_required,
        several_columns_are_added_at_once,
        a_table_that_is_new_is_added_beside_the_old_ones,
        two_loaders_may_make_the_same_table_at_once,
        two_loaders_may_add_the_same_column_at_once,
        a_table_may_have_many_columns,
        rows_that_are_there_survive_every_change,
    )
}

async fn a_dataset_is_made_once_however_often(world: &mut World) -> Outcome {
    for _ in 0..2 {
        world.destination.apply(&world.dataset, &[SchemaChange::CreateDataset]).await?;
        ensure!(world.state().await?.exists, "the dataset that was made exists");
    }
    Ok(())
}

async fn a_table_is_made_once_however_often(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    world.create().await?;
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}

async fn a_column_that_is_new_is_added_and_old_rows_have_none(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let mut grown = players();
    grown.put(Column::new("born", DataType::Date));
    world.put(grown);
    world.append("players", rows![[2, "b", "2001-02-03"]]).await?;
    world.expect("players", &["id", "born"], rows![[1, NULL], [2, "2001-02-03"]]).await
}

fn born(nullable: bool) -> SchemaChange {
    let column = Column { nullable, ..Column::new("born", DataType::Date) };
    SchemaChange::AddColumns { table: "players".into(), columns: vec![column] }
}

async fn a_column_is_added_once_however_often(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    for _ in 0..2 {
        world.destination.apply(&world.dataset, &[born(true)]).await?;
    }
    let mut grown = players();
    grown.put(Column::new("born", DataType::Date));
    world.put(grown);
    world.append("players", rows![[2, "b", NULL]]).await?;
    let state = world.state().await?;
    let names = state
        .tables
        .get(&world.stored("players"))
        .map(|columns| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
    let expected = ["id", "name", "born"].map(|name| world.stored(name)).to_vec();
    same!(names, Some(expected), "the columns");
    Ok(())
}

async fn an_added_column_is_never_required(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    world.destination.apply(&world.dataset, &[born(false)]).await?;
    // A row without it still comes in.
    world.append("players", rows![[2, "b"]]).await?;
    world.expect("players", &["id"], rows![[1], [2]]).await
}

async fn several_columns_are_added_at_once(world: &mut World) -> Outcome {
    world.put(table("t", &[("a", DataType::Bigint)]));
    world.append("t", rows![[1]]).await?;
    world.put(table(
        "t",
        &[
            ("a", DataType::Bigint),
            ("b", DataType::Text),
            ("c", DataType::Bool),
            ("d", DataType::Double),
        ],
    ));
    world.append("t", rows![[2, "x", "true", "1.5"]]).await?;
    world
        .expect("t", &["a", "b", "c", "d"], rows![[1, NULL, NULL, NULL], [2, "x", "true", "1.5"]])
        .await
}

async fn a_table_that_is_new_is_added_beside_the_old_ones(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    world.put(table("clubs", &[("name", DataType::Text)]));
    world.append("clubs", rows![["c"]]).await?;
    world.expect("players", &["id"], rows![[1]]).await?;
    world.expect("clubs", &["name"], rows![["c"]]).await
}

/// Applies, and once more where others were at it: the contract lets an engine refuse for now.
async fn apply_in_the_end(
    world: &World,
    destination: Arc<dyn Destination>,
    changes: &[SchemaChange],
) -> Result<()> {
    for _ in 0..5 {
        match destination.apply(&world.dataset, changes).await {
            Err(error) if error.kind() == ErrorKind::Transient => {}
            other => return other.map(drop),
        }
    }
    destination.apply(&world.dataset, changes).await.map(drop)
}

/// Applies the same changes from two sides at once.
async fn race(world: &World, changes: &[SchemaChange]) -> Outcome {
    let mut one = Box::pin(apply_in_the_end(world, world.open()?, changes));
    let mut two = Box::pin(apply_in_the_end(world, world.open()?, changes));
    let mut ended = [None, None];
    std::future::poll_fn(|context| {
        for (slot, racer) in ended.iter_mut().zip([&mut one, &mut two]) {
            if slot.is_none()
                && let std::task::Poll::Ready(result) = racer.as_mut().poll(context)
            {
                *slot = Some(result);
            }
        }
        match ended.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    for result in ended.into_iter().flatten() {
        result?;
    }
    Ok(())
}

async fn two_loaders_may_make_the_same_table_at_once(world: &mut World) -> Outcome {
    world.put(players());
    race(world, &[SchemaChange::CreateDataset, SchemaChange::CreateTable(players())]).await?;
    world.append("players", rows![[1, "a"]]).await?;
    world.expect("players", &["id"], rows![[1]]).await
}

async fn two_loaders_may_add_the_same_column_at_once(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    race(world, &[born(true)]).await?;
    let mut grown = players();
    grown.put(Column::new("born", DataType::Date));
    world.put(grown);
    world.append("players", rows![[2, "b", "2001-02-03"]]).await?;
    world.expect("players", &["id", "born"], rows![[1, NULL], [2, "2001-02-03"]]).await
}

async fn a_table_may_have_many_columns(world: &mut World) -> Outcome {
    let names: Vec<String> = (0..300).map(|number| format!("c{number}")).collect();
    let columns: Vec<(&str, DataType)> =
        names.iter().map(|name| (name.as_str(), DataType::Bigint)).collect();
    world.put(table("wide", &columns));
    let row = (0..300).map(|number| Some(number.to_string())).collect();
    world.append("wide", vec![row]).await?;
    world.expect("wide", &["c0", "c299"], rows![[0, 299]]).await
}

async fn rows_that_are_there_survive_every_change(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"], [2, "b"]]).await?;
    for number in 0..5 {
        let mut grown = world.schema.tables["players"].clone();
        grown.put(Column::new(format!("extra_{number}"), DataType::Text));
        world.put(grown);
        world.create().await?;
        let change = SchemaChange::AddColumns {
            table: "players".into(),
            columns: vec![Column::new(format!("extra_{number}"), DataType::Text)],
        };
        world.destination.apply(&world.dataset, &[change]).await?;
    }
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, "b"]]).await
}
