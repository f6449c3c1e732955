//! One table while a chunk is shredded: its columns, those that the chunk adds, and dlt's system columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::Schema as ArrowSchema;
use indexmap::IndexMap;
use transload_core::{Column, DataType, Error, ErrorKind, Result, Schema, Table};

use super::coerce::Value;
use super::columns::{ColumnValues, Outcome};
use super::layout::Role;
use super::room::{Room, TableRoom};
use super::root::{self, RowPlan, is_key};
use super::rules::Rules;
use super::{Snapshot, SystemNames, TableBatch};
use crate::arrow_types::arrow_field;
use crate::contract::{ContractMode, SchemaContract};

/// Where the values of dlt's own columns go.
#[derive(Clone, Copy)]
struct SystemColumns {
    load_id: Option<usize>,
    root_id: Option<usize>,
    parent_id: Option<usize>,
    list_index: Option<usize>,
    row_id: Option<usize>,
}

/// What the system columns of one row hold.
pub(super) struct RowLinks<'r> {
    pub(super) row_id: &'r str,
    pub(super) root_id: &'r str,
    /// Row id of the parent and index in its list; none in a root table.
    pub(super) parent: Option<(&'r str, usize)>,
}

/// What a chunk adds to the schema of one table.
#[derive(Clone, Debug)]
pub(super) struct TableAdditions {
    pub(super) name: String,
    pub(super) parent: Option<String>,
    /// Whether the table is not in the schema.
    pub(super) is_new: bool,
    /// Columns that are new, or that were known by hints and now have a type.
    pub(super) columns: Vec<Column>,
    /// Columns that the chunk took for granted beside these: what they could not hold is in variants of them.
    pub(super) assumed: Vec<Column>,
}

/// A column whose times were cut to its precision.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) table: String,
    pub(super) column: String,
    /// What to say of it, with the first row.
    pub(super) warning: Error,
}

pub(super) struct TableValues {
    pub(super) name: String,
    /// The table in which this one is nested. None for a root, and for a table that hints made one.
    pub(super) parent: Option<String>,
    /// What happens to new columns.
    pub(super) on_new_column: ContractMode,
    /// What happens to new variants of columns.
    on_new_type: ContractMode,
    /// Whether the rows carry the id of their root.
    carries_root_id: bool,
    /// Whether rows nested in these carry the id of their root.
    hands_down_root_id: bool,
    /// Whether the root of rows nested in these is the row here, and not the one above.
    pub(super) is_their_root: bool,
    /// What is asked of the rows.
    pub(super) plan: RowPlan,
    is_new: bool,
    known_columns: usize,
    columns: Vec<ColumnValues>,
    by_name: HashMap<String, usize>,
    incomplete: IndexMap<String, Column>,
    /// Columns that were incomplete, by the index they have now.
    completed: Vec<(usize, Column)>,
    /// Columns that no row may lack, the loader's own not among them.
    required: Vec<usize>,
    system: Option<SystemColumns>,
    room: Arc<TableRoom>,
    rows: usize,
    /// The row of the input that each row comes from: for errors that are found at the end.
    inputs: Vec<u32>,
    /// The parent row and the list that last put rows here.
    pub(super) last_list: Option<(usize, usize, u32)>,
}

