//! What a stranger, a leaked password and a stolen session can not do, and what the audit log has of whom they try.

use axum::body::Body;
use axum::http::{Request, header};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use undertone_store::Act;
use undertone_store::users::{Authority, Change};

use super::second_factor::{Browser, PASSWORD, code, user};
use super::{Bench, FORM};
use crate::api::secrets::{BROWSER_COOKIE, SESSION_COOKIE};

const ANA: &str = "ana@example.com";
const FACTOR: &str = "/api/v1/me/second-factor";

/// The seed that a page shows.
fn seed_on(page: &str) -> Option<String> {
    Some(page.split("<code>").nth(1)?.split('<').next()?.to_owned())
}

async fn run_sql(bench: &Bench, statement: &str) {
    let raw = sea_orm::Database::connect(bench.url()).await.unwrap();
    assert_eq!(raw.execute_unprepared(statement).await.unwrap().rows_affected(), 1, "{statement}");
}

/// Entries about somebody with this action, once there are so many; the latest first.
async fn noted(bench: &Bench, action: &str, subject: &str, many: usize) -> Vec<Value> {
    for _ in 0..500 {
        let page = bench.get(&format!("/api/v1/audit?action={action}&subject={subject}")).await;
        let items = page["items"].as_array().unwrap().clone();
        if items.len() >= many {
            return items;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{action} was not noted {many} times within 10 s");
}

#[tokio::test]
async fn a_leaked_password_is_shown_no_seed_that_somebody_else_confirms() {
    let bench = Bench::open().await;
    user(&bench, ANA, "agent").await;
    bench.set(json!({"second_factor_roles": ["agent"]})).await;
    let (mut thief, mut ana) = (Browser::default(), Browser::default());
    let path = "/login/second-factor";
    for browser in [&mut thief, &mut ana] {
        assert_eq!(browser.log_in(&bench, ANA).await, path);
    }
    let stolen = seed_on(&thief.get(&bench, path).await.text).unwrap();
    let shown = seed_on(&ana.get(&bench, path).await.text).unwrap();
    assert_ne!(shown, stolen, "who comes next is shown another");
    // The thief looks again: what Ana scanned counts no more, and she is told, and shown what does.
    let again = seed_on(&thief.get(&bench, path).await.text).unwrap();
    assert!(again != shown && again != stolen);
    let told = ana.send(&bench, "POST", path, FORM, form(&ana, &code(&shown, 0))).await;
    assert_eq!(told.status, 409, "{}", told.text);
    let shown = seed_on(&told.text).unwrap();
    assert!(shown != again && told.text.contains("set it up anew"), "{}", told.text);
    let inside = ana.send(&bench, "POST", path, FORM, form(&ana, &code(&shown, 0))).await;
    assert_eq!(inside.status, 200, "{}", inside.text);
    assert!(ana.is_inside());
    for seed in [&stolen, &again] {
        assert_eq!(thief.code(&bench, &code(seed, 1)).await.status, 422);
    }
    assert!(!thief.is_inside());
}

/// The code as the page's own form sends it, without loading the page again.
fn form(browser: &Browser, code: &str) -> String {
    let csrf = browser.cookie(crate::api::secrets::LOGIN_COOKIE).unwrap();
    serde_urlencoded::to_string([("code", code), ("csrf", csrf)]).unwrap()
}

#[tokio::test]
async fn a_session_alone_sets_no_second_factor_up() {
    let bench = Bench::open().await;
    user(&bench, ANA, "agent").await;
    let mut thief = Browser::default();
    thief.log_in(&bench, ANA).await;
    let csrf = thief.csrf(&bench).await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let body = serde_urlencoded::to_string([("code", "000000"), ("csrf", &csrf)]).unwrap();
        let answer = thief.send(&bench, "POST", "/account/second-factor/confirm", FORM, body).await;
        assert_eq!(seed_on(&answer.text), None, "{}", answer.text);
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [409, 409, 409, 409, 409, 429, 429]);
    let me = bench.store().user_by_email(ANA).await.unwrap().unwrap();
    assert_eq!(bench.store().second_factor(bench.mine.id, &me.id).await.unwrap(), None);
}

#[tokio::test]
async fn who_has_no_password_logs_in_again_before_they_set_one_up() {
    let bench = Bench::open().await;
    let id = user(&bench, ANA, "agent").await;
    let mut ana = Browser::default();
    ana.log_in(&bench, ANA).await;
    run_sql(&bench, &format!("UPDATE app_user SET password_hash = NULL WHERE id = '{id}'")).await;
    assert_eq!(ana.api(&bench, "POST", FACTOR, json!({})).await.status, 200, "a moment ago they logged in");
    run_sql(
        &bench,
        &format!("UPDATE session SET created_at = '2026-01-01 00:00:00+00:00' WHERE user_id = '{id}'"),
    )
    .await;
    let refused = ana.api(&bench, "POST", FACTOR, json!({})).await;
    assert!(refused.status == 409 && refused.text.contains("log out and in first"), "{}", refused.text);
    let csrf = ana.csrf(&bench).await.unwrap();
    let page = ana.send(&bench, "POST", "/account/second-factor", FORM, format!("csrf={csrf}")).await;
    assert!(page.status == 409 && seed_on(&page.text).is_none(), "{}", page.text);
}

#[tokio::test]
async fn whom_strangers_lock_out_logs_in_where_they_were_before() {
    let bench = Bench::open().await;
    let id = user(&bench, ANA, "agent").await;
    let mut ana = Browser::default();
    ana.log_in(&bench, ANA).await;
    let first = ana.cookie(BROWSER_COOKIE).unwrap().to_owned();
    let mut stranger = Browser::default();
    for _ in 0..5 {
        assert_eq!(stranger.try_password(&bench, ANA, "wrong wrong wrong").await.status, 401);
    }
    assert_eq!(Browser::default().try_password(&bench, ANA, PASSWORD).await.status, 429);
    // Who is inside goes on, and changes what strangers guess at.
    let passwords = json!({"current": PASSWORD, "new": "another of several words"});
    let changed = ana.api(&bench, "POST", "/api/v1/me/password", passwords).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    for _ in 0..5 {
        assert_eq!(stranger.try_password(&bench, ANA, "wrong wrong wrong").await.status, 401);
    }
    let logged_in = ana.try_password(&bench, ANA, "another of several words").await;
    assert_eq!(logged_in.status, 303, "{}", logged_in.text);
    let now = ana.cookie(BROWSER_COOKIE).unwrap();
    assert!(now != first && ana.is_inside());
    assert_eq!(stranger.try_password(&bench, ANA, "another of several words").await.status, 429);
    // A link lets in from the browser it was opened in.
    let act = Act::new(bench.mine.id, "test");
    bench.store().issue_link(&act, Authority::Operator, (&id, "a-token-of-a-link")).await.unwrap();
    let mut phone = Browser::default();
    phone.get(&bench, "/set-password?token=a-token-of-a-link").await;
    let csrf = phone.cookie(crate::api::secrets::LOGIN_COOKIE).unwrap().to_owned();
    let fields =
        [("token", "a-token-of-a-link"), ("password", PASSWORD), ("again", PASSWORD), ("csrf", &csrf)];
    let set =
        phone.send(&bench, "POST", "/set-password", FORM, serde_urlencoded::to_string(fields).unwrap()).await;
    assert_eq!(set.status, 200, "{}", set.text);
    for _ in 0..5 {
        assert_eq!(stranger.try_password(&bench, ANA, "wrong wrong wrong").await.status, 401);
    }
    assert_eq!(phone.log_in(&bench, ANA).await, "/?days=7");
}

#[tokio::test]
async fn a_log_in_in_the_same_browser_ends_the_session_before() {
    let bench = Bench::open().await;
    user(&bench, ANA, "agent").await;
    let (mut desk, mut phone) = (Browser::default(), Browser::default());
    phone.log_in(&bench, ANA).await;
    desk.log_in(&bench, ANA).await;
    let copied = desk.cookie(SESSION_COOKIE).unwrap().to_owned();
    let with_copy =
        || Request::get("/api/v1/me").header(header::COOKIE, format!("{SESSION_COOKIE}={copied}"));
    let status = async || bench.send(with_copy().body(Body::empty()).unwrap()).await.status;
    assert_eq!(status().await, 200);
    assert_eq!(desk.try_password(&bench, ANA, "wrong wrong wrong").await.status, 401);
    assert_eq!(status().await, 200, "who can not log in ends nothing");
    desk.log_in(&bench, ANA).await;
    assert_eq!(status().await, 401);
    assert_eq!(phone.get(&bench, "/").await.status, 200, "other browsers go on");
}

#[tokio::test]
async fn the_audit_log_has_who_is_locked_out_refused_and_leaves() {
    let bench = Bench::open().await;
    let id = user(&bench, ANA, "agent").await;
    let mut stranger = Browser::default();
    for attempt in 0..12 {
        let status = stranger.try_password(&bench, ANA, "wrong wrong wrong").await.status;
        assert_eq!(status, if attempt < 5 { 401 } else { 429 });
    }
    assert_eq!(noted(&bench, "login_refused", &id, 5).await.len(), 5);
    let locked = noted(&bench, "login_locked", &id, 1).await;
    assert_eq!((locked.len(), &locked[0]["payload"]["counted_by"]), (1, &json!("address")));

    bench.store().forgive_logins(ANA).await.unwrap();
    let mut ana = Browser::default();
    ana.log_in(&bench, ANA).await;
    let csrf = ana.csrf(&bench).await.unwrap();
    assert_eq!(ana.send(&bench, "POST", "/logout", FORM, format!("csrf={csrf}")).await.status, 303);
    assert_eq!(noted(&bench, "logged_out", &id, 1).await[0]["actor"], json!(format!("user:{id}")));
    ana.log_in(&bench, ANA).await;
    assert_eq!(ana.api(&bench, "POST", "/api/v1/me/log-out", json!({"everywhere": false})).await.status, 200);
    assert_eq!(noted(&bench, "logged_out", &id, 2).await.len(), 2);

    // Of who may not log in any more the log has both the right and the wrong password.
    let act = Act::new(bench.mine.id, "test");
    let off = Change { active: Some(false), ..Change::default() };
    bench.store().change_user(&act, Authority::Operator, (&id, None), &off).await.unwrap();
    for password in [PASSWORD, "wrong wrong wrong"] {
        assert_eq!(stranger.try_password(&bench, ANA, password).await.status, 401);
    }
    let refused = noted(&bench, "login_refused", &id, 7).await;
    assert_eq!(refused[0]["payload"], json!({"with": "password"}));
}
