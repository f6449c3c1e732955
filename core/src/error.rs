//! One error type: what kind it is decides what happens next, what it says tells a person what to do.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error means for the load, and so what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, an argument or a name is missing or wrong. Nothing was started.
    Configuration,
    /// The destination or the staging destination cannot do what was asked. Nothing was started.
    Unsupported,
    /// The input is not what it claims to be.
    BadData,
    /// May work when tried again. The failed step left nothing behind, or may be repeated safely.
    Transient,
    /// Will not work when tried again.
    Terminal,
    /// Another loader of the same pipeline has overtaken this one. It must stop and clean up nothing.
    Fenced,
    /// A request was sent and its answer was lost, so it may or may not have been applied.
    /// Whoever sees it fences first, then looks, then finishes or does it again.
    OutcomeUnknown,
    /// A signal ended the load. What was sealed can be resumed.
    Interrupted,
    /// The program contradicts itself.
    Bug,
}

impl ErrorKind {
    /// The name as it stands in receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Unsupported => "unsupported",
            Self::BadData => "bad_data",
            Self::Transient => "transient",
            Self::Terminal => "terminal",
            Self::Fenced => "fenced",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Interrupted => "interrupted",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of the contract, of a plugin or of the engine.
///
/// The message says what did not work, in lower case and without the values a reader would search for;
/// those are context. The hint says what to do. A secret belongs in none of them.
///
/// ```
/// use transload_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Configuration, "no such destination")
///     .with("name", "redshit")
///     .with("known", "duckdb, redshift")
///     .with_hint("turn on its Cargo feature");
/// assert_eq!(error.to_string(), "no such destination (name: redshit, known: duckdb, redshift)");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: Vec<(Cow<'static, str>, String)>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `message` says what did not work.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            hint: None,
            source: None,
        }))
    }

    /// Adds a named value: a table, a file, a key. The first name given is printed first.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.0.context.push((name.into(), value.to_string()));
        self
    }

    /// Says what to do. A later hint replaces an earlier one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What the error means for the load.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What did not work, without the context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The value that [`Error::with`] was given under this name.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// What to do, where something can be done.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same step may be tried again.
    pub fn is_transient(&self) -> bool {
        self.0.kind == ErrorKind::Transient
    }

    /// The same error with every text of it and of its causes passed through a [`Redactor`](crate::Redactor).
    ///
    /// Causes are kept as their texts: what an engine or a driver says may quote what it was sent.
    #[must_use]
    pub fn redacted(self, redactor: &crate::Redactor) -> Self {
        self.report().map(|text| redactor.scrub(text).into_owned()).into()
    }

    /// The error as plain data: for receipts, and for printing.
    pub fn report(&self) -> ErrorReport {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        ErrorReport {
            kind: self.0.kind,
            message: self.0.message.to_string(),
            context: self
                .0
                .context
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect(),
            hint: self.0.hint.clone(),
            causes,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_headline(f, &self.0.message, &self.0.context)
    }
}

impl fmt::Debug for Error {
    /// As a person would want to read it: `unwrap` and `main` print this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.report(), f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// An [`Error`] as data: serialisable, comparable, and printable with its causes and its hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// What the error means for the load.
    pub kind: ErrorKind,
    /// What did not work.
    pub message: String,
    /// Named values, in the order in which they were added.
    pub context: Vec<(String, String)>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The causes, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl ErrorReport {
    /// The same report with every text passed through `change`: to take secrets out.
    #[must_use]
    pub fn map(mut self, change: impl Fn(&str) -> String) -> Self {
        self.message = change(&self.message);
        for (_, value) in &mut self.context {
            *value = change(value);
        }
        for cause in &mut self.causes {
            *cause = change(cause);
        }
        self.hint = self.hint.as_deref().map(&change);
        self
    }
}

impl From<ErrorReport> for Error {
    fn from(report: ErrorReport) -> Self {
        let mut source: Option<Box<dyn StdError + Send + Sync>> = None;
        for text in report.causes.into_iter().rev() {
            source = Some(Box::new(Cause { text, source }));
        }
        Self(Box::new(Inner {
            kind: report.kind,
            message: report.message.into(),
            context: report.context.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            hint: report.hint,
            source,
        }))
    }
}

/// A cause of which only the text is left.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_headline(f, &self.message, &self.context)?;
        for cause in &self.causes {
            write!(f, "\n  because: {}", cause.trim_end().replace('\n', "\n           "))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {}", hint.replace('\n', "\n      ")),
            None => Ok(()),
        }
    }
}

fn write_headline<K: AsRef<str>>(
    f: &mut fmt::Formatter<'_>,
    message: &str,
    context: &[(K, String)],
) -> fmt::Result {
    f.write_str(message)?;
    for (index, (name, value)) in context.iter().enumerate() {
        write!(f, "{}{}: {value}", if index == 0 { " (" } else { ", " }, name.as_ref())?;
    }
    if context.is_empty() { Ok(()) } else { f.write_str(")") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_causes_once_and_the_hint_apart() {
        let cause = std::io::Error::other("connection refused");
        let error = Error::new(ErrorKind::Transient, "could not reach the store")
            .with("bucket", "lake")
            .with_hint("check the endpoint")
            .with_source(cause);
        assert_eq!(
            format!("{error:?}"),
            "could not reach the store (bucket: lake)\n  because: connection refused\n\nhint: check the endpoint"
        );
        assert!(error.is_transient());
        assert_eq!(error.context("bucket"), Some("lake"));
    }

    #[test]
    fn a_redacted_error_keeps_everything_but_the_secret() {
        let cause = std::io::Error::other("near CREDENTIALS 'hunter2-hunter2'");
        let error = Error::new(ErrorKind::Terminal, "the copy failed")
            .with("table", "t")
            .with_source(cause);
        let redactor = crate::Redactor::new(&[crate::Secret::from("hunter2-hunter2")]);
        let redacted = error.redacted(&redactor);
        assert_eq!(redacted.kind(), ErrorKind::Terminal);
        assert_eq!(
            format!("{redacted:?}"),
            "the copy failed (table: t)\n  because: near CREDENTIALS '***'"
        );
    }

    #[test]
    fn a_report_survives_json() {
        let report = Error::new(ErrorKind::BadData, "not JSON").with("line", 3).report();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json, r#"{"kind":"bad_data","message":"not JSON","context":[["line","3"]]}"#);
        assert_eq!(serde_json::from_str::<ErrorReport>(&json).unwrap(), report);
    }
}
