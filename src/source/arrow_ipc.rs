//! Reading Arrow IPC, files and streams alike: a file is a stream with a magic before it and a footer behind it.
//!
//! Read from front to end, so that it may come from anywhere. What a message says of its size is never believed before
//! the bytes are there.
//!
//! Source: Apache Arrow, "Arrow Columnar Format", "Serialization and Interprocess Communication (IPC)".

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{Message, root_as_message};
use transload_core::{Error, ErrorKind, Result};

use super::{ArrowRows, Chunk};
use crate::guard::guarded;

const MAGIC: &[u8] = b"ARROW1";
const FEATHER_1: &[u8] = b"FEA1";
const CONTINUATION: [u8; 4] = [0xff; 4];
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// The size that the description of a message may have.
const MAX_DESCRIPTION: u64 = 64 << 20;
/// The size that a message may have, as it stands and unpacked.
const MAX_MESSAGE: u64 = 2 << 30;
/// Zeros that may follow the magic of a file, in parts of eight.
const MAX_PADDING: usize = 64;
/// Rows that are handed on at a time.
const BATCH_ROWS: usize = 32_768;
/// What the values of such rows take, about.
const BATCH_BYTES: usize = 16 << 20;

/// Reads the batches of an input. After an error there is nothing more.
pub(crate) struct ArrowReader<R> {
    input: R,
    origin: Arc<str>,
    decoder: StreamDecoder,
    stage: Stage,
    ready: VecDeque<RecordBatch>,
    rows: u64,
    /// Whether any batch was handed on.
    began: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Beginning,
    Messages { is_file: bool },
    Done,
}

/// Why an input cannot be read.
enum Fault {
    /// Its bytes do not come.
    Io(std::io::Error),
    /// It is no Arrow IPC, or a damaged one.
    Damaged(String),
}

impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(reason.into()))
}

impl<R: Read> ArrowReader<R> {
    /// A reader over the bytes of an input, decompressed; `origin` is its name.
    pub(crate) fn new(input: R, origin: &str) -> Self {
        Self {
            input,
            origin: origin.into(),
            decoder: StreamDecoder::new(),
            stage: Stage::Beginning,
            ready: VecDeque::new(),
            rows: 0,
            began: false,
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Fault> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.began = true;
                return Ok(Some(batch));
            }
            let is_file = match self.stage {
                Stage::Beginning => {
                    self.stage = self.begin()?;
                    continue;
                }
                Stage::Messages { is_file } => is_file,
                Stage::Done => return Ok(None),
            };
            if !self.read_message(is_file)? {
                self.stage = Stage::Done;
                if is_file {
                    self.check_footer()?;
                }
                let Some(schema) = self.decoder.schema() else { return damaged("it is empty") };
                if !self.began && self.ready.is_empty() && !schema.fields().is_empty() {
                    // So that its table is there.
                    self.ready.push_back(RecordBatch::new_empty(schema));
                }
            }
        }
    }

    fn begin(&mut self) -> Result<Stage, Fault> {
        let mut start = self.take(8)?;
        let is_file = start.starts_with(MAGIC);
        if is_file {
            // Zeros follow the magic, so that the first message is aligned as its writer likes it.
            start = self.take(8)?;
            for _ in 0..MAX_PADDING {
                if start != [0; 8] {
                    break;
                }
                start = self.take(8)?;
            }
        }
        if start.starts_with(FEATHER_1) {
            return damaged("it is the first version of Feather; write it again as version 2");
        }
        if matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return damaged("it looks like JSON");
        }
        if start.len() < 8 {
            return damaged(if start.is_empty() { "it is empty" } else { "it was cut short" });
        }
        let head = [start[0], start[1], start[2], start[3], start[4], start[5], start[6], start[7]];
        if head[..4] != CONTINUATION {
            return damaged("it begins neither like a file nor like a stream of Arrow IPC");
        }
        self.read_rest(head)?;
        Ok(Stage::Messages { is_file })
    }

    /// Reads one message and what it says. Returns whether there was one.
    fn read_message(&mut self, is_file: bool) -> Result<bool, Fault> {
        let head = self.take(8)?;
        match <[u8; 8]>::try_from(head) {
            Ok(head) if head[..4] == CONTINUATION => self.read_rest(head),
            // A stream may end without saying so.
            Err(head) if head.is_empty() && !is_file => self.feed(END_OF_STREAM.to_vec()),
            Err(_) => damaged("it was cut short"),
            Ok(_) => damaged("what follows a message is none"),
        }
    }

    fn read_rest(&mut self, head: [u8; 8]) -> Result<bool, Fault> {
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        if length == 0 {
            return self.feed(END_OF_STREAM.to_vec());
        }
        if length > MAX_DESCRIPTION {
            return damaged(format!("a message shall have a description of {length} bytes"));
        }
        let mut message = head.to_vec();
        self.append(&mut message, length)?;
        let description = root_as_message(&message[head.len()..])
            .map_err(|error| Fault::Damaged(error.to_string()))?;
        let body = match u64::try_from(description.bodyLength()) {
            Ok(body) if body <= MAX_MESSAGE => body,
            _ => return damaged(format!("a batch shall have {} bytes", description.bodyLength())),
        };
        let places = compressed_places(&description)?;
        let start = message.len();
        self.append(&mut message, body)?;
        check_unpacked(&message[start..], &places)?;
        self.feed(message)?;
        Ok(true)
    }

    /// Decodes a message, whole as it stands. Returns whether more can follow.
    fn feed(&mut self, message: Vec<u8>) -> Result<bool, Fault> {
        let is_end = message == END_OF_STREAM;
        let mut buffer = Buffer::from_vec(message);
        while !buffer.is_empty() {
            let Some(batch) = self.decoder.decode(&mut buffer)? else { continue };
            if i32::try_from(batch.num_rows()).is_err() {
                return damaged(format!("a batch shall have {} rows", batch.num_rows()));
            }
            self.ready.extend(parts(&batch));
        }
        Ok(!is_end)
    }

    /// What follows the end of the stream in a file.
    fn check_footer(&mut self) -> Result<(), Fault> {
        let rest = self.take(MAX_DESCRIPTION)?;
        match rest.ends_with(MAGIC) {
            true => Ok(()),
            false => damaged("it was cut short: it does not end with ARROW1"),
        }
    }

    /// As many bytes, or what there is.
    fn take(&mut self, bytes: u64) -> Result<Vec<u8>, Fault> {
        let mut taken = Vec::new();
        self.input.by_ref().take(bytes).read_to_end(&mut taken)?;
        Ok(taken)
    }

    fn append(&mut self, message: &mut Vec<u8>, bytes: u64) -> Result<(), Fault> {
        // A claim of many bytes costs memory only as they come.
        message.reserve(bytes.min(16 << 20) as usize);
        let read = self.input.by_ref().take(bytes).read_to_end(message)?;
        match read as u64 == bytes {
            true => Ok(()),
            false => damaged("it was cut short"),
        }
    }

    fn error(&self, fault: Fault) -> Error {
        match fault {
            Fault::Damaged(reason) => {
                let reason: String = reason.chars().take(300).collect();
                Error::new(ErrorKind::BadData, "the input is no readable Arrow IPC")
                    .with("code", "E_ARROW")
                    .with("file", &self.origin)
                    .with("reason", reason)
            }
            Fault::Io(error) => super::unread(error, &self.origin),
        }
    }
}

