//! What Redshift's errors mean.

use tokio_postgres::error::DbError;
use transload_core::{Error, ErrorKind};

/// What a message of Redshift's own errors means: those come as `XX000`, or with a code that says less than they do.
/// The first row whose words are in the message counts. A source is the page of the Amazon Redshift guides that shows
/// the message, or who met it.
const MESSAGES: &[(&str, ErrorKind, &str)] = &[
    // Developer Guide, "Serializable isolation": "ERROR:1023 DETAIL: Serializable isolation violation on table in Redshift".
    ("Serializable isolation violation", ErrorKind::Transient, ""),
    // Two loaders make the same schema or table at once, and meet in the indexes of PostgreSQL's catalog: the next try finds
    // it. Met on PostgreSQL.
    ("pg_namespace_nspname_index", ErrorKind::Transient, ""),
    ("pg_class_relname_nsp_index", ErrorKind::Transient, ""),
    ("pg_type_typname_nsp_index", ErrorKind::Transient, ""),
    ("tuple concurrently updated", ErrorKind::Transient, ""),
    // Developer Guide, "Troubleshooting data loads": what was wrong stands in the table that the message names.
    ("stl_load_errors", ErrorKind::BadData, ""),
    ("sys_load_error_detail", ErrorKind::BadData, ""),
    ("Load into table", ErrorKind::BadData, ""),
    // S3's own words for "not so fast" and "not now": Amazon S3 API Reference, "Error responses".
    ("SlowDown", ErrorKind::Transient, ""),
    ("Status 503", ErrorKind::Transient, ""),
    ("Status 500", ErrorKind::Transient, ""),
    // Developer Guide, "S3ServiceException errors".
    (
        "Not authorized to get credentials of role",
        ErrorKind::Configuration,
        "attach the role to the cluster or workgroup, and let it be assumed by redshift.amazonaws.com",
    ),
    (
        "not authorized to assume IAM Role",
        ErrorKind::Configuration,
        "let the role be assumed by redshift.amazonaws.com, and by the role before it where they are chained",
    ),
    (
        "must be addressed using the specified endpoint",
        ErrorKind::Configuration,
        "the bucket is in another region: set `staging_region`, with which Parquet cannot be copied",
    ),
    (
        "PermanentRedirect",
        ErrorKind::Configuration,
        "the bucket is in another region: set `staging_region`, with which Parquet cannot be copied",
    ),
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
    (
        "InvalidToken",
        ErrorKind::Configuration,
        "look at the session token of the staging destination",
    ),
    (
        "AccessDenied",
        ErrorKind::Configuration,
        "the role or the keys need s3:GetObject on the load's prefix; with VPC endpoints see `s3:signatureAge` too",
    ),
    (
        "Access Denied",
        ErrorKind::Configuration,
        "the role or the keys need s3:GetObject on the load's prefix; with VPC endpoints see `s3:signatureAge` too",
    ),
    // A file that was staged is gone: the load stages it again when it is resumed.
    ("NoSuchKey", ErrorKind::Terminal, "resume the load: its files are staged again"),
    ("does not exist in S3", ErrorKind::Terminal, "resume the load: its files are staged again"),
    // Developer Guide, "Using a manifest to specify data files": we wrote it.
    ("'meta' key", ErrorKind::Bug, ""),
    ("Manifest file", ErrorKind::Bug, ""),
    // Redshift Spectrum reads columnar files, in its words: Developer Guide, "Troubleshooting queries in Redshift Spectrum".
    ("incompatible Parquet schema", ErrorKind::BadData, ""),
    ("Spectrum Scan Error", ErrorKind::BadData, ""),
    // Management Guide, "Troubleshooting": PostgreSQL has a code for it, Redshift does not use it.
    ("Disk Full", ErrorKind::Terminal, "make room in the cluster, then resume"),
    // Met by dlt: it says of `NULL` what PostgreSQL says with a code.
    ("Cannot insert a NULL value into column", ErrorKind::BadData, ""),
    ("Numeric data overflow", ErrorKind::BadData, ""),
    ("Precision exceeds maximum", ErrorKind::BadData, ""),
    // Developer Guide, "WLM query monitoring rules".
    (
        "Query Monitoring Rule",
        ErrorKind::Terminal,
        "a rule of the cluster ended the statement: let loads have a queue of their own",
    ),
];

