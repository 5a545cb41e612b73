//! Events have places and go where they are wanted, until they arrive.

use super::*;

pub(crate) async fn events_have_places_and_go_where_they_are_wanted(bench: &Bench) {
    let (tenant, other) = (bench.tenant("places").await, bench.tenant("places-other").await);
    bench.score(&tenant, &[("before", "billing", -80)]).await;
    bench.advance(1);
    let thin = bench.destination(&tenant, "thin", &["alert.*"], Detail::Thin).await;
    let full = bench.destination(&tenant, "full", &["*"], Detail::Full).await;
    bench.destination(&other, "thin", &["*"], Detail::Full).await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let places: Vec<i64> = bench.events(&tenant).await.into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    // Placed once, however often and by however many it is tried.
    let again = futures::future::join_all((0..4).map(|_| bench.store.place_events(tenant.id, 10))).await;
    assert!(again.into_iter().all(|placed| placed.unwrap().events == 0));
    let which = |most| Which { most, ..Which::default() };
    assert_eq!(
        bench.store.deliveries(tenant.id, &full.id, which(50)).await.unwrap().len(),
        3,
        "not what was before it"
    );
    let due = bench.store.destinations_due().await.unwrap();
    assert!(due.contains(&(tenant.id, thin.id.clone())) && due.iter().all(|(of, _)| *of != other.id));
    let bodies = bench.send(&tenant, &thin.id, |_| Sent::Delivered).await;
    assert_eq!(bodies.len(), 1);
    let body: serde_json::Value =
        serde_json::from_str(bodies[0].strip_prefix("alert.raised ").unwrap()).unwrap();
    assert_eq!(body["channel"], "email");
    assert!(body["customer_id"].is_string() && body.get("score").is_none(), "{body}");
    assert!(!bodies[0].contains("canary"), "{body}");
    let bodies = bench.send(&tenant, &full.id, |_| Sent::Delivered).await;
    assert!(
        bodies.len() == 3
            && bodies.iter().all(|body| body.contains("canary-summary") && body.contains("\"score\":-80"))
    );
    assert!(bench.send(&tenant, &full.id, |_| Sent::Delivered).await.is_empty());
    assert!(bench.store.deliveries(other.id, &full.id, which(50)).await.unwrap().is_empty());
    // Those who follow begin where they were.
    let places = async |after, what: Following<'_>| {
        let (told, looked_to) = bench.store.events_after(tenant.id, after, &what).await.unwrap();
        (told.iter().map(|told| told.position).collect::<Vec<_>>(), looked_to)
    };
    assert_eq!(places(4, all(10)).await, (vec![5, 6], 6));
    assert_eq!(places(1, all(2)).await, (vec![2, 3], 3), "where a page is full, the next begins behind it");
    assert_eq!(places(6, all(10)).await, (vec![], 6));
    let alerts = Following { kinds: Some(&[EventKind::AlertRaised]), most: 10 };
    let (found, looked_to) = places(0, alerts).await;
    assert_eq!((found.len(), looked_to), (2, 6), "what was left out is not looked at again");
    // A stretch is as long as so many texts, whatever else happened between them.
    let stretch = async |after, most| {
        let scored = [EventKind::SentimentScored];
        let stretch = bench.store.events_stretch(tenant.id, after, &scored, most).await.unwrap();
        (stretch.to, stretch.more)
    };
    assert_eq!(
        [stretch(0, 1).await, stretch(1, 1).await, stretch(2, 1).await],
        [(3, true), (6, false), (6, false)]
    );
    assert_eq!(
        [stretch(0, 2).await, stretch(6, 1).await, stretch(9, 1).await],
        [(6, false), (6, false), (9, false)]
    );
    // What is not kept any more was missed by whoever did not read it.
    let sequence = async || bench.store.event_sequence(tenant.id).await.unwrap().unwrap();
    let before = sequence().await;
    assert_eq!((before.last, before.removed), (6, 0));
    assert!(before.cursor_key.len() > 64);
    bench.advance(60 * 24);
    assert!(!bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap());
    assert_eq!(sequence().await, before);
    bench.store.remove_old_events(tenant.id, TimeDelta::hours(1)).await.unwrap();
    assert_eq!(sequence().await, Sequence { removed: 6, ..before });
}

