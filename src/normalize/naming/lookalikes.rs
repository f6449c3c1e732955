//! Keys that look the same and are not: nobody who reads the table could tell their columns apart.

use std::collections::HashMap;
use std::fmt::Write as _;

use transload_core::{Error, ErrorKind, Result};
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

/// The keys of the objects at one place, as far as they could be taken for each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookalikes {
    /// By what is seen: a key that is not of ASCII, and the column that it goes to.
    seen: HashMap<String, (String, String)>,
}

impl Lookalikes {
    /// Takes in a key that was not seen at this place before, and the name of its column. `column_of` tells the name for
    /// a key of ASCII that was.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where another key looks the same and goes to another column.
    pub(crate) fn add<'n>(
        &mut self,
        key: &str,
        column: &str,
        column_of: impl FnOnce(&str) -> Option<&'n str>,
    ) -> Result<()> {
        let Some(skeleton) = skeleton(key) else {
            // Most objects have no other keys.
            return match self.seen.get(key) {
                Some((other, name)) if name != column => Err(refused(other, key)),
                _ => Ok(()),
            };
        };
        if let Some((other, name)) = self.seen.get(&skeleton) {
            return if name == column { Ok(()) } else { Err(refused(other, key)) };
        }
        if column_of(&skeleton).is_some_and(|name| name != column) {
            return Err(refused(&skeleton, key));
        }
        self.seen.insert(skeleton, (key.to_owned(), column.to_owned()));
        Ok(())
    }
}

fn refused(key: &str, other: &str) -> Error {
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
    fn keys_that_look_the_same_are_refused_with_both_escaped() {
        let mut keys = Lookalikes::default();
        let ascii = |wanted: &'static str| move |key: &str| (key == wanted).then_some(wanted);
        keys.add("ab", "ab", |_| None).unwrap();
        let error = keys.add("a\u{202e}b", "a_b", ascii("ab")).unwrap_err();
        assert_eq!(error.context("code"), Some("E_NAME_COLLISION"));
        assert_eq!(
            (error.context("key"), error.context("other key")),
            (Some("ab"), Some("a\\u202eb"))
        );

        let mut keys = Lookalikes::default();
        keys.add("caf\u{e9}", "caf", |_| None).unwrap();
        let error = keys.add("cafe\u{301}", "cafe", |_| None).unwrap_err();
        assert_eq!(error.context("key"), Some("caf\\u00e9"));
        assert_eq!(error.context("other key"), Some("cafe\\u0301"));

        // The key of ASCII comes last.
        let mut keys = Lookalikes::default();
        keys.add("x\u{200b}y", "x_y", |_| None).unwrap();
        assert_eq!(keys.add("xy", "xy", |_| None).unwrap_err().context("other key"), Some("xy"));
    }

    #[test]
    fn keys_of_one_column_and_keys_that_look_different_are_none_of_this() {
        let mut keys = Lookalikes::default();
        keys.add("x\u{200b}", "x", |_| None).unwrap();
        keys.add("x", "x", |_| None).unwrap();
        keys.add("Größe", "gr_e", |_| None).unwrap();
        keys.add("Grosse", "grosse", |_| None).unwrap();
        keys.add("\u{1f600}", "_", |_| None).unwrap();
        assert_eq!(escaped("\u{1f600}\n"), "\\U0001f600\\u000a");
    }
}
