//! After any crash or lost answer, at any point, followed by a resume: each row exactly once.

use std::sync::Arc;

use super::{games, players};
use crate::conformance::case::{Case, Claim, Outcome, cases, ensure, rows, same};
use crate::conformance::faults::{Call, Fault, Faults, FaultyDestination};
use crate::conformance::package::{Chain, Package};
use crate::conformance::world::World;
use crate::{Disposition, ErrorKind, WriteDisposition};

pub(super) fn cases() -> Vec<Case<World>> {
    let mut all = cases!("recovery", []:
        an_answer_to_the_publication_that_is_lost_loads_once,
        a_publication_that_never_arrived_loads_once,
        a_publication_that_was_dropped_loads_once,
        an_answer_that_is_lost_at_any_call_loads_once,
        a_request_that_is_lost_at_any_call_loads_once,
        a_future_that_is_dropped_at_any_call_loads_once,
        a_crash_after_a_crash_loads_once,
        a_resume_of_what_is_done_does_nothing,
        a_load_that_was_given_up_does_not_disturb_the_next_one,
        a_publication_that_arrives_late_is_fenced,
    );
    all.extend(cases!("recovery", [Claim::Writes(WriteDisposition::Replace)]:
        a_replacement_whose_answer_is_lost_replaces_once,
        a_replacement_that_is_interrupted_at_any_call_replaces_once,
    ));
    all
}

/// A dataset with a load in it, and another load to come: two tables, two files each.
async fn prepared(world: &mut World) -> Outcome<Package> {
    world.put(players());
    world.put(games());
    world.append("players", rows![[0, "before"]]).await?;
    package(world, Disposition::Append)
}

fn package(world: &mut World, disposition: Disposition) -> Outcome<Package> {
    let mut parts = [
        world.part("players", rows![[1, "a"], [2, "b"]])?,
        world.part("players__games", rows![["x", "1"]])?,
    ];
    parts[0].files.push(world.file("players", &["id", "name"], rows![[3, "c"]])?);
    parts[1].files.push(world.file("players__games", &["value"], rows![["y"]])?);
    let mut package = world.package(vec![Chain::of(disposition, parts)]);
    package.state = Some(world.state_row(5));
    Ok(package)
}

/// Runs a load into these faults; it may come through.
async fn through(world: &World, package: &mut Package, faults: &Faults) -> Outcome {
    let faulty = FaultyDestination::new(world.open()?, faults.clone());
    if let Err(error) = world.finish(&faulty, package).await {
        ensure!(
            matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Transient),
            "a call that was lost ended as {error:?}"
        );
    }
    Ok(())
}

/// Resumes a load with a destination that is opened anew, and looks that it is there once.
async fn resumed(world: &mut World, package: &mut Package, before: bool) -> Outcome {
    world.destination = world.open()?;
    let destination = Arc::clone(&world.destination);
    world.finish(destination.as_ref(), package).await?;
    let mut expected = rows![[1, "a"], [2, "b"], [3, "c"]];
    if before {
        expected.extend(rows![[0, "before"]]);
    }
    world.expect("players", &["id", "name"], expected).await?;
    world.expect("players__games", &["value"], rows![["x"], ["y"]]).await?;
    let state = world.describe(destination.as_ref(), Some(package)).await?;
    let digest = state.commit.and_then(|commit| commit.digest);
    same!(digest.as_ref(), Some(&package.load.digest), "the digest of the commit");
    same!(state.state.map(|state| state.version), Some(5), "the version of the state");
    Ok(())
}

async fn met_in_publication(world: &mut World, fault: Fault) -> Outcome {
    let mut package = prepared(world).await?;
    through(world, &mut package, &Faults::none().on(Call::Publish, 1, fault)).await?;
    resumed(world, &mut package, true).await
}

async fn an_answer_to_the_publication_that_is_lost_loads_once(world: &mut World) -> Outcome {
    met_in_publication(world, Fault::LostAnswer).await
}

async fn a_publication_that_never_arrived_loads_once(world: &mut World) -> Outcome {
    met_in_publication(world, Fault::LostRequest).await
}

async fn a_publication_that_was_dropped_loads_once(world: &mut World) -> Outcome {
    prepared(world).await?;
    let mut expected = rows![[0, "before"]];
    for polls in 1..=6 {
        let part = world.part("players", rows![[i64::from(polls), "x"]])?;
        let mut package = world.package(vec![Chain::append(part)]);
        let faults = Faults::none().on(Call::Publish, 1, Fault::Dropped(polls));
        through(world, &mut package, &faults).await?;
        world.finish(world.open()?.as_ref(), &mut package).await?;
        expected.extend(rows![[i64::from(polls), "x"]]);
        world.expect("players", &["id", "name"], expected.clone()).await?;
    }
    Ok(())
}