pub(crate) async fn a_destination_that_fails_is_left_alone_and_then_switched_off(bench: &Bench) {
    let tenant = bench.tenant("fails").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Thin).await;
    bench.score(&tenant, &[("ana", "billing", 0), ("ben", "billing", 0), ("cho", "billing", 0)]).await;
    bench.events(&tenant).await;
    let is_due = async || bench.store.destinations_due().await.unwrap().contains(&(tenant.id, to.id.clone()));
    let now = async || bench.store.destination(tenant.id, &to.id).await.unwrap().unwrap();
    let failed = |_| Sent::Failed("it answers 500".to_owned());
    assert!(is_due().await);
    bench.send(&tenant, &to.id, failed).await;
    assert!(!is_due().await && now().await.failures == 1);
    // One that works is not left alone because one message is refused.
    bench.advance(10);
    assert!(is_due().await);
    let mixed = |place| if place == 0 { Sent::Refused("no".to_owned()) } else { Sent::Delivered };
    bench.send(&tenant, &to.id, mixed).await;
    assert_eq!((now().await.failures, now().await.failing_since), (0, None));
    let states: Vec<String> = bench
        .store
        .deliveries(tenant.id, &to.id, Which { most: 10, ..Which::default() })
        .await
        .unwrap()
        .into_iter()
        .map(|delivery| delivery.state)
        .collect();
    assert_eq!(states.iter().filter(|state| *state == "delivered").count(), 2, "{states:?}");
    // Whoever asks for patience gets it, and it is no try.
    bench.score(&tenant, &[("dan", "billing", 0)]).await;
    bench.events(&tenant).await;
    bench.send(&tenant, &to.id, |_| Sent::Throttled(TimeDelta::minutes(5), "429".to_owned())).await;
    assert!(!is_due().await && now().await.failures == 0);
    bench.advance(6);
    assert!(is_due().await);
    // For five days nothing gets through.
    let mut tries = 0;
    while now().await.active && tries < 1000 {
        if tries % 3 == 0 {
            bench.score(&tenant, &[("eve", "billing", 0)]).await;
            bench.events(&tenant).await;
        }
        bench.send(&tenant, &to.id, failed).await;
        bench.clock.advance(TimeDelta::hours(1));
        while bench.store.tidy_deliveries(tenant.id, TimeDelta::days(30)).await.unwrap() {}
        tries += 1;
    }
    let off = now().await;
    assert!(!off.active && off.inactive_reason.unwrap().contains("five days"), "{tries} tries");
    assert!((119..=122).contains(&tries), "{tries}");
    assert_eq!(bench.count(&tenant, "destination.disabled").await, 1);
    assert!(!is_due().await);
    let gave_up = Which { state: Some(DeliveryState::Failed), most: 200, ..Which::default() };
    let given_up = bench.store.deliveries(tenant.id, &to.id, gave_up).await.unwrap();
    assert!(given_up.iter().any(|delivery| delivery.last_error.as_ref().is_some_and(|e| e.contains("500"))));
    // One that is gone is switched off at once.
    let gone = bench.destination(&tenant, "gone", &["sentiment.scored"], Detail::Thin).await;
    bench.score(&tenant, &[("fay", "billing", 0)]).await;
    bench.events(&tenant).await;
    bench.send(&tenant, &gone.id, |_| Sent::Gone { why: "410".to_owned(), hint: "it is gone" }).await;
    let reason = async |id: &str| {
        let of = bench.store.destination(tenant.id, id).await.unwrap().unwrap();
        (of.active, of.inactive_reason)
    };
    // What it answered is not told on.
    assert_eq!(reason(&gone.id).await, (false, Some("it is gone".to_owned())));
    // What was kept before may quote it.
    let heard = bench.destination(&tenant, "heard", &["sentiment.scored"], Detail::Thin).await;
    let db = sea_orm::Database::connect(&bench.url).await.unwrap();
    let step = include_str!("../../migrations/0022_reasons.sql");
    sea_orm::ConnectionTrait::execute_unprepared(&db, step).await.unwrap();
    db.close().await.unwrap();
    let plain = "the receiver was gone, or nothing had reached it for five days";
    assert_eq!(reason(&gone.id).await, (false, Some(plain.to_owned())));
    assert_eq!(reason(&heard.id).await, (true, None));
}

/// All deliveries made in one transaction have one moment: where a page ends among them, the next goes on behind the last.
pub(crate) async fn a_range_is_sent_again_once_however_many_share_a_moment(bench: &Bench) {
    const MANY: usize = 1100;
    let tenant = bench.tenant("replay-many").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Thin).await;
    let from = bench.store.now();
    let scores: Vec<(String, &str, i64)> = (0..MANY).map(|n| (format!("c{n}"), "billing", 0)).collect();
    let scores: Vec<(&str, &str, i64)> =
        scores.iter().map(|(who, what, score)| (who.as_str(), *what, *score)).collect();
    for piece in scores.chunks(100) {
        bench.score(&tenant, piece).await;
    }
    bench.events(&tenant).await;
    let mut failed = 0;
    while failed < MANY {
        failed += bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await.len();
    }
    bench.advance(1);
    let (act, to_then) = (act(&tenant), bench.store.now());
    let mut after: Option<(chrono::DateTime<chrono::Utc>, String)> = None;
    let mut counts = Vec::new();
    loop {
        let place = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let stretch = Stretch { from, to: to_then, state: DeliveryState::Failed, after: place };
        let replayed = bench.store.replay_deliveries(&act, &to.id, &stretch).await.unwrap();
        counts.push(replayed.count);
        after = replayed.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counts, [1000, 100]);
    let which = Which { state: Some(DeliveryState::Pending), most: u16::MAX, ..Which::default() };
    let waiting = bench.store.deliveries(tenant.id, &to.id, which).await.unwrap();
    assert!(waiting.len() == MANY && waiting.iter().all(|one| one.replay == 1), "{}", waiting.len());
}

