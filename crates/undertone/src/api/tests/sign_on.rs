//! Single sign-on against a provider on this machine, with real signatures and everything that can be wrong with them.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use undertone_scoring::llm::ask::{Call, Method, Outside};
use undertone_store::Act;
use undertone_store::users::{Authority, Change};
use undertone_testkit::issuer::{Fault, Issuer};

use super::{Answer, Bench, JSON};
use crate::api::secrets::{SESSION_COOKIE, SIGN_ON_COOKIE, STEP_COOKIE};
use crate::llm::Web;

const SECRET: &str = "marker-of-a-client-secret";

fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let begins = format!("{name}=");
    let told = answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let value = told.filter_map(|cookie| cookie.strip_prefix(&begins)).next_back()?;
    Some(value.split(';').next()?.to_owned()).filter(|value| !value.is_empty())
}

struct Door {
    bench: Bench,
    issuer: Issuer,
    web: Web,
}

impl Door {
    async fn open() -> Self {
        let bench = Bench::open().await;
        let redirect = format!("{}/login/sign-on/callback", bench.app.config.address().trim_end_matches('/'));
        let issuer = Issuer::start("undertone", SECRET, &redirect).unwrap();
        Self { bench, issuer, web: Web::new().unwrap() }
    }

    fn draft(&self) -> Value {
        json!({
            "issuer": self.issuer.url(),
            "client_id": "undertone",
            "client_secret": SECRET,
            "label": "Acme ID",
            "allowed_domains": ["example.com"],
        })
    }

    /// Sets the provider as somebody in this role.
    async fn set(&self, role: &str, draft: &Value) -> Answer {
        let (cookie, csrf) = self.bench.session(role).await;
        let request = Request::put("/api/v1/single-sign-on")
            .header(header::COOKIE, cookie)
            .header("x-csrf-token", csrf)
            .header(header::CONTENT_TYPE, JSON)
            .body(Body::from(draft.to_string()));
        self.bench.send(request.unwrap()).await
    }

    /// Leaves for the provider; answers what the browser keeps and where it is sent.
    async fn leave(&self) -> (String, String) {
        let path = "/login/sign-on?tenant=mine&next=/%3Fdays%3D7";
        let answer = self.bench.call("GET", path, "", None).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        (cookie(&answer, SIGN_ON_COOKIE).unwrap(), answer.header("location").to_owned())
    }

    /// Logs in at the provider; answers where it sends the browser back to, on this service.
    async fn at_provider(&self, url: String) -> String {
        let call = Call { method: Method::Get, url, headers: Vec::new(), body: Vec::new() };
        let answer = self.web.send(call).await.unwrap();
        assert_eq!(answer.status, 302, "{}", String::from_utf8_lossy(&answer.body));
        let location = answer.headers.iter().find(|(name, _)| name == "location").unwrap().1.clone();
        location.split_once("/login").map(|(_, rest)| format!("/login{rest}")).unwrap()
    }

    async fn come_back(&self, path: &str, kept: &str) -> Answer {
        let request =
            Request::get(path).header(header::COOKIE, format!("{SIGN_ON_COOKIE}={kept}")).body(Body::empty());
        self.bench.send(request.unwrap()).await
    }

    async fn sign_on(&self) -> Answer {
        let (kept, url) = self.leave().await;
        self.come_back(&self.at_provider(url).await, &kept).await
    }

    /// Signs on and is inside; answers the person's id.
    async fn inside(&self) -> String {
        let answer = self.sign_on().await;
        assert_eq!((answer.status, answer.header("location")), (303, "/?days=7"), "{}", answer.text);
        let session = cookie(&answer, SESSION_COOKIE).unwrap();
        self.bench.store().session(&session).await.unwrap().unwrap().user_id
    }

    /// Signs on and is told why not.
    async fn refused(&self, why: &str) {
        let answer = self.sign_on().await;
        assert_eq!((answer.status, cookie(&answer, SESSION_COOKIE)), (401, None), "{why}");
        assert!(answer.text.contains(why), "{why}: {}", answer.text);
        assert!(!answer.text.contains(SECRET));
    }
}