impl TableValues {
    /// A table as the snapshot has it, or a new one nested in the one above.
    pub(super) fn new(
        snapshot: &Snapshot,
        room: &Room,
        name: &str,
        above: Option<&Self>,
    ) -> Result<Self> {
        let known = snapshot.schema.tables.get(name);
        let parent = match known {
            Some(table) => table.parent.clone(),
            None => above.map(|above| above.name.clone()),
        };
        let is_root = parent.is_none();
        let propagates = is_root && root::propagates(&snapshot.schema, name, &snapshot.names)?;
        let is_handed_down = above.is_some_and(|above| above.hands_down_root_id);
        let plan = match is_root {
            true => RowPlan::of(&snapshot.schema, name, &snapshot.names)?,
            false => RowPlan::default(),
        };
        let contract = SchemaContract::of_nested(&snapshot.schema, name, parent.as_deref())?;
        let is_settled = snapshot.settled.contains(name);
        let mut table = Self {
            name: name.to_owned(),
            on_new_column: if is_settled { contract.columns } else { ContractMode::Evolve },
            on_new_type: contract.data_type,
            carries_root_id: is_handed_down && !root::lacks_root_key(&snapshot.schema, name),
            hands_down_root_id: propagates || is_handed_down,
            is_their_root: above.is_none() || propagates,
            plan,
            parent,
            is_new: known.is_none(),
            known_columns: 0,
            columns: Vec::new(),
            by_name: HashMap::new(),
            incomplete: IndexMap::new(),
            completed: Vec::new(),
            required: Vec::new(),
            system: None,
            room: room.of(name),
            rows: 0,
            inputs: Vec::new(),
            last_list: None,
        };
        for column in known.into_iter().flat_map(|table| table.columns.values()) {
            if column.data_type.is_some() {
                table.add(snapshot, column.clone())?;
            } else {
                table.incomplete.insert(column.name.clone(), column.clone());
            }
        }
        table.known_columns = table.columns.len();
        Ok(table)
    }

    /// Whether the contract may leave out rows of this table.
    pub(super) fn may_leave_rows_out(&self) -> bool {
        [self.on_new_column, self.on_new_type].contains(&ContractMode::DiscardRow)
    }

