//! Which rows a merge means, as queries and conditions.

use serde_json::Value as Json;

use crate::sql::column_list;
use crate::{Column, DataType, Error, ErrorKind, Result};

use super::{Member, Merge, Side, row_key};

/// The column of the number by which one row of a key is chosen.
const NUMBER: &str = "_dlt_dedup_rn";

impl<'a> Merge<'a> {
    /// The keys by which rows make room: those of the load that agree in one of them.
    pub(super) fn keys(&self) -> Vec<Vec<&'a str>> {
        [self.primary_key(), self.root.table.columns_with_hint("merge_key")]
            .into_iter()
            .filter(|key| !key.is_empty())
            .collect()
    }

    pub(super) fn primary_key(&self) -> Vec<&'a str> {
        self.root.table.columns_with_hint("primary_key")
    }

    pub(super) fn hard_delete(&self) -> Option<&'a Column> {
        self.root.table.complete_columns().find(|column| column.has_hint("hard_delete"))
    }

    pub(super) fn hinted(&self, hint: &str) -> Result<&'a Column> {
        self.root.table.complete_columns().find(|column| column.has_hint(hint)).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "scd2 misses a column of its own")
                .with("table", &self.root.table.name)
                .with("hint", hint)
                .with_hint(
                    "set the merge strategy on the resource, so that its columns are declared",
                )
        })
    }

    /// Whether the staged rows of one key become one.
    pub(super) fn chooses(&self) -> bool {
        let is_deduplicated =
            self.root.table.hints.get("x-stage-data-deduplicated") == Some(&Json::Bool(true));
        !is_deduplicated && !self.primary_key().is_empty()
    }

    /// The staged rows of the root of which one of each key was chosen, and of these, where `alive`, those that are not marked
    /// as deleted: the newest of a key may be the one that deletes it.
    pub(super) fn chosen(&self, staged: &str, alive: bool) -> Result<String> {
        let alive = self.hard_delete().filter(|_| alive);
        if self.chooses() {
            let (key, sort) = (self.primary_key(), self.dedup_sort());
            let condition = alive.map(|column| self.is_alive("numbered", column));
            return self.one_of_each(staged, &self.root, &key, sort, condition);
        }
        Ok(match alive {
            Some(column) => {
                format!("(SELECT * FROM {staged} AS c WHERE {})", self.is_alive("c", column))
            }
            None => staged.to_owned(),
        })
    }

    /// The staged rows of a nested table, each once: rows of one key may have brought the same ids, and the same lists with
    /// them.
    pub(super) fn once(&self, member: &Member<'_>, staged: &str) -> Result<String> {
        match self.chooses() {
            true => {
                let key = [row_key(member.table)?.name.as_str()];
                self.one_of_each(staged, member, &key, None, None)
            }
            false => Ok(staged.to_owned()),
        }
    }

    /// The column and the order by which one row of a key is chosen.
    fn dedup_sort(&self) -> Option<(&'a str, &'static str)> {
        let column = self.root.table.complete_columns().find(|c| c.has_hint("dedup_sort"))?;
        let order = match column.hints.get("dedup_sort") {
            Some(Json::String(order)) if order == "desc" => "DESC",
            _ => "ASC",
        };
        Some((&column.name, order))
    }

    /// A query for one row of each key, with the columns of the table, where it meets the condition.
    pub(super) fn one_of_each(
        &self,
        staged: &str,
        member: &Member<'_>,
        key: &[&str],
        sort: Option<(&str, &str)>,
        condition: Option<String>,
    ) -> Result<String> {
        let mut order: Vec<String> = sort
            // A row without a value to sort by is the last choice in either order.
            .map(|(column, order)| format!("{} {order} NULLS LAST", self.quote(column)))
            .into_iter()
            .collect();
        match (self.dialect.position(), row_key(member.table)) {
            (Some(position), _) => order.push(format!("{position} DESC")),
            (None, Ok(row_key)) => order.push(self.quote(&row_key.name)),
            // Whichever of them: flat rows without an id have nothing nested that could come from another one.
            (None, Err(_)) => order.extend(key.iter().map(|name| self.quote(name))),
        }
        let columns = self.columns(member);
        Ok(format!(
            "(SELECT {columns} FROM (SELECT {columns}, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {}) AS {number} \
             FROM {staged}) AS numbered WHERE {number} = 1{condition})",
            column_list(self.dialect, key.iter().copied()),
            order.join(", "),
            number = self.quote(NUMBER),
            condition = condition.map(|it| format!(" AND {it}")).unwrap_or_default(),
        ))
    }

    pub(super) fn staged_nested(&self) -> impl Iterator<Item = (&Member<'a>, &str)> {
        self.nested.iter().filter_map(|member| Some((member, member.staged.as_deref()?)))
    }

    /// A query for the ids in a scratch table.
    pub(super) fn ids(&self, scratch: &str) -> Result<String> {
        Ok(format!("SELECT {} FROM {scratch}", self.quote(&row_key(self.root.table)?.name)))
    }

    /// The condition that a nested row stands below one of these root rows. Names no table, so that it holds in any
    /// statement on that table.
    ///
    /// Rows know their root where the chain was merged when they came; those that were appended before know only their
    /// parent.
    pub(super) fn belongs(&self, member: &Member<'_>, side: Side, roots: &str) -> Result<String> {
        let by_parent = || self.belongs_by_parent(member, side, roots);
        let Ok(root_key) = self.link(member, "root_key") else { return by_parent() };
        let by_root = format!("{} IN ({roots})", self.quote(root_key));
        match side {
            Side::Staged => Ok(by_root),
            Side::Final => Ok(format!(
                "({by_root} OR ({} IS NULL AND {}))",
                self.quote(root_key),
                by_parent()?
            )),
        }
    }

    fn belongs_by_parent(&self, member: &Member<'_>, side: Side, roots: &str) -> Result<String> {
        let parent_key = self.quote(self.link(member, "parent_key")?);
        let parent = member.table.parent.as_deref().unwrap_or_default();
        if parent == self.root.table.name {
            return Ok(format!("{parent_key} IN ({roots})"));
        }
        let parent = self.nested.iter().find(|other| other.table.name == parent);
        let rows = parent.and_then(|parent| match side {
            Side::Final => Some((parent, parent.target.as_str())),
            Side::Staged => Some((parent, parent.staged.as_deref()?)),
        });
        // A parent that brought no rows has no children.
        let Some((parent, rows)) = rows else { return Ok("1 = 0".to_owned()) };
        Ok(format!(
            "{parent_key} IN (SELECT {} FROM {rows} WHERE {})",
            self.quote(&row_key(parent.table)?.name),
            self.belongs(parent, side, roots)?
        ))
    }

    pub(super) fn link(&self, member: &Member<'a>, hint: &str) -> Result<&'a str> {
        let mut columns = member.table.complete_columns();
        columns.find(|column| column.has_hint(hint)).map(|column| column.name.as_str()).ok_or_else(
            || {
                Error::new(
                    ErrorKind::Configuration,
                    "the rows of a nested table do not say where they belong",
                )
                .with("table", &member.table.name)
                .with("hint", hint)
                .with_hint(
                    "its schema needs the column `_dlt_parent_id`, as the normaliser makes it",
                )
            },
        )
    }

    /// `EXISTS` of a row with this key in `rows`, which is called `alias` there, for a row that is called `outer`.
    pub(super) fn exists(&self, rows: &str, alias: &str, outer: &str, key: &[&str]) -> String {
        format!("EXISTS (SELECT 1 FROM {rows} AS {alias} WHERE {})", self.equal(alias, outer, key))
    }

    /// The condition that the root table has no row with the key of this one.
    pub(super) fn is_unknown(&self, alias: &str, key: &[&str]) -> String {
        let (target, equal) = (&self.root.target, self.equal("d", alias, key));
        format!("NOT EXISTS (SELECT 1 FROM {target} AS d WHERE {equal}{})", self.within("d", key))
    }

    /// What the bounds of the load say of the rows of the final table that can have one of its keys, as further conditions:
    /// they are true of every row that has one, and let the engine pass over the parts of the table that have none.
    pub(super) fn within(&self, alias: &str, key: &[&str]) -> String {
        let mut conditions = String::new();
        for name in key {
            let known = self.bounds.get(*name).zip(self.root.table.columns.get(*name));
            let Some((bounds, column)) = known else { continue };
            // Without a type there would have been no bounds.
            let Ok(type_name) = self.dialect.type_name(column) else { continue };
            let literal =
                |text: &String| format!("CAST({} AS {type_name})", self.dialect.literal(text));
            let name = format!("{alias}.{}", self.quote(name));
            match (&bounds.distinct, &bounds.least, &bounds.greatest) {
                (Some(distinct), ..) if !distinct.is_empty() => {
                    let values: Vec<String> = distinct.iter().map(literal).collect();
                    conditions.push_str(&format!(" AND {name} IN ({})", values.join(", ")));
                }
                // The bounds of texts are in the order of their bytes, which need not be the engine's.
                (_, Some(least), Some(greatest)) if column.data_type != Some(DataType::Text) => {
                    conditions.push_str(&format!(
                        " AND {name} BETWEEN {} AND {}",
                        literal(least),
                        literal(greatest)
                    ));
                }
                _ => {}
            }
        }
        conditions
    }

    pub(super) fn equal(&self, left: &str, right: &str, key: &[&str]) -> String {
        let equal = |column: &&str| {
            let column = self.quote(column);
            format!("{left}.{column} = {right}.{column}")
        };
        key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    pub(super) fn is_deleted(&self, alias: &str, column: &Column) -> String {
        let name = format!("{alias}.{}", self.quote(&column.name));
        match column.data_type {
            Some(DataType::Bool) => format!("{name} = TRUE"),
            _ => format!("{name} IS NOT NULL"),
        }
    }

    pub(super) fn is_alive(&self, alias: &str, column: &Column) -> String {
        let name = format!("{alias}.{}", self.quote(&column.name));
        match column.data_type {
            Some(DataType::Bool) => format!("({name} IS NULL OR {name} = FALSE)"),
            _ => format!("{name} IS NULL"),
        }
    }

    /// `column = alias.column` for every column of the root.
    pub(super) fn assignments(&self, alias: &str) -> String {
        let assign = |column: &Column| {
            let name = self.quote(&column.name);
            format!("{name} = {alias}.{name}")
        };
        self.root.table.complete_columns().map(assign).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn prefixed(&self, alias: &str, member: &Member<'_>) -> String {
        let prefixed = |column: &Column| format!("{alias}.{}", self.quote(&column.name));
        member.table.complete_columns().map(prefixed).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn columns(&self, member: &Member<'_>) -> String {
        let names = member.table.complete_columns().map(|column| column.name.as_str());
        column_list(self.dialect, names)
    }

    pub(super) fn quote(&self, name: &str) -> String {
        self.dialect.quote(name)
    }
}
