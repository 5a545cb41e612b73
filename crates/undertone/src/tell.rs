//! Tells people of what happened: decides who hears of an event and through which of their channels, and writes their notices. What they may
//! not see they are not told of.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use tokio::sync::watch;
use undertone_core::Settings;
use undertone_core::event::EventKind;
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
    let withdrawn = untold.events.iter().filter(|event| event.kind == EventKind::AlertWithdrawn);
    let withdrawn: Vec<&str> = withdrawn.map(|event| event.subject_id.as_str()).collect();
    let called = store.who_heard(tenant, &withdrawn).await?;
    let mut unheard = 0_usize;
    for event in untold.events.iter().filter(|event| now - event.happened_at < STALE) {
        let what = Happening {
            kind: event.kind,
            assigned_to: event.payload["assigned_to"].as_str(),
            made_by: event.payload["made_by"].as_str(),
        };
        let mut users = told(&what, &settings.recipients, &settings.escalate_to, &persons);
        // Whoever was called hears that it is over, whoever would be called now.
        if event.kind == EventKind::AlertWithdrawn
            && let Some(called) = called.get(&event.subject_id)
        {
            let more = persons.iter().map(|person| person.id).filter(|id| called.contains(*id));
            let more: Vec<&str> = more.filter(|id| !users.contains(id)).collect();
            users.extend(more);
        }
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
/// where the policy hides the score, and of one that they were called for, what became of it: then without what the customer felt.
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
    let seen = with_what_became(store, tenant, user, &events, seen).await?;
    let own = |payload: &Value| (payload["assigned_to"] == user).then(|| without_feelings(payload.clone()));
    let told = events.into_iter().zip(seen).map(|((event, payload), seen)| {
        seen.or_else(|| event.starts_with("alert.").then(|| own(payload)).flatten())
    });
    Ok(told.collect())
}

/// What `who`, a person or a destination, is told of these events: what may be `seen`, and of alerts and incidents that they heard of also what
/// became of them, without what customers felt.
pub async fn with_what_became(
    store: &Store,
    tenant: TenantId,
    who: &str,
    events: &[(&str, &Value)],
    seen: Vec<Option<Value>>,
) -> Result<Vec<Option<Value>>, StoreError> {
    fn subject<'a>((event, payload): &(&str, &'a Value)) -> Option<&'a str> {
        let id = payload["alert_id"].as_str().or_else(|| payload["incident_id"].as_str());
        id.filter(|_| event.parse().is_ok_and(EventKind::follows_a_call))
    }
    let hidden = events.iter().zip(&seen).filter(|(_, seen)| seen.is_none());
    let subjects: Vec<&str> = hidden.filter_map(|(event, _)| subject(event)).collect();
    if subjects.is_empty() {
        return Ok(seen);
    }
    let heard = store.heard_of(tenant, who, &subjects).await?;
    let told = events.iter().zip(seen).map(|(event, seen)| {
        let is_heard = || subject(event).is_some_and(|subject| heard.contains(subject));
        seen.or_else(|| is_heard().then(|| without_feelings(event.1.clone())))
    });
    Ok(told.collect())
}

/// The payload of an alert or an incident without what says how customers feel.
fn without_feelings(mut payload: Value) -> Value {
    if let Some(fields) = payload.as_object_mut() {
        for key in
            ["score", "label", "dominant_emotion", "summary", "threshold", "still_low", "no_longer_low"]
        {
            fields.remove(key);
        }
    }
    payload
}

/// Who is to hear of an alert that is raised now, and those of them who do not, because the visibility policy shows them no single score: users,
/// by id.
pub async fn hearing(
    store: &Store,
    tenant: TenantId,
    settings: &Settings,
) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let everybody = store.recipients(tenant).await?;
    let persons: Vec<_> = everybody.iter().map(Recipient::person).collect();
    let alert = Happening { kind: EventKind::AlertRaised, assigned_to: None, made_by: None };
    let hearing = told(&alert, &settings.recipients, &settings.escalate_to, &persons);
    let mut blind = Vec::new();
    for user in &hearing {
        let viewer = store.viewer(tenant, user).await?.unwrap_or_default();
        if !visibility::Eyes::with(tenant, settings, viewer).see_single() {
            blind.push((*user).to_owned());
        }
    }
    Ok((hearing.into_iter().map(str::to_owned).collect(), blind))
}

/// Why somebody to whom an alert is given hears nothing of it, whatever happens; `None`: they do.
pub async fn hears_of_no_assignment(
    store: &Store,
    tenant: TenantId,
    user: &str,
) -> Result<Option<String>, StoreError> {
    let (preferences, _) = store.notification_preferences(tenant, user).await?;
    let channels = preferences.channels(Category::Assignments);
    Ok((!channels.in_app && !channels.email).then(|| {
        "they switched off being told of what is given to them, in the inbox and by e-mail: tell them, or name somebody else"
            .to_owned()
    }))
}

/// That nobody who is to hear of alerts is told of one, because of the visibility policy; `None`: somebody is, or nobody is to hear of them.
pub async fn nobody_sees(
    store: &Store,
    tenant: TenantId,
    settings: &Settings,
) -> Result<Option<String>, StoreError> {
    let (hearing, blind) = hearing(store, tenant, settings).await?;
    Ok((!blind.is_empty() && blind.len() == hearing.len()).then(|| {
        format!(
            "the visibility policy {} shows none of those who are to hear of alerts a single score, so nobody is told of one; choose another \
             policy (visibility), or others to be told (recipients)",
            settings.visibility.policy.as_str()
        )
    }))
}

/// A link to `path`; none where `public_url`, the address under which people reach the service, is empty.
pub fn link(public_url: &str, path: &str) -> Option<String> {
    (!public_url.is_empty()).then(|| format!("{public_url}{path}"))
}

/// The alert that an event tells of went with what it was about: by an erasure, or by a clock.
pub fn is_gone(payload: &Value) -> bool {
    payload.get("interaction_id").is_some_and(Value::is_null)
}

/// The place of this service where a person does something about it: a path. The page is asked for the alert, for of those that are done with
/// it shows none by itself.
pub fn place(payload: &Value) -> Option<String> {
    // Where it is gone there is nothing to be seen.
    let alert = payload["alert_id"].as_str().filter(|_| !is_gone(payload));
    alert.map(|alert| format!("/inbox?alert={alert}#alert-{alert}"))
}

/// Facts as somebody in `zone` reads them: a moment as their clocks show it, anything else as it is.
pub fn facts(facts: Vec<(&'static str, String)>, zone: Tz) -> Vec<(String, String)> {
    let local = |value: String| value.parse().map_or(value, |at| moment(at, zone));
    facts.into_iter().map(|(name, value)| (name.to_owned(), local(value))).collect()
}

/// A moment as the clocks in `zone` show it.
pub fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}
