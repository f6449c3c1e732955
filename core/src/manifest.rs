//! The manifest: what seals a load package, and what says what lies in the staging storage.
//!
//! Everything that follows the seal is a function of the manifest and of the destination's answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bounds, Dataset, Error, ErrorKind, FileFormat, LoadId, Result, Schema, Sha256Hex};

/// The version of the manifest's format that is written.
pub const MANIFEST_VERSION: u32 = 1;

/// The name of the object that holds the manifest, under the load's prefix.
pub const MANIFEST_NAME: &str = "_manifest.json";

/// One data file of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The table whose rows it holds.
    pub table: String,
    /// Its name: a number and the beginning of its hash, so that the same content has the same name.
    pub name: String,
    /// Its format.
    pub format: FileFormat,
    /// Whether it is compressed as a whole by gzip, as text formats are.
    #[serde(default)]
    pub gzip: bool,
    /// Rows.
    pub rows: u64,
    /// Bytes, as it lies on the disk.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Sha256Hex,
    /// The columns that it has, in their order. The other columns of the table are NULL in its rows, but for those that
    /// the destination fills: where rows are merged by `scd2`, the ones with the hints `x-valid-from` and `x-valid-to`.
    pub columns: Vec<String>,
    /// What is known of the values of its columns: of those that are part of a primary or merge key, or have the hint
    /// `partition`, `cluster` or `sort`. A column without bounds may have any values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, Bounds>,
    /// Bytes of the longest value of its columns of text, for a destination that
    /// [sizes](crate::Capabilities::sizes_text) them. A column that is not here may have values of any length.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub longest: BTreeMap<String, u64>,
}

impl DataFile {
    /// The name of a file of this content.
    pub fn name_of(number: usize, sha256: &Sha256Hex, format: FileFormat, gzip: bool) -> String {
        format!(
            "{number:06}-{}.{}{}",
            sha256.short(),
            format.extension(),
            if gzip { ".gz" } else { "" }
        )
    }

    /// The bounds of a column in this file. One that came up after the file was written is NULL in all its rows.
    pub fn bounds_of(&self, column: &str) -> Option<Bounds> {
        if self.columns.iter().any(|known| known == column) {
            self.bounds.get(column).cloned()
        } else {
            Some(Bounds::of_nulls(self.rows))
        }
    }

    /// The path below the folder of the package, and below the prefix of the load in a staging storage.
    pub fn path(&self) -> String {
        format!("{}/{}", escape_segment(&self.table), self.name)
    }
}

/// The state of a pipeline, as one row of `_dlt_pipeline_state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRow {
    /// Counts the changes.
    pub version: u64,
    /// The version of the format.
    pub engine_version: u64,
    /// The pipeline.
    pub pipeline_name: String,
    /// The state as dlt stores it: JSON, deflated by zlib, in base64.
    pub state: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The hash of the state.
    pub version_hash: String,
    /// The `_dlt_id` of the row.
    pub dlt_id: String,
}

/// What a load is: its files, its schema, and the state of the pipeline after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format: [`MANIFEST_VERSION`].
    pub manifest_version: u32,
    /// The load.
    pub load_id: LoadId,
    /// The pipeline.
    pub pipeline: String,
    /// Where the load goes.
    pub dataset: Dataset,
    /// When it was sealed, RFC 3339, UTC, to the microsecond. It is also the time that the system tables show.
    pub created_at: String,
    /// The name of the destination for which the files were made.
    pub destination: String,
    /// [`Destination::identity`](crate::Destination::identity): the place that the load was made for.
    pub place: String,
    /// The load that the dataset named as the last one of this pipeline when this one was made. Loads are published in
    /// the order in which they were made, or not at all.
    pub previous: Option<LoadId>,
    /// The name of the staging destination that the files go through, if they go through one.
    #[serde(default)]
    pub staging: Option<String>,
    /// The format of the files.
    pub format: FileFormat,
    /// Root tables that this load touches, those without rows too: a replaced table with none becomes empty.
    pub tables: Vec<String>,
    /// The files.
    pub files: Vec<DataFile>,
    /// The schema after this load.
    pub schema: Schema,
    /// The state after this load, where it has changed.
    pub state: Option<StateRow>,
}

