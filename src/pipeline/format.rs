//! The format of the files of a run, as far as it can be told before rows are read.

use transload_core::{Capabilities, DataType, Error, ErrorKind, FileFormat, Result, Schema, Table};

use super::Pipeline;
use crate::load::negotiate::{Side, agree, check_disposition};
use crate::resource::Resource;

impl Pipeline {
    /// What the destination can do with the files, and its name.
    fn side(&self) -> Side<'_, Capabilities> {
        (&self.destination.endpoint.name, self.destination.plugin.capabilities())
    }

    /// The format of the files, and whether each destination can do with every table what is asked. What was loaded before
    /// is known from the stored schema.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](transload_core::ErrorKind::Unsupported) for what cannot be done, [`ErrorKind::Configuration`] for two formats.
    pub(super) fn format(
        &self,
        resources: &[Resource],
        stored: Option<&Schema>,
    ) -> Result<FileFormat> {
        for target in self.targets() {
            check_dispositions(target.side(), resources)?;
        }
        let mut wanted: Option<(&str, FileFormat)> = None;
        for resource in resources {
            match (wanted, resource.loader_file_format) {
                (Some((other, format)), Some(asked)) if asked != format => {
                    return Err(Error::new(
                        ErrorKind::Configuration,
                        "the resources of one run ask for two formats",
                    )
                    .with(other.to_owned(), format)
                    .with(resource.name.clone(), asked)
                    .with_hint("ask for one, or run them apart"));
                }
                (None, Some(asked)) => wanted = Some((&resource.name, asked)),
                _ => {}
            }
        }
        let staging = self.staging.as_ref();
        let staging =
            staging.map(|staging| (staging.endpoint.name.as_str(), staging.plugin.capabilities()));
        let wanted = wanted.map(|(_, format)| format);
        let sides: Vec<_> = self.targets().map(Self::side).collect();
        agree(&sides, staging, wanted, &known_types(resources, stored))
    }
}

/// Whether a destination can do with every table what is asked.
fn check_dispositions(side: Side<'_, Capabilities>, resources: &[Resource]) -> Result<()> {
    for resource in resources {
        let disposition = resource.write_disposition.unwrap_or_default();
        check_disposition(
            side,
            &resource.table,
            disposition,
            resource.merge_strategy,
            resource.replace_strategy,
        )?;
        for (path, hints) in &resource.nested {
            let table = format!("{}.{}", resource.table, path.join("."));
            if let Some(own) = hints.write_disposition {
                let (merge, replace) = (hints.merge_strategy, hints.replace_strategy);
                check_disposition(side, &table, own, merge, replace)?;
            }
        }
    }
    Ok(())
}

/// The types that the rows will have, as far as they are declared or were met before.
fn known_types(resources: &[Resource], stored: Option<&Schema>) -> Vec<DataType> {
    let mut types = Vec::new();
    for resource in resources {
        types.extend(resource.columns.iter().filter_map(|column| column.data_type));
        // What lies deeper stays as it is.
        types.extend(resource.max_table_nesting.map(|_| DataType::Json));
    }
    let Some(schema) = stored else { return types };
    let belongs = |table: &Table| {
        let root = root_of(schema, table);
        resources.iter().any(|resource| {
            root.resource.as_deref() == Some(&resource.name) || root.name == resource.table
        })
    };
    for table in schema.tables.values().filter(|table| belongs(table)) {
        types.extend(table.columns.values().filter_map(|column| column.data_type));
    }
    types
}

fn root_of<'a>(schema: &'a Schema, table: &'a Table) -> &'a Table {
    let mut root = table;
    while let Some(parent) = root.parent.as_ref().and_then(|parent| schema.tables.get(parent)) {
        root = parent;
    }
    root
}

#[cfg(test)]
mod tests {
    use transload_core::{Column, WriteDisposition};

    use super::*;
    use crate::ColumnHints;

    #[test]
    fn types_are_known_from_hints_depth_and_what_was_loaded_before() {
        let plain = Resource::json("t", "{}");
        assert!(known_types(&[plain], None).is_empty());
        let hinted = Resource::json("t", "{}")
            .columns([ColumnHints::new("doc").data_type(DataType::Time)])
            .max_table_nesting(1);
        assert_eq!(known_types(&[hinted], None), [DataType::Time, DataType::Json]);

        let text = r#"{"version":1,"engine_version":11,"name":"s","tables":{}}"#;
        let mut schema = Schema::from_json(text).unwrap();
        let mut nested = Table::nested("t__l", "t");
        nested.put(Column::new("doc", DataType::Json));
        let mut other = Table::root("other", WriteDisposition::Append);
        other.put(Column::new("raw", DataType::Binary));
        for table in [Table::root("t", WriteDisposition::Append), nested, other] {
            schema.tables.insert(table.name.clone(), table);
        }
        let types = known_types(&[Resource::json("t", "{}")], Some(&schema));
        assert_eq!(types, [DataType::Json]);
    }
}
