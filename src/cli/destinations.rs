//! `destinations`: the plugins of this build with their configuration keys, and those that are not in it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use transload_core::settings::{SettingKey, SettingKind, join_key};
use transload_core::{Error, ErrorKind, Plugin, Registry, Result};

use super::Document;
use super::args::Destinations;
use super::show;
use crate::plugins;

/// A plugin, as it is shown.
#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    /// `destination`, `staging`, or both.
    kinds: Vec<&'static str>,
    summary: &'static str,
    package: &'static str,
    version: &'static str,
    settings: Vec<Key>,
}

/// A configuration key, as it is shown.
#[derive(Debug, Serialize)]
struct Key {
    key: String,
    kind: &'static str,
    /// Whether there must be one: always, or as soon as there is another one of its table.
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_with: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
    secret: bool,
    doc: &'static str,
}

/// `transload destinations`.
pub(super) fn destinations(args: &Destinations) -> Result<Document> {
    let registry = plugins::registry();
    match &args.name {
        Some(name) => {
            let entry = entry(find(&registry, name)?);
            Ok(Document { text: in_full(&entry), json: json!(entry) })
        }
        None => Ok(all(&registry)),
    }
}

fn find<'r>(registry: &'r Registry, name: &str) -> Result<&'r Plugin> {
    let error = match registry.destination(name) {
        Ok((plugin, _)) => return Ok(plugin),
        Err(error) => error,
    };
    // A staging destination that is nothing else has a role after all.
    match registry.staging(name) {
        Ok((plugin, _)) => Ok(plugin),
        Err(_) if error.kind() == ErrorKind::Configuration && error.context("known").is_some() => {
            let names: Vec<&str> = registry.plugins().map(|plugin| plugin.name).collect();
            let known =
                Error::new(ErrorKind::Configuration, "there is no such plugin in this build")
                    .with("name", name)
                    .with(
                        "known",
                        if names.is_empty() { "none".to_owned() } else { names.join(", ") },
                    );
            Err(match error.hint() {
                Some(hint) => known.with_hint(hint),
                None => known,
            })
        }
        Err(_) => Err(error),
    }
}

fn all(registry: &Registry) -> Document {
    let entries: Vec<Entry> = registry.plugins().map(entry).collect();
    let absent: Vec<(&str, &str)> = registry.absent().collect();
    let mut text = String::new();
    for entry in &entries {
        let _ = writeln!(text, "{}", headline(entry));
        let keys: Vec<Vec<String>> =
            entry.settings.iter().map(|key| show::fact(&key.key, terms(key))).collect();
        let _ = writeln!(text, "{}", show::columns(&keys, usize::MAX));
    }
    if !absent.is_empty() {
        text.push_str("not in this build:\n");
        let rows: Vec<Vec<String>> =
            absent.iter().map(|(name, remedy)| show::fact(name, *remedy)).collect();
        let _ = writeln!(text, "{}", show::columns(&rows, usize::MAX));
    }
    text.push_str("`transload destinations NAME` says what each key means.");
    let absent: Vec<_> =
        absent.iter().map(|(name, remedy)| json!({ "name": name, "remedy": remedy })).collect();
    Document { text, json: json!({ "destinations": entries, "absent": absent }) }
}

fn in_full(entry: &Entry) -> String {
    let mut text = headline(entry);
    let _ = write!(text, "\n\nconfiguration, under [destination.{}]:\n", entry.name);
    for key in &entry.settings {
        let doc: Vec<&str> = key.doc.lines().map(str::trim).collect();
        let _ = write!(text, "\n  {} ({})\n      {}\n", key.key, terms(key), doc.join("\n      "));
    }
    text.trim_end().to_owned()
}

fn headline(entry: &Entry) -> String {
    let aliases = match entry.aliases {
        [] => String::new(),
        aliases => format!(" (also {})", aliases.join(", ")),
    };
    let kinds = entry.kinds.join(" and ");
    format!(
        "{}{aliases}: {kinds}; {}\n  {} {}",
        entry.name, entry.summary, entry.package, entry.version
    )
}

