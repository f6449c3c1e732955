//! What the errors of BigQuery mean.
//!
//! Reasons are those of its documentation, "Error messages"; each row says why where the reason alone does not.

use serde_json::Value;
use transload_core::{Error, ErrorKind};

/// What words in a message mean, whatever the reason. The first row counts.
const MESSAGES: &[(&str, ErrorKind, &str)] = &[
    // "Multi-statement transactions", conflicts: this one was rolled back.
    ("aborted due to concurrent update", ErrorKind::Transient, ""),
    ("due to concurrent update", ErrorKind::Transient, ""),
    ("Transaction conflict", ErrorKind::Transient, ""),
    ("Retrying the job may solve the problem", ErrorKind::Transient, ""),
    ("Retrying may solve the problem", ErrorKind::Transient, ""),
    (
        "Cannot read and write in different locations",
        ErrorKind::Configuration,
        "the bucket must lie where the dataset does: see `location`",
    ),
    (
        "was not found in location",
        ErrorKind::Configuration,
        "see that the dataset is there and lies in `location`",
    ),
    // The dataset is there, in another place.
    (
        "already exists in location",
        ErrorKind::Configuration,
        "set `location` to the place of the dataset",
    ),
    (
        "Billing has not been enabled",
        ErrorKind::Configuration,
        "in the sandbox BigQuery changes no rows: enable billing for the project",
    ),
    (
        "Too many partitions",
        ErrorKind::Terminal,
        "a statement changes 4,000 partitions at most: load fewer days at once, or partition the table by month",
    ),
    // A load job says so of a file, with the reason `notFound`: it is staged again when the load is resumed.
    (
        "The specified bucket does not exist",
        ErrorKind::Configuration,
        "see that `bucket_url` of the staging destination is right",
    ),
    (
        "Cannot find bucket",
        ErrorKind::Configuration,
        "see that `bucket_url` of the staging destination is right",
    ),
    ("Required field", ErrorKind::BadData, ""),
    ("exceeds maximum length", ErrorKind::BadData, ""),
    ("Parquet", ErrorKind::BadData, ""),
    ("Error while reading data", ErrorKind::BadData, ""),
    ("parsing error", ErrorKind::BadData, ""),
    ("too many errors", ErrorKind::BadData, ""),
];

/// What a reason means.
const REASONS: &[(&str, ErrorKind, &str)] = &[
    (
        "accessDenied",
        ErrorKind::Configuration,
        "the account needs the roles BigQuery Data Editor on the dataset (or the project, to make datasets), BigQuery \
         Job User on the project that is billed, and Storage Object Viewer on the bucket",
    ),
    ("authError", ErrorKind::Configuration, "look at `credentials`"),
    ("required", ErrorKind::Configuration, "look at `credentials`"),
    ("billingNotEnabled", ErrorKind::Configuration, "enable billing for the project"),
    ("billingTierLimitExceeded", ErrorKind::Terminal, ""),
    ("blocked", ErrorKind::Terminal, ""),
    // Too much at once: it passes.
    ("rateLimitExceeded", ErrorKind::Transient, ""),
    ("jobRateLimitExceeded", ErrorKind::Transient, ""),
    ("userRateLimitExceeded", ErrorKind::Transient, ""),
    // Too much in a day, or on a table in a while. Which of them it was stands in the message alone.
    (
        "quotaExceeded",
        ErrorKind::Transient,
        "see \"Quotas and limits\": a table takes 1,500 load and copy jobs in a day; resume the load when there is room",
    ),
    ("tableUnavailable", ErrorKind::Transient, ""),
    ("resourcesExceeded", ErrorKind::Terminal, "load less at once, in several runs"),
    ("responseTooLarge", ErrorKind::Terminal, ""),
    // The service failed: what it was asked may be done, or not.
    ("backendError", ErrorKind::OutcomeUnknown, ""),
    ("internalError", ErrorKind::OutcomeUnknown, ""),
    ("jobBackendError", ErrorKind::OutcomeUnknown, ""),
    ("jobInternalError", ErrorKind::OutcomeUnknown, ""),
    ("timeout", ErrorKind::OutcomeUnknown, ""),
    ("stopped", ErrorKind::Terminal, "the job was cancelled: resume the load"),
    ("duplicate", ErrorKind::Terminal, ""),
    ("notFound", ErrorKind::Terminal, "something that the load needs is gone: resume it"),
    ("invalid", ErrorKind::BadData, ""),
    ("invalidQuery", ErrorKind::Terminal, ""),
    ("notImplemented", ErrorKind::Unsupported, ""),
];

