//! Telling the delimiter from the first rows.

use super::record::{Dialect, Scan};

/// What stands between values, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Bytes that are looked at.
const SAMPLE_BYTES: usize = 64 << 10;
/// Records that are looked at.
const SAMPLE_RECORDS: usize = 1000;

/// The delimiter with which most records have as many fields as the first one; more fields speak for it too.
pub(super) fn delimiter(sample: &[u8], ended: bool, dialect: Dialect) -> u8 {
    let is_whole = ended && sample.len() <= SAMPLE_BYTES;
    let sample = &sample[..sample.len().min(SAMPLE_BYTES)];
    let mut best = (DELIMITERS[0], 0.0);
    for delimiter in DELIMITERS.into_iter().filter(|byte| Some(*byte) != dialect.quote) {
        let score = score(sample, is_whole, Dialect { delimiter, ..dialect });
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

fn score(sample: &[u8], is_whole: bool, dialect: Dialect) -> f64 {
    let (mut at, mut first, mut same, mut all) = (0, 0, 0.0, 0.0);
    while at < sample.len() && all < SAMPLE_RECORDS as f64 {
        // Where the sample holds no record whole, its part must do.
        let (end, next) = match dialect.record(sample, at, is_whole || first == 0) {
            Scan::Record { end, next } => (end, next),
            Scan::Part | Scan::Open { .. } => break,
        };
        let fields = dialect.fields(&sample[at..end]).count();
        if !dialect.is_empty(&sample[at..end], fields) {
            if first == 0 {
                first = fields;
            }
            all += 1.0;
            same += f64::from(u8::from(fields == first));
        }
        at = next;
    }
    if all == 0.0 { 0.0 } else { (same / all) * (same / all) * (first as f64 - 1.0) }
}
