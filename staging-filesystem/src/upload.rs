//! Data files on their way to and from a store: in bounded memory, each held against its hash.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{MultipartUpload, ObjectStoreExt as _, PutMode};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use transload_core::failpoint::around;
use transload_core::{DataFile, Error, ErrorKind, Result, Sha256Hex, StorageKind};

use crate::classify::leaves_open;
use crate::store::{Found, Store, nonce, request};

/// From this size on a file travels in parts, of at least this size.
const PART_BYTES: u64 = 8 << 20;
/// S3 takes no more parts than this; Azure takes 50,000.
const MOST_PARTS: u64 = 10_000;
/// Parts that are on their way at once: with the one being read, what a file costs in memory.
const PARTS_AT_ONCE: usize = 4;

/// What to do with another object under the name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InTheWay {
    /// Put the file in its place: the name belongs to this load alone, so what is there is damaged.
    Replace,
    /// Leave it and stop: the name may belong to someone else.
    Refuse,
}

/// A file that is in the store.
#[derive(Debug)]
pub(crate) struct Uploaded {
    /// Bytes that were moved: none where the file was there already.
    pub(crate) moved: u64,
    /// The tag of the object.
    pub(crate) etag: Option<String>,
}

/// Brings a local file to a key. Nothing is left there on failure. What is there already is not sent again, but the local
/// file is held against its hash all the same.
pub(crate) async fn upload(
    store: &Store,
    from: &Path,
    key: &str,
    file: &DataFile,
    in_the_way: InTheWay,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<Uploaded> {
    let there = store.head(key).await?;
    if let Some(found) = &there {
        if found.bytes == file.bytes {
            Source::open(from, file).await?.check(file).await?;
            // A folder is read as easily as it was written. An object in a bucket is believed by its size: it is
            // hashed by whoever fetches it.
            if store.kind() != StorageKind::Local || hash_of(store, key, file).await? == file.sha256
            {
                return Ok(Uploaded { moved: 0, etag: found.etag.clone() });
            }
        }
        if in_the_way == InTheWay::Refuse {
            return Err(taken(store, key, file));
        }
    }
    let source = Source::open(from, file).await?;
    if file.bytes < PART_BYTES {
        let mode = if there.is_some() { PutMode::Overwrite } else { PutMode::Create };
        in_one(store, source, key, file, mode).await?;
        on_bytes(file.bytes);
    } else {
        in_parts(store, source, key, file, on_bytes).await?;
    }
    // A proxy can answer "200" to a request that it refused.
    match store.head(key).await? {
        Some(Found { bytes, etag }) if bytes == file.bytes => {
            Ok(Uploaded { moved: file.bytes, etag })
        }
        _ => Err(Error::new(
            ErrorKind::Transient,
            "the store said that a file was written, but it is not there",
        )
        .with("object", store.url(key))),
    }
}

async fn in_one(
    store: &Store,
    source: Source,
    key: &str,
    file: &DataFile,
    mode: PutMode,
) -> Result<()> {
    let (source, bytes) = source.next(file.bytes + 1).await?;
    source.finish(file)?;
    let path = store.path(key)?;
    let put = store.open()?.put_opts(&path, bytes.into(), store.put_options(mode));
    let put = request("put a data file", put).await;
    match put {
        Ok(_) => Ok(()),
        Err(error) => is_there_after_all(store, key, file, &error).await,
    }
}

async fn in_parts(
    store: &Store,
    source: Source,
    key: &str,
    file: &DataFile,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<()> {
    let path = store.path(key)?;
    let begin = store.open()?.put_multipart_opts(&path, store.multipart_options());
    let begun = request("begin an upload", begin).await;
    let mut begun =
        Begun(Some(begun.map_err(|error| store.failed("beginning an upload", key, &error))?));
    let sent = send_parts(store, begun.upload(), source, key, file, on_bytes).await;
    let completed = match sent {
        Ok(()) => request("complete an upload", begun.upload().complete()).await,
        Err(error) => {
            begun.abort().await;
            return Err(error);
        }
    };
    let known = match completed {
        Ok(_) => Ok(()),
        Err(error) => is_there_after_all(store, key, file, &error).await,
    };
    match known {
        Ok(()) => begun.0 = None,
        Err(_) => begun.abort().await,
    }
    known
}

/// An upload in parts that was begun: what was sent of it goes, unless it is completed. Parts that stay behind cost money,
/// though they are never seen.
struct Begun(Option<Box<dyn MultipartUpload>>);

impl Begun {
    fn upload(&mut self) -> &mut dyn MultipartUpload {
        &mut **self.0.as_mut().expect("it is taken at its end alone")
    }

    async fn abort(&mut self) {
        // The error that led here is the one to report.
        let _ = self.upload().abort().await;
        self.0 = None;
    }
}

impl Drop for Begun {
    /// Whoever waited for it has given up, as when another file could not be staged.
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

async fn send_parts(
    store: &Store,
    upload: &mut dyn MultipartUpload,
    mut source: Source,
    key: &str,
    file: &DataFile,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<()> {
    let part_bytes = PART_BYTES.max(file.bytes.div_ceil(MOST_PARTS));
    let mut under_way = FuturesUnordered::new();
    let failed = |error| store.failed("uploading a part", key, &error);
    loop {
        // Parts that are under way move only while they are waited for: whoever has some waits for them, and for the
        // parts of other files only without any.
        let room = loop {
            let room = store.parts().try_acquire_owned();
            if under_way.len() < PARTS_AT_ONCE
                && let Ok(room) = room
            {
                break Some(room);
            }
            match under_way.try_next().await.map_err(failed)? {
                Some(sent) => on_bytes(sent),
                None => break store.parts().acquire_owned().await.ok(),
            }
        };
        let (next, bytes) = source.next(part_bytes).await?;
        source = next;
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len() as u64;
        let part = request("put a part", upload.put_part(bytes.into()));
        under_way.push(async move {
            let sent = part.await.map(|()| length);
            drop(room);
            sent
        });
    }
    source.finish(file)?;
    while let Some(sent) = under_way.try_next().await.map_err(failed)? {
        on_bytes(sent);
    }
    Ok(())
}

/// After an unclear answer: whether the object is there with the content of the file.
async fn is_there_after_all(
    store: &Store,
    key: &str,
    file: &DataFile,
    error: &object_store::Error,
) -> Result<()> {
    let classified = store.failed("writing a data file", key, error);
    if !leaves_open(error) {
        return Err(classified);
    }
    let held = match store.head(key).await {
        Ok(Some(found)) if found.bytes == file.bytes => hash_of(store, key, file).await,
        Ok(Some(_)) => return Err(classified),
        // Repeating is safe whatever became of the request: the name says what the content is.
        Ok(None) if is_final(classified.kind()) => return Err(classified),
        Ok(None) | Err(_) => return Err(classified.with_kind(ErrorKind::Transient)),
    };
    match held {
        Ok(sha256) if sha256 == file.sha256 => Ok(()),
        Ok(_) => Err(taken(store, key, file)),
        Err(error) => Err(error),
    }
}

/// Whether repeating a request does not help.
fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Terminal | ErrorKind::Configuration)
}

fn taken(store: &Store, key: &str, file: &DataFile) -> Error {
    Error::new(ErrorKind::Terminal, "another object has the name of a data file")
        .with("table", &file.table)
        .with("object", store.url(key))
        .with_hint("move it away, then resume the load")
}

async fn hash_of(store: &Store, key: &str, file: &DataFile) -> Result<Sha256Hex> {
    let mut hash = Sha256::new();
    let mut pieces = pieces(store, key, file)?;
    while let Some(piece) = pieces.next().await {
        hash.update(&piece.map_err(|error| store.failed("reading a data file", key, &error))?);
    }
    Ok(Sha256Hex::from_digest(&hash.finalize()))
}

/// The object in pieces, in order, some of them fetched ahead.
fn pieces<'s>(
    store: &'s Store,
    key: &str,
    file: &DataFile,
) -> Result<impl futures::Stream<Item = object_store::Result<Bytes>> + Unpin + 's> {
    let path = store.path(key)?;
    let opened = store.open()?;
    let end = file.bytes;
    let starts = (0..end).step_by(PART_BYTES as usize);
    let pieces = starts.map(move |start| {
        let path = path.clone();
        async move {
            let piece = opened.get_range(&path, start..end.min(start + PART_BYTES));
            request("get a piece", piece).await
        }
    });
    Ok(futures::stream::iter(pieces).buffered(PARTS_AT_ONCE).boxed())
}

