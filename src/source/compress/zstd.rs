//! zstd, frame by frame. Source: RFC 8878.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use transload_core::Error;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

use super::{Meter, Warnings, broken, is_skippable, wrap};

/// The first bytes of a frame.
pub(super) const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// Reads what the frames hold, one after the other; the decoder checks the checksums of those that have one.
pub(super) struct ZstdReader<R> {
    input: BufReader<R>,
    place: Place,
    decoder: Decoder<'static>,
    /// What is still to come of the bytes that the frame says it holds, where it says so.
    announced: Option<u64>,
    meter: Meter,
    warnings: Warnings,
    origin: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Frame,
    Between,
    End,
}

/// What stands in the header of a frame behind its first byte, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct HeaderLayout {
    window: usize,
    dictionary: usize,
    content: usize,
}

impl HeaderLayout {
    /// By the first byte of the header.
    fn of(byte: u8) -> Self {
        let is_single = byte >> 5 & 1 == 1;
        Self {
            window: usize::from(!is_single),
            dictionary: [0, 1, 2, 4][usize::from(byte & 3)],
            content: [usize::from(is_single), 2, 4, 8][usize::from(byte >> 6)],
        }
    }

    fn bytes(self) -> usize {
        self.window + self.dictionary + self.content
    }

    /// The bytes that the frame says it holds.
    fn announced(self, header: &[u8]) -> Option<u64> {
        let content = header.get(self.window + self.dictionary..self.bytes())?;
        let number = content.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        match content.len() {
            0 => None,
            2 => Some(number + 256),
            _ => Some(number),
        }
    }
}

impl<R: Read> ZstdReader<R> {
    pub(super) fn new(
        input: BufReader<R>,
        meter: Meter,
        warnings: Warnings,
        origin: Arc<str>,
    ) -> io::Result<Self> {
        // The decoder refuses windows above 128 MiB.
        let decoder = Decoder::new()?;
        Ok(Self { input, place: Place::First, decoder, announced: None, meter, warnings, origin })
    }

    fn frame(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let block = self.input.fill_buf()?;
            let at_end = block.is_empty();
            let mut input = InBuffer::around(block);
            let mut output = OutBuffer::around(&mut *out);
            let answer = self.decoder.run(&mut input, &mut output);
            let (read, written) = (input.pos(), output.pos());
            self.input.consume(read);
            self.meter.count(read, written)?;
            // A last block without bytes ends a frame for the library, whatever was announced.
            self.announced = match self.announced.map(|left| left.checked_sub(written as u64)) {
                None => None,
                Some(Some(left)) if left == 0 || !matches!(answer, Ok(0)) => Some(left),
                Some(_) => {
                    let message = "the zstd data is damaged: it holds less or more than it says";
                    return Err(wrap(self.broken(message, "E_ZSTD_DATA")));
                }
            };
            match answer {
                Ok(0) => self.place = Place::Between,
                Ok(_) if at_end && written == 0 => {
                    return Err(wrap(
                        self.broken(
                            "the file is cut short: its zstd data has no end",
                            "E_ZSTD_EOF",
                        ),
                    ));
                }
                Ok(_) if written == 0 => continue,
                Ok(_) => {}
                Err(error) => {
                    return Err(wrap(
                        self.broken("the zstd data is damaged", "E_ZSTD_DATA").with_source(error),
                    ));
                }
            }
            return Ok(written);
        }
    }

    /// Whether a frame follows.
    fn goes_on(&mut self) -> io::Result<bool> {
        let mut start = Vec::new();
        self.input.by_ref().take(4).read_to_end(&mut start)?;
        self.meter.count(start.len(), 0)?;
        if start.is_empty() {
            return Ok(false);
        }
        if start.iter().all(|byte| *byte == 0) {
            return self.padding().map(|()| false);
        }
        if start != MAGIC && !is_skippable(&start) {
            let message = "there is more behind the zstd data";
            return Err(wrap(if MAGIC.starts_with(&start) {
                self.broken("the file is cut short: its zstd data has no end", "E_ZSTD_EOF")
            } else {
                self.broken(message, "E_ZSTD_TRAILING")
            }));
        }
        self.begin(start)?;
        Ok(true)
    }

    /// Begins a frame that has these first bytes.
    fn begin(&mut self, mut header: Vec<u8>) -> io::Result<()> {
        self.decoder.reinit()?;
        self.announced = None;
        if header == MAGIC {
            let start = header.len();
            self.input.by_ref().take(1).read_to_end(&mut header)?;
            let layout =
                header.get(start).map_or(HeaderLayout::default(), |byte| HeaderLayout::of(*byte));
            self.input.by_ref().take(layout.bytes() as u64).read_to_end(&mut header)?;
            self.meter.count(header.len() - start, 0)?;
            self.announced = layout.announced(&header[(start + 1).min(header.len())..]);
        }
        let mut nothing = [0; 0];
        let mut output = OutBuffer::around(&mut nothing[..]);
        let mut input = InBuffer::around(&header);
        while input.pos() < header.len() {
            let before = input.pos();
            let answer = self.decoder.run(&mut input, &mut output);
            let damaged = || self.broken("the zstd data is damaged", "E_ZSTD_DATA");
            match answer {
                Ok(_) if input.pos() > before => {}
                Ok(_) => return Err(wrap(damaged())),
                Err(error) => return Err(wrap(damaged().with_source(error))),
            }
        }
        Ok(())
    }

    /// Zeros fill up the blocks of tapes and of some storages.
    fn padding(&mut self) -> io::Result<()> {
        loop {
            let block = self.input.fill_buf()?;
            if block.is_empty() {
                break;
            }
            if block.iter().any(|byte| *byte != 0) {
                return Err(wrap(
                    self.broken("there is more behind the zstd data", "E_ZSTD_TRAILING"),
                ));
            }
            let zeros = block.len();
            self.input.consume(zeros);
            self.meter.count(zeros, 0)?;
        }
        let message = "there are zero bytes behind the compressed data";
        self.warnings.add("W_PADDING", &self.origin, message);
        Ok(())
    }

    fn broken(&self, message: &'static str, code: &'static str) -> Error {
        broken(message, code, self.meter.read)
    }
}

impl<R: Read> Read for ZstdReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.place {
                Place::First => {
                    let mut start = Vec::new();
                    self.input.by_ref().take(4).read_to_end(&mut start)?;
                    self.meter.count(start.len(), 0)?;
                    self.begin(start)?;
                    self.place = Place::Frame;
                }
                Place::Frame => {
                    let written = self.frame(out)?;
                    if written > 0 {
                        return Ok(written);
                    }
                }
                Place::Between => {
                    self.place = if self.goes_on()? { Place::Frame } else { Place::End };
                }
                Place::End => return Ok(0),
            }
        }
    }
}
