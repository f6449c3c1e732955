//! Rows of JSON into the columns of their tables: a pure function of the rows and of the schema before them.
//!
//! The walk follows dlt's relational normaliser: the scalars of an object come first, then the objects in it, the last
//! one first; lists become rows of child tables once the row itself is written.
//! Source: dlt, `dlt/common/normalizers/json/relational.py`.

mod discard;
mod fault;

use memchr::memmem::Finder;
use simd_json::{Node, StaticNode};
use transload_core::{DataType, Error, ErrorKind, Result};

use self::fault::{At as _, Fault, Scope, Shred, duplicate_key, original, place};
use super::coerce::{self, Value, value_of};
use super::columns::Outcome;
use super::ids;
use super::layout::{LEFT_OUT, Layout, List, Mark, NONE, Role, SlotId, no_new_table};
use super::parser::{Offset, too_many_digits};
use super::room::Worker;
use super::root::RootIds;
use super::table::{Cut, RowLinks, TableAdditions, TableValues};
use super::text;
use super::{Discarded, Snapshot, TableBatch};
use crate::contract::ContractMode;
use crate::incremental::{Judge, Seen, Tally};
use crate::source::json::{JsonRows, Refused};

/// A chunk of rows as columns, with what it adds to the schema it was shredded against.
#[derive(Debug)]
pub(crate) struct Shredded {
    pub(super) generation: u64,
    pub(super) foreign: u64,
    /// Parents before their children.
    pub(super) batches: Vec<TableBatch>,
    pub(super) additions: Vec<TableAdditions>,
    /// Rows of the input that cannot be loaded, in their order.
    pub(super) refused: Vec<Refused>,
    /// Whether a row was refused for what the schema says: with another one it might be taken.
    pub(super) refused_by_schema: bool,
    /// What the contract leaves out of rows that are loaded.
    pub(super) discarded: Discarded,
    /// Columns whose times were cut.
    pub(super) cuts: Vec<Cut>,
    /// What the cursor of an incremental resource met.
    pub(super) seen: Seen,
}

struct Shredder<'s> {
    layout: Layout<'s>,
    /// Objects of the row that are still to be read.
    pending_objects: Vec<(u32, usize)>,
    /// Lists of the row, and of the rows above it, that are still to be read.
    pending_lists: Vec<(u32, usize)>,
    /// Where the row brings its id.
    row_id: Option<usize>,
    /// Where the row has the parts of the key that its id is made of.
    key_parts: Vec<Option<usize>>,
    /// The row of the input.
    input: usize,
    /// Whether the row has escaped NUL characters somewhere.
    has_nul: bool,
    /// The tables in the order in which they got their first row: the one in which dlt makes them.
    in_order: Vec<usize>,
    discarded: Discarded,
    /// Values that the contract leaves out of the present row.
    left_out: Vec<(String, String)>,
}

/// The row above a list.
#[derive(Clone, Copy)]
struct Above<'r> {
    id: &'r str,
    root_id: &'r str,
    table: usize,
    row: usize,
}