    /// Whether rows of this table are not linked to a parent.
    pub(super) fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    /// The number of the row that is being written.
    pub(super) fn row(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Takes back the rows and the columns from these on.
    pub(super) fn forget(&mut self, rows: usize, columns: usize) {
        for column in self.columns.drain(columns.min(self.columns.len())..) {
            self.by_name.remove(&column.column.name);
        }
        while let Some((index, _)) = self.completed.last()
            && *index >= columns
        {
            if let Some((_, column)) = self.completed.pop() {
                self.incomplete.insert(column.name.clone(), column);
            }
        }
        self.required.retain(|index| *index < columns);
        for column in &mut self.columns {
            column.truncate(rows);
            for variant in &mut column.variants {
                *variant = variant.filter(|index| *index < columns);
            }
        }
        if self.system.is_some_and(|system| system.last() >= columns) {
            self.system = None;
        }
        self.rows = rows;
        self.inputs.truncate(rows);
        self.last_list = None;
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn column(&self, index: usize) -> &ColumnValues {
        &self.columns[index]
    }

    pub(super) fn column_mut(&mut self, index: usize) -> &mut ColumnValues {
        &mut self.columns[index]
    }

    /// What a key of the input stands for, by its normalised name.
    pub(super) fn role(&self, names: &SystemNames, name: &str) -> Role {
        let is_ours = if self.is_root() {
            name == names.load_id || self.plan.filled.iter().any(|filled| filled == name)
        } else {
            name == names.parent_id || name == names.list_index
        };
        if name == names.row_id {
            Role::RowId
        } else if is_ours || (self.carries_root_id && name == names.root_id) {
            Role::Ours
        } else if let Some(part) = self.plan.key_columns().iter().position(|column| column == name)
        {
            Role::Key(part as u32)
        } else {
            Role::Data
        }
    }

    /// Whether no row may lack a value of a column.
    fn is_required(&self, column: &Column) -> bool {
        !column.nullable || (self.plan.is_merged && is_key(column))
    }

    /// Whether a NULL under this name is an error: the column is NOT NULL, or would be.
    pub(super) fn refuses_null(&self, name: &str, rules: &Rules) -> bool {
        match (self.find(name), self.incomplete.get(name)) {
            (Some(index), _) => self.is_required(&self.columns[index].column),
            (None, Some(column)) => !column.nullable || is_key(column),
            (None, None) => rules.is_not_null(name),
        }
    }

    /// The column of this name, added for this value where there is none.
    pub(super) fn find_or_add(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
        value: &Value<'_>,
        is_variant: bool,
    ) -> Result<usize> {
        match self.find(name) {
            Some(index) => Ok(index),
            None => self.add(snapshot, snapshot.rules.new_column(name, value, is_variant)),
        }
    }

    /// The column that takes values of this type which the column at `index` refuses; or what the contract says of
    /// values for which there is none.
    pub(super) fn variant(
        &mut self,
        snapshot: &Snapshot,
        index: usize,
        value: &Value<'_>,
    ) -> Result<Result<usize, ContractMode>> {
        let data_type = value.data_type();
        if let Some(variant) = self.columns[index].variants[data_type as usize] {
            return Ok(Ok(variant));
        }
        let suffix = format!("v_{data_type}");
        let name = snapshot.shorten([self.columns[index].column.name.as_str(), &suffix]);
        if self.on_new_type != ContractMode::Evolve && self.find(&name).is_none() {
            return Ok(Err(self.on_new_type));
        }
        let variant = self.find_or_add(snapshot, &name, value, true)?;
        self.columns[index].variants[data_type as usize] = Some(variant);
        Ok(Ok(variant))
    }

    /// Adds a column with a type. What a hint said about it before wins over what was inferred.
    fn add(&mut self, snapshot: &Snapshot, column: Column) -> Result<usize> {
        let index = self.columns.len();
        let column = match self.incomplete.shift_remove(&column.name) {
            Some(declared) => {
                self.completed.push((index, declared.clone()));
                completed(declared, column)
            }
            None => column,
        };
        if self.is_required(&column) && !snapshot.names.contains(&column.name) {
            self.required.push(index);
        }
        self.by_name.insert(column.name.clone(), index);
        let room = self.room.column(&column.name);
        let values = ColumnValues::new(column, &snapshot.options.defaults, room)
            .map_err(|error| error.with("table", &self.name))?;
        self.columns.push(values);
        Ok(index)
    }

    /// Refuses a row that lacks a value for a column that must have one.
    fn check_required(&self) -> Result<()> {
        let row = self.rows;
        let missing = self.required.iter().find(|index| self.columns[**index].len() <= row);
        let name = match missing {
            Some(index) => &self.columns[*index].column.name,
            None => {
                let is_required = |column: &&Column| !column.nullable || is_key(column);
                match self.incomplete.values().find(is_required) {
                    Some(column) => &column.name,
                    None => return Ok(()),
                }
            }
        };
        Err(Error::new(ErrorKind::BadData, "a row has no value for a column that is NOT NULL")
            .with("code", "E_KEY_NULL")
            .with("table", &self.name)
            .with("column", name)
            .with_hint("give the value, or make the column nullable in the schema"))
    }

    /// Ends a row: writes dlt's own columns, which stand behind the columns of the first row.
    pub(super) fn end_row(
        &mut self,
        snapshot: &Snapshot,
        input: usize,
        links: &RowLinks<'_>,
    ) -> Result<()> {
        let system = match self.system {
            Some(system) => system,
            None => self.add_system_columns(snapshot)?,
        };
        self.check_required()?;
        let row = self.rows;
        self.put_system(system.row_id, row, &Value::Text(links.row_id))?;
        self.put_system(system.load_id, row, &Value::Text(&snapshot.options.load_id))?;
        self.put_system(system.root_id, row, &Value::Text(links.root_id))?;
        if let Some((parent_id, index)) = links.parent {
            self.put_system(system.parent_id, row, &Value::Text(parent_id))?;
            self.put_system(system.list_index, row, &Value::Integer(index as i64))?;
        }
        self.rows += 1;
        // A chunk has fewer rows than that; the number only serves errors.
        self.inputs.push(u32::try_from(input).unwrap_or(u32::MAX));
        Ok(())
    }

    fn put_system(&mut self, index: Option<usize>, row: usize, value: &Value<'_>) -> Result<()> {
        let Some(index) = index else { return Ok(()) };
        match self.columns[index].put(row, value) {
            Outcome::Stored => Ok(()),
            Outcome::Refused | Outcome::Taken => {
                let column = &self.columns[index].column;
                Err(Error::new(
                    ErrorKind::BadData,
                    "a column that the loader writes has another type or other values",
                )
                .with("table", &self.name)
                .with("column", &column.name)
                .with("type", self.columns[index].data_type())
                .with_hint("rename the key, or remove the column from the schema"))
            }
        }
    }

    fn add_system_columns(&mut self, snapshot: &Snapshot) -> Result<SystemColumns> {
        let [root_id, load_id, parent_id, list_index, row_id] = self.system_columns(snapshot);
        let system = SystemColumns {
            root_id: self.add_system_column(snapshot, root_id)?,
            load_id: self.add_system_column(snapshot, load_id)?,
            parent_id: self.add_system_column(snapshot, parent_id)?,
            list_index: self.add_system_column(snapshot, list_index)?,
            row_id: self.add_system_column(snapshot, row_id)?,
        };
        self.system = Some(system);
        Ok(system)
    }

    /// dlt's own columns of this table, in dlt's order: what is propagated, the load, the link, the id.
    fn system_columns(&self, snapshot: &Snapshot) -> [Option<Column>; 5] {
        let names = &snapshot.names;
        let text = |name: &str| Column::new(name, DataType::Text).not_null();
        // Batches of Arrow bring no ids: a root that has rows and no such column has rows without a value for it.
        let own = |name: &str| match super::has_seen(&snapshot.schema, &self.name) {
            true => Column::new(name, DataType::Text),
            false => text(name),
        };
        let (is_root, is_nested) = (self.is_root(), !self.is_root());
        [
            self.carries_root_id.then(|| text(&names.root_id).with_hint("root_key")),
            is_root.then(|| own(&names.load_id)),
            is_nested.then(|| text(&names.parent_id).with_hint("parent_key")),
            is_nested.then(|| Column::new(&names.list_index, DataType::Bigint).not_null()),
            Some(if is_root { own(&names.row_id) } else { text(&names.row_id) }).map(|column| {
                let column = column.with_hint("row_key");
                if self.plan.repeats_ids { column } else { column.with_hint("unique") }
            }),
        ]
    }

    fn add_system_column(
        &mut self,
        snapshot: &Snapshot,
        column: Option<Column>,
    ) -> Result<Option<usize>> {
        let Some(column) = column else { return Ok(None) };
        Ok(Some(match self.find(&column.name) {
            Some(index) => index,
            None => self.add(snapshot, column)?,
        }))
    }

    /// Gives one of dlt's own columns its place before the row ends: a row that brings its own value has it there.
    pub(super) fn reserve_system_column(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
    ) -> Result<usize> {
        let column =
            self.system_columns(snapshot).into_iter().flatten().find(|column| column.name == name);
        self.add_system_column(snapshot, column)?.ok_or_else(|| {
            Error::new(ErrorKind::Bug, "the table has no such column of the loader")
                .with("table", &self.name)
                .with("column", name)
        })
    }

    /// The batch of the chunk and what it adds to the schema. `place` names the input row of an error.
    pub(super) fn finish(
        self,
        snapshot: &Snapshot,
        place: impl Fn(Error, usize) -> Error,
    ) -> Result<(TableBatch, TableAdditions, Vec<Cut>)> {
        let mut additions = TableAdditions {
            name: self.name.clone(),
            parent: self.parent,
            is_new: self.is_new,
            columns: Vec::new(),
            assumed: Vec::new(),
        };
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut arrays = Vec::with_capacity(self.columns.len());
        let mut cuts = Vec::new();
        for (index, values) in self.columns.into_iter().enumerate() {
            let first_cut = values.first_cut;
            let (column, array) = values.finish(self.rows)?;
            if let Some(row) = first_cut {
                let warning = Error::new(
                    ErrorKind::BadData,
                    "times are cut to the precision of their column",
                )
                .with("code", "W_PRECISION")
                .with("table", &self.name)
                .with("column", &column.name);
                cuts.push(Cut {
                    table: self.name.clone(),
                    column: column.name.clone(),
                    warning: place(warning, self.inputs[row] as usize),
                });
            }
            if !column.nullable
                && let Some(row) = (0..array.len()).find(|row| array.is_null(*row))
            {
                let error = Error::new(
                    ErrorKind::BadData,
                    "a row has no value for a column that is NOT NULL",
                )
                .with("table", &self.name)
                .with("column", &column.name)
                .with_hint("give the value, or make the column nullable in the schema");
                return Err(place(error, self.inputs[row] as usize));
            }
            if index >= self.known_columns {
                // The values went to a variant column: there is nothing to say what this one is for.
                if column.nullable && array.null_count() == array.len() {
                    additions.assumed.push(column);
                    continue;
                }
                additions.columns.push(column.clone());
            }
            fields.push(arrow_field(&column, &snapshot.options.defaults)?);
            arrays.push(array);
        }
        let batch =
            RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).map_err(|error| {
                Error::new(ErrorKind::Bug, "the columns of a table do not make a batch")
                    .with("table", &self.name)
                    .with_source(error)
            })?;
        Ok((TableBatch { table: self.name, batch }, additions, cuts))
    }
}

impl SystemColumns {
    /// The highest index among them.
    fn last(&self) -> usize {
        let all = [self.load_id, self.root_id, self.parent_id, self.list_index, self.row_id];
        all.into_iter().flatten().max().unwrap_or_default()
    }
}

impl TableAdditions {
    pub(super) fn is_empty(&self) -> bool {
        !self.is_new && self.columns.is_empty() && self.assumed.is_empty()
    }

