//! Objects in stores and files of web servers, read as streams and by ranges.
//!
//! Memory is bounded by a few pieces that are under way. A connection that breaks is taken up again at the byte where
//! it broke, and only if the object is still the one that was found: what changed meanwhile is an error.

mod address;
mod failure;
mod find;
mod get;
mod read;
mod settings;
mod stores;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use tokio::runtime::Handle;
use transload_core::{Error, ErrorKind, Redactor};

pub(crate) use address::{is_url, local_path, shown};
pub(crate) use read::Failure;
pub use settings::SourceSettings;
pub(crate) use stores::Stores;

use super::identity::FileIdentity;

/// An object that was found, with all that is needed to read it.
#[derive(Clone)]
pub(crate) struct Object {
    place: Place,
    /// As it may be shown.
    origin: Arc<str>,
    identity: FileIdentity,
    /// Whether parts of it can be asked for.
    has_ranges: bool,
    redactor: Redactor,
    patience: Patience,
    runtime: Handle,
}

#[derive(Clone)]
enum Place {
    Store { store: Arc<dyn ObjectStore>, path: object_store::path::Path },
    Web { client: reqwest::Client, url: url::Url },
}

/// How often, and after what time, what failed is tried again.
#[derive(Clone, Copy, Debug)]
struct Patience {
    first: Duration,
    tries: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), tries: 5 }
    }
}

impl Patience {
    /// That of a search: whoever wrote the name of a host wrong need not wait for it as for a connection that broke.
    fn to_find(self) -> Self {
        Self { tries: self.tries.min(3), ..self }
    }

    /// The times to wait, one after the other.
    fn waits(self) -> impl Iterator<Item = Duration> + Send {
        use backon::BackoffBuilder as _;
        backon::ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.first * 30)
            .with_max_times(self.tries)
            .with_jitter()
            .build()
    }

    /// Does something that may fail for a while.
    async fn retry<T, F>(self, mut work: impl FnMut() -> F) -> transload_core::Result<T>
    where
        F: Future<Output = transload_core::Result<T>>,
    {
        for wait in self.waits() {
            match work().await {
                Err(error) if error.is_transient() => tokio::time::sleep(wait).await,
                result => return result,
            }
        }
        work().await
    }
}

impl Object {
    /// As it may be shown.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// What tells it from another one.
    pub(crate) fn identity(&self) -> &FileIdentity {
        &self.identity
    }

    /// Its size, if it is known and parts of it can be asked for.
    pub(crate) fn ranged_bytes(&self) -> Option<u64> {
        self.identity.bytes.filter(|_| self.has_ranges)
    }

    fn changed(&self, what: &'static str) -> Error {
        Error::new(ErrorKind::Terminal, "the source changed while it was read")
            .with("code", "E_SOURCE_CHANGED")
            .with("file", &self.origin)
            .with("changed", what)
            .with_hint("nothing was loaded; run again once it is written no more")
    }
}

impl fmt::Debug for Object {
    /// Written by hand: stores print the keys that they hold, and a URL may be signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({})", self.origin)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Object {}
