//! Schema contracts: whether data may add tables and columns and change types, and what happens to it where it may not.
//!
//! Source: dlt, "Schema and data contracts"; `Schema.resolve_contract_settings_for_table`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use transload_core::settings::{Setting, SettingKind, SettingValue, Settings};
use transload_core::{Error, ErrorKind, Result, Schema};

/// What happens to data that would change the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContractMode {
    /// The schema follows the data.
    #[default]
    Evolve,
    /// The load is refused.
    Freeze,
    /// The row is left out, with the rows nested in it.
    DiscardRow,
    /// The value is left out; the rest of its row is loaded.
    DiscardValue,
}

impl ContractMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Evolve, Self::Freeze, Self::DiscardRow, Self::DiscardValue];

    /// The name in schemas and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evolve => "evolve",
            Self::Freeze => "freeze",
            Self::DiscardRow => "discard_row",
            Self::DiscardValue => "discard_value",
        }
    }
}

impl fmt::Display for ContractMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContractMode {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word.trim()).ok_or_else(|| {
            refused().with("mode", word).with_hint(format!("the modes are {}", modes()))
        })
    }
}

/// One mode for each thing that data can change.
///
/// Written as one word for all three, or as a table of those that differ from `evolve`:
///
/// ```
/// use transload::{ContractMode, SchemaContract};
///
/// let frozen: SchemaContract = "freeze".parse()?;
/// assert_eq!(frozen, SchemaContract::from(ContractMode::Freeze));
/// let contract: SchemaContract = r#"{"columns": "discard_row"}"#.parse()?;
/// assert_eq!((contract.tables, contract.columns), (ContractMode::Evolve, ContractMode::DiscardRow));
/// # Ok::<(), transload::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SchemaContract {
    /// Tables that are not there, or that have no complete column.
    pub tables: ContractMode,
    /// Columns that are not there; a table that is new gets its columns all the same.
    pub columns: ContractMode,
    /// Variant columns, and changes of what a column can hold.
    pub data_type: ContractMode,
}

impl From<ContractMode> for SchemaContract {
    fn from(mode: ContractMode) -> Self {
        Self { tables: mode, columns: mode, data_type: mode }
    }
}

impl SchemaContract {
    const ENTITIES: [&'static str; 3] = ["tables", "columns", "data_type"];

    /// Whether nothing is held back.
    pub fn evolves(self) -> bool {
        self == Self::default()
    }

    /// The contract of a table: its own, or that of the nearest table around it, or the schema's, or none. A table
    /// that is not in the schema has the schema's; for one that data brings see [`SchemaContract::of_nested`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a stored contract that is none.
    pub fn of(schema: &Schema, table: &str) -> Result<Self> {
        if is_system(table) {
            return Ok(Self::default());
        }
        let mut next = Some(table);
        // A chain is never longer than the number of tables; the bound keeps a damaged schema from looping.
        for _ in 0..=schema.tables.len() {
            let Some(table) = next.and_then(|name| schema.tables.get(name)) else { break };
            if let Some(own) = table.hints.get(HINT) {
                return Self::from_value(own).map_err(|error| error.with("table", &table.name));
            }
            next = table.parent.as_deref();
        }
        match schema.settings.get(HINT) {
            Some(setting) => {
                Self::from_value(setting).map_err(|error| error.with("schema", &schema.name))
            }
            None => Ok(Self::default()),
        }
    }

    /// The contract of a table that may be new and would be nested in `parent`.
    ///
    /// # Errors
    /// As [`SchemaContract::of`].
    pub fn of_nested(schema: &Schema, table: &str, parent: Option<&str>) -> Result<Self> {
        match parent {
            Some(parent) if !schema.tables.contains_key(table) => Self::of(schema, parent),
            _ => Self::of(schema, table),
        }
    }

    /// Reads the form in which schemas have it: a word or a table of words; null is no contract.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a mode or a key that does not exist.
    pub fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::String(word) => Ok(word.parse::<ContractMode>()?.into()),
            Value::Object(map) => {
                let words = map.iter().map(|(entity, mode)| {
                    mode.as_str()
                        .map(|mode| (entity.as_str(), mode))
                        .ok_or_else(|| refused().with(entity.clone(), mode).with_hint(usage()))
                });
                Self::from_words(words.collect::<Result<Vec<_>>>()?)
            }
            other => Err(refused().with("value", other).with_hint(usage())),
        }
    }

    fn from_words<'w>(words: impl IntoIterator<Item = (&'w str, &'w str)>) -> Result<Self> {
        let mut contract = Self::default();
        for (entity, mode) in words {
            let place = match entity {
                "tables" => &mut contract.tables,
                "columns" => &mut contract.columns,
                "data_type" => &mut contract.data_type,
                _ => {
                    return Err(refused()
                        .with("key", entity)
                        .with_hint(format!("the keys are {}", Self::ENTITIES.join(", "))));
                }
            };
            *place = mode.parse().map_err(|error: Error| error.with("key", entity))?;
        }
        Ok(contract)
    }

    /// The form in which schemas have it: a word where all three are the same, else the modes that hold something back.
    pub fn to_value(self) -> Value {
        let modes = [self.tables, self.columns, self.data_type];
        if modes[1..].iter().all(|mode| *mode == modes[0]) {
            return Value::from(modes[0].as_str());
        }
        let held = Self::ENTITIES.into_iter().zip(modes);
        let held = held.filter(|(_, mode)| *mode != ContractMode::Evolve);
        Value::Object(
            held.map(|(entity, mode)| (entity.to_owned(), mode.as_str().into()))
                .collect::<Map<_, _>>(),
        )
    }
}

