//! Where a row has its cursor.

use simd_json::{Node, StaticNode};
use transload_core::{Error, ErrorKind, Result};

use crate::normalize::width;

/// The path to a cursor: the name of a field, or a JSONPath of fields and of places in lists.
///
/// Source: the state of dlt keeps the path as it was written, so it is kept here as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CursorPath {
    text: String,
    /// Whether it begins at `$`.
    rooted: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Place(usize),
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The node with this index.
    Node(usize),
    /// NULL.
    Null,
    /// Nothing.
    Missing,
}

/// Characters that mean something in a JSONPath.
const SPECIAL: [char; 17] =
    ['.', '[', ']', '$', '*', '\'', '"', '|', ',', '?', '(', ')', '`', '&', '=', '<', '>'];

impl CursorPath {
    /// Reads `updated_at`, `'a name with. signs'`, `a.b`, `$.a.b`, `a[0].b`, `$.a['b']`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for what is no path or one to more than one value.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |reason: &'static str| {
            Error::new(ErrorKind::Configuration, "the path of the cursor cannot be read")
                .with("cursor_path", text)
                .with("reason", reason)
                .with_hint(
                    "name a field, or a path to one value: `a.b`, `$.a.b`, `a[0].b`, `a.'b c'`",
                )
        };
        let mut rest = text;
        let rooted = match rest.strip_prefix('$') {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                if steps.is_empty() && !rooted {
                    return Err(refused("it begins with a dot"));
                }
                rest = after;
            } else if !(rest.starts_with('[') || steps.is_empty() && !rooted) {
                return Err(refused("a dot is missing"));
            }
            let (step, after) = match rest.chars().next() {
                Some('[') => in_brackets(rest).ok_or_else(|| {
                    refused("brackets hold one place, counted from 0, or one quoted name")
                })?,
                Some(quote @ ('\'' | '"')) => {
                    quoted(&rest[1..], quote).ok_or_else(|| refused("a quote is not closed"))?
                }
                _ => {
                    let end = rest.find(['.', '[']).unwrap_or(rest.len());
                    let (name, after) = rest.split_at(end);
                    if name.is_empty() {
                        return Err(refused("a name is empty"));
                    }
                    if name.contains(SPECIAL) {
                        return Err(refused(
                            "a path leads to one value: wildcards, slices and filters do not; quote names that have \
                             such signs",
                        ));
                    }
                    (Step::Field(name.to_owned()), after)
                }
            };
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            return Err(refused("it names nothing"));
        }
        Ok(Self { text: text.to_owned(), rooted, steps })
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The field, where the path is the name of one: only then is the column known, and only then can a batch of Arrow
    /// have it.
    pub(crate) fn field(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step::Field(name)] if !self.rooted => Some(name),
            _ => None,
        }
    }

    /// Looks in the row at the start of `nodes`.
    pub(super) fn find(&self, nodes: &[Node<'_>]) -> Found {
        let mut at = 0;
        for step in &self.steps {
            let next = match step {
                Step::Field(name) => field_at(nodes, at, name),
                Step::Place(index) => element_at(nodes, at, *index),
            };
            match next {
                Some(next) => at = next,
                None => return Found::Missing,
            }
        }
        match nodes.get(at) {
            Some(Node::Static(StaticNode::Null)) => Found::Null,
            Some(_) => Found::Node(at),
            None => Found::Missing,
        }
    }
}

fn in_brackets(text: &str) -> Option<(Step, &str)> {
    let inner = &text[1..];
    if let Some(quote @ ('\'' | '"')) = inner.chars().next() {
        let (step, after) = quoted(&inner[1..], quote)?;
        return Some((step, after.strip_prefix(']')?));
    }
    let (index, after) = inner.split_once(']')?;
    Some((Step::Place(index.parse().ok()?), after))
}

/// A name up to its closing quote, which a backslash makes a part of the name.
fn quoted(text: &str, quote: char) -> Option<(Step, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            c if c == quote => return Some((Step::Field(name), &text[at + c.len_utf8()..])),
            c => name.push(c),
        }
    }
    None
}

/// The value of a field of the object at `start`.
pub(super) fn field_at(nodes: &[Node<'_>], start: usize, name: &str) -> Option<usize> {
    let Some(Node::Object { len, .. }) = nodes.get(start) else { return None };
    let mut at = start + 1;
    for _ in 0..*len {
        if matches!(nodes.get(at), Some(Node::String(key)) if *key == name) {
            return Some(at + 1);
        }
        at += 1 + width(nodes.get(at + 1..)?);
    }
    None
}

fn element_at(nodes: &[Node<'_>], start: usize, index: usize) -> Option<usize> {
    let Some(Node::Array { len, .. }) = nodes.get(start) else { return None };
    if index >= *len {
        return None;
    }
    let mut at = start + 1;
    for _ in 0..index {
        at += width(nodes.get(at..)?);
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_one_value() {
        let mut text =
            br#"{"x":[1,{"q":[]}],"a":{"b":[{"c":4},{"c":null}],"b c":5},"a.b":6,"A":7}"#.to_vec();
        let tape = simd_json::to_tape(&mut text).unwrap();
        let find = |path: &str| match CursorPath::parse(path).unwrap().find(&tape.0) {
            Found::Node(at) => match &tape.0[at] {
                Node::Static(value) => format!("{value}"),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        for (path, value) in [
            ("A", "7"),
            ("$.A", "7"),
            ("'a.b'", "6"),
            ("a.b[0].c", "4"),
            ("$.a['b'][0].c", "4"),
            ("a.b.[0].c", "4"),
            ("a.'b c'", "5"),
            ("x[0]", "1"),
            ("a.b[1].c", "Null"),
            ("a.b[2].c", "Missing"),
            ("a.b.c", "Missing"),
            ("A.b", "Missing"),
            ("z", "Missing"),
        ] {
            assert_eq!(find(path), value, "{path}");
        }
    }

    #[test]
    fn only_the_name_of_a_field_names_a_column() {
        let field = |path: &str| CursorPath::parse(path).unwrap().field().map(str::to_owned);
        assert_eq!(field("a"), Some("a".to_owned()));
        assert_eq!(field("'Updated At'"), Some("Updated At".to_owned()));
        assert_eq!(field("Updated At"), Some("Updated At".to_owned()));
        assert_eq!((field("$.a"), field("a.b"), field("a[0]")), (None, None, None));
    }

    #[test]
    fn what_leads_to_many_values_or_to_none_is_refused() {
        for path in [
            "", "$", "*", "a.*", "a[*].b", "a..b", ".a", "a.", "a[0", "a[-1]", "a,b", "'a", "a[0]b",
        ] {
            let error = CursorPath::parse(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{path}");
        }
    }
}
