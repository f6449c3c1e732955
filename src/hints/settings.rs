//! The settings of the pipeline into those of its schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use transload_core::settings::{Setting, SettingKind, SettingValue, Settings};
use transload_core::{DataType, Error, ErrorKind, Result, Schema};

use super::Names;
use super::naming::{ALLOW_CHANGE, BREAK_PATH, choose};
use crate::contract;
use crate::normalize::{Naming, check_pattern, check_settings};
use crate::pipeline::SchemaSettings;

/// The normaliser that this one does the work of.
const RELATIONAL: &str = "dlt.common.normalizers.json.relational";

/// Brings the settings of the pipeline into the schema, and says how names are made. What they do not say stays as it was
/// stored.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a setting that is wrong or cannot go for tables that have data;
/// [`ErrorKind::Unsupported`] for one that means nothing here.
pub(crate) fn configure(
    schema: &mut Schema,
    settings: &SchemaSettings,
    naming: Option<Naming>,
    max_length: usize,
) -> Result<Names> {
    let normalizers = object(&mut schema.normalizers);
    for (key, flag) in [
        (BREAK_PATH, settings.use_break_path_on_normalize),
        (ALLOW_CHANGE, settings.allow_identifier_change_on_table_with_data),
    ] {
        if let Some(flag) = flag {
            normalizers.insert(key.to_owned(), flag.into());
        }
    }
    if let Some(JsonTable(json_normalizer)) = &settings.json_normalizer {
        let stored = object(normalizers.entry("json").or_insert_with(|| json!({})));
        merge(stored, json_normalizer);
        stored.entry("module").or_insert_with(|| RELATIONAL.into());
    }
    check_normalizer(schema)?;
    let names = Names { naming: choose(schema, naming, max_length)?, max_length };

    let stored = object(&mut schema.settings);
    if let Some(contract) = settings.schema_contract {
        stored.insert(contract::HINT.to_owned(), contract.to_value());
    }
    if let Some(detections) = &settings.detections {
        stored.insert("detections".to_owned(), json!(detections));
    }
    if let Some(preferred) = &settings.preferred_types {
        let types = object(stored.entry("preferred_types").or_insert_with(|| json!({})));
        for (pattern, data_type) in preferred {
            let data_type: DataType = serde_json::from_value(Value::from(data_type.as_str()))
                .map_err(|_| {
                    Error::new(ErrorKind::Configuration, "a preferred type is no type")
                        .with("key", "schema.preferred_types")
                        .with("pattern", pattern)
                        .with("type", data_type)
                        .with_hint(format!(
                            "the types are {}",
                            DataType::ALL.map(DataType::as_str).join(", ")
                        ))
                })?;
            types.insert(normalised(pattern, names)?, json!(data_type));
        }
    }
    if let Some(DefaultHints(hints)) = &settings.default_hints {
        let stored = object(stored.entry("default_hints").or_insert_with(|| json!({})));
        for (hint, patterns) in hints {
            let known = stored.entry(hint).or_insert_with(|| json!([]));
            let Some(known) = known.as_array_mut() else { continue };
            for pattern in patterns {
                let pattern = Value::from(normalised(pattern, names)?);
                if !known.contains(&pattern) {
                    known.push(pattern);
                }
            }
        }
    }
    check_settings(schema)?;
    Ok(names)
}

/// What normalises is not for the schema to choose here.
fn check_normalizer(schema: &Schema) -> Result<()> {
    let module = schema.normalizers.get("json").and_then(|json| json.get("module"));
    match module.and_then(Value::as_str) {
        None | Some(RELATIONAL | "relational") => Ok(()),
        Some(module) => Err(Error::new(
            ErrorKind::Unsupported,
            "the schema asks for a normaliser that is not known here",
        )
        .with("schema", &schema.name)
        .with("module", module)
        .with_hint(format!("take `{RELATIONAL}`"))),
    }
}

/// A name is normalised as the names of columns are, also where it is written as an expression; other expressions stay as
/// they are.
///
/// Source: dlt, `normalize_simple_regex_column`.
fn normalised(pattern: &str, names: Names) -> Result<String> {
    check_pattern(pattern)?;
    let Some(text) = pattern.strip_prefix("re:") else { return Ok(names.of(pattern)) };
    let inner = text.strip_prefix('^').and_then(|inner| inner.strip_suffix('$'));
    let name = inner.unwrap_or(text);
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let name = if is_plain { names.of(name) } else { name.to_owned() };
    Ok(match inner {
        Some(_) => format!("re:^{name}$"),
        None => format!("re:{name}"),
    })
}

/// The object that stands here; whatever else stood here makes way.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}

/// Lays one table over another, tables in them as well.
fn merge(stored: &mut Map<String, Value>, given: &Map<String, Value>) {
    for (key, value) in given {
        match (stored.get_mut(key), value) {
            (Some(Value::Object(stored)), Value::Object(given)) => merge(stored, given),
            _ => drop(stored.insert(key.clone(), value.clone())),
        }
    }
}

/// A table of settings, taken as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonTable(pub Map<String, Value>);

/// For each hint the names, or the patterns of names, of the columns that get it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefaultHints(pub BTreeMap<String, Vec<String>>);

fn json_of(value: &SettingValue) -> Value {
    match value {
        SettingValue::Text(text) => Value::from(text.expose()),
        SettingValue::Integer(number) => json!(number),
        SettingValue::Float(number) => json!(number),
        SettingValue::Boolean(truth) => json!(truth),
        SettingValue::List(items) => items.iter().map(json_of).collect(),
        SettingValue::Map(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), json_of(value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

impl Setting for JsonTable {
    const KIND: SettingKind = SettingKind::Map;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        let value = match settings.get(key).ok_or_else(|| settings.missing(key))? {
            SettingValue::Text(text) => serde_json::from_str(text.expose()).unwrap_or(Value::Null),
            value => json_of(value),
        };
        match value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(settings.wrong(key, "expected a table, or a JSON object")),
        }
    }
}

impl Setting for DefaultHints {
    const KIND: SettingKind = SettingKind::Map;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        let JsonTable(map) = JsonTable::read(settings, key)?;
        let patterns = |value: &Value| -> Option<Vec<String>> {
            match value {
                Value::String(pattern) => Some(vec![pattern.clone()]),
                Value::Array(items) => {
                    items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
                }
                _ => None,
            }
        };
        let hints = map.iter().map(|(hint, value)| Some((hint.clone(), patterns(value)?)));
        hints
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| settings.wrong(key, "expected a list of names for each hint"))
    }
}
