//! From URLs and patterns to the objects that there are.

use futures::TryStreamExt as _;
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use reqwest::StatusCode;
use reqwest::header::RANGE;
use std::sync::Arc;
use tokio::runtime::Handle;
use transload_core::{Error, ErrorKind, Redactor, Result};

use super::address::{self, Address};
use super::get::{ContentRange, Version};
use super::stores::Opened;
use super::{Object, Place, Stores, failure, shown};
use crate::source::identity::FileIdentity;

/// As globs of local files: `*` stops at a slash, `**` does not.
const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl Stores {
    /// The objects that a URL or a pattern names, in the order of their names.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where there are none; and what the store says.
    pub(crate) async fn find(&self, source: &str) -> Result<Vec<Object>> {
        let (bucket, key) = match address::parse(source)? {
            Address::Web(url) => return Ok(vec![self.look(url).await?]),
            Address::Store { bucket, key } => (bucket, key),
        };
        let Opened { store, redactor } = self.bucket(&bucket)?;
        let bucket = Bucket {
            store,
            redactor,
            is_azure: matches!(bucket, address::Bucket::Azure(..)),
            url: source[..source.len() - key.len()].to_owned(),
            stores: self,
        };
        if key.contains(['*', '?', '[']) {
            return bucket.matching(source, &key).await;
        }
        let path = Path::parse(&key).ok().filter(|path| !key.is_empty() && path.as_ref() == key);
        let Some(path) = path else {
            return Err(match key.is_empty() || key.ends_with('/') {
                true => is_folder(source),
                false => no_such(source, "no object has such a name"),
            });
        };
        // The store asks again itself, but not who gives out the keys and tokens to it.
        let found = self.patience.to_find().retry(|| bucket.one(source, &path)).await?;
        Ok(vec![found])
    }

    /// Asks a web server for one byte: unlike `HEAD`, that is allowed by a URL that was signed for reading.
    async fn look(&self, url: url::Url) -> Result<Object> {
        let client = self.web()?;
        let origin: Arc<str> = shown(url.as_str()).into();
        let response = self
            .patience
            .to_find()
            .retry(|| async {
                let request = client.get(url.clone()).header(RANGE, "bytes=0-0");
                let response =
                    request.send().await.map_err(|error| failure::of_web(error, &origin))?;
                match response.status() {
                    status if status.is_success() => Ok(response),
                    StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
                    status => Err(failure::of_status(status.as_u16(), &origin)),
                }
            })
            .await?;
        let range = ContentRange::of(response.headers());
        let has_ranges = response.status() == StatusCode::PARTIAL_CONTENT;
        let bytes = match response.status() {
            StatusCode::PARTIAL_CONTENT => range.and_then(|range| range.total),
            // Nothing has no first byte.
            StatusCode::RANGE_NOT_SATISFIABLE => Some(0),
            _ => response.content_length(),
        };
        let version = Version::of(response.headers());
        let identity = FileIdentity {
            name: address::name_of(&url),
            bytes,
            modified: version.modified,
            etag: version.etag,
        };
        Ok(Object {
            place: Place::Web { client, url },
            origin,
            identity,
            has_ranges,
            redactor: self.redactor.clone(),
            patience: self.patience,
            runtime: Handle::current(),
        })
    }
}

struct Bucket<'s> {
    store: Arc<dyn ObjectStore>,
    redactor: Redactor,
    /// With a slash at its end.
    url: String,
    is_azure: bool,
    stores: &'s Stores,
}

impl Bucket<'_> {
    /// The object of this path.
    async fn one(&self, source: &str, path: &Path) -> Result<Object> {
        let error = match self.store.head(path).await {
            Ok(meta) => return Ok(self.object(meta)),
            Err(error) => error,
        };
        // An answer to `HEAD` has no body, in which a store says what is wrong: it is asked once more, for one that has.
        // Source: RFC 9110, section 9.3.2.
        let told = match &error {
            object_store::Error::NotFound { .. } => {
                match self.store.list(Some(path)).try_next().await {
                    Ok(Some(_)) => return Err(is_folder(source)),
                    told => told.err().filter(failure::bucket_is_missing),
                }
            }
            _ if failure::says_only_a_status(&error) => {
                let first = GetOptions { range: Some((0..1).into()), ..GetOptions::default() };
                let told = self.store.get_opts(path, first).await.err();
                told.filter(|told| !matches!(told, object_store::Error::NotFound { .. }))
            }
            _ => None,
        };
        Err(self.failed(told.as_ref().unwrap_or(&error), source))
    }

    fn failed(&self, error: &object_store::Error, source: &str) -> Error {
        failure::of_store(error, &self.redactor, &shown(source))
    }

    async fn matching(&self, source: &str, key: &str) -> Result<Vec<Object>> {
        let pattern = Pattern::new(key).map_err(|error| no_such(source, error))?;
        // Only what lies in the folder above the first sign of the pattern is listed.
        let literal = key.find(['*', '?', '[']).unwrap_or(key.len());
        let folder = key[..literal].rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder =
            Path::parse(folder).map_err(|_| no_such(source, "no object has such a name"))?;
        let folder = (!folder.as_ref().is_empty()).then_some(&folder);
        let list = || async {
            let matching = self.store.list(folder).try_filter(|meta| {
                futures::future::ready(pattern.matches_with(meta.location.as_ref(), MATCH))
            });
            matching.try_collect().await.map_err(|error| self.failed(&error, source))
        };
        let mut metas: Vec<ObjectMeta> = self.stores.patience.to_find().retry(list).await?;
        if metas.is_empty() {
            return Err(no_such(source, "no object has such a name"));
        }
        metas.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(metas.into_iter().map(|meta| self.object(meta)).collect())
    }

    fn object(&self, meta: ObjectMeta) -> Object {
        let name = shown(&format!("{}{}", self.url, meta.location));
        // Azure's lists leave away the quotes that belong to an etag, its other answers do not.
        let quoted = |etag: String| match self.is_azure && !etag.ends_with('"') {
            true => format!("\"{etag}\""),
            false => etag,
        };
        Object {
            origin: name.as_str().into(),
            identity: FileIdentity {
                name,
                bytes: Some(meta.size),
                modified: super::get::modified(&meta),
                etag: meta.e_tag.map(quoted),
            },
            place: Place::Store { store: Arc::clone(&self.store), path: meta.location },
            has_ranges: true,
            redactor: self.redactor.clone(),
            patience: self.stores.patience,
            runtime: Handle::current(),
        }
    }
}

fn no_such(source: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Configuration, "the source names no files")
        .with("source", shown(source))
        .with("reason", reason)
        .with_hint("check the pattern and the folder")
}

fn is_folder(source: &str) -> Error {
    let source = shown(source);
    let hint = format!("name its files: `{}/*.jsonl`", source.trim_end_matches('/'));
    Error::new(ErrorKind::Configuration, "the source is a folder")
        .with("source", source)
        .with_hint(hint)
}
