//! What a loader may do next. What it decides is decided by the engine's own functions.

use transload_core::ErrorKind;

use super::destination::bring;
use super::state::{At, LOADS, Loader, Request, StagingTable, State, bit};
use super::{CommitRow, Design, Fence, Order, Scenario, Unknown};
use crate::load::protocol::{Claim, Doing, Recovery, Seen, Verdict, after_error, after_look};

/// One thing that may happen.
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) after: State,
    /// Whether it happens where nothing fails: a kill and a lost answer do not.
    pub(super) is_healthy: bool,
}

/// Everything that may happen in a state.
pub(super) struct Events<'a> {
    pub(super) design: &'a Design,
    pub(super) scenario: &'a Scenario,
    pub(super) before: State,
    pub(super) found: Vec<Event>,
}

impl Design {
    pub(super) fn staging_table(&self, loader: &Loader, table: usize) -> StagingTable {
        let table = table as u8;
        match self.staging_is_private {
            true => StagingTable { table, load: loader.load, epoch: loader.epoch },
            false => StagingTable { table, load: 0, epoch: 0 },
        }
    }
}

impl Events<'_> {
    /// The first state, with both loaders started.
    pub(super) fn begun(&self) -> State {
        let mut begun = self.before;
        begun.loaders = begun.loaders.map(|loader| self.started(loader.recorded));
        begun
    }

    pub(super) fn find(&mut self) {
        for index in 0..self.before.in_flight.len() {
            self.in_flight(index);
        }
        for loader in 0..self.before.loaders.len() {
            self.loader(loader);
        }
    }

    fn push(&mut self, name: &'static str, after: State, is_healthy: bool) {
        self.found.push(Event { name, after, is_healthy });
    }

    /// What nobody waits for is applied now, or never.
    fn in_flight(&mut self, index: usize) {
        let Some(request) = self.before.in_flight[index] else { return };
        let mut after = self.before;
        after.in_flight[index] = None;
        self.push("a request in flight is dropped", after, true);
        let waits = matches!(request, Request::Raise { .. }) && self.design.is_locked(&self.before);
        if !waits && self.design.apply(self.scenario, &mut after, request).is_ok() {
            self.push("a request in flight is applied", after, true);
        }
    }

    fn loader(&mut self, i: usize) {
        let loader = self.before.loaders[i];
        match loader.at {
            At::Done | At::Refused => return,
            At::Stopped => {
                let after = self.with(i, self.started(loader.recorded));
                return self.push("a stopped loader is started again", after, true);
            }
            _ => {
                let after = self.with(i, self.started(loader.recorded));
                self.push("a loader is killed and started again", after, false);
            }
        }
        match loader.at {
            At::Fencing => self.fence(i),
            At::Looking => self.look(i),
            At::Moving => self.move_rows(i),
            At::Beginning => self.begin(i),
            At::Committing | At::CommittingRest => self.commit(i),
            At::WritingCommitRow => {
                let next = Loader { at: At::CleaningUp, ..loader };
                let request = Request::CommitRow { load: loader.load };
                self.send(i, "the commit row is written", request, next, |_| next, &[loader]);
            }
            At::CleaningUp => {
                let next = self.recorded(loader);
                let request = Request::Clear { load: loader.load, epoch: loader.epoch };
                // That something is left behind fails nothing.
                self.send(i, "leftovers are removed", request, next, |_| next, &[next]);
            }
            At::Stopped | At::Refused | At::Done => {}
        }
    }

    /// A process that begins with the oldest load that its disk does not record as done.
    fn started(&self, recorded: u8) -> Loader {
        let mut loader = Loader::started(recorded);
        loader.load = recorded.trailing_ones() as u8;
        if self.design.looks_first {
            loader.at = At::Looking;
        }
        loader
    }

    fn recorded(&self, loader: Loader) -> Loader {
        let recorded = loader.recorded | bit(loader.load);
        match recorded == bit(LOADS) - 1 {
            true => Loader { at: At::Done, ..Loader::started(recorded) },
            false => self.started(recorded),
        }
    }

    fn with(&self, i: usize, loader: Loader) -> State {
        let mut after = self.before;
        after.loaders[i] = loader;
        after
    }

    /// Sends a request: it is answered, refused, or its answer is lost, and then the loader goes on in one of these ways
    /// while the request is applied now, later or never.
    fn send(
        &mut self,
        i: usize,
        name: &'static str,
        request: Request,
        answered: Loader,
        refused: impl Fn(ErrorKind) -> Loader,
        lost: &[Loader],
    ) {
        let mut after = self.with(i, answered);
        match self.design.apply(self.scenario, &mut after, request) {
            Ok(()) => self.push(name, after, true),
            Err(kind) => {
                let after = self.with(i, refused(kind));
                self.push("a request is refused", after, true);
            }
        }
        for loader in lost {
            let after = self.with(i, *loader);
            let most = self.scenario.most_in_flight;
            if most > 0 {
                if let Some(after) = after.with_in_flight(request, most) {
                    self.push("an answer is lost", after, false);
                }
                continue;
            }
            let mut applied = after;
            if self.design.apply(self.scenario, &mut applied, request).is_ok() {
                self.push("an answer is lost, and the request applied", applied, false);
            }
            self.push("a request is lost", after, false);
        }
    }

    fn fence(&mut self, i: usize) {
        let loader = self.before.loaders[i];
        let repeats = self.design.unknown == Unknown::DoneAgainWithoutLooking && loader.staged != 0;
        let next = if self.design.looks_first || repeats { At::Moving } else { At::Looking };
        if self.design.fence == Fence::None {
            let after = self.with(i, Loader { at: next, ..loader });
            return self.push("there is no fence", after, true);
        }
        if self.design.is_locked(&self.before) {
            return;
        }
        let State { seq, last, .. } = self.before;
        let raised = Loader { at: next, epoch: seq + 1, last, ..loader };
        let request = Request::Raise { expected: seq };
        self.send(i, "the fence is raised", request, raised, |_| loader, &[loader]);
    }

    fn look(&mut self, i: usize) {
        let loader = self.before.loaders[i];
        let load = loader.load;
        let scenario = self.scenario;
        let is_there = self.before.commit_rows & bit(load) != 0;
        let last = if self.design.looks_first { self.before.last } else { loader.last };
        let claim = Claim {
            load_id: &scenario.ids[usize::from(load)],
            digest: &scenario.digest,
            previous: scenario.previous[usize::from(load)].map(|previous| &scenario.ids[previous]),
            order_matters: scenario.order_matters && self.design.order != Order::NotChecked,
            order: crate::load::Order::AsMade,
        };
        let seen = Seen {
            commit: is_there.then(|| &scenario.records[usize::from(load)]),
            last: last.checked_sub(1).map(|last| &scenario.ids[usize::from(last)]),
        };
        let publish = if self.design.looks_first { At::Fencing } else { At::Moving };
        let comes_late = self.design.order == Order::CheckedFirst && seen.last != claim.previous;
        let at = match after_look(load, &claim, &seen) {
            _ if comes_late => At::Refused,
            Verdict::Publish(_) => publish,
            Verdict::Published(_) => At::CleaningUp,
            Verdict::OutOfOrder => At::Refused,
            Verdict::IdTaken => At::Stopped,
        };
        let after = self.with(i, Loader { at, ..loader });
        self.push("the loader looks", after, true);
    }

    /// Stages file after file and copies table after table, each table once its files are staged, whatever the others
    /// are at.
    fn move_rows(&mut self, i: usize) {
        let loader = self.before.loaders[i];
        let of_load = bit(loader.load);
        let all = bit(self.scenario.tables) - 1;
        let has_manifest = self.before.manifests & of_load != 0;
        if loader.staged != all {
            let table = loader.staged.trailing_ones() as usize;
            let staged = loader.staged | bit(table);
            let mut after = self.with(i, Loader { staged, ..loader });
            after.objects[table] |= of_load;
            self.push("a file is staged", after, true);
        }
        if !has_manifest && (loader.staged == all || !self.design.manifest_is_last) {
            let mut after = self.before;
            after.manifests |= of_load;
            self.push("the manifest is written", after, true);
        }
        let table = loader.copied.trailing_ones() as usize;
        if loader.copied == all {
            if has_manifest {
                let after = self.with(i, Loader { at: At::Beginning, ..loader });
                self.push("everything is moved", after, true);
            }
        } else if loader.staged & bit(table) != 0 {
            self.copy(i, table);
        }
    }

    /// Copies a table: its staging table is made anew, then the files are copied into it.
    fn copy(&mut self, i: usize, table: usize) {
        let loader = self.before.loaders[i];
        let into = self.design.staging_table(&loader, table);
        let unknown = self.after_error(loader, Doing::Preparing, ErrorKind::OutcomeUnknown);
        let refused = self.after_error(loader, Doing::Preparing, ErrorKind::Terminal);
        // After a lost answer a destination may say that the job can be run again, or that its outcome is unknown.
        if loader.made & bit(table) == 0 {
            let made = Loader { made: loader.made | bit(table), ..loader };
            let request = Request::Make(into);
            self.send(i, "a staging table is made", request, made, |_| refused, &[loader, unknown]);
        } else {
            let copied = Loader { copied: loader.copied | bit(table), ..loader };
            let again = Loader { made: loader.made & !bit(table), ..loader };
            let request = Request::Copy { into, load: loader.load };
            self.send(i, "a table is copied", request, copied, |_| refused, &[again, unknown]);
        }
    }

    fn begin(&mut self, i: usize) {
        let loader = self.before.loaders[i];
        if self.design.is_locked(&self.before) {
            return;
        }
        let State { seq, last, .. } = self.before;
        let overtaken = (seq, last) != (loader.epoch, loader.last) || last == loader.load + 1;
        if self.design.fence != Fence::None && overtaken {
            let stopped = self.after_error(loader, Doing::Publishing, ErrorKind::Fenced);
            let after = self.with(i, stopped);
            return self.push("the loader was overtaken", after, true);
        }
        match self.design.read_staging(self.scenario, &self.before, i) {
            Ok(read) => {
                let after = self.with(i, Loader { at: At::Committing, read, ..loader });
                self.push("a transaction begins", after, true);
            }
            Err(kind) => {
                let stopped = self.after_error(loader, Doing::Publishing, kind);
                let mut after = self.with(i, stopped);
                after.refused = self.scenario.most_in_flight == 0;
                self.push("the rows do not reconcile", after, true);
            }
        }
    }

    fn commit(&mut self, i: usize) {
        let loader = self.before.loaders[i];
        if !self.design.one_transaction && loader.at == At::Committing {
            let mut after = self.with(i, Loader { at: At::CommittingRest, ..loader });
            bring(self.scenario, &mut after.tables, &loader.read, 0..1);
            return self.push("the first table is committed", after, true);
        }
        let at = match self.design.commit_row {
            CommitRow::InATransactionOfItsOwn => At::WritingCommitRow,
            _ => At::CleaningUp,
        };
        let committed = Loader { at, ..loader };
        let unknown = match self.design.unknown {
            Unknown::AsTheEngine | Unknown::DoneAgainWithoutLooking => {
                self.after_error(loader, Doing::Publishing, ErrorKind::OutcomeUnknown)
            }
            Unknown::AssumedToHaveWorked => committed,
        };
        let request = Request::Commit {
            load: loader.load,
            epoch: loader.epoch,
            rows: loader.read,
            first: u8::from(!self.design.one_transaction),
        };
        let conflict = self.after_error(loader, Doing::Publishing, ErrorKind::Transient);
        self.send(i, "the load is committed", request, committed, |_| conflict, &[unknown]);
    }

    fn after_error(&self, loader: Loader, doing: Doing, kind: ErrorKind) -> Loader {
        let begun = self.started(loader.recorded);
        match after_error(doing, kind) {
            // The same process: it knows what it has staged.
            Recovery::FenceLookRedo => Loader { staged: loader.staged, ..begun },
            Recovery::Stop if kind == ErrorKind::Fenced && self.design.cleans_up_when_fenced => {
                Loader { at: At::CleaningUp, ..loader }
            }
            Recovery::Stop => {
                Loader { at: At::Stopped, load: 0, ..Loader::started(loader.recorded) }
            }
        }
    }
}
