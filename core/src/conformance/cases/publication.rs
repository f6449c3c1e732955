//! The one step in which a load becomes visible.

use std::cell::Cell;
use std::sync::Arc;

use super::{players, table};
use crate::conformance::case::{Case, Claim, Failure, Outcome, cases, ensure, rows, same};
use crate::conformance::faults::give_way;
use crate::conformance::package::{Chain, Package, Part};
use crate::conformance::world::{Jobs, World};
use crate::{
    CommitRecord, DataFile, DataType, ErrorKind, Fence, LoadId, Schema, Sha256Hex, WriteDisposition,
};

pub(super) fn cases() -> Vec<Case<World>> {
    let mut all = cases!("publication", []:
        what_was_committed_is_seen_with_its_digest,
        every_load_is_found_again,
        a_state_comes_back_as_it_was_written,
        a_load_without_a_state_leaves_the_old_one,
        a_schema_comes_back_as_it_was_written,
        the_newest_schema_is_the_one_of_the_greatest_version,
        a_fence_rises_each_time_it_is_raised,
        a_commit_changes_the_fence_and_names_the_load,
        a_loader_that_was_overtaken_is_fenced_and_changes_nothing,
        a_loader_that_was_overtaken_may_be_so_before_its_jobs,
        a_load_that_does_not_follow_the_last_one_is_fenced,
        a_first_load_where_there_was_one_already_is_fenced,
        a_load_is_never_published_on_top_of_itself,
        the_same_publication_again_publishes_once,
        two_pipelines_do_not_fence_each_other,
        an_id_that_another_pipeline_has_taken_is_not_taken_for_ours,
        a_load_that_fails_changes_nothing,
        jobs_that_run_twice_bring_their_rows_once,
        a_number_that_is_not_that_of_the_files_is_refused,
        a_file_with_fewer_rows_than_it_should_have_is_refused,
        a_file_with_more_rows_than_it_should_have_is_refused,
    );
    all.extend(cases!("publication", [Claim::AtomicPublication]:
        a_load_that_fails_in_one_table_changes_none,
        readers_see_all_tables_of_a_load_or_none,
    ));
    all.extend(cases!("publication", [Claim::LoadsApart]:
        rows_that_were_run_and_not_published_are_not_seen,
    ));
    all
}

/// A load of one row, taken up to its publication.
async fn ready(world: &mut World, id: i64) -> Outcome<(Package, Jobs, Fence)> {
    if !world.schema.tables.contains_key("players") {
        world.put(players());
    }
    let part = world.part("players", rows![[id, "x"]])?;
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    let (jobs, fence) = world.up_to_publication(destination.as_ref(), &mut package).await?;
    Ok((package, jobs, fence))
}

/// Publishes behind this load, and says what became of it.
async fn publish(
    world: &World,
    package: &Package,
    jobs: &Jobs,
    previous: Option<LoadId>,
) -> Result<(), ErrorKind> {
    let state = world.state().await.map_err(|_| ErrorKind::Bug)?;
    let destination = world.destination.as_ref();
    let published = world.publish(destination, package, jobs, previous, &state).await;
    published.map(drop).map_err(|error| error.kind())
}

async fn what_was_committed_is_seen_with_its_digest(world: &mut World) -> Outcome {
    let (package, jobs, fence) = ready(world, 1).await?;
    same!(publish(world, &package, &jobs, fence.last_load).await, Ok(()), "the publication");
    world.destination = world.open()?;
    let state = world.describe(world.destination.as_ref(), Some(&package)).await?;
    let expected = CommitRecord {
        load_id: package.load.load_id.clone(),
        digest: Some(package.load.digest.clone()),
    };
    same!(state.commit, Some(expected), "the commit");
    Ok(())
}

async fn every_load_is_found_again(world: &mut World) -> Outcome {
    world.put(players());
    let mut packages = Vec::new();
    for id in 0..4_i64 {
        let part = world.part("players", rows![[id, "x"]])?;
        let mut package = world.package(vec![Chain::append(part)]);
        let destination = Arc::clone(&world.destination);
        world.finish(destination.as_ref(), &mut package).await?;
        packages.push(package);
    }
    for package in &packages {
        let state = world.describe(world.destination.as_ref(), Some(package)).await?;
        let digest = state.commit.and_then(|commit| commit.digest);
        same!(
            digest.as_ref(),
            Some(&package.load.digest),
            "the digest of {}",
            package.load.load_id
        );
    }
    Ok(())
}

