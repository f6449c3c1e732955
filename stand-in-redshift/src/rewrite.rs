//! From Redshift's statements to PostgreSQL's.

use crate::sql::{Kind, Token, text, words};

/// Why a statement is not taken: an SQLSTATE and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The SQLSTATE.
    pub(crate) code: &'static str,
    /// What is said.
    pub(crate) message: String,
}

impl Refusal {
    /// A statement that Redshift cannot read.
    pub(crate) fn syntax(at: &str) -> Self {
        Self { code: "42601", message: format!("syntax error at or near \"{at}\"") }
    }

    /// A statement that Redshift can read and does not run.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self { code: "0A000", message: format!("{what} is not supported") }
    }
}

/// A statement for PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// Its text.
    pub(crate) sql: String,
    /// The types that must be there before: kind and bytes.
    pub(crate) types: Vec<(&'static str, u32)>,
}

/// Parameters of a session that PostgreSQL does not know.
const PARAMETERS: &[&str] = &[
    "enable_case_sensitive_identifier",
    "enable_case_sensitive_super_attribute",
    "json_parse_truncate_strings",
    "query_group",
];

/// What PostgreSQL takes and Redshift does not. Source: Amazon Redshift Database Developer Guide, "Amazon Redshift and
/// PostgreSQL" with the pages that it leads to, "ALTER TABLE" and "INSERT".
const UNSUPPORTED: &[&[&str]] = &[
    &["ON", "CONFLICT"],
    &["RETURNING"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["CREATE", "TRIGGER"],
    &["CREATE", "SEQUENCE"],
    &["ADD", "COLUMN", "IF"],
    &["DISTINCT", "ON"],
];

/// Rewrites a statement. Without `case_sensitive` names in quotes are folded, too.
///
/// # Errors
/// What Redshift would say to it.
pub(crate) fn rewrite(tokens: &[Token], case_sensitive: bool) -> Result<Rewritten, Refusal> {
    let significant = words(tokens);
    for pattern in UNSUPPORTED {
        let found = significant
            .windows(pattern.len())
            .any(|window| window.iter().zip(*pattern).all(|(token, word)| token.is(word)));
        if found {
            return Err(Refusal::unsupported(&pattern.join(" ")));
        }
    }
    let begins = |words: &[&str]| {
        words.len() <= significant.len()
            && significant.iter().zip(words).all(|(token, word)| token.is(word))
    };
    if begins(&["MERGE"]) {
        check_merge(&significant)?;
    }
    let mut tokens: Vec<Token> = tokens.to_vec();
    if !case_sensitive {
        for token in tokens.iter_mut().filter(|token| token.kind == Kind::Name) {
            token.text.make_ascii_lowercase();
        }
    }
    let mut types = Vec::new();
    if begins(&["SET"]) || begins(&["SHOW"]) || begins(&["RESET"]) {
        for token in &mut tokens {
            if PARAMETERS.iter().any(|parameter| token.is(parameter)) {
                token.text = format!("redshift.{}", token.text.to_ascii_lowercase());
            }
        }
    } else if begins(&["CREATE", "TABLE"])
        || begins(&["CREATE", "TEMP", "TABLE"])
        || begins(&["CREATE", "TEMPORARY", "TABLE"])
        || begins(&["ALTER", "TABLE"])
    {
        tokens = without_attributes(&tokens);
        tokens = with_types(&tokens, &mut types)?;
    }
    Ok(Rewritten { sql: text(&tokens), types })
}

/// Guide, "MERGE": one clause for rows that match and one for those that do not, neither with a condition.
fn check_merge(significant: &[&Token]) -> Result<(), Refusal> {
    let has = |pattern: &[&str]| {
        significant
            .windows(pattern.len())
            .filter(|window| window.iter().zip(pattern).all(|(token, word)| token.is(word)))
            .count()
    };
    if has(&["REMOVE", "DUPLICATES"]) == 1 {
        return Err(Refusal::unsupported("the stand-in: MERGE … REMOVE DUPLICATES"));
    }
    if has(&["MATCHED", "AND"]) > 0 || has(&["DO", "NOTHING"]) > 0 {
        return Err(Refusal::syntax("AND"));
    }
    if has(&["WHEN", "MATCHED", "THEN"]) != 1 || has(&["WHEN", "NOT", "MATCHED", "THEN"]) != 1 {
        return Err(Refusal::syntax("WHEN"));
    }
    Ok(())
}

/// The statement without what says where rows lie, and without keys, which Redshift keeps and does not enforce.
fn without_attributes(tokens: &[Token]) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let length = attribute(&tokens[at..]);
        if length == 0 {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += length;
        // A key of a table stands between commas, of which one goes.
        let before = kept.iter().rposition(|token| token.kind != Kind::Blank);
        let after = tokens[at..].iter().find(|token| token.kind != Kind::Blank);
        if let Some(before) = before
            && kept[before].is(",")
            && after.is_none_or(|after| after.is(")") || after.is(","))
        {
            kept.truncate(before);
        }
    }
    kept
}

