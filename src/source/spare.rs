//! The memory of chunks, used again: new memory is cleared by the system page by page, which costs more than to fill it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The text of a chunk. Its memory goes back to the reader that it came from once nobody reads it any more.
pub(crate) struct Text {
    bytes: Vec<u8>,
    home: Weak<Pool>,
}

/// The memory that the chunks of one reader have given back. There is never more of it than of chunks that were on their
/// way at one time.
#[derive(Debug)]
pub(crate) struct Spare(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    buffers: Mutex<Vec<Vec<u8>>>,
    /// What is larger, for the sake of one row, is not kept.
    max_bytes: usize,
}

impl Spare {
    /// Keeps buffers of up to this size.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Pool { buffers: Mutex::default(), max_bytes }))
    }

    /// An empty buffer with this much room at least.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let kept = self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = kept.unwrap_or_default();
        buffer.reserve_exact(bytes);
        buffer
    }

    /// A text whose memory comes back.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Text {
        Text { bytes, home: Arc::downgrade(&self.0) }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() <= home.max_bytes {
            bytes.clear();
            home.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

impl From<Vec<u8>> for Text {
    /// A text whose memory is not used again.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: Weak::new() }
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Text").field(&self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_but_not_that_of_a_large_row() {
        let spare = Spare::new(100);
        let first = spare.take(60);
        let place = first.as_ptr();
        drop(spare.lend(first));
        let again = spare.take(50);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        drop(spare.lend(Vec::with_capacity(101)));
        assert!(spare.0.buffers.lock().unwrap().is_empty());
    }

    #[test]
    fn a_text_outlives_its_reader() {
        let spare = Spare::new(100);
        let text = spare.lend(b"rows".to_vec());
        drop(spare);
        assert_eq!(&*text, b"rows");
    }
}
