//! What is told by itself, or leaves as a file, held to the table of `surfaces.txt`.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::sync::watch;
use undertone_core::visibility::Viewer;
use undertone_store::outbox::Following;
use undertone_testkit::receiver::{Receiver, Reply};

use super::{NEGATIVE, PLANTED, Planted, Somebody};
use crate::api::tests::until;
use crate::visibility;

/// What somebody sees under a policy: the cells of each column.
pub(super) struct Line {
    pub(super) policy: String,
    pub(super) who: String,
    cells: Vec<char>,
}

/// Columns, each with its number of cells.
const COLUMNS: [(&str, usize); 8] = [
    ("alerts", 3),
    ("incident", 1),
    ("inbox", 4),
    ("stream", 4),
    ("destination", 4),
    ("override", 4),
    ("export", 4),
    ("review", 1),
];

pub(super) fn lines() -> Vec<Line> {
    let (mut lines, mut policy) = (Vec::new(), String::new());
    for line in include_str!("surfaces.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["policy", word, columns @ ..] => {
                assert_eq!(columns, COLUMNS.map(|(name, _)| name), "{line}");
                (*word).clone_into(&mut policy);
            }
            [who, cells @ ..] => {
                let cells: Vec<char> = cells.iter().map(|cell| cell.chars().next().unwrap()).collect();
                assert_eq!(cells.len(), COLUMNS.iter().map(|(_, cells)| cells).sum::<usize>(), "{line}");
                lines.push(Line { policy: policy.clone(), who: (*who).to_owned(), cells });
            }
        }
    }
    assert_eq!(lines.len(), 50, "five policies for eight roles and two keys");
    lines
}

impl Line {
    pub(super) fn of(&self, column: &str) -> &[char] {
        let place = COLUMNS.iter().position(|(name, _)| *name == column).unwrap();
        let begin: usize = COLUMNS[..place].iter().map(|(_, cells)| cells).sum();
        &self.cells[begin..begin + COLUMNS[place].1]
    }
}

