//! What becomes of the rows of a chain: the reference for append, replace and every way of merging.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{MemoryTable, Record};
use crate::{
    Column, DataType, Disposition, Error, ErrorKind, MergeStrategy, Result, Schema, Table,
    TableChain,
};

/// The rows of a load, by table.
pub(super) type Staged = BTreeMap<String, Vec<Record>>;

/// Brings the rows of a chain into its tables.
pub(super) fn publish_chain(
    tables: &mut BTreeMap<String, MemoryTable>,
    chain: &TableChain,
    mut staged: Staged,
    schema: &Schema,
    published_at: &str,
) -> Result<()> {
    let strategy = match chain.disposition {
        Disposition::Merge(strategy) => strategy,
        Disposition::Append | Disposition::Replace(_) => {
            for table in chain.tables() {
                let found = table_of(tables, &table.table)?;
                if chain.disposition != Disposition::Append {
                    found.records.clear();
                }
                found.records.extend(staged.remove(&table.table).unwrap_or_default());
            }
            return Ok(());
        }
    };
    let root = schema.tables.get(&chain.root.table).ok_or_else(|| missing(&chain.root.table))?;
    // Nested tables that this load has no rows of hold rows of the roots that are merged, too.
    let nested: Vec<Nested<'_>> = schema
        .chain_of(&root.name)
        .into_iter()
        .skip(1)
        .filter(|name| tables.contains_key(*name))
        .filter_map(|name| Nested::of(schema.tables.get(name)?, &root.name))
        .collect();
    let mut merge = Merge {
        keys: Keys::of(root),
        old: std::mem::take(&mut table_of(tables, &root.name)?.records),
        new: staged.remove(&root.name).unwrap_or_default(),
        removed: BTreeSet::new(),
        added: BTreeSet::new(),
    };
    match strategy {
        MergeStrategy::DeleteInsert => merge.delete_insert(),
        MergeStrategy::Upsert => merge.upsert(),
        MergeStrategy::InsertOnly => merge.insert_only(),
        MergeStrategy::Scd2 => merge.scd2(published_at)?,
    }
    let Merge { old, removed, added, .. } = merge;
    table_of(tables, &root.name)?.records = old;
    for nested in nested {
        let found = table_of(tables, nested.table)?;
        found.records.retain(|record| !removed.contains(value(record, nested.root_key)));
        let mut known: BTreeSet<String> =
            found.records.iter().map(|record| value(record, nested.row_key).to_owned()).collect();
        for record in staged.remove(nested.table).unwrap_or_default() {
            // A row that is there already, of a version that came back, is there for both.
            if added.contains(value(&record, nested.root_key))
                && known.insert(value(&record, nested.row_key).to_owned())
            {
                found.records.push(record);
            }
        }
    }
    Ok(())
}

fn table_of<'t>(
    tables: &'t mut BTreeMap<String, MemoryTable>,
    name: &str,
) -> Result<&'t mut MemoryTable> {
    tables.get_mut(name).ok_or_else(|| missing(name))
}

fn missing(table: &str) -> Error {
    Error::new(ErrorKind::Terminal, "the table does not exist").with("table", table)
}

/// A value for comparing; NULL is told apart by whoever must.
fn value<'r>(record: &'r Record, column: &str) -> &'r str {
    record.get(column).map_or("", String::as_str)
}

/// A nested table, and how its rows find their roots.
struct Nested<'s> {
    table: &'s str,
    root_key: &'s str,
    row_key: &'s str,
}

impl<'s> Nested<'s> {
    fn of(table: &'s Table, root: &str) -> Option<Self> {
        let first = |hint: &str| table.columns_with_hint(hint).first().copied();
        let is_child = table.parent.as_deref() == Some(root);
        let root_key = first("root_key").or_else(|| first("parent_key").filter(|_| is_child));
        Some(Self { table: &table.name, root_key: root_key?, row_key: first("row_key")? })
    }
}

/// What the hints of a root table say of merging.
struct Keys<'s> {
    primary: Vec<&'s str>,
    merge: Vec<&'s str>,
    row_key: &'s str,
    hard_delete: Option<&'s Column>,
    /// The column by which duplicates are sorted, and whether the greatest value stays.
    dedup_sort: Option<(&'s Column, bool)>,
    deduplicated: bool,
    version: &'s str,
    valid_from: Option<&'s str>,
    valid_to: Option<&'s Column>,
}

