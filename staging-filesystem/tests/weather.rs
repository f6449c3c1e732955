//! Uploads in hard weather: what happens to a file whose parts are throttled, lost, torn and overtaken on their way.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "common/proxy.rs"]
mod proxy;

use std::sync::Arc;

use common::{Kind, Package, Place, open_uploads};
use proxy::{Mishap, Proxy};
use transload_core::{
    ErrorKind, FollowUp, JobOutcome, Registry, Result, Scope, StagedFile, StagingDestination,
};

/// Runs each of these functions before S3 and before Azure.
macro_rules! in_weather {
    ($($name:ident),* $(,)?) => {
        mod s3 {
            $( #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
            async fn $name() { super::$name($crate::Weather::before($crate::Place::s3())).await } )*
        }
        mod azure {
            $( #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
            async fn $name() { super::$name($crate::Weather::before($crate::Place::azure())).await } )*
        }
        mod gcs {
            $( #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
            async fn $name() { super::$name($crate::Weather::before($crate::Place::gcs())).await } )*
        }
    };
}

in_weather!(
    a_file_in_parts_arrives_whole,
    a_small_file_arrives_whole,
    an_upload_that_fails_leaves_nothing_behind,
    an_upload_that_is_dropped_is_cleared_away,
    an_upload_that_was_completed_unheard_is_found,
    a_manifest_whose_answer_was_lost_is_written_once,
    a_file_is_fetched_whole,
);

/// A place whose requests go through a proxy.
struct Weather {
    place: Place,
    proxy: Proxy,
    /// How a part is put, how an upload is completed, and what a busy store says.
    part: (&'static str, &'static str),
    complete: (&'static str, &'static str),
    busy: Mishap,
    denied: Mishap,
}

impl Weather {
    fn before(place: Place) -> Self {
        let endpoint = match place.kind {
            Kind::S3 => "S3_ENDPOINT",
            Kind::Azure => "AZURE_ENDPOINT",
            Kind::Gcs => "GCS_ENDPOINT",
            Kind::Folder => panic!("a folder has no weather"),
        };
        let proxy = Proxy::before(&common::variable(endpoint));
        let (part, complete) = match place.kind {
            Kind::Azure => (("PUT", "comp=block&"), ("PUT", "comp=blocklist")),
            _ => (("PUT", "partNumber="), ("POST", "uploadId=")),
        };
        let (busy, denied) = match place.kind {
            Kind::Azure => ("ServerBusy", "AuthorizationPermissionMismatch"),
            _ => ("SlowDown", "AccessDenied"),
        };
        let (busy, denied) = (Mishap::Refused(503, busy), Mishap::Refused(403, denied));
        Self { place, proxy, part, complete, busy, denied }
    }

    fn staging(&self) -> Arc<dyn StagingDestination> {
        let registry = Registry::linked();
        let (_, create) = registry.staging("filesystem").unwrap();
        create(&self.place.settings(&[("credentials.endpoint_url", &self.proxy.url)])).unwrap()
    }

    fn plan(&self, (method, target): (&'static str, &'static str), times: usize, mishap: Mishap) {
        self.proxy.plan(method, target, times, mishap);
    }

    /// That all that was planned has come to pass, and that no upload is left open.
    async fn is_over(&self) {
        assert_eq!(self.proxy.to_come(), 0, "{:?}", self.proxy);
        assert_eq!(open_uploads(&self.place).await, 0);
    }
}

async fn stage(staging: &Arc<dyn StagingDestination>, package: &Package) -> Result<JobOutcome> {
    staging.stage(&package.stage_job(&package.files[0]), &package.context()).await
}

fn staged(outcome: &JobOutcome) -> &StagedFile {
    let [FollowUp::Copy(staged)] = &outcome.follow_ups[..] else { panic!("one copy: {outcome:?}") };
    staged
}

/// A file of four parts, none like another.
fn large() -> Vec<u8> {
    (0..27_u8).flat_map(|number| vec![number; 1 << 20]).collect()
}

async fn a_file_in_parts_arrives_whole(weather: Weather) {
    let content = large();
    for (times, mishap) in [
        (2, weather.busy),
        (1, Mishap::Overtaken(2)),
        (1, Mishap::Reset),
        (1, Mishap::Unheard),
        (1, Mishap::Torn),
        (1, weather.busy),
    ] {
        weather.plan(weather.part, times, mishap);
    }
    weather.plan(weather.complete, 1, weather.busy);
    let package = Package::new("1.5").with("players", &content);
    let outcome = stage(&weather.staging(), &package).await.unwrap();
    assert_eq!(outcome.statistics.bytes, content.len() as u64);
    assert!(weather.place.get(&staged(&outcome).key).await == content, "it is not the file");
    weather.is_over().await;
}

