//! Schemas as files that people keep and edit: read before a run, written after it.
//!
//! Source: dlt, `SchemaStorage`, "Adjust a schema".

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use transload_core::settings::{Setting, SettingKind, Settings};
use transload_core::{Column, Error, ErrorKind, Result, SCHEMA_ENGINE_VERSION, Schema, Table};

use crate::hints::new_schema;
use crate::normalize::Naming;

/// How a schema is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaFormat {
    /// YAML, as dlt's default.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

impl SchemaFormat {
    /// Its name, which is also the ending of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for SchemaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Setting for SchemaFormat {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        match String::read(settings, key)?.trim() {
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            _ => Err(settings.wrong(key, "schemas are written as yaml or json")),
        }
    }
}

/// The key of a schema with the hash of the file that it was imported from.
const IMPORTED: &str = "imported_version_hash";
/// The hint of a table that the engine keeps for itself.
const PROCESSING: &str = "x-normalizer";

/// Where schemas are read from and written to.
#[derive(Clone, Debug, Default)]
pub(crate) struct SchemaFiles {
    /// The folder whose schema goes before the stored one once it is changed.
    pub(crate) import: Option<PathBuf>,
    /// The folder that gets the schema of each load.
    pub(crate) export: Option<PathBuf>,
    pub(crate) format: SchemaFormat,
}

impl SchemaFiles {
    /// The schema to begin with: the stored one, or the file where it was changed since it was last imported. Also what the
    /// user should know.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the file is no schema of this name.
    pub(crate) fn import(
        &self,
        name: &str,
        stored: Option<Schema>,
    ) -> Result<(Option<Schema>, Vec<String>)> {
        let Some(path) = self.import_path(name) else { return Ok((stored, Vec::new())) };
        let imported = match fs::read_to_string(&path) {
            Ok(text) => from_text(&text, self.format, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((stored, Vec::new()));
            }
            Err(error) => return Err(unreadable(&path, error)),
        };
        if imported.name != name {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the file holds the schema of another name",
            )
            .with("file", path.display())
            .with("name", &imported.name)
            .with("expected", name)
            .with_hint("correct the `name` in the file, or name the file after it"));
        }
        let (schema, warnings) = imported_over(stored, imported);
        Ok((Some(schema), warnings))
    }

    /// Writes the file to import from, where there is none yet: the schema before its first rows, for users to edit.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be written.
    pub(crate) fn begin_import(&self, schema: &mut Schema) -> Result<()> {
        let Some(path) = self.import_path(&schema.name).filter(|path| !path.exists()) else {
            return Ok(());
        };
        let first = without_processing_hints(schema);
        write(&path, &to_text(&first, self.format)?)?;
        schema.rest.insert(IMPORTED.to_owned(), first.version_hash.into());
        Ok(())
    }

    /// What is to be known before the schema is sealed: where both folders are one, the file that is about to be written is
    /// the one that counts as imported.
    pub(crate) fn prepare_export(&self, schema: &mut Schema) {
        if self.is_shared() {
            let hash = without_processing_hints(schema).version_hash;
            schema.rest.insert(IMPORTED.to_owned(), hash.into());
        }
    }

    /// Writes the schema of a load.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be written.
    pub(crate) fn export(&self, schema: &Schema) -> Result<()> {
        let Some(folder) = &self.export else { return Ok(()) };
        let path = folder.join(file_name(&schema.name, self.format));
        let text = match self.is_shared() {
            true => to_text(&without_processing_hints(schema), self.format)?,
            false => to_text(schema, self.format)?,
        };
        // A file that says the same already keeps its time.
        match fs::read_to_string(&path) {
            Ok(there) if there == text => Ok(()),
            _ => write(&path, &text),
        }
    }

    fn is_shared(&self) -> bool {
        self.export.is_some() && self.export == self.import
    }

    fn import_path(&self, name: &str) -> Option<PathBuf> {
        self.import.as_ref().map(|folder| folder.join(file_name(name, self.format)))
    }
}

