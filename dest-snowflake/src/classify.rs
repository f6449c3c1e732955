//! What Snowflake's errors mean.

use transload_core::{Error, ErrorKind};

/// What a message means. The first row whose words are in it counts, whatever the code. A source is the page of the
/// Snowflake documentation that shows it.
const MESSAGES: &[(&str, ErrorKind, &str)] = &[
    // "Troubleshooting bulk data loads".
    ("Remote file", ErrorKind::Terminal, "resume the load: its files are staged again"),
    ("Failed to access remote file: access denied", ErrorKind::Configuration, BUCKET),
    ("Failure using stage area", ErrorKind::Configuration, BUCKET),
    ("InvalidAccessKeyId", ErrorKind::Configuration, "look at the keys of the staging destination"),
    (
        "SignatureDoesNotMatch",
        ErrorKind::Configuration,
        "look at the keys of the staging destination",
    ),
    (
        "ExpiredToken",
        ErrorKind::Configuration,
        "renew the temporary keys of the staging destination, then resume",
    ),
    ("AccessDenied", ErrorKind::Configuration, BUCKET),
    ("Access Denied", ErrorKind::Configuration, BUCKET),
    ("SlowDown", ErrorKind::Transient, ""),
    // "Transactions": a deadlock is broken by ending one of them.
    ("was aborted because it was deadlocked", ErrorKind::Transient, ""),
    ("has been aborted because it waited", ErrorKind::Transient, ""),
    // "Working with resource monitors".
    (
        "exceeded its quota",
        ErrorKind::Configuration,
        "raise the quota of the resource monitor, or wait until it begins anew",
    ),
    (
        "No active warehouse selected",
        ErrorKind::Configuration,
        "set `credentials.warehouse`, and grant USAGE on it to the role",
    ),
];

const BUCKET: &str =
    "the stage, the integration or the keys need to list and read the load's prefix of the bucket";

const LOGIN: &str = "look at `credentials.username`, and at the password, the key or the token";

const TOKEN: &str = "the token has expired: put a new one into `credentials.token`, then resume";

/// What a code means. They are Snowflake's own numbers, without a list of them in its documentation; a row says who met it.
const CODES: &[(&str, ErrorKind, &str)] = &[
    // Logins: the constants of Snowflake's own drivers.
    ("390100", ErrorKind::Configuration, LOGIN),
    ("390101", ErrorKind::Configuration, LOGIN),
    ("390102", ErrorKind::Configuration, "the user's password has expired: set a new one"),
    ("390103", ErrorKind::Transient, ""),
    ("390104", ErrorKind::Transient, ""),
    ("390111", ErrorKind::Transient, ""),
    ("390112", ErrorKind::Transient, ""),
    ("390113", ErrorKind::Transient, ""),
    ("390114", ErrorKind::Transient, ""),
    ("390115", ErrorKind::Transient, ""),
    (
        "390144",
        ErrorKind::Configuration,
        "see that `RSA_PUBLIC_KEY_FP` of the user is the key's, and that this machine's clock is right",
    ),
    ("390189", ErrorKind::Configuration, "the role does not exist, or is not granted to the user"),
    (
        "390201",
        ErrorKind::Configuration,
        "see that the database, the warehouse and the role exist and are granted",
    ),
    ("390195", ErrorKind::Configuration, TOKEN),
    ("390303", ErrorKind::Configuration, "look at `credentials.token`"),
    ("390318", ErrorKind::Configuration, TOKEN),
    ("390", ErrorKind::Configuration, LOGIN),
    // A statement that a lock or a restart ended.
    ("000625", ErrorKind::Transient, ""),
    ("000629", ErrorKind::Transient, ""),
    ("000605", ErrorKind::Transient, ""),
    ("000603", ErrorKind::Transient, ""),
    ("000604", ErrorKind::Terminal, "look for who cancelled the statement, then resume"),
    (
        "000630",
        ErrorKind::Terminal,
        "raise STATEMENT_TIMEOUT_IN_SECONDS by `session_parameters`, then resume",
    ),
    (
        "000606",
        ErrorKind::Configuration,
        "set `credentials.warehouse`, and grant USAGE on it to the role",
    ),
    (
        "090073",
        ErrorKind::Configuration,
        "the warehouse cannot be started: see who suspended it, and the resource monitor",
    ),
    // Two loaders made the same table or schema at once: the next try finds it.
    ("002002", ErrorKind::Transient, ""),
    ("001430", ErrorKind::Transient, ""),
    // What a statement names is not there, or not for this role.
    (
        "002003",
        ErrorKind::Terminal,
        "see that it exists and that the role is granted what it needs there",
    ),
    (
        "002043",
        ErrorKind::Terminal,
        "see that it exists and that the role is granted what it needs there",
    ),
    ("003001", ErrorKind::Configuration, "grant the role what the message names"),
    ("003013", ErrorKind::Configuration, "grant the role what the message names"),
    ("000904", ErrorKind::Terminal, ""),
    // Values: COPY and INSERT.
    ("100", ErrorKind::BadData, ""),
    ("001003", ErrorKind::Bug, ""),
    ("001757", ErrorKind::Bug, ""),
    ("000002", ErrorKind::Unsupported, ""),
];

