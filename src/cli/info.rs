//! `info`: one load, from its package on this machine. Needs neither destination nor configuration.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::json;
use transload_core::{Error, ErrorKind, Manifest, Result};

use super::args::Info;
use super::run::stays;
use super::show::{self, bytes, count, counted};
use super::status::names;
use super::{Document, World};
use crate::package::{Package, PackageStatus, WorkingFolder};
use crate::set_aside;
use crate::{Endpoint, Receipt, Step};

/// Files that are shown to people.
const FILES_SHOWN: usize = 40;

/// The pipeline of this name, or the only one that there is.
pub(super) fn named_pipeline(
    world: &World,
    name: Option<&str>,
    pipelines_dir: Option<&Path>,
) -> Result<(String, WorkingFolder)> {
    let folder = world.pipelines_dir(pipelines_dir);
    if let Some(name) = name {
        return Ok((name.to_owned(), WorkingFolder::of(&folder, name)));
    }
    let known = names(&folder)?;
    match known.as_slice() {
        [only] => Ok((only.clone(), WorkingFolder::of(&folder, only))),
        _ => Err(refused("no pipeline was named", &folder, &known)),
    }
}

fn refused(message: &'static str, folder: &Path, known: &[String]) -> Error {
    let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::new(ErrorKind::Configuration, message)
        .with("folder", folder.display())
        .with("pipelines", names)
        .with_hint(
            "`--pipeline-name` names the pipeline, `--pipelines-dir` the folder of its packages",
        )
}

/// `transload info`.
pub(super) fn info(world: &World, args: &Info) -> Result<Document> {
    let dir = args.pipelines_dir.as_deref();
    let (name, working) = named_pipeline(world, args.pipeline_name.as_deref(), dir)?;
    let folder = world.pipelines_dir(dir);
    let refused =
        |message: &'static str| Ok::<_, Error>(refused(message, &folder, &names(&folder)?));
    let packages: Vec<Package> = working
        .packages()?
        .into_iter()
        .filter(|package| package.status != PackageStatus::Unsealed)
        .collect();
    let package = match &args.load {
        Some(load) => packages.iter().find(|package| package.load_id.as_str() == load),
        None => packages.last(),
    };
    let Some(package) = package else {
        return Err(match &args.load {
            None => refused("the pipeline has no loads here")?.with("pipeline", name),
            Some(load) => {
                let loads: Vec<&str> =
                    packages.iter().rev().take(5).map(|package| package.load_id.as_str()).collect();
                refused("there is no such load here")?
                    .with("load", load)
                    .with("pipeline", name)
                    .with(
                        "last loads",
                        if loads.is_empty() { "none".to_owned() } else { loads.join(", ") },
                    )
            }
        });
    };
    if let Some(damage) = damage_of(package) {
        return Err(damage.with("load", &package.load_id).with("pipeline", name));
    }
    let receipt = receipt_of(package)?;
    let text = text(package, &receipt, package.manifest().ok().as_deref());
    Ok(Document { text, json: json!(receipt) })
}

