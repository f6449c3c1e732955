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
    let error = Error::new(kind, "DuckDB refused").with_source(presentable(message));
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

/// The beginnings of messages that quote names and files, and never the value of a row.
const OF_NAMES: &[&str] = &[
    "IO Error",
    "Catalog Error",
    "Binder Error",
    "Permission Error",
    "Invalid Configuration Error",
    "Serialization Error",
    "Out of Memory Error",
    "FATAL Error",
];

/// What DuckDB says of where in the statement it was, behind an empty line. A statement may hold rows.
const PLACE: &str = "\n\nLINE ";

/// Words behind which a value stands without quotes, and words that go on after it.
const UNQUOTED: &[(&str, &[&str])] = &[
    ("with value", &[" can't ", " cannot ", " to "]),
    ("cast value", &[" to "]),
    ("convert value", &[" to "]),
    ("decimal value", &[" to "]),
    ("Overflow in", &[]),
];

/// The first line, since further ones quote whole rows; and of what may be about rows no value.
fn presentable(message: &str) -> String {
    const LONGEST: usize = 500;
    let said = message.rfind(PLACE).map_or(message, |place| &message[..place]);
    let (line, whole) = match said.split_once('\n') {
        Some((line, _)) => (line, false),
        None => (said, true),
    };
    let line = match OF_NAMES.iter().any(|words| message.starts_with(words)) {
        true => line.to_owned(),
        false => without_unquoted(&without_quoted(line, whole), whole),
    };
    line.chars().take(LONGEST).collect()
}

/// The line with `…` for everything from the first quote to the last, since a value may hold quotes itself. Where the
/// message went on in another line the last one may be there, and nothing behind the first is shown. The name of a
/// file is, if it comes before any value.
fn without_quoted(line: &str, whole: bool) -> String {
    let mut shown = 0;
    while let Some(first) = quote(&line[shown..]).map(|at| shown + at) {
        let in_file = line[..first].ends_with("file ") && line[first..].starts_with('"');
        let end = line[first + 1..].find('"').map(|length| first + length + 2);
        if let (true, Some(end)) = (in_file, end) {
            shown = end;
            continue;
        }
        let rest = match line.rfind(['"', '\'']) {
            Some(last) if whole && last > first => &line[last + 1..],
            _ => "",
        };
        return format!("{}\"…\"{rest}", &line[..first]);
    }
    line.to_owned()
}

/// Where the first quote is. The apostrophe in "can't" is none.
fn quote(text: &str) -> Option<usize> {
    let is_quote = |(at, c): &(usize, char)| match c {
        '"' => true,
        '\'' => !(text[..*at].ends_with('n') && text[at + 1..].starts_with("t ")),
        _ => false,
    };
    text.char_indices().find(is_quote).map(|(at, _)| at)
}

fn without_unquoted(line: &str, whole: bool) -> String {
    for (before, after) in UNQUOTED {
        let Some((head, value)) = line.split_once(before) else { continue };
        let end = after.iter().find_map(|word| value.rfind(word));
        if end == Some(0) {
            continue;
        }
        let rest = end.filter(|_| whole).map_or("", |end| &value[end..]);
        return format!("{head}{before} …{rest}");
    }
    line.to_owned()
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
            "Conversion Error: Could not convert string 'CANARY' to INT32\n\nLINE 1: 'CANARY'\n  ^",
            "Conversion Error: Could not convert string 'it's \"a\" CANARY' to INT32",
            "Conversion Error: Could not convert string 'a' CANARY\n CANARY' to INT32",
            "Conversion Error: Could not convert string 'file \"CANARY\"' to INT32",
            "Conversion Error: Type INT32 with value CANARY can't be cast because the value is out of range for the destination type INT8",
            "Conversion Error: Could not cast value CANARY to DECIMAL(3,1)",
            "Out of Range Error: Overflow in multiplication of INT32 (CANARY * 5)!",
            "Parser Error: syntax error at or near \"CANARY\"",
            "TransactionContext Error: Failed to commit: duplicate key \"CANARY\"",
            "Catalog Error: Table with name players does not exist!\nDid you mean \"player\"?",
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

    #[test]
    fn what_duckdb_says_of_values_shows_none() {
        let connection = duckdb::Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (i TINYINT PRIMARY KEY, v VARCHAR UNIQUE)")
            .unwrap();
        connection.execute_batch("INSERT INTO t VALUES (1, 'CANARY')").unwrap();
        let mut shown = String::new();
        for sql in [
            "INSERT INTO t VALUES ('CANARY', '')",
            "INSERT INTO t SELECT v, v FROM (VALUES ('CANARY')) AS s(v)",
            "INSERT INTO t SELECT v, v FROM (VALUES ('it''s \"a\" CANARY\nCANARY')) AS s(v)",
            "INSERT INTO t VALUES (7654321, '')",
            "INSERT INTO t SELECT v, v FROM (VALUES (7654321.5)) AS s(v)",
            "INSERT INTO t SELECT v, v FROM (VALUES (7654321::DOUBLE)) AS s(v)",
            "INSERT INTO t VALUES (2, 'CANARY')",
            "SELECT v::DECIMAL(3,1) FROM (VALUES (7654321)) AS s(v)",
            "SELECT v::DECIMAL(3,1) FROM (VALUES (7654321.5::DECIMAL(20,5))) AS s(v)",
            "SELECT v::DECIMAL(3,1) FROM (VALUES (7654321.5::DOUBLE)) AS s(v)",
            "SELECT v::DECIMAL(3,1) FROM (VALUES ('7654321.5')) AS s(v)",
            "SELECT v::DATE FROM (VALUES ('CANARY')) AS s(v)",
            "SELECT v::TIME FROM (VALUES ('CANARY')) AS s(v)",
            "SELECT v::TIMESTAMPTZ FROM (VALUES ('CANARY')) AS s(v)",
            "SELECT v::TIMESTAMP_NS FROM (VALUES (TIMESTAMP '7654-03-21')) AS s(v)",
            "SELECT v::BOOLEAN FROM (VALUES ('CANARY')) AS s(v)",
            "SELECT v::BLOB FROM (VALUES ('CANARY\\x')) AS s(v)",
            "SELECT from_base64(v) FROM (VALUES ('CANARY')) AS s(v)",
            "SELECT v::JSON FROM (VALUES ('CANARY')) AS s(v)",
            "SELECT v * v FROM (VALUES (7654321987654321987)) AS s(v)",
            "INSERT INTO t VALUES (3, 'CANARY",
        ] {
            let failed = connection.prepare(sql).and_then(|mut statement| {
                statement.query_map([], |_| Ok(()))?.collect::<Result<Vec<_>, _>>()
            });
            let Err(error) = failed else { panic!("{sql}") };
            shown.push_str(&format!("{:?}\n", classify(&error)));
        }
        for value in ["CANARY", "7654"] {
            assert!(!shown.contains(value), "{shown}");
        }
        insta::assert_snapshot!(shown.replace("DuckDB refused\n  because: ", ""));
    }
}
