//! `public-api`: what the contract offers, as a text that a reviewer sees change.
//!
//! Tools that compare two versions want nightly documentation or a published baseline. This one reads the sources, which are
//! formatted, and needs neither: it runs in `tidy`, offline.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Outcome};
use crate::workspace::Workspace;

/// Where it is kept.
pub(crate) const FILE: &str = "core/public-api.txt";

const SOURCES: &str = "core/src";

pub(crate) fn public_api_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    let text = current(workspace)?;
    let path = workspace.root().join(FILE);
    fs::write(path, &text).context(|| format!("cannot write {FILE}"))?;
    println!("public-api: {FILE} has {} lines", text.lines().count());
    Ok(())
}

/// The public items of the contract as they are now.
pub(crate) fn current(workspace: &Workspace) -> Outcome<String> {
    let root = workspace.root().join(SOURCES);
    let mut files = Vec::new();
    sources(&root, &mut files)?;
    files.sort();
    let mut text = String::new();
    for path in files {
        let source =
            fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
        let items = items(&source);
        if !items.is_empty() {
            text.push_str(&format!("# {}\n", shown(&path, &root)));
            items.iter().for_each(|item| text.push_str(&format!("{item}\n")));
        }
    }
    Ok(text)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    let failed = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).context(failed)? {
        let path = entry.context(failed)?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The public items of a file, each a line, without comments, attributes and bodies.
fn items(source: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut implemented = String::new();
    let mut lines = source.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if indent == 0 && (line.starts_with("impl") || line == "}") {
            implemented = line.trim_end_matches(" {").replace('}', "");
        }
        let item = line.trim_start();
        if !item.starts_with("pub ") && !item.starts_with("macro_rules!") {
            continue;
        }
        let mut text = item.to_owned();
        // A signature or a list over several lines.
        while !text.ends_with(['{', ';', ',', '}']) || (text.ends_with(',') && is_open(&text)) {
            let Some(next) = lines.next() else { break };
            text.push(' ');
            text.push_str(next.trim());
        }
        let opens_body = text.ends_with('{');
        let has_members = ["pub enum ", "pub trait "].iter().any(|word| item.starts_with(word));
        let head = text.trim_end_matches(['{', ',', ' ']).to_owned();
        let of = if indent > 0 && !implemented.is_empty() {
            format!("{implemented}: ")
        } else {
            String::new()
        };
        items.push(format!("{of}{head}"));
        if opens_body && has_members {
            let end = format!("{}}}", " ".repeat(indent));
            let body = lines.by_ref().take_while(|line| *line != end);
            let members = body.map(str::trim).filter(|line| {
                !line.is_empty() && !line.starts_with("//") && !line.starts_with("#[")
            });
            items.extend(members.map(|member| format!("    {member}")));
        }
    }
    items
}

/// Whether a bracket is still open, so that a comma at the end is not the end of the item.
fn is_open(text: &str) -> bool {
    let count = |wanted: &[char]| text.chars().filter(|c| wanted.contains(c)).count();
    count(&['(', '[']) > count(&[')', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// A thing.
#[derive(Debug)]
pub struct Thing {
    /// Its name.
    pub name: String,
    secret: u8,
}

impl Thing {
    /// Makes one.
    pub fn new(
        name: &str,
    ) -> Self {
        make(name)
    }

    pub(crate) fn hidden() {}
}

pub enum Kind {
    /// One.
    #[default]
    One,
    Two {
        a: u8,
    },
}

pub trait Does {
    fn it(&self) -> u8;
}

#[cfg(test)]
mod tests {
    pub fn not_me() {}
}
";

    #[test]
    fn public_items_are_listed_without_their_bodies() {
        assert_eq!(
            items(SOURCE),
            [
                "pub struct Thing",
                "pub name: String",
                "impl Thing: pub fn new( name: &str, ) -> Self",
                "pub enum Kind",
                "    One,",
                "    Two {",
                "    a: u8,",
                "    },",
                "pub trait Does",
                "    fn it(&self) -> u8;",
            ]
        );
    }
}
