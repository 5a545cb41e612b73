//! What receivers may answer, and what becomes of the message and of the destination.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::receiver::{Receiver, Reply};

use super::{Out, id, is_delivered, until};

/// A receiver that answers this at first, and takes everything afterwards.
fn at_first(times: usize, reply: Reply) -> Receiver {
    let count = Arc::new(AtomicUsize::new(0));
    Receiver::start(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) < times { reply.clone() } else { Reply::text(200, "") }
    })
}

/// Two replays of one message wait together behind a slow one, and are claimed together.
#[tokio::test]
async fn what_is_sent_again_twice_arrives_twice() {
    let out = Out::open().await;
    let is_slow = Arc::new(AtomicBool::new(false));
    let waits = is_slow.clone();
    let receiver = Receiver::start(move |_| {
        while waits.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::text(200, "")
    });
    let made = out.destination("webhook", &receiver.address, json!({"events": ["alert.raised"]})).await;
    let first = out.test(&made).await;
    let told = out.delivery(&first, is_delivered).await;
    is_slow.store(true, Ordering::Relaxed);
    out.test(&made).await;
    until("the destination is busy", || receiver.count() == 2).await;
    let mut again = Vec::new();
    for _ in 0..2 {
        let replay = out.ok("POST", "/api/v1/deliveries/{id}/replay", &first, None).await;
        again.push(replay["delivery_id"].as_str().unwrap().to_owned());
    }
    is_slow.store(false, Ordering::Relaxed);
    for one in &again {
        let done = out.delivery(one, |delivery| delivery["state"] != "pending").await;
        assert_eq!((&done["state"], &done["event_id"]), (&json!("delivered"), &told["event_id"]), "{done}");
    }
    assert_eq!(receiver.count(), 4);
}

#[tokio::test]
async fn a_receiver_that_says_no_is_asked_again_left_alone_or_given_up() {
    let out = Out::open().await;
    let inside = Receiver::start(|_| Reply::text(200, "the credentials"));
    let to_inside = vec![("location", format!("{}/credentials", inside.address))];
    let retry = |status, seconds: &str| {
        Reply::Answer(status, vec![("retry-after", seconds.to_owned())], String::new())
    };
    let cases = [
        // Asked again after five seconds.
        ("broken", at_first(1, Reply::text(500, "a marker of theirs")), "failed", "500: a marker of theirs"),
        ("breaks off", at_first(1, Reply::BreakOff), "failed", "the connection broke off"),
        ("redirect", at_first(1, Reply::Answer(302, to_inside, String::new())), "failed", "not followed"),
        // Left alone as long as it asks.
        ("busy", at_first(1, retry(429, "2")), "throttled", "left alone for 2 s"),
        ("away", at_first(1, retry(503, "1")), "throttled", "left alone for 1 s"),
    ];
    let mut sent = Vec::new();
    for (name, receiver, outcome, told) in cases {
        let made = out.destination("webhook", &receiver.address, json!({"name": name})).await;
        sent.push((out.test(&made).await, made, receiver, outcome, told));
    }
    for (delivery, made, receiver, outcome, told) in sent {
        let done = out.delivery(&delivery, is_delivered).await;
        let tries = done["tries"].as_array().unwrap();
        assert_eq!((tries.len(), &tries[0]["outcome"]), (2, &json!(outcome)), "{done}");
        assert!(tries[0]["error"].as_str().unwrap().contains(told), "{done}");
        let taken = receiver.taken();
        assert_eq!(taken[0].header("webhook-id"), taken[1].header("webhook-id"));
        let waited = taken[1].at - taken[0].at;
        let least = if outcome == "failed" { 4000 } else { 900 };
        assert!(
            waited > Duration::from_millis(least) && waited < Duration::from_secs(9),
            "{told}: {waited:?}"
        );
        // What asks for patience has not failed, and the try does not count.
        assert_eq!(done["attempts"], json!(if outcome == "failed" { 2 } else { 1 }), "{done}");
        let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
        assert_eq!((&now["failures"], &now["failing_since"]), (&json!(0), &Value::Null), "it works again");
    }
    assert_eq!(inside.count(), 0, "no redirect is followed");
}

#[tokio::test]
async fn bodies_that_never_end_and_silence_hold_up_nobody_else() {
    let out = Out::open().await;
    let mut slow = Vec::new();
    for (name, reply) in
        [("endless", Reply::Endless(200)), ("hangs", Reply::HangMidBody(200)), ("silent", Reply::Silence)]
    {
        let receiver = Receiver::start(move |_| reply.clone());
        let made = out.destination("webhook", &receiver.address, json!({"name": name})).await;
        slow.push((out.test(&made).await, receiver));
    }
    until("all three were asked", || slow.iter().all(|(_, receiver)| receiver.count() == 1)).await;
    let good = Receiver::start(|_| Reply::text(200, ""));
    let made = out.destination("webhook", &good.address, json!({"name": "good"})).await;
    let begun = std::time::Instant::now();
    let delivery = out.test(&made).await;
    out.delivery(&delivery, is_delivered).await;
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    // The status is the answer; what follows it need not end.
    for (delivery, _) in &slow[..2] {
        let done = out.delivery(delivery, is_delivered).await;
        assert!(done["tries"][0]["millis"].as_i64().unwrap() < 4000, "{done}");
    }
    let silent = out.ok("GET", "/api/v1/deliveries/{id}", &slow[2].0, None).await;
    assert_eq!(silent["state"], "pending");
}

