//! One request for an object or a part of it, held against what was found before.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{GetOptions, GetRange, ObjectMeta};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_MATCH, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode};
use transload_core::Result;

use super::{Object, Place, failure};

/// The bytes of an answer as they come in.
pub(super) type Body = BoxStream<'static, Result<Bytes>>;

impl Object {
    /// Asks for the bytes from `start` on, up to `end` where one is given.
    pub(super) async fn get(&self, start: u64, end: Option<u64>) -> Result<Body> {
        match &self.place {
            Place::Store { store, path } => {
                let options = GetOptions {
                    range: match (start, end) {
                        (start, Some(end)) => Some(GetRange::Bounded(start..end)),
                        (0, None) => None,
                        (start, None) => Some(GetRange::Offset(start)),
                    },
                    if_match: self.identity.etag.clone().filter(|etag| is_strong(etag)),
                    ..GetOptions::default()
                };
                let got = match store.get_opts(path, options).await {
                    Err(object_store::Error::Precondition { .. }) => {
                        return Err(self.changed("its etag"));
                    }
                    got => got.map_err(|error| self.failed(&error))?,
                };
                if self.identity.bytes.is_some_and(|bytes| bytes != got.meta.size) {
                    return Err(self.changed("its size"));
                }
                if differ(self.identity.etag.as_deref(), got.meta.e_tag.as_deref()) {
                    return Err(self.changed("its etag"));
                }
                if self.identity.etag.is_none()
                    && differ(self.identity.modified.as_deref(), modified(&got.meta).as_deref())
                {
                    return Err(self.changed("its time"));
                }
                let object = self.clone();
                Ok(got.into_stream().map_err(move |error| object.failed(&error)).boxed())
            }
            Place::Web { client, url } => {
                let mut request = client.get(url.clone());
                if let Some(range) = range_header(start, end) {
                    request = request.header(RANGE, range);
                }
                if let Some(etag) = self.identity.etag.as_deref().filter(|etag| is_strong(etag)) {
                    request = request.header(IF_MATCH, etag);
                }
                let response =
                    request.send().await.map_err(|error| failure::of_web(error, &self.origin))?;
                let skip = self.check(&response, start)?;
                let origin = self.origin.clone();
                let body = response
                    .bytes_stream()
                    .map_err(move |error| failure::of_web(error, &origin))
                    .boxed();
                Ok(part(body, skip, end.map(|end| end - start)))
            }
        }
    }

    /// Whether an answer brings what was asked for. Returns how many bytes of it to leave out: a server that knows no
    /// ranges begins again.
    fn check(&self, response: &Response, start: u64) -> Result<u64> {
        let headers = response.headers();
        let (bytes, skip) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = ContentRange::of(headers);
                if range.is_none_or(|range| range.start != Some(start)) {
                    return Err(failure::of_status(206, &self.origin)
                        .with("reason", "it sent another part than it was asked for"));
                }
                (range.and_then(|range| range.total), 0)
            }
            StatusCode::OK => (response.content_length(), start),
            StatusCode::PRECONDITION_FAILED => return Err(self.changed("its etag")),
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.changed("its size")),
            status => return Err(failure::of_status(status.as_u16(), &self.origin)),
        };
        let version = Version::of(headers);
        if matches!((self.identity.bytes, bytes), (Some(before), Some(now)) if before != now) {
            return Err(self.changed("its size"));
        }
        if differ(self.identity.etag.as_deref(), version.etag.as_deref()) {
            return Err(self.changed("its etag"));
        }
        if self.identity.etag.is_none()
            && differ(self.identity.modified.as_deref(), version.modified.as_deref())
        {
            return Err(self.changed("its time"));
        }
        Ok(skip)
    }

    pub(super) fn failed(&self, error: &object_store::Error) -> transload_core::Error {
        failure::of_store(error, &self.redactor, &self.origin)
    }
}

/// When an object was changed, to the second: lists of S3 say it to the millisecond, its other answers do not.
pub(super) fn modified(meta: &ObjectMeta) -> Option<String> {
    let seconds = meta.last_modified.timestamp();
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// What a web server says of the version that it sends.
#[derive(Debug, Default)]
pub(super) struct Version {
    pub(super) etag: Option<String>,
    /// By RFC 3339.
    pub(super) modified: Option<String>,
}

impl Version {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok();
        let modified = text(LAST_MODIFIED)
            .and_then(|time| Some(jiff::fmt::rfc2822::parse(time).ok()?.timestamp().to_string()));
        Self { etag: text(ETAG).map(str::to_owned), modified }
    }
}

/// The header `Content-Range`. Source: RFC 9110, section 14.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Where the part begins; none where the range could not be satisfied.
    pub(super) start: Option<u64>,
    /// The size of the whole.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
        Some(Self { start, total: total.trim().parse().ok() })
    }
}

fn range_header(start: u64, end: Option<u64>) -> Option<String> {
    match (start, end) {
        (start, Some(end)) => Some(format!("bytes={start}-{}", end.saturating_sub(1))),
        (0, None) => None,
        (start, None) => Some(format!("bytes={start}-")),
    }
}

/// A weak etag is never equal in `If-Match`. Source: RFC 9110, section 13.1.1.
fn is_strong(etag: &str) -> bool {
    !etag.starts_with("W/")
}

fn differ(before: Option<&str>, now: Option<&str>) -> bool {
    matches!((before, now), (Some(before), Some(now)) if before != now)
}

/// Leaves out the first bytes, and ends after so many.
fn part(body: Body, mut skip: u64, limit: Option<u64>) -> Body {
    if skip == 0 && limit.is_none() {
        return body;
    }
    let mut left = limit.unwrap_or(u64::MAX);
    body.map_ok(move |mut piece| {
        let skipped = skip.min(piece.len() as u64);
        skip -= skipped;
        // Both are at most the length of the piece.
        let mut rest = piece.split_off(skipped as usize);
        rest.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= rest.len() as u64;
        rest
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_is_cut_out_of_a_whole() {
        let body = || {
            let pieces = ["ab", "cde", "f"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
            futures::stream::iter(pieces).boxed()
        };
        let read = async |body: Body| body.try_collect::<Vec<_>>().await.unwrap().concat();
        assert_eq!(read(part(body(), 0, None)).await, b"abcdef");
        assert_eq!(read(part(body(), 3, None)).await, b"def");
        assert_eq!(read(part(body(), 1, Some(3))).await, b"bcd");
    }

    #[test]
    fn ranges_are_read() {
        let of = |text: &str| {
            ContentRange::of(&HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]))
        };
        assert_eq!(of("bytes 5-9/10"), Some(ContentRange { start: Some(5), total: Some(10) }));
        assert_eq!(of("bytes */0"), Some(ContentRange { start: None, total: Some(0) }));
        assert_eq!(of("bytes 0-0/*"), Some(ContentRange { start: Some(0), total: None }));
        assert_eq!(of("rows 1-2/3"), None);
    }
}
