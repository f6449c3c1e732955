//! Storage classes, tags and encryption: on every object that is written, whole or in parts.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "common/scripted.rs"]
mod scripted;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Package, Place, gcs_client, s3_client, variable};
use object_store::path::Path;
use object_store::signer::Signer as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Url};
use scripted::{Asked, serve};
use transload_core::{Registry, StagingDestination};

fn with(place: &Place, changed: &[(&str, &str)]) -> Arc<dyn StagingDestination> {
    let registry = Registry::linked();
    let (_, create) = registry.staging("filesystem").unwrap();
    create(&place.settings(changed)).unwrap()
}

/// The keys of a file, of one in parts, and of a manifest.
async fn written(staging: &Arc<dyn StagingDestination>) -> Vec<String> {
    let large = vec![7; (8 << 20) + 1];
    let package = Package::new("1.5").with("players", b"rows").with("players", &large);
    for file in &package.files {
        staging.stage(&package.stage_job(file), &package.context()).await.unwrap();
    }
    let manifest = package.manifest();
    let keys = package.files.iter().map(|file| manifest.key_of(file));
    let mut keys: Vec<String> = keys.collect();
    let sealed = manifest.seal();
    staging.write_manifest(&sealed).await.unwrap();
    keys.push(sealed.key());
    keys
}

/// What the store says of an object.
async fn headers(request: RequestBuilder) -> HeaderMap {
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    answer.headers().clone()
}

/// The address of an object below that of its bucket.
fn address(bucket: &str, place: &Place, key: &str) -> Url {
    let mut url = Url::parse(bucket).unwrap();
    let segments = [place.prefix()].into_iter().chain(key.split('/'));
    url.path_segments_mut().unwrap().extend(segments);
    url
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn objects_of_s3_are_encrypted_tagged_and_in_their_class() {
    let place = Place::s3();
    let staging = with(
        &place,
        &[
            ("server_side_encryption", "AES256"),
            ("storage_class", "STANDARD_IA"),
            ("tags", r#"{"team": "data & more", "tier": "raw"}"#),
        ],
    );
    let store = s3_client(&variable("S3_BUCKET"));
    for key in written(&staging).await {
        let path = Path::parse(format!("{}/{key}", place.prefix())).unwrap();
        let url = store.signed_url(Method::GET, &path, Duration::from_secs(60)).await.unwrap();
        let headers = headers(reqwest::Client::new().get(url)).await;
        assert_eq!(text(&headers, "x-amz-server-side-encryption"), "AES256", "{key} {headers:?}");
        assert_eq!(text(&headers, "x-amz-storage-class"), "STANDARD_IA", "{key} {headers:?}");
        assert_eq!(text(&headers, "x-amz-tagging-count"), "2", "{key} {headers:?}");
    }
}

#[tokio::test]
#[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
async fn blobs_are_tagged_and_in_their_tier() {
    let place = Place::azure();
    let staging =
        with(&place, &[("storage_class", "Cool"), ("tags", r#"{"team": "data", "tier": "raw"}"#)]);
    let container = format!("{}/{}", variable("AZURE_ENDPOINT"), variable("AZURE_CONTAINER"));
    for key in written(&staging).await {
        let mut url = address(&container, &place, &key);
        url.set_query(Some(&variable("AZURE_SAS")));
        let headers = headers(reqwest::Client::new().head(url)).await;
        assert_eq!(text(&headers, "x-ms-access-tier"), "Cool", "{key} {headers:?}");
        assert_eq!(text(&headers, "x-ms-tag-count"), "2", "{key} {headers:?}");
    }
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn objects_of_google_are_in_their_class() {
    let place = Place::gcs();
    let staging = with(&place, &[("storage_class", "NEARLINE")]);
    let bucket = format!("{}/{}", variable("GCS_ENDPOINT"), variable("GCS_BUCKET"));
    let token = gcs_client("any").credentials().get_credential().await.unwrap();
    for key in written(&staging).await {
        let url = address(&bucket, &place, &key);
        let headers = headers(reqwest::Client::new().head(url).bearer_auth(&token.bearer)).await;
        assert_eq!(text(&headers, "x-goog-storage-class"), "NEARLINE", "{key}");
    }
}

/// No S3 server for tests has keys of AWS KMS: what is sent is looked at.
#[tokio::test]
async fn a_key_of_kms_is_named_in_every_request_that_writes() {
    let (place, heard) = (Place::local(), Arc::new(Mutex::new(Vec::new())));
    let hears = Arc::clone(&heard);
    let server = serve(move |asked: &Asked| {
        hears.lock().unwrap().push(asked.clone());
        match asked.line.starts_with("HEAD ") {
            true => (404, String::new()),
            false => (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".into()),
        }
    });
    let staging = with(
        &place,
        &[
            ("bucket_url", "s3://lake"),
            ("credentials.endpoint_url", &server),
            ("credentials.aws_access_key_id", "id"),
            ("credentials.aws_secret_access_key", "secret"),
            ("server_side_encryption", "aws:kms"),
            ("kms_key_id", "arn:aws:kms:eu-central-1:1:key/k"),
        ],
    );
    for content in [&b"rows"[..], &vec![7; (8 << 20) + 1]] {
        let package = Package::new("1.5").with("players", content);
        let job = package.stage_job(&package.files[0]);
        staging.stage(&job, &package.context()).await.unwrap_err();
    }
    let heard = heard.lock().unwrap();
    let writes: Vec<_> = heard.iter().filter(|asked| !asked.line.starts_with("HEAD ")).collect();
    assert_eq!(writes.len(), 2, "{writes:?}");
    for asked in writes {
        assert_eq!(asked.header("x-amz-server-side-encryption"), "aws:kms");
        let key = asked.header("x-amz-server-side-encryption-aws-kms-key-id");
        assert_eq!(key, "arn:aws:kms:eu-central-1:1:key/k");
    }
}
