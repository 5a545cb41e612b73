//! The API as its callers see it: through the router, on a real database, with the embedded model.

mod access;
mod agents;
mod ai_usage;
mod alerts;
mod answers;
mod audit;
mod calibration;
mod copy;
mod counters;
mod destinations;
mod doctor;
mod document;
mod events;
mod export;
mod guide;
mod headers;
mod limits;
mod llm;
mod notices;
mod overrides;
mod privacy;
mod provider_keys;
mod review;
mod second_factor;
mod sign_on;
mod signing_in;
mod tour;
mod users;
mod visibility;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use chrono_tz::Tz;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;
use undertone_core::{Permission, Scope};
use undertone_store::secrets::{Credentials, Keyring, MasterKey, Provider, Secret};
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Store, Tenant};

use super::caller::Access;
use super::{ROUTES, Route, router, secrets};
use crate::app::{App, open_store};
use crate::cli::ConfigArguments;
use crate::config::Config;
use crate::deliver::{self, Deliveries, Outward, Stream};
use crate::intake::gather::Gather;
use crate::knowledge::Lessons;
use crate::limits::Limits;
use crate::llm::{Llms, Web};
use crate::pipeline::{Patience, Pipeline, Tools, Work};
use crate::secrets::{Given, InstallationKey, ProviderKeys};
use crate::sign_on::SignOn;
use crate::tell;

