//! Values as text: as Python writes them into text columns, and as compact JSON.

use std::fmt::Write as _;

use simd_json::{Node, StaticNode};

use super::parser::MAX_DEPTH;

/// Digits of an integer.
pub(super) fn push_integer(out: &mut String, value: i128) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

/// A float as Python's `repr` writes it: shortest digits, an exponent of at least two digits and with its sign.
pub(super) fn push_python_float(out: &mut String, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value:?}");
    if let Some(at) = out[start..].find('e') {
        let exponent = out.split_off(start + at + 1);
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent.as_str()),
        };
        let _ = write!(out, "{sign}{digits:0>2}");
    }
}

/// The value at the start of `nodes` as compact JSON, keys in the order in which they stand.
pub(super) fn push_json(out: &mut String, nodes: &[Node<'_>]) {
    write_json(out, nodes, false, &|_| true);
}

/// The value at the start of `nodes` as compact JSON with sorted keys, without the top-level keys that `keep` refuses:
/// what dlt hashes.
pub(crate) fn push_sorted_json(out: &mut String, nodes: &[Node<'_>], keep: &dyn Fn(&str) -> bool) {
    write_json(out, nodes, true, keep);
}

/// The number of nodes that the value at the start of `nodes` has.
pub(crate) fn width(nodes: &[Node<'_>]) -> usize {
    match nodes.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        _ => 1,
    }
}

fn write_json(out: &mut String, nodes: &[Node<'_>], sorted: bool, keep: &dyn Fn(&str) -> bool) {
    match nodes.first() {
        Some(Node::String(text)) => push_json_string(out, text),
        Some(Node::Static(value)) => push_static(out, *value),
        Some(Node::Array { len, .. }) => {
            out.push('[');
            let mut at = 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, &nodes[at..], sorted, &|_| true);
                at += width(&nodes[at..]);
            }
            out.push(']');
        }
        Some(Node::Object { len, .. }) => {
            let mut fields = Vec::with_capacity(*len);
            let mut at = 1;
            for _ in 0..*len {
                if let Node::String(key) = nodes[at]
                    && keep(key)
                {
                    fields.push((key, at + 1));
                }
                at += 1 + width(&nodes[at + 1..]);
            }
            if sorted {
                fields.sort_unstable_by_key(|(key, _)| *key);
            }
            out.push('{');
            for (index, (key, at)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_json_string(out, key);
                out.push(':');
                write_json(out, &nodes[at..], sorted, &|_| true);
            }
            out.push('}');
        }
        None => {}
    }
}

fn push_static(out: &mut String, value: StaticNode) {
    match value {
        StaticNode::Null => out.push_str("null"),
        StaticNode::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        StaticNode::I64(value) => push_integer(out, value.into()),
        StaticNode::U64(value) => push_integer(out, value.into()),
        StaticNode::I128(value) => push_integer(out, value),
        StaticNode::U128(value) => {
            let _ = write!(out, "{value}");
        }
        // A parsed number is finite, and finite numbers are never `null` in JSON.
        StaticNode::F64(value) => out.push_str(&serde_json::Value::from(value).to_string()),
    }
}

pub(crate) fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            byte => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// The first key that an object of the value, or one in it, has twice.
pub(super) fn duplicate_key<'n>(nodes: &'n [Node<'n>]) -> Option<&'n str> {
    let nodes = &nodes[..width(nodes)];
    let mut keys: Vec<&str> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let Node::Object { len, .. } = node else { continue };
        keys.clear();
        let mut key = at + 1;
        for _ in 0..*len {
            if let Some(Node::String(text)) = nodes.get(key) {
                keys.push(text);
            }
            key += 1 + width(nodes.get(key + 1..).unwrap_or_default());
        }
        keys.sort_unstable();
        if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(pair[0]);
        }
    }
    None
}

/// JSON text without the blanks between its tokens; `None` where it is not JSON, or nested more deeply than a row may
/// be.
pub(super) fn compact_json(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut compact = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    let mut depth = 0_usize;
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
            match c {
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                _ => {}
            }
            if depth > MAX_DEPTH {
                return None;
            }
        }
        compact.push(c);
    }
    Some(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let of = |value| {
            let mut out = String::new();
            push_python_float(&mut out, value);
            out
        };
        for (value, text) in [
            (1.5, "1.5"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
        ] {
            assert_eq!(of(value), text);
        }
    }

    #[test]
    fn json_text_is_compacted_and_checked() {
        assert_eq!(
            compact_json(r#" { "a b" : [ 1 , "x \" y" ] } "#).as_deref(),
            Some(r#"{"a b":[1,"x \" y"]}"#)
        );
        assert_eq!(compact_json("{"), None);
        let nested = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(compact_json(&nested(MAX_DEPTH)).is_some());
        assert_eq!(compact_json(&nested(MAX_DEPTH + 1)), None);
    }

    #[test]
    fn a_key_that_an_object_has_twice_is_found_at_any_depth() {
        let found = |text: &str| {
            let mut text = text.as_bytes().to_vec();
            let tape = simd_json::to_tape(&mut text).unwrap();
            duplicate_key(&tape.0).map(str::to_owned)
        };
        assert_eq!(found(r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#), None);
        assert_eq!(found(r#"{"a":{"x":1,"y":2},"b":1,"a":2}"#).as_deref(), Some("a"));
        assert_eq!(found(r#"[1,[{"b":[{}],"c":{"x":1,"\u0078":2}}]]"#).as_deref(), Some("x"));
    }

    #[test]
    fn json_is_written_compact_and_sorted_where_it_is_hashed() {
        let mut text =
            br#"{"b": {"d": 1, "c": "\u0001\n"}, "a": [1.0, null, true], "_x": 2}"#.to_vec();
        let tape = simd_json::to_tape(&mut text).unwrap();
        let mut out = String::new();
        push_json(&mut out, &tape.0);
        assert_eq!(out, r#"{"b":{"d":1,"c":"\u0001\n"},"a":[1.0,null,true],"_x":2}"#);
        out.clear();
        push_sorted_json(&mut out, &tape.0, &|key| !key.starts_with('_'));
        assert_eq!(out, r#"{"a":[1.0,null,true],"b":{"c":"\u0001\n","d":1}}"#);
    }
}
