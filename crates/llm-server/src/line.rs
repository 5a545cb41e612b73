//! Connections, accepted one by one so that they can be broken off: before the answer, in the middle of it, or all at once.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

/// What the server is told while it listens. Each is answered when it is done.
pub(crate) enum Command {
    /// Stop listening, and break every connection off.
    Unplug(mpsc::Sender<io::Result<()>>),
    /// Listen again, on the same port.
    PlugIn(mpsc::Sender<io::Result<()>>),
}

/// Listens until nobody can send commands any more.
pub(crate) async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    mut commands: UnboundedReceiver<Command>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::Unplug(done)) => {
                    listener = None;
                    connections.shutdown().await;
                    let _ = done.send(Ok(()));
                }
                Some(Command::PlugIn(done)) => {
                    let outcome = match listener {
                        Some(_) => Ok(()),
                        None => TcpListener::bind(address).await.map(|bound| listener = Some(bound)),
                    };
                    let _ = done.send(outcome);
                }
            },
            accepted = accept(listener.as_ref()) => {
                // What fails here is one connection's matter, such as a caller who hung up at once.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, router.clone()));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Answers one caller's requests until the connection ends.
async fn converse(stream: TcpStream, router: Router) {
    let _ = stream.set_nodelay(true);
    let wire = Wire::default();
    let service = TowerToHyperService::new(router.layer(Extension(wire.clone())));
    let line = TokioIo::new(Line { stream, wire });
    // Its end is no error of the server's, however it comes.
    let _ = http1::Builder::new().serve_connection(line, service).await;
}

/// Breaks one connection off.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Cut>>);

#[derive(Clone, Copy, Default)]
enum Cut {
    /// Nowhere.
    #[default]
    Never,
    /// After the response's head and so many bytes of its body.
    Midway(usize),
    /// After so many bytes.
    After(usize),
}

impl Wire {
    /// Before the next byte.
    pub(crate) fn cut_before(&self) {
        self.set(Cut::After(0));
    }

    /// After so many bytes of the next body.
    pub(crate) fn cut_midway(&self, body_bytes: usize) {
        self.set(Cut::Midway(body_bytes));
    }

    fn set(&self, cut: Cut) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cut;
    }

    fn get(&self) -> Cut {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of `bytes` may be written.
    fn most(&self, bytes: &[u8]) -> usize {
        match self.get() {
            Cut::Never => bytes.len(),
            Cut::After(left) => left.min(bytes.len()),
            Cut::Midway(body) => head_end(bytes).map_or(bytes.len(), |end| bytes.len().min(end + body)),
        }
    }

    /// So many of `bytes` were written.
    fn wrote(&self, bytes: &[u8], count: usize) {
        match self.get() {
            Cut::Never => {}
            Cut::After(left) => self.set(Cut::After(left.saturating_sub(count))),
            Cut::Midway(body) => {
                if let Some(end) = head_end(bytes) {
                    self.set(Cut::After((end + body).saturating_sub(count)));
                }
            }
        }
    }
}

/// Where the head of a response ends. The server writes a head in one go.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// A connection that ends where its [`Wire`] is cut.
struct Line {
    stream: TcpStream,
    wire: Wire,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = self.wire.most(bytes);
        if most == 0 && !bytes.is_empty() {
            // Without lingering the connection is reset rather than closed in good order.
            let _ = self.stream.set_zero_linger();
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..most]))?;
        self.wire.wrote(bytes, count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
