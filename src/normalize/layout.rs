//! Where the keys of the input go: the tables, and for each place in a row the keys that were found there.
//!
//! A key is looked up and its name made once; after that it is found again by its place, since most objects have the
//! keys of the one before.

use std::collections::HashMap;
use std::rc::Rc;

use transload_core::{DataType, Error, ErrorKind, Result};

use super::Snapshot;
use super::naming::{self, lookalikes};
use super::room::Room;
use super::table::TableValues;
use crate::contract::{ContractMode, SchemaContract};

/// No slot, column, site or list yet.
pub(super) const NONE: u32 = u32::MAX;

/// The list of a key whose rows the contract leaves out.
pub(super) const LEFT_OUT: u32 = u32::MAX - 1;

/// One key at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId {
    pub(super) site: u32,
    pub(super) slot: u32,
}

/// The objects that stand at one path of one table: what is known about their keys.
pub(super) struct Site {
    pub(super) table: usize,
    /// Levels of nesting that may still be taken apart.
    level: i64,
    /// The parts of the table's name, before they were shortened together.
    table_path: Rc<[String]>,
    /// The path from the row to the object, normalised.
    path: Vec<String>,
    /// The key under which the objects stand, for errors.
    within: Option<SlotId>,
    pub(super) slots: Vec<Slot>,
    by_key: HashMap<Box<str>, u32>,
    /// What is seen of the keys that are not of ASCII: the look that they have.
    by_look: HashMap<String, u32>,
    /// For each look the last object with a key of it, and the slot of that key.
    looks: Vec<(u64, u32)>,
    /// The slot of the first key of the last object.
    first: u32,
    /// Counts objects: tells a key seen twice in one of them.
    pub(super) objects: u64,
}

/// What is known about one key.
pub(super) struct Slot {
    key: Box<str>,
    /// The key alone, normalised.
    part: String,
    /// The column that a scalar under this key goes to.
    pub(super) name: String,
    pub(super) role: Role,
    /// The slot whose key came next in the last object.
    next: u32,
    /// The object that had the key last.
    pub(super) seen: u64,
    /// The column of that name in the table, once there is one.
    pub(super) column: u32,
    object: u32,
    list: u32,
    /// The look of the key, where others might have it too.
    look: u32,
    prefers_json: bool,
    /// NULL was found to be allowed here.
    pub(super) null_allowed: bool,
}

/// Why the contract allows no table.
pub(super) fn no_new_table(name: &str) -> Error {
    Error::new(ErrorKind::BadData, "the schema contract allows no new tables")
        .with("code", "E_CONTRACT_TABLE")
        .with("table", name)
        .with_hint("let the schema evolve (`schema_contract`), or leave the key out")
}

/// What a key of the input stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    /// Names the row, where it has a value.
    RowId,
    /// The loader writes this column.
    Ours,
    /// Part of the key that the row's id is made of.
    Key(u32),
}

/// A list that stands at one path: where its elements go.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) table: usize,
    /// Elements that are objects.
    pub(super) objects: u32,
    /// Elements that are scalars.
    pub(super) value: SlotId,
    /// Elements that are lists.
    pub(super) lists: SlotId,
}

/// How much there was of everything before a row: what came after can be taken back.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// Rows and columns of each table.
    tables: Vec<(usize, usize)>,
    sites: usize,
    lists: usize,
}

pub(super) struct Layout<'s> {
    pub(super) snapshot: &'s Snapshot,
    room: &'s Room,
    /// The root table is the first.
    pub(super) tables: Vec<TableValues>,
    by_name: HashMap<String, usize>,
    pub(super) sites: Vec<Site>,
    pub(super) lists: Vec<List>,
}

