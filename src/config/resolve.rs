//! From places to [`Settings`]: every key of a plugin or of a section of the engine.

use std::collections::BTreeMap;

use transload_core::settings::{
    Origin, Setting, SettingGroup, SettingKey, SettingKind, SettingValue, Settings, join_key,
};
use transload_core::{Error, ErrorKind, Result};

use super::Layers;
use super::lookup::{Accept, Scope};
use super::unknown;

/// The driver in a connection string. It says nothing that the destination does not know.
const DRIVER: &str = "drivername";

impl Layers {
    /// The settings of the destination, or staging destination, that is configured under this name.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where `[destination.<name>]` has a key that is none of these, or where a text that
    /// stands for a table cannot be taken apart. A missing or wrong value is found when the settings are read.
    pub fn resolve(&self, pipeline: &str, name: &str, keys: &[SettingKey]) -> Result<Settings> {
        Ok(self.resolve_destination(pipeline, name, keys)?.0)
    }

    /// A warning for each key of `[destination.<name>]` that dlt knows and that means nothing here, with its place.
    /// Empty where [`Layers::resolve`] fails.
    pub fn ignored(&self, pipeline: &str, name: &str, keys: &[SettingKey]) -> Vec<String> {
        self.resolve_destination(pipeline, name, keys).map(|found| found.1).unwrap_or_default()
    }

    fn resolve_destination(
        &self,
        pipeline: &str,
        name: &str,
        keys: &[SettingKey],
    ) -> Result<(Settings, Vec<String>)> {
        let plugin = self.destination_type(pipeline, name);
        let plugin = plugin.map_or_else(|| name.to_owned(), |(plugin, _)| plugin);
        let mut ignored = unknown::check(self, pipeline, name, &plugin, keys)?;
        let sections = &["destination", name];
        let settings = self.settings(pipeline, sections, keys, &plugin, &mut ignored)?;
        Ok((settings, ignored))
    }

    /// The settings of a section of the engine. The sections are dropped from the right, as in [`Layers::get`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a text that stands for a table cannot be taken apart.
    pub fn resolve_section(
        &self,
        pipeline: &str,
        sections: &[&str],
        keys: &[SettingKey],
    ) -> Result<Settings> {
        self.settings(pipeline, sections, keys, "", &mut Vec::new())
    }

    fn settings(
        &self,
        pipeline: &str,
        sections: &[&str],
        keys: &[SettingKey],
        plugin: &str,
        ignored: &mut Vec<String>,
    ) -> Result<Settings> {
        let mut settings = Settings {
            name: sections.last().copied().unwrap_or_default().to_owned(),
            section: Some(sections.join(".")),
            pipeline: pipeline.to_owned(),
            folder: self.folder().to_owned(),
            environment: self.environment.handed_on(),
            ..Settings::default()
        };
        let scope = Scope { pipeline, sections };
        self.fill(&mut settings, scope, "", keys, &mut Dlt { plugin, ignored })?;
        Ok(settings)
    }

    /// Reads a section of the engine into the struct that [`settings!`](transload_core::settings!) declared.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for the first value that is missing or wrong.
    pub fn read_section<T: Setting>(&self, pipeline: &str, sections: &[&str]) -> Result<T> {
        let keys = match T::KIND {
            SettingKind::Group(group) => group.keys,
            _ => &[],
        };
        self.resolve_section(pipeline, sections, keys)?.read()
    }

    fn fill(
        &self,
        settings: &mut Settings,
        scope: Scope<'_>,
        above: &str,
        keys: &[SettingKey],
        dlt: &mut Dlt<'_>,
    ) -> Result<()> {
        for key in keys {
            let name = join_key(above, key.name);
            settings.looked_at.insert(name.clone(), self.looked_at(scope, &name));
            match key.kind {
                SettingKind::Group(group) => {
                    self.fill(settings, scope, &name, group.keys, dlt)?;
                    self.fill_from_text(settings, scope, &name, group, dlt)?;
                }
                SettingKind::Map => {
                    let found = self.find(scope, &name, Accept::All);
                    settings.values.extend(found.map(|found| (name, found)));
                }
                _ => {
                    let found = self.find(scope, &name, Accept::NoTables);
                    settings.values.extend(found.map(|found| (name, found)));
                }
            }
        }
        Ok(())
    }

