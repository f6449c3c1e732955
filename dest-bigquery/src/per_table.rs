//! The cheaper way: load jobs bring rows into the tables themselves, and each table becomes visible by itself.
//!
//! What is left for the transaction: the fence, the tables that become empty, and the rows of the system tables.

use transload_core::{
    Disposition, Error, ErrorKind, Job, LoadId, Publication, Result, TableChain, TablePublication,
};
use transload_core::{Load, sql::Row};

/// A table whose rows are brought by load jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct<'a> {
    pub(crate) table: &'a TablePublication,
    /// Whether they take the place of the rows that are there.
    pub(crate) replaces: bool,
}

/// The tables whose rows are brought by load jobs.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for what needs the transaction.
pub(crate) fn direct(publication: &Publication) -> Result<Vec<Direct<'_>>> {
    let mut tables = Vec::new();
    for chain in &publication.chains {
        let replaces = match chain.disposition {
            Disposition::Append => false,
            Disposition::Replace(_) => true,
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "a merge moves rows in a transaction",
                )
                .with("table", &chain.root.table)
                .with_hint("set `publication = \"transaction\"`"));
            }
        };
        for table in chain.tables() {
            let files = table.jobs.iter().flat_map(Job::data_files);
            let rows: u64 = files.map(|file| file.rows).sum();
            // The transaction would refuse it, too late.
            if rows != table.rows {
                return Err(Error::new(ErrorKind::Bug, "the jobs of a table bring other rows")
                    .with("table", &table.table)
                    .with("rows", table.rows)
                    .with("found", rows));
            }
        }
        let with_rows = chain.tables().filter(|table| !table.jobs.is_empty());
        tables.extend(with_rows.map(|table| Direct { table, replaces }));
    }
    Ok(tables)
}

/// What is left for the transaction. A table whose rows are there already is named in it with their number, as one that
/// nothing happens to.
pub(crate) fn rest(publication: &Publication) -> Publication {
    let alone = |table: &TablePublication, disposition| TableChain {
        disposition,
        root: table.clone(),
        nested: Vec::new(),
    };
    let chains = publication.chains.iter().flat_map(|chain| {
        chain.tables().map(|table| {
            let disposition = match table.jobs.is_empty() {
                true => chain.disposition,
                false => Disposition::Append,
            };
            alone(table, disposition)
        })
    });
    Publication { chains: chains.collect(), ..publication.clone() }
}

/// Holds the rows of the fence (pipeline, epoch, last load) against a load that is about to be published.
///
/// # Errors
/// [`ErrorKind::Fenced`] where another loader has overtaken it.
pub(crate) fn check_fence(rows: &[Row], load: &Load, previous: Option<&LoadId>) -> Result<()> {
    let mut own = rows.iter().filter(|row| row.first() == Some(&Some(load.pipeline.clone())));
    let holds = |row: &Row| {
        let last = row.get(2).cloned().flatten();
        row.get(1) == Some(&Some(load.epoch.to_string()))
            && last.as_deref() == previous.map(LoadId::as_str)
            && last.as_deref() != Some(load.load_id.as_str())
    };
    if own.next().is_some_and(holds) && own.next().is_none() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Fenced, "another loader of the pipeline has overtaken this one")
        .with("pipeline", &load.pipeline)
        .with("epoch", load.epoch)
        .with_hint("one loader of a pipeline runs at a time; look for the other one, then resume"))
}

#[cfg(test)]
mod tests {
    use transload_core::{CopyJob, Dataset, Epoch, MergeStrategy, ReplaceStrategy, Sha256Hex};

    use super::*;

    fn publication(disposition: Disposition) -> Publication {
        let table = |name: &str, jobs: usize| TablePublication {
            table: name.into(),
            rows: 0,
            jobs: vec![Job::Copy(CopyJob { table: name.into(), files: vec![] }); jobs],
        };
        Publication {
            previous: None,
            chains: vec![TableChain {
                disposition,
                root: table("t", 1),
                nested: vec![table("t__l", 0)],
            }],
            state: None,
            stores_schema: false,
            published_at: String::new(),
        }
    }

    #[test]
    fn tables_with_rows_are_loaded_and_those_without_are_left_for_the_transaction() {
        let replace = Disposition::Replace(ReplaceStrategy::TruncateAndInsert);
        for (disposition, replaces) in [(Disposition::Append, false), (replace, true)] {
            let publication = publication(disposition);
            let tables = direct(&publication).unwrap();
            let shown: Vec<_> =
                tables.iter().map(|it| (it.table.table.as_str(), it.replaces)).collect();
            assert_eq!(shown, [("t", replaces)]);
            let rest = rest(&publication);
            let shown: Vec<_> = rest
                .chains
                .iter()
                .map(|chain| (chain.root.table.as_str(), chain.root.rows, chain.disposition))
                .collect();
            assert_eq!(shown, [("t", 0, Disposition::Append), ("t__l", 0, disposition)]);
        }
        let mut other = publication(Disposition::Append);
        other.chains[0].root.rows = 1;
        assert_eq!(direct(&other).unwrap_err().kind(), ErrorKind::Bug);
        let merge = publication(Disposition::Merge(MergeStrategy::Upsert));
        let error = direct(&merge).unwrap_err();
        assert!(error.hint().unwrap().contains("transaction"), "{error}");
    }

    #[test]
    fn whoever_was_overtaken_loads_nothing() {
        let load = Load {
            load_id: LoadId::new("2"),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(7),
        };
        let row = |pipeline: &str, epoch: &str, last: Option<&str>| {
            vec![Some(pipeline.to_owned()), Some(epoch.to_owned()), last.map(str::to_owned)]
        };
        let (other, one) = (row("q", "9", None), LoadId::new("1"));
        let check = |rows: &[Row], previous| check_fence(rows, &load, previous);
        check(&[other.clone(), row("p", "7", None)], None).unwrap();
        check(&[row("p", "7", Some("1")), other], Some(&one)).unwrap();
        for (rows, previous) in [
            (vec![row("p", "8", Some("1"))], Some(&one)),
            (vec![row("p", "7", Some("3"))], Some(&one)),
            (vec![row("p", "7", None)], Some(&one)),
            (vec![row("p", "7", Some("1"))], None),
            (vec![row("p", "7", None), row("p", "7", None)], None),
            (vec![row("p", "7", Some("2"))], Some(&load.load_id)),
            (vec![], None),
        ] {
            assert_eq!(check(&rows, previous).unwrap_err().kind(), ErrorKind::Fenced, "{rows:?}");
        }
    }
}
