//! Errors are of the kind that decides what happens next, and hold no secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{players, table};
use crate::conformance::case::{Case, Claim, Failure, Outcome, cases, ensure, rows, same};
use crate::conformance::harness::CANARY;
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::{
    CopyJob, CustomJob, DataType, Destination, Disposition, Error, ErrorKind, FileFormat, Job,
    MergeStrategy, ReplaceStrategy, SchemaChange, StageJob, StagedFile, StagingAccess,
    WriteDisposition,
};

pub(super) fn cases() -> Vec<Case<World>> {
    let mut all = cases!("errors", []:
        what_does_not_work_is_an_error_of_its_kind,
        no_error_shows_a_secret,
        nothing_shows_a_secret_when_it_is_printed,
        a_step_that_it_does_not_know_is_unsupported,
        staging_a_file_is_not_its_work,
        a_format_that_it_does_not_claim_is_unsupported,
    );
    all.extend(
        cases!("errors", [Claim::LoadsLocalFiles]: a_file_that_is_gone_is_not_worth_another_try),
    );
    all.extend(cases!("errors", []:
        a_damaged_file_is_bad_data_and_changes_nothing,
        a_value_that_is_not_of_its_type_is_bad_data_and_is_not_shown,
    ));
    all.extend(
        cases!("errors", [Claim::CopiesFromFolders]: staged_files_without_a_way_in_are_refused),
    );
    all.extend(cases!("errors", [Claim::LacksDisposition(WriteDisposition::Merge)]:
        merging_that_it_does_not_claim_is_unsupported,
    ));
    all.extend(cases!("errors", [Claim::LacksDisposition(WriteDisposition::Replace)]:
        replacing_that_it_does_not_claim_is_unsupported,
    ));
    all
}

fn broken(world: &World) -> Outcome<Arc<dyn Destination>> {
    let why = "the harness has no destination that cannot work";
    world.harness().broken().ok_or_else(|| Failure::not_tried(why))
}

/// What a destination says that cannot work, whatever it is asked.
async fn complaints(world: &World, broken: &dyn Destination) -> Vec<Error> {
    let inquiry = crate::Inquiry {
        dataset: world.dataset.clone(),
        pipeline: world.pipeline.clone(),
        schema: "suite".into(),
        load: None,
    };
    let create = [SchemaChange::CreateDataset, SchemaChange::CreateTable(players())];
    let (checked, described, applied, fenced) = (
        broken.check().await.err(),
        broken.describe(&inquiry).await.err(),
        broken.apply(&world.dataset, &create).await.err(),
        broken.fence(&world.dataset, &world.pipeline, "the suite").await.err(),
    );
    [checked, described, applied, fenced].into_iter().flatten().collect()
}

async fn what_does_not_work_is_an_error_of_its_kind(world: &mut World) -> Outcome {
    let broken = broken(world)?;
    ensure!(broken.check().await.is_err(), "a destination that cannot work passes its check");
    for error in complaints(world, broken.as_ref()).await {
        ensure!(
            matches!(
                error.kind(),
                ErrorKind::Configuration | ErrorKind::Terminal | ErrorKind::Transient
            ),
            "{error:?} is of the kind {}",
            error.kind()
        );
    }
    Ok(())
}

