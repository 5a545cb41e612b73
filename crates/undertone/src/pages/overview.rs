//! The first page, and its fragments as they change.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Html;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use undertone_core::overview::Overview;
use undertone_store::StoreError;

use crate::api::body::Query;
use crate::api::caller::{By, Caller};
use crate::api::problem::{ApiError, INVALID_QUERY};
use crate::app::App;

/// How often an open page asks whether anything changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After so many looks the stream ends, and the page comes back as who it then is: about ten minutes.
const LOOKS: u32 = 600;

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
    async fn read(app: &App, caller: &Caller, days: u32) -> Result<Self, StoreError> {
        let (email, csrf) = match &caller.by {
            By::Session { email, csrf, .. } => (email.clone(), csrf.clone()),
            By::Key(_) => (String::new(), String::new()),
        };
        let settings = app.store.module(caller.tenant_id()).await?.settings;
        let chosen = settings.categories.into_iter().map(|c| (c.id.as_str().to_owned(), c.name));
        let address = if app.config.public_url.is_empty() {
            format!("http://{}", app.config.listen)
        } else {
            app.config.public_url.clone()
        };
        // Asked before anything else is read: what changes in between is told again rather than not at all.
        let moment = moment(app, caller).await?;
        Ok(Self {
            moment,
            overview: app.store.overview(&caller.tenant, days).await?,
            email,
            csrf,
            days,
            welcome: curl(&address, "YOUR_KEY"),
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

/// A word that is another one whenever a verdict came or changed.
async fn moment(app: &App, caller: &Caller) -> Result<String, StoreError> {
    let (all, last) = app.store.pulse(caller.tenant_id()).await?;
    let last = last.map_or(0, |at| at.timestamp_micros());
    Ok(format!("{}.{}.{}.{last}", all.scored, all.sum_score, all.negative))
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
    let seen = Seen::read(&app, &caller, period.days()?).await?;
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
    let seen = match heard.or(period.seen) {
        Some(seen) => seen,
        None => moment(&app, &caller).await?,
    };
    let ending = app.ending.clone();
    let stream = futures::stream::unfold(
        (app, caller, seen, ending, Vec::<Event>::new(), 0),
        move |(app, caller, mut seen, mut ending, mut waiting, mut looks)| async move {
            loop {
                if let Some(event) = waiting.pop() {
                    return Some((Ok(event), (app, caller, seen, ending, waiting, looks)));
                }
                if looks > 0 {
                    tokio::select! {
                        _ = ending.wait_for(|end| *end) => return None,
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                }
                looks += 1;
                if looks > LOOKS {
                    return None;
                }
                // A while without the database is no reason to end; the next look may work.
                let Ok(now) = moment(&app, &caller).await else { continue };
                if now == seen {
                    continue;
                }
                let Ok(read) = Seen::read(&app, &caller, days).await else { continue };
                seen.clone_from(&read.moment);
                // The last to be sent, since it says that everything up to this moment was.
                let said = Event::default().event("say").id(&seen).data(undertone_ui::said(&read.page()));
                waiting.push(said);
                for fragment in undertone_ui::overview_fragments(&read.page()) {
                    waiting.push(Event::default().event("fragment").data(fragment.template()));
                }
            }
        },
    );
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))))
}