/// How many tokens an attribute has that begins here: 0 where none does.
fn attribute(tokens: &[Token]) -> usize {
    let mut cursor = Cursor { tokens, at: 0 };
    let value = [&["ENCODE"][..], &["DISTSTYLE"], &["BACKUP"]];
    if value.iter().any(|words| cursor.take(words)) {
        cursor.next();
        return cursor.at;
    }
    let sort = cursor.take(&["COMPOUND", "SORTKEY"])
        || cursor.take(&["INTERLEAVED", "SORTKEY"])
        || cursor.take(&["SORTKEY"]);
    if sort {
        let _ = cursor.take(&["AUTO"]) || cursor.parentheses();
        return cursor.at;
    }
    if cursor.take(&["DISTKEY"]) || cursor.take(&["PRIMARY", "KEY"]) || cursor.take(&["UNIQUE"]) {
        cursor.parentheses();
        return cursor.at;
    }
    if cursor.take(&["IDENTITY"]) {
        return 0;
    }
    0
}

/// A place among tokens.
struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<&Token> {
        while self.tokens.get(self.at)?.kind == Kind::Blank {
            self.at += 1;
        }
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    /// Goes past these words, if they are next. It must begin on one of them, not on a blank.
    fn take(&mut self, words: &[&str]) -> bool {
        let begin = self.at;
        if begin == 0 && self.tokens.first().is_none_or(|token| token.kind == Kind::Blank) {
            return false;
        }
        for word in words {
            if !self.next().is_some_and(|token| token.is(word)) {
                self.at = begin;
                return false;
            }
        }
        true
    }

    /// Goes past what stands in parentheses, if that is next.
    fn parentheses(&mut self) -> bool {
        let begin = self.at;
        let mut depth = 0;
        while let Some(token) = self.next() {
            if token.is("(") {
                depth += 1;
            } else if token.is(")") {
                depth -= 1;
            }
            if depth == 0 {
                let found = token.is(")");
                if !found {
                    self.at = begin;
                }
                return found;
            }
        }
        self.at = begin;
        false
    }
}

