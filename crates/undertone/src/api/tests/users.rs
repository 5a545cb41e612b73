//! People and keys, from the invitation to the last log-out.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use undertone_store::Act;

use super::document::assert_documented;
use super::{Answer, Bench, FORM, JSON};
use crate::api::openapi::DOCUMENT;
use crate::api::secrets::{self, LOGIN_COOKIE, SESSION_COOKIE};

const PASSWORD: &str = "several words in a row";

/// Somebody's browser, logged in.
struct Browser<'a> {
    bench: &'a Bench,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    async fn of(bench: &'a Bench, role: &str) -> Self {
        let (cookie, csrf) = bench.session(role).await;
        Self { bench, cookie, csrf }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, &self.cookie)
            .header("x-csrf-token", &self.csrf)
            .header(header::CONTENT_TYPE, JSON);
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.bench.send(request.body(body).unwrap()).await
    }

    /// Sends a form of ours.
    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut fields = fields.to_vec();
        fields.push(("csrf", &self.csrf));
        post_form(self.bench, path, &self.cookie, &fields).await
    }

    /// The same browser with the session that an answer gave it.
    async fn with_cookie_of(&self, answer: &Answer) -> Browser<'a> {
        let cookie = cookie_of(answer, SESSION_COOKIE);
        let page = get(self.bench, "/account", &cookie).await;
        let csrf = field(&page.text, "csrf");
        Browser { bench: self.bench, cookie, csrf }
    }

    async fn is_in(&self) -> bool {
        self.call("GET", "/api/v1/me", None).await.status == 200
    }
}