impl Manifest {
    /// The JSON, with a checksum of all that follows as its first entry.
    fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self).expect("a manifest has only text keys");
        let rest = [json.strip_prefix(b"{\n").unwrap_or(&json), b"\n"].concat();
        let checksum = Sha256Hex::of(&rest);
        [CHECKSUM.as_bytes(), checksum.as_str().as_bytes(), CHECKSUM_END.as_bytes(), &rest].concat()
    }

    /// Seals the manifest: from here on its bytes are what counts.
    pub fn seal(self) -> SealedManifest {
        SealedManifest { bytes: self.to_bytes(), manifest: self }
    }

    /// Rows of one table.
    pub fn rows_of(&self, table: &str) -> u64 {
        self.files.iter().filter(|file| file.table == table).map(|file| file.rows).sum()
    }

    /// The bounds of a column over all files of a table. `None` where they are not known for one of them, and where
    /// there is no file.
    pub fn bounds_of(&self, table: &str, column: &str) -> Option<Bounds> {
        let data_type = self.schema.tables.get(table)?.columns.get(column)?.data_type?;
        let mut files = self.files.iter().filter(|file| file.table == table);
        let first = files.next()?.bounds_of(column)?;
        files.try_fold(first, |joined, file| joined.joined(file.bounds_of(column)?, data_type))
    }

    /// Bytes of the longest text of a column over all files of a table: 0 where it has none. `None` where it is not known
    /// for one of them.
    pub fn longest_of(&self, table: &str, column: &str) -> Option<u64> {
        let mut files = self.files.iter().filter(|file| file.table == table);
        files.try_fold(0, |longest: u64, file| {
            // A column that came up after the file was written is NULL in all its rows.
            let is_there = file.columns.iter().any(|known| known == column);
            let of_file = if is_there { *file.longest.get(column)? } else { 0 };
            Some(longest.max(of_file))
        })
    }

    /// The prefix of this load below the root of a staging storage, without a slash at its end:
    /// `<dataset>/<pipeline>/<load_id>`. Nothing but this load ever writes under it.
    pub fn prefix(&self) -> String {
        [self.dataset.name.as_str(), &self.pipeline, self.load_id.as_str()]
            .map(escape_segment)
            .join("/")
    }

    /// The key of a file below the root of a staging storage.
    pub fn key_of(&self, file: &DataFile) -> String {
        format!("{}/{}", self.prefix(), file.path())
    }

    /// The key of the manifest itself below the root of a staging storage.
    pub fn key(&self) -> String {
        format!("{}/{MANIFEST_NAME}", self.prefix())
    }
}

/// A manifest with the bytes in which it is sealed, uploaded and hashed.
///
/// The bytes are kept as they were read: another version of this crate would write the same manifest in other bytes, and
/// take its own load for somebody else's.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedManifest {
    manifest: Manifest,
    bytes: Vec<u8>,
}

impl std::ops::Deref for SealedManifest {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.manifest
    }
}

