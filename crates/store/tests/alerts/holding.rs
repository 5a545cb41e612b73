//! What an incident holds keeps nobody from hearing of something else, and what nobody looks after any more wants somebody.

use undertone_store::users::{Authority, Change};

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    a_member_of_an_outage_is_not_mute_about_something_else(&bench).await;
    both_of_one_batch_are_kept(&bench).await;
    what_was_withdrawn_untold_begins_no_cooldown(&bench).await;
    nobody_is_told_twice_when_it_ends(&bench).await;
    what_becomes_somebodys_is_told_of_them_once(&bench).await;
    what_a_person_takes_that_is_held_begins_its_cooldown(&bench).await;
    a_correction_finds_what_was_said_while_it_was_held(&bench).await;
    what_nobody_was_told_of_is_withdrawn_in_silence(&bench).await;
    a_snooze_of_somebody_who_took_it_ends_at_them(&bench).await;
    what_a_person_looked_after_who_is_deactivated_is_told_again(&bench).await;
    a_holiday_is_no_business_hour(&bench).await;
}

impl Bench {
    /// A tenant with an incident about outages, that holds `ana`'s alert.
    async fn outage_of_ana(&self, slug: &str) -> (Tenant, String) {
        let (tenant, incident) = self.outage(slug).await;
        self.score(&tenant, &[("ana", "outage", -80)]).await;
        (tenant, incident)
    }

    /// A tenant with an incident about outages.
    async fn outage(&self, slug: &str) -> (Tenant, String) {
        let tenant = self.tenant(slug).await;
        for i in 0..12 {
            self.score(&tenant, &[(&format!("customer-{i}"), "outage", -70)]).await;
        }
        let incident = self.store.incidents(tenant.id, None, 1).await.unwrap().remove(0).id;
        (tenant, incident)
    }

    /// Takes in what somebody, or nobody known, says in a conversation, and scores it.
    async fn say_in(&self, tenant: &Tenant, conversation: &str, customer: Option<&str>, text: &str) {
        let id = format!("{conversation}-{}", self.store.now().timestamp_micros());
        let mut interaction = Interaction::message("api", &id, text);
        interaction.customer = customer.map(str::to_owned);
        interaction.conversation = Some(conversation.to_owned());
        let item = Incoming { digest: text.to_owned(), arrival: Arrival::of(interaction) };
        self.store.accept(tenant.id, &[item]).await.unwrap();
        self.record_all(tenant, "worker").await;
    }

    /// Ana's alerts, the oldest first: the category, where it stands, and whether people were told.
    async fn of_ana(&self, tenant: &Tenant) -> Vec<(String, AlertState, bool)> {
        let alerts = self.alerts(tenant, None).await;
        let customers: Vec<&str> = alerts.iter().filter_map(|alert| alert.customer_id.as_deref()).collect();
        let names = self.store.names_of(tenant.id, &customers).await.unwrap();
        let hers = alerts.iter().rev().filter(|alert| {
            alert.customer_id.as_ref().and_then(|id| names.get(id)).is_some_and(|name| name == "ana")
        });
        hers.map(|alert| (alert.category.clone(), alert.state, alert.told_at.is_some())).collect()
    }
}

fn is(category: &str, state: AlertState, told: bool) -> (String, AlertState, bool) {
    (category.to_owned(), state, told)
}

async fn a_member_of_an_outage_is_not_mute_about_something_else(bench: &Bench) {
    let (tenant, _) = bench.outage_of_ana("not-mute").await;
    let held = is("outage", AlertState::Held, false);
    assert_eq!(bench.of_ana(&tenant).await, std::slice::from_ref(&held));
    bench.advance(10);
    bench.score(&tenant, &[("ana", "outage", -90)]).await;
    assert_eq!(bench.of_ana(&tenant).await, std::slice::from_ref(&held), "one is held of each");
    bench.score(&tenant, &[("ana", "billing", -85)]).await;
    let told = is("billing", AlertState::Open, true);
    assert_eq!(bench.of_ana(&tenant).await, [held.clone(), told.clone()]);
    bench.score(&tenant, &[("ana", "app", -88)]).await;
    assert_eq!(bench.of_ana(&tenant).await, [held, told], "that one has a cooldown");
}

