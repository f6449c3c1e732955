//! The names of the columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use transload_core::{Error, ErrorKind, Result};

use super::record::Dialect;
use super::{cell, check_text, refuse};

/// The first row of a file, or what stands for it.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    /// As it stands in the file, with its line end.
    pub(super) text: Arc<[u8]>,
}

impl Header {
    /// The names of columns that have none.
    pub(super) fn positions(columns: usize) -> Self {
        Self { names: (1..=columns).map(by_position).collect(), text: Arc::default() }
    }

    /// Reads the record that holds the names. `text` is the record with its line end.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where it is no record, or where two columns have one name.
    pub(super) fn read(record: &[u8], text: &[u8], dialect: Dialect) -> Result<Self> {
        check_text(record)?;
        let mut names = Vec::new();
        for (index, field) in dialect.fields(record).enumerate() {
            let field = field.map_err(refuse)?;
            let mut name = String::from_utf8_lossy(field.raw).into_owned();
            if let Some(quote) = field.doubled.map(char::from) {
                name = name.replace(&format!("{quote}{quote}"), &quote.to_string());
            }
            // Blanks at the ends of a name are never meant, and normalising takes them away.
            let name = name.trim();
            names.push(if name.is_empty() { by_position(index + 1) } else { name.to_owned() });
        }
        let mut seen = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(first) = seen.insert(name, index) {
                return Err(Error::new(
                    ErrorKind::BadData,
                    "two columns of the header have one name",
                )
                .with("code", "E_NAME_COLLISION")
                .with("column", name)
                .with("positions", format!("{} and {}", first + 1, index + 1))
                .with_hint("give each column a name of its own"));
            }
        }
        Ok(Self { names, text: text.into() })
    }

    /// What stands before each value in a row of JSON.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let key = |(index, name): (usize, &String)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            cell::write_text(name.as_bytes(), &mut key);
            key.push(b':');
            key
        };
        self.names.iter().enumerate().map(key).collect()
    }
}

fn by_position(position: usize) -> String {
    format!("_col{position}")
}
