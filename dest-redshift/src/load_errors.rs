//! Why a COPY failed: Redshift keeps that in tables, apart from the transaction.

use transload_core::Error;
use transload_core::sql::Row;

/// The statements that return why the newest COPY of this session failed: file, line, column, value, reason, code. The
/// first has the value and is there on provisioned clusters only ("STL_LOAD_ERRORS", Amazon Redshift Database Developer
/// Guide), the second is there everywhere ("SYS_LOAD_ERROR_DETAIL").
pub(crate) fn questions(session: i64) -> [String; 2] {
    [
        format!(
            "SELECT TRIM(filename), line_number, TRIM(colname), TRIM(raw_field_value), TRIM(err_reason), err_code \
             FROM stl_load_errors WHERE session = {session} ORDER BY starttime DESC LIMIT 1"
        ),
        format!(
            "SELECT TRIM(file_name), line_number, TRIM(column_name), NULL, TRIM(error_message), error_code \
             FROM sys_load_error_detail WHERE session_id = {session} ORDER BY start_time DESC LIMIT 1"
        ),
    ]
}

/// Adds what such a row says. The value goes to whoever asked for the load, in this error and nowhere else.
pub(crate) fn explain(mut error: Error, row: Row) -> Error {
    for (name, value) in
        ["file", "line", "column", "value", "reason", "load error"].into_iter().zip(row)
    {
        match value.as_deref().map(str::trim) {
            None | Some("") => {}
            Some(value) => error = error.with(name, value),
        }
    }
    error.with_hint(
        "correct the value at its source, or give the column a type that holds it, and load again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::ErrorKind;

    #[test]
    fn a_load_error_is_told_by_file_line_column_value_and_reason() {
        let row = ["s3://b/k.jsonl.gz ", "3", "elo", "CANARY", "Invalid digit", "1207"];
        let row = row.map(|text| Some(text.to_owned())).to_vec();
        let error = explain(Error::new(ErrorKind::BadData, "Redshift refused"), row);
        assert_eq!(
            error.to_string(),
            "Redshift refused (file: s3://b/k.jsonl.gz, line: 3, column: elo, value: CANARY, reason: Invalid digit, \
             load error: 1207)"
        );
        assert!(error.hint().is_some());
        let partial = vec![None, Some("0".into()), Some(" ".into()), None, Some("x".into()), None];
        let error = explain(Error::new(ErrorKind::BadData, "Redshift refused"), partial);
        assert_eq!(error.to_string(), "Redshift refused (line: 0, reason: x)");
    }

    #[test]
    fn the_questions_are_for_one_session() {
        assert!(questions(7).iter().all(|question| question.contains("= 7 ORDER BY")));
    }
}
