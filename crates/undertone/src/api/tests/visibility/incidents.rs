//! No policy makes alerts silent: where nobody sees incidents there are none, and where there is one, somebody is told of it.

use serde_json::json;

use crate::api::tests::Bench;

/// Under each policy: who is to hear of alerts, whether many customers at once are an incident, and what of it comes into their inboxes.
const EXPECTED: [(&str, &[&str], bool, &str); 6] = [
    ("full_transparency", &["supervisor"], true, "incident.opened"),
    ("supervisor_overlay", &["supervisor", "account_manager"], true, "incident.opened"),
    ("supervisor_overlay", &["account_manager"], false, ""),
    ("threshold_rules", &["supervisor"], false, "alert.raised"),
    // Of a conversation that is open nobody hears, nor of groups under the last one; the doctor says so.
    ("post_conversation", &["supervisor"], false, ""),
    ("aggregate_only", &["supervisor"], false, ""),
];

#[tokio::test]
async fn no_policy_makes_alerts_silent() {
    for (place, (policy, hearing, made, told)) in EXPECTED.into_iter().enumerate() {
        let bench = Bench::open().await;
        let mut people = Vec::new();
        for role in hearing {
            people.push(bench.person(role).await);
        }
        let users: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
        let recipients = json!({"mode": "specific_users", "users": users});
        bench.set(json!({"alert_threshold": -20, "incident_customers": 3, "recipients": recipients})).await;
        let thresholds = json!([{"at_or_under": -20}]);
        bench.set(json!({"visibility": {"policy": policy, "thresholds": thresholds}})).await;
        for i in 0..5 {
            bench.annoy(&format!("customer-{i}")).await;
        }
        bench.tell().await;
        let all = bench.store().incidents(bench.mine.id, None, 5).await.unwrap();
        assert_eq!(all.len(), usize::from(made), "{place} {policy}");
        let wanted = undertone_store::alerts::Wanted { most: 10, ..Default::default() };
        let alerts = bench.store().alerts(bench.mine.id, &wanted).await.unwrap();
        let held = alerts.iter().filter(|alert| alert.told_at.is_none()).count();
        assert_eq!((alerts.len(), held), (5, if made { 3 } else { 0 }), "{place} {policy}");
        let inbox = bench.by(&people[0], "GET", "/api/v1/inbox", None).await.json();
        let notices = inbox["notices"].as_array().unwrap();
        let found = notices.iter().filter(|notice| notice["type"] == told).count();
        let expected = match told {
            "" => 0,
            "alert.raised" => 5,
            _ => 1,
        };
        assert_eq!(found, expected, "{place} {policy}: {inbox}");
        // Whoever hears of one may end it.
        let by = &people[0];
        let seen = bench.by(by, "GET", "/api/v1/incidents", None).await.json()["incidents"].clone();
        assert_eq!(seen.as_array().unwrap().len(), usize::from(made), "{place} {policy}");
        if let Some(id) = seen[0]["id"].as_str() {
            let ended =
                bench.by(by, "POST", &format!("/api/v1/incidents/{id}/close"), Some(&json!({}))).await;
            assert_eq!(ended.status, 200, "{place} {policy}: {}", ended.text);
        }
    }
}

#[tokio::test]
async fn who_heard_of_an_incident_hears_its_end_whatever_the_policy_says() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    bench.set(json!({"alert_threshold": -20, "incident_customers": 3})).await;
    for i in 0..4 {
        bench.annoy(&format!("customer-{i}")).await;
    }
    bench.tell().await;
    bench.set(json!({"visibility": "aggregate_only"})).await;
    while bench.store().end_incidents(bench.mine.id).await.unwrap() {}
    let late = bench.person("tenant_admin").await;
    bench.tell().await;
    let inbox = async |person| bench.by(person, "GET", "/api/v1/inbox", None).await.json()["notices"].clone();
    let heard = inbox(&lead).await;
    assert_eq!((&heard[0]["type"], &heard[1]), (&json!("incident.closed"), &json!(null)), "{heard}");
    let data = heard[0]["data"].as_object().unwrap();
    assert!(data.contains_key("incident_id") && !data.contains_key("still_low"), "{heard}");
    assert_eq!(inbox(&late).await, json!([]), "who heard of none");
}
