//! A file that counts and hashes what is written to it, and takes its name from the hash.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use transload_core::failpoint::around;
use transload_core::{Error, ErrorKind, Result, Sha256Hex, escape_segment};

/// A file under a temporary name. Dropped before it is sealed, it is removed.
#[derive(Debug)]
pub(super) struct PartFile {
    /// None while nobody writes to it.
    file: Option<File>,
    path: PathBuf,
    hash: Sha256,
    bytes: u64,
    /// Whether the file lies under its final name.
    sealed: bool,
}

/// What a sealed file is.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) name: String,
    pub(super) sha256: Sha256Hex,
    pub(super) bytes: u64,
}

impl PartFile {
    /// Creates the file with this number in the folder of the table.
    pub(super) fn create(package: &Path, table: &str, number: usize) -> Result<Self> {
        let folder = package.join(escape_segment(table));
        if !folder.is_dir() {
            around("create the folder of a table", || fs::create_dir_all(&folder))
                .and_then(|()| sync_folder(package))
                .map_err(|error| {
                    failed("could not create the folder of a table", &folder, 0, error)
                })?;
        }
        let path = folder.join(format!(".{number}.part"));
        // Two writers of one table would write into each other's files.
        let file = around("create a data file", || File::create_new(&path))
            .map_err(|error| failed("could not create a data file", &path, 0, error))?;
        Ok(Self { file: Some(file), path, hash: Sha256::new(), bytes: 0, sealed: false })
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The temporary name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets go of the handle until there is more to write.
    pub(super) fn rest(&mut self) {
        self.file = None;
    }

    fn file(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::options().append(true).open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    /// Brings the content to the disk and then gives it its name, so that a name never stands for half a file. The name
    /// itself becomes durable when the package is sealed: once for all files of a folder.
    pub(super) fn seal(mut self, name: impl FnOnce(&Sha256Hex) -> String) -> Result<Sealed> {
        let sha256 = Sha256Hex::from_digest(&self.hash.finalize_reset());
        let name = name(&sha256);
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        around("sync a data file", || self.file()?.sync_all())
            .and_then(|()| {
                around("rename a data file", || fs::rename(&self.path, folder.join(&name)))
            })
            .map_err(|error| {
                failed("could not complete a data file", &self.path, self.bytes, error)
            })?;
        self.sealed = true;
        Ok(Sealed { name, sha256, bytes: self.bytes })
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = around("write a data file", || self.file()?.write(bytes))?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.sealed {
            // It is one of an unsealed package, which means nothing to anybody; and there is nobody left to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The error for a file that could not be written, `bytes` into it.
pub(super) fn failed(
    message: &'static str,
    path: &Path,
    bytes: u64,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    let full = is_disk_full(&error);
    let failed = Error::new(ErrorKind::Terminal, message)
        .with("file", path.display())
        .with("bytes", bytes)
        .with_source(error);
    if full {
        failed.with_hint(
            "the disk or its quota is full: make room, or move the pipelines folder, and load again; \
             nothing of this load has reached the destination",
        )
    } else {
        failed
    }
}

/// Whether some cause of the error says so: Parquet wraps what the file answered.
fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Makes the entries of a folder as durable as the files that they name.
fn sync_folder(folder: &Path) -> io::Result<()> {
    around("sync a folder of files", || File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;
    use transload_core::{Column, DataType, FileFormat};

    use super::super::WriteOptions;
    use super::super::jsonl::Jsonl;
    use super::super::layout::Layout;
    use super::super::parquet::ParquetFile;
    use super::super::text::TextFile;
    use super::super::workers::Workers;
    use super::*;

    #[test]
    fn the_name_holds_the_hash_of_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = PartFile::create(folder.path(), "Orders", 7).unwrap();
        assert!(folder.path().join("%4frders/.7.part").exists());
        part.write_all(b"ab").unwrap();
        part.write_all(b"c").unwrap();
        let sealed = part.seal(|sha256| format!("7-{}", sha256.short())).unwrap();
        assert_eq!(sealed.sha256, Sha256Hex::of(b"abc"));
        assert_eq!(sealed.bytes, 3);
        assert_eq!(fs::read(folder.path().join("%4frders").join(&sealed.name)).unwrap(), b"abc");
        assert_eq!(fs::read_dir(folder.path().join("%4frders")).unwrap().count(), 1);
    }

    #[test]
    fn a_dropped_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = PartFile::create(folder.path(), "t", 1).unwrap();
        part.write_all(b"abc").unwrap();
        drop(part);
        assert_eq!(fs::read_dir(folder.path().join("t")).unwrap().count(), 0);
    }

    #[test]
    fn two_writers_of_one_table_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = PartFile::create(folder.path(), "t", 1).unwrap();
        let error = PartFile::create(folder.path(), "t", 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal);
        assert!(error.hint().is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_named_in_every_format() {
        let columns = [Column::new("n", DataType::Bigint)];
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
        let rows = RecordBatch::try_from_iter([("n", array)]).unwrap();
        let layout = Layout::of(&columns, &rows).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let part = || {
            let path = folder.path().join(".1.part");
            std::os::unix::fs::symlink("/dev/full", &path).unwrap();
            PartFile { file: None, path, hash: Sha256::new(), bytes: 0, sealed: false }
        };
        let text = |gzip| -> Result<PartFile> {
            let format = Arc::new(Jsonl::new(&layout));
            let mut file =
                TextFile::open(part(), format, &layout, gzip, u64::MAX, Workers::default())?;
            file.write(rows.clone(), 80)?;
            file.close()
        };
        let parquet = || -> Result<PartFile> {
            let options = WriteOptions::new(FileFormat::Parquet, "/no/such/folder");
            let mut file = ParquetFile::open(part(), &layout, &options, &[])?;
            file.write(&rows, 80)?;
            file.close()
        };
        let writes: [&dyn Fn() -> Result<PartFile>; 3] =
            [&|| text(false), &|| text(true), &parquet];
        for write in writes {
            let error = write().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Terminal);
            assert!(error.context("file").unwrap().ends_with("/.1.part"));
            assert_eq!(error.context("bytes"), Some("0"));
            assert!(error.hint().unwrap().contains("full"), "{error:?}");
        }
    }
}
