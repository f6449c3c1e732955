//! Ports that nobody listens on.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::failure::{Failure, Outcome};

/// SeaweedFS listens for gRPC on each port plus this.
const GRPC: u16 = 10_000;
/// With the gRPC ports all of these lie below 32768, where Linux begins to hand out ports to
/// outgoing connections: none of those can take one between the choice and the start.
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;

/// Where the parts of the S3 server listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) s3: u16,
    pub(super) filer: u16,
    pub(super) master: u16,
    pub(super) volume: u16,
    pub(super) admin: u16,
}

/// Begins at a random place, so that two stacks that start together seldom meet.
pub(super) fn choose() -> Outcome<Ports> {
    let mut free = free().filter(|port| is_free(port + GRPC));
    let ports = (|| {
        Some(Ports {
            s3: free.next()?,
            filer: free.next()?,
            master: free.next()?,
            volume: free.next()?,
            admin: free.next()?,
        })
    })();
    ports.ok_or_else(|| none("found no five free ports on loopback"))
}

/// A port for a server that needs no other.
pub(super) fn one() -> Outcome<u16> {
    free().next().ok_or_else(|| none("found no free port on loopback"))
}

/// Three ports, for a server that starts another one with two.
pub(super) fn three() -> Outcome<(u16, u16, u16)> {
    let mut free = free();
    let ports = free.next().and_then(|one| Some((one, free.next()?, free.next()?)));
    ports.ok_or_else(|| none("found no three free ports on loopback"))
}

/// Two ports, for a server that starts another one.
pub(super) fn two() -> Outcome<(u16, u16)> {
    let mut free = free();
    let ports = free.next().and_then(|one| Some((one, free.next()?)));
    ports.ok_or_else(|| none("found no two free ports on loopback"))
}

fn free() -> impl Iterator<Item = u16> {
    let start = RandomState::new().hash_one(std::process::id()) % u64::from(COUNT);
    let places = (0..u64::from(COUNT)).map(move |step| (start + step) % u64::from(COUNT));
    places
        .filter_map(|place| u16::try_from(place).ok())
        .map(|place| FIRST + place)
        .filter(|port| is_free(*port))
}

fn none(what: &str) -> Failure {
    Failure::new(what).with_hint(format!("free some between {FIRST} and {}", FIRST + COUNT + GRPC))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ports_differ_and_are_free() {
        let ports = choose().unwrap();
        let mut all = vec![ports.s3, ports.filer, ports.master, ports.volume, ports.admin];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|port| *port >= FIRST && port + GRPC < 32_768));
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
