//! Reading `insert_values` files: a header, then one row a line.

use std::fmt;
use std::io::{self, BufRead};
use std::path::PathBuf;

use crate::{Error, ErrorKind, Result};

/// An `insert_values` file and the table that its rows go into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is compressed by gzip.
    pub gzip: bool,
    /// The table, quoted and qualified.
    pub into: String,
}

impl fmt::Display for InsertFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        write!(f, "INSERT INTO {} VALUES … (from {name})", self.into)
    }
}

/// The statements of an `insert_values` file, each at most `limit` bytes long unless a single row is longer.
///
/// The first line holds `{}` in the place of the table, the second is `VALUES`, each further one is a row in
/// parentheses with a comma behind it, and behind the last row stands a semicolon.
pub struct InsertStatements<R> {
    lines: io::Lines<R>,
    header: Option<String>,
    into: String,
    limit: usize,
    // The row that did not fit into the statement before.
    held: Option<String>,
}

impl<R> fmt::Debug for InsertStatements<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertStatements").field("into", &self.into).finish_non_exhaustive()
    }
}

impl<R: BufRead> InsertStatements<R> {
    /// The statements of this text, with `into` in the place of the table.
    pub fn new(text: R, into: &str, limit: usize) -> Self {
        Self { lines: text.lines(), header: None, into: into.to_owned(), limit, held: None }
    }

    fn line(&mut self) -> Result<Option<String>> {
        self.lines.next().transpose().map_err(|error| {
            // What is no text, or no gzip, will not become it.
            let kind = match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorKind::BadData,
                _ => ErrorKind::Terminal,
            };
            Error::new(kind, "an insert_values file cannot be read").with_source(error)
        })
    }

    fn header(&mut self) -> Result<String> {
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let damaged =
            || Error::new(ErrorKind::BadData, "an insert_values file does not begin with a header");
        let (before, after) = match self.line()? {
            Some(first) => first
                .split_once("{}")
                .map(|(before, after)| (before.to_owned(), after.to_owned()))
                .ok_or_else(damaged)?,
            None => return Err(damaged()),
        };
        if self.line()?.as_deref().map(str::trim) != Some("VALUES") {
            return Err(damaged());
        }
        let header = format!("{before}{}{after}\nVALUES\n", self.into);
        self.header = Some(header.clone());
        Ok(header)
    }

    fn row(&mut self) -> Result<Option<String>> {
        if let Some(row) = self.held.take() {
            return Ok(Some(row));
        }
        while let Some(mut line) = self.line()? {
            let row = line.trim_end_matches(['\r', ',', ';']);
            if !row.is_empty() {
                line.truncate(row.len());
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn statement(&mut self) -> Result<Option<String>> {
        let mut statement = self.header()?;
        let Some(first) = self.row()? else { return Ok(None) };
        statement.push_str(&first);
        while let Some(row) = self.row()? {
            if statement.len() + row.len() + 2 > self.limit {
                self.held = Some(row);
                break;
            }
            statement.push_str(",\n");
            statement.push_str(&row);
        }
        Ok(Some(statement))
    }
}

impl<R: BufRead> Iterator for InsertStatements<R> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.statement().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "INSERT INTO {}(\"a\", \"b {}\")\nVALUES\n(1, E'x;'),\n(2, E'{}'),\n(3, NULL);\n";

    fn statements(text: &str, limit: usize) -> Result<Vec<String>> {
        InsertStatements::new(text.as_bytes(), "\"d\".\"t\"", limit).collect()
    }

    #[test]
    fn rows_are_cut_into_statements_at_line_ends() {
        assert_eq!(
            statements(TEXT, 1000).unwrap(),
            [
                "INSERT INTO \"d\".\"t\"(\"a\", \"b {}\")\nVALUES\n(1, E'x;'),\n(2, E'{}'),\n(3, NULL)"
            ]
        );
        let each = statements(TEXT, 1).unwrap();
        assert_eq!(each.len(), 3);
        assert!(
            each.iter()
                .all(|s| s.starts_with("INSERT INTO \"d\".\"t\"(\"a\", \"b {}\")\nVALUES\n("))
        );
        assert!(each[2].ends_with("(3, NULL)"));
    }

    #[test]
    fn a_file_without_header_is_refused() {
        for text in ["", "INSERT INTO t\nVALUES\n(1);", "INSERT INTO {}(a)\n(1);"] {
            assert_eq!(statements(text, 10).unwrap_err().kind(), ErrorKind::BadData);
        }
        assert!(statements("INSERT INTO {}(a)\nVALUES\n", 10).unwrap().is_empty());
        let no_text = &b"INSERT INTO {}(a)\nVALUES\n(\xff);"[..];
        let error = InsertStatements::new(no_text, "t", 10).last().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData);
    }
}
