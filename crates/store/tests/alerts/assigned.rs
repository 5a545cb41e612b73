//! What is given to somebody is not in their hands before they say so.

use undertone_core::Role;
use undertone_store::users::{Authority, Change};

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    what_is_given_to_somebody_is_escalated_until_it_is_acknowledged(&bench).await;
    never_holds_for_what_is_open_too(&bench).await;
    what_one_takes_oneself_is_taken(&bench).await;
    nobody_is_given_what_they_may_not_look_after(&bench).await;
    what_was_given_to_whoever_leaves_wants_somebody_else(&bench).await;
    what_was_given_to_whoever_looks_after_none_any_more_wants_somebody_else(&bench).await;
    no_incident_takes_in_what_is_given_to_somebody(&bench).await;
}

impl Bench {
    /// A tenant with an alert, and somebody in this role.
    async fn with_somebody(&self, slug: &str, role: &str) -> (Tenant, Alert, String) {
        let tenant = self.tenant(slug).await;
        self.score(&tenant, &[("ana", "billing", -80)]).await;
        let alert = self.alerts(&tenant, None).await.remove(0);
        let address = format!("{role}@{slug}.example");
        let user = self.store.save_user(&act(&tenant), &address, role, "no hash").await.unwrap();
        (tenant, alert, user)
    }

    async fn give(&self, act: &Act<'_>, alert: &Alert, user: &str) -> Alert {
        self.store.move_alert(act, (&alert.id, None), Move::Assign(user)).await.unwrap().unwrap()
    }

    /// So many minutes later, after the clock has looked: how often others were told.
    async fn escalated(&self, tenant: &Tenant, minutes: i64) -> usize {
        self.advance(minutes);
        while self.store.tick_alerts(tenant.id).await.unwrap() {}
        self.count(tenant, "alert.escalated").await
    }
}

async fn what_is_given_to_somebody_is_escalated_until_it_is_acknowledged(bench: &Bench) {
    let (tenant, alert, user) = bench.with_somebody("given", "agent").await;
    bench.store.move_alert(&act(&tenant), (&alert.id, None), Move::Acknowledge).await.unwrap();
    bench.advance(30);
    let given = bench.give(&act(&tenant), &alert, &user).await;
    assert_eq!((given.state, given.assigned_to.as_deref()), (AlertState::Open, Some(user.as_str())));
    assert_eq!((given.acknowledged_at, given.acknowledged_by), (None, None), "who took it gave it away");
    assert_eq!(bench.escalated(&tenant, 59).await, 0, "the clock begins anew");
    assert_eq!(bench.escalated(&tenant, 1).await, 1);
    for times in [2, 3, 3] {
        assert_eq!(bench.escalated(&tenant, 60).await, times);
    }
    let told = Following { kinds: Some(&[EventKind::AlertEscalated]), most: 1 };
    let (told, _) = bench.store.events_after(tenant.id, 0, &told).await.unwrap();
    assert_eq!(told[0].payload["assigned_to"], json!(user), "they hear of it too");
    let again = bench.give(&act(&tenant), &alert, &user).await;
    assert_eq!((again.state, again.escalated), (AlertState::Open, 0));
    assert_eq!(bench.escalated(&tenant, 60).await, 4);
    let theirs = format!("user:{user}");
    let theirs = Act::new(tenant.id, &theirs);
    let taken = bench.store.move_alert(&theirs, (&alert.id, None), Move::Acknowledge).await.unwrap().unwrap();
    assert_eq!((taken.state, taken.assigned_to.as_deref()), (AlertState::Acknowledged, Some(user.as_str())));
    assert_eq!(bench.escalated(&tenant, 600).await, 4);
    let once_more = bench.give(&act(&tenant), &alert, &user).await;
    assert_eq!(once_more.state, AlertState::Acknowledged, "they have it in hand, whoever says it again");
}

