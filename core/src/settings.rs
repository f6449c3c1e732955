//! What a plugin is configured with: declared once, as a struct whose doc comments are the reference.
//!
//! [`settings!`](crate::settings!) declares the struct. The engine resolves each of its keys by dlt's order of places
//! and hands over [`Settings`]: values that know where they came from, so that an error can name the place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::{Error, ErrorKind, Result, Secret};

/// One key of a plugin's settings.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SettingKey {
    /// The name of the key, without those of the tables around it.
    pub name: &'static str,
    /// The doc comment.
    pub doc: &'static str,
    /// What it holds.
    pub kind: SettingKind,
    /// Whether there must be one.
    pub required: bool,
    /// The value when there is none, as text.
    pub default: Option<&'static str>,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// A text.
    Text,
    /// A text that is never shown, and wanted in `secrets.toml` or the environment.
    Secret,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list of texts.
    List,
    /// A table of texts with free names.
    Map,
    /// A table with keys of its own.
    Group(SettingGroup),
}

impl SettingKind {
    /// The word for it in the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Map => "map",
            Self::Group(_) => "table",
        }
    }
}

/// A table with keys of its own.
#[derive(Clone, Copy, Serialize)]
pub struct SettingGroup {
    /// The keys.
    pub keys: &'static [SettingKey],
    /// How one text, a URL for example, stands for the whole table. It yields values by key; keys of the table fill
    /// what the text leaves out.
    #[serde(skip)]
    pub from_text: Option<FromText>,
}

/// Takes the text that stands for a table apart, into values by key.
pub type FromText = fn(&str) -> Result<BTreeMap<String, String>>;

impl fmt::Debug for SettingGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingGroup").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A value as it was found. Never printed: any of them may be a secret.
#[derive(Clone, PartialEq)]
pub enum SettingValue {
    /// A text. Those from the environment are always texts.
    Text(Secret),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A list.
    List(Vec<SettingValue>),
    /// A table with free names.
    Map(BTreeMap<String, SettingValue>),
}

impl SettingValue {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Secret::new(text))
    }

    /// The word for what it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "integer",
            Self::Float(_) => "number with a fraction",
            Self::Boolean(_) => "boolean",
            Self::List(_) => "list",
            Self::Map(_) => "table",
        }
    }
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.kind())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
#[non_exhaustive]
pub enum Origin {
    /// The program.
    Code,
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The key in it, with those of the tables around it.
        key: String,
    },
    /// The default of the key.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("code"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::File { path, key } => write!(f, "{} ({key})", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings of one destination or staging destination, or of a section of the engine, resolved.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The name under which it was configured: the plugin's, or one of the user's own.
    pub name: String,
    /// The table that the keys stand in, with those around it, joined by dots; empty for keys of no table. Without it
    /// `destination.<name>`. Example: `sources.filesystem`.
    pub section: Option<String>,
    /// The pipeline that it is made for.
    pub pipeline: String,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// Values by key, nested keys joined by dots, with their origin.
    pub values: BTreeMap<String, (SettingValue, Origin)>,
    /// For each key the places that were looked at, in their order.
    pub looked_at: BTreeMap<String, Vec<String>>,
    /// The variables of the environment, where the program hands them on: for those that a vendor's own tools read, whose
    /// names are no settings.
    pub environment: BTreeMap<String, Secret>,
}