async fn a_state_comes_back_as_it_was_written(world: &mut World) -> Outcome {
    let mut row = world.state_row(1);
    for version in 1..=2 {
        world.put(players());
        let part = world.part("players", rows![[1, "x"]])?;
        let mut package = world.package(vec![Chain::append(part)]);
        row = world.state_row(version);
        package.state = Some(row.clone());
        let destination = Arc::clone(&world.destination);
        world.finish(destination.as_ref(), &mut package).await?;
    }
    let found = world.state().await?.state;
    // A store that keeps dlt's layout has no room for the id of the row.
    let found = found.map(|found| crate::StateRow { dlt_id: row.dlt_id.clone(), ..found });
    same!(found, Some(row), "the newest state");
    Ok(())
}

async fn a_load_without_a_state_leaves_the_old_one(world: &mut World) -> Outcome {
    world.put(players());
    let part = world.part("players", rows![[1, "x"]])?;
    let mut package = world.package(vec![Chain::append(part)]);
    package.state = Some(world.state_row(3));
    let destination = Arc::clone(&world.destination);
    world.finish(destination.as_ref(), &mut package).await?;
    world.append("players", rows![[2, "y"]]).await?;
    let found = world.state().await?.state.map(|state| state.version);
    same!(found, Some(3), "the version of the state");
    Ok(())
}

async fn a_schema_comes_back_as_it_was_written(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "x"]]).await?;
    let state = world.state().await?;
    let found = state.schema.as_deref().map(Schema::from_json).transpose()?;
    same!(found.as_ref(), Some(&world.schema), "the stored schema");
    same!(state.schema_hashes, vec![world.schema.version_hash.clone()], "the stored hashes");
    // The same schema is not stored again.
    world.append("players", rows![[2, "x"]]).await?;
    same!(world.state().await?.schema_hashes.len(), 1, "the number of stored versions");
    Ok(())
}

async fn the_newest_schema_is_the_one_of_the_greatest_version(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "x"]]).await?;
    for number in 0..3 {
        world.put(table(&format!("t{number}"), &[("a", DataType::Text)]));
        world.append(&format!("t{number}"), rows![["x"]]).await?;
    }
    let state = world.state().await?;
    let found = state.schema.as_deref().map(Schema::from_json).transpose()?;
    same!(found.map(|schema| schema.version), Some(world.schema.version), "the version");
    same!(
        state.schema_hashes.first(),
        Some(&world.schema.version_hash),
        "the first of the stored hashes"
    );
    Ok(())
}

async fn a_fence_rises_each_time_it_is_raised(world: &mut World) -> Outcome {
    let (mut package, _, mut last) = ready(world, 1).await?;
    for _ in 0..3 {
        world.destination = world.open()?;
        let destination = Arc::clone(&world.destination);
        let next = world.fence(destination.as_ref(), &mut package).await?;
        ensure!(next.epoch > last.epoch, "{} came after {}", next.epoch, last.epoch);
        same!(next.last_load, None, "the last load before there was one");
        last = next;
    }
    let described = world.state().await?.fence;
    same!(described.map(|fence| fence.epoch), Some(last.epoch), "the fence as it is described");
    Ok(())
}

async fn a_commit_changes_the_fence_and_names_the_load(world: &mut World) -> Outcome {
    let (mut package, jobs, fence) = ready(world, 1).await?;
    same!(publish(world, &package, &jobs, fence.last_load).await, Ok(()), "the publication");
    let described =
        world.state().await?.fence.ok_or_else(|| Failure::untrue("there is no fence"))?;
    ensure!(described.epoch > fence.epoch, "the fence stayed at {}", described.epoch);
    same!(described.last_load.as_ref(), Some(&package.load.load_id), "the last load as described");
    let load_id = package.load.load_id.clone();
    let raised = world.fence(world.destination.as_ref(), &mut package).await?;
    same!(raised.last_load, Some(load_id), "the last load as the fence names it");
    Ok(())
}

