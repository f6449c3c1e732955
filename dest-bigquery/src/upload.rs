//! A file that is sent with its load job, in pieces: after a break the rest is sent.
//!
//! BigQuery documentation, "Upload data with the API", resumable uploads.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, LOCATION, RANGE};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use transload_core::{Error, ErrorKind, Result};

use crate::api::{Answer, Request, is_reason, may_be_repeated, part};
use crate::jobs::{Jobs, Submitted};

/// Bytes of a piece: a multiple of 256 KiB, as the service asks for.
const PIECE: u64 = 8 << 20;

/// Pieces in a row of which none may arrive.
const TRIES: u32 = 5;

/// Submits a load job with the file that it loads, unless there is a job with its id. `on_bytes` is told what was sent.
pub(crate) async fn upload(
    jobs: &Jobs,
    id: &str,
    configuration: &Value,
    path: &Path,
    timeout: Duration,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<Submitted> {
    let unread = |error: std::io::Error| {
        Error::new(ErrorKind::Terminal, "a file of the load cannot be read")
            .with("file", path.display())
            .with_source(error)
    };
    let mut file = File::open(path).await.map_err(unread)?;
    let bytes = file.metadata().await.map_err(unread)?.len();
    let session = match begin(jobs, id, configuration, bytes).await {
        Ok(session) => session,
        Err(error) => return jobs.known(id, may_be_repeated(error)).await,
    };
    let (mut sent, mut failures) = (0, 0);
    loop {
        let length = PIECE.min(bytes - sent);
        let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
        file.seek(std::io::SeekFrom::Start(sent)).await.map_err(unread)?;
        file.read_exact(&mut piece).await.map_err(unread)?;
        let range = match length {
            0 => format!("bytes */{bytes}"),
            _ => format!("bytes {sent}-{}/{bytes}", sent + length - 1),
        };
        let mut request = asked(&session, range);
        request.body = piece.into();
        request.timeout = Some(timeout);
        let answer = match jobs.api.send_once(&request).await {
            Ok(answer) => answer,
            Err(error) if failures < TRIES && passes(&error) => {
                failures += 1;
                // How far it came is known to the service alone.
                match jobs.api.send(&asked(&session, format!("bytes */{bytes}"))).await {
                    Ok(answer) => answer,
                    Err(error) => return jobs.known(id, may_be_repeated(error)).await,
                }
            }
            Err(error) => return jobs.known(id, may_be_repeated(error)).await,
        };
        match answer {
            Answer { status: 308, headers, .. } => {
                let arrived = arrived(&headers).min(bytes);
                if arrived > sent {
                    on_bytes(arrived - sent);
                    failures = 0;
                }
                sent = arrived;
            }
            Answer { body, .. } => {
                on_bytes(bytes - sent);
                return Ok(Submitted::New(body));
            }
        }
    }
}

/// Begins an upload, and returns where it goes.
async fn begin(jobs: &Jobs, id: &str, configuration: &Value, bytes: u64) -> Result<String> {
    let path =
        format!("/upload/bigquery/v2/projects/{}/jobs?uploadType=resumable", part(&jobs.project));
    let mut request = Request::post(path, &jobs.job(id, configuration));
    request.headers = vec![
        ("content-type", "application/json; charset=UTF-8".into()),
        ("x-upload-content-type", "application/octet-stream".into()),
        ("x-upload-content-length", bytes.to_string()),
    ];
    let answer = jobs.api.send(&request).await?;
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    session(location.unwrap_or_default()).ok_or_else(|| {
        Error::new(ErrorKind::Terminal, "BigQuery does not say where an upload goes")
    })
}

/// The path and query of an address: the token goes to the service that is configured and nowhere else.
fn session(location: &str) -> Option<String> {
    let url = url::Url::parse(location).ok()?;
    Some(format!("{}?{}", url.path(), url.query()?))
}

fn asked(session: &str, range: String) -> Request {
    let mut request = Request::new(Method::PUT, session);
    request.headers = vec![("content-range", range)];
    request
}

fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transient | ErrorKind::OutcomeUnknown)
        && !is_reason(error, "duplicate")
}

/// How many bytes have arrived: `Range: bytes=0-41`.
fn arrived(headers: &HeaderMap) -> u64 {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let last = range.rsplit_once('-').and_then(|(_, last)| last.parse::<u64>().ok());
    last.map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_goes_to_the_service_that_is_configured() {
        let elsewhere = "https://elsewhere.example/upload/bigquery/v2/projects/p/jobs?uploadType=resumable&upload_id=x";
        assert_eq!(
            session(elsewhere).unwrap(),
            "/upload/bigquery/v2/projects/p/jobs?uploadType=resumable&upload_id=x"
        );
        assert_eq!(session("nonsense"), None);
    }

    #[test]
    fn what_has_arrived_is_counted_from_the_first_byte() {
        let mut headers = HeaderMap::new();
        assert_eq!(arrived(&headers), 0);
        headers.insert(RANGE, "bytes=0-41".parse().unwrap());
        assert_eq!(arrived(&headers), 42);
    }
}