/// The cells for what was found of the negative customers, and of the incident.
fn cells(found: impl Fn(&str) -> bool, incident: bool) -> Vec<char> {
    let mark = |is: bool| if is { 'Y' } else { '-' };
    NEGATIVE.iter().map(|word| mark(found(word))).chain([mark(incident)]).collect()
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Planted {
    /// Everybody is told of everything while they can see it, and there is an incident; answers its id. A destination gets all of it.
    pub(super) async fn tell_everybody(&self) -> String {
        let mut people = Vec::new();
        for role in undertone_core::Role::ALL {
            let email = format!("{}@example.com", role.as_str());
            self.bench.session(role.as_str()).await;
            people.push(self.bench.store().user_by_email(&email).await.unwrap().unwrap().id);
        }
        let recipients = json!({"mode": "specific_users", "users": people});
        self.bench.set(json!({"recipients": recipients})).await;
        let hook = json!({"kind": "webhook", "name": "hook", "url": "http://127.0.0.1:49151/", "events": ["*"], "detail": "full"});
        assert_eq!(self.bench.call("POST", "/api/v1/destinations", "ut_mine", Some(&hook)).await.status, 201);
        self.bench.tell().await;
        // Somebody looks after them, so that the incident takes none of them in.
        for alert in list(&self.bench.get("/api/v1/alerts").await, "alerts") {
            let path = format!("/api/v1/alerts/{}/acknowledge", alert["id"].as_str().unwrap());
            assert_eq!(self.bench.call("POST", &path, "ut_mine", Some(&json!({}))).await.status, 200);
        }
        self.bench.set(json!({"incident_customers": 3})).await;
        for word in ["surge-1", "surge-2"] {
            self.plant(word, -77, 1).await;
        }
        self.bench.tell().await;
        let incidents = self.bench.get("/api/v1/incidents").await;
        incidents["incidents"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
pub(super) async fn what_is_told_by_itself_is_what_the_table_says() {
    let planted = Planted::open().await;
    let incident = planted.tell_everybody().await;
    let alerts = planted.bench.get("/api/v1/alerts?limit=200").await;
    let mut policy = String::new();
    for line in lines() {
        if policy != line.policy {
            planted.choose(json!(line.policy)).await;
            policy.clone_from(&line.policy);
        }
        let somebody = planted.somebody(&line.who).await;
        let told = |what: &str| format!("{} under {}: {what}", line.who, line.policy);
        let first_of = |word: &str| planted.ids_of(word)[0].as_str();

        let shown = somebody.get("/api/v1/alerts?limit=200").await;
        let incidents = somebody.get("/api/v1/incidents").await;
        let has =
            |word: &str| list(&shown, "alerts").iter().any(|one| one["interaction_id"] == first_of(word));
        let found = cells(has, !list(&incidents, "incidents").is_empty());
        assert_eq!(
            [&found[..3], &found[3..]],
            [line.of("alerts"), line.of("incident")],
            "{}",
            told("alerts")
        );
        assert_eq!(
            incidents["hidden"]["explanation"].is_string(),
            line.of("incident") == ['-'],
            "{}",
            told("why")
        );
        for (word, cell) in NEGATIVE.iter().zip(line.of("alerts")) {
            let all = list(&alerts, "alerts");
            let id = all.iter().find(|one| one["interaction_id"] == first_of(word)).unwrap()["id"]
                .as_str()
                .unwrap();
            let one = somebody.call("GET", &format!("/api/v1/alerts/{id}"), None).await;
            assert_eq!(one.status, if *cell == 'Y' { 200 } else { 404 }, "{}", told(word));
        }
        let path = format!("/api/v1/incidents/{incident}");
        let one = somebody.call("GET", &path, None).await.status;
        assert_eq!(one, if line.of("incident") == ['Y'] { 200 } else { 404 }, "{}", told("incident"));
        if line.of("incident") == ['-'] {
            let closed = somebody.call("POST", &format!("{path}/close"), Some(&json!({}))).await;
            assert!(
                matches!(closed.status, 403 | 404) && !closed.text.contains("usual"),
                "{}",
                told("close")
            );
        }

        assert_eq!(inbox(&planted, &somebody).await, line.of("inbox"), "{}", told("inbox"));
        let events = somebody.get("/api/v1/events?limit=500").await;
        let events: Vec<(&str, &Value)> = list(&events, "events")
            .iter()
            .map(|event| (event["type"].as_str().unwrap(), &event["data"]))
            .collect();
        assert_eq!(of_events(&planted, &events), line.of("stream"), "{}", told("stream"));
        let sent = sent(&planted, &somebody).await;
        assert_eq!(sent, line.of("destination"), "{}", told("destination"));

        for ((word, _), cell) in PLANTED.iter().zip(line.of("override")) {
            let path = format!("/api/v1/interactions/{}/override", first_of(word));
            let status = somebody.call("GET", &path, None).await.status;
            assert_eq!(status, if *cell == 'Y' { 200 } else { 403 }, "{}", told(word));
        }
        exported(&planted, &somebody, line.of("export"), &told("export")).await;
        let review = somebody.call("GET", "/api/v1/review?limit=100", None).await;
        let all = PLANTED.iter().all(|(word, _)| review.text.contains(&format!("text-canary-{word}")));
        let cell = if review.status == 403 {
            'x'
        } else if all {
            'Y'
        } else {
            '-'
        };
        assert_eq!([cell], line.of("review"), "{}", told("review"));
    }
}

/// The cells of what somebody's inbox shows now.
async fn inbox(planted: &Planted, somebody: &Somebody<'_>) -> Vec<char> {
    if !somebody.is_person() {
        assert_eq!(somebody.call("GET", "/api/v1/inbox", None).await.status, 403);
        return vec!['x'; 4];
    }
    let shown = somebody.get("/api/v1/inbox?limit=200").await;
    let notices = list(&shown, "notices");
    let of_type =
        |kind: &'static str| notices.iter().filter(move |one| one["type"] == kind).map(|one| &one["data"]);
    let has = |word: &str| {
        of_type("alert.raised").any(|data| data["interaction_id"] == planted.ids_of(word)[0].as_str())
    };
    cells(has, of_type("incident.opened").next().is_some())
}

fn of_events(planted: &Planted, events: &[(&str, &Value)]) -> Vec<char> {
    let has = |word: &str| {
        let id = planted.ids_of(word)[0].as_str();
        events.iter().any(|(kind, data)| *kind == "sentiment.negative" && data["interaction_id"] == id)
    };
    cells(has, events.iter().any(|(kind, _)| *kind == "incident.opened"))
}

/// The cells of what a destination whose audience has somebody's role is sent of all that happened.
async fn sent(planted: &Planted, somebody: &Somebody<'_>) -> Vec<char> {
    let Some(role) = somebody.viewer.role.filter(|_| somebody.is_person()) else { return vec!['x'; 4] };
    let (store, mine) = (planted.bench.store(), planted.bench.mine.id);
    let (events, _) = store.events_after(mine, 0, &Following { kinds: None, most: 500 }).await.unwrap();
    let asked: Vec<(&str, &Value)> = events.iter().map(|one| (one.event.as_str(), &one.payload)).collect();
    let seen = visibility::payloads(store, mine, Viewer::of_role(role), &asked).await.unwrap();
    let told: Vec<(&str, &Value)> =
        asked.iter().zip(&seen).filter_map(|((kind, _), seen)| Some((*kind, seen.as_ref()?))).collect();
    of_events(planted, &told)
}

/// What somebody finds in a file, in both formats.
async fn exported(planted: &Planted, somebody: &Somebody<'_>, cells: &[char], told: &str) {
    let path = "/api/v1/interactions/export?texts=true";
    let lines = somebody.call("GET", path, None).await;
    let table = somebody.call("GET", &format!("{path}&format=csv"), None).await;
    if cells == ['x'; 4] {
        assert_eq!((lines.status, table.status), (403, 403), "{told}");
        return;
    }
    assert_eq!((lines.status, table.status), (200, 200), "{told}: {}", lines.text);
    let rows: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 10, "{told}");
    for ((word, score), cell) in PLANTED.iter().zip(cells) {
        let row = rows.iter().find(|row| row["id"] == planted.ids_of(word)[0].as_str()).unwrap();
        let (verdict, text) = (*cell == 'A', *cell != '-');
        assert_eq!(row["score"], if verdict { json!(score) } else { Value::Null }, "{told}: {word}");
        assert_eq!(
            (row["summary"].is_string(), row["keywords"].is_array()),
            (verdict, verdict),
            "{told}: {word}"
        );
        assert_eq!(row["text"].is_string(), text, "{told}: {word}");
        assert_eq!(row["hidden"].is_null(), verdict, "{told}: {word}");
        assert_eq!(table.text.contains(&format!("summary-canary-{word}")), verdict, "{told}: {word}");
        assert_eq!(table.text.contains(&format!("evidence-canary-{word}")), verdict, "{told}: {word}");
        assert_eq!(table.text.contains(&format!("text-canary-{word}")), text, "{told}: {word}");
    }
}

/// What arrives at receivers, under each policy, of everything that happened while it could all be seen.
#[tokio::test]
async fn a_receiver_gets_what_its_audience_may_see_when_it_is_sent() {
    const AUDIENCES: [&str; 3] = ["supervisor", "account_manager", "analyst"];
    let mut planted = Planted::open().await;
    let begun = planted.bench.store().now();
    let mut receivers = Vec::new();
    for audience in AUDIENCES {
        let receiver = Receiver::start(|_| Reply::text(200, ""));
        let hook = json!({"kind": "webhook", "name": audience, "url": receiver.address, "audience": audience, "detail": "full",
            "events": ["sentiment.*", "alert.*", "incident.*"]});
        let made = planted.bench.call("POST", "/api/v1/destinations", "ut_mine", Some(&hook)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        receivers.push((audience, made.json()["id"].as_str().unwrap().to_owned(), receiver));
    }
    // A destination gets what happens from then on.
    planted.ids.clear();
    planted.bench.set(json!({"incident_customers": 3})).await;
    for (word, score) in PLANTED {
        let ids = [planted.plant(word, score, 3).await, planted.plant(word, score, 4).await];
        planted.ids.push((word, ids));
    }
    let closed = json!({"state": "closed"});
    for word in ["closed", "mild"] {
        let path = format!("/api/v1/conversations/talk-{word}");
        assert_eq!(planted.bench.call("PUT", &path, "ut_mine", Some(&closed)).await.status, 200);
    }
    let (_going_on, ending) = watch::channel(false);
    let _deliveries = planted.bench.deliveries("", &ending);
    let settled = async |id: &str| {
        for _ in 0..1000 {
            let path = format!("/api/v1/destinations/{id}/deliveries");
            let waiting = planted.bench.get(&format!("{path}?state=pending")).await;
            let all = planted.bench.get(&path).await;
            if list(&waiting, "deliveries").is_empty() && !list(&all, "deliveries").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("something is still to be sent after 20 s");
    };
    for (_, id, receiver) in &receivers {
        // The last of what happens: it is noticed after a while.
        let is_told = || receiver.taken().iter().any(|one| one.json()["type"] == "incident.opened");
        until("the incident is told", is_told).await;
        settled(id).await;
    }
    let lines = lines();
    for policy in undertone_core::visibility::Policy::ALL {
        planted.choose(json!(policy)).await;
        for (audience, id, receiver) in &receivers {
            let before = receiver.count();
            let until = planted.bench.store().now() + TimeDelta::minutes(1);
            let range = json!({"from": begun, "to": until, "state": "delivered"});
            let path = format!("/api/v1/destinations/{id}/replay");
            let again = planted.bench.call("POST", &path, "ut_mine", Some(&range)).await;
            assert_eq!(again.status, 202, "{}", again.text);
            settled(id).await;
            let arrived: Vec<Value> =
                receiver.taken()[before..].iter().map(undertone_testkit::receiver::Request::json).collect();
            let arrived: Vec<(&str, &Value)> =
                arrived.iter().map(|one| (one["type"].as_str().unwrap(), &one["data"])).collect();
            let line =
                lines.iter().find(|line| line.policy == policy.as_str() && line.who == *audience).unwrap();
            let told = format!("{audience} under {}", policy.as_str());
            assert_eq!(of_events(&planted, &arrived), line.of("destination"), "{told}");
            for (_, data) in arrived.iter().filter(|(kind, _)| *kind == "sentiment.scored") {
                let id = data["interaction_id"].as_str().unwrap();
                let word = planted.ids.iter().find(|(_, ids)| ids.iter().any(|one| one == id)).unwrap().0;
                let open = NEGATIVE
                    .iter()
                    .position(|one| *one == word)
                    .is_some_and(|n| line.of("destination")[n] == 'Y');
                let shows = data["score"].is_number() || data["summary"].is_string();
                assert!(!shows || open || word == "mild", "{told}: {data}");
            }
        }
    }
}
