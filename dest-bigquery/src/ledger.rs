//! How many modifications tables took in a day: so that a quota is known before it is met.

use std::collections::BTreeMap;

use serde_json::Value;
use transload_core::Table;

use crate::layout::{Partitions, partitions};

/// Modifications of a table in a day, by load jobs and copies. "Quotas and limits", standard tables.
const TABLE: u64 = 1_500;

/// Modifications of partitions in a day, by load jobs and copies. "Quotas and limits", partitioned tables.
const BY_COLUMN: u64 = 30_000;
const BY_INGESTION: u64 = 11_000;

/// What a table may take in a day.
fn quota(table: &Table) -> u64 {
    match partitions(table) {
        Partitions::None => TABLE,
        Partitions::ByColumn => BY_COLUMN,
        Partitions::ByIngestion => BY_INGESTION,
    }
}

/// A warning for each of the tables that has taken half of what it may in a day, or more. `loads` are the counts of rows of
/// the loads of the last day, as their commits have them; `jobs` those that this load has run into each table.
///
/// A load is counted as one modification, and loads that other tools have made are not: there may be more.
pub(crate) fn warnings(loads: &[String], jobs: &[(&Table, u64)]) -> Vec<String> {
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for load in loads {
        let counts: BTreeMap<String, Value> = serde_json::from_str(load).unwrap_or_default();
        let with_rows =
            counts.into_iter().filter(|(_, rows)| rows.as_u64().unwrap_or_default() > 0);
        with_rows.for_each(|(table, _)| *counted.entry(table).or_default() += 1);
    }
    let warning = |(table, jobs): &(&Table, u64)| {
        // This load is among them, by one.
        let earlier = counted.get(&table.name).copied().unwrap_or_default().saturating_sub(1);
        let (all, quota) = (earlier + jobs, quota(table));
        (all * 2 >= quota).then(|| {
            format!(
                "table {} has taken {all} load jobs or more in 24 hours, of the {quota} modifications that BigQuery allows \
                 in a day: load less often, or with `publication = \"transaction\"`, which counts none",
                table.name
            )
        })
    };
    jobs.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use transload_core::WriteDisposition;

    use super::*;

    #[test]
    fn a_table_is_warned_of_from_half_of_its_quota_on() {
        let table = |name: &str| Table::root(name, WriteDisposition::Append);
        let mut partitioned = table("p");
        partitioned.hints.insert("x-bigquery-partition".into(), "_PARTITIONDATE".into());
        let (events, empty) = (table("events"), table("empty"));
        let loads: Vec<String> =
            (0..750).map(|_| r#"{"empty":0,"events":3,"p":3}"#.to_owned()).collect();
        let shown = |loads: &[String], jobs| {
            warnings(loads, &[(&events, jobs), (&empty, 1), (&partitioned, 1)])
        };
        assert_eq!(shown(&loads[1..], 1), Vec::<String>::new());
        let found = shown(&loads, 1);
        assert!(found.len() == 1 && found[0].contains("table events has taken 750 load jobs"));
        assert_eq!(shown(&loads[1..], 2).len(), 1, "files that are uploaded are a job each");
        assert!(shown(&["not JSON".to_owned()], 1).is_empty());
    }
}