/// Brings an object to a local path and holds it against its hash. Nothing is left there on failure.
pub(crate) async fn download(store: &Store, key: &str, file: &DataFile, to: &Path) -> Result<()> {
    let damaged = |reason: &'static str| {
        Error::new(ErrorKind::Terminal, "the staged file is damaged")
            .with("table", &file.table)
            .with("object", store.url(key))
            .with("reason", reason)
    };
    match store.head(key).await? {
        Some(found) if found.bytes == file.bytes => {}
        Some(_) => return Err(damaged("it has another size")),
        None => return Err(damaged("it is gone")),
    }
    let failed = |error: io::Error| {
        Error::new(ErrorKind::Terminal, "a file cannot be written")
            .with("file", to.display())
            .with_source(error)
    };
    let mut target = Target::create(to).map_err(failed)?;
    let mut pieces = pieces(store, key, file)?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| store.failed("reading a staged file", key, &error))?;
        target = blocking(move || target.write(&piece)).await?.map_err(failed)?;
    }
    if target.sha256() != file.sha256 {
        return Err(damaged("its content is not what was staged"));
    }
    blocking(move || target.publish()).await?.map_err(failed)
}

/// A local file that is being read and hashed.
struct Source {
    file: File,
    hash: Sha256,
    read: u64,
    path: PathBuf,
}

