//! From the text of a row to simd-json's tape, and from a node of the tape back to its place in the text.

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};
use transload_core::{Error, ErrorKind};

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
    /// Parses a row and hands its nodes to `read`.
    pub(super) fn parse<T>(
        &mut self,
        row: &[u8],
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
            Err(error) => Err(explain(row, &error)),
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
fn explain(row: &[u8], error: &simd_json::Error) -> (Error, Offset) {
    if let Err(error) = std::str::from_utf8(row) {
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
            let refused = not_json.with("code", code_of(&reason)).with("reason", &reason);
            (
                if row.first() == Some(&RECORD_SEPARATOR) {
                    refused.with_hint(
                        "this is a JSON text sequence (RFC 7464): take out its record separators, \
                     for example with tr -d '\\036'",
                    )
                } else {
                    refused
                },
                offset,
            )
        }
        Ok(()) => {
            let (code, reason) = match error.error() {
                ErrorType::InvalidNumber => ("E_NUMBER_RANGE", "a number is too large".to_owned()),
                other => ("E_JSON_SYNTAX", format!("{other:?}")),
            };
            (not_json.with("code", code).with("reason", reason), Offset(error.index()))
        }
    }
}

/// What stands before each text of a JSON text sequence.
const RECORD_SEPARATOR: u8 = 0x1e;

/// The code of what serde_json says.
fn code_of(reason: &str) -> &'static str {
    if reason.starts_with("EOF") {
        "E_JSON_EOF"
    } else if reason.contains("trailing characters") {
        "E_JSON_TRAILING"
    } else if reason.contains("control character") {
        "E_JSON_CTRL"
    } else if reason.contains("surrogate") || reason.contains("hex escape") {
        "E_JSON_SURROGATE"
    } else if reason.contains("out of range") {
        "E_NUMBER_RANGE"
    } else {
        "E_JSON_SYNTAX"
    }
}
