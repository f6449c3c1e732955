//! Keys that no plugin has: a misspelt one must not be passed over in silence.

use transload_core::registry::distance;
use transload_core::settings::{SettingKey, SettingKind};
use transload_core::{Error, ErrorKind, Result};

use super::Layers;
use super::files::File;
use super::lookup::{Environment, dotted};

/// Keys that belong to the destination, not to its plugin.
const OWN: [&str; 2] = ["destination_type", "destination_name"];

/// Looks at the section of the destination in each file and in the environment.
pub(super) fn check(
    layers: &Layers,
    pipeline: &str,
    name: &str,
    keys: &[SettingKey],
) -> Result<()> {
    let shared = layers.shared_keys.iter().flat_map(|keys| keys.iter());
    let known: Vec<SettingKey> = keys.iter().chain(shared).copied().collect();
    let sections: &[&[&str]] = &[&["destination", name], &[pipeline, "destination", name]];
    let sections = if pipeline.is_empty() { &sections[..1] } else { sections };
    for section in sections {
        for file in layers.secrets.files().iter().chain(layers.config.files()) {
            check_file(file, section, &known)?;
        }
        check_environment(&layers.environment, section, &known)?;
        for path in layers.code.paths() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Some(inner) = path.strip_prefix(*section)
                && is_unknown(inner, &known)
            {
                return Err(no_such_setting(section, inner, &known).with("in", "code"));
            }
        }
    }
    Ok(())
}

fn check_file(file: &File, section: &[&str], known: &[SettingKey]) -> Result<()> {
    let unknown = file.lines.iter().filter_map(|(path, line)| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let inner = path.strip_prefix(section)?;
        is_unknown(inner, known).then(|| (*line, inner.to_vec()))
    });
    // The first in the file, and of a table and its keys the table.
    let Some((line, inner)) = unknown.min_by_key(|(line, inner)| (*line, inner.len())) else {
        return Ok(());
    };
    let place = format!("{}:{line}", file.path.display());
    Err(no_such_setting(section, &inner, known).with("in", place))
}

fn check_environment(
    environment: &Environment,
    section: &[&str],
    known: &[SettingKey],
) -> Result<()> {
    let prefix = format!("{}__", Environment::name(section));
    for (variable, _) in environment.variables() {
        let Some(inner) = variable.strip_prefix(&prefix) else { continue };
        // Names have no lower case in the environment: compared is what the keys would be called there.
        let inner: Vec<String> = inner.split("__").map(str::to_lowercase).collect();
        let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
        let known_there = !is_unknown(&inner, known)
            || names(known, "").iter().any(|name| {
                let path: Vec<&str> = section.iter().copied().chain(name.split('.')).collect();
                Environment::name(&path) == variable
            });
        if !known_there {
            return Err(no_such_setting(section, &inner, known)
                .with("in", format!("environment variable {variable}")));
        }
    }
    Ok(())
}

fn is_unknown(path: &[&str], known: &[SettingKey]) -> bool {
    match path {
        [name] if OWN.contains(name) => false,
        _ => !leads_somewhere(path, known),
    }
}

fn leads_somewhere(path: &[&str], known: &[SettingKey]) -> bool {
    let [name, rest @ ..] = path else { return true };
    match known.iter().find(|key| key.name == *name).map(|key| key.kind) {
        Some(SettingKind::Group(group)) => leads_somewhere(rest, group.keys),
        Some(SettingKind::Map) => true,
        Some(_) => rest.is_empty(),
        None => false,
    }
}

fn no_such_setting(section: &[&str], path: &[&str], known: &[SettingKey]) -> Error {
    let (name, tables) = path.split_last().map_or(("", path), |(last, tables)| (*last, tables));
    let level = level(tables, known);
    let error = Error::new(ErrorKind::Configuration, "there is no such setting")
        .with("key", dotted(&[section, path].concat()));
    let elsewhere = names(known, "").into_iter().find(|key| {
        key.rsplit_once('.').is_some_and(|(_, last)| last == name)
            && !level.iter().any(|k| k.name == name)
    });
    match elsewhere {
        Some(key) => error.with_hint(format!("did you mean `{}.{key}`?", dotted(section))),
        None => suggest(error, name, level.iter().map(|key| key.name)),
    }
}

/// The keys of the innermost group that a path leads to.
fn level<'a>(tables: &[&str], known: &'a [SettingKey]) -> &'a [SettingKey] {
    let [name, rest @ ..] = tables else { return known };
    match known.iter().find(|key| key.name == *name).map(|key| key.kind) {
        Some(SettingKind::Group(group)) => level(rest, group.keys),
        _ => &[],
    }
}

/// Every key, with those of the groups around it.
pub(super) fn names(keys: &[SettingKey], above: &str) -> Vec<String> {
    let join = transload_core::settings::join_key;
    keys.iter()
        .flat_map(|key| {
            let name = join(above, key.name);
            match key.kind {
                SettingKind::Group(group) => {
                    let inner = names(group.keys, &name);
                    std::iter::once(name).chain(inner).collect()
                }
                _ => vec![name],
            }
        })
        .collect()
}

/// Names the known key that is meant, or else all of them.
pub(super) fn suggest<'a>(
    error: Error,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    let near = known
        .clone()
        .map(|key| (distance(key, name), key))
        .filter(|(edits, key)| *edits <= 2 && *edits < key.len())
        .min();
    match near {
        Some((_, key)) => error.with_hint(format!("did you mean `{key}`?")),
        None => {
            let known: Vec<&str> = known.collect();
            error.with("known", if known.is_empty() { "none".into() } else { known.join(", ") })
        }
    }
}