    /// Where a text stands for a table, its parts go before keys of that table, as in dlt. Also as in dlt, the text is
    /// not seen if a table is found before it.
    fn fill_from_text(
        &self,
        settings: &mut Settings,
        scope: Scope<'_>,
        name: &str,
        group: SettingGroup,
        dlt: &mut Dlt<'_>,
    ) -> Result<()> {
        let Some((value, origin)) = self.find(scope, name, Accept::NoTablesOfCode) else {
            return Ok(());
        };
        let parts = match value {
            SettingValue::Map(_) => {
                if let Some((_, text)) = self.find(scope, name, Accept::NoTables) {
                    let note =
                        format!("not the text from {text}: the table from {origin} hides it");
                    note_below(settings, name, &note);
                }
                return Ok(());
            }
            SettingValue::Text(text) => {
                let mut passed_over = |part: &str| {
                    let key = join_key(name, part);
                    let path: Vec<&str> = key.split('.').collect();
                    let is_of_dlt = unknown::of_dlt(dlt.plugin, &path).is_some();
                    if is_of_dlt {
                        let key = full(scope, &key);
                        dlt.ignored.push(unknown::not_used(&key, &origin.to_string()));
                    }
                    is_of_dlt
                };
                parts(text.expose(), group, &mut passed_over).map_err(|problem| {
                    problem.into_error().with("key", full(scope, name)).with("from", &origin)
                })?
            }
            other => {
                let reason = format!("expected a table or a text, found a {}", other.kind());
                return Err(Error::new(ErrorKind::Configuration, "a setting is wrong")
                    .with("key", full(scope, name))
                    .with("from", origin)
                    .with("reason", reason));
            }
        };
        note_below(settings, name, &format!("the text from {origin}"));
        for (part, value) in parts {
            let part = join_key(name, &part);
            let set_by_program = matches!(settings.values.get(&part), Some((_, Origin::Code)))
                && origin != Origin::Code;
            if !set_by_program {
                settings.values.insert(part, (value, origin.clone()));
            }
        }
        Ok(())
    }
}

/// The keys of dlt that mean nothing here: whose they are, and what was said of those that were found.
struct Dlt<'a> {
    /// Empty in the sections of the engine.
    plugin: &'a str,
    ignored: &'a mut Vec<String>,
}

/// Says of every key of a group where else its value could have come from.
fn note_below(settings: &mut Settings, group: &str, note: &str) {
    for (key, places) in &mut settings.looked_at {
        if key.strip_prefix(group).is_some_and(|rest| rest.starts_with('.')) {
            places.insert(0, note.to_owned());
        }
    }
}

/// Why a text cannot stand for a table.
enum Problem {
    /// What the plugin said.
    Refused(Error),
    /// It is not JSON, and there is no other way to read it.
    NotJson,
    /// It is a URL whose password has signs that end it early.
    StraySign,
    /// It has a part that is no setting.
    Unknown { part: String, known: Vec<String> },
}

impl Problem {
    fn into_error(self) -> Error {
        match self {
            Self::Refused(error) => error.with_kind(ErrorKind::Configuration),
            Self::NotJson => Error::new(ErrorKind::Configuration, "a setting is wrong")
                .with("reason", "expected a table or the text of a JSON object"),
            Self::StraySign => Error::new(ErrorKind::Configuration, "a setting is wrong")
                .with("reason", "the URL has a second `@` after its host")
                .with_hint(
                    "percent-encode the password: `@` is %40, `/` is %2F, `#` is %23, `?` is %3F",
                ),
            Self::Unknown { part, known } => unknown::suggest(
                Error::new(ErrorKind::Configuration, "there is no such setting")
                    .with("part", &part),
                &part,
                known.iter().map(String::as_str),
            ),
        }
    }
}

