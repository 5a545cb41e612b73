//! As much of an HTTP server as the provider needs: one request on a connection, answered and closed.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A request.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
pub struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, location: None, body: body.to_string() }
    }

    pub fn redirect(location: &str) -> Self {
        Self { status: 302, location: Some(location.to_owned()), body: String::new() }
    }
}

/// Answers one request.
pub fn serve(mut stream: TcpStream, answer: impl Fn(&Request) -> Answer) {
    let Some(request) = stream.try_clone().ok().and_then(read) else { return };
    let Answer { status, location, body } = answer(&request);
    let location = location.map(|place| format!("Location: {place}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status} As asked\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{location}Connection: close\r\n\r\n",
        body.len()
    );
    // Whoever asked may have gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn read(stream: TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, address) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
    let mut body = vec![0; length.min(1 << 20)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = address.split_once('?').unwrap_or((&address, ""));
    Some(Request {
        method,
        path: path.to_owned(),
        query: fields(query),
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

/// The fields of a form or a query.
pub fn fields(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                decoded.push(code);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A value as it stands in a query.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded + &char::from(byte).to_string()
        } else {
            encoded + &format!("%{byte:02X}")
        }
    })
}
