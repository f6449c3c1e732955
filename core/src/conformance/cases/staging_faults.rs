//! Damage, lost answers and secrets.

use super::staging_world::StagingWorld;
use crate::conformance::case::{Case, Failure, Outcome, cases, ensure, same};
use crate::conformance::faults::{Call, Fault, Faults, FaultyStaging};
use crate::conformance::harness::CANARY;
use crate::{ErrorKind, StagingDestination as _};

pub(super) fn cases() -> Vec<Case<StagingWorld>> {
    cases!("damage", []:
        a_file_that_was_changed_is_refused_and_leaves_nothing,
        a_file_that_was_cut_is_refused_and_leaves_nothing,
        a_file_that_is_gone_is_refused_and_leaves_nothing,
        a_file_that_was_changed_is_refused_though_its_object_is_there,
        an_object_of_another_size_is_put_right,
        a_damaged_object_is_not_handed_out,
        an_object_that_is_gone_is_not_handed_out,
        an_answer_that_is_lost_stages_once,
        a_future_that_is_dropped_stages_once,
        an_answer_that_is_lost_writes_a_manifest_once,
        what_does_not_work_is_an_error_of_its_kind_without_a_secret,
        nothing_shows_a_secret_when_it_is_printed,
    )
}

/// Stages a file that is no longer what was sealed.
async fn refused(world: &mut StagingWorld, damaged: Option<&[u8]>) -> Outcome {
    let file = world.file("players", b"the rows")?;
    match damaged {
        Some(bytes) => world.write(&file, bytes)?,
        None => std::fs::remove_file(world.folder.path().join(file.path()))?,
    }
    let error = world.run(world.staging.as_ref(), &world.job(&file)).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    same!(kind, Some(ErrorKind::Terminal), "the kind of {error:?}");
    world.expect(&world.key(&file), None).await?;
    same!(world.staging.list(&world.scope()).await?, Vec::new(), "the objects");
    Ok(())
}

async fn a_file_that_was_changed_is_refused_and_leaves_nothing(
    world: &mut StagingWorld,
) -> Outcome {
    refused(world, Some(b"the rowz")).await
}

async fn a_file_that_was_cut_is_refused_and_leaves_nothing(world: &mut StagingWorld) -> Outcome {
    refused(world, Some(b"the ")).await
}

async fn a_file_that_is_gone_is_refused_and_leaves_nothing(world: &mut StagingWorld) -> Outcome {
    refused(world, None).await
}

async fn a_file_that_was_changed_is_refused_though_its_object_is_there(
    world: &mut StagingWorld,
) -> Outcome {
    let file = world.file("players", b"the rows")?;
    let staged = world.stage(&file).await?;
    world.write(&file, b"the rowz")?;
    let error = world.run(world.staging.as_ref(), &world.job(&file)).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    same!(kind, Some(ErrorKind::Terminal), "the kind of {error:?}");
    world.expect(&staged.key, Some(b"the rows")).await
}

async fn an_object_of_another_size_is_put_right(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"the rows")?;
    let key = world.key(&file);
    world.harness().put(&key, b"half".to_vec()).await?;
    world.stage(&file).await?;
    world.expect(&key, Some(b"the rows")).await
}

async fn a_damaged_object_is_not_handed_out(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"the rows")?;
    let staged = world.stage(&file).await?;
    let to = world.folder.path().join("fetched");
    for damage in [&b"the rowz"[..], b"the ", b"", b"the rows and more"] {
        world.harness().put(&staged.key, damage.to_vec()).await?;
        let error = world.staging.fetch(&staged, &to).await.err();
        let kind = error.as_ref().map(crate::Error::kind);
        same!(kind, Some(ErrorKind::Terminal), "the kind of {error:?}");
        ensure!(!to.exists(), "a damaged file was left behind");
    }
    Ok(())
}

