//! What PostgreSQL's errors mean: its manual, "PostgreSQL Error Codes".

use tokio_postgres::error::DbError;
use transload_core::{Error, ErrorKind};

/// What an SQLSTATE means. The first row that it begins with counts.
const CODES: &[(&str, ErrorKind, &str)] = &[
    ("08", ErrorKind::Transient, ""),
    // Two transactions met, or a lock was not to be had.
    ("40", ErrorKind::Transient, ""),
    ("55P03", ErrorKind::Transient, ""),
    ("53300", ErrorKind::Transient, ""),
    // The server shuts down, or starts.
    ("57P0", ErrorKind::Transient, ""),
    // Two loaders made the same schema, table, type or column at once: the next try finds it.
    ("42P06", ErrorKind::Transient, ""),
    ("42P07", ErrorKind::Transient, ""),
    ("42701", ErrorKind::Transient, ""),
    ("42710", ErrorKind::Transient, ""),
    ("28", ErrorKind::Configuration, "look at `username` and `password`"),
    ("3D000", ErrorKind::Configuration, "look at `database`"),
    ("42501", ErrorKind::Configuration, "grant the user what the message names"),
    ("53100", ErrorKind::Terminal, "make room for the database, then resume"),
    ("22", ErrorKind::BadData, ""),
    ("23", ErrorKind::BadData, ""),
    ("0A000", ErrorKind::Unsupported, ""),
    ("42601", ErrorKind::Bug, ""),
];

/// What PostgreSQL or its driver said, as an error of ours.
pub(crate) fn classify(error: &tokio_postgres::Error) -> Error {
    if let Some(answer) = error.as_db_error() {
        return classify_answer(answer);
    }
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let text = format!("{error}: {cause}");
    let never = ["invalid configuration", "authentication", "error encoding"];
    if never.iter().any(|words| text.contains(words)) {
        return Error::new(ErrorKind::Configuration, "the login is not right").with_source(text);
    }
    Error::new(ErrorKind::Transient, "no connection to PostgreSQL").with_source(text)
}

fn classify_answer(answer: &DbError) -> Error {
    let code = answer.code().code();
    let rule = CODES.iter().find(|(class, ..)| code.starts_with(class));
    let (mut kind, hint) = rule.map_or((ErrorKind::Terminal, ""), |(_, kind, hint)| (*kind, *hint));
    // Two loaders met in the catalog itself.
    if answer.schema() == Some("pg_catalog") || answer.message().contains("tuple concurrently") {
        kind = ErrorKind::Transient;
    }
    let mut text = answer.message().to_owned();
    if let (Some(first), Some(last), ErrorKind::BadData) = (text.find('"'), text.rfind('"'), kind) {
        // Values stand in quotes, and nobody may see them. The column is named by the place.
        text.replace_range(first..=last, "…");
    }
    let mut error = Error::new(kind, "PostgreSQL refused").with("code", code).with_source(text);
    if let Some(place) = answer.where_().and_then(|lines| lines.lines().find_map(place)) {
        error = error.with("at", place);
    }
    for (what, name) in [("column", answer.column()), ("constraint", answer.constraint())] {
        error = name.into_iter().fold(error, |error, name| error.with(what, name));
    }
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

/// The place in `COPY table, line 7, column name: "value"`.
fn place(line: &str) -> Option<&str> {
    line.starts_with("COPY ").then(|| line.split(": ").next()).flatten()
}

/// Whether an answer to COMMIT says for certain that nothing was committed.
pub(crate) fn is_refused_commit(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map_or("", |code| code.code());
    code.starts_with("40") || code.starts_with("23")
}
