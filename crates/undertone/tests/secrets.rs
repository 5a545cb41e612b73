//! Keys of providers on the built program: made, set, sealed anew, and nowhere to be found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "secrets/in_use.rs"]
mod in_use;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use undertone_testkit::process::call;

/// Every key of a provider in these tests begins so; nothing else does.
const MARKER: &str = "marker-51c0";
/// What the environment of whoever runs the tests may hold.
const VARIABLES: [&str; 8] = [
    "UNDERTONE_MASTER_KEY",
    "UNDERTONE_PREVIOUS_MASTER_KEY",
    "UNDERTONE_CLAUDE_API_KEY",
    "UNDERTONE_OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
];

struct Bench {
    folder: tempfile::TempDir,
    /// Variables of every command.
    variables: Vec<(&'static str, String)>,
    /// Everything any of them said.
    said: String,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new(), said: String::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undertone"));
        command
            .args(arguments)
            .env("UNDERTONE_DATA_DIR", self.path("data"))
            .env_remove("UNDERTONE_DATABASE_URL");
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&mut self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // It may refuse before it reads.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        let output = process.wait_with_output().unwrap();
        self.said += &text(&output.stdout);
        self.said += &text(&output.stderr);
        output
    }

    /// Its standard output; it must succeed.
    fn done(&mut self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says when it fails.
    fn refused(&mut self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(!output.status.success(), "{arguments:?} must fail");
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn key(end: &str) -> String {
    format!("{MARKER}-of-a-test-{end}")
}

/// The service with everything it logs in a file.
struct Service(Child, String);

impl Service {
    fn start(bench: &Bench, log: &Path) -> Self {
        let mut process = bench
            .command(&["serve", "--listen", "127.0.0.1:0", "--workers", "1"])
            .env("UNDERTONE_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Listening on ");
        let address =
            address.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(log).unwrap())).to_owned();
        Self(process, address)
    }

    fn call(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, String) {
        call(&self.1, key, (method, path), body)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every file under `folder` but the one keys are kept in on purpose.
fn assert_nowhere(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_nowhere(&path);
        } else {
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
            assert!(!found, "a key stands in {}", path.display());
        }
    }
    files
}

#[test]
fn a_key_is_set_listed_and_removed_and_never_seen_again() {
    let mut bench = Bench::new();
    bench.done(&["tenant", "create", "acme"], "");
    let refused = bench.refused(&["secrets", "set", "acme", "claude"], &key("wxyz"));
    assert!(
        refused.contains("without a master key") && refused.contains("undertone secrets new-key"),
        "{refused}"
    );

    let master = bench.path("master.key");
    let told = bench.done(&["secrets", "new-key", master.to_str().unwrap()], "");
    assert!(told.contains("Keep a copy") && told.contains("master_key_file"), "{told}");
    assert_eq!(std::fs::metadata(&master).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&master).unwrap().trim().len(), 44);
    let again = bench.refused(&["secrets", "new-key", master.to_str().unwrap()], "");
    assert!(again.contains("can not be made"), "never over another one: {again}");
    bench.variables.push(("UNDERTONE_MASTER_KEY_FILE", master.to_str().unwrap().to_owned()));

