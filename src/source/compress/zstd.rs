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

impl<R: Read> ZstdReader<R> {
    pub(super) fn new(
        input: BufReader<R>,
        meter: Meter,
        warnings: Warnings,
        origin: Arc<str>,
    ) -> io::Result<Self> {
        // The decoder refuses windows above 128 MiB.
        let decoder = Decoder::new()?;
        Ok(Self { input, place: Place::First, decoder, meter, warnings, origin })
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
        self.decoder.reinit()?;
        let mut nothing = [0; 0];
        let mut output = OutBuffer::around(&mut nothing[..]);
        let mut input = InBuffer::around(&start);
        self.decoder.run(&mut input, &mut output)?;
        Ok(true)
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
                Place::First => self.place = Place::Frame,
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
