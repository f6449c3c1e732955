//! `secrets.toml` and `config.toml`: the files of one name, read and laid over one another.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};
use toml_edit::{ImDocument, TableLike};
use transload_core::settings::{Origin, SettingValue};
use transload_core::{Error, ErrorKind, Result};

use super::lookup::{Place, dotted};

/// The files of one name. As in dlt, a value hides what files of less priority have in its place, and tables are
/// laid over one another.
#[derive(Clone)]
pub(super) struct Files {
    merged: Dict,
    figment: Figment,
    files: Vec<File>,
    absent: Vec<PathBuf>,
}

/// One file, and the line of each key in it.
#[derive(Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) lines: BTreeMap<Vec<String>, usize>,
}

impl Files {
    /// Reads the files of this name in the folders; the first has priority.
    pub(super) fn read(name: &str, folders: &[PathBuf]) -> Result<Self> {
        let (mut figment, mut files, mut absent) = (Figment::new(), Vec::new(), Vec::new());
        for path in folders.iter().map(|folder| folder.join(name)) {
            match read(&path)? {
                Some(text) => {
                    let lines = lines(&path, &text)?;
                    figment = figment.join(Layer { path: &path, text: &text });
                    files.push(File { path, lines });
                }
                None => absent.push(path),
            }
        }
        // The source of an error of figment is left out: it quotes the line.
        let mut profiles = figment.data().map_err(|_| {
            Error::new(ErrorKind::Configuration, "the configuration could not be read")
                .with("file", name)
        })?;
        let merged = profiles.remove(&Profile::Default).unwrap_or_default();
        Ok(Self { merged, figment, files, absent })
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    pub(super) fn absent(&self) -> impl Iterator<Item = &Path> {
        self.absent.iter().map(PathBuf::as_path)
    }

    /// Every text in the files.
    pub(super) fn texts(&self) -> Vec<&str> {
        fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
            match value {
                Value::String(_, text) => texts.push(text),
                Value::Dict(_, dict) => dict.values().for_each(|value| collect(value, texts)),
                Value::Array(_, items) => items.iter().for_each(|value| collect(value, texts)),
                _ => {}
            }
        }
        let mut texts = Vec::new();
        self.merged.values().for_each(|value| collect(value, &mut texts));
        texts
    }

    fn origin(&self, value: &Value, path: &[&str]) -> Origin {
        let source = self.figment.get_metadata(value.tag()).and_then(|data| data.source.as_ref());
        let path_of_file = source.and_then(|source| source.file_path()).unwrap_or(Path::new(""));
        let file = self.files.iter().find(|file| file.path == path_of_file);
        let key = match file.and_then(|file| file.line(path)) {
            Some(line) => format!("{}, line {line}", dotted(path)),
            None => dotted(path),
        };
        Origin::File { path: path_of_file.to_owned(), key }
    }
}

impl Place for Files {
    fn find(&self, path: &[&str]) -> Option<(SettingValue, Origin)> {
        let (last, tables) = path.split_last()?;
        let table = tables.iter().try_fold(&self.merged, |table, name| match table.get(*name) {
            Some(Value::Dict(_, inner)) => Some(inner),
            _ => None,
        })?;
        let value = table.get(*last)?;
        Some((setting_value(value)?, self.origin(value, path)))
    }

    fn names(&self, path: &[&str]) -> Vec<String> {
        let key = dotted(path);
        self.files.iter().map(|file| format!("{} ({key})", file.path.display())).collect()
    }
}

impl File {
    /// The line of a key, or of the nearest table around it that has one.
    pub(super) fn line(&self, path: &[&str]) -> Option<usize> {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        (1..=path.len()).rev().find_map(|length| self.lines.get(&path[..length]).copied())
    }
}

/// A file as a source of figment that keeps its path.
struct Layer<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Provider for Layer<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.path)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Toml::string(self.text).data()
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a configuration file cannot be read",
            )
            .with("file", path.display())
            .with_source(error));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let end = error.utf8_error().valid_up_to();
            Err(broken(path, &error.as_bytes()[..end], "there is a byte that is not UTF-8"))
        }
    }
}

/// The line of each key. Parsing for it is also what finds a broken file, since figment's error quotes the line.
fn lines(path: &Path, text: &str) -> Result<BTreeMap<Vec<String>, usize>> {
    let document = ImDocument::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        broken(path, &text.as_bytes()[..start], reason(error.message()))
    })?;
    let mut lines = BTreeMap::new();
    number(document.as_table(), text, &mut Vec::new(), &mut lines);
    Ok(lines)
}

fn number(
    table: &dyn TableLike,
    text: &str,
    above: &mut Vec<String>,
    lines: &mut BTreeMap<Vec<String>, usize>,
) {
    for (name, item) in table.iter() {
        above.push(name.to_owned());
        if let Some(span) = table.key(name).and_then(|key| key.span()) {
            lines.insert(above.clone(), line_of(&text.as_bytes()[..span.start]));
        }
        if let Some(inner) = item.as_table_like() {
            number(inner, text, above, lines);
        }
        above.pop();
    }
}

fn line_of(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Of the parser's message what is the same for every file: the rest may quote it.
fn reason(message: &str) -> String {
    let is_static = |line: &&str| line.starts_with("invalid ") || line.starts_with("expected ");
    let known: Vec<&str> = message.lines().filter(is_static).collect();
    if message.contains("duplicate key") {
        "a key or a table is there twice".to_owned()
    } else if message.contains("dotted key") {
        "a key is both a value and a table".to_owned()
    } else if message.contains("number too") {
        "a number is out of range".to_owned()
    } else if known.is_empty() {
        "there is a sign where none is expected".to_owned()
    } else {
        known.join(", ")
    }
}

fn broken(path: &Path, before: &[u8], reason: impl std::fmt::Display) -> Error {
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    Error::new(ErrorKind::Configuration, "a configuration file is not valid TOML")
        .with("file", format!("{}:{}:{column}", path.display(), line_of(before)))
        .with("reason", reason)
        .with_hint("texts need quotes: `key = \"value\"`")
}

/// The name under which the `toml` crate hands a date to others.
const DATE: &str = "$__toml_private_datetime";

fn setting_value(value: &Value) -> Option<SettingValue> {
    Some(match value {
        Value::String(_, text) => SettingValue::text(text.as_str()),
        Value::Char(_, character) => SettingValue::text(*character),
        Value::Bool(_, value) => SettingValue::Boolean(*value),
        Value::Num(_, Num::F32(_) | Num::F64(_)) => SettingValue::Float(value.to_f64()?),
        Value::Num(..) => SettingValue::Integer(i64::try_from(value.to_i128()?).ok()?),
        Value::Empty(..) => return None,
        Value::Dict(_, dict) => match dict.get(DATE) {
            Some(date) => setting_value(date)?,
            None => SettingValue::Map(
                dict.iter()
                    .filter_map(|(name, value)| Some((name.clone(), setting_value(value)?)))
                    .collect(),
            ),
        },
        Value::Array(_, items) => {
            SettingValue::List(items.iter().filter_map(setting_value).collect())
        }
    })
}