async fn a_loader_that_was_overtaken_is_fenced_and_changes_nothing(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[0, "x"]]).await?;
    let (mut package, jobs, fence) = ready(world, 1).await?;
    // Somebody else takes the load over.
    let stale = package.clone();
    world.fence(world.open()?.as_ref(), &mut package).await?;
    let before = world.state().await?;
    let published = publish(world, &stale, &jobs, fence.last_load).await;
    same!(published, Err(ErrorKind::Fenced), "the publication of the one that was overtaken");
    same!(world.state().await?, before, "the dataset");
    world.expect("players", &["id"], rows![[0]]).await
}

async fn a_loader_that_was_overtaken_may_be_so_before_its_jobs(world: &mut World) -> Outcome {
    world.put(players());
    let part = world.part("players", rows![[1, "x"]])?;
    let mut stale = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    let state = world.state().await?;
    world.apply(destination.as_ref(), &stale, &state).await?;
    world.fence(destination.as_ref(), &mut stale).await?;
    // The other one comes, loads all of it and is done; then the first one wakes up.
    let mut fresh = stale.clone();
    world.finish(world.open()?.as_ref(), &mut fresh).await?;
    let jobs = world.jobs(destination.as_ref(), &stale).await?;
    let ended = match world.run(destination.as_ref(), &stale, &jobs).await {
        Ok(()) => publish(world, &stale, &jobs, None).await,
        Err(error) => Err(error.kind()),
    };
    ensure!(ended.is_err(), "the one that woke up late published");
    world.expect("players", &["id"], rows![[1]]).await
}

async fn a_load_that_does_not_follow_the_last_one_is_fenced(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[0, "x"]]).await?;
    for previous in [None, Some(LoadId::new("1795369000.5"))] {
        let (package, jobs, _) = ready(world, 1).await?;
        let published = publish(world, &package, &jobs, previous.clone()).await;
        same!(published, Err(ErrorKind::Fenced), "a publication behind {previous:?}");
    }
    world.expect("players", &["id"], rows![[0]]).await
}

async fn a_first_load_where_there_was_one_already_is_fenced(world: &mut World) -> Outcome {
    let (package, jobs, _) = ready(world, 1).await?;
    let previous = Some(LoadId::new("1795369000.5"));
    let published = publish(world, &package, &jobs, previous).await;
    same!(published, Err(ErrorKind::Fenced), "a publication behind a load that never was");
    world.expect("players", &["id"], rows![]).await
}

async fn a_load_is_never_published_on_top_of_itself(world: &mut World) -> Outcome {
    let (mut package, jobs, fence) = ready(world, 1).await?;
    same!(publish(world, &package, &jobs, fence.last_load).await, Ok(()), "the publication");
    let destination = Arc::clone(&world.destination);
    let fence = world.fence(destination.as_ref(), &mut package).await?;
    let jobs = world.jobs(destination.as_ref(), &package).await?;
    world.run(destination.as_ref(), &package, &jobs).await?;
    // Refused, or taken for what it is: done already.
    let again = publish(world, &package, &jobs, fence.last_load).await;
    ensure!(matches!(again, Ok(()) | Err(ErrorKind::Fenced)), "the publication ended as {again:?}");
    world.expect("players", &["id"], rows![[1]]).await
}

async fn the_same_publication_again_publishes_once(world: &mut World) -> Outcome {
    let (package, jobs, fence) = ready(world, 1).await?;
    same!(
        publish(world, &package, &jobs, fence.last_load.clone()).await,
        Ok(()),
        "the publication"
    );
    let again = publish(world, &package, &jobs, fence.last_load).await;
    ensure!(matches!(again, Ok(()) | Err(ErrorKind::Fenced)), "the publication ended as {again:?}");
    world.expect("players", &["id"], rows![[1]]).await
}

async fn two_pipelines_do_not_fence_each_other(world: &mut World) -> Outcome {
    let (ours, our_jobs, our_fence) = ready(world, 1).await?;
    let pipeline = std::mem::replace(&mut world.pipeline, "another pipeline".into());
    let (theirs, their_jobs, their_fence) = ready(world, 2).await?;
    let published = publish(world, &theirs, &their_jobs, their_fence.last_load).await;
    same!(published, Ok(()), "the publication of the other pipeline");
    world.pipeline = pipeline;
    let published = publish(world, &ours, &our_jobs, our_fence.last_load).await;
    same!(published, Ok(()), "the publication of ours");
    world.expect("players", &["id"], rows![[1], [2]]).await
}

