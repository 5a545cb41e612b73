//! The server as a test or the demo holds it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::fault::Fault;
use crate::http;
use crate::ledger::Ledger;
use crate::line::{self, Command};
use crate::script::Script;
use crate::state::{Seen, Shared};

/// A running server. It ends when this is dropped.
///
/// It runs on a thread of its own, so it can be used with and without an async runtime around it.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of the loopback address. Fails where there is none, or no thread.
    pub fn start(script: Script) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(script));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, told) = unbounded_channel();
        let (listens, heard) = mpsc::channel();
        let router = http::router(&shared);
        let thread = std::thread::Builder::new().name("llm-server".to_owned()).spawn(move || {
            runtime.block_on(async {
                let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
                    Ok((address, listener)) => {
                        let _ = listens.send(Ok(address));
                        line::serve(listener, address, router, told).await;
                    }
                    Err(error) => {
                        let _ = listens.send(Err(error));
                    }
                }
            });
        })?;
        let address = heard.recv().map_err(io::Error::other)??;
        Ok(Self { address, shared, commands: Some(commands), thread: Some(thread) })
    }

    /// Its address, such as `http://127.0.0.1:40001`: what `ANTHROPIC_BASE_URL` would hold.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base address of chat completions, which ends in `/v1`.
    #[must_use]
    pub fn chat_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// Everything billed until now, batches that got on meanwhile included.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.settled().ledger.clone()
    }

    /// The requests seen, oldest first, as many as the script remembers.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.iter().cloned().collect()
    }

    /// Forgets the requests seen.
    pub fn forget_requests(&self) {
        self.shared.state().seen.clear();
    }

    /// From now on `fault` is what goes wrong, and nothing else.
    pub fn set(&self, fault: Fault) {
        self.shared.state().plan.faults = vec![fault];
    }

    /// `fault` goes wrong too. Where several strike one call, the first that was given counts.
    pub fn add(&self, fault: Fault) {
        self.shared.state().plan.faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.shared.state().plan.faults.clear();
    }

    /// Lets go what waits: [`crate::Failure::Hang`] and [`crate::Failure::Hold`].
    pub fn release(&self) {
        self.shared.released.send_modify(|times| *times += 1);
    }

    /// Callers that wait for an answer at this moment.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.state().in_flight
    }

    /// The most callers that ever waited at one moment.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.shared.state().most_in_flight
    }

    /// Pulls the plug: connections break off, and new ones are refused. Answers that were being made are made and billed all the same.
    pub fn unplug(&self) -> io::Result<()> {
        self.command(Command::Unplug)
    }

    /// Puts it back in, on the same port. Fails where somebody else has taken it meanwhile.
    pub fn plug_in(&self) -> io::Result<()> {
        self.command(Command::PlugIn)
    }

    fn command(&self, command: impl FnOnce(mpsc::Sender<io::Result<()>>) -> Command) -> io::Result<()> {
        let (done, heard) = mpsc::channel();
        let sent = self.commands.as_ref().is_some_and(|commands| commands.send(command(done)).is_ok());
        if !sent {
            return Err(io::Error::other("the server has ended"));
        }
        heard.recv().map_err(io::Error::other)?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The loop ends when nobody can tell it anything any more; whatever still waits ends with it.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
