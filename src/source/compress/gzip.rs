//! gzip, member by member. Source: RFC 1952.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use transload_core::Error;

use super::{Meter, Warnings, broken, wrap};

/// Reads what the members hold, one after the other. CRC and length of each are checked.
pub(super) struct GzipReader<R> {
    input: BufReader<R>,
    place: Place,
    inflate: Decompress,
    crc: Crc,
    meter: Meter,
    warnings: Warnings,
    origin: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a header; whether a member came before.
    Header {
        is_first: bool,
    },
    Body,
    Trailer,
    End,
}

impl<R: Read> GzipReader<R> {
    pub(super) fn new(
        input: BufReader<R>,
        meter: Meter,
        warnings: Warnings,
        origin: Arc<str>,
    ) -> Self {
        Self {
            input,
            place: Place::Header { is_first: true },
            inflate: Decompress::new(false),
            crc: Crc::new(),
            meter,
            warnings,
            origin,
        }
    }

    fn body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, out, FlushDecompress::None);
            let read = (self.inflate.total_in() - read) as usize;
            let written = (self.inflate.total_out() - written) as usize;
            self.input.consume(read);
            self.meter.count(read, written)?;
            match status {
                Ok(Status::StreamEnd) => self.place = Place::Trailer,
                Ok(_) if written == 0 && at_end => return Err(wrap(self.cut())),
                Ok(Status::Ok | Status::BufError) if written == 0 => continue,
                Ok(_) => {}
                Err(error) => {
                    return Err(wrap(
                        self.broken("the gzip data is damaged", "E_GZIP_DATA").with_source(error),
                    ));
                }
            }
            self.crc.update(&out[..written]);
            return Ok(written);
        }
    }

    /// Reads the header of a member, or the padding behind the last. Returns whether there is a member.
    fn header(&mut self, is_first: bool) -> io::Result<bool> {
        if !is_first {
            match self.input.fill_buf()?.first() {
                None => return Ok(false),
                Some(0) => self.padding()?,
                Some(_) => {}
            }
            match self.input.fill_buf()? {
                [] => return Ok(false),
                [0x1f, 0x8b, ..] | [0x1f] => {}
                _ => {
                    return Err(wrap(
                        self.broken("there is more behind the gzip data", "E_GZIP_TRAILING"),
                    ));
                }
            }
        }
        let mut crc = Crc::new();
        let [_, magic, method, flags, _, _, _, _, _, _] = self.take::<10>(&mut crc)?;
        // The upper three bits are reserved and must be zero.
        if magic != 0x8b || method != 8 || flags & 0xe0 != 0 {
            return Err(wrap(self.broken("the gzip header is damaged", "E_GZIP_DATA")));
        }
        if flags & EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.take(&mut crc)?) {
                self.take::<1>(&mut crc)?;
            }
        }
        for text in [NAME, COMMENT] {
            if flags & text != 0 {
                while self.take(&mut crc)? != [0] {}
            }
        }
        if flags & HEADER_CRC != 0 {
            let expected = crc.sum() as u16;
            if u16::from_le_bytes(self.take(&mut crc)?) != expected {
                return Err(wrap(
                    self.broken("the gzip header has another checksum", "E_GZIP_CRC"),
                ));
            }
        }
        self.inflate.reset(false);
        self.crc.reset();
        Ok(true)
    }

    /// Zeros fill up the blocks of tapes and of some storages.
    fn padding(&mut self) -> io::Result<()> {
        loop {
            let block = self.input.fill_buf()?;
            let zeros = block.iter().take_while(|byte| **byte == 0).count();
            if zeros == 0 {
                break;
            }
            self.input.consume(zeros);
            self.meter.count(zeros, 0)?;
        }
        let message = "there are zero bytes behind the compressed data";
        self.warnings.add("W_PADDING", &self.origin, message);
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let trailer = self.take::<8>(&mut Crc::new())?;
        let [a, b, c, d, length @ ..] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            return Err(wrap(self.broken("the gzip data has another checksum", "E_GZIP_CRC")));
        }
        // The length modulo 2^32, like the count of the checksum.
        if u32::from_le_bytes(length) != self.crc.amount() {
            return Err(wrap(self.broken("the gzip data has another length", "E_GZIP_DATA")));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self, crc: &mut Crc) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrap(self.cut()),
            _ => error,
        })?;
        self.meter.count(N, 0)?;
        crc.update(&bytes);
        Ok(bytes)
    }

    fn cut(&self) -> Error {
        self.broken("the file is cut short: its gzip data has no end", "E_GZIP_EOF")
    }

    fn broken(&self, message: &'static str, code: &'static str) -> Error {
        broken(message, code, self.meter.read)
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.place {
                Place::Header { is_first } => {
                    self.place = if self.header(is_first)? { Place::Body } else { Place::End };
                }
                Place::Body => {
                    let written = self.body(out)?;
                    if written > 0 {
                        return Ok(written);
                    }
                }
                Place::Trailer => {
                    self.trailer()?;
                    self.place = Place::Header { is_first: false };
                }
                Place::End => return Ok(0),
            }
        }
    }
}

// Source: RFC 1952, section 2.3.1, "FLG (FLaGs)".
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
