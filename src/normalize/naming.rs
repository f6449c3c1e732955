//! From the keys of the input to names of tables and columns: dlt's naming conventions.
//!
//! Source: dlt, `dlt/common/normalizers/naming`.

pub(super) mod lookalikes;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::Regex;
use transload_core::{Error, ErrorKind, Result};

use super::ids::shake128;

/// The name for a key of which nothing is left.
pub(super) const EMPTY_KEY: &str = "_empty";

/// Bytes of the longest key.
pub(crate) const MAX_KEY_BYTES: usize = 16 << 10;

/// How names are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Lower case, words joined by `_`: dlt's default.
    #[default]
    SnakeCase,
    /// As found, but for quotes and line ends; the path separator is `▶`.
    Direct,
    /// Letters, digits and underscores, in lower case.
    SqlCi,
    /// Letters, digits and underscores, case kept.
    SqlCs,
    /// As found, but for double quotes and line ends; underscores in a row become one.
    DuckCase,
    /// As snake_case, for names of at most 255 characters; names of tables do not begin with underscores.
    S3Tables,
    /// One of the others for names that are not taken apart at the separator: `a__b` becomes `a_b`. So it was before
    /// version 11 of the format, and is where `use_break_path_on_normalize` is false.
    Contracting(&'static Naming),
}

/// Characters of the longest name that Amazon S3 tables take.
const S3_TABLES_LENGTH: usize = 255;

impl Naming {
    /// Every convention.
    pub(crate) const ALL: [Self; 6] =
        [Self::SnakeCase, Self::Direct, Self::SqlCi, Self::SqlCs, Self::DuckCase, Self::S3Tables];

