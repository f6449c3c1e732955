//! The path to the rows of a document, as a person writes it.

use std::fmt;
use std::sync::Arc;

use transload_core::{Error, ErrorKind, Result};

/// Leads from the root of a document to its rows.
///
/// Three spellings: keys with dots (`data.items`, `pages[*].items`, `"a.b".items`), JSONPath (`$.data['items'][0]`), of
/// which there are keys, indexes and `*`, and JSON Pointer (`/data/items/0`). Where a path leads to a list, the elements of
/// it are the rows, as if `[*]` stood behind; where it leads to another value, that is the row.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JsonPath {
    pub(super) steps: Arc<[Step]>,
    text: Arc<str>,
}

/// One level of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The member with this key; in a list, the element of this number.
    Key(String),
    /// The element of this number, from 0.
    Index(usize),
    /// Each member or element.
    Any,
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonPath {
    /// Understands a path.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be understood.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let steps = match text.strip_prefix('/') {
            Some(pointer) => Ok(self::pointer(pointer)),
            None => Parser { text, rest: text }.steps(),
        };
        match steps {
            Ok(steps) => Ok(Self { steps: steps.into(), text: text.into() }),
            Err((reason, at)) => {
                Err(Error::new(ErrorKind::Configuration, "the path to the rows cannot be understood")
                    .with("path", text)
                    .with("reason", reason)
                    .with("character", text[..at].chars().count() + 1)
                    .with_hint("`data.items`, `$.pages[*].items`, `$['a key'][0]` and `/data/items` are understood"))
            }
        }
    }
}

/// Source: RFC 6901.
fn pointer(text: &str) -> Vec<Step> {
    let key = |token: &str| Step::Key(token.replace("~1", "/").replace("~0", "~"));
    text.split('/').map(key).collect()
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

type Refused = (&'static str, usize);

impl Parser<'_> {
    fn steps(mut self) -> Result<Vec<Step>, Refused> {
        let mut steps = Vec::new();
        let is_rooted = self.take("$");
        // Without `$` the first key stands without a dot.
        let mut wants_key = !is_rooted && !self.rest.starts_with('[');
        loop {
            if wants_key {
                steps.push(self.key()?);
                wants_key = false;
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else if self.take(".") {
                wants_key = true;
            } else if self.rest.is_empty() {
                return Ok(steps);
            } else {
                return Err(self.refuse("expected a dot or a bracket"));
            }
        }
    }

    fn key(&mut self) -> Result<Step, Refused> {
        if self.take("*") {
            return Ok(Step::Any);
        }
        if let Some(key) = self.quoted()? {
            return Ok(Step::Key(key));
        }
        let end = self.rest.find(['.', '[', ']', '"', '\'', '*']).unwrap_or(self.rest.len());
        let (key, rest) = self.rest.split_at(end);
        if key.is_empty() {
            return Err(self.refuse("a key is missing"));
        }
        self.rest = rest;
        Ok(Step::Key(key.to_owned()))
    }

    fn bracket(&mut self) -> Result<Step, Refused> {
        let step = if self.take("*") {
            Step::Any
        } else if let Some(key) = self.quoted()? {
            Step::Key(key)
        } else {
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            let index = digits.parse();
            let index = index.map_err(|_| self.refuse("expected a number, `*` or a quoted key"))?;
            self.rest = rest;
            Step::Index(index)
        };
        if !self.take("]") {
            return Err(self.refuse("expected a closing bracket"));
        }
        Ok(step)
    }

    /// A key in quotes of either kind; a backslash takes the next character as it is.
    fn quoted(&mut self) -> Result<Option<String>, Refused> {
        let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        let mut key = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => key.extend(chars.next().map(|(_, char)| char)),
                _ if char == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Some(key));
                }
                _ => key.push(char),
            }
        }
        Err(self.refuse("the quote is not closed"))
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn refuse(&self, reason: &'static str) -> Refused {
        (reason, self.text.len() - self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    #[test]
    fn the_spellings_of_a_path_mean_the_same() {
        for text in
            ["data.items", "$.data.items", "/data/items", "$['data'][\"items\"]", "\"data\".items"]
        {
            assert_eq!(JsonPath::parse(text).unwrap().steps[..], [key("data"), key("items")]);
        }
        let all = [
            ("$", vec![]),
            ("$[*]", vec![Step::Any]),
            ("$.*.a", vec![Step::Any, key("a")]),
            ("[0].a", vec![Step::Index(0), key("a")]),
            ("pages[*].items[12]", vec![key("pages"), Step::Any, key("items"), Step::Index(12)]),
            ("$['a.b']['it\\'s']", vec![key("a.b"), key("it's")]),
            ("/a~1b/m~0n/0", vec![key("a/b"), key("m~n"), key("0")]),
            ("ключ.имя", vec![key("ключ"), key("имя")]),
        ];
        for (text, steps) in all {
            assert_eq!(JsonPath::parse(text).unwrap().steps[..], steps, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for (text, reason, character) in [
            ("", "a key is missing", "1"),
            ("data..items", "a key is missing", "6"),
            ("data.", "a key is missing", "6"),
            ("é[x]", "expected a number, `*` or a quoted key", "3"),
            ("a[0", "expected a closing bracket", "4"),
            ("a['b", "the quote is not closed", "3"),
            ("$data", "expected a dot or a bracket", "2"),
            ("a[99999999999999999999]", "expected a number, `*` or a quoted key", "3"),
        ] {
            let error = JsonPath::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!(
                (error.context("reason"), error.context("character")),
                (Some(reason), Some(character)),
                "{text}"
            );
        }
    }
}