#[tokio::test]
async fn people_sign_on_at_the_tenants_provider() {
    let door = Door::open().await;
    let store = door.bench.store();
    let set = door.set("tenant_admin", &door.draft()).await;
    assert_eq!(set.status, 200, "{}", set.text);
    assert!(!set.text.contains(SECRET) && set.json()["vouched_by"] == "tenant_admin", "{}", set.text);
    let page = door.bench.call("GET", "/login?tenant=mine", "", None).await.text;
    assert!(page.contains("Acme ID") && page.contains("/login/sign-on?tenant=mine"), "{page}");
    assert!(
        !door.bench.call("GET", "/login", "", None).await.text.contains("Acme ID"),
        "there are two tenants"
    );
    let (_, url) = door.leave().await;
    assert!(url.contains("code_challenge_method=S256") && url.contains("nonce=") && url.contains("state="));

    door.refused("no account for you here yet").await;
    let act = Act::new(door.bench.mine.id, "test");
    let ana = store.save_user(&act, "ana@example.com", "agent", "no hash").await.unwrap();
    assert_eq!(door.inside().await, ana, "by their address, once");
    // The subject stays who they are, whatever becomes of the address.
    door.issuer.log_in("subject-1", "ana.new@example.com");
    assert_eq!(door.inside().await, ana);
    door.issuer.log_in("subject-2", "ana@example.com");
    door.refused("knows as another person").await;
    assert!(store.unlink_sign_on(&act, Authority::Operator, &ana).await.unwrap());
    assert_eq!(door.inside().await, ana);

    // The provider changes its keys between two log-ins.
    door.issuer.rotate();
    assert_eq!(door.inside().await, ana);
    let asked = door.issuer.seen().iter().filter(|path| *path == "/jwks").count();
    assert_eq!(asked, 3, "when it was set, for the first log-in, and for the new key");

    door.issuer.log_in("subject-3", "ben@elsewhere.example");
    door.refused("Addresses of this domain").await;
    let theirs = Act::new(door.bench.theirs.id, "test");
    store.save_user(&theirs, "theirs@example.com", "admin", "no hash").await.unwrap();
    door.issuer.log_in("subject-4", "theirs@example.com");
    door.refused("no account for you here yet").await;
    // Somebody who may not appoint admins does not choose who is one.
    store.save_user(&act, "boss@example.com", "admin", "no hash").await.unwrap();
    door.issuer.log_in("subject-5", "boss@example.com");
    door.refused("somebody with fewer rights set it up").await;
    let off = Change { active: Some(false), ..Change::default() };
    store.change_user(&act, Authority::Operator, (&ana, None), &off).await.unwrap();
    door.issuer.log_in("subject-2", "ana@example.com");
    door.refused("deactivated").await;

    // New people, where somebody says what they become.
    door.issuer.log_in("subject-6", "New@Example.com");
    let with_role = |version: i64, role: &str| {
        let mut draft = door.draft();
        draft["version"] = json!(version);
        draft["default_role"] = json!(role);
        draft
    };
    assert_eq!(door.set("tenant_admin", &with_role(7, "agent")).await.status, 409, "of another version");
    assert_eq!(door.set("tenant_admin", &with_role(1, "admin")).await.status, 422);
    assert_eq!(door.set("tenant_admin", &with_role(1, "agent")).await.status, 200);
    let new = door.inside().await;
    let made = store.user(door.bench.mine.id, &new).await.unwrap().unwrap();
    assert_eq!(
        (made.email.as_str(), made.role.as_str(), made.password_hash),
        ("new@example.com", "agent", None)
    );
    assert_eq!(door.inside().await, new);
}