impl Settings {
    /// Settings made by a program, from keys and texts: for tests, and for those who fill a registry by hand.
    pub fn from_pairs(name: &str, pairs: &[(&str, &str)]) -> Self {
        let values = pairs
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (SettingValue::text(*text), Origin::Code)));
        Self {
            name: name.to_owned(),
            pipeline: "pipeline".into(),
            values: values.collect(),
            ..Self::default()
        }
    }

    /// Reads all of it into the struct that [`settings!`](crate::settings!) declared.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for the first value that is missing or wrong.
    pub fn read<T: Setting>(&self) -> Result<T> {
        T::read(self, "")
    }

    /// Whether there is a value for this key or for one below it.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
            || self
                .values
                .keys()
                .any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&SettingValue> {
        self.values.get(key).map(|(value, _)| value)
    }

    /// A variable of the environment that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(Secret::expose).filter(|value| !value.is_empty())
    }

    /// A path, taken from [`Settings::folder`] where it is relative.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// Says that a value is missing: with the places that were looked at, and a line to paste.
    pub fn missing(&self, key: &str) -> Error {
        let places = self.looked_at.get(key).map(|places| places.join("\n  ")).unwrap_or_default();
        let mut error = Error::new(ErrorKind::Configuration, "a setting is missing")
            .with("key", self.full_key(key));
        if !places.is_empty() {
            error = error.with("looked at", format!("\n  {places}\n"));
        }
        let full = self.full_key(key);
        let line = match full.rsplit_once('.') {
            Some((table, last)) => format!("[{table}]\n{last}"),
            None => full.clone(),
        };
        let paste = format!(
            "add to `.transload/secrets.toml` or `.transload/config.toml`:\n{line} = \"…\""
        );
        let variable = full.replace('.', "__").to_uppercase();
        error.with_hint(match places.contains("no environment variables") {
            true => paste,
            false => format!("{paste}\nor set {variable}"),
        })
    }

    /// Says that a value is wrong: what is wrong with it, and where it came from. The value itself is not shown.
    pub fn wrong(&self, key: &str, reason: impl fmt::Display) -> Error {
        let origin = self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone());
        Error::new(ErrorKind::Configuration, "a setting is wrong")
            .with("key", self.full_key(key))
            .with("from", origin)
            .with("reason", reason)
    }

    /// The key with the section that it stands in: for a destination one with the name that the user gave to it.
    pub fn full_key(&self, key: &str) -> String {
        match &self.section {
            Some(section) => join_key(section, key),
            None => format!("destination.{}.{key}", self.name),
        }
    }
}

/// What can be read from settings: a scalar, or a struct that [`settings!`](crate::settings!) declared.
pub trait Setting: Sized {
    /// What the key holds.
    const KIND: SettingKind;
    /// Whether there must be a value.
    const REQUIRED: bool = true;

    /// Reads the value of a key, or the group below it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it is missing or wrong.
    fn read(settings: &Settings, key: &str) -> Result<Self>;

    /// Reads the value of a key, or this default where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it is wrong.
    fn read_or(settings: &Settings, key: &str, default: &str) -> Result<Self> {
        if settings.has(key) {
            return Self::read(settings, key);
        }
        let mut with_default = settings.clone();
        with_default.values.insert(key.to_owned(), (SettingValue::text(default), Origin::Default));
        Self::read(&with_default, key)
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: SettingKind = T::KIND;
    const REQUIRED: bool = false;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        settings.has(key).then(|| T::read(settings, key)).transpose()
    }
}

/// Implements [`Setting`] for a scalar by a function from a value to it.
macro_rules! scalar {
    ($type:ty, $kind:ident, $parse:expr) => {
        impl Setting for $type {
            const KIND: SettingKind = SettingKind::$kind;

            fn read(settings: &Settings, key: &str) -> Result<Self> {
                let parse: fn(&SettingValue) -> Result<Self, String> = $parse;
                let value = settings.get(key).ok_or_else(|| settings.missing(key))?;
                parse(value).map_err(|reason| settings.wrong(key, reason))
            }
        }
    };
}

fn text_of(value: &SettingValue) -> Result<String, String> {
    match value {
        SettingValue::Text(text) => Ok(text.expose().to_owned()),
        // A password of digits, or an account number, written without quotes is still a text.
        SettingValue::Integer(number) => Ok(number.to_string()),
        other => Err(format!("expected a text, found a {}", other.kind())),
    }
}

fn integer_of(value: &SettingValue) -> Result<i64, String> {
    match value {
        SettingValue::Integer(number) => Ok(*number),
        SettingValue::Text(text) => text
            .expose()
            .trim()
            .parse()
            .map_err(|_| "expected a whole number, found another text".to_owned()),
        other => Err(format!("expected a whole number, found a {}", other.kind())),
    }
}

fn unsigned_of<T: TryFrom<i64>>(value: &SettingValue) -> Result<T, String> {
    let number = integer_of(value)?;
    T::try_from(number).map_err(|_| format!("{number} is out of range"))
}

