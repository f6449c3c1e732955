//! Copying staged files, by way of the in-memory store, whose files are fetched into a folder.

use std::sync::Arc;

use super::players;
use crate::conformance::case::{Case, Claim, Outcome, cases, rows, same};
use crate::conformance::memory::MemoryStaging;
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("copy", [Claim::CopiesFromFolders]:
        staged_files_are_copied,
        the_files_of_a_table_are_one_copy,
        a_copy_that_runs_twice_copies_once,
    )
}

/// Loads files through a store, each job so many times.
async fn copied(world: &mut World, part: Part, times: usize) -> Outcome<usize> {
    let store = MemoryStaging::default();
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    let state = world.state().await?;
    world.apply(destination.as_ref(), &package, &state).await?;
    let fence = world.fence(destination.as_ref(), &mut package).await?;
    let jobs = world.staged_jobs(destination.as_ref(), &store, &package).await?;
    for _ in 0..times {
        world.run(destination.as_ref(), &package, &jobs).await?;
    }
    world.publish(destination.as_ref(), &package, &jobs, fence.last_load, &state).await?;
    destination.clear(&package.load).await?;
    Ok(jobs.jobs.len())
}

async fn staged_files_are_copied(world: &mut World) -> Outcome {
    world.put(players());
    let part = world.part("players", rows![[1, "a"], [2, "b"]])?;
    copied(world, part, 1).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"], [2, "b"]]).await?;
    world.expect_staging(&[]).await
}

async fn the_files_of_a_table_are_one_copy(world: &mut World) -> Outcome {
    world.put(players());
    let mut files = Vec::new();
    for id in 0..5_i64 {
        files.push(world.file("players", &["id", "name"], rows![[id, "x"]])?);
    }
    let jobs = copied(world, Part::of("players", files), 1).await?;
    same!(jobs, 1, "the number of jobs");
    world.expect("players", &["id"], rows![[0], [1], [2], [3], [4]]).await
}

async fn a_copy_that_runs_twice_copies_once(world: &mut World) -> Outcome {
    world.put(players());
    let part = world.part("players", rows![[1, "a"]])?;
    copied(world, part, 2).await?;
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}