    /// The convention of this name in a schema (`normalizers.names`) or a setting. The module of dlt is understood as
    /// well, and the class in it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        const MODULES: [&str; 2] =
            ["dlt.common.normalizers.naming.", "dlt.common.normalizers.names."];
        let module = MODULES.iter().find_map(|module| name.strip_prefix(module)).unwrap_or(name);
        let module = module.strip_suffix(".NamingConvention").unwrap_or(module);
        Self::ALL.into_iter().find(|naming| naming.name() == module)
    }

    /// The name of the convention in schemas and settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SnakeCase => "snake_case",
            Self::Direct => "direct",
            Self::SqlCi => "sql_ci_v1",
            Self::SqlCs => "sql_cs_v1",
            Self::DuckCase => "duck_case",
            Self::S3Tables => "s3_tables",
            Self::Contracting(naming) => naming.name(),
        }
    }

    /// The same convention for names that are not taken apart.
    pub(crate) fn contracting(self) -> Self {
        Self::Contracting(match self {
            Self::SnakeCase => &Self::SnakeCase,
            Self::Direct => &Self::Direct,
            Self::SqlCi => &Self::SqlCi,
            Self::SqlCs => &Self::SqlCs,
            Self::DuckCase => &Self::DuckCase,
            Self::S3Tables => &Self::S3Tables,
            Self::Contracting(naming) => naming,
        })
    }

    /// What stands between the parts of a path.
    pub(crate) fn separator(self) -> &'static str {
        match self {
            Self::Direct | Self::Contracting(Self::Direct) => "▶",
            _ => "__",
        }
    }

    fn limit(self, max_length: usize) -> usize {
        match self {
            Self::S3Tables | Self::Contracting(Self::S3Tables) => max_length.min(S3_TABLES_LENGTH),
            _ => max_length,
        }
    }

    /// One identifier, normalised and shortened. Blank text gives empty text.
    pub(crate) fn normalize_identifier(self, identifier: &str, max_length: usize) -> String {
        let identifier = identifier.trim_matches(is_space);
        if identifier.is_empty() {
            return String::new();
        }
        let max_length = self.limit(max_length);
        let replaced = |replaced: &[char]| -> String {
            identifier.chars().map(|c| if replaced.contains(&c) { '_' } else { c }).collect()
        };
        match self {
            Self::SnakeCase | Self::S3Tables => {
                shorten(snake_case(identifier), identifier, max_length)
            }
            Self::Direct => {
                shorten(replaced(&['\n', '\r', '\'', '"', '▶']), identifier, max_length)
            }
            Self::DuckCase => {
                let name = contract_underscores(&replaced(&['\n', '\r', '"']));
                shorten(name, identifier, max_length)
            }
            Self::SqlCs => shorten(sql_cs(identifier), identifier, max_length),
            Self::SqlCi => shorten(sql_cs(identifier), identifier, max_length).to_lowercase(),
            Self::Contracting(naming) => naming.normalize_identifier(identifier, max_length),
        }
    }

    /// A path: its parts normalised each, joined again, and shortened as a whole.
    pub(crate) fn normalize_path(self, path: &str, max_length: usize) -> String {
        self.path_of(path, max_length, |part| part)
    }

    /// The same for the name of a table.
    pub(crate) fn normalize_table_path(self, path: &str, max_length: usize) -> String {
        self.path_of(path, max_length, |part| self.table_part(&part).to_owned())
    }

    /// A normalised key as a part of a table's name.
    pub(crate) fn table_part(self, part: &str) -> &str {
        match self {
            Self::S3Tables | Self::Contracting(Self::S3Tables) => part.trim_start_matches('_'),
            _ => part,
        }
    }

    fn path_of(self, path: &str, max_length: usize, finish: impl Fn(String) -> String) -> String {
        let max_length = self.limit(max_length);
        if let Self::Contracting(naming) = self {
            return finish(naming.normalize_identifier(path, max_length));
        }
        let parts = path
            .split(self.separator())
            .filter(|part| !part.trim_matches(is_space).is_empty())
            .map(|part| finish(self.normalize_identifier(part, max_length)));
        shorten(join(parts, self.separator()), path, max_length)
    }

    /// Parts that are normalised already, joined and shortened as a whole.
    pub(crate) fn shorten_fragments<'p>(
        self,
        parts: impl IntoIterator<Item = &'p str>,
        max_length: usize,
    ) -> String {
        let max_length = self.limit(max_length);
        let path = join(parts.into_iter().map(str::to_owned), self.separator());
        if fits(&path, max_length) {
            return path;
        }
        let original = path.clone();
        shorten(path, &original, max_length)
    }
}

/// Refuses a key that no name can be made of in reasonable time and space.
///
/// # Errors
/// [`ErrorKind::BadData`] for more than [`MAX_KEY_BYTES`] bytes.
pub(crate) fn check_length(key: &str) -> Result<()> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    let begin: String = key.chars().take(32).collect();
    Err(Error::new(ErrorKind::BadData, "a key is too long")
        .with("code", "E_NAME_TOO_LONG")
        .with("key", format!("{}…", lookalikes::escaped(&begin)))
        .with("bytes", key.len())
        .with("max_name_bytes", MAX_KEY_BYTES)
        .with_hint("shorten the key, or make it a value: {\"name\": …, \"value\": …}"))
}

/// Whether a key has nothing but blanks, as Python sees it.
pub(super) fn is_blank(key: &str) -> bool {
    key.chars().all(is_space)
}

/// Python counts the four ASCII separators as blanks, Unicode's property does not.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn join(parts: impl Iterator<Item = String>, separator: &str) -> String {
    let mut path = String::new();
    for part in parts.filter(|part| !part.trim_matches(is_space).is_empty()) {
        if !path.is_empty() {
            path.push_str(separator);
        }
        path.push_str(&part);
    }
    path
}

fn fits(name: &str, max_length: usize) -> bool {
    name.len() <= max_length || name.chars().count() <= max_length
}