async fn both_of_one_batch_are_kept(bench: &Bench) {
    let tenant = bench.tenant("one-batch").await;
    for i in 0..12 {
        bench.score(&tenant, &[(&format!("customer-{i}"), "outage", -70)]).await;
    }
    bench.score(&tenant, &[("ana", "billing", -70), ("ana", "outage", -80)]).await;
    let expected = [is("billing", AlertState::Open, true), is("outage", AlertState::Held, false)];
    assert_eq!(bench.of_ana(&tenant).await, expected, "the lower one hides the other from nobody");
    bench.advance(1);
}

async fn what_was_withdrawn_untold_begins_no_cooldown(bench: &Bench) {
    let (tenant, incident) = bench.outage_of_ana("no-cooldown").await;
    bench.advance(5);
    bench.score(&tenant, &[("ana", "outage", 40)]).await;
    bench.store.close_incident(&act(&tenant), &incident).await.unwrap();
    assert_eq!(bench.of_ana(&tenant).await, [is("outage", AlertState::Withdrawn, false)]);
    bench.advance(10);
    bench.score(&tenant, &[("ana", "outage", -80)]).await;
    let now = bench.of_ana(&tenant).await;
    assert_eq!(now.last(), Some(&is("outage", AlertState::Open, true)), "nobody was told of her before");
}

async fn nobody_is_told_twice_when_it_ends(bench: &Bench) {
    let (tenant, incident) = bench.outage_of_ana("not-twice").await;
    bench.advance(5);
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    bench.advance(5);
    let told = bench.count(&tenant, "alert.raised").await;
    bench.store.close_incident(&act(&tenant), &incident).await.unwrap();
    let expected = [is("outage", AlertState::Withdrawn, false), is("billing", AlertState::Open, true)];
    assert_eq!(bench.of_ana(&tenant).await, expected, "they heard of her five minutes ago");
    assert_eq!(bench.count(&tenant, "alert.raised").await, told + 1, "of the other whom it held");
    let hers = bench.alerts(&tenant, Some(AlertState::Withdrawn)).await.remove(0);
    let (_, steps) = bench.store.alert(tenant.id, &hers.id).await.unwrap().unwrap();
    assert!(steps[0].detail.as_ref().unwrap().contains("another alert"), "{steps:?}");
}

async fn what_becomes_somebodys_is_told_of_them_once(bench: &Bench) {
    let tenant = bench.tenant("becomes-hers").await;
    bench.say_in(&tenant, "t1", None, "billing -80").await;
    bench.advance(1);
    bench.say_in(&tenant, "t1", Some("ana"), "billing -85").await;
    let told = is("billing", AlertState::Open, true);
    assert_eq!(bench.of_ana(&tenant).await, std::slice::from_ref(&told), "they heard a minute ago");
    bench.advance(29);
    bench.say_in(&tenant, "t1", Some("ana"), "billing -85").await;
    assert_eq!(bench.of_ana(&tenant).await, [told.clone(), told], "the cooldown counts from the first");

    let (tenant, incident) = bench.outage("becomes-hers-held").await;
    bench.say_in(&tenant, "t1", None, "outage -80").await;
    bench.advance(1);
    bench.say_in(&tenant, "t1", Some("ana"), "outage -85").await;
    let held = is("outage", AlertState::Held, false);
    assert_eq!(bench.of_ana(&tenant).await, std::slice::from_ref(&held), "one is held of her");
    // That another conversation is hers too is known only after one was held of it.
    bench.say_in(&tenant, "t2", None, "outage -80").await;
    bench.advance(1);
    bench.say_in(&tenant, "t2", Some("ana"), "outage -85").await;
    assert_eq!(bench.of_ana(&tenant).await, [held.clone(), held]);
    bench.store.close_incident(&act(&tenant), &incident).await.unwrap();
    let expected = [is("outage", AlertState::Open, true), is("outage", AlertState::Withdrawn, false)];
    assert_eq!(bench.of_ana(&tenant).await, expected, "they hear of her once");
}

