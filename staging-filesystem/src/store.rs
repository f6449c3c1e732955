//! A folder or bucket as keys and bytes: every request to a store goes through here.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AwsCredential};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions};
use tokio::sync::{OnceCell, Semaphore};
use transload_core::settings::Settings;
use transload_core::{
    AccessToken, Error, ErrorKind, Redactor, Result, Secret, Sha256Hex, SharedAccess, StagedObject,
    StorageCredentials, StorageKind, failpoint, without_secrets,
};

use crate::azure::{Signer, azure};
use crate::classify::{bucket_is_missing, classify, leaves_open, says_only_a_status};
use crate::client::{amazon_s3, clients, google};
use crate::config::{Account, FilesystemSettings, Root, root};
use crate::google_access::Access;
use crate::lend::Lender;
use crate::marks::Marks;
use crate::time::Moment;

/// A folder or a prefix of a bucket. Keys are below it and cannot leave it.
///
/// `Debug` is written by hand: stores and builders of `object_store` print the keys that they hold.
pub(crate) struct Store {
    root: Root,
    opened: OnceLock<Arc<dyn ObjectStore>>,
    s3: Option<Arc<AmazonS3>>,
    lender: Option<Lender>,
    signer: Option<Signer>,
    google: Option<Access>,
    region: Option<String>,
    /// The address that requests go to, where it is not that of Amazon or Google.
    endpoint: Option<String>,
    marks: Marks,
    redactor: Redactor,
    /// One permit for each part that may be in memory, of all files together.
    parts: Arc<Semaphore>,
    /// Filled once a probe has shown that the store creates only what is absent.
    probed: OnceCell<()>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.url(""))
    }
}

/// What a store says of an object without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: u64,
    pub(crate) etag: Option<String>,
}

/// How an object came to be there that was to be created.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It holds these bytes: written now, or in an earlier try whose answer was lost.
    Equal,
    /// It holds others.
    Other(Bytes),
}

/// How long an address that is handed out can be read.
const SIGNED: Duration = Duration::from_secs(3600);

/// Parts of uploads that are in memory at once, 8 MiB each as a rule: enough for many connections, and a bound whatever the
/// number of files.
const PARTS_IN_MEMORY: usize = 12;

impl Store {
    /// Permits for parts in memory.
    pub(crate) fn parts(&self) -> Arc<Semaphore> {
        Arc::clone(&self.parts)
    }

    /// The store that the settings name. Opens no connection and makes no folder.
    pub(crate) fn new(settings: &Settings, configured: &FilesystemSettings) -> Result<Self> {
        let credentials = &configured.credentials;
        let root = root(settings, &configured.bucket_url)?;
        let marks = Marks::new(settings, configured, &root)?;
        let (mut region, mut found) = (credentials.region_name.clone(), Vec::new());
        let (mut s3, opened, mut endpoint) = (None, OnceLock::new(), None);
        let (mut lender, mut signer, mut access) = (None, None, None);
        match &root {
            Root::Folder(_) => {}
            Root::Bucket { bucket, .. } => {
                let amazon = amazon_s3(settings, configured, bucket)?;
                let client = Arc::new(amazon.client);
                (region, lender, found) = (amazon.region, amazon.lender, amazon.secrets);
                opened.get_or_init(|| Arc::clone(&client) as Arc<dyn ObjectStore>);
                s3 = Some(client);
                endpoint = credentials.endpoint_url.clone();
            }
            Root::Google { bucket, .. } => {
                let client = google(settings, credentials, bucket)?;
                opened.get_or_init(|| Arc::new(client) as Arc<dyn ObjectStore>);
                endpoint = credentials.endpoint_url.clone();
                let given = Access::new(&clients(settings, credentials), bucket)?;
                found.extend(given.secrets.iter().cloned());
                access = Some(given);
            }
            Root::Container { container, account, .. } => {
                let azure = azure(settings, credentials, container, account.as_ref())?;
                opened.get_or_init(|| azure.client as Arc<dyn ObjectStore>);
                endpoint = Some(azure.address.into());
                signer = Some(azure.signer);
            }
        }
        let secrets = [
            &credentials.aws_secret_access_key,
            &credentials.aws_session_token,
            &credentials.private_key,
            &credentials.azure_storage_account_key,
            &credentials.azure_storage_sas_token,
            &credentials.azure_client_secret,
        ];
        // What the variables of the vendors' own tools hold may be used as well.
        let variables = ["AZURE_CLIENT_SECRET"];
        found.extend(variables.iter().filter_map(|name| settings.variable(name)).map(Secret::from));
        Ok(Self {
            root,
            opened,
            s3,
            lender,
            signer,
            google: access,
            region,
            endpoint,
            marks,
            redactor: Redactor::new(secrets.into_iter().flatten().chain(&found)),
            parts: Arc::new(Semaphore::new(PARTS_IN_MEMORY)),
            probed: OnceCell::new(),
        })
    }

