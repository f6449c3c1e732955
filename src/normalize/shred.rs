//! Rows of JSON into the columns of their tables: a pure function of the rows and of the schema before them.
//!
//! The walk follows dlt's relational normaliser: the scalars of an object come first, then the objects in it, the last
//! one first; lists become rows of child tables once the row itself is written.
//! Source: dlt, `dlt/common/normalizers/json/relational.py`.

use std::collections::HashMap;
use std::rc::Rc;

use simd_json::{Node, StaticNode};
use transload_core::{DataType, Error, ErrorKind, Result};

use super::coerce::{self, Value, WIDE_DIGITS};
use super::columns::Outcome;
use super::ids;
use super::parser::{Offset, Parser};
use super::root::{RootIds, RootPlan};
use super::table::{RowLinks, TableAdditions, TableValues};
use super::text;
use super::{Snapshot, TableBatch};
use crate::source::json::{JsonRow, JsonRows};

const NONE: u32 = u32::MAX;

/// A chunk of rows as columns, with what it adds to the schema it was shredded against.
#[derive(Debug)]
pub struct Shredded {
    pub(super) generation: u64,
    pub(super) batches: Vec<TableBatch>,
    pub(super) additions: Vec<TableAdditions>,
}

/// An error at a node of the row.
struct Fault {
    error: Error,
    node: usize,
}

type Shred<T = ()> = Result<T, Fault>;

trait At<T> {
    fn at(self, node: usize) -> Shred<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, node: usize) -> Shred<T> {
        self.map_err(|error| Fault { error, node })
    }
}

/// The objects that stand at one path of one table: what is known about their keys.
struct Site {
    table: usize,
    /// Levels of nesting that may still be taken apart.
    level: i64,
    /// The parts of the table's name, before they were shortened together.
    table_path: Rc<[String]>,
    /// The path from the row to the object, normalised.
    path: Vec<String>,
    /// The key under which the objects stand, for errors.
    within: Option<(u32, u32)>,
    slots: Vec<Slot>,
    by_key: HashMap<Box<str>, u32>,
    /// The slot of the first key of the last object.
    first: u32,
    /// Counts objects: tells a key seen twice in one of them.
    objects: u64,
}

/// One key of a site.
struct Slot {
    key: Box<str>,
    /// The key alone, normalised.
    part: String,
    /// The column that a scalar under this key goes to.
    name: String,
    role: Role,
    /// The slot whose key came next in the last object: most objects are like the one before.
    next: u32,
    /// The object that had the key last.
    seen: u64,
    column: u32,
    object: u32,
    list: u32,
    prefers_json: bool,
    /// NULL was found to be allowed here.
    null_allowed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    /// Names the row, where it has a value.
    RowId,
    /// The loader writes this column.
    Ours,
    /// Part of the key that the row's id is made of.
    Key(u32),
}

/// A list that stands at one path: its rows.
struct List {
    table: usize,
    /// Site of elements that are objects.
    objects: u32,
    /// Site of elements that are lists, and its only slot.
    lists: (u32, u32),
    value: u32,
}

struct Shredder<'s> {
    snapshot: &'s Snapshot,
    root: RootPlan,
    tables: Vec<TableValues>,
    tables_by_name: HashMap<String, usize>,
    /// The tables in the order in which they got their first row: the one in which dlt makes them.
    in_order: Vec<usize>,
    sites: Vec<Site>,
    lists: Vec<List>,
    /// Objects of the row that are still to be read.
    pending_objects: Vec<(u32, usize)>,
    /// Lists of the row, and of the rows above it, that are still to be read.
    pending_lists: Vec<(u32, usize)>,
    row_id: Option<usize>,
    key_parts: Vec<Option<usize>>,
    /// The row of the input.
    input: usize,
}

