//! What was resolved, for people: `transload config check`, warnings, and the secrets that nobody may see.

use percent_encoding::percent_decode_str;
use std::ffi::OsStr;

use serde::Serialize;
use transload_core::Secret;
use transload_core::settings::{Origin, SettingKey, SettingKind, SettingValue, Settings, join_key};

use super::Layers;

/// One key as it was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The key, with those of the tables around it.
    pub key: String,
    /// Whether there is a value.
    pub state: State,
    /// The value, fit to be seen: secrets and passwords in URLs are replaced by `***`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_shown: Option<String>,
    /// Where the value came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Whether a key has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was found.
    Set,
    /// It was not found, and there is a default.
    Default,
    /// It was not found and need not be there.
    Unset,
    /// It was not found and must be there.
    Missing,
}

/// Each key in its order, with its value and where that came from.
pub fn report(settings: &Settings, keys: &[SettingKey]) -> Vec<Line> {
    let line = |Leaf { name, key, group, needed }: Leaf| {
        let found = settings.values.get(&name);
        let secret = matches!(key.kind, SettingKind::Secret);
        let (state, value_shown, origin) = match (found, key.default) {
            (Some((value, origin)), _) => {
                let shown = if secret { HIDDEN.to_owned() } else { shown(value) };
                (State::Set, Some(shown), Some(origin.clone()))
            }
            (None, Some(default)) => {
                (State::Default, Some(default.to_owned()), Some(Origin::Default))
            }
            (None, None) if key.required && (needed || settings.has(&group)) => {
                (State::Missing, None, None)
            }
            (None, None) => (State::Unset, None, None),
        };
        Line { key: name, state, value_shown, origin }
    };
    leaves(keys, "", true).into_iter().map(line).collect()
}

/// What is not forbidden but wants a word: a secret in `config.toml`, which people put under version control.
pub fn warnings(settings: &Settings, keys: &[SettingKey]) -> Vec<String> {
    let mut warnings = Vec::new();
    for Leaf { name, key, .. } in leaves(keys, "", true) {
        if let Some((_, Origin::File { path, key: place })) = settings.values.get(&name)
            && matches!(key.kind, SettingKind::Secret)
            && path.file_name() == Some(OsStr::new("config.toml"))
        {
            let path = path.display();
            warnings.push(format!(
                "the secret `{name}` of `{}` stands in {path} ({place}): move it to secrets.toml",
                settings.name
            ));
        }
    }
    warnings
}

/// The values that nobody may see, for a [`Redactor`](transload_core::Redactor): those of secret keys, and the passwords
/// of URLs.
pub fn secrets_of(settings: &Settings, keys: &[SettingKey]) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for Leaf { name, key, .. } in leaves(keys, "", true) {
        let Some((value, _)) = settings.values.get(&name) else { continue };
        texts(value, &mut |text| {
            if matches!(key.kind, SettingKind::Secret) {
                add(&mut secrets, text);
                add(&mut secrets, text.trim());
                if let Ok(json) = serde_json::from_str(text) {
                    within_json("", &json, &mut secrets);
                }
            }
            passwords(text, &mut secrets);
        });
    }
    secrets
}

impl Layers {
    /// The passwords of every URL in any place, as they are written and percent-decoded. Those that [`secrets_of`]
    /// finds are not among them unless they stand in a URL.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = Vec::new();
        for value in self.code.values() {
            texts(value, &mut |text| passwords(text, &mut secrets));
        }
        for (_, value) in self.environment.variables() {
            passwords(value.expose(), &mut secrets);
        }
        for text in self.secrets.texts().into_iter().chain(self.config.texts()) {
            passwords(text, &mut secrets);
        }
        secrets
    }
}

const HIDDEN: &str = "***";

/// Names in which a secret is to be expected where nothing says that it is one: in tables with free names and in URLs.
const SUSPECT: [&str; 9] = [
    "password",
    "passwd",
    "passcode",
    "passphrase",
    "secret",
    "token",
    "key",
    "signature",
    "credential",
];

fn is_suspect(name: &str) -> bool {
    let name = name.to_lowercase();
    name == "sig" || name == "pwd" || SUSPECT.iter().any(|part| name.contains(part))
}

/// A key that is no group.
struct Leaf<'a> {
    name: String,
    key: &'a SettingKey,
    /// The group it is in; empty for none.
    group: String,
    /// Whether that group must be there. If it need not, what it requires is missing only once one of its keys is set.
    needed: bool,
}

