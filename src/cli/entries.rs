//! What a `pipeline.toml` says of tables and columns beforehand.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use transload_core::{DataType, MergeStrategy, WriteDisposition};

use super::file::Texts;
use crate::{ColumnHints, MergeOptions, Reference, SchemaContract, TableHints};

/// A `write_disposition`: a word, or a table with the strategy of the merge and its options.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Disposition {
    pub(super) disposition: WriteDisposition,
    pub(super) strategy: Option<MergeStrategy>,
    pub(super) options: MergeOptions,
}

/// The table that stands for a disposition.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DispositionTable {
    disposition: WriteDisposition,
    strategy: Option<MergeStrategy>,
    deduplicated: Option<bool>,
    validity_column_names: Option<[String; 2]>,
    active_record_timestamp: Option<String>,
    boundary_timestamp: Option<String>,
    row_version_column_name: Option<String>,
}

impl<'de> Deserialize<'de> for Disposition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DispositionVisitor;

        impl<'de> Visitor<'de> for DispositionVisitor {
            type Value = Disposition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a write disposition: append, replace, merge or skip, or a table with `disposition`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Disposition, E> {
                let disposition =
                    WriteDisposition::deserialize(de::value::StrDeserializer::new(word))?;
                Ok(Disposition { disposition, ..Disposition::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Disposition, A::Error> {
                let table = DispositionTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Disposition {
                    disposition: table.disposition,
                    strategy: table.strategy,
                    options: MergeOptions {
                        deduplicated: table.deduplicated,
                        validity_column_names: table.validity_column_names,
                        active_record_timestamp: table.active_record_timestamp,
                        boundary_timestamp: table.boundary_timestamp,
                        row_version_column_name: table.row_version_column_name,
                    },
                })
            }
        }

        deserializer.deserialize_any(DispositionVisitor)
    }
}

/// A column: its type, and any of the hints.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ColumnEntry {
    data_type: Option<DataType>,
    nullable: Option<bool>,
    precision: Option<u32>,
    scale: Option<u32>,
    timezone: Option<bool>,
    /// Checked where hints are applied, which knows them all.
    #[serde(flatten)]
    hints: BTreeMap<String, Value>,
}

/// The columns of an entry, in their order.
pub(super) fn columns(entries: &IndexMap<String, ColumnEntry>) -> Vec<ColumnHints> {
    let column = |(name, entry): (&String, &ColumnEntry)| ColumnHints {
        name: name.clone(),
        data_type: entry.data_type,
        nullable: entry.nullable,
        precision: entry.precision,
        scale: entry.scale,
        timezone: entry.timezone,
        hints: entry.hints.clone(),
    };
    entries.iter().map(column).collect()
}

/// One of the `[[resources.nested_hints]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NestedEntry {
    pub(super) path: Texts,
    write_disposition: Option<Disposition>,
    #[serde(default)]
    primary_key: Texts,
    #[serde(default)]
    merge_key: Texts,
    #[serde(default)]
    columns: IndexMap<String, ColumnEntry>,
    schema_contract: Option<SchemaContract>,
    description: Option<String>,
    table_format: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    hints: BTreeMap<String, Value>,
}

impl NestedEntry {
    pub(super) fn hints(&self) -> TableHints {
        let mut hints = TableHints::new()
            .primary_key(&self.primary_key.0)
            .merge_key(&self.merge_key.0)
            .columns(columns(&self.columns))
            .references(self.references.clone());
        if let Some(disposition) = &self.write_disposition {
            hints = hints
                .write_disposition(disposition.disposition)
                .merge_options(disposition.options.clone());
            hints.merge_strategy = disposition.strategy;
        }
        hints.schema_contract = self.schema_contract;
        hints.table_format = self.table_format.clone();
        if let Some(text) = &self.description {
            hints = hints.description(text);
        }
        self.hints.iter().fold(hints, |hints, (name, value)| hints.hint(name, value.clone()))
    }
}
