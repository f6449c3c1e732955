//! Text of SQL as tokens, as Redshift reads it: a backslash escapes in every literal.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word or a number.
    Word,
    /// A name in double quotes.
    Name,
    /// A literal in single quotes.
    Literal,
    /// A character that is none of these.
    Mark,
    /// Blanks and comments.
    Blank,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its text.
    pub(crate) text: String,
}

impl Token {
    /// A token.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Whether it is this word.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text.eq_ignore_ascii_case(word)
    }

    /// The value of a literal.
    pub(crate) fn value(&self) -> Option<String> {
        if self.kind != Kind::Literal {
            return None;
        }
        let inner = &self.text[1..self.text.len() - 1];
        let mut value = String::new();
        let mut chars = inner.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some('n')) => {
                    chars.next();
                    value.push('\n');
                }
                ('\\', Some('r')) => {
                    chars.next();
                    value.push('\r');
                }
                ('\\', Some('t')) => {
                    chars.next();
                    value.push('\t');
                }
                ('\\', Some(_)) | ('\'', Some('\'')) => value.extend(chars.next()),
                _ => value.push(c),
            }
        }
        Some(value)
    }
}

/// Takes a text apart. Everything is kept: joined, the tokens are the text.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            '\'' => (Kind::Literal, quoted(rest, '\'', true)),
            '"' => (Kind::Name, quoted(rest, '"', false)),
            c if c.is_whitespace() => {
                (Kind::Blank, rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()))
            }
            '-' if rest.starts_with("--") => {
                (Kind::Blank, rest.find('\n').map_or(rest.len(), |at| at + 1))
            }
            '/' if rest.starts_with("/*") => {
                (Kind::Blank, rest.find("*/").map_or(rest.len(), |at| at + 2))
            }
            c if is_word(c) => (Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            c => (Kind::Mark, c.len_utf8()),
        };
        let (text, after) = rest.split_at(length);
        tokens.push(Token::new(kind, text));
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// The length of what stands in quotes, with them; doubled quotes do not end it.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return at + c.len_utf8(),
            }
        }
    }
    text.len()
}

/// The statements of a text, without the semicolons and without those that are empty.
pub(crate) fn statements(sql: &str) -> Vec<Vec<Token>> {
    let all = tokens(sql);
    all.split(|token| token.is(";"))
        .filter(|part| part.iter().any(|token| token.kind != Kind::Blank))
        .map(<[Token]>::to_vec)
        .collect()
}

/// The tokens that mean something.
pub(crate) fn words(tokens: &[Token]) -> Vec<&Token> {
    tokens.iter().filter(|token| token.kind != Kind::Blank).collect()
}

/// The text of tokens.
pub(crate) fn text(tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// A text as a literal of PostgreSQL, in which nothing escapes.
pub(crate) fn plain_literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_tokens_are_the_text_and_literals_have_values() {
        let sql = "SELECT 'it''s \\' \\\\', \"a\"\"b;\" /* ; */ -- ;\nFROM t; ;\nBEGIN";
        assert_eq!(text(&tokens(sql)), sql);
        let statements = statements(sql);
        assert_eq!(statements.len(), 2);
        let literal = statements[0].iter().find_map(Token::value).unwrap();
        assert_eq!(literal, "it's ' \\");
        assert_eq!(words(&statements[1])[0].text, "BEGIN");
    }
}