async fn an_id_that_another_pipeline_has_taken_is_not_taken_for_ours(world: &mut World) -> Outcome {
    world.put(players());
    let part = world.part("players", rows![[1, "x"]])?;
    let mut theirs = world.package(vec![Chain::append(part)]);
    let mut ours = theirs.clone();
    theirs.load.pipeline = "another pipeline".into();
    theirs.load.digest = Sha256Hex::of(b"theirs");
    let destination = Arc::clone(&world.destination);
    world.finish(destination.as_ref(), &mut theirs).await?;
    let state = world.describe(destination.as_ref(), Some(&ours)).await?;
    let digest = state.commit.and_then(|commit| commit.digest);
    ensure!(digest.as_ref() != Some(&ours.load.digest), "their commit is taken for ours");
    // Whether an id may be taken twice is the destination's affair; that a row is lost or doubled is not.
    match world.finish(destination.as_ref(), &mut ours).await {
        Ok(_) => world.expect("players", &["id"], rows![[1], [1]]).await,
        Err(_) => world.expect("players", &["id"], rows![[1]]).await,
    }
}

/// A load of two tables, of which the second cannot be loaded.
async fn failing(world: &mut World) -> Outcome<(Package, ErrorKind)> {
    world.put(players());
    world.put(table("clubs", &[("name", DataType::Text)]));
    world.append("players", rows![[0, "x"]]).await?;
    let good = world.part("players", rows![[1, "x"]])?;
    let bad = world.file("clubs", &["name"], rows![["c"]])?;
    let bad = Part::of("clubs", [DataFile { rows: bad.rows + 2, ..bad }]);
    let mut package = world.package(vec![Chain::append(good), Chain::append(bad)]);
    package.state = Some(world.state_row(9));
    let destination = Arc::clone(&world.destination);
    match world.finish(destination.as_ref(), &mut package).await {
        Ok(_) => Err(Failure::untrue("a load whose rows do not reconcile was published")),
        Err(error) => Ok((package, error.kind())),
    }
}

async fn a_load_that_fails_changes_nothing(world: &mut World) -> Outcome {
    let (package, kind) = failing(world).await?;
    ensure!(
        !matches!(kind, ErrorKind::OutcomeUnknown | ErrorKind::Transient | ErrorKind::Fenced),
        "rows that do not reconcile end as {kind}, which asks for another try"
    );
    let state = world.describe(world.destination.as_ref(), Some(&package)).await?;
    same!(state.commit, None, "the commit");
    same!(state.state, None, "the state");
    world.expect("players", &["id"], rows![[0]]).await
}

async fn a_load_that_fails_in_one_table_changes_none(world: &mut World) -> Outcome {
    failing(world).await?;
    world.expect("players", &["id"], rows![[0]]).await?;
    world.expect("clubs", &["name"], rows![]).await?;
    // The same where the files are good and the publication is not: engines that count while they load come so far.
    let chains = vec![
        Chain::append(world.part("players", rows![[1, "x"]])?),
        Chain::append(world.part("clubs", rows![["c"]])?),
    ];
    let mut package = world.package(chains);
    let destination = Arc::clone(&world.destination);
    let (jobs, fence) = world.up_to_publication(destination.as_ref(), &mut package).await?;
    let mut publication = package.publication(&jobs.jobs, fence.last_load, false);
    publication.chains[1].root.rows += 1;
    let context = world.context(&package, &jobs.access);
    let published = destination.publish(&publication, &context).await;
    ensure!(published.is_err(), "a publication that contradicts itself was published");
    world.expect("players", &["id"], rows![[0]]).await?;
    world.expect("clubs", &["name"], rows![]).await?;
    world.append("players", rows![[2, "y"]]).await?;
    world.expect("players", &["id"], rows![[0], [2]]).await
}