impl Snapshot {
    /// Shreds a chunk of rows of a root table. Changes nothing: see [`super::Normalizer::accept`]. A row that is at
    /// fault by itself leaves no trace but among those refused.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where the input as a whole cannot be loaded, with file and line.
    pub(crate) fn shred(
        &self,
        table: &str,
        rows: &JsonRows,
        judge: Option<&Judge>,
        worker: &mut Worker,
    ) -> Result<Shredded> {
        let Worker { parser, room } = worker;
        let escaped_nul = Finder::new(br"\u0000");
        let some_nul = escaped_nul.find(&rows.bytes).is_some();
        let (layout, site) = Layout::new(self, room, &self.root_name(table))?;
        let mut shredder = Shredder {
            pending_objects: Vec::new(),
            pending_lists: Vec::new(),
            row_id: None,
            key_parts: Vec::new(),
            input: 0,
            has_nul: false,
            in_order: Vec::new(),
            discarded: Discarded::default(),
            left_out: Vec::new(),
            layout,
        };
        let mut mark = Mark::default();
        let mut refused = Vec::new();
        let mut refused_by_schema = false;
        let no_table = self.contract_without_table(table)?;
        let mut tally = Tally::default();
        for (input, row) in rows.rows.iter().enumerate() {
            let text = rows.bytes.get(row.range.clone()).ok_or_else(|| {
                Error::new(ErrorKind::Bug, "a row lies outside its chunk")
                    .with("file", &rows.origin)
            })?;
            shredder.input = input;
            shredder.has_nul = some_nul && escaped_nul.find(text).is_some();
            shredder.layout.mark(&mut mark);
            let nested = shredder.discarded.nested.len();
            // Only the last line of a file may have no end.
            let is_cut = rows.bytes[row.range.end..]
                .iter()
                .all(|byte| byte.is_ascii_whitespace() && *byte != b'\n');
            let error = match parser.parse(text, is_cut, |nodes| match &no_table {
                Some(name) => Err(no_new_table(name)).at(0),
                None => shredder.read_judged(site, nodes, judge, &mut tally),
            }) {
                Ok(Ok(())) => {
                    shredder.end_discards(rows, row, nested);
                    continue;
                }
                Ok(Err(Fault { error, node, scope })) => {
                    let error = place(error, rows, row, parser.offset_of(node, text));
                    if scope == Scope::Input {
                        return Err(error);
                    }
                    refused_by_schema = true;
                    shredder.forget(&mark);
                    shredder.left_out.clear();
                    shredder.discarded.nested.truncate(nested);
                    error
                }
                Err((error, offset)) => place(error, rows, row, offset),
            };
            refused.push(Refused {
                line: row.line,
                offset: row.offset,
                bytes: original(rows, input, text).to_vec(),
                error,
            });
        }
        let discarded = std::mem::take(&mut shredder.discarded);
        let mut shredded = shredder.finish(rows)?;
        shredded.discarded = discarded;
        room.note(&shredded.batches);
        if let Some(judge) = judge {
            // Rows that share the last value are known again by their hashes: they are few, and read once more for that.
            shredded.seen = tally.finish(|input| {
                let range = rows.rows.get(input).map(|row| row.range.clone());
                let text = range.and_then(|range| rows.bytes.get(range)).unwrap_or_default();
                parser.parse(text, false, |nodes| judge.hash(nodes)).map_err(|(error, _)| error)?
            })?;
        }
        shredded.refused = refused;
        shredded.refused_by_schema = refused_by_schema;
        Ok(shredded)
    }
}

