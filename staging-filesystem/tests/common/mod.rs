//! What the tests of both roles share: places to store in, packages to load, a raw view of a store.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test program uses a part")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _};
use tempfile::TempDir;
use transload_core::settings::Settings;
use transload_core::{
    Column, DataFile, DataType, Dataset, Destination, Epoch, FileFormat, Job, JobContext, Load,
    LoadId, LoadJob, MANIFEST_VERSION, Manifest, Registry, Schema, Sha256Hex, StageJob,
    StagingAccess, StagingDestination, StateRow, Table, WriteDisposition,
};
use transload_staging_filesystem as _;

/// Where a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    S3,
    Azure,
    Gcs,
}

/// A root to store in: a folder, or a prefix of a bucket.
pub struct Place {
    pub kind: Kind,
    pub url: String,
    pub folder: TempDir,
    keys: Vec<(&'static str, String)>,
    raw: OnceLock<Arc<dyn ObjectStore>>,
}

/// What the running servers export, for example `S3_KEY`.
pub fn variable(name: &str) -> String {
    let name = format!("TRANSLOAD_TEST_{name}");
    std::env::var(&name)
        .unwrap_or_else(|_| panic!("set {name}: this test needs a server, see `cargo xtask e2e`"))
}

/// The key file of the service account.
pub fn gcs_account() -> serde_json::Value {
    serde_json::from_str(&variable("GCS_CREDENTIALS")).unwrap()
}

/// A place outlives the runtime of a case, and a connection that is kept does not.
fn of_every_runtime() -> ClientOptions {
    ClientOptions::new().with_allow_http(true).with_pool_max_idle_per_host(0)
}

pub fn s3_client(bucket: &str) -> AmazonS3 {
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_endpoint(variable("S3_ENDPOINT"))
        .with_access_key_id(variable("S3_KEY"))
        .with_secret_access_key(variable("S3_SECRET"))
        .with_client_options(of_every_runtime());
    builder.build().unwrap()
}

pub fn azure_client(container: &str) -> MicrosoftAzure {
    let builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_endpoint(variable("AZURE_ENDPOINT"))
        .with_account(variable("AZURE_ACCOUNT"))
        .with_access_key(variable("AZURE_KEY"))
        .with_client_options(of_every_runtime());
    builder.build().unwrap()
}

pub fn gcs_client(bucket: &str) -> GoogleCloudStorage {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_base_url(&variable("GCS_ENDPOINT"))
        .with_service_account_key(gcs_account().to_string())
        .with_client_options(of_every_runtime());
    builder.build().unwrap()
}

/// Uploads in parts of files in this place that were begun and have not ended. Azure has none: what was sent of a blob that
/// was not completed goes by itself, and nobody can make it go before.
pub async fn open_uploads(place: &Place) -> usize {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = match place.kind {
        Kind::Folder | Kind::Azure => return 0,
        Kind::Gcs => {
            let token = gcs_client("any").credentials().get_credential().await.unwrap();
            let url = format!("{}/{}?uploads", variable("GCS_ENDPOINT"), variable("GCS_BUCKET"));
            reqwest::Client::new().get(url).bearer_auth(&token.bearer)
        }
        Kind::S3 => {
            let keys = AwsCredential {
                key_id: variable("S3_KEY"),
                secret_key: variable("S3_SECRET"),
                token: None,
            };
            let url = format!("{}/{}?uploads=", variable("S3_ENDPOINT"), variable("S3_BUCKET"));
            let mut signed = HttpRequest::new(HttpRequestBody::empty());
            *signed.uri_mut() = url.parse().unwrap();
            AwsAuthorizer::new(&keys, "s3", "us-east-1").try_authorize(&mut signed, None).unwrap();
            reqwest::Client::new().get(url).headers(signed.headers().clone())
        }
    };
    let listed = request.send().await.unwrap();
    assert!(listed.status().is_success(), "{}", listed.text().await.unwrap());
    listed.text().await.unwrap().matches(&format!("<Key>{}/", place.prefix())).count()
}

/// The name of a prefix that no other test has.
fn prefix() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("test {time}-{number}")
}

