//! `schema show`, `schema diff`, `schema export`: the schema of a pipeline, from its newest package here, from its
//! destination, or from a file.

mod difference;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use transload_core::{Column, Error, ErrorKind, Result, Schema, Table};

use super::args::{FileForm, PipelineArgs, SchemaArgs, SchemaDiff, SchemaExport, SchemaShow};
use super::choice::Choice;
use super::show::{self, counted};
use super::status::pipelines;
use super::{Document, World};
use crate::contract::SchemaContract;
use crate::package::{PackageStatus, WorkingFolder};
use crate::schema_files::{self, SchemaFormat};
use crate::{Event, plugins};
use difference::differences;

impl From<FileForm> for SchemaFormat {
    fn from(form: FileForm) -> Self {
        match form {
            FileForm::Yaml => Self::Yaml,
            FileForm::Json => Self::Json,
        }
    }
}

/// `transload schema show`.
pub(super) fn show(world: &World, args: SchemaShow) -> Result<Document> {
    let is_schema = args.file.as_deref().is_some_and(is_schema_file);
    let schema = match &args.file {
        Some(file) if is_schema => schema_files::read(file)?,
        file => checked(of_pipeline(world, file.as_deref(), args.schema)?)?,
    };
    let json = serde_json::to_value(&schema).unwrap_or_default();
    let text = match args.format {
        Some(form) => schema_files::to_text(&schema, form.into())?.trim_end().to_owned(),
        None => shown(&schema)?,
    };
    Ok(Document { text, json: json!({ "schema": json }) })
}

/// `transload schema diff`.
pub(super) fn diff(world: &World, args: SchemaDiff) -> Result<Document> {
    let (old, new) = match args.files.as_slice() {
        [old, new] => (schema_files::read(old)?, schema_files::read(new)?),
        [file] => {
            let new = schema_files::read(file)?;
            (checked(of_pipeline(world, None, args.schema)?)?, new)
        }
        _ => {
            if args.schema.pipeline.destination.is_empty() {
                return Err(Error::new(ErrorKind::Configuration, "there is nothing to compare")
                    .with_hint(
                        "name two schema files; or one; or the pipeline and its destination: `--pipeline-name N \
                         --destination D`",
                    ));
            }
            let new = newest(world, &args.schema.pipeline)?;
            (checked(of_pipeline(world, None, args.schema)?)?, checked(new)?)
        }
    };
    let changes = differences(&old, &new);
    let mut text = format!(
        "{} version {} → {} version {}: {}",
        old.name,
        old.version,
        new.name,
        new.version,
        counted(changes.len() as u64, "difference")
    );
    for change in &changes {
        let _ = write!(text, "\n  {change}");
    }
    let side = |schema: &Schema| json!({ "name": schema.name, "version": schema.version, "hash": schema.version_hash });
    Ok(Document {
        text,
        json: json!({ "old": side(&old), "new": side(&new), "differences": changes }),
    })
}

/// `transload schema export`.
pub(super) fn export(world: &World, args: SchemaExport) -> Result<Document> {
    let schema = checked(of_pipeline(world, args.file.as_deref(), args.schema)?)?;
    let format = args.format.into();
    let path = args.to.join(schema_files::file_name(&schema.name, format));
    schema_files::write(&path, &schema_files::to_text(&schema, format)?)?;
    Ok(Document {
        text: path.display().to_string(),
        json: json!({ "file": path, "name": schema.name, "version": schema.version, "hash": schema.version_hash }),
    })
}

fn is_schema_file(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].contains(&ending.to_ascii_lowercase().as_str())
}

/// The schema of a pipeline: that of its newest package here, or the one that its destination stores.
fn of_pipeline(world: &World, file: Option<&Path>, args: SchemaArgs) -> Result<Schema> {
    if !args.stored && args.pipeline.destination.is_empty() {
        if let Some(file) = file {
            let choice = Choice::new(Some(file), args.pipeline)?;
            return newest(
                world,
                &PipelineArgs {
                    pipeline_name: Some(choice.name()?.to_owned()),
                    pipelines_dir: choice.pipelines_dir,
                    ..PipelineArgs::default()
                },
            );
        }
        return newest(world, &args.pipeline);
    }
    let choice = Choice::new(file, args.pipeline)?;
    let redactor = choice.redactor(world, &plugins::registry());
    let pipeline =
        choice.build(world, Arc::new(|_: Event| {})).map_err(|error| error.redacted(&redactor))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(ErrorKind::Terminal, "the threads could not be started").with_source(error)
    })?;
    let stored = runtime.block_on(pipeline.stored_schema()).map_err(|e| e.redacted(&redactor))?;
    stored.ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "the destination stores no schema of this pipeline")
            .with("pipeline", pipeline.name())
            .with("dataset", &pipeline.dataset().name)
            .with_hint("load once, or name the dataset: `--dataset-name N`")
    })
}

