//! How large a file will be, of which a part is still being encoded.

use std::collections::VecDeque;

/// Tells the size of a file from what is encoded, and from the values that are not: as if these took as much room as the
/// others. A function of the rows alone, not of when they are done.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes of values after which a block is handed in.
    block_bytes: u64,
    gathered: u64,
    under_way: VecDeque<u64>,
    /// Values that are encoded, and what they have become.
    known: (u64, u64),
}

impl Pace {
    /// Blocks of at most so many bytes, and of fewer for a file that shall be small.
    pub(super) fn new(file_bytes: u64, block_bytes: u64) -> Self {
        Self {
            block_bytes: block_bytes.min(file_bytes / 16),
            gathered: 0,
            under_way: VecDeque::new(),
            known: (0, 0),
        }
    }

    /// Counts values that wait. Returns whether they are enough for a block.
    pub(super) fn gather(&mut self, raw: u64) -> bool {
        self.gathered += raw;
        self.gathered >= self.block_bytes
    }

    /// The values that wait.
    pub(super) fn gathered(&self) -> u64 {
        self.gathered
    }

    /// The values that wait, and those that are being encoded.
    pub(super) fn open(&self) -> u64 {
        self.under_way.iter().sum::<u64>() + self.gathered
    }

    /// What was gathered is a block.
    pub(super) fn hand_in(&mut self) {
        self.under_way.push_back(self.gathered);
        self.gathered = 0;
    }

    /// The oldest block has become so many bytes.
    pub(super) fn done(&mut self, bytes: u64) {
        self.known.0 += self.under_way.pop_front().unwrap_or(0);
        self.known.1 += bytes;
    }

    /// Whether no block has been encoded yet.
    pub(super) fn knows_nothing(&self) -> bool {
        self.known.0 == 0
    }

    /// The size of a file that has `bytes` by now.
    pub(super) fn estimate(&self, bytes: u64) -> u64 {
        let open = self.open();
        let (raw, encoded) = self.known;
        if raw == 0 {
            return bytes + open;
        }
        let estimate = u128::from(open) * u128::from(encoded) / u128::from(raw);
        bytes.saturating_add(u64::try_from(estimate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_encoded_is_taken_to_be_like_what_is() {
        let mut pace = Pace::new(16_000, 1 << 20);
        assert!(!pace.gather(600));
        assert!(pace.gather(400));
        assert_eq!(pace.estimate(10), 1010);
        pace.hand_in();
        assert!(!pace.gather(500));
        assert_eq!(pace.estimate(10), 1510);
        pace.done(100);
        assert_eq!(pace.estimate(110), 160);
        pace.hand_in();
        assert_eq!(pace.estimate(110), 160);
    }
}
