//! Finishing what earlier runs sealed: from the packages of this machine, and from the manifests in the staging storage.

use std::collections::BTreeSet;
use std::path::Path;

use transload_core::{
    Dataset, Error, ErrorKind, Inquiry, LoadId, Result, Scope, SealedManifest, StagingDestination,
    escape_segment,
};

use super::Pipeline;
use crate::clock;
use crate::load::{
    Chosen, Event, LoadInfo, LoadStatus, Order, Receipt, Retries, RunError, Staged, name_urls,
    plan, receipt_of,
};
use crate::package::{Package, PackageStatus};
use crate::set_aside;

/// Where the files of a load come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// From a package in this folder.
    Package(&'a Path),
    /// From the staging storage, where all of them lie under the keys of this manifest.
    Storage { staged: &'a SealedManifest, order: Order },
}

/// A load of which all files lie in the staging storage, and where it is to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim<'a> {
    /// The manifest that lies beside the files.
    pub(super) staged: &'a SealedManifest,
    /// What is loaded: the same manifest, or one that differs in its place alone.
    pub(super) load: &'a SealedManifest,
    /// What it may follow.
    pub(super) order: Order,
    /// Whether it was begun earlier and is being finished.
    pub(super) resumed: bool,
}

impl<'a> Aim<'a> {
    /// A load goes where it was made for.
    fn as_made(manifest: &'a SealedManifest) -> Self {
        Self { staged: manifest, load: manifest, order: Order::AsMade, resumed: true }
    }
}

/// A load that waits to be finished.
enum Unfinished {
    /// Its package is here.
    Package(Package),
    /// Its manifest is in the storage.
    Staged(Box<SealedManifest>),
}

impl Unfinished {
    fn load_id(&self) -> &LoadId {
        match self {
            Self::Package(package) => &package.load_id,
            Self::Staged(manifest) => &manifest.load_id,
        }
    }
}

impl Pipeline {
    /// Finishes what earlier runs left unfinished, in the order in which it was made: from the packages of this machine
    /// and, with a staging destination, from the manifests in its storage. Those need no package: an empty disk or another
    /// machine can finish them.
    ///
    /// A load in the storage after which another one of the pipeline was published is left out, with a warning in its
    /// receipt: its source may have been read again. [`resume_load`](Self::resume_load) loads it all the same where it
    /// only adds rows.
    ///
    /// # Errors
    /// [`RunError`] with the reason, and with what was done until then.
    pub async fn resume(&self) -> Result<LoadInfo, RunError> {
        let mut info = LoadInfo { pipeline: self.name.clone(), loads: Vec::new() };
        let result = self.resume_all(&mut info).await;
        let result = self.after_loads(result, &mut info).await;
        self.conclude(result, info)
    }

    /// Finishes one load, after those before it whose packages are on this machine. Where its own package is not here, it
    /// is finished from its manifest in the staging storage. A load that is complete is reported as that.
    ///
    /// # Errors
    /// [`RunError`] with the reason, and with what was done until then: [`ErrorKind::Configuration`] where the load is
    /// neither here nor in the storage, or is set aside, or goes elsewhere.
    pub async fn resume_load(&self, load_id: &LoadId) -> Result<LoadInfo, RunError> {
        let mut info = LoadInfo { pipeline: self.name.clone(), loads: Vec::new() };
        let result = self.resume_one(load_id, &mut info).await;
        let result = self.after_loads(result, &mut info).await;
        self.conclude(result, info)
    }

    /// What follows loads that went well: the further destinations get them too, and then what the settings let go goes.
    pub(super) async fn after_loads(&self, result: Result<()>, info: &mut LoadInfo) -> Result<()> {
        result?;
        self.bring_followers_up(info).await?;
        let is_loaded = |receipt: &Receipt| receipt.status == LoadStatus::Loaded;
        let Some(receipt) = info.loads.iter_mut().rev().find(|receipt| is_loaded(receipt)) else {
            return Ok(());
        };
        if self.lets_staged_files_go()
            && let Err(error) = self.remove_expired().await
        {
            let warning = format!(
                "the load is complete, but staged files that were to go could not be removed: {error}; \
                 `transload staging gc` tries it again"
            );
            self.observe(Event::Warning(warning.clone()));
            receipt.warnings.push(warning);
        }
        Ok(())
    }

