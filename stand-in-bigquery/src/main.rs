//! A stand-in for Google BigQuery, for tests: local-bigquery, and before it what that lacks: tokens, jobs that take time or
//! fail, quotas, answers that are lost.
//!
//! It listens on the address of its first argument, once all is ready, and starts the program of its second argument on the
//! ports of its third and fourth (REST and gRPC). It gives tokens at `/token` to
//! the service account whose key file is in `TRANSLOAD_TEST_GCS_CREDENTIALS`, and to `powerless@` the same domain, who has
//! the same key and may do nothing. `gs://` is read from `TRANSLOAD_TEST_GCS_WITHOUT_KEYS`. What it imitates stands in
//! `docs/destinations/bigquery.md` of the repository. It is no part of any program that is shipped.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on may panic"))]

mod accounts;
mod backend;
mod faults;
mod jobs;
mod refusal;
mod server;

use std::io;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use accounts::Accounts;
use backend::Backend;
use server::Server;

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what: &str| {
        arguments.next().ok_or_else(|| io::Error::other(format!("an argument is missing: {what}")))
    };
    let address = argument("where to listen")?;
    let program = argument("the program of local-bigquery")?;
    let (rest, grpc) = (argument("its port for REST")?, argument("its port for gRPC")?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token_uri = format!("http://{address}/token");
    let accounts = Accounts::new(&variable("TRANSLOAD_TEST_GCS_CREDENTIALS")?, token_uri)?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let project = variable("TRANSLOAD_TEST_BIGQUERY_PROJECT")?;
    let store = variable("TRANSLOAD_TEST_GCS_WITHOUT_KEYS")?;
    let (backend, mut process) = Backend::start(&program, [&rest, &grpc], &project, &store).await?;
    let server = Arc::new(Server::new(backend, accounts));
    let listener = TcpListener::bind(&address).await?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted?;
                let server = Arc::clone(&server);
                let service = service_fn(move |request| Arc::clone(&server).answer(request));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(client), service);
                // A connection that breaks is its client's matter.
                tokio::spawn(connection);
            }
            ended = process.wait() => {
                return Err(io::Error::other(format!("local-bigquery ended: {}", ended?)));
            }
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
        }
    }
    process.kill().await
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")))
}
