//! What becomes of files in the staging storage once their load is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use transload_core::settings::{Setting, SettingKind, Settings};
use transload_core::{
    Error, ErrorKind, LIST_PREFIX, LoadId, Manifest, Result, SealedManifest, StagedObject,
    escape_segment,
};

use super::{LoadSettings, Pipeline};
use crate::clock;

/// What becomes of staged files: `[load] staged_files`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StagedFiles {
    /// They stay, as with dlt.
    #[default]
    Keep,
    /// They go as soon as their load is committed.
    DeleteOnCommit,
}

impl Setting for StagedFiles {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        match String::read(settings, key)?.as_str() {
            "keep" => Ok(Self::Keep),
            "delete_on_commit" => Ok(Self::DeleteOnCommit),
            _ => Err(settings.wrong(key, "expected `keep` or `delete_on_commit`")),
        }
    }
}

/// A time as people say it: `7d`, `12h`, `30m`, or seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl Setting for Age {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        let text = String::read(settings, key)?;
        let text = text.trim();
        let (number, seconds) = match text.strip_suffix(['d', 'h', 'm', 's']) {
            Some(number) if text.ends_with('d') => (number, 86_400),
            Some(number) if text.ends_with('h') => (number, 3_600),
            Some(number) if text.ends_with('m') => (number, 60),
            Some(number) => (number, 1),
            None => (text, 1),
        };
        let age = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
        let age = age.map(|seconds| Self(Duration::from_secs(seconds)));
        age.ok_or_else(|| {
            settings.wrong(key, "expected a number with `d`, `h`, `m` or `s`, such as `7d`")
        })
    }
}

/// Which loads keep their staged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// All of them.
    Keep,
    /// Committed ones that are younger than the age, and so many of the newest committed ones.
    Retain { age: Option<Duration>, loads: usize },
}

impl Lifecycle {
    /// What the settings ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where they contradict each other.
    pub(crate) fn new(settings: &LoadSettings) -> Result<Self> {
        let LoadSettings { staged_files, retain, retain_loads, .. } = *settings;
        let retains = retain.is_some() || retain_loads.is_some();
        match (staged_files, retains) {
            (StagedFiles::Keep, false) => Ok(Self::Keep),
            (StagedFiles::DeleteOnCommit, true) => Err(Error::new(
                ErrorKind::Configuration,
                "staged files cannot be retained and go with the commit",
            )
            .with("section", "load")
            .with_hint(
                "set `staged_files = \"delete_on_commit\"`, or `retain` and `retain_loads`",
            )),
            (_, _) => Ok(Self::Retain {
                age: retain.map(|Age(age)| age),
                loads: retain_loads.map_or(0, |loads| usize::try_from(loads).unwrap_or(usize::MAX)),
            }),
        }
    }

    /// The loads that are let go: committed ones that neither their age nor their number keeps. `loads` is in the order
    /// of their ids.
    fn expired(self, loads: &[StagedLoad], now: SystemTime) -> BTreeSet<LoadId> {
        let Self::Retain { age: retained, loads: number } = self else { return BTreeSet::new() };
        let committed = loads.iter().rev().filter(|load| load.state == StagedLoadState::Committed);
        let is_young = |load: &StagedLoad| {
            retained.is_some_and(|retained| load.age_at(now).is_none_or(|age| age < retained))
        };
        let old = committed.skip(number).filter(|load| !is_young(load));
        old.map(|load| load.load_id.clone()).collect()
    }
}

/// What lies of a load in the staging storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StagedLoad {
    /// The load.
    pub load_id: LoadId,
    /// When its package was sealed, RFC 3339; not known without a manifest.
    pub sealed_at: Option<String>,
    /// Root tables, by their names, those without rows too.
    pub tables: Vec<String>,
    /// Objects that lie there, the manifest too.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether anybody may still need it.
    pub state: StagedLoadState,
    /// What of it is the loader's own, the manifest last: while that is there, it says what is to go.
    #[serde(skip)]
    keys: Vec<String>,
}

impl StagedLoad {
    /// What lies of a load, by the objects under its prefix.
    fn new(
        load_id: LoadId,
        manifest: Option<&Manifest>,
        state: StagedLoadState,
        objects: &[&StagedObject],
    ) -> Self {
        let mut keys = Vec::new();
        if let Some(manifest) = manifest {
            let named: BTreeSet<String> =
                manifest.files.iter().map(|file| manifest.key_of(file)).collect();
            let is_list = |key: &str| {
                key.rsplit('/').next().is_some_and(|name| name.starts_with(LIST_PREFIX))
            };
            let ours = |key: &&String| named.contains(*key) || is_list(key);
            keys.extend(objects.iter().map(|object| &object.key).filter(ours).cloned());
            keys.push(manifest.key());
        }
        Self {
            load_id,
            sealed_at: manifest.map(|manifest| manifest.created_at.clone()),
            tables: manifest.map(|manifest| manifest.tables.clone()).unwrap_or_default(),
            objects: objects.len() as u64,
            bytes: objects.iter().map(|object| object.bytes).sum(),
            state,
            keys,
        }
    }