    /// A bucket that is this store.
    #[cfg(test)]
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            root: Root::Bucket { bucket: "test".into(), prefix: String::new() },
            opened: OnceLock::from(store),
            s3: None,
            lender: None,
            signer: None,
            google: None,
            region: None,
            endpoint: None,
            marks: Marks::default(),
            redactor: Redactor::default(),
            parts: Arc::new(Semaphore::new(PARTS_IN_MEMORY)),
            probed: OnceCell::new(),
        }
    }

    pub(crate) fn kind(&self) -> StorageKind {
        match self.root {
            Root::Folder(_) => StorageKind::Local,
            Root::Bucket { .. } => StorageKind::S3,
            Root::Google { .. } => StorageKind::Gcs,
            Root::Container { .. } => StorageKind::Azure,
        }
    }

    /// The full URL of a key.
    pub(crate) fn url(&self, key: &str) -> String {
        match &self.root {
            Root::Folder(folder) => {
                let path = if key.is_empty() { folder.clone() } else { folder.join(key) };
                url::Url::from_file_path(&path)
                    .map_or_else(|()| format!("file://{}", path.display()), String::from)
            }
            Root::Bucket { bucket, prefix } => url_of("s3", bucket, prefix, key),
            Root::Google { bucket, prefix } => url_of("gs", bucket, prefix, key),
            Root::Container { container, account: None, prefix } => {
                url_of("az", container, prefix, key)
            }
            Root::Container { container, account: Some(Account { name, domain }), prefix } => {
                url_of("abfss", &format!("{container}@{name}.dfs.{domain}"), prefix, key)
            }
        }
    }

    /// The root as a URL, with the host of an endpoint that is not the vendor's own: what tells this place from any other.
    pub(crate) fn identity(&self) -> String {
        let endpoint = self.endpoint.as_deref().and_then(|endpoint| url::Url::parse(endpoint).ok());
        let host = endpoint.as_ref().and_then(|endpoint| {
            let host = endpoint.host_str()?;
            Some(endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
        });
        // Neither a bucket nor a prefix holds a `?`.
        match (&self.root, host) {
            (Root::Bucket { .. } | Root::Google { .. }, Some(host)) => {
                format!("{}?endpoint={host}", self.url(""))
            }
            // The same whether the URL names the account or the settings do. The path of an endpoint holds the account
            // where the host does not.
            (Root::Container { container, prefix, .. }, Some(host)) => {
                let path = endpoint.as_ref().map_or("", url::Url::path).trim_end_matches('/');
                format!("{}?endpoint={host}{path}", url_of("az", container, prefix, ""))
            }
            _ => self.url(""),
        }
    }

    /// The path of a key, where the store is a folder.
    pub(crate) fn local_path(&self, key: &str) -> Result<Option<PathBuf>> {
        self.path(key)?;
        Ok(match &self.root {
            Root::Folder(folder) => Some(folder.join(key)),
            Root::Bucket { .. } | Root::Google { .. } | Root::Container { .. } => None,
        })
    }

    /// The keys with which a bucket of S3 can be read: those that were configured, or what the identity of the machine gives.
    pub(crate) async fn credentials(&self) -> Result<Option<StorageCredentials>> {
        let Some(s3) = &self.s3 else { return Ok(None) };
        let keys = s3.credentials().get_credential().await;
        let keys = keys.map_err(|error| self.failed("getting credentials", "", &error))?;
        Ok(Some(self.handed_out(&keys)))
    }

    /// Whether there is a role whose keys can be lent, or a token is narrowed.
    pub(crate) fn lends(&self) -> bool {
        self.lender.is_some() || self.google.as_ref().is_some_and(Access::lends)
    }

    /// Whether there is something that signs addresses. In Azure that is a key, or one that the account gives.
    pub(crate) fn signs(&self) -> bool {
        let by_account = self.google.as_ref().is_some_and(Access::signs);
        by_account || self.s3.is_some() || self.signer.as_ref().is_some_and(Signer::signs)
    }

    /// Keys that open the loads of these files and nothing else, for an hour.
    pub(crate) async fn lent(&self, keys: &[&str]) -> Result<Option<StorageCredentials>> {
        let (Some(lender), Root::Bucket { bucket, prefix }) = (&self.lender, &self.root) else {
            return Ok(None);
        };
        let prefixes = loads_of(prefix, keys);
        let lent = lender.lend(bucket, &prefixes).await;
        let lent = lent.map_err(|error| self.failed("lending keys", "", &error))?;
        Ok(Some(self.handed_out(&lent)))
    }

    /// A token that opens the loads of these files in a bucket of Google's and nothing else, for an hour at most.
    pub(crate) async fn token(&self, keys: &[&str]) -> Result<Option<AccessToken>> {
        let Some(access) = &self.google else { return Ok(None) };
        let prefixes = loads_of(self.root.prefix(), keys).into_iter().collect();
        access
            .token(prefixes)
            .await
            .map_err(|error| self.not_handed_out("narrowing a token", error))
    }

    fn not_handed_out(&self, doing: &'static str, error: Error) -> Error {
        error.redacted(&self.redactor).with("while", doing).with("at", self.url(""))
    }

    fn handed_out(&self, keys: &AwsCredential) -> StorageCredentials {
        StorageCredentials {
            access_key_id: keys.key_id.clone(),
            secret_access_key: keys.secret_key.as_str().into(),
            session_token: keys.token.as_deref().map(Into::into),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
        }
    }

    /// A signature that reads the container of Azure that this is: for an hour, where it is made here.
    pub(crate) async fn shared_access(&self) -> Result<Option<SharedAccess>> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let signed = signer.sign(Moment::now(), SIGNED).await;
        signed.map(Some).map_err(|error| self.failed("signing for the container", "", &error))
    }

    /// An address at which this one object can be read for an hour by whoever has it.
    pub(crate) async fn signed_url(&self, key: &str) -> Result<Option<Secret>> {
        const DOING: &str = "signing an address";
        let path = self.path(key)?;
        let now = Moment::now();
        // By object_store 0.14 for S3 alone: in Azure it signs names as they stand in a URL, and those with escapes are
        // refused; for Google it escapes slashes, as Google's own examples of signing do not, and signs one host for all
        // endpoints.
        if let Some(access) = &self.google {
            let url = access.signed_url(path.as_ref(), now, SIGNED);
            return url.map_err(|error| self.not_handed_out(DOING, error));
        }
        let signed = match (&self.signer, &self.s3) {
            (Some(signer), _) => signer.sign_blob(path.as_ref(), now, SIGNED).await,
            (None, Some(s3)) => {
                let url = s3.signed_url(reqwest::Method::GET, &path, SIGNED).await;
                url.map(|url| Some(String::from(url).into()))
            }
            (None, None) => return Ok(None),
        };
        signed.map_err(|error| self.failed(DOING, key, &error))
    }

    /// The store itself, for uploads. Makes the folder where it is missing.
    pub(crate) fn open(&self) -> Result<&dyn ObjectStore> {
        if let (None, Root::Folder(folder)) = (self.opened.get(), &self.root) {
            let made = std::fs::create_dir_all(folder).map_err(|source| {
                object_store::Error::Generic { store: "LocalFileSystem", source: source.into() }
            });
            let store = made
                .and_then(|()| LocalFileSystem::new_with_prefix(folder))
                .map_err(|error| self.failed("opening the folder", "", &error))?;
            let store = store.with_fsync(true).with_automatic_cleanup(true);
            self.opened.get_or_init(|| Arc::new(store));
        }
        Ok(&**self.opened.get().expect("a bucket is opened when it is made, a folder just now"))
    }

    /// Whether the folder is not there yet, so that nothing can be in it.
    fn is_absent(&self) -> bool {
        matches!(&self.root, Root::Folder(folder) if !folder.exists())
    }

    /// The name of a key in the store, or an error where the key would leave the root.
    pub(crate) fn path(&self, key: &str) -> Result<Path> {
        let full = match self.root.prefix() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        };
        match Path::parse(&full) {
            Ok(path) if !key.is_empty() && path.as_ref() == full => Ok(path),
            _ => Err(Error::new(ErrorKind::Terminal, "a key leaves its folder")
                .with("key", key.escape_debug())
                .with_hint("a key has no empty, `.` or `..` segment and no control character")),
        }
    }

    /// What an error means that came up while doing this.
    pub(crate) fn failed(
        &self,
        doing: &'static str,
        key: &str,
        error: &object_store::Error,
    ) -> Error {
        let error = classify(error, self.kind(), &self.redactor)
            .with("while", doing)
            .with("at", self.url(key));
        match &self.endpoint {
            Some(endpoint) => error.with("endpoint", without_secrets(endpoint)),
            None => error,
        }
    }

    /// What lies at a key.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<Found>> {
        let path = self.path(key)?;
        if self.is_absent() {
            return Ok(None);
        }
        match request("head", self.open()?.head(&path)).await {
            Ok(meta) => Ok(Some(Found { bytes: meta.size, etag: meta.e_tag })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => {
                let error = self.in_words(&path, error).await;
                Err(self.failed("looking for an object", key, &error))
            }
        }
    }

    /// The error of a request whose answer has no body, in which a store says what is wrong: the object is asked for
    /// once more, with one. Source: RFC 9110, section 9.3.2, "HEAD".
    async fn in_words(&self, path: &Path, error: object_store::Error) -> object_store::Error {
        if !says_only_a_status(&error) {
            return error;
        }
        let got = async { self.open_unclassified()?.get(path).await };
        match request("get", got).await {
            Err(told) if !matches!(told, object_store::Error::NotFound { .. }) => told,
            _ => error,
        }
    }

    /// The bytes of a small object.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let path = self.path(key)?;
        if self.is_absent() {
            return Ok(None);
        }
        let got = async { self.open_unclassified()?.get(&path).await?.bytes().await };
        match request("get", got).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error @ object_store::Error::NotFound { .. }) if !bucket_is_missing(&error) => {
                Ok(None)
            }
            Err(error) => Err(self.failed("reading", key, &error)),
        }
    }

    fn open_unclassified(&self) -> object_store::Result<&dyn ObjectStore> {
        self.open()
            .map_err(|source| object_store::Error::Generic { store: "root", source: source.into() })
    }

    /// How an object is written.
    pub(crate) fn put_options(&self, mode: PutMode) -> PutOptions {
        self.marks.put_options(mode)
    }

    /// The same for one that travels in parts.
    pub(crate) fn multipart_options(&self) -> PutMultipartOptions {
        self.marks.multipart_options()
    }

    /// Writes an object, whatever is there.
    pub(crate) async fn write(&self, key: &str, bytes: Bytes) -> Result<()> {
        let path = self.path(key)?;
        let put = self.open()?.put_opts(&path, bytes.into(), self.put_options(PutMode::Overwrite));
        let put = request("put", put).await;
        put.map(|_| ()).map_err(|error| self.failed("writing", key, &error))
    }

    /// Writes an object only where none is. An unclear answer is cleared up by reading back.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] where it cannot be told whether the object was or will be written.
    pub(crate) async fn create(&self, key: &str, bytes: &Bytes) -> Result<Created> {
        const TRIES: usize = 3;
        let path = self.path(key)?;
        let mut unclear = None;
        for _ in 0..TRIES {
            let options = self.put_options(PutMode::Create);
            let put = self.open()?.put_opts(&path, bytes.clone().into(), options);
            let put = request("create", put).await;
            let error = match put {
                Ok(_) => return Ok(Created::Equal),
                Err(error) => error,
            };
            let classified = self.failed("creating", key, &error);
            if !leaves_open(&error) {
                // It says nothing of a request before it, which may still be on its way.
                return Err(match unclear {
                    Some(_) => classified.with_kind(ErrorKind::OutcomeUnknown),
                    None => classified,
                });
            }
            match self.read(key).await {
                Ok(Some(there)) if there == *bytes => return Ok(Created::Equal),
                Ok(Some(there)) => return Ok(Created::Other(there)),
                // A folder tells the truth at once: nothing is there, nothing is on its way.
                Ok(None) if self.kind() == StorageKind::Local => return Err(classified),
                Ok(None) => unclear = Some(classified),
                Err(_) => return Err(classified.with_kind(ErrorKind::OutcomeUnknown)),
            }
        }
        let unclear = unclear.expect("each try that does not return leaves its error");
        Err(unclear.with_kind(ErrorKind::OutcomeUnknown))
    }

    /// The objects whose keys begin with this text, sorted by key.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<StagedObject>> {
        let (folder, _) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let below = if folder.is_empty() { self.root_path() } else { Some(self.path(folder)?) };
        if self.is_absent() {
            return Ok(Vec::new());
        }
        let listed = self.open()?.list(below.as_ref()).try_collect();
        let metas: Vec<_> = match request("list", listed).await {
            Ok(metas) => metas,
            Err(object_store::Error::NotFound { .. }) if self.kind() == StorageKind::Local => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(self.failed("listing", folder, &error)),
        };
        let mut objects: Vec<StagedObject> = metas
            .into_iter()
            .filter_map(|meta| {
                let key = self.key(&meta.location).filter(|key| key.starts_with(prefix))?;
                let modified_at = meta.last_modified.to_rfc3339().replace("+00:00", "Z");
                Some(StagedObject { key, bytes: meta.size, modified_at })
            })
            .collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// The names of the folders below a folder, which is empty for the root or ends with a slash; sorted.
    pub(crate) async fn folders(&self, below: &str) -> Result<Vec<String>> {
        let folder = below.trim_end_matches('/');
        let path = if folder.is_empty() { self.root_path() } else { Some(self.path(folder)?) };
        if self.is_absent() {
            return Ok(Vec::new());
        }
        let listed = match self.open()?.list_with_delimiter(path.as_ref()).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) if self.kind() == StorageKind::Local => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(self.failed("listing", folder, &error)),
        };
        let name = |path: &Path| path.filename().map(str::to_owned);
        let mut names: Vec<String> = listed.common_prefixes.iter().filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    fn root_path(&self) -> Option<Path> {
        Some(self.root.prefix())
            .filter(|prefix| !prefix.is_empty())
            .and_then(|prefix| Path::parse(prefix).ok())
    }

    fn key(&self, path: &Path) -> Option<String> {
        match self.root.prefix() {
            "" => Some(path.to_string()),
            prefix => path.as_ref().strip_prefix(prefix)?.strip_prefix('/').map(str::to_owned),
        }
    }

    /// Removes these keys. One that is gone already is no error.
    pub(crate) async fn remove(&self, keys: &[String]) -> Result<()> {
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<Path>>>()?;
        if paths.is_empty() || self.is_absent() {
            return Ok(());
        }
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        let point =
            |point| lost(point).map_err(|error| self.failed("removing objects", "", &error));
        point(failpoint::before("delete"))?;
        let mut removed = self.open()?.delete_stream(paths);
        while let Some(result) = removed.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("removing objects", "", &error)),
            }
        }
        point(failpoint::after("delete"))
    }

    /// Holds the store to "create only if absent" before anything rests on it. Asked once in the life of a store.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where it overwrites what is there.
    pub(crate) async fn creates_only_what_is_absent(&self) -> Result<()> {
        self.probed.get_or_try_init(|| self.check()).await.map(|_| ())
    }

    /// Whether the store can be written to and keeps its word about "create only if absent", on which everything rests.
    pub(crate) async fn check(&self) -> Result<()> {
        let key = format!(".transload-check-{}", nonce());
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        let probed = async {
            self.create(&key, &first).await?;
            match self.create(&key, &second).await? {
                Created::Other(there) if there == first => Ok(()),
                _ => Err(Error::new(
                    ErrorKind::Unsupported,
                    "the store overwrites an object that it was told only to create",
                )
                .with("store", self.url(""))
                .with_hint(
                    "without conditional writes two loads could take each other's place unseen; use a store that \
                     honours `If-None-Match: *`",
                )),
            }
        };
        // Whatever became of a probe, it may be made again.
        let probed = probed.await.map_err(repeatable);
        let removed = self.remove(std::slice::from_ref(&key)).await;
        probed.and(removed)
    }
}

