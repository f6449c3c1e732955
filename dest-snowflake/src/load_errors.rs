//! Why a COPY failed: Snowflake says it in its message, in lines that people read.
//!
//! Source: Snowflake documentation, "COPY INTO `<table>`", ON_ERROR, and "Troubleshooting bulk data loads".

use transload_core::{Error, ErrorKind};

/// Adds what the message of a COPY says of file, line, column, value and reason. The value goes to whoever asked for the
/// load, in this error and nowhere else.
pub(crate) fn explain(mut error: Error, message: &str) -> Error {
    let reason = message.lines().next().unwrap_or_default().trim();
    let Some(place) = message.lines().find(|line| line.trim_start().starts_with("File '")) else {
        return error;
    };
    if error.kind() != ErrorKind::BadData {
        error = error.with_kind(ErrorKind::BadData);
    }
    let place = place.trim_start();
    let file = place.strip_prefix("File '").and_then(|rest| rest.rsplit_once("', line "));
    if let Some((file, line)) = file {
        let line: String = line.chars().take_while(char::is_ascii_digit).collect();
        error = error.with("file", file).with("line", line);
    }
    if let Some(column) = message.lines().find_map(column_of) {
        error = error.with("column", column);
    }
    if let Some((first, last)) = reason.find('\'').zip(reason.rfind('\''))
        && first < last
    {
        error = error.with("value", &reason[first + 1..last]);
        error = error.with("reason", format!("{}…{}", &reason[..first], &reason[last + 1..]));
    } else {
        error = error.with("reason", reason);
    }
    error.with_hint(
        "correct the value at its source, or give the column a type that holds it, and load again",
    )
}

/// The column in `Row 3, column "PLAYERS"["ELO":2]`.
fn column_of(line: &str) -> Option<&str> {
    let (_, place) = line.trim_start().strip_prefix("Row ")?.split_once(", column ")?;
    let (column, _) = place.split_once("[\"")?.1.rsplit_once("\":")?;
    Some(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_error_is_told_by_file_line_column_value_and_reason() {
        let message = "Numeric value 'it's CANARY' is not recognized\n  File 'd/p/1/t/000001-ab.jsonl.gz', line 3, \
                       character 17\n  Row 3, column \"PLAYERS\"[\"ELO\":2]\n  If you would like to continue loading \
                       when an error is encountered, use other values such as 'SKIP_FILE' or 'CONTINUE' for the \
                       ON_ERROR option.";
        let error = explain(Error::new(ErrorKind::Terminal, "Snowflake refused"), message);
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert_eq!(
            error.to_string(),
            "Snowflake refused (file: d/p/1/t/000001-ab.jsonl.gz, line: 3, column: ELO, value: it's CANARY, \
             reason: Numeric value … is not recognized)"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn an_error_without_a_place_stays_as_it_is() {
        let error =
            explain(Error::new(ErrorKind::Terminal, "Snowflake refused"), "Table 'T' is gone");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Terminal, "Snowflake refused")
        );
        let no_value = explain(
            Error::new(ErrorKind::BadData, "Snowflake refused"),
            "NULL result in a non-nullable column\n  File 'f', line 2, character 1\n  Row 2, column \"T\"[\"A\":1]",
        );
        assert_eq!(no_value.context("reason"), Some("NULL result in a non-nullable column"));
        assert_eq!((no_value.context("line"), no_value.context("value")), (Some("2"), None));
    }
}
