//! Runs over what is there already, with the built program: killed without warning in the middle, and cut off from its provider.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

#[path = "backfill/outage.rs"]
mod outage;
#[path = "backfill/site.rs"]
mod site;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use site::Site;

const KEY: &str = "local-key";

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_undertone"))
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let mut site = Site::open(Duration::from_millis(60));
    site.fill(300);
    let id = site.start_run(
        &json!({"mode": "refresh", "scorer": "claude", "batch_size": 20, "sleep_ms": 20, "confirm": true}),
    );
    for part in [40, 120] {
        site.run_until(&id, Duration::from_mins(1), |run| run["scored"].as_i64().unwrap() >= part);
        site.kill();
        site.start();
    }
    // The lease of the one that was killed ends after 30 seconds.
    let run = site.run_until(&id, Duration::from_secs(150), |run| run["report"].is_object());
    assert_eq!((&run["state"], &run["opened"], &run["scored"]), (&json!("done"), &json!(300), &json!(300)));
    assert_eq!(run["report"]["changes"]["pairs"], 300);
    assert!(site.revisions(300).iter().all(|count| *count == 2), "each was scored again once");
    site.verify();
    // What two crashes cost is what was under way.
    let billed = site.provider.ledger().billed.len();
    assert!(billed <= 300_usize.div_ceil(4) + 2 * 8, "{billed} requests");
}

#[test]
fn whoever_stops_looking_on_stops_nothing_else() {
    let site = Site::open(Duration::from_millis(100));
    site.fill(120);
    let mut looking_on = Command::new(program())
        .args(["backfill", "acme", "--mode", "refresh", "--scorer", "claude", "--batch-size", "8", "--yes"])
        .args(["--data-dir", &site.place()])
        .env("ANTHROPIC_API_KEY", KEY)
        .env("ANTHROPIC_BASE_URL", site.provider.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let newest = || site.call("GET", "/api/v1/backfills", None)["items"][0].clone();
    let begun = Instant::now();
    while newest()["scored"].as_i64().unwrap_or(0) < 8 {
        assert!(begun.elapsed() < Duration::from_mins(1), "not under way within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = looking_on.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let begun = Instant::now();
    while looking_on.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(20) {
            looking_on.kill().unwrap();
            panic!("it does not end within 20 s of Ctrl-C");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = looking_on.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.code() == Some(130) && told.contains("It goes on."), "{:?}: {told}", ended.status);
    let id = newest()["id"].as_str().unwrap().to_owned();
    let run = site.run_until(&id, Duration::from_mins(2), |run| run["report"].is_object());
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(120)));
    site.verify();
}

#[test]
fn the_command_says_what_it_takes_and_who_is_to_do_it() {
    let mut site = Site::open(Duration::ZERO);
    site.fill(12);
    let (place, provider) = (site.place(), site.provider.url());
    let say = |arguments: &[&str]| {
        let output = Command::new(program())
            .args(arguments)
            .args(["--data-dir", &place])
            .env("NO_COLOR", "1")
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", &provider)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{out}{err}"))
    };
    let (status, told) = say(&["backfill", "acme"]);
    assert_eq!(status, Some(0));
    assert!(
        told.contains("0 interactions without a verdict") && told.contains("Nothing was started."),
        "{told}"
    );
    let (status, told) = say(&["backfill", "acme", "--mode", "refresh", "--scorer", "claude"]);
    assert_eq!(status, Some(0));
    assert!(
        told.contains("12 interactions are scored again, with claude")
            && told.contains("Say --yes to start it."),
        "{told}"
    );
    assert!(told.contains("Cost     about $0.") && told.contains("guessed"), "{told}");
    let (status, told) =
        say(&["backfill", "acme", "--mode", "refresh", "--scorer", "claude", "--sleep", "0", "--yes"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("12 of 12 decided: 12 scored") && told.contains("Of 12 that had a verdict"),
        "{told}"
    );
    let (status, told) = say(&["backfill", "acme", "--batch-size", "101", "--from", "soon"]);
    assert_eq!(status, Some(1));
    assert!(told.contains("from 1 to 100") && told.contains("`from`"), "{told}");
    let (status, told) = say(&["backfill", "status", "acme"]);
    assert!(status == Some(0) && told.contains("done"), "{told}");
    // Without a service nothing happens, and it says so.
    site.kill();
    let (status, told) = say(&["backfill", "acme", "--mode", "refresh", "--limit", "5", "--yes"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("No service works on it yet"), "{told}");
    let (_, told) = say(&["backfill", "pause", "acme"]);
    assert!(told.contains("is paused"), "{told}");
    let (_, told) = say(&["backfill", "cancel", "acme"]);
    assert!(told.contains("is cancelled"), "{told}");
    let (status, told) = say(&["backfill", "resume", "acme"]);
    assert!(status == Some(1) && told.contains("this run is cancelled"), "{told}");
}
