//! The provider is away for a while: nothing is lost, nothing is charged twice, and all goes on by itself. The sizes are small here; the
//! long ones, whose figures are in docs/performance.md, are `make bench-outage`.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::json;
use undertone_llm_server::items;

use super::site::Site;

/// A size: the variable, or else what is right for every run of the tests.
fn size(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |told| told.parse().unwrap())
}

/// How long the provider is away.
fn outage() -> Duration {
    Duration::from_secs(size("UNDERTONE_OUTAGE_SECONDS", 5))
}

/// Says the figures to who runs this by itself, as a row of the table in docs/performance.md: what waited, how long the provider was away,
/// and after how many seconds with it back there was a first verdict, and all.
fn tell(what: &str, first: f64, all: f64) {
    println!("FIGURES | {what} | {} s | {first:.1} s | {all:.1} s |", outage().as_secs());
}

/// What the provider delivered is what the usage report says, to the token. What was billed and never arrived is held as lost.
fn assert_adds_up(site: &Site) {
    let delivered: u64 = site.provider.ledger().delivered().map(|billed| billed.usage.total()).sum();
    let report = site.call("GET", "/api/v1/ai-usage?group=scorer", None);
    assert_eq!(report["total"]["tokens"].as_u64(), Some(delivered), "{report}");
}

/// How often each text was billed, and how many requests were billed whose answers never arrived.
fn billed(site: &Site) -> (HashMap<String, usize>, usize) {
    let ledger = site.provider.ledger();
    let paid: HashSet<&str> = ledger.billed.iter().map(|billed| billed.request_id.as_str()).collect();
    let (split, mut times) = (items::fenced(), HashMap::new());
    for seen in site.provider.requests().iter().filter(|seen| paid.contains(seen.request_id.as_str())) {
        for item in split(seen.json()["messages"][0]["content"].as_str().unwrap()) {
            *times.entry(item.text).or_default() += 1;
        }
    }
    (times, ledger.billed.len() - ledger.delivered().count())
}

/// Each text was billed once, but for those of requests whose answers were lost, of which there are at most `most_lost`.
fn assert_billed_once(site: &Site, rows: u64, most_lost: usize) {
    /// The setting `llm_together`, as it is if nobody changes it.
    const TOGETHER: usize = 8;
    let (times, lost) = billed(site);
    assert_eq!(times.len() as u64, rows);
    assert!(lost <= most_lost, "{lost} answers were lost");
    let again: usize = times.values().map(|count| count - 1).sum();
    assert!(again <= lost * TOGETHER, "{again} texts were billed again, and {lost} answers were lost");
    assert!(times.values().all(|count| *count <= 2), "{times:?}");
}

#[test]
fn with_the_plug_pulled_a_backfill_waits_and_finishes_by_itself() {
    let rows = size("UNDERTONE_OUTAGE_BACKFILL", 400);
    let site = Site::open(Duration::from_millis(40));
    site.fill(rows as usize);
    let id = site.start_run(
        &json!({"mode": "refresh", "scorer": "claude", "batch_size": 32, "sleep_ms": 200, "confirm": true}),
    );
    site.run_until(&id, Duration::from_mins(1), |run| run["scored"].as_i64().unwrap() >= 60);
    site.provider.unplug().unwrap();
    let away = Instant::now();
    let run = site.run_until(&id, Duration::from_mins(1), |run| run["waiting"]["for"] == "llm_unavailable");
    let before = run["scored"].as_i64().unwrap();
    std::thread::sleep(outage().saturating_sub(away.elapsed()));
    assert!(site.run(&id)["scored"].as_i64().unwrap() <= before + 32);
    site.provider.plug_in().unwrap();
    let back = Instant::now();
    let within = Duration::from_mins(4) + Duration::from_millis(rows * 60);
    let again = |run: &serde_json::Value| run["scored"].as_i64().unwrap() > before + 32;
    site.run_until(&id, within, again);
    let first = back.elapsed();
    let run = site.run_until(&id, within, |run| run["report"].is_object());
    let all = back.elapsed();
    assert_eq!((&run["state"], &run["scored"], &run["failed"]), (&json!("done"), &json!(rows), &json!(0)));
    assert!(site.revisions(run["scored"].as_u64().unwrap() as usize).iter().all(|count| *count == 2));
    site.verify();
    assert_adds_up(&site);
    // What was under way when the plug was pulled: 32 texts.
    assert_billed_once(&site, run["scored"].as_u64().unwrap(), 4);
    let what = format!("a backfill of {rows}, cut off after {before}");
    tell(&what, first.as_secs_f64(), all.as_secs_f64());
}

#[test]
fn what_arrives_in_an_outage_waits_and_is_scored_when_it_is_over() {
    let rows = size("UNDERTONE_OUTAGE_WAITING", 300);
    let site = Site::open(Duration::from_millis(40));
    let settings = json!({"scorer": "claude", "when_unavailable": "wait", "daily_token_cap": 0});
    site.call("PUT", "/api/v1/settings", Some(&settings.to_string()));
    site.provider.unplug().unwrap();
    let away = Instant::now();
    site.hand_in(rows as usize);
    let taken = away.elapsed();
    std::thread::sleep(outage().saturating_sub(away.elapsed()));
    let scored = || site.call("GET", "/api/v1/overview", None)["all_time"]["scored"].as_u64().unwrap();
    assert_eq!(scored(), 0, "there is nobody to score them");
    site.provider.plug_in().unwrap();
    let back = Instant::now();
    let within = Duration::from_mins(4) + Duration::from_millis(rows * 20);
    let wait = |count: u64| {
        while scored() < count {
            assert!(back.elapsed() < within, "{} of {rows} after {within:?}", scored());
            std::thread::sleep(Duration::from_millis(100));
        }
        back.elapsed().as_secs_f64()
    };
    let (first, all) = (wait(1), wait(rows));
    assert!(site.revisions(rows as usize).iter().all(|count| *count == 1), "each has one verdict");
    site.verify();
    assert_adds_up(&site);
    assert_billed_once(&site, rows, 0);
    let what =
        format!("{rows} interactions that arrived meanwhile, taken in within {:.1} s", taken.as_secs_f64());
    tell(&what, first, all);
}