/// Looks at two tables again and again while a load of both is published.
async fn readers_see_all_tables_of_a_load_or_none(world: &mut World) -> Outcome {
    world.put(table("one", &[("n", DataType::Bigint)]));
    world.put(table("two", &[("n", DataType::Bigint)]));
    let chains = vec![
        Chain::append(world.part("one", rows![[0]])?),
        Chain::append(world.part("two", rows![[0]])?),
    ];
    world.load(chains).await?;
    let all: Vec<crate::sql::Row> = (1..=500_i64).flat_map(|n| rows![[n]]).collect();
    let chains = vec![
        Chain::append(world.part("one", all.clone())?),
        Chain::append(world.part("two", all)?),
    ];
    let mut package = world.package(chains);
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
            for pair in [["one", "two"], ["two", "one"]] {
                let first = world.look(pair[0], &["n"]).await?.len();
                let second = world.look(pair[1], &["n"]).await?.len();
                ensure!(
                    matches!((first, second), (1, 1) | (1, 501) | (501, 501)),
                    "a reader found {first} rows in {} and then {second} in {}",
                    pair[0],
                    pair[1]
                );
            }
            if last {
                return Outcome::Ok(());
            }
            give_way(1).await;
        }
    };
    let (written, read) = both(write, read).await;
    written?;
    read
}

/// Runs two futures side by side to their ends.
pub(super) async fn both<A: Future, B: Future>(one: A, two: B) -> (A::Output, B::Output) {
    let (mut one, mut two) = (Box::pin(one), Box::pin(two));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|context| {
        if first.is_none()
            && let std::task::Poll::Ready(output) = one.as_mut().poll(context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let std::task::Poll::Ready(output) = two.as_mut().poll(context)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(two)) => std::task::Poll::Ready((one, two)),
            (one, two) => {
                (first, second) = (one, two);
                std::task::Poll::Pending
            }
        }
    })
    .await
}

async fn rows_that_were_run_and_not_published_are_not_seen(world: &mut World) -> Outcome {
    ready(world, 1).await?;
    world.expect("players", &["id"], rows![]).await
}

async fn jobs_that_run_twice_bring_their_rows_once(world: &mut World) -> Outcome {
    let (package, jobs, fence) = ready(world, 1).await?;
    let destination = Arc::clone(&world.destination);
    world.run(destination.as_ref(), &package, &jobs).await?;
    world.run(world.open()?.as_ref(), &package, &jobs).await?;
    same!(publish(world, &package, &jobs, fence.last_load).await, Ok(()), "the publication");
    world.expect("players", &["id"], rows![[1]]).await
}

async fn a_number_that_is_not_that_of_the_files_is_refused(world: &mut World) -> Outcome {
    let (package, jobs, fence) = ready(world, 1).await?;
    let mut publication = package.publication(&jobs.jobs, fence.last_load, true);
    publication.chains[0].root.rows += 1;
    let context = world.context(&package, &jobs.access);
    let error = world.destination.publish(&publication, &context).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    ensure!(
        matches!(kind, Some(ErrorKind::Terminal | ErrorKind::Bug | ErrorKind::BadData)),
        "a publication that contradicts itself ended as {kind:?}"
    );
    world.expect("players", &["id"], rows![]).await
}

/// Loads a file that says it holds another number of rows than it does.
async fn miscounted(world: &mut World, difference: i64) -> Outcome {
    let disposition = world.capabilities().write_dispositions.first().copied();
    ensure!(disposition != Some(WriteDisposition::Skip), "to skip is no way of loading");
    world.put(players());
    let file = world.file("players", &["id", "name"], rows![[1, "x"], [2, "y"], [3, "z"]])?;
    let rows = file.rows.saturating_add_signed(difference);
    let part = Part::of("players", [DataFile { rows, ..file }]);
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    let error = world.finish(destination.as_ref(), &mut package).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    ensure!(
        matches!(kind, Some(ErrorKind::Terminal | ErrorKind::BadData)),
        "3 rows for {rows} ended as {kind:?}: {error:?}"
    );
    world.expect("players", &["id"], rows![]).await
}

async fn a_file_with_fewer_rows_than_it_should_have_is_refused(world: &mut World) -> Outcome {
    miscounted(world, 1).await
}

async fn a_file_with_more_rows_than_it_should_have_is_refused(world: &mut World) -> Outcome {
    miscounted(world, -1).await
}
