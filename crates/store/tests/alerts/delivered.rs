//! Deliveries: in which order they go, and what their ends say of the destination.

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    a_test_goes_first_also_while_its_destination_is_left_alone(&bench).await;
    who_refuses_everything_is_told_of_and_switched_off(&bench).await;
    who_asks_for_patience_for_ever_is_switched_off(&bench).await;
    administrators_hear_of_a_run_of_failures_or_refusals_once(&bench).await;
    who_is_left_alone_for_long_is_told_of_by_the_clock(&bench).await;
    an_alert_stands_until_it_is_over(&bench).await;
    who_is_away_in_turns_of_every_kind_is_told_of_once(&bench).await;
    a_refusal_of_long_ago_makes_no_failure_a_long_one(&bench).await;
    a_failure_of_long_ago_makes_no_refusal_a_long_one(&bench).await;
    what_is_kept_twice_is_judged_once(&bench).await;
    what_was_not_sent_says_nothing_of_the_receiver(&bench).await;
    what_was_under_way_when_it_failed_counts_once(&bench).await;
    an_end_does_not_overtake_its_beginning(&bench).await;
    what_waits_too_long_is_given_up_also_where_its_destination_was_removed(&bench).await;
}

fn failed(_: usize) -> Sent {
    Sent::Failed("it answers 500".to_owned())
}

fn refused(_: usize) -> Sent {
    Sent::Refused("it answers 400".to_owned())
}

impl Bench {
    /// A tenant with a destination that wants scores.
    async fn with_scores(&self, slug: &str) -> (Tenant, Destination) {
        let tenant = self.tenant(slug).await;
        let to = self.destination(&tenant, "to", &["sentiment.scored"], Detail::Thin).await;
        (tenant, to)
    }

    /// So many scores, each a minute after the other.
    async fn more(&self, tenant: &Tenant, count: usize) {
        for _ in 0..count {
            self.score(tenant, &[("ana", "billing", 0)]).await;
            self.advance(1);
        }
        self.events(tenant).await;
    }

    async fn now(&self, to: &Destination, tenant: &Tenant) -> Destination {
        self.store.destination(tenant.id, &to.id).await.unwrap().unwrap()
    }

    async fn is_due(&self, to: &Destination, tenant: &Tenant) -> bool {
        self.store.destinations_due().await.unwrap().contains(&(tenant.id, to.id.clone()))
    }
}

async fn a_test_goes_first_also_while_its_destination_is_left_alone(bench: &Bench) {
    let (tenant, to) = bench.with_scores("test-first").await;
    for _ in 0..11 {
        bench.advance(30);
        bench.more(&tenant, 1).await;
        bench.send(&tenant, &to.id, failed).await;
    }
    bench.more(&tenant, 1).await;
    assert!(!bench.is_due(&to, &tenant).await, "it is left alone");
    bench.store.test_destination(&act(&tenant), &to.id).await.unwrap().unwrap();
    assert!(bench.is_due(&to, &tenant).await, "somebody waits for the test");
    let sent = bench.send(&tenant, &to.id, failed).await;
    assert!(sent.len() == 1 && sent[0].contains("undertone.test"), "{sent:?}");
    assert!(!bench.is_due(&to, &tenant).await, "tried once, it waits as all do");
    bench.store.test_destination(&act(&tenant), &to.id).await.unwrap().unwrap();
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    assert!(bench.is_due(&to, &tenant).await, "it works again");
    // Where nothing is wrong, it stands before what waits.
    bench.store.test_destination(&act(&tenant), &to.id).await.unwrap().unwrap();
    let lease = TimeDelta::seconds(90);
    let now = bench.now(&to, &tenant).await;
    let first = bench.store.claim_deliveries(tenant.id, &now, ("owner", lease), 1).await.unwrap();
    assert_eq!(first[0].event, "undertone.test");
}