thread_local! {
    /// Where a bench that a test opens on this thread keeps its data; empty: in SQLite, in a folder of its own.
    static DATABASE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// It raises an alert at the usual threshold.
const FURIOUS: &str =
    "Third week without an answer. This is a disgrace, I am furious and about to give up on you.";

struct Bench {
    app: App,
    router: Router,
    folder: tempfile::TempDir,
    end: watch::Sender<bool>,
    pipeline: Pipeline,
    mine: Tenant,
    theirs: Tenant,
}

/// A user of mine with a session.
struct Person {
    id: String,
    cookie: String,
    csrf: String,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Bench {
    async fn open() -> Self {
        Self::with(given()).await
    }

    /// With these keys of the installation.
    async fn with(given: Given) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flags =
            ConfigArguments { data_dir: Some(folder.path().to_owned()), ..ConfigArguments::default() };
        let database = DATABASE.with_borrow(String::clone);
        let config = Config::load(&flags, json!({"database_url": database})).unwrap();
        let store = open_store(&config).await.unwrap();
        store.migrate().await.unwrap();
        let (reader, lessons) = (crate::cli::reader(1).unwrap(), Lessons::default());
        let (end, ending) = watch::channel(false);
        let work = Work::default();
        let gather = Gather::start(&store, &work, 64, 1);
        let (provider_keys, prices) = (ProviderKeys::new(&store, given), Arc::default());
        let web = Arc::new(Web::new().unwrap());
        let sign_on = SignOn::new(web.clone());
        let llms = Llms::new(&store, &provider_keys, web, &prices);
        let tools = Tools {
            store: store.clone(),
            local: reader.clone(),
            lessons: lessons.clone(),
            llms: llms.clone(),
            work,
            patience: Patience {
                look_every: chrono::TimeDelta::milliseconds(100),
                listed_within: chrono::TimeDelta::seconds(1),
                reached_within: chrono::TimeDelta::seconds(2),
            },
        };
        let pipeline = Pipeline::start(&tools, 1, &ending);
        let app = App {
            provider_keys,
            sign_on,
            llms,
            metrics_token: None,
            prices,
            store,
            limits: Limits::new(&config),
            config: Arc::new(config),
            reader,
            lessons,
            learning: Arc::default(),
            gather,
            outward: Outward::new(&["127.0.0.0/8".parse().unwrap()]).unwrap(),
            stream: Stream::default(),
            ending,
            log_in_hint: None,
        };
        let tenant = async |slug| {
            let new = NewTenant { slug, name: slug, zone: Tz::Europe__Berlin, actor: "test" };
            app.store.create_tenant(&new).await.unwrap()
        };
        let (mine, theirs) = (tenant("mine").await, tenant("theirs").await);
        let bench = Self { router: router(&app), app, folder, end, pipeline, mine, theirs };
        for scope in Scope::ALL {
            bench.key(&bench.mine, &format!("ut_mine_{}", scope.as_str()), &[scope.as_str()]).await;
        }
        bench.key(&bench.mine, "ut_mine", &["ingest", "read", "admin"]).await;
        bench.key(&bench.theirs, "ut_theirs", &["ingest", "read", "admin"]).await;
        bench
    }

    fn store(&self) -> &Store {
        &self.app.store
    }

    /// The address of its database.
    fn url(&self) -> String {
        let sqlite = || format!("sqlite://{}", self.folder.path().join("undertone.db").display());
        Some(DATABASE.with_borrow(String::clone)).filter(|url| !url.is_empty()).unwrap_or_else(sqlite)
    }

    async fn key(&self, tenant: &Tenant, key: &str, scopes: &[&str]) -> String {
        self.store().create_key(&Act::new(tenant.id, "test"), "test", scopes, key).await.unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE);
        // A stream of events ends with the service only.
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let body = if is_stream { Body::empty() } else { body };
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn call(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = body.map(ToString::to_string);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, JSON);
        }
        self.send(request.body(body.map_or_else(Body::empty, Body::from)).unwrap()).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, "ut_mine", None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// Changes my settings, which must be taken; answers what is told of them.
    async fn set(&self, changes: Value) -> Value {
        let answer = self.call("PUT", "/api/v1/settings", "ut_mine", Some(&changes)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    async fn post(&self, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, "Bearer ut_mine")
            .header(header::CONTENT_TYPE, kind)
            .body(body.into());
        self.send(request.unwrap()).await
    }

    /// Waits until nothing of a tenant is pending.
    async fn settled(&self, tenant: &Tenant) {
        for _ in 0..600 {
            if self.store().waiting(tenant.id).await.unwrap().oldest.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("something is still pending after 12 s");
    }

    /// Takes something in and waits for its verdict; answers the interaction's id.
    async fn score(&self, item: &Value) -> String {
        let answer = self.call("POST", "/api/v1/interactions", "ut_mine", Some(item)).await;
        self.settled(&self.mine).await;
        answer.json()["id"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
    }

    /// Everything of mine that has happened gets its place.
    async fn place(&self) {
        while self.store().place_events(self.mine.id, 100).await.unwrap().events > 0 {}
    }

    /// Everything of mine that has happened gets its place, and people are told.
    async fn tell(&self) {
        self.place().await;
        tell::look(self.store(), &self.app.stream).await.unwrap();
    }

    /// From now on messages go out, until `ending` says so or what is answered is dropped.
    fn deliveries(&self, public_url: &str, ending: &watch::Receiver<bool>) -> Deliveries {
        let tools = deliver::Tools {
            store: self.store().clone(),
            outward: self.app.outward.clone(),
            keyring: self.app.provider_keys.keyring().clone(),
            public_url: public_url.into(),
        };
        Deliveries::start(&tools, &self.app.stream, None, ending)
    }

    /// A session of a user of mine: the cookie and the CSRF token.
    async fn session(&self, role: &str) -> (String, String) {
        let (token, csrf) = (secrets::token(), secrets::token());
        let act = Act::new(self.mine.id, "test");
        let email = format!("{role}@example.com");
        let id = self.store().save_user(&act, &email, role, "no hash").await.unwrap();
        self.store().begin_session(&id, &token, &csrf).await.unwrap();
        (format!("{}={token}", secrets::SESSION_COOKIE), csrf)
    }

    /// The user of mine who has this role, with a session.
    async fn person(&self, role: &str) -> Person {
        let (cookie, csrf) = self.session(role).await;
        let email = format!("{role}@example.com");
        let id = self.store().user_by_email(&email).await.unwrap().unwrap().id;
        Person { id, cookie, csrf }
    }

    /// A call as somebody who is logged in.
    async fn by(&self, person: &Person, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, &person.cookie)
            .header("x-csrf-token", &person.csrf)
            .header(header::CONTENT_TYPE, JSON);
        self.send(request.body(body.map_or_else(Body::empty, |b| Body::from(b.to_string()))).unwrap()).await
    }

    async fn post_with(&self, route: &Route, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(route.method)
            .uri(path)
            .header(header::AUTHORIZATION, "Bearer ut_mine")
            .header(header::CONTENT_TYPE, JSON)
            .body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }
}

/// What opens tenants' keys, and the installation's key for `openai`.
fn given() -> Given {
    let shared = Secret::new("marker-of-the-installations-key".to_owned());
    let credentials = Credentials::new(Provider::Openai, &shared, Some("http://localhost:1/v1")).unwrap();
    let keyring = Keyring::new(Some(MasterKey::generate().unwrap()), None);
    Given::new(keyring, vec![InstallationKey { credentials, from: "a test".to_owned() }])
}

/// Something that raises an alert at the usual threshold, as it is handed in.
fn furious(customer: &str) -> Value {
    json!({"text": FURIOUS, "customer": customer})
}

/// Waits until something is so, at most 20 s.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The address with an id that means nothing to anybody.
fn address(route: &Route, id: &str) -> String {
    let names = ["{id}", "{name}", "{provider}", "{*file}"];
    names.iter().fold(route.path.to_owned(), |path, name| path.replace(name, id))
}

fn scoped() -> impl Iterator<Item = (&'static Route, Permission)> {
    ROUTES.iter().filter_map(|route| match route.access {
        Access::Needs(permission) => Some((route, permission)),
        Access::Public | Access::Page | Access::PageFor(_) => None,
    })
}
