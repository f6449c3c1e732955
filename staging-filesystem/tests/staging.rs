//! The staging destination, on folders, on S3, on Azure and on Google Cloud Storage.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Kind, Package, Place, variable};
use transload_core::{
    AccessKind, AccessRequest, ErrorKind, FollowUp, JobContext, JobOutcome, Scope, StagedFile,
    StagingAccess, StagingDestination,
};

everywhere!(
    a_staged_file_is_there_and_asks_for_its_copy,
    a_large_file_travels_in_parts,
    what_is_there_is_not_sent_again,
    a_damaged_file_leaves_nothing_behind,
    a_damaged_file_is_refused_though_its_object_is_there,
    a_damaged_object_of_the_same_size_is_put_right_in_a_folder,
    an_object_that_was_changed_is_put_right,
    one_of_32_manifests_wins,
    the_same_manifest_may_be_written_again,
    manifests_come_back_oldest_first,
    a_manifest_comes_back_with_the_bytes_that_were_written,
    a_damaged_manifest_is_an_error,
    a_fetched_file_is_held_against_its_hash,
    what_is_removed_is_gone_and_may_be_gone_already,
    no_key_leaves_the_root,
    a_destination_is_let_in_by_what_both_know,
    a_check_leaves_nothing_behind,
    nothing_is_there_before_anything_is_written,
);

async fn stage(
    staging: &Arc<dyn StagingDestination>,
    package: &Package,
    index: usize,
) -> transload_core::Result<JobOutcome> {
    staging.stage(&package.stage_job(&package.files[index]), &package.context()).await
}

fn staged(outcome: &JobOutcome) -> &StagedFile {
    let [FollowUp::Copy(staged)] = &outcome.follow_ups[..] else { panic!("one copy: {outcome:?}") };
    staged
}

async fn a_staged_file_is_there_and_asks_for_its_copy(place: Place) {
    let (staging, package) =
        (place.staging(), Package::new("1795369539.5").with("Spieler/ä", b"rows"));
    let outcome = stage(&staging, &package, 0).await.unwrap();
    assert_eq!(outcome.statistics.bytes, 4);
    let staged = staged(&outcome);
    let key = "player_data/chess%20pipeline/1795369539.5/%53pieler%2f%c3%a4/000001-bc51e9e65d79e1c9.parquet";
    assert_eq!(staged.key, key);
    assert_eq!(staged.url, staging.url(key));
    assert_eq!(place.get(key).await, b"rows");
    assert_eq!(place.keys().await, [key]);
    if place.is_local() {
        let path = url::Url::parse(&staged.url).unwrap().to_file_path().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"rows");
    } else {
        assert_eq!(staged.url, format!("{}/{key}", place.url));
        assert!(staged.etag.is_some());
    }
}

/// Bytes that do not repeat within a part.
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

async fn a_large_file_travels_in_parts(place: Place) {
    let content = noise(20 << 20);
    let (staging, package) = (place.staging(), Package::new("1.5").with("players", &content));
    let moved = AtomicU64::new(0);
    let on_bytes = |bytes| {
        moved.fetch_add(bytes, Ordering::Relaxed);
    };
    let context = JobContext { on_bytes: &on_bytes, ..package.context() };
    let outcome = staging.stage(&package.stage_job(&package.files[0]), &context).await.unwrap();
    assert_eq!(moved.load(Ordering::Relaxed), 20 << 20);
    assert!(place.get(&staged(&outcome).key).await == content, "the object is not the file");
    let to = place.folder.path().join("back/again");
    staging.fetch(staged(&outcome), &to).await.unwrap();
    assert!(std::fs::read(to).unwrap() == content, "the fetched file is not the file");
    assert_eq!(place.leftovers(), [""; 0]);
}

async fn what_is_there_is_not_sent_again(place: Place) {
    let (staging, package) = (place.staging(), Package::new("1.5").with("players", b"rows"));
    let first = stage(&staging, &package, 0).await.unwrap();
    let second = stage(&staging, &package, 0).await.unwrap();
    assert_eq!(first.follow_ups, second.follow_ups);
    assert_eq!(second.statistics.bytes, 0);
}

