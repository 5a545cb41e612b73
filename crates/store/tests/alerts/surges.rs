//! What is a surge, what an incident takes in and leaves, and what says that a customer is still low.

use std::collections::HashSet;

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    an_incident_takes_in_its_first_members(&bench).await;
    what_is_closed_stays_closed(&bench).await;
    many_workers_open_one_incident(&bench).await;
    history_that_comes_late_says_nothing_of_now(&bench).await;
    nobody_is_told_of_history(&bench).await;
    nobody_known_is_one_by_conversation_or_channel(&bench).await;
    an_alert_is_due_in_business_hours_of_their_own_zone(&bench).await;
}

async fn an_incident_takes_in_its_first_members(bench: &Bench) {
    let tenant = bench.tenant("first-members").await;
    for i in 0..11 {
        bench.score(&tenant, &[(&format!("customer-{i:02}"), "outage", -70)]).await;
    }
    bench.score(&tenant, &[("somebody-else", "billing", -80)]).await;
    let taken =
        bench.alerts(&tenant, None).await.into_iter().find(|alert| alert.category == "outage").unwrap();
    bench.store.move_alert(&act(&tenant), (&taken.id, None), Move::Acknowledge).await.unwrap();
    bench.advance(1);
    bench.score(&tenant, &[("customer-11", "outage", -70)]).await;
    let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    assert_eq!(incident.customers, 12);
    let members = Wanted { incident: Some(&incident.id), most: 50, ..Wanted::default() };
    let members = bench.store.alerts(tenant.id, &members).await.unwrap();
    assert_eq!(members.len(), 11, "not the one that somebody took");
    assert!(members.iter().all(|member| member.id != taken.id));
    // Those within their cooldown are members already, however long it goes on; who is new is counted.
    for _ in 0..4 {
        bench.advance(20);
        let low = [("customer-03", "outage", -90), ("customer-12", "outage", -90)];
        bench.score(&tenant, &low).await;
        while bench.store.tidy_surge(tenant.id).await.unwrap() {}
    }
    assert_eq!(bench.store.incident(tenant.id, &incident.id).await.unwrap().unwrap().customers, 13);
    let held = bench.alerts(&tenant, Some(AlertState::Held)).await;
    let of: HashSet<&str> = held.iter().filter_map(|alert| alert.customer_id.as_deref()).collect();
    assert!(held.len() == 3 && of.len() == 3, "one of each, however long it took: {held:?}");
    while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 1, "the other category's alone");
    bench.store.close_incident(&act(&tenant), &incident.id).await.unwrap();
    let told = bench.count(&tenant, "alert.raised").await;
    bench.advance(1);
    bench.score(&tenant, &[("customer-03", "outage", -90), ("customer-12", "outage", -90)]).await;
    assert_eq!(bench.count(&tenant, "alert.raised").await, told, "their cooldown began when they were told");
    bench.advance(60);
    while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    // Eleven of the window, the twelfth that was held, one each of those who were low again, and the other category's.
    let open = bench.alerts(&tenant, Some(AlertState::Open)).await;
    let escalated: HashSet<&str> =
        open.iter().filter(|alert| alert.escalated > 0).map(|alert| alert.id.as_str()).collect();
    assert_eq!(escalated.len(), open.len(), "their clock goes on: {open:?}");
}

async fn what_is_closed_stays_closed(bench: &Bench) {
    let tenant = bench.tenant("stays-closed").await;
    for i in 0..12 {
        bench.score(&tenant, &[(&format!("customer-{i}"), "outage", -70)]).await;
    }
    let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    bench.store.close_incident(&act(&tenant), &incident.id).await.unwrap().unwrap();
    bench.score(&tenant, &[("one-more", "outage", -70)]).await;
    let incidents = bench.store.incidents(tenant.id, None, 5).await.unwrap();
    assert_eq!(incidents.len(), 1, "one is no surge: {incidents:?}");
    let last = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!((last.state, last.incident_id), (AlertState::Open, None));
    for i in 0..11 {
        bench.score(&tenant, &[(&format!("again-{i}"), "outage", -70)]).await;
    }
    assert_eq!(bench.store.incidents(tenant.id, None, 5).await.unwrap().len(), 2, "twelve are another");
}

async fn many_workers_open_one_incident(bench: &Bench) {
    let tenant = bench.tenant("one-incident").await;
    let items: Vec<Incoming> = (0..400)
        .map(|i| {
            let mut interaction = Interaction::message("api", &i.to_string(), "outage -80");
            interaction.customer = Some(format!("customer-{i}"));
            Incoming { digest: i.to_string(), arrival: Arrival::of(interaction) }
        })
        .collect();
    bench.store.accept(tenant.id, &items).await.unwrap();
    let workers = (0..16).map(async |i| bench.record_all(&tenant, &format!("worker-{i}")).await);
    let scored: usize = futures::future::join_all(workers).await.into_iter().sum();
    assert_eq!(scored, 400);
    let incidents = bench.store.incidents(tenant.id, None, 5).await.unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0].customers, 400);
    assert_eq!(bench.count(&tenant, "incident.opened").await, 1);
    assert_eq!(bench.count(&tenant, "alert.raised").await, 0, "it was seen before anybody was told");
}

