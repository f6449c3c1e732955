//! What differs between two schemas.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use transload_core::{Column, Schema};

/// One thing that is in one schema and not, or otherwise, in the other.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// `table`, `column` or `setting`.
    what: &'static str,
    /// Its name: that of a column behind that of its table.
    name: String,
    /// The property that differs; none where the whole thing is new or gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    property: Option<String>,
    old: Option<Value>,
    new: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let Self { what, name, property, old, new } = self;
        match (property, old, new) {
            (None, None, Some(new)) => write!(f, "+ {what} {name} {}", text(new)),
            (None, Some(old), None) => write!(f, "- {what} {name} {}", text(old)),
            _ => {
                let side = |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), text);
                let property = property.as_deref().unwrap_or_default();
                write!(f, "~ {what} {name} {property}: {} → {}", side(old), side(new))
            }
        }
    }
}

/// The differences, tables in the order of the new schema. What the engine keeps for itself is none.
pub(super) fn differences(old: &Schema, new: &Schema) -> Vec<Difference> {
    let mut found = Vec::new();
    for (settings, other) in [(&old.settings, &new.settings), (&old.normalizers, &new.normalizers)]
    {
        compare("setting", "", fields(settings), fields(other), &mut found);
    }
    for table in new.tables.values() {
        let Some(before) = old.tables.get(&table.name) else {
            found.push(whole("table", &table.name, None, Some(Value::from(""))));
            for column in table.columns.values() {
                found.push(added(&table.name, column));
            }
            continue;
        };
        let own = |table: &transload_core::Table| {
            let mut fields = fields(&serde_json::to_value(table).unwrap_or_default());
            fields.remove("columns");
            fields.remove("x-normalizer");
            fields
        };
        compare("table", &table.name, own(before), own(table), &mut found);
        for column in table.columns.values() {
            let Some(before) = before.columns.get(&column.name) else {
                found.push(added(&table.name, column));
                continue;
            };
            let name = format!("{}.{}", table.name, column.name);
            let own = |column| fields(&serde_json::to_value::<&Column>(column).unwrap_or_default());
            compare("column", &name, own(before), own(column), &mut found);
        }
        for column in before.columns.values().filter(|c| !table.columns.contains_key(&c.name)) {
            let name = format!("{}.{}", table.name, column.name);
            found.push(whole("column", &name, Some(type_of(column)), None));
        }
    }
    for table in old.tables.keys().filter(|name| !new.tables.contains_key(*name)) {
        found.push(whole("table", table, Some(Value::from("")), None));
    }
    found
}

fn added(table: &str, column: &Column) -> Difference {
    whole("column", &format!("{table}.{}", column.name), None, Some(type_of(column)))
}

fn type_of(column: &Column) -> Value {
    let data_type = column.data_type.map_or("not seen yet", |data_type| data_type.as_str());
    Value::from(if column.nullable {
        data_type.to_owned()
    } else {
        format!("{data_type} not null")
    })
}

fn whole(what: &'static str, name: &str, old: Option<Value>, new: Option<Value>) -> Difference {
    Difference { what, name: name.to_owned(), property: None, old, new }
}

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn compare(
    what: &'static str,
    name: &str,
    old: Map<String, Value>,
    new: Map<String, Value>,
    found: &mut Vec<Difference>,
) {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
        found.push(Difference {
            what,
            name: name.to_owned(),
            property: Some(key.clone()),
            old: old.get(key).cloned(),
            new: new.get(key).cloned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transload_core::{DataType, Table, WriteDisposition};

    use super::*;

    #[test]
    fn what_differs_is_told_and_nothing_else() {
        let text = include_str!("../../../core/tests/data/dlt-schema.json");
        let old = Schema::from_json(text).unwrap();
        assert!(differences(&old, &old).is_empty());
        let mut new = old.clone();
        new.settings["schema_contract"] = json!("freeze");
        let players = &mut new.tables["players"];
        players.write_disposition = Some(WriteDisposition::Merge);
        players.hints.insert("x-normalizer".into(), json!({"seen-data": false}));
        let gone = players.columns.pop().unwrap().0;
        players.put(Column::new("born", DataType::Date).not_null());
        players.columns[0].nullable = !players.columns[0].nullable;
        let changed = players.columns[0].name.clone();
        new.tables.shift_remove("players__m");
        let mut table = Table::root("clubs", WriteDisposition::Append);
        table.put(Column::new("id", DataType::Bigint));
        new.tables.insert("clubs".into(), table);
        let told: Vec<String> = differences(&old, &new).iter().map(ToString::to_string).collect();
        let has = |start: &str| told.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(has("~ setting  schema_contract: none → freeze"), 1, "{told:#?}");
        assert_eq!(has("~ table players write_disposition: replace → merge"), 1);
        assert_eq!(has(&format!("- column players.{gone} ")), 1);
        assert_eq!(has("+ column players.born date not null"), 1);
        assert_eq!(has(&format!("~ column players.{changed} nullable: ")), 1);
        assert_eq!(has("- table players__m"), 1);
        assert_eq!(has("+ table clubs") + has("+ column clubs.id bigint"), 2);
        assert_eq!(told.len(), 8, "{told:#?}");
    }
}