/// The statement with its texts and bytes as types that count bytes.
fn with_types(
    tokens: &[Token],
    types: &mut Vec<(&'static str, u32)>,
) -> Result<Vec<Token>, Refusal> {
    const SIZED: &[(&[&str], &str, u32, u32)] = &[
        (&["CHARACTER", "VARYING"], "character varying", 256, 65_535),
        (&["VARCHAR"], "character varying", 256, 65_535),
        (&["NVARCHAR"], "character varying", 256, 65_535),
        (&["TEXT"], "character varying", 256, 65_535),
        (&["BINARY", "VARYING"], "binary varying", 64_000, 16_777_216),
        (&["VARBYTE"], "binary varying", 64_000, 16_777_216),
        (&["VARBINARY"], "binary varying", 64_000, 16_777_216),
    ];
    let mut kept = Vec::new();
    let mut at = 0;
    'tokens: while at < tokens.len() {
        for (words, kind, default, most) in SIZED {
            let mut cursor = Cursor { tokens: &tokens[at..], at: 0 };
            if !cursor.take(words) {
                continue;
            }
            let begin = cursor.at;
            let bytes = match cursor.parentheses() {
                false => *default,
                true => {
                    let inside = text(&tokens[at + begin..at + cursor.at]);
                    let inside = inside.trim().trim_start_matches('(').trim_end_matches(')').trim();
                    match inside.eq_ignore_ascii_case("max") {
                        true => *most,
                        false => inside.parse().map_err(|_| Refusal::syntax(inside))?,
                    }
                }
            };
            if bytes == 0 || bytes > *most {
                return Err(Refusal {
                    code: "22023",
                    message: format!("length for type {kind} cannot exceed {most}"),
                });
            }
            types.push((kind, bytes));
            kept.push(Token::new(Kind::Name, format!("redshift.\"{kind}({bytes})\"")));
            at += cursor.at;
            continue 'tokens;
        }
        if tokens[at].is("SUPER") {
            kept.push(Token::new(Kind::Name, "redshift.super"));
        } else {
            kept.push(tokens[at].clone());
        }
        at += 1;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statements;

    fn of(sql: &str) -> Result<Rewritten, Refusal> {
        rewrite(&statements(sql)[0], false)
    }

    #[test]
    fn tables_lose_what_only_redshift_has() {
        let made = of(
            "CREATE TABLE IF NOT EXISTS \"Chess\".\"players\" (\n  \"Id\" bigint ENCODE az64 NOT NULL PRIMARY KEY,\n  \
             name character varying(10) DISTKEY, more varchar(max), raw VARBYTE, state super,\n  \
             PRIMARY KEY (\"id\"), UNIQUE(name)\n) DISTSTYLE KEY DISTKEY(\"id\") COMPOUND SORTKEY(\"a\", \"b\")",
        )
        .unwrap();
        assert_eq!(
            made.sql.split_whitespace().collect::<Vec<_>>().join(" "),
            "CREATE TABLE IF NOT EXISTS \"chess\".\"players\" ( \"id\" bigint NOT NULL , name \
             redshift.\"character varying(10)\" , more redshift.\"character varying(65535)\", raw \
             redshift.\"binary varying(64000)\", state redshift.super )"
        );
        assert_eq!(
            made.types,
            [("character varying", 10), ("character varying", 65_535), ("binary varying", 64_000)]
        );
        assert!(of("CREATE TABLE t (a varchar(65536))").is_err());
    }

    #[test]
    fn other_statements_keep_their_text_but_for_the_case_of_names() {
        let sql = "SELECT 'A \\' \"B\"', \"Col\" FROM \"T\" WHERE text = 'varchar(max) ENCODE x'";
        let kept = "SELECT 'A \\' \"B\"', \"col\" FROM \"t\" WHERE text = 'varchar(max) ENCODE x'";
        assert_eq!(of(sql).unwrap().sql, kept);
        assert_eq!(rewrite(&statements(sql)[0], true).unwrap().sql, sql);
        assert_eq!(
            of("SET ENABLE_CASE_SENSITIVE_IDENTIFIER TO true").unwrap().sql,
            "SET redshift.enable_case_sensitive_identifier TO true"
        );
    }

    #[test]
    fn what_redshift_does_not_have_is_refused() {
        for sql in [
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "DELETE FROM t RETURNING a",
            "CREATE UNIQUE INDEX i ON t (a)",
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
        ] {
            assert!(of(sql).is_err(), "{sql}");
        }
        let merge = "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET a = s.a \
                     WHEN NOT MATCHED THEN INSERT VALUES (s.a)";
        assert_eq!(of(merge).unwrap().sql, merge);
        assert!(of("DELETE FROM t WHERE a = ' ON CONFLICT '").is_ok());
    }
}