async fn an_object_that_is_gone_is_not_handed_out(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"the rows")?;
    let staged = world.stage(&file).await?;
    world.staging.remove(std::slice::from_ref(&staged.key)).await?;
    let to = world.folder.path().join("fetched");
    let error = world.staging.fetch(&staged, &to).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    same!(kind, Some(ErrorKind::Terminal), "the kind of {error:?}");
    ensure!(!to.exists(), "a file was left behind");
    Ok(())
}

/// Stages into a fault, then again without.
async fn met(world: &mut StagingWorld, fault: Fault) -> Outcome {
    let before = world.staging.list(&world.scope()).await?.len();
    let bytes = vec![7_u8; 3 << 20];
    let file = world.file("players", &bytes)?;
    let faulty =
        FaultyStaging::new(world.harness().open()?, Faults::none().on(Call::Stage, 1, fault));
    let kind = world.run(&faulty, &world.job(&file)).await.err().map(|error| error.kind());
    same!(kind, Some(ErrorKind::OutcomeUnknown), "the kind of the error");
    let staged = world.stage(&file).await?;
    same!(world.staging.list(&world.scope()).await?.len(), before + 1, "the number of objects");
    world.expect(&staged.key, Some(&bytes)).await
}

async fn an_answer_that_is_lost_stages_once(world: &mut StagingWorld) -> Outcome {
    met(world, Fault::LostAnswer).await
}

async fn a_future_that_is_dropped_stages_once(world: &mut StagingWorld) -> Outcome {
    met(world, Fault::Dropped(1)).await?;
    met(world, Fault::Dropped(3)).await
}

async fn an_answer_that_is_lost_writes_a_manifest_once(world: &mut StagingWorld) -> Outcome {
    let manifest = world.manifest("1795369539.5", Vec::new()).seal();
    for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::Dropped(1)] {
        let faults = Faults::none().on(Call::WriteManifest, 1, fault);
        let faulty = FaultyStaging::new(world.harness().open()?, faults);
        ensure!(faulty.write_manifest(&manifest).await.is_err(), "{fault:?} went unnoticed");
        world.staging.write_manifest(&manifest).await?;
        world.expect(&manifest.key(), Some(manifest.bytes())).await?;
    }
    Ok(())
}

async fn what_does_not_work_is_an_error_of_its_kind_without_a_secret(
    world: &mut StagingWorld,
) -> Outcome {
    let why = "the harness has no staging destination that cannot work";
    let broken = world.harness().broken().ok_or_else(|| Failure::not_tried(why))?;
    ensure!(
        broken.check().await.is_err(),
        "a staging destination that cannot work passes its check"
    );
    let manifest = world.manifest("1795369539.5", Vec::new()).seal();
    let errors = [
        broken.check().await.err(),
        broken.list(&world.scope()).await.err(),
        broken.write_manifest(&manifest).await.err(),
        broken.read_manifests(&world.scope()).await.err(),
    ];
    for error in errors.into_iter().flatten() {
        ensure!(
            matches!(
                error.kind(),
                ErrorKind::Configuration | ErrorKind::Terminal | ErrorKind::Transient
            ),
            "{error:?} is of the kind {}",
            error.kind()
        );
        let report = serde_json::to_string(&error.report()).unwrap_or_default();
        for text in [error.to_string(), format!("{error:?}"), report] {
            ensure!(
                !text.contains(CANARY),
                "an error shows the secret: {}",
                text.replace(CANARY, "<here>")
            );
        }
    }
    Ok(())
}

async fn nothing_shows_a_secret_when_it_is_printed(world: &mut StagingWorld) -> Outcome {
    let why = "the harness has no staging destination that cannot work";
    let broken = world.harness().broken().ok_or_else(|| Failure::not_tried(why))?;
    for text in [format!("{broken:?}"), format!("{broken:#?}"), broken.url("a/b")] {
        ensure!(!text.contains(CANARY), "the secret is shown: {}", text.replace(CANARY, "<here>"));
    }
    Ok(())
}