/// Takes a text apart that stands for a table. A part that is no setting is an error unless it is to be passed over.
fn parts(
    text: &str,
    group: SettingGroup,
    passed_over: &mut dyn FnMut(&str) -> bool,
) -> Result<BTreeMap<String, SettingValue>, Problem> {
    let mut parts = BTreeMap::new();
    match group.from_text {
        Some(_) if has_stray_sign(text) => return Err(Problem::StraySign),
        Some(from_text) => {
            for (part, text) in from_text(text).map_err(Problem::Refused)? {
                if is_leaf(group.keys, &part) {
                    parts.insert(part, SettingValue::text(text));
                } else if part != DRIVER && !passed_over(&part) {
                    return Err(unknown_part(part, group.keys));
                }
            }
        }
        None => {
            let json: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(text).map_err(|_| Problem::NotJson)?;
            flatten(json, group.keys, "", &mut parts, passed_over)?;
        }
    }
    Ok(parts)
}

/// `driver://user:pa@ss/word@host` has its host at the wrong `@`: what connects would be told the rest of the password
/// as its database.
fn has_stray_sign(text: &str) -> bool {
    let Some((scheme, rest)) = text.trim().split_once("://") else { return false };
    let is_url = scheme.chars().all(|sign| sign.is_ascii_alphanumeric() || "+-._".contains(sign));
    let mut parts = rest.split('?').next().unwrap_or_default().splitn(2, ['/', '#']);
    let mut next_has_sign = || parts.next().is_some_and(|part| part.contains('@'));
    is_url && next_has_sign() && next_has_sign()
}

fn flatten(
    json: impl IntoIterator<Item = (String, serde_json::Value)>,
    keys: &[SettingKey],
    above: &str,
    parts: &mut BTreeMap<String, SettingValue>,
    passed_over: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Problem> {
    for (name, value) in json {
        let path = join_key(above, &name);
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            if passed_over(&path) {
                continue;
            }
            return Err(unknown_part(path, keys));
        };
        match (key.kind, value) {
            (SettingKind::Group(group), serde_json::Value::Object(inner)) => {
                flatten(inner, group.keys, &path, parts, passed_over)?;
            }
            (_, value) => parts.extend(setting_value(value).map(|value| (path, value))),
        }
    }
    Ok(())
}

fn setting_value(json: serde_json::Value) -> Option<SettingValue> {
    use serde_json::Value;
    Some(match json {
        Value::Null => return None,
        Value::Bool(value) => SettingValue::Boolean(value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => SettingValue::Integer(number),
            None => SettingValue::Float(number.as_f64()?),
        },
        Value::String(text) => SettingValue::text(text),
        Value::Array(items) => {
            SettingValue::List(items.into_iter().filter_map(setting_value).collect())
        }
        Value::Object(map) => SettingValue::Map(
            map.into_iter()
                .filter_map(|(name, value)| Some((name, setting_value(value)?)))
                .collect(),
        ),
    })
}

/// Whether a path leads to a key that is no group.
fn is_leaf(keys: &[SettingKey], path: &str) -> bool {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    keys.iter().any(|key| match (key.name == name, key.kind, rest) {
        (true, SettingKind::Group(group), Some(rest)) => is_leaf(group.keys, rest),
        (true, SettingKind::Group(_), None) | (true, _, Some(_)) | (false, ..) => false,
        (true, _, None) => true,
    })
}

fn unknown_part(part: String, keys: &[SettingKey]) -> Problem {
    Problem::Unknown { part, known: keys.iter().map(|key| key.name.to_owned()).collect() }
}

fn full(scope: Scope<'_>, key: &str) -> String {
    join_key(&scope.sections.join("."), key)
}