impl Place {
    pub fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("not there yet").display().to_string();
        Self { kind: Kind::Folder, url, folder, keys: Vec::new(), raw: OnceLock::new() }
    }

    pub fn s3() -> Self {
        Self {
            kind: Kind::S3,
            url: format!("s3://{}/{}", variable("S3_BUCKET"), prefix()),
            folder: tempfile::tempdir().unwrap(),
            keys: vec![
                ("credentials.endpoint_url", variable("S3_ENDPOINT")),
                ("credentials.aws_access_key_id", variable("S3_KEY")),
                ("credentials.aws_secret_access_key", variable("S3_SECRET")),
                ("credentials.region_name", "us-east-1".into()),
            ],
            raw: OnceLock::new(),
        }
    }

    pub fn azure() -> Self {
        Self {
            kind: Kind::Azure,
            url: format!("az://{}/{}", variable("AZURE_CONTAINER"), prefix()),
            folder: tempfile::tempdir().unwrap(),
            keys: vec![
                ("credentials.endpoint_url", variable("AZURE_ENDPOINT")),
                ("credentials.azure_storage_account_name", variable("AZURE_ACCOUNT")),
                ("credentials.azure_storage_account_key", variable("AZURE_KEY")),
            ],
            raw: OnceLock::new(),
        }
    }

    pub fn gcs() -> Self {
        let account = gcs_account();
        let value = |key: &str| account[key].as_str().unwrap().to_owned();
        Self {
            kind: Kind::Gcs,
            url: format!("gs://{}/{}", variable("GCS_BUCKET"), prefix()),
            folder: tempfile::tempdir().unwrap(),
            keys: vec![
                ("credentials.endpoint_url", variable("GCS_ENDPOINT")),
                ("credentials.client_email", value("client_email")),
                ("credentials.private_key", value("private_key")),
                ("credentials.private_key_id", value("private_key_id")),
            ],
            raw: OnceLock::new(),
        }
    }

    /// What stands before every key in the bucket or container.
    pub fn prefix(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }

    pub fn is_local(&self) -> bool {
        self.kind == Kind::Folder
    }

    /// The settings of this place, with some of them changed, added or, where the value is empty, left out.
    pub fn settings(&self, changed: &[(&str, &str)]) -> Settings {
        let mut pairs: Vec<(&str, &str)> = vec![("bucket_url", &self.url)];
        pairs.extend(self.keys.iter().map(|(key, value)| (*key, value.as_str())));
        pairs.retain(|(key, _)| !changed.iter().any(|(other, _)| other == key));
        pairs.extend(changed.iter().filter(|(_, value)| !value.is_empty()));
        Settings::from_pairs("filesystem", &pairs)
    }

    pub fn staging(&self) -> Arc<dyn StagingDestination> {
        let registry = Registry::linked();
        let (_, create) = registry.staging("filesystem").unwrap();
        create(&self.settings(&[])).unwrap()
    }

    pub fn destination(&self) -> Arc<dyn Destination> {
        self.destination_with(&[]).unwrap()
    }

    pub fn destination_with(
        &self,
        changed: &[(&str, &str)],
    ) -> transload_core::Result<Arc<dyn Destination>> {
        let registry = Registry::linked();
        let (_, create) = registry.destination("filesystem").unwrap();
        create(&self.settings(changed))
    }

    /// The same place seen without any of our code.
    pub fn raw(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(self.raw.get_or_init(|| self.open_raw()))
    }

    fn open_raw(&self) -> Arc<dyn ObjectStore> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = self.url.split_once("://").and_then(|(_, place)| place.split_once('/'));
        match (self.kind, place) {
            (Kind::S3, Some((bucket, prefix))) => {
                Arc::new(PrefixStore::new(s3_client(bucket), prefix))
            }
            (Kind::Azure, Some((container, prefix))) => {
                Arc::new(PrefixStore::new(azure_client(container), prefix))
            }
            (Kind::Gcs, Some((bucket, prefix))) => {
                Arc::new(PrefixStore::new(gcs_client(bucket), prefix))
            }
            _ => {
                std::fs::create_dir_all(&self.url).unwrap();
                Arc::new(LocalFileSystem::new_with_prefix(&self.url).unwrap())
            }
        }
    }

    /// The keys of everything that lies there, sorted.
    pub async fn keys(&self) -> Vec<String> {
        let metas: Vec<_> = self.raw().list(None).try_collect().await.unwrap();
        let mut keys: Vec<String> = metas.iter().map(|meta| meta.location.to_string()).collect();
        keys.sort();
        keys
    }

    pub async fn get(&self, key: &str) -> Vec<u8> {
        let path = object_store::path::Path::parse(key).unwrap();
        self.raw().get(&path).await.unwrap().bytes().await.unwrap().to_vec()
    }

    /// The bytes of an object that may be gone.
    pub async fn find(&self, key: &str) -> Option<Vec<u8>> {
        let path = object_store::path::Path::parse(key).unwrap();
        match self.raw().get(&path).await {
            Ok(found) => Some(found.bytes().await.unwrap().to_vec()),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    pub async fn put(&self, key: &str, bytes: &[u8]) {
        let path = object_store::path::Path::parse(key).unwrap();
        self.raw().put(&path, bytes.to_vec().into()).await.unwrap();
    }

    pub async fn delete(&self, key: &str) {
        self.raw().delete(&object_store::path::Path::parse(key).unwrap()).await.unwrap();
    }

    /// Files that are not objects: what an upload that was not ended properly leaves in a folder.
    pub fn leftovers(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.to_str().unwrap().contains('#') {
                    found.push(path.display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        if self.is_local() && Path::new(&self.url).exists() {
            walk(Path::new(&self.url), &mut found);
        }
        found
    }
}

/// A local package: files in a folder, and what names their load.
pub struct Package {
    pub folder: TempDir,
    pub load: Load,
    pub schema: Schema,
    pub files: Vec<DataFile>,
}

impl Package {
    pub fn new(load_id: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            load: Load {
                load_id: LoadId::new(load_id),
                pipeline: "chess pipeline".into(),
                dataset: Dataset::new("player_data"),
                digest: Sha256Hex::of(load_id.as_bytes()),
                epoch: Epoch(0),
            },
            schema: schema(),
            files: Vec::new(),
        }
    }

    /// Adds a file of a table; a row is a byte of it.
    pub fn with(mut self, table: &str, content: &[u8]) -> Self {
        let sha256 = Sha256Hex::of(content);
        let file = DataFile {
            table: table.into(),
            name: DataFile::name_of(self.files.len() + 1, &sha256, FileFormat::Parquet, false),
            format: FileFormat::Parquet,
            gzip: false,
            rows: content.len() as u64,
            bytes: content.len() as u64,
            sha256,
            columns: vec!["id".into()],
            bounds: Default::default(),
            longest: Default::default(),
        };
        let path = self.path(&file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.files.push(file);
        self
    }

    pub fn path(&self, file: &DataFile) -> std::path::PathBuf {
        self.folder.path().join(file.path())
    }

    pub fn context(&self) -> JobContext<'_> {
        JobContext {
            load: &self.load,
            schema: &self.schema,
            folder: self.folder.path(),
            access: &StagingAccess::None,
            on_bytes: &|_| {},
        }
    }

    pub fn manifest(&self) -> Manifest {
        Manifest {
            manifest_version: MANIFEST_VERSION,
            load_id: self.load.load_id.clone(),
            pipeline: self.load.pipeline.clone(),
            dataset: self.load.dataset.clone(),
            created_at: "2026-11-22T17:45:39.736473Z".into(),
            destination: "filesystem".into(),
            place: format!("filesystem:{}", self.load.dataset.name),
            previous: None,
            staging: None,
            format: FileFormat::Parquet,
            tables: vec!["players".into()],
            files: self.files.clone(),
            schema: self.schema.clone(),
            state: None,
        }
    }

    pub fn stage_job(&self, file: &DataFile) -> Job {
        Job::Stage(StageJob { file: file.clone(), key: self.manifest().key_of(file) })
    }

    pub fn load_job(&self, file: &DataFile) -> Job {
        Job::Load(LoadJob { file: file.clone() })
    }
}

pub fn schema() -> Schema {
    let mut schema = Schema {
        version: 1,
        version_hash: String::new(),
        engine_version: transload_core::SCHEMA_ENGINE_VERSION,
        name: "chess".into(),
        tables: Default::default(),
        settings: serde_json::json!({}),
        normalizers: serde_json::json!({"names": "snake_case", "json": {"module": "dlt.common.normalizers.json.relational"}}),
        previous_hashes: Vec::new(),
        rest: Default::default(),
    };
    let mut players = Table::root("players", WriteDisposition::Append);
    players.put(Column::new("id", DataType::Bigint).not_null());
    players.put(Column::new("name", DataType::Text));
    schema.tables.insert("players".into(), players);
    let mut games = Table::nested("players__games", "players");
    games.put(Column::new("value", DataType::Text));
    schema.tables.insert("players__games".into(), games);
    schema.bump();
    schema
}

pub fn state(version: u64) -> StateRow {
    StateRow {
        version,
        engine_version: 4,
        pipeline_name: "chess pipeline".into(),
        state: format!("state {version}"),
        created_at: "2026-11-22T17:45:39.736473Z".into(),
        version_hash: "SjxS6SQmsH2zFUBYGm0SKJFSQ4fFtLRH6AVDsthQttk=".into(),
        dlt_id: format!("id{version}"),
    }
}

/// Runs each of these functions on a folder and, where servers are named, on S3, on Azure and on Google Cloud Storage.
#[macro_export]
macro_rules! everywhere {
    ($($name:ident),* $(,)?) => {
        mod local {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::common::Place::local()).await } )*
        }
        mod s3 {
            $( #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
            async fn $name() { super::$name($crate::common::Place::s3()).await } )*
        }
        mod azure {
            $( #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
            async fn $name() { super::$name($crate::common::Place::azure()).await } )*
        }
        mod gcs {
            $( #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
            async fn $name() { super::$name($crate::common::Place::gcs()).await } )*
        }
    };
}
