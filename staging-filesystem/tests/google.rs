//! What Google Cloud Storage does differently: its service accounts; and what its stand-in does when it is told to.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{Package, Place, gcs_account, open_uploads, variable};
use serde_json::{Value, json};
use transload_core::{
    Error, ErrorKind, FollowUp, JobOutcome, Registry, Result, Scope, StagedFile, StagingDestination,
};

const EMAIL: &str = "credentials.client_email";
const KEY: &str = "credentials.private_key";
const KEY_ID: &str = "credentials.private_key_id";
const FILE: &str = "credentials.application_credentials";

/// The bucket with some settings changed; those without a value are left out.
fn with(place: &Place, changed: &[(&str, &str)]) -> Arc<dyn StagingDestination> {
    let registry = Registry::linked();
    let (_, create) = registry.staging("filesystem").unwrap();
    create(&place.settings(changed)).unwrap()
}

async fn stage(staging: &Arc<dyn StagingDestination>, package: &Package) -> Result<JobOutcome> {
    staging.stage(&package.stage_job(&package.files[0]), &package.context()).await
}

fn staged(outcome: &JobOutcome) -> &StagedFile {
    let [FollowUp::Copy(staged)] = &outcome.follow_ups[..] else { panic!("one copy: {outcome:?}") };
    staged
}

/// An address of an account beside the one that loads.
fn account(name: &str) -> String {
    let account = gcs_account();
    let (_, domain) = account["client_email"].as_str().unwrap().split_once('@').unwrap();
    format!("{name}@{domain}")
}

async fn refused(staging: &Arc<dyn StagingDestination>) -> [Error; 3] {
    [
        staging.check().await.unwrap_err(),
        staging.write_manifest(&Package::new("1.5").manifest().seal()).await.unwrap_err(),
        staging.list(&Scope::default()).await.unwrap_err(),
    ]
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn a_key_that_is_refused_is_an_error_of_the_configuration_without_the_key() {
    let place = Place::gcs();
    let nobody = [(EMAIL, ""), (KEY, "")];
    for changed in [&[(EMAIL, account("CANARY").as_str())][..], &[(KEY_ID, "another")], &nobody[..]]
    {
        let staging = with(&place, changed);
        for error in refused(&staging).await {
            let shown = format!("{error:?} {:?}", error.report());
            assert_eq!(
                (error.kind(), error.message()),
                (ErrorKind::Configuration, "the store refused the credentials"),
                "{shown}"
            );
            assert!(!shown.contains("CANARY") && !shown.contains("BEGIN"), "{shown}");
            assert!(error.hint().unwrap().contains("credentials.private_key"), "{shown}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn a_bucket_of_google_that_is_not_there_is_an_error_of_the_configuration() {
    let place = Place::gcs();
    let staging = with(&place, &[("bucket_url", "gs://no-such-bucket/a")]);
    let package = Package::new("1.5").with("players", b"rows");
    for error in [
        staging.check().await.unwrap_err(),
        staging.list(&Scope::default()).await.unwrap_err(),
        stage(&staging, &package).await.unwrap_err(),
        staging.read_manifests(&Scope::default()).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Configuration, "the bucket does not exist"),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("bucket_url"), "{error:?}");
    }
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn an_account_may_do_what_its_rights_allow() {
    let place = Place::gcs();
    let reader = with(&place, &[(EMAIL, &account("reader"))]);
    let package = Package::new("1.5").with("players", b"rows");
    let outcome = stage(&place.staging(), &package).await.unwrap();
    reader.fetch(staged(&outcome), &place.folder.path().join("back")).await.unwrap();
    let other = Package::new("2.5").with("players", b"rows");
    for error in [
        stage(&reader, &other).await.unwrap_err(),
        reader.remove(&[staged(&outcome).key.clone()]).await.unwrap_err(),
        reader.check().await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Terminal, "the credentials do not allow this"),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("roles/storage"), "{error:?}");
    }
    assert_eq!(place.get(&staged(&outcome).key).await, b"rows");
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn a_key_file_is_as_good_as_what_is_in_it() {
    let place = Place::gcs();
    let file = place.folder.path().join("key.json");
    std::fs::write(&file, variable("GCS_CREDENTIALS")).unwrap();
    let by_file = [(EMAIL, ""), (KEY, ""), (KEY_ID, ""), (FILE, file.to_str().unwrap())];
    with(&place, &by_file).check().await.unwrap();
    // As a variable of the environment holds it.
    let escaped = gcs_account()["private_key"].as_str().unwrap().replace('\n', "\\n");
    with(&place, &[(KEY, &escaped)]).check().await.unwrap();
}

/// Orders a fault for requests about something in this place.
async fn fault(place: &Place, method: &str, target: &str, times: u32, does: Value) {
    let prefix = place.prefix();
    let fault = json!({
        "method": method, "target": target.replace("{place}", prefix), "times": times, "does": does,
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}/_faults", variable("GCS_ENDPOINT"));
    let sent = reqwest::Client::new().post(url).body(fault.to_string()).send().await.unwrap();
    assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
}

/// Faults that were ordered for this place and did not come to pass.
async fn faults_to_come(place: &Place) -> usize {
    let prefix = place.prefix();
    let url = format!("{}/_faults", variable("GCS_ENDPOINT"));
    let listed = reqwest::get(url).await.unwrap().text().await.unwrap();
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    listed.iter().filter(|fault| fault["target"].as_str().unwrap().contains(prefix)).count()
}

/// A file of three parts.
fn large() -> Vec<u8> {
    (0..(20 << 20_u32)).map(|index: u32| (index % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn an_upload_in_parts_outlives_throttling_resets_and_lost_answers() {
    let (place, content) = (Place::gcs(), large());
    let busy = |status: u16, code: &str| json!({"refuse": {"status": status, "code": code}});
    for (method, times, does) in [
        ("POST", 1, busy(429, "TooManyRequests")),
        ("PUT", 2, busy(503, "SlowDown")),
        ("PUT", 1, json!("reset")),
        ("PUT", 1, json!("lose")),
        ("PUT", 1, json!({"wait": 50})),
        ("POST", 1, busy(503, "ServiceUnavailable")),
    ] {
        fault(&place, method, "{place}", times, does).await;
    }
    let package = Package::new("1.5").with("players", &content);
    let outcome = stage(&place.staging(), &package).await.unwrap();
    assert!(place.get(&staged(&outcome).key).await == content, "the object is not the file");
    assert_eq!((faults_to_come(&place).await, open_uploads(&place).await), (0, 0));
}
