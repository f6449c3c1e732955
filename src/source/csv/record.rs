//! Records and their fields, as RFC 4180 has them: a quote that opens stands at the very beginning of a field.

use memchr::{memchr, memchr_iter, memchr2};

/// What separates what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// A newline, before which a carriage return may stand; or a carriage return alone.
    pub(super) line_end: u8,
    /// Whether blanks around values are dropped.
    pub(super) trim: bool,
}

/// What stands in the buffer from a place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// A record, up to `end`; the next one begins at `next`.
    Record { end: usize, next: usize },
    /// A part of a record.
    Part,
    /// A part of a record, and a quote of it that is not closed.
    Open { at: usize },
}

/// A value as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Its bytes without the quotes around it.
    pub(super) raw: &'a [u8],
    pub(super) is_quoted: bool,
    /// The quote that stands twice in it where it stands once in the value.
    pub(super) doubled: Option<u8>,
}

/// Why a record is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    BlankBeforeQuote,
    TextBehindQuote,
    LineEnd,
}

impl Fault {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::BlankBeforeQuote => "a blank stands before a quote",
            Self::TextBehindQuote => "there is more behind the quote that closes a value",
            Self::LineEnd => "a line end of another kind stands in a value without quotes",
        }
    }
}

impl Dialect {
    fn is_blank(&self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t') && byte != self.delimiter
    }

    /// The record that begins at `start`.
    pub(super) fn record(&self, buffer: &[u8], start: usize, ended: bool) -> Scan {
        let line = memchr(self.line_end, &buffer[start..]).map(|length| start + length);
        let end = line.unwrap_or(buffer.len());
        let has_quote =
            self.quote.is_some_and(|quote| memchr(quote, &buffer[start..end]).is_some());
        if has_quote {
            return self.quoted_record(buffer, start, ended);
        }
        match line {
            Some(end) => self.record_to(buffer, start, end, end + 1),
            None if ended => self.record_to(buffer, start, end, end),
            None => Scan::Part,
        }
    }

    fn record_to(&self, buffer: &[u8], start: usize, end: usize, next: usize) -> Scan {
        let has_return = self.line_end == b'\n' && end > start && buffer[end - 1] == b'\r';
        Scan::Record { end: end - usize::from(has_return), next }
    }

    fn quoted_record(&self, buffer: &[u8], start: usize, ended: bool) -> Scan {
        let mut at = start;
        loop {
            if self.trim {
                at += buffer[at..].iter().take_while(|byte| self.is_blank(**byte)).count();
            }
            if buffer.get(at).is_some_and(|byte| Some(*byte) == self.quote) {
                match self.closing(buffer, at) {
                    Some(closing) => at = closing + 1,
                    None => return Scan::Open { at },
                }
            }
            match memchr2(self.delimiter, self.line_end, &buffer[at..]) {
                Some(length) if buffer[at + length] == self.delimiter => at += length + 1,
                Some(length) => {
                    return self.record_to(buffer, start, at + length, at + length + 1);
                }
                None if ended => return self.record_to(buffer, start, buffer.len(), buffer.len()),
                None => return Scan::Part,
            }
        }
    }

    /// The quote that closes the one at `at`. One at the very end of the buffer may be the first of two.
    fn closing(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let quote = self.quote?;
        let mut from = at + 1;
        loop {
            let found = from + memchr(quote, &bytes[from..])?;
            if bytes.get(found + 1) != Some(&quote) {
                return Some(found);
            }
            from = found + 2;
        }
    }

    /// The fields of a record.
    pub(super) fn fields<'a>(&self, record: &'a [u8]) -> Fields<'a> {
        let stray = if self.line_end == b'\n' { b'\r' } else { b'\n' };
        Fields {
            dialect: *self,
            record,
            at: Some(0),
            has_quote: self.quote.is_some_and(|quote| memchr(quote, record).is_some()),
            stray: memchr(stray, record).map(|_| stray),
        }
    }

    /// Whether a record is an empty line. In a file of one column, blanks are a value.
    pub(super) fn is_empty(&self, record: &[u8], columns: usize) -> bool {
        record.is_empty() || (columns > 1 && record.iter().all(|byte| self.is_blank(*byte)))
    }

    /// Line ends in a part of the input.
    pub(super) fn lines(&self, part: &[u8]) -> u64 {
        memchr_iter(self.line_end, part).count() as u64
    }
}

/// The fields of a record, or why it has none from there on.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    dialect: Dialect,
    record: &'a [u8],
    at: Option<usize>,
    has_quote: bool,
    stray: Option<u8>,
}

impl<'a> Fields<'a> {
    fn field(&mut self, start: usize) -> Result<Field<'a>, Fault> {
        let dialect = self.dialect;
        let blanks =
            || self.record[start..].iter().take_while(|byte| dialect.is_blank(**byte)).count();
        let mut from = start;
        if self.has_quote {
            let quote_at = start + blanks();
            if self.record.get(quote_at).copied() == dialect.quote {
                if quote_at == start || dialect.trim {
                    return self.quoted(quote_at);
                }
                self.end(start);
                return Err(Fault::BlankBeforeQuote);
            }
        }
        let mut end = self.end(start);
        if dialect.trim {
            while from < end && dialect.is_blank(self.record[from]) {
                from += 1;
            }
            while end > from && dialect.is_blank(self.record[end - 1]) {
                end -= 1;
            }
        }
        let raw = &self.record[from..end];
        match self.stray {
            Some(stray) if raw.contains(&stray) => Err(Fault::LineEnd),
            _ => Ok(Field { raw, is_quoted: false, doubled: None }),
        }
    }

    fn quoted(&mut self, at: usize) -> Result<Field<'a>, Fault> {
        let Some(closing) = self.dialect.closing(self.record, at) else {
            self.at = None;
            return Err(Fault::TextBehindQuote);
        };
        let end = self.end(closing + 1);
        let behind = &self.record[closing + 1..end];
        let is_clean = behind.iter().all(|byte| self.dialect.trim && self.dialect.is_blank(*byte));
        if !is_clean {
            return Err(Fault::TextBehindQuote);
        }
        let raw = &self.record[at + 1..closing];
        let doubled = self.dialect.quote.filter(|quote| memchr(*quote, raw).is_some());
        Ok(Field { raw, is_quoted: true, doubled })
    }

    /// The end of the field, from a place in it that no quote is behind; moves to the next.
    fn end(&mut self, from: usize) -> usize {
        match memchr(self.dialect.delimiter, &self.record[from..]) {
            Some(length) => {
                self.at = Some(from + length + 1);
                from + length
            }
            None => {
                self.at = None;
                self.record.len()
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at?;
        Some(self.field(start))
    }
}
