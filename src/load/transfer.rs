//! Moving the rows of a load: the thin shell that does what the schedule says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Semaphore;
use transload_core::{
    AccessRequest, DataFile, Error, ErrorKind, Job, JobContext, JobOutcome, Load, Result,
    StagedFile, StagingAccess, Usage,
};

use super::event::{Event, Step};
use super::negotiate::{Route, Way};
use super::receipt::Receipt;
use super::schedule::{Limits, Schedule, Staged, Task};
use super::{Loader, Sealed, name_urls, plan};
use crate::package;

impl Loader<'_> {
    /// Stages, copies and runs what else is asked for. Returns the jobs that bring the rows.
    pub(super) async fn transfer(
        &self,
        sealed: &Sealed<'_>,
        load: &Load,
        staged: &mut Staged,
        scratch: &Scratch,
        receipt: &mut Receipt,
    ) -> Result<Vec<Job>> {
        let mut schedule = self.schedule(sealed, staged);
        let mut steps = Steps::default();
        let moved = self.run(sealed, load, &mut schedule, staged, scratch, &mut steps).await;
        for (step, seconds) in steps.seconds() {
            *receipt.seconds.entry(step).or_default() += seconds;
        }
        receipt.usage.add_all(&steps.usage);
        moved?;
        if let Some(staging) = self.staging {
            name_urls(receipt, sealed.manifest, &*staging.plugin);
        }
        Ok(schedule.into_rows())
    }

    fn schedule(&self, sealed: &Sealed<'_>, staged: &Staged) -> Schedule {
        let capabilities = self.destination.plugin.capabilities();
        let uploads = self.staging.and_then(|s| s.plugin.capabilities().max_parallel_uploads);
        let limits =
            Limits { workers: self.workers, uploads, jobs: capabilities.max_parallel_jobs };
        let runs_apart = !capabilities.loads_in_publication;
        match sealed.route.way {
            Way::Direct => {
                let jobs = plan::first_jobs(sealed.manifest, false);
                Schedule::of_local_files(jobs, runs_apart, limits)
            }
            Way::Staged(_) | Way::Fetched => {
                let jobs = plan::first_jobs(sealed.manifest, true);
                Schedule::through_staging(jobs, staged, runs_apart, limits)
            }
        }
    }

    /// Runs what may run until nothing is left. After the first failure nothing starts, and what runs is dropped, which
    /// every job must bear. Where the run is asked to stop nothing starts either, but what runs may end.
    async fn run(
        &self,
        sealed: &Sealed<'_>,
        load: &Load,
        schedule: &mut Schedule,
        staged: &mut Staged,
        scratch: &Scratch,
        steps: &mut Steps,
    ) -> Result<()> {
        let uploads = schedule.uploads();
        let mut running = FuturesUnordered::new();
        loop {
            if self.stop.is_stopped() {
                schedule.close();
            }
            while let Some(task) = schedule.start() {
                let (step, jobs) = match &task {
                    Task::Stage(_) | Task::WriteManifest => (Step::Stage, uploads),
                    Task::Run(_) => (Step::Copy, schedule.destination_jobs() + 1),
                };
                if steps.begin(step) {
                    self.observer.observe(Event::StepStarted { step, jobs: Some(jobs) });
                }
                let rows = match &task {
                    Task::Run(Job::Custom(_)) => schedule.rows().to_vec(),
                    Task::Run(job) => vec![job.clone()],
                    _ => Vec::new(),
                };
                running.push(async move {
                    let outcome = self.run_task(sealed, load, &task, &rows, scratch).await;
                    (task, outcome)
                });
            }
            let next = tokio::select! {
                next = running.next() => next,
                () = self.stop.stopped(), if !self.stop.is_stopped() => continue,
            };
            let Some((task, outcome)) = next else { break };
            match outcome {
                Ok(outcome) => {
                    self.note(&task, &outcome, staged, steps);
                    schedule.end(&task, outcome)?;
                }
                // It was waiting to try again. The others may end.
                Err(error) if error.kind() == ErrorKind::Interrupted && self.stop.is_stopped() => {
                    schedule.give_up(&task);
                }
                Err(error) => return Err(error),
            }
        }
        if !schedule.is_done() {
            self.stop.check()?;
            return Err(Error::new(ErrorKind::Bug, "the jobs of a load wait for each other"));
        }
        if steps.end(Step::Copy) {
            self.observer.observe(Event::StepEnded(Step::Copy));
        }
        Ok(())
    }

    /// Tells of what ended well, and remembers for a next attempt what is staged.
    fn note(&self, task: &Task, outcome: &JobOutcome, staged: &mut Staged, steps: &mut Steps) {
        match task {
            Task::Stage(job) => {
                staged.uploads.insert(job.id(), outcome.clone());
                self.observer.observe(Event::JobEnded { step: Step::Stage, job: job.id() });
            }
            Task::WriteManifest => {
                staged.has_manifest = true;
                steps.end(Step::Stage);
                self.observer.observe(Event::StepEnded(Step::Stage));
            }
            Task::Run(job) => {
                steps.usage.add_all(&outcome.statistics.usage);
                self.observer.observe(Event::JobEnded { step: Step::Copy, job: job.id() });
            }
        }
    }

    /// Runs one task. `rows` are the jobs whose files it is let at.
    async fn run_task(
        &self,
        sealed: &Sealed<'_>,
        load: &Load,
        task: &Task,
        rows: &[Job],
        scratch: &Scratch,
    ) -> Result<JobOutcome> {
        let Sealed { folder, manifest, route, .. } = *sealed;
        let retries = self.retries();
        let counting = |step| self.counting(step);
        let context = JobContext {
            load,
            schema: &manifest.schema,
            folder,
            access: &StagingAccess::None,
            on_bytes: &counting(Step::Stage),
        };
        match (task, self.staging) {
            (Task::Stage(job), Some(staging)) => {
                let outcome = retries.repeatable(|| staging.plugin.stage(job, &context)).await;
                outcome.map_err(|error| error.with("job", job.id()))
            }
            (Task::WriteManifest, Some(staging)) => {
                retries.request(|| staging.plugin.write_manifest(manifest)).await?;
                Ok(JobOutcome::default())
            }
            (Task::Run(job), _) => {
                let outcome = async {
                    let access = self.access(route, rows, scratch, Step::Copy).await?;
                    if !matches!(job, Job::Custom(_)) {
                        check_hashes(folder, rows, &access).await?;
                    }
                    self.stage_lists(route, std::slice::from_ref(job), &context, scratch).await?;
                    let on_bytes = &counting(Step::Copy);
                    let context = JobContext { access: &access, on_bytes, ..context };
                    retries.job(|| self.destination.plugin.run(job, &context)).await
                };
                outcome.await.map_err(|error| error.with("job", job.id()))
            }
            (Task::Stage(_) | Task::WriteManifest, None) => {
                Err(Error::new(ErrorKind::Bug, "there is no staging destination to stage to"))
            }
        }
    }

    /// How the destination reads the files of these jobs.
    pub(super) async fn access(
        &self,
        route: Route,
        jobs: &[Job],
        scratch: &Scratch,
        step: Step,
    ) -> Result<StagingAccess> {
        let Some(staging) = self.staging else { return Ok(StagingAccess::None) };
        let copies = jobs.iter().filter_map(|job| match job {
            Job::Copy(copy) => Some(copy.files.iter().cloned()),
            _ => None,
        });
        let files: Vec<StagedFile> = copies.flatten().collect();
        let retries = self.retries();
        match route.way {
            Way::Direct => Ok(StagingAccess::None),
            Way::Staged(access) if access.is_brought_along() => {
                Ok(StagingAccess::Configured(access))
            }
            Way::Staged(access) => {
                let request = AccessRequest { files, takes: vec![access] };
                retries.request(|| staging.plugin.grant(&request)).await
            }
            Way::Fetched => {
                let folder = scratch.folder()?;
                let fetch = |file: StagedFile| {
                    let to = folder.join(file.key.replace('/', "_"));
                    let plugin = &staging.plugin;
                    async move {
                        let _permit = scratch.fetches.acquire().await;
                        // An earlier job may have wanted it too.
                        if !scratch.has(&file.key) {
                            retries.repeatable(|| plugin.fetch(&file, &to)).await?;
                            let bytes = file.file.bytes;
                            self.observer.observe(Event::Bytes { step, bytes });
                            scratch.fetched().insert(file.key.clone());
                        }
                        Ok::<_, Error>((file.key.clone(), to))
                    }
                };
                let fetched =
                    stream::iter(files.into_iter().map(fetch)).buffer_unordered(self.workers);
                Ok(StagingAccess::LocalPaths(
                    fetched.try_collect::<BTreeMap<String, PathBuf>>().await?,
                ))
            }
        }
    }
}