impl Snapshot {
    /// Shreds a chunk of rows of a root table. Changes nothing: see [`super::Normalizer::accept`].
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] for the first row that cannot be loaded, with file and line.
    pub fn shred(&self, table: &str, rows: &JsonRows, parser: &mut Parser) -> Result<Shredded> {
        let table = self.root_name(table);
        let mut shredder = Shredder::new(self, &table)?;
        let site = shredder.root_site(&table)?;
        for (input, row) in rows.rows.iter().enumerate() {
            let text = rows.bytes.get(row.range.clone()).ok_or_else(|| {
                Error::new(ErrorKind::Bug, "a row lies outside its chunk").with("file", &rows.origin)
            })?;
            shredder.input = input;
            match parser.parse(text, |nodes| shredder.root_row(site, nodes)) {
                Ok(Ok(())) => {}
                Ok(Err(Fault { error, node })) => {
                    return Err(place(error, rows, row, parser.offset_of(node, text)));
                }
                Err((error, offset)) => return Err(place(error, rows, row, offset)),
            }
        }
        let mut shredded =
            Shredded { generation: self.generation, batches: Vec::new(), additions: Vec::new() };
        let mut tables: Vec<Option<TableValues>> = shredder.tables.into_iter().map(Some).collect();
        for table in shredder.in_order.into_iter().filter_map(|index| tables[index].take()) {
            let (batch, additions) = table.finish(self, |error, input| match rows.rows.get(input) {
                Some(row) => place(error, rows, row, Offset(0)),
                None => error,
            })?;
            shredded.batches.push(batch);
            if !additions.is_empty() {
                shredded.additions.push(additions);
            }
        }
        Ok(shredded)
    }
}

/// Adds file, line and, where it names no column of a table, the column in the line.
fn place(error: Error, rows: &JsonRows, row: &JsonRow, Offset(offset): Offset) -> Error {
    let before = rows.bytes.get(row.range.start..row.range.start + offset).unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let column = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => (before.len() - at) as u64,
        None => row.column + before.len() as u64,
    };
    let names_column = error.context("column").is_some();
    let error = error.with("file", &rows.origin).with("line", row.line + lines as u64);
    if names_column { error } else { error.with("column", column) }
}

impl<'s> Shredder<'s> {
    fn new(snapshot: &'s Snapshot, table: &str) -> Result<Self> {
        let root = RootPlan::of(&snapshot.schema, table, &snapshot.names)?;
        Ok(Self {
            snapshot,
            key_parts: vec![None; root.key_columns().len()],
            root,
            tables: Vec::new(),
            tables_by_name: HashMap::new(),
            in_order: Vec::new(),
            sites: Vec::new(),
            lists: Vec::new(),
            pending_objects: Vec::new(),
            pending_lists: Vec::new(),
            row_id: None,
            input: 0,
        })
    }

    fn root_site(&mut self, table: &str) -> Result<u32> {
        let index = self.table(table, None)?;
        let level = self.snapshot.max_nesting(table);
        Ok(self.site(index, level, Rc::from([table.to_owned()]), Vec::new(), None))
    }

    fn table(&mut self, name: &str, parent: Option<&str>) -> Result<usize> {
        if let Some(index) = self.tables_by_name.get(name) {
            return Ok(*index);
        }
        let carries_root_id = parent.is_some() && self.root.propagates;
        let table = TableValues::new(self.snapshot, name, parent, carries_root_id)?;
        self.tables.push(table);
        self.tables_by_name.insert(name.to_owned(), self.tables.len() - 1);
        Ok(self.tables.len() - 1)
    }

    fn site(
        &mut self,
        table: usize,
        level: i64,
        table_path: Rc<[String]>,
        path: Vec<String>,
        within: Option<(u32, u32)>,
    ) -> u32 {
        self.sites.push(Site {
            table,
            level,
            table_path,
            path,
            within,
            slots: Vec::new(),
            by_key: HashMap::new(),
            first: NONE,
            objects: 0,
        });
        self.sites.len() as u32 - 1
    }

