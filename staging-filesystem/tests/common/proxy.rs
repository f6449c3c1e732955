//! Hard weather before a store's server on loopback: requests that are refused, lost, torn or overtaken.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test program uses a part")]

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The store is busy: it refuses it with this status and code.
    Refused(u16, &'static str),
    /// The connection breaks while it is sent.
    Reset,
    /// It is done, and the connection breaks before an answer.
    Unheard,
    /// The connection breaks in the middle of the answer.
    Torn,
    /// It arrives only after that many later ones of its kind were answered.
    Overtaken(usize),
}

/// A mishap to come, for requests of a method about something.
#[derive(Clone, Debug)]
struct Planned {
    method: &'static str,
    target: &'static str,
    times: usize,
    mishap: Mishap,
}

#[derive(Debug, Default)]
struct Shared {
    planned: Mutex<Vec<Planned>>,
    /// Requests that were answered, by method.
    answered: Mutex<Vec<String>>,
    changed: Condvar,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts before the server of an `http://host:port/path`.
    pub fn before(server: &str) -> Self {
        let rest = server.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let (serving, host) = (Arc::clone(&shared), host.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, host) = (Arc::clone(&serving), host.clone());
                // A connection that breaks is nobody's fault here.
                std::thread::spawn(move || drop(shared.serve(client, &host)));
            }
        });
        Self { url: url.trim_end_matches('/').to_owned(), shared }
    }

    /// Plans a mishap for the next requests of this method whose target holds this text, decoded and with a `&` behind
    /// every value of its query.
    pub fn plan(&self, method: &'static str, target: &'static str, times: usize, mishap: Mishap) {
        self.shared.planned.lock().unwrap().push(Planned { method, target, times, mishap });
    }

    /// The mishaps that did not come to pass.
    pub fn to_come(&self) -> usize {
        self.shared.planned.lock().unwrap().len()
    }

    /// Waits until that many requests of this method were answered from now on.
    pub fn answers(&self, method: &'static str, more: usize) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        let wanted = shared.answered(method) + more;
        let waiting = tokio::task::spawn_blocking(move || shared.wait(method, wanted));
        async move { waiting.await.unwrap() }
    }

    /// Clears the sky.
    pub fn clear(&self) {
        self.shared.planned.lock().unwrap().clear();
    }
}

impl Shared {
    fn take(&self, method: &str, target: &str) -> Option<Mishap> {
        let mut planned = self.planned.lock().unwrap();
        let found = planned
            .iter()
            .position(|plan| plan.method == method && target.contains(plan.target))?;
        planned[found].times -= 1;
        let mishap = planned[found].mishap;
        if planned[found].times == 0 {
            planned.remove(found);
        }
        Some(mishap)
    }

    fn answered(&self, method: &str) -> usize {
        count(&self.answered.lock().unwrap(), method)
    }

    /// Waits until that many requests of this method were answered in all.
    fn wait(&self, method: &str, wanted: usize) {
        let mut answered = self.answered.lock().unwrap();
        while count(&answered, method) < wanted {
            answered = self.changed.wait(answered).unwrap();
        }
    }

    /// One request a connection: the server is told to close, and its answer ends there.
    fn serve(&self, mut client: TcpStream, server: &str) -> io::Result<()> {
        let head = read_head(&mut client)?;
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let decoded = url::form_urlencoded::parse(target.as_bytes());
        let decoded: String = decoded.map(|(name, value)| format!("{name}={value}&")).collect();
        let mishap = self.take(method, &decoded);
        if mishap == Some(Mishap::Reset) {
            // What was sent is left unread, so that the system resets the connection.
            return Ok(());
        }
        let length = value(&head, "content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        client.read_exact(&mut body)?;
        if let Some(Mishap::Refused(status, code)) = mishap {
            let body = format!("<Error><Code>{code}</Code><Message>wait</Message></Error>");
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            client.write_all(head.as_bytes())?;
            return client.write_all(body.as_bytes());
        }
        if let Some(Mishap::Overtaken(others)) = mishap {
            self.wait(method, self.answered(method) + others);
        }
        let answer = exchange(server, &head, &body)?;
        match mishap {
            Some(Mishap::Unheard) => return Ok(()),
            Some(Mishap::Torn) => client.write_all(&answer[..answer.len() / 2])?,
            _ => client.write_all(&answer)?,
        }
        client.shutdown(Shutdown::Write)?;
        self.answered.lock().unwrap().push(method.to_owned());
        self.changed.notify_all();
        Ok(())
    }
}

fn count(answered: &[String], method: &str) -> usize {
    answered.iter().filter(|known| *known == method).count()
}

fn exchange(server: &str, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(server)?;
    let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let kept =
        rest.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = kept.collect();
    let head = format!("{line}\r\nConnection: close\r\n{}", kept.join("\r\n"));
    server.write_all(head.as_bytes())?;
    server.write_all(body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    headers
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
