//! Normalising: rows of JSON and batches of Arrow become batches that fit the tables of a schema, and the schema grows
//! with what they bring.
//!
//! The semantics are dlt's: snake_case names, nested objects flattened with `__`, nested lists as child tables, variant
//! columns for values of another type. The work on a chunk, [`Snapshot::shred`], is a pure function of the rows and of
//! the schema before them, so that chunks can be shredded at the same time; [`Normalizer::accept`] takes them in their
//! order, and so the same input gives the same schema however many workers there are.
//!
//! Where dlt loses a value without a word, this is an error instead: two keys that become one column, two lists that
//! become one table, a key that an object has twice.

mod arrow;
mod coerce;
mod columns;
mod ids;
mod layout;
mod naming;
mod parser;
mod room;
mod root;
mod rules;
mod shred;
mod table;
mod text;
mod timestamp;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ::arrow::array::RecordBatch;
use serde_json::Value as Json;
use serde_json::json;
use transload_core::{Column, Error, ErrorKind, Result, Schema, Table, WriteDisposition};

pub(crate) use arrow::{AddedColumns, fault_in};
pub(crate) use ids::{random_id, shake128};
pub(crate) use naming::Naming;
pub(crate) use room::Worker;
pub(crate) use root::{check_merge, is_filled_by_destination, is_key_of_merge, merge_strategy};
pub(crate) use rules::{check_pattern, check_settings, moment};
pub(crate) use shred::Shredded;
pub(crate) use text::{push_json_string, push_sorted_json, width};

use crate::arrow_types::Defaults;
use crate::contract::{ContractMode, SchemaContract};
use crate::incremental::{Judge, Seen};
use crate::source::ArrowRows;
use crate::source::json::{JsonRows, Refused};
use rules::Rules;

/// What normalising depends on beside the schema.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Precisions of columns that do not say.
    pub(crate) defaults: Defaults,
    /// Levels of nesting that are taken apart; what is deeper stays JSON. A table's `x-normalizer.max_nesting` wins.
    pub(crate) max_table_nesting: usize,
    /// How names are made.
    pub(crate) naming: Naming,
    /// Characters that a name may have.
    pub(crate) max_identifier_length: usize,
    /// The load, for the column `_dlt_load_id`.
    pub(crate) load_id: String,
    /// Columns that batches of Arrow get beside their own.
    pub(crate) added_columns: AddedColumns,
}

impl Options {
    /// dlt's defaults: 1000 levels, snake_case, names of any length.
    pub(crate) fn new(load_id: impl Into<String>) -> Self {
        Self {
            defaults: Defaults::default(),
            max_table_nesting: 1000,
            naming: Naming::default(),
            max_identifier_length: usize::MAX,
            load_id: load_id.into(),
            added_columns: AddedColumns::default(),
        }
    }
}

/// Rows of one table. The batch has the complete columns of the table in the schema's order.
#[derive(Clone, Debug)]
pub(crate) struct TableBatch {
    /// The name of the table in the schema.
    pub(crate) table: String,
    /// The rows.
    pub(crate) batch: RecordBatch,
}

/// What a chunk became.
#[derive(Debug, Default)]
pub(crate) struct Normalized {
    /// Its rows, parents before their children.
    pub(crate) batches: Vec<TableBatch>,
    /// The rows of the input that cannot be loaded, in their order.
    pub(crate) refused: Vec<Refused>,
    /// What the contract leaves out of rows that are loaded.
    pub(crate) discarded: Discarded,
    /// What the cursor of an incremental resource met.
    pub(crate) seen: Seen,
    /// What the load should say, once for each column.
    pub(crate) warnings: Vec<String>,
}

/// Parts of rows that the schema contract leaves out.
#[derive(Debug, Default)]
pub(crate) struct Discarded {
    /// Rows of nested tables, and lists of them, as JSON: the table, and the row.
    pub(crate) nested: Vec<(String, Refused)>,
    /// How many values of which table and column.
    pub(crate) values: BTreeMap<(String, String), u64>,
}

impl Discarded {
    fn is_empty(&self) -> bool {
        self.nested.is_empty() && self.values.is_empty()
    }
}

