//! From the text of a row to simd-json's tape, and from a node of the tape back to its place in the text.

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};
use transload_core::{Error, ErrorKind};

use super::coerce::WIDE_DIGITS;

/// How deep objects and lists may stand in one another.
pub(super) const MAX_DEPTH: usize = 127;

/// The parser's memory, used again for each row.
pub(crate) struct Parser {
    buffers: Buffers,
    tape: Option<Tape<'static>>,
    /// The row with the padding that the parser asks for. It unescapes strings in place, so the row itself stays whole:
    /// for errors, and for being read again.
    text: Vec<u8>,
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            buffers: Buffers::with_max_depth(4096, MAX_DEPTH),
            tape: Some(Tape::null()),
            text: Vec::new(),
        }
    }
}

/// A place in the text of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset(pub(super) usize);

impl Parser {
    /// Parses a row and hands its nodes to `read`. `is_cut` says that the input ends within the row's line, so that more
    /// of it may be missing.
    pub(super) fn parse<T>(
        &mut self,
        row: &[u8],
        is_cut: bool,
        read: impl FnOnce(&[Node<'_>]) -> T,
    ) -> Result<T, (Error, Offset)> {
        self.text.clear();
        self.text.extend_from_slice(row);
        self.text.resize(row.len() + INPUT_PADDING, b' ');
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let result =
            simd_json::fill_tape_padded(&mut self.text, row.len(), &mut self.buffers, &mut tape);
        let answer = match result {
            Ok(()) => Ok(read(&tape.0)),
            Err(error) => Err(explain(row, is_cut, &error)),
        };
        self.tape = Some(tape.reset());
        answer
    }

    /// Where the node with this index begins in the row that was parsed last.
    pub(super) fn offset_of(&self, node: usize, row: &[u8]) -> Offset {
        // Each node of the tape comes from one structural character; these come from none.
        let begins_node = |offset: &&u32| {
            row.get(**offset as usize)
                .is_some_and(|byte| !matches!(byte, b'}' | b']' | b':' | b','))
        };
        Offset(
            self.buffers
                .structural_indexes()
                .iter()
                .filter(begins_node)
                .nth(node)
                .map_or(0, |at| *at as usize),
        )
    }
}

/// Why a row is not JSON. simd-json knows its place only roughly, so serde_json reads the row again.
fn explain(row: &[u8], is_cut: bool, error: &simd_json::Error) -> (Error, Offset) {
    if let Err(error) = std::str::from_utf8(row) {
        if is_cut && error.error_len().is_none() {
            let refused =
                Error::new(ErrorKind::BadData, "the file ends in the middle of a character")
                    .with("code", "E_JSON_EOF")
                    .with_hint(CUT_SHORT);
            return (refused, Offset(error.valid_up_to()));
        }
        let refused = Error::new(ErrorKind::BadData, "the row is not UTF-8")
            .with("code", "E_UTF8")
            .with_hint("save the file as UTF-8, or convert it with iconv");
        return (refused, Offset(error.valid_up_to()));
    }
    if matches!(error.error(), ErrorType::DepthLimitExceeded) {
        let refused = Error::new(ErrorKind::BadData, "the row is nested too deeply")
            .with("code", "E_JSON_DEPTH")
            .with("limit", MAX_DEPTH)
            .with_hint("flatten the value before it is loaded, or give it as a text");
        return (refused, Offset(error.index()));
    }
    let not_json = Error::new(ErrorKind::BadData, "the row is not JSON");
    // Looking at a row without keeping it does not look into its strings.
    let reason = match serde_json::from_slice::<serde::de::IgnoredAny>(row) {
        Ok(_) => serde_json::from_slice::<serde_json::Value>(row).map(drop),
        Err(reason) => Err(reason),
    };
    match reason {
        Err(reason) => {
            let line_start: usize = row
                .split_inclusive(|byte| *byte == b'\n')
                .take(reason.line().saturating_sub(1))
                .map(<[u8]>::len)
                .sum();
            // Column 0 is the line end before.
            let offset = Offset((line_start + reason.column()).saturating_sub(1));
            // The place is given in the terms of the file, not in those of the row.
            let text = reason.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
            let code = code_of(&reason, row.get(offset.0).copied(), is_cut);
            if let ("E_NUMBER_RANGE", Some(at)) = (code, wide_integer(row)) {
                return (too_many_digits(), Offset(at));
            }
            let refused = not_json.with("code", code).with("reason", &reason);
            let refused = if row.first() == Some(&RECORD_SEPARATOR) {
                refused.with_hint(
                    "this is a JSON text sequence (RFC 7464): take out its record separators, for example with \
                     tr -d '\\036'",
                )
            } else if code == "E_JSON_EOF" {
                refused.with_hint(CUT_SHORT)
            } else {
                refused
            };
            (refused, offset)
        }
        Ok(()) => match (error.error(), wide_integer(row)) {
            (ErrorType::InvalidNumber, Some(at)) => (too_many_digits(), Offset(at)),
            (ErrorType::InvalidNumber, None) => (
                not_json.with("code", "E_NUMBER_RANGE").with("reason", "a number is too large"),
                Offset(error.index()),
            ),
            (other, _) => (
                not_json.with("code", "E_JSON_SYNTAX").with("reason", format!("{other:?}")),
                Offset(error.index()),
            ),
        },
    }
}

/// An integer that neither a bigint nor a decimal holds.
pub(super) fn too_many_digits() -> Error {
    Error::new(ErrorKind::BadData, "an integer has more digits than a decimal")
        .with("code", "E_DECIMAL_RANGE")
        .with("digits of a decimal", WIDE_DIGITS)
        .with_hint("give the column the type text in the schema, or the number as a text")
}

/// Where the first integer of a row begins that has more digits than a decimal. The row is JSON.
fn wide_integer(row: &[u8]) -> Option<usize> {
    let (mut at, mut in_string) = (0, false);
    while let Some(byte) = row.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'-' | b'0'..=b'9' if !in_string => {
                let number = &row[at..];
                let length = number
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
                    })
                    .unwrap_or(number.len());
                let digits = number[..length].strip_prefix(b"-").unwrap_or(&number[..length]);
                if digits.len() > WIDE_DIGITS as usize && digits.iter().all(u8::is_ascii_digit) {
                    return Some(at);
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

const CUT_SHORT: &str = "the file may be cut short: compare its size with that at its source";

/// What stands before each text of a JSON text sequence.
const RECORD_SEPARATOR: u8 = 0x1e;

/// The code of what serde_json says of the byte at which it stopped.
fn code_of(reason: &str, byte: Option<u8>, is_cut: bool) -> &'static str {
    if reason.starts_with("EOF") {
        // A line that has its end is whole: what is missing in it was never written.
        if is_cut { "E_JSON_EOF" } else { "E_JSON_SYNTAX" }
    } else if reason.contains("trailing characters") {
        // Another value, or a bracket too many.
        if matches!(byte, Some(b'}' | b']')) { "E_JSON_SYNTAX" } else { "E_JSON_TRAILING" }
    } else if reason.contains("control character")
        || byte.is_some_and(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
    {
        "E_JSON_CTRL"
    } else if reason.contains("surrogate") || reason.contains("hex escape") {
        "E_JSON_SURROGATE"
    } else if reason.contains("out of range") {
        "E_NUMBER_RANGE"
    } else {
        "E_JSON_SYNTAX"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(row: &[u8], is_cut: bool) -> (String, usize) {
        let (error, offset) = Parser::default().parse(row, is_cut, |_| ()).unwrap_err();
        (error.context("code").unwrap_or_default().to_owned(), offset.0)
    }

    #[test]
    fn what_is_wrong_with_a_row_has_a_code_and_a_place() {
        for (row, code, offset) in [
            (&br#"{"id":2"#[..], "E_JSON_SYNTAX", 6),
            (br#"{"id":2}}"#, "E_JSON_SYNTAX", 8),
            (br#"{"id":2}]"#, "E_JSON_SYNTAX", 8),
            (br#"{"id":1}{"id":2}"#, "E_JSON_TRAILING", 8),
            (br#"{"id":1} true"#, "E_JSON_TRAILING", 9),
            (b"{\"id\":2,\0\"v\":1}", "E_JSON_CTRL", 8),
            (b"\x1e{\"id\":2}", "E_JSON_CTRL", 0),
            (b"{\"v\":\"a\tb\"}", "E_JSON_CTRL", 6),
            (b"{\"v\":\"\xe2\x82", "E_UTF8", 6),
            (br#"{"v":"\ud800"}"#, "E_JSON_SURROGATE", 12),
            (br#"{"v":1e999}"#, "E_NUMBER_RANGE", 9),
        ] {
            assert_eq!(fault(row, false), (code.to_owned(), offset), "{}", row.escape_ascii());
        }
    }

    #[test]
    fn a_row_at_which_the_file_ends_may_be_cut_short() {
        for (row, offset) in
            [(&br#"{"id":2"#[..], 6), (br#"{"v":"\u00"#, 9), (b"{\"v\":\"\xe2\x82", 6)]
        {
            assert_eq!(fault(row, true), ("E_JSON_EOF".to_owned(), offset));
        }
        assert_eq!(fault(b"{\"v\":\"\xe2\x82\"}", true).0, "E_UTF8", "the row goes on behind it");
    }

    #[test]
    fn integers_of_too_many_digits_are_found_outside_of_strings() {
        let digits = "9".repeat(39);
        let row = format!(r#"{{"a":"{digits}\"","b":1.{digits},"c":[-{digits}1]}}"#);
        let at = row.find('[').unwrap() + 1;
        assert_eq!(fault(row.as_bytes(), false), ("E_DECIMAL_RANGE".to_owned(), at));
        let thousand = format!(r#"{{"n":{}}}"#, "7".repeat(1000));
        assert_eq!(fault(thousand.as_bytes(), false), ("E_DECIMAL_RANGE".to_owned(), 5));
        assert_eq!(wide_integer(format!(r#"{{"a":{}}}"#, &digits[1..]).as_bytes()), None);
    }
}
