//! What DuckDB's errors mean.

use transload_core::{Error, ErrorKind};

/// What the first words of a message mean, and why. The words are those of DuckDB's `ExceptionType`; the C interface
/// gives no code.
const KINDS: &[(&str, ErrorKind)] = &[
    // The file is another process's for now: https://duckdb.org/docs/stable/connect/concurrency
    ("IO Error: Could not set lock", ErrorKind::Transient),
    // Another path, or another file.
    ("IO Error: Cannot open file", ErrorKind::Configuration),
    // A full disk, a file that is gone: somebody has to look.
    ("IO Error", ErrorKind::Terminal),
    // Two transactions changed the same rows; this one was rolled back.
    ("TransactionContext Error", ErrorKind::Transient),
    // A NULL in a column that has none, a key twice.
    ("Constraint Error", ErrorKind::BadData),
    // A value that its column cannot hold.
    ("Conversion Error", ErrorKind::BadData),
    ("Out of Range Error", ErrorKind::BadData),
    ("Mismatch Type Error", ErrorKind::BadData),
    // A damaged file.
    ("Invalid Input Error", ErrorKind::BadData),
    // A file of a newer DuckDB.
    ("Serialization Error", ErrorKind::Configuration),
    ("Permission Error", ErrorKind::Configuration),
    ("Invalid Configuration Error", ErrorKind::Configuration),
    // The future was dropped.
    ("INTERRUPT Error", ErrorKind::Interrupted),
    // A table or column that is not there: somebody changed the dataset under the load.
    ("Catalog Error", ErrorKind::Terminal),
    ("Binder Error", ErrorKind::Terminal),
    // We wrote it.
    ("Parser Error", ErrorKind::Bug),
    ("Syntax Error", ErrorKind::Bug),
];

/// What DuckDB said, as an error of ours. Values of rows are taken out of it.
pub(crate) fn classify(error: &duckdb::Error) -> Error {
    let message = match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.clone(),
        duckdb::Error::NulError(_) => "Invalid Input Error: a NUL in a statement".to_owned(),
        other => other.to_string(),
    };
    classify_message(&message)
}

pub(crate) fn classify_message(message: &str) -> Error {
    // What is not known will not get better by itself.
    let kind = KINDS
        .iter()
        .find(|(words, _)| message.starts_with(words))
        .map_or(ErrorKind::Terminal, |(_, kind)| *kind);
    let error = Error::new(kind, "DuckDB refused").with_source(presentable(message, kind));
    match kind {
        ErrorKind::Transient if message.contains("Could not set lock") => {
            error.with_hint("another process has the database open: close it, or wait")
        }
        _ if message.starts_with("Out of Memory Error") => {
            error.with_hint("raise `memory_limit`, or lower `threads`")
        }
        _ if message.contains("No space left") => {
            error.with_hint("make room on the disk, then resume")
        }
        _ => error,
    }
}

/// Whether the database has to be opened anew after this.
pub(crate) fn is_fatal(message: &str) -> bool {
    ["FATAL Error", "INTERNAL Error"].iter().any(|words| message.starts_with(words))
        || message.contains("database has been invalidated")
}

/// Whether an error in COMMIT says for certain that nothing was committed: a conflict or a key that is there twice, found
/// before anything is written. After others, a full disk for example, only the log knows.
pub(crate) fn is_refused_commit(message: &str) -> bool {
    ["conflict", "Conflict", "onstraint"].iter().any(|word| message.contains(word))
        && !is_fatal(message)
}

/// The first line, since further ones quote whole rows; and of what is about data nothing that stands in quotes, but
/// for the names of files.
fn presentable(message: &str, kind: ErrorKind) -> String {
    const LONGEST: usize = 500;
    let line = message.lines().next().unwrap_or_default();
    let mut out = String::new();
    for (index, part) in line.split('"').enumerate() {
        let quoted = index % 2 == 1;
        if index > 0 {
            out.push('"');
        }
        if quoted && kind == ErrorKind::BadData && !out.ends_with("file \"") {
            out.push('…');
        } else {
            out.push_str(part);
        }
    }
    out.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_kind_and_show_no_values() {
        let mut shown = String::new();
        for message in [
            "IO Error: Could not set lock on file \"/a/x.duckdb\": Conflicting lock is held in /bin/x (PID 24738). See also https://duckdb.org",
            "IO Error: Cannot open file \"/a/x.duckdb\": No such file or directory",
            "Conversion Error: date field value out of range: \"2024-02-30\"\n\nLINE 1: select",
            "Invalid Input Error: JSON transform error in file \"/a/b.jsonl\", in line 1: Failed to cast value to decimal: \"CANARY\"\nTry",
            "Invalid Input Error: CSV Error on Line: 2\nOriginal Line: CANARY",
            "Constraint Error: NOT NULL constraint failed: players.id",
            "TransactionContext Error: Conflict on update!",
            "Out of Memory Error: failed to allocate",
            "Something Else: really",
        ] {
            let error = classify_message(message);
            shown.push_str(&format!("{}: {error:?}\n", error.kind()));
        }
        assert!(is_refused_commit(
            "TransactionContext Error: Failed to commit: write-write conflict"
        ));
        assert!(!is_refused_commit(
            "TransactionContext Error: Failed to commit: No space left on device"
        ));
        assert!(!shown.contains("CANARY"));
        insta::assert_snapshot!(shown);
    }
}