impl SealedManifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where it is damaged, of a newer format, or names files outside its folder.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let damaged = || {
            Error::new(ErrorKind::Terminal, "the manifest of the package is damaged")
                .with_hint("nothing was loaded from it; load its source again, or restore the file")
        };
        // A name that was written without its content: the machine stopped before the package was sealed.
        let was_sealed = bytes.iter().any(|byte| *byte != 0);
        let code = if was_sealed { "E_PACKAGE_DAMAGED" } else { "E_PACKAGE_UNSEALED" };
        // JSON with a flipped bit is often JSON still.
        if let Some((checksum, rest)) = checksum_of(&bytes)
            && checksum != Sha256Hex::of(rest).as_str().as_bytes()
        {
            return Err(damaged()
                .with("code", "E_PACKAGE_DAMAGED")
                .with("reason", "its content is not what its checksum says"));
        }
        let version = serde_json::from_slice::<VersionOnly>(&bytes)
            .map_err(|error| damaged().with("code", code).with_source(error))?;
        if version.manifest_version > MANIFEST_VERSION {
            return Err(Error::new(
                ErrorKind::Terminal,
                "the manifest was written by a newer version",
            )
            .with("code", "E_PACKAGE_FORMAT")
            .with("format", version.manifest_version)
            .with("understood", MANIFEST_VERSION)
            .with_hint("resume the load with the version that wrote it, or a newer one"));
        }
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| damaged().with("code", code).with_source(error))?;
        for file in &manifest.files {
            if file.name.contains(['/', '\\', '\0'])
                || matches!(file.name.as_str(), "" | "." | "..")
            {
                return Err(damaged()
                    .with("code", "E_PACKAGE_PATH")
                    .with("file", &file.name)
                    .with("reason", "the name leaves the folder"));
            }
        }
        Ok(Self { manifest, bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the bytes: what makes this load this load.
    pub fn digest(&self) -> Sha256Hex {
        Sha256Hex::of(&self.bytes)
    }
}

const CHECKSUM: &str = "{\n  \"checksum\": \"";
const CHECKSUM_END: &str = "\",\n";

/// The checksum that a manifest begins with, and what it is of. Those of earlier versions have none.
fn checksum_of(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (checksum, rest) = bytes.strip_prefix(CHECKSUM.as_bytes())?.split_at_checked(64)?;
    Some((checksum, rest.strip_prefix(CHECKSUM_END.as_bytes())?))
}

#[derive(Deserialize)]
struct VersionOnly {
    manifest_version: u32,
}

/// A name as one segment of a path or key: what is not a letter, digit, `_`, `-` or `.` is percent-encoded, and a
/// segment of dots alone too, so that no name can leave its folder or run into another.
///
/// A long name is cut, and told apart by its hash: a file system has room for 255 bytes.
///
/// Capital letters are encoded as well (`%41` for `A`): two names that differ only in case must not become one file
/// on a file system that folds it.
pub fn escape_segment(name: &str) -> String {
    let dots = name.chars().all(|c| c == '.');
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => out.push(byte as char),
            b'.' if !dots => out.push('.'),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    if out.len() > LONGEST_SEGMENT {
        out.truncate(LONGEST_SEGMENT - 17);
        out.push('-');
        out.push_str(Sha256Hex::of(name.as_bytes()).short());
    }
    out
}

/// Bytes of the longest segment that [`escape_segment`] makes.
const LONGEST_SEGMENT: usize = 180;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, Table, WriteDisposition};

    fn manifest() -> Manifest {
        let mut schema = Schema::from_json(include_str!("../tests/data/dlt-schema.json")).unwrap();
        let mut table = Table::root("t", WriteDisposition::Append);
        table.put(crate::Column::new("a", DataType::Bigint));
        schema.tables.insert("t".into(), table);
        let sha256 = Sha256Hex::of(b"rows");
        Manifest {
            manifest_version: MANIFEST_VERSION,
            load_id: LoadId::new("1795369539.5"),
            pipeline: "chess pipeline".into(),
            dataset: Dataset::new("d"),
            created_at: "2026-11-22T17:45:39.736473Z".into(),
            destination: "duckdb".into(),
            place: "/d.duckdb".into(),
            previous: None,
            staging: None,
            format: FileFormat::Parquet,
            tables: vec!["t".into()],
            files: vec![DataFile {
                table: "t".into(),
                name: DataFile::name_of(1, &sha256, FileFormat::Parquet, false),
                format: FileFormat::Parquet,
                gzip: false,
                rows: 3,
                bytes: 4,
                sha256,
                columns: vec!["a".into()],
                bounds: BTreeMap::new(),
                longest: BTreeMap::new(),
            }],
            schema,
            state: None,
        }
    }

    #[test]
    fn the_longest_text_of_a_table_is_that_of_its_files_or_unknown() {
        let mut manifest = manifest();
        assert_eq!(manifest.longest_of("t", "a"), None, "nobody measured");
        assert_eq!(manifest.longest_of("t", "later"), Some(0));
        assert_eq!(manifest.longest_of("other", "a"), Some(0));
        let mut other = manifest.files[0].clone();
        manifest.files[0].longest.insert("a".into(), 7);
        other.longest.insert("a".into(), 9);
        manifest.files.push(other.clone());
        assert_eq!(manifest.longest_of("t", "a"), Some(9));
        manifest.files.push(DataFile { longest: BTreeMap::new(), ..other });
        assert_eq!(manifest.longest_of("t", "a"), None);
    }

    #[test]
    fn keys_lie_under_a_prefix_of_the_loads_own() {
        let manifest = manifest();
        assert_eq!(
            manifest.key_of(&manifest.files[0]),
            "d/chess%20pipeline/1795369539.5/t/000001-bc51e9e65d79e1c9.parquet"
        );
        assert_eq!(manifest.key(), "d/chess%20pipeline/1795369539.5/_manifest.json");
    }

    #[test]
    fn a_manifest_comes_back_with_the_same_digest() {
        let manifest = manifest();
        let back = SealedManifest::from_bytes(manifest.to_bytes()).unwrap();
        assert_eq!(*back, manifest);
        assert_eq!(back.digest(), manifest.seal().digest());
        assert_eq!(back.rows_of("t"), 3);
    }

    #[test]
    fn bounds_are_joined_over_the_files_of_a_table() {
        let mut manifest = manifest();
        assert_eq!(manifest.bounds_of("t", "a"), None, "no file says anything");
        let of = |least: &str, greatest: &str| Bounds {
            least: Some(least.into()),
            greatest: Some(greatest.into()),
            nulls: 0,
            distinct: None,
        };
        manifest.files[0].bounds.insert("a".into(), of("9", "10"));
        let mut second = manifest.files[0].clone();
        second.bounds.insert("a".into(), of("-1", "2"));
        manifest.files.push(second);
        assert_eq!(manifest.bounds_of("t", "a"), Some(of("-1", "10")));
        // A file that has no such column has NULLs alone.
        let mut third = manifest.files[0].clone();
        (third.columns, third.bounds) = (vec!["b".into()], BTreeMap::new());
        manifest.files.push(third);
        assert_eq!(manifest.bounds_of("t", "a"), Some(Bounds { nulls: 3, ..of("-1", "10") }));
        let back = SealedManifest::from_bytes(manifest.to_bytes()).unwrap();
        assert_eq!(*back, manifest);

        manifest.files[1].bounds.clear();
        assert_eq!(manifest.bounds_of("t", "a"), None, "one file may have any values");
        assert_eq!(manifest.bounds_of("t", "nosuch"), None);
        assert_eq!(manifest.bounds_of("nosuch", "a"), None);
    }

    #[test]
    fn a_manifest_of_another_version_keeps_its_digest() {
        let text = String::from_utf8(manifest().to_bytes()).unwrap();
        let (_, rest) = text.split_once(CHECKSUM_END).unwrap();
        let older = format!("{{\n{rest}").replace("  \"staging\": null,\n", "");
        assert_ne!(older, text);
        let digest = Sha256Hex::of(older.as_bytes());
        let sealed = SealedManifest::from_bytes(older.into_bytes()).unwrap();
        assert_eq!(sealed.digest(), digest);
        assert_eq!(sealed.staging, None);
    }

    #[test]
    fn no_byte_of_a_manifest_is_flipped_unseen() {
        let bytes = manifest().to_bytes();
        for at in (0..200).chain((200..bytes.len()).step_by(17)) {
            for mask in [1, 0x20] {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                if let Ok(read) = SealedManifest::from_bytes(flipped) {
                    // It was the name of the checksum, or white space before it.
                    assert!(at < CHECKSUM.len() && *read == manifest(), "{at}");
                }
            }
        }
    }

    #[test]
    fn damaged_newer_and_foreign_manifests_are_refused() {
        let bytes = manifest().to_bytes();
        assert_eq!(
            SealedManifest::from_bytes(bytes[..bytes.len() / 2].to_vec()).unwrap_err().kind(),
            ErrorKind::Terminal
        );
        assert_eq!(SealedManifest::from_bytes(Vec::new()).unwrap_err().kind(), ErrorKind::Terminal);
        let mut newer = manifest();
        newer.manifest_version = 99;
        assert_eq!(
            SealedManifest::from_bytes(newer.to_bytes()).unwrap_err().context("format"),
            Some("99")
        );
        let mut escaping = manifest();
        escaping.files[0].name = "../../etc/passwd".into();
        assert!(
            SealedManifest::from_bytes(escaping.to_bytes()).unwrap_err().context("file").is_some()
        );
    }

    #[test]
    fn no_name_leaves_its_segment() {
        for (name, segment) in [
            ("players", "players"),
            ("..", "%2e%2e"),
            ("a/b", "a%2fb"),
            ("Ä", "%c3%84"),
            ("T", "%54"),
            ("a.b", "a.b"),
        ] {
            assert_eq!(escape_segment(name), segment);
        }
        let (one, two) = ("a".repeat(300), "a".repeat(301));
        assert_eq!(escape_segment(&one).len(), 180);
        assert_ne!(escape_segment(&one), escape_segment(&two));
    }
}
