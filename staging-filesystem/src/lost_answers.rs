//! Tests with a store that fails at a chosen request: before it is applied, after it was applied, once or for good.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    UploadPart,
};
use transload_core::{
    Commit, DataFile, Dataset, Destination as _, Disposition, Epoch, ErrorKind, FileFormat,
    Inquiry, Job, JobContext, Load, LoadId, LoadJob, MANIFEST_VERSION, Manifest, Publication,
    ReplaceStrategy, Result, Schema, Sha256Hex, StagingAccess, StagingDestination as _, TableChain,
    TablePublication,
};

use crate::destination::FilesystemDestination;
use crate::layout::Layout;
use crate::staging::FilesystemStaging;
use crate::store::Store;
use crate::upload::{InTheWay, download, upload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// One request is lost on the way there.
    Lost,
    /// One answer is lost on the way back.
    Unanswered,
    /// As the one before, and the repetition inside `object_store` meets what the first request wrote.
    AlreadyThere,
    /// A request and the one after it are lost, so looking at once does not help.
    LostTwice,
    /// An answer and the request after it are lost.
    UnansweredThenLost,
    /// The request is lost, and meanwhile someone else writes other bytes there.
    Foreign,
    /// There is no token for the request, so it is not sent.
    Refused,
    /// The request is lost, then one may look, and for the one after that there is no token.
    LostThenRefused,
    /// From this request on none arrives: the process or the network is gone.
    Down,
    /// This request arrives, but nothing comes back any more.
    DownAfter,
}

const FAULTS: [Fault; 7] = [
    Fault::Lost,
    Fault::LostTwice,
    Fault::Unanswered,
    Fault::UnansweredThenLost,
    Fault::AlreadyThere,
    Fault::Down,
    Fault::DownAfter,
];

