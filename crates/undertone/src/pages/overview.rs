//! The first page, and its fragments as they change.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Html;
use axum::response::sse::{Event, Sse};
use futures::Stream;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use undertone_core::overview::Overview;
use undertone_store::StoreError;

use crate::api::body::Query;
use crate::api::caller::{By, Caller};
use crate::api::live::{self, Follow, Looked};
use crate::api::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::visibility::{self, Eyes};

/// How far back the page looks.
#[derive(Debug, Deserialize)]
pub struct Period {
    days: Option<u32>,
    /// The moment the page already shows.
    seen: Option<String>,
}

impl Period {
    fn days(&self) -> Result<u32, ApiError> {
        match self.days.unwrap_or(30) {
            days @ (7 | 30 | 90) => Ok(days),
            other => {
                Err(ApiError::new(INVALID_QUERY, format!("days is {other}; the page shows 7, 30 or 90")))
            }
        }
    }
}

/// Everything the page needs.
struct Seen {
    overview: Overview,
    moment: String,
    email: String,
    csrf: String,
    days: u32,
    welcome: String,
    categories: Vec<(String, String)>,
}

impl Seen {
    async fn read(app: &App, caller: &Caller, eyes: &Eyes, days: u32) -> Result<Self, StoreError> {
        let (email, csrf) = match &caller.by {
            By::Session { email, csrf, .. } => (email.clone(), csrf.clone()),
            By::Key(_) => (String::new(), String::new()),
        };
        let settings = app.store.module(caller.tenant_id()).await?.settings;
        let chosen = settings.categories.into_iter().map(|c| (c.id.as_str().to_owned(), c.name));
        // Asked before anything else is read: what changes in between is told again rather than not at all.
        let pulse = pulse(app, caller, eyes).await?;
        let overview = visibility::overview(&app.store, &caller.tenant, eyes, days).await?;
        Ok(Self {
            moment: moment(&pulse, eyes, &overview),
            overview,
            email,
            csrf,
            days,
            welcome: curl(&app.config.address(), "YOUR_KEY"),
            categories: chosen.collect(),
        })
    }

    fn page(&self) -> undertone_ui::OverviewPage<'_> {
        undertone_ui::OverviewPage {
            user_email: &self.email,
            csrf: &self.csrf,
            overview: &self.overview,
            period_days: self.days,
            moment: &self.moment,
            categories: &self.categories,
            welcome: &self.welcome,
        }
    }
}

/// A word that is another one whenever a verdict came or changed, or the policy did.
async fn pulse(app: &App, caller: &Caller, eyes: &Eyes) -> Result<String, StoreError> {
    let (all, last) = app.store.pulse(caller.tenant_id()).await?;
    let last = last.map_or(0, |at| at.timestamp_micros());
    let policy = eyes.choice().policy.as_str();
    Ok(format!("{}.{}.{}.{last}.{policy}", all.scored, all.sum_score, all.negative))
}

/// What the page calls the moment it shows. To who does not see every score, it says no more than the page itself.
fn moment(pulse: &str, eyes: &Eyes, overview: &Overview) -> String {
    if eyes.see_everything() {
        return pulse.to_owned();
    }
    let mut shown = serde_json::json!(overview);
    shown["at"] = serde_json::Value::Null;
    let digest = Sha256::digest(shown.to_string());
    digest.iter().take(12).fold(String::new(), |text, byte| text + format!("{byte:02x}").as_str())
}

/// The line that hands in a first interaction.
pub fn curl(address: &str, key: &str) -> String {
    format!(
        "curl {address}/api/v1/interactions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
         -d '{{\"customer\": \"ana\", \"channel\": \"email\", \"text\": \"Third week without an answer. I am about to give up on you.\"}}'"
    )
}

/// The page.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<Period>,
) -> Result<Html<String>, ApiError> {
    let eyes = Eyes::of(&app.store, &caller).await?;
    let seen = Seen::read(&app, &caller, &eyes, period.days()?).await?;
    Ok(Html(undertone_ui::overview(&seen.page())))
}

/// Fragments of the page whenever it shows another moment than the caller's, until the service or the session ends. A browser that comes
/// back names the last moment it heard of.
pub async fn live(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(period): Query<Period>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let days = period.days()?;
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok().map(str::to_owned));
    let eyes = Eyes::of(&app.store, &caller).await?;
    let seen = match heard.or(period.seen) {
        Some(seen) => seen,
        None => Seen::read(&app, &caller, &eyes, days).await?.moment,
    };
    let ending = app.ending.clone();
    let open = Open { app, caller, eyes, days, seen, pulse: String::new() };
    Ok(live::answer(open, ending))
}

/// A page that is open.
struct Open {
    app: App,
    caller: Caller,
    eyes: Eyes,
    days: u32,
    /// The moment it shows.
    seen: String,
    /// What was last found.
    pulse: String,
}

impl Follow for Open {
    const LOOK_EVERY: Duration = Duration::from_secs(1);

    async fn look(&mut self, closely: bool) -> Result<Looked, ApiError> {
        let is_due = self.is_due(closely).await?;
        if !self.eyes.may_look() {
            return Ok(Looked::Ended);
        }
        if !is_due {
            return Ok(Looked::Told(Vec::new()));
        }
        let read = Seen::read(&self.app, &self.caller, &self.eyes, self.days).await?;
        if read.moment == self.seen {
            return Ok(Looked::Told(Vec::new()));
        }
        self.seen.clone_from(&read.moment);
        let fragments = undertone_ui::overview_fragments(&read.page());
        let fragment =
            |part: &undertone_ui::Fragment| Event::default().event("fragment").data(part.template());
        let mut told: Vec<Event> = fragments.iter().rev().map(fragment).collect();
        // The last to be sent, since it says that everything up to this moment was.
        told.push(Event::default().event("say").id(&self.seen).data(undertone_ui::said(&read.page())));
        Ok(Looked::Told(told))
    }
}

impl Open {
    /// Looks whether the page may show something else by now: at verdicts and policy each time, at who looks and at what else they may see
    /// now and then.
    async fn is_due(&mut self, closely: bool) -> Result<bool, StoreError> {
        let Self { app, caller, .. } = self;
        let settings = app.store.module(caller.tenant_id()).await?.settings;
        if closely {
            let viewer = caller.viewer(&app.store).await?;
            self.eyes = Eyes::with(caller.tenant_id(), &settings, viewer);
        } else {
            self.eyes.look_under(&settings);
        }
        let pulse = pulse(app, caller, &self.eyes).await?;
        // To who sees every score this very word is the moment. Of others only the page itself says whether it is another.
        let is_due =
            if self.eyes.see_everything() { pulse != self.seen } else { closely || pulse != self.pulse };
        self.pulse = pulse;
        Ok(is_due)
    }
}
