//! A stand-in for Amazon Redshift, for tests: a proxy in front of PostgreSQL that takes Redshift's statements.
//!
//! What it imitates stands in `docs/destinations/redshift.md` of the repository, with the page of the vendor that each
//! behaviour was taken from. It is no part of any program that is shipped.
//!
//! It listens on the address that it is given, once all is ready. The S3 server and the keys with which it assumes roles
//! stand in the variables of the test stack; its users `loader` (may make schemas) and `reader` (may not) have the password
//! in `TRANSLOAD_TEST_REDSHIFT_PASSWORD`. On the same address the services answer that give out temporary users, for the
//! cluster `examples` and the workgroup `default`, to whoever signs with the keys of the S3 server.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on may panic"))]

mod copy;
mod faults;
mod iam;
mod postgres;
mod rewrite;
mod s3;
mod session;
mod signature;
mod sql;
mod wire;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use postgres::Postgres;
use s3::Storage;
use session::Shared;

// One thread: the server behind it ends with the thread that started it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address =
        address.ok_or_else(|| io::Error::other("where to listen is the first argument"))?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let storage = Storage {
        endpoint: variable("TRANSLOAD_TEST_S3_ENDPOINT")?,
        key: variable("TRANSLOAD_TEST_S3_KEY")?,
        secret: variable("TRANSLOAD_TEST_S3_SECRET")?,
        default_role: variable("TRANSLOAD_TEST_S3_ROLE")?,
    };
    let password = variable("TRANSLOAD_TEST_REDSHIFT_PASSWORD")?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let postgres = Postgres::start(&postgres::programs()?, &password).await?;
    let iam = iam::Iam::new(&storage);
    let shared = Arc::new(Shared {
        upstream: postgres.port,
        admin: postgres.admin().await?,
        storage,
        iam,
        faults: faults::Faults::default(),
    });
    let listener = TcpListener::bind(&address).await?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted?;
                // A session that breaks is its client's matter.
                tokio::spawn(session::serve(client, Arc::clone(&shared)));
            }
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
        }
    }
    postgres.stop().await
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")))
}