impl Site {
    /// Notes the look of a key that is new, and that of the key of ASCII that has the same.
    fn look_of(&mut self, key: &str, slot: u32) {
        let skeleton = lookalikes::skeleton(key);
        let look = match self.by_look.get(skeleton.as_deref().unwrap_or(key)) {
            Some(look) => *look,
            // Most objects have no other keys.
            None => {
                let Some(skeleton) = skeleton else { return };
                let look = self.looks.len() as u32;
                self.looks.push((0, slot));
                if let Some(plain) = self.by_key.get(skeleton.as_str()) {
                    let plain_slot = &mut self.slots[*plain as usize];
                    plain_slot.look = look;
                    self.looks[look as usize] = (plain_slot.seen, *plain);
                }
                self.by_look.insert(skeleton, look);
                look
            }
        };
        self.slots[slot as usize].look = look;
    }
}

impl<'s> Layout<'s> {
    /// The layout of a root table, and the site of its rows.
    pub(super) fn new(snapshot: &'s Snapshot, room: &'s Room, table: &str) -> Result<(Self, u32)> {
        let mut layout = Self {
            snapshot,
            room,
            tables: Vec::new(),
            by_name: HashMap::new(),
            sites: Vec::new(),
            lists: Vec::new(),
        };
        let index = layout.table(table, None)?;
        let level = snapshot.max_nesting(table);
        let site = layout.site(index, level, Rc::from([table.to_owned()]), Vec::new(), None);
        Ok((layout, site))
    }

    pub(super) fn mark(&self, mark: &mut Mark) {
        mark.tables.clear();
        mark.tables.extend(self.tables.iter().map(|table| (table.row(), table.width())));
        mark.sites = self.sites.len();
        mark.lists = self.lists.len();
    }

    /// Takes back what came after the mark. Keys stay known, but nothing that they led to.
    pub(super) fn forget(&mut self, mark: &Mark) {
        self.tables.truncate(mark.tables.len());
        self.by_name.retain(|_, table| *table < mark.tables.len());
        for (table, (rows, columns)) in self.tables.iter_mut().zip(&mark.tables) {
            table.forget(*rows, *columns);
        }
        self.sites.truncate(mark.sites);
        self.lists.truncate(mark.lists);
        let is_gone = |index: u32, length: usize| index != NONE && index as usize >= length;
        for site in &mut self.sites {
            let columns = self.tables[site.table].width();
            for slot in &mut site.slots {
                if is_gone(slot.column, columns) {
                    slot.column = NONE;
                }
                if is_gone(slot.object, mark.sites) {
                    slot.object = NONE;
                }
                if slot.list != LEFT_OUT && is_gone(slot.list, mark.lists) {
                    slot.list = NONE;
                }
            }
        }
    }

    fn table(&mut self, name: &str, parent: Option<&str>) -> Result<usize> {
        if let Some(index) = self.by_name.get(name) {
            return Ok(*index);
        }
        let above = parent.and_then(|parent| self.by_name.get(parent));
        let above = above.map(|index| &self.tables[*index]);
        let table = TableValues::new(self.snapshot, self.room, name, above)?;
        self.tables.push(table);
        self.by_name.insert(name.to_owned(), self.tables.len() - 1);
        Ok(self.tables.len() - 1)
    }

    fn site(
        &mut self,
        table: usize,
        level: i64,
        table_path: Rc<[String]>,
        path: Vec<String>,
        within: Option<SlotId>,
    ) -> u32 {
        self.sites.push(Site {
            table,
            level,
            table_path,
            path,
            within,
            slots: Vec::new(),
            by_key: HashMap::new(),
            by_look: HashMap::new(),
            looks: Vec::new(),
            first: NONE,
            objects: 0,
        });
        self.sites.len() as u32 - 1
    }

    pub(super) fn slot(&self, id: SlotId) -> &Slot {
        &self.sites[id.site as usize].slots[id.slot as usize]
    }

    pub(super) fn slot_mut(&mut self, id: SlotId) -> &mut Slot {
        &mut self.sites[id.site as usize].slots[id.slot as usize]
    }

