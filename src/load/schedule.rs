//! Which job of a load may start next, as a function of what has ended.
//!
//! Files are staged, and a table is copied as soon as its files are, whatever the others are at. The manifest of the load
//! is written when all files are staged, and the load is ready for its publication when the manifest is written and all
//! that was asked for has run: whoever finds the manifest finds all that it names. Steps of the destination's own follow
//! when the rows are in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use transload_core::{
    Error, ErrorKind, FollowUp, Job, JobId, JobOutcome, Result, StageJob, StagedFile,
};

use super::plan;

/// Something that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A file goes into the staging storage.
    Stage(Job),
    /// The manifest goes there.
    WriteManifest,
    /// A job runs on the destination.
    Run(Job),
}

/// How much may run at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Everything together.
    pub(crate) workers: usize,
    /// What goes into the staging storage.
    pub(crate) uploads: Option<usize>,
    /// What runs on the destination.
    pub(crate) jobs: Option<usize>,
}

/// What an earlier attempt of the same load has staged already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    /// The uploads that ended.
    pub(crate) uploads: BTreeMap<JobId, JobOutcome>,
    /// Whether the manifest is written.
    pub(crate) has_manifest: bool,
}

impl Staged {
    /// Everything, as it follows from a manifest that lies in the storage: it is written after all that it names.
    pub(crate) fn whole(files: Vec<StagedFile>) -> Self {
        let ended = |staged: StagedFile| {
            let stage = StageJob { file: staged.file.clone(), key: staged.key.clone() };
            let follow_ups = vec![FollowUp::Copy(staged)];
            (Job::Stage(stage).id(), JobOutcome { follow_ups, ..JobOutcome::default() })
        };
        Self { uploads: files.into_iter().map(ended).collect(), has_manifest: true }
    }
}

/// The jobs of a load: those that wait, those that run, and what was made of those that ended.
#[derive(Debug)]
pub(crate) struct Schedule {
    limits: Limits,
    /// The destination runs the jobs that bring rows apart, and not in the publication.
    runs_apart: bool,
    manifest: ManifestIs,
    uploads: VecDeque<Job>,
    jobs: VecDeque<Job>,
    uploading: usize,
    running: usize,
    closed: bool,
    /// Uploads that have not ended, by table, and the copies that those that have ended ask for.
    staging: BTreeMap<String, (usize, Vec<FollowUp>)>,
    /// The jobs that bring rows.
    rows: Vec<Job>,
    /// Jobs that bring rows and have not ended, by table, and the rows that arrived by those that have: as long as the
    /// destination counts.
    arriving: BTreeMap<String, (usize, Option<u64>)>,
    /// What is asked for and follows when all rows are in.
    asked: Vec<FollowUp>,
    /// Jobs that were started, or wait to be: what is asked for twice runs once.
    known: BTreeSet<JobId>,
}

/// Where the manifest of a load that goes through staging is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ManifestIs {
    NotNeeded,
    Waiting,
    BeingWritten,
    Written,
}

impl Schedule {
    /// The schedule of a load without staging.
    pub(crate) fn of_local_files(jobs: Vec<Job>, runs_apart: bool, limits: Limits) -> Self {
        let mut schedule = Self::new(ManifestIs::NotNeeded, runs_apart, limits);
        for job in jobs {
            schedule.bring(job);
        }
        schedule.begin_round();
        schedule
    }

    /// The schedule of a load through staging, without what an earlier attempt has staged.
    pub(crate) fn through_staging(
        uploads: Vec<Job>,
        staged: &Staged,
        runs_apart: bool,
        limits: Limits,
    ) -> Self {
        let manifest = match staged.has_manifest {
            true => ManifestIs::Written,
            false => ManifestIs::Waiting,
        };
        let mut schedule = Self::new(manifest, runs_apart, limits);
        for job in &uploads {
            schedule.staging.entry(job.table().to_owned()).or_default().0 += 1;
        }
        for job in uploads {
            match staged.uploads.get(&job.id()) {
                Some(outcome) => schedule.staged(&job, outcome.follow_ups.clone()),
                None => schedule.uploads.push_back(job),
            }
        }
        schedule.begin_round();
        schedule
    }

