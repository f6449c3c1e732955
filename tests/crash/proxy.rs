//! A proxy before an S3 server, on loopback, that loses, delays, doubles and tears one request of all that pass.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde::{Deserialize, Serialize};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mishap {
    /// It does not arrive.
    RequestLost,
    /// It arrives and is applied; its answer is lost.
    AnswerLost,
    /// It is given up by the client, and applied after the next request was.
    Late,
    /// It arrives twice; the second answer comes back.
    Twice,
    /// The connection breaks in the middle of the answer.
    Torn,
    /// It is refused for now.
    SlowDown,
}

impl Mishap {
    pub(crate) const ALL: [Mishap; 6] = [
        Mishap::RequestLost,
        Mishap::AnswerLost,
        Mishap::Late,
        Mishap::Twice,
        Mishap::Torn,
        Mishap::SlowDown,
    ];
}

/// A running proxy, until it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    is_over: AtomicBool,
    server: SocketAddr,
    mishap: Option<(usize, Mishap)>,
    count: AtomicUsize,
    struck: Mutex<Option<String>>,
    late: Mutex<Option<Message>>,
}

/// A request or an answer, byte for byte.
#[derive(Clone)]
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Proxy {
    /// Starts before the server of an `http://host:port`, for one mishap at the request with this number.
    pub(crate) fn start(server: &str, mishap: Option<(usize, Mishap)>) -> Proxy {
        let server = server.strip_prefix("http://").expect("the test server speaks plain HTTP");
        let server = server.trim_end_matches('/').parse().expect("an address and a port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            is_over: AtomicBool::new(false),
            server,
            mishap,
            count: AtomicUsize::new(0),
            struck: Mutex::default(),
            late: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                // A connection that breaks is nobody's fault here.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Proxy { shared, address }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// The request to which it happened.
    pub(crate) fn struck(&self) -> Option<String> {
        self.shared.struck.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let mut requests = BufReader::new(client.try_clone()?);
        let mut client = client;
        let mut server = self.connect()?;
        while let Some(request) = Message::read_request(&mut requests)? {
            let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
            let mishap = self.mishap.filter(|(at, _)| *at == number).map(|(_, mishap)| mishap);
            if mishap.is_some() {
                *self.struck.lock().expect("nobody panics with it") = Some(request.line());
            }
            let mut answer = match mishap {
                Some(Mishap::RequestLost) => return Ok(()),
                Some(Mishap::Late) => {
                    *self.late.lock().expect("nobody panics with it") = Some(request);
                    return Ok(());
                }
                Some(Mishap::SlowDown) => Message::slow_down(),
                _ => exchange(&mut server, &request)?,
            };
            if mishap == Some(Mishap::Twice) {
                answer = exchange(&mut server, &request)?;
            }
            self.arrive()?;
            match mishap {
                Some(Mishap::AnswerLost) => return Ok(()),
                Some(Mishap::Torn) => {
                    let bytes = [answer.head, answer.body].concat();
                    client.write_all(&bytes[..bytes.len() / 2])?;
                    return Ok(());
                }
                _ => answer.write(&mut client)?,
            }
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        TcpStream::connect(self.server).map(BufReader::new)
    }

    /// Lets the request arrive that is late.
    fn arrive(&self) -> io::Result<()> {
        let late = self.late.lock().expect("nobody panics with it").take();
        match late {
            Some(late) => exchange(&mut self.connect()?, &late).map(drop),
            None => Ok(()),
        }
    }
}

fn exchange(server: &mut BufReader<TcpStream>, request: &Message) -> io::Result<Message> {
    request.write(server.get_mut())?;
    Message::read_answer(server, request)
}

impl Message {
    fn read_request(from: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
        let head = read_head(from)?;
        if head.is_empty() {
            return Ok(None);
        }
        let body = read_body(from, &head, false)?;
        Ok(Some(Message { head, body }))
    }

    fn read_answer(from: &mut BufReader<TcpStream>, request: &Message) -> io::Result<Message> {
        let head = read_head(from)?;
        let status = String::from_utf8_lossy(&head);
        let status = status.split(' ').nth(1).unwrap_or_default();
        let bodiless = request.head.starts_with(b"HEAD ") || matches!(status, "204" | "304");
        let body = if bodiless { Vec::new() } else { read_body(from, &head, true)? };
        Ok(Message { head, body })
    }

    fn slow_down() -> Message {
        let body = b"<Error><Code>SlowDown</Code><Message>wait</Message></Error>".to_vec();
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Message { head: head.into_bytes(), body }
    }

    fn write(&self, to: &mut TcpStream) -> io::Result<()> {
        to.write_all(&[&self.head[..], &self.body].concat())
    }

    /// Method and path, without the signature of the query.
    fn line(&self) -> String {
        let line = String::from_utf8_lossy(&self.head);
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        format!("{method} {}", path.split('?').next().unwrap_or_default())
    }
}

/// The first line and the headers, with the empty line; nothing at the end of the connection.
fn read_head(from: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        if from.read_until(b'\n', &mut head)? == 0 {
            return match head.is_empty() {
                true => Ok(head),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        if before > 0 && head[before..] == *b"\r\n" {
            return Ok(head);
        }
    }
}

fn read_body(from: &mut BufReader<TcpStream>, head: &[u8], is_answer: bool) -> io::Result<Vec<u8>> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let header = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|encoding| encoding.contains("chunked")) {
        loop {
            let line = body.len();
            from.read_until(b'\n', &mut body)?;
            let size = String::from_utf8_lossy(&body[line..]);
            let size = size.trim().split(';').next().unwrap_or_default().to_owned();
            let size = u64::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            from.take(size + 2).read_to_end(&mut body)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match header("content-length").map(str::parse) {
        Some(length) => {
            let length: u64 = length.map_err(|_| io::ErrorKind::InvalidData)?;
            from.take(length).read_to_end(&mut body)?;
        }
        // An answer without either ends with its connection.
        None if is_answer => {
            from.read_to_end(&mut body)?;
        }
        None => {}
    }
    Ok(body)
}
