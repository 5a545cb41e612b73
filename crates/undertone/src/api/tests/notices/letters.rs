//! Letters over several notices: what is in them when they are tried again, and when quiet hours let them go.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use undertone_core::Clock;
use undertone_core::notification::Category;
use undertone_store::{Act, Options, Store};
use undertone_testkit::smtp::{Fault, Security, Taken};

use super::Bench;
use crate::clock::{MachineClock, TimeOrderedIds};
use crate::mail::{self, Mailer, Post};

/// A clock that is ahead.
struct Ahead(TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        MachineClock.now() + self.0
    }
}

impl Bench {
    /// The same database, as it will be so much later.
    pub(in crate::api::tests) async fn store_after(&self, wait: TimeDelta) -> Store {
        let options = Options { url: self.url(), connections: 2 };
        let ids = Arc::new(TimeOrderedIds::new());
        Store::open(&options, Arc::new(Ahead(wait)), ids).await.unwrap()
    }

    /// What sends e-mail as it will be so much later.
    async fn post_after(&self, mailer: &Mailer, wait: TimeDelta) -> Post {
        let store = self.store_after(wait).await;
        Post { store, mailer: mailer.clone(), public_url: "https://undertone.example".into() }
    }
}

/// What a letter says: its Message-ID, its subject, and how many alerts it leads to.
fn says(letter: &Taken) -> (String, String, usize) {
    let whole = letter.text.replace("=\r\n", "");
    let plain = whole.split("text/html").next().unwrap_or_default();
    (letter.header("Message-ID"), letter.header("Subject"), plain.matches("/inbox?alert").count())
}

#[tokio::test]
async fn a_digest_that_is_tried_again_is_the_same_letter() {
    let bench = Bench::open().await;
    let admin = bench.person("tenant_admin").await;
    let (server, mailer) = mail::tests::server(Security::StartTls);
    let daily = json!({"digest_at": "00:00", "urgent_at_once": false});
    assert_eq!(bench.by(&admin, "PUT", "/api/v1/me/notifications", Some(&daily)).await.status, 200);
    bench.set(json!({"alert_threshold": -20, "daily_token_cap": 1_000, "incident_customers": 0})).await;
    super::super::ai_usage::spend(&bench, &bench.mine, 700).await;
    bench.annoy("ana").await;
    bench.annoy("bo").await;
    bench.tell().await;
    let now = bench.post_after(&mailer, TimeDelta::zero()).await;
    assert_eq!(mail::look(&now, &bench.app.ending).await.unwrap(), None);
    assert_eq!(server.taken(), [], "it waits for midnight");
    // The next day it is taken, and the line breaks before that is said.
    server.fail(Some(Fault::HangUpAfterData));
    let next_day = bench.post_after(&mailer, TimeDelta::hours(25)).await;
    assert_eq!(mail::look(&next_day, &bench.app.ending).await.unwrap(), None);
    server.fail(None);
    let first = says(&server.taken()[0]);
    assert_eq!((first.1.as_str(), first.2), ("3 notices from Undertone", 2));
    // Meanwhile something else has come to be due, and what stood first is not wanted any more.
    bench.annoy("cy").await;
    bench.tell().await;
    let act = Act::new(bench.mine.id, "test");
    bench.store().unsubscribe(&act, &admin.id, Some(Category::Budget)).await.unwrap();
    let later = bench.post_after(&mailer, TimeDelta::hours(26)).await;
    for _ in 0..2 {
        assert_eq!(mail::look(&later, &bench.app.ending).await.unwrap(), None);
    }
    let taken: Vec<_> = server.taken().iter().skip(1).map(says).collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    let (again, other): (Vec<_>, Vec<_>) = taken.into_iter().partition(|letter| letter.0 == first.0);
    assert_eq!((again[0].1.as_str(), again[0].2), ("2 notices from Undertone", 2), "what it held before");
    assert_eq!(other[0].2, 1, "what is new is another letter: {other:?}");
}

#[tokio::test]
async fn what_is_left_where_another_took_a_part_of_a_letter_was_not_tried() {
    let bench = Bench::open().await;
    let admin = bench.person("tenant_admin").await;
    let (server, mailer) = mail::tests::server(Security::StartTls);
    let daily = json!({"digest_at": "00:00", "urgent_at_once": false});
    assert_eq!(bench.by(&admin, "PUT", "/api/v1/me/notifications", Some(&daily)).await.status, 200);
    bench.set(json!({"alert_threshold": -20, "incident_customers": 0})).await;
    bench.annoy("ana").await;
    bench.annoy("bo").await;
    bench.tell().await;
    let next_day = bench.post_after(&mailer, TimeDelta::hours(25)).await;
    let claim = async |owner, lease, most| {
        next_day.store.claim_mail(bench.mine.id, &admin.id, (owner, lease), most).await.unwrap()
    };
    // My time is over before I have begun, and another takes one of the two.
    let mine = claim("me", TimeDelta::zero(), 100).await;
    assert_eq!((mine.len(), claim("you", TimeDelta::minutes(10), 1).await.len()), (2, 1));
    mail::send_claimed(&next_day, (bench.mine.id, &admin.id), "me", mine).await.unwrap();
    assert_eq!(server.taken(), [], "a letter is one's as a whole");
    let left: Vec<i64> =
        claim("me", TimeDelta::minutes(10), 100).await.iter().map(|mail| mail.attempts).collect();
    assert_eq!(left, [1], "the other one is due at once, as if nobody had held it");
}