async fn what_a_person_takes_that_is_held_begins_its_cooldown(bench: &Bench) {
    let (tenant, incident) = bench.outage_of_ana("held-and-taken").await;
    let hers = bench.alerts(&tenant, Some(AlertState::Held)).await.remove(0);
    bench.advance(5);
    bench.store.move_alert(&act(&tenant), (&hers.id, None), Move::Acknowledge).await.unwrap().unwrap();
    bench.advance(10);
    bench.score(&tenant, &[("ana", "outage", -85), ("ana", "billing", -84)]).await;
    let taken = is("outage", AlertState::Acknowledged, true);
    assert_eq!(bench.of_ana(&tenant).await, std::slice::from_ref(&taken), "somebody is at it");
    let told = bench.count(&tenant, "alert.raised").await;
    bench.store.close_incident(&act(&tenant), &incident).await.unwrap();
    assert_eq!(bench.of_ana(&tenant).await, [taken]);
    assert_eq!(bench.count(&tenant, "alert.raised").await, told + 1, "of the other whom it held");
}

async fn a_correction_finds_what_was_said_while_it_was_held(bench: &Bench) {
    let (tenant, incident) = bench.outage_of_ana("said-while-held").await;
    let first = bench.alerts(&tenant, None).await.remove(0);
    bench.advance(60);
    bench.score(&tenant, &[("ana", "outage", -90)]).await;
    bench.advance(5);
    let correct = async |interaction: &str| {
        let correction = Correction::of(Some(Score::new(10).unwrap()), None).unwrap().unwrap();
        let said = Said::Set { correction, reason: None };
        bench.store.say(&act(&tenant), interaction, said, Seen::Unknown).await.unwrap().unwrap();
    };
    correct(&first.interaction_id).await;
    assert_eq!(bench.of_ana(&tenant).await, [is("outage", AlertState::Held, false)], "she is still low");
    let (moved, _) = bench.store.alert(tenant.id, &first.id).await.unwrap().unwrap();
    assert_ne!(moved.interaction_id, first.interaction_id);
    // Let go, what she says within the cooldown is found from when people were told.
    bench.store.close_incident(&act(&tenant), &incident).await.unwrap();
    assert_eq!(bench.of_ana(&tenant).await, [is("outage", AlertState::Open, true)]);
    bench.advance(20);
    bench.score(&tenant, &[("ana", "billing", -70)]).await;
    correct(&moved.interaction_id).await;
    assert_eq!(bench.of_ana(&tenant).await, [is("billing", AlertState::Open, true)]);
}

async fn what_nobody_was_told_of_is_withdrawn_in_silence(bench: &Bench) {
    let (tenant, _) = bench.outage_of_ana("in-silence").await;
    bench.score(&tenant, &[("ben", "billing", -80)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    let (bens, anas) = (&alerts[0], &alerts[1]);
    let until = bench.store.now() + TimeDelta::hours(2);
    bench.store.move_alert(&act(&tenant), (&bens.id, None), Move::Snooze(until)).await.unwrap();
    for alert in [anas, bens] {
        let correction = Correction::of(Some(Score::new(10).unwrap()), None).unwrap().unwrap();
        let said = Said::Set { correction, reason: None };
        bench.store.say(&act(&tenant), &alert.interaction_id, said, Seen::Unknown).await.unwrap().unwrap();
        let (now, steps) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
        assert_eq!(now.state, AlertState::Withdrawn);
        assert_eq!(steps.last().map(|step| step.step.as_str()), Some("withdrawn"));
    }
    assert_eq!(bench.count(&tenant, "alert.withdrawn").await, 1, "of the snoozed one they had been told");
    bench.advance(180);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.count(&tenant, "alert.reminded").await, 0, "its snooze is over with it");
}

async fn a_snooze_of_somebody_who_took_it_ends_at_them(bench: &Bench) {
    let tenant = bench.tenant("snoozed-taken").await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let user = bench.store.save_user(&act(&tenant), "a@snoozed.example", "agent", "no hash").await.unwrap();
    let id = (alert.id.as_str(), None);
    let by_them = format!("user:{user}");
    bench.store.move_alert(&Act::new(tenant.id, &by_them), id, Move::Assign(&user)).await.unwrap();
    let until = bench.store.now() + TimeDelta::hours(1);
    bench.store.move_alert(&act(&tenant), id, Move::Snooze(until)).await.unwrap();
    bench.advance(61);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    let now = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!((now.state, now.assigned_to.as_deref()), (AlertState::Acknowledged, Some(user.as_str())));
    bench.events(&tenant).await;
    let reminded = Following { kinds: Some(&[EventKind::AlertReminded]), most: 10 };
    let (told, _) = bench.store.events_after(tenant.id, 0, &reminded).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].payload["assigned_to"], json!(user), "who is responsible, and so told alone");
    bench.advance(600);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 0);
}

