//! Statements as data: text, values apart from it, and the secrets that the text holds.

use std::fmt;

use crate::{Redactor, Secret};

use super::Dialect;

/// A value that a statement takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parameter {
    /// NULL.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Parameter {
    /// Numbers beyond an SQL `bigint` do not occur: versions, rows, epochs.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<T: Into<Parameter>> From<Option<T>> for Parameter {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A statement. Values never become part of its text before [`Statement::render`], so none can end a literal.
///
/// Printed, it shows its values as literals and its secrets as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Statement {
    parts: Vec<Part>,
    secrets: Vec<Secret>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Sql(String),
    Value(Parameter),
}

impl Statement {
    /// A statement that is this text. Names and literals in it were quoted by the dialect.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { parts: vec![Part::Sql(sql.into())], secrets: Vec::new() }
    }

    /// Adds text at the end.
    #[must_use]
    pub fn sql(mut self, sql: &str) -> Self {
        match self.parts.last_mut() {
            Some(Part::Sql(last)) => last.push_str(sql),
            _ => self.parts.push(Part::Sql(sql.to_owned())),
        }
        self
    }

    /// Adds a value at the end.
    #[must_use]
    pub fn value(mut self, value: impl Into<Parameter>) -> Self {
        self.parts.push(Part::Value(value.into()));
        self
    }

    /// Says that the text holds this secret.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The secrets that the text holds.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// What takes the secrets of this statement out of an answer: servers quote what they were sent.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(&self.secrets)
    }

    /// The text to send, and the values to bind to its placeholders. Where the dialect has no placeholder the value is
    /// in the text as a literal.
    pub fn render(&self, dialect: &dyn Dialect) -> (String, Vec<Parameter>) {
        let mut text = String::new();
        let mut bound = Vec::new();
        for part in &self.parts {
            match part {
                Part::Sql(sql) => text.push_str(sql),
                Part::Value(value) => match dialect.placeholder(bound.len() + 1) {
                    Some(placeholder) => {
                        text.push_str(&placeholder);
                        bound.push(value.clone());
                    }
                    None => text.push_str(&literal(value, |text| dialect.literal(text))),
                },
            }
        }
        (text, bound)
    }
}

fn literal(value: &Parameter, quote: impl Fn(&str) -> String) -> String {
    match value {
        Parameter::Null => "NULL".to_owned(),
        Parameter::Text(text) => quote(text),
        Parameter::Integer(number) => number.to_string(),
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Sql(sql) => text.push_str(sql),
                Part::Value(value) => {
                    text.push_str(&literal(value, |text| {
                        format!("'{}'", text.replace('\'', "''"))
                    }));
                }
            }
        }
        f.write_str(&self.redactor().scrub(&text))
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::Ansi;

    #[test]
    fn values_are_bound_or_written_as_literals() {
        let statement = Statement::new("SELECT ").value("it's").sql(", ").value(7).sql(" + 1");
        let (text, bound) = statement.render(&Ansi { modern: true });
        assert_eq!(text, "SELECT $1, $2 + 1");
        assert_eq!(bound, [Parameter::Text("it's".into()), Parameter::Integer(7)]);
        let (text, bound) = statement.render(&Ansi { modern: false });
        assert_eq!(text, "SELECT 'it''s', 7 + 1");
        assert!(bound.is_empty());
    }

    #[test]
    fn a_secret_is_sent_and_never_shown() {
        let statement = Statement::new("COPY t CREDENTIALS 'key=hunter2-hunter2'")
            .with_secret("hunter2-hunter2".into());
        assert_eq!(statement.to_string(), "COPY t CREDENTIALS 'key=***'");
        assert_eq!(format!("{statement:?}"), "COPY t CREDENTIALS 'key=***'");
        assert!(statement.render(&Ansi { modern: true }).0.contains("hunter2-hunter2"));
    }

    #[test]
    fn null_and_absent_are_one() {
        assert_eq!(Parameter::from(None::<&str>), Parameter::Null);
        assert_eq!(Parameter::from(u64::MAX), Parameter::Integer(i64::MAX));
    }
}
