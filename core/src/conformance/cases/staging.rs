//! Staging files: written once, under names of their own, handed out as they were.

use super::staging_world::StagingWorld;
use crate::conformance::case::{Case, Claim, Failure, Outcome, cases, ensure, same};
use crate::{
    AccessKind, AccessRequest, CopyJob, ErrorKind, FileFormat, Job, StageJob, StagedFile,
    StagingAccess,
};

pub(super) fn cases() -> Vec<Case<StagingWorld>> {
    let mut all = cases!("stage", []:
        nothing_is_there_before_anything_is_written,
        a_check_leaves_nothing_behind,
        a_staged_file_is_there_with_its_bytes,
        a_staged_file_asks_for_its_copy_by_key_and_url,
        a_file_that_is_staged_twice_is_there_once,
        an_empty_file_is_staged,
        a_large_file_is_staged_and_comes_back,
        names_of_tables_do_not_run_into_one_another,
        no_key_leaves_its_place,
        only_files_are_staged,
        every_format_that_it_claims_is_staged,
    );
    all.extend(cases!("fetch", []:
        a_fetched_file_is_the_one_that_was_staged,
        a_file_is_fetched_into_a_folder_that_does_not_exist_yet,
    ));
    all.extend(cases!("list", []:
        what_is_listed_is_what_is_there,
        what_is_removed_is_gone,
        what_is_gone_may_be_removed_again,
        what_is_not_removed_stays,
    ));
    all.extend(cases!("grant", []: a_way_in_that_nobody_has_is_refused, every_way_in_that_it_claims_is_given));
    all.extend(
        cases!("grant", [Claim::Gives(AccessKind::LocalPaths)]: local_paths_lead_to_the_files),
    );
    all
}

async fn nothing_is_there_before_anything_is_written(world: &mut StagingWorld) -> Outcome {
    same!(world.staging.list(&world.scope()).await?, Vec::new(), "the objects");
    ensure!(world.staging.read_manifests(&world.scope()).await?.is_empty(), "there is a manifest");
    Ok(())
}

async fn a_check_leaves_nothing_behind(world: &mut StagingWorld) -> Outcome {
    world.staging.check().await?;
    world.staging.check().await?;
    same!(world.staging.list(&world.scope()).await?, Vec::new(), "the objects after a check");
    Ok(())
}

async fn a_staged_file_is_there_with_its_bytes(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows \x00\xff\r\n")?;
    let staged = world.stage(&file).await?;
    world.expect(&staged.key, Some(b"rows \x00\xff\r\n")).await
}

async fn a_staged_file_asks_for_its_copy_by_key_and_url(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    let staged = world.stage(&file).await?;
    same!(staged.file, file, "the file");
    same!(staged.key, world.key(&file), "the key");
    same!(staged.url, world.staging.url(&staged.key), "the URL");
    ensure!(staged.url.contains("://"), "the URL {} has no scheme", staged.url);
    Ok(())
}

async fn a_file_that_is_staged_twice_is_there_once(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    let first = world.stage(&file).await?;
    let second = world.stage(&file).await?;
    same!(
        (&second.key, &second.url, &second.file),
        (&first.key, &first.url, &first.file),
        "the copy"
    );
    same!(world.staging.list(&world.scope()).await?.len(), 1, "the number of objects");
    world.expect(&first.key, Some(b"rows")).await
}

async fn an_empty_file_is_staged(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"")?;
    let staged = world.stage(&file).await?;
    world.expect(&staged.key, Some(b"")).await
}

/// Bytes that do not repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

async fn a_large_file_is_staged_and_comes_back(world: &mut StagingWorld) -> Outcome {
    // Beyond the size at which stores begin to take parts.
    let bytes = noise((17 << 20) + 5);
    let file = world.file("players", &bytes)?;
    let staged = world.stage(&file).await?;
    world.expect(&staged.key, Some(&bytes)).await?;
    let to = world.folder.path().join("back");
    world.staging.fetch(&staged, &to).await?;
    ensure!(std::fs::read(&to)? == bytes, "the file that came back is another");
    Ok(())
}

