//! Which files there are, and what they are called.

use std::fs;
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::ParquetMetaDataReader;
use arrow::array::{Array as _, Float64Array, Int64Array, RecordBatch, StringBuilder};
use transload_core::{Column, DataFile, DataType, ErrorKind, FileFormat};

use super::super::{TableWriter, Workers, WriteOptions};
use super::{batch, content, integers, names, options, parquet_rows, text, write};
use crate::ParquetCompression;

#[test]
fn files_are_cut_at_their_size_and_lose_nothing() {
    for format in FileFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let columns = [Column::new("n", DataType::Bigint).not_null()];
        let batches: Vec<RecordBatch> =
            (0..8).map(|i| batch(&columns, vec![integers(i * 5000, i * 5000 + 5000)])).collect();
        let batches: Vec<_> = batches.iter().map(|batch| (columns.as_slice(), batch)).collect();
        let files = write(options(format, folder.path(), 30_000), &batches);
        assert!(files.len() > 3, "{format}: {}", files.len());
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 40_000);
        for (index, file) in files.iter().enumerate() {
            let content = content(folder.path(), file);
            assert!(file.name.starts_with(&format!("{:06}-", index + 1)));
            assert!(file.bytes < 50_000, "{format}: {}", file.bytes);
            if format == FileFormat::Jsonl {
                assert_eq!(content.iter().filter(|byte| **byte == b'\n').count() as u64, file.rows);
            }
        }
        let mut expected: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }
}

#[test]
fn a_file_has_no_more_rows_than_it_may() {
    for format in FileFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let columns = [Column::new("n", DataType::Bigint)];
        let rows =
            [batch(&columns, vec![integers(0, 3000)]), batch(&columns, vec![integers(0, 5)])];
        let options =
            WriteOptions { file_rows: Some(1500), ..options(format, folder.path(), u64::MAX) };
        let files = write(options, &[(&columns, &rows[0]), (&columns, &rows[1])]);
        let rows: Vec<u64> = files.iter().map(|file| file.rows).collect();
        assert_eq!(rows, [1500, 1500, 5], "{format}");
        files.iter().for_each(|file| drop(content(folder.path(), file)));
    }
}

#[test]
fn parquet_is_compressed_as_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("n", DataType::Bigint)];
    let rows = batch(&columns, vec![integers(0, 5000)]);
    let compressions = [
        (ParquetCompression::Zstd(3), Compression::ZSTD(ZstdLevel::default())),
        (ParquetCompression::Snappy, Compression::SNAPPY),
        (ParquetCompression::None, Compression::UNCOMPRESSED),
    ];
    for (index, (compression, expected)) in compressions.into_iter().enumerate() {
        let folder = folder.path().join(index.to_string());
        let options =
            WriteOptions { compression, ..options(FileFormat::Parquet, &folder, u64::MAX) };
        let files = write(options, &[(&columns, &rows)]);
        assert_eq!(parquet_rows(&folder, &files[0]), rows);
        let opened = fs::File::open(folder.join(files[0].path())).unwrap();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&opened).unwrap();
        // A file does not say its level.
        let found = metadata.row_group(0).column(0).compression();
        assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&expected));
    }
}

#[test]
fn row_groups_have_the_rows_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("n", DataType::Bigint)];
    let rows = batch(&columns, vec![integers(0, 5000)]);
    let options = WriteOptions {
        row_group_rows: 2000,
        ..options(FileFormat::Parquet, folder.path(), u64::MAX)
    };
    let files = write(options, &[(&columns, &rows)]);
    let opened = fs::File::open(folder.path().join(files[0].path())).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&opened).unwrap();
    let groups: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [2000, 2000, 1000]);
}

