//! From the keys of the input to names of tables and columns: dlt's naming conventions.
//!
//! Source: dlt, `dlt/common/normalizers/naming`. Python's `\d` also matches digits of other scripts; here, as in the
//! documentation of the conventions, only ASCII letters and digits are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::ids::shake128;

/// The name for a key of which nothing is left.
pub(super) const EMPTY_KEY: &str = "_empty";

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
}

impl Naming {
    /// The convention of this name in a schema (`normalizers.names`) or a setting; the module path of dlt is understood
    /// as well.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name.rsplit('.').next()? {
            "snake_case" => Self::SnakeCase,
            "direct" => Self::Direct,
            "sql_ci_v1" => Self::SqlCi,
            "sql_cs_v1" => Self::SqlCs,
            _ => return None,
        })
    }

    /// The name of the convention in schemas and settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SnakeCase => "snake_case",
            Self::Direct => "direct",
            Self::SqlCi => "sql_ci_v1",
            Self::SqlCs => "sql_cs_v1",
        }
    }

    /// What stands between the parts of a path.
    pub(crate) fn separator(self) -> &'static str {
        match self {
            Self::Direct => "▶",
            _ => "__",
        }
    }

    /// One identifier, normalised and shortened. Blank text gives empty text.
    pub(crate) fn normalize_identifier(self, identifier: &str, max_length: usize) -> String {
        let identifier = identifier.trim_matches(is_space);
        if identifier.is_empty() {
            return String::new();
        }
        match self {
            Self::SnakeCase => shorten(snake_case(identifier), identifier, max_length),
            Self::Direct => {
                let cleaned = identifier
                    .chars()
                    .map(|c| if matches!(c, '\n' | '\r' | '\'' | '"' | '▶') { '_' } else { c });
                shorten(cleaned.collect(), identifier, max_length)
            }
            Self::SqlCs => shorten(sql_cs(identifier), identifier, max_length),
            Self::SqlCi => shorten(sql_cs(identifier), identifier, max_length).to_ascii_lowercase(),
        }
    }

    /// A path: its parts normalised each, joined again, and shortened as a whole.
    pub(crate) fn normalize_path(self, path: &str, max_length: usize) -> String {
        let parts = path
            .split(self.separator())
            .filter(|part| !part.trim_matches(is_space).is_empty())
            .map(|part| self.normalize_identifier(part, max_length));
        shorten(join(parts, self.separator()), path, max_length)
    }

    /// Parts that are normalised already, joined and shortened as a whole.
    pub(crate) fn shorten_fragments<'p>(
        self,
        parts: impl IntoIterator<Item = &'p str>,
        max_length: usize,
    ) -> String {
        let path = join(parts.into_iter().map(str::to_owned), self.separator());
        if fits(&path, max_length) {
            return path;
        }
        let original = path.clone();
        shorten(path, &original, max_length)
    }
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

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Each run of characters outside `[A-Za-z0-9_]` becomes one underscore.
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
    if name.starts_with(|c: char| c.is_ascii_digit()) {
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
    let broken = break_before_capitals(&break_before_words(reduced.as_bytes()));
    let lower = prefix_digit(broken.iter().map(|byte| byte.to_ascii_lowercase() as char).collect());
    let stripped = lower.trim_end_matches('_');
    let name = format!("{stripped}{}", "x".repeat(lower.len() - stripped.len()));
    contract_underscores(&name)
}

