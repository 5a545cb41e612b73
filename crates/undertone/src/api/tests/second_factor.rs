//! The second factor, as people meet it: setting it up, logging in with it, losing it, and being told to have one.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use undertone_core::Clock;
use undertone_store::Act;

use super::{Answer, Bench, FORM, JSON};
use crate::api::secrets::{self, LOGIN_COOKIE, SESSION_COOKIE, STEP_COOKIE};
use crate::clock::MachineClock;

pub(super) const PASSWORD: &str = "correct horse battery";

/// A browser: the cookies it has.
#[derive(Default)]
pub(super) struct Browser(Vec<(String, String)>);

impl Browser {
    pub(super) async fn send(
        &mut self,
        bench: &Bench,
        method: &str,
        path: &str,
        kind: &str,
        body: String,
    ) -> Answer {
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
        if let Some(csrf) = self.csrf(bench).await {
            request = request.header("x-csrf-token", csrf);
        }
        let request = request.header(header::COOKIE, cookies.join("; ")).body(Body::from(body)).unwrap();
        let answer = bench.send(request).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) async fn csrf(&self, bench: &Bench) -> Option<String> {
        let session = bench.store().session(self.cookie(SESSION_COOKIE)?).await.unwrap()?;
        Some(session.csrf_token)
    }

    pub(super) async fn get(&mut self, bench: &Bench, path: &str) -> Answer {
        self.send(bench, "GET", path, FORM, String::new()).await
    }

    pub(super) async fn api(&mut self, bench: &Bench, method: &str, path: &str, body: Value) -> Answer {
        self.send(bench, method, path, JSON, body.to_string()).await
    }

