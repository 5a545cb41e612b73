//! Which interactions were taken in before, by the ids their sources gave them.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, FromQueryResult};
use undertone_core::Interaction;

use super::Incoming;
use crate::statement::{pieces, sql};
use crate::{Result, TenantId};

/// One that was taken in.
#[derive(FromQueryResult)]
pub(crate) struct Existing {
    source: String,
    external_id: String,
    pub(super) id: String,
    pub(crate) digest: String,
}

/// Those of `interactions` that were taken in before, by source and external id. They are as many as go into one statement.
pub(crate) async fn existing<'a>(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    interactions: impl Iterator<Item = &'a Interaction> + Clone,
) -> Result<HashMap<(String, String), Existing>> {
    let sources: BTreeSet<&str> =
        interactions.clone().map(|interaction| interaction.source.as_str()).collect();
    let rows: Vec<Existing> = sql("SELECT source, external_id, id, digest FROM interaction WHERE tenant_id = ? AND source IN ? AND external_id IN ?")
        .bind(tenant.0)
        .list(sources)
        .list(interactions.map(|interaction| interaction.external_id.as_str()))
        .all(on)
        .await?;
    Ok(rows.into_iter().map(|row| ((row.source.clone(), row.external_id.clone()), row)).collect())
}

/// Whether each of `items` would be taken in as things are, as a new interaction or as another revision of one, if it came alone; but for those
/// of which `seen` says what becomes of them.
pub(super) async fn foreseen(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    items: &[Incoming],
    seen: &HashMap<usize, bool>,
) -> Result<Vec<bool>> {
    let named: Vec<&Interaction> = items
        .iter()
        .map(|item| &item.arrival.interaction)
        .filter(|interaction| !interaction.external_id.is_empty())
        .collect();
    let mut digests: HashMap<(String, String), String> = HashMap::new();
    for piece in pieces(&named) {
        let known = existing(on, tenant, piece.iter().copied()).await?;
        digests.extend(known.into_iter().map(|(key, row)| (key, row.digest)));
    }
    let mut taken_in = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let interaction = &item.arrival.interaction;
        let key = (interaction.source.clone(), interaction.external_id.clone());
        let is_taken_in = interaction.external_id.is_empty()
            || digests.get(&key).is_none_or(|digest| *digest != item.digest && item.arrival.update);
        taken_in.push(seen.get(&i).copied().unwrap_or(is_taken_in));
    }
    Ok(taken_in)
}
