//! The built program as a process of its own: started, killed without warning, started again.

#![expect(clippy::expect_used, clippy::panic, reason = "tests can not go on without it, and say so")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A service that does not listen by then is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running service.
pub struct Service {
    process: Child,
    /// Its address, such as `http://127.0.0.1:40001`.
    pub address: String,
}

impl Service {
    /// Starts `program serve` with `flags` on a free port and waits until it listens.
    ///
    /// It ends when the thread that called this does, also when that is killed.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start(program: &Path, flags: &[&str]) -> Self {
        Self::start_with(program, flags, &[])
    }

    /// The same, with these environment variables besides.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start_with(program: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_into(program, flags, variables, Stdio::inherit())
    }

    /// The same; what it logs goes to `log`.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start_into(
        program: &Path,
        flags: &[&str],
        variables: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Self {
        let mut process = bound(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(flags)
            .env("UNDERTONE_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let stdout = process.stdout.take().expect("its output is ours");
        let mut service = Self { process, address: String::new() };
        // Read to the end, so that it never waits for somebody to take what it prints.
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let line = heard.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let ended = service.process.try_wait().ok().flatten();
            panic!("it said nothing within {PATIENCE:?}; ended: {ended:?}")
        });
        let address = line.strip_prefix("Listening on ").unwrap_or_else(|| panic!("it said “{line}”"));
        service.address.push_str(address);
        service
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end, and waits.
    ///
    /// # Panics
    /// When it takes longer than `most`.
    pub fn terminate(&mut self, most: Duration) -> ExitStatus {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let deadline = Instant::now() + most;
        loop {
            if let Some(status) = self.process.try_wait().expect("its state can be read") {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end within {most:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that is killed when the thread that starts it ends, so that a test broken off leaves nothing behind.
pub(crate) fn bound(program: &Path) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}

/// Runs `program` with `arguments` to its end; answers its output.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}
