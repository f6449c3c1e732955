//! A case as data, and the words in which a case says what went wrong.

use std::future::Future;
use std::pin::Pin;

use crate::{
    AccessKind, Capabilities, Error, FileFormat, IdentifierCase, MergeStrategy, ReplaceStrategy,
    StagingCapabilities, StorageKind, WriteDisposition,
};

/// What an implementation must claim for a case to be tried on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// It takes files of this format: as local files, or from a staging destination.
    Format(FileFormat),
    /// It has this write disposition.
    Writes(WriteDisposition),
    /// It has this strategy of replacing.
    Replaces(ReplaceStrategy),
    /// It has this strategy of merging.
    Merges(MergeStrategy),
    /// All tables of a load become visible in one step.
    AtomicPublication,
    /// It runs jobs before the publication.
    LoadsApart,
    /// It loads local files.
    LoadsLocalFiles,
    /// It copies files that are staged in a folder of this machine.
    CopiesFromFolders,
    /// There is something that it does not claim: this disposition.
    LacksDisposition(WriteDisposition),
    /// Names that differ in case alone are two.
    KeepsCase,
    /// Names that differ in case alone are one.
    FoldsCase,
    /// A staging destination that gives this way in.
    Gives(AccessKind),
    /// There is something that a staging destination does not claim: this way in.
    LacksAccess(AccessKind),
}

impl Claim {
    /// Why a destination with these capabilities is not tried; `None` where it claims this.
    pub(super) fn missing(self, capabilities: &Capabilities) -> Option<String> {
        let folders = || {
            capabilities.copies.iter().any(|source| {
                source.storage == StorageKind::Local
                    && source.access.contains(&AccessKind::LocalPaths)
            })
        };
        let (holds, reason) = match self {
            Self::Format(format) => (
                capabilities.loads.contains(&format)
                    || capabilities.copies.iter().any(|source| source.formats.contains(&format)),
                format!("it does not claim the format {format}"),
            ),
            Self::Writes(disposition) => (
                capabilities.write_dispositions.contains(&disposition),
                format!("it does not claim to {disposition}"),
            ),
            Self::Replaces(strategy) => (
                capabilities.write_dispositions.contains(&WriteDisposition::Replace)
                    && capabilities.replace_strategies.contains(&strategy),
                format!("it does not claim to replace by {}", replace_word(strategy)),
            ),
            Self::Merges(strategy) => (
                capabilities.write_dispositions.contains(&WriteDisposition::Merge)
                    && capabilities.merge_strategies.contains(&strategy),
                format!("it does not claim to merge by {}", merge_word(strategy)),
            ),
            Self::AtomicPublication => (
                capabilities.atomic_publication,
                "it does not claim to publish all tables in one step".into(),
            ),
            Self::LoadsApart => (
                !capabilities.loads_in_publication,
                "it loads in the publication, and runs no job before it".into(),
            ),
            Self::LoadsLocalFiles => {
                (!capabilities.loads.is_empty(), "it does not claim to load local files".into())
            }
            Self::CopiesFromFolders => {
                (folders(), "it does not claim to copy from local folders".into())
            }
            Self::LacksDisposition(disposition) => (
                !capabilities.write_dispositions.contains(&disposition),
                format!("it claims to {disposition}"),
            ),
            Self::KeepsCase => (
                capabilities.identifiers.case == IdentifierCase::Sensitive,
                "names that differ in case are one to it".into(),
            ),
            Self::FoldsCase => (
                capabilities.identifiers.case != IdentifierCase::Sensitive,
                "names that differ in case are two to it".into(),
            ),
            Self::Gives(_) | Self::LacksAccess(_) => {
                (false, "it is about staging destinations".into())
            }
        };
        (!holds).then_some(reason)
    }

    /// The same for a staging destination.
    pub(super) fn missing_in_staging(self, capabilities: &StagingCapabilities) -> Option<String> {
        let (holds, reason) = match self {
            Self::Format(format) => (
                capabilities.formats.contains(&format),
                format!("it does not claim the format {format}"),
            ),
            Self::Gives(access) => (
                capabilities.access.contains(&access),
                format!("it does not claim to give {access}"),
            ),
            Self::LacksAccess(access) => {
                (!capabilities.access.contains(&access), format!("it claims to give {access}"))
            }
            _ => (false, "it is about destinations".into()),
        };
        (!holds).then_some(reason)
    }
}

