//! What is counted is for who watches over the service, and for nobody else.

use axum::body::Body;
use axum::http::{Request, header};
use tower::ServiceExt;
use undertone_store::secrets::Secret;

use super::Bench;
use crate::api::router;
use crate::app::App;

/// What is counted tells as it happens that a text was a bad one, of every tenant: it is for who brings the operator's token, and no other key.
#[tokio::test]
async fn counters_are_for_who_brings_the_token() {
    let bench = Bench::open().await;
    let refused = bench.call("GET", "/metrics", "", None).await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (401, Some("unauthenticated")),
        "{}",
        refused.text
    );
    assert!(
        refused.text.contains("metrics_token_file") && !refused.text.contains("undertone_"),
        "{}",
        refused.text
    );
    let token = "0123456789abcdef0123456789abcdef";
    let app = App { metrics_token: Some(Secret::new(token.to_owned())), ..bench.app.clone() };
    let get = async |authorization: &str| {
        let request = Request::get("/metrics").header(header::AUTHORIZATION, authorization);
        let answer = router(&app).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(get(&format!("Bearer {token}")).await, 200);
    let (short, longer) = (&token[1..], format!("{token}0"));
    for wrong in ["ut_mine", "", short, &longer] {
        assert_eq!(get(&format!("Bearer {wrong}")).await, 401, "{wrong}");
    }
    assert_eq!(get(token).await, 401);
}