async fn who_refuses_everything_is_told_of_and_switched_off(bench: &Bench) {
    let (tenant, to) = bench.with_scores("refuses").await;
    let begun = bench.store.now();
    bench.more(&tenant, 2).await;
    bench.send(&tenant, &to.id, refused).await;
    let now = bench.now(&to, &tenant).await;
    assert_eq!(
        (now.failures, now.resume_at, now.active),
        (2, None, true),
        "it answers, and is not left alone"
    );
    assert!(now.failing_since.is_some_and(|since| since >= begun));
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    let now = bench.now(&to, &tenant).await;
    assert_eq!((now.failures, now.failing_since), (0, None), "it were the messages");
    // Two within a week are not enough, and three are.
    for (days, active) in [(0, true), (6, true), (0, false)] {
        bench.advance(days * 24 * 60);
        bench.more(&tenant, 1).await;
        bench.send(&tenant, &to.id, refused).await;
        assert_eq!(bench.now(&to, &tenant).await.active, active);
    }
    let off = bench.now(&to, &tenant).await;
    assert!(off.inactive_reason.unwrap().contains("the last try said: it answers 400"));
    assert_eq!(bench.count(&tenant, "destination.disabled").await, 1);
}

impl Bench {
    /// What administrators were told of destinations that take nothing.
    async fn failing(&self, tenant: &Tenant) -> Vec<serde_json::Value> {
        self.events(tenant).await;
        let only = Following { kinds: Some(&[EventKind::DestinationFailing]), most: 10 };
        let told = self.store.events_after(tenant.id, 0, &only).await.unwrap().0;
        told.into_iter().map(|event| event.payload).collect()
    }
}

async fn administrators_hear_of_a_run_of_failures_or_refusals_once(bench: &Bench) {
    let (tenant, to) = bench.with_scores("failing").await;
    let quotes = |_: usize| Sent::Refused("it answers 400: canary of a customer".to_owned());
    for (count, expected) in [(2, 0), (1, 1), (4, 1)] {
        bench.more(&tenant, count).await;
        bench.send(&tenant, &to.id, quotes).await;
        assert_eq!(bench.failing(&tenant).await.len(), expected, "after {count} more");
    }
    let first = bench.failing(&tenant).await.remove(0);
    assert_eq!(
        (&first["refused"], &first["failures"], &first["name"]),
        (&json!(true), &json!(3), &json!("to"))
    );
    // It fails in another way now: that is the same run, in which nothing was taken, and is told of already.
    for _ in 0..4 {
        bench.advance(31);
        bench.more(&tenant, 1).await;
        bench.send(&tenant, &to.id, failed).await;
    }
    bench.advance(60);
    bench.more(&tenant, 3).await;
    bench.send(&tenant, &to.id, quotes).await;
    assert_eq!(bench.failing(&tenant).await.len(), 1);
    // It works again, and fails: that is another run, which is told when it has lasted ten minutes.
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    for minutes in 0..20 {
        bench.more(&tenant, 1).await;
        bench.send(&tenant, &to.id, failed).await;
        let told = bench.failing(&tenant).await.len();
        // Left alone for longer and longer, it is tried in the 15th minute again.
        assert_eq!(told, if minutes < 15 { 1 } else { 2 }, "after {minutes} minutes");
    }
    let second = bench.failing(&tenant).await.remove(1);
    assert_eq!((&second["refused"], &second["reason"]), (&json!(false), &json!("it answers 500")));
}

async fn who_is_left_alone_for_long_is_told_of_by_the_clock(bench: &Bench) {
    let (tenant, to) = bench.with_scores("silent").await;
    let tick = async || {
        if bench.store.tenants_with_silent_destinations().await.unwrap().contains(&tenant.id) {
            assert!(!bench.store.tell_of_silent_destinations(tenant.id).await.unwrap());
        }
        bench.failing(&tenant).await.len()
    };
    let hour = |_: usize| Sent::Throttled(TimeDelta::hours(1), "it answers 429".to_owned());
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, hour).await;
    for (minutes, told) in [(9, 0), (1, 1), (1, 1), (30, 1)] {
        bench.advance(minutes);
        assert_eq!(tick().await, told);
    }
    let first = bench.failing(&tenant).await.remove(0);
    assert_eq!(
        (&first["reason"], &first["refused"], &first["failures"], &first["name"]),
        (&json!("it answers 429"), &json!(false), &json!(0), &json!("to"))
    );
    // The try after that finds it told.
    bench.advance(30);
    bench.send(&tenant, &to.id, hour).await;
    assert_eq!(tick().await, 1);
    bench.advance(61);
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    // So it is where the destination may be tried soon, and its only message is tried late.
    bench.more(&tenant, 1).await;
    for minutes in [1, 6, 2] {
        assert_eq!(bench.send(&tenant, &to.id, failed).await.len(), 1);
        bench.advance(minutes);
        assert_eq!(tick().await, 1);
    }
    bench.advance(1);
    assert_eq!(tick().await, 2);
    // What is due at this moment says by itself how it stands.
    let (due, to) = bench.with_scores("silent-due").await;
    bench.more(&due, 1).await;
    bench.send(&due, &to.id, failed).await;
    bench.advance(11);
    assert!(!bench.store.tenants_with_silent_destinations().await.unwrap().contains(&due.id));
    bench.send(&due, &to.id, failed).await;
    assert_eq!(bench.failing(&due).await.len(), 1);
}