/// What an SQLSTATE means. The first row that it begins with counts. They are PostgreSQL's: its manual, "PostgreSQL Error
/// Codes".
const CODES: &[(&str, ErrorKind, &str)] = &[
    // The connection was lost.
    ("08", ErrorKind::Transient, ""),
    // Two transactions met; this one was rolled back.
    ("40", ErrorKind::Transient, ""),
    ("55P03", ErrorKind::Transient, ""),
    // Too many connections: others end.
    ("53300", ErrorKind::Transient, ""),
    // The cluster restarts, or fails over to another node.
    ("57P01", ErrorKind::Transient, ""),
    ("57P02", ErrorKind::Transient, ""),
    ("57P03", ErrorKind::Transient, ""),
    // Two loaders made the same table, schema or column at once: the next try finds it.
    ("42P06", ErrorKind::Transient, ""),
    ("42P07", ErrorKind::Transient, ""),
    // The type of a table's rows has the table's name, and may be met before the table is.
    ("42710", ErrorKind::Transient, ""),
    ("42701", ErrorKind::Transient, ""),
    ("28", ErrorKind::Configuration, "look at `credentials.username` and `credentials.password`"),
    ("3D000", ErrorKind::Configuration, "look at `credentials.database`"),
    ("42501", ErrorKind::Configuration, "grant the user what the message names"),
    ("53100", ErrorKind::Terminal, "make room in the cluster, then resume"),
    // It ran for too long, or somebody ended it.
    (
        "57014",
        ErrorKind::Terminal,
        "raise `statement_timeout`, or look for who cancelled the statement, then resume",
    ),
    // Values that their columns cannot hold, NULLs where none may be.
    ("22", ErrorKind::BadData, ""),
    ("23", ErrorKind::BadData, ""),
    // What a statement names is not there: somebody changed the dataset under the load.
    ("42P01", ErrorKind::Terminal, ""),
    ("42703", ErrorKind::Terminal, ""),
    ("3F000", ErrorKind::Terminal, ""),
    ("0A000", ErrorKind::Unsupported, ""),
    // We wrote it.
    ("42601", ErrorKind::Bug, ""),
    ("25", ErrorKind::Bug, ""),
];

/// What Redshift or its driver said, as an error of ours.
pub(crate) fn classify(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(error) => classify_answer(error.code().code(), error.message(), error.detail()),
        None => classify_connection(error),
    }
}

fn classify_connection(error: &tokio_postgres::Error) -> Error {
    let mut causes = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut is_tls = false;
    while let Some(cause) = next {
        is_tls |= is_refused_certificate(cause);
        causes.push(cause.to_string());
        next = cause.source();
    }
    let text = causes.join(": ");
    if is_tls || text.contains("server does not support TLS") {
        return Error::new(ErrorKind::Configuration, "no encrypted connection to Redshift")
            .with_source(text)
            .with_hint(
                "see that `credentials.host` is the name in the certificate, or set `sslrootcert`; in a tunnel \
                 `sslmode = \"verify-ca\"` leaves the name out",
            );
    }
    // What it knows to be wrong before it sends anything.
    if text.contains("error encoding message") || text.contains("invalid configuration") {
        return Error::new(
            ErrorKind::Configuration,
            "the connection to Redshift is not configured right",
        )
        .with_source(text);
    }
    Error::new(ErrorKind::Transient, "the connection to Redshift was lost, or could not be made")
        .with_source(text)
        .with_hint("see that `credentials.host` and `port` are right and let this machine in (security group, VPC)")
}

fn is_refused_certificate(cause: &(dyn std::error::Error + 'static)) -> bool {
    let inner = cause
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref())
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner.or_else(|| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => true,
        Some(error) => error.to_string().contains("certificate"),
        None => cause.to_string().contains("the host is no name"),
    }
}

