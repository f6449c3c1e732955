//! What tells a file or object from another one, and from what it was before.

use serde::{Deserialize, Serialize};

/// A file or object as it was found: what is compared to tell whether it was seen before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FileIdentity {
    /// The absolute path, or the URL without user and query. A URL with a query, which may be a signature, ends in a
    /// hash of the whole.
    pub(crate) name: String,
    /// Its size, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// When it was last changed, by RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<String>,
    /// What the store calls this version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}