async fn get(bench: &Bench, path: &str, cookie: &str) -> Answer {
    bench.send(Request::get(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap()).await
}

async fn post_form(bench: &Bench, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let request = Request::post(path).header(header::COOKIE, cookie).header(header::CONTENT_TYPE, FORM);
    bench.send(request.body(Body::from(serde_urlencoded::to_string(fields).unwrap())).unwrap()).await
}

fn cookie_of(answer: &Answer, name: &str) -> String {
    let cookies = answer.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let found: Vec<&str> = cookies.filter(|cookie| cookie.starts_with(name)).collect();
    assert_eq!(found.len(), 1, "one cookie {name}: {found:?}");
    assert!(found[0].contains("; HttpOnly; SameSite=Lax"), "{}", found[0]);
    found[0].split(';').next().unwrap().to_owned()
}

fn field(html: &str, name: &str) -> String {
    let begin = format!("name=\"{name}\" value=\"");
    html.split(&begin)
        .nth(1)
        .unwrap_or_else(|| panic!("{name} in {html}"))
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}

/// The way of a link: its address without the host.
fn way(told: &Value) -> String {
    let address = told["link"]["address"].as_str().unwrap();
    address[address.find("/set-password").unwrap()..].to_owned()
}

/// Opens a link and sets a password with it.
async fn set_password(bench: &Bench, way: &str, password: &str, again: &str) -> Answer {
    let page = get(bench, way, "").await;
    if page.status != 200 {
        return page;
    }
    let cookie = cookie_of(&page, LOGIN_COOKIE);
    let (token, csrf) = (field(&page.text, "token"), field(&page.text, "csrf"));
    let fields = [("token", &*token), ("password", password), ("again", again), ("csrf", &csrf)];
    post_form(bench, "/set-password", &cookie, &fields).await
}

async fn log_in(bench: &Bench, email: &str, password: &str) -> Answer {
    let page = get(bench, "/login", "").await;
    let cookie = cookie_of(&page, LOGIN_COOKIE);
    let csrf = field(&page.text, "csrf");
    let fields = [("email", email), ("password", password), ("next", "/"), ("csrf", &*csrf)];
    post_form(bench, "/login", &cookie, &fields).await
}

#[tokio::test]
async fn from_the_invitation_to_the_last_log_out() {
    let bench = Bench::open().await;
    let admin = Browser::of(&bench, "tenant_admin").await;
    bench.call("PUT", "/api/v1/teams/north", "ut_mine", Some(&json!({}))).await;
    bench.call("PUT", "/api/v1/agents/agent-7", "ut_mine", Some(&json!({"name": "Bo"}))).await;
    let bo = json!({"email": "Bo@example.com", "name": "Bo", "role": "agent", "teams": ["north"], "agent": "agent-7"});
    let invited = admin.call("POST", "/api/v1/users", Some(bo)).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let told = invited.json();
    assert_eq!(
        (&told["state"], &told["teams"], &told["agent"]),
        (&json!("invited"), &json!(["north"]), &json!("agent-7"))
    );
    let shown = admin.call("GET", invited.header("location"), None).await.json();
    assert_eq!(shown["link"].get("address"), None, "a link is told once");

    let way = way(&told);
    let page = get(&bench, &way, "").await;
    assert!(page.text.contains("bo@example.com") && page.text.contains("You are invited"), "{}", page.text);
    assert_eq!(page.header("referrer-policy"), "same-origin");
    let forged = [("token", "x"), ("password", PASSWORD), ("again", PASSWORD), ("csrf", "x")];
    assert_eq!(post_form(&bench, "/set-password", "", &forged).await.status, 403);
    for (password, again, why) in [
        ("short", "short", "12 characters or more"),
        ("qwerty123456", "qwerty123456", "among the first that are guessed"),
        ("bo@example.com", "bo@example.com", "little more than your e-mail address"),
        (PASSWORD, "several words in a raw", "The two passwords differ"),
    ] {
        let refused = set_password(&bench, &way, password, again).await;
        assert!(refused.status == 422 && refused.text.contains(why), "{password}: {}", refused.text);
    }
    assert_eq!(log_in(&bench, "bo@example.com", PASSWORD).await.status, 401);
    let set = set_password(&bench, &way, PASSWORD, PASSWORD).await;
    assert!(set.status == 200 && set.text.contains("Your password is set"), "{}", set.text);
    let again = set_password(&bench, &way, PASSWORD, PASSWORD).await;
    assert!(again.status == 410 && again.text.contains("does not work any more"), "{}", again.text);

    let phone = admin.with_cookie_of(&log_in(&bench, "BO@example.com", PASSWORD).await).await;
    let desk = admin.with_cookie_of(&log_in(&bench, "bo@example.com", PASSWORD).await).await;
    let me = desk.call("GET", "/api/v1/me", None).await.json();
    assert_eq!((&me["user"]["role"], &me["user"]["state"]), (&json!("agent"), &json!("active")));
    let account = get(&bench, "/account", &desk.cookie).await.text;
    assert!(account.contains("Browsers you are logged in with: 2"), "{account}");
    let wrong = [
        ("current", "not this one"),
        ("password", "another row of words"),
        ("again", "another row of words"),
    ];
    let wrong = desk.form("/account/password", &wrong).await;
    assert!(wrong.status == 422 && wrong.text.contains("this is not your password"), "{}", wrong.text);
    let right =
        [("current", PASSWORD), ("password", "another row of words"), ("again", "another row of words")];
    let changed = desk.form("/account/password", &right).await;
    assert_eq!((changed.status, changed.header("location")), (303, "/account?changed"), "{}", changed.text);
    assert!(!phone.is_in().await && !desk.is_in().await, "the tokens before are worth nothing");
    let desk = desk.with_cookie_of(&changed).await;
    assert!(get(&bench, "/account?changed", &desk.cookie).await.text.contains("Your password is changed"));
    assert_eq!(log_in(&bench, "bo@example.com", PASSWORD).await.status, 401);
    let phone = admin.with_cookie_of(&log_in(&bench, "bo@example.com", "another row of words").await).await;
    let out = phone.form("/account/log-out", &[]).await;
    assert_eq!((out.status, cookie_of(&out, SESSION_COOKIE)), (303, format!("{SESSION_COOKIE}=")));
    assert!(!phone.is_in().await && !desk.is_in().await);

    let id = told["id"].as_str().unwrap();
    let reset = admin.call("POST", &format!("/api/v1/users/{id}/link"), None).await.json();
    assert_eq!(reset["link"]["purpose"], "reset");
    assert_eq!(set_password(&bench, &self::way(&reset), PASSWORD, PASSWORD).await.status, 200);
    let desk = admin.with_cookie_of(&log_in(&bench, "bo@example.com", PASSWORD).await).await;
    let off = admin.call("POST", &format!("/api/v1/users/{id}/deactivate"), None).await;
    assert_eq!((off.status, &off.json()["state"]), (200, &json!("deactivated")));
    assert!(!desk.is_in().await);
    assert_eq!(log_in(&bench, "bo@example.com", PASSWORD).await.status, 401, "told like a wrong password");
    let no_link = admin.call("POST", &format!("/api/v1/users/{id}/link"), None).await;
    assert_eq!(no_link.status, 409);
}

#[tokio::test]
async fn nobody_changes_people_beyond_their_right() {
    let bench = Bench::open().await;
    let (root, admin) = (Browser::of(&bench, "admin").await, Browser::of(&bench, "tenant_admin").await);
    let supervisor = Browser::of(&bench, "supervisor").await;
    let id_of = async |role: &str| {
        let mine = bench.store().user_by_email(&format!("{role}@example.com")).await.unwrap();
        mine.unwrap().id
    };
    let (root_id, supervisor_id) = (id_of("admin").await, id_of("supervisor").await);
    let act = Act::new(bench.theirs.id, "test");
    let theirs =
        bench.store().save_user(&act, "canary-person@theirs.example", "agent", "no hash").await.unwrap();
    let whole = |path: &str, id: &str| format!("/api/v1/users/{id}{path}");
    let raise = || Some(json!({"version": 1, "role": "admin"}));
    for (method, path, body) in [
        ("PUT", "", raise()),
        ("POST", "/link", None),
        ("POST", "/deactivate", None),
        ("POST", "/activate", None),
        ("POST", "/log-out", None),
    ] {
        let above = admin.call(method, &whole(path, &root_id), body.clone()).await;
        assert_eq!(above.status, 403, "{method} {path}: {}", above.text);
        let foreign = root.call(method, &whole(path, &theirs), body.clone()).await;
        assert!(
            foreign.status == 404 && !foreign.text.contains("canary"),
            "{method} {path}: {}",
            foreign.text
        );
        let none = supervisor.call(method, &whole(path, &supervisor_id), body).await;
        assert_eq!(none.status, 403, "{method} {path}: {}", none.text);
    }
    assert_eq!(root.call("GET", &whole("", &theirs), None).await.status, 404);
    assert!(root.is_in().await, "nobody logged them out");
    let list = root.call("GET", "/api/v1/users?limit=2", None).await;
    assert!(!list.text.contains("canary"));
    let invited =
        admin.call("POST", "/api/v1/users", Some(json!({"email": "new@example.com", "role": "admin"}))).await;
    assert_eq!(invited.status, 403, "{}", invited.text);
    let taken = json!({"email": "canary-person@theirs.example", "role": "agent"});
    let taken = admin.call("POST", "/api/v1/users", Some(taken)).await;
    assert!(taken.status == 409 && !taken.text.contains("theirs\""), "{}", taken.text);

    let change = |version: i64, role: &str| Some(json!({"version": version, "role": role}));
    let first = admin.call("PUT", &whole("", &supervisor_id), change(1, "manager")).await;
    assert_eq!((first.status, &first.json()["version"]), (200, &json!(2)));
    let second = root.call("PUT", &whole("", &supervisor_id), change(1, "analyst")).await;
    assert!(second.status == 409 && second.text.contains("version 2"), "{}", second.text);
    assert_eq!(
        root.call("PUT", &whole("", &supervisor_id), Some(json!({"role": "agent"}))).await.status,
        422
    );
    let last = root.call("PUT", &whole("", &root_id), change(1, "analyst")).await;
    assert!(last.status == 409 && last.text.contains("the last admin"), "{}", last.text);

    // Another role, another token: the next answer brings it, and the one before works while it has not been seen.
    let next = supervisor.call("GET", "/api/v1/me", None).await;
    assert_eq!(next.json()["user"]["role"], "manager");
    let renewed = supervisor.with_cookie_of(&next).await;
    assert!(renewed.cookie != supervisor.cookie && renewed.csrf == supervisor.csrf);
    assert!(supervisor.is_in().await && renewed.is_in().await);
}

#[tokio::test]
async fn guessing_tells_nobody_who_has_an_account() {
    let bench = Bench::open().await;
    let hash = secrets::hash_password(PASSWORD).unwrap();
    let act = Act::new(bench.mine.id, "test");
    bench.store().save_user(&act, "known@example.com", "agent", &hash).await.unwrap();
    let without_address = |answer: &Answer, email: &str| {
        let text = answer.text.replace(email, "…").replace(&field(&answer.text, "csrf"), "…");
        (answer.status, text)
    };
    let (mut told, mut locked) = (Vec::new(), Vec::new());
    for email in ["known@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            told.push(without_address(&log_in(&bench, email, "wrong wrong wrong").await, email));
        }
        let answer = log_in(&bench, email, PASSWORD).await;
        assert!((1..=60).contains(&answer.header("retry-after").parse::<i64>().unwrap()), "{email}");
        let id = answer.header("x-request-id").to_owned();
        locked.push((answer.status, answer.text.replace(&id, "…")));
    }
    assert!(told.iter().all(|one| *one == told[0] && one.0 == 401), "{told:?}");
    assert!(locked[0] == locked[1] && locked[0].0 == 429, "{locked:?}");
}

