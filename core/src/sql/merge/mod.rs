//! Merging a chain of tables, from its staging tables into its final ones, as steps of one transaction.
//!
//! The strategies are dlt's. Rows are chosen in the staging tables alone; the final ones are asked only for the keys of the
//! load. No step makes or drops a table: what a chain needs beside its staging tables ([`Scratch`]) is made before the
//! transaction, where engines commit on DDL. Every choice between rows of one key is the same in every statement, since it is
//! ordered down to the row's own id.

mod select;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{Bounds, Column, DataType, Error, ErrorKind, MergeStrategy, Result, Table};

use super::dialect::cast;
use super::{Dialect, Expect, Statement, Step, column_list};

/// One table of a chain that is merged.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// The final table, quoted and qualified.
    pub(super) target: String,
    /// The staging table with the rows of this load; `None` where it brings none.
    pub(super) staged: Option<String>,
    /// Its columns.
    pub(super) table: &'a Table,
}

/// The tables beside the staging tables, each with one column: the id of a root row.
#[derive(Debug)]
pub(super) struct Scratch {
    /// The rows of the final root table that make room.
    pub(super) removed: String,
    /// The rows of the staged root table that come in.
    pub(super) kept: String,
}

/// A chain that is merged.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) strategy: MergeStrategy,
    pub(super) root: Member<'a>,
    /// Parents before children.
    pub(super) nested: Vec<Member<'a>>,
    /// Present where there are nested tables.
    pub(super) scratch: Option<Scratch>,
    /// What is known of the key columns of the rows that the load has for the root.
    pub(super) bounds: BTreeMap<String, Bounds>,
    /// The time from which new rows hold, for `scd2`: RFC 3339.
    pub(super) published_at: &'a str,
}

/// Which of the two sides of a merge a table is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Final,
    Staged,
}

/// The column in which the id of a root row stands in a [`Scratch`] table.
pub(super) fn scratch_table(name: &str, root: &Table) -> Result<Table> {
    let row_key = row_key(root)?;
    let mut column = row_key.clone();
    column.nullable = true;
    let mut table = Table { columns: Default::default(), ..Table::nested(name, &root.name) };
    table.put(column);
    Ok(table)
}

/// The column by which nested rows know a row of this table.
///
/// # Errors
/// [`ErrorKind::Configuration`] where there is none.
pub(super) fn row_key(table: &Table) -> Result<&Column> {
    let first = |hint: &str| table.complete_columns().find(|column| column.has_hint(hint));
    let single_key = || {
        let mut key = table.complete_columns().filter(|column| column.has_hint("primary_key"));
        key.next().filter(|_| key.next().is_none())
    };
    // What tells versions apart under scd2 is the id of the row there, but is no key: a version may come back.
    let is_id = || first("row_key").or_else(|| first("x-row-version"));
    is_id().or_else(|| first("unique")).or_else(single_key).ok_or_else(|| {
        Error::new(
            ErrorKind::Configuration,
            "nothing tells the rows of a table with nested tables apart",
        )
        .with("table", &table.name)
        .with_hint(
            "its rows need the column `_dlt_id`, a unique column or a primary key of one column",
        )
    })
}

impl<'a> Merge<'a> {
    /// The steps, or none where the load has no rows for the root table.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for hints that contradict the strategy.
    pub(super) fn steps(&self) -> Result<Vec<Step>> {
        let Some(staged) = &self.root.staged else { return Ok(Vec::new()) };
        self.check()?;
        match self.strategy {
            MergeStrategy::DeleteInsert => self.delete_insert(staged),
            MergeStrategy::Upsert => self.upsert(staged),
            MergeStrategy::InsertOnly => self.insert_only(staged),
            MergeStrategy::Scd2 => self.scd2(staged),
        }
    }

