//! From what a resource says of its table, and the settings of the schema, to the schema.

mod check;
mod declared;
mod merge;
mod naming;
mod settings;
mod system;
mod table;
#[cfg(test)]
mod tests;
mod unbound;

use transload_core::{Error, ErrorKind, Result, Schema, WriteDisposition};

pub use declared::{ColumnHints, MergeOptions, Reference, TableHints};
pub(crate) use naming::naming_from;
pub(crate) use settings::configure;
pub use settings::{DefaultHints, JsonTable};
pub(crate) use system::{add_state_table, new_schema, schema_name};
pub(crate) use unbound::{unbound, unbound_column};

use crate::contract::is_system;
use crate::incremental::Incremental;
use crate::normalize::{Naming, check_merge, note_root_key};
use crate::resource::Resource;

/// How the names of this load are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The convention.
    pub(crate) naming: Naming,
    /// Characters of the longest name.
    pub(crate) max_length: usize,
}

impl Names {
    fn of(self, name: &str) -> String {
        self.naming.normalize_path(name, self.max_length)
    }

    fn table(self, name: &str) -> String {
        self.naming.normalize_table_path(name, self.max_length)
    }
}

/// Brings the hints of a resource into the schema and returns the name of its table.
///
/// # Errors
/// [`ErrorKind::Configuration`] where a name is empty or is one of the system's own, where the table is nested in another,
/// and where hints are wrong; [`ErrorKind::BadData`] where the schema's contract forbids them.
pub(crate) fn apply(schema: &mut Schema, resource: &Resource, names: Names) -> Result<String> {
    let of_resource = |error: Error| error.with("resource", &resource.name);
    let refused = |message: &'static str| {
        of_resource(Error::new(ErrorKind::Configuration, message)).with("table", &resource.table)
    };
    if resource.table.trim().is_empty() {
        return Err(
            refused("a table needs a name").with_hint("give the resource a name, or a `table`")
        );
    }
    let name = names.table(&resource.table);
    if is_system(&name) || name.starts_with("_transload") {
        return Err(refused("the name of the table belongs to the system tables")
            .with("code", "E_RESERVED_NAME")
            .with_hint("names must not begin with `_dlt` or `_transload`"));
    }
    let mut partial = table::partial(name.clone(), &of(resource), names).map_err(of_resource)?;
    partial.resource = Some(resource.name.clone());
    // What a run does not ask for is not taken from an earlier one: `replace` and `merge` destroy rows.
    partial.write_disposition = Some(resource.write_disposition.unwrap_or_default());
    merge::merge(schema, partial).map_err(of_resource)?;
    if let (Some(levels), Some(table)) = (resource.max_table_nesting, schema.tables.get_mut(&name))
    {
        merge::put_processing_hint(table, "max_nesting", levels.into());
    }
    apply_nested(schema, resource, &name, names).map_err(of_resource)?;
    let own = own_tables(schema, resource, &name, names);
    // What cannot be merged is said before a row is read.
    for table in std::iter::once(&name).chain(&own) {
        if let Some(known) = schema.tables.get(table) {
            check::hints_of(known).map_err(of_resource)?;
        }
        check_merge(schema, table, names.naming, names.max_length).map_err(of_resource)?;
        note_root_key(schema, table, names.naming, names.max_length);
    }
    Ok(name)
}

/// The nested tables of a resource that its hints made tables of their own: no rows link them to `root`.
pub(crate) fn own_tables(
    schema: &Schema,
    resource: &Resource,
    root: &str,
    names: Names,
) -> Vec<String> {
    let name = |(path, _): &(Vec<String>, TableHints)| nested_name(root, path, names);
    let is_own =
        |name: &String| schema.tables.get(name).is_some_and(|table| table.parent.is_none());
    resource.nested.iter().map(name).filter(is_own).collect()
}

/// The name of a table nested in another, by the keys of the lists.
fn nested_name(root: &str, path: &[String], names: Names) -> String {
    let parts: Vec<&str> = std::iter::once(root).chain(path.iter().map(String::as_str)).collect();
    names.table(&parts.join(names.naming.separator()))
}

/// The hints for tables nested in that of a resource, those farther out first.
fn apply_nested(schema: &mut Schema, resource: &Resource, root: &str, names: Names) -> Result<()> {
    let mut nested: Vec<&(Vec<String>, TableHints)> = resource.nested.iter().collect();
    nested.sort_by_key(|(path, _)| path.len());
    let root_disposition = resource.write_disposition.unwrap_or_default();
    for (path, hints) in nested {
        if path.iter().all(|part| part.trim().is_empty()) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "hints for a nested table need its path",
            )
            .with_hint("name the keys of the lists: `path = [\"items\", \"taxes\"]`"));
        }
        let name = nested_name(root, path, names);
        let parent = nested_name(root, &path[..path.len() - 1], names);
        let mut partial = table::partial(name.clone(), hints, names)?;
        let is_key = |hint: &str| {
            partial.columns.values().any(|column| column.hints.get(hint) == Some(&true.into()))
        };
        // A table with a key of its own is not linked to the rows around it. As dlt's.
        if is_key("primary_key") || is_key("merge_key") {
            partial.resource = Some(resource.name.clone());
            partial.write_disposition.get_or_insert(WriteDisposition::Append);
        } else {
            if let Some(own) = hints.write_disposition
                && own != root_disposition
            {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "a nested table has another write disposition than the table around it",
                )
                .with("table", &name)
                .with("write disposition", own)
                .with("that of its root", root_disposition)
                .with_hint(
                    "give it a primary key or a merge key, which makes it a table of its own",
                ));
            }
            partial.parent = Some(parent);
        }
        merge::merge(schema, partial)?;
    }
    Ok(())
}

/// The hints of a resource for its own table.
fn of(resource: &Resource) -> TableHints {
    TableHints {
        write_disposition: resource.write_disposition,
        merge_strategy: resource.merge_strategy,
        merge: resource.merge_options.clone(),
        replace_strategy: resource.replace_strategy,
        primary_key: resource.primary_key.clone(),
        merge_key: resource.merge_key.clone(),
        incremental: resource.incremental.as_ref().and_then(Incremental::column),
        columns: resource.columns.clone(),
        schema_contract: resource.schema_contract,
        ..resource.hints.clone()
    }
}