impl Shredder<'_> {
    fn finish(self, rows: &JsonRows) -> Result<Shredded> {
        let snapshot = self.layout.snapshot;
        let mut shredded = Shredded {
            generation: snapshot.generation,
            foreign: snapshot.foreign,
            batches: Vec::new(),
            additions: Vec::new(),
            refused: Vec::new(),
            refused_by_schema: false,
            discarded: Discarded::default(),
            cuts: Vec::new(),
            seen: Seen::default(),
        };
        let mut tables: Vec<Option<TableValues>> =
            self.layout.tables.into_iter().map(Some).collect();
        for table in self.in_order.into_iter().filter_map(|index| tables[index].take()) {
            let (batch, additions, cuts) =
                table.finish(snapshot, |error, input| match rows.rows.get(input) {
                    Some(row) => place(error, rows, row, Offset(0)),
                    None => error,
                })?;
            shredded.batches.push(batch);
            shredded.cuts.extend(cuts);
            if !additions.is_empty() {
                shredded.additions.push(additions);
            }
        }
        Ok(shredded)
    }

    /// Takes back all that was written since the mark.
    fn forget(&mut self, mark: &Mark) {
        self.layout.forget(mark);
        let tables = &self.layout.tables;
        self.in_order.retain(|table| tables.get(*table).is_some_and(|table| table.row() > 0));
    }

    /// Reads a row if the judge keeps it. What it says of the row counts once the row is loaded.
    fn read_judged<'n>(
        &mut self,
        site: u32,
        nodes: &[Node<'n>],
        judge: Option<&Judge>,
        tally: &mut Tally,
    ) -> Shred {
        let is_object = matches!(nodes.first(), Some(Node::Object { .. }));
        let Some(judge) = judge.filter(|_| is_object) else {
            return self.read_root(site, nodes);
        };
        let verdict = judge.row(nodes).of_input(0)?;
        if verdict.is_kept() {
            self.read_root(site, nodes)?;
        }
        tally.count(judge, self.input, verdict).of_input(0)
    }

    fn read_root(&mut self, site: u32, nodes: &[Node<'_>]) -> Shred {
        if !matches!(nodes.first(), Some(Node::Object { .. })) {
            return Err(Error::new(ErrorKind::BadData, "the row is not an object")
                .with("code", "E_ROW_NOT_OBJECT")
                .with_hint("each row must be an object: {\"name\": value, …}"))
            .at(0);
        }
        self.pending_objects.clear();
        self.pending_lists.clear();
        self.begin_row(0);
        self.read_objects(nodes, site, 0)?;
        let id = match self.given_id(nodes) {
            Some(id) => id,
            None => self.make_root_id(0, nodes, 0)?,
        };
        self.end_row(nodes, 0, 0, RowLinks { row_id: &id, root_id: &id, parent: None })
    }

    /// Forgets what was noted of the row before.
    fn begin_row(&mut self, table: usize) {
        self.row_id = None;
        self.key_parts.clear();
        self.key_parts.resize(self.layout.tables[table].plan.key_columns().len(), None);
    }

    /// The id of a row that is not linked to one above, and that stands at this node.
    fn make_root_id(&self, table: usize, nodes: &[Node<'_>], at: usize) -> Shred<String> {
        let mut content = String::new();
        let table = &self.layout.tables[table];
        match &table.plan.ids {
            RootIds::Random => return Ok(ids::random_id()),
            RootIds::RowHash => match nodes.get(at) {
                Some(Node::Object { .. }) => {
                    let is_data = |key: &str| !key.starts_with("_dlt");
                    text::push_sorted_json(&mut content, &nodes[at..], &is_data);
                }
                // What is no object has a column of its own.
                node => {
                    let is_list = matches!(node, Some(Node::Array { .. }));
                    content.push_str(if is_list { "{\"list\":" } else { "{\"value\":" });
                    text::push_sorted_json(&mut content, &nodes[at..], &|_| true);
                    content.push('}');
                }
            },
            RootIds::KeyHash(columns) => {
                content.push('{');
                for (column, node) in columns.iter().zip(&self.key_parts) {
                    let Some(node) = node else {
                        return Err(Error::new(
                            ErrorKind::BadData,
                            "a row lacks a part of the key that its id is made of",
                        )
                        .with("code", "E_KEY_NULL")
                        .with("table", &table.name)
                        .with("column", column)
                        .with_hint(
                            "give the value; without it the row is no row that can be merged",
                        ))
                        .at(at);
                    };
                    if content.len() > 1 {
                        content.push(',');
                    }
                    text::push_json_string(&mut content, column);
                    content.push(':');
                    text::push_sorted_json(&mut content, &nodes[*node..], &|_| true);
                }
                content.push('}');
            }
        }
        Ok(ids::hashed_id(content.as_bytes()))
    }

    /// The id that the row brings, where it is not what Python calls false.
    fn given_id(&mut self, nodes: &[Node<'_>]) -> Option<String> {
        match value_of(&nodes[self.row_id.take()?..]) {
            None
            | Some(Value::Integer(0) | Value::Bool(false) | Value::Text("") | Value::Double(0.0)) => {
                None
            }
            Some(value) => {
                let mut id = String::new();
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
            let objects = &mut self.layout.sites[site as usize].objects;
            *objects += 1;
            let object = *objects;
            let mut previous = NONE;
            let mut at = start + 1;
            for _ in 0..*len {
                let Some(Node::String(key)) = nodes.get(at) else {
                    return Err(Error::new(
                        ErrorKind::Bug,
                        "an object of the tape has a key that is no text",
                    ))
                    .at(at);
                };
                let id = self.layout.find(site, previous, key).of_input(at)?;
                previous = id.slot;
                let slot = self.layout.slot_mut(id);
                if slot.seen == object {
                    return Err(duplicate_key(key)).at(at);
                }
                slot.seen = object;
                self.layout.check_look(id, object).of_input(at)?;
                self.read_field(nodes, id, at + 1)?;
                at += 1 + text::width(&nodes[at + 1..]);
            }
        }
        Ok(())
    }

    /// One value: into its column, or aside for later.
    #[inline]
    fn read_field(&mut self, nodes: &[Node<'_>], id: SlotId, at: usize) -> Shred {
        match nodes.get(at) {
            Some(Node::String(text)) => self.put(id, &Value::Text(text), at),
            Some(Node::Static(StaticNode::Null)) | None => self.put_null(id, at),
            Some(Node::Object { .. } | Node::Array { .. }) if self.layout.stays_json(id) => {
                self.put(id, &Value::Json(&nodes[at..]), at)
            }
            Some(Node::Object { len: 0, .. } | Node::Array { len: 0, .. }) => Ok(()),
            Some(Node::Object { .. }) => {
                let object = self.layout.object(id);
                self.pending_objects.push((object, at));
                Ok(())
            }
            Some(Node::Array { .. }) => {
                match self.layout.list(id).of_input(at)? {
                    LEFT_OUT => self.leave_list_out(nodes, id, at),
                    list => self.pending_lists.push((list, at)),
                }
                Ok(())
            }
            Some(Node::Static(_)) => match value_of(&nodes[at..]) {
                Some(value) => self.put(id, &value, at),
                None => self.put_digits(nodes, id, at),
            },
        }
    }

    /// An integer that no decimal holds keeps its digits where the column takes text; elsewhere the row is refused.
    #[cold]
    fn put_digits(&mut self, nodes: &[Node<'_>], id: SlotId, at: usize) -> Shred {
        let slot = self.layout.slot(id);
        let table = self.layout.sites[id.site as usize].table;
        let takes_text = slot.column != NONE
            && self.layout.tables[table].column(slot.column as usize).data_type() == DataType::Text;
        if !takes_text {
            return Err(too_many_digits().with("key", self.layout.key_path(id))).at(at);
        }
        let mut digits = String::new();
        text::push_json(&mut digits, &nodes[at..]);
        self.put(id, &Value::Text(&digits), at)
    }

    /// PostgreSQL and Redshift have no text with a NUL in it. What one destination refuses none gets, so that the same
    /// input has the same outcome everywhere.
    #[cold]
    fn check_nul(&self, id: SlotId, value: &Value<'_>, at: usize) -> Shred {
        let has_nul = match value {
            Value::Text(text) => text.contains('\0'),
            Value::Json(nodes) => nodes[..text::width(nodes)]
                .iter()
                .any(|node| matches!(node, Node::String(text) if text.contains('\0'))),
            _ => false,
        };
        if !has_nul {
            return Ok(());
        }
        Err(Error::new(ErrorKind::BadData, "a text has a NUL character")
            .with("code", "E_NUL")
            .with("key", self.layout.key_path(id))
            .with_hint("warehouses do not store it: take the character out"))
        .at(at)
    }

    #[inline]
    fn put(&mut self, id: SlotId, value: &Value<'_>, at: usize) -> Shred {
        if self.has_nul {
            self.check_nul(id, value, at)?;
        }
        if let Value::Json(nodes) = value
            && let Some(key) = text::duplicate_key(nodes)
        {
            // Some warehouses refuse it, others keep one of the values without a word.
            return Err(duplicate_key(key)).at(at);
        }
        let layout = &mut self.layout;
        let site = &mut layout.sites[id.site as usize];
        let slot = &mut site.slots[id.slot as usize];
        match slot.role {
            Role::Data => {}
            Role::Ours => return self.refuse_ours(id, at),
            Role::RowId => {
                self.row_id = Some(at);
                return self.reserve(id, at);
            }
            Role::Key(part) => self.key_parts[part as usize] = Some(at),
        }
        let table = &mut layout.tables[site.table];
        if slot.column == NONE {
            if table.on_new_column != ContractMode::Evolve && table.find(&slot.name).is_none() {
                return self.leave_column_out(id, at);
            }
            slot.column =
                table.find_or_add(layout.snapshot, &slot.name, value, false).at(at)? as u32;
        }
        let row = table.row();
        let column = table.column_mut(slot.column as usize);
        match column.put(row, value) {
            Outcome::Stored => {
                column.writer = Some(id);
                Ok(())
            }
            Outcome::Refused => {
                let (table, column) = (site.table, slot.column as usize);
                self.put_variant(table, column, id, value, at)
            }
            Outcome::Taken => {
                let (table, column) = (site.table, slot.column as usize);
                Err(self.layout.two_keys(table, column, id)).of_input(at)
            }
        }
    }

    /// A row must not say which load it belongs to, or which row it is nested in.
    #[cold]
    fn refuse_ours(&self, id: SlotId, at: usize) -> Shred {
        Err(Error::new(ErrorKind::BadData, "a key of the input is a column that the loader writes")
            .with("code", "E_RESERVED_NAME")
            .with("key", self.layout.key_path(id))
            .with_hint("rename the key or leave it out"))
        .of_input(at)
    }

    /// The key of a column that the loader writes: its value is not the input's to give, but its place is.
    fn reserve(&mut self, id: SlotId, at: usize) -> Shred {
        let layout = &mut self.layout;
        let site = &mut layout.sites[id.site as usize];
        let slot = &mut site.slots[id.slot as usize];
        if slot.column == NONE {
            let table = &mut layout.tables[site.table];
            slot.column = table.reserve_system_column(layout.snapshot, &slot.name).at(at)? as u32;
        }
        Ok(())
    }

    /// A value that the column cannot hold goes into the column beside it for values of its type.
    #[cold]
    fn put_variant(
        &mut self,
        table: usize,
        column: usize,
        id: SlotId,
        value: &Value<'_>,
        at: usize,
    ) -> Shred {
        let values = &mut self.layout.tables[table];
        let row = values.row();
        let variant = match values.variant(self.layout.snapshot, column, value).at(at)? {
            Ok(variant) => variant,
            Err(mode) => {
                let error = Error::new(
                    ErrorKind::BadData,
                    "the schema contract allows no values of another type",
                )
                .with("code", "E_CONTRACT_TYPE")
                .with("table", &values.name)
                .with("column", &values.column(column).column.name)
                .with("type", values.column(column).data_type())
                .with("value type", value.data_type())
                .with_hint("let the schema evolve (`schema_contract`), or repair the value");
                return self.leave_out(mode, error, id, at);
            }
        };
        match values.column_mut(variant).put(row, value) {
            Outcome::Stored => {
                values.column_mut(variant).writer = Some(id);
                Ok(())
            }
            Outcome::Taken => Err(self.layout.two_keys(table, variant, id)).of_input(at),
            Outcome::Refused => Err(Error::new(
                ErrorKind::BadData,
                "neither the column nor its variant can hold a value",
            )
            .with("code", "E_VALUE")
            .with("table", &values.name)
            .with("column", &values.column(variant).column.name)
            .with("type", values.column(variant).data_type())
            .with("value type", value.data_type())
            .with_hint("give the column the type text in the schema"))
            .at(at),
        }
    }

    #[inline]
    fn put_null(&mut self, id: SlotId, at: usize) -> Shred {
        let layout = &mut self.layout;
        let site = &mut layout.sites[id.site as usize];
        let slot = &mut site.slots[id.slot as usize];
        if slot.null_allowed {
            return Ok(());
        }
        if matches!(slot.role, Role::Ours | Role::RowId) {
            return self.reserve(id, at);
        }
        let table = &layout.tables[site.table];
        if table.refuses_null(&slot.name, &layout.snapshot.rules) {
            return Err(Error::new(ErrorKind::BadData, "NULL for a column that is NOT NULL")
                .with("code", "E_KEY_NULL")
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
        table: usize,
        lists_from: usize,
        links: RowLinks<'_>,
    ) -> Shred {
        self.layout.tables[table].end_row(self.layout.snapshot, self.input, &links).at(0)?;
        let row = self.layout.tables[table].row();
        if row == 1 {
            self.in_order.push(table);
        }
        let root_id =
            if self.layout.tables[table].is_their_root { links.row_id } else { links.root_id };
        let above = Above { id: links.row_id, root_id, table, row };
        for index in lists_from..self.pending_lists.len() {
            let (list, at) = self.pending_lists[index];
            self.read_list(nodes, list, at, above)?;
        }
        self.pending_lists.truncate(lists_from);
        Ok(())
    }

    fn read_list(
        &mut self,
        nodes: &[Node<'_>],
        index: u32,
        start: usize,
        above: Above<'_>,
    ) -> Shred {
        let Some(Node::Array { len, .. }) = nodes.get(start) else { return Ok(()) };
        let list = self.layout.lists[index as usize];
        let values = &mut self.layout.tables[list.table];
        if values.last_list.is_some_and(|(table, row, other)| {
            (table, row) == (above.table, above.row) && other != index
        }) {
            return Err(self.layout.two_lists(list.table)).of_input(start);
        }
        values.last_list = Some((above.table, above.row, index));
        let mut at = start + 1;
        for index in 0..*len {
            self.read_element_or_leave_it_out(nodes, list, index, at, above)?;
            at += text::width(&nodes[at..]);
        }
        Ok(())
    }

    fn read_element(
        &mut self,
        nodes: &[Node<'_>],
        list: List,
        index: usize,
        at: usize,
        above: Above<'_>,
    ) -> Shred {
        let lists_from = self.pending_lists.len();
        self.begin_row(list.table);
        match nodes.get(at) {
            Some(Node::Object { .. }) => self.read_objects(nodes, list.objects, at)?,
            Some(Node::Array { .. }) => self.read_field(nodes, list.lists, at)?,
            // A row of its own, also for NULL.
            _ => self.read_field(nodes, list.value, at)?,
        }
        let table = &self.layout.tables[list.table];
        let is_linked = !table.is_root();
        let id = match self.given_id(nodes) {
            Some(id) => id,
            None if is_linked => {
                ids::child_id(above.id, &self.layout.tables[list.table].name, index)
            }
            None => self.make_root_id(list.table, nodes, at)?,
        };
        let parent = is_linked.then_some((above.id, index));
        self.end_row(
            nodes,
            list.table,
            lists_from,
            RowLinks { row_id: &id, root_id: above.root_id, parent },
        )
    }
}