async fn names_of_tables_do_not_run_into_one_another(world: &mut StagingWorld) -> Outcome {
    let names = [
        "players",
        "Players",
        "a/b",
        "a%2fb",
        "..",
        ".",
        "größe 😀",
        "it's \"x\"",
        "a b",
        "a+b",
        "a#b?c",
    ];
    let mut keys = Vec::new();
    for name in names {
        let file = world.file(name, name.as_bytes())?;
        keys.push(world.stage(&file).await?.key);
    }
    for (name, key) in names.iter().zip(&keys) {
        world.expect(key, Some(name.as_bytes())).await?;
    }
    same!(world.staging.list(&world.scope()).await?.len(), names.len(), "the number of objects");
    Ok(())
}

async fn no_key_leaves_its_place(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    for key in
        ["../outside", "a/../../outside", "/outside", "", "a//b", "./a", "a/", "a\nb", "a\0b"]
    {
        let job = Job::Stage(StageJob { file: file.clone(), key: key.into() });
        let staged = world.run(world.staging.as_ref(), &job).await;
        let kind = staged.err().map(|error| error.kind());
        ensure!(kind.is_some(), "a file was staged at {key:?}");
        let removed = world.staging.remove(&[key.to_owned()]).await;
        ensure!(removed.is_err(), "something was removed at {key:?}");
    }
    Ok(())
}

async fn only_files_are_staged(world: &mut StagingWorld) -> Outcome {
    let job = Job::Copy(CopyJob { table: "players".into(), files: Vec::new() });
    let kind = world.run(world.staging.as_ref(), &job).await.err().map(|error| error.kind());
    ensure!(matches!(kind, Some(ErrorKind::Bug | ErrorKind::Unsupported)), "it ended as {kind:?}");
    Ok(())
}

async fn every_format_that_it_claims_is_staged(world: &mut StagingWorld) -> Outcome {
    for format in FileFormat::ALL {
        if world.staging.capabilities().formats.contains(&format) {
            let file = world.file_in("players", format.as_str().as_bytes(), Some(format))?;
            let staged = world.stage(&file).await?;
            world.expect(&staged.key, Some(format.as_str().as_bytes())).await?;
        }
    }
    Ok(())
}

async fn a_fetched_file_is_the_one_that_was_staged(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    let staged = world.stage(&file).await?;
    let to = world.folder.path().join("fetched");
    // What lies there already is not mixed up with it.
    std::fs::write(&to, b"something longer than the rows")?;
    world.staging.fetch(&staged, &to).await?;
    same!(std::fs::read(&to)?, b"rows".to_vec(), "the fetched file");
    Ok(())
}

async fn a_file_is_fetched_into_a_folder_that_does_not_exist_yet(
    world: &mut StagingWorld,
) -> Outcome {
    let file = world.file("players", b"rows")?;
    let staged = world.stage(&file).await?;
    let to = world.folder.path().join("not/there/yet");
    world.staging.fetch(&staged, &to).await?;
    same!(std::fs::read(&to)?, b"rows".to_vec(), "the fetched file");
    Ok(())
}

/// Stages some files.
async fn several(world: &mut StagingWorld) -> Outcome<Vec<StagedFile>> {
    let mut staged = Vec::new();
    for text in ["one", "three", "seven"] {
        let file = world.file("players", text.as_bytes())?;
        staged.push(world.stage(&file).await?);
    }
    Ok(staged)
}

async fn what_is_listed_is_what_is_there(world: &mut StagingWorld) -> Outcome {
    let staged = several(world).await?;
    let objects = world.staging.list(&world.scope()).await?;
    let mut found: Vec<(&str, u64)> =
        objects.iter().map(|object| (object.key.as_str(), object.bytes)).collect();
    found.sort_unstable();
    let mut expected: Vec<(&str, u64)> =
        staged.iter().map(|staged| (staged.key.as_str(), staged.file.bytes)).collect();
    expected.sort_unstable();
    same!(found, expected, "the objects");
    for object in &objects {
        ensure!(
            crate::conformance::moment::timestamp(&object.modified_at).is_some(),
            "{} is no time of RFC 3339 in UTC",
            object.modified_at
        );
    }
    Ok(())
}