#[tokio::test]
async fn nobody_gives_a_key_more_than_they_have() {
    let bench = Bench::open().await;
    let make = async |key: &str, body: Value| bench.call("POST", "/api/v1/keys", key, Some(&body)).await;
    let beyond = make("ut_mine_admin", json!({"name": "x", "scopes": ["read"]})).await;
    assert!(beyond.status == 403 && beyond.text.contains("scope read"), "{}", beyond.text);
    let far = "2100-01-01T00:00:00Z";
    let made = make("ut_mine", json!({"name": "crm", "scopes": ["admin", "admin"], "expires_at": far})).await;
    assert_eq!((made.status, &made.json()["scopes"]), (201, &json!(["admin"])), "{}", made.text);
    let (id, ending) =
        (made.json()["id"].as_str().unwrap().to_owned(), made.json()["key"].as_str().unwrap().to_owned());
    for later in [
        json!({"name": "x", "scopes": ["admin"]}),
        json!({"name": "x", "scopes": ["admin"], "expires_at": "2100-01-02T00:00:00Z"}),
    ] {
        let outlives = make(&ending, later).await;
        assert!(outlives.status == 403 && outlives.text.contains("this key ends at"), "{}", outlives.text);
    }
    for wrong in [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": ["root"]}),
        json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}),
    ] {
        assert_eq!(make("ut_mine", wrong.clone()).await.status, 422, "{wrong}");
    }
    let listed = bench.call("GET", "/api/v1/keys", "ut_mine", None).await;
    assert!(!listed.text.contains(&ending) && !listed.text.contains("ut_"), "{}", listed.text);
    let one = listed.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["id"] == json!(id))
        .cloned()
        .unwrap();
    assert!(one["state"] == "working" && one["last_used_at"].is_string(), "{one}");
    let stranger = bench.call("DELETE", &format!("/api/v1/keys/{id}"), "ut_theirs", None).await;
    assert_eq!(stranger.status, 404);
    assert_eq!(bench.call("DELETE", &format!("/api/v1/keys/{id}"), "ut_mine", None).await.status, 200);
    assert_eq!(bench.call("GET", "/api/v1/keys", &ending, None).await.status, 401, "it ends at once");

    let supervisor = Browser::of(&bench, "supervisor").await;
    let none = supervisor.call("POST", "/api/v1/keys", Some(json!({"name": "x", "scopes": ["read"]}))).await;
    assert_eq!(none.status, 403);
    let pages = bench.get("/api/v1/keys?limit=2").await;
    let rest =
        bench.get(&format!("/api/v1/keys?limit=200&cursor={}", pages["next_cursor"].as_str().unwrap())).await;
    assert_eq!(pages["items"].as_array().unwrap().len(), 2);
    assert!(
        rest["items"].as_array().unwrap().iter().all(|key| !pages["items"].as_array().unwrap().contains(key))
    );
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn people_and_keys_are_what_the_document_says() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let bench = Bench::open().await;
    let admin = Browser::of(&bench, "tenant_admin").await;
    let call = async |method: &str, path: &str, id: &str, body: Option<Value>, status: u16| {
        let answer = admin.call(method, &path.replace("{id}", id), body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_documented(&document, method, path.split('?').next().unwrap(), &answer);
        answer.json()
    };
    let (users, one) = ("/api/v1/users", "/api/v1/users/{id}");
    let new = || json!({"email": "cy@example.com", "role": "reviewer"});
    let id = call("POST", users, "", Some(new()), 201).await["id"].as_str().unwrap().to_owned();
    call("POST", users, "", Some(new()), 409).await;
    call("POST", users, "", Some(json!({"email": "cy", "role": "boss"})), 422).await;
    call("GET", users, "", None, 200).await;
    call("GET", "/api/v1/users?state=gone", "", None, 400).await;
    assert_eq!(
        call("GET", "/api/v1/users?state=invited&role=reviewer", "", None, 200).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    call("GET", one, &id, None, 200).await;
    call("GET", one, "x", None, 404).await;
    call("PUT", one, &id, Some(json!({"version": 1, "name": "Cy", "agent": null})), 200).await;
    call("PUT", one, &id, Some(json!({"version": 1, "name": null})), 409).await;
    call("PUT", one, &id, Some(json!({"version": 2, "teams": ["nowhere"]})), 422).await;
    call("PUT", one, "x", Some(json!({"version": 1})), 404).await;
    for word in ["link", "log-out", "deactivate", "activate"] {
        let path = format!("{one}/{word}");
        call("POST", &path, &id, None, 200).await;
        call("POST", &path, "x", None, 404).await;
    }
    call("GET", "/api/v1/me", "", None, 200).await;
    call("POST", "/api/v1/me/password", "", Some(json!({"current": "x", "new": "short"})), 422).await;
    let wrong = json!({"current": "x", "new": "several words in a row"});
    call("POST", "/api/v1/me/password", "", Some(wrong), 422).await;
    let made = call("POST", "/api/v1/keys", "", Some(json!({"name": "crm", "scopes": ["read"]})), 201).await;
    call("POST", "/api/v1/keys", "", Some(json!({"name": "crm", "scopes": ["x"]})), 422).await;
    call("GET", "/api/v1/keys", "", None, 200).await;
    let key = "/api/v1/keys/{id}";
    call("DELETE", key, made["id"].as_str().unwrap(), None, 200).await;
    call("DELETE", key, made["id"].as_str().unwrap(), None, 404).await;
    call("POST", "/api/v1/me/log-out", "", Some(json!({})), 422).await;
    call("POST", "/api/v1/me/log-out", "", Some(json!({"everywhere": true})), 200).await;
    call("POST", "/api/v1/me/log-out", "", Some(json!({"everywhere": true})), 401).await;
    let me = bench.call("GET", "/api/v1/me", "ut_mine", None).await;
    assert_documented(&document, "GET", "/api/v1/me", &me);
    assert_eq!(me.json()["key"]["scopes"], json!(["ingest", "read", "admin"]));
}