/// The hint of a table, and the setting of a schema, under which a contract is stored.
pub(crate) const HINT: &str = "schema_contract";

/// dlt's own tables and columns are never held back, whatever the case of their names.
pub(crate) fn is_system(name: &str) -> bool {
    name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("_dlt"))
}

fn refused() -> Error {
    Error::new(ErrorKind::Configuration, "there is no such schema contract")
}

fn modes() -> String {
    ContractMode::ALL.map(ContractMode::as_str).join(", ")
}

fn usage() -> String {
    format!(
        "give one of {}, or a table with some of the keys {}",
        modes(),
        SchemaContract::ENTITIES.join(", ")
    )
}

impl FromStr for SchemaContract {
    type Err = Error;

    /// A word, `{"columns": "freeze"}` as JSON, or `columns=freeze,data_type=discard_value`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            let value = serde_json::from_str(text)
                .map_err(|error| refused().with("value", text).with_source(error))?;
            return Self::from_value(&value);
        }
        if !text.contains('=') {
            return Ok(text.parse::<ContractMode>()?.into());
        }
        let pairs = text.split(',').map(|pair| {
            let (entity, mode) = pair.split_once('=').unwrap_or((pair, ""));
            (entity.trim(), mode.trim())
        });
        Self::from_words(pairs)
    }
}

impl fmt::Display for SchemaContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_value() {
            Value::String(word) => f.write_str(&word),
            _ => {
                let [tables, columns, data_type] = [self.tables, self.columns, self.data_type];
                write!(f, "tables={tables},columns={columns},data_type={data_type}")
            }
        }
    }
}

impl Serialize for SchemaContract {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SchemaContract {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContractVisitor;

        fn spoken<E: de::Error>(error: &Error) -> E {
            let word = error.context("mode").or(error.context("key")).unwrap_or_default();
            E::custom(format!(
                "no such schema contract: `{word}`; {}",
                error.hint().unwrap_or_default()
            ))
        }

        impl<'de> Visitor<'de> for ContractVisitor {
            type Value = SchemaContract;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a schema contract: ")?;
                f.write_str(&usage())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<SchemaContract, E> {
                word.parse().map_err(|error| spoken(&error))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SchemaContract, A::Error> {
                let mut words: Vec<(String, String)> = Vec::new();
                while let Some(word) = map.next_entry()? {
                    words.push(word);
                }
                SchemaContract::from_words(words.iter().map(|(e, m)| (e.as_str(), m.as_str())))
                    .map_err(|error| spoken(&error))
            }
        }

