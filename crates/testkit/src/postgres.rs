//! A PostgreSQL server of one's own: on a free port, in a folder that goes away with it.

#![expect(clippy::expect_used, clippy::panic, reason = "tests can not go on without it, and say so")]

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Two tests of these names that await what `$suite` does with the address of a database: one on SQLite, one on PostgreSQL, each with a database
/// of its own that goes away with it. Whoever uses it needs tokio and tempfile.
#[macro_export]
macro_rules! on_both_databases {
    ($sqlite:ident, $postgres:ident, $suite:path) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $sqlite() {
            let folder = tempfile::tempdir().unwrap();
            $suite(format!("sqlite://{}/undertone.db", folder.path().display())).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $postgres() {
            let server = $crate::postgres::Postgres::start();
            $suite(server.url()).await;
        }
    };
}

/// Ports tried before it is given up.
const TRIES: usize = 3;
/// A server that does not answer by then is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server; it ends with this value, and with the process.
pub struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    /// Starts a server.
    ///
    /// It ends when the thread that called this does: keep the value on that thread, never in a `static`.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed, or does not start: a test that needs it must not pass without.
    #[must_use]
    pub fn start() -> Self {
        let programs = programs();
        // In the system's own temporary folder: the path of a socket is short, and the server's user can get there.
        let folder =
            tempfile::Builder::new().prefix("undertone-postgres-").tempdir().expect("a temporary folder");
        // The server refuses to run as root; it gets a folder and a user that may do nothing else.
        if is_root() {
            run(Command::new("chown").arg("nobody").arg(folder.path()));
        }
        run(as_server(&programs.join("initdb")).arg("-D").arg(folder.path().join("data")).args([
            "--auth=trust",
            "--username=undertone",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        // Somebody else may take a port between looking and starting; then another one will do.
        for _ in 0..TRIES {
            let port =
                TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
            let mut server = spawn(&programs, folder.path(), port);
            if is_up(&programs, folder.path(), port, &mut server) {
                return Self { server, folder, port };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start; its log says:\n{log}");
    }

    /// Address of the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://undertone@127.0.0.1:{}/postgres", self.port)
    }

    /// The folder it lives in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

fn spawn(programs: &Path, folder: &Path, port: u16) -> Child {
    let log = File::create(folder.join("log")).expect("a file in a folder of our own");
    as_server(&programs.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
        .arg(folder)
        // Nobody pulls the plug on the machine during a test; waiting for the disk would test nothing.
        .args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"])
        .args(["-c", "max_connections=200"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the server starts")
}

/// Waits until it answers; false when it ended instead.
fn is_up(programs: &Path, folder: &Path, port: u16, server: &mut Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // By the socket in our folder, so that it is surely ours that answers.
        let mut ask = Command::new(programs.join("pg_isready"));
        ask.arg("-q").arg("-h").arg(folder).args(["-p", &port.to_string()]);
        if ask.status().is_ok_and(|status| status.success()) {
            return true;
        }
        if server.try_wait().expect("its state can be read").is_some() {
            return false;
        }
        if Instant::now() > deadline {
            end(server);
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends it at once; there is nothing to keep.
fn end(server: &mut Child) {
    let _ = Command::new("kill").args(["-QUIT", &server.id().to_string()]).status();
    let _ = server.wait();
}

/// Where the server's programs are: on the path, where `pg_config` says, or where Debian puts them.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|said| PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    on_path
        .into_iter()
        .chain(told)
        .chain(debian)
        // A link on the path leads to the folder that has all of them.
        .filter_map(|folder| Some(folder.join("initdb").canonicalize().ok()?.parent()?.to_owned()))
        .find(|folder| folder.join("postgres").is_file() && folder.join("pg_isready").is_file())
        .expect("PostgreSQL is not installed; run: apt-get install postgresql")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// A program that runs as a user without rights, and ends when whoever started it does.
fn as_server(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
