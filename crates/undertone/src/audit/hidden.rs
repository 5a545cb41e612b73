//! What of the audit log is not told to whom the tenant's visibility policy hides what it is about.

use std::collections::HashMap;

use undertone_core::visibility::Reason;
use undertone_store::audit::Entry;
use undertone_store::{Store, StoreError, TenantId};

use crate::visibility::Eyes;

/// What is noted under the id of an interaction and says what was read out of it.
const OF_VERDICTS: [&str; 3] = ["sentiment_override", "sentiment_agreed", "review_label"];
/// What is noted under the id of an alert: that there is one says that a customer is low.
const OF_ALERTS: [&str; 4] = ["alert_acknowledged", "alert_assigned", "alert_snoozed", "alert_resolved"];
/// What is noted under the id of an incident, and about what many customers were low.
const OF_INCIDENTS: [&str; 1] = ["incident_closed"];

/// Why these entries are told without what they say, by their ids: it would tell the reader of a verdict, an alert or an incident that the
/// tenant's policy hides from them. That something was done, by whom and to what is told all the same.
pub async fn hidden(
    store: &Store,
    eyes: &Eyes,
    tenant: TenantId,
    entries: &[Entry],
) -> Result<HashMap<String, Reason>, StoreError> {
    if eyes.see_everything() {
        return Ok(HashMap::new());
    }
    let of = |actions: &'static [&str]| {
        entries
            .iter()
            .filter(|entry| entry.payload.is_some() && actions.contains(&entry.action.as_str()))
            .map(|entry| (entry.id.as_str(), entry.subject.as_str()))
    };
    let alerts: Vec<&str> = of(&OF_ALERTS).map(|(_, alert)| alert).collect();
    let about = store.interactions_of_alerts(tenant, &alerts).await?;
    let ids: Vec<&str> = of(&OF_VERDICTS)
        .map(|(_, interaction)| interaction)
        .chain(about.values().map(String::as_str))
        .collect();
    let sights = eyes.on_interactions(store, &ids).await?;
    // Of an alert that is gone is not known whom it was about.
    let why_not = |alert: &str| about.get(alert).map_or_else(|| eyes.reserve(), |of| sights.of(of).reason);
    let reasons = of(&OF_VERDICTS)
        .map(|(entry, interaction)| (entry, sights.of(interaction).reason))
        .chain(of(&OF_ALERTS).map(|(entry, alert)| (entry, why_not(alert))))
        .chain(of(&OF_INCIDENTS).map(|(entry, _)| (entry, eyes.reserve())));
    Ok(reasons.filter_map(|(entry, reason)| Some((entry.to_owned(), reason?))).collect())
}
