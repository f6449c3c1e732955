//! How files are written: the settings, and what they and the destinations make of it.

use std::path::Path;

use transload_core::settings::{Setting, SettingKind, Settings};
use transload_core::{Capabilities, FileFormat, Result, settings};

use crate::write::WriteOptions;

settings! {
    /// The settings under `[data_writer]`. Those under `[normalize.data_writer]` go before them.
    pub struct WriterSettings {
        /// Bytes at which a file is cut, as it is written. By default what the destination likes best.
        pub file_max_bytes: Option<u64>,
        /// Rows that a file has at most; files are then not spread over the slices of a destination. By default, and
        /// with 0, any number.
        pub file_max_items: Option<u64>,
        /// Whether text files are left uncompressed.
        pub disable_compression: bool = "false",
        /// How Parquet is compressed: `zstd`, with a level from 1 to 22 if wanted (`zstd(3)`), `snappy` or `none`.
        pub parquet_compression: ParquetCompression = "zstd(1)",
        /// Rows of a row group of Parquet, at most. By default what the destination likes best.
        pub row_group_size: Option<u64>,
    }
}

/// How Parquet is compressed. Every warehouse reads each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Zstandard of this level, from 1 to 22: small, and at level 1 about as fast as snappy.
    Zstd(u8),
    /// Snappy: larger files, read a little faster.
    Snappy,
    /// Not at all.
    None,
}

impl Setting for ParquetCompression {
    const KIND: SettingKind = SettingKind::Text;

    fn read(settings: &Settings, key: &str) -> Result<Self> {
        let text = String::read(settings, key)?;
        let level = |text: &str| {
            let level = text.strip_prefix("zstd(")?.strip_suffix(')')?.parse().ok()?;
            (1..=22).contains(&level).then_some(Self::Zstd(level))
        };
        match text.as_str() {
            "zstd" => Ok(Self::Zstd(1)),
            "snappy" => Ok(Self::Snappy),
            "none" => Ok(Self::None),
            text => level(text).ok_or_else(|| {
                settings.wrong(key, "expected zstd, zstd(1) to zstd(22), snappy or none")
            }),
        }
    }
}

/// Bytes of a file, where nobody says anything.
const FILE_BYTES: u64 = 128 << 20;

/// Rows of a row group, where nobody says anything: DuckDB's own number.
const ROW_GROUP_ROWS: usize = 122_880;

impl WriterSettings {
    /// How files of this format are written to this folder, for a destination that others may follow. What it likes
    /// best decides, but for slices and the lengths of texts: where only a follower wants them, the files are good for all.
    pub(super) fn options<'a>(
        &self,
        destination: &'a Capabilities,
        followers: impl IntoIterator<Item = &'a Capabilities>,
        format: FileFormat,
        folder: &Path,
    ) -> WriteOptions {
        let limit = |limit: Option<u64>| limit.filter(|limit| *limit > 0);
        let rows = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let row_group_size = limit(self.row_group_size).map(rows);
        let all: Vec<&Capabilities> = std::iter::once(destination).chain(followers).collect();
        WriteOptions {
            literals: destination.literals.clone(),
            file_bytes: self.file_max_bytes.or(destination.file_bytes).unwrap_or(FILE_BYTES),
            file_rows: limit(self.file_max_items),
            row_group_rows: row_group_size.or(destination.row_group_rows).unwrap_or(ROW_GROUP_ROWS),
            compression: self.parquet_compression,
            gzip: !self.disable_compression,
            sizes_text: all.iter().any(|capabilities| capabilities.sizes_text),
            slices: all.iter().find_map(|capabilities| capabilities.slices),
            ..WriteOptions::new(format, folder)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<WriterSettings> {
        Settings::from_pairs("data_writer", pairs).read()
    }

    #[test]
    fn a_compression_has_a_name_and_perhaps_a_level() {
        let compression = |text: &str| {
            read(&[("parquet_compression", text)]).map(|settings| settings.parquet_compression)
        };
        for (text, expected) in [
            ("zstd", ParquetCompression::Zstd(1)),
            ("zstd(22)", ParquetCompression::Zstd(22)),
            ("snappy", ParquetCompression::Snappy),
            ("none", ParquetCompression::None),
        ] {
            assert_eq!(compression(text).unwrap(), expected);
        }
        for wrong in ["", "gzip", "zstd(0)", "zstd(23)", "zstd()", "zstd(3", "Snappy"] {
            assert!(compression(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(&[]).unwrap().parquet_compression, ParquetCompression::Zstd(1));
    }

    #[test]
    fn settings_go_before_what_the_destination_likes() {
        let destination = Capabilities {
            file_bytes: Some(1000),
            row_group_rows: Some(10),
            ..Capabilities::default()
        };
        let options = |pairs: &[(&str, &str)], destination: &Capabilities| {
            let settings = read(pairs).unwrap();
            let options = settings.options(destination, [], FileFormat::Parquet, Path::new(""));
            (options.file_bytes, options.file_rows, options.row_group_rows)
        };
        assert_eq!(options(&[], &Capabilities::default()), (FILE_BYTES, None, ROW_GROUP_ROWS));
        assert_eq!(options(&[], &destination), (1000, None, 10));
        let set = [("file_max_bytes", "7"), ("file_max_items", "8"), ("row_group_size", "9")];
        assert_eq!(options(&set, &destination), (7, Some(8), 9));
        // As in dlt, 0 is no limit.
        let none = [("file_max_items", "0"), ("row_group_size", "0")];
        assert_eq!(options(&none, &destination), (1000, None, 10));
    }

    #[test]
    fn slices_of_a_follower_count_where_the_first_destination_has_none() {
        let sliced =
            |slices| Capabilities { slices: NonZeroUsize::new(slices), ..Capabilities::default() };
        let slices = |first: usize, followers: &[usize]| {
            let followers: Vec<_> = followers.iter().map(|slices| sliced(*slices)).collect();
            let settings = read(&[]).unwrap();
            settings.options(&sliced(first), &followers, FileFormat::Jsonl, Path::new("")).slices
        };
        assert_eq!(slices(4, &[8]), NonZeroUsize::new(4));
        assert_eq!(slices(0, &[0, 8]), NonZeroUsize::new(8));
        assert_eq!(slices(0, &[0]), None);
    }
}
