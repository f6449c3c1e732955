//! One HTTP request to a server on loopback: enough to ask whether it works yet.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Sends a request and returns the status code of its answer.
pub(super) fn status(port: u16, method: &str, path: &str, body: &str) -> io::Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // The first line has all that is asked for; the limit keeps a strange server from filling us.
    stream.take(4096).read_to_end(&mut answer)?;
    status_code(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
}

fn status_code(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_status_is_the_second_word() {
        assert_eq!(status_code(b"HTTP/1.1 403 Forbidden\r\nServer: x\r\n\r\n"), Some(403));
        assert_eq!(status_code(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status_code(b""), None);
    }

    #[test]
    fn a_server_is_asked() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            // All of it: whoever closes before it has read all resets the connection.
            while !request.ends_with(b"yes") {
                let length = stream.read(&mut piece).unwrap();
                assert!(length > 0, "the request breaks off: {request:?}");
                request.extend_from_slice(&piece[..length]);
            }
            stream.write_all(b"HTTP/1.1 201 Created\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request).into_owned()
        });
        assert_eq!(status(port, "PUT", "/ready", "yes").unwrap(), 201);
        let request = server.join().unwrap();
        assert!(request.starts_with("PUT /ready HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\nyes"), "{request}");
    }
}