fn terms(key: &Key) -> String {
    let mut terms = vec![key.kind.to_owned()];
    match (&key.required_with, key.required, key.default) {
        (Some(table), _, _) => terms.push(format!("required with `{table}`")),
        (None, true, _) => terms.push("required".to_owned()),
        (None, false, Some(default)) => terms.push(format!("default `{default}`")),
        (None, false, None) => {}
    }
    terms.join(", ")
}

fn entry(plugin: &Plugin) -> Entry {
    let kinds =
        [("destination", plugin.destination.is_some()), ("staging", plugin.staging.is_some())];
    let mut settings = Vec::new();
    keys(plugin.settings, "", None, &mut settings);
    Entry {
        name: plugin.name,
        aliases: plugin.aliases,
        kinds: kinds.iter().filter(|(_, is)| *is).map(|(kind, _)| *kind).collect(),
        summary: plugin.summary,
        package: plugin.package,
        version: plugin.version,
        settings,
    }
}

/// The keys with those of their tables. `optional` is the nearest table around them that may be left out.
fn keys(settings: &[SettingKey], above: &str, optional: Option<&str>, into: &mut Vec<Key>) {
    for setting in settings {
        let key = join_key(above, setting.name);
        if let SettingKind::Group(group) = setting.kind {
            let here = if setting.required { optional } else { Some(key.as_str()) };
            if group.from_text.is_some() {
                into.push(Key { kind: "text or table", ..shown(setting, key.clone(), optional) });
            }
            keys(group.keys, &key, here, into);
        } else {
            into.push(shown(setting, key, optional));
        }
    }
}

fn shown(setting: &SettingKey, key: String, optional: Option<&str>) -> Key {
    Key {
        key,
        kind: setting.kind.as_str(),
        required: setting.required && optional.is_none(),
        required_with: optional.filter(|_| setting.required).map(str::to_owned),
        default: setting.default,
        secret: matches!(setting.kind, SettingKind::Secret),
        doc: setting.doc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{CONTRACT_VERSION, Secret, settings, settings::connection_string};

    settings! {
        /// How to log in.
        struct Login (from_text = connection_string) {
            /// The password.
            /// It is never shown.
            password: Secret,
        }
    }

    settings! {
        /// A test.
        struct Lake {
            /// The folder.
            url: String,
            /// How to log in.
            login: Option<Login>,
            /// Seconds.
            timeout: u64 = "30",
        }
    }

    fn plugin() -> Plugin {
        Plugin {
            name: "lake",
            aliases: &["pond"],
            summary: "a lake",
            package: "dest-lake",
            version: "1.2.3",
            contract: CONTRACT_VERSION,
            settings: Lake::KEYS,
            destination: None,
            staging: Some(|_| Err(Error::new(ErrorKind::Unsupported, "not made for use"))),
        }
    }

    #[test]
    fn a_plugin_is_shown_with_its_keys() {
        insta::assert_snapshot!(in_full(&entry(&plugin())), @r"
        lake (also pond): staging; a lake
          dest-lake 1.2.3

        configuration, under [destination.lake]:

          url (text, required)
              The folder.

          login (text or table)
              How to log in.

          login.password (secret, required with `login`)
              The password.
              It is never shown.

          timeout (integer, default `30`)
              Seconds.
        ");
    }

    #[test]
    fn a_staging_destination_is_found_and_an_unknown_name_lists_all() {
        let registry = Registry::empty()
            .with(plugin())
            .knowing("redshift", "build with `--features redshift`");
        assert_eq!(find(&registry, "pond").unwrap().name, "lake");
        let error = find(&registry, "lakes").unwrap_err();
        assert_eq!(error.context("known"), Some("lake"));
        assert!(
            find(&registry, "redshift")
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("--features redshift")
        );
        let all = all(&registry);
        assert!(all.text.contains("not in this build:\n  redshift  build with"), "{}", all.text);
        assert_eq!(all.json["absent"][0]["name"], "redshift");
    }
}
