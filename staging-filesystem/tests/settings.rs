//! What the settings name, and which of them are refused.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::Place;
use transload_core::ErrorKind;

#[test]
fn a_place_is_told_from_any_other() {
    let place = Place::local();
    let destination = place.destination();
    let folder = place.folder.path().canonicalize().unwrap();
    assert_eq!(
        destination.identity(),
        format!("filesystem:file://{}/not%20there%20yet", folder.display())
    );
    let keys = [
        ("credentials.aws_access_key_id", "CANARY"),
        ("credentials.aws_secret_access_key", "CANARY"),
    ];
    let of = |url, endpoint: Option<&str>| {
        let endpoint = endpoint.map(|endpoint| ("credentials.endpoint_url", endpoint));
        let changed: Vec<(&str, &str)> =
            keys.into_iter().chain([("bucket_url", url)]).chain(endpoint).collect();
        place.destination_with(&changed).unwrap().identity()
    };
    assert_eq!(of("s3a://lake/raw/", None), "filesystem:s3://lake/raw");
    assert_eq!(
        of("s3://lake", Some("https://Store.example:9000/")),
        "filesystem:s3://lake?endpoint=store.example:9000"
    );
    assert_eq!(
        of("s3://lake", Some("https://store.example")),
        "filesystem:s3://lake?endpoint=store.example"
    );
    let keyless = |url: &str, endpoint: &str| {
        let changed = [("bucket_url", url), ("credentials.endpoint_url", endpoint)];
        place.destination_with(&changed).unwrap().identity()
    };
    assert_eq!(
        keyless("gcs://lake/raw/", "http://127.0.0.1:4440/"),
        "filesystem:gs://lake/raw?endpoint=127.0.0.1:4440"
    );
}

#[test]
fn a_wrong_layout_names_its_key_and_what_is_wrong() {
    let place = Place::local();
    for layout in ["{table_name}", "{table_name}/{load_id}.{ext}", "{tabel_name}/{file_id}"] {
        let error = place.destination_with(&[("layout", layout)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.context("key"), Some("destination.filesystem.layout"));
        assert_eq!(error.context("layout"), Some(layout));
    }
    // A staging destination has no layout, so a wrong one does not matter to it.
    place.staging();
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let place = Place::local();
    for (changed, kind) in [
        (&[("bucket_url", "ftp://lake")][..], ErrorKind::Unsupported),
        (
            &[("bucket_url", "s3://lake"), ("credentials.aws_access_key_id", "x")],
            ErrorKind::Configuration,
        ),
        (
            &[("bucket_url", "s3://lake"), ("credentials.s3_url_style", "x")],
            ErrorKind::Configuration,
        ),
        (
            &[("bucket_url", "s3://lake"), ("credentials.endpoint_url", "ftp://x")],
            ErrorKind::Configuration,
        ),
        (
            &[("bucket_url", "s3://lake"), ("credentials.endpoint_url", "http://CANARY@x")],
            ErrorKind::Configuration,
        ),
        (&[("max_state_files", "many")], ErrorKind::Configuration),
    ] {
        let error = place.destination_with(changed).unwrap_err();
        assert_eq!(error.kind(), kind, "{changed:?}");
        assert!(!format!("{error:?}").contains("CANARY"));
    }
    let virtual_hosted = [
        ("bucket_url", "s3://lake/a"),
        ("credentials.endpoint_url", "https://store.example:9000"),
        ("credentials.s3_url_style", "virtual"),
        ("credentials.aws_access_key_id", "id"),
        ("credentials.aws_secret_access_key", "CANARY"),
    ];
    let destination = place.destination_with(&virtual_hosted).unwrap();
    assert!(!format!("{destination:?}").contains("CANARY"));
}