/// Rows before and after a column came up, as dlt's own sample has them.
fn growing() -> [(Vec<Column>, RecordBatch); 2] {
    let before = vec![Column::new("a", DataType::Bigint), Column::new("b", DataType::Text)];
    let after = vec![
        Column::new("z", DataType::Double),
        Column::new("a", DataType::Bigint),
        Column::new("b", DataType::Text),
    ];
    let doubles = Arc::new(Float64Array::from(vec![2.5]));
    let first = batch(&before, vec![integers(1, 2), text(["it's \\ \n"])]);
    let second = batch(&after, vec![doubles, integers(2, 3), text(["y"])]);
    [(before, first), (after, second)]
}

#[test]
fn a_column_that_comes_up_early_makes_no_file_of_its_own() {
    let [(before, first), (after, second)] = growing();
    let content_of = |format| {
        let folder = tempfile::tempdir().unwrap();
        let options =
            WriteOptions { buffer_bytes: 1 << 20, ..options(format, folder.path(), u64::MAX) };
        let files = write(options, &[(&before, &first), (&after, &second)]);
        assert_eq!(files.len(), 1, "{format}");
        assert_eq!(files[0].columns, ["z", "a", "b"]);
        assert_eq!(files[0].rows, 2);
        if format == FileFormat::Parquet {
            let rows = parquet_rows(folder.path(), &files[0]);
            assert!(rows.column(0).is_null(0) && rows.column(0).is_valid(1));
            return String::new();
        }
        String::from_utf8(content(folder.path(), &files[0])).unwrap()
    };
    content_of(FileFormat::Parquet);
    assert_eq!(
        content_of(FileFormat::Jsonl),
        "{\"a\":1,\"b\":\"it's \\\\ \\n\"}\n{\"z\":2.5,\"a\":2,\"b\":\"y\"}\n"
    );
    assert_eq!(content_of(FileFormat::Csv), "z,a,b\n,1,\"it's \\ \n\"\n2.5,2,y\n");
    assert_eq!(
        content_of(FileFormat::InsertValues),
        "INSERT INTO {}(\"z\",\"a\",\"b\")\nVALUES\n(NULL,1,'it''s \\\\ \\n'),\n(2.5,2,'y');"
    );
}

#[test]
fn a_column_that_comes_up_late_begins_a_new_file() {
    for format in FileFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let [(before, first), (after, second)] = growing();
        let batches = [(before.as_slice(), &first), (&after, &second), (&after, &second)];
        let files = write(options(format, folder.path(), u64::MAX), &batches);
        let columns: Vec<usize> = files.iter().map(|file| file.columns.len()).collect();
        let rows: Vec<u64> = files.iter().map(|file| file.rows).collect();
        assert_eq!((columns, rows), (vec![2, 3], vec![1, 2]), "{format}");
    }
}

#[test]
fn rows_that_cannot_share_a_file_get_their_own() {
    let bigint = Column::new("a", DataType::Bigint);
    let stricter = [bigint.clone().not_null()];
    let added = [bigint.clone(), Column::new("b", DataType::Bigint).not_null()];
    let other_type = [Column::new("a", DataType::Text)];
    let plain = [bigint];
    let first = batch(&plain, vec![integers(0, 1)]);
    let batches = [
        batch(&stricter, vec![integers(1, 2)]),
        batch(&added, vec![integers(1, 2), integers(1, 2)]),
        batch(&other_type, vec![text(["x"])]),
    ];
    for (columns, rows) in [&stricter[..], &added[..], &other_type[..]].into_iter().zip(&batches) {
        let folder = tempfile::tempdir().unwrap();
        let options = WriteOptions::new(FileFormat::Parquet, folder.path());
        assert_eq!(write(options, &[(&plain, &first), (columns, rows)]).len(), 2);
    }
}