/// The schema as it stands before a chunk, for [`Snapshot::shred`].
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    schema: Schema,
    options: Options,
    rules: Rules,
    names: SystemNames,
    /// The tables that had rows before the load: the contract holds for their columns, while a new table gets what its
    /// first load brings.
    settled: Arc<HashSet<String>>,
    /// Counts the changes of the schema.
    generation: u64,
    /// Counts those that did not come from rows of JSON.
    foreign: u64,
}

/// The names of dlt's own columns under the naming convention.
#[derive(Clone, Debug)]
struct SystemNames {
    load_id: String,
    row_id: String,
    root_id: String,
    parent_id: String,
    list_index: String,
}

impl SystemNames {
    /// Whether this is one of them.
    fn contains(&self, name: &str) -> bool {
        let all = [&self.load_id, &self.row_id, &self.root_id, &self.parent_id, &self.list_index];
        all.into_iter().any(|own| own == name)
    }

    fn new(naming: Naming, max_length: usize) -> Self {
        let name = |name| naming.normalize_identifier(name, max_length);
        Self {
            load_id: name("_dlt_load_id"),
            row_id: name("_dlt_id"),
            root_id: name("_dlt_root_id"),
            parent_id: name("_dlt_parent_id"),
            list_index: name("_dlt_list_idx"),
        }
    }
}

impl Snapshot {
    /// The name of a root table: as it stands in the schema, or normalised.
    fn root_name(&self, table: &str) -> String {
        if self.schema.tables.contains_key(table) {
            table.to_owned()
        } else {
            self.options.naming.normalize_path(table, self.options.max_identifier_length)
        }
    }

    /// A key of the input as a part of a path.
    fn column_part(&self, key: &str) -> String {
        let name = if naming::is_blank(key) {
            String::new()
        } else {
            self.options.naming.normalize_path(key, self.options.max_identifier_length)
        };
        if name.is_empty() { naming::EMPTY_KEY.to_owned() } else { name }
    }

    fn shorten<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> String {
        self.options.naming.shorten_fragments(parts, self.options.max_identifier_length)
    }

    fn max_nesting(&self, table: &str) -> i64 {
        let hint = self.schema.tables.get(table).and_then(|table| table.hints.get("x-normalizer"));
        let hint = hint.and_then(|hint| hint.get("max_nesting")).and_then(Json::as_i64);
        hint.unwrap_or_else(|| i64::try_from(self.options.max_table_nesting).unwrap_or(i64::MAX))
    }
}

/// Normalises the chunks of a load one after the other, and keeps the schema that results.
#[derive(Debug)]
pub(crate) struct Normalizer {
    snapshot: Arc<Snapshot>,
    worker: Worker,
    /// Table and column of the warnings that were given.
    warned: BTreeSet<(String, String)>,
}

impl Normalizer {
    /// A normaliser that starts from this schema.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for settings of the schema that are not understood.
    pub(crate) fn new(schema: Schema, options: Options) -> Result<Self> {
        let snapshot = Snapshot {
            settled: Arc::new(
                schema.tables.keys().filter(|name| has_seen(&schema, name)).cloned().collect(),
            ),
            rules: Rules::of(&schema)?,
            names: SystemNames::new(options.naming, options.max_identifier_length),
            schema,
            options,
            generation: 0,
            foreign: 0,
        };
        Ok(Self {
            snapshot: Arc::new(snapshot),
            worker: Worker::default(),
            warned: BTreeSet::new(),
        })
    }

    /// Normalises a chunk of rows of a root table. A table that the schema does not have is appended to.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where the input as a whole cannot be loaded. The schema is then as it was.
    pub(crate) fn json(
        &mut self,
        table: &str,
        rows: &JsonRows,
        judge: Option<&Judge>,
    ) -> Result<Normalized> {
        let shredded = self.snapshot().shred(table, rows, judge, &mut self.worker)?;
        self.accept(shredded)?.ok_or_else(|| {
            Error::new(ErrorKind::Bug, "the schema changed under a chunk")
                .with("file", &rows.origin)
        })
    }

