//! A web server on this machine that gives out one file, and fails as it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server does; tests change it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Behaviour {
    pub(super) body: Vec<u8>,
    pub(super) etag: Option<&'static str>,
    /// Whether parts can be asked for.
    pub(super) ranges: bool,
    /// Whether an answer says how long it is.
    pub(super) hides_length: bool,
    /// After how many bytes each of the next answers with more than one byte breaks off.
    pub(super) breaks: Vec<usize>,
    /// What happens to the etag with the next answer that breaks off.
    pub(super) next_etag: Option<&'static str>,
    /// The status of each of the next answers.
    pub(super) statuses: Vec<u16>,
    /// The first line and the range of each request.
    pub(super) seen: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) behaviour: Arc<Mutex<Behaviour>>,
}

impl Server {
    pub(super) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let behaviour = Arc::new(Mutex::new(behaviour));
        let server = Self { address, behaviour: Arc::clone(&behaviour) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is none of the server's business.
                let _ = answer(stream, &behaviour);
            }
        });
        server
    }

    pub(super) fn url(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.address)
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().expect("no thread panicked"));
    }

    /// The ranges that were asked for.
    pub(super) fn ranges(&self) -> Vec<Option<String>> {
        let behaviour = self.behaviour.lock().expect("no thread panicked");
        behaviour.seen.iter().map(|(_, range)| range.clone()).collect()
    }
}

fn answer(mut stream: TcpStream, behaviour: &Mutex<Behaviour>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let (mut range, mut if_match) = (None, None);
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => range = Some(value.trim().to_owned()),
            "if-match" => if_match = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let (head, body) = respond(&request, range, if_match.as_deref(), behaviour);
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    stream.flush()
}

fn respond(
    request: &str,
    range: Option<String>,
    if_match: Option<&str>,
    behaviour: &Mutex<Behaviour>,
) -> (String, Vec<u8>) {
    let mut now = behaviour.lock().expect("no thread panicked");
    now.seen.push((request.to_owned(), range.clone()));
    let empty = |status: u16| {
        (
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            Vec::new(),
        )
    };
    if !now.statuses.is_empty() {
        return empty(now.statuses.remove(0));
    }
    if if_match.is_some_and(|wanted| now.etag != Some(wanted)) {
        return empty(412);
    }
    let whole = now.body.len();
    let (status, start, end) = match range.as_deref().filter(|_| now.ranges) {
        None => (200, 0, whole),
        Some(range) => {
            let (start, end) = range.trim_start_matches("bytes=").split_once('-').expect("a range");
            let start: usize = start.parse().expect("a start");
            if start >= whole {
                return empty(416);
            }
            (206, start, end.parse().map_or(whole, |last: usize| whole.min(last + 1)))
        }
    };
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    );
    if !now.hides_length {
        head += &format!("Content-Length: {}\r\n", end - start);
    }
    if status == 206 {
        head += &format!("Content-Range: bytes {start}-{}/{whole}\r\n", end - 1);
    }
    if let Some(etag) = now.etag {
        head += &format!("ETag: {etag}\r\n");
    }
    let mut body =
        if request.starts_with("HEAD") { Vec::new() } else { now.body[start..end].to_vec() };
    if body.len() > 1 && !now.breaks.is_empty() {
        let length = now.breaks.remove(0);
        body.truncate(length);
        if let Some(next) = now.next_etag.take() {
            now.etag = Some(next);
        }
    }
    (head + "\r\n", body)
}