    let told = bench.done(&["secrets", "set", "acme", "claude"], &format!("{}\n", key("wxyz")));
    assert!(
        told.contains("acme's key for claude is kept (…wxyz)") && told.contains("https://api.anthropic.com")
    );
    let local = ["secrets", "set", "acme", "openai", "--base-url", "http://localhost:8000/v1"];
    assert!(bench.done(&local, &key("abcd")).contains("http://localhost:8000/v1"));
    let listed = bench.done(&["secrets", "list", "acme"], "");
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines[0].starts_with("claude   own key (…wxyz), set ") && lines[0].contains("by command line"),
        "{listed}"
    );
    assert!(
        lines[1].starts_with("openai   own key (…abcd)") && lines[1].ends_with("http://localhost:8000/v1")
    );

    // A key in every place it may land by mistake.
    let marker = key("0000");
    let cases: [(&[&str], &str, &str); 9] = [
        (&["secrets", "set", "acme", "claude", &marker], "", "never from an argument"),
        (&["secrets", "set", "acme", &marker], "", "a provider is claude or openai"),
        (&["secrets", "set", &marker, "claude"], &marker, "there is no tenant of that name"),
        (&["secrets", "set", "acme", "claude", "--base-url", &marker], &marker, "a base address is"),
        (&["secrets", "set", "acme", "claude", &format!("--key={marker}")], "", "--key"),
        (&["secrets", "set", "acme", "claude"], "", "a key is 1 to 1000 visible ASCII characters"),
        (&["secrets", "set", "acme", "claude"], &format!("{marker}\n{marker}\n"), "a key is 1 to 1000"),
        (&["secrets", "set", "acme", "claude"], &marker.repeat(400), "longer than 4096 bytes"),
        (&["secrets", "remove", "acme", &marker], "", "a provider is claude or openai"),
    ];
    for (arguments, input, told) in cases {
        let refused = bench.refused(arguments, input);
        assert!(refused.contains(told), "{arguments:?}: {refused}");
    }

    let admin = bench.done(&["key", "create", "acme", "--scope", "admin"], "").trim().to_owned();
    bench.variables.push(("UNDERTONE_CLAUDE_API_KEY", key("inst")));
    bench.variables.push(("OPENAI_API_KEY", key("open")));
    let checked = bench.done(&["config", "check"], "");
    assert!(
        checked.contains("claude from UNDERTONE_CLAUDE_API_KEY, openai from OPENAI_API_KEY"),
        "{checked}"
    );
    bench.done(&["config", "show"], "");
    bench.done(&["secrets", "list", "acme"], "");
    bench.run(&["doctor"], "");
    let log = bench.path("service.log");
    {
        let service = Service::start(&bench, &log);
        let path = "/api/v1/provider-keys/claude";
        for (method, path, body, status) in [
            ("PUT", path, json!({"key": marker}), 200),
            ("PUT", path, json!({"key": format!("{marker} {marker}")}), 422),
            ("PUT", path, json!({"key": marker, "base_url": marker}), 422),
            ("PUT", path, json!([marker]), 422),
            ("POST", path, json!({"key": marker}), 405),
            ("PUT", "/api/v1/provider-keys/other", json!({"key": marker}), 404),
            ("GET", "/api/v1/provider-keys", json!(null), 200),
            ("GET", "/metrics", json!(null), 401),
            ("DELETE", path, json!(null), 200),
        ] {
            let (got, answer) = service.call(method, path, &admin, &body);
            assert_eq!(got, status, "{method} {path}: {answer}");
            bench.said += &answer;
        }
        let files = assert_nowhere(bench.folder.path());
        assert!(files >= 4 && bench.path("data/undertone.db-wal").is_file(), "database, log and master key");
    }
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("Keys of the installation: claude from UNDERTONE_CLAUDE_API_KEY"), "{logged}");
    assert!(bench.done(&["secrets", "list", "acme"], "").starts_with("claude   the installation's key\n"));
    assert_eq!(bench.done(&["secrets", "remove", "acme", "openai"], ""), "Removed.\n");
    assert!(bench.refused(&["secrets", "remove", "acme", "openai"], "").contains("no key of its own"));
    assert!(!bench.said.contains(MARKER), "{}", bench.said);
    assert_nowhere(bench.folder.path());
}

