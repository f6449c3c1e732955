//! Writing one row of JSON.

use std::fmt::{Display, Write as _};

/// An object that is being written. It is complete once it is dropped.
pub(super) struct Object<'t> {
    text: &'t mut String,
    is_first: bool,
}

impl<'t> Object<'t> {
    pub(super) fn begin(text: &'t mut String) -> Self {
        text.push('{');
        Self { text, is_first: true }
    }

    fn key(&mut self, key: &str) {
        if !self.is_first {
            self.text.push(',');
        }
        self.is_first = false;
        push_string(self.text, key);
        self.text.push(':');
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        push_string(self.text, value);
    }

    /// A number or a truth value.
    pub(super) fn value(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing to a text cannot fail.
        let _ = write!(self.text, "{value}");
    }

    pub(super) fn null(&mut self, key: &str) {
        self.value(key, "null");
    }

    pub(super) fn object(&mut self, key: &str) -> Object<'_> {
        self.key(key);
        Object::begin(self.text)
    }

    /// A list whose elements `element` writes.
    pub(super) fn list(&mut self, key: &str, length: u64, mut element: impl FnMut(&mut String)) {
        self.key(key);
        self.text.push('[');
        for index in 0..length {
            if index > 0 {
                self.text.push(',');
            }
            element(self.text);
        }
        self.text.push(']');
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.text.push('}');
    }
}

/// The texts of the data hold nothing else that JSON escapes.
pub(super) fn push_string(text: &mut String, value: &str) {
    debug_assert!(!value.contains(['"', '\\']) && !value.chars().any(char::is_control));
    text.push('"');
    text.push_str(value);
    text.push('"');
}