    /// Types address and password; answers where that leads.
    pub(super) async fn log_in(&mut self, bench: &Bench, email: &str) -> String {
        let answer = self.try_password(bench, email, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.header("location").to_owned()
    }

    pub(super) async fn try_password(&mut self, bench: &Bench, email: &str, password: &str) -> Answer {
        self.get(bench, "/login").await;
        let csrf = self.cookie(LOGIN_COOKIE).unwrap().to_owned();
        let form = serde_urlencoded::to_string([
            ("email", email),
            ("password", password),
            ("csrf", &csrf),
            ("next", "/?days=7"),
        ]);
        self.send(bench, "POST", "/login", FORM, form.unwrap()).await
    }

    /// Types a code at the log-in.
    pub(super) async fn code(&mut self, bench: &Bench, code: &str) -> Answer {
        self.get(bench, "/login/second-factor").await;
        let csrf = self.cookie(LOGIN_COOKIE).unwrap().to_owned();
        let form = serde_urlencoded::to_string([("code", code), ("csrf", &csrf)]).unwrap();
        self.send(bench, "POST", "/login/second-factor", FORM, form).await
    }

    pub(super) fn is_inside(&self) -> bool {
        self.cookie(SESSION_COOKIE).is_some()
    }
}

/// The code that an app with this seed shows, so many steps from now.
pub(super) fn code(seed: &str, steps: i64) -> String {
    let totp = totp_rs::Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_secret(totp_rs::Secret::try_from_base32(seed).unwrap())
        .with_account_name("test".to_owned())
        .build()
        .unwrap();
    let now = MachineClock.now().timestamp() + 30 * steps;
    totp.generate(u64::try_from(now).unwrap()).to_string()
}

pub(super) async fn user(bench: &Bench, email: &str, role: &str) -> String {
    let hash = secrets::hash_password(PASSWORD).unwrap();
    bench.store().save_user(&Act::new(bench.mine.id, "test"), email, role, &hash).await.unwrap()
}

#[tokio::test]
async fn a_code_is_asked_for_and_taken_once() {
    let bench = Bench::open().await;
    user(&bench, "ana@example.com", "tenant_admin").await;
    let (mut ana, mut elsewhere) = (Browser::default(), Browser::default());
    for browser in [&mut ana, &mut elsewhere] {
        assert_eq!(browser.log_in(&bench, "ana@example.com").await, "/?days=7");
        assert!(browser.is_inside());
    }
    let factor = "/api/v1/me/second-factor";
    let refused = ana.api(&bench, "POST", factor, json!({"password": "wrong"})).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("password")));
    let begun = ana.api(&bench, "POST", factor, json!({"password": PASSWORD})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    let seed = begun.json()["secret"].as_str().unwrap().to_owned();
    // Nobody is asked for what is not confirmed.
    let told = ana.api(&bench, "GET", factor, json!({})).await.json();
    assert_eq!(told, json!({"active": false, "since": null, "recovery_codes_left": null, "required": false}));
    let confirm = format!("{factor}/confirm");
    assert_eq!(ana.api(&bench, "POST", &confirm, json!({"code": "000000x"})).await.status, 422);
    let first = code(&seed, 0);
    let confirmed = ana.api(&bench, "POST", &confirm, json!({"code": first})).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let codes: Vec<String> = serde_json::from_value(confirmed.json()["recovery_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    assert_eq!(ana.api(&bench, "POST", &confirm, json!({"code": code(&seed, 1)})).await.status, 409);
    assert_eq!(ana.get(&bench, "/account/second-factor").await.status, 200, "this session goes on");
    assert_eq!(elsewhere.get(&bench, "/").await.status, 303, "the others end");

    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&bench, "ana@example.com").await, "/login/second-factor");
    assert!(!browser.is_inside() && browser.cookie(STEP_COOKIE).is_some());
    assert_eq!(browser.get(&bench, "/").await.status, 303, "a password alone opens nothing");
    let asked = browser.get(&bench, "/login/second-factor").await;
    assert!(asked.status == 200 && !asked.text.contains(&seed), "{}", asked.text);
    assert_eq!(browser.code(&bench, "123").await.status, 422);
    assert_eq!(browser.code(&bench, &first).await.status, 422, "it was used to confirm");
    let step = browser.cookie(STEP_COOKIE).unwrap().to_owned();
    let next = code(&seed, 1);
    let inside = browser.code(&bench, &next).await;
    assert_eq!((inside.status, inside.header("location")), (303, "/?days=7"), "{}", inside.text);
    assert!(browser.is_inside() && browser.cookie(STEP_COOKIE).is_none());
    assert_eq!(browser.get(&bench, "/").await.status, 200);
    assert_eq!(bench.store().login_step(&step).await.unwrap(), None, "the step is over");

    let mut again = Browser::default();
    again.log_in(&bench, "ana@example.com").await;
    assert_eq!(again.code(&bench, &next).await.status, 422, "a code that was seen is worth nothing");
    let recovered = again.code(&bench, &format!(" {} ", codes[3].to_uppercase())).await;
    assert_eq!(recovered.status, 303, "{}", recovered.text);
    assert_eq!(again.api(&bench, "GET", factor, json!({})).await.json()["recovery_codes_left"], 9);
    let mut last = Browser::default();
    last.log_in(&bench, "ana@example.com").await;
    assert_eq!(last.code(&bench, &codes[3]).await.status, 422, "nor is a recovery code");
    let renewed =
        again.api(&bench, "POST", &format!("{factor}/recovery-codes"), json!({"code": codes[0]})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    assert_eq!(last.code(&bench, &codes[1]).await.status, 422, "the old ones stop working");
    let new = renewed.json()["recovery_codes"][0].as_str().unwrap().to_owned();
    let removed = again.api(&bench, "POST", &format!("{factor}/remove"), json!({"code": new})).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
    assert_eq!(Browser::default().log_in(&bench, "ana@example.com").await, "/?days=7");
}

#[tokio::test]
async fn guessing_codes_is_held_up_with_guessing_passwords() {
    let bench = Bench::open().await;
    user(&bench, "ana@example.com", "agent").await;
    let mut ana = Browser::default();
    ana.log_in(&bench, "ana@example.com").await;
    let begun = ana.api(&bench, "POST", "/api/v1/me/second-factor", json!({"password": PASSWORD})).await;
    let seed = begun.json()["secret"].as_str().unwrap().to_owned();
    let confirm = json!({"code": code(&seed, 0)});
    assert_eq!(ana.api(&bench, "POST", "/api/v1/me/second-factor/confirm", confirm).await.status, 200);
    let mut thief = Browser::default();
    thief.log_in(&bench, "ana@example.com").await;
    for _ in 0..4 {
        assert_eq!(thief.code(&bench, "000000").await.status, 422);
    }
    let locked = thief.code(&bench, &code(&seed, 1)).await;
    assert_eq!(locked.status, 429, "the right one too: {}", locked.text);
    assert!(!thief.is_inside());
}

#[tokio::test]
async fn a_role_can_be_told_to_have_one() {
    let bench = Bench::open().await;
    let agent = user(&bench, "agent@example.com", "agent").await;
    user(&bench, "admin@example.com", "tenant_admin").await;
    let (mut ana, mut admin) = (Browser::default(), Browser::default());
    ana.log_in(&bench, "agent@example.com").await;
    admin.log_in(&bench, "admin@example.com").await;
    let changed =
        admin.api(&bench, "PUT", "/api/v1/settings", json!({"second_factor_roles": ["agent"]})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    // At once, and for nobody else.
    assert_eq!(ana.api(&bench, "GET", "/api/v1/overview", json!({})).await.status, 401);
    assert_eq!(ana.get(&bench, "/").await.status, 303);
    assert_eq!(admin.get(&bench, "/").await.status, 200);
    // Defaults do not undo it.
    assert_eq!(admin.api(&bench, "DELETE", "/api/v1/settings", json!({})).await.status, 200);

    let mut ana = Browser::default();
    assert_eq!(ana.log_in(&bench, "agent@example.com").await, "/login/second-factor");
    let page = ana.get(&bench, "/login/second-factor").await;
    assert!(page.text.contains("<svg") && page.text.contains("Your role logs in with"), "{}", page.text);
    let seed = page.text.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let reloaded = ana.get(&bench, "/login/second-factor").await;
    assert!(reloaded.text.contains(&seed), "who loads the page again finds what the app has");
    assert_eq!(ana.code(&bench, "12").await.status, 422);
    let inside = ana.code(&bench, &code(&seed, 0)).await;
    assert_eq!(inside.status, 200, "{}", inside.text);
    assert_eq!(inside.text.matches("<li><code>").count(), 10);
    assert!(ana.is_inside());
    assert_eq!(ana.get(&bench, "/").await.status, 200);
    let kept =
        ana.api(&bench, "POST", "/api/v1/me/second-factor/remove", json!({"code": code(&seed, 1)})).await;
    assert_eq!(kept.status, 409, "{}", kept.text);

    // Lost: an administrator removes it, and their sessions end.
    let path = format!("/api/v1/users/{agent}/second-factor");
    assert_eq!(ana.api(&bench, "DELETE", &path, json!({})).await.status, 403);
    assert_eq!(admin.api(&bench, "DELETE", &path, json!({})).await.status, 200);
    assert_eq!(admin.api(&bench, "DELETE", &path, json!({})).await.status, 404);
    assert_eq!(ana.get(&bench, "/").await.status, 303);
    let page = {
        ana.log_in(&bench, "agent@example.com").await;
        ana.get(&bench, "/login/second-factor").await
    };
    assert!(page.text.contains("<svg") && !page.text.contains(&seed), "a new seed");
}
