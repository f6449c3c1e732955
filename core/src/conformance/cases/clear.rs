//! Clearing away what a load left behind, and only that.

use std::sync::Arc;

use super::{players, table};
use crate::conformance::case::{Case, Claim, Outcome, cases, ensure, rows, same};
use crate::conformance::package::{Chain, Package};
use crate::conformance::world::World;
use crate::{DataType, Dataset, Epoch, Load, LoadId, SchemaChange};

pub(super) fn cases() -> Vec<Case<World>> {
    let mut all = cases!("clear", []:
        a_load_that_is_done_leaves_nothing_behind,
        what_a_dead_load_left_behind_goes,
        a_load_that_never_was_is_no_error,
        clearing_twice_clears_once,
        what_was_published_stays,
    );
    all.extend(cases!("clear", [Claim::LoadsApart]:
        what_earlier_epochs_left_behind_goes_too,
        what_another_load_is_about_to_publish_stays,
        what_a_later_epoch_is_about_to_publish_stays,
    ));
    all.extend(cases!("clear", [Claim::LoadsApart]: tables_of_others_in_the_staging_dataset_stay));
    all
}

async fn unpublished(world: &mut World, id: i64) -> Outcome<Package> {
    if !world.schema.tables.contains_key("players") {
        world.put(players());
    }
    let part = world.part("players", rows![[id, "x"]])?;
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    world.up_to_publication(destination.as_ref(), &mut package).await?;
    Ok(package)
}

async fn a_load_that_is_done_leaves_nothing_behind(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    world.expect_staging(&[]).await
}

async fn what_a_dead_load_left_behind_goes(world: &mut World) -> Outcome {
    let package = unpublished(world, 1).await?;
    world.open()?.clear(&package.load).await?;
    world.expect_staging(&[]).await?;
    world.expect("players", &["id"], rows![]).await
}

async fn a_load_that_never_was_is_no_error(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let package = world.package(Vec::new());
    let mut load = Load { load_id: LoadId::new("1795300000.5"), ..package.load };
    load.epoch = world.state().await?.fence.map_or(Epoch(1), |fence| fence.epoch);
    world.destination.clear(&load).await?;
    world.expect("players", &["id"], rows![[1]]).await
}

async fn clearing_twice_clears_once(world: &mut World) -> Outcome {
    let package = unpublished(world, 1).await?;
    for _ in 0..2 {
        world.destination.clear(&package.load).await?;
    }
    world.append("players", rows![[2, "b"]]).await?;
    world.expect("players", &["id"], rows![[2]]).await
}

async fn what_was_published_stays(world: &mut World) -> Outcome {
    world.put(players());
    let part = world.part("players", rows![[1, "a"]])?;
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    world.finish(destination.as_ref(), &mut package).await?;
    let before = world.state().await?;
    for _ in 0..2 {
        world.destination.clear(&package.load).await?;
    }
    same!(world.state().await?, before, "the dataset");
    world.expect("players", &["id"], rows![[1]]).await
}

async fn what_earlier_epochs_left_behind_goes_too(world: &mut World) -> Outcome {
    let mut package = unpublished(world, 1).await?;
    let destination = Arc::clone(&world.destination);
    for _ in 0..2 {
        world.up_to_publication(destination.as_ref(), &mut package).await?;
    }
    destination.clear(&package.load).await?;
    world.expect_staging(&[]).await
}

async fn what_another_load_is_about_to_publish_stays(world: &mut World) -> Outcome {
    let dead = unpublished(world, 1).await?;
    world.pipeline = "another pipeline".into();
    let part = world.part("players", rows![[2, "b"]])?;
    let mut alive = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    let (jobs, fence) = world.up_to_publication(destination.as_ref(), &mut alive).await?;
    world.open()?.clear(&dead.load).await?;
    let state = world.state().await?;
    world.publish(destination.as_ref(), &alive, &jobs, fence.last_load, &state).await?;
    world.expect("players", &["id"], rows![[2]]).await
}

async fn what_a_later_epoch_is_about_to_publish_stays(world: &mut World) -> Outcome {
    let stale = unpublished(world, 1).await?;
    let mut fresh = stale.clone();
    let destination = Arc::clone(&world.destination);
    let (jobs, fence) = world.up_to_publication(destination.as_ref(), &mut fresh).await?;
    // Whoever was overtaken cleans up nothing of the one that came after it: refused or not.
    let _ = world.open()?.clear(&stale.load).await;
    let state = world.state().await?;
    world.publish(destination.as_ref(), &fresh, &jobs, fence.last_load, &state).await?;
    world.expect("players", &["id"], rows![[1]]).await
}

async fn tables_of_others_in_the_staging_dataset_stay(world: &mut World) -> Outcome {
    let package = unpublished(world, 1).await?;
    let staging = Dataset::new(world.dataset.staging.clone());
    let theirs = table("theirs", &[("n", DataType::Bigint)]);
    let changes = [SchemaChange::CreateDataset, SchemaChange::CreateTable(theirs)];
    world.destination.apply(&staging, &changes).await?;
    world.destination.clear(&package.load).await?;
    let left = world.harness().tables(&world.dataset.staging).await?;
    ensure!(
        left.iter().any(|table| table == "theirs"),
        "the table of others is gone, left: {left:?}"
    );
    ensure!(
        !left.iter().any(|table| table.contains("players")),
        "our own is still there: {left:?}"
    );
    Ok(())
}
