//! The lifecycle rule of a bucket that stands behind the loader's own removal of staged files.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use transload_core::{Error, ErrorKind, Result, StorageKind};

use super::Pipeline;
use super::lifecycle::Lifecycle;

/// After how many days parts of an upload that was never completed go.
const PARTS: u32 = 7;
const DAY: u64 = 86_400;

/// A rule by which a store removes what the loader did not: parts of broken uploads, and old files where an age is given.
/// The store knows no loads, so it takes the files of unfinished ones as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketRule {
    /// Whose rules they are.
    pub storage: StorageKind,
    /// Where the files of the pipeline lie.
    pub url: String,
    /// After how many days files go; none do where it is absent.
    pub days: Option<u32>,
    /// The rule, as the store's own tool reads it.
    pub rule: Value,
    /// The command that sets it, with the rule in `rule.json`.
    pub command: String,
}

impl BucketRule {
    fn new(storage: StorageKind, url: &str, days: Option<u32>) -> Result<Self> {
        let refused = || {
            Error::new(ErrorKind::Configuration, "this staging storage has no lifecycle rules")
                .with("storage", storage.as_str())
                .with("url", url)
                .with_hint("`retain`, `retain_loads` and `staged_files` under `[load]` hold for every storage")
        };
        let (authority, prefix) =
            url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).ok_or_else(refused)?;
        let (rule, command) = match storage {
            StorageKind::S3 => (
                amazon(prefix, days),
                format!(
                    "aws s3api put-bucket-lifecycle-configuration --bucket {authority} \
                     --lifecycle-configuration file://rule.json"
                ),
            ),
            StorageKind::Gcs => (
                google(prefix, days),
                format!(
                    "gcloud storage buckets update gs://{authority} --lifecycle-file=rule.json"
                ),
            ),
            StorageKind::Azure => {
                let days = days.ok_or_else(|| {
                    Error::new(ErrorKind::Configuration, "there is no age for the rule to go by")
                        .with("storage", storage.as_str())
                        .with_hint(
                            "give `--days 30`, or set `retain` under `[load]`; parts of broken uploads go after a week by \
                             themselves",
                        )
                })?;
                let (container, account) = match authority.split_once('@') {
                    Some((container, host)) => (container, host.split('.').next().unwrap_or(host)),
                    None => (authority, "ACCOUNT"),
                };
                let rule = azure(container, prefix, days);
                let command = format!(
                    "az storage account management-policy create --account-name {account} --resource-group GROUP \
                     --policy @rule.json"
                );
                (rule, command)
            }
            _ => return Err(refused()),
        };
        Ok(Self { storage, url: url.to_owned(), days, rule, command })
    }
}

/// "Lifecycle configuration elements", Amazon S3 User Guide.
fn amazon(prefix: &str, days: Option<u32>) -> Value {
    let mut rule = json!({
        "ID": format!("transload {prefix}"),
        "Status": "Enabled",
        "Filter": { "Prefix": prefix },
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": PARTS },
    });
    if let Some(days) = days {
        rule["Expiration"] = json!({ "Days": days });
    }
    json!({ "Rules": [rule] })
}

/// "Object Lifecycle Management", Google Cloud Storage documentation.
fn google(prefix: &str, days: Option<u32>) -> Value {
    let rule = |action: &str, days: u32| {
        json!({
            "action": { "type": action },
            "condition": { "age": days, "matchesPrefix": [prefix] },
        })
    };
    let parts = rule("AbortIncompleteMultipartUpload", PARTS);
    let rules: Vec<Value> =
        [Some(parts), days.map(|days| rule("Delete", days))].into_iter().flatten().collect();
    json!({ "lifecycle": { "rule": rules } })
}

/// "Lifecycle management policies that delete blobs", Azure Blob Storage documentation.
fn azure(container: &str, prefix: &str, days: u32) -> Value {
    json!({
        "rules": [{
            "name": "transload",
            "enabled": true,
            "type": "Lifecycle",
            "definition": {
                "filters": {
                    "blobTypes": ["blockBlob"],
                    "prefixMatch": [format!("{container}/{prefix}")],
                },
                "actions": {
                    "baseBlob": { "delete": { "daysAfterModificationGreaterThan": days } },
                },
            },
        }],
    })
}

/// A backstop comes well after the loader: twice the time that files are retained, and a month at least.
fn backstop(lifecycle: Lifecycle) -> Option<u32> {
    let Lifecycle::Retain { age, loads } = lifecycle else { return None };
    let days = match (age, loads) {
        // So many loads may take any time.
        (None, 1..) => return None,
        (age, _) => age.unwrap_or(Duration::ZERO).as_secs().div_ceil(DAY).saturating_mul(2).max(30),
    };
    u32::try_from(days).ok()
}

impl Pipeline {
    /// The lifecycle rule for the bucket of the staging destination, as a backstop. Files go after `days`; by default a
    /// good while after [`retain`](crate::LoadSettings::retain) or the commit, and never where the settings keep them.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] without a staging destination, where its storage has no such rules, and where Azure's
    /// would hold no age.
    pub fn bucket_rule(&self, days: Option<u32>) -> Result<BucketRule> {
        let (Some(staging), Some(url)) = (&self.staging, self.staging_url()) else {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the pipeline has no staging destination",
            )
            .with("pipeline", &self.name)
            .with_hint("name one: `--staging filesystem`, `staging = \"filesystem\"`"));
        };
        let days = days.or_else(|| backstop(self.lifecycle));
        BucketRule::new(staging.plugin.capabilities().storage, &url, days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_gets_the_rule_that_its_own_tool_reads() {
        let of = |storage, url, days| BucketRule::new(storage, url, days).unwrap();
        let rules = [
            of(StorageKind::S3, "s3://lake/a/d/p/", Some(30)),
            of(StorageKind::S3, "s3://lake/d/p/", None),
            of(StorageKind::Gcs, "gs://lake/a/d/p/", Some(30)),
            of(StorageKind::Azure, "az://lake/a/d/p/", Some(30)),
            of(StorageKind::Azure, "abfss://lake@acc.dfs.core.windows.net/a/d/p/", Some(30)),
        ];
        let shown: Vec<String> =
            rules.iter().map(|rule| format!("{}\n{:#}", rule.command, rule.rule)).collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn where_there_is_no_rule_to_give_that_is_said() {
        for (storage, url) in
            [(StorageKind::Local, "file:///data/d/p/"), (StorageKind::Memory, "memory:d/p/")]
        {
            let error = BucketRule::new(storage, url, Some(30)).unwrap_err();
            assert_eq!(error.message(), "this staging storage has no lifecycle rules");
        }
        let error = BucketRule::new(StorageKind::Azure, "az://lake/d/p/", None).unwrap_err();
        assert_eq!(error.message(), "there is no age for the rule to go by");
    }

    #[test]
    fn the_store_waits_well_longer_than_the_loader() {
        let retain = |days: Option<u64>, loads| {
            backstop(Lifecycle::Retain {
                age: days.map(|days| Duration::from_secs(days * DAY)),
                loads,
            })
        };
        assert_eq!(backstop(Lifecycle::Keep), None);
        assert_eq!(retain(None, 0), Some(30));
        assert_eq!(retain(Some(7), 0), Some(30));
        assert_eq!(retain(Some(7), 3), Some(30));
        assert_eq!(retain(Some(90), 0), Some(180));
        assert_eq!(retain(None, 3), None);
        assert_eq!(retain(Some(u64::MAX / DAY), 0), None);
    }
}