    async fn resume_all(&self, info: &mut LoadInfo) -> Result<()> {
        let _lock = self.working.lock()?;
        self.move_unsealed()?;
        let mut loads: Vec<Unfinished> =
            self.working.pending()?.into_iter().map(Unfinished::Package).collect();
        if let Some(staging) = &self.staging {
            let staged = self.staged(staging).await?;
            loads.extend(staged.into_iter().map(|m| Unfinished::Staged(Box::new(m))));
        }
        loads.sort_by(|a, b| a.load_id().cmp(b.load_id()));
        for load in loads {
            match load {
                Unfinished::Package(package) => {
                    self.finish_package(&package, info).await.map(drop)?
                }
                Unfinished::Staged(manifest) => {
                    let state = self.describe().await?;
                    let last = state.fence.and_then(|fence| fence.last_load);
                    if last == manifest.previous {
                        self.finish_staged(&Aim::as_made(&manifest), info).await?;
                    } else {
                        info.loads.push(self.left_out(&manifest, last.as_ref()));
                    }
                }
            }
        }
        Ok(())
    }

    async fn resume_one(&self, load_id: &LoadId, info: &mut LoadInfo) -> Result<()> {
        let _lock = self.working.lock()?;
        self.move_unsealed()?;
        let packages = self.working.packages()?;
        let here = packages.iter().find(|package| package.load_id == *load_id);
        match here.map(|package| (package.status, package)) {
            Some((PackageStatus::Loaded, package)) => {
                info.loads.push(self.recorded(package)?);
                return Ok(());
            }
            Some((PackageStatus::SetAside, _)) => {
                return Err(Error::new(ErrorKind::Configuration, "the load is set aside")
                    .with("load", load_id)
                    .with_hint(format!(
                        "bring it back first: `transload package restore {load_id}`"
                    )));
            }
            _ => {}
        }
        let before = |package: &Package| package.load_id <= *load_id;
        for package in self.working.pending()?.into_iter().filter(before) {
            self.finish_package(&package, info).await?;
        }
        if here.is_some_and(|package| package.status == PackageStatus::Pending) {
            return Ok(());
        }
        // What is found there becomes the name of a folder here: an id that leaves its place is nobody's.
        let is_plain = escape_segment(load_id.as_str()) == load_id.as_str();
        let Some(staging) = self.staging.as_ref().filter(|_| is_plain) else {
            return Err(self.unknown(load_id, &packages));
        };
        match self.manifest_of(staging, load_id).await? {
            Some(manifest) => {
                self.check_place(&manifest, None)?;
                self.finish_staged(&Aim::as_made(&manifest), info).await
            }
            None => self.without_manifest(staging, load_id, &packages, info).await,
        }
    }

    /// Finishes the packages that earlier runs sealed, the oldest first. Returns the marks of the files that they were
    /// read from.
    pub(super) async fn finish_pending(&self, info: &mut LoadInfo) -> Result<BTreeSet<String>> {
        let mut brought = BTreeSet::new();
        self.move_unsealed()?;
        for package in self.working.pending()? {
            brought.extend(self.finish_package(&package, info).await?);
        }
        Ok(brought)
    }

    /// The loads that are set aside, and the marks of the files that they may still bring: a run must not read those again.
    /// A load that could no longer come once others are published holds nothing.
    pub(super) fn set_aside_packages(&self) -> Result<(Vec<LoadId>, BTreeSet<String>)> {
        let mut packages = self.working.packages()?;
        packages.retain(|package| package.status == PackageStatus::SetAside);
        let may_come = |package: &&Package| {
            package.manifest().is_ok_and(|manifest| plan::may_come_late(&manifest))
        };
        let held = packages.iter().filter(may_come).flat_map(Package::marks).collect();
        Ok((packages.into_iter().map(|package| package.load_id).collect(), held))
    }

    fn move_unsealed(&self) -> Result<()> {
        for folder in self.working.set_unsealed_aside()? {
            self.observe(Event::Warning(format!(
                "a run ended before its package was sealed; nothing of it was loaded, its files are in {}",
                folder.display()
            )));
        }
        Ok(())
    }

    /// Finishes one package, and returns the marks of the files that it was read from.
    async fn finish_package(
        &self,
        package: &Package,
        info: &mut LoadInfo,
    ) -> Result<BTreeSet<String>> {
        self.begin(&package.load_id, true);
        let manifest = package.manifest()?;
        // Read before it is loaded: then the package moves.
        let marks = package.marks();
        self.check_place(&manifest, Some(&package.folder))?;
        let receipt = begun_earlier(&manifest);
        self.load_package(Origin::Package(&package.folder), &manifest, receipt, info).await?;
        Ok(marks)
    }