async fn never_holds_for_what_is_open_too(bench: &Bench) {
    let (tenant, alert, _) = bench.with_somebody("never", "agent").await;
    let set = async |minutes: i64| {
        let wanted = json!({"escalate_after_minutes": minutes});
        bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    };
    set(0).await;
    assert_eq!(bench.escalated(&tenant, 60).await, 0);
    let now = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!((now.state, now.escalated, now.version), (AlertState::Open, 0, alert.version));
    assert!(!bench.store.tenants_with_due_alerts().await.unwrap().contains(&tenant.id));
    // Its clock was taken away; what is raised from now on has one.
    set(60).await;
    bench.score(&tenant, &[("ben", "billing", -80)]).await;
    assert_eq!(bench.escalated(&tenant, 60).await, 1);
}

async fn what_one_takes_oneself_is_taken(bench: &Bench) {
    let (tenant, alert, user) = bench.with_somebody("mine", "agent").await;
    let me = format!("user:{user}");
    let mine = bench.give(&Act::new(tenant.id, &me), &alert, &user).await;
    assert_eq!((mine.state, mine.acknowledged_by), (AlertState::Acknowledged, Some(me)));
    assert_eq!(bench.escalated(&tenant, 600).await, 0);
}

async fn nobody_is_given_what_they_may_not_look_after(bench: &Bench) {
    for role in ["analyst", "reviewer"] {
        let (tenant, alert, user) = bench.with_somebody(&format!("may-not-{role}"), role).await;
        let given = bench.store.move_alert(&act(&tenant), (&alert.id, None), Move::Assign(&user)).await;
        assert!(matches!(&given, Err(StoreError::Invalid(told)) if told.contains(role)), "{given:?}");
        assert_eq!(bench.alerts(&tenant, None).await[0].assigned_to, None);
    }
}

async fn what_was_given_to_whoever_leaves_wants_somebody_else(bench: &Bench) {
    let (tenant, alert, user) = bench.with_somebody("given-and-left", "agent").await;
    bench.give(&act(&tenant), &alert, &user).await;
    let gone = Change { active: Some(false), ..Change::default() };
    bench.store.change_user(&act(&tenant), Authority::Operator, (&user, None), &gone).await.unwrap().unwrap();
    let now = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!((now.state, now.assigned_to), (AlertState::Open, None));
    assert_eq!(bench.count(&tenant, "alert.reminded").await, 1, "the others hear of it");
}

async fn what_was_given_to_whoever_looks_after_none_any_more_wants_somebody_else(bench: &Bench) {
    let (tenant, alert, user) = bench.with_somebody("given-and-demoted", "supervisor").await;
    bench.give(&act(&tenant), &alert, &user).await;
    let theirs = format!("user:{user}");
    let theirs = Act::new(tenant.id, &theirs);
    bench.store.move_alert(&theirs, (&alert.id, None), Move::Acknowledge).await.unwrap();
    let becomes = async |role| {
        let change = Change { role: Some(role), ..Change::default() };
        let done = bench.store.change_user(&act(&tenant), Authority::Operator, (&user, None), &change).await;
        done.unwrap().unwrap();
        bench.alerts(&tenant, None).await.remove(0)
    };
    let stays = becomes(Role::Agent).await;
    assert_eq!((stays.state, stays.assigned_to.as_deref()), (AlertState::Acknowledged, Some(user.as_str())));
    let left = becomes(Role::Analyst).await;
    assert_eq!((left.state, left.assigned_to, left.acknowledged_by), (AlertState::Open, None, None));
    assert_eq!(bench.count(&tenant, "alert.reminded").await, 1, "the recipients hear of it");
    let (_, steps) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
    assert!(steps.last().unwrap().detail.as_ref().unwrap().contains("another role"), "{steps:?}");
    assert_eq!(bench.escalated(&tenant, 60).await, 1, "nobody took it");
}

async fn no_incident_takes_in_what_is_given_to_somebody(bench: &Bench) {
    let (tenant, alert, user) = bench.with_somebody("given-first", "agent").await;
    bench.give(&act(&tenant), &alert, &user).await;
    for i in 0..11 {
        bench.score(&tenant, &[(&format!("customer-{i}"), "billing", -70)]).await;
    }
    let incidents = bench.store.incidents(tenant.id, None, 2).await.unwrap();
    assert_eq!((incidents.len(), incidents[0].customers), (1, 12));
    let (now, _) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
    assert_eq!(now.incident_id, None);
    assert_eq!(bench.escalated(&tenant, 60).await, 1, "its clock goes on");
}
