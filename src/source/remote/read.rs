//! Reading an object: by threads that block, over connections that break.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use transload_core::{Error, ErrorKind, Result};

use super::Object;

/// Pieces that may wait for their reader. A piece is what a connection gives at once, some ten kilobytes.
const PIECES: usize = 32;
/// The size above which a piece is handed on in parts, so that few of them stay few bytes.
const PIECE_BYTES: usize = 256 << 10;

/// The bytes of an object, one after the other. Must be read by a thread that may block.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    pieces: mpsc::Receiver<Result<Bytes>>,
    piece: Bytes,
    failure: Failure,
}

/// Why reading an object failed. An [`io::Error`] passes through readers that keep its words only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// The reason, if it was not taken yet.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the reason, and makes of it what a reader can return.
    pub(crate) fn keep(&self, error: Error) -> io::Error {
        let short = io::Error::other(error.message().to_owned());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        short
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(self.failure.keep(error)),
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Object {
    /// Reads the whole object from its beginning. Where that fails, `failure` says why.
    pub(crate) fn read(&self, failure: Failure) -> ObjectReader {
        let (sender, pieces) = mpsc::channel(PIECES);
        let object = self.clone();
        self.runtime.spawn(async move { object.pump(&sender).await });
        ObjectReader { pieces, piece: Bytes::new(), failure }
    }

    /// Reads a part. Blocks, and must not be called by a thread that works for the runtime.
    pub(crate) fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let length = range.end - range.start;
        self.runtime.block_on(self.patience.retry(async || {
            let mut body = self.get(range.start, Some(range.end)).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = body.next().await {
                bytes.extend_from_slice(&piece?);
            }
            if bytes.len() as u64 != length {
                return Err(self.broken(bytes.len() as u64));
            }
            Ok(bytes.into())
        }))
    }

    /// Sends all bytes to the reader, or the reason why that cannot be.
    async fn pump(&self, sender: &mpsc::Sender<Result<Bytes>>) {
        let mut sent = 0;
        let mut waits = self.patience.waits();
        loop {
            let before = sent;
            let error = match self.follow(&mut sent, sender).await {
                Ok(()) => return,
                Err(error) => error,
            };
            if sent > before {
                waits = self.patience.waits();
            }
            // Without a version nobody can tell whether what follows belongs to what was sent.
            let is_known = self.identity.etag.is_some() || self.identity.modified.is_some();
            let wait = waits.next().filter(|_| error.is_transient() && (is_known || sent == 0));
            let Some(wait) = wait else {
                // Nobody reads on: the reason is lost on no one.
                let _ = sender.send(Err(error.with("bytes read", sent))).await;
                return;
            };
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends what one answer brings from here on, and counts it.
    async fn follow(&self, sent: &mut u64, sender: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
        // A store refuses to send a part without bytes.
        if self.identity.bytes == Some(*sent) {
            return Ok(());
        }
        let mut body = self.get(*sent, None).await?;
        while let Some(piece) = body.next().await {
            let mut piece = piece?;
            while !piece.is_empty() {
                let part = piece.split_to(piece.len().min(PIECE_BYTES));
                let length = part.len() as u64;
                if sender.send(Ok(part)).await.is_err() {
                    return Ok(());
                }
                *sent += length;
            }
        }
        match self.identity.bytes {
            Some(bytes) if *sent < bytes => Err(self.broken(*sent)),
            Some(bytes) if *sent > bytes => Err(self.changed("its size")),
            _ => Ok(()),
        }
    }

    fn broken(&self, read: u64) -> Error {
        Error::new(ErrorKind::Transient, "the source ended before its end")
            .with("file", &self.origin)
            .with("bytes", self.identity.bytes.unwrap_or(read))
    }
}
