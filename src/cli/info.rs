//! `info`: one load, from its package on this machine. Needs neither destination nor configuration.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use serde_json::json;
use transload_core::{Error, ErrorKind, Manifest, Result};

use super::args::Info;
use super::show::{self, bytes, count};
use super::status::pipelines;
use super::{Document, World};
use crate::package::{Package, PackageStatus, WorkingFolder};
use crate::set_aside;
use crate::{Endpoint, Receipt};

/// `transload info`.
pub(super) fn info(world: &World, args: &Info) -> Result<Document> {
    let folder = world.pipelines_dir(args.pipelines_dir.as_deref());
    let known = pipelines(&folder)?;
    let names = || match known.is_empty() {
        true => "none".to_owned(),
        false => known.iter().map(|pipeline| pipeline.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let refused = |message: &'static str| {
        Error::new(ErrorKind::Configuration, message)
            .with("folder", folder.display())
            .with("pipelines", names())
            .with_hint("`--pipeline-name` names the pipeline, `--pipelines-dir` the folder of its packages")
    };
    let name = match (&args.pipeline_name, known.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.name.clone(),
        (None, _) => return Err(refused("no pipeline was named")),
    };
    let working = WorkingFolder::of(&folder, &name);
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
            None => refused("the pipeline has no loads here").with("pipeline", name),
            Some(load) => {
                let loads: Vec<&str> =
                    packages.iter().rev().take(5).map(|package| package.load_id.as_str()).collect();
                refused("there is no such load here")
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
    if package.status != PackageStatus::Pending {
        return None;
    }
    let error = package.manifest().err()?;
    let is_unreadable = error.source().is_some_and(|source| source.is::<io::Error>());
    if is_unreadable || error.context("understood").is_some() {
        // Whole, for all that is known: it must not be moved away.
        return Some(error);
    }
    let folder = package.folder.display();
    Some(
        Error::new(ErrorKind::Terminal, format!("{DAMAGED}{}", error.message()))
            .with("folder", &folder)
            .with_hint(format!("move it away and load its source again: `{folder}`"))
            .with_source(error),
    )
}

fn text(package: &Package, receipt: &Receipt, manifest: Option<&Manifest>) -> String {
    let mut text = show::receipt(receipt);
    let mut facts = vec![show::fact("package", package.folder.display().to_string())];
    if !receipt.started_at.is_empty() {
        facts.push(show::fact("begun", show::moment(&receipt.started_at)));
    }
    if !receipt.finished_at.is_empty() {
        facts.push(show::fact("ended", show::moment(&receipt.finished_at)));
    }
    if let Some(digest) = &receipt.digest {
        facts.push(show::fact("digest", digest.as_str()));
    }
    let _ = write!(text, "\n\n{}", show::columns(&facts, usize::MAX));
    if !receipt.files.is_empty() {
        let mut rows =
            vec![["table", "file", "rows", "size", "sha256"].map(str::to_owned).to_vec()];
        rows.extend(receipt.files.iter().map(|file| {
            let sha256 = file.sha256.short().to_owned();
            vec![file.table.clone(), file.name.clone(), count(file.rows), bytes(file.bytes), sha256]
        }));
        let _ = write!(text, "\n{}", show::columns(&rows, 2));
    }
    for table in manifest.iter().flat_map(|manifest| crate::load::plan::tables_of(manifest)) {
        let table = manifest.and_then(|manifest| manifest.schema.tables.get(table));
        let columns = table.into_iter().flat_map(|table| table.complete_columns()).map(|column| {
            let data_type =
                column.data_type.map(|data_type| data_type.as_str()).unwrap_or_default();
            format!("{} {data_type}{}", column.name, if column.nullable { "" } else { " not null" })
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "\n  {}: {columns}",
            table.map(|table| table.name.as_str()).unwrap_or_default()
        );
    }
    if let Some(error) = &receipt.error {
        let _ = write!(text, "\n\nlast error: {error}");
    }
    text.trim_end().to_owned()
}
