//! A receiver of messages: a small HTTP server that keeps what it gets and answers as a test wants, politely or not.

#![expect(clippy::expect_used, reason = "tests can not go on without it, and say so")]

pub mod pagerduty;
pub mod slack;
pub mod teams;
pub mod zendesk;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// When it was complete.
    pub at: Instant,
}

impl Request {
    /// A header's value; empty where it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// With a status at once, and a body after a while.
    Late(u16, Duration, String),
    /// With a status and a body that stops in the middle and never ends.
    HangMidBody(u16),
    /// With a status and a body that goes on and on.
    Endless(u16),
    /// Not at all: nothing is said, and the connection stays open.
    Silence,
    /// Not at all: the connection breaks off.
    BreakOff,
}

impl Reply {
    /// A status and a text.
    #[must_use]
    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer(status, Vec::new(), body.to_owned())
    }

    /// A status and JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }
}

/// A receiver on a free port of this machine. It ends with the process.
#[derive(Clone)]
pub struct Receiver {
    /// Its address, such as `http://127.0.0.1:40001`.
    pub address: String,
    taken: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// Starts one that answers so.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let taken = Arc::<Mutex<Vec<Request>>>::default();
        let (kept, answer) = (taken.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { address, taken }
    }

    /// What came until now.
    #[must_use]
    pub fn taken(&self) -> Vec<Request> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much came until now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Takes requests from a connection until it ends.
fn serve(stream: TcpStream, kept: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        if !send(&mut out, answer(&request)) {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body, at: Instant::now() })
}

/// Answers; says whether the connection goes on.
fn send(out: &mut TcpStream, reply: Reply) -> bool {
    /// Longer than anybody waits.
    const LONG: Duration = Duration::from_mins(2);
    let head = |status: u16, length: usize| format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n");
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut text = head(status, body.len());
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            out.write_all((text + "\r\n" + &body).as_bytes()).is_ok()
        }
        Reply::Late(status, after, body) => {
            if out.write_all((head(status, body.len()) + "\r\n").as_bytes()).is_err() {
                return false;
            }
            std::thread::sleep(after);
            out.write_all(body.as_bytes()).is_ok()
        }
        Reply::HangMidBody(status) => {
            let _ = out.write_all((head(status, 1000) + "\r\nhalf of it").as_bytes());
            std::thread::sleep(LONG);
            false
        }
        Reply::Endless(status) => {
            let _ = out.write_all((head(status, usize::MAX >> 1) + "\r\n").as_bytes());
            while out.write_all(&[b'x'; 4096]).is_ok() {}
            false
        }
        Reply::Silence => {
            std::thread::sleep(LONG);
            false
        }
        Reply::BreakOff => false,
    }
}
