//! local-bigquery: started, and asked.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What the program is started through.
const CATALOG: &str = include_str!("catalog.py");

const START: Duration = Duration::from_secs(50);
const PAUSE: Duration = Duration::from_millis(50);

/// The server behind.
#[derive(Debug)]
pub(crate) struct Backend {
    client: Client,
    url: String,
    /// Where it keeps its files, for as long as it runs.
    _folder: TempDir,
}

impl Backend {
    /// Starts the program and waits until it answers.
    pub(crate) async fn start(
        program: &str,
        [rest, grpc]: [&str; 2],
        project: &str,
        store: &str,
    ) -> io::Result<(Self, Child)> {
        let url = format!("http://127.0.0.1:{rest}");
        // It writes every job down twice, and waits for the disk each time.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory)?,
            false => tempfile::tempdir()?,
        };
        // DuckDB looks for its extensions below the home folder; they are installed beside the program.
        let home = Path::new(program).parent().and_then(Path::parent).map(|it| it.join("home"));
        // The Python that the program is installed in.
        let mut process = Command::new(Path::new(program).with_file_name("python"))
            .args(["-c", CATALOG, "--host", "127.0.0.1", "--port", rest, "--grpc-port", grpc])
            .args(["--project", project, "--data-dir"])
            .arg(folder.path())
            .env("STORAGE_EMULATOR_HOST", store)
            .env("HOME", home.unwrap_or_default())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let backend = Self { client: Client::new(), url, _folder: folder };
        let began = Instant::now();
        let path = format!("/bigquery/v2/projects/{project}/datasets");
        while backend.passed_on(Method::GET, &path).send().await.is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(io::Error::other(format!("local-bigquery ended: {status}")));
            }
            if began.elapsed() > START {
                return Err(io::Error::other("local-bigquery does not answer"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok((backend, process))
    }

    /// A request to the same path.
    pub(crate) fn passed_on(&self, method: Method, target: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{target}", self.url))
    }
}