fn leaves<'a>(keys: &'a [SettingKey], above: &str, needed: bool) -> Vec<Leaf<'a>> {
    keys.iter()
        .flat_map(|key| {
            let name = join_key(above, key.name);
            match key.kind {
                SettingKind::Group(group) => leaves(group.keys, &name, needed && key.required),
                _ => vec![Leaf { name, key, group: above.to_owned(), needed }],
            }
        })
        .collect()
}

fn texts(value: &SettingValue, visit: &mut dyn FnMut(&str)) {
    match value {
        SettingValue::Text(text) => visit(text.expose()),
        SettingValue::Integer(number) => visit(&number.to_string()),
        SettingValue::Float(number) => visit(&number.to_string()),
        SettingValue::Boolean(_) => {}
        SettingValue::List(items) => items.iter().for_each(|item| texts(item, visit)),
        SettingValue::Map(map) => map.values().for_each(|item| texts(item, visit)),
    }
}

fn shown(value: &SettingValue) -> String {
    match value {
        SettingValue::Text(text) => shown_text(text.expose()),
        SettingValue::Integer(number) => number.to_string(),
        SettingValue::Float(number) => number.to_string(),
        SettingValue::Boolean(value) => value.to_string(),
        SettingValue::List(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        SettingValue::Map(map) => {
            let entries = map.iter().map(|(name, value)| {
                let value = if is_suspect(name) { HIDDEN.to_owned() } else { shown(value) };
                format!("{name} = {value}")
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether a text may be a JSON object, and so hold keys; a layout begins with a brace too.
fn is_json_object(text: &str) -> bool {
    text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

/// A text without what may be secret in it: the user and password of a URL, all that follows a `?` in any text, and the
/// whole of a text that is a JSON object.
fn shown_text(text: &str) -> String {
    if is_json_object(text) {
        return HIDDEN.to_owned();
    }
    let (place, query) = match text.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (text, None),
    };
    let place = match place.split_once("://") {
        // It cannot be told whether what follows belongs to the password or to the query.
        Some((scheme, _)) if query.is_some_and(|query| query.contains('@')) => {
            return format!("{scheme}://{HIDDEN}");
        }
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '#']).next().unwrap_or_default();
            match rest.rsplit_once('@') {
                // The last `@`, wherever it is: a password may have signs that should have been encoded.
                // Azure's URLs have the container there.
                Some((container, _)) if is_azure(scheme) && !container.contains([':', '/']) => {
                    place.to_owned()
                }
                Some((user, host)) if authority.contains('@') || user.contains(':') => {
                    format!("{scheme}://{HIDDEN}@{host}")
                }
                _ => place.to_owned(),
            }
        }
        None => place.to_owned(),
    };
    if query.is_some() { format!("{place}?{HIDDEN}") } else { place }
}

fn is_azure(scheme: &str) -> bool {
    ["az", "azure", "abfs", "abfss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Adds the passwords in a URL, as they are written and decoded, and those in the query of any text.
fn passwords(text: &str, secrets: &mut Vec<Secret>) {
    let query = text.split_once('?').map(|(_, query)| query).unwrap_or_default();
    for (name, value) in query.split(['&', '#']).filter_map(|pair| pair.split_once('=')) {
        if is_suspect(name) {
            add_decoded(secrets, value);
        }
    }
    let Some((_, rest)) = text.split_once("://") else { return };
    // Both ends of a password are tried, in case it has an `@` or a `/` that should have been encoded.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    for part in [authority, rest] {
        if let Some((_, password)) =
            part.rsplit_once('@').and_then(|(user, _)| user.split_once(':'))
        {
            add_decoded(secrets, password);
        }
    }
}

/// Adds what is secret in the file of a service account, say, so that it is known on its own as well.
fn within_json(name: &str, json: &serde_json::Value, secrets: &mut Vec<Secret>) {
    use serde_json::Value;
    match json {
        Value::String(text) if is_suspect(name) => add(secrets, text),
        Value::Array(items) => items.iter().for_each(|item| within_json(name, item, secrets)),
        Value::Object(map) => map.iter().for_each(|(name, item)| within_json(name, item, secrets)),
        _ => {}
    }
}

fn add_decoded(secrets: &mut Vec<Secret>, text: &str) {
    add(secrets, text);
    add(secrets, &decode(text));
}

fn add(secrets: &mut Vec<Secret>, text: &str) {
    if !text.is_empty() && !secrets.iter().any(|known| known.expose() == text) {
        secrets.push(Secret::new(text));
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