    /// The slot of a key: most often the one that followed the slot before it the last time.
    #[inline]
    pub(super) fn find(&mut self, site: u32, previous: u32, key: &str) -> Result<SlotId> {
        let known = &self.sites[site as usize];
        let expected =
            if previous == NONE { known.first } else { known.slots[previous as usize].next };
        if let Some(slot) = known.slots.get(expected as usize)
            && *slot.key == *key
        {
            return Ok(SlotId { site, slot: expected });
        }
        let id = self.look_up(site, key)?;
        let known = &mut self.sites[site as usize];
        if previous == NONE {
            known.first = id.slot;
        } else {
            known.slots[previous as usize].next = id.slot;
        }
        Ok(id)
    }

    fn look_up(&mut self, site_index: u32, key: &str) -> Result<SlotId> {
        let site = &mut self.sites[site_index as usize];
        if let Some(slot) = site.by_key.get(key) {
            return Ok(SlotId { site: site_index, slot: *slot });
        }
        naming::check_length(key)?;
        let part = self.snapshot.column_part(key);
        let name = if site.path.is_empty() {
            part.clone()
        } else {
            self.snapshot.shorten(site.path.iter().map(String::as_str).chain([part.as_str()]))
        };
        let table = &self.tables[site.table];
        let id = SlotId { site: site_index, slot: site.slots.len() as u32 };
        site.by_key.insert(key.into(), id.slot);
        site.slots.push(Slot {
            key: key.into(),
            role: table.role(&self.snapshot.names, &name),
            next: NONE,
            seen: 0,
            column: table.find(&name).map_or(NONE, |index| index as u32),
            object: NONE,
            list: NONE,
            look: NONE,
            prefers_json: self.snapshot.rules.preferred_type(&name) == Some(DataType::Json),
            null_allowed: false,
            part,
            name,
        });
        site.look_of(key, id.slot);
        Ok(id)
    }

    /// Refuses a key that looks like another one of the same object and goes elsewhere. Keys of two objects may: which of
    /// them meet would depend on how the input is cut into chunks.
    #[inline]
    pub(super) fn check_look(&mut self, id: SlotId, object: u64) -> Result<()> {
        let site = &mut self.sites[id.site as usize];
        let slot = &site.slots[id.slot as usize];
        let Some(last) = site.looks.get_mut(slot.look as usize) else { return Ok(()) };
        let (before, other) = std::mem::replace(last, (object, id.slot));
        let other = &site.slots[other as usize];
        if before != object || other.name == slot.name {
            return Ok(());
        }
        Err(lookalikes::refused(&other.key, &slot.key).with("table", &self.tables[site.table].name))
    }

    /// Whether objects and lists under this key are kept as JSON.
    pub(super) fn stays_json(&self, id: SlotId) -> bool {
        let site = &self.sites[id.site as usize];
        let slot = &site.slots[id.slot as usize];
        if site.level <= 0 {
            return true;
        }
        match slot.column {
            NONE => slot.prefers_json,
            column => self.tables[site.table].column(column as usize).data_type() == DataType::Json,
        }
    }

    /// The site of the objects under this key.
    pub(super) fn object(&mut self, id: SlotId) -> u32 {
        let known = self.slot(id).object;
        if known != NONE {
            return known;
        }
        let outer = &self.sites[id.site as usize];
        let mut path = outer.path.clone();
        path.push(self.slot(id).part.clone());
        let object =
            self.site(outer.table, outer.level - 1, Rc::clone(&outer.table_path), path, Some(id));
        self.slot_mut(id).object = object;
        object
    }

