//! How many rows each table must get: the rule of nesting, written a second time.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Rows by table, for rows of a root table.
///
/// An element of a list is a row of a table of its own, called after its way from its parent's
/// row; an object on that way is part of the row and adds its key to the name. Names are taken as
/// they stand: the engine's naming rules are not repeated here.
pub(super) fn rows(table: &str, rows: &[Value]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    list(table, rows, &mut counts);
    counts
}

fn list(table: &str, elements: &[Value], counts: &mut BTreeMap<String, u64>) {
    for element in elements {
        *counts.entry(table.to_owned()).or_default() += 1;
        match element {
            Value::Object(fields) => object(table, fields, counts),
            // A list in a list: its rows hang below the row of the outer element.
            Value::Array(inner) => list(&format!("{table}__list"), inner, counts),
            _ => {}
        }
    }
}

fn object(prefix: &str, fields: &Map<String, Value>, counts: &mut BTreeMap<String, u64>) {
    for (key, value) in fields {
        let name = format!("{prefix}__{key}");
        match value {
            Value::Object(inner) => object(&name, inner, counts),
            Value::Array(elements) => list(&name, elements, counts),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn count(data: &Value) -> Vec<(String, u64)> {
        rows("root", data.as_array().unwrap()).into_iter().collect()
    }

    fn named(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
        counts.iter().map(|(table, count)| ((*table).to_owned(), *count)).collect()
    }

    #[test]
    fn an_element_of_a_list_is_a_row() {
        let data = json!([{"tags": ["x", "y"], "name": "a"}, {"tags": [], "name": "b"}]);
        assert_eq!(count(&data), named(&[("root", 2), ("root__tags", 2)]));
    }

    #[test]
    fn objects_on_the_way_add_to_the_name() {
        let data = json!([{"a": {"b": {"items": [{"parts": [1, 2, 3]}, {"parts": [4]}]}}}]);
        assert_eq!(
            count(&data),
            named(&[("root", 1), ("root__a__b__items", 2), ("root__a__b__items__parts", 4)])
        );
    }

    #[test]
    fn an_empty_list_makes_no_table() {
        assert_eq!(count(&json!([{"tags": []}])), named(&[("root", 1)]));
    }
}