/// Where the buffers of a batch stand in its body, if they are compressed.
fn compressed_places(message: &Message<'_>) -> Result<Vec<(usize, usize)>, Fault> {
    let dictionary = message.header_as_dictionary_batch().and_then(|batch| batch.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else {
        return Ok(Vec::new());
    };
    if batch.compression().is_none() {
        return Ok(Vec::new());
    }
    let place = |offset: i64, length: i64| {
        let (start, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        Some((start, start.checked_add(length)?))
    };
    let buffers = batch.buffers().into_iter().flatten();
    let places = buffers.map(|buffer| place(buffer.offset(), buffer.length()));
    places.collect::<Option<_>>().map_or_else(|| damaged("a buffer stands nowhere"), Ok)
}

/// Holds the sizes that compressed buffers shall have unpacked against what is allowed: they are allocated as they say.
fn check_unpacked(body: &[u8], places: &[(usize, usize)]) -> Result<(), Fault> {
    let mut unpacked: u64 = 0;
    for (start, end) in places {
        let Some(buffer) = body.get(*start..*end) else {
            return damaged("a buffer stands outside of its batch");
        };
        let Some(prefix) = buffer.first_chunk() else { continue };
        // -1 says that the buffer is not compressed.
        let length = i64::from_le_bytes(*prefix);
        unpacked = unpacked.saturating_add(u64::try_from(length).unwrap_or_default());
    }
    match unpacked <= MAX_MESSAGE {
        true => Ok(()),
        false => damaged(format!("a batch unpacks to {unpacked} bytes")),
    }
}

/// The rows of a batch in parts that are not too large. They share its memory.
fn parts(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    // All buffers of a message share its memory, so what they occupy says nothing.
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    let bytes: usize = sizes.filter_map(std::result::Result::ok).sum();
    let fit = BATCH_BYTES.saturating_mul(rows).checked_div(bytes);
    let step = fit.unwrap_or(BATCH_ROWS).clamp(1, BATCH_ROWS);
    (0..rows).step_by(step).map(|start| batch.slice(start, step.min(rows - start))).collect()
}

impl<R: Read> Iterator for ArrowReader<R> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        // The decoder panics over some inputs that are damaged: that is the input's fault.
        let next = guarded(|| self.next_batch())
            .unwrap_or_else(|_| damaged("what it says of itself contradicts itself"));
        match next {
            Ok(None) => None,
            Ok(Some(batch)) => {
                let first = self.rows;
                self.rows += batch.num_rows() as u64;
                let rows = ArrowRows { batch, origin: Arc::clone(&self.origin), first };
                Some(Ok(Chunk::Arrow(rows)))
            }
            Err(fault) => {
                self.stage = Stage::Done;
                self.ready.clear();
                Some(Err(self.error(fault)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