    fn new(manifest: ManifestIs, runs_apart: bool, limits: Limits) -> Self {
        Self {
            limits,
            runs_apart,
            manifest,
            uploads: VecDeque::new(),
            jobs: VecDeque::new(),
            uploading: 0,
            running: 0,
            closed: false,
            staging: BTreeMap::new(),
            rows: Vec::new(),
            arriving: BTreeMap::new(),
            asked: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// What may be started now, one at a time. What is returned counts as running until it [ends](Self::end).
    pub(crate) fn start(&mut self) -> Option<Task> {
        if self.closed || self.uploading + self.running >= self.limits.workers.max(1) {
            return None;
        }
        // The destination first: it has the longer way to go.
        if self.running < self.limits.jobs.unwrap_or(usize::MAX).max(1)
            && let Some(job) = self.jobs.pop_front()
        {
            self.running += 1;
            return Some(Task::Run(job));
        }
        if self.uploading >= self.limits.uploads.unwrap_or(usize::MAX).max(1) {
            return None;
        }
        let task = match self.uploads.pop_front() {
            Some(job) => Task::Stage(job),
            None if self.manifest == ManifestIs::Waiting && self.staging.is_empty() => {
                self.manifest = ManifestIs::BeingWritten;
                Task::WriteManifest
            }
            None => return None,
        };
        self.uploading += 1;
        Some(task)
    }

    /// Takes in what ended well.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where the rows of a table that arrived are not those that were written.
    pub(crate) fn end(&mut self, task: &Task, outcome: JobOutcome) -> Result<()> {
        match task {
            Task::Stage(job) => {
                self.uploading -= 1;
                self.staged(job, outcome.follow_ups);
            }
            Task::WriteManifest => {
                self.uploading -= 1;
                self.manifest = ManifestIs::Written;
            }
            Task::Run(job) => {
                self.running -= 1;
                self.asked.extend(outcome.follow_ups);
                self.arrived(job, outcome.statistics.rows)?;
            }
        }
        self.begin_round();
        Ok(())
    }

    /// Takes in that something ended in another way, and is not to be tried again.
    pub(crate) fn give_up(&mut self, task: &Task) {
        match task {
            Task::Stage(_) | Task::WriteManifest => self.uploading -= 1,
            Task::Run(_) => self.running -= 1,
        }
        self.close();
    }

    /// Nothing is started any more. What runs may end.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether all is done that was asked for.
    pub(crate) fn is_done(&self) -> bool {
        !self.closed && self.is_idle() && self.jobs.is_empty() && self.has_manifest()
    }

    /// Whether nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.uploading + self.running == 0
    }

    /// Files that are still to be staged, those that are being staged too.
    pub(crate) fn uploads(&self) -> usize {
        self.staging.values().map(|(uploads, _)| uploads).sum()
    }

    /// Jobs of the destination, as far as they are known before any has run.
    pub(crate) fn destination_jobs(&self) -> usize {
        match self.runs_apart {
            true => self.jobs.len() + self.staging.len(),
            false => self.jobs.len(),
        }
    }

    /// The jobs that bring the rows, in the order of their tables and files: as the publication is told of them.
    pub(crate) fn into_rows(mut self) -> Vec<Job> {
        self.rows.sort_by_cached_key(Job::id);
        self.rows
    }

    /// The jobs that bring the rows, as far as they are known.
    pub(crate) fn rows(&self) -> &[Job] {
        &self.rows
    }

    fn has_manifest(&self) -> bool {
        matches!(self.manifest, ManifestIs::NotNeeded | ManifestIs::Written)
    }

    /// A job that brings rows: it runs now, or in the publication.
    fn bring(&mut self, job: Job) {
        self.rows.push(job.clone());
        self.known.insert(job.id());
        if self.runs_apart {
            self.arriving.entry(job.table().to_owned()).or_insert((0, Some(0))).0 += 1;
            self.jobs.push_back(job);
        }
    }

    fn staged(&mut self, job: &Job, follow_ups: Vec<FollowUp>) {
        let Some((left, copies)) = self.staging.get_mut(job.table()) else { return };
        *left -= 1;
        for follow_up in follow_ups {
            match follow_up {
                FollowUp::Copy(_) => copies.push(follow_up),
                other => self.asked.push(other),
            }
        }
        if *left > 0 {
            return;
        }
        let (_, copies) = self.staging.remove(job.table()).unwrap_or_default();
        for copy in plan::coalesce(copies) {
            self.bring(copy);
        }
    }

    /// Holds the rows of a table against those that were written, once all of them should be there. Where a destination
    /// does not count, it is left to the publication.
    fn arrived(&mut self, job: &Job, rows: Option<u64>) -> Result<()> {
        if matches!(job, Job::Custom(_)) {
            return Ok(());
        }
        let table = job.table();
        let Some((left, arrived)) = self.arriving.get_mut(table) else { return Ok(()) };
        *left -= 1;
        *arrived = arrived.zip(rows).map(|(arrived, rows)| arrived + rows);
        if *left > 0 || self.staging.contains_key(table) {
            return Ok(());
        }
        let (_, arrived) = self.arriving.remove(table).unwrap_or_default();
        let of_table = self.rows.iter().filter(|job| job.table() == table);
        let written: u64 = of_table.map(plan::rows_of).sum();
        match arrived.filter(|arrived| *arrived != written) {
            None => Ok(()),
            Some(arrived) => Err(Error::new(
                ErrorKind::Terminal,
                "the rows that arrived are not those that were written",
            )
            .with("table", table)
            .with("written", written)
            .with("arrived", arrived)
            .with_hint("nothing became visible; the package is kept: `transload info` shows it")),
        }
    }

    /// What was asked for follows once everything before it has ended.
    fn begin_round(&mut self) {
        let rows_are_in = self.staging.is_empty() && self.arriving.is_empty();
        if !rows_are_in || !self.has_manifest() || self.running > 0 || !self.jobs.is_empty() {
            return;
        }
        for job in plan::coalesce(std::mem::take(&mut self.asked)) {
            if self.known.insert(job.id()) {
                self.jobs.push_back(job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{
        CustomJob, DataFile, FileFormat, JobStatistics, LoadJob, Sha256Hex, StageJob, StagedFile,
    };

    const MANY: Limits = Limits { workers: 20, uploads: None, jobs: None };

    fn file(table: &str, number: usize) -> DataFile {
        let sha256 = Sha256Hex::of(b"");
        DataFile {
            table: table.into(),
            name: DataFile::name_of(number, &sha256, FileFormat::Parquet, false),
            format: FileFormat::Parquet,
            gzip: false,
            rows: 10,
            bytes: 1,
            sha256,
            columns: vec![],
            bounds: BTreeMap::new(),
            longest: BTreeMap::new(),
        }
    }

    fn uploads(files: &[(&str, usize)]) -> Vec<Job> {
        let upload = |(table, number): &(&str, usize)| {
            Job::Stage(StageJob { file: file(table, *number), key: format!("{table}{number}") })
        };
        files.iter().map(upload).collect()
    }

    fn loads(files: &[(&str, usize)]) -> Vec<Job> {
        let load =
            |(table, number): &(&str, usize)| Job::Load(LoadJob { file: file(table, *number) });
        files.iter().map(load).collect()
    }

    fn custom(name: &str) -> FollowUp {
        let (table, payload) = ("a".to_owned(), BTreeMap::new());
        FollowUp::Custom(CustomJob { name: name.into(), table, payload })
    }

    fn through_staging(files: &[(&str, usize)], limits: Limits) -> Schedule {
        Schedule::through_staging(uploads(files), &Staged::default(), true, limits)
    }

    fn name(task: &Task) -> String {
        match task {
            Task::WriteManifest => "manifest".into(),
            Task::Stage(job) | Task::Run(job) => {
                job.id().as_str().split('-').next().unwrap_or_default().replace("/00000", "")
            }
        }
    }

    fn kind(task: &Task) -> &str {
        let Task::Run(job) = task else { panic!("a job of the destination") };
        job.kind()
    }

    /// What a task answers where all is well.
    fn outcome(task: &Task) -> JobOutcome {
        match task {
            Task::Stage(Job::Stage(job)) => JobOutcome {
                follow_ups: vec![FollowUp::Copy(StagedFile {
                    file: job.file.clone(),
                    key: job.key.clone(),
                    url: String::new(),
                    etag: None,
                })],
                ..JobOutcome::default()
            },
            Task::Run(job) => with_rows(Some(plan::rows_of(job))),
            _ => JobOutcome::default(),
        }
    }

    fn with_rows(rows: Option<u64>) -> JobOutcome {
        let statistics = JobStatistics { rows, ..JobStatistics::default() };
        JobOutcome { statistics, follow_ups: vec![] }
    }

    /// Starts all that may be started.
    fn started(schedule: &mut Schedule) -> Vec<Task> {
        std::iter::from_fn(|| schedule.start()).collect()
    }

    fn names(tasks: &[Task]) -> Vec<String> {
        tasks.iter().map(name).collect()
    }

    fn end(schedule: &mut Schedule, task: &Task) {
        schedule.end(task, outcome(task)).unwrap();
    }

    #[test]
    fn a_table_is_copied_when_its_own_files_are_staged() {
        let mut schedule = through_staging(&[("a", 1), ("a", 2), ("b", 1)], MANY);
        assert_eq!((schedule.uploads(), schedule.destination_jobs()), (3, 2));
        let uploads = started(&mut schedule);
        assert_eq!(names(&uploads), ["stage:a1", "stage:a2", "stage:b1"]);
        end(&mut schedule, &uploads[0]);
        assert_eq!(schedule.start(), None, "one of its files is missing");
        end(&mut schedule, &uploads[1]);
        let copy = started(&mut schedule);
        assert_eq!(names(&copy), ["copy:a"], "while `b` is being staged");
        end(&mut schedule, &copy[0]);
        assert_eq!(schedule.start(), None);
        end(&mut schedule, &uploads[2]);
        let rest = started(&mut schedule);
        assert_eq!(names(&rest), ["copy:b", "manifest"]);
        end(&mut schedule, &rest[0]);
        assert!(!schedule.is_done(), "without the manifest");
        end(&mut schedule, &rest[1]);
        assert!(schedule.is_done());
        let rows: Vec<_> = schedule.into_rows().iter().map(Job::id).collect();
        assert_eq!(rows.iter().map(JobId::as_str).collect::<Vec<_>>(), ["copy:a", "copy:b"]);
    }

    #[test]
    fn the_manifest_is_written_when_every_file_is_staged_and_not_before() {
        let mut schedule = through_staging(&[("a", 1), ("b", 1)], MANY);
        let uploads = started(&mut schedule);
        end(&mut schedule, &uploads[0]);
        assert!(!names(&started(&mut schedule)).contains(&"manifest".to_owned()));
        end(&mut schedule, &uploads[1]);
        assert!(names(&started(&mut schedule)).contains(&"manifest".to_owned()));
    }

    #[test]
    fn a_destination_that_loads_in_its_publication_is_asked_for_nothing_before() {
        let uploads = uploads(&[("b", 1), ("a", 1)]);
        let mut schedule = Schedule::through_staging(uploads, &Staged::default(), false, MANY);
        while let Some(task) = schedule.start() {
            assert!(!matches!(task, Task::Run(_)));
            end(&mut schedule, &task);
        }
        assert!(schedule.is_done());
        assert_eq!(schedule.into_rows().len(), 2);
        let schedule = Schedule::of_local_files(loads(&[("a", 1)]), false, MANY);
        assert!(schedule.is_done());
        assert_eq!(schedule.rows().len(), 1);
    }

    #[test]
    fn each_side_has_its_limit_and_both_have_one_together() {
        let files: Vec<_> = (1..=9).map(|n| ("a", n)).chain([("b", 1), ("c", 1)]).collect();
        // `b` and `c` are staged already, so that both sides have something to do.
        let mut staged = Staged::default();
        for job in uploads(&[("b", 1), ("c", 1)]) {
            staged.uploads.insert(job.id(), outcome(&Task::Stage(job)));
        }
        let running = |limits| {
            let mut schedule = Schedule::through_staging(uploads(&files), &staged, true, limits);
            let tasks = started(&mut schedule);
            let jobs = tasks.iter().filter(|task| matches!(task, Task::Run(_))).count();
            (tasks.len() - jobs, jobs)
        };
        let limits = |workers, uploads, jobs| Limits { workers, uploads, jobs };
        assert_eq!(running(limits(20, None, None)), (9, 2));
        assert_eq!(running(limits(20, Some(3), Some(1))), (3, 1));
        assert_eq!(running(limits(4, None, None)), (2, 2));
        assert_eq!(running(limits(20, Some(0), Some(0))), (1, 1), "no limit stops a load");
        assert_eq!(running(limits(0, None, None)), (0, 1));
    }

    #[test]
    fn every_limit_and_every_order_of_ends_runs_everything_once() {
        let files = [("a", 1), ("a", 2), ("b", 1), ("c", 1), ("c", 2)];
        for workers in 1..4 {
            for last_first in [false, true] {
                let limits = Limits { workers, uploads: Some(2), jobs: Some(2) };
                let mut schedule = through_staging(&files, limits);
                let (mut running, mut ran) = (VecDeque::new(), Vec::new());
                loop {
                    running.extend(started(&mut schedule));
                    assert!(running.len() <= workers);
                    let next = if last_first { running.pop_back() } else { running.pop_front() };
                    let Some(task) = next else { break };
                    ran.push(name(&task));
                    end(&mut schedule, &task);
                }
                assert!(schedule.is_done(), "{ran:?}");
                let place = |name: &str| ran.iter().position(|ran| ran == name).unwrap();
                assert_eq!(ran.len(), 9, "{ran:?}");
                for (upload, copy) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c2", "c")] {
                    let (upload, copy) = (format!("stage:{upload}"), format!("copy:{copy}"));
                    assert!(place(&upload) < place(&copy), "{ran:?}");
                    assert!(place(&upload) < place("manifest"), "{ran:?}");
                }
            }
        }
    }

    #[test]
    fn steps_of_the_destinations_own_follow_the_rows_and_run_once() {
        let mut schedule = Schedule::of_local_files(loads(&[("a", 1), ("b", 1)]), true, MANY);
        let rows = started(&mut schedule);
        let asks = |names: &[&str], outcome: JobOutcome| JobOutcome {
            follow_ups: names.iter().map(|name| custom(name)).collect(),
            ..outcome
        };
        schedule.end(&rows[0], asks(&["sort"], outcome(&rows[0]))).unwrap();
        assert_eq!(schedule.start(), None, "not all rows are in");
        schedule.end(&rows[1], asks(&["sort", "index"], outcome(&rows[1]))).unwrap();
        let round = started(&mut schedule);
        let kinds: BTreeSet<_> = round.iter().map(kind).collect();
        assert_eq!(kinds, BTreeSet::from(["index", "sort"]));
        schedule.end(&round[0], asks(&["sort", "vacuum"], JobOutcome::default())).unwrap();
        assert_eq!(schedule.start(), None, "the round has not ended");
        schedule.end(&round[1], JobOutcome::default()).unwrap();
        let [vacuum] = &started(&mut schedule)[..] else { panic!("it asks for one more") };
        schedule.end(vacuum, asks(&["vacuum"], JobOutcome::default())).unwrap();
        assert!(schedule.is_done(), "what has run already is not run again");
    }

    #[test]
    fn what_was_staged_by_an_earlier_attempt_is_not_staged_again() {
        let files = [("a", 1), ("b", 1)];
        let mut first = through_staging(&files, MANY);
        let [a, _] = &started(&mut first)[..] else { panic!("two uploads") };
        let Task::Stage(job) = a else { panic!("an upload") };
        let mut staged = Staged::default();
        staged.uploads.insert(job.id(), outcome(a));
        let mut second = Schedule::through_staging(uploads(&files), &staged, true, MANY);
        assert_eq!(names(&started(&mut second)), ["copy:a", "stage:b1"]);

        let b = &uploads(&files)[1];
        staged.uploads.insert(b.id(), outcome(&Task::Stage(b.clone())));
        staged.has_manifest = true;
        let mut third = Schedule::through_staging(uploads(&files), &staged, true, MANY);
        assert_eq!(names(&started(&mut third)), ["copy:a", "copy:b"]);
    }

    #[test]
    fn other_rows_than_were_written_end_the_load() {
        let run = |counted: [Option<u64>; 2]| {
            let mut schedule = Schedule::of_local_files(loads(&[("a", 1), ("a", 2)]), true, MANY);
            let jobs = started(&mut schedule);
            schedule.end(&jobs[1], with_rows(counted[1])).unwrap();
            schedule.end(&jobs[0], with_rows(counted[0]))
        };
        run([Some(10), Some(10)]).unwrap();
        run([Some(12), Some(8)]).unwrap();
        run([None, Some(8)]).unwrap();
        let error = run([Some(10), Some(9)]).unwrap_err();
        assert_eq!((error.context("written"), error.context("arrived")), (Some("20"), Some("19")));
    }

    #[test]
    fn once_closed_nothing_new_starts_and_what_runs_may_end() {
        let mut schedule = through_staging(&[("a", 1), ("b", 1)], Limits { workers: 1, ..MANY });
        let upload = schedule.start().unwrap();
        schedule.close();
        assert!(!schedule.is_idle());
        end(&mut schedule, &upload);
        assert_eq!(schedule.start(), None);
        assert!(schedule.is_idle() && !schedule.is_done());
    }

    #[test]
    fn a_load_without_files_is_done_when_its_manifest_is_written() {
        let mut schedule = through_staging(&[], MANY);
        let [manifest] = &started(&mut schedule)[..] else { panic!("the manifest") };
        end(&mut schedule, manifest);
        assert!(schedule.is_done());
    }
}