    /// Finishes a load of which there is nothing but what lies in the staging storage.
    pub(super) async fn finish_staged(&self, aim: &Aim<'_>, info: &mut LoadInfo) -> Result<()> {
        let Some(staging) = &self.staging else { return Ok(()) };
        let Aim { staged, load: manifest, order, resumed } = *aim;
        let load_id = &manifest.load_id;
        self.begin(load_id, resumed);
        let mut receipt = Receipt { resumed, ..begun_earlier(manifest) };
        name_urls(&mut receipt, staged, &*staging.plugin);
        if self.is_committed(manifest).await? {
            // The fence stays as it is: another loader may be at work on the next load.
            receipt.status = LoadStatus::Loaded;
            receipt.finished_at = clock::now();
            let endpoints = self.new_receipt();
            (receipt.destination, receipt.staging) = (endpoints.destination, endpoints.staging);
            info.loads.push(receipt);
            return Ok(());
        }
        let scope =
            Scope { dataset: Some(staged.dataset.name.clone()), ..self.scope(Some(load_id)) };
        let objects = self.retried(|| staging.plugin.list(&scope)).await?;
        let missing = plan::missing_files(staged, &objects);
        if let Some(first) = missing.first() {
            return Err(Error::new(
                ErrorKind::Terminal,
                "files of the load are no longer in the staging storage",
            )
            .with("code", "E_STAGED_MISSING")
            .with("load", load_id)
            .with("missing", missing.len())
            .with("the first", staging.plugin.url(&format!("{}/{first}", staged.prefix())))
            .with_hint(
                "nothing of it was published: finish it on the machine that has its package, or load its source again",
            ));
        }
        self.load_package(Origin::Storage { staged, order }, manifest, receipt, info).await
    }

    /// Loads a sealed package, and records in its folder and in `info` what became of it.
    pub(super) async fn load_package(
        &self,
        origin: Origin<'_>,
        manifest: &SealedManifest,
        mut receipt: Receipt,
        info: &mut LoadInfo,
    ) -> Result<()> {
        let observer = self.redacting_observer();
        let mut loader = self.loader(&observer);
        let endpoints = self.new_receipt();
        (receipt.destination, receipt.staging) = (endpoints.destination, endpoints.staging);
        let loaded = self.working.loaded(&manifest.load_id);
        let (folder, staged) = match (origin, &self.staging) {
            (Origin::Storage { staged, order }, Some(staging)) => {
                loader.order = order;
                let url = |key: &str| staging.plugin.url(key);
                (loaded.as_path(), Staged::whole(plan::staged_files(staged, url)))
            }
            (Origin::Storage { .. }, None) => (loaded.as_path(), Staged::default()),
            (Origin::Package(folder), _) => {
                receipt.set_aside = set_aside::summary(folder);
                (folder, Staged::default())
            }
        };
        let result = loader.load(folder, manifest, staged, &mut receipt).await;
        let result = result.map_err(|error| match (error.kind(), origin) {
            (
                ErrorKind::Transient | ErrorKind::Interrupted | ErrorKind::OutcomeUnknown,
                Origin::Package(_),
            )
            | (_, Origin::Storage { .. }) => error,
            // It would fail again, and the runs after it with it: the user has to know what to set aside.
            (_, Origin::Package(folder)) => error.with("package", folder.display()),
        });
        receipt.finished_at = clock::now();
        receipt.error = result.as_ref().err().map(Error::report);
        let is_loaded = receipt.status == LoadStatus::Loaded;
        receipt.package = match (origin, is_loaded) {
            (_, true) => std::path::absolute(&loaded).ok(),
            (Origin::Package(folder), false) => std::path::absolute(folder).ok(),
            (Origin::Storage { .. }, false) => None,
        };
        self.scrub(&mut receipt);
        let mut bytes = serde_json::to_vec_pretty(&receipt).unwrap_or_default();
        bytes.push(b'\n');
        let recorded = match (origin, is_loaded) {
            (Origin::Storage { .. }, true) => self.working.record(manifest, &bytes),
            (Origin::Storage { .. }, false) => Ok(()),
            (Origin::Package(folder), _) => {
                self.working.write_receipt(folder, &bytes).and_then(|()| match is_loaded {
                    true => self.working.finish(folder, manifest, !self.load.delete_completed_jobs),
                    false => Ok(()),
                })
            }
        };
        if let Err(error) = &recorded {
            // A hint that is lost: the destination knows what became of the load.
            let warning = match is_loaded {
                true => format!(
                    "the load is complete, but could not be recorded in the working folder: {error}"
                ),
                false => format!("the receipt of the load could not be written: {error}"),
            };
            self.observe(Event::Warning(warning.clone()));
            receipt.warnings.push(warning);
        }
        info.loads.push(receipt);
        result
    }

