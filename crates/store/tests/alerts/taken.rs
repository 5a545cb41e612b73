//! What people and the clock do with alerts.

use super::*;

pub(crate) async fn people_take_alerts_and_nobody_twice(bench: &Bench) {
    let (tenant, other) = (bench.tenant("take").await, bench.tenant("take-other").await);
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let act = act(&tenant);
    let seen = (alert.id.as_str(), Some(alert.version));
    let taken = bench.store.move_alert(&act, seen, Move::Acknowledge).await.unwrap().unwrap();
    assert_eq!((taken.state, taken.acknowledged_by.as_deref()), (AlertState::Acknowledged, Some("user:ana")));
    let second = bench.store.move_alert(&act, seen, Move::Resolve(None)).await;
    assert!(matches!(&second, Err(StoreError::Conflict(told)) if told.contains("meanwhile")), "{second:?}");
    let latest = (alert.id.as_str(), None);
    let wrong = bench.store.move_alert(&act, latest, Move::Assign("nobody")).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))));
    let user = bench.store.save_user(&act, "a@take.example", "supervisor", "no hash").await.unwrap();
    let assigned = bench.store.move_alert(&act, latest, Move::Assign(&user)).await.unwrap().unwrap();
    assert_eq!(assigned.assigned_to, Some(user));
    let done =
        bench.store.move_alert(&act, latest, Move::Resolve(Some("called them"))).await.unwrap().unwrap();
    assert_eq!((done.state, done.note.as_deref()), (AlertState::Resolved, Some("called them")));
    let after = bench.store.move_alert(&act, latest, Move::Acknowledge).await;
    assert!(matches!(&after, Err(StoreError::Conflict(told)) if told.contains("resolved already")));
    let (_, steps) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
    let words: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(words, ["acknowledged", "assigned", "resolved"]);
    let names: Vec<String> = bench.events(&tenant).await.into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        names,
        [
            "sentiment.scored",
            "sentiment.negative",
            "alert.raised",
            "alert.acknowledged",
            "alert.assigned",
            "alert.resolved"
        ]
    );
    // Nothing of it is another tenant's.
    let theirs = Act::new(other.id, "user:eve");
    assert!(bench.store.alert(other.id, &alert.id).await.unwrap().is_none());
    assert!(bench.store.move_alert(&theirs, latest, Move::Acknowledge).await.unwrap().is_none());
}

pub(crate) async fn nobody_acknowledges_and_others_are_told(bench: &Bench) {
    let tenant = bench.tenant("escalate").await;
    // The office opens at nine and it is ten; it closes at eleven.
    let hours = json!({"business_hours": {"monday": [["09:00", "11:00"]], "tuesday": [["09:00", "11:00"]]}});
    bench.store.change_settings(&act(&tenant), &hours).await.unwrap();
    let began = bench.store.now();
    let morning = began.date_naive().and_hms_opt(10, 30, 0).unwrap().and_utc();
    bench.clock.advance(morning - began + TimeDelta::days(7));
    let now = bench.store.now();
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80)]).await;
    let ben = bench.alerts(&tenant, None).await.into_iter().find(|a| a.category == "delivery").unwrap();
    bench.store.move_alert(&act(&tenant), (&ben.id, None), Move::Acknowledge).await.unwrap();
    bench.advance(59);
    assert!(
        !bench.store.tenants_with_due_alerts().await.unwrap().contains(&tenant.id),
        "an hour of work, not of the clock"
    );
    // Half an hour today, half an hour tomorrow.
    bench.clock.advance(TimeDelta::hours(23) - TimeDelta::minutes(58));
    assert_eq!(bench.store.now(), now + TimeDelta::hours(23) + TimeDelta::minutes(1));
    assert!(bench.store.tenants_with_due_alerts().await.unwrap().contains(&tenant.id));
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 1, "of the one nobody took");
    for _ in 0..20 {
        bench.clock.advance(TimeDelta::days(7));
        while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    }
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 3, "and not for ever");
}

pub(crate) async fn a_snooze_ends(bench: &Bench) {
    let tenant = bench.tenant("snooze").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    let act = act(&tenant);
    let past = bench.store.move_alert(&act, (&alerts[0].id, None), Move::Snooze(bench.store.now())).await;
    assert!(matches!(past, Err(StoreError::Invalid(_))));
    let until = bench.store.now() + TimeDelta::hours(2);
    for alert in &alerts {
        bench.store.move_alert(&act, (&alert.id, None), Move::Snooze(until)).await.unwrap();
    }
    bench.advance(90);
    bench.score(&tenant, &[("ben", "delivery", 70)]).await;
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.alerts(&tenant, Some(AlertState::Snoozed)).await.len(), 2, "not yet");
    bench.advance(31);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    let told: Vec<(String, AlertState)> =
        bench.alerts(&tenant, None).await.into_iter().map(|a| (a.category, a.state)).collect();
    assert!(told.contains(&("billing".to_owned(), AlertState::Open)), "still low, told again: {told:?}");
    assert!(told.contains(&("delivery".to_owned(), AlertState::Resolved)), "no longer low: {told:?}");
    assert_eq!(
        (bench.count(&tenant, "alert.reminded").await, bench.count(&tenant, "alert.resolved").await),
        (1, 1)
    );
}

pub(crate) async fn a_correction_withdraws_what_nobody_took(bench: &Bench) {
    let tenant = bench.tenant("withdraw").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80), ("cho", "app", -80)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    let of = |category: &str| alerts.iter().find(|alert| alert.category == category).unwrap();
    bench.store.move_alert(&act(&tenant), (&of("delivery").id, None), Move::Acknowledge).await.unwrap();
    for (category, score) in [("billing", -20), ("delivery", -20), ("app", -55)] {
        let correction = Correction::of(Some(Score::new(score).unwrap()), None).unwrap().unwrap();
        let said = Said::Set { correction, reason: None };
        bench.store.say(&act(&tenant), &of(category).interaction_id, said, Seen::Unknown).await.unwrap();
    }
    let after = bench.alerts(&tenant, None).await;
    let state = |category: &str| after.iter().find(|alert| alert.category == category).unwrap().state;
    assert_eq!(state("billing"), AlertState::Withdrawn, "lifted above the threshold");
    assert_eq!(state("delivery"), AlertState::Acknowledged, "somebody is at it already");
    assert_eq!(state("app"), AlertState::Open, "corrected, and still low");
    assert_eq!(bench.count(&tenant, "alert.withdrawn").await, 1);
}
