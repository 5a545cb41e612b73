//! An SMTP server for tests: RFC 5321 with `STARTTLS` (RFC 3207) or TLS from the first byte (RFC 8314), `AUTH PLAIN` (RFC 4954), a list of
//! faults, and every message it took. Written from the documents, not from a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How a client gets to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// By `STARTTLS`; before that nothing but greetings is taken.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// What is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers 451 to every recipient: try again.
    Temporary,
    /// It answers 550 to every recipient: never.
    Permanent,
    /// It does not know the password any more.
    WrongPassword,
    /// It offers no `STARTTLS`, as somebody in between would make it look.
    NoStartTls,
    /// It takes the message and hangs up before it says so.
    HangUpAfterData,
    /// It takes the message and says so half a second later.
    SlowAfterData,
}

/// How long a slow server takes.
const SLOW: Duration = Duration::from_millis(500);

/// A message it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Who sent it, as in the envelope.
    pub from: String,
    /// Who gets it, as in the envelope.
    pub to: Vec<String>,
    /// The message, with dots unstuffed and lines that end in CR LF.
    pub text: String,
    /// It came encrypted, from somebody with the right password.
    pub is_safe: bool,
}

impl Taken {
    /// A header's value, with broken lines made whole; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let begins = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&begins)).unwrap_or_default().to_owned()
    }
}

struct Shared {
    security: Security,
    tls: Arc<ServerConfig>,
    /// User and password.
    login: (String, String),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    taken: Vec<Taken>,
}

/// A running server, for as long as the process lasts.
pub struct Smtp {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Smtp {
    /// Starts one on this machine that shows what `tls` holds and knows one user.
    pub fn start(security: Security, tls: ServerConfig, login: (&str, &str)) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            security,
            tls: Arc::new(tls),
            login: (login.0.to_owned(), login.1.to_owned()),
            state: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                // Whoever breaks off is gone; that is what some faults are about.
                std::thread::spawn(move || drop(served.serve(stream)));
            }
        });
        Ok(Self { shared, address })
    }

    /// The port it listens at.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on this is wrong; `None`: nothing.
    pub fn fail(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// The messages it took, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.shared.state().taken.clone()
    }
}

/// What one client said so far.
#[derive(Default)]
struct Client {
    is_encrypted: bool,
    is_known: bool,
    from: String,
    to: Vec<String>,
}

/// What comes after a command.
enum Next {
    Answer(String),
    Encrypt,
    Data,
    End,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut client = Client { is_encrypted: self.security == Security::Implicit, ..Client::default() };
        if client.is_encrypted {
            let mut stream = self.encrypted(stream)?;
            stream.write_all(b"220 test.example ESMTP\r\n")?;
            self.talk(&mut BufReader::new(stream), &mut client)?;
            return Ok(());
        }
        let mut plain = stream.try_clone()?;
        plain.write_all(b"220 test.example ESMTP\r\n")?;
        if self.talk(&mut BufReader::new(plain), &mut client)? {
            client = Client { is_encrypted: true, ..Client::default() };
            self.talk(&mut BufReader::new(self.encrypted(stream)?), &mut client)?;
        }
        Ok(())
    }

    fn encrypted(&self, stream: TcpStream) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let connection = ServerConnection::new(Arc::clone(&self.tls)).map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Talks until the client leaves, or asks for encryption: then `true`.
    fn talk<S: Read + Write>(&self, stream: &mut BufReader<S>, client: &mut Client) -> std::io::Result<bool> {
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            let answer = match self.hear(line.trim_end(), client) {
                Next::Answer(answer) => answer,
                Next::Encrypt => {
                    stream.get_mut().write_all(b"220 go ahead\r\n")?;
                    return Ok(true);
                }
                Next::Data => {
                    stream.get_mut().write_all(b"354 go ahead\r\n")?;
                    let text = data(stream)?;
                    let is_safe = client.is_encrypted && client.is_known;
                    let mut state = self.state();
                    let (from, to) = (client.from.clone(), std::mem::take(&mut client.to));
                    state.taken.push(Taken { from, to, text, is_safe });
                    let fault = state.fault;
                    drop(state);
                    match fault {
                        Some(Fault::HangUpAfterData) => return Ok(false),
                        Some(Fault::SlowAfterData) => std::thread::sleep(SLOW),
                        _ => {}
                    }
                    "250 taken".to_owned()
                }
                Next::End => {
                    stream.get_mut().write_all(b"221 bye\r\n")?;
                    return Ok(false);
                }
            };
            stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
        }
    }

    fn hear(&self, line: &str, client: &mut Client) -> Next {
        let fault = self.state().fault;
        let answer = |text: &str| Next::Answer(text.to_owned());
        let (command, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
        let needs_tls = !client.is_encrypted && fault != Some(Fault::NoStartTls);
        match command.to_ascii_uppercase().as_str() {
            "EHLO" if needs_tls => answer("250-test.example\r\n250 STARTTLS"),
            "EHLO" if !client.is_encrypted => answer("250 test.example"),
            "EHLO" => answer("250-test.example\r\n250 AUTH PLAIN"),
            "STARTTLS" if needs_tls => Next::Encrypt,
            "NOOP" | "RSET" => answer("250 fine"),
            "QUIT" => Next::End,
            _ if !client.is_encrypted => answer("530 5.7.0 must issue a STARTTLS command first"),
            "AUTH" => {
                let expected = STANDARD.encode(format!("\0{}\0{}", self.login.0, self.login.1));
                client.is_known = rest == format!("PLAIN {expected}") && fault != Some(Fault::WrongPassword);
                answer(if client.is_known {
                    "235 2.7.0 welcome"
                } else {
                    "535 5.7.8 these credentials are wrong"
                })
            }
            _ if !client.is_known => answer("530 5.7.0 authentication required"),
            "MAIL" => {
                client.from = address(line);
                answer("250 fine")
            }
            "RCPT" if fault == Some(Fault::Temporary) => answer("451 4.3.0 come back later"),
            "RCPT" if fault == Some(Fault::Permanent) => answer("550 5.1.1 there is no such person"),
            "RCPT" => {
                client.to.push(address(line));
                answer("250 fine")
            }
            "DATA" if !client.to.is_empty() => Next::Data,
            _ => answer("503 5.5.1 not now"),
        }
    }
}

/// What stands between the angle brackets.
fn address(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(address, _)| address.to_owned())
}

/// A message up to the line with a dot alone.
fn data(stream: &mut impl BufRead) -> std::io::Result<String> {
    let (mut text, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
