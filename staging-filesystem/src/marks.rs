//! What every object is marked with that is written: its storage class and its tags.

use object_store::{Attribute, Attributes, PutMode, PutMultipartOptions, PutOptions, TagSet};
use transload_core::settings::Settings;
use transload_core::{Error, Result};

use crate::config::{FilesystemSettings, Root};

/// The marks of every object of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    attributes: Attributes,
    tags: TagSet,
}

/// Classes from which an object must be brought back before it can be read. Sources: Amazon S3, "Understanding and managing
/// storage classes"; Azure, "Access tiers for blob data".
const ARCHIVES: [&str; 3] = ["GLACIER", "DEEP_ARCHIVE", "Archive"];

impl Marks {
    /// The marks that the settings want.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](transload_core::ErrorKind::Configuration) for those that this store does not have.
    pub(crate) fn new(
        settings: &Settings,
        configured: &FilesystemSettings,
        root: &Root,
    ) -> Result<Self> {
        let is_s3 = matches!(root, Root::Bucket { .. });
        let lacks = |key: &str, stores: &str| -> Error {
            settings.wrong(key, format!("only {stores} has it")).with_hint("leave it out")
        };
        match configured.server_side_encryption.as_deref() {
            Some(_) if !is_s3 => return Err(lacks("server_side_encryption", "S3")),
            None | Some("AES256" | "aws:kms" | "aws:kms:dsse") => {}
            Some(_) => {
                let reason = "it is none of `AES256`, `aws:kms` and `aws:kms:dsse`";
                return Err(settings.wrong("server_side_encryption", reason));
            }
        }
        let by_kms = configured.server_side_encryption.as_deref();
        let by_kms = by_kms.is_some_and(|way| way.starts_with("aws:kms"));
        if configured.kms_key_id.is_some() && !by_kms {
            let reason = "it is for `server_side_encryption = \"aws:kms\"`, which is not set";
            return Err(settings.wrong("kms_key_id", reason));
        }
        let mut marks = Self::default();
        if let Some(class) = &configured.storage_class {
            if matches!(root, Root::Folder(_)) {
                return Err(lacks("storage_class", "a bucket or container"));
            }
            if ARCHIVES.iter().any(|archive| archive.eq_ignore_ascii_case(class)) {
                let reason =
                    "nothing can be read from an archive at once, and what is loaded is read back";
                return Err(settings.wrong("storage_class", reason));
            }
            if !class.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(settings.wrong("storage_class", "it is no storage class"));
            }
            marks.attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        if !configured.tags.is_empty()
            && !matches!(root, Root::Bucket { .. } | Root::Container { .. })
        {
            return Err(lacks("tags", "S3 or Azure"));
        }
        // Source: Amazon S3, "Categorizing your storage using tags"; Azure has the same limits.
        let fits = |(key, value): (&String, &String)| {
            (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256
        };
        if configured.tags.len() > 10 || !configured.tags.iter().all(fits) {
            let reason = "there are at most 10, with keys of 128 and values of 256 characters";
            return Err(settings.wrong("tags", reason));
        }
        for (key, value) in &configured.tags {
            marks.tags.push(key, value);
        }
        Ok(marks)
    }

    pub(crate) fn put_options(&self, mode: PutMode) -> PutOptions {
        let (attributes, tags) = (self.attributes.clone(), self.tags.clone());
        PutOptions { mode, attributes, tags, ..PutOptions::default() }
    }

    pub(crate) fn multipart_options(&self) -> PutMultipartOptions {
        let (attributes, tags) = (self.attributes.clone(), self.tags.clone());
        PutMultipartOptions { attributes, tags, ..PutMultipartOptions::default() }
    }
}

#[cfg(test)]
mod tests {
    use transload_core::ErrorKind;

    use super::*;
    use crate::config::root;

    fn marks(pairs: &[(&str, &str)]) -> Result<Marks> {
        let settings = Settings::from_pairs("filesystem", pairs);
        let configured: FilesystemSettings = settings.read()?;
        Marks::new(&settings, &configured, &root(&settings, &configured.bucket_url)?)
    }

    #[test]
    fn each_store_gets_the_marks_that_it_has() {
        let none = marks(&[("bucket_url", "/lake")]).unwrap();
        assert!(none.attributes.is_empty() && none.tags.encoded().is_empty());
        let class = ("storage_class", "NEARLINE");
        for url in ["s3://lake", "gs://lake", "az://lake"] {
            let marks = marks(&[("bucket_url", url), class]).unwrap();
            let options = marks.put_options(PutMode::Create);
            assert_eq!(options.mode, PutMode::Create);
            assert_eq!(
                options.attributes.get(&Attribute::StorageClass).unwrap(),
                &"NEARLINE".into()
            );
            assert_eq!(marks.multipart_options().attributes, options.attributes);
        }
        let tagged = [("bucket_url", "s3://lake"), ("tags", r#"{"team": "data & more"}"#)];
        assert_eq!(
            marks(&tagged).unwrap().put_options(PutMode::Create).tags.encoded(),
            "team=data+%26+more"
        );
        let kms = [("server_side_encryption", "aws:kms"), ("kms_key_id", "k")];
        assert!(marks(&[&[("bucket_url", "s3://lake")][..], &kms].concat()).is_ok());
    }

    #[test]
    fn what_a_store_does_not_have_is_refused() {
        let long = format!(r#"{{"{}": ""}}"#, "k".repeat(129));
        for (url, key, value) in [
            ("/lake", "storage_class", "STANDARD"),
            ("/lake", "tags", r#"{"a": "b"}"#),
            ("gs://lake", "tags", r#"{"a": "b"}"#),
            ("gs://lake", "server_side_encryption", "AES256"),
            ("az://lake", "server_side_encryption", "AES256"),
            ("s3://lake", "server_side_encryption", "rot13"),
            ("s3://lake", "kms_key_id", "k"),
            ("s3://lake", "storage_class", "DEEP_ARCHIVE"),
            ("az://lake", "storage_class", "archive"),
            ("s3://lake", "storage_class", "A\r\nB"),
            ("s3://lake", "tags", &long),
        ] {
            let error = marks(&[("bucket_url", url), (key, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let key = format!("destination.filesystem.{key}");
            assert_eq!(error.context("key"), Some(key.as_str()), "{url}");
        }
    }
}
