//! `package`: packages that stand in the way of others are set aside, come back, or are given up.

use serde_json::json;
use transload_core::{LoadId, Result};

use super::args::{PackageArgs, PackageDrop};
use super::choice::Choice;
use super::info::named_pipeline;
use super::{Document, World};
use crate::package::{Package, WorkingFolder};
use crate::plugins;

/// `transload package set-aside`.
pub(super) fn set_aside(world: &World, args: &PackageArgs) -> Result<Document> {
    let (name, working) =
        named_pipeline(world, args.pipeline_name.as_deref(), args.pipelines_dir.as_deref())?;
    let package = working.set_aside(&LoadId::new(&args.load))?;
    let load = &package.load_id;
    let text = format!(
        "load {load} of pipeline {name} is set aside in {}\n  `transload package restore {load}` brings it back, \
         `transload package drop {load}` gives it up for good",
        package.folder.display()
    );
    Ok(document(&name, &package, text))
}

/// `transload package restore`.
pub(super) fn restore(world: &World, args: &PackageArgs) -> Result<Document> {
    let (name, working) =
        named_pipeline(world, args.pipeline_name.as_deref(), args.pipelines_dir.as_deref())?;
    let package = working.restore(&LoadId::new(&args.load))?;
    let text = format!(
        "load {} of pipeline {name} waits to be loaded again: `transload resume` or the next run does it",
        package.load_id
    );
    Ok(document(&name, &package, text))
}

/// `transload package drop`.
pub(super) fn drop(world: &World, args: PackageDrop) -> Result<Document> {
    let load_id = LoadId::new(&args.load);
    let mut choice = Choice::new(None, args.pipeline)?;
    let dir = world.pipelines_dir(choice.pipelines_dir.as_deref());
    let name = match &choice.name {
        Some(name) => name.clone(),
        None => named_pipeline(world, None, choice.pipelines_dir.as_deref())?.0,
    };
    choice.name = Some(name.clone());
    let working = WorkingFolder::of(&dir, &name);
    let package = working.packages()?.into_iter().find(|package| package.load_id == load_id);
    take_over(&mut choice, package.as_ref());
    let in_storage = choice.staging.is_some() && !args.keep_staged;
    if in_storage {
        let redactor = choice.redactor(world, &plugins::registry());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(super::no_threads)?;
        let pipeline = choice.build(world, std::sync::Arc::new(|_: crate::Event| {}));
        let pipeline = pipeline.map_err(|error| error.redacted(&redactor))?;
        runtime.block_on(pipeline.drop_package(&load_id))?;
    } else {
        working.drop_package(&load_id)?;
    }
    let storage = if in_storage { ", its files in the staging storage too" } else { "" };
    let text = format!("load {load_id} of pipeline {name} is dropped{storage}");
    let json =
        json!({ "pipeline": name, "load_id": load_id, "dropped": true, "in_storage": in_storage });
    Ok(Document { text, json })
}

/// Takes from a package where its load goes, where neither flags nor file say it.
fn take_over(choice: &mut Choice, package: Option<&Package>) {
    let Some(manifest) = package.and_then(|package| package.manifest().ok()) else { return };
    if choice.destinations.is_empty() {
        choice.destinations = vec![manifest.destination.clone()];
        choice.staging = choice.staging.take().or_else(|| manifest.staging.clone());
    }
    choice.dataset_name.get_or_insert_with(|| manifest.dataset.name.clone());
}

fn document(pipeline: &str, package: &Package, text: String) -> Document {
    let Package { load_id, status, folder } = package;
    let json =
        json!({ "pipeline": pipeline, "load_id": load_id, "status": status, "folder": folder });
    Document { text, json }
}
