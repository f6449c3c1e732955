//! Names of columns, and patterns of them, as schemas have them: what dlt calls a simple regex.
//!
//! The expressions are Python's. What is written otherwise for the `regex` crate is translated; look-around and references
//! to groups, which the crate has not, are refused.
//! Source: Python, "Regular Expression Syntax"; regex crate, "Syntax".

use regex::Regex;
use transload_core::{Error, ErrorKind, Result};

/// A name, or the pattern of names.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Name(String),
    Expression(Regex),
}

impl Pattern {
    /// # Errors
    /// [`ErrorKind::Configuration`] for a text that is neither; [`ErrorKind::Unsupported`] for an expression that the crate
    /// does not understand.
    pub(super) fn new(text: &str) -> Result<Self> {
        let Some(expression) = text.strip_prefix("re:") else {
            return match text.is_empty() {
                true => Err(Error::new(ErrorKind::Configuration, "a rule for columns names none")),
                false => Ok(Self::Name(text.to_owned())),
            };
        };
        Regex::new(&translated(expression)).map(Self::Expression).map_err(|error| {
            let reason = error.to_string();
            // The crate draws the place in several lines; the last one says it.
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::new(ErrorKind::Unsupported, "a regular expression of the schema cannot be used")
                .with("pattern", text)
                .with("reason", reason.to_owned())
                .with_hint("write it without look-around and without references to groups")
        })
    }

    /// Whether a name has the pattern somewhere, or is the name.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(text) => text == name,
            Self::Expression(expression) => expression.is_match(name),
        }
    }
}

/// The expression as the crate writes it: the end `\Z` is `\z`; `\<` and `\>` and escapes of other letters than ASCII's
/// stand for themselves; and in a class `[`, `&&`, `--` and `~~` do as well.
fn translated(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut in_class = false;
    let mut class_begins = false;
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        let begins = std::mem::take(&mut class_begins);
        match c {
            '\\' => match chars.next() {
                Some('Z') => out.push_str("\\z"),
                Some(c @ ('<' | '>')) => out.push(c),
                Some(c) if !c.is_ascii() => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                (in_class, class_begins) = (true, true);
                out.push(c);
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            // The first one in a class stands for itself, in both.
            ']' if in_class && !begins => {
                in_class = false;
                out.push(c);
            }
            '[' => out.push_str("\\["),
            '&' | '~' if in_class && chars.peek() == Some(&c) => {
                chars.next();
                out.extend(['\\', c, '\\', c]);
            }
            // A range that begins or ends with a hyphen.
            '-' if in_class && chars.next_if_eq(&'-').is_some() => {
                out.push_str(if begins { "\\--" } else { "-\\-" });
            }
            c => out.push(c),
        }
    }
    out
}