    fn check(&self) -> Result<()> {
        let refused = |message: &'static str| {
            Error::new(ErrorKind::Configuration, message).with("table", &self.root.table.name)
        };
        for hint in ["hard_delete", "dedup_sort"] {
            let columns = self.root.table.columns_with_hint(hint);
            if columns.len() > 1 {
                return Err(refused("a hint stands on two columns of one table")
                    .with("hint", hint)
                    .with("columns", columns.join(", "))
                    .with_hint("leave it at one of them"));
            }
        }
        let needs_key = matches!(self.strategy, MergeStrategy::Upsert | MergeStrategy::InsertOnly);
        if needs_key && self.primary_key().is_empty() {
            return Err(refused("this merge strategy needs a primary key")
                .with_hint("name one with `--primary-key`, or merge with delete-insert"));
        }
        if self.strategy == MergeStrategy::Scd2 {
            self.hinted("x-row-version")?;
            self.hinted("x-valid-from")?;
            self.hinted("x-valid-to")?;
        }
        Ok(())
    }

    /// Rows with a key of this load go, then one row of each key comes in.
    fn delete_insert(&self, staged: &str) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let chooses = self.chooses();
        if let Some(scratch) = &self.scratch {
            for key in self.keys() {
                steps.push(self.note_removed(scratch, staged, &key)?);
            }
            if chooses || self.hard_delete().is_some() {
                steps.push(self.note_kept(scratch, &self.chosen(staged, true)?)?);
            }
            if !self.keys().is_empty() {
                steps.extend(self.delete_nested(scratch)?);
            }
        }
        for key in self.keys() {
            let delete = self.delete_where(&self.root, |d| {
                format!("{}{}", self.exists(staged, "s", d, &key), self.within(d, &key))
            });
            steps.push(self.any("make room in", &self.root, delete));
        }
        steps.push(self.insert(&self.root, &self.chosen(staged, true)?, None));
        for (member, staged) in self.staged_nested() {
            let of_kept = match (&self.scratch, chooses || self.hard_delete().is_some()) {
                (Some(scratch), true) => {
                    Some(self.belongs(member, Side::Staged, &self.ids(&scratch.kept)?)?)
                }
                _ => None,
            };
            steps.push(self.insert(member, &self.once(member, staged)?, of_kept));
        }
        Ok(steps)
    }

    /// Rows with a known key change, others come in; what is nested in them is exchanged as a whole.
    fn upsert(&self, staged: &str) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let key = self.primary_key();
        if let Some(scratch) = &self.scratch {
            steps.extend(self.refuse_mixed_lists(scratch, staged)?);
            steps.push(self.note_removed(scratch, staged, &key)?);
            steps.push(self.note_kept(scratch, &self.chosen(staged, true)?)?);
            steps.extend(self.delete_nested(scratch)?);
        }
        let (chosen, columns) = (self.chosen(staged, false)?, self.columns(&self.root));
        let target = &self.root.target;
        let hard_delete = self.hard_delete();
        if self.dialect.merges() {
            let mut sql = format!(
                "MERGE INTO {target} AS d USING {chosen} AS s ON {}{}",
                self.equal("d", "s", &key),
                self.within("d", &key)
            );
            if let Some(column) = hard_delete {
                sql.push_str(&format!(
                    " WHEN MATCHED AND {} THEN DELETE",
                    self.is_deleted("s", column)
                ));
            }
            sql.push_str(&format!(" WHEN MATCHED THEN UPDATE SET {}", self.assignments("s")));
            let alive = hard_delete
                .map(|column| format!(" AND {}", self.is_alive("s", column)))
                .unwrap_or_default();
            let values = self.prefixed("s", &self.root);
            sql.push_str(&format!(
                " WHEN NOT MATCHED{alive} THEN INSERT ({columns}) VALUES ({values})"
            ));
            steps.push(self.any("merge", &self.root, sql));
        } else {
            if let Some(column) = hard_delete {
                let gone =
                    format!("(SELECT * FROM {chosen} AS c WHERE {})", self.is_deleted("c", column));
                let delete = self.delete_where(&self.root, |d| {
                    format!("{}{}", self.exists(&gone, "s", d, &key), self.within(d, &key))
                });
                steps.push(self.any("delete marked rows of", &self.root, delete));
            }
            let alive = hard_delete.map(|column| self.is_alive("s", column));
            let conditions =
                [Some(self.equal("d", "s", &key)), alive.clone()].into_iter().flatten();
            steps.push(self.any(
                "update",
                &self.root,
                format!(
                    "UPDATE {target} AS d SET {} FROM {chosen} AS s WHERE {}{}",
                    self.assignments("s"),
                    conditions.collect::<Vec<_>>().join(" AND "),
                    self.within("d", &key)
                ),
            ));
            steps.push(self.insert_new(&chosen, alive, &key));
        }
        steps.extend(self.insert_nested_of_kept()?);
        Ok(steps)
    }

    /// Rows with a known key are left alone, with all that is nested in them; others come in.
    fn insert_only(&self, staged: &str) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let key = self.primary_key();
        let chosen = self.chosen(staged, true)?;
        if let Some(scratch) = &self.scratch {
            steps.extend(self.refuse_mixed_lists(scratch, staged)?);
            let row_key = self.quote(&row_key(self.root.table)?.name);
            let unknown =
                format!("(SELECT * FROM {chosen} AS s WHERE {})", self.is_unknown("s", &key));
            steps.push(self.note(&scratch.kept, &row_key, &unknown));
        }
        steps.push(self.insert_new(&chosen, None, &key));
        steps.extend(self.insert_nested_of_kept()?);
        Ok(steps)
    }

    /// Rows that are no longer as they were are closed, and those that are new are opened.
    fn scd2(&self, staged: &str) -> Result<Vec<Step>> {
        let version = self.hinted("x-row-version")?;
        let (from, to) = (self.hinted("x-valid-from")?, self.hinted("x-valid-to")?);
        let key = [version.name.as_str()];
        let boundary = match self.root.table.hints.get("x-boundary-timestamp") {
            Some(Json::String(boundary)) => boundary.as_str(),
            _ => self.published_at,
        };
        let active_value = match to.hints.get("x-active-record-timestamp") {
            Some(Json::String(active)) => Some(active.as_str()),
            _ => None,
        };
        let (from_type, to_type) = (self.dialect.type_name(from)?, self.dialect.type_name(to)?);
        let is_active = |statement: Statement, alias: &str| {
            let column = format!("{alias}.{}", self.quote(&to.name));
            match active_value {
                Some(active) => cast(statement.sql(&format!("{column} = ")), active, &to_type),
                None => statement.sql(&format!("{column} IS NULL")),
            }
        };
        let mut steps = Vec::new();

        // A row holds no longer where the load has no row of its version: with a merge key only where the load has its key.
        let target = &self.root.target;
        let mut close =
            Statement::new(format!("UPDATE {target} AS d SET {} = ", self.quote(&to.name)));
        close = cast(close, boundary, &to_type).sql(" WHERE ");
        close =
            is_active(close, "d").sql(&format!(" AND NOT {}", self.exists(staged, "s", "d", &key)));
        let merge_key = self.root.table.columns_with_hint("merge_key");
        if !merge_key.is_empty() {
            let exists = self.exists(staged, "s", "d", &merge_key);
            close = close.sql(&format!(" AND {exists}{}", self.within("d", &merge_key)));
        }
        steps.push(Step::any(format!("close rows of {}", self.root.table.name), close));

        let chosen = self.one_of_each(staged, &self.root, &key, None, None)?;
        let not_open = |statement: Statement| {
            is_active(
                statement.sql(&format!(
                    "NOT EXISTS (SELECT 1 FROM {target} AS d WHERE {} AND ",
                    self.equal("d", "s", &key)
                )),
                "d",
            )
            .sql(")")
        };
        if let Some(scratch) = &self.scratch {
            let row_key = self.quote(&row_key(self.root.table)?.name);
            let note = not_open(Statement::new(format!(
                "INSERT INTO {} ({row_key}) SELECT s.{row_key} FROM {chosen} AS s WHERE ",
                scratch.kept
            )));
            steps.push(Step::any(format!("note new rows of {}", self.root.table.name), note));
        }
        let own = |column: &&Column| column.name != from.name && column.name != to.name;
        let names: Vec<&str> =
            self.root.table.complete_columns().filter(own).map(|c| c.name.as_str()).collect();
        let values: Vec<String> =
            names.iter().map(|name| format!("s.{}", self.quote(name))).collect();
        let all = names.iter().copied().chain([from.name.as_str(), to.name.as_str()]);
        let mut open = Statement::new(format!(
            "INSERT INTO {target} ({}) SELECT {}, ",
            column_list(self.dialect, all),
            values.join(", ")
        ));
        open = cast(open, boundary, &from_type).sql(", ");
        open = cast(open, active_value, &to_type);
        open = not_open(open.sql(&format!(" FROM {chosen} AS s WHERE ")));
        steps.push(Step::any(format!("open rows of {}", self.root.table.name), open));

        for (member, staged) in self.staged_nested() {
            let Some(scratch) = &self.scratch else { continue };
            // What comes back as it was has its nested rows still.
            let nested_key = [row_key(member.table)?.name.as_str()];
            let rows = self.one_of_each(staged, member, &nested_key, None, None)?;
            let condition = format!(
                "{} AND NOT {}",
                self.belongs(member, Side::Staged, &self.ids(&scratch.kept)?)?,
                self.exists(&member.target, "d", "s", &nested_key)
            );
            steps.push(self.insert(member, &rows, Some(condition)));
        }
        Ok(steps)
    }

    /// Notes the final rows that have a key of the load.
    fn note_removed(&self, scratch: &Scratch, staged: &str, key: &[&str]) -> Result<Step> {
        let row_key = self.quote(&row_key(self.root.table)?.name);
        Ok(self.any(
            "note rows to make room for",
            &self.root,
            format!(
                "INSERT INTO {} ({row_key}) SELECT d.{row_key} FROM {} AS d WHERE {}{}",
                scratch.removed,
                self.root.target,
                self.exists(staged, "s", "d", key),
                self.within("d", key)
            ),
        ))
    }

    /// Notes the staged rows that come in.
    fn note_kept(&self, scratch: &Scratch, rows: &str) -> Result<Step> {
        Ok(self.note(&scratch.kept, &self.quote(&row_key(self.root.table)?.name), rows))
    }

    fn note(&self, into: &str, row_key: &str, rows: &str) -> Step {
        self.any(
            "note rows to bring to",
            &self.root,
            format!("INSERT INTO {into} ({row_key}) SELECT k.{row_key} FROM {rows} AS k"),
        )
    }

    /// Deletes what is nested in the rows that were noted, children before their parents.
    fn delete_nested(&self, scratch: &Scratch) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let removed = self.ids(&scratch.removed)?;
        for member in self.nested.iter().rev() {
            let belongs = self.belongs(member, Side::Final, &removed)?;
            let sql = format!("DELETE FROM {} WHERE {belongs}", member.target);
            steps.push(self.any("make room in", member, sql));
        }
        Ok(steps)
    }

    /// Rows of one key have the same id under these strategies, and so have what is nested in them at the same place of a
    /// list. Where all of them have the same lists it does not matter whose are taken; where they differ nobody could say any
    /// more what belongs to which.
    fn refuse_mixed_lists(&self, scratch: &Scratch, staged: &str) -> Result<Vec<Step>> {
        if !self.chooses() {
            return Ok(Vec::new());
        }
        let root_key = row_key(self.root.table)?;
        let (id, id_type) = (self.quote(&root_key.name), self.dialect.type_name(root_key)?);
        let mut steps = Vec::new();
        for (member, nested) in self.staged_nested() {
            let parent = member.table.parent.as_deref();
            let mut above = std::iter::once((&self.root, staged)).chain(self.staged_nested());
            // Without rows above there are none to be told apart.
            let Some((parent, rows)) = above.find(|(m, _)| Some(&*m.table.name) == parent) else {
                continue;
            };
            let parent_id = self.quote(&row_key(parent.table)?.name);
            let own_id = row_key(member.table)?;
            let (own_id, link) =
                (self.quote(&own_id.name), self.quote(self.link(member, "parent_key")?));
            let copies = format!(
                "(SELECT {parent_id} AS parent_id, COUNT(*) AS copies FROM {rows} GROUP BY {parent_id} HAVING COUNT(*) > 1)"
            );
            // JSON is in many engines no type by which rows can be compared.
            let comparable = |column: &&Column| column.data_type != Some(DataType::Json);
            let columns = member.table.complete_columns().filter(comparable);
            let columns = column_list(self.dialect, columns.map(|column| column.name.as_str()));
            for wrong in [
                format!(
                    "SELECT n.{own_id} FROM {nested} AS n JOIN {copies} AS p ON p.parent_id = n.{link} \
                     GROUP BY n.{own_id}, p.copies HAVING COUNT(*) <> p.copies"
                ),
                format!(
                    "SELECT n.{own_id} FROM (SELECT DISTINCT {columns} FROM {nested} WHERE {link} IN (SELECT parent_id \
                     FROM {copies} AS p)) AS n GROUP BY n.{own_id} HAVING COUNT(*) > 1"
                ),
            ] {
                steps.push(Step {
                    name: format!("look for rows of one key with different {}", member.table.name),
                    work: Statement::new(format!(
                        "INSERT INTO {} ({id}) SELECT CAST(NULL AS {id_type}) FROM ({wrong}) AS w",
                        scratch.removed
                    ))
                    .into(),
                    expect: Expect::Rows {
                        rows: 0,
                        otherwise: ErrorKind::BadData,
                        message: "rows of one load have one primary key and different lists nested in them"
                            .into(),
                    },
                });
            }
        }
        Ok(steps)
    }

    fn insert_nested_of_kept(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for (member, staged) in self.staged_nested() {
            let Some(scratch) = &self.scratch else { continue };
            let belongs = self.belongs(member, Side::Staged, &self.ids(&scratch.kept)?)?;
            steps.push(self.insert(member, &self.once(member, staged)?, Some(belongs)));
        }
        Ok(steps)
    }

    fn insert(&self, member: &Member<'_>, rows: &str, condition: Option<String>) -> Step {
        let columns = self.columns(member);
        let condition =
            condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        self.any(
            "publish",
            member,
            format!(
                "INSERT INTO {} ({columns}) SELECT {columns} FROM {rows} AS s{condition}",
                member.target
            ),
        )
    }

    /// Inserts the rows of the root whose key is not there.
    fn insert_new(&self, rows: &str, alive: Option<String>, key: &[&str]) -> Step {
        let condition =
            alive.into_iter().chain([self.is_unknown("s", key)]).collect::<Vec<_>>().join(" AND ");
        self.insert(&self.root, rows, Some(condition))
    }

    /// A DELETE whose condition is made from the name by which it may call the table.
    fn delete_where(&self, member: &Member<'_>, condition: impl Fn(&str) -> String) -> String {
        match self.dialect.aliases_in_delete() {
            true => format!("DELETE FROM {} AS d WHERE {}", member.target, condition("d")),
            false => {
                format!("DELETE FROM {} WHERE {}", member.target, condition(&member.target))
            }
        }
    }

    fn any(&self, what: &str, member: &Member<'_>, sql: String) -> Step {
        Step::any(format!("{what} {}", member.table.name), Statement::new(sql))
    }
}
