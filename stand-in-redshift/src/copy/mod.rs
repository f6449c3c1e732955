//! COPY from S3: read as Redshift reads it, brought to PostgreSQL as lines of text.

mod manifest;
mod parse;
mod rows;

pub(crate) use manifest::entries;
pub(crate) use parse::{Access, Copy, Format, parse};
pub(crate) use rows::{Column, rows};

/// Why a COPY failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What Redshift answers: its message and what it says of it.
    Said {
        /// The message.
        message: String,
        /// The detail.
        detail: String,
    },
    /// A row that cannot be loaded: it goes into the tables of load errors.
    Row(Box<BadRow>),
}

impl Failure {
    /// An answer.
    pub(crate) fn said(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Said { message: message.into(), detail: detail.into() }
    }

    /// What S3 answered, in the words of Redshift. Source: Amazon Redshift Database Developer Guide, "S3ServiceException
    /// errors".
    pub(crate) fn s3(message: &str, status: u16, code: &str, context: &str) -> Self {
        Self::said(
            format!(
                "S3ServiceException:{message},Status {status},Error {code},Rid 0,ExtRid 0,CanRetry 1"
            ),
            format!(
                "error:  S3ServiceException:{message},Status {status},Error {code}\ncode:      8001\ncontext:   {context}"
            ),
        )
    }
}

/// A row that cannot be loaded. Source of the codes: Amazon Redshift Database Developer Guide, "Load error reference".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// The URL of its file.
    pub(crate) file: String,
    /// Its line, from 1; 0 in columnar files.
    pub(crate) line: u64,
    /// The column.
    pub(crate) column: String,
    /// The type of the column.
    pub(crate) column_type: String,
    /// What stands there.
    pub(crate) value: Option<String>,
    /// The code.
    pub(crate) code: i32,
    /// The reason.
    pub(crate) reason: String,
}
