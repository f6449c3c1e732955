//! How fast rows become files, and what each step costs. Run it in release mode, with a file of JSON lines:
//!
//! ```sh
//! EVENTS=$(cargo xtask bench data) cargo test --release --lib -- --ignored --nocapture steps_apart
//! ```

use std::time::Instant;

use transload_core::FileFormat;

use super::super::parser::Parser;
use super::*;
use crate::write::{TableWriter, WriteOptions};

/// Each step by itself, on one core, over what the step before made. The tape is part of shredding, and measured alone
/// as well.
#[test]
#[ignore = "measures; run with --release and EVENTS=file.jsonl"]
fn steps_apart() {
    let bytes = std::fs::read(std::env::var("EVENTS").unwrap()).unwrap();
    let megabytes = bytes.len() as f64 / 1e6;
    for _ in 0..5 {
        let split = Stopwatch::start();
        let reader =
            JsonReader::new(&bytes[..], "events.jsonl", JsonShape::Auto, JsonLimits::default());
        let chunks: Vec<JsonRows> = reader.collect::<Result<_>>().unwrap();
        let split = split.megabytes_a_second(megabytes);

        let tape = Stopwatch::start();
        let (mut parser, mut nodes) = (Parser::default(), 0);
        for chunk in &chunks {
            for row in &chunk.rows {
                nodes += parser
                    .parse(&chunk.bytes[row.range.clone()], false, |nodes| nodes.len())
                    .unwrap();
            }
        }
        let tape = tape.megabytes_a_second(megabytes);

        let shred = Stopwatch::start();
        let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
        let mut batches = Vec::new();
        for chunk in &chunks {
            for batch in normalizer.json("events", chunk, None).unwrap().batches {
                let columns = normalizer.schema().tables[&batch.table].complete_columns();
                batches.push((columns.cloned().collect::<Vec<_>>(), batch));
            }
        }
        let shred = shred.megabytes_a_second(megabytes);
        let rows: usize = batches.iter().map(|(_, batch)| batch.batch.num_rows()).sum();

        let folder = tempfile::tempdir().unwrap();
        let write = Stopwatch::start();
        let options = Arc::new(WriteOptions::new(FileFormat::Parquet, folder.path()));
        let mut writers = BTreeMap::new();
        for (columns, batch) in batches {
            let writer = writers
                .entry(batch.table)
                .or_insert_with_key(|table| TableWriter::new(table.clone(), Arc::clone(&options)));
            writer.write(&columns, &batch.batch).unwrap();
        }
        let files: Vec<_> = writers.into_values().flat_map(|w| w.finish().unwrap()).collect();
        let write = write.megabytes_a_second(megabytes);
        let written: u64 = files.iter().map(|file| file.bytes).sum();

        let together = 1.0 / (1.0 / split + 1.0 / shred + 1.0 / write);
        // Whoever runs this wants to read it.
        #[expect(clippy::print_stdout, reason = "a measurement")]
        {
            println!(
                "MB of JSON per second of CPU: split {split:.0}, tape {tape:.0} ({nodes} nodes), tape and shred \
                 {shred:.0} ({rows} rows), Parquet {write:.0} ({:.1} MB), one after the other {together:.0}",
                written as f64 / 1e6
            );
        }
    }
}

/// Counts what this thread uses, or the time where the system does not say.
struct Stopwatch {
    began: Instant,
    cpu: Option<f64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu_seconds() }
    }

    fn megabytes_a_second(&self, megabytes: f64) -> f64 {
        let used = cpu_seconds().zip(self.cpu).map(|(now, then)| now - then);
        megabytes / used.unwrap_or_else(|| self.began.elapsed().as_secs_f64())
    }
}

/// What this thread has used.
fn cpu_seconds() -> Option<f64> {
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(used.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