/// A name that is too long keeps its two ends; between them comes a tag made of the original.
fn shorten(normalized: String, original: &str, max_length: usize) -> String {
    if fits(&normalized, max_length) {
        return normalized;
    }
    let tag: String = tag(original).chars().take(max_length).collect();
    let characters: Vec<char> = normalized.chars().collect();
    let remaining = max_length - tag.len();
    let left = remaining / 2 + remaining % 2;
    let right = characters.len() - remaining / 2;
    characters[..left]
        .iter()
        .copied()
        .chain(tag.chars())
        .chain(characters[right..].iter().copied())
        .collect()
}

/// Six characters that tell shortened names apart: four bytes are what dlt's collision probability of 0.001 asks for.
fn tag(original: &str) -> String {
    STANDARD_NO_PAD
        .encode(shake128::<4>(original.as_bytes()))
        .chars()
        .map(|c| match c {
            '/' => 'a',
            '+' => 'b',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// Python's `\d` matches the digits of all scripts, and the conventions are written with it.
fn is_digit(c: char) -> bool {
    static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\d$").ok());
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    c.is_numeric() && DIGIT.as_ref().is_some_and(|digit| digit.is_match(c.encode_utf8(&mut [0; 4])))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && is_digit(c))
}

/// Each run of characters that are no letters of ASCII, digits or underscores becomes one underscore.
fn reduce(identifier: impl Iterator<Item = char>) -> String {
    let mut reduced = String::new();
    let mut in_run = false;
    for c in identifier {
        let word = is_word(c);
        if word {
            reduced.push(c);
        } else if !in_run {
            reduced.push('_');
        }
        in_run = !word;
    }
    reduced
}

fn contract_underscores(name: &str) -> String {
    let mut contracted = String::with_capacity(name.len());
    for c in name.chars() {
        if c != '_' || !contracted.ends_with('_') {
            contracted.push(c);
        }
    }
    contracted
}

fn prefix_digit(mut name: String) -> String {
    if name.starts_with(is_digit) {
        name.insert(0, '_');
    }
    name
}

fn sql_cs(identifier: &str) -> String {
    let name = prefix_digit(reduce(identifier.chars()));
    let name = if name == "_" { name.as_str() } else { name.trim_end_matches('_') };
    contract_underscores(name)
}

fn snake_case(identifier: &str) -> String {
    let reduced = reduce(identifier.chars().map(|c| match c {
        '+' | '*' => 'x',
        '-' => '_',
        '@' => 'a',
        '|' => 'l',
        c => c,
    }));
    let reduced: Vec<char> = reduced.chars().collect();
    let broken = break_before_capitals(&break_before_words(&reduced));
    let lower = prefix_digit(broken.iter().map(char::to_ascii_lowercase).collect());
    let stripped = lower.trim_end_matches('_');
    let name = format!("{stripped}{}", "x".repeat(lower.len() - stripped.len()));
    contract_underscores(&name)
}

/// `([^_])([A-Z][a-z]+)` → `\1_\2`, without overlap.
fn break_before_words(name: &[char]) -> Vec<char> {
    let mut broken = Vec::with_capacity(name.len() + 4);
    let mut at = 0;
    while at < name.len() {
        broken.push(name[at]);
        let is_word = |next: &[char]| matches!(next, [upper, lower, ..] if upper.is_ascii_uppercase() && lower.is_ascii_lowercase());
        at += 1;
        if name[at - 1] != '_' && is_word(&name[at..]) {
            broken.extend(['_', name[at]]);
            at += 1;
            while at < name.len() && name[at].is_ascii_lowercase() {
                broken.push(name[at]);
                at += 1;
            }
        }
    }
    broken
}

/// `([a-z0-9])([A-Z])` → `\1_\2`.
fn break_before_capitals(name: &[char]) -> Vec<char> {
    let mut broken = Vec::with_capacity(name.len() + 4);
    for (at, &c) in name.iter().enumerate() {
        let after_small =
            at > 0 && (name[at - 1].is_ascii_lowercase() || name[at - 1].is_ascii_digit());
        if c.is_ascii_uppercase() && after_small {
            broken.push('_');
        }
        broken.push(c);
    }
    broken
}