    /// Normalises a batch of Arrow. It has no child tables; structs and lists become JSON. Its rows get ids and the load
    /// where the table has columns for them, which rows of JSON brought, and where [`Options::added_columns`] asks for
    /// them. A batch without rows still brings its columns.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where a name or a type does not fit the table, [`ErrorKind::Unsupported`] for a type that
    /// no column has. The schema is then as it was.
    pub(crate) fn arrow(&mut self, table: &str, rows: &ArrowRows) -> Result<Normalized> {
        let name = self.snapshot.root_name(table);
        let conformed = arrow::conform(&self.snapshot, &name, rows)?;
        let mut warnings = Vec::new();
        for (column, warning) in conformed.cut {
            if self.warned.insert((name.clone(), column)) {
                warnings.push(warning.to_string());
            }
        }
        let mut normalized =
            Normalized { refused: conformed.refused, warnings, ..Normalized::default() };
        normalized.discarded.values = conformed.left_out;
        let snapshot = Arc::make_mut(&mut self.snapshot);
        if let Some(table) = conformed.table {
            snapshot.schema.tables.insert(name.clone(), table);
            snapshot.generation += 1;
            snapshot.foreign += 1;
        }
        if conformed.batch.num_rows() == 0 {
            return Ok(normalized);
        }
        if !has_seen(&snapshot.schema, &name) {
            mark_seen(&mut snapshot.schema, &name);
            // Rows without ids are there: what was shredded before adds columns for them that are NOT NULL.
            snapshot.generation += 1;
            snapshot.foreign += 1;
        }
        normalized.batches.push(TableBatch { table: name, batch: conformed.batch });
        Ok(normalized)
    }

    /// Adds columns to a root table that has none of their names, for an input without rows.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where the contract of the table allows none.
    pub(crate) fn declare(&mut self, table: &str, columns: Vec<Column>) -> Result<()> {
        let name = self.snapshot.root_name(table);
        let contract = SchemaContract::of(&self.snapshot.schema, &name)?;
        let is_settled = self.snapshot.settled.contains(&name);
        let mode = if is_settled { contract.columns } else { contract.tables };
        let snapshot = Arc::make_mut(&mut self.snapshot);
        let names: Vec<String> =
            columns.iter().map(|column| snapshot.column_part(&column.name)).collect();
        let known = snapshot.schema.tables.entry(name.clone()).or_insert_with(|| undeclared(&name));
        for (column, name) in columns.into_iter().zip(names) {
            if known.columns.get(&name).is_some_and(|known| known.data_type.is_some()) {
                continue;
            }
            match mode {
                ContractMode::Evolve => {}
                ContractMode::Freeze => {
                    return Err(Error::new(
                        ErrorKind::BadData,
                        "the schema contract allows no new columns",
                    )
                    .with("code", "E_CONTRACT_COLUMN")
                    .with("table", &known.name)
                    .with("new column", name));
                }
                ContractMode::DiscardRow | ContractMode::DiscardValue => continue,
            }
            let column = Column { name: name.clone(), ..column };
            let column = match known.columns.shift_remove(&name) {
                Some(declared) => table::completed(declared, column),
                None => column,
            };
            known.put(column);
        }
        snapshot.generation += 1;
        snapshot.foreign += 1;
        Ok(())
    }

    /// The name of a root table: as it stands in the schema, or normalised.
    pub(crate) fn root_name(&self, table: &str) -> String {
        self.snapshot.root_name(table)
    }

    /// Notes that a table has rows that came another way.
    pub(crate) fn note_rows(&mut self, table: &str) {
        let snapshot = Arc::make_mut(&mut self.snapshot);
        if !has_seen(&snapshot.schema, table) {
            mark_seen(&mut snapshot.schema, table);
            snapshot.generation += 1;
            snapshot.foreign += 1;
        }
    }

    /// Counts the changes of the schema.
    pub(crate) fn generation(&self) -> u64 {
        self.snapshot.generation
    }