#[test]
fn the_same_rows_make_the_same_files() {
    let columns = [Column::new("n", DataType::Bigint), Column::new("t", DataType::Text)];
    let rows = |spare: usize| {
        let mut numbers = Int64Array::builder(3000 + spare);
        let mut texts = StringBuilder::with_capacity(3000 + spare, 9000 + spare);
        for n in 0..3000 {
            numbers.append_value(n);
            texts.append_value(format!("{}", n % 7));
        }
        batch(&columns, vec![Arc::new(numbers.finish()), Arc::new(texts.finish())])
    };
    for format in FileFormat::ALL {
        let [once, again] = [0, 1 << 20].map(|spare| {
            let folder = tempfile::tempdir().unwrap();
            let rows = rows(spare);
            let options = WriteOptions {
                gzip: true,
                buffer_bytes: 50_000,
                ..options(format, folder.path(), 20_000)
            };
            let files = write(options, &[(&columns, &rows), (&columns, &rows)]);
            for file in &files {
                content(folder.path(), file);
            }
            files
        });
        assert_eq!(once, again);
        let text = matches!(format, FileFormat::Jsonl | FileFormat::Csv);
        assert!(once.iter().all(|file| file.gzip == text && file.name.ends_with(".gz") == text));
    }
}

/// Batches of uneven sizes, with texts that repeat and texts that do not.
fn uneven(columns: &[Column]) -> Vec<RecordBatch> {
    let sizes = [1, 1500, 17, 1024, 2500, 1, 3000];
    let mut first = 0;
    let batches = sizes.map(|rows| {
        let mut texts = StringBuilder::new();
        let mut kinds = StringBuilder::new();
        for n in first..first + rows {
            texts.append_value(format!("text {} of {n}", n * 7919 % 10_007));
            kinds.append_value(["red", "green", "blue"][(n % 3) as usize]);
        }
        let arrays = vec![
            integers(first, first + rows),
            Arc::new(texts.finish()) as _,
            Arc::new(kinds.finish()) as _,
        ];
        first += rows;
        batch(columns, arrays)
    });
    batches.to_vec()
}

#[test]
fn any_number_of_workers_makes_the_same_files() {
    let columns = [
        Column::new("n", DataType::Bigint),
        Column::new("text", DataType::Text),
        Column::new("kind", DataType::Text),
    ];
    let batches = uneven(&columns);
    let batches: Vec<_> = batches.iter().map(|batch| (columns.as_slice(), batch)).collect();
    for format in FileFormat::ALL {
        for (file_bytes, gzip) in [(u64::MAX, true), (25_000, true), (40_000, false)] {
            let files = [0, 1, 2, 8].map(|threads| {
                let folder = tempfile::tempdir().unwrap();
                let options = WriteOptions {
                    gzip,
                    row_group_rows: 2000,
                    workers: Workers::new(threads).unwrap(),
                    ..options(format, folder.path(), file_bytes)
                };
                let files = write(options, &batches);
                for file in &files {
                    content(folder.path(), file);
                }
                files
            });
            assert_eq!(files[0].len() > 1, file_bytes < u64::MAX, "{format}");
            assert_eq!(files[0].iter().map(|file| file.rows).sum::<u64>(), 8043);
            assert!(files.iter().all(|other| *other == files[0]), "{format} {file_bytes}");
        }
    }
}

#[test]
fn a_file_has_about_the_size_that_was_asked_for() {
    let columns = [
        Column::new("n", DataType::Bigint),
        Column::new("text", DataType::Text),
        Column::new("kind", DataType::Text),
    ];
    let batches = uneven(&columns);
    let batches: Vec<_> = batches.iter().map(|batch| (columns.as_slice(), batch)).collect();
    for format in FileFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let options = WriteOptions { gzip: true, ..options(format, folder.path(), 40_000) };
        let files = write(options, &batches);
        let (_, whole) = files.split_last().unwrap();
        assert!(!whole.is_empty());
        for file in whole {
            // A page of Parquet is counted as it is before it is compressed, and small files have but one.
            let least = if format == FileFormat::Parquet { 1 } else { 32_000 };
            // The last 1024 rows, which are written as one, may take it over the size.
            assert!((least..80_000).contains(&file.bytes), "{format}: {}", file.bytes);
        }
    }
}

