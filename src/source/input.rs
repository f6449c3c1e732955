//! The files, objects and streams that a resource names: what they hold, and how they are opened.

mod find;
mod marks;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use transload_core::{Column, Error, ErrorKind, Result};

pub(crate) use find::find_files;
pub(crate) use marks::{check_held, marks, without};

use super::arrow_ipc::ArrowReader;
use super::compress::decompress;
use super::csv::{CsvColumn, CsvLimits, CsvReader};
use super::identity::FileIdentity;
use super::json::JsonPath;
use super::options::{SourceFormat, SourceOptions};
use super::remote::{Failure, Object};
use super::{Chunk, Chunks, JsonLimits, JsonReader, JsonShape, ParquetFile, Warnings, parquet};

/// The path that stands for the standard input.
pub(crate) const STDIN: &str = "-";

/// A file, an object or the standard input, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    place: Place,
    format: SourceFormat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Stdin,
    Local(PathBuf),
    Object(Box<Object>),
}

impl Input {
    /// An input whose format is told by the options or by its name.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where that format cannot be read.
    fn new(place: Place, options: &SourceOptions) -> Result<Self> {
        let name = match &place {
            Place::Stdin => "standard input".to_owned(),
            Place::Local(path) => path.display().to_string(),
            Place::Object(object) => object.origin().to_owned(),
        };
        let format = match (options.format, &place) {
            (Some(format), _) => format,
            (None, Place::Stdin) => SourceFormat::Jsonl,
            (None, _) => format_of(&name).ok_or_else(|| unknown(&name))?,
        };
        if format == SourceFormat::Parquet && bare_name(&name).len() < name.len() {
            return Err(Error::new(ErrorKind::Unsupported, "compressed Parquet cannot be read")
                .with("file", name)
                .with_hint("unpack it first: Parquet is compressed inside"));
        }
        Ok(Self { place, format })
    }

    /// The input as it is shown.
    pub(crate) fn origin(&self) -> String {
        match &self.place {
            Place::Stdin => "standard input".to_owned(),
            Place::Local(path) => path.display().to_string(),
            Place::Object(object) => object.origin().to_owned(),
        }
    }

    /// What tells it from other inputs and from what it was before. The standard input has nothing of the kind.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where a local file cannot be looked at.
    pub(crate) fn identity(&self) -> Result<Option<FileIdentity>> {
        match &self.place {
            Place::Stdin => Ok(None),
            Place::Local(path) => {
                let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
                let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                Ok(Some(FileIdentity {
                    name: absolute.display().to_string(),
                    bytes: Some(metadata.len()),
                    modified: metadata.modified().map(crate::clock::rfc3339).ok(),
                    etag: None,
                }))
            }
            Place::Object(object) => Ok(Some(object.identity().clone())),
        }
    }

    /// Begins to read it. Must be called, and what it returns be read, by a thread that may block.
    ///
    /// # Errors
    /// Where it is not there, or its beginning says that it is not what it should be.
    pub(crate) fn open(self, options: &SourceOptions, warnings: &Warnings) -> Result<Chunks> {
        let origin = self.origin();
        let failure = Failure::default();
        let chunks = match (self.place, self.format) {
            (Place::Local(path), SourceFormat::Parquet) => {
                let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
                // What is no file, a named pipe for example, cannot be read from its end.
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                if is_file {
                    let rows = parquet::read_file(file, &origin)?;
                    let file = Chunk::File(ParquetFile { path, rows });
                    Ok(Box::new(std::iter::once(Ok(file))) as Chunks)
                } else {
                    parquet::read_file(spool(file, &origin, &failure)?, &origin)
                }
            }
            (Place::Stdin, SourceFormat::Parquet) => {
                parquet::read_file(spool(io::stdin(), &origin, &failure)?, &origin)
            }
            (Place::Object(object), SourceFormat::Parquet) => match object.ranged_bytes() {
                Some(bytes) => parquet::read_object(*object, bytes),
                None => {
                    let file = spool(object.read(failure.clone()), &origin, &failure)?;
                    parquet::read_file(file, &origin)
                }
            },
            (Place::Stdin, format) => {
                chunks_of_stream(format, io::stdin(), &origin, options, warnings)
            }
            (Place::Local(path), format) => {
                let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
                chunks_of_stream(format, file, &origin, options, warnings)
            }
            (Place::Object(object), format) => {
                let reader = object.read(failure.clone());
                chunks_of_stream(format, reader, &origin, options, warnings)
            }
        }?;
        // Readers keep the words of an error of the connection only.
        Ok(Box::new(
            chunks.map(move |chunk| chunk.map_err(|error| failure.take().unwrap_or(error))),
        ))
    }
}

