//! The text of a COPY.

use super::Failure;
use crate::rewrite::Refusal;
use crate::sql::{Kind, Token, words};

/// A COPY from S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The table as it is written, quoted or not.
    pub(crate) table: String,
    /// The columns, where they are listed.
    pub(crate) columns: Option<Vec<String>>,
    /// Where the files are.
    pub(crate) from: String,
    /// Who reads them.
    pub(crate) access: Access,
    /// The format.
    pub(crate) format: Format,
    /// Whether `from` is a list of files.
    pub(crate) manifest: bool,
    /// Whether files are compressed.
    pub(crate) gzip: bool,
    /// Whether last columns may be missing.
    pub(crate) fill: bool,
    /// Whether an empty text is NULL.
    pub(crate) empty_as_null: bool,
    /// Lines at the beginning of each file that are none.
    pub(crate) ignore_header: u64,
    /// Whether nested values and JSON of columnar files go into SUPER.
    pub(crate) serialize_to_json: bool,
}

/// Who reads the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A role: an ARN, or `default`.
    Role(String),
    /// Keys.
    Keys {
        /// The id.
        id: String,
        /// The secret.
        secret: String,
        /// The token of temporary ones.
        token: Option<String>,
    },
}

/// The format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Columnar.
    Parquet,
    /// Objects, by the names of their keys.
    Json,
    /// Comma-separated.
    Csv,
}

/// Options without a value that change nothing here.
const FLAGS: &[&str] = &["ROUNDEC", "TRUNCATECOLUMNS", "ACCEPTINVCHARS"];

/// What COPY takes with a columnar format. Source: Amazon Redshift Database Developer Guide, "COPY from columnar data
/// formats".
const COLUMNAR: &[&str] = &[
    "ACCEPTINVCHARS",
    "FILLRECORD",
    "FROM",
    "IAM_ROLE",
    "CREDENTIALS",
    "STATUPDATE",
    "MANIFEST",
    "EXPLICIT_IDS",
    "SERIALIZETOJSON",
    "FORMAT",
];

/// Reads a COPY.
///
/// # Errors
/// What Redshift would say to it.
pub(crate) fn parse(tokens: &[Token], case_sensitive: bool) -> Result<Copy, Refusal> {
    let mut reader = Reader { tokens: words(tokens), at: 0, case_sensitive };
    reader.expect("COPY")?;
    let table = reader.name()?;
    let columns = if reader.take("(") { Some(reader.list()?) } else { None };
    reader.expect("FROM")?;
    let from = reader.literal()?;
    let mut copy = Copy {
        table,
        columns,
        from,
        access: Access::Role(String::new()),
        format: Format::Csv,
        manifest: false,
        gzip: false,
        fill: false,
        empty_as_null: false,
        ignore_header: 0,
        serialize_to_json: false,
    };
    let mut format = None;
    let mut keys = (None, None, None);
    let mut seen: Vec<String> = Vec::new();
    while let Some(token) = reader.next() {
        let word = token.text.to_ascii_uppercase();
        match word.as_str() {
            "WITH" => continue,
            "IAM_ROLE" => {
                copy.access = match reader.take("DEFAULT") {
                    true => Access::Role("default".into()),
                    false => Access::Role(reader.literal()?),
                };
            }
            "CREDENTIALS" => {
                reader.take("AS");
                copy.access = credentials(&reader.literal()?)?;
            }
            "ACCESS_KEY_ID" => keys.0 = Some(reader.literal()?),
            "SECRET_ACCESS_KEY" => keys.1 = Some(reader.literal()?),
            "SESSION_TOKEN" => keys.2 = Some(reader.literal()?),
            "MANIFEST" => copy.manifest = true,
            "FORMAT" => {
                reader.take("AS");
                continue;
            }
            "PARQUET" => format = Some(Format::Parquet),
            "JSON" => {
                reader.take("AS");
                let rule = reader.literal()?;
                if rule != "auto" {
                    return Err(Refusal::unsupported("the stand-in: JSON paths"));
                }
                format = Some(Format::Json);
            }
            "CSV" => format = Some(Format::Csv),
            "GZIP" => copy.gzip = true,
            "FILLRECORD" => copy.fill = true,
            "EMPTYASNULL" => copy.empty_as_null = true,
            "SERIALIZETOJSON" => copy.serialize_to_json = true,
            "REGION" | "DATEFORMAT" | "TIMEFORMAT" => {
                reader.take("AS");
                reader.literal()?;
            }
            "IGNOREHEADER" => {
                reader.take("AS");
                copy.ignore_header = reader.number()?;
            }
            "MAXERROR" | "COMPROWS" => {
                reader.take("AS");
                reader.number()?;
            }
            "COMPUPDATE" | "STATUPDATE" => {
                let _ = reader.take("ON") || reader.take("OFF") || reader.take("PRESET");
            }
            "ACCEPTINVCHARS" => {
                if reader.take("AS") || reader.peek_is_literal() {
                    reader.literal()?;
                }
            }
            other if FLAGS.contains(&other) => {}
            _ => return Err(Refusal::syntax(&token.text)),
        }
        if !matches!(word.as_str(), "PARQUET" | "JSON" | "CSV") {
            seen.push(word);
        }
    }
    if let (Some(id), Some(secret)) = (keys.0, keys.1) {
        copy.access = Access::Keys { id, secret, token: keys.2 };
    }
    if copy.access == Access::Role(String::new()) {
        // Source: the message of a COPY without authorization, as in its "Authorization parameters".
        return Err(Refusal { code: "42601", message: "CREDENTIALS argument is required".into() });
    }
    copy.format =
        format.ok_or_else(|| Refusal::unsupported("the stand-in: text without FORMAT"))?;
    if copy.format == Format::Parquet
        && let Some(option) = seen.iter().find(|option| !COLUMNAR.contains(&option.as_str()))
    {
        return Err(Refusal {
            code: "0A000",
            message: format!("{option} argument is not supported for PARQUET based COPY"),
        });
    }
    Ok(copy)
}