async fn history_that_comes_late_says_nothing_of_now(bench: &Bench) {
    let tenant = bench.tenant("late").await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let until = bench.store.now() + TimeDelta::hours(2);
    bench.store.move_alert(&act(&tenant), (&alert.id, None), Move::Snooze(until)).await.unwrap();
    bench.advance(60);
    let mut happy = Interaction::message("api", "last-week", "billing 90");
    happy.customer = Some("ana".to_owned());
    happy.occurred_at = Some(bench.store.now() - TimeDelta::days(7));
    let arrival = Arrival::of(happy);
    bench.store.accept(tenant.id, &[Incoming { digest: "happy".to_owned(), arrival }]).await.unwrap();
    assert_eq!(bench.record_all(&tenant, "worker").await, 1);
    bench.advance(61);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    let alert = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!(alert.state, AlertState::Open, "what they said last is low");
    assert_eq!(bench.count(&tenant, "alert.reminded").await, 1);
}

async fn an_alert_is_due_in_business_hours_of_their_own_zone(bench: &Bench) {
    let tenant = bench.tenant("own-hours").await;
    // The tenant counts in UTC and works in Berlin, from nine to five.
    let day = json!([["09:00", "17:00"]]);
    let mut hours = json!({"zone": "Europe/Berlin"});
    for name in ["monday", "tuesday", "wednesday", "thursday", "friday"] {
        hours[name] = day.clone();
    }
    let wanted =
        json!({"business_hours": hours, "respond_within_minutes": 120, "escalate_after_minutes": 90});
    bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    // A Friday, an hour before they go home.
    let now = bench.store.now();
    let friday = Utc.with_ymd_and_hms(2027, 1, 29, 15, 0, 0).unwrap();
    assert!(friday > now);
    bench.clock.advance(friday - now);
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!(alert.due_at, Utc.with_ymd_and_hms(2027, 2, 1, 9, 0, 0).unwrap(), "Monday at ten in Berlin");
    let monday = Utc.with_ymd_and_hms(2027, 2, 1, 8, 29, 0).unwrap();
    bench.clock.advance(monday - friday);
    while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 0);
    bench.advance(1);
    while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 1, "half past nine in Berlin");
}

/// Somebody nobody knows is about something low: in a conversation, or on a channel alone.
async fn said_by_nobody(bench: &Bench, tenant: &Tenant, conversation: Option<&str>) {
    let id = format!("{conversation:?} {}", bench.store.now());
    let mut interaction = Interaction::message("api", &id, "outage -70");
    interaction.channel = Channel::Email;
    interaction.conversation = conversation.map(str::to_owned);
    let arrival = Arrival::of(interaction);
    bench.store.accept(tenant.id, &[Incoming { digest: id, arrival }]).await.unwrap();
    assert_eq!(bench.record_all(tenant, "worker").await, 1);
}

async fn nobody_known_is_one_by_conversation_or_channel(bench: &Bench) {
    let tenant = bench.tenant("unknown").await;
    let wanted = json!({"incident_customers": 3, "cooldown_minutes": 5});
    bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    said_by_nobody(bench, &tenant, None).await;
    for customer in ["ana", "ben"] {
        bench.score(&tenant, &[(customer, "outage", -70)]).await;
        assert!(
            bench.store.incidents(tenant.id, None, 1).await.unwrap().is_empty(),
            "nobody counts as a customer"
        );
    }
    bench.score(&tenant, &[("cho", "outage", -70)]).await;
    assert_eq!(bench.count(&tenant, "alert.raised").await, 3);
    // Held like anybody's, also where nobody known comes beside them, and one each, however long it takes.
    for _ in 0..6 {
        bench.advance(6);
        for conversation in [None, Some("talk")] {
            said_by_nobody(bench, &tenant, conversation).await;
        }
    }
    let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    assert_eq!((incident.customers, incident.last_member_at), (3, incident.opened_at));
    let held = bench.alerts(&tenant, Some(AlertState::Held)).await;
    assert_eq!(held.iter().filter(|alert| alert.customer_id.is_none()).count(), 2, "{held:?}");
    bench.store.close_incident(&act(&tenant), &incident.id).await.unwrap().unwrap();
    let told = bench.count(&tenant, "alert.raised").await;
    assert_eq!(told, 6, "and one customer's");
    for (minutes, more) in [(1, 0), (3, 0), (1, 2)] {
        bench.advance(minutes);
        for conversation in [None, Some("talk")] {
            said_by_nobody(bench, &tenant, conversation).await;
        }
        assert_eq!(
            bench.count(&tenant, "alert.raised").await,
            told + more,
            "their cooldown began when they were told"
        );
    }
}

async fn nobody_is_told_of_history(bench: &Bench) {
    let tenant = bench.tenant("backlog").await;
    let said = async |hours: i64, customer: &str| {
        let mut interaction = Interaction::message("api", &format!("{customer}-{hours}"), "billing -80");
        interaction.customer = Some(customer.to_owned());
        interaction.occurred_at = Some(bench.store.now() - TimeDelta::hours(hours));
        let arrival = Arrival::of(interaction);
        bench.store.accept(tenant.id, &[Incoming { digest: customer.to_owned(), arrival }]).await.unwrap();
    };
    said(73, "ana").await;
    said(72, "ben").await;
    // However long it waits here, it was fresh when it arrived.
    bench.advance(60 * 24 * 7);
    assert_eq!(bench.record_all(&tenant, "worker").await, 2);
    let alerts = bench.alerts(&tenant, None).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(
        (bench.count(&tenant, "sentiment.scored").await, bench.count(&tenant, "alert.raised").await),
        (1, 1)
    );
    let any = json!({"tell_within_hours": 0});
    bench.store.change_settings(&act(&tenant), &any).await.unwrap();
    said(24 * 365, "cho").await;
    bench.record_all(&tenant, "worker").await;
    assert_eq!(bench.alerts(&tenant, None).await.len(), 2, "asked for, whatever its age");
}