/// The schema after a file was laid over the stored one.
fn imported_over(stored: Option<Schema>, mut imported: Schema) -> (Schema, Vec<String>) {
    let hash = imported.content_hash();
    let mut warnings = Vec::new();
    let marked: Vec<&str> = imported
        .tables
        .values()
        .filter(|table| table.hints.contains_key(PROCESSING))
        .map(|table| table.name.as_str())
        .collect();
    if let Some(stored) = stored {
        if stored.rest.get(IMPORTED).and_then(Value::as_str) == Some(&hash) {
            return (stored, warnings);
        }
        let has_data = |table: &&Table| seen(table) && !table.name.starts_with("_dlt");
        let with_data: Vec<&str> =
            stored.tables.values().filter(has_data).map(|table| table.name.as_str()).collect();
        let mut warning =
            format!("the schema `{}` was replaced by the one that is imported", stored.name);
        if !with_data.is_empty() {
            let names = with_data.join(", ");
            warning.push_str(&format!(
                "; these tables have rows already, which stay as they are: {names}"
            ));
        }
        warnings.push(warning);
        // The next bump links it to the one that it takes the place of.
        imported.version = stored.version.max(imported.version);
        imported.version_hash = stored.version_hash;
        imported.previous_hashes = stored.previous_hashes;
        // Whether a table has rows is not for the file to say.
        for table in stored.tables.values().filter(|table| seen(table)) {
            if let Some(imported) = imported.tables.get_mut(&table.name) {
                imported
                    .hints
                    .entry(PROCESSING.to_owned())
                    .or_insert_with(|| json!({"seen-data": true}));
            }
        }
    } else if !marked.is_empty() {
        warnings.push(format!(
            "the imported schema says that tables have rows, by `{PROCESSING}`, and there are none: {}",
            marked.join(", ")
        ));
    }
    imported.rest.insert(IMPORTED.to_owned(), hash.into());
    (imported, warnings)
}

fn seen(table: &Table) -> bool {
    let hints = table.hints.get(PROCESSING);
    hints.and_then(|hints| hints.get("seen-data")) == Some(&Value::Bool(true))
}

/// The schema without what the engine keeps in it for itself, with its own hash.
fn without_processing_hints(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    for table in schema.tables.values_mut() {
        for hint in [PROCESSING, "x-loader", "x-extractor"] {
            table.hints.remove(hint);
        }
        table.columns.values_mut().for_each(|column| drop(column.hints.remove(PROCESSING)));
    }
    schema.bump();
    schema
}

/// The name of the file of a schema.
pub(crate) fn file_name(schema: &str, format: SchemaFormat) -> String {
    format!("{schema}.schema.{format}")
}

/// A schema as files have it: names are keys alone.
#[derive(Serialize, Deserialize)]
struct FileSchema {
    #[serde(default = "one")]
    version: u64,
    #[serde(default)]
    version_hash: String,
    #[serde(default = "engine")]
    engine_version: u32,
    name: String,
    #[serde(default)]
    tables: IndexMap<String, FileTable>,
    #[serde(default)]
    settings: Option<Value>,
    #[serde(default)]
    normalizers: Option<Value>,
    #[serde(default)]
    previous_hashes: Vec<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct FileTable {
    #[serde(default)]
    columns: IndexMap<String, Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn one() -> u64 {
    1
}

fn engine() -> u32 {
    SCHEMA_ENGINE_VERSION
}

/// Writes a schema.
///
/// # Errors
/// [`ErrorKind::Bug`] where it cannot be written, which is not known to happen.
pub(crate) fn to_text(schema: &Schema, format: SchemaFormat) -> Result<String> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Bug, "the schema cannot be written")
            .with("format", format)
            .with_source(error)
    };
    // A table and a column are their fields without the name.
    let fields = |value: Result<Value, serde_json::Error>| -> Result<Map<String, Value>> {
        match value.map_err(|error| failed(error.into()))? {
            Value::Object(mut map) => {
                map.remove("name");
                Ok(map)
            }
            _ => Ok(Map::new()),
        }
    };
    let mut tables = IndexMap::new();
    for (name, table) in &schema.tables {
        let mut columns = IndexMap::new();
        for (name, column) in &table.columns {
            columns.insert(name.clone(), fields(serde_json::to_value(column))?);
        }
        let mut rest =
            fields(serde_json::to_value(Table { columns: IndexMap::new(), ..table.clone() }))?;
        rest.remove("columns");
        tables.insert(name.clone(), FileTable { columns, rest });
    }
    let mut rest = schema.rest.clone();
    rest.remove(IMPORTED);
    let file = FileSchema {
        version: schema.version,
        version_hash: schema.version_hash.clone(),
        engine_version: schema.engine_version,
        name: schema.name.clone(),
        tables,
        settings: Some(schema.settings.clone()),
        normalizers: Some(schema.normalizers.clone()),
        previous_hashes: schema.previous_hashes.clone(),
        rest,
    };
    match format {
        SchemaFormat::Yaml => {
            let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
            serde_saphyr::to_string_with_options(&file, options)
                .map_err(|error| failed(error.into()))
        }
        SchemaFormat::Json => {
            let text = serde_json::to_string_pretty(&file).map_err(|error| failed(error.into()))?;
            Ok(text + "\n")
        }
    }
}

