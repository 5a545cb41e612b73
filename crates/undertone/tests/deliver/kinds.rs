//! Receivers that know no message again, or know it by a name of theirs, beside a webhook: what arrives there when the process is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use undertone_testkit::postgres::Postgres;
use undertone_testkit::process::{call, until};
use undertone_testkit::receiver::zendesk::Account;
use undertone_testkit::receiver::{Receiver, Reply, Request, pagerduty, slack};

use super::Site;

const ALERTS: usize = 10;

/// A receiver that has a message, and takes its time to say so.
fn slow(wait: u64, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Receiver {
    Receiver::start(move |request| {
        let reply = answer(request);
        std::thread::sleep(Duration::from_millis(wait));
        reply
    })
}

/// How often something came, by what it is about.
fn times(receiver: &Receiver, about: impl Fn(&Request) -> String) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in receiver.taken() {
        *times.entry(about(&request)).or_default() += 1;
    }
    times
}

/// The alert that a text leads to.
fn alert(text: &str) -> String {
    let (_, rest) = text.split_once("#alert-").unwrap_or_else(|| panic!("it leads to no alert: {text}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// Kills the service, and makes what it held due at once: its lease of 90 seconds is over. Answers how much that was.
fn killed(site: &mut Site, url: &str) -> u64 {
    site.service.kill();
    let over = "UPDATE delivery SET next_at = created_at WHERE state = 'pending' AND lease_owner IS NOT NULL";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let held = runtime.block_on(async {
        let database = Database::connect(url).await.unwrap();
        database.execute_unprepared(over).await.unwrap().rows_affected()
    });
    site.crash();
    held
}

fn nothing_is_lost_of_any_kind(mut site: Site, url: &str) {
    let account = Account::with(4711, &["vip"], "normal");
    let desk = slow(100, {
        let account = account.clone();
        move |request| account.answer(request)
    });
    let (hook, chat, pager) =
        (slow(300, |_| Reply::text(200, "")), slow(300, slack::answer), slow(300, pagerduty::answer));
    let make = |kind: &str, url: &str, more: Value| {
        let mut body = json!({
            "kind": kind, "name": kind, "url": url, "events": ["alert.raised"], "detail": "full", "audience": "supervisor",
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        site.try_post("/api/v1/destinations", &body).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let destinations = [
        make("webhook", &hook.address, json!({})),
        make("slack", &format!("{}/services/T/B/x", chat.address), json!({})),
        make(
            "pagerduty",
            &format!("{}/v2/enqueue", pager.address),
            json!({"key": "0123456789abcdef0123456789abcdef"}),
        ),
        make("zendesk", &desk.address, json!({"key": "ana@example.com/token:secret"})),
    ];
    let settings = json!({"alert_threshold": -20, "incident_customers": 0});
    let set = call(&site.service.address, &site.key, ("PUT", "/api/v1/settings"), &settings);
    assert_eq!(set.0, 200, "{}", set.1);
    for number in 0..ALERTS {
        let text = "This is a disgrace. Third week without an answer, I am furious and want my money back.";
        let item = json!({"text": text, "customer": format!("c{number}"), "conversation": "4711", "source": "zendesk", "channel": "email"});
        site.try_post("/api/v1/interactions", &item).unwrap();
    }
    // Each time another receiver has just been asked.
    let kills: [(&Receiver, usize); 5] = [(&pager, 2), (&chat, 3), (&desk, 12), (&pager, 7), (&chat, 7)];
    let mut held = 0;
    for (receiver, count) in kills {
        until("the next message", Duration::from_secs(40), || receiver.count() >= count);
        held += killed(&mut site, url);
    }
    assert!(held > 0, "it held something when it was killed");
    let delivered = |id: &String| {
        let page = site.get(&format!("/api/v1/destinations/{id}/deliveries?state=delivered"));
        page["deliveries"].as_array().unwrap().len() == ALERTS
    };
    until("everything arrives", Duration::from_mins(1), || destinations.iter().all(delivered));

    let events = site.events();
    let alerts: Vec<&Value> = events.iter().filter(|event| event["type"] == "alert.raised").collect();
    assert_eq!(alerts.len(), ALERTS, "each alert is one event, however often it was killed");
    let told = [
        ("the webhook", times(&hook, |one| one.header("webhook-id").to_owned()), "id", 8),
        ("Slack", times(&chat, |one| alert(&one.json().to_string())), "alert_id", 1),
        (
            "PagerDuty",
            times(&pager, |one| one.json()["dedup_key"].as_str().unwrap().replace("undertone:alert:", "")),
            "alert_id",
            1,
        ),
    ];
    for (what, times, key, under_way) in &told {
        for event in &alerts {
            let id = if *key == "id" { &event["id"] } else { &event["data"][*key] };
            assert!(times.contains_key(id.as_str().unwrap()), "{what} misses {id}: {times:?}");
        }
        assert_eq!(times.len(), ALERTS, "{what}: {times:?}");
        let twice = times.values().sum::<usize>() - ALERTS;
        assert!(
            twice <= kills.len() * under_way,
            "{what}: {twice} came twice, of which {under_way} were under way at each kill"
        );
    }
    let twice: usize = told.iter().map(|(_, times, ..)| times.values().sum::<usize>() - ALERTS).sum();
    assert!(twice > 0, "no answer was cut off; nothing is shown");
    // Zendesk has it once: what stands there is found.
    let (ticket, comments) = account.stands();
    assert_eq!(ticket["tags"], json!(["vip", "undertone_alert"]));
    for event in &alerts {
        let reference = format!("(Undertone {})", event["id"].as_str().unwrap());
        let there = comments.iter().filter(|one| one["body"].as_str().unwrap().contains(&reference)).count();
        assert_eq!(there, 1, "{event} stands there so often");
    }
    assert_eq!(comments.len(), ALERTS);
}

#[test]
fn nothing_is_lost_of_any_kind_when_it_is_killed_while_it_sends() {
    let site = Site::scoring(1, &[]);
    let url = format!("sqlite://{}", site.folder.path().join("undertone.db").display());
    nothing_is_lost_of_any_kind(site, &url);
}

#[test]
fn nothing_is_lost_of_any_kind_when_it_is_killed_while_it_sends_on_postgresql() {
    let server = Postgres::start();
    nothing_is_lost_of_any_kind(Site::scoring(1, &["--database-url", &server.url()]), &server.url());
}