#[tokio::test]
async fn who_is_gone_is_asked_no_more_and_people_are_told() {
    let out = Out::open().await;
    let gone = Receiver::start(|_| Reply::text(410, "no more of this"));
    let made = out.destination("webhook", &gone.address, json!({"events": ["*"]})).await;
    let delivery = out.test(&made).await;
    let done = out.delivery(&delivery, |delivery| delivery["state"] == "failed").await;
    assert_eq!(done["tries"][0]["outcome"], "gone");
    let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
    assert!(now["active"] == false && now["inactive_reason"].as_str().unwrap().contains("410"), "{now}");
    let mut told = Value::Null;
    for _ in 0..200 {
        told = out.bench.get("/api/v1/events?types=destination.disabled").await["events"][0].clone();
        if told.is_object() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(told["data"]["destination_id"], made["id"]);
    out.score(super::FURIOUS, "ana", "1").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(gone.count(), 1);
    // Switched on again, it begins anew.
    out.ok("PUT", "/api/v1/destinations/{id}", id(&made), Some(json!({"active": true}))).await;
    let delivery = out.test(&made).await;
    out.delivery(&delivery, |delivery| delivery["state"] == "failed").await;
    assert_eq!(gone.count(), 2);
}

/// Two change it at the same moment, and neither says what they saw.
#[tokio::test]
async fn nobody_puts_back_what_somebody_else_changed_meanwhile() {
    const ONE: &str = "/api/v1/destinations/{id}";
    let out = Out::open().await;
    let receiver = Receiver::start(|_| Reply::text(200, ""));
    let made = out.destination("webhook", &receiver.address, json!({})).await;
    for round in 0..20 {
        let name = format!("round {round}");
        let pattern = if round % 2 == 0 { "alert.*" } else { "module.*" };
        let events = json!([pattern]);
        let (named, chosen) = tokio::join!(
            out.call("PUT", ONE, id(&made), Some(json!({"name": name}))),
            out.call("PUT", ONE, id(&made), Some(json!({"events": events}))),
        );
        let now = out.ok("GET", ONE, id(&made), None).await;
        for (answer, is_there) in [(named, now["name"] == name), (chosen, now["events"] == events)] {
            assert!(answer.status == 409 || answer.status == 200 && is_there, "{}: {now}", answer.text);
        }
    }
}

/// A database that says no for a moment, after the receiver has said yes to three messages at once.
#[tokio::test]
async fn what_was_taken_is_not_sent_again_because_the_database_was_busy() {
    use sea_orm::ConnectionTrait;
    let out = Out::open().await;
    let goes_on = Arc::new(AtomicBool::new(false));
    let receiver = Receiver::start({
        let goes_on = goes_on.clone();
        move |_| {
            while !goes_on.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            // Longer than answers are collected for.
            std::thread::sleep(Duration::from_millis(150));
            Reply::text(200, "")
        }
    });
    let made = out.destination("webhook", &receiver.address, json!({"events": ["module.*"]})).await;
    let database = sea_orm::Database::connect(out.bench.url()).await.unwrap();
    let busy = "CREATE TRIGGER busy BEFORE UPDATE OF state ON delivery WHEN NEW.state = 'delivered' \
                AND NEW.event <> 'undertone.test' BEGIN SELECT RAISE(ABORT, 'database is locked'); END";
    database.execute_unprepared(busy).await.unwrap();
    // Behind a test that takes long the three wait, and are claimed together.
    let test = out.test(&made).await;
    until("it is asked", || receiver.count() == 1).await;
    for word in ["deactivate", "activate", "deactivate"] {
        out.ok("POST", &format!("/api/v1/module/{word}"), "", None).await;
    }
    out.deliveries(&made, "pending", 4).await;
    goes_on.store(true, Ordering::Relaxed);
    until("all three are asked", || receiver.count() == 4).await;
    out.delivery(&test, is_delivered).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let waiting = out.ok("GET", "/api/v1/destinations/{id}/deliveries?state=pending", id(&made), None).await;
    assert_eq!(waiting["deliveries"].as_array().unwrap().len(), 3, "what was answered is not kept yet");
    database.execute_unprepared("DROP TRIGGER busy").await.unwrap();
    out.deliveries(&made, "delivered", 4).await;
    let kept = out.ok("GET", "/api/v1/destinations/{id}/deliveries", id(&made), None).await;
    for done in kept["deliveries"].as_array().unwrap() {
        assert_eq!((&done["attempts"], &done["last_status"]), (&json!(1), &json!(200)), "{done}");
    }
    assert_eq!(receiver.count(), 4, "nothing is sent twice");
}