async fn an_alert_stands_until_it_is_over(bench: &Bench) {
    let (tenant, other) = (bench.tenant("stands").await, bench.tenant("stands-not").await);
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let stands = async |tenant: &Tenant| bench.store.alert_stands(tenant.id, &alert.id).await.unwrap();
    assert!(stands(&tenant).await && !stands(&other).await);
    for (step, expected) in [(Move::Acknowledge, true), (Move::Resolve(None), false)] {
        bench.store.move_alert(&act(&tenant), (&alert.id, None), step).await.unwrap().unwrap();
        assert_eq!(stands(&tenant).await, expected);
    }
}

async fn who_is_away_in_turns_of_every_kind_is_told_of_once(bench: &Bench) {
    let (tenant, to) = bench.with_scores("mixed").await;
    let patience = |_: usize| Sent::Throttled(TimeDelta::seconds(30), "it answers 429".to_owned());
    // Never three refusals in a row, and never long one way.
    for minutes in 0..30 {
        bench.more(&tenant, 1).await;
        let one = [failed, refused, patience][minutes % 3];
        bench.send(&tenant, &to.id, |place| if place == 0 { one(place) } else { Sent::Untried }).await;
        let told = bench.failing(&tenant).await.len();
        assert_eq!(told, usize::from(minutes >= 10), "after {minutes} minutes");
    }
    // Patience alone is told after the same time, and what arrives ends it.
    let (tenant, to) = bench.with_scores("patience").await;
    for minutes in 0..30 {
        bench.more(&tenant, 1).await;
        bench.send(&tenant, &to.id, patience).await;
        let told = bench.failing(&tenant).await;
        assert_eq!(told.len(), usize::from(minutes >= 10), "after {minutes} minutes");
        assert!(told.iter().all(|one| one["refused"] == false && one["reason"] == "it answers 429"));
    }
    bench.advance(1);
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, patience).await;
    assert_eq!(bench.failing(&tenant).await.len(), 1, "begun anew");
}

async fn a_refusal_of_long_ago_makes_no_failure_a_long_one(bench: &Bench) {
    let (tenant, to) = bench.with_scores("long-ago").await;
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, refused).await;
    bench.advance(6 * 24 * 60);
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, failed).await;
    let now = bench.now(&to, &tenant).await;
    assert!(now.active, "one message was refused a week ago, and one failed just now: {now:?}");
    assert_eq!(bench.failing(&tenant).await.len(), 0);
    bench.advance(11);
    bench.send(&tenant, &to.id, failed).await;
    assert_eq!(bench.failing(&tenant).await.len(), 1);
    bench.advance(5 * 24 * 60);
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, failed).await;
    assert!(!bench.now(&to, &tenant).await.active);
}

async fn a_failure_of_long_ago_makes_no_refusal_a_long_one(bench: &Bench) {
    let (tenant, to) = bench.with_scores("failed-long-ago").await;
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, failed).await;
    bench.advance(1);
    bench.send(&tenant, &to.id, refused).await;
    for (refusals, active) in [(2, true), (3, false)] {
        bench.advance(3 * 24 * 60);
        bench.more(&tenant, 1).await;
        bench.send(&tenant, &to.id, refused).await;
        let now = bench.now(&to, &tenant).await;
        assert_eq!(now.active, active, "after {refusals} refusals in {} days", 3 * (refusals - 1));
    }
}