    /// Whether the schema lacks any of it.
    pub(super) fn changes(&self, schema: &Schema) -> bool {
        let Some(table) = schema.tables.get(&self.name) else { return true };
        let is_known = |column: &Column| {
            table.columns.get(&column.name).is_some_and(|known| known.data_type.is_some())
        };
        !self.columns.iter().all(is_known)
    }

    /// Whether a schema that has changed since has nothing that is otherwise: the chunk would have come to the same.
    pub(super) fn agrees_with(&self, schema: &Schema) -> bool {
        let Some(table) = schema.tables.get(&self.name) else { return true };
        let is_same = |column: &Column| match table.columns.get(&column.name) {
            Some(known) if known.data_type.is_some() => known == column,
            _ => true,
        };
        (!self.is_new || table.parent == self.parent)
            && self.columns.iter().chain(&self.assumed).all(is_same)
    }

    /// Writes the additions into the schema. What it has already is the same, see [`Self::agrees_with`].
    pub(super) fn apply(self, schema: &mut Schema) {
        let table = schema.tables.entry(self.name).or_insert_with_key(|name| match self.parent {
            Some(parent) => Table::nested(name, parent),
            None => super::undeclared(name),
        });
        for column in self.columns {
            if table.columns.get(&column.name).is_some_and(|known| known.data_type.is_some()) {
                continue;
            }
            // A column that was known by a hint alone takes its place where the data has it.
            table.columns.shift_remove(&column.name);
            table.put(column);
        }
    }
}

pub(super) fn completed(declared: Column, inferred: Column) -> Column {
    let nullable = declared.nullable && inferred.nullable && !is_key(&declared);
    let mut hints = inferred.hints;
    hints.extend(declared.hints);
    Column {
        name: inferred.name,
        data_type: inferred.data_type,
        nullable,
        precision: declared.precision.or(inferred.precision),
        scale: declared.scale.or(inferred.scale),
        timezone: declared.timezone.or(inferred.timezone),
        longest: None,
        hints,
    }
}
