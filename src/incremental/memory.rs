//! What the resources of a run take from the state before they are read, and what they leave there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use transload_core::{Error, ErrorKind, Result, WriteDisposition};

use super::cursor::Judge;
use super::files::{self, FilesSeen};
use super::tally::Seen;
use crate::resource::{Resource, RowSource};
use crate::source::identity::FileIdentity;
use crate::state::PipelineState;

/// What the resources of a run remember, by their names.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<String, Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    judge: Option<Arc<Judge>>,
    files: Option<FilesSeen>,
    /// Files that were left out.
    skipped: usize,
    /// Whether what was remembered is to be forgotten: the rows go with it.
    forget: bool,
}

impl Memory {
    /// Reads what was remembered in the schema's part of the state, and takes the files that were loaded out of the
    /// resources.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a resource asks for what does not go together, [`ErrorKind::Terminal`] where
    /// the state cannot be read.
    pub(crate) fn recall(
        state: &PipelineState,
        schema: &str,
        resources: &mut [Resource],
    ) -> Result<Self> {
        let mut memory = Self::default();
        for resource in resources {
            let forget = resource.write_disposition == Some(WriteDisposition::Replace);
            let remembers = resource.incremental.is_some() || resource.only_new_files;
            let stored = state.resource(schema, &resource.name).filter(|_| !forget);
            if memory.0.get(&resource.name).is_some_and(|other| remembers || other.remembers()) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "two resources of one name cannot remember what they loaded",
                )
                .with("resource", &resource.name)
                .with_hint("give each a `name` of its own; both may have the same table"));
            }
            let judge = match &resource.incremental {
                Some(incremental) => {
                    let stored = stored
                        .and_then(|stored| stored.get("incremental"))
                        .and_then(|cursors| cursors.get(incremental.cursor_path.as_str()));
                    let key = &resource.primary_key;
                    Some(Arc::new(Judge::new(incremental, &resource.name, key, stored)?))
                }
                None => None,
            };
            let (files, skipped) = if resource.only_new_files {
                let stored = stored.and_then(|stored| stored.get(files::KEY));
                let (files, skipped) = leave_out(resource, stored)?;
                (Some(files), skipped)
            } else {
                (None, 0)
            };
            memory.0.insert(resource.name.clone(), Remembered { judge, files, skipped, forget });
        }
        Ok(memory)
    }

    /// What judges the rows of a resource, where it is incremental.
    pub(crate) fn judge(&self, resource: &str) -> Option<Arc<Judge>> {
        self.0.get(resource)?.judge.clone()
    }

    /// The files that were left out of a resource because they were loaded before.
    pub(crate) fn skipped(&self, resource: &str) -> usize {
        self.0.get(resource).map_or(0, |remembered| remembered.skipped)
    }

    /// Writes into the state what the run leaves there, for it to be published with the rows. `seen` is what the
    /// resources brought, by their names; a resource without rows need not be there.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where the values of a cursor cannot be compared.
    pub(crate) fn store(
        &self,
        state: &mut PipelineState,
        schema: &str,
        seen: &BTreeMap<String, Seen>,
    ) -> Result<()> {
        let nothing = Seen::default();
        for (name, remembered) in &self.0 {
            if remembered.forget {
                state.forget_resource(schema, name);
            }
            if let Some(judge) = &remembered.judge
                && let Some(cursor) = judge.remember(seen.get(name).unwrap_or(&nothing))?
            {
                let resource = state.resource_mut(schema, name);
                let cursors = resource.entry("incremental").or_insert_with(|| json!({}));
                if !cursors.is_object() {
                    *cursors = Json::Object(Map::new());
                }
                if let Some(cursors) = cursors.as_object_mut() {
                    cursors.insert(judge.path.as_str().to_owned(), cursor);
                }
            }
            if let Some(files) = &remembered.files {
                state.resource_mut(schema, name).insert(files::KEY.to_owned(), files.to_state());
            }
        }
        Ok(())
    }
}

impl Remembered {
    fn remembers(&self) -> bool {
        self.judge.is_some() || self.files.is_some()
    }
}

/// Takes the files that were loaded before out of a resource. Returns what is to be remembered once the others are loaded,
/// and how many were taken out.
fn leave_out(resource: &mut Resource, stored: Option<&Json>) -> Result<(FilesSeen, usize)> {
    let refused = |message: &'static str| {
        Error::new(ErrorKind::Configuration, message).with("resource", &resource.name)
    };
    if resource.write_disposition == Some(WriteDisposition::Replace) {
        // The table would hold the rows of the new files alone, while the others are taken for loaded.
        return Err(refused("a resource cannot replace its table by the new files alone")
            .with_hint(
                "use `append` or `merge`, or load all files: leave `incremental_files` out",
            ));
    }
    let RowSource::Files(files) = &mut resource.source else {
        return Err(refused("only a resource that reads files can be loaded by its new files"));
    };
    let mut seen = match stored {
        Some(stored) => {
            FilesSeen::from_state(stored).map_err(|error| error.with("resource", &resource.name))?
        }
        None => FilesSeen::default(),
    };
    let mut identities: Vec<FileIdentity> = Vec::new();
    for input in &files.found {
        let Some(identity) = input.identity()? else {
            return Err(refused("what is read from the standard input is not known again")
                .with_hint("name files, or leave `incremental_files` out"));
        };
        identities.push(identity);
    }
    let mut fresh = seen.fresh(&identities).into_iter();
    let before = files.found.len();
    files.found.retain(|_| fresh.next().unwrap_or(true));
    let skipped = before - files.found.len();
    seen.remember(&identities).map_err(|error| error.with("resource", &resource.name))?;
    Ok((seen, skipped))
}