async fn what_is_removed_is_gone(world: &mut StagingWorld) -> Outcome {
    let staged = several(world).await?;
    let keys: Vec<String> = staged.iter().map(|staged| staged.key.clone()).collect();
    world.staging.remove(&keys).await?;
    same!(world.staging.list(&world.scope()).await?, Vec::new(), "the objects");
    for key in &keys {
        world.expect(key, None).await?;
    }
    Ok(())
}

async fn what_is_gone_may_be_removed_again(world: &mut StagingWorld) -> Outcome {
    let staged = several(world).await?;
    let keys: Vec<String> = staged.iter().map(|staged| staged.key.clone()).collect();
    world.staging.remove(&keys[..1]).await?;
    for _ in 0..2 {
        world.staging.remove(&keys).await?;
    }
    world.staging.remove(&[]).await?;
    same!(world.staging.list(&world.scope()).await?, Vec::new(), "the objects");
    Ok(())
}

async fn what_is_not_removed_stays(world: &mut StagingWorld) -> Outcome {
    let staged = several(world).await?;
    world.staging.remove(&[staged[1].key.clone()]).await?;
    world.expect(&staged[0].key, Some(b"one")).await?;
    world.expect(&staged[1].key, None).await?;
    world.expect(&staged[2].key, Some(b"seven")).await
}

const EVERY_WAY: [AccessKind; 7] = [
    AccessKind::LocalPaths,
    AccessKind::OwnIdentity,
    AccessKind::Role,
    AccessKind::Integration,
    AccessKind::TemporaryCredentials,
    AccessKind::SignedUrls,
    AccessKind::Credentials,
];

async fn a_way_in_that_nobody_has_is_refused(world: &mut StagingWorld) -> Outcome {
    let file = world.file("players", b"rows")?;
    let files = vec![world.stage(&file).await?];
    let claimed = &world.staging.capabilities().access;
    let other = EVERY_WAY.into_iter().find(|kind| !claimed.contains(kind));
    let takes: Vec<AccessKind> = other.into_iter().collect();
    let granted = world.staging.grant(&AccessRequest { files, takes }).await;
    let kind = granted.err().map(|error| error.kind());
    same!(kind, Some(ErrorKind::Unsupported), "the kind of the error");
    Ok(())
}

async fn every_way_in_that_it_claims_is_given(world: &mut StagingWorld) -> Outcome {
    let claimed = world.staging.capabilities().access.clone();
    if claimed.is_empty() {
        return Err(Failure::not_tried("it claims no way in: its files are fetched"));
    }
    let file = world.file("players", b"rows")?;
    let staged = world.stage(&file).await?;
    for kind in claimed {
        let request = AccessRequest { files: vec![staged.clone()], takes: vec![kind] };
        let fits = match world.staging.grant(&request).await? {
            StagingAccess::LocalPaths(paths) => {
                kind == AccessKind::LocalPaths && paths.contains_key(&staged.key)
            }
            StagingAccess::SignedUrls(urls) => {
                kind == AccessKind::SignedUrls && urls.contains_key(&staged.key)
            }
            StagingAccess::Credentials(keys) => {
                let temporary = keys.session_token.is_some();
                kind == AccessKind::Credentials
                    || (kind == AccessKind::TemporaryCredentials && temporary)
            }
            StagingAccess::SharedAccess(_) => kind == AccessKind::Credentials,
            StagingAccess::Token(token) => {
                kind == AccessKind::TemporaryCredentials && !token.prefixes.is_empty()
            }
            StagingAccess::Configured(given) => given == kind,
            StagingAccess::None => false,
        };
        ensure!(fits, "asked for {kind}, it gives something else");
    }
    Ok(())
}

async fn local_paths_lead_to_the_files(world: &mut StagingWorld) -> Outcome {
    let staged = several(world).await?;
    let request = AccessRequest { files: staged.clone(), takes: vec![AccessKind::LocalPaths] };
    let StagingAccess::LocalPaths(paths) = world.staging.grant(&request).await? else {
        return Err(Failure::untrue("asked for local paths, it gives something else"));
    };
    for (staged, text) in staged.iter().zip(["one", "three", "seven"]) {
        let path = paths.get(&staged.key);
        let path = path.ok_or_else(|| Failure::untrue(format!("{} has no path", staged.key)))?;
        same!(std::fs::read(path)?, text.as_bytes().to_vec(), "the file at {}", path.display());
    }
    Ok(())
}
