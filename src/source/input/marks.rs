//! What a load remembers of the inputs that it was read from.

use std::collections::BTreeSet;

use transload_core::{Error, ErrorKind, Result, WriteDisposition};

use super::Input;
use crate::resource::{Resource, RowSource};

/// What tells the inputs of a run from those of another one: where their rows go, name, size and version. Rows from
/// elsewhere have no mark. The inputs must have been found.
///
/// A run that was killed after its package was sealed and is then started again must not load its files twice.
pub(crate) fn marks(resources: &[Resource]) -> Result<BTreeSet<String>> {
    let mut marks = BTreeSet::new();
    for resource in resources {
        if let RowSource::Files(files) = &resource.source {
            for input in &files.found {
                marks.extend(mark(&resource.table, input)?);
            }
        }
    }
    Ok(marks)
}

fn mark(table: &str, input: &Input) -> Result<Option<String>> {
    let Some(identity) = input.identity()? else { return Ok(None) };
    let version = match (&identity.etag, &identity.modified) {
        (Some(etag), _) => format!("version {etag}"),
        (None, Some(modified)) => modified.clone(),
        // A server that says neither may send something else each time.
        (None, None) => return Ok(None),
    };
    let bytes = identity.bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
    Ok(Some(format!("{table:?} {:?} {bytes} bytes of {version}", identity.name)))
}

/// The resources without the files that a load has brought already. A resource that replaces or merges stays whole unless
/// all of it was brought: its other files must not take the place of those.
pub(crate) fn without(
    resources: Vec<Resource>,
    brought: &BTreeSet<String>,
) -> Result<Vec<Resource>> {
    let mut left = Vec::new();
    for mut resource in resources {
        if let RowSource::Files(files) = &mut resource.source {
            let mut fresh = Vec::new();
            for input in &files.found {
                match mark(&resource.table, input)? {
                    Some(mark) if brought.contains(&mark) => {}
                    _ => fresh.push(input.clone()),
                }
            }
            let adds = resource.write_disposition.unwrap_or_default() == WriteDisposition::Append;
            if fresh.is_empty() {
                continue;
            }
            if adds {
                files.found = fresh;
            }
        }
        left.push(resource);
    }
    Ok(left)
}

/// Refuses to replace or merge by files of which a load that is set aside holds the rows: it could come back later and add
/// them once more.
pub(crate) fn check_held(resources: &[Resource], held: &BTreeSet<String>) -> Result<()> {
    for resource in resources {
        let adds = resource.write_disposition.unwrap_or_default() == WriteDisposition::Append;
        let RowSource::Files(files) = &resource.source else { continue };
        for input in files.found.iter().filter(|_| !adds && !held.is_empty()) {
            if mark(&resource.table, input)?.is_some_and(|mark| held.contains(&mark)) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "a load that is set aside holds rows of this file for the same table",
                )
                .with("table", &resource.table)
                .with("file", input.origin())
                .with_hint(
                    "`transload status` names it: bring it back (`transload package restore`) or give it up (`transload \
                     package drop`)",
                ));
            }
        }
    }
    Ok(())
}