/// Guide, "Authorization parameters": `CREDENTIALS 'aws_access_key_id=…;aws_secret_access_key=…;token=…'`.
fn credentials(text: &str) -> Result<Access, Refusal> {
    let value = |name: &str| {
        text.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            (key.trim() == name).then(|| value.to_owned())
        })
    };
    if let Some(role) = value("aws_iam_role") {
        return Ok(Access::Role(role));
    }
    match (value("aws_access_key_id"), value("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Ok(Access::Keys { id, secret, token: value("token") }),
        _ => Err(Refusal {
            code: "42601",
            message:
                "Invalid credentials. Must be of the format: CREDENTIALS 'aws_iam_role=...' or \
                      'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'"
                    .into(),
        }),
    }
}

struct Reader<'a> {
    tokens: Vec<&'a Token>,
    at: usize,
    case_sensitive: bool,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.is(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take(word) { Ok(()) } else { Err(self.syntax()) }
    }

    fn syntax(&self) -> Refusal {
        let at = self.tokens.get(self.at).or(self.tokens.last());
        Refusal::syntax(at.map_or("end", |token| token.text.as_str()))
    }

    fn peek_is_literal(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.kind == Kind::Literal)
    }

    fn literal(&mut self) -> Result<String, Refusal> {
        let value = self.tokens.get(self.at).and_then(|token| token.value());
        let value = value.ok_or_else(|| self.syntax())?;
        self.at += 1;
        Ok(value)
    }

    fn number(&mut self) -> Result<u64, Refusal> {
        let value = self.tokens.get(self.at).and_then(|token| token.text.parse().ok());
        let value = value.ok_or_else(|| self.syntax())?;
        self.at += 1;
        Ok(value)
    }

    fn part(&mut self) -> Result<String, Refusal> {
        match self.tokens.get(self.at) {
            Some(token) if matches!(token.kind, Kind::Word | Kind::Name) => {
                self.at += 1;
                Ok(match self.case_sensitive {
                    true => token.text.clone(),
                    false => token.text.to_ascii_lowercase(),
                })
            }
            _ => Err(self.syntax()),
        }
    }

    fn name(&mut self) -> Result<String, Refusal> {
        let mut name = self.part()?;
        while self.take(".") {
            name = format!("{name}.{}", self.part()?);
        }
        Ok(name)
    }

    fn list(&mut self) -> Result<Vec<String>, Refusal> {
        let mut columns = Vec::new();
        loop {
            let column = self.part()?;
            columns.push(match column.strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
                Some(inner) => inner.replace("\"\"", "\""),
                None => column,
            });
            if self.take(")") {
                return Ok(columns);
            }
            self.expect(",")?;
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::said(refusal.message, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statements;

    fn of(sql: &str) -> Result<Copy, Refusal> {
        parse(&statements(sql)[0], false)
    }

    #[test]
    fn a_copy_is_read_as_it_is_written() {
        let copy = of(
            "COPY \"D\".\"t\" (\"A\", b)\nFROM 's3://b/k'\nCREDENTIALS 'aws_access_key_id=i;aws_secret_access_key=s;token=t=='\n\
             MANIFEST\nFORMAT AS PARQUET\nSERIALIZETOJSON\nFILLRECORD\nSTATUPDATE OFF",
        )
        .unwrap();
        assert_eq!(copy.table, "\"d\".\"t\"");
        assert_eq!(copy.columns.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!(
            copy.access,
            Access::Keys { id: "i".into(), secret: "s".into(), token: Some("t==".into()) }
        );
        assert!(copy.manifest && copy.fill && copy.serialize_to_json && !copy.gzip);
        let copy = of(
            "COPY t FROM 's3://b/k' IAM_ROLE default FORMAT AS CSV IGNOREHEADER 1 GZIP EMPTYASNULL REGION 'r'",
        );
        let copy = copy.unwrap();
        assert_eq!((copy.format, copy.ignore_header, copy.gzip), (Format::Csv, 1, true));
        assert_eq!(copy.access, Access::Role("default".into()));
    }

    #[test]
    fn what_redshift_refuses_is_refused() {
        for (sql, message) in [
            ("COPY t FROM 's3://b/k' FORMAT AS CSV", "CREDENTIALS argument is required"),
            (
                "COPY t FROM 's3://b/k' IAM_ROLE 'r' FORMAT AS PARQUET REGION 'eu-west-1'",
                "REGION argument is not supported for PARQUET based COPY",
            ),
            (
                "COPY t FROM 's3://b/k' IAM_ROLE 'r' PARQUET MAXERROR 0",
                "MAXERROR argument is not supported for PARQUET based COPY",
            ),
            ("COPY t FROM 's3://b/k' IAM_ROLE 'r' FORMAT AS CSV NONSENSE", "near \"NONSENSE\""),
            ("COPY t FROM STDIN", "near \"STDIN\""),
        ] {
            let refused = of(sql).unwrap_err();
            assert!(refused.message.contains(message), "{refused:?}");
        }
    }
}
