//! Manifests: put down once, and read back as they were.

use super::staging_world::StagingWorld;
use crate::conformance::case::{Case, Outcome, cases, ensure, same};
use crate::{ErrorKind, MANIFEST_NAME};

pub(super) fn cases() -> Vec<Case<StagingWorld>> {
    cases!("manifest", []:
        a_manifest_comes_back_byte_by_byte,
        the_same_manifest_may_be_written_again,
        another_manifest_in_its_place_is_refused,
        one_of_many_writers_wins,
        manifests_come_back_oldest_first,
        a_scope_holds_what_is_in_it_and_nothing_else,
        a_manifest_lies_beside_its_files,
        a_damaged_manifest_is_an_error,
    )
}

async fn a_manifest_comes_back_byte_by_byte(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    let manifest = world.manifest("1795369539.5", vec![file]).seal();
    world.staging.write_manifest(&manifest).await?;
    world.expect(&manifest.key(), Some(manifest.bytes())).await?;
    let found = world.staging.read_manifests(&world.scope()).await?;
    same!(found.len(), 1, "the number of manifests");
    same!(found[0].digest(), manifest.digest(), "the digest");
    same!(found[0], manifest, "the manifest");
    Ok(())
}

async fn the_same_manifest_may_be_written_again(world: &mut StagingWorld) -> Outcome {
    let manifest = world.manifest("1795369539.5", Vec::new()).seal();
    for _ in 0..3 {
        world.harness().open()?.write_manifest(&manifest).await?;
    }
    world.expect(&manifest.key(), Some(manifest.bytes())).await
}

async fn another_manifest_in_its_place_is_refused(world: &mut StagingWorld) -> Outcome {
    let first = world.manifest("1795369539.5", Vec::new()).seal();
    world.staging.write_manifest(&first).await?;
    let mut other = world.manifest("1795369539.5", Vec::new());
    other.created_at = "2026-11-22T18:00:00.000000Z".into();
    let error = world.staging.write_manifest(&other.seal()).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    same!(kind, Some(ErrorKind::Terminal), "the kind of {error:?}");
    world.expect(&first.key(), Some(first.bytes())).await
}

async fn one_of_many_writers_wins(world: &mut StagingWorld) -> Outcome {
    let mut writers = Vec::new();
    for number in 0..12 {
        let mut manifest = world.manifest("1795369539.5", Vec::new());
        manifest.created_at = format!("writer {number}");
        let staging = world.harness().open()?;
        writers.push(Box::pin(async move {
            let manifest = manifest.seal();
            let result = staging.write_manifest(&manifest).await;
            (result, manifest)
        }));
    }
    let mut ended: Vec<Option<_>> = writers.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (slot, writer) in ended.iter_mut().zip(&mut writers) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = writer.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        match ended.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    let mut winners = Vec::new();
    for (result, manifest) in ended.into_iter().flatten() {
        match result {
            Ok(()) => winners.push(manifest),
            Err(error) => same!(error.kind(), ErrorKind::Terminal, "the kind of {error:?}"),
        }
    }
    same!(winners.len(), 1, "the number of winners");
    world.expect(&winners[0].key(), Some(winners[0].bytes())).await
}

async fn manifests_come_back_oldest_first(world: &mut StagingWorld) -> Outcome {
    for load_id in ["1795369530.5", "1795369510.5", "1795369520.5"] {
        world.staging.write_manifest(&world.manifest(load_id, Vec::new()).seal()).await?;
    }
    let found = world.staging.read_manifests(&world.scope()).await?;
    let ids: Vec<&str> = found.iter().map(|manifest| manifest.load_id.as_str()).collect();
    same!(ids, ["1795369510.5", "1795369520.5", "1795369530.5"], "the loads");
    Ok(())
}

async fn a_scope_holds_what_is_in_it_and_nothing_else(world: &mut StagingWorld) -> Outcome {
    for (pipeline, load_id) in [
        ("p", "1795369510.5"),
        ("p", "1795369520.5"),
        ("p2", "1795369530.5"),
        ("P", "1795369540.5"),
    ] {
        let mut manifest = world.manifest(load_id, Vec::new());
        manifest.pipeline = pipeline.into();
        world.staging.write_manifest(&manifest.seal()).await?;
    }
    for (scope, expected) in [
        (world.scope(), 4),
        (world.scope_of("p", None), 2),
        (world.scope_of("p", Some("1795369520.5")), 1),
        (world.scope_of("p2", None), 1),
        (world.scope_of("P", None), 1),
        (world.scope_of("p", Some("179536952")), 0),
        (world.scope_of("p3", None), 0),
    ] {
        same!(
            world.staging.read_manifests(&scope).await?.len(),
            expected,
            "the manifests in {scope:?}"
        );
        same!(world.staging.list(&scope).await?.len(), expected, "the objects in {scope:?}");
    }
    Ok(())
}

async fn a_manifest_lies_beside_its_files(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    let staged = world.stage(&file).await?;
    let manifest = world.manifest("1795369539.5", vec![file]).seal();
    world.staging.write_manifest(&manifest).await?;
    let mut keys: Vec<String> =
        world.staging.list(&world.scope()).await?.into_iter().map(|object| object.key).collect();
    keys.sort();
    let mut expected = vec![staged.key, manifest.key()];
    expected.sort();
    same!(keys, expected, "the objects");
    same!(world.staging.read_manifests(&world.scope()).await?.len(), 1, "the number of manifests");
    Ok(())
}

async fn a_damaged_manifest_is_an_error(world: &mut StagingWorld) -> Outcome {
    let manifest = world.manifest("1795369539.5", Vec::new()).seal();
    world.staging.write_manifest(&manifest).await?;
    let half = manifest.bytes()[..manifest.bytes().len() / 2].to_vec();
    world.harness().put(&manifest.key(), half).await?;
    let error = world.staging.read_manifests(&world.scope()).await.err();
    let kind = error.as_ref().map(crate::Error::kind);
    same!(kind, Some(ErrorKind::Terminal), "the kind of {error:?}");
    let text = format!("{error:?}");
    ensure!(text.contains(MANIFEST_NAME), "the error does not say which one it is: {text}");
    Ok(())
}
