//! Folders that appear whole or not at all, and a look at what one holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::failure::{Context, Failure, Outcome};

/// Fills a temporary folder beside `destination`, then puts it in its place.
///
/// Whoever is killed in between leaves the old folder, or none: never half of one.
pub(crate) fn replace(destination: &Path, fill: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let partial = sibling(destination, "partial")?;
    if let Some(parent) = destination.parent() {
        create(parent)?;
    }
    remove(&partial)?;
    create(&partial)?;
    let result = fill(&partial).and_then(|()| swap(&partial, destination));
    if result.is_err() {
        // The failure that led here says more than one of cleaning up.
        let _ = fs::remove_dir_all(&partial);
    }
    result
}

fn swap(partial: &Path, destination: &Path) -> Outcome {
    let replaced = sibling(destination, "replaced")?;
    remove(&replaced)?;
    if destination.exists() {
        fs::rename(destination, &replaced)
            .context(|| format!("cannot move {} aside", destination.display()))?;
    }
    fs::rename(partial, destination)
        .context(|| format!("cannot move a new folder to {}", destination.display()))?;
    remove(&replaced)
}

/// Named after this process, so that two of them do not fill one folder.
fn sibling(destination: &Path, purpose: &str) -> Outcome<PathBuf> {
    let name = destination
        .file_name()
        .ok_or_else(|| Failure::new(format!("{} has no name", destination.display())))?;
    let mut name = name.to_os_string();
    name.push(format!(".{purpose}-{}", process::id()));
    Ok(destination.with_file_name(name))
}

pub(crate) fn create(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))
}

/// Removes a folder that may not be there.
pub(crate) fn remove(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.context(|| format!("cannot remove {}", folder.display())),
    }
}

/// Every file below a folder with its size in bytes, as lines of an indented tree.
pub(crate) fn tree(folder: &Path) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    branch(folder, 0, &mut lines)?;
    Ok(lines)
}

fn branch(folder: &Path, depth: usize, lines: &mut Vec<String>) -> Outcome {
    let unreadable = || format!("cannot list {}", folder.display());
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .context(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let indented = format!("{}{}", "  ".repeat(depth), name.to_string_lossy());
        let metadata = entry.metadata().context(unreadable)?;
        if metadata.is_dir() {
            lines.push(format!("{indented}/"));
            branch(&entry.path(), depth + 1, lines)?;
        } else {
            lines.push(format!("{indented}  {} bytes", metadata.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", process::id()));
        remove(&folder).unwrap();
        folder
    }

    #[test]
    fn a_failed_filling_leaves_the_old_folder() {
        let base = scratch("failed-filling");
        let destination = base.join("kept");
        replace(&destination, |new| fs::write(new.join("old"), "1").context(String::new)).unwrap();
        let failed = replace(&destination, |_| Err(Failure::new("no")));
        assert!(failed.is_err());
        assert_eq!(tree(&base).unwrap(), ["kept/", "  old  1 bytes"]);
        remove(&base).unwrap();
    }

    #[test]
    fn a_filling_replaces_all_of_the_old_folder() {
        let base = scratch("filling");
        let destination = base.join("kept");
        for name in ["old", "new"] {
            replace(&destination, |new| fs::write(new.join(name), "").context(String::new))
                .unwrap();
        }
        assert_eq!(tree(&base).unwrap(), ["kept/", "  new  0 bytes"]);
        remove(&base).unwrap();
    }
}