async fn a_damaged_file_is_refused_though_its_object_is_there(place: Place) {
    let staging = place.staging();
    for content in [b"rows".to_vec(), noise((8 << 20) + 5)] {
        let package = Package::new("1.5").with("players", &content);
        stage(&staging, &package, 0).await.unwrap();
        let path = package.path(&package.files[0]);
        let mut flipped = content.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let error = stage(&staging, &package, 0).await.unwrap_err();
        assert_eq!(error.message(), "the data file is damaged");
        assert_eq!(error.context("reason"), Some("its content is not what was sealed"));
        std::fs::remove_file(&path).unwrap();
        let error = stage(&staging, &package, 0).await.unwrap_err();
        assert_eq!(error.context("reason"), Some("it is gone"));
        let key = package.manifest().key_of(&package.files[0]);
        assert!(place.get(&key).await == content, "the object was touched");
    }
}

async fn a_damaged_object_of_the_same_size_is_put_right_in_a_folder(place: Place) {
    for content in [b"rows".to_vec(), noise((8 << 20) + 5)] {
        let (staging, package) = (place.staging(), Package::new("1.5").with("players", &content));
        let key = package.manifest().key_of(&package.files[0]);
        let mut flipped = content.clone();
        *flipped.last_mut().unwrap() ^= 1;
        place.put(&key, &flipped).await;
        let outcome = stage(&staging, &package, 0).await.unwrap();
        let moved = if place.is_local() { content.len() } else { 0 };
        assert_eq!(outcome.statistics.bytes, moved as u64);
        let fetched = staging.fetch(staged(&outcome), &place.folder.path().join("back")).await;
        assert_eq!(fetched.is_ok(), place.is_local());
    }
}

async fn a_damaged_file_leaves_nothing_behind(place: Place) {
    let staging = place.staging();
    let large = noise((8 << 20) + 5);
    for content in [b"rows".to_vec(), large] {
        let package = Package::new("1.5").with("players", &content);
        let path = package.path(&package.files[0]);
        let mut flipped = content.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (damage, reason) in [
            (Some(flipped), "its content is not what was sealed"),
            (Some(content[1..].to_vec()), "it has another size"),
            (None, "it is gone"),
        ] {
            match damage {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let error = stage(&staging, &package, 0).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.message()),
                (ErrorKind::Terminal, "the data file is damaged")
            );
            assert_eq!(error.context("reason"), Some(reason));
            assert_eq!(error.context("file"), Some(package.files[0].path().as_str()));
            assert_eq!(place.keys().await, [""; 0]);
            assert_eq!(place.leftovers(), [""; 0]);
        }
    }
}

async fn an_object_that_was_changed_is_put_right(place: Place) {
    let (staging, package) = (place.staging(), Package::new("1.5").with("players", b"rows"));
    let key = package.manifest().key_of(&package.files[0]);
    place.put(&key, b"other rows").await;
    stage(&staging, &package, 0).await.unwrap();
    assert_eq!(place.get(&key).await, b"rows");
}

async fn one_of_32_manifests_wins(place: Place) {
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..32 {
        let (staging, mut manifest) = (place.staging(), Package::new("1.5").manifest());
        manifest.created_at = format!("writer {number}");
        writers.spawn(async move {
            let manifest = manifest.seal();
            (staging.write_manifest(&manifest).await, manifest)
        });
    }
    let mut winners = Vec::new();
    for (result, manifest) in writers.join_all().await {
        match result {
            Ok(()) => winners.push(manifest),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Terminal, "{error:?}");
                assert_eq!(error.message(), "the load id is taken by another load");
            }
        }
    }
    let [winner] = &winners[..] else { panic!("{} winners", winners.len()) };
    assert_eq!(place.get(&winner.key()).await, winner.bytes());
    let back = place.staging().read_manifests(&Scope::default()).await.unwrap();
    assert_eq!((&back[0], back[0].digest()), (winner, winner.digest()));
    assert_eq!(place.leftovers(), [""; 0]);
}

async fn the_same_manifest_may_be_written_again(place: Place) {
    let (staging, manifest) = (place.staging(), Package::new("1.5").manifest().seal());
    staging.write_manifest(&manifest).await.unwrap();
    place.staging().write_manifest(&manifest).await.unwrap();
}

