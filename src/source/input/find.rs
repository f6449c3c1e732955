//! From paths, globs and URLs to the inputs that there are.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use transload_core::{Error, ErrorKind, Result};

use super::{Input, Place, STDIN, unreadable};
use crate::resource::{Resource, RowSource};
use crate::source::options::SourceOptions;
use crate::source::remote::{Stores, is_url, local_path};

/// Finds the inputs of the resources that name files. What is missing is said before anything is begun.
pub(crate) async fn find_files(resources: &mut [Resource], stores: &Stores) -> Result<()> {
    for resource in resources {
        if let RowSource::Files(files) = &mut resource.source {
            files.options.unpack = stores.unpack_limits();
            files.found = expand(&files.named, &files.options, stores).await?;
        }
    }
    Ok(())
}

/// The inputs that paths, globs and URLs stand for, those of one glob in the order of their names, each once.
pub(super) async fn expand(
    named: &[PathBuf],
    options: &SourceOptions,
    stores: &Stores,
) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in named {
        let text = path.to_string_lossy();
        if text == STDIN {
            inputs.push(Input::new(Place::Stdin, options)?);
        } else if let Some(local) = local_path(&text) {
            expand_local(&local?, options, &mut inputs)?;
        } else if is_url(path) {
            for object in stores.find(&text).await? {
                inputs.push(Input::new(Place::Object(Box::new(object)), options)?);
            }
        } else {
            expand_local(path, options, &mut inputs)?;
        }
    }
    // What is named twice is read once.
    let mut seen = BTreeSet::new();
    inputs.retain(|input| {
        // As text: two paths are equal that differ in slashes alone, and two URLs are not.
        seen.insert(match &input.place {
            Place::Stdin => OsString::from(STDIN),
            Place::Local(path) => path.canonicalize().unwrap_or_else(|_| path.clone()).into(),
            Place::Object(object) => object.identity().name.clone().into(),
        })
    });
    Ok(inputs)
}

fn expand_local(path: &Path, options: &SourceOptions, inputs: &mut Vec<Input>) -> Result<()> {
    let text = path.to_string_lossy();
    if !path.exists() && text.contains(['*', '?', '[']) {
        let refused = |reason: String| {
            Error::new(ErrorKind::Configuration, "the source names no files")
                .with("source", path.display())
                .with("reason", reason)
        };
        let before = inputs.len();
        for found in glob::glob(&text).map_err(|error| refused(error.to_string()))? {
            let found = found.map_err(|error| refused(error.to_string()))?;
            if found.is_file() {
                inputs.push(Input::new(Place::Local(found), options)?);
            }
        }
        if inputs.len() == before {
            return Err(refused("no file has such a name".to_owned())
                .with_hint("check the pattern and the folder"));
        }
        return Ok(());
    }
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::Configuration, "the source is a folder")
            .with("source", path.display())
            .with_hint(format!("name its files: `{}/*.jsonl`", path.display())));
    }
    inputs.push(Input::new(Place::Local(path.to_owned()), options)?);
    Ok(())
}