        deserializer.deserialize_any(ContractVisitor)
    }
}

impl Setting for SchemaContract {
    const KIND: SettingKind = SettingKind::Map;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        let text = |value: &SettingValue| match value {
            SettingValue::Text(text) => Ok(text.expose().to_owned()),
            other => Err(format!("expected a text, found a {}", other.kind())),
        };
        let read = match settings.get(key).ok_or_else(|| settings.missing(key))? {
            SettingValue::Map(map) => map
                .iter()
                .map(|(entity, mode)| Ok((entity.clone(), text(mode)?)))
                .collect::<Result<Vec<_>, String>>()
                .map(|words| Self::from_words(words.iter().map(|(e, m)| (e.as_str(), m.as_str())))),
            value => text(value).map(|text| text.parse()),
        };
        let reason = |error: Error| match error.hint() {
            Some(hint) => format!("{}; {hint}", error.message()),
            None => error.message().to_owned(),
        };
        match read {
            Ok(Ok(contract)) => Ok(contract),
            Ok(Err(error)) => Err(settings.wrong(key, reason(error))),
            Err(error) => Err(settings.wrong(key, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transload_core::{Table, WriteDisposition};

    use super::*;
    use crate::hints::new_schema;
    use crate::normalize::Naming;

    const FREEZE: ContractMode = ContractMode::Freeze;

    fn contract(value: Value) -> Result<SchemaContract> {
        SchemaContract::from_value(&value)
    }

    #[test]
    fn a_word_stands_for_all_and_a_table_is_completed_with_evolve() {
        for mode in ContractMode::ALL {
            assert_eq!(contract(json!(mode.as_str())).unwrap(), SchemaContract::from(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), json!(mode.as_str()));
        }
        let partial = contract(json!({"columns": "discard_row", "data_type": "freeze"})).unwrap();
        assert_eq!(partial.tables, ContractMode::Evolve);
        assert_eq!(partial.columns, ContractMode::DiscardRow);
        assert_eq!(partial.data_type, FREEZE);
        assert_eq!(partial.to_value(), json!({"columns": "discard_row", "data_type": "freeze"}));
        assert_eq!(
            "columns=discard_row, data_type=freeze".parse::<SchemaContract>().unwrap(),
            partial
        );
        assert_eq!(partial.to_string().parse::<SchemaContract>().unwrap(), partial);
        assert_eq!(r#"{"tables":"freeze"}"#.parse::<SchemaContract>().unwrap().tables, FREEZE);
        assert!(contract(json!({})).unwrap().evolves() && contract(Value::Null).unwrap().evolves());
        assert_eq!(SchemaContract::from(FREEZE).to_value(), json!("freeze"));
    }

    #[test]
    fn unknown_words_are_refused_with_those_that_there_are() {
        for (value, named) in [
            (json!("frozen"), "discard_row"),
            (json!({"columns": "Freeze"}), "discard_value"),
            (json!({"rows": "freeze"}), "data_type"),
            (json!({"columns": 1}), "evolve"),
            (json!(["freeze"]), "tables"),
        ] {
            let error = contract(value.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{value}");
            assert!(error.hint().unwrap().contains(named), "{error:?}");
        }
        let error = serde_json::from_str::<SchemaContract>(r#"{"tables": "no"}"#).unwrap_err();
        assert!(
            error.to_string().contains("`no`") && error.to_string().contains("freeze"),
            "{error}"
        );
        assert!("columns".parse::<SchemaContract>().is_err());
        assert!("columns=".parse::<SchemaContract>().is_err());
    }

    #[test]
    fn the_nearest_contract_counts_and_system_tables_have_none() {
        let mut schema = new_schema("s", Naming::SnakeCase);
        let mut table = Table::root("t", WriteDisposition::Append);
        table.hints.insert(HINT.into(), json!({"columns": "freeze"}));
        schema.tables.insert("t".into(), table);
        schema.tables.insert("t__l".into(), Table::nested("t__l", "t"));
        let mut inner = Table::nested("t__l__m", "t__l");
        inner.hints.insert(HINT.into(), json!("discard_row"));
        schema.tables.insert("t__l__m".into(), inner);
        schema.settings[HINT] = json!("discard_value");
        let of = |table| SchemaContract::of(&schema, table).unwrap();
        let by_columns = SchemaContract { columns: FREEZE, ..Default::default() };
        assert_eq!(of("t"), by_columns);
        assert_eq!(of("t__l"), by_columns);
        assert_eq!(of("t__l__m"), ContractMode::DiscardRow.into());
        assert_eq!(of("other"), ContractMode::DiscardValue.into());
        assert!(of("_dlt_loads").evolves() && of("_DLT_VERSION").evolves());
        let nested = |table, parent| SchemaContract::of_nested(&schema, table, parent).unwrap();
        assert_eq!(nested("t__new", Some("t")), by_columns);
        assert_eq!(nested("t__l__m", Some("t")), ContractMode::DiscardRow.into());
        assert_eq!(nested("new", None), ContractMode::DiscardValue.into());

        let mut broken = schema.clone();
        broken.tables["t"].hints.insert(HINT.into(), json!("nothing"));
        let error = SchemaContract::of(&broken, "t__l").unwrap_err();
        assert_eq!((error.context("table"), error.context("mode")), (Some("t"), Some("nothing")));
    }

    #[test]
    fn a_setting_is_a_word_or_a_table() {
        let read = |text: &str| {
            Settings::from_pairs("schema", &[("c", text)])
                .values
                .get("c")
                .map(|_| SchemaContract::read(&Settings::from_pairs("schema", &[("c", text)]), "c"))
                .unwrap()
        };
        assert_eq!(read("freeze").unwrap(), FREEZE.into());
        assert_eq!(read("columns=freeze").unwrap().columns, FREEZE);
        let error = read("never").unwrap_err();
        assert!(error.context("reason").unwrap().contains("evolve"), "{error:?}");
    }
}
