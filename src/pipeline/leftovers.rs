//! What loads leave behind: staging tables, and packages that the user gives up.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use transload_core::{Epoch, Error, LoadId, MANIFEST_NAME, Result, Scope, staging_table_owner};

use super::Pipeline;
use crate::package::PackageStatus;

/// A table in the staging dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StagingTable {
    /// Its name.
    pub table: String,
    /// The load that it was made for, where that is known.
    pub load_id: Option<LoadId>,
    /// The value of the fence under which it was made, where Transload made it.
    pub epoch: Option<Epoch>,
    /// Whether anybody may still need it.
    pub state: StagingTableState,
}

/// Whether a staging table may still be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StagingTableState {
    /// Its load is complete, so it is dead.
    Committed,
    /// The user has dropped its load, so it is dead.
    Dropped,
    /// Its load is not finished: its package is on this machine, or its files are in the staging storage.
    Alive,
    /// Nothing here tells whose it is: a load of another machine, of another dataset that shares the staging dataset, or a
    /// load of which all else is gone.
    Unknown,
    /// Transload did not make it.
    Foreign,
}

impl StagingTableState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Dropped => "dropped",
            Self::Alive => "alive",
            Self::Unknown => "unknown",
            Self::Foreign => "foreign",
        }
    }

    /// Whether nobody needs the table any more.
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Committed | Self::Dropped)
    }
}

/// What is known of loads, by what their tables' names tell.
#[derive(Debug, Default)]
struct Loads {
    committed: BTreeMap<String, LoadId>,
    dropped: BTreeMap<String, LoadId>,
    alive: BTreeMap<String, LoadId>,
}

impl Loads {
    fn new(
        committed: BTreeSet<LoadId>,
        dropped: BTreeSet<LoadId>,
        alive: BTreeSet<LoadId>,
    ) -> Self {
        let by_tag =
            |loads: BTreeSet<LoadId>| loads.into_iter().map(|load| (load.tag(), load)).collect();
        Self { committed: by_tag(committed), dropped: by_tag(dropped), alive: by_tag(alive) }
    }

    /// A load that is complete is dead whatever else is known of it; one that was dropped here may have been taken up
    /// elsewhere only by somebody who asked for it by name.
    fn judge(&self, table: String) -> StagingTable {
        let Some((tag, epoch)) = staging_table_owner(&table) else {
            return StagingTable {
                table,
                load_id: None,
                epoch: None,
                state: StagingTableState::Foreign,
            };
        };
        let found = [
            (&self.committed, StagingTableState::Committed),
            (&self.alive, StagingTableState::Alive),
            (&self.dropped, StagingTableState::Dropped),
        ]
        .into_iter()
        .find_map(|(loads, state)| Some((loads.get(&tag)?.clone(), state)));
        let (load_id, state) = match found {
            Some((load_id, state)) => (Some(load_id), state),
            None => (None, StagingTableState::Unknown),
        };
        StagingTable { table, load_id, epoch: Some(epoch), state }
    }
}

impl Pipeline {
    /// The tables in the staging dataset, by name, and whose they are.
    ///
    /// # Errors
    /// As the destination and the staging destination give them.
    pub async fn staging_tables(&self) -> Result<Vec<StagingTable>> {
        self.look_at_staging().await.map_err(|error| error.redacted(&self.redactor))
    }

    /// Removes the tables of dead loads from the staging dataset, and returns them. `unknown` removes those as well of which
    /// nothing here tells whose they are: only where no other machine loads into the dataset, and no other dataset shares
    /// the staging dataset.
    ///
    /// # Errors
    /// As the destination and the staging destination give them; [`ErrorKind::Transient`](crate::ErrorKind::Transient) while another process of this
    /// machine works on the pipeline.
    pub async fn remove_staging_tables(&self, unknown: bool) -> Result<Vec<StagingTable>> {
        let work = async {
            let _lock = self.working.lock()?;
            let mut tables = self.look_at_staging().await?;
            tables.retain(|table| {
                table.state.is_dead() || (unknown && table.state == StagingTableState::Unknown)
            });
            let names: Vec<String> = tables.iter().map(|table| table.table.clone()).collect();
            if !names.is_empty() {
                let drop = || self.destination.plugin.drop_staging_tables(&self.dataset, &names);
                self.retried(drop).await?;
            }
            Ok(tables)
        };
        work.await.map_err(|error: Error| error.redacted(&self.redactor))
    }