impl<'s> Keys<'s> {
    fn of(table: &'s Table) -> Self {
        let first = |hint: &str| table.columns_with_hint(hint).first().copied();
        let column = |hint: &str| table.columns.values().find(|column| column.has_hint(hint));
        let row_key = first("row_key").or_else(|| first("unique")).unwrap_or("_dlt_id");
        Self {
            primary: table.columns_with_hint("primary_key"),
            merge: table.columns_with_hint("merge_key"),
            row_key,
            hard_delete: column("hard_delete"),
            dedup_sort: column("dedup_sort").map(|column| {
                let order = column.hints.get("dedup_sort").and_then(|hint| hint.as_str());
                (column, order != Some("asc"))
            }),
            deduplicated: matches!(
                table.hints.get("x-stage-data-deduplicated"),
                Some(serde_json::Value::Bool(true))
            ),
            version: first("x-row-version").unwrap_or(row_key),
            valid_from: first("x-valid-from"),
            valid_to: column("x-valid-to"),
        }
    }

    fn is_deleted(&self, record: &Record) -> bool {
        self.hard_delete.is_some_and(|column| match column.data_type {
            Some(DataType::Bool) => value(record, &column.name) == "true",
            _ => record.contains_key(&column.name),
        })
    }

    /// The rows of a load, one for each primary key.
    fn deduplicate(&self, records: Vec<Record>) -> Vec<Record> {
        if self.primary.is_empty() || self.deduplicated {
            return records;
        }
        let mut chosen: Vec<(Vec<String>, Record)> = Vec::new();
        let mut places: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for record in records {
            let Some(key) = tuple(&record, &self.primary) else {
                chosen.push((Vec::new(), record));
                continue;
            };
            match places.get(&key).copied() {
                None => {
                    places.insert(key.clone(), chosen.len());
                    chosen.push((key, record));
                }
                Some(place) => {
                    let better = self.dedup_sort.is_some_and(|(column, greatest)| {
                        let order = compare(column, &record, &chosen[place].1);
                        order == if greatest { Ordering::Greater } else { Ordering::Less }
                    });
                    if better {
                        chosen[place] = (key, record);
                    }
                }
            }
        }
        chosen.into_iter().map(|(_, record)| record).collect()
    }
}

/// The values of a key; `None` where one of them is NULL, which is equal to nothing.
fn tuple(record: &Record, columns: &[&str]) -> Option<Vec<String>> {
    (!columns.is_empty())
        .then(|| columns.iter().map(|column| record.get(*column).cloned()).collect())?
}

fn tuples<'r>(
    records: impl IntoIterator<Item = &'r Record>,
    columns: &[&str],
) -> BTreeSet<Vec<String>> {
    records.into_iter().filter_map(|record| tuple(record, columns)).collect()
}

fn compare(column: &Column, a: &Record, b: &Record) -> Ordering {
    let (a, b) = (value(a, &column.name), value(b, &column.name));
    match column.data_type {
        Some(DataType::Bigint | DataType::Decimal | DataType::Wei | DataType::Double) => {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NEG_INFINITY);
            number(a).total_cmp(&number(b))
        }
        _ => a.cmp(b),
    }
}

/// A merge of the root table, on its way.
struct Merge<'s> {
    keys: Keys<'s>,
    old: Vec<Record>,
    new: Vec<Record>,
    /// The row keys of roots whose nested rows go.
    removed: BTreeSet<String>,
    /// The row keys of roots whose nested rows come.
    added: BTreeSet<String>,
}

