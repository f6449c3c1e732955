//! What the harnesses of the warehouses share.

#![allow(dead_code, reason = "each harness needs some of it")]

use std::sync::Arc;

use transload::core::conformance::{CaseFuture, Faults, FaultyDestination};
use transload::core::settings::Settings;
use transload::core::{Destination, Registry, StagingDestination};

/// A destination with one way in: by COPY from a bucket, or without one.
pub(crate) fn one_way(destination: impl Destination, copies: bool) -> Arc<dyn Destination> {
    let destination = FaultyDestination::new(Arc::new(destination), Faults::none());
    Arc::new(destination.claiming(|capabilities| match copies {
        true => capabilities.loads.clear(),
        false => capabilities.copies.clear(),
    }))
}

/// The staging destination with these settings.
pub(crate) fn filesystem(settings: &[(&str, String)]) -> Arc<dyn StagingDestination> {
    let pairs: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let registry = Registry::linked();
    let (_, create) = registry.staging("filesystem").expect("it is linked");
    create(&Settings::from_pairs("filesystem", &pairs)).expect("is configured")
}

/// A bucket of S3: that of the tests, or with `--live` that of whoever runs them.
pub(crate) fn bucket_of_s3(is_live: bool) -> Arc<dyn StagingDestination> {
    let variable = |live: &str, ours: &str| match is_live {
        true => std::env::var(format!("DESTINATION__FILESYSTEM__{live}")).ok(),
        false => std::env::var(format!("TRANSLOAD_TEST_S3_{ours}")).ok(),
    };
    let bucket = variable("BUCKET_URL", "BUCKET")
        .unwrap_or_else(|| panic!("no bucket is named: run it by `cargo xtask e2e`"));
    let bucket = if is_live { bucket } else { format!("s3://{bucket}/suite") };
    let mut settings = vec![("bucket_url", bucket)];
    for (key, live, ours) in [
        ("credentials.aws_access_key_id", "CREDENTIALS__AWS_ACCESS_KEY_ID", "KEY"),
        ("credentials.aws_secret_access_key", "CREDENTIALS__AWS_SECRET_ACCESS_KEY", "SECRET"),
        ("credentials.aws_session_token", "CREDENTIALS__AWS_SESSION_TOKEN", "TOKEN"),
        ("credentials.endpoint_url", "CREDENTIALS__ENDPOINT_URL", "ENDPOINT"),
        ("credentials.region_name", "CREDENTIALS__REGION_NAME", "REGION"),
    ] {
        settings.extend(variable(live, ours).map(|value| (key, value)));
    }
    filesystem(&settings)
}

/// Runs a case on a runtime of its own.
pub(crate) fn block_on(case: CaseFuture<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(case);
}
