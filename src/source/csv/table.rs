//! Records of a table whose columns are known.

use std::sync::Arc;

use transload_core::{Error, ErrorKind, Result};

use super::cell::{self, Kind};
use super::record::{Dialect, Fault, Field};
use super::{CsvColumn, CsvOptions};

/// What is known once the first rows were seen.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) dialect: Dialect,
    pub(super) columns: Vec<CsvColumn>,
    /// What stands in a row before each value.
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) kinds: Vec<Kind>,
    pub(super) header: Arc<[u8]>,
}

impl Table {
    /// Writes a record as an object of JSON.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where it is no record of this table; part of it may have been written.
    pub(super) fn write(
        &self,
        record: &[u8],
        options: &CsvOptions,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        check_text(record)?;
        let mut fields = self.dialect.fields(record);
        for (key, kind) in self.keys.iter().zip(&self.kinds) {
            let field = match fields.next() {
                Some(Ok(field)) => field,
                Some(Err(fault)) => return Err(refuse(fault)),
                None => return Err(self.miscounted(record)),
            };
            out.extend_from_slice(key);
            if is_null(options, &field) {
                out.extend_from_slice(b"null");
            } else {
                cell::write(&field, *kind, out);
            }
        }
        if fields.next().is_some() {
            return Err(self.miscounted(record));
        }
        out.push(b'}');
        Ok(())
    }

    fn miscounted(&self, record: &[u8]) -> Error {
        let mut found = 0;
        for field in self.dialect.fields(record) {
            match field {
                Ok(_) => found += 1,
                Err(fault) => return refuse(fault),
            }
        }
        let message = if found < self.columns.len() {
            "the row has fewer values than there are columns"
        } else {
            "the row has more values than there are columns"
        };
        Error::new(ErrorKind::BadData, message)
            .with("code", "E_CSV_FIELDS")
            .with("values", found)
            .with("columns", self.columns.len())
            .with_hint("a value with a delimiter or a line end in it must stand in quotes")
    }
}

/// What a record or a header may not hold.
pub(super) fn check_text(record: &[u8]) -> Result<()> {
    if let Some(at) = memchr::memchr(0, record) {
        return Err(Error::new(ErrorKind::BadData, "the row has a NUL byte")
            .with("code", "E_NUL")
            .with("byte of the row", at + 1)
            .with_hint("warehouses refuse NUL in texts; take it out: tr -d '\\000'"));
    }
    match std::str::from_utf8(record) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(ErrorKind::BadData, "the row is not UTF-8")
            .with("code", "E_UTF8")
            .with("byte of the row", error.valid_up_to() + 1)
            .with_hint("save the file as UTF-8, or convert it with iconv")),
    }
}

/// What is said of a record that is none.
pub(super) fn refuse(fault: Fault) -> Error {
    Error::new(ErrorKind::BadData, "the row is not CSV")
        .with("reason", fault.reason())
        .with("code", "E_CSV_FIELDS")
        .with_hint("quotes stand around the whole of a value, and twice inside of it; `trim` allows blanks around them")
}

/// Whether a value stands for none.
pub(super) fn is_null(options: &CsvOptions, field: &Field<'_>) -> bool {
    !field.is_quoted
        && (field.raw.is_empty()
            || options.null_values.iter().any(|word| word.as_bytes() == field.raw))
}