#[test]
fn blocks_are_one_stream_of_gzip() {
    let columns = [
        Column::new("n", DataType::Bigint),
        Column::new("t", DataType::Text),
        Column::new("k", DataType::Text),
    ];
    let batches = uneven(&columns);
    let batches: Vec<_> = batches.iter().map(|batch| (columns.as_slice(), batch)).collect();
    for format in [FileFormat::Jsonl, FileFormat::Csv] {
        let [packed, plain] = [true, false].map(|gzip| {
            let folder = tempfile::tempdir().unwrap();
            // Many blocks in one file.
            let options = WriteOptions { gzip, ..options(format, folder.path(), 10_000_000) };
            let files = write(options, &batches);
            assert_eq!(files.len(), 1);
            // `content` reads the first member alone.
            (content(folder.path(), &files[0]), files[0].bytes)
        });
        assert_eq!(packed.0, plain.0);
        assert!(packed.1 * 2 < plain.1);
    }
}

#[test]
fn what_a_worker_finds_is_an_error_of_the_table() {
    let columns = [Column::new("doc", DataType::Json)];
    let folder = tempfile::tempdir().unwrap();
    let options = WriteOptions {
        workers: Workers::new(2).unwrap(),
        ..options(FileFormat::Jsonl, folder.path(), u64::MAX)
    };
    let mut writer = TableWriter::new("t", Arc::new(options));
    let rows = batch(&columns, vec![text(["{}", "{"])]);
    let written = writer.write(&columns, &rows);
    let error = written.and_then(|()| writer.finish().map(drop)).unwrap_err();
    assert_eq!((error.kind(), error.context("table")), (ErrorKind::BadData, Some("t")));
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_table_without_rows_has_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("n", DataType::Bigint)];
    let rows = batch(&columns, vec![integers(0, 0)]);
    let files = write(options(FileFormat::Jsonl, folder.path(), 1), &[(&columns, &rows)]);
    assert_eq!(files, Vec::<DataFile>::new());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_dropped_writer_leaves_no_unfinished_file() {
    for format in FileFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let columns = [Column::new("n", DataType::Bigint)];
        let options = options(format, folder.path(), u64::MAX);
        let mut writer = TableWriter::new("t", Arc::new(options));
        writer.write(&columns, &batch(&columns, vec![integers(0, 9)])).unwrap();
        assert_eq!(names(folder.path()), [".1.part"]);
        drop(writer);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}

#[test]
fn insert_values_needs_literal_rules() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("n", DataType::Bigint)];
    let mut writer =
        TableWriter::new("t", Arc::new(WriteOptions::new(FileFormat::InsertValues, folder.path())));
    writer.write(&columns, &batch(&columns, vec![integers(0, 1)])).unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn values_that_a_column_does_not_take_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("doc", DataType::Json)];
    let options = Arc::new(options(FileFormat::Jsonl, folder.path(), u64::MAX));
    for not_json in ["", "{", "1 2", "nul", "'a'", "\"a\nb\""] {
        let mut writer = TableWriter::new("t", Arc::clone(&options));
        // Once the rows are enough for a block, or at the end.
        let written = writer.write(&columns, &batch(&columns, vec![text([not_json])]));
        let error = written.and_then(|()| writer.finish().map(drop)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{not_json}");
        assert_eq!((error.context("column"), error.context("table")), (Some("doc"), Some("t")));
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());

    let strict = [Column::new("n", DataType::Bigint).not_null()];
    let loose = [Column::new("n", DataType::Bigint)];
    let rows = batch(&loose, vec![Arc::new(Int64Array::from(vec![Some(1), None]))]);
    let mut writer = TableWriter::new("t", Arc::clone(&options));
    let error = writer.write(&strict, &rows).unwrap_err();
    assert_eq!((error.kind(), error.context("column")), (ErrorKind::BadData, Some("n")));
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Bug);

    let mut writer = TableWriter::new("t", options);
    assert_eq!(writer.write(&columns, &rows).unwrap_err().kind(), ErrorKind::Bug);
}