/// A store in memory that fails at the request of this number.
struct Faulty {
    inner: InMemory,
    fault: Mutex<Option<(usize, Fault)>>,
    requests: AtomicUsize,
    overwrites: AtomicBool,
    aborted: Arc<AtomicBool>,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

fn lost() -> object_store::Error {
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    object_store::Error::Generic {
        store: "S3",
        source: HttpError::new(HttpErrorKind::Interrupted, reset).into(),
    }
}

fn refused() -> object_store::Error {
    let source = transload_core::Error::new(ErrorKind::Configuration, "there is no token");
    object_store::Error::Generic { store: "GCS", source: source.into() }
}

impl Faulty {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            fault: Mutex::new(None),
            requests: AtomicUsize::new(0),
            overwrites: AtomicBool::new(false),
            aborted: Arc::default(),
        })
    }

    /// Counts from now on, and fails at this request.
    fn fail_at(&self, fault: Option<(usize, Fault)>) {
        *self.fault.lock().unwrap() = fault;
        self.requests.store(0, Ordering::SeqCst);
    }

    /// The fault of the next request: whether it is applied, and how it fails then.
    fn next(&self) -> (bool, Option<object_store::Error>) {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        match *self.fault.lock().unwrap() {
            Some((at, fault)) if number == at => match fault {
                Fault::Lost
                | Fault::LostTwice
                | Fault::LostThenRefused
                | Fault::Foreign
                | Fault::Down => (false, Some(lost())),
                Fault::Refused => (false, Some(refused())),
                Fault::Unanswered | Fault::UnansweredThenLost | Fault::DownAfter => {
                    (true, Some(lost()))
                }
                Fault::AlreadyThere => {
                    let (path, source) = ("x".to_owned(), "412".into());
                    (true, Some(object_store::Error::AlreadyExists { path, source }))
                }
            },
            Some((at, Fault::Down | Fault::DownAfter)) if number > at => (false, Some(lost())),
            Some((at, Fault::LostTwice | Fault::UnansweredThenLost)) if number == at + 1 => {
                (false, Some(lost()))
            }
            Some((at, Fault::LostThenRefused)) if number == at + 2 => (false, Some(refused())),
            _ => (true, None),
        }
    }

    async fn keys(&self) -> Vec<String> {
        let metas: Vec<ObjectMeta> = self.inner.list(None).try_collect().await.unwrap();
        let mut keys: Vec<String> = metas.iter().map(|meta| meta.location.to_string()).collect();
        keys.sort();
        keys
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if self.overwrites.load(Ordering::SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        let (applied, error) = self.next();
        if applied {
            let put = self.inner.put_opts(location, payload, options).await;
            return error.map_or(put, Err);
        }
        if matches!(*self.fault.lock().unwrap(), Some((_, Fault::Foreign))) {
            let other = vec![b'?'; payload.content_length()];
            self.inner.put(location, other.into()).await?;
        }
        Err(error.expect("what is not applied fails"))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        let (_, error) = self.next();
        Ok(Box::new(FaultyUpload {
            inner,
            fails: error.is_some(),
            aborted: Arc::clone(&self.aborted),
        }))
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        match self.next() {
            (_, Some(_)) => Err(lost()),
            _ => self.inner.get_opts(location, options).await,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        match self.next() {
            (false, _) => futures::stream::iter([Err(lost())]).boxed(),
            (true, None) => self.inner.delete_stream(locations),
            (true, Some(_)) => {
                let failed = futures::stream::iter([Err(lost())]);
                self.inner.delete_stream(locations).chain(failed).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.next() {
            (_, Some(_)) => futures::stream::iter([Err(lost())]).boxed(),
            _ => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload whose second part fails.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    fails: bool,
    aborted: Arc<AtomicBool>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.fails { Box::pin(async { Err(lost()) }) } else { self.inner.put_part(data) }
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.aborted.store(true, Ordering::SeqCst);
        self.inner.abort().await
    }
}

/// A load of one file of one table.
struct OneLoad {
    folder: tempfile::TempDir,
    load: Load,
    schema: Schema,
    file: DataFile,
}

impl OneLoad {
    fn new(load_id: &str, content: &[u8]) -> Self {
        let sha256 = Sha256Hex::of(content);
        let file = DataFile {
            table: "t".into(),
            name: DataFile::name_of(1, &sha256, FileFormat::Parquet, false),
            format: FileFormat::Parquet,
            gzip: false,
            rows: 1,
            bytes: content.len() as u64,
            sha256,
            columns: vec![],
            bounds: Default::default(),
            longest: Default::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("t")).unwrap();
        std::fs::write(folder.path().join(file.path()), content).unwrap();
        let load = Load {
            load_id: LoadId::new(load_id),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(load_id.as_bytes()),
            epoch: Epoch(0),
        };
        let schema = r#"{"version": 1, "engine_version": 11, "name": "s", "tables": {}}"#;
        Self { folder, load, schema: Schema::from_json(schema).unwrap(), file }
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            manifest_version: MANIFEST_VERSION,
            load_id: self.load.load_id.clone(),
            pipeline: self.load.pipeline.clone(),
            dataset: self.load.dataset.clone(),
            created_at: "2026-11-22T17:45:39.736473Z".into(),
            destination: "filesystem".into(),
            place: "filesystem:s3://test".into(),
            previous: None,
            staging: None,
            format: FileFormat::Parquet,
            tables: vec!["t".into()],
            files: vec![self.file.clone()],
            schema: self.schema.clone(),
            state: None,
        }
    }

    /// What the engine does, from the beginning: fence, look, load, publish, clear.
    async fn run(&mut self, destination: &FilesystemDestination) -> Result<Commit> {
        let fence = destination.fence(&self.load.dataset, &self.load.pipeline, "tester").await?;
        self.load.epoch = fence.epoch;
        let inquiry = Inquiry {
            dataset: self.load.dataset.clone(),
            pipeline: self.load.pipeline.clone(),
            schema: self.schema.name.clone(),
            load: Some(self.load.load_id.clone()),
        };
        let commit = match destination.describe(&inquiry).await?.commit {
            Some(record) => {
                assert_eq!(record.digest, Some(self.load.digest.clone()));
                Commit::default()
            }
            None => self.publish(destination, fence.last_load).await?,
        };
        destination.clear(&self.load).await?;
        Ok(commit)
    }

    async fn publish(
        &self,
        destination: &FilesystemDestination,
        previous: Option<LoadId>,
    ) -> Result<Commit> {
        let context = JobContext {
            load: &self.load,
            schema: &self.schema,
            folder: self.folder.path(),
            access: &StagingAccess::None,
            on_bytes: &|_| {},
        };
        let job = Job::Load(LoadJob { file: self.file.clone() });
        destination.run(&job, &context).await?;
        let publication = Publication {
            previous,
            chains: vec![TableChain {
                disposition: Disposition::Replace(ReplaceStrategy::TruncateAndInsert),
                root: TablePublication { table: "t".into(), rows: 1, jobs: vec![job] },
                nested: vec![],
            }],
            state: None,
            stores_schema: true,
            published_at: "2026-11-22T17:45:39.736473Z".into(),
        };
        destination.publish(&publication, &context).await
    }
}

fn destination(faulty: &Arc<Faulty>) -> FilesystemDestination {
    let layout = Layout::parse("{table_name}/{load_id}.{file_id}.{ext}", &BTreeMap::new()).unwrap();
    FilesystemDestination::over(Store::over(Arc::clone(faulty) as Arc<dyn ObjectStore>), layout)
}

/// Everything but the commit log, and the numbers of commits in it.
async fn outcome(faulty: &Faulty) -> (Vec<String>, usize) {
    let mut commits = 0;
    let mut keys = Vec::new();
    for key in faulty.keys().await {
        // A probe that was cut off stays behind; it is nobody's.
        if key.starts_with(".transload-check-") {
            continue;
        }
        if !key.contains("_transload_commits") {
            keys.push(key);
            continue;
        }
        let entry = faulty.inner.get(&Path::from(key)).await.unwrap().bytes().await.unwrap();
        commits += usize::from(String::from_utf8_lossy(&entry).contains(r#""kind":"commit""#));
    }
    (keys, commits)
}

#[tokio::test]
async fn a_fault_at_any_request_is_made_good_by_running_again() {
    // Without a fault: one replaced by the other, and how many requests that takes.
    let faulty = Faulty::new();
    OneLoad::new("1.5", b"old").run(&destination(&faulty)).await.unwrap();
    faulty.fail_at(None);
    OneLoad::new("2.5", b"new").run(&destination(&faulty)).await.unwrap();
    let requests = faulty.requests.load(Ordering::SeqCst);
    let expected = outcome(&faulty).await;
    assert_eq!(expected.1, 2);
    assert!(requests > 20, "{requests}");

    let mut unknown = 0;
    for fault in FAULTS {
        for at in 0..requests {
            let faulty = Faulty::new();
            OneLoad::new("1.5", b"old").run(&destination(&faulty)).await.unwrap();
            let mut load = OneLoad::new("2.5", b"new");
            faulty.fail_at(Some((at, fault)));
            let first = load.run(&destination(&faulty)).await;
            faulty.fail_at(None);
            let (_, commits) = outcome(&faulty).await;
            match first.as_ref().map_err(transload_core::Error::kind) {
                Ok(_) => assert_eq!(commits, 2, "{fault:?} at {at}"),
                Err(ErrorKind::Transient) => {}
                Err(ErrorKind::OutcomeUnknown) => unknown += 1,
                // A repetition that meets its own object says so; nothing else may be an end.
                Err(kind) => panic!("{fault:?} at {at}: {kind}: {:?}", first.unwrap_err()),
            }
            load.run(&destination(&faulty)).await.unwrap();
            assert_eq!(outcome(&faulty).await, expected, "{fault:?} at {at}: {first:?}");
            // And the next load finds everything in order.
            OneLoad::new("3.5", b"next").run(&destination(&faulty)).await.unwrap();
            assert_eq!(outcome(&faulty).await.1, 3, "{fault:?} at {at}");
        }
    }
    assert!(unknown > 0, "no fault hit the commit");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_cleared_up_by_looking() {
    for fault in [Fault::Unanswered, Fault::AlreadyThere] {
        let faulty = Faulty::new();
        let store = Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>);
        let load = OneLoad::new("1.5", b"rows");
        // The first request looks, the second writes.
        faulty.fail_at(Some((1, fault)));
        let from = load.folder.path().join(load.file.path());
        let uploaded =
            upload(&store, &from, "k", &load.file, InTheWay::Replace, &|_| {}).await.unwrap();
        assert_eq!(uploaded.moved, 4, "{fault:?}");
        faulty.fail_at(Some((0, fault)));
        let created = store.create("c", &Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(created, crate::store::Created::Equal, "{fault:?}");
    }
}

#[tokio::test]
async fn an_object_of_the_right_size_is_not_believed_after_an_unclear_answer() {
    let faulty = Faulty::new();
    let store = Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>);
    let load = OneLoad::new("1.5", b"rows");
    let from = load.folder.path().join(load.file.path());
    faulty.fail_at(Some((1, Fault::Foreign)));
    let error =
        upload(&store, &from, "k", &load.file, InTheWay::Replace, &|_| {}).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Terminal, "another object has the name of a data file")
    );
    let to = load.folder.path().join("to");
    let error = download(&store, "k", &load.file, &to).await.unwrap_err();
    assert_eq!((error.kind(), to.exists()), (ErrorKind::Terminal, false));
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_neither_success_nor_failure() {
    for fault in [Fault::LostTwice, Fault::UnansweredThenLost] {
        let faulty = Faulty::new();
        let store = Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>);
        faulty.fail_at(Some((0, fault)));
        let error = store.create("c", &Bytes::from_static(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{fault:?}");
        let again = store.create("c", &Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(again, crate::store::Created::Equal, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_the_end_but_where_an_earlier_request_may_be_on_its_way() {
    for (fault, kind) in [
        (Fault::Refused, ErrorKind::Configuration),
        (Fault::LostThenRefused, ErrorKind::OutcomeUnknown),
    ] {
        let faulty = Faulty::new();
        faulty.fail_at(Some((0, fault)));
        let store = Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>);
        let error = store.create("a/b", &Bytes::from_static(b"bytes")).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, "there is no token"), "{fault:?}");
    }
}

#[tokio::test]
async fn an_upload_whose_part_fails_is_aborted() {
    let faulty = Faulty::new();
    let store = Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>);
    let load = OneLoad::new("1.5", &vec![7; 9 << 20]);
    let from = load.folder.path().join(load.file.path());
    faulty.fail_at(Some((1, Fault::Lost)));
    let error =
        upload(&store, &from, "k", &load.file, InTheWay::Replace, &|_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(faulty.aborted.load(Ordering::SeqCst));
    assert_eq!(faulty.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_refused() {
    let faulty = Faulty::new();
    faulty.overwrites.store(true, Ordering::SeqCst);
    let store = Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>);
    let error = store.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(faulty.keys().await, [""; 0]);

    // Nor does anything begin there that rests on them.
    let load = OneLoad::new("1.5", b"rows");
    let destination = destination(&faulty);
    let staging = FilesystemStaging::new(store);
    for _ in 0..2 {
        let fenced = destination.fence(&load.load.dataset, "p", "tester").await;
        assert_eq!(fenced.unwrap_err().kind(), ErrorKind::Unsupported);
        let written = staging.write_manifest(&load.manifest().seal()).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert_eq!(faulty.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_store_is_probed_once() {
    let faulty = Faulty::new();
    let staging = FilesystemStaging::new(Store::over(Arc::clone(&faulty) as Arc<dyn ObjectStore>));
    let requests = || faulty.requests.swap(0, Ordering::SeqCst);
    staging.write_manifest(&OneLoad::new("1.5", b"a").manifest().seal()).await.unwrap();
    assert!(requests() > 1);
    staging.write_manifest(&OneLoad::new("2.5", b"a").manifest().seal()).await.unwrap();
    assert_eq!(requests(), 1);
    let destination = destination(&faulty);
    destination.fence(&Dataset::new("d"), "p", "tester").await.unwrap();
    let first = requests();
    destination.fence(&Dataset::new("d"), "p", "tester").await.unwrap();
    assert!(requests() < first);
    assert!(!faulty.keys().await.iter().any(|key| key.contains("check")));
}
