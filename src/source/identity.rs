//! What tells one version of a source file from another.

/// A file of a source, as it was found before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    /// The path or the URL, without a query and without user information.
    pub(crate) name: String,
    /// The size in bytes, as it is stored.
    pub(crate) bytes: Option<u64>,
    /// When it was modified, in RFC 3339.
    pub(crate) modified: Option<String>,
    /// The entity tag of an object store.
    pub(crate) etag: Option<String>,
}