scalar!(String, Text, text_of);
scalar!(PathBuf, Text, |value| text_of(value).map(PathBuf::from));
scalar!(Secret, Secret, |value| text_of(value).map(Secret::from));
scalar!(i64, Integer, integer_of);
scalar!(u16, Integer, unsigned_of);
scalar!(u32, Integer, unsigned_of);
scalar!(u64, Integer, unsigned_of);
scalar!(usize, Integer, unsigned_of);
scalar!(Duration, Integer, |value| unsigned_of::<u64>(value).map(Duration::from_secs));
scalar!(bool, Boolean, |value| match value {
    SettingValue::Boolean(value) => Ok(*value),
    SettingValue::Text(text) => match text.expose().trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "t" | "y" | "1" => Ok(true),
        "false" | "no" | "f" | "n" | "0" => Ok(false),
        _ => Err("expected true or false, found another text".to_owned()),
    },
    other => Err(format!("expected true or false, found a {}", other.kind())),
});
scalar!(Vec<String>, List, |value| match value {
    SettingValue::List(items) => items.iter().map(text_of).collect(),
    SettingValue::Text(text) if text.expose().trim_start().starts_with('[') =>
        serde_json::from_str(text.expose()).map_err(|_| "expected a JSON list of texts".to_owned()),
    SettingValue::Text(text) => Ok(text
        .expose()
        .split(',')
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()),
    other => Err(format!("expected a list, found a {}", other.kind())),
});
scalar!(BTreeMap<String, String>, Map, |value| match value {
    SettingValue::Map(map) =>
        map.iter().map(|(name, value)| text_of(value).map(|text| (name.clone(), text))).collect(),
    SettingValue::Text(text) =>
        serde_json::from_str(text.expose()).map_err(|_| "expected a JSON object of texts".to_owned()),
    other => Err(format!("expected a table, found a {}", other.kind())),
});

/// Joins a key to the one above it.
#[doc(hidden)]
pub fn join_key(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

/// Declares the settings of a plugin: a struct, its keys, their reference and their reading, in one place.
///
/// A field is required unless its type is an `Option` or it has a default. A field whose type was itself declared by
/// this macro is a table; with `from_text = function` after the name of the struct, one text may stand for that table.
///
/// ```
/// use std::time::Duration;
/// use transload_core::{Secret, settings, settings::{Settings, Setting as _, SettingKind}};
///
/// settings! {
///     /// How to reach the lake.
///     pub struct LakeSettings {
///         /// The folder of the lake.
///         pub url: String,
///         /// The token.
///         pub token: Option<Secret>,
///         /// Seconds until a request is given up.
///         pub timeout: Duration = "30",
///     }
/// }
///
/// let lake: LakeSettings = Settings::from_pairs("lake", &[("url", "lake://here")]).read()?;
/// assert_eq!(lake.url, "lake://here");
/// assert_eq!(lake.timeout, Duration::from_secs(30));
/// assert_eq!(LakeSettings::KEYS[0].doc, "The folder of the lake.");
/// let error = Settings::from_pairs("lake", &[]).read::<LakeSettings>().unwrap_err();
/// assert_eq!(error.context("key"), Some("destination.lake.url"));
/// # Ok::<(), transload_core::Error>(())
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $struct_doc:literal])*
        $vis:vis struct $name:ident $((from_text = $from_text:path))? {
            $(
                $(#[doc = $doc:literal])*
                $field_vis:vis $field:ident : $type:ty $(= $default:literal)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $doc])* $field_vis $field: $type, )*
        }

        impl $name {
            /// The keys, for the reference and for [`Plugin::settings`]($crate::Plugin::settings).
            $vis const KEYS: &'static [$crate::settings::SettingKey] = &[
                $( $crate::settings::SettingKey {
                    name: $crate::settings::__key_name(stringify!($field)),
                    doc: $crate::settings::__trim_doc(concat!($($doc, "\n"),*)),
                    kind: <$type as $crate::settings::Setting>::KIND,
                    required: <$type as $crate::settings::Setting>::REQUIRED && $crate::settings!(@none $($default)?),
                    default: $crate::settings!(@option $($default)?),
                }, )*
            ];
        }

        impl $crate::settings::Setting for $name {
            const KIND: $crate::settings::SettingKind =
                $crate::settings::SettingKind::Group($crate::settings::SettingGroup {
                    keys: Self::KEYS,
                    from_text: $crate::settings!(@option $($from_text)?),
                });
            // A group whose keys may all be left out may be left out.
            const REQUIRED: bool = $crate::settings::__any_required(Self::KEYS);

            fn read(settings: &$crate::settings::Settings, key: &str) -> $crate::Result<Self> {
                Ok(Self {
                    $( $field: $crate::settings!(
                        @read settings,
                        &$crate::settings::join_key(key, $crate::settings::__key_name(stringify!($field))),
                        $type $(, $default)?
                    )?, )*
                })
            }
        }
    };
    (@none) => { true };
    (@none $default:literal) => { false };
    (@option) => { None };
    (@option $some:expr) => { Some($some) };
    (@read $settings:expr, $key:expr, $type:ty) => {
        <$type as $crate::settings::Setting>::read($settings, $key)
    };
    (@read $settings:expr, $key:expr, $type:ty, $default:literal) => {
        <$type as $crate::settings::Setting>::read_or($settings, $key, $default)
    };
}