    /// Gives a load up for good: removes its package, which must be set aside or unsealed, and what lies of it in the
    /// staging storage, the manifest first, so that nobody takes it up from there. A load of which there is no package here
    /// is given up in the storage alone.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where there is no such load, or its package waits to be loaded; those of the staging
    /// destination, and then the package is still there.
    pub async fn drop_package(&self, load_id: &LoadId) -> Result<()> {
        self.give_up(load_id).await.map_err(|error| error.redacted(&self.redactor))
    }

    async fn give_up(&self, load_id: &LoadId) -> Result<()> {
        let _lock = self.working.lock()?;
        let here = self.working.droppable(load_id);
        let is_elsewhere =
            self.working.packages()?.iter().all(|package| package.load_id != *load_id);
        let mut keys = Vec::new();
        if let Some(staging) = self.staging.as_ref().filter(|_| here.is_ok() || is_elsewhere) {
            let scope = self.scope(Some(load_id));
            let objects = self.retried(|| staging.plugin.list(&scope)).await?;
            keys.extend(objects.into_iter().map(|object| object.key));
            let of_manifest = |key: &&String| key.ends_with(&format!("/{MANIFEST_NAME}"));
            let manifest: Vec<String> = keys.iter().filter(of_manifest).cloned().collect();
            self.retried(|| staging.plugin.remove(&manifest)).await?;
            self.retried(|| staging.plugin.remove(&keys)).await?;
        }
        match here {
            Ok(package) => self.working.remove(&package),
            Err(_) if is_elsewhere && !keys.is_empty() => self.working.note_dropped(load_id),
            Err(error) => Err(error),
        }
    }

    async fn look_at_staging(&self) -> Result<Vec<StagingTable>> {
        // What is alive is looked up first: a load that is committed meanwhile counts as that.
        let packages = self.working.of_all_pipelines()?;
        let unfinished =
            |status| matches!(status, PackageStatus::Pending | PackageStatus::SetAside);
        let mut alive: BTreeSet<LoadId> = packages
            .into_iter()
            .filter(|package| unfinished(package.status))
            .map(|package| package.load_id)
            .collect();
        if let Some(staging) = &self.staging {
            let scope = Scope { dataset: Some(self.dataset.name.clone()), ..Scope::default() };
            alive.extend(self.retried(|| staging.plugin.loads(&scope)).await?);
        }
        let survey = self.retried(|| self.destination.plugin.survey(&self.dataset)).await?;
        let loads = Loads::new(survey.loads, self.working.dropped(), alive);
        let mut tables: Vec<StagingTable> =
            survey.staging_tables.into_iter().map(|table| loads.judge(table)).collect();
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{Dataset, Load, Sha256Hex};

    fn table(load_id: &str) -> String {
        let load = Load {
            load_id: LoadId::new(load_id),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(3),
        };
        load.staging_table("t", 63)
    }

    #[test]
    fn only_tables_of_loads_that_are_known_to_be_over_are_dead() {
        let ids = |ids: &[&str]| ids.iter().map(|id| LoadId::new(*id)).collect::<BTreeSet<_>>();
        let loads = Loads::new(ids(&["1.5", "4.5"]), ids(&["2.5"]), ids(&["3.5", "4.5"]));
        for (name, state) in [
            (table("1.5"), StagingTableState::Committed),
            (table("2.5"), StagingTableState::Dropped),
            (table("3.5"), StagingTableState::Alive),
            (table("4.5"), StagingTableState::Committed),
            (table("9.5"), StagingTableState::Unknown),
            ("t".to_owned(), StagingTableState::Foreign),
            ("_dlt_version".to_owned(), StagingTableState::Foreign),
        ] {
            let judged = loads.judge(name);
            assert_eq!(judged.state, state, "{}", judged.table);
            assert_eq!(state.is_dead(), matches!(state.as_str(), "committed" | "dropped"));
            let known = !matches!(state, StagingTableState::Unknown | StagingTableState::Foreign);
            assert_eq!(judged.load_id.is_some(), known, "{}", judged.table);
        }
    }
}
