use std::io::Cursor;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

use super::*;

fn numbers(first: i64, count: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + count));
    let words: DictionaryArray<Int32Type> =
        (0..count).map(|n| if n % 2 == 0 { "even" } else { "odd" }).collect();
    RecordBatch::try_from_iter([("id", ids), ("word", Arc::new(words) as ArrayRef)]).unwrap()
}

fn stream(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        StreamWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<ArrowRows>> {
    ArrowReader::new(Cursor::new(bytes.to_vec()), "f.arrow")
        .map(|chunk| match chunk? {
            Chunk::Arrow(rows) => Ok(rows),
            _ => panic!("arrow"),
        })
        .collect()
}

fn reason(bytes: &[u8]) -> String {
    let error = read(bytes).unwrap_err();
    assert_eq!((error.kind(), error.context("code")), (ErrorKind::BadData, Some("E_ARROW")));
    error.context("reason").unwrap().to_owned()
}

#[test]
fn files_and_streams_are_told_apart_and_read() {
    let batches = [numbers(0, 3), numbers(3, 4)];
    for bytes in [
        stream(&batches, None),
        stream(&batches, Some(CompressionType::ZSTD)),
        stream(&batches, Some(CompressionType::LZ4_FRAME)),
        file(&[numbers(0, 3), numbers(3, 3)]),
    ] {
        let found = read(&bytes).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].first, found[1].first), (0, 3));
        assert_eq!(found[0].batch, batches[0]);
        assert_eq!(&*found[1].origin, "f.arrow");
    }
}

#[test]
fn large_batches_are_handed_on_in_parts() {
    let found = read(&stream(&[numbers(0, 100_000)], None)).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(
        found.iter().map(|rows| rows.first).collect::<Vec<_>>(),
        [0, 32_768, 65_536, 98_304]
    );
    let text = "x".repeat(1 << 20);
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..40).map(|_| &text)));
    let wide = RecordBatch::try_from_iter([("t", texts)]).unwrap();
    assert!(read(&stream(&[wide], None)).unwrap().len() >= 3);
}

#[test]
fn an_input_without_rows_still_has_its_columns() {
    for bytes in [stream(&[numbers(0, 0)], None), file(&[numbers(0, 0)])] {
        let [rows] = &read(&bytes).unwrap()[..] else { panic!("one batch") };
        assert_eq!((rows.batch.num_rows(), rows.batch.num_columns()), (0, 2));
    }
}

#[test]
fn a_stream_may_end_without_saying_so_but_a_file_may_not() {
    let bytes = stream(&[numbers(0, 5)], None);
    let rows = read(&bytes[..bytes.len() - 8]).unwrap();
    assert_eq!(rows[0].batch.num_rows(), 5);
    let bytes = file(&[numbers(0, 5)]);
    assert!(reason(&bytes[..bytes.len() - 3]).contains("ARROW1"));
}

#[test]
fn what_is_no_arrow_says_what_it_is() {
    assert!(reason(b"").contains("empty"));
    assert!(reason(b"{\"a\": 1}\n").contains("JSON"));
    assert!(reason(b"FEA1....").contains("first version of Feather"));
    assert!(reason(b"PAR1............").contains("neither"));
    assert!(reason(&[0xff; 6]).contains("cut short"));
}

#[test]
fn claims_are_not_believed() {
    // A description and a body of sizes that nothing has.
    let mut bytes = CONTINUATION.to_vec();
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(reason(&bytes).contains("4294967295"));
    let bomb = vec![0_u8; 16];
    let sizes = |length: i64| {
        let mut body = bomb.clone();
        body[..8].copy_from_slice(&length.to_le_bytes());
        check_unpacked(&body, &[(0, 16)])
    };
    assert!(matches!(sizes(i64::MAX), Err(Fault::Damaged(_))));
    assert!(sizes(1000).is_ok() && sizes(-1).is_ok());
    assert!(check_unpacked(&bomb, &[(8, 17)]).is_err());
}

#[test]
fn no_damage_is_a_crash() {
    let batches = [numbers(0, 20), numbers(20, 20)];
    for good in
        [stream(&batches, Some(CompressionType::ZSTD)), file(&[numbers(0, 20), numbers(20, 20)])]
    {
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                if let Err(error) = read(&bytes) {
                    assert_eq!(error.context("code"), Some("E_ARROW"), "{at} {error:?}");
                }
            }
        }
    }
}
