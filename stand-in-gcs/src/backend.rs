//! fake-gcs-server: started, and asked by its JSON API.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::refusal::Refusal;

const START: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// The server behind.
#[derive(Debug)]
pub(crate) struct Backend {
    client: Client,
    pub(crate) url: String,
}

/// What the server knows of an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) size: String,
    pub(crate) generation: String,
    pub(crate) updated: String,
    pub(crate) md5_hash: String,
    pub(crate) content_type: Option<String>,
    pub(crate) storage_class: Option<String>,
}

impl Metadata {
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.md5_hash)
    }

    pub(crate) fn bytes(&self) -> Result<u64, Refusal> {
        self.size.parse().map_err(Refusal::behind)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Metadata>,
    next_page_token: Option<String>,
}

impl Backend {
    /// Starts the program and waits until it answers.
    pub(crate) async fn start(program: &str, port: u16) -> io::Result<(Self, Child)> {
        let url = format!("http://127.0.0.1:{port}");
        let mut process = Command::new(program)
            .args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()])
            .args(["-backend", "memory", "-log-level", "warn"])
            .args(["-external-url", &url, "-public-host", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let backend = Self { client: Client::new(), url };
        let began = Instant::now();
        while backend.client.get(format!("{}/storage/v1/b", backend.url)).send().await.is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(io::Error::other(format!("fake-gcs-server ended: {status}")));
            }
            if began.elapsed() > START {
                return Err(io::Error::other("fake-gcs-server does not answer"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok((backend, process))
    }

    pub(crate) async fn make_bucket(&self, name: &str) -> io::Result<()> {
        let request = self.client.post(format!("{}/storage/v1/b", self.url));
        let body = json!({ "name": name }).to_string();
        let sent = request.header("Content-Type", "application/json").body(body).send().await;
        sent.and_then(reqwest::Response::error_for_status).map_err(io::Error::other)?;
        Ok(())
    }

    /// Says that a bucket is missing, which the server would make by itself.
    pub(crate) async fn needs_bucket(&self, bucket: &str) -> Result<(), Refusal> {
        let answer = self.client.get(self.bucket(bucket)).send().await?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(Refusal::no_such_bucket()),
            status => Err(Refusal::behind(status)),
        }
    }

    pub(crate) async fn metadata(&self, bucket: &str, key: &str) -> Result<Metadata, Refusal> {
        let answer = self.client.get(self.object(bucket, key)).send().await?;
        match answer.status() {
            StatusCode::OK => parsed(&answer.bytes().await?),
            StatusCode::NOT_FOUND => {
                self.needs_bucket(bucket).await?;
                Err(Refusal::no_such_key())
            }
            status => Err(Refusal::behind(status)),
        }
    }

    /// Some bytes of one generation of an object; nothing where another one is in its place.
    pub(crate) async fn media(
        &self,
        bucket: &str,
        of: &Metadata,
        range: Option<(u64, u64)>,
    ) -> Result<Option<Bytes>, Refusal> {
        let url = format!("{}?alt=media", self.object(bucket, &of.name));
        // Compressed objects are given out as they are.
        let mut request = self.client.get(url).header("Accept-Encoding", "gzip");
        if let Some((first, last)) = range {
            request = request.header("Range", format!("bytes={first}-{last}"));
        }
        let answer = request.send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let generation = answer.headers().get("x-goog-generation");
        if generation.is_none_or(|generation| generation.as_bytes() != of.generation.as_bytes()) {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(Refusal::behind(answer.status()));
        }
        Ok(Some(answer.bytes().await?))
    }

    /// Writes an object; with a generation only in its place, with 0 only where none is.
    pub(crate) async fn insert(
        &self,
        bucket: &str,
        key: &str,
        headers: &HeaderMap,
        content: Bytes,
    ) -> Result<Metadata, Refusal> {
        self.needs_bucket(bucket).await?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = text("content-type").unwrap_or("application/octet-stream");
        let class = text("x-goog-storage-class").unwrap_or("STANDARD");
        let metadata = json!({ "name": key, "contentType": content_type, "storageClass": class });
        let (boundary, mut body) = ("a-boundary-that-is-nowhere-else-4f1c", Vec::new());
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json\r\n\r\n{metadata}\r\n--{boundary}\r\n\
             Content-Type: {content_type}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let mut url = format!(
            "{}/upload/storage/v1/b/{}/o?uploadType=multipart&name={}",
            self.url,
            encoded(bucket),
            encoded(key)
        );
        if let Some(generation) = text("x-goog-if-generation-match") {
            url += &format!("&ifGenerationMatch={}", encoded(generation));
        }
        let kind = format!("multipart/related; boundary={boundary}");
        let request = self.client.post(url).header("Content-Type", kind);
        let answer = request.body(body).send().await?;
        match answer.status() {
            StatusCode::OK => parsed(&answer.bytes().await?),
            StatusCode::PRECONDITION_FAILED => Err(Refusal::precondition()),
            status => Err(Refusal::behind(status)),
        }
    }

    pub(crate) async fn delete(&self, bucket: &str, key: &str) -> Result<(), Refusal> {
        let answer = self.client.delete(self.object(bucket, key)).send().await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => {
                self.needs_bucket(bucket).await?;
                Err(Refusal::no_such_key())
            }
            status => Err(Refusal::behind(status)),
        }
    }

    /// All objects whose keys begin so, sorted by key.
    pub(crate) async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Metadata>, Refusal> {
        let (mut found, mut token): (_, Option<String>) = (Vec::new(), None);
        loop {
            let mut url = format!("{}/o?prefix={}", self.bucket(bucket), encoded(prefix));
            if let Some(token) = &token {
                url += &format!("&pageToken={}", encoded(token));
            }
            let answer = self.client.get(url).send().await?;
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Err(Refusal::no_such_bucket()),
                status => return Err(Refusal::behind(status)),
            }
            let page: Page = parsed(&answer.bytes().await?)?;
            found.extend(page.items);
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// A request to the same path.
    pub(crate) fn passed_on(&self, method: reqwest::Method, target: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{target}", self.url))
    }

    fn bucket(&self, bucket: &str) -> String {
        format!("{}/storage/v1/b/{}", self.url, encoded(bucket))
    }

    fn object(&self, bucket: &str, key: &str) -> String {
        format!("{}/o/{}", self.bucket(bucket), encoded(key))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn parsed<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Refusal> {
    // By way of a value: a server of another version that answers more is no trouble.
    let value: Value = serde_json::from_slice(bytes).map_err(Refusal::behind)?;
    serde_json::from_value(value).map_err(Refusal::behind)
}