async fn no_error_shows_a_secret(world: &mut World) -> Outcome {
    let broken = broken(world)?;
    for error in complaints(world, broken.as_ref()).await {
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

async fn nothing_shows_a_secret_when_it_is_printed(world: &mut World) -> Outcome {
    let broken = broken(world)?;
    let native = broken.native_type(&crate::Column::new("c", DataType::Text)).unwrap_or_default();
    let claims = format!("{:?}", broken.capabilities());
    for text in [format!("{broken:?}"), format!("{broken:#?}"), broken.identity(), native, claims] {
        ensure!(!text.contains(CANARY), "the secret is shown: {}", text.replace(CANARY, "<here>"));
    }
    Ok(())
}

/// Runs one job in a load that is on its way, and returns the error.
async fn refused(world: &mut World, job: Job) -> Outcome<ErrorKind> {
    world.put(players());
    let part = world.part("players", rows![[1, "a"]])?;
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    world.up_to_publication(destination.as_ref(), &mut package).await?;
    let context = world.context(&package, &StagingAccess::None);
    match destination.run(&job, &context).await {
        Ok(_) => Err(Failure::untrue(format!("the job {} was run", job.id()))),
        Err(error) => Ok(error.kind()),
    }
}

async fn a_step_that_it_does_not_know_is_unsupported(world: &mut World) -> Outcome {
    let job = Job::Custom(CustomJob {
        name: "a step of nobody's".into(),
        table: "players".into(),
        payload: BTreeMap::new(),
    });
    let kind = refused(world, job).await?;
    ensure!(matches!(kind, ErrorKind::Unsupported | ErrorKind::Bug), "it is {kind}");
    Ok(())
}

async fn staging_a_file_is_not_its_work(world: &mut World) -> Outcome {
    world.put(players());
    let file = world.file("players", &["id", "name"], rows![[1, "a"]])?;
    let kind = refused(world, Job::Stage(StageJob { file, key: "a/b".into() })).await?;
    ensure!(matches!(kind, ErrorKind::Unsupported | ErrorKind::Bug), "it is {kind}");
    Ok(())
}

/// Loads one part, and returns the error.
async fn failed(world: &mut World, part: Part) -> Outcome<Error> {
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    match world.finish(destination.as_ref(), &mut package).await {
        Ok(_) => Err(Failure::untrue("it was loaded")),
        Err(error) => Ok(error),
    }
}

async fn a_format_that_it_does_not_claim_is_unsupported(world: &mut World) -> Outcome {
    let claims = world.capabilities();
    let claimed = |format: &FileFormat| {
        claims.loads.contains(format)
            || claims.copies.iter().any(|source| source.formats.contains(format))
    };
    let Some(other) = FileFormat::ALL.into_iter().find(|format| !claimed(format)) else {
        return Err(Failure::not_tried("it claims every format"));
    };
    world.put(players());
    world.format = other;
    let file = world.file_of("players", &["id"], 1, b"1\n", false)?;
    let error = failed(world, Part::of("players", [file])).await?;
    same!(error.kind(), ErrorKind::Unsupported, "the kind of {error:?}");
    Ok(())
}

async fn a_file_that_is_gone_is_not_worth_another_try(world: &mut World) -> Outcome {
    world.put(players());
    let file = world.file("players", &["id", "name"], rows![[1, "a"]])?;
    world.lose(&file)?;
    let error = failed(world, Part::of("players", [file])).await?;
    ensure!(
        matches!(error.kind(), ErrorKind::Terminal | ErrorKind::BadData),
        "{error:?} is of the kind {}",
        error.kind()
    );
    world.expect("players", &["id"], rows![]).await
}

async fn a_damaged_file_is_bad_data_and_changes_nothing(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[0, "x"]]).await?;
    let file = world.file_of(
        "players",
        &["id", "name"],
        1,
        b"\x00\xff{not a file] of any \"format",
        false,
    )?;
    let error = failed(world, Part::of("players", [file])).await?;
    same!(error.kind(), ErrorKind::BadData, "the kind of {error:?}");
    world.expect("players", &["id"], rows![[0]]).await
}

async fn a_value_that_is_not_of_its_type_is_bad_data_and_is_not_shown(
    world: &mut World,
) -> Outcome {
    world.put(table("t", &[("n", DataType::Text)]));
    let text = world.file("t", &["n"], rows![["value-that-nobody-may-see"]])?;
    world.put(table("t", &[("n", DataType::Date)]));
    let error = failed(world, Part::of("t", [text])).await?;
    same!(error.kind(), ErrorKind::BadData, "the kind of {error:?}");
    ensure!(
        !format!("{error:?}").contains("value-that-nobody-may-see"),
        "the value is shown: {error:?}"
    );
    world.expect("t", &["n"], rows![]).await
}

async fn staged_files_without_a_way_in_are_refused(world: &mut World) -> Outcome {
    world.put(players());
    let file = world.file("players", &["id", "name"], rows![[1, "a"]])?;
    let mut package = world.package(vec![Chain::append(Part::of("players", [file.clone()]))]);
    let destination = Arc::clone(&world.destination);
    let state = world.state().await?;
    world.apply(destination.as_ref(), &package, &state).await?;
    let fence = world.fence(destination.as_ref(), &mut package).await?;
    let staged = StagedFile { file, key: "a/b".into(), url: "s3://a/b".into(), etag: None };
    let jobs = crate::conformance::world::Jobs {
        jobs: vec![Job::Copy(CopyJob { table: "players".into(), files: vec![staged] })],
        access: StagingAccess::None,
    };
    let ended = match world.run(destination.as_ref(), &package, &jobs).await {
        Ok(()) => world
            .publish(destination.as_ref(), &package, &jobs, fence.last_load, &state)
            .await
            .map(drop),
        Err(error) => Err(error),
    };
    let kind = ended.err().map(|error| error.kind());
    ensure!(matches!(kind, Some(ErrorKind::Unsupported | ErrorKind::Bug)), "it ended as {kind:?}");
    world.expect("players", &["id"], rows![]).await
}

/// Publishes with a disposition that is not claimed.
async fn not_claimed(world: &mut World, disposition: Disposition) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let part = world.part("players", rows![[1, "b"]])?;
    let mut package = world.package(vec![Chain::of(disposition, [part])]);
    let destination = Arc::clone(&world.destination);
    let kind =
        world.finish(destination.as_ref(), &mut package).await.err().map(|error| error.kind());
    same!(kind, Some(ErrorKind::Unsupported), "the kind of the error");
    world.expect("players", &["id", "name"], rows![[1, "a"]]).await
}

async fn merging_that_it_does_not_claim_is_unsupported(world: &mut World) -> Outcome {
    not_claimed(world, Disposition::Merge(MergeStrategy::DeleteInsert)).await
}

async fn replacing_that_it_does_not_claim_is_unsupported(world: &mut World) -> Outcome {
    not_claimed(world, Disposition::Replace(ReplaceStrategy::TruncateAndInsert)).await
}