    fn root_row(&mut self, site: u32, nodes: &[Node<'_>]) -> Shred {
        if !matches!(nodes.first(), Some(Node::Object { .. })) {
            return Err(Error::new(ErrorKind::BadData, "the row is not an object")
                .with_hint("each row must be an object: {\"name\": value, …}"))
            .at(0);
        }
        self.pending_objects.clear();
        self.pending_lists.clear();
        self.row_id = None;
        self.key_parts.fill(None);
        self.read_objects(nodes, site, 0)?;
        let id = match self.given_id(nodes) {
            Some(id) => id,
            None => self.make_root_id(nodes)?,
        };
        self.end_row(nodes, site, 0, &id, &id, None)
    }

    fn make_root_id(&self, nodes: &[Node<'_>]) -> Shred<String> {
        Ok(match &self.root.ids {
            RootIds::Random => ids::random_id(),
            RootIds::RowHash => {
                let mut content = String::new();
                text::push_sorted_json(&mut content, nodes, &|key| !key.starts_with("_dlt"));
                ids::hashed_id(content.as_bytes())
            }
            RootIds::KeyHash(columns) => {
                let mut content = String::from("{");
                for (column, node) in columns.iter().zip(&self.key_parts) {
                    let Some(node) = node else {
                        return Err(Error::new(ErrorKind::BadData, "a row lacks a part of its primary key")
                            .with("table", &self.tables[0].name)
                            .with("column", column))
                        .at(0);
                    };
                    if content.len() > 1 {
                        content.push(',');
                    }
                    text::push_json_string(&mut content, column);
                    content.push(':');
                    text::push_sorted_json(&mut content, &nodes[*node..], &|_| true);
                }
                content.push('}');
                ids::hashed_id(content.as_bytes())
            }
        })
    }

    /// The id that the row brings, where it is not what Python calls false.
    fn given_id(&mut self, nodes: &[Node<'_>]) -> Option<String> {
        let mut id = String::new();
        match value_of(&nodes[self.row_id.take()?..]) {
            None | Some(Value::Integer(0) | Value::Bool(false) | Value::Text("")) => None,
            Some(Value::Double(0.0)) => None,
            Some(value) => {
                coerce::to_text(&value, &mut id);
                Some(id)
            }
        }
    }

    /// Reads the object at `start` and all objects in it that are part of the same row.
    fn read_objects(&mut self, nodes: &[Node<'_>], site: u32, start: usize) -> Shred {
        let base = self.pending_objects.len();
        self.pending_objects.push((site, start));
        while self.pending_objects.len() > base {
            let Some((site, start)) = self.pending_objects.pop() else { break };
            let Some(Node::Object { len, .. }) = nodes.get(start) else { continue };
            let objects = {
                let site = &mut self.sites[site as usize];
                site.objects += 1;
                site.objects
            };
            let mut previous = NONE;
            let mut at = start + 1;
            for _ in 0..*len {
                let Some(Node::String(key)) = nodes.get(at) else {
                    return Err(Error::new(ErrorKind::Bug, "an object of the tape has a key that is no text")).at(at);
                };
                let slot = self.slot(site, previous, key).at(at)?;
                previous = slot;
                let seen = &mut self.sites[site as usize].slots[slot as usize].seen;
                if *seen == objects {
                    return Err(Error::new(ErrorKind::BadData, "duplicate key").with("key", key)).at(at);
                }
                *seen = objects;
                self.read_field(nodes, site, slot, at + 1)?;
                at += 1 + text::width(&nodes[at + 1..]);
            }
        }
        Ok(())
    }

    /// The slot of a key: most often the one that followed the slot before it the last time.
    #[inline]
    fn slot(&mut self, site_index: u32, previous: u32, key: &str) -> Result<u32> {
        let site = &mut self.sites[site_index as usize];
        let expected = if previous == NONE { site.first } else { site.slots[previous as usize].next };
        if let Some(slot) = site.slots.get(expected as usize)
            && *slot.key == *key
        {
            return Ok(expected);
        }
        let slot = match site.by_key.get(key) {
            Some(slot) => *slot,
            None => self.new_slot(site_index, key),
        };
        let site = &mut self.sites[site_index as usize];
        if previous == NONE {
            site.first = slot;
        } else {
            site.slots[previous as usize].next = slot;
        }
        Ok(slot)
    }

    fn new_slot(&mut self, site: u32, key: &str) -> u32 {
        let site = &mut self.sites[site as usize];
        let part = self.snapshot.column_part(key);
        let name = if site.path.is_empty() {
            part.clone()
        } else {
            self.snapshot.shorten(site.path.iter().map(String::as_str).chain([part.as_str()]))
        };
        let table = &self.tables[site.table];
        let slot = Slot {
            key: key.into(),
            role: self.root.role(&self.snapshot.names, &name, site.table == 0, table.is_root()),
            next: NONE,
            seen: 0,
            column: table.find(&name).map_or(NONE, |index| index as u32),
            object: NONE,
            list: NONE,
            prefers_json: self.snapshot.rules.preferred_type(&name) == Some(DataType::Json),
            null_allowed: false,
            part,
            name,
        };
        let index = site.slots.len() as u32;
        site.slots.push(slot);
        site.by_key.insert(key.into(), index);
        index
    }

    /// One value of an object: into its column, or aside for later.
    #[inline]
    fn read_field(&mut self, nodes: &[Node<'_>], site: u32, slot: u32, at: usize) -> Shred {
        match nodes.get(at) {
            Some(Node::String(text)) => self.put(site, slot, &Value::Text(text), at),
            Some(Node::Static(StaticNode::Null)) | None => self.put_null(site, slot, at),
            Some(Node::Static(StaticNode::I64(value))) => self.put(site, slot, &Value::Integer(*value), at),
            Some(Node::Object { len, .. }) => {
                if self.stays_json(site, slot) {
                    self.put(site, slot, &Value::Json(&nodes[at..]), at)
                } else {
                    if *len > 0 {
                        let object = self.object_site(site, slot);
                        self.pending_objects.push((object, at));
                    }
                    Ok(())
                }
            }
            Some(Node::Array { len, .. }) => {
                if self.stays_json(site, slot) {
                    self.put(site, slot, &Value::Json(&nodes[at..]), at)
                } else {
                    if *len > 0 {
                        let list = self.list_of(site, slot).at(at)?;
                        self.pending_lists.push((list, at));
                    }
                    Ok(())
                }
            }
            Some(Node::Static(_)) => match value_of(&nodes[at..]) {
                Some(value) => self.put(site, slot, &value, at),
                None => self.put_digits(nodes, site, slot, at),
            },
        }
    }

    /// An integer that no decimal holds keeps its digits, as text.
    #[cold]
    fn put_digits(&mut self, nodes: &[Node<'_>], site: u32, slot: u32, at: usize) -> Shred {
        let mut digits = String::new();
        text::push_json(&mut digits, &nodes[at..]);
        self.put(site, slot, &Value::Text(&digits), at)
    }

    /// Whether nested values under this key are kept as JSON.
    fn stays_json(&self, site: u32, slot: u32) -> bool {
        let site = &self.sites[site as usize];
        let slot = &site.slots[slot as usize];
        if site.level <= 0 {
            return true;
        }
        match slot.column {
            NONE => slot.prefers_json,
            column => self.tables[site.table].column(column as usize).data_type() == DataType::Json,
        }
    }

    fn object_site(&mut self, site: u32, slot: u32) -> u32 {
        let outer = &self.sites[site as usize];
        let known = outer.slots[slot as usize].object;
        if known != NONE {
            return known;
        }
        let mut path = outer.path.clone();
        path.push(outer.slots[slot as usize].part.clone());
        let (table, level, table_path) = (outer.table, outer.level - 1, Rc::clone(&outer.table_path));
        let object = self.site(table, level, table_path, path, Some((site, slot)));
        self.sites[site as usize].slots[slot as usize].object = object;
        object
    }

    fn list_of(&mut self, site: u32, slot: u32) -> Result<u32> {
        let outer = &self.sites[site as usize];
        let known = outer.slots[slot as usize].list;
        if known != NONE {
            return Ok(known);
        }
        // The levels of a list count from its row, however deep in the row the list stands.
        let level = outer.level + outer.path.len() as i64 - 1;
        let parts = outer.table_path.iter().chain(&outer.path).chain([&outer.slots[slot as usize].part]);
        let table_path: Rc<[String]> = parts.cloned().collect();
        let name = self.snapshot.shorten(table_path.iter().map(String::as_str));
        let parent = self.tables[outer.table].name.clone();
        let table = self.table(&name, Some(&parent))?;
        if self.tables[table].parent.as_ref().is_some_and(|other| *other != parent) || table == 0 {
            return Err(Error::new(ErrorKind::BadData, "two lists become one table")
                .with("table", &name)
                .with("key", self.key_path(site, slot))
                .with_hint("rename one of the keys, or declare one of the columns as json"));
        }
        let objects = self.site(table, level, Rc::clone(&table_path), Vec::new(), Some((site, slot)));
        // A list in a list is a row that has the inner list under the key `list`, one level further down.
        let inner = self.site(table, level - 1, table_path, Vec::new(), Some((site, slot)));
        let inner_slot = self.new_slot(inner, "list");
        let lists = (inner, inner_slot);
        self.lists.push(List { table, objects, lists, value: NONE });
        let list = self.lists.len() as u32 - 1;
        self.sites[site as usize].slots[slot as usize].list = list;
        Ok(list)
    }

    #[inline]
    fn put(&mut self, site_index: u32, slot_index: u32, value: &Value<'_>, at: usize) -> Shred {
        let site = &mut self.sites[site_index as usize];
        let slot = &mut site.slots[slot_index as usize];
        match slot.role {
            Role::Data => {}
            Role::Ours => return self.reserve(site_index, slot_index, at),
            Role::RowId => {
                self.row_id = Some(at);
                return self.reserve(site_index, slot_index, at);
            }
            Role::Key(part) => self.key_parts[part as usize] = Some(at),
        }
        let table = &mut self.tables[site.table];
        if slot.column == NONE {
            slot.column = table.find_or_add(self.snapshot, &slot.name, value, false).at(at)? as u32;
        }
        let row = table.row();
        let column = table.column_mut(slot.column as usize);
        match column.put(row, value) {
            Outcome::Stored => {
                column.writer = (site_index, slot_index);
                Ok(())
            }
            Outcome::Refused => {
                let (table, column) = (site.table, slot.column as usize);
                self.put_variant(table, column, (site_index, slot_index), value, at)
            }
            Outcome::Taken => {
                let (table, column) = (site.table, slot.column as usize);
                Err(self.two_keys(table, column, (site_index, slot_index))).at(at)
            }
        }
    }

    /// The key of a column that the loader writes: its value is not ours to keep, but its place is.
    fn reserve(&mut self, site: u32, slot: u32, at: usize) -> Shred {
        let site = &mut self.sites[site as usize];
        let slot = &mut site.slots[slot as usize];
        if slot.column == NONE {
            slot.column = self.tables[site.table].reserve_system_column(self.snapshot, &slot.name).at(at)? as u32;
        }
        Ok(())
    }

    /// A value that the column cannot hold goes into the column beside it for values of its type.
    #[cold]
    fn put_variant(&mut self, table: usize, column: usize, writer: (u32, u32), value: &Value<'_>, at: usize) -> Shred {
        let values = &mut self.tables[table];
        let row = values.row();
        let variant = values.variant(self.snapshot, column, value).at(at)?;
        let taken_before = values.column(variant).has_value(row);
        match values.column_mut(variant).put(row, value) {
            Outcome::Stored => {
                values.column_mut(variant).writer = writer;
                values.column_mut(column).writer = writer;
                Ok(())
            }
            Outcome::Taken if taken_before => Err(self.two_keys(table, variant, writer)).at(at),
            Outcome::Taken | Outcome::Refused => {
                Err(Error::new(ErrorKind::BadData, "neither the column nor its variant can hold a value")
                    .with("table", &values.name)
                    .with("column", &values.column(variant).column.name)
                    .with("type", values.column(variant).data_type())
                    .with("value type", value.data_type())
                    .with_hint("give the column the type text in the schema"))
                .at(at)
            }
        }
    }

    fn two_keys(&self, table: usize, column: usize, (site, slot): (u32, u32)) -> Error {
        let values = &self.tables[table];
        let (other_site, other_slot) = values.column(column).writer;
        let mut error = Error::new(ErrorKind::BadData, "two keys become one column")
            .with("table", &values.name)
            .with("column", &values.column(column).column.name);
        if other_site != NONE {
            error = error.with("key", self.key_path(other_site, other_slot));
        }
        error.with("other key", self.key_path(site, slot)).with_hint("rename one of the keys")
    }

    /// The keys from the row down to this one.
    fn key_path(&self, site: u32, slot: u32) -> String {
        let mut keys = vec![&*self.sites[site as usize].slots[slot as usize].key];
        let mut within = self.sites[site as usize].within;
        while let Some((site, slot)) = within {
            let site = &self.sites[site as usize];
            keys.push(&site.slots[slot as usize].key);
            within = site.within;
        }
        keys.reverse();
        keys.join(".")
    }

    #[inline]
    fn put_null(&mut self, site_index: u32, slot_index: u32, at: usize) -> Shred {
        let site = &mut self.sites[site_index as usize];
        let slot = &mut site.slots[slot_index as usize];
        if slot.null_allowed {
            return Ok(());
        }
        if matches!(slot.role, Role::Ours | Role::RowId) {
            return self.reserve(site_index, slot_index, at);
        }
        let table = &self.tables[site.table];
        if table.refuses_null(&slot.name, &self.snapshot.rules) {
            return Err(Error::new(ErrorKind::BadData, "NULL for a column that is NOT NULL")
                .with("table", &table.name)
                .with("column", &slot.name)
                .with_hint("give the value, or make the column nullable in the schema"))
            .at(at);
        }
        slot.null_allowed = true;
        Ok(())
    }

    /// Writes the row that was read, then the rows of its lists.
    fn end_row(
        &mut self,
        nodes: &[Node<'_>],
        site: u32,
        lists_from: usize,
        id: &str,
        root_id: &str,
        parent: Option<(&str, usize)>,
    ) -> Shred {
        let table = self.sites[site as usize].table;
        let links = RowLinks { row_id: id, root_id, parent };
        self.tables[table].end_row(self.snapshot, self.input, &links).at(0)?;
        let row = self.tables[table].row();
        if row == 1 {
            self.in_order.push(table);
        }
        let until = self.pending_lists.len();
        for index in lists_from..until {
            let (list, at) = self.pending_lists[index];
            self.read_list(nodes, list, at, id, root_id, (table, row))?;
        }
        self.pending_lists.truncate(lists_from);
        Ok(())
    }

    fn read_list(
        &mut self,
        nodes: &[Node<'_>],
        list: u32,
        start: usize,
        parent_id: &str,
        root_id: &str,
        (parent_table, parent_row): (usize, usize),
    ) -> Shred {
        let List { table, objects, lists, .. } = self.lists[list as usize];
        let values = &mut self.tables[table];
        let this = (parent_table, parent_row, (list, 0));
        if let Some((other_table, other_row, other)) = values.last_list
            && (other_table, other_row) == (parent_table, parent_row)
            && other != this.2
        {
            return Err(Error::new(ErrorKind::BadData, "two lists become one table")
                .with("table", &values.name)
                .with_hint("rename one of the keys, or declare one of the columns as json"))
            .at(start);
        }
        values.last_list = Some(this);
        let is_root = values.is_root();
        let Some(Node::Array { len, .. }) = nodes.get(start) else { return Ok(()) };
        let mut at = start + 1;
        for index in 0..*len {
            let lists_from = self.pending_lists.len();
            self.row_id = None;
            let site = match nodes.get(at) {
                Some(Node::Object { .. }) => {
                    self.read_objects(nodes, objects, at)?;
                    objects
                }
                Some(Node::Array { .. }) => {
                    self.read_field(nodes, lists.0, lists.1, at)?;
                    lists.0
                }
                _ => {
                    self.put_element(nodes, list, at)?;
                    objects
                }
            };
            let id = match self.given_id(nodes) {
                Some(id) => id,
                None if is_root => ids::random_id(),
                None => ids::child_id(parent_id, &self.tables[table].name, index),
            };
            let parent = (!is_root).then_some((parent_id, index));
            self.end_row(nodes, site, lists_from, &id, root_id, parent)?;
            at += text::width(&nodes[at..]);
        }
        Ok(())
    }

    /// A scalar in a list goes to the column `value`; NULL leaves a row without one.
    fn put_element(&mut self, nodes: &[Node<'_>], list: u32, at: usize) -> Shred {
        let List { objects, value, .. } = self.lists[list as usize];
        let slot = if value == NONE {
            let slot = match self.sites[objects as usize].by_key.get("value") {
                Some(slot) => *slot,
                None => self.new_slot(objects, "value"),
            };
            self.lists[list as usize].value = slot;
            slot
        } else {
            value
        };
        self.read_field(nodes, objects, slot, at)
    }
}

/// A scalar of the tape; none for NULL and for an integer of more digits than a decimal has.
#[inline]
fn value_of<'v>(nodes: &'v [Node<'v>]) -> Option<Value<'v>> {
    const LIMIT: i128 = 10_i128.pow(WIDE_DIGITS);
    Some(match nodes.first()? {
        Node::String(text) => Value::Text(text),
        Node::Object { .. } | Node::Array { .. } => Value::Json(nodes),
        Node::Static(StaticNode::Null) => return None,
        Node::Static(StaticNode::Bool(value)) => Value::Bool(*value),
        Node::Static(StaticNode::F64(value)) => Value::Double(*value),
        Node::Static(StaticNode::I64(value)) => Value::Integer(*value),
        Node::Static(StaticNode::U64(value)) => match i64::try_from(*value) {
            Ok(value) => Value::Integer(value),
            Err(_) => Value::Wide((*value).into()),
        },
        Node::Static(StaticNode::I128(value)) if value.unsigned_abs() < LIMIT as u128 => Value::Wide(*value),
        Node::Static(StaticNode::U128(value)) => Value::Wide(i128::try_from(*value).ok().filter(|v| *v < LIMIT)?),
        Node::Static(StaticNode::I128(_)) => return None,
    })
}
