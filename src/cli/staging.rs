//! `staging`: what lies in the staging dataset, whose it is, and the end of what nobody needs any more.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use transload_core::Result;

use super::args::{PipelineArgs, StagingGc, StagingLs};
use super::choice::Choice;
use super::show::{self, counted};
use super::{Document, World};
use crate::{Event, Pipeline, StagingTable, StagingTableState, plugins};

/// `transload staging ls`.
pub(super) fn ls(world: &World, args: StagingLs) -> Result<Document> {
    let pipeline = open(world, args.file, args.pipeline)?;
    let tables = wait(pipeline.staging_tables())?;
    let mut text = format!("staging dataset {}", pipeline.dataset().staging);
    text.push_str(&match tables.is_empty() {
        true => ": no tables".to_owned(),
        false => format!("\n{}", listed(&tables)),
    });
    let hint = hint(&tables);
    if !hint.is_empty() {
        text.push_str(&format!("\n{hint}"));
    }
    Ok(document(&pipeline, &tables, text.trim_end().to_owned(), json!({})))
}

/// `transload staging gc`.
pub(super) fn gc(world: &World, args: StagingGc) -> Result<Document> {
    let pipeline = open(world, args.file, args.pipeline)?;
    let goes = |table: &StagingTable| {
        table.state.is_dead() || (args.unknown && table.state == StagingTableState::Unknown)
    };
    let tables = match args.dry_run {
        true => wait(pipeline.staging_tables())?.into_iter().filter(goes).collect(),
        false => wait(pipeline.remove_staging_tables(args.unknown))?,
    };
    let number = counted(tables.len() as u64, "table");
    let place = &pipeline.dataset().staging;
    let mut text = match args.dry_run {
        true => format!("{number} of dead loads would go from the staging dataset {place}"),
        false => format!("{number} of dead loads removed from the staging dataset {place}"),
    };
    if !tables.is_empty() {
        text.push_str(&format!("\n{}", listed(&tables)));
    }
    let more = json!({ "dry_run": args.dry_run });
    Ok(document(&pipeline, &tables, text.trim_end().to_owned(), more))
}

fn open(world: &World, file: Option<PathBuf>, flags: PipelineArgs) -> Result<Pipeline> {
    let choice = Choice::new(file.as_deref(), flags)?;
    choice.name()?;
    let redactor = choice.redactor(world, &plugins::registry());
    choice.build(world, Arc::new(|_: Event| {})).map_err(|error| error.redacted(&redactor))
}

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(super::no_threads)?.block_on(work)
}

/// The tables, those of a load beside each other.
fn listed(tables: &[StagingTable]) -> String {
    let mut tables: Vec<&StagingTable> = tables.iter().collect();
    tables.sort_by(|a, b| (&a.load_id, &a.table).cmp(&(&b.load_id, &b.table)));
    let mut rows = vec![["table", "load", "epoch", "state"].map(str::to_owned).to_vec()];
    rows.extend(tables.into_iter().map(|table| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            table.table.clone(),
            or_dash(table.load_id.as_ref().map(ToString::to_string)),
            or_dash(table.epoch.map(|epoch| epoch.to_string())),
            table.state.as_str().to_owned(),
        ]
    }));
    show::columns(&rows, usize::MAX)
}

/// What can be done about them.
fn hint(tables: &[StagingTable]) -> &'static str {
    let has =
        |wanted: fn(StagingTableState) -> bool| tables.iter().any(|table| wanted(table.state));
    match (has(StagingTableState::is_dead), has(|state| state == StagingTableState::Unknown)) {
        (false, false) => "",
        (true, false) => {
            "`transload staging gc` removes those of loads that are committed or dropped"
        }
        (_, true) => {
            "`transload staging gc` removes those of loads that are committed or dropped; those that are unknown stay \
             unless `--unknown` is given: they may be of another machine, or of another dataset"
        }
    }
}

/// Tables stand under a name of their own: objects in the staging storage are to stand beside them.
fn document(
    pipeline: &Pipeline,
    tables: &[StagingTable],
    text: String,
    more: serde_json::Value,
) -> Document {
    let mut json = json!({
        "pipeline": pipeline.name(),
        "staging_dataset": pipeline.dataset().staging,
        "tables": tables,
    });
    if let (Some(all), Some(more)) = (json.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    Document { text, json }
}