/// The schema of the newest package of a pipeline on this machine.
fn newest(world: &World, args: &PipelineArgs) -> Result<Schema> {
    let folder = world.pipelines_dir(args.pipelines_dir.as_deref());
    let refused = |message: &'static str| {
        Error::new(ErrorKind::Configuration, message).with("folder", folder.display()).with_hint(
            "`--pipeline-name` names the pipeline, `--pipelines-dir` the folder of its packages, and `--destination` asks \
             the destination",
        )
    };
    let name = match &args.pipeline_name {
        Some(name) => name.clone(),
        None => match pipelines(&folder)?.as_slice() {
            [only] => only.name.clone(),
            _ => return Err(refused("no pipeline was named")),
        },
    };
    let packages = WorkingFolder::of(&folder, &name).packages()?;
    let newest = packages.iter().rev().find(|package| package.status != PackageStatus::Unsealed);
    match newest {
        Some(package) => Ok(package.manifest()?.schema.clone()),
        None => Err(refused("the pipeline has no loads here").with("pipeline", name)),
    }
}

/// Refuses a schema that is not what its hash says: somebody changed it by hand, and loads go on from what it was.
fn checked(schema: Schema) -> Result<Schema> {
    let hash = schema.content_hash();
    if hash == schema.version_hash {
        return Ok(schema);
    }
    Err(Error::new(ErrorKind::Terminal, "the schema does not match its hash")
        .with("schema", &schema.name)
        .with("hash", &schema.version_hash)
        .with("hash of its content", hash)
        .with_hint(
            "it was changed by hand; change schemas by hints, or by a file that is imported",
        ))
}

/// A schema for people.
fn shown(schema: &Schema) -> Result<String> {
    let mut facts = vec![
        show::fact("schema", format!("{} version {}", schema.name, schema.version)),
        show::fact("hash", schema.version_hash.clone()),
        show::fact("names", text_of(schema.normalizers.get("names"))),
        show::fact("detections", text_of(schema.settings.get("detections"))),
    ];
    if let Some(contract) = schema.settings.get("schema_contract") {
        facts.push(show::fact("contract", SchemaContract::from_value(contract)?.to_string()));
    }
    if let Some(preferred) = schema.settings.get("preferred_types") {
        facts.push(show::fact("preferred types", preferred.to_string()));
    }
    let mut text = show::columns(&facts, usize::MAX);
    let (system, data): (Vec<&Table>, Vec<&Table>) =
        schema.tables.values().partition(|table| table.name.starts_with("_dlt"));
    for table in data {
        let _ = write!(text, "\n{}\n", heading(table)?);
        let rows: Vec<Vec<String>> = table.columns.values().map(row).collect();
        text.push_str(&show::columns(&rows, usize::MAX));
    }
    let names: Vec<&str> = system.iter().map(|table| table.name.as_str()).collect();
    let _ = write!(text, "\nsystem tables: {}", names.join(", "));
    Ok(text)
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| text_of(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    }
}

fn heading(table: &Table) -> Result<String> {
    let mut parts = Vec::new();
    if let Some(parent) = &table.parent {
        parts.push(format!("nested in {parent}"));
    }
    parts.extend(table.write_disposition.map(|disposition| disposition.to_string()));
    if let Some(contract) = table.hints.get("schema_contract") {
        parts.push(format!("contract {}", SchemaContract::from_value(contract)?));
    }
    for (hint, value) in &table.hints {
        if !["schema_contract", "x-normalizer"].contains(&hint.as_str()) {
            parts.push(format!("{hint} {}", text_of(Some(value))));
        }
    }
    Ok(format!("{}: {}", table.name, parts.join(", ")))
}

fn row(column: &Column) -> Vec<String> {
    let data_type = match column.data_type {
        Some(data_type) => data_type.to_string(),
        None => "not seen yet".to_owned(),
    };
    let size = match (column.precision, column.scale) {
        (Some(precision), Some(scale)) => format!("({precision},{scale})"),
        (Some(precision), None) => format!("({precision})"),
        _ => String::new(),
    };
    let mut facts = Vec::new();
    if !column.nullable {
        facts.push("not null".to_owned());
    }
    if !column.has_timezone() {
        facts.push("without time zone".to_owned());
    }
    for (hint, value) in &column.hints {
        match value {
            Value::Bool(true) => facts.push(hint.replace('_', " ")),
            Value::Bool(false) | Value::Null => {}
            value => facts.push(format!("{hint} {}", text_of(Some(value)))),
        }
    }
    vec![format!("  {}", column.name), format!("{data_type}{size}"), facts.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DLT: &str = include_str!("../../core/tests/data/dlt-schema.json");

    #[test]
    fn a_schema_is_shown_with_its_tables_and_columns() {
        let mut schema = Schema::from_json(DLT).unwrap();
        schema.settings["schema_contract"] = json!({"columns": "freeze"});
        let text = shown(&schema).unwrap();
        for part in [
            "snake_case",
            "players: ",
            "nested in players",
            "not null",
            "columns=freeze",
            "_dlt_loads",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_schema_that_was_changed_by_hand_is_refused() {
        let mut schema = checked(Schema::from_json(DLT).unwrap()).unwrap();
        schema.tables["players"].columns.pop();
        let error = checked(schema).unwrap_err();
        assert_eq!(error.message(), "the schema does not match its hash");
        assert_ne!(error.context("hash"), error.context("hash of its content"));
    }
}
