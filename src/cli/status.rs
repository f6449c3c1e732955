//! `status`: the pipelines of this machine, from their packages. Needs neither destination nor configuration.

use percent_encoding::percent_decode_str;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use transload_core::{Error, ErrorKind, ErrorReport, LoadId, Result};

use super::args::Status;
use super::info::{DAMAGED, damage_of, receipt_of};
use super::show::{self, counted};
use super::{Document, World};
use crate::Receipt;
use crate::package::{Package, PackageStatus, WorkingFolder};

/// One pipeline, as its working folder tells.
#[derive(Debug, Serialize)]
pub(super) struct PipelineStatus {
    pub(super) name: String,
    folder: PathBuf,
    /// Loads that are sealed and wait to be resumed, the oldest first.
    pending: Vec<LoadStatus>,
    /// Loads that are set aside: no run loads them.
    set_aside: Vec<LoadStatus>,
    /// Loads that were published from here.
    loaded: usize,
    /// Packages of which nothing was loaded or will be.
    unsealed: usize,
    /// The last load that was published.
    last_load: Option<LoadStatus>,
    /// The error of the last load that is not published.
    last_error: Option<ErrorReport>,
}

/// One load, in short.
#[derive(Debug, Serialize)]
struct LoadStatus {
    load_id: LoadId,
    rows: u64,
    tables: usize,
    destination: String,
    staging: Option<String>,
    dataset: String,
    finished_at: String,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<ErrorReport>,
}

/// `transload status`.
pub(super) fn status(world: &World, args: &Status) -> Result<Document> {
    let folder = world.pipelines_dir(args.pipelines_dir.as_deref());
    let pipelines = pipelines(&folder)?;
    let mut text = match pipelines.is_empty() {
        true => format!("no pipelines in {}", folder.display()),
        false => format!("pipelines in {}\n", folder.display()),
    };
    for pipeline in &pipelines {
        let _ = write!(text, "\n{}", shown(pipeline));
    }
    Ok(Document {
        text: text.trim_end().to_owned(),
        json: json!({ "pipelines_dir": folder, "pipelines": pipelines }),
    })
}

/// The pipelines in a folder, by name.
pub(super) fn pipelines(folder: &Path) -> Result<Vec<PipelineStatus>> {
    names(folder)?.into_iter().map(|name| pipeline(folder, name)).collect()
}

/// Their names, in their order.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error: io::Error| {
        Error::new(ErrorKind::Terminal, "the folder of the pipelines cannot be read")
            .with("folder", folder.display())
            .with_hint("name another one with --pipelines-dir")
            .with_source(error)
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Nothing else has this folder in it.
        if path.join("loads").is_dir() {
            let name = path.file_name().unwrap_or_default();
            names.push(unescape(&name.to_string_lossy()));
        }
    }
    names.sort();
    Ok(names)
}

fn pipeline(folder: &Path, name: String) -> Result<PipelineStatus> {
    let working = WorkingFolder::of(folder, &name);
    let packages = working.packages()?;
    let of =
        |status: PackageStatus| packages.iter().filter(move |package| package.status == status);
    let last_error =
        of(PackageStatus::Pending).next_back().and_then(|package| receipt_of(package).ok()?.error);
    Ok(PipelineStatus {
        folder: working.path().to_owned(),
        pending: of(PackageStatus::Pending).map(load).collect(),
        set_aside: of(PackageStatus::SetAside).map(load).collect(),
        loaded: of(PackageStatus::Loaded).count(),
        unsealed: of(PackageStatus::Unsealed).count(),
        last_load: of(PackageStatus::Loaded).next_back().map(load),
        last_error,
        name,
    })
}

fn load(package: &Package) -> LoadStatus {
    let (receipt, damage) = match damage_of(package).map_or_else(|| receipt_of(package), Err) {
        Ok(receipt) => (receipt, None),
        Err(error) => (Receipt::default(), Some(error.report())),
    };
    LoadStatus {
        load_id: package.load_id.clone(),
        rows: receipt.rows(),
        tables: receipt.tables.len(),
        destination: receipt.destination.name,
        staging: receipt.staging.map(|staging| staging.name),
        dataset: receipt.dataset,
        finished_at: receipt.finished_at,
        damage,
    }
}