async fn manifests_come_back_oldest_first(place: Place) {
    let staging = place.staging();
    for load_id in ["30.5", "10.5", "20.5"] {
        let package = Package::new(load_id).with("players", load_id.as_bytes());
        stage(&staging, &package, 0).await.unwrap();
        staging.write_manifest(&package.manifest().seal()).await.unwrap();
    }
    let mut other = Package::new("15.5").manifest();
    other.pipeline = "chess pipeline 2".into();
    staging.write_manifest(&other.seal()).await.unwrap();
    let scope = |pipeline: Option<&str>, load: Option<&str>| Scope {
        dataset: Some("player_data".into()),
        pipeline: pipeline.map(Into::into),
        load_id: load.map(Into::into),
    };
    for (scope, expected) in [
        (Scope::default(), &["10.5", "15.5", "20.5", "30.5"][..]),
        (scope(None, None), &["10.5", "15.5", "20.5", "30.5"]),
        (scope(Some("chess pipeline"), None), &["10.5", "20.5", "30.5"]),
        (scope(Some("chess pipeline"), Some("20.5")), &["20.5"]),
        (scope(Some("chess"), None), &[]),
    ] {
        let manifests = staging.read_manifests(&scope).await.unwrap();
        let ids: Vec<&str> = manifests.iter().map(|manifest| manifest.load_id.as_str()).collect();
        assert_eq!(ids, expected, "{scope:?}");
        let files = expected.iter().filter(|id| **id != "15.5").count();
        assert_eq!(staging.list(&scope).await.unwrap().len(), expected.len() + files, "{scope:?}");
    }
    // One without a manifest was interrupted before all of it was staged.
    let interrupted = Package::new("5.5").with("players", b"rows");
    stage(&staging, &interrupted, 0).await.unwrap();
    for (scope, expected) in [
        (scope(None, None), &["5.5", "10.5", "15.5", "20.5", "30.5"][..]),
        (scope(Some("chess pipeline"), None), &["5.5", "10.5", "20.5", "30.5"]),
        (scope(Some("chess pipeline"), Some("20.5")), &["20.5"]),
        (scope(Some("chess"), None), &[]),
    ] {
        let loads = staging.loads(&scope).await.unwrap();
        let mut ids: Vec<&str> = loads.iter().map(|load| load.as_str()).collect();
        ids.sort_by_key(|id| id.len());
        assert_eq!(ids, expected, "{scope:?}");
    }
    assert!(
        staging
            .read_manifests(&scope(Some("chess pipeline"), Some("5.5")))
            .await
            .unwrap()
            .is_empty()
    );
    let objects = staging.list(&scope(Some("chess pipeline"), Some("20.5"))).await.unwrap();
    assert_eq!(objects[0].key, "player_data/chess%20pipeline/20.5/_manifest.json");
    assert_eq!(objects[1].bytes, 4);
    assert!(objects[1].modified_at.starts_with("20") && objects[1].modified_at.ends_with('Z'));
}

async fn a_manifest_comes_back_with_the_bytes_that_were_written(place: Place) {
    let (staging, manifest) = (place.staging(), Package::new("1.5").manifest().seal());
    // Another version of the program would not write the same bytes.
    let text = String::from_utf8(manifest.bytes().to_vec()).unwrap().replace("\n  ", "\n ");
    place.put(&manifest.key(), text.as_bytes()).await;
    let [back] = &staging.read_manifests(&Scope::default()).await.unwrap()[..] else { panic!() };
    assert_eq!(back.bytes(), text.as_bytes());
    assert_ne!(back.digest(), manifest.digest());
}

async fn a_damaged_manifest_is_an_error(place: Place) {
    let (staging, manifest) = (place.staging(), Package::new("1.5").manifest().seal());
    place.put(&manifest.key(), &manifest.bytes()[..50]).await;
    let error = staging.read_manifests(&Scope::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Terminal);
    assert_eq!(error.context("manifest"), Some(staging.url(&manifest.key()).as_str()));
    place.put(&manifest.key(), Package::new("2.5").manifest().seal().bytes()).await;
    let error = staging.read_manifests(&Scope::default()).await.unwrap_err();
    assert_eq!(error.message(), "a manifest lies in the place of another load");
}

