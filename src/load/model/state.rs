//! Everything that a state of the world holds: two loaders, a destination, a storage, and requests in flight.

use super::{Design, Fence, Scenario};

/// Loads, at most.
pub(super) const LOADS: usize = 2;
/// Tables, at most.
pub(super) const TABLES: usize = 2;

/// Rows of a table, by the load that brought them. One load brings one row to each table; two are one too many, and what
/// goes beyond makes no difference.
pub(super) type Rows = [u8; LOADS];

/// What a loader is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum At {
    /// It raises the fence of its next load.
    Fencing,
    /// It looks whether the load is published.
    Looking,
    /// It stages and copies.
    Moving,
    /// It begins the transaction of the publication.
    Beginning,
    /// It commits.
    Committing,
    /// Only without [`Design::one_transaction`](super::Design::one_transaction): it commits the other tables.
    CommittingRest,
    /// Only without a commit row in the transaction: it writes it by itself.
    WritingCommitRow,
    /// It removes what the load left behind, and records the load as done.
    CleaningUp,
    /// It failed. Somebody may start it again.
    Stopped,
    /// Its load came too late, and it said so.
    Refused,
    /// All of its loads are recorded as done.
    Done,
}

/// A process that loads the packages of a pipeline, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Loader {
    pub(super) at: At,
    /// The load that it is at.
    pub(super) load: u8,
    /// Loads that its disk records as done, a bit each. Nothing else survives a kill.
    pub(super) recorded: u8,
    /// The fence that it raised, 0 for none.
    pub(super) epoch: u8,
    /// The last load as the fence said, 0 for none.
    pub(super) last: u8,
    /// Tables whose files it has staged, whose staging tables it has made, and into which it has copied, a bit each.
    pub(super) staged: u8,
    pub(super) made: u8,
    pub(super) copied: u8,
    /// What its transaction has read from the staging tables.
    pub(super) read: [Rows; TABLES],
}

/// What is sent to the destination and may be applied at once, later, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Request {
    Raise { expected: u8 },
    Make(StagingTable),
    Copy { into: StagingTable, load: u8 },
    Commit { load: u8, epoch: u8, rows: [Rows; TABLES], first: u8 },
    CommitRow { load: u8 },
    Clear { load: u8, epoch: u8 },
}

/// The name of a staging table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StagingTable {
    pub(super) table: u8,
    pub(super) load: u8,
    pub(super) epoch: u8,
}

/// A state of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) loaders: [Loader; 2],
    /// The fence.
    pub(super) seq: u8,
    /// The last load as the fence says, 0 for none.
    pub(super) last: u8,
    /// Loads with a commit row, a bit each.
    pub(super) commit_rows: u8,
    pub(super) tables: [Rows; TABLES],
    /// The staging tables that are there, in the order of their names.
    pub(super) staging: [Option<(StagingTable, Rows)>; 6],
    /// For each table the loads whose files lie in the storage, a bit each.
    pub(super) objects: [u8; TABLES],
    /// Loads whose manifest lies there.
    pub(super) manifests: u8,
    /// Requests whose answer nobody waits for any more.
    pub(super) in_flight: [Option<Request>; 2],
    /// Loads that were published at least once. Nobody in the model can see it.
    pub(super) published: u8,
    /// Something was removed that a load needs that is not published.
    pub(super) removed_too_early: bool,
    /// A publication was refused because the rows did not reconcile.
    pub(super) refused: bool,
}

pub(super) fn bit(index: impl Into<usize>) -> u8 {
    1 << index.into()
}

impl Loader {
    /// A process that was just started, with what its disk records.
    pub(super) fn started(recorded: u8) -> Self {
        Self {
            at: At::Fencing,
            load: 0,
            recorded,
            epoch: 0,
            last: 0,
            staged: 0,
            made: 0,
            copied: 0,
            read: [[0; LOADS]; TABLES],
        }
    }

    /// Without what it will not look at any more.
    fn tidied(self) -> Self {
        let fresh = Self { at: self.at, ..Self::started(self.recorded) };
        match self.at {
            At::Stopped | At::Refused | At::Done => fresh,
            At::Fencing => Self { load: self.load, staged: self.staged, ..fresh },
            At::Looking | At::Moving => self,
            At::Beginning => Self { made: 0, copied: 0, ..self },
            At::Committing | At::CommittingRest => Self { made: 0, copied: 0, last: 0, ..self },
            At::WritingCommitRow | At::CleaningUp => {
                Self { load: self.load, epoch: self.epoch, ..fresh }
            }
        }
    }