    /// The list under this key, or [`LEFT_OUT`] where the contract has no table for it.
    pub(super) fn list(&mut self, id: SlotId) -> Result<u32> {
        let known = self.slot(id).list;
        if known != NONE {
            return Ok(known);
        }
        let outer = &self.sites[id.site as usize];
        // The levels of a list count from its row, however deep in the row the list stands.
        let level = outer.level + outer.path.len() as i64 - 1;
        let table_path = self.list_path(id);
        let name = self.snapshot.shorten(table_path.iter().map(String::as_str));
        let parent = self.tables[outer.table].name.clone();
        if !self.snapshot.settled.contains(&name) {
            let schema = &self.snapshot.schema;
            match SchemaContract::of_nested(schema, &name, Some(&parent))?.tables {
                ContractMode::Evolve => {}
                ContractMode::Freeze => {
                    return Err(no_new_table(&name).with("key", self.key_path(id)));
                }
                ContractMode::DiscardRow | ContractMode::DiscardValue => {
                    self.slot_mut(id).list = LEFT_OUT;
                    return Ok(LEFT_OUT);
                }
            }
        }
        // The rows of a resource of that name would stand among those of the list. Hints of the same resource make a
        // table of its own of a list.
        let tables = &self.snapshot.schema.tables;
        let resource = tables.get(&self.tables[0].name).and_then(|root| root.resource.as_ref());
        let is_foreign = |table: &transload_core::Table| {
            table.parent.is_none()
                && table.resource.is_some()
                && table.resource.as_ref() != resource
        };
        if tables.get(&name).is_some_and(is_foreign) {
            return Err(Error::new(
                ErrorKind::BadData,
                "a list becomes a table that there is already",
            )
            .with("code", "E_NAME_COLLISION")
            .with("table", &name)
            .with("key", self.key_path(id))
            .with_hint("rename the key or the table, or declare the column as json"));
        }
        let table = self.table(&name, Some(&parent))?;
        // An object that is sometimes a list gives one table two parents. Each row is linked to its own, as in dlt.
        if table == 0 {
            return Err(self.two_lists(table).with("key", self.key_path(id)));
        }
        let objects = self.site(table, level, Rc::clone(&table_path), Vec::new(), Some(id));
        // A list in a list is a row that has the inner list under the key `list`, one level further down.
        let inner = self.site(table, level - 1, table_path, Vec::new(), Some(id));
        let list = List {
            table,
            objects,
            value: self.look_up(objects, "value")?,
            lists: self.look_up(inner, "list")?,
        };
        self.lists.push(list);
        let list = self.lists.len() as u32 - 1;
        self.slot_mut(id).list = list;
        Ok(list)
    }

    /// The parts of the name of the table for the list under this key.
    fn list_path(&self, id: SlotId) -> Rc<[String]> {
        let outer = &self.sites[id.site as usize];
        let parts = outer.table_path.iter().chain(&outer.path).chain([&self.slot(id).part]);
        parts.cloned().collect()
    }

    /// The name of the table for the list under this key.
    pub(super) fn list_name(&self, id: SlotId) -> String {
        self.snapshot.shorten(self.list_path(id).iter().map(String::as_str))
    }

    pub(super) fn two_lists(&self, table: usize) -> Error {
        Error::new(ErrorKind::BadData, "two lists become one table")
            .with("code", "E_NAME_COLLISION")
            .with("table", &self.tables[table].name)
            .with_hint("rename one of the keys, or declare one of the columns as json")
    }

    pub(super) fn two_keys(&self, table: usize, column: usize, id: SlotId) -> Error {
        let values = &self.tables[table];
        let column = values.column(column);
        let error = Error::new(ErrorKind::BadData, "two keys become one column")
            .with("code", "E_NAME_COLLISION")
            .with("table", &values.name)
            .with("column", &column.column.name);
        let error = match column.writer {
            Some(other) => error.with("key", self.key_path(other)),
            None => error,
        };
        error.with("other key", self.key_path(id)).with_hint("rename one of the keys")
    }

    /// The keys from the root row down to this one.
    pub(super) fn key_path(&self, id: SlotId) -> String {
        let mut keys = vec![&*self.slot(id).key];
        let mut within = self.sites[id.site as usize].within;
        while let Some(id) = within {
            keys.push(&self.slot(id).key);
            within = self.sites[id.site as usize].within;
        }
        keys.reverse();
        keys.join(".")
    }
}
