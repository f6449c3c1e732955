//! What a person may say of a CSV file.

use serde::{Deserialize, Deserializer, de};
use transload_core::{Error, ErrorKind, Result};

/// How a CSV file is to be read: `[resources.csv]` in a pipeline file. What is not said is found out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// The character between values: `","`, `";"`, `"\t"`. Told from the first rows where it is not given.
    #[serde(deserialize_with = "character")]
    pub delimiter: Option<u8>,
    /// The character around values; `""` for none. `"` where it is not given.
    #[serde(deserialize_with = "quote")]
    pub quote: Quote,
    /// Whether the first row holds the names of the columns, as where it is not given. Without, the columns are `_col1`,
    /// `_col2` and so on, as a column of the header is that has no name.
    pub header: Option<bool>,
    /// Values that stand for NULL where they are not in quotes: `["NULL", "\\N"]`. No value and no quotes is always NULL.
    pub null_values: Vec<String>,
    /// Whether columns of numbers and of `true` and `false` get types; else all are text.
    pub types: bool,
    /// Whether blanks around values, and around their quotes, are no part of them.
    pub trim: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            quote: Quote::default(),
            header: None,
            null_values: Vec::new(),
            types: true,
            trim: false,
        }
    }
}

/// What stands around values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// This character, twice where it is part of the value.
    Character(u8),
    /// Nothing: each line is a row.
    None,
}

impl Default for Quote {
    fn default() -> Self {
        Self::Character(b'"')
    }
}

impl Quote {
    pub(super) fn character(self) -> Option<u8> {
        match self {
            Self::Character(byte) => Some(byte),
            Self::None => None,
        }
    }
}

impl CsvOptions {
    /// Whether a file can be read so.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for characters that cannot be told apart.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |setting: &'static str, reason: &'static str| {
            Err(Error::new(ErrorKind::Configuration, "CSV cannot be read with this setting")
                .with("setting", setting)
                .with("reason", reason))
        };
        let is_bad = |byte: u8| matches!(byte, b'\r' | b'\n' | 0) || !byte.is_ascii();
        let quote = self.quote.character();
        if self.delimiter.is_some_and(is_bad) {
            return refuse("delimiter", "it must be an ASCII character and no line end");
        }
        if quote.is_some_and(is_bad) {
            return refuse("quote", "it must be an ASCII character and no line end");
        }
        if self.delimiter.is_some() && self.delimiter == quote {
            return refuse("quote", "it is the delimiter too");
        }
        Ok(())
    }
}

fn character<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_bytes() {
        [byte] => Ok(Some(*byte)),
        _ => Err(de::Error::custom("expected one ASCII character")),
    }
}

fn quote<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quote, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_bytes() {
        [] => Ok(Quote::None),
        [byte] => Ok(Quote::Character(*byte)),
        _ => Err(de::Error::custom("expected one ASCII character, or nothing")),
    }
}