    /// Whether it may still read its staging tables.
    fn reads_staging(&self) -> bool {
        matches!(self.at, At::Moving | At::Beginning)
    }
}

impl State {
    /// The beginning, where the disks of the loaders record these loads as done.
    pub(super) fn new(recorded: [u8; 2]) -> Self {
        Self {
            loaders: recorded.map(Loader::started),
            seq: 1,
            last: 0,
            commit_rows: 0,
            tables: [[0; LOADS]; TABLES],
            staging: [None; 6],
            objects: [0; TABLES],
            manifests: 0,
            in_flight: [None; 2],
            published: 0,
            removed_too_early: false,
            refused: false,
        }
    }

    pub(super) fn staging_rows(&self, name: StagingTable) -> Option<Rows> {
        self.staging.iter().flatten().find(|(found, _)| *found == name).map(|(_, rows)| *rows)
    }

    /// Makes a staging table, or gives it other rows.
    pub(super) fn put_staging(&mut self, name: StagingTable, rows: Rows) {
        let place = self.staging.iter().position(|slot| slot.is_some_and(|(n, _)| n == name));
        let place = place.or_else(|| self.staging.iter().position(Option::is_none));
        self.staging[place.expect("tables that nobody reads are forgotten")] = Some((name, rows));
    }

    pub(super) fn remove_staging(&mut self, which: impl Fn(&StagingTable) -> bool) {
        for slot in &mut self.staging {
            slot.take_if(|(name, _)| which(name));
        }
    }

    /// The state with a request in flight; `None` where as many are as may be.
    pub(super) fn with_in_flight(mut self, request: Request, most: usize) -> Option<Self> {
        let free = self.in_flight[..most].iter_mut().find(|slot| slot.is_none())?;
        *free = Some(request);
        Some(self)
    }

    /// The same state in the one form that all its equals have.
    ///
    /// Epochs are only compared, so their order is kept and not their values. A staging table of an epoch that no loader
    /// holds is never read again, since each epoch is new; and a request that can never have an effect is as good as
    /// dropped. This is what makes the world finite, however often a loader is killed or loses an answer.
    /// Two loaders that have the same loads are told apart by nothing.
    pub(super) fn normalised(mut self, design: &Design, scenario: &Scenario) -> Self {
        let fence_is_swapped = design.fence == Fence::Swapped;
        self.loaders = self.loaders.map(Loader::tidied);
        if design.staging_is_private {
            let loaders = self.loaders;
            let is_read = |name: &StagingTable| {
                let reads =
                    |l: &Loader| l.reads_staging() && (l.load, l.epoch) == (name.load, name.epoch);
                loaders.iter().any(reads)
            };
            self.remove_staging(|name| !is_read(name));
            for slot in &mut self.in_flight {
                let is_void = |request: &mut Request| match request {
                    Request::Make(name) | Request::Copy { into: name, .. } => !is_read(name),
                    _ => false,
                };
                slot.take_if(is_void);
            }
        }
        for slot in &mut self.in_flight {
            let is_void = |request: &mut Request| match request {
                Request::Raise { expected } => *expected != self.seq,
                Request::Commit { epoch, .. } => fence_is_swapped && *epoch != self.seq,
                _ => false,
            };
            slot.take_if(is_void);
        }
        self.renumber();
        if scenario.loads_of[0] == scenario.loads_of[1] {
            self.loaders.sort_unstable();
        }
        self.staging.sort_unstable();
        // Those that are there first.
        self.in_flight.sort_unstable_by(|one, other| other.cmp(one));
        self
    }

    fn renumber(&mut self) {
        // Bits, since there are never many of them at once: each state begins with the smallest numbers.
        let mut known = 0_u64;
        self.each_epoch(|epoch| known |= 1 << *epoch);
        let known = known & !1;
        self.each_epoch(|epoch| {
            let smaller_or_same = known & ((2 << *epoch) - 1);
            *epoch = smaller_or_same.count_ones() as u8;
        });
    }

    fn each_epoch(&mut self, mut each: impl FnMut(&mut u8)) {
        each(&mut self.seq);
        self.loaders.iter_mut().for_each(|loader| each(&mut loader.epoch));
        self.staging.iter_mut().flatten().for_each(|(name, _)| each(&mut name.epoch));
        for request in self.in_flight.iter_mut().flatten() {
            match request {
                Request::Raise { expected: epoch }
                | Request::Make(StagingTable { epoch, .. })
                | Request::Copy { into: StagingTable { epoch, .. }, .. }
                | Request::Commit { epoch, .. }
                | Request::Clear { epoch, .. } => each(epoch),
                Request::CommitRow { .. } => {}
            }
        }
    }
}
