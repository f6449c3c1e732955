//! Files that are spread over the slices of a destination.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch, StringBuilder};
use arrow::datatypes::Int64Type;
use transload_core::{Column, DataFile, DataType, FileFormat};

use super::super::{TableWriter, Workers, WriteOptions};
use super::{batch, content, integers, names, options, parquet_rows, write};

/// Bytes of a file, at most, and an eighth of it: at least.
const MOST: u64 = 64_000;
const LEAST: u64 = MOST / 8;

const FORMATS: [FileFormat; 3] = [FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv];

fn columns() -> [Column; 2] {
    [Column::new("n", DataType::Bigint).with_hint("sort"), Column::new("t", DataType::Text)]
}

/// So many rows that hardly become smaller, in small batches.
fn rows(count: i64) -> Vec<RecordBatch> {
    let first = (0..count).step_by(64);
    let of = |from: i64| {
        let to = count.min(from + 64);
        let mut texts = StringBuilder::new();
        for n in from..to {
            let hash = n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64).rotate_left(31);
            texts.append_value(format!("{:016x}", hash.wrapping_mul(0x2545_F491_4F6C_DD1D)));
        }
        batch(&columns(), vec![integers(from, to), Arc::new(texts.finish())])
    };
    first.map(of).collect()
}

fn spread(format: FileFormat, folder: &Path, slices: usize) -> WriteOptions {
    WriteOptions { gzip: true, slices: NonZeroUsize::new(slices), ..options(format, folder, MOST) }
}

fn written(options: WriteOptions, rows: &[RecordBatch]) -> Vec<DataFile> {
    let columns = columns();
    let batches: Vec<_> = rows.iter().map(|rows| (columns.as_slice(), rows)).collect();
    write(options, &batches)
}

/// The numbers in a file.
fn numbers(folder: &Path, file: &DataFile) -> Vec<i64> {
    if file.format == FileFormat::Parquet {
        return parquet_rows(folder, file).column(0).as_primitive::<Int64Type>().values().to_vec();
    }
    let text = String::from_utf8(content(folder, file)).unwrap();
    let lines = text.lines().filter(|line| *line != "n,t");
    let number = |line: &str| -> i64 {
        let rest = line.trim_start_matches("{\"n\":");
        rest.split(',').next().unwrap().parse().unwrap()
    };
    lines.map(number).collect()
}

#[test]
fn files_come_in_multiples_of_the_slices_and_lose_nothing() {
    for format in FORMATS {
        for slices in [1, 3, 8] {
            for count in [1, 300, 1000, 4000, 12_000, 40_000] {
                let folder = tempfile::tempdir().unwrap();
                let files = written(spread(format, folder.path(), slices), &rows(count));
                let what = format!("{format}, {slices} slices, {count} rows");
                let sizes: Vec<u64> = files.iter().map(|file| file.bytes).collect();
                let total: u64 = sizes.iter().sum();
                if total > 2 * LEAST * slices as u64 {
                    assert_eq!(files.len() % slices, 0, "{what}: {sizes:?}");
                } else {
                    assert!(files.len() <= slices, "{what}: {sizes:?}");
                }
                let (least, most) = (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap());
                assert!(files.len() == 1 || least >= LEAST, "{what}: {sizes:?}");
                assert!(most <= MOST, "{what}: {sizes:?}");
                if files.len() == slices && total > 4 * LEAST * slices as u64 {
                    assert!(most * 2 <= least * 3, "{what}: {sizes:?}");
                }
                let mut all = Vec::new();
                for file in &files {
                    let of_file = numbers(folder.path(), file);
                    assert_eq!(of_file.len() as u64, file.rows, "{what}");
                    let bounds = &file.bounds["n"];
                    assert_eq!(bounds.least, of_file.iter().min().map(i64::to_string), "{what}");
                    assert_eq!(bounds.greatest, of_file.iter().max().map(i64::to_string), "{what}");
                    all.extend(of_file);
                }
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>(), "{what}");
                let mut expected: Vec<String> = files.into_iter().map(|file| file.name).collect();
                expected.sort();
                assert_eq!(names(folder.path()), expected, "{what}");
            }
        }
    }
}

#[test]
fn what_waits_in_memory_is_bounded_by_the_slices_and_only_behind_full_files() {
    for format in FORMATS {
        for slices in [1, 6] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = TableWriter::new("t", Arc::new(spread(format, folder.path(), slices)));
            let (mut first, mut later) = (0, 0);
            for rows in rows(40_000) {
                writer.write(&columns(), &rows).unwrap();
                let waiting = writer.spread.as_ref().unwrap().waiting_bytes();
                let most = if writer.opened < slices { &mut first } else { &mut later };
                *most = waiting.max(*most);
            }
            let what = format!("{format}, {slices} slices: {first}, {later}");
            assert!(first < LEAST, "{what}");
            assert!(later > LEAST / 2 && later < 2 * LEAST * slices as u64, "{what}");
        }
    }
}

#[test]
fn any_number_of_workers_spreads_the_same_files() {
    let rows = rows(10_000);
    for format in FORMATS {
        let files = [0, 1, 4].map(|threads| {
            let folder = tempfile::tempdir().unwrap();
            let workers = Workers::new(threads).unwrap();
            written(WriteOptions { workers, ..spread(format, folder.path(), 3) }, &rows)
        });
        assert!(files[0].len() > 1, "{format}");
        assert!(files.iter().all(|other| *other == files[0]), "{format}");
    }
}

#[test]
fn statements_and_files_of_so_many_rows_are_not_spread() {
    let rows = rows(1000);
    let folder = tempfile::tempdir().unwrap();
    let statements = spread(FileFormat::InsertValues, folder.path(), 3);
    assert_eq!(written(statements, &rows).len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let options =
        WriteOptions { file_rows: Some(250), ..spread(FileFormat::Jsonl, folder.path(), 3) };
    assert_eq!(written(options, &rows).len(), 4);
}

#[test]
fn a_column_that_comes_up_late_ends_the_files_that_are_spread() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let mut more = columns().to_vec();
        more.push(Column::new("late", DataType::Bigint));
        let before = rows(3000);
        let after: Vec<RecordBatch> = rows(3000)
            .iter()
            .map(|rows| {
                let mut arrays = rows.columns().to_vec();
                arrays.push(Arc::clone(rows.column(0)));
                batch(&more, arrays)
            })
            .collect();
        let mut writer = TableWriter::new("t", Arc::new(spread(format, folder.path(), 2)));
        before.iter().for_each(|rows| writer.write(&columns(), rows).unwrap());
        after.iter().for_each(|rows| writer.write(&more, rows).unwrap());
        let files = writer.finish().unwrap();
        let columns: Vec<usize> = files.iter().map(|file| file.columns.len()).collect();
        assert_eq!(columns, [2, 2, 3, 3], "{format}");
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 6000, "{format}");
    }
}

#[test]
fn a_dropped_writer_leaves_none_of_the_files_that_are_spread() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TableWriter::new("t", Arc::new(spread(format, folder.path(), 3)));
        rows(4000).iter().for_each(|rows| writer.write(&columns(), rows).unwrap());
        assert_eq!(names(folder.path()), [".1.part", ".2.part", ".3.part"], "{format}");
        drop(writer);
        assert_eq!(names(folder.path()), Vec::<String>::new(), "{format}");
    }
}
