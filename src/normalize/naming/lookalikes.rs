//! Keys that look the same and are not: nobody who reads the table could tell their columns apart.

use std::fmt::Write as _;

use transload_core::{Error, ErrorKind};
use unicode_normalization::UnicodeNormalization as _;

/// What is seen of a key: composed, and without the characters that are not seen. None for a key of ASCII, which is
/// what is seen of it.
pub(crate) fn skeleton(key: &str) -> Option<String> {
    if key.is_ascii() {
        return None;
    }
    Some(key.chars().filter(|c| !is_invisible(*c)).nfc().collect())
}

/// Characters that have no look of their own: joiners, marks of direction, soft hyphens, fillers, variation selectors
/// and tags.
///
/// Source: Unicode, "Default_Ignorable_Code_Point", as far as it is assigned.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A key with everything but ASCII that can be seen written as an escape: `a\u202eb`.
pub(super) fn escaped(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for c in key.chars() {
        let written = match u32::from(c) {
            0x20..=0x7e => {
                text.push(c);
                continue;
            }
            code @ 0..=0xffff => write!(text, "\\u{code:04x}"),
            code => write!(text, "\\U{code:08x}"),
        };
        // Writing to a text does not fail.
        let _ = written;
    }
    text
}

/// The error for two keys of one object that look the same.
pub(crate) fn refused(key: &str, other: &str) -> Error {
    Error::new(ErrorKind::BadData, "two keys look the same and would become two columns")
        .with("code", "E_NAME_COLLISION")
        .with("key", escaped(key))
        .with("other key", escaped(other))
        .with_hint("write both in the same way, without invisible characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skeleton_is_what_is_seen() {
        assert_eq!(skeleton("plain_ascii"), None);
        for (key, seen) in [
            ("a\u{202e}b", "ab"),
            ("a\u{200b}\u{feff}b", "ab"),
            ("so\u{ad}ft", "soft"),
            ("cafe\u{301}", "café"),
            ("café", "café"),
            ("e\u{200d}\u{301}", "é"),
            ("日本", "日本"),
        ] {
            assert_eq!(skeleton(key).as_deref(), Some(seen), "{}", escaped(key));
        }
    }

    #[test]
    fn what_is_not_plainly_seen_is_escaped() {
        assert_eq!(escaped("a\u{1f600}\n"), "a\\U0001f600\\u000a");
    }
}
