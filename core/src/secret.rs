//! Values that must never be seen: a wrapper that does not print them, and a redactor for what others print.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A text that is printed as `***` and wiped from memory when dropped.
///
/// It can be deserialised but never serialised, so that it cannot reach a receipt or a manifest by accident.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Takes known secrets out of texts that others made: messages of engines, drivers and servers quote what they were sent.
///
/// It knows each secret as it is and in the forms in which it travels: percent-encoded, in base64, and escaped for
/// JSON and SQL.
#[derive(Clone, Default)]
pub struct Redactor {
    forms: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Shorter secrets are not searched for: they would blot out ordinary words.
    pub const SHORTEST: usize = 4;

    /// A redactor for these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms: Vec<Zeroizing<String>> = Vec::new();
        for secret in secrets {
            let text = secret.expose();
            if text.len() < Self::SHORTEST {
                continue;
            }
            let json = serde_json::Value::from(text).to_string();
            for form in [
                text.to_owned(),
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                    .to_string(),
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
                base64::engine::general_purpose::STANDARD.encode(text),
                json[1..json.len() - 1].to_owned(),
                text.replace('\'', "''"),
            ] {
                if !forms.iter().any(|known| known.as_str() == form) {
                    forms.push(Zeroizing::new(form));
                }
            }
        }
        // A secret that contains another is replaced first, so that nothing of it is left over.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// The text with every secret replaced by `***`.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), "***"));
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::from("hunter2-hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2-hunter2");
    }

    #[test]
    fn a_redactor_knows_the_forms_in_which_a_secret_travels() {
        let redactor = Redactor::new(&[Secret::from("p/w \"'x")]);
        let base64 = base64::engine::general_purpose::STANDARD.encode("p/w \"'x");
        for seen in
            ["p/w \"'x", "p%2Fw%20%22%27x", "p%2Fw+%22%27x", &base64, "p/w \\\"'x", "p/w \"''x"]
        {
            assert_eq!(
                redactor.scrub(&format!("error near <{seen}>")),
                "error near <***>",
                "{seen}"
            );
        }
        assert_eq!(redactor.scrub("nothing"), "nothing");
    }

    #[test]
    fn a_very_short_secret_does_not_blot_out_words() {
        assert_eq!(Redactor::new(&[Secret::from("a")]).scrub("a table"), "a table");
    }
}
