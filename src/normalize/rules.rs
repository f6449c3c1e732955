//! What the settings of a schema say about columns that are not in it yet: detections, preferred types, default hints.

use serde_json::Value as Json;
use transload_core::{Column, DataType, Error, ErrorKind, Result, Schema};

use super::coerce::Value;
use super::timestamp::parse_timestamp;

/// The rules for new columns.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Whether text that is a point in time makes a timestamp column.
    detect_timestamps: bool,
    preferred_types: Vec<(Pattern, DataType)>,
    /// Hint and the names that get it.
    default_hints: Vec<(String, Vec<Pattern>)>,
}

/// A name, or a part of one: what dlt calls a simple regex, without the regex.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    at_start: bool,
    at_end: bool,
}

impl Rules {
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a rule that needs a regular expression.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let settings = &schema.settings;
        let detect_timestamps = match settings.get("detections") {
            Some(Json::Array(names)) => names.iter().any(|name| name == "iso_timestamp"),
            _ => true,
        };
        let mut preferred_types = Vec::new();
        for (pattern, data_type) in
            settings.get("preferred_types").and_then(Json::as_object).into_iter().flatten()
        {
            let data_type = serde_json::from_value(data_type.clone()).map_err(|error| {
                Error::new(ErrorKind::Configuration, "a preferred type is no type")
                    .with("pattern", pattern)
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
        Ok(Self { detect_timestamps, preferred_types, default_hints })
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
        let data_type = preferred.unwrap_or_else(|| match value {
            Value::Text(text) if self.detect_timestamps && parse_timestamp(text).is_some() => {
                DataType::Timestamp
            }
            value => value.data_type(),
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

fn matches_any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let Some(expression) = text.strip_prefix("re:") else {
            return Ok(Self { text: text.to_owned(), at_start: true, at_end: true });
        };
        let (at_start, rest) = match expression.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, expression),
        };
        let (at_end, literal) = match rest.strip_suffix('$') {
            Some(literal) => (true, literal),
            None => (false, rest),
        };
        if literal.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Ok(Self { text: literal.to_owned(), at_start, at_end });
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "the schema's settings have a rule with a regular expression",
        )
        .with("pattern", text)
        .with_hint("give names, or `re:^prefix`, `re:suffix$`, `re:part`"))
    }

    fn matches(&self, name: &str) -> bool {
        match (self.at_start, self.at_end) {
            (true, true) => name == self.text,
            (true, false) => name.starts_with(&self.text),
            (false, true) => name.ends_with(&self.text),
            (false, false) => name.contains(&self.text),
        }
    }
}