fn shown(pipeline: &PipelineStatus) -> String {
    let mut facts = Vec::new();
    for load in &pipeline.pending {
        let is_damaged =
            load.damage.as_ref().is_some_and(|damage| damage.message.starts_with(DAMAGED));
        let name = if is_damaged { "damaged" } else { "pending" };
        facts.push(show::fact(name, in_short(load)));
    }
    for load in &pipeline.set_aside {
        facts.push(show::fact("set aside", in_short(load)));
    }
    let loaded = counted(pipeline.loaded as u64, "load");
    match &pipeline.last_load {
        Some(load) => {
            facts.push(show::fact("loaded", format!("{loaded}, the last: {}", in_short(load))))
        }
        None => facts.push(show::fact("loaded", loaded)),
    }
    if pipeline.unsealed > 0 {
        let folder = pipeline.folder.join("unsealed");
        let unsealed = counted(pipeline.unsealed as u64, "package");
        facts.push(show::fact(
            "unsealed",
            format!("{unsealed} of which nothing was loaded, in {}", folder.display()),
        ));
    }
    let mut text = format!("{}\n{}", pipeline.name, show::columns(&facts, usize::MAX));
    if let Some(error) = &pipeline.last_error {
        let error = error.to_string().replace('\n', "\n  ");
        let _ = writeln!(text, "  last error: {}", error.trim_end());
    }
    text
}

fn in_short(load: &LoadStatus) -> String {
    if let Some(damage) = &load.damage {
        let hint = damage.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        return match damage.message.strip_prefix(DAMAGED) {
            Some(reason) => format!("{}: {reason}{hint}", load.load_id),
            None => format!("{}, which cannot be read: {}{hint}", load.load_id, damage.message),
        };
    }
    let staging =
        load.staging.as_ref().map(|staging| format!(" through {staging}")).unwrap_or_default();
    let when = match load.finished_at.as_str() {
        "" => String::new(),
        time => format!(", {}", show::moment(time)),
    };
    let rows = counted(load.rows, "row");
    format!("{}, {rows} into {} on {}{staging}{when}", load.load_id, load.dataset, load.destination)
}

/// The name behind a segment of a path.
fn unescape(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_their_folders() {
        for name in ["chess", "Chess Pipeline", "50%", "..", "äö"] {
            assert_eq!(unescape(&transload_core::escape_segment(name)), name);
        }
    }

    #[test]
    fn a_folder_without_pipelines_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        assert!(pipelines(folder.path()).unwrap().is_empty());
        assert!(pipelines(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn a_package_with_a_damaged_manifest_is_not_said_to_be_pending() {
        for damaged in ["", "{\"manifest_ver", "\0\0\0\0"] {
            let folder = tempfile::tempdir().unwrap();
            let package = folder.path().join("chess/loads/1700000000.5");
            fs::create_dir_all(&package).unwrap();
            fs::write(package.join("manifest.json"), damaged).unwrap();
            // An attempt to load it was made while it was whole.
            let receipt = serde_json::to_vec(&Receipt::default()).unwrap();
            fs::write(package.join("receipt.json"), receipt).unwrap();
            let [pipeline] = &pipelines(folder.path()).unwrap()[..] else { panic!("one pipeline") };
            let text = shown(pipeline);
            assert!(
                text.contains("damaged  1700000000.5: the manifest of the package is damaged; set it aside (`transload \
                     package set-aside 1700000000.5`), and load its source again"),
                "{text}"
            );
            assert!(!text.contains("pending"), "{text}");

            let packages = WorkingFolder::of(folder.path(), "chess").packages().unwrap();
            let error = damage_of(&packages[0]).unwrap();
            assert_eq!(error.message(), "damaged: the manifest of the package is damaged");
            fs::write(package.join("manifest.json"), "{\"manifest_version\": 99}").unwrap();
            assert!(!damage_of(&packages[0]).unwrap().message().contains("damaged"));
        }
    }
}