/// The word for a strategy in names of cases.
pub(super) fn replace_word(strategy: ReplaceStrategy) -> &'static str {
    match strategy {
        ReplaceStrategy::TruncateAndInsert => "truncate_and_insert",
        ReplaceStrategy::InsertFromStaging => "insert_from_staging",
        ReplaceStrategy::StagingOptimized => "staging_optimized",
    }
}

/// The word for a strategy in names of cases.
pub(super) fn merge_word(strategy: MergeStrategy) -> &'static str {
    match strategy {
        MergeStrategy::DeleteInsert => "delete_insert",
        MergeStrategy::Upsert => "upsert",
        MergeStrategy::InsertOnly => "insert_only",
        MergeStrategy::Scd2 => "scd2",
    }
}

/// Why a case did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// Its sentence is not true.
    Untrue(String),
    /// It could not be tried here after all.
    NotTried(String),
}

impl Failure {
    /// The sentence is not true; why.
    pub(super) fn untrue(why: impl Into<String>) -> Self {
        Self::Untrue(why.into())
    }

    /// The case could not be tried; why.
    pub(super) fn not_tried(why: impl Into<String>) -> Self {
        Self::NotTried(why.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::untrue(format!("{}: {error:?}", error.kind()))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::untrue(format!("the suite could not write or read its own files: {error}"))
    }
}

/// How a case ends.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// The body of a case on a world `W`.
pub(super) type Body<W> = for<'a> fn(&'a mut W) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A case for worlds `W`.
pub(super) struct Case<W> {
    /// The subject, and the sentence with underscores for blanks.
    pub(super) name: String,
    /// The claims that select it, all of them.
    pub(super) claims: Vec<Claim>,
    /// What it prepares the world with, before the body.
    pub(super) variant: Variant,
    /// The body.
    pub(super) body: Body<W>,
}

/// In which of its ways a destination is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// As it likes best.
    Plain,
    /// With files of this format.
    Format(FileFormat),
    /// With this strategy of replacing.
    Replace(ReplaceStrategy),
    /// With this strategy of merging.
    Merge(MergeStrategy),
}

/// Makes cases of functions: `cases!(subject, [claims]: name, name)`.
macro_rules! cases {
    ($subject:literal, $claims:tt: $($name:ident),+ $(,)?) => {
        vec![$($crate::conformance::case::Case {
            name: concat!($subject, "::", stringify!($name)).to_owned(),
            claims: $claims.to_vec(),
            variant: $crate::conformance::case::Variant::Plain,
            body: |world| Box::pin($name(world)),
        }),+]
    };
}

/// Ends a case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::case::Failure::untrue(format!($($message)+)));
        }
    };
}

/// Ends a case unless two values are equal.
macro_rules! same {
    ($found:expr, $expected:expr, $($message:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => if found != expected {
                let what = format!($($message)+);
                return Err($crate::conformance::case::Failure::untrue(format!(
                    "{what}\n   found: {found:?}\nexpected: {expected:?}"
                )));
            }
        }
    };
}

/// Rows: `rows![[1, "a"], [2, NULL]]`.
macro_rules! rows {
    () => { Vec::<$crate::sql::Row>::new() };
    ($([$($cell:expr),* $(,)?]),+ $(,)?) => {
        vec![$(vec![$($crate::conformance::case::Cell::cell($cell)),*]),+]
    };
}

pub(super) use {cases, ensure, rows, same};

/// NULL, in rows.
pub(super) const NULL: Option<&str> = None;

/// What stands in a row.
pub(super) trait Cell {
    /// Its text.
    fn cell(self) -> Option<String>;
}

impl Cell for &str {
    fn cell(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl Cell for String {
    fn cell(self) -> Option<String> {
        Some(self)
    }
}

impl Cell for i64 {
    fn cell(self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Cell for Option<&str> {
    fn cell(self) -> Option<String> {
        self.map(str::to_owned)
    }
}