async fn a_fetched_file_is_held_against_its_hash(place: Place) {
    let (staging, package) = (place.staging(), Package::new("1.5").with("players", b"rows"));
    let outcome = stage(&staging, &package, 0).await.unwrap();
    let to = place.folder.path().join("fetched/file.parquet");
    staging.fetch(staged(&outcome), &to).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"rows");
    std::fs::remove_file(&to).unwrap();
    for damage in [&b"rowz"[..], b"row", b""] {
        place.put(&staged(&outcome).key, damage).await;
        let error = staging.fetch(staged(&outcome), &to).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Terminal, "the staged file is damaged")
        );
    }
    place.delete(&staged(&outcome).key).await;
    let error = staging.fetch(staged(&outcome), &to).await.unwrap_err();
    assert_eq!(error.context("reason"), Some("it is gone"));
    assert_eq!(std::fs::read_dir(to.parent().unwrap()).unwrap().count(), 0);
}

async fn what_is_removed_is_gone_and_may_be_gone_already(place: Place) {
    let staging = place.staging();
    let package = Package::new("1.5").with("players", b"one").with("players", b"two");
    for index in 0..2 {
        stage(&staging, &package, index).await.unwrap();
    }
    let keys: Vec<String> =
        package.files.iter().map(|file| package.manifest().key_of(file)).collect();
    staging.remove(&keys[..1]).await.unwrap();
    assert_eq!(place.keys().await, keys[1..]);
    staging.remove(&keys).await.unwrap();
    staging.remove(&keys).await.unwrap();
    staging.remove(&[]).await.unwrap();
    assert_eq!(place.keys().await, [""; 0]);
}

