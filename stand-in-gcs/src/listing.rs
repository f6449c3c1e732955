//! One page of what is in a bucket, as a pure function.

use std::collections::BTreeMap;

use crate::backend::Metadata;
use crate::refusal::escape;

/// What is asked for. Source: Google Cloud Storage, "GET Bucket (List Objects)", with `list-type=2`.
#[derive(Debug, Default)]
pub(crate) struct Listing<'q> {
    prefix: &'q str,
    delimiter: &'q str,
    after: &'q str,
    most: usize,
}

impl<'q> Listing<'q> {
    pub(crate) fn of(query: &'q BTreeMap<String, String>) -> Self {
        let value = |name: &str| query.get(name).map_or("", String::as_str);
        // A token is the last key or folder of the page before.
        let after = match value("continuation-token") {
            "" => value("start-after"),
            token => token,
        };
        Self {
            prefix: value("prefix"),
            delimiter: value("delimiter"),
            after,
            most: value("max-keys").parse().unwrap_or(1000),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        self.prefix
    }

    /// The folder that stands for a key, where one does.
    fn folder<'k>(&self, key: &'k str) -> Option<&'k str> {
        let rest = key.strip_prefix(self.prefix).filter(|_| !self.delimiter.is_empty())?;
        let end = rest.find(self.delimiter)? + self.delimiter.len();
        Some(&key[..self.prefix.len() + end])
    }

    /// The document, out of all objects with the prefix, sorted by key.
    pub(crate) fn page(&self, bucket: &str, objects: &[Metadata]) -> String {
        let (mut entries, mut last, mut count, mut more) = (String::new(), "", 0, false);
        for object in objects {
            let folder = self.folder(&object.name);
            let entry = folder.unwrap_or(&object.name);
            if object.name.as_str() <= self.after || entry <= self.after || entry == last {
                continue;
            }
            if count == self.most {
                more = true;
                break;
            }
            (last, count) = (entry, count + 1);
            let name = escape(entry);
            entries += &match folder {
                Some(_) => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
                None => format!(
                    "<Contents><Key>{name}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                     <Size>{}</Size></Contents>",
                    object.updated,
                    escape(&object.etag()),
                    object.size
                ),
            };
        }
        let token = match more {
            true => format!("<NextContinuationToken>{}</NextContinuationToken>", escape(last)),
            false => String::new(),
        };
        format!(
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>{}</Name><Prefix>{}</Prefix>\
             <KeyCount>{count}</KeyCount><IsTruncated>{more}</IsTruncated>{token}{entries}</ListBucketResult>",
            escape(bucket),
            escape(self.prefix)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(names: &[&str]) -> Vec<Metadata> {
        let object = |name: &&str| Metadata {
            name: (*name).to_owned(),
            size: "1".into(),
            generation: "1".into(),
            updated: "2026-01-01T00:00:00Z".into(),
            md5_hash: "x".into(),
            content_type: None,
            storage_class: None,
        };
        names.iter().map(object).collect()
    }

    fn listed(query: &[(&str, &str)], names: &[&str]) -> (Vec<String>, Option<String>) {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let query: BTreeMap<String, String> = query.collect();
        let page = Listing::of(&query).page("b", &objects(names));
        let found = page.split("<Key>").skip(1).map(|rest| rest.split('<').next());
        let folders = page.split("<CommonPrefixes><Prefix>").skip(1);
        let found = found.chain(folders.map(|rest| rest.split('<').next()));
        let token = page.split_once("<NextContinuationToken>");
        let token = token.and_then(|(_, rest)| rest.split('<').next()).map(str::to_owned);
        (found.flatten().map(str::to_owned).collect(), token)
    }

    const NAMES: &[&str] = &["a/1", "a/2/x", "a/2/y", "a/3", "a/4/z"];

    #[test]
    fn folders_stand_for_what_is_in_them() {
        assert_eq!(listed(&[("prefix", "a/")], NAMES).0, NAMES);
        let folders = [("prefix", "a/"), ("delimiter", "/")];
        assert_eq!(listed(&folders, NAMES).0, ["a/1", "a/3", "a/2/", "a/4/"]);
        assert_eq!(listed(&[("start-after", "a/2/x")], NAMES).0, ["a/2/y", "a/3", "a/4/z"]);
    }

    #[test]
    fn pages_follow_one_another_without_a_gap() {
        for delimiter in ["", "/"] {
            let (mut pages, mut token) = (Vec::new(), String::new());
            loop {
                let query = [
                    ("prefix", "a/"),
                    ("delimiter", delimiter),
                    ("max-keys", "1"),
                    ("continuation-token", &token),
                ];
                let (found, next) = listed(&query, NAMES);
                assert_eq!(found.len(), 1);
                pages.extend(found);
                let Some(next) = next else { break };
                token = next;
            }
            let whole = if delimiter.is_empty() { 5 } else { 4 };
            assert_eq!(pages.len(), whole, "{pages:?}");
        }
    }
}