/// `([^_])([A-Z][a-z]+)` → `\1_\2`, without overlap.
fn break_before_words(name: &[u8]) -> Vec<u8> {
    let mut broken = Vec::with_capacity(name.len() + 4);
    let mut at = 0;
    while at < name.len() {
        broken.push(name[at]);
        let is_word = |next: &[u8]| matches!(next, [upper, lower, ..] if upper.is_ascii_uppercase() && lower.is_ascii_lowercase());
        at += 1;
        if name[at - 1] != b'_' && is_word(&name[at..]) {
            broken.extend([b'_', name[at]]);
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
fn break_before_capitals(name: &[u8]) -> Vec<u8> {
    let mut broken = Vec::with_capacity(name.len() + 4);
    for (at, &byte) in name.iter().enumerate() {
        let after_small =
            at > 0 && (name[at - 1].is_ascii_lowercase() || name[at - 1].is_ascii_digit());
        if byte.is_ascii_uppercase() && after_small {
            broken.push(b'_');
        }
        broken.push(byte);
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(identifier: &str) -> [String; 3] {
        [Naming::SnakeCase, Naming::SqlCi, Naming::SqlCs]
            .map(|n| n.normalize_identifier(identifier, usize::MAX))
    }

    #[test]
    fn identifiers_are_named_as_dlt_names_them() {
        assert_eq!(all("HTTPServerID"), ["http_server_id", "httpserverid", "HTTPServerID"]);
        assert_eq!(all("camelCaseX2Y"), ["camel_case_x2_y", "camelcasex2y", "camelCaseX2Y"]);
        assert_eq!(all("BANANA_"), ["bananax", "banana", "BANANA"]);
        assert_eq!(all("+-!$*@#=|:"), ["x_xa_lx", "_", "_"]);
        assert_eq!(all("foo(bar)"), ["foo_barx", "foo_bar", "foo_bar"]);
        assert_eq!(all("Größe"), ["gr_e", "gr_e", "Gr_e"]);
        assert_eq!(all("日本"), ["x", "_", "_"]);
        assert_eq!(all("%"), ["x", "_", "_"]);
        assert_eq!(all("x_"), ["xx", "x", "x"]);
        assert_eq!(all("___"), ["xxx", "", ""]);
        let snake = |identifier| Naming::SnakeCase.normalize_identifier(identifier, usize::MAX);
        assert_eq!(snake("iPhone15Pro"), "i_phone15_pro");
        assert_eq!(snake("123BaNaNa"), "_123_ba_na_na");
        assert_eq!(snake("1abc"), "_1abc");
        assert_eq!(snake("__lead"), "_lead");
        assert_eq!(snake("a__b"), "a_b");
        assert_eq!(snake("Event Value"), "event_value");
        assert_eq!(snake("event-.!:*<>value"), "event_x_value");
        assert_eq!(snake("ünï"), "_nx");
        assert_eq!(snake("f-1"), "f_1");
        assert_eq!(snake("a\0b"), "a_b");
        assert_eq!(
            Naming::Direct.normalize_identifier(" it's \"a\"▶b\n", usize::MAX),
            "it_s _a__b"
        );
    }

    #[test]
    fn paths_keep_their_separators() {
        let snake = |path| Naming::SnakeCase.normalize_path(path, usize::MAX);
        assert_eq!(snake("a__b"), "a__b");
        assert_eq!(snake("Small___Love____Potion_____x"), "small___love__potion___x");
        assert_eq!(snake("e_vent__value_value2___"), "e_vent__value_value2__x");
        assert_eq!(snake("example_custom_field__c"), "example_custom_field__c");
        assert_eq!(snake("custom__path"), "custom__path");
    }

    #[test]
    fn long_names_keep_their_ends_and_get_a_tag() {
        assert_eq!(tag("she played cello well"), "uanpua");
        assert_eq!(
            Naming::SnakeCase.normalize_identifier("she played cello well", 20),
            "she_plauanpualo_well"
        );
        let path = "prospects_external_data__data365_member__member__feed_with_reactions_shared_by_author__author_details__educations";
        let shortened = Naming::SnakeCase.shorten_fragments([path], 63);
        assert_eq!(shortened.len(), 63);
        assert!(shortened.starts_with("prospects_external_data__data"), "{shortened}");
        assert_eq!(Naming::SnakeCase.shorten_fragments(["a", "", "b"], 63), "a__b");
    }
}
