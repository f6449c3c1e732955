//! A stand-in for Google Cloud Storage, for tests: the XML API, which fake-gcs-server has only to read, before its JSON API.
//!
//! It listens on the address of its first argument, once all is ready, and starts the program of its second argument on the
//! port of its third. What comes for the JSON API is passed on. Either way a request needs a token that one of the service
//! accounts has signed: the one in `TRANSLOAD_TEST_GCS_CREDENTIALS`, a key file in JSON, or `reader@` the same domain, who
//! may only read and has the same key. A token may also be had at `/_token` for a signature, and be narrowed at `/_sts`; or the
//! address itself is signed. It is no part of any program that is shipped.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on may panic"))]

mod accounts;
mod backend;
mod boundary;
mod faults;
mod listing;
mod refusal;
mod server;
mod signed;
mod tokens;
mod uploads;
mod xml;

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
    let program = argument("the program of fake-gcs-server")?;
    let port = argument("its port")?.parse().map_err(io::Error::other)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let accounts = Accounts::new(&variable("TRANSLOAD_TEST_GCS_CREDENTIALS")?)?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let (backend, mut process) = Backend::start(&program, port).await?;
    backend.make_bucket(&variable("TRANSLOAD_TEST_GCS_BUCKET")?).await?;
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
                return Err(io::Error::other(format!("fake-gcs-server ended: {}", ended?)));
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