/// What an answer means, from its parts.
pub(crate) fn classify_answer(code: &str, message: &str, detail: Option<&str>) -> Error {
    let said = format!("{message}\n{}", detail.unwrap_or_default());
    let by_message = MESSAGES.iter().find(|(words, ..)| said.contains(words));
    let by_code = CODES.iter().find(|(class, ..)| code.starts_with(class));
    let rule = by_message.or(by_code);
    // What is not known will not get better by itself.
    let (kind, hint) = rule.map_or((ErrorKind::Terminal, ""), |(_, kind, hint)| (*kind, *hint));
    let error = Error::new(kind, "Redshift refused")
        .with("code", code)
        .with_source(presentable(code, message, detail));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

/// Whether an answer to COMMIT says for certain that nothing was committed: a conflict or a constraint, which are found
/// before. After others, a shutdown for example, only the dataset knows.
pub(crate) fn is_refused_commit(error: &DbError) -> bool {
    let code = error.code().code();
    code.starts_with("40")
        || code.starts_with("23")
        || error.message().contains("Serializable isolation violation")
        || error.detail().is_some_and(|detail| detail.contains("Serializable isolation violation"))
}

/// What was said, without values of rows: classes 22 and 23 quote them, and a detail of theirs is a whole row.
fn presentable(code: &str, message: &str, detail: Option<&str>) -> String {
    const LONGEST: usize = 700;
    let about_values = code.starts_with("22") || code.starts_with("23");
    let text = match (about_values, detail) {
        (true, _) => without_quoted(message),
        (false, Some(detail)) => format!("{message}\n{}", unframed(detail)),
        (false, None) => message.to_owned(),
    };
    text.chars().take(LONGEST).collect()
}

/// Redshift's details are framed by lines of dashes, with the place in its source at the end.
fn unframed(detail: &str) -> String {
    let is_frame = |line: &&str| {
        let line = line.trim();
        !line.is_empty()
            && !line.chars().all(|c| c == '-')
            && !["location:", "process:", "query:"].iter().any(|words| line.starts_with(words))
    };
    detail.lines().filter(is_frame).map(str::trim).collect::<Vec<_>>().join("\n")
}

/// The message with `…` for everything from the first quote of a value to the last one, since values hold quotes too.
/// Names of columns and tables stand before, in quotes as well, behind a word that says so.
fn without_quoted(message: &str) -> String {
    let mut shown = 0;
    while let Some(first) = message[shown..].find(['"', '\'']).map(|at| shown + at) {
        let quote = &message[first..=first];
        let before = message[..first].trim_end();
        let names = ["column", "relation", "table", "constraint", "type"];
        let end = message[first + 1..].find(quote).map(|length| first + length + 2);
        match end {
            Some(end) if names.iter().any(|word| before.ends_with(word)) => shown = end,
            _ => {
                let rest = match message.rfind(quote) {
                    Some(last) if last > first => &message[last + 1..],
                    _ => "",
                };
                return format!("{}\"…\"{rest}", &message[..first]);
            }
        }
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_kind_and_show_no_values() {
        let mut shown = String::new();
        for (code, message, detail) in [
            (
                "XX000",
                "1023",
                Some(
                    "Serializable isolation violation on table - 100121, transactions forming the cycle are: 1, 2 (pid:3)",
                ),
            ),
            ("40001", "could not serialize access due to concurrent update", None),
            (
                "XX000",
                "Load into table 't' failed.  Check 'sys_load_error_detail' system table for details.",
                None,
            ),
            (
                "XX000",
                "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 1,ExtRid x,CanRetry 1",
                Some(
                    "\n  -----------------------------------------------\n  error:  S3ServiceException:Access Denied,Status 403\n  code:      8001\n  context:   Listing bucket=b prefix=p\n  query:     0\n  location:  s3_utility.cpp:691\n  process:   padbmaster [pid=1]\n  -----------------------------------------------\n",
                ),
            ),
            (
                "XX000",
                "S3ServiceException:Please reduce your request rate.,Status 503,Error SlowDown,Rid 1",
                None,
            ),
            ("XX000", "Not authorized to get credentials of role arn:aws:iam::1:role/a", None),
            (
                "XX000",
                "Spectrum Scan Error",
                Some(
                    "error: Spectrum Scan Error\ncode: 15007\ncontext: File has an incompatible Parquet schema for column 'a'",
                ),
            ),
            ("XX000", "something that nobody has met", None),
            ("22P02", "invalid input syntax for integer: \"it's a \"CANARY\" x\"", None),
            (
                "23502",
                "null value in column \"id\" of relation \"t\" violates not-null constraint",
                Some("Failing row contains (CANARY)."),
            ),
            ("22001", "value too long for type character varying(5)", None),
            ("22007", "invalid input syntax for type timestamp: 'CANARY", None),
            ("28P01", "password authentication failed for user \"loader\"", None),
            ("3D000", "database \"dev\" does not exist", None),
            ("42501", "permission denied for schema chess", None),
            ("42P01", "relation \"chess.players\" does not exist", None),
            ("42710", "type \"players\" already exists", None),
            ("XX000", "tuple concurrently updated", None),
            ("42601", "syntax error at or near \"FROMM\"", None),
            ("57P01", "terminating connection due to administrator command", None),
            ("57014", "Query (1) cancelled on user's request", None),
        ] {
            let error = classify_answer(code, message, detail);
            shown.push_str(&format!("{}: {error:?}\n", error.kind()));
        }
        assert!(!shown.contains("CANARY"), "{shown}");
        insta::assert_snapshot!(shown);
    }
}
