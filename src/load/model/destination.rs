//! The destination and the storage of the model: what a request does when it is applied.

use transload_core::ErrorKind;

use super::state::{At, LOADS, Request, Rows, State, TABLES, bit};
use super::{CommitRow, Design, Fence, Isolation, Jobs, Scenario};

impl Design {
    /// Whether a transaction that changes the fence has it locked.
    pub(super) fn is_locked(&self, state: &State) -> bool {
        self.isolation == Isolation::Locks
            && self.fence == Fence::Swapped
            && (state.loaders.iter().any(|loader| loader.at == At::Committing)
                || state.in_flight.iter().any(|r| matches!(r, Some(Request::Commit { .. }))))
    }

    /// Applies a request, or says why not.
    pub(super) fn apply(
        &self,
        scenario: &Scenario,
        state: &mut State,
        request: Request,
    ) -> Result<(), ErrorKind> {
        match request {
            Request::Raise { expected } => {
                if state.seq != expected {
                    return Err(ErrorKind::Transient);
                }
                state.seq += 1;
            }
            Request::Make(name) => {
                if self.jobs == Jobs::Replace || state.staging_rows(name).is_none() {
                    state.put_staging(name, [0; LOADS]);
                }
            }
            Request::Copy { into, load } => {
                if state.objects[usize::from(into.table)] & bit(load) == 0 {
                    return Err(ErrorKind::Terminal);
                }
                let mut rows = state.staging_rows(into).ok_or(ErrorKind::Terminal)?;
                let rows_of_load = &mut rows[usize::from(load)];
                *rows_of_load = (*rows_of_load + 1).min(2);
                state.put_staging(into, rows);
            }
            Request::Commit { load, epoch, rows, first } => {
                // By snapshots, two transactions that change the fence row conflict and the later one fails. By locks,
                // the earlier one has had the row since it began.
                let conflicts = self.isolation == Isolation::Snapshots && state.seq != epoch;
                if self.fence == Fence::Swapped && conflicts {
                    return Err(ErrorKind::Transient);
                }
                bring(scenario, &mut state.tables, &rows, usize::from(first)..scenario.tables);
                if self.fence == Fence::Swapped {
                    state.seq += 1;
                    state.last = load + 1;
                }
                if self.commit_row == CommitRow::InTheTransaction {
                    state.commit_rows |= bit(load);
                }
                state.published |= bit(load);
            }
            Request::CommitRow { load } => state.commit_rows |= bit(load),
            Request::Clear { load, epoch } => {
                state.removed_too_early |= state.published & bit(load) == 0;
                if self.staging_is_private {
                    state.remove_staging(|name| name.load == load && name.epoch <= epoch);
                }
                state.objects.iter_mut().for_each(|loads| *loads &= !bit(load));
                state.manifests &= !bit(load);
            }
        }
        Ok(())
    }

    /// What a transaction reads from the staging tables, and whether their numbers are those of the load.
    pub(super) fn read_staging(
        &self,
        scenario: &Scenario,
        state: &State,
        loader: usize,
    ) -> Result<[Rows; TABLES], ErrorKind> {
        let mut read = [[0; LOADS]; TABLES];
        for (table, rows) in read.iter_mut().enumerate().take(scenario.tables) {
            let name = self.staging_table(&state.loaders[loader], table);
            *rows = state.staging_rows(name).ok_or(ErrorKind::Terminal)?;
            if self.counts_rows && rows.iter().sum::<u8>() != 1 {
                return Err(ErrorKind::Terminal);
            }
        }
        Ok(read)
    }
}

/// Brings rows into tables, in the place of those that are there or beside them.
pub(super) fn bring(
    scenario: &Scenario,
    tables: &mut [Rows; TABLES],
    rows: &[Rows; TABLES],
    which: std::ops::Range<usize>,
) {
    for table in which {
        for (there, new) in tables[table].iter_mut().zip(rows[table]) {
            *there = if scenario.replaces { new } else { (*there + new).min(2) };
        }
    }
}
