//! Staged loads published once more: into another dataset, or into each further destination of a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use transload_core::{
    Dataset, Destination, Error, ErrorKind, LoadId, Manifest, Result, Scope, SealedManifest,
    escape_segment,
};

use super::Pipeline;
use super::lifecycle::Lifecycle;
use super::resume::Aim;
use crate::load::{Chosen, Event, LoadInfo, LoadStatus, Order, Receipt, RunError};
use crate::normalize::Naming;
use crate::package::WorkingFolder;

/// Which loads in a storage are published once more.
#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    /// This one.
    One(&'a LoadId),
    /// All that lead to the newest one.
    All,
    /// Those of them that are among these.
    Among(&'a BTreeSet<LoadId>),
}

/// The manifest of the same load with another aim. It is the same one wherever and whenever it is made, so that a load
/// that is there already is known again.
pub(super) fn aimed(
    manifest: &SealedManifest,
    dataset: &Dataset,
    destination: &Chosen<dyn Destination>,
) -> SealedManifest {
    let place = destination.plugin.identity();
    if manifest.dataset == *dataset && manifest.place == place {
        return manifest.clone();
    }
    let original: &Manifest = manifest;
    Manifest {
        dataset: dataset.clone(),
        destination: destination.endpoint.name.clone(),
        place,
        ..original.clone()
    }
    .seal()
}

/// The loads that lead to the newest one, the oldest first: each was made after the one before it. Another one that was
/// made after the same load as one of them was never published, or its rows are in none of them.
fn line(previous: &BTreeMap<LoadId, Option<LoadId>>) -> Vec<LoadId> {
    let mut line = Vec::new();
    let mut next = previous.last_key_value().map(|(load_id, _)| load_id);
    while let Some(load_id) = next {
        line.push(load_id.clone());
        let before = previous.get(load_id).and_then(Option::as_ref);
        // Whatever a manifest says, it is a way back.
        next = before.filter(|before| *before < load_id && previous.contains_key(*before));
    }
    line.reverse();
    line
}

impl Pipeline {
    /// Publishes what lies in the staging storage once more: into the dataset of this pipeline, which may be another one than
    /// that of the loads or on another destination, and from their manifests alone. Loads that are there already are left
    /// as they are, so it can be repeated. `dataset` is the one that the loads were made for, where it has another name.
    ///
    /// Without `load_id` all loads go in the order in which they were made, and each must follow the last one that the dataset
    /// has of this pipeline. One that is named may come after any older one; what was loaded between is then missing.
    ///
    /// The loads keep their ids and bring their state of the pipeline along. The storage does not tell whether a load was
    /// published where it was made for.
    ///
    /// # Errors
    /// [`RunError`] with the reason, and with what was done until then: [`ErrorKind::Configuration`] where there is no
    /// staging destination or no such load in it, [`ErrorKind::Terminal`] where loads between are missing.
    pub async fn replay(
        &self,
        dataset: Option<&str>,
        load_id: Option<&LoadId>,
    ) -> Result<LoadInfo, RunError> {
        let mut info = LoadInfo { pipeline: self.name.clone(), loads: Vec::new() };
        let from = match dataset {
            Some(name) => Naming::SnakeCase.normalize_identifier(name, usize::MAX),
            None => self.dataset.name.clone(),
        };
        let wanted = load_id.map_or(Wanted::All, Wanted::One);
        let itself = self.beside(self.destination.clone(), self.dataset.clone());
        let mut result = Ok(());
        for target in std::iter::once(&itself).chain(&self.followers) {
            if result.is_ok() {
                result = target.publish_again(&from, wanted, &mut info).await;
            }
        }
        self.conclude(result, info)
    }

    /// The same pipeline with another aim. It records what it did in a folder of its own: a load has one package, and that
    /// is the one of the pipeline itself.
    pub(super) fn beside(&self, destination: Chosen<dyn Destination>, dataset: Dataset) -> Self {
        let folder = self.working.path().join("replayed");
        let folder = folder.join(escape_segment(&destination.endpoint.name));
        Self {
            working: WorkingFolder::of(&folder, &dataset.name),
            destination,
            dataset,
            followers: Vec::new(),
            lifecycle: Lifecycle::Keep,
            ..self.clone()
        }
    }

    /// Brings the further destinations to where the first one is.
    pub(super) async fn bring_followers_up(&self, info: &mut LoadInfo) -> Result<()> {
        if self.followers.is_empty() {
            return Ok(());
        }
        let survey = self.retried(|| self.destination.plugin.survey(&self.dataset)).await?;
        let mut result = Ok(());
        for follower in &self.followers {
            let wanted = Wanted::Among(&survey.loads);
            let before = info.loads.len();
            let followed = follower.publish_again(&self.dataset.name, wanted, info).await;
            let Err(error) = followed else { continue };
            let name = &follower.destination.endpoint.name;
            self.observe(Event::Warning(format!("{name} is behind: {error}")));
            if info.loads[before..].iter().all(|receipt| receipt.error.is_none()) {
                // It failed before there was a load: what it lacks waits in the storage.
                info.loads.push(Receipt {
                    pipeline: self.name.clone(),
                    dataset: follower.dataset.name.clone(),
                    status: LoadStatus::Pending,
                    error: Some(error.report()),
                    ..follower.new_receipt()
                });
            }
            result = result.and(Err(error));
        }
        result
    }

    async fn publish_again(
        &self,
        from: &str,
        wanted: Wanted<'_>,
        info: &mut LoadInfo,
    ) -> Result<()> {
        let Some(staging) = &self.staging else {
            return Err(Error::new(
                ErrorKind::Configuration,
                "without a staging destination there is nothing to publish once more",
            )
            .with("pipeline", &self.name)
            .with_hint("name the one that has the files: `--staging filesystem`"));
        };
        let _lock = self.working.lock()?;
        let scope = |load_id: Option<&LoadId>| Scope {
            dataset: Some(from.to_owned()),
            pipeline: Some(self.name.clone()),
            load_id: load_id.map(|load_id| load_id.as_str().to_owned()),
        };
        let all = scope(None);
        let nothing = || {
            Error::new(ErrorKind::Configuration, "there is no such load in the staging storage")
                .with("storage", staging.plugin.url(all.prefix().trim_end_matches('/')))
                .with_hint(
                    "`transload staging ls` shows what is there; the pipeline must be that of the load, and \
                     `--from-dataset` names its dataset where this one has another name",
                )
        };
        let mut found: BTreeSet<LoadId> =
            self.retried(|| staging.plugin.loads(&all)).await?.into_iter().collect();
        // What is found there becomes the name of a folder here.
        found.retain(|load_id| escape_segment(load_id.as_str()) == load_id.as_str());
        if let Wanted::One(load_id) = wanted {
            if !found.contains(load_id) {
                return Err(nothing().with("load", load_id));
            }
            let manifest = self.manifest_in(staging, &scope(Some(load_id))).await?;
            let manifest = manifest.ok_or_else(|| nothing().with("load", load_id))?;
            return self.aim(&manifest, Order::AfterOlder, info).await;
        }
        if found.is_empty() && matches!(wanted, Wanted::All) {
            return Err(nothing());
        }
        let survey = self.retried(|| self.destination.plugin.survey(&self.dataset)).await?;
        let mut manifests = BTreeMap::new();
        for load_id in found.difference(&survey.loads) {
            if matches!(wanted, Wanted::Among(published) if !published.contains(load_id)) {
                continue;
            }
            // One without a manifest was never staged as a whole.
            if let Some(manifest) = self.manifest_in(staging, &scope(Some(load_id))).await? {
                manifests.insert(load_id.clone(), manifest);
            }
        }
        let previous =
            manifests.iter().map(|(id, manifest)| (id.clone(), manifest.previous.clone()));
        let line = line(&previous.collect());
        for load_id in manifests.keys().filter(|load_id| !line.contains(load_id)) {
            self.observe(Event::Warning(format!(
                "load {load_id} is left out: no later one was made after it. `transload replay {load_id}` publishes it \
                 all the same where it only adds rows"
            )));
        }
        for manifest in line.iter().filter_map(|load_id| manifests.get(load_id)) {
            self.check_line(manifest, from).await?;
            self.aim(manifest, Order::AsMade, info).await?;
        }
        Ok(())
    }

    /// Refuses a load that does not follow the last one of the dataset.
    async fn check_line(&self, manifest: &SealedManifest, from: &str) -> Result<()> {
        let last = self.describe().await?.fence.and_then(|fence| fence.last_load);
        if last == manifest.previous {
            return Ok(());
        }
        let name = |load: Option<&LoadId>| load.map_or("none".to_owned(), ToString::to_string);
        let load_id = &manifest.load_id;
        let (destination, dataset) = (&self.destination.endpoint.name, &self.dataset.name);
        let datasets = match dataset == from {
            true => String::new(),
            false => format!(" --dataset-name {dataset} --from-dataset {from}"),
        };
        Err(Error::new(
            ErrorKind::Terminal,
            "loads are missing between the dataset and what the staging storage has",
        )
        .with("code", "E_REPLAY_GAP")
        .with("load", load_id)
        .with("made after", name(manifest.previous.as_ref()))
        .with("last in the dataset", name(last.as_ref()))
        .with("destination", destination)
        .with("dataset", dataset)
        .with_hint(format!(
            "bring the dataset to that load in another way; `transload replay {load_id} --destination \
             {destination}{datasets}` goes on from what it has, without what is missing"
        )))
    }

    async fn aim(
        &self,
        manifest: &SealedManifest,
        order: Order,
        info: &mut LoadInfo,
    ) -> Result<()> {
        let aimed = aimed(manifest, &self.dataset, &self.destination);
        self.finish_staged(&Aim { staged: manifest, load: &aimed, order, resumed: false }, info)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(loads: &[(&str, Option<&str>)]) -> Vec<String> {
        let loads =
            loads.iter().map(|(id, previous)| (LoadId::new(*id), previous.map(LoadId::new)));
        line(&loads.collect()).into_iter().map(|load_id| load_id.to_string()).collect()
    }

    #[test]
    fn the_line_leads_to_the_newest_load() {
        assert!(line_of(&[]).is_empty());
        assert_eq!(line_of(&[("1", None), ("2", Some("1")), ("3", Some("2"))]), ["1", "2", "3"]);
        // What came before is gone, or in the dataset already.
        assert_eq!(line_of(&[("4", Some("3")), ("5", Some("4"))]), ["4", "5"]);
        // The second was never published: the third was made after the first as well.
        assert_eq!(line_of(&[("1", None), ("2", Some("1")), ("3", Some("1"))]), ["1", "3"]);
        // A hole in the middle: what lies before it cannot be followed.
        assert_eq!(line_of(&[("1", None), ("3", Some("2"))]), ["3"]);
        // What no manifest of ours says must not go on for ever.
        assert_eq!(line_of(&[("1", Some("1"))]), ["1"]);
        assert_eq!(line_of(&[("1", Some("2")), ("2", Some("1"))]), ["1", "2"]);
    }
}