/// The receipt of a package, or what its manifest tells where no attempt to load it has ended.
pub(super) fn receipt_of(package: &Package) -> Result<Receipt> {
    let written = package.receipt().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let folder = std::path::absolute(&package.folder).ok();
    if let Some(receipt) = written {
        return Ok(Receipt { package: folder, ..receipt });
    }
    let manifest = package.manifest()?;
    let destination = Endpoint { name: manifest.destination.clone(), r#type: String::new() };
    let staging = manifest.staging.clone();
    Ok(Receipt {
        destination,
        staging: staging.map(|name| Endpoint { name, r#type: String::new() }),
        started_at: manifest.created_at.clone(),
        set_aside: set_aside::summary(&package.folder),
        package: folder,
        ..crate::load::receipt_of(&manifest)
    })
}

/// How the message begins of a package whose manifest is damaged.
pub(super) const DAMAGED: &str = "damaged: ";

/// Why a package that waits to be resumed cannot be. A receipt beside it tells nothing of that.
pub(super) fn damage_of(package: &Package) -> Option<Error> {
    if !matches!(package.status, PackageStatus::Pending | PackageStatus::SetAside) {
        return None;
    }
    let error = package.manifest().err()?;
    let is_unreadable = error.source().is_some_and(|source| source.is::<io::Error>());
    if is_unreadable || error.context("understood").is_some() {
        // Whole, for all that is known: it must not be moved away.
        return Some(error);
    }
    let folder = package.folder.display();
    let load = &package.load_id;
    Some(
        Error::new(ErrorKind::Terminal, format!("{DAMAGED}{}", error.message()))
            .with("folder", &folder)
            .with_hint(match package.status {
                PackageStatus::SetAside => format!(
                    "restore its manifest.json, or drop it (`transload package drop {load}`) and load its source again"
                ),
                _ => format!(
                    "set it aside (`transload package set-aside {load}`), and load its source again"
                ),
            })
            .with_source(error),
    )
}

fn text(package: &Package, receipt: &Receipt, manifest: Option<&Manifest>) -> String {
    let mut text = show::receipt(receipt);
    let mut facts = vec![
        show::fact("stands", stands(package, receipt)),
        show::fact("package", package.folder.display().to_string()),
    ];
    if !receipt.started_at.is_empty() {
        facts.push(show::fact("begun", show::moment(&receipt.started_at)));
    }
    if !receipt.finished_at.is_empty() {
        facts.push(show::fact("ended", show::moment(&receipt.finished_at)));
    }
    if let Some(digest) = &receipt.digest {
        facts.push(show::fact("digest", digest.as_str()));
    }
    let to_come: BTreeSet<String> = match package.status {
        PackageStatus::Pending | PackageStatus::SetAside => package.changes().into_iter().collect(),
        _ => BTreeSet::new(),
    };
    if !to_come.is_empty() {
        let tables = to_come.iter().filter(|change| !change.contains('.')).count() as u64;
        let columns = to_come.len() as u64 - tables;
        let what = format!("{} and {}", counted(tables, "table"), counted(columns, "column"));
        facts
            .push(show::fact("to come", format!("{what} that the dataset lacked, marked + below")));
    }
    let _ = write!(text, "\n\n{}", show::columns(&facts, usize::MAX));
    if !receipt.files.is_empty() {
        let mut rows =
            vec![["table", "file", "rows", "size", "sha256"].map(str::to_owned).to_vec()];
        rows.extend(receipt.files.iter().take(FILES_SHOWN).map(|file| {
            let sha256 = file.sha256.short().to_owned();
            vec![file.table.clone(), file.name.clone(), count(file.rows), bytes(file.bytes), sha256]
        }));
        let _ = write!(text, "\n{}", show::columns(&rows, 2));
        if let Some(more) = receipt.files.len().checked_sub(FILES_SHOWN).filter(|more| *more > 0) {
            let more = counted(more as u64, "file");
            let _ = writeln!(text, "  and {more} more: `--output json` names all");
        }
    }
    for table in manifest.iter().flat_map(|manifest| crate::load::plan::tables_of(manifest)) {
        let table = manifest.and_then(|manifest| manifest.schema.tables.get(table));
        let name = table.map(|table| table.name.as_str()).unwrap_or_default();
        let mark = |change: &str| if to_come.contains(change) { "+" } else { "" };
        let columns = table.into_iter().flat_map(|table| table.complete_columns()).map(|column| {
            let data_type =
                column.data_type.map(|data_type| data_type.as_str()).unwrap_or_default();
            let mark = mark(&format!("{name}.{}", column.name));
            let not_null = if column.nullable { "" } else { " not null" };
            format!("{mark}{} {data_type}{not_null}", column.name)
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let _ = write!(text, "\n  {}{name}: {columns}", mark(name));
    }
    if let Some(error) = &receipt.error {
        let _ = write!(text, "\n\nlast error: {error}");
    }
    if let Some(line) = to_do(package, receipt) {
        let _ = write!(text, "\n\nto do: {line}");
    }
    text.trim_end().to_owned()
}

/// How far the load has come.
fn stands(package: &Package, receipt: &Receipt) -> String {
    let tried = match receipt.seconds.keys().next_back() {
        _ if receipt.error.is_none() => "sealed; no attempt to load it has ended".to_owned(),
        None | Some(Step::Normalise) => {
            "sealed; the last attempt ended before any file moved".to_owned()
        }
        Some(step) => format!("sealed; the last attempt ended in the step {}", step.as_str()),
    };
    match package.status {
        PackageStatus::Loaded => "loaded".to_owned(),
        PackageStatus::Unsealed => "never sealed: nothing of it was loaded".to_owned(),
        PackageStatus::Pending => tried,
        PackageStatus::SetAside => format!("set aside: no run loads it ({tried})"),
    }
}

/// What a person can do about the load.
fn to_do(package: &Package, receipt: &Receipt) -> Option<String> {
    let (load, name) = (&package.load_id, &receipt.pipeline);
    let blocks = receipt.error.as_ref().is_some_and(|error| stays(error.kind));
    match package.status {
        PackageStatus::Pending if blocks => Some(format!(
            "once the cause is gone `transload resume {load} --pipeline-name {name}`; until then `transload package \
             set-aside {load} --pipeline-name {name}` lets later runs go on without it"
        )),
        PackageStatus::Pending => Some(format!("`transload resume {load} --pipeline-name {name}`")),
        PackageStatus::SetAside => Some(format!(
            "`transload package restore {load} --pipeline-name {name}` brings it back, `transload package drop {load} \
             --pipeline-name {name}` gives it up for good"
        )),
        _ => None,
    }
}