    /// How long ago it was sealed, where that is known.
    pub fn age_at(&self, now: SystemTime) -> Option<Duration> {
        let sealed = clock::read(self.sealed_at.as_deref()?)?;
        Some(now.duration_since(sealed).unwrap_or_default())
    }
}

/// Whether staged files may still be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StagedLoadState {
    /// The dataset holds the load, that of each further destination too.
    Committed,
    /// The load is not finished, or it was made for another place and may not be finished there.
    Unfinished,
    /// No manifest names what lies there.
    Unnamed,
}

impl StagedLoadState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Unfinished => "unfinished",
            Self::Unnamed => "unnamed",
        }
    }
}

/// What lies in the scope of a pipeline, load by load, in the order of their ids.
fn loads(
    prefix: &str,
    objects: &[StagedObject],
    manifests: &[SealedManifest],
    judge: impl Fn(&Manifest) -> StagedLoadState,
) -> Vec<StagedLoad> {
    let mut by_load: BTreeMap<&str, Vec<&StagedObject>> = BTreeMap::new();
    for object in objects {
        let below = object.key.strip_prefix(prefix).and_then(|rest| rest.split_once('/'));
        if let Some((segment, _)) = below {
            by_load.entry(segment).or_default().push(object);
        }
    }
    let manifest_of = |segment: &str| {
        manifests.iter().find(|manifest| escape_segment(manifest.load_id.as_str()) == segment)
    };
    let mut loads: Vec<StagedLoad> = by_load
        .into_iter()
        .map(|(segment, objects)| match manifest_of(segment) {
            Some(manifest) => {
                let manifest: &Manifest = manifest;
                let id = manifest.load_id.clone();
                StagedLoad::new(id, Some(manifest), judge(manifest), &objects)
            }
            None => StagedLoad::new(LoadId::new(segment), None, StagedLoadState::Unnamed, &objects),
        })
        .collect();
    loads.sort_by(|a, b| a.load_id.cmp(&b.load_id));
    loads
}

impl Pipeline {
    /// Where the files of this pipeline lie in the staging storage, if there is one.
    pub fn staging_url(&self) -> Option<String> {
        let staging = self.staging.as_ref()?;
        Some(staging.plugin.url(&self.scope(None).prefix()))
    }

    /// Whether the settings under `[load]` ever let files in the staging storage go.
    pub fn lets_staged_files_go(&self) -> bool {
        self.lifecycle != Lifecycle::Keep
    }

    /// What lies in the staging storage of this pipeline, load by load, the oldest first; nothing without a staging
    /// destination.
    ///
    /// # Errors
    /// As the destination and the staging destination give them.
    pub async fn staged_loads(&self) -> Result<Vec<StagedLoad>> {
        self.look_at_storage().await.map_err(|error| error.redacted(&self.redactor))
    }

    /// Those of [`staged_loads`](Self::staged_loads) whose files the settings under `[load]` let go: `staged_files`,
    /// `retain` and `retain_loads`.
    ///
    /// # Errors
    /// As the destination and the staging destination give them.
    pub async fn expired_loads(&self) -> Result<Vec<StagedLoad>> {
        self.look_for_expired().await.map_err(|error| error.redacted(&self.redactor))
    }

    /// Removes the files of [`expired_loads`](Self::expired_loads) from the staging storage, and returns them.
    ///
    /// # Errors
    /// As the destination and the staging destination give them; [`ErrorKind::Transient`] while another process of this
    /// machine works on the pipeline.
    pub async fn remove_expired_loads(&self) -> Result<Vec<StagedLoad>> {
        self.remove_expired().await.map_err(|error| error.redacted(&self.redactor))
    }

    /// Removes the files that the settings let go. Only what a manifest names goes, and the manifest last: as long as it
    /// is there, the next one who comes by goes on.
    pub(super) async fn remove_expired(&self) -> Result<Vec<StagedLoad>> {
        let Some(staging) = &self.staging else { return Ok(Vec::new()) };
        let _lock = self.working.lock()?;
        let expired = self.look_for_expired().await?;
        for load in &expired {
            let Some((manifest, files)) = load.keys.split_last() else { continue };
            if !files.is_empty() {
                self.retried(|| staging.plugin.remove(files)).await?;
            }
            let manifest = std::slice::from_ref(manifest);
            self.retried(|| staging.plugin.remove(manifest)).await?;
        }
        Ok(expired)
    }

    async fn look_for_expired(&self) -> Result<Vec<StagedLoad>> {
        if self.lifecycle == Lifecycle::Keep {
            return Ok(Vec::new());
        }
        let mut loads = self.look_at_storage().await?;
        let expired = self.lifecycle.expired(&loads, SystemTime::now());
        loads.retain(|load| expired.contains(&load.load_id));
        Ok(loads)
    }

