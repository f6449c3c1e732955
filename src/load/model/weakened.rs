//! One guard taken away at a time, and what then goes wrong: a model that finds nothing shows nothing.

use super::search::{Wrong, search};
use super::{CommitRow, Design, Fence, Isolation, Jobs, Order, Scenario, Unknown};

const BOTH: [Isolation; 2] = [Isolation::Snapshots, Isolation::Locks];

/// Holds that the search finds what goes wrong, for a destination of each kind.
#[track_caller]
fn is_caught(wrong: Wrong, scenario: &Scenario, weaken: impl Fn(&mut Design)) {
    for isolation in BOTH {
        let mut design = Design::whole(isolation);
        weaken(&mut design);
        let found = search(&design, scenario, Some(wrong));
        let is_found = found.wrong.contains_key(&wrong);
        assert!(is_found, "{isolation:?}: not {wrong:?} in {} states", found.states);
    }
}

#[test]
fn without_a_fence_rows_are_doubled() {
    is_caught(Wrong::Doubled, &Scenario::one_load_of_two_tables(), |design| {
        design.fence = Fence::None;
    });
}

#[test]
fn with_a_fence_that_is_only_read_rows_are_doubled() {
    is_caught(Wrong::Doubled, &Scenario::one_load_of_two_tables(), |design| {
        design.fence = Fence::OnlyRead;
    });
}

#[test]
fn without_a_commit_row_rows_are_doubled() {
    is_caught(Wrong::Doubled, &unordered(), |design| design.commit_row = CommitRow::None);
}

#[test]
fn with_a_commit_row_in_a_transaction_of_its_own_rows_are_doubled() {
    is_caught(Wrong::Doubled, &unordered(), |design| {
        design.commit_row = CommitRow::InATransactionOfItsOwn;
    });
}

/// The fence still names the last load. Only with two of them, and no order between them, is the commit row the one
/// thing that tells of the first.
fn unordered() -> Scenario {
    Scenario { order_matters: false, ..two_loads() }
}

/// One request in flight is enough to be caught.
fn two_loads() -> Scenario {
    Scenario { most_in_flight: 1, ..Scenario::two_loads() }
}

#[test]
fn with_staging_tables_that_all_share_rows_are_doubled_and_lost() {
    for wrong in [Wrong::Doubled, Wrong::Lost] {
        is_caught(wrong, &two_loads(), |design| design.staging_is_private = false);
    }
}

#[test]
fn with_jobs_that_append_a_lost_answer_alone_fails_a_load() {
    let scenario = Scenario::one_load_of_two_tables().on_time();
    is_caught(Wrong::Refused, &scenario, |design| design.jobs = Jobs::Append);
}

#[test]
fn with_jobs_that_append_and_no_row_check_rows_are_doubled() {
    let scenario = Scenario::one_load_of_two_tables().on_time();
    is_caught(Wrong::Doubled, &scenario, |design| {
        design.jobs = Jobs::Append;
        design.counts_rows = false;
    });
}

#[test]
fn without_a_row_check_rows_are_doubled_and_lost() {
    for wrong in [Wrong::Doubled, Wrong::Lost] {
        is_caught(wrong, &Scenario::one_load_of_two_tables(), |design| design.counts_rows = false);
    }
}

#[test]
fn where_a_commit_without_an_answer_counts_as_done_rows_are_lost() {
    is_caught(Wrong::Lost, &Scenario::one_load_of_two_tables(), |design| {
        design.unknown = Unknown::AssumedToHaveWorked;
    });
}

#[test]
fn where_a_commit_without_an_answer_is_done_again_without_a_look_rows_are_doubled() {
    is_caught(Wrong::Doubled, &two_loads(), |design| {
        design.unknown = Unknown::DoneAgainWithoutLooking;
    });
}

#[test]
fn where_the_look_comes_before_the_fence_and_the_commit_swaps_nothing_rows_are_doubled() {
    is_caught(Wrong::Doubled, &Scenario::one_load_of_two_tables(), |design| {
        design.looks_first = true;
        design.fence = Fence::OnlyRead;
    });
}

#[test]
fn where_the_look_comes_before_the_fence_rows_are_doubled_even_if_the_commit_swaps_it() {
    is_caught(Wrong::Doubled, &two_loads(), |design| design.looks_first = true);
}

#[test]
fn where_the_order_is_not_checked_older_rows_replace_newer_ones() {
    is_caught(Wrong::Reordered, &Scenario::a_load_each().replacing(), |design| {
        design.order = Order::NotChecked;
    });
}

#[test]
fn where_the_order_is_checked_before_the_look_a_lost_answer_is_a_dead_end() {
    is_caught(Wrong::DeadEnd, &two_loads(), |design| design.order = Order::CheckedFirst);
}

#[test]
fn where_the_manifest_is_not_written_last_it_names_files_that_are_not_there() {
    is_caught(Wrong::ManifestTooEarly, &Scenario::one_load_of_two_tables(), |design| {
        design.manifest_is_last = false;
    });
}

#[test]
fn with_a_transaction_for_each_table_a_reader_sees_half_a_load() {
    is_caught(Wrong::HalfVisible, &Scenario::one_load_of_two_tables(), |design| {
        design.one_transaction = false;
    });
}

#[test]
fn where_a_fenced_loader_cleans_up_it_takes_what_the_other_one_needs() {
    is_caught(Wrong::RemovedTooEarly, &Scenario::one_load_of_two_tables(), |design| {
        design.cleans_up_when_fenced = true;
    });
}