    /// The loads of this pipeline in the storage that are to be finished: staged as a whole, not in the dataset, made for
    /// this place, and not known here, where their packages have the say.
    async fn staged(
        &self,
        staging: &Chosen<dyn StagingDestination>,
    ) -> Result<Vec<SealedManifest>> {
        let scope = self.scope(None);
        let mut found = self.retried(|| staging.plugin.loads(&scope)).await?;
        found.retain(|load_id| escape_segment(load_id.as_str()) == load_id.as_str());
        let here = self.working.packages()?;
        let mut known: BTreeSet<&LoadId> = here.iter().map(|package| &package.load_id).collect();
        let dropped = self.working.dropped();
        known.extend(&dropped);
        let mut unknown = found.iter().filter(|load_id| !known.contains(load_id)).peekable();
        if unknown.peek().is_none() {
            return Ok(Vec::new());
        }
        let survey = self.retried(|| self.destination.plugin.survey(&self.dataset)).await?;
        let place = self.destination.plugin.identity();
        let mut manifests = Vec::new();
        for load_id in unknown.filter(|load_id| !survey.loads.contains(*load_id)) {
            match self.manifest_of(staging, load_id).await? {
                Some(manifest) if manifest.dataset != self.dataset || manifest.place != place => {
                    self.observe(Event::Warning(format!(
                        "load {load_id} in the staging storage goes elsewhere, to {} on {}, and is left to a resume there",
                        manifest.dataset.name, manifest.place
                    )));
                }
                Some(manifest) => manifests.push(manifest),
                None => self.observe(Event::Warning(format!(
                    "load {load_id} is in the staging storage without its manifest: its files were not all there when it \
                     was interrupted, or still come. Only the machine that has its package can finish it"
                ))),
            }
        }
        Ok(manifests)
    }

    async fn manifest_of(
        &self,
        staging: &Chosen<dyn StagingDestination>,
        load_id: &LoadId,
    ) -> Result<Option<SealedManifest>> {
        self.manifest_in(staging, &self.scope(Some(load_id))).await
    }

    /// The manifest of the load that the scope names.
    pub(super) async fn manifest_in(
        &self,
        staging: &Chosen<dyn StagingDestination>,
        scope: &Scope,
    ) -> Result<Option<SealedManifest>> {
        let manifests = self.retried(|| staging.plugin.read_manifests(scope)).await;
        let manifests = manifests.map_err(|error| match error.kind() {
            ErrorKind::Terminal => error.with_hint(
                "what lies in the storage cannot be relied on: finish the load on the machine that has its package, or \
                 load its source again; other loads can be resumed by their names",
            ),
            _ => error,
        })?;
        Ok(manifests.into_iter().next())
    }

    /// Whether exactly this load is in the dataset.
    async fn is_committed(&self, manifest: &SealedManifest) -> Result<bool> {
        let inquiry = Inquiry { load: Some(manifest.load_id.clone()), ..self.inquiry() };
        let state = self.retried(|| self.destination.plugin.describe(&inquiry)).await?;
        let digest = state.commit.and_then(|commit| commit.digest);
        Ok(digest == Some(manifest.digest()))
    }

    /// What there is to say of a load that has no manifest in the storage and no package here.
    async fn without_manifest(
        &self,
        staging: &Chosen<dyn StagingDestination>,
        load_id: &LoadId,
        packages: &[Package],
        info: &mut LoadInfo,
    ) -> Result<()> {
        let survey = self.retried(|| self.destination.plugin.survey(&self.dataset)).await?;
        if survey.loads.contains(load_id) {
            info.loads.push(Receipt {
                pipeline: self.name.clone(),
                load_id: Some(load_id.clone()),
                status: LoadStatus::Loaded,
                resumed: true,
                dataset: self.dataset.name.clone(),
                warnings: vec![
                    "the dataset holds the load; there is nothing else left that tells of it"
                        .to_owned(),
                ],
                ..self.new_receipt()
            });
            return Ok(());
        }
        let scope = self.scope(Some(load_id));
        let objects = self.retried(|| staging.plugin.list(&scope)).await?;
        if objects.is_empty() {
            return Err(self
                .unknown(load_id, packages)
                .with("storage", staging.plugin.url(scope.prefix().trim_end_matches('/'))));
        }
        Err(Error::new(
            ErrorKind::Terminal,
            "the load cannot be finished from the staging storage: its files were not all there when it was interrupted",
        )
        .with("load", load_id)
        .with("objects", objects.len())
        .with("storage", staging.plugin.url(scope.prefix().trim_end_matches('/')))
        .with_hint("finish it on the machine that has its package, or load its source again"))
    }