#[test]
fn a_master_key_is_replaced_while_both_open() {
    let mut bench = Bench::new();
    let (old, new) = (bench.path("old.key"), bench.path("new.key"));
    let (old, new) = (old.to_str().unwrap().to_owned(), new.to_str().unwrap().to_owned());
    for path in [&old, &new] {
        bench.done(&["secrets", "new-key", path], "");
    }
    bench.variables = vec![("UNDERTONE_MASTER_KEY_FILE", old.clone())];
    for tenant in ["acme", "brook"] {
        bench.done(&["tenant", "create", tenant], "");
        bench.done(&["secrets", "set", tenant, "claude"], &key(tenant));
    }
    let hook = format!(
        "version: 1\ndestinations:\n  - {{name: Hook, kind: webhook, url: https://93.184.215.14/{MARKER}}}\n"
    );
    bench.done(&["apply", "acme", "-", "--yes"], &hook);
    let refused = bench.refused(&["secrets", "rotate"], "");
    assert!(
        refused.contains("UNDERTONE_PREVIOUS_MASTER_KEY, in the file of previous_master_key_file"),
        "{refused}"
    );
    let refused = bench.refused(&["secrets", "rotate", "--old-key-file", &old], "");
    assert!(refused.contains("are the same"), "{refused}");

    // With the new one alone nothing opens, and that is said.
    bench.variables = vec![("UNDERTONE_MASTER_KEY_FILE", new.clone())];
    let listed = bench.done(&["secrets", "list", "acme"], "");
    assert!(listed.contains("it can not be used") && listed.contains("was not given"), "{listed}");
    let doctor = bench.run(&["doctor"], "");
    assert!(text(&doctor.stdout).contains("LOOK  acme: the tenant's key for claude was sealed with"));
    let unopened = "destination “Hook”: nothing can be sent to it";
    assert!(text(&doctor.stdout).contains(unopened), "{}", text(&doctor.stdout));

    bench.variables.push(("UNDERTONE_PREVIOUS_MASTER_KEY_FILE", old.clone()));
    assert!(!bench.done(&["secrets", "list", "acme"], "").contains("it can not be used"));
    let rotated = bench.done(&["secrets", "rotate"], "");
    assert!(rotated.contains(": 3. Sealed with it already: 0."), "{rotated}");
    assert!(bench.done(&["secrets", "rotate"], "").contains(": 0. Sealed with it already: 3."));
    bench.variables = vec![("UNDERTONE_MASTER_KEY_FILE", new.clone())];
    assert!(!bench.done(&["secrets", "list", "brook"], "").contains("it can not be used"));
    assert!(!text(&bench.run(&["doctor"], "").stdout).contains(unopened));

    // And back, with both as files; a key that neither opens is told and fails the command.
    bench.variables.clear();
    let third = bench.done(&["secrets", "new-key"], "").trim().to_owned();
    bench.variables = vec![("UNDERTONE_MASTER_KEY", third)];
    bench.done(&["secrets", "set", "brook", "claude"], &key("third"));
    let back = bench.run(&["secrets", "rotate", "--old-key-file", &new, "--new-key-file", &old], "");
    let told = text(&back.stdout);
    assert_eq!(back.status.code(), Some(1), "{told}");
    assert!(
        told.contains(": 2. Sealed with it already: 0.") && told.contains("brook: the tenant's key"),
        "{told}"
    );
    assert!(!bench.said.contains(MARKER), "{}", bench.said);

    // Master keys that are none, or that anybody may read.
    for (content, mode, told) in [("hunter2", 0o600, "a master key is 32 bytes"), ("", 0o600, "it is empty")]
    {
        std::fs::write(&new, content).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
        bench.variables = vec![("UNDERTONE_MASTER_KEY_FILE", new.clone())];
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["secrets", "list", "acme"]] {
            let refused = bench.refused(command, "");
            assert!(refused.contains(told) && !refused.contains("hunter2"), "{refused}");
        }
    }
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).unwrap();
    bench.variables = vec![("UNDERTONE_MASTER_KEY_FILE", old.clone())];
    let refused = bench.refused(&["secrets", "list", "acme"], "");
    assert!(refused.contains("it is too open (mode 644)") && refused.contains("chmod 600"), "{refused}");
}
