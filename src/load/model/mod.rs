//! The protocol of a load, searched: every order in which two loaders of one pipeline, kills, restarts, lost answers and
//! late ones can follow each other, and in no state a row is doubled or lost.
//!
//! What a loader decides here is decided by the functions of [`protocol`](super::protocol) that the engine calls. The
//! destination is a model of what a destination owes: one fence that is swapped at the start and in the commit, a commit
//! row, staging tables of the load and its epoch, counted rows, one transaction. It comes in two kinds, by snapshots and
//! by locks. Kills and lost answers are not numbered; two requests may be in flight at once that nobody waits for.
//!
//! `weakened.rs` takes away one guard at a time and shows that the search finds what then goes wrong.

mod destination;
mod loader;
mod search;
mod state;
mod weakened;

use transload_core::{CommitRecord, LoadId, Sha256Hex};

use search::{Found, search};
use state::LOADS;

/// The guards that are in place.
#[derive(Clone, Debug)]
struct Design {
    isolation: Isolation,
    fence: Fence,
    commit_row: CommitRow,
    /// Each load and epoch has staging tables of its own; else all have the same.
    staging_is_private: bool,
    jobs: Jobs,
    /// The publication is refused where the staging tables do not hold the rows of the load.
    counts_rows: bool,
    /// All tables change in one transaction.
    one_transaction: bool,
    unknown: Unknown,
    /// The loader looks before it raises the fence, and not afterwards.
    looks_first: bool,
    order: Order,
    /// The manifest is written when all files are staged, and not before.
    manifest_is_last: bool,
    cleans_up_when_fenced: bool,
}

/// How transactions are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isolation {
    /// Each sees the dataset as it was when it began; of two that change one row the later one fails.
    Snapshots,
    /// Whoever changes a row has it locked until the transaction ends.
    Locks,
}

/// What the commit does with the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// It changes it, where it is still that of the loader.
    Swapped,
    /// It looks whether it is still that of the loader.
    OnlyRead,
    /// There is none.
    None,
}

/// Where the commit row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommitRow {
    InTheTransaction,
    InATransactionOfItsOwn,
    None,
}

/// What a load job does to the staging table that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    Replace,
    Append,
}

/// What follows a COMMIT without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    AsTheEngine,
    AssumedToHaveWorked,
    DoneAgainWithoutLooking,
}

/// How the order of loads is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsTheEngine,
    NotChecked,
    /// Even before it is known whether the load itself is published.
    CheckedFirst,
}

impl Design {
    /// Every guard in place.
    fn whole(isolation: Isolation) -> Self {
        Self {
            isolation,
            fence: Fence::Swapped,
            commit_row: CommitRow::InTheTransaction,
            staging_is_private: true,
            jobs: Jobs::Replace,
            counts_rows: true,
            one_transaction: true,
            unknown: Unknown::AsTheEngine,
            looks_first: false,
            order: Order::AsTheEngine,
            manifest_is_last: true,
            cleans_up_when_fenced: false,
        }
    }
}

/// Who loads what.
#[derive(Clone, Debug)]
struct Scenario {
    ids: [LoadId; LOADS],
    digest: Sha256Hex,
    records: [CommitRecord; LOADS],
    /// The loads whose packages each loader has, a bit each.
    loads_of: [u8; 2],
    /// The load after which each one was made.
    previous: [Option<usize>; LOADS],
    /// Each load has to follow the one after which it was made.
    order_matters: bool,
    /// Each load takes the place of what is there; else its rows come beside, and doubled ones show.
    replaces: bool,
    tables: usize,
    /// Requests that may be in flight at once while nobody waits for their answer any more. With none a request whose
    /// answer was lost is applied at once or never.
    most_in_flight: usize,
}

impl Scenario {
    fn new(loads_of: [u8; 2], previous: [Option<usize>; LOADS]) -> Self {
        let digest = Sha256Hex::of(b"");
        let ids = ["1", "2"].map(LoadId::new);
        let records =
            ids.clone().map(|load_id| CommitRecord { load_id, digest: Some(digest.clone()) });
        Self {
            ids,
            digest,
            records,
            loads_of,
            previous,
            order_matters: false,
            replaces: false,
            tables: 1,
            most_in_flight: 2,
        }
    }

    /// Two loaders of the same load, of two tables: a new one and one that was taken for dead.
    fn one_load_of_two_tables() -> Self {
        Self { tables: 2, most_in_flight: 1, ..Self::new([0b01, 0b01], [None, None]) }
    }

    /// Two loaders of the same two loads, the second made after the first.
    fn two_loads() -> Self {
        Self { order_matters: true, ..Self::new([0b11, 0b11], [None, Some(0)]) }
    }

    /// Two hosts with a load each, neither of which knows of the other.
    fn a_load_each() -> Self {
        Self::new([0b01, 0b10], [None, None])
    }

    fn replacing(self) -> Self {
        Self { order_matters: true, replaces: true, ..self }
    }

    fn on_time(self) -> Self {
        Self { most_in_flight: 0, ..self }
    }

    fn all_loads(&self) -> u8 {
        state::bit(LOADS) - 1
    }
}

/// Searches everything, and returns the number of states where nothing is wrong.
#[track_caller]
fn states(design: &Design, scenario: &Scenario) -> usize {
    let Found { states, wrong } = search(design, scenario, None);
    if let Some((kind, way)) = wrong.first_key_value() {
        panic!("{kind:?} after {} states:\n{}", states, way.join("\n"));
    }
    states
}

/// Holds that nothing is wrong in any state, and that as many were searched as there are: a number that changes says that
/// the protocol or its model has changed, and one that falls that something is not searched any more.
#[track_caller]
fn nothing_is_wrong(isolation: Isolation, numbers: [usize; 5]) {
    let one_load = Scenario::one_load_of_two_tables;
    let scenarios = [
        ("one load of two tables", one_load()),
        ("the same, where no answer comes late", one_load().on_time()),
        ("two loads, one after the other", Scenario::two_loads()),
        ("two hosts with a load each", Scenario::a_load_each()),
        ("two hosts with a load each that replaces", Scenario::a_load_each().replacing()),
    ];
    for ((name, scenario), number) in scenarios.into_iter().zip(numbers) {
        assert_eq!(states(&Design::whole(isolation), &scenario), number, "{name}");
    }
}

#[test]
fn no_order_of_events_doubles_or_loses_a_row_where_transactions_see_snapshots() {
    nothing_is_wrong(Isolation::Snapshots, [21_589, 1_406, 70_330, 26_550, 22_338]);
}

#[test]
fn no_order_of_events_doubles_or_loses_a_row_where_transactions_lock_rows() {
    nothing_is_wrong(Isolation::Locks, [21_450, 1_375, 68_815, 26_124, 21_932]);
}
