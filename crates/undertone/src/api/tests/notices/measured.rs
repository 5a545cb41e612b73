//! How long after its score an alert is in the inbox of somebody who looks. `make bench-inbox` measures it.

use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_testkit::postgres::Postgres;

use super::super::DATABASE;
use super::Bench;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/performance.md"]
async fn an_alert_is_in_the_inbox_within_a_second() {
    measure("SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/performance.md"]
async fn an_alert_is_in_the_inbox_within_a_second_on_postgresql() {
    let server = Postgres::start();
    DATABASE.set(server.url());
    measure("PostgreSQL").await;
}

async fn measure(database: &str) {
    const ALERTS: usize = 300;
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    bench.set(json!({"alert_threshold": -20, "incident_customers": 0})).await;
    let _tasks = bench.deliveries("", &bench.app.ending);
    let request = Request::get("/api/v1/inbox/live").header(header::COOKIE, &lead.cookie);
    let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    let store = bench.store().clone();
    let listening = tokio::spawn(async move {
        let (mut text, mut took) = (String::new(), Vec::new());
        while took.len() < ALERTS {
            let piece = stream.next().await.unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&piece));
            while let Some((event, rest)) = text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or("null");
                let data: Value = serde_json::from_str(data).unwrap();
                if let Some(at) = data["happened_at"].as_str() {
                    let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
                    took.push((store.now() - at).num_milliseconds());
                }
                text = rest.to_owned();
            }
        }
        took.sort_unstable();
        took
    });
    for n in 0..ALERTS {
        let text = "This is a disgrace. Third week without an answer, I am furious and want my money back.";
        let item = json!({"text": text, "customer": format!("c{n}"), "channel": "email"});
        assert_eq!(bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await.status, 201);
    }
    let took = tokio::time::timeout(std::time::Duration::from_mins(3), listening).await.unwrap().unwrap();
    let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    let worst = took[took.len() - 1];
    println!("FIGURES {database}: {ALERTS} alerts, p50 {half} ms, p99 {most} ms, worst {worst} ms");
    assert!(most < 1000, "p99 {most} ms");
}
