//! The XML API: requests about a bucket or an object.
//!
//! Source: Google Cloud Storage, "XML API", reference of methods.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::backend::Metadata;
use crate::boundary::Boundary;
use crate::listing::Listing;
use crate::refusal::{Answer, Refusal, escape, xml};
use crate::server::Server;
use crate::uploads::parts_of;

const GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");
const GENERATION_MATCH: HeaderName = HeaderName::from_static("x-goog-if-generation-match");
const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-goog-storage-class");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-goog-copy-source");

/// Answers a request.
pub(crate) async fn answer(server: &Server, head: &Parts, body: Bytes) -> Result<Answer, Refusal> {
    let query = head.uri.query().unwrap_or_default();
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let (bucket, key) = place(head.uri.path())?;
    let upload = query.get("uploadId").map(String::as_str);
    match (&head.method, key.as_str(), upload) {
        (&Method::GET, "", _) if query.contains_key("uploads") => Ok(uploads(server, &bucket)),
        (&Method::GET, "", _) => {
            let listing = Listing::of(&query);
            let objects = server.backend.list(&bucket, listing.prefix()).await?;
            Ok(xml(listing.page(&bucket, &objects)))
        }
        (_, "", _) => Err(Refusal::new(405, "MethodNotAllowed", "not on a bucket")),
        (&Method::POST, key, None) if query.contains_key("uploads") => {
            server.backend.needs_bucket(&bucket).await?;
            let id = server.uploads.begin(&bucket, key, head.headers.clone());
            Ok(xml(format!(
                "<?xml version='1.0' encoding='UTF-8'?><InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
                 <UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
                escape(&bucket),
                escape(key)
            )))
        }
        (&Method::PUT, _, Some(id)) => {
            let number = query.get("partNumber").and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| Refusal::invalid("the number of a part"))?;
            let tag = server.uploads.put(id, number, body)?;
            with_headers(Response::new(Full::default()), [(ETAG, tag)])
        }
        (&Method::POST, _, Some(id)) => complete(server, id, &head.headers, &body).await,
        (&Method::DELETE, _, Some(id)) => {
            server.uploads.end(id)?;
            Ok(nothing())
        }
        (&Method::PUT, key, None) => match head.headers.get(COPY_SOURCE) {
            Some(source) => {
                let source = source.to_str().map_err(|_| Refusal::invalid("the source"))?;
                copy(server, source, &bucket, key, &head.headers).await
            }
            None => {
                let written = server.backend.insert(&bucket, key, &head.headers, body).await?;
                with_headers(Response::new(Full::default()), written_headers(&written))
            }
        },
        (&Method::DELETE, key, None) => {
            server.backend.delete(&bucket, key).await?;
            Ok(nothing())
        }
        (&Method::GET | &Method::HEAD, key, None) => read(server, &bucket, key, head).await,
        _ => Err(Refusal::new(405, "MethodNotAllowed", "not on an object")),
    }
}

/// Whether a request is about what lies within a boundary.
pub(crate) fn is_within(boundary: &Boundary, head: &Parts) -> Result<bool, Refusal> {
    let (bucket, key) = place(head.uri.path())?;
    let query = head.uri.query().unwrap_or_default();
    let listed = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "prefix");
    let listed = listed.map(|(_, prefix)| prefix.into_owned()).unwrap_or_default();
    Ok(boundary.allows(&bucket, &key, &listed))
}

/// The bucket and key in a path; no key where it names the bucket.
fn place(path: &str) -> Result<(String, String), Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(String::from).map_err(|_| Refusal::invalid("a name that is not UTF-8"))
    };
    Ok((decode(bucket)?, decode(key)?))
}

fn uploads(server: &Server, bucket: &str) -> Answer {
    let upload = |(key, id): (String, String)| {
        format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", escape(&key))
    };
    let uploads: String = server.uploads.of(bucket).into_iter().map(upload).collect();
    xml(format!(
        "<?xml version='1.0' encoding='UTF-8'?><ListMultipartUploadsResult><Bucket>{}</Bucket>{uploads}\
         </ListMultipartUploadsResult>",
        escape(bucket)
    ))
}

async fn complete(
    server: &Server,
    id: &str,
    headers: &HeaderMap,
    document: &[u8],
) -> Result<Answer, Refusal> {
    let parts = parts_of(&String::from_utf8_lossy(document))?;
    let (mut upload, content) = server.uploads.whole(id, &parts)?;
    if let Some(generation) = headers.get(GENERATION_MATCH) {
        upload.headers.insert(GENERATION_MATCH, generation.clone());
    }
    let backend = &server.backend;
    let written = backend.insert(&upload.bucket, &upload.key, &upload.headers, content).await?;
    // Two may complete it at once; the object is the same.
    let _ = server.uploads.end(id);
    let answer = xml(format!(
        "<?xml version='1.0' encoding='UTF-8'?><CompleteMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
         <ETag>{}</ETag></CompleteMultipartUploadResult>",
        escape(&upload.bucket),
        escape(&upload.key),
        escape(&written.etag())
    ));
    with_headers(answer, written_headers(&written))
}