/// Holds the files that the destination is about to read against their hashes: engines read some damaged files without a
/// word. What was fetched was checked on the way.
pub(super) async fn check_hashes(
    folder: &Path,
    jobs: &[Job],
    access: &StagingAccess,
) -> Result<()> {
    let mut files: Vec<(PathBuf, DataFile)> = Vec::new();
    for job in jobs {
        match (job, access) {
            (Job::Load(job), _) => files.push((folder.join(job.file.path()), job.file.clone())),
            (Job::Copy(job), StagingAccess::LocalPaths(paths)) => {
                let paths = job.files.iter().filter_map(|staged| {
                    paths.get(&staged.key).map(|path| (path.clone(), staged.file.clone()))
                });
                files.extend(paths);
            }
            _ => {}
        }
    }
    let check = move || files.iter().try_for_each(|(path, file)| package::check_file(path, file));
    tokio::task::spawn_blocking(check).await.map_err(|error| {
        Error::new(ErrorKind::Bug, "the check of the files ended unexpectedly").with_source(error)
    })?
}

/// When the steps of a transfer began and ended, which overlap, and what they have used.
#[derive(Debug, Default)]
struct Steps {
    times: BTreeMap<Step, (Instant, Option<Instant>)>,
    usage: Usage,
}

impl Steps {
    /// Whether it begins only now.
    fn begin(&mut self, step: Step) -> bool {
        let is_new = !self.times.contains_key(&step);
        self.times.entry(step).or_insert_with(|| (Instant::now(), None));
        is_new
    }

