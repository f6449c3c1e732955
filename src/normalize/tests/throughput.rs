//! How fast rows become columns. Run it in release mode, with a file of JSON lines.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "measures; run with --release and EVENTS=file.jsonl"]
fn rows_a_second() {
    let bytes = std::fs::read(std::env::var("EVENTS").unwrap()).unwrap();
    for _ in 0..5 {
        let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
        let reader =
            JsonReader::new(&bytes[..], "events.jsonl", JsonShape::Auto, JsonLimits::default());
        let chunks: Vec<JsonRows> = reader.collect::<Result<_>>().unwrap();
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let mut rows = 0;
        for chunk in chunks {
            rows += normalizer
                .json("events", &chunk, None)
                .unwrap()
                .batches
                .iter()
                .map(|batch| batch.batch.num_rows())
                .sum::<usize>();
        }
        let megabytes = bytes.len() as f64 / 1e6;
        // Whoever runs this wants to read it.
        #[expect(clippy::print_stdout, reason = "a measurement")]
        {
            println!(
                "{rows} rows, {:.0} MB/s, {:.0} MB per second of CPU",
                megabytes / wall.elapsed().as_secs_f64(),
                megabytes / (cpu_seconds() - cpu)
            );
        }
    }
}

/// What this thread has used, where the system says.
fn cpu_seconds() -> f64 {
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    used.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e9
}
