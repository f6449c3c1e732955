//! Rows and texts come back as they were written, in every format.

use super::table;
use crate::conformance::case::{Case, Failure, NULL, Outcome, cases, rows};
use crate::conformance::package::{Chain, Part};
use crate::conformance::world::World;
use crate::{DataType, FileFormat};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("values", []:
        a_file_without_rows_brings_none,
        files_with_and_without_rows_are_one_load,
        null_and_empty_are_two_things,
        every_odd_character_comes_back,
        texts_that_look_like_something_else_stay_texts,
        a_long_text_comes_back,
        many_rows_come_back,
        a_compressed_file_is_read,
        json_comes_back,
        a_row_of_nothing_is_a_row,
    )
}

fn texts() -> crate::Table {
    table("t", &[("id", DataType::Bigint), ("text", DataType::Text)])
}

async fn a_file_without_rows_brings_none(world: &mut World) -> Outcome {
    world.put(texts());
    world.append("t", rows![]).await?;
    world.expect("t", &["id", "text"], rows![]).await
}

async fn files_with_and_without_rows_are_one_load(world: &mut World) -> Outcome {
    world.put(texts());
    let files = [
        world.file("t", &["id", "text"], rows![])?,
        world.file("t", &["id", "text"], rows![[1, "a"]])?,
        world.file("t", &["id", "text"], rows![])?,
    ];
    world.load(vec![Chain::append(Part::of("t", files))]).await?;
    world.expect("t", &["id", "text"], rows![[1, "a"]]).await
}

async fn null_and_empty_are_two_things(world: &mut World) -> Outcome {
    world.put(texts());
    let all = rows![[1, NULL], [2, ""], [3, " "], [NULL, "x"]];
    world.append("t", all.clone()).await?;
    world.expect("t", &["id", "text"], all).await
}

async fn every_odd_character_comes_back(world: &mut World) -> Outcome {
    world.put(texts());
    // All but NUL, which many engines have no place for.
    let controls: String = (1..32).map(|code| char::from(code as u8)).collect();
    let all = rows![
        [1, "it's \"quoted\" and `ticked`"],
        [2, "back\\slash, \\n, \\\\, \\N, \\'"],
        [3, "line\nend\r\nand\ttab"],
        [4, " blanks around "],
        [5, "😀 Ünïcödé 表 \u{202e}right to left\u{202c} e\u{301}"],
        [6, controls],
        [7, "\u{feff}a mark"],
        [8, "\u{7f}\u{80}\u{a0}\u{2028}\u{fffd}\u{10ffff}"],
        [9, "\""],
        [10, "'"],
        [11, "\\"],
        [12, "\n"],
        [13, ",;|\t"],
    ];
    world.append("t", all.clone()).await?;
    world.expect("t", &["id", "text"], all).await
}

async fn texts_that_look_like_something_else_stay_texts(world: &mut World) -> Outcome {
    world.put(texts());
    let all: Vec<crate::sql::Row> = [
        "NULL",
        "null",
        "\\N",
        "None",
        "NaN",
        "true",
        "1",
        "01",
        "1e5",
        "2024-01-01",
        "{}",
        "[1]",
        "$1",
        "?",
        "%s",
        ":x",
        "'); DROP TABLE t; --",
        "/* */",
        "--",
        "${HOME}",
        "<a>&amp;</a>",
        "=1+1",
        "0x00",
    ]
    .iter()
    .enumerate()
    .map(|(number, text)| vec![Some(number.to_string()), Some((*text).to_owned())])
    .collect();
    world.append("t", all.clone()).await?;
    world.expect("t", &["id", "text"], all).await
}

async fn a_long_text_comes_back(world: &mut World) -> Outcome {
    world.put(texts());
    // Within what every engine holds in a text: Redshift ends at 65535 bytes.
    let long = "0123456789abcdef".repeat(4000);
    world.append("t", rows![[1, long.clone()], [2, "short"]]).await?;
    world.expect("t", &["id", "text"], rows![[1, long], [2, "short"]]).await
}

async fn many_rows_come_back(world: &mut World) -> Outcome {
    world.put(texts());
    let all: Vec<crate::sql::Row> =
        (0..5000_i64).flat_map(|number| rows![[number, format!("row {number}")]]).collect();
    world.append("t", all.clone()).await?;
    world.expect("t", &["id", "text"], all).await
}

async fn a_compressed_file_is_read(world: &mut World) -> Outcome {
    world.put(texts());
    if world.format == FileFormat::Parquet {
        return Err(Failure::not_tried("Parquet is compressed within, never as a whole"));
    }
    world.gzip = true;
    world.append("t", rows![[1, "a\nb"], [2, "c"]]).await?;
    world.expect("t", &["id", "text"], rows![[1, "a\nb"], [2, "c"]]).await
}

async fn json_comes_back(world: &mut World) -> Outcome {
    if world.capabilities().not_carried.contains(&(world.format, DataType::Json)) {
        return Err(Failure::not_tried("it says that this format does not carry JSON"));
    }
    world.put(table("t", &[("id", DataType::Bigint), ("json", DataType::Json)]));
    let all = rows![
        [1, "{\"a\":[1,null,\"😀\"],\"b\":{\"c\":\"it's \\\"x\\\" \\\\ \\n\"}}"],
        [2, "[]"],
        [3, "\"text\""],
        [4, "true"],
        [5, "{\"\":\"\"}"],
        [6, NULL],
        [7, "12345"],
    ];
    world.append("t", all.clone()).await?;
    world.expect("t", &["id", "json"], all).await
}

async fn a_row_of_nothing_is_a_row(world: &mut World) -> Outcome {
    world.put(texts());
    world.append("t", rows![[NULL, NULL], [NULL, NULL]]).await?;
    world.expect("t", &["id", "text"], rows![[NULL, NULL], [NULL, NULL]]).await
}