    /// The receipt of a load in the storage that is not finished, since it may be that its rows came with a later one.
    fn left_out(&self, manifest: &SealedManifest, last: Option<&LoadId>) -> Receipt {
        let load_id = &manifest.load_id;
        let name = |load: Option<&LoadId>| load.map_or("none".to_owned(), ToString::to_string);
        let warning = format!(
            "load {load_id} is left out: it was made after load {}, and the last one that was published is {}, which may \
             have read its source again. `transload resume {load_id}` loads it all the same where it only adds rows; \
             `transload package drop {load_id}` gives it up",
            name(manifest.previous.as_ref()),
            name(last),
        );
        self.observe(Event::Warning(warning.clone()));
        let endpoints = self.new_receipt();
        Receipt {
            destination: endpoints.destination,
            staging: endpoints.staging,
            warnings: vec![warning],
            ..begun_earlier(manifest)
        }
    }

    /// The receipt of a load that is complete here.
    fn recorded(&self, package: &Package) -> Result<Receipt> {
        let written = package.receipt().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match written {
            Some(receipt) => Ok(receipt),
            None => {
                let manifest = package.manifest()?;
                Ok(Receipt { status: LoadStatus::Loaded, ..begun_earlier(&manifest) })
            }
        }
    }

    /// Refuses to finish a load in another place than the one that it was made for.
    fn check_place(&self, manifest: &SealedManifest, package: Option<&Path>) -> Result<()> {
        let place = self.destination.plugin.identity();
        if manifest.dataset == self.dataset && manifest.place == place {
            return Ok(());
        }
        let dataset = |dataset: &Dataset| format!("{} and {}", dataset.name, dataset.staging);
        let error = Error::new(
            ErrorKind::Configuration,
            "an unfinished load of this pipeline goes elsewhere",
        )
        .with("load", &manifest.load_id)
        .with("its place", &manifest.place)
        .with("this place", place)
        .with("its datasets", dataset(&manifest.dataset))
        .with("these datasets", dataset(&self.dataset));
        Err(match package {
            Some(folder) => error.with("package", folder.display()).with_hint(format!(
                "finish it first: `transload resume` with that destination and dataset, from the same folder; or set it \
                 aside: `transload package set-aside {}`",
                manifest.load_id
            )),
            None => error.with_hint("resume it with that destination and dataset"),
        })
    }

    fn unknown(&self, load_id: &LoadId, packages: &[Package]) -> Error {
        let pending = packages.iter().filter(|package| package.status == PackageStatus::Pending);
        let names: Vec<&str> = pending.map(|package| package.load_id.as_str()).collect();
        let hint = match self.staging {
            Some(_) => {
                "`transload status` shows what is pending here; the dataset and the pipeline must be those of the load"
            }
            None => {
                "`transload status` shows what is pending here; with `--staging` the load is looked for in the storage, too"
            }
        };
        Error::new(ErrorKind::Configuration, "there is no such load to resume")
            .with("load", load_id)
            .with("pipeline", &self.name)
            .with("pending", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
            .with("folder", self.working.path().display())
            .with_hint(hint)
    }

    /// What lies in the storage of this pipeline, or of one load of it.
    pub(super) fn scope(&self, load_id: Option<&LoadId>) -> Scope {
        Scope {
            dataset: Some(self.dataset.name.clone()),
            pipeline: Some(self.name.clone()),
            load_id: load_id.map(|load_id| load_id.as_str().to_owned()),
        }
    }

    pub(super) async fn retried<T, F: Future<Output = Result<T>>>(
        &self,
        step: impl Fn() -> F,
    ) -> Result<T> {
        let observer = self.redacting_observer();
        let retries = Retries { patience: self.patience(), observer: &observer, stop: &self.stop };
        retries.request(step).await
    }
}

/// The receipt of a load that an earlier run began.
fn begun_earlier(manifest: &SealedManifest) -> Receipt {
    Receipt { started_at: clock::now(), resumed: true, ..receipt_of(manifest) }
}
