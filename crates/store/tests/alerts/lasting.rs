//! How long an incident lasts, and where there is none.

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    whoever_writes_again_makes_no_incident_last(&bench).await;
    a_trickle_is_no_surge(&bench).await;
    no_incident_lasts_for_more_than_a_day(&bench).await;
    where_nobody_sees_incidents_alerts_are_told_one_by_one(&bench).await;
    where_only_account_managers_hear_of_alerts_there_is_none(&bench).await;
    an_incident_ends_where_nobody_sees_it_any_more(&bench).await;
}

impl Bench {
    /// So many customers turn low about outages at this moment.
    async fn turn_low(&self, tenant: &Tenant, customers: std::ops::Range<usize>) {
        let customers: Vec<String> = customers.map(|i| format!("customer-{i}")).collect();
        let low: Vec<(&str, &str, i64)> = customers.iter().map(|c| (c.as_str(), "outage", -70)).collect();
        self.score(tenant, &low).await;
    }

    /// The states of the incidents, the youngest first, once the clock has looked.
    async fn after_a_look(&self, tenant: &Tenant) -> Vec<String> {
        while self.store.end_incidents(tenant.id).await.unwrap() {}
        let incidents = self.store.incidents(tenant.id, None, 10).await.unwrap();
        incidents.into_iter().map(|incident| incident.state).collect()
    }

    /// How many alerts were told, and how many are held.
    async fn told_and_held(&self, tenant: &Tenant) -> (usize, usize) {
        let held = self.alerts(tenant, Some(AlertState::Held)).await.len();
        (self.count(tenant, "alert.raised").await, held)
    }
}

async fn whoever_writes_again_makes_no_incident_last(bench: &Bench) {
    let tenant = bench.tenant("writes-again").await;
    bench.turn_low(&tenant, 0..12).await;
    for minutes in [10, 20] {
        bench.advance(10);
        bench.turn_low(&tenant, 0..12).await;
        assert_eq!(bench.after_a_look(&tenant).await, ["open"], "{minutes} minutes");
    }
    let opened = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    assert_eq!((opened.customers, opened.last_member_at), (12, opened.opened_at));
    bench.advance(10);
    bench.turn_low(&tenant, 0..12).await;
    assert_eq!(bench.after_a_look(&tenant).await, ["closed"], "nobody turned low anew for half an hour");
    assert_eq!(bench.told_and_held(&tenant).await, (12, 0));
}

async fn a_trickle_is_no_surge(bench: &Bench) {
    let tenant = bench.tenant("trickle").await;
    bench.turn_low(&tenant, 0..12).await;
    // Half of what makes one goes on, in which the next incident would begin.
    for round in 0..6 {
        bench.advance(10);
        bench.turn_low(&tenant, 12 + 2 * round..14 + 2 * round).await;
        assert_eq!(bench.after_a_look(&tenant).await, ["open"], "{round}");
    }
    bench.advance(10);
    bench.turn_low(&tenant, 100..101).await;
    assert_eq!(bench.after_a_look(&tenant).await, ["closed"], "five customers in half an hour");
    assert_eq!(bench.told_and_held(&tenant).await, (25, 0));
}

async fn no_incident_lasts_for_more_than_a_day(bench: &Bench) {
    let tenant = bench.tenant("for-ever").await;
    bench.turn_low(&tenant, 0..12).await;
    for hours in 1..24 {
        bench.advance(60);
        bench.turn_low(&tenant, 12 * hours..12 * hours + 12).await;
        assert_eq!(bench.after_a_look(&tenant).await, ["open"], "{hours} hours");
    }
    bench.advance(60);
    bench.turn_low(&tenant, 500..512).await;
    assert_eq!(bench.after_a_look(&tenant).await, ["closed"]);
    assert_eq!(bench.told_and_held(&tenant).await, (25 * 12, 0));
    assert_eq!(bench.count(&tenant, "incident.closed").await, 1);
}

async fn where_nobody_sees_incidents_alerts_are_told_one_by_one(bench: &Bench) {
    for policy in ["threshold_rules", "post_conversation", "aggregate_only"] {
        let tenant = bench.tenant(&policy.replace('_', "-")).await;
        let wanted = json!({"visibility": policy});
        bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
        bench.turn_low(&tenant, 0..20).await;
        assert_eq!(bench.after_a_look(&tenant).await, Vec::<String>::new(), "{policy}");
        assert_eq!(bench.told_and_held(&tenant).await, (20, 0), "{policy}");
    }
}

async fn where_only_account_managers_hear_of_alerts_there_is_none(bench: &Bench) {
    let tenant = bench.tenant("their-accounts").await;
    let save = async |role: &str| {
        let address = format!("{role}@accounts.example");
        bench.store.save_user(&act(&tenant), &address, role, "no hash").await.unwrap()
    };
    let (manager, lead) = (save("account_manager").await, save("supervisor").await);
    for (users, made) in [(vec![&manager], false), (vec![&manager, &lead], true)] {
        let recipients = json!({"mode": "specific_users", "users": users});
        let wanted = json!({"visibility": "supervisor_overlay", "recipients": recipients});
        bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
        bench.turn_low(&tenant, if made { 20..32 } else { 0..12 }).await;
        let held = bench.told_and_held(&tenant).await.1;
        assert_eq!((bench.after_a_look(&tenant).await.len(), held > 0), (usize::from(made), made));
        bench.advance(60);
    }
}

async fn an_incident_ends_where_nobody_sees_it_any_more(bench: &Bench) {
    let tenant = bench.tenant("hidden-meanwhile").await;
    bench.turn_low(&tenant, 0..15).await;
    assert_eq!(bench.told_and_held(&tenant).await, (0, 15));
    let wanted = json!({"visibility": "threshold_rules"});
    bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    bench.turn_low(&tenant, 15..16).await;
    assert_eq!(bench.told_and_held(&tenant).await, (1, 15), "who comes now is told at once");
    assert_eq!(bench.after_a_look(&tenant).await, ["closed"]);
    assert_eq!(bench.told_and_held(&tenant).await, (16, 0));
}