#[doc(hidden)]
pub const fn __any_required(keys: &[SettingKey]) -> bool {
    let mut index = 0;
    while index < keys.len() {
        if keys[index].required {
            return true;
        }
        index += 1;
    }
    false
}

/// The key of a field: `r#type` is `type`.
#[doc(hidden)]
pub const fn __key_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// A doc comment of one line has a blank before it; of several, also line ends.
#[doc(hidden)]
pub const fn __trim_doc(doc: &'static str) -> &'static str {
    doc.trim_ascii()
}

/// Reads `driver://user:password@host:port/database?key=value` into the keys `drivername`, `username`, `password`,
/// `host`, `port`, `database` and those of the query, each percent-decoded. Parts that are not there are left out.
///
/// For [`SettingGroup::from_text`].
///
/// # Errors
/// [`ErrorKind::Configuration`] where the text is no such URL. The text is not shown: it may hold a password.
pub fn connection_string(text: &str) -> Result<BTreeMap<String, String>> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Configuration, "the connection string cannot be read").with("reason", reason).with_hint(
            "write `driver://user:password@host:port/database?key=value`; percent-encode `@ : / ? # %` in the password",
        )
    };
    let url = url::Url::parse(text.trim()).map_err(|error| refused(&error.to_string()))?;
    if url.cannot_be_a_base() {
        return Err(refused("there is no `//` after the driver"));
    }
    let decode = |part: &str| -> Result<String> {
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
        decoded
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| refused("a part is not UTF-8 after percent-decoding"))
    };
    let mut parts = BTreeMap::from([("drivername".to_owned(), url.scheme().to_owned())]);
    let mut put = |key: &str, part: &str| -> Result<()> {
        if !part.is_empty() {
            parts.insert(key.to_owned(), decode(part)?);
        }
        Ok(())
    };
    put("username", url.username())?;
    put("password", url.password().unwrap_or_default().trim())?;
    put("host", url.host_str().unwrap_or_default())?;
    put("database", url.path().trim_start_matches('/'))?;
    if let Some(port) = url.port() {
        put("port", &port.to_string())?;
    }
    for (key, value) in url.query_pairs() {
        parts.insert(key.into_owned(), value.into_owned());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// A test.
        struct Credentials (from_text = connection_string) {
            /// The user.
            username: String,
            /// The password.
            /// It has two lines.
            password: Secret,
            /// The port.
            port: u16 = "5439",
            /// A key that is a word of Rust.
            r#type: Option<String>,
        }
    }

    crate::settings! {
        /// A test.
        struct Warehouse {
            /// How to log in.
            credentials: Credentials,
            /// Options.
            options: Option<BTreeMap<String, String>>,
            /// Names.
            names: Vec<String> = "a, b",
            /// On or off.
            strict: bool = "false",
        }
    }

    #[test]
    fn a_struct_is_read_with_groups_and_defaults() {
        let settings = Settings::from_pairs(
            "w",
            &[
                ("credentials.username", "loader"),
                ("credentials.password", "0123"),
                ("credentials.type", "x"),
                ("strict", "yes"),
            ],
        );
        let warehouse: Warehouse = settings.read().unwrap();
        assert_eq!(warehouse.credentials.username, "loader");
        assert_eq!(warehouse.credentials.password.expose(), "0123");
        assert_eq!(warehouse.credentials.port, 5439);
        assert_eq!(warehouse.credentials.r#type.as_deref(), Some("x"));
        assert_eq!(warehouse.names, ["a", "b"]);
        assert!(warehouse.strict && warehouse.options.is_none());
        assert!(!format!("{warehouse:?} {settings:?}").contains("0123"));
    }

    #[test]
    fn the_keys_are_the_reference() {
        let [credentials, _, names, _] = Warehouse::KEYS else { panic!("four keys") };
        assert!(credentials.required && !names.required);
        assert_eq!(names.default, Some("a, b"));
        let SettingKind::Group(group) = credentials.kind else { panic!("a group") };
        assert_eq!(group.keys[3].name, "type");
        assert_eq!(group.keys[1].doc, "The password.\n It has two lines.");
        assert!(group.from_text.is_some());
    }

    #[test]
    fn a_missing_value_names_its_key_its_places_and_a_line_to_paste() {
        let mut settings = Settings::from_pairs("redshift", &[("credentials.username", "x")]);
        settings
            .looked_at
            .insert("credentials.password".into(), vec!["PASSWORD".into(), "secrets.toml".into()]);
        let error = settings.read::<Warehouse>().unwrap_err();
        assert_eq!(error.context("key"), Some("destination.redshift.credentials.password"));
        assert_eq!(error.context("looked at"), Some("\n  PASSWORD\n  secrets.toml\n"));
        assert_eq!(
            error.hint(),
            Some(
                "add to `.transload/secrets.toml` or `.transload/config.toml`:\n\
                 [destination.redshift.credentials]\npassword = \"…\"\n\
                 or set DESTINATION__REDSHIFT__CREDENTIALS__PASSWORD"
            )
        );
    }

    #[test]
    fn keys_outside_of_destinations_are_called_by_their_own_section() {
        let missing = |section: &str| {
            let mut settings = Settings::from_pairs("filesystem", &[]);
            settings.section = Some(section.into());
            settings.missing("credentials.username")
        };
        let error = missing("sources.filesystem");
        assert_eq!(error.context("key"), Some("sources.filesystem.credentials.username"));
        assert_eq!(
            error.hint(),
            Some(
                "add to `.transload/secrets.toml` or `.transload/config.toml`:\n\
                 [sources.filesystem.credentials]\nusername = \"…\"\n\
                 or set SOURCES__FILESYSTEM__CREDENTIALS__USERNAME"
            )
        );
        assert_eq!(missing("").context("key"), Some("credentials.username"));
    }

    #[test]
    fn a_wrong_value_names_its_place_and_is_not_shown() {
        let mut settings = Settings::from_pairs(
            "w",
            &[("credentials.username", "x"), ("credentials.password", "y")],
        );
        let origin = Origin::Environment { variable: "PORT".into() };
        settings.values.insert("credentials.port".into(), (SettingValue::text("CANARY"), origin));
        let error = settings.read::<Warehouse>().unwrap_err();
        assert_eq!(error.context("from"), Some("environment variable PORT"));
        assert!(!format!("{error:?}").contains("CANARY"));
        settings
            .values
            .insert("credentials.port".into(), (SettingValue::Integer(70_000), Origin::Code));
        assert_eq!(
            settings.read::<Warehouse>().unwrap_err().context("reason"),
            Some("70000 is out of range")
        );
    }

    #[test]
    fn a_connection_string_is_taken_apart_and_decoded() {
        let parts =
            connection_string("redshift://us%40er:p%2Fw@host.example:5439/db?connect_timeout=10")
                .unwrap();
        let parts: Vec<(&str, &str)> =
            parts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            parts,
            [
                ("connect_timeout", "10"),
                ("database", "db"),
                ("drivername", "redshift"),
                ("host", "host.example"),
                ("password", "p/w"),
                ("port", "5439"),
                ("username", "us@er"),
            ]
        );
    }

    #[test]
    fn a_broken_connection_string_is_not_shown() {
        for text in ["CANARY", "CANARY@h", "redshift:CANARY"] {
            let error = connection_string(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
    }
}
