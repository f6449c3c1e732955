//! What the schema contract leaves out of rows: tables, columns, values, and rows of nested tables.

use simd_json::Node;
use transload_core::{Error, ErrorKind, Result};

use super::fault::{Fault, Scope, Shred};
use super::{Above, Shredder};
use crate::contract::{ContractMode, SchemaContract};
use crate::normalize::layout::{List, Mark, SlotId, no_new_table};
use crate::normalize::{Snapshot, text};
use crate::source::json::{JsonRow, JsonRows, Refused};

impl Snapshot {
    /// The name of the table where the contract has none for the rows; an error where it wants none to come.
    pub(super) fn contract_without_table(&self, table: &str) -> Result<Option<String>> {
        let name = self.root_name(table);
        if self.settled.contains(&name) {
            return Ok(None);
        }
        match SchemaContract::of(&self.schema, &name)?.tables {
            ContractMode::Evolve => Ok(None),
            ContractMode::Freeze => Err(no_new_table(&name)),
            ContractMode::DiscardRow | ContractMode::DiscardValue => Ok(Some(name)),
        }
    }
}

impl Shredder<'_> {
    /// A value for a column that the contract does not want.
    #[cold]
    pub(super) fn leave_column_out(&mut self, id: SlotId, at: usize) -> Shred {
        let table = &self.layout.tables[self.layout.sites[id.site as usize].table];
        let mode = table.on_new_column;
        let error = Error::new(ErrorKind::BadData, "the schema contract allows no new columns")
            .with("code", "E_CONTRACT_COLUMN")
            .with("table", &table.name)
            .with("new column", &self.layout.slot(id).name)
            .with_hint("let the schema evolve (`schema_contract`), or declare the column");
        self.leave_out(mode, error, id, at)
    }

    pub(super) fn leave_out(
        &mut self,
        mode: ContractMode,
        error: Error,
        id: SlotId,
        at: usize,
    ) -> Shred {
        let scope = match mode {
            ContractMode::Freeze => Scope::Input,
            ContractMode::DiscardRow => Scope::Element,
            ContractMode::Evolve | ContractMode::DiscardValue => {
                let table = &self.layout.tables[self.layout.sites[id.site as usize].table];
                self.left_out.push((table.name.clone(), self.layout.slot(id).name.clone()));
                return Ok(());
            }
        };
        Err(Fault { error, node: at, scope })
    }

    /// A list that the contract has no table for.
    #[cold]
    pub(super) fn leave_list_out(&mut self, nodes: &[Node<'_>], id: SlotId, at: usize) {
        let name = self.layout.list_name(id);
        self.set_element_aside(nodes, at, name.clone(), no_new_table(&name));
    }

    /// Keeps a part of the row as JSON. Its place is that of the row, see [`Self::end_discards`].
    #[cold]
    fn set_element_aside(&mut self, nodes: &[Node<'_>], at: usize, table: String, error: Error) {
        let mut element = String::new();
        text::push_json(&mut element, &nodes[at..]);
        let bytes = element.into_bytes();
        self.discarded.nested.push((table, Refused { line: 0, offset: 0, bytes, error }));
    }

    /// Gives what was left out of a row that is loaded its place.
    pub(super) fn end_discards(&mut self, rows: &JsonRows, row: &JsonRow, from: usize) {
        let nested = self.discarded.nested.split_off(from);
        self.discarded.nested.extend(nested.into_iter().map(|(table, refused)| {
            let error = refused.error.with("file", &rows.origin).with("line", row.line);
            (table, Refused { line: row.line, offset: row.offset, error, ..refused })
        }));
        for column in self.left_out.drain(..) {
            *self.discarded.values.entry(column).or_default() += 1;
        }
    }

    pub(super) fn read_element_or_leave_it_out(
        &mut self,
        nodes: &[Node<'_>],
        list: List,
        index: usize,
        at: usize,
        above: Above<'_>,
    ) -> Shred {
        if !self.layout.tables[list.table].may_leave_rows_out() {
            return self.read_element(nodes, list, index, at, above);
        }
        let mut mark = Mark::default();
        self.layout.mark(&mut mark);
        let (lists, objects) = (self.pending_lists.len(), self.pending_objects.len());
        let (left_out, nested) = (self.left_out.len(), self.discarded.nested.len());
        match self.read_element(nodes, list, index, at, above) {
            Err(Fault { error, scope: Scope::Element, .. }) => {
                self.forget(&mark);
                self.pending_lists.truncate(lists);
                self.pending_objects.truncate(objects);
                self.left_out.truncate(left_out);
                self.discarded.nested.truncate(nested);
                let table = self.layout.tables[list.table].name.clone();
                self.set_element_aside(nodes, at, table, error);
                Ok(())
            }
            done => done,
        }
    }
}