pub(crate) async fn what_was_sent_can_be_sent_again(bench: &Bench) {
    let tenant = bench.tenant("replay").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Full).await;
    let from = bench.store.now();
    bench.score(&tenant, &[("ana", "billing", 0), ("ben", "billing", 0)]).await;
    bench.events(&tenant).await;
    let first = bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await;
    let all = async || {
        bench.store.deliveries(tenant.id, &to.id, Which { most: 50, ..Which::default() }).await.unwrap()
    };
    let (one, act) = (all().await.remove(0), act(&tenant));
    let again = bench.store.replay_delivery(&act, &one.id).await.unwrap().unwrap();
    let pending = bench.store.replay_delivery(&act, &again).await;
    assert!(matches!(pending, Err(StoreError::Conflict(_))), "{pending:?}");
    let (told, _) = bench.store.delivery(tenant.id, &again).await.unwrap().unwrap();
    assert_eq!((&told.event_id, told.replay), (&one.event_id, 1), "the receiver sees the same message");
    let sent = bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    assert!(sent.len() == 1 && first.contains(&sent[0]), "the same is told");
    bench.advance(1);
    let again = async |state: DeliveryState| {
        let stretch = Stretch { from, to: bench.store.now(), state, after: None };
        let replayed = bench.store.replay_deliveries(&act, &to.id, &stretch).await.unwrap();
        assert_eq!(replayed.next, None);
        replayed.count
    };
    // One of the two arrived meanwhile.
    assert_eq!(again(DeliveryState::Failed).await, 1);
    assert_eq!(again(DeliveryState::Failed).await, 0, "it is on its way");
    assert_eq!(bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await.len(), 1);
    assert_eq!(again(DeliveryState::Failed).await, 1, "and failed once more");
    assert_eq!(bench.send(&tenant, &to.id, |_| Sent::Delivered).await.len(), 1);
    assert_eq!(again(DeliveryState::Failed).await, 0);
    let (_, tries) = bench.store.delivery(tenant.id, &one.id).await.unwrap().unwrap();
    assert_eq!(tries.len(), 1);
    assert_eq!((tries[0].outcome.as_str(), tries[0].error.as_deref()), ("refused", Some("no")));
    let test = bench.store.test_destination(&act, &to.id).await.unwrap().unwrap();
    let body = bench.send(&tenant, &to.id, |_| Sent::Delivered).await.remove(0);
    assert!(
        body.contains("undertone.test") && bench.store.delivery(tenant.id, &test).await.unwrap().is_some()
    );
    // Of those who do it at once nobody is told the id of a message that is not there.
    let all = futures::future::join_all((0..8).map(|_| bench.store.replay_delivery(&act, &one.id))).await;
    for id in all.into_iter().filter_map(Result::ok).flatten() {
        assert!(bench.store.delivery(tenant.id, &id).await.unwrap().is_some(), "{id}");
    }
    let theirs = bench.tenant("replay-other").await;
    let eve = Act::new(theirs.id, "user:eve");
    assert!(bench.store.replay_delivery(&eve, &one.id).await.unwrap().is_none());
    assert!(bench.store.test_destination(&eve, &to.id).await.unwrap().is_none());
    assert!(!bench.store.remove_destination(&eve, &to.id).await.unwrap());
}