#[tokio::test]
async fn what_can_not_be_believed_is_not() {
    let door = Door::open().await;
    let act = Act::new(door.bench.mine.id, "test");
    for email in ["ana@example.com", "admin@example.com"] {
        door.bench.store().save_user(&act, email, "agent", "no hash").await.unwrap();
    }
    for fault in [Fault::ForeignDiscovery, Fault::PlainTokenEndpoint] {
        door.issuer.fail(Some(fault));
        let refused = door.set("tenant_admin", &door.draft()).await;
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (422, &json!("issuer")),
            "{fault:?}"
        );
    }
    door.issuer.fail(None);
    assert_eq!(door.set("tenant_admin", &door.draft()).await.status, 200);
    for (fault, why) in [
        (Fault::WrongNonce, "of another log-in"),
        (Fault::NoNonce, "of another log-in"),
        (Fault::WrongAudience, "for another client"),
        (Fault::TwoAudiences, "for another client"),
        (Fault::Expired, "of another time"),
        (Fault::NoneAlgorithm, "can not be believed"),
        (Fault::PublicKeyAsSecret, "signature does not fit"),
        (Fault::UnknownKey, "signature does not fit"),
        (Fault::ChangedAfterwards, "signature does not fit"),
        (Fault::ForeignIssuer, "another provider"),
        (Fault::UnverifiedEmail, "no verified e-mail address"),
        (Fault::UnsaidEmail, "no verified e-mail address"),
        (Fault::UserInfoOfAnother, "speaks of somebody else"),
        (Fault::Broken, "can not be asked"),
    ] {
        door.issuer.fail(Some(fault));
        door.refused(why).await;
    }
    door.issuer.fail(Some(Fault::EmailElsewhere));
    door.inside().await;
    door.issuer.fail(None);

    // Another browser, another log-in's state, an old one, a code that was used, a word from the provider.
    let (kept, url) = door.leave().await;
    let back = door.at_provider(url).await;
    let (other, _) = door.leave().await;
    for (path, kept) in
        [(back.as_str(), ""), (back.as_str(), other.as_str()), ("/login/sign-on/callback", &kept)]
    {
        let answer = door.come_back(path, kept).await;
        assert_eq!((answer.status, cookie(&answer, SESSION_COOKIE)), (401, None), "{path}");
        assert!(answer.text.contains("begin again"), "{}", answer.text);
    }
    let elsewhere = back.replace("&iss=", "&iss=https%3A%2F%2Felsewhere.example&was=");
    assert!(door.come_back(&elsewhere, &kept).await.text.contains("another provider sent"));
    assert_eq!(door.come_back(&back, &kept).await.status, 303);
    let replayed = door.come_back(&back, &kept).await;
    assert!(replayed.status == 401 && replayed.text.contains("invalid_grant"), "{}", replayed.text);
    let denied = door.come_back("/login/sign-on/callback?error=access_denied%3Cscript%3E", &kept).await;
    assert!(denied.status == 401 && denied.text.contains("access_deniedscript"), "{}", denied.text);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_unless_the_provider_is_trusted_with_it() {
    let door = Door::open().await;
    let act = Act::new(door.bench.mine.id, "test");
    door.bench.store().save_user(&act, "ana@example.com", "agent", "no hash").await.unwrap();
    door.bench.store().change_settings(&act, &json!({"second_factor_roles": ["agent"]})).await.unwrap();
    assert_eq!(door.set("tenant_admin", &door.draft()).await.status, 200);
    let asked = door.sign_on().await;
    assert_eq!((asked.status, asked.header("location")), (303, "/login/second-factor"));
    assert!(cookie(&asked, SESSION_COOKIE).is_none() && cookie(&asked, STEP_COOKIE).is_some());
    // The secret stays where issuer and client do.
    let mut draft = door.draft();
    draft["version"] = json!(1);
    draft["trusts_second_factor"] = json!(true);
    draft.as_object_mut().unwrap().shift_remove("client_secret");
    assert_eq!(door.set("tenant_admin", &draft).await.status, 200);
    door.inside().await;
    draft["version"] = json!(2);
    draft["client_id"] = json!("another");
    assert_eq!(door.set("tenant_admin", &draft).await.status, 422);
    // A lesser role sets nothing.
    assert_eq!(door.set("supervisor", &door.draft()).await.status, 403);
}

#[tokio::test]
async fn what_an_admin_set_is_changed_by_an_admin() {
    let door = Door::open().await;
    let act = Act::new(door.bench.mine.id, "test");
    let boss = door.bench.store().save_user(&act, "boss@example.com", "admin", "no hash").await.unwrap();
    assert_eq!(door.set("admin", &door.draft()).await.json()["vouched_by"], "admin");
    door.issuer.log_in("subject-1", "boss@example.com");
    assert_eq!(door.inside().await, boss);
    let mut draft = door.draft();
    draft["version"] = json!(1);
    draft["label"] = json!("Another name");
    let refused = door.set("tenant_admin", &draft).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let lesser = door.bench.person("tenant_admin").await;
    let path = "/api/v1/single-sign-on";
    assert_eq!(door.bench.by(&lesser, "DELETE", path, None).await.status, 403);
    assert_eq!(door.inside().await, boss, "it lets admins in as before");
    let admin = door.bench.person("admin").await;
    assert_eq!(door.bench.by(&admin, "DELETE", path, None).await.status, 200);
}
