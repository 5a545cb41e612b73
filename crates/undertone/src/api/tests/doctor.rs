//! No alerts though scores are negative: what `undertone doctor` answers, cause by cause.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde_json::{Value, json};
use undertone_store::Act;
use undertone_store::keys::NewKey;
use undertone_testkit::receiver::{Receiver, Reply};

use super::{Bench, Person};
use crate::cli::doctor::examine::Means;

impl Bench {
    /// What the doctor says of my tenant: `ok` or `LOOK` and the text.
    pub(super) async fn doctor(&self) -> Vec<String> {
        let means =
            Means { store: self.store(), keys: Some(&self.app.provider_keys), prices: None, mails: true };
        let told = means.tenant(&self.mine).await.unwrap();
        let line = |(_, told): (_, Result<String, String>)| match told {
            Ok(text) => format!("ok {text}"),
            Err(text) => format!("LOOK {text}"),
        };
        told.into_iter().map(line).collect()
    }

    /// One of its answers begins and ends so.
    async fn is_told(&self, begins: &str, ends: &str) {
        let told = self.doctor().await;
        assert!(told.iter().any(|line| line.starts_with(begins) && line.ends_with(ends)), "{told:#?}");
    }

    /// None of its answers has these words.
    async fn is_not_told(&self, words: &str) {
        let told = self.doctor().await;
        assert!(!told.iter().any(|line| line.contains(words)), "{told:#?}");
    }

    /// A supervisor, who is to hear of the alerts that `customers` raise.
    async fn with_alerts(&self, customers: &[&str]) -> Person {
        let lead = self.person("supervisor").await;
        self.set(json!({"alert_threshold": -20})).await;
        for customer in customers {
            self.annoy(customer).await;
        }
        lead
    }

    /// The same database, an hour later.
    async fn in_an_hour(&self) -> undertone_store::Store {
        self.store_after(TimeDelta::hours(1)).await
    }

    async fn prefer(&self, person: &Person, preferences: Value) {
        let saved = self.by(person, "PUT", "/api/v1/me/notifications", Some(&preferences)).await;
        assert_eq!(saved.status, 200, "{}", saved.text);
    }
}

