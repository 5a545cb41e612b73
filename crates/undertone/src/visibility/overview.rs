//! The first page as somebody sees it.

use undertone_core::overview::{Overview, Seen};
use undertone_core::visibility::Reason;
use undertone_store::overview::{AT_RISK, LATEST};
use undertone_store::{Store, StoreError, Tenant};

use super::Eyes;

/// Among so many of the lowest customers and of the latest verdicts it is looked for those that somebody may see who does not see all.
const LOOKED_AT: i64 = 100;

/// The first page over the last `days` days, today included (1 to 366), without what these eyes may not see.
pub async fn overview(
    store: &Store,
    tenant: &Tenant,
    eyes: &Eyes,
    days: u32,
) -> Result<Overview, StoreError> {
    let Some(reason) = eyes.reserve() else { return store.overview(tenant, days).await };
    let seen =
        Seen { figures: eyes.figures(), reason: Some(reason), explanation: Some(reason.explanation()) };
    // No group is as large as this: who has no role sees no figures of groups either.
    let smallest = if eyes.may_look() { eyes.choice().min_group } else { u16::MAX };
    let mut overview = store.published_overview(tenant, days, seen, smallest).await?;
    if reason == Reason::OnlyGroups || !eyes.may_look() {
        return Ok(overview);
    }
    let mut latest = store.latest(tenant.id, LOOKED_AT).await?;
    let ids: Vec<&str> = latest.iter().map(|one| one.interaction_id.as_str()).collect();
    let sights = eyes.on_interactions(store, &ids).await?;
    latest.retain(|one| sights.of(&one.interaction_id).is_open());
    latest.truncate(count(LATEST));
    let mut at_risk = store.customers_at_risk(tenant.id, LOOKED_AT).await?;
    let ids: Vec<&str> = at_risk.iter().map(|one| one.id.as_str()).collect();
    let sights = eyes.on_customers(store, &ids).await?;
    at_risk.retain(|one| sights.of(&one.id).is_open());
    at_risk.truncate(count(AT_RISK));
    // Of the last verdict may be hidden what all of them together come to.
    let ids: Vec<&str> = at_risk.iter().map(|one| one.last_id.as_str()).collect();
    let sights = eyes.on_interactions(store, &ids).await?;
    for one in &mut at_risk {
        let sight = sights.of(&one.last_id);
        one.last_score = one.last_score.filter(|_| sight.is_open());
        one.last_said = one.last_said.take().filter(|_| sight.shows_text());
    }
    overview.latest = latest;
    overview.customers_at_risk = at_risk;
    Ok(overview)
}

fn count(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or_default()
}