pub(crate) async fn nothing_is_sent_again_to_whom_nothing_is_sent(bench: &Bench) {
    let tenant = bench.tenant("replay-off").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Full).await;
    let (act, from) = (act(&tenant), bench.store.now());
    bench.score(&tenant, &[("ana", "billing", 0)]).await;
    bench.events(&tenant).await;
    bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await;
    bench.advance(1);
    let which = || Which { most: 50, ..Which::default() };
    let one = bench.store.deliveries(tenant.id, &to.id, which()).await.unwrap().remove(0);
    let is_refused = async |why: &str| {
        let stretch = Stretch { from, to: bench.store.now(), state: DeliveryState::Failed, after: None };
        let told = [
            bench.store.replay_delivery(&act, &one.id).await.unwrap_err(),
            bench.store.replay_deliveries(&act, &to.id, &stretch).await.unwrap_err(),
        ];
        for told in told {
            assert!(matches!(&told, StoreError::Conflict(words) if words.contains(why)), "{told:?}");
        }
        assert_eq!(bench.store.deliveries(tenant.id, &to.id, which()).await.unwrap().len(), 1);
    };
    let switched = async |active: bool| {
        let off = NewDestination {
            kind: to.kind,
            name: to.name.clone(),
            config: to.config.clone(),
            shown_address: to.shown_address.clone(),
            secrets: (to.secrets.clone(), to.key_id.clone()),
            active,
        };
        bench.store.change_destination(&act, (&to.id, None), &off).await.unwrap().unwrap();
    };
    switched(false).await;
    is_refused("switched off").await;
    let test = bench.store.test_destination(&act, &to.id).await;
    assert!(matches!(test, Err(StoreError::Conflict(_))), "{test:?}");
    switched(true).await;
    assert!(bench.store.replay_delivery(&act, &one.id).await.unwrap().is_some());
    let now = bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await;
    assert_eq!(now.len(), 1);
    assert!(bench.store.remove_destination(&act, &to.id).await.unwrap());
    let told = bench.store.replay_delivery(&act, &one.id).await.unwrap_err();
    assert!(matches!(&told, StoreError::Conflict(words) if words.contains("removed")), "{told:?}");
}

pub(crate) async fn another_name_mends_nothing(bench: &Bench) {
    let tenant = bench.tenant("renamed").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Full).await;
    let change = async |name: &str, secrets: &str, active: bool| {
        let new = NewDestination {
            kind: to.kind,
            name: name.to_owned(),
            config: to.config.clone(),
            shown_address: to.shown_address.clone(),
            secrets: (secrets.to_owned(), to.key_id.clone()),
            active,
        };
        bench.store.change_destination(&act(&tenant), (&to.id, None), &new).await.unwrap().unwrap()
    };
    let refuse = async |customer: &str| {
        bench.score(&tenant, &[(customer, "billing", 0)]).await;
        bench.events(&tenant).await;
        bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await;
    };
    refuse("ana").await;
    assert_eq!(change("renamed", &to.secrets, true).await.failures, 1, "it refuses on");
    assert_eq!(change("renamed", "another address", true).await.failures, 0, "it begins anew");
    bench.score(&tenant, &[("ben", "billing", 0)]).await;
    bench.events(&tenant).await;
    let gone = |_: usize| Sent::Gone { why: "410".to_owned(), hint: "it is gone" };
    bench.send(&tenant, &to.id, gone).await;
    let off = bench.store.destination(tenant.id, &to.id).await.unwrap().unwrap();
    assert!(!off.active && off.inactive_reason.is_some());
    let renamed = change("once more", &off.secrets, false).await;
    assert_eq!(renamed.inactive_reason, off.inactive_reason, "it is off for the same reason");
    assert_eq!(change("once more", &off.secrets, true).await.inactive_reason, None);
    assert_eq!(change("once more", &off.secrets, false).await.inactive_reason, None, "a person did it");
}

pub(crate) async fn two_who_change_a_destination_do_not_overwrite(bench: &Bench) {
    let tenant = bench.tenant("change").await;
    let to = bench.destination(&tenant, "to", &["*"], Detail::Thin).await;
    bench.destination(&tenant, "other", &["*"], Detail::Thin).await;
    let new = |name: &str| NewDestination {
        kind: to.kind,
        name: name.to_owned(),
        config: to.config.clone(),
        shown_address: to.shown_address.clone(),
        secrets: ("sealed anew".to_owned(), "key".to_owned()),
        active: true,
    };
    let act = act(&tenant);
    let changed = bench
        .store
        .change_destination(&act, (&to.id, Some(to.version)), &new("renamed"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((changed.name.as_str(), changed.version), ("renamed", to.version + 1));
    let second = bench.store.change_destination(&act, (&to.id, Some(to.version)), &new("lost")).await;
    assert!(matches!(&second, Err(StoreError::Conflict(told)) if told.contains("meanwhile")), "{second:?}");
    let taken = bench.store.change_destination(&act, (&to.id, None), &new("other")).await;
    assert!(matches!(&taken, Err(StoreError::Conflict(told)) if told.contains("other")), "{taken:?}");
    assert!(bench.store.remove_destination(&act, &to.id).await.unwrap());
    assert!(bench.store.change_destination(&act, (&to.id, None), &new("x")).await.unwrap().is_none());
}