async fn what_is_kept_twice_is_judged_once(bench: &Bench) {
    let (tenant, to) = bench.with_scores("kept-twice").await;
    bench.more(&tenant, 1).await;
    let now = bench.now(&to, &tenant).await;
    let lease = TimeDelta::seconds(90);
    let claimed = bench.store.claim_deliveries(tenant.id, &now, ("owner", lease), 1).await.unwrap();
    let finished: Vec<FinishedDelivery> = claimed
        .into_iter()
        .map(|claimed| FinishedDelivery {
            claimed,
            sent: refused(0),
            status: Some(400),
            began_at: bench.store.now(),
            millis: 1,
            chance: 0.0,
        })
        .collect();
    // As where the connection broke at the commit, and nobody knew whether it was done.
    for kept in [1, 0, 0] {
        let done = bench.finish_messages(&tenant, &to.id, "owner", finished.clone()).await;
        assert_eq!((done, bench.now(&to, &tenant).await.failures), (kept, 1));
    }
    let (_, tries) = bench.store.delivery(tenant.id, &finished[0].claimed.id).await.unwrap().unwrap();
    assert_eq!(tries.len(), 1);
}

async fn who_asks_for_patience_for_ever_is_switched_off(bench: &Bench) {
    let (tenant, to) = bench.with_scores("throttles").await;
    let throttled = |_| Sent::Throttled(TimeDelta::hours(1), "it answers 429".to_owned());
    for hour in 0..125 {
        if hour % 24 == 0 {
            bench.more(&tenant, 1).await;
        }
        if !bench.now(&to, &tenant).await.active {
            break;
        }
        bench.send(&tenant, &to.id, throttled).await;
        let now = bench.now(&to, &tenant).await;
        assert!(now.failures == 0 && now.failing_since.is_some(), "{now:?}");
        assert!(!bench.is_due(&to, &tenant).await);
        bench.advance(61);
    }
    let off = bench.now(&to, &tenant).await;
    assert!(!off.active && off.inactive_reason.unwrap().contains("429"));
}

async fn what_was_not_sent_says_nothing_of_the_receiver(bench: &Bench) {
    let (tenant, to) = bench.with_scores("withheld").await;
    bench.more(&tenant, 1).await;
    bench.send(&tenant, &to.id, failed).await;
    let before = bench.now(&to, &tenant).await;
    bench.more(&tenant, 3).await;
    bench.send(&tenant, &to.id, |_| Sent::Withheld("it was erased".to_owned())).await;
    let now = bench.now(&to, &tenant).await;
    assert_eq!(
        (now.failures, now.failing_since, now.resume_at),
        (before.failures, before.failing_since, before.resume_at)
    );
    let gave_up = Which { state: Some(DeliveryState::Failed), most: 50, ..Which::default() };
    assert_eq!(bench.store.deliveries(tenant.id, &to.id, gave_up).await.unwrap().len(), 4);
}

async fn what_was_under_way_when_it_failed_counts_once(bench: &Bench) {
    let (tenant, to) = bench.with_scores("once").await;
    bench.more(&tenant, 3).await;
    let mut held = Vec::new();
    for owner in ["a", "b", "c"] {
        let now = bench.now(&to, &tenant).await;
        let lease = TimeDelta::seconds(90);
        held.push((owner, bench.store.claim_deliveries(tenant.id, &now, (owner, lease), 1).await.unwrap()));
    }
    for (owner, claimed) in held {
        let finished: Vec<FinishedDelivery> = claimed
            .into_iter()
            .map(|claimed| FinishedDelivery {
                claimed,
                sent: failed(0),
                status: None,
                began_at: bench.store.now(),
                millis: 1,
                chance: 0.0,
            })
            .collect();
        let kept = bench.finish_messages(&tenant, &to.id, owner, finished).await;
        assert_eq!(kept, 1);
        assert_eq!(
            bench.now(&to, &tenant).await.failures,
            1,
            "one failure is one, however many were under way"
        );
    }
    bench.advance(10);
    bench.send(&tenant, &to.id, failed).await;
    assert_eq!(bench.now(&to, &tenant).await.failures, 2);
}