/// An error of BigQuery: the `errorResult` of a job, or the first of the errors of an answer.
pub(crate) fn classify(reason: &str, message: &str) -> Error {
    let by_message = MESSAGES.iter().find(|(words, ..)| message.contains(words));
    let by_reason = REASONS.iter().find(|(known, ..)| *known == reason);
    // What is not known will not get better by itself.
    let (kind, hint) = by_message
        .or(by_reason)
        .map_or((ErrorKind::Terminal, ""), |(_, kind, hint)| (*kind, *hint));
    let error = Error::new(kind, "BigQuery refused")
        .with("reason", reason)
        .with_source(presentable(message));
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

/// An answer that was no success.
pub(crate) fn classify_answer(status: u16, body: &Value) -> Error {
    let error = &body["error"];
    let first = &error["errors"][0];
    let message = error["message"].as_str().or(first["message"].as_str()).unwrap_or_default();
    let reason = first["reason"].as_str().unwrap_or_default();
    let known = REASONS.iter().any(|(known, ..)| *known == reason);
    let reason = match (status, known) {
        (_, true) => reason,
        (401, _) => "authError",
        (403, _) => "accessDenied",
        (404, _) => "notFound",
        (409, _) => "duplicate",
        (429, _) => "rateLimitExceeded",
        (408, _) => "timeout",
        (500.., _) => "backendError",
        // 400: what we sent.
        _ => reason,
    };
    classify(reason, message).with("status", status)
}

/// The error of a job that failed.
pub(crate) fn classify_job(job: &Value) -> Option<Error> {
    let result = &job["status"]["errorResult"];
    let reason = result["reason"].as_str()?;
    let message = result["message"].as_str().unwrap_or_default();
    let mut error = classify(reason, message);
    // The result counts what happened, `errors` tells it: "Troubleshoot load jobs".
    let told = job["status"]["errors"].as_array().into_iter().flatten();
    let mut told =
        told.filter_map(|one| Some((one["message"].as_str()?, one["location"].as_str())));
    if let Some((told, location)) = told.rfind(|(told, _)| *told != message) {
        if let Some(location) = location.filter(|location| !location.is_empty()) {
            error = error.with("file", location);
        }
        error = error.with("error", presentable(told));
    }
    if let Some(id) = job["jobReference"]["jobId"].as_str() {
        error = error.with("job", id);
    }
    Some(error)
}

/// A message without the values that it quotes: they are rows of somebody.
///
/// It quotes them as `Could not parse 'x' as INT64`, as `Invalid date: "x"`, as `Field: n; Value: x` and as `Invalid NUMERIC
/// value: x`.
fn presentable(message: &str) -> String {
    let mut text = without_quoted('"', &without_quoted('\'', message));
    for mark in ["Value: ", "value: "] {
        if let Some(at) = text.find(mark) {
            text.truncate(at + mark.len());
            text.push('…');
        }
    }
    text
}

/// Between quotes stand values, and names at times: those are in the context of the error, too.
fn without_quoted(quote: char, message: &str) -> String {
    let parts = message.split(quote).enumerate().map(|(index, part)| match index % 2 {
        0 => part.to_owned(),
        _ if is_name(part) => format!("{quote}{part}{quote}"),
        _ => format!("{quote}…{quote}"),
    });
    parts.collect()
}

/// Whether a text in quotes is a column, table, project or object, as far as its form tells: values that look so, too,
/// are short words.
fn is_name(text: &str) -> bool {
    text.starts_with("gs://") || text.starts_with("projects/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_answer_means_is_its_reason_or_its_status() {
        let of = |status: u16, reason: &str, message: &str| {
            let body = json!({"error": {"message": message, "errors": [{"reason": reason}]}});
            classify_answer(status, &body).kind()
        };
        assert_eq!(of(403, "rateLimitExceeded", "x"), ErrorKind::Transient);
        assert_eq!(of(403, "quotaExceeded", "x"), ErrorKind::Transient);
        assert_eq!(of(403, "accessDenied", "x"), ErrorKind::Configuration);
        assert_eq!(of(403, "somethingNew", "x"), ErrorKind::Configuration);
        assert_eq!(of(429, "", ""), ErrorKind::Transient);
        assert_eq!(of(503, "", ""), ErrorKind::OutcomeUnknown);
        assert_eq!(of(401, "authError", ""), ErrorKind::Configuration);
        assert_eq!(of(400, "somethingNew", "x"), ErrorKind::Terminal);
        let conflict = "Transaction is aborted due to concurrent update against table d.t.";
        assert_eq!(of(400, "invalidQuery", conflict), ErrorKind::Transient);
        assert_eq!(classify_answer(502, &Value::Null).kind(), ErrorKind::OutcomeUnknown);
    }

    #[test]
    fn a_job_that_failed_says_in_which_file_and_why_and_shows_no_value() {
        let job = json!({
            "jobReference": {"jobId": "transload_1_a0"},
            "status": {
                "state": "DONE",
                "errorResult": {"reason": "invalid", "message": "JSON table encountered too many errors, giving up. Rows: 2; errors: 1."},
                "errors": [
                    {"reason": "invalid", "message": "JSON table encountered too many errors, giving up. Rows: 2; errors: 1."},
                    {"reason": "invalid", "location": "gs://lake/t/1.jsonl", "message": "Error while reading data, error message: JSON parsing error in row starting at position 17: Could not convert value to integer. Field: n; Value: canary"},
                ],
            },
        });
        let error = classify_job(&job).unwrap();
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert!(!format!("{error:?}").contains("canary"));
        insta::assert_snapshot!(format!("{error:?}"), @r"
        BigQuery refused (reason: invalid, file: gs://lake/t/1.jsonl, error: Error while reading data, error message: JSON parsing error in row starting at position 17: Could not convert value to integer. Field: n; Value: …, job: transload_1_a0)
          because: JSON table encountered too many errors, giving up. Rows: 2; errors: 1.
        ");
        assert!(classify_job(&json!({"status": {"state": "DONE"}})).is_none());
    }

    #[test]
    fn values_are_taken_out_of_messages() {
        for (message, shown) in [
            (
                "Could not parse 'can''ary' as INT64 for field n",
                "Could not parse '…''…' as INT64 for field n",
            ),
            (
                r#"invalid date field format: "canary", expected"#,
                r#"invalid date field format: "…", expected"#,
            ),
            ("Invalid NUMERIC value: 1234.5", "Invalid NUMERIC value: …"),
            ("Not found: URI 'gs://lake/x'", "Not found: URI 'gs://lake/x'"),
        ] {
            assert_eq!(presentable(message), shown);
        }
    }
}
