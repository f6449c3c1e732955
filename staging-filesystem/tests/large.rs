//! Much of it: one file of 2 GB, and 5,000 small ones.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::Write as _;
use std::sync::Arc;

use common::{Package, Place};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use transload_core::{DataFile, FileFormat, FollowUp, Scope, Sha256Hex};

/// What this process has had in memory at most, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A file of that many mebibytes, none like another, in a package.
fn large(mebibytes: u32) -> Package {
    let mut package = Package::new("1.5");
    let partial = package.folder.path().join("partial");
    let (mut file, mut hash) = (std::fs::File::create(&partial).unwrap(), Sha256::new());
    for number in 0..mebibytes {
        let words = number << 18..(number + 1) << 18;
        let piece: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        file.write_all(&piece).unwrap();
        hash.update(&piece);
    }
    let sha256 = Sha256Hex::from_digest(&hash.finalize());
    let bytes = u64::from(mebibytes) << 20;
    let file = DataFile {
        table: "players".into(),
        name: DataFile::name_of(1, &sha256, FileFormat::Parquet, false),
        format: FileFormat::Parquet,
        gzip: false,
        rows: 1,
        bytes,
        sha256,
        columns: vec!["id".into()],
        bounds: Default::default(),
        longest: Default::default(),
    };
    let path = package.path(&file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::rename(partial, path).unwrap();
    package.files.push(file);
    package
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves 2 GB twice, and wants a release build: cargo xtask e2e filesystem --large"]
async fn two_gigabytes_go_up_and_come_back_in_a_quarter_of_one() {
    const LIMIT: u64 = 256 << 20;
    let (place, package) = (Place::s3(), large(2048));
    let staging = place.staging();
    let job = package.stage_job(&package.files[0]);
    let outcome = staging.stage(&job, &package.context()).await.unwrap();
    assert_eq!(outcome.statistics.bytes, 2 << 30);
    assert!(peak() < LIMIT, "{} bytes going up", peak());
    let [FollowUp::Copy(staged)] = &outcome.follow_ups[..] else { panic!("one copy") };
    // Held against its hash on the way.
    staging.fetch(staged, &place.folder.path().join("back")).await.unwrap();
    assert!(peak() < LIMIT, "{} bytes coming back", peak());
    staging.remove(std::slice::from_ref(&staged.key)).await.unwrap();
    assert_eq!(common::open_uploads(&place).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn five_thousand_small_files_go_up_and_are_removed() {
    const FILES: usize = 5000;
    let place = Place::s3();
    let mut package = Package::new("1.5");
    for number in 0..FILES {
        package = package.with("players", format!("row {number}").as_bytes());
    }
    let (staging, package) = (place.staging(), Arc::new(package));
    let uploads = (0..FILES).map(|number| {
        let (staging, package) = (&staging, &package);
        async move {
            let job = package.stage_job(&package.files[number]);
            staging.stage(&job, &package.context()).await.unwrap()
        }
    });
    let staged: Vec<_> = futures::stream::iter(uploads).buffer_unordered(20).collect().await;
    let bytes: u64 = staged.iter().map(|outcome| outcome.statistics.bytes).sum();
    assert_eq!(bytes, package.files.iter().map(|file| file.bytes).sum::<u64>());
    let listed = staging.list(&Scope::default()).await.unwrap();
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    let manifest = package.manifest();
    let mut expected: Vec<String> =
        package.files.iter().map(|file| manifest.key_of(file)).collect();
    expected.sort();
    keys.sort();
    assert!(keys == expected, "{} of {FILES} are there", keys.len());
    staging.remove(&keys).await.unwrap();
    assert_eq!(place.keys().await, [""; 0]);
}