async fn copy(
    server: &Server,
    source: &str,
    bucket: &str,
    key: &str,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let (from, from_key) = place(source)?;
    let content = loop {
        let found = server.backend.metadata(&from, &from_key).await?;
        if let Some(content) = server.backend.media(&from, &found, None).await? {
            break content;
        }
    };
    let written = server.backend.insert(bucket, key, headers, content).await?;
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><CopyObjectResult><ETag>{}</ETag></CopyObjectResult>",
        escape(&written.etag())
    );
    with_headers(xml(body), written_headers(&written))
}

async fn read(server: &Server, bucket: &str, key: &str, head: &Parts) -> Result<Answer, Refusal> {
    // Until both answers are of one generation.
    loop {
        let found = server.backend.metadata(bucket, key).await?;
        let bytes = found.bytes()?;
        let names = |header: HeaderName| {
            let tags = head.headers.get(header).and_then(|tags| tags.to_str().ok());
            tags.map(|tags| tags == "*" || tags.split(',').any(|tag| tag.trim() == found.etag()))
        };
        if names(IF_MATCH) == Some(false) {
            return Err(Refusal::precondition());
        }
        if names(IF_NONE_MATCH) == Some(true) {
            let mut answer = with_headers(Response::new(Full::default()), [(ETAG, found.etag())])?;
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(answer);
        }
        if head.method == Method::HEAD {
            let answer = with_headers(Response::new(Full::default()), object_headers(&found)?)?;
            return with_headers(answer, [(CONTENT_LENGTH, bytes.to_string())]);
        }
        let range = head.headers.get(RANGE).and_then(|range| range.to_str().ok());
        let range = range.map(|range| asked(range, bytes)).transpose()?;
        let Some(content) = server.backend.media(bucket, &found, range).await? else { continue };
        let mut answer = with_headers(Response::new(Full::from(content)), object_headers(&found)?)?;
        if let Some((first, last)) = range {
            let range = format!("bytes {first}-{last}/{bytes}");
            answer = with_headers(answer, [(CONTENT_RANGE, range)])?;
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        return Ok(answer);
    }
}

/// The first and last byte of a range, in an object of this size.
fn asked(range: &str, bytes: u64) -> Result<(u64, u64), Refusal> {
    let bounds = range.strip_prefix("bytes=").and_then(|bounds| bounds.split_once('-'));
    let (first, last) = match bounds {
        Some(("", length)) => {
            (length.parse().ok().map(|length| bytes.saturating_sub(length)), Some(u64::MAX))
        }
        Some((first, "")) => (first.parse().ok(), Some(u64::MAX)),
        Some((first, last)) => (first.parse().ok(), last.parse().ok()),
        None => (None, None),
    };
    match (first, last) {
        (Some(first), Some(last)) if first < bytes && first <= last => {
            Ok((first, last.min(bytes - 1)))
        }
        _ => Err(Refusal::new(416, "InvalidRange", "The requested range cannot be satisfied.")),
    }
}

fn nothing() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

fn written_headers(written: &Metadata) -> [(HeaderName, String); 2] {
    [(ETAG, written.etag()), (GENERATION, written.generation.clone())]
}

fn object_headers(found: &Metadata) -> Result<[(HeaderName, String); 6], Refusal> {
    let updated: Timestamp = found.updated.parse().map_err(Refusal::behind)?;
    let content_type = found.content_type.as_deref().unwrap_or("application/octet-stream");
    let class = found.storage_class.as_deref().unwrap_or("STANDARD");
    Ok([
        (STORAGE_CLASS, class.to_owned()),
        (ETAG, found.etag()),
        (GENERATION, found.generation.clone()),
        (LAST_MODIFIED, updated.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        (CONTENT_TYPE, content_type.to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
    ])
}

fn with_headers(
    mut answer: Answer,
    headers: impl IntoIterator<Item = (HeaderName, String)>,
) -> Result<Answer, Refusal> {
    for (name, value) in headers {
        let value = value.parse().map_err(|_| Refusal::behind("a header that cannot be sent"))?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_bucket_and_a_key() {
        let names = |path: &str| place(path).unwrap();
        assert_eq!(names("/lake/a%2Fb%20%C3%A9"), ("lake".into(), "a/b é".into()));
        assert_eq!(names("/lake"), ("lake".into(), String::new()));
        assert_eq!(names("/lake/"), ("lake".into(), String::new()));
        assert!(place("/lake/%FF").is_err());
    }

    #[test]
    fn a_range_lies_within_the_object() {
        for (range, expected) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=2-100", Some((2, 9))),
            ("bytes=4-", Some((4, 9))),
            ("bytes=-3", Some((7, 9))),
            ("bytes=-100", Some((0, 9))),
            ("bytes=10-12", None),
            ("bytes=3-2", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(asked(range, 10).ok(), expected, "{range}");
        }
        assert!(asked("bytes=0-", 0).is_err());
    }
}
