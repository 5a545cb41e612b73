//! What the visibility policy leaves of alerts: a person or a destination that is shown no single score is told of none.

use undertone_core::Settings;
use undertone_core::event::EventKind;
use undertone_core::visibility::{Policy, Viewer, makes_incidents, sees_single};
use undertone_store::destinations::Destination;
use undertone_store::{Store, Tenant};

use super::Check;
use super::examine::Told;
use crate::error::CliError;
use crate::tell;

/// Whether those who are to hear of alerts are told of them.
pub async fn by_people(store: &Store, tenant: &Tenant, settings: &Settings) -> Result<Vec<Told>, CliError> {
    if let Some(why) = tell::nobody_sees(store, tenant.id, settings).await? {
        return Ok(vec![(Check::Visibility, Err(why))]);
    }
    let (hearing, blind) = tell::hearing(store, tenant.id, settings).await?;
    let policy = settings.visibility.policy.as_str();
    let mut told = Vec::new();
    if !blind.is_empty() {
        let text = format!(
            "{} of these {} people are told of no alert: the policy {policy} shows them no single score (visibility)",
            blind.len(),
            hearing.len()
        );
        told.push((Check::Visibility, Ok(text)));
    }
    let only = match settings.visibility.policy {
        _ if hearing.is_empty() => None,
        Policy::PostConversation => Some("whose conversation is closed when it is raised"),
        Policy::ThresholdRules => Some("whose score passes a threshold that is set for their role"),
        _ => None,
    };
    if let Some(only) = only {
        let text = format!("people are told only of an alert {only} (visibility: {policy})");
        told.push((Check::Visibility, Ok(text)));
    }
    if settings.incident_customers > 0 && !makes_incidents(&settings.visibility, &[]) {
        let text = format!(
            "nobody sees incidents, so there are none, and alerts are told one by one (visibility: {policy})"
        );
        told.push((Check::Visibility, Ok(text)));
    }
    Ok(told)
}

/// Why nothing of alerts goes to a destination that asks for them; `None`: something does.
pub fn by_destination(settings: &Settings, destination: &Destination) -> Option<Told> {
    let audience = destination.config.audience;
    let asks = destination.active && destination.config.events.has(EventKind::AlertRaised);
    if !asks || sees_single(&settings.visibility, &Viewer::of_role(audience)) {
        return None;
    }
    let why = format!(
        "destination “{}”: the visibility policy {} shows its audience ({}) no single score, so no alert is sent to it; choose another audience",
        destination.name,
        settings.visibility.policy.as_str(),
        audience.as_str()
    );
    Some((Check::Visibility, Err(why)))
}
