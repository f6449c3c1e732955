//! What the settings of a schema say about columns that are not in it yet: detections, preferred types, default hints.
//!
//! Source: dlt, `Schema._compile_settings`, `_infer_column_type`, `_infer_column`.

mod detections;
mod patterns;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde_json::Value as Json;
use transload_core::{Column, DataType, Error, ErrorKind, Result, Schema};

use super::coerce::Value;
use super::timestamp;
use detections::{Detection, Now};
use patterns::Pattern;

/// The rules for new columns.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// In their order: the first that says something is heard.
    detections: Vec<Detection>,
    now: Now,
    preferred_types: Vec<(Pattern, DataType)>,
    /// Hint and the names that get it.
    default_hints: Vec<(String, Vec<Pattern>)>,
}

impl Rules {
    /// # Errors
    /// [`ErrorKind::Configuration`] for a setting that is wrong; [`ErrorKind::Unsupported`] for one that cannot be
    /// followed here.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let settings = &schema.settings;
        let names = |place: &Json| match place.get("detections") {
            Some(Json::Array(names)) if !names.is_empty() => Some(names.clone()),
            _ => None,
        };
        let names = names(settings).or_else(|| names(&schema.normalizers)).unwrap_or_default();
        let detections = names.iter().map(Detection::of).collect::<Result<_>>()?;
        let mut preferred_types = Vec::new();
        for (pattern, data_type) in
            settings.get("preferred_types").and_then(Json::as_object).into_iter().flatten()
        {
            let data_type = serde_json::from_value(data_type.clone()).map_err(|error| {
                Error::new(ErrorKind::Configuration, "a preferred type is no type")
                    .with("pattern", pattern)
                    .with_hint(format!(
                        "the types are {}",
                        DataType::ALL.map(DataType::as_str).join(", ")
                    ))
                    .with_source(error)
            })?;
            preferred_types.push((Pattern::new(pattern)?, data_type));
        }
        let mut default_hints = Vec::new();
        for (hint, patterns) in
            settings.get("default_hints").and_then(Json::as_object).into_iter().flatten()
        {
            let patterns = patterns.as_array().into_iter().flatten().filter_map(Json::as_str);
            default_hints.push((hint.clone(), patterns.map(Pattern::new).collect::<Result<_>>()?));
        }
        check_propagation(schema)?;
        for table in schema.tables.values() {
            check_filters(table.name.as_str(), table.hints.get("filters"))?;
        }
        Ok(Self { detections, now: Now::at(SystemTime::now()), preferred_types, default_hints })
    }

    /// The type that the settings give to a column of this name.
    pub(super) fn preferred_type(&self, name: &str) -> Option<DataType> {
        self.preferred_types
            .iter()
            .find(|(pattern, _)| pattern.matches(name))
            .map(|(_, data_type)| *data_type)
    }

    /// Whether a new column of this name is NOT NULL.
    pub(super) fn is_not_null(&self, name: &str) -> bool {
        self.default_hints
            .iter()
            .any(|(hint, patterns)| hint == "not_null" && matches_any(patterns, name))
    }

    /// A new column for this value. A variant column takes the type of its value, whatever the settings prefer.
    pub(super) fn new_column(&self, name: &str, value: &Value<'_>, is_variant: bool) -> Column {
        let preferred = if is_variant { None } else { self.preferred_type(name) };
        let data_type = preferred.unwrap_or_else(|| {
            let detected = self.detections.iter().find_map(|found| found.detect(value, self.now));
            detected.unwrap_or_else(|| value.data_type())
        });
        let mut column = Column::new(name, data_type);
        if matches!(value, Value::Wide(_)) && data_type == DataType::Decimal {
            column.precision = Some(super::coerce::WIDE_DIGITS);
            column.scale = Some(0);
        }
        for (hint, patterns) in &self.default_hints {
            if matches_any(patterns, name) {
                if hint == "not_null" {
                    column.nullable = false;
                } else {
                    column = column.with_hint(hint);
                }
            }
        }
        if is_variant { column.with_hint("variant") } else { column }
    }
}

/// Columns that nested rows would get from the rows above them must not be missing without a word. Only the id of the
/// root is carried, see [`super::root::propagates`].
fn check_propagation(schema: &Schema) -> Result<()> {
    let config = schema.normalizers.get("json").and_then(|json| json.get("config"));
    let Some(propagation) = config.and_then(|config| config.get("propagation")) else {
        return Ok(());
    };
    let of_tables = propagation.get("tables").and_then(Json::as_object).into_iter().flatten();
    let of_tables = of_tables.map(|(table, mapping)| (table.as_str(), mapping));
    let of_roots = propagation.get("root").map(|mapping| ("every root table", mapping));
    let is_root_id = |from: &str, to: &Json| {
        let (from, to) = (from.to_lowercase(), to.as_str().unwrap_or_default().to_lowercase());
        from.ends_with("dlt_id") && to.ends_with("dlt_root_id")
    };
    for (table, mapping) in of_roots.into_iter().chain(of_tables) {
        let foreign = mapping.as_object().into_iter().flatten();
        if let Some((from, to)) = foreign.into_iter().find(|(from, to)| !is_root_id(from, to)) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the schema gives columns of a row to the rows nested in it, which cannot be done here",
            )
            .with("table", table)
            .with("column", from)
            .with("becomes", to)
            .with_hint(
                "take it out of `propagation` in the schema's `json` normaliser, and join by `_dlt_parent_id` or \
                 `_dlt_root_id`",
            ));
        }
    }
    Ok(())
}

/// Rows that a filter would leave out must not be loaded as if there were none.
fn check_filters(table: &str, filters: Option<&Json>) -> Result<()> {
    let excludes = filters.and_then(|filters| filters.get("excludes")).and_then(Json::as_array);
    match excludes {
        Some(excludes) if !excludes.is_empty() => Err(Error::new(
            ErrorKind::Unsupported,
            "the schema leaves out parts of rows by filters, which cannot be done here",
        )
        .with("table", table)
        .with_hint("take the `filters` out of the schema and leave the keys out of the rows")),
        _ => Ok(()),
    }
}

fn matches_any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// Whether a text can stand for names of columns: a name, or `re:` and a regular expression.
///
/// # Errors
/// [`ErrorKind::Configuration`] or [`ErrorKind::Unsupported`] where it cannot.
pub(crate) fn check_pattern(text: &str) -> Result<()> {
    Pattern::new(text).map(drop)
}

/// Whether the settings of a schema can be followed.
///
/// # Errors
/// [`ErrorKind::Configuration`] or [`ErrorKind::Unsupported`] where they cannot.
pub(crate) fn check_settings(schema: &Schema) -> Result<()> {
    Rules::of(schema).map(drop)
}

/// A point in time or a date in one form, in UTC: `2024-01-31T12:00:00.000000Z`. None for any other text.
pub(crate) fn moment(text: &str) -> Option<String> {
    let micros = match timestamp::parse_timestamp(text) {
        Some(micros) => micros,
        None if timestamp::is_date(text) => timestamp::timestamp_from_text(text)?,
        None => return None,
    };
    let moment = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(jiff::Span::new().try_microseconds(micros).ok()?)
        .ok()?;
    Some(moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
}
