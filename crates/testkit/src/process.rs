//! The built program as a process of its own: started, killed without warning, started again.

#![expect(clippy::expect_used, clippy::panic, reason = "tests can not go on without it, and say so")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

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

/// Waits until something is so, looking every 20 ms; answers how long it took.
///
/// # Panics
/// When it is not so within `most`.
pub fn until(what: &str, most: Duration, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < most, "{what}: not within {most:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// Gives the data folder `data` a new master key, and a configuration that names it and allows messages to this machine; `more` is further
/// lines of that.
///
/// # Panics
/// When a file can not be written or the key can not be made.
pub fn configure(program: &Path, data: &Path, more: &str) {
    let key = data.join("master.key").display().to_string();
    let _ = run(program, &["secrets", "new-key", &key]);
    let config = format!("master_key_file = '{key}'\nallowed_networks = [\"127.0.0.0/8\"]\n{more}");
    std::fs::write(data.join("undertone.toml"), config).expect("the configuration can be written");
}

/// Calls a service at `address` with an API key; answers the status and what it said. `null` is no body.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn call(address: &str, key: &str, (method, path): (&str, &str), body: &Value) -> (u16, String) {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{address}{path}"))
        .header("Authorization", format!("Bearer {key}"))
        .header("Content-Type", "application/json")
        .body(if body.is_null() { String::new() } else { body.to_string() })
        .expect("it is a request");
    let agent =
        ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build();
    let mut answer = agent.new_agent().run(request).expect("the service answers");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("its answer is read"))
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