/// What an answer means.
pub(crate) fn classify(code: &str, state: &str, message: &str) -> Error {
    let by_message = MESSAGES.iter().find(|(words, ..)| message.contains(words));
    let by_code = CODES.iter().find(|(begin, ..)| code.starts_with(begin));
    let by_state = match state.get(..2) {
        Some("22" | "23") => Some((ErrorKind::BadData, "")),
        Some("40") => Some((ErrorKind::Transient, "")),
        _ => None,
    };
    let rule = by_message.or(by_code).map(|(_, kind, hint)| (*kind, *hint)).or(by_state);
    // What is not known will not get better by itself.
    let (kind, hint) = rule.unwrap_or((ErrorKind::Terminal, ""));
    let about_values = kind == ErrorKind::BadData;
    let error = Error::new(kind, "Snowflake refused")
        .with("code", code)
        .with_source(presentable(message, about_values));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

/// Whether an answer to COMMIT says for certain that nothing was committed.
pub(crate) fn is_refused_commit(code: &str) -> bool {
    // An aborted transaction: by a deadlock, or by the wait for a lock.
    ["000625", "000629", "090229"].contains(&code)
}

/// What was said, without the values of rows that it quotes.
fn presentable(message: &str, about_values: bool) -> String {
    const LONGEST: usize = 700;
    let text = match about_values {
        true => without_value(message.lines().next().unwrap_or_default()),
        false => message.to_owned(),
    };
    text.chars().take(LONGEST).collect()
}

/// A line with `'…'` for everything from its first single quote to its last one: values hold quotes too.
fn without_value(line: &str) -> String {
    match (line.find('\''), line.rfind('\'')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}'…'{}", &line[..first], &line[last + 1..])
        }
        (Some(first), _) => format!("{}'…'", &line[..first]),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_kind_and_show_no_values() {
        let mut shown = String::new();
        for (code, state, message) in [
            ("390100", "08001", "Incorrect username or password was specified."),
            ("390144", "08001", "JWT token is invalid. [1]"),
            (
                "390189",
                "08001",
                "Role 'LOADER' specified in the connect string does not exist or not authorized.",
            ),
            ("390318", "08001", "OAuth access token expired. [2]"),
            (
                "000625",
                "57014",
                "Statement '01b' has locked table 'T' in transaction 1 and this lock has not yet been released.",
            ),
            (
                "000630",
                "57014",
                "Statement reached its statement or warehouse timeout of 60 second(s) and was canceled.",
            ),
            ("000606", "57P03", "No active warehouse selected in the current session."),
            (
                "002003",
                "02000",
                "SQL compilation error:\nTable 'RAW.CHESS.T' does not exist or not authorized.",
            ),
            (
                "003001",
                "42501",
                "SQL access control error:\nInsufficient privileges to operate on schema 'CHESS'",
            ),
            (
                "001003",
                "42000",
                "SQL compilation error:\nsyntax error line 1 at position 0 unexpected 'FROMM'.",
            ),
            (
                "100038",
                "22018",
                "Numeric value 'CANARY's' is not recognized\n  File 'x/y.jsonl', line 3, character 7\n  Row 3, column \"T\"[\"N\":1]",
            ),
            ("100078", "22000", "String 'CANARY' is too long and would be truncated"),
            ("100072", "22000", "NULL result in a non-nullable column"),
            (
                "100016",
                "22000",
                "Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)]",
            ),
            ("091016", "22000", "Remote file 'x/y.parquet' was not found."),
            ("000002", "0A000", "Unsupported feature 'X'."),
            ("999999", "XX000", "something that nobody has met"),
            ("999998", "40001", "a conflict"),
        ] {
            let error = classify(code, state, message);
            shown.push_str(&format!("{}: {error:?}\n", error.kind()));
        }
        assert!(!shown.contains("CANARY"), "{shown}");
        insta::assert_snapshot!(shown);
    }
}
