//! The lists of files that a copy reads: which files one statement can take, and the object that names them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{CopyJob, DataFile, Error, ErrorKind, FileFormat, Result, Sha256Hex, StagedFile};

/// How the names of lists begin, so that they are known among the files of a table.
pub const LIST_PREFIX: &str = "_files-";

/// A list of staged files for one statement of a destination that
/// [copies by list](crate::Capabilities::copies_by_list).
///
/// It is a function of the job: whoever stages it and whoever reads it find the same bytes under the same name. Its bytes
/// are a JSON object in the form in which Amazon's engines take lists of files, each with its size and as one that must
/// be there: `{"entries": [{"url", "mandatory", "meta": {"content_length"}}]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyList<'a> {
    /// The files, in the order of the job.
    pub files: Vec<&'a StagedFile>,
    /// The list itself as a file to stage, beside the files that it names.
    pub file: DataFile,
    /// Its key below the root of the storage.
    pub key: String,
    /// Its full URL.
    pub url: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl<'a> CopyList<'a> {
    /// The lists of a job: one, unless its files cannot be read by one statement. Those that can have the same format
    /// and compression, and the columns of each are the first ones of the longest: a table that grew while it was written.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] where a file has no folder to put a list into.
    pub fn of(job: &'a CopyJob) -> Result<Vec<Self>> {
        let mut groups: Vec<Vec<&StagedFile>> = Vec::new();
        for staged in &job.files {
            match groups.iter_mut().find(|group| group.iter().all(|known| together(known, staged)))
            {
                Some(group) => group.push(staged),
                None => groups.push(vec![staged]),
            }
        }
        groups.into_iter().map(Self::from_files).collect()
    }

    fn from_files(files: Vec<&'a StagedFile>) -> Result<Self> {
        let (Some(first), Some(key), Some(url)) = (
            files.first(),
            files.first().and_then(|file| file.key.rsplit_once('/')),
            files.first().and_then(|file| file.url.rsplit_once('/')),
        ) else {
            return Err(Error::new(ErrorKind::Bug, "a staged file lies in no folder"));
        };
        let entries: Vec<_> = files
            .iter()
            .map(|staged| {
                json!({
                    "url": staged.url,
                    "mandatory": true,
                    "meta": { "content_length": staged.file.bytes },
                })
            })
            .collect();
        let bytes = json!({ "entries": entries }).to_string().into_bytes();
        let sha256 = Sha256Hex::of(&bytes);
        let name = format!("{LIST_PREFIX}{}.json", sha256.short());
        Ok(Self {
            key: format!("{}/{name}", key.0),
            url: format!("{}/{name}", url.0),
            file: DataFile {
                table: first.file.table.clone(),
                name,
                format: FileFormat::Jsonl,
                gzip: false,
                rows: 0,
                bytes: bytes.len() as u64,
                sha256,
                columns: Vec::new(),
                bounds: BTreeMap::new(),
                longest: BTreeMap::new(),
            },
            bytes,
            files,
        })
    }

    /// The columns of the longest file.
    pub fn columns(&self) -> &'a [String] {
        let columns = self.files.iter().map(|staged| staged.file.columns.as_slice());
        columns.max_by_key(|columns| columns.len()).unwrap_or_default()
    }

    /// The rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|staged| staged.file.rows).sum()
    }
}

fn together(one: &StagedFile, other: &StagedFile) -> bool {
    let (one, other) = (&one.file, &other.file);
    let common = one.columns.len().min(other.columns.len());
    one.format == other.format
        && one.gzip == other.gzip
        && one.columns[..common] == other.columns[..common]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(number: usize, gzip: bool, columns: &[&str]) -> StagedFile {
        let sha256 = Sha256Hex::of(&[number as u8]);
        let name = DataFile::name_of(number, &sha256, FileFormat::Parquet, gzip);
        StagedFile {
            key: format!("d/p/1/t/{name}"),
            url: format!("s3://bucket/stage/d/p/1/t/{name}"),
            etag: None,
            file: DataFile {
                table: "t".into(),
                name,
                format: FileFormat::Parquet,
                gzip,
                rows: 3,
                bytes: 10 + number as u64,
                sha256,
                columns: columns.iter().map(|column| (*column).to_owned()).collect(),
                bounds: BTreeMap::new(),
                longest: BTreeMap::new(),
            },
        }
    }

    fn job(files: Vec<StagedFile>) -> CopyJob {
        CopyJob { table: "t".into(), files }
    }

    #[test]
    fn a_list_lies_beside_its_files_and_names_them() {
        let job = job(vec![staged(1, false, &["a"]), staged(2, false, &["a"])]);
        let lists = CopyList::of(&job).unwrap();
        let [list] = &lists[..] else { panic!("one list") };
        let text = String::from_utf8(list.bytes.clone()).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"entries\":[{{\"mandatory\":true,\"meta\":{{\"content_length\":11}},\"url\":\"{}\"}},\
                 {{\"mandatory\":true,\"meta\":{{\"content_length\":12}},\"url\":\"{}\"}}]}}",
                job.files[0].url, job.files[1].url
            )
        );
        assert!(list.key.starts_with("d/p/1/t/_files-"), "{}", list.key);
        assert_eq!(list.url, format!("s3://bucket/stage/{}", list.key));
        assert_eq!(list.file.sha256, Sha256Hex::of(&list.bytes));
        assert_eq!(list.rows(), 6);
        assert_eq!(CopyList::of(&job).unwrap(), lists, "it is a function of the job");
    }

    #[test]
    fn files_of_a_table_that_grew_stay_together_and_others_do_not() {
        let grown = job(vec![staged(1, false, &["a"]), staged(2, false, &["a", "b"])]);
        let lists = CopyList::of(&grown).unwrap();
        assert_eq!((lists.len(), lists[0].columns()), (1, &["a".to_owned(), "b".to_owned()][..]));
        let mixed = job(vec![
            staged(1, false, &["a"]),
            staged(2, false, &["b", "a"]),
            staged(3, false, &["a", "c"]),
            staged(4, true, &["a"]),
            staged(5, false, &["a", "d"]),
        ]);
        let sizes: Vec<usize> =
            CopyList::of(&mixed).unwrap().iter().map(|list| list.files.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
        assert!(CopyList::of(&job(Vec::new())).unwrap().is_empty());
    }
}