#[tokio::test]
async fn it_says_that_alerts_are_snoozed_and_until_when() {
    let bench = Bench::open().await;
    bench.with_alerts(&["ana", "ben"]).await;
    bench.is_not_told("snoozed").await;
    let alerts = bench.get("/api/v1/alerts").await["alerts"].clone();
    for (alert, until) in
        alerts.as_array().unwrap().iter().zip(["2999-01-02T00:00:00Z", "2999-01-01T00:00:00Z"])
    {
        let path = format!("/api/v1/alerts/{}/snooze", alert["id"].as_str().unwrap());
        let answer = bench.call("POST", &path, "ut_mine", Some(&json!({"until": until}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    bench.is_told("ok 2 alerts are snoozed, the next until 2999-01-01", "").await;
}

#[tokio::test]
async fn it_says_that_an_incident_holds_alerts_back() {
    let bench = Bench::open().await;
    bench.set(json!({"incident_customers": 3})).await;
    bench.with_alerts(&["ana", "ben"]).await;
    bench.is_not_told("held back").await;
    for customer in ["cy", "dan", "eve"] {
        bench.annoy(customer).await;
    }
    assert_eq!(bench.get("/api/v1/incidents").await["incidents"].as_array().unwrap().len(), 1);
    let held = bench.get("/api/v1/alerts?state=held").await["alerts"].as_array().unwrap().len();
    assert!(held > 0);
    let told = format!("ok {held} alerts are held back by an incident");
    bench.is_told(&told, "see: undertone incidents list mine").await;
}

#[tokio::test]
async fn it_says_that_a_destination_fails_or_does_not_open() {
    let bench = Bench::open().await;
    let receiver = Receiver::start(|_| Reply::text(500, "no"));
    let _tasks = bench.deliveries("", &bench.app.ending);
    let hook =
        json!({"kind": "webhook", "name": "Hook", "url": receiver.address, "events": ["alert.raised"]});
    let made = bench.call("POST", "/api/v1/destinations", "ut_mine", Some(&hook)).await.json();
    bench.is_told("ok destination “Hook” (webhook): nothing was sent to it yet", "").await;
    bench.with_alerts(&["ana"]).await;
    let path = format!("/api/v1/destinations/{}", made["id"].as_str().unwrap());
    let begun = std::time::Instant::now();
    while bench.get(&path).await["failures"] == 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "nothing was tried");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (begins, ends) = (
        "LOOK destination “Hook” (webhook): fails since ",
        "; try it: undertone destinations test mine “Hook”",
    );
    bench.is_told(begins, ends).await;
}

#[tokio::test]
async fn it_says_that_everybody_switched_alerts_off() {
    let bench = Bench::open().await;
    let lead = bench.with_alerts(&["ana"]).await;
    bench.is_not_told("switched alerts off").await;
    let off = json!({"categories": {"alerts": {"in_app": false, "email": false}}});
    bench.prefer(&lead, off.clone()).await;
    let (begins, ends) =
        ("LOOK 1 of these 1 people switched alerts off", "nobody hears of one; select others (recipients)");
    bench.is_told(begins, ends).await;
    // With somebody else who hears of them it is nothing to put right.
    bench.person("tenant_admin").await;
    bench.is_told("ok 1 of these 2 people switched alerts off for themselves", "").await;
}

#[tokio::test]
async fn it_says_that_quiet_hours_and_digests_hold_e_mail_back() {
    let bench = Bench::open().await;
    let lead = bench.with_alerts(&["ana"]).await;
    bench.is_not_told("get their e-mail later").await;
    // Quiet now and for the next day, in whatever zone the clock is read.
    let now: DateTime<Utc> = bench.store().now();
    let quiet: serde_json::Map<String, Value> = (-1..=1)
        .map(|days| (now + TimeDelta::days(days)).weekday())
        .map(|day| (day_name(day).to_owned(), json!([["00:00", "24:00"]])))
        .collect();
    bench.prefer(&lead, json!({"quiet_hours": quiet})).await;
    let told = "ok 1 of them get their e-mail later: they have quiet hours now, or one message a day";
    bench.is_told(told, "").await;
    bench.prefer(&lead, json!({"quiet_hours": {}, "digest_at": "12:00"})).await;
    bench.is_told(told, "").await;
    bench.prefer(&lead, json!({"digest_at": null})).await;
    bench.is_not_told("get their e-mail later").await;
}

fn day_name(day: chrono::Weekday) -> &'static str {
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    names[day.num_days_from_monday() as usize]
}

#[tokio::test]
async fn it_says_that_no_api_key_works_once_the_last_has_ended() {
    let bench = Bench::open().await;
    let act = Act::new(bench.mine.id, "test");
    let end = bench.store().now() + TimeDelta::milliseconds(1500);
    for key in bench.store().keys(bench.mine.id).await.unwrap() {
        bench.store().revoke_key(&act, &key.id).await.unwrap();
    }
    let new = NewKey { name: "crm", scopes: &["ingest"], expires_at: Some(end) };
    bench.store().make_key(&act, &new, "ut_ends_soon").await.unwrap();
    bench.is_not_told("no API key works").await;
    while bench.store().now() < end {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (begins, ends) = ("LOOK no API key works; run: undertone key create mine", "--scope ingest");
    bench.is_told(begins, ends).await;
}

#[tokio::test]
async fn it_says_that_the_visibility_policy_tells_nobody() {
    let bench = Bench::open().await;
    bench.with_alerts(&["ana"]).await;
    bench.is_not_told("visibility").await;
    let told = bench.set(json!({"visibility": "aggregate_only"})).await;
    assert_eq!(told["warnings"][0]["setting"], "visibility", "{told}");
    let (begins, ends) = (
        "LOOK the visibility policy aggregate_only shows none of those who are to hear of alerts a single score",
        "others to be told (recipients)",
    );
    bench.is_told(begins, ends).await;
    // Of two one is shown them.
    let agent = bench.person("agent").await;
    let lead = bench.store().user_by_email("supervisor@example.com").await.unwrap().unwrap().id;
    let both = json!({"mode": "specific_users", "users": [agent.id, lead]});
    let told = bench.set(json!({"visibility": "supervisor_overlay", "recipients": both})).await;
    assert_eq!(told["warnings"], json!([]));
    bench
        .is_told("ok 1 of these 2 people are told of no alert: the policy supervisor_overlay", "(visibility)")
        .await;
    bench.set(json!({"visibility": "post_conversation"})).await;
    bench
        .is_told("ok people are told only of an alert whose conversation is closed", "post_conversation)")
        .await;
    // A destination that agents look at.
    bench.set(json!({"visibility": "supervisor_overlay"})).await;
    let hook =
        json!({"kind": "webhook", "name": "Hook", "url": "http://127.0.0.1:49151/", "events": ["alert.*"]});
    assert_eq!(bench.call("POST", "/api/v1/destinations", "ut_mine", Some(&hook)).await.status, 201);
    let begins = "LOOK destination “Hook”: the visibility policy supervisor_overlay shows its audience (agent) no single score";
    bench.is_told(begins, "choose another audience").await;
}

#[tokio::test]
async fn it_says_that_nothing_goes_to_destinations() {
    let bench = Bench::open().await;
    let pager = json!({"kind": "pagerduty", "name": "On call", "url": "http://127.0.0.1:49151/v2/enqueue",
        "key": "0123456789abcdef0123456789abcdef"});
    let made = bench.call("POST", "/api/v1/destinations", "ut_mine", Some(&pager)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    bench.is_not_told("dispatch_webhooks").await;
    bench.set(json!({"dispatch_webhooks": false})).await;
    bench
        .is_told("LOOK a destination asks for events, and all but customer.erased", "(dispatch_webhooks)")
        .await;
}

#[tokio::test]
async fn it_says_that_it_was_history_or_a_backfill() {
    let bench = Bench::open().await;
    bench.with_alerts(&[]).await;
    let text = "This is a disgrace. Third week without an answer, I am furious and want my money back.";
    let long_ago = bench.store().now() - TimeDelta::days(30);
    let item = json!({"text": text, "customer": "ana", "occurred_at": long_ago});
    bench.score(&item).await;
    bench.is_told("ok of the newest 1 scores 1 are at or under -20", "(tell_within_hours)").await;
    // Scored while nobody was to hear of anything so mild; now they would.
    bench.set(json!({"alert_threshold": -100})).await;
    bench.annoy("ben").await;
    bench.set(json!({"alert_threshold": -20})).await;
    let told = bench.doctor().await;
    let line = told.iter().find(|line| line.contains("of the newest 2 scores 2")).unwrap();
    assert!(line.contains("a backfill tells nobody, and the threshold may have been lower then"), "{line}");
}

#[tokio::test]
async fn it_says_that_e_mail_waits_where_a_server_is_set() {
    let bench = Bench::open().await;
    let lead = bench.with_alerts(&["ana"]).await;
    bench.tell().await;
    let due = bench.store().mail_waiting(bench.mine.id).await.unwrap();
    assert!(due.is_some(), "{} has a letter", lead.id);
    bench.is_not_told("e-mail waits").await;
    let later = bench.in_an_hour().await;
    let told = async |mails: bool| {
        let means = Means { store: &later, keys: None, prices: None, mails };
        let told = means.tenant(&bench.mine).await.unwrap();
        let waits = told.into_iter().filter_map(|(_, told)| told.err());
        waits.filter(|text| text.starts_with("e-mail waits since")).collect::<Vec<_>>()
    };
    assert!(told(true).await[0].ends_with("is undertone serve running?"));
    assert_eq!(told(false).await, Vec::<String>::new(), "that there is no server is told once");
}

#[tokio::test]
async fn it_says_that_some_who_were_selected_are_gone() {
    let bench = Bench::open().await;
    let (lead, agent) = (bench.person("supervisor").await, bench.person("agent").await);
    let both = json!({"mode": "specific_users", "users": [lead.id, agent.id]});
    bench.set(json!({"recipients": both})).await;
    bench.is_told("ok alerts go to 2 specific users: 2 people", "").await;
    let act = Act::new(bench.mine.id, "test");
    let gone = undertone_store::users::Change { active: Some(false), ..Default::default() };
    let operator = undertone_store::users::Authority::Operator;
    bench.store().change_user(&act, operator, (&agent.id, None), &gone).await.unwrap().unwrap();
    let begins = "LOOK alerts go to 2 specific users (recipients), of whom 1 are deactivated or gone";
    bench.is_told(begins, "select others").await;
}

#[tokio::test]
async fn it_says_that_an_incident_held_one_of_the_customer() {
    let bench = Bench::open().await;
    bench.set(json!({"incident_customers": 3})).await;
    bench.with_alerts(&["ana", "ben", "cy"]).await;
    bench.annoy("cy").await;
    let newest = undertone_store::interactions::Filter { limit: 1, ..Default::default() };
    let item = bench.store().interactions(bench.mine.id, &newest).await.unwrap().remove(0);
    let told = crate::cli::doctor::of_interaction(bench.store(), &bench.mine, &item).await.unwrap();
    assert!(told.starts_with("it raised no alert: an incident held one of its customer then"), "{told}");
}