async fn what_a_person_looked_after_who_is_deactivated_is_told_again(bench: &Bench) {
    let tenant = bench.tenant("left").await;
    let save = async |name: &str| {
        let address = format!("{name}@left.example");
        bench.store.save_user(&act(&tenant), &address, "tenant_admin", "no hash").await.unwrap()
    };
    let (ana, ben) = (save("ana").await, save("ben").await);
    let what = [("c1", "a", -80), ("c2", "b", -80), ("c3", "c", -80), ("c4", "d", -80)];
    bench.score(&tenant, &what).await;
    let alerts = bench.alerts(&tenant, None).await;
    let of = |category: &str| alerts.iter().find(|alert| alert.category == category).unwrap().id.as_str();
    let by_ben = format!("user:{ben}");
    let by_ben = Act::new(tenant.id, &by_ben);
    let until = bench.store.now() + TimeDelta::hours(2);
    for (category, what) in [
        ("a", Move::Acknowledge),
        ("b", Move::Assign(&ben)),
        ("c", Move::Assign(&ana)),
        ("d", Move::Assign(&ben)),
        ("d", Move::Snooze(until)),
    ] {
        bench.store.move_alert(&by_ben, (of(category), None), what).await.unwrap();
    }
    bench.advance(5);
    let gone = Change { active: Some(false), ..Change::default() };
    bench.store.change_user(&act(&tenant), Authority::Operator, (&ben, None), &gone).await.unwrap().unwrap();
    let state = async |category: &str| {
        let (alert, steps) = bench.store.alert(tenant.id, of(category)).await.unwrap().unwrap();
        (alert.state, alert.assigned_to, steps.last().unwrap().step.clone())
    };
    let reopened = (AlertState::Open, None, "reopened".to_owned());
    assert_eq!(state("a").await, reopened);
    assert_eq!(state("b").await, reopened);
    assert_eq!(state("c").await.1, Some(ana.clone()), "that one is somebody else's");
    assert_eq!(state("d").await, (AlertState::Snoozed, None, "reopened".to_owned()), "quiet until it ends");
    assert_eq!(bench.count(&tenant, "alert.reminded").await, 2);
    bench.advance(61);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 3, "nobody took them, nor what ana was given");
    bench.advance(60);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(state("d").await.0, AlertState::Open);
}

async fn a_holiday_is_no_business_hour(bench: &Bench) {
    let tenant = bench.tenant("holiday").await;
    let week: Vec<&str> = vec!["monday", "tuesday", "wednesday", "thursday", "friday"];
    let tomorrow = bench.store.now().date_naive().succ_opt().unwrap();
    let mut hours: serde_json::Map<String, serde_json::Value> =
        week.into_iter().map(|day| (day.to_owned(), json!([["09:00", "17:00"]]))).collect();
    hours.insert("zone".to_owned(), json!("UTC"));
    hours.insert("holidays".to_owned(), json!([tomorrow]));
    let wanted =
        json!({"business_hours": hours, "respond_within_minutes": 240, "escalate_after_minutes": 120});
    bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    // Two hours before the end of a day of work.
    let now = bench.store.now();
    bench.clock.advance(now.date_naive().and_hms_opt(15, 30, 0).unwrap().and_utc() - now);
    let began = bench.store.now();
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let next = chrono::Datelike::weekday(&tomorrow.succ_opt().unwrap());
    assert!(chrono::Weekday::Sat != next && chrono::Weekday::Sun != next, "the clock begins on such a day");
    // An hour and a half today, nothing tomorrow, the rest the day after.
    let due = tomorrow.succ_opt().unwrap().and_hms_opt(11, 30, 0).unwrap().and_utc();
    assert_eq!((alert.raised_at, alert.due_at), (began, due));
    let is_due = async || bench.store.tenants_with_due_alerts().await.unwrap().contains(&tenant.id);
    bench.clock.advance(TimeDelta::hours(24));
    assert!(!is_due().await, "nobody is escalated to on a holiday");
    bench.clock.advance(TimeDelta::hours(18));
    assert!(is_due().await, "half an hour of work after it");
}