/// Reads a schema from the text of a file.
///
/// # Errors
/// [`ErrorKind::Configuration`] where the text is no schema, or one of a format that is not understood.
pub(crate) fn from_text(text: &str, format: SchemaFormat, path: &Path) -> Result<Schema> {
    let refused = |message: &'static str| {
        Error::new(ErrorKind::Configuration, message).with("file", path.display())
    };
    let wrong = |reason: String| {
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        refused("the file is no schema").with("reason", reason)
    };
    let file: FileSchema = match format {
        SchemaFormat::Yaml => {
            serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?
        }
        SchemaFormat::Json => {
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?
        }
    };
    if file.engine_version != SCHEMA_ENGINE_VERSION {
        return Err(refused("the schema has a format that is not understood")
            .with("format", file.engine_version)
            .with("understood", SCHEMA_ENGINE_VERSION)
            .with_hint(match file.engine_version > SCHEMA_ENGINE_VERSION {
                true => {
                    "it was written by a newer program: use that, or a newer version of this one"
                }
                false => "load once with a current dlt, which brings the schema to this format",
            }));
    }
    let naming = file.normalizers.as_ref().and_then(|normalizers| normalizers.get("names"));
    let naming = naming.and_then(Value::as_str).and_then(Naming::from_name).unwrap_or_default();
    let fresh = new_schema(&file.name, naming);
    let mut schema = Schema {
        version: file.version,
        version_hash: file.version_hash,
        engine_version: file.engine_version,
        name: file.name,
        tables: IndexMap::new(),
        settings: file.settings.unwrap_or_else(|| fresh.settings.clone()),
        normalizers: file.normalizers.unwrap_or_else(|| fresh.normalizers.clone()),
        previous_hashes: file.previous_hashes,
        rest: file.rest,
    };
    for (name, table) in file.tables {
        let mut fields = table.rest;
        fields.insert("name".to_owned(), Value::from(name.as_str()));
        let mut read: Table = serde_json::from_value(Value::Object(fields))
            .map_err(|error| wrong(error.to_string()).with("table", &name))?;
        for (column, mut fields) in table.columns {
            fields.insert("name".to_owned(), Value::from(column.as_str()));
            let column: Column =
                serde_json::from_value(Value::Object(fields)).map_err(|error| {
                    wrong(error.to_string()).with("table", &name).with("column", &column)
                })?;
            read.put(column);
        }
        schema.tables.insert(name, read);
    }
    for table in schema.tables.values() {
        if let Some(parent) = &table.parent
            && !schema.tables.contains_key(parent)
        {
            return Err(refused("a table is nested in one that the schema has not")
                .with("table", &table.name)
                .with("parent", parent));
        }
    }
    for (name, table) in fresh.tables {
        schema.tables.entry(name).or_insert(table);
    }
    Ok(schema)
}

/// Reads a schema from a file, by its ending: `.yaml`, `.yml` or `.json`.
///
/// # Errors
/// [`ErrorKind::Configuration`] where it cannot be read or is no schema.
pub(crate) fn read(path: &Path) -> Result<Schema> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let format = match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => SchemaFormat::Yaml,
        "json" => SchemaFormat::Json,
        _ => {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a schema is a .yaml or a .json file",
            )
            .with("file", path.display()));
        }
    };
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    from_text(&text, format, path)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Configuration, "the file of the schema cannot be read")
        .with("file", path.display())
        .with_source(error)
}

/// Writes a file as a whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        // What others may read in the folder they may read here: a temporary file is for its owner alone.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.persist(path).map(drop).map_err(io::Error::from)
    });
    written.map_err(|error| {
        Error::new(ErrorKind::Configuration, "the file of the schema cannot be written")
            .with("file", path.display())
            .with_source(error)
    })
}