impl Merge<'_> {
    fn row_key(&self, record: &Record) -> String {
        value(record, self.keys.row_key).to_owned()
    }

    fn add(&mut self, record: Record) {
        self.added.insert(self.row_key(&record));
        self.old.push(record);
    }

    /// Removes the rows of which this is true, and what is nested in them.
    fn remove(&mut self, goes: impl Fn(&Record) -> bool) {
        let (gone, kept): (Vec<Record>, Vec<Record>) =
            std::mem::take(&mut self.old).into_iter().partition(goes);
        self.removed.extend(gone.iter().map(|record| value(record, self.keys.row_key).to_owned()));
        self.old = kept;
    }

    /// Rows with a key of the load go, whether the load deletes them or brings them anew; then its rows come.
    fn delete_insert(&mut self) {
        let primary = tuples(&self.new, &self.keys.primary);
        let merge = tuples(&self.new, &self.keys.merge);
        let (primary_key, merge_key) = (self.keys.primary.clone(), self.keys.merge.clone());
        self.remove(|record| {
            tuple(record, &primary_key).is_some_and(|key| primary.contains(&key))
                || tuple(record, &merge_key).is_some_and(|key| merge.contains(&key))
        });
        // One of each key is chosen before the deleted ones are left out: where the last word is a deletion, nothing comes.
        let new = self.keys.deduplicate(std::mem::take(&mut self.new));
        for record in
            new.into_iter().filter(|record| !self.keys.is_deleted(record)).collect::<Vec<_>>()
        {
            self.add(record);
        }
    }

    /// Rows with a known primary key take the place of the old ones, others come. A deletion of what is not there is
    /// nothing.
    fn upsert(&mut self) {
        let new = self.keys.deduplicate(std::mem::take(&mut self.new));
        let keys = tuples(&new, &self.keys.primary);
        let primary_key = self.keys.primary.clone();
        self.remove(|record| tuple(record, &primary_key).is_some_and(|key| keys.contains(&key)));
        for record in
            new.into_iter().filter(|record| !self.keys.is_deleted(record)).collect::<Vec<_>>()
        {
            self.add(record);
        }
    }

    /// Rows with an unknown primary key come, with what is nested in them; all others stay as they are.
    fn insert_only(&mut self) {
        let known = tuples(&self.old, &self.keys.primary);
        let new = self.keys.deduplicate(std::mem::take(&mut self.new));
        for record in new {
            let is_known =
                tuple(&record, &self.keys.primary).is_some_and(|key| known.contains(&key));
            if !is_known && !self.keys.is_deleted(&record) {
                self.add(record);
            }
        }
    }

    /// Versions that the load does not have are closed, those that are not open are opened. With a merge key only the rows
    /// with a key of the load are closed.
    fn scd2(&mut self, boundary: &str) -> Result<()> {
        let (Some(from), Some(to)) = (self.keys.valid_from, self.keys.valid_to) else {
            return Err(Error::new(ErrorKind::Terminal, "the table has no columns of validity"));
        };
        let instant = |text: &str| {
            let column = Column::new("", DataType::Timestamp);
            crate::conformance::canonical::canonical(&column, text).ok_or_else(|| {
                Error::new(ErrorKind::Terminal, "no time can be read").with("text", text)
            })
        };
        let boundary = instant(boundary)?;
        let hint = to.hints.get("x-active-record-timestamp").and_then(|hint| hint.as_str());
        let open = hint.map(instant).transpose()?;
        let is_open = |record: &Record| record.get(&to.name) == open.as_ref();
        let version = self.keys.version;
        let new: BTreeSet<String> =
            self.new.iter().map(|record| value(record, version).to_owned()).collect();
        let batch = tuples(&self.new, &self.keys.merge);
        let open_now: BTreeSet<String> = self
            .old
            .iter()
            .filter(|record| is_open(record))
            .map(|record| value(record, version).to_owned())
            .collect();
        for record in &mut self.old {
            let in_batch = self.keys.merge.is_empty()
                || tuple(record, &self.keys.merge).is_some_and(|key| batch.contains(&key));
            if is_open(record) && in_batch && !new.contains(value(record, version)) {
                record.insert(to.name.clone(), boundary.clone());
            }
        }
        let mut seen = open_now;
        for mut record in std::mem::take(&mut self.new) {
            if !seen.insert(value(&record, version).to_owned()) {
                continue;
            }
            record.insert(from.to_owned(), boundary.clone());
            if let Some(open) = &open {
                record.insert(to.name.clone(), open.clone());
            }
            self.add(record);
        }
        Ok(())
    }
}
