//! A file that is sent behind a statement.

use std::fmt;
use std::path::PathBuf;

use super::Statement;

/// A statement that reads what is sent behind it, as `COPY … FROM STDIN` does, and the file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFile {
    /// The statement.
    pub statement: Statement,
    /// The file.
    pub path: PathBuf,
    /// Whether it is compressed by gzip.
    pub gzip: bool,
}

impl fmt::Display for CopyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        write!(f, "{} (from {name})", self.statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Step, Transaction};

    #[test]
    fn a_file_behind_a_statement_is_shown_by_its_name() {
        let file = CopyFile {
            statement: Statement::new("COPY t FROM STDIN"),
            path: "/folder/1.csv.gz".into(),
            gzip: true,
        };
        let transaction = Transaction { steps: vec![Step::rows("load t", file, 3)] };
        assert_eq!(
            transaction.to_string(),
            "BEGIN\n-- load t: 3 rows, or terminal\nCOPY t FROM STDIN (from 1.csv.gz)\nCOMMIT"
        );
    }
}