async fn what_waits_too_long_is_given_up_also_where_its_destination_was_removed(bench: &Bench) {
    let (tenant, to) = bench.with_scores("given-up").await;
    let removed = bench.destination(&tenant, "removed", &["sentiment.scored"], Detail::Thin).await;
    bench.more(&tenant, 3).await;
    assert!(bench.store.remove_destination(&act(&tenant), &removed.id).await.unwrap());
    bench.advance(104 * 60 + 1);
    // Somebody has one of them in hand.
    let lease = TimeDelta::seconds(90);
    let now = bench.now(&to, &tenant).await;
    assert_eq!(bench.store.claim_deliveries(tenant.id, &now, ("owner", lease), 1).await.unwrap().len(), 1);
    while bench.store.tidy_deliveries(tenant.id, TimeDelta::days(30)).await.unwrap() {}
    let states = async |id: &str| {
        let which = Which { most: 50, ..Which::default() };
        let log = bench.store.deliveries(tenant.id, id, which).await.unwrap();
        let mut states: Vec<String> = log.into_iter().map(|one| one.state).collect();
        states.sort();
        states
    };
    assert_eq!(states(&to.id).await, ["failed", "failed", "pending"]);
    assert_eq!(states(&removed.id).await, ["failed"; 3]);
}

async fn an_end_does_not_overtake_its_beginning(bench: &Bench) {
    let tenant = bench.tenant("order").await;
    let usual = bench.destination(&tenant, "hook", &["alert.*"], Detail::Thin).await;
    let pager = NewDestination {
        kind: DestinationKind::Pagerduty,
        name: "pager".to_owned(),
        config: usual.config.clone(),
        shown_address: usual.shown_address.clone(),
        secrets: ("sealed".to_owned(), "key".to_owned()),
        active: true,
    };
    let pager = bench.store.create_destination(&act(&tenant), &pager).await.unwrap();
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "app", -80)]).await;
    bench.events(&tenant).await;
    let alerts = bench.alerts(&tenant, None).await;
    // Ana's alert is not taken at first, Ben's is.
    let of = |customer: &Alert| customer.id.clone();
    let (ana, ben) = (
        alerts.iter().find(|a| a.category == "billing").map(of),
        alerts.iter().find(|a| a.category == "app").map(of),
    );
    let (ana, ben) = (ana.unwrap(), ben.unwrap());
    let lease = TimeDelta::seconds(90);
    let claim = async || {
        let now = bench.now(&pager, &tenant).await;
        bench.store.claim_deliveries(tenant.id, &now, ("owner", lease), 50).await.unwrap()
    };
    let finish = async |claimed: Vec<undertone_store::destinations::ClaimedDelivery>,
                        sent: &dyn Fn(&str) -> Sent| {
        let finished: Vec<FinishedDelivery> = claimed
            .into_iter()
            .map(|claimed| FinishedDelivery {
                sent: sent(&claimed.subject_id),
                claimed,
                status: None,
                began_at: bench.store.now(),
                millis: 1,
                chance: 0.0,
            })
            .collect();
        bench.finish_messages(&tenant, &pager.id, "owner", finished).await;
    };
    let told = |claimed: &[undertone_store::destinations::ClaimedDelivery]| -> Vec<String> {
        let mut told: Vec<String> = claimed
            .iter()
            .map(|one| format!("{} {}", one.event, if one.subject_id == ana { "ana" } else { "ben" }))
            .collect();
        told.sort();
        told
    };
    let first = claim().await;
    assert_eq!(told(&first), ["alert.raised ana", "alert.raised ben"]);
    finish(first, &|subject| if subject == ana { failed(0) } else { Sent::Delivered }).await;
    for alert in [&ana, &ben] {
        bench.store.move_alert(&act(&tenant), (alert, None), Move::Resolve(None)).await.unwrap();
    }
    bench.events(&tenant).await;
    let second = claim().await;
    assert_eq!(told(&second), ["alert.resolved ben"], "Ana's end waits for her beginning");
    finish(second, &|_| Sent::Delivered).await;
    assert!(!bench.is_due(&pager, &tenant).await, "nobody looks for it in vain");
    // Both are due by then, and go one after the other.
    bench.advance(1);
    let third = claim().await;
    assert_eq!(told(&third), ["alert.raised ana"]);
    assert!(claim().await.is_empty(), "under way is not arrived");
    finish(third, &|_| Sent::Delivered).await;
    bench.advance(2);
    let fourth = claim().await;
    assert_eq!(told(&fourth), ["alert.resolved ana"]);
    finish(fourth, &|_| Sent::Delivered).await;
    // What is given up is waited for no longer. Others need no order.
    let hook = bench.send(&tenant, &usual.id, |_| Sent::Delivered).await;
    assert_eq!(hook.len(), 4, "{hook:?}");
}