    /// The schema before the next chunk, to shred it elsewhere.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Takes a shredded chunk; chunks must come in the order of the input. None means that the schema has changed since
    /// the snapshot in a way that may matter to the chunk: shred it again with [`Normalizer::snapshot`].
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] where the batches do not fit the schema.
    pub(crate) fn accept(&mut self, shredded: Shredded) -> Result<Option<Normalized>> {
        let Shredded {
            generation,
            foreign,
            mut batches,
            additions,
            refused,
            refused_by_schema,
            discarded,
            cuts,
            seen,
        } = shredded;
        let is_current = generation == self.snapshot.generation;
        // A chunk that found everything it needed in an older schema needs nothing of a newer one, and one whose additions
        // others have made meanwhile, or nobody, would make the same of it.
        let agrees = foreign == self.snapshot.foreign
            && additions.iter().all(|additions| additions.agrees_with(&self.snapshot.schema))
            && !refused_by_schema
            && discarded.is_empty();
        let depends_on_schema = !additions.is_empty() || refused_by_schema || !discarded.is_empty();
        if !is_current && depends_on_schema && !agrees {
            return Ok(None);
        }
        if !additions.is_empty()
            || batches.iter().any(|batch| !has_seen(&self.snapshot.schema, &batch.table))
        {
            let snapshot = Arc::make_mut(&mut self.snapshot);
            if additions.iter().any(|additions| additions.changes(&snapshot.schema)) {
                snapshot.generation += 1;
            }
            for addition in additions {
                addition.apply(&mut snapshot.schema);
            }
            for batch in &batches {
                mark_seen(&mut snapshot.schema, &batch.table);
            }
            for batch in &batches {
                let table = snapshot.schema.tables.get(&batch.table);
                if table.is_some_and(|table| table.parent.is_none()) {
                    let Snapshot { schema, names, .. } = &mut *snapshot;
                    note_propagation(schema, &batch.table, names);
                }
            }
        }
        if !is_current {
            for batch in &mut batches {
                match arrow::fill_up(&self.snapshot, batch)? {
                    Some(filled) => batch.batch = filled,
                    None => return Ok(None),
                }
            }
        }
        let mut warnings = Vec::new();
        for cut in cuts {
            if self.warned.insert((cut.table, cut.column)) {
                warnings.push(cut.warning.to_string());
            }
        }
        Ok(Some(Normalized { batches, refused, discarded, seen, warnings }))
    }

    /// The schema after the chunks so far.
    pub(crate) fn schema(&self) -> &Schema {
        &self.snapshot.schema
    }

    /// The schema after the chunks so far.
    pub(crate) fn into_schema(self) -> Schema {
        Arc::unwrap_or_clone(self.snapshot).schema
    }
}

const PROCESSING_HINTS: &str = "x-normalizer";
const SEEN_DATA: &str = "seen-data";

fn has_seen(schema: &Schema, table: &str) -> bool {
    let hints = schema.tables.get(table).and_then(|table| table.hints.get(PROCESSING_HINTS));
    hints.and_then(|hints| hints.get(SEEN_DATA)) == Some(&Json::Bool(true))
}

/// Notes that a table has received rows.
fn mark_seen(schema: &mut Schema, table: &str) {
    if let Some(table) = schema.tables.get_mut(table) {
        let hints = table.hints.entry(PROCESSING_HINTS.to_owned()).or_insert_with(|| json!({}));
        if let Some(hints) = hints.as_object_mut() {
            hints.insert(SEEN_DATA.to_owned(), Json::Bool(true));
            // What dlt notes of a new table under a contract: its first rows may bring columns.
            hints.remove("evolve-columns-once");
        }
    }
}

/// Writes down that nested rows carry the id of their root, where dlt looks for it.
fn note_propagation(schema: &mut Schema, root: &str, names: &SystemNames) {
    let propagates = root::propagates(schema, root, names).unwrap_or_default();
    let Some(config) = schema.normalizers.get_mut("json").and_then(Json::as_object_mut) else {
        return;
    };
    if !propagates {
        return;
    }
    let mut place = config.entry("config").or_insert_with(|| json!({}));
    for key in ["propagation", "tables", root] {
        let Some(object) = place.as_object_mut() else { return };
        place = object.entry(key).or_insert_with(|| json!({}));
    }
    if let Some(object) = place.as_object_mut() {
        object.insert(names.row_id.clone(), Json::String(names.root_id.clone()));
    }
}

/// Writes down before the first rows that those nested in the rows of a table carry the id of their root, as dlt does where
/// a table is merged.
pub(crate) fn note_root_key(schema: &mut Schema, table: &str, naming: Naming, max_length: usize) {
    note_propagation(schema, table, &SystemNames::new(naming, max_length));
}

/// A table for rows that nobody declared one for.
fn undeclared(name: &str) -> Table {
    Table::root(name, WriteDisposition::Append)
}
