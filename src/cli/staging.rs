//! `staging`: what lies in the staging storage and in the staging dataset, whose it is, and the end of what nobody needs any
//! more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use transload_core::Result;

use super::args::{PipelineArgs, StagingGc, StagingLifecycle, StagingLs};
use super::choice::Choice;
use super::show::{self, counted};
use super::{Document, World};
use crate::{Event, Pipeline, StagedLoad, StagingTable, StagingTableState, plugins};

/// `transload staging ls`.
pub(super) fn ls(world: &World, args: StagingLs) -> Result<Document> {
    let pipeline = open(world, args.file, args.pipeline)?;
    let (loads, tables) =
        wait(async { Ok((pipeline.staged_loads().await?, pipeline.staging_tables().await?)) })?;
    let mut parts = Vec::new();
    if let Some(url) = pipeline.staging_url() {
        parts.push(match loads.is_empty() {
            true => format!("staging storage {url}: no loads"),
            false => format!("staging storage {url}\n{}", listed_loads(&loads)),
        });
    }
    let dataset = format!("staging dataset {}", pipeline.dataset().staging);
    parts.push(match tables.is_empty() {
        true => format!("{dataset}: no tables"),
        false => format!("{dataset}\n{}{}", listed(&tables), hint(&tables)),
    });
    Ok(document(&pipeline, &loads, &tables, &parts, json!({})))
}

/// `transload staging gc`.
pub(super) fn gc(world: &World, args: StagingGc) -> Result<Document> {
    let pipeline = open(world, args.file, args.pipeline)?;
    let goes = |table: &StagingTable| {
        table.state.is_dead() || (args.unknown && table.state == StagingTableState::Unknown)
    };
    let (loads, tables) = wait(async {
        Ok(match args.dry_run {
            true => {
                let tables = pipeline.staging_tables().await?;
                let tables: Vec<StagingTable> = tables.into_iter().filter(goes).collect();
                (pipeline.expired_loads().await?, tables)
            }
            false => {
                let tables = pipeline.remove_staging_tables(args.unknown).await?;
                (pipeline.remove_expired_loads().await?, tables)
            }
        })
    })?;
    let done = if args.dry_run { "would go" } else { "removed" };
    let mut parts = Vec::new();
    if let Some(url) = pipeline.staging_url() {
        let bytes = show::bytes(loads.iter().map(|load| load.bytes).sum());
        let number = counted(loads.len() as u64, "load");
        parts.push(match (loads.is_empty(), pipeline.lets_staged_files_go()) {
            (false, _) => format!(
                "files of {number} ({bytes}) {done} from the staging storage {url}\n{}",
                listed_loads(&loads)
            ),
            (true, true) => format!("files of {number} {done} from the staging storage {url}"),
            (true, false) => format!(
                "all files stay in the staging storage {url}: neither `staged_files = \"delete_on_commit\"`, `retain` nor \
                 `retain_loads` is set under `[load]`"
            ),
        });
    }
    let number = counted(tables.len() as u64, "table");
    let place = &pipeline.dataset().staging;
    let mut text = format!("{number} of dead loads {done} from the staging dataset {place}");
    if !tables.is_empty() {
        text.push_str(&format!("\n{}", listed(&tables)));
    }
    parts.push(text);
    Ok(document(&pipeline, &loads, &tables, &parts, json!({ "dry_run": args.dry_run })))
}

/// `transload staging lifecycle`. stdout carries the rule alone, so that it can be written to a file.
pub(super) fn lifecycle(world: &World, args: StagingLifecycle) -> Result<Document> {
    let pipeline = open(world, args.file, args.pipeline)?;
    let rule = pipeline.bucket_rule(args.days)?;
    world.terminal.say(&format!("to set it, with the rule in `rule.json`: {}", rule.command));
    world
        .terminal
        .say("it takes the place of all rules that the bucket has: add these to `rule.json` first");
    world.terminal.say(&match rule.days {
        Some(days) => format!(
            "the store knows no loads: files of unfinished ones go after {} as well",
            counted(days, "day")
        ),
        None => {
            "no files go by it, only parts of broken uploads; `--days N` adds an age".to_owned()
        }
    });
    Ok(Document { text: format!("{:#}", rule.rule), json: json!(rule) })
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

/// The loads, the oldest first.
fn listed_loads(loads: &[StagedLoad]) -> String {
    let now = SystemTime::now();
    let header = ["load", "state", "age", "objects", "bytes", "tables"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(loads.iter().map(|load| {
        vec![
            load.load_id.to_string(),
            load.state.as_str().to_owned(),
            load.age_at(now).map_or_else(|| "-".to_owned(), show::age),
            show::count(load.objects),
            show::bytes(load.bytes),
            load.tables.join(", "),
        ]
    }));
    show::columns(&rows, 2)
}

fn document(
    pipeline: &Pipeline,
    loads: &[StagedLoad],
    tables: &[StagingTable],
    parts: &[String],
    more: serde_json::Value,
) -> Document {
    let mut json = json!({
        "pipeline": pipeline.name(),
        "staging_url": pipeline.staging_url(),
        "loads": loads,
        "staging_dataset": pipeline.dataset().staging,
        "tables": tables,
    });
    if let (Some(all), Some(more)) = (json.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    Document { text: parts.join("\n"), json }
}
