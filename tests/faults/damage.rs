//! Packages whose files are damaged: refused with what to do, and left as they are.

use std::path::{Path, PathBuf};

use transload::ErrorKind;

use super::{count, pending, pipeline, rows};

/// Every file of a folder and of those below it.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        match entry.unwrap().path() {
            path if path.is_dir() => files.extend(files_of(&path)),
            path => files.push(path),
        }
    }
    files
}

#[tokio::test]
async fn no_file_of_a_package_is_torn_or_flipped_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = pending(folder, "host", rows(50)).await;
    let resume = async || pipeline(folder, "host", "none").resume().await;
    let mut refused = 0;
    // A manifest and the files of two tables. All others are hints that may be lost.
    let is_hint = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name == "receipt.json" || name.starts_with('@')
    };
    let files: Vec<_> = files_of(&package).into_iter().filter(|file| !is_hint(file)).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        let end = whole.len() - 1;
        let flipped = [0, 1, end / 4, end / 2, end / 3 * 2, end - 1, end].map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            bytes
        });
        let torn = [0, 1, end / 2, end].map(|at| whole[..at].to_vec());
        // A page that never came to the disk is a page of zeros.
        let blank = [0, end / 2].map(|at| {
            let mut bytes = whole.clone();
            bytes[at..].fill(0);
            bytes
        });
        let longer = [[&whole[..], b"\n"].concat()];
        for damaged in flipped.iter().chain(&torn).chain(&blank).chain(&longer) {
            std::fs::write(file, damaged).unwrap();
            let failed = resume().await.unwrap_err();
            assert_eq!(failed.error.kind(), ErrorKind::Terminal, "{}: {failed}", file.display());
            assert!(failed.error.hint().is_some(), "{failed}");
            assert_eq!(std::fs::read(file).unwrap(), *damaged, "nobody repairs or removes it");
            refused += 1;
        }
        std::fs::write(file, &whole).unwrap();
    }
    assert_eq!(refused, 3 * 14);
    resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 50);
    assert_eq!(count(folder, "select count(*) from d.t__tags"), 100);
}