impl Source {
    async fn open(path: &Path, file: &DataFile) -> Result<Self> {
        let opening = path.to_owned();
        let opened = blocking(move || {
            // A link would lead out of the package.
            let length = std::fs::symlink_metadata(&opening)
                .map(|meta| if meta.is_file() { Some(meta.len()) } else { None })?;
            Ok::<_, io::Error>((File::open(&opening)?, length))
        });
        match opened.await? {
            Ok((_, None)) => Err(damaged(file, "it is no file")),
            Ok((_, Some(length))) if length != file.bytes => {
                Err(damaged(file, "it has another size"))
            }
            Ok((opened, _)) => {
                Ok(Self { file: opened, hash: Sha256::new(), read: 0, path: path.into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(damaged(file, "it is gone"))
            }
            Err(error) => Err(unreadable(path, error)),
        }
    }

    /// The next bytes, at most `length`; none at the end.
    async fn next(self, length: u64) -> Result<(Self, Bytes)> {
        let path = self.path.clone();
        blocking(move || {
            let mut source = self;
            let mut bytes = Vec::new();
            (&mut source.file).take(length).read_to_end(&mut bytes)?;
            source.hash.update(&bytes);
            source.read += bytes.len() as u64;
            Ok((source, bytes.into()))
        })
        .await?
        .map_err(|error| unreadable(&path, error))
    }

    /// Reads it to its end and holds it against its hash.
    async fn check(mut self, file: &DataFile) -> Result<()> {
        loop {
            let (source, bytes) = self.next(PART_BYTES).await?;
            self = source;
            if bytes.is_empty() {
                return self.finish(file);
            }
        }
    }

    fn finish(self, file: &DataFile) -> Result<()> {
        if self.read != file.bytes || Sha256Hex::from_digest(&self.hash.finalize()) != file.sha256 {
            return Err(damaged(file, "its content is not what was sealed"));
        }
        Ok(())
    }
}

fn damaged(file: &DataFile, reason: &'static str) -> Error {
    Error::new(ErrorKind::Terminal, "the data file is damaged")
        .with("code", "E_PACKAGE_DAMAGED")
        .with("table", &file.table)
        .with("file", file.path())
        .with("reason", reason)
        .with_hint("nothing of it was loaded; restore the file, or load the source again")
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Terminal, "a data file cannot be read")
        .with("file", path.display())
        .with_source(error)
}

/// A local file that is being written under another name, which goes away unless it is published.
struct Target {
    to: PathBuf,
    partial: Option<PathBuf>,
    file: File,
    hash: Sha256,
}

impl Target {
    fn create(to: &Path) -> io::Result<Self> {
        let folder = to.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder)?;
        let partial = folder.join(format!(".{}.part", nonce()));
        let file = around("create a fetched file", || File::create_new(&partial))?;
        Ok(Self { to: to.to_owned(), partial: Some(partial), file, hash: Sha256::new() })
    }

    fn write(mut self, bytes: &Bytes) -> io::Result<Self> {
        around("write a fetched file", || self.file.write_all(bytes))?;
        self.hash.update(bytes);
        Ok(self)
    }

    fn sha256(&self) -> Sha256Hex {
        Sha256Hex::from_digest(&self.hash.clone().finalize())
    }

    fn publish(mut self) -> io::Result<()> {
        around("sync a fetched file", || self.file.sync_all())?;
        if let Some(partial) = &self.partial {
            around("rename a fetched file", || std::fs::rename(partial, &self.to))?;
        }
        self.partial = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            let _ = std::fs::remove_file(partial);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Bug, "a task that reads or writes a file ended").with_source(error)
    })
}