/// How many calls a load makes that meets no fault.
async fn calls(world: &mut World) -> Outcome<usize> {
    let faults = Faults::none();
    let mut package = prepared(world).await?;
    through(world, &mut package, &faults).await?;
    Ok(faults.calls().len())
}

/// Loads one package after the other, each interrupted at another call, and looks after each.
async fn at_every_call(world: &mut World, fault: Fault) -> Outcome {
    let calls = calls(world).await?;
    ensure!(calls >= 6, "a load makes {calls} calls only");
    let mut expected = world.look("players", &["id", "name"]).await?;
    for number in 1..=calls {
        let id = i64::try_from(number).unwrap_or_default() + 100;
        let part = world.part("players", rows![[id, "x"]])?;
        let mut package = world.package(vec![Chain::append(part)]);
        through(world, &mut package, &Faults::none().at(number, fault)).await?;
        world.destination = world.open()?;
        let destination = Arc::clone(&world.destination);
        world.finish(destination.as_ref(), &mut package).await?;
        expected.extend(rows![[id, "x"]]);
        world.expect("players", &["id", "name"], expected.clone()).await?;
    }
    world.expect_staging(&[]).await
}

async fn an_answer_that_is_lost_at_any_call_loads_once(world: &mut World) -> Outcome {
    at_every_call(world, Fault::LostAnswer).await
}

async fn a_request_that_is_lost_at_any_call_loads_once(world: &mut World) -> Outcome {
    at_every_call(world, Fault::LostRequest).await
}

async fn a_future_that_is_dropped_at_any_call_loads_once(world: &mut World) -> Outcome {
    at_every_call(world, Fault::Dropped(1)).await
}

async fn a_crash_after_a_crash_loads_once(world: &mut World) -> Outcome {
    let mut package = prepared(world).await?;
    for (call, fault) in [
        (Call::Fence, Fault::LostAnswer),
        (Call::Publish, Fault::LostRequest),
        (Call::Publish, Fault::Dropped(1)),
        (Call::Publish, Fault::LostAnswer),
        (Call::Clear, Fault::LostRequest),
    ] {
        through(world, &mut package, &Faults::none().on(call, 1, fault)).await?;
    }
    resumed(world, &mut package, true).await
}

async fn a_resume_of_what_is_done_does_nothing(world: &mut World) -> Outcome {
    let mut package = prepared(world).await?;
    for _ in 0..3 {
        resumed(world, &mut package, true).await?;
    }
    Ok(())
}

async fn a_load_that_was_given_up_does_not_disturb_the_next_one(world: &mut World) -> Outcome {
    let mut given_up = prepared(world).await?;
    through(world, &mut given_up, &Faults::none().on(Call::Publish, 1, Fault::LostRequest)).await?;
    world.append("players", rows![[9, "next"]]).await?;
    world.expect("players", &["id"], rows![[0], [9]]).await?;
    world.expect("players__games", &["value"], rows![]).await
}

async fn a_publication_that_arrives_late_is_fenced(world: &mut World) -> Outcome {
    let mut late = prepared(world).await?;
    let destination = Arc::clone(&world.destination);
    let (jobs, fence) = world.up_to_publication(destination.as_ref(), &mut late).await?;
    let state = world.state().await?;
    // Its answer was lost, the load was resumed and is done; only now the first one arrives.
    let mut package = late.clone();
    resumed(world, &mut package, true).await?;
    let published =
        world.publish(destination.as_ref(), &late, &jobs, fence.last_load, &state).await;
    let kind = published.err().map(|error| error.kind());
    ensure!(
        matches!(kind, None | Some(ErrorKind::Fenced | ErrorKind::Terminal | ErrorKind::Transient)),
        "a publication that arrives late ended as {kind:?}"
    );
    resumed(world, &mut package, true).await
}

async fn a_replacement_whose_answer_is_lost_replaces_once(world: &mut World) -> Outcome {
    prepared(world).await?;
    for fault in [Fault::LostAnswer, Fault::LostRequest] {
        let disposition = world.replacing();
        let mut package = package(world, disposition)?;
        through(world, &mut package, &Faults::none().on(Call::Publish, 1, fault)).await?;
        resumed(world, &mut package, false).await?;
    }
    Ok(())
}

async fn a_replacement_that_is_interrupted_at_any_call_replaces_once(world: &mut World) -> Outcome {
    let calls = calls(world).await?;
    for number in 1..=calls {
        for fault in [Fault::LostAnswer, Fault::LostRequest] {
            let disposition = world.replacing();
            let mut package = package(world, disposition)?;
            through(world, &mut package, &Faults::none().at(number, fault)).await?;
            resumed(world, &mut package, false).await?;
        }
    }
    Ok(())
}