/// Cuts a stream of bytes, one layer of compression opened, into chunks of rows. This is the one place that knows the
/// readers of streams.
fn chunks_of_stream(
    format: SourceFormat,
    reader: impl Read + Send + 'static,
    origin: &str,
    options: &SourceOptions,
    warnings: &Warnings,
) -> Result<Chunks> {
    let is_json = matches!(format, SourceFormat::Json | SourceFormat::Jsonl);
    if options.path.is_some() && !is_json {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a path to the rows cannot be followed in this format",
        )
        .with("file", origin)
        .with("format", format)
        .with_hint("leave `path` out"));
    }
    let reader = decompress(reader, origin, options.unpack, warnings)?.reader;
    let shape = match (format, &options.path) {
        (SourceFormat::Arrow, _) => return Ok(Box::new(ArrowReader::new(reader, origin))),
        (SourceFormat::Csv, _) => {
            let csv = CsvReader::new(reader, origin, options.csv.clone(), CsvLimits::default());
            return Ok(Box::new(CsvChunks { csv, has_rows: false, done: false }));
        }
        (SourceFormat::Parquet, _) => return Err(unknown(origin)),
        (_, Some(path)) => JsonShape::Path(JsonPath::parse(path)?),
        (SourceFormat::Jsonl, None) => JsonShape::Auto,
        (SourceFormat::Json, None) => JsonShape::Document,
    };
    let rows = JsonReader::new(reader, origin, shape, JsonLimits::default());
    Ok(Box::new(rows.map(|rows| rows.map(Chunk::Json))))
}

/// The rows of CSV, or the columns of a header that has none below it.
struct CsvChunks<R> {
    csv: CsvReader<R>,
    has_rows: bool,
    done: bool,
}

impl<R: Read> Iterator for CsvChunks<R> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if let Some(rows) = self.csv.next() {
            self.has_rows = true;
            self.done = rows.is_err();
            return Some(rows.map(Chunk::Json));
        }
        self.done = true;
        if self.has_rows {
            return None;
        }
        Some(self.csv.columns().map(|columns| {
            let column = |column: &CsvColumn| Column::new(&column.name, column.data_type);
            Chunk::Columns(columns.iter().map(column).collect())
        }))
    }
}

/// The format that the ending of a name stands for.
fn format_of(name: &str) -> Option<SourceFormat> {
    let (_, ending) = bare_name(name).rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" | "ldjson" => SourceFormat::Jsonl,
        "json" | "geojson" => SourceFormat::Json,
        "csv" | "tsv" | "tab" => SourceFormat::Csv,
        "parquet" | "pq" => SourceFormat::Parquet,
        "arrow" | "arrows" | "feather" | "ipc" => SourceFormat::Arrow,
        // None of these is read, but only their content says what is wrong with them.
        "zip" | "tar" | "tgz" | "bz2" | "xz" | "7z" | "rar" | "lz4" => SourceFormat::Jsonl,
        _ => return None,
    })
}

/// A name without the ending that says how the file is compressed. One layer of compression is opened.
fn bare_name(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((bare, ending))
            if ["gz", "gzip", "zst", "zstd"]
                .iter()
                .any(|known| ending.eq_ignore_ascii_case(known)) =>
        {
            bare
        }
        _ => name,
    }
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "files of this kind cannot be read yet")
        .with("file", name)
        .with_hint(
            "JSON lines (.jsonl, .ndjson), JSON documents (.json), CSV (.csv, .tsv), Parquet (.parquet) and Arrow \
             (.arrow, .feather) can; `format` says what a file holds whose name does not",
        )
}

/// Copies a stream into a file without a name, for what must be read from its end.
fn spool(mut reader: impl Read, origin: &str, failure: &Failure) -> Result<File> {
    let mut copy = || -> io::Result<File> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut reader, &mut file)?;
        Ok(file)
    };
    copy().map_err(|error| {
        failure.take().unwrap_or_else(|| {
            Error::new(ErrorKind::Terminal, "the source cannot be kept in a temporary file")
                .with("file", origin)
                .with("folder", std::env::temp_dir().display())
                .with_source(error)
        })
    })
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such source file",
        _ => "the source file cannot be read",
    };
    Error::new(ErrorKind::Configuration, message).with("file", path.display()).with_source(error)
}