async fn no_key_leaves_the_root(place: Place) {
    let staging = place.staging();
    let outside = place.folder.path().join("outside");
    std::fs::write(&outside, b"untouched").unwrap();
    for key in
        ["../outside", "a/../../outside", "/outside", "", "a//b", "./a", "a/", "a\nb", "a\0b"]
    {
        let error = staging.remove(&[key.to_owned()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal, "{key:?}");
        let package = Package::new("1.5").with("players", b"rows");
        let transload_core::Job::Stage(mut job) = package.stage_job(&package.files[0]) else {
            panic!()
        };
        job.key = key.to_owned();
        let job = transload_core::Job::Stage(job);
        assert_eq!(
            staging.stage(&job, &package.context()).await.unwrap_err().kind(),
            ErrorKind::Terminal
        );
    }
    assert_eq!(std::fs::read(&outside).unwrap(), b"untouched");
}

async fn a_destination_is_let_in_by_what_both_know(place: Place) {
    let (staging, package) = (place.staging(), Package::new("1.5").with("players", b"rows"));
    let files = vec![staged(&stage(&staging, &package, 0).await.unwrap()).clone()];
    let request =
        |takes: &[AccessKind]| AccessRequest { files: files.clone(), takes: takes.to_vec() };
    if place.kind == Kind::Azure {
        return a_signature_reads_the_container_and_does_nothing_else(&staging, &files).await;
    }
    if place.kind == Kind::Gcs {
        // There are no keys that could be handed on.
        let error = staging.grant(&request(&[AccessKind::Credentials])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.context("it gives"), Some("signed_urls"));
        return;
    }
    let both = [AccessKind::Role, AccessKind::Credentials, AccessKind::LocalPaths];
    match staging.grant(&request(&both)).await.unwrap() {
        StagingAccess::LocalPaths(paths) if place.is_local() => {
            assert_eq!(std::fs::read(&paths[&files[0].key]).unwrap(), b"rows");
        }
        access @ StagingAccess::Credentials(_) if !place.is_local() => {
            let secret = variable("S3_SECRET");
            assert!(!format!("{access:?}").contains(&secret));
            let StagingAccess::Credentials(credentials) = access else { panic!() };
            assert_eq!(credentials.secret_access_key.expose(), secret);
            assert!(credentials.endpoint.is_some());
        }
        other => panic!("{other:?}"),
    }
    let error = staging.grant(&request(&[AccessKind::Role])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.context("the destination takes"), Some("role"));
    assert_eq!(
        error.context("it gives"),
        Some(if place.is_local() { "local_paths" } else { "signed_urls, credentials" })
    );
}

/// Asked as a stranger would, who has this signature and nothing else.
async fn a_signature_reads_the_container_and_does_nothing_else(
    staging: &Arc<dyn StagingDestination>,
    files: &[StagedFile],
) {
    let request = AccessRequest { files: files.to_vec(), takes: vec![AccessKind::Credentials] };
    let StagingAccess::SharedAccess(access) = staging.grant(&request).await.unwrap() else {
        panic!("a signature")
    };
    assert!(!format!("{access:?}").contains("sig="));
    let (_, path) = files[0].url.split_once("://").unwrap();
    let (container, key) = path.split_once('/').unwrap();
    let client = reqwest::Client::new();
    let url = |path: &str, query: &str| {
        format!("http://{}/{path}?{query}{}", access.host, access.token.expose())
    };
    let blob = url(&format!("{container}/{}", key.replace('%', "%25")), "");
    let read = client.get(&blob).send().await.unwrap();
    assert_eq!((read.status().as_u16(), &read.bytes().await.unwrap()[..]), (200, &b"rows"[..]));
    let listed = client.get(url(container, "restype=container&comp=list&")).send().await.unwrap();
    assert!(listed.text().await.unwrap().contains(&files[0].file.name));
    let write = client.put(&blob).header("x-ms-blob-type", "BlockBlob").body("other");
    for refused in [write, client.delete(&blob), client.get(blob.replace("sp=rl", "sp=rwl"))] {
        assert_eq!(refused.send().await.unwrap().status().as_u16(), 403);
    }
}

async fn a_check_leaves_nothing_behind(place: Place) {
    place.staging().check().await.unwrap();
    assert_eq!(place.keys().await, [""; 0]);
}

async fn nothing_is_there_before_anything_is_written(place: Place) {
    let staging = place.staging();
    assert_eq!(staging.list(&Scope::default()).await.unwrap(), []);
    assert_eq!(staging.read_manifests(&Scope::default()).await.unwrap(), []);
    staging.remove(&["a/b".to_owned()]).await.unwrap();
    if place.is_local() {
        assert!(!std::path::Path::new(&place.url).exists(), "looking made the folder");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let place = Place::local();
    std::fs::write(&place.url, b"a file, not a folder").unwrap();
    let error = place.staging().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Terminal, "{error:?}");
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn wrong_keys_are_an_error_of_the_configuration_without_the_secret() {
    let place = Place::s3();
    let registry = transload_core::Registry::linked();
    let (_, create) = registry.staging("filesystem").unwrap();
    for (key, value) in [
        ("credentials.aws_secret_access_key", "CANARY-wrong-secret"),
        ("credentials.aws_access_key_id", "CANARYID"),
        ("credentials.aws_session_token", "CANARY-token"),
    ] {
        let staging = create(&place.settings(&[(key, value)])).unwrap();
        assert!(!format!("{staging:?}").contains("CANARY"));
        for error in [
            staging.check().await.unwrap_err(),
            staging.write_manifest(&Package::new("1.5").manifest().seal()).await.unwrap_err(),
            staging.list(&Scope::default()).await.unwrap_err(),
        ] {
            let shown = format!("{error:?} {:?}", error.report());
            assert_eq!(error.kind(), ErrorKind::Configuration, "{shown}");
            assert!(!shown.contains("CANARY"), "{shown}");
            assert!(error.hint().is_some(), "{shown}");
        }
    }
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_bucket_that_is_not_there_is_an_error_of_the_configuration() {
    let place = Place::s3();
    let registry = transload_core::Registry::linked();
    let (_, create) = registry.staging("filesystem").unwrap();
    let staging = create(&place.settings(&[("bucket_url", "s3://no-such-bucket/a")])).unwrap();
    // Not by writing: SeaweedFS makes the bucket then.
    let error = staging.list(&Scope::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Configuration, "the bucket does not exist")
    );
}

/// The container with some settings changed; those without a value are left out.
fn azure_with(place: &Place, changed: &[(&str, &str)]) -> Arc<dyn StagingDestination> {
    let registry = transload_core::Registry::linked();
    let (_, create) = registry.staging("filesystem").unwrap();
    create(&place.settings(changed)).unwrap()
}

const KEY: &str = "credentials.azure_storage_account_key";
const SAS: &str = "credentials.azure_storage_sas_token";

#[tokio::test]
#[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
async fn a_wrong_key_of_azure_is_an_error_of_the_configuration_without_the_key() {
    let place = Place::azure();
    let bearer = "sv=2021-12-02&ss=b&srt=sco&sp=rwdlc&se=2099-01-01T00%3A00%3A00Z&sig=CANARY";
    for changed in [vec![(KEY, "CANARYKEYINBASE64AAA")], vec![(KEY, ""), (SAS, bearer)]] {
        let staging = azure_with(&place, &changed);
        assert!(!format!("{staging:?}").contains("CANARY"));
        for error in [
            staging.check().await.unwrap_err(),
            staging.write_manifest(&Package::new("1.5").manifest().seal()).await.unwrap_err(),
            staging.list(&Scope::default()).await.unwrap_err(),
        ] {
            let shown = format!("{error:?} {:?}", error.report());
            assert_eq!(error.kind(), ErrorKind::Configuration, "{shown}");
            assert!(!shown.contains("CANARY"), "{shown}");
            let hint = error.hint().unwrap();
            assert!(hint.contains("azure_storage_account_key"), "{shown}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
async fn a_container_that_is_not_there_is_an_error_of_the_configuration() {
    let place = Place::azure();
    let staging = azure_with(&place, &[("bucket_url", "az://no-such-container/a")]);
    let package = Package::new("1.5").with("players", b"rows");
    for error in [
        staging.check().await.unwrap_err(),
        staging.list(&Scope::default()).await.unwrap_err(),
        stage(&staging, &package, 0).await.unwrap_err(),
        staging.read_manifests(&Scope::default()).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Configuration, "the container does not exist"),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("bucket_url"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
async fn a_signature_stands_in_for_the_key_with_the_rights_that_it_gives() {
    let place = Place::azure();
    let with = |sas: &str| azure_with(&place, &[(KEY, ""), (SAS, &variable(sas))]);
    let package = Package::new("1.5").with("players", b"rows");
    let refused = stage(&with("AZURE_READ_ONLY_SAS"), &package, 0).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.message()),
        (ErrorKind::Terminal, "the credentials do not allow this"),
        "{refused:?}"
    );
    let writer = with("AZURE_SAS");
    writer.check().await.unwrap();
    let outcome = stage(&writer, &package, 0).await.unwrap();
    writer.write_manifest(&package.manifest().seal()).await.unwrap();

    let reader = with("AZURE_READ_ONLY_SAS");
    reader.fetch(staged(&outcome), &place.folder.path().join("back")).await.unwrap();
    assert_eq!(reader.read_manifests(&Scope::default()).await.unwrap().len(), 1);
    let keys = [staged(&outcome).key.clone()];
    let kept = reader.remove(&keys).await.unwrap_err();
    assert!(
        matches!(kept.kind(), ErrorKind::Terminal | ErrorKind::Configuration)
            && kept.hint().is_some(),
        "{kept:?}"
    );
    assert_eq!(place.get(&keys[0]).await, b"rows");
    writer.remove(&keys).await.unwrap();

    let expired = with("AZURE_EXPIRED_SAS").list(&Scope::default()).await.unwrap_err();
    let shown = format!("{expired:?}");
    assert!(matches!(expired.kind(), ErrorKind::Terminal | ErrorKind::Configuration), "{shown}");
    assert!(expired.hint().unwrap().contains("may have expired"), "{shown}");
    assert!(!shown.contains("sig="), "{shown}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_transient_error() {
    let place = Place::local();
    let settings = place.settings(&[
        ("bucket_url", "s3://lake/a"),
        ("credentials.endpoint_url", "http://127.0.0.1:9"),
        ("credentials.aws_access_key_id", "id"),
        ("credentials.aws_secret_access_key", "CANARY"),
    ]);
    let registry = transload_core::Registry::linked();
    let staging = registry.staging("filesystem").unwrap().1(&settings).unwrap();
    let error = staging.list(&Scope::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Transient, "the store could not be reached")
    );
    assert_eq!(error.context("endpoint"), Some("http://127.0.0.1:9/"));
}
