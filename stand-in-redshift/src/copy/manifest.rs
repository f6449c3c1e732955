//! Lists of files. Source: Amazon Redshift Database Developer Guide, "Using a manifest to specify data files".

use serde_json::Value;

use super::{Failure, Format};

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) url: String,
    /// Whether it must be there.
    pub(crate) mandatory: bool,
    /// Its size, which columnar files need.
    pub(crate) bytes: Option<u64>,
}

/// The files of a list.
///
/// # Errors
/// What Redshift says of a list that is none.
pub(crate) fn entries(text: &[u8], format: Format) -> Result<Vec<Entry>, Failure> {
    let wrong = || Failure::said("Manifest file is not in correct json format", "code:      8001");
    let list: Value = serde_json::from_slice(text).map_err(|_| wrong())?;
    let list = list.get("entries").and_then(Value::as_array).ok_or_else(wrong)?;
    let mut entries = Vec::new();
    for entry in list {
        let url = entry.get("url").and_then(Value::as_str).ok_or_else(wrong)?;
        let bytes = entry.pointer("/meta/content_length").and_then(Value::as_u64);
        if format == Format::Parquet && bytes.is_none() {
            // Source: aws-lambda-redshift-loader, issue 221.
            return Err(Failure::said("File entry does not have 'meta' key", "code:      15003"));
        }
        entries.push(Entry {
            url: url.to_owned(),
            mandatory: entry.get("mandatory").and_then(Value::as_bool).unwrap_or(false),
            bytes,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_files_and_says_what_is_needed_of_them() {
        let text = br#"{"entries":[{"url":"s3://b/1","mandatory":true,"meta":{"content_length":5}},{"url":"s3://b/2"}]}"#;
        let found = entries(text, Format::Json).unwrap();
        assert_eq!(found[0], Entry { url: "s3://b/1".into(), mandatory: true, bytes: Some(5) });
        assert_eq!(found[1], Entry { url: "s3://b/2".into(), mandatory: false, bytes: None });
        assert!(entries(text, Format::Parquet).is_err());
        assert!(entries(b"{}", Format::Json).is_err() && entries(b"x", Format::Json).is_err());
    }
}
