//! What is usual: at about the same time of day, on the tenant's days before.

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    an_ordinary_busy_half_hour_is_no_surge(&bench, ("busy", Tz::UTC), (10, 10), (10, 20)).await;
    // Ten minutes before midnight there, and five after it.
    let auckland = ("busy-about-midnight", Tz::Pacific__Auckland);
    an_ordinary_busy_half_hour_is_no_surge(&bench, auckland, (10, 50), (11, 5)).await;
    an_outage_makes_no_usual_day(&bench).await;
    on_the_first_day_the_number_of_customers_decides(&bench).await;
    of_windows_of_another_length_nothing_is_known(&bench).await;
}

impl Bench {
    /// On the next day at this time, customers turn low about billing, the first ones of those who did before.
    async fn busy(&self, tenant: &Tenant, (hour, minute): (u32, u32), customers: usize) {
        let now = self.store.now();
        let next = now.date_naive().succ_opt().unwrap().and_hms_opt(hour, minute, 0).unwrap().and_utc();
        self.clock.advance(next - now);
        let customers: Vec<String> = (0..customers).map(|i| format!("customer-{i}")).collect();
        for customer in &customers {
            self.score(tenant, &[(customer, "billing", -80)]).await;
        }
    }

    async fn set(&self, tenant: &Tenant, wanted: serde_json::Value) {
        self.store.change_settings(&act(tenant), &wanted).await.unwrap();
    }

    /// The incidents, each with its customers and what was usual.
    async fn surges(&self, tenant: &Tenant) -> Vec<(i64, f64)> {
        let incidents = self.store.incidents(tenant.id, None, 10).await.unwrap();
        incidents.into_iter().map(|incident| (incident.customers, incident.usual)).collect()
    }
}

async fn an_ordinary_busy_half_hour_is_no_surge(
    bench: &Bench,
    (slug, zone): (&str, Tz),
    before: (u32, u32),
    time: (u32, u32),
) {
    let new = NewTenant { slug, name: slug, zone, actor: "test" };
    let tenant = bench.store.create_tenant(&new).await.unwrap();
    bench.set(&tenant, json!({"incident_customers": 100})).await;
    for _ in 0..4 {
        bench.busy(&tenant, before, 4).await;
    }
    bench.set(&tenant, json!({"incident_customers": 3})).await;
    bench.busy(&tenant, time, 11).await;
    assert_eq!(bench.surges(&tenant).await, [], "four are usual then, whatever the nights are");
    bench.score(&tenant, &[("customer-11", "billing", -80)]).await;
    assert_eq!(bench.surges(&tenant).await, [(12, 4.0)]);
    let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    bench.store.close_incident(&act(&tenant), &incident.id).await.unwrap();
    // Seven hours later nobody writes as a rule.
    bench.busy(&tenant, (time.0 + 7, time.1), 3).await;
    assert_eq!(bench.surges(&tenant).await[0], (3, 0.0));
}

async fn an_outage_makes_no_usual_day(bench: &Bench) {
    let tenant = bench.tenant("after-an-outage").await;
    bench.set(&tenant, json!({"incident_customers": 100})).await;
    for customers in [4, 40, 4] {
        bench.busy(&tenant, (10, 10), customers).await;
    }
    bench.set(&tenant, json!({"incident_customers": 3})).await;
    bench.busy(&tenant, (10, 10), 12).await;
    assert_eq!(bench.surges(&tenant).await, [(12, 4.0)]);
}

async fn on_the_first_day_the_number_of_customers_decides(bench: &Bench) {
    let tenant = bench.tenant("first-day").await;
    bench.busy(&tenant, (10, 10), 11).await;
    assert_eq!(bench.surges(&tenant).await, []);
    bench.score(&tenant, &[("customer-11", "billing", -80)]).await;
    assert_eq!(bench.surges(&tenant).await, [(12, 0.0)]);
}

async fn of_windows_of_another_length_nothing_is_known(bench: &Bench) {
    let tenant = bench.tenant("another-length").await;
    bench.set(&tenant, json!({"incident_customers": 100, "incident_minutes": 1440})).await;
    for _ in 0..3 {
        bench.busy(&tenant, (15, 0), 2).await;
    }
    bench.set(&tenant, json!({"incident_customers": 3})).await;
    bench.busy(&tenant, (10, 0), 6).await;
    // Yesterday at three two of them were low already: within a day before, and not anew.
    assert_eq!(bench.surges(&tenant).await, [(6, 2.0)], "a whole day, whenever in it");
    let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    bench.store.close_incident(&act(&tenant), &incident.id).await.unwrap();
    bench.set(&tenant, json!({"incident_minutes": 30})).await;
    bench.busy(&tenant, (10, 0), 3).await;
    assert_eq!(bench.surges(&tenant).await[0], (3, 0.0));
    while bench.store.tidy_surge(tenant.id).await.unwrap() {}
}