fn url_of(scheme: &str, bucket: &str, prefix: &str, key: &str) -> String {
    let parts: Vec<&str> =
        [bucket, prefix, key].into_iter().filter(|part| !part.is_empty()).collect();
    format!("{scheme}://{}", parts.join("/"))
}

/// The prefixes of the loads that these keys belong to.
fn loads_of(root: &str, keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| load_of(root, key)).collect()
}

/// The prefix of the load that a key belongs to, with a slash at its end: dataset, pipeline and load.
fn load_of(root: &str, key: &str) -> String {
    let segments = key.split('/').take(3);
    let parts: Vec<&str> =
        [root].into_iter().filter(|root| !root.is_empty()).chain(segments).collect();
    format!("{}/", parts.join("/"))
}

/// A request between its two failpoints.
pub(crate) async fn request<T>(
    name: &'static str,
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    lost(failpoint::before(name))?;
    let answer = request.await?;
    lost(failpoint::after(name))?;
    Ok(answer)
}

/// What a test wants to have gone wrong is a connection that broke.
pub(crate) fn lost(point: std::io::Result<()>) -> object_store::Result<()> {
    point.map_err(|source| object_store::Error::Generic { store: "test", source: source.into() })
}

/// The error of a step that may be repeated whatever became of its request.
pub(crate) fn repeatable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::OutcomeUnknown => error.with_kind(ErrorKind::Transient),
        _ => error,
    }
}

/// A text that no one else has.
pub(crate) fn nonce() -> String {
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    // The keys of a `RandomState` come from the system's source of randomness.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let text = format!("{}:{}:{random}", std::process::id(), time.as_nanos());
    Sha256Hex::of(text.as_bytes()).short().to_owned()
}