    async fn look_at_storage(&self) -> Result<Vec<StagedLoad>> {
        let Some(staging) = &self.staging else { return Ok(Vec::new()) };
        let scope = self.scope(None);
        let objects = self.retried(|| staging.plugin.list(&scope)).await?;
        let manifests = self.retried(|| staging.plugin.read_manifests(&scope)).await?;
        // Asked last: a load that is committed meanwhile counts as that.
        let mut surveys = Vec::new();
        for target in std::iter::once(self).chain(&self.followers) {
            surveys.push(self.retried(|| target.destination.plugin.survey(&target.dataset)).await?);
        }
        let place = self.destination.plugin.identity();
        let judge = |manifest: &Manifest| {
            let is_ours = manifest.dataset == self.dataset && manifest.place == place;
            let everywhere = surveys.iter().all(|survey| survey.loads.contains(&manifest.load_id));
            match is_ours && everywhere {
                true => StagedLoadState::Committed,
                false => StagedLoadState::Unfinished,
            }
        };
        Ok(loads(&scope.prefix(), &objects, &manifests, judge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(id: &str, sealed_at: Option<&str>, state: StagedLoadState) -> StagedLoad {
        StagedLoad {
            load_id: LoadId::new(id),
            sealed_at: sealed_at.map(str::to_owned),
            tables: Vec::new(),
            objects: 2,
            bytes: 5,
            state,
            keys: Vec::new(),
        }
    }

    fn expired(lifecycle: Lifecycle) -> Vec<String> {
        use StagedLoadState::{Committed, Unfinished, Unnamed};
        let loads = [
            load("1.1", None, Unnamed),
            load("1.2", Some("2026-01-01T00:00:00.000000Z"), Unfinished),
            load("1.3", Some("2026-01-02T00:00:00.000000Z"), Committed),
            load("1.4", Some("2026-01-03T00:00:00.000000Z"), Committed),
            load("1.5", Some("2026-01-04T00:00:00.000000Z"), Committed),
            // A clock that was ahead.
            load("1.6", Some("2026-01-06T00:00:00.000000Z"), Committed),
        ];
        let now = clock::read("2026-01-05T00:00:00Z").unwrap();
        lifecycle.expired(&loads, now).into_iter().map(|load| load.to_string()).collect()
    }

    #[test]
    fn only_committed_loads_go_that_neither_their_age_nor_their_number_keeps() {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        assert!(expired(Lifecycle::Keep).is_empty());
        let retain = |age, loads| expired(Lifecycle::Retain { age, loads });
        assert_eq!(retain(None, 0), ["1.3", "1.4", "1.5", "1.6"]);
        assert_eq!(retain(None, 3), ["1.3"]);
        assert!(retain(None, 4).is_empty());
        assert_eq!(retain(days(2), 0), ["1.3", "1.4"]);
        assert_eq!(retain(days(2), 3), ["1.3"]);
        assert!(retain(days(4), 0).is_empty());
        assert_eq!(retain(days(0), 1), ["1.3", "1.4", "1.5"]);
    }

    #[test]
    fn ages_are_numbers_with_a_unit() {
        let read = |text| Settings::from_pairs("load", &[("retain", text)]).read::<LoadSettings>();
        for (text, seconds) in
            [("7d", 604_800), ("12h", 43_200), ("30m", 1800), ("5s", 5), ("9", 9)]
        {
            assert_eq!(read(text).unwrap().retain, Some(Age(Duration::from_secs(seconds))));
        }
        for text in
            ["", "d", "-1d", "7 days", "1.5h", "99999999999999999999d", "300000000000000000d"]
        {
            let error = read(text).unwrap_err();
            assert_eq!(error.context("key"), Some("destination.load.retain"), "{text}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let of = |pairs: &[(&str, &str)]| {
            Lifecycle::new(&Settings::from_pairs("load", pairs).read::<LoadSettings>().unwrap())
        };
        assert_eq!(of(&[]).unwrap(), Lifecycle::Keep);
        let delete = ("staged_files", "delete_on_commit");
        assert_eq!(of(&[delete]).unwrap(), Lifecycle::Retain { age: None, loads: 0 });
        assert_eq!(
            of(&[("retain_loads", "3")]).unwrap(),
            Lifecycle::Retain { age: None, loads: 3 }
        );
        assert!(of(&[delete, ("retain_loads", "3")]).is_err());
    }

    #[test]
    fn only_what_a_manifest_names_is_the_loaders_own() {
        let object = |key: &str| StagedObject {
            key: key.to_owned(),
            bytes: 3,
            modified_at: "2026-01-01T00:00:00Z".to_owned(),
        };
        let objects =
            ["d/p/1.5/t/000001-aa.parquet", "d/p/1.5/t/note.txt", "d/p/readme"].map(object);
        let loads = loads("d/p/", &objects, &[], |_| StagedLoadState::Committed);
        assert_eq!(loads.len(), 1);
        assert_eq!((loads[0].objects, loads[0].bytes), (2, 6));
        assert_eq!((loads[0].state, loads[0].keys.len()), (StagedLoadState::Unnamed, 0));
    }
}