#[tokio::test]
async fn what_quiet_hours_held_back_arrives_when_they_end() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    let (server, mailer) = mail::tests::server(Security::Implicit);
    // Quiet from yesterday to the end of tomorrow, wherever midnight is while this runs.
    let now = bench.store().now();
    let day = |days: i64| (now + TimeDelta::days(days)).format("%A").to_string().to_lowercase();
    let whole = json!([["00:00", "24:00"]]);
    let quiet = json!({day(-1): whole, day(0): whole, day(1): whole});
    let chosen = json!({"quiet_hours": quiet, "zone": "UTC", "urgent_at_once": false});
    let saved = bench.by(&lead, "PUT", "/api/v1/me/notifications", Some(&chosen)).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    bench.set(json!({"alert_threshold": -20, "incident_customers": 0})).await;
    for customer in ["ana", "bo", "cy"] {
        bench.annoy(customer).await;
    }
    bench.tell().await;
    let ends = (now.date_naive() + TimeDelta::days(2)).and_time(chrono::NaiveTime::MIN).and_utc();
    for (wait, letters) in [(TimeDelta::zero(), 0), (ends - now - TimeDelta::minutes(5), 0), (ends - now, 1)]
    {
        let post = bench.post_after(&mailer, wait).await;
        assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
        assert_eq!(server.taken().len(), letters, "after {wait}");
    }
    let (_, subject, alerts) = says(&server.taken()[0]);
    assert_eq!((subject.as_str(), alerts), ("3 notices from Undertone", 3));
    assert_eq!(bench.inbox(&lead).await.len(), 3, "the inbox was never quiet");
}

/// A database that says no for a moment, after the server has taken the letter.
#[tokio::test]
async fn a_letter_that_was_taken_is_not_sent_again_because_the_database_was_busy() {
    use sea_orm::ConnectionTrait;
    let bench = Bench::open().await;
    bench.person("supervisor").await;
    let (server, mailer) = mail::tests::server(Security::StartTls);
    bench.set(json!({"alert_threshold": -20, "incident_customers": 0})).await;
    bench.annoy("ana").await;
    bench.tell().await;
    let database = sea_orm::Database::connect(bench.url()).await.unwrap();
    let busy = "CREATE TRIGGER busy BEFORE UPDATE OF state ON mail WHEN NEW.state = 'sent' \
                BEGIN SELECT RAISE(ABORT, 'database is locked'); END";
    database.execute_unprepared(busy).await.unwrap();
    let post = bench.post_after(&mailer, TimeDelta::zero()).await;
    let free = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(server.taken().len(), 1, "it was taken before the database is free");
        database.execute_unprepared("DROP TRIGGER busy").await.unwrap();
    };
    let (sent, ()) = tokio::join!(mail::look(&post, &bench.app.ending), free);
    assert_eq!(sent.unwrap(), None);
    // Once what was held is free for others.
    let later = bench.post_after(&mailer, TimeDelta::hours(1)).await;
    assert_eq!(mail::look(&later, &bench.app.ending).await.unwrap(), None);
    assert_eq!(server.taken().len(), 1);
}

/// A person whose mailbox is gone: administrators find it in their inbox, and the doctor tells the server's words.
#[tokio::test]
async fn whose_mailbox_refuses_letters_is_told_until_one_is_taken() {
    let bench = Bench::open().await;
    let (_, admin) = (bench.person("supervisor").await, bench.person("tenant_admin").await);
    let daily = json!({"digest_at": "00:00", "urgent_at_once": false});
    assert_eq!(bench.by(&admin, "PUT", "/api/v1/me/notifications", Some(&daily)).await.status, 200);
    let (server, mailer) = mail::tests::server(Security::StartTls);
    let post = bench.post_after(&mailer, TimeDelta::zero()).await;
    bench.set(json!({"alert_threshold": -20})).await;
    let doctor = async || {
        let told = bench.doctor().await;
        told.into_iter().filter(|line| line.contains("gets no e-mail")).collect::<Vec<_>>()
    };
    server.fail(Some(Fault::Permanent));
    bench.annoy("ana").await;
    bench.tell().await;
    assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
    let told = doctor().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("LOOK supervisor@example.com gets no e-mail: a letter was given up"),
        "{told:?}"
    );
    assert!(told[0].contains("the SMTP server answered 550: 5.1.1 there is no such person"), "{told:?}");
    bench.tell().await;
    assert_eq!(bench.inbox(&admin).await, ["mail.failing", "alert.raised"]);
    let notice = bench.by(&admin, "GET", "/api/v1/inbox", None).await.json()["notices"][0].clone();
    assert_eq!(notice["title"], "A person gets no e-mail");
    assert_eq!(
        (&notice["data"]["email"], &notice["data"]["reason"]),
        (&json!("supervisor@example.com"), &json!("the SMTP server answered 550"))
    );
    server.fail(None);
    bench.annoy("bo").await;
    bench.tell().await;
    assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
    assert_eq!(doctor().await, Vec::<String>::new());
}