    /// Whether it had begun.
    fn end(&mut self, step: Step) -> bool {
        let begun = self.times.get_mut(&step);
        begun.map(|(_, end)| *end = Some(Instant::now())).is_some()
    }

    /// How long each took, those that have not ended until now.
    fn seconds(&self) -> impl Iterator<Item = (Step, f64)> {
        self.times.iter().map(|(step, (begin, end))| {
            let end = end.unwrap_or_else(Instant::now);
            (*step, end.duration_since(*begin).as_secs_f64())
        })
    }
}

/// Where fetched files go: a folder that is made when it is needed and removed afterwards.
pub(super) struct Scratch {
    folder: OnceLock<tempfile::TempDir>,
    /// The keys of the files that are there, whole.
    fetched: Mutex<BTreeSet<String>>,
    /// Downloads that may run at once.
    fetches: Semaphore,
}

impl Scratch {
    pub(super) fn new(workers: usize) -> Self {
        let (folder, fetched) = (OnceLock::new(), Mutex::default());
        Self { folder, fetched, fetches: Semaphore::new(workers) }
    }

    fn fetched(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, key: &str) -> bool {
        self.fetched().contains(key)
    }

    pub(super) fn folder(&self) -> Result<PathBuf> {
        if self.folder.get().is_none() {
            let folder = tempfile::Builder::new().prefix("transload-").tempdir().map_err(|error| {
                Error::new(ErrorKind::Terminal, "could not create a folder for fetched files")
                    .with_hint("make room in the folder for temporary files, or point TMPDIR to another one")
                    .with_source(error)
            })?;
            let _ = self.folder.set(folder);
        }
        Ok(self.folder.get().map(|folder| folder.path().to_owned()).unwrap_or_default())
    }
}