async fn a_small_file_arrives_whole(weather: Weather) {
    for mishap in [weather.busy, Mishap::Reset, Mishap::Unheard, Mishap::Torn] {
        weather.plan(("PUT", "parquet"), 1, mishap);
        let load = format!("{}.5", weather.place.keys().await.len());
        let package = Package::new(&load).with("players", b"rows");
        let staging = weather.staging();
        // What breaks before an answer is not repeated by itself: the engine does.
        let outcome = match stage(&staging, &package).await {
            Ok(outcome) => outcome,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Transient, "{mishap:?} {error:?}");
                stage(&staging, &package).await.unwrap()
            }
        };
        assert_eq!(weather.place.get(&staged(&outcome).key).await, b"rows");
    }
    weather.is_over().await;
}

async fn an_upload_that_fails_leaves_nothing_behind(weather: Weather) {
    let package = Package::new("1.5").with("players", &large());
    for at in [weather.part, weather.complete] {
        weather.plan(at, 1, weather.denied);
        let error = stage(&weather.staging(), &package).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal, "{error:?}");
        assert_eq!(weather.place.keys().await, [""; 0]);
        weather.is_over().await;
    }
    // A storm that lasts: the parts are given up, and the rest is cleared away where the store can still be told so.
    weather.plan(weather.part, 1000, weather.busy);
    let error = stage(&weather.staging(), &package).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert_eq!(weather.place.keys().await, [""; 0]);
    weather.proxy.clear();
    weather.is_over().await;
}

async fn an_upload_that_is_dropped_is_cleared_away(weather: Weather) {
    if weather.place.kind == Kind::Azure {
        // It has no way to be told.
        return;
    }
    let package = Package::new("1.5").with("players", &large());
    let staging = weather.staging();
    weather.plan(weather.part, 1, Mishap::Overtaken(1000));
    let parts = weather.proxy.answers("PUT", 2);
    let mut staging = Box::pin(stage(&staging, &package));
    tokio::select! {
        staged = &mut staging => panic!("{staged:?}"),
        () = parts => {}
    }
    assert_eq!(open_uploads(&weather.place).await, 1);
    let cleared = weather.proxy.answers("DELETE", 1);
    drop(staging);
    cleared.await;
    assert_eq!(weather.place.keys().await, [""; 0]);
    weather.is_over().await;
}

async fn an_upload_that_was_completed_unheard_is_found(weather: Weather) {
    let content = large();
    let package = Package::new("1.5").with("players", &content);
    weather.plan(weather.complete, 1, Mishap::Unheard);
    let staging = weather.staging();
    if let Err(error) = stage(&staging, &package).await {
        assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    }
    let outcome = stage(&staging, &package).await.unwrap();
    assert_eq!(outcome.statistics.bytes, 0, "it was there already");
    assert!(weather.place.get(&staged(&outcome).key).await == content, "it is not the file");
    weather.is_over().await;
}

async fn a_manifest_whose_answer_was_lost_is_written_once(weather: Weather) {
    let (staging, manifest) = (weather.staging(), Package::new("1.5").manifest().seal());
    for mishap in [Mishap::Unheard, Mishap::Torn, weather.busy, Mishap::Reset] {
        weather.plan(("PUT", "_manifest.json"), 1, mishap);
        if let Err(error) = staging.write_manifest(&manifest).await {
            assert_eq!(error.kind(), ErrorKind::Transient, "{mishap:?} {error:?}");
            staging.write_manifest(&manifest).await.unwrap();
        }
        assert_eq!(weather.place.get(&manifest.key()).await, manifest.bytes());
        let mut other = Package::new("1.5").manifest();
        other.created_at = "another".into();
        weather.plan(("PUT", "_manifest.json"), 1, mishap);
        let error = staging.write_manifest(&other.seal()).await.unwrap_err();
        assert_eq!(error.message(), "the load id is taken by another load", "{mishap:?}");
    }
    let back = staging.read_manifests(&Scope::default()).await.unwrap();
    assert_eq!(back, [manifest]);
    weather.is_over().await;
}

async fn a_file_is_fetched_whole(weather: Weather) {
    let content = large();
    let package = Package::new("1.5").with("players", &content);
    let staging = weather.staging();
    let outcome = stage(&staging, &package).await.unwrap();
    for mishap in [weather.busy, Mishap::Reset, Mishap::Torn, Mishap::Overtaken(1)] {
        weather.plan(("GET", "parquet"), 1, mishap);
    }
    let to = weather.place.folder.path().join("back");
    // A piece that breaks off is not taken up again within a request: the engine fetches again.
    for _ in 0..4 {
        match staging.fetch(staged(&outcome), &to).await {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
                assert!(!to.exists(), "half of a file is there");
            }
        }
    }
    assert!(std::fs::read(to).unwrap() == content, "it is not the file");
    weather.is_over().await;
}
