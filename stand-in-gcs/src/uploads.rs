//! Uploads in parts, until they are completed: fake-gcs-server knows none.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;

use crate::refusal::Refusal;

/// Every part but the last has at least this size.
const LEAST_PART: usize = 5 << 20;

/// One that was begun.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// Those of the request that began it: they say what the object is like.
    pub(crate) headers: HeaderMap,
    parts: BTreeMap<u32, (String, Bytes)>,
}

/// Those that were begun and have not ended.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    number: u64,
    uploads: BTreeMap<String, Upload>,
}

impl Uploads {
    fn with<T>(&self, what: impl FnOnce(&mut Open) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins one; its id.
    pub(crate) fn begin(&self, bucket: &str, key: &str, headers: HeaderMap) -> String {
        self.with(|open| {
            open.number += 1;
            let id = format!("upload-{}", open.number);
            let (bucket, key) = (bucket.to_owned(), key.to_owned());
            open.uploads
                .insert(id.clone(), Upload { bucket, key, headers, parts: BTreeMap::new() });
            id
        })
    }

    /// Takes a part, in the place of one with the same number; its tag.
    pub(crate) fn put(&self, id: &str, number: u32, content: Bytes) -> Result<String, Refusal> {
        self.with(|open| {
            open.number += 1;
            let tag = format!("\"part-{}\"", open.number);
            let upload = open.uploads.get_mut(id).ok_or_else(Refusal::no_such_upload)?;
            upload.parts.insert(number, (tag.clone(), content));
            Ok(tag)
        })
    }

    /// The upload, with the content of these parts. It stays until it is ended.
    pub(crate) fn whole(
        &self,
        id: &str,
        parts: &[(u32, String)],
    ) -> Result<(Upload, Bytes), Refusal> {
        let upload = self.with(|open| open.uploads.get(id).cloned());
        let upload = upload.ok_or_else(Refusal::no_such_upload)?;
        let mut content = BytesMut::new();
        for (index, (number, tag)) in parts.iter().enumerate() {
            let (held, bytes) = upload
                .parts
                .get(number)
                .filter(|(held, _)| held.trim_matches('"') == tag.trim_matches('"'))
                .ok_or_else(|| Refusal::new(400, "InvalidPart", format!("part {number}")))?;
            if index + 1 < parts.len() && bytes.len() < LEAST_PART {
                return Err(Refusal::new(400, "EntityTooSmall", held));
            }
            content.extend_from_slice(bytes);
        }
        Ok((upload, content.freeze()))
    }

    /// Forgets one.
    pub(crate) fn end(&self, id: &str) -> Result<(), Refusal> {
        self.with(|open| open.uploads.remove(id)).map(|_| ()).ok_or_else(Refusal::no_such_upload)
    }

    /// The keys and ids of those in a bucket.
    pub(crate) fn of(&self, bucket: &str) -> Vec<(String, String)> {
        self.with(|open| {
            let of_bucket = open.uploads.iter().filter(|(_, upload)| upload.bucket == bucket);
            of_bucket.map(|(id, upload)| (upload.key.clone(), id.clone())).collect()
        })
    }
}

/// The numbers and tags in the document that completes an upload.
pub(crate) fn parts_of(document: &str) -> Result<Vec<(u32, String)>, Refusal> {
    let malformed =
        || Refusal::new(400, "MalformedXML", "The XML you provided was not well-formed.");
    let value = |part: &str, name: &str| {
        let (_, rest) = part.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.replace("&quot;", "\""))
    };
    let parts: Option<Vec<(u32, String)>> = document
        .split("<Part>")
        .skip(1)
        .map(|part| Some((value(part, "PartNumber")?.parse().ok()?, value(part, "ETag")?)))
        .collect();
    let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(malformed)?;
    if parts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err(Refusal::new(400, "InvalidPartOrder", "The parts are not in their order."));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_made_of_its_parts_in_their_order() {
        let uploads = Uploads::default();
        let id = uploads.begin("b", "k", HeaderMap::new());
        let second = uploads.put(&id, 2, Bytes::from_static(b"end")).unwrap();
        let large = Bytes::from(vec![b'x'; LEAST_PART]);
        let first = uploads.put(&id, 1, large).unwrap();
        assert_eq!(uploads.of("b"), [("k".to_owned(), id.clone())]);
        let document = format!(
            "<CompleteMultipartUpload><Part><ETag>{}</ETag><PartNumber>1</PartNumber></Part>\
             <Part><ETag>{}</ETag><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>",
            first.replace('"', "&quot;"),
            second
        );
        let (upload, content) = uploads.whole(&id, &parts_of(&document).unwrap()).unwrap();
        assert_eq!((upload.key.as_str(), content.len()), ("k", LEAST_PART + 3));
        assert!(content.ends_with(b"xend"));
        uploads.end(&id).unwrap();
        assert_eq!(uploads.end(&id), Err(Refusal::no_such_upload()));
        assert!(uploads.of("b").is_empty());
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let uploads = Uploads::default();
        let id = uploads.begin("b", "k", HeaderMap::new());
        let small = uploads.put(&id, 1, Bytes::from_static(b"x")).unwrap();
        let last = uploads.put(&id, 2, Bytes::from_static(b"y")).unwrap();
        assert!(uploads.whole(&id, &[(1, small.clone()), (2, last)]).is_err());
        assert!(uploads.whole(&id, &[(1, "other".into())]).is_err());
        assert!(uploads.whole("none", &[(1, small.clone())]).is_err());
        assert!(uploads.whole(&id, &[(1, small)]).is_ok());
        for document in ["", "<Part><PartNumber>1</PartNumber></Part>"] {
            assert!(parts_of(document).is_err(), "{document}");
        }
    }
}
