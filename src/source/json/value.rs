//! Finding the end of a JSON value without looking at what it holds. Nothing recurs: a value may be nested however deep.

use memchr::memchr3;

/// Where a scanner stands in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The present line, from 1.
    pub(super) line: u64,
    /// Where it begins in the buffer; less than 0 where its beginning is gone.
    line_start: i64,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, line_start: 0 }
    }
}

impl Position {
    /// Tells of a byte at this place in the buffer.
    pub(super) fn pass(&mut self, byte: u8, at: usize) {
        if byte == b'\n' {
            self.line += 1;
            self.line_start = at as i64 + 1;
        }
    }

    /// The byte in the present line, from 1.
    pub(super) fn column(&self, at: usize) -> u64 {
        (at as i64 - self.line_start + 1) as u64
    }

    /// Tells that the first bytes of the buffer were taken away.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.line_start -= bytes as i64;
    }
}

/// How a value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With the bracket that closes the first one.
    Brackets,
    /// With its quote.
    Text,
    /// Before a blank, a comma or a bracket.
    Word,
}

/// Looks for the end of one value, block by block.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueEnd {
    pub(super) kind: Kind,
    begun: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl ValueEnd {
    /// A value that begins with this byte.
    pub(super) fn of(first: u8) -> Self {
        let kind = match first {
            b'{' | b'[' => Kind::Brackets,
            b'"' => Kind::Text,
            _ => Kind::Word,
        };
        Self { kind, begun: false, depth: 0, in_string: false, escaped: false }
    }

    /// Reads on from `at`, at first the first byte of the value. Returns whether `at` is behind its end now; else it is
    /// behind the buffer.
    pub(super) fn find(&mut self, buffer: &[u8], at: &mut usize, position: &mut Position) -> bool {
        while let Some(&byte) = buffer.get(*at) {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    position.pass(byte, *at);
                    *at += 1;
                    continue;
                }
                let Some(length) = memchr3(b'"', b'\\', b'\n', &buffer[*at..]) else {
                    *at = buffer.len();
                    return false;
                };
                *at += length;
                let byte = buffer[*at];
                position.pass(byte, *at);
                *at += 1;
                match byte {
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.kind == Kind::Text {
                            return true;
                        }
                    }
                    _ => {}
                }
                continue;
            }
            if self.kind == Kind::Word
                && self.begun
                && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}'))
            {
                return true;
            }
            self.begun = true;
            position.pass(byte, *at);
            *at += 1;
            match byte {
                b'"' if self.kind != Kind::Word => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 && self.kind == Kind::Brackets {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}
