//! Tells people of what happened: decides who hears of an event and through which of their channels, and writes their notices. What they may
//! not see they are not told of.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use serde_json::Value;
use tokio::sync::watch;
use undertone_core::notification::{Category, Happening, told};
use undertone_store::notices::{Recipient, Telling, Untold, UntoldEvent};
use undertone_store::{Store, StoreError, TenantId};

use crate::deliver::Stream;
use crate::turns::Turns;
use crate::visibility;

/// How often is looked for events that people were not told of.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What happened longer ago is told to nobody any more: it came from a database that was long away.
const STALE: TimeDelta = TimeDelta::days(7);

/// Tells people until the service ends. Several nodes may: each event is told by one.
pub async fn serve(store: Store, stream: Stream, ending: watch::Receiver<bool>) {
    let some = |tenant| tell_some(&store, &stream, tenant);
    Turns::new("telling people").serve(ending, LOOK_EVERY, || store.tenants_with_untold(), some).await;
}

/// Tells everybody of everything that has its place by now.
#[cfg(test)]
pub async fn look(store: &Store, stream: &Stream) -> Result<(), StoreError> {
    for tenant in store.tenants_with_untold().await? {
        while tell_some(store, stream, tenant).await? {}
    }
    Ok(())
}

/// Tells of the next events; answers whether there were any.
async fn tell_some(store: &Store, stream: &Stream, tenant: TenantId) -> Result<bool, StoreError> {
    let untold = store.untold(tenant).await?;
    if untold.to == untold.from {
        return Ok(false);
    }
    if untold.events.is_empty() {
        store.tell(tenant, &untold, &[]).await?;
        return Ok(true);
    }
    let people = store.recipients(tenant).await?;
    let zone = store.tenant(tenant).await?.map_or(Tz::UTC, |tenant| tenant.zone);
    let tellings = tellings(store, tenant, &untold, &people, zone).await?;
    if store.tell(tenant, &untold, &tellings).await? {
        metrics::counter!("undertone_notices_total").increment(tellings.len() as u64);
        stream.wake(tenant);
    }
    Ok(true)
}

async fn tellings<'a>(
    store: &Store,
    tenant: TenantId,
    untold: &'a Untold,
    people: &'a [Recipient],
    zone: Tz,
) -> Result<Vec<Telling<'a>>, StoreError> {
    let settings = store.module(tenant).await?.settings;
    let persons: Vec<_> = people.iter().map(Recipient::person).collect();
    let now = store.now();
    let mut heard: HashMap<&str, Vec<&UntoldEvent>> = HashMap::new();
    let mut unheard = 0_usize;
    for event in untold.events.iter().filter(|event| now - event.happened_at < STALE) {
        let what = Happening {
            kind: event.kind,
            assigned_to: event.payload["assigned_to"].as_str(),
            made_by: event.payload["made_by"].as_str(),
        };
        let users = told(&what, &settings.recipients, &settings.escalate_to, &persons);
        unheard += usize::from(users.is_empty() && Category::of(event.kind) == Some(Category::Alerts));
        for user in users {
            heard.entry(user).or_default().push(event);
        }
    }
    if unheard > 0 {
        let why = undertone_core::notification::nobody_hears(&settings.recipients, &persons);
        let why = why.unwrap_or_else(|| "nobody is to be told of them".to_owned());
        tracing::warn!(tenant = tenant.0, alerts = unheard, "{unheard} alerts reach nobody: {why}");
    }
    let mut tellings = Vec::new();
    for person in people {
        let Some(events) = heard.remove(person.id.as_str()) else { continue };
        let asked = events.iter().map(|event| (event.kind.as_str(), &event.payload)).collect();
        let seen = seen_by(store, tenant, &person.id, asked).await?;
        for (event, payload) in events.into_iter().zip(seen) {
            let Some(category) = Category::of(event.kind).filter(|_| payload.is_some()) else { continue };
            let channels = person.preferences.channels(category);
            let email = channels.email.then(|| person.preferences.email_at(event.kind, zone, now));
            if channels.in_app || email.is_some() {
                tellings.push(Telling { event, user: &person.id, in_app: channels.in_app, email });
            }
        }
    }
    Ok(tellings)
}

/// What a person may see of these events now, each given by its name and payload; `None`: nothing. Of an alert that is theirs they hear even
/// where the policy hides the score: then without what the customer felt.
pub async fn seen_by(
    store: &Store,
    tenant: TenantId,
    user: &str,
    events: Vec<(&str, &Value)>,
) -> Result<Vec<Option<Value>>, StoreError> {
    let viewer = store.viewer(tenant, user).await?.unwrap_or_default();
    if viewer.role.is_none() {
        return Ok(vec![None; events.len()]);
    }
    let seen = visibility::payloads(store, tenant, viewer, &events).await?;
    let own = |payload: &Value| (payload["assigned_to"] == user).then(|| without_feelings(payload.clone()));
    let told = events.into_iter().zip(seen).map(|((event, payload), seen)| {
        seen.or_else(|| event.starts_with("alert.").then(|| own(payload)).flatten())
    });
    Ok(told.collect())
}

/// The payload of an alert without what says how the customer feels.
fn without_feelings(mut payload: Value) -> Value {
    if let Some(fields) = payload.as_object_mut() {
        for key in ["score", "label", "dominant_emotion", "summary", "threshold"] {
            fields.remove(key);
        }
    }
    payload
}

/// A link to `path`; none where `public_url`, the address under which people reach the service, is empty.
pub fn link(public_url: &str, path: &str) -> Option<String> {
    (!public_url.is_empty()).then(|| format!("{public_url}{path}"))
}

/// The place of this service where a person does something about it: a path.
pub fn place(payload: &Value) -> Option<String> {
    payload["alert_id"].as_str().map(|alert| format!("/inbox#alert-{alert}"))
}
