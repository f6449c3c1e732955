//! What the fuzz targets run: whole paths through the engine, and what must hold whatever the bytes are.
//!
//! It is compiled for `--cfg fuzzing`, which every fuzzing driver sets, and for the tests, which pass the seeds through
//! it. It is no Cargo feature: features are a promise to users, and `--all-features` would make this public.
//!
//! The first bytes of an input choose how the others are read, with `0` for the defaults. A function panics where the
//! engine contradicts itself: a row is lost or made up, a refused row leaves a trace, or the result depends on the size of
//! chunks or on the order in which they are shredded.

mod compressed;
mod loaded;
mod rows;

use rows::{Case, Format};

use crate::source::JsonShape;
use crate::source::csv::{CsvOptions, Quote};
use crate::source::json::JsonPath;

pub use compressed::compressed;

/// JSON: the first byte says how the rows stand, the second how they are normalised.
pub fn json_rows(bytes: &[u8]) {
    let [shape, normalizing, input @ ..] = bytes else { return };
    let shape = match shape ^ b'0' {
        1 => JsonShape::Document,
        2 => JsonShape::Path(JsonPath::parse("a").expect("a key is a path")),
        3 => JsonShape::Path(JsonPath::parse("a.b").expect("keys are a path")),
        _ => JsonShape::Auto,
    };
    Case::of(Format::Json(shape), normalizing ^ b'0').check(input);
}

/// CSV: the first byte says how it is read, the second how the rows are normalised.
pub fn csv_rows(bytes: &[u8]) {
    let [reading, normalizing, input @ ..] = bytes else { return };
    let has = |bit: u8| (reading ^ b'0') & (1 << bit) != 0;
    let options = CsvOptions {
        delimiter: has(0).then_some(b';'),
        quote: if has(1) { Quote::None } else { Quote::default() },
        header: has(2).then_some(false),
        null_values: if has(3) { vec!["NULL".to_owned()] } else { Vec::new() },
        types: !has(4),
        trim: has(5),
    };
    Case::of(Format::Csv(options), normalizing ^ b'0').check(input);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds of a target, through it.
    fn pass_seeds(target: &str, run: fn(&[u8])) {
        let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut seeds = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let mut bytes = std::fs::read(entry.unwrap().path()).unwrap();
            run(&bytes);
            // The same input, normalised and read in other ways.
            for bit in 0..8 {
                for place in 0..2.min(bytes.len()) {
                    bytes[place] ^= 1 << bit;
                    run(&bytes);
                    bytes[place] ^= 1 << bit;
                }
            }
            seeds += 1;
        }
        assert!(seeds > 4, "the seeds are in {folder}");
    }

    #[test]
    fn seeds_of_json_hold() {
        pass_seeds("json_rows", json_rows);
    }

    #[test]
    fn seeds_of_csv_hold() {
        pass_seeds("csv_rows", csv_rows);
    }

    #[test]
    fn compressed_seeds_hold() {
        pass_seeds("compressed", compressed);
    }

    #[test]
    #[should_panic(expected = "the rows are others")]
    fn a_difference_is_found() {
        let case = Case::of(Format::Json(JsonShape::Auto), 0);
        let (one, other) = (case.load(b"{\"a\":1}", 64), case.load(b"{\"a\":2}", 64));
        one.unwrap().assert_same(&other.unwrap(), "another row");
    }
}
